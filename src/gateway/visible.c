/* See visible.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "visible.h"

#include "access.h"
#include "resolver.h"

#include "core/siphash.h"
#include "store/identity.h"

#include <copse/mem.h>

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static_assert(STORE_DEVICE_MAX >= GW_NAME_MAX, "room for a name");

bool gw_visible_all(const struct gw_worker *w, const struct gw_session *s)
{
	return !w->config->access_to_devices && !(s && s->grant);
}

/* As rules know what has published under this identity, which is taken as it stands: its case says nothing, nor does
 * "device:" before it, as in the names of its records. */
static void put_name(char out[STORE_DEVICE_MAX + 1], const char *id)
{
	const char *bare = strncasecmp(id, "device:", strlen("device:")) == 0 ? id + strlen("device:") : id;

	if (gw_name_normalize(bare, strlen(bare), out) >= 0)
		return;
	memset(out, 0, STORE_DEVICE_MAX + 1);
	for (size_t i = 0; bare[i] && i < STORE_DEVICE_MAX; i++)
		out[i] = (char)tolower((unsigned char)bare[i]);
}

bool gw_visible(const struct gw_worker *w, const struct gw_session *s, const char *id)
{
	char name[STORE_DEVICE_MAX + 1], alias[GW_NAME_MAX + 1];

	if (gw_visible_all(w, s))
		return true;
	put_name(name, id);
	gw_resolve_alias(name, strlen(name), alias);
	return !gw_access_hides(w->config, s ? s->account : "", name, alias) &&
	       !gw_grant_hides(gw_grants_at(w->grants, s ? s->grant : 0), name, alias);
}

bool gw_may_describe(const struct gw_worker *w, const struct gw_session *s, const char *id, uint8_t method)
{
	const struct copse_message m = {.code = method};
	char name[STORE_DEVICE_MAX + 1], alias[GW_NAME_MAX + 1];

	put_name(name, id);
	gw_resolve_alias(name, strlen(name), alias);
	return !gw_access_denies(w->config, s ? s->account : "", &m, name, alias) &&
	       gw_grant_allows(gw_grants_at(w->grants, s ? s->grant : 0), &m, name, alias);
}

uint64_t gw_rights(const struct gw_worker *w, const struct gw_session *s)
{
	uint64_t all[2];

	if (!s)
		return 0;
	all[0] = (uint64_t)gw_sessions_number(w->sessions, s) << 32 | s->generation;
	all[1] = gw_grants_serial(w->grants, s->grant);
	/* each configuration has another key */
	return core_siphash(w->config->hash_key, all, sizeof(all), 1, 3) | 1;
}

/* A device of the resource directory: by the name that a request for it would be held against. */
static bool is_seen(const struct gw_worker *w, const struct gw_session *s, const char *host)
{
	const struct gw_directory *dir = gw_rd_directory(w->rd);
	struct gw_target target;

	for (int secure = 0; secure <= 1; secure++)
		if (gw_resolve_registered(w->config, dir, host, strlen(host), 0, 0, secure, &target) ==
		    GW_RESOLVED)
			return gw_visible(w, s, target.name);
	return false;
}

/* Behind them, those of the resource directory that the configuration does not know. */
static size_t put_registered(const struct gw_worker *w, const struct gw_session *s, char *text, size_t len,
			     size_t cap)
{
	const struct gw_directory *dir = w->rd ? gw_rd_directory(w->rd) : NULL;
	const char *host;

	for (uint32_t pos = 0; dir && (host = gw_directory_next_host(dir, w->config, &pos));)
		if (!gw_resolve_has(w->config, host) && is_seen(w, s, host))
			len += (size_t)snprintf(text + len, cap - len, "%s<coap://%s>;ep=\"%s\"",
						len ? "," : "", host, host);
	return len;
}

char *gw_visible_list(const struct gw_worker *w, const struct gw_session *s, size_t *len)
{
	const struct gw_directory *dir = w->rd ? gw_rd_directory(w->rd) : NULL;
	size_t cap = w->config->device_list_len + 1;

	cap += dir ? (size_t)gw_directory_count(dir) * (2 * GW_NAME_MAX + sizeof(",<coap://>;ep=\"\"")) : 0;
	char *text = copse_mem_new(cap, 1);
	*len = 0;
	if (!text)
		return NULL;
	for (uint32_t i = 0; i < w->config->device_n; i++) {
		const struct gw_device *d = &w->config->devices[i];
		if (!d->deny && gw_visible(w, s, d->name))
			*len += gw_config_put_link(text + *len, cap - *len, d, *len == 0);
	}
	*len = put_registered(w, s, text, *len, cap);
	return text;
}
