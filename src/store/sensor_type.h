/* The types of sensors that have a group of their own (registry/sensor_types.def).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_SENSOR_TYPE_H
#define STORE_SENSOR_TYPE_H

#include <stdint.h>

/* The number of a type by its name, or in hexadecimal up to ffffff. Returns 0 when there is none. */
uint32_t store_sensor_type(const char *text);

#endif
