/* Two record layers of DTLS that talk to each other by a network which the input directs: it loses, repeats, reorders,
 * damages and cuts datagrams, says earlier ones again, and has some of its own. With every kind of credentials, from the
 * hello without a cookie to messages behind the handshake.
 *
 * The first byte chooses the credentials; then there is an operation for each datagram that is on its way. What the input
 * has no operation for passes: so the empty input of each kind is a handshake as it should be, and must end as that. In
 * no case is anything read that the other side has not said.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "transport/dtls_record.h"
#include "unit/transport/keys.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ON_THE_WAY 64
#define STEPS      400 /* datagrams delivered, at most */
#define LONGEST    2048

/* ---- credentials ---- */

enum kind {
	PSK,
	SERVER_CERTIFICATE,
	BOTH_CERTIFICATES,
	RAW_KEYS,
	PSK_OF_MANY,
	WRONG_AUTHORITY,
	WRONG_KEY,
	KINDS
};

static bool is_right(enum kind kind)
{
	return kind < WRONG_AUTHORITY;
}

static bool has_psk(enum kind kind, bool server)
{
	return kind == PSK || kind == PSK_OF_MANY || kind == WRONG_KEY || (kind == RAW_KEYS && server);
}

static bool has_certificate(enum kind kind, bool server)
{
	return kind == BOTH_CERTIFICATES || kind == WRONG_AUTHORITY ||
	       (server && (kind == SERVER_CERTIFICATE || kind == PSK_OF_MANY));
}

static void add(struct copse_secure *s, enum kind kind, bool server)
{
	const struct keys *own =
	    keys_of(server ? KEYS_SERVER : KEYS_CLIENT, !server && kind == WRONG_AUTHORITY);
	const struct keys *other = keys_of(server ? KEYS_CLIENT : KEYS_SERVER, false);
	const char *secret = !server && kind == WRONG_KEY ? "another such key" : "sixteen byte key";
	char why[COPSE_SECURE_WHY];

	if (has_psk(kind, server))
		COPSE_ASSERT(!copse_secure_psk(s, NULL, "alice", 5, secret, 16));
	if (has_certificate(kind, server))
		COPSE_ASSERT(!copse_secure_certificate(s, own->cert, strlen(own->cert), own->key,
						       strlen(own->key), why));
	if (kind == RAW_KEYS) {
		COPSE_ASSERT(!copse_secure_raw_key(s, own->key, strlen(own->key), why));
		COPSE_ASSERT(!copse_secure_trust_raw(s, other->public_key, strlen(other->public_key), why));
	} else if (kind == BOTH_CERTIFICATES || kind == WRONG_AUTHORITY ||
		   (!server && kind == SERVER_CERTIFICATE)) {
		COPSE_ASSERT(!copse_secure_trust(s, other->ca, strlen(other->ca), why));
	}
	if (server && (kind == BOTH_CERTIFICATES || kind == WRONG_AUTHORITY))
		copse_secure_require_peer(s);
	if (!server)
		COPSE_ASSERT(!copse_secure_server_name(s, "gateway.example", 15));
}

static struct copse_secure *credentials(enum kind kind, bool server)
{
	static struct copse_secure *made[KINDS][2];
	char why[COPSE_SECURE_WHY];

	if (!made[kind][server]) {
		made[kind][server] = copse_secure_new(server);
		COPSE_ASSERT(made[kind][server]);
		add(made[kind][server], kind, server);
		COPSE_ASSERT(!copse_secure_finish(made[kind][server], why));
	}
	return made[kind][server];
}

/* ---- two sides and what is between them ---- */

static const uint8_t address[2][18] = {{[10] = 0xff, 0xff, 127, 0, 0, 1, 0x16, 0x34},
				       {[10] = 0xff, 0xff, 127, 0, 0, 1, 0x16, 0x35}};
static const uint8_t cookie[2][DTLS_COOKIE_KEY] = {"the present one", "the former one "};

struct datagram {
	bool to_server;
	uint32_t len;
	uint8_t bytes[LONGEST];
};

/* [0] is the client, [1] the server. */
static struct side {
	struct dtls_link link;
	struct dtls_record *record;
	bool done, over;
} side[2];

static struct datagram way[ON_THE_WAY],
    said[ON_THE_WAY]; /* `said`: those that were delivered, to be said again */
static unsigned way_n, said_n;

static void put(bool to_server, const void *bytes, size_t len)
{
	if (way_n == ON_THE_WAY || len > LONGEST)
		return;
	way[way_n].to_server = to_server;
	way[way_n].len = (uint32_t)len;
	memcpy(way[way_n++].bytes, bytes, len);
}

static void take(unsigned i, struct datagram *out)
{
	*out = way[i];
	memmove(&way[i], &way[i + 1], (--way_n - i) * sizeof *way);
}

static void out(struct dtls_link *self, const void *bytes, size_t len)
{
	COPSE_ASSERT(bytes && len > 0 && len <= DTLS_BYTES_MAX);
	put(self == &side[0].link, bytes, len);
}

static struct dtls_record *new_record(enum kind kind, bool server, const struct dtls_verified *verified)
{
	const struct dtls_record_config config = {
	    .secure = credentials(kind, server), .mtu = 1232, .retransmit_ms = 60000, .handshake_ms = 600000};
	struct dtls_record *r = dtls_record_new(&config, &side[server].link, verified);

