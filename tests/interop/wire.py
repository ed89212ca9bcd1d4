#!/usr/bin/env python3
"""tshark judges what the gateway, the client and the devices put on the wire: nothing malformed, a confirmable proxy request is
acknowledged at once by an empty message, the answer follows confirmable and is acknowledged.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import socket
import struct
import threading
import time

from stage import ACK, CON, GET, PUT, Failure, Message, Peer, Skip, check, equal, play, until

PACKET_OUTGOING, SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE = 4, 263, 6, 33


class Capture:
    """The UDP datagrams from and to some addresses on lo, each once, in a file for tshark. Others may use lo meanwhile."""

    def __init__(self, path, addresses):
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind(("lo", 0))
        except PermissionError as error:
            raise Skip("capturing on lo takes root") from error
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        except PermissionError:
            pass
        self.socket.settimeout(0.1)
        self.frames, self.done, self.lost = [], False, 0
        self.path, self.addresses = path, addresses
        self.thread = threading.Thread(target=self.collect)
        self.thread.start()

    def collect(self):
        while not self.done:
            try:
                frame, address = self.socket.recvfrom(65600)
            except socket.timeout:
                continue
            if address[2] == PACKET_OUTGOING or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
                continue
            at = 14 + 4 * (frame[14] & 15)
            ends = [(socket.inet_ntoa(frame[26 + 4 * i:30 + 4 * i]), int.from_bytes(frame[at + 2 * i:at + 2 * i + 2], "big")) for i in range(2)]
            if any(end in self.addresses for end in ends):
                self.frames.append((time.time(), frame, ends, frame[at + 8:]))

    def messages(self, source, destination):
        """What one end has sent to the other so far."""
        return [Message.decode(data) for _, _, ends, data in list(self.frames) if ends == [source, destination]]

    def lost_any(self):
        """Whether the system has thrown frames away, of whomever; its count begins anew with each look."""
        self.lost += struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
        return self.lost > 0

    def finish(self):
        """Write the file. Returns all ports in it, and whether frames are missing."""
        self.done = True
        self.thread.join()
        lost = self.lost_any()
        self.socket.close()
        with open(self.path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for when, frame, _, _ in self.frames:
                file.write(struct.pack("<IIII", int(when), int(when % 1 * 1e6), len(frame), len(frame)) + frame)
        return {port for _, _, ends, _ in self.frames for _, port in ends}, lost


def dissect(stage, path, ports):
    command = [stage.foreign("tshark"), "-r", path, "-T", "json", "-Y", "coap", "-o", "udp.check_checksum:FALSE"]
    for port in sorted(ports):  # all of them: the lower of two decides, and may be some other protocol's
        command += ["-d", f"udp.port=={port},coap"]
    done = stage.run(command)
    check(done.returncode == 0, f"tshark: {done.stderr}")
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout)]


def objections(node, name=""):
    """What tshark finds fault with, but for messages sent again: that is what a slow machine makes of good ones."""
    found = []
    if isinstance(node, dict):
        # some ports that the system gives to sockets are those of traceroute, too
        harmless = "coap.retransmitted" in node or "udp.possible_traceroute" in node
        if name == "_ws.expert" and not harmless or "_ws.malformed" in node:
            found.append(node)
        for key, value in node.items():
            found += objections(value, key)
    for value in node if isinstance(node, list) else ():
        found += objections(value, name)
    return found


def converse(stage, capture, peer):
    """Open a session, read and write a device; until the last acknowledgement is in the capture."""
    meter = stage.device_of("meter")
    peer.open_session(stage.token())
    equal(len(peer.proxied(GET, f"coap://{meter}/consumption").payload) > 4, True, "GET through the gateway")
    peer.proxied(PUT, f"coap://{meter}/tariff", b"2")
    mine = peer.socket.getsockname()

    def complete():
        if capture.lost_any():
            return True
        answers = {m.mid for m in capture.messages(stage.gateway_address, mine) if m.kind == CON}
        return len(answers) >= 2 and answers <= {m.mid for m in capture.messages(mine, stage.gateway_address) if m.kind == ACK}
    until(complete, "the acknowledgements of both answers on lo")


def captured(stage):
    """The dissected messages of one conversation, and the port of its client. When the system lost frames, of another one."""
    addresses = {stage.gateway_address} | {row[1:] for row in stage.devices.values()}
    for attempt in range(20):
        path = stage.path(f"wire-{attempt}.pcap")
        capture, peer = Capture(path, addresses), Peer(stage.gateway_address)
        try:
            converse(stage, capture, peer)
        finally:
            ports, lost = capture.finish()
        if not lost:
            return dissect(stage, path, ports), peer.socket.getsockname()[1]
    raise Failure("no conversation without frames that the system lost")


def test(stage):
    stage.foreign("tshark")
    stage.start_sim("--count", "5")
    stage.start_gateway()
    _, address, port = stage.devices[stage.device_of("meter")]
    packets, mine = captured(stage)
    check(len(packets) >= 12, f"{len(packets)} CoAP messages")
    for layers in packets:
        wrong = objections(layers)
        check(not wrong, f"tshark finds fault: {wrong} in {json.dumps(layers)[:3000]}")

    def between(layers, source, destination):
        return layers["udp"]["udp.srcport"] == str(source) and layers["udp"]["udp.dstport"] == str(destination)

    gateway = stage.gateway_address[1]
    to_client = [layers["coap"] for layers in packets if between(layers, gateway, mine)]
    from_client = [layers["coap"] for layers in packets if between(layers, mine, gateway)]
    request = next(c for c in from_client if c["coap.code"] == "1")
    ack = next(c for c in to_client if c["coap.type"] == "2" and c["coap.mid"] == request["coap.mid"])
    equal(ack["coap.code"], "0", "a proxy request is acknowledged by an empty message")
    answer = next(c for c in to_client if c["coap.code"] == "69")
    equal(answer["coap.type"], "0", "the answer is confirmable")
    equal(answer["coap.token"], request["coap.token"], "it bears the request's token")
    check(any(c["coap.type"] == "2" and c["coap.code"] == "0" and c["coap.mid"] == answer["coap.mid"] for c in from_client),
          "the client acknowledged it")
    order = [id(c) for c in to_client]
    check(order.index(id(ack)) < order.index(id(answer)), "the acknowledgement comes first")
    to_device = [layers["coap"] for layers in packets if layers["udp"]["udp.dstport"] == str(port) and layers["ip"]["ip.dst"] == address]
    check(to_device, "the request reached the device")
    check(all(c.get("coap.token") != request["coap.token"] for c in to_device), "towards the device the gateway uses tokens of its own")


play(test)
