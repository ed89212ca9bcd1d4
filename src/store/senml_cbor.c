/* SenML in CBOR (RFC 8428 §6). libcbor's streaming decoder gives one item at a time; nothing is allocated for what
 * a head only claims to be there.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "senml.h"

#include <cbor.h>

#include <math.h>
#include <string.h>

enum token_kind {
	TOKEN_UINT,
	TOKEN_NINT,
	TOKEN_BYTES,
	TOKEN_TEXT,
	TOKEN_CHUNKS, /* bytes or text of indefinite length */
	TOKEN_ARRAY,
	TOKEN_MAP,
	TOKEN_TAG,
	TOKEN_FLOAT,
	TOKEN_BOOL,
	TOKEN_OTHER, /* null, undefined */
	TOKEN_BREAK
};

#define INDEFINITE UINT64_MAX
#define DEPTH_MAX  16

struct token {
	enum token_kind kind;
	uint64_t n; /* UINT, NINT (-1 - n), ARRAY, MAP, TAG, BOOL */
	double number;
	const uint8_t *bytes;
};

struct stream {
	struct senml_reader *r;
	const uint8_t *at;
	size_t left;
	struct token token;
};

static void put(void *context, enum token_kind kind, uint64_t n)
{
	struct stream *s = context;

	s->token = (struct token){.kind = kind, .n = n};
}

static void put_float(void *context, double number)
{
	struct stream *s = context;

	s->token = (struct token){.kind = TOKEN_FLOAT, .number = number};
}

static void put_string(void *context, enum token_kind kind, const uint8_t *bytes, size_t len)
{
	struct stream *s = context;

	s->token = (struct token){.kind = kind, .n = len, .bytes = bytes};
}

static void on_uint8(void *c, uint8_t v)
{
	put(c, TOKEN_UINT, v);
}
static void on_uint16(void *c, uint16_t v)
{
	put(c, TOKEN_UINT, v);
}
static void on_uint32(void *c, uint32_t v)
{
	put(c, TOKEN_UINT, v);
}
static void on_uint64(void *c, uint64_t v)
{
	put(c, TOKEN_UINT, v);
}
static void on_nint8(void *c, uint8_t v)
{
	put(c, TOKEN_NINT, v);
}
static void on_nint16(void *c, uint16_t v)
{
	put(c, TOKEN_NINT, v);
}
static void on_nint32(void *c, uint32_t v)
{
	put(c, TOKEN_NINT, v);
}
static void on_nint64(void *c, uint64_t v)
{
	put(c, TOKEN_NINT, v);
}
static void on_bytes(void *c, cbor_data d, size_t n)
{
	put_string(c, TOKEN_BYTES, d, n);
}
static void on_text(void *c, cbor_data d, size_t n)
{
	put_string(c, TOKEN_TEXT, d, n);
}
static void on_chunks(void *c)
{
	put(c, TOKEN_CHUNKS, 0);
}
static void on_array(void *c, size_t n)
{
	put(c, TOKEN_ARRAY, n);
}
static void on_map(void *c, size_t n)
{
	put(c, TOKEN_MAP, n);
}
static void on_any_array(void *c)
{
	put(c, TOKEN_ARRAY, INDEFINITE);
}
static void on_any_map(void *c)
{
	put(c, TOKEN_MAP, INDEFINITE);
}
static void on_tag(void *c, uint64_t v)
{
	put(c, TOKEN_TAG, v);
}
static void on_half(void *c, float v)
{
	put_float(c, (double)v);
}
static void on_double(void *c, double v)
{
	put_float(c, v);
}
static void on_bool(void *c, bool v)
{
	put(c, TOKEN_BOOL, v);
}
static void on_other(void *c)
{
	put(c, TOKEN_OTHER, 0);
}
static void on_break(void *c)
{
	put(c, TOKEN_BREAK, 0);
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_nint8,
    .negint16 = on_nint16,
    .negint32 = on_nint32,
    .negint64 = on_nint64,
    .byte_string = on_bytes,
    .byte_string_start = on_chunks,
    .string = on_text,
    .string_start = on_chunks,
    .indef_array_start = on_any_array,
    .array_start = on_array,
    .indef_map_start = on_any_map,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_half,
    .float4 = on_half,
    .float8 = on_double,
    .undefined = on_other,
    .null = on_other,
    .boolean = on_bool,
    .indef_break = on_break,
};

