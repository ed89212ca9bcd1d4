/* What a notification to many observers costs beside the kernel's limit: in one run and in turn, a server notifies N
 * observers of one resource over UDP, and a bare sendmmsg sends the same number of datagrams of the same length to the same
 * addresses in batches of the same size. Both go to a socket that nobody reads. CPU time of this process counts, which on a
 * shared machine wall time does not; the ratio is the result.
 *
 *	bench-observe [OBSERVERS [ROUNDS [BARE]]]    BARE: "server" or "bare" to do only that, for a profiler
 *
 * Observers live on loopback: each has an address of its own in 127.0.0.0/8.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/serve.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64

static unsigned state;

static void temperature(const struct copse_request *rq, struct copse_response *rs)
{
	char text[24];
	(void)rq;
	snprintf(text, sizeof text, "%u.%u C", state % 40, state % 10);
	copse_response_text(rs, text);
}

static const struct copse_resource resource = {
    .path = "temperature", .get = temperature, .flags = COPSE_RESOURCE_OBSERVABLE};

struct bench {
	struct copse_service *service;
	struct copse_transport *transport;
	uint32_t observers;
	copse_ms now;
	int bare;                    /* socket */
	struct sockaddr_in *address; /* of the observers */
	uint16_t len;                /* of a notification */
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A socket that every observer's address leads to, and that soon is full: what arrives is dropped at once. */
static uint16_t open_sink(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;
	const int fd = socket(AF_INET, SOCK_DGRAM, 0), small = 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		die("sink");
	return ntohs(a.sin_port);
}

