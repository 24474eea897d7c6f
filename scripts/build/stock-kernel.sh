#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# stock-kernel.sh [--headers] [FLAVOUR]: unpack Debian's kernel image into the
# cache, without installing it, and print the folder: boot/vmlinuz-* and
# lib/modules/* are in it. FLAVOUR is for example "cloud". With --headers
# the headers of that very version are installed, and a second line is the
# KDIR to build modules in. Uses the network only for what is missing.

. "$(dirname "$0")/../lib/common.sh"

headers=
if [ "${1-}" = --headers ]; then
	headers=yes
	shift
fi
need kmod
arch=$(dpkg --print-architecture)
suffix=${1:+$1-}$arch
images=$cache/stock-$suffix

# A metapackage depends on its package as "linux-headers-6.1.0-9-amd64 (= 6.1.27-1)".
depended() {
	sed -nE 's/^(.*, *)?linux-(image|headers)-([^ ]+) \(= ([^)]+)\).*/\3 \4/p'
}

of_headers() {
	dpkg-query -W -f '${Depends}\n' "linux-headers-$suffix" | depended
}

of_cache() {
	find "$images" -mindepth 1 -maxdepth 1 -name '*_*' ! -name '*.new' \
		-printf '%f\n' | sort -V | tail -n 1 | tr '_' ' '
}

of_apt() {
	apt-cache show --no-all-versions "linux-image-$suffix" 2>/dev/null |
		sed -n 's/^Depends: //p' | depended
}

# fetch RELEASE VERSION: false if the mirror does not have it (any more).
fetch() {
	local image=$images/$1_$2

	[ ! -d "$image" ] || return 0
	say "fetching linux-image-$1 $2"
	rm -rf "$image.new"
	mkdir "$image.new"
	(
		cd "$image.new"
		apt-get download "linux-image-$1=$2" >"$cache/apt.log" 2>&1
	) || return 1
	dpkg -x "$image.new"/*.deb "$image.new"
	rm "$image.new"/*.deb
	depmod -b "$image.new" "$1"
	mv "$image.new" "$image"
}

locked "stock-$suffix"
mkdir -p "$images"
[ -z "$headers" ] || need "linux-headers-$suffix"
for try in first second; do
	if [ -n "$headers" ]; then
		read -r release version < <(of_headers) || :
	else
		read -r release version < <(of_cache) ||
			read -r release version < <(of_apt) || :
	fi
	if [ -n "${version-}" ] && fetch "$release" "$version"; then
		echo "$images/${release}_$version"
		[ -z "$headers" ] || echo "/lib/modules/$release/build"
		exit 0
	fi
	# Either the package lists are old, or the installed headers are.
	[ "$try" = first ] || break
	apt_update
	[ -z "$headers" ] || apt_install "linux-headers-$suffix" || break
done
tail -n 5 "$cache/apt.log" >&2
die "linux-image-$suffix could not be fetched (is the network up?)"
