/* A cursor over received bytes: every read is checked, and the first one that fails sticks. After it all
 * reads give zeros, and the reader asks once, at the end of a step, whether `bad` is set.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CORE_WIRE_H
#define COPSE_CORE_WIRE_H

#include <copse/types.h>

#include <string.h>

/* Where size counts for more than speed, the short ways for what is common are left out. HOT is inlined wherever it
 * is used; COLD is kept out of the way of what is common: never inlined, and small rather than fast; APART is fast, yet
 * never inlined. */
#ifdef __OPTIMIZE_SIZE__
#define SHORT_WAY 0
#define HOT
#define COLD
#define APART
#else
#define SHORT_WAY 1
#define HOT       __attribute__((always_inline))
#define COLD      __attribute__((noinline, cold))
#define APART     __attribute__((noinline))
#endif

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Compute `x` here and keep it in a register of full width: gcc narrows what ends in a small field, once for each use. */
#define FULL_WIDTH(x) __asm__("" : "+r"(x))

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

/* Copy 1 to 16 bytes by two moves of half the size that may overlap: a call of memcpy costs more than that. */
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t n)
{
	if (n >= 8) {
		uint64_t head, tail;
		memcpy(&head, from, 8);
		memcpy(&tail, from + n - 8, 8);
		memcpy(to, &head, 8);
		memcpy(to + n - 8, &tail, 8);
	} else if (n >= 4) {
		uint32_t head, tail;
		memcpy(&head, from, 4);
		memcpy(&tail, from + n - 4, 4);
		memcpy(to, &head, 4);
		memcpy(to + n - 4, &tail, 4);
	} else {
		to[0] = from[0];
		to[n / 2] = from[n / 2];
		to[n - 1] = from[n - 1];
	}
}

#endif
