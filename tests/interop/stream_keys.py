#!/usr/bin/env python3
"""CoAP over TLS with tools that know TLS alone: copse asks this test's own server behind `openssl s_server`, and shakes hands with
gnutls-serv by raw public keys; `openssl s_client` and gnutls-cli come to the gateway. OpenSSL 3.0 has no raw public keys.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re

from secure import PSK, OpensslServer, make_keys, tool, write_secret
from stage import check, equal, free_port, play, until

CSM = bytes.fromhex("40e122048020")  # Len 4; 7.01; Max-Message-Size (2): 1152; Block-Wise-Transfer (4)
HELP = bytes.fromhex("5101aa") + b"\xb4help"  # Len 5; GET; token aa; Uri-Path (11)
RELEASE = bytes.fromhex("00e4")


def listens_at(process):
    """The port at which a process listens by TCP, when it does."""
    check(process.poll() is None, f"it has ended with {process.returncode}")
    sockets = set()
    for fd in os.listdir(f"/proc/{process.pid}/fd"):
        try:
            sockets.update(re.findall(r"socket:\[(\d+)\]", os.readlink(f"/proc/{process.pid}/fd/{fd}")))
        except FileNotFoundError:
            pass
    with open("/proc/net/tcp", encoding="ascii") as file:
        for row in (line.split() for line in file):
            if row[3] == "0A" and row[9] in sockets:
                return int(row[1].split(":")[1], 16)
    return 0


class OpensslStream(OpensslServer):
    """By TLS: answers by a greeting, or by 2.05 with "there". Clients come one after the other, and each says whole frames."""

    def __init__(self, stage, *arguments):
        super().__init__(stage, 0, "-alpn", "coap", *arguments)
        self.port = until(lambda: listens_at(self.process), "openssl s_server listens")

    def answers(self, data):
        """What is to be said to the frames that `data` begins with, and what is left of it."""
        said = b""
        while len(data) > 1:
            n, tkl = data[0] >> 4, data[0] & 15
            width = max(0, n - 12)  # a length of 65805 and more does not come
            if len(data) < 2 + width:
                break
            n = n if n < 13 else int.from_bytes(data[1:1 + width], "big") + (13, 269)[width - 1]
            if len(data) < 2 + width + tkl + n:
                break
            code, token = data[1 + width], data[2 + width:2 + width + tkl]
            data = data[2 + width + tkl + n:]
            if code == 0xe1:
                said += CSM
            elif code == 1:
                said += bytes([6 << 4 | tkl, 0x45]) + token + b"\xffthere"
        return said, data

    def serve(self):
        data = b""
        while more := self.read():
            said, data = self.answers(data + more)
            try:
                self.say(said)
            except BrokenPipeError:
                return


def asks_openssl(stage):
    trust = ["--ca", stage.path("server.crt")]
    client = ["--cert", stage.path("client.crt"), "--key", stage.path("client.key")]
    shared = ["--psk-id", "me", "--psk", PSK]
    for version in ("-tls1_2", "-tls1_3"):
        at = OpensslStream(stage, version, "-nocert", "-psk", PSK.encode().hex(), "-psk_identity", "me")
        done = stage.copse("get", f"coaps+tcp://127.0.0.1:{at.port}/x", *shared)
        equal((done.returncode, done.stdout.strip()), (0, "there"), f"s_server {version}, pre-shared key: {done.stderr}")
        at = OpensslStream(stage, version, "-cert", stage.path("server.crt"), "-key", stage.path("server.key"), "-CAfile",
                           stage.path("client.crt"), "-Verify", "1", "-verify_return_error")
        done = stage.copse("get", f"coaps+tcp://127.0.0.1:{at.port}/x", *trust, *client)
        equal((done.returncode, done.stdout.strip()), (0, "there"), f"s_server {version}, certificates: {done.stderr}")


def raw_keys_of_gnutls(stage):
    """gnutls-serv speaks no CoAP: that the handshake is complete is all that can be had of it."""
    port = free_port()
    serve = stage.start("gnutls-serv", [tool("gnutls-serv"), "--echo", "-p", str(port), "--rawpkkeyfile", stage.path("server.key"), "--rawpkfile",
                                        stage.path("server.pub"), "--disable-client-cert", "--alpn", "coap", "--priority",
                                        "NORMAL:+CTYPE-SRV-RAWPK"])
    serve.says("listening|ready")
    uri = f"coaps+tcp://127.0.0.1:{port}/x"
    wrong = stage.copse("get", uri, "--rpk", stage.path("client.pub"))
    equal(wrong.returncode, 35, f"another raw key: {wrong.stderr}")
    right = stage.start("copse", [stage.program("copse"), "get", uri, "--rpk", stage.path("server.pub")])
    serve.says(r"Application protocol: coap")
    for process in (right, serve):  # neither ends well by itself
        process.stop()
        stage.processes.remove(process)


def come_to_the_gateway(stage, port):
    key, public, ca = stage.path("client.key"), stage.path("client.pub"), stage.path("server.crt")
    for version in ("-tls1_2", "-tls1_3"):
        for name, arguments in (("pre-shared key", ["-psk", PSK.encode().hex(), "-psk_identity", "alice"]),
                                ("certificates", ["-CAfile", ca, "-verify_return_error", "-cert", stage.path("client.crt"), "-key", key])):
            # a connection that is released ends when what was asked is answered, and s_client with it
            done = stage.run([tool("openssl"), "s_client", version, "-quiet", "-ign_eof", "-alpn", "coap", "-connect", f"127.0.0.1:{port}", *arguments],
                             stdin=CSM + HELP + RELEASE)
            check("session" in done.stdout, f"s_client {version}, {name}: {done.stdout}{done.stderr}")
    for version in ("1.2", "1.3"):
        done = stage.run([tool("gnutls-cli"), "-p", str(port), "127.0.0.1", "--alpn", "coap", "--rawpkkeyfile", key, "--rawpkfile", public,
                          "--no-ca-verification", "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}:-CTYPE-ALL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK"],
                         stdin=CSM)
        check("Handshake was completed" in done.stdout and "Application protocol: coap" in done.stdout,
              f"gnutls-cli {version}, raw public keys: {done.stdout}{done.stderr}")


def test(stage):
    make_keys(stage)
    asks_openssl(stage)
    raw_keys_of_gnutls(stage)
    write_secret(stage, "clients.psk", f"alice:{PSK.encode().hex()}\n")
    gateway = stage.start_gateway('secure {\n\tlisten = {"tls://127.0.0.1:0"}\n\tpsk_file = "clients.psk"\n\tcertificate = "server.crt"\n'
                                  '\tprivate_key = "server.key"\n\traw_key = "server.key"\n\tca = "client.crt"\n\traw_keys = "client.pub"\n}\n')
    come_to_the_gateway(stage, int(gateway.says(r"taking connections, TLS.*?127\.0\.0\.1:(\d+)").group(1)))


if __name__ == "__main__":
    play(test)
