/* Session tokens: which are taken, and why the others are not.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/key.h"
#include "gateway/token.h"
#include "make_keys.h"

#define SECRET  "0123456789abcdef0123456789abcdef"
#define SECRET2 "another secret, another secret, another"
#define SECRET3 "a third secret, a third secret, a third"
#define NOW     1700000000

static char rsa_private[PEM_MAX], rsa_public[PEM_MAX], ec_private[PEM_MAX], ec_public[PEM_MAX];
static char token[TOKEN_MAX];

static struct gw_key keys[8];
static struct gw_config config;
static struct gw_claims claims;

static void add_key(const char *id, enum gw_algorithm algorithm, const char *text)
{
	struct gw_key *key = &keys[config.key_n++];

	snprintf(key->id, sizeof(key->id), "%s", id);
	key->algorithm = algorithm;
	assert_null(gw_key_take(key, text, strlen(text)));
}

static int set_up(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	memset(keys, 0, sizeof(keys));
	config.keys = keys;
	snprintf(config.token.account_claim, sizeof(config.token.account_claim), "sub");
	config.token.skew = 10;
	add_key("h", GW_HS256, SECRET);
	add_key("r", GW_RS256, rsa_public);
	add_key("e", GW_ES256, ec_public);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < config.key_n; i++)
		gw_key_wipe(&keys[i]);
	return 0;
}

static enum gw_token_fault check(const char *text)
{
	memset(&claims, 0x55, sizeof(claims));
	return gw_token_check(&config, text, strlen(text), NOW, &claims);
}

static enum gw_token_fault check_hs(const char *json)
{
	return check(make_token("HS256", SECRET, NULL, NULL, json, token));
}

static void test_each_algorithm(void **state)
{
	(void)state;
	assert_int_equal(check_hs("{\"sub\":\"me\"}"), GW_TOKEN_OK);
	assert_string_equal(claims.account, "me");
	assert_true(claims.expires == GW_NO_EXPIRY);
	assert_int_equal(
	    check(make_token("RS256", rsa_private, NULL, NULL, "{\"sub\":\"r\",\"exp\":1700000005}", token)),
	    GW_TOKEN_OK);
	assert_string_equal(claims.account, "r");
	assert_int_equal(claims.expires, 1700000015);
	assert_int_equal(check(make_token("ES256", ec_private, "e", NULL, "{\"sub\":\"e\"}", token)),
			 GW_TOKEN_OK);
	assert_string_equal(claims.account, "e");
}

static void test_space_around(void **state)
{
	char text[TOKEN_MAX + 8];

	(void)state;
	snprintf(text, sizeof(text), " \r\n%s\n",
		 make_token("HS256", SECRET, NULL, NULL, "{\"sub\":\"me\"}", token));
	assert_int_equal(check(text), GW_TOKEN_OK);
}

static void test_second_key(void **state)
{
	(void)state;
	add_key("h2", GW_HS256, SECRET2);
	assert_int_equal(check(make_token("HS256", SECRET2, NULL, NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_OK);
	assert_int_equal(check(make_token("HS256", SECRET2, "h2", NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_OK);
	assert_int_equal(check(make_token("HS256", SECRET2, "h", NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_SIGNATURE);
	assert_int_equal(check(make_token("HS256", SECRET2, "x", NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_KEY);
}

/* The public key, which everybody may know, must not pass for a secret. */
static void test_algorithm_confusion(void **state)
{
	(void)state;
	gw_key_wipe(&keys[0]);
	keys[0] = keys[1];
	keys[1] = keys[2];
	config.key_n = 2; /* no key for HS256 is left */
	assert_int_equal(check(make_token("HS256", rsa_public, NULL, NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_ALGORITHM);
	assert_int_equal(check(make_token("HS256", rsa_public, "r", NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_ALGORITHM);
	add_key("h", GW_HS256, SECRET);
	assert_int_equal(check(make_token("HS256", rsa_public, NULL, NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_SIGNATURE);
	assert_int_equal(check(make_token("HS256", rsa_public, "r", NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_KEY);
	assert_int_equal(check(make_token("HS512", SECRET, NULL, NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_ALGORITHM);
	assert_int_equal(check(make_token("RS512", rsa_private, NULL, NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_ALGORITHM);
	assert_int_equal(check(make_token("ES256", ec_private, "r", NULL, "{\"sub\":\"me\"}", token)),
			 GW_TOKEN_KEY);
}

static void test_none(void **state)
{
	char text[TOKEN_MAX + 8];

	(void)state;
	make_token("none", NULL, NULL, NULL, "{\"sub\":\"me\"}", token); /* "header.payload." */
	assert_int_equal(check(token), GW_TOKEN_MALFORMED);
	snprintf(text, sizeof(text), "%sAAAA", token);
	assert_int_equal(check(text), GW_TOKEN_ALGORITHM);
	/* {"alg":"nOnE"} */
	assert_int_not_equal(check("eyJhbGciOiJuT25FIn0.eyJzdWIiOiJtZSJ9.AAAA"), GW_TOKEN_OK);
	/* {} : no algorithm at all */
	assert_int_not_equal(check("e30.eyJzdWIiOiJtZSJ9.AAAA"), GW_TOKEN_OK);
}

static void test_critical_header(void **state)
{
	(void)state;
	assert_int_equal(
	    check(make_token("HS256", SECRET, NULL, "{\"crit\":[\"x\"],\"x\":1}", "{\"sub\":\"me\"}", token)),
	    GW_TOKEN_ALGORITHM);
}

static void test_times(void **state)
{
	(void)state;
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":1699999991}"),
			 GW_TOKEN_OK); /* within the skew of 10 */
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":1699999990}"), GW_TOKEN_EXPIRED);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":1699999991.9}"), GW_TOKEN_OK);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":0}"), GW_TOKEN_EXPIRED);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":-1}"), GW_TOKEN_CLAIM);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":\"1800000000\"}"), GW_TOKEN_CLAIM);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":null}"), GW_TOKEN_CLAIM);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":1e300}"), GW_TOKEN_CLAIM);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"nbf\":1700000010}"), GW_TOKEN_OK);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"nbf\":1700000011}"), GW_TOKEN_EARLY);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"nbf\":true}"), GW_TOKEN_CLAIM);
	config.token.require_exp = true;
	assert_int_equal(check_hs("{\"sub\":\"me\"}"), GW_TOKEN_CLAIM);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"exp\":1700000001}"), GW_TOKEN_OK);
}

