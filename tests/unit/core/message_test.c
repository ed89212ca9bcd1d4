/* The parser: every vector does what it says, every prefix of every vector stays within its bounds, and what is parsed
 * can be built again. Inputs end at a page that cannot be read.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/block.h>
#include <copse/message.h>

#include "guard.h"
#include "message_check.h"
#include "vector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct guard guard;

static unsigned count(const struct copse_message *m, unsigned mark)
{
	unsigned n = 0;
	for (unsigned i = 0; i < m->option_n; i++)
		n += (m->option[i].mark & mark) != 0;
	return n;
}

static void check_vector(const struct vector *v)
{
	static const char *const reactions[] = {"reaction=none", "reaction=silence", "reaction=rst",
						"reaction=4.02"};
	struct copse_message m;
	memset(&m, 0xa5, sizeof(m));
	int err = copse_message_parse(&m, guard_put(&guard, v->bytes, v->len), v->len);
	const char *outcome = err == 0 ? "ok" : err == COPSE_ERR_VERSION ? "version" : "malformed";
	if (!vector_expects(v, outcome) || !vector_expects(v, reactions[copse_message_reaction(&m, err)]))
		fail_msg("%s: %s (%d), %s", v->name, outcome, err,
			 reactions[copse_message_reaction(&m, err)]);
	assert_int_equal(m.type, v->bytes[0] >> 4 & 3);
	assert_int_equal(m.code, v->bytes[1]);
	assert_int_equal(m.id, v->bytes[2] << 8 | v->bytes[3]);
	if (err != 0)
		return;
	message_check(&m, v->len);
	assert_int_equal(m.option_n, vector_number(v, "options", m.option_n));
	assert_int_equal(m.bad_option, vector_number(v, "bad", 0));
	assert_int_equal(count(&m, COPSE_OPTION_IGNORED), vector_number(v, "ignored", 0));
	assert_int_equal(m.payload_len, vector_number(v, "payload", 0));
	long unknown = vector_number(v, "unknown", 0);
	if (unknown)
		assert_non_null(copse_message_option(&m, (uint16_t)unknown));
}

static void every_vector_does_what_it_says(void **state)
{
	(void)state;
	assert_true(vector_each(COPSE_VECTORS, check_vector) > 80);
}

static void check_prefixes(const struct vector *v)
{
	for (size_t len = 0; len < v->len; len++) {
		struct copse_message m;
		memset(&m, 0xa5, sizeof(m));
		int err = copse_message_parse(&m, guard_put(&guard, v->bytes, len), len);
		assert_true(err == 0 || err == COPSE_ERR_MALFORMED || err == COPSE_ERR_VERSION);
		if (err == 0)
			message_check(&m, len);
		else
			assert_int_not_equal(copse_message_reaction(&m, err), COPSE_REACT_NONE);
		if (len < COPSE_HEADER_LEN) { /* nothing to answer to */
			assert_int_equal(err, COPSE_ERR_MALFORMED);
			assert_int_equal(copse_message_reaction(&m, err), COPSE_REACT_SILENCE);
		}
	}
}

static void every_prefix_stays_within_bounds(void **state)
{
	(void)state;
	vector_each(COPSE_VECTORS, check_prefixes);
}

/* The same bytes with each single one changed to each of a few values. */
static void check_mutations(const struct vector *v)
{
	static const uint8_t values[] = {0x00, 0x01, 0x0d, 0x0e, 0x0f, 0x10,
					 0xd0, 0xdd, 0xe0, 0xee, 0xf0, 0xff};
	struct copse_message m;
	for (size_t i = 0; i < v->len; i++) {
		for (size_t k = 0; k < sizeof(values); k++) {
			uint8_t *at = guard_put(&guard, v->bytes, v->len);
			at[i] = values[k];
			if (copse_message_parse(&m, at, v->len) == 0)
				message_check(&m, v->len);
		}
	}
}

static void every_mutation_stays_within_bounds(void **state)
{
	(void)state;
	vector_each(COPSE_VECTORS, check_mutations);
}

