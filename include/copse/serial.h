/* A serial line as a transport: CoAP messages in HDLC frames (copse/hdlc.h) to the one station at the other end.
 *
 * The line is a terminal device, set to eight bits, no parity, one stop bit and no flow control, or a Unix stream
 * socket as emulators offer one. What is damaged on the way is dropped and counted; repetition is the message
 * layer's.
 *
 * When the line goes (the adapter is unplugged, the emulator ends) the transport reports its peer as failed and
 * copse_serial_lost becomes true: detach it then. A copse_line does that and opens it again as soon as that works.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SERIAL_H
#define COPSE_SERIAL_H

#include <copse/hdlc.h>
#include <copse/host.h>
#include <copse/loop.h>
#include <copse/transport.h>

#define COPSE_SERIAL_FRAME_MIN 64u   /* shortest `frame_max`: a request with a path and a block of 16 bytes */
#define COPSE_SERIAL_FRAME_MAX 2048u /* longest */

/* Zero means the default. */
struct copse_serial_config {
	const char *path; /* of the terminal or the socket; kept until the transport is closed */
	uint32_t baud;    /* of a terminal; default 115200 */
	uint32_t
	    frame_max; /* longest message, COPSE_SERIAL_FRAME_MIN to _MAX; longer ones are dropped; default 256 */
	uint8_t group; /* parameter group (copse_config.group) of the peer */
};

/* Open the line. `why` gets a sentence when it fails; it may be NULL when why_cap is 0.
 * Returns 0 with `*out`, to be given to copse_transport_close, or to a host, which closes it
 *  COPSE_ERR_ARGUMENT  there is no such line, it cannot be opened or set up, or the configuration is out of range
 *  COPSE_ERR_NOROOM    no memory */
int copse_serial_open(const struct copse_serial_config *config, struct copse_transport **out, char *why,
		      size_t why_cap);

/* The station at the other end; once the transport has its id. */
void copse_serial_peer(const struct copse_transport *t, struct copse_peer *peer);

/* Whether the line is gone: nothing will come or go any more. */
bool copse_serial_lost(const struct copse_transport *t);

/* What came over the line. */
const struct copse_hdlc_counters *copse_serial_frames(const struct copse_transport *t);

/* A line that is opened again whenever it was lost. Zero-initialise; the members are private. */
struct copse_line {
	struct copse_host *host;
	struct copse_loop *loop;
	struct copse_serial_config config;
	void (*changed)(void *self, bool up, const char *why, copse_ms now);
	void *self;
	struct copse_transport *transport; /* NULL: down */
	struct copse_timer retry;
	struct copse_prepare prepare;
	struct copse_hdlc_counters past; /* of transports that are gone */
	bool told;
};

/* Open the line now, and again every COPSE_LINE_RETRY_MS while that fails. `changed` is called when it is up, when
 * it was lost, and when it could not be opened for the first time in a row, with a sentence that says why not.
 * Both `line` and what
 * `config` points to must live until copse_line_stop. */
void copse_line_start(struct copse_line *line, struct copse_host *host, struct copse_loop *loop,
		      const struct copse_serial_config *config,
		      void (*changed)(void *self, bool up, const char *why, copse_ms now), void *self);

#define COPSE_LINE_RETRY_MS 500

/* Close it, before its host and loop are freed. */
void copse_line_stop(struct copse_line *line);

/* The station at the other end. Returns false while the line is down. */
bool copse_line_peer(const struct copse_line *line, struct copse_peer *peer);

/* What came over the line since copse_line_start. */
void copse_line_frames(const struct copse_line *line, struct copse_hdlc_counters *frames);

#endif
