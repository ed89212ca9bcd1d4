/* Addresses as text and as keys.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <net/if.h>
#include <stdio.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text, *shown;
	} good[] = {
	    {"192.0.2.1", "192.0.2.1:5683"},
	    {"192.0.2.1:61616", "192.0.2.1:61616"},
	    {"192.0.2.1:0", "192.0.2.1:0"},
	    {"192.0.2.1:65535", "192.0.2.1:65535"},
	    {"2001:db8::1", "[2001:db8::1]:5683"},
	    {"[2001:db8::1]", "[2001:db8::1]:5683"},
	    {"[2001:db8::1]:1", "[2001:db8::1]:1"},
	    {"2001:DB8:0:0:0:0:0:1", "[2001:db8::1]:5683"},
	    {"::", "[::]:5683"},
	    {"*", "[::]:5683"},
	    {"*:7", "[::]:7"},
	    {":7", "[::]:7"},
	    {"::ffff:192.0.2.1", "192.0.2.1:5683"},
	    {"[::ffff:192.0.2.1]:9", "192.0.2.1:9"},
	    {"[fe80::1%lo]:5683", "[fe80::1%lo]:5683"},
	    {"fe80::1%1", "[fe80::1%lo]:5683"},
	    {"ff02::fd%lo", "[ff02::fd%lo]:5683"},
	    {"224.0.1.187%lo", "224.0.1.187%lo:5683"},
	    {"224.0.1.187%lo:99", "224.0.1.187%lo:99"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct copse_address a = address(good[i].text, 5683), again;
		char shown[COPSE_ADDRESS_TEXT];

		assert_address(&a, good[i].shown);
		again = address(copse_address_text(&a, shown, sizeof shown), 1);
		assert_true(copse_address_equal(&a, &again));
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const bad[] = {
	    "",
	    "[]",
	    "[]:1",
	    "[::1",
	    "[::1]1",
	    "[::1]:",
	    "[::1]:65536",
	    "[::1]:-1",
	    "[::1]:1x",
	    "[::1]: 1",
	    "[192.0.2.1]:1",
	    "192.0.2.1:",
	    "192.0.2.1:65536",
	    "192.0.2.1:99999999999",
	    "192.0.2.256",
	    "192.0.2",
	    "192.0.2.1%lo",
	    "2001:db8::1%lo",
	    "fe80::1%",
	    "fe80::1%0",
	    "fe80::1%nosuch0",
	    "fe80::1%8388608",
	    "fe80::1%99999999999",
	    "12345::",
	    "::1::2",
	    "localhost",
	    " 127.0.0.1",
	    "127.0.0.1 ",
	    "*x",
	    /* longer than any address */
	    "[2001:0db8:0000:0000:0000:0000:0000:0001%an-interface-of-a-name-much-too-long]:5683",
	};
	struct copse_address kept = address("192.0.2.7:7", 0), a = kept;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int err = copse_address_parse(bad[i], 5683, &a);

		if (err != COPSE_ERR_ARGUMENT)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_memory_equal(&a, &kept, sizeof a);
	}
}

static void test_text_is_bounded(void **state)
{
	struct copse_address a = address("[fe80:1111:2222:3333:4444:5555:6666:7777%lo]:65535", 0);
	char buf[COPSE_ADDRESS_TEXT + 1];

	(void)state;
	for (size_t cap = 1; cap < COPSE_ADDRESS_TEXT; cap++) {
		memset(buf, '#', sizeof buf);
		copse_address_text(&a, buf, cap);
		assert_true(strlen(buf) < cap);
		assert_int_equal(buf[cap], '#');
	}
	assert_string_equal(buf, "[fe80:1111:2222:3333:4444:5555:6666:7777%lo]:65535");
}

static void test_interface_without_name(void **state)
{
	struct copse_address a = address("fe80::1%lo", 1);

	(void)state;
	a.in6.sin6_scope_id = 0xffffffff;
	assert_address(&a, "[fe80::1%4294967295]:1");
}

