// SPDX-License-Identifier: GPL-2.0
/*
 * What is told of a client that total/ stops: "available: what its own quota
 * lets it read now"; "throttled counts waits: one lasts from the first read or
 * poll that found nothing to the refill that ended it". And what total/'s own bucket
 * holds when its quota changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

static int open_unlimited(void)
{
	return rngq_open_unlimited(O_NONBLOCK);
}

static void poll_now(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	if (poll(&pollfd, 1, 0))
		bail_out("a poll finds nothing");
}

static void test_available(void)
{
	int fd;

	crowd_set_total(10, HOUR_MS, 0);
	fd = rngq_open_quota(O_NONBLOCK, 100, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), 100, "available is of a client's own quota");
	is_ret(rngq_take(fd, 4096), 10, "though a read gets no more than total/ has");
	is_u64(rngq_client(fd, "available"), 90, "what it read is less there now");
	is_u64(rngq_fdinfo(fd, "available"), 90, "fdinfo agrees");
	is_ret(rngq_take(fd, 4096), -EAGAIN, "and nothing else can be read");
	is_u64(rngq_client(fd, "available"), 90, "that changes nothing there");
	close(fd);
	fd = open_unlimited();
	is_u64(rngq_client(fd, "available"), RNGQ_MAX,
	       "whose quota is max, has max available, even then");
	close(fd);
}

static void test_throttled(void)
{
	u64 throttled = rngq_attr("stats/throttled"), start_ms, waited_ms;
	u64 stats_ms = rngq_attr("stats/throttled_ms");
	int fd;

	crowd_set_total(10, HOUR_MS, 0);
	fd = open_unlimited();
	is_ret(rngq_take(fd, 4096), 10, "(drain total/)");
	is_u64(rngq_client(fd, "throttled"), 0, "who found something was not throttled");
	start_ms = rngq_now_ms();
	rngq_take(fd, 1);
	is_u64(rngq_client(fd, "throttled"), 1, "a read that finds total/ empty is");
	poll_now(fd);
	rngq_take(fd, 1);
	is_u64(rngq_client(fd, "throttled"), 1, "but once a wait");
	rngq_sleep_ms(100);
	crowd_set_total(10, HOUR_MS, 0);
	is_ret(rngq_take(fd, 1), 1, "(something can be read)");
	waited_ms = rngq_now_ms() - start_ms;
	is_between(rngq_client(fd, "throttled_ms"), 90, waited_ms + 1,
		   "throttled_ms tells how long");
	rngq_drain(fd);
	poll_now(fd);
	is_u64(rngq_client(fd, "throttled"), 2, "the next wait counts anew");
	is_u64(rngq_attr("stats/throttled") - throttled, 2, "and so in stats/throttled");
	is_between(rngq_attr("stats/throttled_ms") - stats_ms, 90, LATE_MS,
		   "stats/throttled_ms agrees");
	close(fd);
}

/* A wait for both quotas is one wait, as long as the longer. */
static void test_throttled_by_both(void)
{
	int fd, other;

	crowd_set_total(10, HOUR_MS, 0);
	fd = rngq_open_quota(O_NONBLOCK, 4, 100, 0);
	other = open_unlimited();
	is_ret(rngq_take(fd, 4096), 4, "(use a client's own quota up)");
	rngq_drain(other);
	poll_now(fd);
	rngq_sleep_ms(250);
	poll_now(fd);
	is_u64(rngq_client(fd, "throttled"), 1,
	       "who waits for its own refill and then for total/ waits once");
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	is_ret(rngq_take(fd, 4096), 4, "then there is its own quota");
	is_between(rngq_client(fd, "throttled_ms"), 240, LATE_MS, "the wait was that long");
	close(fd);
	close(other);
}

/* "When a quota is changed": the rules of the bucket hold for total/, too. */
static void test_changes(void)
{
	int fd;

	crowd_set_total(100, HOUR_MS, 0);
	fd = open_unlimited();
	rngq_set(50, "total/burst_bytes");
	is_u64(rngq_drain(fd), 150, "a full total/ is full at its new capacity");
	rngq_set(1000, "total/burst_bytes");
	is_ret(rngq_take(fd, 4096), -EAGAIN, "one that isn't full gains nothing by a change");
	rngq_set(2000, "total/rate_bytes");
	is_ret(rngq_take(fd, 4096), -EAGAIN, "of whatever sort");

	crowd_set_total(100, HOUR_MS, 0);
	is_ret(rngq_take(fd, 10), 10, "(take 10 of 100)");
	rngq_set(30, "total/rate_bytes");
	is_u64(rngq_drain(fd), 30, "what it holds is cut to a smaller capacity");
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	is_ret(rngq_take(fd, 4096), 4096, "max is without any limit, at once");
	rngq_set(30, "total/rate_bytes");
	is_u64(rngq_drain(fd), 30, "and from max to a limit it is full");
	close(fd);

	crowd_set_total(100, HOUR_MS, 0);
	fd = rngq_open_quota(O_NONBLOCK, 30, HOUR_MS, 20);
	is_u64(rngq_drain(fd), 50, "a client gets no more than its own quota");
	close(fd);
	fd = open_unlimited();
	is_u64(rngq_drain(fd), 50, "what it left is there for others");
	close(fd);
}

/* "The promise … plus its boot credit once" is a client's, not total/'s. */
static void test_boot_credit(void)
{
	int fd;

	crowd_set_total(100, HOUR_MS, 0);
	rngq_set(70, "default/boot_bytes");
	fd = rngq_open_quota(O_NONBLOCK, 50, HOUR_MS, 0);
	is_u64(rngq_drain(fd), 100, "a boot credit counts against total/");
	is_u64(rngq_client(fd, "available"), 20, "and what is left of both is still there");
	close(fd);
	rngq_set(0, "default/boot_bytes");
}

/* "quota not delivered is given back": to both buckets. */
static void test_given_back(void)
{
	int fd;

	crowd_set_total(100, HOUR_MS, 0);
	fd = rngq_open_quota(O_NONBLOCK, 200, HOUR_MS, 0);
	is_ret(rngq_read_nowait(fd, NULL, 60), -EFAULT, "a read to a bad address fails");
	is_u64(rngq_client(fd, "available"), 200, "its own quota is given back");
	is_u64(rngq_drain(fd), 100, "and that of total/");
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	test_available();
	test_throttled();
	test_throttled_by_both();
	test_changes();
	test_boot_credit();
	test_given_back();
	return done_testing();
}
