/* /.well-known/core (RFC 6690): the resources as links, filtered by the query, written piece by piece: the list is made
 * anew for each block and only what falls into the block is kept, so that it may be of any length.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "decimal.h"
#include "server_state.h"

#include <copse/link.h>

#include <string.h>

/* The part of the path that names a place: without a last "**". */
static size_t named_len(const char *path)
{
	const size_t len = srv_text_len(path);
	if (len >= 2 && path[len - 1] == '*' && path[len - 2] == '*')
		return len > 2 ? len - 3 : 0;
	return len;
}

static void put_text(struct copse_link_writer *w, const char *name, const char *value)
{
	if (value)
		copse_link_write_text(w, name, value, srv_text_len(value));
}

static void put_link(struct copse_link_writer *w, const struct copse_resource *r)
{
	copse_link_write_path(w, r->path, named_len(r->path));
	put_text(w, "rt", r->rt);
	put_text(w, "if", r->interface);
	if (r->formats)
		copse_link_write_numbers(w, "ct", r->formats, COPSE_FORMATS_END);
	if (r->sz > 0)
		copse_link_write_number(w, "sz", r->sz);
	put_text(w, "title", r->title);
	if (r->flags & COPSE_RESOURCE_OBSERVABLE) /* RFC 7641 §6 */
		copse_link_write_flag(w, "obs");
}

/* ---- filters, RFC 6690 §4.1 ---- */

static bool takes_text(const struct copse_link_filter *f, const char *value)
{
	return value && copse_link_filter_takes(f, value, srv_text_len(value));
}

static bool takes_number(const struct copse_link_filter *f, uint32_t value)
{
	char digits[CORE_DECIMAL_LEN];
	return copse_link_filter_takes(f, digits, core_decimal(value, digits));
}

static bool takes_format(const struct copse_link_filter *f, const uint16_t *formats)
{
	for (; formats && *formats != COPSE_FORMATS_END; formats++)
		if (takes_number(f, *formats))
			return true;
	return false;
}

static bool takes_path(const struct copse_link_filter *f, const char *path)
{
	struct copse_link_filter rest = *f;
	if (f->present || (f->value.len == 0 && f->prefix))
		return true;
	if (f->value.len == 0 || f->value.at[0] != '/')
		return false;
	rest.value = (struct copse_text){f->value.at + 1, f->value.len - 1};
	return copse_link_filter_takes(&rest, path, named_len(path));
}

static bool name_is(const struct copse_link_filter *f, const char *name)
{
	return srv_text_len(name) == f->name.len && memcmp(f->name.at, name, f->name.len) == 0;
}

static bool takes(const struct copse_link_filter *f, const struct copse_resource *r)
{
	if (name_is(f, "href"))
		return takes_path(f, r->path);
	if (name_is(f, "rt"))
		return takes_text(f, r->rt);
	if (name_is(f, "if"))
		return takes_text(f, r->interface);
	if (name_is(f, "ct"))
		return takes_format(f, r->formats);
	if (name_is(f, "title"))
		return takes_text(f, r->title);
	if (name_is(f, "sz"))
		return r->sz > 0 && takes_number(f, r->sz);
	if (name_is(f, "obs"))
		return (r->flags & COPSE_RESOURCE_OBSERVABLE) && takes_text(f, "");
	return false;
}

static bool is_listed(const struct copse_resource *r, const struct copse_message *m)
{
	struct copse_link_filter f;
	if (!r || (r->flags & COPSE_RESOURCE_HIDDEN) || srv_text_find(r->path, named_len(r->path), '*'))
		return false;
	const struct copse_option *o = copse_message_option(m, COPSE_OPTION_URI_QUERY);
	for (; o; o = copse_message_option_next(m, o)) {
		copse_link_filter_parse(&f, (const char *)copse_option_value(m, o), o->len);
		if (!takes(&f, r))
			return false;
	}
	return true;
}

/* ---- the resource ---- */

static void put_links(struct copse_link_writer *w, const struct copse_request *rq)
{
	const struct copse_server *s = rq->server;
	for (uint32_t i = 0; i < SRV_NODES(s); i++) {
		const struct copse_resource *r = s->node[i].resource;
		if (is_listed(r, rq->message))
			put_link(w, r);
	}
}

static int read_links(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	struct copse_link_writer w;
	copse_link_write_begin(&w, (char *)buf, cap, offset);
	put_links(&w, user);
	return (int)copse_link_write_end(&w);
}

static void discover(const struct copse_request *rq, struct copse_response *rs)
{
	struct copse_link_writer all;
	copse_link_write_begin(&all, NULL, 0, 0);
	put_links(&all, rq);
	rs->silent = rq->multicast && all.total == 0; /* RFC 6690 §4.1 */
	/* The request outlives the reader: it is used up before the dispatch is over. */
	copse_response_reader(rs, COPSE_FORMAT_LINK, all.total, read_links, NULL, (void *)(uintptr_t)rq);
}

static const uint16_t link_format[] = {COPSE_FORMAT_LINK, COPSE_FORMATS_END};

const struct copse_resource srv_discovery = {
    .path = ".well-known/core",
    .get = discover,
    .formats = link_format,
    .flags = COPSE_RESOURCE_MULTICAST | COPSE_RESOURCE_HIDDEN,
};
