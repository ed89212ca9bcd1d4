/* From text to a snapshot: libConfuse parses and checks each value where it stands (config_options.c), then the
 * sections become structs and are checked against each other. Every message bears file and line.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config_parse.h"
#include "collector.h"
#include "config_text.h"
#include "key.h"

#include "core/siphash.h"
#include "store/sensor_type.h"

#include <copse/block.h>
#include <copse/host.h>
#include <copse/mem.h>

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void copy(char *out, size_t cap, const char *text)
{
	snprintf(out, cap, "%s", text ? text : "");
}

static copse_ms ms(double seconds)
{
	return (copse_ms)(seconds * 1000 + 0.5);
}

static int take_name(struct gw_config *c, cfg_t *cfg)
{
	const char *name = cfg_getstr(cfg, "name");

	if (name) {
		copy(c->name, sizeof(c->name), name);
	} else if (gethostname(c->name, sizeof(c->name)) != 0 || !c->name[0]) {
		copy(c->name, sizeof(c->name), "copse-gateway");
	}
	c->name[sizeof(c->name) - 1] = 0;
	return 0;
}

static int take_origins(struct gw_config *c, cfg_t *clients)
{
	size_t len = 0;

	for (unsigned i = 0; i < cfg_size(clients, "origins"); i++) {
		const int n = snprintf(c->origins + len, sizeof(c->origins) - len, "%s%s", i ? " " : "",
				       cfg_getnstr(clients, "origins", i));

		if (n < 0 || (size_t)n >= sizeof(c->origins) - len) {
			cfg_error(clients, "'origins' has more than %d bytes", GW_ORIGINS_MAX - 1);
			return -1;
		}
		len += (size_t)n;
	}
	return 0;
}

int gw_spread_from_text(const char *text)
{
	if (strcmp(text, "address") == 0)
		return GW_SPREAD_ADDRESS;
	return strcmp(text, "port") == 0 ? (int)GW_SPREAD_PORT : -1;
}

static int take_root(struct gw_config *c, cfg_t *cfg)
{
	c->listen_n = cfg_size(cfg, "listen");
	if (c->listen_n > GW_LISTEN_MAX || c->listen_n == 0) {
		cfg_error(cfg, "'listen' needs 1 to %d addresses", GW_LISTEN_MAX);
		return -1;
	}
	for (unsigned i = 0; i < c->listen_n; i++)
		gw_config_listen_parse(cfg_getnstr(cfg, "listen", i), false, &c->listen[i],
				       &c->listen_stream[i]);
	c->spread = (enum gw_spread)gw_spread_from_text(cfg_getstr(cfg, "spread"));
	c->segmentation = cfg_getbool(cfg, "segmentation");
	c->log_level = (enum gw_log_level)gw_log_level_from_text(cfg_getstr(cfg, "log|level"));
	return take_name(c, cfg) || take_origins(c, cfg_getsec(cfg, "clients"));
}

/* After mesh.bind: others would take the ports behind one that it names, and nobody has said that these are free. */
static void take_workers(struct gw_config *c, cfg_t *cfg)
{
	const long n = cfg_getint(cfg, "workers");

	c->workers = n >= 0 ? (uint32_t)n : copse_address_port(&c->mesh_bind) != 0;
}

static int take_names(struct gw_names *names, cfg_t *sec, const char *option)
{
	names->n = cfg_size(sec, option);
	if (names->n > GW_TOKEN_NAMES) {
		cfg_error(sec, "'%s' has more than %d texts", option, GW_TOKEN_NAMES);
		return -1;
	}
	for (unsigned i = 0; i < names->n; i++)
		copy(names->text[i], sizeof(names->text[i]), cfg_getnstr(sec, option, i));
	return 0;
}

static int take_token(struct gw_config *c, cfg_t *token)
{
	copy(c->token.account_claim, sizeof(c->token.account_claim), cfg_getstr(token, "account_claim"));
	copy(c->token.allow_claim, sizeof(c->token.allow_claim), cfg_getstr(token, "allow_claim"));
	copy(c->token.deny_claim, sizeof(c->token.deny_claim), cfg_getstr(token, "deny_claim"));
	c->token.skew = cfg_getint(token, "skew");
	c->token.require_exp = cfg_getbool(token, "require_exp") == cfg_true;
	c->token.rate = (uint32_t)cfg_getint(token, "rate");
	return take_names(&c->token.issuer, token, "issuer") ||
	       take_names(&c->token.audience, token, "audience");
}

