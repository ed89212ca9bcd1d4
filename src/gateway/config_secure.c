/* The keys of the secure sides, from files that the configuration names: read with it, and again with
 * every reload. A key that others may read stops both.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "config_parse.h"
#include "resolver.h"

#include <copse/hex.h>
#include <copse/mem.h>
#include <copse/udp.h>

#include <gnutls/gnutls.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A section that stands once does not know its file: paths are relative to the configuration's. */
struct place {
	cfg_t *root;
	cfg_t *sec;
};

/* A file of an option, NULL where it is not set. Returns 0, or -1 after an error that has been told. */
static int read_file(const struct place *at, const char *option, bool secret, char **text, size_t *len)
{
	char path[PATH_MAX], why[COPSE_SECURE_WHY];
	const char *name = cfg_getstr(at->sec, option);

	*text = NULL;
	*len = 0;
	if (!name)
		return 0;
	gw_config_beside(path, sizeof(path), at->root, name);
	if (copse_secure_read(path, secret, text, len, why) == 0)
		return 0;
	cfg_error(at->sec, "%s: %s", option, why);
	return -1;
}

/* One file, and what is to be done with it. */
static int add_file(struct copse_secure *keys, const struct place *at, const char *option, bool secret,
		    int (*add)(struct copse_secure *keys, const void *text, size_t len,
			       char why[COPSE_SECURE_WHY]))
{
	char why[COPSE_SECURE_WHY], *text;
	size_t len;
	int err = read_file(at, option, secret, &text, &len);

	if (err || !text)
		return err;
	err = add(keys, text, len, why);
	copse_secure_wipe(text, len);
	if (err < 0)
		cfg_error(at->sec, "%s: %s", option, why);
	return err < 0 ? -1 : 0;
}

static int add_lines(struct copse_secure *keys, const void *text, size_t len, char why[COPSE_SECURE_WHY])
{
	return copse_secure_psk_lines(keys, text, len, why);
}

static int add_certificate(struct copse_secure *keys, const struct place *at)
{
	char why[COPSE_SECURE_WHY], *cert = NULL, *key = NULL;
	size_t cert_len, key_len = 0;
	int err = read_file(at, "certificate", false, &cert, &cert_len);

	if (!err)
		err = read_file(at, "private_key", true, &key, &key_len);
	if (!err && !cert != !key) {
		cfg_error(at->sec, "certificate and private_key belong together");
		err = -1;
	}
	if (!err && cert && copse_secure_certificate(keys, cert, cert_len, key, key_len, why) != 0) {
		cfg_error(at->sec, "certificate: %s", why);
		err = -1;
	}
	copse_secure_wipe(cert, cert_len);
	copse_secure_wipe(key, key_len);
	return err;
}

static bool has_any(cfg_t *sec, const char *const *names)
{
	for (; *names; names++)
		if (cfg_getstr(sec, *names))
			return true;
	return false;
}

static int take_listen(struct gw_config *c, cfg_t *sec)
{
	c->secure_listen_n = cfg_size(sec, "listen");
	if (c->secure_listen_n > GW_LISTEN_MAX || c->secure_listen_n == 0) {
		cfg_error(sec, "secure: 'listen' needs 1 to %d addresses", GW_LISTEN_MAX);
		return -1;
	}
	for (unsigned i = 0; i < c->secure_listen_n; i++)
		gw_config_listen_parse(cfg_getnstr(sec, "listen", i), true, &c->secure_listen[i],
				       &c->secure_listen_stream[i]);
	return 0;
}

/* Towards clients: without anything to prove ourselves by there is no secure side. */
int gw_config_take_secure(struct gw_config *c, cfg_t *cfg)
{
	cfg_t *sec = cfg_getsec(cfg, "secure");
	const struct place at = {cfg, sec};
	static const char *const own[] = {"psk_file", "certificate", "raw_key", NULL};
	char why[COPSE_SECURE_WHY];

	c->associations = (uint32_t)cfg_getint(sec, "associations");
	c->handshakes = (uint32_t)cfg_getint(sec, "handshakes");
	c->handshake_rate = (uint32_t)cfg_getint(sec, "rate");
	c->handshake_helpers = (unsigned)cfg_getint(sec, "helpers");
	c->association_idle_ms = (copse_ms)(cfg_getfloat(sec, "idle") * 1000);
	if (!has_any(sec, own))
		return 0;
	c->client_keys = copse_secure_new(true);
	if (!c->client_keys)
		return -1;
	if (cfg_getbool(sec, "require_certificate") == cfg_true)
		copse_secure_require_peer(c->client_keys);
	if (add_file(c->client_keys, &at, "psk_file", true, add_lines) ||
	    add_certificate(c->client_keys, &at) ||
	    add_file(c->client_keys, &at, "raw_key", true, copse_secure_raw_key) ||
	    add_file(c->client_keys, &at, "ca", false, copse_secure_trust) ||
	    add_file(c->client_keys, &at, "raw_keys", false, copse_secure_trust_raw) || take_listen(c, sec))
		return -1;
	if (copse_secure_finish(c->client_keys, why) == 0)
		return 0;
	cfg_error(sec, "secure: %s", why);
	return -1;
}

/* ---- towards the mesh ---- */

/* NAME:KEY: the key that the device NAME shares with us, under its name as identity; "*" is any other
 * device, and our own name the identity. Returns NULL, or what is wrong. */
