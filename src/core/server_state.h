/* What a server is made of; shared by the files server*.c and by tests that look inside.
 *
 *   node      a segment of the resources' paths                      server_tree.c
 *   ask       what a request wants of its answer                     server_dispatch.c, server_answer.c
 *   deferred  an ask that is answered later                          server_deferred.c
 *   transfer  an upload under way, or an answer not fetched yet      server_transfer.c, server_block.c, server_qblock.c
 *   view      something that is observed, in one form                server_view.c
 *   observer  who observes it                                        server_observe.c
 *   visitor   a peer that is verified                                server_echo.c
 *
 * Records are numbered from 1 where a number names them; 0 is none.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_SERVER_STATE_H
#define CORE_SERVER_STATE_H

#include "heap.h"
#include "list.h"
#include "table.h"

#include <copse/block.h>
#include <copse/server.h>

/* ETags of a request that are compared; more than that are not. */
#define SRV_ETAGS 4

/* Room that the options of the blocks may need behind all others: Block2 5, Block1 5, Size2 6. */
#define SRV_BLOCK_OPTIONS 16

/* Bytes of a message behind header and token, in server->out and server->note. */
#define SRV_REST_LEN(s) ((size_t)(s)->config.message_len - COPSE_HEADER_LEN - COPSE_TOKEN_MAX)

struct server_node {
	const char *text;                      /* in a resource's path */
	const struct copse_resource *resource; /* that ends here, or NULL */
	struct core_node views;                /* of `resource`; free: in server->free_nodes */
	uint32_t hash;
	uint16_t parent; /* number of a node; the root is number 1 */
	uint16_t uses;   /* children, and 1 for a resource; 0: free */
	uint8_t len;
};

struct server_etag {
	uint8_t len;
	uint8_t bytes[COPSE_ETAG_MAX];
};

/* What must be known of a request to answer it. */
struct server_ask {
	const struct copse_resource *resource; /* NULL for a path that has none */
	const struct copse_message *message;   /* until the key has been made of it, or NULL */
	copse_handle exchange;
	struct copse_peer peer;
	struct copse_block block1, block2;
	struct server_etag etag[SRV_ETAGS];
	uint64_t key;           /* of its transfer, see srv_request_key */
	uint32_t transfer;      /* number of the one that it belongs to */
	uint32_t observer;      /* number of the one that it registers ... */
	uint32_t observer_hash; /* ... while that has this hash */
	uint32_t body_max;      /* for 4.13: what would have been taken */
	uint16_t request_len;   /* of the datagram */
	uint8_t token_len;
	uint8_t token[COPSE_TOKEN_MAX]; /* with Q-Block */
	uint8_t etag_n;
	uint8_t method;
	uint8_t no_response; /* classes not to be answered, as in the option */
	bool has_block1, has_block2;
	bool multicast;
	bool notification;
	bool con;         /* the request was confirmable */
	bool serving;     /* a further block of an answer that is kept */
	bool q1, q2;      /* Q-Block1: block1 is one, though has_block1 is not set; Q-Block2: block2 is one */
	bool q2_rest;     /* and all that follow are wanted too */
	uint32_t q2_mask; /* bit i: block2.num + i is wanted; bit 0 is the answer itself */
	bool apart;       /* deferred: the answer may have to be sent several times */
	bool limited;     /* the address is not verified */
};

/* A request while it is dispatched. `rq` comes first: a handler's request is one of these. */
struct server_work {
	struct copse_request rq;
	struct server_ask ask;
	copse_method *method;
	copse_handle deferred;
	void *kept;               /* for *rq.transfer, of a body in one piece */
	uint32_t place;           /* number of the resource's node */
	struct server_view *view; /* that a notification is of */
	bool refused;             /* it could not be deferred */
	bool piece;               /* of a Q-Block1 upload, not the last: may not be deferred */
	bool checked;             /* srv_check_first has been passed */
};

struct server_deferred {
	struct core_node node;
	struct server_ask ask;
	uint32_t generation;
	bool used;
};

/* Drawn in doc/states/block.md. The legal transitions stand in server_transfer.c. */
enum transfer_state {
	T_FREE,
	T_RECEIVING, /* an upload waits for its next piece */
	T_GATHERING, /* an upload by Q-Block1: pieces in any order */
	T_HANDLING,  /* a handler has a piece or the whole, and has not answered yet */
	T_SERVING,   /* an answer waits for the request of its next block */
	T_STREAMING, /* an answer by Q-Block2: blocks leave by themselves, and again when they are asked for */
	T_STATES
};

