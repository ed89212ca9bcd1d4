/* Problem details (RFC 9290): title and detail as a sentence.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "pretty.h"
#include "text.h"

#include <cbor.h>

#define TITLE  0 /* -1 (RFC 9290 §2.1) */
#define DETAIL 1 /* -2 */

static const cbor_item_t *text_of(const cbor_item_t *map, uint64_t negative)
{
	const struct cbor_pair *pair = cbor_map_handle(map);

	for (size_t i = 0; i < cbor_map_size(map); i++)
		if (cbor_isa_negint(pair[i].key) && cbor_get_int(pair[i].key) == negative &&
		    cbor_isa_string(pair[i].value) && cbor_string_is_definite(pair[i].value))
			return pair[i].value;
	return NULL;
}

static void print_text(FILE *out, const cbor_item_t *item)
{
	text_print(out, cbor_string_handle(item), cbor_string_length(item), true);
}

bool pretty_problem(FILE *out, const uint8_t *bytes, size_t len)
{
	struct cbor_load_result result;
	cbor_item_t *map = cbor_load(bytes, len, &result);
	bool whole = map && cbor_isa_map(map) && result.read == len;
	const cbor_item_t *title = whole ? text_of(map, TITLE) : NULL,
			  *detail = whole ? text_of(map, DETAIL) : NULL;

	if (title || detail) {
		fputs("  ", out);
		if (title)
			print_text(out, title);
		if (title && detail)
			fputs(": ", out);
		if (detail)
			print_text(out, detail);
		fputc('\n', out);
	}
	if (map)
		cbor_decref(&map);
	return title || detail;
}
