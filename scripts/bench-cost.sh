#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-cost.sh [CHECKOUT...]: what /dev/rngquota costs beside /dev/urandom on
# Debian's stock kernel, for the module of each CHECKOUT (this one if none is
# given), and what changed between the first and the others:
#
#  - instructions a call, which QEMU counts, so that the figures are exact;
#  - two readers on two emulated CPUs against one, which is as exact as
#    the machine is quiet.

. "$(dirname "$0")/bench/vm.sh"

[ $# -gt 0 ] || set -- "$top"
for checkout; do
	[ -x "$checkout/scripts/build-module.sh" ] ||
		die "$checkout is not a checkout of rngquota"
done
build_benchmark cost
results=$work/results
mkdir "$results"
count=0
for checkout; do
	count=$((count + 1))
	say "counting instructions: $checkout"
	run_vm "$checkout" cost instructions 600 -smp 1 \
		-accel tcg,thread=single -icount shift=0,sleep=off
	[ "$ended" = 0 ] || die "counting instructions failed: see above"
	mv "$work/measured" "$results/$count-cost"
	say "two readers against one: $checkout"
	undisturbed run_vm "$checkout" cost scaling 600 -smp 2 -accel tcg,thread=multi
	[ "$ended" = 0 ] || die "measuring two readers failed: see above"
	mv "$work/measured" "$results/$count-scaling"
done
count=0
for checkout; do
	count=$((count + 1))
	echo
	echo "$checkout, $(basename "$image")"
	before=
	[ "$count" = 1 ] || before=$results/1-cost
	awk -v before="$before" -f "$top/scripts/bench/cost.awk" \
		"$results/$count-cost" "$results/$count-scaling"
done
