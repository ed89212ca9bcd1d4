/* UDP, the path of each datagram: batches in and out, control data, errors.
 *
 * Invariants: every datagram that the system hands over is handed on or counted; every datagram taken by send is sent
 * or marked as dropped and counted. The error queue of the socket has one reader, read_error.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "address_internal.h"
#include "udp_internal.h"

#include <copse/mem.h>

#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <unistd.h>

/* Room for what comes with a datagram: the local address, in both families' forms since a socket for both reports IPv4
 * datagrams twice. */
#define CONTROL_IN  (CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(struct in6_pktinfo)))
#define CONTROL_OUT (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)))

/* Of a run of datagrams: what makes it worth while, what the path may take of one (RFC 8200 §5: 1280 bytes, less IPv6's and
 * UDP's headers), and what one call of the system may. */
#define RUN_MIN       4u
#define RUN_LEN_MAX   1232u
#define RUN_BYTES_MAX 60000u
static_assert(UDP_BATCH <= 64, "Linux takes no more datagrams in one message (UDP_MAX_SEGMENTS)");

/* Tries of one datagram while errors of earlier ones come in between. */
#define SEND_TRIES 8

/* How long a socket whose buffer is emptied each time is not asked what it has dropped. */
#define LOOK_MS 1000

static void map_v4(uint8_t ip[16], const struct in_addr *a)
{
	address_to_ip(&(struct copse_address){.in = {.sin_family = AF_INET, .sin_addr = *a}}, ip);
}

/* ---- receiving ---- */

struct receive_batch {
	struct mmsghdr msg[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	struct copse_address from[UDP_BATCH];
	_Alignas(struct cmsghdr) char control[UDP_BATCH][CONTROL_IN];
};

static void receive_prepare(const struct copse_udp *u, struct receive_batch *b,
			    const struct copse_datagram *d, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		b->iov[i] = (struct iovec){d[i].data, d[i].cap};
		b->msg[i].msg_hdr = (struct msghdr){
		    .msg_name = &b->from[i].sa,
		    .msg_namelen = sizeof(struct sockaddr_in6),
		    .msg_iov = &b->iov[i],
		    .msg_iovlen = 1,
		};
		if (u->one_address)
			continue;
		b->msg[i].msg_hdr.msg_control = b->control[i];
		b->msg[i].msg_hdr.msg_controllen = CONTROL_IN;
	}
}

/* What the control data says: where the datagram was sent to. `p->ip` stays zero when it says nothing. */
struct arrival {
	struct udp_path path;
	bool group;
};

static void arrival_v4(struct arrival *a, const struct in_pktinfo *info)
{
	/* The system derives spec_dst from the header's address; they differ for groups and broadcasts alone. */
	a->group =
	    info->ipi_addr.s_addr != info->ipi_spec_dst.s_addr || IN_MULTICAST(ntohl(info->ipi_addr.s_addr));
	map_v4(a->path.ip, &info->ipi_addr);
	map_v4(a->path.source, &info->ipi_spec_dst);
	a->path.interface = a->group ? (uint32_t)info->ipi_ifindex : 0;
}

static void arrival_v6(struct arrival *a, const struct in6_pktinfo *info)
{
	const uint8_t *ip = info->ipi6_addr.s6_addr;

	if (address_is_mapped(ip))
		return;
	a->group = ip[0] == 0xff;
	memcpy(a->path.ip, ip, 16);
	if (!a->group)
		memcpy(a->path.source, ip, 16);
	a->path.interface = a->group || address_is_link_local(ip) ? info->ipi6_ifindex : 0;
}

static void read_control(struct msghdr *h, struct arrival *a)
{
	union {
		struct in_pktinfo v4;
		struct in6_pktinfo v6;
	} info;

	memset(a, 0, sizeof *a);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info.v4, CMSG_DATA(c), sizeof info.v4);
			arrival_v4(a, &info.v4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&info.v6, CMSG_DATA(c), sizeof info.v6);
			arrival_v6(a, &info.v6);
		}
	}
}

