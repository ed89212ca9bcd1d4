/* What DTLS costs: memory of an idle association, full handshakes beside bare GnuTLS, a request by the
 * number of open associations. Clients are bare GnuTLS sessions in a process of their own, so that what is
 * measured is the server's side alone; the handshakes are measured with both ends in one process.
 *
 *	bench-security [ASSOCIATIONS [REQUESTS [HANDSHAKES]]]       (10000 20000 7000)
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/dtls.h>
#include <copse/host.h>

#include <gnutls/dtls.h>
#include <gnutls/gnutls.h>

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PSK    "sixteen byte key"
#define ROUNDS 7
#define BATCH  32
#define PRIORITY                                                                                             \
	"NONE:+VERS-DTLS1.2:+COMP-NULL:+AEAD:+AES-128-GCM:+PSK:+SIGN-ALL:+GROUP-ALL:+CTYPE-SRV-X509:"        \
	"+CTYPE-CLI-X509"

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench-security: %s (%s)\n", what, strerror(errno));
	exit(1);
}

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- bare GnuTLS ---- */

static gnutls_psk_client_credentials_t client_psk;
static gnutls_psk_server_credentials_t server_psk;
static gnutls_priority_t priority;

static int find_psk(gnutls_session_t session, const char *identity, gnutls_datum_t *key)
{
	(void)session;
	(void)identity;
	key->data = gnutls_malloc(16);
	key->size = 16;
	memcpy(key->data, PSK, 16);
	return 0;
}

static void bare_set_up(void)
{
	static unsigned char bytes[] = PSK;
	const gnutls_datum_t key = {bytes, 16};

	if (gnutls_psk_allocate_client_credentials(&client_psk) ||
	    gnutls_psk_set_client_credentials(client_psk, "alice", &key, GNUTLS_PSK_KEY_RAW) ||
	    gnutls_psk_allocate_server_credentials(&server_psk) ||
	    gnutls_priority_init(&priority, PRIORITY, NULL))
		die("GnuTLS");
	gnutls_psk_set_server_credentials_function(server_psk, find_psk);
}

/* What a handshake has beside the exchange of keys. */
enum beside {
	NOTHING,
	COOKIE = 1, /* before anything is kept */
	TICKET = 2  /* to resume by; given to a client that asks for one */
};

