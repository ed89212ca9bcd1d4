/* What every transport must do, whatever carries it: run it over each way to open one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_SUITE_H
#define TEST_SUITE_H

#include "net.h"

struct suite {
	const char *name;
	/* A transport that the others of this suite can reach; `id` becomes its id. */
	struct copse_transport *(*open)(uint16_t id);
	/* The side that is asked, where that is another kind; NULL: none. Then only `open` knows a peer by
	 * its address. */
	struct copse_transport *(*open_other)(uint16_t id);
	/* What two need before the first message; may be NULL. */
	void (*join)(struct copse_transport *a, struct copse_transport *b);
	/* The address to reach one at. */
	void (*reach)(const struct copse_transport *t, struct copse_address *out);
	/* An address that this kind of transport cannot reach, or NULL. */
	const char *foreign;
	uint32_t max; /* bytes of the largest datagram */
	bool coap;    /* it carries CoAP messages alone, and gives them IDs of its own */
};

/* Returns the number of failed tests. */
int suite_run(const struct suite *suite);

#endif
