#!/usr/bin/env python3
"""The npm package `coap` on both sides of the gateway at once: as a client, and as the device that it reaches.

SPDX-License-Identifier: BSD-2-Clause
"""
import os

from stage import HERE, Failure, Skip, free_port, play


def test(stage):
    if not os.path.isdir(os.path.join(HERE, "node_modules", "coap")):
        raise Skip("npm ci has not been run in tests/interop")
    node, script = stage.foreign("node"), os.path.join(HERE, "npm_coap.mjs")
    port = int(stage.start("node-device", [node, script, "device"]).says(r"^port (\d+)").group(1))
    stage.add_device("0013500000000de0", port)
    stage.start_gateway()
    done = stage.run([node, script, "client", str(free_port()), str(stage.gateway_address[1]), stage.token(), "0013500000000de0"])
    print(done.stdout)
    if done.returncode:
        raise Failure(f"the node client: {done.stderr}")


play(test)
