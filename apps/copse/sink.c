/* See sink.h.
 *
 * A pack has a head ("[", 0x9f, the start tag, the line of column names) and a tail ("]", 0xff, the end tag,
 * nothing). One head is kept, and one tail; between the rows of two packs stands a comma where the format wants it.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "sink.h"
#include "report.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As the gateway writes them. */
static const struct form {
	const char *head_end; /* the head goes up to here, included */
	const char *tail;
	const char *joint;
	const char *empty; /* a whole without rows */
	size_t tail_len;
} forms[] = {
    [SINK_CSV] = {"\n", "", "", "time,device,name,value,unit,sum\r\n", 0},
    [SINK_JSON] = {"[", "]", ",", "[]", 1},
    [SINK_CBOR] = {"\x9f", "\xff", "", "\x9f\xff", 1},
    [SINK_XML] = {">", "</sensml>", "", "<sensml xmlns=\"urn:ietf:params:xml:ns:senml\"></sensml>", 9},
};

int sink_open(struct sink *sink, const char *path, enum sink_form form)
{
	struct stat st;

	*sink = (struct sink){.file = stdout, .form = form};
	if (!path || strcmp(path, "-") == 0)
		return 0;
	sink->path = path;
	bool special = stat(path, &st) == 0 && !S_ISREG(st.st_mode); /* a pipe is written to as it is */
	int n = snprintf(sink->beside, sizeof(sink->beside), special ? "%s" : "%s.part", path);
	if (n < 0 || (size_t)n >= sizeof(sink->beside))
		return report_error(EXIT_OTHER, "%s: the name is too long", path);
	sink->file = fopen(sink->beside, "wb");
	return sink->file ? 0 : report_error(EXIT_OTHER, "cannot write %s: %s", path, strerror(errno));
}

void sink_begin(struct sink *sink)
{
	sink->at = sink->held_n = 0;
	sink->in_head = true;
}

static void put(struct sink *sink, const void *bytes, size_t len)
{
	if (len)
		fwrite(bytes, 1, len, sink->file);
}

/* Rows follow: of the first pack behind its head, of another one behind what joins them. */
static void begin_rows(struct sink *sink)
{
	const struct form *f = &forms[sink->form];

	if (sink->rows_of++)
		put(sink, f->joint, strlen(f->joint));
	else
		put(sink, f->empty, strlen(f->empty) - f->tail_len);
}

static void put_row_byte(struct sink *sink, uint8_t byte)
{
	const struct form *f = &forms[sink->form];

	if (sink->held_n == f->tail_len) {
		if (sink->at++ == 0)
			begin_rows(sink);
		if (f->tail_len) {
			put(sink, sink->held, 1);
			memmove(sink->held, sink->held + 1, --sink->held_n);
		} else {
			put(sink, &byte, 1);
			return;
		}
	}
	sink->held[sink->held_n++] = byte;
}

void sink_put(struct sink *sink, const uint8_t *bytes, size_t len)
{
	const struct form *f = &forms[sink->form];

	for (size_t i = 0; i < len; i++) {
		if (!sink->in_head)
			put_row_byte(sink, bytes[i]);
		else if (bytes[i] == (uint8_t)f->head_end[0])
			sink->in_head = false;
	}
}

void sink_end(struct sink *sink)
{
	sink->held_n = 0;
}

static int fail(const struct sink *sink)
{
	return report_error(EXIT_OTHER, "cannot write %s: %s", sink->path ? sink->path : "to standard output",
			    strerror(errno));
}

int sink_close(struct sink *sink, int code)
{
	const struct form *f = &forms[sink->form];
	struct stat st;
	bool good = true;

	if (!code) {
		put(sink, sink->rows_of ? f->tail : f->empty, sink->rows_of ? f->tail_len : strlen(f->empty));
		good = fflush(sink->file) == 0 && !ferror(sink->file);
	}
	if (!sink->path)
		return good ? code : fail(sink);
	good = fclose(sink->file) == 0 && good;
	bool special = stat(sink->beside, &st) == 0 && !S_ISREG(st.st_mode);
	if (!special && !code && good)
		good = rename(sink->beside, sink->path) == 0;
	if (!good)
		code = fail(sink);
	if (code && !special)
		unlink(sink->beside);
	return code;
}
