/* SenML (RFC 8428), in JSON and CBOR, resolved and laid out as a table: one row a record.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "pretty.h"
#include "table.h"
#include "text.h"

#include <cbor.h>
#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- CBOR to the names that JSON has (RFC 8428 §6) ---- */

static const char *label_of(int64_t number)
{
	static const char *const base[] = {
	    [1] = "bver", [2] = "bn", [3] = "bt", [4] = "bu", [5] = "bv", [6] = "bs"};
	static const char *const plain[] = {"n", "u", "v", "vs", "vb", "s", "t", "ut", "vd"};

	if (number < 0 && number >= -6)
		return base[-number];
	return number >= 0 && number < 9 ? plain[number] : NULL;
}

static json_t *scalar(cbor_item_t *item)
{
	switch (cbor_typeof(item)) {
	case CBOR_TYPE_UINT: return json_real((double)cbor_get_int(item));
	case CBOR_TYPE_NEGINT: return json_real(-1.0 - (double)cbor_get_int(item));
	case CBOR_TYPE_STRING:
		return cbor_string_is_definite(item)
			   ? json_stringn((const char *)cbor_string_handle(item), cbor_string_length(item))
			   : NULL;
	case CBOR_TYPE_FLOAT_CTRL:
		if (!cbor_float_ctrl_is_ctrl(item))
			return json_real(cbor_float_get_float(item));
		return cbor_is_bool(item) ? json_boolean(cbor_get_bool(item)) : NULL;
	case CBOR_TYPE_BYTESTRING:
		if (cbor_bytestring_is_definite(item)) {
			size_t len = cbor_bytestring_length(item);
			char *text = malloc(TEXT_BASE64(len));
			if (text)
				text_base64(cbor_bytestring_handle(item), len, text);
			json_t *o = text ? json_string(text) : NULL;
			free(text);
			return o;
		}
		return NULL;
	default: return NULL;
	}
}

static const char *key_of(cbor_item_t *key, char *buf, size_t cap)
{
	if (cbor_typeof(key) == CBOR_TYPE_UINT)
		return label_of((int64_t)(cbor_get_int(key) & 0xff));
	if (cbor_typeof(key) == CBOR_TYPE_NEGINT)
		return label_of(-1 - (int64_t)(cbor_get_int(key) & 0xff));
	if (cbor_typeof(key) != CBOR_TYPE_STRING || !cbor_string_is_definite(key) ||
	    cbor_string_length(key) >= cap)
		return NULL;
	memcpy(buf, cbor_string_handle(key), cbor_string_length(key));
	buf[cbor_string_length(key)] = '\0';
	return buf;
}

static json_t *record_of(cbor_item_t *map)
{
	json_t *o = json_object();

	for (size_t i = 0; o && i < cbor_map_size(map); i++) {
		char buf[64];
		const char *key = key_of(cbor_map_handle(map)[i].key, buf, sizeof(buf));
		json_t *value = key ? scalar(cbor_map_handle(map)[i].value) : NULL;
		if (value)
			json_object_set_new(o, key, value);
	}
	return o;
}

static json_t *records_of_cbor(const uint8_t *bytes, size_t len)
{
	struct cbor_load_result result;
	cbor_item_t *pack = cbor_load(bytes, len, &result);
	json_t *records = NULL;

	if (pack && cbor_isa_array(pack) && result.read == len) {
		records = json_array();
		for (size_t i = 0; i < cbor_array_size(pack); i++) {
			cbor_item_t *map = cbor_array_handle(pack)[i];
			if (cbor_isa_map(map))
				json_array_append_new(records, record_of(map));
		}
	}
	if (pack)
		cbor_decref(&pack);
	return records;
}

/* ---- the table ---- */

/* What the records so far say for those that follow (RFC 8428 §4.1). */
struct base {
	char name[256], unit[64];
	double time, value, sum;
};

static double number(const json_t *record, const char *key, double absent)
{
	const json_t *o = json_object_get(record, key);

	return json_is_number(o) ? json_number_value(o) : absent;
}

static const char *string(const json_t *record, const char *key, const char *absent)
{
	const char *text = json_string_value(json_object_get(record, key));

	return text ? text : absent;
}

static void take_base(struct base *base, const json_t *record)
{
	char name[sizeof(base->name)], unit[sizeof(base->unit)];

	snprintf(name, sizeof(name), "%s", string(record, "bn", base->name));
	snprintf(unit, sizeof(unit), "%s", string(record, "bu", base->unit));
	memcpy(base->name, name, sizeof(name));
	memcpy(base->unit, unit, sizeof(unit));
	base->time = number(record, "bt", base->time);
	base->value = number(record, "bv", base->value);
	base->sum = number(record, "bs", base->sum);
}

static void value_text(char *buf, size_t cap, const json_t *record, const struct base *base)
{
	const json_t *truth = json_object_get(record, "vb");

	if (json_object_get(record, "v"))
		snprintf(buf, cap, "%.12g", number(record, "v", 0) + base->value);
	else if (truth)
		snprintf(buf, cap, "%s", json_is_true(truth) ? "true" : "false");
	else if (json_object_get(record, "vs"))
		snprintf(buf, cap, "%s", string(record, "vs", ""));
	else if (json_object_get(record, "vd"))
		snprintf(buf, cap, "%s", string(record, "vd", ""));
	else if (json_object_get(record, "s"))
		snprintf(buf, cap, "sum %.12g", number(record, "s", 0) + base->sum);
	else
		snprintf(buf, cap, "-");
}

/* RFC 8428 §4.5.3: values below 2^28 are relative to now. */
static void time_text(char *buf, size_t cap, double t)
{
	time_t seconds = (time_t)t;
	struct tm tm;

	buf[0] = '\0';
	if (t == 0)
		snprintf(buf, cap, "now");
	else if (t < 268435456.0)
		snprintf(buf, cap, "%+.12g s", t);
	else if (gmtime_r(&seconds, &tm))
		strftime(buf, cap, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static bool has_value(const json_t *record)
{
	return json_object_get(record, "v") || json_object_get(record, "vs") ||
	       json_object_get(record, "vb") || json_object_get(record, "vd") || json_object_get(record, "s");
}

static void add_row(struct table *t, const json_t *record, struct base *base)
{
	char name[512], value[512], time[64];

	take_base(base, record);
	if (!has_value(record))
		return;
	snprintf(name, sizeof(name), "%s%s", base->name, string(record, "n", ""));
	value_text(value, sizeof(value), record, base);
	time_text(time, sizeof(time), number(record, "t", 0) + base->time);
	table_add(t, (const char *const[]){name, value, string(record, "u", base->unit), time});
}

static bool print_records(FILE *out, json_t *records)
{
	static const char *const heads[] = {"NAME", "VALUE", "UNIT", "TIME"};
	struct base base = {.time = 0};
	struct table t;
	bool ok = records && json_is_array(records);

	if (ok) {
		table_begin(&t, heads, 4);
		for (size_t i = 0; i < json_array_size(records); i++)
			add_row(&t, json_array_get(records, i), &base);
		table_print(&t, out);
		table_free(&t);
	}
	json_decref(records);
	return ok;
}

bool pretty_senml_json(FILE *out, const uint8_t *bytes, size_t len)
{
	return print_records(out, json_loadb((const char *)bytes, len, 0, NULL));
}

bool pretty_senml_cbor(FILE *out, const uint8_t *bytes, size_t len)
{
	return print_records(out, records_of_cbor(bytes, len));
}
