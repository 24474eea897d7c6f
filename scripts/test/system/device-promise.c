// SPDX-License-Identifier: GPL-2.0
/*
 * The promise: "in any interval of length t a client takes at most rate_bytes +
 * burst_bytes + rate_bytes × (⌊t / period⌋ + 1) bytes". Several threads read
 * greedily from one client and log each read with a stamp before and one after
 * it. A read took its bytes at some moment between the two; so all reads that
 * lie wholly within an interval took theirs in it, whatever the moments were.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "rngq.h"

#define THREADS		3
#define PERIODS		60
#define LOG_SIZE	8192

struct quota {
	u64 rate_bytes;
	u64 period_ms;
	u64 burst_bytes;
};

struct logged {
	u64 before_ns;
	u64 after_ns;
	u64 bytes;
};

struct log {
	size_t count;
	struct logged reads[THREADS * LOG_SIZE];
};

static u64 allowed(const struct quota *quota, u64 t_ns)
{
	u64 periods = t_ns / (quota->period_ms * NSEC_PER_MSEC);

	return quota->rate_bytes + quota->burst_bytes + quota->rate_bytes * (periods + 1);
}

static int compare_after(const void *a, const void *b)
{
	const struct logged *x = a, *y = b;

	return x->after_ns < y->after_ns ? -1 : x->after_ns > y->after_ns;
}

/* How many bytes more than allowed were taken in the worst interval. */
static u64 excess(struct log *log, const struct quota *quota)
{
	u64 worst = 0;

	qsort(log->reads, log->count, sizeof(log->reads[0]), compare_after);
	for (size_t first = 0; first < log->count; first++) {
		u64 start_ns = log->reads[first].before_ns, taken = 0;

		for (size_t i = 0; i < log->count; i++) {
			const struct logged *read = &log->reads[i];
			u64 limit;

			if (read->before_ns < start_ns)
				continue;
			taken += read->bytes;
			limit = allowed(quota, read->after_ns - start_ns);
			if (taken > limit && taken - limit > worst)
				worst = taken - limit;
		}
	}
	return worst;
}

/* The check itself must see one byte too many, and nothing else. */
static void test_check(void)
{
	const struct quota quota = { .rate_bytes = 10, .period_ms = 1, .burst_bytes = 5 };
	static struct log log = {
		.count = 3,
		.reads = {
			{ .before_ns = 2000000, .after_ns = 2000001, .bytes = 15 },
			{ .before_ns = 2000000, .after_ns = 2000001, .bytes = 10 },
			{ .before_ns = 3000001, .after_ns = 3000002, .bytes = 10 },
		},
	};

	is_u64(excess(&log, &quota), 0, "the check accepts what is allowed");
	log.reads[0].bytes++;
	is_u64(excess(&log, &quota), 1, "and finds a single byte more");
}

struct greedy {
	int fd;
	size_t asks;
	u64 end_ns;
	pthread_t thread;
	size_t count;
	struct logged reads[LOG_SIZE];
};

/* One logged read: its count or -errno. */
static ssize_t logged_read(struct greedy *greedy)
{
	struct logged *entry = &greedy->reads[greedy->count];
	char bytes[4096];
	ssize_t count;

	if (greedy->count == LOG_SIZE)
		return -EFBIG;
	entry->before_ns = rngq_now_ns();
	count = read(greedy->fd, bytes, greedy->asks);
	if (count < 0)
		count = -errno;
	entry->after_ns = rngq_now_ns();
	if (count <= 0)
		return count;
	entry->bytes = count;
	greedy->count++;
	return count;
}

static void *read_blocking(void *argument)
{
	struct greedy *greedy = argument;

	while (rngq_now_ns() < greedy->end_ns && logged_read(greedy) > 0)
		;
	return NULL;
}

static void *read_polling(void *argument)
{
	struct greedy *greedy = argument;
	struct pollfd pollfd = { .fd = greedy->fd, .events = POLLIN };
	ssize_t count = 1;

	while (rngq_now_ns() < greedy->end_ns && (count > 0 || count == -EAGAIN)) {
		poll(&pollfd, 1, 1000);
		count = logged_read(greedy);
	}
	return NULL;
}

