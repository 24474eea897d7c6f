// SPDX-License-Identifier: GPL-2.0
/*
 * Quotas that change while they are used: clients that follow default/ or
 * have their own, readers and pollers that wait, what is available when, and
 * the counters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rngq.h"

#define FOLLOWERS		12

static void set_default(const char *name, const char *value)
{
	if (rngq_attr_write(value, "default/%s", name))
		bail_out("default/%s can be set to %s", name, value);
}

static void set_client(int fd, const char *name, const char *value)
{
	if (rngq_client_write(fd, name, value))
		bail_out("a client's %s can be set to %s", name, value);
}

static void set_defaults(const char *rate_bytes, const char *period_ms,
			 const char *burst_bytes, const char *boot_bytes)
{
	set_default("rate_bytes", rate_bytes);
	set_default("period_ms", period_ms);
	set_default("burst_bytes", burst_bytes);
	set_default("boot_bytes", boot_bytes);
}

static void take(int fd, size_t bytes)
{
	char buffer[4096];

	if (bytes > sizeof(buffer) ||
	    rngq_read_nowait(fd, buffer, bytes) != (ssize_t)bytes)
		bail_out("%zu bytes can be read at once", bytes);
}

/* The quota that holds for @fd, and that sysfs names it so. */
static void is_quota(int fd, u64 rate_bytes, u64 period_ms, u64 burst_bytes,
		     const char *when)
{
	is_u64(rngq_client(fd, "rate_bytes"), rate_bytes, "rate_bytes %s",
	       when);
	is_u64(rngq_client(fd, "period_ms"), period_ms, "period_ms %s", when);
	is_u64(rngq_client(fd, "burst_bytes"), burst_bytes, "burst_bytes %s",
	       when);
}

static void is_overrides(int fd, const char *wanted)
{
	char text[128];

	rngq_attr_read(text, sizeof(text), "clients/%llu/overrides",
		       rngq_id(fd));
	is_str(text, wanted, "overrides says %.*s",
	       (int)strcspn(wanted, "\n"), wanted);
}

/* "It follows default/ until it is written; default makes it follow again." */
static void test_follow(void)
{
	int fd;

	set_defaults("100", "2000", "30", "0");
	fd = rngq_open(O_NONBLOCK);
	is_quota(fd, 100, 2000, 30, "is the default's at open");
	is_overrides(fd, "none\n");

	set_defaults("200", "3000", "40", "0");
	is_quota(fd, 200, 3000, 40, "follows the default");

	set_client(fd, "period_ms", "5000");
	is_overrides(fd, "period_ms\n");
	set_defaults("300", "4000", "50", "0");
	is_quota(fd, 300, 5000, 50, "follows where it has none of its own");

	set_client(fd, "rate_bytes", "max");
	is_overrides(fd, "rate_bytes period_ms\n");
	/* The default's own value, written, is an override all the same. */
	set_client(fd, "burst_bytes", "50");
	is_overrides(fd, "rate_bytes period_ms burst_bytes\n");
	set_defaults("400", "6000", "60", "0");
	is_quota(fd, RNGQ_MAX, 5000, 50, "follows no more");

	set_client(fd, "rate_bytes", "default");
	is_quota(fd, 400, 5000, 50, "follows again after default");
	is_overrides(fd, "period_ms burst_bytes\n");
	set_client(fd, "period_ms", "default\n");
	set_client(fd, "burst_bytes", "default");
	is_quota(fd, 400, 6000, 60, "follows again, all three");
	is_overrides(fd, "none\n");
	set_client(fd, "burst_bytes", "default");
	is_overrides(fd, "none\n");
	set_defaults("max", "7000", "70", "0");
	is_quota(fd, RNGQ_MAX, 7000, 70, "follows the default for good");
	close(fd);
}

/* A refused value must not have made an override, nor have undone one. */
static void test_refused(void)
{
	int fd;

	set_defaults("100", "2000", "30", "0");
	fd = rngq_open(O_NONBLOCK);
	is_ret(rngq_client_write(fd, "rate_bytes", "0"), -ERANGE,
	       "a rate of 0 is refused");
	is_ret(rngq_client_write(fd, "period_ms", "max"), -EINVAL,
	       "a period of max is refused");
	is_overrides(fd, "none\n");
	set_client(fd, "rate_bytes", "7");
	is_ret(rngq_client_write(fd, "rate_bytes", "defaults"), -EINVAL,
	       "a rate of defaults is refused");
	is_overrides(fd, "rate_bytes\n");
	set_default("rate_bytes", "200");
	is_u64(rngq_client(fd, "rate_bytes"), 7, "the override holds");
	close(fd);
}

