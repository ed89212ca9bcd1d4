#!/usr/bin/env python3
"""The plugtest cases of messages, blocks and links through the gateway, in front of the conformance server; each client opens a
session first. Those of observation are in gateway_observe.py; those of OSCORE in oscore.py.

SPDX-License-Identifier: BSD-2-Clause
"""
import contextlib
import functools
import os

import cases
from proxied import Proxied
from stage import ACK, CON, GET, NON, PROXY_URI, Message, equal, play, side_by_side


def core_separate(client):
    """CC09, CC11, CC16, CC17. Through the gateway every answer of a device is a message of its own."""
    cases.content(client.ask(GET, "/separate"), "CC09")
    cases.content(client.ask(GET, "/separate", kind=NON), "CC17", NON)
    # CC16: it is sent until it is acknowledged
    token = os.urandom(8)
    uri = f"coap://{client.name}/separate?fresh=1".encode()  # another one than the cache knows
    client.send(Message(CON, GET, client.next_mid(), token, [(PROXY_URI, uri)]))
    first = client.unacknowledged(token)
    equal(first.kind, CON, "CC16: type")
    again = client.unacknowledged(token)
    equal(again.mid, first.mid, "CC16: the very same message again")
    client.send(Message(ACK, 0, again.mid))
    client.hears_no_more(token, "CC16: not after the acknowledgement")


CASES = tuple(core_separate if case is cases.core_separate else case for case in cases.CORE + cases.BLOCK + cases.LINK)


def walk(case, client):
    with contextlib.closing(client):
        case(client)


def test(stage):
    names = [f"00135000000001{i:02x}" for i in range(len(CASES))]
    for name in names:
        stage.add_device(name, stage.start_plugtest_server()[1])
    stage.start_gateway()
    jobs = [(case.__name__, functools.partial(walk, case, Proxied(stage, name))) for case, name in zip(CASES, names)]
    side_by_side(jobs)
    print(f"{len(jobs)} groups of cases through the gateway")


play(test)