	COPSE_ASSERT(r);
	return r;
}

/* What each side says when it may, as often as there is an occasion. */
static const char words[2][16] = {"from the client", "from the server"};

static void read_all(bool server)
{
	static uint8_t plain[DTLS_PLAIN_MAX];
	struct side *s = &side[server];
	char identity[256];
	int n;

	dtls_record_identity(s->record, identity, sizeof identity);
	for (const char *c = identity; *c; c++)
		COPSE_ASSERT(*c > ' ' && *c < 0x7f);
	while ((n = dtls_record_read(s->record, plain)) > 0)
		COPSE_ASSERT(n == sizeof words[0] && memcmp(plain, words[!server], sizeof words[0]) == 0);
	s->over |= n == DTLS_READ_CLOSED || n == DTLS_READ_BROKEN;
}

static void go_on(bool server)
{
	struct side *s = &side[server];
	enum dtls_progress p;
	bool silent;

	if (s->done) {
		read_all(server);
		return;
	}
	p = dtls_record_handshake(s->record);
	COPSE_ASSERT(p != DTLS_BROKEN || dtls_record_why(s->record, &silent));
	s->over |= p == DTLS_BROKEN;
	s->done = p == DTLS_DONE;
	if (!s->done)
		return;
	(void)dtls_record_write(s->record, words[server], sizeof words[server]);
	read_all(server);
}

static void deliver(enum kind kind, const struct datagram *d)
{
	struct side *s = &side[d->to_server];
	struct dtls_verified verified;

	said[said_n++ % ON_THE_WAY] = *d;
	if (d->to_server && !s->record) {
		if (dtls_record_verify(&s->link, cookie, d->bytes, d->len, &verified) != DTLS_HELLO_GOOD)
			return;
		s->record = new_record(kind, true, &verified);
	}
	if (s->over)
		return;
	dtls_record_feed(s->record, d->bytes, d->len);
	go_on(d->to_server);
	dtls_record_feed(s->record, NULL, 0);
}

/* ---- what the input directs ---- */

struct program {
	const uint8_t *at, *end;
	bool touched; /* something did not pass as it was */
};

static unsigned next(struct program *p)
{
	return p->at < p->end ? *p->at++ : 0;
}

enum operation { PASS, LOSE, TWICE, DAMAGE, CUT, LATER, AGAIN, FORGE, OPERATIONS };

/* Do to `d` what is next. Returns whether it is delivered now. */
static bool direct(struct program *p, struct datagram *d)
{
	const enum operation what = next(p) % OPERATIONS;

	p->touched |= what != PASS;
	switch (what) {
	case LOSE: return false;
	case TWICE: put(d->to_server, d->bytes, d->len); break;
	case DAMAGE:
		for (unsigned n = 1 + next(p) % 8; n > 0; n--) {
			const unsigned place = next(p) << 8 | next(p);
			d->bytes[place % d->len] ^= (uint8_t)next(p);
		}
		break;
	case CUT: d->len = (next(p) << 8 | next(p)) % d->len; break;
	case LATER: put(d->to_server, d->bytes, d->len); return false;
	case AGAIN:
		if (said_n > 0) {
			const struct datagram *old =
			    &said[next(p) % (said_n < ON_THE_WAY ? said_n : ON_THE_WAY)];
			put(next(p) & 1, old->bytes, old->len);
		}
		break;
	case FORGE: {
		const size_t left = (size_t)(p->end - p->at), wanted = next(p) * 8 + 1,
			     n = left < wanted ? left : wanted;
		if (n > 1)
			put(d->to_server, p->at, n - 1);
		p->at += n > 1 ? n - 1 : 0;
		break;
	}
	default: break;
	}
	return d->len > 0;
}

/* The same input is the same handshake each time, as far as GnuTLS has its randomness from the system. */
ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
	static uint64_t state = 1;

	(void)flags;
	for (size_t i = 0; i < len; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)bytes)[i] = (uint8_t)(state >> 56);
	}
	return (ssize_t)len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const enum kind kind = size > 0 ? data[0] % KINDS : 0;
	struct program p = {data + (size > 0), data + size, false};
	struct datagram d;

	memset(side, 0, sizeof side);
	way_n = said_n = 0;
	for (int i = 0; i < 2; i++)
		side[i].link = (struct dtls_link){out, address[!i]};
	side[0].record = new_record(kind, false, NULL);
	go_on(false);
	for (unsigned step = 0; step < STEPS && way_n > 0; step++) {
		take(0, &d);
		if (direct(&p, &d))
			deliver(kind, &d);
	}
	if (!p.touched) {
		COPSE_ASSERT(side[1].record);
		COPSE_ASSERT(side[0].done == is_right(kind) || side[0].over);
		COPSE_ASSERT(side[1].done == is_right(kind));
		/* six flights, each in one datagram, and a message of each side */
		COPSE_ASSERT(kind != PSK || said_n == 6 + 2);
	}
	if (!is_right(kind)) /* whatever the network does */
		COPSE_ASSERT(!side[1].done);
	for (int i = 0; i < 2; i++) {
		if (side[i].record && side[i].done)
			dtls_record_close(side[i].record);
		dtls_record_free(side[i].record);
	}
	return 0;
}
