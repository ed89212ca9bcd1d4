#!/usr/bin/env python3
"""No secret in what the programs say: each kind of secret, in files that are good and in files that are broken in many ways, at the most
talkative level of each program. Nothing of it may stand in any output, whole or by half, as it is, in hexadecimal, in base64 or base64url.

SPDX-License-Identifier: BSD-2-Clause
"""
import base64
import json
import os

from secure import make_keys, write_secret
from stage import POST, Peer, Stage, check, equal, play

# Told apart from everything else that is printed; long enough for their halves to be found by accident never.
HMAC = "hmac-Jv7qXw2RkTz9LmPb4NcYd6Gf-end"
OTHER = "jwks-Qe5uKs8WhVn3BxZt7MrCy1Ag-end"
PSK = "psk-Ua4iSd9FkGh2LpOq6WeRt8Zx-end"
MESH = "mesh-Xc3vBn7MaSl5DkFj1GhQp-end"
MASTER = bytes.fromhex("d3a1f5079be24c68817e5fb0a6c9243d")


def forms(secret):
    """What must not be found, all in lower case."""
    secret = secret if isinstance(secret, bytes) else secret.encode()
    half = len(secret) // 2
    for part in (secret[:half], secret[half:]):
        yield part.lower()
        yield part.hex().encode()
        yield part.hex(" ").encode()
        yield part.hex(":").encode()
        for skip in range(3):  # wherever it begins in what is encoded: but for the ends, which depend on their neighbours
            text = base64.b64encode(b"\0" * skip + part)[4 if skip else 0:-4]
            yield text.lower()
            yield text.replace(b"+", b"-").replace(b"/", b"_").lower()


class Ear:
    """What has been said, and what must not be."""

    def __init__(self):
        self.secrets, self.heard = {}, []

    def keep(self, kind, secret):
        self.secrets.setdefault(kind, []).append(secret)

    def hear(self, what, text, but=()):
        """`but`: kinds that this one is asked to print."""
        self.heard.append((what, text.encode(), but))

    def judge(self):
        check(self.secrets and self.heard, "there is something to be looked for, and to look in")
        for what, text, but in self.heard:
            low = text.lower()
            for kind, secrets in self.secrets.items():
                for secret in secrets:
                    for form in forms(secret) if kind not in but else ():
                        check(form not in low, f"{what} shows {kind}, as {form!r}:\n{text.decode(errors='replace')[:3000]}")


def pem_body(text):
    """The bytes of a private key without what is the same in all of that kind."""
    return base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-----")))[36:68]


def jwk(secret, **more):
    return json.dumps({"keys": [{"kty": "oct", "kid": "j", "k": base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode(), **more}]})


