#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qemu.sh: /dev/rngquota beside what an operator would use instead, with
# real QEMUs: QEMU's own limiter on /dev/urandom, both together as recommended,
# and a pipe that a process feeds. How polite and hostile guests fare with each is
# printed as rows of the benchmarks' table: what, measured, to reach, reached. It
# takes some four minutes.
#
# The host is Debian's stock kernel in a VM that counts instructions (QEMU's
# -icount): there CPU time is exact, and neither it nor a stall depends on how busy
# this machine is. (User Mode Linux is faster, but it guesses CPU time from 100
# ticks a second, of which a QEMU that wakes once a second meets none.) A
# CPU does 10^9 instructions a second for the polite guests, which leave it idle
# most of the time; 1.25 * 10^8 for the hostile one, which never does.

. "$(dirname "$0")/../lib/bench.sh"

module=$("$top/scripts/build/build-module.sh" "$kdir")

# Where vm/init goes on.
mkdir "$work/job"
cp "$module/rngquota.ko" "$work/job/"
cp "$top/scripts/bench/qemu-host" "$work/job/run-tests"
gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -pthread -I"$top/scripts/test/system" \
	-o "$work/job/qemu" "$top/scripts/bench/qemu.c" \
	"$top"/scripts/test/system/{qtest,rngq,tap}.c || die "the benchmark did not build"
initramfs "$work/initramfs" "$image" "$top/scripts/test/vm/init" \
	virtio_pci 9pnet_virtio 9p overlay

# measure polite|hostile SHIFT: boot a VM on this machine's root, read-only, each
# of whose instructions takes 2^SHIFT ns, and print the rows.
measure() {
	local ended

	mkdir "$work/out"
	emulated_pc "$(echo "$image"/boot/vmlinuz-*)" "$work/initramfs" "$work/console" \
		"quiet panic_on_warn=1 arguments=$1"
	share_root / "$work/job" "$work/out"
	start_vm 600 -serial stdio -smp 1 -m 2G -accel tcg,thread=single \
		-icount "shift=$2,sleep=off" 1>&2
	wait_vm
	ended=$(cat "$work/out/ended" 2>/dev/null) || :
	[ -n "$ended" ] || vm_failed "the VM did not come to its end"
	[ "$ended" = 0 ] || die "the benchmark failed: see above"
	cat "$work/out/rows"
	rm -r "$work/out"
}

say "polite guests, on $(basename "$image")"
measure polite 0
say "a hostile guest"
measure hostile 3
