// SPDX-License-Identifier: GPL-2.0
/*
 * The bucket as a reader sees it: when a period starts, what an idle client
 * has, burst, boot credit, no limit. Times are checked against stamps taken
 * before and after the calls, so a slow machine makes no difference.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "rngq.h"

static u64 least(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* A blocking read of what is there, at least 1 byte; a failure counts as 0. */
static u64 read_some(int fd, size_t size)
{
	char bytes[4096];
	ssize_t count = read(fd, bytes, size);

	return count < 0 ? 0 : count;
}

static void test_starts_full(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 25);

	is_u64(rngq_client(fd, "available"), 35, "a client starts with rate and burst");
	is_u64(rngq_drain(fd), 35, "and can have it at once");
	is_ret(rngq_take(fd, 1), -EAGAIN, "then nothing");
	close(fd);
}

/* "5 bytes in 5 s can be had at once and then none for 5 s" */
static void test_at_once_then_none(void)
{
	const u64 period_ms = 250;
	int fd = rngq_open_quota(0, 5, period_ms, 0);
	u64 start_ns = rngq_now_ns();

	is_u64(read_some(fd, 100), 5, "the bytes of a period can be had at once");
	is_u64(read_some(fd, 100), 5, "the next ones");
	ok(rngq_now_ns() - start_ns >= period_ms * NSEC_PER_MSEC, "come a period later");
	close(fd);
}

/* "1 byte in 1 s comes byte by byte" */
static void test_byte_by_byte(void)
{
	const u64 period_ms = 50;
	int fd = rngq_open_quota(0, 1, period_ms, 0);
	u64 start_ns = rngq_now_ns(), got = 0;

	for (int i = 0; i < 6; i++)
		got += read_some(fd, 100);
	is_u64(got, 6, "6 reads at 1 byte a period get 6 bytes");
	ok(rngq_now_ns() - start_ns >= 5 * period_ms * NSEC_PER_MSEC,
	   "and take 5 periods");
	close(fd);
}

static void test_first_read_starts_period(void)
{
	const u64 period_ms = 300;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	u64 start_ns;

	rngq_sleep_ms(200);
	start_ns = rngq_now_ns();
	is_u64(read_some(fd, 1), 1, "(the first read, long after open)");
	is_u64(read_some(fd, 100), 9, "(and the rest)");
	is_u64(read_some(fd, 100), 10, "the refill");
	ok(rngq_now_ns() - start_ns >= period_ms * NSEC_PER_MSEC,
	   "comes a period after the first read, not after open()");
	close(fd);
}

static void test_idle(void)
{
	const u64 period_ms = 50;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	u64 start_ns;

	rngq_drain(fd);
	rngq_sleep_ms(5 * period_ms);
	is_u64(rngq_client(fd, "available"), 10,
	       "without a burst an idle client has the rate, nothing carried over");
	start_ns = rngq_now_ns();
	is_u64(read_some(fd, 100), 10, "(take it)");
	is_u64(read_some(fd, 100), 10, "(and the refill)");
	ok(rngq_now_ns() - start_ns >= period_ms * NSEC_PER_MSEC,
	   "its clock had stopped: the next period starts at the next read");
	close(fd);
}

static void test_partly_used(void)
{
	const u64 period_ms = 100;
	int fd = rngq_open_quota(0, 10, period_ms, 0);

	read_some(fd, 4);
	rngq_sleep_ms(2 * period_ms);
	is_u64(read_some(fd, 100), 10, "a refill makes a partly used client full, not fuller");
	close(fd);
}

static void test_burst(void)
{
	const u64 period_ms = 100, rate = 10, burst = 25;
	int fd = rngq_open_quota(0, rate, period_ms, burst);
	u64 drained_ns[2], again_ns[2], got;

	drained_ns[0] = rngq_now_ns();
	is_u64(rngq_drain(fd), rate + burst, "(drain it)");
	drained_ns[1] = rngq_now_ns();
	rngq_sleep_ms(2 * period_ms + period_ms / 2);
	again_ns[0] = rngq_now_ns();
	got = rngq_drain(fd);
	again_ns[1] = rngq_now_ns();
	is_between(got, least(rate + burst, (again_ns[0] - drained_ns[1]) /
					    (period_ms * NSEC_PER_MSEC) * rate),
		   (again_ns[1] - drained_ns[0]) / (period_ms * NSEC_PER_MSEC) * rate,
		   "what was not spent in full periods is carried over");
	rngq_sleep_ms(5 * period_ms);
	is_u64(rngq_client(fd, "available"), rate + burst, "up to the burst");
	is_u64(read_some(fd, 100), rate + burst, "which can be had at once");
	close(fd);
}

/* With a part of it left the beat goes on, from the read that started it. */
static void test_burst_beat(void)
{
	const u64 period_ms = 200;
	int fd = rngq_open_quota(0, 10, period_ms, 30);
	u64 start_ns = rngq_now_ns(), got = 0, periods;

	while (got < 80)
		got += read_some(fd, 100);
	periods = (rngq_now_ns() - start_ns) / (period_ms * NSEC_PER_MSEC);
	is_between(got, 80, 40 + 10 * periods,
		   "a greedy reader gets burst and rate, and the rate each period");
	close(fd);
}

