#!/usr/bin/env python3
"""OSCORE (RFC 8613) from the client tool to simulated devices: reads, writes, blocks and observations; errors in the clear; replays; kills.

libcoap's programs in Debian 12 have no OSCORE. The second opinion is tshark's: it decrypts with the keys that it derives itself, and finds
the requests and answers that there should be.

SPDX-License-Identifier: BSD-2-Clause
"""
import os
import re
import signal
import socket
import threading

from stage import ACK, CON, GET, PATIENCE, Message, Peer, check, code_text, equal, path_options, play

SECRET, SALT = "0102030405060708090a0b0c0d0e0f10", "9e7ca92223786340"
OSCORE = 9
# What tshark says of messages that it cannot decrypt or read. Request-Tag, which it does not know, it calls malformed.
FAULTS = ("oscore.context_not_set", "oscore.tag_check_failed", "oscore.decrypt_error", "oscore.message_too_small", "oscore.truncated",
          "oscore.option_length_bad", "coap.option_oscore_bad")


def context(stage, name, sender, recipient, secret=SECRET, extra=""):
    """A file with a security context, as libcoap writes them. Returns its path."""
    path = stage.path(name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f'master_secret,hex,"{secret}"\nmaster_salt,hex,"{SALT}"\nsender_id,hex,"{sender}"\nrecipient_id,hex,"{recipient}"\n{extra}')
    return path


def judged(stage, capture, port, sender, recipient, fields):
    """What tshark finds in a capture under the keys of a context: a list of the values of `fields` for each message."""
    command = [stage.foreign("tshark"), "-r", capture, "-d", f"udp.port=={port},coap", "-Y", "coap", "-T", "fields", "-E", "separator=|", "-o",
               f'uat:oscore_contexts:"{sender}","{recipient}","{SECRET}","{SALT}","","AES-CCM-16-64-128 (CCM*)"']
    for field in (*FAULTS, "coap.code", *fields):
        command += ["-e", field]
    done = stage.run(command)
    equal(done.returncode, 0, f"tshark: {done.stderr}")
    rows = [line.split("|") for line in done.stdout.splitlines()]
    for row in rows:
        check(not any(row[:len(FAULTS)]), f"tshark finds fault: {row}")
    return [row[len(FAULTS):] for row in rows]


def reads_and_writes(stage, uri, port, mine):
    equal(stage.copse("put", "--oscore", mine, f"{uri}/setpoint", "22.5").returncode, 0, "PUT")
    capture = stage.path("get.pcap")
    got = stage.copse("get", "--oscore", mine, "--pcap", capture, f"{uri}/setpoint")
    equal((got.returncode, got.stdout.strip()), (0, "22.5"), f"GET: {got.stderr}")
    with open(capture, "rb") as file:
        data = file.read()
    check(b"22.5" not in data and b"setpoint" not in data, "what is asked and answered is not on the wire")
    rows = judged(stage, capture, port, "01", "02", ("oscore.code", "oscore.opt.uri_path", "text"))
    equal([row[:3] for row in rows], [["2", "1", "setpoint"], ["68", "69", ""]], "tshark: POST with GET /setpoint, 2.04 with 2.05")
    check("22.5" in rows[1][3], f"tshark reads the answer: {rows}")
    # What the cryptography is for: the same file with one other digit in the secret is nobody's.
    rows = stage.run([stage.foreign("tshark"), "-r", capture, "-d", f"udp.port=={port},coap", "-V", "-o",
                      f'uat:oscore_contexts:"01","02","{SECRET[:-1]}1","{SALT}","","AES-CCM-16-64-128 (CCM*)"']).stdout
    check("setpoint" not in rows and "22.5" not in rows, "another key opens nothing")


