# SPDX-License-Identifier: GPL-2.0
#
# What the benchmarks' awk programs share.

# A row of bench.sh's table.
function row(what, measured, target, reached) {
	printf "| %s | %s | %s | %s |\n", what, measured, target, reached
}

# Put x into "of", which has been sorted so far; it has "count" with x.
function insert(of, count, x) {
	for (; count > 1 && of[count - 1] > x; count--)
		of[count] = of[count - 1]
	of[count] = x
}

# What the sorted "of" holds at the fraction "at".
function quantile(of, count, at) {
	return of[1 + int((count - 1) * at + 0.5)]
}
