/* base64url (RFC 4648 §5), as SenML writes data.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "senml.h"

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-' || c == '+')
		return 62;
	return c == '_' || c == '/' ? 63 : -1;
}

int senml_base64_decode(const char *text, size_t len, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned n = 0;
	int written = 0;

	while (len > 0 && text[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++) {
		int value = value_of(text[i]);
		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		n += 6;
		if (n >= 8) {
			n -= 8;
			out[written++] = (uint8_t)(bits >> n);
		}
	}
	return n < 6 && (bits & ((1u << n) - 1)) == 0 ? written : -1; /* nothing may be left over */
}

void senml_base64_encode(struct store_buffer *out, const uint8_t *bytes, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t bits = (uint32_t)bytes[i] << 16 | (n > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
				(n > 2 ? bytes[i + 2] : 0u);
		char text[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63],
				alphabet[bits & 63]};
		store_buffer_put(out, text, n + 1);
	}
}
