/* discover: the links of /.well-known/core (RFC 6690), of one server, or of all that answer to a multicast request (RFC
 * 7252 §8). An answer to a group that goes on in further blocks is asked for again from the one who gave it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "links.h"
#include "output.h"
#include "report.h"
#include "table.h"

#include <copse/mem.h>

#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

#define WELL_KNOWN  "/.well-known/core"
#define COLLECT_MS  7000u /* DEFAULT_LEISURE of 5 s, and a margin */
#define DEVICES_MAX 1024  /* answers beyond are left out, with a note */

/* One that answered. */
struct device {
	char address[COPSE_ADDRESS_TEXT];
	struct copse_peer peer;
	struct exchange_bodies bodies;
	struct buffer body;
	bool whole;
};

struct search {
	struct net net;
	struct request request;
	struct device *device;
	size_t device_n;
	copse_handle group[64];
	size_t group_n;
	bool full;
};

/* ---- showing ---- */

static void add_rows(struct table *t, const char *device, const struct buffer *body)
{
	struct copse_link_reader reader = links_of(body->bytes, body->len);
	struct copse_link link;

	while (copse_link_next(&reader, &link) > 0) {
		char target[512], rt[256], interface[256], ct[64];
		table_add(t, (const char *const[]){device, link_target(&link, target, sizeof(target)),
						   link_attribute(&link, "rt", rt, sizeof(rt)),
						   link_attribute(&link, "if", interface, sizeof(interface)),
						   link_attribute(&link, "ct", ct, sizeof(ct))});
	}
}

static void add_objects(json_t *list, const char *device, const struct buffer *body)
{
	struct copse_link_reader reader = links_of(body->bytes, body->len);
	struct copse_link link;

	while (copse_link_next(&reader, &link) > 0) {
		char target[512];
		json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "device", device, "resource",
						      link_target(&link, target, sizeof(target)),
						      "attributes", link_json(&link)));
	}
}

static int show(const struct args *args, const struct device *device, size_t n)
{
	static const char *const heads[] = {"DEVICE", "RESOURCE", "RT", "IF", "CT"};
	json_t *list = json_array();
	struct table t;

	table_begin(&t, heads, 5);
	for (size_t i = 0; i < n; i++) {
		if (!links_are_good(device[i].body.bytes, device[i].body.len))
			report_note("%s: what it offers is not in link format", device[i].address);
		if (args_count(args, ARG_JSON))
			add_objects(list, device[i].address, &device[i].body);
		else
			add_rows(&t, device[i].address, &device[i].body);
	}
	if (args_count(args, ARG_JSON))
		output_json(args, json_incref(list));
	else if (n)
		table_print(&t, stdout);
	json_decref(list);
	table_free(&t);
	return output_finish(EXIT_OK);
}

/* ---- one server ---- */

/* The URI with /.well-known/core where it has no path. Returns 0 or an exit code. */
static int well_known(char *buf, size_t cap, const char *text)
{
	struct copse_uri uri;
	int n, code = target_parse(&uri, text);

	if (code)
		return code;
	if (uri.path.len > 1)
		n = snprintf(buf, cap, "%s", text);
	else if (uri.has_query)
		n = snprintf(buf, cap, "%.*s%s?%.*s", (int)(uri.query.at - 1 - uri.path.len - text), text,
			     WELL_KNOWN, (int)uri.query.len, uri.query.at);
	else
		n = snprintf(buf, cap, "%.*s%s", (int)(strlen(text) - uri.path.len), text, WELL_KNOWN);
	return n < 0 || (size_t)n >= cap ? report_error(EXIT_OTHER, "the URI is too long") : 0;
}

static int show_one(const struct args *args, const struct target *target, const struct answer *answer)
{
	struct device device = {.body = answer->body};

	if (!copse_code_is_success(answer->message.code) || args_count(args, ARG_OUTPUT) ||
	    args_count(args, ARG_INCLUDE))
		return output_answer(args, answer);
	if (target->proxied) /* the proxy's address says nothing about who it is */
		snprintf(device.address, sizeof(device.address), "%.*s", (int)target->uri.host.len,
			 target->uri.host.at);
	else
		memcpy(device.address, answer->peer, sizeof(device.address));
	return show(args, &device, 1);
}

static int discover_one(const struct args *args)
{
	char uri[2048];
	struct target target;
	struct request request;
	struct answer answer;
	int code;

	if (args->operand_n) {
		code = well_known(uri, sizeof(uri), args->operand[0]);
		if (!code)
			code = target_find(&target, args, uri, false);
	} else {
		code = target_find_gateway(&target, args, WELL_KNOWN, uri, sizeof(uri));
	}
	if (code)
		return code;
	code = request_plain(&request, COPSE_CODE_GET, &target);
	if (!code)
		code = exchange_once(&target, &request, &answer);
	if (!code) {
		code = show_one(args, &target, &answer);
		answer_free(&answer);
	}
	target_close(&target);
	return code;
}

/* ---- a group ---- */

static bool known(const struct search *s, const struct copse_peer *peer)
{
	for (size_t i = 0; i < s->device_n; i++) {
		if (copse_peer_equal(&s->device[i].peer, peer))
			return true;
	}
	return false;
}

