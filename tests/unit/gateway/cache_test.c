/* The response cache against a model, at its bounds, and with entries held while they are replaced.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/cache.h"

static const uint64_t secret[2] = {3, 4};

static struct gw_cache_key key_of(uint64_t n, uint64_t uri)
{
	return (struct gw_cache_key){{n, ~n}, uri};
}

static bool store(struct gw_cache *c, uint64_t n, uint64_t uri, const char *text, const char *etag,
		  uint32_t max_age, copse_ms now)
{
	struct gw_cache_key key = key_of(n, uri);
	struct gw_cache_answer a = {.options = "op",
				    .options_len = 2,
				    .payload = text,
				    .payload_len = strlen(text),
				    .etag = etag,
				    .etag_len = strlen(etag),
				    .max_age = max_age};

	return gw_cache_store(c, &key, &a, now);
}

static struct gw_cache_entry *find(struct gw_cache *c, uint64_t n, copse_ms now)
{
	struct gw_cache_key key = key_of(n, 0);

	return gw_cache_find(c, &key, now);
}

static void must_hold(const struct gw_cache *c, const struct gw_cache_entry *e, const char *text)
{
	uint8_t buf[20000];

	assert_non_null(e);
	assert_int_equal(e->options_len, 2);
	assert_int_equal(e->payload_len, strlen(text));
	gw_cache_read(c, e, buf);
	assert_memory_equal(buf, "op", 2);
	assert_memory_equal(buf + 2, text, strlen(text));
}

static uint32_t entries(const struct gw_cache *c)
{
	struct gw_cache_usage u;

	gw_cache_usage(c, &u);
	assert_true(u.entries <= u.entries_max);
	assert_true(u.bytes <= u.bytes_max);
	return u.entries;
}

static uint64_t bytes(const struct gw_cache *c)
{
	struct gw_cache_usage u;

	gw_cache_usage(c, &u);
	return u.bytes;
}

static void test_freshness(void **state)
{
	struct gw_cache *c = gw_cache_new(4, 1024, secret);

	(void)state;
	assert_null(find(c, 1, 0));
	assert_true(store(c, 1, 9, "one", "", 2, 1000));
	must_hold(c, find(c, 1, 1000), "one");
	assert_int_equal(gw_cache_left(find(c, 1, 1000), 1000), 2);
	assert_int_equal(gw_cache_left(find(c, 1, 1001), 1001), 1); /* never longer than is left */
	assert_true(gw_cache_is_fresh(find(c, 1, 2999), 2999));
	assert_int_equal(gw_cache_left(find(c, 1, 2999), 2999), 0);
	assert_null(find(c, 1, 3000)); /* nothing can become of it: dropped */
	assert_int_equal(entries(c), 0);
	assert_int_equal(bytes(c), 0);
	assert_true(store(c, 1, 9, "one", "e1", 2, 1000));
	assert_false(gw_cache_is_fresh(find(c, 1, 3000), 3000)); /* found, to be validated */
	assert_int_equal(gw_cache_left(find(c, 1, 3000), 3000), 0);
	gw_cache_refresh(c, find(c, 1, 3000), 5, 3000);
	assert_true(gw_cache_is_fresh(find(c, 1, 7999), 7999));
	assert_false(store(c, 2, 9, "x", "", 0, 0)); /* stale from the beginning */
	assert_true(store(c, 2, 9, "x", "e", 0, 0)); /* but this one can be validated */
	assert_false(gw_cache_is_fresh(find(c, 2, 0), 0));
	assert_false(
	    store(c, 1, 9, "x", "", 0, 0)); /* the newest answer may not be kept: nor what it replaces */
	assert_null(find(c, 1, 3000));
	assert_true(store(c, 3, 9, "long", "", UINT32_MAX, 5)); /* no overflow */
	assert_int_equal(gw_cache_left(find(c, 3, 1005), 1005), UINT32_MAX - 1);
	gw_cache_free(c);
	gw_cache_free(NULL);
}

static void test_replace(void **state)
{
	struct gw_cache *c = gw_cache_new(4, 1024, secret);

	(void)state;
	store(c, 1, 9, "one", "a", 2, 0);
	store(c, 1, 9, "another", "b", 2, 0);
	must_hold(c, find(c, 1, 0), "another");
	assert_int_equal(entries(c), 1);
	/* keys that are alike in half of their bits are two keys */
	struct gw_cache_key half = {{1, 1}, 9};
	assert_null(gw_cache_find(c, &half, 0));
	gw_cache_free(c);
}

