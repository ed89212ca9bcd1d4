#!/usr/bin/env python3
"""./run: the tour ends well and shows what it promises; what it starts ends with it, also on Ctrl-C, also when a program dies.

SPDX-License-Identifier: BSD-2-Clause
"""
import contextlib
import os
import re
import signal
import subprocess

from stage import HERE, PATIENCE, check, equal, play, until

RUN = os.path.join(HERE, "..", "..", "run")


def session_members(session):
    """The processes of a session, by /proc."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
            found.append(int(name))
    return found


class Show:
    """A ./run in a session of its own, its output in a file."""

    def __init__(self, stage, name, *arguments):
        self.temporary = stage.path(name + "-tmp")
        os.mkdir(self.temporary)
        self.output_path = stage.path(name + ".out")
        with open(self.output_path, "wb") as out:
            self.process = subprocess.Popen(["bash", RUN, "--no-build", *arguments], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            env={**stage.environment, "TMPDIR": self.temporary, "COPSE_BUILD": stage.build})

        stage.cleanups.append(self.end)

    def end(self):
        """What is left of its session, if anything."""
        for member in session_members(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        self.process.wait()

    def output(self):
        with open(self.output_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def finish(self):
        """Wait for its end; nothing may be left of it. Returns the status."""
        status = self.process.wait(PATIENCE * 3)
        until(lambda: not session_members(self.process.pid), f"all processes end:\n{self.output()}")
        equal(os.listdir(self.temporary), [], f"files left behind:\n{self.output()}")
        return status

    def stays_up(self):
        def look():
            check(self.process.poll() is None, f"./run ended:\n{self.output()}")
            return "stays up until Ctrl-C" in self.output()
        until(look, "./run stays up", PATIENCE * 2)


def tour(stage):
    show = Show(stage, "once", "--once")
    status = show.finish()
    output = show.output()
    equal(status, 0, f"./run --once:\n{output}")
    for pattern in (r"^\$ copse get --proxy .*\n(  .*\n)*  .*4\.01", r"^\$ copse session open", r"^\$ copse get coap://00\w{14}/consumption\n  \d+\.\d{3}$",
                    r"^\$ copse put coap://00\w{14}/tariff 2 && .*\n  2$", r"^\$ copse put coap://00\w{14}/tariff 9.*\n  .*4\.00.*",
                    r"^\$ copse get coap://00\w{14}/temperature\n  \d+\.\d$", r"urn:dev:mac:00\w{14}_"):
        check(re.search(pattern, output, re.M), f"the tour does not show {pattern}:\n{output}")


def interrupted(stage):
    show = Show(stage, "interrupted")
    show.stays_up()
    os.killpg(show.process.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
    equal(show.finish(), 130, "the status on Ctrl-C")
    show = Show(stage, "terminated")
    show.stays_up()
    show.process.terminate()
    equal(show.finish(), 143, "the status on SIGTERM")


def bereaved(stage):
    show = Show(stage, "bereaved")
    show.stays_up()
    for member in session_members(show.process.pid):
        try:
            with open(f"/proc/{member}/cmdline", "rb") as file:
                program = file.read().split(b"\0")[0]
        except FileNotFoundError:  # what ./run sleeps with has ended meanwhile
            continue
        if b"copse-gateway" in program:
            os.kill(member, signal.SIGKILL)
    equal(show.finish(), 1, "the status when the gateway dies")


def test(stage):
    tour(stage)
    interrupted(stage)
    bereaved(stage)


play(test)
