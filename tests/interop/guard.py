#!/usr/bin/env python3
"""An address that may be forged: whatever is sent from it before it has a session or has repeated an Echo, it gets at most three bytes
for each of its own. Clients that do not know Echo can open a session all the same, and then get everything.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re

from stage import (ACCEPT, ACK, CON, DELETE, ECHO, GET, NON, OBSERVE, PATIENCE, POST, PROXY_SCHEME, PROXY_URI, PUT, RST, URI_HOST, URI_QUERY, Message,
                   Peer, check, code_text, equal, path_options, play, until)

BLOCK1, BLOCK2, SIZE1 = 27, 23, 60
PATHS = ("", "/x", "/.well-known/core", "/help", "/metrics", "/devices", "/devices/0024befffe804ff1", "/devices/0024befffe804ff1/t",
         "/devices/0024befffe804ff1/meta", "/types/temperature", "/groups/a", "/store", "/store/a", "/sessions", "/echo", "/publish")


def requests():
    """Options and payloads of all that one can ask for without a session."""
    for path in PATHS:
        yield path_options(path), b""
        yield path_options(path), b"7"
        yield path_options(path) + [(OBSERVE, b"")], b""
        yield path_options(path) + [(BLOCK2, b"\x06")], b""
        yield path_options(path) + [(BLOCK1, b"\x08")], b"x" * 16
        yield path_options(path) + [(ACCEPT, b"\x32")], b""
        yield path_options(path) + [(URI_QUERY, b"a=b"), (SIZE1, b"\xff\xff\xff")], b""
        yield path_options(path) + [(65001, b"")], b""
        yield path_options(path) + [(ECHO, b"12345678abcd")], b""
        yield [(PROXY_URI, b"coap://x" + path.encode())], b""
        yield [(PROXY_SCHEME, b"coap"), (URI_HOST, b"x")] + path_options(path), b""
    for uri in (b"a", b"coap:", b"http://x/", b"coaps://x/", b"coap://[ff02::1]/", b"coap://127.0.0.1/"):
        yield [(PROXY_URI, uri)], b""


def received(peer, confirmable=None):
    """All that has come when `confirmable`, the ID of a message of ours, is acknowledged or reset, and then two pings, one after the
    other, are answered. A ping may overtake the answer to what was sent before, by far when that is another worker's."""
    found = []
    while confirmable is not None and not any(data[0] >> 4 & 3 in (ACK, RST) and data[2:4] == confirmable for data in found):
        found.append(peer.socket.recv(65536))
    for _ in range(2):
        mid = peer.next_mid()
        pong = bytes([0x70, 0, mid >> 8, mid & 255])
        peer.send(Message(CON, 0, mid))
        while (data := peer.socket.recv(65536)) != pong:
            found.append(data)
    return found


def everything(stage):
    worst, count, asked = 0.0, 0, []
    for options, payload in requests():
        for method in (GET, POST, PUT, DELETE, 5, 7, 31):
            for kind, token in ((CON, b""), (NON, b"12345678")):
                peer = Peer(stage.gateway_address)
                peer.socket.settimeout(PATIENCE)
                data = Message(kind, method, peer.next_mid(), token, options, payload).encode()
                peer.send(data)
                came = received(peer, data[2:4] if kind == CON else None)
                port = peer.socket.getsockname()[1]
                strange = [one.hex() for one in came if one[0] >> 4 & 3 == ACK and one[2:4] != data[2:4]]
                check(not strange, f"{data.hex()} from port {port} brought what others asked for: {strange}; before it {asked[-40:]}")
                asked.append((port, data.hex()))
                answer = b"".join(came)
                check(len(answer) <= 3 * len(data), f"{len(answer)} bytes for {len(data)}: {data.hex()} -> {answer.hex()}")
                worst = max(worst, len(answer) / len(data))
                count += 1
                peer.close()
    print(f"{count} requests, at worst {worst:.2f} bytes for one")
    check(worst > 1, "something was answered")


