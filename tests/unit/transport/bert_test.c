/* BERT (RFC 8323 §6): bodies over TCP in messages of several units of 1024 bytes, between our server and our client, and
 * against a socket of the system that says each byte.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <copse/block.h>
#include <copse/client.h>
#include <copse/frame.h>
#include <copse/serve.h>
#include <copse/tcp.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 300 /* rounds of up to 10 ms until something that must come is given up */
#define BODY_MAX 300000u

static uint8_t body[BODY_MAX];

/* ---- the server: what it has, and what it gets ---- */

static uint32_t doc_len;           /* of what "doc" and "pieces" show, a beginning of `body` */
static uint8_t came[BODY_MAX];     /* at "sink" */
static uint32_t came_len, largest; /* and the longest piece of it */
static bool came_all;

static void get_doc(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_view(rs, COPSE_FORMAT_OCTETS, body, doc_len);
}

static int read_pieces(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	(void)user;
	const size_t left = offset < doc_len ? doc_len - offset : 0, n = left < cap ? left : cap;
	memcpy(buf, body + offset, n);
	return (int)n;
}

/* A body whose length is not known beforehand. */
static void get_pieces(const struct copse_request *rq, struct copse_response *rs)
{
	(void)rq;
	copse_response_reader(rs, COPSE_FORMAT_OCTETS, COPSE_BODY_UNKNOWN, read_pieces, NULL, NULL);
	copse_response_etag(rs, "v1", 2);
}

static void put_sink(const struct copse_request *rq, struct copse_response *rs)
{
	if (rq->body_offset == 0)
		came_len = largest = 0;
	assert_int_equal(rq->body_offset, came_len);
	assert_true(came_len + rq->body_len <= sizeof came);
	memcpy(came + came_len, rq->body, rq->body_len);
	came_len += (uint32_t)rq->body_len;
	largest = rq->body_len > largest ? (uint32_t)rq->body_len : largest;
	came_all = !rq->body_more;
	if (came_all)
		copse_response_text(rs, "taken");
}

static const struct copse_resource resources[] = {
    {.path = "doc", .get = get_doc, .flags = COPSE_RESOURCE_OBSERVABLE, .worth = COPSE_COMMAND},
    {.path = "pieces", .get = get_pieces},
    {.path = "sink", .put = put_sink},
    {.path = "whole", .put = put_sink, .flags = COPSE_RESOURCE_WHOLE},
};

/* How long messages may be on both sides, and whether the client asks for BERT at all. */
struct sizes {
	uint32_t server_takes; /* its Max-Message-Size; 0: the base */
	uint16_t server_makes;
	uint32_t client_takes;
	uint16_t client_makes;
	uint8_t szx;
};

static const struct sizes wide = {65535, 65535, 65535, 65535, COPSE_BLOCK_SZX_BERT};

static struct {
	struct copse_service *service;
	struct copse_transport *listening, *connecting;
	struct copse_host *host;
	struct copse_client *client;
	void *memory;
	struct copse_peer peer;
	copse_ms now;

	bool over;
	int error;
	uint8_t code;
	unsigned notified;
	uint8_t *got;
	uint32_t got_len;
} world;

static void on_event(void *self, struct copse_endpoint *ep, const struct copse_event *event, copse_ms now)
{
	struct copse_client_event told;
	(void)self;
	(void)ep;
	if (copse_client_take(world.client, event, now, &told) <= 0)
		return;
	world.notified += told.kind == COPSE_CLIENT_NOTIFICATION;
	if (told.kind != COPSE_CLIENT_RESPONSE && told.kind != COPSE_CLIENT_FAILED)
		return;
	world.over = true;
	world.error = told.kind == COPSE_CLIENT_FAILED ? told.error : 0;
	world.code = told.message ? told.message->code : 0;
}

