/* See identity.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "identity.h"

#include <copse/hex.h>

#include <stdio.h>
#include <string.h>

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* Hexadecimal digits at the beginning, dashes between them left out. Writes at most 16 (more are counted); returns
 * how many there are, with the bytes that they take up in `*used`. */
static size_t digits(const char *text, size_t len, char out[17], size_t *used)
{
	size_t n = 0, i = 0;

	for (; i < len && (copse_hex_digit(text[i]) >= 0 || (text[i] == '-' && n > 0)); i++) {
		if (text[i] == '-')
			continue;
		if (n < 16)
			out[n] = lower(text[i]);
		n++;
	}
	out[n < 16 ? n : 16] = 0;
	*used = i;
	return n;
}

/* 12 or 16 digits as an EUI-64. */
static bool eui64(const char *hex, size_t n, char device[STORE_DEVICE_MAX + 1])
{
	if (n == 16) {
		memcpy(device, hex, 17);
	} else if (n == 12) { /* RFC 4291 Appendix A */
		memcpy(device, hex, 6);
		memcpy(device + 6, "fffe", 4);
		memcpy(device + 10, hex + 6, 7);
	}
	return n == 12 || n == 16;
}

static bool begins(const char *text, size_t len, const char *with)
{
	return len >= strlen(with) && strncasecmp(text, with, strlen(with)) == 0;
}

static bool is_joint(const char *text, size_t len, size_t at)
{
	return at == len || text[at] == ':' || text[at] == '/' || text[at] == '_';
}

static size_t cut_hex(const char *text, size_t len, const char *prefix, char device[STORE_DEVICE_MAX + 1])
{
	size_t begin = strlen(prefix), used;
	char hex[17];

	if (!begins(text, len, prefix))
		return 0;
	size_t n = digits(text + begin, len - begin, hex, &used);
	if (!is_joint(text, len, begin + used))
		return 0;
	if (strcmp(prefix, "urn:dev:ow:") == 0) {
		snprintf(device, STORE_DEVICE_MAX + 1, "%s%s", prefix, hex);
		return n == 16 ? begin + used : 0;
	}
	return eui64(hex, n, device) ? begin + used : 0;
}

static size_t cut_uuid(const char *text, size_t len, char device[STORE_DEVICE_MAX + 1])
{
	static const char form[] = "urn:uuid:xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t n = strlen(form);

	if (!begins(text, len, "urn:uuid:") || len < n || !is_joint(text, len, n))
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (i >= 9 && (form[i] == 'x' ? copse_hex_digit(text[i]) < 0 : text[i] != '-'))
			return 0;
		device[i] = lower(text[i]);
	}
	device[n] = 0;
	return n;
}

/* "device:" and anything up to the next colon or slash. */
static size_t cut_scheme(const char *text, size_t len, char device[STORE_DEVICE_MAX + 1])
{
	size_t n = strlen("device:");

	if (!begins(text, len, "device:"))
		return 0;
	while (n < len && text[n] != ':' && text[n] != '/')
		n++;
	if (n == strlen("device:") || n > STORE_DEVICE_MAX)
		return 0;
	memcpy(device, text, n);
	memcpy(device, "device:", strlen("device:"));
	device[n] = 0;
	return n;
}

/* Returns how many bytes of `text` are the device, 0: none of the known forms. */
static size_t cut_known(const char *text, size_t len, char device[STORE_DEVICE_MAX + 1])
{
	char hex[17];
	size_t used;

	size_t n = digits(text, len, hex, &used);
	if (n == 16 && is_joint(text, len, used) && eui64(hex, n, device))
		return used;
	n = cut_hex(text, len, "urn:dev:mac:", device);
	if (!n)
		n = cut_hex(text, len, "urn:dev:ow:", device);
	if (!n)
		n = cut_hex(text, len, "device:", device);
	if (!n)
		n = cut_uuid(text, len, device);
	return n ? n : cut_scheme(text, len, device);
}

/* The last slash, or else the last colon, of a name that has one with something on both sides; else 0. */
static size_t cut_other(const char *text, size_t len)
{
	const char *slash = memrchr(text, '/', len), *colon = memrchr(text, ':', len);
	size_t n = (size_t)((slash ? slash : colon ? colon : text) - text);

	return n;
}

int store_identity_cut(const char *text, char device[STORE_DEVICE_MAX + 1], char name[STORE_NAME_MAX + 1])
{
	size_t len = strlen(text), n;

	device[0] = 0;
	n = cut_known(text, len, device);
	if (!n) {
		n = cut_other(text, len);
		if (n > STORE_DEVICE_MAX)
			return -1;
		memcpy(device, text, n);
		device[n] = 0;
	}
	text += n;
	text += n && *text; /* the joint */
	text = *text ? text : "value";
	len = strlen(text);
	if (len > STORE_NAME_MAX)
		return -1;
	memcpy(name, text, len + 1);
	return 0;
}

int store_identity(const char *text, size_t len, char device[STORE_DEVICE_MAX + 1])
{
	char hex[17];
	size_t used, n = digits(text, len, hex, &used);

	if (len == 0 || len > STORE_DEVICE_MAX || memchr(text, 0, len))
		return -1;
	if (used == len && eui64(hex, n, device))
		return 0;
	if (cut_known(text, len, device) == len)
		return 0;
	memcpy(device, text, len);
	device[len] = 0;
	return 0;
}

bool store_identity_of_address(const uint8_t address[16], char device[STORE_DEVICE_MAX + 1])
{
	static const uint8_t link_local[8] = {0xfe, 0x80};
	const uint8_t *id = address + 8;

	if (memcmp(address, link_local, sizeof(link_local)) != 0)
		return false;
	snprintf(device, STORE_DEVICE_MAX + 1, "%02x%02x%02x%02x%02x%02x%02x%02x", id[0] ^ 2, id[1], id[2],
		 id[3], id[4], id[5], id[6], id[7]);
	return true;
}

bool store_identity_is_eui64(const char *device)
{
	return strlen(device) == STORE_EUI64_LEN && strspn(device, "0123456789abcdef") == STORE_EUI64_LEN;
}
