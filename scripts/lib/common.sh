# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Sourced by all other scripts: where things are, how progress and failure are told.

set -euo pipefail

# shellcheck disable=SC2034 # for the scripts that source this
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
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

. "$(dirname "${BASH_SOURCE[0]}")/../lib/packages.sh"