static void open_server(const struct sizes *z)
{
	struct copse_service_config config = COPSE_SERVICE_DEFAULT;
	const struct copse_tcp_config tcp = {
	    .bind = address("127.0.0.1", 0), .server = true, .max_message = z->server_takes};
	char why[200] = "";
	config.server.message_len = z->server_makes;
	config.server.collect_len = BODY_MAX;
	config.host.send_size = z->server_makes;
	world.service = copse_service_new(&config, NULL, world.now);
	assert_non_null(world.service);
	assert_int_equal(copse_server_add_all(copse_service_server(world.service), resources,
					      sizeof resources / sizeof *resources),
			 0);
	if (copse_tcp_open(&tcp, &world.listening, why, sizeof why))
		fail_msg("%s", why);
	assert_int_equal(copse_host_attach(copse_service_host(world.service), world.listening), 0);
}

static void open_client(const struct sizes *z)
{
	struct copse_host_config config = COPSE_HOST_DEFAULT;
	struct copse_client_config client = COPSE_CLIENT_DEFAULT;
	const struct copse_handler handler = {.event = on_event};
	const struct copse_tcp_config tcp = {.max_message = z->client_takes};
	char why[200] = "";
	config.send_size = client.message_len = z->client_makes;
	client.seed = 1;
	world.host = copse_host_new(&config, &handler, NULL, world.now);
	world.memory = calloc(1, copse_client_bytes(&client));
	assert_true(world.host && world.memory);
	world.client = copse_client_init(world.memory, copse_client_bytes(&client), &client,
					 copse_host_endpoint(world.host));
	if (copse_tcp_open(&tcp, &world.connecting, why, sizeof why))
		fail_msg("%s", why);
	assert_int_equal(copse_host_attach(world.host, world.connecting), 0);
	world.peer = peer_at(world.connecting, "127.0.0.1", world.listening);
}

static void begin(const struct sizes *z)
{
	memset(&world, 0, sizeof world);
	world.now = 1000;
	world.got = malloc(BODY_MAX);
	open_server(z);
	open_client(z);
}

static void end(void)
{
	copse_host_free(world.host);
	free(world.memory);
	copse_service_free(world.service);
	free(world.got);
}

static void turn(void)
{
	struct pollfd fds[2] = {{world.listening->fd, POLLIN, 0}, {world.connecting->fd, POLLIN, 0}};
	if (copse_service_step(world.service, world.now) + copse_host_step(world.host, world.now) == 0 &&
	    !world.listening->more && !world.connecting->more)
		poll(fds, 2, 10);
}

#define UNTIL(condition)                                                                                     \
	do {                                                                                                 \
		for (int left_ = PATIENCE; !(condition); left_--) {                                          \
			if (left_ == 0)                                                                      \
				fail_msg("never: %s", #condition);                                           \
			turn();                                                                              \
		}                                                                                            \
	} while (0)

static int write_got(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	(void)user;
	assert_true(offset + len <= BODY_MAX);
	memcpy(world.got + offset, bytes, len);
	world.got_len = offset + (uint32_t)len;
	return 0;
}

static int read_body(void *user, uint32_t offset, uint8_t *buf, size_t cap)
{
	const uint32_t len = *(const uint32_t *)user, left = offset < len ? len - offset : 0;
	const size_t n = left < cap ? left : cap;
	memcpy(buf, body + offset, n);
	return (int)n;
}

/* One call; returns how many messages the server was sent. */
static uint64_t call(uint8_t szx, uint8_t code, const char *path, uint32_t *send_len, uint8_t flags)
{
	static uint8_t options[64];
	const uint64_t before = world.listening->counters.received;
	struct copse_builder b;
	struct copse_call c = {.peer = &world.peer,
			       .code = code,
			       .flags = (uint8_t)(COPSE_CALL_CON | flags),
			       .szx = szx,
			       .write = write_got,
			       .user = send_len};
	copse_build_rest(&b, options, sizeof options);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, path, strlen(path));
	c.options = options;
	c.options_len = (size_t)copse_build_finish(&b);
	if (send_len) {
		c.read = read_body;
		c.body_len = *send_len;
	}
	world.over = false;
	world.got_len = 0;
	world.notified = 0;
	assert_int_equal(copse_client_start(world.client, &c, world.now, NULL), 0);
	UNTIL(world.over || world.notified > 0);
	return world.listening->counters.received - before;
}

