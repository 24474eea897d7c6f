#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vmtest.sh [TEST...]: boot Debian's stock kernel in QEMU (emulated, 2 CPUs)
# with this machine's root read-only below a tmpfs, load the module there and
# run the system tests of scripts/tests, or those named (patterns work:
# 'device-*'), under prove. VERBOSE=1 shows every test point. VMTEST_SECONDS
# is how long the VM may take.
#
# The last line counts test points; a program that ended badly without a
# failed point counts as one. Only a VM that ran to its end can write the
# verdict: silence, a crash, a hang or no tests at all are failures.

. "$(dirname "$0")/lib.sh"

need busybox-static cpio gcc kmod libaio-dev libc6-dev liburing-dev make perl \
	qemu-system-x86
[ "$(dpkg --print-architecture)" = amd64 ] ||
	die "vmtest runs on amd64 only: the VM is an x86-64 PC"
stock=$("$top/scripts/stock-kernel.sh" --headers)
{ read -r image; read -r kdir; } <<<"$stock"
module=$("$top/scripts/build-module.sh" "$kdir")
locked vmtest
programs=$cache/vmtest-$(key <(echo "$top"))
mkdir -p "$programs"

work=$(mktemp -d)
vm='' show=''
end() {
	[ -z "$vm" ] || kill "$vm" 2>/dev/null || :
	[ -z "$show" ] || exec {show}>&-
	wait
	rm -rf "$work"
}
trap end EXIT
trap 'exit 130' INT TERM
mkdir "$work/out"
cp "$module/rngquota.ko" "$work/"

# The tests to run: those that unload the module after those that need it, and
# in the end a look at the kernel's log.
cd "$top/scripts/tests"
shopt -s extglob nullglob
for source in !(module)-*.@(c|sh) module-*.@(c|sh); do
	name=${source%.*}
	chosen=
	for pattern in "${@:-*}"; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $name != $pattern ]] || chosen=yes
	done
	[ -n "$chosen" ] || continue
	case $source in
	*.c) echo "$programs/$name" ;;
	*) echo "$PWD/$source" ;;
	esac
done >"$work/tests"
[ -s "$work/tests" ] || die "no test in scripts/tests is named $*"
mapfile -t chosen < <(grep -F "$programs/" "$work/tests")
make -s -C "$top/scripts/tests" OUT="$programs" "${chosen[@]}" ||
	die "the system tests did not build"
echo "$top/scripts/vm/kernel-log" >>"$work/tests"

# What a root over 9p takes.
initramfs "$work/initramfs.cpio" "$image" "$top/scripts/vm/init" \
	virtio_pci 9pnet_virtio 9p overlay

tests=$(wc -l <"$work/tests")
say "booting $(basename "$image") for $tests test programs"
exec {show}> >(tee "$work/out/prove" |
	awk -v verbose="${VERBOSE-}" -v tests="$tests" -f "$top/scripts/vm/progress.awk" >&2)
show_pid=$!

# Mitigations would make every system call flush the emulated TLB.
timeout -k 5 "${VMTEST_SECONDS:-900}" qemu-system-x86_64 \
	-accel tcg,thread=multi -cpu max,la57=off -smp 2 -m 2G \
	-nodefaults -display none -no-reboot -no-user-config \
	-kernel "$(echo "$image"/boot/vmlinuz-*)" -initrd "$work/initramfs.cpio" \
	-append "console=ttyS0 panic=-1 panic_on_warn=1 oops=panic mitigations=off vmtest=$work scripts=$top/scripts" \
	-serial "file:$work/console" -serial stdio \
	-virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
	-virtfs "local,path=$work/out,mount_tag=out,security_model=none" \
	</dev/null 1>&"$show" 2>"$work/qemu-errors" &
vm=$!
status=0
wait "$vm" || status=$?
vm=
exec {show}>&-
show=
wait "$show_pid"

cp "$work/out/prove" "$cache/vmtest.log"
cp "$work/console" "$cache/vmtest-console.log"
passed=$(grep -c '^ok [0-9]' "$cache/vmtest.log") || :
failed=$(grep -cE '^not ok |\(Wstat: .* Failed: 0\)' "$cache/vmtest.log") || :
verdict=$(cat "$work/out/verdict" 2>/dev/null) || :
if [ -z "$verdict" ]; then
	failed=$((failed + 1))
	[ "$status" != 124 ] || say "the VM took longer than ${VMTEST_SECONDS:-900} s"
	say "the VM did not come to its end; the last that was heard of it:"
	cat "$work/qemu-errors" >&2
	tail -n 40 "$cache/vmtest-console.log" >&2
	tail -n 10 "$cache/vmtest.log" >&2
elif [ "$failed" = 0 ] && { [ "$verdict" != passed ] || [ "$passed" = 0 ]; }; then
	failed=1
fi
[ "$failed" = 0 ] ||
	say "all output is in $cache/vmtest.log and $cache/vmtest-console.log"
echo "vmtest: $passed passed, $failed failed"
[ "$failed" = 0 ]
