# --check, reload by SIGHUP, errors with file and line, arguments.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.bash"
client=$(foreign coap-client)
mine=$(free_port)

equal '' "$("$GATEWAY" --check -c "$SOURCE_DIR/doc/gateway.conf.sample" 2>&1)" 'the sample configuration'

printf '# one\n\ndevice "x" {\n\taddress = "y"\n}\n' >"$work/bad.conf"
if said=$("$GATEWAY" --check -c "$work/bad.conf" 2>&1); then fail 'a bad configuration passes'; fi
equal "$work/bad.conf:4: 'address' must be an IP address without port, not 'y'" "$said" '--check'
if said=$("$GATEWAY" -c "$work/bad.conf" 2>&1); then fail 'it starts with a bad configuration'; fi
contains "$said" "$work/bad.conf:4: " 'start with a bad configuration'
if "$GATEWAY" --check -c "$work/absent.conf" 2>/dev/null; then fail 'an absent configuration passes'; fi
if "$GATEWAY" --nonsense 2>/dev/null; then fail 'an unknown option passes'; fi
if "$GATEWAY" -c "$work/bad.conf" extra 2>/dev/null; then fail 'an argument too many passes'; fi
contains "$("$GATEWAY" --help)" 'usage: copse-gateway' '--help'
contains "$("$GATEWAY" --version)" copse-gateway '--version'

write_conf() { # what devices there are
	cat >"$work/gateway.conf" <<-CONF
		listen = {"192.0.2.1:5683"}
		key "k" {
			algorithm = HS256
			file = "k.secret"
		}
		mesh {
			bind = "127.0.0.1:0"
			security = none
		}
		$1
	CONF
}
printf '%s\n' "$SECRET" >"$work/k.secret"
write_conf ''
# 192.0.2.1 is not ours: the argument goes first
start_gateway -l 127.0.0.1:0 --log-level debug

ask -m post -e "$(token '{"sub":"me"}')" "$uri/sessions" >/dev/null
contains "$(ask -P "$uri" coap://d1/)" 4.04 'before the reload'

# A bad configuration changes nothing, and the log says what is wrong and where.
write_conf 'device "d1" { address = "nowhere" }'
kill -HUP "$gateway"
says gateway.log "level=error logger=config msg=\"$work/gateway.conf:[0-9]*: 'address' must be"
says gateway.log 'msg="not reloaded: everything stays as it was"'
contains "$(ask -P "$uri" coap://d1/)" 4.04 'after a bad reload'

write_conf 'device "d1" {
	address = "127.0.0.1"
	deny = true
}
proxy {
	requests = 7
}'
printf 'another secret, another secret, another' >"$work/k.secret"
kill -HUP "$gateway"
says gateway.log 'msg=reloaded keys=1 devices=1'
says gateway.log 'msg="changed, but needs a restart" options=proxy.requests'
# The worker takes the new one in its own time.
denied() { ask -P "$uri" coap://d1/ | grep -q 4.03; }
until_true 'the new device is never known' denied
contains "$(ask -m get "$uri/sessions")" 'account: me' 'the session is still there'
contains "$(ask -m post -e "$(token '{"sub":"me"}')" "$uri/sessions")" 4.01 'the old key opens nothing any more'

# The port is taken: said, and the status is 1.
if said=$("$GATEWAY" -c "$work/gateway.conf" -l "127.0.0.1:$port" 2>&1); then fail 'two gateways on one port'; fi
contains "$said" 'Address already in use' 'a port that is taken'

kill -INT "$gateway"
wait "$gateway" || fail "the status after SIGINT is $?"
