#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# uml-kernel.sh [tests]: build User Mode Linux from Debian's kernel source, once,
# with what the demo or all tests need, and print its build tree: the kernel is
# "linux" in it, modules build against it with KDIR= and ARCH=um.

. "$(dirname "$0")/../lib/common.sh"

need gcc make flex bison bc libc6-dev
source=$("$top/scripts/build/kernel-source.sh")
configs=("$top/scripts/build/configs/uml.config")
[ "${1-}" != tests ] || configs+=("$top/scripts/build/configs/uml-tests.config")

# The registers of a process are kept in a buffer of fixed size, which Linux before 6.13
# made too small for hosts whose CPU has AMX: no process would start there.
make_room_for_registers() {
	sed -i 's/\<HOST_FP_SIZE, 2696\>/HOST_FP_SIZE, 12288/' \
		"$source/arch/x86/um/user-offsets.c"
}

build() {
	make_room_for_registers
	cat "${configs[@]}" >"$tree/wanted"
	make -C "$source" ARCH=um O="$tree" KCONFIG_ALLCONFIG="$tree/wanted" allnoconfig
	make -C "$source" ARCH=um O="$tree" -j"$jobs" linux modules
}

tree=$cache/uml-$(key "${configs[@]}" <(echo "$source"; gcc --version; declare -f build))

locked uml
if [ ! -e "$tree/.done" ]; then
	rm -rf "$tree"
	mkdir "$tree"
	progress "$cache/uml.log" "building User Mode Linux, about 3 minutes" build
	touch "$tree/.done"
fi
echo "$tree"
