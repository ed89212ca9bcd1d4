"""Several workers: clients and devices that belong to different ones, one that is stopped by a debugger, a ring that is full.

SPDX-License-Identifier: BSD-2-Clause
"""
import ctypes
import errno
import os
import time

import stage as s

DEVICES = 24  # and as many clients: that one worker has none of them happens once in 2^23 runs
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
ALL_THREADS = 0x40000000  # __WALL

s.GATEWAY = ["--workers", "2", "--spread", "port"]


class Stopped:
    """A thread of the gateway that stands still."""

    def __init__(self, process, name):
        folder = f"/proc/{process.process.pid}/task"
        def find():
            for task in os.listdir(folder):
                with open(f"{folder}/{task}/comm", encoding="ascii") as file:
                    if file.read().strip() == name:
                        return int(task)
            return None
        self.task = s.until(find, f"a thread is called {name}")
        self.trace(PTRACE_SEIZE)
        self.trace(PTRACE_INTERRUPT)
        os.waitpid(self.task, ALL_THREADS)

    def trace(self, what):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.restype = ctypes.c_long
        done = libc.ptrace(ctypes.c_long(what), ctypes.c_long(self.task), ctypes.c_void_p(0), ctypes.c_void_p(0))
        if done != 0 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            raise s.Skip("a process may not trace another here")
        s.equal(done, 0, f"ptrace {what:#x}")

    def go_on(self):
        self.trace(PTRACE_DETACH)


def ask_all(stage, peers):
    """Each client asks some devices, so that each device is asked."""
    for i, peer in enumerate(peers):
        for k in range(3):
            device = list(stage.devices)[(i + k * 7) % DEVICES]
            def answers():
                reply = peer.proxied(s.GET, f"coap://{device}/.well-known/core")
                s.check(s.code_text(reply.code) in ("2.05", "5.03"), f"{device} by client {i}: {reply}")
                return s.code_text(reply.code) == "2.05"  # 5.03: the answers to many requests are still under way
            s.until(answers, f"{device} answers client {i}")


def crossing(stage, peers):
    ask_all(stage, peers)
    # the last acknowledgements may still wait for the other worker
    values = s.until(lambda: (now := peers[0].metrics())["copse_gateway_requests"] == 0 and now, "no request is under way any more")
    s.equal(values["copse_gateway_sessions"], len(peers), "sessions, which all workers have")
    s.check(values["copse_gateway_crossed_total"] > 0, "nothing crossed")
    s.equal(values["copse_gateway_refused_crossing_total"], 0, "refused because a worker is behind")


def first_alive(peers):
    """A client that is served though a worker stands still."""
    mids = {peer: peer.next_mid() for peer in peers}
    def look():
        for peer, mid in mids.items():
            peer.send(s.Message(s.CON, 0, mid))
            reply = peer.receive(0.05)
            if reply and reply.kind == s.RST and reply.mid == mid:
                return peer
        return None
    return s.until(look, "a client of the other worker gets its ping answered")


def fill(stage, peer):
    """Ask all devices again and again until the ring is full. Returns how many were answered meanwhile."""
    answered, refused = [0], []
    def look():
        for device in stage.devices:
            options = [(s.PROXY_URI, f"coap://{device}/.well-known/core".encode())]
            peer.send(s.Message(s.NON, s.GET, peer.next_mid(), os.urandom(4), options))
            while True:
                reply = peer.receive(0.002)
                if reply is None:
                    break
                if reply.kind == s.CON:
                    peer.send(s.Message(s.ACK, 0, reply.mid))
                answered[0] += s.code_text(reply.code) == "2.05"
                if s.code_text(reply.code) == "5.03" and b"behind" in reply.payload:
                    refused.append(reply)
        return refused and answered[0]
    s.until(look, "the ring is full, and other devices answer", 4 * s.PATIENCE)
    s.equal(refused[0].option(s.MAX_AGE), b"\x01", "Max-Age of the refusal")


def standing_still(stage, gateway, peers):
    """One worker stands still: the other one's clients and devices do not notice."""
    stopped = Stopped(gateway, "worker-1")
    try:
        peer = first_alive(peers)
        fill(stage, peer)
        # sessions are opened meanwhile; the one that stands still will hear of it
        peer.open_session(stage.token("another"))
    finally:
        stopped.go_on()
    s.check(peer.metrics()["copse_gateway_refused_crossing_total"] > 0, "refusals are not counted")
    ask_all(stage, [peer])
    ask_all(stage, peers)
    s.until(lambda: peers[-1].metrics()["copse_gateway_requests"] == 0, "no request is under way any more")


