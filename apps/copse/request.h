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
};

/* Make the request that the command line asks for, to `target`. Reports errors.
 * Returns 0 (give it to request_free), or an exit code. */
int request_make(struct request *request, const struct args *args, const struct target *target);

/* A request with nothing but its URI, and a Content-Format for a payload given later. As above. */
int request_plain(struct request *request, uint8_t code, const struct target *target);

void request_free(struct request *request);

#endif
