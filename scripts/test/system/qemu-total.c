// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile guest where total/ is the bottleneck, beside other greedy clients: it
 * notifies many times for each buffer, so that requests pile up in QEMU. It gets
 * no more than its own quota, all of them no more than total/, and the others
 * their shares. QEMU lives.
 */
#include <signal.h>
#include <sys/wait.h>

#include "crowd.h"
#include "qtest.h"
#include "rngq.h"

#define PERIOD_MS	500
#define PERIODS		12
#define REQUEST_BYTES	64
#define NOTIFICATIONS	20

static const struct crowd_quota own = { .rate_bytes = 24, .period_ms = PERIOD_MS };
static const struct crowd_quota total = { .rate_bytes = 60, .period_ms = PERIOD_MS };

static u64 stats_before, start_ns;

static u64 allowed_now(const struct crowd_quota *quota)
{
	u64 elapsed_ms = (rngq_now_ns() - start_ns) / NSEC_PER_MSEC;

	/* From the start on, which was full. */
	return quota->rate_bytes * (1 + elapsed_ms / PERIOD_MS);
}

static void hammer(struct guest *guest)
{
	while (guest_outstanding(guest) < guest->slots)
		guest_post(guest, REQUEST_BYTES);
	for (unsigned int i = 0; i < NOTIFICATIONS; i++)
		guest_notify(guest);
	while (guest_outstanding(guest) && guest_fetch(guest, NULL) != GUEST_NOTHING)
		;
}

static void attack(const char *name, const char *device)
{
	static const enum crowd_kind kinds[] = { CROWD_READ, CROWD_POLL, CROWD_SPIN };
	struct guest_options options = { .filename = RNGQ_DEV, .device = device };
	unsigned int guest_over = 0, client_over = 0, all_over = 0;
	struct crowd *crowd = crowd_new(ARRAY_SIZE(kinds), 0);
	struct guest guest;
	u64 id, bytes, least = RNGQ_MAX, run_ms;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		crowd->members[i].kind = kinds[i];
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_set_total(total.rate_bytes, total.period_ms, total.burst_bytes);
	guest_start(&guest, &options);
	guest_wait_up(&guest);
	id = guest_client(&guest);
	if (!id)
		bail_out("there is a client with QEMU's pid");
	crowd_open(crowd);
	stats_before = rngq_attr("stats/bytes");
	start_ns = rngq_now_ns();
	crowd_go(crowd);
	guest_init_rng(&guest);
	do {
		hammer(&guest);
		/* What was taken is looked at before the time is. */
		guest_over += guest.got_bytes > allowed_now(&own);
		bytes = rngq_attr("clients/%llu/bytes", id);
		client_over += bytes > allowed_now(&own);
		bytes = rngq_attr("stats/bytes") - stats_before;
		all_over += bytes > allowed_now(&total);
		run_ms = (rngq_now_ns() - start_ns) / NSEC_PER_MSEC;
	} while (run_ms < PERIODS * PERIOD_MS);
	for (unsigned int i = 0; i < crowd->count; i++)
		if (crowd->members[i].bytes < least)
			least = crowd->members[i].bytes;
	diag("QEMU had %llu bytes, the others %llu, %llu and %llu, in %llu ms",
	     rngq_attr("clients/%llu/bytes", id), (u64)crowd->members[0].bytes,
	     (u64)crowd->members[1].bytes, (u64)crowd->members[2].bytes, run_ms);

	is_u64(guest_over, 0, "%s: the guest never has more than its quota", name);
	is_u64(client_over, 0, "%s: nor has QEMU", name);
	is_u64(all_over, 0, "%s: nor have all of them more than total/", name);
	ok(rngq_attr("clients/%llu/bytes", id) > 2 * own.rate_bytes,
	   "%s: QEMU is served", name);
	/* 15 a period are their shares; half of that would be a busy machine's. */
	ok(least >= run_ms / PERIOD_MS * 15 / 2, "%s: the others get their shares", name);
	ok(rngq_attr("clients/%llu/throttled", id) > 0, "%s: QEMU had to wait", name);
	ok(guest_alive(&guest), "%s: QEMU lives", name);
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "%s: no other call gave what it must not", name);
	/* It has requests left, and would read on between our looks. */
	if (kill(guest.pid, SIGSTOP) || waitpid(guest.pid, NULL, WUNTRACED) != guest.pid)
		bail_out("QEMU can be stopped");
	is_u64(rngq_attr("stats/bytes") - stats_before,
	       rngq_attr("clients/%llu/bytes", id) + crowd_bytes(crowd),
	       "%s: the sums add up", name);
	guest_kill(&guest);
	crowd_free(crowd);
}

int main(void)
{
	rngq_keep_globals();
	rngq_set_default(own.rate_bytes, own.period_ms, own.burst_bytes, 0);
	attack("ioeventfd on", "ioeventfd=on");
	attack("ioeventfd off", "ioeventfd=off");
	return done_testing();
}
