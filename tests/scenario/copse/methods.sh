#!/usr/bin/env bash
# Requests to a foreign server: methods, payloads from everywhere, options, what goes where.
set -euo pipefail
source "$(dirname "$0")/stage.bash"
foreign_server

# Nothing but the payload on standard output, byte for byte.
run 0 copse put "$at/a" hello
out_is_empty
err_is_empty
run 0 copse get "$at/a"
err_is_empty
printf hello | cmp - out

# Payloads: argument, file, standard input, option, text that begins with @.
printf 'from a file' >file
run 0 copse put "$at/a" @file
run 0 copse get "$at/a"
out_is 'from a file'
printf 'from standard input' | copse put "$at/a" @-
run 0 copse get "$at/a"
out_is 'from standard input'
run 0 copse put "$at/a" -e '@not a file 100%'
run 0 copse get "$at/a"
out_is '@not a file 100%'
run 0 copse put "$at/a" -f file
run 0 copse get "$at/a"
out_is 'from a file'
run 1 copse put "$at/a" text -f file
err_has 'more than once'
run 1 copse put "$at/a" @nowhere
err_has 'cannot read nowhere: No such file'

# Binary ones come back as they were.
head -c 700 /dev/urandom >bytes
run 0 copse put "$at/a" @bytes
run 0 copse get "$at/a"
same bytes out

# Content formats by number, name and media type; options by number and name.
run 0 copse put "$at/j" '{}' -t json
run 0 copse get "$at/j" -i
out_has '^2\.05 Content$'
out_has '^Content-Format: 50 \(application/json\)$'
out_has '^\{\}$'
run 0 copse put "$at/c" '{}' --content-format application/cbor
run 0 copse get "$at/c" -i
out_has '^Content-Format: 60 '
run 0 copse get "$at/time?ticks" -v
out_has '^[0-9]+$'
err_has ' > .* CON 0.01 GET id .* Uri-Path time  Uri-Query ticks$'
err_has ' < .* ACK 2.05 Content id '
run 0 copse get "$at/time" -O Uri-Query=ticks -vv
out_has '^[0-9]+$'
err_has '^    000000 '
run 0 copse get "$at/time" -O 15=ticks -A 0 -v
err_has 'Accept 0 \(text/plain'
run 0 copse get "$at/time" -O 65000=0x0aff -O 65000=text -v
err_has '65000 0aff  65000 74657874'
run 1 copse get "$at/time" -O Nonsense=1
err_has 'there is no option Nonsense'
run 1 copse get "$at/time" -O Accept=many
err_has 'is no number'
run 1 copse get "$at/time" -O Observe=0
err_has 'observe'
run 1 copse get "$at/time" --accept no/thing
err_has 'is no content format'

# Non-confirmable; a port of our own; no host.
run 0 copse get "$at/time" --non -v
err_has ' > .* NON 0.01 GET'
err_has ' < .* NON 2.05'
run 0 copse get "$at/time" -a "$address" -p 40123 -v
run 0 copse get "$at/time" -U

# Delete, and what is gone.
run 0 copse delete "$at/a"
run 4 copse get "$at/a"
out_is_empty
err_has '^copse: 4.04 Not Found:$'
run 4 copse get "$at/a" -q
err_is_empty
run 4 copse post "$at/time" x
err_has '4.05 Method Not Allowed'

# JSON: one object, with everything in it.
run 0 copse put "$at/n" 'näme' -t json
run 0 copse get "$at/n" --json
python3 - <<'PY'
import json
o = json.load(open("out"))
assert o["code"] == "2.05" and o["name"] == "Content" and o["payload"] == "näme", o
assert o["options"]["Content-Format"] == 50 and o["time_ms"] >= 0 and ":" in o["peer"], o
PY
run 0 copse put "$at/a" @bytes
run 0 copse get "$at/a" --json
python3 - <<'PY'
import base64, json
assert base64.b64decode(json.load(open("out"))["payload_base64"]) == open("bytes", "rb").read()
PY
run 4 copse get "$at/none" --json
python3 -c 'import json; assert json.load(open("out"))["code"] == "4.04"'
run 7 copse get "coap://$address:9/" --json
python3 -c 'import json; o = json.load(open("out")); assert o["exit"] == 7 and o["error"], o'
err_is_empty

# Output to a file, whole or not at all; to standard output by name.
run 0 copse get "$at/a" -o got
out_is_empty
same bytes got
run 4 copse get "$at/none" -o other
[ ! -e other ] && [ ! -e other.part ] || fail "a file for an error"
run 0 copse get "$at/a" -o -
same bytes out
run 1 copse get "$at/a" -o /nowhere/x
err_has 'cannot write /nowhere/x: No such file'
run 1 sh -c "copse get $at/a >/dev/full"
err_has 'cannot write to standard output'

# A path with everything that has to be escaped.
run 0 copse put "$at/%C3%A4%2Fb%20c?d=%26&e" 'escaped' -v
err_has 'Uri-Path ä/b c  Uri-Query d=&  Uri-Query e'

run 0 copse put "$at/w" x
run 0 copse get "$at/w" -w
printf 'x\n' | cmp - out

# ping
run 0 copse ping "$at"
out_is_empty
err_has "^copse: $address:$port is alive: [0-9]+ ms$"
