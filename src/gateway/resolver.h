/* From the host of a URI to an address of the mesh: by the devices of the configuration, by the mesh's prefix and the
 * MAC ID, or an address literal outside of the mesh. No name server is asked: nothing blocks.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_RESOLVER_H
#define GATEWAY_RESOLVER_H

#include "config.h"
#include "directory.h"

enum gw_resolution {
	GW_RESOLVED,
	GW_RESOLVE_UNKNOWN, /* no device has this name, or not on this port: 4.04 */
	GW_RESOLVE_DENIED,  /* the configuration denies the device: 4.03 */
	GW_RESOLVE_OUTSIDE  /* a host outside of the mesh that is not allowed: 4.03 */
};

struct gw_target {
	struct copse_address address; /* with port, in the clear: what the device is known by */
	struct copse_address secure;  /* the same with the port that it takes DTLS, or TLS, at */
	/* The device's name for rules; a MAC ID may have two, one of 12 and one of 16 digits: the other one, or "". */
	char name[GW_NAME_MAX + 1], alias[GW_NAME_MAX + 1];
	const struct gw_class *class; /* lives as long as the configuration */
	const struct gw_group *group; /* NULL: a device. Lives as long as the configuration */
	bool sleeping;                /* the configuration says that the device does not listen */
	bool stream;                  /* it is reached by TCP, and TLS */
	bool literal;                 /* it has no name: its address is the host of the URI */
	bool known, denied;           /* gw_resolve_address: the device has a name; nobody may reach it */
	bool configured;              /* gw_resolve_address: the name is of the configuration */
	const char *uri_host; /* to be sent as Uri-Host; "" for none. Lives as long as the configuration */
};

/* Find `host`, as it stands in Uri-Host: a name, or an IP address, IPv6 with or without brackets. `port` is the URI's;
 * `default_port` its scheme's: a device is met on its own port, which the URI may name or leave at the default. */
enum gw_resolution gw_resolve(const struct gw_config *config, const char *host, size_t len, uint16_t port,
			      uint16_t default_port, struct gw_target *target);

/* The other name of a MAC ID: with ff:fe in its middle, or without; "" for what has no other. `name` is normalized. */
void gw_resolve_alias(const char *name, size_t len, char alias[GW_NAME_MAX + 1]);

/* Back: the device at an address with port. One that has no name is called by its address. */
void gw_resolve_address(const struct gw_config *config, const struct copse_address *address,
			struct gw_target *target);

/* The same for the address of `peer`. */
void gw_resolve_peer(const struct gw_config *config, const struct copse_peer *peer, struct gw_target *target);

/* Whether the configuration knows what `name`, which is normalized, is: a device of its own, or a MAC ID below the
 * mesh's prefix. */
bool gw_resolve_has(const struct gw_config *config, const char *name);

/* The same as gw_resolve for the endpoints that have registered in `dir`; none of them has a name that the configuration
 * knows. Both addresses of the target become that of the endpoint, by DTLS if `secure`. */
enum gw_resolution gw_resolve_registered(const struct gw_config *config, const struct gw_directory *dir,
					 const char *host, size_t len, uint16_t port, uint16_t default_port,
					 bool secure, struct gw_target *target);

/* The address that the mesh's prefix gives a MAC ID: the modified EUI-64 (RFC 4291 Appendix A) of 16 hexadecimal digits,
 * or of 12 with ff:fe in the middle. `name` is normalized. Returns false for a name that is no MAC ID. */
bool gw_resolve_mac(const struct gw_prefix *prefix, const char *name, struct in6_addr *out);

#endif
