#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the node's images under QEMU, each on a tap in a network namespace, with an address under a prefix of its own.

	node.py etsi IMAGES BUILD       the plugtest cases, by the strict checker
	node.py foreign IMAGES BUILD    coap-client, the npm package coap and copse
	node.py monitor IMAGES BUILD    sampling rate, telemetry, alert, update of the firmware with losses of power
	node.py uart IMAGES BUILD       behind copse-nic, over HDLC on a UART; a Cortex-M0 among them
	node.py ... NAME                only the cases or clients whose names contain NAME
"""
import contextlib
import functools
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "interop", "plugtest"), os.path.join(HERE, "..", "interop")]
import cases  # noqa: E402
from stage import PATIENCE, URI_PATH, Failure, Message, Skip, Stage, check, code_text, equal, side_by_side, until  # noqa: E402

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


class Qmp:
    """QEMU's control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        until(lambda: self.socket.connect_ex(path) == 0, "QEMU's control socket")
        self.answers = self.socket.makefile()
        self.answers.readline()
        self.command("qmp_capabilities", {})

    def command(self, name, arguments):
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        for line in self.answers:
            answer = json.loads(line)
            check("error" not in answer, str(answer))
            if "return" in answer:
                return
        raise Failure("QEMU's control socket is closed")

    def degrees(self, degrees):
        self.command("qom-set", {"path": "/machine/peripheral/t0", "property": "temperature", "value": degrees * 1000})

    def close(self):
        self.answers.close()
        self.socket.close()


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


def walk(case, server):
    with contextlib.closing(cases.Client(server)) as client:
        case(client)
    print(f"passed: {case.__name__}: {case.__doc__ or ''}")


def etsi(stage, images, only):
    """Cases that change what others look at have a node of their own; all wait a lot, so they run side by side. One of the nodes
    is a Cortex-M0's image. The block cases need blocks of 1,024 bytes, for which an image has the room."""
    alone = [case for case in cases.OBS if only in case.__name__]
    rows = [(list(cases.CORE + cases.LINK), "plugtest-m3"), (list(cases.CORE + cases.LINK), "plugtest-m0"),
            (list(cases.BLOCK), "plugtest-large-m3")]
    rows = [([case for case in group if only in case.__name__], image) for group, image in rows]
    rows = [([case], "plugtest-m3") for case in alone] + [row for row in rows if row[0]]

    def one(group, server):
        failures = []
        for case in group:
            try:
                walk(case, server)
            except Failure as failure:
                failures.append(f"{case.__name__}: {failure}")
        check(not failures, "; ".join(failures))

    with nodes(stage.folder, images, *(image for _, image in rows)) as started:
        side_by_side([(image, functools.partial(one, group, node.server)) for (group, image), node in zip(rows, started)])


class Sink(cases.Client):
    """A peer that is told things: takes requests."""

    def request_from_node(self, path, patience=PATIENCE):
        """The next request for `path`."""
        wanted = [p for p in path.split("/") if p]
        return self.take(lambda m: m.code == cases.POST and
                         [v.decode() for v in cases.values(m, URI_PATH)] == wanted, patience)


def ok(reply, expected, what):
    equal(code_text(reply.code), expected, what)
    return reply


def monitor(stage, images, only):
    """What the application does: sampling rate, telemetry, alert, update with a loss of power."""
    del only
    store = os.path.join(stage.folder, "store")
    with open(store, "wb") as file:
        file.write(b"\xff" * 65536)
    control = os.path.join(stage.folder, "qmp")
    more = ["-drive", f"if=none,id=e0,format=raw,file={store}", "-device", "at24c-eeprom,bus=i2c,address=0x50,rom-size=65536,drive=e0",
            "-qmp", f"unix:{control},server=on,wait=off"]
    node = Node(stage.folder, images, "monitor-m3", *more)
    client = Sink(node.server)
    try:
        readings(node, client, control)
        update(node, client)
    finally:
        client.close()
        node.stop()


