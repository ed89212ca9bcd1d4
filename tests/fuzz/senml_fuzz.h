/* What the fuzz targets of the SenML decoders have in common: decode, cut, encode, decode again.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_SENML_FUZZ_H
#define TESTS_SENML_FUZZ_H

#include "store/identity.h"
#include "store/senml.h"

#include <copse/format.h>

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Write what was decoded, and read it again: as many records come back. */
static inline void senml_fuzz_again(uint32_t format, const struct senml_pack *pack)
{
	struct store_buffer out = {.max = 16 * SENML_BYTES_MAX};
	struct senml_writer w = {.format = format, .out = &out};
	struct senml_pack second;
	struct senml_fault fault;

	for (uint32_t i = 0; i < pack->n; i++) {
		const struct senml_record *r = &pack->record[i];
		char device[STORE_DEVICE_MAX + 1], name[STORE_NAME_MAX + 1];
		if (store_identity_cut(r->name, device, name) != 0)
			continue;
		const struct store_reading reading = {.device = device[0] ? device : "0024befffe804ff1",
						      .name = name,
						      .unit = r->unit,
						      .time = r->time,
						      .kind = r->kind,
						      .number = r->number,
						      .sum = r->sum,
						      .has_sum = r->has_sum,
						      .bytes = r->bytes,
						      .len = r->len};
		const struct store_batch batch = {.reading = &reading, .reading_n = 1};
		COPSE_ASSERT(store_batch_is_valid(&batch));
		senml_encode_reading(&w, &reading);
	}
	senml_encode_end(&w);
	if (w.n > 0 && !out.failed && out.len <= SENML_BYTES_MAX) {
		COPSE_ASSERT(senml_decode(format, out.at, out.len, 0, &second, &fault) == 0);
		COPSE_ASSERT(second.n == w.n);
		senml_pack_free(&second);
	}
	store_buffer_free(&out);
}

static inline int senml_fuzz(uint32_t format, const uint8_t *data, size_t len)
{
	struct senml_pack pack;
	struct senml_fault fault;

	if (senml_decode(format, data, len, 1700000000000000, &pack, &fault) != 0) {
		COPSE_ASSERT(fault.text[0] && !pack.record);
		return 0;
	}
	COPSE_ASSERT(pack.n > 0);
	senml_fuzz_again(format, &pack);
	senml_pack_free(&pack);
	return 0;
}

#endif
