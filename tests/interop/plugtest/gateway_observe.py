#!/usr/bin/env python3
"""The plugtest cases of observation through the gateway, in front of the conformance server: a strict checker, libcoap's client, the npm
package and `copse` observe; each opens a session first.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import signal

import cases
from cases import OBSERVE, TEXT
from proxied import Proxied
from stage import CON, GET, HERE, POST, RST, SECRET, Message, check, equal, free_port, play, side_by_side, until


def observe_lost(client):
    """CO04. The device forgets its observers silently: the gateway notices by Max-Age, and registers anew for them."""
    token, last = cases.register(client)
    for _ in range(2):
        last = cases.next_note(client, token, last, CON, "CO04")
    cases.piggybacked(client.ask(POST, "/obs-reset", options=[TEXT], payload=b"sesame"), "2.04", "CO04")
    for _ in range(3):
        last = cases.next_note(client, token, last, CON, "CO04: repaired")
    _, last = cases.register(client, token=token)
    note = client.unacknowledged(token)
    cases.newer(last, note)
    client.send(Message(RST, 0, note.mid))
    client.hears_no_more(token, "CO04: no more after a Reset")


OBS = tuple(observe_lost if case is cases.observe_lost else case for case in cases.OBS)


def two_observers(client, stage):
    """CO01 and CO12 for two at a time: when one leaves the other goes on."""
    other = Proxied(stage, client.name)
    mine, last = cases.register(client)
    theirs, theirs_last = cases.register(other, token=mine)  # the same token, elsewhere
    last = cases.next_note(client, mine, last, CON, "two")
    theirs_last = cases.next_note(other, theirs, theirs_last, CON, "two")
    reply = client.ask(GET, "/obs", token=mine, options=[(OBSERVE, b"\1")])
    check(reply.option(OBSERVE) is None, "CO12: no Observe")
    cases.next_note(other, theirs, theirs_last, CON, "one is left")
    client.hears_no_more(mine, "CO12: no more")
    other.close()


def with_coap_client(stage, name):
    uri = stage.gateway_uri()
    for path, arguments in (("/obs", []), ("/obs-non", ["-N"])):
        # A port for each: their tokens are the same, and what the first one did not wait for would be the second one's answer.
        port = free_port()
        stage.coap_client(port, "-m", "post", "-e", stage.token("libcoap"), f"{uri}/sessions?security=none")
        process = stage.start("coap-client", ["stdbuf", "-oL", stage.foreign("coap-client"), "-v", "6", "-B", "900", "-p", str(port), "-P", uri, "-s", "900",
                                              "-w", "-m", "get", *arguments, f"coap://{name}{path}"])
        kind = "NON" if arguments else "CON"

        def notified(process=process, kind=kind):
            check(process.alive(), f"coap-client ended: {process.output()}")
            found = re.findall(rf"^v:1 t:{kind} c:2\.05 i:\w+ \{{(\w+)\}} \[.*Observe:(\d+)", process.output(), re.M)
            return found if len(found) >= 3 else None
        notes = until(notified, f"coap-client {path}: three notifications")
        process.stop(signal.SIGINT)
        stage.processes.remove(process)
        numbers = [int(number) for _, number in notes]
        check(numbers == sorted(numbers), f"coap-client {path}: Observe {numbers}")
        equal(len({token for token, _ in notes}), 1, f"coap-client {path}: tokens")


def with_copse(stage, name):
    opened = stage.copse("session", "open", stage.gateway_uri(), "--account", "tool", "--secret", SECRET)
    equal(opened.returncode, 0, f"session open: {opened.stderr}")
    for path in ("/obs", "/obs-non"):
        done = stage.copse("observe", f"coap://{name}{path}", "--json", "--count", "3")
        equal(done.returncode, 0, f"copse observe {path}: {done.stderr}")
        numbers = [int(n) for n in re.findall(r'"Observe": ?(\d+)', done.stdout)]
        check(len(numbers) == 3 and numbers == sorted(numbers), f"copse observe {path}: Observe {numbers}")


def with_npm(stage, name):
    if not os.path.isdir(os.path.join(HERE, "node_modules", "coap")):
        print("the npm package is not there: left out")
        return
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm_observe.mjs")
    done = stage.run([stage.foreign("node"), script, str(stage.gateway_address[1]), stage.token("npm"), str(free_port()), f"coap://{name}/obs"])
    equal(done.returncode, 0, f"npm coap: {done.stderr}")


def test(stage):
    tools = (with_coap_client, with_copse, with_npm)
    names = [f"00135000000000{i:02x}" for i in range(len(OBS) + 1 + len(tools))]
    for name in names:
        stage.add_device(name, stage.start_plugtest_server()[1])
    stage.start_gateway('class "foreign" {\n\tconcurrent = 4\n}')
    left = iter(names)
    jobs = []
    for case in OBS:
        client = Proxied(stage, next(left))
        jobs.append((case.__name__, lambda case=case, client=client: case(client)))
    client = Proxied(stage, next(left))
    jobs.append(("two_observers", lambda: two_observers(client, stage)))
    jobs += [(tool.__name__, lambda tool=tool, name=next(left): tool(stage, name)) for tool in tools]
    side_by_side(jobs)


play(test)
