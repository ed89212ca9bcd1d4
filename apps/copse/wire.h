/* What passes on the wire, shown and captured: a tap on a transport that hands on to another.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_WIRE_H
#define COPSE_TOOL_WIRE_H

#include <copse/pcap.h>
#include <copse/transport.h>

struct wire {
	struct copse_tap tap;   /* first: the tap's object is the wire's */
	struct copse_tap *next; /* NULL: none */
	unsigned verbose;       /* 0: show nothing, 1: messages, 2: their bytes as well */
	uint16_t last_id;       /* of the last message of ours; 0: none yet */
};

/* Tap `transport`; hands on to the capture, which may be NULL. */
void wire_tap(struct wire *wire, struct copse_transport *transport, unsigned verbose,
	      struct copse_pcap *pcap);

#endif
