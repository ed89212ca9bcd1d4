/* The small parser beside the general one: every vector, prefix and mutation is judged alike, and nothing
 * is read beyond its end.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <copse/message.h>
#include <copse/small.h>

#include "guard.h"
#include "vector.h"

static struct guard guard;

/* Critical options that the registry knows and this profile does not. */
static bool is_foreign(const struct copse_message *m)
{
	for (unsigned i = 0; i < m->option_n; i++) {
		unsigned n = m->option[i].number;
		if (n == COPSE_OPTION_OSCORE || n == COPSE_OPTION_EDHOC || n == COPSE_OPTION_Q_BLOCK1 ||
		    (n >= COPSE_SMALL_NUMBERS && copse_option_is_critical((uint16_t)n)) ||
		    copse_option_is_reserved_location((uint16_t)n))
			return true;
	}
	return false;
}

static void same_options(const struct copse_message *g, const struct copse_small_message *m)
{
	for (unsigned n = 0; n < COPSE_SMALL_NUMBERS; n++) {
		const struct copse_option *o = copse_message_option(g, (uint16_t)n);
		struct copse_small_value value = {NULL, 0};
		if (!copse_small_has(m, n) || (o && o->mark))
			continue;
		assert_non_null(o);
		for (; o; o = copse_message_option_next(g, o)) {
			assert_true(copse_small_walk(m, n, &value));
			assert_ptr_equal(value.at, copse_option_value(g, o));
			assert_int_equal(value.len, o->len);
			if (n == COPSE_OPTION_ETAG && copse_code_is_response(g->code))
				return; /* the general parser marks the instances that are too many */
		}
	}
}

static void compare(const uint8_t *bytes, size_t len)
{
	struct copse_message g;
	struct copse_small_message m;
	const uint8_t *at = guard_put(&guard, bytes, len);
	memset(&m, 0xa5, sizeof(m));
	int wanted = copse_message_parse(&g, at, len), err = copse_small_parse(&m, at, len);
	if (len > COPSE_SMALL_RECEIVE)
		return; /* that it reads no further than it may is enough */
	if (len < 4) {
		assert_int_equal(err, COPSE_ERR_VERSION);
		return;
	}
	if (wanted == COPSE_ERR_OPTIONS)
		return;
	assert_int_equal(err, wanted);
	if (err < 0)
		return;
	assert_int_equal(m.type, g.type);
	assert_int_equal(m.code, g.code);
	assert_int_equal(m.id, g.id);
	if (m.code == 0)
		return;
	assert_int_equal(m.token_len, g.token_len);
	assert_int_equal(m.payload_len, g.payload_len);
	if (m.payload_len)
		assert_ptr_equal(m.payload, copse_message_payload(&g));
	if (g.bad_option)
		assert_true(m.bad || is_foreign(&g));
	else if (m.bad)
		assert_true(is_foreign(&g) || copse_code_is_response(g.code));
	same_options(&g, &m);
}

static void whole(const struct vector *v)
{
	compare(v->bytes, v->len);
}

static void prefixes(const struct vector *v)
{
	for (size_t len = 0; len < v->len; len++)
		compare(v->bytes, len);
}

static void mutations(const struct vector *v)
{
	static const uint8_t values[] = {0x00, 0x01, 0x0d, 0x0e, 0x0f, 0x10,
					 0xd0, 0xdd, 0xe0, 0xee, 0xf0, 0xff};
	uint8_t copy[VECTOR_MAX];
	for (size_t i = 0; i < v->len; i++) {
		for (size_t k = 0; k < sizeof(values); k++) {
			memcpy(copy, v->bytes, v->len);
			copy[i] = values[k];
			compare(copy, v->len);
		}
	}
}

static void agrees_with_the_general_parser(void **state)
{
	(void)state;
	guard = guard_make();
	assert_true(vector_each(COPSE_VECTORS, whole) > 80);
	vector_each(COPSE_VECTORS, prefixes);
	vector_each(COPSE_VECTORS, mutations);
}

static void uint_and_absent(void **state)
{
	static const uint8_t get[] = {0x40, 1,   0,    1,    0x60,
				      0x51, 'a', 0x62, 0x01, 0x02}; /* Observe 0, "a", Accept 258 */
	struct copse_small_message m;
	(void)state;
	assert_int_equal(copse_small_parse(&m, get, sizeof(get)), 0);
	assert_int_equal(copse_small_uint(&m, COPSE_OPTION_OBSERVE, 7), 0);
	assert_int_equal(copse_small_uint(&m, COPSE_OPTION_ACCEPT, 7), 258);
	assert_int_equal(copse_small_uint(&m, COPSE_OPTION_BLOCK2, 7), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_the_general_parser),
	    cmocka_unit_test(uint_and_absent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
