#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Everything that can be said about the sources without running them. What is
# let pass stands, with its reason, in the .checkpatch.conf of each folder.

. "$(dirname "$0")/../lib/common.sh"

need perl python3 sparse shellcheck codespell gcc make libc6-dev linux-headers-amd64
source=$("$top/scripts/build/kernel-source.sh")
kdir=$("$top/scripts/build/stock-kernel.sh" --headers | sed -n 2p)
cd "$top"
log=$cache/lint.log
passed=0
failed=0

# lint NAME COMMAND...: it passes if COMMAND succeeds and prints nothing.
lint() {
	local name=$1

	shift
	if "$@" >"$log" 2>&1 && [ ! -s "$log" ]; then
		passed=$((passed + 1))
		say "ok: $name"
	else
		failed=$((failed + 1))
		say "NOT ok: $name"
		cat "$log" >&2
	fi
}

# Files that git knows, or would if they were added.
files() {
	git ls-files --cached --others --exclude-standard -- "$@" | sort -u |
		while read -r file; do
			[ ! -e "$file" ] || echo "$file"
		done
}

shell_files() {
	files | while read -r file; do
		! head -n 1 "$file" | grep -qE '^#!/bin/(ba)?sh|^# shellcheck shell|^#!/bin/busybox sh' ||
			echo "$file"
	done
}

# checkpatch FOLDER FILES...: in FOLDER, whose .checkpatch.conf holds.
checkpatch() (
	cd "$1"
	shift
	files "$@" | xargs "$source/scripts/checkpatch.pl" --no-tree --strict \
		--terse --quiet --no-summary -f
)

kernel_doc() {
	files 'driver/*.c' 'driver/*.h' |
		xargs "$source/scripts/kernel-doc" -none -v -Werror 2>&1 |
		grep -v 'info: Scanning doc'; [ "${PIPESTATUS[1]}" = 0 ]
}

# Every function that crosses a file is declared in a header, and documented.
documented() {
	files 'driver/*.h' | xargs grep -ohE '\b(__)?rngq_[a-z_]+\(' |
		sort -u | while read -r function; do
			grep -qF " * $function)" driver/*.[ch] ||
				echo "$function) has no kernel-doc"
		done
}

# A file of the driver includes only what stands above it in main.c's list.
layers() {
	awk 'FILENAME ~ /main\.c$/ && FNR == NR {
			if ($1 == "*" && /^ \*\t[a-z_]+\t/)
				rank[$2] = ++files
			next
		}
		{ name = FILENAME; gsub(/.*\/|\.[ch]$/, "", name) }
		!(name in rank) && !told[name]++ { print name " is not in main.c'"'"'s list" }
		/^#include "/ {
			header = $2
			gsub(/"|\.h/, "", header)
			if (header != name && !(rank[header] < rank[name]))
				print FILENAME " includes " header ".h"
		}' driver/main.c driver/*.[ch]
}

sparse_says() {
	"$top/scripts/build/build-module.sh" "$kdir" C=2 >/dev/null || return 1
}

lint "checkpatch.pl --strict, the module" checkpatch . 'driver/*.[ch]' 'kunit/*.c'
lint "checkpatch.pl --strict, the programs" checkpatch scripts '*.[ch]' ':!test/model'
lint "checkpatch.pl --strict, the model" checkpatch scripts/test/model '*.[ch]'
lint "kernel-doc" kernel_doc
lint "kernel-doc for each function in a header" documented
lint "no file of the driver looks up" layers
lint "W=1 and sparse (C=2)" sparse_says
lint "get_abi.pl validate" "$source/scripts/get_abi.pl" \
	--dir Documentation/ABI validate
mapfile -t shell < <(shell_files)
lint "shellcheck" shellcheck -x -P SCRIPTDIR "${shell[@]}"
mapfile -t text < <(files | grep -vE '^COPYING$|\.(svg|png)$')
lint "codespell" codespell "${text[@]}"

echo "lint: $passed passed, $failed failed"
[ "$failed" = 0 ]
