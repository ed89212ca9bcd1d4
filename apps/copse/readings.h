/* Readings that the gateway's collector sends: a pack of SenML in JSON (RFC 8428), resolved.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_READINGS_H
#define COPSE_TOOL_READINGS_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct reading {
	const char *device; /* the base name without what ends it: of a urn:dev:mac: its hexadecimal digits */
	const char *name, *unit;
	int64_t time;   /* microseconds since 1970 */
	bool is_number; /* `number` means something */
	double number;
	const json_t *value; /* number, boolean, text, or data in base64url; NULL: a sum alone */
	const json_t *sum;   /* or NULL */
};

struct readings {
	struct reading *row;
	size_t n;
	/* private */
	json_t *pack;
};

/* Take a pack apart. `now`: what times count from that are relative (RFC 8428 §4.5.3). Returns 0 (give it to
 * readings_free), or -1: this is no SenML, or there is no memory. */
int readings_parse(struct readings *r, const uint8_t *bytes, size_t len, int64_t now);
void readings_free(struct readings *r);

/* The value as text in `out`: a number in as few digits as tell it from others. Returns `out`. */
const char *reading_value(const struct reading *r, char *out, size_t cap);

/* The same in twelve digits at most: a mean has many that mean nothing. */
const char *reading_for_people(const struct reading *r, char *out, size_t cap);

/* Print as CSV (RFC 4180): time, device, name, value, unit, sum. */
void reading_print_csv_head(FILE *out);
void reading_print_csv(FILE *out, const struct reading *r);

/* {"device": .., "name": .., "time": "..Z", "value": .., "unit": .., "sum": ..} */
json_t *reading_json(const struct reading *r);

#endif
