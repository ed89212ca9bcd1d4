#!/usr/bin/env python3
"""copse latest --follow against the real gateway: each newer reading once, as a table, CSV and JSON; of one series, of a device and of a group;
its ends; a gateway that is killed and comes back without what it knew.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import signal

from stage import CONTENT_FORMAT, GET, POST, PUT, Peer, check, code_text, equal, free_port, play, until

DEVICE = "0024befffe804ff1"


def publish(peer, name, value, time, device=f"urn:dev:mac:{DEVICE}"):
    body = json.dumps([{"n": f"{device}:{name}", "u": "Cel", "v": value, "t": time}]).encode()
    reply = peer.request(POST, "/publish", body, options=[(CONTENT_FORMAT, b"\x6e")])
    equal(code_text(reply.code), "2.04", f"publishing: {reply.payload}")


def collector(path):
    return f'collector {{\n\tstore = "{path}"\n\topen = true\n}}'


def follow(stage, *arguments):
    return stage.start("copse-latest", [stage.program("copse"), "latest", *arguments, "--follow", "--proxy", stage.gateway_uri()])


def done(stage, follower, how=None):
    """Its exit status, ended by a signal or by itself."""
    if how:
        follower.process.send_signal(how)
    follower.process.wait(300)
    stage.processes.remove(follower)
    return follower.process.returncode


def forms(stage, peer):
    table, lines, rows = follow(stage, DEVICE, "temp"), follow(stage, DEVICE, "--csv"), follow(stage, DEVICE, "--json", "--count", "4")
    for follower, first in ((table, "20"), (lines, ",temp,20,"), (rows, '"value":20')):
        follower.says(first)  # and is registered
    publish(peer, "other", 1, 1700000050)
    for follower, new in ((lines, ",other,1,"), (rows, '"other"')):
        follower.says(new)
    publish(peer, "temp", -5, 1600000000)  # older than what is shown: not the newest
    publish(peer, "temp", 21.5, 1700000060)
    for follower, new in ((table, r"21\.5"), (lines, r",temp,21\.5,"), (rows, r'"value":21\.5')):
        follower.says(new)
    publish(peer, "temp", 123456.75, 1700000120)
    table.says("123456")
    equal(done(stage, rows), 0, "the end by --count")
    seen = [json.loads(line) for line in rows.output().splitlines()]
    equal([(row["device"], row["name"], row["value"]) for row in seen],
          [(DEVICE, "temp", 20), (DEVICE, "other", 1), (DEVICE, "temp", 21.5), (DEVICE, "temp", 123456.75)], "each once, as JSON")
    lines.says(r",123456\.75,")
    for follower, head in ((table, "NAME"), (lines, "time,device,")):
        equal(done(stage, follower, signal.SIGINT), 0, "the end by Ctrl-C")
        check(follower.output().startswith(head), f"a head, once: {follower.output()}")
    equal([line.split()[:3] for line in table.output().splitlines()],
          [["NAME", "VALUE", "UNIT"], ["temp", "20", "Cel"], ["temp", "21.5", "Cel"], ["temp", "123456.75", "Cel"]], "a table")
    equal(len(lines.output().splitlines()), 5, "lines of CSV")


def ends(stage, peer):
    for arguments, status, said in ((["nobody"], 4, "no such device"), ([DEVICE, "none"], 4, "no reading"), ([DEVICE, "--count", "0"], 1, "count")):
        follower = follow(stage, *arguments)
        equal(done(stage, follower), status, f"following {arguments}")
        check(said in follower.output(), f"what is said: {follower.output()}")
    equal(stage.copse("latest", DEVICE, "--count", "1", "--proxy", stage.gateway_uri()).returncode, 1, "--count without --follow")
    follower = follow(stage, DEVICE, "--for", "1s")
    equal(done(stage, follower), 0, "the end by --for")
    for i in range(2):
        peer.request(PUT, f"/devices/device:d{i}/meta", b'{"group":"cellar"}', options=[(CONTENT_FORMAT, b"\x32")])
    follower = follow(stage, "--group", "cellar", "--count", "2")
    follower.says("waiting for one")
    for i in range(2):
        publish(peer, "wet", i + 7, 1700000000, f"device:d{i}")
    equal(done(stage, follower), 0, "the end by --count")
    rows = [line.split()[:3] for line in follower.output().splitlines() if "copse:" not in line]
    equal(rows, [["DEVICE", "NAME", "VALUE"], ["device:d0", "wet", "7"], ["device:d1", "wet", "8"]], "of a group")


def a_gateway_that_comes_back(stage, gateway):
    follower = follow(stage, DEVICE, "temp", "--json")
    follower.says("123456")
    gateway.stop(signal.SIGKILL)
    stage.processes.remove(gateway)
    gateway = stage.start_gateway(collector(":memory:"), port=stage.gateway_address[1])
    follower.says("trying again")  # as soon as the state is stale and is asked for: the gateway knows nothing
    peer = Peer(stage.gateway_address)
    value = 30

    def hears():
        nonlocal value
        value += 1
        publish(peer, "temp", value, 1700000000 + value)
        return f'"value":{value}' in until(lambda: follower.output() if follower.alive() else None, "it lives")
    until(hears, "the gateway's second life is followed")
    equal(done(stage, follower, signal.SIGINT), 0, "the end by Ctrl-C")
    peer.close()


def test(stage):
    port = free_port()  # which nobody else is given while the gateway is dead
    gateway = stage.start_gateway(collector(stage.path("readings.db")), port=port)
    peer = Peer(stage.gateway_address)
    peer.request(GET, "/help")
    publish(peer, "temp", 20, 1700000000)
    forms(stage, peer)
    ends(stage, peer)
    peer.close()
    a_gateway_that_comes_back(stage, gateway)


play(test)
