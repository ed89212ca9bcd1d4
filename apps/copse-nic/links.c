/* See links.h. A listed resource has no handlers: its requests are relayed before the server sees them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "links.h"

#include <copse/link.h>
#include <copse/mem.h>

#include <stdlib.h>
#include <string.h>

#define FORMATS_MAX 4 /* of a resource; more are left out */

struct listed {
	struct copse_resource resource;
	uint16_t formats[FORMATS_MAX + 1];
};

struct links {
	struct copse_client *client;
	struct copse_server *server;
	struct copse_peer sensor;
	bool up, asked;
	copse_handle call;
	copse_ms again;
	uint8_t options[32];
	size_t len; /* of the document */
	char document[LINKS_TEXT_MAX];
	size_t text_len;
	char text[2 * LINKS_TEXT_MAX]; /* what the resources point to */
	unsigned count;
	struct listed listed[LINKS_MAX];
};

static int collect(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	struct links *links = user;

	if (offset + len > sizeof(links->document))
		return COPSE_ERR_NOROOM;
	memcpy(links->document + offset, bytes, len);
	links->len = offset + len;
	return 0;
}

static void forget(struct links *links, copse_ms now)
{
	while (links->count > 0)
		copse_server_remove(links->server, &links->listed[--links->count].resource, now);
	links->text_len = 0;
}

static void ask(struct links *links, copse_ms now)
{
	struct copse_call call = {.peer = &links->sensor,
				  .code = COPSE_CODE_GET,
				  .flags = COPSE_CALL_CON,
				  .szx = 2,
				  .early = true,
				  .options = links->options,
				  .write = collect,
				  .user = links};
	struct copse_builder b;

	copse_build_rest(&b, links->options, sizeof(links->options));
	copse_build_option(&b, COPSE_OPTION_URI_PATH, ".well-known", 11);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "core", 4);
	call.options_len = (size_t)copse_build_finish(&b);
	links->len = 0;
	links->again = COPSE_NEVER;
	links->asked = copse_client_start(links->client, &call, now, &links->call) == COPSE_OK;
	if (!links->asked)
		links->again = now + LINKS_RETRY_MS;
}

void links_line(struct links *links, const struct copse_peer *sensor, copse_ms now)
{
	if (links->asked)
		copse_client_abort(links->client, links->call, now);
	links->asked = false;
	links->again = COPSE_NEVER;
	forget(links, now);
	links->up = sensor != NULL;
	if (!sensor)
		return;
	links->sensor = *sensor;
	ask(links, now);
}

/* A copy that lives as long as the list, or NULL. */
static char *keep(struct links *links, const char *text, size_t len)
{
	char *at = links->text + links->text_len;

	if (len >= sizeof(links->text) - links->text_len)
		return NULL;
	memcpy(at, text, len);
	at[len] = 0;
	links->text_len += len + 1;
	return at;
}

static const char *attribute(struct links *links, const struct copse_link *link, const char *name)
{
	struct copse_link_attribute a;
	char value[128];
	int n;

	if (!copse_link_attribute(link, name, &a))
		return NULL;
	n = copse_link_value(&a, value, sizeof(value));
	return n > 0 ? keep(links, value, (size_t)n) : NULL;
}

static void read_formats(struct links *links, const struct copse_link *link, struct listed *l)
{
	const char *text = attribute(links, link, "ct");
	unsigned n = 0;

	while (text && *text && n < FORMATS_MAX) {
		char *end;
		const unsigned long value = strtoul(text, &end, 10);
		if (end == text || value >= COPSE_FORMATS_END)
			break;
		l->formats[n++] = (uint16_t)value;
		text = end;
	}
	l->formats[n] = COPSE_FORMATS_END;
	l->resource.formats = n ? l->formats : NULL;
}

/* The target of a link as a path: "/a/b" of the sensor's own; others are not the card's to list. */
static const char *path_of(struct links *links, const struct copse_link *link)
{
	const struct copse_text *t = &link->target;

	if (t->len < 2 || t->at[0] != '/' || t->at[1] == '/' || memchr(t->at, '?', t->len) ||
	    memchr(t->at, '%', t->len) || memchr(t->at, '*', t->len) ||
	    (t->len >= 11 && memcmp(t->at, "/.well-known", 11) == 0))
		return NULL;
	return keep(links, t->at + 1, t->len - 1);
}

static void list(struct links *links, const struct copse_link *link)
{
	struct listed *l = &links->listed[links->count];
	struct copse_link_attribute a;

	*l = (struct listed){0};
	l->resource.path = path_of(links, link);
	if (!l->resource.path)
		return;
	l->resource.rt = attribute(links, link, "rt");
	l->resource.interface = attribute(links, link, "if");
	l->resource.title = attribute(links, link, "title");
	l->resource.flags = copse_link_attribute(link, "obs", &a) ? COPSE_RESOURCE_OBSERVABLE : 0;
	read_formats(links, link, l);
	if (copse_server_add(links->server, &l->resource) ==
	    COPSE_OK) /* the card's own of that name goes first */
		links->count++;
}

void links_take(struct links *links, const struct copse_client_event *event, copse_ms now)
{
	struct copse_link_reader reader = {.text = links->document, .len = links->len};
	struct copse_link link;

	if (event->kind == COPSE_CLIENT_PROGRESS)
		return;
	links->asked = false;
	if (event->kind != COPSE_CLIENT_RESPONSE || event->message->code != COPSE_CODE_CONTENT) {
		links->again = now + LINKS_RETRY_MS;
		return;
	}
	while (links->count < LINKS_MAX && copse_link_next(&reader, &link) > 0)
		list(links, &link);
}

copse_ms links_deadline(const struct links *links)
{
	return links->up ? links->again : COPSE_NEVER;
}

void links_expire(struct links *links, copse_ms now)
{
	if (links->up && now >= links->again)
		ask(links, now);
}

unsigned links_count(const struct links *links)
{
	return links->count;
}

struct links *links_new(struct copse_client *client, struct copse_server *server)
{
	struct links *links = copse_mem_new(1, sizeof(*links));

	if (!links)
		return NULL;
	links->client = client;
	links->server = server;
	links->again = COPSE_NEVER;
	return links;
}

void links_free(struct links *links)
{
	copse_mem_free(links);
}
