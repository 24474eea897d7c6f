#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-kernels.sh: build the module for each kernel of scripts/build/releases, with
# the tools of its own Debian release, W=1 and sparse, boot that kernel, and run the
# system tests on it. KERNELS="5.10 newest" does that for these only. Prints a matrix,
# and if all were asked for, writes it into Documentation/kernels.md.
#
# A kernel that can't be had is shown as such, and is a failure unless
# ALLOW_MISSING=1. The last line counts kernels.

. "$(dirname "$0")/../lib/common.sh"

releases=$top/scripts/build/releases
mapfile -t all < <(awk '!/^#/ { print $1 }' "$releases")
read -r -a kernels <<<"${KERNELS:-${all[*]}}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0
failed=0

# row WORD...: a row of the matrix.
row() {
	printf '|'
	printf ' %s |' "$@"
	printf '\n'
}

# The suites need KUnit, which Debian's kernels don't have: do they compile?
kunit_compiles() {
	ROOT=$1 "$top/scripts/build/build-module.sh" "$2" KUNIT=1 \
		KBUILD_MODPOST_WARN=1 >/dev/null 2>"$work/errors" && echo yes && return
	# What is missing is told as a warning then.
	grep -q 'warning: .*undefined' "$work/errors" && ! grep -q 'error:' "$work/errors" &&
		echo yes || echo "no: its KUnit is too old"
}

# check NAME: build, boot, test; its row goes to $work/table.
check() {
	local name=$1 start=$SECONDS status=0 root image kdir compiler kunit points verdict=passed

	say "== $name"
	"$top/scripts/build/debian-kernel.sh" "$name" >"$work/kernel" || status=$?
	if [ "$status" != 0 ]; then
		[ "$status" = 3 ] || exit "$status"
		row "$name" - "can't be had" - - - - >>"$work/table"
		[ -n "${ALLOW_MISSING-}" ]
		return
	fi
	{ read -r root; read -r image; read -r kdir; } <"$work/kernel"
	compiler=$(chroot "$root" gcc --version | sed -nE '1s/.* ([0-9.]+)( [0-9]+)?$/gcc \1/p')
	if ! ROOT=$root "$top/scripts/build/build-module.sh" "$kdir" C=2 >/dev/null; then
		row "$name" "$compiler" "with warnings or not at all" - - - - >>"$work/table"
		return 1
	fi
	kunit=$(kunit_compiles "$root" "$kdir")
	KERNEL=$name "$top/scripts/test/vmtest.sh" >"$work/vmtest" || verdict=failed
	points=$(sed -nE '$s/^vmtest: //p' "$work/vmtest")
	row "$(basename "$image"/lib/modules/*)" "$compiler" "no warning" "$kunit" \
		"$([ "$verdict" = passed ] && echo yes || echo "see the log")" "${points:-none}" \
		"$((SECONDS - start)) s" >>"$work/table"
	[ "$verdict" = passed ]
}

{
	row kernel compiler "builds with W=1, sparse" "KUnit compiles" "boots, log clean" \
		"test points" time
	row --- --- --- --- --- --- ---
} >"$work/table"
for name in "${kernels[@]}"; do
	if check "$name"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
	tail -n 1 "$work/table" >&2
done
cat "$work/table"
echo "check-kernels: $passed passed, $failed failed"
[ "$failed" = 0 ]
