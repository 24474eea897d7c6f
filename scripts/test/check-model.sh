#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-model.sh: the sharing of total/ in every order of events, by spin.
# What is explored is the driver's own code, built into the verifier: see
# model/model.c for the kernel round it, model/total.pml for those who call it.
# Then bugs are planted in copies of the driver, and each has to be found. The
# last line counts searches, planted bugs, and whether everything was reached.

. "$(dirname "$0")/../lib/common.sh"

need gcc libc6-dev binutils spin
work=$(mktemp -d)
declare -A threads flags
searches=()
bugs=()
passed=0
failed=0
# shellcheck disable=SC2046 # a word for each job
trap 'kill $(jobs -p) 2>/dev/null || :; wait; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The headers that the driver names are empty: model/kernel.h has it all.
grep -ohE '<linux/[a-z0-9_/]+\.h>' "$top"/driver/*.[ch] | tr -d '<>' | sort -u |
	while read -r header; do
		# That one is libc's, too.
		[ "$header" != linux/errno.h ] || continue
		mkdir -p "$work/include/${header%/*}"
		: >"$work/include/$header"
	done

# explore NAME PAN_FLAG PAN_OPTION...: in this folder, with the driver that is in it.
explore() {
	local name=$1 pan_flag=$2 file bytes count
	# shellcheck disable=SC2206 # a word for each flag
	local settings=(${flags[$name]})
	local cflags=(-std=gnu11 -g -O1 -fno-inline -Wall -Wextra -Werror
		-Wno-unused-parameter -Wno-sign-compare -Wno-clobbered
		-fno-pie -fno-stack-protector -fcf-protection=none
		-ftrivial-auto-var-init=zero -fsanitize-coverage=trace-pc -I.
		-isystem "$work/include" -include model/kernel.h)

	shift 2
	cp -r "$top/scripts/test/model" .
	tr ';' '\n' <<<"${threads[$name]}" | sed 's/^ */run /; s/$/;/' \
		>model/threads.h
	# Besides: init, worker, deal_timer, clock, and timers.
	count=$(($(wc -l <model/threads.h) + 4))
	[[ ${flags[$name]} =~ OWN_FILES=([0-9]) ]]
	settings+=("-DMAX_THREADS=$((count + BASH_REMATCH[1]))")
	! grep -q root model/threads.h || settings+=(-DCHANGES=1)

	for file in bucket client device; do
		gcc "${cflags[@]}" "${settings[@]}" -c "driver/$file.c" -o "$file.o"
	done
	gcc "${cflags[@]}" "${settings[@]}" -c model/model.c -o model.o
	# What they have in memory, in one piece, for spin to save and restore.
	echo 'SECTIONS { model : { *(.data .bss COMMON) } }' >model.lds
	ld -r -T model.lds -o driver.o {bucket,client,device,model}.o
	objcopy -w --keep-global-symbol='model_*' driver.o
	bytes=$(size -A driver.o | awk '$1 == "model" { print $2 }')

	spin -a "${settings[@]}" model/total.pml
	# Statically: to bind a function late takes more stack than threads have.
	gcc -O2 -w -static "${settings[@]}" "-DMODEL_BYTES=$bytes" -Imodel \
		-DNOREDUCE -DMEMLIM=3000 "$pan_flag" -o pan pan.c driver.o
	# More depth than any search needs; one that gets there has failed.
	timeout 100 ./pan -m20000 -w22 "$@" >pan.log || echo "pan: failed: $?" >>pan.log
}

# is_clean FOLDER: the search came to its end, and found nothing.
is_clean() {
	grep -q 'errors: 0$' "$1/pan.log" &&
		grep -q 'elapsed time' "$1/pan.log" &&
		! grep -qE 'pan: failed|not completed|search depth too small|memory' \
			<(grep -v 'Megabytes\|memory us\|memory lost' "$1/pan.log")
}

# search NAME FLAGS THREADS: who calls the driver. Total rate and own files (the
# first so many) in FLAGS, and how often the clock goes on early.
search() {
	threads[$1]=$3
	flags[$1]=$2
	searches+=("$1")
}

# bug NAME FILE SED SEARCH: break a file of the driver; that search finds it.
bug() {
	bugs+=("$1")
	threads[$1]=${threads[$4]}
	flags[$1]=${flags[$4]}
	mkdir -p "$work/$1"
	cp -r "$top/driver" "$work/$1/"
	sed -i "$3" "$work/$1/driver/$2"
	! cmp -s "$top/driver/$2" "$work/$1/driver/$2" ||
		die "the bug '$1' can't be planted in $2 any more"
}

