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

#define RATE		20
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

/* All of this in the first half of a period, in which shares are held. */
static bool try_reserved(void)
{
	int one, other, third;
	bool right;

	crowd_set_total(RATE, PERIOD_MS, 0);
	one = rngq_open_unlimited(O_NONBLOCK);
	other = rngq_open_unlimited(O_NONBLOCK);
	third = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(one);
	rngq_drain(other);
	right = rngq_becomes_readable(one) && rngq_becomes_readable(other) &&
		/* What is reserved for them makes nobody else readable. */
		!poll_now(third) && rngq_take(third, 4096) == -EAGAIN &&
		/* A read is as short as the share, and the other's is untouched. */
		rngq_take(one, 4096) == RATE / 2 && !poll_now(one) &&
		poll_now(other) && rngq_drain(other) == RATE / 2 &&
		!poll_now(one) && !poll_now(other) && !poll_now(third);
	close(one);
	close(other);
	close(third);
	return right;
}

static void test_reserved(void)
{
	bool right = false;

	for (int i = 0; i < TRIES && !right; i++)
		right = try_reserved();
	ok(right, "those are readable for whom a share is reserved, for as long as it is");
}

/* Nobody else reads, and what poll() promises is held for most of a period. */
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
static bool try_each_turn(size_t asked, bool sees_eagain)
{
	const int turns = 5;
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
	while ((seen[0] < turns || seen[1] < turns) && seen[0] + seen[1] < 4 * turns) {
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
	diag("%d and %d turns", seen[0], seen[1]);
	return seen[0] >= turns && seen[1] >= turns;
}

/* Who fetches its share too late may find it gone, or twice as much. */
static void test_each_turn(size_t asked, bool sees_eagain, const char *name)
{
	bool seen = false;

	for (int i = 0; i < TRIES && !seen; i++)
		seen = try_each_turn(asked, sees_eagain);
	ok(seen, "each turn is an edge to readers that %s", name);
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
	is_ret(read(one, (char [RATE]) { }, RATE), RATE / 2, "there is something to read");
	close(epoll);
	close(one);
	close(other);
}

/* The one that takes a client's turn is not the one that waits on the epoll. */
static void test_taken_elsewhere(void)
{
	int fd, other, epoll;

	crowd_set_total(RATE, SHORT_MS, 0);
	fd = rngq_open_unlimited(O_NONBLOCK);
	other = dup(fd);
	epoll = rngq_edge_on(fd, 0);
	for (int i = 0; i < 4; i++) {
		is_ret(rngq_edges(epoll, LATE_MS), 1, "a turn is an edge");
		is_ret(rngq_take(other, RATE), RATE,
		       "though it was taken through another descriptor");
	}
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

	/* The beginning of the first piece fits before the slow page. */
	reading->result = read(reading->fd, reading->slow.page - 256,
			       256 + 2 * SLOW_PAGE_SIZE);
	if (reading->result < 0)
		reading->result = -errno;
	return NULL;
}

/*
 * A read is stopped in its first piece, for which it has taken 4096 bytes, and
 * meanwhile something happens. It is short in the end; so its edge-triggered
 * reader will wait for the edge.
 */
static ssize_t read_while(int fd, void (*meanwhile)(int fd, int other), int other)
{
	struct slow_read reading = { .fd = fd };
	pthread_t thread;

	slow_page_map(&reading.slow);
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
	is_u64(rngq_drain(other), 6000 - 4096, "(another takes the rest meanwhile)");
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
	is_ret(read_while(fd, other_drains, other), 4096,
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

/* Two readers of one client share its turn; both are woken. */
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
	is_ret(rngq_take(fd, 4096), RATE - 2, "the rest of its share is there");
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
	is_ret(completion(&ring, 50), -ETIME, "io_uring waits for its turn by itself");
	rngq_set(PERIOD_MS, "total/period_ms");
	is_ret(completion(&ring, LATE_MS), RATE, "and gets what there is then");

	/* As QEMU does: never see EAGAIN, poll again. */
	rngq_set(SHORT_MS, "total/period_ms");
	for (int i = 0; i < 3; i++) {
		io_uring_prep_poll_add(io_uring_get_sqe(&ring), fd, POLLIN);
		io_uring_submit(&ring);
		is_ret(completion(&ring, LATE_MS), POLLIN, "io_uring's poll sees its turn");
		if (read(fd, bytes, sizeof(bytes)) != RATE)
			break;
	}
	io_uring_queue_exit(&ring);
	close(fd);
}

static void test_splice(void)
{
	int fd, pipes[2];

	crowd_set_total(RATE, SHORT_MS, 0);
	fd = rngq_open_unlimited(0);
	if (pipe(pipes))
		bail_out("there is a pipe");
	for (int i = 0; i < 3; i++) {
		is_ret(splice(fd, NULL, pipes[1], NULL, 4096, 0), RATE,
		       "splice() waits for its turn, and is as short as that");
	}
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	test_full_and_empty();
	test_reserved();
	test_agrees();
	test_each_turn(2 * RATE, false, "stop at a short read");
	test_each_turn(RATE / 2, false, "stop at a read of just their share");
	test_each_turn(RATE, true, "read until there is nothing");
	test_own_then_total();
	test_taken_elsewhere();
	test_short_read();
	test_two_readers();
	test_io_uring();
	test_splice();
	return done_testing();
}
