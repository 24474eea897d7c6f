#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: everything that CI runs, with one count at the end. Each part ends
# with a line "part: N passed, N failed"; a part that doesn't has failed.

. "$(dirname "$0")/../lib/common.sh"

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
	"$top/scripts/test/$1.sh" "${@:2}" >"$work/$1" || :
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

# These two only read and build, and don't mind each other.
"$top/scripts/test/maketest.sh" >"$work/maketest" 2>"$work/errors" &
run lint
wait
say "== maketest"
cat "$work/errors" >&2
count maketest
for part in kunit umltest vmtest snapshottest; do
	run "$part"
done
# The races of check-debug, which no other kernel would notice.
KERNEL=debug CPUS=4 DURATION=${DURATION:-180} run vmtest debug-races
echo "check: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
