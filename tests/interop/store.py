#!/usr/bin/env python3
"""The collector in trouble, in the real gateway: a store that has all that it may have, a disk that is full, a folder that cannot be written, SIGKILL while a foreign sender
publishes, a hostile sender who makes up a hundred thousand devices, and sensors on several hosts that publish to their groups.

In trouble senders who listen are told, what is lost is counted, the rest of the gateway goes on, and what was acknowledged is there.

SPDX-License-Identifier: BSD-2-Clause
"""
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading

from stage import (CONTENT_FORMAT, GET, HERE, NON, POST, PUT, SECRET, Message, Peer, check, code_text, equal, free_port, path_options, play, until)

BLOCK2, SENML_JSON, JSON, ACCEPT = 23, b"\x6e", b"\x32", 17
DEVICE = "0024befffe804ff1"


def publish(peer, pack, answers=("2.04",)):
    reply = peer.request(POST, "/publish", json.dumps(pack).encode(), options=[(CONTENT_FORMAT, SENML_JSON)])
    check(code_text(reply.code) in answers, f"publishing: {code_text(reply.code)} {reply.payload}")
    return reply


def fetch(peer, path, query=(), accept=None):
    """GET, block by block where there are several."""
    body, at = b"", 0
    options = [(ACCEPT, accept)] if accept is not None else []
    while True:
        block = [(BLOCK2, (at << 4 | 6).to_bytes(3, "big").lstrip(b"\0"))]
        reply = peer.request(GET, path, query=query, options=options + block)
        equal(code_text(reply.code), "2.05", f"{path} {query}")
        body, at = body + reply.payload, at + 1
        if not (reply.option(BLOCK2) or b"\0")[-1] & 8:
            return body


def counter(stage, name):
    client = Peer(stage.gateway_address)
    client.open_session(stage.token())
    found = re.search(rf"^copse_{name}_total (\d+)$", fetch(client, "/metrics").decode(), re.M)
    client.close()
    check(found, f"a counter {name}")
    return int(found.group(1))


def kept(peer, name="n"):
    return [row["v"] for row in json.loads(fetch(peer, f"/devices/{DEVICE}/{name}", ["last=100000"]))]


def meter(stage):
    return f"coap://{stage.device_of('meter')}/"


def serves(stage, what):
    """The rest of the gateway: a client opens a session and asks a device."""
    client = Peer(stage.gateway_address)
    client.open_session(stage.token())
    reply = client.proxied(GET, meter(stage) + ".well-known/core")
    check(reply.code >> 5 == 2, f"the proxy goes on, {what}: {code_text(reply.code)} {reply.payload}")
    client.close()


def collector(path, more=""):
    return f'collector {{\n\tstore = "{path}"\n\topen = true\n\t{more}\n}}'


# --- a disk of its own, in a mount namespace ------------------------------------------------------------------------------------


