/* OSCORE: messages protected from end to end, through any proxies (RFC 8613).
 *
 * A security context is what two parties share: the keys that follow from a Master Secret, who is called what, the next
 * number to send under, and which numbers have come. Context and messages are bytes in, bytes out, like the core; what is
 * known of cryptography is four functions (struct copse_oscore_crypto), which GnuTLS fills on hosts and a microcontroller
 * by whatever it has.
 *
 *	copse_oscore_init(&context, &params, &copse_oscore_gnutls)
 *	copse_oscore_protect(&context, &message, how, &binding, out, cap, &code)        what leaves
 *	copse_oscore_unprotect_request, copse_oscore_unprotect_response                 what has come
 *
 * A binding ties a response to its request; who asked and who answers keep one for each, as long as answers may come.
 *
 * Not thread-safe: one thread owns a context.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_OSCORE_H
#define COPSE_OSCORE_H

#include <copse/message.h>

/* The algorithms, by their numbers in COSE (RFC 9053). A context can have any that its `crypto` knows. */
enum copse_oscore_aead {
	COPSE_OSCORE_AES_GCM_128 = 1,
	COPSE_OSCORE_AES_GCM_256 = 3,
	COPSE_OSCORE_AES_CCM_16_64_128 = 10, /* mandatory, and the default (RFC 8613 §3.2) */
	COPSE_OSCORE_AES_CCM_16_64_256 = 11,
	COPSE_OSCORE_CHACHA20_POLY1305 = 24,
	COPSE_OSCORE_AES_CCM_16_128_128 = 30,
	COPSE_OSCORE_AES_CCM_16_128_256 = 31
};

enum copse_oscore_hkdf { COPSE_OSCORE_HKDF_SHA_256 = -10, COPSE_OSCORE_HKDF_SHA_512 = -11 };

#define COPSE_OSCORE_ID_MAX       7  /* a sender's ID: the length of the nonce less 6 (§3.3) */
#define COPSE_OSCORE_CONTEXT_MAX  32 /* an ID Context */
#define COPSE_OSCORE_KEY_MAX      32
#define COPSE_OSCORE_NONCE_MAX    13
#define COPSE_OSCORE_TAG_MAX      16
#define COPSE_OSCORE_PIV_MAX      5                         /* a Partial IV */
#define COPSE_OSCORE_SEQUENCE_MAX ((UINT64_C(1) << 40) - 1) /* §7.2.1 */
#define COPSE_OSCORE_ECHO_LEN     8
/* By how much a protected message is at most longer than the plain one. */
#define COPSE_OSCORE_OVERHEAD 80
/* Room to take apart a message of `n` bytes. */
#define COPSE_OSCORE_ROOM(n) (2 * (n) + 32)

/* The sizes of an AEAD algorithm. */
struct copse_oscore_sizes {
	uint8_t key, nonce, tag;
};

/* The cryptography. Functions return false for what they do not know or cannot do; `open` also for a text that was not
 * sealed so. They keep nothing. */
struct copse_oscore_crypto {
	bool (*sizes)(int aead, struct copse_oscore_sizes *sizes);
	/* HKDF (RFC 5869): `out_len` bytes, at most 64. */
	bool (*derive)(int hkdf, const uint8_t *salt, size_t salt_len, const uint8_t *secret,
		       size_t secret_len, const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len);
	/* Encrypt the `len` bytes at `text` where they stand; the tag is put behind them. */
	bool (*seal)(int aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		     uint8_t *text, size_t len);
	/* Decrypt the `len` bytes at `text`, the tag included, where they stand. */
	bool (*open)(int aead, const uint8_t *key, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
		     uint8_t *text, size_t len);
	bool (*random)(uint8_t *out, size_t len); /* that nobody can guess */
};

extern const struct copse_oscore_crypto copse_oscore_gnutls; /* hosts: all of the algorithms above */

/* What a security context is made of (§3.2). Nothing is kept of what the pointers show but the IDs. */
struct copse_oscore_params {
	const uint8_t *secret; /* Master Secret, at least a byte; 16 random ones are good */
	size_t secret_len;
	const uint8_t *salt; /* Master Salt; may be empty */
	size_t salt_len;
	const uint8_t *sender_id; /* ours: what the other calls Recipient ID */
	size_t sender_id_len;
	const uint8_t *recipient_id;
	size_t recipient_id_len;
	const uint8_t *id_context; /* NULL: none */
	size_t id_context_len;
	int aead;       /* enum copse_oscore_aead; 0: the default */
	int hkdf;       /* enum copse_oscore_hkdf; 0: the default */
	uint8_t window; /* of numbers received out of order, 1 to 64; 0: 32 (§3.2.2) */
};

/* A security context. Fields are private, but for tests; holds keys: copse_oscore_wipe when it is no longer used. */
struct copse_oscore_context {
	const struct copse_oscore_crypto *crypto;
	struct copse_oscore_sizes sizes;
	int aead;
	uint8_t sender_id_len, recipient_id_len, id_context_len;
	bool has_id_context;
	uint8_t sender_id[COPSE_OSCORE_ID_MAX], recipient_id[COPSE_OSCORE_ID_MAX];
	uint8_t id_context[COPSE_OSCORE_CONTEXT_MAX];
	uint8_t sender_key[COPSE_OSCORE_KEY_MAX], recipient_key[COPSE_OSCORE_KEY_MAX];
	uint8_t common_iv[COPSE_OSCORE_NONCE_MAX];
	uint64_t sequence; /* the next to send under */
	uint64_t reserved; /* the first that may not be used before `reserve` has been asked */
	bool (*reserve)(void *self, uint64_t from, uint64_t *upto);
	void *reserve_self;
	uint64_t top;  /* the number after the highest received; 0: none */
	uint64_t seen; /* bit i: number top - 1 - i was received */
	uint8_t window;
	bool synced; /* the window is known to be right: not so after a restart (Appendix B.1.2) */
	bool has_echo;
	uint8_t echo[COPSE_OSCORE_ECHO_LEN]; /* what a request must bear that restores the window */
};

