/* Files with keys: who else may read them is looked at first, and a file for keys is made for its owner alone.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include "secure_internal.h"

#include <copse/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)

__attribute__((format(printf, 2, 3))) static int say(char why[COPSE_SECURE_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, COPSE_SECURE_WHY, format, args);
	va_end(args);
	return COPSE_ERR_ARGUMENT;
}

/* The open file is looked at, not the name: nobody can change it in between. */
static int check(int fd, const char *path, bool secret, size_t *len, char why[COPSE_SECURE_WHY])
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return say(why, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return say(why, "%s: not a regular file", path);
	if (secret && (st.st_mode & (S_IRWXG | S_IRWXO)))
		return say(why, "%s: others than its owner may use it: chmod 600", path);
	if (secret && st.st_uid != geteuid() && st.st_uid != 0)
		return say(why, "%s: belongs to somebody else", path);
	if (st.st_size > (off_t)FILE_MAX)
		return say(why, "%s: larger than 1 MiB", path);
	*len = (size_t)st.st_size;
	return COPSE_OK;
}

static int read_all(int fd, const char *path, char **out, size_t *len, char why[COPSE_SECURE_WHY])
{
	char *text = copse_mem_new(*len + 1, 1);
	size_t n = 0;

	if (!text)
		return say(why, "out of memory"), COPSE_ERR_NOROOM;
	while (n < *len) {
		ssize_t got = read(fd, text + n, *len - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			copse_secure_wipe(text, *len);
			return say(why, "%s: %s", path, strerror(errno));
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*out = text;
	*len = n;
	return COPSE_OK;
}

int copse_secure_read(const char *path, bool secret, char **out, size_t *len, char why[COPSE_SECURE_WHY])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int err;

	if (fd < 0)
		return say(why, "%s: %s", path, strerror(errno));
	err = check(fd, path, secret, len, why);
	if (!err)
		err = read_all(fd, path, out, len, why);
	close(fd);
	return err;
}

void copse_secure_wipe(char *text, size_t len)
{
	if (text)
		gnutls_memset(text, 0, len);
	copse_mem_free(text);
}

void secure_key_log(void)
{
	const char *path = secure_getenv("SSLKEYLOGFILE");
	/* O_EXCL: what is there already, file or not, is its owner's business */
	int fd = path && *path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600) : -1;

	if (fd >= 0)
		close(fd);
}
