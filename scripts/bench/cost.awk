# SPDX-License-Identifier: GPL-2.0
#
# The rows of cost.sh, from what bench/cost.c measured; "before" is the file
# of another module to compare with, which was measured for "first".

function name(call) {
	if (call == "open")
		return "open + close"
	if (call == "empty-read")
		return "a non-blocking read that finds nothing"
	if (call == "empty-poll")
		return "a poll that finds nothing"
	if (call >= 1048576)
		return "a read of " call / 1048576 " MiB"
	if (call >= 1024)
		return "a read of " call / 1024 " KiB"
	return "a read of " call " bytes"
}

function quota(source) {
	return source == "limited" ? "quota 1 GiB/s" : "quota `max`"
}

# Instructions, with how far the repetitions' means are apart.
$1 == "cost" {
	call = $2
	if (!(call in seen))
		calls[++ncalls] = call
	seen[call]
	sources[call] = sources[call] " " $3
	median[call, $3] = $4
	low = high = $5
	for (i = 6; i <= NF; i++) {
		low = $i < low ? $i : low
		high = $i > high ? $i : high
	}
	spread = 100 * (high - low) / low
	widest = call + 0 && spread > widest ? spread : widest
	mean[call, $3] = (low + high) / 2
}

# How many times as fast two readers are together.
$1 == "scaling" {
	if (!rounds[$2, $3]++ && $3 == "urandom")
		scaled[++nscaled] = $2
	factors[$2, $3, rounds[$2, $3]] = $5 / $4
}

function factor(what, size, round) {
	if (what == "relative")
		return factors[size, "max", round] / factors[size, "urandom", round]
	return factors[size, what, round]
}

# That of all rounds: the median, and between what it is with a confidence of 95 %,
# by the ranks of the binomial distribution.
function median_of(what, size,    i, n, of, ranks) {
	n = rounds[size, "urandom"]
	for (i = 1; i <= n; i++)
		insert(of, i, factor(what, size, i))
	ranks = 0.98 * sqrt(n)
	lowest = of[int(n / 2 - ranks)]
	return sprintf("%.3f (%.3f … %.3f)", quantile(of, n, 0.5), lowest,
		of[int(n / 2 + ranks + 1.5)])
}

BEGIN {
	while (before && (getline <before) > 0)
		median_before[$2, $3] = $4
}

function read_row(call, source,    ratio, most) {
	ratio = median[call, source] / median[call, "urandom"]
	most = call < 4096 ? 1.1 : 0.98
	row(name(call) ", " quota(source),
		sprintf("%d instructions, `/dev/urandom` %d: %.3f",
			median[call, source], median[call, "urandom"], ratio),
		call < 4096 ? "≤ 1.10, aim at 1.05" : "≤ 0.98",
		ratio <= most ? "yes" : "no")
}

function empty_row(call,    most) {
	most = median[32, "urandom"]
	row(name(call), sprintf("%d instructions", median[call, "emptied"]),
		"≤ " most ", a read of 32 bytes of `/dev/urandom`",
		median[call, "emptied"] <= most ? "yes" : "no")
}

function open_row() {
	row("open + close", sprintf("%d instructions (%d with what is left for later), " \
		"an eventfd %d (%d), `/dev/urandom` %d (%d)",
		median["open", "max"], mean["open", "max"],
		median["open", "eventfd"], mean["open", "eventfd"],
		median["open", "urandom"], mean["open", "urandom"]), "", "stated")
}

function scaling_row(size,    each, relative) {
	each = median_of("max", size) " times one's, `/dev/urandom` " \
		median_of("urandom", size)
	relative = median_of("relative", size)
	row("two readers on two CPUs, " size " bytes", each ": " relative,
		"≥ 0.97", lowest >= 0.97 ? "yes" : "no")
}

function change_row(call, source,    old, new) {
	old = median_before[call, source]
	new = median[call, source]
	if (source == "urandom" || source == "eventfd" || !old)
		return
	row(name(call) (source == "emptied" ? "" : ", " quota(source)) ", against " first,
		sprintf("%d, was %d: %+d (%+.2f %%)", new, old, new - old,
			100 * (new - old) / old), "", "stated")
}

END {
	for (c = 1; c <= ncalls; c++) {
		call = calls[c]
		if (call == "open") {
			open_row()
		} else if (call + 0) {
			read_row(call, "max")
			read_row(call, "limited")
		} else {
			empty_row(call)
		}
	}
	for (c = 1; c <= nscaled; c++)
		scaling_row(scaled[c])
	for (c = 1; before && c <= ncalls; c++) {
		n = split(sources[calls[c]], source, " ")
		for (i = 1; i <= n; i++)
			change_row(calls[c], source[i])
	}
	printf "the means of the reads differ between repetitions by %.2f %% or less\n",
		widest > "/dev/stderr"
}
