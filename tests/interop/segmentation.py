#!/usr/bin/env python3
"""A burst of requests for one device: the gateway may hand them to the system as one message to be cut (UDP_SEGMENT). The device gets
each by itself, every client its own answer, and the configuration can turn it off.

SPDX-License-Identifier: BSD-2-Clause
"""
import re
import select
import socket

from stage import GET, NON, PROXY_URI, URI_PATH, Message, Peer, check, equal, play, until

BURST = 60


class Device:
    """Answers each request with the path that it asks for."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.mid, self.asked = 0, 0

    def serve(self):
        """Whether there was anything to be answered."""
        if not select.select([self.socket], [], [], 0)[0]:
            return False
        data, whom = self.socket.recvfrom(65536)
        request = Message.decode(data)
        check(len(data) < 60, f"several messages in one datagram: {data.hex()}")
        self.mid, self.asked = (self.mid + 1) & 0xFFFF, self.asked + 1
        path = [value for number, value in request.options if number == URI_PATH]
        self.socket.sendto(Message(NON, 0x45, self.mid, request.token, [], b"/".join(path)).encode(), whom)
        return True


def start(stage, device, extra):
    stage.start_gateway(f"""{extra}
class "wide" {{\n\tcache = off\n\tconcurrent = 1000\n\tqueue = 64\n}}
device "one" {{\n\taddress = "127.0.0.1"\n\tport = {device.port}\n\tclass = "wide"\n}}""", mesh="nstart = 1000")
    peer = Peer(stage.gateway_address)
    peer.open_session(stage.token())
    return peer


def runs(peer):
    """How many have left, of all sockets."""
    return sum(int(n) for n in re.findall(r"^copse_transport_sent_runs_total\{.*\} (\d+)$", peer.metrics_text(), re.M))


def burst(peer, device, begin):
    """So many requests at once; each gets its own answer."""
    wanted = {}
    for i in range(BURST):
        token, path = bytes([1, i]), f"x{begin + i}"
        wanted[token] = path.encode()
        peer.send(Message(NON, GET, peer.next_mid(), token, [(PROXY_URI, f"coap://one/{path}".encode())]))

    def answered():
        while device.serve():
            pass
        while select.select([peer.socket], [], [], 0)[0]:
            reply = Message.decode(peer.socket.recv(65536))
            equal(reply.payload, wanted.pop(reply.token, None), f"the answer to {reply.token.hex()}")
        return not wanted
    until(answered, f"all of a burst is answered, not {wanted}")


def test(stage):
    device = Device()
    peer = start(stage, device, "")
    bursts = iter(range(1000, 10000 - BURST, BURST))
    until(lambda: burst(peer, device, next(bursts)) or runs(peer), "some of a burst leave as one")
    check(device.asked % BURST == 0, f"{device.asked} requests at the device: none is repeated")
    peer = start(stage, device, "segmentation = false")
    for begin in range(1000, 1000 + 20 * BURST, BURST):
        burst(peer, device, begin)
    equal(runs(peer), 0, "turned off")


play(test)
