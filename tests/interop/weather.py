#!/usr/bin/env python3
"""Loss, delay, reordering and duplication on both sides of the gateway; and the gateway stopped and started in between. Every client reads what it
wrote, each request runs once, nothing of one client reaches the other.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import signal
import threading

from mistakes import Device, content, member
from stage import ACK, CON, GATEWAY, GET, POST, PROXY_URI, PUT, Message, Peer, check, code_text, equal, free_port, play, until

WEATHER = ("--loss", "0.1", "--duplicate", "0.1", "--reorder", "0.1", "--delay", "5")
QUICK = "ack_timeout = 0.3\n\tmax_retransmit = 9"
ROUNDS = 8


def relay(stage, to, seed):
    program = os.path.join(stage.build, "tests", "tools", "lossy-relay")
    process = stage.start("lossy-relay", [program, "--listen", "127.0.0.1:0", "--to", f"127.0.0.1:{to}", *WEATHER, "--seed", str(seed)])
    return process, int(process.says(r"listening .*:(\d+)").group(1))


def patient(address):
    peer = Peer(address)
    peer.pause, peer.growth = 0.4, 1.2
    return peer


def write_and_read(stage, address, name, number, wrong):
    try:
        peer = patient(address)
        peer.open_session(stage.token(f"client {number}"))
        for i in range(ROUNDS):
            value = b"%d-%d" % (number, i)
            equal(code_text(peer.proxied(PUT, f"coap://{name}/v", value).code), "2.04", "PUT")
            equal(peer.proxied(GET, f"coap://{name}/v").payload, value, "what was written")
            equal(code_text(peer.proxied(POST, f"coap://{name}/count").code), "2.04", "POST")
    except Exception as error:  # of a thread: told by the test
        wrong.append(f"client {number}: {error}")


class Memory:
    """A device that holds a value, and counts what it has run. It is told nothing of copies."""

    def __init__(self):
        self.value, self.count = b"", 0

    def __call__(self, request):
        if request.code == PUT:
            self.value = request.payload
        self.count += request.code == POST
        return content(self.value) if request.code == GET else Message(ACK, 68, 0)


def bad_weather(stage):
    devices = [Memory(), Memory()]
    for i, memory in enumerate(devices):
        device = Device(stage, f"hidden{i}", memory)
        stage.devices.pop(f"hidden{i}")
        stage.add_device(f"device{i}", relay(stage, device.port, 10 + i)[1])
    stage.add_device("foreign", relay(stage, stage.coap_server()[1], 20)[1])
    gateway = stage.start_gateway(f"clients {{\n\t{QUICK}\n}}", QUICK, port=free_port())
    lossy, port = relay(stage, stage.gateway_address[1], 1)
    wrong = []
    threads = [threading.Thread(target=write_and_read, args=(stage, ("127.0.0.1", port), f"device{i}", i, wrong)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(wrong, [], "what clients saw")
    equal([memory.count for memory in devices], [ROUNDS, ROUNDS], "each POST has run once")
    # libcoap at both ends
    mine = free_port()
    uri = f"coap://127.0.0.1:{port}"
    until(lambda: "account: libcoap" in stage.coap_client(mine, "-m", "post", "-e", stage.token("libcoap"), f"{uri}/sessions?security=none"),
          "a session of libcoap's client")
    for value in ("one", "two"):
        def through(value=value):  # libcoap's client gives up after four repetitions
            stage.coap_client(mine, "-P", uri, "-m", "put", "-e", value, "coap://foreign/example_data")
            return stage.coap_client(mine, "-P", uri, "-m", "get", "coap://foreign/example_data") == value
        until(through, "what was written is read")
    check(gateway.alive() and lossy.alive(), "all are up")
    return gateway


def stopped_and_started(stage, gateway):
    """Sessions are gone, devices and their names are not; a client that notices opens another session and goes on."""
    peer = member(stage)
    for i, how in enumerate((signal.SIGTERM, signal.SIGKILL)):
        equal(code_text(peer.proxied(PUT, "coap://device0/v", b"%d" % i).code), "2.04", "before")
        peer.send(Message(CON, GET, peer.next_mid(), b"lost", [(PROXY_URI, b"coap://foreign/async?5")]))
        gateway.stop(how)
        stage.processes.remove(gateway)
        gateway = stage.start("copse-gateway", [stage.program("copse-gateway"), "-c", stage.path("gateway.conf"), *GATEWAY])
        gateway.says("msg=listening")
        while peer.receive(0.05):
            pass
        equal(code_text(peer.proxied(GET, "coap://device0/v").code), "4.01", "sessions do not outlive the gateway")
        peer.open_session(stage.token())
        equal(peer.proxied(GET, "coap://device0/v").payload, b"%d" % i, "afterwards")


def test(stage):
    gateway = bad_weather(stage)
    print("ok bad_weather")
    stopped_and_started(stage, gateway)
    print("ok stopped_and_started")


if __name__ == "__main__":
    play(test)
