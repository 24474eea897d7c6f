#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What "make" does for an operator: build, install and uninstall, and one clear
# sentence with the remedy where something is missing.

. "$(dirname "$0")/../lib/common.sh"

need gcc make kmod linux-headers-amd64 util-linux
kdir=$("$top/scripts/build/stock-kernel.sh" --headers | sed -n 2p)
release=$(basename "$(dirname "$kdir")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
dest=$work/dest
passed=0
failed=0

# A copy to build in, as a user's checkout would be.
mkdir "$work/src"
(cd "$top" && tar -cf - --exclude=.git --exclude='*.o' --exclude='*.ko' .) |
	tar -C "$work/src" -xf -

# ok TEXT COMMAND...: COMMAND succeeds.
ok() {
	local text=$1

	shift
	if "$@" >"$work/out" 2>&1; then
		passed=$((passed + 1))
		[ -z "${VERBOSE-}" ] || say "ok: $text"
	else
		failed=$((failed + 1))
		say "NOT ok: $text"
		cat "$work/out" >&2
	fi
}

# says PATTERN COMMAND...: COMMAND fails, and says so in one line that matches.
says() {
	local pattern=$1 line

	shift
	! "$@" >"$work/said" 2>&1 || return 1
	cat "$work/said"
	line=$(grep '^rngquota: ' "$work/said") || return 1
	[ "$(wc -l <<<"$line")" = 1 ] && [[ $line == *$pattern* ]]
}

# mode FILE MODE
mode() {
	[ "$(stat -c %a "$1")" = "$2" ]
}

# A kernel that has no headers here, and a machine that has no network.
no_headers() {
	mkdir -p "$work/bin"
	printf '#!/bin/sh\necho 9.9.9-nobody\n' >"$work/bin/uname"
	chmod +x "$work/bin/uname"
	PATH=$work/bin:$PATH make -C "$work/src"
}

no_network() {
	XDG_CACHE_HOME=$work/cache unshare -n \
		"$top/scripts/build/stock-kernel.sh" cloud
}

build() {
	make -C "$work/src" KDIR="$kdir"
}

install_it() {
	make -C "$work/src" KDIR="$kdir" DESTDIR="$dest" "$1"
}

ko=$dest/lib/modules/$release/updates/rngquota.ko
rule=$dest/usr/lib/udev/rules.d/60-rngquota.rules
conf=$dest/etc/modprobe.d/rngquota.conf

ok "make without headers names the remedy" \
	says "install its linux-headers package" no_headers
ok "make with a wrong KDIR names the remedy" \
	says "name one that has a Makefile" make -C "$work/src" KDIR=/nowhere
ok "a machine without network is told so" says "is the network up?" no_network
ok "make builds the module" build
ok "the module says what it is" grep -q 'Kernel random numbers' \
	<(modinfo -F description "$work/src/rngquota.ko")
ok "make install" install_it install
ok "the module is where modprobe finds it" depmod -b "$dest" "$release"
ok "modprobe finds it" grep -q updates/rngquota.ko \
	<(modprobe -d "$dest" -S "$release" --show-depends rngquota)
ok "the udev rule is for everyone to read" mode "$rule" 644
ok "the rule gives the device to kvm, read-only" \
	grep -q 'KERNEL=="rngquota".*GROUP="kvm", MODE="0440"' "$rule"
ok "modprobe.d has the example" mode "$conf" 644
echo "options rngquota rate_bytes=7" >>"$conf"
ok "make install, again" install_it install
ok "it keeps what the operator wrote" grep -q rate_bytes=7 "$conf"
ok "make uninstall" install_it uninstall
ok "the module is gone" test ! -e "$ko"
ok "the rule is gone" test ! -e "$rule"
ok "what the operator wrote is not" test -e "$conf"
cp "$top/scripts/install/rngquota.conf" "$conf"
ok "make uninstall, again" install_it uninstall
ok "the untouched example goes" test ! -e "$conf"
ok "make clean" make -C "$work/src" clean
ok "it leaves what the checkout had" diff -r \
	--exclude=.git --exclude='*.o' --exclude='*.ko' --exclude='.*.cmd' \
	"$top" "$work/src"
make -C "$work/src" help >"$work/help"
ok "make help lists the targets" grep -q '^make check' "$work/help"

echo "maketest: $passed passed, $failed failed"
[ "$failed" = 0 ]
