/* See export_store.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "export_store.h"
#include "report.h"

#include "store/csv.h"
#include "store/identity.h"
#include "store/senml.h"

#include <copse/format.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE 65536 /* bytes written at once */

struct writing {
	struct sink *sink;
	struct store_buffer out;
	struct senml_writer writer;
	bool begun;
};

static void pass_on(struct writing *w)
{
	sink_put(w->sink, w->out.at, w->out.len);
	w->out.len = 0;
}

static int take(void *user, const struct store_row *row)
{
	struct writing *w = user;

	if (w->sink->form != SINK_CSV) {
		senml_encode_reading(&w->writer, row->reading);
	} else {
		if (!w->begun)
			store_csv_head(&w->out);
		store_csv_reading(&w->out, row->reading);
	}
	w->begun = true;
	if (w->out.len >= PIECE)
		pass_on(w);
	return w->out.failed ? STORE_NOMEM : 0;
}

static int read_all(struct store *store, const struct export_query *q, struct sink *sink)
{
	static const uint32_t formats[] = {[SINK_JSON] = COPSE_FORMAT_SENML_JSON,
					   [SINK_CBOR] = COPSE_FORMAT_SENML_CBOR,
					   [SINK_XML] = COPSE_FORMAT_SENML_XML};
	char id[STORE_DEVICE_MAX + 1];
	const char *device = id;
	struct writing w = {.sink = sink, .out.max = (size_t)1 << 30};
	struct store_query query = {.subject = STORE_READINGS, .name = q->name, .from = q->from, .to = q->to};

	w.writer.out = &w.out;
	w.writer.format = sink->form == SINK_CSV ? 0 : formats[sink->form];
	if (q->device) {
		if (store_identity(q->device, strlen(q->device), id) != 0)
			return STORE_INVALID;
		query.device = &device;
		query.device_n = 1;
	}
	sink_begin(sink);
	int result = store_read(store, &query, take, &w);
	if (result >= 0) {
		if (sink->form != SINK_CSV)
			senml_encode_end(&w.writer);
		pass_on(&w);
		sink_end(sink);
	}
	store_buffer_free(&w.out);
	return result;
}

int export_store(const char *path, const struct export_query *query, struct sink *sink)
{
	const struct store_sqlite_config config = {.path = path, .read_only = true};
	struct store store;
	char why[300];

	if (access(path, R_OK) != 0)
		return report_error(EXIT_OTHER, "cannot read %s: %s", path, strerror(errno));
	if (store_sqlite_open(&config, &store, why, sizeof(why)) < 0)
		return report_error(EXIT_OTHER, "%s", why);
	int result = read_all(&store, query, sink);
	store_close(&store);
	return result < 0 ? report_error(EXIT_OTHER, "%s: %s", path, store_result_text(result)) : 0;
}