def fill(name):
    """Take all the room that there is."""
    with open(name, "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def number(i, text=""):
    return [{"n": f"device:{DEVICE}:n", "v": i}, {"n": f"device:{DEVICE}:more", "vs": text or "x"}]


def a_full_disk(stage, disk):
    store, filler = os.path.join(disk, "readings.db"), os.path.join(disk, "filler")
    gateway = stage.start_gateway(collector(store))
    peer = Peer(stage.gateway_address)
    acknowledged, told = [], 0
    for i in range(5):
        publish(peer, number(i))
        acknowledged.append(i)
    fill(filler)
    i = 5
    while told < 3:
        reply = publish(peer, number(i, "x" * 3000), ("2.04", "5.03"))
        if code_text(reply.code) == "2.04":  # where the log of the database still had room
            acknowledged.append(i)
        else:
            check(b"full" in reply.payload, f"what the sender is told: {reply.payload}")
            told += 1
        i += 1
        check(i < 5000, "the disk is full at last")
    gateway.says(r"level=error logger=collector.*full")
    # who does not listen is counted
    before = counter(stage, "collector_failed")
    check(before >= 3, f"failed: {before}")
    peer.send(Message(NON, POST, peer.next_mid(), b"", [*path_options("/publish"), (CONTENT_FORMAT, SENML_JSON)],
                      json.dumps(number(i, "x" * 900)).encode()))
    until(lambda: counter(stage, "collector_failed") > before, "a reading that nobody asks for is counted")
    check(counter(stage, "store_failed") >= 4, "counted by the store's thread, too")
    serves(stage, "with a full disk")
    equal(kept(peer), acknowledged, "what can be read with a full disk")
    os.unlink(filler)
    for i in range(i + 1, i + 4):
        publish(peer, number(i))
        acknowledged.append(i)
    gateway.says(r"level=info logger=collector.*takes readings again")
    equal(kept(peer), acknowledged, "what is there when there is room again")
    # killed with a full disk, and started with one: what was acknowledged is there as soon as there is room
    fill(filler)
    gateway.stop(signal.SIGKILL)
    stage.processes.remove(gateway)
    gateway = stage.start_gateway(collector(store))
    serves(stage, "started with a full disk")
    gateway.stop()
    stage.processes.remove(gateway)
    peer.close()
    os.unlink(filler)
    gateway = stage.start_gateway(collector(store))
    peer = Peer(stage.gateway_address)
    equal(kept(peer), acknowledged, "what is there after the restart")
    publish(peer, number(i + 1))
    peer.close()
    gateway.stop()
    stage.processes.remove(gateway)


def a_folder_that_cannot_be_written(stage, disk):
    store = os.path.join(disk, "readings.db")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    gateway = stage.start_gateway(collector(store))
    gateway.says(r"level=error logger=collector.*readings\.db")
    peer = Peer(stage.gateway_address)
    reply = publish(peer, number(0), ("5.03",))
    check(b"store" in reply.payload, f"what the sender is told: {reply.payload}")
    equal(code_text(peer.request(GET, f"/devices/{DEVICE}", query=["last=1"]).code)[0] in "45", True, "asked of no store")
    check(counter(stage, "collector_failed") >= 1, "counted")
    serves(stage, "without a store")
    peer.close()
    gateway.stop()
    stage.processes.remove(gateway)


def on_a_small_disk(stage):
    disk = stage.path("disk")
    os.mkdir(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)
    try:
        stage.start_sim("--count", "1", "--kinds", "meter")
        a_full_disk(stage, disk)
        a_folder_that_cannot_be_written(stage, disk)
    finally:
        stage.stop(False)
        subprocess.run(["umount", disk], check=True)
        stage.processes.clear()


# --- a bound for the store ---------------------------------------------------------------------------------------------------------


def bounded_by_size(stage):
    """Whatever comes is taken: the oldest make room, readings as well as documents."""
    path, bound = stage.path("bounded.db"), 200000
    gateway = stage.start_gateway(collector(path, f"max_size = {bound / 1e6}"))
    peer = Peer(stage.gateway_address)
    for i in range(600):
        publish(peer, [{"n": f"device:{DEVICE}:n", "v": i, "t": 1700000000 + i}, {"n": f"device:{DEVICE}:more", "vs": "x" * 700, "t": 1700000000 + i}])
        if i % 100 == 99:
            check(os.path.getsize(path) <= bound * 1.25 + 4096, f"the file's size: {os.path.getsize(path)}")
            check(os.path.getsize(path + "-wal") <= bound * 2.5 + (5 << 20), f"and of its log: {os.path.getsize(path + '-wal')}")
    left = kept(peer)
    equal(left, list(range(600 - len(left), 600)), "the newest are there, without a gap")
    check(50 <= len(left) <= 350, f"so many: {len(left)}")
    check(counter(stage, "store_trimmed_size") >= 1, "counted")
    equal((counter(stage, "collector_failed"), counter(stage, "store_failed")), (0, 0), "and none was lost")
    for i in range(400):
        reply = peer.request(PUT, f"/store/d{i % 7}", b"%03d" % i + bytes(997), options=[(CONTENT_FORMAT, b"\x2a")])
        equal(code_text(reply.code), "2.04", "PUT below /store")
    equal(fetch(peer, "/store/d0")[:3], b"399", "the newest document")
    check(os.path.getsize(path) <= bound * 1.25 + 4096, f"the file's size: {os.path.getsize(path)}")
    peer.close()
    gateway.stop(signal.SIGKILL)
    stage.processes.remove(gateway)
    gateway = stage.start_gateway(collector(path, f"max_size = {bound / 1e6}"))
    peer = Peer(stage.gateway_address)
    publish(peer, [{"n": f"device:{DEVICE}:n", "v": 600}])
    equal(kept(peer)[-1], 600, "after a restart")
    peer.close()
    gateway.stop()
    stage.processes.remove(gateway)


# --- a file that goes, or may not grow ------------------------------------------------------------------------------------------------


def moved(path):
    os.rename(path, path + ".moved")


def removed(path):
    for suffix in ("", "-wal", "-shm"):
        os.unlink(path + suffix)


def replaced(path):
    with open(path + ".new", "xb"):
        pass
    os.rename(path + ".new", path)


def cut_out(path):
    """The log alone."""
    os.unlink(path + "-wal")


def overwritten(path):
    with open(path, "wb") as file:
        file.write(b"no database" * 10)


def files_that_go(stage):
    """Moved, removed, replaced and cut while the gateway works: it says what and where, begins another file, and goes on."""
    path = stage.path("goes.db")
    gateway = stage.start_gateway(collector(path))
    peer = Peer(stage.gateway_address)
    until(lambda: code_text(publish(peer, number(0), ("2.04", "5.03")).code) == "2.04", "a store to begin with")
    value = 0
    for harm in (moved, cut_out, replaced, removed):
        before = counter(stage, "store_reopened")
        harm(path)

        def taken():
            nonlocal value
            value += 1
            return code_text(publish(peer, number(value), ("2.04", "5.03")).code) == "2.04"
        until(taken, f"readings are taken again, with the file {harm.__name__}")
        equal(counter(stage, "store_reopened"), before + 1, f"opened again, with the file {harm.__name__}")
        equal(kept(peer)[-1], value, f"what came is there, with the file {harm.__name__}")
        check(os.path.exists(path + "-wal"), "and in a file")
        serves(stage, f"with the file {harm.__name__}")
    gateway.says(r"level=error logger=collector msg=\"the store's file was moved, removed, replaced or cut\" store=.*goes\.db")
    gateway.says(r"level=warn logger=collector msg=\"the store has been opened again\"")
    # what was acknowledged before it was moved is where it was moved to
    done = stage.copse("export", "--store", path + ".moved", "--format", "senml-json")
    equal([row["v"] for row in json.loads(done.stdout) if row["n"] == "n"], [0], f"in the file that was moved: {done.stderr}")
    # cut to something that is no database, with what was stored in the file and not in its log: told, until somebody takes it away
    gateway.stop()
    stage.processes.remove(gateway)
    gateway = stage.start_gateway(collector(path))
    peer.close()
    peer = Peer(stage.gateway_address)
    publish(peer, number(value))
    overwritten(path)

    def damaged():
        reply = publish(peer, number(-1), ("5.03",))
        check(b"store" in reply.payload, f"what the sender is told: {reply.payload}")
        return re.search(r"level=error logger=collector msg=.*goes\.db: .*damaged", gateway.output())
    until(damaged, "damage is told")
    failed = counter(stage, "collector_failed")
    check(failed >= 1, "counted")
    equal(code_text(peer.request(GET, f"/devices/{DEVICE}/n", query=["last=5"]).code), "5.03", "a history of no store")
    equal(code_text(peer.request(GET, f"/devices/{DEVICE}/n").code), "2.05", "the newest is in memory")
    serves(stage, "with a file that is no database")
    moved(path)
    until(taken, "readings are taken again when it is gone")
    gateway.says(r"level=info logger=collector.*takes readings again")
    gateway.stop(signal.SIGKILL)
    stage.processes.remove(gateway)
    gateway = stage.start_gateway(collector(path))
    peer.close()
    peer = Peer(stage.gateway_address)
    equal(kept(peer), [value], "what was acknowledged is there after SIGKILL")
    files_that_may_not_grow(stage, gateway, peer)
    peer.close()
    gateway.stop()
    stage.processes.remove(gateway)


def files_that_may_not_grow(stage, gateway, peer):
    """A limit for the process: each writer is told, the signal that goes with it ends nothing; without it all is well."""
    acknowledged = kept(peer)
    limits = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
    for i in range(1000, 1003):
        reply = publish(peer, number(i, "x" * 3000), ("5.03",))
        check(b"store" in reply.payload, f"what the sender is told: {reply.payload}")
    serves(stage, "with a limit for files")
    equal(kept(peer), acknowledged, "what can be read meanwhile")
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, limits)
    publish(peer, number(2000))
    equal(kept(peer), [*acknowledged, 2000], "and without the limit")


