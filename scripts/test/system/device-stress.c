// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once on two CPUs: readers, pollers, quota changes, opening and
 * closing, folders being read. In the end all has come to an end, and the
 * ledger is balanced. What goes wrong in between, the kernel log tells.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rngq.h"

#define READERS		3

static atomic_bool stop;
static atomic_ullong got_bytes, got_reads;
static atomic_uint wrong;
static int shared;

static void note(ssize_t count)
{
	if (count > 0) {
		got_bytes += count;
		got_reads++;
	} else if (!count || (errno != EINTR && errno != EAGAIN)) {
		wrong++;
	}
}

static void *read_shared(void *unused)
{
	char bytes[5000];

	for (unsigned int i = 0; !stop; i++)
		note(read(shared, bytes, 1 + i * 37 % sizeof(bytes)));
	return unused;
}

static void *poll_shared(void *unused)
{
	struct pollfd pollfd = { .fd = shared, .events = POLLIN };

	while (!stop)
		poll(&pollfd, 1, 10);
	return unused;
}

static void *change_shared(void *unused)
{
	while (!stop) {
		rngq_set_quota(shared, 1, 1, 0);
		rngq_set_quota(shared, 3000, 2, 9000);
		rngq_client_write(shared, "period_ms", "default");
		rngq_client_write(shared, "rate_bytes", "max");
	}
	return unused;
}

/* Opens, reads a little, and closes, mostly with a wait going on. */
static void *open_and_close(void *unused)
{
	struct pollfd pollfd = { .events = POLLIN };
	char bytes[2000];

	while (!stop) {
		int fd = open(RNGQ_DEV, O_RDONLY | O_NONBLOCK);

		if (fd < 0) {
			wrong++;
			break;
		}
		note(read(fd, bytes, sizeof(bytes)));
		note(read(fd, bytes, sizeof(bytes)));
		pollfd.fd = fd;
		poll(&pollfd, 1, 0);
		close(fd);
	}
	return unused;
}

/* Reads every file of every client, among them some that just go. */
static void *read_folders(void *unused)
{
	static const char *const names[] = {
		"rate_bytes", "overrides", "pid", "comm", "available", "throttled_ms",
	};
	char text[64];

	while (!stop) {
		DIR *clients = opendir(RNGQ_SYSFS "/clients");
		struct dirent *entry;

		while (clients && (entry = readdir(clients))) {
			if (entry->d_name[0] == '.')
				continue;
			for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
				ssize_t len = rngq_attr_read(text, sizeof(text),
							     "clients/%s/%s",
							     entry->d_name, names[i]);

				/* ENODEV: it went after it was opened. */
				if (len <= 0 && len != -ENOENT && len != -ENODEV)
					wrong++;
			}
		}
		if (clients)
			closedir(clients);
	}
	return unused;
}

static void *change_default(void *unused)
{
	while (!stop) {
		rngq_attr_write("max", "default/rate_bytes");
		rngq_attr_write("100", "default/rate_bytes");
		rngq_attr_write("1", "default/period_ms");
		rngq_attr_write("100000", "default/period_ms");
	}
	return unused;
}

static void handle(int signal)
{
	(void)signal;
}

int main(void)
{
	static void *(*const others[])(void *) = {
		poll_shared, change_shared, open_and_close, open_and_close,
		read_folders, change_default,
	};
	enum { OTHERS = ARRAY_SIZE(others) };
	pthread_t readers[READERS], threads[OTHERS];
	struct sigaction action = { .sa_handler = handle };
	u64 bytes = rngq_attr("stats/bytes"), reads = rngq_attr("stats/reads");
	u64 clients = rngq_attr("stats/clients"), end_ms;

	rngq_keep_globals();
	sigaction(SIGUSR1, &action, NULL);
	shared = rngq_open(0);
	for (int i = 0; i < READERS; i++)
		if (pthread_create(&readers[i], NULL, read_shared, NULL))
			bail_out("a thread can be started");
	for (int i = 0; i < OTHERS; i++)
		if (pthread_create(&threads[i], NULL, others[i], NULL))
			bail_out("a thread can be started");

	for (end_ms = rngq_now_ms() + 3000; rngq_now_ms() < end_ms; rngq_sleep_ms(2))
		pthread_kill(readers[0], SIGUSR1);
	stop = true;
	for (int i = 0; i < OTHERS; i++)
		pthread_join(threads[i], NULL);
	rngq_set_quota(shared, RNGQ_MAX, 1000, 0);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);

	is_u64(wrong, 0, "no call gave what it must not");
	ok(got_reads > 1000 / rngq_slowness(), "there was something to do (%llu reads)", got_reads);
	is_u64(rngq_attr("stats/bytes") - bytes, got_bytes,
	       "stats/bytes counted what was read");
	is_u64(rngq_attr("stats/reads") - reads, got_reads, "and stats/reads the reads");
	close(shared);
	is_u64(rngq_attr("stats/clients"), clients, "and every client has gone");
	return done_testing();
}