/* The next item's head (and content, of strings) is in s->token afterwards. */
static int next(struct stream *s)
{
	struct cbor_decoder_result result = {0};

	s->token = (struct token){.kind = TOKEN_OTHER};
	if (s->left)
		result = cbor_stream_decode(s->at, s->left, &callbacks, s);
	if (!s->left || result.status == CBOR_DECODER_NEDATA)
		return senml_fail(s->r, SENML_NO_RECORD, "the CBOR ends too early, in record %u",
				  s->r->pack->seen);
	if (result.status != CBOR_DECODER_FINISHED || result.read == 0)
		return senml_fail(s->r, SENML_NO_RECORD, "the CBOR is not well formed, in record %u",
				  s->r->pack->seen);
	s->at += result.read;
	s->left -= result.read;
	return 0;
}

/* Pass over the rest of the item whose head is in s->token. */
static int skip(struct stream *s, unsigned depth)
{
	struct token t = s->token;
	uint64_t items = t.kind == TOKEN_MAP && t.n != INDEFINITE ? 2 * t.n : t.n;

	if (depth == DEPTH_MAX)
		return senml_fail(s->r, s->r->pack->seen, "the CBOR is nested too deeply");
	if (t.kind == TOKEN_BREAK)
		return senml_fail(s->r, s->r->pack->seen, "a break stands where a value should");
	if (t.kind == TOKEN_TAG)
		items = 1;
	else if (t.kind == TOKEN_CHUNKS)
		items = INDEFINITE;
	else if (t.kind != TOKEN_ARRAY && t.kind != TOKEN_MAP)
		return 0;
	if (t.kind == TOKEN_MAP && t.n != INDEFINITE && t.n > s->left)
		return senml_fail(s->r, s->r->pack->seen, "the CBOR ends too early");
	for (; items > 0; items -= items != INDEFINITE) {
		if (next(s) != 0)
			return -1;
		if (items == INDEFINITE && s->token.kind == TOKEN_BREAK)
			return 0;
		if (skip(s, depth + 1) != 0)
			return -1;
	}
	return 0;
}

static bool take_plain_number(const struct token *t, double *out)
{
	switch (t->kind) {
	case TOKEN_UINT: *out = (double)t->n; return true;
	case TOKEN_NINT: *out = -1.0 - (double)t->n; return true;
	case TOKEN_FLOAT: *out = t->number; return true;
	default: return false;
	}
}

/* A number, or a decimal fraction (RFC 8949 §3.4.4), which SenML allows as well. */
static int take_number(struct stream *s, double *out)
{
	double exponent, mantissa;

	if (take_plain_number(&s->token, out))
		return 0;
	if (s->token.kind != TOKEN_TAG || s->token.n != 4)
		return senml_fail(s->r, s->r->pack->seen, "a value is no number");
	if (next(s) != 0)
		return -1;
	if (s->token.kind != TOKEN_ARRAY || s->token.n != 2)
		return senml_fail(s->r, s->r->pack->seen, "a decimal fraction has not two parts");
	if (next(s) != 0)
		return -1;
	bool whole = s->token.kind != TOKEN_FLOAT && take_plain_number(&s->token, &exponent);
	if (next(s) != 0)
		return -1;
	whole = whole && s->token.kind != TOKEN_FLOAT && take_plain_number(&s->token, &mantissa);
	if (!whole)
		return senml_fail(s->r, s->r->pack->seen, "a decimal fraction is not of integers");
	*out = exponent < 0 ? mantissa / pow(10, -exponent) : mantissa * pow(10, exponent);
	return 0;
}

static int take_string(struct stream *s, enum token_kind kind, struct senml_text *out)
{
	if (s->token.kind != kind)
		return senml_fail(s->r, s->r->pack->seen,
				  kind == TOKEN_TEXT ? "a value is no text string"
						     : "a value is no byte string");
	*out = (struct senml_text){(const char *)s->token.bytes, (size_t)s->token.n};
	return 0;
}

