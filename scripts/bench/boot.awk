# SPDX-License-Identifier: GPL-2.0
#
# A row of the benchmarks' table for the guests "name", which it calls "text", from
# the lines that boot-host wrote; and a line for boot-plot, which goes to "drawn".

function sort(of, n,    i, j, x) {
	for (i = 2; i <= n; i++) {
		x = of[i]
		for (j = i; j > 1 && of[j - 1] > x; j--)
			of[j] = of[j - 1]
		of[j] = x
	}
}

$1 == name {
	n++
	asked[n] = $2 / 1e6
	ready[n] = $3 / 1e6
	waited[n] = $3 > $2 ? ready[n] - asked[n] : 0
	bytes[n] = $4
}

END {
	if (!n)
		exit 1
	sort(asked, n)
	sort(ready, n)
	sort(waited, n)
	sort(bytes, n)
	middle = int((n + 1) / 2)
	if (name ~ /[+]later$/) {
		printf "| guest without entropy, %s: bytes had 20 s after crng init done", text
		printf " | %d (%d ... %d, %d boots) |  | stated |\n", bytes[middle],
			bytes[1], bytes[n], n
		exit
	}
	printf "| guest without entropy, %s: crng init done after | %.1f s", text, ready[middle]
	if (n > 1)
		printf " (%.1f ... %.1f, %d boots)", ready[1], ready[n], n
	printf "; its init waited %.1f s", waited[middle]
	if (bytes[middle])
		printf "; %d bytes had", bytes[middle]
	printf " |  | stated |\n"
	printf "\"%s\" %.3f %.3f\n", text, asked[middle], ready[middle] >>drawn
}
