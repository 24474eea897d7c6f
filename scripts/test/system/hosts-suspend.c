// SPDX-License-Identifier: GPL-2.0
/*
 * The host sleeps while clients wait: readers don't hold it up, and go on as if
 * nothing had been.
 *
 *	hosts-suspend [freeze|mem]
 *
 * Without an argument processes are frozen and thawed, and nothing else: that
 * works where the root file system is on a device that does not survive more.
 * "freeze" is suspend to idle, "mem" suspend to RAM: something outside must let
 * the host sleep for 3 s each time, and wake it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "hosts.h"
#include "reader.h"
#include "rngq.h"

#define POWER		"/sys/power/"
#define TEST_DELAY	"/sys/module/suspend/parameters/pm_test_delay"
/*
 * How long it stands still at least: its clock may know whole seconds only, and its
 * delay of a second took 531 ms on an emulated CPU that booted on a busy machine.
 */
#define ASLEEP_MS	300
/* It took 11 ms once. Then the host is to sleep again. */
#define TRIES		3

static const char *state = "freeze";
static bool only_processes = true;

static atomic_bool awake;

static u64 boottime_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (now.tv_sec * NSEC_PER_SEC + now.tv_nsec) / NSEC_PER_MSEC;
}

/* A thread that runs again and again: when it did last, and the longest pause. */
static u64 ran_ms, pause_ms;

static void *run_on(void *unused)
{
	u64 now_ms;

	do {
		rngq_sleep_ms(1);
		now_ms = boottime_ms();
		if (now_ms - ran_ms > pause_ms)
			pause_ms = now_ms - ran_ms;
		ran_ms = now_ms;
	} while (!awake);
	return unused;
}

static void restore(void)
{
	rngq_write_file(POWER "pm_test", "none");
	rngq_write_file(TEST_DELAY, "5");
	rngq_write_file(POWER "sync_on_suspend", "1");
}

static void prepare(void)
{
	if (atexit(restore) || rngq_write_file(POWER "sync_on_suspend", "0"))
		bail_out("the host can sleep");
	if (only_processes) {
		if (rngq_write_file(POWER "pm_test", "freezer") ||
		    rngq_write_file(TEST_DELAY, "1"))
			bail_out("freezing processes can be tested");
		return;
	}
	if (!strcmp(state, "mem") && rngq_write_file(POWER "mem_sleep", "deep"))
		bail_out("the host knows suspend to RAM");
}

/* How long that took by the one clock and the other; what writing to "state" returned. */
static int suspend(u64 *boottime, u64 *monotonic)
{
	pthread_t thread;
	int err;

	*boottime = boottime_ms();
	*monotonic = rngq_now_ms();
	awake = false;
	pause_ms = 0;
	ran_ms = *boottime;
	if (pthread_create(&thread, NULL, run_on, NULL))
		bail_out("a thread can be started");
	err = rngq_write_file(POWER "state", state);
	awake = true;
	pthread_join(thread, NULL);
	*boottime = boottime_ms() - *boottime;
	*monotonic = rngq_now_ms() - *monotonic;
	diag("away for %llu ms, of which %llu count", *boottime, *monotonic);
	return err;
}

static void sleep_once(const char *name)
{
	u64 boottime, monotonic;
	int err, tries = 0;

	do {
		err = suspend(&boottime, &monotonic);
	} while (!err && pause_ms < ASLEEP_MS && ++tries < TRIES);
	is_ret(err, 0, "%s", name);
	is_between(pause_ms, ASLEEP_MS, boottime, "threads stand still meanwhile");
	if (!strcmp(state, "mem"))
		ok(boottime >= monotonic + ASLEEP_MS, "and so does the clock");
}

static void sleep_among(struct crowd *crowd)
{
	(void)crowd;
	sleep_once("the host sleeps, and wakes");
}

/* A read that sleeps through it notices nothing. */
static void test_sleeper(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	struct reader reader = { };

	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 10);
	sleep_once("the host sleeps, and wakes, while a reader waits");
	rngq_wait_asleep(reader.tid, SYS_read);
	is_u64(reader.after_ns, 0, "which still waits");
	is_u64(rngq_client(fd, "throttled"), 1, "all of that is one wait");
	is_u64(rngq_client(fd, "available"), 0, "and there is nothing to read");
	rngq_set_quota(fd, 10, 1, 0);
	reader_join(&reader);
	is_ret(reader.result, 10, "until there is");
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		state = argv[1];
		only_processes = false;
	}
	rngq_keep_globals();
	reader_handle_signals();
	prepare();
	test_sleeper();
	hosts_try("the host sleeps", sleep_among);
	return done_testing();
}
