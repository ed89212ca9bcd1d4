/* The tree of paths: a node a segment, found by a hash of its text and its parent, so that a look-up costs as much as
 * the path is long, however many resources there are.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "server_state.h"
#include "siphash.h"

#include <string.h>

#define ROOT 1u

/* A segment of a path that is matched, from an option or from text. */
struct segment {
	const char *text;
	size_t len;
};

static uint32_t segment_hash(const struct copse_server *s, uint32_t parent, const char *text, size_t len)
{
	return (uint32_t)core_siphash(s->config.seed, text, len, 1, 3) + parent * 0x9e3779b1u;
}

static struct server_node *node_at(const struct copse_server *s, uint32_t number)
{
	return &s->node[number - 1];
}

static uint32_t number_of(const struct copse_server *s, const struct server_node *n)
{
	return (uint32_t)(n - s->node) + 1;
}

void srv_tree_init(struct copse_server *s)
{
	core_node_init(&s->free_nodes);
	for (uint32_t i = 0; i < SRV_NODES(s); i++) {
		memset(&s->node[i], 0, sizeof s->node[i]);
		core_node_init(&s->node[i].views);
		if (i > 0)
			core_node_insert(&s->free_nodes, &s->node[i].views);
	}
	node_at(s, ROOT)->uses = 1;
}

static struct server_node *child_of(const struct copse_server *s, uint32_t parent, const char *text,
				    size_t len)
{
	const uint32_t hash = segment_hash(s, parent, text, len);
	uint32_t pos = hash & s->segments.mask;
	uint32_t number;
	while ((number = core_table_next(&s->segments, hash, &pos)) != 0) {
		struct server_node *n = node_at(s, number);
		if (n->parent == parent && n->len == len && memcmp(n->text, text, len) == 0)
			return n;
	}
	return NULL;
}

static struct server_node *add_child(struct copse_server *s, uint32_t parent, const char *text, size_t len)
{
	struct core_node *free = core_list_pop(&s->free_nodes);
	if (!free)
		return NULL;
	struct server_node *n = CORE_OF(free, struct server_node, views);
	n->text = text;
	n->len = (uint8_t)len;
	n->parent = (uint16_t)parent;
	n->hash = segment_hash(s, parent, text, len);
	core_table_insert(&s->segments, n->hash, number_of(s, n));
	node_at(s, parent)->uses++;
	return n;
}

/* Give back nodes that nothing needs, from a leaf towards the root. */
static void prune(struct copse_server *s, struct server_node *n)
{
	while (number_of(s, n) != ROOT && n->uses == 0) {
		struct server_node *parent = node_at(s, n->parent);
		core_table_remove(&s->segments, n->hash, number_of(s, n));
		core_node_insert(&s->free_nodes, &n->views);
		parent->uses--;
		n = parent;
	}
}

/* The next segment of a path of copse_resource.path; false at the end. */
static bool next_segment(const char **path, struct segment *out)
{
	const char *p = *path;
	if (!p || *p == '\0')
		return false;
	out->text = p;
	while (*p != '\0' && *p != '/')
		p++;
	out->len = (size_t)(p - out->text);
	*path = *p == '/' ? p + 1 : p;
	return true;
}

static bool is_rest(const struct segment *seg)
{
	return seg->len == 2 && seg->text[0] == '*' && seg->text[1] == '*';
}

static bool is_well_formed(const char *path)
{
	const char *p = path;
	struct segment seg = {NULL, 0};
	bool ended = false;
	if (!path)
		return false;
	while (next_segment(&p, &seg)) {
		if (ended || seg.len == 0 ||
		    seg.len > 255) /* RFC 7252 §5.10: Uri-Path has at most 255 bytes */
			return false;
		ended = is_rest(&seg);
	}
	return p == path || p[-1] != '/';
}

int copse_server_add(struct copse_server *server, const struct copse_resource *resource)
{
	if (!is_well_formed(resource->path))
		return COPSE_ERR_ARGUMENT;
	const char *path = resource->path;
	struct server_node *n = node_at(server, ROOT);
	struct segment seg;
	while (next_segment(&path, &seg)) {
		struct server_node *child = child_of(server, number_of(server, n), seg.text, seg.len);
		if (!child)
			child = add_child(server, number_of(server, n), seg.text, seg.len);
		if (!child) {
			prune(server, n);
			return COPSE_ERR_NOROOM;
		}
		n = child;
	}
	if (n->resource)
		return COPSE_ERR_ARGUMENT;
	n->resource = resource;
	n->uses++;
	return 0;
}

int copse_server_add_all(struct copse_server *server, const struct copse_resource *resource, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const int err = copse_server_add(server, &resource[i]);
		if (err)
			return err;
	}
	return 0;
}

/* The texts of nodes stand in the paths of resources. When one goes, a node that it shares with others gets the text of
 * one of them. */
static void adopt_texts(struct copse_server *s, const struct copse_resource *by)
{
	const char *path = by->path;
	struct server_node *n = node_at(s, ROOT);
	struct segment seg;
	while (next_segment(&path, &seg)) {
		n = child_of(s, number_of(s, n), seg.text, seg.len);
		n->text = seg.text;
	}
}

void srv_tree_remove(struct copse_server *s, struct server_node *n)
{
	n->resource = NULL;
	n->uses--;
	prune(s, n);
	for (uint32_t number = ROOT; number <= SRV_NODES(s); number++) {
		if (node_at(s, number)->resource)
			adopt_texts(s, node_at(s, number)->resource);
	}
}

struct server_node *srv_tree_of(struct copse_server *s, const struct copse_resource *resource)
{
	const char *path = resource->path;
	struct server_node *n = node_at(s, ROOT);
	struct segment seg;
	while (n && next_segment(&path, &seg))
		n = child_of(s, number_of(s, n), seg.text, seg.len);
	return n && n->resource == resource ? n : NULL;
}

/* The resource below `n` that matches the segments from `o` on; NULL when there is none. Each call goes one node
 * deeper, so that the stack is bounded by the deepest resource, not by the request. */
static struct server_node *match(struct copse_server *s, struct server_node *n, const struct copse_message *m,
				 const struct copse_option *o)
{
	struct server_node *child, *found = NULL;
	const uint32_t number = number_of(s, n);
	if (!o && n->resource)
		return n;
	if (o) {
		const struct copse_option *next = copse_message_option_next(m, o);
		const char *text = (const char *)copse_option_value(m, o);
		child = child_of(s, number, text, o->len);
		found = child ? match(s, child, m, next) : NULL;
		if (!found) {
			child = child_of(s, number, "*", 1);
			found = child ? match(s, child, m, next) : NULL;
		}
	}
	if (!found) {
		child = child_of(s, number, "**", 2);
		found = child && child->resource ? child : NULL;
	}
	return found;
}

struct server_node *srv_tree_find(struct copse_server *s, const struct copse_message *m)
{
	return match(s, node_at(s, ROOT), m, copse_message_option(m, COPSE_OPTION_URI_PATH));
}
