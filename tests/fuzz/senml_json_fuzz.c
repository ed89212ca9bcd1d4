/* SenML in JSON: any bytes give a pack whose records can be stored and written again, or a fault that says something.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "senml_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	return senml_fuzz(COPSE_FORMAT_SENML_JSON, data, len);
}
