#!/usr/bin/env bash
# What servers offer: of one, and of all that answer to a group, on a network of the test's own.
set -euo pipefail
source "$(dirname "$0")/stage.bash"

if [ -z "${IN_NAMESPACE:-}" ]; then
	foreign_server
	run 0 copse discover "$at"
	out_has '^DEVICE +RESOURCE +RT +IF +CT$'
	out_has "^$address:$port +/time +ticks +clock +0\$"
	run 0 copse discover "$at/.well-known/core?rt=ticks"
	out_has '/time'
	[ "$(wc -l <out)" = 2 ] || fail "one resource was asked for: $(cat out)"
	run 0 copse discover "$at?rt=ticks"
	[ "$(wc -l <out)" = 2 ] || fail "one resource was asked for: $(cat out)"
	run 0 copse discover "$at" --json
	python3 - <<'PY'
import json
rows = json.load(open("out"))
time = next(r for r in rows if r["resource"] == "/time")
assert time["attributes"]["rt"] == "ticks" and ":" in time["device"], rows
PY
	run 0 copse get "$at/.well-known/core" --pretty
	out_has '^/time +ticks +clock '
	run 4 copse discover "$at/nothing"
	run 1 copse discover
	err_has 'no session is open'
	run 1 copse discover --group 127.0.0.1
	err_has 'no multicast group'
	export IN_NAMESPACE=1
	unshare -n bash "$script" "$programs"
	exit
fi

# Two ends of a wire in a network namespace; the server listens on one, we ask on the other.
ip link set lo up
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
ip link add near type veth peer name far
ip link set near up
ip link set far up
until_ok sh -c 'ip -6 addr show dev far scope link | grep fe80'
start server coap-server-notls -p 5683 -g ff02::fd -G far -v 7
until_ok grep -q 'added mcast group' server.log
start other plugtest-server "[::]:5684"
until_ok copse ping 'coap://[::1]:5684' -B 1

# Each asks for some seconds; on a slow machine the answer may come later.
heard() { copse discover --group 'ff02::fd%near' | grep -qE '^\[fe80::[0-9a-f:]+%near\]:5683 +/time +ticks +clock +0$'; }
until_ok heard
told() { copse discover --group 'ff02::fd' --json '/.well-known/core?rt=ticks' >out && grep -q fe80 out; }
until_ok told
python3 - <<'PY'
import json
rows = json.load(open("out"))
assert rows and all(r["resource"] == "/time" and r["device"].startswith("[fe80::") for r in rows), rows
PY
# A group that nobody has joined: silence is all that can come, however short the leisure of those who are there.
run 28 copse discover --group 'ff02::fe00:7%near' -B 0.1
err_is 'copse: nobody answered'
