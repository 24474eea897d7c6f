// SPDX-License-Identifier: GPL-2.0
/*
 * Garbage as parameters of the module: when it is loaded, and in their files,
 * which are read-only unless root makes them something else. RNGQUOTA_KO names
 * the module, which is left loaded without parameters, as other tests need it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "garbage.h"
#include "rngq.h"

/*
 * Where the release of objects is put off to find errors, unloading takes
 * seconds. A load that is refused comes to an end before there are any.
 */
#define BAD_LOADS	200
#define GOOD_LOADS	4
#define WRITES		3000
#define MAX_VALUES	12	/* in one load; the last one for a parameter counts */
#define MAX_SIZE	300	/* so that the parameter's name is not cut off in the log */
#define MAX_WRONG	20

#define MODULE_SYSFS	"/sys/module/rngquota"

static struct garbage garbage;
static char *image;
static size_t image_size;

static unsigned int wrong_results, wrong_texts;

static void read_image(void)
{
	const char *path = getenv("RNGQUOTA_KO");
	struct stat file;
	int fd;

	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || fstat(fd, &file))
		bail_out("RNGQUOTA_KO names the module");
	image_size = file.st_size;
	image = malloc(image_size);
	if (!image || read(fd, image, image_size) != file.st_size)
		bail_out("the module can be read");
	close(fd);
}

static int load(const char *params)
{
	return syscall(SYS_init_module, image, image_size, params) ? -errno : 0;
}

static int unload(void)
{
	return syscall(SYS_delete_module, "rngquota", O_NONBLOCK) ? -errno : 0;
}

static void leave_loaded(void)
{
	unload();
	load("");
}

static void is_value(const char *path, u64 wanted)
{
	char got[64], text[24];
	ssize_t size;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);
	close(fd);
	got[size < 0 ? 0 : size] = '\0';
	if (!strcmp(got, setting_print(wanted, text)))
		return;
	wrong_texts++;
	diag("%s reads \"%s\"", path, garbage_show(got, strlen(got)));
	diag("wanted is \"%s\"", garbage_show(text, strlen(text)));
}

/* @values are what the attributes show; the parameters' files show @at_load. */
static void check_values(const u64 *values, const u64 *at_load)
{
	char path[128];

	for (int i = 0; i < SETTINGS; i++) {
		snprintf(path, sizeof(path), "%s/%s", RNGQ_SYSFS,
			 settings[i].attribute);
		is_value(path, values[i]);
		snprintf(path, sizeof(path), "%s/parameters/%s", MODULE_SYSFS,
			 settings[i].param);
		is_value(path, at_load[i]);
	}
}

static int setting_parse_param(const struct setting *setting, const char *text,
			       size_t size, u64 *value)
{
	return setting_parse(setting, false, text, size, value) ? -EINVAL : 0;
}

/* What the kernel takes for a space. */
static bool is_space(char c)
{
	return strchr(" \t\n\v\f\r\xa0", c);
}

/* As text that the kernel takes apart again as it was: its length. */
static size_t print_value(char *line, const struct setting *setting,
			  const char *text, size_t size)
{
	bool quoted = garbage_chance(&garbage, 50);
	size_t len = sprintf(line, "%s", setting->param);

	/* It takes the one for the other. */
	if (garbage_chance(&garbage, 20))
		for (char *c = line; (c = strchr(c, '_')); c++)
			*c = '-';
	for (size_t i = 0; i < size; i++)
		quoted |= is_space(text[i]);
	line[len++] = '=';
	if (quoted)
		line[len++] = '"';
	memcpy(line + len, text, size);
	len += size;
	if (quoted)
		line[len++] = '"';
	line[len++] = ' ';
	line[len] = '\0';
	return len;
}

/* Garbage that the kernel hands on as it is, and reports in one line: its size. */
static size_t param_text(const struct setting *setting, bool good, char *text,
			 u64 *value)
{
	size_t size;

	do {
		size = garbage_text(&garbage, setting, text);
		if (size > MAX_SIZE)
			size = MAX_SIZE;
		for (size_t i = 0; i < size; i++)
			if (!text[i] || text[i] == '"')
				text[i] = 'x';
		if (!setting_parse_param(setting, text, size, value))
			return size;
	} while (good);
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\n')
			text[i] = '\v';
	return size;
}

struct params {
	char line[MAX_VALUES * (MAX_SIZE + 40)];
	u64 values[SETTINGS];
	unsigned int count_bad;
	const char *bad[MAX_VALUES];	/* in their order */
};

static void make_params(struct params *params, bool good)
{
	unsigned int count = 1 + garbage_below(&garbage, MAX_VALUES);
	size_t at = 0;

	params->count_bad = 0;
	for (int i = 0; i < SETTINGS; i++)
		params->values[i] = settings[i].at_load;
	for (unsigned int i = 0; i < count; i++) {
		enum garbage_setting which = garbage_below(&garbage, SETTINGS);
		const struct setting *setting = &settings[which];
		char text[GARBAGE_ROOM];
		size_t size;
		u64 value;

		do {
			size = param_text(setting, good, text, &value);
			/* One of them has to be bad. */
		} while (!good && !i && !setting_parse_param(setting, text, size, &value));
		at += print_value(params->line + at, setting, text, size);
		if (!setting_parse_param(setting, text, size, &value))
			params->values[which] = value;
		else
			params->bad[params->count_bad++] = setting->param;
	}
}

