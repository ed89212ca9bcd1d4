/* The conformance server: resources for the ETSI CoAP plugtest cases CORE, BLOCK, OBS, LINK and OSCORE, by which foreign
 * clients are tried. One file a group of cases; each brings a table of resources.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef PLUGTEST_H
#define PLUGTEST_H

#include <copse/serve.h>

#include <string.h>

#define PLUGTEST_TEXT_MAX  64   /* of what small resources keep */
#define PLUGTEST_LARGE     1280 /* bytes of text in large resources */
#define PLUGTEST_BODY_MAX  8192 /* longest upload */
#define PLUGTEST_SEPARATE  1000 /* ms after which /separate answers */
#define PLUGTEST_OBS_EVERY 5    /* s between two values of what is observed */

/* A table of resources. */
struct plugtest_group {
	const struct copse_resource *resource;
	size_t n;
};

extern const struct plugtest_group plugtest_core, plugtest_block, plugtest_observe, plugtest_link,
    plugtest_oscore;

/* Answer what /separate has deferred and is due. Returns when there is more to do, or COPSE_NEVER. */
copse_ms plugtest_separate(struct copse_server *server, copse_ms now);

/* A new value of what is observed: to be called every PLUGTEST_OBS_EVERY seconds. */
void plugtest_tick(struct copse_server *server, copse_ms now);

/* Take protected requests at `ep`, before the first message. Returns false without memory or cryptography. */
bool plugtest_oscore_start(struct copse_endpoint *ep);

/* When the endpoint has gone. */
void plugtest_oscore_stop(void);

#define PLUGTEST_GROUP(name, table)                                                                          \
	const struct plugtest_group plugtest_##name = {table, sizeof(table) / sizeof *(table)}

#endif
