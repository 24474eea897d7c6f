// SPDX-License-Identifier: GPL-2.0
/* A quota that is changed while its client is in use, or waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

#define RATE	10

/* What the bucket holds when the quota changes, "Words" and "The bucket". */
static void test_contents(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0);

	rngq_set_quota(fd, 200, HOUR_MS, 50);
	is_u64(rngq_client(fd, "available"), 250, "a full client is full at a larger capacity");
	rngq_set_quota(fd, 30, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), 30, "and at a smaller one");

	is_ret(rngq_take(fd, 10), 10, "(read 10 of 30)");
	rngq_set_quota(fd, 1000, HOUR_MS, 500);
	is_u64(rngq_client(fd, "available"), 20, "one that is not full keeps what it holds");
	rngq_set_quota(fd, 15, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), 15, "cut to the new capacity");
	rngq_set_quota(fd, 1000, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), 1000, "and then it is full, as any full one");

	rngq_drain(fd);
	for (int i = 0; i < 50; i++)
		rngq_set_quota(fd, 10 + i % 2 * 1000, HOUR_MS - i, i % 3 * 100);
	is_u64(rngq_client(fd, "available"), 0, "no number of changes gives bytes away");

	rngq_set_quota(fd, RNGQ_MAX, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), RNGQ_MAX, "max is without a limit");
	rngq_set_quota(fd, 70, HOUR_MS, 7);
	is_u64(rngq_client(fd, "available"), 77, "from max to a limit it is full");
	close(fd);
}

/* A reader, a poller, an epoll and an edge-triggered epoll that all wait. */
struct waiters {
	int fd;
	int epolls[2];
	struct reader reader;
};

static void waiters_start(struct waiters *w, u64 rate_bytes, u64 period_ms)
{
	struct epoll_event event = { .events = EPOLLIN };

	w->fd = rngq_open_quota(0, rate_bytes, period_ms, 0);
	rngq_drain(w->fd);
	reader_start_asleep(&w->reader, w->fd, 1);
	for (int i = 0; i < 2; i++) {
		w->epolls[i] = epoll_create1(0);
		if (epoll_ctl(w->epolls[i], EPOLL_CTL_ADD, w->fd, &event))
			bail_out("a client can be added to an epoll");
		event.events |= EPOLLET;
	}
}

/* None may be woken for now. */
static void waiters_check_asleep(struct waiters *w, const char *why)
{
	struct epoll_event event;
	int woken = 0;

	rngq_sleep_ms(50);
	for (int i = 0; i < 2; i++)
		woken += epoll_wait(w->epolls[i], &event, 1, 0);
	is_u64(woken + w->reader.after_ns, 0, "%s wakes nobody", why);
}

static void waiters_check_woken(struct waiters *w, const char *why)
{
	struct pollfd pollfd = { .fd = w->fd, .events = POLLIN };
	struct epoll_event event;

	is_ret(epoll_wait(w->epolls[0], &event, 1, LATE_MS), 1, "%s wakes an epoll", why);
	is_ret(epoll_wait(w->epolls[1], &event, 1, LATE_MS), 1,
	       "and an edge-triggered one");
	is_ret(poll(&pollfd, 1, LATE_MS), 1, "and a poller");
	reader_join(&w->reader);
	is_ret(w->reader.result, 1, "and a sleeping reader");
}

static void waiters_end(struct waiters *w)
{
	close(w->epolls[0]);
	close(w->epolls[1]);
	close(w->fd);
}

static void test_max_wakes(void)
{
	struct waiters w = { 0 };

	waiters_start(&w, RATE, HOUR_MS);
	waiters_check_asleep(&w, "an hour's period");
	rngq_client_write(w.fd, "rate_bytes", "max");
	waiters_check_woken(&w, "a rate of max");
	waiters_end(&w);
}

static void test_shorter_period_wakes(void)
{
	struct waiters w = { 0 };

	waiters_start(&w, RATE, HOUR_MS);
	rngq_sleep_ms(10);
	rngq_client_write(w.fd, "period_ms", "1");
	waiters_check_woken(&w, "a period that is over by the new quota");
	waiters_end(&w);
}

