/* The inside of the directory, for the files that make it up.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_DIRECTORY_STATE_H
#define GATEWAY_DIRECTORY_STATE_H

#include "directory.h"

#include "core/heap.h"

#include <copse/link.h>

#define GW_DIRECTORY_MAGIC 0x64697265u
#define GW_LINK_ROOM       (12 * GW_DIRECTORY_LINK) /* a link with target and anchor resolved */

struct gw_registration {
	struct core_timer timer; /* first: the heap hands it back */
	uint64_t id;             /* ascending in time; its remainder by the directory's cap is the place */
	uint32_t hash, host_hash;
	uint32_t lifetime;
	bool simple, own_base; /* base was given, not taken from the address */
	bool secure;           /* base is for coaps */
	char ep[GW_DIRECTORY_NAME + 1], d[GW_DIRECTORY_NAME + 1];
	char base[GW_DIRECTORY_BASE + 1]; /* without a slash at its end */
	char host[GW_NAME_MAX + 1];       /* the name of the device, "": it has none */
	char extra[GW_DIRECTORY_EXTRA];   /* "name=value", each with a NUL */
	uint16_t extra_len;
	struct copse_address from, target; /* target.len 0: base has no address for coap */
	char *links;                       /* ours */
	size_t links_len;
};

struct gw_directory {
	uint32_t magic;
	uint32_t cap, n, top; /* `top`: no place from there on is taken */
	struct gw_registration **at;
	uint32_t *free; /* cap - n places */
	struct core_table names, hosts;
	struct core_heap timers;
	uint64_t key[2], serial;
	uint64_t generation; /* counts changes */
	size_t bytes;
	struct gw_directory_counters counters;
	char link[2][GW_LINK_ROOM]; /* of an endpoint, of a resource: while a lookup is made */
};

/* directory_parse.c: read the parameters of `e` into `r`, on top of what it says already.
 * `update`: ep and d are not among them. Returns NULL, or what is wrong. */
const char *gw_directory_parse(struct gw_registration *r, const struct gw_enrolment *e, bool update);

/* NULL, or why `links` is no list that can be kept: link format with references that begin with "/", or are
 * URIs (RFC 9176 appendix C), and no link of more than GW_DIRECTORY_LINK bytes. */
const char *gw_directory_check_links(const char *links, size_t len);

/* Whether a reference stands for itself: "scheme:...". */
bool gw_reference_is_uri(const char *text, size_t len);

/* Whether the two have the same IP address. */
bool gw_address_same_ip(const struct copse_address *a, const struct copse_address *b);

/* The link that an address is on, if it is link-local: its scope. 0: it is not. */
uint32_t gw_address_scope(const struct copse_address *a);

#endif
