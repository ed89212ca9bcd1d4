/* What a session of GnuTLS has of a set of credentials, over datagrams and over streams alike: keys by identity, checks of
 * certificates and raw keys, and who the peer turned out to be.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "secure_internal.h"

#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

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
	const struct secure_who *who = gnutls_session_get_ptr(session);
	const struct secure_psk *psk = secure_psk_of(who->secure, identity->data, identity->size);

	if (!psk)
		return 1;
	return give(key, psk->bytes + psk->identity_len, psk->key_len) ? 0 : -1;
}

static int client_psk(gnutls_session_t session, gnutls_datum_t *identity, gnutls_datum_t *key)
{
	const struct secure_who *who = gnutls_session_get_ptr(session);
	const struct secure_psk *psk = secure_psk_for(who->secure, who->address);

	if (!psk || !give(identity, psk->bytes, psk->identity_len))
		return -1;
	return give(key, psk->bytes + psk->identity_len, psk->key_len) ? 0 : -1;
}

static bool expects_raw(const struct secure_who *who)
{
	const struct secure_expected *e = secure_expected_of(who->secure, who->address);

	return e && e->raw;
}

/* Of whom a key is expected, nobody else's will do. */
static bool believes_raw(const struct secure_who *who, const gnutls_datum_t *spki)
{
	const struct secure_expected *e = secure_expected_of(who->secure, who->address);
	uint8_t pin[SECURE_HASH];

	if (!e || !e->raw)
		return secure_believes(who->secure, spki);
	return secure_hash(spki, pin) && memcmp(pin, e->pin, sizeof pin) == 0;
}

/* What is wrong with a certificate, the gravest first. */
static const char *why_not(unsigned status)
{
	if (status &
	    (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_SIGNATURE_FAILURE))
		return "the certificate of the peer is not signed by an authority that is believed";
	if (status & GNUTLS_CERT_EXPIRED)
		return "the certificate of the peer has expired";
	if (status & GNUTLS_CERT_NOT_ACTIVATED)
		return "the certificate of the peer is not valid yet";
	if (status & GNUTLS_CERT_UNEXPECTED_OWNER)
		return "the certificate of the peer is for another name";
	return NULL;
}

/* 0: the peer's certificate or raw key is believed. */
static int verify(gnutls_session_t session)
{
	struct secure_who *who = gnutls_session_get_ptr(session);
	unsigned n = 0, status = 0;
	const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &n);
	char name[COPSE_ADDRESS_TEXT];

	if (!shown || n == 0)
		return who->secure->server && !who->secure->require_peer ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
	if (gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) == GNUTLS_CRT_RAWPK)
		return believes_raw(who, &shown[0]) ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
	if (!who->secure->trust || expects_raw(who))
		return GNUTLS_E_CERTIFICATE_ERROR;
	int err = gnutls_certificate_verify_peers3(
	    session, who->secure->server ? NULL : secure_name_for(who->secure, who->address, name), &status);
	if (!err && status)
		who->refused = why_not(status);
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

/* ---- a session ---- */

static void name_server(gnutls_session_t session, const struct secure_who *who)
{
	char buf[COPSE_ADDRESS_TEXT];
	const char *name = secure_name_for(who->secure, who->address, buf);

	/* RFC 6066 §3: no literal addresses */
	if (name[0] && !strchr(name, ':') && strspn(name, "0123456789.") != strlen(name))
		(void)gnutls_server_name_set(session, GNUTLS_NAME_DNS, name, strlen(name));
}

int secure_set_session(gnutls_session_t session, const struct secure_who *who)
{
	const struct copse_secure *s = who->secure;
	gnutls_certificate_request_t wanted = s->require_peer ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_REQUEST;
	int err = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, s->certificates);

	if (!err && s->psk_n)
		err = gnutls_credentials_set(session, GNUTLS_CRD_PSK,
					     s->server ? (void *)s->psk_server : (void *)s->psk_client);
	if (err)
		return err;
	if (s->server) {
		/* a failure is told by the functions that use it: without tickets nothing is resumed */
		(void)gnutls_session_ticket_enable_server(session, &s->ticket_key);
		gnutls_certificate_server_set_request(
		    session, s->trust || s->pin_n || s->require_peer ? wanted : GNUTLS_CERT_IGNORE);
	}
	if (!s->server)
		name_server(session, who);
	return 0;
}

const char *secure_why(gnutls_session_t session, int err)
{
	const struct secure_who *who = gnutls_session_get_ptr(session);
	const char *name = NULL;

	if (who && who->refused)
		return who->refused;
	if (err == GNUTLS_E_CERTIFICATE_ERROR || err == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		return "the certificate or raw key of the peer is not one that is believed";
	if (err == GNUTLS_E_FATAL_ALERT_RECEIVED)
		name = gnutls_alert_get_name(gnutls_alert_get(session));
	else
		name = gnutls_strerror(err);
	return name ? name : "the peer ended the handshake";
}

/* ---- what a handshake has brought ---- */

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

static void certificate_identity(gnutls_session_t session, char *buf, size_t cap)
{
	unsigned n = 0;
	const gnutls_datum_t *shown = gnutls_certificate_get_peers(session, &n);
	uint8_t hash[SECURE_HASH];

	if (!shown || n == 0)
		return;
	if (gnutls_certificate_type_get2(session, GNUTLS_CTYPE_PEERS) != GNUTLS_CRT_RAWPK) {
		snprintf(buf, cap, "x509:");
		append_subject(buf, cap, &shown[0]);
	} else if (secure_hash(&shown[0], hash)) {
		size_t at = (size_t)snprintf(buf, cap, "rpk:");

		for (size_t i = 0; i < sizeof hash && at + 2 < cap; i++)
			at += (size_t)snprintf(buf + at, cap - at, "%02x", hash[i]);
	}
}

void secure_identity(gnutls_session_t session, const struct secure_who *who, char *buf, size_t cap)
{
	gnutls_datum_t name = {NULL, 0};
	gnutls_credentials_type_t kind =
	    who->secure->server ? gnutls_auth_client_get_type(session) : gnutls_auth_server_get_type(session);

	buf[0] = '\0';
	if (kind == GNUTLS_CRD_CERTIFICATE) {
		certificate_identity(session, buf, cap);
	} else if (kind == GNUTLS_CRD_PSK && !who->secure->server) {
		const struct secure_psk *psk = secure_psk_for(who->secure, who->address);

		snprintf(buf, cap, "psk:");
		append(buf, cap, psk->bytes, psk->identity_len);
	} else if (kind == GNUTLS_CRD_PSK && gnutls_psk_server_get_username2(session, &name) == 0) {
		snprintf(buf, cap, "psk:");
		append(buf, cap, name.data, name.size);
	}
}
