// SPDX-License-Identifier: GPL-2.0
/*
 * The module itself: its parameters, what it says in the log, when it may be
 * unloaded, and that coming and going leaves nothing behind. RNGQUOTA_KO names
 * the file. It is left loaded without parameters, as the other tests need it.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "rngq.h"

#define MODULE_SYSFS		"/sys/module/rngquota"
#define MISC_MAJOR		10
#define KERN_WARNING_LEVEL	4
#define ROUNDS			5
#define CYCLES_PER_ROUND	20

static bool loaded(void)
{
	return !access(MODULE_SYSFS, F_OK);
}

static void leave_loaded(void)
{
	rngq_unload();
	rngq_load("");
}

/* The kernel's log from here on. (All else in it is vm/kernel-log's.) */
static int start_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		bail_out("the kernel's log can be read");
	return fd;
}

struct log {
	unsigned int lines;		/* that name the module */
	unsigned int naming;		/* of these, that name something */
	unsigned int warnings;		/* of these, at this level or worse */
	char text[1024];		/* the last line */
};

/* Whether @text has @name as a word of its own. */
static bool names(const char *text, const char *name)
{
	for (const char *at = text; (at = strstr(at, name)); at++) {
		char before = at == text ? ' ' : at[-1];
		char after = at[strlen(name)];

		if (!isalnum(before) && before != '_' && !isalnum(after) &&
		    after != '_')
			return true;
	}
	return false;
}

static struct log end_log(int fd, const char *name)
{
	struct log log = { };
	char record[8192];
	ssize_t size;

	/* "level+facility,number,time,flags;text" and a newline */
	while ((size = read(fd, record, sizeof(record) - 1)) > 0 ||
	       errno == EPIPE) {
		char *text;

		if (size <= 0)
			continue;
		record[size] = '\0';
		text = strchr(record, ';');
		/* Of modules out of its tree the loader says that they are. */
		if (!text || strstr(text, "taint"))
			continue;
		/* DEBUG_KOBJECT_RELEASE tells of each object that goes. */
		if (!strncmp(text, ";kobject: ", strlen(";kobject: ")))
			continue;
		if (!strstr(text, "rngquota"))
			continue;
		log.lines++;
		log.warnings += atoi(record) % 8 <= KERN_WARNING_LEVEL;
		if (name && names(text, name))
			log.naming++;
		snprintf(log.text, sizeof(log.text), "%s", text + 1);
	}
	close(fd);
	return log;
}

static const struct param {
	const char *name;
	const char *attribute;
	const char *at_load;
	const char *above;	/* the lowest that is too high */
} params[] = {
	{ "rate_bytes", "default/rate_bytes", "1024\n", "1099511627777" },
	{ "period_ms", "default/period_ms", "1000\n", "4294967296" },
	{ "burst_bytes", "default/burst_bytes", "0\n", "1099511627777" },
	{ "boot_bytes", "default/boot_bytes", "0\n", "1099511627777" },
	{ "total_rate_bytes", "total/rate_bytes", "max\n", "1099511627777" },
	{ "total_period_ms", "total/period_ms", "1000\n", "4294967296" },
	{ "total_burst_bytes", "total/burst_bytes", "0\n", "1099511627777" },
	{ "max_clients", "limits/max_clients", "16384\n", "1048577" },
	{ "max_clients_per_process", "limits/max_clients_per_process", "8\n",
	  "1048577" },
};

static const char *read_param(const char *name)
{
	static char text[64];
	char path[128];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/parameters/%s", MODULE_SYSFS, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (size < 0)
		bail_out("%s can be read", path);
	close(fd);
	text[size] = '\0';
	return text;
}

static void is_param(const struct param *param, const char *wanted)
{
	char text[64];

	rngq_attr_read(text, sizeof(text), "%s", param->attribute);
	is_str(text, wanted, "%s is %.*s", param->attribute,
	       (int)strcspn(wanted, "\n"), wanted);
	is_str(read_param(param->name), wanted, "so is parameters/%s",
	       param->name);
}

