/* Grants: the rules that tokens bring. Sessions with equal rules share one record: it lives as long as one of them.
 *
 * Memory is taken once. One worker owns a table.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_GRANT_H
#define GATEWAY_GRANT_H

#include "rule.h"

#define GW_GRANT_RULES 16 /* of one token */

/* All bytes count when two are compared: begin with zeros. */
struct gw_grant {
	uint8_t allow_n, deny_n;
	bool limited; /* only what one of the first `allow_n` rules matches is allowed */
	struct gw_rule rule[GW_GRANT_RULES]; /* those that allow, then those that deny */
};

struct gw_grants;

/* A table for `max` distinct grants; `key` is random and secret. Returns NULL without memory. */
struct gw_grants *gw_grants_new(uint32_t max, const uint64_t key[2]);

/* NULL is taken. */
void gw_grants_free(struct gw_grants *grants);

/* Returns the number of the record that equals `grant`, from 1, held once more; or 0 when the table is full. */
uint32_t gw_grants_take(struct gw_grants *grants, const struct gw_grant *grant);

/* Let it go. 0 is taken. */
void gw_grants_release(struct gw_grants *grants, uint32_t number);

/* NULL for 0. */
const struct gw_grant *gw_grants_at(const struct gw_grants *grants, uint32_t number);

/* Never the same for two records, though their numbers are used again; 0 for 0. */
uint64_t gw_grants_serial(const struct gw_grants *grants, uint32_t number);

/* Whether a token brought rules at all. */
static inline bool gw_grant_is_empty(const struct gw_grant *g)
{
	return !g->limited && g->deny_n == 0;
}

/* Whether `grant` (NULL: no rules) allows the request `m` to the device of this name and alias. */
bool gw_grant_allows(const struct gw_grant *grant, const struct copse_message *m, const char *name,
		     const char *alias);

/* Whether `grant` allows no request at all to that device. */
bool gw_grant_hides(const struct gw_grant *grant, const char *name, const char *alias);

uint32_t gw_grants_count(const struct gw_grants *grants);

#endif
