#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kdir.sh [KDIR]: print the kernel build tree to build modules against: KDIR,
# or the running kernel's. If there is none, say how to come by it.

. "$(dirname "$0")/../lib/common.sh"

release=$(uname -r)
kdir=${1:-/lib/modules/$release/build}

if [ $# -gt 0 ] && [ -n "$1" ] && [ ! -e "$1/Makefile" ]; then
	die "KDIR=$1 is no kernel build tree; name one that has a Makefile, for example KDIR=/lib/modules/$release/build"
fi
if [ ! -e "$kdir/Makefile" ] && command -v apt-cache >/dev/null &&
   apt-cache show "linux-headers-$release" >/dev/null 2>&1; then
	need "linux-headers-$release"
fi
[ -e "$kdir/Makefile" ] ||
	die "no headers for the running kernel $release: install its linux-headers package, or name another kernel's build tree with KDIR="
echo "$kdir"
