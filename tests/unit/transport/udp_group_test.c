/* Multicast, link-local addresses and routes, in a network of this program's own: two pairs of virtual cables.
 * Needs root (or user namespaces); is skipped with a message without.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "net.h"

#include <errno.h>
#include <linux/ipv6_route.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool ready;

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* How many IPv6 addresses of cables are ready for use. The system works on them for some time after they are entered;
 * the last thing that it does is the local route. */
static int local_route_n(void)
{
	FILE *f = fopen("/proc/self/net/ipv6_route", "re");
	char line[256], device[32];
	int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		unsigned prefix, flags;

		if (sscanf(line, "%*s %x %*s %*x %*s %*x %*x %*x %x %31s", &prefix, &flags, device) == 3)
			n += prefix == 128 && (flags & RTF_LOCAL) && strcmp(device, "lo") != 0;
	}
	assert_int_equal(fclose(f), 0);
	return n;
}

static int make_network(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET) != 0) {
		print_message("skipped: a network of our own needs root (%s)\n", strerror(errno));
		return 0;
	}
	write_file("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
	write_file("/proc/sys/net/ipv6/conf/all/accept_dad", "0");
	run("ip link set lo up");
	run("ip link add v0 type veth peer name v1");
	run("ip link add w0 type veth peer name w1");
	run("ip link set v1 up && ip link set w1 up && ip link set v0 up && ip link set w0 up");
	run("ip addr add 10.9.0.1/24 dev v0 && ip addr add 10.9.1.1/24 dev w0");
	run("ip addr add 2001:db8:9::1/64 dev v0 nodad && ip addr add 2001:db8:8::1/64 dev w0 nodad");
	for (int tries = 0; local_route_n() < 6; tries++) {
		assert_true(tries < 3000);
		usleep(10000);
	}
	ready = true;
	return 0;
}

#define NEED_NETWORK()                                                                                       \
	do {                                                                                                 \
		(void)state;                                                                                 \
		if (!ready)                                                                                  \
			skip();                                                                              \
	} while (0)

static struct copse_peer group_peer(struct copse_transport *t, const char *group, const char *interface,
				    uint16_t port)
{
	char text[COPSE_ADDRESS_TEXT];
	struct copse_peer peer;

	snprintf(text, sizeof text, "%s%%%s", group, interface);
	assert_int_equal(copse_transport_peer_text(t, text, port, &peer), COPSE_OK);
	assert_int_equal(peer.flags, COPSE_PEER_MULTICAST);
	return peer;
}

/* A datagram sent to the group by `interface` arrives, is marked, names the group; the answer comes from an address of
 * this host and is no multicast. */
static void expect_copies(struct copse_transport *server, const char *group, const char *interface,
			  size_t copies)
{
	struct copse_transport *client = open_with(&(struct copse_udp_config){0}, 7);
	struct copse_peer to = group_peer(client, group, interface, local_port(server));
	struct batch in = batch_new(4, 100);
	struct copse_address local, from;
	char expected[COPSE_ADDRESS_TEXT], shown[COPSE_ADDRESS_TEXT];
	uint64_t before = server->counters.received_group;

	send_one(client, &to, "who?", 4);
	receive_n(server, &in, copies);
	assert_int_equal(in.d[0].peer.flags, COPSE_PEER_MULTICAST);
	assert_int_equal(server->counters.received_group, before + copies);
	copse_transport_local(server, &in.d[0].peer, &local);
	if (strchr(group, ':'))
		snprintf(expected, sizeof expected, "[%s%%%s]:%u", group, interface, local_port(server));
	else
		snprintf(expected, sizeof expected, "%s:%u", group, local_port(server));
	assert_string_equal(copse_address_text(&local, shown, sizeof shown), expected);

	send_one(server, &in.d[0].peer, "me", 2);
	receive_n(client, &in, 1);
	assert_int_equal(in.d[0].peer.flags, 0);
	assert_memory_equal(in.d[0].data, "me", 2);
	assert_int_equal(copse_peer_address(&in.d[0].peer, &from), COPSE_OK);
	assert_false(copse_address_is_group(&from));
	assert_int_equal(copse_address_port(&from), local_port(server));
	batch_free(&in);
	copse_transport_close(client);
}

