/* Resources of a server (RFC 7252 §5.8): what a path offers, the request that a handler is given, and the response that
 * it fills.
 *
 * A resource is constant data: a microcontroller keeps its table in flash.
 *
 *	static void hello(const struct copse_request *rq, struct copse_response *rs)
 *	{
 *		copse_response_text(rs, "Hello, world");
 *	}
 *	static const struct copse_resource resources[] = {{.path = "hello", .get = hello, .title = "A greeting"}};
 *
 * What a handler need not do: 4.04, 4.05, 4.06, 4.15, If-Match and If-None-Match, 2.03, blocks of either direction,
 * Observe, No-Response, errors to multicast requests. Handlers are called by copse_server_take and copse_server_expire,
 * in the thread of these; they must not call them.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_RESOURCE_H
#define COPSE_RESOURCE_H

#include <copse/body.h>
#include <copse/endpoint.h>
#include <copse/format.h>
#include <copse/priority.h>

struct copse_server;
struct copse_request;
struct copse_response;

typedef void copse_method(const struct copse_request *rq, struct copse_response *rs);

enum copse_resource_flag {
	COPSE_RESOURCE_OBSERVABLE =
	    1,                     /* GET (and FETCH) may be observed: copse_server_changed notifies; "obs" */
	COPSE_RESOURCE_HIDDEN = 2, /* not listed by /.well-known/core */
	COPSE_RESOURCE_WHOLE = 4,  /* handlers get a body only when it is complete, in one piece: at most
					  copse_server_config.collect_len bytes, else 4.13 */
	COPSE_RESOURCE_MULTICAST = 8, /* answers multicast requests too; the others are silent to them */
	COPSE_RESOURCE_FRESH =
	    16, /* methods that are not safe need a fresh Echo (RFC 9175 §2.3): the peer is told
					  by 4.01 to repeat its request with one */
	/* Where copse_server_config.amplification guards against forged addresses: */
	COPSE_RESOURCE_UNPROVEN =
	    32, /* methods that are not safe are run for an address that is not verified, too: for peers that know
		   no Echo, or send only. Of an answer longer than the bound only the code is sent */
	COPSE_RESOURCE_PROVEN =
	    64, /* safe methods, too, are run for a verified address only: for answers that are deferred, and may
		  then have to be sent several times */
	COPSE_RESOURCE_REPEATABLE =
	    128 /* its requests may run twice, whatever their method: see copse_endpoint_repeatable */
};

/* Lists of Content-Formats for `formats` and `takes`. At file scope they are constant data. */
#define COPSE_FORMATS_END  0xffffu
#define COPSE_FORMATS(...) ((const uint16_t[]){__VA_ARGS__, COPSE_FORMATS_END})

#define COPSE_ETAG_MAX 8 /* RFC 7252 §5.10 */

/* Zero or NULL is "none" for every member but `path`. The caller's; must not change while a server has it. */
struct copse_resource {
	/* Segments separated by "/", not percent-encoded, without a "/" at either end: "seg1/seg2"; "" is the root.
	 * A segment "*" stands for any one segment, a last segment "**" for any number of them, none included:
	 * "store" and "store/2024/May" both match "store/ **" (written without the blank). The most literal match
	 * wins, from left to right. */
	const char *path;

	copse_method *get, *post, *put, *delete, *fetch, *patch, *ipatch; /* a method without one is 4.05 */

	/* Whether what `rq` names exists, and its ETag: asked before methods that are not safe, for If-Match and
	 * If-None-Match (RFC 7252 §5.10.8). Write up to COPSE_ETAG_MAX bytes to `etag`.
	 * Returns the ETag's length, 0 for one that exists but has none, < 0 for one that does not exist.
	 * NULL: it exists and has none. */
	int (*state)(const struct copse_request *rq, uint8_t *etag);

	/* An upload in pieces will not be continued: `rq->body_offset` bytes had been handed over, `*rq->transfer` is
	 * what the handler kept. Only for uploads of which a handler saw a part and refused none, but not the end. Of `rq`
	 * only server, resource, peer, method, now, body_offset, body_size and transfer mean anything. */
	void (*abandon)(const struct copse_request *rq);

