#!/usr/bin/env python3
"""CoAP over TCP and TLS, with foreign peers: copse asks libcoap's server, libcoap's client asks copse-sim, and raw sockets say to
it what nobody should.

SPDX-License-Identifier: BSD-2-Clause
"""
import contextlib
import os
import shutil
import socket

from secure import PSK, make_key
from stage import PATIENCE, Skip, check, equal, play, until

CSM = bytes.fromhex("40e122048020")  # Len 4; 7.01; Max-Message-Size (2): 1152; Block-Wise-Transfer (4)


def free_pair():
    """A port that is free, with the one behind it, for UDP and TCP at this moment."""
    while True:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            port = 0
            for offset, kind in ((0, socket.SOCK_STREAM), (0, socket.SOCK_DGRAM), (1, socket.SOCK_STREAM), (1, socket.SOCK_DGRAM)):
                probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                probe.bind(("127.0.0.1", port + offset))
                port = port or probe.getsockname()[1]
            return port


def libcoap_server(stage, flavour, *arguments):
    """libcoap's server by one library, which takes TCP and TLS too. Returns its port in the clear; the secure one is behind it."""
    program = shutil.which(f"coap-server-{flavour}")
    if not program:
        raise Skip(f"coap-server-{flavour} is not installed")
    while True:
        port = free_pair()
        process = stage.start(f"coap-server-{flavour}", [program, "-A", "127.0.0.1", "-p", str(port), *arguments])
        until(lambda: not process.alive() or stage.copse("ping", f"coap+tcp://127.0.0.1:{port}", "--timeout", "5").returncode == 0,
              "it listens")
        if process.alive() and "cannot create" not in process.output():
            return port
        process.stop()
        stage.processes.remove(process)


def asks_libcoap(stage, uri, *options):
    done = stage.copse("get", f"{uri}/time", *options)
    equal(done.returncode, 0, f"get {uri}: {done.stderr}")
    equal(stage.copse("get", f"{uri}/nothing", *options).returncode, 4, "4.04")
    equal(stage.copse("ping", uri, *options).returncode, 0, "ping")
    done = stage.copse("observe", f"{uri}/time", "--count", "3", *options)
    equal((done.returncode, len(done.stdout.splitlines())), (0, 3), f"observe: {done.stdout}{done.stderr}")
    big = "".join(f"line {i} of a body in blocks\n" for i in range(300))
    done = stage.copse("put", f"{uri}/example_data", big, *options)
    equal(done.returncode, 0, f"a body in blocks: {done.stderr}")
    equal(stage.copse("get", f"{uri}/example_data", *options).stdout.rstrip("\n"), big.rstrip("\n"), "and back")


def tls_with_libcoap(stage, flavour):
    port = libcoap_server(stage, flavour, "-k", PSK, "-h", "hint")
    asks_libcoap(stage, f"coap+tcp://127.0.0.1:{port}")
    secret = ("--psk-id", "me", "--psk", PSK)
    asks_libcoap(stage, f"coaps+tcp://127.0.0.1:{port + 1}", *secret)
    wrong = stage.copse("get", f"coaps+tcp://127.0.0.1:{port + 1}/time", "--psk-id", "me", "--psk", "some other key")
    equal(wrong.returncode, 35, f"a wrong key: {wrong.stderr}")


def certificates_with_libcoap(stage, flavour):
    make_key(stage, "server", "DNS:localhost,IP:127.0.0.1")
    key, cert = stage.path("server.key"), stage.path("server.crt")
    port = libcoap_server(stage, flavour, "-c", cert, "-j", key, "-n") + 1
    done = stage.copse("get", f"coaps+tcp://127.0.0.1:{port}/time", "--ca", cert)
    equal(done.returncode, 0, f"{flavour} with a certificate: {done.stderr}")
    equal(stage.copse("get", f"coaps+tcp://127.0.0.1:{port}/time").returncode, 35, "a server that nobody vouches for")


def s_server(stage, key, cert, alpn="coap"):
    """OpenSSL's server, which answers a handshake and nothing else. Returns its port."""
    process = stage.start("openssl", ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, "-alpn", alpn, "-www"])
    return process.says(r"ACCEPT .*?:(\d+)$").group(1)


