#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-module.sh KDIR [MAKE-ARGUMENT...]: build the module against KDIR in a
# copy of the sources in the cache, so that kernels don't get in each other's
# way, and print the folder that holds the .ko. KUNIT=1 builds the KUnit
# suites instead. ROOT=FOLDER in the environment builds with the tools of that root
# tree, KDIR being in there. A warning is a failure.

. "$(dirname "$0")/../lib/common.sh"

[ $# -ge 1 ] || die "usage: build-module.sh KDIR [MAKE-ARGUMENT...]"
kdir=$1
shift
build=$cache/module-$(key <(echo "$top" "${ROOT-}" "$kdir" "$@"))

need gcc make rsync
locked "$(basename "$build")"
mkdir -p "$build"
# What is built is excluded, hence neither copied nor deleted. A source whose
# content changed is new to make, whatever its time says.
rsync -rlpc --delete --include-from=- "$top/" "$build/" <<-'EOF'
	/Kbuild
	/driver/
	/driver/*.[ch]
	/kunit/
	/kunit/*.[ch]
	- *
EOF
build() {
	[ -n "${ROOT-}" ] || exec make -C "$kdir" M="$build" W=1 "$@" modules
	# What is mounted in there goes with the namespace. objtool needs /proc.
	# shellcheck disable=SC2016 # for the inner shell
	exec unshare --mount sh -ec '
		root=$1 build=$2
		shift 2
		mount -t proc proc "$root/proc"
		mount --bind "$build" "$root/mnt"
		exec chroot "$root" env PATH=/usr/sbin:/usr/bin:/sbin:/bin make "$@"
	' - "$ROOT" "$build" -C "$kdir" M=/mnt W=1 "$@" modules
}

if ! (build "$@") >"$build.log" 2>&1 ||
   grep -q 'warning:' "$build.log"; then
	grep -E 'warning:|[Ee]rror|undefined' "$build.log" >&2 ||
		tail -n 20 "$build.log" >&2
	# Else the next build would find it made, and have no warning to show.
	rm -rf "$build"
	die "the module did not build cleanly against $kdir; the whole log is $build.log"
fi
echo "$build"
