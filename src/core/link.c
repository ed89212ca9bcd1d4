/* Reading and filtering links (RFC 6690 §2, §4.1).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/hex.h>
#include <copse/link.h>

#include "uri_chars.h"

#include <string.h>

/* Where in a document one is, and what is wrong: the text may end here and go on later, or it is no link format. */
struct scan {
	const char *at;
	const char *end;
	bool bad;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct scan *s)
{
	while (s->at < s->end && is_blank(*s->at))
		s->at++;
}

/* ptokenchar but for the letters and digits (RFC 6690 §2); a parmname has fewer of them */
#define TOKEN_MARKS "!#$%&'()*+-./:<=>?@[]^_`{|}~"
#define NAME_MARKS  "!#$&+-.^_`|~*"

static struct copse_text scan_word(struct scan *s, const char *marks)
{
	struct copse_text word = {s->at, 0};
	while (s->at < s->end && (uri_is_alpha(*s->at) || uri_is_digit(*s->at) ||
				  (*s->at != 0 && uri_is_one_of(*s->at, marks))))
		s->at++;
	word.len = (size_t)(s->at - word.at);
	return word;
}

/* From behind the opening quote to the closing one, which is stepped over. False when the text ends before. */
static bool scan_quoted(struct scan *s, struct copse_text *value)
{
	value->at = s->at;
	while (s->at < s->end && *s->at != '"') {
		s->at++;
		if (s->at[-1] == '\\') {
			if (s->at == s->end)
				return false;
			s->at++;
		}
	}
	value->len = (size_t)(s->at - value->at);
	if (s->at == s->end)
		return false;
	s->at++;
	return true;
}

static bool fail(struct scan *s)
{
	s->bad = true;
	return false;
}

/* ";name", ";name=token" or ";name="quoted"", from behind the ";". False when it is none or not yet whole. */
static bool scan_attribute(struct scan *s, struct copse_link_attribute *a)
{
	skip_blanks(s);
	a->name = scan_word(s, NAME_MARKS);
	a->value = (struct copse_text){s->at, 0};
	a->has_value = a->quoted = false;
	if (a->name.len == 0)
		return s->at == s->end ? false : fail(s);
	skip_blanks(s);
	if (s->at == s->end || *s->at != '=')
		return true;
	s->at++;
	skip_blanks(s);
	a->has_value = true;
	if (s->at < s->end && *s->at == '"') {
		s->at++;
		a->quoted = true;
		return scan_quoted(s, &a->value);
	}
	a->value = scan_word(s, TOKEN_MARKS);
	return a->value.len > 0 || s->at == s->end ? a->value.len > 0 : fail(s);
}

/* "<target>" with its attributes. False when it is none or not yet whole. */
static bool scan_link(struct scan *s, struct copse_link *link)
{
	link->text.at = s->at;
	if (*s->at != '<')
		return fail(s);
	link->target.at = ++s->at;
	while (s->at < s->end && *s->at != '>') {
		if (*s->at == '<' || *s->at == '"' || is_blank(*s->at))
			return fail(s);
		s->at++;
	}
	link->target.len = (size_t)(s->at - link->target.at);
	if (s->at == s->end)
		return false;
	const char *stop = ++s->at;
	link->attributes.at = stop;
	for (;;) {
		struct copse_link_attribute a;
		skip_blanks(s);
		if (s->at == s->end || *s->at != ';')
			break;
		s->at++;
		if (!scan_attribute(s, &a))
			return false;
		stop = s->at;
		while (is_blank(stop[-1])) /* stepped over in search of a "=" */
			stop--;
	}
	link->attributes.len = (size_t)(stop - link->attributes.at);
	link->text.len = (size_t)(stop - link->text.at);
	return true;
}

static int malformed(struct copse_link_reader *reader, const struct scan *s)
{
	reader->at = (size_t)(s->at - reader->text);
	reader->len = reader->at; /* no link follows */
	reader->comma = false;
	return COPSE_ERR_MALFORMED;
}

int copse_link_next(struct copse_link_reader *reader, struct copse_link *link)
{
	struct scan s = {reader->text + reader->at, reader->text + reader->len, false};
	skip_blanks(&s);
	const char *begin = s.at;
	if (s.at == s.end)
		return reader->comma && !reader->partial ? malformed(reader, &s) : 0;
	bool whole = scan_link(&s, link);
	if (s.bad || (!whole && !reader->partial))
		return malformed(reader, &s);
	if (!whole || (s.at == s.end && reader->partial)) { /* the last token may go on */
		reader->at = (size_t)(begin - reader->text);
		return 0;
	}
	if (s.at < s.end && *s.at != ',')
		return malformed(reader, &s);
	reader->comma = s.at < s.end;
	reader->at = (size_t)(s.at - reader->text) + reader->comma;
	return 1;
}

bool copse_link_attribute_next(const struct copse_link *link, size_t *pos,
			       struct copse_link_attribute *attribute)
{
	const struct copse_text *all = &link->attributes;
	struct scan s = {all->at + *pos, all->at + all->len, false};
	skip_blanks(&s);
	if (s.at == s.end || *s.at != ';')
		return false;
	s.at++;
	if (!scan_attribute(&s, attribute))
		return false;
	*pos = (size_t)(s.at - all->at);
	return true;
}