static void test_classes(void **state)
{
	static const struct {
		const char *text;
		bool group, any;
	} rows[] = {
	    {"192.0.2.1", false, false}, {"223.255.255.255", false, false},
	    {"224.0.0.0", true, false},  {"239.255.255.255", true, false},
	    {"240.0.0.0", false, false}, {"255.255.255.255", true, false},
	    {"ff02::fd", true, false},   {"fe80::1", false, false},
	    {"fdff::1", false, false},   {"0.0.0.0", false, true},
	    {"::", false, true},         {"::1", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct copse_address a = address(rows[i].text, 1);

		assert_int_equal(copse_address_is_group(&a), rows[i].group);
		assert_int_equal(copse_address_is_any(&a), rows[i].any);
	}
}

/* Mapped addresses are the same endpoint as plain ones, whatever form a socket tells them in. */
static void test_mapped(void **state)
{
	struct copse_address v4 = address("192.0.2.1:7", 0), mapped = {.len = sizeof mapped.in6};
	struct copse_peer p, q;

	(void)state;
	mapped.in6.sin6_family = AF_INET6;
	mapped.in6.sin6_port = htons(7);
	memcpy(&mapped.in6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01", 16);
	assert_true(copse_address_equal(&v4, &mapped));
	assert_address(&mapped, "192.0.2.1:7");
	assert_int_equal(copse_peer_from_address(1, &v4, &p), COPSE_OK);
	assert_int_equal(copse_peer_from_address(1, &mapped, &q), COPSE_OK);
	assert_true(copse_peer_equal(&p, &q));
}

static void test_key(void **state)
{
	static const uint8_t expected[COPSE_PEER_KEY_MAX] = {
	    0x12, 0x34,                                              /* transport */
	    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, /* address */
	    0x16, 0x33,                                              /* port 5683 */
	    0,    0,    1                                            /* interface 1 */
	};
	struct copse_address a = address("fe80::1%lo", 5683), back;
	struct copse_peer p;
	char text[COPSE_ADDRESS_TEXT];

	(void)state;
	assert_int_equal(if_nametoindex("lo"), 1);
	assert_int_equal(copse_peer_from_address(0x1234, &a, &p), COPSE_OK);
	assert_int_equal(p.len, sizeof expected);
	assert_memory_equal(p.key, expected, sizeof expected);
	assert_int_equal(copse_peer_transport(&p), 0x1234);
	assert_int_equal(p.flags, 0);
	assert_int_equal(p.path, 0);
	assert_int_equal(copse_peer_address(&p, &back), COPSE_OK);
	assert_true(copse_address_equal(&a, &back));
	assert_string_equal(copse_peer_text(&p, text, sizeof text), "[fe80::1%lo]:5683");
	p.len = 5;
	assert_int_equal(copse_peer_address(&p, &back), COPSE_ERR_ARGUMENT);
	assert_string_equal(copse_peer_text(&p, text, sizeof text), "?");
}

/* An interface tells link-local addresses apart, and nothing else. */
static void test_scope(void **state)
{
	struct copse_address a = address("2001:db8::1", 1), b = a;
	struct copse_peer p, q;

	(void)state;
	b.in6.sin6_scope_id = 3;
	assert_true(copse_address_equal(&a, &b));
	assert_int_equal(copse_peer_from_address(1, &a, &p), COPSE_OK);
	assert_int_equal(copse_peer_from_address(1, &b, &q), COPSE_OK);
	assert_true(copse_peer_equal(&p, &q));

	a = b = address("fe80::1%lo", 1);
	b.in6.sin6_scope_id = 3;
	assert_false(copse_address_equal(&a, &b));
	assert_int_equal(copse_peer_from_address(1, &a, &p), COPSE_OK);
	assert_int_equal(copse_peer_from_address(1, &b, &q), COPSE_OK);
	assert_false(copse_peer_equal(&p, &q));

	b.in6.sin6_scope_id = 0x7fffff;
	assert_int_equal(copse_peer_from_address(1, &b, &q), COPSE_OK);
	assert_int_equal(copse_peer_address(&q, &a), COPSE_OK);
	assert_int_equal(a.in6.sin6_scope_id, 0x7fffff);
	b.in6.sin6_scope_id = 0x800000;
	assert_int_equal(copse_peer_from_address(1, &b, &q), COPSE_ERR_ARGUMENT);
}

static void test_group_peer(void **state)
{
	struct copse_address a = address("224.0.1.187%lo", 5683), back;
	struct copse_peer p;

	(void)state;
	assert_int_equal(copse_peer_from_address(1, &a, &p), COPSE_OK);
	assert_int_equal(p.flags, COPSE_PEER_MULTICAST);
	assert_int_equal(copse_peer_address(&p, &back), COPSE_OK);
	assert_address(&back, "224.0.1.187%lo:5683");
}

static void test_from_sockaddr(void **state)
{
	struct copse_address a = address("192.0.2.1:7", 0), b = address("[2001:db8::1]:8", 0), out;
	struct sockaddr other = {.sa_family = AF_UNIX};

	(void)state;
	assert_int_equal(copse_address_from(&a.sa, a.len, &out), COPSE_OK);
	assert_true(copse_address_equal(&a, &out));
	assert_int_equal(copse_address_from(&b.sa, b.len, &out), COPSE_OK);
	assert_true(copse_address_equal(&b, &out));
	assert_int_equal(out.len, sizeof out.in6);
	assert_int_equal(copse_address_from(&a.sa, a.len - 1, &out), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_address_from(&b.sa, b.len - 1, &out), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_address_from(&other, sizeof other, &out), COPSE_ERR_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_parse_refuses),
	    cmocka_unit_test(test_text_is_bounded),
	    cmocka_unit_test(test_interface_without_name),
	    cmocka_unit_test(test_classes),
	    cmocka_unit_test(test_mapped),
	    cmocka_unit_test(test_key),
	    cmocka_unit_test(test_scope),
	    cmocka_unit_test(test_group_peer),
	    cmocka_unit_test(test_from_sockaddr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