static void expect_group(struct copse_transport *server, const char *group, const char *interface)
{
	expect_copies(server, group, interface, 1);
}

/* What is sent to the group by `interface` does not arrive: a datagram sent afterwards straight to the server does,
 * alone. */
static void expect_no_group(struct copse_transport *server, const char *group, const char *interface)
{
	struct copse_transport *client = open_with(&(struct copse_udp_config){0}, 7);
	struct copse_peer to = group_peer(client, group, interface, local_port(server));
	struct copse_peer marker = peer_at(client, strchr(group, ':') ? "::1" : "127.0.0.1", server);
	struct batch in = batch_new(4, 100);

	send_one(client, &to, "who?", 4);
	send_one(client, &marker, "!", 1);
	receive_n(server, &in, 1);
	assert_int_equal(in.d[0].data[0], '!');
	assert_int_equal(in.d[0].peer.flags, 0);
	batch_free(&in);
	copse_transport_close(client);
}

static void join(struct copse_transport *t, const char *group, const char *interface)
{
	struct copse_address a = address(group, 0);

	assert_int_equal(copse_udp_join(t, &a, if_nametoindex(interface)), 1);
}

static void groups_on_interface(const char *bound, const char *group)
{
	struct copse_transport *server = open_at(bound, 1);

	expect_no_group(server, group, "v0");
	join(server, group, "v0");
	expect_group(server, group, "v0");
	expect_no_group(server, group, "w0");
	join(server, group, "v0"); /* again: no error, and nothing comes twice */
	expect_group(server, group, "v0");
	expect_no_group(server, group, "w0");
	join(server, group, "w0");
	expect_group(server, group, "w0");
	expect_group(server, group, "v0");
	copse_transport_close(server);
}

static void test_groups(void **state)
{
	NEED_NETWORK();
	groups_on_interface("[::]:0", COPSE_GROUP_LINK);
	groups_on_interface("[::]:0", COPSE_GROUP_SITE);
	groups_on_interface("[::]:0", COPSE_GROUP_V4);
	groups_on_interface("0.0.0.0:0", COPSE_GROUP_V4);
	groups_on_interface("[::]:0", "ff02::1:fe00:1");
}

/* Across a cable: sent at one end, received at the other, from the sender's link-local address; the answer goes back
 * by the interface that the request came by. */
static void test_across_cable(void **state)
{
	struct copse_transport *server, *client;
	struct batch in = batch_new(2, 100);
	struct copse_peer to;
	struct copse_address from;
	char shown[COPSE_ADDRESS_TEXT];

	NEED_NETWORK();
	server = open_with(&(struct copse_udp_config){0}, 1);
	client = open_with(&(struct copse_udp_config){.no_loop = true}, 2);
	join(server, COPSE_GROUP_LINK, "v1");
	to = group_peer(client, COPSE_GROUP_LINK, "v0", local_port(server));
	send_one(client, &to, "x", 1);
	receive_n(server, &in, 1);
	assert_int_equal(copse_peer_address(&in.d[0].peer, &from), COPSE_OK);
	copse_address_text(&from, shown, sizeof shown);
	assert_memory_equal(shown, "[fe80:", 6);
	assert_non_null(strstr(shown, "%v1]:"));
	send_one(server, &in.d[0].peer, "y", 1);
	receive_n(client, &in, 1);
	assert_int_equal(copse_peer_address(&in.d[0].peer, &from), COPSE_OK);
	copse_address_text(&from, shown, sizeof shown);
	assert_non_null(strstr(shown, "%v0]:"));
	batch_free(&in);
	copse_transport_close(server);
	copse_transport_close(client);
}

