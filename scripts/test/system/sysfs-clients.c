// SPDX-License-Identifier: GPL-2.0
/*
 * clients/<id>/: when the folders come and go, whom they name, and that
 * nobody is hurt who is inside one when it goes.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

#define HAMMER_MS		3000
#define HAMMER_CLIENTS		8
#define HAMMERS			2
#define OPENER_UID		1001
#define OPENER_EUID		65534

static const char *const files[] = {
	"rate_bytes", "period_ms", "burst_bytes", "quota", "overrides", "pid",
	"comm", "uid", "available", "bytes", "reads", "throttled", "throttled_ms",
};

/* The first of them can be written. */
#define WRITABLE		4

static bool exists(u64 id)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/clients/%llu", RNGQ_SYSFS, id);
	return !access(path, F_OK);
}

static void test_ids(void)
{
	u64 clients = rngq_attr("stats/clients"), opens = rngq_attr("stats/opens");
	int first = rngq_open(0), second = rngq_open(0), third;
	u64 first_id = rngq_id(first), second_id = rngq_id(second);

	is_u64(second_id, first_id + 1, "ids count up");
	ok(exists(first_id) && exists(second_id), "each client has its folder");
	is_u64(rngq_attr("stats/clients"), clients + 2, "stats/clients counts them");
	is_u64(rngq_attr("stats/opens"), opens + 2, "stats/opens as well");
	close(first);
	ok(!exists(first_id), "the folder goes with close()");
	is_u64(rngq_attr("stats/clients"), clients + 1, "stats/clients goes down");
	close(second);
	third = rngq_open(0);
	is_u64(rngq_id(third), second_id + 1, "ids are not used again");
	is_u64(rngq_attr("stats/opens"), opens + 3, "stats/opens never goes down");
	close(third);
	is_u64(rngq_attr("stats/clients"), clients, "stats/clients is as before");
}

static void test_last_close(void)
{
	int fd = rngq_open(0), copy, sockets[2], wake[2];
	u64 id = rngq_id(fd);
	pid_t holder;

	copy = dup(fd);
	if (copy < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) ||
	    pipe(wake))
		bail_out("there are descriptors");
	close(fd);
	ok(exists(id), "the folder stays while a dup() is open");

	if (send_descriptor(sockets[0], copy, 0))
		bail_out("a descriptor can be sent");
	close(copy);
	ok(exists(id), "it stays while the only descriptor is under way");
	fd = receive_descriptor(sockets[1], 0);
	if (fd < 0)
		bail_out("a descriptor can be received");
	is_u64(rngq_id(fd), id, "what arrives is the same client");

	holder = fork();
	if (holder < 0)
		bail_out("a child can be forked");
	if (!holder) {
		char byte;

		close(wake[1]);
		_exit(read(wake[0], &byte, 1) != 0);
	}
	close(fd);
	ok(exists(id), "it stays while a child has inherited it");
	close(wake[1]);
	waitpid(holder, NULL, 0);
	ok(!exists(id), "it goes when the child has ended");
	close(wake[0]);
	close(sockets[0]);
	close(sockets[1]);
}

/* fdinfo and the folder tell the same. */
static void test_fdinfo(void)
{
	static const char *const lines[][2] = {
		{ "rate-bytes", "rate_bytes" },
		{ "period-ms", "period_ms" },
		{ "burst-bytes", "burst_bytes" },
		{ "available", "available" },
		{ "bytes", "bytes" },
		{ "reads", "reads" },
		{ "throttled", "throttled" },
		{ "throttled-ms", "throttled_ms" },
	};
	int fd = rngq_open(0);
	char bytes[10];

	rngq_set_quota(fd, 77, 3600000, 11);
	if (rngq_read_nowait(fd, bytes, sizeof(bytes)) != sizeof(bytes))
		bail_out("there are bytes at first");
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		is_u64(rngq_fdinfo(fd, lines[i][0]),
		       rngq_client(fd, lines[i][1]),
		       "fdinfo's rngquota-%s is %s", lines[i][0], lines[i][1]);
	rngq_set_quota(fd, RNGQ_MAX, 1000, 0);
	is_u64(rngq_fdinfo(fd, "rate-bytes"), RNGQ_MAX, "fdinfo says max");
	is_u64(rngq_fdinfo(fd, "available"), RNGQ_MAX, "twice");
	close(fd);
}

static void *open_in_thread(void *fd)
{
	prctl(PR_SET_NAME, "a thread");
	*(int *)fd = open(RNGQ_DEV, O_RDONLY);
	return NULL;
}

