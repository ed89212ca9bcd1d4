/* The loop: what has come, what is due, sleep.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "app.h"
#include "board.h"
#include "link.h"

static struct copse_small node;
static uint32_t out[(COPSE_SMALL_MESSAGE + 3) / 4]; /* on a word: the Ethernet takes words */

static void turn(void)
{
	struct copse_small_peer peer;
	uint8_t *message = (uint8_t *)out;
	size_t len;
	const uint8_t *datagram = link_receive(&peer, &len);
	copse_small_ms now = board_ms();
	if (datagram)
		len = copse_small_receive(&node, &peer, datagram, len, message, now);
	else
		len = copse_small_next(&node, message, &peer, now);
	if (len > 0)
		link_send(&peer, message, len);
	else if (!datagram && app_run(&node, now) > 0)
		board_sleep();
}

/* Apart, so that the key does not stay on the stack. */
static __attribute__((noinline)) void begin(void)
{
	uint32_t key[4];
	board_init();
	board_key(key);
	copse_small_init(&node, app_resources, key);
	link_init();
	app_init(&node);
}

int main(void)
{
	begin();
	for (;;)
		turn();
}