/* "boot_bytes: those opened later", spent first, once, not while at max */
static void test_boot(void)
{
	int early, late;

	set_defaults("100", "3600000", "20", "0");
	early = rngq_open(O_NONBLOCK);
	set_default("boot_bytes", "1000");
	is_u64(rngq_client(early, "available"), 120,
	       "a boot credit is not for who is there already");
	late = rngq_open(O_NONBLOCK);
	is_u64(rngq_client(late, "available"), 1120,
	       "who opens later has it on top");
	set_default("boot_bytes", "0");
	is_u64(rngq_client(late, "available"), 1120, "and keeps it");
	take(late, 300);
	is_u64(rngq_client(late, "available"), 820, "it is spent");
	set_client(late, "rate_bytes", "max");
	is_u64(rngq_client(late, "available"), RNGQ_MAX,
	       "available is max when unlimited");
	take(late, 2000);
	set_client(late, "rate_bytes", "50");
	is_u64(rngq_client(late, "available"), 770,
	       "it is not spent while unlimited, and the bucket is full then");
	is_u64(rngq_drain(late), 770, "what is available can be read");
	is_u64(rngq_client(late, "available"), 0, "and is gone then");
	close(early);
	close(late);
}

/* "When a quota is changed": what becomes of what is in the bucket */
static void test_capacity(void)
{
	int fd = rngq_open(O_NONBLOCK);

	rngq_set_quota(fd, 100, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), 100, "a bucket starts full");
	set_client(fd, "rate_bytes", "300");
	set_client(fd, "burst_bytes", "50");
	is_u64(rngq_client(fd, "available"), 350, "full stays full when raised");
	set_client(fd, "burst_bytes", "0");
	set_client(fd, "rate_bytes", "100");
	is_u64(rngq_client(fd, "available"), 100, "full stays full when lowered");

	take(fd, 30);
	set_client(fd, "rate_bytes", "200");
	is_u64(rngq_client(fd, "available"), 70, "the rest stays when raised");
	set_client(fd, "burst_bytes", "200");
	is_u64(rngq_client(fd, "available"), 70, "also with more burst");
	set_client(fd, "burst_bytes", "0");
	set_client(fd, "rate_bytes", "50");
	is_u64(rngq_client(fd, "available"), 50, "it is cut when lowered");
	set_client(fd, "rate_bytes", "200");
	set_client(fd, "rate_bytes", "max");
	set_client(fd, "burst_bytes", "11");
	set_client(fd, "rate_bytes", "200");
	is_u64(rngq_client(fd, "available"), 211, "from max to a limit: full");
	close(fd);
}

enum kind { READ, POLL, EPOLL_EDGE, KINDS };

static const char *const kind_names[KINDS] = {
	"read()", "poll()", "edge-triggered epoll",
};

static const long kind_calls[KINDS] = { SYS_read, SYS_poll, SYS_epoll_wait };

/* A thread that waits for the client in one of these ways. */
struct waiter {
	int fd;
	enum kind kind;
	pthread_t thread;
	atomic_int tid;
	atomic_bool done;
	ssize_t got;	/* bytes or -errno, once done */
};

static void *run_waiter(void *data)
{
	struct waiter *w = data;
	struct pollfd pfd = { .fd = w->fd, .events = POLLIN };
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(0);
	char byte;

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event))
		bail_out("epoll takes the device");
	w->tid = gettid();
	switch (w->kind) {
	case READ:
		w->got = read(w->fd, &byte, 1);
		if (w->got < 0)
			w->got = -errno;
		break;
	case POLL:
		if (poll(&pfd, 1, -1) != 1 || pfd.revents != POLLIN)
			bail_out("poll() ends with POLLIN");
		w->got = rngq_read_nowait(w->fd, &byte, 1);
		break;
	default:
		if (epoll_wait(epoll, &event, 1, -1) != 1 ||
		    event.events != EPOLLIN)
			bail_out("epoll_wait() ends with EPOLLIN");
		w->got = rngq_read_nowait(w->fd, &byte, 1);
		break;
	}
	close(epoll);
	w->done = true;
	return NULL;
}

