// SPDX-License-Identifier: GPL-2.0
/*
 * poll(), epoll and io_uring where total/ is what blocks: "EPOLLIN exactly when a
 * non-blocking read would, at that moment, return at least 1 byte"; "each refill
 * of an empty client is an edge, whether or not a read had failed before".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crowd.h"
#include "reader.h"
#include "rngq.h"
#include "slow.h"

#define RATE		100
/* A little of it is set aside for newcomers, and comes in the end of the period. */
#define MOST		(RATE * 90 / 100)
/* Long enough for all to fetch their share on a busy machine. */
#define PERIOD_MS	1000
#define SHORT_MS	200
#define TRIES		3

static short poll_now(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) > 0 ? pollfd.revents : 0;
}

static void test_full_and_empty(void)
{
	int one, other, third;

	crowd_set_total(RATE, HOUR_MS, 0);
	one = rngq_open_unlimited(O_NONBLOCK);
	other = rngq_open_unlimited(O_NONBLOCK);
	third = rngq_open_quota(O_NONBLOCK, 1, HOUR_MS, 0);
	ok(poll_now(one) && poll_now(other), "all are readable while total/ has something");
	rngq_drain(third);
	ok(!poll_now(third), "but for one whose own quota is used up");
	is_u64(rngq_drain(one), RATE - 1, "one takes all the rest");
	ok(!poll_now(one) && !poll_now(other), "then none is readable");
	is_ret(rngq_take(other, 1), -EAGAIN, "nor has a read anything");
	close(one);
	close(other);
	close(third);
}

static bool is_share(u64 bytes)
{
	return bytes >= RATE * 45 / 100 && bytes <= RATE * 55 / 100;
}

/* All of this before the end of a period, until which shares are held. */
static bool try_held(void)
{
	int one, other, third;
	bool right;

	crowd_set_total(RATE, PERIOD_MS, 0);
	one = rngq_open_unlimited(O_NONBLOCK);
	other = rngq_open_unlimited(O_NONBLOCK);
	third = rngq_open_unlimited(O_NONBLOCK);
	if (rngq_take(one, RATE / 2) != RATE / 2 || rngq_take(other, RATE / 2) != RATE / 2)
		bail_out("total/ is full at first");
	rngq_drain(one);
	rngq_drain(other);
	right = rngq_becomes_readable(one) && rngq_becomes_readable(other) &&
		/* What they hold is for nobody else. */
		rngq_drain(third) <= RATE - MOST && !poll_now(third) &&
		/* A read is as short as the share, and the other's is untouched. */
		is_share(rngq_take(one, 4096)) && !poll_now(one) &&
		poll_now(other) && is_share(rngq_drain(other)) &&
		!poll_now(one) && !poll_now(other) && !poll_now(third);
	close(one);
	close(other);
	close(third);
	return right;
}

static void test_held(void)
{
	bool right = false;

	for (int i = 0; i < TRIES && !right; i++)
		right = try_held();
	ok(right, "those are readable who wait for a share and have it, for as long as they do");
}

/* Nobody else reads, and what poll() promises is held until the end of the period. */
static bool try_agrees(void)
{
	unsigned int wrong = 0, ready = 0, empty = 0;
	int fds[3];
	u64 end_ms;

	crowd_set_total(4, 200, 0);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = rngq_open_unlimited(O_NONBLOCK);
	for (end_ms = rngq_now_ms() + 1500; rngq_now_ms() < end_ms;) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			char byte;

			if (poll_now(fds[i])) {
				ready++;
				wrong += read(fds[i], &byte, 1) != 1;
			} else {
				empty++;
			}
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	diag("readable %u times, of which wrong %u, else %u", ready, wrong, empty);
	return ready && empty && !wrong;
}

static void test_agrees(void)
{
	bool agrees = false;

	for (int i = 0; i < TRIES && !agrees; i++)
		agrees = try_agrees();
	ok(agrees, "after poll() says readable, a read never fails");
}

/*
 * Two edge-triggered readers that each read @asked bytes, their share or more,
 * at each edge, and then stop; if @sees_eagain they read on until there is nothing.
 */
static bool try_each_refill(size_t asked, bool sees_eagain)
{
	const int refills = 5;
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(0), fds[2], seen[2] = { };
	char bytes[2 * RATE];

	crowd_set_total(RATE, 300, 0);
	for (int i = 0; i < 2; i++) {
		fds[i] = rngq_open_unlimited(O_NONBLOCK);
		rngq_drain(fds[i]);
		event.data.u32 = i;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event))
			bail_out("a client can be added to an epoll");
	}
	while ((seen[0] < refills || seen[1] < refills) && seen[0] + seen[1] < 4 * refills) {
		if (epoll_wait(epoll, &event, 1, LATE_MS) != 1 ||
		    read(fds[event.data.u32], bytes, asked) <= 0)
			break;
		seen[event.data.u32]++;
		if (sees_eagain)
			rngq_drain(fds[event.data.u32]);
	}
	for (int i = 0; i < 2; i++)
		close(fds[i]);
	close(epoll);
	diag("%d and %d edges", seen[0], seen[1]);
	return seen[0] >= refills && seen[1] >= refills;
}

