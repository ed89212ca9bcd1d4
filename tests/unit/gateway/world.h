/* The whole gateway in virtual time: a worker between clients and devices on a simulated network.
 *
 * Node 0 is the gateway; the others are clients, which send raw requests with tokens and IDs of the test's choice,
 * and devices, which answer or stay silent. One world at a time.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef WORLD_H
#define WORLD_H

#include <copse/message.h>

#include "gateway/worker.h"
#include "make_keys.h"
#include "sim/sim.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define WALL   1700000000

enum { GATEWAY, ALICE, BOB, DEVICE1, DEVICE2, NODES };

/* What a device does with requests. */
enum behaviour { ANSWER, LATER, SILENT, UNFIT, LARGE, BLOCKWISE };

struct device {
	enum behaviour behaviour;
	unsigned runs;        /* requests that were run, duplicates not */
	copse_handle waiting; /* LATER */
	struct copse_message last;
	uint8_t last_bytes[2048];
	/* what it answers */
	uint8_t code;
	int max_age;      /* < 0: none is sent */
	const char *etag; /* "": none; a request that names it gets 2.03 */
	const char *text; /* NULL: "node NUMBER PATH" */
	const char *location;
	const char *extra;     /* value of one more option, in 2.03 too; NULL: none */
	uint16_t extra_number; /* EXTRA by default */
	int observe;           /* >= 0: the Observe option of its answers to registrations */
	uint8_t token[8];      /* of the last of these */
	size_t token_len;
};

#define EXTRA 65000 /* elective, safe to forward, in no registry */

#define SEEN 32

/* What a client received, by order of arrival, acknowledgements and repetitions included. */
struct client {
	struct seen {
		uint8_t type, code;
		uint16_t id;
		uint8_t token[8];
		size_t token_len;
		char payload[160], etag[9], extra[16];
		uint32_t max_age; /* 60 without one */
		int observe;      /* -1 without one */
		int block2;       /* value of the option; -1 without one */
		copse_ms at;
	} seen[SEEN];
	unsigned n;
};

extern struct sim sim;
extern struct gw_worker *worker;
extern struct gw_config *config;
extern struct device device[NODES];
extern struct client client[NODES];
extern unsigned to_devices;          /* datagrams from the gateway to devices */
extern const char world_default[];   /* a configuration: devices d1 and d2, and others */
extern struct copse_builder request; /* of the request that is being built */

/* Make the world with this configuration; end it. */
void start_world(const char *configuration, struct sim_link link);
void end_world(void);
int end_test(void **state); /* the same, as cmocka wants it */
const struct gw_counters *world_counters(void);
void run_for(copse_ms span);
/* The world with a collector, whose store is in memory and whose section has `more`. Its counters. */
void start_collector(const char *more);
const struct gw_collector_counters *collector_counters(void);
/* Until the next millisecond. The store has a thread of its own: a millisecond passes when one has passed there. */
void let_store_pass(void);
/* The store's thread waits at a gate, with `bytes` queued until it is opened: 0 for hardly any, STORE_QUEUE for all that
 * may be. */
#define STORE_QUEUE (UINT32_C(256) << 20)
void close_gate(uint32_t bytes);
void open_gate(void);
struct gw_config *read_config(const char *text);
int64_t wall(void *self);
/* Seconds by which the gateway's clock has been set forth; a test sets it back to 0. */
extern _Atomic int64_t wall_ahead;
unsigned requests_used(void);

/* LATER: the answer to the request that waits. */
void device_answer(struct sim_node *node, copse_handle exchange, const struct copse_message *m);

/* A notification of `text` by the device, under the token of the last registration, with this Observe (< 0: none)
 * and code. */
void device_notify(unsigned number, enum copse_type type, uint8_t code, int observe, const char *text);

/* A request of client `number`: begun, options added in any order, sent. */
void begin(enum copse_type type, uint8_t code, uint16_t id, const char *token_text);
void add(uint16_t number, const char *value);
void send_it(unsigned number);
void send_raw(unsigned number, const void *bytes, size_t len);
/* The whole of it, by Proxy-Uri. */
void ask(unsigned number, enum copse_type type, uint8_t code, uint16_t id, const char *token_text,
	 const char *uri);
void get(unsigned number, enum copse_type type, uint16_t id, const char *token_text, const char *uri);
/* Acknowledge every confirmable message that the client got. */
void acknowledge(unsigned number);

/* The newest that it got. */
const struct seen *last(unsigned number);
void forget_seen(void);

void post_session(unsigned number, const char *json, const char *query);
/* Of `account`, in the clear; it must succeed. What clients have seen is forgotten. */
void open_session(unsigned number, const char *account);

#endif
