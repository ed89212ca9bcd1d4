/* libjwt verifies the signature, jansson reads the claims: libjwt's own getters take a number that is no integer for an
 * absent one.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "token.h"

#include <jansson.h>
#include <jwt.h>
#include <stdlib.h>
#include <string.h>

static const jwt_alg_t algorithms[] = {
    [GW_HS256] = JWT_ALG_HS256, [GW_RS256] = JWT_ALG_RS256, [GW_ES256] = JWT_ALG_ES256};

static bool is_base64url(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Copy the token into `text`, terminated. False unless it is three non-empty parts of base64url with dots between. */
static bool take_text(char text[GW_TOKEN_MAX + 1], const char *token, size_t len)
{
	unsigned dots = 0;

	while (len && is_space(*token))
		token++, len--;
	while (len && is_space(token[len - 1]))
		len--;
	if (len == 0 || len > GW_TOKEN_MAX || token[0] == '.' || token[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (token[i] == '.')
			dots += token[i - 1] == '.' ? 3 : 1;
		else if (!is_base64url(token[i]))
			return false;
	}
	memcpy(text, token, len);
	text[len] = 0;
	return dots == 2;
}

/* What the unverified header asks for. */
struct wanted {
	jwt_alg_t algorithm;
	char kid[GW_NAME_MAX + 1];
	bool has_kid;
};

/* Read the header of `text`. Nothing in it is trusted: it only chooses among our keys. */
static enum gw_token_fault read_header(const char *text, struct wanted *wanted)
{
	jwt_t *jwt = NULL;

	if (jwt_decode(&jwt, text, NULL, 0) != 0)
		return GW_TOKEN_MALFORMED;
	const char *kid = jwt_get_header(jwt, "kid"), *algorithm = jwt_get_header(jwt, "alg");
	char *crit = jwt_get_headers_json(jwt, "crit"); /* RFC 7515 §4.1.11: we understand none */
	wanted->algorithm = algorithm ? jwt_str_alg(algorithm) : JWT_ALG_NONE;
	wanted->has_kid = kid != NULL;
	bool fits = !kid || strlen(kid) <= GW_NAME_MAX;
	if (kid && fits)
		memcpy(wanted->kid, kid, strlen(kid) + 1);
	enum gw_token_fault fault = crit ? GW_TOKEN_ALGORITHM : fits ? GW_TOKEN_OK : GW_TOKEN_KEY;
	free(crit);
	jwt_free(jwt);
	return fault;
}

static bool is_text(const json_t *value, const char *text)
{
	return json_is_string(value) && json_string_length(value) == strlen(text) &&
	       strcmp(json_string_value(value), text) == 0;
}

/* Whether a token with these claims may come from whoever holds `key`. */
static bool speaks(const struct gw_config *config, const struct gw_key *key, const json_t *claims)
{
	const struct gw_names *issuer = &config->token.issuer;

	for (size_t i = 0; i < issuer->n; i++)
		if ((key->issuers & 1u << i) && is_text(json_object_get(claims, "iss"), issuer->text[i]))
			return true;
	return key->issuers == 0;
}

static enum gw_token_fault try_key(const struct gw_config *config, const struct gw_key *key, const char *text,
				   const struct wanted *wanted, json_t **claims)
{
	jwt_t *jwt = NULL;

	if (wanted->has_kid && strcmp(wanted->kid, key->id) != 0)
		return GW_TOKEN_KEY;
	if (jwt_decode(&jwt, text, key->bytes, (int)key->len) != 0)
		return GW_TOKEN_SIGNATURE;
	char *payload = jwt_get_alg(jwt) == wanted->algorithm ? jwt_get_grants_json(jwt, NULL) : NULL;
	jwt_free(jwt);
	*claims = payload ? json_loads(payload, JSON_REJECT_DUPLICATES, NULL) : NULL;
	free(payload);
	if (!*claims)
		return GW_TOKEN_SIGNATURE;
	if (speaks(config, key, *claims))
		return GW_TOKEN_OK;
	json_decref(*claims);
	return GW_TOKEN_FOREIGN;
}

/* Try the keys that are declared for the algorithm. With a kid there are at most GW_TOKEN_NAMES of them: keys of one name
 * speak for different issuers. What is said is how far the token came that got furthest. */
static enum gw_token_fault verify(const struct gw_config *config, const char *text,
				  const struct wanted *wanted, json_t **claims)
{
	enum gw_token_fault fault = GW_TOKEN_ALGORITHM;

	for (size_t i = 0; i < config->key_n; i++) {
		const struct gw_key *key = &config->keys[i];
		if (algorithms[key->algorithm] != wanted->algorithm)
			continue;
		enum gw_token_fault one = try_key(config, key, text, wanted, claims);
		if (one == GW_TOKEN_OK)
			return GW_TOKEN_OK;
		if (one > fault)
			fault = one;
	}
	return fault;
}

/* A NumericDate (RFC 7519 §2), rounded down. Returns 1, 0 when absent, -1 when it is no number or out of range. */
static int get_date(const json_t *claims, const char *name, int64_t *out)
{
	const json_t *value = json_object_get(claims, name);

	if (!value)
		return 0;
	if (!json_is_number(value))
		return -1;
	double number = json_number_value(value);
	if (!(number >= 0 && number < 1e15))
		return -1;
	*out = json_is_integer(value) ? (int64_t)json_integer_value(value) : (int64_t)number;
	return 1;
}

/* RFC 7519 §4.1.3: a text or an array of them. */
static bool has_audience(const json_t *aud, const char *wanted)
{
	size_t i;
	json_t *one;

	if (is_text(aud, wanted))
		return true;
	json_array_foreach(aud, i, one) if (is_text(one, wanted)) return true;
	return false;
}

/* Whether `value` is, or has, one of `wanted`. */
static bool has_one(const struct gw_names *wanted, const json_t *value,
		    bool (*matches)(const json_t *value, const char *text))
{
	for (size_t i = 0; i < wanted->n; i++)
		if (matches(value, wanted->text[i]))
			return true;
	return wanted->n == 0;
}

static enum gw_token_fault check_times(const struct gw_token_rules *rules, const json_t *claims, int64_t wall,
				       struct gw_claims *out)
{
	int64_t exp = 0, nbf = 0;
	int has_exp = get_date(claims, "exp", &exp), has_nbf = get_date(claims, "nbf", &nbf);

	if (has_exp < 0 || has_nbf < 0 || (!has_exp && rules->require_exp))
		return GW_TOKEN_CLAIM;
	out->expires = has_exp ? exp + rules->skew : GW_NO_EXPIRY;
	if (wall >= out->expires)
		return GW_TOKEN_EXPIRED;
	if (has_nbf && wall < nbf - rules->skew)
		return GW_TOKEN_EARLY;
	return GW_TOKEN_OK;
}

/* An array of rules, appended to those of `grant`. Returns how many, or -1. */
static int take_rules(const json_t *list, struct gw_grant *grant, unsigned have)
{
	size_t i;
	json_t *one;

	if (!list)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > GW_GRANT_RULES - have)
		return -1;
	json_array_foreach(list, i, one) if (!json_is_string(one) ||
					     gw_rule_parse(json_string_value(one), json_string_length(one),
							   &grant->rule[have + i])) return -1;
	return (int)i;
}

