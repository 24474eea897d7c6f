// SPDX-License-Identifier: GPL-2.0
/*
 * Thousands of short-lived openers must leave no trace in the slabs. A slab
 * cache that leaks grows by an object an opener, again and again; anything
 * else that goes on in the kernel doesn't.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rngq.h"

#define OPENERS		2000
#define ROUNDS		3
#define MAX_CACHES	500
/* Each CPU may keep back some free objects, which look used. */
#define LEAK_OBJECTS	(OPENERS * 9 / 10)

struct cache {
	char name[64];
	u64 objects;
	unsigned int rounds_grown;
};

static struct cache caches[MAX_CACHES];

/* Note all caches' objects; from the second time on, also who has grown. */
static unsigned int look_at_slabs(bool compare)
{
	FILE *slabs = fopen("/proc/slabinfo", "r");
	unsigned int i = 0;
	char line[512];

	if (!slabs)
		bail_out("/proc/slabinfo can be read");
	while (i < MAX_CACHES && fgets(line, sizeof(line), slabs)) {
		struct cache now = { };

		if (sscanf(line, "%63s %llu", now.name, &now.objects) != 2)
			continue;
		/* The order changes only when a cache comes or goes. */
		if (compare && strcmp(now.name, caches[i].name))
			bail_out("no slab cache comes or goes");
		now.rounds_grown = caches[i].rounds_grown;
		if (compare &&
		    now.objects >= caches[i].objects + LEAK_OBJECTS) {
			diag("%s: %llu, then %llu", now.name,
			     caches[i].objects, now.objects);
			now.rounds_grown++;
		}
		caches[i++] = now;
	}
	fclose(slabs);
	return i;
}

/* A client that has had all that makes one: bytes, a wait, a timer. */
static void open_and_close(void)
{
	int fd = rngq_open(O_NONBLOCK);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	rngq_drain(fd);
	if (poll(&pfd, 1, 0) < 0)
		bail_out("a client can be polled");
	close(fd);
}

int main(void)
{
	unsigned int count = 0, leaking = 0;

	for (int round = 0; round <= ROUNDS; round++) {
		for (int i = 0; i < OPENERS; i++)
			open_and_close();
		/* The first round is to warm up. */
		count = look_at_slabs(round > 0);
	}
	ok(count > 0, "there are slab caches to look at");
	for (unsigned int i = 0; i < count; i++)
		leaking += caches[i].rounds_grown == ROUNDS;
	is_u64(leaking, 0, "no slab cache grows with %d openers, each time",
	       OPENERS);
	return done_testing();
}
