/* The inside of a worker, for the files that make it up.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_WORKER_STATE_H
#define GATEWAY_WORKER_STATE_H

#include "cache.h"
#include "collector.h"
#include "directory_serve.h"
#include "flight.h"
#include "gather.h"
#include "grant.h"
#include "lane.h"
#include "mailbox.h"
#include "memo.h"
#include "observation.h"
#include "rate.h"
#include "session.h"
#include "transfer.h"
#include "worker.h"

#include <copse/block.h>
#include <copse/server.h>

#define GW_WORKER_MAGIC    0x776f726bu
#define GW_LOCAL_RESOURCES 5
#define GW_MAIL_RESOURCES  2
#define GW_VERIFIED_MAX    4096 /* addresses without a session that have shown that they receive our answers */
#define GW_REQUEST_MAGIC   0x72657173u

/* Where a proxy request is in its life. The table of steps is in proxy.c, the drawing in doc/states/proxy.md. */
enum gw_step {
	GW_STEP_FREE, /* the record is nobody's */
	GW_STEP_SESSION,
	GW_STEP_RECALL, /* the same bytes were understood before */
	GW_STEP_TARGET,
	GW_STEP_POLICY,
	GW_STEP_RESOLVE,
	GW_STEP_PREPARE,
	GW_STEP_PERMIT,
	GW_STEP_ASLEEP,
	GW_STEP_MAIL,  /* it is in the mailbox */
	GW_STEP_GROUP, /* out to a group */
	GW_STEP_CACHE,
	GW_STEP_BLOCK,
	GW_STEP_HELD, /* wait for another transfer to the same resource */
	GW_STEP_LANE,
	GW_STEP_QUEUE, /* wait for the device's lane */
	GW_STEP_FORWARD,
	GW_STEP_WAIT,   /* for the device */
	GW_STEP_JOINED, /* wait for the answer to an identical request */
	GW_STEP_ANSWER,
	GW_STEP_DELIVER, /* wait for the client's acknowledgement of a confirmable answer */
	GW_STEP_REFUSE,
	GW_STEP_LOCAL, /* it is for the gateway itself */
	GW_STEP_N
};

/* A proxy request from its arrival until its answer has been acknowledged. At any time it has at most one exchange of
 * ours open: with the device, then with the client. */
struct gw_request {
	uint32_t magic;
	uint8_t step; /* enum gw_step */
	uint8_t method;
	bool con;            /* the client's request was confirmable */
	bool acknowledged;   /* and has its empty acknowledgement: the answer is a message of its own */
	bool storable;       /* the answer may go into the cache */
	bool own_etag;       /* the ETag of `entry` went to the device, though the client has not named it */
	uint8_t no_response; /* value of No-Response (RFC 7967): classes that are not wanted */
	uint32_t session, generation;
	uint32_t rights; /* of the session, where it wants to observe (gw_rights) */
	uint32_t next_free;  /* number + 1 */
	copse_handle client; /* the exchange with the client */
	copse_handle device; /* and with the device */

	uint32_t lane;             /* the device's, while the request is there; 0: in none */
	uint32_t joined, joined_n; /* requests that wait for the same answer: number + 1 of the first */
	uint32_t next_joined;      /* of one that waits */
	struct gw_rate rate;       /* of its device */
	struct copse_peer to;      /* where that is asked */
	struct gw_cache_key key;
	uint64_t operation, operation_base; /* of a request that is not safe, see gw_operation_key */
	uint32_t transfer;                  /* that it is a step of; 0: none */
	uint32_t mail;                      /* number of the one that it delivers; 0: none */
	uint32_t gather;                    /* where pieces of its answer are put together; 0: nowhere */
	bool has_b2;                        /* its client wants this block: */
	struct copse_block b2;
	struct gw_cache_entry *entry; /* pinned: it is being validated; NULL: none */

	uint32_t observation; /* that it goes to the device for; 0: none */
	uint32_t observer;    /* that its answer, not yet acknowledged, was the first state for; 0: none */
	bool observe;         /* its client wants to observe: a place is kept for it */
};

/* Which part of a second's allowance is left. */
struct gw_bucket {
	copse_ms at;   /* when it was last full or filled up */
	uint32_t left; /* thousandths */
};

/* Take one of `rate` a second, at most a second's worth at once. False: not now. */
bool gw_bucket_take(struct gw_bucket *bucket, uint32_t rate, copse_ms now);

/* What gw_worker_at_once has found out about a datagram, so that it need not be looked for again when its request comes as
 * an event. It ends with that event, with the next datagram, and with whatever may make it untrue. */
struct gw_glance {
	const uint8_t *bytes; /* of the datagram; NULL: nothing is known */
	size_t len;
	struct copse_peer peer;
	struct gw_session *session;        /* NULL: none */
	const struct gw_memo_entry *known; /* NULL: nothing */
	uint8_t owner;                     /* number + 1 of the worker that it belongs to; 0: not known */
	bool asked;                        /* it is of the kind that may be known: by this question */
	struct gw_memo_question question;
	uint8_t room[GW_MEMO_KEY]; /* for its bytes */
};

struct gw_groups;
struct gw_report;
struct gw_round;

struct gw_worker {
	uint32_t magic;
	const struct gw_config *config;
	struct gw_surroundings around;
	struct copse_endpoint *ep;
	struct gw_counters counters;

