#!/usr/bin/env python3
"""copse load against libcoap's coap-server directly, and through the gateway with a session for each client against simulated devices:
every request is answered, and what is reported adds up.

SPDX-License-Identifier: BSD-2-Clause
"""
import json

from stage import PATIENCE, SECRET, check, equal, free_port, play


def load(stage, status, *arguments):
    """What copse load reports, as JSON."""
    done = stage.copse("load", "--json", "--timeout", str(PATIENCE), "-q", *arguments, timeout=PATIENCE * 3)
    equal(done.returncode, status, f"copse load {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def adds_up(report, requests, code):
    equal(report["requests"], requests, f"requests: {report}")
    equal(report["codes"], {code: requests}, f"codes: {report}")
    equal(report["answers"], requests, "answers")
    equal(report["timed_out"] + report["reset"] + report["malformed"], 0, f"failures: {report}")
    times = report["latency_us"]
    row = [times[key] for key in ("min", "p50", "p90", "p99", "p99_9", "p99_99", "max")]
    check(row == sorted(row) and row[0] > 0, f"times in order: {times}")


def directly(stage):
    _, port, _ = stage.coap_server("-d", "10")
    uri = f"coap://127.0.0.1:{port}"
    adds_up(load(stage, 0, "get", f"{uri}/", "--count", "300", "-c", "10", "-w", "2"), 300, "2.05")
    adds_up(load(stage, 0, "get", f"{uri}/", "--count", "100", "-c", "5", "--non", "-r", "1000"), 100, "2.05")
    equal(stage.copse("put", f"{uri}/example_data", "first").returncode, 0, "put")
    adds_up(load(stage, 0, "put", f"{uri}/example_data", "a value", "--count", "50"), 50, "2.04")
    adds_up(load(stage, 4, "get", f"{uri}/nowhere{{1-5}}", "--count", "50"), 50, "4.04")
    # ports of its own on the machine's own address, as towards other machines
    adds_up(load(stage, 0, "get", f"{uri}/", "--count", "50", "-c", "5", "-a", "127.0.0.1"), 50, "2.05")
    report = load(stage, 0, "observe", f"{uri}/time", "--count", "6", "-c", "3")
    equal(report["observing"], 3, f"observations: {report}")
    check(report["notifications"] >= 6, f"notifications: {report}")
    equal(load(stage, 7, "get", f"coap://127.0.0.1:{free_port()}/", "--count", "1", "-c", "1", "-B", "1")["answers"], 0, "nobody there")
    shown = stage.copse("load", "get", f"{uri}/", "--count", "10", "-c", "1")
    check("p99.99" in shown.stdout and "2.05" in shown.stdout, f"as text: {shown.stdout}")
    for wrong in (["load", "frobnicate", uri], ["load", "get", f"{uri}/{{2-1}}"], ["load", "observe", uri, "-r", "5"]):
        equal(stage.copse(*wrong).returncode, 1, f"copse {' '.join(wrong)}")


def through_the_gateway(stage):
    found = stage.start_sim("--count", "4", "--kinds", "thermostat")
    clients = len(found)
    names = sorted(found)
    stage.start_gateway(extra=f'sessions {{\n\tper_account = {clients}\n}}')
    session = ["--proxy", stage.gateway_uri(), "--account", "load", "--secret", SECRET]
    uri = f"coap://{names[0]}/temperature"
    adds_up(load(stage, 4, "get", uri, "--count", "10", "--proxy", stage.gateway_uri()), 10, "4.01")
    adds_up(load(stage, 0, "get", uri, "--count", "40", "-c", "4", *session), 40, "2.05")
    # the sessions were closed: the account may open as many again
    adds_up(load(stage, 0, "get", uri, "--count", "40", "-c", "4", "--non", "-r", "500", *session), 40, "2.05")
    check("answers" not in load(stage, 4, "get", uri, "--count", "10", "-c", "5", *session), "one session too many: nothing is measured")


def test(stage):
    directly(stage)
    through_the_gateway(stage)


if __name__ == "__main__":
    play(test)
