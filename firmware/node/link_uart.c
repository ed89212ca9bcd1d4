/* CoAP over HDLC on a UART (copse/hdlc.h): a message a frame, one peer at the other end.
 *
 * A frame with a wrong check sum is passed over; CoAP repeats what has to arrive.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "board.h"
#include "link.h"

#include <copse/hdlc.h>

static struct copse_hdlc hdlc;
static uint8_t buffer[COPSE_SMALL_RECEIVE + COPSE_HDLC_FCS];

void link_init(void)
{
	board_uart_init();
	copse_hdlc_init(&hdlc, buffer, sizeof(buffer));
}

const uint8_t *link_receive(struct copse_small_peer *from, size_t *len)
{
	from->bytes[0] = 0;
	for (int c = board_uart_get(); c >= 0; c = board_uart_get()) {
		uint8_t byte = (uint8_t)c;
		copse_hdlc_take(&hdlc, &byte, 1, len);
		if (*len > 0)
			return buffer;
	}
	return NULL;
}

void link_send(const struct copse_small_peer *to, const uint8_t *message, size_t len)
{
	uint8_t frame[COPSE_HDLC_BYTES(COPSE_SMALL_MESSAGE)];
	size_t n = copse_hdlc_put(frame, sizeof(frame), message, len);
	(void)to;
	for (size_t i = 0; i < n; i++)
		board_uart_put(frame[i]);
}
