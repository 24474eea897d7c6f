// SPDX-License-Identifier: GPL-2.0
/*
 * clients FILE: what 10 000 clients cost, in a QEMU that counts instructions
 * (count.h) and has one CPU. Lines in FILE:
 *
 *	call NAME CLIENTS MEDIAN MEAN	instructions, with so many other clients
 *	memory PAGES SLAB		bytes a client
 *	slab NAME BYTES			of them, in this cache
 *	idle WHAT TIMERS CALLS COST...	10 s in which nothing asks for anything
 *	waiting BYTES READS COST
 *	woken READS WAKEUPS
 *
 * COST is what the CPU did beside idling, in instructions. With -icount the clock
 * advances a nanosecond an instruction, and while the CPU halts it leaps to the
 * next timer. So it is the time that passes less what the kernel accounts as idle:
 * from when it has found nothing to do to when an interrupt comes. To that
 * belong the few instructions around the halt, some hundred each time.
 *
 * TIMERS are the module's hrtimers that are armed at the end, by
 * /proc/timer_list; CALLS are calls of any function of the module, by the
 * function tracer, which would show its work items and other timers, too.
 *
 * Each client is opened by a process of its own, that lives no longer than
 * that: so each has its record of a process, as that of a VM has.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "count.h"
#include "rngq.h"

#define CLIENTS		10000
#define OTHER_FILES	100
#define READ_BYTES	32

#define IDLE_SEC	10
#define IDLE_ROUNDS	21
/* After it the kernel has nothing left to do from what was done before. */
#define SETTLE_SEC	130

#define RATE_BYTES	24
#define PERIOD_MS	5000
#define WAITING_SEC	120
#define WOKEN_SEC	30
#define STACK_BYTES	16384
#define WAITER		"waiter"

#define TRACING		"/sys/kernel/tracing/"
#define WAKING		TRACING "events/sched/sched_waking/"

static FILE *measured;
static int fds[CLIENTS];

static void write_file(const char *path, const char *text)
{
	errno = -rngq_write_file(path, text);
	if (errno)
		bail_out("\"%s\" can be written to %s", text, path);
}

/* To 10 ms. */
static u64 idle_roughly(void)
{
	FILE *file = fopen("/proc/uptime", "r");
	u64 sec, centisec;

	if (!file || fscanf(file, "%*s %llu.%llu", &sec, &centisec) != 2)
		bail_out("/proc/uptime can be read");
	fclose(file);
	return sec * NSEC_PER_SEC + centisec * 10 * NSEC_PER_MSEC;
}

static unsigned int armed_timers(void)
{
	FILE *file = fopen("/proc/timer_list", "r");
	unsigned int count = 0;
	char line[400];

	if (!file)
		bail_out("/proc/timer_list can be read");
	while (fgets(line, sizeof(line), file))
		count += !!strstr(line, "[rngquota]");
	fclose(file);
	return count;
}

/* A client that waits has a timer: see that it is found. */
static void check_armed_timers(void)
{
	int fd = rngq_open_quota(0, 1, HOUR_MS, 0);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	pid_t child;

	rngq_drain(fd);
	child = fork();
	if (!child) {
		poll(&pollfd, 1, -1);
		_exit(0);
	}
	rngq_wait_asleep(child, SYS_poll);
	if (armed_timers() != 1)
		bail_out("one timer is armed, not %u", armed_timers());
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(fd);
}

static u64 traced_calls(void)
{
	FILE *file = fopen(TRACING "trace", "r");
	unsigned long kept = 0, written = 0;
	char line[400];
	bool found = false;

	while (!found && file && fgets(line, sizeof(line), file))
		found = sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu",
			       &kept, &written) == 2;
	if (!found)
		bail_out("the trace can be read");
	fclose(file);
	return written;
}

/* Have the calls of the module's functions traced while it idles once more. */
static u64 calls_while_idle(void)
{
	u64 calls;

	write_file(TRACING "set_ftrace_filter", ":mod:rngquota");
	write_file(TRACING "current_tracer", "function");
	rngq_attr("stats/bytes");
	if (!traced_calls())
		bail_out("calls of the module are traced");
	close(open(TRACING "trace", O_WRONLY | O_TRUNC));
	rngq_sleep_ms(IDLE_SEC * 1000);
	calls = traced_calls();
	write_file(TRACING "current_tracer", "nop");
	return calls;
}

