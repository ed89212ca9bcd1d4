/* Writing SenML (RFC 8428 §5, §6, §7). Each device has its base name once, each record its own time: so that packs
 * can be streamed and cut.
 *
 * The base name is made so that store_identity_cut finds the same device and name again, where the name has no
 * slash: an EUI-64 becomes a URN; behind a URN and "device:" stands a colon, behind anything else a slash.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "identity.h"
#include "senml.h"

#include <copse/format.h>

#include <cbor.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define BN_LEN (STORE_DEVICE_MAX + 16)

static void base_name(const char *device, char out[BN_LEN])
{
	bool eui64 = store_identity_is_eui64(device);

	snprintf(out, BN_LEN, "%s%s%s", eui64 ? "urn:dev:mac:" : "", device,
		 eui64 || strncmp(device, "urn:", 4) == 0 || strncmp(device, "device:", 7) == 0 ? ":" : "/");
}

/* Seconds with at most six decimals, without rounding. */
static void put_time(struct store_buffer *out, int64_t time)
{
	store_buffer_decimal(out, time < 0, time < 0 ? 0 - (uint64_t)time : (uint64_t)time, 6);
}

/* --- JSON --- */

static void put_json_text(struct store_buffer *out, const char *text, size_t len)
{
	size_t begin = 0;

	store_buffer_text(out, "\"");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		store_buffer_put(out, text + begin, i - begin);
		begin = i + 1;
		if (c >= 0x20)
			store_buffer_format(out, "\\%c", c);
		else
			store_buffer_format(out, "\\u%04x", c);
	}
	store_buffer_put(out, text + begin, len - begin);
	store_buffer_text(out, "\"");
}

static void put_json_value(struct store_buffer *out, const struct store_reading *r)
{
	switch (r->kind) {
	case STORE_NUMBER:
		store_buffer_text(out, ",\"v\":");
		store_buffer_number(out, r->number);
		break;
	case STORE_BOOL: store_buffer_text(out, r->number != 0 ? ",\"vb\":true" : ",\"vb\":false"); break;
	case STORE_TEXT:
		store_buffer_text(out, ",\"vs\":");
		put_json_text(out, (const char *)r->bytes, r->len);
		break;
	case STORE_DATA:
		store_buffer_text(out, ",\"vd\":\"");
		senml_base64_encode(out, r->bytes, r->len);
		store_buffer_text(out, "\"");
		break;
	default: break;
	}
	if (r->has_sum) {
		store_buffer_text(out, ",\"s\":");
		store_buffer_number(out, r->sum);
	}
}

static void put_json(struct senml_writer *w, const struct store_reading *r, bool base)
{
	store_buffer_text(w->out, w->n ? ",{" : "[{");
	if (base) {
		char bn[BN_LEN];
		base_name(r->device, bn);
		store_buffer_text(w->out, "\"bn\":");
		put_json_text(w->out, bn, strlen(bn));
		store_buffer_text(w->out, ",");
	}
	store_buffer_text(w->out, "\"n\":");
	put_json_text(w->out, r->name, strlen(r->name));
	store_buffer_text(w->out, ",\"t\":");
	put_time(w->out, r->time);
	if (r->unit[0]) {
		store_buffer_text(w->out, ",\"u\":");
		put_json_text(w->out, r->unit, strlen(r->unit));
	}
	put_json_value(w->out, r);
	store_buffer_text(w->out, "}");
}

/* --- XML --- */

static void put_xml_text(struct store_buffer *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		switch (c) {
		case '<': store_buffer_text(out, "&lt;"); break;
		case '&': store_buffer_text(out, "&amp;"); break;
		case '"': store_buffer_text(out, "&quot;"); break;
		case '\t':
		case '\n':
		case '\r': store_buffer_format(out, "&#%u;", c); break;
		default: /* XML 1.0 has no way to write other control characters */
			store_buffer_put(out, c < 0x20 ? "?" : (const char *)&text[i], 1);
			break;
		}
	}
}

static void put_xml_value(struct store_buffer *out, const struct store_reading *r)
{
	switch (r->kind) {
	case STORE_NUMBER:
		store_buffer_text(out, " v=\"");
		store_buffer_number(out, r->number);
		break;
	case STORE_BOOL: store_buffer_text(out, r->number != 0 ? " vb=\"true" : " vb=\"false"); break;
	case STORE_TEXT:
		store_buffer_text(out, " vs=\"");
		put_xml_text(out, (const char *)r->bytes, r->len);
		break;
	case STORE_DATA:
		store_buffer_text(out, " vd=\"");
		senml_base64_encode(out, r->bytes, r->len);
		break;
	default: break;
	}
	if (r->kind != STORE_NONE)
		store_buffer_text(out, "\"");
	if (r->has_sum) {
		store_buffer_text(out, " s=\"");
		store_buffer_number(out, r->sum);
		store_buffer_text(out, "\"");
	}
}