# --- SIGKILL while a foreign sender publishes -------------------------------------------------------------------------------------


def killed_beside_a_foreign_sender(stage):
    if not os.path.isdir(os.path.join(HERE, "node_modules", "coap")):
        print("npm ci has not been run in tests/interop: no foreign sender")
        return
    section = collector(stage.path("killed.db"))
    port = free_port()  # which none of the sender's sockets is given while the gateway is dead
    gateway = stage.start_gateway(section, port=port)
    sender = stage.start("npm-sender", [stage.foreign("node"), os.path.join(HERE, "npm_publish.mjs"), str(port), DEVICE])

    def acknowledged():
        return [int(line.split()[1]) for line in re.findall(r"^acknowledged \d+$", sender.output(), re.M)]
    for _ in range(4):
        before = len(acknowledged())
        until(lambda before=before: len(acknowledged()) >= before + 15, "the foreign sender publishes")
        gateway.stop(signal.SIGKILL)
        stage.processes.remove(gateway)
        gateway = stage.start_gateway(section, port=port)
    sender.stop()
    stage.processes.remove(sender)
    told = acknowledged()
    peer = Peer(stage.gateway_address)
    stored = kept(peer)
    check(len(told) >= 60, f"acknowledged: {told}")
    check(set(told) <= set(stored), f"acknowledged and not stored: {sorted(set(told) - set(stored))}")
    equal(len(stored), len(set(stored)), "each is stored once")
    done = stage.run([stage.foreign("node"), os.path.join(HERE, "npm_read.mjs"), str(free_port()), str(port), stage.token(), f"/devices/{DEVICE}/n", "last=100000"])
    equal(done.returncode, 0, f"the foreign reader: {done.stderr}")
    check(len(done.stdout) > 1024, "it reads several blocks")
    equal([row["v"] for row in json.loads(done.stdout)], stored, "what the foreign reader gets")
    peer.close()
    gateway.stop()
    stage.processes.remove(gateway)


