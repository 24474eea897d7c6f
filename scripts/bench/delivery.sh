#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# delivery.sh: what a greedy reader gets of what it is allowed, on Debian's
# stock kernel in a QEMU that counts instructions; and how late after a refill one
# is back that waited for it, on User Mode Linux and there. Rows of bench.sh's table.

. "$(dirname "$0")/../lib/bench.sh"

# measure_on_uml NAME SECONDS: boot User Mode Linux with the module and run $work/NAME;
# what it prints goes to $work/tap. It comes before all else that this machine does,
# if it may, and even at once: it waits most of the time.
measure_on_uml() {
	uml_first=(chrt --fifo 50)
	"${uml_first[@]}" true 2>/dev/null || uml_first=()
	cp "$module/rngquota.ko" "$work/"
	rm -f "$work/tap"
	run_uml "$tree" "$2" 512 "$top/scripts/test/uml/init" quiet "program=$1" \
		>"$work/console"
	if ! grep -qsx '# exit code 0' "$work/tap"; then
		tail -n 20 "$work/console" "$work/tap" >&2 || :
		die "the benchmark failed on User Mode Linux, or took more than $2 s"
	fi
}

tree=$("$top/scripts/build/uml-kernel.sh" tests)
module=$("$top/scripts/build/build-module.sh" "$tree" ARCH=um)
build_benchmark delivery
build_benchmark lateness
say "greedy readers in periods of 1 ms ... 5 s"
run_vm "$top" delivery '' 300 "${counting_instructions[@]}" >&2
mv "$work/measured" "$work/delivered"
say "lateness, counted in instructions"
run_vm "$top" lateness '' 300 "${counting_instructions[@]}" >&2
say "lateness on User Mode Linux; this takes a minute"
undisturbed measure_on_uml lateness 180
awk -f "$top/scripts/bench/table.awk" -f "$top/scripts/bench/delivery.awk" \
	on="User Mode Linux" "$work/tap" on= "$work/measured" "$work/delivered"
