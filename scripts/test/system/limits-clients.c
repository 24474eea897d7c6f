// SPDX-License-Identifier: GPL-2.0
/*
 * limits/max_clients and limits/max_clients_per_process: who is refused, with
 * which errno, who counts, and that stats/refused counts just these.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

#define RACERS		6
#define RACE_PLACES	3
#define RACES		100

/* What must add up, as it was at first. */
static u64 clients, opens, refused;

static void note_stats(void)
{
	clients = rngq_attr("stats/clients");
	opens = rngq_attr("stats/opens");
	refused = rngq_attr("stats/refused");
}

static void is_stats(u64 now, u64 opened, u64 were_refused, const char *when)
{
	is_u64(rngq_attr("stats/clients") - clients, now, "stats/clients %s", when);
	is_u64(rngq_attr("stats/opens") - opens, opened, "stats/opens %s", when);
	is_u64(rngq_attr("stats/refused") - refused, were_refused,
	       "stats/refused %s", when);
}

static void set_limits(u64 all, u64 per_process)
{
	rngq_set(all, "limits/max_clients");
	rngq_set(per_process, "limits/max_clients_per_process");
}

static void test_per_process(void)
{
	struct opener opener, other;
	int fds[3], fd;

	note_stats();
	set_limits(RNGQ_MAX, 3);
	opener_start(&opener);
	opener_start(&other);
	for (int i = 0; i < 3; i++)
		fds[i] = opener_open(&opener);
	is_ret(opener_try(&opener, 0), -EMFILE, "the fourth of three gets EMFILE");
	is_ret(opener_try(&opener, O_NONBLOCK), -EMFILE, "without waiting, too");
	is_stats(3, 3, 2, "with two refused");
	fd = opener_open(&other);
	is_stats(4, 4, 2, "with another process's client");
	opener_close(&other, fd);
	for (int i = 0; i < 3; i++)
		fds[i] = opener_reopen(&opener, fds[i]);
	is_ret(opener_try(&opener, 0), -EMFILE, "who closes makes room for one");
	is_stats(3, 7, 3, "with three refused");

	fd = dup(fds[0]);
	opener_close(&opener, fds[0]);
	is_ret(opener_try(&opener, 0), -EMFILE, "a client counts while a copy is open");
	close(fd);
	fds[0] = opener_open(&opener);
	for (int i = 0; i < 20; i++)
		close(dup(fds[0]));
	opener_close(&opener, fds[1]);
	fd = dup(fds[0]);
	fds[1] = opener_try(&opener, 0);
	ok(fds[1] >= 0, "copies don't count");
	close(fd);
	for (int i = 0; i < 3; i++)
		opener_close(&opener, fds[i]);
	opener_end(&opener);
	opener_end(&other);
	is_stats(0, 9, 4, "when all are closed");
}

/* "clients that the process opened and that still exist, wherever" */
static void test_wherever(void)
{
	struct opener opener, other;
	int fd, status = -1, until[2];
	struct keeper keeper;
	pid_t pid;
	char byte;

	keeper_start(&keeper);
	note_stats();
	set_limits(RNGQ_MAX, 1);
	opener_start(&opener);
	opener_start(&other);
	fd = opener_open(&opener);
	keeper_give(&keeper, fd);
	opener_close(&opener, fd);
	is_ret(opener_try(&opener, 0), -EMFILE, "a client that was handed over counts");
	fd = opener_open(&other);
	ok(fd >= 0, "and not for a third process");
	opener_close(&other, fd);
	keeper_drop(&keeper);
	fd = opener_open(&opener);
	is_stats(1, 3, 1, "when the receiver has closed");

	/* Inherited, and kept by the child. */
	if (pipe(until))
		bail_out("there are pipes");
	pid = fork();
	if (!pid) {
		int own;

		close(until[1]);
		own = open(RNGQ_DEV, O_RDONLY);
		_exit(own < 0 || read(until[0], &byte, 1) != 0);
	}
	if (pid < 0)
		bail_out("a child can be forked");
	opener_close(&opener, fd);
	is_ret(opener_try(&opener, 0), -EMFILE, "one that a child has inherited counts");
	close(until[1]);
	if (waitpid(pid, &status, 0) != pid)
		bail_out("a child ends");
	is_u64(status, 0, "but not for the child");
	close(until[0]);
	fd = opener_open(&opener);
	is_stats(1, 5, 2, "when the child has ended");
	opener_close(&opener, fd);
	opener_end(&opener);
	opener_end(&other);
	keeper_end(&keeper);
	is_stats(0, 5, 2, "in the end");
}

