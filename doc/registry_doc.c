/* Writes doc/registry.md to standard output: what registry/ knows of options, codes and Content-Formats, as tables.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/code.h>
#include <copse/format.h>
#include <copse/option.h>

#include <stdio.h>
#include <string.h>

static const char *const format_names[] = {"empty", "opaque", "uint", "string"};
static const char *const repeat_names[] = {"", "yes", "in requests"};

/* "7252 §5.10.1" is an RFC, "OCF Core" is not. */
static void print_reference(const char *rfc)
{
	printf("%s%s", rfc[0] >= '0' && rfc[0] <= '9' ? "RFC " : "", rfc);
}

static void print_length(const struct copse_option_row *row)
{
	if (row->min == row->max)
		printf("%u", row->max);
	else
		printf("%u–%u", row->min, row->max);
}

static void print_options(void)
{
	puts("## Options\n\n"
	     "C: critical; U: unsafe to forward; N: safe, and not part of the cache-key (RFC 7252 §5.4.6); all three follow\n"
	     "from the number. An option of a wrong length or once too often is treated as one that is not recognized\n"
	     "(RFC 7252 §5.4.3, §5.4.5).\n\n"
	     "| number | C | U | N | name | format | length | repeatable | default | reference |\n"
	     "| ---: | --- | --- | --- | --- | --- | ---: | --- | --- | --- |");
	for (size_t i = 0; i < copse_option_row_n; i++) {
		const struct copse_option_row *row = &copse_option_rows[i];
		const bool unsafe = copse_option_is_unsafe(row->number);
		printf("| %u | %s | %s | %s | %s | %s | ", row->number, copse_option_is_critical(row->number) ? "C" : "",
		       unsafe ? "U" : "", !unsafe && copse_option_is_no_cache_key(row->number) ? "N" : "", row->name,
		       format_names[row->format]);
		print_length(row);
		printf(" | %s | ", repeat_names[row->repeat]);
		if (row->absent != COPSE_OPTION_NO_DEFAULT)
			printf("%d", (int)row->absent);
		fputs(" | ", stdout);
		print_reference(row->rfc);
		puts(" |");
	}
}

static void print_code(unsigned class, unsigned detail, const char *name, const char *rfc)
{
	printf("| %u.%02u | 0x%02x | %s | ", class, detail, COPSE_CODE(class, detail), name);
	print_reference(rfc);
	puts(" |");
}

static void print_codes(void)
{
	puts("\n## Codes\n\n"
	     "| code | byte | name | reference |\n"
	     "| --- | --- | --- | --- |");
#define CODE(class, detail, name, text, rfc) print_code(class, detail, text, rfc);
#include <copse/registry/codes.def>
#undef CODE
}

static void print_formats(void)
{
	puts("\n## Content-Formats\n\n"
	     "The short name is what the tools take for it, in any case and with `-` for `_`.\n\n"
	     "| number | media type | content coding | short name | reference |\n"
	     "| ---: | --- | --- | --- | --- |");
	for (size_t i = 0; i < copse_format_row_n; i++) {
		const struct copse_format_row *row = &copse_format_rows[i];
		printf("| %u | `%s` | %s | `%s` | %s |\n", row->number, row->media, row->coding, row->name,
		       row->reference);
	}
}

int main(void)
{
	puts("# What the registry knows\n\n"
	     "Made from `registry/` by `registry-doc`; do not edit. The rows follow the IANA registries \"CoAP Option Numbers\",\n"
	     "\"CoAP Method Codes\", \"CoAP Response Codes\", \"CoAP Signaling Codes\" and \"CoAP Content-Formats\".\n");
	print_options();
	print_codes();
	print_formats();
	return fflush(stdout) != 0;
}
