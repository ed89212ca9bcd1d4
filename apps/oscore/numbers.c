/* See numbers.h.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "numbers.h"

#include <copse/hex.h>
#include <copse/secure.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct kept {
	uint8_t mark[8];
	uint64_t next;
	bool has_window;
	uint64_t top, seen;
};

__attribute__((format(printf, 2, 3))) static int say(char why[OSCORE_FILE_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, OSCORE_FILE_WHY, format, args);
	va_end(args);
	return -1;
}

/* ---- writing ---- */

static bool write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static bool sync_folder(const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	const int len = slash == path ? 1 : slash ? (int)(slash - path) : 1;
	int fd;
	bool good;

	snprintf(folder, sizeof(folder), "%.*s", len, slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* Some file systems cannot: EINVAL. They have nothing to keep, either. */
	good = fsync(fd) == 0 || errno == EINVAL;
	close(fd);
	return good;
}

static bool replace(const char *path, const char *text, size_t len)
{
	char beside[PATH_MAX + 8];
	int fd;
	bool good;

	snprintf(beside, sizeof(beside), "%s.new", path);
	if (unlink(beside) != 0 && errno != ENOENT) /* of somebody who was killed: we have the lock */
		return false;
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	good = write_all(fd, text, len) && fsync(fd) == 0;
	good = close(fd) == 0 && good;
	if (good && rename(beside, path) == 0)
		return sync_folder(path);
	unlink(beside);
	return false;
}

static bool keep(const struct oscore_numbers *numbers, uint64_t next,
		 const struct copse_oscore_context *window)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "context ");
	uint64_t top, seen;

	for (size_t i = 0; i < sizeof(numbers->mark); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", numbers->mark[i]);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\nnext %" PRIu64 "\n", next);
	if (window && copse_oscore_window(window, &top, &seen))
		n += snprintf(text + n, sizeof(text) - (size_t)n, "window %" PRIu64 " %" PRIx64 "\n", top,
			      seen);
	return replace(numbers->path, text, (size_t)n);
}

static bool reserve(void *self, uint64_t from, uint64_t *upto)
{
	struct oscore_numbers *numbers = self;

	*upto = from + numbers->step;
	if (*upto > COPSE_OSCORE_SEQUENCE_MAX + 1)
		*upto = COPSE_OSCORE_SEQUENCE_MAX + 1;
	return keep(numbers, *upto, NULL);
}

/* ---- reading ---- */

/* Exactly what `keep` writes, and nothing behind it. */
static bool parse(const char *text, size_t len, struct kept *kept)
{
	char mark[17];
	int n = 0, more = 0;

	*kept = (struct kept){0};
	if (memchr(text, 0, len) ||
	    sscanf(text, "context %16[0-9a-f]\nnext %" SCNu64 "%n", mark, &kept->next, &n) != 2)
		return false;
	if (copse_hex_decode(mark, strlen(mark), kept->mark, sizeof(kept->mark)) != (int)sizeof(kept->mark) ||
	    kept->next > COPSE_OSCORE_SEQUENCE_MAX + 1)
		return false;
	text += n;
	kept->has_window =
	    sscanf(text, "\nwindow %" SCNu64 " %" SCNx64 "%n", &kept->top, &kept->seen, &more) == 2;
	if (kept->has_window && kept->top > COPSE_OSCORE_SEQUENCE_MAX + 1)
		return false;
	return strcmp(text + more, "\n") == 0;
}

static int read_kept(const struct oscore_numbers *numbers, struct kept *kept, bool *fresh,
		     char why[OSCORE_FILE_WHY])
{
	char reason[COPSE_SECURE_WHY], *text = NULL;
	struct stat st;
	size_t len = 0;
	bool good;

	*fresh = lstat(numbers->path, &st) != 0 && errno == ENOENT;
	if (*fresh)
		return 0;
	if (copse_secure_read(numbers->path, true, &text, &len, reason))
		return say(why, "%.250s", reason);
	good = parse(text, len, kept);
	copse_secure_wipe(text, len);
	if (!good)
		return say(
		    why,
		    "%.120s: is damaged; the numbers used are not known, so that the context must not be "
		    "used any more",
		    numbers->path);
	return 0;
}

/* Of the keys, but tells nothing about them. */
static bool mark(struct oscore_numbers *numbers, const struct copse_oscore_context *c)
{
	static const uint8_t info[] = "copse numbers";
	uint8_t keys[2 * COPSE_OSCORE_KEY_MAX + COPSE_OSCORE_NONCE_MAX];
	const size_t key = sizeof(c->sender_key);
	bool good;

	memcpy(keys, c->sender_key, key);
	memcpy(keys + key, c->recipient_key, key);
	memcpy(keys + 2 * key, c->common_iv, sizeof(c->common_iv));
	good = c->crypto->derive(COPSE_OSCORE_HKDF_SHA_256, NULL, 0, keys, sizeof(keys), info,
				 sizeof(info) - 1, numbers->mark, sizeof(numbers->mark));
	explicit_bzero(keys, sizeof(keys));
	return good;
}

int numbers_begin(struct oscore_numbers *numbers, struct copse_oscore_context *context, uint32_t step,
		  bool restore, char why[OSCORE_FILE_WHY])
{
	struct kept kept = {0};
	bool fresh;

	numbers->step = step;
	if (!mark(numbers, context))
		return say(why, "%.120s: no such cryptography", numbers->path);
	if (read_kept(numbers, &kept, &fresh, why))
		return -1;
	/* From here on a window that is kept would be an old one. */
	if (!keep(numbers, kept.next, NULL))
		return say(why, "%.120s: cannot be replaced: %s", numbers->path, strerror(errno));
	copse_oscore_sequence(context, kept.next, reserve, numbers);
	if (kept.has_window && memcmp(kept.mark, numbers->mark, sizeof(kept.mark)) == 0)
		copse_oscore_restore_window(context, kept.top, kept.seen);
	else if (!fresh && restore)
		copse_oscore_lost_window(context);
	return 0;
}

void numbers_end(struct oscore_numbers *numbers, const struct copse_oscore_context *context)
{
	(void)keep(numbers, context->sequence, context);
}
