/* scenario-crowd SECRET CLIENTS: a crowd of clients and the devices that they ask, each at an address of its own on
 * loopback, on two sockets. All clients use the same tokens and the same message IDs at the same time: an answer that goes
 * astray is seen.
 *
 * Prints "devices at PORT", takes the gateway's port from the standard input, and then goes through the phases below, which
 * all clients end before the next one begins. Ends with 0 when each client has had what is its own, in order, and nothing
 * else. Between the last registration and the first change it prints "observing" and takes a line.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "unit/gateway/make_keys.h"

#include <copse/code.h>
#include <copse/message.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DEVICES      100
#define SHARED       500  /* resources that many observe, and */
#define ALONE        1000 /* that one client observes each */
#define RESOURCES    (SHARED + ALONE)
#define CLIENTS_MAX  60000
#define WINDOW       128 /* requests, and notifications of devices, under way at a time */
#define REPEAT_MS    3000
#define PATIENCE_MS  300000      /* of each step; how long it takes is the machine's business */
#define FIRST_CLIENT 0x7f080001u /* 127.8.0.1 */
#define FIRST_DEVICE 0x7f090001u
#define MESSAGE_MAX  1400

enum phase { SESSION, OWN, COMMON, OBSERVE, CANCEL, CLOSE, PHASES };

static const char *const phase_name[PHASES] = {"session", "own", "common", "observe", "cancel", "close"};

struct client {
	long due; /* when its request is sent again; 0: it has been acknowledged */
	bool waits, observes;
	bool heard; /* something confirmable: */
	uint16_t heard_mid;
	int version;       /* of its resource, as it knows it */
	uint32_t sequence; /* of the newest notification */
};

/* What a resource's device knows of its one observer, the gateway. */
struct registration {
	bool active, under_way;
	uint8_t token[COPSE_TOKEN_MAX], token_len;
	uint32_t sequence;
	int version;
	uint16_t mid;
	long due;
	int common_asked;
	uint16_t common_mid;
};

static struct client clients[CLIENTS_MAX];
static struct registration registrations[RESOURCES];
static struct sockaddr_in gateway, mesh;
static int client_socket, device_socket;
static unsigned client_n, waiting, first_unasked, under_way, active;
static enum phase phase;
static bool changing;
static int version;
static long began;
static const char *secret;

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list list;

	fprintf(stderr, "FAILED in phase %s, version %d: ", phase_name[phase], version);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, " (%u wait, %u under way, %u registrations)\n", waiting, under_way, active);
	exit(1);
}

/* ---- sockets ---- */

static int open_socket(void)
{
	const struct sockaddr_in any = {.sin_family = AF_INET};
	const int one = 1, room = 16 << 20;
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (s < 0 || bind(s, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
	    setsockopt(s, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one)) < 0) {
		perror("socket");
		exit(1);
	}
	if (setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0) {
		puts("a socket cannot be bound to lo");
		exit(77);
	}
	if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(s, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return s;
}

static unsigned port_of(int s)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	getsockname(s, (struct sockaddr *)&a, &len);
	return ntohs(a.sin_port);
}

static void send_from(int s, uint32_t from, const struct sockaddr_in *to, const void *bytes, int len)
{
	struct sockaddr_in name = *to;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control;
	struct iovec iov = {(void *)(uintptr_t)bytes, (size_t)len};
	struct msghdr m = {.msg_name = &name,
			   .msg_namelen = sizeof(name),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(from)};

	if (len < 0)
		fail("a message could not be built");
	memset(&control, 0, sizeof(control));
	c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = IPPROTO_IP;
	c->cmsg_type = IP_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	(void)sendmsg(s, &m, 0); /* what is lost is sent again */
}

