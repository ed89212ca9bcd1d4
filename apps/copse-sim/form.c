/* Readings as bytes, and back.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "form.h"

#include <copse/format.h>

#include <jansson.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_text(const struct sim_reading *reading, char *buf, size_t cap)
{
	size_t len = 0;

	for (unsigned i = 0; i < reading->text_n; i++) {
		const struct sim_field *field = &reading->field[i];
		const char *comma = i ? "," : "";
		size_t room = cap - len;
		int n = field->is_text
			    ? snprintf(buf + len, room, "%s%s", comma, field->text)
			    : snprintf(buf + len, room, "%s%.*f", comma, field->decimals, field->number);
		if (n < 0 || (size_t)n >= room)
			return -1;
		len += (size_t)n;
	}
	return (int)len;
}

static json_t *json_number(double value)
{
	return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *json_of(const struct sim_field *field)
{
	return field->is_text ? json_string(field->text) : json_number(field->number);
}

static json_t *object_of(const struct sim_reading *reading)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < reading->field_n; i++)
		json_object_set_new(object, reading->field[i].name, json_of(&reading->field[i]));
	return object;
}

/* Scaling leaves the noise of binary fractions behind the sixth digit. */
static double in_unit(const struct sim_field *field)
{
	return round(field->number * field->scale * 1e6) / 1e6;
}

static json_t *senml_of(const struct sim_reading *reading, uint64_t mac, int64_t at_ms)
{
	json_t *pack = json_array();
	char base[48];

	/* RFC 9039 §4.1: the MAC address as a device URN; the name follows behind an underline. */
	snprintf(base, sizeof(base), "urn:dev:mac:%016" PRIx64 "_", mac);
	for (unsigned i = 0; i < reading->field_n; i++) {
		const struct sim_field *field = &reading->field[i];
		json_t *record = json_object();
		if (i == 0) {
			json_object_set_new(record, "bn", json_string(base));
			json_object_set_new(record, "bt", json_number((double)at_ms / 1000));
		}
		json_object_set_new(record, "n", json_string(field->name));
		if (field->unit)
			json_object_set_new(record, "u", json_string(field->unit));
		if (field->is_text)
			json_object_set_new(record, "vs", json_string(field->text));
		else
			json_object_set_new(record, "v", json_number(in_unit(field)));
		json_array_append_new(pack, record);
	}
	return pack;
}

static int write_json(json_t *json, char *buf, size_t cap)
{
	size_t len = json_dumpb(json, buf, cap, JSON_COMPACT | JSON_REAL_PRECISION(15));

	json_decref(json);
	return len > 0 && len <= cap ? (int)len : -1;
}

int sim_form_write(const struct sim_reading *reading, uint64_t mac, int64_t at_ms, uint32_t format, char *buf,
		   size_t cap)
{
	switch (format) {
	case COPSE_FORMAT_TEXT:
	case COPSE_FORMAT_NONE: return write_text(reading, buf, cap);
	case COPSE_FORMAT_JSON: return write_json(object_of(reading), buf, cap);
	case COPSE_FORMAT_SENML_JSON: return write_json(senml_of(reading, mac, at_ms), buf, cap);
	default: return -1;
	}
}

/* ---- what clients write ---- */

/* A decimal number and nothing else: strtod alone would take "inf", "0x10" and leading blanks. */
static void find_number(struct sim_input *input)
{
	const char *text = input->text;
	char *end;

	input->is_number = false;
	input->number = 0;
	if (!text[0] || text[strspn(text, "0123456789+-.eE")])
		return;
	double value = strtod(text, &end);
	if (!*end && end != text && isfinite(value)) {
		input->number = value;
		input->is_number = true;
	}
}

static const char *read_text(const char *text, size_t len, struct sim_input *input)
{
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r' || text[len - 1] == ' '))
		len--;
	if (len == 0)
		return "the value is missing";
	if (len >= sizeof(input->text))
		return "the value is too long";
	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return "the value has bytes that are not printable ASCII";
	}
	memcpy(input->text, text, len);
	input->text[len] = 0;
	find_number(input);
	return NULL;
}

static const char *read_value(const json_t *value, struct sim_input *input)
{
	char number[40];

	if (json_is_string(value))
		return read_text(json_string_value(value), json_string_length(value), input);
	if (json_is_boolean(value))
		return read_text(json_is_true(value) ? "on" : "off", json_is_true(value) ? 2 : 3, input);
	if (!json_is_number(value))
		return "the value is neither a number nor a text";
	snprintf(number, sizeof(number), "%.15g", json_number_value(value));
	return read_text(number, strlen(number), input);
}

static const char *read_json(const char *name, const json_t *json, struct sim_input *input)
{
	if (!json_is_object(json))
		return read_value(json, input);
	const json_t *value = json_object_get(json, name);
	if (!value)
		value = json_object_get(json, "value");
	return value ? read_value(value, input) : "the object has no member of the resource's name";
}

/* One record, of this name or of none: v, vs or vb (RFC 8428 §4.2). Base values would have to be resolved: refused. */
static const char *read_senml(const char *name, const json_t *json, struct sim_input *input)
{
	static const char *const values[] = {"v", "vs", "vb"};
	const json_t *record = json_array_get(json, 0);
	const char *n = json_string_value(json_object_get(record, "n"));

	if (json_array_size(json) != 1 || !json_is_object(record))
		return "the SenML pack has to have one record";
	if (n && strcmp(n, name) != 0)
		return "the SenML record has another name";
	if (json_object_get(record, "bv") || json_object_get(record, "s"))
		return "the SenML record has a base value or a sum";
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const json_t *value = json_object_get(record, values[i]);
		if (value)
			return read_value(value, input);
	}
	return "the SenML record has no value";
}

const char *sim_form_read(const char *name, uint32_t format, const void *body, size_t len,
			  struct sim_input *input)
{
	const char *why;
	json_t *json;

	if (format == COPSE_FORMAT_TEXT || format == COPSE_FORMAT_NONE)
		return read_text(body, len, input);
	json = json_loadb(body, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (!json)
		return "the body is not JSON";
	why = format == COPSE_FORMAT_SENML_JSON ? read_senml(name, json, input) : read_json(name, json, input);
	json_decref(json);
	return why;
}
