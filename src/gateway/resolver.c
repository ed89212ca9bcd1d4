/* See resolver.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "resolver.h"

#include <copse/uri.h>

#include <arpa/inet.h>

#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool gw_resolve_mac(const struct gw_prefix *prefix, const char *name, struct in6_addr *out)
{
	uint8_t id[8];
	size_t len = strlen(name);

	if ((len != 12 && len != 16) || !read_hex(name, id, len / 2))
		return false;
	if (len == 12) {
		memmove(id + 5, id + 3, 3);
		id[3] = 0xff;
		id[4] = 0xfe;
	}
	id[0] ^= 2; /* RFC 4291 Appendix A: the universal/local bit is inverted */
	memcpy(out->s6_addr, prefix->bytes, 8);
	memcpy(out->s6_addr + 8, id, 8);
	return true;
}

static enum gw_resolution by_prefix(const struct gw_config *config, const char *name, uint16_t port,
				    struct gw_target *target)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (!config->has_mesh_prefix || !gw_resolve_mac(&config->mesh_prefix, name, &in6.sin6_addr))
		return GW_RESOLVE_UNKNOWN;
	target->address.in6 = in6;
	target->address.len = sizeof(in6);
	return GW_RESOLVED;
}

static const struct gw_device *find_device(const struct gw_config *config, const char *name, size_t len)
{
	uint32_t hash = gw_config_hash(config, name, len), pos = hash & config->device_index.mask, found;

	while ((found = core_table_next(&config->device_index, hash, &pos)) != 0)
		if (strcmp(config->devices[found - 1].name, name) == 0)
			return &config->devices[found - 1];
	return NULL;
}

/* The same MAC ID with ff:fe in its middle, or without. */
void gw_resolve_alias(const char *name, size_t len, char alias[GW_NAME_MAX + 1])
{
	alias[0] = 0;
	if ((len != 12 && len != 16) || strspn(name, "0123456789abcdef") != len)
		return;
	if (len == 16 && memcmp(name + 6, "fffe", 4) != 0)
		return;
	memcpy(alias, name, 6);
	if (len == 12)
		memcpy(alias + 6, "fffe", 4);
	memcpy(alias + (len == 12 ? 10 : 6), name + len - 6, 7);
}

/* By either name, so that what the configuration says of a device cannot be avoided by its other one. */
static const struct gw_device *find_either(const struct gw_config *config, const char *name, size_t len,
					   const char *alias)
{
	const struct gw_device *d = find_device(config, name, len);

	return d || !alias[0] ? d : find_device(config, alias, strlen(alias));
}

static void set_secure(struct gw_target *target, uint16_t port)
{
	target->secure = target->address;
	copse_address_set_port(&target->secure, port);
}

static const struct gw_group *find_group(const struct gw_config *config, const char *name)
{
	for (size_t i = 0; i < config->group_list_n; i++)
		if (strcmp(config->group_list[i].name, name) == 0)
			return &config->group_list[i];
	return NULL;
}

/* However the URI names it, rules know a group by its name. */
static enum gw_resolution to_group(const struct gw_config *config, const struct gw_group *group,
				   uint16_t port, uint16_t default_port, struct gw_target *target)
{
	uint16_t own = copse_address_port(&group->address);

	if (port != own && port != default_port)
		return GW_RESOLVE_UNKNOWN;
	memcpy(target->name, group->name, sizeof(target->name));
	target->alias[0] = 0;
	target->group = group;
	target->address = target->secure = group->address;
	target->uri_host = "";
	target->class = &config->classes[GW_CLASS_DEFAULT];
	return GW_RESOLVED;
}

static bool same_ip(const struct copse_address *a, const struct copse_address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	return a->sa.sa_family == AF_INET ? memcmp(&a->in.sin_addr, &b->in.sin_addr, 4) == 0
					  : memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
}

/* A device of the configuration at this address and port, or, with `secure`, one that takes DTLS there. */
static const struct gw_device *device_at(const struct gw_config *config, const struct copse_address *a,
					 bool secure)
{
	uint32_t hash = gw_config_address_hash(config, a), pos = hash & config->address_index.mask, found;
	const struct gw_device *other = NULL;

	while ((found = core_table_next(&config->address_index, hash, &pos)) != 0) {
		const struct gw_device *d = &config->devices[found - 1];
		if (!same_ip(&d->address, a))
			continue;
		if (copse_address_port(&d->address) == copse_address_port(a))
			return d;
		if (secure && d->secure_port == copse_address_port(a))
			other = d;
	}
	return other;
}

