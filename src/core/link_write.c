/* Writing links (RFC 6690 §2) into a window of a document.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/link.h>

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

void copse_link_write(struct copse_link_writer *w, const char *target, size_t len)
{
	static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
					'8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
	begin_link(w);
	put(w, '<');
	for (size_t i = 0; i < len; i++) {
		char c = target[i];
		if (uri_is_plain(c) || (c != 0 && uri_is_one_of(c, ":@/?#[]%"))) {
			put(w, c);
			continue;
		}
		put(w, '%');
		put(w, digits[(uint8_t)c >> 4]);
		put(w, digits[(uint8_t)c & 15]);
	}
	put(w, '>');
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

void copse_link_write_number(struct copse_link_writer *w, const char *name, uint32_t value)
{
	static const uint32_t powers[] = {1000000000, 100000000, 10000000, 1000000, 100000,
					  10000,      1000,	 100,	   10,	    1};
	bool begun = false;
	copse_link_write_flag(w, name);
	put(w, '=');
	for (unsigned i = 0; i < sizeof(powers) / sizeof(powers[0]); i++) { /* without a division */
		char digit = '0';
		for (; value >= powers[i]; value -= powers[i])
			digit++;
		begun = begun || digit > '0' || powers[i] == 1;
		if (begun)
			put(w, digit);
	}
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
