/* Which documents below /store of the collector may be read or stored: what the configuration's access sections and a
 * session's token say, for one account and one method.
 *
 * A copy of the rules in question, in memory of the caller's: the list of documents is made in the store's thread, where no
 * configuration can be looked at.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_DOCUMENTS_H
#define GATEWAY_DOCUMENTS_H

#include "config.h"
#include "grant.h"

/* Two lists: in each the first rule that matches decides, and `deny` where none does. Both must allow. */
struct gw_documents {
	uint32_t n[2];
	bool deny[2];
	struct gw_document_rule {
		bool deny;
		struct gw_rule rule;
	} rule[]; /* those of the configuration, then those of the token */
};

/* Who asks for what. */
struct gw_document_question {
	const struct gw_config *config;
	const char *account;          /* "": there is no session */
	const struct gw_grant *grant; /* of the session's token; NULL: none */
	uint8_t method;               /* code of the request */
};

/* The bytes that gw_documents_take needs; 0: everything is allowed. */
size_t gw_documents_bytes(const struct gw_document_question *q);

/* Fill `d`, which has so many bytes. */
void gw_documents_take(struct gw_documents *d, const struct gw_document_question *q);

/* Whether the document at `path`, segments below /store with slashes between, is allowed. */
bool gw_documents_allow(const struct gw_documents *d, const char *path);

#endif
