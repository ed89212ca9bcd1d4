#!/usr/bin/env python3
"""libcoap's coap-server stands behind the gateway as a device: read, written and discovered through it.

SPDX-License-Identifier: BSD-2-Clause
"""
from stage import DELETE, GET, PUT, Peer, check, code_text, equal, play


def test(stage):
    _, port, direct = stage.coap_server("-d", "10")
    stage.add_device("001350000000c0a9", port)
    stage.start_gateway()

    peer = Peer(stage.gateway_address)
    peer.open_session(stage.token())
    root = peer.proxied(GET, "coap://001350000000c0a9/")
    equal(code_text(root.code), "2.05", "GET /")
    check(b"libcoap" in root.payload, f"the answer is coap-server's: {root.payload!r}")
    equal(root.payload, direct.request(GET, "/").payload, "through the gateway and directly")
    links = peer.proxied(GET, "coap://001350000000c0a9/.well-known/core")
    check(b"</time>" in links.payload, f"links: {links.payload!r}")
    # example_data may be written, whether it exists or not; what was written is there for everybody.
    written = peer.proxied(PUT, "coap://001350000000c0a9/example_data", b"through the gateway")
    check(code_text(written.code) in ("2.01", "2.04"), f"PUT /example_data: {written}")
    equal(direct.request(GET, "/example_data").payload, b"through the gateway", "what arrived")
    equal(code_text(peer.proxied(DELETE, "coap://001350000000c0a9/").code), "4.05", "DELETE /")
    equal(code_text(peer.proxied(GET, "coap://001350000000c0a9/nowhere").code), "4.04", "GET /nowhere")


play(test)
