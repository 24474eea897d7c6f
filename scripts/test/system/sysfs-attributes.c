// SPDX-License-Identifier: GPL-2.0
/*
 * Every file of the table "/sys/class/misc/rngquota/": what it takes, what it
 * refuses and how, who may read and write it, what else is there (nothing).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rngq.h"

#define NOBODY			65534
/* sysfs cuts a write here. */
#define SYSFS_MAX		4096

struct attribute {
	const char *path;	/* in the folder of the client, or of the device */
	bool per_client;
	mode_t mode;
	/* For those that can be written: */
	const char *before;	/* a value to see left alone */
	const char *lowest;
	const char *highest;
	const char *above;	/* the lowest that is too high */
	bool has_max;
	bool is_quota;		/* up to three values; sysfs-quota.c has the rest */
};

#define RATE(...)	{ .before = "777\n", .lowest = "1\n", \
			  .highest = "1099511627776\n", \
			  .above = "1099511627777", .has_max = true, \
			  __VA_ARGS__ }
#define PERIOD(...)	{ .before = "777\n", .lowest = "1\n", \
			  .highest = "4294967295\n", .above = "4294967296", \
			  __VA_ARGS__ }
#define LIMIT(...)	{ .before = "777\n", .lowest = "1\n", \
			  .highest = "1048576\n", .above = "1048577", \
			  .has_max = true, __VA_ARGS__ }
#define BYTES(...)	{ .before = "777\n", .lowest = "0\n", \
			  .highest = "1099511627776\n", \
			  .above = "1099511627777", __VA_ARGS__ }
#define QUOTA(...)	{ .before = "777 777 777\n", .lowest = "1\n", \
			  .above = "1099511627777", .has_max = true, \
			  .is_quota = true, __VA_ARGS__ }

static const struct attribute attributes[] = {
	RATE(.path = "default/rate_bytes", .mode = 0644),
	PERIOD(.path = "default/period_ms", .mode = 0644),
	BYTES(.path = "default/burst_bytes", .mode = 0644),
	BYTES(.path = "default/boot_bytes", .mode = 0644),
	QUOTA(.path = "default/quota", .mode = 0644),
	RATE(.path = "total/rate_bytes", .mode = 0644),
	PERIOD(.path = "total/period_ms", .mode = 0644),
	BYTES(.path = "total/burst_bytes", .mode = 0644),
	QUOTA(.path = "total/quota", .mode = 0644),
	LIMIT(.path = "limits/max_clients", .mode = 0644),
	LIMIT(.path = "limits/max_clients_per_process", .mode = 0644),
	{ .path = "stats/clients", .mode = 0444 },
	{ .path = "stats/opens", .mode = 0444 },
	{ .path = "stats/bytes", .mode = 0444 },
	{ .path = "stats/reads", .mode = 0444 },
	{ .path = "stats/throttled", .mode = 0444 },
	{ .path = "stats/throttled_ms", .mode = 0444 },
	{ .path = "stats/refused", .mode = 0444 },
	RATE(.path = "rate_bytes", .mode = 0600, .per_client = true),
	PERIOD(.path = "period_ms", .mode = 0600, .per_client = true),
	BYTES(.path = "burst_bytes", .mode = 0600, .per_client = true),
	QUOTA(.path = "quota", .mode = 0600, .per_client = true),
	{ .path = "overrides", .mode = 0400, .per_client = true },
	{ .path = "pid", .mode = 0400, .per_client = true },
	{ .path = "comm", .mode = 0400, .per_client = true },
	{ .path = "uid", .mode = 0400, .per_client = true },
	{ .path = "available", .mode = 0400, .per_client = true },
	{ .path = "bytes", .mode = 0400, .per_client = true },
	{ .path = "reads", .mode = 0400, .per_client = true },
	{ .path = "throttled", .mode = 0400, .per_client = true },
	{ .path = "throttled_ms", .mode = 0400, .per_client = true },
};

struct input {
	const char *name;
	const char *text;
	size_t size;		/* 0: as long as the text is */
	int error;		/* 0: either will do */
	bool is_two;		/* values, which a quota may have */
};

#define MALFORMED(name, text)	{ name, text, 0, -EINVAL, false }
#define TWO_VALUES(name, text)	{ name, text, 0, -EINVAL, true }
#define OUT_OF_RANGE(name, text) { name, text, 0, -ERANGE, false }
/* The NUL at the end of @text is written, too. */
#define HOLDS_NUL(name, text)	{ name, text, sizeof(text), -EINVAL, false }

