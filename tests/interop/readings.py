#!/usr/bin/env python3
"""The client's commands for readings against the real gateway: publish, latest, history, export; what they print, and their exit
codes. What is exported from the gateway and from the store's file is the same.

SPDX-License-Identifier: BSD-2-Clause
"""
import csv
import io
import json
import math
import time

from stage import SECRET, check, equal, play, until

DEVICE = "0024befffe804ff1"
DAY = 86400


def text(stage, *arguments, status=0):
    done = stage.copse(*arguments)
    equal(done.returncode, status, f"copse {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout if status == 0 else done.stderr


def publishing(stage, uri):
    text(stage, "publish", "-d", DEVICE, "-n", "temp", "-u", "Cel", "-v", "21.5", "--time", "2026-07-01T12:00:00Z", uri)
    text(stage, "publish", "-d", "kitchen", "-n", "open", "-v", "true", "--proxy", uri)
    text(stage, "publish", "-n", f"device:{DEVICE}:state", "-v", 'all "fine"', uri)
    text(stage, "publish", "-d", DEVICE, "-n", "brief", "-v", "1", "--max-age", "1", uri)
    # from an IPv4 address nobody knows whose it is
    check("names a device" in text(stage, "publish", "-n", "temp", "-v", "1", uri, status=4), "the problem is told")
    for wrong in (["-n", "temp"], ["-v", "1"], ["-n", ":x", "-v", "1"], ["-n", "x", "-v", "1", "--time", "noon"],
                  ["--group", "nonsense", "-v", "1"], ["-n", "x", "-v", "1", "-I", "lo"], ["--group", "1", "-v", "1", "-I", "nowhere0"]):
        text(stage, "publish", "-d", DEVICE, *wrong, *([] if "--group" in wrong else [uri]), status=1)


def newest(stage, way):
    def without_brief():
        rows = json.loads(text(stage, "latest", DEVICE, "--json", *way))
        return rows if "brief" not in [row["name"] for row in rows] else None
    rows = until(without_brief, "what has a Max-Age expires")
    equal([(row["name"], row["value"], row.get("unit")) for row in rows],
          [("state", 'all "fine"', None), ("temp", 21.5, "Cel")], "latest as JSON, without what has expired")
    equal(rows[1]["time"], "2026-07-01T12:00:00Z", "the time of a reading")
    table = text(stage, "latest", DEVICE, "temp", *way).splitlines()
    equal((table[0].split()[:3], table[1].split()[:3]), (["NAME", "VALUE", "UNIT"], ["temp", "21.5", "Cel"]), "latest as a table")
    check(text(stage, "latest", "kitchen", "--csv", *way).endswith('Z,kitchen,open,true,"",\r\n'), "latest as CSV")
    text(stage, "latest", "nobody", *way, status=4)
    text(stage, "latest", *way, status=1)
    text(stage, "latest", DEVICE, status=1)  # no gateway is named, and no session open
    text(stage, "latest", DEVICE, "--proxy", "coap://no.such.host.invalid", status=6)


def a_week(stage, uri):
    now = int(time.time())
    rows = [{"n": "wave", "u": "W", "t": now - 7 * DAY + 600 * i - 300, "v": round(100 * math.sin(i / 144 * 2 * math.pi), 3)}
            for i in range(7 * 144)]
    rows[0]["bn"] = f"urn:dev:mac:{DEVICE}:"
    with open(stage.path("week.json"), "w", encoding="utf-8") as file:
        json.dump(rows, file)
    text(stage, "post", f"{uri}/publish", "-t", "senml-json", f"@{stage.path('week.json')}")
    return now, rows


def history(stage, way, now, rows):
    def values(*arguments):
        return [row["value"] for row in json.loads(text(stage, "history", DEVICE, "wave", "--json", *arguments, *way))]
    # the newest is 900 s old, and none is near to a day: what five minutes more or less change is not asked for
    equal(values(), [row["v"] for row in rows[-143:]], "the last day, which is what is shown by itself")
    equal(values("--from", f"@{now - 7 * DAY - 400}", "--to", f"@{now - 7 * DAY + 1600}"), [row["v"] for row in rows[:4]], "from and to")
    equal(values("--last", "2"), [row["v"] for row in rows[-2:]], "the newest two")
    counts = values("--from", "-8d", "--every", "1d", "--agg", "count")
    equal((sum(counts), max(counts)), (len(rows), 144), "counted by day")
    lines = text(stage, "history", DEVICE, "wave", "--last", "3", *way).splitlines()
    equal((len(lines), lines[0].split(), lines[1].split()[3]), (4, ["TIME", "VALUE", "UNIT"], "W"), "a table")
    plot = text(stage, "history", DEVICE, "wave", "--from", "-8d", "--plot", *way).splitlines()
    equal((len(plot), plot[0][:32]), (17, f"{DEVICE} wave in W, 1008"), "a plot")
    check(any(line.startswith((" 100 +", " 100 \u2524")) for line in plot), f"its axis: {plot}")
    equal(text(stage, "history", DEVICE, "none", "--last", "3", "--csv", *way), "time,device,name,value,unit,sum\r\n", "no readings")
    # by Q-Block2 the whole of it is made first, and is the same
    whole = f"{way[1]}/devices/{DEVICE}/wave?last=1000"
    equal(json.loads(text(stage, "get", whole, "--qblock")), json.loads(text(stage, "get", whole)), "by Q-Block2")
    for wrong in (["--from", "2026-02-30"], ["--every", "1y"], ["--agg", "max"], ["--every", "1h", "--agg", "median"], ["--last", "0"],
                  ["--from", "now", "--to", "-1h"], ["--type", "x", "--group", "y"]):
        text(stage, "history", DEVICE, "wave", *wrong, *way, status=1)
    # the fault is pointed at
    check("\n  2026-02-30\n          ^\n" in text(stage, "history", DEVICE, "wave", "--from", "2026-02-30", *way, status=1), "a caret")


def many_devices(stage, uri, way):
    for i in range(3):
        text(stage, "put", f"{uri}/devices/d{i}/meta", '{"group":"cellar","type":"damp"}', "-t", "json")
        text(stage, "publish", "-d", f"d{i}", "-n", "wet", "-v", str(i), uri)
        text(stage, "publish", "-d", f"d{i}", "-n", "x", "-v", "9", uri)
    lines = text(stage, "latest", "--group", "cellar", "wet", *way).splitlines()
    equal([line.split()[:3] for line in lines[1:]], [[f"d{i}", "wet", str(i)] for i in range(3)], "of a group")
    rows = json.loads(text(stage, "history", "--type", "damp", "wet", "--json", *way))
    equal([row["value"] for row in rows], [0, 1, 2], "of a type")
    text(stage, "latest", "--type", "none", *way, status=4)


def export(stage, way, n):
    whole = text(stage, "export", *way)
    rows = list(csv.DictReader(io.StringIO(whole)))
    equal(len(rows), n, "each reading once")
    equal([row["value"] for row in rows if row["name"] == "state"], ['all "fine"'], "a text")
    store = ["--store", stage.path("readings.db")]
    equal(text(stage, "export", *store).splitlines(), whole.splitlines()[:1] +
          sorted(whole.splitlines()[1:], key=lambda line: line.split(",")[1:3] + [line]), "from the file, while the gateway runs")
    pack = json.loads(text(stage, "export", "--format", "senml-json", *way))
    equal((len(pack), sum("bn" in row for row in pack)), (n, 5), "one pack, with a base name for each device")
    equal(json.loads(text(stage, "export", "--format", "senml-json", DEVICE, "wave", "--from", "-1d", *store)),
          json.loads(text(stage, "export", "--format", "senml-json", DEVICE, "wave", "--from", "-1d", *way)), "a day of one series")
    equal(text(stage, "export", "--format", "senml-xml", "kitchen", *way).count("<senml "), 1, "XML")
    text(stage, "export", "--format", "senml-cbor", "-o", stage.path("all.cbor"), *way)
    with open(stage.path("all.cbor"), "rb") as file:
        data = file.read()
    equal((data[0], data[-1]), (0x9f, 0xff), "CBOR")
    # what was exported can be published again: all of it was there before, and is there twice now
    text(stage, "export", "--format", "senml-json", "kitchen", "-o", stage.path("kitchen.json"), *way)
    text(stage, "post", f"{way[1]}/publish", "-t", "senml-json", f"@{stage.path('kitchen.json')}")
    equal(len(text(stage, "export", "kitchen", *way).splitlines()), 3, "exported and published again")
    equal(text(stage, "export", "nobody", "-o", stage.path("no.csv"), *way, status=4).count("no such device"), 1, "an unknown device")
    for wrong in (["--store", stage.path("none.db")], ["--store", stage.path("week.json")], ["--format", "pdf", *way],
                  ["-o", "/nowhere/file", *way]):
        text(stage, "export", *wrong, status=1)


def test(stage):
    stage.start_gateway(f'collector {{\n\tstore = "{stage.path("readings.db")}"\n\topen = true\n}}')
    uri = stage.gateway_uri()
    way = ["--proxy", uri]
    publishing(stage, uri)
    newest(stage, way)
    now, rows = a_week(stage, uri)
    history(stage, way, now, rows)
    many_devices(stage, uri, way)
    export(stage, way, len(rows) + 4 + 6)
    # with a session the gateway need not be named
    text(stage, "session", "open", uri, "--account", "tool", "--secret", SECRET)
    equal(json.loads(text(stage, "latest", "d1", "wet", "--json"))[0]["value"], 1, "by the session's gateway")
    text(stage, "publish", "-d", "d1", "-n", "wet", "-v", "7")
    equal(json.loads(text(stage, "latest", "d1", "wet", "--json"))[0]["value"], 7, "published by the session's gateway")
    text(stage, "session", "close")
    completion = text(stage, "completion")
    check("history) words=" in completion and "--every=" in completion, "completion knows the commands")


play(test)