/* These change the bucket, but give nothing before the period is over. */
static void test_others_dont_wake(void)
{
	struct waiters w = { 0 };

	waiters_start(&w, RATE, HOUR_MS);
	rngq_client_write(w.fd, "rate_bytes", "1000000");
	rngq_client_write(w.fd, "burst_bytes", "1000000");
	rngq_client_write(w.fd, "period_ms", "3000000");
	waiters_check_asleep(&w, "a larger rate, burst and a period that still runs");
	rngq_client_write(w.fd, "rate_bytes", "1");
	rngq_client_write(w.fd, "burst_bytes", "0");
	waiters_check_asleep(&w, "a smaller rate and burst");
	rngq_client_write(w.fd, "rate_bytes", "max");
	waiters_check_woken(&w, "in the end, max");
	waiters_end(&w);
}

/* "the running period keeps its start" */
static void test_period_keeps_start(void)
{
	int fd = rngq_open_quota(0, RATE, HOUR_MS, 0);
	struct reader reader;
	u64 start_ns;

	start_ns = rngq_now_ns();
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 100);
	rngq_sleep_ms(100);
	rngq_set_quota(fd, RATE, 300, 0);
	reader_join(&reader);
	is_ret(reader.result, RATE, "a shorter period reaches a sleeping reader");
	is_between(reader.after_ns - start_ns, 300 * NSEC_PER_MSEC,
		   (300 + LATE_MS) * NSEC_PER_MSEC, "which wakes at its end");

	close(fd);

	fd = rngq_open_quota(0, RATE, 400, 0);
	start_ns = rngq_now_ns();
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 100);
	rngq_set_quota(fd, RATE, 800, 0);
	reader_join(&reader);
	is_between(reader.after_ns - start_ns, 800 * NSEC_PER_MSEC,
		   (800 + LATE_MS) * NSEC_PER_MSEC,
		   "a longer period makes a sleeping reader sleep longer");
	close(fd);
}

static void test_rate_at_refill(u64 old_rate, u64 new_rate, const char *name)
{
	const u64 period_ms = 400;
	int fd = rngq_open_quota(0, old_rate, period_ms, 0);
	struct reader reader;
	u64 start_ns;

	start_ns = rngq_now_ns();
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 1000);
	rngq_set_quota(fd, new_rate, period_ms, 0);
	reader_join(&reader);
	is_ret(reader.result, new_rate, "a sleeping reader gets the %s rate", name);
	ok(reader.after_ns - start_ns >= period_ms * NSEC_PER_MSEC,
	   "when the period is over and not before");
	close(fd);
}

/* A client that follows default/ is changed with it, others are not. */
static void test_default(void)
{
	int fd = rngq_open(0), own;
	struct reader reader;

	own = rngq_open_quota(0, RATE, HOUR_MS, 0);
	if (rngq_attr_write("50", "default/rate_bytes") ||
	    rngq_attr_write("3600000", "default/period_ms"))
		bail_out("default/ can be written");
	is_u64(rngq_client(fd, "available"), 50, "a change of default/ reaches a client");
	is_u64(rngq_client(own, "available"), RATE, "not one with its own quota");
	rngq_drain(fd);
	rngq_drain(own);
	reader_start_asleep(&reader, fd, 100);
	rngq_attr_write("max", "default/rate_bytes");
	reader_join(&reader);
	is_ret(reader.result, 100, "and a reader that sleeps");
	is_ret(rngq_take(own, 1), -EAGAIN,
	       "while the one with its own quota still has nothing");

	reader_start_asleep(&reader, own, 100);
	rngq_client_write(own, "rate_bytes", "default");
	reader_join(&reader);
	is_ret(reader.result, 100, "until that follows default/, even in its sleep");
	close(own);
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	test_contents();
	test_max_wakes();
	test_shorter_period_wakes();
	test_others_dont_wake();
	test_period_keeps_start();
	test_rate_at_refill(10, 500, "raised");
	test_rate_at_refill(500, 10, "lowered");
	test_default();
	return done_testing();
}
