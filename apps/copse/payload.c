/* See payload.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "payload.h"
#include "report.h"

#include <copse/block.h>
#include <copse/mem.h>

#include <errno.h>
#include <string.h>

bool buffer_reserve(struct buffer *b, size_t cap)
{
	size_t wanted = b->cap ? b->cap : 1024;

	if (cap <= b->cap)
		return true;
	while (wanted < cap)
		wanted *= 2;
	uint8_t *bytes = copse_mem_new(1, wanted);
	if (!bytes)
		return false;
	if (b->len)
		memcpy(bytes, b->bytes, b->len);
	copse_mem_free(b->bytes);
	b->bytes = bytes;
	b->cap = wanted;
	return true;
}

bool buffer_append(struct buffer *b, const void *bytes, size_t len)
{
	if (!buffer_reserve(b, b->len + len))
		return false;
	if (len)
		memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
	return true;
}

void buffer_free(struct buffer *b)
{
	copse_mem_free(b->bytes);
	*b = (struct buffer){.bytes = NULL};
}

static int read_all(struct buffer *b, FILE *file, const char *name)
{
	uint8_t piece[16384];
	size_t n;

	while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
		if (!buffer_append(b, piece, n))
			return report_error(EXIT_OTHER, "%s: out of memory", name);
		if (b->len > COPSE_BLOCK_BODY_MAX)
			return report_error(EXIT_OTHER, "%s is larger than a body can be: 1 GiB", name);
	}
	return ferror(file) ? report_error(EXIT_OTHER, "cannot read %s: %s", name, strerror(errno)) : 0;
}

int payload_read_file(struct buffer *b, const char *path)
{
	if (strcmp(path, "-") == 0)
		return read_all(b, stdin, "standard input");
	FILE *file = fopen(path, "re");
	if (!file)
		return report_error(EXIT_OTHER, "cannot read %s: %s", path, strerror(errno));
	int code = read_all(b, file, path);
	fclose(file);
	return code;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* coap-client's -e: %XX is a byte. */
static bool append_decoded(struct buffer *b, const char *text)
{
	for (; *text; text++) {
		char c = *text;
		if (c == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0) {
			c = (char)(hex_digit(text[1]) << 4 | hex_digit(text[2]));
			text += 2;
		}
		if (!buffer_append(b, &c, 1))
			return false;
	}
	return true;
}

int payload_from_args(struct buffer *b, const struct args *args, const char *operand, bool *given)
{
	const char *text = args_value(args, ARG_PAYLOAD), *path = args_value(args, ARG_FILE);
	bool ok = true;

	*given = text || path || operand;
	if ((text != NULL) + (path != NULL) + (operand != NULL) > 1)
		return report_error(EXIT_OTHER, "the payload is given more than once");
	if (operand && operand[0] == '@')
		path = operand + 1;
	else if (operand)
		text = operand;
	if (path)
		return payload_read_file(b, path);
	if (text)
		ok = args->alias ? append_decoded(b, text) : buffer_append(b, text, strlen(text));
	return ok ? 0 : report_error(EXIT_OTHER, "out of memory");
}

int payload_secret(struct buffer *b, const char *value)
{
	int code = 0;

	if (value[0] == '@')
		code = payload_read_file(b, value + 1);
	else if (!buffer_append(b, value, strlen(value)))
		code = report_error(EXIT_OTHER, "out of memory");
	while (b->len && (b->bytes[b->len - 1] == '\n' || b->bytes[b->len - 1] == '\r'))
		b->len--;
	if (!code && !buffer_reserve(b, b->len + 1))
		code = report_error(EXIT_OTHER, "out of memory");
	if (!code)
		b->bytes[b->len] = '\0';
	return code;
}
