/* A new image, kept in memory that outlives the power.
 *
 * What is sent is the SHA-256 of the image (32 bytes) and behind it the image. It is written page by page,
 * each noted in a journal when it is whole; whoever sends asks by GET how much is there and goes on with
 * the block behind that, after a loss of power too. When the last block has come, the digest is computed
 * over what the memory holds.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef NODE_UPDATE_H
#define NODE_UPDATE_H

#include <copse/small.h>

/* Read the journal. To be called once, before the others. */
void update_init(void);

/* The handler of /firmware: GET tells "receiving N" or "verified N"; PUT takes a block; DELETE forgets. */
unsigned update_resource(struct copse_small_turn *turn);

#endif