/* Who fetches its share too late may find it gone, or twice as much. */
static void test_each_refill(size_t asked, bool sees_eagain, const char *name)
{
	bool seen = false;

	for (int i = 0; i < TRIES && !seen; i++)
		seen = try_each_refill(asked, sees_eagain);
	ok(seen, "each refill is an edge to readers that %s", name);
}

/* Its own quota is what makes the read short; then total/ is in the way. */
static void test_own_then_total(void)
{
	int one, other, epoll;

	crowd_set_total(RATE, HOUR_MS, 0);
	one = rngq_open_quota(O_NONBLOCK, RATE / 2, 100, 0);
	other = rngq_open_unlimited(O_NONBLOCK);
	epoll = rngq_edge_on(one, 0);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "(the edge of being added)");
	is_ret(read(one, (char [RATE]) { }, RATE), RATE / 2, "a read as short as its own quota");
	is_u64(rngq_drain(other), RATE - RATE / 2, "(another takes the rest of total/)");
	is_ret(rngq_edges(epoll, 300), 0, "its own refill is no edge while total/ is empty");
	rngq_set(PERIOD_MS, "total/period_ms");
	is_ret(rngq_edges(epoll, LATE_MS), 1, "that of total/ is one");
	is_between(read(one, (char [RATE]) { }, RATE), RATE * 40 / 100, RATE / 2,
		   "there is something to read");
	close(epoll);
	close(one);
	close(other);
}

/* The one that takes a client's bytes is not the one that waits on the epoll. */
static void test_taken_elsewhere(void)
{
	int fd, other, epoll, edges = 0, empty = 0;
	u64 got = 0;

	crowd_set_total(RATE, SHORT_MS, 0);
	fd = rngq_open_unlimited(O_NONBLOCK);
	other = dup(fd);
	epoll = rngq_edge_on(fd, 0);
	/* A refill may come in two parts. */
	while (got < 5 * RATE && rngq_edges(epoll, LATE_MS) == 1) {
		ssize_t count = rngq_take(other, RATE);

		edges++;
		empty += count <= 0;
		got += count > 0 ? count : 0;
	}
	diag("%llu bytes at %d edges", got, edges);
	ok(got >= 5 * RATE && !empty && edges <= 10,
	   "each refill is an edge, though it is taken through another descriptor");
	close(epoll);
	close(other);
	close(fd);
}

struct slow_read {
	int fd;
	struct slow_page slow;
	ssize_t result;
};

static void *read_slowly(void *argument)
{
	struct slow_read *reading = argument;

	/* Its beginning fits before the slow page. */
	reading->result = read(reading->fd, reading->slow.page - 256,
			       256 + 2 * SLOW_PAGE_SIZE);
	if (reading->result < 0)
		reading->result = -errno;
	return NULL;
}

/*
 * A read has delivered 256 bytes, and waits for a page; meanwhile something happens.
 * It is short in the end; so its edge-triggered reader will wait for the edge.
 */
static ssize_t read_while(int fd, void (*meanwhile)(int fd, int other), int other)
{
	struct slow_read reading = { .fd = fd };
	pthread_t thread;

	slow_page_map(&reading.slow);
	/* That page is there. */
	reading.slow.page[-1] = 0;
	if (pthread_create(&thread, NULL, read_slowly, &reading))
		bail_out("a thread can be started");
	slow_page_wait_touched(&reading.slow);
	meanwhile(fd, other);
	slow_page_fill(&reading.slow);
	pthread_join(thread, NULL);
	slow_page_unmap(&reading.slow);
	return reading.result;
}

static void other_drains(int fd, int other)
{
	(void)fd;
	is_u64(rngq_drain(other), 6000 - 256, "(another takes the rest meanwhile)");
}

/* No change of a quota, which might be an edge itself. */
static void refill_passes(int fd, int other)
{
	(void)fd;
	(void)other;
	rngq_sleep_ms(2 * SHORT_MS);
}

/* It is short, and yet there is something left: a refill came meanwhile. */
static void test_refilled_on_its_way(int fd, const char *whose)
{
	int epoll = rngq_edge_on(fd, 0);

	is_ret(rngq_edges(epoll, LATE_MS), 1, "(the edge of being added)");
	is_ret(read_while(fd, refill_passes, -1), 6000,
	       "a read is no longer for a refill of %s on its way", whose);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "but that refill is an edge");
	close(epoll);
	close(fd);
}