static void test_lowering(void)
{
	struct opener opener;
	int fds[3];

	rngq_set_default(100, 1, 0, 0);
	note_stats();
	set_limits(RNGQ_MAX, 3);
	opener_start(&opener);
	for (int i = 0; i < 3; i++)
		fds[i] = opener_open(&opener);
	set_limits(RNGQ_MAX, 1);
	is_stats(3, 3, 0, "when the limit falls: nobody is closed");
	for (int i = 0; i < 3; i++) {
		char bytes[10];

		is_ret(read(fds[i], bytes, sizeof(bytes)), sizeof(bytes),
		       "client %d of three goes on under a limit of one", i + 1);
	}
	is_ret(opener_try(&opener, 0), -EMFILE, "a new one is refused");
	opener_close(&opener, fds[0]);
	is_ret(opener_try(&opener, 0), -EMFILE, "with two left, too");
	opener_close(&opener, fds[1]);
	is_ret(opener_try(&opener, 0), -EMFILE, "and with one");
	set_limits(RNGQ_MAX, 2);
	fds[0] = opener_open(&opener);
	is_stats(2, 4, 3, "when it rises: one more at once");
	is_ret(opener_try(&opener, 0), -EMFILE, "and no second");
	set_limits(RNGQ_MAX, RNGQ_MAX);
	fds[1] = opener_open(&opener);
	set_limits(clients + 1, RNGQ_MAX);
	is_ret(opener_try(&opener, 0), -ENFILE, "the limit for all falls below what is open");
	is_stats(3, 5, 5, "then: nobody is closed");
	for (int i = 0; i < 3; i++)
		opener_close(&opener, fds[i]);
	fds[0] = opener_open(&opener);
	opener_close(&opener, fds[0]);
	opener_end(&opener);
	is_stats(0, 6, 5, "in the end");
}

static void test_all(void)
{
	struct opener opener;
	int first, second, ret;

	note_stats();
	set_limits(clients + 2, 8);
	opener_start(&opener);
	first = rngq_open(0);
	second = opener_open(&opener);
	is_ret(opener_try(&opener, 0), -ENFILE, "the third of two gets ENFILE");
	is_stats(2, 2, 1, "with one refused");
	set_limits(clients + 2, 1);
	ret = opener_try(&opener, 0);
	ok(ret == -ENFILE || ret == -EMFILE, "at both limits, one of the two");
	is_stats(2, 2, 2, "counted once");
	close(first);
	first = opener_try(&opener, 0);
	is_ret(first, -EMFILE, "then at its own");
	first = rngq_open(0);
	set_limits(clients + 3, 2);
	ret = opener_open(&opener);
	is_stats(3, 4, 3, "when both rise");
	opener_close(&opener, ret);
	opener_close(&opener, second);
	close(first);
	opener_end(&opener);
	is_stats(0, 4, 3, "in the end");
}

