/* devices: what the gateway knows, from its /devices in link format.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "links.h"
#include "output.h"
#include "report.h"
#include "table.h"

/* Whether it is the readings of a device that stands above them already, by the URI that it can be asked at. */
static bool stands_above(json_t *seen, const char *ep, const char *target)
{
	bool above = ep[0] && target[0] == '/' && json_object_get(seen, ep);

	json_object_set_new(seen, ep, json_true());
	return above;
}

/* Whether they are live, late or silent, by their names: the link to the readings says it. */
static json_t *states_of(const struct buffer *body)
{
	struct copse_link_reader reader = links_of(body->bytes, body->len);
	json_t *states = json_object();
	struct copse_link link;

	while (copse_link_next(&reader, &link) > 0) {
		char ep[256], state[32];
		if (link_attribute(&link, "state", state, sizeof(state))[0])
			json_object_set_new(states, link_attribute(&link, "ep", ep, sizeof(ep)),
					    json_string(state));
	}
	return states;
}

static void print_table(const struct buffer *body)
{
	static const char *const heads[] = {"DEVICE", "TYPE", "URI", "STATE"};
	struct copse_link_reader reader = links_of(body->bytes, body->len);
	json_t *seen = json_object(), *states = states_of(body);
	struct copse_link link;
	struct table t;

	table_begin(&t, heads, json_object_size(states) ? 4 : 3);
	while (copse_link_next(&reader, &link) > 0) {
		char ep[256], et[256], target[512];
		link_attribute(&link, "ep", ep, sizeof(ep));
		link_target(&link, target, sizeof(target));
		const char *state = json_string_value(json_object_get(states, ep));
		if (!stands_above(seen, ep, target))
			table_add(&t, (const char *const[]){ep, link_attribute(&link, "et", et, sizeof(et)),
							    target, state ? state : ""});
	}
	table_print(&t, stdout);
	table_free(&t);
	json_decref(seen);
	json_decref(states);
}

static void print_json(const struct args *args, const struct buffer *body)
{
	struct copse_link_reader reader = links_of(body->bytes, body->len);
	json_t *list = json_array();
	struct copse_link link;

	while (copse_link_next(&reader, &link) > 0) {
		char target[512];
		json_t *o = link_json(&link);
		json_object_set_new(o, "uri", json_string(link_target(&link, target, sizeof(target))));
		json_array_append_new(list, o);
	}
	output_json(args, list);
}

static int print(const struct args *args, const struct answer *answer)
{
	bool raw = args_count(args, ARG_OUTPUT) || args_count(args, ARG_INCLUDE);

	if (raw || !copse_code_is_success(answer->message.code))
		return output_answer(args, answer);
	if (!links_are_good(answer->body.bytes, answer->body.len))
		return report_error(EXIT_OTHER, "the gateway's list of devices is not in link format");
	if (args_count(args, ARG_JSON))
		print_json(args, &answer->body);
	else
		print_table(&answer->body);
	return output_finish(EXIT_OK);
}

int command_devices(const struct args *args)
{
	char uri[STATE_URI_MAX + 64];
	struct target target;
	struct request request;
	struct answer answer;

	int code = target_find_gateway(&target, args, "/devices", uri, sizeof(uri));
	if (code)
		return code;
	code = request_plain(&request, COPSE_CODE_GET, &target);
	if (!code)
		code = exchange_once(&target, &request, &answer);
	if (!code) {
		code = print(args, &answer);
		answer_free(&answer);
	}
	target_close(&target);
	return code;
}
