/* The body of an answer, reading by reading, in the form that was asked for: SenML in JSON, CBOR or XML, CSV, text.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_COLLECTOR_BODY_H
#define GATEWAY_COLLECTOR_BODY_H

#include "store/senml.h"

/* What is written next depends on what has been written before, and on nothing in `out`: which may be another one for each
 * reading. */
struct gw_body {
	struct senml_writer writer;
	struct store_buffer *out;
	uint32_t format; /* Content-Format of the answer */
	bool csv;
	uint32_t rows;
};

void gw_body_begin(struct gw_body *body, uint32_t format, bool csv, struct store_buffer *out);

/* Write on into `out`. */
void gw_body_turn(struct gw_body *body, struct store_buffer *out);

/* `alone`: the answer has no other reading. */
void gw_body_put(struct gw_body *body, const struct store_reading *reading, bool alone);

void gw_body_end(struct gw_body *body);

#endif
