#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Unpack Debian's kernel source into the cache and print where it is.

. "$(dirname "$0")/../lib/common.sh"

need linux-source xz-utils
tarball=$(find /usr/src -maxdepth 1 -name 'linux-source-*.tar.xz' | sort -V | tail -n 1)
[ -n "$tarball" ] || die "package linux-source brought no /usr/src/linux-source-*.tar.xz"
name=$(basename "$tarball" .tar.xz)
source=$cache/$name-$(dpkg-query -W -f '${Version}' "$name")

locked source
if [ ! -d "$source" ]; then
	rm -rf "$source.new"
	mkdir "$source.new"
	progress "$cache/source.log" "unpacking $name" \
		tar -C "$source.new" --strip-components=1 -xf "$tarball"
	mv "$source.new" "$source"
fi
echo "$source"
