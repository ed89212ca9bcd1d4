/* A request as the command line asks for it: its options, encoded; whether it is confirmable; its blocks.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_REQUEST_H
#define COPSE_TOOL_REQUEST_H

#include "payload.h"
#include "target.h"

#define REQUEST_OPTIONS_MAX 4096

struct request {
	uint8_t code;
	unsigned flags; /* enum copse_call_flag */
	uint8_t szx;
	uint8_t priority;
	bool early;     /* a block size was asked for */
	bool one_block; /* only block `block_number` is wanted: coap-client's -b NUM,SIZE */
	uint32_t block_number;
	bool no_response; /* silence is success */
	uint8_t options[REQUEST_OPTIONS_MAX];
	size_t options_len;
	struct buffer payload;
	/* Where the answer's body goes; NULL: into the answer. Blocks come in order, each once. */
	int (*write)(void *user, uint32_t offset, const uint8_t *bytes, size_t len);
	void *write_user;
};

/* What else stands in a request made by request_special; zeros but `accept` and `format`: nothing. */
struct request_special {
	int accept, format; /* content formats; -1: none */
	bool silent;        /* non-confirmable, and no answer of any class wanted (RFC 7967) */
	bool has_max_age;
	uint32_t max_age; /* seconds */
};

/* Make the request that the command line asks for, to `target`. Reports errors.
 * Returns 0 (give it to request_free), or an exit code. */
int request_make(struct request *request, const struct args *args, const struct target *target);

/* A request with nothing but its URI. As above. */
int request_plain(struct request *request, uint8_t code, const struct target *target);

/* A request with its URI and what `special` says; the payload is given later. As above. */
int request_special(struct request *request, uint8_t code, const struct target *target,
		    const struct request_special *special);

void request_free(struct request *request);

#endif
