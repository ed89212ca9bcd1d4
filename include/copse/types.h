/* Units, time and the assertion hook that every other header of libcopse uses.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TYPES_H
#define COPSE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A point in time or a span, in milliseconds. Points are monotonic and start anywhere: the caller's clock. */
typedef uint64_t copse_ms;

/* "No deadline": later than every point in time. */
#define COPSE_NEVER UINT64_MAX

#define COPSE_SECONDS(n) ((copse_ms)(n)*1000u)

/* Called when the caller of the library broke a contract; must not return. The library for hosted systems brings
 * a definition that prints and aborts; a microcontroller brings its own. */
_Noreturn void copse_assert_failed(const char *file, int line, const char *what);

/* Checks the caller's side of a contract; stays on in release builds. With COPSE_SMALL, a microcontroller's build, where it
 * failed is told by the return address alone. */
#ifdef COPSE_SMALL
#define COPSE_ASSERT(x) ((x) ? (void)0 : copse_assert_failed((const char *)0, 0, (const char *)0))
#else
#define COPSE_ASSERT(x) ((x) ? (void)0 : copse_assert_failed(__FILE__, __LINE__, #x))
#endif

/* What is counted, from the beginning and without end; a microcontroller's counters wrap. */
#ifdef COPSE_SMALL
typedef uint32_t copse_count;
#else
typedef uint64_t copse_count;
#endif

#endif