def readings(node, client, control):
    qmp = Qmp(control)
    qmp.degrees(21)
    links = cases.links(client)
    check({"/temperature", "/period", "/limit", "/sink", "/firmware"} <= links, f"links: {links}")
    for bad in (b"", b"0", b"-1", b"86401", b"1x", b"1000000000"):
        ok(client.ask(cases.PUT, "/period", payload=bad), "4.00", f"a period of {bad}")
    ok(client.ask(cases.PUT, "/period", payload=b"1"), "2.04", "PUT of a period")
    equal(client.ask(cases.GET, "/period").payload, b"1", "the period")
    until(lambda: client.ask(cases.GET, "/temperature").payload == b"21", "the thermometer is read each second")
    token, _ = cases.register(client, "/temperature")
    qmp.degrees(-7)
    until(lambda: client.notification(token).payload == b"-7", "a notification of -7 degrees")
    ok(client.ask(cases.PUT, "/limit", payload=b"30"), "2.04", "PUT of a limit")
    ok(client.ask(cases.PUT, "/sink", payload=b"x"), "2.04", "PUT of the sink")
    for _ in range(2):
        told = client.request_from_node("/telemetry")
        equal((told.kind, told.payload), (cases.NON, b"-7"), "telemetry")
    qmp.degrees(31)
    alert = client.request_from_node("/alert")
    equal((alert.kind, alert.payload), (cases.CON, b"31"), "an alert")
    again = client.request_from_node("/alert")  # nobody has acknowledged
    equal((again.mid, again.token, again.payload), (alert.mid, alert.token, b"31"), "the same alert again")
    client.send(Message(cases.ACK, 0x44, again.mid, again.token))
    ok(client.ask(cases.DELETE, "/sink"), "2.02", "DELETE of the sink")
    qmp.close()


def blocks(client, body, first, end, wrong=0):
    """Send blocks of 64 bytes from number `first` up to `end`, or all. Returns the last answer."""
    last = (len(body) - 1) // 64
    for num in range(first, min(end or last + 1, last + 1)):
        piece = bytearray(body[num * 64:num * 64 + 64])
        piece[0] ^= wrong
        block = cases.Block(num, num < last, 64).encode()
        reply = client.ask(cases.PUT, "/firmware", options=[(cases.CONTENT_FORMAT, b"\x2a"), (cases.BLOCK1, block)], payload=bytes(piece))
    return reply


