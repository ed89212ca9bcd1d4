/* The protocol for a microcontroller: server and client of a few kilobytes, with pools of a fixed size.
 *
 * What RFC 7252, RFC 7641 and RFC 7959 demand holds here as in the general library (endpoint.h, server.h,
 * client.h); what is left out is what only large systems need: hash tables, heaps, groups of parameters,
 * streams of bodies. Three things make it small. A message that may have to be sent again is not kept, it
 * is made again: handlers are asked anew. Peers are found by looking at each of a few slots. And a body is
 * never held: a handler writes all of it each time, and a window keeps the block that is wanted.
 *
 * Two ways to use it, each linked only by who uses it:
 *	copse_small_answer    a server without any state: parse, dispatch, reply
 *	struct copse_small    server and client with duplicates, retransmission, observers, blocks both ways
 *
 * Bytes and the time go in, bytes and a deadline come out:
 *	n = copse_small_receive(s, &peer, datagram, len, out, now)     n bytes go back to the peer, none if 0
 *	while ((n = copse_small_next(s, out, &to, now)) > 0)           n bytes go to `to`
 *	sleep until copse_small_deadline or the next datagram
 *
 * Not thread-safe. Handlers may call copse_small_notify, copse_small_end and copse_small_ask, nothing else
 * that takes the struct copse_small.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SMALL_H
#define COPSE_SMALL_H

#include <copse/code.h>
#include <copse/error.h>
#include <copse/option.h>
#include <copse/types.h>

/* ---- sizes: a build may set others, the same for all files ---- */

/* Bytes that tell peers apart: an IPv6 address and a port; 1 where there is only one peer. */
#ifndef COPSE_SMALL_PEER
#define COPSE_SMALL_PEER 18
#endif
/* Exponent of the block size: 2 for 64 bytes (RFC 7959 §2.1); at most 6. No payload is larger. */
#ifndef COPSE_SMALL_SZX
#define COPSE_SMALL_SZX 2
#endif
/* Observers; one more is answered without being registered (RFC 7641 §4.1). */
#ifndef COPSE_SMALL_OBSERVERS
#define COPSE_SMALL_OBSERVERS 4
#endif
/* Calls of ours and late answers under way; beyond: COPSE_ERR_NOROOM, and 5.03. */
#ifndef COPSE_SMALL_OTHERS
#define COPSE_SMALL_OTHERS 2
#endif
/* Requests remembered that must not be run twice; beyond: the oldest is forgotten, and counted. */
#ifndef COPSE_SMALL_SEEN
#define COPSE_SMALL_SEEN 4
#endif
/* Bytes of an answer that are remembered with them. A duplicate of a request with a longer one is not
 * answered, nor run. */
#ifndef COPSE_SMALL_REPLY
#define COPSE_SMALL_REPLY 19
#endif

#define COPSE_SMALL_BLOCK   (16 << COPSE_SMALL_SZX)
#define COPSE_SMALL_HEAD    44 /* header, token, options and marker before a payload of ours */
#define COPSE_SMALL_MESSAGE (COPSE_SMALL_HEAD + COPSE_SMALL_BLOCK)
/* The longest message taken: header, token, an IPv6 literal as Uri-Host, a path, and what goes with a
 * block. */
#define COPSE_SMALL_RECEIVE (96 + COPSE_SMALL_BLOCK)

/* Transmission parameters (RFC 7252 §4.8), in milliseconds. */
#define COPSE_SMALL_ACK_TIMEOUT       2000u
#define COPSE_SMALL_MAX_RETRANSMIT    4
#define COPSE_SMALL_EXCHANGE_LIFETIME 247000u
#define COPSE_SMALL_RESPONSE_TIMEOUT  93000u

/* Time: monotonic milliseconds that wrap. Whatever is compared is less than 24 days apart. */
typedef uint32_t copse_small_ms;

struct copse_small;

struct copse_small_peer {
	uint8_t bytes[COPSE_SMALL_PEER];
};

/* ---- messages ---- */

#define COPSE_SMALL_NUMBERS 28 /* options with a number below are in the index */

/* A view over a datagram. */
struct copse_small_message {
	const uint8_t *bytes;
	const uint8_t *payload;
	uint32_t has; /* bit N: option N is there, and valid */
	uint16_t len, payload_len;
	uint16_t id;
	uint8_t type, code, token_len;
	bool bad;   /* a critical option that is unknown or wrong (RFC 7252 §5.4.1) */
	bool proxy; /* Proxy-Uri or Proxy-Scheme */
	bool cut;   /* only the beginning of the datagram is here */
	/* Where the value of the first instance is and its length; valid where `has` says so. */
	uint16_t off[COPSE_SMALL_NUMBERS];
	uint8_t value_len[COPSE_SMALL_NUMBERS];
};

/* Parse `len` bytes.
 * Returns 0; COPSE_ERR_VERSION: be silent; COPSE_ERR_MALFORMED: a CON gets a Reset; type, code and id are
 * valid then. */
int copse_small_parse(struct copse_small_message *m, const uint8_t *datagram, size_t len);

