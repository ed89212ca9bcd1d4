/* See output.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "output.h"
#include "describe.h"
#include "pretty.h"
#include "report.h"
#include "text.h"

#include <copse/format.h>
#include <copse/mem.h>
#include <copse/uri.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t format_of(const struct answer *answer)
{
	return copse_message_uint(&answer->message, COPSE_OPTION_CONTENT_FORMAT, COPSE_FORMAT_NONE);
}

void output_add_payload(json_t *o, const uint8_t *bytes, size_t len)
{
	json_t *text = describe_text(bytes, len);

	if (text) {
		json_object_set_new(o, "payload", text);
		return;
	}
	char *base64 = copse_mem_new(1, TEXT_BASE64(len));
	if (base64)
		text_base64(bytes, len, base64);
	json_object_set_new(o, "payload_base64", base64 ? json_string(base64) : json_null());
	copse_mem_free(base64);
}

void output_json(const struct args *args, json_t *o)
{
	size_t flags = args_count(args, ARG_PRETTY) ? JSON_INDENT(2) : JSON_COMPACT;

	json_dumpf(o, stdout, flags | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(o);
}

static const uint8_t *body_of(const struct answer *answer, size_t *len)
{
	if (copse_code_is_success(answer->message.code)) {
		*len = answer->body.len;
		return answer->body.bytes;
	}
	*len = answer->message.payload_len;
	return copse_message_payload(&answer->message);
}

static void print_json(const struct args *args, const struct answer *answer)
{
	json_t *o = describe_json(&answer->message);
	size_t len;
	const uint8_t *body = body_of(answer, &len);

	if (!o)
		return;
	output_add_payload(o, body, len);
	json_object_set_new(o, "peer", json_string(answer->peer));
	json_object_set_new(o, "time_ms", json_integer((json_int_t)answer->took_ms));
	if (answer->partial)
		json_object_set_new(o, "partial", json_true());
	output_json(args, o);
}

/* On a terminal a payload is to be looked at, and must not do anything to it. */
static void print_for_eyes(const uint8_t *bytes, size_t len)
{
	if (!text_is_text(bytes, len)) {
		text_print_dump(stdout, bytes, len, "");
		return;
	}
	text_print(stdout, bytes, len, false);
	if (len && bytes[len - 1] != '\n')
		putchar('\n');
}

static int print_payload(const struct args *args, const struct answer *answer)
{
	const char *path = args_value(args, ARG_OUTPUT);

	if (path && strcmp(path, "-") != 0)
		return output_file(path, answer->body.bytes, answer->body.len);
	if (args_count(args, ARG_PRETTY) &&
	    pretty_print(stdout, format_of(answer), answer->body.bytes, answer->body.len))
		return 0;
	if (!path && isatty(STDOUT_FILENO)) {
		print_for_eyes(answer->body.bytes, answer->body.len);
		return 0;
	}
	if (answer->body.len)
		fwrite(answer->body.bytes, 1, answer->body.len, stdout);
	if (args_count(args, ARG_NEWLINE))
		putchar('\n');
	return 0;
}

int output_error(const struct answer *answer)
{
	char code[COPSE_CODE_TEXT_LEN];
	const struct copse_message *m = &answer->message;
	enum exit_code ends = report_code_of_response(m->code);
	uint32_t format = format_of(answer);

	copse_code_describe(m->code, code, sizeof(code));
	report_error(ends, "%s%s", code, m->payload_len ? ":" : "");
	if (report_is_quiet() || !m->payload_len)
		return (int)ends;
	if (format == COPSE_FORMAT_PROBLEM_DETAILS &&
	    pretty_problem(stderr, copse_message_payload(m), m->payload_len))
		return (int)ends;
	if (format != COPSE_FORMAT_NONE &&
	    pretty_print(stderr, format, copse_message_payload(m), m->payload_len))
		return (int)ends;
	fputs("  ", stderr);
	text_print(stderr, copse_message_payload(m), m->payload_len, true);
	fputc('\n', stderr);
	return (int)ends;
}

/* RFC 7252 §5.10.7: where what was created is, for people. */
static void note_location(const struct answer *answer)
{
	char path[1024];
	const struct copse_message *m = &answer->message;

	if (!isatty(STDERR_FILENO) || m->code != COPSE_CODE_CREATED)
		return;
	if (!copse_message_option(m, COPSE_OPTION_LOCATION_PATH) &&
	    !copse_message_option(m, COPSE_OPTION_LOCATION_QUERY))
		return;
	if (copse_uri_compose_path(m, true, path, sizeof(path)) > 0)
		report_note("created %s", path);
}

int output_answer(const struct args *args, const struct answer *answer)
{
	int code;

	if (!answer->datagram)
		return EXIT_OK; /* no answer was wanted, and none came */
	code = (int)report_code_of_response(answer->message.code);
	if (args_count(args, ARG_JSON)) {
		print_json(args, answer);
		return output_finish(code);
	}
	if (args_count(args, ARG_INCLUDE)) {
		describe_head(stdout, &answer->message);
		putchar('\n');
	}
	if (code != EXIT_OK)
		return output_finish(output_error(answer));
	note_location(answer);
	return output_finish(print_payload(args, answer));
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* A device or a pipe is written to as it is; a file is replaced. */
static bool is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

int output_file(const char *path, const uint8_t *bytes, size_t len)
{
	char beside[4096];
	bool special = is_special(path);
	int n = snprintf(beside, sizeof(beside), special ? "%s" : "%s.part", path);

	if (n < 0 || (size_t)n >= sizeof(beside))
		return report_error(EXIT_OTHER, "%s: the name is too long", path);
	int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return report_error(EXIT_OTHER, "cannot write %s: %s", path, strerror(errno));
	bool ok = write_all(fd, bytes, len);
	ok = close(fd) == 0 && ok;
	if (ok && !special)
		ok = rename(beside, path) == 0;
	if (ok)
		return 0;
	int code = report_error(EXIT_OTHER, "cannot write %s: %s", path, strerror(errno));
	if (!special)
		unlink(beside);
	return code;
}

int output_finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	report_setup(COLOR_AUTO, report_is_quiet(), false); /* standard output takes nothing any more */
	return report_error(EXIT_OTHER, "cannot write to standard output: %s", strerror(errno));
}