static void test_boot_credit(void)
{
	const u64 period_ms = 200;
	u64 start_ns;
	int fd;

	if (rngq_attr_write("100", "default/boot_bytes"))
		bail_out("the boot credit can be set");
	fd = rngq_open_quota(0, 10, period_ms, 0);
	is_u64(rngq_client(fd, "available"), 110, "the boot credit is on top of the bucket");
	is_u64(read_some(fd, 100), 100, "(read just the credit)");
	rngq_sleep_ms(period_ms / 2);
	is_u64(rngq_client(fd, "available"), 10, "it was spent before the bucket");
	start_ns = rngq_now_ns();
	is_u64(read_some(fd, 100), 10, "(now the bucket)");
	is_u64(read_some(fd, 100), 10, "(and its refill)");
	ok(rngq_now_ns() - start_ns >= period_ms * NSEC_PER_MSEC,
	   "so no period had started before that");
	rngq_sleep_ms(3 * period_ms);
	is_u64(rngq_client(fd, "available"), 10, "the credit never refills");
	close(fd);

	fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	is_u64(read_some(fd, 105), 105, "one read may take from both");
	is_u64(rngq_drain(fd), 5, "and leaves the rest");
	close(fd);

	fd = rngq_open_unlimited(0);
	is_u64(read_some(fd, 4096), 4096, "(read without a limit)");
	rngq_set_quota(fd, 10, HOUR_MS, 5);
	is_u64(rngq_client(fd, "available"), 115, "without a limit the credit is not spent");
	is_u64(rngq_drain(fd), 115, "and can be had afterwards");
	close(fd);

	if (rngq_attr_write("0", "default/boot_bytes"))
		bail_out("the boot credit can be set");
	fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), 10, "later clients have what is set then");
	close(fd);
}

static void test_max(void)
{
	int fd = rngq_open_quota(0, RNGQ_MAX, 1, 0);
	static char bytes[1 << 20];

	for (int i = 0; i < 3; i++)
		is_ret(rngq_read_nowait(fd, bytes, sizeof(bytes)), sizeof(bytes),
		       "without a limit 1 MiB can be had at once, again and again");
	is_u64(rngq_client(fd, "available"), RNGQ_MAX, "and max is available");
	is_u64(rngq_client(fd, "throttled"), 0, "it never waits");
	close(fd);
}

/*
 * Two rules that say when a refill is due *earlier* than it could be. A slow
 * machine can spoil a try, so there are several; a driver that breaks the rule
 * can pass none.
 */
#define TRIES	10

/* A period starts at the first read that takes something, not at later ones. */
static bool refill_counts_from_first_read(void)
{
	const u64 period_ms = 400;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	u64 later_ns;
	bool kept;

	read_some(fd, 4);
	rngq_sleep_ms(period_ms / 2);
	later_ns = rngq_now_ns();
	kept = read_some(fd, 100) == 6 && read_some(fd, 100) == 10 &&
	       rngq_now_ns() - later_ns < period_ms * NSEC_PER_MSEC;
	close(fd);
	return kept;
}

/* "its next period began at that refill, not at its read" */
static bool refill_counts_from_refill(void)
{
	const u64 period_ms = 300;
	int fd = rngq_open_quota(O_NONBLOCK, 10, period_ms, 0);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	u64 read_ns;
	bool kept;

	rngq_drain(fd);
	poll(&pollfd, 1, LATE_MS);
	rngq_sleep_ms(period_ms / 2);
	read_ns = rngq_now_ns();
	rngq_drain(fd);
	poll(&pollfd, 1, LATE_MS);
	kept = rngq_now_ns() - read_ns < period_ms * NSEC_PER_MSEC;
	close(fd);
	return kept;
}

static void test_rule(bool (*kept)(void), const char *rule)
{
	for (int i = 1; i < TRIES; i++)
		if (kept()) {
			ok(true, "%s", rule);
			return;
		}
	ok(kept(), "%s", rule);
}

/* But not one that nobody made wait: its period starts at its read. */
static void test_no_beat_without_wait(void)
{
	const u64 period_ms = 200;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	u64 start_ns;

	if (read_some(fd, 10) != 10)
		bail_out("the client can be drained");
	rngq_sleep_ms(period_ms + period_ms / 2);
	start_ns = rngq_now_ns();
	is_u64(read_some(fd, 10), 10, "(read late, without having waited)");
	is_u64(read_some(fd, 10), 10, "(and again)");
	ok(rngq_now_ns() - start_ns >= period_ms * NSEC_PER_MSEC,
	   "a client that did not wait starts its period at its read");
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	test_starts_full();
	test_at_once_then_none();
	test_byte_by_byte();
	test_first_read_starts_period();
	test_idle();
	test_partly_used();
	test_burst();
	test_burst_beat();
	test_boot_credit();
	test_max();
	test_rule(refill_counts_from_first_read,
		  "a period starts at its first read, not at its last");
	test_rule(refill_counts_from_refill,
		  "a client that waited and fetched late keeps its beat");
	test_no_beat_without_wait();
	return done_testing();
}
