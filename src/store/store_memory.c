/* The store in memory: sorted arrays and nothing else. A batch that does not fit, or finds no memory
 * half-way, is taken back: what it added is removed again, newest first.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "store.h"
#include "vector.h"

#include <copse/mem.h>

#include <string.h>

struct kept_reading {
	int64_t time, received, expires, id;
	double number, sum;
	uint8_t *bytes; /* ours */
	char *unit;     /* ours */
	uint32_t len;
	uint8_t kind;
	bool has_sum;
};

struct series {
	char *device, *name;
	struct store_vector readings; /* of struct kept_reading, ascending in time and id */
};

struct kept_document {
	char *path;
	uint8_t *bytes;
	int64_t received, expires;
	uint32_t len, format;
};

struct kept_device {
	char *text[7]; /* name, label, location, type, group, unit, extra */
	bool sleeping;
};

struct origin {
	uint64_t origin;
	int64_t received;
};

struct memory {
	struct store_vector series;    /* of struct series, ascending in device and name */
	struct store_vector documents; /* in the order of arrival */
	struct store_vector devices;   /* ascending in name */
	struct store_vector origins;
	uint64_t bytes, max_bytes, readings;
	int64_t next; /* id of the next reading */
};

static void *copy_of(const void *bytes, size_t len)
{
	uint8_t *copy = copse_mem_new(len + 1, 1);

	if (copy && len)
		memcpy(copy, bytes, len);
	return copy;
}

static char *text_of(const char *text)
{
	return copy_of(text, strlen(text));
}

/* --- series --- */

static int compare_series(const struct series *s, const char *device, const char *name)
{
	int order = strcmp(s->device, device);

	return order ? order : strcmp(s->name, name);
}

