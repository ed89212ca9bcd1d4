/* Resolving records (RFC 8428 §4), the same for every representation.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "senml.h"

#include <copse/format.h>
#include <copse/mem.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BLOCK  4096
#define VALUES (SENML_V | SENML_VS | SENML_VB | SENML_VD)
#define OWN    (SENML_N | SENML_U | SENML_S | SENML_T | SENML_UT | VALUES)

/* Times below this are relative to now (RFC 8428 §4.5.3). */
#define RELATIVE_BELOW 268435456.0

struct senml_block {
	struct senml_block *next;
	size_t used, cap;
	max_align_t at[];
};

int senml_fail(struct senml_reader *r, uint32_t record, const char *format, ...)
{
	va_list args;

	r->fault->record = record;
	va_start(args, format);
	vsnprintf(r->fault->text, sizeof(r->fault->text), format, args);
	va_end(args);
	return -1;
}

void *senml_room(struct senml_reader *r, size_t len)
{
	struct senml_block *b = r->pack->blocks;

	if (len <= sizeof(r->pack->room) - r->pack->used) {
		r->pack->used += len;
		return r->pack->room + r->pack->used - len;
	}
	len = (len + 15) / 16 * 16;
	if (!b || b->cap - b->used < len) {
		size_t cap = len > BLOCK ? len : BLOCK;
		b = copse_mem_new(1, sizeof(*b) + cap);
		if (!b) {
			senml_fail(r, SENML_NO_RECORD, "out of memory");
			return NULL;
		}
		b->cap = cap;
		b->next = r->pack->blocks;
		r->pack->blocks = b;
	}
	b->used += len;
	return (uint8_t *)b->at + b->used - len;
}

/* Its memory need not be cleared. */
static void begin(struct senml_pack *pack)
{
	pack->record = NULL;
	pack->blocks = NULL;
	pack->n = pack->cap = pack->seen = 0;
	pack->used = 0;
}

void senml_pack_free(struct senml_pack *pack)
{
	for (struct senml_block *b = pack->blocks, *next; b; b = next) {
		next = b->next;
		copse_mem_free(b);
	}
	if (pack->record != &pack->one)
		copse_mem_free(pack->record);
	begin(pack);
}

unsigned senml_field(const char *label, size_t len, bool *critical)
{
	static const struct {
		char label[5];
		uint8_t len;
		uint16_t field;
	} rows[] = {{"n", 1, SENML_N},   {"v", 1, SENML_V},   {"u", 1, SENML_U},      {"bn", 2, SENML_BN},
		    {"t", 1, SENML_T},   {"bt", 2, SENML_BT}, {"bu", 2, SENML_BU},    {"bv", 2, SENML_BV},
		    {"bs", 2, SENML_BS}, {"vs", 2, SENML_VS}, {"vb", 2, SENML_VB},    {"s", 1, SENML_S},
		    {"ut", 2, SENML_UT}, {"vd", 2, SENML_VD}, {"bver", 4, SENML_BVER}};

	*critical = len > 0 && label[len - 1] == '_';
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].len == len && rows[i].label[0] == label[0] &&
		    memcmp(rows[i].label, label, len) == 0)
			return rows[i].field;
	return 0;
}

/* --- a record --- */

/* RFC 3629 §4: neither overlong forms nor surrogates nor anything beyond U+10FFFF. */
static bool is_utf8(const char *text, size_t len)
{
	const uint8_t *at = (const uint8_t *)text;

	for (size_t i = 0; i < len;) {
		size_t n = at[i] < 0x80   ? 1
			   : at[i] < 0xc2 ? 0
			   : at[i] < 0xe0 ? 2
			   : at[i] < 0xf0 ? 3
			   : at[i] < 0xf5 ? 4
					  : 0;
		if (n == 0 || n > len - i)
			return false;
		for (size_t j = 1; j < n; j++)
			if ((at[i + j] & 0xc0) != 0x80)
				return false;
		if ((at[i] == 0xe0 && at[i + 1] < 0xa0) || (at[i] == 0xed && at[i + 1] >= 0xa0) ||
		    (at[i] == 0xf0 && at[i + 1] < 0x90) || (at[i] == 0xf4 && at[i + 1] >= 0x90))
			return false;
		i += n;
	}
	return true;
}

static char *copy_text(struct senml_reader *r, struct senml_text first, struct senml_text second)
{
	char *copy = senml_room(r, first.len + second.len + 1);

	if (copy) {
		if (first.len)
			memcpy(copy, first.at, first.len);
		if (second.len)
			memcpy(copy + first.len, second.at, second.len);
		copy[first.len + second.len] = 0;
	}
	return copy;
}

