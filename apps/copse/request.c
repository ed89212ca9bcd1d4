/* See request.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "request.h"
#include "report.h"

#include <copse/block.h>
#include <copse/format.h>
#include <copse/hex.h>
#include <copse/priority.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROXY_URI_MAX 1034 /* RFC 7252 §5.10 */

/* ---- the way: Uri-*, Proxy-* ---- */

static void add_scheme(struct copse_builder *b, const struct copse_uri *uri)
{
	const char *name = copse_scheme_name((enum copse_scheme)uri->scheme);

	copse_build_option(b, COPSE_OPTION_PROXY_SCHEME, name, strlen(name));
}

/* Path and query alone: what --no-host leaves. */
static void add_path(struct copse_builder *b, const struct copse_uri *uri)
{
	uint8_t value[255];
	struct copse_text part;
	size_t pos = 0;

	while (copse_uri_segment(uri, &pos, &part))
		copse_build_option(b, COPSE_OPTION_URI_PATH, value,
				   (size_t)copse_uri_decode(&part, value, sizeof(value)));
	pos = 0;
	while (copse_uri_argument(uri, &pos, &part))
		copse_build_option(b, COPSE_OPTION_URI_QUERY, value,
				   (size_t)copse_uri_decode(&part, value, sizeof(value)));
}

static void add_uri(struct copse_builder *b, const struct target *target, bool no_host)
{
	static const struct copse_uri_dest elsewhere = {.port = 0}; /* a proxy: all of the URI is said */

	if (!target->proxied && no_host) {
		add_path(b, &target->uri);
	} else if (!target->proxied) {
		copse_uri_build(&target->uri, NULL, b);
	} else if (!target->net.oscore && strlen(target->text) <= PROXY_URI_MAX) {
		copse_build_option(b, COPSE_OPTION_PROXY_URI, target->text, strlen(target->text));
	} else { /* RFC 8613 §4.1.3.3: in parts, so that path and query are the server's alone */
		add_scheme(b, &target->uri);
		copse_uri_build(&target->uri, &elsewhere, b);
	}
}

/* ---- options by the command line ---- */

static int add_format(struct copse_builder *b, const struct args *args, enum arg_name name, uint16_t number)
{
	const char *value = args_value(args, name);

	if (!value)
		return 0;
	int format = copse_format_from_text(value, strlen(value));
	if (format < 0)
		return report_error(EXIT_OTHER, "--%s: %s is no content format", arg_rows[name].text, value);
	copse_build_uint(b, number, (uint32_t)format);
	return 0;
}

static int add_etag(struct copse_builder *b, enum arg_name name, uint16_t number, const char *value)
{
	uint8_t etag[8];
	size_t skip = strncmp(value, "0x", 2) == 0 ? 2 : 0;
	int len = copse_hex_decode(value + skip, strlen(value) - skip, etag, sizeof(etag));

	if (len < 0 || (len == 0 && number == COPSE_OPTION_ETAG))
		return report_error(EXIT_OTHER, "--%s: %s is no ETag, which has 1 to 8 bytes in hexadecimal",
				    arg_rows[name].text, value);
	copse_build_option(b, number, etag, (size_t)len);
	return 0;
}

static int add_number(struct copse_builder *b, uint16_t number, const char *value)
{
	char *end;

	errno = 0;
	unsigned long long n = strtoull(value, &end, 10);
	if (errno || end == value || *end || *value == '-' || n > UINT32_MAX)
		return report_error(EXIT_OTHER, "--option: %s is no number, as option %u takes", value,
				    number);
	copse_build_uint(b, number, (uint32_t)n);
	return 0;
}

static bool is_the_clients(int number)
{
	return number == COPSE_OPTION_OBSERVE || number == COPSE_OPTION_BLOCK1 ||
	       number == COPSE_OPTION_BLOCK2 || number == COPSE_OPTION_Q_BLOCK1 ||
	       number == COPSE_OPTION_Q_BLOCK2;
}

