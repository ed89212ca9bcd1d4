#!/usr/bin/env bash
# Each exit code, and what is said with it.
set -euo pipefail
source "$(dirname "$0")/stage.bash"
foreign_server

run 0 copse get "$at/time"
run 4 copse get "$at/nothing"
run 6 copse get coap://no-such-host.invalid/
err_has '^copse: cannot find no-such-host.invalid: '
run 7 copse get "coap://$address:9/"
err_has '^copse: .* cannot be reached$'
run 7 copse ping "coap://$address:9/"

# A host that rejects with a Reset, and one that never answers.
cat >mute.py <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
print(s.getsockname()[1], flush=True)
while True:
    data, peer = s.recvfrom(2048)
    if sys.argv[2] == "reset":
        s.sendto(bytes([0x70, 0, data[2], data[3]]), peer)
    elif sys.argv[2] == "unavailable":
        s.sendto(bytes([0x60 | data[0] & 15, 0xa3]) + data[2:4 + (data[0] & 15)] + b"\xffbusy", peer)
PY
start reset python3 mute.py "$address" reset
until_ok grep -q . reset.log
run 7 copse get "coap://$address:$(cat reset.log)/"
err_has 'rejected the message with a Reset'
start mute python3 mute.py "$address" mute
until_ok grep -q . mute.log
run 28 copse get "coap://$address:$(cat mute.log)/" --timeout 0.3
err_has 'no answer came in time'
run 28 copse ping "coap://$address:$(cat mute.log)/" -B 0.3
run 28 copse get "coap://$address:$(cat mute.log)/" -N -B 300ms
run 28 copse observe "coap://$address:$(cat mute.log)/" -B 300ms
start unavailable python3 mute.py "$address" unavailable
until_ok grep -q . unavailable.log
run 5 copse get "coap://$address:$(cat unavailable.log)/"
err_is 'copse: 5.03 Service Unavailable:
  busy'
run 35 copse get "coaps://$address/" --psk-id half-a-key
err_has 'belong together'

# Usage: what is wrong, and where to look.
run 1 copse
err_has '^usage: copse'
run 1 copse gett coap://h/
err_is 'copse: there is no command gett
try: copse --help'
run 1 copse get
err_has 'URI is missing'
err_has 'try: copse get --help'
run 1 copse get coap://h/ --nothing
err_has 'there is no option --nothing'
run 1 copse get coap://h/ --count 3
err_has 'does not belong to this command'
run 1 copse get "$at/" --block 17
err_has '17 is none of 16, 32'
run 1 copse put "$at/" x --if-match xyz
err_has 'is no ETag'
run 0 copse --help
out_has '^usage: copse'
run 0 copse get --help
out_has '--accept FORMAT'
run 0 copse --version
out_has '^copse [0-9]+\.[0-9]+\.[0-9]+$'

# A bad URI is shown with a caret under the fault.
run 1 copse get 'coap://host/a%zzb'
err_is 'copse: behind % must stand two hexadecimal digits
  coap://host/a%zzb
               ^'
run 1 copse get 'coap://[::1/x'
err_has '^ *\^$'
run 1 copse get 'host/path'
err_has 'did you mean coap://host/path'
run 1 copse get 'coap://host:99999/'
err_has '^ *\^$'
run 1 copse get 'http://host/'
err_has 'copse: '

# Names with several addresses: the next one is tried when the first refuses.
if getent ahosts localhost | grep -q '^::1'; then
	start six coap-server-notls -A 127.0.0.1 -p "$((20000 + $$ % 10000))"
	until_ok copse get "coap://127.0.0.1:$((20000 + $$ % 10000))/" -B 1
	run 0 copse get "coap://localhost:$((20000 + $$ % 10000))/" -B 100
	run 7 copse get "coap://localhost:$((20000 + $$ % 10000))/" -6 -B 100
	run 0 copse get "coap://localhost:$((20000 + $$ % 10000))/" -4 -B 100
fi

# A signal ends it as it ends any program; what it leaves is whole.
start waiting copse get "coap://$address:$(cat mute.log)/" -v -o never
waiting=$started
until_ok grep -q GET waiting.log
kill -TERM "$waiting"
code=0
wait "$waiting" || code=$?
[ "$code" = 143 ] || fail "ended with $code after SIGTERM"
[ ! -e never ] && [ ! -e never.part ] || fail "a file for no answer"