static void test_issuer_audience(void **state)
{
	(void)state;
	snprintf(config.token.issuer.text[0], 256, "others");
	snprintf(config.token.issuer.text[1], 256, "us");
	config.token.issuer.n = 2;
	assert_int_equal(check_hs("{\"sub\":\"me\"}"), GW_TOKEN_ISSUER);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"iss\":\"them\"}"), GW_TOKEN_ISSUER);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"iss\":7}"), GW_TOKEN_ISSUER);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"iss\":\"us\"}"), GW_TOKEN_OK);
	config.token.issuer.n = 0;
	snprintf(config.token.audience.text[0], 256, "gw");
	snprintf(config.token.audience.text[1], 256, "gw2");
	config.token.audience.n = 2;
	assert_int_equal(check_hs("{\"sub\":\"me\"}"), GW_TOKEN_AUDIENCE);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"aud\":\"g\"}"), GW_TOKEN_AUDIENCE);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"aud\":\"gw\"}"), GW_TOKEN_OK);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"aud\":[\"a\",\"gw\"]}"), GW_TOKEN_OK);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"aud\":[\"a\",3,null]}"), GW_TOKEN_AUDIENCE);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"aud\":{\"gw\":\"gw\"}}"), GW_TOKEN_AUDIENCE);
}

