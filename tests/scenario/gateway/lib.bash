# What the scripts of this folder share: a folder of their own, processes that end with them, conditions to wait for.
# SPDX-License-Identifier: BSD-2-Clause
set -euo pipefail

SECRET=0123456789abcdef0123456789abcdef
work=$(mktemp -d "${TMPDIR:-/tmp}/copse-scenario-XXXXXX")
pids=()

clean_up() {
	local status=$? pid
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in "${pids[@]}"; do
		wait "$pid" 2>/dev/null || true
	done
	if [ "$status" != 0 ] && [ "$status" != 77 ]; then
		tail -n +1 "$work"/*.log >&2 || true
	fi
	rm -rf "$work"
	exit "$status"
}
trap clean_up EXIT

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

# equal WANTED GOT WHAT
equal() { [ "$1" = "$2" ] || fail "$3: wanted '$1', got '$2'"; }

# contains TEXT PART WHAT
contains() { case $1 in *"$2"*) ;; *) fail "$3: '$2' is not in '$1'" ;; esac; }

# until_true WHAT COMMAND...: try the command until it succeeds; bounded by $patience seconds, so that a test that cannot succeed ends.
until_true() {
	local what=$1 end=$((SECONDS + ${patience:-300}))
	shift
	while [ "$SECONDS" -lt "$end" ]; do
		if "$@" >/dev/null 2>&1; then return; fi
		sleep 0.05
	done
	fail "$what"
}

# says FILE PATTERN: wait until the log has a line with it.
says() { until_true "$1 never says: $2" grep -q -e "$2" "$work/$1"; }

# Debian puts the TLS library behind the names of libcoap's programs.
foreign() {
	local suffix
	for suffix in '' -notls -gnutls -openssl; do
		if command -v "$1$suffix"; then return; fi
	done
	echo "$1 is not installed" >&2
	exit 77
}

# start NAME COMMAND...: in the background, its output in NAME.log; its process id is in $started.
start() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 &
	started=$!
	pids+=("$started")
}

# start_gateway: with $work/gateway.conf and one worker, to which bounds belong whole; the process is $gateway, the port $port.
start_gateway() {
	start gateway "$GATEWAY" -c "$work/gateway.conf" --workers 1 "$@"
	gateway=$started
	says gateway.log 'msg=listening'
	port=$(sed -nE 's/.*msg=listening address=127\.0\.0\.1:([0-9]+).*/\1/p' "$work/gateway.log" | tail -n 1)
	uri=coap://127.0.0.1:$port
}

# A UDP port that is free on loopback now; below those that the system gives to sockets that do not care.
free_port() {
	local try
	while :; do
		try=$((10000 + RANDOM % 20000))
		if ! grep -q ":$(printf %04X "$try") " /proc/net/udp /proc/net/udp6; then
			echo "$try"
			return
		fi
	done
}

# start_server: libcoap's server ($server) as a device; its process is $device, its port $device_port.
start_server() {
	while :; do
		device_port=$(free_port)
		start device "$server" -A 127.0.0.1 -p "$device_port"
		device=$started
		until_true 'the device neither answers nor ends' server_is_decided
		if kill -0 "$device"; then return; fi # otherwise another test was quicker
	done
}
server_is_decided() {
	! kill -0 "$device" || "$client" -B 2 "coap://127.0.0.1:$device_port/" 2>&1 | grep -q libcoap
}

# ask ARGUMENT...: libcoap's client ($client) from port $mine; prints the payload, and the code and text of an error.
# Its token would be the same each time: an answer of the run before that is sent again would be taken for this one's.
# Each run of it begins with a random message ID. In one of some hundred scripts two of these are equal, and the gateway rightly
# takes the second message for a copy of the first (RFC 7252 §4.4): such a request is made anew.
: >"$work/used-ids"
ask() {
	local id
	while :; do
		: >"$work/payload"
		"$client" -v 7 -B 300 -p "$mine" -T "$(printf '%04x%04x' "$RANDOM" "$RANDOM")" -o "$work/payload" "$@" >"$work/debug" 2>"$work/errors" || true
		id=$(sed -nE 's/^v:1 t:(CON|NON) c:[A-Z]+ i:([0-9a-f]+) .*/\2/p' "$work/debug" | head -n 1)
		[ -n "$id" ] || fail "coap-client sends nothing: $(cat "$work/debug" "$work/errors")"
		if ! grep -qx "$id" "$work/used-ids"; then break; fi
	done
	sed -nE 's/^v:1 t:(CON|NON) c:[A-Z]+ i:([0-9a-f]+) .*/\2/p' "$work/debug" >>"$work/used-ids"
	cat "$work/payload" "$work/errors"
}

token() { "$MAKE_TOKEN" "$SECRET" "$1"; }
