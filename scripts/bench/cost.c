// SPDX-License-Identifier: GPL-2.0
/*
 * cost FILE instructions|scaling: what /dev/rngquota costs beside /dev/urandom.
 *
 * "instructions" is for a QEMU that counts them (-icount shift=0): there the time
 * stamp counter counts each instruction as one. A line in FILE for each call
 * and source, what one call took, over all repetitions and in each of them:
 *
 *	cost CALL SOURCE MEDIAN MEAN-OF-A-REPETITION...
 *
 * The median does not see what happens beside the calls, like the clock's
 * ticks; the means do.
 *
 * "scaling" is for two CPUs in real time. A line for each call, source without
 * a limit, and round: how many calls a second one reader made, and how many two:
 *
 *	scaling CALL SOURCE ONE TWO
 *
 * A call is "open", which closes as well, or the size of a read.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "rngq.h"

#define MAX_BYTES	65536
#define WARM_UP		20		/* calls that are not counted */

/* For instructions. */
#define REPETITIONS	7
#define CALLS		4000
#define MAX_CALLS_BYTES	(1 << 20)	/* fewer calls if they read more */

/* For scaling. */
#define ROUNDS		31
#define READERS		2
#define ROUND_MS	200
#define UNLIMITED	2	/* of the sources, the first */

struct source {
	const char *name;
	const char *path;
	const char *rate_bytes;	/* of the default quota, a second */
};

static const struct source sources[] = {
	{ .name = "urandom", .path = "/dev/urandom" },
	{ .name = "max", .path = RNGQ_DEV, .rate_bytes = "max" },
	/* A limit that is never reached. */
	{ .name = "limited", .path = RNGQ_DEV, .rate_bytes = "1099511627776" },
};

/* 0: open and close. */
static const size_t sizes[] = { 32, 64, 256, 4096, MAX_BYTES, 0 };

static const size_t scaling_sizes[] = { 32, 4096 };

static FILE *measured;

static const char *call_name(size_t size)
{
	static char name[24];

	snprintf(name, sizeof(name), "%zu", size);
	return size ? name : "open";
}

static int open_source(const struct source *source)
{
	int fd;

	if (source->rate_bytes && rngq_attr_write(source->rate_bytes, "default/rate_bytes"))
		bail_out("the default quota can be set to %s", source->rate_bytes);
	fd = open(source->path, O_RDONLY);
	if (fd < 0)
		bail_out("%s can be opened", source->path);
	return fd;
}

/* One call: a read of @size bytes from @fd, or open and close. */
static void call(const struct source *source, int fd, size_t size)
{
	static char bytes[MAX_BYTES];
	bool done;

	if (size) {
		done = read(fd, bytes, size) == (ssize_t)size;
	} else {
		fd = open(source->path, O_RDONLY);
		done = fd >= 0 && !close(fd);
	}
	if (!done)
		bail_out("%s gives what was asked for", source->path);
}

struct cost {
	u64 each[REPETITIONS * CALLS];
	size_t count;
	double mean[REPETITIONS];
};

/* One repetition. */
static void count_instructions(const struct source *source, size_t size,
			       struct cost *cost, int repetition)
{
	size_t calls = size * CALLS > MAX_CALLS_BYTES ? MAX_CALLS_BYTES / size : CALLS;
	int fd = open_source(source);
	u64 sum = 0;

	/* What is opened and closed shall be the process's only client. */
	if (!size)
		close(fd);
	for (int i = 0; i < WARM_UP; i++)
		call(source, fd, size);
	for (size_t i = 0; i < calls; i++) {
		u64 empty = __rdtsc();
		u64 start = __rdtsc();
		u64 took;

		call(source, fd, size);
		/* What it takes to look at the counter is not the call's. */
		took = __rdtsc() - start - (start - empty);
		cost->each[cost->count++] = took;
		sum += took;
	}
	cost->mean[repetition] = (double)sum / calls;
	if (size)
		close(fd);
}

static int compare_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void show_cost(const struct source *source, size_t size, struct cost *cost)
{
	qsort(cost->each, cost->count, sizeof(cost->each[0]), compare_u64);
	fprintf(measured, "cost %s %s %llu", call_name(size), source->name,
		cost->each[cost->count / 2]);
	for (int i = 0; i < REPETITIONS; i++)
		fprintf(measured, " %.1f", cost->mean[i]);
	fprintf(measured, "\n");
}

static void measure_instructions(void)
{
	static struct cost costs[ARRAY_SIZE(sources)];

	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		memset(costs, 0, sizeof(costs));
		/* In turns, so that they meet the same conditions. */
		for (int repetition = 0; repetition < REPETITIONS; repetition++)
			for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
				count_instructions(&sources[i], sizes[k], &costs[i],
						   repetition);
		for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
			show_cost(&sources[i], sizes[k], &costs[i]);
	}
}

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
	u64 calls = 0;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(cpu);
	/* A process of its own, hence a client of its own, as good as the first. */
	fd = open_source(source);
	for (;;) {
		call(source, fd, size);
		atomic_store_explicit(&reader->calls, ++calls, memory_order_relaxed);
	}
}

/* How many calls a second @count readers make together. */
static double throughput(const struct source *source, size_t size,
			 struct reader *readers, int count)
{
	u64 before = 0, after = 0, start_ns, ns;
	pid_t pids[READERS];

	for (int i = 0; i < count; i++) {
		readers[i].calls = 0;
		pids[i] = fork();
		if (pids[i] < 0)
			bail_out("a reader can be started");
		if (!pids[i])
			read_on(source, size, &readers[i], i);
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

static void measure_scaling(void)
{
	struct reader *readers = mmap(NULL, READERS * sizeof(*readers),
				      PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (readers == MAP_FAILED)
		bail_out("there is memory to share");
	for (int round = 0; round < ROUNDS; round++)
		for (size_t k = 0; k < ARRAY_SIZE(scaling_sizes); k++)
			for (int i = 0; i < UNLIMITED; i++) {
				size_t size = scaling_sizes[k];
				double one = throughput(&sources[i], size, readers, 1);
				double two = throughput(&sources[i], size, readers, READERS);

				fprintf(measured, "scaling %zu %s %.0f %.0f\n", size,
					sources[i].name, one, two);
			}
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
