#!/usr/bin/env python3
"""Devices by TCP and TLS: libcoap's server behind the gateway, asked by clients on datagrams and on connections; reads, writes in blocks,
observations, a device that dies and comes back, a wrong key. Hosts outside of the mesh are reached as the URI says.

SPDX-License-Identifier: BSD-2-Clause
"""
import random
import re
import shutil
import signal

from secure import PSK, write_secret
from stage import GET, OBSERVE, PROXY_URI, PUT, Peer, Skip, check, code_text, equal, free_port, play, until
from stream import free_pair
from stream_gateway import BLOCK1, BLOCK2, Connection

NAME, WRONG = "0013500000007c90", "0013500000007c91"
SZX = 6


def block(number, num, more=0):
    value = num << 4 | more << 3 | SZX
    return (number, value.to_bytes((value.bit_length() + 7) // 8, "big"))


def start_device(stage, port, key=PSK):
    """libcoap's server: UDP and TCP, and behind it, by a pre-shared key, DTLS and TLS."""
    device = stage.start("coap-server-gnutls", [shutil.which("coap-server-gnutls"), "-A", "127.0.0.1", "-p", str(port), "-k", key, "-h", "hint", "-d", "4"])
    until(lambda: not device.alive() or stage.copse("ping", f"coap+tcp://127.0.0.1:{port}", "--timeout", "5").returncode == 0, "the device listens")
    return device if device.alive() and "cannot create" not in device.output() else None


def new_device(stage, key):
    while True:
        port = free_pair()
        if device := start_device(stage, port, key):
            return device, port


def sent_by(peer, scheme):
    """Messages that the gateway has sent by transports of a scheme towards devices, which listen nowhere."""
    text, num, more = b"", 0, True
    while more:
        reply = peer.request(GET, "/metrics", options=[block(BLOCK2, num)])
        text += reply.payload
        more, num = (reply.option(BLOCK2) or b"\0")[-1] & 8, num + 1
    found = re.findall(rb'copse_transport_sent_total\{scheme="([a-z+]+)",address="[^"]*:(\d+)"\} (\d+)', text)
    return sum(int(n) for kind, port, n in found if kind.decode() == scheme and port == b"0")


def reads_and_writes(peer):
    for uri in (f"coap://{NAME}/time", f"coap+tcp://{NAME}/time"):
        equal(code_text(peer.proxied(GET, uri).code), "2.05", uri)
    body = random.Random(31).randbytes(5000)
    for at in range(0, len(body), 1024):
        more = at + 1024 < len(body)
        reply = peer.proxied(PUT, f"coap://{NAME}/file", body[at:at + 1024], options=[block(BLOCK1, at // 1024, more)])
        equal(code_text(reply.code), "2.31" if more else "2.01", f"from {at} on: {reply}")
    back, more = b"", True
    while more:
        reply = peer.proxied(GET, f"coap://{NAME}/file", options=[block(BLOCK2, len(back) // 1024)])
        equal(code_text(reply.code), "2.05", f"from {len(back)} on")
        back += reply.payload
        more = (reply.option(BLOCK2) or b"\0")[-1] & 8
    equal(back, body, "what the device has")
    check(sent_by(peer, "coap+tcp") > 0, "by TCP")
    equal(code_text(peer.proxied(GET, "coap+tcp://0013500000000000/x").code), "5.05", "TCP is not how this one is reached")


def observes(client):
    """From a connection, of a device behind another one; both sides are TCP."""
    reply = client.ask(GET, b"o", [(OBSERVE, b""), (PROXY_URI, f"coap://{NAME}/time".encode())])
    check(code_text(reply.code) == "2.05" and reply.option(OBSERVE) is not None, f"observe: {reply}")
    for _ in range(2):
        equal(code_text(client.answer(b"o").code), "2.05", "a notification")
    reply = client.ask(GET, b"o", [(OBSERVE, b"\x01"), (PROXY_URI, f"coap://{NAME}/time".encode())])
    while reply.option(OBSERVE) is not None:  # notifications that crossed it
        reply = client.answer(b"o")
    equal(code_text(reply.code), "2.05", "cancelled")


def dies(stage, peer, device, port):
    device.stop(signal.SIGKILL)
    stage.processes.remove(device)
    until(lambda: code_text(peer.proxied(GET, f"coap://{NAME}/none-{free_port()}").code) in ("5.02", "5.04"), "nobody is there")
    again = until(lambda: start_device(stage, port), "the device is back")
    until(lambda: code_text(peer.proxied(GET, f"coap://{NAME}/time").code) == "2.05", "it answers again")
    return again


def securely(stage, gateway, port, other):
    """From a session by DTLS devices are asked by TLS, with their own key."""
    done = stage.copse("session", "open", f"coaps://127.0.0.1:{port}", "--force", "--psk-id", "alice", "--psk", PSK, "--token", stage.token())
    equal(done.returncode, 0, f"session open: {done.stderr}")
    done = stage.copse("get", f"coap://{NAME}/time")
    equal(done.returncode, 0, f"by TLS: {done.stdout}{done.stderr}")
    done = stage.copse("get", f"coap://{WRONG}/time")
    # libcoap 4.3.1 closes the connection, or, if the hello comes with it, says nothing any more
    check(done.returncode == 5 and re.search("terminated|not completed", done.stderr), f"a wrong key: {done.returncode} {done.stdout}{done.stderr}")
    gateway.says(rf'msg="no secure association with a device" address=127\.0\.0\.1:{other + 1}')


def outside(peer, port):
    for scheme in ("coap", "coap+tcp"):
        equal(code_text(peer.proxied(GET, f"{scheme}://127.0.0.1:{port}/time").code), "2.05", scheme)
    equal(code_text(peer.proxied(GET, f"coap+tcp://127.1.0.1:{port}/time").code), "4.03", "which is not allowed")


def test(stage):
    if not shutil.which("coap-server-gnutls"):
        raise Skip("coap-server-gnutls is not installed")
    (device, port), (_, other), (_, elsewhere) = (new_device(stage, key) for key in (PSK, "quite another key", PSK))
    write_secret(stage, "mesh.psk", f"{NAME}:{PSK.encode().hex()}\n{WRONG}:{PSK.encode().hex()}\n")
    write_secret(stage, "clients.psk", f"alice:{PSK.encode().hex()}\n")
    stage.add_device("0013500000000000", free_port())
    listen = free_port()
    extra = [f'device "{name}" {{\n\taddress = "127.0.0.1"\n\tport = {at}\n\tsecure_port = {at + 1}\n\ttransport = tcp\n}}'
             for at, name in ((port, NAME), (other, WRONG))]
    gateway = stage.start_gateway("\n".join([f'listen += {{"tcp://127.0.0.1:{listen}"}}', 'proxy {\n\toutside = {"127.0.0.0/24"}\n}',
                                             'secure {\n\tlisten = {"127.0.0.1:0"}\n\tpsk_file = "clients.psk"\n}', *extra]),
                                  'psk_file = "mesh.psk"\n\tack_timeout = 0.5', "secure", port=listen)
    secure = gateway.says(r"listening, secure.*?127\.0\.0\.1:(\d+)").group(1)
    peer = Peer(stage.gateway_address)
    peer.open_session(stage.token())
    reads_and_writes(peer)
    client = Connection(("127.0.0.1", listen))
    client.open_session(stage.token())
    observes(client)
    dies(stage, peer, device, port)
    securely(stage, gateway, secure, other)
    check(sent_by(peer, "coaps+tcp") > 0, "by TLS")
    outside(peer, elsewhere)
    until(gateway.alive, "the gateway is up")


if __name__ == "__main__":
    play(test)