def copies(stage):
    """A short message with the ID of a long one does not get the long one's answer."""
    for token in (b"t", b"12345678"):
        peer = Peer(stage.gateway_address)
        peer.socket.settimeout(PATIENCE)
        mid = peer.next_mid()
        # it may come by way of another worker, and later than two pings take
        reply = peer.answer(Message(CON, GET, mid, token, path_options("/help") + [(65002, b"x" * 900)]))
        check(len(reply.payload) > 500, f"GET /help in a long request: {reply}")
        sent = came = 0  # in all: an answer may be late, and be counted with the next one's
        for short in (Message(CON, GET, mid, token), Message(CON, GET, mid), Message(CON, POST, mid, token)):
            peer.send(short)
            sent += len(short.encode())
            came += len(b"".join(received(peer)))
            check(came <= 3 * sent, f"{came} bytes for {sent}, the last {short}")
        peer.close()


def with_echo(stage):
    peer = Peer(stage.gateway_address)
    question = path_options("/help")
    challenge = peer.answer(Message(CON, GET, peer.next_mid(), b"a", question))
    equal(code_text(challenge.code), "4.01", "GET /help from an address that may be forged")
    echo = challenge.option(ECHO)
    check(echo and not challenge.payload, f"the challenge: {challenge}")
    thief = Peer(stage.gateway_address)
    stolen = thief.answer(Message(CON, GET, thief.next_mid(), b"a", question + [(ECHO, echo)]))
    equal(code_text(stolen.code), "4.01", "an Echo that another address was given")
    reply = peer.answer(Message(CON, GET, peer.next_mid(), b"b", question + [(ECHO, echo)]))
    equal(code_text(reply.code), "2.05", "GET /help with the Echo")
    equal(code_text(peer.answer(Message(CON, GET, peer.next_mid(), b"c", question)).code), "2.05", "once is enough")


def without_echo(stage):
    """Who does not know Echo opens a session, and is verified by it."""
    peer = Peer(stage.gateway_address)

    def opened():  # so many tokens are checked in a second, and no more
        answer = peer.answer(Message(CON, POST, peer.next_mid(), os.urandom(2), path_options("/sessions") + [(URI_QUERY, b"security=none")],
                                     stage.token().encode()))
        return answer if code_text(answer.code) != "5.03" else None
    reply = until(opened, "the gateway looks at the token")
    equal(code_text(reply.code), "2.01", "POST /sessions without Echo")
    check(b"account: tester" in reply.payload, "the answer is whole")
    for path in ("/help", "/devices", "/metrics", "/.well-known/core"):
        reply = peer.answer(Message(CON, GET, peer.next_mid(), os.urandom(2), path_options(path)))
        equal(code_text(reply.code), "2.05", f"GET {path} with a session")
    text = peer.answer(Message(CON, GET, peer.next_mid(), os.urandom(2), path_options("/metrics")))
    check(re.search(rb"copse_gateway_sessions_opened_total 1\b", text.payload), "metrics")
    # a sensor that only sends
    sensor = Peer(stage.gateway_address)
    equal(code_text(sensor.answer(Message(CON, POST, sensor.next_mid(), os.urandom(2), path_options("/publish"),
                                          b'[{"n":"urn:dev:mac:0024befffe804ff1_t","v":1}]')).code)[0] in "24", True, "publishing")


def test(stage):
    gateway = stage.start_gateway(f'collector {{\n\tstore = "{stage.path("guard.db")}"\n\topen = true\n}}')
    everything(stage)
    copies(stage)
    with_echo(stage)
    without_echo(stage)
    # forged acknowledgements and Resets end nothing
    peer = Peer(stage.gateway_address)
    for kind in (ACK, RST):
        peer.send(Message(kind, 0, 1))
    check(peer.ping() and gateway.alive(), "the gateway is up")


play(test)
