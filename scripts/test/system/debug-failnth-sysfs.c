// SPDX-License-Identifier: GPL-2.0
/*
 * Writing and reading each attribute, and /proc/PID/fdinfo, while memory is
 * short: a write that fails changes nothing, a read tells what is so or fails.
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

#define RATE	"2048"
/* In a client's folder, "." and ".." included. */
#define FOLDER_FILES	15

static int client;

struct attribute {
	const char *path;		/* clients/ID/ stands for the client's own */
	const char *values[2];		/* to write by turns; none: it is read-only */
	const char *shown[2];		/* what is there then, if it is not the same */
	int next;
	char text[64];			/* as it should read now */
	char got[4096];
};

static struct attribute attributes[] = {
	{ .path = "default/rate_bytes", .values = { "max", RATE } },
	{ .path = "default/period_ms", .values = { "4294967295", "3600000" } },
	{ .path = "default/burst_bytes", .values = { "1099511627776", "0" } },
	{ .path = "default/boot_bytes", .values = { "16", "0" } },
	{ .path = "default/quota", .values = { "max 4294967295 1", RATE " 3600000 0" } },
	{ .path = "total/rate_bytes", .values = { "1048576", "max" } },
	{ .path = "total/period_ms", .values = { "3600000", "1000" } },
	{ .path = "total/burst_bytes", .values = { "1", "0" } },
	{ .path = "total/quota", .values = { "1048576 3600000 1", "max 1000 0" } },
	{ .path = "limits/max_clients", .values = { "100", "max" } },
	{ .path = "limits/max_clients_per_process", .values = { "3", "max" } },
	{
		.path = "clients/ID/rate_bytes",
		.values = { "10", "default" },
		.shown = { "10", RATE },
	},
	{ .path = "clients/ID/period_ms", .values = { "7200000", "3600000" } },
	{ .path = "clients/ID/burst_bytes", .values = { "5", "0" } },
	{
		.path = "clients/ID/quota",
		.values = { "10 7200000 5", "default" },
		.shown = { "10 7200000 5", RATE " 3600000 0" },
	},
	{ .path = "stats/clients" },
	{ .path = "stats/opens" },
	{ .path = "stats/bytes" },
	{ .path = "stats/reads" },
	{ .path = "stats/throttled" },
	{ .path = "stats/throttled_ms" },
	{ .path = "stats/refused" },
	{ .path = "clients/ID/overrides" },
	{ .path = "clients/ID/pid" },
	{ .path = "clients/ID/comm" },
	{ .path = "clients/ID/uid" },
	{ .path = "clients/ID/available" },
	{ .path = "clients/ID/bytes" },
	{ .path = "clients/ID/reads" },
	{ .path = "clients/ID/throttled" },
	{ .path = "clients/ID/throttled_ms" },
};

static const char *real_path(const struct attribute *attribute)
{
	static const char own[] = "clients/ID/";
	static char path[64];

	if (strncmp(attribute->path, own, strlen(own)))
		return attribute->path;
	snprintf(path, sizeof(path), "clients/%llu/%s", rngq_id(client),
		 attribute->path + strlen(own));
	return path;
}

/* Before the call: what it takes to name the file is not to fail. */
static char path[64];

static s64 write_it(void *with)
{
	struct attribute *attribute = with;

	return rngq_attr_write(attribute->values[attribute->next], "%s", path);
}

static s64 read_it(void *with)
{
	struct attribute *attribute = with;
	ssize_t len = rngq_attr_read(attribute->got, sizeof(attribute->got), "%s", path);

	return len < 0 ? len : 0;
}

static const char *settle_read(void *with, s64 ret)
{
	struct attribute *attribute = with;

	return ret || !strcmp(attribute->got, attribute->text) ? NULL : "it is not so";
}

static const char *settle_write(void *with, s64 ret)
{
	struct attribute *attribute = with;
	int next = attribute->next;

	if (!ret) {
		snprintf(attribute->text, sizeof(attribute->text), "%s\n",
			 attribute->shown[next] ?: attribute->values[next]);
		attribute->next = !next;
	}
	if (read_it(attribute))
		return "it can't be read";
	if (strcmp(attribute->got, attribute->text))
		return ret ? "it was changed" : "it was not changed";
	return NULL;
}

static unsigned long run(struct attribute *attribute, s64 (*call)(void *),
			 const char *(*settle)(void *, s64), const char *what)
{
	char name[80];
	struct failnth test = {
		.name = name,
		.call = call,
		.settle = settle,
		.with = attribute,
		.errors = { ENOMEM, EFAULT },
	};

	snprintf(name, sizeof(name), "%s %s", what, attribute->path);
	snprintf(path, sizeof(path), "%s", real_path(attribute));
	return failnth(&test);
}

