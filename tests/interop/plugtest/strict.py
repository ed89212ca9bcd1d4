#!/usr/bin/env python3
"""All plugtest cases against plugtest-server, each field judged; and again over a link that loses datagrams those that say
nothing of times.

SPDX-License-Identifier: BSD-2-Clause
"""
import contextlib
import functools

import cases
from relay import Relay
from stage import check, play, side_by_side


def walk(case, server):
    with contextlib.closing(cases.Client(server)) as client:
        case(client)


def test(stage):
    # Cases that change what others look at have a server of their own; all wait a lot, so they run side by side.
    groups = [(case, stage.start_plugtest_server()) for case in cases.OBS]
    shared = stage.start_plugtest_server()
    relay = Relay(stage, stage.start_plugtest_server(), 0.1, 7)
    groups += [(case, shared) for case in cases.CORE + cases.BLOCK + cases.LINK]
    lossy = [cases.core_methods, cases.core_formats, cases.core_validation, cases.link_filters, cases.block_writing]
    groups += [(case, relay.address) for case in lossy]
    side_by_side([(case.__name__, functools.partial(walk, case, server)) for case, server in groups])
    check(relay.lost > 0, "the relay has lost something")
    print(f"{len(groups)} groups of cases; the relay lost {relay.lost} of {relay.lost + relay.passed} datagrams")


play(test)
