/* RFC 8613 Appendix C, all of it: keys, and messages to the byte both ways.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "oscore_bench.h"

#include <oscore/codec.h>

static void derives(const char *salt, const char *id_context, const char *sender, const char *recipient,
		    const char *sender_key, const char *recipient_key, const char *iv)
{
	struct copse_oscore_context c;
	assert_int_equal(make(&c, salt, id_context, sender, recipient, 0), 0);
	same(sender_key, c.sender_key, c.sizes.key);
	same(recipient_key, c.recipient_key, c.sizes.key);
	same(iv, c.common_iv, c.sizes.nonce);
	assert_int_equal(make(&c, salt, id_context, recipient, sender, 0), 0);
	same(recipient_key, c.sender_key, c.sizes.key);
	same(sender_key, c.recipient_key, c.sizes.key);
}

static void keys_are_those_of_the_appendix(void **state)
{
	(void)state;
	/* C.1: with a salt; the client's ID is empty, the server's 01 */
	derives(SALT, NULL, "", "01", "f0910ed7295e6ad4b54fc793154302ff", "ffb14e093c94c9cac9471648b4f98710",
		"4622d4dd6d944168eefb54987c");
	/* C.2: without */
	derives("", NULL, "00", "01", "321b26943253c7ffb6003b0b64d74041", "e57b5635815177cd679ab4bcec9d7dda",
		"be35ae297d2dace910c52e99f9");
	/* C.3: with an ID Context */
	derives(SALT, "37cbf3210017a2d3", "", "01", "af2a1300a5e95788b356336eeecd2b92",
		"e39a0c7c77b43f03b4b39ab9a268699f", "2ca58fb85ff1b81c0b7181b85e");
}

static void keys_are_derived_for_what_the_appendix_says(void **state)
{
	(void)state;
	static const uint8_t one[] = {1};
	uint8_t info[OSC_INFO_MAX];
	/* [h'', null, 10, "Key", 16], [h'01', null, 10, "Key", 16], [h'', null, 10, "IV", 13] */
	same("8540f60a634b657910", info, osc_info(info, NULL, 0, NULL, 0, 10, "Key", 16));
	same("854101f60a634b657910", info, osc_info(info, one, 1, NULL, 0, 10, "Key", 16));
	same("8540f60a6249560d", info, osc_info(info, NULL, 0, NULL, 0, 10, "IV", 13));
	/* RFC 8613 §5.4: the example of what is authenticated */
	const struct copse_oscore_binding b = {.kid_len = 1, .kid = {0}, .piv_len = 1, .piv = {0x25}};
	uint8_t aad[OSC_AAD_MAX];
	same("8368456e63727970743040498501810a4100412540", aad, osc_aad(aad, 10, &b));
}

static void nonces_are_those_of_the_appendix(void **state)
{
	(void)state;
	const struct bytes iv = hex("4622d4dd6d944168eefb54987c"), one = hex("01"), zero = hex("00"),
			   twenty = hex("14");
	uint8_t nonce[13];
	osc_nonce(nonce, 13, iv.at, NULL, 0, zero.at, 1);
	same("4622d4dd6d944168eefb54987c", nonce, 13);
	osc_nonce(nonce, 13, iv.at, one.at, 1, zero.at, 1);
	same("4722d4dd6d944169eefb54987c", nonce, 13);
	osc_nonce(nonce, 13, iv.at, NULL, 0, twenty.at, 1);
	same("4622d4dd6d944168eefb549868", nonce, 13);
}

struct request {
	const char *salt, *id_context, *client, *server, *plain, *sealed;
};

static const struct request requests[] = {
    /* C.4: CON GET 0x5d1f, token 00003974, Uri-Host "localhost" outside, Uri-Path "tv1" inside; the option 62 09 14 is
     * flags 09 (a Partial IV of one byte, a kid), 20, an empty kid */
    {SALT, NULL, "", "01", "44015d1f00003974396c6f63616c686f737483747631",
     "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e"},
    /* C.5: a kid of one byte, 63 09 14 00 */
    {"", NULL, "00", "01", "440171c30000b932396c6f63616c686f737483747631",
     "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0"},
    /* C.6: a kid context, 6b 19 14 08 37cbf3210017a2d3 */
    {SALT, "37cbf3210017a2d3", "", "01", "44012f8eef9bbf7a396c6f63616c686f737483747631",
     "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff72cd7273fd331ac45cffbe55c3"},
};

static void requests_are_those_of_the_appendix(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		const struct request *r = &requests[i];
		const struct bytes plain = hex(r->plain), sealed = hex(r->sealed);
		struct copse_oscore_context client, server;
		struct copse_oscore_binding ours, theirs;
		uint8_t out[256];
		make(&client, r->salt, r->id_context, r->client, r->server, 0);
		make(&server, r->salt, r->id_context, r->server, r->client, 0);
		copse_oscore_sequence(&client, 20, NULL, NULL);
		struct copse_message m = parse(plain.at, plain.len);
		int n = protect(&client, &m, COPSE_OSCORE_REQUEST, &ours, out, sizeof out);
		assert_true(n > 0);
		same(r->sealed, out, (size_t)n);
		m = parse(sealed.at, sealed.len);
		n = copse_oscore_unprotect_request(&server, &m, &theirs, out, sizeof out);
		assert_true(n > 0);
		same(r->plain, out, (size_t)n);
		assert_memory_equal(&ours, &theirs, sizeof ours);
		assert_int_equal(copse_oscore_unprotect_request(&server, &m, &theirs, out, sizeof out),
				 COPSE_ERR_REPLAY);
	}
}

static const struct {
	unsigned how;
	const char *sealed;
} responses[] = {
    /* C.7: to the request of C.4, ACK 2.05 "Hello World!"; an empty option, 90 */
    {COPSE_OSCORE_RESPONSE, "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106"},
    /* C.8: the same with a Partial IV of 0, 92 01 00 */
    {COPSE_OSCORE_RESPONSE | COPSE_OSCORE_FRESH,
     "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e"},
};

static void responses_are_those_of_the_appendix(void **state)
{
	(void)state;
	static const char text[] = "64455d1f00003974ff48656c6c6f20576f726c6421";
	const struct bytes plain = hex(text);
	for (unsigned i = 0; i < 2; i++) {
		struct copse_oscore_binding to = {.piv_len = 1, .piv = {20}}, asked = to;
		struct copse_oscore_context client, server;
		const struct bytes sealed = hex(responses[i].sealed);
		uint8_t out[256];
		make(&client, SALT, NULL, "", "01", 0);
		make(&server, SALT, NULL, "01", "", 0);
		struct copse_message m = parse(plain.at, plain.len);
		int n = protect(&server, &m, responses[i].how, &to, out, sizeof out);
		assert_true(n > 0);
		same(responses[i].sealed, out, (size_t)n);
		m = parse(sealed.at, sealed.len);
		n = copse_oscore_unprotect_response(&client, &m, &asked, out, sizeof out);
		assert_true(n > 0);
		same(text, out, (size_t)n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keys_are_those_of_the_appendix),
	    cmocka_unit_test(keys_are_derived_for_what_the_appendix_says),
	    cmocka_unit_test(nonces_are_those_of_the_appendix),
	    cmocka_unit_test(requests_are_those_of_the_appendix),
	    cmocka_unit_test(responses_are_those_of_the_appendix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
