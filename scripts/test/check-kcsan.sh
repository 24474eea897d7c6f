#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-kcsan.sh: the races, and the other tests that do much at once, on a
# kernel that looks for data races (KCSAN), with 4 CPUs. A report on an access of
# the module fails and is shown whole; others are the kernel's own, and are
# counted. DURATION is how long the races go on, in seconds.

. "$(dirname "$0")/../lib/common.sh"

export KERNEL=kcsan CPUS=${CPUS:-4}
log=$cache/vmtest-kcsan-console.log
reports=$(mktemp -d)
trap 'rm -rf "$reports" "$reports.others"' EXIT
trap 'exit 130' INT TERM

rm -f "$log"
last=$("$top/scripts/test/vmtest.sh" debug-races process-stress device-stress total-live \
	sysfs-live | tail -n 1) || :
say "$last"
[[ $last =~ ^vmtest:\ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]] ||
	die "the VM did not come to its end"
passed=${BASH_REMATCH[1]}
failed=${BASH_REMATCH[2]}

# A report begins with its name and ends with a line of "=".
sed 's/\r$//; s/^\[ *[0-9.]*\] //' "$log" | awk -v folder="$reports" '
	/^==========/ { report = "" }
	/^BUG: KCSAN: / { report = folder "/" ++reports }
	report { print >report }'
# A report is ours if the module, or what it called, made a plain access. What is
# marked (READ_ONCE(), atomic) is as it should be: the other side is at fault. One
# that a function of the kernel made deeper down is taken for the kernel's.
ours() {
	awk '/ by (task|interrupt) / { frames = /\(marked/ ? 2 : 0 }
		/^ .*\+0x/ && ++frames <= 2 && /\[rngquota\]/ { found = 1 }
		END { exit !found }' "$1"
}
shopt -s nullglob
races=0
for report in "$reports"/*; do
	if ours "$report"; then
		cat "$report" >&2
		races=$((races + 1))
	else
		head -n 1 "$report" >>"$reports.others"
	fi
done
touch "$reports.others"
say "the kernel's own data races, which are not judged here:"
sort "$reports.others" | uniq -c | sort -rn | head -n 20 >&2
grep '^# row: races' "$cache/vmtest-kcsan.log" >&2 || :
say "data races in the module: $races, in the rest of the kernel: $(wc -l <"$reports.others")"
if [ "$races" = 0 ]; then
	passed=$((passed + 1))
else
	failed=$((failed + races))
fi
echo "check-kcsan: $passed passed, $failed failed"
[ "$failed" = 0 ]