/* A refused open changes nothing of what a process has. */
static void test_no_trace(void)
{
	struct opener opener;
	int other, fd;

	rngq_set_default(100, HOUR_MS, 0, 50);
	note_stats();
	set_limits(clients + 1, 8);
	opener_start(&opener);
	other = rngq_open(0);
	is_ret(opener_try(&opener, 0), -ENFILE, "(a process is refused)");
	close(other);
	fd = opener_open(&opener);
	is_u64(rngq_client(fd, "available"), 150, "its first client has the first fill");
	rngq_take(fd, 80);
	opener_close(&opener, fd);
	other = rngq_open(0);
	is_ret(opener_try(&opener, 0), -ENFILE, "(it is refused again)");
	close(other);
	fd = opener_open(&opener);
	is_u64(rngq_client(fd, "available"), 70, "its next has what was left");
	set_limits(RNGQ_MAX, 1);
	is_ret(opener_try(&opener, 0), -EMFILE, "(and once more)");
	is_u64(rngq_drain(fd), 70, "nothing was taken from that");
	fd = opener_reopen(&opener, fd);
	is_ret(rngq_take(fd, 1), -EAGAIN, "nor added");
	opener_close(&opener, fd);
	opener_end(&opener);
	is_stats(0, 5, 3, "in the end");

	/* Not every open that fails was refused by a limit. */
	fd = open(RNGQ_DEV, O_WRONLY);
	is_ret(fd < 0 ? -errno : fd, -EINVAL, "(open it for writing)");
	is_stats(0, 5, 3, "after another error");
}

struct race {
	pthread_barrier_t barrier;
	atomic_uint opened;
	atomic_uint refused;
	int wanted_errno;
};

/* Try it with the others, then keep what came until all have tried. */
static void run_race(struct race *race)
{
	int fd;

	for (int i = 0; i < RACES; i++) {
		pthread_barrier_wait(&race->barrier);
		fd = open(RNGQ_DEV, O_RDONLY);
		if (fd >= 0)
			race->opened++;
		else if (errno == race->wanted_errno)
			race->refused++;
		pthread_barrier_wait(&race->barrier);
		if (fd >= 0)
			close(fd);
	}
}

static void *race_in_thread(void *race)
{
	run_race(race);
	return NULL;
}

static struct race *new_race(int wanted_errno)
{
	struct race *race = mmap(NULL, sizeof(*race), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrierattr_t shared;

	if (race == MAP_FAILED || pthread_barrierattr_init(&shared) ||
	    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) ||
	    pthread_barrier_init(&race->barrier, &shared, RACERS))
		bail_out("there is a barrier");
	race->wanted_errno = wanted_errno;
	return race;
}

static void end_race(struct race *race, const char *who, const char *error)
{
	is_u64(race->opened, RACES * RACE_PLACES, "%d %s for %d places: so many get one",
	       RACERS, who, RACE_PLACES);
	is_u64(race->refused, RACES * (RACERS - RACE_PLACES), "the others get %s",
	       error);
	is_stats(0, race->opened, race->refused, "after the race");
	munmap(race, sizeof(*race));
}

/* Threads are one process, and don't get past its limit between them. */
static void test_threads(void)
{
	struct race *race = new_race(EMFILE);
	pthread_t threads[RACERS];

	note_stats();
	set_limits(RNGQ_MAX, RACE_PLACES);
	for (int i = 0; i < RACERS; i++)
		if (pthread_create(&threads[i], NULL, race_in_thread, race))
			bail_out("there are threads");
	for (int i = 0; i < RACERS; i++)
		pthread_join(threads[i], NULL);
	end_race(race, "threads", "EMFILE");
}

static void test_processes(void)
{
	struct race *race = new_race(ENFILE);

	note_stats();
	set_limits(clients + RACE_PLACES, RNGQ_MAX);
	for (int i = 0; i < RACERS; i++) {
		pid_t pid = fork();

		if (!pid) {
			run_race(race);
			_exit(0);
		}
		if (pid < 0)
			bail_out("there are processes");
	}
	for (int i = 0; i < RACERS; i++)
		wait(NULL);
	end_race(race, "processes", "ENFILE");
}

int main(void)
{
	rngq_keep_globals();
	test_per_process();
	test_wherever();
	test_lowering();
	test_all();
	test_no_trace();
	test_threads();
	test_processes();
	return done_testing();
}
