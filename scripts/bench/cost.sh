#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# cost.sh [CHECKOUT...]: what /dev/rngquota costs beside /dev/urandom on
# Debian's stock kernel, as rows of bench.sh's table:
#
#  - instructions a call, which QEMU counts, so that the figures are exact;
#  - two readers on two emulated CPUs against one, which is as exact as
#    the machine is quiet.
#
# That is for the module of each CHECKOUT, this one if none is given; and from the
# second on what changed against the first.

. "$(dirname "$0")/../lib/bench.sh"

[ $# -gt 0 ] || set -- "$top"
for checkout; do
	[ -x "$checkout/scripts/build/build-module.sh" ] ||
		die "$checkout is not a checkout of rngquota"
done
build_benchmark cost
before=
for checkout; do
	say "counting instructions: $checkout"
	run_vm "$checkout" cost instructions 600 "${counting_instructions[@]}" >&2
	mv "$work/measured" "$work/instructions"
	say "two readers against one: $checkout"
	# From one boot to the next memory lies elsewhere.
	for _ in {1..3}; do
		undisturbed run_vm "$checkout" cost scaling 600 -smp 2 -accel tcg,thread=multi >&2
		cat "$work/measured" >>"$work/scaling"
	done
	awk -v before="$before" -v first="$1" -f "$top/scripts/bench/table.awk" \
		-f "$top/scripts/bench/cost.awk" "$work/instructions" "$work/scaling"
	rm "$work/scaling"
	if [ -z "$before" ]; then
		before=$work/before
		mv "$work/instructions" "$before"
	fi
done
