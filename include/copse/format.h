/* Content-Formats (RFC 7252 §12.3), from registry/formats.def.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_FORMAT_H
#define COPSE_FORMAT_H

#include <copse/types.h>

enum copse_format {
#define FORMAT(number, name, media_type, coding, reference) COPSE_FORMAT_##name = (number),
#include <copse/registry/formats.def>
#undef FORMAT
};

/* "No Content-Format": larger than every number. As default for copse_message_uint. */
#define COPSE_FORMAT_NONE 0x10000u

/* The rest is for people (format_text.c), and absent from a microcontroller's build. */

struct copse_format_row {
	uint16_t number;
	const char *name;   /* short, as "SENML_JSON" */
	const char *media;  /* as "application/senml+json" */
	const char *coding; /* as "deflate", "" for none */
	const char *reference;
};

/* Rows are ascending in number. */
extern const struct copse_format_row copse_format_rows[];
extern const size_t copse_format_row_n;

/* The row of `number`, or NULL. */
const struct copse_format_row *copse_format_row(uint32_t number);

/* The media type as "application/json", or NULL. One with a content coding has the type of what it encodes.
 */
const char *copse_format_media(uint32_t number);

/* The number of a media type ("application/json", "text/plain", "text/plain; charset=utf-8"), of a short name
 * ("json", "senml-cbor", "text") or a decimal number, without regard to case. A media type without parameters is the
 * row that has none or else the lowest of that type; with parameters it must have them all. Content codings: by number
 * or short name alone. Returns 0 to 65535, or COPSE_ERR_ARGUMENT. */
int copse_format_from_text(const char *text, size_t len);

/* How to show a payload of format `number`. */
bool copse_format_is_text(uint32_t number); /* UTF-8 for people: text, link format, XML, JSON and their kin */
bool copse_format_is_json(uint32_t number);
bool copse_format_is_cbor(uint32_t number);

#endif
