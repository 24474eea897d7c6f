#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# check-model.sh: the turn-taking of total/ in every order of events, by spin.
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

# Lines of the turn-taking that begin a block which no search has reached.
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
# Who comes at any time (total.pml) does so in one of the first WAITS periods.
search turns "-DFILES=3 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0
	-DIDEAL_MS=192 -DUNFAIR_BYTES=2" \
	"reader(0, 4); reader(1, 2); reader(2, 1)"
search shares "-DFILES=3 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0
	-DIDEAL_MS=64 -DUNFAIR_BYTES=2" \
	"reader(0, 3); reader(1, 2); reader(2, 1)"
search quanta "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=3 -DEARLY=0
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
search lapse-trusted "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0" \
	"lapser(0, 3); reader(1, 5)"
search doubt "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0 -DWAITS=3" \
	"idler(0, 2); idle_reader(1, 4)"
search asker "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0 -DWAITS=3" \
	"asker(0, 3); reader(1, 3)"
search root "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0" \
	"poller(0, 1); reader(1, 1); root(0, 1)"
search crowd "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=70 -DEARLY=0" \
	"faulty(0, 200, 0); faulty(1, 160, 0)"
search asker-many "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=70 -DEARLY=0
	-DWAITS=3" "asker(0, 3); faulty(1, 250, 0)"
search expected "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=6 -DEARLY=0" \
	"faulty(0, 18, 0); idle_reader(1, 4)"
search polls "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=3 -DEARLY=0" \
	"poller(0, 4); idle_reader(1, 4)"
search shared-faulty "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=1 -DEARLY=0
	-DFILE_USERS=2" "faulty(0, 1, 1); reader(0, 2)"
search told "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=2 -DEARLY=0 -DWAITS=3
	-DFILE_USERS=2" "reader(0, 1); asker(0, 3); reader(1, 3)"
search sip "-DFILES=1 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=3 -DEARLY=0 -DWAITS=3
	-DFILE_USERS=2" "reader(0, 4); sipper(0, 2)"
search limit "-DFILES=2 -DOWN_FILES=0 -DTOTAL_RATE_BYTES=0 -DEARLY=0" \
	"reader(0, 1); reader(1, 1); root(1, 2)"

# Bugs of the kind that the model is there for: who finds each must find it.
bug nobody-told-to-deal total.c '/^void rngq_total_unlock/,/^}/s/schedule_deal();//' turns
bug deal-not-timed total.c '/^static void deal(/,/^}/s/schedule_deal();//' turns
bug timer-does-nothing total.c '/^static enum.*deal_timer_expired/,/^}/s/queue_work(.*);//' turns
bug deals-for-ever total.c 's/^\tis_dealing = false;//' turns
bug granted-without-wake waiter.h 's/^\twaiter->wake(waiter);//' turns
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
bug not-left-on-close client.c '/^void rngq_client_stop/,/^}/s/rngq_shares_leave(\(.*\), .*);/\1;/' close
bug in-line-on-close shares.c '/^void rngq_shares_withdraw/,/^}/s/stop_waiting.*;//' close
bug share-kept-on-close shares.c '/^void rngq_shares_leave/,/^}/s/account(.*, -1);//' close
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
bug given-back-twice shares.c 's/^\trngq_bucket_give_back(.*);/&&/' faulty
bug not-given-back device.c 's/rngq_client_give_back(.*);/(void)0;/' faulty
bug fault-with-bytes-held device.c 's/pagefault_[a-z]*();//' faulty
bug sums-of-last-round shares.c '/^void rngq_shares_withdraw/,/^}/s/catch_up(.*);//' late
bug grants-outlive-epoch shares.c '/^static void begin_epoch/,/^}/s/shares->granted_bytes = 0;//' lapse-trusted
bug share-past-grants shares.c 's/less(free_bytes(shares), shares->newcomer_bytes)/shares->bucket.level_bytes/' expected
bug closing-not-timed shares.c '/^static void set_times/,/^}/s/- min(margin_ns, /- 0 * min(margin_ns, /' shares
bug end-not-timed shares.c '/^static void close_round/,/^}/s/shares->next_ns = .*;/shares->next_ns = RNGQ_NEVER;/' lapse
bug clock-begins-unseen shares.c 's/^\t\tset_times(shares);/\t\t(void)0;/' doubt

