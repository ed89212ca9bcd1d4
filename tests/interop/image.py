#!/usr/bin/env python3
"""An image of 1 MB to a device by Block1, through the gateway, over links that lose 5 % of all datagrams on both sides: what the device has is
what was sent, by SHA-256. The client sends blocks of 1024 bytes, each under a token of its own; libcoap's coap-server is the device.

SPDX-License-Identifier: BSD-2-Clause
"""
import hashlib
import os
import random

from stage import CON, GET, PROXY_URI, PUT, Message, Peer, check, code_text, equal, play

BLOCK2, BLOCK1, SIZE1, REQUEST_TAG = 23, 27, 60, 292
SIZE = 1 << 20


def uint(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def relay(stage, to, seed):
    program = os.path.join(stage.build, "tests", "tools", "lossy-relay")
    process = stage.start("lossy-relay", [program, "--listen", "127.0.0.1:0", "--to", f"127.0.0.1:{to}", "--loss", "0.05", "--seed", str(seed)])
    return int(process.says(r"listening .*:(\d+)").group(1))


def upload(peer, uri, body):
    """Block by block; each is repeated until its answer comes."""
    tag = os.urandom(4)
    for num in range(len(body) // 1024):
        more = (num + 1) * 1024 < len(body)
        options = [(PROXY_URI, uri.encode()), (BLOCK1, uint(num << 4 | (8 if more else 0) | 6)), (REQUEST_TAG, tag)]
        if num == 0:
            options.append((SIZE1, uint(len(body))))
        reply = peer.answer(Message(CON, PUT, peer.next_mid(), os.urandom(4), options, body[num * 1024:(num + 1) * 1024]))
        expected = ("2.31",) if more else ("2.01", "2.04")
        check(code_text(reply.code) in expected, f"block {num}: {reply}")
        value = int.from_bytes(reply.option(BLOCK1) or b"", "big")
        equal(value, num << 4 | (8 if more else 0) | 6, f"Block1 of the answer to block {num}")


def read_back(peer, path):
    body, num = b"", 0
    while True:
        reply = peer.request(GET, path, options=[(BLOCK2, uint(num << 4 | 6))])
        equal(code_text(reply.code), "2.05", f"block {num}")
        body += reply.payload
        if not int.from_bytes(reply.option(BLOCK2) or b"", "big") & 8:
            return body
        num += 1


def test(stage):
    _, device, direct = stage.coap_server()
    stage.add_device("001350000000f1a5", relay(stage, device, 5))
    gateway = stage.start_gateway("clients {\n\tack_timeout = 0.1\n\tack_random_factor = 1\n\tmax_retransmit = 8\n}",
                                  "ack_timeout = 0.1\n\tack_random_factor = 1\n\tmax_retransmit = 8\n\tresponse_timeout = 20")
    peer = Peer(("127.0.0.1", relay(stage, stage.gateway_address[1], 6)))
    peer.pause, peer.growth = 0.1, 1.5
    peer.open_session(stage.token())
    image = random.Random(7).randbytes(SIZE)
    upload(peer, "coap://001350000000f1a5/example_data", image)
    found = read_back(direct, "/example_data")
    equal((len(found), hashlib.sha256(found).hexdigest()), (SIZE, hashlib.sha256(image).hexdigest()), "length and SHA-256 of what the device has")
    check(gateway.alive(), "the gateway goes on")


play(test)
