// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rngq.h"

#define SEED_BYTES	64

struct opening {
	int flags;
	int fd;
};

static int open_in_child(void *opening)
{
	struct opening *o = opening;

	o->fd = open(RNGQ_DEV, O_RDONLY | o->flags);
	return 0;
}

int rngq_run(int (*what)(void *), void *argument, int flags)
{
	static char stack[131072];
	cpu_set_t before, here;
	int status = -1;
	pid_t pid;

	/* Emulated CPUs take a long time to wake each other. */
	CPU_ZERO(&here);
	CPU_SET(sched_getcpu(), &here);
	if (sched_getaffinity(0, sizeof(before), &before) ||
	    sched_setaffinity(0, sizeof(here), &here))
		bail_out("a process can stay on its CPU");
	pid = clone(what, stack + sizeof(stack),
		    CLONE_VM | CLONE_VFORK | SIGCHLD | flags, argument);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail_out("a child can be started");
	sched_setaffinity(0, sizeof(before), &before);
	return status;
}

int rngq_open(int flags)
{
	struct opening o = { .flags = flags, .fd = -1 };

	/* The descriptor that the child makes is ours. */
	rngq_run(open_in_child, &o, CLONE_FILES);
	if (o.fd < 0)
		bail_out("%s can be opened", RNGQ_DEV);
	return o.fd;
}

int rngq_open_quota(int flags, u64 rate_bytes, u64 period_ms, u64 burst_bytes)
{
	int fd = rngq_open(flags);

	rngq_set_quota(fd, rate_bytes, period_ms, burst_bytes);
	return fd;
}

int rngq_open_unlimited(int flags)
{
	return rngq_open_quota(flags, RNGQ_MAX, 1000, 0);
}

bool rngq_becomes_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	return poll(&pollfd, 1, LATE_MS) == 1;
}

void rngq_line_up(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	if (poll(&pollfd, 1, 0))
		bail_out("a client that was drained has nothing to read");
}

/* Read a whole small file: its length or -errno. */
static ssize_t read_file(const char *path, char *text, size_t size)
{
	ssize_t len;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	if (len < 0)
		len = -errno;
	close(fd);
	text[len < 0 ? 0 : len] = '\0';
	return len;
}

u64 rngq_fdinfo(int fd, const char *name)
{
	char path[40], wanted[60], text[4096], *line;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	snprintf(wanted, sizeof(wanted), "\nrngquota-%s:", name);
	if (read_file(path, text, sizeof(text)) < 0)
		bail_out("%s can be read", path);
	line = strstr(text, wanted);
	if (!line)
		bail_out("fdinfo has a line rngquota-%s", name);
	line += strlen(wanted);
	line += strspn(line, " \t");
	return strncmp(line, "max", 3) ? strtoull(line, NULL, 10) : RNGQ_MAX;
}

int rngq_edge_on(int fd, unsigned int more_events)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET | more_events };
	int epoll = epoll_create1(0);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		bail_out("a client can be added to an epoll");
	return epoll;
}

int rngq_edges(int epoll, int timeout_ms)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, timeout_ms);
}

u64 rngq_id(int fd)
{
	return rngq_fdinfo(fd, "id");
}

static void attr_path(char *path, size_t size, const char *format, va_list args)
{
	int len = snprintf(path, size, "%s/", RNGQ_SYSFS);

	vsnprintf(path + len, size - len, format, args);
}

ssize_t rngq_attr_read(char *text, size_t size, const char *path, ...)
{
	char full[256];
	va_list args;

	va_start(args, path);
	attr_path(full, sizeof(full), path, args);
	va_end(args);
	return read_file(full, text, size);
}

static int put_file(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, bytes, size) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int rngq_write_file(const char *path, const char *text)
{
	return put_file(path, text, strlen(text));
}

int rngq_attr_write(const char *text, const char *path, ...)
{
	char full[256];
	va_list args;

	va_start(args, path);
	attr_path(full, sizeof(full), path, args);
	va_end(args);
	return rngq_write_file(full, text);
}

int rngq_attr_put(const void *bytes, size_t size, const char *path, ...)
{
	char full[256];
	va_list args;

	va_start(args, path);
	attr_path(full, sizeof(full), path, args);
	va_end(args);
	return put_file(full, bytes, size);
}

u64 rngq_attr(const char *path, ...)
{
	char full[256], text[64];
	va_list args;

	va_start(args, path);
	attr_path(full, sizeof(full), path, args);
	va_end(args);
	if (read_file(full, text, sizeof(text)) <= 0)
		bail_out("%s can be read", full);
	return strcmp(text, "max\n") ? strtoull(text, NULL, 10) : RNGQ_MAX;
}

void rngq_set(u64 number, const char *path, ...)
{
	char name[256], text[24];
	va_list args;

	va_start(args, path);
	vsnprintf(name, sizeof(name), path, args);
	va_end(args);
	snprintf(text, sizeof(text), "%llu", number);
	if (rngq_attr_write(number == RNGQ_MAX ? "max" : text, "%s", name))
		bail_out("%s can be set to %s", name, text);
}

