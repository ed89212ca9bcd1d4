/* publish: a reading as a sensor sends it: one record of SenML in JSON (RFC 8428) to /publish; confirmable to a gateway, and
 * without waiting for anybody to the group of its type, on each interface.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "exchange.h"
#include "output.h"
#include "report.h"
#include "when.h"

#include "store/sensor_type.h"

#include <copse/format.h>

#include <jansson.h>

#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PUBLISH_PATH "/publish"

/* --- what is sent --- */

/* The base name of a device (RFC 8428 §4.5.1, RFC 9039): so that the gateway finds the device in it again. */
static json_t *base_name(const char *device)
{
	bool eui64 = strlen(device) == 16 && strspn(device, "0123456789abcdefABCDEF") == 16;
	bool colon = strncasecmp(device, "urn:", 4) == 0 || strncasecmp(device, "device:", 7) == 0;

	return json_sprintf("%s%s%s", eui64 ? "urn:dev:mac:" : "", device, eui64 || colon ? ":" : "/");
}

/* What is JSON is taken as such: a number, true, "text"; anything else is text. */
static void set_value(json_t *record, const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);

	if (json_is_number(value))
		json_object_set_new(record, "v", json_loads(text, JSON_DECODE_ANY, NULL));
	else if (json_is_boolean(value))
		json_object_set(record, "vb", value);
	else if (json_is_string(value))
		json_object_set(record, "vs", value);
	else
		json_object_set_new(record, "vs", json_string(text));
	json_decref(value);
}

static int check_name(const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:./_";
	size_t n = strspn(name, good);

	if (*name && !name[n] && !strchr("-:./_", *name))
		return 0;
	int code =
	    report_fault("--name: a name begins with a letter or digit, and has letters, digits and -:./_",
			 name, name[n] ? n : 0);
	return code;
}

static int make_record(const struct args *args, json_t *record)
{
	const char *name = args_value(args, ARG_NAME), *unit = args_value(args, ARG_UNIT),
		   *value = args_value(args, ARG_THE_VALUE), *device = args_value(args, ARG_DEVICE);
	int64_t now = when_now(), time;

	if (!value)
		return report_error(EXIT_OTHER, "there is nothing to publish: --value is missing");
	if (!name && !args_value(args, ARG_TO_GROUP))
		return report_error(EXIT_OTHER, "what the value is of is not said: --name is missing");
	int code = name ? check_name(name) : 0;
	if (!code)
		code = when_option(args, ARG_TIME, now, INT64_MIN, &time);
	if (code)
		return code;
	if (device)
		json_object_set_new(record, "bn", base_name(device));
	json_object_set_new(record, "n", json_string(name ? name : args_value(args, ARG_TO_GROUP)));
	if (unit)
		json_object_set_new(record, "u", json_string(unit));
	set_value(record, value);
	if (time != INT64_MIN)
		json_object_set_new(record, "t", json_real((double)time / 1e6));
	return json_object_get(record, "v") || json_object_get(record, "vb") || json_object_get(record, "vs")
		   ? 0
		   : report_error(EXIT_OTHER, "--value: this is not UTF-8");
}

static int make_payload(const struct args *args, struct buffer *payload)
{
	json_t *record = json_object();
	int code = make_record(args, record);

	if (!code) {
		json_t *pack = json_pack("[O]", record);
		char *text = json_dumps(pack, JSON_COMPACT | JSON_REAL_PRECISION(17));
		if (!text || !buffer_append(payload, text, strlen(text)))
			code = report_error(EXIT_OTHER, "out of memory");
		free(text);
		json_decref(pack);
	}
	json_decref(record);
	return code;
}

static int make_request(struct request *request, const struct args *args, const struct target *target)
{
	struct request_special special = {.accept = -1, .format = COPSE_FORMAT_SENML_JSON};
	int64_t age;
	int code = when_option_span(args, ARG_MAX_AGE, -1, &age);

	if (!code && age >= 0) {
		special.has_max_age = true;
		special.max_age =
		    age < (int64_t)UINT32_MAX * 1000000 ? (uint32_t)((age + 999999) / 1000000) : UINT32_MAX;
	}
	special.silent = args_count(args, ARG_NON) || args_count(args, ARG_TO_GROUP);
	if (!code)
		code = request_special(request, COPSE_CODE_POST, target, &special);
	if (!code)
		code = make_payload(args, &request->payload);
	return code;
}

/* --- to a gateway --- */