static const struct input bad_inputs[] = {
	MALFORMED("a newline alone", "\n"),
	MALFORMED("two newlines", "\n\n"),
	MALFORMED("a space alone", " "),
	MALFORMED("a space before", " 5"),
	MALFORMED("a space after", "5 "),
	MALFORMED("a space before the newline", "5\040\n"),
	MALFORMED("a tab before", "\t5"),
	MALFORMED("a tab after", "5\t"),
	MALFORMED("a carriage return", "5\r\n"),
	MALFORMED("two newlines after", "5\n\n"),
	MALFORMED("a newline before", "\n5"),
	TWO_VALUES("two values", "1 2"),
	MALFORMED("two lines", "1\n2"),
	MALFORMED("two lines, the second empty but for a space", "1\n "),
	MALFORMED("a comma", "1,5"),
	MALFORMED("an underscore", "1_000"),
	MALFORMED("a decimal", "1.0"),
	MALFORMED("a point at the end", "1."),
	MALFORMED("an exponent", "1e3"),
	MALFORMED("a unit", "1k"),
	MALFORMED("a capital unit", "1M"),
	MALFORMED("hexadecimal", "0x10"),
	MALFORMED("hexadecimal digits", "ff"),
	MALFORMED("a letter after", "5a"),
	MALFORMED("a negative number", "-5"),
	MALFORMED("minus zero", "-0"),
	MALFORMED("a minus alone", "-"),
	MALFORMED("a plus alone", "+"),
	MALFORMED("two pluses", "++5"),
	MALFORMED("plus and minus", "+-5"),
	MALFORMED("a plus after", "5+"),
	MALFORMED("quotes", "\"5\""),
	MALFORMED("a number sign", "5 # bytes"),
	MALFORMED("full-width digits", "\xef\xbc\x95"),
	MALFORMED("Arabic digits", "\xd9\xa5"),
	MALFORMED("a byte order mark", "\357\273\2775"),
	MALFORMED("a byte that is no UTF-8", "\xff"),
	MALFORMED("a no-break space after", "5\xc2\xa0"),
	MALFORMED("MAX in capitals", "MAX"),
	MALFORMED("Max with a capital", "Max"),
	MALFORMED("max with a space before", " max"),
	MALFORMED("max with a space after", "max "),
	MALFORMED("max with two newlines", "max\n\n"),
	MALFORMED("max and more", "maximum"),
	MALFORMED("half of max", "ma"),
	TWO_VALUES("max and a number", "max 5"),
	MALFORMED("Default with a capital", "Default"),
	MALFORMED("default with a space after", "default "),
	MALFORMED("half of default", "def"),
	MALFORMED("default and more", "defaults"),
	MALFORMED("none", "none"),
	MALFORMED("unlimited", "unlimited"),
	MALFORMED("infinity", "inf"),
	MALFORMED("an attribute's name", "rate_bytes"),
	HOLDS_NUL("a NUL alone", ""),
	HOLDS_NUL("two NULs alone", "\0"),
	HOLDS_NUL("a NUL before", "\0005"),
	HOLDS_NUL("a NUL inside", "5\0007"),
	HOLDS_NUL("two NULs at the end", "5\0"),
	HOLDS_NUL("a NUL before the newline", "5\0\n"),
	HOLDS_NUL("a newline alone before a NUL", "\n"),
	HOLDS_NUL("a space before a NUL", "5 "),
	HOLDS_NUL("a NUL and text behind max", "max\0x"),
	HOLDS_NUL("a NUL inside max", "ma\0x"),
	OUT_OF_RANGE("2^63", "9223372036854775808"),
	OUT_OF_RANGE("2^64 - 1", "18446744073709551615"),
	OUT_OF_RANGE("2^64", "18446744073709551616"),
	OUT_OF_RANGE("2^64 + 5, which wraps to 5", "18446744073709551621"),
	OUT_OF_RANGE("30 digits", "100000000000000000000000000000"),
};

static u64 client_id;

static const char *attribute_path(const struct attribute *a)
{
	static char path[64];

	if (a->per_client)
		snprintf(path, sizeof(path), "clients/%llu/%s", client_id, a->path);
	else
		snprintf(path, sizeof(path), "%s", a->path);
	return path;
}

static void full_path(char *path, size_t size, const struct attribute *a)
{
	snprintf(path, size, "%s/%s", RNGQ_SYSFS, attribute_path(a));
}

static int put(const struct attribute *a, const char *text, size_t size)
{
	return rngq_attr_put(text, size, "%s", attribute_path(a));
}