def update(node, client):
    image = os.urandom(5003)
    body = hashlib.sha256(image).digest() + image
    equal(client.ask(cases.GET, "/firmware").payload, b"receiving 0", "nothing yet")
    ok(blocks(client, body, 0, 41), "2.31", "a piece")
    node.stop()  # the power is lost, within a page
    node.start()
    client.mid = (client.mid + 1000) & 0xffff
    have = client.ask(cases.GET, "/firmware").payload
    equal(have, b"receiving 2048", "what outlived it")
    ok(blocks(client, body, 40, 41), "4.08", "a piece that leaves a hole")
    ok(blocks(client, body, 2048 // 64, 0), "2.04", "the last piece")
    equal(client.ask(cases.GET, "/firmware").payload, b"verified 5035", "the digest is right")
    with open(os.path.join(os.path.dirname(node.capture), "store"), "rb") as file:
        equal(file.read(len(body)), body, "what the memory holds")
    node.stop()
    node.start()
    equal(client.ask(cases.GET, "/firmware").payload, b"verified 5035", "after another loss of power")
    ok(blocks(client, body[:200], 0, 0), "4.22", "an image with a wrong digest")
    equal(client.ask(cases.GET, "/firmware").payload, b"receiving 0", "it is forgotten")


def foreign(stage, images, only):
    """libcoap's client, the npm package and copse."""
    clients = [client for client in (coap_client, npm, copse) if only in client.__name__]
    with nodes(stage.folder, images, *("plugtest-m3" for _ in clients)) as started:
        side_by_side([(client.__name__, functools.partial(client, stage, node)) for client, node in zip(clients, started)])


def coap_client(stage, node):
    program = stage.foreign("coap-client")

    def run(*arguments):
        done = stage.run([program, "-B", str(PATIENCE), *arguments])
        return done.stdout.strip("\n")

    put = stage.path("body")
    with open(put, "wb") as file:
        file.write(cases.BODY[:1280])
    equal(run("-m", "put", "-e", "TEST", node.uri + "/test"), "", "coap-client: PUT")
    equal(run(node.uri + "/test"), "TEST", "coap-client: GET")
    equal(run("-N", node.uri + "/test"), "TEST", "coap-client: NON GET")
    equal(run(node.uri + "/separate"), "it took a second", "coap-client: a separate response")
    equal(len(run(node.uri + "/large")), 1279, "coap-client: Block2")
    run("-m", "put", "-b", "64", "-f", put, node.uri + "/large-update")
    equal(run(node.uri + "/large-update"), cases.BODY[:1280].decode(), "coap-client: Block1, read back")
    check("</obs>" in run(node.uri + "/.well-known/core"), "coap-client: links")

    def notified():  # five characters each, of which there are new ones every five seconds
        for seconds in ("12", "30", "120"):
            if len(run("-s", seconds, node.uri + "/obs")) >= 10:
                return True
        return False
    check(notified(), "coap-client: notifications")


def npm(stage, node):
    if not os.path.isdir(os.path.join(HERE, "..", "interop", "node_modules", "coap")):
        raise Skip("npm ci has not been run in tests/interop")
    done = stage.run([stage.foreign("node"), os.path.join(HERE, "node_coap.mjs"), node.address], 300)
    equal(done.returncode, 0, f"the npm package: {done.stdout}{done.stderr}")


def copse(stage, node):
    def run(*arguments):
        done = stage.copse(*arguments)
        equal(done.returncode, 0, f"copse {arguments}: {done.stderr}")
        return done.stdout

    run("put", node.uri + "/test", "TEST")
    equal(run("get", node.uri + "/test").strip(), "TEST", "copse: GET")
    equal(len(run("get", node.uri + "/large")), 1280, "copse: Block2")
    run("put", node.uri + "/large-update", cases.BODY[:1280].decode())
    equal(run("get", node.uri + "/large-update").strip(), cases.BODY[:1280].decode(), "copse: Block1, read back")
    run("delete", node.uri + "/test")
    run("ping", node.uri)
    run("observe", node.uri + "/obs", "--count", "3")


UART = (("monitor-uart-m3", ["-M", "lm3s6965evb", "-device", "tmp105,id=t0,bus=i2c,address=0x48"]),
        ("monitor-uart-m0", ["-M", "microbit"]))


def uart(stage, images, only):
    """The monitor behind its network card: CoAP in HDLC frames on a serial line, on Cortex-M3 and on Cortex-M0 with an update of its
    firmware to flash."""
    for number, (image, machine) in enumerate(UART):
        if only not in image:
            continue
        line, control = os.path.join(stage.folder, f"line{number}"), os.path.join(stage.folder, f"qmp{number}")
        qemu = stage.start(f"qemu-{number}", [
            "qemu-system-arm", *machine, "-nographic", "-monitor", "none", "-serial", f"unix:{line},server=on,wait=off",
            "-kernel", os.path.join(images, f"node-{image}.elf"), "-qmp", f"unix:{control},server=on,wait=off"])
        until(lambda path=line: os.path.exists(path), "the line")
        nic = stage.start(f"nic-{number}", [stage.program("copse-nic"), "--line", line, "--bind", "127.0.0.1:0"])
        port = int(nic.says(r"127\.0\.0\.1:(\d+)").group(1))
        client, qmp = cases.Client(("127.0.0.1", port)), Qmp(control)
        try:
            behind_card(client)
            if "m0" in image:
                update_by_line(client, qmp)
            print(f"passed: {image}")
        finally:
            client.close()
            qmp.close()
            nic.stop()
            qemu.stop()
            stage.processes.clear()


def behind_card(client):
    until(lambda: code_text(client.ask(cases.GET, "/period").code) == "2.05", "the node answers")
    ok(client.ask(cases.PUT, "/period", payload=b"1"), "2.04", "PUT of a period")
    equal(client.ask(cases.GET, "/period").payload, b"1", "the period")
    ok(client.ask(cases.GET, "/nothing"), "4.04", "GET of what is not there")
    equal(client.ask(cases.GET, "/temperature").payload, b"0", "the temperature")
    token, first = cases.register(client, "/temperature")
    equal(first.payload, b"0", "the registration's answer")
    reply = client.ask(cases.GET, "/temperature", token=token, options=[(cases.OBSERVE, b"\1")])
    check(reply.option(cases.OBSERVE) is None, "the observation has ended")


def update_by_line(client, qmp):
    image = os.urandom(2100)
    body = hashlib.sha256(image).digest() + image
    ok(blocks(client, body, 0, 20), "2.31", "a piece")
    qmp.command("system_reset", {})  # what is in RAM is set anew, what is in flash stays
    client.mid = (client.mid + 1000) & 0xffff
    until(lambda: client.ask(cases.GET, "/firmware").payload == b"receiving 1024", "what outlived it")
    ok(blocks(client, body, 1024 // 64, 0), "2.04", "the last piece")
    equal(client.ask(cases.GET, "/firmware").payload, b"verified 2132", "the digest is right")
    ok(blocks(client, body[:200], 0, 0), "4.22", "an image with a wrong digest")


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
    tests = {"etsi": etsi, "monitor": monitor, "foreign": foreign, "uart": uart}
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
