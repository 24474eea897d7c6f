// SPDX-License-Identifier: GPL-2.0
/* All ways to wait for a client and to read from it, one after the other at random. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <liburing.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "races.h"
#include "reader.h"
#include "rngq.h"

#define PAGE		4096UL
#define BUFFER_SIZE	(18 * PAGE)

/* What a thread works with. */
struct work {
	struct racer *racer;
	struct client *client;
	int fd;
	unsigned int *seed;
	char *start, *end;		/* its buffer; behind it there is no access */
	int pipe[2], null;
	struct io_uring ring;
	io_context_t aio;
};

/* How a read was done, and so what it may say. */
enum {
	MAY_SLEEP,
	NOWAIT = 1,			/* EAGAIN, and never EINTR */
	BAD_ADDRESS = 2,		/* EFAULT */
	CANCELLED = 4,			/* ECANCELED, EINTR */
};

static void note(struct work *w, u64 before_ns, ssize_t ret, int how)
{
	bool nowait = (how & NOWAIT) || w->client->nonblock;

	if (ret > 0)
		count_read(w->client, before_ns, ret);
	else if (ret != (nowait ? -EAGAIN : -EINTR) &&
		 !(ret == -EFAULT && (how & BAD_ADDRESS)) &&
		 !((ret == -ECANCELED || ret == -EINTR) && (how & CANCELLED)))
		wrong("\"%s\" gave %zd", w->racer->way, ret);
}

static ssize_t result(ssize_t count)
{
	return count < 0 ? -errno : count;
}

/* Mostly little; sizes at which the driver does something else; seldom much. */
static size_t any_size(struct work *w)
{
	static const size_t special[] = {
		1, 255, 256, 257, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE,
	};

	switch (pick(w->seed, 64)) {
	case 0:
		return 1 + pick(w->seed, BUFFER_SIZE);
	case 1 ... 8:
		return special[pick(w->seed, ARRAY_SIZE(special))];
	case 9 ... 24:
		return 1 + pick(w->seed, 600);
	default:
		return 1 + pick(w->seed, 30);
	}
}

static void plain(struct work *w)
{
	size_t size = any_size(w);
	u64 before_ns = rngq_now_ns();

	note(w, before_ns, result(read(w->fd, w->end - size, size)), MAY_SLEEP);
}

/* Into memory that must be found first. */
static void faulting(struct work *w)
{
	u64 before_ns = rngq_now_ns();

	madvise(w->start, BUFFER_SIZE, MADV_DONTNEED);
	note(w, before_ns, result(read(w->fd, w->start, any_size(w))), MAY_SLEEP);
}

static void bad(struct work *w)
{
	size_t good = pick(w->seed, 2) * pick(w->seed, 600);
	size_t size = good + 1 + pick(w->seed, 600);
	u64 before_ns = rngq_now_ns();

	note(w, before_ns, result(read(w->fd, w->end - good, size)), BAD_ADDRESS);
}

static void vector(struct work *w)
{
	bool hole = !pick(w->seed, 3);
	struct iovec iov[] = {
		{ w->start, pick(w->seed, 300) },
		{ hole ? w->end : w->start + PAGE, 1 + pick(w->seed, 300) },
		{ w->start + 8 * PAGE, any_size(w) % PAGE },
	};
	u64 before_ns = rngq_now_ns();

	note(w, before_ns, result(readv(w->fd, iov, 3)), hole ? BAD_ADDRESS : MAY_SLEEP);
}

static void to_pipe(struct work *w)
{
	u64 before_ns = rngq_now_ns();
	ssize_t count = result(splice(w->fd, NULL, w->pipe[1], NULL, any_size(w), 0));

	note(w, before_ns, count, MAY_SLEEP);
	while (count > 0) {
		ssize_t got = read(w->pipe[0], w->start, count);

		if (got <= 0)
			bail_out("what was spliced into a pipe comes out of it");
		count -= got;
	}
}

/*
 * It goes on until it has all, in as many reads as that takes. What it has read
 * just before a signal comes the kernel throws away.
 */
