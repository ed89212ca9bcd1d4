/* See file.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "numbers.h"

#include <copse/hex.h>
#include <copse/secure.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#define VALUE_MAX 64

struct value {
	size_t len;
	uint8_t at[VALUE_MAX];
};

enum key { SECRET, SALT, SENDER, RECIPIENT, ID_CONTEXT, AEAD, HKDF, WINDOW, STEP, B_1_2, B_2, KEYS };

static const char *const keywords[KEYS] = {"master_secret", "master_salt",   "sender_id",  "recipient_id",
					   "id_context",    "aead_alg",      "hkdf_alg",   "replay_window",
					   "ssn_freq",      "rfc8613_b_1_2", "rfc8613_b_2"};

struct reading {
	struct value bytes[AEAD]; /* those before AEAD */
	long number[KEYS];        /* the others */
	unsigned at[KEYS];        /* the line where it was given; 0: it was not */
	const char *path;
	unsigned line; /* that is read, or at fault; 0: none */
	char *why;
};

__attribute__((format(printf, 2, 3))) static int complain(const struct reading *r, const char *format, ...)
{
	va_list args;
	const int n = r->line ? snprintf(r->why, OSCORE_FILE_WHY, "%.120s:%u: ", r->path, r->line)
			      : snprintf(r->why, OSCORE_FILE_WHY, "%.120s: ", r->path);

	va_start(args, format);
	vsnprintf(r->why + n, OSCORE_FILE_WHY - (size_t)n, format, args);
	va_end(args);
	return -1;
}

/* ---- the context ---- */

static int take_bytes(struct reading *r, enum key key, const char *type, const char *text)
{
	struct value *v = &r->bytes[key];
	const size_t len = strlen(text);

	if (strcmp(type, "hex") == 0) {
		const int n = len == 0 ? 0 : copse_hex_decode(text, len, v->at, sizeof(v->at));
		if (n < 0)
			return complain(r, "%s: no hexadecimal digits, or more than %d bytes", keywords[key],
					VALUE_MAX);
		v->len = (size_t)n;
	} else if (strcmp(type, "ascii") == 0 || strcmp(type, "text") == 0) {
		if (len > sizeof(v->at))
			return complain(r, "%s: more than %d bytes", keywords[key], VALUE_MAX);
		memcpy(v->at, text, len);
		v->len = len;
	} else {
		return complain(r, "%s takes hex or ascii", keywords[key]);
	}
	return 0;
}

static int take_algorithm(struct reading *r, enum key key, const char *text)
{
	static const struct {
		const char *name;
		int number;
	} names[] = {{"AES-CCM-16-64-128", COPSE_OSCORE_AES_CCM_16_64_128},
		     {"AES-CCM-16-64-256", COPSE_OSCORE_AES_CCM_16_64_256},
		     {"AES-CCM-16-128-128", COPSE_OSCORE_AES_CCM_16_128_128},
		     {"AES-CCM-16-128-256", COPSE_OSCORE_AES_CCM_16_128_256},
		     {"A128GCM", COPSE_OSCORE_AES_GCM_128},
		     {"A256GCM", COPSE_OSCORE_AES_GCM_256},
		     {"ChaCha20/Poly1305", COPSE_OSCORE_CHACHA20_POLY1305},
		     {"direct+HKDF-SHA-256", COPSE_OSCORE_HKDF_SHA_256},
		     {"direct+HKDF-SHA-512", COPSE_OSCORE_HKDF_SHA_512}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcasecmp(names[i].name, text) == 0) {
			r->number[key] = names[i].number;
			return 0;
		}
	}
	return complain(r, "%s: the algorithm is not known", keywords[key]);
}

static int take_number(struct reading *r, enum key key, const char *type, const char *text)
{
	char *end;

	if (strcmp(type, "bool") == 0 && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
		r->number[key] = strcmp(text, "true") == 0;
		return 0;
	}
	if (strcmp(type, "text") == 0 && (key == AEAD || key == HKDF))
		return take_algorithm(r, key, text);
	if (strcmp(type, "integer") != 0)
		return complain(r, "%s takes %s", keywords[key], key >= B_1_2 ? "bool" : "integer");
	errno = 0;
	r->number[key] = strtol(text, &end, 10);
	if (errno || end == text || *end)
		return complain(r, "%s: no number", keywords[key]);
	return 0;
}

/* Without the blanks around it, and without quotation marks. */
static char *trim(char *text)
{
	size_t len;

	text += strspn(text, " \t");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = 0;
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text[len - 1] = 0;
		text++;
	}
	return text;
}

static int take_line(struct reading *r, char *line)
{
	char *comma, *type, *value;

	line = trim(line);
	if (*line == 0 || *line == '#')
		return 0;
	comma = strchr(line, ',');
	type = comma ? comma + 1 : NULL;
	value = type ? strchr(type, ',') : NULL;
	if (!value)
		return complain(r, "a line is KEYWORD,TYPE,VALUE");
	*comma = *value++ = 0;
	line = trim(line);
	for (int key = 0; key < KEYS; key++) {
		if (strcmp(keywords[key], line) != 0)
			continue;
		if (r->at[key])
			return complain(r, "%s stands in line %u, too", line, r->at[key]);
		r->at[key] = r->line;
		return key < AEAD ? take_bytes(r, (enum key)key, trim(type), trim(value))
				  : take_number(r, (enum key)key, trim(type), trim(value));
	}
	/* not what stands there: a secret may have got into its place */
	return complain(r, "there is no such keyword");
}

