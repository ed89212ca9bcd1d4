#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the node's images under QEMU, each on a tap in a network namespace, with an address under a prefix of its own.

	node.py etsi IMAGES BUILD       the plugtest cases, by the strict checker
	node.py foreign IMAGES BUILD    coap-client, the npm package coap and copse
	node.py ... NAME                only the cases or clients whose names contain NAME
"""
import contextlib
import os
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "interop", "plugtest"), os.path.join(HERE, "..", "interop")]
import cases  # noqa: E402
from stage import Failure, Skip, Stage, check, equal, until  # noqa: E402

SKIPPED = 77


class Node:
    """QEMU with an image on a tap of its own; ended by its own process id."""

    number = 0

    def __init__(self, folder, images, name, *arguments):
        Node.number += 1
        self.tap, self.folder = f"node{Node.number}", folder
        self.mac = f"52:54:00:12:{Node.number:02x}:56"
        self.address = f"fd00:0:0:{Node.number:x}:5054:ff:fe12:{Node.number:x}56"
        self.capture = os.path.join(folder, self.tap + ".pcap")
        self.command = ["qemu-system-arm", "-M", "lm3s6965evb", "-nographic", "-monitor", "none", "-serial", "none", "-kernel",
                        os.path.join(images, f"node-{name}.elf"), "-netdev", f"tap,id=n0,ifname={self.tap},script=no,downscript=no",
                        "-net", f"nic,netdev=n0,model=stellaris,macaddr={self.mac}",
                        "-object", f"filter-dump,id=f0,netdev=n0,file={self.capture}",
                        "-device", "tmp105,id=t0,bus=i2c,address=0x48", *arguments]
        for command in (["tuntap", "add", "dev", self.tap, "mode", "tap"], ["link", "set", self.tap, "up"],
                        ["addr", "add", f"fd00:0:0:{Node.number:x}::1/64", "dev", self.tap, "nodad"]):
            subprocess.run(["ip", *command], check=True)
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = cases.Client(self.server)
        try:
            until(client.ping, f"{self.tap} answers")
        finally:
            client.close()

    def stop(self):
        self.process.kill()
        self.process.wait()

    @property
    def server(self):
        return self.address, 5683

    @property
    def uri(self):
        return f"coap://[{self.address}]"


@contextlib.contextmanager
def nodes(folder, images, *names):
    started = []
    try:
        for name in names:
            started.append(Node(folder, images, name))
        yield started
    finally:
        for node in started:
            node.stop()


def walk(case, server, failures):
    client = cases.Client(server)
    try:
        case(client)
        print(f"passed: {case.__name__}: {case.__doc__ or ''}")
    except Failure as failure:
        failures.append(f"{case.__name__}: {failure}")
    except Exception as error:  # pylint: disable=broad-except
        failures.append(f"{case.__name__}: {error!r}")
    finally:
        client.close()


def etsi(stage, images, only):
    """Cases that change what others look at have a node of their own; all wait a lot, so they run side by side. One of the nodes
    is a Cortex-M0's image. The block cases need blocks of 1,024 bytes, for which an image has the room."""
    alone = [case for case in cases.OBS if only in case.__name__]
    rows = [(list(cases.CORE + cases.LINK), "plugtest-m3"), (list(cases.CORE + cases.LINK), "plugtest-m0"),
            (list(cases.BLOCK), "plugtest-large-m3")]
    rows = [([case for case in group if only in case.__name__], image) for group, image in rows]
    rows = [([case], "plugtest-m3") for case in alone] + [row for row in rows if row[0]]
    failures = []

    def one(group, server):
        for case in group:
            walk(case, server, failures)

    with nodes(stage.folder, images, *(image for _, image in rows)) as started:
        threads = [threading.Thread(target=one, args=(group, node.server)) for (group, _), node in zip(rows, started)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check(not failures, "; ".join(failures))


def in_namespace():
    """Runs this script again in a network namespace of its own."""
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "ip", "tuntap", "add", "dev", "tap0", "mode", "tap"], capture_output=True, check=False).returncode:
        raise Skip("no network namespaces or no tap devices here")
    os.execvp("unshare", [*alone, sys.executable, "-B", os.path.abspath(__file__), "inside", *sys.argv[1:]])


def main():
    if sys.argv[1] != "inside":
        in_namespace()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    what, images, build, *only = sys.argv[2:]
    tests = {"etsi": etsi}
    with tempfile.TemporaryDirectory(prefix="copse-node-") as folder:
        tests[what](Stage(os.path.abspath(build), folder), images, only[0] if only else "")


if __name__ == "__main__":
    try:
        main()
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    except Failure as failure:
        sys.exit(f"failed: {failure}")
