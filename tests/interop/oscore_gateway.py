#!/usr/bin/env python3
"""OSCORE (RFC 8613) through the gateway, which has no keys: client and device understand each other, reads, writes, blocks and observations;
nothing is shared, stored or said again by the gateway; and what it lets through without keys is refused by the device.

SPDX-License-Identifier: BSD-2-Clause
"""
import itertools
import os
import re
import signal

from stage import SECRET, check, equal, play, until

KEY, SALT = "0102030405060708090a0b0c0d0e0f10", "9e7ca92223786340"


def context(stage, name, sender, recipient):
    path = stage.path(name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f'master_secret,hex,"{KEY}"\nmaster_salt,hex,"{SALT}"\nsender_id,hex,"{sender}"\nrecipient_id,hex,"{recipient}"\n')
    return path


class Client:
    """The tool with a session and a security context of its own."""

    def __init__(self, stage, name, file):
        self.stage, self.name, self.file = stage, name, file
        done = stage.copse("session", "open", stage.gateway_uri(), "--account", name, "--secret", SECRET, "--security", "none", "--session", name)
        equal(done.returncode, 0, f"session open: {done.stderr}")

    def do(self, command, *arguments):
        return self.stage.copse(command, "--session", self.name, "--oscore", self.file, *arguments)

    def get(self, uri):
        done = self.do("get", uri)
        equal(done.returncode, 0, f"GET {uri}: {done.stderr}")
        return done.stdout.strip()

    def watch(self, *arguments):
        command = [self.stage.program("copse"), "observe", "--session", self.name, "--oscore", self.file, *arguments]
        process = self.stage.start(f"watch-{self.name}", ["env", f"HOME={self.stage.folder}", f"XDG_RUNTIME_DIR={self.stage.folder}", *command])
        self.stage.processes.remove(process)  # which ends by itself, or is ended
        return process


def metric(stage, name):
    """A number of the gateway's."""
    done = stage.copse("get", "--session", "one", f"{stage.gateway_uri()}/metrics")
    found = re.search(rf"^copse_gateway_{name}_total (\d+)$", done.stdout, re.M)
    check(found, f"no {name} in {done.stdout}{done.stderr}")
    return int(found.group(1))


def heard(process):
    """What an observer heard, in order; a device may tell the same twice."""
    return [value for value, _ in itertools.groupby(process.output().split())]


def reads_and_writes(stage, one, two, uri):
    capture = stage.path("seen.pcap")
    for value in ("12.5", "13.5"):
        equal(two.do("put", f"{uri}/setpoint", value).returncode, 0, f"PUT {value}")
        equal([one.get(f"{uri}/setpoint"), two.get(f"{uri}/setpoint")], [value] * 2, "what both read is never an old answer")
    done = one.do("get", "--pcap", capture, f"{uri}/setpoint")
    equal((done.returncode, done.stdout.strip()), (0, "13.5"), done.stderr)
    with open(capture, "rb") as file:
        data = file.read()
    check(b"13.5" not in data and b"setpoint" not in data, "what the gateway has of it tells neither what is asked nor the answer")
    schedule = "00:00 16,05:00 17,06:30 21,09:00 18,12:00 20,17:00 21,22:00 17"
    equal(one.do("put", "-b", "16", f"{uri}/schedule", schedule).returncode, 0, "PUT in blocks")
    equal(two.do("get", "-b", "16", f"{uri}/schedule").stdout.strip(), schedule, "GET in blocks")
    plain = stage.copse("get", "--session", "one", f"{uri}/setpoint")
    equal(plain.returncode, 4, plain.stderr)
    check("OSCORE is required" in plain.stderr, f"the device's word on what is not protected: {plain.stderr}")


def observes(stage, one, two, uri):
    """Both observe the same, each what is protected for it alone. An observer that leaves is not told any more."""
    equal(two.do("put", f"{uri}/setpoint", "13.5").returncode, 0, "PUT 13.5")  # the schedule has changed it
    first = one.watch(f"{uri}/setpoint")
    first.says(r"^13\.5")
    for value in ("14.5", "15.5"):
        equal(two.do("put", f"{uri}/setpoint", value).returncode, 0, f"PUT {value}")
        first.says(rf"^{re.escape(value)}")
    equal(first.stop(), 0, first.output())
    equal(heard(first), ["13.5", "14.5", "15.5"], "what the observer heard")
    until(lambda: metric(stage, "observe_cancelled"), "the client's own request cancels at the device")


def killed(one, two, uri):
    """An observer that is killed: a new one is heard, and the gateway says nothing to the device in the old one's name."""
    first = one.watch(f"{uri}/setpoint")
    first.says(r"^15\.5")
    first.stop(signal.SIGKILL)
    again = one.watch(f"{uri}/setpoint")
    again.says(r"^15\.5")
    equal(two.do("put", f"{uri}/setpoint", "16.5").returncode, 0, "PUT 16.5")
    again.says(r"^16\.5")
    equal(again.stop(), 0, again.output())
    equal(heard(again), ["15.5", "16.5"], "what the new observer heard")


def test(stage):
    files = [context(stage, f"device-{i}", f"{2 * i:02x}", f"{2 * i - 1:02x}") for i in (1, 2)]
    # It is midnight there: the schedule changes nothing for hours.
    stage.start_sim("--count", "1", "-k", "thermostat", "--start", "1780272000", *(argument for file in files for argument in ("--oscore", file)))
    stage.start_gateway()
    uri = f"coap://{stage.device_of('thermostat')}"
    one, two = Client(stage, "one", context(stage, "one", "01", "02")), Client(stage, "two", context(stage, "two", "03", "04"))
    reads_and_writes(stage, one, two, uri)
    observes(stage, one, two, uri)
    killed(one, two, uri)
    equal([metric(stage, name) for name in ("cache_hits", "observe_shared", "observe_stale")], [0, 0, 0],
          "nothing is stored, shared, or asked for again")
    check(metric(stage, "observe_registered") >= 3, "the device was registered with")



play(test)
