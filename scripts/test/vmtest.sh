#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vmtest.sh [TEST...]: boot Debian's stock kernel in QEMU (emulated) with this
# machine's root read-only below a tmpfs, load the module there and run the
# system tests of scripts/test/system, or those named (patterns work: 'device-*'),
# under prove.
#
# KERNEL=debug or kcsan boots that kernel of vm-kernel.sh; tests named debug-*
# run only there. KERNEL=NAME boots that kernel of debian-kernel.sh, on its release's
# root tree; tests named qemu-* run only where that has a QEMU. CPUS=2 is how many the VM has. VERBOSE=1 shows every test
# point. VMTEST_SECONDS is how long the VM may take, DURATION how long the tests
# that have no end of their own, SEED what repeats a random one. COVERAGE=FOLDER
# has the module count its lines, and puts the counts into a folder there.
#
# The last line counts test points; a program that ended badly without a
# failed point counts as one. Only a VM that ran to its end can write the
# verdict: silence, a crash, a hang or no tests at all are failures.

. "$(dirname "$0")/../lib/boot.sh"

need busybox-static cpio gcc kmod libaio-dev libc6-dev liburing-dev make perl \
	qemu-system-x86
[ "$(dpkg --print-architecture)" = amd64 ] ||
	die "vmtest runs on amd64 only: the VM is an x86-64 PC"
kernel=${KERNEL:-stock}
root=/
ROOT=
# What a root over 9p takes.
drivers=(virtio_pci 9pnet_virtio 9p overlay)
machine=pc memory=2G vm_seconds=2400 test_seconds=240
options=panic_on_warn=1
case $kernel in
stock)
	stock=$("$top/scripts/build/stock-kernel.sh" --headers)
	{ read -r image; read -r kdir; } <<<"$stock"
	vmlinuz=$(echo "$image"/boot/vmlinuz-*)
	;;
debug | kcsan)
	need stress-ng
	kdir=$("$top/scripts/build/vm-kernel.sh" "$kernel")
	image=
	vmlinuz=$kdir/arch/x86/boot/bzImage
	drivers=()
	# The other machine's interrupt routing is a loop in ACPI's byte code,
	# which takes KASAN a minute.
	machine=q35 memory=2G test_seconds=$((900 + 2 * ${DURATION:-0}))
	# It tells of each kobject's release: the serial line is too slow for it.
	vm_seconds=$((5400 + test_seconds)) options="loglevel=5 SLOWNESS=8 KERNEL=$kernel"
	# KCSAN's first report must not be its last: not all are of the module.
	# And where all is slow it must not look at one access in 4000 only.
	if [ "$kernel" = kcsan ]; then
		options+=' kcsan.skip_watch=200'
	else
		options+=' panic_on_warn=1'
	fi
	;;
*)
	debian=$("$top/scripts/build/debian-kernel.sh" "$kernel")
	{ read -r ROOT; read -r image; read -r kdir; } <<<"$debian"
	root=$ROOT
	vmlinuz=$image/vmlinuz
	;;
esac
export ROOT
module=$("$top/scripts/build/build-module.sh" "$kdir" "${counting[@]}")
[[ $kernel != @(debug|kcsan) ]] ||
	kunit=$("$top/scripts/build/build-module.sh" "$kdir" KUNIT=1 "${counting[@]}")
log=$cache/vmtest${KERNEL:+-$kernel}
locked vmtest
programs=$cache/vmtest-$(key <(echo "$top"))
mkdir -p "$programs"

job=$work/job
mkdir "$work/out" "$job"
cp "$module/rngquota.ko" "$top"/scripts/test/vm/{run-tests,kernel-log} "$job/"
if [[ $kernel = @(debug|kcsan) ]]; then
	cp "$kdir/lib/kunit/kunit.ko" "$kunit/rngquota_kunit.ko" "$job/"
	cat "$top"/kunit/*.c | grep -c '^kunit_test_suite(' >"$job/suites"
fi

# The tests to run: those that unload the module after those that need it, and
# in the end a look at the kernel's log.
cd "$top/scripts/test/system"
shopt -s extglob nullglob
built=()
for source in !(module-*) module-*; do
	[[ $source = *-*.@(c|sh) ]] || continue
	[[ $kernel = @(debug|kcsan) ]] || [[ $source != debug-* ]] || continue
	[[ $source != qemu-* ]] || [ -e "$root/usr/bin/qemu-system-x86_64" ] || continue
	name=${source%.*}
	chosen=
	for pattern in "${@:-*}"; do
		# shellcheck disable=SC2053 # it is a pattern
		[[ $name != $pattern ]] || chosen=yes
	done
	[ -n "$chosen" ] || continue
	case $source in
	*.c) built+=("$programs/$name") ;;
	*) cp "$source" "$job/$name" ;;
	esac
	echo "/run/job/$name" >>"$job/tests"
done
[ -s "$job/tests" ] || die "no test in scripts/test/system is named $*"
make -s -C "$top/scripts/test/system" OUT="$programs" "${built[@]}" ||
	die "the system tests did not build"
[ ${#built[@]} = 0 ] || cp "${built[@]}" "$job/"
echo /run/job/kernel-log >>"$job/tests"

initramfs "$work/initramfs.cpio" "$image" "$top/scripts/test/vm/init" "${drivers[@]}"

tests=$(wc -l <"$job/tests")
say "booting $(basename "${image:-$kdir}") for $tests test programs"
exec {show}> >(tee "$work/out/prove" |
	awk -v verbose="${VERBOSE-}" -v tests="$tests" -f "$top/scripts/test/vm/progress.awk" >&2)
show_pid=$!

# What the kernel does not know of its command line is in the tests' environment.
emulated_pc "$vmlinuz" "$work/initramfs.cpio" "$work/console" \
	"log_buf_len=16M $options test_seconds=$test_seconds ${DURATION:+DURATION=$DURATION} ${SEED:+SEED=$SEED} ${COVERAGE:+COVERAGE=yes}"
share_root "$root" "$job" "$work/out"
start_vm "${VMTEST_SECONDS:-$vm_seconds}" -serial stdio -machine $machine \
	-accel tcg,thread=multi -smp "${CPUS:-2}" -m $memory 1>&"$show"
exec {show}>&-
wait_vm
wait "$show_pid"

cp "$work/out/prove" "$log.log"
cp "$work/console" "$log-console.log"
[ ! -d "$work/out/coverage" ] || mv -T "$work/out/coverage" "$COVERAGE/vm"
passed=$(grep -c '^ok [0-9]' "$log.log") || :
failed=$(grep -cE '^not ok |\(Wstat: .* Failed: 0\)' "$log.log") || :
verdict=$(cat "$work/out/verdict" 2>/dev/null) || :
if [ -z "$verdict" ]; then
	failed=$((failed + 1))
	[ "$vm_status" != 124 ] || say "the VM took longer than ${VMTEST_SECONDS:-$vm_seconds} s"
	say "the VM did not come to its end; the last that was heard of it:"
	cat "$work/errors" >&2
	tail -n 40 "$log-console.log" >&2
	tail -n 10 "$log.log" >&2
elif [ "$failed" = 0 ] && { [ "$verdict" != passed ] || [ "$passed" = 0 ]; }; then
	failed=1
fi
[ "$failed" = 0 ] ||
	say "all output is in $log.log and $log-console.log"
echo "vmtest: $passed passed, $failed failed"
[ "$failed" = 0 ]
