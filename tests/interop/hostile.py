#!/usr/bin/env python3
"""Hostile clients of the real gateway, by name: floods without a session, replayed tokens, acknowledgements, Resets and answers forged from
other addresses, clients that never acknowledge. An honest client is served all the while. (Malformed datagrams: bad_input.py; what
addresses that may be forged get: guard.py.)

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import time

from mistakes import Device, content, member, metric
from stage import (ACK, CON, DELETE, GET, NON, POST, PROXY_URI, RST, URI_PATH, URI_QUERY, Message, Peer, check, code_text, equal, path_options, play,
                   until)

SECURITY = (URI_QUERY, b"security=none")


def memory(process):
    with open(f"/proc/{process.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def works(honest, names, what):
    equal(honest.proxied(GET, f"coap://{names['scripted']}/a").payload, b"a", f"an honest client, {what}")


def a_flood_without_a_session(stage, names, honest, _):
    flood = [Peer(stage.gateway_address) for _ in range(20)]
    before = metric(honest, "gateway_refused_anonymous_total")
    for i in range(4000):
        peer = flood[i % len(flood)]
        if i % 2:
            peer.send(Message(NON, GET, peer.next_mid(), os.urandom(2), [(PROXY_URI, f"coap://{names['scripted']}/{i}".encode())]))
        else:
            peer.send(Message(CON, POST, peer.next_mid(), os.urandom(2), path_options("/sessions") + [SECURITY], b"a.b.c%d" % i))
        if i % 500 == 0:
            works(honest, names, "during a flood")
    check(metric(honest, "gateway_refused_anonymous_total") > before, "the flood is counted")
    works(honest, names, "after a flood")
    for peer in flood:
        peer.close()


def checked(ask):
    """The answer of one who was looked at: so many tokens are checked in a second, and a flood has just passed."""
    return until(lambda: (reply := ask()) is not None and code_text(reply.code) != "5.03" and reply, "the gateway looks at a token")


def a_replayed_token(stage, names, honest, _):
    token = stage.token("victim").encode()
    victim = Peer(stage.gateway_address)
    opening = []

    def open_it():
        opening.append(Message(CON, POST, victim.next_mid(), b"open", path_options("/sessions") + [SECURITY], token))
        return victim.answer(opening[-1])

    def post(peer, text):
        return code_text(checked(lambda: peer.request(POST, "/sessions", text, ["security=none"])).code)
    equal(code_text(checked(open_it).code), "2.01", "the session")
    opened = metric(honest, "gateway_sessions_opened_total")
    again = victim.answer(opening[-1])  # the very same datagram: a copy, and no other session
    equal((code_text(again.code), metric(honest, "gateway_sessions_opened_total")), ("2.01", opened), "the same datagram again")
    # From elsewhere a token opens sessions, up to the account's bound, and never touches those that there are.
    thieves = [Peer(stage.gateway_address) for _ in range(4)]
    codes = [post(thief, token) for thief in thieves]
    equal(codes, ["2.01", "2.01", "4.03", "4.03"], "sessions of one account, three at most")
    equal(code_text(victim.proxied(GET, f"coap://{names['scripted']}/a").code), "2.05", "the victim's session")
    for thief in thieves:
        thief.request(DELETE, "/sessions")
    # What has expired opens nothing.
    old = stage.token("victim", exp=int(time.time()) - 3600).encode()
    equal(post(thieves[0], old), "4.01", "a token that has expired")
    future = stage.token("victim", nbf=int(time.time()) + 3600).encode()
    equal(post(thieves[0], future), "4.01", "a token of tomorrow")


def forged_acknowledgements_of_a_client(stage, names, honest, _):
    """An answer is repeated to its client until that client has acknowledged it: another's word does not count."""
    client, forger = member(stage, "client"), Peer(stage.gateway_address)
    client.send(Message(CON, GET, client.next_mid(), b"mine", [(PROXY_URI, f"coap://{names['scripted']}/a".encode())]))
    answer = until(lambda: next((m for m in (client.receive(5),) if m and m.code), None), "the answer")
    equal((answer.kind, answer.token), (CON, b"mine"), "confirmable")
    for kind in (ACK, RST):
        forger.send(Message(kind, 0, answer.mid))
    check(forger.ping(), "the forged messages have been taken")
    until(lambda: (again := client.receive(5)) is not None and again.mid == answer.mid, "the answer is repeated")
    client.send(Message(ACK, 0, answer.mid))
    works(honest, names, "beside a forger")


def forged_answers_of_a_device(stage, names, honest, device):
    """Somebody else on the mesh knows message ID and token, and is faster."""
    forged, forger = [], Peer(stage.gateway_address)

    def reply(request):
        for kind, number in ((ACK, 69), (NON, 69), (CON, 69), (RST, 0), (ACK, 0)):
            token = request.token if number else b""
            forger.socket.connect(device.source)
            forger.send(Message(kind, number, request.mid, token, [], b"forged" if number else b""))
        forged.append(request)
        return content(b"true")
    plain, device.reply = device.reply, reply
    client = member(stage, "client of a device")
    for i in range(20):
        equal(client.proxied(GET, f"coap://{names['scripted']}/secret{i}").payload, b"true", "an answer that others forge")
    device.reply = plain
    check(len(forged) >= 20, "they tried")
    works(honest, names, "beside a forging device")


def a_client_that_never_acknowledges(stage, names, honest, _):
    """It may have as many requests under way as a session may; nobody else suffers, and all of it ends."""
    mute = member(stage, "mute")
    lost = metric(honest, "gateway_answers_undelivered_total")
    for i in range(8):
        mute.send(Message(CON, GET, mute.next_mid(), bytes([i]), [(PROXY_URI, f"coap://{names['scripted']}/m{i}".encode())]))
    codes = {}

    def all_answered():
        message = mute.receive(1)
        if message and message.code:
            codes[message.token] = code_text(message.code)
        return len(codes) == 8
    until(all_answered, "an answer to each")
    equal(sorted(codes.values()), ["2.05"] * 4 + ["5.03"] * 4, "four may be under way")
    works(honest, names, "beside a mute one")
    until(lambda: metric(honest, "gateway_answers_undelivered_total") >= lost + 4, "the gateway gives up")
    until(lambda: metric(honest, "gateway_requests") <= 1, "nothing is left")
    equal(mute.proxied(GET, f"coap://{names['scripted']}/a").payload, b"a", "and serves it when it has learnt better")


def test(stage):
    device = Device(stage, "scripted", lambda rq: content(next(v for n, v in rq.options if n == URI_PATH)))
    gateway = stage.start_gateway('class "default" {\n\tconcurrent = 16\n\tcache = off\n}\nsessions {\n\tper_account = 3\n\trequests = 4\n}\n'
                                  "clients {\n\tack_timeout = 0.5\n\tmax_retransmit = 2\n}")
    honest = member(stage, "honest")
    names = {"scripted": "scripted"}
    works(honest, names, "before all")
    begin = memory(gateway)
    for run in (a_flood_without_a_session, a_replayed_token, forged_acknowledgements_of_a_client, forged_answers_of_a_device,
                a_client_that_never_acknowledges):
        run(stage, names, honest, device)
        print("ok", run.__name__)
    print(f"{memory(gateway) - begin} kB more than before")
    check(gateway.alive(), "the gateway is up")


if __name__ == "__main__":
    play(test)
