# SPDX-License-Identifier: GPL-2.0
#
# The rows of clients.sh, from what bench/clients.c measured.

function call_row(what, call, target, most,    change) {
	change = 100 * (median[call, 10000] - median[call, 0]) / median[call, 0]
	row(what " with 10 000 clients open",
		sprintf("%d instructions, with this one alone %d: %+.2f %%",
			median[call, 10000], median[call, 0], change),
		target, change <= most && change >= -most ? "yes" : "no")
}

# Those of the rounds' costs in this line.
function look_at_rounds(    i, of) {
	rounds = NF - 4
	for (i = 1; i <= rounds; i++)
		insert(of, i, $(i + 4))
	middle = quantile(of, rounds, 0.5)
	lowest = of[1]
	highest = of[rounds]
}

function idle_row(what) {
	row(what ", 10 s of an idle machine",
		sprintf("%d timers armed, %d calls of the module; %d instructions " \
			"(%d … %d), without the module %d (%d … %d)", $3, $4, middle,
			lowest, highest, plain, plain_lowest, plain_highest),
		"0 timers, no difference", !$3 && !$4 && middle >= plain_lowest &&
			middle <= plain_highest ? "yes" : "no")
}

$1 == "call" { median[$2, $3] = $4 }

$1 == "memory" {
	pages = $2
	slab = $3
}

$1 == "slab" && $3 > 50 {
	# The name of that cache looks like a misspelt word.
	sub(/^fi.p$/, "files", $2)
	caches = caches sprintf("%s %s %d", caches ? "," : "", $2, $3)
}

$1 == "idle" { look_at_rounds() }

$1 == "idle" && $2 == "no-module" {
	plain = middle
	plain_lowest = lowest
	plain_highest = highest
}

$1 == "idle" && $2 == "full" {
	call_row("open + close", "open", "± 10 %", 10)
	row("memory a client, sysfs folder included",
		sprintf("%d bytes, %d of them slab:%s", pages, slab, caches),
		"≤ 6 KiB, aim at 4", pages <= 6144 ? "yes" : "no")
	call_row("a read of 32 bytes", "read", "± 2 %", 2)
	idle_row("10 000 idle clients")
}

$1 == "idle" && $2 == "emptied" {
	idle_row("10 000 out of quota, nobody waiting")
}

$1 == "waiting" {
	row("10 000 waiting, 24 bytes / 5000 ms: CPU a delivered byte",
		sprintf("%.0f instructions (%.0f a delivery, of %d)", $4 / $2, $4 / $3, $3),
		"", "stated")
}

# At either end one may be woken that has not read yet.
$1 == "woken" {
	row("10 000 waiting, 24 bytes / 5000 ms: wake-ups",
		sprintf("%d for %d deliveries", $3, $2), "as many, ± 2 at the edges",
		$3 - $2 <= 2 && $2 - $3 <= 2 ? "yes" : "no")
}
