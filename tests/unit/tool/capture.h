/* What a printer wrote, as a string.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

static char *captured;
static size_t captured_len;

static inline FILE *capture_begin(void)
{
	free(captured);
	FILE *file = open_memstream(&captured, &captured_len);
	assert_non_null(file);
	return file;
}

static inline const char *capture_end(FILE *file)
{
	fclose(file);
	return captured;
}

#endif