def blocks(stage, uri, port, mine):
    """Bodies in blocks of 16 bytes within, one protected message each."""
    schedule = "00:00 16,05:00 17,06:30 21,09:00 18,12:00 20,17:00 21,22:00 17"
    capture = stage.path("blocks.pcap")
    put = stage.copse("put", "--oscore", mine, "-b", "16", "--pcap", capture, f"{uri}/schedule", schedule)
    equal(put.returncode, 0, f"PUT in blocks: {put.stderr}")
    rows = judged(stage, capture, port, "01", "02", ("oscore.opt.block_number", "coap.opt.block_number"))
    check(len([row for row in rows if row[1]]) >= 8 and not any(row[2] for row in rows), f"the blocks are inside: {rows}")
    got = stage.copse("get", "--oscore", mine, "-b", "16", f"{uri}/schedule")
    equal((got.returncode, got.stdout.strip()), (0, schedule), f"GET in blocks: {got.stderr}")


def observes(stage, uri, mine, others):
    watch = stage.start("watch", [stage.program("copse"), "observe", "--oscore", mine, f"{uri}/setpoint"])
    stage.processes.remove(watch)  # which is ended here
    for value in ("18.5", "19.5", "20.5"):
        watch.says(r"^\d")
        equal(stage.copse("put", "--oscore", others, f"{uri}/setpoint", value).returncode, 0, f"PUT {value}")
        watch.says(rf"^{re.escape(value)}")
    equal(watch.stop(), 0, watch.output())


def errors(stage, uri):
    """RFC 8613 §8.2: errors in the clear, which nobody is to keep."""
    for what, arguments, text in (
            ("no protection", [], "OSCORE is required"),
            ("IDs of nobody", ["--oscore", context(stage, "nobody", "77", "78")], "4.01 Unauthorized.*Security context not found"),
            ("another ID context", ["--oscore", context(stage, "elsewhere", "05", "06", extra="id_context,hex,aa\n")],
             "4.01 Unauthorized.*Security context not found"),
            ("another secret", ["--oscore", context(stage, "wrong", "05", "06", "ff" * 16)], "4.00 Bad Request.*Decryption failed")):
        done = stage.copse("get", *arguments, f"{uri}/setpoint")
        equal(done.returncode, 4, f"{what}: {done.stderr}")
        check(re.search(text, done.stderr, re.S), f"{what}: {done.stderr}")


