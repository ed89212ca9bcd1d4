/* CoAP messages (RFC 7252 §3 and §5.4): a view over a received datagram, and a bounded builder.
 *
 * Parsing copies nothing: a copse_message points into the datagram, which must outlive it. One pass validates
 * the message and leaves an index over its options, so that no look-up scans again. Options that the registry
 * does not allow (wrong length, repeated without being repeatable) are treated as RFC 7252 §5.4.1 to §5.4.5
 * say: an elective one is in the index with COPSE_OPTION_IGNORED and no look-up finds it; a critical one is
 * the message's `bad_option`.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_MESSAGE_H
#define COPSE_MESSAGE_H

#include <copse/code.h>
#include <copse/error.h>
#include <copse/option.h>
#include <copse/types.h>

#include <string.h>

/* Most options a message may have, at most 255; one with more is COPSE_ERR_OPTIONS. A microcontroller's build
 * sets fewer. */
#ifndef COPSE_MESSAGE_OPTIONS
#define COPSE_MESSAGE_OPTIONS 64
#endif

#define COPSE_HEADER_LEN   4
#define COPSE_TOKEN_MAX    8     /* RFC 7252 §3 */
#define COPSE_DATAGRAM_MAX 65535 /* larger than any UDP payload */
#define COPSE_MESSAGE_LEN  1152  /* RFC 7252 §4.6: stay within it when nothing is known of the path */
#define COPSE_VERSION      1
#define COPSE_PAYLOAD_MARK 0xff

enum copse_type { COPSE_CON, COPSE_NON, COPSE_ACK, COPSE_RST };

enum copse_option_mark {
	COPSE_OPTION_IGNORED = 1, /* elective, and as good as absent: wrong length or one too many (§5.4) */
	COPSE_OPTION_UNKNOWN = 2, /* no row in the registry */
	COPSE_OPTION_BAD = 4      /* critical, and wrong in length or number (§5.4.1) */
};

/* One option of a message. Its value is `len` bytes at `off` bytes into the datagram. */
struct copse_option {
	uint16_t number;
	uint16_t off;
	uint16_t len;
	uint16_t mark; /* enum copse_option_mark */
};

struct copse_message {
	const uint8_t *bytes; /* the datagram: every offset counts from here */
	uint16_t len;
	uint8_t type; /* enum copse_type */
	uint8_t code;
	uint16_t id;
	uint16_t token_off, token_len;
	uint16_t payload_off, payload_len; /* payload_len is 0 without a payload */
	uint16_t bad_option;               /* the first critical option with a mark, 0 for none */
	uint16_t option_n;
	/* private: the index by copse_option_slot. 0 when there is no instance to be found, else one more than the place
	 * of the first one in `option`. Whole vector registers are cleared at once. */
	uint8_t first[(COPSE_OPTION_SLOTS + 15) / 16 * 16];
	struct copse_option option[COPSE_MESSAGE_OPTIONS]; /* in the order of the message */
};

/* What RFC 7252 §4.2 and §4.3 ask of the receiver of a message that it cannot take. */
enum copse_reaction {
	COPSE_REACT_NONE,      /* the message is good */
	COPSE_REACT_SILENCE,   /* ignore it */
	COPSE_REACT_RST,       /* reject it with a Reset */
	COPSE_REACT_BAD_OPTION /* answer 4.02 */
};

/* Parse `len` bytes at `datagram` into `m`.
 * Accepts any bytes of any length. `m` may be uninitialised; on error only type, code, id (where the datagram
 * has four bytes; else they are as in a NON that nobody answers) and the reaction below mean anything.
 * Returns 0, also for a message with a `bad_option`: a proxy may still forward it (RFC 7252 §5.7.1)
 *  COPSE_ERR_VERSION    unknown version: ignore silently (§3)
 *  COPSE_ERR_MALFORMED  message format error, truncated, or an Empty message with content (§3, §4.1)
 *  COPSE_ERR_OPTIONS    more options than the index holds */
int copse_message_parse(struct copse_message *m, const void *datagram, size_t len);

/* The same for a transport that lets tokens be longer (RFC 8974): up to `token_max` bytes, at most 65804. */
int copse_message_parse_extended(struct copse_message *m, const void *datagram, size_t len, size_t token_max);

/* What to do with the message that copse_message_parse returned `err` for: by type and class of the message,
 * and by its bad option where it has one. COPSE_REACT_BAD_OPTION asks for a 4.02 in the acknowledgement; the
 * reaction to a critical option in a NON request is silence, as RFC 7252 §5.4.1 rejects it and §4.3 lets a
 * rejection be that. */
enum copse_reaction copse_message_reaction(const struct copse_message *m, int err);

static inline const uint8_t *copse_message_token(const struct copse_message *m)
{
	return m->bytes + m->token_off;
}

static inline const uint8_t *copse_message_payload(const struct copse_message *m)
{
	return m->bytes + m->payload_off;
}

/* Everything behind the token: options, payload marker and payload, as they stand in the datagram. */
static inline const uint8_t *copse_message_rest(const struct copse_message *m, size_t *len)
{
	*len = (size_t)(m->len - m->token_off - m->token_len);
	return m->bytes + m->token_off + m->token_len;
}

