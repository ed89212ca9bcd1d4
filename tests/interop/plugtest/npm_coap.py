#!/usr/bin/env python3
"""The plugtest cases as the npm package `coap` walks through them, over a clean link and over one that loses datagrams.

SPDX-License-Identifier: BSD-2-Clause
"""
import os

import cases  # noqa: F401  finds the stage
from relay import Relay
from stage import HERE, Failure, Skip, play


def test(stage):
    if not os.path.isdir(os.path.join(HERE, "node_modules", "coap")):
        raise Skip("npm ci has not been run in tests/interop")
    def walk(port, *arguments):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm_coap.mjs")
        done = stage.run([stage.foreign("node"), script, str(port), *arguments])
        print(done.stdout)
        if done.returncode:
            raise Failure(f"the node client {' '.join(arguments)}: {done.stderr}")

    walk(stage.start_plugtest_server()[1])
    lossy = Relay(stage, stage.start_plugtest_server(), 0.1, 5)
    walk(lossy.address[1], "lossy")
    if not lossy.lost:
        raise Failure("the relay has lost nothing")


play(test)
