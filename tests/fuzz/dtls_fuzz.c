/* The record layer of DTLS, as a server and as a client, fed with any datagrams: handshakes that are not
 * valid, in any order. The first byte chooses the side; then each datagram stands behind its length in two
 * bytes. Identities that come out are printable.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "transport/dtls_record.h"

#include <copse/host.h>

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t address[18] = {[10] = 0xff, 0xff, 127, 0, 0, 1, 0x16, 0x34};
static const uint8_t cookie[2][DTLS_COOKIE_KEY] = {"the present one", "the former one "};

static void out(struct dtls_link *self, const void *bytes, size_t len)
{
	(void)self;
	COPSE_ASSERT(bytes && len > 0 && len <= DTLS_BYTES_MAX);
}

static struct copse_secure *keys(bool server)
{
	static struct copse_secure *made[2];
	char why[COPSE_SECURE_WHY];

	if (!made[server]) {
		made[server] = copse_secure_new(server);
		COPSE_ASSERT(made[server]);
		COPSE_ASSERT(!copse_secure_psk(made[server], NULL, "alice", 5, "sixteen byte key", 16));
		COPSE_ASSERT(!copse_secure_finish(made[server], why));
	}
	return made[server];
}

static void read_all(struct dtls_record *r)
{
	static uint8_t plain[DTLS_PLAIN_MAX];
	char identity[256];
	int n;

	dtls_record_identity(r, identity, sizeof identity);
	for (const char *c = identity; *c; c++)
		COPSE_ASSERT(*c > ' ' && *c < 0x7f);
	while ((n = dtls_record_read(r, plain)) > 0)
		COPSE_ASSERT(n <= (int)sizeof plain);
}

/* Feed one datagram. Returns false when the association is over. */
static bool feed(struct dtls_record *r, const uint8_t *bytes, size_t len, bool *done)
{
	bool silent;

	dtls_record_feed(r, bytes, len);
	if (!*done) {
		enum dtls_progress p = dtls_record_handshake(r);

		*done = p == DTLS_DONE;
		COPSE_ASSERT(p != DTLS_BROKEN || dtls_record_why(r, &silent));
		if (p != DTLS_DONE)
			return p == DTLS_WAITS;
	}
	read_all(r);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dtls_link link = {out, address};
	struct dtls_record_config config = {.mtu = 1232, .retransmit_ms = 1000, .handshake_ms = 30000};
	struct dtls_verified verified = {0, 0, 0};
	struct dtls_record *r;
	size_t at = 1;
	bool done = false, server = size > 0 && data[0] & 1;

	if (size == 0)
		return 0;
	config.secure = keys(server);
	r = dtls_record_new(&config, &link, server ? &verified : NULL);
	COPSE_ASSERT(r);
	while (at + 2 <= size) {
		size_t len = (size_t)(data[at] << 8 | data[at + 1]);
		struct dtls_verified unused;

		at += 2;
		len = len < size - at ? len : size - at;
		if (len <= DTLS_BYTES_MAX)
			dtls_record_verify(&link, cookie, data + at, len, &unused);
		if (!feed(r, data + at, len, &done))
			break;
		at += len;
	}
	dtls_record_free(r);
	return 0;
}
