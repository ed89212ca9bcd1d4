/* The syntax of the configuration: which sections and options there are, and what each value may be.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_CONFIG_PARSE_H
#define GATEWAY_CONFIG_PARSE_H

#include "config.h"

#include <confuse.h>

/* config.c: the path of a file that a section names: relative to the file of the section, or
 * for those that there is one of, `sec` the root, to the first file. */
void gw_config_beside(char *out, size_t cap, const cfg_t *sec, const char *name);

/* config_keys.c: the keys that tokens are verified with, behind the issuers. Returns 0, or -1 after an error that has been
 * told. */
int gw_config_take_keys(struct gw_config *c, cfg_t *cfg);

/* config_secure.c: the keys of both secure sides; those of the mesh behind the devices. Return 0, or -1
 * after an error that has been told. */
int gw_config_take_secure(struct gw_config *c, cfg_t *cfg);
int gw_config_take_mesh_keys(struct gw_config *c, cfg_t *cfg);

/* An enum gw_sharing, or -1. */
int gw_sharing_from_text(const char *text);

/* Parse `path` and all that it includes; each value is valid by itself afterwards. Returns it, to be given
 * to gw_config_parsed_free, or NULL with `why`. Until then cfg_error on it or a section of it appends to
 * `why`. */
cfg_t *gw_config_parse(const char *path, char why[GW_CONFIG_WHY]);
void gw_config_parsed_free(cfg_t *cfg);

/* Where to be reached: "ADDRESS", or by connections "tcp://ADDRESS" or "ws://ADDRESS" (`secure`: "tls://ADDRESS",
 * "wss://ADDRESS"); `*stream`: enum gw_stream. Returns 0 or an error. */
int gw_config_listen_parse(const char *text, bool secure, struct copse_address *address, uint8_t *stream);

#endif
