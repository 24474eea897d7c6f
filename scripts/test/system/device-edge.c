// SPDX-License-Identifier: GPL-2.0
/*
 * Edge-triggered epoll: "each refill of an empty client is an edge, whether or
 * not a read had failed before". The bucket never carries over here, so what
 * is there after an edge is the rate.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

#define RATE		10
#define PERIOD_MS	100

static void test_once_an_edge(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, RATE, HOUR_MS, 0);
	int epoll = rngq_edge_on(fd, 0);

	is_ret(rngq_edges(epoll, LATE_MS), 1, "a full client is an edge when it is added");
	is_ret(rngq_edges(epoll, 50), 0, "and only once");
	rngq_drain(fd);
	is_ret(rngq_edges(epoll, 50), 0, "an empty one is none");
	close(epoll);
	close(fd);
}

/* @asked: how much each read wants; RATE or more, so that it empties the client. */
static void test_each_refill(size_t asked, bool sees_eagain, const char *name)
{
	int fd = rngq_open_quota(O_NONBLOCK, RATE, PERIOD_MS, 0);
	int epoll = rngq_edge_on(fd, 0), seen = 0;
	char bytes[2 * RATE];

	for (int i = 0; i < 6; i++) {
		if (rngq_edges(epoll, LATE_MS) != 1 || read(fd, bytes, asked) != RATE)
			break;
		seen++;
		if (sees_eagain)
			rngq_drain(fd);
	}
	is_u64(seen, 6, "each refill is an edge to a reader that %s", name);
	close(epoll);
	close(fd);
}

/* The one that empties the client is not the one that waits on the epoll. */
static void test_drained_elsewhere(void)
{
	int fd = rngq_open_quota(0, RATE, PERIOD_MS, 0);
	int other = dup(fd), epoll, before;

	before = rngq_edge_on(fd, 0);
	is_ret(rngq_edges(before, LATE_MS), 1, "(the edge of being added)");
	is_ret(rngq_take(other, RATE), RATE,
	       "(drain it through another descriptor)");
	is_ret(rngq_edges(before, LATE_MS), 1, "that refill is an edge as well");

	/* The client is kept empty until the second epoll has been added. */
	rngq_set_quota(fd, RATE, HOUR_MS, 0);
	is_ret(rngq_take(other, RATE), RATE, "(drain it again)");
	epoll = rngq_edge_on(fd, 0);
	is_ret(rngq_edges(epoll, 0), 0, "an empty client is no edge when it is added");
	rngq_set_quota(fd, RATE, PERIOD_MS, 0);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "its refill is one");
	close(epoll);
	close(before);
	close(other);
	close(fd);
}

static void test_several_epolls(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, RATE, PERIOD_MS, 0);
	int epolls[3], nested = epoll_create1(0), seen = 0, seen_nested = 0;
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	for (int i = 0; i < 3; i++)
		epolls[i] = rngq_edge_on(fd, 0);
	epoll_ctl(nested, EPOLL_CTL_ADD, epolls[2], &event);
	for (int round = 0; round < 4; round++) {
		seen_nested += rngq_edges(nested, LATE_MS);
		for (int i = 0; i < 3; i++)
			seen += rngq_edges(epolls[i], LATE_MS);
		if (rngq_take(fd, RATE) != RATE)
			break;
	}
	is_u64(seen, 12, "each of 3 epolls gets the edge of each of 4 refills");
	is_u64(seen_nested, 4, "and an epoll on one of them too");
	for (int i = 0; i < 3; i++)
		close(epolls[i]);
	close(nested);
	close(fd);
}

static void test_oneshot(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, RATE, PERIOD_MS, 0);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET | EPOLLONESHOT };
	int epoll = rngq_edge_on(fd, EPOLLONESHOT);

	is_ret(rngq_edges(epoll, LATE_MS), 1, "one shot: the first edge");
	rngq_drain(fd);
	is_ret(rngq_edges(epoll, 3 * PERIOD_MS), 0, "then no more");
	rngq_drain(fd);
	epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "until it is armed again");
	close(epoll);
	close(fd);
}

