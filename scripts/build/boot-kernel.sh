#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# boot-kernel.sh: build a small 32-bit kernel that knows no randomness but
# virtio-rng's from Debian's kernel source, once, and print its build tree: the
# kernel is arch/x86/boot/bzImage in it.

. "$(dirname "$0")/../lib/common.sh"

need bc bison flex gcc libc6-dev make
source=$("$top/scripts/build/kernel-source.sh")
config=$top/scripts/build/configs/boot.config

build() {
	make -C "$source" ARCH=i386 O="$tree" KCONFIG_ALLCONFIG="$config" allnoconfig
	if grep '=y$' "$config" | grep -vxFf "$tree/.config"; then
		echo "the kernel source knows no such settings, or they need others"
		return 1
	fi
	make -C "$source" ARCH=i386 O="$tree" -j"$jobs" bzImage
}

tree=$cache/boot-$(key "$config" <(echo "$source"; gcc --version; declare -f build))

locked boot
if [ ! -e "$tree/.done" ]; then
	rm -rf "$tree"
	mkdir "$tree"
	progress "$cache/boot.log" "building a guest's kernel, about 2 minutes" build
	touch "$tree/.done"
fi
echo "$tree"