static gnutls_session_t bare_session(bool server, int fd, unsigned beside)
{
	gnutls_session_t s;
	unsigned flags = (server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK |
			 (beside & TICKET ? 0 : GNUTLS_NO_TICKETS);

	if (gnutls_init(&s, flags) || gnutls_priority_set(s, priority) ||
	    gnutls_credentials_set(s, GNUTLS_CRD_PSK, server ? (void *)server_psk : (void *)client_psk))
		die("GnuTLS");
	gnutls_transport_set_int(s, fd);
	gnutls_dtls_set_mtu(s, 1232);
	return s;
}

/* Two UDP sockets that are connected to one another. */
static void pair(int fd[2])
{
	struct sockaddr_in at[2];
	socklen_t len = sizeof at[0];

	for (int i = 0; i < 2; i++) {
		at[i] =
		    (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (fd[i] < 0 || bind(fd[i], (struct sockaddr *)&at[i], len) ||
		    getsockname(fd[i], (struct sockaddr *)&at[i], &len))
			die("socket");
	}
	for (int i = 0; i < 2; i++)
		if (connect(fd[i], (struct sockaddr *)&at[1 - i], len))
			die("connect");
}

static ssize_t push_to(gnutls_transport_ptr_t fd, const void *bytes, size_t len)
{
	return send((int)(intptr_t)fd, bytes, len, 0);
}

/* What every server has to do: a cookie before it keeps anything (RFC 6347 §4.2.1). Waits for the client's
 * second hello, which stays in the socket; `left` goes on with the client. */
static void bare_cookie(gnutls_session_t a, gnutls_session_t b, int fd, const gnutls_datum_t *key)
{
	gnutls_dtls_prestate_st state = {0, 0, 0};
	unsigned char hello[2048];
	char who[] = "127.0.0.1:1";

	for (;;) {
		ssize_t len;

		gnutls_handshake(a);
		len = recv(fd, hello, sizeof hello, MSG_PEEK);
		if (len <= 0)
			continue;
		if (gnutls_dtls_cookie_verify((gnutls_datum_t *)(uintptr_t)key, who, sizeof who, hello,
					      (size_t)len, &state) == 0)
			break;
		recv(fd, hello, sizeof hello, 0);
		gnutls_dtls_cookie_send((gnutls_datum_t *)(uintptr_t)key, who, sizeof who, &state,
					(gnutls_transport_ptr_t)(intptr_t)fd, push_to);
	}
	gnutls_dtls_prestate_set(b, &state);
}

static double bare_handshakes(unsigned n, unsigned beside)
{
	gnutls_datum_t cookie, ticket;
	int fd[2];
	double begun;

	pair(fd);
	if (gnutls_key_generate(&cookie, GNUTLS_COOKIE_KEY_SIZE) ||
	    gnutls_session_ticket_key_generate(&ticket))
		die("GnuTLS");
	begun = cpu();
	for (unsigned i = 0; i < n; i++) {
		gnutls_session_t a = bare_session(false, fd[0], beside),
				 b = bare_session(true, fd[1], beside);
		int left = -1, right = -1;

		if (beside & TICKET)
			gnutls_session_ticket_enable_server(b, &ticket);
		if (beside & COOKIE)
			bare_cookie(a, b, fd[1], &cookie);
		while (left != 0 || right != 0) {
			if (left != 0)
				left = gnutls_handshake(a);
			if (right != 0)
				right = gnutls_handshake(b);
			if (gnutls_error_is_fatal(left) || gnutls_error_is_fatal(right))
				die(gnutls_strerror(left ? left : right));
		}
		gnutls_deinit(a);
		gnutls_deinit(b);
	}
	close(fd[0]);
	close(fd[1]);
	begun = (cpu() - begun) / n;
	gnutls_free(cookie.data);
	gnutls_free(ticket.data);
	return begun;
}

/* ---- ours ---- */

static struct copse_secure *keys(bool server)
{
	struct copse_secure *s = copse_secure_new(server);
	char why[COPSE_SECURE_WHY];

	if (!s || copse_secure_psk(s, NULL, "alice", 5, PSK, 16) || copse_secure_finish(s, why))
		die("keys");
	return s;
}

static struct copse_transport *open_side(bool server, uint32_t associations)
{
	struct copse_dtls_config c = {.associations = associations, .rate = 1000000, .handshakes = 1024};
	struct copse_transport *t;
	char why[256];

	copse_address_parse("127.0.0.1:0", 0, &c.udp.bind);
	c.secure = keys(server);
	if (copse_dtls_open(&c, &t, why, sizeof why))
		die(why);
	copse_secure_unref(c.secure);
	t->id = server ? 1 : 2;
	return t;
}

/* Full handshakes with our server, cookies always included, by bare clients: each from the same port as the one
 * before, which it replaces. */
static double our_handshakes(unsigned n, unsigned beside)
{
	struct copse_transport *b = open_side(true, 64);
	struct copse_datagram none[BATCH] = {{.cap = 0}}; /* as many as a host gives it */
	struct copse_address at;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	double begun = cpu();

	copse_transport_local(b, NULL, &at);
	if (fd < 0 || connect(fd, &at.sa, at.len))
		die("socket");
	for (unsigned i = 0; i < n; i++) {
		gnutls_session_t a = bare_session(false, fd, beside);
		int left;

		while ((left = gnutls_handshake(a)) != 0) {
			copse_ms now = copse_clock_ms();

			if (gnutls_error_is_fatal(left))
				die(gnutls_strerror(left));
			copse_transport_receive(b, none, BATCH, now);
			b->ops->tick(b, now);
		}
		gnutls_deinit(a);
	}
	begun = (cpu() - begun) / n;
	copse_transport_close(b);
	close(fd);
	return begun;
}

/* ---- a server, and many clients in another process ---- */

static void answer(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	static const uint8_t rest[] = "\xff"
				      "22.5 C";
	const struct copse_out out = {.code = COPSE_CODE_CONTENT, .rest = rest, .rest_len = sizeof rest - 1};

	if (event->kind == COPSE_EVENT_REQUEST) {
		++*(uint64_t *)self;
		copse_endpoint_respond(ep, event->exchange, &out, now);
	}
}

enum what { OPEN, ASK, QUIT };

struct order {
	unsigned what; /* enum what */
	unsigned n;
};

static void wait_readable(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	poll(&p, 1, 1000);
}

static gnutls_session_t join(const struct copse_address *at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), err;
	gnutls_session_t s;

	if (fd < 0 || connect(fd, &at->sa, at->len))
		die("socket");
	s = bare_session(false, fd, COOKIE | TICKET);
	while ((err = gnutls_handshake(s)) != 0) {
		if (gnutls_error_is_fatal(err))
			die(gnutls_strerror(err));
		wait_readable(fd);
	}
	return s;
}

/* One confirmable GET, and its answer. */
static void ask(gnutls_session_t s, uint16_t id)
{
	uint8_t m[] = {0x44, 1,  (uint8_t)(id >> 8), (uint8_t)id, 't', 'o', 'k', 'n', 0xb4, 't', 'e',
		       'm',  'p'},
		in[256];
	ssize_t n;

	gnutls_record_send(s, m, sizeof m);
	while ((n = gnutls_record_recv(s, in, sizeof in)) == GNUTLS_E_AGAIN)
		wait_readable(gnutls_transport_get_int(s));
	if (n < 4)
		die("no answer");
}

/* Obeys orders that come by `in`, and says by `out` when each is done. */
static void clients(int in, int out, const struct copse_address *at)
{
	gnutls_session_t *s = NULL;
	unsigned have = 0;
	uint16_t id = 0;
	struct order o;

	while (read(in, &o, sizeof o) == (ssize_t)sizeof o && o.what != QUIT) {
		if (o.what == OPEN) {
			s = realloc(s, o.n * sizeof(gnutls_session_t));
			for (; have < o.n; have++) {
				s[have] = join(at);
				ask(s[have], ++id); /* nobody comes for nothing */
			}
		}
		for (unsigned i = 0; o.what == ASK && i < o.n; i++)
			ask(s[0], ++id);
		if (write(out, "", 1) != 1)
			die("pipe");
	}
	exit(0);
}

struct bench {
	struct copse_host *host;
	int orders, done;
	uint64_t requests;
};

/* Give an order and serve until it is carried out. Returns the CPU time of this process. */
static double serve(struct bench *b, unsigned what, unsigned n)
{
	struct order o = {what, n};
	struct pollfd fds[2] = {{b->done, POLLIN, 0}, {copse_host_transport_at(b->host, 0)->fd, POLLIN, 0}};
	double begun = cpu();
	char c;

	if (write(b->orders, &o, sizeof o) != (ssize_t)sizeof o)
		die("pipe");
	for (;;) {
		poll(fds, 2, 100);
		while (copse_host_step(b->host, copse_clock_ms()) > 0)
			;
		if (fds[0].revents & POLLIN)
			break;
	}
	if (read(b->done, &c, 1) != 1)
		die("pipe");
	return cpu() - begun;
}

static size_t in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static size_t memory_before, memory_after;

static void start(struct bench *b, uint32_t associations)
{
	struct copse_host_config config = COPSE_HOST_DEFAULT;
	const struct copse_handler handler = {.event = answer, .self = &b->requests};
	struct copse_transport *t;
	struct copse_address at;
	int down[2], up[2];

	b->host = copse_host_new(&config, &handler, NULL, copse_clock_ms());
	memory_before = in_use();
	t = open_side(true, associations);
	if (!b->host || copse_host_attach(b->host, t) || pipe(down) || pipe(up))
		die("host");
	copse_transport_local(t, NULL, &at);
	fflush(stdout);
	if (fork() == 0)
		clients(down[0], up[1], &at);
	b->orders = down[1];
	b->done = up[0];
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *x)
{
	qsort(x, ROUNDS, sizeof *x, compare);
	return x[ROUNDS / 2];
}

/* `n` handshakes of each kind, in turn: ours beside the bare loop, and beside one that does as much. */
static void shake_all(unsigned n)
{
	static const struct {
		const char *name;
		bool ours;
		unsigned beside;
	} rows[] = {
	    {"bare", false, NOTHING},
	    {"bare with cookie", false, COOKIE},
	    {"bare with cookie and ticket", false, COOKIE | TICKET},
	    {"ours, for clients that ask for no ticket", true, COOKIE},
	    {"ours, with ticket", true, COOKIE | TICKET},
	};
	enum { KINDS = sizeof rows / sizeof rows[0] };
	double spent[KINDS][ROUNDS], by_bare[KINDS][ROUNDS], by_like[KINDS][ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned k = 0; k < KINDS; k++)
			spent[k][i] = rows[k].ours ? our_handshakes(n, rows[k].beside)
						   : bare_handshakes(n, rows[k].beside);
		for (unsigned k = 0; k < KINDS; k++)
			for (unsigned like = 0; like < KINDS; like++)
				if (!rows[like].ours && rows[like].beside == rows[k].beside) {
					by_bare[k][i] = spent[0][i] / spent[k][i];
					by_like[k][i] = spent[like][i] / spent[k][i];
				}
	}
	printf("full handshakes by PSK a second of CPU, a bare client's end included, medians of %d rounds "
	       "in turn\n",
	       ROUNDS);
	for (unsigned k = 0; k < KINDS; k++) {
		printf("  %-42s %6.0f   to bare %.2f x", rows[k].name, 1 / median(spent[k]),
		       median(by_bare[k]));
		if (rows[k].ours)
			printf(" (%.2f to %.2f)   to bare with the same %.2f x", by_bare[k][0],
			       by_bare[k][ROUNDS - 1], median(by_like[k]));
		printf("\n");
	}
}

