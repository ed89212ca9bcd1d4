#!/usr/bin/env python3
"""Requests for devices that sleep wait at the gateway: copse, coap-client and a raw client put into devices of copse-sim that listen now
and then, list and withdraw what waits for one that is never heard, and are told when the gateway ends.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import os

from stage import ACK, CON, NON, GET, PROXY_URI, PUT, SECRET, Message, Peer, check, code_text, equal, free_port, play, until

ACCOUNT = "tester"


def tool(stage, *arguments, status=0):
    done = stage.copse(*arguments)
    equal(done.returncode, status, f"copse {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def leave(peer, uri, value):
    """A confirmable PUT that is acknowledged with an empty message. Returns its token."""
    request = Message(CON, PUT, peer.next_mid(), os.urandom(4), [(PROXY_URI, uri.encode())], value)
    peer.send(request)

    def acknowledged():
        reply = peer.receive(3)
        if reply is None:
            peer.send(request)  # the same message: it is kept once
            return None
        return reply if reply.kind == ACK and reply.mid == request.mid else None
    equal(until(acknowledged, "the request is acknowledged").code, 0, "the code of the acknowledgement")
    return request.token


def told(peer, token):
    """The answer that comes as a message of its own."""
    def answer():
        reply = peer.receive(1)
        if reply and reply.kind == CON:
            peer.send(Message(ACK, 0, reply.mid))
        return reply if reply and reply.token == token and reply.kind in (CON, NON) else None
    return until(answer, "an answer for who waits")


def waiting(stage, *device):
    return json.loads(tool(stage, "mailbox", "list", *device, "--json"))


def lists_and_withdraws(stage, peer, silent):
    equal(waiting(stage), [], "nothing waits yet")
    check("nothing waits" in stage.copse("mailbox").stderr, "and the tool says so")
    tokens = [leave(peer, f"coap://{silent}/tariff", value) for value in (b"1", b"2")]
    rows = waiting(stage)
    equal([(row["device"], row["method"], row["uri"], row["bytes"], row["state"]) for row in rows],
          [(silent, "PUT", f"coap://{silent}/tariff", 1, "waiting")] * 2, "the list")
    equal([row["id"] for row in waiting(stage, silent)], [row["id"] for row in rows], "of that device")
    equal(waiting(stage, "nobody"), [], "of another device")
    table = tool(stage, "mailbox").splitlines()
    equal((table[0].split()[:4], table[1].split()[:4]),
          (["ID", "METHOD", "URI", "STATE"], [str(rows[0]["id"]), "PUT", f"coap://{silent}/tariff", "waiting"]), "the table")
    tool(stage, "mailbox", "withdraw", str(rows[0]["id"]))
    reply = told(peer, tokens[0])
    equal((code_text(reply.code), reply.payload), ("5.03", b"the request was withdrawn"), "who waited for it")
    equal([row["id"] for row in waiting(stage)], [rows[1]["id"]], "the other one still waits")
    tool(stage, "mailbox", "withdraw", str(rows[0]["id"]), status=4)
    tool(stage, "mailbox", "withdraw", status=1)
    tool(stage, "mailbox", "burn", status=1)
    # another account has nothing to do with it
    other = ["--session", "other"]
    tool(stage, "session", "open", stage.gateway_uri(), "--account", "other", "--secret", SECRET, *other)
    equal(json.loads(tool(stage, "mailbox", "--json", *other)), [], "another account's list")
    tool(stage, "mailbox", "withdraw", str(rows[1]["id"]), *other, status=4)
    tool(stage, "session", "close", *other)
    return tokens[1]


def reads(stage, device, value):
    """What the device has published says so, when it is awake again: a ratio, as SenML has it."""
    until(lambda: tool(stage, "get", f"coap://{device}/brightness").strip() == value, f"the device publishes {value}")


def marked(stage, device, peers):
    """A device that its description says sleeps, whichever worker its clients come to: it listens, so it would answer."""
    def mark(sleeps):
        tool(stage, "put", "-t", "json", f"{stage.gateway_uri()}/devices/{device}/meta", json.dumps({"sleeping": sleeps}))
    uri = f"coap://{device}/setpoint"
    for peer in peers:
        equal(code_text(peer.proxied(GET, uri).code), "2.05", "the device listens")
    mark(True)
    for peer in peers:
        leave(peer, uri, b"21")
    rows = waiting(stage, device)
    equal([row["uri"] for row in rows], [uri] * len(peers), "all of them wait")
    for row in rows:
        tool(stage, "mailbox", "withdraw", str(row["id"]))
    mark(False)
    for peer in peers:
        equal(code_text(peer.proxied(GET, uri).code), "2.05", "the device is asked again")
    return len(rows)


def counter(stage, name):
    text = tool(stage, "get", f"{stage.gateway_uri()}/metrics")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"copse_gateway_{name}_total "))


def test(stage):
    port = free_port()
    silent = next(iter(stage.start_sim("--count", "1", "-k", "meter", "--seed", "5")))
    sleeper = next(iter(stage.start_sim("--count", "1", "-k", "light", "--sleep", "3/1", "--publish", f"127.0.0.1:{port}")))
    awake = next(iter(stage.start_sim("--count", "1", "-k", "thermostat", "--seed", "6")))
    gateway = stage.start_gateway(
        'class "light" {\n\tsleeping = true\n}\nclass "meter" {\n\tsleeping = true\n}\ncollector {\n\tstore = ":memory:"\n}\n'
        f'mailbox {{\n\tlimit = 86400\n}}', mesh="ack_timeout = 2", port=port)
    tool(stage, "session", "open", stage.gateway_uri(), "--account", ACCOUNT, "--secret", SECRET, "--security", "none")
    peer = Peer(stage.gateway_address)
    peer.open_session(stage.token(ACCOUNT))
    last = lists_and_withdraws(stage, peer, silent)
    tool(stage, "put", "--timeout", "600", f"coap://{sleeper}/brightness", "42")
    reads(stage, sleeper, "0.42")
    rows = [line.split()[0] for line in tool(stage, "devices").splitlines()[1:]]
    equal(sorted(rows), sorted([silent, sleeper, awake]), "the list has a device once, though it has published")
    words = next(line.split() for line in tool(stage, "devices").splitlines() if line.startswith(sleeper))
    check({"live", "late", "silent"} & set(words), f"whether readings still come of it: {words}")
    local = free_port()
    stage.coap_client(local, "-m", "post", "-e", stage.token(ACCOUNT), f"{stage.gateway_uri()}/sessions?security=none")
    said = stage.coap_client(local, "-P", stage.gateway_uri(), "-m", "put", "-e", "77", f"coap://{sleeper}/brightness")
    check("4.0" not in said and "5.0" not in said, f"coap-client is answered: {said}")
    reads(stage, sleeper, "0.77")
    token = leave(peer, f"coap://{sleeper}/brightness", b"101")  # which the device refuses
    equal(code_text(told(peer, token).code), "4.00", "the device's answer")
    check(counter(stage, "mail_answered") >= 3, "the gateway counts them")
    peers = [Peer(stage.gateway_address) for _ in range(6)]
    for each in peers:
        each.open_session(stage.token(ACCOUNT))
    withdrawn = marked(stage, awake, peers)
    equal(counter(stage, "mail_withdrawn"), 1 + withdrawn, "and what was withdrawn")
    gateway.stop()
    stage.processes.remove(gateway)
    reply = told(peer, last)
    equal((code_text(reply.code), reply.payload), ("5.03", b"the gateway ends, and the device was not heard before"), "at the end")
    equal(gateway.process.returncode, 0, "the gateway's exit status")


play(test)