/* `rate` a second, not 0 for what is not 0; without `burst`, a second's worth at once. */
static struct gw_rate take_rate(cfg_t *sec)
{
	double rate = cfg_getfloat(sec, "rate");
	long burst = cfg_getint(sec, "burst");
	uint32_t thousandths = (uint32_t)(rate * 1000 + 0.5);

	if (burst == 0)
		burst = rate > 1 ? (long)(rate + 0.999) : 1;
	return (struct gw_rate){thousandths || rate <= 0 ? thousandths : 1, (uint32_t)burst};
}

static void take_sessions(struct gw_config *c, cfg_t *sessions)
{
	c->sessions_max = (uint32_t)cfg_getint(sessions, "max");
	c->sessions_per_account = (uint32_t)cfg_getint(sessions, "per_account");
	c->session_idle_ms = ms(cfg_getfloat(sessions, "idle"));
	c->session_requests = (uint32_t)cfg_getint(sessions, "requests");
	c->grants_max = (uint32_t)cfg_getint(sessions, "grants");
	c->account_rate = take_rate(sessions);
}

static int take_params(struct copse_params *p, cfg_t *sec)
{
	*p = (struct copse_params)COPSE_PARAMS_DEFAULT;
	p->ack_timeout_ms = (uint32_t)ms(cfg_getfloat(sec, "ack_timeout"));
	p->ack_random_percent = (uint16_t)(cfg_getfloat(sec, "ack_random_factor") * 100 + 0.5);
	p->max_retransmit = (uint8_t)cfg_getint(sec, "max_retransmit");
	p->nstart = (uint16_t)cfg_getint(sec, "nstart");
	const char *why = copse_params_check(p);
	if (why)
		cfg_error(sec, "%s: %s", cfg_name(sec), why);
	return why ? -1 : 0;
}

static int take_mesh(struct gw_config *c, cfg_t *mesh)
{
	const char *prefix = cfg_getstr(mesh, "prefix");

	copse_address_parse(cfg_getstr(mesh, "bind"), 0, &c->mesh_bind);
	c->mesh_port = (uint16_t)cfg_getint(mesh, "port");
	c->mesh_secure_port = (uint16_t)cfg_getint(mesh, "secure_port");
	c->mesh_hops = (uint8_t)cfg_getint(mesh, "hops");
	c->mesh_clear = strcmp(cfg_getstr(mesh, "security"), "none") == 0;
	c->has_mesh_prefix = prefix && gw_prefix_parse(prefix, &c->mesh_prefix) == 0;
	if (take_params(&c->mesh, mesh) != 0)
		return -1;
	c->mesh.response_timeout_ms = (uint32_t)ms(cfg_getfloat(mesh, "response_timeout"));
	return 0;
}

static int take_proxy(struct gw_config *c, cfg_t *proxy)
{
	c->requests_max = (uint32_t)cfg_getint(proxy, "requests");
	c->max_message = (uint32_t)cfg_getint(proxy, "max_message");
	c->hop_limit = (uint8_t)cfg_getint(proxy, "hop_limit");
	c->waiting_max = (uint32_t)cfg_getint(proxy, "waiting");
	c->transfers_max = (uint32_t)cfg_getint(proxy, "transfers");
	c->transfer_idle_ms = ms(cfg_getfloat(proxy, "transfer_idle"));
	c->drain_ms = ms(cfg_getfloat(proxy, "drain"));
	c->remembered_bytes = (size_t)cfg_getint(proxy, "remembered");
	c->outside_n = cfg_size(proxy, "outside");
	c->outside = copse_mem_new(c->outside_n, sizeof(*c->outside));
	if (!c->outside)
		return -1;
	for (unsigned i = 0; i < c->outside_n; i++)
		gw_prefix_parse(cfg_getnstr(proxy, "outside", i), &c->outside[i]);
	return 0;
}

