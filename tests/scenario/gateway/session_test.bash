# libcoap's client opens a session, reads and writes a device, which is libcoap's server, through the gateway, and closes it.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.bash"
client=$(foreign coap-client)
server=$(foreign coap-server)

start_server
mine=$(free_port)

cat >"$work/gateway.conf" <<CONF
listen = {"127.0.0.1:0"}
key "k" {
	algorithm = HS256
	secret = "$SECRET"
}
mesh {
	bind = "127.0.0.1:0"
}
device "001350030a1b2c3d" {
	address = "127.0.0.1"
	port = $device_port
	class = server
}
device "001350030a1b2c3e" {
	address = "127.0.0.1"
	deny = true
}
CONF
start_gateway

through() { ask -P "$uri" "$@"; }

contains "$(through -m get coap://001350030a1b2c3d/)" 4.01 'without a session'
says gateway.log "level=warn logger=SessionAwareHandler msg=\"Could not retrieve session for: /127.0.0.1:$mine. Anonymous sessions are not allowed, please supply account Id\""
contains "$(ask -m post -e nonsense "$uri/sessions?security=none")" 4.01 'a body that is no token'
says gateway.log 'msg="token refused" reason="not a token"'
contains "$(ask -m post -e "$(token '{"sub":"me"}')" "$uri/sessions")" 5.01 'secure is the default, and not there yet'

opened=$(ask -m post -e "$(token '{"sub":"me"}')" "$uri/sessions?sticky=true&security=none")
contains "$opened" 'account: me' 'POST /sessions'
contains "$(ask -m get "$uri/sessions")" 'security: none' 'GET /sessions'
contains "$(ask -m get "$uri/devices")" '<coap://001350030a1b2c3d>;ep="001350030a1b2c3d";et="server"' 'GET /devices'
contains "$(through -m get coap://001350030a1b2c3d/)" 'This is a test server made with libcoap' 'GET /'
contains "$(through -m get coap://00-13-50-03-0A-1B-2C-3D/.well-known/core)" '</time>' 'GET /.well-known/core'
equal '' "$(through -m put -e 'through the gateway' coap://001350030a1b2c3d/example_data)" 'PUT'
equal 'through the gateway' "$(through -m get coap://001350030a1b2c3d/example_data)" 'what was put'
contains "$(through -N -m get coap://001350030a1b2c3d/)" 'libcoap' 'a non-confirmable GET'
contains "$(through -m get coap://001350030a1b2c3d/nothing)" 4.04 'an error of the device'
contains "$(through -m get coap://001350030a1b2c3f/)" 4.04 'an unknown device'
contains "$(through -m get coap://001350030a1b2c3e/)" 4.03 'a denied device'
contains "$(through -m get coap://127.0.0.1/)" 4.03 'a host outside of the mesh'
contains "$(through -m get -O 16,0x01 coap://001350030a1b2c3d/)" 5.08 'Hop-Limit 1'
contains "$("$client" -B 300 -p "$(free_port)" -P "$uri" coap://001350030a1b2c3d/ 2>&1)" 4.01 'another port is another client'

equal hello "$(ask -m post -e hello "$uri/echo")" 'POST /echo'
contains "$(ask -m get "$uri/help")" 'coap://MACID/path' 'GET /help'
contains "$(ask -m get "$uri/.well-known/core")" '</sessions>' 'GET /.well-known/core'
contains "$(ask -m get "$uri/nothing")" 4.04 'no such resource'

equal '' "$(ask -m delete "$uri/sessions")" 'DELETE /sessions'
contains "$(through -m get coap://001350030a1b2c3d/)" 4.01 'a closed session is closed'

# A device whose port nobody listens on: the system says so (ICMP), and the client learns it at once.
kill "$device"
wait "$device" 2>/dev/null || true
ask -m post -e "$(token '{"sub":"me"}')" "$uri/sessions?security=none" >/dev/null
contains "$(through -m get coap://001350030a1b2c3d/not-cached)" 5.02 'an unreachable device'

# A token that takes several blocks.
long=$(token "{\"sub\":\"blocks\",\"more\":\"$(printf '%03000d' 0)\"}")
contains "$(ask -m post -e "$long" "$uri/sessions?security=none")" 'account: blocks' 'a long token'

# Nothing secret is ever in the log.
if grep -q -e "$SECRET" -e 'eyJ' "$work/gateway.log"; then fail 'a secret or a token is in the log'; fi
kill -TERM "$gateway"
wait "$gateway" || fail "the status after SIGTERM is $?"
says gateway.log 'msg=stopped'
