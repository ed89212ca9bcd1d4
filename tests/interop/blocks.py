#!/usr/bin/env python3
"""Block-wise transfers through the gateway with a device that is killed and started again in their middle: an upload and a download.
What the client ends up with is one body, never parts of two; ETag, Size1 and Size2 go through. libcoap's coap-server is the device that
is sent bodies; the one that they are read from is the conformance server, whose bodies have ETags.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import random
import signal

from stage import ETAG, GET, PROXY_URI, PUT, Peer, check, code_text, equal, play, until

BLOCK2, BLOCK1, SIZE2, SIZE1, REQUEST_TAG = 23, 27, 28, 60, 292
URI = "coap://001350000000b10c/example_data"
TAGGED = "coap://001350000000e7a6/large-update"


def uint(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def number(reply, option):
    value = reply.option(option)
    return None if value is None else int.from_bytes(value, "big")


def place():
    """An address and port that nobody takes while the device is dead: none that the system chooses for others."""
    a, b, c, d = os.urandom(4)
    return f"127.77.{a}.{1 + b % 254}", 20000 + (c << 8 | d) % 10000


def start_device(stage, where):
    device = stage.start("coap-server", [stage.foreign("coap-server"), "-A", where[0], "-p", str(where[1])])
    direct = Peer(where)
    until(lambda: direct.ping() and device.alive(), "coap-server answers a ping")
    return device, direct


def kill(stage, device):
    device.stop(signal.SIGKILL)
    stage.processes.remove(device)


def put_block(ask, options, body, num, szx):
    size = 16 << szx
    more = (num + 1) * size < len(body)
    extra = [(SIZE1, uint(len(body)))] if num == 0 else []
    return ask(options + extra + [(BLOCK1, uint(num << 4 | (8 if more else 0) | szx))], body[num * size:(num + 1) * size])


def put_all(ask, options, body, szx):
    """From the first block to the last; the last answer, or the first that is an error."""
    for num in range((len(body) + (16 << szx) - 1) // (16 << szx)):
        reply = put_block(ask, options, body, num, szx)
        if code_text(reply.code) != "2.31":
            return reply
    return reply


def by_gateway(peer):
    return lambda options, payload: peer.proxied(PUT, URI, payload, options)


def get_all(ask, szx, between=None):
    """The body, as a client puts it together that begins anew when its ETag changes (RFC 7959 §2.4); and how often it began."""
    body, etag, num, begun = b"", None, 0, 1
    while True:
        reply = ask([(BLOCK2, uint(num << 4 | szx))])
        equal(code_text(reply.code), "2.05", f"block {num}")
        if num and reply.option(ETAG) != etag:
            body, num, begun = b"", 0, begun + 1
            check(begun < 5, "the blocks of one body come to an end")
            continue
        etag = reply.option(ETAG)
        value = number(reply, BLOCK2)
        equal((value >> 4, value & 7), (num, szx), "Block2 of the answer")
        body += reply.payload
        if not value & 8:
            return body, begun
        num += 1
        if between and num == between[0]:
            between[1]()
            between = None


def restarted_upload(stage, peer, where, device, body):
    options = [(REQUEST_TAG, b"up")]
    for num in range(20):
        reply = put_block(by_gateway(peer), options, body, num, 4)
        equal(code_text(reply.code), "2.31", f"block {num}")
    kill(stage, device)
    reply = put_block(by_gateway(peer), options, body, 20, 4)  # nobody is there: no wrong success
    check(code_text(reply.code) in ("5.02", "5.04"), f"the device is dead: {reply}")
    device, direct = start_device(stage, where)
    reply = put_block(by_gateway(peer), options, body, 21, 4)  # and it does not have the ones before
    equal(code_text(reply.code), "4.08", "a block of an upload that is lost")
    reply = put_all(by_gateway(peer), options, body, 4)
    check(code_text(reply.code) in ("2.01", "2.04"), f"the upload from its beginning: {reply}")
    found, _ = get_all(lambda options: direct.request(GET, "/example_data", options=options), 6)
    check(found == body, "what the device has is what was sent")
    return device


def restarted_between_blocks(stage, peer, where, device, body):
    """Killed and back before the next block: the gateway notices nothing, and passes on what the device says of it."""
    options = [(REQUEST_TAG, b"again")]
    for num in range(10):
        equal(code_text(put_block(by_gateway(peer), options, body, num, 4).code), "2.31", f"block {num}")
    kill(stage, device)
    device, _ = start_device(stage, where)
    reply = put_block(by_gateway(peer), options, body, 10, 4)  # libcoap says 5.00 where RFC 7959 §2.9.2 has 4.08
    check(code_text(reply.code) in ("4.08", "5.00"), f"the device lost the blocks before: {reply}")
    reply = put_all(by_gateway(peer), options, body, 4)
    check(code_text(reply.code) in ("2.01", "2.04"), f"the upload from its beginning: {reply}")
    return device


def start_tagged(stage, where, bodies):
    """The conformance server, with the last of `bodies`; its ETags count them."""
    device = stage.start("plugtest-server", [stage.program("plugtest-server"), f"{where[0]}:{where[1]}"])
    direct = Peer(where)
    until(lambda: direct.ping() and device.alive(), "the conformance server answers a ping")
    for body in bodies:
        reply = put_all(lambda options, payload: direct.request(PUT, "/large-update", payload, options=options), [], body, 6)
        equal(code_text(reply.code), "2.04", "PUT /large-update")
    return device


def read_tagged(peer):
    return lambda options: peer.proxied(GET, TAGGED, options=options)


def restarted_download(stage, peer, where, device, old, new):
    """Another body of the same length is there after the restart: its blocks never mix with the old one's."""
    def restart():
        kill(stage, device)
        reply = read_tagged(peer)([(BLOCK2, uint(9 << 4 | 4))])  # nobody is there
        check(code_text(reply.code) in ("5.02", "5.04"), f"the device is dead: {reply}")
        start_tagged(stage, where, [old, old, new])

    found, begun = get_all(read_tagged(peer), 4, (8, restart))
    check(found in (old, new), "blocks of two bodies are mixed")
    check(found == new and begun == 2, "the client learns of the new body from its ETag")