static size_t text_len(const char *text)
{
	size_t n = 0;
	while (text[n])
		n++;
	return n;
}

static bool find_attribute(const struct copse_link *link, const char *name, size_t len,
			   struct copse_link_attribute *attribute)
{
	for (size_t pos = 0; copse_link_attribute_next(link, &pos, attribute);)
		if (uri_equal_text(attribute->name.at, attribute->name.len, name, len))
			return true;
	return false;
}

bool copse_link_attribute(const struct copse_link *link, const char *name,
			  struct copse_link_attribute *attribute)
{
	return find_attribute(link, name, text_len(name), attribute);
}

int copse_link_value(const struct copse_link_attribute *attribute, char *buf, size_t cap)
{
	size_t n = 0;
	for (size_t i = 0; i < attribute->value.len; i++) {
		if (attribute->quoted && attribute->value.at[i] == '\\')
			i++; /* quoted-pair: what follows stands for itself */
		if (n + 1 >= cap)
			return COPSE_ERR_NOROOM;
		buf[n++] = attribute->value.at[i];
	}
	if (cap == 0)
		return COPSE_ERR_NOROOM;
	buf[n] = 0;
	return (int)n;
}

/* ---- filtering ---- */

void copse_link_filter_parse(struct copse_link_filter *filter, const char *text, size_t len)
{
	const char *equals = len > 0 ? uri_find(text, len, '=') : NULL;
	size_t name = equals ? (size_t)(equals - text) : len;
	filter->name = (struct copse_text){text, name};
	filter->value = (struct copse_text){text + len, 0};
	filter->present = !equals;
	filter->prefix = false;
	if (!equals)
		return;
	filter->value = (struct copse_text){equals + 1, len - name - 1};
	if (filter->value.len > 0 && text[len - 1] == '*') {
		filter->prefix = true;
		filter->value.len--;
	}
}

/* The bytes of a value one after the other, without escapes. */
struct stream {
	struct copse_text text;
	size_t at;
	bool quoted;  /* backslashes escape */
	bool encoded; /* percent-encoded */
};

/* The next byte, or -1 at the end. */
static int stream_next(struct stream *s)
{
	const char *p = s->text.at + s->at;
	size_t left = s->text.len - s->at;
	if (left == 0)
		return -1;
	s->at++;
	if (s->quoted && *p == '\\' && left > 1) {
		s->at++;
		return (uint8_t)p[1];
	}
	if (s->encoded && *p == '%' && left > 2 && copse_hex_digit(p[1]) >= 0 && copse_hex_digit(p[2]) >= 0) {
		s->at += 2;
		return copse_hex_digit(p[1]) << 4 | copse_hex_digit(p[2]);
	}
	return (uint8_t)*p;
}

/* Whether the value, or with `list` one of those between its spaces, is what is asked for. */
static bool stream_matches(struct stream *s, const struct copse_link_filter *f, bool list)
{
	for (;;) {
		size_t same = 0;
		int c = stream_next(s);
		while (c >= 0 && same < f->value.len && c == (uint8_t)f->value.at[same] &&
		       !(list && c == ' ')) {
			same++;
			c = stream_next(s);
		}
		bool ends = c < 0 || (list && c == ' ');
		if (same == f->value.len && (f->prefix || ends))
			return true;
		while (c >= 0 && !(list && c == ' '))
			c = stream_next(s);
		if (c < 0)
			return false;
	}
}

static bool is_list(const struct copse_text *name)
{
	static const char lists[][4] = {"rel", "rev", "rt", "if", "ct"};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (uri_equal_text(lists[i], text_len(lists[i]), name->at, name->len))
			return true;
	return false;
}

bool copse_link_filter_takes(const struct copse_link_filter *filter, const char *value, size_t len)
{
	struct stream s = {{value, len}, 0, false, false};
	return filter->present || stream_matches(&s, filter, is_list(&filter->name));
}

bool copse_link_matches(const struct copse_link *link, const struct copse_link_filter *filter)
{
	struct copse_link_attribute a;
	if (uri_equal_text(filter->name.at, filter->name.len, "href", 4)) {
		struct stream target = {link->target, 0, false, true};
		return filter->present || stream_matches(&target, filter, false);
	}
	if (!find_attribute(link, filter->name.at, filter->name.len, &a))
		return false;
	struct stream value = {a.value, 0, a.quoted, false};
	return filter->present || stream_matches(&value, filter, is_list(&filter->name));
}

bool copse_link_matches_query(const struct copse_link *link, const struct copse_message *request)
{
	const struct copse_option *o = copse_message_option(request, COPSE_OPTION_URI_QUERY);
	for (; o; o = copse_message_option_next(request, o)) {
		struct copse_link_filter filter;
		copse_link_filter_parse(&filter, (const char *)copse_option_value(request, o), o->len);
		if (!copse_link_matches(link, &filter))
			return false;
	}
	return true;
}
