"""The ETSI CoAP plugtest cases as a strict checker: each function walks through the cases in its name's table, on a client that
sends what such a client sends and judges every field of what comes back. Nothing here knows the server's code.

A case takes a `Client`; those that change what others look at are in a group with a server of its own.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from stage import (ACCEPT, ACK, CON, CONTENT_FORMAT, DELETE, ETAG, GET, IF_MATCH, MAX_AGE, NON, OBSERVE, POST, PUT, RST,  # noqa: E402
                   PATIENCE, URI_QUERY, Failure, Message, Peer, check, code_text, equal, path_options)

IF_NONE_MATCH, LOCATION_PATH, LOCATION_QUERY, BLOCK2, BLOCK1, SIZE2, SIZE1 = 5, 8, 20, 23, 27, 28, 60
LARGE = 1280


def uint(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def number(value):
    return None if value is None else int.from_bytes(value, "big")


def values(message, option):
    return [value for n, value in message.options if n == option]


class Block:
    """The value of a block option."""

    def __init__(self, num, more, size):
        self.num, self.more, self.size = num, more, size

    def encode(self):
        return uint(self.num << 4 | (8 if self.more else 0) | self.size.bit_length() - 5)

    @classmethod
    def of(cls, message, option):
        value = number(message.option(option))
        return None if value is None else cls(value >> 4, bool(value & 8), 16 << (value & 7))


class Client(Peer):
    """One endpoint; keeps what comes unasked, so that notifications and answers may mix."""

    def __init__(self, server):
        super().__init__(server)
        self.pending = []
        self.acknowledged, self.answered = set(), set()  # IDs of messages that we have acknowledged, and of ours that have been answered

    def acknowledge(self, message):
        self.acknowledged.add(message.mid)
        self.send(Message(ACK, 0, message.mid))

    def is_over(self, message):
        """Whether a message is a copy of one that we are done with: a slow machine makes both sides repeat themselves."""
        if message.kind == CON and message.mid in self.acknowledged:
            self.acknowledge(message)
            return True
        return message.kind in (ACK, RST) and message.mid in self.answered

    def take(self, wanted, patience):
        """The next message that `wanted` accepts; others wait for their turn. None after `patience` seconds."""
        end = time.monotonic() + patience
        self.pending = [message for message in self.pending if not self.is_over(message)]
        for i, message in enumerate(self.pending):
            if wanted(message):
                return self.pending.pop(i)
        while True:
            left = end - time.monotonic()
            message = self.receive(left) if left > 0 else None
            if message is None and left <= 0:
                return None
            if message and self.is_over(message):
                continue
            if message and wanted(message):
                return message
            if message:
                self.pending.append(message)

    def ask(self, method, path, kind=CON, token=None, query=(), options=(), payload=b""):
        """Send a request until its answer comes. Returns the answer; a separate one is acknowledged."""
        token = os.urandom(8) if token is None else token
        parts = path_options(path) + [(URI_QUERY, q.encode()) for q in query] + list(options)
        request = Message(kind, method, self.next_mid(), token, parts, payload)
        registers = number(request.option(OBSERVE)) == 0

        def answers(m):  # what an observation under the same token tells meanwhile does not
            return m.code and m.token == token and m.kind != ACK and (registers or m.option(OBSERVE) is None)
        final, pause = time.monotonic() + PATIENCE, 2.5
        if registers and kind == NON:
            pause = PATIENCE / 2  # the answer to another one would be taken for a notification
        while time.monotonic() < final:
            if kind == NON:  # a copy would be a duplicate, which is not answered again
                request.mid = self.next_mid()
            self.send(request)
            end = time.monotonic() + pause
            pause = min(pause * 1.5, max(pause, 20))
            while time.monotonic() < end:
                reply = self.take(lambda m: m.mid == request.mid and m.kind in (ACK, RST) or answers(m), end - time.monotonic())
                if reply is None:
                    break
                if reply.kind == ACK and reply.code == 0:
                    reply = self.take(answers, PATIENCE)
                    check(reply is not None, f"{path}: acknowledged and never answered")
                    reply.separate = True
                if reply.kind == CON:
                    self.acknowledge(reply)
                elif reply.kind != NON:
                    self.answered.add(request.mid)
                if kind == CON and reply.kind == ACK:
                    equal(reply.mid, request.mid, "message ID of the acknowledgement")
                equal(reply.token, token, "token")
                return reply
        raise Failure(f"no answer to {request}")

    def notification(self, token, patience=PATIENCE):
        """The next notification under `token`; a confirmable one is acknowledged. None after `patience` seconds."""
        note = self.take(lambda m: m.code and m.token == token, patience)
        if note and note.kind == CON:
            self.acknowledge(note)
        return note

    def unacknowledged(self, token):
        """The next notification under `token`, of which the other side is told nothing yet."""
        note = self.take(lambda m: m.code and m.token == token, PATIENCE)
        check(note is not None, "a notification")
        return note

    def told_of(self, token, condition, what):
        """The first notification under `token` for which the condition holds, now that a change has been answered; those before it
        were on their way already. One more that does not tell of the change is one too many."""
        for note in [m for m in self.pending if m.code and m.token == token]:
            if not condition(note):
                self.pending.remove(note)
                if note.kind == CON:
                    self.acknowledge(note)
        note = self.notification(token)
        check(note is not None and condition(note), f"{what}: {note}")
        return note

    def hears_no_more(self, token, what):
        """After what was sent last has been taken, nothing comes under `token`. Copies that were on their way before are none of it."""
        check(self.ping(), f"{what}: a ping")
        self.pending = [m for m in self.pending if m.token != token]
        check(self.take(lambda m: m.code and m.token == token, 7) is None, what)


def piggybacked(reply, expected, what):
    equal(code_text(reply.code), expected, what)
    equal(reply.kind, ACK, f"{what}: type")


def content(reply, what, kind=ACK):
    equal(code_text(reply.code), "2.05", what)
    equal(reply.kind, kind, f"{what}: type")
    check(reply.payload, f"{what}: payload")
    check(reply.option(CONTENT_FORMAT) is not None, f"{what}: Content-Format")


TEXT = (CONTENT_FORMAT, b"")


# --- CORE -------------------------------------------------------------------------------------------------------------

def core_methods(client):
    """CC01 to CC08, CC10, CC12, CC15"""
    reply = client.ask(GET, "/test")
    content(reply, "CC01")
    check(len(reply.payload) <= 64, "CC01: at most 64 bytes")
    content(client.ask(GET, "/test", token=b""), "CC12")
    content(client.ask(GET, "/test", kind=NON), "CC05", NON)
    for kind in (CON, NON):
        answer = ACK if kind == CON else NON
        for _ in range(2):
            reply = client.ask(DELETE, "/test", kind=kind)
            equal(code_text(reply.code), "2.02", "CC02, CC06")
            equal(reply.kind, answer, "CC02, CC06: type")
        for method in (PUT, POST):
            reply = client.ask(method, "/test", kind=kind, options=[TEXT], payload=b"TEST")
            check(code_text(reply.code) in ("2.01", "2.04"), "CC03, CC04, CC07, CC08")
            equal(reply.kind, answer, "CC03, CC04, CC07, CC08: type")
        content(client.ask(GET, "/test"), "CC01 after a DELETE")


def core_locations(client):
    """CC18, CC19, CC13, CC14"""
    reply = client.ask(POST, "/test", options=[TEXT], payload=b"TEST")
    piggybacked(reply, "2.01", "CC18")
    equal(values(reply, LOCATION_PATH), [b"location1", b"location2", b"location3"], "CC18: Location-Path")
    reply = client.ask(POST, "/location-query", options=[TEXT], payload=b"TEST")
    piggybacked(reply, "2.01", "CC19")
    equal(values(reply, LOCATION_QUERY), [b"first=1", b"second=2"], "CC19: Location-Query")
    content(client.ask(GET, "/seg1/seg2/seg3"), "CC13")
    content(client.ask(GET, "/query", query=["first=1", "second=2", "third=3"]), "CC14")


def core_separate(client):
    """CC09, CC11, CC16, CC17"""
    reply = client.ask(GET, "/separate")
    content(reply, "CC09", CON)
    check(getattr(reply, "separate", False), "CC09: acknowledged first")
    content(client.ask(GET, "/separate", kind=NON), "CC17", NON)
    # CC16: it is sent until it is acknowledged
    token = os.urandom(8)
    client.send(Message(CON, GET, client.next_mid(), token, path_options("/separate")))
    first, again = client.unacknowledged(token), client.unacknowledged(token)
    equal(again.mid, first.mid, "CC16: the very same message again")
    client.send(Message(ACK, 0, again.mid))
    client.hears_no_more(token, "CC16: not after the acknowledgement")


def core_formats(client):
    """CC20"""
    for accept, start in ((0, b"format"), (41, b"<?xml"), (50, b"{"), (60, b"\xa1")):
        reply = client.ask(GET, "/multi-format", options=[(ACCEPT, uint(accept))])
        content(reply, f"CC20 {accept}")
        equal(number(reply.option(CONTENT_FORMAT)), accept, "CC20: Content-Format")
        check(reply.payload.startswith(start), f"CC20: {reply.payload}")
    piggybacked(client.ask(GET, "/multi-format", options=[(ACCEPT, uint(112))]), "4.06", "CC20")


def core_validation(client):
    """CC21, CC22, twice: the same text is put again"""
    for _ in range(2):
        first = client.ask(GET, "/validate")
        content(first, "CC21")
        etag = first.option(ETAG)
        check(etag, "CC21: ETag")
        reply = client.ask(GET, "/validate", options=[(ETAG, etag)])
        piggybacked(reply, "2.03", "CC21")
        equal(reply.option(ETAG), etag, "CC21: ETag")
        equal(reply.payload, b"", "CC21: payload of a 2.03")
        piggybacked(client.ask(PUT, "/validate", options=[TEXT], payload=b"TEST"), "2.04", "CC21")
        reply = client.ask(GET, "/validate", options=[(ETAG, etag)])
        content(reply, "CC21")
        check(reply.option(ETAG) not in (None, etag), "CC21: another ETag")
        etag = reply.option(ETAG)
        piggybacked(client.ask(PUT, "/validate", options=[(IF_MATCH, etag), TEXT], payload=b"TEST"), "2.04", "CC22")
        newer = client.ask(GET, "/validate").option(ETAG)
        check(newer not in (None, etag), "CC22: another ETag")
        piggybacked(client.ask(PUT, "/validate", options=[TEXT], payload=b"TEST"), "2.04", "CC22")
        piggybacked(client.ask(PUT, "/validate", options=[(IF_MATCH, newer), TEXT], payload=b"TEST"), "4.12", "CC22")


def core_creation(client):
    """CC23, and again: the refusal has removed the resource"""
    for _ in range(2):
        piggybacked(client.ask(PUT, "/create1", options=[(IF_NONE_MATCH, b""), TEXT], payload=b"TEST"), "2.01", "CC23")
        piggybacked(client.ask(PUT, "/create1", options=[(IF_NONE_MATCH, b""), TEXT], payload=b"TEST"), "4.12", "CC23")


def core_ping(client):
    """CC31"""
    check(client.ping(), "CC31")


# --- BLOCK ------------------------------------------------------------------------------------------------------------

def fetch(client, method, path, size, first=None):
    """Read a body block by block; with `size` None the server chooses. Returns body, block size and the last answer."""
    body, num, etag = b"", 0, None
    reply = first
    while True:
        if reply is None:
            options = [(BLOCK2, Block(num, False, size).encode())] if size else []
            reply = client.ask(method, path, options=options)
        check(code_text(reply.code) in ("2.05", "2.04"), f"{path}: {reply}")
        equal(reply.kind, ACK, f"{path}: type")
        block = Block.of(reply, BLOCK2)
        check(block is not None, f"{path}: Block2")
        equal(block.num, num, f"{path}: number of the block")
        if size:
            equal(block.size, size, f"{path}: size of the block")
        size = block.size
        if num > 0:
            equal(reply.option(ETAG), etag, f"{path}: ETag of all blocks")
        etag = reply.option(ETAG)
        check(len(reply.payload) == size or not block.more, f"{path}: a whole block")
        body += reply.payload
        if not block.more:
            return body, size, reply
        num, reply = num + 1, None


def upload(client, method, path, body, size, options=()):
    """Write a body block by block, each under a token of its own. Returns the last answer."""
    for num in range((len(body) + size - 1) // size):
        piece = body[num * size:(num + 1) * size]
        more = (num + 1) * size < len(body)
        reply = client.ask(method, path, options=[TEXT, (BLOCK1, Block(num, more, size).encode()), (SIZE1, uint(len(body))),
                                                  *options], payload=piece)
        block = Block.of(reply, BLOCK1)
        check(block is not None, f"{path}: Block1 in {reply}")
        equal((block.num, block.size, block.more), (num, size, more), f"{path}: Block1")
        if more:
            equal(code_text(reply.code), "2.31", f"{path}: a piece")
    return reply


def block_reading(client):
    """CB01, CB02, CB06"""
    bodies = []
    for size in (64, 16, None, 1024, 512):
        body, _, _ = fetch(client, GET, "/large", size)
        equal(len(body), LARGE, "CB01, CB02, CB06: length")
        bodies.append(body)
    check(all(body == bodies[0] for body in bodies), "CB01: the same body in every size")


BODY = bytes(range(97, 123)) * 50


def block_writing(client):
    """CB03, CB04, CB05"""
    body = BODY[:LARGE]
    reply = upload(client, PUT, "/large-update", body, 64)
    piggybacked(reply, "2.04", "CB03")
    equal(fetch(client, GET, "/large-update", 64)[0], body, "CB03: read back")
    reply = upload(client, POST, "/large-create", body, 64)
    piggybacked(reply, "2.01", "CB04")
    location = values(reply, LOCATION_PATH)
    check(location, "CB04: Location-Path")
    where = "/" + "/".join(segment.decode() for segment in location)
    equal(fetch(client, GET, where, 256)[0], body, "CB04: read back")
    for size in (64, 1024):
        reply = upload(client, POST, "/large-post", body, size, [(BLOCK2, Block(0, False, size).encode())])
        piggybacked(reply, "2.04", "CB05")
        check(reply.option(CONTENT_FORMAT) is not None, "CB05: Content-Format")
        equal(fetch(client, POST, "/large-post", size, reply)[0], body.upper(), "CB05: upper case")


# --- LINK -------------------------------------------------------------------------------------------------------------

def links(client, *query):
    reply = client.ask(GET, "/.well-known/core", query=query)
    equal(code_text(reply.code), "2.05", f"links ?{query}")
    equal(number(reply.option(CONTENT_FORMAT)), 40, f"links ?{query}: Content-Format")
    body = reply.payload
    if Block.of(reply, BLOCK2) and Block.of(reply, BLOCK2).more:
        num, size = 1, Block.of(reply, BLOCK2).size
        while True:
            reply = client.ask(GET, "/.well-known/core", query=query, options=[(BLOCK2, Block(num, False, size).encode())])
            body += reply.payload
            if not Block.of(reply, BLOCK2).more:
                break
            num += 1
    return {part.split(">")[0] for part in body.decode().split("<")[1:]}


def link_filters(client):
    """CL01 to CL09"""
    everything = links(client)
    check({"/test", "/obs", "/large", "/link1", "/path"} <= everything, "CL01")
    equal(links(client, "rt=Type1"), {"/link1", "/link3"}, "CL02")
    check({"/link1", "/link2", "/link3", "/large", "/obs"} <= links(client, "rt=*"), "CL03")
    check("/test" not in links(client, "rt=*"), "CL03: only what has one")
    equal(links(client, "rt=Type2"), {"/link1", "/link2"}, "CL04")
    equal(links(client, "if=If*"), {"/link1", "/link2"}, "CL05")
    equal(links(client, "sz=*"), {"/large", "/large-update", "/large-create", "/large-post"}, "CL06")
    equal(links(client, "href=/link1"), {"/link1"}, "CL07")
    equal(links(client, "href=/link*"), {"/link1", "/link2", "/link3"}, "CL08")
    equal(links(client, "rt=nobody"), set(), "links, none")
    equal(links(client, "ct=40"), {"/path"}, "CL09")
    reply = client.ask(GET, "/path")
    content(reply, "CL09")
    equal(number(reply.option(CONTENT_FORMAT)), 40, "CL09: Content-Format")
    check(b"</path/sub1>" in reply.payload, "CL09")
    content(client.ask(GET, "/path/sub1"), "CL09")


# --- OBS --------------------------------------------------------------------------------------------------------------

def register(client, path="/obs", kind=CON, token=None):
    token = os.urandom(8) if token is None else token
    reply = client.ask(GET, path, kind=kind, token=token, options=[(OBSERVE, b"")])
    content(reply, "registration", ACK if kind == CON else NON)
    check(reply.option(OBSERVE) is not None, "registration: Observe")
    return token, reply


def newer(before, after):
    """RFC 7641 §3.4, for notifications close to each other"""
    a, b = number(before.option(OBSERVE)), number(after.option(OBSERVE))
    check(b is not None, f"Observe in {after}")
    check(a < b and b - a < 1 << 23 or a > b and a - b > 1 << 23, f"Observe {b} after {a}")


def next_note(client, token, before, kind, what):
    age = number(before.option(MAX_AGE))
    check(age is not None, f"{what}: Max-Age")
    note = client.notification(token)  # within Max-Age + 1 s, if the machine has the time
    check(note is not None, f"{what}: a notification")
    content(note, what, kind)
    newer(before, note)
    return note


def observe_con(client):
    """CO01, CO12, CO10"""
    token, last = register(client)
    for _ in range(2):
        last = next_note(client, token, last, CON, "CO01")
    plain = client.ask(GET, "/obs")
    content(plain, "CO10")
    check(plain.option(OBSERVE) is None, "CO10: no Observe")
    last = next_note(client, token, last, CON, "CO10: goes on")
    reply = client.ask(GET, "/obs", token=token, options=[(OBSERVE, b"\1")])
    content(reply, "CO12")
    check(reply.option(OBSERVE) is None, "CO12: no Observe")
    client.hears_no_more(token, "CO12: no more")


def observe_non(client):
    """CO02, CO05"""
    token, last = register(client, "/obs-non", NON)
    for _ in range(3):
        last = next_note(client, token, last, NON, "CO02")
    note = client.unacknowledged(token)
    client.send(Message(RST, 0, note.mid))
    client.hears_no_more(token, "CO02: no more after a Reset")


def observe_lost(client):
    """CO04"""
    token, last = register(client)
    for _ in range(3):
        last = next_note(client, token, last, CON, "CO04")
    piggybacked(client.ask(POST, "/obs-reset", options=[TEXT], payload=b"sesame"), "2.04", "CO04")
    client.hears_no_more(token, "CO04: dropped silently")
    _, last = register(client, token=token)
    next_note(client, token, last, CON, "CO04: again")
    note = client.unacknowledged(token)
    client.send(Message(RST, 0, note.mid))
    client.hears_no_more(token, "CO04: no more after a Reset")


def observe_rejected(client):
    """CO06"""
    token, _ = register(client)
    note = client.unacknowledged(token)
    equal(note.kind, CON, "CO06: type")
    client.send(Message(RST, 0, note.mid))
    client.hears_no_more(token, "CO06: no more after a Reset")


def observe_deleted(client):
    """CO07"""
    token, last = register(client)
    next_note(client, token, last, CON, "CO07")
    piggybacked(client.ask(DELETE, "/obs"), "2.02", "CO07")
    note = client.told_of(token, lambda m: code_text(m.code) == "4.04", "CO07")
    check(note.option(OBSERVE) is None, "CO07: no Observe")
    client.hears_no_more(token, "CO07: no more")
    register(client)  # it goes on existing


def observe_other_format(client):
    """CO08"""
    token, last = register(client)
    next_note(client, token, last, CON, "CO08")
    piggybacked(client.ask(PUT, "/obs", options=[(CONTENT_FORMAT, b"\1")], payload=b"x"), "2.04", "CO08")
    note = client.told_of(token, lambda m: code_text(m.code) == "4.06", "CO08")
    check(note.option(OBSERVE) is None, "CO08: no Observe")
    _, reply = register(client)
    equal(number(reply.option(CONTENT_FORMAT)), 0, "CO08: text again")


def observe_updated(client):
    """CO09"""
    token, last = register(client)
    next_note(client, token, last, CON, "CO09")
    piggybacked(client.ask(PUT, "/obs", options=[TEXT], payload=b"New value"), "2.04", "CO09")
    note = client.told_of(token, lambda m: m.payload == b"New value", "CO09: the very next one")
    content(note, "CO09", CON)
    check(note.option(OBSERVE) is not None, "CO09: Observe")


CORE = (core_methods, core_locations, core_separate, core_formats, core_validation, core_creation, core_ping)
BLOCK = (block_reading, block_writing)
LINK = (link_filters,)
OBS = (observe_con, observe_non, observe_lost, observe_rejected, observe_deleted, observe_other_format, observe_updated)
