// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "failnth.h"
#include "rngq.h"

#define DEBUGFS		"/sys/kernel/debug"

/* No call has so many chances: the loop does not come to an end. */
#define MAX_FAULTS	5000
/* Enough to see what is wrong. */
#define MAX_WRONG	5

static __thread int fail_fd;

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		bail_out("%s can be written to %s", text, path);
	close(fd);
}

void failnth_init(void)
{
	/* Without fail-nth, and with a probability of 0, all this does nothing. */
	static const char *const settings[][2] = {
		{ "failslab/ignore-gfp-wait", "N" },
		{ "failslab/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[128];

	if (access(DEBUGFS "/failslab", F_OK) && mount("debugfs", DEBUGFS, "debugfs", 0, NULL))
		bail_out("debugfs can be mounted");
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		snprintf(path, sizeof(path), "%s/%s", DEBUGFS, settings[i][0]);
		write_text(path, settings[i][1]);
	}
	/* Page faults of the program would use up its faults. */
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		bail_out("memory can be locked");
}

void failnth_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0 || pwrite(fail_fd, text, len, 0) != len)
		bail_out("a fault can be armed");
}

unsigned int failnth_disarm(void)
{
	char text[16] = "";
	unsigned int left = 1;

	/* A fault that is left may hit these copies, too. */
	if (pread(fail_fd, text, sizeof(text) - 1, 0) > 0)
		left = strtoul(text, NULL, 10);
	if (pwrite(fail_fd, "0", 1, 0) != 1 && pwrite(fail_fd, "0", 1, 0) != 1)
		bail_out("a fault can be disarmed");
	close(fail_fd);
	return left;
}

/* One call with a fault, and one after it if that failed. */
struct attempt {
	const struct failnth *test;
	unsigned int nth;		/* 0: no fault */
	bool hit;
	s64 ret;
	s64 again;
	const char *wrong;
};

static bool may_return(const struct failnth *test, s64 ret)
{
	if (ret >= 0 || ret == test->untouched)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(test->errors); i++)
		if (test->errors[i] && ret == -test->errors[i])
			return true;
	return false;
}

static const char *call_with_fault(struct attempt *attempt)
{
	const struct failnth *test = attempt->test;

	failnth_arm(attempt->nth);
	attempt->ret = test->call(test->with);
	attempt->hit = !failnth_disarm();
	if (!may_return(test, attempt->ret))
		return "no such errno is expected";
	if (!attempt->hit && attempt->ret != test->untouched)
		return "there was no fault";
	return test->settle(test->with, attempt->ret);
}

static const char *call_untouched(struct attempt *attempt)
{
	const struct failnth *test = attempt->test;

	attempt->again = test->call(test->with);
	if (attempt->again != test->untouched)
		return "the call does not work after it";
	return test->settle(test->with, attempt->again);
}

static int make_attempt(void *argument)
{
	struct attempt *attempt = argument;
	const struct failnth *test = attempt->test;

	if (test->prepare)
		test->prepare(test->with);
	if (attempt->nth)
		attempt->wrong = call_with_fault(attempt);
	if (!attempt->wrong && (!attempt->nth || attempt->ret < 0))
		attempt->wrong = call_untouched(attempt);
	return 0;
}

unsigned long failnth(const struct failnth *test)
{
	unsigned long faults = 0, wrong = 0;
	struct attempt attempt;

	/* The first one also has all the pages and files at hand that it needs. */
	for (unsigned int nth = 0; nth < MAX_FAULTS && wrong < MAX_WRONG; nth++) {
		attempt = (struct attempt){ .test = test, .nth = nth };
		if (test->in_new_process)
			rngq_run(make_attempt, &attempt, CLONE_FILES);
		else
			make_attempt(&attempt);
		if (attempt.wrong) {
			diag("%s, fault %u: returned %lld, then %lld: %s", test->name,
			     nth, attempt.ret, attempt.again, attempt.wrong);
			wrong++;
		}
		if (nth && !attempt.hit)
			break;
		faults += attempt.hit;
	}
	ok(!wrong && !attempt.hit, "%s: whatever fails, all is in order", test->name);
	ok(faults > 0, "and something did fail (%lu faults)", faults);
	return faults;
}
