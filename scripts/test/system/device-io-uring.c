// SPDX-License-Identifier: GPL-2.0
/* io_uring: reads, polls, cancelling. QEMU from 10.2 on polls like this. */
#define _GNU_SOURCE
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

#define PERIOD_MS	200
#define SIGNALS_MS	3000
#define NO_COMPLETION	(-ETIME)

static struct io_uring ring;

static struct io_uring_sqe *prepare(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe)
		bail_out("the ring has room");
	return sqe;
}

/* What the next completion says, NO_COMPLETION if there is none in time. */
static int completion_within(u64 ms)
{
	struct __kernel_timespec timeout = {
		.tv_sec = ms / 1000,
		.tv_nsec = ms % 1000 * NSEC_PER_MSEC,
	};
	struct io_uring_cqe *cqe;
	int ret;

	ret = io_uring_wait_cqe_timeout(&ring, &cqe, &timeout);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

static int complete(void)
{
	io_uring_submit(&ring);
	return completion_within(LATE_MS);
}

static void submit_read(int fd, void *bytes, size_t size, int rw_flags,
			unsigned int sqe_flags)
{
	struct io_uring_sqe *sqe = prepare();

	io_uring_prep_read(sqe, fd, bytes, size, -1);
	sqe->rw_flags = rw_flags;
	io_uring_sqe_set_flags(sqe, sqe_flags);
	io_uring_submit(&ring);
}

static void test_read_available(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0);
	char bytes[128];
	struct iovec iov[] = { { bytes, 10 }, { bytes + 10, 20 } };

	submit_read(fd, bytes, 30, 0, 0);
	is_ret(completion_within(LATE_MS), 30, "a read gets what it asked");
	io_uring_prep_readv(prepare(), fd, iov, 2, -1);
	is_ret(complete(), 30, "a vectored read too");
	submit_read(fd, bytes, 10, 0, IOSQE_ASYNC);
	is_ret(completion_within(LATE_MS), 10, "a read by a worker too");
	submit_read(fd, bytes, 10, RWF_NOWAIT, 0);
	is_ret(completion_within(LATE_MS), 10, "a read with RWF_NOWAIT too");
	submit_read(fd, bytes, sizeof(bytes), 0, 0);
	is_ret(completion_within(LATE_MS), 20, "a read for more gets what is there");
	submit_read(fd, bytes, 0, 0, 0);
	is_ret(completion_within(LATE_MS), 0, "a read for nothing gets 0");
	submit_read(fd, bytes, 10, RWF_NOWAIT, 0);
	is_ret(completion_within(LATE_MS), -EAGAIN,
	       "with RWF_NOWAIT an empty client gives EAGAIN");
	is_u64(rngq_client(fd, "bytes"), 100, "its bytes were counted once");
	close(fd);
}

static void test_read_waits(int flags, unsigned int sqe_flags, const char *name)
{
	int fd = rngq_open_quota(flags, 10, PERIOD_MS, 0);
	char bytes[64];
	u64 start_ns;

	start_ns = rngq_now_ns();
	rngq_drain(fd);
	submit_read(fd, bytes, sizeof(bytes), 0, sqe_flags);
	is_ret(completion_within(LATE_MS), 10, "%s waits for the refill", name);
	is_between(rngq_now_ns() - start_ns, PERIOD_MS * NSEC_PER_MSEC,
		   (PERIOD_MS + LATE_MS) * NSEC_PER_MSEC, "it was not early");
	for (int i = 0; i < 3; i++) {
		submit_read(fd, bytes, sizeof(bytes), 0, sqe_flags);
		is_ret(completion_within(LATE_MS), 10, "and the next one for the next");
	}
	close(fd);
}

static void test_nonblock_nowait(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	char byte;

	rngq_drain(fd);
	submit_read(fd, &byte, 1, RWF_NOWAIT, 0);
	is_ret(completion_within(LATE_MS), -EAGAIN,
	       "with O_NONBLOCK and RWF_NOWAIT it gets EAGAIN");
	submit_read(fd, &byte, 1, 0, 0);
	is_ret(completion_within(50), NO_COMPLETION, "with O_NONBLOCK alone it waits");
	rngq_set_quota(fd, RNGQ_MAX, 1000, 0);
	is_ret(completion_within(LATE_MS), 1, "until there is something");
	close(fd);
}

