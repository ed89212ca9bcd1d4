/* See describe.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "describe.h"
#include "report.h"
#include "text.h"

#include <copse/block.h>
#include <copse/format.h>

#include <string.h>

static bool is_block(uint16_t number)
{
	return number == COPSE_OPTION_BLOCK1 || number == COPSE_OPTION_BLOCK2 ||
	       number == COPSE_OPTION_Q_BLOCK1 || number == COPSE_OPTION_Q_BLOCK2;
}

/* RFC 8323 §6: of BERT, which only Block1 and Block2 know, the number tells units of 1024. */
static int decode_block(uint16_t number, uint32_t value, struct copse_block *block)
{
	const bool bert = (number == COPSE_OPTION_BLOCK1 || number == COPSE_OPTION_BLOCK2) &&
			  (value & 7) == COPSE_BLOCK_SZX_BERT;
	const int err = copse_block_decode(bert ? value & ~1u : value, block);

	if (bert)
		block->szx = COPSE_BLOCK_SZX_BERT;
	return err;
}

static void print_uint(FILE *out, uint16_t number, uint32_t value)
{
	struct copse_block block;

	if (is_block(number) && decode_block(number, value, &block) == 0) {
		fprintf(out, "%u/%d/", block.num, block.more);
		if (block.szx == COPSE_BLOCK_SZX_BERT)
			fprintf(out, "BERT");
		else
			fprintf(out, "%u", copse_block_size(block.szx));
		return;
	}
	fprintf(out, "%u", value);
	if (number != COPSE_OPTION_CONTENT_FORMAT && number != COPSE_OPTION_ACCEPT)
		return;
	const char *media = copse_format_media(value);
	if (media)
		fprintf(out, " (%s)", media);
}

static enum copse_option_format form_of(const struct copse_option *o)
{
	const struct copse_option_row *row = copse_option_row(o->number);

	if (!row || (row->format == COPSE_FORM_UINT && o->len > 4))
		return COPSE_FORM_OPAQUE;
	return (enum copse_option_format)row->format;
}

void describe_option_value(FILE *out, const struct copse_message *m, const struct copse_option *o)
{
	switch (form_of(o)) {
	case COPSE_FORM_EMPTY: break;
	case COPSE_FORM_UINT: print_uint(out, o->number, copse_option_uint(m, o)); break;
	case COPSE_FORM_STRING: text_print(out, copse_option_value(m, o), o->len, true); break;
	case COPSE_FORM_OPAQUE: text_print_hex(out, copse_option_value(m, o), o->len); break;
	}
}

static void print_option_name(FILE *out, uint16_t number)
{
	const char *name = copse_option_name(number);

	if (name)
		fputs(name, out);
	else
		fprintf(out, "%u", number);
}

void describe_message(FILE *out, const struct copse_message *m)
{
	static const char *const types[] = {"CON", "NON", "ACK", "RST"};
	char code[COPSE_CODE_TEXT_LEN];

	fprintf(out, "%s %s id %u", types[m->type], copse_code_describe(m->code, code, sizeof(code)), m->id);
	if (m->token_len) {
		fputs(" token ", out);
		text_print_hex(out, copse_message_token(m), m->token_len);
	}
	for (unsigned i = 0; i < m->option_n; i++) {
		fputs("  ", out);
		print_option_name(out, m->option[i].number);
		fputs(form_of(&m->option[i]) == COPSE_FORM_EMPTY ? "" : " ", out);
		describe_option_value(out, m, &m->option[i]);
	}
	if (m->payload_len)
		fprintf(out, "  %u bytes", m->payload_len);
}

void describe_head(FILE *out, const struct copse_message *m)
{
	char code[COPSE_CODE_TEXT_LEN];
	enum report_style style = copse_code_is_success(m->code) ? STYLE_GOOD : STYLE_ERROR;

	fprintf(out, "%s%s%s\n", report_style(out, style), copse_code_describe(m->code, code, sizeof(code)),
		report_end(out));
	for (unsigned i = 0; i < m->option_n; i++) {
		fputs(report_style(out, STYLE_KEY), out);
		print_option_name(out, m->option[i].number);
		fprintf(out, "%s: ", report_end(out));
		describe_option_value(out, m, &m->option[i]);
		fputc('\n', out);
	}
}

json_t *describe_text(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = text_character(bytes + i, len - i);
		if (n == 0)
			return NULL;
		i += n;
	}
	return json_stringn((const char *)bytes, len);
}

static json_t *hex(const uint8_t *bytes, size_t len)
{
	char text[2 * 1034 + 1]; /* the longest option of the registry */
	size_t n = 0;

	for (size_t i = 0; i < len && n + 2 < sizeof(text); i++, n += 2)
		snprintf(text + n, 3, "%02x", bytes[i]);
	text[n] = '\0';
	return json_string(text);
}

static json_t *json_block(uint16_t number, uint32_t value)
{
	struct copse_block block;

	if (decode_block(number, value, &block))
		return json_integer(value);
	json_t *object = json_pack("{s:i, s:b, s:i}", "num", (int)block.num, "more", (int)block.more, "size",
				   (int)copse_block_size(block.szx));
	if (block.szx == COPSE_BLOCK_SZX_BERT)
		json_object_set_new(object, "bert", json_true());
	return object;
}

static json_t *json_value(const struct copse_message *m, const struct copse_option *o)
{
	json_t *text = NULL;

	switch (form_of(o)) {
	case COPSE_FORM_EMPTY: return json_true();
	case COPSE_FORM_UINT:
		return is_block(o->number) ? json_block(o->number, copse_option_uint(m, o))
					   : json_integer(copse_option_uint(m, o));
	case COPSE_FORM_STRING: text = describe_text(copse_option_value(m, o), o->len); break;
	case COPSE_FORM_OPAQUE: break;
	}
	return text ? text : hex(copse_option_value(m, o), o->len);
}

static void add_option(json_t *options, const struct copse_message *m, const struct copse_option *o)
{
	const struct copse_option_row *row = copse_option_row(o->number);
	char number[8];

	snprintf(number, sizeof(number), "%u", o->number);
	const char *name = row ? row->name : number;
	json_t *value = json_value(m, o);
	if (row && row->repeat == COPSE_REPEAT_ONCE) {
		json_object_set_new(options, name, value);
		return;
	}
	json_t *array = json_object_get(options, name);
	if (!array) {
		array = json_array();
		json_object_set_new(options, name, array);
	}
	json_array_append_new(array, value);
}

json_t *describe_json(const struct copse_message *m)
{
	char code[COPSE_CODE_TEXT_LEN];
	json_t *options = json_object();
	const char *name = copse_code_name(m->code);

	for (unsigned i = 0; options && i < m->option_n; i++)
		add_option(options, m, &m->option[i]);
	return json_pack("{s:s, s:s*, s:o}", "code", copse_code_print(m->code, code, sizeof(code)), "name",
			 name, "options", options);
}