/* Start to wait for @fd, which must be empty; returns with the thread asleep. */
static void start_waiter(struct waiter *w, int fd, enum kind kind)
{
	*w = (struct waiter){ .fd = fd, .kind = kind };
	if (pthread_create(&w->thread, NULL, run_waiter, w))
		bail_out("there are threads");
	while (!w->tid)
		rngq_sleep_ms(1);
	rngq_wait_asleep(w->tid, kind_calls[kind]);
}

static void finish_waiter(struct waiter *w, const char *what)
{
	u64 start_ms = rngq_now_ms();

	while (!w->done && rngq_now_ms() - start_ms < LATE_MS)
		rngq_sleep_ms(1);
	/* It would sleep for the rest of the hour: there is no going on. */
	if (!w->done)
		bail_out("%s wakes %s within %llu ms", what, kind_names[w->kind],
			 LATE_MS);
	pthread_join(w->thread, NULL);
	is_ret(w->got, 1, "%s wakes %s, and brings a byte", what,
	       kind_names[w->kind]);
}

/* A change that makes a quota generous, by way of one attribute. */
struct change {
	const char *what;
	const char *folder;	/* NULL: the client's */
	const char *name;
	const char *value;
	const char *own_first;	/* the client's own value before */
	const char *default_first;
};

static const struct change changes[] = {
	{ "a shorter period_ms", NULL, "period_ms", "1", NULL, "3600000" },
	{ "rate_bytes = max", NULL, "rate_bytes", "max", NULL, "100" },
	{ "a shorter default/period_ms", "default", "period_ms", "1", NULL,
	  "3600000" },
	{ "default/rate_bytes = max", "default", "rate_bytes", "max", NULL,
	  "100" },
	{ "period_ms = default", NULL, "period_ms", "default", "3600000",
	  "1" },
	{ "rate_bytes = default", NULL, "rate_bytes", "default", "100",
	  "max" },
};

static void test_wake(const struct change *change, enum kind kind)
{
	struct waiter w;
	int fd, ret;

	set_defaults("100", "3600000", "0", "0");
	set_default(change->name, change->default_first);
	fd = rngq_open(0);
	if (change->own_first)
		set_client(fd, change->name, change->own_first);
	rngq_drain(fd);
	start_waiter(&w, fd, kind);
	if (change->folder)
		ret = rngq_attr_write(change->value, "%s/%s", change->folder,
				      change->name);
	else
		ret = rngq_client_write(fd, change->name, change->value);
	if (ret)
		bail_out("%s can be set", change->what);
	finish_waiter(&w, change->what);
	close(fd);
}

/* One change of a default reaches all who follow it, and nobody else. */
static void test_wake_followers(void)
{
	struct waiter followers[FOLLOWERS], other;
	int fds[FOLLOWERS], other_fd;

	set_defaults("100", "3600000", "0", "0");
	other_fd = rngq_open(0);
	set_client(other_fd, "period_ms", "3600000");
	rngq_drain(other_fd);
	start_waiter(&other, other_fd, READ);
	for (int i = 0; i < FOLLOWERS; i++) {
		fds[i] = rngq_open(0);
		rngq_drain(fds[i]);
		start_waiter(&followers[i], fds[i], i % KINDS);
	}
	set_default("period_ms", "1");
	for (int i = 0; i < FOLLOWERS; i++) {
		finish_waiter(&followers[i], "one default/period_ms for all");
		close(fds[i]);
	}
	ok(!other.done, "who has an own period_ms sleeps on");
	set_client(other_fd, "period_ms", "default");
	finish_waiter(&other, "period_ms = default");
	close(other_fd);
}

/* Room for more is nothing to read yet: nobody must wake. */
static void test_no_wake(enum kind kind)
{
	struct waiter w;
	int fd;

	set_defaults("100", "3600000", "0", "0");
	fd = rngq_open(0);
	rngq_drain(fd);
	start_waiter(&w, fd, kind);
	set_client(fd, "burst_bytes", "1000");
	set_client(fd, "rate_bytes", "1000");
	set_default("boot_bytes", "1000");
	rngq_sleep_ms(300);
	ok(!w.done, "room for more wakes no %s", kind_names[kind]);
	is_u64(rngq_client(fd, "available"), 0, "nor is it available");
	set_client(fd, "period_ms", "1");
	finish_waiter(&w, "a refill");
	close(fd);
}

