#!/usr/bin/env python3
"""Requests to groups through the gateway, in network namespaces: the gateway on a bridge, and on it copse-sim and libcoap's coap-server,
each in a namespace of its own. Every answer bears the URI of its device; who may not be asked is not heard; numbers and times are bounded;
what came by multicast is not sent on.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import subprocess
import sys

from stage import (ACK, CON, GET, NON, PROXY_URI, PUT, Message, Peer, Skip, check, code_text, equal, play, until)

MULTICAST_TIMEOUT, REPLY_TO, NO_RESPONSE = 65026, 65028, 258
PREFIX = "fd00:1:2:3"
LONG = 100  # seconds that a client waits for answers; nobody does when all have come
ALL_CODES = b"\x1a"
LIGHTS = ("001350000000a001", "001350000000a002", "001350000000a003")

CONFIG = """
listen = {"*:5683"}
key "test" { algorithm = HS256 secret = "%(secret)s" }
mesh { bind = "[::]:0" security = none prefix = "%(prefix)s::/64" }
collector { store = ":memory:" interfaces = {"br0"} }
device "foreign.example" { address = "%(prefix)s::10" }
device "hidden" { address = "%(prefix)s::11" deny = true }
group "all" { address = "ff05::fd" timeout = 120 rate = 0 }
group "two" { address = "ff05::fd" answers = 2 timeout = 120 rate = 0 }
group "none" { address = "ff05::1234" timeout = 1 rate = 0 }
group "slow" { address = "ff05::fd" rate = 0.001 burst = 1 }
access "guests" { action = deny account = {"guest*"} request = {"* two /", "* %(denied)s /"} }
"""


def ip(*arguments, inside=()):
    subprocess.run([*inside, "ip", *arguments], check=True)


class Place:
    """A namespace of its own with an address on the bridge."""

    def __init__(self, number, mac, address=None):
        self.child = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
        own = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{self.child.pid}/ns/net") != own, "a namespace")
        self.inside = ["nsenter", "-t", str(self.child.pid), "-n"]
        ip("link", "add", f"br0-{number}", "type", "veth", "peer", "name", "eth0", "netns", str(self.child.pid))
        subprocess.run([*self.inside, "sysctl", "-q", "-w", "net.ipv6.conf.eth0.accept_dad=0"], check=True)
        ip("link", "set", "lo", "up", inside=self.inside)
        ip("link", "set", "eth0", "address", mac, "up", inside=self.inside)
        address = address or f"{PREFIX}:" + ":".join(self.identifier(mac))
        ip("-6", "addr", "add", f"{address}/64", "dev", "eth0", "nodad", inside=self.inside)
        ip("link", "set", f"br0-{number}", "master", "br0", "up")

    @staticmethod
    def identifier(mac):
        b = [int(part, 16) for part in mac.split(":")]
        b = [b[0] ^ 2, b[1], b[2], 0xFF, 0xFE, b[3], b[4], b[5]]
        return [f"{b[i] << 8 | b[i + 1]:x}" for i in range(0, 8, 2)]


def bridge():
    ip("link", "set", "lo", "up")
    if subprocess.run(["ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0"], check=False).returncode:
        raise Skip("bridges cannot be made here")
    subprocess.run(["sysctl", "-q", "-w", "net.ipv6.conf.br0.accept_dad=0"], check=True)
    ip("link", "set", "br0", "up")
    ip("-6", "addr", "add", f"{PREFIX}::1/64", "dev", "br0", "nodad")


def origin(message):
    """The host of Reply-To: [-1, [label, ...]] or [-1, [bytes, port]] in CBOR."""
    value = message.option(REPLY_TO)
    check(value and value[:2] == b"\x82\x20", f"Reply-To: {message}")
    items, at, host = value[2] - 0x80, 3, []
    for _ in range(items):
        kind, length = value[at] >> 5, value[at] & 31
        at += 1
        if length == 24:
            length, at = value[at], at + 1
        elif kind == 0 and length == 25:
            at += 2
            continue
        host.append(value[at:at + length])
        at += length
    equal(at, len(value), "the length of Reply-To")
    return ".".join(part.decode() for part in host) if value[3] >> 5 == 3 else host[0].hex()


class Asking:
    """A request to a group, and what has come."""

    def __init__(self, peer, method, uri, seconds, payload=b"", options=(), kind=CON):
        self.peer, self.token, self.answers = peer, os.urandom(4), []
        timeout = [] if seconds is None else [(MULTICAST_TIMEOUT, bytes([seconds]) if seconds else b"")]
        self.request = Message(kind, method, peer.next_mid(), self.token, [(PROXY_URI, uri.encode()), *timeout, *options], payload)
        peer.send(self.request)

    def hear(self):
        message = self.peer.receive(0.2)
        if message and message.kind == CON:
            self.peer.send(Message(ACK, 0, message.mid))
        if message and message.code and message.token == self.token:
            if message.mid not in [answer.mid for answer in self.answers]:
                self.answers.append(message)
        return self.answers

    def wait(self, n, what):
        until(lambda: len(self.hear()) >= n, what)
        return self.answers

    def origins(self, n, what):
        return sorted(origin(answer) for answer in self.wait(n, what))


def metric(peer, name):
    text, number = b"", 0
    while True:
        reply = peer.request(GET, "/metrics", options=[(23, (number << 4 | 6).to_bytes(2, "big").lstrip(b"\0"))])
        equal(code_text(reply.code), "2.05", "/metrics")
        text += reply.payload
        if not (reply.option(23) or b"\0")[-1] & 8:
            return int(re.search(rf"^copse_{name} (\d+)$", text.decode(), re.M).group(1))
        number += 1


def asked(peer):
    foreign = "foreign.example"
    found = Asking(peer, GET, "coap://all/.well-known/core", LONG).origins(len(LIGHTS) + 1, "every device answers")
    equal(found, sorted([*LIGHTS, foreign]), "each with its own URI, but the one that is denied")
    until(lambda: metric(peer, "gateway_group_denied_total") >= 1, "the denied device is heard, and not passed on")
    # By address, not confirmable; the answers are not confirmable either, and bear what they should.
    by_address = Asking(peer, GET, "coap://[ff05::fd]/brightness", LONG, kind=NON)
    lights = []

    def all_lights():
        lights[:] = [a for a in by_address.hear() if code_text(a.code) == "2.05"]
        return len(lights) == len(LIGHTS)
    until(all_lights, "the lights, by the group's address")
    equal(sorted(origin(a) for a in lights), sorted(LIGHTS), "the lights, by the group's address")
    equal({a.kind for a in lights}, {NON}, "answers to NON")


def changes(peer):
    for name in LIGHTS:
        equal(code_text(peer.proxied(PUT, f"coap://{name}/brightness", b"10").code), "2.04", "one by one")
        equal(peer.proxied(GET, f"coap://{name}/brightness").payload, b"10", "and now in the cache")
    changed = Asking(peer, PUT, "coap://all/brightness", LONG, b"77")
    until(lambda: len([a for a in changed.hear() if code_text(a.code) == "2.04"]) == len(LIGHTS), "all lights are changed")
    for name in LIGHTS:
        equal(peer.proxied(GET, f"coap://{name}/brightness").payload, b"77", "what was stored is forgotten")


def bounds(peer):
    two = Asking(peer, GET, "coap://two/brightness", LONG)
    two.wait(2, "two answers")
    until(lambda: metric(peer, "gateway_group_unfit_total") >= 1, "a third answer")
    # answers of other requests may follow; of this one, none
    while two.peer.receive(0.01):
        pass
    equal(len(two.hear()), 2, "answers to a group that allows two")
    silent = Asking(peer, GET, "coap://none/x", 200).wait(1, "the time of a group is over")
    equal((code_text(silent[0].code), silent[0].option(REPLY_TO)), ("5.04", None), "a group without devices")
    # without Multicast-Timeout the client is told what is missing
    reply = Asking(peer, GET, "coap://all/brightness", None).wait(1, "an answer")[0]
    equal((code_text(reply.code), reply.option(MULTICAST_TIMEOUT)), ("4.00", b""), "a request without Multicast-Timeout")
    check(b"Multicast-Timeout" in reply.payload, "a diagnostic")
    # nobody wants to know
    before = metric(peer, "gateway_group_answers_total")
    Asking(peer, PUT, "coap://all/brightness", 0, b"5", [(NO_RESPONSE, ALL_CODES)])
    for name in LIGHTS:
        until(lambda name=name: peer.proxied(GET, f"coap://{name}/brightness").payload == b"5", "the request has arrived")
    equal(metric(peer, "gateway_group_answers_total"), before, "answers that nobody wants")
    Asking(peer, PUT, "coap://slow/brightness", 0, b"5")
    reply = Asking(peer, PUT, "coap://slow/brightness", 0, b"5").wait(1, "an answer")[0]
    equal(code_text(reply.code), "4.29", "the rate of a group")


def refusals(stage):
    guest = Peer(("127.0.0.1", 5683))
    equal(code_text(Asking(guest, GET, "coap://all/x", 5).wait(1, "an answer")[0].code), "4.01", "without a session")
    guest.open_session(stage.token("guest1"))
    for uri, expected in (("coap://two/x", "4.03"), ("coap://[ff05::99]/x", "4.03"), ("coap://[ff02::1%25br0]/x", "4.00"),
                          ("coap://224.0.1.187/x", "4.03"), ("coap://[ff05::fd]:5684/x", "4.03"), ("coap://everybody/x", "4.04")):
        equal(code_text(Asking(guest, GET, uri, 5).wait(1, "an answer")[0].code), expected, f"a guest asks {uri}")
    found = Asking(guest, GET, "coap://all/brightness", LONG)
    until(lambda: len([a for a in found.hear() if code_text(a.code) == "2.05"]) == len(LIGHTS) - 1, "the lights that a guest may ask")
    check(LIGHTS[0] not in [origin(a) for a in found.answers], "a device that a guest may not ask is not heard")


def no_storm(peer, place):
    """What comes to a group that the gateway is in goes nowhere, whatever it asks for."""
    before = metric(peer, "gateway_group_requests_total"), metric(peer, "gateway_proxied_total")
    multicasts = metric(peer, "collector_multicast_total")
    script = r"""
