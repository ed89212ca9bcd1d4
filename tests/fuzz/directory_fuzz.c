/* Any text as a registration: the first line its parameters, separated by "&", the rest its links. What is taken can be
 * looked up, page by page, and is link format; a lookup by what it says of itself finds it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "gateway/directory.h"

#include <copse/link.h>

#include "message_check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char answer[GW_DIRECTORY_ANSWER];

static unsigned count_links(const char *text, size_t len)
{
	struct copse_link_reader reader = {.text = text, .len = len};
	struct copse_link link;
	unsigned n = 0;
	int more;

	while ((more = copse_link_next(&reader, &link)) > 0)
		n++;
	MESSAGE_CHECK(more == 0);
	return n;
}

static unsigned look(struct gw_directory *dir, bool endpoints, const struct copse_text *criteria, size_t n)
{
	const struct gw_lookup lookup = {.endpoints = endpoints, .criteria = criteria, .criteria_n = n};
	const char *why;
	size_t got;

	MESSAGE_CHECK(gw_directory_lookup(dir, &lookup, answer, &got, &why) == GW_DIRECTORY_OK);
	return count_links(answer, got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint64_t key[2] = {1, 2};
	static const struct copse_text page[] = {{"page=1", 6}, {"count=1", 7}},
				       type[] = {{"rt=core.rd-ep", 13}};
	const char *text = (const char *)data, *line = len ? memchr(data, '\n', len) : NULL;
	size_t left = line ? (size_t)(line - text) : len, n = 0;
	struct copse_text parameter[32];
	struct copse_address from = {.len = sizeof(struct sockaddr_in)};
	struct gw_directory *dir = gw_directory_new(4, key);
	const char *why = NULL;
	uint64_t id;

	MESSAGE_CHECK(dir != NULL);
	from.in.sin_family = AF_INET;
	for (const char *at = text; n < 32 && left > 0;) {
		const char *end = memchr(at, '&', left);
		size_t part = end ? (size_t)(end - at) : left;
		parameter[n++] = (struct copse_text){at, part};
		at += part + (end != NULL);
		left -= part + (end != NULL);
	}
	struct gw_enrolment e = {.parameter = parameter, .parameter_n = n, .from = &from};
	e.links = line ? line + 1 : "";
	e.links_len = line ? len - (size_t)(line + 1 - text) : 0;
	if (e.links_len <= GW_DIRECTORY_BODY &&
	    gw_directory_register(dir, &e, 0, &id, &why) == GW_DIRECTORY_OK) {
		unsigned links = count_links(e.links, e.links_len);
		MESSAGE_CHECK(look(dir, true, NULL, 0) == 1);
		MESSAGE_CHECK(look(dir, false, NULL, 0) == links);
		MESSAGE_CHECK(look(dir, false, type, 1) == links); /* each has what its endpoint has */
		MESSAGE_CHECK(look(dir, false, page, 2) == (links > 1));
		e.links_len = 0;
		e.parameter_n = 0;
		MESSAGE_CHECK(gw_directory_update(dir, id, &e, 1, &why) == GW_DIRECTORY_OK);
		MESSAGE_CHECK(look(dir, false, NULL, 0) == links);
		MESSAGE_CHECK(gw_directory_expire(dir, COPSE_NEVER) == 1);
	}
	gw_directory_free(dir);
	return 0;
}
