/* Capture files, judged by tshark.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <copse/pcap.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* CON GET coap://.../a, message ID 0x1234, token "tk"; and the answer 2.05 "hi". */
static const uint8_t get[] = {0x42, 0x01, 0x12, 0x34, 't', 'k', 0xb1, 'a'};
static const uint8_t content[] = {0x62, 0x45, 0x12, 0x34, 't', 'k', 0xff, 'h', 'i'};

static char folder[] = "/tmp/copse-pcap-XXXXXX";
static char file[64];

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof file, "%s/x.cap", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(folder);
}

/* What tshark prints for `fields`, one line a packet, without malformed or unverified ones. */
static void dissect(const char *filter, char *out, size_t cap)
{
	char command[512];
	FILE *p;
	size_t n;

	snprintf(
	    command, sizeof command,
	    "HOME=%s tshark -r %s -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -Y '%s' -T fields "
	    "-e ip.src -e ipv6.src -e udp.srcport -e ip.dst -e ipv6.dst -e udp.dstport -e ip.checksum.status "
	    "-e udp.checksum.status -e coap.code -e coap.mid -e coap.token -E separator=' ' 2>/dev/null",
	    folder, file, filter);
	p = popen(command, "r");
	assert_non_null(p);
	n = fread(out, 1, cap - 1, p);
	out[n] = '\0';
	assert_int_equal(pclose(p), 0);
}

static bool has_tshark(void)
{
	if (system("command -v tshark >/dev/null 2>&1") == 0)
		return true;
	print_message("skipped: tshark is not installed\n");
	return false;
}

static void test_dissected(void **state)
{
	struct copse_address a4 = address("192.0.2.1:49152", 0), b4 = address("192.0.2.2:5683", 0);
	struct copse_address a6 = address("[2001:db8::1]:49152", 0), b6 = address("[2001:db8::2]:5683", 0);
	struct copse_pcap *p = copse_pcap_open(file);
	char out[1000];

	(void)state;
	if (!has_tshark())
		skip();
	assert_non_null(p);
	copse_pcap_write(p, &a4, &b4, get, sizeof get, 1700000000123456u);
	copse_pcap_write(p, &b4, &a4, content, sizeof content, 1700000000223456u);
	copse_pcap_write(p, &a6, &b6, get, sizeof get, 1700000000323456u);
	copse_pcap_write(p, &b6, &a6, content, sizeof content, 1700000000423456u);
	copse_pcap_write(p, &a4, &b6, get, sizeof get, 0); /* no packet has both families */
	assert_int_equal(copse_pcap_close(p), COPSE_OK);
	/* A checksum status of 1 is "good"; codes 1 and 69 are GET and 2.05, message ID 4660 is 0x1234. */
	dissect("coap", out, sizeof out);
	assert_string_equal(out, "192.0.2.1  49152 192.0.2.2  5683 1 1 1 4660 746b\n"
				 "192.0.2.2  5683 192.0.2.1  49152 1 1 69 4660 746b\n"
				 " 2001:db8::1 49152  2001:db8::2 5683  1 1 4660 746b\n"
				 " 2001:db8::2 5683  2001:db8::1 49152  1 69 4660 746b\n");
	dissect("_ws.malformed || frame.number > 4", out, sizeof out);
	assert_string_equal(out, "");
}

/* Checksums stay right for odd lengths, for the largest, and where the sum comes out as zero. */
static void test_checksums(void **state)
{
	struct copse_address a4 = address("192.0.2.1:49152", 0), b4 = address("192.0.2.2:49153", 0);
	struct copse_address a6 = address("[2001:db8::1]:49152", 0), b6 = address("[2001:db8::2]:49153", 0);
	struct copse_pcap *p = copse_pcap_open(file);
	uint8_t *data = malloc(65536);
	char out[4000];
	unsigned packets = 0, seed = 3;

	(void)state;
	if (!has_tshark()) {
		free(data);
		skip();
	}
	for (int i = 0; i < 65536; i++)
		data[i] = (uint8_t)rand_r(&seed);
	for (size_t len = 0; len < 20; len++, packets += 2) {
		copse_pcap_write(p, &a4, &b4, data + len, len, 1);
		copse_pcap_write(p, &a6, &b6, data + len, len, 1);
	}
	memset(data, 0xff, 65536); /* the largest sum there can be */
	copse_pcap_write(p, &a4, &b4, data, 65507, 1);
	copse_pcap_write(p, &a6, &b6, data, 65527, 1);
	copse_pcap_write(p, &a4, &b4, data, 65508, 1); /* larger than UDP */
	copse_pcap_write(p, &a6, &b6, data, 65528, 1);
	packets += 2;
	assert_int_equal(copse_pcap_close(p), COPSE_OK);
	dissect("udp.checksum.status != 1 || ip.checksum.status == 0", out, sizeof out);
	assert_string_equal(out, "");
	dissect("frame.number == 42", out, sizeof out);
	assert_true(strlen(out) > 10);
	dissect("frame.number > 42", out, sizeof out);
	assert_string_equal(out, "");
	assert_int_equal(packets, 42);
	free(data);
}

