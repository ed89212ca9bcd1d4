#!/usr/bin/env bash
# What libcoap's server does not offer: conditions, FETCH and PATCH, silence, locations; with the project's own servers.
set -euo pipefail
source "$(dirname "$0")/stage.bash"
start server plugtest-server "$address:5683"
until_ok copse ping "coap://$address" -B 1
at=coap://$address

# An ETag is worth a transfer.
run 0 copse get "$at/validate" -i
etag=$(sed -n 's/^ETag: //p' out)
[ -n "$etag" ] || fail "no ETag: $(cat out)"
run 0 copse get "$at/validate" --etag "$etag" -i
out_has '^2\.03 Valid$'
run 0 copse put "$at/validate" new --if-match "$etag"
run 0 copse get "$at/validate" --etag "$etag" -i
out_has '^2\.05 Content$'
run 4 copse put "$at/validate" newer --if-match "0x$etag"
err_has '4.12 Precondition Failed'
copse delete "$at/create1" -q || true
run 0 copse put "$at/create1" one --if-none-match -i
out_has '^2\.01 Created$'
run 4 copse put "$at/create1" two --if-none-match

# Formats: what is wanted, and what cannot be had.
run 0 copse get "$at/multi-format" -A json -i --pretty
out_has '^Content-Format: 50 '
run 0 copse get "$at/multi-format" -A cbor --pretty
out_has '^[{\[]'
run 4 copse get "$at/multi-format" -A 11542
err_has '4.06 Not Acceptable'

# Bodies both ways in one request; a separate response; a non-confirmable one.
head -c 1280 </dev/zero | tr '\0' 'x' >body
run 0 copse post "$at/large-post" @body --block 64
head -c 1280 </dev/zero | tr '\0' 'X' | cmp - out
run 0 copse get "$at/large" -b 16 -o large
[ "$(wc -c <large)" = 1280 ] || fail "the whole of it: $(wc -c <large)"
run 0 copse post "$at/large-create" @body --block 64 -i
location=$(sed -n 's/^Location-Path: //p' out | paste -sd/)
run 0 copse get "$at/$location"
same body out
run 0 copse get "$at/separate" -v
err_has '< .* ACK 0.00 Empty'
err_has '< .* CON 2.05'
err_has '> .* ACK 0.00 Empty'
run 0 copse get "$at/separate" -N

# FETCH, PATCH and iPATCH go out as such, and an answer of 4.05 is one.
for method in fetch:0.05 patch:0.06 ipatch:0.07; do
	run 4 copse "${method%:*}" "$at/test" '{}' -t json -v
	err_has "> .* CON ${method#*:} "
	err_has '< .* 4.05'
done

# Nobody wants an answer: none is waited for.
run 0 copse post "$at/test" told --no-response -v
out_is_empty
err_has '> .* NON 0.02 POST .*No-Response 26'
run 0 copse get "$at/test" --worth telemetry -v
err_has '> .* NON 0.01 GET'
run 1 copse get "$at/test" --worth little
err_has 'none of telemetry'

# Notifications, with what was put in between; and the end by an error.
start watching copse observe "$at/obs" --json
watching=$started
until_ok grep -q 2.05 watching.log
run 0 copse put "$at/obs" 'New value' -t 0
until_ok grep -q '"payload":"New value"' watching.log
kill -INT "$watching"
code=0
wait "$watching" || code=$?
[ "$code" = 0 ] || fail "ended with $code: $(cat watching.log)"
start until_gone copse observe "$at/obs"
watching=$started
until_ok test -s until_gone.log
run 0 copse delete "$at/obs"
code=0
wait "$watching" || code=$?
[ "$code" = 4 ] || fail "the resource is gone: $code"

# bash completes commands, options and files.
source <(copse completion)
complete_words() {
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_copse 2>/dev/null || true
	echo "${COMPREPLY[*]}"
}
[ "$(complete_words copse obs)" = observe ] || fail "completion of a command: $(complete_words copse obs)"
[ "$(complete_words copse get --acc)" = --accept= ] || fail "completion of an option: $(complete_words copse get --acc)"
[ "$(complete_words copse session cl)" = close ] || fail "completion of a word: $(complete_words copse session cl)"
[ "$(complete_words copse put coap://h/ @bod)" = @body ] || fail "completion of a file: $(complete_words copse put coap://h/ @bod)"