static void take_cache(struct gw_config *c, cfg_t *cache)
{
	c->cache_entries = (uint32_t)cfg_getint(cache, "entries");
	c->cache_bytes = (uint64_t)cfg_getint(cache, "bytes");
	c->cache_waiters = (uint32_t)cfg_getint(cache, "waiters");
}

static void take_observe(struct gw_config *c, cfg_t *observe)
{
	c->observations_max = (uint32_t)cfg_getint(observe, "observations");
	c->observers_max = (uint32_t)cfg_getint(observe, "observers");
	c->session_observers = (uint32_t)cfg_getint(observe, "per_session");
}

static bool same_params(const struct copse_params *a, const struct copse_params *b)
{
	return a->ack_timeout_ms == b->ack_timeout_ms && a->ack_random_percent == b->ack_random_percent &&
	       a->max_retransmit == b->max_retransmit && a->nstart == b->nstart &&
	       a->response_timeout_ms == b->response_timeout_ms;
}

/* A class whose transmission differs from the mesh's has a group of the endpoint of its own. */
static int take_class_params(struct gw_config *c, struct gw_class *class, cfg_t *sec)
{
	struct copse_params p = c->mesh;

	if (cfg_size(sec, "ack_timeout"))
		p.ack_timeout_ms = (uint32_t)ms(cfg_getfloat(sec, "ack_timeout"));
	if (cfg_size(sec, "ack_random_factor"))
		p.ack_random_percent = (uint16_t)(cfg_getfloat(sec, "ack_random_factor") * 100 + 0.5);
	if (cfg_size(sec, "max_retransmit"))
		p.max_retransmit = (uint8_t)cfg_getint(sec, "max_retransmit");
	if (cfg_size(sec, "response_timeout"))
		p.response_timeout_ms = (uint32_t)ms(cfg_getfloat(sec, "response_timeout"));
	if (p.nstart < class->lane.concurrent)
		p.nstart = class->lane.concurrent;
	const char *why = copse_params_check(&p);
	if (why) {
		cfg_error(sec, "class '%s': %s", class->name, why);
		return -1;
	}
	if (same_params(&p, &c->mesh))
		return 0;
	if (c->group_n == COPSE_GROUPS_MAX) {
		cfg_error(sec, "more than %d classes differ from the mesh in transmission or concurrency",
			  COPSE_GROUPS_MAX - GW_GROUP_CLASSES);
		return -1;
	}
	class->group = c->group_n;
	c->groups[c->group_n++] = p;
	return 0;
}

static int take_class(struct gw_config *c, struct gw_class *class, cfg_t *sec)
{
	const char *title = cfg_title(sec);

	gw_name_normalize(title, strlen(title), class->name);
	class->group = GW_GROUP_MESH;
	class->lane.concurrent = (uint16_t)cfg_getint(sec, "concurrent");
	class->lane.queue = (uint16_t)cfg_getint(sec, "queue");
	class->szx = copse_block_szx((size_t)cfg_getint(sec, "block_size"));
	class->sleeping = cfg_getbool(sec, "sleeping");
	class->request_tag = cfg_getbool(sec, "request_tag");
	class->cache = (enum gw_sharing)gw_sharing_from_text(cfg_getstr(sec, "cache"));
	class->rate = take_rate(sec);
	return take_class_params(c, class, sec);
}

static int take_accounts(struct gw_access *a, cfg_t *sec)
{
	a->account_n = cfg_size(sec, "account");
	a->accounts = copse_mem_new(a->account_n, sizeof(*a->accounts));
	if (!a->accounts)
		return -1;
	for (unsigned i = 0; i < a->account_n; i++) {
		const char *text = cfg_getnstr(sec, "account", i);
		size_t len = strlen(text);
		a->accounts[i].beginning = len && text[len - 1] == '*';
		len -= a->accounts[i].beginning;
		if (len > GW_ACCOUNT_MAX) {
			cfg_error(sec, "an account has at most %d bytes", GW_ACCOUNT_MAX);
			return -1;
		}
		memcpy(a->accounts[i].text, text, len);
	}
	return 0;
}

