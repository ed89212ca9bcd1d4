#!/usr/bin/env python3
"""The plugtest cases as libcoap's coap-client walks through them, over a clean link and over one that loses datagrams.

SPDX-License-Identifier: BSD-2-Clause
"""
import functools
import itertools
import os
import re
import signal
import threading

import cases
from relay import Relay
from stage import check, equal, play, side_by_side, until

PDU = re.compile(r"^v:1 t:(\w+) c:(\S+) i:(\w+) \{(\w*)\} \[ (.*?) ?\](?: ::? (.*))?$", re.M)


SENT = re.compile(r"^v:1 t:(?:CON|NON) c:[A-Z]+ i:(\w+) ", re.M)
TOKENS = itertools.count(0x1000)


class Answer:
    """A message that coap-client has printed."""

    def __init__(self, match):
        self.kind, self.code, self.mid, self.token, options, self.payload = match.groups()
        self.options = [tuple(o.strip().split(":", 1)) for o in re.split(r", (?=[A-Z])", options) if ":" in o]

    def option(self, name):
        return [value for n, value in self.options if n == name]


def received(text):
    """What it sends are requests: c:GET; what it receives has a number."""
    return [Answer(m) for m in PDU.finditer(text) if re.match(r"[245]\.", m.group(2))]


class Coap:
    """coap-client against one server, or a device behind the gateway: `always` goes with each call. `used` has the message IDs that went out
    from the same port: one that comes again is taken for a copy, and answered as what it is a copy of."""

    def __init__(self, stage, uri, always=(), used=None):
        self.stage, self.uri, self.always, self.used = stage, uri, list(always), used

    def run(self, method, path, *arguments):
        """Every message that it received, and the body that it printed."""
        out = self.stage.path(f"out-{threading.get_ident()}")
        token = f"{next(TOKENS):x}"  # what is still under way of the call before is no answer to this one
        command = [*self.always, "-T", token, "-v", "6", "-B", "300", "-o", out, "-m", method, *arguments, self.uri + path]
        while True:
            done = self.stage.run([self.stage.foreign("coap-client"), *command])
            ids = set(SENT.findall(done.stdout + done.stderr))
            check(ids, f"coap-client sends nothing: {done.stdout}{done.stderr}")
            if self.used is None or self.used.isdisjoint(ids):
                break
            self.used |= ids
        if self.used is not None:
            self.used |= ids
        answers = received(done.stdout + done.stderr)
        body = ""
        if os.path.exists(out):
            with open(out, encoding="utf-8", errors="replace") as file:
                body = file.read()
            os.remove(out)
        return answers, body

    def last(self, method, path, *arguments):
        answers, body = self.run(method, path, *arguments)
        check(answers, f"{method} {path}: no answer")
        return answers[-1], body

    def code(self, expected, method, path, *arguments):
        answer, body = self.last(method, path, *arguments)
        equal(answer.code, expected, f"{method} {path} {arguments}")
        return answer, body


def core(coap):
    for types in ([], ["-N"]):
        _, body = coap.code("2.05", "get", "/test", *types)
        check(body, "CC01, CC05: payload")
        coap.code("2.02", "delete", "/test", *types)
        coap.code("2.04", "put", "/test", "-e", "TEST", *types)
        answer, _ = coap.code("2.01", "post", "/test", "-e", "TEST", *types)
        equal(answer.option("Location-Path"), ["location1", "location2", "location3"], "CC18")
    answer, _ = coap.code("2.01", "post", "/location-query", "-e", "TEST")
    equal(answer.option("Location-Query"), ["first=1", "second=2"], "CC19")
    coap.code("2.05", "get", "/seg1/seg2/seg3")
    _, body = coap.code("2.05", "get", "/query?first=1&second=2&third=3")
    check("third=3" in body, "CC14")
    answer, body = coap.code("2.05", "get", "/separate")
    equal(answer.kind, "CON", "CC09")
    check("second" in body, "CC09: payload")
    _, body = coap.code("2.05", "get", "/separate", "-N")
    check("second" in body, "CC17: payload")
    for accept, start in (("0", "format"), ("41", "<?xml"), ("50", "{")):
        _, body = coap.code("2.05", "get", "/multi-format", "-A", accept)
        check(body.startswith(start), f"CC20: {body}")
    answer, _ = coap.code("2.05", "get", "/multi-format", "-A", "60")
    equal(answer.option("Content-Format"), ["application/cbor"], "CC20: CBOR")
    coap.code("4.06", "get", "/multi-format", "-A", "112")
    coap.code("4.04", "get", "/nothing")
    coap.code("4.05", "put", "/separate", "-e", "x")


def creation(coap):
    coap.code("2.01", "put", "/create1", "-O", "5,", "-e", "x")
    coap.code("4.12", "put", "/create1", "-O", "5,", "-e", "x")


