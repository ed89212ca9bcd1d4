/* See readings.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "readings.h"
#include "when.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is in force (RFC 8428 §4.1). */
struct base {
	const char *name, *unit;
	double time, value, sum;
	bool has_value, has_sum;
};

#define RELATIVE 268435456.0 /* 2**28: times below are relative to now (RFC 8428 §4.5.3) */

static void take_base(const json_t *record, struct base *base)
{
	const json_t *bn = json_object_get(record, "bn"), *bu = json_object_get(record, "bu"),
		     *bt = json_object_get(record, "bt"), *bv = json_object_get(record, "bv"),
		     *bs = json_object_get(record, "bs");

	base->name = bn ? json_string_value(bn) : base->name;
	base->unit = bu ? json_string_value(bu) : base->unit;
	base->time = bt ? json_number_value(bt) : base->time;
	base->value = bv ? json_number_value(bv) : base->value;
	base->sum = bs ? json_number_value(bs) : base->sum;
	base->has_value |= bv != NULL;
	base->has_sum |= bs != NULL;
}

static char *copy(const char *text, size_t len)
{
	char *out = malloc(len + 1);

	if (out) {
		memcpy(out, text, len);
		out[len] = '\0';
	}
	return out;
}

/* The device in a base name: the gateway writes one for each, with a colon or slash behind it. Kept in the pack,
 * which lives as long as the reading. */
static const char *device_of(json_t *record, const char *bn)
{
	static const char mac[] = "urn:dev:mac:";
	size_t skip = strncmp(bn, mac, sizeof(mac) - 1) == 0 ? sizeof(mac) - 1 : 0, len = strlen(bn);
	bool ended = len > skip && (bn[len - 1] == ':' || bn[len - 1] == '/');
	char *text = copy(bn + skip, len - skip - ended);

	if (text)
		json_object_set_new(record, "device", json_string(text));
	free(text);
	return json_string_value(json_object_get(record, "device"));
}

static json_t *plus_base(json_t *record, const char *key, double base)
{
	json_t *value = json_object_get(record, key);

	if (base == 0 && value)
		return value;
	json_object_set_new(record, key, json_real(json_number_value(value) + base));
	return json_object_get(record, key);
}

static int64_t time_of(const json_t *record, const struct base *base, int64_t now)
{
	double seconds = base->time + json_number_value(json_object_get(record, "t"));

	return seconds < RELATIVE ? now + llround(seconds * 1e6) : llround(seconds * 1e6);
}

static bool take(struct readings *r, json_t *record, const struct base *base, int64_t now)
{
	const json_t *n = json_object_get(record, "n"), *u = json_object_get(record, "u");
	struct reading *row = &r->row[r->n];

	*row = (struct reading){.name = n ? json_string_value(n) : "",
				.unit = u ? json_string_value(u) : base->unit};
	if (json_object_get(record, "v") || base->has_value)
		row->value = plus_base(record, "v", base->value);
	row->is_number = row->value != NULL;
	row->number = json_number_value(row->value);
	if (json_object_get(record, "s") || base->has_sum)
		row->sum = plus_base(record, "s", base->sum);
	for (int i = 0; i < 3; i++) {
		static const char *const other[] = {"vs", "vb", "vd"};
		const json_t *value = json_object_get(record, other[i]);
		if (value) {
			row->value = value;
			row->is_number = false;
		}
	}
	if (!row->value && !row->sum)
		return true; /* base fields alone */
	row->time = time_of(record, base, now);
	row->device = device_of(record, base->name);
	r->n++;
	return row->name && row->unit && row->device;
}

int readings_parse(struct readings *r, const uint8_t *bytes, size_t len, int64_t now)
{
	struct base base = {.name = "", .unit = ""};
	bool good;
	size_t i;
	json_t *record;

	*r = (struct readings){.pack = json_loadb((const char *)bytes, len, 0, NULL)};
	size_t n = json_array_size(r->pack);
	r->row = calloc(n ? n : 1, sizeof(*r->row));
	good = json_is_array(r->pack) && r->row;
	json_array_foreach(r->pack, i, record)
	{
		take_base(record, &base);
		good =
		    good && json_is_object(record) && base.name && base.unit && take(r, record, &base, now);
	}
	if (!good)
		readings_free(r);
	return good ? 0 : -1;
}

void readings_free(struct readings *r)
{
	json_decref(r->pack);
	free(r->row);
	*r = (struct readings){.row = NULL};
}

/* As few digits as give the same number again. */
static void print_number(const json_t *value, char *out, size_t cap)
{
	double number = json_number_value(value);

	if (json_is_integer(value)) {
		snprintf(out, cap, "%lld", (long long)json_integer_value(value));
		return;
	}
	for (int digits = 6; digits <= 17; digits++) {
		snprintf(out, cap, "%.*g", digits, number);
		if (strtod(out, NULL) == number)
			return;
	}
}

const char *reading_value(const struct reading *r, char *out, size_t cap)
{
	if (json_is_number(r->value))
		print_number(r->value, out, cap);
	else if (json_is_boolean(r->value))
		snprintf(out, cap, "%s", json_is_true(r->value) ? "true" : "false");
	else
		snprintf(out, cap, "%s", r->value ? json_string_value(r->value) : "");
	return out;
}

const char *reading_for_people(const struct reading *r, char *out, size_t cap)
{
	if (!json_is_real(r->value) || fabs(r->number) >= 1e9)
		return reading_value(r, out, cap);
	snprintf(out, cap, "%.12g", r->number);
	return out;
}

static void print_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

void reading_print_csv_head(FILE *out)
{
	fputs("time,device,name,value,unit,sum\r\n", out);
}

void reading_print_csv(FILE *out, const struct reading *r)
{
	char time[WHEN_TEXT], number[64] = "";

	fprintf(out, "%s,%s,%s,", when_rfc3339(r->time, time), r->device, r->name);
	if (json_is_string(r->value))
		print_quoted(out, json_string_value(r->value));
	else
		fputs(reading_value(r, number, sizeof(number)), out);
	fputc(',', out);
	print_quoted(out, r->unit);
	number[0] = '\0';
	if (r->sum)
		print_number(r->sum, number, sizeof(number));
	fprintf(out, ",%s\r\n", number);
}

json_t *reading_json(const struct reading *r)
{
	char time[WHEN_TEXT];
	json_t *o = json_object();

	json_object_set_new(o, "device", json_string(r->device));
	json_object_set_new(o, "name", json_string(r->name));
	json_object_set_new(o, "time", json_string(when_rfc3339(r->time, time)));
	if (r->value)
		json_object_set_new(o, "value", json_deep_copy(r->value));
	if (*r->unit)
		json_object_set_new(o, "unit", json_string(r->unit));
	if (r->sum)
		json_object_set_new(o, "sum", json_deep_copy(r->sum));
	return o;
}