/* A period made longer while one waits for its end: the wait gets longer. */
static void test_longer(enum kind kind)
{
	const u64 period_ms = 2000;
	int fd = rngq_open(0);
	struct waiter w;
	u64 start_ms;

	rngq_set_quota(fd, 100, period_ms, 0);
	start_ms = rngq_now_ms();
	rngq_drain(fd);
	start_waiter(&w, fd, kind);
	set_client(fd, "period_ms", "3600000");
	if (rngq_now_ms() - start_ms >= period_ms)
		bail_out("the machine is fast enough for this");
	rngq_sleep_ms(period_ms + 500);
	ok(!w.done, "a longer period_ms holds %s that waits", kind_names[kind]);
	set_client(fd, "rate_bytes", "max");
	finish_waiter(&w, "rate_bytes = max");
	close(fd);
}

struct counters {
	u64 bytes;
	u64 reads;
	u64 throttled;
	u64 throttled_ms;
};

static struct counters stats_counters(void)
{
	return (struct counters){
		.bytes = rngq_attr("stats/bytes"),
		.reads = rngq_attr("stats/reads"),
		.throttled = rngq_attr("stats/throttled"),
		.throttled_ms = rngq_attr("stats/throttled_ms"),
	};
}

static struct counters client_counters(int fd)
{
	return (struct counters){
		.bytes = rngq_client(fd, "bytes"),
		.reads = rngq_client(fd, "reads"),
		.throttled = rngq_client(fd, "throttled"),
		.throttled_ms = rngq_client(fd, "throttled_ms"),
	};
}

/* "reads counts reads that returned at least 1 byte" */
static void test_read_counters(void)
{
	struct counters before = stats_counters(), now;
	int fd = rngq_open(O_NONBLOCK), other = rngq_open(O_NONBLOCK);
	char bytes[64];

	rngq_set_quota(fd, 100, HOUR_MS, 0);
	rngq_set_quota(other, 1000, HOUR_MS, 0);
	now = client_counters(fd);
	ok(!now.bytes && !now.reads && !now.throttled && !now.throttled_ms,
	   "a new client's counters are 0");
	take(fd, 10);
	take(fd, 1);
	take(other, 40);
	is_ret(read(fd, bytes, 0), 0, "a read of nothing returns 0");
	is_ret(syscall(SYS_read, fd, NULL, 10), -1, "a read to nowhere fails");
	is_u64(rngq_client(fd, "bytes"), 11, "bytes are what was read");
	is_u64(rngq_client(fd, "reads"), 2, "reads that gave bytes count");
	take(fd, 60);
	is_ret(read(fd, bytes, sizeof(bytes)), 29, "the rest is a short read");
	is_ret(read(fd, bytes, sizeof(bytes)), -1, "nothing is left");
	is_u64(rngq_client(fd, "bytes"), 100, "short reads count what they gave");
	is_u64(rngq_client(fd, "reads"), 4, "EAGAIN is no read");
	is_u64(rngq_client(other, "bytes"), 40, "each client has its own bytes");
	is_u64(rngq_client(other, "reads"), 1, "and its own reads");
	close(fd);
	now = stats_counters();
	is_u64(now.bytes - before.bytes, 140,
	       "stats/bytes adds up, of closed clients too");
	is_u64(now.reads - before.reads, 5, "stats/reads adds up");
	close(other);
	is_u64(rngq_attr("stats/bytes") - before.bytes, 140,
	       "stats/bytes stays at a close");
}

/* "available" is a non-blocking look, at a refill too. */
static void test_available(void)
{
	int fd = rngq_open(O_NONBLOCK);
	u64 start_ms, seen;

	rngq_set_quota(fd, 10, 200, 5);
	rngq_drain(fd);
	start_ms = rngq_now_ms();
	do {
		seen = rngq_client(fd, "available");
	} while (seen < 15 && rngq_now_ms() - start_ms < LATE_MS);
	is_u64(seen, 15, "available grows to the capacity, unread");
	is_u64(rngq_drain(fd), 15, "and can be read");
	close(fd);
}

enum finder { BY_READ, BY_POLL };