# in_parallel FUNCTION NAME...: as many at a time as there are CPUs, 2 at the most.
in_parallel() {
	local function=$1 name running=0

	shift
	for name; do
		if [ "$running" -ge "$((jobs < 2 ? 1 : 2))" ]; then
			wait -n || :
			running=$((running - 1))
		fi
		"$function" "$name" &
		running=$((running + 1))
	done
	wait
}

run_search() {
	mkdir -p "$work/$1/driver"
	cp "$top"/driver/*.[ch] "$work/$1/driver/"
	cd "$work/$1"
	explore "$1" -DSAFETY >build.log 2>&1
}

# A cycle is a run without an end: time never goes back, nobody reads for ever.
run_cycles() {
	mkdir -p "$work/$1.cycles/driver"
	cp "$top"/driver/*.[ch] "$work/$1.cycles/driver/"
	cd "$work/$1.cycles"
	explore "$1" -DNP -l >build.log 2>&1
}

run_bug() {
	cd "$work/$1"
	explore "$1" -DSAFETY >build.log 2>&1
}

# figures FOLDER: what it took.
figures() {
	awk '/states, stored/ { states = $1 }
		/depth reached/ { depth = $6 + 0 }
		/elapsed time/ { seconds = $4 }
		END { printf "%d states, depth %d, %.1f s", states, depth, seconds }' \
		"$1/pan.log"
}

# why FOLDER: what went wrong, and what led there.
why() {
	tail -n 3 "$1/build.log" >&2
	grep '^pan:' "$1/pan.log" >&2 || :
	(cd "$1" && ./pan -r total.pml.trail 2>/dev/null | grep ' ms  ' >&2) || :
}

# tell VERDICT TEXT: count it, and say it.
tell() {
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
	say "$1: $2"
}

# lines_of PAN <ADDRESSES: the driver's lines with these calls.
lines_of() {
	xargs -r addr2line -e "$1" | grep -oE '\<driver/[a-z_]+\.c:[0-9]+' || :
}

# Lines of the sharing that begin a block which no search has reached.
unreached_lines() {
	local pan

	for pan in "$work"/*/pan; do
		objdump -d --no-show-raw-insn "$pan" |
			sed -nE 's/^ *([0-9a-f]+):\tcall .*<__sanitizer_cov_trace_pc>/\1/p' |
			lines_of "$pan" >>"$work/all"
		lines_of "$pan" <"${pan%pan}reached" >>"$work/reached"
	done
	# What is not of the model: the module's end, and what a process goes on with.
	comm -23 <(sort -u "$work/all") <(sort -u "$work/reached") |
		grep -E '/(shares|total)\.c:' |
		grep -vxFf <(awk '/^void rngq_shares_go_on/,/^}/ {
			print "driver/shares.c:" FNR }' "$top/driver/shares.c") |
		while IFS=: read -r file line; do
			printf '%s:%s: %s\n' "$file" "$line" \
				"$(sed -n "${line}p" "$top/$file")"
		done | grep -v 'destroy_workqueue\|hrtimer_cancel' || :
}

# What the processes of total.pml can do, and did not in any search.
unreached_steps() {
	local name first=1

	for name in "${searches[@]}"; do
		sed -n 's/^\t\(model\/.*\)/\1/p' "$work/$name/pan.log" |
			grep -v -- '-end-' | sort -u >"$work/steps.new" || :
		if [ "$first" = 1 ]; then
			cp "$work/steps.new" "$work/steps"
		else
			comm -12 "$work/steps" "$work/steps.new" >"$work/steps.both"
			mv "$work/steps.both" "$work/steps"
		fi
		first=0
	done
	cat "$work/steps"
}

# The first OWN_FILES files have a quota of their own, too: 1 byte each 40 ms, as
# total/ has TOTAL_RATE_BYTES each 32 ms. The clock goes on EARLY times although
# somebody still has something to do; else all come in time, and so the least time
# and the greatest difference can be told. Of the first file there are FILE_USERS.
# Who comes at any time (total.pml) does so in one of the first WAITS times WAIT_MS.
search turns "-DFILES=3 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0
	-DIDEAL_MS=192 -DUNFAIR_BYTES=2" \
	"reader(0, 4); reader(1, 2); reader(2, 1)"
search shares "-DFILES=3 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0
	-DIDEAL_MS=94 -DUNFAIR_BYTES=2" \
	"reader(0, 3); reader(1, 2); reader(2, 1)"
