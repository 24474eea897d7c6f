# SPDX-License-Identifier: GPL-2.0
#
# From what prove says, a row of check-debug's table for each line "# row:
# WHAT | HOW OFTEN | SECONDS s" of a program, with what the program found; one
# row for all programs without.

function row(what, how_often, how_long, failures) {
	printf "| %s | %s | %s | %s | %s |\n", what, how_often, how_long, cpus,
		failures ? failures " failures" : "nothing"
}

function end_of_program(    i) {
	# It has ended badly without a failed point.
	if (bad && !failures)
		failures = 1
	for (i = 1; i <= rows; i++) {
		split(tried[i], field, / \| /)
		row(field[1], field[2], field[3], failures)
	}
	if (name && !rows) {
		programs++
		other_points += points
		other_ms += ms
		other_failures += failures
	}
	rows = points = failures = bad = ms = 0
}

{ sub(/\r$/, "") }
/^\[[0-9:]+\] \/.* \.+ *$/ {
	end_of_program()
	name = $2
}
/^ok [0-9]+ / { points++ }
/^not ok / { failures++ }
/^# row: / { tried[++rows] = substr($0, 8) }
/^ok +[0-9]+ ms / { ms = $2 }
/^Dubious, |^Failed [0-9]+\/|^Parse errors/ { bad = 1 }
/^Test Summary Report/ || /^All tests successful/ {
	ended = 1
	exit
}
END {
	# The VM went down with the program.
	if (!ended)
		bad = 1
	end_of_program()
	if (programs)
		row(programs " system test programs", other_points " points",
			int(other_ms / 1000) " s", other_failures)
}
