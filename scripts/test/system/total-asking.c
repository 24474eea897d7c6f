// SPDX-License-Identifier: GPL-2.0
/*
 * "Asking without taking, however often and by however many, earns nothing and costs
 * the others nothing": ways to ask, each beside a greedy reader. Many that poll() are
 * in total-pollers.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "askers.h"
#include "crowd.h"
#include "rngq.h"

#define RATE		1000
#define PERIOD_MS	200

/* Where nothing should be. */
static void read_byte(struct asker *asker, int fd)
{
	char byte;
	ssize_t count = read(fd, &byte, 1);

	if (count > 0)
		asker->shared->bytes += count;
	else if (!count || (errno != EAGAIN && errno != EINTR))
		askers_fail(asker, count ? -errno : -ENODATA);
}

/* Who is told that there is something, doesn't want it; all others do. */
static void read_nothing(struct asker *asker)
{
	for (unsigned int i = 0; i < asker->count; i++)
		if (!poll(&asker->clients[i], 1, 0))
			read_byte(asker, asker->clients[i].fd);
}

static void read_nowhere(struct asker *asker)
{
	for (unsigned int i = 0; i < asker->count; i++)
		if (syscall(SYS_read, asker->clients[i].fd, NULL, 4096) >= 0 ||
		    (errno != EFAULT && errno != EAGAIN))
			askers_fail(asker, -errno);
}

static void open_again(struct asker *asker, int flags)
{
	for (unsigned int i = 0; i < asker->count; i++) {
		close(asker->clients[i].fd);
		asker->clients[i].fd = open(RNGQ_DEV, O_RDONLY | flags);
		if (asker->clients[i].fd < 0)
			askers_fail(asker, -errno);
	}
}

static void open_and_poll(struct asker *asker)
{
	open_again(asker, O_NONBLOCK);
	askers_poll(asker);
}

static void fork_and_open(struct asker *asker)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		asker->clients[0].fd = open(RNGQ_DEV, O_RDONLY | O_NONBLOCK);
		asker->count = 1;
		askers_poll(asker);
		_exit(asker->clients[0].fd < 0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		askers_fail(asker, -ECHILD);
}

static void use_up(struct asker *asker)
{
	for (unsigned int i = 0; i < asker->count; i++)
		rngq_drain(asker->clients[i].fd);
}

static void poll_and_read(struct asker *asker)
{
	askers_poll(asker);
	for (unsigned int i = 0; i < asker->count; i++)
		read_byte(asker, asker->clients[i].fd);
}

static void begin_epoll(struct asker *asker, unsigned int some_events,
			unsigned int other_events)
{
	asker->epoll = epoll_create1(0);
	for (unsigned int i = 0; i < asker->count; i++) {
		struct epoll_event event = { .events = i % 2 ? some_events : other_events };

		if (epoll_ctl(asker->epoll, EPOLL_CTL_ADD, asker->clients[i].fd, &event))
			askers_fail(asker, -errno);
	}
}

static void begin_level_and_edge(struct asker *asker)
{
	begin_epoll(asker, EPOLLIN, EPOLLIN | EPOLLET);
}

static void wait_epoll(struct asker *asker)
{
	struct epoll_event events[ASKERS_MAX_CLIENTS];
	int found = epoll_wait(asker->epoll, events, ASKERS_MAX_CLIENTS, 3);

	if (found < 0)
		askers_fail(asker, -errno);
	else
		asker->shared->found += found;
}

static void begin_nothing(struct asker *asker)
{
	begin_epoll(asker, 0, 0);
	for (unsigned int i = 0; i < asker->count; i++)
		asker->clients[i].events = 0;
}

static void wait_nothing(struct asker *asker)
{
	askers_poll(asker);
	wait_epoll(asker);
	if (asker->shared->found)
		askers_fail(asker, -EEXIST);
}

static void handle(int signal)
{
	(void)signal;
}

