#!/usr/bin/env python3
"""Requests that wait for a device that sleeps, of clients on DTLS associations and TCP connections: they wait, the device is heard, the answer comes by the same
association or connection. A client that is gone by then: what it asked over DTLS is carried out, and answered to nobody; what it asked over a connection
goes with its session. Counted, and the gateway goes on.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import signal

from secure import PSK, write_secret
from stage import CONTENT_FORMAT, GET, POST, PROXY_URI, PUT, SECRET, Peer, check, code_text, equal, free_port, play, until
from stream_gateway import Connection

KEYS = ["--psk-id", "alice", "--psk", PSK]


def tool(stage, *arguments):
    done = stage.copse(*arguments)
    equal(done.returncode, 0, f"copse {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def counter(stage, name):
    text = tool(stage, "get", f"{stage.gateway_uri()}/metrics")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"copse_gateway_{name}_total "))


def mails(stage):
    return len(json.loads(tool(stage, "mailbox", "--json")))


class Sleeper:
    """A device that listens, and of which the gateway is told that it sleeps. It is heard when the test says so."""

    def __init__(self, stage):
        (self.name, (_, address, port)), = stage.start_sim("--count", "1", "-k", "light", "--seed", "4").items()
        self.uri = f"coap://{self.name}/brightness"
        self.stage, self.address, self.direct = stage, address, Peer((address, port))

    def value(self):
        return self.direct.request(GET, "/brightness").payload.decode().split()[0]

    def is_heard(self):
        """It publishes."""
        out = Peer(self.stage.gateway_address, self.address)
        body = json.dumps([{"n": f"urn:dev:mac:{self.name}:x", "v": 1}]).encode()
        reply = out.request(POST, "/publish", body, options=[(CONTENT_FORMAT, b"\x6e")])
        equal(code_text(reply.code), "2.04", f"publishing: {reply.payload}")
        out.close()


def put_in_background(stage, device, value):
    """copse over the session by DTLS. Returns its process when the request waits at the gateway."""
    process = stage.start("copse-put", ["env", f"XDG_RUNTIME_DIR={stage.folder}", stage.program("copse"), "put", device.uri, value, "--session", "dtls",
                                        "--timeout", "1200", *KEYS])
    until(lambda: mails(stage) == 1, f"the request by DTLS waits: {process.output()}")
    return process


def by_dtls(stage, device, port):
    tool(stage, "session", "open", f"coaps://127.0.0.1:{port}", "--token", stage.token(), "--security", "none", "--session", "dtls", *KEYS)
    process = put_in_background(stage, device, "42")
    answered = counter(stage, "mail_answered")
    device.is_heard()
    equal(process.process.wait(1200), 0, f"the answer comes by the association: {process.output()}")
    stage.processes.remove(process)
    equal((counter(stage, "mail_answered"), device.value()), (answered + 1, "42"), "counted, and done")
    # the client is killed while its request waits
    process = put_in_background(stage, device, "55")
    process.stop(signal.SIGKILL)
    stage.processes.remove(process)
    check(device.value() == "42", "nothing has been done yet")
    device.is_heard()
    until(lambda: device.value() == "55", "what it had asked for is done")
    until(lambda: counter(stage, "mail_answered") == answered + 2, "and counted")
    # its session is as good as before, and so is the association
    process = put_in_background(stage, device, "56")
    device.is_heard()
    equal(process.process.wait(1200), 0, f"the next one of that session: {process.output()}")
    stage.processes.remove(process)
    equal(device.value(), "56", "is done, too")


def by_tcp(stage, device, port):
    stays, goes = (Connection(("127.0.0.1", port)) for _ in range(2))
    for connection in (stays, goes):
        connection.open_session(stage.token())
    stays.send(PUT, b"stay", [(PROXY_URI, device.uri.encode())], b"33")
    until(lambda: mails(stage) == 1, "the request by TCP waits")
    device.is_heard()
    equal((code_text(stays.answer(b"stay").code), device.value()), ("2.04", "33"), "the answer comes by the connection")
    # two wait; the connection of one ends
    homeless = counter(stage, "mail_homeless")
    goes.send(PUT, b"goes", [(PROXY_URI, device.uri.encode())], b"34")
    until(lambda: mails(stage) == 1, "the request by TCP waits")
    goes.socket.close()
    until(lambda: "copse_tcp_clients_connections 1\n" in tool(stage, "get", f"{stage.gateway_uri()}/metrics"), "the gateway has seen that")
    stays.send(PUT, b"next", [(PROXY_URI, device.uri.encode())], b"35")
    until(lambda: mails(stage) + counter(stage, "mail_homeless") - homeless == 2, "the other one waits")
    device.is_heard()
    equal((code_text(stays.answer(b"next").code), device.value()), ("2.04", "35"), "who has stayed is answered")
    until(lambda: (counter(stage, "mail_homeless"), mails(stage)) == (homeless + 1, 0), "the other one is counted")
    stays.socket.close()


def test(stage):
    write_secret(stage, "clients.psk", f"alice:{PSK.encode().hex()}\n")
    device = Sleeper(stage)
    port = free_port()
    gateway = stage.start_gateway(
        f'listen += {{"tcp://127.0.0.1:{port}"}}\nsecure {{\n\tlisten = {{"127.0.0.1:0"}}\n\tpsk_file = "clients.psk"\n}}\n'
        'class "light" {\n\tsleeping = true\n}\ncollector {\n\tstore = ":memory:"\n}\nmailbox {\n\tlimit = 86400\n}\nsessions {\n\tper_account = 100\n}', port=port)
    gateway.says(r"taking connections, TCP")
    secure = gateway.says(r"listening, secure.*?127\.0\.0\.1:(\d+)").group(1)
    tool(stage, "session", "open", stage.gateway_uri(), "--account", "tester", "--secret", SECRET, "--security", "none")
    by_dtls(stage, device, secure)
    by_tcp(stage, device, port)
    equal(gateway.stop(), 0, "the gateway's exit status")
    stage.processes.remove(gateway)


play(test)
