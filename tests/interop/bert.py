#!/usr/bin/env python3
"""BERT (RFC 8323 §6): bodies over TCP in messages of many units of 1024 bytes. The tool with libcoap's server, libcoap's clients with the
gateway; and byte by byte: what the gateway answers from its own resources, a long history among them, and what it takes for a device that
knows nothing but datagrams. Who has not said that it takes BERT gets none, and by datagrams it is refused.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import random
import re
import shutil

from history import DEVICE, START, rows_of, upload
from stage import GET, PROXY_URI, PUT, URI_QUERY, Peer, check, code_text, equal, free_port, path_options, play, until
from stream_gateway import BLOCK1, BLOCK2, Connection

BERT = 7
TARGET = "coap://001350000000be27/{}"


def csm(most):
    """Max-Message-Size (2) and Block-Wise-Transfer (4)."""
    return b"\x60\xe1\x24" + most.to_bytes(4, "big") + b"\x20"


def block(number, num, more=0, szx=BERT):
    value = num << 4 | more << 3 | szx
    return (number, value.to_bytes(3, "big").lstrip(b"\0"))


def block_of(reply, number):
    """Number, M and SZX of an option, or None."""
    value = reply.option(number)
    if value is None:
        return None
    value = int.from_bytes(value, "big")
    return value >> 4, value >> 3 & 1, value & 7


def download(ask, most):
    """A body by BERT, and the lengths of its pieces: whole units, not more than fit into `most`."""
    body, pieces = b"", []
    while True:
        reply = ask([block(BLOCK2, len(body) // 1024)])
        equal(code_text(reply.code), "2.05", f"from {len(body)} on: {reply.payload[:80]}")
        num, more, szx = block_of(reply, BLOCK2)
        equal((num, szx), (len(body) // 1024, BERT), "where it begins")
        check(not more or len(reply.payload) % 1024 == 0, f"whole units: {len(reply.payload)}")
        check(len(reply.payload) <= most, f"no more than it takes: {len(reply.payload)}")
        body += reply.payload
        pieces.append(len(reply.payload))
        if not more:
            return body, pieces


def own_resources(stage, address):
    wide, narrow, some = Connection(address, csm(65535)), Connection(address), Connection(address, csm(3 * 1024 + 128))
    for client in (wide, narrow, some):
        client.open_session(stage.token())
    metrics = path_options("/metrics")
    body, pieces = download(lambda options: wide.ask(GET, b"m", metrics + options), 65535)
    check(len(body) > 4096 and pieces[0] > 1024, f"/metrics in pieces of {pieces}")
    reply = wide.ask(GET, b"n", metrics)
    check(block_of(reply, BLOCK2) in (None, (0, 1, BERT)), f"who names no block: {block_of(reply, BLOCK2)}")
    check(len(reply.payload) > 1024, "has as much as it takes")
    check(max(download(lambda options: some.ask(GET, b"s", metrics + options), 3 * 1024)[1]) == 3 * 1024, "three units, if that is all it takes")
    for options in ([], [block(BLOCK2, 0)]):
        reply = narrow.ask(GET, b"a", metrics + options)
        equal((block_of(reply, BLOCK2), len(reply.payload)), ((0, 1, 6), 1024), "who takes no more than the base")


def histories(stage, address):
    """2,000 readings, some 90 kB: three pages of the collector's."""
    publisher = Peer(stage.gateway_address)
    rows = [(START + i, i * 0.25) for i in range(2000)]
    for at in range(0, len(rows), 500):
        upload(publisher, json.dumps([{"n": f"device:{DEVICE}:wave", "t": t, "v": v} for t, v in rows[at:at + 500]]).encode())
    client = Connection(address, csm(65535))
    path = path_options(f"/devices/{DEVICE}/wave")
    query = [(URI_QUERY, f"from={START - 10}".encode())]
    body, pieces = download(lambda options: client.ask(GET, b"h", path + query + options), 16 * 1024)
    equal(rows_of(body), rows, "the history")
    check(len(pieces) <= len(body) // (16 * 1024) + 1, f"in few pieces: {pieces}")
    return rows


def uploads(stage, address, direct):
    """A device on datagrams is sent what comes by BERT in its own blocks; what is read from it comes in blocks of 1024."""
    client = Connection(address, csm(65535))
    client.open_session(stage.token())
    body = random.Random(27).randbytes(50000)
    uri = (PROXY_URI, TARGET.format("up").encode())
    step = 15 * 1024
    for at in range(0, len(body), step):
        more = at + step < len(body)
        reply = client.ask(PUT, b"u", [block(BLOCK1, at // 1024, more), uri], body[at:at + step])
        equal(code_text(reply.code), "2.31" if more else "2.01", f"from {at} on: {reply.payload}")
        equal(block_of(reply, BLOCK1), (at // 1024, int(more), BERT), "the client's own block")
    equal(read_direct(direct, "/up"), body, "what the device has")
    reply = client.ask(GET, b"d", [block(BLOCK2, 3), uri])
    equal((block_of(reply, BLOCK2), reply.payload), ((3, 1, 6), body[3072:4096]), "a block of 1024 is the answer")
    # as long as a message may be, and without a word about blocks
    one = (PROXY_URI, TARGET.format("one").encode())
    reply = client.ask(PUT, b"o", [one], body[:15000])
    equal((code_text(reply.code), block_of(reply, BLOCK1)), ("2.01", None), f"a long message: {reply}")
    equal(read_direct(direct, "/one"), body[:15000], "what the device has")
    reply = client.ask(PUT, b"p", [block(BLOCK1, 0), one], body[100:2100])
    equal((code_text(reply.code), block_of(reply, BLOCK1)), ("2.04", (0, 0, BERT)), f"all of it by BERT: {reply}")
    equal(read_direct(direct, "/one"), body[100:2100], "what the device has")
    # not whole units, and a gap
    reply = client.ask(PUT, b"q", [block(BLOCK1, 0, 1), uri], body[:1500])
    equal(code_text(reply.code), "4.00", f"a piece of 1500 bytes: {reply}")
    reply = client.ask(PUT, b"r", [block(BLOCK1, 0, 1), uri], body[:2048])
    equal(code_text(reply.code), "2.31", f"two units: {reply}")
    reply = client.ask(PUT, b"r", [block(BLOCK1, 3, 1), uri], body[:1024])
    equal(code_text(reply.code), "4.08", f"a gap: {reply}")


def read_direct(direct, path):
    body = b""
    while True:
        reply = direct.request(GET, path, options=[block(BLOCK2, len(body) // 1024, 0, 6)])
        equal(code_text(reply.code), "2.05", f"{path} from {len(body)} on")
        body += reply.payload
        if not (reply.option(BLOCK2) or b"\0")[-1] & 8:
            return body


def datagrams(stage):
    """RFC 7959 §2.2: there it is reserved."""
    peer = Peer(stage.gateway_address)
    equal(code_text(peer.request(GET, "/metrics", options=[block(BLOCK2, 0)]).code), "4.00", "SZX 7 for a resource of the gateway's")
    peer.open_session(stage.token())
    equal(code_text(peer.proxied(GET, TARGET.format("up"), options=[block(BLOCK2, 0)]).code), "4.00", "SZX 7 for a device")
    equal(code_text(peer.proxied(PUT, TARGET.format("up"), b"x", options=[block(BLOCK1, 0)]).code), "4.00", "SZX 7 with a body")


def foreign_client(stage, address, rows):
    for flavour in ("gnutls", "openssl"):
        program = shutil.which(f"coap-client-{flavour}")
        if not program:
            continue
        uri = f"coap+tcp://{address[0]}:{address[1]}/devices/{DEVICE}/wave?from={START - 10}"
        done = stage.run([program, "-v", "7", "-m", "get", "-o", stage.path("wave"), uri])
        said = done.stdout + done.stderr
        pieces = re.findall(r"Block2:(\d+)/M/BERT\((\d+)\)", said)[:2]
        equal(pieces, [("0", "16384"), ("16", "16384")], f"libcoap by {flavour} has BERT: {said[-3000:]}")
        with open(stage.path("wave"), "rb") as file:
            equal(rows_of(file.read()), rows, "and all of it")


def foreign_server(stage, server_port):
    """The tool with libcoap's server, both ways."""
    body = random.Random(28).randbytes(250000)
    path, back, uri = stage.path("up.bin"), stage.path("back.bin"), f"coap+tcp://127.0.0.1:{server_port}/file"
    with open(path, "wb") as file:
        file.write(body)
    done = stage.copse("put", "-v", uri, f"@{path}")
    equal(done.returncode, 0, done.stderr)
    sent = re.findall(r"Block1 (\d+)/(\d)/(\w+)", "".join(line for line in done.stderr.splitlines(True) if " > " in line))
    equal(sent, [("0", "1", "BERT"), ("63", "1", "BERT"), ("126", "1", "BERT"), ("189", "0", "BERT")], "four messages of up to 63 units")
    done = stage.copse("get", "-v", "-o", back, uri)
    equal(done.returncode, 0, done.stderr)
    with open(back, "rb") as file:
        equal(file.read(), body, "what the server had of it")
    check(re.search(r"Block2 \d+/1/BERT", done.stderr), f"by BERT: {done.stderr[-2000:]}")
    done = stage.copse("get", "-v", "--block", "256", "-o", back, uri)
    equal(done.returncode, 0, done.stderr[-2000:])
    check("BERT" not in done.stderr, "whoever names a size has it")
    with open(back, "rb") as file:
        equal(file.read(), body, "the same in blocks")


def test(stage):
    _, server_port, direct = stage.coap_server("-d", "8", "-L", "1")
    stage.add_device("001350000000be27", server_port)
    port = free_port()
    gateway = stage.start_gateway(f'listen += {{"tcp://127.0.0.1:{port}"}}\nproxy {{\n\tmax_message = 20000\n}}\n'
                                  f'collector {{\n\tstore = "{stage.path("readings.db")}"\n\topen = true\n}}', port=port)
    gateway.says(r"taking connections, TCP")
    address = ("127.0.0.1", port)
    own_resources(stage, address)
    rows = histories(stage, address)
    uploads(stage, address, direct)
    datagrams(stage)
    foreign_client(stage, address, rows)
    foreign_server(stage, server_port)
    until(gateway.alive, "the gateway is up")


if __name__ == "__main__":
    play(test)
