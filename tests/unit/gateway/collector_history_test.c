/* Histories in the whole gateway: blocks in any order, many at once, those that make way and those that are forgotten, and
 * every way to be refused for want of room.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <copse/block.h>

#include "gateway/collector_state.h"
#include "gateway/worker_state.h"
#include "world.h"

#define START   INT64_C(1700000000000000)
#define MANY    5000 /* readings: more than three pages */
#define WAITERS 4    /* of one history: collector_history.c */

static uint16_t next_id = 1;

/* --- what is stored --- */

/* `n` readings of the series `name` of d1, one a second. The device is known already. */
static void store(const char *name, uint32_t n, int64_t from)
{
	struct store_service_counters before, now;
	struct store_job *job = store_job_new(n * sizeof(struct store_reading));
	struct store_reading *r = (struct store_reading *)job->room;

	for (uint32_t i = 0; i < n; i++)
		r[i] = (struct store_reading){.device = "device:d1",
					      .name = name,
					      .unit = "W",
					      .time = from + i * INT64_C(1000000),
					      .received = START,
					      .expires = STORE_NEVER,
					      .kind = STORE_NUMBER,
					      .number = i};
	job->batch.reading = r;
	job->batch.reading_n = n;
	job->quiet = true;
	store_service_counters(worker->collector->service, &before);
	assert_true(store_service_put(worker->collector->service, job));
	do {
		let_store_pass();
		store_service_counters(worker->collector->service, &now);
	} while (now.readings < before.readings + n);
}

static int start(void **state)
{
	(void)state;
	next_id = 1;
	start_collector("open = true");
	open_session(ALICE, "alice");
	open_session(BOB, "bob");
	assert_non_null(gw_heard_get(worker->collector, "device:d1"));
	store("n", MANY, START);
	return 0;
}

/* --- requests --- */

static void send_get(unsigned number, const char *query, uint32_t block, unsigned szx, const char *token)
{
	begin(COPSE_CON, COPSE_CODE_GET, next_id++, token);
	add(COPSE_OPTION_URI_PATH, "devices");
	add(COPSE_OPTION_URI_PATH, "device:d1");
	add(COPSE_OPTION_URI_PATH, "n");
	add(COPSE_OPTION_URI_QUERY, query);
	copse_build_uint(&request, COPSE_OPTION_BLOCK2, block << 4 | szx);
	send_it(number);
}

/* The answer under a token, or NULL. */
static const struct seen *answer_of(unsigned number, const char *token)
{
	for (unsigned i = 0; i < client[number].n; i++) {
		const struct seen *s = &client[number].seen[i];
		if (s->code && s->token_len == strlen(token) && memcmp(s->token, token, s->token_len) == 0)
			return s;
	}
	return NULL;
}

static const struct seen *wait_for(unsigned number, const char *token)
{
	while (!answer_of(number, token))
		let_store_pass();
	acknowledge(number);
	return answer_of(number, token);
}

static struct seen get_block(unsigned number, const char *query, uint32_t block)
{
	client[number].n = 0;
	send_get(number, query, block, 2, "t");
	return *wait_for(number, "t");
}

static struct seen get_good(unsigned number, const char *query, uint32_t block)
{
	const struct seen s = get_block(number, query, block);

	assert_int_equal(s.code, COPSE_CODE_CONTENT);
	return s;
}

/* --- blocks --- */

static void an_earlier_block_is_read_again(void **state)
{
	(void)state;
	const struct seen first = get_good(BOB, "from=1", 0), second = get_good(BOB, "from=1", 1);
	assert_int_equal(collector_counters()->rewound, 0);
	/* three pages ahead: they are read one after the other, and the last but one is kept: what stands before is there */
	const uint32_t far = 3 * GW_HISTORY_PAGE / 64;
	const struct seen ahead = get_good(BOB, "from=1", far), before = get_good(BOB, "from=1", far - 1);
	assert_int_equal(collector_counters()->rewound, 0);
	assert_string_equal(ahead.etag, first.etag);
	store("n", 10, START - 20000000); /* which are not of the state that is being read */
	const struct seen again = get_good(BOB, "from=1", 1);
	assert_int_equal(collector_counters()->rewound, 1);
	assert_string_equal(again.payload, second.payload);
	assert_string_equal(again.etag, first.etag);
	assert_string_equal(get_good(BOB, "from=1", far).payload, ahead.payload);
	assert_string_equal(get_good(BOB, "from=1", far - 1).payload, before.payload);
	assert_int_equal(collector_counters()->histories, 1);
	/* block 0 begins anew, of the newest state */
	const struct seen anew = get_good(BOB, "from=1", 0);
	assert_string_not_equal(anew.etag, first.etag);
	assert_string_not_equal(anew.payload, first.payload);
	assert_int_equal(collector_counters()->histories, 2);
	assert_int_equal(collector_counters()->rewound, 1);
	assert_int_equal(collector_counters()->refused_busy, 0);
}

