#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-debug.sh: everything again on a kernel that looks for errors, and what
# only such a kernel can show: injected faults, races, garbage. It ends with a
# table of what was tried, how often, for how long, and what was found, and
# with a line that counts test points. DURATION is how long the races go on, in
# seconds; SEED repeats what is random.

. "$(dirname "$0")/../lib/common.sh"

export KERNEL=debug
log=$cache/vmtest-debug.log
table=$(mktemp)
trap 'rm -f "$table"' EXIT
trap 'exit 130' INT TERM
passed=0
failed=0

# run CPUS TEST...: boot a VM for the tests, and add to the table.
run() {
	local last

	rm -f "$log"
	last=$(CPUS=$1 "$top/scripts/test/vmtest.sh" "${@:2}" | tail -n 1) || :
	say "$last"
	if [[ $last =~ ^vmtest:\ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		passed=$((passed + BASH_REMATCH[1]))
		failed=$((failed + BASH_REMATCH[2]))
	else
		failed=$((failed + 1))
	fi
	[ ! -e "$log" ] || awk -v cpus="$1" -f "$top/scripts/test/vm/table.awk" "$log" >>"$table"
}

run 2 '!(debug-races)'
run 4 debug-races
echo "| tried | how often | how long | CPUs | found |"
echo "|---|---|---|---|---|"
cat "$table"
echo "check-debug: $passed passed, $failed failed"
[ "$failed" = 0 ]