/* Derive a context (§3.2.1). It begins with number 0 and an empty, valid window.
 * Returns 0; COPSE_ERR_ARGUMENT: an ID is too long, both are the same, the window is too large, the secret is empty, or
 * `crypto` does not know an algorithm. */
int copse_oscore_init(struct copse_oscore_context *context, const struct copse_oscore_params *params,
		      const struct copse_oscore_crypto *crypto);

/* Begin with number `sequence`. With `reserve`, it is asked before a number is used that is not reserved yet: it says in
 * `*upto` up to which (exclusive) they are, once that has been kept safe, or returns false; then nothing is sent
 * (COPSE_ERR_EXHAUSTED). A program that starts again begins with the last `*upto` (Appendix B.1.1). */
void copse_oscore_sequence(struct copse_oscore_context *context, uint64_t sequence,
			   bool (*reserve)(void *self, uint64_t from, uint64_t *upto), void *self);

/* The window was lost: the next request is taken only with an Echo value that was given since (Appendix B.1.2). */
void copse_oscore_lost_window(struct copse_oscore_context *context);

/* What came so far, to be kept over an orderly end: one more than the highest number in `*top`, 0 for none, and in bit i of
 * `*seen` whether `*top` - 1 - i came. Returns false while the window is not known. */
bool copse_oscore_window(const struct copse_oscore_context *context, uint64_t *top, uint64_t *seen);

/* Go on with the window that copse_oscore_window told, when nothing has been taken by the context since. One that is older
 * lets replays pass: who is not sure calls copse_oscore_lost_window. */
void copse_oscore_restore_window(struct copse_oscore_context *context, uint64_t top, uint64_t seen);

/* Overwrite the keys. */
void copse_oscore_wipe(struct copse_oscore_context *context);

/* The request that a response belongs to. */
struct copse_oscore_binding {
	uint8_t kid_len, piv_len;
	uint8_t kid[COPSE_OSCORE_ID_MAX];
	uint8_t piv[COPSE_OSCORE_PIV_MAX];
	bool answered;   /* responses: the request's nonce has been used; the next one has a Partial IV */
	bool observe;    /* the request had Observe 0 */
	bool has_number; /* of a notification: `number` is the highest that has come (§4.1.3.5.2) */
	uint64_t number;
};

/* The OSCORE option (§6.1). */
struct copse_oscore_option {
	const uint8_t *piv, *kid, *kid_context;
	uint8_t piv_len, kid_len, kid_context_len;
	bool has_kid, has_kid_context;
};

/* Read the value of an OSCORE option; pointers go into `value`. Returns 0 or COPSE_ERR_MALFORMED. */
int copse_oscore_option_parse(struct copse_oscore_option *o, const uint8_t *value, size_t len);

enum copse_oscore_how {
	COPSE_OSCORE_REQUEST = 0,
	COPSE_OSCORE_RESPONSE = 1,
	COPSE_OSCORE_FRESH = 2 /* a response that bears a Partial IV, as notifications, and a challenge, do */
};

/* Protect `m`, a plain request or response: of a request `*binding` is made, of a response it says what it answers.
 * Into `out` goes what stands behind the token, into `*code` the outer code. `m` is not to overlap `out`.
 * Returns its length
 *  COPSE_ERR_NOROOM     `cap` is too small: COPSE_OSCORE_OVERHEAD more than the plain message is enough
 *  COPSE_ERR_ARGUMENT   Proxy-Uri: take it apart first (§4.1.3.3)
 *  COPSE_ERR_EXHAUSTED  there is no number left, or none can be kept safe */
int copse_oscore_protect(struct copse_oscore_context *context, const struct copse_message *m, unsigned how,
			 struct copse_oscore_binding *binding, uint8_t *out, size_t cap, uint8_t *code);

/* Take the protected request `m` apart: the plain message goes to `out`, whole, under the same type, ID and token.
 * The window is moved: a second time it is a replay.
 * Returns its length
 *  COPSE_ERR_BADOPTION  no COSE object: 4.02       COPSE_ERR_CONTEXT  not for this context: 4.01
 *  COPSE_ERR_REPLAY     received before: 4.01      COPSE_ERR_SEALED   tampered with: 4.00
 *  COPSE_ERR_STALE      genuine, but the window was lost: challenge the sender; `*binding` is filled
 *  COPSE_ERR_OPTIONS    outside and inside together has more options than can be indexed: 4.00
 *  COPSE_ERR_NOROOM     `cap` is smaller than COPSE_OSCORE_ROOM(m->len) */
int copse_oscore_unprotect_request(struct copse_oscore_context *context, const struct copse_message *m,
				   struct copse_oscore_binding *binding, uint8_t *out, size_t cap);

/* The same for a response to what `binding` names. Observe, where the response has it, becomes what tells the order.
 * COPSE_ERR_CONTEXT: it has no OSCORE option; COPSE_ERR_REPLAY: of an observation a newer or this one came before. */
int copse_oscore_unprotect_response(struct copse_oscore_context *context, const struct copse_message *m,
				    struct copse_oscore_binding *binding, uint8_t *out, size_t cap);

/* The Echo value that COPSE_ERR_STALE asks for, COPSE_OSCORE_ECHO_LEN bytes; NULL when no random ones can be had. */
const uint8_t *copse_oscore_echo(struct copse_oscore_context *context);

#endif