def validation(coap):
    answer, _ = coap.code("2.05", "get", "/validate")
    etag = answer.option("ETag")[0]
    answer, body = coap.code("2.03", "get", "/validate", "-O", f"4,{etag}")
    equal((answer.option("ETag"), body), ([etag], ""), "CC21: ETag and nothing else")
    coap.code("2.04", "put", "/validate", "-e", "TEST")
    answer, body = coap.code("2.05", "get", "/validate", "-O", f"4,{etag}")
    newer = answer.option("ETag")[0]
    check(newer != etag and body, "CC21: another ETag")
    coap.code("2.04", "put", "/validate", "-O", f"1,{newer}", "-e", "TEST")
    coap.code("4.12", "put", "/validate", "-O", f"1,{newer}", "-e", "TEST")


def blocks(coap, sizes=("16", "64", "1024")):
    body = (cases.BODY[:cases.LARGE]).decode()
    path = coap.stage.path(f"body-{threading.get_ident()}")
    with open(path, "w", encoding="ascii") as file:
        file.write(body)
    for size in sizes:
        answers, text = coap.run("get", "/large", "-b", size)
        equal(answers[-1].option("Block2")[0].split("/")[1:], ["_", size], f"CB01 {size}: the last block")
        equal(len(text), cases.LARGE, f"CB01 {size}: length")
    upload = ["-b", "64", "-f", path]
    coap.code("2.04", "put", "/large-update", *upload)
    _, text = coap.code("2.05", "get", "/large-update")
    equal(text, body, "CB03: read back")
    answer, _ = coap.code("2.01", "post", "/large-create", *upload)
    where = "/" + "/".join(answer.option("Location-Path"))
    _, text = coap.code("2.05", "get", where)
    equal(text, body, "CB04: read back")
    _, text = coap.code("2.04", "post", "/large-post", *upload)
    equal(text, body.upper(), "CB05")


def blocks_lossy(coap):
    blocks(coap, ("64", "1024"))  # each loss costs seconds


def links(coap):
    _, body = coap.code("2.05", "get", "/.well-known/core")
    check({"/test", "/obs", "/large", "/link1", "/path"} <= set(re.findall(r"<([^>]*)>", body)), "CL01")
    for query, expected in (("rt=Type1", {"/link1", "/link3"}), ("rt=Type2", {"/link1", "/link2"}), ("if=If*", {"/link1", "/link2"}),
                            ("sz=*", {"/large", "/large-update", "/large-create", "/large-post"}), ("href=/link1", {"/link1"}),
                            ("href=/link*", {"/link1", "/link2", "/link3"}), ("ct=40", {"/path"}), ("rt=none", set())):
        answer, body = coap.code("2.05", "get", f"/.well-known/core?{query}")
        equal(answer.option("Content-Format"), ["application/link-format"], f"links ?{query}: Content-Format")
        equal(set(re.findall(r"<([^>]*)>", body)), expected, f"links ?{query}")
    _, body = coap.code("2.05", "get", "/.well-known/core?rt=*")
    check({"/link1", "/large", "/obs"} <= set(re.findall(r"<([^>]*)>", body)) and "</test>" not in body, "CL03")
    _, body = coap.code("2.05", "get", "/path")
    check("</path/sub1>" in body, "CL09")
    coap.code("2.05", "get", "/path/sub1")


def observe(coap, path, kind, *arguments):
    """Observe until there are three notifications of that kind; there is something new every five seconds. Returns all answers."""
    command = [*coap.always, "-v", "6", "-B", "900", "-s", "900", "-w", "-m", "get", *arguments, coap.uri + path]
    process = coap.stage.start("coap-client", ["stdbuf", "-oL", coap.stage.foreign("coap-client"), *command])

    def notified():
        check(process.alive(), f"coap-client ended: {process.output()}")
        answers = received(process.output())
        return answers if len([a for a in answers if a.kind == kind and a.option("Observe")]) >= 3 else None
    answers = until(notified, f"three notifications of {coap.uri}{path}")
    process.stop(signal.SIGINT)
    coap.stage.processes.remove(process)
    return answers


def observation(coap):
    answers = observe(coap, "/obs", "CON")
    seen = [int(a.option("Observe")[0]) for a in answers if a.option("Observe")]
    check(seen == sorted(seen), f"CO01: Observe {seen}")
    equal(len({a.token for a in answers}), 1, "CO01: one token")


def observation_non(coap):
    observe(coap, "/obs-non", "NON", "-N")


def test(stage):
    def client(server):
        return Coap(stage, f"coap://{server[0]}:{server[1]}")
    stage.foreign("coap-client")
    clean, relay = stage.start_plugtest_server(), Relay(stage, stage.start_plugtest_server(), 0.1, 11)
    jobs = [(case, client(clean)) for case in (core, creation, validation, blocks, links, observation, observation_non)]
    jobs += [(case, client(relay.address)) for case in (blocks_lossy, links, observation)]
    side_by_side([(f"{case.__name__} at {coap.uri}", functools.partial(case, coap)) for case, coap in jobs])
    check(relay.lost > 0, "the relay has lost something")
    print(f"the relay lost {relay.lost} of {relay.lost + relay.passed} datagrams")


if __name__ == "__main__":
    play(test)
