# The cache, a serialized device, who may ask what, and /metrics, with libcoap's client and server.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.bash"
client=$(foreign coap-client)
server=$(foreign coap-server)

start_server

cat >"$work/gateway.conf" <<CONF
listen = {"127.0.0.1:0"}
key "k" {
	algorithm = HS256
	secret = "$SECRET"
}
mesh {
	bind = "127.0.0.1:0"
	security = none
}
access "guests" {
	action = deny
	account = {"guest*"}
	request = {"put,post,delete"}
}
class "limited" {
	rate = 0.01
	burst = 1
}
device "meter" {
	address = "127.0.0.1"
	port = $device_port
}
device "slow" {
	address = "127.0.0.2"
	port = $device_port
	class = limited
}
CONF
start_gateway

mine=$(free_port) watcher_port=$(free_port)
through() { ask -P "$uri" "$@"; }
contains "$(ask -m get "$uri/metrics")" 4.01 '/metrics without a session'
contains "$(ask -m post -e "$(token '{"sub":"me"}')" "$uri/sessions")" 'account: me' 'POST /sessions'

# metric NAME: its value now. Who reads them has a port of its own: /metrics takes many messages, and so many message IDs.
watch() { "$client" -B 300 -p "$watcher_port" "$@" 2>&1; }
# What comes to it late, of the run before, may be taken for them: then there is no value, and they are read again.
metric() {
	local value=
	until [ -n "$value" ]; do
		value=$(watch -m get "$uri/metrics" | sed -n "s/^copse_$1 //p")
	done
	echo "$value"
}
# counts NAME TEST N: what a client has seen may be counted a moment later.
counts() {
	local value
	is_count() { value=$(metric "$1") && [ "$value" "$2" "$3" ]; }
	(until_true "$1 is never $2 $3" is_count "$@") || fail "$1 is $(metric "$1")"
}
contains "$(ask -m get "$uri/metrics")" '# EOF' '/metrics in blocks'
watch -m post -e "$(token '{"sub":"watcher"}')" "$uri/sessions" >/dev/null
counts gateway_sessions -eq 2

# What is fetched twice is asked once; what is changed is asked again.
through -m put -e one coap://meter/example_data
equal one "$(through -m get coap://meter/example_data)" 'the first GET'
equal one "$(through -m get coap://meter/example_data)" 'the second GET'
counts gateway_forwarded_total -eq 2
counts gateway_cache_hits_total -ge 1 # a GET that its client repeats, as the answer is late, is a hit as well
through -m put -e two coap://meter/example_data
equal two "$(through -m get coap://meter/example_data)" 'after the change'
counts gateway_forwarded_total -eq 4
through -m get -O 6,0x coap://meter/example_data >/dev/null # Observe 0; the client cancels when it ends
counts gateway_observe_registered_total -eq 1

# /async takes its time: meanwhile the device is busy, and who asks the same waits for the same answer.
slow_port=$(free_port) same_port=$(free_port) guest_port=$(free_port)
for port_of in "$slow_port" "$same_port"; do
	"$client" -B 300 -p "$port_of" -m post -e "$(token "{\"sub\":\"a$port_of\"}")" "$uri/sessions" >/dev/null 2>&1
done
# busy SECONDS: ask for what takes so long, twice, and see what others get. Fails if that was not long enough to look.
busy() {
	local first same joined answer cached
	joined=$(metric gateway_joined_total)
	start first "$client" -B 300 -p "$slow_port" -P "$uri" -m get "coap://meter/async?$1"
	first=$started
	is_busy() { [ "$(metric gateway_lanes)" = 1 ] || ! kill -0 "$first"; }
	until_true 'the device is never busy' is_busy
	start same "$client" -B 300 -p "$same_port" -P "$uri" -m get "coap://meter/async?$1"
	same=$started
	has_joined() { [ "$(metric gateway_joined_total)" = $((joined + 1)) ] || ! kill -0 "$first"; }
	until_true 'nobody joins' has_joined
	answer=$(through -m get coap://meter/time)
	cached=$(through -m get coap://meter/example_data)
	kill -0 "$first" 2>/dev/null || return
	contains "$answer" \
		'5.03 Request blocked by device serialization requirements, another request is enqueued or in process for this device.' \
		'a busy device'
	equal two "$cached" 'from the cache, though the device is busy'
	wait "$first" || fail 'the first client'
	wait "$same" || fail 'the client that joined'
	equal done "$(cat "$work/first.log")" 'the first answer'
	equal done "$(cat "$work/same.log")" 'the same answer'
}
seen=false
for seconds in 4 8 16 32 60; do
	if busy "$seconds"; then
		seen=true
		break
	fi
done
$seen || fail 'no time to see a busy device'
has_refused() { [ "$(metric gateway_refused_lane_total)" -ge 1 ]; }
until_true 'refusals of a busy device are not counted' has_refused
contains "$(through -m get coap://meter/time)" ':' 'the device is free again'

# Who may do what.
guest() { mine=$guest_port ask "$@"; }
guest -m post -e "$(token '{"sub":"guest1","copse_allow":["get,put * /example_data"]}')" "$uri/sessions" >/dev/null
equal two "$(guest -P "$uri" -m get coap://meter/example_data)" 'what the token allows'
contains "$(guest -P "$uri" -m put -e x coap://meter/example_data)" 4.03 'what the configuration denies'
contains "$(guest -P "$uri" -m get coap://meter/time)" 4.03 'what the token does not allow'
contains "$(guest -m post -e "$(token '{"sub":"g","copse_allow":["fly * /"]}')" "$uri/sessions")" 4.01 'a rule that is none'
says gateway.log 'msg="token refused" reason="unreadable rules"'

# A device that may be asked once in a while: the second time is too soon, whatever became of the first.
through -m get coap://slow/ >/dev/null
contains "$(through -m get coap://slow/more)" 4.29 'the rate of a device'
counts gateway_refused_device_rate_total -eq 1

kill -TERM "$gateway"
wait "$gateway" || fail "the status after SIGTERM is $?"