/* The next datagram, whom it is for and whom it is from. Returns its length, or -1. */
static int receive_at(int s, uint8_t buf[MESSAGE_MAX], uint32_t *at, struct sockaddr_in *from)
{
	union {
		struct cmsghdr align;
		char bytes[128];
	} control;
	struct iovec iov = {buf, MESSAGE_MAX};
	struct msghdr m = {.msg_name = from,
			   .msg_namelen = sizeof(*from),
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	struct in_pktinfo info = {0};
	ssize_t n = recvmsg(s, &m, 0);

	if (n < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			memcpy(&info, CMSG_DATA(c), sizeof(info));
	*at = ntohl(info.ipi_addr.s_addr);
	return (int)n;
}

/* ---- who has to do with what ---- */

static unsigned resource_of(unsigned client)
{
	return client < ALONE ? SHARED + client : client % SHARED;
}

static unsigned device_of(unsigned resource)
{
	return resource % DEVICES;
}

static bool cancels(unsigned client) /* the others reject their last notification */
{
	return client & 1;
}

/* ---- clients ---- */

static void reply_empty(unsigned client, enum copse_type type, uint16_t mid)
{
	struct copse_builder b;
	uint8_t buf[8];

	copse_build_message(&b, buf, sizeof(buf), type, 0, mid, "", 0);
	send_from(client_socket, FIRST_CLIENT + client, &gateway, buf, copse_build_finish(&b));
}

static void build_local(struct copse_builder *b, unsigned client)
{
	static char token[TOKEN_MAX];
	char claims[64];

	copse_build_option(b, COPSE_OPTION_URI_PATH, "sessions", 8);
	if (phase == CLOSE)
		return;
	copse_build_option(b, COPSE_OPTION_URI_QUERY, "security=none", 13);
	snprintf(claims, sizeof(claims), "{\"sub\":\"client %u\"}", client);
	make_token("HS256", secret, NULL, NULL, claims, token);
	copse_build_payload(b, token, strlen(token));
}

static void build_proxied(struct copse_builder *b, unsigned client)
{
	static const char *const path[PHASES] = {
	    [OWN] = "own", [COMMON] = "common", [OBSERVE] = "state", [CANCEL] = "state"};
	const unsigned resource = phase == COMMON ? client % SHARED : resource_of(client);
	char uri[96];
	int n = snprintf(uri, sizeof(uri), "coap://%016x/%s?n=%u", 0x1000 + device_of(resource), path[phase],
			 phase == OWN ? client : resource);

	if (phase == OBSERVE || phase == CANCEL)
		copse_build_uint(b, COPSE_OPTION_OBSERVE, phase == CANCEL);
	copse_build_option(b, COPSE_OPTION_PROXY_URI, uri, (size_t)n);
}

/* The same token and message ID for all clients; the observation's token is that of its registration. */
static void ask(unsigned client, long now)
{
	const uint8_t token = (uint8_t)(phase == CANCEL ? OBSERVE : phase);
	const uint8_t method = phase == SESSION ? COPSE_CODE_POST
			       : phase == CLOSE ? COPSE_CODE_DELETE
						: COPSE_CODE_GET;
	struct copse_builder b;
	uint8_t buf[MESSAGE_MAX];

	copse_build_message(&b, buf, sizeof(buf), COPSE_CON, method, (uint16_t)(0x4000 + phase), &token, 1);
	if (phase == SESSION || phase == CLOSE)
		build_local(&b, client);
	else
		build_proxied(&b, client);
	send_from(client_socket, FIRST_CLIENT + client, &gateway, buf, copse_build_finish(&b));
	clients[client].due = now + REPEAT_MS;
}

static void answered(unsigned client)
{
	if (!clients[client].waits)
		fail("client %u is answered twice", client);
	clients[client].waits = false;
	waiting--;
}

static bool says(const struct copse_message *m, const char *what, unsigned number)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%s %u", what, number);

	return m->payload_len == (size_t)n && memcmp(copse_message_payload(m), text, (size_t)n) == 0;
}

static void take_plain(unsigned client, const struct copse_message *m)
{
	static const uint8_t code[PHASES] = {[SESSION] = COPSE_CODE_CREATED,
					     [OWN] = COPSE_CODE_CONTENT,
					     [COMMON] = COPSE_CODE_CONTENT,
					     [CLOSE] = COPSE_CODE_DELETED};

	if (m->code != code[phase])
		fail("client %u gets %u.%02u", client, m->code >> 5, m->code & 31);
	if ((phase == OWN && !says(m, "own", client)) ||
	    (phase == COMMON && !says(m, "common", client % SHARED)))
		fail("client %u gets what is not its own", client);
	answered(client);
}

/* A state of what the client observes: its own resource's, and newer than what it knows. */
static void take_state(unsigned client, const struct copse_message *m)
{
	struct client *c = &clients[client];
	const uint32_t sequence = copse_message_uint(m, COPSE_OPTION_OBSERVE, UINT32_MAX);
	const bool first = phase == OBSERVE && c->waits;
	char text[32];
	unsigned resource;
	int seen;

	if (m->code != COPSE_CODE_CONTENT || m->payload_len >= sizeof(text))
		fail("observer %u gets %u.%02u", client, m->code >> 5, m->code & 31);
	memcpy(text, copse_message_payload(m), m->payload_len);
	text[m->payload_len] = 0;
	if (sscanf(text, "state %u %d", &resource, &seen) != 2 || resource != resource_of(client))
		fail("observer %u hears \"%s\"", client, text);
	if (phase == CANCEL && c->waits && sequence == UINT32_MAX) {
		c->observes = false;
		answered(client);
		return;
	}
	if (sequence == UINT32_MAX || !(first || c->observes))
		fail("client %u, which does not observe, hears \"%s\"", client, text);
	if (seen < c->version || seen > version || (!first && sequence <= c->sequence))
		fail("observer %u hears \"%s\", number %u after %u", client, text, sequence, c->sequence);
	if (copse_message_uint(m, COPSE_OPTION_MAX_AGE, UINT32_MAX) > 3600)
		fail("observer %u hears no Max-Age", client);
	c->sequence = sequence;
	if (seen == version && (seen > c->version || first)) {
		if (changing)
			waiting--;
		c->version = seen;
	}
	c->observes = true;
	if (first)
		answered(client);
}

static void take_for_client(unsigned client, const struct copse_message *m)
{
	struct client *c = &clients[client];
	const bool rejects = version == 3 && m->code && copse_message_option(m, COPSE_OPTION_OBSERVE);

	if (m->type == COPSE_RST)
		fail("client %u gets a Reset", client);
	if (m->code == 0) {
		if (m->type == COPSE_ACK && m->id == 0x4000 + phase)
			c->due = 0;
		return;
	}
	if (m->type == COPSE_CON) {
		const bool again = c->heard && c->heard_mid == m->id;
		reply_empty(client, rejects ? COPSE_RST : COPSE_ACK, m->id);
		if (again)
			return;
		c->heard = true;
		c->heard_mid = m->id;
	} else if (!c->waits) {
		return; /* a piggybacked answer again */
	}
	if (m->token_len != 1)
		fail("client %u gets a token of %u bytes", client, (unsigned)m->token_len);
	if (*copse_message_token(m) == OBSERVE)
		take_state(client, m);
	else if (*copse_message_token(m) == phase)
		take_plain(client, m);
	else
		fail("client %u gets token %u", client, *copse_message_token(m));
}

/* ---- devices ---- */

static void tell_gateway(unsigned resource, enum copse_type type, uint16_t mid, const uint8_t *token,
			 size_t token_len, bool observed)
{
	struct registration *r = &registrations[resource];
	struct copse_builder b;
	uint8_t buf[128];
	char text[32];
	int n = snprintf(text, sizeof(text), "state %u %d", resource, r->version);

	copse_build_message(&b, buf, sizeof(buf), type, COPSE_CODE_CONTENT, mid, token, token_len);
	if (observed)
		copse_build_uint(&b, COPSE_OPTION_OBSERVE, r->sequence);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, 3600);
	copse_build_payload(&b, text, (size_t)n);
	send_from(device_socket, FIRST_DEVICE + device_of(resource), &mesh, buf, copse_build_finish(&b));
}