static void to_file(struct work *w)
{
	u64 before_ns = rngq_now_ns();

	note(w, before_ns, result(sendfile(w->null, w->fd, NULL, 1 + pick(w->seed, 300))),
	     MAY_SLEEP);
}

/*
 * Somebody else may have been quicker. Return whether there may be more: nothing is
 * known of that, and no edge comes, after a read into a bad address.
 */
static bool read_nowait(struct work *w, int how)
{
	size_t size = any_size(w);
	size_t good = (how & BAD_ADDRESS) ? pick(w->seed, size) : size;
	u64 before_ns = rngq_now_ns();
	ssize_t ret = rngq_read_nowait(w->fd, w->end - good, size);

	note(w, before_ns, ret, NOWAIT | how);
	return ret == (ssize_t)size || ret == -EFAULT;
}

static void by_poll(struct work *w)
{
	struct pollfd pollfd = { .fd = w->fd, .events = POLLIN };

	if (poll(&pollfd, 1, -1) == 1)
		read_nowait(w, pick(w->seed, 8) ? 0 : BAD_ADDRESS);
}

static void by_select(struct work *w)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(w->fd, &set);
	if (select(w->fd + 1, &set, NULL, NULL, NULL) == 1)
		read_nowait(w, 0);
}

static int new_epoll(struct work *w, unsigned int events)
{
	struct epoll_event event = { .events = events };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event))
		wrong("a client can be added to an epoll (errno %d)", errno);
	return epoll;
}

static void by_level(struct work *w)
{
	int epoll = new_epoll(w, EPOLLIN);
	struct epoll_event event;

	if (epoll_wait(epoll, &event, 1, -1) == 1)
		read_nowait(w, 0);
	if (pick(w->seed, 2))
		epoll_ctl(epoll, EPOLL_CTL_DEL, w->fd, NULL);
	close(epoll);
}

/* A short read says that there is nothing left: wait for the edge then. */
static void by_edge(struct work *w)
{
	int epoll = new_epoll(w, EPOLLIN | EPOLLET);
	unsigned int reads = 1 + pick(w->seed, 20);
	struct epoll_event event;
	bool ready = false;

	while (reads-- && !world->stop) {
		if (!ready && epoll_wait(epoll, &event, 1, -1) != 1)
			break;
		ready = read_nowait(w, pick(w->seed, 8) ? 0 : BAD_ADDRESS);
	}
	close(epoll);
}

/* What the request says that was just prepared. Sometimes it is soon cancelled. */
static ssize_t uring_complete(struct work *w, struct io_uring_sqe *sqe, int *how)
{
	struct __kernel_timespec soon = {
		.tv_nsec = pick(w->seed, 5) * NSEC_PER_MSEC,
	};
	unsigned int pending = 1, signals = reader_own_signals;
	ssize_t ret = 0;

	sqe->user_data = 1;
	if (!pick(w->seed, 4)) {
		*how = CANCELLED;
		sqe->flags |= IOSQE_IO_LINK;
		sqe = io_uring_get_sqe(&w->ring);
		io_uring_prep_link_timeout(sqe, &soon, 0);
		sqe->user_data = 2;
		pending++;
	}
	io_uring_submit(&w->ring);
	while (pending) {
		struct io_uring_cqe *cqe;

		/* A signal may come between. */
		if (io_uring_wait_cqe(&w->ring, &cqe))
			continue;
		if (cqe->user_data == 1)
			ret = cqe->res;
		io_uring_cqe_seen(&w->ring, cqe);
		pending--;
	}
	/* Signals kept the ring from making a worker: see device-io-uring.c. */
	if (reader_own_signals != signals)
		*how |= CANCELLED;
	return ret;
}

static void uring_read(struct work *w)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
	u64 before_ns = rngq_now_ns();
	int how = MAY_SLEEP;
	ssize_t ret;

	io_uring_prep_read(sqe, w->fd, w->start, any_size(w), -1);
	if (!pick(w->seed, 4))
		sqe->flags |= IOSQE_ASYNC;
	ret = uring_complete(w, sqe, &how);
	note(w, before_ns, ret, how);
}