class LibcoapSender(threading.Thread):
    """libcoap's client, one confirmable reading a process, with rising values; what was acknowledged, as it says."""

    def __init__(self, stage, port):
        super().__init__(daemon=True)
        self.command = [stage.foreign("coap-client"), "-B", "20", "-v", "6", "-m", "post", "-t", "110"]
        self.uri = f"coap://127.0.0.1:{port}/publish"
        self.acknowledged, self.ends = [], threading.Event()

    def run(self):
        value = 0
        while not self.ends.is_set():
            pack = json.dumps([{"n": f"device:{DEVICE}:libcoap", "v": value}])
            done = subprocess.run([*self.command, "-e", pack, self.uri], capture_output=True, check=False)
            if re.search(rb"c:2\.04", done.stdout + done.stderr):
                self.acknowledged.append(value)
            value += 1


def killed_beside_libcoap(stage):
    section, port = collector(stage.path("libcoap.db")), free_port()
    gateway = stage.start_gateway(section, port=port)
    sender = LibcoapSender(stage, port)
    sender.start()
    try:
        for _ in range(4):
            before = len(sender.acknowledged)
            until(lambda before=before: len(sender.acknowledged) >= before + 10, "coap-client publishes")
            gateway.stop(signal.SIGKILL)
            stage.processes.remove(gateway)
            gateway = stage.start_gateway(section, port=port)
    finally:
        sender.ends.set()
        sender.join()
    peer = Peer(stage.gateway_address)
    stored, told = kept(peer, "libcoap"), sender.acknowledged
    check(len(told) >= 40 and set(told) <= set(stored), f"acknowledged and not stored: {sorted(set(told) - set(stored))}")
    equal(len(stored), len(set(stored)), "each is stored once")
    peer.close()
    gateway.stop()
    stage.processes.remove(gateway)


