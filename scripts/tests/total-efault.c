// SPDX-License-Identifier: GPL-2.0
/*
 * A client that reads into a bad address without end gives back all that it is
 * dealt: that must neither hold up what the others are dealt nor lose it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rngq.h"

#define VICTIMS		6
#define PERIOD_MS	4
#define MEASURED_MS	1000
#define TRIES		3

static char *const nowhere;

static atomic_ullong had;
static atomic_bool attacking, reading = true;
static atomic_uint wrong;

static void *victim(void *fd)
{
	char bytes[4096];

	while (reading) {
		ssize_t count = read(*(int *)fd, bytes, sizeof(bytes));

		if (count > 0)
			had += count;
		else
			wrong++;
	}
	return NULL;
}

static void *attacker(void *fd)
{
	while (reading) {
		if (!attacking)
			rngq_sleep_ms(1);
		else if (syscall(SYS_read, *(int *)fd, nowhere, 4096) >= 0 ||
			 errno != EFAULT)
			wrong++;
	}
	return NULL;
}

static u64 measure(bool attack)
{
	u64 before;

	attacking = attack;
	rngq_sleep_ms(100);
	before = had;
	rngq_sleep_ms(MEASURED_MS);
	return had - before;
}

int main(void)
{
	pthread_t threads[VICTIMS + 1];
	u64 quiet = 0, attacked = 0;
	int fds[VICTIMS + 1];

	rngq_keep_globals();
	rngq_set(PERIOD_MS * rngq_slowness(), "total/period_ms");
	rngq_set(1000, "total/rate_bytes");
	for (int i = 0; i <= VICTIMS; i++) {
		fds[i] = rngq_open_unlimited(0);
		if (pthread_create(&threads[i], NULL,
				   i < VICTIMS ? victim : attacker, &fds[i]))
			bail_out("there are threads");
	}
	/* What a busy machine does to one of them it seldom does three times. */
	for (int i = 0; i < TRIES && attacked * 10 <= quiet * 7; i++) {
		quiet = measure(false);
		attacked = measure(true);
		diag("%llu bytes, then %llu", quiet, attacked);
	}
	ok(attacked * 10 > quiet * 7, "the others have theirs all the same");

	rngq_set(RNGQ_MAX, "total/rate_bytes");
	reading = false;
	for (int i = 0; i <= VICTIMS; i++)
		pthread_join(threads[i], NULL);
	is_u64(wrong, 0, "and nobody got what it must not");
	return done_testing();
}