static int complain_of(struct reading *r, enum key key, const char *text)
{
	r->line = r->at[key];
	return complain(r, "%s%s", keywords[key], text);
}

static int check(struct reading *r)
{
	static const enum key needed[] = {SECRET, SENDER, RECIPIENT};
	const struct value *b = r->bytes;

	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		if (!r->at[needed[i]])
			return complain_of(r, needed[i], " is missing");
	}
	if (b[SECRET].len == 0)
		return complain_of(r, SECRET, " is empty");
	for (enum key id = SENDER; id <= RECIPIENT; id++) {
		if (b[id].len > COPSE_OSCORE_ID_MAX)
			return complain_of(r, id, " is longer than 7 bytes");
	}
	if (b[SENDER].len == b[RECIPIENT].len && memcmp(b[SENDER].at, b[RECIPIENT].at, b[SENDER].len) == 0)
		return complain_of(r, RECIPIENT, " is the same as sender_id");
	if (b[ID_CONTEXT].len > COPSE_OSCORE_CONTEXT_MAX)
		return complain_of(r, ID_CONTEXT, " is longer than 32 bytes");
	if (r->at[WINDOW] && (r->number[WINDOW] < 1 || r->number[WINDOW] > 64))
		return complain_of(r, WINDOW, " is 1 to 64");
	if (r->number[STEP] < 1 || r->number[STEP] > 1000000)
		return complain_of(r, STEP, " is 1 to 1000000");
	if (r->number[B_2])
		return complain_of(r, B_2, " is not supported");
	return 0;
}

static int derive(struct reading *r, struct copse_oscore_context *context)
{
	const struct value *b = r->bytes;
	const struct copse_oscore_params p = {.secret = b[SECRET].at,
					      .secret_len = b[SECRET].len,
					      .salt = b[SALT].at,
					      .salt_len = b[SALT].len,
					      .sender_id = b[SENDER].at,
					      .sender_id_len = b[SENDER].len,
					      .recipient_id = b[RECIPIENT].at,
					      .recipient_id_len = b[RECIPIENT].len,
					      .id_context = r->at[ID_CONTEXT] ? b[ID_CONTEXT].at : NULL,
					      .id_context_len = b[ID_CONTEXT].len,
					      .aead = (int)r->number[AEAD],
					      .hkdf = (int)r->number[HKDF],
					      .window = (uint8_t)r->number[WINDOW]};

	if (check(r))
		return -1;
	r->line = 0;
	if (copse_oscore_init(context, &p, &copse_oscore_gnutls))
		return complain(r, "an ID is too long for aead_alg, or an algorithm is not known");
	return 0;
}

static int read_context(struct oscore_file *file, struct reading *r)
{
	char why[COPSE_SECURE_WHY], *text = NULL, *next;
	size_t len = 0;
	int err = 0;

	r->number[STEP] = OSCORE_FILE_STEP;
	r->number[B_1_2] = 1;
	if (copse_secure_read(r->path, true, &text, &len, why)) {
		snprintf(r->why, OSCORE_FILE_WHY, "%.250s", why);
		return -1;
	}
	if (memchr(text, 0, len))
		err = complain(r, "is no text");
	/* What has been read ends with a NUL: see copse_secure_read. */
	for (char *line = text; !err && line; line = next) {
		next = memchr(line, '\n', len - (size_t)(line - text));
		if (next)
			*next++ = 0;
		r->line++;
		err = take_line(r, line);
	}
	if (!err)
		err = derive(r, &file->context);
	copse_secure_wipe(text, len);
	return err;
}

/* ---- opening ---- */

/* The file of the context is locked, not that of the numbers, which is replaced again and again. */
static int lock(struct oscore_file *file, const struct reading *r)
{
	file->lock = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (file->lock < 0)
		return complain(r, "%s", strerror(errno));
	if (flock(file->lock, LOCK_EX | LOCK_NB) != 0)
		return complain(r, "another program uses this context");
	return 0;
}

static int open_as(struct oscore_file *file, struct reading *r)
{
	if (read_context(file, r))
		return -1;
	r->line = 0;
	if (lock(file, r))
		return -1;
	return numbers_begin(&file->numbers, &file->context, (uint32_t)r->number[STEP], r->number[B_1_2],
			     r->why);
}

int oscore_file_open(struct oscore_file *file, const char *spec, char why[OSCORE_FILE_WHY])
{
	char path[PATH_MAX];
	struct reading r = {.path = path, .why = why};
	const char *comma = strchr(spec, ',');
	const int len = comma ? (int)(comma - spec) : (int)strlen(spec);
	int err;

	memset(file, 0, sizeof(*file));
	file->lock = -1;
	if (snprintf(path, sizeof(path), "%.*s", len, spec) >= (int)sizeof(path) ||
	    snprintf(file->numbers.path, sizeof(file->numbers.path), "%s%s", comma ? comma + 1 : path,
		     comma ? "" : ".seq") >= (int)sizeof(file->numbers.path)) {
		snprintf(why, OSCORE_FILE_WHY, "the name of the file is too long");
		return -1;
	}
	err = open_as(file, &r);
	explicit_bzero(r.bytes, sizeof(r.bytes));
	if (err) {
		if (file->lock >= 0)
			close(file->lock);
		file->lock = -1;
		copse_oscore_wipe(&file->context);
	}
	return err;
}

void oscore_file_close(struct oscore_file *file)
{
	if (file->lock < 0)
		return;
	numbers_end(&file->numbers, &file->context);
	close(file->lock);
	file->lock = -1;
	copse_oscore_wipe(&file->context);
}