static int put_text(const struct attribute *a, const char *text)
{
	return put(a, text, strlen(text));
}

static const char *get(const struct attribute *a)
{
	static char text[8192];

	if (rngq_attr_read(text, sizeof(text), "%s", attribute_path(a)) < 0)
		bail_out("%s can be read", a->path);
	return text;
}

static void expect_refused(const struct attribute *a, const char *name,
			   const char *text, size_t size, int error)
{
	int ret = put(a, text, size);

	if (error)
		is_ret(ret, error, "%s: refuses %s", a->path, name);
	else
		ok(ret == -EINVAL || ret == -ERANGE, "%s: refuses %s", a->path,
		   name);
	/* Most often it holds: a test point for each would drown the others. */
	if (strcmp(get(a), a->before)) {
		is_str(get(a), a->before, "%s: %s leaves the old value", a->path,
		       name);
		put_text(a, a->before);
	}
}

static void expect_taken(const struct attribute *a, const char *text,
			 const char *reads)
{
	is_ret(put_text(a, text), 0, "%s: takes %.*s", a->path,
	       (int)strcspn(text, "\n"), text);
	is_str(get(a), reads, "%s: reads back what was written", a->path);
}

static void test_bad(const struct attribute *a)
{
	static char text[2 * SYSFS_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(bad_inputs); i++) {
		const struct input *in = &bad_inputs[i];

		if (a->is_quota && in->is_two)
			continue;
		expect_refused(a, in->name, in->text,
			       in->size ? in->size : strlen(in->text),
			       in->error);
	}
	expect_refused(a, "what is just too high", a->above, strlen(a->above),
		       -ERANGE);
	if (strcmp(a->lowest, "0\n"))
		expect_refused(a, "zero", "0", 1, -ERANGE);
	if (!a->has_max)
		expect_refused(a, "max", "max", 3, -EINVAL);
	if (!a->per_client)
		expect_refused(a, "default", "default", 7, -EINVAL);

	memset(text, '9', sizeof(text));
	expect_refused(a, "4095 digits", text, SYSFS_MAX - 1, -ERANGE);
	expect_refused(a, "4096 digits", text, SYSFS_MAX, 0);
	expect_refused(a, "8192 digits", text, sizeof(text), 0);
	memset(text, ' ', sizeof(text));
	expect_refused(a, "4096 spaces", text, SYSFS_MAX, -EINVAL);
	memset(text, 'x', sizeof(text));
	expect_refused(a, "8192 letters", text, sizeof(text), -EINVAL);
	/* Cut at 4096 it would read 12. */
	memset(text, '0', sizeof(text));
	memcpy(text + SYSFS_MAX - 2, "123", 3);
	expect_refused(a, "a value that sysfs has cut", text, SYSFS_MAX + 1, 0);
}

/* "A NUL at the very end is that of a C string and ignored" */
static void test_nul(const struct attribute *a)
{
	is_ret(put(a, "24", sizeof("24")), 0, "%s: takes a C string with its NUL", a->path);
	ok(!strncmp(get(a), "24", 2), "%s: and that is what it reads", a->path);
	is_ret(put(a, "25\n", sizeof("25\n")), 0, "%s: also behind a newline", a->path);
	ok(!strncmp(get(a), "25", 2), "%s: and that is what it reads", a->path);
	if (a->has_max) {
		is_ret(put(a, "max", sizeof("max")), 0, "%s: also behind max", a->path);
		ok(!strncmp(get(a), "max", 3), "%s: and that is what it reads", a->path);
	}
	if (a->per_client) {
		is_ret(put(a, "default", sizeof("default")), 0, "%s: also behind default",
		       a->path);
		ok(strncmp(get(a), "max", 3) && strncmp(get(a), "25", 2),
		   "%s: which it follows then", a->path);
	}
	put_text(a, a->before);
}

static void test_good(const struct attribute *a)
{
	expect_taken(a, a->lowest, a->lowest);
	expect_taken(a, a->highest, a->highest);
	/* kstrtou64() in decimal takes these. */
	expect_taken(a, "42", "42\n");
	expect_taken(a, "+43\n", "43\n");
	expect_taken(a, "0044", "44\n");
	if (a->has_max) {
		expect_taken(a, "max", "max\n");
		expect_taken(a, "5", "5\n");
		expect_taken(a, "max\n", "max\n");
	}
	expect_taken(a, a->before, a->before);
	/* sysfs passes no write of 0 bytes on. */
	is_ret(put(a, "", 0), 0, "%s: writing nothing is no error", a->path);
	is_str(get(a), a->before, "%s: and changes nothing", a->path);
}

