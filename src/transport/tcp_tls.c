/* The bytes of a connection by TLS 1.2 and 1.3, by GnuTLS, with the credentials and checks that DTLS has too.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "secure_internal.h"
#include "tcp_internal.h"

#include <copse/mem.h>

#include <string.h>

struct tcp_tls {
	gnutls_session_t session;
	struct secure_who who; /* what the session's own pointer leads to */
	uint8_t address[18];   /* of the peer: it may outlive the connection (tcp_away.c) */
	size_t begun;          /* bytes that a write was given, and has not sent wholly */
	bool done;             /* with the handshake */
};

static bool set_up(struct tcp_tls *tls, bool ws)
{
	static const gnutls_datum_t coap = {(unsigned char *)(uintptr_t) "coap", 4};     /* RFC 8323 §8.2 */
	static const gnutls_datum_t http = {(unsigned char *)(uintptr_t) "http/1.1", 8}; /* RFC 7301 §6 */
	const struct copse_secure *s = tls->who.secure;

	if (gnutls_priority_set(tls->session, s->stream_priority) ||
	    secure_set_session(tls->session, &tls->who))
		return false;
	return gnutls_alpn_set_protocols(tls->session, ws ? &http : &coap, 1,
					 s->server && !ws ? GNUTLS_ALPN_MANDATORY : 0) == 0;
}

struct tcp_tls *tcp_tls_new(struct copse_secure *secure, int fd, const uint8_t *address, bool ws)
{
	struct tcp_tls *tls = copse_mem_new(1, sizeof(*tls));
	const unsigned flags = secure->server ? GNUTLS_SERVER : GNUTLS_CLIENT;

	if (!tls)
		return NULL;
	memcpy(tls->address, address, sizeof(tls->address));
	tls->who = (struct secure_who){.secure = copse_secure_ref(secure), .address = tls->address};
	if (gnutls_init(&tls->session, flags | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_ENABLE_RAWPK) != 0)
		tls->session = NULL;
	if (!tls->session || !set_up(tls, ws)) {
		tcp_tls_free(tls);
		return NULL;
	}
	gnutls_session_set_ptr(tls->session, &tls->who);
	gnutls_transport_set_int(tls->session, fd);
	gnutls_handshake_set_timeout(tls->session,
				     GNUTLS_INDEFINITE_TIMEOUT); /* times are the connection's */
	return tls;
}

void tcp_tls_free(struct tcp_tls *tls)
{
	if (!tls)
		return;
	if (tls->session)
		gnutls_deinit(tls->session);
	copse_secure_unref(tls->who.secure);
	copse_mem_free(tls);
}

int tcp_tls_shake(struct tcp_tls *tls, const char **why)
{
	int err;

	do {
		err = gnutls_handshake(tls->session);
	} while (err == GNUTLS_E_INTERRUPTED || err == GNUTLS_E_WARNING_ALERT_RECEIVED);
	if (err == GNUTLS_E_SUCCESS) {
		tls->done = true;
		return 1;
	}
	if (!gnutls_error_is_fatal(err))
		return TCP_AGAIN;
	*why = secure_why(tls->session, err);
	if (err != GNUTLS_E_FATAL_ALERT_RECEIVED)
		gnutls_alert_send_appropriate(tls->session, err);
	return TCP_BROKEN;
}

bool tcp_tls_wants_out(const struct tcp_tls *tls)
{
	return !tls->done && gnutls_record_get_direction(tls->session) == 1;
}

bool tcp_tls_pending(const struct tcp_tls *tls)
{
	return tls->done && gnutls_record_check_pending(tls->session) > 0;
}

int tcp_tls_read(struct tcp_tls *tls, void *buf, size_t cap)
{
	const ssize_t n = gnutls_record_recv(tls->session, buf, cap);

	if (n > 0)
		return (int)n;
	if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION)
		return TCP_CLOSED;
	if (n == GNUTLS_E_REHANDSHAKE) /* there is no need for another one: refused */
		gnutls_alert_send(tls->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
	return gnutls_error_is_fatal((int)n) ? TCP_BROKEN : TCP_AGAIN;
}

int tcp_tls_write(struct tcp_tls *tls, const void *bytes, size_t len)
{
	const size_t offered = tls->begun ? tls->begun : len;
	const ssize_t n = tls->begun ? gnutls_record_send(tls->session, NULL, 0)
				     : gnutls_record_send(tls->session, bytes, len);

	tls->begun = 0;
	if (n > 0)
		return (int)n;
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		tls->begun = offered;
		return TCP_AGAIN;
	}
	return TCP_BROKEN;
}

void tcp_tls_bye(struct tcp_tls *tls)
{
	if (tls->done)
		gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}

void tcp_tls_identity(const struct tcp_tls *tls, char *buf, size_t cap)
{
	secure_identity(tls->session, &tls->who, buf, cap);
}
