#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm-kernel.sh debug|kcsan: build that kernel for QEMU's PC from Debian's kernel
# source, once, and print its build tree: the kernel is arch/x86/boot/bzImage in
# it, modules build against it with KDIR=.

. "$(dirname "$0")/../lib/common.sh"

name=${1-}
configs=("$top/scripts/build/configs/vm.config" "$top/scripts/build/configs/$name.config")
[[ $name = @(debug|kcsan) ]] || die "usage: vm-kernel.sh debug|kcsan"
need bc bison flex gcc libc6-dev libelf-dev lz4 make
source=$("$top/scripts/build/kernel-source.sh")

build() {
	cat "${configs[@]}" >"$tree/wanted"
	make -C "$source" O="$tree" KCONFIG_ALLCONFIG="$tree/wanted" allnoconfig
	# What is asked for in vain would be a check that isn't one.
	if grep -E '=(y|m|[0-9]+)$' "$tree/wanted" | grep -vxFf "$tree/.config"; then
		echo "the kernel source knows no such settings, or they need others"
		return 1
	fi
	if sed -n 's/=n$/=/p' "$tree/wanted" | grep -Ff - "$tree/.config"; then
		echo "the kernel source does not do without these settings"
		return 1
	fi
	make -C "$source" O="$tree" -j"$jobs" bzImage modules
}

tree=$cache/$name-$(key "${configs[@]}" <(echo "$source"; gcc --version; declare -f build))

locked "$name"
if [ ! -e "$tree/.done" ]; then
	rm -rf "$tree"
	mkdir "$tree"
	progress "$cache/$name.log" "building the $name kernel, about 10 minutes" build
	touch "$tree/.done"
fi
echo "$tree"
