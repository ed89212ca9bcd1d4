/* Writing links (RFC 6690 §2) into a window of a document.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/link.h>

#include "decimal.h"
#include "uri_chars.h"

static void put(struct copse_link_writer *w, char c)
{
	if (w->total >= w->offset && w->total - w->offset < w->cap)
		w->buf[w->total - w->offset] = c;
	w->total++;
}

static void put_text(struct copse_link_writer *w, const char *text)
{
	while (*text)
		put(w, *text++);
}

void copse_link_write_begin(struct copse_link_writer *w, char *buf, size_t cap, uint32_t offset)
{
	*w = (struct copse_link_writer){.buf = buf, .cap = cap, .offset = offset};
}

static void begin_link(struct copse_link_writer *w)
{
	if (w->any)
		put(w, ',');
	w->any = true;
}

static void put_encoded(struct copse_link_writer *w, char c)
{
	static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
					'8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
	put(w, '%');
	put(w, digits[(uint8_t)c >> 4]);
	put(w, digits[(uint8_t)c & 15]);
}

/* `marks`: what may stand in it beside letters, digits and what is plain everywhere. */
static void put_target(struct copse_link_writer *w, const char *text, size_t len, const char *marks)
{
	for (size_t i = 0; i < len; i++) {
		if (uri_is_plain(text[i]) || (text[i] != 0 && uri_is_one_of(text[i], marks)))
			put(w, text[i]);
		else
			put_encoded(w, text[i]);
	}
	put(w, '>');
}

void copse_link_write(struct copse_link_writer *w, const char *target, size_t len)
{
	begin_link(w);
	put(w, '<');
	put_target(w, target, len, ":@/?#[]%");
}

void copse_link_write_path(struct copse_link_writer *w, const char *path, size_t len)
{
	begin_link(w);
	put_text(w, "</");
	put_target(w, path, len, ":@/");
}

void copse_link_write_text(struct copse_link_writer *w, const char *name, const char *value, size_t len)
{
	copse_link_write_flag(w, name);
	put_text(w, "=\"");
	for (size_t i = 0; i < len; i++) {
		if (value[i] == '"' || value[i] == '\\')
			put(w, '\\');
		put(w, value[i]);
	}
	put(w, '"');
}

static void put_number(struct copse_link_writer *w, uint32_t value)
{
	char digits[CORE_DECIMAL_LEN];
	const size_t n = core_decimal(value, digits);
	for (size_t i = 0; i < n; i++)
		put(w, digits[i]);
}

void copse_link_write_number(struct copse_link_writer *w, const char *name, uint32_t value)
{
	copse_link_write_flag(w, name);
	put(w, '=');
	put_number(w, value);
}

void copse_link_write_numbers(struct copse_link_writer *w, const char *name, const uint16_t *values,
			      uint16_t end)
{
	const bool list = values[0] != end && values[1] != end;
	copse_link_write_flag(w, name);
	put_text(w, list ? "=\"" : "=");
	for (const uint16_t *v = values; *v != end; v++) {
		if (v != values)
			put(w, ' ');
		put_number(w, *v);
	}
	if (list)
		put(w, '"');
}

void copse_link_write_flag(struct copse_link_writer *w, const char *name)
{
	put(w, ';');
	put_text(w, name);
}

void copse_link_write_copy(struct copse_link_writer *w, const struct copse_link *link)
{
	begin_link(w);
	for (size_t i = 0; i < link->text.len; i++)
		put(w, link->text.at[i]);
}

size_t copse_link_write_end(const struct copse_link_writer *w)
{
	uint32_t behind = w->total > w->offset ? w->total - w->offset : 0;
	return behind < w->cap ? behind : w->cap;
}

int copse_link_select(const char *document, size_t len, const struct copse_message *request, uint32_t offset,
		      char *buf, size_t cap, uint32_t *total)
{
	struct copse_link_reader reader = {document, len, 0, false, false};
	struct copse_link_writer w;
	struct copse_link link;
	int more;
	copse_link_write_begin(&w, buf, cap, offset);
	while ((more = copse_link_next(&reader, &link)) > 0)
		if (!request || copse_link_matches_query(&link, request))
			copse_link_write_copy(&w, &link);
	*total = w.total;
	return more < 0 ? more : (int)copse_link_write_end(&w);
}