/* RFC 8428 §4.5.1 */
bool senml_is_name(const char *name)
{
	/* by character code: digits, letters; and -:./_ where a name may not begin */
	static const uint64_t alphanumeric[2] = {UINT64_C(0x03ff) << 48, UINT64_C(0x07fffffe07fffffe)};
	static const uint64_t any[2] = {UINT64_C(0x07ff) << 48 | UINT64_C(7) << 45,
					UINT64_C(0x07fffffe87fffffe)};
	const uint64_t *set = alphanumeric;

	for (const uint8_t *at = (const uint8_t *)name; *at; at++, set = any)
		if (*at > 127 || !(set[*at >> 6] >> (*at & 63) & 1))
			return false;
	return true;
}

static int take_base(struct senml_reader *r, const struct senml_raw *raw)
{
	uint32_t i = r->pack->seen;

	if ((raw->has & SENML_BN) && raw->bn.len > SENML_NAME_MAX)
		return senml_fail(r, i, "the base name is longer than %d bytes", SENML_NAME_MAX);
	if ((raw->has & SENML_BU) && raw->bu.len > STORE_UNIT_MAX)
		return senml_fail(r, i, "the base unit is longer than %d bytes", STORE_UNIT_MAX);
	if (raw->has & SENML_BVER) {
		if (!(raw->bver >= 1 && raw->bver <= SENML_VERSION) || raw->bver != floor(raw->bver))
			return senml_fail(r, i, "the base version is not 1 to %d", SENML_VERSION);
		if (r->has_version ? r->version != (uint32_t)raw->bver : i > 0 && raw->bver != SENML_VERSION)
			return senml_fail(r, i, "the base version differs from that of records before");
		r->version = (uint32_t)raw->bver;
		r->has_version = true;
	}
	if (raw->has & SENML_BN) {
		if (raw->bn.len)
			memcpy(r->bn, raw->bn.at, raw->bn.len);
		r->bn[raw->bn.len] = 0;
	}
	if (raw->has & SENML_BU) {
		if (raw->bu.len)
			memcpy(r->bu, raw->bu.at, raw->bu.len);
		r->bu[raw->bu.len] = 0;
	}
	r->bt = raw->has & SENML_BT ? raw->bt : r->bt;
	r->bv = raw->has & SENML_BV ? raw->bv : r->bv;
	r->bs = raw->has & SENML_BS ? raw->bs : r->bs;
	r->has_bs = r->has_bs || (raw->has & SENML_BS);
	return 0;
}

static int take_time(struct senml_reader *r, const struct senml_raw *raw, struct senml_record *out)
{
	double time = r->bt + (raw->has & SENML_T ? raw->t : 0);

	out->has_time = time != 0;
	if (!isfinite(time) || fabs(time) > 253402300799.0) /* the year 9999 */
		return senml_fail(r, r->pack->seen, "the time is beyond the year 9999");
	if (time < RELATIVE_BELOW)
		out->time = r->now + (int64_t)llround(time * 1e6);
	else
		out->time = (int64_t)llround(time * 1e6);
	return 0;
}

static int take_data(struct senml_reader *r, const struct senml_raw *raw, struct senml_record *out)
{
	struct senml_text text = raw->has & SENML_VS ? raw->vs : raw->vd;

	if (text.len > STORE_BYTES_MAX)
		return senml_fail(r, r->pack->seen, "the value is longer than %d bytes", STORE_BYTES_MAX);
	if ((raw->has & SENML_VS) && !is_utf8(text.at, text.len))
		return senml_fail(r, r->pack->seen, "a text is not in UTF-8");
	if ((raw->has & SENML_VS) && text.len && memchr(text.at, 0, text.len))
		return senml_fail(r, r->pack->seen, "the string has a NUL in it");
	out->kind = raw->has & SENML_VS ? STORE_TEXT : STORE_DATA;
	out->bytes = (const uint8_t *)copy_text(r, text, (struct senml_text){0});
	out->len = (uint32_t)text.len;
	return out->bytes ? 0 : -1;
}

static int take_value(struct senml_reader *r, const struct senml_raw *raw, struct senml_record *out)
{
	unsigned values = raw->has & VALUES;
	uint32_t i = r->pack->seen;

	out->has_sum = (raw->has & SENML_S) || r->has_bs;
	out->sum = r->bs + (raw->has & SENML_S ? raw->s : 0);
	if (values & (values - 1))
		return senml_fail(r, i, "the record has more than one value");
	if (!values && !out->has_sum)
		return senml_fail(r, i, "the record has neither a value nor a sum");
	if (values & (SENML_VS | SENML_VD)) {
		if (take_data(r, raw, out) != 0)
			return -1;
	} else if (values & SENML_VB) {
		out->kind = STORE_BOOL;
		out->number = raw->vb;
	} else if (values & SENML_V) {
		out->kind = STORE_NUMBER;
		out->number = r->bv + raw->v;
	}
	if (!isfinite(out->number) || !isfinite(out->sum))
		return senml_fail(r, i, "the value is not finite");
	return 0;
}

