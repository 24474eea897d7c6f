# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by the benchmarks: a VM with Debian's stock kernel, the module and one
# program, and nothing else that could disturb the measuring.

. "$(dirname "${BASH_SOURCE[0]}")/../lib/boot.sh"

need busybox-static cpio gcc kmod libc6-dev liburing-dev make qemu-system-x86
[ "$(dpkg --print-architecture)" = amd64 ] ||
	die "the benchmarks run on amd64 only: their VM is an x86-64 PC"
stock=$("$top/scripts/build/stock-kernel.sh" --headers)
{ read -r image; read -r kdir; } <<<"$stock"

# build_benchmark NAME: make $work/NAME of bench/NAME.c and what the benchmarks
# and the system tests share. Static, since there is no C library in the VM.
build_benchmark() {
	local bench=$top/scripts/bench tests=$top/scripts/test/system

	gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -static -pthread -I"$tests" \
		-o "$work/$1" "$bench/$1.c" "$bench/count.c" \
		"$tests"/{crowd,rngq,tap}.c -luring ||
		die "the benchmark did not build"
}

# build_helper NAME: make $work/NAME.ko of bench/NAME.c, a module that the benchmark
# finds in the VM's root.
build_helper() {
	local build=$work/$1.build

	mkdir "$build"
	cp "$top/scripts/bench/$1.c" "$build/"
	echo "obj-m := $1.o" >"$build/Kbuild"
	if ! make -C "$kdir" M="$build" W=1 modules >"$build/log" 2>&1 ||
	   grep -q 'warning:' "$build/log"; then
		cat "$build/log" >&2
		die "the benchmark's module did not build cleanly"
	fi
	mv "$build/$1.ko" "$work/"
}

# What has QEMU count instructions, and time pass with them alone (bench/count.h):
# a machine that has nothing to do comes to its next timer at once.
# shellcheck disable=SC2034 # for the scripts that source this
counting_instructions=(-smp 1 -accel "tcg,thread=single" -icount "shift=0,sleep=off")

# undisturbed COMMAND...: run it when no other script has a VM, and have it start
# its VM with "${vm_first[@]}": before all else that this machine does, if we may.
undisturbed() {
	locked vmtest
	# shellcheck disable=SC2016 # for the inner shell
	vm_first=(setsid bash -c '
		{ renice -n -20 $$ && echo -20 >/proc/$$/autogroup; } >/dev/null 2>&1
		exec "$@"
	' -)
	"$@"
	vm_first=()
	# shellcheck disable=SC2154 # locked() has set it
	exec {lock_fd}>&-
}

# run_vm CHECKOUT NAME ARGUMENTS SECONDS QEMU-ARGUMENT...: boot, load the module
# of CHECKOUT, and run $work/NAME there with ARGUMENTS (commas between them).
# What it says goes to the standard output, what it measured to $work/measured. If
# it fails or does not come to its end within SECONDS, that is the script's end.
run_vm() {
	local checkout=$1 name=$2 arguments=$3 seconds=$4 module

	shift 4
	module=$("$checkout/scripts/build/build-module.sh" "$kdir")
	rm -rf "$work"/{initramfs.root,measured}
	mkdir "$work/initramfs.root"
	cp "$module/rngquota.ko" "$work/initramfs.root/"
	cp "$work/$name" "$work/initramfs.root/benchmark"
	find "$work" -maxdepth 1 -name '*.ko' -exec cp {} "$work/initramfs.root/" \;
	initramfs "$work/initramfs" "$image" "$top/scripts/bench/init"
	emulated_pc "$(echo "$image"/boot/vmlinuz-*)" "$work/initramfs" "$work/console" \
		"quiet panic_on_warn=1 arguments=$arguments"
	start_vm "$seconds" -m 512M "$@" -serial stdio -serial "file:$work/measured"
	wait_vm
	ended=$(sed -n 's/^end \([0-9]*\)$/\1/p' "$work/measured" 2>/dev/null) || :
	[ -n "$ended" ] || vm_failed "the VM did not come to its end"
	[ "$ended" = 0 ] || die "the benchmark failed: see above"
}
