/* A cursor over received bytes: every read is checked, and the first one that fails sticks. After it all
 * reads give zeros, and the reader asks once, at the end of a step, whether `bad` is set.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CORE_WIRE_H
#define COPSE_CORE_WIRE_H

#include <copse/types.h>

struct wire {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static inline size_t wire_left(const struct wire *w)
{
	return (size_t)(w->end - w->at);
}

static inline void wire_fail(struct wire *w)
{
	w->bad = true;
	w->at = w->end;
}

static inline unsigned wire_u8(struct wire *w)
{
	if (w->at >= w->end) {
		wire_fail(w);
		return 0;
	}
	return *w->at++;
}

static inline unsigned wire_u16(struct wire *w)
{
	unsigned high = wire_u8(w);
	return high << 8 | wire_u8(w);
}

/* Step over `n` bytes; returns where they begin. */
static inline const uint8_t *wire_skip(struct wire *w, size_t n)
{
	const uint8_t *from = w->at;
	if (n > wire_left(w))
		wire_fail(w);
	else
		w->at += n;
	return from;
}

#endif
