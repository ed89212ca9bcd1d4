/* What was found out about requests: the same bytes again need not be understood, resolved and checked again.
 *
 * An entry belongs to the exact bytes of a request's options and to the rights that it was asked with; it is found by a
 * keyed hash and compared byte by byte, so that a collision costs nothing but time. It is valid until gw_memo_forget (a
 * new configuration) and, if the resource directory had a part in it, until that changes.
 *
 * A fixed table, two places for each hash: the one that was not used last gives way. Only what comes for the second time
 * is kept, so that what never comes again costs little and drives nothing out. Nothing is ever lost by the bound: who is
 * not found is looked up the long way. Memory is taken once, and touched when it is used first. One worker owns a table.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_MEMO_H
#define GATEWAY_MEMO_H

#include "cache_key.h"

#define GW_MEMO_KEY                                                                                          \
	120 /* bytes of a request, with its account where that matters; longer ones are not kept */
#define GW_MEMO_REST 96 /* bytes of the request for the device */

struct gw_memo;

/* Who asks what. */
struct gw_memo_question {
	const uint8_t *bytes; /* the account, if rights go by it, with a NUL; then the options as they came */
	size_t len;           /* up to GW_MEMO_KEY */
	uint64_t grant;       /* serial number of the rules of the session's token, 0 for none */
	uint64_t directory;   /* generation of the resource directory */
	uint64_t hash;        /* by gw_memo_hash, for more than one use; 0: not made yet */
	uint8_t code;
	bool by_account; /* whether the account is part of `bytes` */
};

/* What was found out. `rest` to `key` are the caller's to fill and read. */
struct gw_memo_entry {
	/* private */
	uint64_t hash, epoch, grant, directory;
	uint8_t code, len;
	bool by_account;
	bool by_directory; /* valid as long as the directory stays as it is; written by the caller */

	uint8_t owner; /* number + 1 of the worker that the device belongs to, and nothing else is known; 0: this one */
	uint8_t rest_len;
	uint16_t class; /* number in the configuration */
	struct copse_peer device;
	struct gw_cache_key key;
	uint8_t rest[GW_MEMO_REST]; /* options of the request for the device */
	uint8_t bytes[GW_MEMO_KEY]; /* private */
};

/* A table of at least `entries` places, 2 or more. `key` is random and secret. Returns NULL without memory. */
struct gw_memo *gw_memo_new(uint32_t entries, const uint64_t key[2]);

/* NULL is taken. */
void gw_memo_free(struct gw_memo *memo);

/* The hash of `q`, whose other fields are there, to be put into it. */
uint64_t gw_memo_hash(const struct gw_memo *memo, const struct gw_memo_question *q);

/* What is known about `q`, or NULL. Valid until the next call of gw_memo_put or gw_memo_forget. */
const struct gw_memo_entry *gw_memo_find(struct gw_memo *memo, const struct gw_memo_question *q);

/* A place for `q`, about which nothing is known, to be filled at once; or NULL: it is the first of its kind. */
struct gw_memo_entry *gw_memo_put(struct gw_memo *memo, const struct gw_memo_question *q);

/* Nothing is known any more. */
void gw_memo_forget(struct gw_memo *memo);

#endif
