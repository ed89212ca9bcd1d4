"""What the interoperability tests share: a stage with real processes on loopback, a small CoAP codec of its own, waiting for
conditions.

The codec is written against RFC 7252 and shares nothing with the project's: a second opinion. Every process is started
and ended by its own id; ports are chosen by the system; everything lies in a temporary folder that goes away.

SPDX-License-Identifier: BSD-2-Clause
"""
import base64
import contextlib
import hmac
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PATIENCE = 300  # seconds until a condition that must come is given up; not a measure of speed

CON, NON, ACK, RST = range(4)
GET, POST, PUT, DELETE = 1, 2, 3, 4
IF_MATCH, URI_HOST, ETAG, OBSERVE, URI_PORT, URI_PATH, CONTENT_FORMAT, MAX_AGE, URI_QUERY, ACCEPT = 1, 3, 4, 6, 7, 11, 12, 14, 15, 17
BLOCK2, PROXY_URI, PROXY_SCHEME, ECHO = 23, 35, 39, 252

SECRET = "a secret of the interoperability tests, long enough"
# What each gateway is started with: not as many workers as the machine has cores, so that bounds are the same everywhere.
GATEWAY = os.environ.get("COPSE_GATEWAY_OPTIONS", "--workers 2").split()
HERE = os.path.dirname(os.path.abspath(__file__))


class Failure(Exception):
    """A condition of the test does not hold."""


class Skip(Exception):
    """The machine lacks something that the test needs."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(found, expected, what):
    check(found == expected, f"{what}: {found!r}, expected {expected!r}")


def until(condition, what, patience=PATIENCE):
    """The first true value of condition(), asked again and again."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited in vain: {what}")
        time.sleep(0.02)


# --- messages ---------------------------------------------------------------------------------------------------------

def code(text):
    """4.01 -> 0x81"""
    group, detail = text.split(".")
    return int(group) << 5 | int(detail)


def code_text(number):
    return f"{number >> 5}.{number & 31:02}"


class Message:
    """A CoAP message; options are pairs of number and bytes."""

    def __init__(self, kind, number, mid, token=b"", options=(), payload=b""):
        self.kind, self.code, self.mid, self.token, self.options, self.payload = kind, number, mid, token, list(options), payload

    def encode(self):
        out = bytearray([0x40 | self.kind << 4 | len(self.token), self.code, self.mid >> 8, self.mid & 255]) + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda option: option[0]):
            fields, extra = [], b""
            for n in (number - last, len(value)):
                if n < 13:
                    fields.append(n)
                elif n < 269:
                    fields.append(13)
                    extra += bytes([n - 13])
                else:
                    fields.append(14)
                    extra += (n - 269).to_bytes(2, "big")
            out += bytes([fields[0] << 4 | fields[1]]) + extra + value
            last = number
        if self.payload:
            out += b"\xff" + self.payload
        return bytes(out)

    @classmethod
    def decode(cls, data):
        check(len(data) >= 4 and data[0] >> 6 == 1 and data[0] & 15 <= 8, f"not a message: {data.hex()}")
        at = 4 + (data[0] & 15)
        message = cls(data[0] >> 4 & 3, data[1], data[2] << 8 | data[3], data[4:at])
        number = 0
        while at < len(data) and data[at] != 0xFF:
            fields = [data[at] >> 4, data[at] & 15]
            at += 1
            for i in range(2):
                check(fields[i] != 15, "option nibble 15")
                width = max(fields[i] - 12, 0)
                if width:
                    fields[i] = int.from_bytes(data[at:at + width], "big") + (13, 269)[width - 1]
                    at += width
            number += fields[0]
            check(at + fields[1] <= len(data), "option beyond the end")
            message.options.append((number, data[at:at + fields[1]]))
            at += fields[1]
        if at < len(data):
            message.payload = data[at + 1:]
            check(message.payload, "payload marker without payload")
        return message

    def option(self, number):
        return next((value for n, value in self.options if n == number), None)

    def __repr__(self):
        kind = ("CON", "NON", "ACK", "RST")[self.kind]
        return f"{kind} {code_text(self.code)} mid={self.mid} token={self.token.hex()} {self.options} {self.payload!r}"


def path_options(path):
    return [(URI_PATH, segment.encode()) for segment in path.strip("/").split("/") if segment]


