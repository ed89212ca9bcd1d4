#!/usr/bin/env python3
"""copse load over TCP, TLS, WebSockets and DTLS: against libcoap's server, copse-sim, and the gateway with a session for each connection;
closed loop and constant rate, and on when connections end.

SPDX-License-Identifier: BSD-2-Clause
"""
import os

from load import adds_up, load
from secure import PSK, make_key
from stage import SECRET, Skip, check, equal, play
from stream import free_pair, libcoap_server

KEYS = ("--psk-id", "alice", "--psk", PSK)


def over_connections(report, requests, clients):
    adds_up(report, requests, "2.05")
    equal((report["connections"], report["reconnections"], report["connections_ended"], report["lost"]), (clients, 0, 0, 0), f"connections: {report}")


def with_libcoap(stage, flavour):
    try:
        port = libcoap_server(stage, flavour, "-k", PSK, "-h", "hint")
    except Skip as reason:
        print(f"skipped: {reason}")
        return
    for uri in (f"coap+tcp://127.0.0.1:{port}", f"coaps+tcp://127.0.0.1:{port + 1}", f"coaps://127.0.0.1:{port + 1}"):
        keys = KEYS if uri.startswith("coaps") else ()
        over_connections(load(stage, 0, "get", f"{uri}/time", "--count", "200", "-c", "5", "-w", "3", *keys), 200, 5)
        over_connections(load(stage, 0, "get", f"{uri}/time", "--count", "40", "-c", "2", "-r", "1000", *keys), 40, 2)
    report = load(stage, 0, "observe", f"coaps+tcp://127.0.0.1:{port + 1}/time", "--count", "6", "-c", "3", *KEYS)
    equal(report["observing"], 3, f"observations: {report}")
    done = stage.copse("load", "get", f"coaps+tcp://127.0.0.1:{port + 1}/time", "--count", "3", "-c", "2", *KEYS[:3], "some other key")
    equal(done.returncode, 35, f"a wrong key: {done.stdout}{done.stderr}")
    check("some other" not in done.stdout + done.stderr, "the key is shown")


def with_devices(stage):
    for option, scheme in (("--tcp", "coap+tcp"), ("--ws", "coap+ws")):
        (_, host, port), = stage.start_sim("--count", "1", "--kinds", "meter", option, "--bind", f"127.9.{len(scheme)}.0/24").values()
        over_connections(load(stage, 0, "get", f"{scheme}://{host}:{port}/consumption", "--count", "100", "-c", "4"), 100, 4)
    stage.devices.clear()


def with_the_gateway(stage):
    device = next(iter(stage.start_sim("--count", "1", "--kinds", "meter")))
    make_key(stage, "server", "DNS:localhost,IP:127.0.0.1")
    with open(stage.path("clients.psk"), "w", encoding="ascii") as file:
        file.write(f"alice:{PSK.encode().hex()}\n")
    os.chmod(stage.path("clients.psk"), 0o600)
    gateway = stage.start_gateway(
        'listen += {"tcp://127.0.0.1:0", "ws://127.0.0.1:0"}\n'
        'secure {\n\tlisten = {"127.0.0.1:0", "tls://127.0.0.1:0", "wss://127.0.0.1:0"}\n\tpsk_file = "clients.psk"\n'
        '\tcertificate = "server.crt"\n\tprivate_key = "server.key"\n}\nsessions {\n\tper_account = 4\n}')
    ports = {scheme: gateway.says(pattern + r"\D*?127\.0\.0\.1:(\d+)").group(1) for scheme, pattern in (
        ("coap+tcp", r"taking connections, TCP\""), ("coaps+tcp", r"taking connections, TLS"), ("coap+ws", r"WebSocket\""),
        ("coaps+ws", r"WebSocket by TLS"), ("coaps", r"secure[^\n]*"))}
    certificate = ("--ca", stage.path("server.crt"))
    for scheme, port in ports.items():
        uri = f"{scheme}://127.0.0.1:{port}"
        for keys in (KEYS, certificate) if scheme.startswith("coaps") else ((),):
            over_connections(load(stage, 0, "get", f"{uri}/help", "--count", "40", "-c", "4", *keys), 40, 4)
        session = ["--proxy", uri, "--account", "load", "--secret", SECRET, *(KEYS if scheme.startswith("coaps") else ())]
        over_connections(load(stage, 0, "get", f"coap://{device}/consumption", "--count", "40", "-c", "4", *session), 40, 4)
    shown = stage.copse("load", "get", f"coap+tcp://127.0.0.1:{ports['coap+tcp']}/help", "--count", "10", "-c", "1", "-q")
    check("connections        1" in shown.stdout and "coap+tcp" in shown.stdout, f"as text: {shown.stdout}")
    # an authority that nobody has named
    equal(stage.copse("load", "get", f"coaps+tcp://localhost:{ports['coaps+tcp']}/help", "-4", "--count", "1").returncode, 35, "nobody vouches for it")


def test(stage):
    equal(stage.copse("load", "get", f"coap+tcp://127.0.0.1:{free_pair()}/", "--count", "1", "-c", "2").returncode, 7, "nobody there")
    with_libcoap(stage, "gnutls")
    with_devices(stage)
    with_the_gateway(stage)


play(test)