struct transfer {
	struct core_node node; /* in server->waiting (T_RECEIVING, T_SERVING) or server->free_transfers */
	copse_ms used_at;
	struct copse_peer peer;
	const struct copse_resource *resource;
	copse_handle exchange; /* the request that is being handled */
	uint64_t key;
	void *kept;      /* the handler's */
	uint8_t *buffer; /* collect_len bytes */
	uint8_t state;
	uint8_t method;

	/* upload */
	bool seen;            /* a handler has been given a piece */
	bool whole;           /* and the last one too */
	uint32_t offset;      /* where the next piece begins */
	uint32_t last_offset; /* where the last one began */
	uint32_t size;        /* Size1 or COPSE_BODY_UNKNOWN */
	uint32_t format;

	/* answer */
	uint8_t code;
	struct server_etag etag;
	uint32_t max_age;
	uint32_t body_len;
	const uint8_t *bytes;
	copse_body_read *read;
	void (*release)(void *user);
	void *user;
	bool sent; /* to the end: kept in case that the last block got lost */
	bool
	    finished; /* an upload by Q-Block1 that was answered by `code`, kept in case that this got lost */

	/* Q-Block */
	struct core_timer timer;
	uint8_t szx;
	uint8_t token_len; /* of the last request: what there is to say goes there */
	uint8_t token[COPSE_TOKEN_MAX];
	uint8_t rounds; /* upload: times that missing blocks were named in vain */
	uint32_t
	    next; /* upload: the first block that is missing; answer: the block that bit 0 of `mask` means */
	uint32_t named;   /* upload: the set_end at which gaps were named before the time */
	uint32_t set_end; /* upload: the block behind the set that is to be acknowledged next */
	uint32_t total;   /* upload: blocks, once the last has come; else 0 */
	uint32_t highest; /* upload: one more than the highest number that has come */
	uint32_t have;    /* upload: bit i: block next + i is in the buffer */
	uint32_t mask;    /* answer: blocks to be sent now */
	bool rest;        /* answer: and further sets of them */
};

enum observer_state {
	OBS_FREE,
	OBS_PENDING, /* asked for, not answered yet; in view->pending */
	OBS_ACTIVE,  /* in view->idle or view->behind */
	OBS_FLIGHT,  /* a confirmable notification is not yet acknowledged; in view->flight */
	OBS_STATES
};

struct server_observer {
	struct core_node node;
	copse_handle exchange; /* OBS_FLIGHT: the notification */
	uint32_t hash;         /* of peer and token */
	uint32_t peer_hash;
	uint32_t token_next, id_next; /* numbers of the next in the hash chain */
	uint32_t con_at;              /* seconds since the server began: last confirmable notification */
	uint16_t view;                /* number */
	uint16_t id;                  /* of the last NON */
	uint16_t non_run;             /* NONs since the last CON */
	uint8_t state;
	uint8_t token_len;
	bool has_id; /* in the chains of `ids` */
	bool stale;  /* OBS_FLIGHT: the state has changed since */
	struct copse_peer peer;
	uint8_t token[COPSE_TOKEN_MAX];
};

struct server_view {
	struct core_node node;  /* in its server_node's views; free: in server->free_views */
	struct core_node queue; /* in server->queue: to be notified */
	struct core_node pending, idle, behind, flight; /* observers */
	struct core_timer timer;                        /* when it may be notified again */
	copse_ms last;                                  /* when it was last */
	uint32_t hash;
	uint32_t observer_n; /* in all its lists, and those who hold it meanwhile */
	uint16_t place;      /* number of the server_node */
	uint16_t len;        /* of `request` */
	uint8_t szx;
	uint8_t units; /* copse_peer_units of its observers */
	bool notified;    /* `last` means something */
	bool fresh;       /* nothing has changed since it was encoded */
	uint8_t *request; /* view_len bytes: the request as a message, without token and block */
};

struct visitor {
	struct core_node node; /* in server->visitors, longest unused first, or free */
	struct copse_peer peer;
	uint32_t hash;
};

/* Chains of observers under a hash; buckets hold numbers. */
struct server_chains {
	uint32_t *bucket;
	uint32_t mask;
};

struct copse_server {
	struct copse_server_config config;
	struct copse_endpoint *ep;
	copse_ms now;
	copse_ms began;

	struct server_node *node;
	struct core_table segments;
	struct core_node free_nodes;

	uint8_t *out;     /* message_len bytes: the answer that is being built */
	uint8_t *scratch; /* scratch_len bytes: its body */
	bool answering;   /* between copse_server_reply and _send */

	struct server_deferred *deferred;
	struct core_node free_deferred;

	struct transfer *transfer;
	uint32_t transfer_n;
	struct core_table transfer_keys;
	struct core_node free_transfers, waiting;
	struct core_heap timers; /* of transfers and views */