static inline bool copse_small_has(const struct copse_small_message *m, unsigned number)
{
	return m->has >> number & 1;
}

/* The value of the uint option `number` (below COPSE_SMALL_NUMBERS), or `absent`. */
uint32_t copse_small_uint(const struct copse_small_message *m, unsigned number, uint32_t absent);

struct copse_small_value {
	const uint8_t *at;
	unsigned len;
};

/* Walk through the instances of option `number`: begin with value->at NULL. Returns false behind the last
 * one. */
bool copse_small_walk(const struct copse_small_message *m, unsigned number, struct copse_small_value *value);

/* ---- what is sent ---- */

/* In the order of their numbers. */
enum copse_small_field {
	COPSE_SMALL_ETAG,
	COPSE_SMALL_OBSERVE,
	COPSE_SMALL_LOCATION_PATH,
	COPSE_SMALL_URI_PATH,
	COPSE_SMALL_FORMAT,
	COPSE_SMALL_MAX_AGE,
	COPSE_SMALL_URI_QUERY,
	COPSE_SMALL_ACCEPT,
	COPSE_SMALL_LOCATION_QUERY,
	COPSE_SMALL_BLOCK2,
	COPSE_SMALL_BLOCK1,
	COPSE_SMALL_FIELDS
};

struct copse_small_out {
	uint8_t *bytes;  /* COPSE_SMALL_MESSAGE of them */
	uint32_t offset; /* the window: what stands from here on in the body ... */
	uint32_t total;  /* bytes of the body so far */
	uint16_t room;   /* ... and how much of it */
	uint16_t set;    /* a bit for each field */
	uint32_t value[COPSE_SMALL_FIELDS];
	const char *path; /* "a/b?c&d": of Location or Uri */
};

static inline void copse_small_set(struct copse_small_out *out, enum copse_small_field field, uint32_t value)
{
	out->value[field] = value;
	out->set |= (uint16_t)(1u << field);
}

/* Append to the body. Any length: the window keeps what is wanted now. */
void copse_small_put(struct copse_small_out *out, const void *data, size_t len);
void copse_small_text(struct copse_small_out *out, const char *text);
void copse_small_number(struct copse_small_out *out, uint32_t n); /* in decimal digits */

/* Where a POST has made something; `path` as "a/b?c&d", static storage. Together with a body at most 20
 * bytes. */
static inline void copse_small_location(struct copse_small_out *out, const char *path)
{
	out->path = path;
	out->set |= (uint16_t)(1u << COPSE_SMALL_LOCATION_PATH | 1u << COPSE_SMALL_LOCATION_QUERY);
}

/* ---- server ---- */

enum copse_small_flag {
	COPSE_SMALL_OBSERVABLE = 1,
	COPSE_SMALL_CONFIRM = 2,    /* notifications are confirmable */
	COPSE_SMALL_CONDITIONS = 4, /* the handler looks at If-Match and If-None-Match itself */
	COPSE_SMALL_UPLOAD = 8,     /* takes bodies of many blocks, one by one, from the first on */
	COPSE_SMALL_RESUME = 16     /* with UPLOAD: the handler judges which block may come next */
};

/* What a handler of GET returns to answer later: it is asked again after `delay` ms, with `later` set. */
#define COPSE_SMALL_LATER 1u

/* A request, and the answer to it. */
struct copse_small_turn {
	struct copse_small_out out;
	/* For notifications and late answers a GET with Accept at most. */
	const struct copse_small_message *in;
	const struct copse_small_resource *resource, *resources;
	struct copse_small *small;           /* NULL from copse_small_answer, as is `peer` */
	const struct copse_small_peer *peer; /* who asks */
	copse_small_ms now;
	uint32_t upload; /* where the payload stands in the body */
	uint16_t delay;  /* ms */
	bool more;       /* further pieces of the body follow */
	bool later;      /* asked again after COPSE_SMALL_LATER */
};

/* Answer: fill turn->out and return a code of class 2, 4 or 5. Must write the same body as long as nothing
 * has changed: a block that follows, a notification sent again, a GET that came twice are made by asking
 * again. */
typedef unsigned copse_small_handler(struct copse_small_turn *turn);

/* A table of these ends with one without a handler; it must live as long as its user. */
struct copse_small_resource {
	const char *path; /* without a slash in front; "" is the root */
	const char *link; /* attributes for /.well-known/core as in `;rt="x";ct=0`; NULL: not listed */
	copse_small_handler *handle;
	/* Its ETag, which the handler counts up with each change; 0: there is nothing. NULL: without. */
	uint32_t *version;
	uint8_t methods; /* COPSE_SMALL_METHOD of each */
	uint8_t flags;   /* enum copse_small_flag */
};

#define COPSE_SMALL_METHOD(code) (1u << (code))

/* The handler for /.well-known/core, with the filter of RFC 6690 §4.1 (one query). */
unsigned copse_small_links(struct copse_small_turn *turn);