import os, socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
for data in sys.argv[1:]:
    s.sendto(bytes.fromhex(data), ("ff02::fd", 5683, 0, socket.if_nametoindex("eth0")))
"""
    asking = [Message(kind, GET, i, b"t", [(PROXY_URI, b"coap://all/brightness"), (MULTICAST_TIMEOUT, b"\x05")]).encode().hex()
              for i, kind in enumerate((NON, CON))]
    publish = Message(NON, 2, 9, b"", [(11, b"publish")], b'1').encode().hex()
    subprocess.run([*place.inside, sys.executable, "-c", script, *asking, publish], check=True)
    until(lambda: metric(peer, "collector_multicast_total") > multicasts, "what was sent last has come")
    equal((metric(peer, "gateway_group_requests_total"), metric(peer, "gateway_proxied_total")), before, "requests that came by multicast")


def inside(stage):
    bridge()
    server = stage.foreign("coap-server")
    places = [Place(i, f"00:13:50:00:a0:0{i + 1}") for i in range(3)]
    names = [Place.identifier(f"00:13:50:00:a0:0{i + 1}") for i in range(3)]
    places += [Place(3, "02:00:00:00:00:10", f"{PREFIX}::10"), Place(4, "02:00:00:00:00:11", f"{PREFIX}::11")]
    stage.cleanups.append(lambda: [(place.child.kill(), place.child.wait()) for place in places])
    global LIGHTS
    LIGHTS = tuple("".join(f"{int(part, 16):04x}" for part in name) for name in names)
    LIGHTS = tuple(f"{int(name[:2], 16) ^ 2:02x}{name[2:]}" for name in LIGHTS)
    for place in places[:3]:
        sim = stage.start("copse-sim", [*place.inside, stage.program("copse-sim"), "--count", "1", "--kinds", "light", "--bind", "::",
                                        "--join", "ff05::fd"])
        sim.says("msg=listening")
    for place in places[3:]:
        stage.start("coap-server", [*place.inside, server, "-A", "::", "-g", "ff05::fd", "-G", "eth0"])
    conf = stage.path("groups.conf")
    with open(conf, "w", encoding="utf-8") as file:
        from stage import GATEWAY, SECRET
        file.write(CONFIG % {"secret": SECRET, "prefix": PREFIX, "denied": LIGHTS[0]})
    stage.start("copse-gateway", [stage.program("copse-gateway"), "-c", conf, *GATEWAY]).says("msg=listening")
    peer = Peer(("127.0.0.1", 5683))
    peer.open_session(stage.token())
    for name in ("foreign.example", *LIGHTS):
        until(lambda name=name: code_text(peer.proxied(GET, f"coap://{name}/.well-known/core").code) == "2.05", f"{name} is there")
    asked(peer)
    changes(peer)
    bounds(peer)
    refusals(stage)
    no_storm(peer, places[0])
    # libcoap's client takes the first answer, as that to any request
    from stage import free_port
    port = free_port()
    stage.coap_client(port, "-m", "post", "-e", stage.token("libcoap"), "coap://127.0.0.1/sessions?security=none")
    links = stage.coap_client(port, "-P", "coap://127.0.0.1", "-O", f"{MULTICAST_TIMEOUT},0xc8", "-m", "get", "coap://all/.well-known/core")
    check("</" in links, f"libcoap's client asks a group: {links}")


def test(stage):
    stage.foreign("coap-server")
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        raise Skip("namespaces cannot be made here")
    done = stage.run(["unshare", "-rn", "--", sys.executable, "-B", os.path.abspath(__file__), stage.build, "--inside"], 1200)
    print(done.stdout)
    if done.returncode == 77:
        raise Skip("bridges cannot be made here")
    equal(done.returncode, 0, f"in the namespaces: {done.stderr[-3000:]}")


if __name__ == "__main__":
    play(inside if "--inside" in sys.argv else test)