void rngq_set_default(u64 rate_bytes, u64 period_ms, u64 burst_bytes,
		      u64 boot_bytes)
{
	rngq_set(rate_bytes, "default/rate_bytes");
	rngq_set(period_ms, "default/period_ms");
	rngq_set(burst_bytes, "default/burst_bytes");
	rngq_set(boot_bytes, "default/boot_bytes");
}

u64 rngq_client(int fd, const char *name)
{
	return rngq_attr("clients/%llu/%s", rngq_id(fd), name);
}

int rngq_client_write(int fd, const char *name, const char *text)
{
	return rngq_attr_write(text, "clients/%llu/%s", rngq_id(fd), name);
}

void rngq_set_quota(int fd, u64 rate_bytes, u64 period_ms, u64 burst_bytes)
{
	u64 id = rngq_id(fd);

	rngq_set(rate_bytes, "clients/%llu/rate_bytes", id);
	rngq_set(period_ms, "clients/%llu/period_ms", id);
	rngq_set(burst_bytes, "clients/%llu/burst_bytes", id);
}

ssize_t rngq_read_nowait(int fd, void *bytes, size_t size)
{
	struct iovec iov = { .iov_base = bytes, .iov_len = size };
	ssize_t count = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	return count < 0 ? -errno : count;
}

ssize_t rngq_take(int fd, size_t size)
{
	char bytes[65536];

	return rngq_read_nowait(fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes));
}

u64 rngq_drain(int fd)
{
	u64 total = 0;
	ssize_t count;

	while ((count = rngq_take(fd, 65536)) > 0)
		total += count;
	if (count != -EAGAIN)
		bail_out("draining ends with EAGAIN, not with %zd", count);
	return total;
}

static const char *const globals[] = {
	"default/rate_bytes", "default/period_ms", "default/burst_bytes",
	"default/boot_bytes", "total/rate_bytes", "total/period_ms",
	"total/burst_bytes", "limits/max_clients",
	"limits/max_clients_per_process",
};

static char kept[ARRAY_SIZE(globals)][32];

static void restore_globals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(globals); i++)
		if (kept[i][0])
			rngq_attr_write(kept[i], "%s", globals[i]);
}

/* A test that hangs must not spoil the others when timeout(1) ends it. */
static void restore_and_die(int signal)
{
	restore_globals();
	_exit(128 + signal);
}

void rngq_keep_globals(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(globals); i++)
		if (rngq_attr_read(kept[i], sizeof(kept[i]), "%s", globals[i]) < 0)
			kept[i][0] = '\0';
	if (atexit(restore_globals) || signal(SIGTERM, restore_and_die) == SIG_ERR)
		bail_out("exit handlers can be set");
}

void rngq_wait_asleep(pid_t tid, long nr)
{
	u64 give_up_ms = rngq_now_ms() + 10000;
	char path[40], text[256];

	snprintf(path, sizeof(path), "/proc/%d/syscall", tid);
	do {
		/* "running", or the number and the arguments of the call. */
		if (read_file(path, text, sizeof(text)) < 0 ||
		    (text[0] != 'r' && strtol(text, NULL, 10) == nr))
			return;
		rngq_sleep_ms(1);
	} while (rngq_now_ms() < give_up_ms);
	bail_out("thread %d falls asleep in system call %ld, not in \"%s\"",
		 tid, nr, text);
}

u64 rngq_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

u64 rngq_now_ms(void)
{
	return rngq_now_ns() / NSEC_PER_MSEC;
}

int rngq_load(const char *params)
{
	const char *path = getenv("RNGQUOTA_KO");
	int fd, ret = 0;

	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		bail_out("RNGQUOTA_KO names the module");
	if (syscall(SYS_finit_module, fd, params, 0))
		ret = -errno;
	close(fd);
	return ret;
}

int rngq_unload(void)
{
	return syscall(SYS_delete_module, "rngquota", O_NONBLOCK) ? -errno : 0;
}

unsigned int rngq_slowness(void)
{
	const char *text = getenv("SLOWNESS");

	return text ? strtoul(text, NULL, 10) ?: 1 : 1;
}

void rngq_sleep_until_ns(u64 when_ns)
{
	struct timespec when = {
		.tv_sec = when_ns / NSEC_PER_SEC,
		.tv_nsec = when_ns % NSEC_PER_SEC,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL))
		;
}

void rngq_sleep_ms(u64 ms)
{
	rngq_sleep_until_ns(rngq_now_ns() + ms * NSEC_PER_MSEC);
}

void rngq_make_crng_ready(void)
{
	static struct {
		struct rand_pool_info info;
		char seed[SEED_BYTES];
	} pool = {
		.info.entropy_count = 8 * SEED_BYTES,
		.info.buf_size = SEED_BYTES,
		.seed = "no secret: nobody but a test ever meets this kernel",
	};
	int fd = open("/dev/random", O_WRONLY);

	if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool))
		bail_out("entropy can be credited");
	close(fd);
}
