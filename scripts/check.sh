#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check.sh: everything that CI runs, with one count at the end. Each part ends
# with a line "part: N passed, N failed"; a part that doesn't has failed.

. "$(dirname "$0")/lib.sh"

passed=0
failed=0
for part in lint maketest kunit umltest vmtest; do
	say "== $part"
	last=$("$top/scripts/$part.sh" | tail -n 1) || :
	say "$last"
	if [[ $last =~ ^$part:\ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
	else
		say "$part did not come to its end"
		failed=$((failed + 1))
	fi
done
echo "check: $passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