static void set_path(struct copse_udp *u, struct copse_peer *peer, uint16_t number)
{
	peer->path = number;
	if (u->split_local)
		address_key_set_scope(peer, ADDRESS_SCOPE_SPLIT | number);
}

static int make_peer(struct copse_udp *u, const struct copse_address *a, struct copse_peer *peer)
{
	int err = copse_peer_from_address(u->base.id, a, peer);

	peer->group = u->group;
	return err;
}

/* The number of the path that a datagram came by; 0 when the table is full. Groups are entered by joining alone.
 * Returns false for a group that was not joined: the system filters IPv6 groups by socket but not by interface, so that
 * what another program joined there comes too. */
static bool arrival_path(struct copse_udp *u, const struct arrival *a, uint16_t *number)
{
	if (u->one_address) { /* the system answers from there */
		*number = 0;
		return true;
	}
	if (!a->group) {
		*number = udp_paths_number(&u->paths, &a->path);
		u->base.counters.paths_full += *number == 0;
		return true;
	}
	*number = udp_paths_find(&u->paths, &a->path);
	if (!*number) {
		u->base.counters.not_joined++;
		return false;
	}
	memcpy(u->paths.path[*number - 1].source, a->path.source, sizeof a->path.source);
	return true;
}

/* Turn what the system handed over into `d`. Returns false for a datagram to be dropped, which has been counted. */
static bool accept_datagram(struct copse_udp *u, struct mmsghdr *m, struct copse_address *from,
			    struct copse_datagram *d)
{
	struct copse_transport_counters *count = &u->base.counters;
	struct arrival a;
	uint16_t number;

	read_control(&m->msg_hdr, &a);
	if (m->msg_hdr.msg_flags & MSG_TRUNC) {
		count->truncated++;
		return false;
	}
	from->len = m->msg_hdr.msg_namelen;
	if (from->len < sizeof from->in || make_peer(u, from, &d->peer) != COPSE_OK) {
		count->strange++;
		return false;
	}
	if (u->split_local && from->sa.sa_family == AF_INET6 && from->in6.sin6_scope_id)
		a.path.interface = from->in6.sin6_scope_id;
	if (!arrival_path(u, &a, &number))
		return false;
	set_path(u, &d->peer, number);
	d->peer.flags = a.group ? COPSE_PEER_MULTICAST : 0;
	d->len = m->msg_len;
	d->flags = 0;
	count->received++;
	count->received_bytes += d->len;
	count->received_group += a.group;
	return true;
}

static int receive_call(struct copse_udp *u, struct receive_batch *b, size_t n)
{
	/* An error that an earlier datagram met is told once by whichever call comes next. */
	for (int tries = 0; tries < SEND_TRIES; tries++) {
		int got = recvmmsg(u->base.fd, b->msg, (unsigned)n, MSG_DONTWAIT, NULL);

		if (got >= 0)
			return got;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return 0;
		if (errno == EINTR)
			continue;
		u->base.counters.receive_errors++;
		u->base.failed = true;
	}
	return 0;
}

/* Count what the system has dropped. Returns whether more than half of the receive buffer is in use; what has been read
 * still counts for a while, up to a quarter. */
static bool look_at_buffer(struct copse_udp *u, copse_ms now)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof info;

	u->looked_at = now;
	if (getsockopt(u->base.fd, SOL_SOCKET, SO_MEMINFO, info, &len) != 0 || len < sizeof info)
		return false;
	u->base.counters.kernel_drops += (uint32_t)(info[SK_MEMINFO_DROPS] - u->drops_seen);
	u->drops_seen = info[SK_MEMINFO_DROPS];
	return info[SK_MEMINFO_RMEM_ALLOC] > info[SK_MEMINFO_RCVBUF] / 2;
}

