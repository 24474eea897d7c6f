// SPDX-License-Identifier: GPL-2.0
/* Reads that ask for very much at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rngq.h"

#define GIB	(1024 * 1024 * 1024ULL)
#define QUOTA	(1024 * GIB)

static char *area;	/* 3 GiB of which only what is touched takes memory */

struct large_read {
	int fd;
	ssize_t result;
};

static void *read_large(void *argument)
{
	struct large_read *large = argument;

	large->result = read(large->fd, area, GIB);
	if (large->result < 0)
		large->result = -errno;
	return NULL;
}

static void handle(int signal)
{
	(void)signal;
}

/*
 * Return once the client of @fd, which had QUOTA, is in the midst of its large
 * read. Its count of bytes doesn't tell: a read counts when it ends.
 */
static void wait_begun(int fd)
{
	u64 give_up_ms = rngq_now_ms() + LATE_MS;

	while (rngq_client(fd, "available") > QUOTA - 65536)
		if (rngq_now_ms() > give_up_ms)
			bail_out("a large read begins");
}

static void test_small_quota(void)
{
	int fd = rngq_open_quota(0, 1000, HOUR_MS, 0);

	is_ret(read(fd, area, GIB), 1000, "1 GiB asked of a small quota gives what is there");
	is_ret(rngq_read_nowait(fd, area, GIB), -EAGAIN, "and then nothing");
	close(fd);

	fd = rngq_open_quota(0, 5000, HOUR_MS, 0);
	is_ret(read(fd, area, 3 * GIB), 5000, "so do 3 GiB, more than a read can be");
	close(fd);
}

static void test_whole(void)
{
	const size_t size = 8 << 20;
	int fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0);

	is_ret(rngq_read_nowait(fd, area, size), size,
	       "8 MiB are given whole, even to a read that must not wait");
	is_u64(rngq_client(fd, "available"), QUOTA - size, "and taken once");
	is_u64(rngq_client(fd, "reads"), 1, "it is one read");
	close(fd);
}

static void test_interrupted(void)
{
	struct sigaction action = { .sa_handler = handle };
	struct large_read large = { .fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0) };
	pthread_t thread;
	u64 sent_ms;

	sigaction(SIGUSR1, &action, NULL);
	if (pthread_create(&thread, NULL, read_large, &large))
		bail_out("a thread can be started");
	wait_begun(large.fd);
	sent_ms = rngq_now_ms();
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	ok(rngq_now_ms() - sent_ms < LATE_MS, "a signal ends a read of 1 GiB soon");
	ok(large.result > 0 && large.result < (ssize_t)GIB,
	   "which returns what it has (%zd bytes)", large.result);
	is_u64(rngq_client(large.fd, "bytes"), large.result, "so much was counted");
	is_u64(rngq_client(large.fd, "available"), QUOTA - large.result,
	       "and so much was taken");
	close(large.fd);
}

static void test_killed(void)
{
	int fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0), status;
	u64 killed_ms;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(read(fd, area, GIB) > 0);
	wait_begun(fd);
	killed_ms = rngq_now_ms();
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && rngq_now_ms() - killed_ms < LATE_MS,
	   "a process in a read of 1 GiB can be killed");
	is_u64(rngq_client(fd, "available") + rngq_client(fd, "bytes"), QUOTA,
	       "bytes and what is left add up to the quota");
	close(fd);
}

int main(void)
{
	area = mmap(NULL, 3 * GIB, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		bail_out("3 GiB can be mapped");
	test_small_quota();
	test_whole();
	test_interrupted();
	test_killed();
	return done_testing();
}
