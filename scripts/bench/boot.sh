#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# boot.sh [PICTURE]: will my guest boot? Boots a guest that has no randomness
# of its own, and whose init asks for some: without a virtio-rng, and with one on
# /dev/rngquota with several quotas. Prints rows of the benchmarks' table and
# draws an SVG in PICTURE, ./boot.svg if not given. It takes some two minutes.

. "$(dirname "$0")/../lib/boot.sh"

picture=$(realpath -m -- "${1-boot.svg}")
here=$top/scripts/bench
[ -w "$(dirname "$picture")" ] ||
	die "there is no writable folder $(dirname "$picture") for the picture"
need busybox-static cpio gcc gnuplot-nox kmod perl-base qemu-system-x86
[ "$(dpkg --print-architecture)" = amd64 ] ||
	die "the benchmark runs on amd64 only: its host is User Mode Linux"
tree=$("$top/scripts/build/uml-kernel.sh")
kernel=$("$top/scripts/build/boot-kernel.sh")
module=$("$top/scripts/build/build-module.sh" "$tree" ARCH=um)

# The quotas, as boot-host takes them, and what the table calls them.
quotas=(
	"24/5000 24 5000 0 0"
	"24/5000+64 24 5000 0 64"
	"24/5000+256 24 5000 0 256"
	"24/5000+256+qemu 24 5000 24 256 24"
	"256/60000 256 60000 0 0"
	"256/60000+qemu 256 60000 256 0 256"
	"1024/1000 1024 1000 0 0"
	"1024/1000+qemu 1024 1000 1024 0 1024"
	"100/1000+later 100 1000 0 0"
	"128/1000+later 128 1000 0 0"
)
declare -A text=(
	[486]="no virtio-rng"
	[pentium]="no virtio-rng, but a CPU with a cycle counter"
	[max]="no virtio-rng, but a CPU with RDRAND"
	[24/5000]="24 bytes / 5000 ms"
	[24/5000+64]="24 bytes / 5000 ms, boot credit 64"
	[24/5000+256]="24 bytes / 5000 ms, boot credit 256"
	[24/5000+256+qemu]="24 bytes / 5000 ms, burst 24, boot credit 256, and QEMU's own"
	[256/60000]="256 bytes / 60000 ms"
	[256/60000+qemu]="256 bytes / 60000 ms, burst 256, and QEMU's own"
	[1024/1000]="1024 bytes / 1000 ms"
	[1024/1000+qemu]="1024 bytes / 1000 ms, burst 1024, and QEMU's own"
	[100/1000+later]="100 bytes / 1000 ms"
	[128/1000+later]="128 bytes / 1000 ms"
)

mkdir "$work/root"
gcc -m32 -march=i486 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib -static \
	-fno-pie -no-pie -fno-stack-protector -fcf-protection=none \
	-o "$work/root/init" "$here/boot-guest.c" || die "the guest's init did not build"
(cd "$work/root" && find . | cpio -o -H newc --quiet) >"$work/guest-initramfs"
cp "$kernel/arch/x86/boot/bzImage" "$work/guest-kernel"
# A clock that is finer than a tick would be something to gather jitter from.
echo "console=ttyS0 clocksource=jiffies panic=-1 mitigations=off" >"$work/guest-arguments"

# alone CPU: boot a guest without virtio-rng, whose clock jumps when it waits.
# Its kernel says when all was, in seconds.
alone() {
	local console=$work/console-$1 asked ready

	pc=(qemu-system-x86_64 -accel "tcg,thread=single" -cpu "$1"
		-icount "shift=0,sleep=off" -m 32M -nodefaults -display none -no-reboot
		-no-user-config -kernel "$work/guest-kernel"
		-initrd "$work/guest-initramfs" -append "$(<"$work/guest-arguments")"
		-serial "file:$console")
	start_vm 120
	until grep -q 'init has a random byte' "$console" 2>/dev/null; do
		kill -0 "$vm" 2>/dev/null || {
			tail -n 5 "$work/errors" "$console" >&2
			die "the guest without virtio-rng came to no random byte"
		}
		sleep 0.1
	done
	kill "$vm"
	wait_vm
	asked=$(sed -n 's/^\[ *\([0-9.]*\)\] Run \/init as init process.*/\1/p' "$console")
	ready=$(sed -n 's/^\[ *\([0-9.]*\)\] random: crng init done.*/\1/p' "$console")
	awk -v cpu="$1" -v asked="$asked" -v ready="$ready" \
		'BEGIN { print cpu, 1e6 * asked, 1e6 * ready, 0 }' >>"$work/booted-alone"
}

# with_device: boot the others in a host with rngquota.ko.
with_device() {
	printf '%s\n' "${quotas[@]}" >"$work/guests"
	cp "$module/rngquota.ko" "$here/boot-host" "$work/"
	head -c 64 /dev/urandom >"$work/seed"
	cd "$work"
	run_uml "$tree" 300 1024 "$work/boot-host" quiet oops=panic panic_on_warn=1 \
		panic=-1 >"$work/host-console"
	[ "$(cat verdict 2>/dev/null)" = passed ] || {
		tail -n 20 host-console >&2
		die "the guests did not boot: $(cat verdict 2>/dev/null)"
	}
}

say "booting guests that wait for random bytes; it takes some two minutes"
for cpu in 486 pentium max; do
	alone "$cpu"
done
with_device

# What is drawn, and the rows: medians, lowest and highest.
for name in 486 pentium max "${quotas[@]%% *}"; do
	cat "$work"/booted{-alone,} | awk -v name="$name" -v text="${text[$name]}" \
		-v drawn="$work/drawn" -f "$here/boot.awk"
done
gnuplot -c "$here/boot-plot" "$work/drawn" >"$work/picture" ||
	die "the picture could not be drawn"
cp "$work/picture" "$picture"
say "picture: $picture"