static int take_access(struct gw_access *a, cfg_t *sec)
{
	const char *action = cfg_getstr(sec, "action");

	if (!action) {
		cfg_error(sec, "access '%s' has no action", cfg_title(sec));
		return -1;
	}
	a->deny = strcmp(action, "deny") == 0;
	a->rule_n = cfg_size(sec, "request");
	a->rules = copse_mem_new(a->rule_n, sizeof(*a->rules));
	if (!a->rules)
		return -1;
	a->devices = a->rule_n == 0;
	for (unsigned i = 0; i < a->rule_n; i++) {
		const char *text = cfg_getnstr(sec, "request", i);
		gw_rule_parse(text, strlen(text), &a->rules[i]);
		a->devices |= !a->rules[i].documents;
	}
	return take_accounts(a, sec);
}

static int take_accesses(struct gw_config *c, cfg_t *cfg)
{
	c->access_n = cfg_size(cfg, "access");
	c->access = copse_mem_new(c->access_n, sizeof(*c->access));
	if (!c->access)
		return -1;
	for (unsigned i = 0; i < c->access_n; i++) {
		if (take_access(&c->access[i], cfg_getnsec(cfg, "access", i)) != 0)
			return -1;
		c->access_to_devices |= c->access[i].devices;
	}
	return 0;
}

static const struct gw_class *find_class(const struct gw_config *c, const char *name)
{
	for (size_t i = 0; i < c->class_n; i++)
		if (strcmp(c->classes[i].name, name) == 0)
			return &c->classes[i];
	return NULL;
}

/* The default class is there whether or not it has a section. */
static int take_classes(struct gw_config *c, cfg_t *cfg)
{
	unsigned n = cfg_size(cfg, "class");

	c->group_n = GW_GROUP_CLASSES;
	c->classes = copse_mem_new(n + 1, sizeof(*c->classes));
	if (!c->classes)
		return -1;
	c->classes[0] = (struct gw_class){
	    .name = "default", .lane = {.concurrent = 1}, .szx = COPSE_BLOCK_SZX_MAX, .group = GW_GROUP_MESH};
	c->class_n = 1;
	for (unsigned i = 0; i < n; i++) {
		cfg_t *sec = cfg_getnsec(cfg, "class", i);
		bool is_default = strcasecmp(cfg_title(sec), "default") == 0;
		struct gw_class *class = &c->classes[is_default ? 0 : c->class_n];
		if (take_class(c, class, sec) != 0)
			return -1;
		if (!is_default && find_class(c, class->name)) {
			cfg_error(sec, "class '%s' stands here twice, if differently written", class->name);
			return -1;
		}
		c->class_n += !is_default;
	}
	return 0;
}

static uint16_t class_number(const struct gw_config *c, const char *text)
{
	char name[GW_NAME_MAX + 1];

	if (gw_name_normalize(text, strlen(text), name) < 0)
		return GW_CLASS_DEFAULT;
	const struct gw_class *class = find_class(c, name);
	return class ? (uint16_t)(class - c->classes) : GW_CLASS_DEFAULT;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) % 16 : -1;
}

bool gw_implicit_parse(const char *text, struct gw_implicit *implicit)
{
	const char *token = strchr(text, ':');
	char type[64];

	*implicit = (struct gw_implicit){0};
	if (!token || (size_t)(token - text) >= sizeof(type))
		return false;
	snprintf(type, sizeof(type), "%.*s", (int)(token - text), text);
	implicit->type = store_sensor_type(type);
	for (token++; *token && implicit->token_len < sizeof(implicit->token); token += 2) {
		const int high = hex_digit(token[0]), low = high < 0 ? -1 : hex_digit(token[1]);
		if (low < 0)
			return false;
		implicit->token[implicit->token_len++] = (uint8_t)(high << 4 | low);
	}
	return implicit->type && implicit->token_len && !*token;
}