static void open_all(struct bench *b)
{
	const uint16_t port = open_sink();
	b->address = calloc(b->observers, sizeof *b->address);
	b->bare = socket(AF_INET, SOCK_DGRAM, 0);
	if (!b->address || b->bare < 0)
		die("bare");
	const int buffer = 4 << 20;
	setsockopt(b->bare, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
	for (uint32_t i = 0; i < b->observers; i++) {
		b->address[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
		b->address[i].sin_addr.s_addr = htonl((127u << 24) + (1u << 16) + i);
	}
	struct copse_service_config config = COPSE_SERVICE_DEFAULT;
	config.host.send_batch = BATCH;
	config.host.endpoint.incoming_cap = b->observers + 1024;
	config.host.endpoint.chunk_cap = b->observers + 8192;
	config.server.observer_cap = b->observers;
	config.server.traffic =
	    (struct copse_traffic_policy){0}; /* NON alone: what the kernel is compared in */
	b->service = copse_service_new(&config, NULL, b->now);
	struct copse_udp_config udp = {0};
	char why[160] = "";
	copse_address_parse("127.0.0.1", 0, &udp.bind);
	b->transport =
	    b->service ? copse_host_listen(copse_service_host(b->service), &udp, why, sizeof why) : NULL;
	if (!b->transport) {
		fprintf(stderr, "bench-observe: %s\n", why);
		exit(1);
	}
	copse_server_add(copse_service_server(b->service), &resource);
}

/* Hand in the registration of each observer as if it had come over the socket. */
static void register_all(struct bench *b)
{
	struct copse_endpoint *ep = copse_host_endpoint(copse_service_host(b->service));
	for (uint32_t i = 0; i < b->observers; i++) {
		uint8_t request[64];
		struct copse_builder m;
		struct copse_address a;
		struct copse_peer peer;
		struct copse_event event;
		copse_address_from((struct sockaddr *)&b->address[i], sizeof b->address[i], &a);
		if (copse_transport_peer(b->transport, &a, &peer) != 0)
			exit(1);
		copse_build_message(&m, request, sizeof request, COPSE_NON, COPSE_CODE_GET, 1, &i, sizeof i);
		copse_build_uint(&m, COPSE_OPTION_OBSERVE, 0);
		copse_build_option(&m, COPSE_OPTION_URI_PATH, resource.path, strlen(resource.path));
		copse_endpoint_receive(ep, &peer, request, (size_t)copse_build_finish(&m), b->now);
		while (copse_endpoint_next_event(ep, &event))
			copse_server_take(copse_service_server(b->service), &event, b->now);
		copse_host_flush(copse_service_host(b->service), b->now);
	}
	const uint32_t n = copse_server_observers(copse_service_server(b->service), &resource);
	if (n != b->observers) {
		fprintf(stderr, "bench-observe: %u observers, not %u\n", n, b->observers);
		exit(1);
	}
}

static uint64_t sent(const struct bench *b)
{
	return b->transport->counters.sent;
}

static void notify(struct bench *b)
{
	const uint64_t before = sent(b);
	state++;
	b->now += 10000; /* past every interval between notifications */
	copse_server_changed(copse_service_server(b->service), &resource, NULL, b->now);
	while (sent(b) - before < b->observers && copse_service_step(b->service, b->now) > 0) {
	}
	if (sent(b) - before != b->observers) {
		fprintf(stderr, "bench-observe: %llu notifications, not %u\n",
			(unsigned long long)(sent(b) - before), b->observers);
		exit(1);
	}
}

static void send_bare(const struct bench *b)
{
	static uint8_t bytes[BATCH][64];
	struct iovec iov[BATCH];
	struct mmsghdr m[BATCH];
	for (uint32_t i = 0; i < b->observers;) {
		unsigned n = 0;
		for (; n < BATCH && i + n < b->observers; n++) {
			iov[n] = (struct iovec){bytes[n], b->len};
			m[n].msg_hdr = (struct msghdr){.msg_name = &b->address[i + n],
						       .msg_namelen = sizeof *b->address,
						       .msg_iov = &iov[n],
						       .msg_iovlen = 1};
		}
		const int done = sendmmsg(b->bare, m, n, 0);
		if (done <= 0)
			die("sendmmsg");
		i += (uint32_t)done;
	}
}

static int by_size(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	struct bench b = {.now = 100000,
			  .observers = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 10000};
	const unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 101;
	const char *only = argc > 3 ? argv[3] : "";
	if (b.observers < 1 || b.observers > 60000 || rounds < 1) {
		fprintf(stderr, "usage: bench-observe [OBSERVERS [ROUNDS [server|bare]]]\n");
		return 1;
	}
	double *ratio = calloc(rounds, sizeof *ratio), ours = 0, bare = 0;
	if (!ratio)
		die("memory");
	open_all(&b);
	register_all(&b);
	const uint64_t bytes = b.transport->counters.sent_bytes;
	notify(&b);
	b.len = (uint16_t)((b.transport->counters.sent_bytes - bytes) / b.observers);
	send_bare(&b);
	for (unsigned i = 0; i < rounds; i++) {
		const double t0 = cpu_seconds();
		if (strcmp(only, "bare") != 0)
			notify(&b);
		const double t1 = cpu_seconds();
		if (strcmp(only, "server") != 0)
			send_bare(&b);
		const double t2 = cpu_seconds();
		ours += t1 - t0;
		bare += t2 - t1;
		ratio[i] = t2 > t1 ? (t1 - t0) / (t2 - t1) : 0;
	}
	qsort(ratio, rounds, sizeof *ratio, by_size);
	printf("%u observers, %u rounds, %u bytes: %.3f us a notification, %.3f us a bare datagram; ratio "
	       "median %.3f, "
	       "best %.3f\n",
	       b.observers, rounds, b.len, ours / rounds / b.observers * 1e6,
	       bare / rounds / b.observers * 1e6, ratio[rounds / 2], ratio[0]);
	struct copse_server_config one = COPSE_SERVER_DEFAULT, many = COPSE_SERVER_DEFAULT;
	one.observer_cap = 10000;
	many.observer_cap = 20000;
	printf("memory: %zu bytes an observer\n",
	       (copse_server_bytes(&many) - copse_server_bytes(&one)) / 10000);
	free(ratio);
	copse_service_free(b.service);
	close(b.bare);
	free(b.address);
	return 0;
}