	struct gw_sessions *sessions;
	struct gw_grants *grants;
	struct gw_rates *account_rates, *device_rates;
	struct gw_bucket verifications;

	struct gw_request *requests; /* requests_max of them */
	uint32_t requests_max, requests_used, requests_free;
	uint8_t *out;               /* a message that is being built: max_message bytes behind a header */
	uint32_t out_cap, rest_cap; /* with and without the header */
	uint8_t *stored;            /* an answer from the cache or for it: as large as `out` */
	uint8_t *scratch;
	struct gw_key_maker keys;
	struct copse_message upstream; /* over `out` or `stored` */

	struct gw_memo *memo;
	struct gw_glance glance;
	bool behind;          /* more waits in the socket than should */
	uint32_t shed_turn;   /* requests since one was refused for that */
	bool memo_by_account; /* what an account may or gets is not what others may or get */

	struct gw_cache *cache;
	struct gw_flights *flights;
	struct gw_lanes *lanes;
	struct gw_observations *observations;
	uint32_t observe_sequence;               /* of the newest state of any observation: RFC 7641 §4.4 */
	struct gw_groups *groups;                /* requests to groups under way */
	struct gw_mailbox *mailbox;              /* requests for devices that sleep; NULL: there is none */
	copse_ms mail_touch;                     /* when sessions that have some are to be used */
	char published_as[STORE_DEVICE_MAX + 1]; /* in the event being taken: by a device; "": by none */
	struct copse_resource mail_resources[GW_MAIL_RESOURCES];
	uint32_t observers_reserved;       /* places kept for requests under way */
	uint32_t notifying, notifying_max; /* confirmable notifications under way, and at most */
	struct gw_transfers *transfers;
	struct gw_gathers *gathers;
	uint32_t next_tag; /* Request-Tag of the next transfer to a device */
	uint8_t group_n;   /* of the endpoint, as it was made */
	copse_ms ends_at;  /* what is under way then stays unanswered; COPSE_NEVER: not set, or over */
	bool ending;       /* what is new is refused */
	bool overdue;      /* `ends_at` was */
	char name[GW_NAME_MAX + 1];

	struct copse_resource resources[GW_LOCAL_RESOURCES]; /* with this worker as `user` */
	struct copse_server *server;
	void *server_memory;
	struct gw_collector *collector;     /* NULL: there is none */
	struct gw_rd *rd;                   /* the resource directory; NULL: there is none */
	struct copse_message local_message; /* a proxy request for the gateway itself, rewritten */

	struct gw_crossing *cross; /* NULL: it is the only one */
	unsigned number, workers;
	struct copse_message routed;   /* a datagram whose worker is looked for */
	const struct gw_target *given; /* of the request being taken: the device, found by another worker */
	bool ring_full;                /* the request being taken was not for this worker: it is refused */
	struct gw_round *rounds;       /* of reports that are waited for */
	copse_ms close_again;          /* sessions that are over: not before */
};

/* local.c: make the server of local resources. Returns false without memory. */
bool gw_local_new(struct gw_worker *w, copse_ms now);
/* Whether `rest_len` bytes of answer to `m` are few enough for an address without a session (RFC 9175 §2.4). */
bool gw_local_may_say(const struct gw_worker *w, const struct copse_message *m, size_t rest_len);
/* All workers have said what they count: answer GET /metrics. */
void gw_local_metrics(struct gw_worker *w, copse_handle asker, const struct gw_report *report, copse_ms now);
/* Take a request for the gateway itself. */
void gw_local_request(struct gw_worker *w, const struct copse_event *event, copse_ms now);

/* proxy.c */
bool gw_proxy_is_for(const struct copse_message *m);
struct gw_asked;
/* Whether what `peer` asks is for the gateway itself. */
bool gw_proxy_is_here(const struct gw_worker *w, const struct copse_peer *peer, const struct gw_asked *asked);
void gw_proxy_request(struct gw_worker *w, const struct copse_event *event, copse_ms now);
/* Whoever waits for an answer is told that none comes. Nothing is called for these requests any more. */
void gw_proxy_close(struct gw_worker *w, copse_ms now);
/* An event of an exchange that belongs to `r`. */
void gw_proxy_event(struct gw_worker *w, struct gw_request *r, const struct copse_event *event, copse_ms now);

/* proxy_observe.c: an event of an exchange with a device that serves an observation; of a notification to an
 * observer; a
 * Reset, which says whether it was for a notification; and what is due. */
void gw_observe_event(struct gw_worker *w, struct gw_observation *ob, const struct copse_event *event,
		      copse_ms now);
void gw_observer_event(struct gw_worker *w, struct gw_observer *o, const struct copse_event *event,
		       copse_ms now);
bool gw_observe_reset(struct gw_worker *w, const struct copse_event *event, copse_ms now);
void gw_observe_expire(struct gw_worker *w, copse_ms now);
/* What this client observed under this token it observes no more: another worker has it (RFC 7641 §4.1). */
void gw_observe_elsewhere(struct gw_worker *w, const struct copse_peer *peer, const uint8_t *token,
			  size_t token_len, copse_ms now);

/* The text of a peer's address, for logs. */
#define GW_PEER_TEXT COPSE_ADDRESS_TEXT

#endif
