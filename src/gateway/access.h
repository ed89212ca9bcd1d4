/* What the configuration's access sections say about requests and devices.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef GATEWAY_ACCESS_H
#define GATEWAY_ACCESS_H

#include "config.h"

/* Whether the request `m` of `account` to the device of this name and alias ("" for none) is denied: the first section
 * that is about both decides, and what none is about is allowed. */
bool gw_access_denies(const struct gw_config *config, const char *account, const struct copse_message *m,
		      const char *name, const char *alias);

/* Whether a section is about requests of that account: "" for none. */
bool gw_access_is_of(const struct gw_access *section, const char *account);

/* Whether no request of `account` to that device is allowed. */
bool gw_access_hides(const struct gw_config *config, const char *account, const char *name,
		     const char *alias);

#endif