def take_sides(peers):
    """Who is answered while a worker stands still, and who is not: the other worker reads what comes in order, so that with the answer to the
    last ping all those before have been sent."""
    first = first_alive(peers)
    mids = {peer: peer.next_mid() for peer in peers if peer is not first}
    for peer, mid in mids.items():
        peer.send(s.Message(s.CON, 0, mid))
    s.check(first.ping(), "the other worker goes on")
    served = [first] + [peer for peer, mid in mids.items() if (reply := peer.receive(0.2)) and reply.kind == s.RST and reply.mid == mid]
    return served, [peer for peer in peers if peer not in served]


def own_device(stage, peer):
    """A device of the worker that goes on."""
    for device in stage.devices:
        peer.send(s.Message(s.NON, s.GET, peer.next_mid(), device.encode()[-8:], [(s.PROXY_URI, f"coap://{device}/.well-known/core".encode())]))
    def look():
        reply = peer.receive(1)
        return reply and s.code_text(reply.code) == "2.05" and next(name for name in stage.devices if name.encode()[-8:] == reply.token)
    return s.until(look, "a device of the other worker answers")


def overloaded(stage, gateway, peers):
    """A worker that has more than it can carry refuses some of it, and nobody else's: clients of the one beside it that ask its devices are
    answered as ever."""
    before = peers[0].metrics()["copse_gateway_shed_total"]
    stopped = Stopped(gateway, "worker-1")
    try:
        served, stuck = take_sides(peers)
        peer, device = served[0], own_device(stage, served[0])
        others = [name for name in stage.devices if name != device]  # whose lane is to be free
        for i in range(6000):  # more than the socket's buffer holds
            other, target = stuck[i % len(stuck)], others[i % len(others)]
            other.send(s.Message(s.NON, s.GET, other.next_mid(), i.to_bytes(4, "big"), [(s.PROXY_URI, f"coap://{target}/none".encode())]))
    finally:
        stopped.go_on()
    refused = 0
    for _ in range(200):
        reply = peer.proxied(s.GET, f"coap://{device}/.well-known/core")
        s.equal(s.code_text(reply.code), "2.05", f"beside an overloaded worker: {reply}")
    for other in stuck:
        while (reply := other.receive(0.1)) is not None:
            # other refusals, for want of room in the ring or too many of one session, say why
            refused += s.code_text(reply.code) == "5.03" and reply.option(s.MAX_AGE) == b"\x01" and not reply.payload
    shed = peer.metrics()["copse_gateway_shed_total"] - before
    s.check(0 < refused <= shed, f"{refused} were told that they are refused, {shed} are counted")
    ask_all(stage, peers)  # it recovers
    s.equal(peer.metrics()["copse_gateway_shed_total"] - before, shed, "refused when there is nothing any more to be refused for")


def reload(stage, gateway, peers):
    """Every worker has the new configuration."""
    with open(stage.path("gateway.conf"), "a", encoding="utf-8") as file:
        file.write('access "none" {\n\taction = deny\n\trequest = {"PUT * /"}\n}\n')
    gateway.process.send_signal(s.signal.SIGHUP)
    gateway.says("msg=reloaded")
    for device in stage.devices:
        s.until(lambda: s.code_text(peers[0].proxied(s.PUT, f"coap://{device}/x", b"1").code) == "4.03",
                f"{device} is denied")


def spent(gateway):
    """Nanoseconds of CPU so far, of the workers; None before they have their names. ThreadSanitizer has a thread of its own, which is never
    at rest."""
    folder = f"/proc/{gateway.process.pid}/task"
    def read(task, what):
        with open(f"{folder}/{task}/{what}", encoding="ascii") as file:
            return file.read()
    workers = [task for task in os.listdir(folder) if read(task, "comm").startswith("worker-")]
    return sum(int(read(task, "schedstat").split()[0]) for task in workers) if len(workers) == 2 else None


def at_rest(gateway):
    """Nobody asks for anything: no thread turns in a circle."""
    def quiet():
        before = spent(gateway)
        time.sleep(0.1)
        return before is not None and spent(gateway) == before
    s.until(quiet, "a tenth of a second without work")


def test(stage):
    stage.start_sim("--count", str(DEVICES))
    gateway = stage.start_gateway()
    at_rest(gateway)
    peers = [s.Peer(stage.gateway_address) for _ in range(DEVICES)]
    for i, peer in enumerate(peers):
        peer.open_session(stage.token(f"account-{i}"))
    crossing(stage, peers)
    reload(stage, gateway, peers)
    standing_still(stage, gateway, peers)
    overloaded(stage, gateway, peers)


s.play(test)
