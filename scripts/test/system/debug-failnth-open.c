// SPDX-License-Identifier: GPL-2.0
/*
 * open(2) and close(2) while memory is short: an open that fails leaves no
 * client, takes no place, and costs its process nothing of what it had.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "failnth.h"
#include "rngq.h"

/* More than the chances that a close() has. */
#define CLOSES	40

struct opening {
	int flags;
	int fd;				/* of the last call */
	u64 firsts;			/* clients that its process has before: 1 or 0 */
	int first_fd;
	u64 available;			/* what it must have then */
	u64 clients;			/* how many there are without it */
	u64 opens;
	u64 refused;

	void (*prepare)(void *with);

	/* What else is done when it has failed: all must be as if it had not been. */
	void (*after_failure)(struct opening *opening);
};

/* How many folders there are in clients/. */
static u64 count_folders(void)
{
	DIR *clients = opendir(RNGQ_SYSFS "/clients");
	struct dirent *entry;
	u64 folders = 0;

	if (!clients)
		bail_out("clients/ can be listed");
	while ((entry = readdir(clients)))
		folders += entry->d_name[0] != '.';
	closedir(clients);
	return folders;
}

static s64 open_device(void *with)
{
	struct opening *opening = with;

	opening->fd = open(RNGQ_DEV, O_RDONLY | opening->flags);
	return opening->fd < 0 ? -errno : 0;
}

static const char *look(struct opening *opening, bool opened)
{
	u64 clients = opening->clients + opened;

	if (rngq_attr("stats/clients") != clients)
		return "stats/clients is wrong";
	if (count_folders() != clients)
		return "clients/ has too many folders, or too few";
	if (rngq_attr("stats/opens") != opening->opens)
		return "stats/opens is wrong";
	if (rngq_attr("stats/refused") != opening->refused)
		return "stats/refused is wrong";
	if (opened && rngq_client(opening->fd, "available") != opening->available)
		return "the client has not what it should have";
	return NULL;
}

static const char *settle(void *with, s64 ret)
{
	struct opening *opening = with;
	const char *wrong;

	opening->opens += !ret;
	opening->refused += ret == -EMFILE || ret == -ENFILE;
	wrong = look(opening, !ret);
	if (ret && opening->after_failure)
		opening->after_failure(opening);
	if (!ret)
		close(opening->fd);
	if (!ret && opening->firsts) {
		close(opening->first_fd);
		opening->clients--;
	}
	return wrong;
}

static unsigned long run(struct opening *opening, const char *name, s64 untouched,
			 bool in_new_process)
{
	struct failnth test = {
		.name = name,
		.prepare = opening->prepare,
		.call = open_device,
		.settle = settle,
		.with = opening,
		.untouched = untouched,
		.errors = { ENOMEM, EFAULT },
		.in_new_process = in_new_process,
	};
	unsigned long faults;

	opening->clients = rngq_attr("stats/clients");
	opening->opens = rngq_attr("stats/opens");
	opening->refused = rngq_attr("stats/refused");
	/* A place that is lost is missed at once. */
	rngq_set(opening->clients + opening->firsts + !untouched, "limits/max_clients");
	faults = failnth(&test);
	rngq_set(RNGQ_MAX, "limits/max_clients");
	return faults;
}

static void set_credit(void *with)
{
	struct opening *opening = with;

	rngq_set(50, "default/boot_bytes");
	opening->available = 100 + 50;
}

/* Who opens its first client later has the credit of then. */
static void change_credit(struct opening *opening)
{
	rngq_set(30, "default/boot_bytes");
	opening->available = 100 + 30;
}

static unsigned long test_first(void)
{
	struct opening plain = { .available = 100 + 50 };
	struct opening nonblock = { .available = 100 + 50, .flags = O_NONBLOCK };
	struct opening credit = {
		.prepare = set_credit, .after_failure = change_credit,
	};
	unsigned long faults;

	rngq_set_default(100, HOUR_MS, 0, 50);
	faults = run(&plain, "a process's first open()", 0, true);
	faults += run(&nonblock, "the same with O_NONBLOCK", 0, true);
	return faults + run(&credit, "the same, then with another boot credit", 0, true);
}

static void open_first(void *with)
{
	struct opening *opening = with;

	rngq_set(RNGQ_MAX, "default/rate_bytes");
	opening->available = RNGQ_MAX;
	opening->first_fd = open(RNGQ_DEV, O_RDONLY);
	opening->clients++;
	opening->opens++;
}

/* Buckets that are there become full; who comes later starts empty. */
static void set_limit(struct opening *opening)
{
	rngq_set(100, "default/rate_bytes");
	opening->available = 0;
}

static unsigned long test_second(void)
{
	struct opening second = {
		.firsts = 1, .prepare = open_first, .after_failure = set_limit,
	};

	rngq_set_default(RNGQ_MAX, HOUR_MS, 0, 0);
	return run(&second, "a process's second open(), then with a limit", 0, true);
}

/* Our own process has spent some, and its client has an override. */
static unsigned long test_reopen(void)
{
	struct opening again = { .available = 200 - 70 };
	unsigned long faults;
	int fd;

	rngq_set_default(100, HOUR_MS, 0, 50);
	fd = open(RNGQ_DEV, O_RDONLY);
	rngq_set_quota(fd, 200, HOUR_MS, 0);
	is_ret(rngq_take(fd, 50 + 70), 50 + 70, "(spend the credit, and some more)");
	close(fd);
	faults = run(&again, "open() after close()", 0, false);
	return faults;
}

static unsigned long test_limits(void)
{
	struct opening full = { };
	unsigned long faults;
	int fd;

	rngq_set_default(100, HOUR_MS, 0, 0);
	fd = open(RNGQ_DEV, O_RDONLY);
	faults = run(&full, "open() at max_clients", -ENFILE, true);
	rngq_set(1, "limits/max_clients_per_process");
	faults += run(&full, "open() at max_clients_per_process", -EMFILE, false);
	close(fd);
	return faults;
}

/* close() needs no memory: whatever fails, the client is gone. */
static void test_close(void)
{
	u64 clients = rngq_attr("stats/clients");
	unsigned long faults = 0, wrong = 0;

	for (unsigned int nth = 1; nth <= CLOSES; nth++) {
		int fd = rngq_open(0), ret;

		failnth_arm(nth);
		ret = close(fd);
		faults += !failnth_disarm();
		wrong += ret || rngq_attr("stats/clients") != clients ||
			 count_folders() != clients;
	}
	is_u64(wrong, 0, "close() always closes (%lu of %d hit by a fault)", faults, CLOSES);
	tried("fail-nth: close(2)", "%d armed, %lu faults", CLOSES, faults);
}

int main(void)
{
	unsigned long faults;

	rngq_keep_globals();
	failnth_init();
	faults = test_first();
	faults += test_second();
	faults += test_reopen();
	faults += test_limits();
	tried("fail-nth: open(2)", "%lu faults", faults);
	test_close();
	return done_testing();
}
