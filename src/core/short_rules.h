/* The rules of the most frequent options in the form that parser and builder want for their short way: one load tells
 * whether a value of a few bytes is allowed. Private to message.c and builder.c.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_CORE_SHORT_RULES_H
#define COPSE_CORE_SHORT_RULES_H

#include <copse/option.h>

#define SHORT 12 /* the largest delta or length that stands in a nibble */

/* By number: the longest value, if it is at most SHORT, that an option below 64 may have; 0 without a row, and as far
 * behind 64 as a short delta reaches. Then, from SHORT_MANY on, whether it is repeatable everywhere. */
#define SHORT_MANY (COPSE_OPTION_LOW + 16)

_Static_assert(COPSE_OPTION_SLOTS <= SHORT_MANY, "the rows without a short way have places of their own");

#define PLACE(number)          ((number) < COPSE_OPTION_LOW ? (number) : COPSE_OPTION_SLOT_HIGH(number))
#define LONGEST_HERE(max)      ((max) < SHORT ? (max) : SHORT)
#define REPEAT_ONCE            0
#define REPEAT_MANY_IN_REQUEST 0
#define REPEAT_MANY            1

static const uint8_t short_rules[2 * SHORT_MANY] = {
#define OPTION(number, name, text, format, min, max, absent, repeat, flags, rfc)                                     \
	[PLACE(number)] = (number) < COPSE_OPTION_LOW ? (uint8_t)LONGEST_HERE(max) : 0,                             \
	[SHORT_MANY + PLACE(number)] = REPEAT_##repeat,
#include <copse/registry/options.def>
#undef OPTION
};

#endif
