/* See store.h: checks and aggregates, the same for every back end.
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

/* --- aggregates --- */

struct bucket {
	const struct store_query *query;
	store_row_fn *row;
	void *user;
	char device[STORE_DEVICE_MAX + 1], name[STORE_NAME_MAX + 1], unit[STORE_UNIT_MAX + 1];
	int64_t begin, received;
	uint64_t n;
	double sum, min, max;
};

static double value_of(const struct bucket *b)
{
	switch (b->query->agg) {
	case STORE_AGG_MEAN: return b->sum / (double)b->n;
	case STORE_AGG_MIN: return b->min;
	case STORE_AGG_MAX: return b->max;
	case STORE_AGG_SUM: return b->sum;
	case STORE_AGG_COUNT:
	case STORE_AGG_NONE:
	default: return (double)b->n;
	}
}

static int put_bucket(struct bucket *b)
{
	if (b->n == 0)
		return 0;
	const struct store_reading r = {
	    .device = b->device,
	    .name = b->name,
	    .unit = b->query->agg == STORE_AGG_COUNT ? "" : b->unit,
	    .time = b->begin,
	    .received = b->received,
	    .expires = STORE_NEVER,
	    .kind = STORE_NUMBER,
	    .number = value_of(b),
	};
	b->n = 0;
	return b->row(b->user, &(struct store_row){.reading = &r});
}

/* The beginning of the bucket that `time` falls into; also before 1970. */
static int64_t begin_of(int64_t time, int64_t every)
{
	int64_t rest = time % every;

	return time - (rest < 0 ? rest + every : rest);
}

static int take_reading(void *user, const struct store_row *row)
{
	struct bucket *b = user;
	const struct store_reading *r = row->reading;
	int64_t begin = begin_of(r->time, b->query->every);

	if (r->kind != STORE_NUMBER && r->kind != STORE_BOOL && b->query->agg != STORE_AGG_COUNT)
		return 0;
	bool same = b->n && begin == b->begin && strcmp(r->device, b->device) == 0 &&
		    strcmp(r->name, b->name) == 0 && strcmp(r->unit, b->unit) == 0;
	if (!same) {
		int err = put_bucket(b);
		if (err < 0)
			return err;
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
	return 0;
}

int store_read(struct store *store, const struct store_query *query, store_row_fn *row, void *user)
{
	struct bucket b = {.query = query, .row = row, .user = user};

	if (query->subject != STORE_READINGS || query->agg == STORE_AGG_NONE)
		return store->ops->read(store->self, query, row, user);
	COPSE_ASSERT(query->every > 0);
	int err = store->ops->read(store->self, query, take_reading, &b);
	return err < 0 ? err : put_bucket(&b);
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