/* A server without state: answers a datagram in `out` (COPSE_SMALL_MESSAGE bytes). Of what a handler sets,
 * Content-Format and, behind it, Max-Age go out; a body longer than a block and COPSE_SMALL_LATER become
 * 5.00. Conditional requests and blocks get 4.02.
 * Returns the length, 0 for silence. */
size_t copse_small_answer(const struct copse_small_resource *resources, const uint8_t *datagram, size_t len,
			  uint8_t *out);

/* ---- client ---- */

enum copse_small_call_flag { COPSE_SMALL_CON = 1 };

/* A request. Constant; must live until it is over. */
struct copse_small_call {
	const char *path; /* "a/b?c&d" */
	/* Writes the whole body, the same each time; NULL: none. More than a block goes by Block1. */
	void (*body)(const struct copse_small_call *call, struct copse_small_out *out);
	/* Each block of the answer, `offset` into its body, the last one with `more` false. `code` is a
	 * code; or with `m` NULL COPSE_ERR_TIMEOUT, COPSE_ERR_RESET, COPSE_ERR_CHANGED (another
	 * representation on the way: ask again) or COPSE_ERR_BLOCK, and what came before is worth nothing.
	 * NULL: nobody cares, and a NON is over when sent. */
	void (*answer)(const struct copse_small_call *call, int code, const struct copse_small_message *m,
		       uint32_t offset, bool more);
	uint16_t format; /* of the body */
	uint8_t code;
	uint8_t flags; /* enum copse_small_call_flag */
};

/* ---- server and client with state ---- */

/* private: something that may be sent again, or an observer */
struct copse_small_slot {
	struct copse_small_peer peer;
	uint16_t mid;
	const void *what; /* the resource, or the call */
	uint8_t token[8];
	copse_small_ms due;
	uint32_t place; /* of Observe; of a call: how much of a body is over there, or here */
	uint16_t timeout;
	uint16_t accept; /* of a call: a digest of the answer's ETag */
	uint8_t kind, state, tries, token_len;
	uint8_t code; /* the answer, if it is decided: an error that ends an observation */
	uint8_t szx;
	bool fresh; /* the state has changed since the notification under way */
	bool confirm;
};

/* private: a message that must not be taken twice */
struct copse_small_seen {
	struct copse_small_peer peer;
	uint16_t mid;
	copse_small_ms until;
	uint8_t len;
	uint8_t reply[COPSE_SMALL_REPLY];
};

/* Fields are private but for the counters. */
struct copse_small {
	const struct copse_small_resource *resources; /* NULL-terminated table; not NULL */
	uint32_t key[4]; /* random: tokens, message IDs and jitter come from it */
	uint32_t drawn;
	uint32_t number; /* Observe, of all resources */
	struct {
		struct copse_small_peer peer;
		uint16_t busy;                               /* seconds of the clock until it is given up */
		const struct copse_small_resource *resource; /* NULL: none */
		uint32_t offset;
	} upload;
	struct copse_small_slot slot[COPSE_SMALL_OBSERVERS + COPSE_SMALL_OTHERS];
	struct copse_small_seen seen[COPSE_SMALL_SEEN];
	uint16_t mid;
	uint8_t oldest;
	uint16_t forgotten; /* counter: remembered requests that had to go before their time */
	uint16_t refused;   /* counter: observers, late answers and uploads for which there was no room */
};

/* Begin. `resources` must live as long as `s`. `key` is 128 random bits, others at each start: tokens,
 * jitter and the first message ID come from it (RFC 7252 §4.4, §5.3.1). */
void copse_small_init(struct copse_small *s, const struct copse_small_resource *resources,
		      const uint32_t key[4]);

/* Take `len` bytes from `peer`. A longer datagram than COPSE_SMALL_RECEIVE may be handed in by its true
 * length and with only so many bytes there: it gets 4.13 with the block size that fits. The answer is
 * written to `out`, which has COPSE_SMALL_MESSAGE bytes and is not `datagram`. Returns its length, 0 for
 * none. */
size_t copse_small_receive(struct copse_small *s, const struct copse_small_peer *peer,
			   const uint8_t *datagram, size_t len, uint8_t *out, copse_small_ms now);

/* The next message that is due; call until it returns 0. */
size_t copse_small_next(struct copse_small *s, uint8_t *out, struct copse_small_peer *to, copse_small_ms now);

/* Milliseconds until copse_small_next has something to do, at most `most`. */
copse_small_ms copse_small_deadline(const struct copse_small *s, copse_small_ms now, copse_small_ms most);

/* `resource` has changed: its observers are told. */
void copse_small_notify(struct copse_small *s, const struct copse_small_resource *resource,
			copse_small_ms now);

/* The observations of `resource` end with a notification of this code; with 0 silently. */
void copse_small_end(struct copse_small *s, const struct copse_small_resource *resource, unsigned code,
		     copse_small_ms now);

/* Begin a call. Returns 0 or COPSE_ERR_NOROOM. */
int copse_small_ask(struct copse_small *s, const struct copse_small_peer *peer,
		    const struct copse_small_call *call, copse_small_ms now);

#endif
