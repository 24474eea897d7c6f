// SPDX-License-Identifier: GPL-2.0
/*
 * Waiting for an empty client by poll() and its kin while memory is short: what
 * fails leaves nobody on the client's queue, and the next wait is woken.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libaio.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <unistd.h>

#include "failnth.h"
#include "rngq.h"

/* So many at once that the kernel allocates pages for them. */
#define MANY	300

static int epoll;
static io_context_t aio;

struct waiting {
	const char *name;
	/* The call that may fail: it finds nothing. */
	s64 (*wait)(int fd);
	s64 untouched;
	/* Whether what has not failed is woken, or a new wait is, if all is over. */
	bool (*is_woken)(int fd);
	/* Whether nothing is left of what has failed. */
	bool (*is_nothing_left)(int fd);
	int errors[4];
	int fd;
};

static s64 result(int count)
{
	return count < 0 ? -errno : count;
}

/* They wait, if only for 1 ms: who doesn't is not put on the queue. */
static s64 poll_many(int fd)
{
	static struct pollfd many[MANY];

	for (int i = 0; i < MANY; i++)
		many[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
	return result(poll(many, MANY, 1));
}

static s64 select_one(int fd)
{
	struct timeval timeout = { .tv_usec = 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return result(select(FD_SETSIZE, &set, NULL, NULL, &timeout));
}

static s64 epoll_add(int fd)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };

	return result(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static bool epoll_is_woken(int fd)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, LATE_MS) == 1 &&
	       !epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

static bool epoll_is_empty(int fd)
{
	struct epoll_event event;

	return !epoll_wait(epoll, &event, 1, 0) &&
	       epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL) && errno == ENOENT;
}

static s64 aio_submit(int fd)
{
	struct iocb iocb, *iocbs[] = { &iocb };

	io_prep_poll(&iocb, fd, POLLIN);
	return io_submit(aio, 1, iocbs);
}

static s64 aio_events(u64 timeout_ms)
{
	struct timespec timeout = { .tv_sec = timeout_ms / 1000 };
	struct io_event event;

	return io_getevents(aio, 1, 1, &event, &timeout);
}

static bool aio_is_woken(int fd)
{
	(void)fd;
	return aio_events(LATE_MS) == 1;
}

static bool aio_is_empty(int fd)
{
	(void)fd;
	return !aio_events(0);
}

static s64 call(void *with)
{
	struct waiting *waiting = with;

	return waiting->wait(waiting->fd);
}

/* Whoever is on the queue is woken: those who should not be there, too. */
static const char *settle(void *with, s64 ret)
{
	struct waiting *waiting = with;
	const char *wrong = NULL;

	rngq_set_quota(waiting->fd, RNGQ_MAX, HOUR_MS, 0);
	if (ret < 0 && waiting->is_nothing_left && !waiting->is_nothing_left(waiting->fd))
		wrong = "something is left of what failed";
	else if (ret >= 0 && !waiting->is_woken(waiting->fd))
		wrong = "it is not woken";
	rngq_set_quota(waiting->fd, 10, HOUR_MS, 0);
	rngq_drain(waiting->fd);
	return wrong;
}

static struct waiting ways[] = {
	{
		.name = "poll()",
		.wait = poll_many,
		.is_woken = rngq_becomes_readable,
		.errors = { ENOMEM, EFAULT },
	}, {
		.name = "select()",
		.wait = select_one,
		.is_woken = rngq_becomes_readable,
		.errors = { ENOMEM, EFAULT },
	}, {
		.name = "epoll_ctl()",
		.wait = epoll_add,
		.is_woken = epoll_is_woken,
		.is_nothing_left = epoll_is_empty,
		.errors = { ENOMEM, EFAULT },
	}, {
		.name = "poll by AIO",
		.wait = aio_submit,
		.untouched = 1,
		.is_woken = aio_is_woken,
		.is_nothing_left = aio_is_empty,
		.errors = { EAGAIN, EFAULT },
	},
};

static unsigned long run(struct waiting *waiting)
{
	struct failnth test = {
		.name = waiting->name,
		.call = call,
		.settle = settle,
		.with = waiting,
		.untouched = waiting->untouched,
	};
	unsigned long faults;

	memcpy(test.errors, waiting->errors, sizeof(test.errors));
	waiting->fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	rngq_drain(waiting->fd);
	faults = failnth(&test);
	close(waiting->fd);
	return faults;
}

/* These have no need of memory. */
static void test_others(void)
{
	int fd = rngq_open(0);
	s64 ret;

	failnth_arm(1);
	ret = result(lseek(fd, 1, SEEK_SET));
	ok(failnth_disarm() && ret >= 0, "lseek() has nothing that can fail");
	failnth_arm(1);
	ret = result(ioctl(fd, FIONREAD, &ret));
	ok(failnth_disarm() && ret == -ENOTTY, "nor has ioctl()");
	close(fd);
}

int main(void)
{
	unsigned long faults = 0;

	epoll = epoll_create1(0);
	if (epoll < 0 || io_setup(8, &aio))
		bail_out("there are an epoll and AIO");
	failnth_init();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		faults += run(&ways[i]);
	tried("fail-nth: poll, select, epoll_ctl, AIO's poll", "%lu faults", faults);
	test_others();
	return done_testing();
}