static size_t udp_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n, copse_ms now)
{
	struct copse_udp *u = udp_of(t);
	struct receive_batch b;
	size_t kept = 0;

	while (kept < n) {
		struct copse_datagram *d = batch + kept;
		size_t want = n - kept < UDP_BATCH ? n - kept : UDP_BATCH;
		size_t good = 0, got;

		receive_prepare(u, &b, d, want);
		got = (size_t)receive_call(u, &b, want);
		t->counters.receive_calls += got > 0;
		for (size_t i = 0; i < got; i++) {
			if (!accept_datagram(u, &b.msg[i], &b.from[i], &d[i]))
				continue;
			if (good != i) {
				struct copse_datagram hole = d[good];

				d[good] = d[i];
				d[i] = hole;
			}
			good++;
		}
		kept += good;
		if (got < want)
			break;
	}
	/* A buffer that has been emptied was hardly full: of that it is asked now and then only. */
	t->behind = (kept == n || now - u->looked_at >= LOOK_MS) && look_at_buffer(u, now);
	return kept;
}

/* ---- errors of the network ---- */

static void push_failure(struct copse_udp *u, const struct copse_peer *peer)
{
	u->base.failed = true;
	if (u->failure_n == UDP_FAILURES) {
		u->base.counters.failures_lost++;
		return;
	}
	u->failures[u->failure_n++] = *peer;
}

static bool says_unreachable(const struct sock_extended_err *e)
{
	if (e->ee_origin != SO_EE_ORIGIN_ICMP && e->ee_origin != SO_EE_ORIGIN_ICMP6)
		return false;
	switch (e->ee_errno) {
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENONET:
	case ENOPROTOOPT:
	case EACCES: return true;
	default: return false;
	}
}

static bool extended_error(struct msghdr *h, struct sock_extended_err *e)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
		    (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
			memcpy(e, CMSG_DATA(c), sizeof *e);
			return true;
		}
	}
	return false;
}

/* Take one message off the error queue. Returns 1 when it names a peer that cannot be reached, 0 when it says
 * something else, -1 when the queue is empty. */
