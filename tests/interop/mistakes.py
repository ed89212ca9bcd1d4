#!/usr/bin/env python3
"""What others get wrong, by name: each function is a mistake that proxies are known for, with real clients and devices around the
gateway, or with a device that does exactly what the test says. (One client's answer reaching another: crossed.py. A stale state replayed to a
late observer: observe.py.)

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import socket
import subprocess
import sys
import threading

from stage import (ACK, CON, ETAG, GET, MAX_AGE, NON, POST, PROXY_URI, PUT, URI_PATH, Message, Peer, check, code_text, equal, free_port, play,
                   until)

HOP_LIMIT = 16
HEARD, OTHER = "0024befffe804ff1", "0024befffe804ff2"
SAFE_ELECTIVE, SAFE_CRITICAL, UNSAFE_ELECTIVE, UNSAFE_CRITICAL = 65100, 65001, 65002, 65003


class Device:
    """Answers each request by `reply(request)`: a message whose ID and token are filled in, or None for silence. Remembers requests; a copy
    of one, which a slow machine makes, is answered as before and is none."""

    def __init__(self, stage, name, reply, kind="scripted"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.reply, self.requests, self.answered, self.source = reply, [], {}, None
        stage.add_device(name, self.port, kind=kind)
        stage.cleanups.append(self.close)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            data, self.source = self.socket.recvfrom(65536)
            if not data:
                return
            request = Message.decode(data)
            if not request.code or request.code >= 32:
                continue
            key = self.source, request.mid, request.token
            if key not in self.answered:
                self.answered[key] = None
                answer = self.reply(request)
                if answer:
                    answer.mid, answer.token = request.mid, request.token
                    answer.kind = ACK if request.kind == CON else NON
                    self.answered[key] = answer.encode()
                self.requests.append(request)
            if self.answered[key]:
                self.socket.sendto(self.answered[key], self.source)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()


def content(payload, *options):
    return Message(ACK, 69, 0, b"", options, payload)


def metric(peer, name):
    text, number = b"", 0
    while True:
        reply = peer.request(GET, "/metrics", options=[(23, (number << 4 | 6).to_bytes(2, "big").lstrip(b"\0"))])
        text += reply.payload
        if not (reply.option(23) or b"\0")[-1] & 8:
            text = text.decode()
            return text if name is None else int(re.search(rf"^copse_{name} (\d+)$", text, re.M).group(1))
        number += 1


def member(stage, account="tester"):
    peer = Peer(stage.gateway_address)
    peer.open_session(stage.token(account))
    return peer


def a_dead_device_becomes_5_04(stage, names):
    port = free_port()
    stage.coap_client(port, "-m", "post", "-e", stage.token("dead"), f"{stage.gateway_uri()}/sessions?security=none")
    answer = stage.coap_client(port, "-P", stage.gateway_uri(), "-m", "get", f"coap://{names['silent']}/x")
    check("5.04" in answer, f"a device that is silent, with coap-client: {answer}")
    answer = stage.coap_client(port, "-P", stage.gateway_uri(), "-m", "get", f"coap://{names['closed']}/x")
    check("5.02" in answer, f"a port that nobody listens at: {answer}")


def an_unanswered_request_stalls_nobody(stage, names, silent):
    """Two devices of one host, one of them silent: clients of the other, and other requests of the same client, are served meanwhile."""
    waiting, before = member(stage, "patient"), len(silent.requests)
    waiting.send(Message(CON, GET, waiting.next_mid(), b"wait", [(PROXY_URI, f"coap://{names['silent']}/slow".encode())]))
    until(lambda: len(silent.requests) > before, "the request has gone out")
    equal(waiting.proxied(GET, f"coap://{names['scripted']}/a").payload, b"a", "the same client")
    port = free_port()
    stage.coap_client(port, "-m", "post", "-e", stage.token("other"), f"{stage.gateway_uri()}/sessions?security=none")
    answer = stage.coap_client(port, "-P", stage.gateway_uri(), "-m", "get", f"coap://{names['server']}/")
    check("libcoap" in answer or "CoAP" in answer or len(answer) > 20, f"another client, another device of the host: {answer}")


def a_duplicate_runs_once(stage, names):
    """copse-sim's switch is toggled once, however often the request comes."""
    peer = member(stage)
    uri = f"coap://{names['meter']}/switch"
    equal(code_text(peer.proxied(PUT, uri, b"on").code), "2.04", "switched on")
    request = Message(CON, POST, peer.next_mid(), b"dup", [(PROXY_URI, uri.encode())], b"toggle")
    for _ in range(5):
        peer.send(request)
    equal(code_text(peer.answer(request).code), "2.04", "toggled")
    for _ in range(5):
        peer.send(request)
    check(peer.ping(), "all copies have been taken")
    equal(peer.proxied(GET, uri).payload, b"off", "eleven copies are one request")


