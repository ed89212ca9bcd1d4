/* The requests of a load: one template for each URI. A URI may have a range, "coap://dev{01-20}/temperature", which stands
 * for as many URIs as it has numbers; leading zeros keep the width.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LOAD_PLAN_H
#define COPSE_TOOL_LOAD_PLAN_H

#include "load.h"
#include "request.h"
#include "target.h"

#define LOAD_PLAN_MAX 100000u /* URIs */

struct load_plan {
	struct load_template *templates;
	uint32_t n;
	struct copse_address to;  /* of the server or proxy */
	enum copse_scheme scheme; /* of what is between it and us */
	struct secure secure;     /* its keys */
	char authority[280];      /* WebSockets: what their requests say of the host; else empty */
};

/* The next URI of `text`: the one with number `i`. Returns how many there are, or 0 after an error that has been
 * reported. */
uint32_t load_plan_uri(const char *text, uint32_t i, char *out, size_t cap);

/* Make the templates of all URIs by what the command line says. `payload_len` is what has to fit behind them.
 * Returns 0 (give it to load_plan_free), or an exit code after an error that has been reported. */
int load_plan_make(struct load_plan *plan, const struct args *args, const char *text, size_t payload_len);

/* One template, for a resource of the server that the requests go to. `uri` without a range. */
int load_plan_make_one(struct load_plan *plan, const char *uri, size_t payload_len);

void load_plan_free(struct load_plan *plan);

#endif
