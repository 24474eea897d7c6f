# SPDX-License-Identifier: GPL-2.0
#
# From what prove says, show each program's name as it starts, and the failed
# test points with their comments; with "verbose" show everything.

{ sub(/\r$/, "") }

verbose {
	print
	fflush()
	next
}
/^\[[0-9:]+\] \/.* \.+ *$/ {
	name = $2
	sub(/.*\//, "", name)
	printf "  %d/%d %s\n", ++started, tests, name
}
/^not ok / || (failing && /^#/) {
	failing = 1
	print "    " $0
	next
}
{ failing = 0 }
/^Test Summary Report/ { summary = 1 }
summary { print "  " $0 }
