/* See visible.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "visible.h"

#include "access.h"
#include "resolver.h"

#include <copse/mem.h>

#include <stdio.h>
#include <string.h>

bool gw_visible_all(const struct gw_worker *w, const struct gw_session *s)
{
	return !w->config->access_to_devices && !(s && s->grant);
}

bool gw_visible(const struct gw_worker *w, const struct gw_session *s, const char *name)
{
	char alias[GW_NAME_MAX + 1];

	if (gw_visible_all(w, s))
		return true;
	gw_resolve_alias(name, strlen(name), alias);
	return !gw_access_hides(w->config, s ? s->account : "", name, alias) &&
	       !gw_grant_hides(gw_grants_at(w->grants, s ? s->grant : 0), name, alias);
}

/* Behind them, those of the resource directory that the configuration does not know. */
static size_t put_registered(const struct gw_worker *w, const struct gw_session *s, char *text, size_t len,
			     size_t cap)
{
	const struct gw_directory *dir = w->rd ? gw_rd_directory(w->rd) : NULL;
	const char *host;

	for (uint32_t pos = 0; dir && (host = gw_directory_next_host(dir, w->config, &pos));)
		if (!gw_resolve_has(w->config, host) && gw_visible(w, s, host))
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
