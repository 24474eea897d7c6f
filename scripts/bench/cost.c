// SPDX-License-Identifier: GPL-2.0
/*
 * cost FILE instructions|scaling: what /dev/rngquota costs beside /dev/urandom.
 *
 * "instructions" is for a QEMU that counts them (count.h). A line in FILE for
 * each call and source, what one call took: the median of all
 * repetitions' medians, and the mean of each:
 *
 *	cost CALL SOURCE MEDIAN MEAN...
 *
 * A call is the size of a read, or
 *
 *	open		which closes as well
 *	empty-read	a read that does not wait and finds nothing
 *	empty-poll	the same for poll()
 *
 * "scaling" is for two CPUs in real time. A line for each size of reads, source
 * without a limit, and round: how many calls a second one reader made, and how
 * many two:
 *
 *	scaling SIZE SOURCE ONE TWO
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "count.h"
#include "rngq.h"

#define MAX_BYTES	(1 << 20)
#define WARM_UP		20		/* calls that are not counted */

/* For instructions. */
#define REPETITIONS	5
#define CALLS		4000
#define MAX_CALLS_BYTES	(1 << 20)	/* fewer calls if they read more */

/* For scaling. */
#define ROUNDS		120
#define READERS		2
#define ROUND_MS	25

struct source {
	const char *name;
	const char *path;	/* NULL: none */
	const char *rate_bytes;	/* of the default quota, a second */
};

static const struct source urandom = { .name = "urandom", .path = "/dev/urandom" };
static const struct source unlimited = {
	.name = "max", .path = RNGQ_DEV, .rate_bytes = "max",
};

/* 1 GiB a second: more than is ever read. */
static const struct source limited = {
	.name = "limited", .path = RNGQ_DEV, .rate_bytes = "1073741824",
};

static const struct source eventfds = { .name = "eventfd" };

/* A client that has nothing left, and whose reads don't wait. */
static const struct source emptied = { .name = "emptied" };

static FILE *measured;

static int open_source(const struct source *source)
{
	int fd;

	if (source == &emptied) {
		fd = rngq_open_quota(O_NONBLOCK, 1, HOUR_MS, 0);
		rngq_drain(fd);
		return fd;
	}
	if (source->rate_bytes && rngq_attr_write(source->rate_bytes, "default/rate_bytes"))
		bail_out("the default quota can be set to %s", source->rate_bytes);
	fd = source->path ? open(source->path, O_RDONLY) : eventfd(0, 0);
	if (fd < 0)
		bail_out("%s can be opened", source->name);
	return fd;
}

/* What a call is about. */
struct target {
	const struct source *source;
	int fd;
	size_t size;
};

static bool call_read(void *argument)
{
	static char bytes[MAX_BYTES];
	struct target *target = argument;

	return read(target->fd, bytes, target->size) == (ssize_t)target->size;
}

static bool call_open(void *argument)
{
	struct target *target = argument;
	int fd = target->source->path ? open(target->source->path, O_RDONLY) :
		eventfd(0, 0);

	return fd >= 0 && !close(fd);
}

static bool call_empty_read(void *argument)
{
	struct target *target = argument;
	char byte;

	return read(target->fd, &byte, 1) < 0 && errno == EAGAIN;
}

static bool call_empty_poll(void *argument)
{
	struct target *target = argument;
	struct pollfd pollfd = { .fd = target->fd, .events = POLLIN };

	return !poll(&pollfd, 1, 0);
}

#define MAX_SOURCES	3

/* What is measured, of which sources, in turns. */
static const struct measurement {
	const char *call;
	count_call make;
	size_t size;
	const struct source *sources[MAX_SOURCES];
} measurements[] = {
	{ "24", call_read, 24, { &urandom, &unlimited, &limited } },
	{ "32", call_read, 32, { &urandom, &unlimited, &limited } },
	{ "64", call_read, 64, { &urandom, &unlimited, &limited } },
	{ "256", call_read, 256, { &urandom, &unlimited, &limited } },
	{ "4096", call_read, 4096, { &urandom, &unlimited, &limited } },
	{ "65536", call_read, 65536, { &urandom, &unlimited, &limited } },
	{ "1048576", call_read, MAX_BYTES, { &urandom, &unlimited, &limited } },
	{ "empty-read", call_empty_read, 0, { &emptied } },
	{ "empty-poll", call_empty_poll, 0, { &emptied } },
	{ "open", call_open, 0, { &urandom, &eventfds, &unlimited } },
};

static struct count measure_source(const struct measurement *m,
				   const struct source *source)
{
	struct target target = { .source = source, .size = m->size };
	size_t calls = m->size * CALLS > MAX_CALLS_BYTES ?
		MAX_CALLS_BYTES / m->size : CALLS;
	struct count count;

	target.fd = open_source(source);
	/* What is opened and closed shall be the process's only client. */
	if (m->make == call_open)
		close(target.fd);
	count = count_calls(m->make, &target, calls < WARM_UP ? calls : WARM_UP,
			    calls);
	if (m->make != call_open)
		close(target.fd);
	return count;
}