static void assert_got(uint32_t len)
{
	assert_int_equal(world.error, 0);
	assert_int_equal(world.code, COPSE_CODE_CONTENT);
	assert_int_equal(world.got_len, len);
	assert_memory_equal(world.got, body, len);
}

static void assert_came(uint32_t len)
{
	assert_int_equal(world.error, 0);
	assert_int_equal(world.code, COPSE_CODE_CHANGED);
	assert_int_equal(came_len, len);
	assert_memory_equal(came, body, len);
}

/* ---- ours against ours ---- */

static const uint32_t lengths[] = {0,    1,     1023,  1024,  1025,  2047,      2048,   2049,
				   8192, 64511, 64512, 64513, 65536, 2 * 64512, 200000, BODY_MAX};

#define LENGTHS (sizeof lengths / sizeof *lengths)

static void test_bodies_of_all_lengths(void **state)
{
	static const struct sizes all[] = {
	    {65535, 65535, 65535, 65535, COPSE_BLOCK_SZX_BERT}, /* 63 units both ways */
	    {0, 65535, 0, 65535, COPSE_BLOCK_SZX_BERT},         /* nobody takes more than the base */
	    {65535, 1152, 65535, 1152, COPSE_BLOCK_SZX_BERT},   /* taken, but not made */
	    {2200, 65535, 3300, 65535, COPSE_BLOCK_SZX_BERT},   /* two units, and three */
	    {9000, 5000, 7000, 3000, COPSE_BLOCK_SZX_BERT},
	    {1153, 65535, 1153, 65535, COPSE_BLOCK_SZX_BERT}, /* BERT of one unit */
	    {65535, 65535, 65535, 65535, 6},                  /* the client wants blocks of 1024 */
	    {65535, 65535, 65535, 65535, 2},
	};
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		begin(&all[i]);
		for (size_t j = 0; j < LENGTHS && (all[i].szx > 2 || lengths[j] < 9000); j++) {
			uint32_t len = doc_len = lengths[j];
			call(all[i].szx, COPSE_CODE_GET, "doc", NULL, 0);
			assert_got(len);
			call(all[i].szx, COPSE_CODE_GET, "pieces", NULL, 0);
			assert_got(len);
			call(all[i].szx, COPSE_CODE_PUT, "sink", &len, 0);
			assert_came(len);
			call(all[i].szx, COPSE_CODE_PUT, "whole", &len, 0);
			assert_came(len);
		}
		assert_int_equal(copse_tcp_counters(world.listening)->oversize, 0);
		assert_int_equal(copse_tcp_counters(world.connecting)->oversize, 0);
		end();
	}
}

/* 200,000 bytes are 195.3 units: with 63 of them in a message four messages, one by one 196. */
static void test_few_messages(void **state)
{
	uint32_t len = doc_len = 200000;
	(void)state;
	begin(&wide);
	assert_int_equal(call(COPSE_BLOCK_SZX_BERT, COPSE_CODE_GET, "doc", NULL, 0), 4);
	assert_got(len);
	assert_int_equal(call(COPSE_BLOCK_SZX_BERT, COPSE_CODE_PUT, "sink", &len, 0), 4);
	assert_came(len);
	assert_int_equal(largest, 63 * 1024);
	/* the first is BERT's, for nothing was said of the size; then the client has its way */
	assert_int_equal(call(6, COPSE_CODE_GET, "doc", NULL, 0), 1 + 196 - 63);
	assert_got(len);
	assert_int_equal(call(6, COPSE_CODE_PUT, "sink", &len, 0), 196);
	assert_came(len);
	/* a body that fits is no transfer */
	len = doc_len = 60000;
	assert_int_equal(call(COPSE_BLOCK_SZX_BERT, COPSE_CODE_GET, "doc", NULL, 0), 1);
	assert_got(len);
	assert_int_equal(call(COPSE_BLOCK_SZX_BERT, COPSE_CODE_PUT, "sink", &len, 0), 1);
	assert_came(len);
	end();
}

