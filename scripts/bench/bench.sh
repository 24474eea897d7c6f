#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [PART...]: run the benchmarks one after the other (PART.sh, all if
# none is named), print one table of what they measured beside what was to be
# reached, and if all of them ran, write it into Documentation/performance.md
# around what bench/performance.in says, and the pictures beside it. All of them
# take less than half an hour.
#
# A part prints rows of the table on its standard output and nothing else:
#
#	| what | measured | to reach | yes, no or stated |
#
# A missed figure is no failure; a part that fails or has no row is one.

. "$(dirname "$0")/../lib/common.sh"

all=(cost where clients total delivery qemu boot periods fairness)
[ $# -gt 0 ] && parts=("$@") || parts=("${all[@]}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# run PART: print its rows, and keep them.
run() {
	local script=$top/scripts/bench/$1.sh arguments=()

	case $1 in
	boot | periods | fairness) arguments=("$work/$1.svg") ;;
	where) arguments=("$work/breakdown") ;;
	esac
	say "bench: $1"
	"$script" "${arguments[@]}" | tee "$work/$1" &&
		[ -s "$work/$1" ] &&
		! grep -qvE '^\|( [^|]* \|){3} (yes|no|stated) \|$' "$work/$1" &&
		cat "$work/$1" >>"$work/table"
}

count() {
	grep -cE "\| ($1) \|\$" "$work/table" || :
}

# fill TEMPLATE DOCUMENT: a line @NAME@ stands for the file NAME of $work.
fill() {
	local name script=

	for name in machine table breakdown "${all[@]}"; do
		script+="/^@$name@\$/ {"$'\n'"r $work/$name"$'\n'"d"$'\n'"}"$'\n'
	done
	mkdir -p "$work/documents"
	sed "$script" "$top/scripts/bench/$1" >"$work/documents/$2"
	! grep '^@.*@$' "$work/documents/$2" >&2 || die "nothing was measured for this in $1"
}

# What stands above the table: where this was.
describe_machine() {
	local cpu qemu image

	cpu=$(sed -n '/^model name.*: /{s///p;q}' /proc/cpuinfo)
	qemu=$(qemu-system-x86_64 --version | sed -n 's/^QEMU emulator version //p')
	image=$("$top/scripts/build/stock-kernel.sh")
	echo "| | |"
	echo "|---|---|"
	echo "| command | \`make bench\`, module of $(git -C "$top" log -1 --format='%h, %cs' -- driver) |"
	echo "| kernel | Debian's linux-image-$(basename "$image" | tr '_' ' '), without mitigations; User Mode Linux from $(basename "$("$top/scripts/build/kernel-source.sh")") |"
	echo "| machine | $cpu, $(nproc) CPUs; the kernels' PCs are emulated (TCG) by QEMU $qemu |"
}

printf '%s\n' '| what | measured | to reach | reached |' '|---|---|---|---|' |
	tee "$work/table"
failed=()
for part in "${parts[@]}"; do
	run "$part" || failed+=("$part")
done

if [ ${#failed[@]} = 0 ] && [ "${parts[*]}" = "${all[*]}" ]; then
	describe_machine >"$work/machine"
	fill performance.in performance.md
	fill choosing-a-quota.in choosing-a-quota.md
	cp "$work"/documents/* "$work"/*.svg "$top/Documentation/"
	say "written to Documentation: performance.md, choosing-a-quota.md and their pictures"
fi
echo "bench: $(count 'yes|no|stated') rows, $(count yes) reached, $(count no) missed, $(count stated) stated"
[ ${#failed[@]} = 0 ] || die "these failed: ${failed[*]}; see above"
