#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# umltest.sh: boot User Mode Linux with the module and test what only a kernel
# can show whose random number generator is not initialized yet.
#
# The last line counts test points. A program that doesn't come to its end, or
# ends badly without a failed point, counts as one that failed. COVERAGE=FOLDER
# has the module count its lines, and puts the counts of each boot into a folder there.

. "$(dirname "$0")/../lib/boot.sh"

need busybox-static gcc kmod libc6-dev liburing-dev
tree=$("$top/scripts/build/uml-kernel.sh" tests)
module=$("$top/scripts/build/build-module.sh" "$tree" ARCH=um "${counting[@]}")

cp "$module/rngquota.ko" "$work/"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -pthread -o "$work/crng" \
	"$top"/scripts/test/uml/crng.c "$top"/scripts/test/system/{rngq,tap}.c -luring

passed=0
failed=0

# boot ENVIRONMENT...: run the test in a kernel of its own, and count.
boot() {
	local ok not_ok

	say "booting User Mode Linux, its random number generator not initialized"
	run_uml "$tree" "${UMLTEST_SECONDS:-60}" 128 "$top/scripts/test/uml/init" quiet \
		program=crng ${COVERAGE:+COVERAGE=yes} "$@" >"$work/console"
	[ ! -d "$work/coverage" ] || mv -T "$work/coverage" "$COVERAGE/uml${*:+-$*}"
	touch "$work/tap" "$work/log"
	ok=$(grep -c '^ok ' "$work/tap") || :
	not_ok=$(grep -c '^not ok ' "$work/tap") || :
	if [ "$not_ok" = 0 ] && { [ "$ok" = 0 ] ||
		! grep -qx "1\.\.$ok" "$work/tap" ||
		! grep -qx '# exit code 0' "$work/tap"; }; then
		say "the test did not come to its end"
		not_ok=1
	fi
	trouble=$(grep -E 'WARNING|BUG|Oops|Call Trace|INFO: ' "$work/log") || :
	if [ -n "$trouble" ]; then
		say "the kernel's log has: $trouble"
		not_ok=$((not_ok + 1))
	fi
	if [ "$not_ok" != 0 ]; then
		cp "$work/tap" "$cache/umltest.log"
		cat "$work/console" "$work/log" >"$cache/umltest-console.log"
		grep -A1 '^not ok ' "$work/tap" >&2 || tail -n 20 "$work/console" >&2
		say "all output is in $cache/umltest.log and $cache/umltest-console.log"
	elif [ -n "${VERBOSE-}" ]; then
		cat "$work/tap" >&2
	fi
	rm -rf "$work"/{tap,log}
	passed=$((passed + ok))
	failed=$((failed + not_ok))
}

boot
boot race=yes
echo "umltest: $passed passed, $failed failed"
[ "$failed" = 0 ]
