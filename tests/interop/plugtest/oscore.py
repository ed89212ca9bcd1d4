#!/usr/bin/env python3
"""The plugtest cases of OSCORE, OC01 to OC03, with `copse` as the client: over a clean link, over one that loses datagrams, and through the
gateway. Appendix B.2 of RFC 8613, by which the cases may begin, is in none of the programs: the context is used as it is.

SPDX-License-Identifier: BSD-2-Clause
"""
import functools
import json
import os
import sys

from relay import Relay

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from stage import SECRET, check, equal, play, side_by_side  # noqa: E402

CONTEXT = """master_secret,hex,"0102030405060708090a0b0c0d0e0f10"
master_salt,hex,"9e7ca92223786340"
sender_id,hex,"01"
recipient_id,hex,"02"
id_context,hex,"37cbf3210017a2d3"
aead_alg,text,"AES-CCM-16-64-128"
hkdf_alg,text,"direct+HKDF-SHA-256"
"""


def walk(stage, name, uri, *arguments):
    file = stage.path(f"{name}.oscore")
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
        out.write(CONTEXT)

    def ask(method, *payload):
        return request(method, "oscore", *payload)

    def request(method, path, *more):
        done = stage.copse(method, *arguments, "--oscore", file, "--json", "-v", "--timeout", "300", f"{uri}/{path}", *more)
        equal(done.returncode, 0, f"{name} {method}: {done.stderr}")
        messages = [line for line in done.stderr.splitlines() if " > " in line or " < " in line]
        # What is on the wire: POST, and 2.04 to everything, both with the option.
        check(all("OSCORE" in line for line in messages if " POST " in line or " 2.04 " in line), f"{name} {method}: {messages}")
        check(any(" > " in line and " POST " in line for line in messages), f"{name} {method}: {messages}")
        check(any(" < " in line and " 2.04 " in line for line in messages), f"{name} {method}: {messages}")
        check(not any(" GET " in line or " PUT " in line or " DELETE " in line or " 2.05 " in line for line in messages), f"{messages}")
        return json.loads(done.stdout)

    first = ask("get")
    equal((first["code"], first["options"]["Content-Format"], first["payload"]), ("2.05", 0, "protected\n"), f"OC01 {name}")
    equal(ask("delete")["code"], "2.02", f"OC02 {name}")
    equal(ask("put", "a new value")["code"], "2.04", f"OC03 {name}")
    equal(ask("get")["payload"], "a new value", f"OC03 {name}: read back")
    if name == "clean":  # several answers to one request, which no proxy would pass on
        for options in (["--block", "64"], ["--qblock", "--block", "64"]):
            equal(len(request("get", "large", *options)["payload"]), 1280, f"{name} {options}")
    plain = stage.copse("get", *arguments, f"{uri}/oscore")
    equal(plain.returncode, 4, f"{name} in the clear: {plain.stderr}")
    check("4.01" in plain.stderr, f"{name} in the clear: {plain.stderr}")


def test(stage):
    clean, lossy = stage.start_plugtest_server(), Relay(stage, stage.start_plugtest_server(), 0.1, 5)
    stage.add_device("00135000000002aa", stage.start_plugtest_server()[1])
    stage.start_gateway()
    done = stage.copse("session", "open", stage.gateway_uri(), "--account", "tool", "--secret", SECRET, "--security", "none", "--session", "tool")
    equal(done.returncode, 0, f"session open: {done.stderr}")
    jobs = [("clean", f"coap://{clean[0]}:{clean[1]}", "--direct"), ("lossy", f"coap://{lossy.address[0]}:{lossy.address[1]}", "--direct"),
            ("gateway", "coap://00135000000002aa", "--session", "tool")]
    side_by_side([(job[0], functools.partial(walk, stage, *job)) for job in jobs])


play(test)