static int take_collector(struct gw_config *c, cfg_t *sec)
{
	struct gw_collector_config *out = &c->collector;

	copy(out->path, sizeof(out->path), cfg_getstr(sec, "store"));
	out->sync = cfg_getbool(sec, "sync") == cfg_true;
	out->open = cfg_getbool(sec, "open") == cfg_true;
	out->refuse_mismatch = strcmp(cfg_getstr(sec, "mismatch"), "refuse") == 0;
	out->devices = (uint32_t)cfg_getint(sec, "devices");
	out->rate = take_rate(sec);
	out->keep_us = (int64_t)(cfg_getfloat(sec, "keep") * 86400e6);
	out->max_bytes = (uint64_t)(cfg_getfloat(sec, "max_size") * 1e6);
	out->type_n = cfg_size(sec, "types");
	out->interface_n = cfg_size(sec, "interfaces");
	out->implicit_n = cfg_size(sec, "implicit");
	if (out->implicit_n > GW_IMPLICIT_MAX) {
		cfg_error(sec, "collector: at most %d implicit subscriptions", GW_IMPLICIT_MAX);
		return -1;
	}
	for (unsigned i = 0; i < out->implicit_n; i++)
		gw_implicit_parse(cfg_getnstr(sec, "implicit", i), &out->implicit[i]);
	if (out->type_n > GW_COLLECTOR_TYPES_MAX || out->interface_n > GW_COLLECTOR_INTERFACES_MAX) {
		cfg_error(sec, "collector: at most %d types and %d interfaces", GW_COLLECTOR_TYPES_MAX,
			  GW_COLLECTOR_INTERFACES_MAX);
		return -1;
	}
	for (unsigned i = 0; i < out->type_n; i++)
		out->type[i] = store_sensor_type(cfg_getnstr(sec, "types", i));
	for (unsigned i = 0; i < out->interface_n; i++)
		copy(out->interface[i], sizeof(out->interface[i]), cfg_getnstr(sec, "interfaces", i));
	return 0;
}

void gw_config_beside(char *out, size_t cap, const cfg_t *sec, const char *name)
{
	char folder[PATH_MAX];

	copy(folder, sizeof(folder), sec->filename);
	if (name[0] == '/')
		copy(out, cap, name);
	else
		snprintf(out, cap, "%s/%s", dirname(folder), name);
}

uint32_t gw_config_hash(const struct gw_config *config, const char *name, size_t len)
{
	return (uint32_t)core_siphash(config->hash_key, name, len, 1, 3);
}

uint32_t gw_config_address_hash(const struct gw_config *config, const struct copse_address *a)
{
	uint8_t bytes[18] = {0};
	uint16_t port = copse_address_port(a);

	if (a->sa.sa_family == AF_INET)
		memcpy(bytes, &a->in.sin_addr, 4);
	else
		memcpy(bytes, &a->in6.sin6_addr, 16);
	memcpy(bytes + 16, &port, 2);
	return (uint32_t)core_siphash(config->hash_key, bytes, sizeof(bytes), 1, 3);
}

static bool has_device(const struct gw_config *c, const char *name, uint32_t hash)
{
	uint32_t pos = hash & c->device_index.mask, found;

	while ((found = core_table_next(&c->device_index, hash, &pos)) != 0)
		if (strcmp(c->devices[found - 1].name, name) == 0)
			return true;
	return false;
}

