/* Error codes, from registry/errors.def. A codec never logs and never keeps an error: it returns one of these.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_ERROR_H
#define COPSE_ERROR_H

#include <copse/types.h>

enum copse_err {
	COPSE_OK = 0,
#define ERROR(name, value, code, text) COPSE_ERR_##name = (value),
#include <copse/registry/errors.def>
#undef ERROR
};

/* Whether `err` says that there was no room: nothing has changed, and the same call may succeed later. */
static inline bool copse_err_is_transient(int err)
{
	return err <= -50 && err > -100;
}

/* One sentence in English without a full stop; static storage. "unknown error" for a number that is none of ours. */
const char *copse_err_text(int err);

/* The name without its prefix, as "NOROOM"; static storage. */
const char *copse_err_name(int err);

/* The response code that a server may answer with (RFC 7252 §5.9), or 0 when none fits. */
uint8_t copse_err_code(int err);

#endif
