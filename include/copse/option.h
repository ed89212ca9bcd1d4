/* Options (RFC 7252 §5.4, §5.10), from registry/options.def: numbers, what a number says by itself, and the
 * rules.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_OPTION_H
#define COPSE_OPTION_H

#include <copse/types.h>

enum copse_option_number {
#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                             \
	COPSE_OPTION_##name = (number),
#include <copse/registry/options.def>
#undef OPTION
};

/* Defaults that programs need; equal to the rows (checked in option.c). */
#define COPSE_MAX_AGE_DEFAULT   60u /* seconds, RFC 7252 §5.10.5 */
#define COPSE_HOP_LIMIT_DEFAULT 16u /* RFC 8768 §3 */

/* What the bits of a number say, known or not (RFC 7252 §5.4.6). */
static inline bool copse_option_is_critical(uint16_t number)
{
	return number & 1;
}

static inline bool copse_option_is_unsafe(uint16_t number)
{
	return (number & 2) != 0;
}

/* Of a safe option: not part of the cache-key. An unsafe one has no such bit and always is part of it; which
 * of them a cache understands well enough to leave out (RFC 7252 §5.6) is the cache's to know. */
static inline bool copse_option_is_no_cache_key(uint16_t number)
{
	return (number & 0x1e) == 0x1c;
}

/* 128, 132, 136, 140: kept for a later Location-* (RFC 7252 §5.10.7) */
static inline bool copse_option_is_reserved_location(uint16_t number)
{
	return (number & ~0x0cu) == 0x80;
}

/* Options with a number below 64 have that as their slot; the known ones above have one of the last. */
#define COPSE_OPTION_LOW       64u
#define COPSE_OPTION_HIGH_N    11u
#define COPSE_OPTION_SLOTS     (COPSE_OPTION_LOW + COPSE_OPTION_HIGH_N)
#define COPSE_OPTION_SLOT_NONE 0xffu

/* The slot of a number of 64 or more as a constant expression; COPSE_OPTION_SLOT_NONE when the registry does
 * not know it. One line for each such row: option.c checks that none is missing. */
/* clang-format off */
#define COPSE_OPTION_SLOT_HIGH(number) \
	((number) == COPSE_OPTION_PROXY_CRI ? COPSE_OPTION_LOW + 0 : \
	((number) == COPSE_OPTION_PROXY_SCHEME_NUMBER ? COPSE_OPTION_LOW + 1 : \
	((number) == COPSE_OPTION_ECHO ? COPSE_OPTION_LOW + 2 : \
	((number) == COPSE_OPTION_NO_RESPONSE ? COPSE_OPTION_LOW + 3 : \
	((number) == COPSE_OPTION_REQUEST_TAG ? COPSE_OPTION_LOW + 4 : \
	((number) == COPSE_OPTION_OCF_ACCEPT_VERSION ? COPSE_OPTION_LOW + 5 : \
	((number) == COPSE_OPTION_OCF_CONTENT_VERSION ? COPSE_OPTION_LOW + 6 : \
	((number) == COPSE_OPTION_SCP82_PARAMS ? COPSE_OPTION_LOW + 7 : \
	((number) == COPSE_OPTION_X_ADMIN_PROTOCOL ? COPSE_OPTION_LOW + 8 : \
	((number) == COPSE_OPTION_MULTICAST_TIMEOUT ? COPSE_OPTION_LOW + 9 : \
	((number) == COPSE_OPTION_REPLY_TO ? COPSE_OPTION_LOW + 10 : \
	COPSE_OPTION_SLOT_NONE)))))))))))
/* clang-format on */

/* The same for a number that is no constant. */
unsigned copse_option_slot_high(uint16_t number);

/* Where the index of a message keeps option `number`. Folds to a constant for a constant. */
static inline unsigned copse_option_slot(uint16_t number)
{
	if (number < COPSE_OPTION_LOW)
		return number;
	return __builtin_constant_p(number) ? COPSE_OPTION_SLOT_HIGH(number) : copse_option_slot_high(number);
}

/* A row of the registry in sixteen bits: the longest value, whether it may be empty, and how often it may occur.
 * 0 stands for "no such option". */
#define COPSE_RULE_MAX       0x07ffu
#define COPSE_RULE_EMPTY     0x0800u /* a length of 0 is allowed */
#define COPSE_RULE_MANY      0x1000u /* repeatable in requests */
#define COPSE_RULE_MANY_RESP 0x2000u /* repeatable in responses too */

extern const uint16_t copse_option_rules[COPSE_OPTION_SLOTS];

/* The rule of option `number`, or 0. */
static inline unsigned copse_option_rule(uint16_t number)
{
	unsigned slot = copse_option_slot(number);
	return slot < COPSE_OPTION_SLOTS ? copse_option_rules[slot] : 0;
}

static inline bool copse_option_is_known(uint16_t number)
{
	return copse_option_rule(number) != 0;
}

/* Whether the registry allows a value of `len` bytes: always, for an option that it does not know. */
static inline bool copse_option_len_ok(uint16_t number, size_t len)
{
	unsigned rule = copse_option_rule(number);
	return rule == 0 || (len <= (rule & COPSE_RULE_MAX) && (len != 0 || (rule & COPSE_RULE_EMPTY)));
}

/* The rest is for people (option_text.c), and absent from a microcontroller's build. */

enum copse_option_format { COPSE_FORM_EMPTY, COPSE_FORM_OPAQUE, COPSE_FORM_UINT, COPSE_FORM_STRING };

enum copse_option_repeat { COPSE_REPEAT_ONCE, COPSE_REPEAT_MANY, COPSE_REPEAT_MANY_IN_REQUEST };

#define COPSE_OPTION_NO_DEFAULT (-1)

struct copse_option_row {
	uint16_t number, min, max;
	uint8_t format; /* enum copse_option_format */
	uint8_t repeat; /* enum copse_option_repeat */
	int32_t absent; /* the value that an absent one stands for, or COPSE_OPTION_NO_DEFAULT */
	const char *name;
	const char *rfc;
};

/* The row of `number`, or NULL. Rows are ascending in number: `copse_option_rows[0 .. copse_option_row_n -
 * 1]`. */
const struct copse_option_row *copse_option_row(uint16_t number);
extern const struct copse_option_row copse_option_rows[];
extern const size_t copse_option_row_n;

/* The name as "Uri-Path", or NULL for an unknown number. */
const char *copse_option_name(uint16_t number);

/* The number of the option called `text`, without regard to case and with "_" as good as "-"; or the number
 * that `text` spells in decimal. Returns 0 to 65535, or COPSE_ERR_ARGUMENT. */
int copse_option_from_text(const char *text, size_t len);

#endif
