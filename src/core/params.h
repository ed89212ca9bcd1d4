/* What the core derives from the transmission parameters beyond the public functions.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CORE_PARAMS_H
#define CORE_PARAMS_H

#include <copse/endpoint.h>

/* ACK_TIMEOUT * ACK_RANDOM_FACTOR in milliseconds, rounded down. */
uint32_t core_params_first_timeout_max(const struct copse_params *p);

/* Whether each is in its range. */
bool core_params_ok(const struct copse_params *p);

#endif