def a_post_is_not_answered_from_the_cache(stage, names):
    peer = member(stage)
    uri = f"coap://{names['meter']}/switch"
    peer.proxied(PUT, uri, b"on")
    for expected in (b"off", b"on", b"off"):
        equal(peer.proxied(GET, uri).payload, b"on" if expected == b"off" else b"off", "before, and in the cache now")
        equal(code_text(peer.proxied(POST, uri, b"toggle").code), "2.04", "POST")
        equal(peer.proxied(GET, uri).payload, expected, "what POST has done")


def options_pass_or_are_refused(stage, names, device):
    peer = member(stage)
    uri = f"coap://{names['scripted']}/options"
    reply = peer.proxied(GET, uri, options=[(SAFE_ELECTIVE, b"se"), (SAFE_CRITICAL, b"sc")])
    equal(code_text(reply.code), "2.05", "safe options, known or not")
    seen = device.requests[-1]
    equal((seen.option(SAFE_ELECTIVE), seen.option(SAFE_CRITICAL)), (b"se", b"sc"), "the device gets them unchanged")
    count = len(device.requests)
    for number in (UNSAFE_ELECTIVE, UNSAFE_CRITICAL):
        reply = peer.proxied(GET, uri, options=[(number, b"x")])
        equal(code_text(reply.code), "4.02", f"unsafe option {number}")
    equal(len(device.requests), count, "the device gets none of these")
    # and the other way
    reply = peer.proxied(GET, f"coap://{names['scripted']}/safe-answer")
    equal((code_text(reply.code), reply.option(SAFE_ELECTIVE)), ("2.05", b"answer"), "a safe option of the answer")
    equal(code_text(peer.proxied(GET, f"coap://{names['scripted']}/unsafe-answer").code), "5.02", "an unsafe option of the answer")


def max_age_is_counted_down_and_etags_validated(stage, names, device):
    peer = member(stage)
    uri = f"coap://{names['scripted']}/etag"
    first = peer.proxied(GET, uri)
    equal((first.payload, first.option(ETAG)), (b"v1", b"\x01"), "the first")
    runs = len(device.requests)
    second = peer.proxied(GET, uri)
    check(int.from_bytes(second.option(MAX_AGE) or b"", "big") <= 3600, "Max-Age of what is kept does not grow")
    equal(len(device.requests), runs, "fresh: the device is not asked")
    valid = peer.proxied(GET, uri, options=[(ETAG, b"\x01")])
    equal((code_text(valid.code), valid.payload), ("2.03", b""), "whoever has it is told so")
    other = peer.proxied(GET, uri, options=[(ETAG, b"\x09")])
    equal((code_text(other.code), other.payload), ("2.05", b"v1"), "whoever has another gets this one")
    # a change makes it stale at once: nobody gets the old one again
    peer.proxied(PUT, uri, b"v2")
    again = member(stage, "late").proxied(GET, uri)
    equal((again.payload, again.option(ETAG)), (b"v2", b"\x02"), "after the change")


def the_hop_limit_is_counted(stage, names, device):
    peer = member(stage)
    uri = f"coap://{names['scripted']}/hops"
    for given, expected in ((b"\x01", "5.08"), (b"\x00", "4.00"), (b"", "4.00")):
        reply = peer.proxied(GET, uri, options=[(HOP_LIMIT, given)])
        equal(code_text(reply.code), expected, f"Hop-Limit {given!r}")
    check(peer.proxied(GET, uri, options=[(HOP_LIMIT, b"\x01")]).payload, "5.08 names the proxy that found the loop")
    peer.proxied(PUT, uri, b"1", options=[(HOP_LIMIT, b"\x05")])
    equal(device.requests[-1].option(HOP_LIMIT), b"\x04", "one less")
    peer.proxied(PUT, uri, b"1")
    equal(device.requests[-1].option(HOP_LIMIT), b"\x10", "added where there was none")


def hosts_outside_are_refused(stage, _):
    peer = member(stage)
    for uri, expected in (("coap://127.0.0.1:9/x", "4.03"), ("coap://192.0.2.1/x", "4.03"), ("coap://[2001:db8::1]/x", "4.03"),
                          ("coap://[::1]/x", "4.03"), ("coap://224.0.1.187/x", "4.03"), ("coap://example.com/x", "4.04"),
                          ("http://example.com/x", "5.05")):
        equal(code_text(peer.proxied(GET, uri).code), expected, uri)


