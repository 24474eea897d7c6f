// SPDX-License-Identifier: GPL-2.0
/*
 * CPUs go offline and come back while clients wait whose timers are armed on
 * them: all are served, none gets more than was promised.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hosts.h"
#include "reader.h"
#include "rngq.h"

#define CPUS		"/sys/devices/system/cpu"
#define MIGRATION	"/proc/sys/kernel/timer_migration"
#define MAX_CPUS	64
#define RUN_MS		5000
#define MIN_ROUNDS	3

static unsigned int cpus[MAX_CPUS], nr_cpus;
static char migration[8];
static unsigned int rounds, timers;

static void set_online(unsigned int cpu, bool online)
{
	char path[64];

	snprintf(path, sizeof(path), CPUS "/cpu%u/online", cpu);
	if (rngq_write_file(path, online ? "1" : "0"))
		bail_out("cpu %u can go %s", cpu, online ? "online" : "offline");
}

static void restore(void)
{
	char path[64];

	for (unsigned int i = 0; i < nr_cpus; i++) {
		snprintf(path, sizeof(path), CPUS "/cpu%u/online", cpus[i]);
		rngq_write_file(path, "1");
	}
	rngq_write_file(MIGRATION, migration);
}

/* The CPUs that can go; the first one can't. */
static void find_cpus(void)
{
	DIR *folder = opendir(CPUS);
	struct dirent *entry;
	char path[300];

	while (folder && (entry = readdir(folder))) {
		if (strncmp(entry->d_name, "cpu", 3) || !isdigit(entry->d_name[3]))
			continue;
		snprintf(path, sizeof(path), CPUS "/%s/online", entry->d_name);
		if (!access(path, W_OK) && strcmp(entry->d_name, "cpu0") &&
		    nr_cpus < MAX_CPUS)
			cpus[nr_cpus++] = atoi(entry->d_name + 3);
	}
	if (folder)
		closedir(folder);
	if (!nr_cpus)
		bail_out("there is a CPU that can go offline");
}

/* Timers stay on the CPU that arms them, however idle it is. */
static void keep_timers(void)
{
	FILE *stream = fopen(MIGRATION, "re");

	if (!stream || !fgets(migration, sizeof(migration), stream) ||
	    atexit(restore) || rngq_write_file(MIGRATION, "0"))
		bail_out("timers can be kept from moving to other CPUs");
	fclose(stream);
}

static void pin(pid_t pid, unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(pid, sizeof(set), &set))
		bail_out("a process can be put on cpu %u", cpu);
}

/* How many timers of the module are armed on @cpu. */
static unsigned int armed_on(unsigned int cpu)
{
	FILE *stream = fopen("/proc/timer_list", "re");
	unsigned int count = 0, current;
	bool here = false;
	char line[256];

	if (!stream)
		bail_out("timers are listed");
	while (fgets(line, sizeof(line), stream)) {
		if (sscanf(line, "cpu: %u", &current) == 1)
			here = current == cpu;
		count += here && strstr(line, "[rngquota]");
	}
	fclose(stream);
	return count;
}

/* Each CPU in turn gets all members but one that spins, and goes. */
static void cycle_cpus(struct crowd *crowd)
{
	u64 end_ms = rngq_now_ms() + RUN_MS;
	unsigned int unserved = 0;

	rounds = 0;
	while (rounds < MIN_ROUNDS || rngq_now_ms() < end_ms) {
		unsigned int cpu = cpus[rounds++ % nr_cpus];

		for (unsigned int i = 0; i < crowd->count; i++)
			if (crowd->members[i].kind != CROWD_SPIN)
				pin(crowd->members[i].pid, cpu);
		unserved += hosts_unserved(crowd);
		timers += armed_on(cpu);
		set_online(cpu, false);
		unserved += hosts_unserved(crowd);
		set_online(cpu, true);
	}
	is_u64(unserved, 0, "each is served without the CPU, and when it is back");
}

/* One that sleeps, and whose timer is there, when the CPU goes for good. */
static void test_sleeper(void)
{
	/* Longer than a CPU takes to go. */
	u64 period_ms = 1500 * rngq_slowness();
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	struct reader reader = { };
	cpu_set_t before;
	u64 start_ns;

	sched_getaffinity(0, sizeof(before), &before);
	/* The reader's thread inherits this. */
	pin(0, cpus[0]);
	start_ns = rngq_now_ns();
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 10);
	sched_setaffinity(0, sizeof(before), &before);
	ok(armed_on(cpus[0]), "a sleeper's timer is armed on its CPU");
	set_online(cpus[0], false);
	is_u64(reader.after_ns, 0, "it does not fire because the CPU goes");
	reader_join(&reader);
	set_online(cpus[0], true);
	is_ret(reader.result, 10, "it fires on another one");
	is_between((reader.after_ns - start_ns) / NSEC_PER_MSEC, period_ms,
		   period_ms + LATE_MS, "when it is due");
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	find_cpus();
	keep_timers();
	test_sleeper();
	hosts_try("CPUs go and come", cycle_cpus);
	/* Those of the clients. That of total/ is armed where its deal happens to run. */
	ok(timers > 0, "timers were armed on the CPUs that went (%u)", timers);
	return done_testing();
}
