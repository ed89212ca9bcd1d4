/* Configuration text before libConfuse sees it.
 *
 * libConfuse 3.3 counts the lines of comments more than once, takes the end of a file for the end of a section, ends the
 * process when it is given a folder, and leaks files when an included one has an error. So files are read here, whole;
 * comments become spaces; braces and quotes are checked; and included files are queued and parsed one after another.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_CONFIG_TEXT_H
#define GATEWAY_CONFIG_TEXT_H

#include <stddef.h>

#define GW_FILE_MAX (64u << 20) /* the largest configuration file */

/* Read the regular file `path` into memory of copse_mem_new, with a NUL behind it.
 * Returns 0, or an errno: EISDIR for what is no regular file, EFBIG beyond `max`. */
int gw_file_read(const char *path, size_t max, char **text, size_t *len);

/* Replace comments by spaces.
 * Returns 0, or the line at which a quote or brace stands that is not closed, or a closing brace that was not opened,
 * with `*what` a sentence; static storage. */
unsigned gw_config_blank(char *text, size_t len, const char **what);

#endif
