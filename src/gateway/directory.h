/* The registrations of a resource directory (RFC 9176): which endpoints there are, and their links.
 *
 * Has no message and no clock in it: parameters come as texts, "name=value", decoded; times as arguments.
 * Registrations live in memory alone: they are soft state, which an endpoint renews, and registers anew when its
 * location is unknown (§5.3.1).
 *
 * Whoever registered a name keeps it for as long as the registration lives (§7.5): others, told by their IP address,
 * can neither replace nor change nor remove it.
 *
 * Bounds: `cap` registrations with GW_DIRECTORY_MEAN bytes of links each in the mean, beyond: GW_DIRECTORY_FULL.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_DIRECTORY_H
#define GATEWAY_DIRECTORY_H

#include "config.h"

#include <copse/uri.h>

#define GW_DIRECTORY_BODY     16384 /* longest list of links of one endpoint */
#define GW_DIRECTORY_MEAN     4096
#define GW_DIRECTORY_NAME     63   /* bytes of ep, and of d (§5) */
#define GW_DIRECTORY_BASE     255  /* bytes of base */
#define GW_DIRECTORY_EXTRA    512  /* bytes of further attributes */
#define GW_DIRECTORY_LINK     1024 /* bytes of one link */
#define GW_DIRECTORY_CRITERIA 16   /* of one lookup */
#define GW_DIRECTORY_LIFETIME 90000
#define GW_DIRECTORY_ANSWER   (1u << 20) /* bytes of the longest answer to a lookup */

struct gw_directory;

enum gw_directory_result {
	GW_DIRECTORY_OK,
	GW_DIRECTORY_MALFORMED, /* 4.00, with a text that says why */
	GW_DIRECTORY_FOREIGN,   /* 4.03: the name, or the registration, is somebody else's */
	GW_DIRECTORY_GONE,      /* 4.04: no such registration */
	GW_DIRECTORY_FULL       /* 5.03: no room, or no memory */
};

/* What an endpoint says. */
struct gw_enrolment {
	const struct copse_text *parameter; /* "name=value" */
	size_t parameter_n;
	const char *links; /* in link format; an update has none */
	size_t links_len;
	const struct copse_address *from; /* whose it is; with port */
	bool secure;                      /* it came by DTLS */
	bool simple;                      /* takes no base (§5.1) */
};

/* Counters, one for each row of registry/directory_counters.def. */
struct gw_directory_counters {
#define COUNTER(name, text) uint64_t name;
#include <copse/registry/directory_counters.def>
#undef COUNTER
};

/* NULL without memory. `key`: secret and random. */
struct gw_directory *gw_directory_new(uint32_t cap, const uint64_t key[2]);
void gw_directory_free(struct gw_directory *dir);

/* Register, or replace the registration of the same ep and d, which keeps its location. `*id` gets the location's
 * number, `*why` what is malformed (static storage). */
enum gw_directory_result gw_directory_register(struct gw_directory *dir, const struct gw_enrolment *e,
					       copse_ms now, uint64_t *id, const char **why);

/* Whether `e`, as far as it is known without its links, could be registered: asked before they are fetched. */
enum gw_directory_result gw_directory_check(struct gw_directory *dir, const struct gw_enrolment *e,
					    const char **why);

/* Update (§5.3.1): the lifetime begins anew; base and further attributes change when they are given. */
enum gw_directory_result gw_directory_update(struct gw_directory *dir, uint64_t id,
					     const struct gw_enrolment *e, copse_ms now, const char **why);

/* Remove (§5.3.2). */
enum gw_directory_result gw_directory_remove(struct gw_directory *dir, uint64_t id,
					     const struct copse_address *from);

/* When the next registration ends, or COPSE_NEVER; and remove those that have ended. Returns how many. */
copse_ms gw_directory_deadline(const struct gw_directory *dir);
unsigned gw_directory_expire(struct gw_directory *dir, copse_ms now);

/* Another one whenever anything in it has changed: what was resolved before may be wrong then. */
uint64_t gw_directory_generation(const struct gw_directory *dir);

uint32_t gw_directory_count(const struct gw_directory *dir);

/* Never NULL; the caller may count what it does itself. */
struct gw_directory_counters *gw_directory_counters(struct gw_directory *dir);

/* The address of the endpoint that is called `name` ("ep", or "ep.d" in a sector; normalized as names of devices
 * are). Where several have the same name, the earliest. Only what has an IP address in its base, for coap, or with
 * `secure` for coaps, which is that of its registrant, or one that `config` lets be reached: nobody leads the
 * gateway elsewhere. */
bool gw_directory_resolve(const struct gw_directory *dir, const struct gw_config *config, const char *name,
			  bool secure, struct copse_address *address);

/* The names that are resolved, one after the other: begin with *pos = 0. NULL at the end. Valid until the directory
 * changes. */
const char *gw_directory_next_host(const struct gw_directory *dir, const struct gw_config *config,
				   uint32_t *pos);

/* What is looked up (§6). */
struct gw_lookup {
	bool endpoints;                    /* else resources */
	const struct copse_text *criteria; /* "name=value", page and count among them */
	size_t criteria_n;
	uint32_t scope; /* the link that the client is on, 0: none that matters */
	const struct gw_config *config;
	/* whether the client may see this device; NULL: all of them */
	bool (*sees)(void *self, const char *device);
	void *self;
};

/* The links that match, in link format, in `buf`, which has GW_DIRECTORY_ANSWER bytes; `*len` of them.
 * GW_DIRECTORY_FULL: there would be more; or GW_DIRECTORY_MALFORMED. */
enum gw_directory_result gw_directory_lookup(struct gw_directory *dir, const struct gw_lookup *lookup,
					     char *buf, size_t *len, const char **why);

#endif