search hungry "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=3 -DEARLY=0
	-DIDEAL_MS=96 -DUNFAIR_BYTES=3" \
	"reader(0, 5); reader(1, 5)"
search late "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=2" \
	"reader(0, 1); reader(1, 2)"
search own "-DFILES=2 -DOWN_FILES=2 -DTOTAL_RATE_BYTES=1 -DEARLY=1" \
	"reader(0, 2); reader(1, 1)"
search own-max "-DFILES=1 -DOWN_FILES=1 -DTOTAL_RATE_BYTES=0 -DEARLY=1
	-DFILE_USERS=2" "reader(0, 2); poller(0, 2)"
search faulty "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=1" \
	"faulty(0, 2, 1); reader(1, 1)"
search faulty-again "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0" \
	"faulty(0, 2, 1); reader(1, 2)"
search faulty-poller "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0" \
	"faulty_poller(0); reader(1, 2)"
search mortal "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0" \
	"mortal(0, 2); reader(1, 2); killer(4)"
search poll "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=1" \
	"poller(0, 2); reader(1, 1)"
search edge "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=1" \
	"edger(0, 2, 9); reader(1, 1)"
search edge-faulty "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0" \
	"edger(0, 3, 9); faulty(1, 1, 1)"
search edge-own "-DFILES=2 -DOWN_FILES=1 -DTOTAL_RATE_BYTES=2 -DEARLY=1" \
	"edger(0, 2, 1); reader(1, 1)"
search edge-alone "-DFILES=1 -DOWN_FILES=1 -DTOTAL_RATE_BYTES=0 -DEARLY=1" \
	"edger(0, 2, 1)"
search watch "-DFILES=2 -DOWN_FILES=1 -DTOTAL_RATE_BYTES=1 -DEARLY=0" \
	"watcher(0); reader(1, 1); killer(5)"
search bystander "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0
	-DFILE_USERS=2" "reader(0, 2); reader(1, 1); bystander(0); killer(6)"
search close "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=1" \
	"passer_by(0); reader(1, 3)"
search shared "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=1
	-DFILE_USERS=2" "reader(0, 2); reader(0, 2)"
search lapse "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0" \
	"idler(0, 2); reader(1, 3)"
search left "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0" \
	"lapser(0, 3); reader(1, 5)"
search patient "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0" \
	"idler(0, 2); idle_reader(1, 4)"
search asker "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0 -DWAITS=3" \
	"asker(0, 3); reader(1, 3)"
search root "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0" \
	"poller(0, 1); reader(1, 1); root(0, 1)"
search crowd "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=70 -DEARLY=0" \
	"faulty(0, 200, 0); faulty(1, 160, 0)"
search asker-many "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=70 -DEARLY=0
	-DWAITS=3" "asker(0, 3); faulty(1, 250, 0)"
search modest "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=6 -DEARLY=0" \
	"faulty(0, 18, 0); idle_reader(1, 4)"
search polls "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=3 -DEARLY=0" \
	"poller(0, 4); idle_reader(1, 4)"
search shared-faulty "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0
	-DFILE_USERS=2" "faulty(0, 1, 1); reader(0, 2)"
search told "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0
	-DFILE_USERS=2" "reader(0, 1); asker(0, 2); reader(1, 2)"
search sip "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=3 -DEARLY=0 -DWAITS=3
	-DFILE_USERS=2" "reader(0, 4); sipper(0, 2)"
search reopen "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0" \
	"reopener(0, 2, 1); reader(1, 3)"
search closing "-DFILES=3 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=12 -DEARLY=0" \
	"faulty(0, 20, 0); faulty(1, 9, 0); returner(2, 4, 1)"
search away "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=6 -DEARLY=0" \
	"returner(0, 3, 3); idle_reader(1, 4)"
search burst "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DTOTAL_BURST_BYTES=2
	-DEARLY=1" "reader(0, 5); poller(1, 2)"
search newcomers "-DFILES=3 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=8 -DEARLY=0" \
	"faulty(0, 17, 0); faulty(1, 4, 0); faulty(2, 4, 0)"
search back "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=4 -DEARLY=0" \
	"faulty(0, 6, 2); reader(1, 2)"
search back-late "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=4 -DEARLY=1" \
	"faulty(0, 6, 2)"
search leave "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0
	-DWAIT_MS=16 -DWAITS=9" "leaver(0); reader(1, 3)"
search due "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=6 -DEARLY=0 -DWAIT_MS=31
	-DWAITS=3" "lapser(0, 1); faulty(1, 20, 0)"