/* Before each round do @prepare, unless it is NULL. */
static void measure_idle(const char *what, void (*prepare)(void), bool loaded)
{
	u64 cost[IDLE_ROUNDS], calls = 0;

	rngq_sleep_ms(SETTLE_SEC * 1000);
	for (int round = 0; round < IDLE_ROUNDS; round++) {
		if (prepare)
			prepare();
		/* Let what that has set off come to its end. */
		rngq_sleep_ms(1000);
		cost[round] = cost_while_asleep(IDLE_SEC, idle_exactly);
	}
	if (prepare)
		prepare();
	if (loaded)
		calls = calls_while_idle();
	fprintf(measured, "idle %s %u %llu", what, armed_timers(), calls);
	for (int round = 0; round < IDLE_ROUNDS; round++)
		fprintf(measured, " %llu", cost[round]);
	fprintf(measured, "\n");
}

static bool call_read(void *argument)
{
	char bytes[READ_BYTES];

	return read(*(int *)argument, bytes, READ_BYTES) == READ_BYTES;
}

static bool call_open(void *argument)
{
	int fd = open(RNGQ_DEV, O_RDONLY);

	(void)argument;
	return fd >= 0 && !close(fd);
}

static void show_call(const char *name, unsigned int clients, struct count count)
{
	fprintf(measured, "call %s %u %llu %.1f\n", name, clients, count.median,
		count.mean);
}

/* A read from the only client or the last of all, and opening one more. */
static void measure_calls(unsigned int others)
{
	int fd = rngq_open(0);
	pid_t child;

	rngq_set_default(1ULL << 30, 1000, 0, 0);
	show_call("read", others, count_calls(call_read, &fd, 20, 4000));
	close(fd);
	/* The child forgets about its clients with its end. */
	fflush(measured);
	child = fork();
	if (!child) {
		show_call("open", others, count_calls(call_open, NULL, 20, 2000));
		_exit(fflush(measured) ? 1 : 0);
	}
	if (child < 0 || waitpid(child, NULL, 0) != child)
		bail_out("a child can be started");
}

#define MAX_CACHES	400

struct memory {
	u64 free_bytes;
	u64 slab_bytes;
	struct cache {
		char name[64];
		u64 bytes;
	} caches[MAX_CACHES];
	unsigned int nr_caches;
};

/* Free pages that the CPU keeps for itself, and which don't count as free. */
static u64 pages_at_hand(void)
{
	FILE *file = fopen("/proc/zoneinfo", "r");
	u64 pages = 0, count;
	char line[400];

	if (!file)
		bail_out("/proc/zoneinfo can be read");
	while (fgets(line, sizeof(line), file))
		pages += sscanf(line, " count: %llu", &count) == 1 ? count : 0;
	fclose(file);
	return pages;
}

static void look_at_memory(struct memory *memory)
{
	FILE *file;
	char line[400];

	write_file("/proc/sys/vm/drop_caches", "3");
	/* Let all be freed that waits for that. */
	rngq_sleep_ms(10000);
	memory->free_bytes = (number_in("/proc/meminfo", "MemFree:") << 10) +
		pages_at_hand() * getpagesize();
	memory->slab_bytes = number_in("/proc/meminfo", "Slab:") << 10;
	memory->nr_caches = 0;
	file = fopen("/proc/slabinfo", "r");
	if (!file)
		bail_out("/proc/slabinfo can be read");
	while (memory->nr_caches < MAX_CACHES && fgets(line, sizeof(line), file)) {
		struct cache *cache = &memory->caches[memory->nr_caches];
		u64 active, size;

		if (sscanf(line, "%63s %llu %*u %llu", cache->name, &active, &size) != 3)
			continue;
		cache->bytes = active * size;
		memory->nr_caches++;
	}
	fclose(file);
}

