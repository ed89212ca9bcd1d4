#!/usr/bin/env python3
"""The collector of the real gateway: what is published by libcoap's client and by raw peers is stored and served; whatever was
acknowledged is there once after SIGKILL; a damaged file leaves the proxy working; a sensor in another network namespace publishes
to its group and is known by its link-local address.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import os
import signal
import subprocess
import sys

from stage import (ACCEPT, CON, CONTENT_FORMAT, DELETE, GATEWAY, GET, MAX_AGE, NON, OBSERVE, POST, PUT, URI_PATH, URI_QUERY, Message, Peer, Skip,
                   check, code_text, equal, free_port, path_options, play, until)

BLOCK2 = 23
DEVICE = "0024befffe804ff1"
TEXT, LINK, OCTETS, JSON, SENML_JSON, SENML_CBOR, SENML_XML = b"", b"\x28", b"\x2a", b"\x32", b"\x6e", b"\x70", b"\x01\x36"


def section(stage, more=""):
    return f'collector {{\n\tstore = "{stage.path("readings.db")}"\n\topen = true\n\t{more}\n}}'


def publish(peer, pack, content=SENML_JSON, expected="2.04", options=()):
    body = pack if isinstance(pack, bytes) else json.dumps(pack).encode()
    reply = peer.request(POST, "/publish", body, options=[(CONTENT_FORMAT, content), *options])
    equal(code_text(reply.code), expected, f"publishing {pack}")
    return reply


def read(peer, path, query=(), accept=None, expected="2.05"):
    """GET, block by block where there are several."""
    body, options = b"", [(ACCEPT, accept)] if accept is not None else []
    while True:
        at = len(body) // 1024
        block = [(BLOCK2, (at << 4 | 6).to_bytes(3, "big").lstrip(b"\0"))] if at else []
        reply = peer.request(GET, path, query=query, options=options + block)
        equal(code_text(reply.code), expected, f"{path} {query}")
        body += reply.payload
        if not (reply.option(BLOCK2) or b"\0")[-1] & 8:
            return body


def values(peer, query):
    return [row["v"] for row in json.loads(read(peer, f"/devices/{DEVICE}/n", query))]


def end(stage, gateway, how=signal.SIGTERM):
    gateway.stop(how)
    stage.processes.remove(gateway)


def formats_and_history(peer):
    bn = f"urn:dev:mac:{DEVICE}:"
    for i in range(5):
        publish(peer, [{"bn": bn, "n": "temp", "u": "Cel", "v": 20 + i, "t": 1700000000 + 60 * i}])
    # an older one does not become the newest
    publish(peer, [{"bn": bn, "n": "temp", "u": "Cel", "v": -1, "t": 1600000000}])
    rows = json.loads(read(peer, f"/devices/{DEVICE}/temp"))
    equal(rows, [{"bn": bn, "n": "temp", "t": 1700000240, "u": "Cel", "v": 24}], "the newest reading")
    equal(read(peer, f"/devices/{DEVICE}/temp", accept=TEXT), b"24", "the same as text")
    rows = json.loads(read(peer, f"/devices/{DEVICE}/temp", ["from=1700000060", "to=2023-11-14T22:16:20Z"]))
    equal([row["v"] for row in rows], [21, 22], "from and to")
    rows = json.loads(read(peer, f"/devices/{DEVICE}/temp", ["from=1700000000", "every=2m", "agg=max"]))
    equal([(row["t"], row["v"]) for row in rows], [(1699999920, 20), (1700000040, 22), (1700000160, 24)], "aggregates")
    csv = read(peer, f"/devices/{DEVICE}/temp", ["last=1", "as=csv"]).decode()
    equal(csv.splitlines()[1], f'2023-11-14T22:17:20.000000Z,{DEVICE},temp,24,"Cel",', "CSV")
    check(b' v="24"' in read(peer, f"/devices/{DEVICE}/temp", ["last=1"], SENML_XML), "XML")
    equal(read(peer, f"/devices/{DEVICE}/temp", ["last=1"], SENML_CBOR)[:2], b"\x9f\xa5", "CBOR")
    # what was written as CBOR is taken as CBOR, in another spelling of the same identity
    pack = b"\x81\xa3\x00\x78\x1adevice:00-24-BE-80-4F-F1/x\x02\x18\x2a\x06\x00"
    publish(peer, pack, SENML_CBOR)
    equal(read(peer, f"/devices/{DEVICE}/x", accept=TEXT), b"42", "one identity in another spelling")
    for query in (["last=x"], ["every=1y"], ["agg=mean"], ["from=never"], ["as=pdf"]):
        read(peer, f"/devices/{DEVICE}/temp", query, expected="4.00")
    read(peer, "/devices/nobody", expected="4.04")


def faults_are_named(peer):
    reply = publish(peer, [{"n": f"device:{DEVICE}:a", "v": 1}, {"n": f"device:{DEVICE}:b"}], expected="4.00")
    check(b"record 1: the record has neither a value nor a sum" in reply.payload, f"the problem: {reply.payload}")
    read(peer, f"/devices/{DEVICE}/a", expected="4.04")  # a pack is taken whole or not at all
    reply = publish(peer, [{"n": "temp", "v": 1}], expected="4.00")  # from an IPv4 address
    check(b"names a device" in reply.payload, f"the problem: {reply.payload}")
    publish(peer, b"[", expected="4.00")


def max_age_bounds_the_present(peer):
    publish(peer, [{"n": f"device:{DEVICE}:brief", "v": 1}], options=[(MAX_AGE, b"")])
    read(peer, f"/devices/{DEVICE}/brief", expected="4.04")
    equal(len(json.loads(read(peer, f"/devices/{DEVICE}/brief", ["last=5"]))), 1, "history of what has expired")


def meta_and_lists(peer):
    reply = peer.request(PUT, f"/devices/{DEVICE}/meta", b'{"type":"temperature","group":"cellar","a":{"b":1,"c":2}}',
                         options=[(CONTENT_FORMAT, JSON)])
    equal(code_text(reply.code), "2.04", "PUT meta")
    reply = peer.request(7, f"/devices/{DEVICE}/meta", b'{"label":"Boiler","a":{"b":null}}', options=[(CONTENT_FORMAT, b"\x34")])
    equal(code_text(reply.code), "2.04", "iPATCH meta")
    meta = json.loads(read(peer, f"/devices/{DEVICE}/meta"))
    equal(meta, {"type": "temperature", "group": "cellar", "label": "Boiler", "a": {"c": 2}}, "the merged description")
    for wrong in (b'{"type":"a b"}', b"[]", b'{"sleeping":1}', b'{"type":"\\">x"}'):
        reply = peer.request(PUT, f"/devices/{DEVICE}/meta", wrong, options=[(CONTENT_FORMAT, JSON)])
        equal(code_text(reply.code), "4.00", f"PUT meta {wrong}")
    check(f"</devices/{DEVICE}>".encode() in read(peer, "/devices", ["type=temperature"]), "the link of a device")
    equal(read(peer, "/devices", ["type=none"]), b"", "no device of that type")
    rows = json.loads(read(peer, "/devices", ["group=cellar", "state=live"], JSON))
    equal([row["id"] for row in rows], [DEVICE], "devices as JSON")
    check(len(json.loads(read(peer, "/types/temperature"))) >= 2, "newest readings of a type")
    check(len(json.loads(read(peer, "/groups/cellar", ["last=2"]))) >= 3, "history of a group")


def documents(peer):
    for body, content in ((b"one", TEXT), (bytes(range(256)), OCTETS)):
        reply = peer.request(PUT, "/store/any/path", body, options=[(CONTENT_FORMAT, content)])
        equal(code_text(reply.code), "2.04", "PUT below /store")
    equal(read(peer, "/store/any/path"), bytes(range(256)), "byte for byte")
    read(peer, "/store/any", expected="4.04")
    equal(read(peer, "/store"), b"</store/any/path>;ct=42;sz=256", "the list of paths")


def names_are_bounded(peer):
    for first in range(0, 64, 16):
        publish(peer, [{"n": f"device:crowd:n{i}", "v": 1} for i in range(first, first + 16)])
    publish(peer, [{"n": "device:crowd:n64", "v": 1}], expected="5.03")
    publish(peer, [{"n": "device:crowd:n63", "v": 2}])


def observation(stage, peer):
    watcher = Peer(stage.gateway_address)
    path = [(URI_PATH, b"devices"), (URI_PATH, DEVICE.encode()), (URI_PATH, b"seen")]
    publish(peer, [{"n": f"device:{DEVICE}:seen", "v": 1, "t": -9}])
    watcher.request(GET, "/help")  # with an Echo: from here on its address is known to receive what it asks for
    first = watcher.answer(Message(CON, GET, watcher.next_mid(), b"watch", [(OBSERVE, b""), *path, (ACCEPT, TEXT)]))
    equal((first.payload, first.option(OBSERVE) is not None), (b"1", True), "the registration")
    publish(peer, [{"n": f"device:{DEVICE}:seen", "v": 2}])
    told = until(lambda: next((m for m in [watcher.receive(1)] if m and m.payload == b"2"), None), "the observer is told")
    equal(told.token, b"watch", "token of the notification")
    watcher.close()


def following(stage, peer):
    """Types, groups and the list of devices are followed as devices are; a history is not."""
    other = "0024befffe804ff2"
    peer.request(PUT, f"/devices/{other}/meta", b'{"type":"damp","group":"attic"}', options=[(CONTENT_FORMAT, JSON)])
    publish(peer, [{"n": f"device:{other}:wet", "v": 0}])
    watcher = Peer(stage.gateway_address)
    watcher.request(GET, "/help")

    def follow(token, path, options):
        return watcher.answer(Message(CON, GET, watcher.next_mid(), token, [(OBSERVE, b""), *path_options(path), *options]))
    for token, path in ((b"type", "/types/damp"), (b"group", "/groups/attic"), (b"list", "/devices")):
        first = follow(token, path, [(URI_QUERY, b"group=attic"), (ACCEPT, JSON)] if path == "/devices" else [])
        equal((code_text(first.code), first.option(OBSERVE) is not None), ("2.05", True), f"following {path}")
    history = follow(b"past", f"/devices/{other}/wet", [(URI_QUERY, b"last=1")])
    equal((code_text(history.code), history.option(OBSERVE)), ("2.05", None), "a history is answered, and not followed")
    heard, seen, number = {}, set(), 0

    def all_told():
        """The newest state of each comes, however often it is published."""
        nonlocal number
        number += 1
        publish(peer, [{"n": f"device:{other}:wet", "v": number}])
        message = watcher.receive(0.2)
        while message:
            if message.kind == CON:
                watcher.send(Message(2, 0, message.mid))
            if message.mid not in seen:  # else it is repeated, because the acknowledgement took its time
                seen.add(message.mid)
                sequence = int.from_bytes(message.option(OBSERVE), "big")
                before = heard.get(message.token, (0, 0))[0]
                check(sequence > before, f"sequence of {message.token}: {sequence} after {before}")
                heard[message.token] = (sequence, json.loads(message.payload))
            message = watcher.receive(0.2)
        return all(token in heard for token in (b"type", b"group", b"list"))
    until(all_told, "the followers are told")
    check(b"past" not in heard, "nothing of the history")
    for token in (b"type", b"group"):
        equal([(row["n"], row["v"] > 0) for row in heard[token][1]], [("wet", True)], f"what is told of {token}")
    equal([row["id"] for row in heard[b"list"][1]], [other], "what is told of /devices")
    # somebody who joins the group is told of too
    publish(peer, [{"n": "device:joins:wet", "v": 5}])
    peer.request(PUT, "/devices/device:joins/meta", b'{"group":"attic"}', options=[(CONTENT_FORMAT, JSON)])
    until(lambda: all_told() and len(heard[b"group"][1]) == 2 and len(heard[b"list"][1]) == 2, "a device that joins")
    watcher.close()


def rights_end(stage):
    """Who follows a device and closes the session is told so instead of the next reading; others go on."""
    gateway = stage.start_gateway('collector {\n\tstore = ":memory:"\n}')
    sender, leaves, stays = (Peer(stage.gateway_address) for _ in range(3))
    publish(sender, [{"n": f"device:{DEVICE}:x", "v": 1, "t": -9}])
    for watcher in (leaves, stays):
        watcher.open_session(stage.token())
        first = watcher.answer(Message(CON, GET, watcher.next_mid(), b"watch", [(OBSERVE, b""), *path_options(f"/devices/{DEVICE}")]))
        equal((code_text(first.code), first.option(OBSERVE) is not None), ("2.05", True), "following with a session")
    equal(code_text(leaves.request(DELETE, "/sessions").code), "2.02", "the session is closed")
    publish(sender, [{"n": f"device:{DEVICE}:x", "v": 2}])
    told = until(lambda: leaves.receive(1), "the end is told")
    equal((code_text(told.code), told.token, told.payload, told.option(OBSERVE)), ("4.01", b"watch", b"", None), "the end")
    told = until(lambda: stays.receive(1), "the other is told")
    equal((code_text(told.code), json.loads(told.payload)[0]["v"]), ("2.05", 2), "the other goes on")
    for peer in (sender, leaves, stays):
        peer.close()
    end(stage, gateway)


def document_rules(stage):
    """What access sections and tokens say of documents, asked by libcoap's client and by raw ones: by account, method and path, in the list too."""
    rules = [("admin", 'action = allow\n\taccount = {"admin"}\n\trequest = {"* @store"}'),
             ("plans", 'action = deny\n\trequest = {"put,post @store /plans"}'),
             ("strangers", 'action = deny\n\taccount = {""}\n\trequest = {"* @store"}')]
    gateway = stage.start_gateway('collector {\n\tstore = ":memory:"\n}\n' +
                                  "\n".join(f'access "{title}" {{\n\t{text}\n}}' for title, text in rules))
    admin, reader, part, stranger = (Peer(stage.gateway_address) for _ in range(4))
    admin.open_session(stage.token("admin"))
    reader.open_session(stage.token("reader"))
    part.open_session(stage.token("part", copse_allow=["get @store /plans/cellar"]))

    def put(peer, path, expected):
        equal(code_text(peer.request(PUT, path, b"12345", options=[(CONTENT_FORMAT, TEXT)]).code), expected, f"PUT {path}")
    for path in ("/store/plans/cellar", "/store/plans/attic", "/store/note"):
        put(admin, path, "2.04")
    put(reader, "/store/plans/cellar", "4.03")
    put(reader, "/store/note", "2.04")
    put(part, "/store/note", "4.03")
    put(stranger, "/store/note", "4.01")
    equal(read(reader, "/store/plans/attic"), b"12345", "who may read does")
    equal(read(part, "/store/plans/cellar"), b"12345", "what the token allows")
    read(part, "/store/plans/attic", expected="4.03")
    read(stranger, "/store/note", expected="4.01")
    whole = b"</store/note>;ct=0;sz=5,</store/plans/attic>;ct=0;sz=5,</store/plans/cellar>;ct=0;sz=5"
    equal(read(reader, "/store"), whole, "the list for who may read all")
    equal(read(part, "/store"), b"</store/plans/cellar>;ct=0;sz=5", "the list for who may read a part")
    port, uri = free_port(), stage.gateway_uri()
    stage.coap_client(port, "-m", "post", "-e", stage.token("libcoap"), f"{uri}/sessions")
    check("12345" in stage.coap_client(port, f"{uri}/store/plans/attic"), "coap-client reads")
    check("4.03" in stage.coap_client(port, "-m", "put", "-e", "x", f"{uri}/store/plans/attic"), "coap-client may not store")
    check("4.01" in stage.coap_client(free_port(), f"{uri}/store/plans/attic"), "coap-client without a session")
    for peer in (admin, reader, part, stranger):
        peer.close()
    end(stage, gateway)