/* Reads after an edge until a read is short, and never sees an EAGAIN then. */
static void *read_edges(void *argument)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct greedy *greedy = argument;
	int epoll = epoll_create1(0);
	ssize_t count = 1;

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, greedy->fd, &event))
		bail_out("a client can be added to an epoll");
	while (rngq_now_ns() < greedy->end_ns && (count > 0 || count == -EAGAIN)) {
		epoll_wait(epoll, &event, 1, 1000);
		do {
			count = logged_read(greedy);
		} while (count == (ssize_t)greedy->asks);
	}
	close(epoll);
	return NULL;
}

static unsigned int least_percent;

/* One run; returns whether it had at least so much of its rate. */
static bool run_greedy(const char *name, void *(*run)(void *), int flags,
		       const struct quota *quota, size_t asks)
{
	int fd = rngq_open_quota(flags, quota->rate_bytes, quota->period_ms,
				 quota->burst_bytes);
	u64 start_ns = rngq_now_ns(), run_ns, wanted, got = 0;
	static struct greedy greedy[THREADS];
	static struct log log;

	log.count = 0;
	for (int i = 0; i < THREADS; i++) {
		greedy[i].fd = fd;
		greedy[i].asks = asks;
		greedy[i].count = 0;
		greedy[i].end_ns = start_ns + PERIODS * quota->period_ms * NSEC_PER_MSEC;
		if (pthread_create(&greedy[i].thread, NULL, run, &greedy[i]))
			bail_out("a thread can be started");
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(greedy[i].thread, NULL);
		memcpy(&log.reads[log.count], greedy[i].reads,
		       greedy[i].count * sizeof(greedy[i].reads[0]));
		log.count += greedy[i].count;
	}
	run_ns = rngq_now_ns() - start_ns;
	for (size_t i = 0; i < log.count; i++)
		got += log.reads[i].bytes;

	is_u64(excess(&log, quota), 0, "%s: never a byte more than promised", name);
	is_u64(rngq_client(fd, "bytes"), got, "%s: the count of bytes agrees", name);
	is_u64(rngq_client(fd, "reads"), log.count, "%s: and that of reads", name);
	close(fd);

	wanted = quota->rate_bytes * (run_ns / (quota->period_ms * NSEC_PER_MSEC));
	diag("%llu bytes in %zu reads, %llu %% of the rate", got, log.count,
	     got * 100 / (wanted ?: 1));
	return got * 100 >= wanted * least_percent;
}

/* Too much is wrong in any run; too little can be the machine's fault. */
static void test_greedy(const char *name, void *(*run)(void *), int flags,
			const struct quota *quota, size_t asks)
{
	bool enough = false;

	for (int i = 0; i < 3 && !enough; i++)
		enough = run_greedy(name, run, flags, quota, asks);
	ok(enough, "%s: it had at least %u %% of its rate", name, least_percent);
}

int main(void)
{
	static const struct quota plain = { .rate_bytes = 100, .period_ms = 20 };
	static const struct quota burst = {
		.rate_bytes = 100, .period_ms = 20, .burst_bytes = 250,
	};
	static const struct quota tiny = { .rate_bytes = 1, .period_ms = 20 };

	/* On a slow kernel a read may take as long as a period's share of it. */
	least_percent = 80 / rngq_slowness();
	test_check();
	test_greedy("blocking", read_blocking, 0, &plain, 4096);
	test_greedy("blocking in small pieces", read_blocking, 0, &plain, 7);
	test_greedy("blocking with a burst", read_blocking, 0, &burst, 4096);
	test_greedy("blocking byte by byte", read_blocking, 0, &tiny, 1);
	test_greedy("polling", read_polling, O_NONBLOCK, &plain, 4096);
	test_greedy("polling in small pieces", read_polling, O_NONBLOCK, &plain, 7);
	test_greedy("edges", read_edges, O_NONBLOCK, &plain, 4096);
	test_greedy("edges in small pieces", read_edges, O_NONBLOCK, &plain, 7);
	test_greedy("edges with a burst", read_edges, O_NONBLOCK, &burst, 64);
	return done_testing();
}
