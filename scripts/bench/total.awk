# SPDX-License-Identifier: GPL-2.0
#
# The rows of total.sh, from what bench/total.c measured.

BEGIN {
	split("read poll timer off", kinds, " ")
	name["read"] = "read()"
	name["poll"] = "poll()"
	name["timer"] = "a timer's function"
	name["off"] = "interrupts off"
	all = "all of these situations"
	split("16 1000 16384", sizes, " ")
	most_left[100] = 99
	most_left[10] = 95
	most_left[1] = 90
}

$1 == "read" { median[$2, $3] = $4 }

# Ways into a situation share its name: the longest of all.
$1 == "longest" {
	situation = $6
	for (i = 7; i <= NF; i++)
		situation = situation " " $i
	if (situation != all && !(situation in seen))
		situations[++nsituations] = situation
	seen[situation]
	has[situation, $2]
	if ($4 > longest[situation, $2, $3])
		longest[situation, $2, $3] = $4
}

# The longest of that kind, with so many members each.
function of_kind(situation, kind,    i, text, cost) {
	if (!((situation, kind) in has))
		return ""
	for (i = 1; i <= 3; i++) {
		cost = longest[situation, kind, sizes[i]] + 0
		text = text (i > 1 ? ", " : "") cost
		if (cost > 5000)
			reached = "no"
	}
	if (cost > 1.1 * longest[situation, kind, 16])
		reached = "no"
	return (measured ? "; " : "") name[kind] " " text
}

function situation_row(situation,    i) {
	reached = "yes"
	measured = ""
	for (i = 1; i <= 4; i++)
		measured = measured of_kind(situation, kinds[i])
	row("16, 1000 and 16 384 members of `total/`, " situation ": the longest",
		measured, "≤ 5000 instructions, with 16 384 ≤ 1.1 × with 16", reached)
}

function read_row(quota, what,    ratio) {
	ratio = median[quota, "limited"] / median[quota, "max"]
	row("a read of 32 bytes, quota " what ", `total/` limits and is not reached",
		sprintf("%d instructions, where `total/` is `max` %d: %.3f",
			median[quota, "limited"], median[quota, "max"], ratio),
		"≤ 1.10", ratio <= 1.1 ? "yes" : "no")
}

$1 == "left" {
	left[++nleft] = $3
	how[nleft] = $2 == "reading" ? "that read when they are woken" : \
		"that never read, beside one that sleeps in read()"
	percent[nleft] = 100 * (1 - $5 / $4)
	# Of so many refills there may be one more or less.
	had[nleft] = 100 * $6 / (1000 * int($4 / 1e6 / $3))
}

END {
	for (i = 1; i <= nsituations; i++)
		situation_row(situations[i])
	situation_row(all)
	for (i = 1; i <= nleft; i++)
		row("16 000 clients in an epoll " how[i] ", `total/` 1000 bytes / " left[i] \
			" ms: left of a CPU of 10⁹ instructions a second",
			sprintf("%.2f %%; they had %.2f %% of `total/`", percent[i], had[i]),
			"≥ " most_left[left[i]] " %",
			percent[i] >= most_left[left[i]] ? "yes" : "no")
	read_row("max", "`max`")
	read_row("1-GiB", "1 GiB/s")
}
