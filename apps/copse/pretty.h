/* Payloads laid out for people, by their Content-Format.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef COPSE_TOOL_PRETTY_H
#define COPSE_TOOL_PRETTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Print `len` bytes of Content-Format `format` (COPSE_FORMAT_NONE: none): JSON indented, CBOR in
 * diagnostic notation (RFC 8949 §8), SenML and links as tables. Returns false, with nothing printed, for
 * another format or a payload that is not what the format says. */
bool pretty_print(FILE *out, uint32_t format, const uint8_t *bytes, size_t len);

/* The parts; each returns as above. */
bool pretty_json(FILE *out, const uint8_t *bytes, size_t len);
bool pretty_cbor(FILE *out, const uint8_t *bytes, size_t len, bool sequence);
bool pretty_senml_json(FILE *out, const uint8_t *bytes, size_t len);
bool pretty_senml_cbor(FILE *out, const uint8_t *bytes, size_t len);
/* Problem details (RFC 9290) that have a title or a detail: as a sentence. */
bool pretty_problem(FILE *out, const uint8_t *bytes, size_t len);

bool pretty_links(FILE *out, const uint8_t *bytes, size_t len);

#endif
