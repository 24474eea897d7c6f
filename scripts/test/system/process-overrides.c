// SPDX-License-Identifier: GPL-2.0
/*
 * "with each override last written for one of its clients, so that reopening
 * does not shake off a quota": for the process's life, across exec, and for no
 * other process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

/* What the program is called with to go on behind an exec. */
#define AFTER_EXEC	"after-exec"

static void override(int fd, const char *name, const char *value)
{
	if (rngq_client_write(fd, name, value))
		bail_out("a client's %s can be set to %s", name, value);
}

static void is_quota(int fd, u64 rate_bytes, u64 period_ms, u64 burst_bytes,
		     const char *overrides, const char *what)
{
	char text[128];

	rngq_attr_read(text, sizeof(text), "clients/%llu/overrides", rngq_id(fd));
	is_str(text, overrides, "%s: overrides", what);
	is_u64(rngq_client(fd, "rate_bytes"), rate_bytes, "%s: rate_bytes", what);
	is_u64(rngq_client(fd, "period_ms"), period_ms, "%s: period_ms", what);
	is_u64(rngq_client(fd, "burst_bytes"), burst_bytes, "%s: burst_bytes", what);
}

static void test_sticks(void)
{
	struct opener opener;
	int fd;

	rngq_set_default(100, HOUR_MS, 20, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	override(fd, "rate_bytes", "10");
	fd = opener_reopen(&opener, fd);
	is_quota(fd, 10, HOUR_MS, 20, "rate_bytes\n", "opened again");
	is_u64(rngq_drain(fd), 30, "and that is what it may read");
	override(fd, "burst_bytes", "5");
	fd = opener_reopen(&opener, fd);
	is_quota(fd, 10, HOUR_MS, 5, "rate_bytes burst_bytes\n", "a second one");

	rngq_set_default(200, HOUR_MS - 1, 40, 0);
	is_quota(fd, 10, HOUR_MS - 1, 5, "rate_bytes burst_bytes\n",
		 "the default changed");
	opener_close(&opener, fd);
	rngq_set_default(300, HOUR_MS - 2, 60, 0);
	fd = opener_open(&opener);
	is_quota(fd, 10, HOUR_MS - 2, 5, "rate_bytes burst_bytes\n",
		 "changed while nothing was open");

	override(fd, "rate_bytes", "default");
	fd = opener_reopen(&opener, fd);
	is_quota(fd, 300, HOUR_MS - 2, 5, "burst_bytes\n", "default written");
	is_ret(rngq_client_write(fd, "burst_bytes", "none"), -EINVAL,
	       "(write what is refused)");
	override(fd, "period_ms", "5000");
	override(fd, "burst_bytes", "default");
	fd = opener_reopen(&opener, fd);
	is_quota(fd, 300, 5000, 60, "period_ms\n", "for another setting");
	override(fd, "period_ms", "default");
	fd = opener_reopen(&opener, fd);
	is_quota(fd, 300, HOUR_MS - 2, 60, "none\n", "for the last");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* A client that has no limit, and its successor. */
static void test_unlimited(void)
{
	struct opener opener;
	int fd;

	rngq_set_default(100, HOUR_MS, 0, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	rngq_drain(fd);
	override(fd, "rate_bytes", "max");
	fd = opener_reopen(&opener, fd);
	is_u64(rngq_client(fd, "available"), RNGQ_MAX, "no limit, opened again");
	is_ret(rngq_take(fd, 5000), 5000, "and so it reads");
	opener_close(&opener, fd);
	opener_end(&opener);

	rngq_set_default(RNGQ_MAX, HOUR_MS, 0, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	override(fd, "rate_bytes", "7");
	is_u64(rngq_drain(fd), 7, "(from max to a limit: full)");
	for (int i = 0; i < 3; i++)
		fd = opener_reopen(&opener, fd);
	is_ret(rngq_take(fd, 1), -EAGAIN,
	       "nobody gets rid of a limit by opening again");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* Of two clients, who was written last counts, a setting at a time. */
static void test_last_written(void)
{
	int first, second, next;
	struct opener opener;

	rngq_set_default(100, HOUR_MS, 20, 0);
	opener_start(&opener);
	first = opener_open(&opener);
	second = opener_open(&opener);
	override(first, "rate_bytes", "11");
	is_quota(second, 100, HOUR_MS, 20, "none\n",
		 "a client that is open already");
	override(second, "rate_bytes", "12");
	override(second, "burst_bytes", "2");
	override(first, "period_ms", "5000");
	is_quota(first, 11, 5000, 20, "rate_bytes period_ms\n", "the first");
	next = opener_open(&opener);
	is_quota(next, 12, 5000, 2, "rate_bytes period_ms burst_bytes\n",
		 "opened beside them");
	override(first, "rate_bytes", "13");
	opener_close(&opener, first);
	opener_close(&opener, second);
	next = opener_reopen(&opener, next);
	is_quota(next, 13, 5000, 2, "rate_bytes period_ms burst_bytes\n",
		 "not who was closed last but who was written last");

	first = opener_open(&opener);
	override(first, "rate_bytes", "default");
	is_quota(next, 13, 5000, 2, "rate_bytes period_ms burst_bytes\n",
		 "default was written for another");
	next = opener_reopen(&opener, next);
	is_quota(next, 100, 5000, 2, "period_ms burst_bytes\n",
		 "default was written last");
	opener_close(&opener, first);
	opener_close(&opener, next);
	opener_end(&opener);
}

/* "A new process is new" */
static void test_others(void)
{
	struct opener opener;
	int fd, other;
	pid_t pid;

	rngq_set_default(100, HOUR_MS, 20, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	override(fd, "rate_bytes", "10");
	other = rngq_open(0);
	is_quota(other, 100, HOUR_MS, 20, "none\n", "another process");
	is_u64(rngq_client(other, "available"), 120, "and its bucket is full");
	close(other);
	opener_close(&opener, fd);
	opener_end(&opener);

	/* This process is the parent then. */
	fd = open(RNGQ_DEV, O_RDONLY);
	override(fd, "rate_bytes", "10");
	rngq_drain(fd);
	pid = fork();
	if (!pid) {
		int own = open(RNGQ_DEV, O_RDONLY);
		bool new = rngq_client(own, "available") == 120;

		override(own, "rate_bytes", "50");
		override(own, "burst_bytes", "50");
		close(own);
		/* The last act of a child that has inherited: nobody's gain. */
		close(fd);
		_exit(!new);
	}
	other = -1;
	if (pid < 0 || waitpid(pid, &other, 0) != pid)
		bail_out("a child can be started");
	is_u64(other, 0, "a child of fork() has a first fill, without the overrides");
	close(fd);
	fd = open(RNGQ_DEV, O_RDONLY);
	is_quota(fd, 10, HOUR_MS, 20, "rate_bytes\n",
		 "the parent, whatever its child was given");
	is_ret(rngq_take(fd, 1), -EAGAIN, "and it is as empty as before");
	override(fd, "rate_bytes", "default");
	close(fd);
}

static noreturn void exec_self(int inherited)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", inherited);
	execl("/proc/self/exe", "process-overrides", AFTER_EXEC, number, NULL);
	_exit(255);
}

static void *exec_in_thread(void *inherited)
{
	exec_self(*(int *)inherited);
}

/*
 * Behind the exec: the exit code tells. @inherited is a client from before, and
 * another was closed then, with 55 bytes left.
 */
static int after_exec(int inherited)
{
	int fd = open(RNGQ_DEV, O_RDONLY), further = open(RNGQ_DEV, O_RDONLY);
	char text[128];

	if (fd < 0 || further < 0)
		return 10;
	if (rngq_attr_read(text, sizeof(text), "clients/%llu/overrides",
			   rngq_id(fd)) < 0 ||
	    strcmp(text, "rate_bytes\n"))
		return 11;
	if (rngq_client(fd, "rate_bytes") != 60)
		return 12;
	if (rngq_client(fd, "available") != 55)
		return 13;
	if (rngq_client(further, "available"))
		return 14;
	if (rngq_client(inherited, "available"))
		return 15;
	return 0;
}

static int run_before_exec(bool in_thread)
{
	int first = open(RNGQ_DEV, O_RDONLY), second = open(RNGQ_DEV, O_RDONLY);
	pthread_t thread;

	override(first, "rate_bytes", "60");
	/* Cut to 80 by the override; 55 are to be left. */
	if (rngq_take(first, 25) != 25)
		return 22;
	close(first);
	if (!in_thread)
		exec_self(second);
	if (pthread_create(&thread, NULL, exec_in_thread, &second))
		return 20;
	pthread_join(thread, NULL);
	return 21;
}

static void test_exec(bool in_thread, const char *name)
{
	int status = -1;
	pid_t pid;

	rngq_set_default(100, HOUR_MS, 20, 0);
	pid = fork();
	if (!pid)
		_exit(run_before_exec(in_thread));
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		bail_out("a child can be started");
	is_u64(WEXITSTATUS(status), 0, "%s", name);
}

int main(int argc, char **argv)
{
	u64 clients = rngq_attr("stats/clients");

	if (argc == 3 && !strcmp(argv[1], AFTER_EXEC))
		return after_exec(atoi(argv[2]));

	rngq_keep_globals();
	test_sticks();
	test_unlimited();
	test_last_written();
	test_others();
	test_exec(false, "exec changes nothing");
	test_exec(true, "nor does exec by another thread than the first");
	is_u64(rngq_attr("stats/clients"), clients, "no client is left");
	return done_testing();
}
