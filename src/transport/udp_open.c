/* UDP, before the first datagram: the socket, its options, groups.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "spread.h"
#include "udp_internal.h"

#include <copse/mem.h>

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define RECEIVE_BUFFER_DEFAULT (4u << 20)
#define SEND_BUFFER_DEFAULT    (1u << 20)

/* Since Linux 4.20; missing from the C library's headers. */
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

__attribute__((format(printf, 3, 4))) static void say(char *buf, size_t cap, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (cap > 0)
		vsnprintf(buf, cap, format, args);
	va_end(args);
}

static bool set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* What a socket cannot do its work without. */
static bool set_options(struct copse_udp *u, const struct copse_udp_config *c)
{
	int fd = u->base.fd;
	int hops = c->hop_limit ? c->hop_limit : 1;
	bool ok = !c->reuse_port || set(fd, SOL_SOCKET, SO_REUSEPORT, 1);

	if (u->family == AF_INET6) {
		ok &= set(fd, IPPROTO_IPV6, IPV6_V6ONLY, u->only_v6);
		ok &= set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, !u->one_address);
		ok &= set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
		ok &= set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops);
		ok &= set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, !c->no_loop);
		/* Old systems lack it; they deliver other programs' groups too, which harms nobody. */
		set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
	}
	if (!u->only_v6) {
		ok &= set(fd, IPPROTO_IP, IP_PKTINFO, !u->one_address);
		ok &= set(fd, IPPROTO_IP, IP_RECVERR, 1);
		ok &= set(fd, IPPROTO_IP, IP_MULTICAST_TTL, hops);
		ok &= set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, !c->no_loop);
		ok &= set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	}
	return ok;
}

/* Ask for a buffer of `want` bytes, by privilege where the system's maximum is in the way. The system doubles what it
 * is asked for, to make room for its own records. Returns what it granted, in the unit of `want`. */
static uint32_t size_buffer(int fd, int name, int force, uint32_t want)
{
	int got = 0;
	socklen_t len = sizeof got;

	set(fd, SOL_SOCKET, name, (int)want);
	if (getsockopt(fd, SOL_SOCKET, name, &got, &len) == 0 && (uint32_t)got / 2 >= want)
		return (uint32_t)got / 2;
	set(fd, SOL_SOCKET, force, (int)want);
	getsockopt(fd, SOL_SOCKET, name, &got, &len);
	return (uint32_t)got / 2;
}

static void size_buffers(struct copse_udp *u, const struct copse_udp_config *c)
{
	uint32_t in = c->receive_buffer ? c->receive_buffer : RECEIVE_BUFFER_DEFAULT;
	uint32_t out = c->send_buffer ? c->send_buffer : SEND_BUFFER_DEFAULT;
	uint32_t got_in = size_buffer(u->base.fd, SO_RCVBUF, SO_RCVBUFFORCE, in);
	uint32_t got_out = size_buffer(u->base.fd, SO_SNDBUF, SO_SNDBUFFORCE, out);
	size_t used = 0;

	u->receive_buffer = got_in;
	if (got_in < in) {
		say(u->warning, sizeof u->warning,
		    "receive buffer is %u bytes where %u were asked for: raise net.core.rmem_max", got_in,
		    in);
		used = strlen(u->warning);
	}
	if (got_out < out)
		say(u->warning + used, sizeof u->warning - used,
		    "%ssend buffer is %u bytes where %u were asked for: raise net.core.wmem_max",
		    used ? "; " : "", got_out, out);
}

/* Every address of both families where the system has IPv6, else of IPv4. */
static struct copse_address any_address(void)
{
	struct copse_address a;
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	copse_address_parse(fd >= 0 ? "[::]:0" : "0.0.0.0:0", 0, &a);
	if (fd >= 0)
		close(fd);
	return a;
}

static int open_socket(struct copse_udp *u, const struct copse_udp_config *c, char *why, size_t why_cap)
{
	struct copse_address at = c->bind.len ? c->bind : any_address();
	char text[COPSE_ADDRESS_TEXT];
	socklen_t len = sizeof u->bound.in6;

	u->family = at.sa.sa_family;
	u->only_v6 = u->family == AF_INET6 && (c->only_v6 || !copse_address_is_any(&at));
	u->one_address = !copse_address_is_any(&at) && !copse_address_is_group(&at) && !u->split_local;
	copse_address_text(&at, text, sizeof text);
	u->base.fd = socket(u->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->base.fd < 0) {
		say(why, why_cap, "cannot open a socket for %s: %s", text, strerror(errno));
		return errno == EAFNOSUPPORT ? COPSE_ERR_ARGUMENT : COPSE_ERR_NOROOM;
	}
	if (!set_options(u, c)) {
		say(why, why_cap, "cannot set up a socket for %s: %s", text, strerror(errno));
		return COPSE_ERR_ARGUMENT;
	}
	if (bind(u->base.fd, &at.sa, at.len) != 0 || getsockname(u->base.fd, &u->bound.sa, &len) != 0) {
		say(why, why_cap, "cannot bind %s: %s", text, strerror(errno));
		return COPSE_ERR_ARGUMENT;
	}
	u->bound.len = len;
	if (c->share_port && !set(u->base.fd, SOL_SOCKET, SO_REUSEPORT, 1)) {
		say(why, why_cap, "cannot share %s: %s", text, strerror(errno));
		return COPSE_ERR_ARGUMENT;
	}
	if (c->reuse_port && c->spread > 1 && !spread_by_address(u->base.fd, c->spread)) {
		say(why, why_cap, "cannot spread %s by address: %s", text, strerror(errno));
		return COPSE_ERR_ARGUMENT;
	}
	size_buffers(u, c);
	return COPSE_OK;
}