static void measure_instructions(void)
{
	for (size_t k = 0; k < ARRAY_SIZE(measurements); k++) {
		const struct measurement *m = &measurements[k];
		u64 medians[MAX_SOURCES][REPETITIONS];
		double means[MAX_SOURCES][REPETITIONS];

		/* In turns, so that they meet the same conditions. */
		for (int repetition = 0; repetition < REPETITIONS; repetition++)
			for (int i = 0; i < MAX_SOURCES && m->sources[i]; i++) {
				struct count count = measure_source(m, m->sources[i]);

				medians[i][repetition] = count.median;
				means[i][repetition] = count.mean;
			}
		for (int i = 0; i < MAX_SOURCES && m->sources[i]; i++) {
			qsort(medians[i], REPETITIONS, sizeof(medians[i][0]), compare_u64);
			fprintf(measured, "cost %s %s %llu", m->call,
				m->sources[i]->name, medians[i][REPETITIONS / 2]);
			for (int repetition = 0; repetition < REPETITIONS; repetition++)
				fprintf(measured, " %.1f", means[i][repetition]);
			fprintf(measured, "\n");
		}
	}
}

#define SCALING_SOURCES	2

static const struct source *const scaling_sources[SCALING_SOURCES] = {
	&urandom, &unlimited,
};

static const size_t scaling_sizes[] = { 32, 4096 };

/* How many calls a reader made, on a cache line of its own. */
struct reader {
	atomic_ullong calls __attribute__((aligned(256)));
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bail_out("there is a CPU %d", cpu);
}

static noreturn void read_on(const struct source *source, size_t size,
			     struct reader *reader, int cpu)
{
	struct target target = { .source = source, .size = size };
	u64 calls = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	/* A process of its own, hence a client of its own, as good as the first. */
	target.fd = open_source(source);
	for (;;) {
		if (!call_read(&target))
			bail_out("%s gives what was asked for", source->name);
		atomic_store_explicit(&reader->calls, ++calls, memory_order_relaxed);
	}
}

/* How many calls a second @count readers make together, from CPU @cpu on. */
static double throughput(const struct source *source, size_t size,
			 struct reader *readers, int count, int cpu)
{
	u64 before = 0, after = 0, start_ns, ns;
	pid_t pids[READERS];

	for (int i = 0; i < count; i++) {
		readers[i].calls = 0;
		pids[i] = fork();
		if (pids[i] < 0)
			bail_out("a reader can be started");
		if (!pids[i])
			read_on(source, size, &readers[i], (cpu + i) % READERS);
	}
	/* As we sleep, they have the CPUs for themselves. */
	for (int i = 0; i < count; i++)
		while (readers[i].calls < WARM_UP)
			rngq_sleep_ms(1);
	start_ns = rngq_now_ns();
	for (int i = 0; i < count; i++)
		before += readers[i].calls;
	rngq_sleep_ms(ROUND_MS);
	ns = rngq_now_ns() - start_ns;
	for (int i = 0; i < count; i++)
		after += readers[i].calls;
	for (int i = 0; i < count; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return (double)(after - before) * NSEC_PER_SEC / ns;
}

/* Each CPU has the one reader in turns, each source comes first in turns. */
static void compare_readers(struct reader *readers, size_t size, int round, int i)
{
	const struct source *source = scaling_sources[(round / 2 + i) % SCALING_SOURCES];
	double one = throughput(source, size, readers, 1, round % READERS);
	double two = throughput(source, size, readers, READERS, 0);

	fprintf(measured, "scaling %zu %s %.0f %.0f\n", size, source->name, one, two);
}

static void measure_scaling(void)
{
	struct reader *readers = mmap(NULL, READERS * sizeof(*readers),
				      PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (readers == MAP_FAILED)
		bail_out("there is memory to share");
	for (int round = 0; round < ROUNDS; round++)
		for (size_t k = 0; k < ARRAY_SIZE(scaling_sizes); k++)
			for (int i = 0; i < SCALING_SOURCES; i++)
				compare_readers(readers, scaling_sizes[k], round, i);
}

int main(int argc, char **argv)
{
	measured = argc == 3 ? fopen(argv[1], "w") : NULL;
	if (measured && !strcmp(argv[2], "instructions")) {
		measure_instructions();
	} else if (measured && !strcmp(argv[2], "scaling")) {
		measure_scaling();
	} else {
		fprintf(stderr, "usage: cost FILE instructions|scaling\n");
		return EXIT_FAILURE;
	}
	return fclose(measured) ? EXIT_FAILURE : EXIT_SUCCESS;
}
