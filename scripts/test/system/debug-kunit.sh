#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The KUnit suites, on a kernel that looks for errors: what they say in the
# kernel's log, a test point for each case, and one for each suite.

set -euo pipefail

folder=$(dirname "$RNGQUOTA_KO")
started=$SECONDS
mark="debug-kunit starts, $RANDOM"
grep -q '^kunit ' /proc/modules || insmod "$folder/kunit.ko" enable=1
echo "$mark" >/dev/kmsg
insmod "$folder/rngquota_kunit.ko"
rmmod rngquota_kunit

# A suite is "    # Subtest: bucket", "    1..62", "    ok 1 name" for each
# case, and "ok 1 bucket".
said=$(dmesg | sed -E "1,/$mark/d; s/^\[[^]]*\] //")
suites=$(cat "$folder/suites")
awk -v suites="$suites" '
	/^    # Subtest: / { suite = $3 }
	/^    1\.\.[0-9]+$/ { planned += substr($0, 8) }
	match($0, /^(    )?(not )?ok [0-9]+ (- )?/) {
		name = substr($0, RLENGTH + 1)
		printf "%s %d - %s\n", /^ *ok/ ? "ok" : "not ok", ++points,
			/^ / ? suite ": " name : "suite " name
		next
	}
	/^ +# / { print "#" $0 }
	END { print "1.." planned + suites }' <<<"$said"
echo "# row: KUnit | $(grep -c '^    ok ' <<<"$said") cases | $((SECONDS - started)) s"
