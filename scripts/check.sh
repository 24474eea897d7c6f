#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: everything that CI runs, with one count at the end. Each part ends
# with a line "part: N passed, N failed"; a part that doesn't has failed.

. "$(dirname "$0")/lib.sh"

work=$(mktemp -d)
# shellcheck disable=SC2046 # a word for each job
trap 'kill $(jobs -p) 2>/dev/null || :; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
passed=0
failed=0

# run PART [ARGUMENT...]: run that script; what it prints on standard output goes to
# $work/PART.
run() {
	say "== $*"
	"$top/scripts/$1.sh" "${@:2}" >"$work/$1" || :
	count "$1"
}

# count PART: its points.
count() {
	local last

	last=$(tail -n 1 "$work/$1")
	say "$last"
	if [[ $last =~ ^$1:\ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
	else
		say "$1 did not come to its end"
		failed=$((failed + 1))
	fi
}

run kunit
run umltest
# These only build and read: beside the VMs, which wait much of the time.
for part in lint maketest; do
	nice -n 19 "$top/scripts/$part.sh" >"$work/$part" 2>"$work/$part.errors" &
done
run vmtest
run snapshottest
# The races of check-debug, which no other kernel would notice.
KERNEL=debug CPUS=4 DURATION=${DURATION:-180} run vmtest debug-races
wait
for part in lint maketest; do
	say "== $part"
	cat "$work/$part.errors" >&2
	count "$part"
done
echo "check: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
