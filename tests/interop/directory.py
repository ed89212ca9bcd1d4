#!/usr/bin/env python3
"""The resource directory of the real gateway (RFC 9176): registered by libcoap's client, by the npm package `coap` and by raw
peers; looked up, observed, renewed, removed, expired; endpoints become devices that the proxy reaches by name.

SPDX-License-Identifier: BSD-2-Clause
"""
import os

from stage import (ACCEPT, ACK, CON, CONTENT_FORMAT, DELETE, ECHO, GET, HERE, OBSERVE, POST, URI_PATH, URI_QUERY, Message, Peer,
                   check, code, code_text, equal, play, until)

LOCATION_PATH = 8
LINK = b"\x28"


def section(more=""):
    return f"directory {{\n\tregistrations = 20\n\t{more}\n}}"


def register(peer, query, links, expected="2.01"):
    reply = peer.request(POST, "/rd", links.encode(), query, [(CONTENT_FORMAT, LINK)])
    equal(code_text(reply.code), expected, f"registering {query}")
    return "/" + "/".join(value.decode() for number, value in reply.options if number == LOCATION_PATH)


def look(peer, what, query=(), expected="2.05"):
    reply = peer.request(GET, f"/rd-lookup/{what}", query=query)
    equal(code_text(reply.code), expected, f"lookup of {what} {query}")
    return reply.payload.decode() if code_text(reply.code) == "2.05" else None


def life_of_a_registration(peer):
    core = peer.request(GET, "/.well-known/core", query=["rt=core.rd*"]).payload.decode()
    for path, kind in (("/rd", "core.rd"), ("/rd-lookup/ep", "core.rd-lookup-ep"), ("/rd-lookup/res", "core.rd-lookup-res")):
        check(f'<{path}>' in core and f'rt="{kind}"' in core, f"discovery: {core}")
    base = f"coap://127.0.0.1:{peer.socket.getsockname()[1]}"
    location = register(peer, ["ep=node1", "et=probe"], '</sensors/temp>;rt="temperature-c";if="sensor"')
    check(location.startswith("/rd/"), f"location {location}")
    equal(register(peer, ["ep=node1", "et=probe"], '</sensors/temp>;rt="temperature-c";if="sensor"'), location, "the same again")
    equal(look(peer, "res", ["rt=temperature-c"]), f'<{base}/sensors/temp>;rt="temperature-c";if="sensor";anchor="{base}"', "resources")
    equal(look(peer, "ep", ["et=probe"]), f'<{location}>;ep="node1";base="{base}";et="probe";rt="core.rd-ep"', "endpoints")
    equal(code_text(peer.request(POST, location, query=["et=other"]).code), "2.04", "update")
    equal(look(peer, "ep", ["et=probe"]), "", "what is no longer said")
    equal(code_text(peer.request(POST, location, b"</x>", options=[(CONTENT_FORMAT, LINK)]).code), "4.00", "an update with links")
    equal(code_text(peer.request(DELETE, location).code), "2.02", "removal")
    equal(code_text(peer.request(DELETE, location).code), "4.04", "removal again")
    equal(code_text(peer.request(POST, location).code), "4.04", "update of what is gone")
    for query, links in (([], "</x>"), (["ep=a", "lt=0"], "</x>"), (["ep=a"], "<x>"), (["ep=a"], "nonsense")):
        register(peer, query, links, "4.00")
    look(peer, "res", ["page=1"], "4.00")
    equal(code_text(peer.request(POST, "/rd", b"{}", ["ep=a"], [(CONTENT_FORMAT, b"\x32")]).code), "4.15", "JSON")


def observed(stage, peer):
    watcher = Peer(stage.gateway_address)
    watcher.request(GET, "/help")  # with an Echo: from here on its address is known to receive what it asks for
    path = [(URI_PATH, b"rd-lookup"), (URI_PATH, b"res"), (URI_QUERY, b"rt=light"), (ACCEPT, LINK)]
    first = watcher.answer(Message(CON, GET, watcher.next_mid(), b"watch", [(OBSERVE, b""), *path]))
    equal((first.payload, first.option(OBSERVE) is not None), (b"", True), "the registration, with nothing to see yet")

    def told(what):
        def look_at():
            m = watcher.receive(1)
            if m and m.kind == CON:
                watcher.send(Message(ACK, 0, m.mid))
            return m if m and m.token == b"watch" and what(m.payload) else None
        return until(look_at, "the observer is told")

    register(peer, ["ep=lamps", "lt=2"], '</west>;rt="light",</south>;rt="light"')
    told(lambda payload: payload.count(b"<") == 2)
    told(lambda payload: payload == b"")  # its lifetime is over
    watcher.close()


