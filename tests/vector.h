/* The annotated byte vectors of tests/vectors: bytes in hexadecimal, "#" begins a comment; the line "# expect:" says
 * what the parser makes of the message:
 *
 *	ok | malformed | version    what copse_message_parse returns
 *	reaction=none|silence|rst|4.02
 *	options=N bad=N ignored=N unknown=NUMBER payload=N extended=LENGTH of the token
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_VECTOR_H
#define TESTS_VECTOR_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VECTOR_MAX 2048

struct vector {
	char name[128];
	char expect[256];
	uint8_t bytes[VECTOR_MAX];
	size_t len;
};

static inline void vector_line(struct vector *v, char *line)
{
	const char *expect = strstr(line, "# expect: ");
	if (expect)
		snprintf(v->expect, sizeof(v->expect), " %s ", expect + strlen("# expect: "));
	line[strcspn(line, "#\n")] = 0;
	for (char *at = line, *end;; at = end) {
		unsigned long byte = strtoul(at, &end, 16);
		if (end == at)
			break;
		if (byte > 0xff || v->len == VECTOR_MAX)
			abort();
		v->bytes[v->len++] = (uint8_t)byte;
	}
}

/* Read the vector `name` (with ".hex") from `folder`. */
static inline void vector_load(struct vector *v, const char *folder, const char *name)
{
	char path[1024], line[1024];
	memset(v, 0, sizeof(*v));
	snprintf(v->name, sizeof(v->name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	FILE *file = fopen(path, "r");
	if (!file) {
		perror(path);
		abort();
	}
	while (fgets(line, sizeof(line), file))
		vector_line(v, line);
	fclose(file);
	for (char *at = v->expect; *at; at++)
		if (*at == '\n')
			*at = ' ';
}

/* Whether the word stands in the expectation. */
static inline bool vector_expects(const struct vector *v, const char *word)
{
	char padded[64];
	snprintf(padded, sizeof(padded), " %s ", word);
	return strstr(v->expect, padded) != NULL;
}

/* The number behind "name=", or `absent`. */
static inline long vector_number(const struct vector *v, const char *name, long absent)
{
	char padded[64];
	snprintf(padded, sizeof(padded), " %s=", name);
	const char *at = strstr(v->expect, padded);
	return at ? strtol(at + strlen(padded), NULL, 10) : absent;
}

static inline int vector_is(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return len > 4 && strcmp(entry->d_name + len - 4, ".hex") == 0;
}

/* Hand each vector of `folder` that has an expectation to `use`. Returns how many there were. */
static inline unsigned vector_each(const char *folder, void (*use)(const struct vector *v))
{
	struct dirent **entries;
	static struct vector v;
	unsigned used = 0;
	int n = scandir(folder, &entries, vector_is, alphasort);
	for (int i = 0; i < n; i++) {
		vector_load(&v, folder, entries[i]->d_name);
		free(entries[i]);
		if (v.expect[0]) {
			use(&v);
			used++;
		}
	}
	if (n >= 0)
		free(entries);
	return used;
}

#endif
