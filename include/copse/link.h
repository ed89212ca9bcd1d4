/* CoRE link format (RFC 6690): reading links as views, writing them within bounds, and the query filter of §4.1.
 *
 * A document is never held but by the caller: it is read link by link, also while it still arrives in blocks, and
 * written so that any window of it can be made without the rest.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_LINK_H
#define COPSE_LINK_H

#include <copse/error.h>
#include <copse/message.h>
#include <copse/uri.h>

/* ---- reading ---- */

struct copse_link {
	struct copse_text text;       /* the link as it stands, from "<" to the end of its last attribute */
	struct copse_text target;     /* between "<" and ">" */
	struct copse_text attributes; /* behind ">": empty, or from the first ";" on */
};

/* A document, or what has arrived of it. Set `text`, `len` and `partial` and zero the rest. When more has arrived, set
 * `text`, `len` and `at` anew so that the bytes from `at` on are those that were not taken yet. */
struct copse_link_reader {
	const char *text;
	size_t len;
	size_t at;    /* where the next link begins; after an error, where the fault shows */
	bool partial; /* more of the document may follow: a link that ends with the text is not yet taken */
	bool comma;   /* private: a link must follow */
};

/* The next link. Blanks and line breaks around "," ";" and "=" are tolerated.
 * Returns  1  `*link` is a view over the text
 *          0  at the end; of a partial document: until more arrives
 *  COPSE_ERR_MALFORMED  not link format: `at` is the byte at which it shows; no link follows */
int copse_link_next(struct copse_link_reader *reader, struct copse_link *link);

/* An attribute of a link, or "link-param" (RFC 6690 §2). */
struct copse_link_attribute {
	struct copse_text name;
	struct copse_text value; /* without its quotes, escapes still in it; empty without "=" */
	bool has_value;          /* there is a "=" */
	bool quoted;
};

/* The next attribute; begin with *pos = 0. Returns false at the end. The link must come from copse_link_next. */
bool copse_link_attribute_next(const struct copse_link *link, size_t *pos,
			       struct copse_link_attribute *attribute);

/* The first attribute called `name` (a later one of the same name does not count, §2.2 and §3), without regard to
 * case. Returns false when there is none. */
bool copse_link_attribute(const struct copse_link *link, const char *name,
			  struct copse_link_attribute *attribute);

/* The value with its escapes undone, terminated by a NUL.
 * Returns the length without the NUL, or COPSE_ERR_NOROOM. One byte more than value.len is always enough. */
int copse_link_value(const struct copse_link_attribute *attribute, char *buf, size_t cap);

/* ---- filtering, RFC 6690 §4.1 ---- */

/* What one argument of a query asks for: "rt=temperature*", "href=/sensors*", "obs". */
struct copse_link_filter {
	struct copse_text name;
	struct copse_text value; /* without the "*" */
	bool prefix;             /* there was a "*" at the end */
	bool present;            /* no "=": the attribute must be there, whatever its value */
};

/* Take an argument apart; any text is one. `text` is borrowed. */
void copse_link_filter_parse(struct copse_link_filter *filter, const char *text, size_t len);

/* Whether the link has what is asked for: "href" is the target, percent-decoded; of rel, rev, rt, if and ct one of the
 * values between spaces; of any other attribute the whole value. */
bool copse_link_matches(const struct copse_link *link, const struct copse_link_filter *filter);

/* The same for a value that stands nowhere yet, as it is: not quoted, not encoded. */
bool copse_link_filter_takes(const struct copse_link_filter *filter, const char *value, size_t len);

/* Whether the link has all that the Uri-Query options of a request ask for. */
bool copse_link_matches_query(const struct copse_link *link, const struct copse_message *request);

/* ---- writing ---- */

/* A window on a document that is being written: what falls into [offset, offset + cap) is kept, the rest is counted.
 * Fields are the writer's own but for `total`. */
struct copse_link_writer {
	char *buf;
	size_t cap;
	uint32_t offset;
	uint32_t total; /* bytes of the document so far */
	bool any;       /* a link was written */
};

/* Begin a document. `buf` gets `cap` bytes of it from byte `offset` on; not terminated. */
void copse_link_write_begin(struct copse_link_writer *w, char *buf, size_t cap, uint32_t offset);

/* A link to `target`, a URI reference. What may not stand in one is percent-encoded, "%" itself is taken as the beginning
 * of an encoding that was made before. */
void copse_link_write(struct copse_link_writer *w, const char *target, size_t len);

/* A link to "/" and `path`: segments as they are, with "/" between. What may not stand in a path is percent-encoded, "%"
 * itself too. */
void copse_link_write_path(struct copse_link_writer *w, const char *path, size_t len);

/* An attribute of the link just begun: name="value", quotes and backslashes escaped; name=number; and name alone. */
void copse_link_write_text(struct copse_link_writer *w, const char *name, const char *value, size_t len);
void copse_link_write_number(struct copse_link_writer *w, const char *name, uint32_t value);
void copse_link_write_flag(struct copse_link_writer *w, const char *name);

/* Numbers up to the first that is `end`, at least one: name=number, or name="number number" (RFC 7252 §7.2.1). */
void copse_link_write_numbers(struct copse_link_writer *w, const char *name, const uint16_t *values,
			      uint16_t end);

/* A link as it stood in another document. */
void copse_link_write_copy(struct copse_link_writer *w, const struct copse_link *link);

/* How many bytes of the window are filled: less than `cap` only when the document ends in it. */
size_t copse_link_write_end(const struct copse_link_writer *w);

/* The window [offset, offset + cap) of what is left of a document when the query of `request` (NULL: none) filters it.
 * Returns the bytes in the window and, in `*total`, those of the whole; or COPSE_ERR_MALFORMED when the document is no
 * link format. */
int copse_link_select(const char *document, size_t len, const struct copse_message *request, uint32_t offset,
		      char *buf, size_t cap, uint32_t *total);

#endif
