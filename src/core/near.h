/* Memory that is about to be used is asked for early, so that the processor waits for several lines of it at once.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_NEAR_H
#define CORE_NEAR_H

/* Any address will do, also one that is nobody's. A microcontroller has its memory near at all times. */
#ifdef COPSE_SMALL
#define CORE_NEAR(address) ((void)(address))
#else
#define CORE_NEAR(address) __builtin_prefetch(address)
#endif

#define CORE_NEAR_LINE 64 /* bytes that come at once */

#endif
