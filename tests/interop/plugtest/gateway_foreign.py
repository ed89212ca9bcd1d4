#!/usr/bin/env python3
"""The plugtest cases of messages, blocks and links through the gateway as foreign clients walk through them: libcoap's coap-client and the npm
package `coap`, each with a session, in front of the conformance server. Those of observation are in gateway_observe.py, the strict client in
gateway_cases.py. What a client cannot do is left out by name, and said why.

SPDX-License-Identifier: BSD-2-Clause
"""
import functools
import os
import re

import coap_client as walks
import cases
from proxied import Proxied
from stage import GET, HERE, check, equal, free_port, play, side_by_side

CASES = {*(f"CC{i:02}" for i in range(1, 24)), "CC31", *(f"CB{i:02}" for i in range(1, 7)), *(f"CL{i:02}" for i in range(1, 10))}

SEPARATE = "libcoap before 4.3.5 drops the first of several blocks that is no acknowledgement, as none is through the gateway (its issue 1595)"
PING = "a ping has no options: no proxy can pass it on (gateway_cases.py pings the gateway)"
AT_ONCE = "it acknowledges whatever it is sent, at once"
LEFT_OUT = {
    "coap-client": {"CC12": "it always sends a token", "CC16": AT_ONCE, "CC31": PING, "CB01": SEPARATE, "CB02": SEPARATE, "CB06": SEPARATE},
    "npm coap": {"CC12": "it replaces an empty token by one of its own", "CC16": AT_ONCE, "CC31": PING},
}


def uploads(coap):
    """CB03 to CB05; what was written is read by another client where coap-client cannot."""
    reader = Proxied(coap.stage, coap.uri.removeprefix("coap://"))
    body = cases.BODY[:cases.LARGE]
    path = coap.stage.path("upload")
    with open(path, "wb") as file:
        file.write(body)
    upload = ["-b", "64", "-f", path]
    coap.code("2.04", "put", "/large-update", *upload)
    equal(cases.fetch(reader, GET, "/large-update", 64)[0], body, "CB03: read back")
    answer, _ = coap.code("2.01", "post", "/large-create", *upload)
    equal(cases.fetch(reader, GET, "/" + "/".join(answer.option("Location-Path")), 64)[0], body, "CB04: read back")
    _, text = coap.code("2.04", "post", "/large-post", *upload)
    equal(text, body.decode().upper(), "CB05")
    reader.close()


# Which cases each walk of coap-client has in it.
WALKS = {
    walks.core: "CC01 CC02 CC03 CC04 CC05 CC06 CC07 CC08 CC09 CC10 CC11 CC13 CC14 CC15 CC17 CC18 CC19 CC20",
    walks.creation: "CC23",
    walks.validation: "CC21 CC22",
    uploads: "CB03 CB04 CB05",
    walks.links: "CL01 CL02 CL03 CL04 CL05 CL06 CL07 CL08 CL09",
}


def blocks_too(stage):
    """A newer libcoap reads blocks, too."""
    usage = stage.run([stage.foreign("coap-client")]).stderr
    version = re.search(r"coap-client\S* v(\d+)\.(\d+)\.(\d+)", usage)
    if version and tuple(map(int, version.groups())) >= (4, 3, 5):
        WALKS[walks.blocks] = "CB01 CB02 CB06"
        for case in WALKS[walks.blocks].split():
            del LEFT_OUT["coap-client"][case]


# The two that differ in how long the request waits, which is nothing that a client chooses; lossy links are gateway_cases' and image.py's.
SAME = {"CC01": ("CC10", "CC15"), "CC09": ("CC11",)}


def with_coap_client(stage, name, walk):
    port, uri = free_port(), stage.gateway_uri()
    opened = stage.coap_client(port, "-m", "post", "-e", stage.token(name), f"{uri}/sessions?security=none")
    check("account" in opened, f"the session of coap-client: {opened}")
    walk(walks.Coap(stage, f"coap://{name}", ["-p", str(port), "-P", uri], stage.used_ids[port]))
    return WALKS[walk].split()


def with_npm(stage, name):
    if not os.path.isdir(os.path.join(HERE, "node_modules", "coap")):
        print("the npm package is not there: left out")
        return None
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm_coap.mjs")
    done = stage.run([stage.foreign("node"), script, str(stage.gateway_address[1]), "proxied", str(free_port()), stage.token(name), name])
    equal(done.returncode, 0, f"npm coap, after {done.stdout}: {done.stderr}")
    found = {case for line in re.findall(r"^ok (.*)$", done.stdout, re.M) for case in re.findall(r"C[CBL]\d\d", line)}
    return [*found, *(same for case in found for same in SAME.get(case, ()))]


def keep(what, results, run):
    covered = run()
    if covered is not None:
        results.setdefault(what, set()).update(covered)


def test(stage):
    blocks_too(stage)
    jobs = [("coap-client", walk.__name__, lambda name, walk=walk: with_coap_client(stage, name, walk)) for walk in WALKS]
    jobs.append(("npm coap", "all", lambda name: with_npm(stage, name)))
    names = [f"00135000000002{i:02x}" for i in range(len(jobs))]
    for name in names:
        stage.add_device(name, stage.start_plugtest_server()[1])
    # Nothing is lost here, and what is repeated because the machine is slow would be an answer too many: the package appends its block, and
    # the next coap-client has the same port.
    stage.start_gateway("clients {\n\tack_timeout = 60\n}")
    results = {}
    side_by_side([(f"{what}, {done}", functools.partial(keep, what, results, functools.partial(run, name)))
                  for (what, done, run), name in zip(jobs, names)])
    for what, covered in results.items():
        equal(covered & set(LEFT_OUT[what]), set(), f"{what}: done, and left out all the same")
        equal(CASES - covered - set(LEFT_OUT[what]), set(), f"{what}: neither done nor left out")
        print(f"{what}: {len(covered)} cases through the gateway")
        for case, why in sorted(LEFT_OUT[what].items()):
            print(f"{what}: {case} left out: {why}")


if __name__ == "__main__":
    play(test)
