"""Several workers, and clients by TCP and by DTLS: each connection and association is the worker's that the system gives it to, devices
belong to any. Sessions, observations and keys follow.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re

import stage as s
from stream_gateway import BLOCK2, PSK, Connection

DEVICES = 12
CLIENTS = 16  # that one worker has none of them happens once in 2^15 runs, and harms nothing

s.GATEWAY = ["--workers", "2", "--spread", "port"]


def metrics(connection):
    text, block, more = b"", 0, True
    while more:
        part = connection.ask(s.GET, b"m", s.path_options("/metrics") + [(BLOCK2, (block << 4 | 6).to_bytes(3, "big").lstrip(b"\0"))])
        s.equal(s.code_text(part.code), "2.05", "metrics")
        text += part.payload
        more = (part.option(BLOCK2) or b"\0")[-1] & 8
        block += 1
    return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", text.decode(), re.M)}


def here(address):
    """A request for the gateway by its own address in a proxy URI, whichever worker has the connection."""
    return [(s.PROXY_URI, f"coap://{address[0]}:{address[1]}/help".encode())]


def connections(stage, address):
    """Every client asks every device, all at once, and observes one."""
    clients = [Connection(address) for _ in range(CLIENTS)]
    for i, client in enumerate(clients):
        client.open_session(stage.token(f"account-{i}"))
        s.equal(s.code_text(client.ask(s.GET, b"h", here(address)).code), "2.05", "the gateway itself, asked as a proxy")
    devices = list(stage.devices)
    for client in clients:
        left = {}
        for i, device in enumerate(devices):
            left[bytes([i])] = device
            client.send(s.GET, bytes([i]), [(s.PROXY_URI, f"coap://{device}/consumption".encode())])
        while left:
            message = client.frame()
            if message.code >> 5 == 7:
                continue
            s.check(message.token in left, f"an answer to nothing: {message}")
            s.equal(s.code_text(message.code), "2.05", f"the answer of {left.pop(message.token)}")
    for i, client in enumerate(clients):
        uri = f"coap://{devices[i % DEVICES]}/consumption".encode()
        reply = client.ask(s.GET, b"o", [(s.OBSERVE, b""), (s.PROXY_URI, uri)])
        s.check(s.code_text(reply.code) == "2.05" and reply.option(s.OBSERVE) is not None, f"observe: {reply}")
    for client in clients:
        for _ in range(2):
            s.equal(s.code_text(client.answer(b"o").code), "2.05", "a notification")
    return clients


def ended(clients, witness):
    """With its connection a client's session ends, and what it observes: at all workers."""
    values = metrics(witness)
    s.equal(values["copse_gateway_sessions"], len(clients) + 1, "sessions")
    s.equal(values["copse_gateway_observers"], len(clients), "observers")
    s.equal(values["copse_tcp_clients_connections"], len(clients) + 1, "connections of all workers")
    for client in clients:
        client.socket.close()
    s.until(lambda: metrics(witness)["copse_gateway_sessions"] == 1, "the sessions have ended")
    s.until(lambda: metrics(witness)["copse_gateway_observers"] == 0, "nobody observes any more")
    s.until(lambda: metrics(witness)["copse_gateway_requests"] == 0, "the devices have been told")


def associations(stage, port):
    """Clients by DTLS, each from a port of its own, ask devices of both workers."""
    stage.environment.update(COPSE_PSK_ID="alice", COPSE_PSK=PSK)
    devices = list(stage.devices)
    for i in range(6):
        done = stage.copse("session", "open", "--force", f"coaps://127.0.0.1:{port}", "--token", stage.token(f"secure-{i}"))
        s.equal(done.returncode, 0, f"session open: {done.stdout}{done.stderr}")
        for device in devices[i % 3::6]:
            done = stage.copse("get", f"coap://{device}/consumption")
            s.equal(done.returncode, 0, f"by DTLS, {device}: {done.stdout}{done.stderr}")


def new_keys(stage, gateway, port):
    """Each worker has them: who came with the old ones is let in by none."""
    with open(stage.path("clients.psk"), "w", encoding="ascii") as file:
        file.write(f"bob:{PSK.encode().hex()}\n")
    gateway.process.send_signal(s.signal.SIGHUP)
    gateway.says("msg=reloaded")
    stage.environment["COPSE_PSK_ID"] = "bob"
    for _ in range(6):
        def comes_in():
            return stage.copse("ping", f"coaps://127.0.0.1:{port}", "--timeout", "60").returncode == 0
        s.until(comes_in, "bob may come")


def test(stage):
    stage.start_sim("--count", str(DEVICES), "--kinds", "meter", "--speed", "60")
    with open(stage.path("clients.psk"), "w", encoding="ascii") as file:
        file.write(f"alice:{PSK.encode().hex()}\n")
    os.chmod(stage.path("clients.psk"), 0o600)
    gateway = stage.start_gateway('listen += {"tcp://127.0.0.1:0"}\nsecure {\n\tlisten = {"127.0.0.1:0"}\n\tpsk_file = "clients.psk"\n}')
    address = ("127.0.0.1", int(gateway.says(r"taking connections, TCP.*?127\.0\.0\.1:(\d+)").group(1)))
    secure = int(gateway.says(r"listening, secure.*?127\.0\.0\.1:(\d+)").group(1))
    witness = Connection(address)
    witness.open_session(stage.token("witness"))
    ended(connections(stage, address), witness)
    associations(stage, secure)
    new_keys(stage, gateway, secure)
    s.check(metrics(witness)["copse_gateway_crossed_total"] > 0, "nothing crossed")


s.play(test)
