// SPDX-License-Identifier: GPL-2.0
/* poll(), select() and level-triggered epoll. Edges are in device-edge.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

#define READABLE	(POLLIN | POLLRDNORM)

/*
 * What poll() says within @timeout_ms. It looks once more when its time is over,
 * but that would mean that nobody woke it.
 */
static short poll_one(int fd, short events, u64 timeout_ms)
{
	struct pollfd pollfd = { .fd = fd, .events = events };
	u64 start_ms = rngq_now_ms();
	int found = poll(&pollfd, 1, timeout_ms);

	if (timeout_ms && rngq_now_ms() - start_ms >= timeout_ms)
		return 0;
	return found > 0 ? pollfd.revents : 0;
}

static void test_states(void)
{
	const short all = READABLE | POLLPRI | POLLOUT | POLLWRNORM |
			  POLLRDBAND | POLLWRBAND | POLLRDHUP;
	int fd = rngq_open_quota(0, 2, HOUR_MS, 0);

	is_u64(poll_one(fd, all, 0), READABLE,
	       "a full client is POLLIN and POLLRDNORM, nothing else");
	is_u64(poll_one(fd, POLLIN, 0), POLLIN, "who asks for POLLIN sees POLLIN");
	is_u64(poll_one(fd, POLLRDNORM, 0), POLLRDNORM,
	       "who asks for POLLRDNORM sees POLLRDNORM");
	is_u64(poll_one(fd, 0, 0), 0, "who asks for nothing sees nothing");
	is_ret(rngq_take(fd, 1), 1, "(read 1 of 2 bytes)");
	is_u64(poll_one(fd, all, 0), READABLE, "with 1 byte left it is still readable");
	is_ret(rngq_take(fd, 1), 1, "(read the last byte)");
	is_u64(poll_one(fd, all, 0), 0, "an empty client is nothing at all");
	is_u64(poll_one(fd, all, 50), 0, "not even after a while");
	rngq_set_quota(fd, RNGQ_MAX, 1000, 0);
	is_u64(poll_one(fd, all, 0), READABLE, "an unlimited client is readable");
	close(fd);
}

/* "exactly when a non-blocking read would … return at least 1 byte" */
static void test_agrees_with_read(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 2, 5, 0);
	u64 end_ns = rngq_now_ns() + NSEC_PER_SEC / 2;
	unsigned int wrong = 0, ready = 0, empty = 0;
	char byte;

	while (rngq_now_ns() < end_ns) {
		if (poll_one(fd, POLLIN, 0)) {
			/* Nobody else reads, so this cannot have changed. */
			ready++;
			if (read(fd, &byte, 1) != 1)
				wrong++;
		} else {
			empty++;
			poll_one(fd, POLLIN, 1);
		}
	}
	is_u64(wrong, 0, "after poll() says readable, a read never fails");
	ok(ready && empty, "both answers were seen (%u and %u times)", ready, empty);
	close(fd);
}

static void test_waiting(short events, const char *name)
{
	const u64 period_ms = 250;
	int fd = rngq_open_quota(O_NONBLOCK, 10, period_ms, 0);
	u64 start_ns = rngq_now_ns(), took_ns;

	rngq_drain(fd);
	is_u64(poll_one(fd, events, LATE_MS), events, "poll() for %s is woken", name);
	took_ns = rngq_now_ns() - start_ns;
	is_between(took_ns, period_ms * NSEC_PER_MSEC,
		   (period_ms + LATE_MS) * NSEC_PER_MSEC,
		   "when the period is over and not before");
	is_u64(rngq_drain(fd), 10, "then there is the rate to read");
	close(fd);
}

static void test_select(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, 200, 0);
	fd_set readable, writable, exceptional;
	struct timeval timeout = { .tv_sec = LATE_MS / 1000 };
	u64 start_ns, took_ns;

	FD_ZERO(&readable);
	FD_SET(fd, &readable);
	writable = readable;
	exceptional = readable;
	is_ret(select(fd + 1, &readable, &writable, &exceptional, &timeout), 1,
	       "select() finds one");
	ok(FD_ISSET(fd, &readable) && !FD_ISSET(fd, &writable) &&
	   !FD_ISSET(fd, &exceptional), "a full client is readable and nothing else");

	start_ns = rngq_now_ns();
	rngq_drain(fd);
	is_ret(select(fd + 1, &readable, NULL, NULL, &timeout), 1,
	       "select() waits for an empty one");
	took_ns = rngq_now_ns() - start_ns;
	is_between(took_ns, 200 * NSEC_PER_MSEC, (LATE_MS - 1) * NSEC_PER_MSEC,
		   "it is woken when the period is over and not before");
	close(fd);
}