/* Before the greeting nobody knows what the server takes: an upload waits for it, by a ping. */
static void test_first_of_all_an_upload(void **state)
{
	uint32_t len = 100000;
	(void)state;
	begin(&wide);
	assert_int_equal(copse_peer_units(&world.peer), 0);
	assert_int_equal(call(COPSE_BLOCK_SZX_BERT, COPSE_CODE_PUT, "sink", &len, 0), 2);
	assert_came(len);
	assert_int_equal(copse_tcp_counters(world.listening)->pings, 1);
	world.peer = peer_at(world.connecting, "127.0.0.1", world.listening);
	assert_int_equal(copse_peer_units(&world.peer), 63); /* from here on it is known */
	assert_int_equal(call(COPSE_BLOCK_SZX_BERT, COPSE_CODE_PUT, "sink", &len, 0), 2);
	assert_int_equal(copse_tcp_counters(world.listening)->pings, 1);
	end();
}

static void test_nobody_there(void **state)
{
	uint32_t len = 100000;
	(void)state;
	begin(&wide);
	const struct copse_address free_one = local_address(world.listening);
	copse_host_detach(copse_service_host(world.service), world.listening);
	world.listening = NULL;
	assert_int_equal(copse_transport_peer(world.connecting, &free_one, &world.peer), 0);
	struct copse_call c = {.peer = &world.peer,
			       .code = COPSE_CODE_PUT,
			       .flags = COPSE_CALL_CON,
			       .szx = COPSE_BLOCK_SZX_BERT,
			       .read = read_body,
			       .user = &len,
			       .body_len = len};
	assert_int_equal(copse_client_start(world.client, &c, world.now, NULL), 0);
	for (int left = PATIENCE; !world.over && left > 0; left--) {
		struct pollfd fd = {world.connecting->fd, POLLIN, 0};
		if (copse_host_step(world.host, world.now) == 0)
			poll(&fd, 1, 10);
	}
	assert_true(world.over);
	assert_int_equal(world.error, COPSE_ERR_TRANSPORT);
	assert_int_equal(copse_client_calls(world.client), 0);
	end();
}

/* Observers have what each of them takes. */
static void test_notifications(void **state)
{
	(void)state;
	begin(&wide);
	doc_len = 150000;
	const uint64_t asked = call(COPSE_BLOCK_SZX_BERT, COPSE_CODE_GET, "doc", NULL, COPSE_CALL_OBSERVE);
	assert_int_equal(asked, 3);
	assert_int_equal(world.got_len, doc_len);
	body[0] ^= 1;
	doc_len = 150001;
	world.notified = 0;
	world.got_len = 0;
	copse_server_changed(copse_service_server(world.service), &resources[0], NULL, world.now);
	UNTIL(world.notified > 0);
	assert_int_equal(world.got_len, doc_len);
	assert_memory_equal(world.got, body, doc_len);
	end();
}

/* ---- byte by byte ---- */

static int greet(uint32_t max)
{
	const int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(local_port(world.listening))};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	/* CSM (7.01): Max-Message-Size (option 2) of four bytes, Block-Wise-Transfer (4) */
	const uint8_t csm[] = {
	    0x60,         0xe1, 0x24, (uint8_t)(max >> 24), (uint8_t)(max >> 16), (uint8_t)(max >> 8),
	    (uint8_t)max, 0x20};
	assert_int_equal(send(fd, csm, sizeof csm, 0), sizeof csm);
	return fd;
}