static void begin_signals(struct asker *asker)
{
	struct itimerval each_3_ms = {
		.it_interval.tv_usec = 3000, .it_value.tv_usec = 3000,
	};
	struct sigaction action = { .sa_handler = handle };

	if (sigaction(SIGALRM, &action, NULL) || setitimer(ITIMER_REAL, &each_3_ms, NULL))
		askers_fail(asker, -errno);
}

/* Until a signal comes. If bytes do, they go back: there is no room for them. */
static void sleep_in_read(struct asker *asker)
{
	open_again(asker, 0);
	if (syscall(SYS_read, asker->clients[0].fd, NULL, 4096) >= 0 ||
	    (errno != EFAULT && errno != EINTR))
		askers_fail(asker, -errno);
}

/* It does take what there is, until it is stopped. */
static void sleep_for_byte(struct asker *asker)
{
	read_byte(asker, asker->clients[0].fd);
}

static void sleep_in_poll(struct asker *asker)
{
	poll(asker->clients, asker->count, 1000);
}

/* A process of those that sleep has one client. */
static struct askers ways[] = {
	{
		.name = "reads without waiting, when there is nothing",
		.processes = 10, .clients = 100, .every_ms = 1, .ask = read_nothing,
	}, {
		.name = "reads into a bad address",
		.processes = 10, .clients = 100, .every_ms = 3, .ask = read_nowhere,
	}, {
		.name = "clients that are opened, polled and closed",
		.processes = 20, .clients = 5, .ask = open_and_poll,
	}, {
		.name = "new processes that open, poll and close",
		.processes = 20, .clients = 1, .ask = fork_and_open,
	}, {
		.name = "epoll, level-triggered and edge-triggered",
		.processes = 10, .clients = 100, .begin = begin_level_and_edge,
		.ask = wait_epoll,
	}, {
		.name = "poll() and epoll for nothing",
		.processes = 10, .clients = 100, .begin = begin_nothing, .ask = wait_nothing,
	}, {
		.name = "sleepers whom a signal wakes each 3 ms",
		.processes = 60, .clients = 1, .flags = O_CLOEXEC, .begin = begin_signals,
		.ask = sleep_in_read,
	}, {
		.name = "readers that are stopped in their sleep",
		.processes = 100, .clients = 1, .flags = O_CLOEXEC, .ask = sleep_for_byte,
		.signal = SIGSTOP,
	}, {
		.name = "pollers that are stopped in their sleep",
		.processes = 100, .clients = 10, .ask = sleep_in_poll, .signal = SIGSTOP,
	},
};

/* Who asks for nothing, waits for nothing. */
static void test_events_0(void)
{
	struct pollfd pollfd = { .events = 0 };
	int epoll, other;

	crowd_set_total(10, HOUR_MS, 0);
	pollfd.fd = rngq_open_unlimited(O_NONBLOCK);
	other = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(other);
	is_ret(poll(&pollfd, 1, 20), 0, "poll() with events = 0 finds nothing");
	epoll = epoll_create1(0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, pollfd.fd, &(struct epoll_event){ .events = 0 });
	is_ret(rngq_edges(epoll, 20), 0, "nor does epoll with events = 0");
	is_u64(rngq_client(pollfd.fd, "throttled"), 0, "and that is no wait");
	pollfd.events = POLLIN;
	is_ret(poll(&pollfd, 1, 0), 0, "with POLLIN it finds nothing either");
	is_u64(rngq_client(pollfd.fd, "throttled"), 1, "but that is one");
	close(epoll);
	close(other);
	close(pollfd.fd);
}

int main(void)
{
	struct askers used_up = {
		.name = "clients whose own quota is used up",
		.processes = 11, .clients = 100, .every_ms = 3, .begin = use_up,
		.ask = poll_and_read,
	};

	rngq_keep_globals();
	rngq_set_default(RNGQ_MAX, 1000, 0, 0);
	test_events_0();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		askers_test(&ways[i], RATE, PERIOD_MS, 95);
	rngq_set_default(24, HOUR_MS, 0, 0);
	askers_test(&used_up, RATE, PERIOD_MS, 95);
	return done_testing();
}