static int take_device(struct gw_config *c, uint32_t i, cfg_t *sec)
{
	struct gw_device *d = &c->devices[i];
	const char *address = cfg_getstr(sec, "address"), *title = cfg_title(sec);
	long port = cfg_getint(sec, "port"), secure_port = cfg_getint(sec, "secure_port");

	gw_name_normalize(title, strlen(title), d->name);
	d->port = port ? (uint16_t)port : c->mesh_port;
	d->secure_port = secure_port ? (uint16_t)secure_port : c->mesh_secure_port;
	d->deny = cfg_getbool(sec, "deny") == cfg_true;
	d->sleeping = cfg_getbool(sec, "sleeping") == cfg_true;
	d->stream = strcmp(cfg_getstr(sec, "transport"), "tcp") == 0;
	copy(d->class, sizeof(d->class), cfg_getstr(sec, "class"));
	d->class_number = class_number(c, d->class);
	copy(d->uri_host, sizeof(d->uri_host), cfg_getstr(sec, "uri_host"));
	if (address) {
		copse_address_parse(address, d->port, &d->address);
	} else if (!c->has_mesh_prefix || strspn(d->name, "0123456789abcdef") != strlen(d->name) ||
		   (strlen(d->name) != 12 && strlen(d->name) != 16)) {
		cfg_error(sec, "device '%s' has no address, and none can be made of its name", title);
		return -1;
	}
	uint32_t hash = gw_config_hash(c, d->name, strlen(d->name));
	if (has_device(c, d->name, hash)) {
		cfg_error(sec, "device '%s' stands here twice, if differently written", title);
		return -1;
	}
	core_table_insert(&c->device_index, hash, i + 1);
	if (d->address.len) {
		struct copse_address secure = d->address;
		copse_address_set_port(&secure, d->secure_port);
		core_table_insert(&c->address_index, gw_config_address_hash(c, &d->address), i + 1);
		if (d->secure_port != d->port)
			core_table_insert(&c->address_index, gw_config_address_hash(c, &secure), i + 1);
	}
	return 0;
}

static int take_devices(struct gw_config *c, cfg_t *cfg)
{
	c->device_n = cfg_size(cfg, "device");
	c->devices = copse_mem_new(c->device_n, sizeof(*c->devices));
	uint32_t slot_n = core_table_slots(c->device_n);
	struct core_slot *slots = copse_mem_new(slot_n, sizeof(*slots));
	uint32_t other_n = core_table_slots(2 * c->device_n); /* by either port */
	struct core_slot *others = copse_mem_new(other_n, sizeof(*others));
	if (!c->devices || !slots || !others) {
		copse_mem_free(slots);
		copse_mem_free(others);
		return -1;
	}
	copse_host_random(c->hash_key, sizeof(c->hash_key));
	core_table_init(&c->device_index, slots, slot_n);
	core_table_init(&c->address_index, others, other_n);
	for (uint32_t i = 0; i < c->device_n; i++)
		if (take_device(c, i, cfg_getnsec(cfg, "device", i)) != 0)
			return -1;
	return 0;
}

static int take_group(struct gw_config *c, struct gw_group *g, cfg_t *sec)
{
	const char *title = cfg_title(sec), *address = cfg_getstr(sec, "address");
	uint32_t hash;

	gw_name_normalize(title, strlen(title), g->name);
	if (!address || copse_address_parse(address, c->mesh_port, &g->address) != 0 ||
	    !copse_address_is_group(&g->address)) {
		cfg_error(sec, "group '%s' needs the address of a group", title);
		return -1;
	}
	hash = gw_config_hash(c, g->name, strlen(g->name));
	if (has_device(c, g->name, hash)) {
		cfg_error(sec, "'%s' is a device, too", title);
		return -1;
	}
	g->answers = (uint32_t)cfg_getint(sec, "answers");
	g->timeout = (uint32_t)cfg_getint(sec, "timeout");
	g->rate = take_rate(sec);
	return 0;
}

static int take_groups(struct gw_config *c, cfg_t *cfg)
{
	c->group_list_n = cfg_size(cfg, "group");
	c->group_list = copse_mem_new(c->group_list_n, sizeof(*c->group_list));
	if (!c->group_list)
		return -1;
	for (unsigned i = 0; i < c->group_list_n; i++)
		if (take_group(c, &c->group_list[i], cfg_getnsec(cfg, "group", i)) != 0)
			return -1;
	return 0;
}

size_t gw_config_put_link(char *buf, size_t cap, const struct gw_device *d, bool first)
{
	return (size_t)snprintf(buf, cap, "%s<coap://%s>;ep=\"%s\"%s%s%s", first ? "" : ",", d->name, d->name,
				d->class[0] ? ";et=\"" : "", d->class, d->class[0] ? "\"" : "");
}

/* The list that /devices shows, in link format (RFC 6690; ep and et are those of RFC 9176): made once, so that its blocks
 * cost nothing. */
