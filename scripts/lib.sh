# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by the other scripts: where things are cached, how packages come
# onto the machine, how progress and failure are told.

set -euo pipefail

# shellcheck disable=SC2034 # for the scripts that source this
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/rngquota
# shellcheck disable=SC2034
jobs=$(nproc)
export LC_ALL=C
mkdir -p "$cache"

# say TEXT...: a line for the person who is waiting.
say() {
	printf '%s\n' "$*" >&2
}

# die TEXT...: one clear sentence, with the remedy, and the end.
die() {
	printf 'rngquota: %s\n' "$*" >&2
	exit 1
}

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

# What build-module.sh takes so that a module counts its lines, if COVERAGE asks
# for it: each function once, as it is written, and no branches but its own.
# shellcheck disable=SC2034
counting=()
# shellcheck disable=SC2034
[ -z "${COVERAGE-}" ] ||
	counting=(GCOV_PROFILE=y UBSAN_SANITIZE=n "KCFLAGS=-fno-inline -fno-early-inlining")

# progress LOG TEXT COMMAND...: run a slow command with its output in LOG,
# telling how long it has taken; on failure show the end of the log.
progress() {
	local log=$1 text=$2 start=$SECONDS pid status=0 told=0

	shift 2
	say "$text (log: $log)"
	# In a process group of its own, so that it ends with all it has started.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	# shellcheck disable=SC2064 # the pid is meant as it is now
	trap "kill -- -$pid 2>/dev/null || :" EXIT
	trap 'exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if [ $((SECONDS - start)) -ge $((told + 15)) ]; then
			told=$((SECONDS - start))
			say "  ... $told s"
		fi
	done
	wait "$pid" || status=$?
	trap - EXIT INT TERM
	if [ "$status" -ne 0 ]; then
		tail -n 20 "$log" >&2
		die "failed: $text; the whole log is $log"
	fi
}

# key FILE...: a short name for what a cached thing is made from.
key() {
	cat "$@" | sha256sum | cut -c1-12
}

# locked NAME: one script at a time from here on makes the thing NAME.
locked() {
	exec {lock_fd}>"$cache/$1.lock"
	flock "$lock_fd"
}

# initramfs FILE IMAGE INIT MODULE...: make an initramfs with busybox, INIT and
# the modules of the kernel in IMAGE with all they need; INIT finds them in
# /modules, and in /modules/order.
initramfs() {
	local out=$1 image=$2 init=$3 root=$1.root release file name

	shift 3
	mkdir -p "$root"/{bin,dev,proc,root,modules}
	touch "$root/modules/order"
	cp /bin/busybox "$root/bin/"
	cp "$init" "$root/init"
	chmod +x "$root/init"
	for name; do
		release=$(basename "$image"/lib/modules/*)
		modprobe -d "$image" -S "$release" --show-depends "$name"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r file; do
		cp "$file" "$root/modules/"
		basename "$file" >>"$root/modules/order"
	done
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$out"
}

# emulated_pc KERNEL INITRAMFS CONSOLE PARAMETERS: into $pc, the command that boots
# them on a PC with no device but a serial port, which it writes to that file. It ends
# when the kernel panics or powers off. What else the PC has is for the caller to add.
emulated_pc() {
	# Mitigations would make every system call flush the emulated TLB.
	# shellcheck disable=SC2034 # for the scripts that source this
	pc=(qemu-system-x86_64 -cpu "max,la57=off" -nodefaults -display none
		-no-reboot -no-user-config -kernel "$1" -initrd "$2" -append
		"console=ttyS0 panic=-1 oops=panic mitigations=off $4"
		-serial "file:$3")
}

# share_root FOLDER: add to $pc this machine's root, to read, and that folder, to
# write. vm/init mounts them.
share_root() {
	pc+=(-virtfs "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"
		-virtfs "local,path=$1,mount_tag=out,security_model=none")
}

# User Mode Linux's parameters for this machine's root, to read, and a console on
# its standard output.
# shellcheck disable=SC2034 # for the scripts that source this
uml_parameters=(root=/dev/root rootfstype=hostfs rootflags=/ ro con=null
	"con0=null,fd:1")