static void test_entries_bound(void **state)
{
	struct gw_cache *c = gw_cache_new(3, 100000, secret);

	(void)state;
	for (uint64_t i = 1; i <= 3; i++)
		store(c, i, i, "x", "", 60, 0);
	find(c, 1, 0); /* used: 2 is the least recently used now */
	store(c, 4, 4, "x", "", 60, 0);
	assert_int_equal(entries(c), 3);
	assert_null(find(c, 2, 0));
	assert_non_null(find(c, 1, 0));
	assert_non_null(find(c, 3, 0));
	assert_non_null(find(c, 4, 0));
	assert_int_equal(gw_cache_counters(c)->evicted, 1);
	gw_cache_free(c);
}

static void test_bytes_bound(void **state)
{
	static char text[1000];
	struct gw_cache *c = gw_cache_new(100, 10 * 128 + 127, secret); /* ten chunks */

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (uint64_t i = 1; i <= 10; i++)
		assert_true(store(c, i, i, "small", "", 60, 0));
	assert_int_equal(bytes(c), 1280);
	text[4 * 124 - 2] = 0; /* with its options four chunks, to the last byte */
	assert_true(store(c, 20, 20, text, "", 60, 0));
	assert_int_equal(entries(c), 7);
	assert_int_equal(bytes(c), 1280);
	must_hold(c, find(c, 20, 0), text);
	for (uint64_t i = 1; i <= 10; i++)
		assert_int_equal(find(c, i, 0) != NULL, i > 4);
	gw_cache_free(c);

	c = gw_cache_new(100, 4 * 128, secret);
	assert_true(store(c, 1, 1, "small", "", 60, 0));
	assert_true(store(c, 2, 2, text, "", 60, 0)); /* all of it */
	assert_null(find(c, 1, 0));
	char larger[600];
	memset(larger, 'y', sizeof(larger) - 1);
	larger[sizeof(larger) - 1] = 0;
	assert_false(store(c, 3, 3, larger, "", 60, 0));
	assert_int_equal(gw_cache_counters(c)->unfit, 1);
	must_hold(c, find(c, 2, 0), text);               /* nobody had to go for what does not fit anyway */
	assert_false(store(c, 2, 2, larger, "", 60, 0)); /* but what it replaces is outdated */
	assert_null(find(c, 2, 0));
	assert_int_equal(bytes(c), 0);
	gw_cache_free(c);

	c = gw_cache_new(1, 0, secret); /* no byte, no chunk */
	assert_false(store(c, 1, 1, "x", "", 60, 0));
	gw_cache_free(c);
}

static void test_invalidate(void **state)
{
	struct gw_cache *c = gw_cache_new(8, 4096, secret);

	(void)state;
	for (uint64_t i = 1; i <= 4; i++)
		store(c, i, i <= 3 ? 77 : 78, "x", i == 2 ? "e" : "", 60, 0);
	gw_cache_invalidate(c, 77, 10);
	assert_null(find(c, 1, 10));
	assert_null(find(c, 3, 10));
	assert_non_null(find(c, 2, 10)); /* to be validated */
	assert_false(gw_cache_is_fresh(find(c, 2, 10), 10));
	assert_true(gw_cache_is_fresh(find(c, 4, 10), 10));
	assert_int_equal(gw_cache_counters(c)->invalidated, 3);
	gw_cache_invalidate(c, 77, 10);
	assert_int_equal(gw_cache_counters(c)->invalidated, 3); /* stale things do not become staler */
	gw_cache_invalidate(c, 5, 10);                          /* nothing is known of it */
	assert_int_equal(entries(c), 2);
	gw_cache_free(c);
}

/* What somebody holds stays as it was, whatever happens to its key. */
static void test_pins(void **state)
{
	struct gw_cache *c = gw_cache_new(3, 3 * 128, secret);

	(void)state;
	store(c, 1, 7, "old", "e", 60, 0);
	struct gw_cache_entry *held = find(c, 1, 0);
	gw_cache_pin(c, held);
	gw_cache_pin(c, held);
	assert_true(gw_cache_is_current(held));
	store(c, 1, 7, "new", "f", 60, 0);
	must_hold(c, held, "old");
	assert_false(gw_cache_is_current(held));
	must_hold(c, find(c, 1, 0), "new");
	assert_int_equal(entries(c), 2);
	gw_cache_refresh(c, held, 100, 0); /* it does not come back */
	must_hold(c, find(c, 1, 0), "new");
	gw_cache_invalidate(c, 7, 1); /* nor is it found by its URI */
	assert_int_equal(gw_cache_counters(c)->invalidated, 1);
	for (uint64_t i = 2; i < 20; i++) /* nor evicted */
		store(c, i, i, "many", "", 60, 0);
	must_hold(c, held, "old");
	gw_cache_unpin(c, held);
	must_hold(c, held, "old");
	gw_cache_unpin(c, held);
	assert_int_equal(entries(c), 2);
	store(c, 50, 50, "x", "", 60, 0);
	assert_int_equal(entries(c), 3);
	gw_cache_free(c);
}

