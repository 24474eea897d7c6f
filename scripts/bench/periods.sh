#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# periods.sh [PICTURE]: what the same rate is like in different periods, to
# a benign guest and to a greedy one, on Debian's stock kernel in QEMU. Waiting
# takes no time there: an hour is over in seconds. Prints rows of the benchmarks'
# table and draws an SVG in PICTURE, ./periods.svg if not given.

. "$(dirname "$0")/../lib/bench.sh"

picture=$(realpath -m -- "${1-periods.svg}")
[ -w "$(dirname "$picture")" ] ||
	die "there is no writable folder $(dirname "$picture") for the picture"
need gnuplot-nox
build_benchmark periods
say "booting $(basename "$image"): the same rate, different periods"
run_vm "$top" periods '' 300 -smp 1 -accel tcg,thread=single \
	-icount shift=0,sleep=off
[ "$ended" = 0 ] || die "the benchmark failed: see above"
gnuplot -c "$top/scripts/bench/periods-plot" "$work/measured" >"$work/picture" ||
	die "the picture could not be drawn"
cp "$work/picture" "$picture"
say "picture: $picture"