/* A URI without path is that of a gateway. Returns 0 or an exit code. */
static int with_path(const char *text, char *buf, size_t cap)
{
	struct copse_uri uri;
	int code = target_parse(&uri, text), n;

	if (code)
		return code;
	bool has_path = uri.path.len > 1 || uri.has_query;
	n = snprintf(buf, cap, "%.*s%s", (int)(has_path ? strlen(text) : strlen(text) - uri.path.len), text,
		     has_path ? "" : PUBLISH_PATH);
	return n < 0 || (size_t)n >= cap ? report_error(EXIT_OTHER, "the URI is too long") : 0;
}

static int publish_to_one(const struct args *args)
{
	char uri[2048];
	struct target target;
	struct request request = {.code = 0};
	struct answer answer;
	int code = args->operand_n ? with_path(args->operand[0], uri, sizeof(uri)) : 0;

	if (!code)
		code = args->operand_n ? target_find(&target, args, uri, false)
				       : target_find_gateway(&target, args, PUBLISH_PATH, uri, sizeof(uri));
	if (code)
		return code;
	code = make_request(&request, args, &target);
	if (!code)
		code = exchange_once(&target, &request, &answer);
	if (!code && answer.datagram && !copse_code_is_success(answer.message.code))
		code = output_error(&answer);
	if (!code || code == EXIT_4XX || code == EXIT_5XX)
		answer_free(&answer);
	request_free(&request);
	target_close(&target);
	return code;
}

/* --- to a group --- */

static int report_type(const char *text)
{
	int code = report_error(EXIT_OTHER, "--group: there is no type of sensor %s", text);

	report_hint("types: "
#define SENSOR_TYPE(number, name, unit) name ", "
#include <copse/registry/sensor_types.def>
#undef SENSOR_TYPE
		    "or a number in hexadecimal");
	return code;
}

/* ff02::1:feXX:XXXX on one interface. Returns false when it cannot be sent there. */
static bool send_on(const struct args *args, const struct request *request, uint32_t type,
		    const char *interface)
{
	char text[COPSE_ADDRESS_TEXT + IF_NAMESIZE];
	struct target target = {.state = {.lock = -1}, .text = text, .address_n = 1};
	struct net net;
	bool sent = false;

	snprintf(text, sizeof(text), "ff02::1:fe%02x:%x%%%s", (unsigned)(type >> 16),
		 (unsigned)(type & 0xffff), interface);
	if (copse_address_parse(text, COPSE_PORT, &target.address[0]) || target_configure(&target, args) ||
	    net_open(&net, &target.net))
		return false;
	struct copse_peer peer;
	struct copse_call call;
	struct exchange_bodies none = {.in = NULL};
	if (net_peer(&net, &target.address[0], &peer) == 0) {
		exchange_call(&call, request, &peer, &none);
		call.write = NULL;
		sent = copse_client_start(net.client, &call, copse_loop_now(net.loop), NULL) == 0;
		copse_host_flush(net.host, copse_clock_ms());
	}
	return net_close(&net, EXIT_OK) == EXIT_OK && sent;
}

static unsigned send_everywhere(const struct args *args, const struct request *request, uint32_t type)
{
	struct if_nameindex *all = if_nameindex();
	unsigned sent = 0;

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		sent += send_on(args, request, type, i->if_name);
	if (all)
		if_freenameindex(all);
	return sent;
}

static int publish_to_group(const struct args *args)
{
	const char *group = args_value(args, ARG_TO_GROUP), *interface = args_value(args, ARG_INTERFACE);
	struct target target = {.text = PUBLISH_PATH};
	struct request request = {.code = 0};
	uint32_t type = store_sensor_type(group);

	if (!type)
		return report_type(group);
	if (args->operand_n)
		return report_error(EXIT_OTHER, "either --group or a URI, not both: %s", args->operand[0]);
	if (interface && !if_nametoindex(interface))
		return report_error(EXIT_OTHER, "--interface: there is no interface %s", interface);
	/* neither its name nor a proxy belongs into a request to a group (RFC 7252 §8.1) */
	copse_uri_parse_path(&target.uri, PUBLISH_PATH, strlen(PUBLISH_PATH));
	int code = make_request(&request, args, &target);
	if (!code) {
		unsigned sent = interface ? send_on(args, &request, type, interface)
					  : send_everywhere(args, &request, type);
		if (!sent)
			code = report_error(EXIT_UNREACHABLE, "--group: no interface can be sent on");
	}
	request_free(&request);
	return code;
}

int command_publish(const struct args *args)
{
	if (args_count(args, ARG_TO_GROUP))
		return publish_to_group(args);
	if (args_count(args, ARG_INTERFACE))
		return report_error(EXIT_OTHER, "--interface belongs to --group");
	return publish_to_one(args);
}
