// SPDX-License-Identifier: GPL-2.0
/*
 * A client that reads into a bad address without end gives back all that it takes:
 * that must neither hold up what the others are dealt, nor lose it, nor let them find
 * nothing where there is something.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define VICTIMS		6
#define PERIOD_MS	4
#define MEASURED_MS	1000
#define TRIES		3
/* Of a reader that takes a byte each few milliseconds, of far more than it needs: */
#define READS		200
#define EVERY_MS	5
#define ENOUGH		4000

static char *const nowhere;

static atomic_ullong had;
static atomic_bool attacking, reading;
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

static void test_crowd(void)
{
	pthread_t threads[VICTIMS + 1];
	u64 quiet = 0, attacked = 0;
	int fds[VICTIMS + 1];

	crowd_set_total(1000, PERIOD_MS * rngq_slowness(), 0);
	reading = true;
	wrong = 0;
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
	for (int i = 0; i <= VICTIMS; i++) {
		pthread_join(threads[i], NULL);
		close(fds[i]);
	}
	is_u64(wrong, 0, "and nobody got what it must not");
}

static int compare_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/*
 * @attacked and @fd are of the same client or not. How often there was nothing, and
 * how long it took to have a byte, nine times of ten.
 */
static unsigned int read_on(int fd, int attacked, bool waits, u64 *p90_ns)
{
	unsigned int nothing = 0;
	static u64 took_ns[READS];
	u64 next_ns = rngq_now_ns();
	pthread_t thread;

	reading = true;
	attacking = true;
	wrong = 0;
	if (pthread_create(&thread, NULL, attacker, &attacked))
		bail_out("a thread can be started");
	for (int i = 0; i < READS; i++) {
		u64 start_ns;
		ssize_t count;
		char byte;

		next_ns += EVERY_MS * NSEC_PER_MSEC;
		rngq_sleep_until_ns(next_ns);
		start_ns = rngq_now_ns();
		count = waits ? read(fd, &byte, 1) : rngq_take(fd, 1);
		took_ns[i] = rngq_now_ns() - start_ns;
		if (count == -EAGAIN && !waits)
			nothing++;
		else if (count != 1)
			bail_out("a read of a byte fails with nothing but EAGAIN");
	}
	reading = false;
	pthread_join(thread, NULL);
	qsort(took_ns, READS, sizeof(took_ns[0]), compare_u64);
	*p90_ns = took_ns[READS * 9 / 10];
	diag("nothing %u times; a byte took %llu us, nine times of ten", nothing, *p90_ns / 1000);
	return nothing;
}

static void test_reader(int fd, int attacked, const char *name)
{
	unsigned int nothing = READS;
	u64 p90_ns;

	for (int i = 0; i < TRIES && nothing > READS / 100; i++)
		nothing = read_on(fd, attacked, false, &p90_ns);
	ok(nothing <= READS / 100, "beside bad reads of %s who doesn't wait finds what there is",
	   name);
	p90_ns = ~0ULL;
	for (int i = 0; i < TRIES && p90_ns > 20 * NSEC_PER_MSEC * rngq_slowness(); i++)
		read_on(fd, attacked, true, &p90_ns);
	ok(p90_ns <= 20 * NSEC_PER_MSEC * rngq_slowness(), "and who waits has it soon");
	is_u64(wrong, 0, "and the bad reads are told nothing but EFAULT");
}

int main(void)
{
	int fd, other;

	rngq_keep_globals();
	test_crowd();

	crowd_set_total(ENOUGH, 1000, 0);
	fd = rngq_open_unlimited(0);
	other = rngq_open_unlimited(0);
	test_reader(fd, other, "another client, below total/");
	test_reader(fd, fd, "the same client, below total/");
	close(other);
	close(fd);
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	fd = rngq_open_quota(0, ENOUGH, 1000, 0);
	test_reader(fd, fd, "the same client, with its own quota");
	close(fd);
	return done_testing();
}
