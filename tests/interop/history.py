#!/usr/bin/env python3
"""Long histories from the real gateway: packs of 64 kB are taken, 100,000 readings (20,000 under the sanitizers) come back whole, in every form and by every
client, of one state of the store whatever arrives meanwhile; blocks may be asked for again and out of order; what the
gateway needs for it does not grow with the history.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import os
import resource
import subprocess

from stage import ACCEPT, CON, CONTENT_FORMAT, ETAG, GET, MAX_AGE, NON, POST, URI_PATH, URI_QUERY, Message, Peer, check, code_text, equal, play

BLOCK2, BLOCK1, SIZE2 = 23, 27, 28
DEVICE, TEXT, SENML_JSON = "0024befffe804ff1", b"", b"\x6e"
PACK_MAX = 65536
START = 1700000000


def block_option(number, num, more=0, szx=6):
    value = num << 4 | more << 3 | szx
    return (number, value.to_bytes(3, "big").lstrip(b"\0"))


def upload(peer, body, expected="2.04"):
    """POST to /publish by Block1."""
    path = [(URI_PATH, b"publish"), (CONTENT_FORMAT, SENML_JSON)]
    for at in range(0, len(body), 1024):
        more = at + 1024 < len(body)
        reply = peer.answer(Message(CON, POST, peer.next_mid(), b"up", [*path, block_option(BLOCK1, at // 1024, more)], body[at:at + 1024]))
        if reply.code != 0x5F:
            break
    equal(code_text(reply.code), expected, f"a pack of {len(body)} bytes")


def fill(peer, n):
    """Packs as near to 64 kB as they get; one of them to the byte, and one byte more is too much."""
    rows = [{"t": START + i, "v": i * 0.5} for i in range(n)]
    # the name is given once a record: there is no base for all of it
    texts = [json.dumps({"n": "wave", **row}, separators=(",", ":")) for row in rows]
    at = packs = 0
    while at < len(rows):
        body = f'[{{"bn":"device:{DEVICE}:","bu":"W",{texts[at][1:]}'
        at += 1
        while at < len(rows) and len(body) + len(texts[at]) + 2 <= PACK_MAX:
            body += "," + texts[at]
            at += 1
        body = body.encode() + b"]"
        if packs == 0:
            body = body[:-1] + b" " * (PACK_MAX - len(body)) + b"]"
            equal(len(body), PACK_MAX, "the longest pack")
            upload(peer, body + b" ", "4.13")
        upload(peer, body)
        packs += 1
    return [(row["t"], row["v"]) for row in rows]


def get_block(peer, num, query, szx=6, accept=None, kind=CON):
    options = [(URI_PATH, segment) for segment in (b"devices", DEVICE.encode(), b"wave")]
    options += [(URI_QUERY, text.encode()) for text in query] + ([(ACCEPT, accept)] if accept is not None else [])
    options += [block_option(BLOCK2, num, 0, szx)] if num is not None else []
    reply = peer.answer(Message(kind, GET, peer.next_mid(), b"h%d" % (num or 0), options))
    equal(code_text(reply.code), "2.05", f"block {num} of {query}: {reply.payload}")
    return reply


def is_last(reply):
    return not (reply.option(BLOCK2) or b"\0")[-1] & 8


def fetch(peer, query, accept=None, meanwhile=None):
    """All blocks; the ETag is the same in each."""
    body, etags, num = [], set(), 0
    while True:
        reply = get_block(peer, num or None, query, accept=accept)
        body.append(reply.payload)
        etags.add(reply.option(ETAG))
        check(is_last(reply) or len(reply.payload) == 1024, "only the last block is shorter")
        if is_last(reply):
            equal(len(etags), 1, "one ETag for all blocks")
            return b"".join(body)
        num += 1
        if meanwhile:
            meanwhile(num)


def rows_of(body):
    return [(row["t"], row["v"]) for row in json.loads(body)]


def everything(stage, peer, rows):
    """While it is fetched readings arrive, older, newer and between: they belong to the next answer."""
    other, late = Peer(stage.gateway_address), []

    def publish(num):
        if num % 400 == 1:
            late.append(START + len(late) * 7 - 3)
            upload(other, json.dumps([{"n": f"device:{DEVICE}:wave", "t": late[-1], "v": -1}]).encode())
    body = fetch(peer, [f"from={START - 1000}"], meanwhile=publish)
    equal(rows_of(body), rows, "all readings, and none that came meanwhile")
    check(len(late) > 1, "readings came meanwhile")
    new = rows_of(fetch(peer, [f"from={START - 1000}"]))
    equal((len(new), sorted(t for t, v in new if v == -1)), (len(rows) + len(late), late), "the next answer has them")
    lines = fetch(peer, ["last=10000", "as=csv"]).decode().splitlines()
    equal((len(lines), lines[0].split(",")[0], lines[-1].split(",")[3]), (10001, "time", f"{rows[-1][1]:g}"), "as CSV")
    lines = fetch(peer, ["last=10000"], TEXT).decode().splitlines()
    equal((len(lines), lines[-1].split()[3]), (10000, f"{rows[-1][1]:g}"), "as text")
    day = rows_of(fetch(peer, ["from=1", "every=1d", "agg=count"]))
    equal(sum(v for _, v in day), len(rows) + len(late), "an aggregate of all of them")
    other.close()


def out_of_order(peer):
    query = ["from=2"]
    first = [get_block(peer, num, query) for num in range(100)]
    # lost and asked for again, as another message; also the one before
    for num in (99, 98, 99, 60, 61):
        again = get_block(peer, num, query)
        equal((again.payload, again.option(ETAG)), (first[num].payload, first[0].option(ETAG)), f"block {num} again")
    # far ahead, and back to what is not kept
    far = get_block(peer, 800, query)
    equal((far.option(ETAG), len(far.payload)), (first[0].option(ETAG), 1024), "a block far ahead")
    for num in (3, 1, 800, 0):
        again = get_block(peer, num, query)
        if num:
            equal((again.payload, again.option(ETAG)), ((far if num == 800 else first[num]).payload, far.option(ETAG)), f"back to {num}")
    check(again.option(ETAG) != far.option(ETAG), "block 0 begins anew")
    # in other sizes, and beyond the end
    small = get_block(peer, 16, ["from=3"], szx=2)
    equal(small.payload, first[1].payload[:64], "a block of 64 bytes")
    equal(get_block(peer, 2, ["last=1", "from=5"], szx=0, kind=NON).option(MAX_AGE), b"", "a small one")
    beyond = peer.answer(Message(CON, GET, peer.next_mid(), b"x", [(URI_PATH, b"devices"), (URI_PATH, DEVICE.encode()), (URI_PATH, b"wave"),
                                                                  (URI_QUERY, b"last=2"), block_option(BLOCK2, 700)]))
    equal(code_text(beyond.code), "4.00", "no such block")


def two_at_once(stage, peer):
    """The same and another history, by one peer and by two: each gets its own."""
    other = Peer(stage.gateway_address)
    bodies = {(who, query): b"" for who in (peer, other) for query in ("last=900", "last=700")}
    other.request(GET, "/help")
    for num in range(20):
        for who, query in bodies:
            reply = get_block(who, num, [query])
            bodies[who, query] += reply.payload
    for (who, query), body in bodies.items():
        equal(body, fetch(who, [query])[:20 * 1024], query)
    # more than one peer may have: the longest unused makes way, and is begun anew
    before = get_block(peer, 0, ["last=900"]).option(ETAG)
    for i in range(9):
        get_block(peer, 0, [f"last={800 + i}"])
    after = get_block(peer, 1, ["last=900"])
    check(after.option(ETAG) != before, "begun anew under another ETag")
    equal(after.payload, bodies[other, "last=900"][1024:2048], "with the same content")
    other.close()


def flat_memory(gateway, peer):
    """Everything is fetched by a gateway that may take 4 MiB more than it has, and sends more than that in one answer. What it keeps of each
    request, to recognize it again, has its place from the beginning and does not count."""
    pid = gateway.process.pid
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        used = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
    limit = used + (4 << 20)  # of which SQLite's cache may take 2, and what the library's heap grows by is its own business
    before = resource.prlimit(pid, resource.RLIMIT_DATA)
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit, before[1]))
    size = len(fetch(peer, ["from=4"]))
    resource.prlimit(pid, resource.RLIMIT_DATA, before)
    check(size > 4 << 20, f"{size} bytes are too few to tell anything")


def by_the_tool(stage, rows):
    way = ["--proxy", stage.gateway_uri()]
    done = stage.copse("history", DEVICE, "wave", "--from", "@1700000000", "--json", *way)
    values = [row["value"] for row in json.loads(done.stdout)]
    equal([v for v in values if v >= 0], [v for _, v in rows], "copse history")
    done = stage.copse("export", DEVICE, *way)
    equal(len(done.stdout.splitlines()), len(values) + 1 + 1, "copse export")  # a head, and one reading before @1700000000
    done = subprocess.run([stage.foreign("coap-client"), "-B", "300", f"{stage.gateway_uri()}/devices/{DEVICE}/wave?last=5000"],
                          capture_output=True, check=True)
    equal(len(json.loads(done.stdout)), 5000, "libcoap's client")


def test(stage):
    sanitized = os.path.basename(os.path.normpath(stage.build)) == "asan"
    gateway = stage.start_gateway(f'collector {{\n\tstore = "{stage.path("readings.db")}"\n\topen = true\n}}')
    peer = Peer(stage.gateway_address)
    peer.request(GET, "/help")
    rows = fill(peer, 20000 if sanitized else 100000)
    if not sanitized:
        flat_memory(gateway, peer)
    everything(stage, peer, rows)
    out_of_order(peer)
    two_at_once(stage, peer)
    by_the_tool(stage, rows)
    peer.close()


if __name__ == "__main__":
    play(test)
