#!/usr/bin/env bash
# Bodies larger than a message, both ways, against a foreign server.
set -euo pipefail
source "$(dirname "$0")/stage.bash"
foreign_server

head -c 100000 /dev/urandom >big
run 0 copse put "$at/big" @big
err_is_empty
run 0 copse get "$at/big" -o got
same big got
for size in 16 64 1024; do
	head -c 5000 big >body
	run 0 copse put "$at/small" @body --block "$size" -v
	err_has "Block1 1/1/$size"
	run 0 copse get "$at/small" --block "$size" -v
	same body out
	err_has "> .*Block2 0/0/$size"
	err_has "< .*Block2 1/1/$size"
done

# A single block, as coap-client has it.
run 0 copse -m get -b 2,64 "$at/small"
dd if=body bs=64 skip=2 count=1 status=none | cmp - out

# From a pipe; the length is not known before it ends.
head -c 30000 big | copse put "$at/piped" @-
run 0 copse get "$at/piped"
head -c 30000 big | cmp - out

# A transfer is captured as it was, and tshark dissects it.
run 0 copse get "$at/small" --block 1024 --pcap seen.pcap
same body out
tshark -r seen.pcap -d "udp.port==$port,coap" -T fields -e coap.code -e coap.opt.block_number >dissected 2>/dev/null
[ "$(grep -c '^1' dissected)" = 5 ] || fail "five requests were to be captured: $(cat dissected)"
[ "$(grep -c '^69' dissected)" = 5 ] || fail "five answers were to be captured: $(cat dissected)"
tshark -r seen.pcap -d "udp.port==$port,coap" -Y '_ws.malformed || udp.checksum.status == 0 || ip.checksum.status == 0' \
	-o udp.check_checksum:TRUE -o ip.check_checksum:TRUE 2>/dev/null | { ! grep .; } || fail "bad packets in the capture"
run 1 copse get "$at/small" --pcap /nowhere/x
err_has 'cannot write /nowhere/x'