static void rebuild(const struct copse_message *m, struct copse_builder *b, uint8_t *buf, size_t cap)
{
	copse_build_message(b, buf, cap, (enum copse_type)m->type, m->code, m->id, copse_message_token(m),
			    m->token_len);
	for (unsigned i = 0; i < m->option_n; i++)
		copse_build_raw(b, m->option[i].number, m->bytes + m->option[i].off, m->option[i].len);
	copse_build_payload(b, copse_message_payload(m), m->payload_len);
}

/* parse, build, compare: encodings are canonical but for extended forms of what fits a nibble, which have no vector */
static void check_round_trip(const struct vector *v)
{
	struct copse_message m;
	struct copse_builder b;
	uint8_t buf[VECTOR_MAX];
	if (copse_message_parse(&m, v->bytes, v->len) != 0)
		return;
	rebuild(&m, &b, buf, sizeof(buf));
	assert_int_equal(copse_build_finish(&b), v->len);
	assert_memory_equal(buf, v->bytes, v->len);
	for (size_t cap = 0; cap < v->len;
	     cap++) { /* no room: an error, and nothing behind the end touched */
		rebuild(&m, &b, guard_room(&guard, cap), cap);
		assert_int_equal(copse_build_finish(&b), COPSE_ERR_NOROOM);
	}
	rebuild(&m, &b, guard_room(&guard, v->len), v->len);
	assert_int_equal(copse_build_finish(&b), v->len);
}

static void what_is_parsed_can_be_built(void **state)
{
	(void)state;
	vector_each(COPSE_VECTORS, check_round_trip);
}

static void load(struct copse_message *m, struct vector *v, const char *name)
{
	vector_load(v, COPSE_VECTORS, name);
	assert_int_equal(copse_message_parse(m, v->bytes, v->len), 0);
}

static void options_are_found(void **state)
{
	(void)state;
	struct vector v;
	struct copse_message m;
	load(&m, &v, "7252-3-get.hex");
	const struct copse_option *o = copse_message_option(&m, COPSE_OPTION_URI_HOST);
	assert_true(copse_option_is(&m, o, "device.local", 12));
	assert_false(copse_option_is(&m, o, "device.locale", 13));
	assert_false(copse_option_is(&m, o, "device.locaL", 12));
	assert_null(copse_message_option_next(&m, o));
	o = copse_message_option(&m, COPSE_OPTION_URI_PATH);
	assert_true(copse_option_is(&m, o, "sensors", 7));
	o = copse_message_option_next(&m, o);
	assert_true(copse_option_is(&m, o, "hum", 3));
	assert_null(copse_message_option_next(&m, o));
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_ACCEPT, 0), 50);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_MAX_AGE, 60), 60);
	assert_null(copse_message_option(&m, COPSE_OPTION_ECHO));
	assert_null(copse_message_option(&m, 65000));
	assert_memory_equal(copse_message_token(&m), "abcd", 4);
	size_t len;
	assert_ptr_equal(copse_message_rest(&m, &len), v.bytes + 8);
	assert_int_equal(len, v.len - 8);
}

static void options_above_64_are_found(void **state)
{
	(void)state;
	struct vector v;
	struct copse_message m;
	load(&m, &v, "9175-2-echo.hex");
	assert_true(copse_option_is(&m, copse_message_option(&m, COPSE_OPTION_ECHO), "\1\2\3\4", 4));
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_NO_RESPONSE, 0), 26);
	assert_true(copse_option_is(&m, copse_message_option(&m, COPSE_OPTION_REQUEST_TAG), "\xaa\xbb", 2));
}

static void ignored_options_are_not_found(void **state)
{
	(void)state;
	struct vector v;
	struct copse_message m;
	load(&m, &v, "7252-5.4.5-content-format-twice.hex");
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_CONTENT_FORMAT, 0), 50);
	assert_null(copse_message_option_next(&m, copse_message_option(&m, COPSE_OPTION_CONTENT_FORMAT)));
	load(&m, &v, "7252-5.4.3-etag-of-9.hex");
	assert_null(copse_message_option(&m, COPSE_OPTION_ETAG));
	load(&m, &v, "7252-5.4.3-uri-port-of-3.hex");
	assert_null(copse_message_option(&m, COPSE_OPTION_URI_PORT));
}