static int list_devices(struct gw_config *c)
{
	static const uint64_t key[2];
	size_t cap = 1;

	for (uint32_t i = 0; i < c->device_n; i++)
		cap += c->devices[i].deny ? 0 : gw_config_put_link(NULL, 0, &c->devices[i], false);
	c->device_list = copse_mem_new(cap, 1);
	if (!c->device_list)
		return -1;
	for (uint32_t i = 0; i < c->device_n; i++)
		if (!c->devices[i].deny)
			c->device_list_len +=
			    gw_config_put_link(c->device_list + c->device_list_len, cap - c->device_list_len,
					       &c->devices[i], c->device_list_len == 0);
	uint64_t hash = core_siphash(key, c->device_list, c->device_list_len, 2, 4);
	memcpy(c->device_list_etag, &hash, sizeof(hash));
	return 0;
}

static void take_mailbox(struct gw_mail_config *c, cfg_t *sec)
{
	c->requests = (uint32_t)cfg_getint(sec, "requests");
	c->of_device = (uint32_t)cfg_getint(sec, "per_device");
	c->of_account = (uint32_t)cfg_getint(sec, "per_account");
	c->limit_ms = (copse_ms)cfg_getint(sec, "limit") * 1000;
}

static int take_all(struct gw_config *c, cfg_t *cfg)
{
	if (take_token(c, cfg_getsec(cfg, "token")) != 0)
		return -1;
	take_sessions(c, cfg_getsec(cfg, "sessions"));
	take_cache(c, cfg_getsec(cfg, "cache"));
	c->amplification = (uint8_t)cfg_getint(cfg, "clients|amplification");
	take_observe(c, cfg_getsec(cfg, "observe"));
	c->directory.registrations = (uint32_t)cfg_getint(cfg, "directory|registrations");
	c->directory.open = cfg_getbool(cfg, "directory|open") == cfg_true;
	take_mailbox(&c->mailbox, cfg_getsec(cfg, "mailbox"));
	if (take_mesh(c, cfg_getsec(cfg, "mesh")) != 0)
		return -1;
	take_workers(c, cfg);
	return take_root(c, cfg) || take_params(&c->clients, cfg_getsec(cfg, "clients")) ||
	       take_proxy(c, cfg_getsec(cfg, "proxy")) || take_collector(c, cfg_getsec(cfg, "collector")) ||
	       take_accesses(c, cfg) || take_classes(c, cfg) || gw_config_take_keys(c, cfg) ||
	       take_devices(c, cfg) || take_groups(c, cfg) || list_devices(c) ||
	       gw_config_take_secure(c, cfg) || gw_config_take_mesh_keys(c, cfg);
}

struct gw_config *gw_config_read(const char *path, char why[GW_CONFIG_WHY])
{
	struct gw_config *c = NULL;
	cfg_t *cfg = gw_config_parse(path, why);

	if (!cfg)
		return NULL;
	c = copse_mem_new(1, sizeof(*c));
	if (c && take_all(c, cfg) != 0) {
		gw_config_free(c);
		c = NULL;
	}
	if (!c && !why[0])
		snprintf(why, GW_CONFIG_WHY, "%s: out of memory\n", path);
	gw_config_parsed_free(cfg);
	return c;
}

void gw_config_free(struct gw_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; c->keys && i < c->key_n; i++)
		gw_key_wipe(&c->keys[i]);
	copse_mem_free(c->keys);
	copse_secure_unref(c->client_keys);
	copse_secure_unref(c->mesh_keys);
	copse_mem_free(c->outside);
	for (size_t i = 0; c->access && i < c->access_n; i++) {
		copse_mem_free(c->access[i].accounts);
		copse_mem_free(c->access[i].rules);
	}
	copse_mem_free(c->access);
	copse_mem_free(c->classes);
	copse_mem_free(c->devices);
	copse_mem_free(c->device_list);
	copse_mem_free(c->device_index.slot);
	copse_mem_free(c->address_index.slot);
	copse_mem_free(c->group_list);
	copse_mem_free(c);
}