/* The rest of what it offers, from the device alone (RFC 7959 §2.8). */
static void ask_again(struct search *s, struct device *d, copse_ms now)
{
	struct copse_call call;

	d->bodies.in = &d->body;
	exchange_call(&call, &s->request, &d->peer, &d->bodies);
	call.flags = COPSE_CALL_CON;
	copse_client_start(s->net.client, &call, now, NULL);
}

static void on_answer(struct search *s, const struct copse_client_event *e, copse_ms now)
{
	struct device *d = &s->device[s->device_n];

	if (!copse_code_is_success(e->message->code) || known(s, e->peer))
		return;
	if (s->device_n == DEVICES_MAX) {
		s->full = true;
		return;
	}
	s->device_n++;
	d->peer = *e->peer;
	d->peer.flags = 0;
	copse_peer_text(e->peer, d->address, sizeof(d->address));
	if (e->partial)
		ask_again(s, d, now);
	else
		d->whole =
		    buffer_append(&d->body, copse_message_payload(e->message), e->message->payload_len);
}

static void on_told(void *self, const struct copse_client_event *e, copse_ms now)
{
	struct search *s = self;
	struct exchange_bodies *bodies = e->user;

	if (bodies == NULL) {
		if (e->kind == COPSE_CLIENT_RESPONSE)
			on_answer(s, e, now);
		return;
	}
	for (size_t i = 0; i < s->device_n; i++) {
		if (&s->device[i].bodies == bodies && e->kind == COPSE_CLIENT_RESPONSE)
			s->device[i].whole = copse_code_is_success(e->message->code);
	}
}

/* Ask the group at `text`. Returns false when it is no address, or cannot be sent to. */
static bool ask_group(struct search *s, const char *text)
{
	struct copse_address address;
	struct copse_peer peer;
	struct copse_call call;
	struct exchange_bodies none = {.in = NULL};

	if (s->group_n == sizeof(s->group) / sizeof(*s->group) ||
	    copse_address_parse(text, COPSE_PORT, &address) || !copse_address_is_group(&address) ||
	    net_peer(&s->net, &address, &peer))
		return false;
	exchange_call(&call, &s->request, &peer, &none);
	call.flags = COPSE_CALL_MANY;
	call.write = NULL;
	call.user = NULL;
	return copse_client_start(s->net.client, &call, copse_loop_now(s->net.loop), &s->group[s->group_n]) ==
		   0 &&
	       ++s->group_n;
}

/* A group without an interface is asked on each that is there. */
static bool ask_everywhere(struct search *s, const char *text)
{
	struct if_nameindex *all = if_nameindex();
	bool asked = false;

	for (struct if_nameindex *i = all; i && i->if_index; i++) {
		char with[COPSE_ADDRESS_TEXT + IF_NAMESIZE];
		snprintf(with, sizeof(with), "%s%%%s", text, i->if_name);
		asked = ask_group(s, with) || asked;
	}
	if (all)
		if_freenameindex(all);
	return asked;
}

/* Only what follows is asked of a group: neither its name nor a proxy belongs into the request (RFC 7252 §8.1). */
static int group_request(struct request *request, const struct args *args)
{
	const char *text = args->operand_n ? args->operand[0] : WELL_KNOWN;
	struct target target = {.text = text};

	if (copse_uri_parse_path(&target.uri, text, strlen(text)))
		return report_fault(copse_uri_fault_text((enum copse_uri_fault)target.uri.fault), text,
				    target.uri.fault_off);
	return request_plain(request, COPSE_CODE_GET, &target);
}

static int collect(struct search *s, const struct args *args, copse_ms limit_ms)
{
	const struct net_listener listener = {.told = on_told, .self = s};
	const char *group = args_value(args, ARG_GROUP);
	bool asked =
	    strchr(group, '%') ? ask_group(s, group) : ask_everywhere(s, group) || ask_group(s, group);

	if (!asked)
		return report_error(EXIT_OTHER, "--group: %s is no multicast group that can be reached",
				    group);
	net_run(&s->net, &listener, limit_ms);
	if (s->full)
		report_note("more than %d devices answered; the rest is left out", DEVICES_MAX);
	for (size_t i = 0; i < s->device_n; i++) {
		if (!s->device[i].whole)
			report_note("%s: what it offers did not arrive as a whole", s->device[i].address);
	}
	int code = show(args, s->device, s->device_n);
	return code || s->device_n ? code : report_error(EXIT_TIMEOUT, "nobody answered");
}

static int discover_group(const struct args *args)
{
	static struct search s;
	struct target target = {.state = {.lock = -1}};

	int code = target_configure(&target, args);
	if (!code)
		code = group_request(&s.request, args);
	if (code)
		return code;
	if (target.limit_ms == COPSE_NEVER)
		target.limit_ms = COLLECT_MS;
	target.net.response_ms = target.limit_ms + 1000;
	s.device = copse_mem_new(DEVICES_MAX, sizeof(*s.device));
	if (!s.device)
		return report_error(EXIT_OTHER, "out of memory");
	code = net_open(&s.net, &target.net);
	if (!code)
		code = net_close(&s.net, collect(&s, args, target.limit_ms));
	for (size_t i = 0; i < s.device_n; i++)
		buffer_free(&s.device[i].body);
	copse_mem_free(s.device);
	return code;
}

int command_discover(const struct args *args)
{
	return args_count(args, ARG_GROUP) ? discover_group(args) : discover_one(args);
}