static void a_block_beyond_the_end_is_none(void **state)
{
	(void)state;
	assert_int_equal(get_block(BOB, "last=2", 1).block2 >> 4, 1); /* its second block is its last one */
	assert_int_equal(get_block(BOB, "last=2", 1).block2 & 8, 0);
	for (uint32_t block = 2; block < COPSE_BLOCK_NUM_MAX; block = block * 5 + 1)
		assert_int_equal(get_block(BOB, "last=2", block).code, COPSE_CODE_BAD_REQUEST);
	assert_int_equal(get_block(BOB, "last=2", COPSE_BLOCK_NUM_MAX).code, COPSE_CODE_BAD_REQUEST);
	client[BOB].n = 0;
	send_get(BOB, "last=2", 0, 7, "t"); /* a size that is none */
	assert_int_equal(wait_for(BOB, "t")->code, COPSE_CODE_BAD_REQUEST);
	assert_int_equal(collector_counters()->refused_busy, 0);
}

/* --- windows --- */

static void windows(void **state)
{
	static const struct {
		const char *query, *payload; /* its beginning; NULL: 4.00 */
	} row[] = {
	    {"from=1700000002&to=1700000001", "[]"},
	    {"from=1700000001&to=1700000001", "[]"},
	    {"from=1700000001&to=1700000002",
	     "[{\"bn\":\"device:d1:\",\"n\":\"n\",\"t\":1700000001,\"u\":\"W\",\"v\":1}]"},
	    {"to=1", "[]"},
	    {"from=999999999999", "[]"},
	    {"from=-999999999999&to=1700000001", /* a span before now, of 31,000 years */
	     "[{\"bn\":\"device:d1:\",\"n\":\"n\",\"t\":1700000000,\"u\":\"W\",\"v\":0}]"},
	    {"to=1000000000000", NULL},
	    {"last=0", NULL},
	    {"last=-1", NULL},
	    {"last=1000000000", NULL},
	    {"last=999999999&to=1700000001",
	     "[{\"bn\":\"device:d1:\",\"n\":\"n\",\"t\":1700000000,\"u\":\"W\",\"v\":0}]"},
	    {"every=0", NULL},
	    {"every=1000d&agg=count", "[{\"bn\":\"device:d1:\",\"n\":\"n\",\"t\":1641600000,\"v\":5000}]"},
	    {"every=1s&agg=sum&to=1700000001",
	     "[{\"bn\":\"device:d1:\",\"n\":\"n\",\"t\":1700000000,\"u\":\"W\",\"v\":0}]"},
	    {"every=1m&agg=max&from=999999999998", "[]"},
	    {"agg=max", NULL},
	    {"every=1m&agg=median", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(*row); i++) {
		client[BOB].n = 0;
		begin(COPSE_CON, COPSE_CODE_GET, next_id++, "w");
		add(COPSE_OPTION_URI_PATH, "devices");
		add(COPSE_OPTION_URI_PATH, "device:d1");
		add(COPSE_OPTION_URI_PATH, "n");
		for (const char *at = row[i].query; *at; at += *at == '&') {
			size_t len = strcspn(at, "&");
			copse_build_raw(&request, COPSE_OPTION_URI_QUERY, at, len);
			at += len;
		}
		send_it(BOB);
		const struct seen *s = wait_for(BOB, "w");
		if (!row[i].payload) {
			assert_int_equal(s->code, COPSE_CODE_BAD_REQUEST);
			continue;
		}
		assert_int_equal(s->code, COPSE_CODE_CONTENT);
		assert_string_equal(s->payload, row[i].payload);
	}
}

/* --- bounds --- */

static void so_many_wait_for_one_history(void **state)
{
	char token[2] = "0";

	(void)state;
	forget_seen();
	close_gate(0);
	for (uint32_t i = 0; i <= WAITERS; i++, token[0]++)
		send_get(BOB, "from=1", i, 2, token);
	assert_int_equal(wait_for(BOB, "4")->code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_busy, 1);
	for (token[0] = '0'; token[0] < '0' + WAITERS; token[0]++)
		assert_null(answer_of(BOB, token));
	open_gate();
	for (token[0] = '0'; token[0] < '0' + WAITERS; token[0]++) {
		const struct seen *s = wait_for(BOB, token);
		assert_int_equal(s->code, COPSE_CODE_CONTENT);
		assert_int_equal(s->block2 >> 4, token[0] - '0');
	}
	assert_int_equal(get_good(BOB, "from=1", WAITERS).code, COPSE_CODE_CONTENT);
	assert_int_equal(collector_counters()->histories, 1);
	assert_int_equal(collector_counters()->refused_busy, 1);
}

/* A queue that is full: no history begins, and none goes on that needs another page; what is there is served. */
static void a_full_queue_is_told(void **state)
{
	(void)state;
	get_good(BOB, "from=1", 0);
	close_gate(STORE_QUEUE);
	assert_int_equal(get_block(ALICE, "from=1", 0).code, COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_busy, 1);
	assert_int_equal(get_block(BOB, "from=1", 2 * GW_HISTORY_PAGE / 64).code,
			 COPSE_CODE_SERVICE_UNAVAILABLE);
	assert_int_equal(collector_counters()->refused_busy, 2);
	assert_int_equal(get_good(BOB, "from=1", 3).code, COPSE_CODE_CONTENT);
	open_gate();
	while (get_block(ALICE, "from=1", 0).code != COPSE_CODE_CONTENT)
		let_store_pass();
	assert_int_equal(get_good(BOB, "from=1", 2 * GW_HISTORY_PAGE / 64).code, COPSE_CODE_CONTENT);
}

/* One peer has GW_HISTORY_PEER: its own longest unused one makes way, and nobody else's. */
static void its_own_make_way(void **state)
{
	char query[40];
	struct seen first[GW_HISTORY_PEER];

	(void)state;
	const struct seen others = get_good(ALICE, "from=1", 0);
	for (unsigned i = 0; i < GW_HISTORY_PEER; i++) {
		snprintf(query, sizeof(query), "from=%u", i + 1);
		first[i] = get_good(BOB, query, 0);
		run_for(2);
	}
	assert_int_equal(collector_counters()->displaced, 0);
	assert_string_equal(get_good(BOB, "from=1", 1).etag,
			    first[0].etag); /* used: the second one is the longest unused */
	run_for(2);
	get_good(BOB, "from=100", 0);
	assert_int_equal(collector_counters()->displaced, 1);
	assert_string_equal(get_good(BOB, "from=1", 2).etag, first[0].etag);
	assert_string_equal(get_good(BOB, "from=3", 2).etag, first[2].etag);
	assert_string_not_equal(get_good(BOB, "from=2", 2).etag, first[1].etag); /* begun anew */
	assert_int_equal(collector_counters()->displaced, 2);
	assert_string_equal(get_good(ALICE, "from=1", 2).etag, others.etag);
	assert_int_equal(collector_counters()->refused_busy, 0);
}

static void what_is_not_used_is_forgotten(void **state)
{
	(void)state;
	const struct seen first = get_good(BOB, "from=1", 0);
	run_for(GW_HISTORY_MS - 1000);
	assert_string_equal(get_good(BOB, "from=1", 1).etag, first.etag);
	for (unsigned i = 0; i < 2; i++) {
		run_for(GW_HISTORY_MS / 2 + 1000);
		get_good(ALICE, "last=1", 0); /* whoever asks: what is old goes */
	}
	assert_string_not_equal(get_good(BOB, "from=1", 1).etag, first.etag);
	assert_int_equal(collector_counters()->displaced, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end_test)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(an_earlier_block_is_read_again),
	    TEST(a_block_beyond_the_end_is_none),
	    TEST(windows),
	    TEST(so_many_wait_for_one_history),
	    TEST(a_full_queue_is_told),
	    TEST(its_own_make_way),
	    TEST(what_is_not_used_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
