/* The engine of a load: clients that send requests and judge what comes back, without a system call or an allocation for
 * each. It keeps its own account of messages (retransmission, RFC 7252 §4.2; tokens; message IDs) since it plays many
 * endpoints at once; only Echo (RFC 9175) is more than the message layer.
 *
 * Each client has `window` places; a place carries one request at a time. In a closed loop a place begins anew when it is
 * done. At a constant rate requests have their times beforehand, and how long one takes is counted from then on: a server
 * that stalls is charged for all that had to wait (no coordinated omission).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_LOAD_H
#define COPSE_TOOL_LOAD_H

#include "load_count.h"
#include "load_wire.h"

#include <copse/message.h>

#define LOAD_SECOND 1000000000u /* times are in nanoseconds */

/* What a request has behind its token, without Observe and payload: as copse_build_rest makes it. */
struct load_template {
	uint8_t *options;
	size_t len;
};

enum load_kind {
	LOAD_EACH, /* once for each client, and again after a 5.03 when Max-Age is over: to open and close sessions */
	LOAD_RUN,    /* again and again */
	LOAD_OBSERVE /* each place registers, takes notifications, and cancels at the end */
};

struct load_result;

struct load_work {
	enum load_kind kind;
	uint8_t code;
	bool confirmable;
	const struct load_template *templates; /* taken in turn */
	uint32_t template_n;
	bool own; /* each client has its own: of C clients the i-th takes the i-th, and each C-th behind it */
	const uint8_t *payload;
	size_t payload_len;
	uint32_t window;   /* places of a client in use */
	uint32_t at_once;  /* LOAD_EACH, LOAD_OBSERVE: requests not answered at the same time */
	double rate;       /* requests a second, 0: closed loop */
	uint64_t requests; /* end after so many, 0: no limit */
	uint64_t duration; /* end after this time, 0: no limit */
	uint64_t timeout;  /* of each request */
	bool
	    keep_addresses; /* there are sessions: a client keeps its address when its message IDs are used up */
	/* Called about once a second with what there is so far. May be NULL. */
	void (*progress)(void *user, const struct load_result *so_far);
	void *user;
};

struct load_result {
	uint64_t begun;         /* requests */
	uint64_t answered;      /* with any code */
	uint64_t in_time;       /* of these, within the duration */
	uint64_t retransmitted; /* messages */
	uint64_t timed_out, reset;
	uint64_t lost;       /* with their connection, or for want of one */
	uint64_t behind;     /* constant rate: whose time had come, and that were never sent */
	uint64_t challenged; /* asked to repeat an Echo, and did */
	uint64_t strays;     /* that nobody waits for, or twice */
	uint64_t malformed;
	uint64_t notifications;
	bool resting;       /* clients had used up their message IDs, and had to wait */
	uint32_t observing; /* at the end of the run, before the cancellation */
	uint64_t code[256];
	uint64_t elapsed; /* of the measurement, without waiting for the last answers */
	struct load_wire_counters wire;
	struct load_count latency;
};

struct load;

/* Clients with `window` places each, on `wire`. NULL without memory. */
struct load *load_new(struct load_wire *wire, uint32_t clients, uint32_t window, uint64_t seed);
void load_free(struct load *l); /* NULL is taken */

/* Do `work` to its end: until the limit, or load_interrupt, and then until what is under way is done or given up. */
void load_run(struct load *l, const struct load_work *work, struct load_result *result);

/* How many of the clients got a success in the last LOAD_EACH. */
uint32_t load_successes(const struct load *l);

/* End the run soon. May be called by a signal handler. */
void load_interrupt(void);
bool load_interrupted(void);

#endif