/* The place of the first series not before (device, name). */
static size_t series_place(const struct memory *m, const char *device, const char *name)
{
	size_t low = 0, high = m->series.n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (compare_series(store_vector_at(&m->series, middle), device, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct series *series_get(struct memory *m, const char *device, const char *name)
{
	size_t i = series_place(m, device, name);
	struct series *s;

	if (i < m->series.n && compare_series(store_vector_at(&m->series, i), device, name) == 0)
		return store_vector_at(&m->series, i);
	char *own_device = text_of(device), *own_name = text_of(name);
	s = own_device && own_name ? store_vector_insert(&m->series, i) : NULL;
	if (!s) {
		copse_mem_free(own_device);
		copse_mem_free(own_name);
		return NULL;
	}
	s->device = own_device;
	s->name = own_name;
	s->readings.size = sizeof(struct kept_reading);
	return s;
}

/* The place of the first reading after `time`, or from it on. */
static size_t reading_place(const struct series *s, int64_t time, bool after)
{
	size_t low = 0, high = s->readings.n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct kept_reading *r = store_vector_at(&s->readings, middle);
		if (r->time < time || (after && r->time == time))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void drop_readings(struct memory *m, struct series *s, size_t i, size_t n)
{
	for (size_t j = i; j < i + n; j++) {
		struct kept_reading *r = store_vector_at(&s->readings, j);
		m->bytes -= sizeof(*r) + r->len;
		m->readings--;
		copse_mem_free(r->bytes);
		copse_mem_free(r->unit);
	}
	store_vector_remove(&s->readings, i, n);
}

static int put_reading(struct memory *m, const struct store_reading *in)
{
	struct series *s = series_get(m, in->device, in->name);
	struct kept_reading *r;

	if (m->max_bytes && m->bytes + sizeof(*r) + in->len > m->max_bytes)
		return STORE_FULL;
	if (!s)
		return STORE_NOMEM;
	uint8_t *bytes = copy_of(in->bytes, in->len);
	char *unit = text_of(in->unit);
	r = bytes && unit ? store_vector_insert(&s->readings, reading_place(s, in->time, true)) : NULL;
	if (!r) {
		copse_mem_free(bytes);
		copse_mem_free(unit);
		return STORE_NOMEM;
	}
	*r = (struct kept_reading){.time = in->time,
				   .received = in->received,
				   .expires = in->expires,
				   .id = m->next++,
				   .number = in->number,
				   .sum = in->sum,
				   .bytes = bytes,
				   .unit = unit,
				   .len = in->len,
				   .kind = in->kind,
				   .has_sum = in->has_sum};
	m->bytes += sizeof(*r) + in->len;
	m->readings++;
	return STORE_OK;
}

/* --- documents --- */

static void drop_document(struct memory *m, size_t i)
{
	struct kept_document *d = store_vector_at(&m->documents, i);

	m->bytes -= sizeof(*d) + d->len;
	copse_mem_free(d->path);
	copse_mem_free(d->bytes);
	store_vector_remove(&m->documents, i, 1);
}

static int put_document(struct memory *m, const struct store_document *in)
{
	struct kept_document *d;

	if (m->max_bytes && m->bytes + sizeof(*d) + in->len > m->max_bytes)
		return STORE_FULL;
	char *path = text_of(in->path);
	uint8_t *bytes = copy_of(in->bytes, in->len);
	d = path && bytes ? store_vector_insert(&m->documents, m->documents.n) : NULL;
	if (!d) {
		copse_mem_free(path);
		copse_mem_free(bytes);
		return STORE_NOMEM;
	}
	*d = (struct kept_document){path, bytes, in->received, in->expires, in->len, in->format};
	m->bytes += sizeof(*d) + in->len;
	return STORE_OK;
}

/* --- devices --- */

static void free_device(struct kept_device *d)
{
	for (size_t i = 0; i < sizeof(d->text) / sizeof(*d->text); i++)
		copse_mem_free(d->text[i]);
}

static size_t device_place(const struct memory *m, const char *name, bool *found)
{
	size_t i = 0;
	int order = -1;

	while (i < m->devices.n &&
	       (order = strcmp(((struct kept_device *)store_vector_at(&m->devices, i))->text[0], name)) < 0)
		i++;
	*found = i < m->devices.n && order == 0;
	return i;
}

static int put_device(struct memory *m, const struct store_device *in)
{
	const char *text[] = {in->name, in->label, in->location, in->type, in->group, in->unit, in->extra};
	struct kept_device new = {.sleeping = in->sleeping}, *d;
	bool found, whole = true;
	size_t i = device_place(m, in->name, &found);

	if (in->gone) {
		if (found) {
			free_device(store_vector_at(&m->devices, i));
			store_vector_remove(&m->devices, i, 1);
		}
		return STORE_OK;
	}
	for (size_t j = 0; j < sizeof(text) / sizeof(*text); j++)
		whole = (new.text[j] = text_of(text[j])) != NULL && whole;
	d = !whole ? NULL : found ? store_vector_at(&m->devices, i) : store_vector_insert(&m->devices, i);
	if (!d) {
		free_device(&new);
		return STORE_NOMEM;
	}
	if (found)
		free_device(d);
	*d = new;
	return STORE_OK;
}

/* --- the interface --- */

static bool is_known(struct memory *m, const struct store_batch *b)
{
	for (size_t i = 0; b->origin && i < m->origins.n; i++) {
		const struct origin *o = store_vector_at(&m->origins, i);
		if (o->origin == b->origin && store_is_origin_fresh(o->received, b->received))
			return true;
	}
	return false;
}

/* Take back the first `readings` readings and `documents` documents of `b`. */
static void take_back(struct memory *m, const struct store_batch *b, uint32_t readings, uint32_t documents)
{
	while (documents-- > 0)
		drop_document(m, m->documents.n - 1);
	while (readings-- > 0) {
		const struct store_reading *r = &b->reading[readings];
		struct series *s = series_get(m, r->device, r->name);
		drop_readings(m, s, reading_place(s, r->time, true) - 1, 1);
	}
}

static int put_batch(struct memory *m, struct store_batch *b)
{
	uint32_t readings = 0, documents = 0;
	int result = STORE_OK;

	if (is_known(m, b))
		return STORE_DUPLICATE;
	struct origin *o = b->origin ? store_vector_insert(&m->origins, m->origins.n) : NULL;
	if (b->origin && !o)
		return STORE_NOMEM;
	if (o)
		*o = (struct origin){b->origin, b->received};
	while (result == STORE_OK && readings < b->reading_n)
		result = put_reading(m, &b->reading[readings++]);
	while (result == STORE_OK && documents < b->document_n)
		result = put_document(m, &b->document[documents++]);
	if (result < 0) {
		take_back(m, b, documents ? readings : readings - 1, documents ? documents - 1 : 0);
		if (o)
			store_vector_remove(&m->origins, m->origins.n - 1, 1);
		return result;
	}
	for (uint32_t i = 0; result == STORE_OK && i < b->device_n; i++)
		result = put_device(m, &b->device[i]);
	if (result < 0)
		take_back(m, b, readings, documents);
	return result;
}

/* A transaction is undone as a whole, as its batches are: those before the one that failed are taken back too. */
static void undo(struct memory *m, struct store_batch *const *batch, size_t n)
{
	while (n-- > 0) {
		if (batch[n]->result != STORE_OK)
			continue;
		take_back(m, batch[n], batch[n]->reading_n, batch[n]->document_n);
		if (batch[n]->origin)
			store_vector_remove(&m->origins, m->origins.n - 1, 1);
	}
}

static int memory_write(void *self, struct store_batch *const *batch, size_t n)
{
	struct memory *m = self;

	for (size_t i = 0; i < n; i++) {
		batch[i]->result = put_batch(m, batch[i]);
		if (batch[i]->result < 0) {
			int result = batch[i]->result;
			undo(m, batch, i);
			return result;
		}
	}
	return STORE_OK;
}

static int give(const struct series *s, size_t i, store_row_fn *row, void *user)
{
	const struct kept_reading *k = store_vector_at(&s->readings, i);
	const struct store_reading r = {.device = s->device,
					.name = s->name,
					.unit = k->unit,
					.time = k->time,
					.received = k->received,
					.expires = k->expires,
					.number = k->number,
					.sum = k->sum,
					.bytes = k->bytes,
					.len = k->len,
					.kind = k->kind,
					.has_sum = k->has_sum,
					.id = k->id};

	return row(user, &(struct store_row){.reading = &r});
}

static int64_t id_at(const struct series *s, size_t i)
{
	return ((const struct kept_reading *)store_vector_at(&s->readings, i))->id;
}

/* The place of the first reading behind the cursor. */
static size_t cursor_place(const struct series *s, const struct store_cursor *c)
{
	size_t i = reading_place(s, c->time, true);

	while (i > 0 && id_at(s, i - 1) > c->id &&
	       ((const struct kept_reading *)store_vector_at(&s->readings, i - 1))->time == c->time)
		i--;
	return i;
}

/* The place of the first of the newest `q->last` before `end`. */
static size_t last_place(const struct store_query *q, const struct series *s, size_t first, size_t end)
{
	uint32_t n = 0;

	while (end > first && n < q->last)
		n += id_at(s, --end) < store_query_ceiling(q);
	return end;
}

static int read_series(const struct store_query *q, const struct series *s, store_row_fn *row, void *user)
{
	size_t first = reading_place(s, q->from, false), end = reading_place(s, q->to, false);
	int err = 0, place = store_query_place(q, s->device, s->name);

	if (place < 0)
		return 0;
	if (q->subject == STORE_LATEST) {
		first = s->readings.n - (s->readings.n ? 1 : 0);
		end = s->readings.n;
	} else if (place == 0) {
		first = cursor_place(s, q->cursor);
	} else if (q->last) {
		first = last_place(q, s, first, end);
	}
	for (size_t i = first; err >= 0 && i < end; i++)
		if (id_at(s, i) < store_query_ceiling(q))
			err = give(s, i, row, user);
	return err < 0 ? err : 0;
}

static int give_document(const struct kept_document *d, bool bytes, store_row_fn *row, void *user)
{
	const struct store_document out = {.path = d->path,
					   .received = d->received,
					   .expires = d->expires,
					   .bytes = bytes ? d->bytes : NULL,
					   .len = d->len,
					   .format = d->format};

	return row(user, &(struct store_row){.document = &out});
}

static int read_documents(struct memory *m, const struct store_query *q, store_row_fn *row, void *user)
{
	size_t matches = 0, seen = 0;
	int err = 0;

	for (size_t i = 0; i < m->documents.n; i++)
		matches +=
		    strcmp(((struct kept_document *)store_vector_at(&m->documents, i))->path, q->path) == 0;
	for (size_t i = 0; err >= 0 && i < m->documents.n; i++) {
		const struct kept_document *d = store_vector_at(&m->documents, i);
		if (strcmp(d->path, q->path) != 0)
			continue;
		if (!q->last || matches - seen <= q->last)
			err = give_document(d, true, row, user);
		seen++;
	}
	return err < 0 ? err : 0;
}

/* The newest document of each path, paths ascending: the next path is searched for again and again. */
static int read_paths(struct memory *m, const struct store_query *q, store_row_fn *row, void *user)
{
	size_t len = strlen(q->path);
	const char *after = NULL;
	int err = 0;

	while (err >= 0) {
		const struct kept_document *next = NULL;
		for (size_t i = 0; i < m->documents.n; i++) {
			const struct kept_document *d = store_vector_at(&m->documents, i);
			bool below = strncmp(d->path, q->path, len) == 0;
			if (below && (!after || strcmp(d->path, after) > 0) &&
			    (!next || strcmp(d->path, next->path) <= 0))
				next = d;
		}
		if (!next)
			break;
		after = next->path;
		err = give_document(next, false, row, user);
	}
	return err < 0 ? err : 0;
}

static int read_devices(struct memory *m, store_row_fn *row, void *user)
{
	int err = 0;

	for (size_t i = 0; err >= 0 && i < m->devices.n; i++) {
		const struct kept_device *d = store_vector_at(&m->devices, i);
		const struct store_device out = {.name = d->text[0],
						 .label = d->text[1],
						 .location = d->text[2],
						 .type = d->text[3],
						 .group = d->text[4],
						 .unit = d->text[5],
						 .extra = d->text[6],
						 .sleeping = d->sleeping};
		err = row(user, &(struct store_row){.device = &out});
	}
	return err < 0 ? err : 0;
}

static int memory_read(void *self, const struct store_query *q, store_row_fn *row, void *user)
{
	struct memory *m = self;
	int err = 0;

	if (q->subject == STORE_DOCUMENTS)
		return read_documents(m, q, row, user);
	if (q->subject == STORE_PATHS)
		return read_paths(m, q, row, user);
	if (q->subject == STORE_DEVICES)
		return read_devices(m, row, user);
	if (q->cursor && !q->cursor->begun)
		q->cursor->ceiling = m->next;
	for (size_t i = 0; err >= 0 && i < m->series.n; i++) {
		const struct series *s = store_vector_at(&m->series, i);
		if (store_query_asks(q, s->device, s->name))
			err = read_series(q, s, row, user);
	}
	return err;
}

static int memory_trim(void *self, int64_t before, int64_t origins)
{
	struct memory *m = self;

	for (size_t i = 0; i < m->series.n; i++) {
		struct series *s = store_vector_at(&m->series, i);
		drop_readings(m, s, 0, reading_place(s, before, false));
	}
	for (size_t i = m->documents.n; i-- > 0;)
		if (((struct kept_document *)store_vector_at(&m->documents, i))->received < before)
			drop_document(m, i);
	for (size_t i = m->origins.n; i-- > 0;)
		if (!store_is_origin_fresh(((struct origin *)store_vector_at(&m->origins, i))->received,
					   origins + STORE_ORIGIN_US))
			store_vector_remove(&m->origins, i, 1);
	return STORE_OK;
}

static int memory_usage(void *self, struct store_usage *usage)
{
	const struct memory *m = self;

	*usage = (struct store_usage){usage->count, m->readings, m->documents.n,
				      m->series.n,  m->bytes,    STORE_NEVER};
	for (size_t i = 0; i < m->series.n; i++) {
		const struct series *s = store_vector_at(&m->series, i);
		const struct kept_reading *r = s->readings.at;
		if (s->readings.n && r->time < usage->oldest)
			usage->oldest = r->time;
	}
	const struct kept_document *d = m->documents.at;
	if (m->documents.n && d->received < usage->oldest)
		usage->oldest = d->received;
	return STORE_OK;
}

static void memory_close(void *self)
{
	struct memory *m = self;

	for (size_t i = 0; i < m->series.n; i++) {
		struct series *s = store_vector_at(&m->series, i);
		drop_readings(m, s, 0, s->readings.n);
		store_vector_free(&s->readings);
		copse_mem_free(s->device);
		copse_mem_free(s->name);
	}
	while (m->documents.n)
		drop_document(m, m->documents.n - 1);
	for (size_t i = 0; i < m->devices.n; i++)
		free_device(store_vector_at(&m->devices, i));
	store_vector_free(&m->series);
	store_vector_free(&m->documents);
	store_vector_free(&m->devices);
	store_vector_free(&m->origins);
	copse_mem_free(m);
}

static const struct store_ops ops = {"memory",    memory_write, memory_read,
				     memory_trim, memory_usage, memory_close};

int store_memory_open(uint64_t max_bytes, struct store *out)
{
	struct memory *m = copse_mem_new(1, sizeof(*m));

	*out = (struct store){0};
	if (!m)
		return STORE_NOMEM;
	m->max_bytes = max_bytes;
	m->series.size = sizeof(struct series);
	m->documents.size = sizeof(struct kept_document);
	m->devices.size = sizeof(struct kept_device);
	m->origins.size = sizeof(struct origin);
	*out = (struct store){&ops, m};
	return STORE_OK;
}
