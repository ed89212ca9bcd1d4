/* export: everything that was stored, as one CSV or one pack of SenML: from the gateway, device by device, each
 * answer written as its blocks come in; or from the store's file.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "ask.h"
#include "export_store.h"
#include "output.h"
#include "report.h"
#include "sink.h"
#include "when.h"

#include <copse/format.h>

#include <jansson.h>

#include <string.h>

/* What is going on. */
struct exporting {
	const struct args *args;
	struct export_query query;
	enum sink_form form;
	struct sink sink;
	struct net net;
	struct target target;
	char uri[STATE_URI_MAX + ASK_PATH_MAX];
};

static const struct {
	const char *name;
	int accept; /* -1: ?as=csv */
} forms[] = {
    [SINK_CSV] = {"csv", -1},
    [SINK_JSON] = {"senml-json", COPSE_FORMAT_SENML_JSON},
    [SINK_CBOR] = {"senml-cbor", COPSE_FORMAT_SENML_CBOR},
    [SINK_XML] = {"senml-xml", COPSE_FORMAT_SENML_XML},
};

static int find_form(const struct args *args, enum sink_form *out)
{
	const char *value = args_value(args, ARG_FORMAT);

	*out = SINK_CSV;
	for (int i = 0; value && i < 4; i++) {
		*out = (enum sink_form)i;
		if (strcmp(value, forms[i].name) == 0)
			return 0;
	}
	return value
		   ? report_error(EXIT_OTHER,
				  "--format: %s is none of csv, senml-json, senml-cbor and senml-xml", value)
		   : 0;
}

/* --- from the gateway --- */

static int on_bytes(void *user, uint32_t offset, const uint8_t *bytes, size_t len)
{
	struct sink *sink = user;

	(void)offset; /* blocks come in order, each once */
	sink_put(sink, bytes, len);
	return 0;
}

static void add_query(const struct exporting *e, struct ask_path *path)
{
	/* with neither the newest readings would come */
	if (e->query.from != INT64_MIN || e->query.to == INT64_MAX)
		ask_add_time(path, "from", e->query.from);
	if (e->query.to != INT64_MAX)
		ask_add_time(path, "to", e->query.to);
	if (e->form == SINK_CSV)
		ask_add_query(path, "as", "csv");
}

static int export_device(struct exporting *e, const char *device)
{
	struct ask_path path = {.len = 0};
	struct request request;
	struct answer answer;
	const struct request_special special = {.accept = forms[e->form].accept, .format = -1};

	ask_add(&path, "/devices/");
	ask_add_segment(&path, device, false);
	if (e->query.name) {
		ask_add(&path, "/");
		ask_add_segment(&path, e->query.name, true);
	}
	add_query(e, &path);
	if (path.failed)
		return report_error(EXIT_OTHER, "%s: the name is too long", device);
	int code = target_turn(&e->target, path.text, e->uri, sizeof(e->uri));
	if (!code)
		code = request_special(&request, COPSE_CODE_GET, &e->target, &special);
	if (code)
		return code;
	request.write = on_bytes;
	request.write_user = &e->sink;
	sink_begin(&e->sink);
	code = exchange_do(&e->net, &e->target, &request, &answer);
	if (code || e->net.signal)
		return code;
	sink_end(&e->sink);
	if (!copse_code_is_success(answer.message.code))
		code = output_error(&answer);
	answer_free(&answer);
	return code;
}

static int export_list(struct exporting *e, const struct answer *answer)
{
	json_t *list = json_loadb((const char *)answer->body.bytes, answer->body.len, 0, NULL), *row;
	int code =
	    json_is_array(list) ? 0 : report_error(EXIT_OTHER, "the gateway's list of devices is not JSON");
	size_t i;

	json_array_foreach(list, i, row)
	{
		const char *id = json_string_value(json_object_get(row, "id"));
		if (code || e->net.signal)
			break;
		if (id)
			code = export_device(e, id);
	}
	json_decref(list);
	return code;
}

static int export_all(struct exporting *e)
{
	struct request request;
	struct answer answer;
	const struct request_special special = {.accept = COPSE_FORMAT_JSON, .format = -1};

	int code = request_special(&request, COPSE_CODE_GET, &e->target, &special);
	if (!code)
		code = exchange_do(&e->net, &e->target, &request, &answer);
	if (code || e->net.signal)
		return code;
	code = copse_code_is_success(answer.message.code) ? export_list(e, &answer) : output_error(&answer);
	answer_free(&answer);
	return code;
}

static int export_gateway(struct exporting *e)
{
	int code = target_find_gateway(&e->target, e->args, "/devices", e->uri, sizeof(e->uri));

	if (code)
		return code;
	code = net_open(&e->net, &e->target.net);
	if (!code)
		code =
		    net_close(&e->net, e->query.device ? export_device(e, e->query.device) : export_all(e));
	target_close(&e->target);
	return code;
}

int command_export(const struct args *args)
{
	static struct exporting e;
	const char *store = args_value(args, ARG_STORE);
	int64_t now = when_now();

	e = (struct exporting){.args = args};
	int code = find_form(args, &e.form);
	if (!code)
		code = when_option(args, ARG_FROM, now, INT64_MIN, &e.query.from);
	if (!code)
		code = when_option(args, ARG_TO, now, INT64_MAX, &e.query.to);
	if (!code && e.query.from >= e.query.to)
		code = report_error(EXIT_OTHER, "--from is not before --to");
	e.query.device = args->operand_n ? args->operand[0] : NULL;
	e.query.name = args->operand_n > 1 ? args->operand[1] : NULL;
	if (!code)
		code = sink_open(&e.sink, args_value(args, ARG_OUTPUT), e.form);
	if (code)
		return code;
	return sink_close(&e.sink, store ? export_store(store, &e.query, &e.sink) : export_gateway(&e));
}
