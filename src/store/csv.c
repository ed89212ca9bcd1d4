/* See csv.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "csv.h"
#include "senml.h"

#include <string.h>
#include <time.h>

static void put_text(struct store_buffer *out, const char *text, size_t len)
{
	store_buffer_text(out, "\"");
	for (size_t i = 0; i < len; i++)
		store_buffer_put(out, text[i] == '"' ? "\"\"" : &text[i], text[i] == '"' ? 2 : 1);
	store_buffer_text(out, "\"");
}

void store_csv_value(struct store_buffer *out, const struct store_reading *r, bool quoted)
{
	switch (r->kind) {
	case STORE_NUMBER: store_buffer_number(out, r->number); break;
	case STORE_BOOL: store_buffer_text(out, r->number != 0 ? "true" : "false"); break;
	case STORE_TEXT:
		if (quoted)
			put_text(out, (const char *)r->bytes, r->len);
		else
			store_buffer_put(out, r->bytes, r->len);
		break;
	case STORE_DATA: senml_base64_encode(out, r->bytes, r->len); break;
	default: break;
	}
}

void store_csv_time(struct store_buffer *out, int64_t time)
{
	int64_t us = time % 1000000 < 0 ? time % 1000000 + 1000000 : time % 1000000;
	time_t second = (time_t)((time - us) / 1000000);
	struct tm tm;
	char text[64];

	if (gmtime_r(&second, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		store_buffer_format(out, "%s.%06uZ", text, (unsigned)us);
}

void store_csv_head(struct store_buffer *out)
{
	store_buffer_text(out, "time,device,name,value,unit,sum\r\n");
}

void store_csv_reading(struct store_buffer *out, const struct store_reading *r)
{
	store_csv_time(out, r->time);
	store_buffer_format(out, ",%s,%s,", r->device, r->name);
	store_csv_value(out, r, true);
	store_buffer_text(out, ",");
	put_text(out, r->unit, strlen(r->unit));
	store_buffer_text(out, ",");
	if (r->has_sum)
		store_buffer_number(out, r->sum);
	store_buffer_text(out, "\r\n");
}
