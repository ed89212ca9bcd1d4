# What the tests of the tool share: a folder and an address of their own, servers that are ended by their id, and words to say what
# is expected. Usage: `source stage.bash` with the folder of the programs as first argument of the script.
set -euo pipefail

programs=$(realpath "${1:?folder with the programs}")
script=$(realpath "$0")
export PATH=$programs/../examples:$programs/copse:$programs/copse-gateway:$programs/copse-sim:$PATH
stage=$(mktemp -d "${TMPDIR:-/tmp}/copse-scenario-XXXXXX")
cd "$stage"
export XDG_RUNTIME_DIR=$stage HOME=$stage LC_ALL=C.UTF-8 NO_COLOR=
unset COPSE_SESSION COPSE_TOKEN
# An address of the loopback range that belongs to this script alone.
address=127.$((64 + ($$ >> 16 & 63))).$(($$ >> 8 & 255)).$(($$ & 255))
pids=()

finish() {
	local status=$? pid
	trap - EXIT
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in "${pids[@]}"; do
		wait "$pid" 2>/dev/null || true
	done
	if [ "$status" -ne 0 ]; then
		echo "FAILED with $status; what was written last:" >&2
		tail -n 5 "$stage"/*.log "$stage"/out "$stage"/err 2>/dev/null >&2 || true
	fi
	rm -rf "$stage"
	exit "$status"
}
trap finish EXIT

fail() {
	local text="$(basename "$0"): $*"
	echo "${text:0:1500}" >&2
	exit 1
}

# until COMMAND...: wait until it succeeds; bounded, so that a test that cannot succeed ends.
until_ok() {
	local end=$((SECONDS + 300))
	while [ "$SECONDS" -lt "$end" ]; do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.05
	done
	fail "waited in vain for: $*"
}

# start NAME COMMAND...: in the background, with its output in NAME.log. Sets `started` to its id.
start() {
	local name=$1
	shift
	"$@" >"$name.log" 2>&1 &
	started=$!
	pids+=("$started")
}

# end ID: end what was started, and wait for it.
end() {
	local pid kept=()
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
	for pid in "${pids[@]}"; do
		[ "$pid" = "$1" ] || kept+=("$pid")
	done
	pids=("${kept[@]}")
}

# run EXIT COMMAND...: run it, keep what it writes in `out` and `err`, and insist on its exit code.
run() {
	local wanted=$1 got=0
	shift
	"$@" >out 2>err </dev/null || got=$?
	[ "$got" = "$wanted" ] || fail "$* ended with $got, not with $wanted: $(cat out err)"
}

out_is() { [ "$(cat out)" = "$1" ] || fail "printed '$(cat out)', not '$1'"; }
out_has() { grep -qE -- "$1" out || fail "printed '$(cat out)', which lacks '$1'"; }
err_is() { [ "$(cat err)" = "$1" ] || fail "said '$(cat err)', not '$1'"; }
err_has() { grep -qE -- "$1" err || fail "said '$(cat err)', which lacks '$1'"; }
err_is_empty() { [ ! -s err ] || fail "said '$(cat err)'"; }
out_is_empty() { [ ! -s out ] || fail "printed '$(cat out)'"; }
same() { cmp "$1" "$2" || fail "$1 and $2 differ"; }

# A foreign server: libcoap's, at coap://$address:$port.
port=5683
foreign_server() {
	start coap-server coap-server-notls -A "$address" -p "$port" -d 100 "$@"
	server=$started
	until_ok copse ping "coap://$address:$port" -B 1
	at=coap://$address:$port
}