static unsigned long test_writes(void)
{
	unsigned long faults = 0;

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		struct attribute *attribute = &attributes[i];

		if (!attribute->values[0])
			continue;
		faults += run(attribute, write_it, settle_write, "writing");
		/* As it was at first, for the others. */
		attribute->next = 1;
		if (write_it(attribute) || settle_write(attribute, 0))
			bail_out("%s can be written", attribute->path);
	}
	return faults;
}

static unsigned long test_reads(void)
{
	unsigned long faults = 0;

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		struct attribute *attribute = &attributes[i];

		snprintf(path, sizeof(path), "%s", real_path(attribute));
		/* What was written above must still be there. */
		if (!attribute->values[0]) {
			if (read_it(attribute))
				bail_out("%s can be read", attribute->path);
			snprintf(attribute->text, sizeof(attribute->text), "%.60s",
				 attribute->got);
		}
		faults += run(attribute, read_it, settle_read, "reading");
	}
	return faults;
}

static char info_path[40], info[4096], info_wanted[4096];

static s64 read_fdinfo(void *unused)
{
	int fd = open(info_path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	(void)unused;
	if (fd < 0)
		return -errno;
	memset(info, 0, sizeof(info));
	len = read(fd, info, sizeof(info) - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	return len < 0 ? len : 0;
}

static const char *settle_fdinfo(void *unused, s64 ret)
{
	(void)unused;
	return ret || !strcmp(info, info_wanted) ? NULL : "it is not so";
}

static unsigned long test_fdinfo(void)
{
	struct failnth test = {
		.name = "reading fdinfo",
		.call = read_fdinfo,
		.settle = settle_fdinfo,
		/* /proc says so when it has no memory for an inode. */
		.errors = { ENOMEM, EFAULT, ENOENT },
	};

	snprintf(info_path, sizeof(info_path), "/proc/self/fdinfo/%d", client);
	if (read_fdinfo(NULL))
		bail_out("fdinfo can be read");
	memcpy(info_wanted, info, sizeof(info));
	ok(strstr(info, "\nrngquota-rate-bytes:\t" RATE "\n"), "fdinfo tells the quota");
	return failnth(&test);
}

/* A folder that nobody has looked into yet. */
static void open_another(void *with)
{
	int *fd = with;

	close(*fd);
	*fd = rngq_open(0);
	snprintf(path, sizeof(path), RNGQ_SYSFS "/clients/%llu", rngq_id(*fd));
}

static s64 list_folder(void *unused)
{
	struct dirent *entry;
	s64 files = 0;
	DIR *folder;

	(void)unused;
	folder = opendir(path);
	if (!folder)
		return -errno;
	errno = 0;
	while ((entry = readdir(folder)) &&
	       !faccessat(dirfd(folder), entry->d_name, R_OK, 0))
		files++;
	if (errno)
		files = -errno;
	closedir(folder);
	return files;
}

static const char *settle_folder(void *unused, s64 ret)
{
	(void)unused;
	return ret < 0 || ret == FOLDER_FILES ? NULL : "it is not complete";
}

static unsigned long test_folder(void)
{
	int fd = rngq_open(0);
	struct failnth test = {
		.name = "listing a client's folder",
		.prepare = open_another,
		.call = list_folder,
		.settle = settle_folder,
		.with = &fd,
		.untouched = FOLDER_FILES,
		.errors = { ENOMEM, EFAULT },
	};
	unsigned long faults = failnth(&test);

	close(fd);
	return faults;
}

int main(void)
{
	unsigned long faults;

	rngq_keep_globals();
	failnth_init();
	rngq_set_default(2048, HOUR_MS, 0, 0);
	rngq_set(RNGQ_MAX, "limits/max_clients");
	rngq_set(RNGQ_MAX, "limits/max_clients_per_process");
	client = rngq_open_quota(0, 2048, HOUR_MS, 0);
	rngq_take(client, 48);
	faults = test_writes();
	tried("fail-nth: writing each attribute", "%lu faults", faults);
	faults = test_reads();
	tried("fail-nth: reading each attribute", "%lu faults", faults);
	faults = test_fdinfo();
	faults += test_folder();
	tried("fail-nth: fdinfo, listing clients/ID/", "%lu faults", faults);
	close(client);
	return done_testing();
}
