/* See security.h. Secrets may be given as text, as hexadecimal digits behind 0x, or in a file that nobody
 * else may read; they are in no message.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "security.h"
#include "report.h"

#include <copse/hex.h>

#include <stdlib.h>
#include <string.h>

#define HANDSHAKE_MS 15000u

static const char *value_of(const struct args *args, enum arg_name name, const char *variable)
{
	const char *value = args_value(args, name);

	if (!value)
		value = getenv(variable);
	return value && *value ? value : NULL;
}

bool secure_owns_key(const struct args *args)
{
	return args_count(args, ARG_CERT) || args_count(args, ARG_RPK);
}

static int refuse(const char *what, const char *why)
{
	return report_error(EXIT_SECURITY, "%s: %s", what, why);
}

/* ---- pre-shared key ---- */

static int take_psk(struct copse_secure *keys, const char *identity, const char *text, size_t len)
{
	uint8_t bytes[COPSE_PSK_KEY_MAX];
	const void *key = text;
	int n = (int)len, err;

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	if (n > 2 && text[0] == '0' && text[1] == 'x') {
		n = copse_hex_decode(text + 2, (size_t)n - 2, bytes, sizeof(bytes));
		key = bytes;
	}
	err = n < 0 ? n : copse_secure_psk(keys, NULL, identity, strlen(identity), key, (size_t)n);
	explicit_bzero(bytes, sizeof(bytes));
	return err ? refuse("--psk", "needs an identity (--psk-id) of up to 128 bytes and a key of 8 to 64; "
				     "0x begins hexadecimal digits")
		   : 0;
}

static int add_psk(struct copse_secure *keys, const struct args *args)
{
	const char *identity = value_of(args, ARG_PSK_ID, "COPSE_PSK_ID");
	const char *psk = value_of(args, ARG_PSK, "COPSE_PSK");
	char why[COPSE_SECURE_WHY], *text = NULL;
	size_t len;
	int code;

	if (!psk && !args_count(args, ARG_PSK_ID))
		return 0;
	if (!psk || !identity)
		return refuse(psk ? "--psk" : "--psk-id", "--psk-id and --psk belong together");
	if (psk[0] != '@')
		return take_psk(keys, identity, psk, strlen(psk));
	if (copse_secure_read(psk + 1, true, &text, &len, why))
		return refuse("--psk", why);
	code = take_psk(keys, identity, text, len);
	copse_secure_wipe(text, len);
	return code;
}

/* ---- certificates and raw keys ---- */

static int add_own(struct copse_secure *keys, const char *cert_path, const char *key_path)
{
	char why[COPSE_SECURE_WHY], *cert = NULL, *key = NULL;
	size_t cert_len = 0, key_len = 0;
	int err;

	if (!key_path)
		return cert_path ? refuse("--cert", "its private key is missing: --key FILE") : 0;
	err = copse_secure_read(key_path, true, &key, &key_len, why);
	if (!err && cert_path)
		err = copse_secure_read(cert_path, false, &cert, &cert_len, why);
	if (!err)
		err = cert_path ? copse_secure_certificate(keys, cert, cert_len, key, key_len, why)
				: copse_secure_raw_key(keys, key, key_len, why);
	copse_secure_wipe(key, key_len);
	copse_secure_wipe(cert, cert_len);
	return err ? refuse("--key", why) : 0;
}

static int add_believed(struct copse_secure *keys, const char *option, const char *path,
			int (*add)(struct copse_secure *keys, const void *text, size_t len,
				   char why[COPSE_SECURE_WHY]))
{
	char why[COPSE_SECURE_WHY], *text = NULL;
	size_t len = 0;
	int err;

	if (!path)
		return 0;
	err = copse_secure_read(path, false, &text, &len, why);
	if (!err)
		err = add(keys, text, len, why);
	copse_secure_wipe(text, len);
	return err ? refuse(option, why) : 0;
}

