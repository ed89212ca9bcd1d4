#!/usr/bin/env python3
"""The command line client with foreign peers: libcoap's coap-server directly and behind the gateway, with a session that it keeps; and
its exit codes, which scripts rely on.

SPDX-License-Identifier: BSD-2-Clause
"""
from stage import SECRET, check, equal, free_port, play


def exit_codes(stage, server, closed):
    """DESIGN: 0 for 2.xx, 4 for 4.xx, 6 name not found, 7 unreachable, 28 timed out, 1 usage."""
    for status, arguments in ((0, ["get", f"{server}/"]), (4, ["get", f"{server}/nowhere"]), (4, ["delete", f"{server}/"]),
                              (7, ["get", f"coap://127.0.0.1:{closed}/"]), (6, ["get", "coap://no.such.host.invalid/"]),
                              (1, ["get"]), (1, ["frobnicate"]), (1, ["get", "ftp://host/"])):
        done = stage.copse(*arguments)
        equal(done.returncode, status, f"copse {' '.join(arguments)}: {done.stdout}{done.stderr}")


def test(stage):
    _, port, _ = stage.coap_server("-d", "10")
    stage.add_device("001350000000c0a9", port)
    stage.start_gateway()
    uri = f"coap://127.0.0.1:{port}"
    exit_codes(stage, uri, free_port())

    equal(stage.copse("put", f"{uri}/example_data", "from copse").returncode, 0, "put")
    equal(stage.copse("get", f"{uri}/example_data").stdout.rstrip("\n"), "from copse", "get")
    # A body of several blocks both ways, against libcoap's idea of block-wise transfer.
    body = "".join(f"line {i} of a long body\n" for i in range(400))
    with open(stage.path("body"), "w", encoding="utf-8") as file:
        file.write(body)
    equal(stage.copse("put", f"{uri}/long", f"@{stage.path('body')}").returncode, 0, "put in blocks")
    equal(stage.copse("get", f"{uri}/long", "--block", "256").stdout, body, "get in blocks")

    through = "coap://001350000000c0a9/time"
    equal(stage.copse("get", "--proxy", stage.gateway_uri(), through).returncode, 4, "without a session")
    opened = stage.copse("session", "open", stage.gateway_uri(), "--account", "tool", "--secret", SECRET)
    equal(opened.returncode, 0, f"session open: {opened.stderr}")
    got = stage.copse("get", through)
    equal(got.returncode, 0, f"get through the session's gateway: {got.stderr}")
    check("001350000000c0a9" in stage.copse("devices").stdout, "copse devices lists it")
    check("tool" in stage.copse("session", "status").stdout, "the status names the account")
    equal(stage.copse("session", "close").returncode, 0, "session close")
    equal(stage.copse("get", "--proxy", stage.gateway_uri(), through).returncode, 4, "after closing")


play(test)
