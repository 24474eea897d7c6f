#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh [PICTURE]: boot a host kernel (User Mode Linux) with the module and
# two QEMU guests in it, change the quota of one while it runs, show that each
# gets exactly its quota, and draw it as an SVG in PICTURE, ./demo.svg if not
# given. What happens in the host is in demo/host, in the guests in demo/guest.

. "$(dirname "$0")/../lib/boot.sh"

picture=$(realpath -m -- "${1-demo.svg}")
here=$top/scripts/demo
[ -w "$(dirname "$picture")" ] ||
	die "there is no writable folder $(dirname "$picture") for the picture"
compgen -G "$cache/uml-*/.done" >/dev/null ||
	say "the first run installs packages, unpacks the kernel's source and builds User Mode Linux: about 5 minutes on two idle CPUs, three times that on busy ones"
need busybox-static cpio gnuplot-nox kmod perl-base qemu-system-x86
[ "$(dpkg --print-architecture)" = amd64 ] ||
	die "the demo runs on amd64 only: its host is User Mode Linux, its guests are x86-64 PCs"
tree=$("$top/scripts/build/uml-kernel.sh")
image=$("$top/scripts/build/stock-kernel.sh" cloud)
module=$("$top/scripts/build/build-module.sh" "$tree" ARCH=um)

initramfs "$work/initramfs" "$image" "$here/guest" virtio_pci virtio-rng
cp "$image"/boot/vmlinuz-* "$work/vmlinuz"
cp "$module/rngquota.ko" "$here/host" "$work/"
head -c 64 /dev/urandom >"$work/seed"
chmod +x "$work/host"

say "booting the host; the whole run takes about a minute"
cd "$work"
run_uml "$tree" 300 1024 "$work/host" quiet oops=panic panic_on_warn=1 panic=-1 |
	sed -u 's/\r$//; /^reboot: System halted$/d'

if [ -e looks ] && [ -e change ]; then
	gnuplot -c "$here/plot" "$work/looks" "$(cat change)" >picture ||
		die "the picture could not be drawn"
	cp picture "$picture"
	echo "picture: $picture"
fi
if [ ! -e verdict ]; then
	cat errors >&2
	die "the host did not come to its end: it crashed or took too long; see what it printed above"
fi
[ "$(cat verdict)" = passed ] || die "the demo failed: $(cat verdict)"
echo "demo: passed, each guest got exactly what it was allowed"