def foreign_client(stage):
    """libcoap's client: a pack of several blocks, and back."""
    pack = json.dumps([{"bn": f"device:{DEVICE}:", "n": f"many{i:02}", "v": i} for i in range(50)])
    client, uri = stage.foreign("coap-client"), stage.gateway_uri()
    done = stage.run([client, "-B", "300", "-b", "256", "-m", "post", "-t", "110", "-e", pack, f"{uri}/publish"])
    equal((done.returncode, done.stderr), (0, ""), "coap-client post")
    done = stage.run([client, "-B", "300", f"{uri}/devices/{DEVICE}?last=1"])
    names = {row["n"] for row in json.loads(done.stdout)}
    check({f"many{i:02}" for i in range(50)} <= names, f"what coap-client reads: {done.stdout}")


def killed_while_data_comes_in(stage, gateway):
    """Every acknowledged reading is there once, also those whose sender had to send them again after the restart."""
    sent = 0
    for round_number in range(4):
        sender = Peer(stage.gateway_address)
        acknowledged = 0
        while acknowledged < 25:
            publish(sender, [{"n": f"device:{DEVICE}:n", "v": sent}])
            sent += 1
            acknowledged += 1
        # one whose acknowledgement is lost: stored or not, it is sent again with the same message ID and token
        lost = Message(CON, POST, sender.next_mid(), b"lost", [(URI_PATH, b"publish"), (CONTENT_FORMAT, SENML_JSON)],
                       json.dumps([{"n": f"device:{DEVICE}:n", "v": sent}]).encode())
        sender.send(lost)
        if round_number % 2:
            check(sender.receive() is not None, "an answer before the kill")
        end(stage, gateway, signal.SIGKILL)
        gateway = stage.start_gateway(section(stage))
        sender.socket.connect(stage.gateway_address)  # from the same port
        equal(code_text(sender.answer(lost).code), "2.04", "the repeated message")
        sent += 1
        equal(values(sender, [f"last={sent + 10}"]), list(range(sent)), f"what is stored after round {round_number}")
        sender.close()
    return gateway