def forged(stage, mine):
    """A success in the clear to a protected request is not believed; an error is."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    answers = {"2.05": 69, "4.01": 129}

    def serve():
        for number in answers.values():
            data, peer = server.recvfrom(2048)
            request = Message.decode(data)
            server.sendto(Message(ACK, number, request.mid, request.token, (), b"forged").encode(), peer)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    uri = f"coap://127.0.0.1:{server.getsockname()[1]}/setpoint"
    done = stage.copse("get", "--oscore", mine, uri)
    equal((done.returncode, done.stdout), (35, ""), f"a forged answer: {done.stderr}")
    equal(stage.copse("get", "--oscore", mine, uri).returncode, 4, "an error that a proxy may have told")
    thread.join(PATIENCE)
    server.close()


def replayed(stage, where, capture, port):
    """Send the first request of a capture, to a device at `port` then, again: now, under another message ID and from another address.
    Returns the answer."""
    done = stage.run([stage.foreign("tshark"), "-r", capture, "-d", f"udp.port=={port},coap", "-Y", "coap.code==2", "-T", "fields", "-e", "udp.payload"])
    old = Message.decode(bytes.fromhex(done.stdout.split()[0]))
    peer = Peer(where)
    reply = peer.answer(Message(CON, old.code, peer.next_mid(), b"again", old.options, old.payload))
    peer.close()
    return reply


def number_of(stage, capture, port):
    """The Partial IV of the first request in a capture."""
    done = stage.run([stage.foreign("tshark"), "-r", capture, "-d", f"udp.port=={port},coap", "-Y", "coap.code==2", "-T", "fields", "-e",
                      "coap.oscore_piv", "-e", "coap.opt.object_security_piv"])
    return int(done.stdout.split()[0], 16)


def kills(stage, start, mine):
    """Numbers are not used twice and replays are not believed, also when either side was killed."""
    where = start()
    uri = f"coap://{where[0]}:{where[1]}"
    capture, second = stage.path("replay.pcap"), stage.path("second.pcap")
    equal(stage.copse("put", "--oscore", mine, "--pcap", capture, f"{uri}/setpoint", "12").returncode, 0, "PUT 12")
    equal(stage.copse("put", "--oscore", mine, f"{uri}/setpoint", "24").returncode, 0, "PUT 24")
    port = where[1]
    reply = replayed(stage, where, capture, port)
    equal((code_text(reply.code), reply.payload, reply.option(OSCORE)), ("4.01", b"Replay detected", None), "a replay")
    # The client is killed while it observes.
    watch = stage.start("killed", [stage.program("copse"), "observe", "--oscore", mine, f"{uri}/setpoint"])
    stage.processes.remove(watch)
    watch.says(r"24")
    busy = stage.copse("get", "--oscore", mine, f"{uri}/setpoint")
    equal(busy.returncode, 35, "a context that is in use")
    check("another program uses this context" in busy.stderr, busy.stderr)
    watch.stop(signal.SIGKILL)
    equal(stage.copse("get", "--oscore", mine, "--pcap", second, f"{uri}/setpoint").stdout.strip(), "24.0", "GET after the kill")
    check(number_of(stage, second, where[1]) > number_of(stage, capture, port) + 3, "numbers went on behind those reserved")
    # The device ends in order: it knows the window, and asks nothing.
    stage.processes[-1].stop()
    stage.processes.pop()
    where = start()
    uri = f"coap://{where[0]}:{where[1]}"
    equal(replayed(stage, where, capture, port).payload, b"Replay detected", "a replay after an orderly end")
    # It is killed: the window is not known, and a replay is answered with a challenge (Appendix B.1.2), which only who has the keys can read.
    stage.processes[-1].stop(signal.SIGKILL)
    stage.processes.pop()
    where = start()
    uri = f"coap://{where[0]}:{where[1]}"
    before = stage.copse("get", "--oscore", mine, "-v", f"{uri}/setpoint")
    equal(before.returncode, 0, f"who is fresh is heard: {before.stderr}")
    equal(len(re.findall(r" > .* CON ", before.stderr)), 2, f"after a challenge: {before.stderr}")
    reply = replayed(stage, where, capture, port)
    check(reply.option(OSCORE) is None and code_text(reply.code) == "4.01", f"then a replay is one: {reply}")
    equal(stage.copse("get", "--oscore", mine, f"{uri}/setpoint").stdout, before.stdout, "nothing was written")
    stage.processes[-1].stop(signal.SIGKILL)
    stage.processes.pop()
    where = start()
    reply = replayed(stage, where, capture, port)
    check(reply.option(OSCORE) is not None and code_text(reply.code) in ("2.04", "4.01"), f"a replay that comes first: {reply}")
    check(b"12" not in reply.payload, f"{reply}")


def test(stage):
    stage.foreign("tshark")
    files = [context(stage, f"device-{i}", f"{2 * i:02x}", f"{2 * i - 1:02x}") for i in (1, 2, 3)]
    mine, others = context(stage, "mine", "01", "02"), context(stage, "others", "03", "04")
    every = [argument for file in files for argument in ("--oscore", file)]

    def start():
        # It is midnight there: the schedule changes nothing for hours.
        devices = stage.start_sim("--count", "1", "-k", "thermostat", "--start", "1780272000", *every)
        return next(iter(devices.values()))[1:]
    where = start()
    uri = f"coap://{where[0]}:{where[1]}"
    bad = stage.run([stage.program("copse-sim"), "-n", "1", "--bind", "127.2.0.1", "-p", "0", "--oscore", files[0]])
    equal(bad.returncode, 1, "a context that another one has")
    check("another program uses this context" in bad.stderr, bad.stderr)
    plain = Peer(where).answer(Message(CON, GET, 1, b"t", path_options("setpoint")))
    equal((code_text(plain.code), plain.option(14)), ("4.01", b""), "a request in the clear: 4.01, Max-Age 0")
    reads_and_writes(stage, uri, where[1], mine)
    blocks(stage, uri, where[1], mine)
    observes(stage, uri, mine, others)
    errors(stage, uri)
    forged(stage, mine)
    stage.processes[-1].stop()
    stage.processes.pop()
    kills(stage, start, mine)


play(test)