static void take_registration(unsigned resource, const struct copse_message *m)
{
	struct registration *r = &registrations[resource];
	const uint32_t observe = copse_message_uint(m, COPSE_OPTION_OBSERVE, 2);
	const bool same = r->active && r->token_len == m->token_len &&
			  memcmp(r->token, copse_message_token(m), m->token_len) == 0;

	if (observe == 0) {
		if (r->active && !same)
			fail("resource %u is observed twice", resource);
		active += !r->active;
		r->active = true;
		r->token_len = (uint8_t)m->token_len;
		memcpy(r->token, copse_message_token(m), m->token_len);
		r->sequence++;
	} else if (observe == 1 && same) {
		active--;
		r->active = false;
		if (r->under_way)
			under_way--;
		r->under_way = false;
	}
	tell_gateway(resource, COPSE_ACK, m->id, copse_message_token(m), m->token_len, observe == 0);
}

static void answer_plainly(unsigned number, const char *what, const struct copse_message *m, uint32_t device)
{
	struct copse_builder b;
	uint8_t buf[128];
	char text[32];
	int n = snprintf(text, sizeof(text), "%s %u", what, number);

	copse_build_message(&b, buf, sizeof(buf), COPSE_ACK, COPSE_CODE_CONTENT, m->id,
			    copse_message_token(m), m->token_len);
	copse_build_uint(&b, COPSE_OPTION_MAX_AGE, 3600);
	copse_build_payload(&b, text, (size_t)n);
	send_from(device_socket, device, &mesh, buf, copse_build_finish(&b));
}