static void uring_poll(struct work *w)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
	int how = MAY_SLEEP;

	io_uring_prep_poll_add(sqe, w->fd, POLLIN);
	if (uring_complete(w, sqe, &how) > 0)
		read_nowait(w, 0);
}

static long aio_complete(struct work *w, struct iocb *iocb, struct timespec *timeout)
{
	struct iocb *iocbs[] = { iocb };
	struct io_event event;
	int ret;

	while (io_submit(w->aio, 1, iocbs) != 1)
		;
	do {
		ret = io_getevents(w->aio, 1, 1, &event, timeout);
		if (!ret) {
			/* It comes to its end one way or the other. */
			io_cancel(w->aio, iocb, &event);
			timeout = NULL;
		}
	} while (ret != 1);
	return event.res;
}

static void aio_read(struct work *w)
{
	u64 before_ns = rngq_now_ns();
	size_t size = any_size(w);
	struct iocb iocb;

	io_prep_pread(&iocb, w->fd, w->end - size, size, 0);
	note(w, before_ns, aio_complete(w, &iocb, NULL), MAY_SLEEP);
}

static void aio_poll(struct work *w)
{
	struct timespec soon = { .tv_nsec = pick(w->seed, 5) * NSEC_PER_MSEC };
	struct iocb iocb;

	io_prep_poll(&iocb, w->fd, POLLIN);
	if (aio_complete(w, &iocb, pick(w->seed, 4) ? NULL : &soon) > 0)
		read_nowait(w, 0);
}

static const struct way {
	const char *name;
	void (*go)(struct work *w);
	bool inexact;			/* how much was read can't be told */
} ways[] = {
	{ .name = "read", .go = plain },
	{ .name = "read, faulting", .go = faulting },
	{ .name = "read, bad address", .go = bad },
	{ .name = "readv", .go = vector },
	{ .name = "splice", .go = to_pipe },
	{ .name = "sendfile", .go = to_file, .inexact = true },
	{ .name = "poll", .go = by_poll },
	{ .name = "select", .go = by_select },
	{ .name = "epoll, level", .go = by_level },
	{ .name = "epoll, edge", .go = by_edge },
	{ .name = "io_uring read", .go = uring_read },
	{ .name = "io_uring poll", .go = uring_poll },
	{ .name = "AIO read", .go = aio_read },
	{ .name = "AIO poll", .go = aio_poll },
};

void *read_in_all_ways(void *racer)
{
	struct work w = { .racer = racer };

	w.client = w.racer->client;
	w.fd = w.client->fd;
	w.seed = &w.racer->seed;
	w.start = mmap(NULL, BUFFER_SIZE + 2 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	w.end = w.start + BUFFER_SIZE;
	w.null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (w.start == MAP_FAILED || mprotect(w.end, 2 * PAGE, PROT_NONE) ||
	    w.null < 0 || pipe2(w.pipe, O_CLOEXEC) || io_uring_queue_init(4, &w.ring, 0) ||
	    io_setup(4, &w.aio))
		bail_out("a reader has what it needs");

	w.racer->tid = gettid();
	while (!world->stop) {
		const struct way *way = &ways[pick(w.seed, ARRAY_SIZE(ways))];

		if (way->inexact && w.client != &world->clients[PREY])
			continue;
		w.racer->way = way->name;
		way->go(&w);
		hop(w.seed);
		/* Leave the others something of the CPUs. */
		if (pick(w.seed, 2))
			rngq_sleep_ms(pick(w.seed, 8));
	}
	w.racer->way = "none";

	io_destroy(w.aio);
	io_uring_queue_exit(&w.ring);
	close(w.pipe[0]);
	close(w.pipe[1]);
	close(w.null);
	munmap(w.start, BUFFER_SIZE + 2 * PAGE);
	return NULL;
}
