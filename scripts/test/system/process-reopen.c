// SPDX-License-Identifier: GPL-2.0
/*
 * "One process gains nothing, and loses nothing, by closing and opening again":
 * the bucket, its clock and the boot credit go on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

/* Too much is wrong in any try; too little can be the machine's fault. */
#define TRIES		3

#define LOOP_RATE	100
#define LOOP_PERIOD_MS	100
#define LOOP_BURST	50
#define LOOP_BOOT	200
#define LOOP_PERIODS	25

#define BEAT_RATE	40
#define BEAT_PERIOD_MS	500
#define BEAT_VISITS	10
#define BEAT_SHIFT_MS	40

static u64 available(int fd)
{
	return rngq_client(fd, "available");
}

static void take(int fd, size_t bytes)
{
	if (rngq_take(fd, bytes) != (ssize_t)bytes)
		bail_out("%zu bytes can be read at once", bytes);
}

static void test_bucket(void)
{
	struct pollfd pollfd = { .events = POLLIN };
	struct opener opener;
	u64 id;
	int fd;

	rngq_set_default(100, HOUR_MS, 20, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	is_u64(available(fd), 120, "a new process has a full bucket");
	fd = opener_reopen(&opener, fd);
	is_u64(available(fd), 120, "one that nobody read from stays full");
	take(fd, 50);
	id = rngq_id(fd);
	fd = opener_reopen(&opener, fd);
	is_u64(available(fd), 70, "opened again, there is what was left");
	ok(rngq_id(fd) > id, "it is a new client");
	is_u64(rngq_client(fd, "bytes") + rngq_client(fd, "reads"), 0,
	       "with counters of its own");
	is_u64(rngq_drain(fd), 70, "and that can be read");
	for (int i = 0; i < 5; i++)
		fd = opener_reopen(&opener, fd);
	is_ret(rngq_take(fd, 1), -EAGAIN, "an empty bucket stays empty");
	pollfd.fd = fd;
	is_ret(poll(&pollfd, 1, 0), 0, "for poll() as well");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* "and what was left of the boot credit", which comes before the bucket */
static void test_credit(void)
{
	struct opener opener;
	int fd;

	rngq_set_default(50, HOUR_MS, 0, 100);
	opener_start(&opener);
	fd = opener_open(&opener);
	is_u64(available(fd), 150, "a new process has its boot credit");
	take(fd, 30);
	fd = opener_reopen(&opener, fd);
	is_u64(available(fd), 120, "opened again, there is what was left of it");
	take(fd, 30);
	fd = opener_reopen(&opener, fd);
	take(fd, 60);
	is_u64(available(fd), 30, "the third goes on to the bucket");
	rngq_set_default(50, HOUR_MS, 0, 500);
	fd = opener_reopen(&opener, fd);
	is_u64(rngq_drain(fd), 30, "a boot credit that is raised then is for new processes");
	fd = opener_reopen(&opener, fd);
	is_ret(rngq_take(fd, 1), -EAGAIN, "what was spent does not come again");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* Two clients, one credit: not lost and not doubled, whoever closes first. */
static void test_credit_of_two(void)
{
	struct opener opener;
	int first, second;

	rngq_set_default(50, HOUR_MS, 0, 100);
	opener_start(&opener);
	first = opener_open(&opener);
	second = opener_open(&opener);
	take(first, 10);
	second = opener_reopen(&opener, second);
	is_u64(available(second), 0, "while a client has the credit, the next has none");
	opener_close(&opener, first);
	opener_close(&opener, second);
	first = opener_open(&opener);
	is_u64(available(first), 90, "what is left of it outlives a client that had none");
	second = opener_open(&opener);
	is_u64(available(second), 0, "and goes to one client only");
	opener_close(&opener, second);
	opener_close(&opener, first);
	opener_end(&opener);
}

/* A refill while nothing is open: there when it is due, and not before. */
static void test_clock(void)
{
	const u64 period_ms = 400;
	u64 before_ns, after_ns, now_ns, now, periods;
	struct opener opener;
	int fd;

	rngq_set_default(10, period_ms, 35, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	before_ns = rngq_now_ns();
	is_u64(rngq_drain(fd), 45, "(drain it)");
	after_ns = rngq_now_ns();
	opener_close(&opener, fd);
	rngq_sleep_until_ns(after_ns + 2 * period_ms * NSEC_PER_MSEC);
	fd = opener_open(&opener);
	now = available(fd);
	periods = (rngq_now_ns() - before_ns) / (period_ms * NSEC_PER_MSEC);
	is_between(now, 20, periods > 4 ? 45 : 10 * periods,
		   "two periods later there are two refills");
	opener_close(&opener, fd);
	opener_end(&opener);

	/* Had it begun anew with each client, it would never come. */
	rngq_set_default(10, period_ms, 0, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	before_ns = rngq_now_ns();
	rngq_drain(fd);
	do {
		fd = opener_reopen(&opener, fd);
		now_ns = rngq_now_ns();
	} while (rngq_take(fd, 10) == -EAGAIN &&
		 now_ns < before_ns + LATE_MS * NSEC_PER_MSEC);
	is_between((rngq_now_ns() - before_ns) / NSEC_PER_MSEC, period_ms,
		   LATE_MS, "who opens all the time gets it when it is due");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* The promise, from the first read on: "plus its boot credit once" */
static u64 loop_allows(u64 t_ns)
{
	return LOOP_BOOT + LOOP_RATE + LOOP_BURST +
	       LOOP_RATE * (t_ns / (LOOP_PERIOD_MS * NSEC_PER_MSEC) + 1);
}

/* A client for each read; returns whether it had at least so much of the rate. */
static bool run_loop(void)
{
	const unsigned int least_percent = 80 / rngq_slowness();
	u64 bytes = rngq_attr("stats/bytes"), opens = rngq_attr("stats/opens");
	u64 start_ns, run_ns, got = 0, excess = 0, reopened = 0;
	struct opener opener;
	int fd;

	opener_start(&opener);
	start_ns = rngq_now_ns();
	fd = opener_open(&opener);
	do {
		ssize_t count = rngq_take(fd, 4096);
		u64 limit = loop_allows(rngq_now_ns() - start_ns);

		if (count > 0)
			got += count;
		if (got > limit && got - limit > excess)
			excess = got - limit;
		fd = opener_reopen(&opener, fd);
		reopened++;
		run_ns = rngq_now_ns() - start_ns;
	} while (run_ns < LOOP_PERIODS * LOOP_PERIOD_MS * NSEC_PER_MSEC);
	opener_close(&opener, fd);
	opener_end(&opener);

	is_u64(excess, 0, "never a byte more than promised by opening again");
	is_u64(rngq_attr("stats/bytes") - bytes, got, "the count of bytes agrees");
	is_u64(rngq_attr("stats/opens") - opens, reopened + 1, "and that of opens");
	diag("opened %llu times, %llu bytes", reopened + 1, got);
	return reopened > 100 / rngq_slowness() &&
	       got * 100 >= (LOOP_BOOT + LOOP_RATE * LOOP_PERIODS) * least_percent;
}

/* Nor fewer: "loses nothing" */
static void test_loop(void)
{
	bool enough = false;

	rngq_set_default(LOOP_RATE, LOOP_PERIOD_MS, LOOP_BURST, LOOP_BOOT);
	for (int i = 0; i < TRIES && !enough; i++)
		enough = run_loop();
	ok(enough, "nor much less");
}

/*
 * "A client that was waiting keeps its beat": each visit finds the refill that
 * came since, and comes less than a period after the one before. If a period
 * began at each visit, every other one would find nothing.
 */
static bool run_beat(void)
{
	unsigned int found = 0;
	struct opener opener;
	u64 start_ns;
	int fd;

	opener_start(&opener);
	fd = opener_open(&opener);
	start_ns = rngq_now_ns();
	rngq_drain(fd);
	opener_close(&opener, fd);
	for (int i = 1; i <= BEAT_VISITS; i++) {
		u64 due_ms = i * BEAT_PERIOD_MS;

		due_ms += BEAT_SHIFT_MS * (BEAT_VISITS + 1 - i);
		rngq_sleep_until_ns(start_ns + due_ms * NSEC_PER_MSEC);
		fd = opener_open(&opener);
		/* It ends with finding nothing, and so waits for the next. */
		found += rngq_drain(fd) == BEAT_RATE;
		opener_close(&opener, fd);
	}
	opener_end(&opener);
	diag("%u of %d visits found a refill", found, BEAT_VISITS);
	return found >= BEAT_VISITS * 8 / 10;
}

static void test_beat(void)
{
	bool kept = false;

	rngq_set_default(BEAT_RATE, BEAT_PERIOD_MS, 0, 0);
	for (int i = 0; i < TRIES && !kept; i++)
		kept = run_beat();
	ok(kept, "a client that waited hands on its beat");
}

/* What is left is under the quota as it is when a client is opened on it. */
static void test_changed_while_closed(void)
{
	struct opener opener;
	int fd;

	rngq_set_default(100, HOUR_MS, 0, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	opener_close(&opener, fd);
	rngq_set_default(200, HOUR_MS, 50, 0);
	fd = opener_open(&opener);
	is_u64(available(fd), 250, "a full bucket is full at the capacity that holds now");
	take(fd, 150);
	opener_close(&opener, fd);
	rngq_set_default(1000, HOUR_MS, 0, 0);
	fd = opener_open(&opener);
	is_u64(available(fd), 100, "another keeps what it holds");
	opener_close(&opener, fd);
	rngq_set_default(30, HOUR_MS, 0, 0);
	fd = opener_open(&opener);
	is_u64(available(fd), 30, "cut to the new capacity");
	rngq_drain(fd);
	opener_close(&opener, fd);
	rngq_set_default(5000, HOUR_MS, 5000, 0);
	fd = opener_open(&opener);
	is_ret(rngq_take(fd, 1), -EAGAIN, "an empty one is as empty under a greater quota");
	opener_close(&opener, fd);
	opener_end(&opener);
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients");

	rngq_keep_globals();
	test_bucket();
	test_credit();
	test_credit_of_two();
	test_clock();
	test_loop();
	test_beat();
	test_changed_while_closed();
	is_u64(rngq_attr("stats/clients"), clients, "no client is left");
	return done_testing();
}