/* N=VALUE, or as coap-client has it N,VALUE. */
static int add_option(struct copse_builder *b, const char *text)
{
	size_t name_len = strcspn(text, "=,");
	const char *value = text[name_len] ? text + name_len + 1 : "";
	int number = copse_option_from_text(text, name_len);
	uint8_t bytes[PROXY_URI_MAX];

	if (number < 0)
		return report_error(EXIT_OTHER, "--option: there is no option %.*s", (int)name_len, text);
	if (is_the_clients(number))
		return report_error(EXIT_OTHER,
				    "--option: %s is made by the transfer itself; see observe and --block",
				    copse_option_name((uint16_t)number));
	const struct copse_option_row *row = copse_option_row((uint16_t)number);
	if (strncmp(value, "0x", 2) == 0) {
		int len = copse_hex_decode(value + 2, strlen(value) - 2, bytes, sizeof(bytes));
		if (len < 0)
			return report_error(EXIT_OTHER, "--option: %s are no bytes in hexadecimal", value);
		copse_build_option(b, (uint16_t)number, bytes, (size_t)len);
	} else if (row && row->format == COPSE_FORM_UINT) {
		return add_number(b, (uint16_t)number, value);
	} else {
		copse_build_option(b, (uint16_t)number, value, strlen(value));
	}
	return b->err
		   ? report_error(EXIT_OTHER,
				  "--option: %s: the option does not take that value, or not once more", text)
		   : 0;
}

static int add_one(struct copse_builder *b, const struct args_given *given)
{
	switch (given->name) {
	case ARG_OPTION: return add_option(b, given->value);
	case ARG_ETAG: return add_etag(b, given->name, COPSE_OPTION_ETAG, given->value);
	case ARG_IF_MATCH: return add_etag(b, given->name, COPSE_OPTION_IF_MATCH, given->value);
	case ARG_IF_NONE_MATCH: copse_build_option(b, COPSE_OPTION_IF_NONE_MATCH, NULL, 0); return 0;
	default: return 0;
	}
}

static int add_hops_and_silence(struct copse_builder *b, const struct args *args, struct request *request)
{
	uint32_t hops, mask;
	int code = args_number(args, ARG_HOP_LIMIT, 1, 255, 0, &hops);

	if (!code)
		code = args_number(args, ARG_NO_RESPONSE, 0, 127, 26, &mask);
	if (code)
		return code;
	if (hops)
		copse_build_uint(b, COPSE_OPTION_HOP_LIMIT, hops);
	if (!args_count(args, ARG_NO_RESPONSE))
		return 0;
	copse_build_uint(b, COPSE_OPTION_NO_RESPONSE, mask);
	request->no_response = true;
	request->flags &= ~(unsigned)COPSE_CALL_CON;
	if ((mask & 26) == 26) /* RFC 7967 §2.1: 2.xx, 4.xx and 5.xx */
		request->flags |= COPSE_CALL_SILENT;
	return 0;
}

/* ---- how it is sent ---- */

static int set_worth(struct request *request, const struct args *args)
{
	static const char *const words[] = {
	    [COPSE_TELEMETRY] = "telemetry", [COPSE_COMMAND] = "command", [COPSE_ALARM] = "alarm"};
	const char *value = args_value(args, ARG_WORTH);

	for (unsigned i = 0; value && i < 3; i++) {
		if (strcmp(words[i], value) != 0)
			continue;
		request->priority = (uint8_t)i;
		if (i == COPSE_TELEMETRY)
			request->flags &= ~(unsigned)COPSE_CALL_CON;
		return 0;
	}
	return value ? report_error(EXIT_OTHER, "--worth: %s is none of telemetry, command and alarm", value)
		     : 0;
}

