#!/usr/bin/env python3
"""Two clients in flight to two devices, with equal tokens and equal message IDs: each gets its own answer. Then twenty clients to as
many devices.

SPDX-License-Identifier: BSD-2-Clause
"""
from stage import ACK, CON, GET, PROXY_URI, PUT, Message, Peer, check, code_text, equal, play, until


def ask_all(peers, method, uris, payloads, token, mid, earlier=()):
    """Send one request from each peer, all with this token and ID, before reading any answer. Returns the answers."""
    requests = [Message(CON, method, mid, token, [(PROXY_URI, uri.encode())], payload) for uri, payload in zip(uris, payloads)]
    for peer, request in zip(peers, requests):
        peer.send(request)
    answers = []
    for peer, request in zip(peers, requests):
        def look(peer=peer, request=request):
            message = peer.receive(5)
            if message is None:
                peer.send(request)
                return None
            if message.kind == CON:
                peer.send(Message(ACK, 0, message.mid))
            if peer.is_copy(message) or message.kind == ACK and message.mid in earlier:
                return None  # of an answer that was acknowledged late, or to a request that was repeated
            if message.code == 0:
                equal((message.kind, message.mid), (ACK, mid), "the empty acknowledgement")
                return None
            equal(message.token, token, "the token of the answer")
            return message
        answers.append(until(look, "an answer"))
    return answers


def test(stage):
    stage.start_sim("--count", "20", "--kinds", "light", "--delay", "20-200", "--seed", "7")
    stage.start_gateway()
    names = list(stage.devices)
    for count, tag in ((2, b"\x07"), (20, b"same")):
        peers = [Peer(stage.gateway_address) for _ in range(count)]
        for i, peer in enumerate(peers):
            peer.open_session(stage.token(f"client {i}"))
        uris = [f"coap://{name}/brightness" for name in names[:count]]
        levels = [str(10 + i).encode() for i in range(count)]
        for answer in ask_all(peers, PUT, uris, levels, tag, 0x1234):
            equal(code_text(answer.code), "2.04", "PUT /brightness")
        # Every client reads the device that it wrote: a mix-up shows as another level.
        answers = ask_all(peers, GET, uris, [b""] * count, tag, 0x1235, {0x1234})
        equal([answer.payload for answer in answers], levels, f"{count} clients")
        # And crosswise.
        answers = ask_all(peers, GET, uris[::-1], [b""] * count, tag, 0x1236, {0x1234, 0x1235})
        equal([answer.payload for answer in answers], levels[::-1], f"{count} clients, crosswise")
        for peer in peers:
            while more := peer.receive(0.05):
                check(peer.is_copy(more) or more.kind == ACK and not more.code, f"no client gets anything more: {more}")
            peer.close()


play(test)
