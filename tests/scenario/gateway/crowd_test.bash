# Ten thousand clients with sessions, requests and observations at a time, all with the same tokens and message IDs: nothing
# crosses between them, each hears of every change in order, and when they have gone nothing is left.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.bash"
client=$(foreign coap-client)
mine=$(free_port)
clients=10000

mkfifo "$work/in"
exec 3<>"$work/in"
# a command in the background has no input of its own unless it takes it itself
start crowd bash -c 'exec "$CROWD" "$1" "$2" <"$3"' crowd "$SECRET" "$clients" "$work/in"
crowd=$started
says crowd.log 'devices at'
device_port=$(sed -n 's/^devices at //p' "$work/crowd.log")

cat >"$work/gateway.conf" <<CONF
listen = {"127.0.0.1:0"}
key "k" {
	algorithm = HS256
	secret = "$SECRET"
}
token {
	rate = 100000
}
mesh {
	bind = "127.0.0.1:0"
	nstart = 1000
}
class "many" {
	concurrent = 1000
}
observe {
	observations = 2048
}
CONF
for ((i = 0; i < 100; i++)); do
	printf 'device "%016x" {\n\taddress = "127.9.0.%d"\n\tport = %d\n\tclass = many\n}\n' $((0x1000 + i)) $((i + 1)) "$device_port"
done >>"$work/gateway.conf"
start_gateway

metrics() { ask -m get "$uri/metrics" >"$work/metrics"; }
value() { sed -n "s/^copse_gateway_$1 //p" "$work/metrics"; }

ask -m post -e "$(token '{"sub":"watcher"}')" "$uri/sessions?security=none" >/dev/null
echo "$port" >&3
patience=700 says crowd.log '^observing'
metrics
equal $((clients + 1)) "$(value sessions)" 'sessions, with the one that asks'
equal "$clients" "$(value observers)" 'observers'
equal 1500 "$(value observations)" 'registrations, one a resource'
echo >&3
patience=700 until_true 'the crowd ends' grep -q '^done' "$work/crowd.log"
wait "$crowd" || fail "the crowd ended with $?"

nothing_left() {
	local name
	metrics
	[ "$(value sessions)" = 1 ] || return 1
	for name in requests lanes waiting observations observers notifying; do
		[ "$(value "$name")" = 0 ] || return 1
	done
}
until_true 'something is left' nothing_left
for name in answers_lost notifications_lost observers_dead observers_homeless observe_full refused_busy refused_lane; do
	equal 0 "$(value "${name}_total")" "$name"
done
equal "$clients" "$(value observers_left_total)" 'observers that left'
kill -TERM "$gateway"
wait "$gateway" || fail "the status after SIGTERM is $?"