	void *user; /* for the handlers */

	/* Content-Formats that it can be read in ("ct"), best first, others are 4.06; that it takes as a body, others
	 * are 4.15. Both end with COPSE_FORMATS_END. */
	const uint16_t *formats, *takes;

	/* RFC 6690 §3: rt and if may hold several values, separated by one space each. */
	const char *rt;
	const char *interface; /* "if" */
	const char *title;
	uint32_t sz;

	uint32_t body_max; /* longest body that it takes, beyond: 4.13; 0: no limit of its own */
	uint16_t flags;    /* enum copse_resource_flag */
	uint8_t worth; /* enum copse_worth of its notifications: telemetry goes as NON, now and then as CON */
};

enum copse_purpose {
	COPSE_PURPOSE_REQUEST, /* a peer asked */
	COPSE_PURPOSE_NOTIFY   /* the state changed: what would a peer get that asked? Cannot be deferred */
};

/* What a handler is told. Valid until it returns. */
struct copse_request {
	struct copse_server *server;
	const struct copse_resource *resource;
	const struct copse_message *message; /* its options; those that a notification was registered with */
	const struct copse_peer *peer;       /* NULL for notifications: one answer serves many */
	copse_handle exchange;               /* of the endpoint; COPSE_NO_HANDLE for notifications */
	copse_ms now;
	uint8_t method;  /* COPSE_CODE_GET ... */
	uint8_t purpose; /* enum copse_purpose */
	bool multicast;

	/* What the peer wants: one of the resource's formats when it has a list (the first of it when the peer did not
	 * say); without a list the Accept option, or COPSE_FORMAT_NONE. */
	uint32_t accept;

	/* The body, piece by piece and in order. `more`: this is not the end; leave the response alone to go on, or set
	 * an error code to end the upload. `size`: how long the peer says that it will be (Size1), or
	 * COPSE_BODY_UNKNOWN. */
	uint32_t format; /* Content-Format, or COPSE_FORMAT_NONE */
	const uint8_t *body;
	size_t body_len;
	uint32_t body_offset;
	uint32_t body_size;
	bool body_more;
	void **transfer; /* the handler's own from the first piece to the last; *transfer is NULL at first */
};

/* Segment `i` of the path, from 0. Returns its bytes (not terminated) with `*len`, or NULL. */
const char *copse_request_segment(const struct copse_request *rq, unsigned i, size_t *len);

/* The path as text, "/" before each segment, segments as they are. Returns the length that it has (or would have),
 * writes at most `cap` bytes including a terminating NUL, which is always there when cap > 0. */
size_t copse_request_path(const struct copse_request *rq, char *buf, size_t cap);

/* The value of the query parameter `name`: of the first Uri-Query that is "name=value", or "name" (length 0).
 * Returns its bytes (not terminated) with `*len`, or NULL. */
const char *copse_request_query(const struct copse_request *rq, const char *name, size_t *len);

/* Answer later, from any moment, by copse_server_reply. What the handler put into the response is dropped.
 * Returns a handle, or COPSE_NO_HANDLE when no more can be deferred (copse_server_config.deferred_cap; a
 * notification): then the answer is 5.03, unless the handler sets another. */
copse_handle copse_request_defer(const struct copse_request *rq);

/* The most bytes of a body that the answer to `rq` can have in one message: the size of a block, or several units of
 * 1024 by a reliable transport (RFC 8323 §6). It may have less. For handlers that must have them at hand. */
uint32_t copse_request_piece(const struct copse_request *rq);

/* Answer `rq` and let no observation come of it (RFC 7641 §4.1): it is answered as if Observe had not been there, and one
 * that its peer had with the same token is over. No effect on requests without Observe. */
void copse_request_once(const struct copse_request *rq);

/* For the handler of a notification: who of its observers may go on? Those that `may` refuses are told `code`, without
 * more and as far as the endpoint has room, and forgotten. `may` must not call the server.
 * Returns how many; 0 when `rq` is no notification. */