/* The column "at load", and the device itself. */
static void test_at_load(void)
{
	static const char *const stats[] = {
		"clients", "opens", "bytes", "reads", "throttled",
		"throttled_ms", "refused",
	};
	int log_fd = start_log(), fd;
	struct stat device, param;
	struct log log;

	is_ret(rngq_load(""), 0, "the module loads without parameters");
	for (size_t i = 0; i < ARRAY_SIZE(params); i++) {
		char path[128];

		is_param(&params[i], params[i].at_load);
		snprintf(path, sizeof(path), "%s/parameters/%s", MODULE_SYSFS,
			 params[i].name);
		ok(!stat(path, &param) && (param.st_mode & 07777) == 0444,
		   "parameters/%s is 0444", params[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(stats); i++)
		is_u64(rngq_attr("stats/%s", stats[i]), 0, "stats/%s is 0",
		       stats[i]);
	if (stat(RNGQ_DEV, &device))
		bail_out("there is %s", RNGQ_DEV);
	ok(S_ISCHR(device.st_mode) && major(device.st_rdev) == MISC_MAJOR,
	   "the device is a misc character device");
	is_u64(device.st_mode & 07777, 0440, "its mode is 0440");
	fd = rngq_open(0);
	is_u64(rngq_id(fd), 1, "ids count up from 1");
	close(fd);
	is_ret(rngq_unload(), 0, "it unloads");
	ok(!loaded() && access(RNGQ_SYSFS, F_OK) && access(RNGQ_DEV, F_OK),
	   "and is gone with its folder and its device");
	log = end_log(log_fd, NULL);
	is_between(log.lines, 0, 2, "it said at most two lines");
	is_u64(log.warnings, 0, "and none was a warning");
}

struct param_value {
	const char *param;
	const char *value;
};

static const struct param_value good_values[] = {
	{ "rate_bytes", "1" },
	{ "rate_bytes", "1099511627776" },
	{ "rate_bytes", "max" },
	{ "period_ms", "1" },
	{ "period_ms", "4294967295" },
	{ "burst_bytes", "0" },
	{ "burst_bytes", "1099511627776" },
	{ "boot_bytes", "0" },
	{ "boot_bytes", "1099511627776" },
	{ "total_rate_bytes", "1" },
	{ "total_rate_bytes", "1099511627776" },
	{ "total_rate_bytes", "max" },
	{ "total_period_ms", "1" },
	{ "total_period_ms", "4294967295" },
	{ "total_burst_bytes", "0" },
	{ "total_burst_bytes", "1099511627776" },
	{ "max_clients", "1" },
	{ "max_clients", "1048576" },
	{ "max_clients", "max" },
	{ "max_clients_per_process", "1" },
	{ "max_clients_per_process", "1048576" },
	{ "max_clients_per_process", "max" },
};

static const struct param_value together[] = {
	{ "rate_bytes", "24" },
	{ "period_ms", "3600000" },
	{ "burst_bytes", "48" },
	{ "boot_bytes", "512" },
	{ "total_rate_bytes", "590" },
	{ "total_period_ms", "3600000" },
	{ "total_burst_bytes", "10" },
	{ "max_clients", "9" },
	{ "max_clients_per_process", "1" },
};

static void test_good(void)
{
	char text[512];
	int fd, own, size = 0;

	for (size_t i = 0; i < ARRAY_SIZE(good_values); i++) {
		const struct param_value *v = &good_values[i];

		snprintf(text, sizeof(text), "%s=%s", v->param, v->value);
		is_ret(rngq_load(text), 0, "%s is taken", text);
		snprintf(text, sizeof(text), "%s\n", v->value);
		for (size_t p = 0; p < ARRAY_SIZE(params); p++)
			is_param(&params[p], strcmp(params[p].name, v->param) ?
				 params[p].at_load : text);
		is_ret(rngq_unload(), 0, "it unloads");
	}

	for (size_t i = 0; i < ARRAY_SIZE(together); i++)
		size += snprintf(text + size, sizeof(text) - size, "%s=%s ",
				 together[i].param, together[i].value);
	is_ret(rngq_load(text), 0, "all parameters together are taken");
	fd = rngq_open(0);
	is_u64(rngq_client(fd, "rate_bytes"), 24, "a client has the rate");
	is_u64(rngq_client(fd, "period_ms"), 3600000, "and the period");
	is_u64(rngq_client(fd, "burst_bytes"), 48, "and the burst");
	is_u64(rngq_drain(fd), 24 + 48 + 512, "and the boot credit on top");
	own = open(RNGQ_DEV, O_RDONLY);
	is_u64(rngq_drain(own), 16, "the next has what is left of the total");
	ok(open(RNGQ_DEV, O_RDONLY) < 0 && errno == EMFILE,
	   "a process has one client");
	is_u64(rngq_attr("limits/max_clients"), 9, "and the host has nine");
	is_ret(rngq_attr_write("7", "default/rate_bytes"), 0,
	       "the default can be changed");
	is_str(read_param("rate_bytes"), "24\n",
	       "parameters/rate_bytes is the value at load");
	close(own);
	close(fd);
	is_ret(rngq_unload(), 0, "it unloads");
}

static void test_bad_value(const char *param, const char *value)
{
	int log_fd = start_log();
	struct log log;
	char text[128];

	snprintf(text, sizeof(text), "%s=%s", param, value);
	is_ret(rngq_load(text), -EINVAL, "%s is refused", text);
	log = end_log(log_fd, param);
	if (!ok(!loaded(), "the module is not loaded then"))
		rngq_unload();
	/* "one line in the log that names it" */
	if (!ok(log.lines == 1 && log.naming == 1,
		"one line in the log names %s", param))
		diag("%u lines, %u name it; the last is %s", log.lines,
		     log.naming, log.text);
}

static void test_bad(void)
{
	static const char *const values[] = {
		"", "\" 5\"", "\"5 \"", "x", "5x", "0x10", "-1", "1.0", "1e3",
		"1k", "1,2", "\"1 2\"", "MAX", "maximum", "default", "none",
		"9223372036854775808", "18446744073709551616",
		"18446744073709551621",
	};
	static const struct param_value others[] = {
		{ "rate_bytes", "0" },
		{ "period_ms", "0" },
		{ "period_ms", "max" },
		{ "burst_bytes", "max" },
		{ "boot_bytes", "max" },
		{ "total_rate_bytes", "0" },
		{ "total_period_ms", "0" },
		{ "total_period_ms", "max" },
		{ "total_burst_bytes", "max" },
		{ "max_clients", "0" },
		{ "max_clients_per_process", "0" },
	};

	/* A third of the values each, since loading takes its time. */
	for (size_t p = 0; p < ARRAY_SIZE(params); p++) {
		for (size_t i = p % 3; i < ARRAY_SIZE(values); i += 3)
			test_bad_value(params[p].name, values[i]);
		test_bad_value(params[p].name, params[p].above);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		test_bad_value(others[i].param, others[i].value);
}

static void test_busy(void)
{
	char bytes[16], text[64];
	int fd, copy, attribute;

	if (rngq_load(""))
		bail_out("the module loads");
	fd = rngq_open(O_NONBLOCK);
	copy = dup(fd);
	is_ret(rngq_unload(), -EWOULDBLOCK, "no unloading while a client is open");
	is_ret(read(fd, bytes, sizeof(bytes)), sizeof(bytes),
	       "the client goes on");
	close(fd);
	is_ret(rngq_unload(), -EWOULDBLOCK, "nor while a copy of it is");
	attribute = open(RNGQ_SYSFS "/default/rate_bytes", O_RDWR | O_CLOEXEC);
	if (attribute < 0 || pread(attribute, text, sizeof(text), 0) <= 0)
		bail_out("an attribute can be read");
	close(copy);
	is_ret(rngq_unload(), 0, "a file in sysfs does not hold the module");
	is_ret(pread(attribute, text, sizeof(text), 0) < 0 ? -errno : 0,
	       -ENODEV, "which then gives ENODEV to read");
	is_ret(write(attribute, "5", 1) < 0 ? -errno : 0, -ENODEV,
	       "and to write");
	close(attribute);
}

static u64 slab_kib(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "r");
	char line[128];
	u64 kib = 0;

	while (meminfo && fgets(line, sizeof(line), meminfo))
		sscanf(line, "SUnreclaim: %llu", &kib);
	if (!kib)
		bail_out("/proc/meminfo tells SUnreclaim");
	fclose(meminfo);
	return kib;
}

static atomic_bool looking = true;

/* Be inside the module's attributes as often as possible. */
static void *look(void *unexpected)
{
	static const char *const paths[] = {
		"default/rate_bytes", "stats/bytes", "clients/1/bytes",
		"clients/1/available",
	};
	char text[64];

	while (looking)
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
			ssize_t ret = rngq_attr_read(text, sizeof(text), "%s",
						     paths[i]);

			if (ret < 0 && ret != -ENOENT && ret != -ENODEV)
				*(int *)unexpected = -ret;
		}
	return NULL;
}

struct cycles {
	unsigned int done;
	unsigned int worst_lines;
	unsigned int warnings;
};

/* Load, read, unload: false if that doesn't work. */
static bool cycle(struct cycles *cycles)
{
	int log_fd = start_log(), fd;
	struct log log;
	char bytes[16];

	if (rngq_load(""))
		return false;
	fd = rngq_open(O_NONBLOCK);
	if (read(fd, bytes, sizeof(bytes)) != sizeof(bytes))
		return false;
	close(fd);
	if (rngq_unload())
		return false;
	log = end_log(log_fd, NULL);
	if (log.lines > cycles->worst_lines)
		cycles->worst_lines = log.lines;
	cycles->warnings += log.warnings;
	cycles->done++;
	return true;
}

static void test_cycles(void)
{
	/* Unloading takes seconds where releases of kobjects are delayed. */
	const u64 per_round = (CYCLES_PER_ROUND - 1) / rngq_slowness() + 1;
	/*
	 * A page lost in each cycle is four times this, in every round. What else the
	 * kernel does may grow as much, but not each time.
	 */
	const u64 leak_kib = per_round;
	unsigned int rounds_grown = 0;
	struct cycles cycles = { };
	u64 before_kib, after_kib;
	bool working = true;
	int unexpected = 0;
	pthread_t thread;

	if (pthread_create(&thread, NULL, look, &unexpected))
		bail_out("there are threads");
	for (int round = 0; round < ROUNDS; round++) {
		before_kib = slab_kib();
		for (u64 i = 0; working && i < per_round; i++)
			working = cycle(&cycles);
		after_kib = slab_kib();
		diag("slab: %llu KiB, then %llu KiB", before_kib, after_kib);
		rounds_grown += after_kib >= before_kib + leak_kib;
	}
	looking = false;
	pthread_join(thread, NULL);
	is_u64(cycles.done, ROUNDS * per_round, "loaded, read and unloaded, again and again");
	is_between(cycles.worst_lines, 0, 2, "at most two lines in the log each time");
	is_u64(cycles.warnings, 0, "and none was a warning");
	is_ret(unexpected, 0, "attributes are there, or are gone, nothing else");
	/* KASAN keeps what was freed: there it is kmemleak that sees what is lost. */
	if (rngq_slowness() == 1)
		ok(rounds_grown < ROUNDS, "the slab does not grow, round for round");
}

int main(void)
{
	if (loaded() && rngq_unload())
		bail_out("nobody else uses the module");
	if (atexit(leave_loaded))
		bail_out("an exit handler can be set");
	test_at_load();
	test_good();
	test_bad();
	test_busy();
	test_cycles();
	return done_testing();
}
