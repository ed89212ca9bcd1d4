/* CBOR in diagnostic notation (RFC 8949 §8).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "pretty.h"
#include "text.h"

#include <cbor.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Items nested deeper are shown as "...". */
#define DEPTH_MAX 64

struct diag {
	FILE *out;
	unsigned depth;
};

static void print_item(struct diag *d, cbor_item_t *item);

static void print_string(FILE *out, const uint8_t *text, size_t len)
{
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		size_t n = text_character(text + i, len - i);
		if (text[i] == '"' || text[i] == '\\')
			fprintf(out, "\\%c", text[i]);
		else
			text_print(out, text + i, n ? n : 1, true);
		i += n ? n - 1 : 0;
	}
	fputc('"', out);
}

static void print_bytes(FILE *out, const uint8_t *bytes, size_t len)
{
	fputs("h'", out);
	text_print_hex(out, bytes, len);
	fputc('\'', out);
}

/* Strings of indefinite length are shown by their chunks: (_ h'01', h'02'). */
static void print_chunks(struct diag *d, cbor_item_t **chunk, size_t n)
{
	fputs("(_ ", d->out);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", d->out);
		print_item(d, chunk[i]);
	}
	fputc(')', d->out);
}

static void print_float(FILE *out, double value)
{
	char text[40];

	if (isnan(value)) {
		fputs("NaN", out);
	} else if (isinf(value)) {
		fputs(value < 0 ? "-Infinity" : "Infinity", out);
	} else {
		snprintf(text, sizeof(text), "%.17g", value);
		for (int digits = 1; digits < 17; digits++) {
			char shorter[40];
			snprintf(shorter, sizeof(shorter), "%.*g", digits, value);
			if (strtod(shorter, NULL) == value) {
				snprintf(text, sizeof(text), "%s", shorter);
				break;
			}
		}
		fprintf(out, "%s%s", text, text[strcspn(text, ".en")] ? "" : ".0");
	}
}

static void print_simple(FILE *out, cbor_item_t *item)
{
	if (!cbor_float_ctrl_is_ctrl(item)) {
		print_float(out, cbor_float_get_float(item));
		return;
	}
	switch (cbor_ctrl_value(item)) {
	case CBOR_CTRL_FALSE: fputs("false", out); break;
	case CBOR_CTRL_TRUE: fputs("true", out); break;
	case CBOR_CTRL_NULL: fputs("null", out); break;
	case CBOR_CTRL_UNDEF: fputs("undefined", out); break;
	default: fprintf(out, "simple(%u)", cbor_ctrl_value(item));
	}
}

static void print_array(struct diag *d, cbor_item_t *item)
{
	cbor_item_t **at = cbor_array_handle(item);

	fputs(cbor_array_is_indefinite(item) ? "[_ " : "[", d->out);
	for (size_t i = 0; i < cbor_array_size(item); i++) {
		fputs(i ? ", " : "", d->out);
		print_item(d, at[i]);
	}
	fputc(']', d->out);
}

static void print_map(struct diag *d, cbor_item_t *item)
{
	struct cbor_pair *at = cbor_map_handle(item);

	fputs(cbor_map_is_indefinite(item) ? "{_ " : "{", d->out);
	for (size_t i = 0; i < cbor_map_size(item); i++) {
		fputs(i ? ", " : "", d->out);
		print_item(d, at[i].key);
		fputs(": ", d->out);
		print_item(d, at[i].value);
	}
	fputc('}', d->out);
}

static void print_any_string(struct diag *d, cbor_item_t *item)
{
	if (cbor_isa_bytestring(item) && cbor_bytestring_is_indefinite(item))
		print_chunks(d, cbor_bytestring_chunks_handle(item), cbor_bytestring_chunk_count(item));
	else if (cbor_isa_bytestring(item))
		print_bytes(d->out, cbor_bytestring_handle(item), cbor_bytestring_length(item));
	else if (cbor_string_is_indefinite(item))
		print_chunks(d, cbor_string_chunks_handle(item), cbor_string_chunk_count(item));
	else
		print_string(d->out, cbor_string_handle(item), cbor_string_length(item));
}

static void print_negative(FILE *out, uint64_t n)
{
	/* -1 - n; the least one does not fit into 64 bits. */
	if (n == UINT64_MAX)
		fputs("-18446744073709551616", out);
	else
		fprintf(out, "-%" PRIu64, n + 1);
}

static void print_tag(struct diag *d, cbor_item_t *item)
{
	cbor_item_t *content = cbor_tag_item(item);

	fprintf(d->out, "%" PRIu64 "(", cbor_tag_value(item));
	print_item(d, content);
	fputc(')', d->out);
	cbor_decref(&content);
}

static void print_item(struct diag *d, cbor_item_t *item)
{
	if (d->depth == DEPTH_MAX) {
		fputs("...", d->out);
		return;
	}
	d->depth++;
	switch (cbor_typeof(item)) {
	case CBOR_TYPE_UINT: fprintf(d->out, "%" PRIu64, cbor_get_int(item)); break;
	case CBOR_TYPE_NEGINT: print_negative(d->out, cbor_get_int(item)); break;
	case CBOR_TYPE_BYTESTRING:
	case CBOR_TYPE_STRING: print_any_string(d, item); break;
	case CBOR_TYPE_ARRAY: print_array(d, item); break;
	case CBOR_TYPE_MAP: print_map(d, item); break;
	case CBOR_TYPE_TAG: print_tag(d, item); break;
	case CBOR_TYPE_FLOAT_CTRL: print_simple(d->out, item); break;
	}
	d->depth--;
}

/* The length of the item at the beginning, 0 when there is none. */
static size_t item_at(const uint8_t *bytes, size_t len, cbor_item_t **item)
{
	struct cbor_load_result result;

	*item = cbor_load(bytes, len, &result);
	return *item ? result.read : 0;
}

bool pretty_cbor(FILE *out, const uint8_t *bytes, size_t len, bool sequence)
{
	cbor_item_t *item;
	size_t at, n;

	/* All of it must be good before anything is printed. */
	for (at = 0; at < len; at += n) {
		n = item_at(bytes + at, len - at, &item);
		if (n == 0)
			return false;
		cbor_decref(&item);
		if (!sequence && n != len)
			return false;
	}
	for (at = 0; at < len; at += n) {
		struct diag d = {.out = out};
		n = item_at(bytes + at, len - at, &item);
		if (n == 0)
			break;
		print_item(&d, item);
		fputc('\n', out);
		cbor_decref(&item);
	}
	return len > 0;
}
