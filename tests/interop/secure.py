"""What the tests of the secure transports share: keys and certificates, foreign servers, and a device behind `openssl s_server`.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import shutil
import subprocess
import threading

from stage import ACK, CON, Failure, Message, Skip, check, free_port, until

PSK = "a pre-shared key of the tests"


def tool(name):
    """A foreign program, or a reason to skip."""
    program = shutil.which(name)
    if not program:
        raise Skip(f"{name} is not installed")
    return program


def openssl(stage, *arguments):
    done = stage.run([tool("openssl"), *arguments])
    check(done.returncode == 0, f"openssl {arguments}: {done.stderr}")


def make_key(stage, name, names, authority=None):
    """A key on P-256 (NAME.key), its certificate for `names` (NAME.crt), by itself or by an authority, its public half (NAME.pub), and the
    key with that (NAME.both), which is how libcoap wants raw public keys."""
    key, cert, public = (stage.path(f"{name}.{kind}") for kind in ("key", "crt", "pub"))
    signed = ["-CA", stage.path(f"{authority}.crt"), "-CAkey", stage.path(f"{authority}.key")] if authority else []
    openssl(stage, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    os.chmod(key, 0o600)
    openssl(stage, "req", "-new", "-x509", "-key", key, "-subj", f"/CN={name}.example", "-days", "2", "-out", cert,
            "-addext", f"subjectAltName={names}", *signed)
    openssl(stage, "pkey", "-in", key, "-pubout", "-out", public)
    with open(key, encoding="ascii") as private, open(public, encoding="ascii") as other:
        write_secret(stage, f"{name}.both", other.read() + private.read())


def make_keys(stage):
    """A server and a client, both of this host."""
    for name in ("server", "client"):
        make_key(stage, name, "DNS:localhost,IP:127.0.0.1")


def write_secret(stage, name, text):
    path = stage.path(name)
    with open(path, "w", encoding="ascii") as file:
        os.chmod(path, 0o600)
        file.write(text)
    return path


def coap_server(stage, flavour, *arguments):
    """libcoap's server by one library. Returns the port of its secure side."""
    program = tool(f"coap-server-{flavour}")
    while True:  # the secure port is the one behind the other
        port = free_port()
        process = stage.start(f"coap-server-{flavour}", [program, "-A", "127.0.0.1", "-p", str(port), *arguments])
        until(lambda: not process.alive() or stage.copse("ping", f"coap://127.0.0.1:{port}", "--timeout", "2").returncode == 0, "it listens")
        if process.alive() and "cannot create" not in process.output():
            return port + 1
        process.stop()
        stage.processes.remove(process)


class OpensslServer:
    """A CoAP server of this test's own behind `openssl s_server`, which does the security and nothing else: what comes out of it
    decrypted is a thread's to answer, serve()."""

    def __init__(self, stage, port, *arguments):
        self.log = open(stage.path(f"s_server-{next(stage.numbers)}.log"), "xb")
        self.process = subprocess.Popen([tool("openssl"), "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        stage.cleanups.append(self.stop)

    def read(self):
        """What has come next; nothing: it has ended."""
        return os.read(self.process.stdout.fileno(), 65536)

    def say(self, data):
        os.write(self.process.stdin.fileno(), data)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()


class OpensslDevice(OpensslServer):
    """By DTLS: answers by 2.05 with the last segment of the path. It speaks with one client, and a client that comes anew is the same
    one."""

    def __init__(self, stage, *arguments):
        self.port = free_port()
        super().__init__(stage, self.port, "-dtls1_2", *arguments)
        until(self.listens, "openssl s_server listens")  # it says so to nobody

    def listens(self):
        check(self.process.poll() is None, "openssl s_server has ended")
        with open("/proc/net/udp", encoding="ascii") as file:
            return f" 0100007F:{self.port:04X} " in file.read()

    def serve(self):
        while data := self.read():
            try:
                request = Message.decode(data)
            except Failure:
                continue  # what s_server has to say for itself
            if request.kind != CON or not request.code:
                continue
            path = [value for number, value in request.options if number == 11]
            try:
                self.say(Message(ACK, 0x45, request.mid, request.token, [], path[-1]).encode())
            except BrokenPipeError:
                return
