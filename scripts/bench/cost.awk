# SPDX-License-Identifier: GPL-2.0
#
# The tables of bench-cost.sh, from what bench/cost.c measured; "before" is the
# file of another module to compare with.

function name(call) {
	return call == "open" ? "open + close" : "read of " call
}

# What the sorted "of" holds at the fraction "at".
function quantile(of, count, at) {
	return of[1 + int((count - 1) * at + 0.5)]
}

# Instructions, with how far the repetitions' means are apart.
$1 == "cost" {
	call = $2
	source = $3
	if (!(call in seen))
		calls[++ncalls] = call
	seen[call]
	median[call, source] = $4
	low = high = $5
	for (i = 6; i <= NF; i++) {
		low = $i < low ? $i : low
		high = $i > high ? $i : high
	}
	spread = 100 * (high - low) / low
	if (call != "open")
		widest = spread > widest ? spread : widest
}

# How many times as fast two readers are together.
$1 == "scaling" {
	call = $2
	source = $3
	if (!((call, source) in rounds) && source == "urandom")
		scaled[++nscaled] = call
	factor[call, source, ++rounds[call, source]] = $5 / $4
}

function show_factor(call, source,    i, j, n, x, of) {
	n = rounds[call, source]
	for (i = 1; i <= n; i++) {
		x = factor[call, source, i]
		for (j = i; j > 1 && of[j - 1] > x; j--)
			of[j] = of[j - 1]
		of[j] = x
	}
	printf "   %5.2f (%.2f ... %.2f)", quantile(of, n, 0.5), quantile(of, n, 0.25),
		quantile(of, n, 0.75)
}

BEGIN {
	while (before && (getline <before) > 0)
		median_before[$2, $3] = $4
}

function show_change(call, source,    old, new) {
	old = median_before[call, source]
	new = median[call, source]
	printf " %9d %9d %+6d %+7.2f %%", old, new, new - old, 100 * (new - old) / old
}

END {
	printf "\n  instructions a call        /dev/urandom   /dev/rngquota, max"
	printf "   /dev/rngquota, limited\n"
	for (c = 1; c <= ncalls; c++) {
		call = calls[c]
		printf "  %-24s %14d %11d %8.4f %14d %9.4f\n", name(call),
			median[call, "urandom"],
			median[call, "max"], median[call, "max"] / median[call, "urandom"],
			median[call, "limited"], median[call, "limited"] / median[call, "urandom"]
	}
	printf "  (medians; the means of the reads differ between repetitions by %.2f %% or less)\n", widest
	if (before) {
		printf "\n  against the first     /dev/rngquota, max: before, now, change"
		printf "      limited: before, now, change\n"
		for (c = 1; c <= ncalls; c++) {
			printf "  %-18s", name(calls[c])
			show_change(calls[c], "max")
			show_change(calls[c], "limited")
			printf "\n"
		}
	}
	printf "\n  two readers, of one        /dev/urandom   /dev/rngquota, max\n"
	for (c = 1; c <= nscaled; c++) {
		printf "  %-18s", name(scaled[c])
		show_factor(scaled[c], "urandom")
		show_factor(scaled[c], "max")
		printf "\n"
	}
	printf "  (medians and quartiles of %d rounds)\n", rounds[scaled[1], "urandom"]
}