/* The MAC ID that the mesh's prefix makes this address of. */
static bool mac_of(const struct gw_config *config, const struct copse_address *a, char name[GW_NAME_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	struct in6_addr back;

	if (!config->has_mesh_prefix || a->sa.sa_family != AF_INET6)
		return false;
	for (unsigned i = 0; i < 8; i++) {
		uint8_t byte = (uint8_t)(a->in6.sin6_addr.s6_addr[8 + i] ^ (i == 0 ? 2 : 0));
		name[2 * i] = digits[byte >> 4];
		name[2 * i + 1] = digits[byte & 15];
	}
	name[16] = 0;
	return gw_resolve_mac(&config->mesh_prefix, name, &back) &&
	       memcmp(&back, &a->in6.sin6_addr, sizeof(back)) == 0;
}

/* By the group's address, whatever the interface that it is sent by. */
static enum gw_resolution by_group_address(const struct gw_config *config, uint16_t port,
					   struct gw_target *target)
{
	for (size_t i = 0; i < config->group_list_n; i++) {
		const struct gw_group *g = &config->group_list[i];
		if (same_ip(&g->address, &target->address) && copse_address_port(&g->address) == port)
			return to_group(config, g, port, port, target);
	}
	return GW_RESOLVE_OUTSIDE;
}

/* The device of the configuration that the target is: whatever else leads there, rules know it by its name. */
static const struct gw_device *device_of(const struct gw_config *config, const struct gw_target *target)
{
	const struct gw_device *d = device_at(config, &target->address, true);

	return d ? d : device_at(config, &target->secure, true);
}

static enum gw_resolution by_name(const struct gw_config *config, const char *name, size_t len, uint16_t port,
				  uint16_t default_port, struct gw_target *target)
{
	gw_resolve_alias(name, len, target->alias);
	memcpy(target->name, name, len + 1);
	const struct gw_device *d = find_either(config, name, len, target->alias);
	const struct gw_group *group = d ? NULL : find_group(config, name);
	if (group)
		return to_group(config, group, port, default_port, target);
	uint16_t own = d ? d->port : config->mesh_port,
		 own_secure = d ? d->secure_port : config->mesh_secure_port;
	enum gw_resolution result = GW_RESOLVED;

	if (d && d->deny)
		return GW_RESOLVE_DENIED;
	if (port != own && port != own_secure && port != default_port)
		return GW_RESOLVE_UNKNOWN;
	target->uri_host = d ? d->uri_host : "";
	target->class = &config->classes[d ? d->class_number : GW_CLASS_DEFAULT];
	target->sleeping = target->class->sleeping || (d && d->sleeping);
	target->stream = d && d->stream;
	target->literal = false;
	if (!d || d->address.len == 0)
		result = by_prefix(config, name, own, target);
	else
		target->address = d->address;
	set_secure(target, own_secure);
	const struct gw_device *there = d || result != GW_RESOLVED ? NULL : device_of(config, target);
	return there ? by_name(config, there->name, strlen(there->name), there->port, default_port, target)
		     : result;
}

/* RFC 4291 §2.5.5.2: an IPv4 address, however it is written. */
static bool is_mapped(const struct copse_ip *ip)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return ip->family == 6 && memcmp(ip->bytes, mapped, sizeof(mapped)) == 0;
}

static void set_address(struct copse_address *a, const struct copse_ip *ip, uint16_t port)
{
	const bool four = ip->family == 4 || is_mapped(ip);

	memset(a, 0, sizeof(*a));
	if (four) {
		a->in.sin_family = AF_INET;
		memcpy(&a->in.sin_addr, ip->bytes + (ip->family == 4 ? 0 : 12), 4);
		a->len = sizeof(a->in);
	} else {
		a->in6.sin6_family = AF_INET6;
		memcpy(&a->in6.sin6_addr, ip->bytes, 16);
		a->len = sizeof(a->in6);
	}
	copse_address_set_port(a, port);
}

static bool is_outside(const struct gw_config *config, const struct copse_address *a)
{
	for (size_t i = 0; i < config->outside_n; i++)
		if (gw_prefix_has(&config->outside[i], a))
			return true;
	return false;
}

