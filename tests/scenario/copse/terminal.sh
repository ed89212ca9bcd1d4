#!/usr/bin/env bash
# What differs on a terminal: colour, safe payloads, a last newline, the progress bar.
set -euo pipefail
source "$(dirname "$0")/stage.bash"
foreign_server

# on_terminal COMMAND: what it shows on a terminal, all of it, in the file `seen`.
cat >terminal.py <<'PY'
import os, pty, subprocess, sys
master, slave = pty.openpty()
child = subprocess.Popen(sys.argv[1], shell=True, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
os.close(slave)
try:
    while data := os.read(master, 65536):
        sys.stdout.buffer.write(data)
except OSError:  # nobody has the terminal open any more
    pass
child.wait()
PY
on_terminal() {
	python3 terminal.py "$*" | tr -d '\r' >seen
}

copse put "$at/text" 'plain'
on_terminal copse get "$at/text"
[ "$(od -An -c <seen | tr -d ' \n')" = 'plain\n' ] || fail "a newline at the end: $(od -c <seen)"
copse put "$at/evil" "$(printf 'a\033[31mb\007')"
on_terminal copse get "$at/evil"
grep -q $'\033' seen && fail "a control sequence reached the terminal: $(od -c <seen)"
copse get "$at/evil" >raw
grep -q $'\033' raw || fail "and is kept elsewhere"
head -c 64 /dev/urandom >bytes
copse put "$at/bytes" @bytes
on_terminal copse get "$at/bytes"
grep -q '^000000 ' seen || fail "bytes are shown as such: $(cat seen)"

# Colour on a terminal, unless NO_COLOR or --color says no; elsewhere only on demand.
on_terminal copse get "$at/text" -i
grep -q $'\033\[32m2.05 Content' seen || fail "colour: $(cat -v seen)"
NO_COLOR=1 on_terminal copse get "$at/text" -i
grep -q $'\033' seen && fail "NO_COLOR"
on_terminal copse get "$at/text" -i --color never
grep -q $'\033' seen && fail "--color never"
copse get "$at/text" -i >raw
grep -q $'\033' raw && fail "no colour into a pipe"
copse get "$at/text" -i --color always | grep -q $'\033' || fail "--color always"

# A transfer of more than a second shows how far it is, and wipes that off; not into a pipe.
cat >slow.py <<'PY'
import random, socket, sys, time
server = (sys.argv[1], int(sys.argv[2]))
near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
near.bind((sys.argv[1], 0))
far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(near.getsockname()[1], flush=True)
while True:
    data, client = near.recvfrom(4096)
    time.sleep(0.02)
    far.sendto(data, server)
    near.sendto(far.recv(4096), client)
PY
head -c 6000 /dev/urandom >body
start slow python3 slow.py "$address" "$port"
until_ok grep -q . slow.log
via=coap://$address:$(cat slow.log)
on_terminal copse put "$via/slow" @body --block 64
grep -q 'sent \[#' seen || fail "no progress bar: $(cat -v seen)"
tail -c 20 seen | grep -q $'\033\[K' || fail "it is not wiped off: $(tail -c 40 seen | cat -v)"
on_terminal copse get "$via/slow" --block 64 -o got
grep -q 'received ' seen || fail "no progress bar: $(cat -v seen)"
same body got
run 0 copse get "$via/slow" --block 64 -o got
err_is_empty
