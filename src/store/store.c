/* See store.h: checks, aggregates and pages, the same for every back end.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "store.h"

#include <copse/mem.h>

#include <math.h>
#include <string.h>

const char *store_result_text(int result)
{
	switch (result) {
	case STORE_OK: return "stored";
	case STORE_DUPLICATE: return "stored before";
	case STORE_INVALID: return "a text is too long or a number is not finite";
	case STORE_FULL: return "the store is full";
	case STORE_READONLY: return "the store cannot be written to";
	case STORE_DAMAGED: return "the store's file is damaged";
	case STORE_NOMEM: return "the store is out of memory";
	case STORE_IO: return "the store's file cannot be read or written";
	case STORE_STOPPED: return "there is no store";
	case STORE_GONE: return "the store's file was moved, removed, replaced or cut";
	default: return "unknown result";
	}
}

static bool fits(const char *text, size_t max)
{
	return text && strnlen(text, max + 1) <= max;
}

static bool reading_is_valid(const struct store_reading *r)
{
	return fits(r->device, STORE_DEVICE_MAX) && r->device[0] && fits(r->name, STORE_NAME_MAX) &&
	       fits(r->unit, STORE_UNIT_MAX) && r->len <= STORE_BYTES_MAX && isfinite(r->number) &&
	       isfinite(r->sum) && r->kind <= STORE_DATA && (r->kind != STORE_NONE || r->has_sum);
}

static bool device_is_valid(const struct store_device *d)
{
	return fits(d->name, STORE_DEVICE_MAX) && d->name[0] && fits(d->label, STORE_TEXT_MAX) &&
	       fits(d->location, STORE_TEXT_MAX) && fits(d->type, STORE_TEXT_MAX) &&
	       fits(d->group, STORE_TEXT_MAX) && fits(d->unit, STORE_UNIT_MAX) &&
	       fits(d->extra, STORE_EXTRA_MAX);
}

bool store_batch_is_valid(const struct store_batch *b)
{
	for (uint32_t i = 0; i < b->reading_n; i++)
		if (!reading_is_valid(&b->reading[i]))
			return false;
	for (uint32_t i = 0; i < b->document_n; i++)
		if (!fits(b->document[i].path, STORE_PATH_MAX) || b->document[i].len > STORE_BYTES_MAX)
			return false;
	for (uint32_t i = 0; i < b->device_n; i++)
		if (!device_is_valid(&b->device[i]))
			return false;
	return true;
}

bool store_query_asks(const struct store_query *q, const char *device, const char *name)
{
	uint32_t low = 0, high = q->device_n;

	if (q->name && strcmp(q->name, name) != 0)
		return false;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = strcmp(q->device[middle], device);
		if (order == 0)
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return q->device_n == 0;
}

/* Only valid batches reach the back end, in groups that need no memory of their own. */
#define GROUP 1024

int store_write(struct store *store, struct store_batch *const *batch, size_t n)
{
	struct store_batch *valid[GROUP];
	size_t i = 0;

	while (i < n) {
		size_t valid_n = 0;
		for (; i < n && valid_n < GROUP; i++) {
			batch[i]->result = store_batch_is_valid(batch[i]) ? STORE_OK : STORE_INVALID;
			if (batch[i]->result == STORE_OK)
				valid[valid_n++] = batch[i];
		}
		int result = valid_n ? store->ops->write(store->self, valid, valid_n) : STORE_OK;
		if (result < 0) {
			for (size_t j = 0; j < valid_n; j++)
				valid[j]->result = result;
			for (; i < n; i++)
				batch[i]->result = result;
			return result;
		}
	}
	return STORE_OK;
}

int store_query_place(const struct store_query *q, const char *device, const char *name)
{
	const struct store_cursor *c = q->cursor;
	int order = 1;

	if (c && c->inside) {
		order = strcmp(device, c->device);
		if (order == 0)
			order = strcmp(name, c->name);
	}
	return order;
}

/* --- aggregates --- */

struct aggregate {
	const struct store_query *query;
	store_row_fn *row;
	void *user;
	struct store_bucket *bucket;
};

static double value_of(const struct store_bucket *b, enum store_aggregate agg)
{
	switch (agg) {
	case STORE_AGG_MEAN: return b->sum / (double)b->n;
	case STORE_AGG_MIN: return b->min;
	case STORE_AGG_MAX: return b->max;
	case STORE_AGG_SUM: return b->sum;
	case STORE_AGG_COUNT:
	case STORE_AGG_NONE:
	default: return (double)b->n;
	}
}