/* A process with a name and two users, whose second thread opens the device. */
static void run_opener(int via)
{
	struct stat device;
	pthread_t thread;
	int fd = -1;
	char byte;

	prctl(PR_SET_NAME, "the leader");
	if (stat(RNGQ_DEV, &device) ||
	    setresgid(device.st_gid, device.st_gid, 0) ||
	    setresuid(OPENER_UID, OPENER_EUID, 0) ||
	    pthread_create(&thread, NULL, open_in_thread, &fd) ||
	    pthread_join(thread, NULL) || fd < 0)
		_exit(1);
	if (send_descriptor(via, fd, 0))
		bail_out("a descriptor can be sent");
	close(fd);
	/* Until the other end is closed. */
	_exit(read(via, &byte, 1) != 0);
}

static void check_opener(u64 id, pid_t pid, const char *when)
{
	char text[64];

	is_u64(rngq_attr("clients/%llu/pid", id), pid,
	       "pid is the opener's thread group, %s", when);
	rngq_attr_read(text, sizeof(text), "clients/%llu/comm", id);
	is_str(text, "the leader\n", "comm is its leader's, %s", when);
	is_u64(rngq_attr("clients/%llu/uid", id), OPENER_EUID,
	       "uid is its effective user, %s", when);
}

static void test_opener(void)
{
	int sockets[2], status, fd;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		bail_out("there are sockets");
	pid = fork();
	if (pid < 0)
		bail_out("a child can be forked");
	if (!pid) {
		close(sockets[0]);
		run_opener(sockets[1]);
	}
	close(sockets[1]);
	fd = receive_descriptor(sockets[0], 0);
	if (fd < 0)
		bail_out("a descriptor can be received");
	check_opener(rngq_id(fd), pid, "held by another process");
	close(sockets[0]);
	if (waitpid(pid, &status, 0) != pid || status)
		bail_out("the opener ends well");
	check_opener(rngq_id(fd), pid, "after it died");
	close(fd);
}

/* A process names itself, and root's terminal reads it. */
static void test_comm(void)
{
	static const struct {
		const char *name;
		const char *shown;
	} names[] = {
		{ "stra\303\237e", "stra\303\237e\n" },
		{ "a\nb\tc", "a\\nb\\tc\n" },
		{ "a\\nb", "a\\\\nb\n" },
		{ "\033[2J\177", "\\e[2J\\177\n" },
		{ "", "\n" },
	};
	char own[16], text[128];

	prctl(PR_GET_NAME, own);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd;

		prctl(PR_SET_NAME, names[i].name);
		fd = open(RNGQ_DEV, O_RDONLY);
		rngq_attr_read(text, sizeof(text), "clients/%llu/comm", rngq_id(fd));
		is_str(text, names[i].shown, "comm %zu is shown so that it does no harm", i);
		close(fd);
	}
	prctl(PR_SET_NAME, own);
}

/* What is seen inside a PID namespace. */
struct inside {
	u64 id;
	u64 own_pid;
	u64 outer_pid;	/* of a client opened outside */
};

static void run_inside(u64 outer_id, int report, int until)
{
	struct inside in;
	int fd = open(RNGQ_DEV, O_RDONLY);
	char byte;

	if (fd < 0)
		_exit(1);
	in.id = rngq_id(fd);
	in.own_pid = rngq_client(fd, "pid");
	in.outer_pid = rngq_attr("clients/%llu/pid", outer_id);
	if (write(report, &in, sizeof(in)) != sizeof(in))
		_exit(1);
	_exit(read(until, &byte, 1) != 0);
}

static void test_pid_namespace(void)
{
	int outer = rngq_open(0), pids[2], report[2], until[2], status;
	u64 outer_id = rngq_id(outer);
	struct inside in;
	pid_t maker, pid;

	if (pipe(pids) || pipe(report) || pipe(until))
		bail_out("there are pipes");
	maker = fork();
	if (maker < 0)
		bail_out("a child can be forked");
	if (!maker) {
		close(until[1]);
		if (unshare(CLONE_NEWPID))
			_exit(1);
		pid = fork();
		if (pid < 0)
			_exit(1);
		if (!pid)
			run_inside(outer_id, report[1], until[0]);
		if (write(pids[1], &pid, sizeof(pid)) != sizeof(pid) ||
		    waitpid(pid, &status, 0) != pid)
			_exit(1);
		_exit(status ? 1 : 0);
	}
	close(pids[1]);
	close(report[1]);
	if (read(pids[0], &pid, sizeof(pid)) != sizeof(pid) ||
	    read(report[0], &in, sizeof(in)) != sizeof(in))
		bail_out("a process in a PID namespace reports");
	is_u64(in.own_pid, 1, "inside a PID namespace, pid is the inner one");
	is_u64(rngq_attr("clients/%llu/pid", in.id), pid,
	       "outside, pid is the outer one");
	is_u64(in.outer_pid, 0, "whom a namespace cannot see has no pid in it");
	close(until[1]);
	if (waitpid(maker, &status, 0) != maker || status)
		bail_out("the namespace ends well");
	close(until[0]);
	close(report[0]);
	close(pids[0]);
	close(outer);
}