static bool same_secure(const struct gw_config *a, const struct gw_config *b)
{
	if (!a->client_keys != !b->client_keys || a->secure_listen_n != b->secure_listen_n)
		return false;
	for (size_t i = 0; i < a->secure_listen_n; i++)
		if (!copse_address_equal(&a->secure_listen[i], &b->secure_listen[i]) ||
		    a->secure_listen_stream[i] != b->secure_listen_stream[i])
			return false;
	return a->associations == b->associations && a->handshakes == b->handshakes &&
	       a->handshake_rate == b->handshake_rate && a->handshake_helpers == b->handshake_helpers &&
	       a->association_idle_ms == b->association_idle_ms;
}

static bool same_listen(const struct gw_config *a, const struct gw_config *b)
{
	if (a->listen_n != b->listen_n)
		return false;
	for (size_t i = 0; i < a->listen_n; i++)
		if (!copse_address_equal(&a->listen[i], &b->listen[i]) ||
		    a->listen_stream[i] != b->listen_stream[i])
			return false;
	return true;
}

/* Groups are the endpoint's, and made once. */
static bool same_groups(const struct gw_config *a, const struct gw_config *b)
{
	if (a->group_n != b->group_n)
		return false;
	for (unsigned i = GW_GROUP_CLASSES; i < a->group_n; i++)
		if (!same_params(&a->groups[i], &b->groups[i]))
			return false;
	return true;
}

/* But for what is taken up on SIGHUP. */
static bool same_collector(const struct gw_collector_config *a, const struct gw_collector_config *b)
{
	struct gw_collector_config other = *b;

	other.open = a->open;
	other.rate = a->rate;
	other.refuse_mismatch = a->refuse_mismatch;
	return memcmp(a, &other, sizeof(other)) == 0;
}

static bool same_mailbox(const struct gw_mail_config *a, const struct gw_mail_config *b)
{
	return a->requests == b->requests && a->of_device == b->of_device && a->of_account == b->of_account;
}

const char *gw_config_restart_needed(const struct gw_config *a, const struct gw_config *b, char *buf,
				     size_t cap)
{
	const struct {
		bool same;
		const char *name;
	} rows[] = {
	    {strcmp(a->name, b->name) == 0, "name"},
	    {same_listen(a, b), "listen"},
	    {strcmp(a->origins, b->origins) == 0, "clients.origins"},
	    {a->workers == b->workers, "workers"},
	    {a->spread == b->spread, "spread"},
	    {a->segmentation == b->segmentation, "segmentation"},
	    {same_secure(a, b), "secure (addresses and bounds)"},
	    {!a->mesh_keys == !b->mesh_keys, "mesh, whether there are keys"},
	    {a->sessions_max == b->sessions_max, "sessions.max"},
	    {same_params(&a->clients, &b->clients), "clients"},
	    {a->amplification == b->amplification, "clients.amplification"},
	    {same_params(&a->mesh, &b->mesh), "mesh (transmission)"},
	    {copse_address_equal(&a->mesh_bind, &b->mesh_bind), "mesh.bind"},
	    {a->mesh_hops == b->mesh_hops, "mesh.hops"},
	    {a->requests_max == b->requests_max, "proxy.requests"},
	    {a->max_message == b->max_message, "proxy.max_message"},
	    {a->waiting_max == b->waiting_max, "proxy.waiting"},
	    {a->remembered_bytes == b->remembered_bytes, "proxy.remembered"},
	    {a->transfers_max == b->transfers_max, "proxy.transfers"},
	    {same_groups(a, b), "class (transmission)"},
	    {a->grants_max == b->grants_max, "sessions.grants"},
	    {a->cache_entries == b->cache_entries, "cache.entries"},
	    {a->cache_bytes == b->cache_bytes, "cache.bytes"},
	    {a->observations_max == b->observations_max, "observe.observations"},
	    {a->observers_max == b->observers_max, "observe.observers"},
	    {same_collector(&a->collector, &b->collector), "collector"},
	    {a->directory.registrations == b->directory.registrations, "directory.registrations"},
	    {same_mailbox(&a->mailbox, &b->mailbox), "mailbox (bounds)"},
	};
	size_t len = 0;

	buf[0] = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!rows[i].same && len < cap)
			len += (size_t)snprintf(buf + len, cap - len, "%s%s", len ? ", " : "", rows[i].name);
	return buf;
}
