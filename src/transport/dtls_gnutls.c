/* The record layer by GnuTLS. A session sees one datagram at a time; everything else is silence to it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "dtls_record.h"
#include "secure_internal.h"

#include "core/siphash.h"

#include <copse/dtls.h>
#include <copse/mem.h>

#include <errno.h>
#include <gnutls/dtls.h>
#include <gnutls/x509.h>
#include <stdio.h>

#define READ_TRIES 64    /* records without a message in one datagram */
#define FLIGHT_MAX 1500u /* what a datagram of several records has at most; less with a smaller MTU */

/* A datagram of a flight that is being filled: GnuTLS hands out each record by itself, and several may share a datagram
 * (RFC 6347 §4.1.1). */
struct flight {
	size_t len, max;
	uint8_t bytes[FLIGHT_MAX];
};

struct dtls_record {
	gnutls_session_t session;
	struct secure_who who; /* what the session's own pointer leads to */
	struct dtls_link *link;
	const uint8_t *in;
	size_t in_len;
	struct flight *flight; /* of the handshake's step under way; NULL: each record goes by itself */
	uint32_t mtu;
	int error; /* of GnuTLS, that the handshake broke by */
	bool heard;
};

/* ---- what GnuTLS calls ---- */

static ssize_t push(gnutls_transport_ptr_t self, const void *bytes, size_t len)
{
	struct dtls_link *link = self;

	link->out(link, bytes, len);
	return (ssize_t)len;
}

static void send_flight(const struct dtls_record *r, struct flight *f)
{
	if (f->len > 0)
		r->link->out(r->link, f->bytes, f->len);
	f->len = 0;
}

static ssize_t session_push(gnutls_transport_ptr_t self, const void *bytes, size_t len)
{
	const struct dtls_record *r = self;
	struct flight *f = r->flight;

	if (f && f->len + len > f->max)
		send_flight(r, f);
	if (!f || len > f->max)
		return push(r->link, bytes, len);
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
	return (ssize_t)len;
}

static ssize_t session_pull(gnutls_transport_ptr_t self, void *buf, size_t cap)
{
	struct dtls_record *r = self;
	size_t n = r->in_len < cap ? r->in_len : cap;

	if (n == 0) {
		gnutls_transport_set_errno(r->session, EAGAIN);
		return -1;
	}
	memcpy(buf, r->in, n);
	r->in_len = 0; /* a datagram is read at once, or cut */
	return (ssize_t)n;
}

static int session_pull_timeout(gnutls_transport_ptr_t self, unsigned ms)
{
	const struct dtls_record *r = self;

	(void)ms;
	return r->in_len > 0;
}

/* ---- strangers ---- */

/* The place behind a field of variable length whose length, of `width` bytes, is at `at`; 0 when it is cut off. */
static size_t behind(const uint8_t *b, size_t len, size_t at, unsigned width)
{
	size_t field = 0;

	if (at == 0 || at + width > len)
		return 0;
	for (unsigned i = 0; i < width; i++)
		field = field << 8 | b[at + i];
	return at + width + field <= len ? at + width + field : 0;
}

/* RFC 6347 §4.2.1: headers, version, random; session ID, cookie. A first hello has none. */
static bool has_cookie(const uint8_t *hello, size_t len)
{
	const size_t at = behind(hello, len, 25 + 2 + 32, 1);

	return at && at < len && hello[at] > 0;
}

enum dtls_hello dtls_record_verify(struct dtls_link *link, const uint8_t (*key)[DTLS_COOKIE_KEY],
				   const void *bytes, size_t len, struct dtls_verified *verified)
{
	uint8_t copy[DTLS_BYTES_MAX], address[18];
	uint8_t secret[DTLS_COOKIE_KEY];
	gnutls_datum_t k = {secret, sizeof secret};
	gnutls_dtls_prestate_st state = {.hsk_read_seq = 0};
	const uint8_t *b = bytes;

	/* RFC 6347 §4.1, §4.2.2: handshake, any version of DTLS, epoch 0, ClientHello */
	if (len < 25 || len > sizeof copy || b[0] != 22 || b[1] != 0xfe || b[3] || b[4] || b[13] != 1)
		return DTLS_HELLO_NONE;
	memcpy(copy, bytes, len); /* the functions of GnuTLS take what is not const */
	memcpy(address, link->address, sizeof address);
	for (int i = has_cookie(b, len) ? 0 : 2; i < 2; i++) {
		memcpy(secret, key[i], sizeof secret);
		if (gnutls_dtls_cookie_verify(&k, address, sizeof address, copy, len, &state) == 0) {
			*verified =
			    (struct dtls_verified){state.record_seq, state.hsk_read_seq, state.hsk_write_seq};
			return DTLS_HELLO_GOOD;
		}
	}
	memcpy(secret, key[0], sizeof secret);
	gnutls_dtls_cookie_send(&k, address, sizeof address, &state, link, push);
	return DTLS_HELLO_ASKED;
}