static void test_exclusive(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, RATE, PERIOD_MS, 0), seen = 0;
	int epoll = rngq_edge_on(fd, EPOLLEXCLUSIVE);

	for (int i = 0; i < 4; i++) {
		seen += rngq_edges(epoll, LATE_MS);
		if (rngq_take(fd, RATE) != RATE)
			break;
	}
	is_u64(seen, 4, "EPOLLEXCLUSIVE gets each edge");
	close(epoll);
	close(fd);
}

/* It wakes by edges while another thread sleeps in read() on the same client. */
static void test_beside_a_reader(void)
{
	int fd = rngq_open_quota(0, RATE, 3 * PERIOD_MS, 0);
	int epoll = rngq_edge_on(fd, 0);
	struct reader reader;

	is_ret(rngq_edges(epoll, LATE_MS), 1, "(the edge of being added)");
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 1);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "a refill is an edge while a reader sleeps");
	reader_join(&reader);
	is_ret(reader.result, 1, "which gets its byte");
	close(epoll);
	close(fd);
}

struct epoll_waiter {
	int epoll;
	pid_t tid;
	sem_t started;
	int seen;
};

static void *wait_for_edge(void *argument)
{
	struct epoll_waiter *waiter = argument;

	waiter->tid = gettid();
	sem_post(&waiter->started);
	waiter->seen = rngq_edges(waiter->epoll, LATE_MS);
	return NULL;
}

/* An exclusive poller that came first does not take a reader's wake-up. */
static void test_exclusive_beside_a_reader(void)
{
	int fd = rngq_open_quota(0, RATE, HOUR_MS, 0);
	struct epoll_waiter waiter = { .epoll = rngq_edge_on(fd, EPOLLEXCLUSIVE) };
	struct reader reader;
	pthread_t thread;

	is_ret(rngq_edges(waiter.epoll, LATE_MS), 1, "(the edge of being added)");
	rngq_drain(fd);
	sem_init(&waiter.started, 0, 0);
	if (pthread_create(&thread, NULL, wait_for_edge, &waiter))
		bail_out("a thread can be started");
	sem_wait(&waiter.started);
	rngq_wait_asleep(waiter.tid, SYS_epoll_wait);
	reader_start_asleep(&reader, fd, 1);
	/* One change, so one wake-up. */
	if (rngq_client_write(fd, "period_ms", "1"))
		bail_out("a period can be changed");
	reader_join(&reader);
	is_ret(reader.result, 1, "a reader wakes beside an EPOLLEXCLUSIVE poller");
	pthread_join(thread, NULL);
	is_ret(waiter.seen, 1, "and so does that");
	close(waiter.epoll);
	close(fd);
}

/*
 * "A client that was waiting keeps its beat": also one that waits for an edge
 * after a short read, and comes late each time.
 */
static void test_beat(void)
{
	const u64 period_ms = 1000, late_ms = 500, slack_ms = 400;
	int fd = rngq_open_quota(O_NONBLOCK, RATE, period_ms, 0);
	int epoll = rngq_edge_on(fd, 0);
	u64 first_ms, second_ms;

	is_ret(rngq_edges(epoll, LATE_MS), 1, "(the edge of being added)");
	rngq_take(fd, 2 * RATE);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "(the first refill)");
	first_ms = rngq_now_ms();
	rngq_sleep_ms(late_ms);
	rngq_take(fd, 2 * RATE);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "(the second refill)");
	second_ms = rngq_now_ms();
	is_between(second_ms - first_ms, 0, period_ms + slack_ms,
		   "a late edge-triggered reader's next refill is on the beat");
	close(epoll);
	close(fd);
}

int main(void)
{
	test_once_an_edge();
	test_each_refill(RATE, true, "reads until EAGAIN");
	test_each_refill(2 * RATE, false, "stops after a short read");
	test_each_refill(RATE, false, "stops after a read that was not even short");
	test_drained_elsewhere();
	test_several_epolls();
	test_oneshot();
	test_exclusive();
	test_beside_a_reader();
	test_exclusive_beside_a_reader();
	test_beat();
	return done_testing();
}
