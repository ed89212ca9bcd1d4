/* What holds for every message that was parsed without error. Ends the program where it does not.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_MESSAGE_CHECK_H
#define TESTS_MESSAGE_CHECK_H

#include <copse/message.h>

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_CHECK(x) ((x) ? (void)0 : message_check_failed(__LINE__, #x))

_Noreturn static inline void message_check_failed(int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", __FILE__, line, what);
	abort();
}

/* Every instance that is valid is found, in order, and no other one. */
static inline void message_check_index(const struct copse_message *m, const struct copse_option *o)
{
	const struct copse_option *found = copse_message_option(m, o->number);
	while (found && found < o)
		found = copse_message_option_next(m, found);
	MESSAGE_CHECK((found == o) == (o->mark == 0 || !copse_option_is_known(o->number)));
}

static inline void message_check(const struct copse_message *m, size_t len)
{
	unsigned last = 0, bad = 0;
	MESSAGE_CHECK(m->len == len);
	MESSAGE_CHECK(m->token_off >= COPSE_HEADER_LEN && m->token_off + m->token_len <= m->len);
	MESSAGE_CHECK(m->payload_off + m->payload_len == m->len);
	MESSAGE_CHECK(m->option_n <= COPSE_MESSAGE_OPTIONS);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[i];
		bool known = copse_option_is_known(o->number);
		MESSAGE_CHECK(o->off > m->token_off + m->token_len && o->off + o->len <= m->payload_off);
		MESSAGE_CHECK(o->number >= last);
		last = o->number;
		MESSAGE_CHECK(known != ((o->mark & COPSE_OPTION_UNKNOWN) != 0));
		MESSAGE_CHECK(copse_option_len_ok(o->number, o->len) ||
			      (o->mark & (COPSE_OPTION_IGNORED | COPSE_OPTION_BAD)));
		MESSAGE_CHECK(!(o->mark & COPSE_OPTION_IGNORED) || !copse_option_is_critical(o->number));
		if ((o->mark & COPSE_OPTION_BAD) && bad == 0)
			bad = o->number;
		message_check_index(m, o);
	}
	MESSAGE_CHECK(m->bad_option == bad);
}

#endif
