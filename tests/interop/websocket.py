#!/usr/bin/env python3
"""CoAP over WebSockets, with foreign peers: the Python package `websockets` asks copse-sim and the gateway and is asked by copse, in
the clear and by TLS; raw sockets say what nobody should; tshark judges the wire.

SPDX-License-Identifier: BSD-2-Clause
"""
import asyncio
import base64
import contextlib
import hashlib
import os
import shutil
import socket
import ssl
import sys

from stage import GET, OBSERVE, PATIENCE, POST, PROXY_URI, PUT, URI_QUERY, Message, Peer, Skip, check, code_text, equal, path_options, play

DEBIAN = "/usr/bin/python3"  # whose packages are Debian's

try:
    import websockets
except ImportError:
    websockets = None
    if os.path.exists(DEBIAN) and os.path.realpath(sys.executable) != os.path.realpath(DEBIAN):
        os.execv(DEBIAN, [DEBIAN, "-B", *sys.argv])

PATH = "/.well-known/coap"
CSM, PING, PONG = 0xe1, 0xe2, 0xe3
BLOCK1 = 27
PSK = "a pre-shared key of the tests"
KEY = base64.b64encode(b"sixteen bytes !!").decode()


def message(code, token=b"", options=(), payload=b""):
    """RFC 8323 §4.2: as over TCP, with a Len of 0."""
    return bytes([len(token), code]) + token + Message(0, code, 0, token, options, payload).encode()[4 + len(token):]


def parsed(data):
    check(data[0] >> 4 == 0, f"Len is 0: {data.hex()}")
    return Message.decode(bytes([0x40 | data[0], data[1], 0, 0]) + data[2:])


OWN_CSM = message(CSM, b"", [(2, (4000).to_bytes(2, "big")), (4, b"")])


class Client:
    """A client whose WebSocket is the package's."""

    def __init__(self, socket_of):
        self.ws, self.greeted = socket_of, False

    async def hear(self):
        data = await asyncio.wait_for(self.ws.recv(), PATIENCE)
        check(isinstance(data, bytes), "messages are binary")
        heard = parsed(data)
        if not self.greeted:
            equal(heard.code, CSM, "the first message")
            self.greeted = True
            return await self.hear()
        return heard

    async def ask(self, code, token, options, payload=b""):
        await self.ws.send(message(code, token, options, payload))
        return await self.answer(token)

    async def answer(self, token):
        while (heard := await self.hear()).token != token:
            pass
        return heard


@contextlib.asynccontextmanager
async def client(uri, **options):
    async with websockets.connect(uri, subprotocols=["coap"], compression=None, open_timeout=PATIENCE, ping_interval=None, **options) as ws:
        equal(ws.subprotocol, "coap", "the subprotocol")
        await ws.send(OWN_CSM)
        yield Client(ws)


async def asks_sim(host, port):
    uri = f"ws://{host}:{port}{PATH}"
    async with client(uri) as c:
        reply = await c.ask(GET, b"a", path_options("/.well-known/core"))
        check(code_text(reply.code) == "2.05" and b"</temperature>" in reply.payload, f"GET: {reply}")
        reply = await c.ask(GET, b"o", [(OBSERVE, b""), *path_options("/temperature")])
        check(reply.option(OBSERVE) is not None, f"observe: {reply}")
        check((await c.answer(b"o")).option(OBSERVE) is not None, "a notification")
        await c.ask(GET, b"o", [(OBSERVE, b"\x01"), *path_options("/temperature")])
        whole = message(GET, b"f", path_options("/temperature"))
        await c.ws.send([whole[:1], whole[1:2], b"", whole[2:]])  # in four fragments
        equal(code_text((await c.answer(b"f")).code), "2.05", "a message in fragments")
        await asyncio.wait_for(await c.ws.ping(b"are you there"), PATIENCE)
        await c.ws.send(message(PING, b"p"))
        equal((await c.answer(b"p")).code, PONG, "CoAP's own Ping")
    async with client(uri) as c:  # RFC 6455 §7.4.1
        await c.ask(GET, b"a", path_options("/temperature"))
        await c.ws.send("a text")
        await asyncio.wait_for(c.ws.wait_closed(), PATIENCE)
        equal(c.ws.close_code, 1003, "a text is refused")
    async with client(uri) as c:
        await c.ask(GET, b"a", path_options("/temperature"))
        await c.ws.send(message(PUT, b"b", path_options("/schedule"), bytes(1200)))
        await asyncio.wait_for(c.ws.wait_closed(), PATIENCE)
        equal(c.ws.close_code, 1009, "more than the Max-Message-Size is refused")
    with contextlib.suppress(websockets.InvalidHandshake, ConnectionError):
        async with websockets.connect(uri, subprotocols=["mqtt"], open_timeout=PATIENCE):
            check(False, "another subprotocol is refused")


