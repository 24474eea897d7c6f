#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# coverage.sh [TEST...]: which lines of driver/ are reached by all tests
# together, those of check-debug and umltest, or in the VM only by those named?
# DURATION is how long the races among them go on, in seconds.
#
# Prints a table, and the lines that are not reached; draws all as HTML. A line
# that coverage/unreached gives no reason for is a failure, and so is a line
# there that is reached, or does not exist. The last line counts the files of
# driver/ that have code, and the suites.

. "$(dirname "$0")/../lib/common.sh"

need gcc gcovr
report=$cache/coverage
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
passed=0
failed=0

# suite COMMAND...: run a suite, which leaves its counts in $work/counts.
suite() {
	mkdir -p "$work/counts"
	if COVERAGE=$work/counts "$@" >"$work/said"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
	say "$(tail -n 1 "$work/said")"
	take_counts
}

# In $work/counts is a folder for each boot, and in it the path of each object
# that counted. Where the object lies is what the compiler knows of it, and what
# it was made from.
take_counts() {
	local boot file build builds

	for boot in "$work"/counts/*/; do
		builds=()
		while read -r file; do
			build=${file%/driver/*}
			[[ " ${builds[*]} " = *" $build "* ]] || builds+=("$build")
			cp "/${file%.gcda}.gcno" "$boot/${file%/*}/"
		done < <(cd "$boot" && find -- * -path "*/driver/*.gcda")
		for build in "${builds[@]}"; do
			sources=/$build
			gcovr --root "/$build" --filter '.*/driver/' \
				--json "$work/$((++taken)).json" \
				"$boot/$build" >"$work/said" 2>&1 || {
				cat "$work/said" >&2
				die "gcovr could not read the counts"
			}
		done
	done
	rm -rf "$work/counts"
}

taken=0
sources=
export DURATION=${DURATION-20}
KERNEL=debug suite "$top/scripts/test/vmtest.sh" "$@"
suite "$top/scripts/test/umltest.sh"
[ "$taken" != 0 ] || die "no test has counted anything"

rm -rf "$report"
mkdir "$report"
gcovr --root "$sources" --add-tracefile "$work/*.json" --json "$report/counts.json" \
	--html-details "$report/index.html" --html-title "rngquota: lines reached" \
	>"$work/said" 2>&1 || {
	cat "$work/said" >&2
	die "gcovr could not write the report"
}
"$top/scripts/test/coverage/table" "$report/counts.json" "$sources" \
	"$top/scripts/test/coverage/unreached" >"$report/table" ||
	die "the counts can't be read"
sed '$d' "$report/table"
read -r files_passed files_failed < <(tail -n 1 "$report/table")
say "line by line: $report/index.html"
echo "coverage: $((passed + files_passed)) passed, $((failed + files_failed)) failed"
[ $((failed + files_failed)) = 0 ]
