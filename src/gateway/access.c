/* See access.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "access.h"

#include <string.h>

bool gw_access_is_of(const struct gw_access *a, const char *account)
{
	for (size_t i = 0; i < a->account_n; i++) {
		const struct gw_account_match *match = &a->accounts[i];
		if (match->beginning ? strncmp(match->text, account, strlen(match->text)) == 0
				     : strcmp(match->text, account) == 0)
			return true;
	}
	return a->account_n == 0;
}

static bool is_about(const struct gw_access *a, const struct copse_message *m, const char *name,
		     const char *alias)
{
	for (size_t i = 0; i < a->rule_n; i++)
		if (a->deny ? gw_rule_touches(&a->rules[i], m, name, alias)
			    : gw_rule_matches(&a->rules[i], m, name, alias))
			return true;
	return a->rule_n == 0;
}

bool gw_access_denies(const struct gw_config *config, const char *account, const struct copse_message *m,
		      const char *name, const char *alias)
{
	for (size_t i = 0; i < config->access_n; i++) {
		const struct gw_access *a = &config->access[i];
		if (gw_access_is_of(a, account) && is_about(a, m, name, alias))
			return a->deny;
	}
	return false;
}

bool gw_access_hides(const struct gw_config *config, const char *account, const char *name, const char *alias)
{
	for (size_t i = 0; i < config->access_n; i++) {
		const struct gw_access *a = &config->access[i];
		enum gw_rule_reach reach = a->rule_n ? GW_RULE_NOTHING : GW_RULE_ALL;
		if (!gw_access_is_of(a, account))
			continue;
		for (size_t k = 0; k < a->rule_n; k++) {
			enum gw_rule_reach one = gw_rule_reach(&a->rules[k], name, alias);
			reach = one > reach ? one : reach;
		}
		/* a part that is allowed is enough; a part that is denied leaves the rest to the sections that follow */
		if (a->deny ? reach == GW_RULE_ALL : reach > GW_RULE_NOTHING)
			return a->deny;
	}
	return false;
}
