// SPDX-License-Identifier: GPL-2.0
/*
 * "Who wants less than an equal share gets all it wants, at whatever moment of the
 * period it asks": by reads that don't wait, so that what is not there at that moment
 * is not had.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define RATE		1000
/* What is had in the first ten periods doesn't count. */
#define EARLY		10
#define PERIODS		20
#define GREEDY		100
#define MODEST		500

static struct crowd *open_greedy(unsigned int members)
{
	struct crowd *crowd = crowd_new(members, 0);

	for (unsigned int i = 0; i < members; i++) {
		crowd->members[i].kind = i % CROWD_SPIN;
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_open(crowd);
	return crowd;
}

static void stop_greedy(struct crowd *crowd)
{
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "the greedy ones met no error");
	crowd_free(crowd);
}

/* It wants a byte when most of the period is over, and all has been dealt long ago. */
static void test_late(void)
{
	const u64 period_ns = 1000 * NSEC_PER_MSEC;
	struct crowd *crowd = open_greedy(GREEDY);
	int fd = rngq_open_unlimited(O_NONBLOCK);
	unsigned int had = 0;
	u64 start_ns;

	start_ns = crowd_start_total(RATE, 1000);
	crowd_go(crowd);
	for (unsigned int i = 0; i < EARLY + PERIODS; i++) {
		rngq_sleep_until_ns(start_ns + i * period_ns + period_ns * 95 / 100);
		had += rngq_take(fd, 1) == 1 && i >= EARLY;
	}
	diag("%u of %d", had, PERIODS);
	ok(had >= PERIODS - 1,
	   "beside %d greedy clients one has its byte at 95 %% of each period", GREEDY);
	close(fd);
	stop_greedy(crowd);
}

/* Each wants a byte a period, at a moment of its own. */
static void test_any_moment(unsigned int greedy, u64 rate_bytes, const char *name)
{
	const u64 period_ns = 500 * NSEC_PER_MSEC;
	struct crowd *crowd = open_greedy(greedy);
	u64 start_ns, had = 0, wanted = MODEST * PERIODS;
	static int fds[MODEST];

	for (int i = 0; i < MODEST; i++) {
		/* Neighbours in time came at any time. */
		int *fd = &fds[i * 97 % MODEST];

		*fd = rngq_open(O_NONBLOCK);
	}
	start_ns = crowd_start_total(rate_bytes, 500);
	crowd_go(crowd);
	for (unsigned int i = 0; i < EARLY + PERIODS; i++) {
		for (int j = 0; j < MODEST; j++) {
			rngq_sleep_until_ns(start_ns + i * period_ns + j * period_ns / MODEST);
			had += rngq_take(fds[j], 1) == 1 && i >= EARLY;
		}
	}
	for (int i = 0; i < MODEST; i++)
		close(fds[i]);
	diag("%llu of %llu bytes", had, wanted);
	ok(had * 100 >= wanted * 95, "%s: %d clients have their byte, at any moment", name, MODEST);
	stop_greedy(crowd);
}

int main(void)
{
	rngq_keep_globals();
	rngq_set_default(RNGQ_MAX, 1000, 0, 0);
	test_late();
	test_any_moment(0, 600, "with a little to spare");
	test_any_moment(1, RATE, "beside a greedy client");
	return done_testing();
}
