/* The event loop: file descriptors, deadlines, signals and wake-ups of one thread, on epoll.
 *
 * Objects are the caller's and are linked in while they are active; the loop allocates nothing after copse_loop_new.
 * Handlers may add, change and remove anything, themselves included; what is removed is not called any more.
 * All functions belong to the owner's thread, except copse_loop_wake and copse_loop_stop.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_LOOP_H
#define COPSE_LOOP_H

#include <copse/types.h>

struct copse_loop;

/* The monotonic clock in milliseconds. */
copse_ms copse_clock_ms(void);

enum copse_loop_event {
	COPSE_LOOP_IN = 1,
	COPSE_LOOP_OUT = 2,
	COPSE_LOOP_ERROR = 4 /* error or hang-up: reported whether asked for or not */
};

/* A file descriptor to watch. The caller sets the upper fields. */
struct copse_watch {
	int fd;
	unsigned events; /* enum copse_loop_event; change with copse_loop_change */
	void (*ready)(void *self, unsigned events, copse_ms now);
	void *self;
	bool hot;    /* one of few, with much traffic: see below. Not to be changed while it is linked in */
	bool active; /* the loop's: linked in */
	uint8_t hot_at; /* the loop's: its place among the hot ones, from 1; 0: it is none */
};

/* A descriptor in an epoll set is told of each datagram that comes or goes, whether the loop sleeps or not, which
 * costs each of them something (bench/RESULTS.md). Hot ones are asked by poll(2) each round instead. That many there
 * may be; more are in the set like all others. */
#define COPSE_LOOP_HOT_MAX 32

/* A deadline. Zero-initialise; the caller sets `due` and `self`. */
struct copse_timer {
	void (*due)(void *self, copse_ms now);
	void *self;
	copse_ms at;                             /* the loop's: when it is due */
	struct copse_timer *child, *next, *prev; /* the loop's */
	bool active;                             /* the loop's: linked in */
};

/* Called before the loop goes to sleep, each time: to hand over what handlers have piled up, and set timers. */
struct copse_prepare {
	void (*before)(void *self, copse_ms now);
	void *self;
	struct copse_prepare *next; /* the loop's */
};

/* Returns a loop, or NULL without memory or file descriptors. */
struct copse_loop *copse_loop_new(void);

/* Close; the caller's objects are merely forgotten. NULL is taken. */
void copse_loop_free(struct copse_loop *loop);

/* Returns 0, or COPSE_ERR_ARGUMENT (not a pollable descriptor, watched already), or COPSE_ERR_NOROOM. */
int copse_loop_add(struct copse_loop *loop, struct copse_watch *watch);
void copse_loop_change(struct copse_loop *loop, struct copse_watch *watch, unsigned events);
/* To be called before the descriptor is closed. No effect on a watch that is not linked in. */
void copse_loop_remove(struct copse_loop *loop, struct copse_watch *watch);

/* Set `timer` to `at`, also when it is set already; COPSE_NEVER clears it. It is called once, not before `at`. */
void copse_loop_set(struct copse_loop *loop, struct copse_timer *timer, copse_ms at);
void copse_loop_clear(struct copse_loop *loop, struct copse_timer *timer);

void copse_loop_prepare(struct copse_loop *loop, struct copse_prepare *prepare);
void copse_loop_unprepare(struct copse_loop *loop, struct copse_prepare *prepare);

/* Receive `signals` (a list that ends with 0) in this loop: they are blocked in the calling thread, so call it before
 * other threads are started. Called again: the new list replaces the old one.
 * Returns 0, COPSE_ERR_ARGUMENT or COPSE_ERR_NOROOM. */
int copse_loop_signals(struct copse_loop *loop, const int *signals, void (*caught)(void *self, int signal),
		       void *self);

/* What to call in the loop's thread after copse_loop_wake; several wakes may become one call. */
void copse_loop_on_wake(struct copse_loop *loop, void (*woken)(void *self, copse_ms now), void *self);

/* From any thread, and from a signal handler: let the loop run `woken`. */
void copse_loop_wake(struct copse_loop *loop);

/* From any thread, and from a signal handler: let copse_loop_run return. */
void copse_loop_stop(struct copse_loop *loop);

/* The time that the running handler was given, or the last one was. Each handler is given the time at which it is
 * called. A handler uses that one for all that it does: the endpoint does not take a time earlier than it has seen. */
copse_ms copse_loop_now(const struct copse_loop *loop);

/* Read the clock: outside of handlers, before anything is done that needs the time. Returns it. */
copse_ms copse_loop_refresh(struct copse_loop *loop);

/* One round: sleep until something happens, at most `wait_ms` (COPSE_NEVER: no limit), then call what is due.
 * Returns how many handlers were called. */
int copse_loop_step(struct copse_loop *loop, copse_ms wait_ms);

/* Rounds until copse_loop_stop; one that came before is honoured at once. */
void copse_loop_run(struct copse_loop *loop);

#endif