static inline const uint8_t *copse_option_value(const struct copse_message *m, const struct copse_option *o)
{
	return m->bytes + o->off;
}

/* private: look-ups of an option without a row in the registry, and of a uint that is not one byte long */
const struct copse_option *copse_message_option_unknown(const struct copse_message *m, uint16_t number);
uint32_t copse_option_uint_long(const uint8_t *value, size_t len);

/* The first valid instance of option `number`, or NULL. Constant time for every option that the registry
 * knows. One that it does not know is found as well, whatever it holds: whoever looks for it knows it. */
static inline const struct copse_option *copse_message_option(const struct copse_message *m, uint16_t number)
{
	unsigned slot = copse_option_slot(number);
	if (slot == COPSE_OPTION_SLOT_NONE)
		return copse_message_option_unknown(m, number);
	size_t place = m->first[slot];
	return place ? &m->option[place - 1] : NULL;
}

/* The instance after `o` of the same option, or NULL. Instances are neighbours, and in a repeatable option
 * all that have a valid length are valid. */
static inline const struct copse_option *copse_message_option_next(const struct copse_message *m,
								   const struct copse_option *o)
{
	const struct copse_option *end = m->option + m->option_n;
	uint16_t number = o->number;
	while (++o < end && o->number == number)
		if (o->mark == 0 || (o->mark & COPSE_OPTION_UNKNOWN))
			return o;
	return NULL;
}

/* The value of an option of format uint (RFC 7252 §3.2), of at most 4 bytes; of a longer one, its last 4. */
static inline uint32_t copse_option_uint(const struct copse_message *m, const struct copse_option *o)
{
	return o->len == 1 ? m->bytes[o->off] : copse_option_uint_long(m->bytes + o->off, o->len);
}

/* The value of the uint option `number`, or `absent` when the message does not have it. */
static inline uint32_t copse_message_uint(const struct copse_message *m, uint16_t number, uint32_t absent)
{
	const struct copse_option *o = copse_message_option(m, number);
	return o ? copse_option_uint(m, o) : absent;
}

/* Whether option `o` equals the `len` bytes at `value`. */
static inline bool copse_option_is(const struct copse_message *m, const struct copse_option *o,
				   const void *value, size_t len)
{
	return o->len == len && (len == 0 || memcmp(m->bytes + o->off, value, len) == 0);
}

/* Build a message, or the part behind the token, into `buf`. Fields are the builder's own. An error sticks:
 * after the first one every call does nothing, and copse_build_finish returns it. */
struct copse_builder {
	uint8_t *buf;
	uint8_t *at;      /* where the next byte goes */
	uint8_t *end;     /* of the buffer */
	uint8_t *options; /* where the options begin */
	uint32_t last;    /* number of the highest option so far; above all numbers when none may follow */
	int err;
};

/* Begin a whole message: header and token. `token_len` at most 8 unless extended tokens are in use (RFC
 * 8974). */
void copse_build_message(struct copse_builder *b, void *buf, size_t cap, enum copse_type type, uint8_t code,
			 uint16_t id, const void *token, size_t token_len);

/* Begin only what stands behind the token: what copse_endpoint_request and copse_endpoint_respond take. */
void copse_build_rest(struct copse_builder *b, void *buf, size_t cap);

/* Append an option, in any order: one with a number below the last is inserted where it belongs, behind its
 * equals. Appending in ascending order costs no move.  Errors that stick: COPSE_ERR_NOROOM when `cap` is too
 * small, COPSE_ERR_ARGUMENT when the registry forbids the length or a payload has been begun. */
void copse_build_option(struct copse_builder *b, uint16_t number, const void *value, size_t len);

/* Append an option of format uint in its shortest form (RFC 7252 §3.2). */
void copse_build_uint(struct copse_builder *b, uint16_t number, uint32_t value);

/* Append an option that is known to the caller to be forwardable as it stands: no check against the registry.
 */
void copse_build_raw(struct copse_builder *b, uint16_t number, const void *value, size_t len);

/* Begin with `len` bytes of options that a builder of ours made by copse_build_rest, without payload (asserted). To be
 * called before any other option is appended. Error that sticks: COPSE_ERR_NOROOM. */
void copse_build_options(struct copse_builder *b, const void *options, size_t len);

/* Append the payload; `len` 0 appends nothing, not even the marker (RFC 7252 §3). May be called repeatedly.
 */
void copse_build_payload(struct copse_builder *b, const void *payload, size_t len);

/* Room for a payload: returns the place behind the marker and its capacity in `*cap`, or NULL after an error
 * or when not even one byte fits. The caller writes up to `*cap` bytes and says how many with
 * copse_build_payload_commit. */
uint8_t *copse_build_payload_room(struct copse_builder *b, size_t *cap);
void copse_build_payload_commit(struct copse_builder *b, size_t len);

/* Returns the length in bytes, or the first error. The buffer holds a well-formed message (or rest) then. */
int copse_build_finish(struct copse_builder *b);

#endif
