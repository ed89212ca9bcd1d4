#!/usr/bin/env bash
# Following a resource of a foreign server.
set -euo pipefail
source "$(dirname "$0")/stage.bash"
foreign_server

run 0 copse observe "$at/time" --count 2
[ "$(wc -l <out)" = 2 ] || fail "two notifications are two lines: $(cat out)"
err_is_empty

# The observation is cancelled, with the token that it was registered with.
run 0 copse observe "$at/time" --count 1 -v
err_has '> .* GET .*Observe 0'
err_has '> .* GET .*Observe 1'
[ "$(grep -E '> .*Observe [01]' err | sed -E 's/.*token ([0-9a-f]+).*/\1/' | sort -u | wc -l)" = 1 ] || fail "two tokens: $(cat err)"

run 0 copse observe "$at/time" --count 2 --json
python3 - <<'PY'
import json
rows = [json.loads(line) for line in open("out")]
assert len(rows) == 2 and all(r["code"] == "2.05" and r["payload"] for r in rows), rows
assert rows[0]["options"]["Observe"] < rows[1]["options"]["Observe"], rows
PY

# Ctrl-C cancels, and is a good end.
start watching copse observe "$at/time" -v
watching=$started
until_ok grep -q '2.05' watching.log
kill -INT "$watching"
code=0
wait "$watching" || code=$?
[ "$code" = 0 ] || fail "Ctrl-C: $code"
grep -q 'Observe 1' watching.log || fail "not cancelled: $(cat watching.log)"

# within COMMAND...: for so many seconds, the last argument but the URI, that something comes
within() {
	local seconds
	for seconds in 0.3 3 30; do
		run 0 "$@" "$seconds" "$at/time"
		[ ! -s out ] || return 0
	done
	fail "nothing within the time: $*"
}
within copse observe --for

# A command for each notification, in order.
run 0 copse observe "$at/time" --count 2 --exec 'read -r line; echo "$COPSE_CODE $COPSE_SEQUENCE $line" >>seen; echo "$COPSE_URI" >>uris'
[ "$(wc -l <seen)" = 2 ] || fail "two commands: $(cat seen)"
grep -qE '^2\.05 [0-9]+ [A-Z][a-z]{2} ' seen || fail "what the command saw: $(cat seen)"
grep -qx "$at/time" uris
out_is_empty

# To a file; what cannot be observed; what is not there; the end by the server's word.
run 0 copse observe "$at/time" --count 1 -o lines
[ "$(wc -l <lines)" = 1 ] || fail "a line in the file"
run 0 copse put "$at/plain" x
run 4 copse observe "$at/none"
err_has '4.04 Not Found'
run 0 copse put "$at/gone" x
start until_gone copse observe "$at/gone"
watching=$started
if until_ok grep -q x until_gone.log; then
	copse delete "$at/gone"
	code=0
	wait "$watching" || code=$?
	[ "$code" = 4 ] || fail "the resource is gone: $code $(cat until_gone.log)"
fi

# As coap-client has it.
within copse -m get -s
