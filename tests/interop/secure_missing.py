#!/usr/bin/env python3
"""Foreign peers and credentials that cannot be tried, one case each: whether the reason still holds is looked at, then the case is skipped by
its name. When a newer version of a tool can do it, the case fails, and a true one has to take its place.

    secure_missing.py BUILD CASE

SPDX-License-Identifier: BSD-2-Clause
"""
import re
import sys

from secure import tool
from stage import Failure, Skip, play


def has(stage, program, pattern, *arguments):
    done = stage.run([tool(program), *arguments], stdin=b"")
    return re.search(pattern, done.stdout + done.stderr) is not None


CASES = {
    "openssl-s_client-raw-key": ("OpenSSL before 3.2 knows no raw public keys (RFC 7250)",
                                 lambda stage: has(stage, "openssl", r"-enable_server_rpk", "s_client", "-help")),
    "openssl-s_server-raw-key": ("OpenSSL before 3.2 knows no raw public keys (RFC 7250)",
                                 lambda stage: has(stage, "openssl", r"-enable_client_rpk", "s_server", "-help")),
    "coap-client-openssl-raw-key": ("libcoap uses raw public keys with GnuTLS only",
                                    lambda stage: not has(stage, "coap-client-openssl", r"no RPK support", "-h")),
    "coap-server-openssl-raw-key": ("libcoap uses raw public keys with GnuTLS only",
                                    lambda stage: not has(stage, "coap-server-openssl", r"no RPK support", "-h")),
    "npm-coap-dtls": ("the package has no DTLS: it asks through the secured gateway in the clear, see interop-npm_coap",
                      lambda stage: False),
}


def test(stage):
    reason, possible = CASES[sys.argv[2]]
    if possible(stage):
        raise Failure(f"{sys.argv[2]} can be tried now")
    raise Skip(f"{sys.argv[2]}: {reason}")


play(test)