	struct server_view *view;
	struct core_table view_keys;
	struct core_node free_views;
	struct core_node queue;        /* views to be notified */
	uint8_t *request;              /* view_len bytes: a request in the form that views keep */
	uint8_t *note;                 /* message_len bytes: a notification ... */
	struct server_view *note_view; /* ... for the observers of this view */
	uint16_t note_len;
	uint8_t note_code;
	uint32_t sequence;  /* RFC 7641 §4.4, of all notifications */
	copse_ms retry;     /* when to go on after the endpoint had no room; not later than now: at once */
	uint32_t in_flight; /* observers in OBS_FLIGHT */

	struct server_observer *observer;
	struct server_chains tokens, ids;
	struct core_node free_observers;
	uint32_t observer_n;

	struct visitor *visitor;
	struct core_table visitor_keys;
	struct core_node free_visitors, visitors;

	struct copse_message message; /* a view's request, parsed */
	struct copse_server_counters counters;
};

/* Nodes: those of the resources, the root, and two of /.well-known/core. */
#define SRV_NODES_OF(config) ((uint32_t)(config)->node_cap + 3u)
#define SRV_NODES(s)         SRV_NODES_OF(&(s)->config)

#define SRV_NO_SZX 0xffu

/* The time since the server began, in seconds of 1024 ms: they fit 32 bits, and a Cortex-M0 does not divide. */
static inline uint32_t srv_seconds(const struct copse_server *s)
{
	return (uint32_t)((s->now - s->began) >> 10);
}

static inline copse_ms srv_time_of(const struct copse_server *s, uint32_t seconds)
{
	return s->began + ((copse_ms)seconds << 10);
}

/* strlen and memchr: a microcontroller's build has no more than mem*. */
static inline size_t srv_text_len(const char *text)
{
	size_t n = 0;
	while (text[n] != '\0')
		n++;
	return n;
}

static inline const char *srv_text_find(const char *text, size_t len, char c)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == c)
			return text + i;
	}
	return NULL;
}

/* server.c */
void srv_advance(struct copse_server *s, copse_ms now);

/* server_tree.c */
void srv_tree_init(struct copse_server *s);
struct server_node *srv_tree_find(struct copse_server *s, const struct copse_message *m);
struct server_node *srv_tree_of(struct copse_server *s, const struct copse_resource *resource);
void srv_tree_remove(struct copse_server *s, struct server_node *n);

/* server_request.c */
bool srv_path_is(const struct copse_message *m, const char *path); /* `path` without wildcards */
copse_method *srv_method_of(const struct copse_resource *resource, uint8_t method);
bool srv_is_cache_key(uint16_t number);
uint64_t srv_request_key(const struct copse_server *s, const struct copse_peer *peer,
			 const struct copse_message *m);

/* server_check.c: checks return 0, or the code of the error */
uint8_t srv_check_accept(struct server_work *w);
uint8_t srv_check_format(const struct server_work *w);
uint8_t srv_check_conditions(const struct server_work *w);
void srv_read_no_response(struct server_ask *ask, const struct copse_message *m);
void srv_read_etags(struct server_ask *ask, const struct copse_message *m);
bool srv_etag_matches(const struct server_ask *ask, const struct copse_response *rs);
bool srv_is_suppressed(const struct server_ask *ask, uint8_t code);

/* server_response.c */
void srv_response_init(struct copse_server *s, struct copse_response *rs);
void srv_response_release(struct copse_response *rs);
void srv_response_drop_body(struct copse_response *rs);
void srv_response_clear(struct copse_response *rs);
uint8_t srv_usual_code(uint8_t method);

/* server_answer.c */
/* Into server->out; returns the length, and leaves in `ask` which block it was. */
int srv_encode(struct copse_server *s, struct server_ask *ask, struct copse_response *rs);
/* Returns 0, COPSE_ERR_NOROOM (nothing is concluded: srv_answer_last, or again later) or COPSE_ERR_GONE. */
int srv_answer(struct copse_server *s, struct server_ask *ask, struct copse_response *rs);
void srv_answer_last(struct copse_server *s, struct server_ask *ask, struct copse_response *rs);
void srv_answer_code(struct copse_server *s, struct server_ask *ask, uint8_t code);

/* server_dispatch.c */
void srv_dispatch(struct copse_server *s, const struct copse_event *event);
uint8_t srv_check_first(struct copse_server *s, struct server_work *w);
int srv_handled(struct copse_server *s, struct server_ask *ask, struct copse_response *rs);

/* server_deferred.c */
void srv_deferred_init(struct copse_server *s);

/* server_discovery.c */
extern const struct copse_resource srv_discovery;

