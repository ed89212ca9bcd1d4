/* Many clients of a gateway, each with a session, in the clear or over DTLS: the load of `proxied`.
 *
 *	bench-secure-client PORT CLIENTS clear|dtls TOKEN URI
 *
 * Opens CLIENTS sessions with the token (a JWT) at 127.0.0.1:PORT and prints "ready". Then, for each line with a number N on
 * standard input, sends N non-confirmable GETs with Proxy-Uri URI followed by three digits that differ, one under way for
 * each client, and prints how many were answered by 2.05. DTLS is bare GnuTLS: identity alice, key "sixteen byte key".
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/code.h>
#include <copse/message.h>
#include <copse/option.h>

#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BYTES    1500
#define PATIENCE 30000 /* ms until an answer is given up */

struct client {
	int fd;
	gnutls_session_t tls; /* none in the clear */
};

static gnutls_psk_client_credentials_t psk;
static gnutls_priority_t priority;
static uint16_t next_id;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench-secure-client: %s (%s)\n", what, strerror(errno));
	exit(1);
}

static void set_up(void)
{
	static unsigned char bytes[] = "sixteen byte key";
	const gnutls_datum_t key = {bytes, 16};

	if (gnutls_psk_allocate_client_credentials(&psk) ||
	    gnutls_psk_set_client_credentials(psk, "alice", &key, GNUTLS_PSK_KEY_RAW) ||
	    gnutls_priority_init(&priority,
				 "NONE:+VERS-DTLS1.2:+COMP-NULL:+AEAD:+AES-128-GCM:+PSK:+SIGN-ALL:+GROUP-ALL:"
				 "+CTYPE-SRV-X509:+CTYPE-CLI-X509",
				 NULL))
		die("GnuTLS");
}

static void wait_readable(const struct client *c)
{
	struct pollfd p = {c->fd, POLLIN, 0};

	if (poll(&p, 1, PATIENCE) <= 0)
		die("no answer");
}

static struct client open_client(uint16_t port, bool secure)
{
	const struct sockaddr_in at = {
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct client c = {.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
	int err;

	if (c.fd < 0 || connect(c.fd, (const struct sockaddr *)&at, sizeof at))
		die("socket");
	if (!secure)
		return c;
	if (gnutls_init(&c.tls, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK) ||
	    gnutls_priority_set(c.tls, priority) || gnutls_credentials_set(c.tls, GNUTLS_CRD_PSK, psk))
		die("GnuTLS");
	gnutls_transport_set_int(c.tls, c.fd);
	gnutls_dtls_set_mtu(c.tls, 1232);
	while ((err = gnutls_handshake(c.tls)) != 0) {
		if (gnutls_error_is_fatal(err))
			die(gnutls_strerror(err));
		wait_readable(&c);
	}
	return c;
}

static void send_bytes(const struct client *c, const uint8_t *bytes, size_t len)
{
	ssize_t n = c->tls ? gnutls_record_send(c->tls, bytes, len) : send(c->fd, bytes, len, 0);

	if (n != (ssize_t)len)
		die("sending");
}

/* The next message, of any kind. */
static size_t receive(const struct client *c, uint8_t bytes[BYTES])
{
	for (;;) {
		ssize_t n = c->tls ? gnutls_record_recv(c->tls, bytes, BYTES) : recv(c->fd, bytes, BYTES, 0);
		if (n >= 4)
			return (size_t)n;
		if (c->tls ? n != GNUTLS_E_AGAIN : n >= 0 || errno != EAGAIN)
			die("receiving");
		wait_readable(c);
	}
}

static size_t make(uint8_t bytes[BYTES], uint8_t code, const char *uri, const char *payload)
{
	const uint8_t token[] = {(uint8_t)(next_id >> 8), (uint8_t)next_id};
	struct copse_builder b;

	copse_build_message(&b, bytes, BYTES, COPSE_NON, code, ++next_id, token, sizeof token);
	if (uri) {
		copse_build_option(&b, COPSE_OPTION_PROXY_URI, uri, strlen(uri));
	} else {
		copse_build_option(&b, COPSE_OPTION_URI_PATH, "sessions", 8);
		copse_build_option(&b, COPSE_OPTION_URI_QUERY, "security=none", 13);
	}
	if (payload)
		copse_build_payload(&b, payload, strlen(payload));
	return (size_t)copse_build_finish(&b);
}

/* The code of the answer; acknowledgements and whatever else is empty are passed over. */
static uint8_t answer(const struct client *c)
{
	uint8_t bytes[BYTES];

	do
		receive(c, bytes);
	while (!bytes[1]);
	return bytes[1];
}

static void open_session(const struct client *c, const char *token)
{
	uint8_t bytes[BYTES];

	for (;;) {
		uint8_t code;

		send_bytes(c, bytes, make(bytes, COPSE_CODE_POST, NULL, token));
		code = answer(c);
		if (code == COPSE_CODE_CREATED)
			return;
		if (code != COPSE_CODE_SERVICE_UNAVAILABLE)
			die("no session");
		usleep(100000); /* so many tokens are looked at in a second, and no more */
	}
}

static unsigned ask(const struct client *clients, unsigned n, unsigned long requests, const char *prefix)
{
	unsigned answered = 0;
	char uri[512];

	for (unsigned long sent = 0; sent < requests;) {
		unsigned round = requests - sent < n ? (unsigned)(requests - sent) : n;

		for (unsigned i = 0; i < round; i++) {
			uint8_t bytes[BYTES];

			snprintf(uri, sizeof uri, "%s%03lu", prefix, (sent + i) % 1000);
			send_bytes(&clients[i], bytes, make(bytes, COPSE_CODE_GET, uri, NULL));
		}
		for (unsigned i = 0; i < round; i++)
			answered += answer(&clients[i]) == COPSE_CODE_CONTENT;
		sent += round;
	}
	return answered;
}

int main(int argc, char **argv)
{
	unsigned n = argc == 6 ? (unsigned)atoi(argv[2]) : 0;
	const struct rlimit files = {n + 100, n + 100};
	struct client *clients = calloc(n + 1, sizeof *clients);
	unsigned long requests;

	if (!n || !clients)
		die("usage: bench-secure-client PORT CLIENTS clear|dtls TOKEN URI");
	setrlimit(RLIMIT_NOFILE, &files);
	set_up();
	for (unsigned i = 0; i < n; i++) {
		clients[i] = open_client((uint16_t)atoi(argv[1]), !strcmp(argv[3], "dtls"));
		open_session(&clients[i], argv[4]);
	}
	puts("ready");
	fflush(stdout);
	while (scanf("%lu", &requests) == 1) {
		printf("%u\n", ask(clients, n, requests, argv[5]));
		fflush(stdout);
	}
	free(clients);
	return 0;
}
