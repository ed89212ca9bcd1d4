#!/usr/bin/env python3
"""libcoap's coap-client, from a fixed port, opens a session, reads and writes devices through the gateway, and closes it.

SPDX-License-Identifier: BSD-2-Clause
"""
import re

from stage import check, free_port, play


def test(stage):
    stage.foreign("coap-client")
    stage.start_sim("--count", "5")
    gateway = stage.start_gateway()
    uri = stage.gateway_uri()
    meter, thermostat = stage.device_of("meter"), stage.device_of("thermostat")
    port = free_port()

    def through(*arguments):
        return stage.coap_client(port, "-P", uri, *arguments)

    # libcoap repeats its request with the Echo that a long answer asks for.
    check("Proxy-Uri" in stage.coap_client(free_port(), "-m", "get", f"{uri}/help"), "GET /help without a session")
    links = stage.coap_client(free_port(), "-m", "get", f"{uri}/.well-known/core?href=/se*")
    check(links.startswith("</sessions>") and "/help" not in links, f"the filter of /.well-known/core: {links}")

    # Without a session there is no way through, and the log says so.
    check("4.01" in through("-m", "get", f"coap://{meter}/consumption"), "a proxy request without a session is refused with 4.01")
    gateway.says(rf"Could not retrieve session for: /127\.0\.0\.1:{port}\. Anonymous sessions are not allowed")

    opened = stage.coap_client(port, "-m", "post", "-e", stage.token(), f"{uri}/sessions?sticky=true&security=none")
    check("4." not in opened[:2] and "5." not in opened[:2], f"POST /sessions: {opened}")
    consumption = through("-m", "get", f"coap://{meter}/consumption")
    check(re.fullmatch(r"\d+\.\d{3}", consumption), f"GET /consumption: {consumption!r}")
    temperature = through("-m", "get", f"coap://{thermostat}/temperature")
    check(re.fullmatch(r"\d+\.\d", temperature), f"GET /temperature: {temperature!r}")
    check(through("-m", "put", "-e", "3", f"coap://{meter}/tariff") == "", "PUT /tariff is answered without a payload")
    check(through("-m", "get", f"coap://{meter}/tariff") == "3", "GET /tariff says what was put")
    bad = through("-m", "put", "-e", "9", f"coap://{meter}/tariff")
    check("4.00" in bad and "tariff" in bad, f"a bad tariff is refused with 4.00 and a text: {bad!r}")
    check("4.04" in through("-m", "get", "coap://00135000deadbeef/x"), "an unknown device is 4.04")
    check("</consumption>" in through("-m", "get", f"coap://{meter}/.well-known/core"), "the device's links come through")
    senml = through("-m", "get", "-A", "110", f"coap://{thermostat}/temperature")
    check(f"urn:dev:mac:{thermostat}_" in senml, f"Accept reaches the device: {senml!r}")

    # Another port is another client.
    check("4.01" in stage.coap_client(free_port(), "-P", uri, "-m", "get", f"coap://{meter}/consumption"), "another port has no session")

    stage.coap_client(port, "-m", "delete", f"{uri}/sessions")
    check("4.01" in through("-m", "get", f"coap://{meter}/consumption"), "a closed session is closed")


play(test)
