#!/usr/bin/env python3
"""Bad input to the real daemon: every prefix of every vector, datagrams of all sizes up to the largest, bodies that are no token. The
daemon stays up, answers, and forgets nothing.

SPDX-License-Identifier: BSD-2-Clause
"""
import glob
import os
import random
import re

from stage import CON, DELETE, GET, HERE, POST, PUT, RST, Message, Peer, check, code_text, equal, path_options, play, until

VECTORS = os.path.join(HERE, "..", "vectors")


def vectors():
    """The bytes of each vector: pairs of hexadecimal digits, with comments behind '#'."""
    for path in sorted(glob.glob(os.path.join(VECTORS, "**", "*.hex"), recursive=True)):
        with open(path, encoding="utf-8") as file:
            digits = "".join(re.sub(r"[#;].*", "", line) for line in file)
        yield os.path.basename(path), bytes.fromhex("".join(digits.split()))


def drain(peer):
    while peer.receive(0.001) is not None:
        pass


def every_prefix(stage, peer, witness):
    count = 0
    for name, data in vectors():
        for length in range(len(data) + 1):
            peer.send(data[:length])
            count += 1
            if count % 64 == 0:
                drain(peer)
        check(witness.ping(), f"the gateway answers a ping after every prefix of {name}")
    print(f"{count} prefixes")
    check(count > 100, "there are vectors")


def large_datagrams(peer, witness):
    """65,507 bytes are the most that UDP over IPv4 carries."""
    for size in (1153, 2049, 8192, 60000, 65507):
        peer.send(Message(CON, PUT, peer.next_mid(), b"t", path_options("/echo")).encode() + b"\xff" + b"x" * (size - 13))
        peer.send(b"\x40" * size)
        peer.send(b"\xff" * size)
        peer.send(bytes(size))
        drain(peer)
        check(witness.ping(), f"the gateway answers a ping after {size} bytes")


def noise(peer, witness, seed):
    chance = random.Random(seed)
    good = Message(CON, POST, 1, b"token", path_options("/sessions"), b"x" * 60).encode()
    for i in range(3000):
        if i % 2:
            data = bytearray(good)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        else:
            data = chance.randbytes(chance.randint(0, 80))
        peer.send(bytes(data))
        if i % 64 == 0:
            drain(peer)
    check(witness.ping(), "the gateway answers a ping after noise")


def no_tokens(peer, token):
    """Bodies of POST /sessions that are no token: 4.01 or 4.00 with a text that says nothing about keys."""
    header, claims, signature = token.split(".")
    bodies = [b"", b"not a token", b"a.b.c", b"..", b"." * 1000, b"\x00" * 40, b"\xff\xfe", b"x" * 700, b"{}",
              f"{header}.{claims}.".encode(), f"{header}.{claims}".encode(), f"{header}.{claims}.{signature[:-2]}".encode(),
              f"{header}.{claims}.{signature[::-1]}".encode(), f"{claims}.{claims}.{signature}".encode(),
              f"eyJhbGciOiJub25lIn0.{claims}.".encode(), f"eyJhbGciOiJub25lIn0.{claims}.{signature}".encode()]
    for body in bodies:

        def looked_at(body=body):  # so many tokens are checked in a second, and no more
            answer = peer.request(POST, "/sessions", body, ["security=none"])
            return answer if code_text(answer.code) != "5.03" else None
        reply = until(looked_at, "the gateway looks at a token")
        check(code_text(reply.code) in ("4.00", "4.01"), f"POST /sessions {body[:40]!r}: {reply}")
        text = reply.payload.decode("utf-8")
        check(not re.search(r"secret|HS256|RS256|kid|signature", text, re.I), f"the diagnostic leaks: {text!r}")
        equal(code_text(peer.proxied(GET, "coap://00135000deadbeef/x").code), "4.01", "no session came of it")


def bad_requests(peer):
    """What a session may send and no device shall see."""
    for uri, expected in (("http://host/x", "5.05"), ("coap://", "4.00"), ("coap", "4.00"), ("coap://[::1", "4.00"),
                          ("coap://%zz/x", "4.00"), ("coap://a" + "b" * 400 + "/x", "4.0"), ("coaps://00135000deadbeef/x", "5.05"),
                          ("coap://127.0.0.1/x", "4.0"), ("coap://nowhere/x", "4.04"), ("", "4.0"), ("coap://host/x#f", "4.00")):
        reply = peer.proxied(GET, uri)
        check(code_text(reply.code).startswith(expected), f"GET {uri[:60]!r}: {reply}, expected {expected}")
        reply.payload.decode("utf-8")
    # An unknown critical option: 4.02, by CON; a Reset for a NON is allowed, an answer too.
    reply = peer.request(GET, "/echo", options=[(65001, b"x")])
    equal(code_text(reply.code), "4.02", "an unknown critical option")
    reply = peer.answer(Message(CON, 0xE1, peer.next_mid(), b"t"))
    equal(reply.kind, RST, "a reserved class of codes")


def test(stage):
    stage.start_sim("--count", "1", "--kinds", "light")
    gateway = stage.start_gateway()
    bad, witness = Peer(stage.gateway_address), Peer(stage.gateway_address)
    every_prefix(stage, bad, witness)
    large_datagrams(bad, witness)
    noise(bad, witness, 1)
    token = stage.token()
    no_tokens(Peer(stage.gateway_address), token)

    # The same from an address that has a session, and then an honest request.
    member = Peer(stage.gateway_address)
    member.open_session(token)
    every_prefix(stage, member, witness)
    noise(member, witness, 2)
    member.open_session(token)
    bad_requests(member)
    light = stage.device_of("light")
    equal(code_text(member.proxied(PUT, f"coap://{light}/brightness", b"42").code), "2.04", "PUT through the gateway")
    equal(member.proxied(GET, f"coap://{light}/brightness").payload, b"42", "GET through the gateway")
    # And the devices themselves.
    _, address, port = stage.devices[light]
    device = Peer((address, port))
    every_prefix(stage, device, device)
    large_datagrams(device, device)
    equal(device.request(GET, "/brightness").payload, b"42", "the device knows nothing of all this")
    equal(code_text(device.request(DELETE, "/brightness").code), "4.05", "DELETE /brightness")
    check(gateway.alive(), "the gateway is up")


play(test)
