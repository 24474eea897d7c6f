#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kunit.sh [SEED]: load the KUnit suites on User Mode Linux and have the kernel's
# own kunit.py read what they print. SEED repeats the random walk that printed
# it. The last line counts test cases.

. "$(dirname "$0")/../lib/boot.sh"

need busybox-static kmod python3
source=$("$top/scripts/build/kernel-source.sh")
tree=$("$top/scripts/build/uml-kernel.sh" tests)
module=$("$top/scripts/build/build-module.sh" "$tree" ARCH=um KUNIT=1 SEED="${1-}")

# Modules print no plan: the number of suites is told by the sources.
cat >"$work/init" <<EOF
#!/bin/sh
echo "suites follow"
echo "KTAP version 1"
echo "1..$(cat "$top"/kunit/*.c | grep -c '^kunit_test_suite(')"
/sbin/insmod "$module/rngquota_kunit.ko"
exec busybox poweroff -f
EOF
chmod +x "$work/init"

run_uml "$tree" 60 64 "$work/init" kunit.enable=1 >"$work/console"
# The kernel, too, has printed a header, for the suites that it has: none.
tr -d '\r' <"$work/console" | sed '1,/^suites follow$/d' >"$cache/kunit.ktap"

status=0
python3 "$source/tools/testing/kunit/kunit.py" parse "$cache/kunit.ktap" \
	>"$work/parsed" || status=$?
if [ -n "${VERBOSE-}" ]; then
	cat "$work/parsed" >&2
elif [ "$status" != 0 ]; then
	grep -v "\[PASSED\]" "$work/parsed" >&2 || :
fi
grep -o 'SEED=.*' "$cache/kunit.ktap" >&2 || :
# "Testing complete. Ran 88 tests: passed: 88"
count() {
	grep 'Testing complete' "$work/parsed" | grep -o "$1: [0-9]*" |
		grep -o '[0-9]*$' || echo 0
}
failed=$(($(count failed) + $(count crashed) + $(count errors)))
[ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
[ "$failed" = 0 ] || say "all output is in $cache/kunit.ktap"
echo "kunit: $(count passed) passed, $failed failed"
[ "$failed" = 0 ]
