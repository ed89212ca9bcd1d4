#!/usr/bin/env python3
"""The gateway over TCP and TLS: sessions belong to their connection, requests, observations and bodies in blocks pass between a connection
and devices on datagrams; libcoap's client, openssl s_client and tshark have their say.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import shutil
import socket

from stage import (GET, OBSERVE, PATIENCE, POST, PROXY_URI, PUT, URI_QUERY, Message, Peer, check, code_text, equal, free_port, path_options, play,
                   until)

CSM = bytes.fromhex("40e122048020")  # Len 4; 7.01; Max-Message-Size (2): 1152; Block-Wise-Transfer (4)
BLOCK1, BLOCK2 = 27, 23
PSK = "a pre-shared key of the tests"


class Connection:
    """A client whose messages are the codec's, with the head of RFC 8323 in the place of the datagram's."""

    def __init__(self, address, csm=CSM):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.sendall(csm)
        self.data = b""
        self.signals = []
        self.sent, self.heard = [csm], []  # frames
        self.codes_sent, self.codes_heard = [0xE1], []

    def send(self, code, token, options, payload=b""):
        body = Message(0, code, 0, token, options, payload).encode()[4 + len(token):]
        n = len(body)
        head = bytes([n << 4 | len(token)]) if n < 13 else bytes([0xd0 | len(token), n - 13]) if n < 269 else \
            bytes([0xe0 | len(token)]) + (n - 269).to_bytes(2, "big")
        frame = head + bytes([code]) + token + body
        self.sent.append(frame)
        self.codes_sent.append(code)
        self.socket.sendall(frame)

    def frame(self):
        """The next frame as a message."""
        while True:
            if len(self.data) > 1:
                nibble, tkl = self.data[0] >> 4, self.data[0] & 15
                width = max(0, nibble - 12) if nibble < 15 else 4
                if len(self.data) >= 1 + width:
                    n = nibble if nibble < 13 else int.from_bytes(self.data[1:1 + width], "big") + (13, 269, 0, 65805)[width - 1]
                    whole = 2 + width + tkl + n
                    if len(self.data) >= whole:
                        frame, self.data = self.data[:whole], self.data[whole:]
                        self.heard.append(frame)
                        self.codes_heard.append(frame[1 + width])
                        return Message.decode(bytes([0x40 | tkl, frame[1 + width], 0, 0]) + frame[2 + width:])
            more = self.socket.recv(65536)
            check(more, "the gateway closed the connection")
            self.data += more

    def answer(self, token):
        while True:
            message = self.frame()
            if message.code >> 5 == 7:
                self.signals.append(message.code)
            elif message.token == token:
                return message

    def ask(self, code, token, options, payload=b""):
        self.send(code, token, options, payload)
        return self.answer(token)

    def open_session(self, token):
        reply = self.ask(POST, b"s", path_options("/sessions") + [(URI_QUERY, b"security=none")], token.encode())
        equal(code_text(reply.code), "2.01", f"POST /sessions: {reply.payload}")


def conversation(stage, address):
    token = stage.token()
    device, light = (next(name for name, row in stage.devices.items() if row[0] == kind) for kind in ("meter", "thermostat"))
    uri = f"coap://{device}/consumption".encode()
    stranger = Connection(address)
    equal(code_text(stranger.ask(GET, b"a", [(PROXY_URI, uri)]).code), "4.01", "without a session")
    equal(code_text(stranger.ask(GET, b"h", path_options("/help")).code), "2.05", "a connection proves its address")
    client = Connection(address)
    client.open_session(token)
    check(client.signals == [0xe1], f"the gateway greets first: {client.signals}")
    equal(code_text(client.ask(GET, b"b", [(PROXY_URI, uri)]).code), "2.05", "through the gateway")
    # many at once, each answered under its own token
    for i in range(40):
        client.send(GET, bytes([i]), [(PROXY_URI, uri)])
    left = {bytes([i]) for i in range(40)}
    while left:
        message = client.frame()
        check(message.token in left and code_text(message.code) in ("2.05", "5.03"), f"one of many: {message}")
        left.remove(message.token)
    # an observation from a connection and one from datagrams share what the device sends
    reply = client.ask(GET, b"o", [(OBSERVE, b""), (PROXY_URI, uri)])
    check(code_text(reply.code) == "2.05" and reply.option(OBSERVE) is not None, f"observe: {reply}")
    equal(code_text(client.answer(b"o").code), "2.05", "a notification")
    equal(code_text(client.answer(b"o").code), "2.05", "and another")
    reply = client.ask(GET, b"o", [(OBSERVE, b"\x01"), (PROXY_URI, uri)])
    while reply.option(OBSERVE) is not None:  # notifications that crossed it
        reply = client.answer(b"o")
    equal(code_text(reply.code), "2.05", "cancelled")
    # a body in blocks towards a device
    target = f"coap://{light}/schedule".encode()
    equal(code_text(client.ask(GET, b"d", [(PROXY_URI, target)]).code), "2.05", "a body")
    equal(code_text(client.ask(PUT, b"e", [(PROXY_URI, target), (BLOCK1, b"\x0e")], b"x" * 1024).code) in ("2.31", "4.00", "4.13", "4.15"), True,
          "a block")
    # the session ends with its connection, and is not the next one's
    client.socket.close()
    again = Connection(address)
    equal(code_text(again.ask(GET, b"a", [(PROXY_URI, uri)]).code), "4.01", "another connection")
    again.open_session(token)
    equal(code_text(again.ask(GET, b"a", [(PROXY_URI, uri)]).code), "2.05", "with a session of its own")
    datagrams = Peer(stage.gateway_address)
    datagrams.open_session(token)
    equal(code_text(datagrams.proxied(GET, uri.decode()).code), "2.05", "and by datagrams beside it")
    return again


def metrics(connection):
    """All of /metrics, block by block over the connection."""
    text, block, more = b"", 0, True
    while more:
        part = connection.ask(GET, b"m", path_options("/metrics") + [(BLOCK2, (block << 4 | 6).to_bytes(3, "big").lstrip(b"\0"))])
        equal(code_text(part.code), "2.05", "metrics")
        text += part.payload
        more = (part.option(BLOCK2) or b"\0")[-1] & 8
        block += 1
    return text


def by_metrics(connection):
    text = metrics(connection)
    check(b"\ncopse_tcp_clients_opened_total 3\n" in text, f"connections are counted: {text[-600:]}")
    check(b"\ncopse_tcp_clients_connections " in text, "and so are those that are open")


def tls(stage, port):
    done = stage.copse("get", f"coaps+tcp://127.0.0.1:{port}/help", "--psk-id", "alice", "--psk", PSK)
    check(done.returncode == 0 and done.stdout, f"copse over TLS: {done.stderr}")
    for version in ("-tls1_2", "-tls1_3"):
        done = stage.run(["openssl", "s_client", version, "-alpn", "coap", "-connect", f"127.0.0.1:{port}", "-psk", PSK.encode().hex(),
                          "-psk_identity", "alice"], stdin=b"Q\n")
        check("ALPN protocol: coap" in done.stdout, f"openssl s_client {version}: {done.stdout}{done.stderr}")
    done = stage.run(["openssl", "s_client", "-tls1_2", "-alpn", "h2", "-connect", f"127.0.0.1:{port}", "-psk", PSK.encode().hex(),
                      "-psk_identity", "alice"], stdin=b"Q\n")
    check("ALPN protocol" not in done.stdout, "another protocol is refused")
    if gnutls := shutil.which("gnutls-cli"):
        for version in ("VERS-TLS1.2", "VERS-TLS1.3"):
            done = stage.run([gnutls, "--priority", f"NORMAL:-VERS-ALL:+{version}", "--alpn", "coap", "--x509cafile", stage.path("server.crt"),
                              "-p", str(port), "127.0.0.1"], stdin=CSM)
            check("Application protocol: coap" in done.stdout and "Handshake was completed" in done.stdout,
                  f"gnutls-cli {version}: {done.stdout}{done.stderr}")
    for flavour in ("gnutls", "openssl"):
        program = shutil.which(f"coap-client-{flavour}")
        if program:
            done = stage.run([program, "-B", str(PATIENCE), "-u", "alice", "-k", PSK, f"coaps+tcp://127.0.0.1:{port}/help"])
            check("session" in done.stdout, f"libcoap's client by {flavour}: {done.stdout}{done.stderr}")


def beside_a_session(stage, port):
    """A session by UDP with the gateway is none of a connection's business, though address and port are the same."""
    done = stage.copse("session", "open", stage.gateway_uri(), "--token", stage.token())
    check(done.returncode == 0, f"copse session open: {done.stderr}")
    done = stage.copse("get", f"coap+tcp://127.0.0.1:{port}/help")
    check(done.returncode == 0 and "session" in done.stdout, f"copse over TCP beside a session: {done.stdout}{done.stderr}")