static void find_nothing(int fd, enum finder finder)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char byte;

	if (finder == BY_READ ? read(fd, &byte, 1) != -1 || errno != EAGAIN :
				poll(&pfd, 1, 0) != 0)
		bail_out("an empty client has nothing");
}

/*
 * "throttled counts waits: one lasts from the first read or poll that found
 * nothing to the refill that ended it". If @look, somebody comes back for the
 * refill; if not, it ends all the same.
 */
static void test_throttled(enum finder finder, bool look, const char *how)
{
	const u64 period_ms = 3000;
	struct counters before = stats_counters(), now;
	u64 begin_ns, found_ns, slack_ms;
	int fd = rngq_open(O_NONBLOCK);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	rngq_set_quota(fd, 10, period_ms, 0);
	begin_ns = rngq_now_ns();
	take(fd, 10);
	find_nothing(fd, finder);
	found_ns = rngq_now_ns();
	find_nothing(fd, BY_READ);
	find_nothing(fd, BY_POLL);
	if (found_ns - begin_ns > period_ms / 2 * NSEC_PER_MSEC)
		bail_out("the machine is fast enough for this");

	if (look) {
		if (poll(&pfd, 1, LATE_MS) != 1)
			bail_out("a refill comes");
		take(fd, 10);
	} else {
		rngq_sleep_ms(2 * period_ms);
	}
	/* The wait began between begin_ns and found_ns; 1 for the rounding. */
	slack_ms = (found_ns - begin_ns) / NSEC_PER_MSEC + 1;
	now = client_counters(fd);
	is_u64(now.throttled, 1, "%s: all that is within one wait is one", how);
	is_between(now.throttled_ms, period_ms - slack_ms - 1, period_ms,
		   "%s: it lasted to the refill, no longer", how);
	close(fd);
	now = stats_counters();
	is_u64(now.throttled - before.throttled, 1, "%s: stats/throttled", how);
	is_between(now.throttled_ms - before.throttled_ms,
		   period_ms - slack_ms - 1, period_ms + 1,
		   "%s: stats/throttled_ms", how);
}

/* A wait whose refill nobody came for has ended when the client is closed. */
static void test_throttled_at_close(void)
{
	const u64 period_ms = 200;
	u64 before_ms = rngq_attr("stats/throttled_ms");
	int fd = rngq_open(O_NONBLOCK);

	rngq_set_quota(fd, 10, period_ms, 0);
	take(fd, 10);
	find_nothing(fd, BY_READ);
	rngq_sleep_ms(2 * period_ms);
	close(fd);
	is_between(rngq_attr("stats/throttled_ms") - before_ms, 1, period_ms + 1,
		   "a wait that nobody came back from is counted at the close");
}

/* Each period that was waited for is a wait. */
static void test_waits(void)
{
	const unsigned int waits = 5;
	const u64 period_ms = 100;
	int fd = rngq_open(0);
	char bytes[20];
	u64 begin_ms, total_ms;

	rngq_set_quota(fd, sizeof(bytes), period_ms, 0);
	begin_ms = rngq_now_ms();
	for (unsigned int i = 0; i <= waits; i++)
		if (read(fd, bytes, sizeof(bytes)) != sizeof(bytes))
			bail_out("each period brings its bytes");
	total_ms = rngq_now_ms() - begin_ms;
	/* A slow machine may have found a refill without waiting. */
	is_between(rngq_client(fd, "throttled"), 1, waits,
		   "at most a wait for each refill");
	is_between(rngq_client(fd, "throttled_ms"), 1, total_ms,
		   "they lasted no longer than all of it");
	is_u64(rngq_client(fd, "bytes"), (waits + 1) * sizeof(bytes),
	       "sleepers' bytes count");
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	test_follow();
	test_refused();
	test_boot();
	test_capacity();
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		for (int kind = 0; kind < KINDS; kind++)
			test_wake(&changes[i], kind);
	test_wake_followers();
	for (int kind = 0; kind < KINDS; kind++) {
		test_no_wake(kind);
		test_longer(kind);
	}
	set_defaults("1024", "1000", "0", "0");
	test_read_counters();
	test_available();
	test_throttled(BY_READ, true, "read, then poll");
	test_throttled(BY_POLL, true, "poll, then poll");
	test_throttled(BY_READ, false, "read, nobody looks again");
	test_throttled_at_close();
	test_waits();
	return done_testing();
}