static int put_bucket(const struct aggregate *a)
{
	struct store_bucket *b = a->bucket;

	if (b->n == 0)
		return 0;
	const struct store_reading r = {
	    .device = b->device,
	    .name = b->name,
	    .unit = a->query->agg == STORE_AGG_COUNT ? "" : b->unit,
	    .time = b->begin,
	    .received = b->received,
	    .expires = STORE_NEVER,
	    .kind = STORE_NUMBER,
	    .number = value_of(b, a->query->agg),
	};
	b->n = 0;
	return a->row(a->user, &(struct store_row){.reading = &r});
}

/* The beginning of the bucket that `time` falls into; also before 1970. */
static int64_t begin_of(int64_t time, int64_t every)
{
	int64_t rest = time % every;

	return time - (rest < 0 ? rest + every : rest);
}

/* Returns what the row function said of the bucket that `r` ended, if it did. */
static int aggregate(const struct aggregate *a, const struct store_reading *r)
{
	struct store_bucket *b = a->bucket;
	int64_t begin = begin_of(r->time, a->query->every);
	int err = 0;

	if (r->kind != STORE_NUMBER && r->kind != STORE_BOOL && a->query->agg != STORE_AGG_COUNT)
		return 0;
	bool same = b->n && begin == b->begin && strcmp(r->device, b->device) == 0 &&
		    strcmp(r->name, b->name) == 0 && strcmp(r->unit, b->unit) == 0;
	if (!same) {
		err = put_bucket(a);
		memcpy(b->device, r->device, strlen(r->device) + 1);
		memcpy(b->name, r->name, strlen(r->name) + 1);
		memcpy(b->unit, r->unit, strlen(r->unit) + 1);
		b->begin = begin;
		b->sum = 0;
		b->min = b->max = r->number;
	}
	b->n++;
	b->received = r->received;
	b->sum += r->number;
	b->min = fmin(b->min, r->number);
	b->max = fmax(b->max, r->number);
	return err;
}

/* --- pages --- */

#define ENOUGH (-100) /* ends a page: no store_result */

struct page {
	struct aggregate aggregate;
	uint32_t rows;
};

static void note_place(struct store_cursor *c, const struct store_reading *r)
{
	if (!c->inside || strcmp(c->device, r->device) != 0 || strcmp(c->name, r->name) != 0) {
		memcpy(c->device, r->device, strlen(r->device) + 1);
		memcpy(c->name, r->name, strlen(r->name) + 1);
	}
	c->inside = true;
	c->time = r->time;
	c->id = r->id;
}

static int take_reading(void *user, const struct store_row *row)
{
	struct page *p = user;
	const struct store_query *q = p->aggregate.query;
	int err = q->agg ? aggregate(&p->aggregate, row->reading) : p->aggregate.row(p->aggregate.user, row);

	if (err < 0 || !q->cursor)
		return err < 0 ? err : 0;
	note_place(q->cursor, row->reading);
	return err > 0 || ++p->rows == q->page ? ENOUGH : 0;
}

int store_read(struct store *store, const struct store_query *query, store_row_fn *row, void *user)
{
	struct store_bucket own = {.n = 0};
	struct store_cursor *c = query->cursor;
	struct page p = {.aggregate = {query, row, user, c ? &c->bucket : &own}};

	if (query->subject != STORE_READINGS)
		return store->ops->read(store->self, query, row, user);
	COPSE_ASSERT(query->agg == STORE_AGG_NONE || query->every > 0);
	int err = store->ops->read(store->self, query, take_reading, &p);
	if (c)
		c->begun = true;
	if (err == ENOUGH)
		return STORE_OK;
	if (err >= 0)
		err = put_bucket(&p.aggregate);
	if (c)
		c->done = err >= 0;
	return err < 0 ? err : STORE_OK;
}

int store_trim(struct store *store, int64_t before, int64_t origins)
{
	return store->ops->trim(store->self, before, origins);
}

int store_usage(struct store *store, struct store_usage *usage)
{
	return store->ops->usage(store->self, usage);
}

void store_close(struct store *store)
{
	if (store->ops)
		store->ops->close(store->self);
	store->ops = NULL;
}
