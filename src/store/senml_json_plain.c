/* SenML in JSON as nearly everybody writes it: no escapes, nothing but ASCII, no exponents, labels of RFC 8428
 * alone. It is read in one pass over the bytes, at a tenth of what a tree of JSON values costs. Whatever is not of this
 * kind, and whatever is wrong, is left to senml_json.c: the faults that a sender hears of come from there.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "senml.h"

#include <string.h>

struct cursor {
	const char *at, *end;
};

static void skip_space(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t'))
		c->at++;
}

/* A character, with space around it. */
static bool take(struct cursor *c, char wanted)
{
	skip_space(c);
	if (c->at == c->end || *c->at != wanted)
		return false;
	c->at++;
	skip_space(c);
	return true;
}

static bool take_text(struct cursor *c, struct senml_text *out)
{
	const char *begin = c->at + 1, *at = begin;

	if (c->at == c->end || *c->at != '"')
		return false;
	while (at < c->end && *at >= ' ' && *at <= '~' && *at != '"' && *at != '\\')
		at++;
	if (at == c->end || *at != '"')
		return false;
	*out = (struct senml_text){begin, (size_t)(at - begin)};
	c->at = at + 1;
	return true;
}

static bool is_digit(const struct cursor *c)
{
	return c->at < c->end && *c->at >= '0' && *c->at <= '9';
}

/* Up to 15 digits, as RFC 8259 §6 has them: both the digits and the power of ten are numbers that a double has, so that one
 * division rounds as it should. */
static bool take_number(struct cursor *c, double *out)
{
	static const double power[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
				       1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
	bool negative = c->at < c->end && *c->at == '-';
	uint64_t value = 0;
	unsigned digits = 0, decimals = 0;

	c->at += negative;
	if (!is_digit(c))
		return false;
	bool zero = *c->at == '0';
	for (; is_digit(c) && digits < 16; c->at++, digits++)
		value = value * 10 + (uint64_t)(*c->at - '0');
	if (zero && digits > 1)
		return false;
	if (c->at < c->end && *c->at == '.') {
		c->at++;
		for (; is_digit(c) && digits < 16; c->at++, digits++, decimals++)
			value = value * 10 + (uint64_t)(*c->at - '0');
		if (!decimals)
			return false;
	}
	if (digits > 15 || (c->at < c->end && (*c->at == 'e' || *c->at == 'E')))
		return false;
	*out = (double)value / power[decimals];
	*out = negative ? -*out : *out;
	return true;
}

static bool take_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->at) < len || memcmp(c->at, word, len) != 0)
		return false;
	c->at += len;
	return true;
}

static bool take_bool(struct cursor *c, bool *out)
{
	*out = take_word(c, "true");
	return *out || take_word(c, "false");
}

static bool take_value(struct cursor *c, unsigned field, struct senml_raw *raw)
{
	switch (field) {
	case SENML_BN: return take_text(c, &raw->bn);
	case SENML_BU: return take_text(c, &raw->bu);
	case SENML_N: return take_text(c, &raw->n);
	case SENML_U: return take_text(c, &raw->u);
	case SENML_VS: return take_text(c, &raw->vs);
	case SENML_BT: return take_number(c, &raw->bt);
	case SENML_BV: return take_number(c, &raw->bv);
	case SENML_BS: return take_number(c, &raw->bs);
	case SENML_BVER: return take_number(c, &raw->bver);
	case SENML_V: return take_number(c, &raw->v);
	case SENML_S: return take_number(c, &raw->s);
	case SENML_T: return take_number(c, &raw->t);
	case SENML_UT: return take_number(c, &raw->ut);
	case SENML_VB: return take_bool(c, &raw->vb);
	default: return false; /* vd, and what is none of ours */
	}
}

static bool take_record(struct cursor *c, struct senml_raw *raw)
{
	if (!take(c, '{'))
		return false;
	do {
		struct senml_text label;
		bool critical;
		if (!take_text(c, &label) || !take(c, ':'))
			return false;
		unsigned field = senml_field(label.at, label.len, &critical);
		if ((raw->has & field) || !take_value(c, field, raw))
			return false;
		raw->has |= field;
	} while (take(c, ','));
	return take(c, '}');
}

bool senml_decode_json_plain(struct senml_reader *r, const void *bytes, size_t len)
{
	struct cursor c = {bytes, (const char *)bytes + len};

	if (!take(&c, '['))
		return false;
	do {
		struct senml_raw raw = {0};
		if (!take_record(&c, &raw) || senml_take(r, &raw) != 0)
			return false;
	} while (take(&c, ','));
	return take(&c, ']') && c.at == c.end;
}
