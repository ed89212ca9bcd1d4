/* See token.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "token.h"
#include "report.h"

#include <copse/mem.h>

#include <jansson.h>
#include <jwt.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXPIRES_MS 3600000u

/* Claims that options of their own set. */
static bool is_reserved(const char *name)
{
	static const char *const names[] = {"sub", "account", "iat", "exp", "nbf"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static int add_claim(json_t *claims, const char *text)
{
	const char *equals = strchr(text, '=');
	char name[256];
	json_t *value;

	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
		return report_error(EXIT_OTHER, "--claim: %s is not of the form NAME=VALUE", text);
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	if (is_reserved(name))
		return report_error(EXIT_OTHER, "--claim: %s is set by an option of its own", name);
	value = json_loads(equals + 1, JSON_DECODE_ANY, NULL);
	if (!value)
		value = json_string(equals + 1);
	if (!value)
		return report_error(EXIT_OTHER, "--claim: %s is not UTF-8", name);
	json_object_set_new(claims, name, value);
	return 0;
}

static int add_times(json_t *claims, const struct args *args)
{
	copse_ms expires, begins;
	time_t now = time(NULL);
	int code = args_span(args, ARG_EXPIRES, EXPIRES_MS, &expires);

	if (!code)
		code = args_span(args, ARG_NOT_BEFORE, 0, &begins);
	if (code)
		return code;
	json_object_set_new(claims, "iat", json_integer(now));
	if (expires)
		json_object_set_new(claims, "exp", json_integer(now + (json_int_t)(expires / 1000)));
	if (args_count(args, ARG_NOT_BEFORE))
		json_object_set_new(claims, "nbf", json_integer(now + (json_int_t)(begins / 1000)));
	return 0;
}

static int make_claims(json_t *claims, const struct args *args)
{
	const char *account = args_value(args, ARG_ACCOUNT);

	if (!account || !*account)
		return report_error(EXIT_OTHER, "--account is missing: who is the token for?");
	json_t *name = json_string(account);
	if (!name)
		return report_error(EXIT_OTHER, "--account: the name is not UTF-8");
	json_object_set(claims, "sub", name);
	json_object_set_new(claims, "account", name);
	int code = add_times(claims, args);
	for (unsigned i = 0; !code && i < args->given_n; i++) {
		if (args->given[i].name == ARG_CLAIM)
			code = add_claim(claims, args->given[i].value);
	}
	return code;
}

static const struct {
	const char *name;
	jwt_alg_t alg;
	bool key; /* by a key file, not a secret */
} algs[] = {{"HS256", JWT_ALG_HS256, false}, {"RS256", JWT_ALG_RS256, true}, {"ES256", JWT_ALG_ES256, true}};

/* Sign with one algorithm. Returns the token (to be freed), or NULL with errno. */
static char *sign(json_t *claims, jwt_alg_t alg, const struct buffer *key)
{
	char *text = json_dumps(claims, JSON_COMPACT), *token = NULL;
	jwt_t *jwt = NULL;
	int err = !text ? ENOMEM : jwt_new(&jwt);

	if (!err)
		err = jwt_add_grants_json(jwt, text);
	if (!err)
		err = jwt_set_alg(jwt, alg, key->bytes, (int)key->len);
	if (!err)
		token = jwt_encode_str(jwt);
	if (err)
		errno = err;
	jwt_free(jwt);
	free(text);
	return token;
}

/* Sign with the algorithm that is asked for, else with the one that the kind of key fits. */
static char *sign_by(json_t *claims, const char *alg, bool key_file, const struct buffer *key)
{
	for (size_t i = 0; i < sizeof(algs) / sizeof(*algs); i++) {
		if (algs[i].key != key_file || (alg && strcmp(alg, algs[i].name) != 0))
			continue;
		char *token = sign(claims, algs[i].alg, key);
		if (token)
			return token;
	}
	return NULL;
}

static int check_alg(const char *alg, bool key_file)
{
	for (size_t i = 0; alg && i < sizeof(algs) / sizeof(*algs); i++) {
		if (strcmp(alg, algs[i].name) != 0)
			continue;
		if (algs[i].key == key_file)
			return 0;
		return report_error(EXIT_OTHER, "--alg: %s goes with %s", alg,
				    key_file ? "--secret" : "--key");
	}
	return alg ? report_error(EXIT_OTHER, "--alg: %s is none of HS256, RS256 and ES256", alg) : 0;
}

static int read_key(struct buffer *key, const struct args *args)
{
	const char *secret = args_value(args, ARG_SECRET), *file = args_value(args, ARG_KEY);

	if (!secret == !file) {
		report_error(EXIT_OTHER, secret ? "--secret and --key exclude each other"
						: "a --secret or a --key is missing");
		report_hint("try: copse token --account NAME --secret @FILE");
		return EXIT_OTHER;
	}
	int code =
	    secret ? payload_secret(key, secret) : payload_read_file(key, file[0] == '@' ? file + 1 : file);
	if (!code && key->len == 0)
		code = report_error(EXIT_OTHER, "the secret is empty");
	return code;
}

static int make(struct buffer *token, const struct args *args, const struct buffer *key)
{
	bool key_file = args_value(args, ARG_KEY) != NULL;
	json_t *claims = json_object();
	int code = make_claims(claims, args);

	if (!code)
		code = check_alg(args_value(args, ARG_ALG), key_file);
	if (!code) {
		char *text = sign_by(claims, args_value(args, ARG_ALG), key_file, key);
		if (!text)
			code =
			    report_error(EXIT_OTHER, "%s is no private key%s that a token can be signed with",
					 key_file ? args_value(args, ARG_KEY) : "that",
					 args_value(args, ARG_ALG) ? " of that kind" : ", RSA or P-256,");
		else if (!buffer_append(token, text, strlen(text)))
			code = report_error(EXIT_OTHER, "out of memory");
		free(text);
	}
	json_decref(claims);
	return code;
}

int token_make(struct buffer *token, const struct args *args)
{
	struct buffer key = {.bytes = NULL};
	int code = read_key(&key, args);

	if (!code)
		code = make(token, args, &key);
	if (key.bytes)
		explicit_bzero(key.bytes, key.cap);
	buffer_free(&key);
	return code;
}

/* The middle part of a token is base64url (RFC 4648 §5) of JSON. Returns the number of bytes. */
static size_t decode_base64url(const char *text, size_t len, char *out, size_t cap)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	size_t n = 0;

	for (size_t i = 0; i < len && n < cap; i++) {
		const char *at = text[i] ? strchr(digits, text[i]) : NULL;
		if (!at)
			break;
		bits = bits << 6 | (uint32_t)(at - digits);
		if (i % 4 != 0)
			out[n++] = (char)(bits >> (6 - i % 4 * 2));
	}
	return n;
}

void token_account(const struct buffer *token, char *account, size_t cap)
{
	const char *text = (const char *)token->bytes, *dot = memchr(text, '.', token->len);
	char claims[4096];

	account[0] = '\0';
	if (!dot)
		return;
	const char *end = memchr(dot + 1, '.', token->len - (size_t)(dot + 1 - text));
	if (!end)
		return;
	size_t n = decode_base64url(dot + 1, (size_t)(end - dot - 1), claims, sizeof(claims));
	json_t *o = json_loadb(claims, n, 0, NULL);
	const char *name = json_string_value(json_object_get(o, "account"));
	if (!name)
		name = json_string_value(json_object_get(o, "sub"));
	if (name && strlen(name) < cap)
		snprintf(account, cap, "%s", name);
	json_decref(o);
}
