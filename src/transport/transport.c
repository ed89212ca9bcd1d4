/* What all transports have in common: the tap and the list of counters.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/transport.h>

#include <assert.h>

size_t copse_transport_receive(struct copse_transport *t, struct copse_datagram *batch, size_t n,
			       copse_ms now)
{
	size_t got = t->ops->receive(t, batch, n, now);

	for (size_t i = 0; t->tap && i < got; i++) {
		if (!(batch[i].flags & COPSE_DATAGRAM_LOCAL))
			t->tap->datagram(t->tap, t, &batch[i], false);
	}
	return got;
}

size_t copse_transport_send(struct copse_transport *t, struct copse_datagram *const *batch, size_t n,
			    copse_ms now)
{
	size_t done = t->ops->send(t, batch, n, now);

	for (size_t i = 0; t->tap && i < done; i++) {
		if (!(batch[i]->flags & COPSE_DATAGRAM_DROPPED))
			t->tap->datagram(t->tap, t, batch[i], true);
	}
	return done;
}

int copse_transport_peer_text(struct copse_transport *t, const char *text, uint16_t port,
			      struct copse_peer *peer)
{
	struct copse_address a;
	int err = copse_address_parse(text, port, &a);

	return err == COPSE_OK ? t->ops->peer(t, &a, peer) : err;
}

/* One row a counter: where it lies in struct copse_transport_counters, which has uint64_t members alone. */
static const struct {
	size_t off;
	const char *name, *text;
} rows[] = {
#define COUNTER(name, text) {offsetof(struct copse_transport_counters, name), #name, text},
#include <copse/registry/transport_counters.def>
#undef COUNTER
};

#define ROW_N (sizeof rows / sizeof rows[0])
static_assert(sizeof(struct copse_transport_counters) == ROW_N * sizeof(uint64_t), "one member a row");

size_t copse_transport_counter_n(void)
{
	return ROW_N;
}

const char *copse_transport_counter_name(size_t i)
{
	COPSE_ASSERT(i < ROW_N);
	return rows[i].name;
}

const char *copse_transport_counter_text(size_t i)
{
	COPSE_ASSERT(i < ROW_N);
	return rows[i].text;
}

uint64_t copse_transport_counter(const struct copse_transport *t, size_t i)
{
	uint64_t value;

	COPSE_ASSERT(i < ROW_N);
	memcpy(&value, (const char *)&t->counters + rows[i].off, sizeof value);
	return value;
}
