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

from stage import GET, PUT, Peer, Skip, check, equal, play, until

PACKET_OUTGOING = 4


class Capture:
    """The UDP datagrams on lo, each once, in a file for tshark."""

    def __init__(self, path):
        try:
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind(("lo", 0))
        except PermissionError as error:
            raise Skip("capturing on lo takes root") from error
        self.socket.settimeout(0.1)
        self.frames, self.done = [], False
        self.path = path
        self.thread = threading.Thread(target=self.collect)
        self.thread.start()

    def collect(self):
        while not self.done:
            try:
                frame, address = self.socket.recvfrom(65600)
            except socket.timeout:
                continue
            if address[2] != PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_UDP:
                self.frames.append((time.time(), frame))

    def finish(self):
        self.done = True
        self.thread.join()
        with open(self.path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
            for when, frame in self.frames:
                file.write(struct.pack("<IIII", int(when), int(when % 1 * 1e6), len(frame), len(frame)) + frame)


def dissect(stage, path, ports):
    command = [stage.foreign("tshark"), "-r", path, "-T", "json", "-Y", "coap", "-o", "udp.check_checksum:FALSE"]
    for port in ports:
        command += ["-d", f"udp.port=={port},coap"]
    done = stage.run(command)
    check(done.returncode == 0, f"tshark: {done.stderr}")
    return [packet["_source"]["layers"] for packet in json.loads(done.stdout)]


def test(stage):
    stage.foreign("tshark")
    stage.start_sim("--count", "5")
    stage.start_gateway()
    meter = stage.device_of("meter")
    _, address, port = stage.devices[meter]
    capture = Capture(stage.path("wire.pcap"))
    try:
        peer = Peer(stage.gateway_address)
        peer.open_session(stage.token())
        equal(len(peer.proxied(GET, f"coap://{meter}/consumption").payload) > 4, True, "GET through the gateway")
        peer.proxied(PUT, f"coap://{meter}/tariff", b"2")
        mine = peer.socket.getsockname()[1]
        # the last acknowledgement of the peer has come when a ping after it is answered
        check(peer.ping(), "ping")
        until(lambda: len(capture.frames) > 12, "frames on lo")
    finally:
        capture.finish()
    ports = [stage.gateway_address[1]] + [row[2] for row in stage.devices.values()]
    packets = dissect(stage, stage.path("wire.pcap"), ports)
    check(len(packets) >= 12, f"{len(packets)} CoAP messages")
    for layers in packets:
        text = json.dumps(layers)
        check("_ws.malformed" not in text and "_ws.expert" not in text, f"tshark finds fault: {text[:3000]}")

    def between(layers, source, destination):
        return layers["udp"]["udp.srcport"] == str(source) and layers["udp"]["udp.dstport"] == str(destination)

    gateway = stage.gateway_address[1]
    to_client = [layers["coap"] for layers in packets if between(layers, gateway, mine)]
    from_client = [layers["coap"] for layers in packets if between(layers, mine, gateway)]
    request = next(c for c in from_client if c["coap.code"] == "1")
    ack = next(c for c in to_client if c["coap.mid"] == request["coap.mid"])
    equal((ack["coap.type"], ack["coap.code"]), ("2", "0"), "a proxy request is acknowledged by an empty message")
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
