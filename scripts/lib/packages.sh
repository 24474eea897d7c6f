# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by common.sh: how packages come onto the machine.

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need PACKAGE...: install what is missing, or say exactly what to type.
need() {
	local package missing=()

	command -v dpkg-query >/dev/null ||
		die "this target needs Debian (or a derivative): there is no dpkg here"
	for package; do
		installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	local command="apt-get install -y --no-install-recommends ${missing[*]}"

	[ "$(id -u)" = 0 ] ||
		die "packages are missing; as root, type: $command"
	say "installing ${missing[*]}"
	if ! apt_install "${missing[@]}"; then
		apt_update
		apt_install "${missing[@]}" ||
			apt_failed "could not install packages" "$command"
	fi
}

# How long to wait for another package manager: a machine's first update can take it.
apt_lock_seconds=600

# Another one was at work, when apt-get was called last.
# shellcheck disable=SC2154 # common.sh says where the cache is
apt_was_locked() {
	grep -qE 'Could not get lock|is another process using it' "$cache/apt.log"
}

# apt_get ARGUMENT...: one at a time of ours, and after any other. apt-get itself
# would wait for some of its locks only.
apt_get() {
	local deadline=$((SECONDS + apt_lock_seconds)) told=

	until DEBIAN_FRONTEND=noninteractive flock -o "$cache/apt.lock" \
		apt-get "$@" >"$cache/apt.log" 2>&1; do
		apt_was_locked && [ "$SECONDS" -lt "$deadline" ] || return 1
		[ -n "$told" ] ||
			say "  ... another package manager is at work; waiting for it, $((apt_lock_seconds / 60)) min at the most"
		told=yes
		sleep 2
	done
}

# apt_failed WHAT COMMAND: say which of the two it was.
apt_failed() {
	tail -n 5 "$cache/apt.log" >&2
	! apt_was_locked ||
		die "$1: another package manager is still at work; when it is done, type as root: $2"
	die "$1 (is the network up?); as root, try: $2"
}

apt_update() {
	apt_get update || apt_failed "no package lists to be had" "apt-get update"
}

apt_install() {
	apt_get install -y --no-install-recommends "$@"
}