/* All of it is held: nothing can be stored, and nothing breaks; afterwards everything is as before. */
static void test_all_pinned(void **state)
{
	struct gw_cache *c = gw_cache_new(2, 1024, secret);
	struct gw_cache_entry *held[2];

	(void)state;
	for (uint64_t i = 0; i < 2; i++) {
		store(c, i, i, "x", "e", 60, 0);
		held[i] = find(c, i, 0);
		gw_cache_pin(c, held[i]);
	}
	assert_false(store(c, 9, 9, "y", "", 60, 0));
	assert_int_equal(gw_cache_counters(c)->unfit, 1);
	assert_ptr_equal(find(c, 0, 0), held[0]);
	gw_cache_unpin(c, held[1]);
	assert_ptr_equal(find(c, 1, 0), held[1]);
	assert_true(store(c, 9, 9, "y", "", 60, 0));
	assert_null(find(c, 1, 0));
	must_hold(c, held[0], "x");
	gw_cache_unpin(c, held[0]);
	gw_cache_free(c);
}

/* --- against a model --- */

#define MODEL 40

struct model {
	bool there;
	char text[400];
	bool etag;
	copse_ms expires;
	uint64_t used;
};

static uint64_t lottery = 88172645463325252u;

static uint32_t draw(uint32_t below)
{
	lottery ^= lottery << 13;
	lottery ^= lottery >> 7;
	lottery ^= lottery << 17;
	return (uint32_t)(lottery >> 33) % below;
}

static size_t chunks(const struct model *m)
{
	return (strlen(m->text) + 2 + 123) / 124;
}

static void model_evict(struct model *model, size_t wanted, size_t entries_max, size_t chunks_max)
{
	for (;;) {
		size_t n = 0, used = 0, oldest = MODEL;
		for (size_t i = 0; i < MODEL; i++) {
			if (!model[i].there)
				continue;
			n++;
			used += chunks(&model[i]);
			if (oldest == MODEL || model[i].used < model[oldest].used)
				oldest = i;
		}
		if (n < entries_max && used + wanted <= chunks_max)
			return;
		model[oldest].there = false;
	}
}

static void model_step(struct gw_cache *c, struct model *model, uint64_t step, copse_ms now)
{
	uint32_t n = draw(MODEL);
	struct model *m = &model[n];

	switch (draw(8)) {
	case 0:
	case 1: {
		struct model fresh = {.there = true, .etag = draw(2), .used = step};
		memset(fresh.text, 'a' + (int)draw(26), draw(399));
		uint32_t max_age = draw(5);
		m->there = false;
		if (max_age || fresh.etag)
			model_evict(model, chunks(&fresh), 16, 32);
		fresh.expires = now + max_age * 1000;
		assert_int_equal(store(c, n, n % 4, fresh.text, fresh.etag ? "e" : "", max_age, now),
				 max_age || fresh.etag);
		if (max_age || fresh.etag)
			*m = fresh;
		break;
	}
	case 2:
		gw_cache_invalidate(c, n % 4, now);
		for (uint32_t i = n % 4; i < MODEL; i += 4) {
			if (model[i].expires > now)
				model[i].expires = now;
			if (!model[i].etag)
				model[i].there = false;
		}
		break;
	default: {
		struct gw_cache_entry *e = find(c, n, now);
		if (m->there && now >= m->expires && !m->etag)
			m->there = false;
		assert_int_equal(e != NULL, m->there);
		if (!e)
			break;
		m->used = step;
		must_hold(c, e, m->text);
		assert_int_equal(gw_cache_is_fresh(e, now), now < m->expires);
	}
	}
}

static void test_model(void **state)
{
	static struct model model[MODEL];
	struct gw_cache *c = gw_cache_new(16, 32 * 128, secret);
	copse_ms now = 0;

	(void)state;
	for (uint64_t step = 1; step < 20000; step++) {
		model_step(c, model, step, now);
		now += draw(300);
		size_t n = 0, used = 0;
		for (size_t i = 0; i < MODEL; i++) {
			n += model[i].there;
			used += model[i].there ? chunks(&model[i]) : 0;
		}
		assert_int_equal(entries(c), n);
		assert_int_equal(bytes(c), used * 128);
	}
	assert_true(gw_cache_counters(c)->evicted > 100);
	gw_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_freshness),     cmocka_unit_test(test_replace),
	    cmocka_unit_test(test_entries_bound), cmocka_unit_test(test_bytes_bound),
	    cmocka_unit_test(test_invalidate),    cmocka_unit_test(test_pins),
	    cmocka_unit_test(test_all_pinned),    cmocka_unit_test(test_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
