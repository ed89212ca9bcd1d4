/* See load_plan.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "load_plan.h"
#include "report.h"

#include <copse/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define URI_MAX 1100u
#define SPARE   (4u + 8u + 5u + 45u + 1u) /* header, token, Observe, Echo, payload marker */

struct range {
	const char *begin, *end; /* of "{1-9}" in the text; equal: there is none */
	unsigned long first, last;
	int width; /* 0: as the number is */
};

static bool parse_number(const char **at, unsigned long *out)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*out = strtoul(*at, &end, 10);
	*at = end;
	return errno == 0 && *out < 1000000000ul;
}

static int parse_range(struct range *r, const char *text)
{
	const char *at = strchr(text, '{');

	*r = (struct range){.begin = text, .end = text};
	if (!at)
		return 0;
	r->begin = at++;
	if (!parse_number(&at, &r->first) || *at != '-')
		return report_fault("a range is {FIRST-LAST}", text, (size_t)(at - text));
	r->width = r->begin[1] == '0' ? (int)(at - r->begin - 1) : 0;
	at++;
	if (!parse_number(&at, &r->last) || *at != '}')
		return report_fault("a range is {FIRST-LAST}", text, (size_t)(at - text));
	r->end = at + 1;
	if (r->last < r->first || r->last - r->first >= LOAD_PLAN_MAX)
		return report_fault("a range has 1 to 100,000 numbers", text, (size_t)(r->begin - text));
	if (strchr(r->end, '{'))
		return report_fault("a URI has one range", text, (size_t)(strchr(r->end, '{') - text));
	return 0;
}

uint32_t load_plan_uri(const char *text, uint32_t i, char *out, size_t cap)
{
	struct range r;
	int n;

	if (parse_range(&r, text))
		return 0;
	if (r.begin == r.end)
		n = snprintf(out, cap, "%s", text);
	else
		n = snprintf(out, cap, "%.*s%0*lu%s", (int)(r.begin - text), text, r.width, r.first + i,
			     r.end);
	if (n < 0 || (size_t)n >= cap) {
		report_error(EXIT_OTHER, "the URI is too long");
		return 0;
	}
	return (uint32_t)(r.last - r.first + 1);
}

static int keep(struct load_plan *plan, uint32_t i, const struct request *request, size_t payload_len)
{
	struct load_template *t = &plan->templates[i];

	if (SPARE + request->options_len + payload_len > LOAD_DATAGRAM)
		return report_error(EXIT_OTHER, "a request does not fit into one datagram of %u bytes",
				    LOAD_DATAGRAM);
	t->options = copse_mem_new(1, request->options_len + 1);
	if (!t->options)
		return report_error(EXIT_OTHER, "out of memory");
	memcpy(t->options, request->options, request->options_len);
	t->len = request->options_len;
	return 0;
}

static int make_template(struct load_plan *plan, const struct args *args, struct target *target, uint32_t i,
			 size_t payload_len)
{
	struct request request;
	int code = target_parse(&target->uri, target->text);

	if (!code)
		code = request_make(&request, args, target);
	if (code)
		return code;
	code = keep(plan, i, &request, payload_len);
	request_free(&request);
	return code;
}

static int allocate(struct load_plan *plan, uint32_t n)
{
	plan->n = n;
	plan->templates = copse_mem_new(n, sizeof(*plan->templates));
	return plan->templates ? 0 : report_error(EXIT_OTHER, "out of memory");
}

/* Where all requests go: the proxy, or the host of the first URI. */
static int find_address(struct load_plan *plan, const struct args *args, struct target *target)
{
	const char *text = target->proxied ? target->via_text : target->text;
	struct copse_uri *uri = target->proxied ? &target->via : &target->uri;
	int code = target_parse(uri, text);

	if (!code && uri->scheme == COPSE_SCHEME_OTHER)
		code = report_error(EXIT_OTHER, "%s: load speaks CoAP", text);
	if (!code)
		code = target_resolve(target, uri, text, args);
	if (!code)
		code = target_configure(target, args);
	plan->to = target->address[0];
	plan->scheme = (enum copse_scheme)uri->scheme;
	plan->secure = target->secure; /* its keys are the plan's now */
	memcpy(plan->authority, target->authority, sizeof(plan->authority));
	return code;
}

int load_plan_make(struct load_plan *plan, const struct args *args, const char *text, size_t payload_len)
{
	char uri[URI_MAX];
	struct target target = {.text = uri, .via_text = args_value(args, ARG_PROXY), .state = {.lock = -1}};
	uint32_t n = load_plan_uri(text, 0, uri, sizeof(uri));
	int code = n ? 0 : EXIT_OTHER;

	*plan = (struct load_plan){.n = 0};
	target.proxied = target.via_text != NULL;
	if (!code)
		code = find_address(plan, args, &target);
	if (!code)
		code = allocate(plan, n);
	for (uint32_t i = 0; !code && i < n; i++) {
		load_plan_uri(text, i, uri, sizeof(uri));
		code = make_template(plan, args, &target, i, payload_len);
	}
	if (code)
		load_plan_free(plan);
	return code;
}

int load_plan_make_one(struct load_plan *plan, const char *uri, size_t payload_len)
{
	struct target target = {.text = uri, .state = {.lock = -1}};
	struct request request;
	int code = target_parse(&target.uri, uri);

	*plan = (struct load_plan){.n = 0};
	if (!code)
		code = request_plain(&request, COPSE_CODE_POST, &target);
	if (code)
		return code;
	code = allocate(plan, 1);
	if (!code)
		code = keep(plan, 0, &request, payload_len);
	request_free(&request);
	if (code)
		load_plan_free(plan);
	return code;
}

void load_plan_free(struct load_plan *plan)
{
	for (uint32_t i = 0; plan->templates && i < plan->n; i++)
		copse_mem_free(plan->templates[i].options);
	copse_mem_free(plan->templates);
	secure_release(&plan->secure);
	*plan = (struct load_plan){.n = 0};
}
