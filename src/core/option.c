/* The rules of options, one half-word each, made from registry/options.def; and what the registry must hold
 * to.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/option.h>

#define SLOT(number) ((number) < COPSE_OPTION_LOW ? (number) : COPSE_OPTION_SLOT_HIGH(number))

enum {
	ONCE = 0,
	MANY_IN_REQUEST = COPSE_RULE_MANY,
	MANY = COPSE_RULE_MANY | COPSE_RULE_MANY_RESP,
};

const uint16_t copse_option_rules[COPSE_OPTION_SLOTS] = {
#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                             \
	[SLOT(number)] = (repeat) | ((min) ? 0 : COPSE_RULE_EMPTY) | (max),
#include <copse/registry/options.def>
#undef OPTION
};

#define HIGH(name) [COPSE_OPTION_SLOT_HIGH(COPSE_OPTION_##name) - COPSE_OPTION_LOW] = COPSE_OPTION_##name

static const uint16_t high[] = {
    HIGH(PROXY_CRI),
    HIGH(PROXY_SCHEME_NUMBER),
    HIGH(ECHO),
    HIGH(NO_RESPONSE),
    HIGH(REQUEST_TAG),
    HIGH(OCF_ACCEPT_VERSION),
    HIGH(OCF_CONTENT_VERSION),
    HIGH(SCP82_PARAMS),
    HIGH(X_ADMIN_PROTOCOL),
    HIGH(MULTICAST_TIMEOUT),
    HIGH(REPLY_TO),
};

_Static_assert(sizeof(high) / sizeof(high[0]) == COPSE_OPTION_HIGH_N, "a number of 64 or more is missing");

unsigned copse_option_slot_high(uint16_t number)
{
	for (unsigned i = 0; i < COPSE_OPTION_HIGH_N; i++)
		if (high[i] == number)
			return COPSE_OPTION_LOW + i;
	return COPSE_OPTION_SLOT_NONE;
}

/* The flags in a row repeat what the number says (RFC 7252 §5.4.6): a row where they differ has a wrong
 * number. */
enum { ELECTIVE = 0, CRITICAL = 1, SAFE = 0, UNSAFE = 2, CACHEKEY = 0, NOCACHEKEY = 4 };

#define NUMBER_FLAGS(number) (((number)&3) | (((number)&0x1e) == 0x1c ? NOCACHEKEY : 0))

#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                             \
	_Static_assert((flags) == NUMBER_FLAGS(number), "flags of " text);                                   \
	_Static_assert(SLOT(number) < COPSE_OPTION_SLOTS, "no slot for " text);                              \
	_Static_assert((min) <= 1 && (max) <= COPSE_RULE_MAX && (min) <= (max), "lengths of " text);
#include <copse/registry/options.def>
#undef OPTION

/* No slot above is left without a row. */
#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                             \
	+((number) >= COPSE_OPTION_LOW)
_Static_assert(0
#include <copse/registry/options.def>
		   == COPSE_OPTION_HIGH_N,
	       "COPSE_OPTION_SLOT_HIGH and the rows differ");
#undef OPTION

enum { NONE = COPSE_OPTION_NO_DEFAULT };

#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc) DEFAULT_##name = (absent),
enum {
#include <copse/registry/options.def>
};
#undef OPTION

_Static_assert(DEFAULT_MAX_AGE == COPSE_MAX_AGE_DEFAULT, "Max-Age");
_Static_assert(DEFAULT_HOP_LIMIT == COPSE_HOP_LIMIT_DEFAULT, "Hop-Limit");