/* Whose keys are whose: each makes tokens in its own name only, though all are accepted. */
static void test_issuer_of_key(void **state)
{
	static const struct {
		const char *algorithm, *key, *kid, *claims;
		enum gw_token_fault fault;
	} rows[] = {
	    {"HS256", SECRET, "h", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_OK},
	    {"HS256", SECRET, NULL, "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_OK},
	    {"HS256", SECRET, "h", "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_FOREIGN},
	    {"HS256", SECRET, NULL, "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_FOREIGN},
	    {"HS256", SECRET, "h", "{\"sub\":\"me\",\"iss\":\"z\"}", GW_TOKEN_FOREIGN},
	    {"HS256", SECRET, "h", "{\"sub\":\"me\"}", GW_TOKEN_FOREIGN},
	    {"HS256", SECRET, "h", "{\"sub\":\"me\",\"iss\":[\"a\"]}", GW_TOKEN_FOREIGN},
	    {"HS256", SECRET, "h", "{\"sub\":\"me\",\"iss\":\"\"}", GW_TOKEN_FOREIGN},
	    {"HS256", SECRET, "h", "{\"sub\":\"me\",\"iss\":\"A\"}", GW_TOKEN_FOREIGN},
	    {"RS256", rsa_private, "r", "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_OK},
	    {"RS256", rsa_private, NULL, "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_OK},
	    {"RS256", rsa_private, "r", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_FOREIGN},
	    {"ES256", ec_private, "e", "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_OK},
	    {"ES256", ec_private, "e", "{\"sub\":\"me\",\"iss\":\"c\"}", GW_TOKEN_OK},
	    {"ES256", ec_private, "e", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_FOREIGN},
	    /* of one name: the second speaks for b; the third, without an issuer, for all that are accepted */
	    {"HS256", SECRET2, "h", "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_OK},
	    {"HS256", SECRET2, NULL, "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_OK},
	    {"HS256", SECRET2, "h", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_FOREIGN},
	    {"HS256", SECRET3, "any", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_OK},
	    {"HS256", SECRET3, "any", "{\"sub\":\"me\",\"iss\":\"c\"}", GW_TOKEN_OK},
	    {"HS256", SECRET3, "any", "{\"sub\":\"me\",\"iss\":\"z\"}", GW_TOKEN_ISSUER},
	    {"HS256", SECRET3, "any", "{\"sub\":\"me\"}", GW_TOKEN_ISSUER},
	    {"HS256", SECRET3, "h", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_SIGNATURE},
	    {"HS256", SECRET, "any", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_SIGNATURE},
	    {"HS256", SECRET, "x", "{\"sub\":\"me\",\"iss\":\"a\"}", GW_TOKEN_KEY},
	    /* nor do the claims of a text that nobody has signed say anything */
	    {"HS256", rsa_public, "h", "{\"sub\":\"me\",\"iss\":\"b\"}", GW_TOKEN_SIGNATURE},
	};

	(void)state;
	add_key("h", GW_HS256, SECRET2);
	add_key("any", GW_HS256, SECRET3);
	for (int i = 0; i < 3; i++)
		snprintf(config.token.issuer.text[i], 256, "%c", 'a' + i);
	config.token.issuer.n = 3;
	keys[0].issuers = 1; /* a */
	keys[1].issuers = 2; /* b */
	keys[2].issuers = 6; /* b and c */
	keys[3].issuers = 2;
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
			enum gw_token_fault got = check(make_token(rows[i].algorithm, rows[i].key,
								   rows[i].kid, NULL, rows[i].claims, token));
			if (got != rows[i].fault)
				print_error("row %zu: %s\n", i, gw_token_fault_text(got));
			assert_int_equal(got, rows[i].fault);
		}
		struct gw_key first = keys[0]; /* whichever of one name comes first */
		keys[0] = keys[3];
		keys[3] = first;
	}
}

/* Two issuers that hold one secret, or one key pair: each token is the one's or the other's. */
static void test_shared_key(void **state)
{
	(void)state;
	add_key("h", GW_HS256, SECRET);
	add_key("r2", GW_RS256, rsa_public);
	snprintf(config.token.issuer.text[0], 256, "a");
	snprintf(config.token.issuer.text[1], 256, "b");
	config.token.issuer.n = 2;
	keys[0].issuers = keys[1].issuers = 1;
	keys[3].issuers = keys[4].issuers = 2;
	assert_int_equal(check_hs("{\"sub\":\"me\",\"iss\":\"a\"}"), GW_TOKEN_OK);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"iss\":\"b\"}"), GW_TOKEN_OK);
	assert_int_equal(check_hs("{\"sub\":\"me\",\"iss\":\"c\"}"), GW_TOKEN_FOREIGN);
	assert_int_equal(
	    check(make_token("RS256", rsa_private, NULL, NULL, "{\"sub\":\"me\",\"iss\":\"b\"}", token)),
	    GW_TOKEN_OK);
	assert_int_equal(
	    check(make_token("RS256", rsa_private, "r2", NULL, "{\"sub\":\"me\",\"iss\":\"a\"}", token)),
	    GW_TOKEN_FOREIGN);
}

static void test_account(void **state)
{
	char json[256], name[GW_ACCOUNT_MAX + 2];

	(void)state;
	assert_int_equal(check_hs("{}"), GW_TOKEN_ACCOUNT);
	assert_int_equal(check_hs("{\"sub\":\"\"}"), GW_TOKEN_ACCOUNT);
	assert_int_equal(check_hs("{\"sub\":7}"), GW_TOKEN_ACCOUNT);
	memset(name, 'n', sizeof(name));
	name[GW_ACCOUNT_MAX] = 0;
	snprintf(json, sizeof(json), "{\"sub\":\"%s\"}", name);
	assert_int_equal(check_hs(json), GW_TOKEN_OK);
	assert_string_equal(claims.account, name);
	snprintf(json, sizeof(json), "{\"sub\":\"%sx\"}", name);
	assert_int_equal(check_hs(json), GW_TOKEN_ACCOUNT);
	snprintf(config.token.account_claim, sizeof(config.token.account_claim), "acc");
	assert_int_equal(check_hs("{\"sub\":\"me\",\"acc\":\"you\"}"), GW_TOKEN_OK);
	assert_string_equal(claims.account, "you");
}

/* Every change of a single character, and every prefix, is refused. */
static void test_damage(void **state)
{
	char good[TOKEN_MAX];

	(void)state;
	make_token("HS256", SECRET, NULL, NULL, "{\"sub\":\"me\"}", good);
	size_t len = strlen(good);
	for (size_t i = 0; i < len; i++) {
		assert_int_not_equal(gw_token_check(&config, good, i, NOW, &claims), GW_TOKEN_OK);
		char old = good[i];
		/* the last character of the signature holds two bits that do not count: change the first ones */
		good[i] = old == 'A' ? 'Q' : 'A';
		assert_int_not_equal(check(good), GW_TOKEN_OK);
		good[i] = (char)0xff;
		assert_int_equal(check(good), GW_TOKEN_MALFORMED);
		good[i] = old;
	}
	assert_int_equal(check(good), GW_TOKEN_OK);
}

static void test_no_token(void **state)
{
	static char huge[GW_TOKEN_MAX + 2];
	static const char *const texts[] = {"",
					    " ",
					    ".",
					    "..",
					    "...",
					    "a.b",
					    "a.b.c",
					    "a..c",
					    ".b.c",
					    "a.b.",
					    "a.b.c.d",
					    "hello",
					    "{\"sub\":\"me\"}",
					    "eyJhbGciOiJIUzI1NiJ9.W10.AAAA",
					    "W10.eyJzdWIiOiJtZSJ9.AAAA",
					    "\x00",
					    "%2e%2e%2e"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_not_equal(check(texts[i]), GW_TOKEN_OK);
	memset(huge, 'a', sizeof(huge));
	huge[10] = huge[20] = '.';
	assert_int_equal(gw_token_check(&config, huge, GW_TOKEN_MAX + 1, NOW, &claims), GW_TOKEN_MALFORMED);
	assert_int_equal(gw_token_check(&config, huge, GW_TOKEN_MAX, NOW, &claims), GW_TOKEN_MALFORMED);
	assert_int_equal(gw_token_check(&config, NULL, 0, NOW, &claims), GW_TOKEN_MALFORMED);
}

static void test_no_keys(void **state)
{
	(void)state;
	size_t n = config.key_n;
	config.key_n = 0;
	assert_int_equal(check_hs("{\"sub\":\"me\"}"), GW_TOKEN_ALGORITHM);
	config.key_n = n;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_each_algorithm), TEST(test_space_around),
	    TEST(test_second_key),     TEST(test_algorithm_confusion),
	    TEST(test_none),           TEST(test_critical_header),
	    TEST(test_times),          TEST(test_issuer_audience),
	    TEST(test_issuer_of_key),  TEST(test_shared_key),
	    TEST(test_account),        TEST(test_damage),
	    TEST(test_no_token),       TEST(test_no_keys),
	};

	make_pair(true, 2048, rsa_private, rsa_public);
	make_pair(false, 256, ec_private, ec_public);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
