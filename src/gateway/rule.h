/* Rules: "METHODS DEVICE PATH", as they stand in the configuration and in claims of tokens.
 *
 *	get,fetch 0013500* /sensors     * * /     put meter-7 /fw     get @store /plans
 *
 * METHODS: "*", or names with commas between. DEVICE: a name, or the beginning of one and "*"; "*" is the default. PATH: its
 * first segments; "/" is the default. Empty segments count for nothing, in rules and in requests. A rule of "@store" is
 * about documents of the collector and no device; any other is about devices and no document.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_RULE_H
#define GATEWAY_RULE_H

#include <copse/message.h>

#define GW_RULE_DEVICE_MAX 63
#define GW_RULE_PATH_MAX   127

struct gw_rule {
	uint8_t methods; /* bit 0: GET, as the codes go */
	bool beginning;  /* `device` is the beginning of a name */
	bool documents;  /* "@store": `path` is below it */
	uint8_t device_len, path_len;
	char device[GW_RULE_DEVICE_MAX + 1]; /* lower case */
	char path[GW_RULE_PATH_MAX + 1];
};

/* Read a rule of `len` bytes. Any bytes are taken. Returns NULL, or what is wrong with it; static storage. */
const char *gw_rule_parse(const char *text, size_t len, struct gw_rule *rule);

/* Whether it is about the request `m` to the device that is known by `name`, and by `alias` if that is not "": for rules
 * that allow. */
bool gw_rule_matches(const struct gw_rule *rule, const struct copse_message *m, const char *name,
		     const char *alias);

/* Whether it is, or would be if the device took a slash within a segment ("a%2Fb" in a URI) for one between two: for rules
 * that deny. */
bool gw_rule_touches(const struct gw_rule *rule, const struct copse_message *m, const char *name,
		     const char *alias);

/* RFC 7252 §5.10.1: no segment is "." or "..". Whether the path of `m` has one, or would if slashes divided segments: a
 * device might take them for what they mean elsewhere, and so lead around the rules. */
bool gw_rule_has_dots(const struct copse_message *m);

/* Whether it is about requests for the document at `path`, its segments below /store with slashes between, if it is about
 * their method. */
bool gw_rule_matches_document(const struct gw_rule *rule, const char *path);

/* How much of a device a rule is about. */
enum gw_rule_reach { GW_RULE_NOTHING, GW_RULE_PART, GW_RULE_ALL };

enum gw_rule_reach gw_rule_reach(const struct gw_rule *rule, const char *name, const char *alias);

#endif
