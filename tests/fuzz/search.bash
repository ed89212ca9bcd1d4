#!/usr/bin/env bash
# search.bash PROGRAM CORPUS FOUND OPTION...: let libFuzzer search from a corpus in the same way each time and everywhere: the same
# seed, the files in the order of their names, nothing of what an earlier search has found. libFuzzer learns from the pointers that
# the code compares, so that memory has to lie at the same addresses, too, as far as the machine allows: without randomization, and
# with arguments and environment (which lie above the stack) of the same length. What makes it fail is moved to FOUND.
set -euo pipefail
program=$(realpath "$1") corpus=$(realpath "$2") found=$3
shift 3
mkdir -p "$found"
found=$(realpath "$found")
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
cd "$new"
mkdir corpus
cp "$program" target
export LC_ALL=C
for file in "$corpus"/*; do
	cp "$file" "in-${file##*/}"
done
printf '%s\n' in-* | paste -sd, >inputs
truncate -s -1 inputs
fixed=()
if setarch -R true 2>/dev/null; then
	fixed=(setarch -R)
fi
status=0
env -i PATH=/usr/bin:/bin "${fixed[@]}" ./target -seed=1 -reload=0 -seed_inputs=@inputs -timeout=20 -rss_limit_mb=1024 -print_final_stats=1 \
	-verbosity=0 -artifact_prefix=./found- "$@" corpus || status=$?
for file in found-*; do
	if [ -e "$file" ]; then
		mv "$file" "$found/${file#found-}"
		echo "search: kept as $found/${file#found-}"
	fi
done
exit "$status"