static void test_join_everywhere(void **state)
{
	static const char *const groups[] = {COPSE_GROUP_LINK, COPSE_GROUP_V4};
	struct copse_transport *server;

	NEED_NETWORK();
	server = open_with(&(struct copse_udp_config){0}, 1);
	for (int i = 0; i < 2; i++) {
		struct copse_address a = address(groups[i], 0);

		assert_int_equal(copse_udp_join(server, &a, 0), 5); /* lo, v0, v1, w0, w1 */
		assert_int_equal(copse_udp_join(server, &a, 0), 5);
		/* IPv6 comes out at the other end of the cable too; IPv4 refuses a source that is this host's own. */
		expect_copies(server, groups[i], "v0", i == 0 ? 2 : 1);
		expect_copies(server, groups[i], "w0", i == 0 ? 2 : 1);
	}
	expect_group(server, COPSE_GROUP_V4, "lo");
	copse_transport_close(server);
}

/* A group whose text names the interface. */
static void test_join_by_scope(void **state)
{
	struct copse_transport *server;
	struct copse_address a;

	NEED_NETWORK();
	server = open_with(&(struct copse_udp_config){0}, 1);
	a = address("ff02::fd%w0", 0);
	assert_int_equal(copse_udp_join(server, &a, 0), 1);
	expect_group(server, COPSE_GROUP_LINK, "w0");
	expect_no_group(server, COPSE_GROUP_LINK, "v0");
	copse_transport_close(server);
}

static void test_join_refused(void **state)
{
	struct copse_transport *both, *v4, *v6;
	struct copse_address unicast = address("192.0.2.1", 0), g4 = address(COPSE_GROUP_V4, 0);
	struct copse_address g6 = address(COPSE_GROUP_LINK, 0), broadcast = address("255.255.255.255", 0);

	NEED_NETWORK();
	both = open_with(&(struct copse_udp_config){0}, 1);
	v4 = open_at("0.0.0.0:0", 2);
	v6 = open_with(&(struct copse_udp_config){.only_v6 = true}, 3);
	assert_int_equal(copse_udp_join(both, &unicast, 0), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_udp_join(both, &broadcast, 0), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_udp_join(both, &g4, 9999), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_udp_join(both, &g6, 9999), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_udp_join(v4, &g6, 0), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_udp_join(v6, &g4, 0), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_udp_multicast_interface(both, 9999), COPSE_ERR_ARGUMENT);
	copse_transport_close(both);
	copse_transport_close(v4);
	copse_transport_close(v6);
}

/* Another program's membership does not let in what this one did not join, and what comes unasked fills no table. */
static void test_not_joined(void **state)
{
	struct copse_transport *server, *other;

	NEED_NETWORK();
	server = open_with(&(struct copse_udp_config){0}, 1);
	other = open_with(&(struct copse_udp_config){0}, 2);
	join(server, COPSE_GROUP_LINK, "w0");
	join(other, COPSE_GROUP_LINK, "v0");
	expect_no_group(server, COPSE_GROUP_LINK, "v0");
	assert_int_equal(server->counters.not_joined, 1);
	assert_int_equal(server->counters.paths_full, 0);
	copse_transport_close(server);
	copse_transport_close(other);
}

static void test_join_fills_paths(void **state)
{
	struct copse_transport *t;
	struct copse_address g = address(COPSE_GROUP_LINK, 0);

	NEED_NETWORK();
	t = open_with(&(struct copse_udp_config){.paths = 2}, 1);
	join(t, COPSE_GROUP_LINK, "v0");
	join(t, COPSE_GROUP_LINK, "w0");
	join(t, COPSE_GROUP_LINK, "v0");
	assert_int_equal(copse_udp_join(t, &g, if_nametoindex("v1")), COPSE_ERR_NOROOM);
	copse_transport_close(t);
}

/* The system's bound on memberships is told apart from a wrong group. */
static void test_join_bound(void **state)
{
	struct copse_transport *t;
	int joined = 0, err;

	NEED_NETWORK();
	write_file("/proc/sys/net/ipv4/igmp_max_memberships", "10");
	t = open_at("0.0.0.0:0", 1);
	for (;;) {
		char text[32];
		struct copse_address a;

		snprintf(text, sizeof text, "239.1.1.%d", joined + 1);
		a = address(text, 0);
		err = copse_udp_join(t, &a, if_nametoindex("v0"));
		if (err != 1)
			break;
		joined++;
		assert_true(joined < 100);
	}
	assert_int_equal(err, COPSE_ERR_NOROOM);
	assert_int_equal(joined, 10);
	copse_transport_close(t);
	write_file("/proc/sys/net/ipv4/igmp_max_memberships", "20");
}

