// SPDX-License-Identifier: GPL-2.0
/*
 * The host's clock is set, forward and back an hour: periods are not measured
 * by it, nor is how long somebody waited.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "hosts.h"
#include "reader.h"
#include "rngq.h"

#define HOUR_S		3600
#define PERIOD_MS	1000
#define STEPS		10	/* forward or back, while a crowd reads */
#define STEP_MS		50	/* between them */

static u64 real_ns;		/* the right time when CLOCK_MONOTONIC was 0 */

/* Set the clock @ahead_s before the right time. */
static void set_clock(int ahead_s)
{
	u64 now_ns = real_ns + rngq_now_ns();
	struct timespec now = {
		.tv_sec = now_ns / NSEC_PER_SEC + ahead_s,
		.tv_nsec = now_ns % NSEC_PER_SEC,
	};

	if (clock_settime(CLOCK_REALTIME, &now))
		bail_out("the clock can be set");
}

static void set_right(void)
{
	set_clock(0);
}

static void keep_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	real_ns = now.tv_sec * NSEC_PER_SEC + now.tv_nsec - rngq_now_ns();
	if (atexit(set_right))
		bail_out("an exit handler can be set");
}

/* A reader waits for a refill when the clock is set, and the clock stays so. */
static void test_waiter(int ahead_s, const char *name)
{
	int fd = rngq_open_quota(0, 10, PERIOD_MS, 0);
	u64 start_ns = rngq_now_ns(), asleep_ns, give_up_ms, waited_ms, at_least_ms;
	struct reader reader = { };

	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 10);
	asleep_ns = rngq_now_ns();
	set_clock(ahead_s);
	give_up_ms = rngq_now_ms() + PERIOD_MS + LATE_MS;
	while (rngq_client(fd, "bytes") < 20 && rngq_now_ms() < give_up_ms)
		rngq_sleep_ms(10);
	/* Joining has a time limit by this clock. */
	set_right();
	reader_join(&reader);
	is_ret(reader.result, 10, "%s: who waits gets its refill", name);
	is_between((reader.after_ns - start_ns) / NSEC_PER_MSEC, PERIOD_MS,
		   PERIOD_MS + LATE_MS, "%s: when it is due", name);
	waited_ms = (reader.after_ns - start_ns) / NSEC_PER_MSEC;
	/* It slept at the latest when it was seen to; its wait ended with the refill. */
	at_least_ms = asleep_ns - start_ns < PERIOD_MS * NSEC_PER_MSEC ?
		PERIOD_MS - (asleep_ns - start_ns) / NSEC_PER_MSEC - 1 : 0;
	is_between(rngq_client(fd, "throttled_ms"), at_least_ms, waited_ms,
		   "%s: and its wait was as long as it was", name);
	close(fd);
}

/* What a running period, and a full bucket, think of it. */
static void test_buckets(void)
{
	int empty = rngq_open_quota(0, 10, HOUR_MS / 2, 0);
	int full = rngq_open_quota(0, 10, HOUR_MS / 2, 10);

	rngq_drain(empty);
	for (int i = 0; i < STEPS; i++) {
		set_clock(i % 2 ? -HOUR_S : HOUR_S);
		rngq_take(empty, 1);
	}
	is_u64(rngq_client(empty, "bytes"), 10, "no period ends by that");
	is_u64(rngq_client(full, "available"), 20, "nor does a full client lose");
	set_right();
	close(empty);
	close(full);
}

static void step_clock(struct crowd *crowd)
{
	unsigned int unserved = 0;

	for (int i = 0; i < STEPS; i++) {
		set_clock(i % 2 ? -HOUR_S : HOUR_S);
		unserved += hosts_unserved(crowd);
		rngq_sleep_ms(STEP_MS);
	}
	set_right();
	is_u64(unserved, 0, "each is served after each of %d steps", STEPS);
}

int main(void)
{
	rngq_keep_globals();
	keep_clock();
	/* So that prove, which looks at the clock now, tells the right time. */
	diag("the clock is right");
	test_waiter(HOUR_S, "an hour forward");
	test_waiter(-HOUR_S, "an hour back");
	test_buckets();
	hosts_try("the clock is set", step_clock);
	return done_testing();
}