static int set_block(struct request *request, const struct args *args)
{
	const char *value = args_value(args, ARG_BLOCK), *comma = value ? strchr(value, ',') : NULL;
	unsigned long number = 0, size;
	char *end;

	if (!value)
		return 0;
	if (comma) {
		number = strtoul(value, &end, 10);
		request->one_block = true;
		if (end != comma || number > COPSE_BLOCK_NUM_MAX)
			return report_error(EXIT_OTHER,
					    "--block: %s does not begin with the number of a block", value);
	}
	size = strtoul(comma ? comma + 1 : value, &end, 10);
	if (*end || size < 16 || size > 1024 || (size & (size - 1)))
		return report_error(EXIT_OTHER, "--block: %s is none of 16, 32, 64, 128, 256, 512 and 1024",
				    comma ? comma + 1 : value);
	request->szx = copse_block_szx(size);
	request->early = true;
	request->block_number = (uint32_t)number;
	return 0;
}

static void set_flags(struct request *request, const struct args *args)
{
	if (args_count(args, ARG_NON))
		request->flags &= ~(unsigned)COPSE_CALL_CON;
	if (args_count(args, ARG_QBLOCK))
		request->flags |= COPSE_CALL_QBLOCK;
}

static int finish(struct request *request, struct copse_builder *b)
{
	int len = copse_build_finish(b);

	if (len < 0)
		return report_error(EXIT_OTHER, "the options cannot be sent: %s", copse_err_text(len));
	request->options_len = (size_t)len;
	return 0;
}

static int add_all(struct request *request, struct copse_builder *b, const struct args *args)
{
	int code = 0;

	for (unsigned i = 0; !code && i < args->given_n; i++)
		code = add_one(b, &args->given[i]);
	if (!code)
		code = add_format(b, args, ARG_ACCEPT, COPSE_OPTION_ACCEPT);
	if (!code)
		code = add_format(b, args, ARG_CONTENT_FORMAT, COPSE_OPTION_CONTENT_FORMAT);
	if (!code)
		code = set_worth(request, args);
	set_flags(request, args);
	if (!code)
		code = add_hops_and_silence(b, args, request);
	if (!code)
		code = set_block(request, args);
	/* A single block that is not the first is asked for by hand: the transfer begins at the first. */
	if (!code && request->one_block) {
		struct copse_block block = {.num = request->block_number, .szx = request->szx};
		copse_build_block(b, COPSE_OPTION_BLOCK2, &block);
		request->early = false;
		request->flags |= COPSE_CALL_ONE_BLOCK;
	}
	return code;
}

static void begin(struct request *request, uint8_t code)
{
	*request = (struct request){
	    .code = code, .flags = COPSE_CALL_CON, .szx = COPSE_BLOCK_SZX_BERT, .priority = COPSE_COMMAND};
}

int request_make(struct request *request, const struct args *args, const struct target *target)
{
	struct copse_builder b;
	bool given;

	begin(request, args->code);
	copse_build_rest(&b, request->options, sizeof(request->options));
	add_uri(&b, target, args_count(args, ARG_NO_HOST) > 0);
	int code = add_all(request, &b, args);
	if (!code)
		code = finish(request, &b);
	if (!code && args->command->groups & BODY)
		code = payload_from_args(&request->payload, args,
					 args->operand_n > 1 ? args->operand[1] : NULL, &given);
	if (code)
		request_free(request);
	return code;
}

int request_special(struct request *request, uint8_t code, const struct target *target,
		    const struct request_special *special)
{
	struct copse_builder b;

	begin(request, code);
	copse_build_rest(&b, request->options, sizeof(request->options));
	add_uri(&b, target, false);
	if (special->accept >= 0)
		copse_build_uint(&b, COPSE_OPTION_ACCEPT, (uint32_t)special->accept);
	if (special->format >= 0)
		copse_build_uint(&b, COPSE_OPTION_CONTENT_FORMAT, (uint32_t)special->format);
	if (special->has_max_age)
		copse_build_uint(&b, COPSE_OPTION_MAX_AGE, special->max_age);
	if (special->silent) {
		copse_build_uint(&b, COPSE_OPTION_NO_RESPONSE, 26);
		request->flags = COPSE_CALL_SILENT;
		request->no_response = true;
	}
	return finish(request, &b);
}

int request_plain(struct request *request, uint8_t code, const struct target *target)
{
	return request_special(request, code, target, &(struct request_special){.accept = -1, .format = -1});
}

void request_free(struct request *request)
{
	buffer_free(&request->payload);
}
