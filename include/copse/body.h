/* Bodies stream: whoever sends one is asked for the piece that is about to leave, whoever receives one is handed each
 * piece that has arrived. Neither side ever needs a body as a whole.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_BODY_H
#define COPSE_BODY_H

#include <copse/types.h>

/* "Not known before it has been read." */
#define COPSE_BODY_UNKNOWN UINT32_MAX

/* Copy up to `cap` bytes of the body from `offset` on into `buf`. An offset may come again and out of order: after a
 * change of block size, or when the peer lost the beginning.
 * Returns the number of bytes, less than `cap` only at the end of the body, or < 0 to end the transfer with it. */
typedef int copse_body_read(void *user, uint32_t offset, uint8_t *buf, size_t cap);

/* Take `len` bytes of the body that begin at `offset`. Offset 0 begins a body: the first, the next notification's, or
 * the same once more because it changed while it was fetched. Bytes come in order without gaps.
 * Returns 0, or < 0 to end the transfer with it. */
typedef int copse_body_write(void *user, uint32_t offset, const uint8_t *bytes, size_t len);

#endif
