#!/usr/bin/env python3
"""copse over DTLS with foreign servers: libcoap's by GnuTLS and by OpenSSL, with pre-shared keys and certificates; gnutls-serv with raw
public keys. Its exit codes, and that no secret is in what it says.

SPDX-License-Identifier: BSD-2-Clause
"""
import os

from secure import PSK, OpensslDevice, coap_server, make_keys, tool
from stage import check, equal, free_port, play, until


def pre_shared(stage, flavour):
    uri = f"coaps://127.0.0.1:{coap_server(stage, flavour, '-k', PSK, '-h', 'hint')}"
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
    plain = coap_server(stage, flavour, "-c", cert, "-j", key, "-n")
    for host in ("localhost", "127.0.0.1"):
        done = stage.copse("get", f"coaps://{host}:{plain}/time", "-4", "--ca", cert)
        equal(done.returncode, 0, f"{flavour} with a certificate for {host}: {done.stderr}")
    for others in (["--ca", ca], []):
        done = stage.copse("get", f"coaps://localhost:{plain}/time", "-4", "--timeout", "60", *others)
        equal(done.returncode, 35, f"a server that nobody vouches for: {done.stderr}")
    asks = coap_server(stage, flavour, "-c", cert, "-j", key, "-C", ca)
    done = stage.copse("get", f"coaps://localhost:{asks}/time", "-4", "--ca", cert, "--cert", ca, "--key", stage.path("client.key"))
    equal(done.returncode, 0, f"{flavour} with a client's certificate: {done.stderr}")


def by_openssl(stage):
    """s_server does DTLS, this test the CoAP behind it: the suites that RFC 7252 §9.1.3 asks for."""
    psk = OpensslDevice(stage, "-nocert", "-psk", PSK.encode().hex(), "-psk_identity", "me", "-cipher", "PSK-AES128-CCM8:@SECLEVEL=0")
    done = stage.copse("get", f"coaps://127.0.0.1:{psk.port}/there", "--psk-id", "me", "--psk", PSK)
    check(done.returncode == 0 and "there" in done.stdout, f"s_server, PSK-AES128-CCM8: {done.stdout}{done.stderr}")
    ca = stage.path("client.crt")
    cert = OpensslDevice(stage, "-cert", stage.path("server.crt"), "-key", stage.path("server.key"), "-cipher",
                         "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", "-CAfile", ca, "-Verify", "1", "-verify_return_error")
    done = stage.copse("get", f"coaps://127.0.0.1:{cert.port}/there", "--ca", stage.path("server.crt"), "--cert", ca, "--key",
                       stage.path("client.key"))
    check(done.returncode == 0 and "there" in done.stdout, f"s_server, ECDHE-ECDSA-AES128-CCM8: {done.stdout}{done.stderr}")


def raw_keys(stage):
    """gnutls-serv speaks no CoAP: it sends back what it gets. That our own request comes back says that both sides agreed."""
    port = free_port()
    serve = stage.start("gnutls-serv", [tool("gnutls-serv"), "--udp", "--echo", "-p", str(port), "--rawpkkeyfile", stage.path("server.key"),
                                        "--rawpkfile", stage.path("server.pub"), "--disable-client-cert",
                                        "--priority", "NORMAL:-VERS-ALL:+VERS-DTLS1.2:+CTYPE-SRV-RAWPK:+AES-128-CCM-8"])
    serve.says("listening|ready")

    def came_back():  # nobody answers: it ends with its time, which a slow machine may need for less
        right = stage.copse("get", f"coaps://127.0.0.1:{port}/x", "-v", "--rpk", stage.path("server.pub"), "--timeout", "10")
        check(right.returncode in (7, 28), f"a raw key: {right.returncode} {right.stderr}")
        return right.stderr.count("GET") >= 2
    until(came_back, "the request comes back")
    wrong = stage.copse("get", f"coaps://127.0.0.1:{port}/x", "--rpk", stage.path("client.pub"), "--timeout", "60")
    equal(wrong.returncode, 35, f"another raw key: {wrong.stderr}")
    serve.stop()
    stage.processes.remove(serve)


def test(stage):
    make_keys(stage)
    for flavour in ("gnutls", "openssl"):
        pre_shared(stage, flavour)
        certificates(stage, flavour)
    port = coap_server(stage, "gnutls", "-M", stage.path("server.both"), "-n")
    done = stage.copse("get", f"coaps://127.0.0.1:{port}/time", "--rpk", stage.path("server.pub"))
    equal(done.returncode, 0, f"libcoap by GnuTLS with a raw key: {done.stderr}")
    by_openssl(stage)
    raw_keys(stage)
    keys = stage.path("keys.log")
    stage.environment["SSLKEYLOGFILE"] = keys
    uri = f"coaps://127.0.0.1:{coap_server(stage, 'gnutls', '-k', PSK)}/time"
    equal(stage.copse("get", uri, "--psk-id", "me", "--psk", PSK).returncode, 0, "with a log of keys")
    with open(keys, encoding="ascii") as file:
        check(file.read().startswith("CLIENT_RANDOM "), "the log of keys")
    equal(stage.copse("get", "coaps://127.0.0.1:1/", "--psk-id", "me").returncode, 35, "half a key")
    equal(stage.copse("get", f"coaps://127.0.0.1:{free_port()}/", "--psk-id", "me", "--psk", PSK).returncode, 7, "nobody there")


play(test)
