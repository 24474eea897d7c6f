// SPDX-License-Identifier: GPL-2.0
/* splice() and sendfile() out of a client. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

#define PERIOD_MS	200

static ssize_t splice_to(int fd, int pipe, size_t size, unsigned int flags)
{
	ssize_t count = splice(fd, NULL, pipe, NULL, size, flags);

	return count < 0 ? -errno : count;
}

static ssize_t send_to(int out, int fd, size_t size)
{
	ssize_t count = sendfile(out, fd, NULL, size);

	return count < 0 ? -errno : count;
}

static void open_pipe(int pipes[2])
{
	if (pipe(pipes))
		bail_out("a pipe can be made");
}

static void close_pipe(int pipes[2])
{
	close(pipes[0]);
	close(pipes[1]);
}

static void test_splice(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0), pipes[2];
	static const char zeros[30];
	char bytes[128] = "";

	open_pipe(pipes);
	is_ret(splice_to(fd, pipes[1], 30, 0), 30, "splice() moves what it was asked");
	is_ret(read(pipes[0], bytes, sizeof(bytes)), 30, "which comes out of the pipe");
	ok(memcmp(bytes, zeros, sizeof(zeros)), "and is not zeros");
	is_u64(rngq_client(fd, "available"), 70, "it took so much from the bucket");
	is_ret(splice_to(fd, pipes[1], 4096, 0), 70,
	       "splice() of more moves what is there, without waiting");
	is_ret(read(pipes[0], bytes, sizeof(bytes)), 70, "which comes out of the pipe");
	is_u64(rngq_client(fd, "bytes"), 100, "all of it was counted");
	is_u64(rngq_client(fd, "reads"), 2, "as two reads");
	is_ret(splice_to(fd, pipes[1], 0, 0), 0, "splice() of nothing gives 0");
	close_pipe(pipes);
	close(fd);
}

static void test_splice_waits(void)
{
	int fd = rngq_open_quota(0, 10, PERIOD_MS, 0), pipes[2];
	u64 start_ns;

	open_pipe(pipes);
	start_ns = rngq_now_ns();
	rngq_drain(fd);
	is_ret(splice_to(fd, pipes[1], 4096, 0), 10, "splice() waits for an empty client");
	ok(rngq_now_ns() - start_ns >= PERIOD_MS * NSEC_PER_MSEC, "not before the refill");
	close(fd);

	fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	is_ret(splice_to(fd, pipes[1], 4096, 0), 10, "with O_NONBLOCK it moves what is there");
	is_ret(splice_to(fd, pipes[1], 4096, 0), -EAGAIN,
	       "with O_NONBLOCK an empty client gives EAGAIN");
	close_pipe(pipes);
	close(fd);
}

/* What does not fit must not be paid for. */
static void test_splice_full_pipe(void)
{
	const u64 quota = 1 << 20;
	int fd = rngq_open_quota(0, quota, HOUR_MS, 0), pipes[2];
	ssize_t count;

	open_pipe(pipes);
	count = splice_to(fd, pipes[1], quota, 0);
	ok(count > 0 && count < (ssize_t)quota,
	   "splice() fills the pipe (%zd bytes) and returns", count);
	is_u64(rngq_client(fd, "available"), quota - count,
	       "what did not fit is still in the bucket");
	is_ret(splice_to(fd, pipes[1], quota, SPLICE_F_NONBLOCK), -EAGAIN,
	       "a full pipe gives EAGAIN");
	is_u64(rngq_client(fd, "available"), quota - count, "and takes nothing");
	is_u64(rngq_client(fd, "bytes"), count, "and counts nothing");
	close_pipe(pipes);
	close(fd);
}

static void test_sendfile(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, 100, HOUR_MS, 0), sockets[2], file;
	char bytes[128];

	file = memfd_create("sendfile", 0);
	if (file < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		bail_out("a file and a socket can be made");
	is_ret(send_to(file, fd, 30), 30, "sendfile() to a file moves what it was asked");
	is_ret(pread(file, bytes, sizeof(bytes), 0), 30, "which is in the file then");
	is_ret(send_to(sockets[0], fd, 30), 30, "to a socket too");
	is_ret(read(sockets[1], bytes, sizeof(bytes)), 30, "which comes out there");
	is_ret(send_to(file, fd, 1000), 40, "sendfile() of more moves what is there");
	is_ret(send_to(file, fd, 1000), -EAGAIN, "an empty client gives EAGAIN");
	is_u64(rngq_client(fd, "bytes"), 100, "all of it was counted");
	close(sockets[0]);
	close(sockets[1]);
	close(fd);

	/* Without O_NONBLOCK it goes on until it has all, as from a pipe. */
	fd = rngq_open_quota(0, 10, PERIOD_MS, 0);
	u64 start_ns = rngq_now_ns(), got = 0;

	while (got < 30) {
		ssize_t count = send_to(file, fd, 30 - got);

		if (count <= 0)
			break;
		got += count;
	}
	is_u64(got, 30, "without O_NONBLOCK sendfile() waits for what is missing");
	ok(rngq_now_ns() - start_ns >= 2 * PERIOD_MS * NSEC_PER_MSEC,
	   "not before two refills");
	close(file);
	close(fd);
}

int main(void)
{
	test_splice();
	test_splice_waits();
	test_splice_full_pipe();
	test_sendfile();
	return done_testing();
}