def a_damaged_file(stage, gateway):
    end(stage, gateway)
    with open(stage.path("readings.db"), "r+b") as file:
        file.write(b"not a database, whatever it was")
    gateway = stage.start_gateway(section(stage))
    gateway.says(r"level=error logger=collector.*damaged")
    peer = Peer(stage.gateway_address)
    publish(peer, [{"n": f"device:{DEVICE}:n", "v": 1}], expected="5.03")
    equal(code_text(peer.request(GET, "/help").code), "2.05", "the rest of the gateway")
    peer.close()
    end(stage, gateway)


# --- multicast: gateway and sensor in network namespaces of their own, joined by a veth pair --------------------------------

SENSOR = r"""
import os, socket, sys
index = socket.if_nametoindex("veth1")
out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
for group, payload in (("ff02::1:fe00:1", b"\xff21.5"), ("ff02::fd", b"\xc1\x6e\xff" + b'[{"n":"all","v":7}]')):
    message = b"\x50\x02" + os.urandom(2) + (b"\xb7publish" if payload[0] == 255 else b"\xb7publish\x11\x6e") + \
        (payload if payload[0] == 255 else payload[2:])
    out.sendto(message, (group, 5683, 0, index))
# Notifications that nobody has asked for: of the agreed token, to the group of its type and to another one; of another token.
for group, token, payload in (("ff02::1:fe00:2", b"humi", b"55"), ("ff02::1:fe00:1", b"humi", b"66"), ("ff02::1:fe00:2", b"else", b"77")):
    message = b"\x54\x45" + os.urandom(2) + token + b"\x60\xff" + payload
    for i in range(2):  # a copy is recognized
        out.sendto(message, (group, 5683, 0, index))
out.settimeout(1)
try:
    print("answered", out.recv(1000))
except socket.timeout:
    print("silence")
"""


