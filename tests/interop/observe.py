#!/usr/bin/env python3
"""Shared observations with real daemons: coap-client and raw clients observe devices through the gateway. Devices are killed and started again, the gateway too; many observers, a silent one and a forging one.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import signal

from stage import ACK, CON, GET, NON, OBSERVE, PROXY_URI, PUT, RST, Message, Peer, check, code_text, equal, free_port, play, until


class Observer:
    """A raw client that observes, and acknowledges what it is sent unless told not to."""

    def __init__(self, stage, uri, account, kind=CON):
        self.peer = Peer(stage.gateway_address)
        self.peer.open_session(stage.token(account))
        self.uri, self.token, self.kind, self.answers = uri, os.urandom(4), kind, True
        self.states, self.sequence = [], -1
        self.ask(b"")
        until(lambda: self.look() and self.states, "the answer to the registration")

    def ask(self, value):
        self.peer.send(Message(self.kind, GET, self.peer.next_mid(), self.token, [(OBSERVE, value), (PROXY_URI, self.uri.encode())]))

    def look(self, patience=0.05):
        """Take what has come. Returns whether something has."""
        message = self.peer.receive(patience)
        if message is None:
            return False
        if message.kind == CON and self.answers:
            self.peer.send(Message(ACK, 0, message.mid))
        if message.code == 0 or message.token != self.token:
            return True
        number = message.option(OBSERVE)
        if number is not None and int.from_bytes(number, "big") <= self.sequence:
            return True  # sent again, or overtaken (RFC 7641 §3.4)
        self.sequence = int.from_bytes(number, "big") if number is not None else self.sequence
        self.states.append(message)
        return True

    def hears(self, condition, what):
        def heard():
            while self.look():
                pass
            return any(condition(state) for state in self.states)
        until(heard, what)

    def hears_text(self, text):
        self.hears(lambda state: state.payload == text, f"the observer hears of {text}")


READERS = {}  # who reads /metrics, by gateway


def metrics(stage):
    peer = READERS.get(stage.gateway_address)
    if not peer:
        peer = READERS[stage.gateway_address] = Peer(stage.gateway_address)
        peer.open_session(stage.token("reader"))
    text, block = b"", 0
    while True:  # in blocks of 1024
        reply = peer.request(GET, "/metrics", options=[(23, (block << 4 | 6).to_bytes(3, "big").lstrip(b"\0"))])
        text += reply.payload
        value = reply.option(23)
        if value is None or not int.from_bytes(value, "big") & 8:
            break
        block += 1
    return dict(line.split(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))


def count(stage, name):
    return int(metrics(stage)[f"copse_gateway_{name}"])


def put(writer, uri, value):
    """Write; a serialized device may be busy for a moment."""
    def written():
        code = code_text(writer.proxied(PUT, uri, value).code)
        check(code in ("2.04", "5.03"), f"PUT: {code}")
        return code == "2.04"
    until(written, "the device takes a PUT")


def shared(stage, light):
    """Thirty observers, one registration; every one hears of each change; they leave, and nothing is left."""
    uri = f"coap://{light}/brightness"
    observers = [Observer(stage, uri, f"observer {i}", CON if i % 2 else NON) for i in range(30)]
    equal(count(stage, "observations"), 1, "registrations at the device")
    equal(count(stage, "observers"), 30, "observers")
    writer = Peer(stage.gateway_address)
    writer.open_session(stage.token("writer"))
    for level in (b"11", b"22", b"33"):
        put(writer, uri, level)
        for observer in observers:
            observer.hears_text(level)
    for i, observer in enumerate(observers):
        state = observer.states[-1]
        equal(state.kind, CON if i % 2 else NON, "as it registered")

    # A Reset from elsewhere, and an acknowledgement, mean nothing.
    forger = Peer(stage.gateway_address)
    for observer in observers[:10]:
        forger.send(Message(RST, 0, observer.states[-1].mid))
        forger.send(Message(ACK, 0, observer.states[-1].mid))
    equal(count(stage, "observers"), 30, "observers after forged Resets")

    for i, observer in enumerate(observers):
        if i % 3 == 0:
            observer.ask(b"\x01")
        elif i % 3 == 1:
            observer.peer.send(Message(RST, 0, observer.states[-1].mid))
    for i, observer in enumerate(observers):
        if i % 3 == 1 and observer.kind == CON:  # acknowledged before: the next one is rejected
            observer.answers = False
    put(writer, uri, b"44")
    for i, observer in enumerate(observers):
        if i % 3 == 1 and observer.kind == CON:
            observer.hears_text(b"44")
            observer.peer.send(Message(RST, 0, observer.states[-1].mid))
        if i % 3 == 2:
            observer.hears_text(b"44")
            observer.ask(b"\x01")
    def all_gone():
        for observer in observers:
            while observer.look(0.001):
                pass
        return count(stage, "observers") == 0 and count(stage, "observations") == 0
    until(all_gone, "all have left, and the device is told")
    check(count(stage, "observe_cancelled_total") >= 1, "the registration was cancelled")
    until(lambda: all_gone() and count(stage, "requests") == 0, "no request is left")
    for observer in observers:
        observer.peer.close()


def foreign_clients(stage, light):
    """coap-client observes, and cancels when it ends."""
    uri = f"coap://{light}/brightness"
    port = free_port()
    gateway = stage.gateway_uri()
    stage.coap_client(port, "-m", "post", "-e", stage.token("libcoap"), f"{gateway}/sessions?security=none")
    observing = stage.start("coap-client", [stage.foreign("coap-client"), "-B", "900", "-p", str(port), "-P", gateway, "-s", "900", "-w",
                                            "-m", "get", uri])
    observing.says("^44$")
    writer = Peer(stage.gateway_address)
    writer.open_session(stage.token("writer"))
    for level in ("55", "66"):
        put(writer, uri, level.encode())
        observing.says(f"^{level}$")
    observing.stop(signal.SIGINT)
    stage.processes.remove(observing)
    until(lambda: count(stage, "observers") == 0, "coap-client has cancelled")


def start_device(stage):
    port = free_port()
    command = [stage.program("copse-sim"), "--count", "1", "--kinds", "light", "--bind", "127.0.0.1", "--port", str(port), "--seed", "77"]
    first = stage.start("copse-sim", command)
    first.says("msg=listening")
    return port, command, first


def test(stage):
    stage.foreign("coap-client")
    stage.start_sim("--count", "2", "--kinds", "light", "--seed", "3")
    port, command, device = start_device(stage)
    stage.add_device("00135000000000aa", port)
    more = "sessions {\n\tper_account = 100\n}\ntoken {\n\trate = 100000\n}\n"
    gateway = stage.start_gateway(more)
    light = next(name for name, row in stage.devices.items() if row[0] == "light")
    shared(stage, light)
    foreign_clients(stage, light)

    # A device killed in the middle of an observation: 5.04 for its observers when its state is stale or it is asked again.
    uri = "coap://00135000000000aa/brightness"
    left = Observer(stage, uri, "left")
    device.stop(signal.SIGKILL)
    stage.processes.remove(device)
    other = Peer(stage.gateway_address)
    other.open_session(stage.token("other"))
    other.send(Message(CON, GET, other.next_mid(), b"late", [(OBSERVE, b""), (PROXY_URI, uri.encode())]))
    left.hears(lambda state: code_text(state.code) in ("5.04", "5.02"), "the end of the observation")
    until(lambda: count(stage, "observers") == 0, "no observers of a dead device")
    again = stage.start("copse-sim", command)
    again.says("msg=listening")
    left = Observer(stage, uri, "back")
    equal(code_text(left.states[-1].code), "2.05", "it is observed again")

    # The gateway is stopped and started: observers begin anew, with a new session.
    gateway.stop()
    stage.processes.remove(gateway)
    stage.start_gateway(more + "clients {\n\tack_timeout = 1\n\tmax_retransmit = 2\n}")
    anew = Observer(stage, f"coap://{light}/brightness", "anew")
    equal(code_text(anew.states[-1].code), "2.05", "observed through the new gateway")
    check(anew.states[-1].option(OBSERVE) is not None, "with Observe")

    # One that never acknowledges is dropped; this gateway does not wait for long.
    anew.answers = False
    writer = Peer(stage.gateway_address)
    writer.open_session(stage.token("writer"))
    put(writer, f"coap://{light}/brightness", b"12")
    until(lambda: count(stage, "observers") == 0, "the silent one is dropped")
    equal(count(stage, "observers_dead_total"), 1, "silent observers")


play(test)
