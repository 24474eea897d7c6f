#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# total.sh: what 16, 1000 and 16 384 clients that share total/ cost each other
# and everybody else on Debian's stock kernel, as rows of bench.sh's table: how long
# calls, timers and sections with interrupts off are at the worst moments and under
# attack, what is left of a CPU, and what a limit costs that is not reached.
# Instructions are counted by QEMU.

. "$(dirname "$0")/../lib/bench.sh"

build_benchmark total
build_helper sections
say "16 384 clients share total/; this takes about three minutes"
run_vm "$top" total '' 600 "${counting_instructions[@]}" -m 2G >&2
awk -f "$top/scripts/bench/table.awk" \
	-f "$top/scripts/bench/total.awk" "$work/measured"
