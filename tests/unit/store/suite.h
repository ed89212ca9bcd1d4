/* What every back end of the store must do; each test gets an empty store.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_STORE_SUITE_H
#define TESTS_STORE_SUITE_H

#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Run the suite with stores that `open` makes. Returns how many tests failed. `open` gets the bound in bytes, 0: none. */
int suite_run(const char *name, void (*open)(struct store *out, uint64_t max_bytes));

/* A number of `device`, `name` in Cel at `time`. */
struct store_reading suite_number(const char *device, const char *name, int64_t time, double number);

/* Write one batch of one reading; returns its result. */
int suite_put(struct store *store, struct store_reading reading, uint64_t origin);

/* What a query gave, as text: one line a row. */
const char *suite_read(struct store *store, const struct store_query *query);

#endif
