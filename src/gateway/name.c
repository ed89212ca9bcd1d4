/* Names of devices, and prefixes of addresses.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config.h"

#include <copse/error.h>

#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* Lower case; 0 for a character that no host name has. */
static char host_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return is_digit(c) || (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == '_' ? c : 0;
}

/* Remove the dashes of what is a MAC ID but for them. */
static size_t strip_dashes(char *name, size_t len)
{
	char digits[16];
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (name[i] == '-')
			continue;
		if (!is_hex(name[i]) || n == sizeof(digits))
			return len;
		digits[n++] = name[i];
	}
	if (n != 12 && n != 16)
		return len;
	memcpy(name, digits, n);
	return n;
}

int gw_name_normalize(const char *text, size_t len, char *out)
{
	if (len == 0 || len > GW_NAME_MAX)
		return COPSE_ERR_ARGUMENT;
	for (size_t i = 0; i < len; i++)
		if (!(out[i] = host_char(text[i])))
			return COPSE_ERR_ARGUMENT;
	len = strip_dashes(out, len);
	out[len] = 0;
	return (int)len;
}

static void mapped(const struct copse_address *address, uint8_t out[16])
{
	static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};

	if (address->sa.sa_family == AF_INET6) {
		memcpy(out, &address->in6.sin6_addr, 16);
	} else {
		memcpy(out, v4, 12);
		memcpy(out + 12, &address->in.sin_addr, 4);
	}
}

static void mask(uint8_t bytes[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > 8 * i ? bits - 8 * i : 0;
		if (keep < 8)
			bytes[i] &= (uint8_t)(0xff00u >> keep);
	}
}

int gw_prefix_parse(const char *text, struct gw_prefix *out)
{
	const char *slash = strchr(text, '/');
	char host[COPSE_ADDRESS_TEXT];
	struct copse_address address;
	struct gw_prefix masked;

	if (!slash || (size_t)(slash - text) >= sizeof(host) || !is_digit(slash[1]) || strlen(slash) > 4)
		return COPSE_ERR_ARGUMENT;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = 0;
	char *end;
	unsigned long bits = strtoul(slash + 1, &end, 10);
	if (*end || copse_address_parse(host, 0, &address) != 0 || copse_address_port(&address) != 0)
		return COPSE_ERR_ARGUMENT;
	if (address.sa.sa_family == AF_INET)
		bits += 96;
	if (bits > 128)
		return COPSE_ERR_ARGUMENT;
	mapped(&address, out->bytes);
	out->bits = (uint8_t)bits;
	masked = *out;
	mask(masked.bytes, out->bits);
	return memcmp(masked.bytes, out->bytes, 16) == 0 ? 0 : COPSE_ERR_ARGUMENT;
}

bool gw_prefix_has(const struct gw_prefix *prefix, const struct copse_address *address)
{
	uint8_t bytes[16];

	mapped(address, bytes);
	mask(bytes, prefix->bits);
	return memcmp(bytes, prefix->bytes, 16) == 0;
}
