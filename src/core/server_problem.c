/* Problem details (RFC 9290): a CBOR map that says what went wrong, for programs and for people.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"

#include <string.h>

#define CBOR_NEGATIVE 0x20u /* major types, RFC 8949 §3.1 */
#define CBOR_TEXT     0x60u
#define CBOR_MAP      0xa0u

#define KEY_TITLE  (-1) /* RFC 9290 §3.1 */
#define KEY_DETAIL (-2)

/* An entry of the map, a text under a negative key; returns the bytes written, 0 when they do not fit. */
static size_t put_entry(uint8_t *out, size_t cap, int key, const char *text)
{
	const size_t len = srv_text_len(text);
	const size_t head = len < 24 ? 2 : len < 256 ? 3 : 4;
	if (len > UINT16_MAX || head + len > cap)
		return 0;
	uint8_t *p = out;
	*p++ = (uint8_t)(CBOR_NEGATIVE | (unsigned)(-1 - key));
	if (len < 24) {
		*p++ = (uint8_t)(CBOR_TEXT | len);
	} else if (len < 256) {
		*p++ = CBOR_TEXT | 24;
		*p++ = (uint8_t)len;
	} else {
		*p++ = CBOR_TEXT | 25;
		*p++ = (uint8_t)(len >> 8);
		*p++ = (uint8_t)len;
	}
	memcpy(p, text, len);
	return head + len;
}

void copse_response_problem(struct copse_response *rs, uint8_t code, const char *title, const char *detail)
{
	size_t cap, len = 1;
	srv_response_clear(rs);
	rs->code = code;
	uint8_t *out = copse_response_room(rs, &cap);
	if (cap < 1) {
		copse_response_commit(rs, COPSE_FORMAT_PROBLEM_DETAILS, 1); /* does not fit: 5.00 */
		return;
	}
	unsigned entries = 0;
	const char *texts[] = {title, detail};
	const int keys[] = {KEY_TITLE, KEY_DETAIL};
	for (unsigned i = 0; i < 2; i++) {
		const size_t n = texts[i] ? put_entry(out + len, cap - len, keys[i], texts[i]) : 0;
		len += n;
		entries +=
		    n >
		    0; /* one that does not fit is left out: the code still says what class of problem it is */
	}
	out[0] = (uint8_t)(CBOR_MAP | entries);
	copse_response_commit(rs, COPSE_FORMAT_PROBLEM_DETAILS, len);
}