static void put_xml(struct senml_writer *w, const struct store_reading *r, bool base)
{
	if (!w->n)
		store_buffer_text(w->out, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\">");
	store_buffer_text(w->out, "<senml");
	if (base) {
		char bn[BN_LEN];
		base_name(r->device, bn);
		store_buffer_text(w->out, " bn=\"");
		put_xml_text(w->out, bn, strlen(bn));
		store_buffer_text(w->out, "\"");
	}
	store_buffer_text(w->out, " n=\"");
	put_xml_text(w->out, r->name, strlen(r->name));
	store_buffer_text(w->out, "\" t=\"");
	put_time(w->out, r->time);
	store_buffer_text(w->out, "\"");
	if (r->unit[0]) {
		store_buffer_text(w->out, " u=\"");
		put_xml_text(w->out, r->unit, strlen(r->unit));
		store_buffer_text(w->out, "\"");
	}
	put_xml_value(w->out, r);
	store_buffer_text(w->out, "/>");
}

/* --- CBOR --- */

#define HEAD 9 /* bytes of the longest head */

static void put_uint(struct store_buffer *out, uint64_t n)
{
	uint8_t *room = store_buffer_room(out, HEAD);

	if (room)
		store_buffer_commit(out, cbor_encode_uint(n, room, HEAD));
}

/* A label of Table 4. */
static void put_label(struct store_buffer *out, int label)
{
	uint8_t *room = store_buffer_room(out, HEAD);

	if (room)
		store_buffer_commit(out, label < 0 ? cbor_encode_negint((uint64_t)(-1 - label), room, HEAD)
						   : cbor_encode_uint((uint64_t)label, room, HEAD));
}

/* The shortest form that keeps the number. */
static void put_number(struct store_buffer *out, double number)
{
	uint8_t *room = store_buffer_room(out, HEAD);
	bool whole =
	    number == floor(number) && fabs(number) < 9007199254740992.0 && !(number == 0 && signbit(number));

	if (!room)
		return;
	if (whole && number >= 0)
		store_buffer_commit(out, cbor_encode_uint((uint64_t)number, room, HEAD));
	else if (whole)
		store_buffer_commit(out, cbor_encode_negint((uint64_t)(-1 - number), room, HEAD));
	else if (fabs(number) < 3e38 && (double)(float)number == number)
		store_buffer_commit(out, cbor_encode_single((float)number, room, HEAD));
	else
		store_buffer_commit(out, cbor_encode_double(number, room, HEAD));
}

static void put_string(struct store_buffer *out, bool text, const void *bytes, size_t len)
{
	uint8_t *room = store_buffer_room(out, HEAD);

	if (room)
		store_buffer_commit(out, text ? cbor_encode_string_start(len, room, HEAD)
					      : cbor_encode_bytestring_start(len, room, HEAD));
	store_buffer_put(out, bytes, len);
}

static void put_byte(struct store_buffer *out, uint8_t byte)
{
	store_buffer_put(out, &byte, 1);
}

static void put_cbor_value(struct store_buffer *out, const struct store_reading *r)
{
	switch (r->kind) {
	case STORE_NUMBER:
		put_label(out, 2);
		put_number(out, r->number);
		break;
	case STORE_BOOL:
		put_label(out, 4);
		put_byte(out, r->number != 0 ? 0xf5 : 0xf4);
		break;
	case STORE_TEXT:
		put_label(out, 3);
		put_string(out, true, r->bytes, r->len);
		break;
	case STORE_DATA:
		put_label(out, 8);
		put_string(out, false, r->bytes, r->len);
		break;
	default: break;
	}
	if (r->has_sum) {
		put_label(out, 5);
		put_number(out, r->sum);
	}
}

static void put_cbor(struct senml_writer *w, const struct store_reading *r, bool base)
{
	unsigned fields = 2 + base + (r->unit[0] != 0) + (r->kind != STORE_NONE) + r->has_sum;

	if (!w->n)
		put_byte(w->out, 0x9f); /* an array of any length */
	put_byte(w->out, (uint8_t)(0xa0 | fields));
	if (base) {
		char bn[BN_LEN];
		base_name(r->device, bn);
		put_label(w->out, -2);
		put_string(w->out, true, bn, strlen(bn));
	}
	put_label(w->out, 0);
	put_string(w->out, true, r->name, strlen(r->name));
	put_label(w->out, 6);
	if (r->time % 1000000 == 0 && r->time >= 0)
		put_uint(w->out, (uint64_t)(r->time / 1000000));
	else
		put_number(w->out, (double)r->time / 1e6);
	if (r->unit[0]) {
		put_label(w->out, 1);
		put_string(w->out, true, r->unit, strlen(r->unit));
	}
	put_cbor_value(w->out, r);
}

/* --- any of them --- */

void senml_encode_reading(struct senml_writer *w, const struct store_reading *r)
{
	bool base = strcmp(w->device, r->device) != 0;

	if (base)
		snprintf(w->device, sizeof(w->device), "%s", r->device);
	if (w->format == COPSE_FORMAT_SENML_CBOR)
		put_cbor(w, r, base);
	else if (w->format == COPSE_FORMAT_SENML_XML)
		put_xml(w, r, base);
	else
		put_json(w, r, base);
	w->n++;
}

void senml_encode_end(struct senml_writer *w)
{
	if (w->format == COPSE_FORMAT_SENML_CBOR) {
		if (!w->n)
			put_byte(w->out, 0x9f);
		put_byte(w->out, 0xff);
	} else if (w->format == COPSE_FORMAT_SENML_XML) {
		if (!w->n)
			store_buffer_text(w->out, "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\">");
		store_buffer_text(w->out, "</sensml>");
	} else {
		store_buffer_text(w->out, w->n ? "]" : "[]");
	}
}