/* Something, a newline, and no more. */
static bool well_formed(const char *text)
{
	size_t size = strlen(text);

	return size >= 2 && strchr(text, '\n') == text + size - 1;
}

static void test_value(const struct attribute *a)
{
	char path[256];
	struct stat file;

	full_path(path, sizeof(path), a);
	if (stat(path, &file))
		bail_out("there is %s", path);
	is_u64(file.st_mode & 07777, a->mode, "%s: mode is %04o", a->path,
	       a->mode);
	ok(!file.st_uid && !file.st_gid, "%s: belongs to root", a->path);
	ok(well_formed(get(a)), "%s: one line", a->path);
}

/* What @flags of open() give user nobody: 0 or -errno. */
static int open_as_nobody(const struct attribute *a, int flags)
{
	char path[256];
	int status;
	pid_t pid;

	full_path(path, sizeof(path), a);
	pid = fork();
	if (pid < 0)
		bail_out("a child can be forked");
	if (!pid) {
		int fd;

		if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
		    setresuid(NOBODY, NOBODY, NOBODY))
			_exit(255);
		fd = open(path, flags);
		if (fd < 0)
			_exit(errno);
		if (flags == O_RDONLY && read(fd, path, sizeof(path)) <= 0)
			_exit(254);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		bail_out("the child ends");
	return -WEXITSTATUS(status);
}

static void test_nobody(const struct attribute *a)
{
	is_ret(open_as_nobody(a, O_RDONLY), a->mode & 0004 ? 0 : -EACCES,
	       "%s: nobody %s", a->path,
	       a->mode & 0004 ? "may read it" : "may not read it");
	is_ret(open_as_nobody(a, O_WRONLY), -EACCES,
	       "%s: nobody may not write it", a->path);
}

static void test_read_only(const struct attribute *a)
{
	char before[64], path[128];

	snprintf(before, sizeof(before), "%s", get(a));
	is_ret(put_text(a, "5\n"), -EACCES, "%s: not even root may write it",
	       a->path);
	is_str(get(a), before, "%s: stays what it was", a->path);

	/* Root can make it writable: sysfs goes by the mode alone. */
	full_path(path, sizeof(path), a);
	if (chmod(path, 0600))
		bail_out("root can change a mode");
	is_ret(put_text(a, "0\n"), -EIO, "%s: nor with another mode", a->path);
	is_ret(put_text(a, "default\n"), -EIO, "%s: whatever it writes", a->path);
	is_str(get(a), before, "%s: and it stays what it was", a->path);
	if (chmod(path, a->mode))
		bail_out("root can change a mode back");
}

/* Each file of folder @name is in the table; of the client's if that is NULL. */
static void test_nothing_else(const char *name)
{
	char path[256], wanted[300];
	struct dirent *entry;
	DIR *folder;

	if (name)
		snprintf(path, sizeof(path), "%s/%s", RNGQ_SYSFS, name);
	else
		snprintf(path, sizeof(path), "%s/clients/%llu", RNGQ_SYSFS,
			 client_id);
	folder = opendir(path);
	if (!folder)
		bail_out("there is %s", path);
	while ((entry = readdir(folder))) {
		bool found = false;

		if (entry->d_type == DT_DIR)
			continue;
		snprintf(wanted, sizeof(wanted), "%s%s%s", name ?: "",
			 name ? "/" : "", entry->d_name);
		for (size_t i = 0; i < ARRAY_SIZE(attributes); i++)
			found |= attributes[i].per_client == !name &&
				 !strcmp(attributes[i].path, wanted);
		ok(found, "%s/%s is in the interface", path, entry->d_name);
	}
	closedir(folder);
}

int main(void)
{
	int fd;

	rngq_keep_globals();
	fd = rngq_open(O_NONBLOCK);
	client_id = rngq_id(fd);

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		const struct attribute *a = &attributes[i];

		test_value(a);
		test_nobody(a);
		if (!a->before) {
			test_read_only(a);
			continue;
		}
		expect_taken(a, a->before, a->before);
		test_bad(a);
		test_nul(a);
		if (!a->is_quota)
			test_good(a);
	}
	/* "default" as a value is tested in sysfs-live.c. */
	test_nothing_else(NULL);
	test_nothing_else("default");
	test_nothing_else("total");
	test_nothing_else("limits");
	test_nothing_else("stats");
	close(fd);
	return done_testing();
}
