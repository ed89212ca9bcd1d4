/* What is wrong with a URI, for people.
 *
 * SPDX-License-Identifier: BSD-2-Clause */
#include <copse/uri.h>

const char *copse_uri_fault_text(enum copse_uri_fault fault)
{
	static const char *const texts[] = {
	    [COPSE_URI_OK] = "no fault",
	    [COPSE_URI_NO_SCHEME] = "a URI begins with a scheme, as in coap://host/path",
	    [COPSE_URI_BAD_SCHEME] = "the scheme is none of coap, coaps, coap+tcp, coaps+tcp, coap+ws, coaps+ws",
	    [COPSE_URI_NO_AUTHORITY] = "behind the scheme must stand //host",
	    [COPSE_URI_USERINFO] = "user information is not allowed in front of the host",
	    [COPSE_URI_NO_HOST] = "the host is missing",
	    [COPSE_URI_BAD_HOST] = "this character cannot stand in a host",
	    [COPSE_URI_BAD_ADDRESS] = "between brackets must stand an IPv6 address",
	    [COPSE_URI_BAD_PORT] = "a port is a number from 1 to 65535",
	    [COPSE_URI_BAD_PATH] = "this character cannot stand in a path",
	    [COPSE_URI_BAD_QUERY] = "this character cannot stand in a query",
	    [COPSE_URI_BAD_PERCENT] = "behind % must stand two hexadecimal digits",
	    [COPSE_URI_FRAGMENT] = "a fragment is not allowed",
	    [COPSE_URI_SEGMENT_LONG] = "no part may have more than 255 bytes",
	};
	return (size_t)fault < sizeof(texts) / sizeof(texts[0]) ? texts[fault] : "unknown fault";
}