static int add_certificates(struct copse_secure *keys, const struct args *args)
{
	bool token = args_count(args, ARG_KEY) && (args->command->groups & KEYS) && !secure_owns_key(args);
	const char *ca = value_of(args, ARG_CA, "COPSE_CA"), *rpk = value_of(args, ARG_RPK, "COPSE_RPK");
	int code = add_own(keys, value_of(args, ARG_CERT, "COPSE_CERT"),
			   token ? NULL : value_of(args, ARG_KEY, "COPSE_KEY"));

	if (!code)
		code = add_believed(keys, "--ca", ca, copse_secure_trust);
	if (!code)
		code = add_believed(keys, "--rpk", rpk, copse_secure_trust_raw);
	/* as every program does that is given nothing else: the authorities of this system */
	if (!code && !ca && !rpk && copse_secure_psk_n(keys) == 0) {
		char why[COPSE_SECURE_WHY];

		if (copse_secure_trust_system(keys, why)) {
			code = refuse("nothing says how to know the server", why);
			report_hint("try: --psk-id NAME --psk @FILE, --ca FILE, or --rpk FILE");
		}
	}
	return code;
}

/* ---- all of it ---- */

static int fill(struct secure *secure, const struct args *args, const struct copse_uri *uri)
{
	char host[256], why[COPSE_SECURE_WHY];
	int n = copse_uri_host(uri, host, sizeof(host));
	int code;

	if (n < 0 || copse_secure_server_name(secure->keys, host, (size_t)n))
		return refuse("the host", "its name is too long");
	copse_secure_prefer_secrecy(secure->keys);
	code = add_psk(secure->keys, args);
	if (!code)
		code = add_certificates(secure->keys, args);
	if (!code && copse_secure_finish(secure->keys, why))
		code = refuse("the keys", why);
	return code;
}

int secure_configure(struct secure *secure, const struct args *args, const struct copse_uri *uri,
		     copse_ms limit_ms)
{
	if (!copse_scheme_is_secure((enum copse_scheme)uri->scheme))
		return 0;
	secure->keys = copse_secure_new(false);
	if (!secure->keys)
		return report_error(EXIT_OTHER, "out of memory");
	/* a wrong key shows as silence: to be told from a time-out it must end before that */
	secure->handshake_ms = HANDSHAKE_MS;
	if (limit_ms / 4 * 3 < HANDSHAKE_MS)
		secure->handshake_ms = limit_ms / 4 * 3 + 1;
	return fill(secure, args, uri);
}

int secure_peer(struct secure *secure, struct copse_transport *t, const struct copse_address *address,
		struct copse_peer *peer)
{
	int err = copse_transport_peer(t, address, peer);

	if (err || !secure || !secure->keys || !copse_transport_is_dtls(t))
		return err;
	secure->peer = *peer;
	secure->has_peer = true;
	if (secure->resumption_len)
		copse_dtls_resumption_give(t, peer, secure->resumption, secure->resumption_len);
	return 0;
}

void secure_leave(struct secure *secure)
{
	if (secure && secure->transport && secure->keep && secure->has_peer &&
	    copse_transport_is_dtls(secure->transport)) {
		secure->resumption_len = copse_dtls_resumption_take(
		    secure->transport, &secure->peer, secure->resumption, sizeof(secure->resumption));
		copse_dtls_leave_open(secure->transport);
	}
	if (secure)
		secure->transport = NULL;
}

const char *secure_failure(const struct secure *secure)
{
	bool silent = true;
	const char *why = NULL;

	if (secure->transport && copse_transport_is_dtls(secure->transport))
		why = copse_dtls_failure(secure->transport, &silent);
	else if (secure->transport)
		why = copse_tcp_failure(secure->transport, &silent);

	return why && !silent ? why : NULL;
}

void secure_release(struct secure *secure)
{
	copse_secure_unref(secure->keys);
	secure->keys = NULL;
	explicit_bzero(secure->resumption, sizeof(secure->resumption));
	secure->resumption_len = 0;
}
