#!/usr/bin/env python3
"""All plugtest cases against plugtest-server, each field judged; and again over a link that loses datagrams those that say
nothing of times.

SPDX-License-Identifier: BSD-2-Clause
"""
import threading

import cases
from relay import Relay
from stage import Failure, check, play


def start(stage):
    process = stage.start("plugtest-server", [stage.program("plugtest-server"), "127.0.0.1:0"])
    return "127.0.0.1", int(process.says(r"listening at 127\.0\.0\.1:(\d+)").group(1))


def walk(case, server, failures):
    client = cases.Client(server)
    try:
        case(client)
    except Failure as failure:
        failures.append(f"{case.__name__}: {failure}")
    except Exception as error:  # pylint: disable=broad-except
        failures.append(f"{case.__name__}: {error!r}")
    finally:
        client.close()


def test(stage):
    # Cases that change what others look at have a server of their own; all wait a lot, so they run side by side.
    groups = [(case, start(stage)) for case in cases.OBS]
    shared = start(stage)
    relay = Relay(start(stage), 0.1, 7)
    groups += [(case, shared) for case in cases.CORE + cases.BLOCK + cases.LINK]
    lossy = [cases.core_methods, cases.core_formats, cases.core_validation, cases.link_filters, cases.block_writing]
    groups += [(case, relay.address) for case in lossy]
    failures = []
    threads = [threading.Thread(target=walk, args=(case, server, failures)) for case, server in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    relay.stop()
    check(not failures, "; ".join(failures))
    check(relay.lost > 0, "the relay has lost something")
    print(f"{len(groups)} groups of cases; the relay lost {relay.lost} of {relay.lost + relay.passed} datagrams")


play(test)
