#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: everything that CI runs, with one count at the end. Each part ends
# with a line "part: N passed, N failed"; a part that doesn't has failed.

. "$(dirname "$0")/lib.sh"

passed=0
failed=0
# run PART [ARGUMENT...]: run that script, and count its points.
run() {
	local part=$1 last

	say "== $*"
	last=$("$top/scripts/$part.sh" "${@:2}" | tail -n 1) || :
	say "$last"
	if [[ $last =~ ^$part:\ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
	else
		say "$part did not come to its end"
		failed=$((failed + 1))
	fi
}

for part in lint maketest kunit umltest vmtest snapshottest; do
	run "$part"
done
# The races of check-debug, which no other kernel would notice.
KERNEL=debug CPUS=4 DURATION=${DURATION:-180} run vmtest debug-races
echo "check: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