/* Without an interface in the peer's address the transport's own setting counts. */
static void test_multicast_interface(void **state)
{
	static const char *const groups[] = {COPSE_GROUP_LINK, COPSE_GROUP_V4};
	struct copse_transport *server, *client;
	struct batch in = batch_new(1, 10);

	NEED_NETWORK();
	for (int i = 0; i < 2; i++) {
		struct copse_peer to;

		server = open_with(&(struct copse_udp_config){0}, 1);
		client = open_with(&(struct copse_udp_config){0}, 2);
		join(server, groups[i], "w0");
		assert_int_equal(copse_udp_multicast_interface(client, if_nametoindex("w0")), COPSE_OK);
		assert_int_equal(copse_transport_peer_text(client, groups[i], local_port(server), &to),
				 COPSE_OK);
		send_one(client, &to, "x", 1);
		receive_n(server, &in, 1);
		assert_int_equal(in.d[0].peer.flags, COPSE_PEER_MULTICAST);
		copse_transport_close(server);
		copse_transport_close(client);
	}
	batch_free(&in);
}

static int received_hops(int level, int option, const char *bound, const char *group, uint8_t limit)
{
	struct copse_transport *client = open_with(&(struct copse_udp_config){.hop_limit = limit}, 2);
	int fd = raw_socket(bound), on = 1, hops = -1;
	struct copse_address here = raw_address(fd), g = address(group, 0);
	struct copse_peer to = group_peer(client, group, "v0", copse_address_port(&here));
	char data[8], control[64];
	struct iovec iov = {data, sizeof data};
	struct msghdr h = {
	    .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct ip_mreqn m4 = {.imr_multiaddr = g.in.sin_addr, .imr_ifindex = (int)if_nametoindex("v0")};
	struct ipv6_mreq m6 = {.ipv6mr_multiaddr = g.in6.sin6_addr, .ipv6mr_interface = if_nametoindex("v0")};

	assert_int_equal(setsockopt(fd, level, option, &on, sizeof on), 0);
	if (level == IPPROTO_IP)
		assert_int_equal(setsockopt(fd, level, IP_ADD_MEMBERSHIP, &m4, sizeof m4), 0);
	else
		assert_int_equal(setsockopt(fd, level, IPV6_ADD_MEMBERSHIP, &m6, sizeof m6), 0);
	send_one(client, &to, "x", 1);
	wait_for(fd, POLLIN);
	assert_int_equal(recvmsg(fd, &h, 0), 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
		if (c->cmsg_level == level)
			memcpy(&hops, CMSG_DATA(c), sizeof hops);
	}
	close(fd);
	copse_transport_close(client);
	return hops;
}

static void test_hop_limit(void **state)
{
	NEED_NETWORK();
	assert_int_equal(received_hops(IPPROTO_IP, IP_RECVTTL, "0.0.0.0:0", COPSE_GROUP_V4, 0), 1);
	assert_int_equal(received_hops(IPPROTO_IP, IP_RECVTTL, "0.0.0.0:0", COPSE_GROUP_V4, 9), 9);
	assert_int_equal(received_hops(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "[::]:0", COPSE_GROUP_SITE, 0), 1);
	assert_int_equal(received_hops(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "[::]:0", COPSE_GROUP_SITE, 7), 7);
}

/* Several addresses of both families on one socket: each answers for itself. */
static void test_answers_from_asked_v6(void **state)
{
	static const char *const asked[] = {"2001:db8:9::1", "2001:db8:8::1", "::1", "10.9.0.1", "10.9.1.1"};
	struct copse_transport *server, *client;
	struct batch in = batch_new(5, 10);

	NEED_NETWORK();
	server = open_with(&(struct copse_udp_config){0}, 1);
	client = open_with(&(struct copse_udp_config){0}, 2);
	for (size_t i = 0; i < 5; i++) {
		struct copse_peer to = peer_at(client, asked[i], server);

		send_one(client, &to, &i, sizeof i);
	}
	receive_n(server, &in, 5);
	for (size_t i = 0; i < 5; i++)
		send_one(server, &in.d[i].peer, in.d[i].data, sizeof i);
	receive_n(client, &in, 5);
	for (size_t i = 0; i < 5; i++) {
		struct copse_peer expected;
		size_t which;

		memcpy(&which, in.d[i].data, sizeof which);
		expected = peer_at(client, asked[which], server);
		assert_true(copse_peer_equal(&in.d[i].peer, &expected));
	}
	batch_free(&in);
	copse_transport_close(server);
	copse_transport_close(client);
}

/* No route at all: told at once, for this datagram alone. */
static void test_no_route(void **state)
{
	static const char *const nowhere[] = {"203.0.113.1", "2001:db8:ffff::1"};
	struct copse_transport *t;
	struct batch out = batch_new(2, 10);
	struct copse_datagram *list[2] = {&out.d[0], &out.d[1]};

	NEED_NETWORK();
	t = open_with(&(struct copse_udp_config){0}, 1);
	for (int i = 0; i < 2; i++) {
		struct copse_peer peer;

		out.d[0].len = out.d[1].len = 1;
		assert_int_equal(copse_transport_peer_text(t, nowhere[i], 5683, &out.d[0].peer), COPSE_OK);
		out.d[1].peer = peer_at(t, "127.0.0.1", t);
		assert_int_equal(copse_transport_send(t, list, 2, 0), 2);
		assert_int_equal(out.d[0].flags, COPSE_DATAGRAM_DROPPED);
		assert_int_equal(out.d[1].flags, 0);
		assert_true(copse_transport_failure(t, &peer));
		assert_true(copse_peer_equal(&peer, &out.d[0].peer));
		assert_false(copse_transport_failure(t, &peer));
	}
	assert_int_equal(t->counters.send_refused, 2);
	batch_free(&out);
	copse_transport_close(t);
}

/* A link-local address is another peer on another interface. */
static void test_link_local_unicast(void **state)
{
	struct copse_transport *server, *client;
	struct batch in = batch_new(1, 10);
	struct copse_peer group, back;
	struct copse_address local;

	NEED_NETWORK();
	server = open_with(&(struct copse_udp_config){0}, 1);
	client = open_with(&(struct copse_udp_config){0}, 2);
	join(server, COPSE_GROUP_LINK, "v0");
	group = group_peer(client, COPSE_GROUP_LINK, "v0", local_port(server));
	send_one(client, &group, "x", 1);
	receive_n(server, &in, 1);
	send_one(server, &in.d[0].peer, "y", 1);
	receive_n(client, &in, 1);
	/* Straight to the link-local address that answered; the answer comes from it. */
	back = in.d[0].peer;
	send_one(client, &back, "z", 1);
	receive_n(server, &in, 1);
	assert_int_equal(in.d[0].peer.flags, 0);
	copse_transport_local(server, &in.d[0].peer, &local);
	assert_int_equal(local.in6.sin6_scope_id, if_nametoindex("v0"));
	send_one(server, &in.d[0].peer, "!", 1);
	receive_n(client, &in, 1);
	assert_true(copse_peer_equal(&in.d[0].peer, &back));
	batch_free(&in);
	copse_transport_close(server);
	copse_transport_close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_groups),
	    cmocka_unit_test(test_across_cable),
	    cmocka_unit_test(test_join_everywhere),
	    cmocka_unit_test(test_join_by_scope),
	    cmocka_unit_test(test_join_refused),
	    cmocka_unit_test(test_not_joined),
	    cmocka_unit_test(test_join_fills_paths),
	    cmocka_unit_test(test_join_bound),
	    cmocka_unit_test(test_multicast_interface),
	    cmocka_unit_test(test_hop_limit),
	    cmocka_unit_test(test_answers_from_asked_v6),
	    cmocka_unit_test(test_no_route),
	    cmocka_unit_test(test_link_local_unicast),
	};

	return cmocka_run_group_tests(tests, make_network, NULL);
}