static enum gw_token_fault check_rules(const struct gw_token_rules *rules, const json_t *claims,
				       struct gw_grant *grant)
{
	const json_t *allow = json_object_get(claims, rules->allow_claim);

	memset(grant, 0, sizeof(*grant));
	int allowed = take_rules(allow, grant, 0);
	if (allowed < 0)
		return GW_TOKEN_RULES;
	int denied = take_rules(json_object_get(claims, rules->deny_claim), grant, (unsigned)allowed);
	if (denied < 0)
		return GW_TOKEN_RULES;
	grant->allow_n = (uint8_t)allowed;
	grant->deny_n = (uint8_t)denied;
	grant->limited = allow != NULL; /* an empty list allows nothing */
	return GW_TOKEN_OK;
}

static enum gw_token_fault check_claims(const struct gw_token_rules *rules, const json_t *claims,
					int64_t wall, struct gw_claims *out)
{
	const json_t *account = json_object_get(claims, rules->account_claim);
	enum gw_token_fault fault = check_times(rules, claims, wall, out);

	if (fault)
		return fault;
	if (!has_one(&rules->issuer, json_object_get(claims, "iss"), is_text))
		return GW_TOKEN_ISSUER;
	if (!has_one(&rules->audience, json_object_get(claims, "aud"), has_audience))
		return GW_TOKEN_AUDIENCE;
	/* json_string_length: an account with a NUL in it must not pass for its beginning */
	if (!json_is_string(account) || json_string_length(account) == 0 ||
	    json_string_length(account) > GW_ACCOUNT_MAX ||
	    strlen(json_string_value(account)) != json_string_length(account))
		return GW_TOKEN_ACCOUNT;
	memcpy(out->account, json_string_value(account), json_string_length(account) + 1);
	return check_rules(rules, claims, &out->grant);
}

enum gw_token_fault gw_token_check(const struct gw_config *config, const void *token, size_t len,
				   int64_t wall, struct gw_claims *claims)
{
	char text[GW_TOKEN_MAX + 1];
	struct wanted wanted = {0};
	json_t *json = NULL;

	if (!take_text(text, token, len))
		return GW_TOKEN_MALFORMED;
	enum gw_token_fault fault = read_header(text, &wanted);
	if (!fault)
		fault = verify(config, text, &wanted, &json);
	if (fault)
		return fault;
	fault = check_claims(&config->token, json, wall, claims);
	json_decref(json);
	return fault;
}

const char *gw_token_fault_text(enum gw_token_fault fault)
{
	static const char *const texts[] = {
	    [GW_TOKEN_OK] = "valid",
	    [GW_TOKEN_MALFORMED] = "not a token",
	    [GW_TOKEN_ALGORITHM] = "algorithm without a key",
	    [GW_TOKEN_KEY] = "unknown key id",
	    [GW_TOKEN_SIGNATURE] = "wrong signature",
	    [GW_TOKEN_FOREIGN] = "signed by a key of another issuer",
	    [GW_TOKEN_CLAIM] = "bad or missing time",
	    [GW_TOKEN_EXPIRED] = "expired",
	    [GW_TOKEN_EARLY] = "not valid yet",
	    [GW_TOKEN_ISSUER] = "wrong issuer",
	    [GW_TOKEN_AUDIENCE] = "wrong audience",
	    [GW_TOKEN_ACCOUNT] = "no account",
	    [GW_TOKEN_RULES] = "unreadable rules",
	};
	return texts[fault];
}