static void test_epoll_level(unsigned int events, const char *name)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, 200, 0);
	struct epoll_event event = { .events = events };
	int epoll = epoll_create1(0);
	u64 start_ns;

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	for (int i = 0; i < 2; i++)
		is_ret(epoll_wait(epoll, &event, 1, LATE_MS), 1,
		       "level-triggered epoll (%s) reports a full client", name);
	is_u64(event.events, events, "with the event that was asked for");
	start_ns = rngq_now_ns();
	rngq_drain(fd);
	is_ret(epoll_wait(epoll, &event, 1, LATE_MS), 1, "waits for an empty one (%s)", name);
	ok(rngq_now_ns() - start_ns >= 200 * NSEC_PER_MSEC,
	   "not back before the period is over (%s)", name);
	is_ret(rngq_take(fd, 1), 1, "(read 1 byte)");
	is_ret(epoll_wait(epoll, &event, 1, 0), 1, "and again while a byte is left (%s)", name);
	close(epoll);
	close(fd);
}

/* Level-triggered epoll does not report what somebody else has read meanwhile. */
static void test_epoll_drained(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(0);

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	rngq_drain(fd);
	is_ret(epoll_wait(epoll, &event, 1, 50), 0,
	       "epoll reports nothing for a client drained after it was added");
	close(epoll);
	close(fd);
}

struct poller {
	int fd;
	short revents;
	pid_t tid;
	sem_t started;
	pthread_t thread;
};

static void *poll_once(void *argument)
{
	struct poller *poller = argument;

	poller->tid = gettid();
	sem_post(&poller->started);
	poller->revents = poll_one(poller->fd, POLLIN, LATE_MS);
	return NULL;
}

static void test_many_pollers(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, 500, 0);
	struct epoll_event event = { .events = EPOLLIN };
	struct poller pollers[4] = { 0 };
	int epolls[4];
	unsigned int woken = 0;

	for (int i = 0; i < 4; i++) {
		epolls[i] = epoll_create1(0);
		epoll_ctl(epolls[i], EPOLL_CTL_ADD, fd, &event);
	}
	rngq_drain(fd);
	for (int i = 0; i < 4; i++) {
		pollers[i].fd = fd;
		sem_init(&pollers[i].started, 0, 0);
		if (pthread_create(&pollers[i].thread, NULL, poll_once, &pollers[i]))
			bail_out("a thread can be started");
		sem_wait(&pollers[i].started);
		rngq_wait_asleep(pollers[i].tid, SYS_poll);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(pollers[i].thread, NULL);
		woken += pollers[i].revents == POLLIN;
		woken += epoll_wait(epolls[i], &event, 1, LATE_MS) == 1;
		close(epolls[i]);
	}
	is_u64(woken, 8, "4 polls and 4 epolls on one client are all woken");
	close(fd);
}

/* A reader that waits must not take the poller's wake-up, nor the other way. */
static void test_poller_and_reader(void)
{
	int fd = rngq_open_quota(0, 10, 300, 0);
	struct reader reader;

	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 4);
	is_u64(poll_one(fd, POLLIN, LATE_MS), POLLIN,
	       "a poller is woken while a reader sleeps");
	reader_join(&reader);
	is_ret(reader.result, 4, "and the reader as well");
	close(fd);
}

int main(void)
{
	test_states();
	test_agrees_with_read();
	test_waiting(POLLIN, "POLLIN");
	test_waiting(POLLRDNORM, "POLLRDNORM");
	test_waiting(READABLE, "both");
	test_select();
	test_epoll_level(EPOLLIN, "EPOLLIN");
	test_epoll_level(EPOLLRDNORM, "EPOLLRDNORM");
	test_epoll_drained();
	test_many_pollers();
	test_poller_and_reader();
	return done_testing();
}