static void compare_memory(const struct memory *before, const struct memory *after)
{
	fprintf(measured, "memory %llu %llu\n",
		(before->free_bytes - after->free_bytes) / CLIENTS,
		(after->slab_bytes - before->slab_bytes) / CLIENTS);
	for (unsigned int i = 0; i < after->nr_caches && i < before->nr_caches; i++) {
		s64 bytes = after->caches[i].bytes - before->caches[i].bytes;

		if (bytes / CLIENTS)
			fprintf(measured, "slab %s %lld\n", after->caches[i].name,
				bytes / CLIENTS);
	}
}

static void open_all(void)
{
	static struct memory before, after;
	int highest;

	/* Make room for all of them in the table of descriptors beforehand. */
	highest = dup2(STDERR_FILENO, CLIENTS + OTHER_FILES - 1);
	if (highest < 0)
		bail_out("there is room for %d descriptors", CLIENTS);
	close(highest);
	look_at_memory(&before);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = rngq_open(0);
	look_at_memory(&after);
	compare_memory(&before, &after);
}

static void empty_all(void)
{
	for (int i = 0; i < CLIENTS; i++)
		if (!rngq_drain(fds[i]))
			bail_out("client %d had something", i);
}

static atomic_ullong delivered_bytes, reads;

static noreturn void *keep_reading(void *argument)
{
	char bytes[RATE_BYTES];

	prctl(PR_SET_NAME, WAITER);
	for (;;) {
		if (read(*(int *)argument, bytes, sizeof(bytes)) != sizeof(bytes))
			bail_out("a read returns %d bytes", RATE_BYTES);
		delivered_bytes += sizeof(bytes);
		reads++;
	}
}

/* A thread for each client; they come one by one, in the course of a period. */
static void start_waiters(void)
{
	u64 start_ns = rngq_now_ns();
	pthread_attr_t attr;
	pthread_t thread;

	write_file("/proc/sys/kernel/threads-max", "30000");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (int i = 0; i < CLIENTS; i++) {
		rngq_sleep_until_ns(start_ns + i * PERIOD_MS * NSEC_PER_MSEC / CLIENTS);
		errno = pthread_create(&thread, &attr, keep_reading, &fds[i]);
		if (errno)
			bail_out("there are %d threads", CLIENTS);
	}
}

static void measure_waiting(void)
{
	u64 bytes, count, cost;

	start_waiters();
	rngq_sleep_ms(2 * PERIOD_MS);
	bytes = delivered_bytes;
	count = reads;
	cost = cost_while_asleep(WAITING_SEC, idle_roughly);
	fprintf(measured, "waiting %llu %llu %llu\n", delivered_bytes - bytes,
		reads - count, cost);

	/* Separately, since it takes instructions, too. */
	write_file(WAKING "trigger", "hist:keys=comm if comm == \"" WAITER "\"");
	count = reads;
	rngq_sleep_ms(WOKEN_SEC * 1000);
	count = reads - count;
	fprintf(measured, "woken %llu %llu\n", count,
		number_in(WAKING "hist", "Hits:"));
}

int main(int argc, char **argv)
{
	struct rlimit limit = {
		.rlim_cur = CLIENTS + OTHER_FILES, .rlim_max = CLIENTS + OTHER_FILES,
	};

	measured = argc == 2 ? fopen(argv[1], "w") : NULL;
	if (!measured) {
		fprintf(stderr, "usage: clients FILE\n");
		return EXIT_FAILURE;
	}
	setvbuf(measured, NULL, _IOLBF, 0);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		bail_out("RLIMIT_NOFILE can be raised");

	if (rngq_unload())
		bail_out("the module can be unloaded");
	measure_idle("no-module", NULL, false);
	if (rngq_load(""))
		bail_out("the module can be loaded");
	check_armed_timers();
	measure_calls(0);
	rngq_sleep_ms(SETTLE_SEC * 1000);
	open_all();
	measure_calls(CLIENTS);
	measure_idle("full", NULL, true);
	rngq_set_default(RATE_BYTES, PERIOD_MS, 0, 0);
	measure_idle("emptied", empty_all, true);
	measure_waiting();
	return fclose(measured) ? EXIT_FAILURE : EXIT_SUCCESS;
}