bug granted-again-unseen shares.c '/else if (!member->is_in_line)/,/}/s/\*draw->sum += .*;//' faulty-poller
bug set-aside-no-more shares.c '/draw->sum != /,/else/s/\*draw->sum += .*;//' faulty
bug origin-not-noted shares.c 's/^\tdraw->due_bytes = min.*;//' faulty
bug trusted-for-nothing shares.c '/^void rngq_shares_give_back/,/^}/s/member->is_trusted &= draw->was_trusted;/(void)0;/' edge-faulty
bug trust-not-restored shares.c 's/^\tmember->is_trusted = true;//' turns
bug lapsed-and-trusted shares.c '/^static void grant(/,/^}/s/member->is_trusted = false;//' lapse-trusted
bug grant-does-not-lapse shares.c '/^static u64 granted_bytes/,/^}/s/member->epoch == shares->epoch ? \(.*\) : 0/\1/' lapse-trusted
bug counted-as-waiting shares.c '/^static void stop_waiting/,/^}/s/account(.*, -1);//' turns
bug taken-not-counted shares.c '/^u64 rngq_shares_take/,/^}/s/shares->absent_bytes += min/(void)min/' turns
bug taker-not-counted shares.c '/^u64 rngq_shares_take/,/^}/s/shares->nr_members += .*;//' turns
bug absent-although-waiting shares.c 's/expected_bytes = 0;$/expected_bytes += 0;/' quanta
bug left-in-tree shares.c '/^static void stop_waiting/,/^}/s/rb_erase_cached(.*);//' turns
bug told-not-called shares.c 's/^\t\tlist_move_tail(.*);/\t\tstop_waiting(shares, member);/' told
bug newcomer-left-on-list shares.c '/^static void stop_waiting/,/^}/s/list_del_init(.*);//' turns
bug first-not-known shares.c '/^static void join_line/,/^}/s/is_first = false;//' quanta
bug order-turned shares.c '/^static void join_line/,/^}/s/member->vtime </member->vtime >/' quanta
bug owed-for-absence shares.c '/^static void join_line/,/^}/s/less(shares->vtime, .*));/0ULL);/' expected
bug time-stands-still shares.c '/^static void grant(/,/^}/s/member->vtime += /member->vtime += 0 * /' quanta
bug time-not-of-all shares.c '/^static void grant(/,/^}/s/shares->vtime = .*;//' quanta
bug turn-too-long shares.c 's/bytes \* TURN_VTIME \/ shares->turn_bytes/bytes * TURN_VTIME/' quanta
bug quantum-of-none shares.c '/^static void begin_epoch/,/^}/s/max(shares->nr_waiting, 1ULL)/1ULL/' quanta
bug granted-and-in-line shares.c '/^struct rngq_member \*rngq_shares_grant/,/^}/s/stop_waiting(.*);//' turns
bug grant-without-spare shares.c 's/min3(max(bytes, shares->least_bytes), member->want_bytes, spare)/min(max(bytes, shares->least_bytes), member->want_bytes)/' quanta
bug granted-more-than-wanted shares.c 's/min3(max(bytes, shares->least_bytes), member->want_bytes, spare)/min(max(bytes, shares->least_bytes), spare)/' quanta
bug want-not-minded shares.c '/^static .*unwanted_bytes/,/^}/s/^\t\tshares->want_bytes;/\t\t0;/' shares
bug twice-not-minded shares.c 's/min(shares->share_bytes, 2 \* member->before_bytes)/shares->share_bytes/' expected
bug share-taken-again shares.c '/return min(less(min(/,/;/s/member->taken_bytes)/0)/' quanta
bug epoch-not-dealt shares.c '/^static void begin_epoch/,/^}/s/shares->next_deal_ns = 0;//' lapse-trusted
bug rest-waits-for-end shares.c '/^u64 rngq_shares_next_ns/,/^}/s/min(shares->next_ns, .*) :/shares->next_ns :/' polls
bug closing-keeps-newcomers shares.c '/^static void close_round/,/^}/s/judge_newcomers(.*);//' asker
bug closing-keeps-expected shares.c '/^static void close_round/,/^}/s/shares->expected_bytes = 0;//' doubt
bug closing-not-dealt shares.c '/^static void close_round/,/^}/s/begin_epoch(.*);//' shares
bug idle-are-expected shares.c 's/= idled ? 0 :/= idled \&\& false ? 0 :/' doubt
bug never-in-doubt shares.c '/^static void judge_newcomers/,/^}/s/shares->newcomer_bytes > .*;/false;/' asker
bug in-doubt-for-ever shares.c '/^static void judge_newcomers/,/^}/s/shares->newcomer_bytes > .*;/true;/' turns
bug refused-for-ever shares.c 's/^\tshares->was_refused = false;//' asker
bug doubted-in-absence shares.c 's/^\tshares->in_doubt &= .*;//' asker
bug newcomer-not-expected shares.c 's/shares->was_refused |= .*;//' asker
bug newcomers-not-called shares.c '/^static .*next_waiter/,/^}/s/is_max || shares->newcomer_bytes/is_max/' doubt
bug newcomers-in-line shares.c 's/^\tif (member->is_trusted) {/\tif (1) {/' turns
bug newcomers-are-members shares.c '/^static .*due_bytes(/,/^}/s/if (!member->is_trusted && .*)/if (0)/' asker
bug newcomer-share-unlimited shares.c '/^static .*due_bytes(/,/^}/s/min3(less(shares->newcomer_bytes, member->is_called ?/min3(less(shares->bucket.level_bytes, member->is_called ?/' asker-many
bug newcomers-share-nothing shares.c '/^static .*due_bytes(/,/^}/s/free_bytes(shares), shares->newcomer_share);/free_bytes(shares), RNGQ_MAX);/' shares
bug beat-not-kept shares.c '/^u64 rngq_shares_ask/,/^}/s/rngq_bucket_await(.*);//' turns

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
