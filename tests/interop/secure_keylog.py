#!/usr/bin/env python3
"""SSLKEYLOGFILE: what the gateway writes there lets tshark read what passed between clients and the gateway, and between the gateway and its
devices; what copse writes, its own. A file that is made for it is its owner's alone. All of it in a network namespace, so
that the capture has nobody else's traffic.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading

from secure import PSK, write_secret
from stage import Skip, check, equal, play, until

SO_RCVBUFFORCE, PACKET_OUTGOING = 33, 4
SECURE = '''secure {
	listen = {"127.0.0.1:0", "tls://127.0.0.1:0"}
	psk_file = "clients.psk"
}
'''
# NSS key log: label, the client's random bytes, a secret
LINE = re.compile(r"(CLIENT_RANDOM|CLIENT_HANDSHAKE_TRAFFIC_SECRET|SERVER_HANDSHAKE_TRAFFIC_SECRET|CLIENT_TRAFFIC_SECRET_0|SERVER_TRAFFIC_SECRET_0"
                  r"|EXPORTER_SECRET|EARLY_EXPORTER_SECRET|CLIENT_EARLY_TRAFFIC_SECRET) [0-9a-f]{64} [0-9a-f]{64,128}")


class Capture:
    """Every frame on lo, once, as a pcap file."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind(("lo", 0))
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        except PermissionError:
            pass
        self.socket.settimeout(0.1)
        self.frames, self.done = [], False
        self.thread = threading.Thread(target=self.collect)
        self.thread.start()

    def collect(self):
        while True:
            try:
                frame, address = self.socket.recvfrom(65600)
            except socket.timeout:
                if self.done:  # and nothing is left
                    return
                continue
            if address[2] != PACKET_OUTGOING:
                self.frames.append(frame)

    def write(self, path):
        self.done = True
        self.thread.join()
        self.socket.close()
        with open(path, "wb") as file:
            file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
            for i, frame in enumerate(self.frames):
                file.write(struct.pack("<IIII", i // 1000, i % 1000 * 1000, len(frame), len(frame)) + frame)


def codes(stage, capture, keys, kind, port):
    """The codes of the CoAP messages that tshark finds in what went to and from a port, with these keys."""
    below = "tcp" if kind == "tls" else "udp"
    done = stage.run([stage.foreign("tshark"), "-r", capture, "-o", f"tls.keylog_file:{keys}", "-d", f"{below}.port=={port},{kind}",
                      "-d", f"{kind}.port=={port},coap", "-Y", f"coap && {below}.port == {port}", "-T", "fields", "-e", "coap.code"])
    equal(done.returncode, 0, f"tshark: {done.stderr}")
    return [int(code) for code in done.stdout.replace(",", " ").split()]


def randoms(stage, capture, port):
    """The random bytes of the clients that have said hello to a port."""
    done = stage.run([stage.foreign("tshark"), "-r", capture, "-d", f"udp.port=={port},dtls", "-Y", f"dtls.handshake.type==1 && udp.port=={port}",
                      "-T", "fields", "-e", "dtls.handshake.random"])
    equal(done.returncode, 0, f"tshark: {done.stderr}")
    return set(done.stdout.split())


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def speak(stage, number):
    """One gateway and a request by each way, with the gateway's keys in one file and copse's in another. Returns the ports and files."""
    keys, own, capture = (stage.path(f"{name}-{number}") for name in ("gateway.keys", "copse.keys", "lo.pcap"))
    watch = Capture()
    try:
        os.environ["SSLKEYLOGFILE"] = keys
        gateway = stage.start_gateway(SECURE, 'psk_file = "mesh.psk"', "secure")
        del os.environ["SSLKEYLOGFILE"]
        ports = {"dtls": gateway.says(r"listening, secure.*?127\.0\.0\.1:(\d+)").group(1),
                 "tls": gateway.says(r"taking connections, TLS.*?127\.0\.0\.1:(\d+)").group(1)}
        opened = stage.copse("session", "open", stage.gateway_uri(), "--force", "--token", stage.token())
        equal(opened.returncode, 0, f"session open: {opened.stdout}{opened.stderr}")
        device = next(iter(stage.devices))
        equal(stage.copse("get", f"coap://{device}/consumption").returncode, 0, "a device is asked by DTLS")
        stage.environment["SSLKEYLOGFILE"] = own
        for uri in (f"coaps://127.0.0.1:{ports['dtls']}", f"coaps+tcp://127.0.0.1:{ports['tls']}"):
            done = stage.copse("get", f"{uri}/help", "--direct", "--psk-id", "alice", "--psk", PSK)
            equal(done.returncode, 0, f"{uri}: {done.stdout}{done.stderr}")
        del stage.environment["SSLKEYLOGFILE"]
        equal(gateway.stop(), 0, "the gateway ends")
        stage.processes.remove(gateway)
    finally:
        watch.write(capture)
    return capture, keys, own, ports, stage.secure_ports[device]


def inside(stage):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.umask(0o022)  # with which GnuTLS alone would make a file that everybody may read
    write_secret(stage, "clients.psk", f"alice:{PSK.encode().hex()}\n")
    stage.start_sim("--count", "1", "--kinds", "meter", "--bind", "127.1.0.0/24", "--dtls", "0", "--psk", stage.path("mesh.psk"))
    rounds = iter(range(100))

    def read_all():
        """A frame that the system has thrown away, or a handshake sent again, is one round's misfortune."""
        capture, keys, own, ports, device = speak(stage, next(rounds))
        for path in (keys, own):
            equal(os.stat(path).st_mode & 0o777, 0o600, f"who may read {path}")
            lines = [line for line in read(path).splitlines() if not line.startswith("#")]
            check(lines and all(LINE.fullmatch(line) for line in lines), f"{path} is no log of keys")
        found = [codes(stage, capture, keys, "tls", ports["tls"]), codes(stage, capture, keys, "dtls", device),
                 codes(stage, capture, own, "tls", ports["tls"])]
        equal(codes(stage, capture, own, "dtls", device), [], "what passes between gateway and device is not copse's to know")
        # copse prefers ChaCha20, which tshark cannot decrypt in DTLS yet: there the secrets of what was said must be in both logs
        said = randoms(stage, capture, ports["dtls"])
        logs = [read(keys), read(own)]
        return all(1 in each and 69 in each for each in found) and said and all(f"CLIENT_RANDOM {one} " in log for one in said for log in logs)
    until(read_all, "tshark reads a GET and its 2.05 by each way", patience=240)


def test(stage):
    if not shutil.which("tshark"):
        raise Skip("tshark is not installed")
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        raise Skip("namespaces cannot be made here")
    done = stage.run(["unshare", "-rn", "--", sys.executable, "-B", os.path.abspath(__file__), stage.build, "--inside"], 1200)
    print(done.stdout)
    equal(done.returncode, 0, f"in the namespace: {done.stderr[-3000:]}")


if __name__ == "__main__":
    play(inside if "--inside" in sys.argv else test)
