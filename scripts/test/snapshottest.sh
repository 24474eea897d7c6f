#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# snapshottest.sh: what a host can do only if nothing hangs on its memory and
# devices. Debian's stock kernel in QEMU, with the module and one program,
#
#  - sleeps while clients wait: suspend to idle, suspend to RAM;
#  - is saved while clients read, and restored: they go on, by the promise;
#  - has its memory searched: no byte is left there that the device generated,
#    delivered or not, but what the kernel records of a page fault. What was not
#    delivered is known from a twin: the same snapshot restored before, where the
#    same reads got all;
#  - is restored as another machine (-device vmgenid): then other bytes come.
#
# VERBOSE=1 shows every test point. The last line counts them.

. "$(dirname "$0")/../lib/boot.sh"

need busybox-static cpio gcc kmod libc6-dev liburing-dev make qemu-system-x86
[ "$(dpkg --print-architecture)" = amd64 ] ||
	die "snapshottest runs on amd64 only: the VM is an x86-64 PC"
stock=$("$top/scripts/build/stock-kernel.sh" --headers)
{ read -r image; read -r kdir; } <<<"$stock"
module=$("$top/scripts/build/build-module.sh" "$kdir")
locked vmtest

memory_bytes=$((128 << 20))
patience=120
tests=$top/scripts/test/system
mkdir "$work/initramfs.root"
cp "$module/rngquota.ko" "$work/initramfs.root/"
# build SOURCE...: static, since there is no C library in the VM.
build() {
	gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -static -pthread \
		-o "$work/initramfs.root/$(basename "$1" .c)" "$@" \
		"$tests"/{hosts,crowd,rngq,reader,tap}.c -luring ||
		die "the programs of the snapshot test did not build"
}
build "$top/scripts/test/snapshot/guest.c"
build "$tests/hosts-suspend.c"
initramfs "$work/initramfs" "$image" "$top/scripts/test/snapshot/init"
mkfifo "$work"/{guest,qmp}.{in,out}
# Opened for both, so that nobody waits for the other end.
exec {to_guest}<>"$work/guest.in" {from_guest}<>"$work/guest.out"
exec {to_qmp}<>"$work/qmp.in" {from_qmp}<>"$work/qmp.out"

lost() {
	tail -n 5 "$work/said" >&2
	vm_failed "$*"
}

# ok TEXT COMMAND...: a test point like those of the programs in the VM.
ok() {
	local text=$1 not=

	shift
	"$@" || not='not '
	echo "${not}ok - $text" >>"$work/points"
}

lacks() {
	! grep -qF "$2" "$1"
}

# start JOB CPUS GENERATION QEMU-ARGUMENT...
start() {
	local job=$1 cpus=$2 id=3c2b1a00-0000-4000-8000-00000000000$3

	shift 3
	: >"$work/console"
	emulated_pc "$(echo "$image"/boot/vmlinuz-*)" "$work/initramfs" "$work/console" \
		"panic_on_warn=1 no_console_suspend job=$job"
	start_vm "$patience" -accel tcg -smp "$cpus" \
		-m $((memory_bytes >> 20))M -device "vmgenid,guid=$id" \
		-chardev "pipe,id=guest,path=$work/guest" -serial chardev:guest \
		-chardev "pipe,id=qmp,path=$work/qmp" -mon chardev=qmp,mode=control "$@"
	qmp qmp_capabilities
}

quit() {
	qmp quit
	wait_vm
}

# console TEXT [TIMES]: wait until the guest's kernel has said so, that often.
console() {
	until [ "$(grep -cF "$1" "$work/console")" -ge "${2-1}" ]; do
		kill -0 "$vm" 2>/dev/null || lost "the guest's kernel did not say \"$1\""
		sleep 0.1
	done
}

# event PATTERN: wait until QEMU says so; $said is what it said.
event() {
	while read -r -t "$patience" -u "$from_qmp" said; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $said != $1 ]] || return 0
		[[ $said != '{"error"'* ]] || break
	done
	lost "QEMU did not say $1 but: $said"
}

# qmp COMMAND [ARGUMENTS]: what QEMU returns is in $said.
qmp() {
	printf '{"execute": "%s", "arguments": {%s}}\n' "$1" "${2-}" >&"$to_qmp"
	event '{"return"*'
}

