#!/usr/bin/env bash
# Sessions with a gateway, tokens, devices: with copse-gateway and simulated devices.
set -euo pipefail
source "$(dirname "$0")/stage.bash"
command -v copse-gateway >/dev/null || fail "copse-gateway is not built"

printf 'a secret of at least thirty-two bytes' >secret
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem 2>/dev/null
openssl pkey -in rsa.pem -pubout -out rsa.pub
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem
openssl pkey -in ec.pem -pubout -out ec.pub

# ---- tokens ----
run 0 copse token --account me --secret @secret --claim role=reader --claim level=3 --expires 2h
out_has '^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$'
python3 - <<'PY'
import base64, hashlib, hmac, json, time
head, claims, mac = open("out").read().strip().split(".")
raw = lambda s: base64.urlsafe_b64decode(s + "=" * (-len(s) % 4))
assert hmac.new(open("secret", "rb").read(), f"{head}.{claims}".encode(), hashlib.sha256).digest() == raw(mac)
assert json.loads(raw(head))["alg"] == "HS256"
c = json.loads(raw(claims))
assert c["sub"] == c["account"] == "me" and c["role"] == "reader" and c["level"] == 3, c
assert abs(c["exp"] - time.time() - 7200) < 600 and abs(c["iat"] - time.time()) < 600, c
PY
for kind in rsa:RS256 ec:ES256; do
	run 0 copse token --account me --key "${kind%:*}.pem"
	cut -d. -f1 out | python3 -c "import sys, base64, json; s = sys.stdin.read().strip(); assert json.loads(base64.urlsafe_b64decode(s + '=' * (-len(s) % 4)))['alg'] == '${kind#*:}'"
done
run 0 copse token --account me --secret @secret --expires 0
run 1 copse token --secret @secret
err_has 'account is missing'
run 1 copse token --account me
err_has 'try: copse token'
run 1 copse token --account me --key secret
err_has 'no private key'
run 1 copse token --account me --secret x --alg RS256
err_has 'goes with --key'
run 1 copse token --account me --secret x --claim exp=1
err_has 'option of its own'
run 1 copse token --account me --secret @nowhere
err_has 'cannot read nowhere'

# ---- a gateway and devices ----
start sim copse-sim --port 0 --conf "$stage/devices.conf"
until_ok grep -q msg=listening sim.log
cat >gateway.conf <<CONF
listen = {"$address:0"}
key "demo" {
    algorithm = HS256
    file = "secret"
}
key "rsa" {
    algorithm = RS256
    file = "rsa.pub"
}
key "ec" {
    algorithm = ES256
    file = "ec.pub"
}
mesh {
    security = none
    bind = "127.0.0.1:0"
}
include("devices.conf")
CONF
start gateway copse-gateway -c gateway.conf
until_ok grep -q msg=listening gateway.log
gateway=coap://$address:$(sed -nE "s/.*msg=listening.*$address:([0-9]+).*/\1/p" gateway.log | head -n 1)
meter=$(awk '/^device/ { gsub(/"/, "", $2); print $2; exit }' devices.conf)

# Without a session nothing goes.
run 1 copse session status
err_has 'session default is not open'
run 1 copse devices
err_has 'no session is open'
run 4 copse get --proxy "$gateway" "coap://$meter/"
err_has '4.01'
run 1 copse session open "$gateway"
err_has 'a token is missing'
run 4 copse session open "$gateway" --token nonsense
err_has '4.01'
[ ! -e copse/default.session ] || fail "a session that was refused is kept"

# Open: the port is kept, in a file that is its owner's alone and does not have the token.
copse token --account me --secret @secret >jwt
run 0 copse session open "$gateway" --token @jwt --security none
file=copse/default.session
[ "$(stat -c %a $file)" = 600 ] && [ "$(stat -c %a copse)" = 700 ] || fail "permissions: $(stat -c '%a %n' copse $file)"
grep -q "$(cut -c1-30 jwt)" $file && fail "the token is in the file"
port=$(python3 -c "import json; print(json.load(open('$file'))['port'])")
run 0 copse get "coap://$meter/tariff" -v
grep -q "$(printf 'Proxy-Uri coap://%s/tariff' "$meter")" err || fail "not by the gateway: $(cat err)"
run 0 copse put "coap://$meter/tariff" 3
run 0 copse get "coap://$meter/tariff"
out_is 3
run 4 copse get "coap://0000000000000000/x"
err_has '4.04'
run 0 copse session status
err_has "session default: gateway $gateway, local port $port, account me"
run 0 copse devices
out_has '^DEVICE +TYPE +URI$'
out_has "^$meter +[a-z]+ +coap://$meter\$"
run 0 copse devices --json
python3 -c "import json; d = json.load(open('out')); assert any(x['ep'] == '$meter' for x in d) and len(d) == 20, d"
run 0 copse discover "coap://$meter"
out_has "^$meter +/tariff"
run 0 copse get "$gateway/echo" -v
grep -q Proxy-Uri err && fail "the gateway's own resource is not proxied"

# Another command waits for the port; another session has its own.
run 1 copse session open "$gateway" --token @jwt
err_has 'session default is open'
run 0 copse session open "$gateway" --account two --key rsa.pem --session second --security none
run 0 copse get "coap://$meter/tariff" --session second
out_is 3
COPSE_SESSION=second run 0 copse session status
err_has 'account two'
run 1 copse get "coap://$meter/tariff" --session third
err_has 'session third is not open'
run 1 copse get "coap://$meter/tariff" --session ../x
err_has 'is no name'
run 0 copse session close --session second

# Two at a time in one session: one after the other, both answered.
copse get "coap://$meter/tariff" >one 2>&1 &
first=$!
copse get "coap://$meter/consumption" >two 2>&1 &
second=$!
wait "$first" && wait "$second" || fail "two at a time: $(cat one two)"

# Without the session on demand; closing; a gateway that forgot; a gateway that is gone.
run 6 copse get "coap://$meter.invalid/tariff" --direct
run 0 copse session close
[ ! -e $file ] || fail "the closed session is kept"
run 1 copse session close
run 0 copse session open "$gateway" --account me --key ec.pem --security none --sticky
copse delete "$gateway/sessions"
run 4 copse get "coap://$meter/tariff"
run 0 copse session close
run 0 env COPSE_TOKEN="$(cat jwt)" copse session open "$gateway" --security none
end "$started"
run 7 copse session close
[ -e $file ] || fail "forgotten though the gateway did not answer"
run 0 copse session close --force
[ ! -e $file ] || fail "not forgotten by force"

# A damaged file says so, and can be removed.
mkdir -p copse && echo '{' >$file
run 1 copse get "coap://$meter/tariff"
err_has "$file: "
run 0 copse session close --force
run 1 copse session clos
err_has 'it is open, status or close'
