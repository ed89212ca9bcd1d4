/* See pretty.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "pretty.h"

#include <copse/format.h>

#include <jansson.h>

bool pretty_json(FILE *out, const uint8_t *bytes, size_t len)
{
	json_t *o = json_loadb((const char *)bytes, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	if (!o)
		return false;
	json_dumpf(o, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', out);
	json_decref(o);
	return true;
}

bool pretty_print(FILE *out, uint32_t format, const uint8_t *bytes, size_t len)
{
	switch (format) {
	case COPSE_FORMAT_LINK: return pretty_links(out, bytes, len);
	case COPSE_FORMAT_SENML_JSON:
	case COPSE_FORMAT_SENSML_JSON:
		return pretty_senml_json(out, bytes, len) || pretty_json(out, bytes, len);
	case COPSE_FORMAT_SENML_CBOR:
	case COPSE_FORMAT_SENSML_CBOR:
		return pretty_senml_cbor(out, bytes, len) || pretty_cbor(out, bytes, len, true);
	case COPSE_FORMAT_CBOR_SEQ:
	case COPSE_FORMAT_EDHOC:
	case COPSE_FORMAT_CID_EDHOC:
	case COPSE_FORMAT_MISSING_BLOCKS: return pretty_cbor(out, bytes, len, true);
	default: break;
	}
	if (copse_format_is_json(format))
		return pretty_json(out, bytes, len);
	return copse_format_is_cbor(format) && pretty_cbor(out, bytes, len, false);
}
