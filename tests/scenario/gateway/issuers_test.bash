# Two issuers that both are accepted, whose keys have one name: each makes tokens in its own name and not in the other's, before
# and after a SIGHUP that gives a key to the other one; and a file that binds a key to nobody is refused as a whole, with its line.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.bash"
client=$(foreign coap-client)
mine=$(free_port)
OTHER=fedcba9876543210fedcba9876543210

# opens SECRET ISSUER [KID]: whether a session can be opened by a token in that name, of that key.
opens() { ask -m post -e "$("$MAKE_TOKEN" "$1" "{\"sub\":\"me\",\"iss\":\"$2\"}" ${3:+"$3"})" "$uri/sessions" | grep -q 'account: me'; }
refused() { ! opens "$@"; }
# put_set NAME SECRET: a set of one key, called k.
put_set() {
	(umask 077 && printf '{"keys":[{"kty":"oct","kid":"k","k":"%s"}]}' "$(printf %s "$2" | base64 | tr '+/' '-_' | tr -d '=\n')" >"$work/$1")
}
# configure ISSUER ISSUER: whom the two sets speak for.
configure() {
	cat >"$work/gateway.conf" <<-CONF
		listen = {"127.0.0.1:0"}
		token {
			issuer = {"https://one.example", "https://two.example"}
		}
		key "first" {
			issuer = "$1"
			jwks = "first.json"
		}
		key "second" {
			issuer = "$2"
			jwks = "second.json"
		}
		mesh {
			bind = "127.0.0.1:0"
			security = none
		}
	CONF
}
one=https://one.example two=https://two.example

put_set first.json "$SECRET"
put_set second.json "$OTHER"
configure "$one" "$two"
start_gateway
opens "$SECRET" "$one" k || fail 'the first issuer in its own name'
opens "$SECRET" "$one" || fail 'the same without a kid'
opens "$OTHER" "$two" k || fail 'the second issuer in its own name'
refused "$SECRET" "$two" k || fail 'the first issuer in the name of the second'
says gateway.log 'signed by a key of another issuer'
refused "$OTHER" "$one" || fail 'the second issuer in the name of the first'
refused "$OTHER" https://three.example k || fail 'in the name of somebody unknown'

# The other way round: the workers take it in their own time.
configure "$two" "$one"
kill -HUP "$gateway"
says gateway.log 'msg=reloaded keys=2'
until_true 'the key never speaks for its new issuer' opens "$SECRET" "$two" k
refused "$SECRET" "$one" k || fail 'a key in the name of the issuer that it spoke for'
opens "$OTHER" "$one" k || fail 'the other key for its new issuer'

# What binds keys so that a token would mean two of them, or none, changes nothing.
broken() { # LINE PATTERN
	kill -HUP "$gateway"
	says gateway.log "level=error logger=config msg=\"$work/gateway.conf:$1: .*$2"
	opens "$SECRET" "$two" k || fail "what was in force, after: $2"
	refused "$SECRET" "$one" k || fail "an issuer of a file that was refused: $2"
}
configure "$one" "$one"
broken 12 "key 'k' stands twice for the same issuer"
configure "$one" https://three.example
broken 12 "key 'second': issuer 'https://three.example' is none of those"

kill -TERM "$gateway"
wait "$gateway" || fail "the status after SIGTERM is $?"
