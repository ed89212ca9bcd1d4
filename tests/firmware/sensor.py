#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the send-only sensor's images under QEMU.

	sensor.py frames IMAGES NAME    what is sent, against the C twin and by tshark's judgement
	sensor.py identity IMAGES       addresses from the MAC's registers, for addresses that carry in every sum
	sensor.py period IMAGES         random periods, fixed periods, two sensors that begin together
	sensor.py selftest IMAGES       twin and judgement do find faults
	sensor.py socket IMAGES         a tap in a network namespace and an ordinary UDP socket; the value follows the thermometer
	sensor.py gateway IMAGES BUILD  the same with copse-gateway; the value is asked for by `copse latest` and coap-client

Time is QEMU's virtual time (-icount): sleeping takes none. COPSE_FIRMWARE_MESSAGES is the number of messages in `frames`.
"""
import base64
import contextlib
import json
import os
import re
import socket
import statistics
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from stage import PATIENCE, Failure, Skip, Stage, check, equal, until  # noqa: E402

HARDWARE_MAC = "52:54:00:12:34:56"
BUILD_MAC = "02:00:00:9c:01:00"
GROUP = "ff02::1:fe00:1"
MESSAGES = int(os.environ.get("COPSE_FIRMWARE_MESSAGES", "2048"))
DEGREES = [0, 21, -5, 127, -128, 100, -55, 9, 22]  # the first is what the thermometer shows when it is new
SKIPPED = 77


class Sensor:
    """QEMU with one image, in a folder of its own, ended by its own process id."""

    def __init__(self, folder, images, name, mac=HARDWARE_MAC, tap=None):
        self.capture = os.path.join(folder, f"{name}-{mac.replace(':', '')}.pcap")
        self.control = os.path.join(folder, f"{name}-{mac.replace(':', '')}.qmp")
        net = f"tap,id=n0,ifname={tap},script=no,downscript=no" if tap else "hubport,id=n0,hubid=0"
        self.process = subprocess.Popen(
            ["qemu-system-arm", "-M", "lm3s6965evb", "-nographic", "-monitor", "none", "-serial", "none",
             "-kernel", os.path.join(images, name + ".bin"), "-netdev", net,
             "-net", f"nic,netdev=n0,model=stellaris,macaddr={mac}",
             "-object", f"filter-dump,id=f0,netdev=n0,file={self.capture}", "-icount", "shift=0,sleep=off",
             "-device", "tmp105,id=t0,bus=i2c,address=0x48",
             "-qmp", f"unix:{self.control},server=on,wait=off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.qmp = None
        self.frame_len = 0

    def close(self):
        if self.qmp:
            self.qmp.close()
        self.process.terminate()
        self.process.communicate()

    def sent(self):
        """How many frames are in the capture; all of an image have one length."""
        if self.process.poll() is not None:
            raise Failure("QEMU has ended: " + self.process.stderr.read())
        size = os.path.getsize(self.capture) if os.path.exists(self.capture) else 0
        if size >= 40 and not self.frame_len:
            with open(self.capture, "rb") as file:
                self.frame_len = struct.unpack("<24x8xI4x", file.read(40))[0]
        return (size - 24) // (16 + self.frame_len) if self.frame_len else 0

    def wait(self, count):
        until(lambda: self.sent() >= count, f"{count} messages", patience=500)

    def burst(self, count=5):
        """Let it run until so many more messages have left; then it stands still."""
        before = self.sent()
        self.command("cont", {})
        self.wait(before + count)
        self.command("stop", {})

    def set_degrees(self, degrees):
        self.command("qom-set", {"path": "/machine/peripheral/t0", "property": "temperature", "value": degrees * 1000})

    def command(self, name, arguments):
        if not self.qmp:
            self.qmp = socket.socket(socket.AF_UNIX)
            until(lambda: self.qmp.connect_ex(self.control) == 0, "QEMU's control socket")
            self.answers = self.qmp.makefile()
            self.answers.readline()
            self.command("qmp_capabilities", {})
        self.qmp.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        for line in self.answers:
            answer = json.loads(line)
            check("error" not in answer, str(answer))
            if "return" in answer:
                return
        raise Failure("QEMU's control socket is closed")


@contextlib.contextmanager
def running(*args, **more):
    sensor = Sensor(*args, **more)
    try:
        yield sensor
    finally:
        sensor.close()


def judge(capture, count):
    """What is wrong in tshark's eyes with the first `count` frames, as lines; none if all is well."""
    fields = ["ipv6.hlim", "ipv6.dst", "udp.dstport", "udp.checksum.status", "coap.type", "coap.code", "coap.mid",
              "coap.opt.uri_path_recon", "_ws.malformed", "_ws.expert.severity"]
    command = ["tshark", "-r", capture, "-c", str(count), "-o", "udp.check_checksum:TRUE", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    wrong = [] if len(out) == count else [f"{len(out)} frames of {count}"]
    last = None
    for number, line in enumerate(out, 1):
        row = dict(zip(fields, line.split("\t")))
        mid = row.pop("coap.mid")
        severities = {int(s, 0) for s in row.pop("_ws.expert.severity").split(",") if s}
        good = {"ipv6.hlim": "1", "ipv6.dst": GROUP, "udp.dstport": "5683", "udp.checksum.status": "1", "coap.type": "1",
                "coap.code": "2", "coap.opt.uri_path_recon": "/publish", "_ws.malformed": ""}
        if row != good or mid == last or max(severities, default=0) >= 0x600000:  # 0x600000: warning
            wrong.append(f"frame {number}: {line}")
        last = mid
    return wrong


def twin(images, name, mac, capture, count, degrees=()):
    done = subprocess.run([os.path.join(images, "twin"), name, mac, capture, str(count), *map(str, degrees)],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def compare(images, name, mac, capture, count, degrees=()):
    equal(twin(images, name, mac, capture, count, degrees), (0, ""), f"{name}, {mac}: the twin's verdict")
    equal(judge(capture, count), [], f"{name}, {mac}: tshark's objections")


def frames(images, folder, name):
    steps = DEGREES if "-i2c" in name else []
    mac = HARDWARE_MAC if re.fullmatch(r".*-(i2c|adc)", name) else BUILD_MAC
    with running(folder, images, name) as sensor:
        for step, degrees in enumerate(steps[1:], 1):
            sensor.wait(max(sensor.sent() + 8, MESSAGES * step // len(steps)))
            sensor.set_degrees(degrees)
        sensor.wait(max(sensor.sent() + 8, MESSAGES))
        count = sensor.sent()
    # At full speed a run makes more than was waited for; at least the number asked for is compared, and all steps.
    compare(images, name, mac, sensor.capture, count if steps else MESSAGES, steps)


def identity(images, folder):
    for mac in ("02:00:00:00:00:00", "fe:ff:ff:ff:ff:ff", "00:00:5e:ff:fe:00", "5c:00:00:00:ff:ff", "a8:c6:c6:39:39:01"):
        for name in ("xml-adc", "senml-json-adc", "binary-adc"):
            with running(folder, images, name, mac=mac) as sensor:
                sensor.wait(300)
            compare(images, name, mac, sensor.capture, 300)


def moments_and_tokens(capture, count):
    with open(capture, "rb") as file:
        data = file.read()
    at, moments, tokens = 24, [], []
    for _ in range(count):
        seconds, micro, length = struct.unpack_from("<III", data, at)
        moments.append(seconds + micro / 1e6)
        tokens.append(struct.unpack_from("<I", data, at + 16 + 66)[0])
        at += 16 + length
    return [t - moments[0] for t in moments], tokens


def gaps(moments):
    return [b - a for a, b in zip(moments, moments[1:])]


def spread(drawn, low, high):
    """Periods are uniform from low to high, and one says nothing of those that follow."""
    check(low <= min(drawn) and max(drawn) <= high, f"periods from {min(drawn)} to {max(drawn)} s")
    for tenth in range(10):
        share = sum(low + (high - low) * tenth / 10 <= d < low + (high - low) * (tenth + 1) / 10 for d in drawn) / len(drawn)
        check(0.08 < share < 0.12, f"tenth {tenth} of the range has a share of {share}")
    mean = statistics.mean(drawn)
    for lag in range(1, 12):
        r = sum((a - mean) * (b - mean) for a, b in zip(drawn, drawn[lag:])) / sum((a - mean) ** 2 for a in drawn)
        check(abs(r) < 0.1, f"periods {lag} apart are correlated: {r}")


def period(images, folder):
    count = 4000
    with running(folder, images, "xml-adc") as one, running(folder, images, "xml-adc", mac="52:54:00:12:34:57") as two:
        one.wait(count)
        two.wait(count)
    moments, tokens = moments_and_tokens(one.capture, count)
    drawn = [(0x2800feff | (t * t >> 32 & 2047) << 16) * 80e-9 for t in tokens]
    spread(drawn, 0x2800feff * 80e-9, 0x2fffffff * 80e-9)
    # With sleep=off, QEMU 7.2 lets the timer run out twice before the processor wakes, the second time with the newer value.
    laws = {"the period drawn": drawn, "two periods": [a + b for a, b in zip(drawn[-1:] + drawn, drawn)]}
    kept = [law for law, expected in laws.items()
            if all(abs(gap - e) < 1e-4 for gap, e in list(zip(gaps(moments), expected))[2:])]
    equal(len(kept), 1, "laws that the time between messages follows")
    other, _ = moments_and_tokens(two.capture, count)
    apart = [abs(a - b) for a, b in zip(moments, other)]
    check(max(apart) > 60, f"two sensors that began together are never more than {max(apart)} s apart")
    with running(folder, images, "xml-adc-min") as fixed:
        fixed.wait(500)
    same = gaps(moments_and_tokens(fixed.capture, 500)[0])
    check(max(same) - min(same) < 1e-4, f"fixed periods from {min(same)} to {max(same)} s")
    check(abs(same[0] - 60) < 0.01 or kept == ["two periods"] and abs(same[0] - 120) < 0.01, f"fixed period {same[0]} s")


def selftest(images, folder):
    with running(folder, images, "xml-adc") as sensor:
        sensor.wait(20)
    compare(images, "xml-adc", HARDWARE_MAC, sensor.capture, 20)
    with open(sensor.capture, "rb") as file:
        whole = file.read()
    each = 16 + sensor.frame_len
    for octet in range(sensor.frame_len):
        spoilt = bytearray(whole[:24 + 20 * each])
        spoilt[24 + 6 * each + 16 + octet] ^= 0x40
        path = os.path.join(folder, "spoilt.pcap")
        with open(path, "wb") as file:
            file.write(spoilt)
        equal(twin(images, "xml-adc", HARDWARE_MAC, path, 20)[0], 1, f"the twin's verdict on octet {octet} of message 7")
    check(len(judge(path, 20)) == 1, "tshark finds the payload's last octet spoilt")
    check(twin(images, "senml-xml-adc", HARDWARE_MAC, sensor.capture, 20)[0] == 1, "the twin knows formats apart")
    with open(path, "wb") as file:
        file.write(whole[:24 + 5 * each])
    equal(twin(images, "xml-adc", HARDWARE_MAC, path, 20)[0], 1, "the twin's verdict on a short capture")
    check(judge(path, 20) != [], "tshark finds a short capture")


def payload_of(message, content):
    """The payload of a NON POST /publish, after looking at all that precedes it."""
    equal(message[0] & 0xf0, 0x50, "version and type")
    equal(message[1], 2, "code")
    at = 4 + (message[0] & 15)
    equal(message[at:at + 8], b"\xb7publish", "Uri-Path")
    length = message[at + 8] & 15
    equal(message[at + 8] >> 4, 1, "the next option is Content-Format")
    equal(int.from_bytes(message[at + 9:at + 9 + length], "big"), content, "Content-Format")
    equal(message[at + 9 + length], 0xff, "payload marker")
    return message[at + 10 + length:]


def degrees_in(name, payload):
    if name in ("xml", "senml-xml"):
        return int(re.search(rb' v="([ 0-9-]+)"', payload)[1])
    if name == "senml-json":
        record, = json.loads(payload)
        equal((record["n"], record["u"]), ("temperature", "Cel"), "name and unit")
        return record["v"]
    if name == "senml-cbor":
        equal(payload[:-3], b"\x81\xa3\x01\x63Cel\x00\x78\x0btemperature\x02", "SenML-CBOR up to the value")
        value = int.from_bytes(payload[-2:], "big")
        return value if payload[-3] == 0x19 else -1 - value
    return struct.unpack(">bi", payload)[1]


def receive(receiver, name, content, wanted):
    """The next message with that value; what follows hop limit and source are checked on the way."""
    for _ in range(100000):
        message, control, _, source = receiver.recvmsg(2048, 128)
        equal(source[0].split("%")[0], "fe80::5054:ff:fe12:3456", "source address")
        equal(struct.unpack("i", control[0][2])[0], 1, "hop limit")
        if degrees_in(name, payload_of(message, content)) == wanted:
            return
    raise Failure(f"{name}: {wanted} degrees never came")


def socket_in_namespace(images, folder):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for number, (name, content) in enumerate(
            (("xml", 41), ("senml-xml", 310), ("senml-json", 110), ("senml-cbor", 112), ("binary", 42))):
        tap = f"tap{number}"
        subprocess.run(["ip", "tuntap", "add", "dev", tap, "mode", "tap"], check=True)
        subprocess.run(["ip", "link", "set", tap, "up"], check=True)
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
            receiver.settimeout(PATIENCE)
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            receiver.bind(("::", 5683, 0, 0))
            receiver.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                                socket.inet_pton(socket.AF_INET6, GROUP) + struct.pack("i", socket.if_nametoindex(tap)))
            with running(folder, images, name + "-i2c", tap=tap) as sensor:
                receive(receiver, name, content, DEGREES[0])
                for degrees in (23, -7, 120):
                    sensor.set_degrees(degrees)
                    receive(receiver, name, content, degrees)


def stored_degrees(name, row):
    """What a reading says that `copse latest --json` shows."""
    if name.startswith("senml"):
        equal((row["name"], row["unit"]), ("temperature", "Cel"), f"{name}: name and unit")
        return row["value"]
    equal(row["name"], "temperature", f"{name}: what is named by its group alone")
    return degrees_in(name, base64.urlsafe_b64decode(row["value"] + "=="))


def ask(stage, device):
    done = stage.copse("latest", device, "--json", "--proxy", "coap://127.0.0.1")
    rows = json.loads(done.stdout) if done.returncode == 0 else []
    return rows[0] if rows else None  # heard of, but its reading is not stored yet


def one_sensor(stage, images, folder, name, number):
    mac = f"52:54:00:12:34:{0x60 + number:02x}"
    device = f"525400fffe12{0x3460 + number:04x}"
    with running(folder, images, name + "-i2c", mac=mac, tap=f"tap{number}") as sensor:
        for degrees in (0, 23, -7, 120):
            sensor.command("stop", {})
            sensor.set_degrees(degrees)

            def shown():
                # A burst that finds the gateway busy may be lost: nobody repeats anything here.
                sensor.burst()
                row = until(lambda: ask(stage, device), f"{device} is known")
                return stored_degrees(name, row) == degrees
            until(shown, f"{name}: copse latest shows {degrees} degrees")
            done = stage.run([stage.foreign("coap-client"), "-B", str(PATIENCE), "-m", "get", "-A", "110", f"coap://127.0.0.1/devices/{device}/temperature"])
            record, = json.loads(done.stdout)
            value = record["v"] if "v" in record else degrees_in(name, base64.urlsafe_b64decode(record["vd"] + "=="))
            equal((record["bn"], value), (f"urn:dev:mac:{device}:", degrees), f"{name}: what coap-client reads")
    if name.startswith("senml"):
        rows = json.loads(stage.copse("history", device, "temperature", "--json", "--from", "-1h", "--proxy", "coap://127.0.0.1").stdout)
        order = [row["value"] for row in rows]
        equal(list(dict.fromkeys(order)), [0, 23, -7, 120], f"{name}: values in the order in which they came")


def gateway_in_namespace(images, folder, build):
    formats = ("senml-json", "senml-xml", "senml-cbor", "xml", "binary")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for number in range(len(formats)):
        subprocess.run(["ip", "tuntap", "add", "dev", f"tap{number}", "mode", "tap"], check=True)
        subprocess.run(["ip", "link", "set", f"tap{number}", "up"], check=True)
    conf = os.path.join(folder, "gateway.conf")
    taps = ", ".join(f'"tap{number}"' for number in range(len(formats)))
    with open(conf, "w", encoding="utf-8") as file:
        file.write('listen = {"*:5683"}\nmesh { bind = "127.0.0.1:0" }\nkey "k" { algorithm = HS256 secret = "' + "x" * 40 + '" }\n'
                   f'collector {{\n\tstore = "{folder}/readings.db"\n\topen = true\n\ttypes = {{"temperature"}}\n'
                   f'\tinterfaces = {{{taps}}}\n}}\n')
    stage = Stage(build, folder)
    gateway = stage.start("copse-gateway", [stage.program("copse-gateway"), "-c", conf])
    try:
        gateway.says(r"msg=listening")
        for number, name in enumerate(formats):
            one_sensor(stage, images, folder, name, number)
        devices = stage.copse("devices", "--proxy", "coap://127.0.0.1").stdout
        equal(devices.count("temperature"), len(formats), "devices of the type whose group they send to")
    finally:
        wrong = stage.stop()
    equal(wrong, [], "how the gateway ended")


def in_namespace():
    """Runs this script again in a network namespace of its own."""
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "ip", "tuntap", "add", "dev", "tap0", "mode", "tap"], capture_output=True, check=False).returncode:
        raise Skip("no network namespaces or no tap devices here")
    os.execvp("unshare", [*alone, sys.executable, os.path.abspath(__file__), sys.argv[1] + "-inside", *sys.argv[2:]])


def main():
    what, images, *more = sys.argv[1:]
    if what in ("socket", "gateway"):
        in_namespace()
    tests = {"frames": frames, "identity": identity, "period": period, "selftest": selftest, "socket-inside": socket_in_namespace,
             "gateway-inside": gateway_in_namespace}
    with tempfile.TemporaryDirectory() as folder:
        tests[what](images, folder, *more)


if __name__ == "__main__":
    try:
        main()
    except Skip as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    except Failure as failure:
        sys.exit(f"failed: {failure}")