/* ---- an association ---- */

static bool set_up(struct dtls_record *r, const struct dtls_record_config *c)
{
	const struct copse_secure *s = r->who.secure;

	if (gnutls_priority_set(r->session, s->priority[secure_kind_for(s, r->who.address)]) ||
	    secure_set_session(r->session, &r->who))
		return false;
	gnutls_dtls_set_mtu(r->session, c->mtu);
	gnutls_dtls_set_timeouts(r->session, c->retransmit_ms, c->handshake_ms);
	if (!s->server && c->resumption_len)
		(void)gnutls_session_set_data(r->session, c->resumption, c->resumption_len);
	return true;
}

struct dtls_record *dtls_record_new(const struct dtls_record_config *c, struct dtls_link *link,
				    const struct dtls_verified *verified)
{
	struct dtls_record *r = copse_mem_new(1, sizeof *r);
	unsigned flags = c->secure->server ? GNUTLS_SERVER : GNUTLS_CLIENT;

	if (!r)
		return NULL;
	r->link = link;
	r->mtu = c->mtu;
	r->who = (struct secure_who){.secure = copse_secure_ref(c->secure), .address = link->address};
	flags |= GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_ENABLE_RAWPK;
	if (gnutls_init(&r->session, flags) != 0) {
		r->session = NULL;
		dtls_record_free(r);
		return NULL;
	}
	gnutls_session_set_ptr(r->session, &r->who);
	gnutls_transport_set_ptr(r->session, r);
	gnutls_transport_set_push_function(r->session, session_push);
	gnutls_transport_set_pull_function(r->session, session_pull);
	gnutls_transport_set_pull_timeout_function(r->session, session_pull_timeout);
	if (verified) {
		gnutls_dtls_prestate_st state = {verified->record_seq, verified->read_seq,
						 verified->write_seq};

		gnutls_dtls_prestate_set(r->session, &state);
	}
	if (!set_up(r, c)) {
		dtls_record_free(r);
		return NULL;
	}
	return r;
}

void dtls_record_free(struct dtls_record *r)
{
	if (!r)
		return;
	if (r->session)
		gnutls_deinit(r->session);
	copse_secure_unref(r->who.secure);
	copse_mem_free(r);
}

void dtls_record_set_link(struct dtls_record *r, struct dtls_link *link)
{
	r->link = link;
	r->who.address = link->address;
}

/* RFC 5487, 6655, 7905: pre-shared keys alone, of those suites that we offer. */
static bool is_plain_psk(unsigned suite)
{
	return suite == 0x00a8 || suite == 0x00a9 || suite == 0xccab || suite == 0xc0a4 || suite == 0xc0a8;
}

/* What a client names first, it gets. */
static bool prefers_psk(const uint8_t *b, size_t len)
{
	/* RFC 6347 §4.2.1: headers, version, random; session ID, cookie, cipher suites */
	size_t suites = behind(b, len, behind(b, len, 25 + 2 + 32, 1), 1);

	return suites && suites + 4 <= len && is_plain_psk((unsigned)b[suites + 2] << 8 | b[suites + 3]);
}

bool dtls_record_is_dear(const struct copse_secure *s, const uint8_t *address, const void *hello, size_t len)
{
	if (s->server)
		return !s->psk_n || !prefers_psk(hello, len);
	return s->secrecy || !s->psk_n ||
	       (secure_kind_for(s, address) != SECURE_PSK && (s->trust || s->pin_n || secure_has_raw(s)));
}

void dtls_record_feed(struct dtls_record *r, const void *bytes, size_t len)
{
	r->in = bytes;
	r->in_len = len;
	r->heard |= len > 0;
}

