#!/usr/bin/env python3
"""copse-nic with a simulated sensor on a serial line that damages bytes: asked directly by coap-client, copse and a raw client, and as
two devices of one gateway; the sensor killed and started again.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import pty
import random
import re
import signal
import threading
import tty

from stage import DELETE, GET, OBSERVE, PUT, ACCEPT, CON, Message, Peer, check, code_text, equal, free_port, path_options, play, until


class Line:
    """Two terminals, and a thread that carries bytes between them; about one byte in `every` is dropped, doubled or flipped, and then none of
    the next bytes of that direction: a request and its answer, sent again, get through, and not merely as a rule."""

    CLEAN = 300  # more than two frames

    def __init__(self, stage, name, every=0, seed=1):
        self.ends, self.paths = [], []
        for i in range(2):
            master, slave = pty.openpty()
            tty.setraw(master)
            tty.setraw(slave)
            self.ends.append((master, slave))  # the slave stays open: the line outlives the programs at its ends
            self.paths.append(os.ttyname(slave))
        self.every, self.damaged, self.random = every, 0, random.Random(seed)
        self.clean = [0, 0]  # bytes of each direction that will not be damaged
        self.stopped = False
        self.threads = [threading.Thread(target=self.carry, args=(i,), daemon=True) for i in range(2)]
        for thread in self.threads:
            thread.start()
        stage.cleanups.append(self.stop)

    def spoil(self, data, i):
        out = bytearray()
        for byte in data:
            self.clean[i] -= self.clean[i] > 0
            if not self.every or self.clean[i] or self.random.randrange(self.every - self.CLEAN):
                out.append(byte)
                continue
            self.damaged += 1
            self.clean[i] = self.CLEAN
            fault = self.random.randrange(3)
            if fault == 1:
                out += bytes([byte, byte])
            elif fault == 2:
                out.append(byte ^ 1 << self.random.randrange(8))
        return bytes(out)

    def carry(self, i):
        while not self.stopped:
            try:
                data = os.read(self.ends[i][0], 256)
                os.write(self.ends[1 - i][0], self.spoil(data, i))
            except OSError:
                return

    def stop(self):
        self.stopped = True
        for master, slave in self.ends:
            os.write(slave, b"\x7e")  # wakes the thread that reads at the other end of the pair
        for thread in self.threads:
            thread.join()
        for master, slave in self.ends:
            os.close(slave)
            os.close(master)


def start_nic(stage, line, *arguments):
    nic = stage.start("copse-nic", [stage.program("copse-nic"), "--line", line.paths[0], "--bind", "127.0.0.1:0",
                                    "--timeout", "0.2", "--frame", "160", *arguments])
    port = int(nic.says(r"msg=listening address=127\.0\.0\.1:(\d+)").group(1))
    return nic, port


def start_sensor(stage, line, kind, seed):
    sensor = stage.start("copse-sim", [stage.program("copse-sim"), "--count", "1", "--kinds", kind, "--seed", str(seed),
                                       "--line", line.paths[1], "--frame", "160"])
    sensor.says(r"msg=listening")
    return sensor


def info(peer):
    text = peer.request(GET, "/info").payload.decode()
    return dict(line.split(": ", 1) for line in text.splitlines())


def own_data(stage, peer):
    check(re.fullmatch(rb"\d\d:\d\d:\d\dZ", peer.request(GET, "/time").payload), "GET /time")
    check(re.fullmatch(rb"\d{4}-\d\d-\d\d", peer.request(GET, "/date").payload), "GET /date")
    equal(peer.request(GET, "/battery").payload, b"87", "GET /battery")
    equal(peer.request(GET, "/signal", options=[(ACCEPT, b"\x6e")]).payload, b'[{"n":"signal","u":"dBm","v":-71}]', "GET /signal as SenML")
    equal(code_text(peer.request(DELETE, "/time").code), "4.05", "DELETE /time")
    equal(code_text(peer.request(GET, "/time", options=[(9999, b"x")]).code), "4.02", "an unknown critical option")
    equal(info(peer)["line"], "up", "the line")


def observe(stage, peer):
    """The battery of the card and the tariff of the sensor, observed; each notification is acknowledged."""
    token = os.urandom(4)
    first = peer.answer(Message(CON, GET, peer.next_mid(), token, [(OBSERVE, b""), *path_options("/tariff")]))
    check(first.option(OBSERVE) is not None, f"the registration passes: {first}")
    writer = Peer(peer.socket.getpeername())
    for value in (b"2", b"3", b"4"):
        equal(code_text(writer.request(PUT, "/tariff", value).code), "2.04", "PUT /tariff")

        def told():
            message = peer.receive(1)
            if message and message.kind == CON:
                peer.send(Message(2, 0, message.mid))
            return message if message and message.token == token and message.payload.startswith(value) else None
        check(until(told, f"the observer hears of {value}").option(OBSERVE), "it is a notification")
    equal(info(writer)["observers"], "1", "observers")
    last = peer.answer(Message(CON, GET, peer.next_mid(), token, [(OBSERVE, b"\x01"), *path_options("/tariff")]))
    equal(code_text(last.code), "2.05", "the answer to the cancellation")
    equal(info(writer)["observers"], "0", "observers after the cancellation")
    writer.close()


def foreign_clients(stage, port):
    uri = f"coap://127.0.0.1:{port}"
    local = free_port()
    check(re.fullmatch(r"\d+\.\d{3}", stage.coap_client(local, "-m", "get", f"{uri}/consumption")), "coap-client GET")
    links = stage.coap_client(local, "-m", "get", f"{uri}/.well-known/core")
    check("</info>" in links and "</consumption>" in links, f"the sensor's links are among the card's: {links}")
    equal(stage.coap_client(local, "-m", "put", "-e", "2", f"{uri}/tariff"), "", "coap-client PUT")
    found = stage.copse("get", f"{uri}/tariff")
    check(found.returncode == 0 and found.stdout.startswith("2"), f"copse get: {found}")
    # A body that no frame of the line holds: it is cut, and the sensor says what it thinks of it.
    long = stage.run([stage.program("copse"), "put", f"{uri}/tariff", "x" * 1500])
    check(long.returncode == 4 and "4.13" in long.stderr + long.stdout, f"a long body reaches the sensor: {long}")


def death(stage, line, peer, sensor):
    """The sensor dies: 5.04. It comes back: answers."""
    sensor.stop(signal.SIGKILL)
    stage.processes.remove(sensor)
    equal(code_text(peer.request(GET, "/consumption").code), "5.04", "a dead sensor")
    sensor = start_sensor(stage, line, "meter", 5)
    until(lambda: code_text(peer.request(GET, "/consumption").code) == "2.05", "the sensor is back")


def behind_the_gateway(stage, ports):
    for name, port in ports.items():
        stage.add_device(name, port)
    stage.start_gateway()
    peer = Peer(stage.gateway_address)
    peer.open_session(stage.token())
    for name in ports:
        check(peer.proxied(GET, f"coap://{name}/battery").payload == b"87", "the card's own data through the gateway")
    meter, thermostat = ports
    check(re.fullmatch(rb"\d+\.\d{3}", peer.proxied(GET, f"coap://{meter}/consumption").payload), "a meter behind a card")
    check(re.fullmatch(rb"\d+\.\d", peer.proxied(GET, f"coap://{thermostat}/temperature").payload), "a thermostat behind a card")
    equal(code_text(peer.proxied(PUT, f"coap://{thermostat}/setpoint", b"23.5").code), "2.04", "PUT through gateway and card")
    equal(peer.proxied(GET, f"coap://{thermostat}/setpoint").payload, b"23.5", "read back")


def test(stage):
    for name, value in (("battery", "87\n"), ("signal", "-71\n")):
        with open(stage.path(name), "w", encoding="utf-8") as file:
            file.write(value)
    files = ["--battery", stage.path("battery"), "--signal", stage.path("signal")]
    lines = [Line(stage, "first", every=400), Line(stage, "second")]
    sensor = start_sensor(stage, lines[0], "meter", 5)
    start_sensor(stage, lines[1], "thermostat", 6)
    _, first = start_nic(stage, lines[0], *files)
    _, second = start_nic(stage, lines[1], *files)
    peer = Peer(("127.0.0.1", first))
    own_data(stage, peer)
    for i in range(100):
        equal(code_text(peer.request(GET, "/consumption").code), "2.05", f"request {i} over the bad line")
    check(lines[0].damaged > 5, f"the line was bad: {lines[0].damaged} bytes")
    check(int(info(peer)["damaged"]) > 0, "the card counts what was damaged")
    bad, lines[0].every = lines[0].every, 0  # a notification that is not confirmable would be lost for good
    observe(stage, peer)
    lines[0].every = bad
    foreign_clients(stage, first)
    death(stage, lines[0], peer, sensor)
    behind_the_gateway(stage, {"00135000000e0001": first, "00135000000e0002": second})


play(test)
