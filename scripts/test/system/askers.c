// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "askers.h"
#include "crowd.h"
#include "rngq.h"

#define NOBODY		65534
#define LOG_SIZE	8192
/* From when on it counts what the reader has, and in how many periods at least. */
#define EARLY		10
#define PERIODS		10
#define WINDOW_MS	1000
#define SIGNAL_PERIOD	3
#define TRIES		3

void askers_fail(struct asker *asker, int error)
{
	int none = 0;

	atomic_compare_exchange_strong(&asker->shared->error, &none, error);
}

void askers_poll(struct asker *asker)
{
	int found = poll(asker->clients, asker->count, 0);

	if (found < 0)
		askers_fail(asker, -errno);
	else
		asker->shared->found += found;
}

/* Who may read the device, and nothing else. */
static bool become_nobody(void)
{
	struct stat node;

	return !setpriority(PRIO_PROCESS, 0, 19) && !stat(RNGQ_DEV, &node) &&
	       !setgroups(0, NULL) &&
	       !setresgid(node.st_gid, node.st_gid, node.st_gid) &&
	       !setresuid(NOBODY, NOBODY, NOBODY);
}

static noreturn void live(const struct askers *askers, int opened, pid_t parent)
{
	static struct asker asker;
	u64 next_ns;

	asker.shared = askers->shared;
	asker.count = askers->clients;
	if (!become_nobody())
		askers_fail(&asker, -errno);
	/* None outlives its test. (Who becomes another user, forgets this.) */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(EXIT_FAILURE);
	for (unsigned int i = 0; i < asker.count; i++) {
		asker.clients[i].fd = open(RNGQ_DEV, O_RDONLY | askers->flags);
		asker.clients[i].events = POLLIN;
		if (asker.clients[i].fd < 0)
			askers_fail(&asker, -errno);
	}
	if (askers->begin)
		askers->begin(&asker);
	if (write(opened, "", 1) != 1)
		_exit(EXIT_FAILURE);
	close(opened);
	next_ns = rngq_now_ns();
	for (;;) {
		askers->ask(&asker);
		asker.shared->rounds++;
		if (!askers->every_ms)
			continue;
		/* Who is too late for a round leaves it out. */
		do {
			next_ns += askers->every_ms * NSEC_PER_MSEC;
		} while (next_ns < rngq_now_ns());
		rngq_sleep_until_ns(next_ns);
	}
}

void askers_start(struct askers *askers)
{
	pid_t parent = getpid();
	int opened[2];
	char byte;

	askers->shared = mmap(NULL, sizeof(*askers->shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (askers->shared == MAP_FAILED || pipe2(opened, O_CLOEXEC))
		bail_out("there are memory and a pipe");
	if (!askers->flags)
		askers->flags = O_NONBLOCK;
	askers->processes = askers->processes / rngq_slowness() ?: 1;
	rngq_set(RNGQ_MAX, "limits/max_clients_per_process");
	for (unsigned int i = 0; i < askers->processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			bail_out("asker %u can be forked", i);
		if (!pid) {
			close(opened[0]);
			live(askers, opened[1], parent);
		}
		askers->pids[i] = pid;
	}
	close(opened[1]);
	for (unsigned int i = 0; i < askers->processes; i++)
		if (read(opened[0], &byte, 1) != 1)
			bail_out("all askers begin");
	close(opened[0]);
	errno = -askers->shared->error;
	if (errno)
		bail_out("all askers open their clients");
}

void askers_kill(struct askers *askers, int signal)
{
	for (unsigned int i = 0; i < askers->processes; i++)
		kill(askers->pids[i], signal);
}

void askers_stop(struct askers *askers)
{
	askers_kill(askers, SIGKILL);
	for (unsigned int i = 0; i < askers->processes; i++)
		if (waitpid(askers->pids[i], NULL, 0) != askers->pids[i])
			bail_out("asker %u ends", i);
	munmap(askers->shared, sizeof(*askers->shared));
}

void askers_test(struct askers *askers, u64 rate_bytes, u64 period_ms,
		 unsigned int percent)
{
	u64 periods = WINDOW_MS / period_ms < PERIODS ? PERIODS : WINDOW_MS / period_ms;
	u64 period_ns = period_ms * NSEC_PER_MSEC, rounds, from_ns, had = 0;
	struct crowd *crowd = crowd_new(1, LOG_SIZE);
	bool enough = false;

	crowd->members[0].quota = crowd_no_limit;
	crowd_set_total(RNGQ_MAX, period_ms, 0);
	askers_start(askers);
	crowd_open(crowd);
	from_ns = crowd_start_total(rate_bytes, period_ms);
	crowd_go(crowd);
	if (askers->signal) {
		rngq_sleep_until_ns(from_ns + SIGNAL_PERIOD * period_ns + period_ns / 2);
		askers_kill(askers, askers->signal);
	}

	/* A tenth of a period before a refill, so that no refill is cut in two. */
	from_ns += EARLY * period_ns - period_ns / 10;
	rngq_sleep_until_ns(from_ns);
	rounds = askers->shared->rounds;
	for (int i = 0; i < TRIES && !enough; i++) {
		rngq_sleep_until_ns(from_ns + periods * period_ns);
		had = crowd_had_between(crowd, &crowd->members[0], from_ns,
					from_ns + periods * period_ns);
		enough = had * 100 >= periods * rate_bytes * percent;
		from_ns += periods * period_ns;
		diag("%llu of %llu bytes, %llu to the askers so far; they ask %llu times a period",
		     had, periods * rate_bytes, askers->shared->bytes,
		     (askers->shared->rounds - rounds) * askers->clients / periods / (i + 1));
	}
	ok(enough, "beside %s: a greedy reader has %u %% of %llu bytes / %llu ms", askers->name,
	   percent, rate_bytes, period_ms);
	ok(askers->signal || askers->shared->rounds > rounds, "(they have asked all the time)");
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "the reader met no error");
	is_ret(askers->shared->error, 0, "nor did they");
	crowd_free(crowd);
	askers_stop(askers);
}
