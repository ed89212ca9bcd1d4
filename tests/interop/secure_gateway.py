#!/usr/bin/env python3
"""The gateway's secure sides: clients by DTLS (libcoap's by GnuTLS and by OpenSSL, openssl s_client, gnutls-cli, copse), devices by DTLS
with a key each; sessions that follow their association; nothing in the clear on the wire towards devices; keys that change.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import signal

from secure import PSK, make_keys, tool, write_secret
from stage import SECRET, Peer, check, equal, play

SECURE = '''secure {
	listen = {"127.0.0.1:0"}
	psk_file = "clients.psk"
	certificate = "server.crt"
	private_key = "server.key"
	raw_key = "server.key"
	ca = "client.crt"
	raw_keys = "client.pub"
}
'''


def coap_client(stage, flavour, port, *arguments):
    return stage.run([tool(f"coap-client-{flavour}"), "-B", "300", *arguments, f"coaps://127.0.0.1:{port}/echo", "-m", "put", "-e", "there and back"])


def foreign_clients(stage, port):
    key, cert, ca = stage.path("client.key"), stage.path("client.crt"), stage.path("server.crt")
    for flavour in ("gnutls", "openssl"):
        done = coap_client(stage, flavour, port, "-u", "alice", "-k", PSK)
        check("there and back" in done.stdout, f"{flavour}, pre-shared key: {done.stdout}{done.stderr}")
        done = coap_client(stage, flavour, port, "-R", ca, "-c", cert, "-j", key)
        check("there and back" in done.stdout, f"{flavour}, certificate: {done.stdout}{done.stderr}")
    for suite, arguments in (("PSK-AES128-CCM8", ["-psk", PSK.encode().hex(), "-psk_identity", "alice"]),
                             ("ECDHE-ECDSA-AES128-CCM8", ["-CAfile", ca, "-verify_return_error"]),
                             ("ECDHE-ECDSA-AES128-GCM-SHA256", ["-CAfile", ca, "-verify_return_error", "-cert", cert, "-key", key])):
        done = stage.run(["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-cipher", f"{suite}:@SECLEVEL=0",
                          *arguments], stdin=b"Q\n")
        check(f"Cipher is {suite}" in done.stdout, f"openssl s_client, {suite}: {done.stdout}{done.stderr}")
    for name, priority, arguments in (
            ("pre-shared key", "+PSK:+AES-128-CCM-8", ["--pskusername", "alice", "--pskkey", PSK.encode().hex()]),
            ("certificate", "+ECDHE-ECDSA:+AES-128-CCM-8", ["--x509cafile", ca, "--x509certfile", cert, "--x509keyfile", key])):
        done = stage.run([tool("gnutls-cli"), "--udp", "-p", str(port), "127.0.0.1", *arguments, "--priority",
                          f"NONE:+VERS-DTLS1.2:{priority}:+AEAD:+SIGN-ALL:+GROUP-ALL:+COMP-NULL:+CTYPE-X509"], stdin=b"")
        check("Handshake was completed" in done.stdout, f"gnutls-cli, {name}: {done.stdout}{done.stderr}")
    done = stage.run([tool("gnutls-cli"), "--udp", "-p", str(port), "127.0.0.1", "--rawpkkeyfile", key, "--rawpkfile", stage.path("client.pub"),
                      "--no-ca-verification", "--priority",
                      "NONE:+VERS-DTLS1.2:+ECDHE-ECDSA:+AES-128-CCM-8:+AEAD:+SIGN-ALL:+GROUP-ALL:+COMP-NULL:+CTYPE-SRV-RAWPK:+CTYPE-CLI-RAWPK"],
                     stdin=b"")
    check("Handshake was completed" in done.stdout, f"gnutls-cli, raw public keys: {done.stdout}{done.stderr}")


def raw_clients(stage):
    """libcoap's client wants a server that has nothing else to show, and its own key looked at."""
    gateway = stage.start_gateway('secure {\n\tlisten = {"127.0.0.1:0"}\n\traw_key = "server.key"\n\traw_keys = "client.pub"\n}\n')
    port = gateway.says(r"listening, secure.*?127\.0\.0\.1:(\d+)").group(1)
    done = coap_client(stage, "gnutls", port, "-M", stage.path("client.both"))
    check("there and back" in done.stdout, f"gnutls, raw public key: {done.stdout}{done.stderr}")
    equal(gateway.stop(), 0, "the gateway ends")
    stage.processes.remove(gateway)


