/* See wire.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "wire.h"
#include "describe.h"
#include "report.h"
#include "text.h"

#include <time.h>

static void print_time(FILE *out)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	fprintf(out, "%s%02d:%02d:%02d.%03ld%s", report_style(out, STYLE_DIM), tm.tm_hour, tm.tm_min,
		tm.tm_sec, now.tv_nsec / 1000000, report_end(out));
}

static void show(const struct wire *wire, const struct copse_datagram *d, bool sent)
{
	char peer[COPSE_ADDRESS_TEXT];
	struct copse_message m;

	print_time(stderr);
	fprintf(stderr, " %s %s  ", sent ? ">" : "<", copse_peer_text(&d->peer, peer, sizeof(peer)));
	int err = copse_message_parse(&m, d->data, d->len);
	if (err)
		fprintf(stderr, "%u bytes that are no message: %s", d->len, copse_err_text(err));
	else
		describe_message(stderr, &m);
	fputc('\n', stderr);
	if (wire->verbose > 1)
		text_print_dump(stderr, d->data, d->len, "    ");
}

static void datagram(struct copse_tap *self, const struct copse_transport *t, const struct copse_datagram *d,
		     bool sent)
{
	struct wire *wire = (struct wire *)self;

	/* RFC 7252 §4.4: the IDs of what we begin; acknowledgements and Resets bear the peer's. */
	if (sent && d->len >= COPSE_HEADER_LEN && (d->data[0] >> 4 & 3) <= COPSE_NON)
		wire->last_id = (uint16_t)(d->data[2] << 8 | d->data[3]);
	if (wire->verbose)
		show(wire, d, sent);
	if (wire->next)
		wire->next->datagram(wire->next, t, d, sent);
}

void wire_tap(struct wire *wire, struct copse_transport *transport, unsigned verbose, struct copse_pcap *pcap)
{
	wire->tap = (struct copse_tap){.datagram = datagram};
	wire->next = pcap ? copse_pcap_tap(pcap) : NULL;
	wire->verbose = verbose;
	wire->last_id = 0;
	transport->tap = &wire->tap;
}
