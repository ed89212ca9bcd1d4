#!/usr/bin/env python3
"""The plugtest cases as the npm package `coap` walks through them.

SPDX-License-Identifier: BSD-2-Clause
"""
import os

import cases  # noqa: F401  finds the stage
from stage import HERE, Failure, Skip, play


def test(stage):
    if not os.path.isdir(os.path.join(HERE, "node_modules", "coap")):
        raise Skip("npm ci has not been run in tests/interop")
    process = stage.start("plugtest-server", [stage.program("plugtest-server"), "127.0.0.1:0"])
    port = process.says(r"listening at 127\.0\.0\.1:(\d+)").group(1)
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "npm_coap.mjs")
    done = stage.run([stage.foreign("node"), script, port])
    print(done.stdout)
    if done.returncode:
        raise Failure(f"the node client: {done.stderr}")


play(test)
