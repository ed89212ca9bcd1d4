/* Readings as bytes, and bytes as what a client wrote: text/plain, application/json, application/senml+json (RFC 8428).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_SIM_FORM_H
#define COPSE_SIM_FORM_H

#include "device.h"

/* Write `reading`, taken at `at_ms` from the device with `mac`, in Content-Format `format`.
 * Returns the length, or -1 when it does not fit into `cap` or the format is none of the three. */
int sim_form_write(const struct sim_reading *reading, uint64_t mac, int64_t at_ms, uint32_t format, char *buf,
		   size_t cap);

/* Read what was written to the resource `name` in `format` (COPSE_FORMAT_NONE: as text). Accepts any bytes.
 * Returns NULL with `*input`, or a sentence that says what is wrong; static storage. */
const char *sim_form_read(const char *name, uint32_t format, const void *body, size_t len,
			  struct sim_input *input);

#endif