static int shake(struct dtls_record *r)
{
	struct flight f = {.len = 0, .max = r->mtu < FLIGHT_MAX ? r->mtu : FLIGHT_MAX};
	int err;

	r->flight = &f;
	do {
		err = gnutls_handshake(r->session);
	} while (err == GNUTLS_E_INTERRUPTED || err == GNUTLS_E_WARNING_ALERT_RECEIVED ||
		 (err == GNUTLS_E_AGAIN && r->in_len > 0));
	r->flight = NULL;
	send_flight(r, &f);
	return err;
}

enum dtls_progress dtls_record_handshake(struct dtls_record *r)
{
	const int err = shake(r);

	if (err == 0) {
		/* what the path does not take is cut below; what fits into a record is not our concern */
		gnutls_dtls_set_mtu(r->session, DTLS_BYTES_MAX);
		return DTLS_DONE;
	}
	if (!gnutls_error_is_fatal(err))
		return DTLS_WAITS;
	r->error = err;
	if (err != GNUTLS_E_TIMEDOUT && err != GNUTLS_E_FATAL_ALERT_RECEIVED)
		gnutls_alert_send_appropriate(r->session, err);
	return DTLS_BROKEN;
}

void dtls_record_give_up(struct dtls_record *r)
{
	r->error = GNUTLS_E_TIMEDOUT;
}

uint32_t dtls_record_timeout(const struct dtls_record *r)
{
	return gnutls_dtls_get_timeout(r->session);
}

const char *dtls_record_why(const struct dtls_record *r, bool *silent)
{
	*silent = !r->heard;
	switch (r->error) {
	case GNUTLS_E_TIMEDOUT:
		return r->heard ? "the handshake was begun but not completed: is the key the right one?"
				: "nobody answered the handshake";
	default: return secure_why(r->session, r->error);
	}
}

int dtls_record_read(struct dtls_record *r, void *buf)
{
	for (int i = 0; i < READ_TRIES; i++) {
		ssize_t n = gnutls_record_recv(r->session, buf, DTLS_PLAIN_MAX);

		if (n > 0)
			return (int)n;
		if (n == 0)
			return DTLS_READ_CLOSED;
		if (n == GNUTLS_E_AGAIN && r->in_len == 0)
			return DTLS_READ_NOTHING;
		if (n == GNUTLS_E_REHANDSHAKE) {
			gnutls_alert_send(r->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
			return DTLS_READ_REFUSED;
		}
		if (gnutls_error_is_fatal((int)n))
			return DTLS_READ_BROKEN;
	}
	return DTLS_READ_NOTHING;
}

int dtls_record_write(struct dtls_record *r, const void *bytes, size_t len)
{
	ssize_t n;

	if (len > COPSE_DTLS_MESSAGE_MAX)
		return COPSE_ERR_ARGUMENT;
	n = gnutls_record_send(r->session, bytes, len);
	if (n == GNUTLS_E_LARGE_PACKET)
		return COPSE_ERR_ARGUMENT;
	return n < 0 ? COPSE_ERR_TRANSPORT : COPSE_OK;
}

void dtls_record_close(struct dtls_record *r)
{
	gnutls_bye(r->session, GNUTLS_SHUT_WR);
}

/* ---- what a handshake has brought ---- */

bool dtls_record_resumed(const struct dtls_record *r)
{
	return gnutls_session_is_resumed(r->session) != 0;
}

uint64_t dtls_record_lineage(const struct dtls_record *r, const uint64_t key[2])
{
	gnutls_datum_t secret = {NULL, 0};
	uint64_t lineage;

	gnutls_session_get_master_secret(r->session, &secret);
	lineage = secret.size ? core_siphash(key, secret.data, secret.size, 2, 4) : 0;
	return lineage ? lineage : 1;
}

size_t dtls_record_resumption(const struct dtls_record *r, void *buf, size_t cap)
{
	gnutls_datum_t data = {NULL, 0};
	size_t len = 0;

	if (gnutls_session_get_data2(r->session, &data) != 0)
		return 0;
	if (data.size <= cap) {
		memcpy(buf, data.data, data.size);
		len = data.size;
	}
	gnutls_memset(data.data, 0, data.size);
	gnutls_free(data.data);
	return len;
}

void dtls_record_identity(const struct dtls_record *r, char *buf, size_t cap)
{
	secure_identity(r->session, &r->who, buf, cap);
}