static int read_error(struct copse_udp *u, struct copse_peer *peer)
{
	_Alignas(struct cmsghdr) char control[256];
	char start[64]; /* of the datagram that met the error: of no use */
	struct copse_address to = {.len = 0};
	struct iovec iov = {start, sizeof start};
	struct msghdr h = {.msg_name = &to.sa,
			   .msg_namelen = sizeof to.in6,
			   .msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof control};
	struct sock_extended_err e;

	if (recvmsg(u->base.fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return errno == EINTR ? 0 : -1;
	to.len = h.msg_namelen;
	if (!extended_error(&h, &e))
		return 0;
	/* What the system itself says about our sending was told by the call as well. */
	if (e.ee_origin == SO_EE_ORIGIN_LOCAL)
		return 0;
	if (!says_unreachable(&e) || to.len < sizeof to.in || make_peer(u, &to, peer) != COPSE_OK) {
		u->base.counters.errors_other++;
		return 0;
	}
	u->base.counters.unreachable++;
	return 1;
}

static bool udp_failure(struct copse_transport *t, struct copse_peer *peer)
{
	struct copse_udp *u = udp_of(t);
	int got;

	if (u->failure_n > 0) {
		*peer = u->failures[--u->failure_n];
		return true;
	}
	while ((got = read_error(u, peer)) == 0)
		;
	t->failed = got > 0;
	return got > 0;
}

/* Move the error queue into `failures`. Returns whether there was anything in it. */
static bool drain_errors(struct copse_udp *u)
{
	struct copse_peer peer;
	bool any = false;
	int got;

	while ((got = read_error(u, &peer)) >= 0) {
		any = true;
		if (got > 0)
			push_failure(u, &peer);
	}
	return any;
}

/* ---- sending ---- */

/* Messages of one datagram each, or of a run of them: several to one peer in a row, of which all have the same length but
 * the last, which may be shorter. The system cuts a run into its datagrams (UDP_SEGMENT), as late as it can. */
struct send_batch {
	struct mmsghdr msg[UDP_BATCH];
	struct iovec iov[UDP_BATCH]; /* of each datagram */
	struct copse_address to[UDP_BATCH];
	_Alignas(struct cmsghdr) char control[UDP_BATCH][CONTROL_OUT];
};

/* The destination in the family of the socket; the key holds it ready. */
static void destination(const struct copse_udp *u, const struct copse_peer *peer, struct copse_address *to)
{
	const uint8_t *key = peer->key;
	uint32_t scope = address_key_scope(peer);

	if (u->family == AF_INET) {
		memset(&to->in, 0, sizeof to->in);
		to->in.sin_family = AF_INET;
		memcpy(&to->in.sin_port, key + 18, 2);
		memcpy(&to->in.sin_addr, key + 14, 4);
		to->len = sizeof to->in;
		return;
	}
	memset(&to->in6, 0, sizeof to->in6);
	to->in6.sin6_family = AF_INET6;
	memcpy(&to->in6.sin6_port, key + 18, 2);
	memcpy(&to->in6.sin6_addr, key + 2, 16);
	to->in6.sin6_scope_id = scope & ADDRESS_SCOPE_SPLIT || address_is_mapped(key + 2) ? 0 : scope;
	to->len = sizeof to->in6;
}

/* The address and interface to send from, where the peer names them: by its path, or, for a group, by its scope, which
 * sockaddr_in cannot hold and the system ignores for IPv6 groups beyond the link. Returns false when the system is to
 * choose. */
static bool departure(const struct copse_udp *u, const struct copse_peer *peer, struct udp_path *from)
{
	const struct udp_path *path = udp_paths_get(&u->paths, peer->path);
	const uint8_t *key = peer->key;
	uint32_t scope = address_key_scope(peer);

	memset(from, 0, sizeof *from);
	if (path && address_is_mapped(path->ip) == address_is_mapped(key + 2))
		*from = *path;
	else if (address_is_group(key + 2) && scope)
		from->interface = scope;
	else
		return false;
	return true;
}

/* Add to the control data of `h`, which is in `control`. */
static void put_control(struct msghdr *h, char *control, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)(control + h->msg_controllen);

	h->msg_control = control;
	h->msg_controllen += CMSG_SPACE(len);
	*c = (struct cmsghdr){CMSG_LEN(len), level, type};
	memcpy(CMSG_DATA(c), data, len);
}

static void send_control(struct copse_udp *u, const struct copse_peer *peer, struct msghdr *h, char *control)
{
	struct udp_path from;

	if (!departure(u, peer, &from))
		return;
	if (address_is_mapped(address_key_ip(peer))) {
		struct in_pktinfo info = {.ipi_ifindex = (int)from.interface};

		memcpy(&info.ipi_spec_dst, from.source + 12, 4);
		put_control(h, control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
	} else {
		struct in6_pktinfo info = {.ipi6_ifindex = from.interface};

		memcpy(&info.ipi6_addr, from.source, 16);
		put_control(h, control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
	}
}

/* How many of the `n` datagrams are one run, or 1. */
static unsigned run_of(struct copse_datagram *const *d, size_t n)
{
	const uint32_t len = d[0]->len;
	unsigned i = 1;

	if (len == 0 || len > RUN_LEN_MAX || d[0]->peer.flags & COPSE_PEER_MULTICAST)
		return 1;
	while (i < n && d[i]->len <= len && d[i]->len > 0 && (i + 1) * len <= RUN_BYTES_MAX &&
	       d[i]->peer.path == d[0]->peer.path && copse_peer_equal(&d[i]->peer, &d[0]->peer))
		if (d[i++]->len < len)
			break;
	return i >= RUN_MIN ? i : 1;
}

/* Returns how many messages there are; with `runs` there may be fewer than datagrams. */
static size_t send_prepare(struct copse_udp *u, struct send_batch *b, struct copse_datagram *const *d,
			   size_t n, bool runs)
{
	size_t messages = 0;

	for (size_t i = 0, run; i < n; i += run, messages++) {
		struct msghdr *h = &b->msg[messages].msg_hdr;

		COPSE_ASSERT(copse_peer_transport(&d[i]->peer) == u->base.id);
		run = runs ? run_of(d + i, n - i) : 1;
		for (size_t j = i; j < i + run; j++) {
			d[j]->flags = 0;
			b->iov[j] = (struct iovec){d[j]->data, d[j]->len};
		}
		destination(u, &d[i]->peer, &b->to[messages]);
		*h = (struct msghdr){
		    .msg_name = &b->to[messages].sa,
		    .msg_namelen = b->to[messages].len,
		    .msg_iov = &b->iov[i],
		    .msg_iovlen = run,
		};
		send_control(u, &d[i]->peer, h, b->control[messages]);
		if (run > 1) {
			const uint16_t len = (uint16_t)d[i]->len;

			put_control(h, b->control[messages], IPPROTO_UDP, UDP_SEGMENT, &len, sizeof len);
		}
	}
	return messages;
}

/* What to do with the message that a send call stopped at. */
enum verdict {
	AGAIN,
	WAIT,
	DROP,
	SPLIT /* what is left goes by single datagrams: then each has a verdict of its own */
};

static enum verdict run_failed(struct copse_udp *u, int err, int tries)
{
	switch (err) {
	case EINTR: return AGAIN;
	case EAGAIN: return WAIT;
	case EIO: /* what it leaves by computes no checksums */
	case EINVAL:
	case EOPNOTSUPP: u->segment = false; return SPLIT;
	case ENOBUFS:
	case ENOMEM:
	case EMSGSIZE: return SPLIT;
	default: return drain_errors(u) && tries < SEND_TRIES ? AGAIN : SPLIT;
	}
}

static enum verdict send_failed(struct copse_udp *u, int err, int tries, const struct copse_peer *peer)
{
	struct copse_transport_counters *count = &u->base.counters;
	bool drained;

	COPSE_ASSERT(err != EBADF && err != ENOTSOCK && err != EFAULT);
	switch (err) {
	case EINTR: return AGAIN;
	case EAGAIN: return WAIT;
	case ENOBUFS:
	case ENOMEM: count->send_noroom++; return DROP;
	case EMSGSIZE: count->send_toobig++; return DROP;
	default: break;
	}
	/* Either this datagram was refused, or the error of an earlier one is told by this call (and only once). */
	drained = drain_errors(u);
	if ((drained && tries < SEND_TRIES) || tries == 1)
		return AGAIN;
	count->send_refused++;
	push_failure(u, peer);
	return DROP;
}

/* Returns how many datagrams the `n` messages had. */
static size_t count_sent(struct copse_udp *u, const struct mmsghdr *msg, size_t n)
{
	size_t datagrams = 0;

	for (size_t i = 0; i < n; i++) {
		u->base.counters.sent_bytes += msg[i].msg_len;
		datagrams += msg[i].msg_hdr.msg_iovlen;
		u->base.counters.sent_runs += msg[i].msg_hdr.msg_iovlen > 1;
	}
	u->base.counters.sent += datagrams;
	u->base.counters.send_calls++;
	u->base.blocked = false;
	return datagrams;
}

/* Send the `n` prepared messages of `d`. Returns how many datagrams are dealt with; less than all means that the socket is
 * blocked, or that the rest is to be prepared again, without runs. */
static size_t send_chunk(struct copse_udp *u, struct send_batch *b, struct copse_datagram *const *d, size_t n)
{
	size_t done = 0;
	int tries = 0;

	for (size_t i = 0; i < n;) {
		int sent = sendmmsg(u->base.fd, b->msg + i, (unsigned)(n - i), MSG_DONTWAIT);

		if (sent > 0) {
			done += count_sent(u, b->msg + i, (size_t)sent);
			i += (size_t)sent;
			tries = 0;
			continue;
		}
		tries++;
		switch (b->msg[i].msg_hdr.msg_iovlen > 1 ? run_failed(u, errno, tries)
							 : send_failed(u, errno, tries, &d[done]->peer)) {
		case AGAIN: break;
		case WAIT:
			u->base.blocked = true;
			u->base.counters.send_blocked++;
			return done;
		case SPLIT: u->base.blocked = false; return done;
		case DROP:
			i++;
			d[done++]->flags |= COPSE_DATAGRAM_DROPPED;
			tries = 0;
			break;
		}
	}
	return done;
}

static size_t udp_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n, copse_ms now)
{
	struct copse_udp *u = udp_of(t);
	struct send_batch b;
	size_t done = 0;
	bool runs = u->segment;

	(void)now;
	while (done < n) {
		const size_t want = n - done < UDP_BATCH ? n - done : UDP_BATCH;
		const size_t messages = send_prepare(u, &b, batch + done, want, runs);
		const size_t took = send_chunk(u, &b, batch + done, messages);

		done += took;
		if (took < want && u->base.blocked)
			break;
		runs &= took == want;
	}
	return done;
}

/* ---- the rest of the table ---- */

static bool has_family(const struct copse_udp *u, const struct copse_peer *peer)
{
	return address_is_mapped(address_key_ip(peer)) ? !u->only_v6 : u->family == AF_INET6;
}

static int udp_peer(struct copse_transport *t, const struct copse_address *a, struct copse_peer *peer)
{
	struct copse_udp *u = udp_of(t);
	int err = make_peer(u, a, peer);

	if (err != COPSE_OK)
		return err;
	if (!has_family(u, peer))
		return COPSE_ERR_ARGUMENT;
	if (u->split_local && !(peer->flags & COPSE_PEER_MULTICAST))
		set_path(u, peer, 0);
	return COPSE_OK;
}

int copse_udp_peer_from(struct copse_transport *t, const struct copse_address *a,
			const struct copse_address *local, struct copse_peer *peer)
{
	struct copse_udp *u = udp_of(t);
	struct copse_peer here;
	struct copse_address with_port = *local;
	struct udp_path path = {.interface = 0};
	int err = make_peer(u, a, peer);

	copse_address_set_port(&with_port, 1); /* any: a peer has one */
	if (err != COPSE_OK || make_peer(u, &with_port, &here) != COPSE_OK ||
	    address_is_mapped(address_key_ip(&here)) != address_is_mapped(address_key_ip(peer)) ||
	    !has_family(u, peer) || (here.flags & COPSE_PEER_MULTICAST))
		return COPSE_ERR_ARGUMENT;
	memcpy(path.ip, address_key_ip(&here), 16);
	memcpy(path.source, path.ip, 16);
	path.interface = address_key_scope(&here);
	here.path = udp_paths_number(&u->paths, &path);
	if (!here.path) {
		u->base.counters.paths_full++;
		return COPSE_ERR_NOROOM;
	}
	set_path(u, peer, here.path);
	return COPSE_OK;
}

static void udp_local(const struct copse_transport *t, const struct copse_peer *peer,
		      struct copse_address *out)
{
	const struct copse_udp *u = (const struct copse_udp *)t;
	const struct udp_path *path = peer ? udp_paths_get(&u->paths, peer->path) : NULL;

	*out = u->bound;
	if (path)
		address_from_ip(path->ip, copse_address_port(&u->bound),
				address_is_mapped(path->ip) ? 0 : path->interface, out);
}

static copse_ms udp_tick(struct copse_transport *t, copse_ms now)
{
	(void)t;
	(void)now;
	return COPSE_NEVER;
}

static void udp_close(struct copse_transport *t)
{
	struct copse_udp *u = udp_of(t);

	close(t->fd);
	udp_paths_free(&u->paths);
	copse_mem_free(u);
}

const struct copse_transport_ops udp_ops = {
    .receive = udp_receive,
    .send = udp_send,
    .failure = udp_failure,
    .peer = udp_peer,
    .local = udp_local,
    .tick = udp_tick,
    .close = udp_close,
};