static void take_request(uint32_t at, const struct copse_message *m)
{
	const struct copse_option *path = copse_message_option(m, COPSE_OPTION_URI_PATH);
	const struct copse_option *query = copse_message_option(m, COPSE_OPTION_URI_QUERY);
	char text[16] = "";
	unsigned number;

	if (!path || !query || query->len >= sizeof(text))
		fail("a device is asked without path or query");
	memcpy(text, copse_option_value(m, query), query->len);
	if (sscanf(text, "n=%u", &number) != 1 ||
	    number >= (copse_option_is(m, path, "own", 3) ? client_n : RESOURCES))
		fail("a device is asked for \"%s\"", text);
	const unsigned resource = copse_option_is(m, path, "own", 3) ? resource_of(number) : number;
	if (at != FIRST_DEVICE + device_of(resource))
		fail("device %x is asked for what is not its own", at);
	if (copse_option_is(m, path, "own", 3)) {
		answer_plainly(number, "own", m, at);
	} else if (copse_option_is(m, path, "common", 6)) {
		struct registration *r = &registrations[number];
		r->common_asked += r->common_asked == 0 || r->common_mid != m->id;
		r->common_mid = m->id;
		if (r->common_asked > 1)
			fail("%u is asked for again though it is fresh", number);
		answer_plainly(number, "common", m, at);
	} else {
		take_registration(number, m);
	}
}

static void take_for_device(uint32_t at, const struct copse_message *m)
{
	if (m->code) {
		take_request(at, m);
		return;
	}
	for (unsigned i = at - FIRST_DEVICE; i < RESOURCES; i += DEVICES) { /* those of this device */
		struct registration *r = &registrations[i];
		if (!r->under_way || r->mid != m->id)
			continue;
		if (m->type == COPSE_RST)
			fail("the gateway rejects a notification of resource %u", i);
		r->under_way = false;
		under_way--;
	}
}

