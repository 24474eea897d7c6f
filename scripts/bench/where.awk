# SPDX-License-Identifier: GPL-2.0
#
# The table of where.sh and its rows, from the addresses of the kernel's
# functions, sorted, and of the instructions that were executed, by source.

# Addresses are compared as text: they are all of one length.
FNR == NR {
	address[++nsymbols] = $1
	symbol[nsymbols] = $3
	if ($4 == "[rngquota]")
		ours[$3]
	next
}

function function_at(pc,    low, high, middle) {
	low = 1
	high = nsymbols
	while (low < high) {
		middle = int((low + high + 1) / 2)
		if (address[middle] <= pc)
			low = middle
		else
			high = middle - 1
	}
	return symbol[low]
}

# A call ends where the user's code goes on; it counts if it was a read of ours.
function end_call(    f) {
	if (is_read) {
		length_of[source, ++ncalls[source]] = here
		insert(sorted, ++nsorted, here)
		for (f in count)
			counts[source, ncalls[source], f] = count[f]
	}
	split("", count)
	here = is_read = 0
}

function end_source(    i, f) {
	if (source == "")
		return
	total[source] = quantile(sorted, nsorted, 0.5)
	for (i = 1; length_of[source, i] != total[source]; i++)
		;
	for (f in functions)
		of[source, f] = counts[source, i, f] + 0
	split("", sorted)
	nsorted = 0
}

$1 != source {
	end_source()
	source = $1
	here = is_read = 0
}

$2 < "8000000000000000" {
	end_call()
	next
}

{
	if (!($2 in at))
		at[$2] = function_at($2)
	f = at[$2]
	if (!(f in functions)) {
		functions[f]
		order[++nfunctions] = f
	}
	count[f]++
	here++
	is_read = is_read || f == "urandom_read_iter" || f == "rngq_read_iter"
}

function differs(f) {
	return of["max", f] != of["urandom", f] || of["limited", f] != of["urandom", f]
}

function cell(source, f) {
	return of[source, f] ? of[source, f] : ""
}

END {
	end_source()
	if (!total["urandom"] || !total["max"] || !total["limited"])
		exit 1
	print "| function | `/dev/urandom` | quota `max` | quota 1 GiB/s |" >table
	print "|---|---|---|---|" >table
	for (i = 1; i <= nfunctions; i++) {
		f = order[i]
		if (!differs(f)) {
			same += of["urandom", f]
			continue
		}
		print "| `" f "`" (f in ours ? ", the driver's" : "") " | " \
			cell("urandom", f) " | " cell("max", f) " | " cell("limited", f) " |" >table
		own["max"] += f in ours ? of["max", f] : 0
		own["limited"] += f in ours ? of["limited", f] : 0
	}
	print "| all others: the same in each | " same " | " same " | " same " |" >table
	print "| **all** | " total["urandom"] " | " total["max"] " | " total["limited"] " |" >table
	row("a read of " bytes " bytes: the driver's own functions, of all in the kernel",
		sprintf("quota `max` %d of %d instructions, 1 GiB/s %d of %d; `/dev/urandom` %d",
			own["max"], total["max"], own["limited"], total["limited"],
			total["urandom"]), "", "stated")
}
