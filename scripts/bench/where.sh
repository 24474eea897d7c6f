#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# where.sh [FILE]: where the instructions of a read of 32 bytes go. On
# Debian's stock kernel QEMU logs each instruction of some reads, and those of the
# median read are counted by function. FILE gets a table of the functions that
# differ from /dev/urandom's read; the standard error if none is given. Prints
# rows of bench.sh's table. It takes half a minute.

. "$(dirname "$0")/../lib/bench.sh"

table=${1-/dev/stderr}
bytes=32
build_benchmark where
mkfifo "$work"/{monitor,go}.{in,out}
# Opened for both, so that nobody waits for the other end.
exec {to_monitor}<>"$work/monitor.in" {from_monitor}<>"$work/monitor.out"
# shellcheck disable=SC2034 # the guest says nothing there
exec {to_guest}<>"$work/go.in" {from_guest}<>"$work/go.out"

# monitor COMMAND...: have QEMU carry them out, and wait until it has.
monitor() {
	local line

	printf '%s\n' "$@" "info status" >&"$to_monitor"
	while read -r -t 20 -u "$from_monitor" line; do
		[[ $line != "VM status"* ]] || return 0
	done
	die "QEMU does not answer"
}

# What the guest says it is about to do, and has done.
follow() {
	local what source

	while read -r what source; do
		case $what in
		begin) monitor stop "logfile $work/$source" "singlestep on" "log exec,nochain" cont ;;
		end) monitor "log none" "singlestep off" ;;
		*) say "$what $source" ;;
		esac
		echo >&"$to_guest"
	done
}

say "logging each instruction of reads of $bytes bytes"
run_vm "$top" where $bytes 300 "${counting_instructions[@]}" \
	-chardev "pipe,id=monitor,path=$work/monitor" -mon chardev=monitor \
	-chardev "pipe,id=go,path=$work/go" -device isa-serial,index=3,chardev=go -D "$work/unused" > >(follow)
for source in urandom max limited; do
	# The address of each: it is between slashes.
	sed -n 's|^Trace [^[]*\[[0-9a-f]*/\([0-9a-f]*\)/.*|'"$source"' \1|p' "$work/$source"
done >"$work/trace"
sort "$work/measured" | grep -E '^[0-9a-f]{16} [tTwW] ' >"$work/symbols"
awk -v bytes=$bytes -v table="$table" -f "$top/scripts/bench/table.awk" \
	-f "$top/scripts/bench/where.awk" "$work/symbols" "$work/trace"