# ---- raw ----

def frame(opcode, payload, masked=True, fin=True):
    n = len(payload)
    head = bytes([fin << 7 | opcode]) + (bytes([masked << 7 | n]) if n < 126 else bytes([masked << 7 | 126]) + n.to_bytes(2, "big"))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Raw:
    """A connection that says each byte, and remembers who has said what."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.said = []  # ("O" or "I", bytes)
        self.data = b""

    def say(self, data):
        self.said.append(("O", data))
        self.socket.sendall(data)

    def take(self, n):
        while len(self.data) < n:
            more = self.socket.recv(65536)
            check(more, f"the connection ended after {self.data!r}")
            self.data += more
        taken, self.data = self.data[:n], self.data[n:]
        return taken

    def upgrade(self, **fields):
        fields = {"Host": "x", "Upgrade": "websocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Key": KEY,
                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "mqtt, coap", **{k.replace("_", "-"): v for k, v in fields.items()}}
        self.say((f"GET {PATH} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None) + "\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        self.said.append(("I", head))
        return head.decode()

    def frame(self):
        head = self.take(2)
        more = self.take(2) if head[1] & 127 == 126 else b""
        payload = self.take(int.from_bytes(more, "big") if more else head[1] & 127)
        self.said.append(("I", head + more + payload))
        return head[0] & 15, payload

    def close_code(self):
        """What it is closed with; messages before that are passed over."""
        while True:
            opcode, payload = self.frame()
            if opcode == 8:
                self.socket.close()
                return int.from_bytes(payload[:2], "big")


def handshakes(address):
    head = Raw(address).upgrade()
    accept = base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    check(head.startswith("HTTP/1.1 101 ") and f"Sec-WebSocket-Accept: {accept}\r\n" in head, head)
    for status, fields in (("400", {"Host": None}), ("400", {"Sec_WebSocket_Key": "short"}), ("400", {"Sec_WebSocket_Protocol": "mqtt"}),
                           ("426", {"Sec_WebSocket_Version": "8"}), ("426", {"Upgrade": None}), ("400", {"Transfer_Encoding": "chunked"}),
                           ("400", {"Content_Length": "5"}), ("403", {"Origin": "https://elsewhere.example"}), ("101", {"Origin": "http://x"})):
        head = Raw(address).upgrade(**fields)
        check(head.startswith(f"HTTP/1.1 {status} "), f"{fields}: {head}")
    for said in (b"\x40\xe1\x22\x04\x80\x20\r\n\r\n", b"GET /.well-known/coap HTTP/1.1\nHost: x\n\n\r\n\r\n", b"A" * 8192):
        raw = Raw(address)
        raw.say(said)
        check(raw.take(13).startswith(b"HTTP/1.1 4"), f"{said[:20]!r} is refused")
    raw = Raw(address)
    raw.say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    equal(raw.take(12), b"HTTP/1.1 404", "another resource")
    slow = Raw(address)
    for byte in f"GET {PATH} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n".encode():
        slow.socket.sendall(bytes([byte]))
    slow.say(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: coap\r\n\r\n" + frame(2, OWN_CSM))
    check(slow.take(12) == b"HTTP/1.1 101", "byte by byte")


def hostile(address):
    def opened():
        raw = Raw(address)
        raw.upgrade()
        raw.say(frame(2, OWN_CSM))
        return raw
    for what, said, code in (("not masked", frame(2, b"\x01\x01a", masked=False), 1002), ("a reserved bit", b"\xc2\x80\1\2\3\4", 1002),
                             ("a continuation of nothing", frame(0, b"x"), 1002), ("a text", frame(1, b"x"), 1003),
                             ("no CoAP", frame(2, b"\x09\x01"), 1007), ("with a Len", frame(2, b"\x11\x01a\x30"), 1007),
                             ("too long", b"\x82\xff\0\0\0\0\0\x10\0\0\1\2\3\4and so on", 1009), ("a close", frame(8, b"\x03\xe8"), 1000),
                             ("many fragments", frame(2, b"", fin=False) + 70 * frame(0, b"", fin=False), 1008),
                             ("a message inside a message", frame(2, b"\x01", fin=False) + frame(2, b"\x01"), 1002)):
        raw = opened()
        raw.say(said)
        equal(raw.close_code(), code, what)
    raw = Raw(address)
    raw.upgrade()
    raw.say(frame(2, message(GET, b"x")))  # §5.3: not the first message
    codes = []
    while (heard := raw.frame())[0] == 2:
        codes.append(heard[1][1])
    equal(codes, [CSM, 0xe5], "no greeting: Abort")
    for cut in range(1, 20):  # those that go in the middle of something
        raw = opened()
        raw.socket.sendall(frame(2, message(GET, b"x", path_options("/temperature")))[:cut])
        raw.socket.close()


def floods(address):
    """Pings without end from one who takes no answer: it is read from no more, and others are served."""
    raw = Raw(address)
    raw.upgrade()
    raw.say(frame(2, OWN_CSM))
    raw.socket.settimeout(0.5)
    flood = frame(9, b"x" * 125) * 500
    with contextlib.suppress(TimeoutError, ConnectionResetError, BrokenPipeError):
        for _ in range(400):
            raw.socket.sendall(flood)
    other = Raw(address)
    other.upgrade()
    other.say(frame(2, OWN_CSM) + frame(9, b"hello"))
    heard = [other.frame(), other.frame()]
    check((10, b"hello") in heard, f"others are served: {heard}")
    raw.socket.close()


def judged(stage, address):
    """A whole conversation, by a dissector that shares nothing with us."""
    if not shutil.which("tshark") or not shutil.which("text2pcap"):
        return
    raw = Raw(address)
    raw.upgrade()
    raw.say(frame(2, OWN_CSM))
    equal(raw.frame()[1][1], CSM, "its greeting")
    raw.say(frame(2, message(GET, b"tok", path_options("/temperature"))))
    equal(code_text(raw.frame()[1][1]), "2.05", "the answer")
    raw.say(frame(2, message(PING, b"p")))
    equal(raw.frame()[1][1], PONG, "the Pong")
    with open(stage.path("ws.hex"), "w", encoding="ascii") as file:
        for who, data in raw.said:
            for at in range(0, len(data), 16):
                file.write(f"{who if at == 0 else ' '} {at:06x} {' '.join(f'{b:02x}' for b in data[at:at + 16])}\n")
            file.write("\n")
    done = stage.run(["text2pcap", "-q", "-D", "-T", "80,40000", stage.path("ws.hex"), stage.path("ws.pcap")])
    check(done.returncode == 0, done.stderr)
    done = stage.run(["tshark", "-r", stage.path("ws.pcap"), "-Y", "coap", "-T", "fields", "-e", "coap.code"])
    equal([int(code) for code in done.stdout.split()], [CSM, CSM, GET, 69, PING, PONG], f"what tshark finds: {done.stderr}")


# ---- copse asks ----

async def coap_server(ws, _path=None):
    """Answers GET with what was asked for, the rest with 4.05; lets its client go at /bye."""
    with contextlib.suppress(websockets.ConnectionClosed):
        await serve_coap(ws)


async def serve_coap(ws):
    await ws.send(OWN_CSM)
    async for data in ws:
        asked = parsed(data)
        if asked.code == PING:
            await ws.send([message(PONG, asked.token)[:1], message(PONG, asked.token)[1:]])
        elif asked.code >> 5 == 0:
            path = b"/".join(value for number, value in asked.options if number == 11)
            answer = message(69 if asked.code == GET else 133, asked.token, [], b"you asked for " + path)
            await ws.send([answer[:3], answer[3:]])  # in fragments
            if path == b"bye":
                await ws.close(1001)


async def copse(stage, *arguments):
    return await asyncio.to_thread(stage.copse, *arguments)


async def is_asked(stage):
    async with websockets.serve(coap_server, "127.0.0.1", 0, ping_interval=None, subprotocols=["coap"], compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        uri = f"coap+ws://127.0.0.1:{port}"
        done = await copse(stage, "get", f"{uri}/some/thing")
        equal((done.returncode, done.stdout.strip()), (0, "you asked for some/thing"), f"copse get: {done.stderr}")
        equal((await copse(stage, "post", f"{uri}/x", "y")).returncode, 4, "4.05")
        equal((await copse(stage, "ping", uri)).returncode, 0, "copse ping")
        equal((await copse(stage, "get", f"{uri}/bye")).stdout.strip(), "you asked for bye", "an answer before the close")
    async with websockets.serve(coap_server, "127.0.0.1", 0, ping_interval=None, subprotocols=["mqtt"]) as server:
        done = await copse(stage, "get", f"coap+ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/x")
        check(done.returncode == 7 and "do not carry CoAP" in done.stderr, f"another subprotocol: {done.stderr}")


def make_certificate(stage):
    key, cert = stage.path("server.key"), stage.path("server.crt")
    done = stage.run(["openssl", "req", "-new", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                      "-out", cert, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
    check(done.returncode == 0, done.stderr)
    os.chmod(key, 0o600)
    return key, cert


async def is_asked_by_tls(stage, key, cert):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    async with websockets.serve(coap_server, "127.0.0.1", 0, ping_interval=None, subprotocols=["coap"], ssl=context) as server:
        uri = f"coaps+ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        done = await copse(stage, "get", f"{uri}/x", "--ca", cert)
        equal((done.returncode, done.stdout.strip()), (0, "you asked for x"), f"copse by TLS: {done.stderr}")
        equal((await copse(stage, "get", f"{uri}/x")).returncode, 35, "a server that nobody vouches for")


# ---- the gateway ----

async def asks_gateway(stage, port, secure, cert):
    token = stage.token().encode()
    meter, light = (next(name for name, row in stage.devices.items() if row[0] == kind) for kind in ("meter", "thermostat"))
    uri = f"coap://{meter}/consumption".encode()
    trust = ssl.create_default_context(cafile=cert)
    for address, options in ((f"ws://127.0.0.1:{port}{PATH}", {}), (f"wss://localhost:{secure}{PATH}", {"ssl": trust, "host": "127.0.0.1"}),
                             (f"ws://127.0.0.1:{port}{PATH}", {"origin": "https://ui.example"})):
        async with client(address, **options) as c:
            equal(code_text((await c.ask(GET, b"a", [(PROXY_URI, uri)])).code), "4.01", "without a session")
            reply = await c.ask(POST, b"s", path_options("/sessions") + [(URI_QUERY, b"security=none")], token)
            equal(code_text(reply.code), "2.01", f"POST /sessions: {reply.payload}")
            equal(code_text((await c.ask(GET, b"b", [(PROXY_URI, uri)])).code), "2.05", "through the gateway")
            reply = await c.ask(GET, b"o", [(OBSERVE, b""), (PROXY_URI, uri)])
            check(code_text(reply.code) == "2.05" and reply.option(OBSERVE) is not None, f"observe: {reply}")
            equal(code_text((await c.answer(b"o")).code), "2.05", "a notification")
            target = f"coap://{light}/schedule".encode()
            reply = await c.ask(PUT, b"e", [(PROXY_URI, target), (BLOCK1, b"\x0e")], b"x" * 1024)
            check(code_text(reply.code) in ("2.31", "4.00", "4.13", "4.15"), f"a block: {reply}")
    async with client(f"ws://127.0.0.1:{port}{PATH}") as c:
        equal(code_text((await c.ask(GET, b"a", [(PROXY_URI, uri)])).code), "4.01", "a session ends with its connection")
    with contextlib.suppress(websockets.InvalidHandshake):
        async with client(f"ws://127.0.0.1:{port}{PATH}", origin="https://evil.example"):
            check(False, "a page of another host is refused")


def test_gateway(stage, key, cert):
    del key
    stage.start_sim("--count", "2", "--kinds", "meter,thermostat", "--speed", "60")
    with open(stage.path("clients.psk"), "w", encoding="ascii") as file:
        file.write(f"alice:{PSK.encode().hex()}\n")
    os.chmod(stage.path("clients.psk"), 0o600)
    gateway = stage.start_gateway(
        'listen += {"ws://127.0.0.1:0"}\n'
        'secure {\n\tlisten = {"wss://127.0.0.1:0"}\n\tpsk_file = "clients.psk"\n\tcertificate = "server.crt"\n\tprivate_key = "server.key"\n}\n'
        'clients {\n\torigins = {"https://ui.example"}\n}')
    secure = int(gateway.says(r"WebSocket by TLS.*?127\.0\.0\.1:(\d+)").group(1))
    port = int(gateway.says(r'WebSocket" address=127\.0\.0\.1:(\d+)').group(1))
    asyncio.run(asks_gateway(stage, port, secure, cert))
    done = stage.copse("get", f"coaps+ws://127.0.0.1:{secure}/help", "--psk-id", "alice", "--psk", PSK)
    check(done.returncode == 0 and "session" in done.stdout, f"copse over TLS: {done.stdout}{done.stderr}")
    done = stage.copse("get", f"coap+ws://127.0.0.1:{port}/help")
    check(done.returncode == 0 and "session" in done.stdout, f"copse: {done.stdout}{done.stderr}")
    datagrams = Peer(stage.gateway_address)
    datagrams.open_session(stage.token())
    check(gateway.alive(), "the gateway is up")


def test(stage):
    if not websockets:
        raise Skip("python3-websockets is not installed")
    key, cert = make_certificate(stage)
    devices = stage.start_sim("--count", "1", "--kinds", "thermostat", "--ws", "--speed", "60")
    (_, host, port), = devices.values()
    asyncio.run(asks_sim(host, port))
    handshakes((host, port))
    hostile((host, port))
    floods((host, port))
    judged(stage, (host, port))
    equal(stage.copse("get", f"coap+ws://{host}:{port}/temperature").returncode, 0, "and it is still there")
    asyncio.run(is_asked(stage))
    asyncio.run(is_asked_by_tls(stage, key, cert))
    test_gateway(stage, key, cert)


play(test)