def devices_are_shown_to_those_who_may_ask_them(stage, names):
    """Lists and readings, for an account of which an access section denies a device, and for a token that allows but one."""
    peer, guest = member(stage), member(stage, "guest")
    for device, port in ((HEARD, 1), (OTHER, 2)):
        sensor = Peer(stage.gateway_address)
        equal(code_text(sensor.request(POST, "/publish", f'[{{"n":"urn:dev:mac:{device}_t","v":{port}}}]'.encode(),
                                       options=[(12, b"\x6e")]).code), "2.04", "published")
    everything = peer.request(GET, "/devices").payload.decode()
    for name in (HEARD, OTHER, "closed", "server", names["meter"]):
        check(f'ep="{name}"' in everything, f"{name} in {everything}")
    some = guest.request(GET, "/devices").payload.decode()
    for name, seen in ((HEARD, False), (OTHER, True), ("closed", False), ("server", True)):
        equal(f'ep="{name}"' in some, seen, f"{name} for a guest, in {some}")
    equal(code_text(peer.request(GET, f"/devices/{HEARD}/t").code), "2.05", "a reading")
    for path in (f"/devices/{HEARD}/t", f"/devices/{HEARD}", f"/devices/{HEARD}/meta"):
        equal(code_text(guest.request(GET, path).code), "4.04", f"{path} for a guest")
    narrow = Peer(stage.gateway_address)
    narrow.open_session(stage.token("narrow", copse_allow=["get server /time"]))
    some = narrow.request(GET, "/devices").payload.decode()
    equal(some, '<coap://server>;ep="server";et="foreign"', "with a token that allows one device")


def who_publishes_too_often_waits(stage, _):
    sensor = Peer(stage.gateway_address)
    codes = [code_text(sensor.request(POST, "/publish", b"1", ["n=device:often:n"]).code) for _ in range(3)]
    equal(codes, ["2.04", "2.04", "4.29"], "three readings, where two may come at once")
    equal(code_text(Peer(stage.gateway_address).request(POST, "/publish", b"1", ["n=device:often:n"]).code), "2.04", "another address")


PARSE = """
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
print(len(families), " ".join(sorted({family.name.split("_")[1] for family in families})))
"""


def metrics_are_openmetrics(stage, _):
    """As the reference implementation of the format reads them."""
    text = metric(member(stage), None)
    for python in ("/usr/bin/python3", sys.executable):
        done = subprocess.run([python, "-c", PARSE], input=text.encode(), capture_output=True, check=False)
        if done.returncode == 0:
            break
        if b"No module named" not in done.stderr:
            check(False, f"the parser refuses /metrics: {done.stderr.decode()}")
    else:
        print("no parser of OpenMetrics is installed")
        return
    count, parts = done.stdout.decode().split(" ", 1)
    check(int(count) > 200, f"{count} metrics")
    equal(parts.split(), ["cache", "collector", "dtls", "endpoint", "gateway", "host", "server", "store", "tcp", "transport"], "what is counted")


def reply(request):
    path = "/".join(value.decode() for number, value in request.options if number == URI_PATH)
    if path == "safe-answer":
        return content(b"", (SAFE_ELECTIVE, b"answer"))
    if path == "unsafe-answer":
        return content(b"", (UNSAFE_CRITICAL if request.option(ETAG) else UNSAFE_ELECTIVE, b"x"))
    if path == "etag":
        if request.code == PUT:
            reply.version = request.payload
            return Message(ACK, 68, 0)
        return content(reply.version, (ETAG, bytes([int(reply.version[1:])])), (MAX_AGE, b"\x0e\x10"))
    return content(path.encode()) if request.code == GET else Message(ACK, 68, 0)


reply.version = b"v1"


def test(stage):
    device = Device(stage, "scripted", reply)
    silent = Device(stage, "silent", lambda request: None)
    stage.add_device("server", stage.coap_server()[1])
    stage.add_device("closed", free_port())
    stage.start_sim("--count", "1", "--kinds", "meter")
    names = {name: name for name in ("scripted", "silent", "server", "closed")} | {"meter": stage.device_of("meter")}
    quick = "ack_timeout = 0.5\n\tmax_retransmit = 2"  # for devices that are dead; those that live may be slow
    gateway = stage.start_gateway(mesh=quick)
    a_dead_device_becomes_5_04(stage, names)
    print("ok a_dead_device_becomes_5_04")
    gateway.stop()
    stage.processes.remove(gateway)
    stage.start_gateway(f'class "default" {{\n\tconcurrent = 4\n}}\ncollector {{\n\tstore = "{stage.path("m.db")}"\n\trate = 0.001\n\tburst = 2\n}}\n'
                        f'access "guests" {{ action = deny account = {{"guest*"}} request = {{"* closed", "* {HEARD}"}} }}')
    for run, arguments in ((an_unanswered_request_stalls_nobody, (silent,)), (a_duplicate_runs_once, ()),
                           (a_post_is_not_answered_from_the_cache, ()), (options_pass_or_are_refused, (device,)),
                           (max_age_is_counted_down_and_etags_validated, (device,)), (the_hop_limit_is_counted, (device,)),
                           (hosts_outside_are_refused, ()),
                           (devices_are_shown_to_those_who_may_ask_them, ()), (who_publishes_too_often_waits, ()), (metrics_are_openmetrics, ())):
        run(stage, names, *arguments)
        print("ok", run.__name__)


if __name__ == "__main__":
    play(test)