# --- a hostile sender ---------------------------------------------------------------------------------------------------------------


def memory(process):
    with open(f"/proc/{process.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def announce(peer, first, n):
    """Packs of devices that nobody has heard of, one pack a message; every so often it waits for the gateway."""
    for at in range(first, first + n, 20):
        pack = json.dumps([{"n": f"device:x{i}:v", "v": 1} for i in range(at, at + 20)], separators=(",", ":")).encode()
        options = [*path_options("/publish"), (CONTENT_FORMAT, SENML_JSON)]
        if at % 400:
            peer.send(Message(NON, POST, peer.next_mid(), b"", options, pack))
        else:
            peer.request(POST, "/publish", pack, options=[(CONTENT_FORMAT, SENML_JSON)])


def a_hostile_sender(stage):
    section = collector(stage.path("hostile.db"), "devices = 1000")
    gateway = stage.start_gateway(section)
    honest, hostile = Peer(stage.gateway_address), Peer(stage.gateway_address)
    publish(honest, [{"n": f"device:{DEVICE}:n", "v": 1}])
    announce(hostile, 0, 20000)  # by now it has all places that it gets
    before = memory(gateway)
    announce(hostile, 20000, 80000)
    if os.path.basename(os.path.normpath(stage.build)) != "asan":  # which keeps what is freed
        check(memory(gateway) < before + 24 * 1024, f"memory: {before} kB, then {memory(gateway)} kB")
    check(counter(stage, "collector_refused_share") >= 100, "those beyond its share are counted")
    reply = publish(hostile, [{"n": "device:onemore:v", "v": 1}], ("5.03",))
    check(b"its share of devices" in reply.payload, f"the bound is told: {reply.payload}")
    devices = json.loads(fetch(honest, "/devices", accept=JSON))
    equal(len(devices), 750, "devices: three quarters of all places for one address")
    newcomer = Peer(stage.gateway_address, "127.0.0.9")
    publish(newcomer, [{"n": f"device:new{i}:v", "v": i} for i in range(100)])
    newcomer.close()
    equal(len(json.loads(fetch(honest, "/devices", accept=JSON))), 850, "devices, with those of another address")
    check(DEVICE in {row["id"] for row in devices}, "who was there before stays")
    publish(honest, [{"n": f"device:{DEVICE}:n", "v": 2}])
    equal(kept(honest), [1, 2], "and is served")
    honest.close()
    hostile.close()
    gateway.stop()
    stage.processes.remove(gateway)


# --- several hosts ------------------------------------------------------------------------------------------------------------------

HOSTS = (("temperature", 1, b"21.5", "Cel"), ("humidity", 2, b"55", "%RH"), ("temperature", 1, b"-4", "Cel"))

SENSOR = r"""
import os, socket, sys
group, payload = sys.argv[1], sys.argv[2].encode()
index = socket.if_nametoindex("veth1")
out = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
out.sendto(b"\x50\x02" + os.urandom(2) + b"\xb7publish\xff" + payload, (group, 5683, 0, index))
"""


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def make_host(i):
    """A namespace with a sensor's interface, joined to ours. Returns its process, and what runs a command there."""
    child = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
    own = os.readlink("/proc/self/ns/net")
    until(lambda: os.readlink(f"/proc/{child.pid}/ns/net") != own, "a host")
    there = ["nsenter", "-t", str(child.pid), "-n"]
    ip("link", "add", f"host{i}", "type", "veth", "peer", "name", "veth1", "netns", str(child.pid))
    subprocess.run([*there, "sysctl", "-q", "-w", "net.ipv6.conf.veth1.accept_dad=0"], check=True)
    subprocess.run(["sysctl", "-q", "-w", f"net.ipv6.conf.host{i}.accept_dad=0"], check=True)
    subprocess.run([*there, "ip", "link", "set", "veth1", "address", f"00:24:be:80:50:0{i}", "up"], check=True)
    ip("link", "set", f"host{i}", "up")

    def has_address(command, name):
        return b"fe80::" in subprocess.run([*command, "ip", "-6", "addr", "show", "dev", name, "-tentative"], capture_output=True,
                                           check=True).stdout
    until(lambda: has_address(there, "veth1") and has_address([], f"host{i}"), "addresses")
    return child, there


def several_hosts(stage):
    ip("link", "set", "lo", "up")
    children = []
    try:
        hosts = []
        for i, _ in enumerate(HOSTS):
            child, there = make_host(i)
            children.append(child)
            hosts.append(there)
        names = ", ".join(f'"host{i}"' for i, _ in enumerate(HOSTS))
        conf = stage.path("hosts.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write('listen = {"*:5683"}\nmesh { bind = "127.0.0.1:0" }\nkey "test" { algorithm = HS256 secret = "' + SECRET +
                       '" }\ncollector {\n\tstore = ":memory:"\n\topen = true\n\ttypes = {"temperature", "humidity"}\n'
                       f'\tinterfaces = {{{names}}}\n}}\n')
        gateway = stage.start("copse-gateway", [stage.program("copse-gateway"), "-c", conf])
        gateway.says(r"msg=listening")
        stage.gateway_address = ("127.0.0.1", 5683)
        peer = Peer(stage.gateway_address)

        def heard():
            for there, (_, group, payload, _) in zip(hosts, HOSTS):
                for to in (group, 9):  # nobody has joined the group of the latter
                    subprocess.run([*there, sys.executable, "-c", SENSOR, f"ff02::1:fe00:{to:x}", payload.decode()], check=True)
            rows = json.loads(fetch(peer, "/devices", accept=JSON))
            return rows if len(rows) == len(HOSTS) else None
        devices = {row["id"] for row in until(heard, "every host is heard")}
        equal(devices, {f"0024befffe80500{i}" for i, _ in enumerate(HOSTS)}, "each by its own address")
        for i, (name, _, payload, unit) in enumerate(HOSTS):
            rows = json.loads(fetch(peer, f"/devices/0024befffe80500{i}"))
            equal([(row["n"], row["v"], row["u"]) for row in rows], [(name, float(payload), unit)], f"host {i}")
        rows = json.loads(fetch(peer, "/types/temperature"))
        equal(sorted(row["v"] for row in rows), [-4, 21.5], "one type, of several hosts")
        check(counter(stage, "collector_multicast") >= len(HOSTS), "counted")
        peer.close()
        gateway.stop()
        stage.processes.remove(gateway)
    finally:
        for child in children:
            child.kill()
            child.wait()


# --- all --------------------------------------------------------------------------------------------------------------------------------


def in_namespaces(stage, kind, part):
    """Run a part of this script in namespaces of its own, where they can be made."""
    way = next((way for way in (["unshare", kind], ["unshare", "-r", kind])
                if subprocess.run([*way, "mount", "-t", "tmpfs", "none", "/mnt"] if kind == "-m" else [*way, "ip", "link", "set", "lo", "up"],
                                  capture_output=True, check=False).returncode == 0), None)
    if not way:
        print(f"{part}: namespaces cannot be made here")
        return
    done = stage.run([*way, "--", sys.executable, "-B", os.path.abspath(__file__), stage.build, part], timeout=600)
    print(done.stdout, end="")
    equal(done.returncode, 0, f"{part}: {done.stdout}{done.stderr}")


def run(stage):
    stage.start_sim("--count", "1", "--kinds", "meter")
    in_namespaces(stage, "-m", "--disk")
    in_namespaces(stage, "-n", "--hosts")
    bounded_by_size(stage)
    files_that_go(stage)
    killed_beside_a_foreign_sender(stage)
    killed_beside_libcoap(stage)
    a_hostile_sender(stage)


if __name__ == "__main__":
    play(on_a_small_disk if "--disk" in sys.argv else several_hosts if "--hosts" in sys.argv else run)