/* A folder and its files, held open while the client goes. */
static void test_held_open(void)
{
	int fd = rngq_open(0), held[ARRAY_SIZE(files)], folder;
	u64 id = rngq_id(fd);
	struct dirent *entry;
	char path[256], text[64];
	unsigned int left = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/clients/%llu", RNGQ_SYSFS, id);
	folder = open(path, O_RDONLY | O_DIRECTORY);
	if (folder < 0)
		bail_out("the folder can be opened");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		held[i] = openat(folder, files[i], i < WRITABLE ? O_RDWR : O_RDONLY);
		if (held[i] < 0)
			bail_out("%s can be opened", files[i]);
		/* One that has been read before, and one that has not. */
		if (i % 2 && pread(held[i], text, sizeof(text), 0) <= 0)
			bail_out("%s can be read", files[i]);
	}
	close(fd);
	ok(!exists(id), "the folder goes although its files are held open");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ssize_t size = pread(held[i], text, sizeof(text), 0);

		is_ret(size < 0 ? -errno : size, -ENODEV,
		       "reading %s of a closed client gives ENODEV", files[i]);
		if (i < WRITABLE) {
			size = write(held[i], "5\n", 2);
			is_ret(size < 0 ? -errno : size, -ENODEV,
			       "writing %s gives ENODEV", files[i]);
		}
		close(held[i]);
	}
	dir = fdopendir(folder);
	while (dir && (entry = readdir(dir)))
		left += entry->d_type != DT_DIR;
	is_u64(left, 0, "the folder, held open, is empty");
	closedir(dir);
}

static atomic_bool hammering = true;

struct hammer {
	pthread_t thread;
	u64 done;
	u64 gone;
	int unexpected;		/* an errno that nobody should see */
};

static void hammer_client(struct hammer *hammer, const char *id)
{
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		ssize_t ret = rngq_attr_read(text, sizeof(text),
					     "clients/%s/%s", id, files[i]);

		if (ret > 0 && i < WRITABLE)
			ret = rngq_attr_write("7\n", "clients/%s/%s", id,
					      files[i]);
		if (ret >= 0)
			hammer->done++;
		else if (ret == -ENOENT || ret == -ENODEV)
			hammer->gone++;
		else
			hammer->unexpected = -ret;
	}
}

static void *run_hammer(void *data)
{
	struct hammer *hammer = data;

	while (hammering) {
		DIR *clients = opendir(RNGQ_SYSFS "/clients");
		struct dirent *entry;

		while (clients && (entry = readdir(clients)))
			if (entry->d_name[0] != '.')
				hammer_client(hammer, entry->d_name);
		if (clients)
			closedir(clients);
	}
	return NULL;
}

/* Open, read and close while others are in every file of every folder. */
static void test_hammer(void)
{
	u64 clients = rngq_attr("stats/clients"), start_ms = rngq_now_ms();
	struct hammer hammers[HAMMERS] = { };
	int fds[HAMMER_CLIENTS];
	u64 opened = 0, done = 0, gone = 0;

	for (int i = 0; i < HAMMERS; i++)
		if (pthread_create(&hammers[i].thread, NULL, run_hammer,
				   &hammers[i]))
			bail_out("there are threads");
	while (rngq_now_ms() - start_ms < HAMMER_MS) {
		char bytes[16];

		for (int i = 0; i < HAMMER_CLIENTS; i++)
			fds[i] = rngq_open(O_NONBLOCK);
		for (int i = 0; i < HAMMER_CLIENTS; i++) {
			if (read(fds[i], bytes, sizeof(bytes)) < 0 &&
			    errno != EAGAIN)
				bail_out("a client can be read");
			close(fds[i]);
		}
		opened += HAMMER_CLIENTS;
	}
	hammering = false;
	for (int i = 0; i < HAMMERS; i++) {
		pthread_join(hammers[i].thread, NULL);
		is_ret(hammers[i].unexpected, 0,
		       "a file is there, or is gone, nothing else");
		done += hammers[i].done;
		gone += hammers[i].gone;
	}
	diag("%llu clients; %llu files read or written, %llu gone", opened,
	     done, gone);
	ok(done > 0, "files were read while clients came and went");
	is_u64(rngq_attr("stats/clients"), clients, "no client is left");
}

int main(void)
{
	rngq_keep_globals();
	test_ids();
	test_last_close();
	test_fdinfo();
	test_opener();
	test_comm();
	test_pid_namespace();
	test_held_open();
	test_hammer();
	return done_testing();
}