def simple(stage):
    """§5.1: the peer is a server, too: the gateway fetches its links, in two blocks, before it answers."""
    peer = Peer(stage.gateway_address)
    links = ",".join(f'</sen/{i:03}>;rt="many"' for i in range(60)).encode()
    query = [(URI_QUERY, b"ep=simple"), (URI_QUERY, b"lt=6000")]
    path = [(URI_PATH, b".well-known"), (URI_PATH, b"rd"), *query]
    asked = peer.answer(Message(CON, POST, peer.next_mid(), b"s", path))
    equal(code_text(asked.code), "4.01", "an address that may be forged")
    request = Message(CON, POST, peer.next_mid(), b"t", [*path, (ECHO, asked.option(ECHO))])
    peer.send(request)
    fetched = []

    def step():
        m = peer.receive(2)
        if m is None:
            peer.send(request)
        elif m.code == GET:
            equal([value for number, value in m.options if number == URI_PATH], [b".well-known", b"core"], "what is fetched")
            equal(m.option(ACCEPT), LINK, "as what")
            at = int.from_bytes(m.option(23) or b"", "big") >> 4
            more = 8 if len(links) > 1024 * (at + 1) else 0
            block = (at << 4 | more | 6).to_bytes(2, "big").lstrip(b"\0")
            fetched.append(at)
            peer.send(Message(ACK, code("2.05"), m.mid, m.token, [(CONTENT_FORMAT, LINK), (23, block)], links[1024 * at:1024 * (at + 1)]))
        elif m.code and m.token == b"t":
            if m.kind == CON:
                peer.send(Message(ACK, 0, m.mid))
            return m
        return None

    equal(code_text(until(step, "an answer to the simple registration").code), "2.04", "simple registration")
    check(set(fetched) == {0, 1}, f"blocks fetched: {fetched}")
    equal(look(peer, "ep", ["rt=many"]).count("<"), 1, "the endpoint of the links")
    check('/sen/059>;rt="many"' in look(peer, "res", ["ep=simple", "page=59", "count=1"]), "the last link")
    equal(code_text(peer.request(POST, "/.well-known/rd", query=["ep=x", "base=coap://h"]).code), "4.00", "a base")
    peer.close()


def foreign_client(stage):
    client, uri = stage.foreign("coap-client"), stage.gateway_uri()
    done = stage.run([client, "-B", "300", "-m", "post", "-t", "40", "-e", '</fan>;rt="fan"', f"{uri}/rd?ep=cc&lt=600"])
    equal((done.returncode, done.stderr), (0, ""), "coap-client registers")
    done = stage.run([client, "-B", "300", f"{uri}/rd-lookup/res?rt=fan"])
    check('/fan>;rt="fan";anchor="coap://127.0.0.1:' in done.stdout, f"what coap-client finds: {done.stdout} {done.stderr}")


def becomes_a_device(stage, peer):
    """The npm package registers itself and is then asked through the proxy, by its name."""
    if not os.path.isdir(os.path.join(HERE, "node_modules", "coap")):
        return
    node, script = stage.foreign("node"), os.path.join(HERE, "npm_coap.mjs")
    device = stage.start("node-device", [node, script, "register", str(stage.gateway_address[1]), "Npm-Device"])
    device.says(r"^registered 2\.01 /rd/\d+")
    client = Peer(stage.gateway_address)
    client.open_session(stage.token())
    reply = client.proxied(GET, "coap://npm-device/temperature")
    equal((code_text(reply.code), reply.payload), ("2.05", b"21.5"), "an endpoint asked by its name")
    equal(code_text(client.proxied(GET, "coap://no-such-device/temperature").code), "4.04", "a name that nobody registered")
    check('<coap://npm-device>;ep="npm-device"' in client.request(GET, "/devices").payload.decode(), "it is listed")
    check("copse_directory_registrations_total" in metrics(client), "counters")
    location = look(peer, "ep", ["ep=Npm-Device"]).split(">")[0][1:]
    equal(code_text(peer.request(DELETE, location).code), "2.02", "removal")
    equal(code_text(client.proxied(GET, "coap://npm-device/temperature").code), "4.04", "its name is gone with it")
    client.close()


def metrics(peer):
    text, at = b"", 0
    while True:
        reply = peer.request(GET, "/metrics", options=[(23, (at << 4 | 6).to_bytes(2, "big").lstrip(b"\0"))])
        equal(code_text(reply.code), "2.05", "metrics")
        text += reply.payload
        at += 1
        if not reply.option(23)[-1] & 8:
            return text.decode()


def bounded(stage):
    crowd = Peer(stage.gateway_address)
    codes = {code_text(crowd.request(POST, "/rd", b"", [f"ep=c{i}"], [(CONTENT_FORMAT, LINK)]).code) for i in range(25)}
    equal(codes, {"2.01", "5.03"}, "more endpoints than there is room for")
    crowd.close()


def closed_to_strangers(stage):
    peer = Peer(stage.gateway_address)
    register(peer, ["ep=x"], "</x>", "4.01")
    look(peer, "ep", expected="4.01")
    peer.open_session(stage.token())
    register(peer, ["ep=x"], "</x>")
    check('ep="x"' in look(peer, "ep"), "with a session")
    peer.close()


def test(stage):
    gateway = stage.start_gateway(section("open = true"))
    peer = Peer(stage.gateway_address)
    life_of_a_registration(peer)
    observed(stage, peer)
    simple(stage)
    foreign_client(stage)
    becomes_a_device(stage, peer)
    bounded(stage)
    peer.close()
    gateway.stop()
    stage.processes.remove(gateway)
    stage.start_gateway(section())
    closed_to_strangers(stage)


play(test)