/* The kernel's log from here on. */
static int start_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0)
		bail_out("the kernel's log can be read");
	return fd;
}

/* Does it have a line for each that is bad, which names it, and no other? */
static bool end_log(int fd, const struct params *params)
{
	char record[8192], name[64];
	unsigned int lines = 0;
	bool right = true;
	ssize_t size;

	while ((size = read(fd, record, sizeof(record) - 1)) > 0 ||
	       errno == EPIPE) {
		if (size <= 0)
			continue;
		record[size] = '\0';
		/* Of modules out of its tree the loader says that they are. */
		if (!strstr(record, ";rngquota: ") || strstr(record, "taint"))
			continue;
		for (char *c = record; (c = strchr(c, '-')); c++)
			*c = '_';
		if (lines < params->count_bad) {
			snprintf(name, sizeof(name), "invalid for parameter `%s'",
				 params->bad[lines]);
			right &= !!strstr(record, name);
		}
		lines++;
	}
	close(fd);
	return right && lines == params->count_bad;
}

static void bad_load(void)
{
	static struct params params;
	bool named;
	int fd, ret;

	make_params(&params, false);
	fd = start_log();
	ret = load(params.line);
	named = end_log(fd, &params);
	if (ret == -EINVAL && named && access(MODULE_SYSFS, F_OK) &&
	    access(RNGQ_SYSFS, F_OK) && access(RNGQ_DEV, F_OK))
		return;
	wrong_results++;
	diag("loading gave %d, %u bad, %snamed in the log: \"%s\"", ret,
	     params.count_bad, named ? "" : "not ",
	     garbage_show(params.line, strlen(params.line)));
	unload();
}

static void good_load(void)
{
	static struct params params;
	int ret;

	make_params(&params, true);
	ret = load(params.line);
	if (ret) {
		wrong_results++;
		diag("loading gave %d: \"%s\"", ret,
		     garbage_show(params.line, strlen(params.line)));
		return;
	}
	check_values(params.values, params.values);
	close(rngq_open(O_NONBLOCK));
	if (unload()) {
		wrong_results++;
		diag("it does not unload");
	}
}

/* Into the files, which stay what they are even if root makes them writable. */
static unsigned int write_files(void)
{
	u64 at_load[SETTINGS];
	unsigned int writes;
	int fds[SETTINGS];
	char path[128];

	for (int i = 0; i < SETTINGS; i++) {
		at_load[i] = settings[i].at_load;
		snprintf(path, sizeof(path), "%s/parameters/%s", MODULE_SYSFS,
			 settings[i].param);
		ok(open(path, O_WRONLY) < 0 && errno == EACCES,
		   "not even root may write parameters/%s", settings[i].param);
		if (chmod(path, 0600))
			bail_out("root can change a mode");
		fds[i] = open(path, O_RDWR | O_CLOEXEC);
		if (fds[i] < 0)
			bail_out("root can open what it has made writable");
	}
	for (writes = 0; writes < WRITES && wrong_results + wrong_texts < MAX_WRONG;
	     writes++) {
		enum garbage_setting which = garbage_below(&garbage, SETTINGS);
		char text[GARBAGE_ROOM];
		ssize_t ret;
		size_t size;

		size = garbage_text(&garbage, &settings[which], text);
		ret = pwrite(fds[which], text, size, garbage_magnitude(&garbage) >> 1);
		if (size ? ret >= 0 || errno != EIO : ret) {
			wrong_results++;
			diag("parameters/%s gave %zd to \"%s\"",
			     settings[which].param, ret, garbage_show(text, size));
		}
		if (writes % 50 == 0)
			check_values(at_load, at_load);
	}
	for (int i = 0; i < SETTINGS; i++)
		close(fds[i]);
	return writes;
}

int main(void)
{
	unsigned int bad = 0, good = 0, writes;

	garbage = garbage_new(garbage_seed(), 0);
	read_image();
	if (!access(MODULE_SYSFS, F_OK) && unload())
		bail_out("nobody else uses the module");
	if (atexit(leave_loaded))
		bail_out("an exit handler can be set");

	while ((bad < BAD_LOADS || good < GOOD_LOADS) &&
	       wrong_results + wrong_texts < MAX_WRONG) {
		if (bad * GOOD_LOADS <= good * BAD_LOADS) {
			bad_load();
			bad++;
		} else {
			good_load();
			good++;
		}
	}
	is_u64(bad + good, BAD_LOADS + GOOD_LOADS, "it was loaded so often");
	is_u64(wrong_results, 0, "a bad parameter made that fail, and was named");
	is_u64(wrong_texts, 0, "good ones were taken as they were");
	tried("garbage as parameters", "%u loads refused, %u done", bad, good);

	if (load(""))
		bail_out("the module loads");
	writes = write_files();
	is_u64(writes, WRITES, "%d writes were made", WRITES);
	is_u64(wrong_results, 0, "each was refused");
	is_u64(wrong_texts, 0, "and changed nothing");
	tried("garbage into the parameters' files", "%u writes", writes);
	return done_testing();
}
