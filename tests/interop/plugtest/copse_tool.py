#!/usr/bin/env python3
"""The plugtest cases as `copse` itself walks through them, over a clean link and over one that loses datagrams.

SPDX-License-Identifier: BSD-2-Clause
"""
import functools
import json
import threading

import cases
from relay import Relay
from stage import check, equal, play, side_by_side

# The exit code of copse by the class of the answer.
EXIT = {"2": 0, "4": 4, "5": 5}


class Tool:
    """copse against one server."""

    def __init__(self, stage, server):
        self.stage, self.uri = stage, f"coap://{server[0]}:{server[1]}"

    def lines(self, method, path, *arguments, expected=0):
        command = [self.stage.program("copse"), method, "--direct", "--json", "--timeout", "300", *arguments]
        done = self.stage.run(command)
        equal(done.returncode, expected, f"{method} {path} {arguments}: exit code ({done.stderr.strip()})")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def ask(self, expected, method, path, *arguments):
        """The answer, which must have the code `expected`."""
        where = [self.uri + path]
        answer = self.lines(method, path, *where, *arguments, expected=EXIT[expected[0]])[-1]
        equal(answer["code"], expected, f"{method} {path} {arguments}")
        return answer

    def body(self):
        return self.stage.path(f"body-{threading.get_ident()}")


def core(tool):
    for types in ([], ["--non"]):
        check(tool.ask("2.05", "get", "/test", *types)["payload"], "CC01, CC05: payload")
        tool.ask("2.02", "delete", "/test", *types)
        tool.ask("2.04", "put", "/test", "TEST", *types)
        answer = tool.ask("2.01", "post", "/test", "TEST", *types)
        equal(answer["options"]["Location-Path"], ["location1", "location2", "location3"], "CC18")
    equal(tool.ask("2.01", "post", "/location-query", "TEST")["options"]["Location-Query"], ["first=1", "second=2"], "CC19")
    tool.ask("2.05", "get", "/seg1/seg2/seg3")
    check("third=3" in tool.ask("2.05", "get", "/query?first=1&second=2&third=3")["payload"], "CC14")
    check("second" in tool.ask("2.05", "get", "/separate")["payload"], "CC09")
    for accept in (0, 41, 50, 60):
        equal(tool.ask("2.05", "get", "/multi-format", "--accept", str(accept))["options"]["Content-Format"], accept, "CC20")
    tool.ask("4.06", "get", "/multi-format", "--accept", "112")
    tool.ask("4.04", "get", "/nothing")
    tool.ask("4.05", "put", "/separate", "x")


def validation(tool):
    etag = tool.ask("2.05", "get", "/validate")["options"]["ETag"]
    etag = etag[0] if isinstance(etag, list) else etag
    tool.ask("2.03", "get", "/validate", "--etag", etag)
    tool.ask("2.04", "put", "/validate", "changed", "--if-match", etag)
    newer = tool.ask("2.05", "get", "/validate", "--etag", etag)["options"]["ETag"]
    check((newer[0] if isinstance(newer, list) else newer) != etag, "CC21: another ETag")
    tool.ask("4.12", "put", "/validate", "changed again", "--if-match", etag)
    tool.ask("2.01", "put", "/create1", "x", "--if-none-match")
    tool.ask("4.12", "put", "/create1", "x", "--if-none-match")


def blocks(tool, sizes=("16", "64", "1024")):
    body = cases.BODY[:cases.LARGE].decode()
    with open(tool.body(), "w", encoding="ascii") as file:
        file.write(body)
    upload = ["@" + tool.body(), "--block", "64"]
    for size in sizes:
        answer = tool.ask("2.05", "get", "/large", "--block", size)
        equal(answer["options"]["Block2"]["size"], int(size), f"CB01 {size}")
        equal(len(answer["payload"]), cases.LARGE, f"CB01 {size}: length")
    tool.ask("2.04", "put", "/large-update", *upload)
    equal(tool.ask("2.05", "get", "/large-update")["payload"], body, "CB03: read back")
    where = tool.ask("2.01", "post", "/large-create", *upload)["options"]["Location-Path"]
    equal(tool.ask("2.05", "get", "/" + "/".join(where))["payload"], body, "CB04: read back")
    equal(tool.ask("2.04", "post", "/large-post", *upload)["payload"], body.upper(), "CB05")


def qblocks(tool):
    equal(len(tool.ask("2.05", "get", "/large", "--qblock", "--block", "64")["payload"]), cases.LARGE, "Q-Block2")


def blocks_lossy(tool):
    blocks(tool, ("64", "1024"))  # each loss costs seconds


def links(tool):
    for query, expected in (("rt=Type1", {"/link1", "/link3"}), ("if=If*", {"/link1", "/link2"}), ("href=/link1", {"/link1"}),
                            ("ct=40", {"/path"}), ("rt=none", set())):
        text = tool.ask("2.05", "get", f"/.well-known/core?{query}").get("payload", "")
        equal({part.split(">")[0] for part in text.split("<")[1:]}, expected, f"links ?{query}")


def observation(tool):
    for path in ("/obs", "/obs-non"):
        seen = tool.lines("observe", path, tool.uri + path, "--count", "3")
        numbers = [answer["options"]["Observe"] for answer in seen]
        check(len(numbers) == 3 and numbers == sorted(numbers), f"CO01 {path}: Observe {numbers}")
        check(all(answer["payload"] for answer in seen), f"CO01 {path}: payload")


def test(stage):
    clean, lossy = stage.start_plugtest_server(), Relay(stage, stage.start_plugtest_server(), 0.1, 7)
    jobs = [(case, Tool(stage, clean)) for case in (core, validation, blocks, qblocks, links, observation)]
    jobs += [(case, Tool(stage, lossy.address)) for case in (blocks_lossy, links, observation)]
    side_by_side([(f"{case.__name__} at {tool.uri}", functools.partial(case, tool)) for case, tool in jobs])
    check(lossy.lost > 0, "the relay has lost something")
    print(f"the relay lost {lossy.lost} of {lossy.lost + lossy.passed} datagrams")


play(test)
