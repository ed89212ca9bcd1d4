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
static void find_alias(const char *name, size_t len, char alias[GW_NAME_MAX + 1])
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

static enum gw_resolution by_name(const struct gw_config *config, const char *name, size_t len, uint16_t port,
				  uint16_t default_port, struct gw_target *target)
{
	find_alias(name, len, target->alias);
	memcpy(target->name, name, len + 1);
	const struct gw_device *d = find_either(config, name, len, target->alias);
	uint16_t own = d ? d->port : config->mesh_port,
		 own_secure = d ? d->secure_port : config->mesh_secure_port;
	enum gw_resolution result = GW_RESOLVED;

	if (d && d->deny)
		return GW_RESOLVE_DENIED;
	if (port != own && port != own_secure && port != default_port)
		return GW_RESOLVE_UNKNOWN;
	target->uri_host = d ? d->uri_host : "";
	target->class = &config->classes[d ? d->class_number : GW_CLASS_DEFAULT];
	if (!d || d->address.len == 0)
		result = by_prefix(config, name, own, target);
	else
		target->address = d->address;
	set_secure(target, own_secure);
	return result;
}

static enum gw_resolution by_address(const struct gw_config *config, const struct copse_ip *ip, uint16_t port,
				     uint16_t default_port, struct gw_target *target)
{
	struct copse_address *a = &target->address;

	memset(a, 0, sizeof(*a));
	if (ip->family == 4) {
		a->in.sin_family = AF_INET;
		memcpy(&a->in.sin_addr, ip->bytes, 4);
		a->len = sizeof(a->in);
	} else {
		a->in6.sin6_family = AF_INET6;
		memcpy(&a->in6.sin6_addr, ip->bytes, 16);
		a->len = sizeof(a->in6);
	}
	copse_address_set_port(a, port);
	set_secure(target, port == default_port ? config->mesh_secure_port : port);
	target->uri_host = "";
	target->class = &config->classes[GW_CLASS_DEFAULT];
	target->alias[0] = 0;
	inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->bytes, target->name, sizeof(target->name));
	if (copse_address_is_group(a) || copse_address_is_any(a))
		return GW_RESOLVE_OUTSIDE;
	for (size_t i = 0; i < config->outside_n; i++)
		if (gw_prefix_has(&config->outside[i], a))
			return GW_RESOLVED;
	return GW_RESOLVE_OUTSIDE;
}

enum gw_resolution gw_resolve(const struct gw_config *config, const char *host, size_t len, uint16_t port,
			      uint16_t default_port, struct gw_target *target)
{
	struct copse_ip ip;
	struct copse_text zone;
	char name[GW_NAME_MAX + 1];

	if (copse_ip_parse(&ip, host, len, &zone)) /* a zone means something only on the host that wrote it */
		return zone.len ? GW_RESOLVE_OUTSIDE : by_address(config, &ip, port, default_port, target);
	int n = gw_name_normalize(host, len, name);
	return n < 0 ? GW_RESOLVE_UNKNOWN : by_name(config, name, (size_t)n, port, default_port, target);
}
