// SPDX-License-Identifier: GPL-2.0
/* Linux AIO: reads and polls. */
#define _GNU_SOURCE
#include <errno.h>
#include <libaio.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rngq.h"

#define PERIOD_MS	200

static io_context_t context;

/* Submit @iocb, wait for its completion, and return what it says. */
static long complete(struct iocb *iocb)
{
	struct timespec timeout = { .tv_sec = 2 * LATE_MS / 1000 };
	struct iocb *iocbs[] = { iocb };
	struct io_event event;
	int ret;

	ret = io_submit(context, 1, iocbs);
	if (ret != 1)
		return ret;
	if (io_getevents(context, 1, 1, &event, &timeout) != 1)
		return -ETIMEDOUT;
	return event.res;
}

static void test_read(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0);
	char bytes[128];
	struct iovec iov[] = { { bytes, 10 }, { bytes + 10, 20 } };
	struct iocb iocb;
	u64 start_ns;

	io_prep_pread(&iocb, fd, bytes, 30, 0);
	is_ret(complete(&iocb), 30, "a read gets what it asked");
	io_prep_preadv(&iocb, fd, iov, 2, 0);
	is_ret(complete(&iocb), 30, "a vectored read too");
	io_prep_pread(&iocb, fd, bytes, sizeof(bytes), 0);
	is_ret(complete(&iocb), 40, "a read for more gets what is there");
	io_prep_pread(&iocb, fd, bytes, sizeof(bytes), 0);
	iocb.aio_rw_flags = RWF_NOWAIT;
	is_ret(complete(&iocb), -EAGAIN, "with RWF_NOWAIT an empty client gives EAGAIN");
	close(fd);

	fd = rngq_open_quota(0, 10, PERIOD_MS, 0);
	start_ns = rngq_now_ns();
	rngq_drain(fd);
	io_prep_pread(&iocb, fd, bytes, sizeof(bytes), 0);
	is_ret(complete(&iocb), 10, "a read of an empty client gets the next refill");
	ok(rngq_now_ns() - start_ns >= PERIOD_MS * NSEC_PER_MSEC, "not before it is there");
	close(fd);

	fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	rngq_drain(fd);
	io_prep_pread(&iocb, fd, bytes, sizeof(bytes), 0);
	is_ret(complete(&iocb), -EAGAIN, "with O_NONBLOCK it gives EAGAIN");
	close(fd);
}

static void test_poll(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, PERIOD_MS, 0);
	struct iocb iocb, *iocbs[] = { &iocb };
	struct io_event event;
	u64 start_ns;

	/* It may report what it was not asked for, hence the masks. */
	io_prep_poll(&iocb, fd, POLLIN);
	is_ret(complete(&iocb) & ~POLLRDNORM, POLLIN, "a poll of a full client completes");
	for (int round = 0; round < 3; round++) {
		start_ns = rngq_now_ns();
		if (rngq_drain(fd) == 0)
			break;
		io_prep_poll(&iocb, fd, POLLIN);
		is_ret(complete(&iocb) & ~POLLRDNORM, POLLIN,
		       "a poll of an empty one completes");
		if (!round)
			ok(rngq_now_ns() - start_ns >= PERIOD_MS * NSEC_PER_MSEC,
			   "not before the refill");
	}

	rngq_set_quota(fd, 10, HOUR_MS, 0);
	rngq_drain(fd);
	io_prep_poll(&iocb, fd, POLLIN);
	if (io_submit(context, 1, iocbs) != 1)
		bail_out("a poll can be submitted");
	io_cancel(context, &iocb, &event);
	is_ret(io_getevents(context, 1, 1, &event,
			    &(struct timespec){ .tv_sec = LATE_MS / 1000 }),
	       1, "a poll that waits can be cancelled");
	close(fd);
}

int main(void)
{
	int ret = io_setup(8, &context);

	if (ret) {
		errno = -ret;
		bail_out("io_setup() works");
	}
	test_read();
	test_poll();
	io_destroy(context);
	return done_testing();
}