static int take_name(struct senml_reader *r, const struct senml_raw *raw, struct senml_record *out)
{
	struct senml_text bn = {r->bn, strlen(r->bn)}, bu = {r->bu, strlen(r->bu)}, none = {0};
	uint32_t i = r->pack->seen;

	if (bn.len + raw->n.len > SENML_NAME_MAX)
		return senml_fail(r, i, "the name is longer than %d bytes", SENML_NAME_MAX);
	if (raw->u.len > STORE_UNIT_MAX)
		return senml_fail(r, i, "the unit is longer than %d bytes", STORE_UNIT_MAX);
	if ((raw->n.len && memchr(raw->n.at, 0, raw->n.len)) ||
	    (raw->u.len && memchr(raw->u.at, 0, raw->u.len)))
		return senml_fail(r, i, "a text has a NUL in it");
	out->name = copy_text(r, bn, raw->has & SENML_N ? raw->n : none);
	out->unit = copy_text(r, raw->has & SENML_U ? raw->u : bu, none);
	if (!out->name || !out->unit)
		return -1;
	if (!is_utf8(out->unit, strlen(out->unit)))
		return senml_fail(r, i, "a text is not in UTF-8");
	if (!senml_is_name(out->name))
		return senml_fail(
		    r, i,
		    "the name has other characters than letters, digits and -:./_, or begins with these");
	return 0;
}

static struct senml_record *next_record(struct senml_reader *r)
{
	struct senml_pack *p = r->pack;

	if (p->n == 0) {
		p->record = &p->one;
		p->cap = 1;
	} else if (p->n == p->cap) {
		uint32_t cap = p->cap < 8 ? 8 : p->cap * 2;
		struct senml_record *record = copse_mem_new(cap, sizeof(*record));
		if (!record) {
			senml_fail(r, SENML_NO_RECORD, "out of memory");
			return NULL;
		}
		memcpy(record, p->record, p->n * sizeof(*record));
		if (p->record != &p->one)
			copse_mem_free(p->record);
		p->record = record;
		p->cap = cap;
	}
	p->record[p->n] = (struct senml_record){0};
	return &p->record[p->n];
}

int senml_take(struct senml_reader *r, const struct senml_raw *raw)
{
	struct senml_record *out;

	if (r->pack->seen == SENML_RECORDS_MAX)
		return senml_fail(r, SENML_NO_RECORD, "the pack has more than %d records", SENML_RECORDS_MAX);
	if (take_base(r, raw) != 0)
		return -1;
	if (raw->has & OWN) {
		out = next_record(r);
		if (!out || take_name(r, raw, out) != 0 || take_time(r, raw, out) != 0 ||
		    take_value(r, raw, out) != 0)
			return -1;
		out->has_update = (raw->has & SENML_UT) != 0;
		out->update = raw->ut;
		r->pack->n++;
	} else if (raw->has == 0) {
		return senml_fail(r, r->pack->seen, "the record is empty");
	} /* else: one that only sets base fields, as in RFC 8428 §5.1.7 */
	r->pack->seen++;
	return 0;
}

/* --- a pack --- */

bool senml_is_format(uint32_t format)
{
	switch (format) {
	case COPSE_FORMAT_SENML_JSON:
	case COPSE_FORMAT_SENSML_JSON:
	case COPSE_FORMAT_SENML_CBOR:
	case COPSE_FORMAT_SENSML_CBOR:
	case COPSE_FORMAT_SENML_XML:
	case COPSE_FORMAT_SENSML_XML: return true;
	default: return false;
	}
}

static int decode(struct senml_reader *r, uint32_t format, const void *bytes, size_t len)
{
	switch (format) {
	case COPSE_FORMAT_SENML_JSON:
	case COPSE_FORMAT_SENSML_JSON: return senml_decode_json(r, bytes, len);
	case COPSE_FORMAT_SENML_CBOR:
	case COPSE_FORMAT_SENSML_CBOR: return senml_decode_cbor(r, bytes, len);
	case COPSE_FORMAT_SENML_XML:
	case COPSE_FORMAT_SENSML_XML: return senml_decode_xml(r, bytes, len);
	default: return senml_fail(r, SENML_NO_RECORD, "the Content-Format is none of SenML");
	}
}

int senml_decode(uint32_t format, const void *bytes, size_t len, int64_t now, struct senml_pack *out,
		 struct senml_fault *fault)
{
	struct senml_reader r = {.pack = out, .fault = fault, .now = now};
	int err;

	begin(out);
	*fault = (struct senml_fault){.record = SENML_NO_RECORD};
	if (len > SENML_BYTES_MAX)
		err = senml_fail(&r, SENML_NO_RECORD, "the pack is longer than %d bytes", SENML_BYTES_MAX);
	else
		err = decode(&r, format, bytes, len);
	if (err == 0 && out->n == 0)
		err = senml_fail(&r, SENML_NO_RECORD, "the pack has no record with a value");
	if (err != 0)
		senml_pack_free(out);
	return err;
}