search both-modest "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=6 -DEARLY=0" \
	"idle_reader(0, 4); idle_reader(1, 4)"
search due-alone "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0 -DWAIT_MS=21
	-DWAITS=3" "lapser(0, 1); idle_reader(1, 1)"
search part "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=4 -DEARLY=0 -DWAIT_MS=31
	-DWAITS=3" "idler(0, 1); reader(1, 6)"
search begin "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0 -DWAIT_MS=16
	-DWAITS=3" "idle_reader(0, 3)"
search idlers "-DFILES=3 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0" \
	"idler(0, 1); idler(1, 1); faulty(2, 2, 0)"
search back-later "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=2" \
	"faulty(0, 3, 2)"
search limit "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=0 -DEARLY=0" \
	"reader(0, 1); reader(1, 1); root(1, 2)"

# Bugs of the kind that the model is there for: who finds each must find it.
bug nobody-told-to-deal total.c '/^void rngq_total_unlock/,/^}/s/schedule_deal();//' turns
bug deal-not-timed total.c '/^static void deal(/,/^}/s/schedule_deal();//' turns
bug timer-does-nothing total.c '/^static enum.*deal_timer_expired/,/^}/s/queue_work(.*);//' turns
bug deals-for-ever total.c 's/^\tis_dealing = false;//' turns
bug called-without-wake waiter.h 's/^\twaiter->wake(waiter);//' turns
bug woken-under-lock total.c '/^\t\trngq_waiter_hold/,/cond_resched/{
	/spin_unlock/d
	s/cond_resched();/spin_unlock_irq(\&total_lock);/
}' turns
bug no-lock total.c '/rngq_total_lock(u64/,/^}/s/spin_lock(&total_lock);/yield("");/' turns
bug unlocked-too-early total.c '/^void rngq_total_set_quota/,/^}/{
	s/^\tschedule_deal();//
	s/^\tspin_unlock_irq.*;/&\n\tschedule_deal();/
}' root
bug limit-gone-unseen total.c '/^void rngq_total_set_quota/,/^}/s/schedule_deal();//' root
bug no-reference waiter.h 's/kobject_[gp][eu]t(\(.*\));/(void)\1;/' close
bug timer-not-cancelled client.c '/^void rngq_client_stop/,/^}/s/hrtimer_cancel.*;//' watch
bug place-kept-on-signal client.c '/^ssize_t rngq_client_await/,/^}/{
	s/rngq_shares_withdraw(/(void)(/
}' mortal
bug look-before-poll client.c '/^__poll_t rngq_client_poll/,/^}/{
	/poll_wait(file/d
	s/^\treturn events;/\tpoll_wait(file, \&client->wait, table);\n&/
}' own-max
bug poll-in-vain client.c 's/^\tif (!(poll_requested_events.*/\tif (0)/' bystander
bug short-way-past-waiters client.c 's/ && !has_waiters(client))) {/)) {/' edge-alone
bug short-way-past-total client.c '/^static .*u64 take(/,/^}/s/rngq_total_is_limited()/0/' turns
bug edge-not-armed client.c '/^static void see_to_waiters/,/^}/s/!has_waiters(client)/1/' edge-own
bug left-and-not-woken client.c '/^static void see_to_waiters/,/^}/s/wake_up_locked_poll(.*);/(void)0;/' sip
bug not-given-back device.c 's/rngq_client_give_back(.*);/(void)0;/' faulty
bug fault-with-bytes-held device.c 's/pagefault_[a-z]*();//' faulty

# And those that somebody may make in shares.c.
bug not-left-on-close client.c '/^void rngq_client_stop/,/^}/s/rngq_shares_withdraw(\(.*\), .*);/\1;/' asker
bug in-line-on-close shares.c '/^void rngq_shares_withdraw/,/^}/s/^\tleave_line(.*);//' asker
bug sums-of-last-round shares.c '/^void rngq_shares_withdraw/,/^}/s/catch_up(.*);//' leave
bug left-line-untold shares.c 's/draw->left_line = member->line;/draw->left_line = false;/' shared-faulty
bug left-in-line shares.c '/^u64 rngq_shares_take/,/^}/s/^\t\tleave_line(.*);/\t\t(void)0;/' shared-faulty
bug given-back-twice shares.c 's/^\trngq_bucket_give_back(.*);/&&/' faulty
bug closing-not-timed shares.c '/^static void set_times/,/^}/s/- min(margin_ns, /- 0 * min(margin_ns, /' turns
bug end-not-timed shares.c '/^static void close_round/,/^}/s/shares->next_ns += .*;/shares->next_ns = RNGQ_NEVER;/' turns
bug clock-begins-unseen shares.c '/^static void start_clock/,/^}/s/set_times(shares);/(void)0;/' begin
bug closed-although-far shares.c '/^static void start_clock/,/^}/s/^\tif (shares->is_closing)/\tif (0)/' patient
bug closed-for-ever shares.c '/^static void begin_round/,/^}/s/shares->is_closing = false;//' turns
bug last-part-for-ever shares.c '/^static void end_closing/,/^}/s/shares->next_ns = .*;//' turns
bug epoch-not-dealt shares.c '/^static void begin_epoch/,/^}/s/shares->next_deal_ns = 0;//' left
bug epoch-unseen shares.c '/^static void begin_epoch/,/^}/s/shares->has_changed = true;//' left
bug members-not-counted shares.c '/^static .*void set_demand/,/^}/s/shares->nr_members += .*;//' turns
bug hungry-stay-hungry shares.c '/^static .*void set_demand/,/^}/s/(old_bytes >= share_bytes);/0;/' turns
bug demand-not-cut shares.c '/^static .*void set_demand/,/^}/s/+= min(demand_bytes, share_bytes)/+= demand_bytes/' turns
bug short-way-for-hungry shares.c '/^static .*void set_demand/,/^}/s/max(old_bytes, demand_bytes) </demand_bytes </' hungry
bug short-counted-twice shares.c '/^static .*void set_taken/,/^}/s/^\t\tshares->short_bytes -= .*;/\t\t(void)0;/' turns
bug asking-earns shares.c '/^static .*void set_taken/,/^}/s/most_bytes \*= GROWTH;/most_bytes += more_bytes;/' turns
bug no-growth shares.c '/^static .*void set_taken/,/^}/s/most_bytes \*= GROWTH;//' turns
bug in-vain-and-forgotten shares.c '/^static .*void set_taken/,/^}/s/most_bytes = max(most_bytes, .*);/(void)0;/' faulty-again
bug come-again shares.c '/^static void set_served/,/^}/s/member->is_served = true;//' turns
bug set-aside-for-nobody shares.c '/^static void set_served/,/^}/s/shares->aside_bytes\[true\] = 0;//' modest
bug waiter-forgotten shares.c '/^static void join_round/,/^}/s/bytes = shares->last_share_bytes;/bytes = 0;/' turns
bug waiter-not-counted shares.c '/^static void join_round/,/^}/s/ ? shares->share_bytes : 0;/ ? 0 : 0;/' turns
bug waiter-called-for-ever shares.c '/^static void leave_line/,/^}/s/shares->nr_uncalled -= .*;//' turns
bug taken-in-last-round shares.c '/^static void join_round/,/^}/s/member->taken_bytes = 0;//' turns
bug called-for-ever shares.c '/^static void join_round/,/^}/s/member->is_called = false;//' asker
bug came-for-ever shares.c '/^static void join_round/,/^}/s/member->is_served = false;//' turns
bug short-for-ever shares.c '/^static void join_round/,/^}/s/member->is_short &= .*;//' turns
bug before-forgotten shares.c '/^static void join_round/,/^}/s/^\t\tmember->before_bytes = .*;/\t\t(void)0;/' modest
bug credit-anew shares.c '/^static void join_round/,/^}/s/clamp(credit(shares, member),/clamp_t(s64, most_credit,/' turns
bug asked-for-ever shares.c '/^static void join_round/,/^}/s/member->has_asked = false;//' asker
bug asked-for-no-part shares.c '/^static void join_round/,/^}/s/(is_next && (member->has_asked ||/(is_next \&\& (0 ||/' asker
bug told-and-no-part shares.c '/^static void join_round/,/^}/s/member->is_told)))/0)))/' lapse
bug gift-to-the-first shares.c '/^static void join_closing/,/^}/s/: member->taken_bytes);/: shares->short_bytes);/' closing
bug gift-of-nothing shares.c '/^static void join_closing/,/^}/s/member->vtime -= extra;/(void)0;/' closing
bug gift-to-all shares.c '/^static void join_closing/,/^}/s/if (!is_due && .*/if (0)/' close
bug due-and-nothing-left shares.c '/^static void join_closing/,/^}/s/owed = max(credit.*/owed = 0;/' due
bug due-and-not-called shares.c '/^static void join_epoch/,/^}/s/bool is_due = .*/bool is_due = false;/' due
bug gift-of-last-round shares.c '/^static void join_epoch/,/^}/s/^\tif (is_behind)/\tif (0)/' turns
bug welcomed-for-ever shares.c '/^static void welcome_newcomers/,/^}/s/shares->was_asked = false;//' asker
bug welcomed-unasked shares.c '/^static void welcome_newcomers/,/^}/s/^\t\tpart = 0;/\t\t(void)0;/' turns
bug trusted-for-nothing shares.c '/^static void close_round/,/^}/s/shares->was_used = .*;/shares->was_used = true;/' asker
bug judged-each-time shares.c '/^static void close_round/,/^}/s/^\tif (shares->extra_part)/\tif (1)/' asker-many
bug members-as-newcomers shares.c '/^static void welcome_newcomers/,/^}/s/max(newcomers + shares->nr_members, /max(newcomers, /' newcomers
bug asked-and-not-welcome shares.c '/^static void welcome_newcomers/,/^}/s/waiting + shares->nr_asked;/waiting;/' asker
bug asked-in-last-round shares.c '/^static void welcome_newcomers/,/^}/s/shares->nr_asked = 0;//' asker
bug part-for-no-waiter shares.c '/^static void welcome_newcomers/,/^}/s/shares->waiters_bytes = .*;/shares->waiters_bytes = 0;/' told
bug modest-not-minded shares.c '/^static void share_out/,/^}/s/share = max((bytes - modest_bytes) \*/share = max(bytes */' modest
bug growth-not-minded shares.c '/^static void share_out/,/^}/s/left_bytes = .*/left_bytes = bytes - modest_bytes;/' modest
bug growth-by-all-of-it shares.c '/^static void share_out/,/^}/s/shares->growth_bytes = shares->left_bytes;/shares->growth_bytes = modest_bytes;/' modest
bug less-than-equal shares.c '/^static void share_out/,/^}/s/bytes \* RNGQ_VBYTE \/ max(members, 1ULL)/0ULL/' modest
bug aside-twice shares.c '/^static void share_out/,/^}/s/min(bytes - modest_bytes, DIV/min(bytes, DIV/' modest
bug idle-are-expected shares.c '/^static void begin_round/,/^}/s/^\tif (idled)/\tif (0)/' patient
bug uncalled-in-last-round shares.c '/^static void begin_round/,/^}/s/shares->nr_uncalled = .*;//' turns
bug to-come-not-counted shares.c '/^static void share_out/,/^}/s/shares->nr_unserved = hungry;/shares->nr_unserved = members;/' modest
bug closing-keeps-modest shares.c '/^static void close_round/,/^}/s/shares->aside_bytes\[false\] = 0;//' modest
bug closing-keeps-hungry shares.c '/^static void close_round/,/^}/s/shares->aside_bytes\[true\] = 0;//' left
bug closing-for-nobody shares.c '/^static void close_round/,/^}/s/nr_known_waiters(shares) ? bytes : 0/nr_known_waiters(shares) ? 0 : 0/' shares
bug due-not-short shares.c '/^static void close_round/,/^}/s/short_bytes || due_bytes ||/short_bytes ||/' due-alone
bug due-not-kept shares.c '/^static void close_round/,/^}/s/due_bytes = min(.*/due_bytes = 0;/' left
bug due-for-who-is-short shares.c '/^static void close_round/,/^}/s/(bytes - due_bytes) \*/bytes */' left
bug left-at-once shares.c '/^static void close_round/,/^}/s/shares->left_bytes = min(left_bytes, .*;/shares->left_bytes = left_bytes;/' away
bug closing-keeps-part shares.c '/^static void close_round/,/^}/s/shares->waiters_bytes = 0;//' part
bug hungry-take-modest shares.c '/^static .*own_bytes/,/^}/s/shares->aside_bytes\[false\] + shares->extra_bytes));/shares->extra_bytes));/' modest
bug own-without-end shares.c '/^static .*own_bytes/,/^}/s/less(member->expected_bytes, member->taken_bytes))/RNGQ_MAX)/' both-modest
bug waiters-part-not-back shares.c '/^void rngq_shares_give_back/,/^}/s/shares->waiters_bytes += extra;/(void)0;/' faulty-again
bug growth-without-end shares.c '/^static u64 growth_bytes/,/^}/s/RNGQ_VBYTE, shares->growth_bytes,/RNGQ_VBYTE, RNGQ_MAX,/' away
bug growth-for-all shares.c '/^static u64 growth_bytes/,/^}/s/member->is_hungry ||//' closing
bug fraction-in-vain shares.c '/^static .*own_bytes/,/^}/s/bytes = max(bytes, shares->least_bytes);/(void)0;/' turns
bug waiters-part-for-all shares.c '/^static u64 extra_bytes(/,/^}/s/is_called ? 0 : shares->waiters_bytes/0/' told
bug last-part-not-for-all shares.c '/^static void end_closing/,/^}/s/shares->extra_bytes = 0;//' due
bug growth-set-aside-still shares.c '/^static .*void take_found/,/^}/s/shares->aside_bytes\[false\] -= draw->growth_bytes;//' away
bug own-taken-twice shares.c '/^static .*free_bytes/,/^}/s/shares->bucket.level_bytes - own, aside/shares->bucket.level_bytes, aside/' hungry
bug extra-again-and-again shares.c '/^static .*void take_found/,/^}/s/member->extra_bytes -= draw->extra_bytes;//' newcomers
bug extra-of-all-kept shares.c '/^static .*void take_found/,/^}/s/shares->extra_bytes -= draw->extra_bytes;//' turns
bug aside-kept shares.c '/^static .*void take_found/,/^}/s/shares->aside_bytes\[member->is_hungry\] -= draw->own_bytes;//' turns
bug taken-for-nothing shares.c '/^static .*void take_found/,/^}/s/member->vtime += draw->credit;//' turns
bug grown-for-nothing shares.c '/^static .*void take_found/,/^}/s/(draw->own_bytes + draw->growth_bytes) \*/draw->own_bytes */' away
bug closing-for-nothing shares.c '/^static .*void take_found/,/^}/s/if (member->is_hungry)/if (member->is_hungry \&\& !shares->is_closing)/' shares
bug growth-kept shares.c '/^static .*void take_found/,/^}/s/shares->growth_bytes -= draw->growth_bytes;//' away
bug waiters-part-kept shares.c '/^static .*void take_found/,/^}/s/^\t\tif (member->is_called)/\t\tif (0)/' turns
bug asked-and-took shares.c '/^u64 rngq_shares_take/,/^}/s/^\t\tset_asked(.*);//' turns
bug told-for-ever shares.c '/^u64 rngq_shares_take/,/^}/s/member->is_told = false;//' told
bug told-is-first shares.c '/^static void line_up/,/^}/s/member->is_told ? RNGQ_LINE_TOLD : RNGQ_LINE_NEW/RNGQ_LINE_NEW/' lapse
bug debtor-is-first shares.c '/^static void line_up/,/^}/s/line = RNGQ_LINE_OVER;/(void)0;/' shares
bug had-its-share-or-less shares.c '/^static void line_up/,/^}/s/(member->taken_bytes + 1)/member->taken_bytes/' turns
bug last-is-first shares.c '/^static void line_up/,/^}/s/list_add_tail(/list_add(/' shares
bug line-not-left shares.c '/^static void leave_line/,/^}/s/list_del_init(.*);//' turns
bug lined-up-and-asked shares.c '/^static void line_up/,/^}/s/^\tset_asked(.*);//' asker
bug left-and-not-asked shares.c '/^static void leave_line/,/^}/s/^\t\tset_asked(.*);/\t\t(void)0;/' turns
bug in-line-and-asked shares.c '/^static void set_told/,/^}/s/!member->is_told && !member->line/!member->is_told/' asker
bug asked-uncounted shares.c '/^static void set_told/,/^}/s/^\t\tset_asked(.*);/\t\t(void)0;/' asker
bug asked-unseen shares.c '/^static void set_told/,/^}/s/shares->was_asked = true;//' told
bug told-unnoted shares.c '/^static void set_told/,/^}/s/member->is_told = bytes;/(void)0;/' lapse
bug beat-not-kept shares.c '/^u64 rngq_shares_ask/,/^}/s/rngq_bucket_await(.*);//' turns
bug back-and-still-counts shares.c '/^void rngq_shares_give_back/,/^}/s/set_taken(.*);//' faulty-again
bug back-and-still-owed shares.c '/^void rngq_shares_give_back/,/^}/s/member->vtime -= min(.*);/(void)0;/' faulty-again
bug back-for-all shares.c '/^void rngq_shares_give_back/,/^}/s/shares->aside_bytes\[member->is_hungry\] += .*;//' faulty-again
bug back-from-last-round shares.c '/^void rngq_shares_give_back/,/^}/s/if (draw->epoch + .*)/if (1)/' back-later
bug back-at-closing shares.c '/^void rngq_shares_give_back/,/^}/s/draw->epoch + shares->is_closing >=/draw->epoch >=/' faulty
bug back-unseen shares.c '/^void rngq_shares_give_back/,/^}/s/shares->has_changed = true;//' faulty
bug back-and-come shares.c '/^void rngq_shares_give_back/,/^}/s/shares->nr_unserved += .*;//' back
bug back-to-come-twice shares.c '/^void rngq_shares_give_back/,/^}/s/member->is_served = false;//' back
bug back-not-for-it shares.c '/^void rngq_shares_give_back/,/^}/s/member->extra_bytes += extra;//' back
bug goes-on-as-the-other shares.c '/^void rngq_shares_go_on/,/^}/s/member->waiter = waiter;/(void)waiter;/' reopen
bug goes-on-from-nothing client.c '/^void rngq_client_go_on/,/^}/s/rngq_shares_go_on(.*);//' reopen
bug called-and-not-expected shares.c '/^struct rngq_member \*rngq_shares_call/,/^}/s/^\tnext->is_called = true;/&\n\tset_demand(shares, next, 0);/' turns
bug call-not-noted shares.c '/^struct rngq_member \*rngq_shares_call/,/^}/s/next->is_called = true;//' turns
bug called-and-in-line shares.c '/^struct rngq_member \*rngq_shares_call/,/^}/s/^\tleave_line(.*);//' turns
bug called-and-forgotten shares.c '/^struct rngq_member \*rngq_shares_call/,/^}/s/shares->has_changed = shares->nr_woken;/shares->has_changed = false;/' idlers
bug newcomers-uncounted shares.c '/^struct rngq_member \*rngq_shares_call/,/^}/s/shares->nr_newcomers += .*;//' idlers
bug many-called-in-vain shares.c '/^static .*first_of/,/^}/s/return bytes && most ?/return bytes \&\& (most | 1) ?/' newcomers
bug nothing-and-called shares.c '/^static .*first_of/,/^}/s/return bytes && most ?/return most ?/' told
bug newcomers-last shares.c '/^static .*line_in_turn/,/^}/s/shares->nr_called %/1 %/' told
bug known-last shares.c '/^static .*line_in_turn/,/^}/s/shares->nr_called %/0 %/' newcomers
bug leavers-first shares.c '/^static .*next_waiter/,/^}/s/is_closing ? closing/is_closing \&\& 0 ? closing/' shares
bug rest-waits-for-end shares.c '/^u64 rngq_shares_next_ns/,/^}/s/min(shares->next_ns, .*) :/shares->next_ns :/' due
bug due-for-ever shares.c '/^static void set_come/,/^}/s/shares->nr_due--;//' turns
bug due-and-withdrawn shares.c '/^void rngq_shares_withdraw/,/^}/s/set_come(.*);//' leave
bug due-and-gone-unseen shares.c '/^static void set_come/,/^}/s/shares->has_changed = true;//' leave
bug due-in-last-epoch shares.c '/^static void begin_epoch/,/^}/s/shares->nr_due = 0;//' due

say "searches: what the driver does in every order of events"
in_parallel run_search "${searches[@]}"
in_parallel run_cycles turns mortal edge-own lapse
for name in "${searches[@]}"; do
	verdict="NOT ok"
	! is_clean "$work/$name" || verdict=ok
	tell "$verdict" "$name: $(figures "$work/$name")"
	[ "$verdict" = ok ] || why "$work/$name"
done
for name in turns mortal edge-own lapse; do
	verdict="NOT ok"
	! is_clean "$work/$name.cycles" || verdict=ok
	tell "$verdict" "$name, each run comes to an end: $(figures "$work/$name.cycles")"
	[ "$verdict" = ok ] || why "$work/$name.cycles"
done

unreached_lines >"$work/unreached"
unreached_steps >>"$work/unreached"
verdict=ok
[ ! -s "$work/unreached" ] || verdict="NOT ok"
tell "$verdict" "every block of shares.c and total.c was reached, and every step of total.pml"
cat "$work/unreached" >&2

say "planted bugs: each is found"
in_parallel run_bug "${bugs[@]}"
for name in "${bugs[@]}"; do
	found=$(sed -nE 's/^pan:1: (.*) \(at depth.*/\1/p' "$work/$name/pan.log") || :
	if [ -n "$found" ]; then
		tell ok "$name: $found"
	else
		tell "NOT ok" "$name is not found"
		why "$work/$name"
	fi
done

echo "model: $passed passed, $failed failed"
[ "$failed" = 0 ]