# hear LINE...: what the guest says before each LINE goes to $work/said.
hear() {
	local line wanted

	: >"$work/said"
	for wanted; do
		while
			read -r -t "$patience" -u "$from_guest" line ||
				lost "the guest did not come to say $wanted"
			line=${line%$'\r'}
			# shellcheck disable=SC2053 # it is a pattern
			[[ $line != $wanted ]]
		do printf '%s\n' "$line" >>"$work/said"; done
	done
	grep -E '^(not )?ok |^# ' "$work/said" >>"$work/points" || :
}

# ask LETTER [LINE]: what guest.c says when told so, before LINE.
ask() {
	echo "$1" >&"$to_guest"
	hear "${2-ready}"
}

# save NAME: the machine, as it is now. It has gone here.
save() {
	qmp migrate "\"uri\": \"exec:cat >'$work/$1'\""
	until
		qmp query-migrate
		[[ $said == *'"status": "completed"'* ]]
	do
		[[ $said != *'"status": "failed"'* ]] || lost "the machine can't be saved: $said"
		sleep 0.1
	done
	quit
}

# restore NAME GENERATION: it runs on. (What the host tells it before is lost.)
restore() {
	start snapshot 1 "$2" -incoming "exec:cat '$work/$1'"
	until
		qmp query-status
		[[ $said == *'"status": "running"'* ]]
	do sleep 0.1; done
}

# bytes NAME [WORD]: to that file, those that the guest says it got.
bytes() {
	sed -n "s/^${2-bytes} //p" "$work/said" | tr -d '\n' >"$work/$1"
}

# found NAME: how many of the bytes in that file are in the guest's memory, in
# pieces of 8.
found() {
	qmp stop
	qmp pmemsave "\"val\": 0, \"size\": $memory_bytes, \"filename\": \"$work/memory\""
	qmp cont
	perl -e '
		undef $/;
		my ($hex, $memory) = map { open my $file, "<:raw", $_ or die $!; <$file> } @ARGV;
		my $pieces = join "|", map quotemeta, unpack "(a8)*", pack "H*", $hex;
		my %found;
		$found{$&} = 1 while $memory =~ /$pieces/gs;
		print 8 * keys %found;
	' "$work/$1" "$work/memory"
}

say "a machine that sleeps"
start sleep 2 1
for times in 1 2 3; do
	console "PM: suspend-to-idle" $times
	sleep 3
	echo >&"$to_guest"
done
for times in 1 2 3; do
	event '*"SUSPEND"*'
	sleep 3
	qmp system_wakeup
done
hear ended ended
wait_vm

say "a machine that is saved and restored"
start snapshot 1 1
hear ready
save quiet
restore quiet 1
ask c "save me"
save crowd
restore crowd 2
ask "" "save me"
save crowd
restore crowd 1
ask ""
quit

say "what is left in its memory"
restore quiet 1
ask d
bytes all
bytes first first
ok "no byte that was delivered is left" [ "$(found all) $(found first)" = "0 0" ]
ask k
bytes kept
ok "(bytes that a process keeps are found)" [ "$(found kept)" = 256 ]
quit
# Something else may have taken random numbers in one of them.
for _ in {1..5}; do
	restore quiet 1
	ask f
	bytes proof
	left=$(found all)
	quit
	! grep -qFf "$work/proof" "$work/all" || break
done
ok "(the same machine, restored again, generates the same)" \
	grep -qFf "$work/proof" "$work/all"
ok "no byte is left of reads into a bad address but in the records of the faults" [ "$left" = 0 ]
restore quiet 2
console "crng reseeded due to virtual machine fork"
ask d
bytes others
ok "another machine generates others" lacks "$work/all" "$(head -c 32 "$work/others")"
quit

[ -z "${VERBOSE-}" ] || cat "$work/points" >&2
passed=$(grep -c '^ok ' "$work/points") || :
failed=$(grep -c '^not ok ' "$work/points") || :
[ "$failed" = 0 ] || grep -A 1 '^not ok ' "$work/points" >&2
echo "snapshottest: $passed passed, $failed failed"
[ "$failed" = 0 ]
