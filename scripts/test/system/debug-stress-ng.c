// SPDX-License-Identifier: GPL-2.0
/*
 * stress-ng aimed at the device and its folder. For what can't be told where to
 * go, they are mounted over what it goes for, or, since its poll stressor knows
 * only pipes, pipe() is given a new meaning.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "garbage.h"
#include "rngq.h"

#define SECONDS		"12"
#define FOLDER		"/sys/devices/virtual/misc/rngquota"
#define MAX_OPTIONS	6

static const struct stressor {
	const char *name;
	const char *options[MAX_OPTIONS];
	const char *source;	/* mounted over these */
	const char *targets[2];
	bool has_pipes;		/* that are to be the device */
	bool opens;		/* it opens the device */
} stressors[] = {
	{ "dev", { "--dev", "2", "--dev-file", RNGQ_DEV }, .opens = true },
	{ "sysfs", { "--sysfs", "2" }, FOLDER, { "/sys" }, .opens = false },
	{ "poll", { "--poll", "2" }, .has_pipes = true, .opens = true },
	{ "urandom", { "--urandom", "2" }, RNGQ_DEV,
	  { "/dev/urandom", "/dev/random" }, .opens = true },
	{ "splice", { "--splice", "2" }, RNGQ_DEV, { "/dev/zero" }, .opens = true },
};

static char work[32];

static void remove_work(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", work);
	if (system(command))
		diag("%s is left", work);
}

/* A library in which the end of a pipe that is read is the device. */
static void make_pipe_library(void)
{
	char command[200], path[64];
	FILE *source;

	snprintf(path, sizeof(path), "%s/pipe.c", work);
	source = fopen(path, "w");
	if (!source)
		bail_out("a file can be written");
	fputs("#include <fcntl.h>\n"
	      "int pipe(int fds[2])\n"
	      "{\n"
	      "	fds[0] = open(\"" RNGQ_DEV "\", O_RDONLY);\n"
	      "	fds[1] = open(\"/dev/null\", O_WRONLY);\n"
	      "	return fds[0] < 0 || fds[1] < 0 ? -1 : 0;\n"
	      "}\n", source);
	fclose(source);
	snprintf(command, sizeof(command),
		 "gcc -shared -fPIC -o %s/pipe.so %s", work, path);
	if (system(command))
		bail_out("a library can be built");
}

static void aim(const struct stressor *stressor)
{
	char path[64];

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(100);
	for (size_t i = 0; i < ARRAY_SIZE(stressor->targets); i++)
		if (stressor->targets[i] &&
		    mount(stressor->source, stressor->targets[i], NULL, MS_BIND, NULL))
			_exit(101);
	snprintf(path, sizeof(path), "%s/pipe.so", work);
	if (stressor->has_pipes && setenv("LD_PRELOAD", path, 1))
		_exit(102);
}

/* The exit code of stress-ng. */
static int run(const struct stressor *stressor)
{
	const char *arguments[MAX_OPTIONS + 10] = {
		"stress-ng", "--timeout", SECONDS, "--temp-path", work,
		"--metrics", "--yaml", "metrics",
	};
	pid_t parent = getpid(), pid = fork();
	int status = -1, log;

	if (pid < 0)
		bail_out("there are processes");
	if (!pid) {
		for (int i = 0; stressor->options[i]; i++)
			arguments[8 + i] = stressor->options[i];
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent || chdir(work))
			_exit(103);
		signal(SIGTERM, SIG_DFL);
		aim(stressor);
		log = open("log", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(log, 1);
		dup2(log, 2);
		execvp(arguments[0], (char *const *)arguments);
		_exit(104);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		bail_out("stress-ng ends");
	return WEXITSTATUS(status);
}

/* What it says it has done. */
static u64 operations(void)
{
	char path[64], line[200];
	u64 count = 0, more;
	FILE *metrics;

	snprintf(path, sizeof(path), "%s/metrics", work);
	metrics = fopen(path, "r");
	while (metrics && fgets(line, sizeof(line), metrics))
		if (sscanf(line, " bogo-ops: %llu", &more) == 1)
			count += more;
	if (metrics)
		fclose(metrics);
	return count;
}

static void show_log(void)
{
	char path[64], line[200];
	FILE *log;

	snprintf(path, sizeof(path), "%s/log", work);
	log = fopen(path, "r");
	while (log && fgets(line, sizeof(line), log))
		diag("%.*s", (int)strcspn(line, "\n"), line);
	if (log)
		fclose(log);
}

static void test(const struct stressor *stressor)
{
	u64 clients = rngq_attr("stats/clients"), opens = rngq_attr("stats/opens");
	u64 reads = rngq_attr("stats/reads"), values[SETTINGS], give_up_ms;
	unsigned int changed = 0;
	char row[64];
	int fd;

	for (int i = 0; i < SETTINGS; i++)
		values[i] = rngq_attr("%s", settings[i].attribute);
	if (!is_ret(run(stressor), 0, "stress-ng's %s comes to its end", stressor->name))
		show_log();
	ok(operations(), "%s did something", stressor->name);
	opens = rngq_attr("stats/opens") - opens;
	reads = rngq_attr("stats/reads") - reads;
	if (stressor->opens)
		ok(opens, "to the device");

	for (give_up_ms = rngq_now_ms() + LATE_MS;
	     rngq_attr("stats/clients") > clients && rngq_now_ms() < give_up_ms;)
		rngq_sleep_ms(5);
	is_u64(rngq_attr("stats/clients"), clients, "every client has gone");
	for (int i = 0; i < SETTINGS; i++)
		changed += values[i] != rngq_attr("%s", settings[i].attribute);
	is_u64(changed, 0, "no setting has changed");
	fd = rngq_open_quota(0, 1000, HOUR_MS, 0);
	is_u64(rngq_drain(fd), 1000, "and the device serves");
	close(fd);
	snprintf(row, sizeof(row), "stress-ng --%s", stressor->name);
	tried(row, "%llu operations, %llu opens, %llu reads", operations(), opens, reads);
}

int main(void)
{
	int fd;

	strcpy(work, "/tmp/rngquota-XXXXXX");
	if (!mkdtemp(work) || atexit(remove_work))
		bail_out("there is room for temporary files");
	make_pipe_library();
	rngq_keep_globals();
	rngq_set_default(1000, 10, 1000, 0);
	rngq_set(RNGQ_MAX, "limits/max_clients_per_process");
	/* A client's folder to look at. */
	fd = rngq_open(0);
	for (size_t i = 0; i < ARRAY_SIZE(stressors); i++)
		test(&stressors[i]);
	close(fd);
	return done_testing();
}