/* CPU of a request with few and with many associations open: in turn, so that what the machine does beside strikes both. */
static void ask_both(struct bench *few, struct bench *many, unsigned n, unsigned asked)
{
	double a[ROUNDS], b[ROUNDS], ratio[ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		a[i] = serve(few, ASK, asked) / asked;
		b[i] = serve(many, ASK, asked) / asked;
		ratio[i] = b[i] / a[i];
	}
	printf("CPU of a request, medians of %d rounds in turn: %.2f us with 10 associations open, %.2f us "
	       "with %u: %.2f x",
	       ROUNDS, median(a) * 1e6, median(b) * 1e6, n, median(ratio));
	printf(" (%.2f to %.2f)\n", ratio[0], ratio[ROUNDS - 1]);
}

static void quit(struct bench *b)
{
	if (write(b->orders, &(struct order){QUIT, 0}, sizeof(struct order)) < 0)
		die("pipe");
	wait(NULL);
	copse_host_free(b->host);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 10000,
		 asked = argc > 2 ? (unsigned)atoi(argv[2]) : 20000,
		 shaken = argc > 3 ? (unsigned)atoi(argv[3]) : 7000;
	struct rlimit files;
	struct bench few = {0}, many = {0};

	if (getrlimit(RLIMIT_NOFILE, &files))
		die("files");
	if (files.rlim_max < n + 100)
		files.rlim_max = n + 100;
	files.rlim_cur = files.rlim_max;
	if (n < 10 || !asked || !shaken || setrlimit(RLIMIT_NOFILE, &files))
		die("usage: bench-security [ASSOCIATIONS [REQUESTS [HANDSHAKES]]], as root for many");
	bare_set_up();
	shake_all(shaken / ROUNDS + 1);
	start(&few, 64);
	serve(&few, OPEN, 10);
	start(&many, n);
	serve(&many, OPEN, n);
	memory_after = in_use();
	printf("memory of an idle association, tables and buffers included: %.1f kB\n",
	       (double)(memory_after - memory_before) / n / 1000);
	serve(&few, ASK, asked / 10 + 1);
	serve(&many, ASK, asked / 10 + 1);
	ask_both(&few, &many, n, asked);
	quit(&few);
	quit(&many);
	return 0;
}
