/* Who a reading is from: names of devices, cut from SenML names or made of addresses.
 *
 * One device has one identity, however it is written: an EUI-64 is 16 lower-case hexadecimal digits, whether it came as
 * "device:ID", "urn:dev:mac:ID" (RFC 9039 §4.1), as a MAC address of 48 bits, or in a link-local address (RFC 4291
 * Appendix A). A 1-Wire device stays "urn:dev:ow:" and 16 digits (§4.2), a UUID "urn:uuid:" and its text (RFC
 * 4122), both in lower case. Anything else is taken as it stands.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#ifndef STORE_IDENTITY_H
#define STORE_IDENTITY_H

#include "store.h"

#define STORE_EUI64_LEN 16 /* digits */

/* Cut the name of a record into device and name. "device:0024befffe804ff1:temp", "urn:dev:ow:10e2073a01080063_temp" and
 * "urn:uuid:.../temp" have a device and "temp"; "2001:db8::2/temp" the device "2001:db8::2"; "temp" alone has
 * none: `device` is "". A device without more has the name "value".
 * Returns 0, or -1 when one of both is too long. */
int store_identity_cut(const char *text, char device[STORE_DEVICE_MAX + 1], char name[STORE_NAME_MAX + 1]);

/* The canonical form of a device's identity alone, as it may stand in a path or a configuration. Returns 0 or -1. */
int store_identity(const char *text, size_t len, char device[STORE_DEVICE_MAX + 1]);

/* The EUI-64 in an IPv6 address of 16 bytes, as identity. Returns false when it is not link-local. */
bool store_identity_of_address(const uint8_t address[16], char device[STORE_DEVICE_MAX + 1]);

/* Whether an identity is an EUI-64: only those can be compared with an address. */
bool store_identity_is_eui64(const char *device);

#endif