static enum gw_resolution by_address(const struct gw_config *config, const struct copse_ip *ip, uint16_t port,
				     uint16_t default_port, struct gw_target *target)
{
	struct copse_address *a = &target->address;
	char mac[GW_NAME_MAX + 1];

	target->literal = true;
	set_address(a, ip, port);
	set_secure(target, config->mesh_secure_port);
	if (port != default_port || device_at(config, &target->secure, true)) /* which is met by its name */
		set_secure(target, port);
	target->uri_host = "";
	target->class = &config->classes[GW_CLASS_DEFAULT];
	target->alias[0] = 0;
	inet_ntop(a->sa.sa_family,
		  a->sa.sa_family == AF_INET ? (void *)&a->in.sin_addr : &a->in6.sin6_addr, target->name,
		  sizeof(target->name));
	if (copse_address_is_group(a))
		return by_group_address(config, port, target);
	if (copse_address_is_any(a) || !is_outside(config, a))
		return GW_RESOLVE_OUTSIDE;
	const struct gw_device *d = device_at(config, a, true);
	if (d)
		return by_name(config, d->name, strlen(d->name), d->port, default_port, target);
	if (mac_of(config, a, mac) && (port == config->mesh_port || port == config->mesh_secure_port))
		return by_name(config, mac, strlen(mac), port, default_port, target);
	return GW_RESOLVED;
}

enum gw_resolution gw_resolve(const struct gw_config *config, const char *host, size_t len, uint16_t port,
			      uint16_t default_port, struct gw_target *target)
{
	struct copse_ip ip;
	struct copse_text zone;
	char name[GW_NAME_MAX + 1];

	target->group = NULL;
	target->sleeping = target->stream = target->literal = false;
	if (copse_ip_parse(&ip, host, len, &zone)) /* a zone means something only on the host that wrote it */
		return zone.len ? GW_RESOLVE_OUTSIDE : by_address(config, &ip, port, default_port, target);
	int n = gw_name_normalize(host, len, name);
	return n < 0 ? GW_RESOLVE_UNKNOWN : by_name(config, name, (size_t)n, port, default_port, target);
}

void gw_resolve_peer(const struct gw_config *config, const struct copse_peer *peer, struct gw_target *target)
{
	struct copse_address address = {0};

	copse_peer_address(peer, &address);
	gw_resolve_address(config, &address, target);
}

void gw_resolve_address(const struct gw_config *config, const struct copse_address *address,
			struct gw_target *target)
{
	*target = (struct gw_target){
	    .class = &config->classes[GW_CLASS_DEFAULT], .uri_host = "", .address = *address};
	struct copse_address *a = &target->address;

	const struct gw_device *d = device_at(config, a, true);
	if (d) {
		memcpy(target->name, d->name, sizeof(target->name));
	} else if (!mac_of(config, a, target->name)) {
		inet_ntop(a->sa.sa_family,
			  a->sa.sa_family == AF_INET ? (void *)&a->in.sin_addr : &a->in6.sin6_addr,
			  target->name, sizeof(target->name));
		return;
	}
	gw_resolve_alias(target->name, strlen(target->name), target->alias);
	d = d ? d : find_either(config, target->name, strlen(target->name), target->alias);
	target->known = true;
	target->configured = d != NULL;
	target->denied = d && d->deny;
}

bool gw_resolve_has(const struct gw_config *config, const char *name)
{
	char alias[GW_NAME_MAX + 1];
	struct in6_addr address;

	gw_resolve_alias(name, strlen(name), alias);
	return find_either(config, name, strlen(name), alias) || find_group(config, name) ||
	       (config->has_mesh_prefix && gw_resolve_mac(&config->mesh_prefix, name, &address));
}

enum gw_resolution gw_resolve_registered(const struct gw_config *config, const struct gw_directory *dir,
					 const char *host, size_t len, uint16_t port, uint16_t default_port,
					 bool secure, struct gw_target *target)
{
	*target = (struct gw_target){.class = &config->classes[GW_CLASS_DEFAULT], .uri_host = ""};
	int n = gw_name_normalize(host, len, target->name);

	if (n < 0 || gw_resolve_has(config, target->name) ||
	    !gw_directory_resolve(dir, config, target->name, secure, &target->address))
		return GW_RESOLVE_UNKNOWN;
	if (port != default_port && port != copse_address_port(&target->address))
		return GW_RESOLVE_UNKNOWN;
	target->secure = target->address;
	const struct gw_device *d = device_of(config, target);
	if (d)
		return by_name(config, d->name, strlen(d->name), d->port, default_port, target);
	gw_resolve_alias(target->name, (size_t)n, target->alias);
	if (!target->alias[0] && !mac_of(config, &target->address, target->alias))
		target->alias[0] = 0;
	return GW_RESOLVED;
}