static void test_poll(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, PERIOD_MS, 0);
	u64 start_ns;

	io_uring_prep_poll_add(prepare(), fd, POLLIN | POLLOUT);
	is_ret(complete(), POLLIN, "a poll of a full client completes");
	for (int round = 0; round < 4; round++) {
		start_ns = rngq_now_ns();
		/* As QEMU does: read what there is, never see EAGAIN, poll again. */
		if (rngq_take(fd, 20) != 10)
			break;
		io_uring_prep_poll_add(prepare(), fd, POLLIN | POLLOUT);
		is_ret(complete(), POLLIN, "a poll of an empty one completes at its refill");
		if (!round)
			ok(rngq_now_ns() - start_ns >= PERIOD_MS * NSEC_PER_MSEC,
			   "not before it");
	}
	close(fd);

	fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	rngq_drain(fd);
	io_uring_prep_poll_add(prepare(), fd, POLLIN);
	io_uring_submit(&ring);
	is_ret(completion_within(50), NO_COMPLETION,
	       "a poll of an empty client does not complete before the refill");
	/* These give it no byte, so none of them may wake it. */
	rngq_set_quota(fd, 20, HOUR_MS, 5);
	is_ret(completion_within(50), NO_COMPLETION, "nor by a quota that gives nothing yet");
	rngq_set_quota(fd, RNGQ_MAX, 1000, 0);
	is_ret(completion_within(LATE_MS), POLLIN, "but by one without a limit");
	close(fd);
}

static void test_poll_multishot(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 10, PERIOD_MS, 0);
	struct io_uring_sqe *sqe = prepare();

	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	sqe->user_data = 1;
	is_ret(complete(), POLLIN, "a multishot poll reports a full client");
	for (int round = 0; round < 3; round++) {
		if (rngq_drain(fd) == 0)
			break;
		is_ret(completion_within(LATE_MS), POLLIN, "and each of its refills");
	}
	io_uring_prep_poll_remove(prepare(), 1);
	io_uring_submit(&ring);
	/* Its own completion, and that of the removal, in whatever order. */
	is_ret(completion_within(LATE_MS) + completion_within(LATE_MS), -ECANCELED,
	       "until it is removed");
	close(fd);
}

static void test_cancel(unsigned int sqe_flags, const char *name)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0), results[2];
	char bytes[16] = "";
	struct io_uring_sqe *sqe;

	rngq_drain(fd);
	sqe = prepare();
	io_uring_prep_read(sqe, fd, bytes, sizeof(bytes), -1);
	io_uring_sqe_set_flags(sqe, sqe_flags);
	sqe->user_data = 1;
	io_uring_submit(&ring);
	is_ret(completion_within(50), NO_COMPLETION, "%s waits", name);
	io_uring_prep_cancel64(prepare(), 1, 0);
	io_uring_submit(&ring);
	for (int i = 0; i < 2; i++)
		results[i] = completion_within(LATE_MS);
	ok(results[0] == -ECANCELED || results[1] == -ECANCELED ||
	   results[0] == -EINTR || results[1] == -EINTR,
	   "and can be cancelled (%d, %d)", results[0], results[1]);
	rngq_set_quota(fd, 10, 1, 0);
	is_ret(read(fd, bytes, sizeof(bytes)), 10, "the next refill is for the next read");
	is_u64(rngq_client(fd, "bytes"), 20, "the cancelled one took nothing");
	close(fd);
}

