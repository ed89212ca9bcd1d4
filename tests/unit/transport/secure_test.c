/* Credentials: what is taken, what is refused, and that no sentence holds a secret.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "keys.h"
#include "net.h"

#include <copse/secure.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char why[COPSE_SECURE_WHY];

static void test_psk_bounds(void **state)
{
	struct copse_secure *s = copse_secure_new(true);
	char identity[COPSE_PSK_IDENTITY_MAX + 1], key[COPSE_PSK_KEY_MAX + 1];
	struct copse_address at = address("127.0.0.1", 5684);

	(void)state;
	memset(identity, 'i', sizeof identity);
	memset(key, 'k', sizeof key);
	assert_int_equal(copse_secure_psk(s, NULL, identity, 0, key, 16), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_psk(s, NULL, identity, sizeof identity, key, 16), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_psk(s, NULL, "a", 1, key, COPSE_PSK_KEY_MIN - 1), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_psk(s, NULL, "a", 1, key, sizeof key), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_psk(s, &at, "a", 1, key, 16), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_psk(s, NULL, identity, COPSE_PSK_IDENTITY_MAX, key, COPSE_PSK_KEY_MAX),
			 COPSE_OK);
	assert_int_equal(copse_secure_psk(s, NULL, "a", 1, key, COPSE_PSK_KEY_MIN), COPSE_OK);
	assert_int_equal(copse_secure_psk(s, NULL, "a", 1, key, 16), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_psk_n(s), 2);
	copse_secure_unref(s);
}

/* A client's keys: one for each peer, one for all others. */
static void test_psk_of_peers(void **state)
{
	struct copse_secure *s = copse_secure_new(false);
	struct copse_address a = address("127.0.0.1", 5684), b = address("127.0.0.1", 5685);

	(void)state;
	assert_int_equal(copse_secure_psk(s, NULL, "x", 1, "12345678", 8), COPSE_OK);
	assert_int_equal(copse_secure_psk(s, NULL, "y", 1, "12345678", 8), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_psk(s, &a, "x", 1, "12345678", 8), COPSE_OK);
	assert_int_equal(copse_secure_psk(s, &b, "x", 1, "12345678", 8), COPSE_OK);
	assert_int_equal(copse_secure_psk(s, &a, "z", 1, "12345678", 8), COPSE_ERR_ARGUMENT);
	for (uint16_t port = 1; port <= 1000; port++) {
		struct copse_address at = address("127.0.0.2", port);

		assert_int_equal(copse_secure_psk(s, &at, "x", 1, "12345678", 8), COPSE_OK);
	}
	assert_int_equal(copse_secure_psk_n(s), 1003);
	copse_secure_unref(s);
}

static int lines(const char *text)
{
	struct copse_secure *s = copse_secure_new(true);
	int n;

	why[0] = '\0';
	n = copse_secure_psk_lines(s, text, strlen(text), why);
	copse_secure_unref(s);
	return n;
}

static void test_psk_lines(void **state)
{
	(void)state;
	assert_int_equal(lines(""), 0);
	assert_int_equal(lines("# nobody\n\n"), 0);
	assert_int_equal(lines("alice:0011223344556677\nbob:00112233445566778899aabbccddeeff\r\n"), 2);
	assert_int_equal(lines("urn:dev:1:0011223344556677"), 1);
	assert_int_equal(lines("alice:0011223344556677\nalice:0011223344556677\n"), COPSE_ERR_ARGUMENT);
	assert_int_equal(lines("alice:00112233445566\n"), COPSE_ERR_ARGUMENT);
	assert_int_equal(lines(":0011223344556677\n"), COPSE_ERR_ARGUMENT);
	assert_int_equal(lines("ok:0011223344556677\nalice 0011223344556677\n"), COPSE_ERR_ARGUMENT);
	assert_non_null(strstr(why, "line 2"));
	assert_int_equal(lines("alice:secretsecretsecr\n"), COPSE_ERR_ARGUMENT);
	assert_null(strstr(why, "secret"));
}

static void test_nothing_is_not_enough(void **state)
{
	struct copse_secure *s = copse_secure_new(true);
	const struct keys *k = keys_of(KEYS_SERVER, false), *other = keys_of(KEYS_CLIENT, false);

	(void)state;
	assert_int_equal(copse_secure_finish(s, why), COPSE_ERR_ARGUMENT);
	/* to believe somebody is nothing to show */
	assert_int_equal(copse_secure_trust(s, k->ca, strlen(k->ca), why), COPSE_OK);
	assert_int_equal(copse_secure_finish(s, why), COPSE_ERR_ARGUMENT);
	assert_int_equal(
	    copse_secure_certificate(s, k->cert, strlen(k->cert), other->key, strlen(other->key), why),
	    COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_raw_key(s, k->cert, strlen(k->cert), why), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_trust(s, "nothing", 7, why), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_trust_raw(s, k->ca, strlen(k->ca), why), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_trust_raw(s, "-----BEGIN PUBLIC KEY-----", 26, why),
			 COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_certificate(s, k->cert, strlen(k->cert), k->key, strlen(k->key), why),
			 COPSE_OK);
	assert_int_equal(copse_secure_finish(s, why), COPSE_OK);
	copse_secure_unref(s);
}

/* A secret that others may read is none. */
static void test_files(void **state)
{
	char path[] = "/tmp/copse-secure-XXXXXX", *text;
	int fd = mkstemp(path);
	size_t len;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "top secret", 10), 10);
	for (mode_t mode = 0; mode < 0100; mode++) {
		int expected = mode ? COPSE_ERR_ARGUMENT : COPSE_OK;

		assert_int_equal(fchmod(fd, 0600 | mode), 0);
		text = NULL;
		assert_int_equal(copse_secure_read(path, true, &text, &len, why), expected);
		if (expected == COPSE_OK) {
			assert_int_equal(len, 10);
			assert_string_equal(text, "top secret");
		} else {
			assert_null(strstr(why, "secret\n"));
			assert_non_null(strstr(why, "chmod 600"));
		}
		copse_secure_wipe(text, 10);
	}
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(copse_secure_read(path, false, &text, &len, why), COPSE_OK);
	copse_secure_wipe(text, len);
	assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
	assert_int_equal(copse_secure_read(path, false, &text, &len, why), COPSE_ERR_ARGUMENT);
	close(fd);
	unlink(path);
	assert_int_equal(copse_secure_read(path, false, &text, &len, why), COPSE_ERR_ARGUMENT);
	assert_int_equal(copse_secure_read("/", false, &text, &len, why), COPSE_ERR_ARGUMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_psk_bounds),
	    cmocka_unit_test(test_psk_of_peers),
	    cmocka_unit_test(test_psk_lines),
	    cmocka_unit_test(test_files),
	    cmocka_unit_test(test_nothing_is_not_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