def metric(stage, uri, name, *options):
    text = stage.copse("get", f"{uri}/metrics", *options).stdout
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def sessions(stage, port, device):
    """A session by DTLS, and to the device by DTLS; another in the clear does not share what the first one learnt."""
    uri = f"coaps://127.0.0.1:{port}"
    token = stage.token()
    opened = stage.copse("session", "open", uri, "--token", token)
    equal(opened.returncode, 0, f"session open: {opened.stdout}{opened.stderr}")
    state = stage.path("copse/default.session")
    check(os.stat(state).st_mode & 0o077 == 0, "the state is for its owner alone")
    for _ in range(2):  # each by a process of its own
        read = stage.copse("get", f"coap://{device}/consumption")
        equal(read.returncode, 0, f"through the gateway: {read.stdout}{read.stderr}")
    equal(stage.copse("get", f"coaps://{device}/consumption").returncode, 0, "asked for as coaps")
    check("security: secure" in stage.copse("session", "status").stdout, "the session says what it is")
    # another client from elsewhere with the same key is somebody else
    stranger = stage.copse("get", f"coap://{device}/consumption", "--proxy", uri, "--direct")
    equal(stranger.returncode, 4, f"without a session: {stranger.stdout}{stranger.stderr}")
    check(metric(stage, uri, "copse_dtls_mesh_handshakes_done_total") >= 1, "the device was asked by DTLS")
    forwarded = metric(stage, uri, "copse_gateway_forwarded_total")
    clear = Peer(stage.gateway_address)
    clear.open_session(token)
    equal(clear.proxied(1, f"coap://{device}/consumption").code, 0x45, "in the clear")
    equal(clear.proxied(1, f"coaps://{device}/consumption").code, 0xA5, "coaps in a session in the clear")
    check(metric(stage, uri, "copse_gateway_forwarded_total") > forwarded, "what is secure does not serve what is clear")
    return clear


def change_keys(stage, gateway, port, device):
    """Other keys: what is open stays open, what comes needs the new ones; a file that is open to others changes nothing."""
    uri = f"coaps://127.0.0.1:{port}"
    path = write_secret(stage, "clients.psk", f"bob:{PSK.encode().hex()}\n")
    os.chmod(path, 0o644)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says(r"chmod 600")
    os.chmod(path, 0o600)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.says(r"msg=reloaded")
    equal(stage.copse("get", f"{uri}/echo", "--direct", "--timeout", "10").returncode, 35, "alice is nobody any more")
    stage.environment["COPSE_PSK_ID"] = "bob"
    equal(stage.copse("ping", uri).returncode, 0, "bob may come")


def nothing_in_the_clear(stage, gateway):
    for process in stage.processes:
        text = process.output()
        for secret in (PSK, PSK.encode().hex(), SECRET):
            check(secret not in text, f"{process.name} shows a secret")


def test(stage):
    make_keys(stage)
    write_secret(stage, "clients.psk", f"# who may come\nalice:{PSK.encode().hex()}\n")
    stage.start_sim("--count", "2", "--kinds", "meter", "--bind", "127.1.0.0/24", "--dtls", "0", "--psk", stage.path("mesh.psk"))
    raw_clients(stage)
    gateway = stage.start_gateway(SECURE, 'psk_file = "mesh.psk"', "secure")
    port = int(gateway.says(r"listening, secure.*?127\.0\.0\.1:(\d+)").group(1))
    stage.environment.update(COPSE_PSK_ID="alice", COPSE_PSK=PSK)
    foreign_clients(stage, port)
    device = next(iter(stage.devices))
    clear = sessions(stage, port, device)
    check(metric(stage, f"coaps://127.0.0.1:{port}", "copse_dtls_clients_handshakes_away_total") > 0, "certificates are not the worker's")
    change_keys(stage, gateway, port, device)
    nothing_in_the_clear(stage, gateway)
    clear.close()


play(test)