/* Send the notifications that are due, and those that were not acknowledged. */
static void notify_gateway(long now)
{
	static uint16_t mid;

	for (unsigned i = 0; i < RESOURCES; i++) {
		struct registration *r = &registrations[i];
		if (r->active && !r->under_way && r->version < version && under_way < WINDOW) {
			r->under_way = true;
			under_way++;
			r->version = version;
			r->sequence++;
			r->mid = mid++;
		} else if (!r->under_way || now < r->due) {
			continue;
		}
		r->due = now + REPEAT_MS;
		tell_gateway(i, COPSE_CON, r->mid, r->token, r->token_len, true);
	}
}

/* ---- phases ---- */

static void take_all(void)
{
	uint8_t buf[MESSAGE_MAX];
	struct copse_message m;
	struct sockaddr_in from;
	uint32_t at;
	int n;

	while ((n = receive_at(client_socket, buf, &at, &from)) >= 0) {
		if (at - FIRST_CLIENT >= client_n || copse_message_parse(&m, buf, (size_t)n) != 0)
			fail("a datagram that is no message, or nobody's");
		take_for_client(at - FIRST_CLIENT, &m);
	}
	while ((n = receive_at(device_socket, buf, &at, &from)) >= 0) {
		if (at - FIRST_DEVICE >= DEVICES || copse_message_parse(&m, buf, (size_t)n) != 0)
			fail("a datagram that is no message, or nobody's");
		mesh = from;
		take_for_device(at, &m);
	}
}

static void turn(long *looked)
{
	struct pollfd fds[2] = {{client_socket, POLLIN, 0}, {device_socket, POLLIN, 0}};
	long now;

	poll(fds, 2, 100);
	take_all();
	now = now_ms();
	if (now - began > PATIENCE_MS)
		fail("waited in vain");
	if (changing)
		notify_gateway(now);
	if (now - *looked < 200)
		return;
	*looked = now;
	for (unsigned i = 0; i < client_n; i++)
		if (clients[i].waits && clients[i].due && now >= clients[i].due)
			ask(i, now);
}

static bool takes_part(unsigned client)
{
	return phase != CANCEL || cancels(client);
}

/* All clients, or those that take part, ask for what the phase says, some at a time. */
static void play(enum phase which)
{
	long looked = now_ms();

	phase = which;
	first_unasked = 0;
	began = looked;
	while (first_unasked < client_n || waiting) {
		while (first_unasked < client_n && waiting < WINDOW) {
			const unsigned i = first_unasked++;
			if (!takes_part(i))
				continue;
			clients[i].waits = true;
			waiting++;
			ask(i, now_ms());
		}
		turn(&looked);
	}
}

/* All resources change; everybody who observes hears of it. */
static void change(void)
{
	long looked = now_ms();

	version++;
	changing = true;
	began = looked;
	for (unsigned i = 0; i < client_n; i++)
		waiting += clients[i].observes;
	notify_gateway(looked);
	while (waiting || under_way)
		turn(&looked);
	changing = false;
}

static void everybody_leaves(void)
{
	long looked = now_ms();

	began = looked;
	while (active)
		turn(&looked);
}

int main(int argc, char **argv)
{
	unsigned port;
	char line[16];

	if (argc != 3 || (client_n = (unsigned)atoi(argv[2])) <= ALONE || client_n > CLIENTS_MAX)
		return 2;
	secret = argv[1];
	client_socket = open_socket();
	device_socket = open_socket();
	printf("devices at %u\n", port_of(device_socket));
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) || sscanf(line, "%u", &port) != 1)
		return 2;
	gateway = (struct sockaddr_in){.sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	play(SESSION);
	play(OWN);
	play(COMMON);
	play(OBSERVE);
	if (active != RESOURCES)
		fail("%u registrations", active);
	puts("observing");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 2;
	change();
	change();
	play(CANCEL);
	change(); /* which the rest reject */
	everybody_leaves();
	play(CLOSE);
	printf("done\n");
	return 0;
}