static const char *take_line(struct gw_config *c, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : 0;
	bool others = name_len == 1 && line[0] == '*';
	uint8_t key[COPSE_PSK_KEY_MAX];
	struct gw_target target;
	int n, err;

	if (!name_len)
		return "not NAME:KEY";
	if (!others && gw_resolve(c, line, name_len, COPSE_PORT, COPSE_PORT, &target) != GW_RESOLVED)
		return "no device has this name";
	n = copse_hex_decode(colon + 1, len - name_len - 1, key, sizeof(key));
	if (n < 0)
		return "the key is not in hexadecimal digits";
	err = copse_secure_psk(c->mesh_keys, others ? NULL : &target.secure, others ? c->name : line,
			       others ? strlen(c->name) : name_len, key, (size_t)n);
	gnutls_memset(key, 0, sizeof(key));
	return err ? "a key has 16 to 128 digits, and a device one key" : NULL;
}

static int take_lines(struct gw_config *c, cfg_t *mesh, const char *text, size_t len)
{
	unsigned number = 1;

	for (size_t at = 0; at < len; number++) {
		const char *line = text + at, *end = memchr(line, '\n', len - at), *why;
		size_t n = end ? (size_t)(end - line) : len - at;

		at += n + 1;
		while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' '))
			n--;
		if (n == 0 || line[0] == '#')
			continue;
		why = take_line(c, line, n);
		if (why) {
			cfg_error(mesh, "psk_file: line %u: %s", number, why);
			return -1;
		}
	}
	return 0;
}

static int take_psk(struct gw_config *c, const struct place *at)
{
	char *text;
	size_t len;
	int err = read_file(at, "psk_file", true, &text, &len);

	if (!err && text)
		err = take_lines(c, at->sec, text, len);
	copse_secure_wipe(text, len);
	return err;
}

static int expect_raw(struct gw_config *c, const struct place *at, const struct gw_target *target)
{
	char why[COPSE_SECURE_WHY], *text;
	size_t len;
	int err = read_file(at, "raw_key", false, &text, &len);

	if (err || !text)
		return err;
	err = copse_secure_expect_raw(c->mesh_keys, &target->secure, text, len, why);
	copse_secure_wipe(text, len);
	if (err)
		cfg_error(at->sec, "raw_key: %s", why);
	return err ? -1 : 0;
}

/* What a device that the configuration knows has to prove itself by: the raw key that stands there, else a certificate for
 * the name that stands there, or its own. */
static int expect_device(struct gw_config *c, const struct place *at)
{
	const char *name = cfg_title(at->sec), *own = cfg_getstr(at->sec, "certificate_name");
	struct gw_target target;

	if (gw_resolve(c, name, strlen(name), COPSE_PORT, COPSE_PORT, &target) != GW_RESOLVED)
		return 0; /* nobody may ask it */
	if (cfg_getstr(at->sec, "raw_key") && own) {
		cfg_error(at->sec, "a raw_key has no certificate_name");
		return -1;
	}
	if (cfg_getstr(at->sec, "raw_key"))
		return expect_raw(c, at, &target);
	own = own ? own : target.name;
	if (copse_secure_expect_name(c->mesh_keys, &target.secure, own, strlen(own)) == 0)
		return 0;
	cfg_error(at->sec, "certificate_name: too long, or another device has the same address");
	return -1;
}

/* With an authority, or with a device's raw key, devices come by other ways than pre-shared keys. */
static bool expects(const struct place *at)
{
	if (cfg_getstr(at->sec, "ca"))
		return true;
	for (unsigned i = 0; i < cfg_size(at->root, "device"); i++)
		if (cfg_getstr(cfg_getnsec(at->root, "device", i), "raw_key"))
			return true;
	return false;
}

static int take_expected(struct gw_config *c, cfg_t *cfg, bool authority)
{
	for (unsigned i = 0; i < cfg_size(cfg, "device"); i++) {
		const struct place at = {cfg, cfg_getnsec(cfg, "device", i)};

		/* without an authority a name is nothing to be known by */
		if ((authority || cfg_getstr(at.sec, "raw_key")) && expect_device(c, &at) != 0)
			return -1;
	}
	copse_secure_expect_address(c->mesh_keys);
	return 0;
}

int gw_config_take_mesh_keys(struct gw_config *c, cfg_t *cfg)
{
	cfg_t *mesh = cfg_getsec(cfg, "mesh");
	const struct place at = {cfg, mesh};
	char why[COPSE_SECURE_WHY];

	if (!cfg_getstr(mesh, "psk_file") && !expects(&at)) {
		if (!cfg_getstr(mesh, "certificate") && !cfg_getstr(mesh, "private_key") &&
		    !cfg_getstr(mesh, "raw_key"))
			return 0;
		cfg_error(mesh, "without ca, psk_file and a device's raw_key no device is to be believed");
		return -1;
	}
	c->mesh_keys = copse_secure_new(false);
	if (!c->mesh_keys || take_psk(c, &at) || add_certificate(c->mesh_keys, &at) ||
	    add_file(c->mesh_keys, &at, "raw_key", true, copse_secure_raw_key) ||
	    add_file(c->mesh_keys, &at, "ca", false, copse_secure_trust) ||
	    take_expected(c, cfg, cfg_getstr(mesh, "ca") != NULL))
		return -1;
	if (copse_secure_finish(c->mesh_keys, why) == 0)
		return 0;
	cfg_error(mesh, "mesh: %s", why);
	return -1;
}