def sizes(peer, body):
    reply = read_tagged(peer)([(BLOCK2, uint(4)), (SIZE2, b"")])
    equal((code_text(reply.code), number(reply, SIZE2)), ("2.05", len(body)), "Size2")
    etag = reply.option(ETAG)
    check(etag is not None and 1 <= len(etag) <= 8, "an ETag")
    for num in (1, 5, len(body) // 256):
        reply = read_tagged(peer)([(BLOCK2, uint(num << 4 | 4))])
        equal(reply.option(ETAG), etag, f"the ETag of block {num}")
        equal(reply.payload, body[num * 256:(num + 1) * 256], f"block {num}")


def test(stage):
    stage.foreign("coap-server")
    where = place()
    device, _ = start_device(stage, where)
    stage.add_device("001350000000b10c", where[1], where[0])
    tagged_where = place()
    old, new = (random.Random(seed).randbytes(256 * 20 + 100) for seed in (11, 12))
    tagged = start_tagged(stage, tagged_where, [old])
    stage.add_device("001350000000e7a6", tagged_where[1], tagged_where[0])
    gateway = stage.start_gateway()
    peer = Peer(stage.gateway_address)
    peer.open_session(stage.token())
    bodies = [random.Random(seed).randbytes(256 * 40 + 100) for seed in range(2)]
    device = restarted_upload(stage, peer, where, device, bodies[0])
    restarted_between_blocks(stage, peer, where, device, bodies[1])
    sizes(peer, old)
    restarted_download(stage, peer, tagged_where, tagged, old, new)
    check(gateway.alive(), "the gateway goes on")
    other = Peer(stage.gateway_address)
    other.open_session(stage.token("other"))
    check(get_all(read_tagged(other), 5)[0] == new, "another client has the whole of it")


play(test)
