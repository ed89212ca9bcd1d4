/* One request and its whole answer: sent to each of the target's addresses in turn until one can be reached.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_EXCHANGE_H
#define COPSE_TOOL_EXCHANGE_H

#include "progress.h"
#include "request.h"

/* What came back. */
struct answer {
	uint8_t *datagram;            /* the last message; NULL when there was none, as with --no-response */
	struct copse_message message; /* a view over it */
	struct buffer body;
	char peer[COPSE_ADDRESS_TEXT];
	copse_ms took_ms;
	bool partial;
};

/* Functions of a call that keep the body in a buffer (`user`: struct buffer), and that read it from one. */
int exchange_write(void *user, uint32_t offset, const uint8_t *bytes, size_t len);
int exchange_read(void *user, uint32_t offset, uint8_t *buf, size_t cap);

/* Fill in a call. `user` is what its functions get: use exchange_read and exchange_write with a struct
 * exchange_bodies. */
struct exchange_bodies {
	struct buffer *in;
	const struct buffer *out;
};
void exchange_call(struct copse_call *call, const struct request *request, const struct copse_peer *peer,
		   struct exchange_bodies *bodies);

/* Carry it out. Reports errors; an answer of 4.xx or 5.xx is none.
 * Returns 0 with `answer` (give it to answer_free), or an exit code. */
int exchange_do(struct net *net, const struct target *target, const struct request *request,
		struct answer *answer);

/* Opens a net for one exchange, and closes it. */
int exchange_once(const struct target *target, const struct request *request, struct answer *answer);

/* What happened to a call that failed, as a sentence. Returns the exit code. */
int exchange_report(const struct target *target, int err);

void answer_free(struct answer *answer);

/* Keep the message of an event. Returns false without memory. */
bool answer_keep(struct answer *answer, const struct copse_message *m, const struct copse_peer *peer);

#endif
