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

#define READ_TRIES 64 /* records without a message in one datagram */

struct dtls_record {
	gnutls_session_t session;
	struct copse_secure *secure;
	struct dtls_link *link;
	const uint8_t *in;
	size_t in_len;
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

static ssize_t session_push(gnutls_transport_ptr_t self, const void *bytes, size_t len)
{
	const struct dtls_record *r = self;

	return push(r->link, bytes, len);
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

static bool give(gnutls_datum_t *out, const void *bytes, size_t len)
{
	out->data = gnutls_malloc(len);
	if (!out->data)
		return false;
	memcpy(out->data, bytes, len);
	out->size = (unsigned)len;
	return true;
}

/* 1 makes GnuTLS go on with a random key: who guesses identities learns nothing (RFC 4279 §2). */
static int server_psk(gnutls_session_t session, const gnutls_datum_t *identity, gnutls_datum_t *key)
{
	const struct dtls_record *r = gnutls_session_get_ptr(session);
	const struct secure_psk *psk = secure_psk_of(r->secure, identity->data, identity->size);

	if (!psk)
		return 1;
	return give(key, psk->bytes + psk->identity_len, psk->key_len) ? 0 : -1;
}

static int client_psk(gnutls_session_t session, gnutls_datum_t *identity, gnutls_datum_t *key)
{
	const struct dtls_record *r = gnutls_session_get_ptr(session);
	const struct secure_psk *psk = secure_psk_for(r->secure, r->link->address);

	if (!psk || !give(identity, psk->bytes, psk->identity_len))
		return -1;
	return give(key, psk->bytes + psk->identity_len, psk->key_len) ? 0 : -1;
}

/* 0: the peer's certificate or raw key is believed. */
static int verify(gnutls_session_t session)
{
	const struct dtls_record *r = gnutls_session_get_ptr(session);
	unsigned n = 0, status = 0;
	const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &n);

	if (!shown || n == 0)
		return r->secure->server && !r->secure->require_peer ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
	if (gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) == GNUTLS_CRT_RAWPK)
		return secure_believes(r->secure, &shown[0]) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
	if (!r->secure->trust)
		return GNUTLS_E_CERTIFICATE_ERROR;
	int err = gnutls_certificate_verify_peers3(session, r->secure->server ? NULL : r->secure->server_name,
						   &status);
	return err || status ? GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR : 0;
}

void secure_set_callbacks(struct copse_secure *s)
{
	gnutls_certificate_set_verify_function(s->certificates, verify);
	if (s->server)
		gnutls_psk_set_server_credentials_function2(s->psk_server, server_psk);
	else
		gnutls_psk_set_client_credentials_function2(s->psk_client, client_psk);
}

/* ---- strangers ---- */

enum dtls_hello dtls_record_verify(struct dtls_link *link, const uint8_t (*key)[DTLS_COOKIE_KEY],
				   const void *bytes, size_t len, struct dtls_verified *verified)
{
	uint8_t copy[DTLS_BYTES_MAX], address[18];
	gnutls_dtls_prestate_st state = {.hsk_read_seq = 0};
	const uint8_t *b = bytes;

	/* RFC 6347 §4.1, §4.2.2: handshake, any version of DTLS, epoch 0, ClientHello */
	if (len < 25 || len > sizeof copy || b[0] != 22 || b[1] != 0xfe || b[3] || b[4] || b[13] != 1)
		return DTLS_HELLO_NONE;
	memcpy(copy, bytes, len); /* the functions of GnuTLS take what is not const */
	memcpy(address, link->address, sizeof address);
	for (int i = 0; i < 2; i++) {
		uint8_t secret[DTLS_COOKIE_KEY];
		gnutls_datum_t k = {secret, sizeof secret};

		memcpy(secret, key[i], sizeof secret);
		if (gnutls_dtls_cookie_verify(&k, address, sizeof address, copy, len, &state) == 0) {
			*verified =
			    (struct dtls_verified){state.record_seq, state.hsk_read_seq, state.hsk_write_seq};
			return DTLS_HELLO_GOOD;
		}
		if (i == 1) {
			memcpy(secret, key[0], sizeof secret);
			gnutls_dtls_cookie_send(&k, address, sizeof address, &state, link, push);
		}
	}
	return DTLS_HELLO_ASKED;
}

/* ---- an association ---- */

static bool set_up(struct dtls_record *r, const struct dtls_record_config *c)
{
	const struct copse_secure *s = r->secure;
	gnutls_certificate_request_t wanted = s->require_peer ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_REQUEST;

	if (gnutls_priority_set(r->session, s->priority) ||
	    gnutls_credentials_set(r->session, GNUTLS_CRD_CERTIFICATE, s->certificates))
		return false;
	if (s->psk_n && gnutls_credentials_set(r->session, GNUTLS_CRD_PSK,
					       s->server ? (void *)s->psk_server : (void *)s->psk_client))
		return false;
	gnutls_dtls_set_mtu(r->session, c->mtu);
	gnutls_dtls_set_timeouts(r->session, c->retransmit_ms, c->handshake_ms);
	if (s->server) {
		/* a failure is told by the functions that use it: without tickets nothing is resumed */
		(void)gnutls_session_ticket_enable_server(r->session, &s->ticket_key);
		gnutls_certificate_server_set_request(
		    r->session, s->trust || s->pin_n || s->require_peer ? wanted : GNUTLS_CERT_IGNORE);
	} else if (c->resumption_len) {
		(void)gnutls_session_set_data(r->session, c->resumption, c->resumption_len);
	}
	return true;
}