/* The next frame that is no CSM. */
static void next(int fd, struct copse_frame *f, struct copse_message *m)
{
	static uint8_t in[70000], datagram[70000];
	static size_t have;
	have = 0;
	for (int left = PATIENCE; left > 0; left--) {
		const int n = copse_frame_parse(f, in, have, sizeof in);
		if (n > 0 && f->code != COPSE_CODE_CSM) {
			const int len = copse_frame_datagram(f, COPSE_NON, 0, datagram, sizeof datagram);
			assert_true(len > 0 && copse_message_parse(m, datagram, (size_t)len) == 0);
			return;
		}
		if (n > 0) {
			have -= f->len;
			memmove(in, in + f->len, have);
			continue;
		}
		assert_int_equal(n, 0);
		turn();
		const ssize_t got = recv(fd, in + have, sizeof in - have, MSG_DONTWAIT);
		assert_true(got != 0);
		have += got > 0 ? (size_t)got : 0;
	}
	fail_msg("no frame; the code of the last was %02x", f->code);
}

#define assert_block(m, number, num, more, szx) assert_block_at(m, number, num, more, szx, __LINE__)

static void assert_block_at(const struct copse_message *m, uint16_t number, uint32_t num, bool more,
			    uint8_t szx, int line)
{
	const struct copse_option *o = copse_message_option(m, number);
	if (!o || copse_option_uint(m, o) != (num << 4 | (more ? 8u : 0u) | szx))
		fail_msg("line %d: block %x of a %02x", line,
			 o ? (unsigned)copse_option_uint(m, o) : 0xfffffu, m->code);
}

/* RFC 8323 §6.1: units are counted, whatever a message has of them; the last one may be of any length. */
static void test_download_on_the_wire(void **state)
{
	struct copse_frame f;
	struct copse_message m;
	(void)state;
	begin(&wide);
	doc_len = 12807;
	const int fd = greet(3 * 1024 + 200); /* three units, and something beside them */
	/* GET /doc, Block2 0/0/BERT */
	send(fd,
	     "\x61\x01\x74\xb3"
	     "doc"
	     "\xc1\x07",
	     9, 0);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_CONTENT);
	assert_block(&m, COPSE_OPTION_BLOCK2, 0, true, 7);
	assert_int_equal(m.payload_len, 3072);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_SIZE2, 0), 12807);
	assert_true(f.len <= 3 * 1024 + 200);
	/* unit 9 of 13: three more, then there is one byte and a half unit left */
	send(fd,
	     "\x61\x01\x74\xb3"
	     "doc"
	     "\xc1\x97",
	     9, 0);
	next(fd, &f, &m);
	assert_block(&m, COPSE_OPTION_BLOCK2, 9, true, 7);
	assert_int_equal(m.payload_len, 3072);
	assert_memory_equal(copse_message_payload(&m), body + 9 * 1024, 3072);
	send(fd,
	     "\x61\x01\x74\xb3"
	     "doc"
	     "\xc1\xc7",
	     9, 0);
	next(fd, &f, &m);
	assert_block(&m, COPSE_OPTION_BLOCK2, 12, false, 7);
	assert_int_equal(m.payload_len, 12807 - 12 * 1024);
	/* there is no such unit */
	send(fd,
	     "\x61\x01\x74\xb3"
	     "doc"
	     "\xc1\xd7",
	     9, 0);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_BAD_REQUEST);
	close(fd);
	end();
}

static void put(int fd, uint32_t num, bool more, const uint8_t *bytes, size_t len)
{
	static uint8_t out[70000];
	uint8_t rest[16], head[COPSE_FRAME_HEAD_MAX];
	struct copse_builder b;
	copse_build_rest(&b, rest, sizeof rest);
	copse_build_option(&b, COPSE_OPTION_URI_PATH, "sink", 4);
	copse_build_uint(&b, COPSE_OPTION_BLOCK1, num << 4 | (more ? 8u : 0u) | 7u);
	const size_t options = (size_t)copse_build_finish(&b), all = options + (len > 0) + len;
	const size_t n = copse_frame_head(head, COPSE_CODE_PUT, (const uint8_t *)"t", 1, all);
	memcpy(out, head, n);
	memcpy(out + n, rest, options);
	out[n + options] = 0xff; /* written over when there is nothing behind it */
	memcpy(out + n + options + (len > 0), bytes, len);
	for (size_t at = 0; at < n + all;) {
		const ssize_t sent = send(fd, out + at, n + all - at, MSG_DONTWAIT);
		at += sent > 0 ? (size_t)sent : 0;
		turn();
	}
}

