#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# demo.sh [PICTURE]: boot a host kernel (User Mode Linux) with the module and
# two QEMU guests in it, change the quota of one while it runs, show that each
# gets exactly its quota, and draw it as an SVG in PICTURE, ./demo.svg if not
# given. What happens in the host is in demo/host, in the guests in demo/guest.

. "$(dirname "$0")/lib.sh"

picture=$(realpath -m -- "${1-demo.svg}")
here=$top/scripts/demo
[ -w "$(dirname "$picture")" ] ||
	die "there is no writable folder $(dirname "$picture") for the picture"
compgen -G "$cache/uml-*/.done" >/dev/null ||
	say "the first run installs packages, unpacks the kernel's source and builds User Mode Linux: about 5 minutes on two idle CPUs, three times that on busy ones"
need busybox-static cpio gnuplot-nox kmod perl-base qemu-system-x86
[ "$(dpkg --print-architecture)" = amd64 ] ||
	die "the demo runs on amd64 only: its host is User Mode Linux, its guests are x86-64 PCs"
uml=$("$top/scripts/uml-kernel.sh")
image=$("$top/scripts/stock-kernel.sh" cloud)
module=$("$top/scripts/build-module.sh" "$uml" ARCH=um)

work=$(mktemp -d)
host='' show=''
# User Mode Linux is many processes, in one process group: that of the first.
stop_host() {
	[ -z "$host" ] || kill -KILL -- "-$host" 2>/dev/null || :
	host=
}
end() {
	stop_host
	[ -z "$show" ] || exec {show}>&-
	wait
	rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

initramfs "$work/initramfs" "$image" "$here/guest" virtio_pci virtio-rng
cp "$image"/boot/vmlinuz-* "$work/vmlinuz"
cp "$module/rngquota.ko" "$here/host" "$work/"
head -c 64 /dev/urandom >"$work/seed"
chmod +x "$work/host"

# The host's memory is a file that is mapped: a tmpfs is the place, if it fits.
memory_mib=1024
memory_dir=$work
if [ "$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1)" -ge $memory_mib ]; then
	memory_dir=/dev/shm
fi

# The emulated CPU is one, and its processes take turns: on one real CPU they do
# so four times as fast as across two.
exec {show}> >(sed -u 's/\r$//; /^reboot: System halted$/d')
show_pid=$!
cpu=$(taskset -pc $$ | grep -o '[0-9]*$')
say "booting the host; the whole run takes about a minute"
cd "$work"
ulimit -c 0
setsid taskset -c "$cpu" env -i TERM=linux HOME="$work" TMPDIR="$memory_dir" \
	"$uml/linux" mem=${memory_mib}M "${uml_parameters[@]}" \
	init="$work/host" demo="$work" quiet oops=panic panic_on_warn=1 panic=-1 \
	</dev/null 1>&"$show" 2>"$work/errors" &
host=$!
disown "$host"
timeout 300 tail --pid "$host" -s 0.2 -f /dev/null &
wait $! || say "the host takes longer than 5 minutes"
stop_host
exec {show}>&-
show=
wait "$show_pid"

if [ -e looks ] && [ -e change ]; then
	gnuplot -c "$here/plot" "$work/looks" "$(cat change)" >picture ||
		die "the picture could not be drawn"
	cp picture "$picture"
	echo "picture: $picture"
fi
if [ ! -e verdict ]; then
	cat errors >&2
	die "the host did not come to its end: it crashed or took too long; see what it printed above"
fi
[ "$(cat verdict)" = passed ] || die "the demo failed: $(cat verdict)"
echo "demo: passed, each guest got exactly what it was allowed"
