// SPDX-License-Identifier: GPL-2.0
/*
 * Threads and processes that open, read, hand over and close as fast as they
 * can, while limits and quotas change. In the end every open has been counted,
 * as one or as refused, and every byte as read. What goes wrong in between, the
 * kernel log tells.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

#define THREADS		3
#define PROCESSES	3
#define HELD		4
#define RUN_MS		4000

/* Shared with the processes. */
static struct shared {
	atomic_bool stop;
	atomic_ullong opened;
	atomic_ullong refused;
	atomic_ullong bytes;
	atomic_ullong passed;
	atomic_uint wrong;
} *shared;

/* From whoever opened a client to whoever comes by. */
static int passing[2];

static int open_one(void)
{
	int fd = open(RNGQ_DEV, O_RDONLY | O_NONBLOCK);

	if (fd >= 0)
		shared->opened++;
	else if (errno == EMFILE || errno == ENFILE)
		shared->refused++;
	else
		shared->wrong++;
	return fd;
}

static void read_one(int fd, size_t size)
{
	ssize_t count = rngq_take(fd, size);

	if (count > 0)
		shared->bytes += count;
	else if (count != -EAGAIN)
		shared->wrong++;
}

/* Hand one over, or take one; it may be too full for that, or empty. */
static void pass(int *fd)
{
	if (*fd >= 0) {
		shared->passed += !send_descriptor(passing[0], *fd, MSG_DONTWAIT);
		close(*fd);
		*fd = -1;
	} else {
		*fd = receive_descriptor(passing[1], MSG_DONTWAIT);
	}
}

static void hammer(unsigned int seed, int *fds)
{
	for (int i = 0; i < HELD; i++)
		fds[i] = -1;

	while (!shared->stop) {
		int *fd = &fds[rand_r(&seed) % HELD];
		int what = rand_r(&seed) % 8;

		if (what == 0) {
			pass(fd);
		} else if (*fd < 0) {
			*fd = open_one();
		} else if (what == 1) {
			rngq_client_write(*fd, "rate_bytes",
					  rand_r(&seed) % 2 ? "5" : "default");
		} else if (what < 4) {
			close(*fd);
			*fd = -1;
		} else {
			read_one(*fd, 1 + rand_r(&seed) % 300);
		}
	}
}

static void *hammer_in_thread(void *seed)
{
	int fds[HELD];

	hammer(*(unsigned int *)seed, fds);
	for (int i = 0; i < HELD; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return NULL;
}

/* A child that does not outlive us, and whose end closes what it has open. */
static pid_t start_child(void (*run)(unsigned int), unsigned int seed)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bail_out("there are processes");
	if (!pid) {
		if (!prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent)
			run(seed);
		_exit(0);
	}
	return pid;
}

static void hammer_in_child(unsigned int seed)
{
	int fds[HELD];

	hammer(seed, fds);
}

/* Processes that live for a moment only. */
static void *be_brief(void *unused)
{
	while (!shared->stop) {
		int status = 0;
		pid_t pid = fork();

		if (!pid) {
			int fd = open_one();

			if (fd >= 0)
				read_one(fd, 1);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			shared->wrong++;
	}
	return unused;
}

static void change_limits(unsigned int first)
{
	static const u64 all[] = { 3, 12, RNGQ_MAX };
	static const u64 per_process[] = { 1, 3, RNGQ_MAX };

	for (unsigned int i = first; !shared->stop; i++) {
		rngq_set(all[i % 3], "limits/max_clients");
		rngq_set(per_process[i / 3 % 3], "limits/max_clients_per_process");
		rngq_set_default(i % 5 ? 100 : RNGQ_MAX, 1 + i % 20, i % 50, i % 70);
		rngq_sleep_ms(1);
	}
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients"), opens = rngq_attr("stats/opens");
	u64 bytes = rngq_attr("stats/bytes"), refused = rngq_attr("stats/refused");
	unsigned int seeds[THREADS] = { 11, 12, 13 };
	pthread_t threads[THREADS], brief;
	pid_t pids[PROCESSES], changer;
	u64 give_up_ms;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_DGRAM, 0, passing))
		bail_out("there is memory to share, and a socket");
	rngq_keep_globals();
	changer = start_child(change_limits, 0);
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start_child(hammer_in_child, 20 + i);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, hammer_in_thread, &seeds[i]))
			bail_out("there are threads");
	if (pthread_create(&brief, NULL, be_brief, NULL))
		bail_out("there are threads");

	rngq_sleep_ms(RUN_MS);
	shared->stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(brief, NULL);
	for (int i = 0; i <= PROCESSES; i++) {
		pid_t pid = i < PROCESSES ? pids[i] : changer;
		int status = -1;

		if (waitpid(pid, &status, 0) != pid || status)
			shared->wrong++;
	}
	/* With what is still on its way. */
	close(passing[0]);
	close(passing[1]);

	diag("%llu opened, %llu refused, %llu handed over, %llu bytes",
	     shared->opened, shared->refused, shared->passed, shared->bytes);
	is_u64(shared->wrong, 0, "no call gave what it must not");
	ok(shared->opened > 100 / rngq_slowness() && shared->refused && shared->passed &&
	   shared->bytes, "there was something of everything");
	is_u64(rngq_attr("stats/opens") - opens, shared->opened,
	       "stats/opens counted the opens");
	is_u64(rngq_attr("stats/refused") - refused, shared->refused,
	       "stats/refused those that were refused");
	is_u64(rngq_attr("stats/bytes") - bytes, shared->bytes,
	       "stats/bytes what was read");
	for (give_up_ms = rngq_now_ms() + LATE_MS;
	     rngq_attr("stats/clients") > clients && rngq_now_ms() < give_up_ms;)
		rngq_sleep_ms(1);
	is_u64(rngq_attr("stats/clients"), clients, "and every client has gone");
	return done_testing();
}
