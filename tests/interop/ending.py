#!/usr/bin/env python3
"""The end of a gateway with two workers: what is under way when it is told to end is answered, by the device or with 5.03, wherever client
and device belong; what comes meanwhile is refused; who does not want to wait says so again.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import signal
import socket

import stage as s
from stage import ACK, CON, GET, MAX_AGE, NON, PROXY_URI, Message, Peer, check, code_text, equal, play, until

PAIRS = 12  # of a client and a device: that all of them belong to the same worker happens once in 2^23 runs

LONG = 120  # seconds, which nobody waits for

s.GATEWAY = ["--workers", "2", "--spread", "port"]


class Device:
    """It takes requests, and says at once that they have come; it answers when it is told to."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.asked = {}  # by token

    def look(self):
        while True:
            try:
                data, where = self.socket.recvfrom(2048)
            except BlockingIOError:
                return len(self.asked)
            message = Message.decode(data)
            if message.kind == CON:
                self.socket.sendto(Message(ACK, 0, message.mid).encode(), where)
            if message.code == GET:
                self.asked[message.token] = where

    def answer(self):
        for token, where in self.asked.items():
            self.socket.sendto(Message(NON, s.code("2.05"), int.from_bytes(os.urandom(2), "big"), token, payload=b"late").encode(), where)
        self.asked = {}


def ask(peer, name):
    token = os.urandom(4)
    request = Message(CON, GET, peer.next_mid(), token, [(PROXY_URI, f"coap://{name}/{token.hex()}".encode())])
    peer.send(request)
    return request


def answer_to(peer, request):
    """The answer, acknowledged; whatever else comes is passed over."""
    def look():
        reply = peer.receive(1)
        if reply is None:
            return None
        if reply.kind == CON:
            peer.send(Message(ACK, 0, reply.mid))
        return reply if reply.code and reply.token == request.token else None
    return until(look, "an answer")


def begin(stage, drain):
    """A gateway with a request under way from each client to its device. Returns it, and them."""
    devices = [Device() for _ in range(PAIRS)]
    stage.devices = {}
    for i, device in enumerate(devices):
        stage.add_device(f"slow{i}", device.port)
    gateway = stage.start_gateway(f"proxy {{\n\tdrain = {drain}\n}}")
    peers = [Peer(stage.gateway_address) for _ in devices]
    for i, peer in enumerate(peers):
        peer.open_session(stage.token(f"account {i}"))
    requests = [ask(peer, f"slow{i}") for i, peer in enumerate(peers)]
    until(lambda: all(device.look() for device in devices), "every device is asked")
    check(peers[0].metrics()["copse_gateway_crossed_total"] > 0, "nothing crossed")
    return gateway, devices, peers, requests


def ended(stage, gateway, how):
    equal(until(lambda: [gateway.process.poll()] if not gateway.alive() else None, "the gateway ends")[0], how, "its exit status")
    stage.processes.remove(gateway)


def told_to(gateway):
    gateway.process.send_signal(signal.SIGTERM)
    gateway.says("msg=stopping")


def refused(peers, devices):
    """Each client asks until it is refused: whoever is faster than the signal finds its device busy."""
    for peer, device in zip(peers, devices):
        def look(peer=peer, device=device):
            reply = answer_to(peer, ask(peer, f"slow{devices.index(device)}"))
            equal(code_text(reply.code), "5.03", "a new request")
            return reply.payload == b"the gateway is about to end" and reply
        equal(until(look, "a new request is refused").option(MAX_AGE), b"\x05", "Max-Age of the refusal")


def all_answered(stage):
    gateway, devices, peers, requests = begin(stage, LONG)
    told_to(gateway)
    refused(peers, devices)
    check(gateway.alive(), "it waits for the devices")
    for device in devices:
        device.answer()
    for peer, request in zip(peers, requests):
        reply = answer_to(peer, request)
        equal((code_text(reply.code), reply.payload), ("2.05", b"late"), "what was under way")
    ended(stage, gateway, 0)


def none_answered(stage):
    gateway, _, peers, requests = begin(stage, 0.5)
    told_to(gateway)
    for peer, request in zip(peers, requests):
        reply = answer_to(peer, request)
        equal((code_text(reply.code), reply.payload, reply.option(MAX_AGE)),
              ("5.03", b"the gateway ended before the device answered", b"\x05"), "what was under way for too long")
    ended(stage, gateway, 0)


def at_once(stage):
    gateway, _, peers, _ = begin(stage, LONG)
    told_to(gateway)
    gateway.process.send_signal(signal.SIGTERM)
    ended(stage, gateway, -signal.SIGTERM)
    for peer in peers:
        peer.close()


def test(stage):
    all_answered(stage)
    none_answered(stage)
    at_once(stage)


play(test)