def inside(stage):
    """In a namespace with root: make the second one, the pair, the gateway and the sensor."""
    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)
    child = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
    try:
        own = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{child.pid}/ns/net") != own, "the second namespace")
        ip("link", "set", "lo", "up")
        ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth1", "netns", str(child.pid))
        there = ["nsenter", "-t", str(child.pid), "-n"]
        subprocess.run([*there, "sysctl", "-q", "-w", "net.ipv6.conf.veth1.accept_dad=0"], check=True)
        subprocess.run(["sysctl", "-q", "-w", "net.ipv6.conf.veth0.accept_dad=0"], check=True)
        subprocess.run([*there, "ip", "link", "set", "veth1", "address", "00:24:be:80:4f:f1", "up"], check=True)
        ip("link", "set", "veth0", "up")
        until(lambda: b"fe80::224:beff:fe80:4ff1" in subprocess.run([*there, "ip", "-6", "addr", "show", "dev", "veth1", "-tentative"],
                                                                     capture_output=True, check=True).stdout, "the sensor's address")
        until(lambda: b"fe80::" in subprocess.run(["ip", "-6", "addr", "show", "dev", "veth0", "-tentative"], capture_output=True,
                                                  check=True).stdout, "the gateway's address")
        conf = stage.path("group.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write('listen = {"*:5683"}\nmesh { bind = "127.0.0.1:0" }\nkey "k" { algorithm = HS256 secret = "' + "x" * 40 +
                       '" }\ncollector {\n\tstore = ":memory:"\n\topen = true\n\ttypes = {"temperature", "humidity"}\n\timplicit = {"humidity:68756d69"}\n\tinterfaces = {"veth0"}\n}\n')
        gateway = stage.start("copse-gateway", [stage.program("copse-gateway"), "-c", conf, *GATEWAY])
        gateway.says(r"joined.*ff02::1:fe00:1")
        gateway.says(r"msg=listening")
        peer = Peer(("127.0.0.1", 5683))

        def published():
            done = subprocess.run([*there, sys.executable, "-c", SENSOR], capture_output=True, check=True)
            equal(done.stdout, b"silence\n", "what a sensor hears that publishes to a group")
            reply = peer.request(GET, f"/devices/{DEVICE}")
            found = json.loads(reply.payload) if code_text(reply.code) == "2.05" else []
            return found if {"temperature", "all", "humidity"} <= {row["n"] for row in found} else None
        rows = {row["n"]: row for row in until(published, "the sensor is heard")}
        equal((rows["temperature"]["v"], rows["temperature"]["u"]), (21.5, "Cel"), "name and unit by the group")
        equal(rows["all"]["v"], 7, "a record without device, sent to all CoAP nodes")
        equal((rows["humidity"]["v"], rows["humidity"]["u"]), (55, "%RH"), "a notification that nobody has asked for")
        rows = json.loads(peer.request(GET, "/devices", query=["type=humidity"], options=[(ACCEPT, JSON)]).payload)
        equal([row["id"] for row in rows], [DEVICE], "the type of the group that the device sent to last")
        end(stage, gateway)
    finally:
        child.kill()
        child.wait()


def multicast(stage):
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        raise Skip("namespaces cannot be made here")
    done = stage.run(["unshare", "-rn", "--", sys.executable, "-B", os.path.abspath(__file__), stage.build, "--inside"])
    equal(done.returncode, 0, f"in the namespaces: {done.stdout}{done.stderr}")


def run(stage):
    gateway = stage.start_gateway(section(stage))
    peer = Peer(stage.gateway_address)
    formats_and_history(peer)
    faults_are_named(peer)
    max_age_bounds_the_present(peer)
    meta_and_lists(peer)
    documents(peer)
    names_are_bounded(peer)
    observation(stage, peer)
    following(stage, peer)
    foreign_client(stage)
    peer.close()
    gateway = killed_while_data_comes_in(stage, gateway)
    peer = Peer(stage.gateway_address)
    equal(read(peer, f"/devices/{DEVICE}/temp", accept=TEXT), b"24", "the newest reading after restarts")
    equal(json.loads(read(peer, f"/devices/{DEVICE}/meta"))["label"], "Boiler", "the description after restarts")
    peer.close()
    a_damaged_file(stage, gateway)
    rights_end(stage)
    document_rules(stage)
    multicast(stage)


if __name__ == "__main__":
    play(inside if "--inside" in sys.argv else run)
