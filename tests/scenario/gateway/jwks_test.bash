# A JWK set that changes while the gateway runs: keys come and go by their kid, sessions stay, a broken set changes nothing.
# SPDX-License-Identifier: BSD-2-Clause
. "$(dirname "$0")/lib.bash"
client=$(foreign coap-client)
mine=$(free_port)
OTHER=fedcba9876543210fedcba9876543210

# jwk KID SECRET: the key as a set has it.
jwk() { printf '{"kty":"oct","alg":"HS256","kid":"%s","k":"%s"}' "$1" "$(printf %s "$2" | base64 | tr '+/' '-_' | tr -d '=\n')"; }
# set_of JWK...: in a file that takes the place of the one before, closed to others.
set_of() {
	local IFS=,
	(umask 077 && printf '{"keys":[%s]}' "$*" >"$work/keys.new")
	mv "$work/keys.new" "$work/keys.json"
}
# opens KID SECRET: whether a session can be opened by a token of that key. A client that has one renews it.
opens() { ask -m post -e "$("$MAKE_TOKEN" "$2" '{"sub":"me"}' "$1")" "$uri/sessions" | grep -q 'account: me'; }
refused() { ! opens "$@"; }

cat >"$work/gateway.conf" <<-CONF
	listen = {"127.0.0.1:0"}
	token {
		jwks = "keys.json"
	}
	mesh {
		bind = "127.0.0.1:0"
		security = none
	}
CONF
set_of "$(jwk old "$SECRET")"
start_gateway
opens old "$SECRET" || fail 'the key of the set opens nothing'
refused new "$OTHER" || fail 'a key that is not in the set'
refused old "$OTHER" || fail 'a signature of another key'

# For a while both, then the new one alone. The workers take them in their own time.
set_of "$(jwk new "$OTHER")" "$(jwk old "$SECRET")"
kill -HUP "$gateway"
says gateway.log 'msg=reloaded keys=2'
until_true 'the new key never opens anything' opens new "$OTHER"
opens old "$SECRET" || fail 'the old key, while it is in the set'
refused new "$SECRET" || fail 'the old key in the name of the new one'
set_of "$(jwk new "$OTHER")"
kill -HUP "$gateway"
says gateway.log 'msg=reloaded keys=1'
until_true 'the old key is never refused' refused old "$SECRET"
contains "$(ask -m get "$uri/sessions")" 'account: me' 'the session that the old key opened'
opens new "$OTHER" || fail 'the new key'

# What is no set, names a key twice, or may be read by everybody is refused as a whole, and said.
broken() { # PATTERN
	kill -HUP "$gateway"
	says gateway.log "level=error logger=config msg=\"$work/gateway.conf:[0-9]*: .*$1"
	opens new "$OTHER" || fail "a set in force, after one of which is said: $1"
	refused old "$SECRET" || fail "a key of a set of which is said: $1"
}
(umask 077 && printf '{"keys":[' >"$work/keys.json")
broken 'no JWK set'
set_of "$(jwk old "$SECRET")" "$(jwk old "$OTHER")"
broken 'stands twice'
set_of "$(jwk old "$SECRET")"
chmod 644 "$work/keys.json"
broken 'chmod 600'
for secret in "$SECRET" "$OTHER" "$(jwk old "$SECRET" | sed 's/.*"k":"\(.*\)".*/\1/')"; do
	if grep -qF -e "$secret" "$work/gateway.log"; then fail 'a secret is in the log'; fi
done

kill -TERM "$gateway"
wait "$gateway" || fail "the status after SIGTERM is $?"