/* server_transfer.c */
void srv_transfer_init(struct copse_server *s, uint8_t *buffers);
uint32_t srv_transfer_number(const struct copse_server *s, const struct transfer *t);
struct transfer *srv_transfer_of(struct copse_server *s, const struct server_ask *ask);
struct transfer *srv_transfer_find(struct copse_server *s, const struct copse_peer *peer, uint64_t key);
struct transfer *srv_transfer_begin(struct copse_server *s, const struct server_ask *ask, uint64_t key);
void srv_transfer_enter(struct copse_server *s, struct transfer *t, enum transfer_state state);
void srv_transfer_touch(struct copse_server *s, struct transfer *t);
void srv_transfer_end(struct copse_server *s, struct transfer *t);
void srv_transfer_abandon(struct copse_server *s, struct transfer *t);
/* Abandon the transfers of `resource`, or all of them (NULL). */
void srv_transfer_remove_resource(struct copse_server *s, const struct copse_resource *resource);
copse_ms srv_transfer_deadline(const struct copse_server *s);
void srv_transfer_expire(struct copse_server *s);

/* server_block.c */
/* Whether the request has been dealt with; else the handler is to be called with what `w` says. */
bool srv_block_request(struct copse_server *s, struct server_work *w);
uint32_t srv_body_max(const struct copse_server *s, const struct copse_resource *r, bool pieces);
void srv_block_handled(struct server_ask *ask, struct copse_response *rs);
bool srv_block_reserve(struct copse_server *s, struct server_ask *ask, const struct copse_response *rs);
void srv_block_keep(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs);

void srv_block_response(struct copse_server *s, const struct transfer *t, struct copse_response *rs);
bool srv_block_refuse(struct copse_server *s, struct server_work *w, uint8_t code);
bool srv_block_too_large(struct copse_server *s, struct server_work *w, uint32_t end);
uint64_t srv_block_key(const struct copse_server *s, struct server_ask *ask);

/* server_qblock.c */
uint8_t srv_qblock_read(const struct copse_server *s, struct server_work *w);
bool srv_qblock_upload(struct copse_server *s, struct server_work *w);
void srv_qblock_finish(struct copse_server *s, struct transfer *t, uint8_t code);
void srv_qblock_stream(struct copse_server *s, struct transfer *t, const struct server_ask *ask);
void srv_qblock_due(struct copse_server *s, struct transfer *t);
bool srv_qblock_is_sent(const struct transfer *t);

/* server_view.c */
void srv_view_init(struct copse_server *s, uint8_t *requests);
struct server_view *srv_view_for(struct copse_server *s, const struct server_work *w);
void srv_view_unused(struct copse_server *s, struct server_view *v);
void srv_view_encode(struct copse_server *s, struct server_view *v);
void srv_view_note(struct copse_server *s, struct server_view *v, struct server_ask *ask,
		   struct copse_response *rs);
bool srv_view_has_path(const struct server_view *v, const char *path);

static inline struct server_view *srv_view_get(const struct copse_server *s, uint32_t number)
{
	return &s->view[number - 1];
}

static inline uint32_t srv_view_number(const struct copse_server *s, const struct server_view *v)
{
	return (uint32_t)(v - s->view) + 1;
}

/* server_observe.c */
/* Forget an observer, and a notification that nobody waits for any more. */
void srv_observe_drop(struct copse_server *s, struct server_observer *o);
void srv_observe_init(struct copse_server *s);
void srv_observe_request(struct copse_server *s, struct server_work *w);
bool srv_observe_stays(const struct copse_server *s, const struct server_ask *ask);
void srv_observe_answered(struct copse_server *s, const struct server_ask *ask, bool success);
uint32_t srv_observe_sequence(struct copse_server *s);
void srv_observe_timer(struct copse_server *s, struct core_timer *t);
void srv_observe_pump(struct copse_server *s);
copse_ms srv_observe_deadline(const struct copse_server *s);
bool srv_observe_ended(struct copse_server *s, const struct copse_event *event);
bool srv_observe_reset(struct copse_server *s, const struct copse_event *event);
void srv_observe_remove(struct copse_server *s, struct server_node *place);

/* server_echo.c */
void srv_echo_init(struct copse_server *s);
bool srv_echo_admit(struct copse_server *s, struct server_work *w);
bool srv_echo_may_send(struct copse_server *s, const struct server_ask *ask, size_t rest_len);
/* Make `rs` one that an address that is not verified may get, for what is too long. */
void srv_echo_shorten(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs);
void srv_echo_challenge(struct copse_server *s, const struct server_ask *ask, struct copse_response *rs);

/* COPSE_RESOURCE_REPEATABLE; a microcontroller forgets what it has no room for as it is. */
#ifdef COPSE_SMALL
#define srv_repeatable(s, w) ((void)(s), (void)(w))
#else
static inline void srv_repeatable(const struct copse_server *s, const struct server_work *w)
{
	(void)copse_endpoint_repeatable(s->ep, w->ask.exchange);
}
#endif

#endif
