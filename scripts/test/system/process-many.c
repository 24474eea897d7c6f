// SPDX-License-Identifier: GPL-2.0
/*
 * "Further clients that it has open at the same time start empty, with those
 * overrides, without credit, their clock starting at open: n clients get up to
 * n times the rate".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "opener.h"
#include "reader.h"
#include "rngq.h"

/* Too much is wrong in any try; too little can be the machine's fault. */
#define TRIES		3

#define CLIENTS		4
#define RATE		100
#define PERIOD_MS	100
#define PERIODS		20

#define ATTACK_CLIENTS	3
#define ATTACK_RATE	64
#define ATTACK_BURST	96
#define ATTACK_BOOT	100
#define ATTACK_PERIOD_MS	50
#define ATTACK_MS	3000

static u64 available(int fd)
{
	return rngq_client(fd, "available");
}

static void take(int fd, size_t bytes)
{
	if (rngq_take(fd, bytes) != (ssize_t)bytes)
		bail_out("%zu bytes can be read at once", bytes);
}

static void test_start(void)
{
	const u64 period_ms = 700;
	u64 before_ns, after_ns, periods, now;
	struct opener opener;
	struct reader reader;
	int first, second;

	rngq_set_default(50, HOUR_MS, 0, 20);
	opener_start(&opener);
	first = opener_open(&opener);
	before_ns = rngq_now_ns();
	second = opener_open(&opener);
	is_ret(rngq_take(second, 100), -EAGAIN, "a second client starts empty");
	/* "the running period keeps its start" */
	rngq_set(period_ms, "default/period_ms");
	reader_start(&reader, second, 100);
	reader_join(&reader);
	is_ret(reader.result, 50, "its first refill is one period's, without the credit");
	is_between((reader.after_ns - before_ns) / NSEC_PER_MSEC, period_ms,
		   period_ms + LATE_MS, "and comes a period after it was opened");
	is_u64(rngq_drain(first), 70, "the first has all that a new process has");
	opener_close(&opener, first);
	opener_close(&opener, second);

	/* Nobody has to ask for it: the clock runs from open() on. */
	rngq_set_default(50, period_ms, 70, 0);
	first = opener_open(&opener);
	before_ns = rngq_now_ns();
	second = opener_open(&opener);
	after_ns = rngq_now_ns();
	rngq_sleep_until_ns(after_ns + 2 * period_ms * NSEC_PER_MSEC);
	now = available(second);
	periods = (rngq_now_ns() - before_ns) / (period_ms * NSEC_PER_MSEC);
	is_between(now, 100, periods > 2 ? 120 : 100,
		   "two periods later two refills have come");
	opener_close(&opener, first);
	opener_close(&opener, second);
	opener_end(&opener);
}

/* One run; returns whether all had at least 80 % of n times the rate. */
static bool run_sum(void)
{
	u64 excess[CLIENTS] = { }, got[CLIENTS] = { }, start_ns[CLIENTS];
	u64 end_ns, sum = 0;
	struct opener opener;
	int fds[CLIENTS];

	opener_start(&opener);
	for (int i = 0; i < CLIENTS; i++) {
		start_ns[i] = rngq_now_ns();
		fds[i] = opener_open(&opener);
	}
	end_ns = start_ns[0] + PERIODS * PERIOD_MS * NSEC_PER_MSEC;
	while (rngq_now_ns() < end_ns) {
		for (int i = 0; i < CLIENTS; i++) {
			u64 limit = i ? 0 : 2 * RATE;

			got[i] += rngq_drain(fds[i]);
			limit += (rngq_now_ns() - start_ns[i]) /
				 (PERIOD_MS * NSEC_PER_MSEC) * RATE;
			if (got[i] > limit && got[i] - limit > excess[i])
				excess[i] = got[i] - limit;
		}
		/* A greedy reader that leaves some of the machine to others. */
		rngq_sleep_ms(1);
	}
	for (int i = 0; i < CLIENTS; i++) {
		is_u64(excess[i], 0, "client %d of %d never gets a byte too many",
		       i + 1, CLIENTS);
		sum += got[i];
		opener_close(&opener, fds[i]);
	}
	opener_end(&opener);
	diag("%llu bytes by %d clients", sum, CLIENTS);
	return sum * 100 >= CLIENTS * PERIODS * RATE * 80;
}

static void test_sum(void)
{
	bool enough = false;

	rngq_set_default(RATE, PERIOD_MS, 0, 0);
	for (int i = 0; i < TRIES && !enough; i++)
		enough = run_sum();
	ok(enough, "%d clients get %d times the rate", CLIENTS, CLIENTS);
}

