/* Codes of CoAP messages (RFC 7252 §3, §12.1), from registry/codes.def.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CODE_H
#define COPSE_CODE_H

#include <copse/types.h>

/* The byte of a code written c.dd. */
#define COPSE_CODE(class, detail) (((class) << 5) | (detail))

enum copse_code {
#define CODE(class, detail, name, text, rfc) COPSE_CODE_##name = COPSE_CODE(class, detail),
#include <copse/registry/codes.def>
#undef CODE
};

static inline unsigned copse_code_class(uint8_t code)
{
	return code >> 5;
}

static inline unsigned copse_code_detail(uint8_t code)
{
	return code & 0x1f;
}

/* 0.01 to 0.31 */
static inline bool copse_code_is_request(uint8_t code)
{
	return code != 0 && code < 0x20;
}

/* 2.00 to 5.31: class 3 is a response too, if one that nobody has defined (RFC 7252 §5.2) */
static inline bool copse_code_is_response(uint8_t code)
{
	return code >= 0x40 && code < 0xc0;
}

static inline bool copse_code_is_success(uint8_t code)
{
	return copse_code_class(code) == 2;
}

/* 4.xx and 5.xx */
static inline bool copse_code_is_error(uint8_t code)
{
	return copse_code_class(code) == 4 || copse_code_class(code) == 5;
}

/* 7.xx: signaling, over reliable transports alone (RFC 8323 §5) */
static inline bool copse_code_is_signal(uint8_t code)
{
	return copse_code_class(code) == 7;
}

/* Classes 1 and 6: a message format error everywhere; class 7 over UDP likewise (RFC 7252 §4.2, §12.1). */
static inline bool copse_code_is_reserved(uint8_t code)
{
	return copse_code_class(code) == 1 || copse_code_class(code) == 6;
}

/* Safe methods of RFC 7252 §5.1 and RFC 8132 §2.1: they change nothing. */
static inline bool copse_code_is_safe(uint8_t code)
{
	return code == COPSE_CODE_GET || code == COPSE_CODE_FETCH;
}

/* The rest is for people (code_text.c), and absent from a microcontroller's build. */

#define COPSE_CODE_TEXT_LEN 40 /* room for any text of the printers below */

/* The name as "Content" or "GET"; NULL for a code without a row. Static storage. */
const char *copse_code_name(uint8_t code);

/* Print "2.05", and "2.05 Content" or "0.01 GET" (without a row: the number alone).
 * `buf` gets a terminated string, cut when `cap` (at least 1) is too small. Returns `buf`. */
char *copse_code_print(uint8_t code, char *buf, size_t cap);
char *copse_code_describe(uint8_t code, char *buf, size_t cap);

/* The code whose name is `text` without regard to case ("get", "iPATCH", "not found"), or that it spells as a
 * number
 * ("2.05", "4.4" is 4.04). Returns 0 to 255, or COPSE_ERR_ARGUMENT. */
int copse_code_from_text(const char *text, size_t len);

#endif