/* A valid instance behind one of a wrong length is the first that counts. */
static void a_wrong_instance_hides_no_right_one(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0x40, 0x01, 0, 0, 0x40, 0x01, 0xaa, 0x01, 0xbb};
	struct copse_message m;
	assert_int_equal(copse_message_parse(&m, bytes, sizeof(bytes)), 0);
	const struct copse_option *o = copse_message_option(&m, COPSE_OPTION_ETAG);
	assert_ptr_equal(o, &m.option[1]);
	assert_ptr_equal(copse_message_option_next(&m, o), &m.option[2]);
}

/* The same where the wrong one is followed by one of the common kind. */
static void a_long_instance_hides_no_short_one(void **state)
{
	(void)state;
	uint8_t bytes[300];
	static const uint8_t too_long[256];
	struct copse_message m;
	struct copse_builder b;
	copse_build_message(&b, bytes, sizeof(bytes), COPSE_ACK, COPSE_CODE_CREATED, 1, NULL, 0);
	copse_build_raw(&b, COPSE_OPTION_LOCATION_PATH, too_long, sizeof(too_long));
	copse_build_raw(&b, COPSE_OPTION_LOCATION_PATH, "a", 1);
	copse_build_raw(&b, COPSE_OPTION_LOCATION_PATH, "b", 1);
	int len = copse_build_finish(&b);
	assert_int_equal(copse_message_parse(&m, guard_put(&guard, bytes, (size_t)len), (size_t)len), 0);
	message_check(&m, (size_t)len);
	assert_int_equal(m.option[0].mark, COPSE_OPTION_IGNORED);
	assert_ptr_equal(copse_message_option(&m, COPSE_OPTION_LOCATION_PATH), &m.option[1]);
}

static void uints_have_up_to_four_bytes(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0x60, 0x45, 0,    0,    0xd4,
					0x01, 0x01, 0x02, 0x03, 0x04,  /* Max-Age */
					0xd0, 0x01,                    /* Size2, empty */
					0xd3, 0x13, 0x00, 0x00, 0x07}; /* Size1, with zeros in front */
	struct copse_message m;
	assert_int_equal(copse_message_parse(&m, bytes, sizeof(bytes)), 0);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_MAX_AGE, 0), 0x01020304);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_SIZE2, 9), 0);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_SIZE1, 0), 7);
}

/* As many options as the index holds, and one more; of both kinds that the parser treats apart. */
static void the_index_is_bounded(void **state)
{
	(void)state;
	for (unsigned len = 0; len < 3; len++) {
		uint8_t bytes[4 + 3 * (COPSE_MESSAGE_OPTIONS + 1)] = {0x40, 0x01};
		size_t n = 4;
		struct copse_message m;
		for (unsigned i = 0; i <= COPSE_MESSAGE_OPTIONS; i++) {
			bytes[n++] = (uint8_t)((i == 0 ? 0xb0 : 0) | len); /* Uri-Path */
			n += len;
			int err = copse_message_parse(&m, guard_put(&guard, bytes, n), n);
			assert_int_equal(err, i < COPSE_MESSAGE_OPTIONS ? 0 : COPSE_ERR_OPTIONS);
			if (err == 0)
				message_check(&m, n);
		}
		assert_int_equal(copse_message_reaction(&m, COPSE_ERR_OPTIONS), COPSE_REACT_RST);
	}
}