static bool names_server(const struct copse_secure *s)
{
	const char *name = s->server_name;

	/* RFC 6066 §3: no literal addresses */
	return !s->server && name[0] && !strchr(name, ':') && strspn(name, "0123456789.") != strlen(name);
}

struct dtls_record *dtls_record_new(const struct dtls_record_config *c, struct dtls_link *link,
				    const struct dtls_verified *verified)
{
	struct dtls_record *r = copse_mem_new(1, sizeof *r);
	unsigned flags = c->secure->server ? GNUTLS_SERVER : GNUTLS_CLIENT;

	if (!r)
		return NULL;
	r->link = link;
	r->secure = copse_secure_ref(c->secure);
	flags |= GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_ENABLE_RAWPK;
	if (gnutls_init(&r->session, flags) != 0) {
		r->session = NULL;
		dtls_record_free(r);
		return NULL;
	}
	gnutls_session_set_ptr(r->session, r);
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
	if (names_server(r->secure))
		(void)gnutls_server_name_set(r->session, GNUTLS_NAME_DNS, r->secure->server_name,
					     strlen(r->secure->server_name));
	return r;
}

void dtls_record_free(struct dtls_record *r)
{
	if (!r)
		return;
	if (r->session)
		gnutls_deinit(r->session);
	copse_secure_unref(r->secure);
	copse_mem_free(r);
}

void dtls_record_feed(struct dtls_record *r, const void *bytes, size_t len)
{
	r->in = bytes;
	r->in_len = len;
	r->heard |= len > 0;
}

enum dtls_progress dtls_record_handshake(struct dtls_record *r)
{
	int err;

	do {
		err = gnutls_handshake(r->session);
	} while (err == GNUTLS_E_INTERRUPTED || err == GNUTLS_E_WARNING_ALERT_RECEIVED ||
		 (err == GNUTLS_E_AGAIN && r->in_len > 0));
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
	case GNUTLS_E_CERTIFICATE_ERROR:
		return "the certificate or raw key of the peer is not one that is believed";
	case GNUTLS_E_FATAL_ALERT_RECEIVED: {
		const char *name = gnutls_alert_get_name(gnutls_alert_get(r->session));

		return name ? name : "the peer ended the handshake";
	}
	default: return gnutls_strerror(r->error);
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

/* Append bytes so that nobody can make a log line of them. */
static void append(char *buf, size_t cap, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	size_t n = strlen(buf);

	for (size_t i = 0; i < len && n + 4 < cap; i++) {
		bool plain = b[i] > ' ' && b[i] < 0x7f && b[i] != '%' && b[i] != '"';

		n += (size_t)snprintf(buf + n, cap - n, plain ? "%c" : "%%%02X", b[i]);
	}
}

static void append_subject(char *buf, size_t cap, const gnutls_datum_t *der)
{
	gnutls_datum_t name = {NULL, 0};
	gnutls_x509_crt_t crt;

	if (gnutls_x509_crt_init(&crt) != 0)
		return;
	if (gnutls_x509_crt_import(crt, der, GNUTLS_X509_FMT_DER) == 0 &&
	    gnutls_x509_crt_get_dn3(crt, &name, 0) == 0)
		append(buf, cap, name.data, name.size);
	gnutls_free(name.data);
	gnutls_x509_crt_deinit(crt);
}

static void certificate_identity(const struct dtls_record *r, char *buf, size_t cap)
{
	unsigned n = 0;
	const gnutls_datum_t *shown = gnutls_certificate_get_peers(r->session, &n);
	uint8_t hash[SECURE_HASH];

	if (!shown || n == 0)
		return;
	if (gnutls_certificate_type_get2(r->session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_RAWPK) {
		snprintf(buf, cap, "x509:");
		append_subject(buf, cap, &shown[0]);
	} else if (secure_hash(&shown[0], hash)) {
		size_t at = (size_t)snprintf(buf, cap, "rpk:");

		for (size_t i = 0; i < sizeof hash && at + 2 < cap; i++)
			at += (size_t)snprintf(buf + at, cap - at, "%02x", hash[i]);
	}
}

void dtls_record_identity(const struct dtls_record *r, char *buf, size_t cap)
{
	gnutls_datum_t name = {NULL, 0};
	gnutls_credentials_type_t kind = r->secure->server ? gnutls_auth_client_get_type(r->session)
							   : gnutls_auth_server_get_type(r->session);

	buf[0] = '\0';
	if (kind == GNUTLS_CRD_CERTIFICATE) {
		certificate_identity(r, buf, cap);
	} else if (kind == GNUTLS_CRD_PSK && !r->secure->server) {
		const struct secure_psk *psk = secure_psk_for(r->secure, r->link->address);

		snprintf(buf, cap, "psk:");
		append(buf, cap, psk->bytes, psk->identity_len);
	} else if (kind == GNUTLS_CRD_PSK && gnutls_psk_server_get_username2(r->session, &name) == 0) {
		snprintf(buf, cap, "psk:");
		append(buf, cap, name.data, name.size);
	}
}