int copse_udp_open(const struct copse_udp_config *config, struct copse_transport **out, char *why,
		   size_t why_cap)
{
	struct copse_udp *u = copse_mem_new(1, sizeof *u);
	int err = COPSE_ERR_NOROOM;

	if (!u || !udp_paths_init(&u->paths, config->paths ? config->paths : UDP_PATHS_DEFAULT)) {
		say(why, why_cap, "no memory for a socket");
		goto fail;
	}
	u->base.ops = &udp_ops;
	u->base.scheme = "coap";
	u->base.fd = -1;
	u->split_local = config->split_local;
	u->group = config->group;
	u->segment = config->segment;
	err = open_socket(u, config, why, why_cap);
	if (err == COPSE_OK) {
		*out = &u->base;
		return COPSE_OK;
	}
	if (u->base.fd >= 0)
		close(u->base.fd);
fail:
	if (u)
		udp_paths_free(&u->paths);
	copse_mem_free(u);
	return err;
}

static const struct copse_udp *udp_in(const struct copse_transport *t)
{
	COPSE_ASSERT(t->ops == &udp_ops);
	return (const struct copse_udp *)t;
}

const char *copse_udp_warning(const struct copse_transport *t)
{
	const struct copse_udp *u = udp_in(t);

	return u->warning[0] ? u->warning : NULL;
}

uint32_t copse_udp_receive_buffer(const struct copse_transport *t)
{
	return udp_in(t)->receive_buffer;
}

/* ---- groups ---- */

/* Returns 1, or an error. */
static int join_on(struct copse_udp *u, const uint8_t ip[16], unsigned interface)
{
	struct udp_path path = {.interface = interface};
	int done;

	memcpy(path.ip, ip, sizeof path.ip);
	if (!udp_paths_find(&u->paths, &path) && u->paths.n == u->paths.cap)
		return COPSE_ERR_NOROOM;

	if (address_is_mapped(ip)) {
		struct ip_mreqn m = {.imr_ifindex = (int)interface};

		memcpy(&m.imr_multiaddr, ip + 12, 4);
		done = setsockopt(u->base.fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m);
	} else {
		struct ipv6_mreq m = {.ipv6mr_interface = interface};

		memcpy(&m.ipv6mr_multiaddr, ip, 16);
		done = setsockopt(u->base.fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &m, sizeof m);
	}
	if (done != 0 && errno != EADDRINUSE)
		return errno == ENOBUFS || errno == ENOMEM ? COPSE_ERR_NOROOM : COPSE_ERR_ARGUMENT;
	udp_paths_number(&u->paths, &path);
	return 1;
}

/* Loopback counts though Linux does not mark it: what plays devices on one machine is found there. */
static bool takes_groups(const struct if_nameindex *i, const struct ifaddrs *list)
{
	for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
		if (strcmp(a->ifa_name, i->if_name) == 0)
			return (a->ifa_flags & IFF_UP) && (a->ifa_flags & (IFF_MULTICAST | IFF_LOOPBACK));
	}
	return false;
}

static int join_everywhere(struct copse_udp *u, const uint8_t ip[16])
{
	struct if_nameindex *names = if_nameindex();
	struct ifaddrs *list = NULL;
	int joined = 0, full = 0;

	if (!names || getifaddrs(&list) != 0) {
		if (names)
			if_freenameindex(names);
		return COPSE_ERR_NOROOM;
	}
	for (const struct if_nameindex *i = names; i->if_index; i++) {
		int r = takes_groups(i, list) ? join_on(u, ip, i->if_index) : 0;

		joined += r == 1;
		full += r == COPSE_ERR_NOROOM;
	}
	freeifaddrs(list);
	if_freenameindex(names);
	if (full)
		return COPSE_ERR_NOROOM;
	return joined ? joined : COPSE_ERR_ARGUMENT;
}

int copse_udp_join(struct copse_transport *t, const struct copse_address *group, unsigned interface)
{
	struct copse_udp *u = udp_of(t);
	uint8_t ip[16];

	COPSE_ASSERT(t->ops == &udp_ops);
	address_to_ip(group, ip);
	if (!address_is_group(ip) || (address_is_mapped(ip) ? u->only_v6 : u->family == AF_INET))
		return COPSE_ERR_ARGUMENT;
	if (!interface && group->sa.sa_family == AF_INET6)
		interface = group->in6.sin6_scope_id;
	return interface ? join_on(u, ip, interface) : join_everywhere(u, ip);
}

int copse_udp_multicast_interface(struct copse_transport *t, unsigned interface)
{
	const struct copse_udp *u = udp_in(t);
	struct ip_mreqn m = {.imr_ifindex = (int)interface};
	bool ok = true;

	if (u->family == AF_INET6)
		ok = set(t->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)interface);
	if (!u->only_v6)
		ok &= setsockopt(t->fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof m) == 0;
	return ok ? COPSE_OK : COPSE_ERR_ARGUMENT;
}