/* RFC 8323 §6.2: messages of the example have 8, 16 and a part of a unit. */
static void test_upload_on_the_wire(void **state)
{
	struct copse_frame f;
	struct copse_message m;
	(void)state;
	begin(&wide);
	const int fd = greet(1152);
	put(fd, 0, true, body, 8192);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_CONTINUE);
	assert_block(&m, COPSE_OPTION_BLOCK1, 0, true, 7);
	put(fd, 8, true, body + 8192, 16384);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_CONTINUE);
	assert_block(&m, COPSE_OPTION_BLOCK1, 8, true, 7);
	put(fd, 24, false, body + 24576, 5683);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_CHANGED);
	assert_block(&m, COPSE_OPTION_BLOCK1, 24, false, 7);
	assert_true(came_all);
	assert_int_equal(came_len, 24576 + 5683);
	assert_memory_equal(came, body, came_len);
	/* more to follow, but no whole units; and none at all */
	put(fd, 0, true, body, 1500);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_BAD_REQUEST);
	put(fd, 0, true, body, 0);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_BAD_REQUEST);
	/* a gap */
	put(fd, 0, true, body, 4096);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_CONTINUE);
	put(fd, 5, true, body + 5120, 1024);
	next(fd, &f, &m);
	assert_int_equal(m.code, COPSE_CODE_REQUEST_ENTITY_INCOMPLETE);
	close(fd);
	end();
}

/* RFC 8323 §5.3.2: BERT is for who takes more than the base and has not taken that back. */
static void test_who_speaks_it(void **state)
{
	struct copse_frame f;
	struct copse_message m;
	(void)state;
	begin(&wide);
	doc_len = 9000;
	int fd = greet(1152);
	send(fd,
	     "\x41\x01\x74\xb3"
	     "doc",
	     7, 0);
	next(fd, &f, &m);
	assert_block(&m, COPSE_OPTION_BLOCK2, 0, true, 6);
	assert_int_equal(m.payload_len, 1024);
	/* asked for all the same, it is answered by blocks of 1024 */
	send(fd,
	     "\x61\x01\x74\xb3"
	     "doc"
	     "\xc1\x17",
	     9, 0);
	next(fd, &f, &m);
	assert_block(&m, COPSE_OPTION_BLOCK2, 1, true, 6);
	/* another CSM: it takes more now */
	send(fd,
	     "\x30\xe1\x22\x20\x00"
	     "\x41\x01\x74\xb3"
	     "doc",
	     12, 0);
	next(fd, &f, &m);
	assert_block(&m, COPSE_OPTION_BLOCK2, 0, true, 7);
	assert_int_equal(m.payload_len, 7168);
	/* and less again */
	send(fd,
	     "\x30\xe1\x22\x04\x80"
	     "\x41\x01\x74\xb3"
	     "doc",
	     12, 0);
	next(fd, &f, &m);
	assert_block(&m, COPSE_OPTION_BLOCK2, 0, true, 6);
	close(fd);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bodies_of_all_lengths),  cmocka_unit_test(test_few_messages),
	    cmocka_unit_test(test_first_of_all_an_upload), cmocka_unit_test(test_nobody_there),
	    cmocka_unit_test(test_notifications),          cmocka_unit_test(test_download_on_the_wire),
	    cmocka_unit_test(test_upload_on_the_wire),     cmocka_unit_test(test_who_speaks_it),
	};
	for (uint32_t i = 0; i < BODY_MAX; i++)
		body[i] = (uint8_t)(i ^ i >> 8 ^ (i >> 10) * 37);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