/* A UDP checksum that comes out as 0 is written as 0xffff: 0 would say that there is none. */
static void test_zero_checksum(void **state)
{
	struct copse_address a = address("[::1]:1", 0), b = address("[::1]:2", 0);
	struct copse_pcap *p = copse_pcap_open(file);
	/* Sum without data: 1 + 1 (addresses) + 17 (UDP) + 10 + 10 (lengths) + 1 + 2 (ports) = 42; 0xffff - 42 makes it
	 * 0xffff, whose complement is 0. */
	const uint8_t data[2] = {0xff, 0xd5};
	uint8_t bytes[200];
	FILE *f;

	(void)state;
	copse_pcap_write(p, &a, &b, data, 2, 0);
	assert_int_equal(copse_pcap_close(p), COPSE_OK);
	f = fopen(file, "re");
	assert_int_equal(fread(bytes, 1, sizeof bytes, f), 24 + 16 + 40 + 8 + 2);
	fclose(f);
	assert_memory_equal(bytes + 24 + 16 + 40 + 6, "\xff\xff", 2);
}

/* As a tap: what passes both ways, with the addresses of both ends, also where the socket is bound to every address. */
static void test_tap(void **state)
{
	struct copse_pcap *p = copse_pcap_open(file);
	struct copse_transport *client = open_with(&(struct copse_udp_config){0}, 1),
			       *server = open_at("0.0.0.0:0", 2);
	struct copse_peer to = peer_at(client, "127.0.0.9", server);
	struct batch in = batch_new(1, 100);
	char out[1000], expected[1000];

	(void)state;
	if (!has_tshark())
		skip();
	client->tap = copse_pcap_tap(p);
	send_one(client, &to, get, sizeof get);
	receive_n(server, &in, 1);
	server->tap = copse_pcap_tap(p);
	send_one(server, &in.d[0].peer, content, sizeof content);
	receive_n(client, &in, 1);
	copse_pcap_flush(p);
	snprintf(expected, sizeof expected,
		 "127.0.0.1  %u 127.0.0.9  %u 1 1   \n"
		 "127.0.0.9  %u 127.0.0.1  %u 1 1   \n"
		 "127.0.0.9  %u 127.0.0.1  %u 1 1   \n",
		 local_port(client), local_port(server), local_port(server), local_port(client),
		 local_port(server), local_port(client));
	dissect("udp", out, sizeof out);
	assert_string_equal(out, expected);
	client->tap = server->tap = NULL;
	assert_int_equal(copse_pcap_close(p), COPSE_OK);
	batch_free(&in);
	copse_transport_close(client);
	copse_transport_close(server);
}

static void test_cannot_write(void **state)
{
	struct copse_address a = address("192.0.2.1:1", 0);
	struct copse_pcap *p;

	(void)state;
	assert_null(copse_pcap_open("/nosuch/folder/x"));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(copse_pcap_close(NULL), COPSE_OK);
	p = copse_pcap_open("/dev/full");
	assert_non_null(p);
	for (int i = 0; i < 1000; i++)
		copse_pcap_write(p, &a, &a, get, sizeof get, 0);
	assert_int_equal(copse_pcap_close(p), COPSE_ERR_TRANSPORT);
	assert_int_equal(errno, ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_dissected), cmocka_unit_test(test_checksums),
					   cmocka_unit_test(test_zero_checksum), cmocka_unit_test(test_tap),
					   cmocka_unit_test(test_cannot_write)};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