class Peer:
    """A raw client on a UDP socket of its own."""

    def __init__(self, server, local="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        if ":" not in server[0]:
            self.socket.bind((local, 0))
        self.socket.connect(server)
        self.mid = int.from_bytes(os.urandom(2), "big")
        self.pause, self.growth = 2, 2  # seconds until a request is repeated, and by how much that grows
        self.seen = set()  # message IDs of what `is_copy` was asked about

    def send(self, message):
        data = message.encode() if isinstance(message, Message) else message
        try:
            self.socket.send(data)
        except ConnectionRefusedError:  # of what was sent before: this one has not been sent
            self.socket.send(data)

    def receive(self, patience=PATIENCE):
        """The next message, or None after `patience` seconds."""
        self.socket.settimeout(patience)
        try:
            return Message.decode(self.socket.recv(65536))
        except (socket.timeout, ConnectionRefusedError):
            return None

    def is_copy(self, message):
        """Whether a message that the other side numbers has come before: it is repeated until our acknowledgement arrives."""
        copy = message.kind in (CON, NON) and message.mid in self.seen
        if message.kind in (CON, NON):
            self.seen.add(message.mid)
        return copy

    def next_mid(self):
        self.mid = (self.mid + 1) & 0xFFFF
        return self.mid

    def answer(self, message):
        """Send a CON until its answer comes, piggybacked or not; acknowledge a separate one. Returns it."""
        end = time.monotonic() + PATIENCE
        pause = self.pause
        self.send(message)
        while time.monotonic() < end:
            reply = self.receive(pause)
            if reply is None:
                self.send(message)
                pause = min(pause * self.growth, 30)
                continue
            if reply.kind == CON:
                self.send(Message(ACK, 0, reply.mid))
            if reply.kind == RST and reply.mid == message.mid:
                return reply
            if reply.code and reply.token == message.token and (reply.kind != ACK or reply.mid == message.mid):
                return reply  # not a copy of what an earlier message under the same token was answered
        raise Failure(f"no answer to {message}")

    def request(self, method, path, payload=b"", query=(), options=()):
        """The answer; where the server asks for an Echo (RFC 9175 §2.3), the one to the request that repeats it."""
        parts = path_options(path) + [(URI_QUERY, q.encode()) for q in query] + list(options)
        reply = self.answer(Message(CON, method, self.next_mid(), os.urandom(4), parts, payload))
        echo = reply.option(ECHO)
        if code_text(reply.code) != "4.01" or echo is None:
            return reply
        return self.answer(Message(CON, method, self.next_mid(), os.urandom(4), parts + [(ECHO, echo)], payload))

    def proxied(self, method, uri, payload=b"", options=()):
        return self.answer(Message(CON, method, self.next_mid(), os.urandom(4), [(PROXY_URI, uri.encode()), *options], payload))

    def metrics_text(self):
        """What the gateway counts, of all workers. It takes a session."""
        text, number = b"", 0
        while True:
            reply = self.request(GET, "/metrics", options=[(BLOCK2, (number << 4 | 6).to_bytes(3, "big").lstrip(b"\0"))])
            equal(code_text(reply.code), "2.05", "GET /metrics")
            text += reply.payload
            if not int.from_bytes(reply.option(BLOCK2) or b"", "big") & 8:
                return text.decode()
            number += 1

    def metrics(self):
        """Of that, by its name, what has no labels."""
        return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", self.metrics_text(), re.M)}

    def open_session(self, token):
        def post():
            reply = self.request(POST, "/sessions", token.encode(), ["security=none"])
            if code_text(reply.code) == "5.03":  # so many tokens are checked in a second, and no more
                time.sleep(0.2)
                return None
            return reply
        reply = until(post, "the gateway has time to look at a token")
        equal(code_text(reply.code), "2.01", "POST /sessions")

    def ping(self, patience=PATIENCE):
        """Whether the other side answers an empty CON with a Reset. All that it had sent before has been taken then, and is dropped."""
        mid = self.next_mid()
        end, pause = time.monotonic() + patience, 0.5
        while time.monotonic() < end:
            self.send(Message(CON, 0, mid))
            again = time.monotonic() + pause
            while time.monotonic() < again:
                reply = self.receive(max(again - time.monotonic(), 0.01))
                if reply and reply.kind == RST and reply.mid == mid:
                    return True
            pause = min(pause * 2, 8)
        return False

    def close(self):
        self.socket.close()


# --- processes --------------------------------------------------------------------------------------------------------

class Process:
    """A program in the background, with what it prints in a file."""

    def __init__(self, name, command, log):
        self.name, self.log = name, log
        with open(log, "xb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def alive(self):
        return self.process.poll() is None

    def says(self, pattern):
        """Wait until it has printed something that matches. Returns the match."""
        def look():
            alive = self.alive()  # before what it printed is read: what it prints last is read, too
            match = re.search(pattern, self.output(), re.M)
            if not match and not alive:
                raise Failure(f"{self.name} ended with {self.process.returncode}:\n{self.output()}")
            return match
        return until(look, f"{self.name} says {pattern}")

    def stop(self, how=signal.SIGTERM):
        """End it. Returns the exit status."""
        if self.alive():
            self.process.send_signal(how)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Stage:
    """A folder, programs of one build, and everything that was started."""

    def __init__(self, build, folder):
        self.build, self.folder, self.processes = build, folder, []
        self.numbers = itertools.count()  # of the logs: threads start processes too, so that counting those there would name two alike
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": folder, "HOME": folder}
        self.gateway_address = None
        self.cleanups = []  # called at the end, whatever happened
        self.devices = {}
        self.used_ids = {}  # of libcoap's client, by its port
        self.secure_ports = {}  # of those that take DTLS

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, name):
        for place in (f"apps/{name}", f"examples/{name}", "examples"):
            path = os.path.join(self.build, place, name)
            if os.path.isfile(path):
                return path
        raise Failure(f"{name} has not been built in {self.build}")

    def foreign(self, name):
        # Debian puts the TLS library behind the names of libcoap's programs.
        path = next(filter(None, (shutil.which(name + suffix) for suffix in ("", "-notls", "-gnutls"))), None)
        if not path:
            raise Skip(f"{name} is not installed")
        return path

    def start(self, name, command):
        process = Process(name, command, self.path(f"{name}-{next(self.numbers)}.log"))
        self.processes.append(process)
        return process

    def run(self, command, timeout=PATIENCE * 2, stdin=None):
        """Run to the end. Returns the finished process with text in stdout and stderr."""
        done = subprocess.run(command, capture_output=True, timeout=timeout, env=self.environment, check=False, input=stdin)
        done.stdout = done.stdout.decode("utf-8", "replace")
        done.stderr = done.stderr.decode("utf-8", "replace")
        return done

    def copse(self, *arguments, timeout=PATIENCE * 2):
        return self.run([self.program("copse"), *arguments], timeout)

    def start_sim(self, *arguments):
        """Devices on addresses of their own and ports that the system chooses. Returns {MAC ID: (kind, address, port)}."""
        conf = self.path(f"sim-{next(self.numbers)}.conf")
        process = self.start("copse-sim", [self.program("copse-sim"), "--port", "0", "--conf", conf, *arguments])
        process.says(r"msg=listening")
        with open(conf, encoding="utf-8") as file:
            text = file.read()
        found = {}
        for section in re.finditer(r'device "(\w+)" \{(.*?)\n\}', text, re.S):
            rows = dict(re.findall(r'(\w+) = "?([^"\n]+)"?', section.group(2)))
            found[section.group(1)] = (rows["class"], rows["address"], int(rows["port"]))
            if "secure_port" in rows:
                self.secure_ports[section.group(1)] = int(rows["secure_port"])
        self.devices.update(found)
        return found

    def start_plugtest_server(self):
        """A conformance server of its own. Returns its address and port."""
        process = self.start("plugtest-server", [self.program("plugtest-server"), "127.0.0.1:0"])
        return "127.0.0.1", int(process.says(r"listening at 127\.0\.0\.1:(\d+)").group(1))

    def add_device(self, name, port, address="127.0.0.1", kind="foreign"):
        self.devices[name] = (kind, address, port)

    def device_of(self, kind):
        return next(name for name, row in self.devices.items() if row[0] == kind)

    def start_gateway(self, extra="", mesh="", security="none", port=0):
        """A gateway that knows the devices so far. Returns its process; its address is in `gateway_address`."""
        lines = [f'listen = {{"127.0.0.1:{port}"}}', f'key "test" {{\n\talgorithm = HS256\n\tsecret = "{SECRET}"\n}}',
                 f'mesh {{\n\tsecurity = {security}\n\tbind = "127.0.0.1:0"\n\t{mesh}\n}}', extra]
        for name, (kind, address, port) in self.devices.items():
            secure = f"\tsecure_port = {self.secure_ports[name]}\n" if name in self.secure_ports else ""
            lines.append(f'device "{name}" {{\n\taddress = "{address}"\n\tport = {port}\n\tclass = "{kind}"\n{secure}}}')
        conf = self.path("gateway.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        process = self.start("copse-gateway", [self.program("copse-gateway"), "-c", conf, *GATEWAY])
        port = process.says(r"msg=listening.*?127\.0\.0\.1:(\d+)").group(1)
        self.gateway_address = ("127.0.0.1", int(port))
        return process

    def gateway_uri(self):
        return f"coap://{self.gateway_address[0]}:{self.gateway_address[1]}"

    @staticmethod
    def token(account="tester", **claims):
        """A JSON Web Token (RFC 7519) for the gateway's key, made without the project's code."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        body = {"sub": account, "iat": int(time.time()), "exp": int(time.time()) + 3600, **claims}
        signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(body).encode())
        return (signed + b"." + part(hmac.digest(SECRET.encode(), signed, "sha256"))).decode()

    def coap_server(self, *arguments):
        """libcoap's server on 127.0.0.1. Returns its process and its port, and a raw client of it."""
        while True:
            port = free_port()
            process = self.start("coap-server", [self.foreign("coap-server"), "-A", "127.0.0.1", "-p", str(port), *arguments])
            direct = Peer(("127.0.0.1", port))
            until(lambda: not process.alive() or direct.ping(1), "coap-server answers a ping")
            if process.alive():
                return process, port, direct
            direct.close()
            self.processes.remove(process)  # somebody else has the port

    def coap_client(self, local_port, *arguments):
        """libcoap's client, from a fixed port. What it prints on either channel, as one text.

        By itself it would use the same token each time: an answer that the run before has acknowledged late, and that is sent again,
        would be taken for this one's. And it begins with a random message ID: when that has been used before, what the server takes
        for a copy is asked anew."""
        used, out = self.used_ids.setdefault(local_port, set()), self.path(f"coap-client-{next(self.numbers)}")
        while True:
            done = self.run([self.foreign("coap-client"), "-v", "7", "-B", str(PATIENCE), "-p", str(local_port), "-T", os.urandom(4).hex(),
                             "-o", out, *arguments])
            ids = set(re.findall(r"^v:1 t:(?:CON|NON) c:[A-Z]+ i:([0-9a-f]+) ", done.stdout, re.M))
            check(ids, f"coap-client sends nothing: {done.stdout}{done.stderr}")
            if used.isdisjoint(ids):
                break
        used |= ids
        payload = ""
        if os.path.exists(out):
            with open(out, encoding="utf-8", errors="replace") as file:
                payload = file.read()
        return (payload + done.stderr).strip()

    def stop(self, dead_is_failure=True):
        """End everything, the last started first. Returns what went wrong."""
        wrong = []
        for process in reversed(self.processes):
            if not process.alive() and dead_is_failure:
                wrong.append(f"{process.name} had ended by itself with {process.process.returncode}")
            status = process.stop()
            output = process.output()
            if "Sanitizer" in output or "runtime error:" in output:
                wrong.append(f"{process.name}: a sanitizer speaks")
            if process.name.startswith("copse") and status not in (0, None):
                wrong.append(f"{process.name} ended with {status} on SIGTERM")
        return wrong


RESERVED = []  # sockets whose names say which ports this process has given out


def free_port():
    """A UDP port of 127.0.0.1 for programs that cannot be told to choose. It and the next one are outside of what the system gives to
    sockets that do not care, and nobody else's who asks here, until this process ends."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first = int(file.read().split()[0])
    while True:
        port = random.randrange(min(10000, first // 2), first - 1) & ~1
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0copse-test-port-{port}")  # a name without a file, which ends with its owner
            for used in (port, port + 1):
                with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
                    probe.bind(("127.0.0.1", used))
        except OSError:
            mark.close()
            continue
        RESERVED.append(mark)
        return port


def side_by_side(jobs):
    """Run the functions of `jobs`, pairs of what it is and a function, each in a thread of its own, to their ends. Those that failed make one
    Failure, which tells of all. A Skip is printed, and passed on when it was all there was."""
    failures, skipped = [], []

    def run(what, function):
        try:
            function()
        except Skip as reason:
            skipped.append(f"{what}: {reason}")
        except Failure as failure:
            failures.append(f"{what}: {failure}")
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stdout)
            failures.append(f"{what}: {error!r}")

    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, "; ".join(failures))
    if skipped and len(skipped) == len(jobs):
        raise Skip("; ".join(skipped))
    for reason in skipped:
        print(f"skipped: {reason}")


def play(test):
    """Run test(stage) on a new stage for the build folder given as first argument; the exit status says how it went."""
    build = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(prefix="copse-interop-")
    stage = Stage(build, folder)
    status, wrong = 0, []
    try:
        test(stage)
    except Skip as reason:
        print(f"skipped: {reason}")
        status = 77
    except (Failure, subprocess.TimeoutExpired) as failure:
        print(f"FAILED: {failure}")
        traceback.print_exc(file=sys.stdout)
        status = 1
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc(file=sys.stdout)
        status = 1
    finally:
        for cleanup in stage.cleanups:
            cleanup()
        wrong = stage.stop()
    if status == 0 and wrong:
        print("FAILED: " + "; ".join(wrong))
        status = 1
    if status == 1:
        for process in stage.processes:
            print(f"--- {process.name}\n{process.output()[-6000:]}")
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(status)