unsigned copse_request_review(const struct copse_request *rq, uint8_t code,
			      bool (*may)(void *user, const struct copse_peer *peer), void *user);

/* What a handler says. Begin with the code if it is not the usual one of the method (2.05 for GET and FETCH, 2.02 for
 * DELETE, 2.04 for the others); then the body and options, in any order. All members are private but the upper ones. */
struct copse_response {
	uint8_t code;
	uint8_t priority; /* as in struct copse_out */
	bool con;         /* send it confirmable though the request was not */
	bool
	    silent; /* send nothing: to a sender who does not listen, or to a group's where there is nothing to
			     say (RFC 7252 §8.2). A CON is acknowledged; no observation comes of it */
	uint32_t format;  /* Content-Format, or COPSE_FORMAT_NONE */
	uint32_t max_age; /* seconds; COPSE_MAX_AGE_DEFAULT is not sent */
	uint8_t etag_len;
	uint8_t etag[COPSE_ETAG_MAX];

	/* private */
	struct copse_server *server;
	struct copse_builder options;
	const uint8_t *bytes;
	copse_body_read *read;
	void (*release)(void *user);
	void *user;
	uint32_t body_len;
	bool kept; /* `bytes` stay valid after the handler has returned */
};

/* A body that is copied at once: up to copse_server_config.scratch_len bytes, more makes the response 5.00. */
void copse_response_copy(struct copse_response *rs, uint32_t format, const void *bytes, size_t len);

/* The same for text/plain; charset=utf-8. */
void copse_response_text(struct copse_response *rs, const char *text);

/* Room to write a body into, of `*cap` bytes, instead of copying one; then say how many it has become. */
uint8_t *copse_response_room(struct copse_response *rs, size_t *cap);
void copse_response_commit(struct copse_response *rs, uint32_t format, size_t len);

/* A body that stays where it is, unchanged, for as long as the server runs: constant data. */
void copse_response_view(struct copse_response *rs, uint32_t format, const void *bytes, size_t len);

/* A body that is read piece by piece; `len` may be COPSE_BODY_UNKNOWN. `release` may be NULL.
 * Without `release` each block of a GET or FETCH asks the handler anew: right for what can be read at any offset, and
 * costs the server nothing; give it an ETag, so that the peer notices a change. With `release` the server keeps the
 * reader for the peer that asked, until it has read to the end or copse_server_config.transfer_ms have passed without a
 * request; then, or at once when one block was enough or the peer wanted none, it calls `release`. (Where the last block
 * may have got lost, as with NON, it is kept a while longer, unless there is need of room.) Answers to methods
 * that are not safe are always kept, if they have more than one block. */
void copse_response_reader(struct copse_response *rs, uint32_t format, uint32_t len, copse_body_read *read,
			   void (*release)(void *user), void *user);

void copse_response_etag(struct copse_response *rs, const void *etag, size_t len);

/* Any other option: Location-Path, Location-Query ... Not those that have a function or member above, nor Observe, Block
 * and Size. When there is no room, or the registry forbids the value, the response becomes 5.00. */
void copse_response_option(struct copse_response *rs, uint16_t number, const void *value, size_t len);
void copse_response_option_text(struct copse_response *rs, uint16_t number, const char *value);
void copse_response_option_uint(struct copse_response *rs, uint16_t number, uint32_t value);

/* An error with a diagnostic text (RFC 7252 §5.5.2), which is copied; NULL: without. Drops body and options. */
void copse_response_error(struct copse_response *rs, uint8_t code, const char *diagnostic);

/* An error with problem details in CBOR (RFC 9290): title and detail are UTF-8 text, either may be NULL. */
void copse_response_problem(struct copse_response *rs, uint8_t code, const char *title, const char *detail);

/* 4.29 Too Many Requests: not again before `seconds` have passed (RFC 8516). */
void copse_response_too_many(struct copse_response *rs, uint32_t seconds);

#endif
