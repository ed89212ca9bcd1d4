#!/usr/bin/env python3
"""copse over DTLS with foreign servers: libcoap's by GnuTLS and by OpenSSL, with pre-shared keys and certificates; gnutls-serv with raw
public keys. Its exit codes, and that no secret is in what it says.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import shutil

from stage import Skip, check, equal, free_port, play, until

PSK = "a pre-shared key of the tests"


def make_keys(stage):
    """A key on P-256 with its certificate for localhost, and its public half."""
    def openssl(*arguments):
        done = stage.run(["openssl", *arguments])
        check(done.returncode == 0, f"openssl {arguments}: {done.stderr}")
    for name in ("server", "client"):
        key, cert, public = (stage.path(f"{name}.{kind}") for kind in ("key", "crt", "pub"))
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        os.chmod(key, 0o600)
        openssl("req", "-new", "-x509", "-key", key, "-subj", f"/CN={name}.example", "-days", "2", "-out", cert,
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
        openssl("pkey", "-in", key, "-pubout", "-out", public)


def server(stage, flavour, *arguments):
    """libcoap's server by one library. Returns the port of its secure side."""
    program = shutil.which(f"coap-server-{flavour}")
    if not program:
        raise Skip(f"coap-server-{flavour} is not installed")
    while True:  # the secure port is the one behind the other
        port = free_port()
        process = stage.start(f"coap-server-{flavour}", [program, "-A", "127.0.0.1", "-p", str(port), *arguments])
        until(lambda: not process.alive() or stage.copse("ping", f"coap://127.0.0.1:{port}", "--timeout", "2").returncode == 0, "it listens")
        if process.alive() and "cannot create" not in process.output():
            return port + 1
        process.stop()
        stage.processes.remove(process)


def pre_shared(stage, flavour):
    uri = f"coaps://127.0.0.1:{server(stage, flavour, '-k', PSK, '-h', 'hint')}"
    secret = stage.path("me.psk")
    with open(secret, "w", encoding="ascii") as file:
        file.write(PSK + "\n")
    os.chmod(secret, 0o600)
    for key in (PSK, "0x" + PSK.encode().hex(), "@" + secret):
        done = stage.copse("get", f"{uri}/time", "--psk-id", "me", "--psk", key)
        equal(done.returncode, 0, f"{flavour} with a pre-shared key: {done.stderr}")
    stage.environment.update(COPSE_PSK_ID="me", COPSE_PSK="@" + secret)
    equal(stage.copse("observe", f"{uri}/time", "--count", "2").returncode, 0, "observe")
    equal(stage.copse("ping", uri).returncode, 0, "ping")
    big = "x" * 3000
    equal(stage.copse("put", f"{uri}/example_data", big).returncode, 0, "a body in blocks")
    equal(stage.copse("get", f"{uri}/example_data").stdout.rstrip("\n"), big, "and back")
    del stage.environment["COPSE_PSK_ID"], stage.environment["COPSE_PSK"]
    wrong = stage.copse("get", f"{uri}/time", "--psk-id", "me", "--psk", "some other key", "--timeout", "10")
    equal(wrong.returncode, 35, f"a wrong key: {wrong.stdout}{wrong.stderr}")
    check("some other" not in wrong.stderr + wrong.stdout, "the key is shown")
    os.chmod(secret, 0o640)
    open_to_others = stage.copse("get", f"{uri}/time", "--psk-id", "me", "--psk", "@" + secret)
    equal(open_to_others.returncode, 35, "a file that others may read")
    check(PSK not in open_to_others.stderr, "the key is shown")


def certificates(stage, flavour):
    """Without a client's certificate, and with one; by name and by address; nobody whom we do not know."""
    key, cert, ca = stage.path("server.key"), stage.path("server.crt"), stage.path("client.crt")
    plain = server(stage, flavour, "-c", cert, "-j", key, "-n")
    for host in ("localhost", "127.0.0.1"):
        done = stage.copse("get", f"coaps://{host}:{plain}/time", "-4", "--ca", cert)
        equal(done.returncode, 0, f"{flavour} with a certificate for {host}: {done.stderr}")
    for others in (["--ca", ca], []):
        done = stage.copse("get", f"coaps://localhost:{plain}/time", "-4", "--timeout", "60", *others)
        equal(done.returncode, 35, f"a server that nobody vouches for: {done.stderr}")
    asks = server(stage, flavour, "-c", cert, "-j", key, "-C", ca)
    done = stage.copse("get", f"coaps://localhost:{asks}/time", "-4", "--ca", cert, "--cert", ca, "--key", stage.path("client.key"))
    equal(done.returncode, 0, f"{flavour} with a client's certificate: {done.stderr}")


def raw_keys(stage):
    """gnutls-serv speaks no CoAP: it sends back what it gets. That our own request comes back says that both sides agreed."""
    program = shutil.which("gnutls-serv")
    if not program:
        raise Skip("gnutls-serv is not installed")
    port = free_port()
    serve = stage.start("gnutls-serv", [program, "--udp", "--echo", "-p", str(port), "--rawpkkeyfile", stage.path("server.key"),
                                        "--rawpkfile", stage.path("server.pub"), "--disable-client-cert",
                                        "--priority", "NORMAL:-VERS-ALL:+VERS-DTLS1.2:+CTYPE-SRV-RAWPK:+AES-128-CCM-8"])
    serve.says("listening|ready")
    right = stage.copse("get", f"coaps://127.0.0.1:{port}/x", "-v", "--rpk", stage.path("server.pub"), "--timeout", "10")
    check("GET" in right.stderr and right.returncode in (7, 28), f"the request came back: {right.returncode} {right.stderr}")
    check(right.stderr.count("GET") >= 2, f"the request came back: {right.stderr}")
    wrong = stage.copse("get", f"coaps://127.0.0.1:{port}/x", "--rpk", stage.path("client.pub"), "--timeout", "60")
    equal(wrong.returncode, 35, f"another raw key: {wrong.stderr}")
    serve.stop()
    stage.processes.remove(serve)


def test(stage):
    make_keys(stage)
    for flavour in ("gnutls", "openssl"):
        pre_shared(stage, flavour)
        certificates(stage, flavour)
    raw_keys(stage)
    keys = stage.path("keys.log")
    stage.environment["SSLKEYLOGFILE"] = keys
    uri = f"coaps://127.0.0.1:{server(stage, 'gnutls', '-k', PSK)}/time"
    equal(stage.copse("get", uri, "--psk-id", "me", "--psk", PSK).returncode, 0, "with a log of keys")
    with open(keys, encoding="ascii") as file:
        check(file.read().startswith("CLIENT_RANDOM "), "the log of keys")
    equal(stage.copse("get", "coaps://127.0.0.1:1/", "--psk-id", "me").returncode, 35, "half a key")
    equal(stage.copse("get", f"coaps://127.0.0.1:{free_port()}/", "--psk-id", "me", "--psk", PSK).returncode, 7, "nobody there")


play(test)