/* A long message: the first options are of the common kind, those behind 128 bytes are not looked at as such. */
static void options_behind_long_ones_are_found(void **state)
{
	(void)state;
	uint8_t bytes[600] = {0x40, 0x01};
	struct copse_builder b;
	struct copse_message m;
	copse_build_message(&b, bytes, sizeof(bytes), COPSE_CON, COPSE_CODE_GET, 1, NULL, 0);
	for (unsigned i = 0; i < 40; i++)
		copse_build_option(&b, COPSE_OPTION_URI_PATH, "0123456789ab", 12);
	copse_build_uint(&b, COPSE_OPTION_ACCEPT, 60);
	copse_build_payload(&b, "x", 1);
	int len = copse_build_finish(&b);
	assert_int_equal(len, 4 + 40 * 13 + 2 + 2);
	assert_int_equal(copse_message_parse(&m, guard_put(&guard, bytes, (size_t)len), (size_t)len), 0);
	message_check(&m, (size_t)len);
	assert_int_equal(m.option_n, 41);
	assert_int_equal(copse_message_uint(&m, COPSE_OPTION_ACCEPT, 0), 60);
	assert_int_equal(m.payload_len, 1);
}

static void a_datagram_of_64_kib_is_taken(void **state)
{
	(void)state;
	uint8_t *bytes = guard_room(&guard, COPSE_DATAGRAM_MAX + 1);
	struct copse_message m;
	memset(bytes, 0xff, COPSE_DATAGRAM_MAX + 1);
	memcpy(bytes + 1, "\x50\x02\x12\x34\xff", 5);
	assert_int_equal(copse_message_parse(&m, bytes + 1, COPSE_DATAGRAM_MAX), 0);
	assert_int_equal(m.payload_len, COPSE_DATAGRAM_MAX - 5);
	message_check(&m, COPSE_DATAGRAM_MAX);
	memcpy(bytes, "\x50\x02\x12\x34\xff", 5);
	assert_int_equal(copse_message_parse(&m, bytes, COPSE_DATAGRAM_MAX + 1), COPSE_ERR_MALFORMED);
	assert_int_equal(copse_message_reaction(&m, COPSE_ERR_MALFORMED), COPSE_REACT_SILENCE);
}

static void check_extended(const struct vector *v)
{
	struct copse_message m;
	long token_len = vector_number(v, "extended", -1);
	const uint8_t *at = guard_put(&guard, v->bytes, v->len);
	int err = copse_message_parse_extended(&m, at, v->len, 65804);
	if (token_len < 0) { /* a message that may be taken without is the same with it */
		struct copse_message plain;
		if (copse_message_parse(&plain, at, v->len) == 0)
			assert_int_equal(err, 0);
		return;
	}
	assert_int_equal(err, 0);
	message_check(&m, v->len);
	assert_int_equal(m.token_len, token_len);
	assert_int_equal(copse_message_token(&m)[token_len - 1], 0xaa);
	assert_int_equal(copse_message_parse_extended(&m, at, v->len, (size_t)token_len), 0);
	assert_int_equal(copse_message_parse_extended(&m, at, v->len, (size_t)token_len - 1),
			 COPSE_ERR_MALFORMED);
	uint8_t buf[VECTOR_MAX];
	struct copse_builder b;
	rebuild(&m, &b, buf, sizeof(buf));
	assert_int_equal(copse_build_finish(&b), v->len);
	assert_memory_equal(buf, v->bytes, v->len);
	for (size_t len = 0; len < v->len; len++) {
		err = copse_message_parse_extended(&m, guard_put(&guard, v->bytes, len), len, 65804);
		if (err == 0)
			message_check(&m, len);
	}
}

static void long_tokens_are_taken_where_agreed(void **state)
{
	(void)state;
	vector_each(COPSE_VECTORS, check_extended);
}

