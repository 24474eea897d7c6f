// SPDX-License-Identifier: GPL-2.0
/* /proc/PID/fdinfo/FD, and that its counters count what they say. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rngq.h"

/* The lines that are ours, of @pid's descriptor @fd. */
static void read_lines(pid_t pid, int fd, char *ours, size_t size)
{
	char path[60], *line = NULL;
	size_t capacity = 0;
	FILE *info;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	info = fopen(path, "r");
	if (!info)
		bail_out("%s can be read", path);
	ours[0] = '\0';
	while (getline(&line, &capacity, info) > 0)
		if (!strncmp(line, "rngquota", 8))
			strncat(ours, line, size - strlen(ours) - 1);
	free(line);
	fclose(info);
}

static void test_lines(void)
{
	int fd = rngq_open_quota(0, 1000, HOUR_MS, 50);
	char lines[1024], wanted[1024];
	pid_t pid;

	rngq_take(fd, 30);
	rngq_take(fd, 12);
	snprintf(wanted, sizeof(wanted),
		 "rngquota-id:\t%llu\nrngquota-rate-bytes:\t1000\n"
		 "rngquota-period-ms:\t3600000\nrngquota-burst-bytes:\t50\n"
		 "rngquota-available:\t1008\nrngquota-bytes:\t42\nrngquota-reads:\t2\n"
		 "rngquota-throttled:\t0\nrngquota-throttled-ms:\t0\n", rngq_id(fd));
	read_lines(getpid(), fd, lines, sizeof(lines));
	is_str(lines, wanted, "fdinfo has these lines");

	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	read_lines(pid, fd, lines, sizeof(lines));
	is_str(lines, wanted, "and the same for another process that has it");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	rngq_set_quota(fd, RNGQ_MAX, 1000, 0);
	read_lines(getpid(), fd, lines, sizeof(lines));
	ok(strstr(lines, "\nrngquota-rate-bytes:\tmax\n"), "an unlimited rate is max");
	ok(strstr(lines, "\nrngquota-available:\tmax\n"), "and so is what is available");
	close(fd);
}

static void test_agrees_with_folder(void)
{
	static const char *const names[][2] = {
		{ "rate-bytes", "rate_bytes" }, { "period-ms", "period_ms" },
		{ "burst-bytes", "burst_bytes" }, { "available", "available" },
		{ "bytes", "bytes" }, { "reads", "reads" },
		{ "throttled", "throttled" }, { "throttled-ms", "throttled_ms" },
	};
	int fd = rngq_open_quota(0, 100, HOUR_MS, 7);

	rngq_take(fd, 7);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		is_u64(rngq_fdinfo(fd, names[i][0]), rngq_client(fd, names[i][1]),
		       "rngquota-%s agrees with clients/<id>/%s", names[i][0], names[i][1]);
	close(fd);
}

static void test_reads_and_bytes(void)
{
	int fd = rngq_open_quota(0, 300, HOUR_MS, 0);
	char bytes[512];

	if (read(fd, bytes, 100) != 100 || read(fd, bytes, 0) || read(fd, bytes, 512) != 200)
		bail_out("the client can be read");
	rngq_read_nowait(fd, bytes, 1);
	is_u64(rngq_fdinfo(fd, "reads"), 2, "reads that got a byte are counted, others not");
	is_u64(rngq_fdinfo(fd, "bytes"), 300, "bytes counts what they got");
	close(fd);
}

/*
 * A wait "lasts from the first read or poll that found nothing to the refill
 * that ended it, further ones within it do not count again".
 */
static void test_throttled(void)
{
	const u64 period_ms = 800;
	int fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	u64 drawn_ns[2], found_ns[2], ms;
	char bytes[16];

	poll(&pollfd, 1, 0);
	is_u64(rngq_fdinfo(fd, "throttled"), 0, "a poll that finds something is no wait");

	/* Before and after the read that starts the period. */
	drawn_ns[0] = rngq_now_ns();
	if (read(fd, bytes, sizeof(bytes)) != 10)
		bail_out("the client can be drained");
	drawn_ns[1] = rngq_now_ns();
	is_u64(rngq_fdinfo(fd, "throttled"), 0, "a short read is none");

	rngq_sleep_ms(100);
	found_ns[0] = rngq_now_ns();
	rngq_read_nowait(fd, bytes, 1);
	found_ns[1] = rngq_now_ns();
	is_u64(rngq_fdinfo(fd, "throttled"), 1, "a read that finds nothing begins one");
	rngq_read_nowait(fd, bytes, 1);
	poll(&pollfd, 1, 0);
	is_u64(rngq_fdinfo(fd, "throttled"), 1, "further ones within it are the same");

	rngq_set_quota(fd, 10, period_ms, 0);
	is_ret(poll(&pollfd, 1, LATE_MS), 1, "(wait for the refill)");
	is_u64(rngq_fdinfo(fd, "throttled"), 1, "also one that sleeps");
	rngq_sleep_ms(50);
	ms = rngq_fdinfo(fd, "throttled-ms");
	is_between(ms, period_ms - 1 - (found_ns[1] - drawn_ns[0]) / NSEC_PER_MSEC,
		   period_ms - (found_ns[0] - drawn_ns[1]) / NSEC_PER_MSEC,
		   "it lasted from that read to the refill, however late that was noticed");
	is_u64(rngq_client(fd, "throttled_ms"), ms, "and lasts no longer");

	rngq_set_quota(fd, 10, HOUR_MS, 0);
	rngq_drain(fd);
	is_u64(rngq_fdinfo(fd, "throttled"), 2, "the next wait is another one");
	rngq_sleep_ms(50);
	rngq_set_quota(fd, RNGQ_MAX, HOUR_MS, 0);
	is_ret(poll(&pollfd, 1, LATE_MS), 1, "(end it by a change of the quota)");
	is_between(rngq_fdinfo(fd, "throttled-ms") - ms, 49, 50 + LATE_MS,
		   "which adds its time");
	close(fd);
}

int main(void)
{
	test_lines();
	test_agrees_with_folder();
	test_reads_and_bytes();
	test_throttled();
	return done_testing();
}
