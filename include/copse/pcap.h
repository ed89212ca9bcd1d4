/* A capture file of what a transport sent and received, for tshark and Wireshark: a tap on a transport.
 *
 * The file has link type RAW (101): each packet is an IPv4 or IPv6 header, a UDP header and the datagram as it passed
 * here, with the addresses of both ends and valid checksums. Headers are made up: hop limits, identifiers and
 * fragments of the network are not seen here. One capture may tap several transports of one thread.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_PCAP_H
#define COPSE_PCAP_H

#include <copse/transport.h>

struct copse_pcap;

/* Create or overwrite the file at `path`; "-" is standard output.
 * Returns it, or NULL with errno. */
struct copse_pcap *copse_pcap_open(const char *path);

/* The tap to set as `tap` of a transport. Valid until copse_pcap_close. */
struct copse_tap *copse_pcap_tap(struct copse_pcap *pcap);

/* Write one datagram at the wall-clock time `us` (microseconds since 1970) by hand.
 * `from` and `to` are of one family, IPv4-mapped ones counting as IPv4; otherwise nothing is written.
 * Errors of writing stick and are returned by copse_pcap_close. */
void copse_pcap_write(struct copse_pcap *pcap, const struct copse_address *from,
		      const struct copse_address *to, const void *data, size_t len, uint64_t us);

/* Flush what is buffered, so that a reader sees it. */
void copse_pcap_flush(struct copse_pcap *pcap);

/* Take the tap off every transport before. Returns 0, or COPSE_ERR_TRANSPORT when not everything could be written
 * (errno says why). NULL is taken. */
int copse_pcap_close(struct copse_pcap *pcap);

#endif