static void test_short_read(void)
{
	int fd, other, epoll;

	crowd_set_total(6000, HOUR_MS, 0);
	fd = rngq_open_unlimited(O_NONBLOCK);
	other = rngq_open_unlimited(O_NONBLOCK);
	epoll = rngq_edge_on(fd, 0);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "(the edge of being added)");
	is_ret(read_while(fd, other_drains, other), 256,
	       "a read that finds total/ empty on its way is short");
	is_ret(rngq_edges(epoll, 50), 0, "(there is nothing now)");
	rngq_set(PERIOD_MS, "total/period_ms");
	is_ret(rngq_edges(epoll, LATE_MS), 1, "then the next refill is an edge");
	close(epoll);
	close(other);
	close(fd);

	crowd_set_total(6000, SHORT_MS, 0);
	test_refilled_on_its_way(rngq_open_unlimited(O_NONBLOCK), "total/");
	crowd_set_total(RNGQ_MAX, 1000, 0);
	test_refilled_on_its_way(rngq_open_quota(O_NONBLOCK, 6000, SHORT_MS, 0),
				 "its client");
}

/* Two readers of one client share what it has; both are woken. */
static void test_two_readers(void)
{
	struct reader readers[2];
	int fd;

	crowd_set_total(RATE, HOUR_MS, 0);
	fd = rngq_open_unlimited(0);
	rngq_drain(fd);
	for (int i = 0; i < 2; i++)
		reader_start_asleep(&readers[i], fd, 1);
	rngq_set(PERIOD_MS, "total/period_ms");
	for (int i = 0; i < 2; i++) {
		reader_join(&readers[i]);
		is_ret(readers[i].result, 1, "reader %d of 2 of a client gets on", i + 1);
	}
	is_between(rngq_take(fd, 4096), MOST, RATE - 2, "the rest of its share is there");
	close(fd);
}

static int completion(struct io_uring *ring, u64 within_ms)
{
	struct __kernel_timespec timeout = {
		.tv_sec = within_ms / 1000,
		.tv_nsec = within_ms % 1000 * NSEC_PER_MSEC,
	};
	struct io_uring_cqe *cqe;
	int ret = io_uring_wait_cqe_timeout(ring, &cqe, &timeout);

	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

static void test_io_uring(void)
{
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	char bytes[2 * RATE];
	int fd;

	if (io_uring_queue_init(4, &ring, 0))
		bail_out("an io_uring can be made");
	crowd_set_total(RATE, HOUR_MS, 0);
	fd = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(fd);

	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, fd, bytes, sizeof(bytes), -1);
	sqe->rw_flags = RWF_NOWAIT;
	io_uring_submit(&ring);
	is_ret(completion(&ring, LATE_MS), -EAGAIN,
	       "io_uring with RWF_NOWAIT finds total/ empty");

	io_uring_prep_read(io_uring_get_sqe(&ring), fd, bytes, sizeof(bytes), -1);
	io_uring_submit(&ring);
	is_ret(completion(&ring, 50), -ETIME, "io_uring waits for the refill by itself");
	rngq_set(PERIOD_MS, "total/period_ms");
	is_between(completion(&ring, LATE_MS), MOST, RATE, "and gets what there is then");

	/* As QEMU does: never see EAGAIN, poll again. */
	rngq_set(SHORT_MS, "total/period_ms");
	for (int i = 0; i < 3; i++) {
		io_uring_prep_poll_add(io_uring_get_sqe(&ring), fd, POLLIN);
		io_uring_submit(&ring);
		is_ret(completion(&ring, LATE_MS), POLLIN, "io_uring's poll sees the refill");
		if (read(fd, bytes, sizeof(bytes)) <= 0)
			break;
	}
	io_uring_queue_exit(&ring);
	close(fd);
}

static void test_splice(void)
{
	int fd, pipes[2], calls = 0;
	ssize_t got = 0, count;

	crowd_set_total(RATE, SHORT_MS, 0);
	fd = rngq_open_unlimited(0);
	if (pipe(pipes))
		bail_out("there is a pipe");
	do {
		count = splice(fd, NULL, pipes[1], NULL, 4096, 0);
		got += count;
		calls++;
	} while (count > 0 && count <= RATE && got < 3 * RATE);
	ok(got >= 3 * RATE && got <= 4 * RATE && calls >= 3 && calls <= 6,
	   "splice() waits for refills, and is as short as they are (%zd bytes in %d)", got, calls);
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	test_full_and_empty();
	test_held();
	test_agrees();
	test_each_refill(2 * RATE, false, "stop at a short read");
	test_each_refill(RATE / 2, false, "stop at a read of just their share");
	test_each_refill(RATE, true, "read until there is nothing");
	test_own_then_total();
	test_taken_elsewhere();
	test_short_read();
	test_two_readers();
	test_io_uring();
	test_splice();
	return done_testing();
}