def broken_configurations(stage, key, open_key):
    """Pairs of what is wrong and the text of a configuration, or of the files that it names."""
    psk, mesh = PSK.encode().hex(), MESH.encode().hex()
    section = 'key "k" {{\n\talgorithm = HS256\n\t{}\n}}\n'.format
    yield "an unclosed quote", section(f'secret = "{HMAC}')
    yield "a secret without quotes and with a blank", section(f"secret = {HMAC} {HMAC}")
    yield "a secret as an option", section(f'{HMAC} = "x"')
    yield "a secret as an option without a value", section(f"{HMAC}")
    yield "a secret as an algorithm", f'key "k" {{\n\talgorithm = "{HMAC}"\n}}\n'
    yield "a secret too short", section(f'secret = "{HMAC[:28]}"')
    yield "secret and file", section(f'secret = "{HMAC}"\n\tfile = "x"')
    yield "a secret for RS256", f'key "k" {{\n\talgorithm = RS256\n\tsecret = "{HMAC}"\n}}\n'
    yield "a secret as the title of two keys", section(f'secret = "{HMAC}"') * 2
    yield "two of one kid", section(f'secret = "{HMAC}"') + section(f'secret = "{OTHER}"').replace('"k"', '"l"').replace("\n}", "\n\tkid = k\n}")
    for i, (what, text, mode) in enumerate((
            ("a set that is cut off", jwk(OTHER)[:-4], 0o600), ("a set that is open to others", jwk(OTHER), 0o644),
            ("a secret that is no base64url", jwk(OTHER).replace('"}]', '+/="}]'), 0o600), ("a kid that is none", jwk(OTHER, kid=7), 0o600),
            ("a secret in a public key", jwk(OTHER, kty="EC", crv="P-256", x=OTHER, y=OTHER), 0o600))):
        os.chmod(write_secret(stage, f"set{i}.json", text), mode)
        yield what, f'token {{\n\tjwks = "set{i}.json"\n}}\n'
        yield f"{what}, of a section", f'key "s" {{\n\tjwks = "set{i}.json"\n}}\n'
    for i, (what, text, mode) in enumerate((
            ("a line without a name", f"{psk}\n", 0o600), ("a digit that is none", f"alice:{psk}g\n", 0o600), ("an odd digit", f"alice:{psk}1\n", 0o600),
            ("text for digits", f"alice:{PSK}\n", 0o600), ("a key for a name", f"{psk}:{psk}:{psk}\n", 0o600), ("two keys", f"a:{psk}\na:{mesh}\n", 0o600),
            ("a key that is too short", f"alice:{psk[:14]}\n", 0o600), ("one that is too long", f"alice:{psk * 40}\n", 0o600),
            ("a file that is open to others", f"alice:{psk}\n", 0o644), ("a NUL", f"alice:{psk}\0{psk}\n", 0o600))):
        os.chmod(write_secret(stage, f"psk{i}", text), mode)
        yield what, f'secure {{\n\tlisten = {{"127.0.0.1:0"}}\n\tpsk_file = "psk{i}"\n}}\n'
        yield f"{what}, of the mesh", f'mesh {{\n\tbind = "127.0.0.1:0"\n\tpsk_file = "psk{i}"\n}}\n'
    for i, (what, text, mode) in enumerate((
            ("a private key that is cut off", key[:len(key) // 2], 0o600), ("one that is damaged", key.replace("A", "!", 3), 0o600),
            ("one with another label", key.replace("PRIVATE", "PUBLIC"), 0o600), ("one without its frame", "".join(key.splitlines(True)[1:-1]), 0o600),
            ("one that is open to others", key, 0o644))):
        os.chmod(write_secret(stage, f"key{i}", text), mode)
        for option in ('certificate = "server.crt"\n\tprivate_key', "raw_key"):
            yield what, f'secure {{\n\tlisten = {{"127.0.0.1:0"}}\n\t{option} = "key{i}"\n}}\n'
        yield f"{what}, to verify tokens", f'key "k" {{\n\talgorithm = ES256\n\tfile = "key{i}"\n}}\n'
    yield "a private key to verify tokens", f'key "k" {{\n\talgorithm = ES256\n\tfile = "{open_key}"\n}}\n'
    yield "a private key as a configuration", key
    yield "keys as a configuration", f"alice:{psk}\n"
    yield "a set as a configuration", jwk(OTHER)


def gateway_with_broken_files(stage, ear, key):
    for what, text in broken_configurations(stage, key, "server.key"):
        conf = write_secret(stage, "broken.conf", text)
        for arguments in (["--check"], []):
            done = stage.run([stage.program("copse-gateway"), "-c", conf, "--log-level", "debug", *arguments])
            check(done.returncode != 0, f"the gateway takes {what}")
            check(done.stderr, f"the gateway says what is wrong with {what}")
            ear.hear(f"the gateway, of {what},", done.stdout + done.stderr)


def gateway_at_work(stage, ear):
    """All kinds of keys in force; clients that come in, and that do not. And the tools that they use."""
    write_secret(stage, "clients.psk", f"alice:{PSK.encode().hex()}\n")
    write_secret(stage, "devices.psk", f"*:{MESH.encode().hex()}\n")
    write_secret(stage, "set.json", jwk(OTHER))
    gateway = stage.start_gateway(f'''log {{
	level = debug
}}
key "own" {{
	algorithm = HS256
	secret = "{HMAC}"
}}
token {{
	jwks = "set.json"
}}
secure {{
	listen = {{"127.0.0.1:0"}}
	psk_file = "clients.psk"
	certificate = "server.crt"
	private_key = "server.key"
}}
''', 'psk_file = "devices.psk"')
    secure = "coaps://127.0.0.1:" + gateway.says(r'msg="listening, secure" address=127\.0\.0\.1:(\d+)').group(1)
    uri = stage.gateway_uri()
    for secret, kid in ((HMAC, "own"), (OTHER, "j")):
        made = stage.copse("token", "--secret", "@" + write_secret(stage, f"{kid}.secret", secret), "--account", f"me-{kid}")
        equal(made.returncode, 0, f"a token: {made.stderr}")
        ear.hear("copse token", made.stdout + made.stderr, but=("a token",))
        token = made.stdout.strip()
        for part in token.split(".")[1:]:  # who knows the header knows nothing
            ear.keep("a token", part)
        file = write_secret(stage, f"{kid}.token", token)
        # once -v: twice is asking for the bytes of each message, the token's among them
        for arguments in (["--token", "@" + file], ["--token", token], ["--secret", "@" + stage.path(f"{kid}.secret"), "--account", f"me-{kid}"]):
            done = stage.copse("session", "open", uri, "--security", "none", "--force", "--session", kid, "-v", *arguments)
            equal(done.returncode, 0, f"a session: {done.stderr}")
            ear.hear("copse session open", done.stdout + done.stderr)
            done = stage.copse("session", "status", "--session", kid, "-v", "-v", "--json")
            ear.hear("copse session status", done.stdout + done.stderr)
        broken = token[:-8] + "AAAAAAAA"
        for text in (broken, token[:-1], token.replace(".", "", 1), token + token, " " + token + " x", token.split(".")[1]):
            peer = Peer(stage.gateway_address)
            answer = peer.request(POST, "sessions", text.encode(), ("security=none",))
            equal(answer.code >> 5, 4, f"the answer to a broken token: {answer}")
            ear.hear("the gateway's answer to a broken token", answer.payload.decode())
            peer.close()
            done = stage.copse("session", "open", uri, "--security", "none", "--force", "--session", "b", "-v", "--token",
                               "@" + write_secret(stage, "b.token", text))
            check(done.returncode != 0, "a broken token opens a session")
            ear.hear("copse session open with a broken token", done.stdout + done.stderr)
    hexadecimal = "0x" + PSK.encode().hex()
    for key in (PSK, hexadecimal, "@" + write_secret(stage, "one.psk", PSK)):
        done = stage.copse("get", "-v", "-v", "--direct", "--psk-id", "alice", "--psk", key, f"{secure}/help")
        equal(done.returncode, 0, f"with a pre-shared key: {done.stderr}")
        ear.hear("copse with a pre-shared key", done.stdout + done.stderr)
    os.chmod(write_secret(stage, "open.psk", PSK), 0o644)
    for key in (PSK + "x", hexadecimal + "g", hexadecimal + "1", "@" + stage.path("open.psk")):
        done = stage.copse("get", "-v", "-v", "--direct", "--psk-id", "alice", "--psk", key, f"{secure}/help", "--timeout", "20")
        check(done.returncode != 0, "a wrong key opens nothing")
        ear.hear("copse with a wrong key", done.stdout + done.stderr)
    os.chmod(write_secret(stage, "set.json", jwk(OTHER)[:-3]), 0o600)
    gateway.process.send_signal(1)
    gateway.says(r"level=error logger=config")
    return gateway


def tools_with_broken_keys(stage, ear):
    for i in range(5):  # as broken_configurations has written them
        for arguments in (["token", "--alg", "ES256", "--key", stage.path(f"key{i}"), "--account", "me"],
                          ["get", "-v", "-v", "--cert", stage.path("client.crt"), "--key", stage.path(f"key{i}"), "coaps://127.0.0.1:9/", "--timeout", "5"]):
            done = stage.copse(*arguments)
            ear.hear(f"copse {arguments[0]} with a broken key", done.stdout + done.stderr, but=("a token",))


def oscore_files():
    master = MASTER.hex()
    good = f'master_secret,hex,"{master}"\nmaster_salt,hex,"9e7ca92223786340"\nsender_id,hex,"{{}}"\nrecipient_id,hex,"{{}}"\n'
    yield "good", good
    yield "a digit that is none", good.replace(master, master + "g")
    yield "an odd digit", good.replace(master, master[:-1])
    yield "an unclosed quote", good.replace(master + '"', master)
    yield "a secret for a name", f'{master},hex,"01"\n' + good
    yield "a secret for a type", good.replace(",hex,", f",{master},", 1)
    yield "two secrets", good.splitlines(True)[0] + good
    yield "no more than the secret", good.splitlines(True)[0]
    yield "a secret as text", good.replace(f'hex,"{master}"', f'ascii,"{master}"')
    yield "a secret that is too long", good.replace(master, master * 40)
    yield "bytes behind the quote", good.replace(f'"{master}"', f'"{master}" {master}')


def object_security(stage, ear):
    """A device and its client, with a context that is good, and with others."""
    for i, (what, text) in enumerate(oscore_files()):
        theirs, ours = write_secret(stage, f"theirs{i}", text.format("02", "01")), write_secret(stage, f"ours{i}", text.format("01", "02"))
        if what == "good":
            name, (_, address, port) = next(iter(stage.start_sim("--count", "1", "-k", "thermostat", "--seed", "3", "-v", "--oscore", theirs,
                                                                 "--bind", "127.1.9.0/24").items()))
            check(name, "a device")
            uri = f"coap://{address}:{port}/setpoint"
        else:
            done = stage.run([stage.program("copse-sim"), "--port", "0", "--bind", "127.1.8.0/24", "-v", "--count", "1", "--list", "--oscore", theirs])
            ear.hear(f"copse-sim, of {what},", done.stdout + done.stderr)
        done = stage.copse("get", "-v", "-v", "--timeout", "20", "--direct", "--oscore", ours, uri)
        if what == "good":
            equal(done.returncode, 0, f"with OSCORE: {done.stderr}")
        ear.hear(f"copse, of {what},", done.stdout + done.stderr)
        os.chmod(ours, 0o644)
        done = stage.copse("get", "-v", "--timeout", "20", "--direct", "--oscore", ours, uri)
        ear.hear(f"copse, of {what}, open to others,", done.stdout + done.stderr)


def simulated_devices(stage, ear):
    """Which make their keys themselves."""
    keys = stage.path("made.psk")
    stage.start_sim("--count", "3", "-v", "--seed", "7", "--bind", "127.1.7.0/24", "--dtls", "0", "--psk", keys)
    with open(keys, encoding="ascii") as file:
        made = [line.strip().split(":")[1] for line in file if ":" in line and not line.startswith("#")]
    equal(len(made), 3, "keys of devices")
    for key in made:
        ear.keep("a device's key", bytes.fromhex(key))
    os.chmod(keys, 0o644)


def test(stage: Stage):
    ear = Ear()
    make_keys(stage)
    with open(stage.path("server.key"), encoding="ascii") as file:
        key = file.read()
    for kind, secret in (("a secret of tokens", HMAC), ("a secret of a set", OTHER), ("a pre-shared key", PSK), ("a key of the mesh", MESH),
                         ("a master secret", MASTER), ("a private key", pem_body(key))):
        ear.keep(kind, secret)
    gateway_with_broken_files(stage, ear, key)
    tools_with_broken_keys(stage, ear)
    simulated_devices(stage, ear)
    gateway_at_work(stage, ear)
    object_security(stage, ear)
    equal(stage.stop(), [], "how they end")
    for process in stage.processes:
        ear.hear(process.name, process.output())
    stage.processes.clear()
    ear.judge()


play(test)
