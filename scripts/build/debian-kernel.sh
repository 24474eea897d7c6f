#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debian-kernel.sh NAME: make a root tree of the Debian release that has the kernel
# NAME (see the file releases), with that release's compiler and headers, unpack the
# kernel's image beside it, and print three lines: the root tree, the image (with
# vmlinuz and lib/modules in it), and the KDIR in the root tree. All is kept; uses the
# network only for what is missing. Ends with 3 if it can't be had.

. "$(dirname "$0")/../lib/common.sh"

name=${1-}
releases=$top/scripts/build/releases
read -r suite flavour qemu < <(awk -v name="$name" '$1 == name { print $2, $3, $4 }' "$releases") ||
	die "usage: debian-kernel.sh NAME, one of $(awk '!/^#/ { printf "%s ", $1 }' "$releases")"
need kmod mmdebstrap xz-utils
packages=busybox-static,gcc,iproute2,kmod,libc6-dev,make,mount,perl,sparse,util-linux,xz-utils
[ "$qemu" != qemu ] || packages+=,qemu-system-x86
root=$cache/root-$suite-$(key <(echo "$packages"))
image=$cache/image-$name

make_root() {
	# What comes from backports must be asked for there.
	# shellcheck disable=SC2016 # for mmdebstrap's shell
	local hook='sed -n "s/^\(.* [a-z]*\) main/\1-backports main/p" "$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/backports.list"; echo "APT::Default-Release \"$SUITE\";" >"$1/etc/apt/apt.conf.d/90backports"'

	[[ $suite = *-backports ]] || hook=true
	SUITE=$suite mmdebstrap --variant=apt --include="$packages" --setup-hook="$hook" \
		"${suite%-backports}" "$root.new"
}

# inside COMMAND...: in the root tree.
inside() {
	DEBIAN_FRONTEND=noninteractive chroot "$root" "$@"
}

# The packages that a kernel's image is made of; since 7.x there are several.
image_packages() {
	inside apt-cache depends --recurse --important --no-conflicts --no-breaks \
		--no-replaces "linux-image-$flavour" | grep -oE '^linux-(image|binary|modules|base)-[0-9][^ ]*' | sort -u
}

fetch_image() {
	local release packages deb

	rm -rf "$image.new" "$root/image"
	mkdir "$image.new" "$root/image"
	inside apt-get update
	inside apt-get install -y --no-install-recommends "linux-headers-$flavour"
	mapfile -t packages < <(image_packages)
	[ ${#packages[@]} -gt 0 ] || return 1
	# shellcheck disable=SC2016 # for the shell in there
	inside sh -c 'cd /image && exec apt-get download "$@"' - "${packages[@]}"
	for deb in "$root"/image/*.deb; do
		dpkg -x "$deb" "$image.new"
	done
	rm -r "$root/image"
	[ -e "$image.new/lib" ] || ln -s usr/lib "$image.new/lib"
	release=$(basename "$image.new"/lib/modules/*)
	depmod -b "$image.new" "$release"
	find "$image.new/" -type f -name 'vmlinuz*' -exec mv {} "$image.new/vmlinuz" \;
	[ -e "$image.new/vmlinuz" ]
	# The headers may be those of a newer one by now, when the image is old.
	[ -d "$root/usr/src/linux-headers-$release" ]
	mv "$image.new" "$image"
}

# made TEXT COMMAND: do it, or say that it can't be had.
made() {
	local status

	# In a condition, COMMAND would go on after an error.
	set +e
	(set -e; progress "$cache/debian-kernel.log" "$@")
	status=$?
	set -e
	[ "$status" = 0 ] || {
		say "rngquota: the kernel $name can't be had: is the network up, has its release left the mirror?"
		exit 3
	}
}

locked "root-$suite"
if [ ! -d "$root" ]; then
	rm -rf "$root.new"
	made "making a root tree of $suite" make_root
	mv "$root.new" "$root"
fi
[ -d "$image" ] || made "fetching the kernel $name" fetch_image
echo "$root"
echo "$image"
echo "/usr/src/linux-headers-$(basename "$image"/lib/modules/*)"
