// SPDX-License-Identifier: GPL-2.0
/*
 * 16 000 clients at once, most of them one process's: all are counted, all can
 * be read, all go.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rngq.h"

#define CLIENTS		16000
#define RATE		16
#define PERIOD_MS	500
#define OTHERS		100	/* descriptors that are no clients */

static unsigned int count_folders(void)
{
	DIR *folder = opendir(RNGQ_SYSFS "/clients");
	struct dirent *entry;
	unsigned int count = 0;

	if (!folder)
		bail_out("there is a folder of clients");
	while ((entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients"), opens = rngq_attr("stats/opens");
	u64 bytes = rngq_attr("stats/bytes"), refused = rngq_attr("stats/refused");
	u64 got = 0, start_ms = rngq_now_ms();
	const int nr_fds = CLIENTS / rngq_slowness();
	unsigned int unreadable = 0;
	static int fds[CLIENTS];
	struct rlimit limit = {
		.rlim_cur = CLIENTS + OTHERS, .rlim_max = CLIENTS + OTHERS,
	};

	rngq_keep_globals();
	if (setrlimit(RLIMIT_NOFILE, &limit))
		bail_out("RLIMIT_NOFILE can be raised");
	rngq_set(clients + nr_fds, "limits/max_clients");
	rngq_set(RNGQ_MAX, "limits/max_clients_per_process");
	rngq_set_default(RATE, PERIOD_MS, 0, 0);

	for (int i = 0; i < nr_fds; i++) {
		fds[i] = i % 10 ? open(RNGQ_DEV, O_RDONLY) : rngq_open(0);
		if (fds[i] < 0)
			bail_out("client %d of %d can be opened", i + 1, nr_fds);
	}
	diag("opened in %llu ms", rngq_now_ms() - start_ms);
	is_u64(rngq_attr("stats/clients") - clients, nr_fds, "all are counted");
	is_u64(rngq_attr("stats/opens") - opens, nr_fds, "so are the opens");
	is_u64(count_folders(), clients + nr_fds, "each has its folder");
	ok(open(RNGQ_DEV, O_RDONLY) < 0, "there is no room for one more");
	is_u64(rngq_attr("stats/refused") - refused, 1, "which was refused");

	/* The process's further ones have had to wait for a refill. */
	for (int i = 0; i < nr_fds; i++) {
		struct pollfd pollfd = { .fd = fds[i], .events = POLLIN };
		ssize_t count = -1;

		if (poll(&pollfd, 1, LATE_MS) == 1)
			count = rngq_take(fds[i], RATE);
		if (count == RATE)
			got += count;
		else
			unreadable++;
	}
	is_u64(unreadable, 0, "each can be read");
	is_u64(rngq_attr("stats/bytes") - bytes, got, "the count of bytes agrees");

	/* It reaches all of them at once. */
	rngq_set_default(RNGQ_MAX, PERIOD_MS, 0, 0);
	for (int i = 0; i < nr_fds; i++)
		unreadable += rngq_take(fds[i], RATE + 1) != RATE + 1;
	is_u64(unreadable, 0, "a change of the default reaches each");

	start_ms = rngq_now_ms();
	for (int i = 0; i < nr_fds; i++)
		close(fds[i]);
	diag("closed in %llu ms", rngq_now_ms() - start_ms);
	is_u64(rngq_attr("stats/clients"), clients, "all have gone");
	is_u64(count_folders(), clients, "and their folders");
	return done_testing();
}
