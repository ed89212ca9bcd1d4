/* SenML in XML (RFC 8428 §7). Document types are refused: they are the way to entities that grow and to files of ours.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "senml.h"

#include <expat.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACE "urn:ietf:params:xml:ns:senml"

struct document {
	struct senml_reader *r;
	XML_Parser parser;
	unsigned depth;
	int err;
};

#define SPACE " \t\r\n"

/* Numbers and booleans may have space around them (XML Schema part 2, §4.3.6: it is collapsed). */
static const char *skip_space(const char *text)
{
	return text + strspn(text, SPACE);
}

static int take_number(struct senml_reader *r, const char *label, const char *value, double *out)
{
	const char *begin = skip_space(value);
	char *end;

	*out = strtod(begin, &end);
	if (end == begin || *skip_space(end) || !isfinite(*out) ||
	    memchr(begin, 'x', (size_t)(end - begin)) || memchr(begin, 'X', (size_t)(end - begin)))
		return senml_fail(r, r->pack->seen, "%s is no number", label);
	return 0;
}

static int take_bool(struct senml_reader *r, const char *value, bool *out)
{
	static const char *const words[] = {"false", "0", "true", "1"}; /* xsd:boolean */
	const char *begin = skip_space(value);
	size_t len = strcspn(begin, SPACE);

	for (int i = 0; i < 4; i++) {
		*out = i >= 2;
		if (strlen(words[i]) == len && memcmp(words[i], begin, len) == 0 && !*skip_space(begin + len))
			return 0;
	}
	return senml_fail(r, r->pack->seen, "vb is no boolean");
}

static int take_data(struct senml_reader *r, const char *value, struct senml_text *out)
{
	uint8_t *bytes = senml_room(r, strlen(value) + 1);
	int len;

	if (!bytes)
		return -1;
	len = senml_base64_decode(value, strlen(value), bytes);
	if (len < 0)
		return senml_fail(r, r->pack->seen, "vd is not in base64url");
	*out = (struct senml_text){(const char *)bytes, (size_t)len};
	return 0;
}

static int take_field(struct senml_reader *r, struct senml_raw *raw, const char *label, const char *value)
{
	bool critical;
	unsigned field = senml_field(label, strlen(label), &critical);
	const struct senml_text text = {value, strlen(value)};

	raw->has |= field;
	switch (field) {
	case SENML_BN: raw->bn = text; return 0;
	case SENML_BU: raw->bu = text; return 0;
	case SENML_N: raw->n = text; return 0;
	case SENML_U: raw->u = text; return 0;
	case SENML_VS: raw->vs = text; return 0;
	case SENML_VD: return take_data(r, value, &raw->vd);
	case SENML_VB: return take_bool(r, value, &raw->vb);
	case SENML_BT: return take_number(r, label, value, &raw->bt);
	case SENML_BV: return take_number(r, label, value, &raw->bv);
	case SENML_BS: return take_number(r, label, value, &raw->bs);
	case SENML_BVER: return take_number(r, label, value, &raw->bver);
	case SENML_V: return take_number(r, label, value, &raw->v);
	case SENML_S: return take_number(r, label, value, &raw->s);
	case SENML_T: return take_number(r, label, value, &raw->t);
	case SENML_UT: return take_number(r, label, value, &raw->ut);
	default:
		return critical ? senml_fail(r, r->pack->seen, "%.40s must be understood, and is not", label)
				: 0;
	}
}

static int take_record(struct senml_reader *r, const char **attribute)
{
	struct senml_raw raw = {0};

	for (; *attribute; attribute += 2)
		if (take_field(r, &raw, attribute[0], attribute[1]) != 0)
			return -1;
	return senml_take(r, &raw);
}

static void XMLCALL start(void *user, const char *name, const char **attribute)
{
	struct document *d = user;
	unsigned depth = d->depth++;

	if (d->err)
		return;
	if (depth == 0 && strcmp(name, NAMESPACE "|sensml") != 0)
		d->err = senml_fail(d->r, SENML_NO_RECORD, "the root is not sensml of " NAMESPACE);
	else if (depth == 1 && strcmp(name, NAMESPACE "|senml") == 0)
		d->err = take_record(d->r, attribute);
	else if (depth > 16)
		d->err = senml_fail(d->r, d->r->pack->seen, "the XML is nested too deeply");
	if (d->err)
		XML_StopParser(d->parser, XML_FALSE);
}

static void XMLCALL end(void *user, const char *name)
{
	struct document *d = user;

	(void)name;
	d->depth--;
}

static void XMLCALL doctype(void *user, const char *name, const char *system, const char *public,
			    int internal)
{
	struct document *d = user;

	(void)name, (void)system, (void)public, (void)internal;
	d->err = senml_fail(d->r, SENML_NO_RECORD, "a document type is not allowed");
	XML_StopParser(d->parser, XML_FALSE);
}

int senml_decode_xml(struct senml_reader *r, const void *bytes, size_t len)
{
	struct document d = {.r = r, .parser = XML_ParserCreateNS(NULL, '|')};

	if (!d.parser)
		return senml_fail(r, SENML_NO_RECORD, "out of memory");
	XML_SetUserData(d.parser, &d);
	XML_SetElementHandler(d.parser, start, end);
	XML_SetStartDoctypeDeclHandler(d.parser, doctype);
	if (XML_Parse(d.parser, bytes, (int)len, XML_TRUE) != XML_STATUS_OK && !d.err)
		d.err = senml_fail(r, SENML_NO_RECORD, "line %lu, column %lu: %.80s",
				   XML_GetCurrentLineNumber(d.parser), XML_GetCurrentColumnNumber(d.parser),
				   XML_ErrorString(XML_GetErrorCode(d.parser)));
	XML_ParserFree(d.parser);
	return d.err;
}
