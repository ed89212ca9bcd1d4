/* See documents.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "documents.h"

#include "access.h"

enum { OF_CONFIGURATION, OF_TOKEN };

/* Without `d` nothing is written but the number of rules. */
static void put(struct gw_documents *d, uint32_t *n, const struct gw_rule *rule, bool deny, uint8_t method)
{
	if (!rule->documents || !(rule->methods & 1u << (method - 1)))
		return;
	if (d)
		d->rule[*n] = (struct gw_document_rule){deny, *rule};
	++*n;
}

/* Returns whether what none of the rules matches is denied. */
static bool take_sections(struct gw_documents *d, uint32_t *n, const struct gw_document_question *q)
{
	for (size_t i = 0; i < q->config->access_n; i++) {
		const struct gw_access *a = &q->config->access[i];
		if (!gw_access_is_of(a, q->account))
			continue;
		if (a->rule_n == 0) /* it is about everything: what follows has nothing to say */
			return a->deny;
		for (size_t k = 0; k < a->rule_n; k++)
			put(d, n, &a->rules[k], a->deny, q->method);
	}
	return false;
}

static bool take_grant(struct gw_documents *d, uint32_t *n, const struct gw_document_question *q)
{
	const struct gw_grant *g = q->grant;

	if (!g)
		return false;
	for (unsigned i = g->allow_n; i < g->allow_n + (unsigned)g->deny_n; i++)
		put(d, n, &g->rule[i], true, q->method);
	for (unsigned i = 0; i < g->allow_n; i++)
		put(d, n, &g->rule[i], false, q->method);
	return g->limited;
}

size_t gw_documents_bytes(const struct gw_document_question *q)
{
	uint32_t n = 0;
	bool section_denies = take_sections(NULL, &n, q), grant_denies = take_grant(NULL, &n, q);

	return n || section_denies || grant_denies
		   ? sizeof(struct gw_documents) + n * sizeof(struct gw_document_rule)
		   : 0;
}

void gw_documents_take(struct gw_documents *d, const struct gw_document_question *q)
{
	uint32_t n = 0;

	d->deny[OF_CONFIGURATION] = take_sections(d, &n, q);
	d->n[OF_CONFIGURATION] = n;
	d->deny[OF_TOKEN] = take_grant(d, &n, q);
	d->n[OF_TOKEN] = n - d->n[OF_CONFIGURATION];
}

bool gw_documents_allow(const struct gw_documents *d, const char *path)
{
	const struct gw_document_rule *r = d->rule;

	for (unsigned list = OF_CONFIGURATION; list <= OF_TOKEN; list++) {
		const struct gw_document_rule *end = r + d->n[list], *next = end;
		bool deny = d->deny[list];
		for (; r < end; r++)
			if (gw_rule_matches_document(&r->rule, path)) {
				deny = r->deny;
				break;
			}
		if (deny)
			return false;
		r = next;
	}
	return true;
}