/* A process that ends with a read in its ring: the ring must let go. */
static void test_exit_while_waiting(unsigned int sqe_flags, const char *name)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0), status = -1;
	u64 id = rngq_id(fd), give_up_ms;
	char byte, text[32];
	pid_t pid;

	rngq_drain(fd);
	pid = fork();
	if (!pid) {
		struct io_uring_sqe *sqe;

		io_uring_queue_init(4, &ring, 0);
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_read(sqe, fd, &byte, 1, -1);
		io_uring_sqe_set_flags(sqe, sqe_flags);
		io_uring_submit(&ring);
		usleep(20000);
		_exit(0);
	}
	close(fd);
	is_ret(waitpid(pid, &status, 0), pid, "a process with %s ends", name);
	/* The kernel takes rings down from a worker. */
	give_up_ms = rngq_now_ms() + LATE_MS;
	while (rngq_attr_read(text, sizeof(text), "clients/%llu/bytes", id) > 0 &&
	       rngq_now_ms() < give_up_ms)
		rngq_sleep_ms(5);
	is_ret(rngq_attr_read(text, sizeof(text), "clients/%llu/bytes", id), -ENOENT,
	       "and its client too");
}

static atomic_bool is_over;

static void change_mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(how, &set, NULL);
}

static void *send_signals(void *unused)
{
	while (!is_over)
		kill(getpid(), SIGUSR1);
	return unused;
}

/* It has no worker yet, and the signals are for it: the other threads block them. */
static void *read_by_new_worker(void *fd)
{
	struct io_uring own;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	char byte;
	long ret;

	change_mask(SIG_UNBLOCK);
	ret = io_uring_queue_init(4, &own, 0);
	if (ret)
		return (void *)ret;
	sqe = io_uring_get_sqe(&own);
	io_uring_prep_read(sqe, *(int *)fd, &byte, 1, -1);
	io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	io_uring_submit(&own);
	while (io_uring_wait_cqe(&own, &cqe))
		;
	ret = cqe->res;
	io_uring_queue_exit(&own);
	return (void *)ret;
}

/*
 * A worker is a thread that the task itself makes. If signals stop it four times,
 * io_uring gives up and cancels what the worker should have done: of any file, as a
 * pipe shows. debug-races accepts that.
 */
static void read_under_signals(int fd, const char *name, u64 *bytes)
{
	u64 give_up_ms = rngq_now_ms() + SIGNALS_MS;
	unsigned int cancelled = 0, wrong = 0;
	pthread_t sender, thread;
	void *ret;

	*bytes = 0;
	change_mask(SIG_BLOCK);
	is_over = false;
	pthread_create(&sender, NULL, send_signals, NULL);
	while (rngq_now_ms() < give_up_ms) {
		pthread_create(&thread, NULL, read_by_new_worker, &fd);
		pthread_join(thread, &ret);
		*bytes += (long)ret == 1;
		cancelled += (long)ret == -ECANCELED;
		wrong += (long)ret != 1 && (long)ret != -ECANCELED;
	}
	is_over = true;
	pthread_join(sender, NULL);
	change_mask(SIG_UNBLOCK);
	is_u64(wrong, 0, "workers that signals hinder read %s, or are cancelled", name);
	diag("%llu were read, %u cancelled", *bytes, cancelled);
}

static void test_signals(void)
{
	int fd = rngq_open_quota(0, 1000000, HOUR_MS, 0), ends[2];
	char bytes[4096] = "";
	u64 count;

	reader_handle_signals();
	if (pipe(ends) || write(ends[1], bytes, sizeof(bytes)) != sizeof(bytes))
		bail_out("a pipe can be filled");
	read_under_signals(ends[0], "a pipe", &count);
	read_under_signals(fd, "the device", &count);
	is_u64(rngq_client(fd, "bytes"), count, "and no byte is lost");
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

int main(void)
{
	int ret = io_uring_queue_init(16, &ring, 0);

	if (ret) {
		errno = -ret;
		bail_out("an io_uring can be made");
	}
	test_read_available();
	test_read_waits(0, 0, "a read");
	test_read_waits(O_NONBLOCK, 0, "a read with O_NONBLOCK");
	test_read_waits(0, IOSQE_ASYNC, "a read by a worker");
	test_nonblock_nowait();
	test_poll();
	test_poll_multishot();
	test_cancel(0, "a read");
	test_cancel(IOSQE_ASYNC, "a worker's read");
	test_exit_while_waiting(0, "a read in its ring");
	test_exit_while_waiting(IOSQE_ASYNC, "a worker's read");
	test_signals();
	io_uring_queue_exit(&ring);
	return done_testing();
}
