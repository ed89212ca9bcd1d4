/* Keys that tokens are verified with: of sections, and of JWK sets, each with the issuers that it speaks for.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config_parse.h"
#include "config_text.h"
#include "jwks.h"
#include "key.h"

#include <copse/mem.h>
#include <copse/secure.h>

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static_assert(GW_TOKEN_NAMES <= 8 * sizeof(((struct gw_key *)0)->issuers), "a bit for each issuer");

static const char *take_file(struct gw_key *key, const cfg_t *sec, const char *name)
{
	char path[PATH_MAX], *text;
	size_t len;

	gw_config_beside(path, sizeof(path), sec, name);
	int err = gw_file_read(path, 65536, &text, &len);
	if (err)
		return strerrordesc_np(err);
	size_t size = len;
	if (key->algorithm == GW_HS256 && len && text[len - 1] == '\n')
		len--;
	const char *why = gw_key_take(key, text, len);
	explicit_bzero(text, size);
	copse_mem_free(text);
	return why;
}

/* Which of two keys a token without an issuer, or with one that both speak for, means by their name nobody could tell. */
static bool meet(const struct gw_key *a, const struct gw_key *b)
{
	return a->id[0] && strcmp(a->id, b->id) == 0 &&
	       (!a->issuers || !b->issuers || (a->issuers & b->issuers));
}

/* The `n` keys at `more` behind those that there are: they are the configuration's then. */
static int add_keys(struct gw_config *c, const struct gw_key *more, size_t n, cfg_t *sec)
{
	struct gw_key *all = copse_mem_new(c->key_n + n, sizeof(*all));

	if (!all)
		return -1;
	memcpy(all, c->keys, c->key_n * sizeof(*all));
	memcpy(all + c->key_n, more, n * sizeof(*all));
	for (size_t i = c->key_n; i < c->key_n + n; i++)
		for (size_t j = 0; j < i; j++)
			if (meet(&all[i], &all[j])) {
				cfg_error(sec, "key '%s' stands twice for the same issuer", all[i].id);
				copse_mem_free(all);
				return -1;
			}
	copse_mem_free(c->keys);
	c->keys = all;
	c->key_n += n;
	return 0;
}

/* The bits of the issuers that a section names. */
static int take_issuers(const struct gw_config *c, cfg_t *sec, uint8_t *issuers)
{
	const struct gw_names *all = &c->token.issuer;

	*issuers = 0;
	/* an empty list would mean what nobody means by it: a key that speaks for all */
	if (cfg_size(sec, "issuer") == 0 && (cfg_getopt(sec, "issuer")->flags & CFGF_MODIFIED)) {
		cfg_error(sec, "key '%s' names no issuer", cfg_title(sec));
		return -1;
	}
	for (unsigned i = 0; i < cfg_size(sec, "issuer"); i++) {
		const char *text = cfg_getnstr(sec, "issuer", i);
		size_t n = 0;
		while (n < all->n && strcmp(all->text[n], text) != 0)
			n++;
		if (n == all->n) {
			cfg_error(sec, "key '%s': issuer '%s' is none of those of the section token",
				  cfg_title(sec), text);
			return -1;
		}
		*issuers |= (uint8_t)(1u << n);
	}
	return 0;
}

/* The set that the option jwks of `sec` names, beside the file of `place`. */
static int take_set(struct gw_config *c, cfg_t *sec, const cfg_t *place, uint8_t issuers)
{
	const char *wrong = NULL;
	char path[PATH_MAX], why[COPSE_SECURE_WHY], *text = NULL, *again = NULL;
	struct gw_key *keys = NULL;
	size_t len = 0, again_len = 0, n = 0;
	bool secret = false;

	gw_config_beside(path, sizeof(path), place, cfg_getstr(sec, "jwks"));
	if (copse_secure_read(path, false, &text, &len, why) != 0)
		wrong = why;
	if (!wrong)
		wrong = gw_jwks_read(text, len, &keys, &n, &secret);
	if (!wrong && secret && copse_secure_read(path, true, &again, &again_len, why) != 0)
		wrong = why;
	copse_secure_wipe(text, len);
	copse_secure_wipe(again, again_len);
	if (wrong)
		cfg_error(sec, "jwks: %s", wrong);
	for (size_t i = 0; keys && i < n; i++)
		keys[i].issuers = issuers;
	int err = wrong ? -1 : add_keys(c, keys, n, sec);
	for (size_t i = 0; err && keys && i < n; i++)
		gw_key_wipe(&keys[i]);
	copse_mem_free(keys);
	return err;
}

/* A section with one key. */
static int take_key(struct gw_key *key, cfg_t *sec)
{
	const char *algorithm = cfg_getstr(sec, "algorithm"), *secret = cfg_getstr(sec, "secret");
	const char *file = cfg_getstr(sec, "file"), *kid = cfg_getstr(sec, "kid"),
		   *title = cfg_title(sec), *why;

	snprintf(key->id, sizeof(key->id), "%s", kid ? kid : title);
	if (!algorithm) {
		cfg_error(sec, "key '%s' has no algorithm", title);
		return -1;
	}
	key->algorithm = (enum gw_algorithm)gw_algorithm_from_text(algorithm);
	if (!secret == !file) {
		cfg_error(sec, "key '%s' needs either a secret or a file", title);
		return -1;
	}
	if (secret && key->algorithm != GW_HS256) {
		cfg_error(sec, "key '%s': %s needs a file, not a secret", title, algorithm);
		return -1;
	}
	why = secret ? gw_key_take(key, secret, strlen(secret)) : take_file(key, sec, file);
	if (why)
		cfg_error(sec, file ? "key '%s': %s: %s" : "key '%s': %s%s", title, file ? file : "", why);
	return why ? -1 : 0;
}

static int take_section(struct gw_config *c, cfg_t *sec)
{
	struct gw_key key = {0};

	if (take_issuers(c, sec, &key.issuers) != 0)
		return -1;
	if (cfg_getstr(sec, "jwks")) {
		if (!cfg_getstr(sec, "algorithm") && !cfg_getstr(sec, "secret") && !cfg_getstr(sec, "file") &&
		    !cfg_getstr(sec, "kid"))
			return take_set(c, sec, sec, key.issuers);
		cfg_error(sec, "key '%s': a JWK set says algorithm, kid and key itself", cfg_title(sec));
		return -1;
	}
	int err = take_key(&key, sec) || add_keys(c, &key, 1, sec) ? -1 : 0;
	if (err)
		gw_key_wipe(&key);
	return err;
}

int gw_config_take_keys(struct gw_config *c, cfg_t *cfg)
{
	cfg_t *token = cfg_getsec(cfg, "token");

	c->keys = copse_mem_new(0, sizeof(*c->keys));
	if (!c->keys)
		return -1;
	for (unsigned i = 0; i < cfg_size(cfg, "key"); i++)
		if (take_section(c, cfg_getnsec(cfg, "key", i)) != 0)
			return -1;
	return cfg_getstr(token, "jwks") ? take_set(c, token, cfg, 0) : 0;
}
