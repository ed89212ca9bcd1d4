/* Any bytes as a datagram: what is taken keeps the parser's promises, and can be built and taken again.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "message_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void rebuild(struct copse_builder *b, const struct copse_message *m, uint8_t *buf, size_t cap,
		    bool backwards)
{
	copse_build_message(b, buf, cap, (enum copse_type)m->type, m->code, m->id, copse_message_token(m),
			    m->token_len);
	for (unsigned i = 0; i < m->option_n; i++) {
		const struct copse_option *o = &m->option[backwards ? m->option_n - 1 - i : i];
		copse_build_raw(b, o->number, copse_option_value(m, o), o->len);
	}
	copse_build_payload(b, copse_message_payload(m), m->payload_len);
}

/* Built anew it is the same message in canonical form: not longer, and as often as one likes. */
static void check_round_trip(const struct copse_message *m, size_t len)
{
	static uint8_t first[COPSE_DATAGRAM_MAX], second[COPSE_DATAGRAM_MAX];
	static struct copse_message again;
	struct copse_builder b;
	rebuild(&b, m, first, len, false);
	int n = copse_build_finish(&b);
	MESSAGE_CHECK(n > 0 && (size_t)n <= len);
	MESSAGE_CHECK(copse_message_parse_extended(&again, first, (size_t)n, 65804) == 0);
	message_check(&again, (size_t)n);
	MESSAGE_CHECK(again.option_n == m->option_n && again.payload_len == m->payload_len);
	MESSAGE_CHECK(again.bad_option == m->bad_option && again.token_len == m->token_len);
	rebuild(&b, &again, second, (size_t)n, false);
	MESSAGE_CHECK(copse_build_finish(&b) == n && memcmp(first, second, (size_t)n) == 0);
	rebuild(&b, m, second, (size_t)n - 1, false);
	MESSAGE_CHECK(copse_build_finish(&b) == COPSE_ERR_NOROOM);
	rebuild(&b, m, second, (size_t)n, true); /* in the other order: as long, and taken as well */
	MESSAGE_CHECK(copse_build_finish(&b) == n);
	MESSAGE_CHECK(copse_message_parse_extended(&again, second, (size_t)n, 65804) == 0);
	MESSAGE_CHECK(again.option_n == m->option_n && again.payload_len == m->payload_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct copse_message m, wide;
	int err = copse_message_parse(&m, data, len);
	enum copse_reaction reaction = copse_message_reaction(&m, err);
	int wide_err = copse_message_parse_extended(&wide, data, len, 65804);
	MESSAGE_CHECK(err == 0 || reaction != COPSE_REACT_NONE);
	MESSAGE_CHECK(reaction == COPSE_REACT_NONE || reaction == COPSE_REACT_SILENCE || m.type == COPSE_CON);
	if (err == 0) {
		message_check(&m, len);
		MESSAGE_CHECK(wide_err == 0);
	}
	if (wide_err == 0) {
		message_check(&wide, len);
		check_round_trip(&wide, len);
	}
	return 0;
}
