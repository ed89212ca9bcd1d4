/* SenML in JSON (RFC 8428 §5).
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "senml.h"

#include <jansson.h>

#include <string.h>

static int take_text(struct senml_reader *r, const json_t *value, const char *label, struct senml_text *out)
{
	if (!json_is_string(value))
		return senml_fail(r, r->pack->seen, "\"%s\" is no string", label);
	*out = (struct senml_text){json_string_value(value), json_string_length(value)};
	return 0;
}

static int take_number(struct senml_reader *r, const json_t *value, const char *label, double *out)
{
	if (!json_is_number(value))
		return senml_fail(r, r->pack->seen, "\"%s\" is no number", label);
	*out = json_number_value(value);
	return 0;
}

static int take_data(struct senml_reader *r, const json_t *value, struct senml_raw *raw)
{
	struct senml_text text = {0};

	if (take_text(r, value, "vd", &text) != 0)
		return -1;
	uint8_t *bytes = senml_room(r, text.len + 1);
	if (!bytes)
		return -1;
	int len = senml_base64_decode(text.at, text.len, bytes);
	if (len < 0)
		return senml_fail(r, r->pack->seen, "\"vd\" is not in base64url");
	raw->vd = (struct senml_text){(const char *)bytes, (size_t)len};
	return 0;
}

static int take_field(struct senml_reader *r, struct senml_raw *raw, const char *label, const json_t *value)
{
	bool critical;
	unsigned field = senml_field(label, strlen(label), &critical);

	raw->has |= field;
	switch (field) {
	case SENML_BN: return take_text(r, value, label, &raw->bn);
	case SENML_BU: return take_text(r, value, label, &raw->bu);
	case SENML_N: return take_text(r, value, label, &raw->n);
	case SENML_U: return take_text(r, value, label, &raw->u);
	case SENML_VS: return take_text(r, value, label, &raw->vs);
	case SENML_BT: return take_number(r, value, label, &raw->bt);
	case SENML_BV: return take_number(r, value, label, &raw->bv);
	case SENML_BS: return take_number(r, value, label, &raw->bs);
	case SENML_BVER: return take_number(r, value, label, &raw->bver);
	case SENML_V: return take_number(r, value, label, &raw->v);
	case SENML_S: return take_number(r, value, label, &raw->s);
	case SENML_T: return take_number(r, value, label, &raw->t);
	case SENML_UT: return take_number(r, value, label, &raw->ut);
	case SENML_VD: return take_data(r, value, raw);
	case SENML_VB:
		raw->vb = json_is_true(value);
		return json_is_boolean(value) ? 0 : senml_fail(r, r->pack->seen, "\"vb\" is no boolean");
	default:
		return critical
			   ? senml_fail(r, r->pack->seen, "\"%.40s\" must be understood, and is not", label)
			   : 0;
	}
}

static int take_record(struct senml_reader *r, json_t *record)
{
	struct senml_raw raw = {0};
	const char *label;
	json_t *value;

	if (!json_is_object(record))
		return senml_fail(r, r->pack->seen, "this is no object");
	json_object_foreach(record, label, value) if (take_field(r, &raw, label, value) != 0) return -1;
	return senml_take(r, &raw);
}

static int decode_tree(struct senml_reader *r, const void *bytes, size_t len)
{
	json_error_t error;
	json_t *pack = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error),
	       *record;
	size_t i;
	int err = 0;

	if (!pack)
		return senml_fail(r, SENML_NO_RECORD, "line %d, column %d: %.80s", error.line, error.column,
				  error.text);
	if (!json_is_array(pack))
		err = senml_fail(r, SENML_NO_RECORD, "the pack is no array");
	json_array_foreach(pack, i, record)
	{
		if (err != 0)
			break;
		err = take_record(r, record);
	}
	json_decref(pack);
	return err;
}

int senml_decode_json(struct senml_reader *r, const void *bytes, size_t len)
{
	const struct senml_reader before = *r;

	if (senml_decode_json_plain(r, bytes, len))
		return 0;
	senml_pack_free(r->pack);
	*r->fault = (struct senml_fault){.record = SENML_NO_RECORD};
	*r = before;
	return decode_tree(r, bytes, len);
}
