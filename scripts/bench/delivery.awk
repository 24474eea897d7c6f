# SPDX-License-Identifier: GPL-2.0
#
# The rows of delivery.sh, from what bench/delivery.c and bench/lateness.c
# measured.

$1 == "delivery" {
	if (!($2 in periods))
		length_of[++lengths] = $2
	periods[$2] = $3
	ways[$2]++
	share = $5 / $6
	least[$2] = ways[$2] == 1 || share < least[$2] ? share : least[$2]
	most[$2] = ways[$2] == 1 || share > most[$2] ? share : most[$2]
	above[$2] = $7 > above[$2] ? $7 : above[$2]
}

# On User Mode Linux it is real time; elsewhere each nanosecond is an instruction.
function took(ns) {
	if (on == "")
		return ns
	return sprintf(ns < 1e6 ? "%.3f ms" : "%.2f ms", ns / 1e6)
}

function late(unit) {
	unit = on == "" ? " instructions" : ""
	return took($6) " and " took($7) unit ", longest " took($8) unit
}

$1 == "late" && $2 == "timerfd" { timerfd = late() }

$1 == "late" && $2 == "client" {
	target = on != "" && $3 == 1 ? "p99 ≤ 1 ms" : ""
	row(sprintf("lateness of a wake-up%s, p50 and p99, %d waiting, period %d ms",
			on == "" ? "" : " on " on, $3, $4),
		late() ", of " $5 ($3 == 1 ? "; a timerfd " timerfd : ""), target,
		target == "" ? "stated" : $7 <= 1e6 ? "yes" : "no")
}

END {
	for (l = 1; l <= lengths; l++) {
		p = length_of[l]
		excess = above[p] ? above[p] " bytes above" : "never above"
		row(sprintf("a greedy reader, 24 bytes / %d ms, %d periods, " \
			"%d ways to wait: had / allowed", p, periods[p], ways[p]),
			sprintf("%.4f … %.4f, %s", least[p], most[p], excess), "0.99 … 1.00, never above",
			least[p] >= 0.99 && most[p] <= 1 && !above[p] ? "yes" : "no")
	}
}
