// SPDX-License-Identifier: GPL-2.0
/*
 * "All this is remembered for the process's life", and no longer: a process
 * that gets the number of a dead one is new. (That the memory goes as well is
 * module-leak.c's.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

#define ROUNDS		100
#define OTHERS		200
/* Long enough for whatever looks for dead processes. */
#define LATER_MS	3000

static u64 available(int fd)
{
	return rngq_client(fd, "available");
}

static void override_rate(int fd, const char *rate)
{
	if (rngq_client_write(fd, "rate_bytes", rate))
		bail_out("a client's rate can be set");
}

/* The dead one had closed everything. */
static void test_same_number(void)
{
	unsigned int wrong_quota = 0, wrong_fill = 0;
	struct opener first, second;
	int fd;

	rngq_set_default(100, HOUR_MS, 20, 30);
	for (int i = 0; i < ROUNDS; i++) {
		opener_start(&first);
		fd = opener_open(&first);
		override_rate(fd, "7");
		rngq_drain(fd);
		opener_close(&first, fd);
		opener_end(&first);

		opener_start_as(&second, first.pid);
		fd = opener_open(&second);
		wrong_quota += rngq_client(fd, "rate_bytes") != 100;
		wrong_fill += available(fd) != 150;
		opener_close(&second, fd);
		opener_end(&second);
	}
	is_u64(wrong_fill, 0, "%d times, the next with a number has a first fill", ROUNDS);
	is_u64(wrong_quota, 0, "and not the overrides of the one before");
}

/* A client of the dead one is still there. */
static void test_client_of_predecessor(void)
{
	struct opener first, second;
	int old, further, fd;

	rngq_set_default(100, HOUR_MS, 20, 30);
	rngq_set(1, "limits/max_clients_per_process");
	opener_start(&first);
	old = opener_open(&first);
	override_rate(old, "7");
	opener_end(&first);

	opener_start_as(&second, first.pid);
	fd = opener_try(&second, 0);
	if (!ok(fd >= 0, "clients of the one before don't count"))
		bail_out("the next with its number can open");
	is_u64(available(fd), 150, "the next with its number has a first fill");
	is_u64(rngq_client(fd, "rate_bytes"), 100, "and not its overrides");
	is_u64(rngq_client(old, "pid"), second.pid, "(both clients show that number)");
	further = opener_try(&second, 0);
	is_ret(further, -EMFILE, "its own clients count");
	rngq_drain(fd);
	close(old);
	is_ret(opener_try(&second, 0), -EMFILE,
	       "that the old client goes makes no room for it");
	fd = opener_reopen(&second, fd);
	is_u64(rngq_client(fd, "rate_bytes"), 100, "nor leaves it a quota");
	is_ret(rngq_take(fd, 1), -EAGAIN, "nor a bucket");
	opener_close(&second, fd);
	opener_end(&second);
}

/* Whoever lives is remembered, however long and whoever comes meanwhile. */
static void test_kept(void)
{
	struct opener opener, idle;
	int fd;

	rngq_set_default(100, HOUR_MS, 20, 30);
	opener_start(&opener);
	opener_start(&idle);
	fd = opener_open(&opener);
	override_rate(fd, "7");
	rngq_drain(fd);
	opener_close(&opener, fd);
	fd = opener_open(&idle);
	opener_close(&idle, fd);

	for (int i = 0; i < OTHERS; i++)
		close(rngq_open(0));
	rngq_sleep_ms(LATER_MS);
	for (int i = 0; i < OTHERS; i++)
		close(rngq_open(0));
	fd = opener_open(&opener);
	is_u64(rngq_client(fd, "rate_bytes"), 7,
	       "seconds and %d processes later the override holds", 2 * OTHERS);
	is_ret(rngq_take(fd, 1), -EAGAIN, "and the bucket is as empty as before");
	opener_close(&opener, fd);
	fd = opener_open(&idle);
	is_u64(available(fd), 150, "one that took nothing has all of it");
	opener_close(&idle, fd);
	opener_end(&opener);
	opener_end(&idle);
}

/* What a thread finds that goes on without its leader: the exit code. */
static void *run_without_leader(void *leader)
{
	int fd;

	if (pthread_join(*(pthread_t *)leader, NULL))
		_exit(10);
	fd = open(RNGQ_DEV, O_RDONLY);
	if (fd < 0 || rngq_drain(fd) != 150)
		_exit(11);
	close(fd);
	/* A child's death is what makes others look for dead processes. */
	for (int i = 0; i < OTHERS; i++)
		close(rngq_open(0));
	rngq_sleep_ms(LATER_MS);
	fd = open(RNGQ_DEV, O_RDONLY);
	_exit(fd >= 0 && rngq_take(fd, 1) == -EAGAIN ? 0 : 12);
}

/* A process lives as long as one of its threads does. */
static void test_leader_gone(void)
{
	pthread_t thread, leader;
	int status = -1;
	pid_t pid;

	rngq_set_default(100, HOUR_MS, 20, 30);
	pid = fork();
	if (!pid) {
		leader = pthread_self();
		if (pthread_create(&thread, NULL, run_without_leader, &leader))
			_exit(20);
		pthread_exit(NULL);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		bail_out("a child can be started");
	is_u64(WEXITSTATUS(status), 0, "a process goes on when its first thread has ended");
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients");

	rngq_keep_globals();
	test_same_number();
	test_kept();
	test_leader_gone();
	test_client_of_predecessor();
	is_u64(rngq_attr("stats/clients"), clients, "no client is left");
	return done_testing();
}
