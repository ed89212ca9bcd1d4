/* How messages come and go. Implemented by link_ethernet.c or link_uart.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef NODE_LINK_H
#define NODE_LINK_H

#include <copse/small.h>

void link_init(void);

/* A message that has come, or NULL. Valid until the next call; `*len` may be more than COPSE_SMALL_RECEIVE,
 * then only so much of it is here. Answers by itself what the link's own protocols ask. */
const uint8_t *link_receive(struct copse_small_peer *from, size_t *len);

/* `message` lies on a word. */
void link_send(const struct copse_small_peer *to, const uint8_t *message, size_t len);

#endif
