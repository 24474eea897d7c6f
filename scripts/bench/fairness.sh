#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fairness.sh [PICTURE]: let 100 clients share a total/ that is too small
# for them, on Debian's stock kernel in QEMU (emulated, 2 CPUs), also beside some
# that would like to spoil it; tell who got what on the standard error, print the
# figures as rows of bench.sh's table, and draw an SVG in PICTURE, ./fairness.svg if
# not given. It takes some seven minutes.

. "$(dirname "$0")/../lib/bench.sh"

picture=$(realpath -m -- "${1-fairness.svg}")
[ -w "$(dirname "$picture")" ] ||
	die "there is no writable folder $(dirname "$picture") for the picture"
need gnuplot-nox
build_benchmark fairness
say "booting $(basename "$image"); the whole run takes about seven minutes"
# Who gets no CPU comes too late for its share.
undisturbed run_vm "$top" fairness '' 600 -accel tcg,thread=multi -smp 2 >&2
gnuplot -c "$top/scripts/bench/fairness-plot" "$work/measured" >"$work/picture" ||
	die "the picture could not be drawn"
cp "$work/picture" "$picture"
say "picture: $picture"
sed -n 's/^row //p' "$work/measured"
