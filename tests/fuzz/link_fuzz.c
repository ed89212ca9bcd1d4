/* Any text as a document of links: what is taken can be copied, read again and asked for; it makes no difference whether
 * the text comes whole or in two pieces. The first byte says where it is cut.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/link.h>

#include "message_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static unsigned check_link(const struct copse_link *link, const char *text, size_t len)
{
	struct copse_link_attribute a;
	unsigned n = 0;
	char value[256];
	MESSAGE_CHECK(link->text.at >= text && link->text.at + link->text.len <= text + len);
	for (size_t pos = 0; copse_link_attribute_next(link, &pos, &a); n++) {
		MESSAGE_CHECK(a.name.at > link->text.at && a.name.len > 0);
		MESSAGE_CHECK(a.value.at + a.value.len <= link->text.at + link->text.len);
		MESSAGE_CHECK(pos <= link->attributes.len);
		int got = copse_link_value(&a, value, sizeof(value));
		MESSAGE_CHECK(got == COPSE_ERR_NOROOM || (size_t)got <= a.value.len);
		struct copse_link_filter filter = {a.name, a.value, false, true};
		MESSAGE_CHECK(copse_link_matches(link, &filter));
		filter = (struct copse_link_filter){a.name, {a.value.at, 0}, true, false};
		copse_link_matches(link, &filter);
	}
	return n;
}

static int count(struct copse_link_reader *reader, unsigned *links, unsigned *attributes)
{
	struct copse_link link;
	int more;
	while ((more = copse_link_next(reader, &link)) > 0) {
		*attributes += check_link(&link, reader->text, reader->len);
		++*links;
	}
	return more;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char copy[70000], window[64];
	if (len == 0 || len > sizeof(copy))
		return 0;
	const char *text = (const char *)data + 1;
	const size_t n = len - 1, cut = data[0] < n ? data[0] : n;
	unsigned links = 0, attributes = 0, pieces = 0, piece_attributes = 0;
	struct copse_link_reader reader = {text, n, 0, false, false};
	int err = count(&reader, &links, &attributes);
	MESSAGE_CHECK(reader.at <= n);
	reader = (struct copse_link_reader){text, cut, 0, true, false};
	int piece_err = count(&reader, &pieces, &piece_attributes);
	if (piece_err == 0) {
		reader.len = n;
		reader.partial = false;
		piece_err = count(&reader, &pieces, &piece_attributes);
	}
	MESSAGE_CHECK(err == piece_err);
	if (err < 0)
		return 0;
	MESSAGE_CHECK(pieces == links && piece_attributes == attributes);
	uint32_t total, again;
	int got = copse_link_select(text, n, NULL, 0, copy, sizeof(copy), &total);
	MESSAGE_CHECK(got >= 0 && (uint32_t)got == total && total <= n);
	MESSAGE_CHECK(copse_link_select(copy, total, NULL, (uint32_t)cut, window, sizeof(window), &again) >= 0);
	MESSAGE_CHECK(again == total);
	if (cut < total)
		MESSAGE_CHECK(window[0] == copy[cut]);
	return 0;
}