/* Labels of RFC 8428 §6, Table 4: -6 to 8. */
static unsigned field_of(struct stream *s, bool *critical)
{
	static const uint16_t fields[] = {SENML_BS,   SENML_BV, SENML_BU, SENML_BT, SENML_BN,
					  SENML_BVER, SENML_N,  SENML_U,  SENML_V,  SENML_VS,
					  SENML_VB,   SENML_S,  SENML_T,  SENML_UT, SENML_VD};

	*critical = false;
	if (s->token.kind == TOKEN_TEXT)
		return senml_field((const char *)s->token.bytes, (size_t)s->token.n, critical);
	if (s->token.kind == TOKEN_NINT && s->token.n < 6)
		return fields[5 - s->token.n];
	return s->token.kind == TOKEN_UINT && s->token.n <= 8 ? fields[6 + s->token.n] : 0;
}

static int take_field(struct stream *s, struct senml_raw *raw, unsigned field)
{
	switch (field) {
	case SENML_BN: return take_string(s, TOKEN_TEXT, &raw->bn);
	case SENML_BU: return take_string(s, TOKEN_TEXT, &raw->bu);
	case SENML_N: return take_string(s, TOKEN_TEXT, &raw->n);
	case SENML_U: return take_string(s, TOKEN_TEXT, &raw->u);
	case SENML_VS: return take_string(s, TOKEN_TEXT, &raw->vs);
	case SENML_VD: return take_string(s, TOKEN_BYTES, &raw->vd);
	case SENML_BT: return take_number(s, &raw->bt);
	case SENML_BV: return take_number(s, &raw->bv);
	case SENML_BS: return take_number(s, &raw->bs);
	case SENML_BVER: return take_number(s, &raw->bver);
	case SENML_V: return take_number(s, &raw->v);
	case SENML_S: return take_number(s, &raw->s);
	case SENML_T: return take_number(s, &raw->t);
	case SENML_UT: return take_number(s, &raw->ut);
	case SENML_VB:
		raw->vb = s->token.n != 0;
		return s->token.kind == TOKEN_BOOL
			   ? 0
			   : senml_fail(s->r, s->r->pack->seen, "a value is no boolean");
	default: return skip(s, 0);
	}
}

/* Whether an array or map with `n` to go goes on; its next head is in s->token. */
static int has_more(struct stream *s, uint64_t *n)
{
	if (*n == 0)
		return 0;
	if (next(s) != 0)
		return -1;
	if (*n == INDEFINITE)
		return s->token.kind != TOKEN_BREAK;
	--*n;
	return 1;
}

static int take_record(struct stream *s)
{
	struct senml_raw raw = {0};
	uint64_t n = s->token.n;
	bool critical;
	int more;

	if (s->token.kind != TOKEN_MAP)
		return senml_fail(s->r, s->r->pack->seen, "this is no map");
	while ((more = has_more(s, &n)) > 0) {
		unsigned field = field_of(s, &critical);
		if (critical && !field)
			return senml_fail(s->r, s->r->pack->seen, "\"%.*s\" must be understood, and is not",
					  (int)(s->token.n < 40 ? s->token.n : 40),
					  (const char *)s->token.bytes);
		if (raw.has & field)
			return senml_fail(s->r, s->r->pack->seen, "a label occurs twice");
		raw.has |= field;
		if ((!field && skip(s, 0) != 0) || next(s) != 0 || take_field(s, &raw, field) != 0)
			return -1;
	}
	return more < 0 ? -1 : senml_take(s->r, &raw);
}

int senml_decode_cbor(struct senml_reader *r, const void *bytes, size_t len)
{
	struct stream s = {.r = r, .at = bytes, .left = len};
	int more;

	if (next(&s) != 0)
		return -1;
	if (s.token.kind != TOKEN_ARRAY)
		return senml_fail(r, SENML_NO_RECORD, "the pack is no array");
	uint64_t n = s.token.n;
	while ((more = has_more(&s, &n)) > 0)
		if (take_record(&s) != 0)
			return -1;
	if (more == 0 && s.left)
		return senml_fail(r, SENML_NO_RECORD, "something stands behind the pack");
	return more;
}
