#!/usr/bin/env python3
"""copse-sim, asked directly: every kind answers in every format, takes what it should and says why not, tells its observers, loses and
sleeps, and lists itself.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import re
import time

from stage import (ACCEPT, ACK, CON, CONTENT_FORMAT, DELETE, GET, OBSERVE, POST, PUT, Message, Peer, check, code_text, equal, path_options,
                   play, until)

TEXT, LINKS, JSON, SENML_JSON = 0, 40, 50, 110
SHAPES = {  # resource -> what its text looks like
    "meter": {"consumption": r"\d+\.\d{3}", "tariff": r"[1-4]", "switch": r"on|off"},
    "thermostat": {"temperature": r"-?\d+\.\d", "setpoint": r"\d+\.\d", "schedule": r"\d\d:\d\d \d+(,\d\d:\d\d \d+)*"},
    "light": {"brightness": r"\d{1,3}"},
    "climate": {"temperature": r"-?\d+\.\d", "humidity": r"\d\d"},
    "tracker": {"location": r"-?\d+\.\d{6},-?\d+\.\d{6}", "status": r"moving|parked|alert"},
}
WRITES = [  # kind, resource, method, value, whether it is taken
    ("meter", "tariff", PUT, "4", True), ("meter", "tariff", PUT, "5", False), ("meter", "tariff", PUT, "", False),
    ("meter", "switch", PUT, "off", True), ("meter", "switch", PUT, "toggle", False), ("meter", "switch", POST, "toggle", True),
    ("thermostat", "setpoint", PUT, "23.5", True), ("thermostat", "setpoint", PUT, "99", False),
    ("thermostat", "schedule", PUT, "07:00 20,23:00 16", True), ("thermostat", "schedule", PUT, "23:00 16,07:00 20", False),
    ("light", "brightness", PUT, "75", True), ("light", "brightness", PUT, "101", False),
]


def uint(value):
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def format_of(message):
    return int.from_bytes(message.option(CONTENT_FORMAT) or b"", "big")


def reads(device, name, kind):
    links = device.request(GET, "/.well-known/core")
    equal(format_of(links), LINKS, "the format of the links")
    equal(set(re.findall(r"</(\w+)>", links.payload.decode())), set(SHAPES[kind]), f"resources of a {kind}")
    for resource, shape in SHAPES[kind].items():
        text = device.request(GET, resource)
        equal(code_text(text.code), "2.05", f"GET /{resource}")
        equal(format_of(text), TEXT, "the default format")
        check(re.fullmatch(shape, text.payload.decode()), f"/{resource} of a {kind}: {text.payload!r}")
        as_json = device.request(GET, resource, options=[(ACCEPT, uint(JSON))])
        equal(format_of(as_json), JSON, "Accept: JSON")
        check(isinstance(json.loads(as_json.payload), dict), f"{as_json.payload!r}")
        senml = json.loads(device.request(GET, resource, options=[(ACCEPT, uint(SENML_JSON))]).payload)
        equal(senml[0]["bn"], f"urn:dev:mac:{name}_", "the base name")
        check(all("n" in record and ("v" in record or "vs" in record) for record in senml), f"{senml}")
        equal(code_text(device.request(GET, resource, options=[(ACCEPT, uint(60))]).code), "4.06", "Accept: CBOR")
        equal(code_text(device.request(DELETE, resource).code), "4.05", "DELETE")
    equal(code_text(device.request(GET, "/nothing").code), "4.04", "GET /nothing")


def writes(devices):
    for kind, resource, method, value, taken in WRITES:
        device = devices[kind]
        before = device.request(GET, resource).payload
        reply = device.request(method, resource, value.encode())
        if taken:
            equal(code_text(reply.code), "2.04", f"{resource} {value!r}")
        else:
            equal(code_text(reply.code), "4.00", f"{resource} {value!r}")
            check(len(reply.payload) > 8, "a diagnostic says why")
            equal(device.request(GET, resource).payload, before, f"{resource} after a value that was refused")
    meter = devices["meter"]
    for form, body in ((JSON, b"3"), (JSON, b'{"tariff": 2}'), (SENML_JSON, b'[{"n":"tariff","v":1}]')):
        equal(code_text(meter.request(PUT, "tariff", body, options=[(CONTENT_FORMAT, uint(form))]).code), "2.04", f"PUT {body}")
    equal(meter.request(GET, "tariff").payload, b"1", "the last one")
    equal(code_text(meter.request(PUT, "tariff", b"1", options=[(CONTENT_FORMAT, uint(60))]).code), "4.15", "PUT in CBOR")
    equal(code_text(meter.request(PUT, "tariff", b"1" * 600).code), "4.13", "PUT of 600 bytes")
    equal(code_text(meter.request(PUT, "consumption", b"1").code), "4.05", "PUT /consumption")


def observes(address, other):
    """A change by somebody else reaches the observer, under its token, numbered upward."""
    observer = Peer(address)
    first = observer.answer(Message(CON, GET, 77, b"obs", [(OBSERVE, b""), *path_options("brightness")]))
    check(first.option(OBSERVE) is not None, "the registration is taken")
    last = int.from_bytes(first.option(OBSERVE), "big")
    for level in (b"11", b"99"):
        other.request(PUT, "brightness", level)

        def notified(level=level):
            message = observer.receive(0.5)
            if message and message.kind == CON:
                observer.send(Message(ACK, 0, message.mid))
            return message if message and message.payload == level else None
        note = until(notified, f"the observer hears of {level}")
        equal(note.token, b"obs", "the token")
        number = int.from_bytes(note.option(OBSERVE), "big")
        check(number > last, f"{number} follows {last}")
        last = number


def lists(stage):
    done = stage.run([stage.program("copse-sim"), "--list", "-n", "3", "-k", "light", "--bind", "127.7.0.0/16", "-p", "7000"])
    found = re.findall(r'device "(\w{16})" \{\n\taddress = "127\.7\.0\.(\d)"\n\tport = 7000\n\tclass = "light"\n\}', done.stdout)
    equal([row[1] for row in found], ["1", "2", "3"], done.stdout)
    again = stage.run([stage.program("copse-sim"), "--list", "-n", "3", "-k", "light", "--bind", "127.7.0.0/16", "-p", "7000"])
    equal(again.stdout, done.stdout, "the same seed, the same list")
    other = stage.run([stage.program("copse-sim"), "--list", "-n", "3", "--seed", "2"])
    check(found[0][0] not in other.stdout, "another seed, other MAC IDs")
    bad = stage.run([stage.program("copse-sim"), "--count", "many"])
    equal(bad.returncode, 1, "a bad argument")
    check("--count" in bad.stderr, f"the complaint names the option: {bad.stderr}")


def test(stage):
    lists(stage)
    peers, addresses = {}, {}
    for name, (kind, address, port) in stage.start_sim("--count", "5", "--seed", "11").items():
        peers[kind], addresses[kind] = Peer((address, port)), (address, port)
        reads(peers[kind], name, kind)
    equal(set(peers), set(SHAPES), "one of each kind")
    writes(peers)
    observes(addresses["light"], peers["light"])
    # Of all datagrams three in ten are lost on the way in and on the way out, and yet every request is answered in the end.
    process_before = len(stage.processes)
    for name, (_, address, port) in stage.start_sim("--count", "2", "--loss", "30", "--delay", "5-40", "-k", "light").items():
        peer = Peer((address, port))
        peer.pause, peer.growth = 0.3, 1.1
        equal(code_text(peer.request(GET, "/brightness").code), "2.05", f"GET from {name} over a bad link")
    sim = stage.processes[process_before]
    sim.stop()
    check(int(re.search(r"delayed=(\d+)", sim.output()).group(1)) > 0, f"the weather is counted: {sim.output()}")
    stage.processes.remove(sim)
    # What is asleep hears nothing: the counter says so, and a request that is repeated gets through.
    name, (_, address, port) = next(iter(stage.start_sim("--count", "1", "--sleep", "2/0.5", "-k", "light", "-v").items()))
    sleeper = Peer((address, port))
    sleeper.pause, sleeper.growth = 0.4, 1

    def slept():
        equal(code_text(sleeper.request(GET, "/brightness").code), "2.05", f"GET from {name}, which sleeps")
        time.sleep(0.6)  # longer than it stays awake after the answer
        return "slept through" in stage.processes[-1].output()
    until(slept, "the device sleeps through a request")
    # A second device on the same address and port cannot be.
    _, address, port = stage.devices[stage.device_of("meter")]
    done = stage.run([stage.program("copse-sim"), "-n", "1", "--bind", address, "-p", str(port)])
    equal(done.returncode, 1, "an address in use")
    check("Address already in use" in done.stderr, done.stderr)


play(test)