def judged(stage, connection):
    """What was said both ways, by a dissector that shares nothing with us."""
    if not shutil.which("tshark") or not shutil.which("text2pcap"):
        return
    for name, frames in (("out", connection.sent), ("in", connection.heard)):
        with open(stage.path(f"{name}.hex"), "w", encoding="ascii") as file:  # it takes one frame a segment
            for data in frames:
                for at in range(0, len(data), 16):
                    file.write(f"{at:06x} {' '.join(f'{b:02x}' for b in data[at:at + 16])}\n")
                file.write("\n")
        ports = "40000,5683" if name == "out" else "5683,40000"
        done = stage.run(["text2pcap", "-q", "-T", ports, stage.path(f"{name}.hex"), stage.path(f"{name}.pcap")])
        check(done.returncode == 0, done.stderr)
        done = stage.run(["tshark", "-r", stage.path(f"{name}.pcap"), "-d", "tcp.port==5683,coap", "-Y", "coap", "-T", "fields", "-e", "coap.code"])
        codes = [int(code) for code in done.stdout.replace(",", " ").split()]
        expected = connection.codes_sent if name == "out" else connection.codes_heard
        equal(codes, expected, f"the frames that tshark finds, {name}: {done.stderr}")


def test(stage):
    stage.start_sim("--count", "2", "--kinds", "meter,thermostat", "--speed", "60")
    with open(stage.path("clients.psk"), "w", encoding="ascii") as file:
        file.write(f"alice:{PSK.encode().hex()}\n")
    os.chmod(stage.path("clients.psk"), 0o600)
    done = stage.run(["openssl", "req", "-new", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                      stage.path("server.key"), "-out", stage.path("server.crt"), "-days", "2", "-subj", "/CN=localhost", "-addext",
                      "subjectAltName=DNS:localhost,IP:127.0.0.1"])
    check(done.returncode == 0, done.stderr)
    os.chmod(stage.path("server.key"), 0o600)
    port = free_port()
    extra = (f'listen += {{"tcp://127.0.0.1:{port}"}}\n'
             'secure {\n\tlisten = {"tls://127.0.0.1:0"}\n\tpsk_file = "clients.psk"\n\tcertificate = "server.crt"\n\tprivate_key = "server.key"\n}\nclients {\n\tamplification = 3\n}')
    gateway = stage.start_gateway(extra, port=port)
    gateway.says(r"taking connections, TCP.*?127\.0\.0\.1:(\d+)")
    secure = int(gateway.says(r"taking connections, TLS.*?127\.0\.0\.1:(\d+)").group(1))
    connection = conversation(stage, ("127.0.0.1", port))
    by_metrics(connection)
    tls(stage, secure)
    away = re.search(rb"\ncopse_tcp_clients_handshakes_away_total (\d+)\n", metrics(connection))
    check(away and int(away.group(1)) > 0, "handshakes of TLS are made beside the workers")
    beside_a_session(stage, port)
    judged(stage, connection)
    until(gateway.alive, "the gateway is up")


if __name__ == "__main__":
    play(test)