/* "the client that it closed last (unless one was opened on it already)" */
static void test_one_successor(void)
{
	struct opener opener;
	int a, b, c, d;

	rngq_set_default(100, HOUR_MS, 0, 0);
	opener_start(&opener);
	a = opener_open(&opener);
	b = opener_open(&opener);
	/* Full, both of them. */
	rngq_set_default(RNGQ_MAX, HOUR_MS, 0, 0);
	rngq_set_default(100, HOUR_MS, 0, 0);
	take(a, 60);
	take(b, 30);

	opener_close(&opener, b);
	opener_close(&opener, a);
	c = opener_open(&opener);
	is_u64(available(c), 40, "a client is opened on the bucket that was closed last");
	d = opener_open(&opener);
	is_u64(available(d), 0, "the next one is not, nor on an earlier one");
	opener_close(&opener, d);
	c = opener_reopen(&opener, c);
	is_u64(available(c), 40, "who closes later leaves what there is");
	opener_close(&opener, c);
	d = opener_open(&opener);
	is_u64(rngq_drain(d), 40, "that can be read once,");
	c = opener_open(&opener);
	is_u64(available(c), 0, "and once only");

	/* A full one that stays open helps nobody else. */
	rngq_set_default(RNGQ_MAX, HOUR_MS, 0, 0);
	rngq_set_default(100, HOUR_MS, 0, 0);
	rngq_drain(d);
	for (int i = 0; i < 5; i++)
		d = opener_reopen(&opener, d);
	is_ret(rngq_take(d, 1), -EAGAIN, "beside a full client an empty one stays empty");
	is_u64(rngq_drain(c), 100, "and the full one is full");
	opener_close(&opener, c);
	opener_close(&opener, d);
	opener_end(&opener);
}

/*
 * What n clients may take, however they are opened, read and closed: the first
 * fill and the credit once; and for each a refill a period.
 */
static u64 attack_allows(u64 t_ns)
{
	u64 periods = t_ns / (ATTACK_PERIOD_MS * NSEC_PER_MSEC) + 1;

	return ATTACK_BOOT + ATTACK_RATE + ATTACK_BURST +
	       ATTACK_CLIENTS * ATTACK_RATE * periods;
}

/* Open, read and close at random. */
static void test_attack(void)
{
	u64 bytes = rngq_attr("stats/bytes"), refused = rngq_attr("stats/refused");
	u64 start_ns, got = 0, excess = 0, opened = 0, too_many = 0;
	unsigned int seed = getpid();
	int fds[ATTACK_CLIENTS + 1];
	struct opener opener;
	int count = 0;

	diag("seed %u", seed);
	rngq_set_default(ATTACK_RATE, ATTACK_PERIOD_MS, ATTACK_BURST, ATTACK_BOOT);
	rngq_set(ATTACK_CLIENTS, "limits/max_clients_per_process");
	opener_start(&opener);
	start_ns = rngq_now_ns();
	while (rngq_now_ns() - start_ns < ATTACK_MS * NSEC_PER_MSEC) {
		int what = rand_r(&seed) % 16, which, fd;
		ssize_t read;
		u64 limit;

		if (what < 4 || !count) {
			fd = opener_try(&opener, O_NONBLOCK);
			if (fd == -EMFILE && count == ATTACK_CLIENTS) {
				too_many++;
				continue;
			}
			if (fd < 0 || count == ATTACK_CLIENTS)
				bail_out("%d clients can be open, no more", ATTACK_CLIENTS);
			fds[count++] = fd;
			opened++;
			continue;
		}
		which = rand_r(&seed) % count;
		/* Seldom, so that they live to see a refill. */
		if (what == 4) {
			opener_close(&opener, fds[which]);
			fds[which] = fds[--count];
			continue;
		}
		read = rngq_take(fds[which], 1 + rand_r(&seed) % 200);
		limit = attack_allows(rngq_now_ns() - start_ns);
		if (read > 0)
			got += read;
		if (got > limit && got - limit > excess)
			excess = got - limit;
	}
	while (count)
		opener_close(&opener, fds[--count]);
	opener_end(&opener);
	diag("%llu opened, %llu bytes of %llu", opened, got,
	     attack_allows(rngq_now_ns() - start_ns));
	is_u64(excess, 0, "no order of open, read and close gives a byte too many");
	ok(opened > 100 / rngq_slowness(), "there was something to do");
	is_u64(rngq_attr("stats/bytes") - bytes, got, "the count of bytes agrees");
	is_u64(rngq_attr("stats/refused") - refused, too_many, "and that of refusals");
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients");

	rngq_keep_globals();
	test_start();
	test_sum();
	test_one_successor();
	test_attack();
	is_u64(rngq_attr("stats/clients"), clients, "no client is left");
	return done_testing();
}