static void block_values(void **state)
{
	(void)state;
	struct copse_block b;
	assert_int_equal(copse_block_decode(0x18, &b), 0);
	assert_true(b.num == 1 && b.more && b.szx == 0);
	assert_int_equal(copse_block_value(&b), 0x18);
	assert_int_equal(copse_block_decode(7, &b), COPSE_ERR_MALFORMED);
	assert_int_equal(copse_block_decode(0xfffffe, &b), 0);
	assert_true(b.num == COPSE_BLOCK_NUM_MAX && b.more && b.szx == 6);
	assert_int_equal(copse_block_offset(&b), 0x40000000u - 1024);
	assert_int_equal(copse_block_decode(0x1000000, &b), COPSE_ERR_MALFORMED);
	b = (struct copse_block){3, true, 6};
	assert_int_equal(copse_block_resize(&b, 4), 0);
	assert_true(b.num == 12 && b.szx == 4 && copse_block_offset(&b) == 3072);
	b = (struct copse_block){COPSE_BLOCK_NUM_MAX, false, 6};
	assert_int_equal(copse_block_resize(&b, 5), COPSE_ERR_ARGUMENT);
	assert_true(b.num == COPSE_BLOCK_NUM_MAX && b.szx == 6);
	b = (struct copse_block){.num = 5,
				 .szx = COPSE_BLOCK_SZX_BERT}; /* RFC 8323 §6: counted as those of 1024 */
	assert_int_equal(copse_block_offset(&b), 5120);
	assert_int_equal(copse_block_value(&b), 0x57);
	assert_int_equal(copse_block_resize(&b, 6), 0);
	assert_true(b.num == 5 && b.szx == 6);
	b.szx = COPSE_BLOCK_SZX_BERT;
	assert_int_equal(copse_block_resize(&b, 5), 0);
	assert_true(b.num == 10 && b.szx == 5);
	assert_int_equal(copse_block_number(5120, COPSE_BLOCK_SZX_BERT), 5);
	assert_int_equal(copse_block_number(5120, 4), 20);
	assert_int_equal(copse_block_szx(0), 0);
	assert_int_equal(copse_block_szx(31), 0);
	assert_int_equal(copse_block_szx(32), 1);
	assert_int_equal(copse_block_szx(1023), 5);
	assert_int_equal(copse_block_szx(65535), 6);
	b = (struct copse_block){0, true, 1};
	assert_true(copse_block_fits(&b, 32));
	assert_false(copse_block_fits(&b, 31));
	b.more = false;
	assert_true(copse_block_fits(&b, 0));
	assert_false(copse_block_fits(&b, 33));
}

static void block_options(void **state)
{
	(void)state;
	struct vector v;
	struct copse_message m;
	struct copse_block b = {0};
	load(&m, &v, "7959-3-block2.hex");
	assert_int_equal(copse_block_read(&m, COPSE_OPTION_BLOCK2, &b), 1);
	assert_true(b.num == 1 && b.more && b.szx == 0 && copse_block_fits(&b, m.payload_len));
	assert_int_equal(copse_block_read(&m, COPSE_OPTION_BLOCK1, &b), 0);
	uint8_t buf[16];
	struct copse_builder out;
	copse_build_rest(&out, buf, sizeof(buf));
	copse_build_block(&out, COPSE_OPTION_BLOCK2, &b);
	assert_int_equal(copse_build_finish(&out), 3);
	assert_memory_equal(buf, v.bytes + 4, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_vector_does_what_it_says),
	    cmocka_unit_test(every_prefix_stays_within_bounds),
	    cmocka_unit_test(every_mutation_stays_within_bounds),
	    cmocka_unit_test(what_is_parsed_can_be_built),
	    cmocka_unit_test(options_are_found),
	    cmocka_unit_test(options_above_64_are_found),
	    cmocka_unit_test(ignored_options_are_not_found),
	    cmocka_unit_test(a_wrong_instance_hides_no_right_one),
	    cmocka_unit_test(a_long_instance_hides_no_short_one),
	    cmocka_unit_test(uints_have_up_to_four_bytes),
	    cmocka_unit_test(the_index_is_bounded),
	    cmocka_unit_test(options_behind_long_ones_are_found),
	    cmocka_unit_test(a_datagram_of_64_kib_is_taken),
	    cmocka_unit_test(long_tokens_are_taken_where_agreed),
	    cmocka_unit_test(block_values),
	    cmocka_unit_test(block_options),
	};
	guard = guard_make();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	guard_free(&guard);
	return failed;
}