def certificate_errors(stage):
    """Whatever is wrong with a server's certificate, copse says what it is."""
    def openssl(*arguments):
        done = stage.run(["openssl", *arguments])
        check(done.returncode == 0, done.stderr)
    key, here, elsewhere, old = (stage.path(name) for name in ("s.key", "here.crt", "elsewhere.crt", "old.crt"))
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    for cert, name in ((here, "IP:127.0.0.1"), (elsewhere, "DNS:elsewhere.example")):
        openssl("req", "-new", "-x509", "-key", key, "-out", cert, "-days", "2", "-subj", f"/CN={name[-9:]}", "-addext", f"subjectAltName={name}")
    openssl("x509", "-in", here, "-signkey", key, "-days", "-1", "-out", old)
    for cert, ca, why in ((here, elsewhere, "not signed by an authority that is believed"), (here, None, "not signed by an authority that is believed"),
                          (elsewhere, elsewhere, "is for another name"), (old, old, "has expired")):
        port = s_server(stage, key, cert)
        done = stage.copse("get", f"coaps+tcp://127.0.0.1:{port}/x", *(("--ca", ca) if ca else ()))
        check(done.returncode == 35 and why in done.stderr, f"{os.path.basename(cert)}, believing {ca}: {done.returncode} {done.stderr}")
    done = stage.copse("get", f"coaps+tcp://127.0.0.1:{s_server(stage, key, here, 'h2')}/x", "--ca", here)
    check(done.returncode == 35 and "protocol" in done.stderr, f"another protocol: {done.stderr}")


def nobody_there(stage):
    port = free_pair()
    equal(stage.copse("get", f"coap+tcp://127.0.0.1:{port}/time", "--timeout", "20").returncode, 7, "nobody listens")
    done = stage.copse("session", "open", f"coap+tcp://127.0.0.1:{port}", "--token", "x.y.z")
    check(done.returncode == 1 and "connection" in done.stderr, f"a session over TCP: {done.stderr}")


class Raw:
    """A connection that says each byte."""

    def __init__(self, address, *said):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        for data in said:
            self.socket.sendall(data)

    def hear(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            check(more, f"the connection ended after {data.hex()}")
            data += more
        return data

    def rest(self):
        """All until the end."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while more := self.socket.recv(65536):
                data += more
        self.socket.close()
        return data


def hostile(address):
    for said in (b"\x01\x01\x07", b"\x09", b"\xf0\xff\xff\xff\xff", CSM + b"\x0f\x01", CSM + b"\xe0\xff\xff", b"\x10\xe1\x30", CSM + b"\x10\xe2\xf0",
                 b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)):
        heard = Raw(address, said).rest()
        check(b"\xe5" in heard, f"{said.hex()} is answered with an Abort, not {heard.hex()}")
    for cut in range(1, len(CSM) + 3):  # those that go in the middle of something
        Raw(address, (CSM + b"\x01\x01\x07")[:cut]).socket.close()
    idle = [Raw(address) for _ in range(40)]  # and those that say nothing
    raw = Raw(address, CSM)
    raw.hear(6)
    for byte in b"\x01\xe2\x42":
        raw.socket.sendall(bytes([byte]))
    equal(raw.hear(3), b"\x01\xe3\x42", "a Ping, byte by byte")
    for other in idle:
        other.socket.close()
    raw.socket.close()


def never_reads(address):
    """Requests without end from one who takes no answer: it is read from no more, and others are served."""
    raw = Raw(address, CSM)
    raw.socket.settimeout(0.5)
    request = bytes.fromhex("d00601bb") + b".well-known\x04core"  # Len 13 + 6; GET; Uri-Path twice
    with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
        for _ in range(4000):
            raw.socket.sendall(request * 50)
    other = Raw(address, CSM, b"\x01\xe2\x01")
    equal(other.hear(9)[6:], b"\x01\xe3\x01", "others are served")
    other.socket.close()
    raw.socket.close()


def asked_by_libcoap(stage):
    program = shutil.which("coap-client-notls") or shutil.which("coap-client-gnutls") or shutil.which("coap-client-openssl")
    if not program:
        raise Skip("libcoap's client is not installed")
    devices = stage.start_sim("--count", "1", "--kinds", "thermostat", "--tcp")
    (_, host, port), = devices.values()
    uri = f"coap+tcp://{host}:{port}"
    own = stage.copse("get", f"{uri}/.well-known/core")
    equal(own.returncode, 0, f"copse over TCP: {own.stderr}")
    done = stage.run([program, "-B", str(PATIENCE), f"{uri}/.well-known/core"])
    check("</temperature>" in done.stdout, f"libcoap's client over TCP: {done.stdout}{done.stderr}")
    equal(own.stdout.strip().replace("\n", ""), done.stdout.strip().replace("\n", ""), "both got the same")
    done = stage.run([program, "-B", str(PATIENCE), "-s", "2", f"{uri}/temperature"])
    check(done.stdout.strip(), f"libcoap observes over TCP: {done.stdout}{done.stderr}")
    done = stage.copse("observe", f"{uri}/temperature", "--count", "1")
    equal(done.returncode, 0, f"copse observes over TCP: {done.stderr}")
    hostile((host, port))
    never_reads((host, port))
    equal(stage.copse("get", f"{uri}/temperature").returncode, 0, "and it is still there")


def test(stage):
    asked_by_libcoap(stage)
    for flavour in ("gnutls", "openssl"):
        tls_with_libcoap(stage, flavour)
        certificates_with_libcoap(stage, flavour)
    certificate_errors(stage)
    nobody_there(stage)


if __name__ == "__main__":
    play(test)
