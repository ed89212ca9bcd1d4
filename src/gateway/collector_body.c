/* See collector_body.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "collector_body.h"

#include "store/csv.h"

#include <copse/format.h>

/* Plain text: the value alone of one reading, a line each of several. */
static void put_text(struct gw_body *b, const struct store_reading *r, bool alone)
{
	if (!alone) {
		store_csv_time(b->out, r->time);
		store_buffer_format(b->out, " %s %s ", r->device, r->name);
	}
	store_csv_value(b->out, r, false);
	if (!alone)
		store_buffer_format(b->out, "%s%s\n", r->unit[0] ? " " : "", r->unit);
}

void gw_body_begin(struct gw_body *b, uint32_t format, bool csv, struct store_buffer *out)
{
	*b = (struct gw_body){.csv = csv, .format = csv ? COPSE_FORMAT_TEXT : format};
	b->writer.format = b->format;
	gw_body_turn(b, out);
}

void gw_body_turn(struct gw_body *b, struct store_buffer *out)
{
	b->out = b->writer.out = out;
}

void gw_body_put(struct gw_body *b, const struct store_reading *r, bool alone)
{
	if (b->csv && !b->rows)
		store_csv_head(b->out);
	if (b->csv)
		store_csv_reading(b->out, r);
	else if (b->format == COPSE_FORMAT_TEXT)
		put_text(b, r, alone);
	else
		senml_encode_reading(&b->writer, r);
	b->rows += b->rows < UINT32_MAX;
}

void gw_body_end(struct gw_body *b)
{
	if (!b->csv && b->format != COPSE_FORMAT_TEXT)
		senml_encode_end(&b->writer);
}
