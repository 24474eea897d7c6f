// SPDX-License-Identifier: GPL-2.0
/*
 * Many thousands of short-lived openers must leave no trace in the slabs, and
 * not make the module forget who lives. A slab cache that leaks grows by an
 * object an opener, again and again; anything else that goes on in the kernel
 * doesn't.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

/* Of each kind, in each round. */
#define OPENERS		1000
#define ROUNDS		3
#define MAX_CACHES	500
/* What is on its way to be freed, or kept back by a CPU, looks used. */
#define LEAK_OBJECTS	(OPENERS / 2)
#define SETTLE_MS	300
/*
 * "what is kept for a process goes when the process is gone": mostly at once,
 * else when the next sweep comes, a second or two later. All rounds together
 * wait no longer than this.
 */
#define PATIENCE_MS	15000

struct cache {
	char name[64];
	u64 objects;
	unsigned int rounds_grown;
};

static struct cache caches[MAX_CACHES];

/*
 * Compare all caches with what was noted: how many have grown. Note them anew
 * if @note, and also who has grown if @compare.
 */
static unsigned int look_at_slabs(bool compare, bool note, unsigned int *count)
{
	FILE *slabs = fopen("/proc/slabinfo", "r");
	unsigned int i = 0, grown = 0;
	char line[512];

	if (!slabs)
		bail_out("/proc/slabinfo can be read");
	while (i < MAX_CACHES && fgets(line, sizeof(line), slabs)) {
		struct cache now = { }, *then = &caches[i];

		if (sscanf(line, "%63s %llu", now.name, &now.objects) != 2)
			continue;
		i++;
		/* The order changes only when a cache comes or goes. */
		if (compare && strcmp(now.name, then->name))
			bail_out("no slab cache comes or goes");
		now.rounds_grown = then->rounds_grown;
		if (compare && now.objects >= then->objects + LEAK_OBJECTS) {
			grown++;
			if (note)
				diag("%s: %llu, then %llu", now.name,
				     then->objects, now.objects);
			now.rounds_grown++;
		}
		if (note)
			*then = now;
	}
	fclose(slabs);
	*count = i;
	return grown;
}

/* A client that has had all that makes one: bytes, a wait, a timer. */
static void use(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	rngq_drain(fd);
	if (poll(&pfd, 1, 0) < 0)
		bail_out("a client can be polled");
}

/* Closed by another, when its opener is gone. */
static void orphan(void)
{
	int fd = rngq_open(O_NONBLOCK);

	use(fd);
	close(fd);
}

/* head -c 1 /dev/rngquota: what is open is closed by its end. */
static int open_and_end(void *unused)
{
	(void)unused;
	use(open(RNGQ_DEV, O_RDONLY));
	return 0;
}

/* It closes, so that it has no client when it ends: nobody sees that. */
static int open_and_close(void *unused)
{
	(void)unused;
	for (int i = 0; i < 2; i++) {
		int fd = open(RNGQ_DEV, O_RDONLY);

		use(fd);
		close(fd);
	}
	return 0;
}

static int be_refused(void *unused)
{
	(void)unused;
	return open(RNGQ_DEV, O_RDONLY) >= 0 || errno != ENFILE;
}

static void run(int (*what)(void *))
{
	if (rngq_run(what, NULL, 0))
		bail_out("a child does what it shall");
}

static void run_round(void)
{
	u64 max_clients = rngq_attr("limits/max_clients");
	int fd;

	for (int i = 0; i < OPENERS; i++) {
		orphan();
		run(open_and_end);
		run(open_and_close);
	}
	rngq_set(1, "limits/max_clients");
	fd = rngq_open(0);
	for (int i = 0; i < OPENERS; i++)
		run(be_refused);
	close(fd);
	rngq_set(max_clients, "limits/max_clients");
}

int main(void)
{
	/*
	 * KASAN keeps what was freed, so that slabs grow where it is at work. There it is
	 * kmemleak that sees in the end what is lost, and one round is enough for it.
	 */
	const unsigned int rounds = rngq_slowness() == 1 ? ROUNDS : 0;
	u64 clients = rngq_attr("stats/clients"), patience_ms = PATIENCE_MS;
	unsigned int count = 0, leaking = 0;
	struct opener witness;
	int fd;

	rngq_keep_globals();
	rngq_set_default(100, HOUR_MS, 0, 0);
	opener_start(&witness);
	fd = opener_open(&witness);
	rngq_drain(fd);
	opener_close(&witness, fd);

	/* The first round is to warm up. */
	for (unsigned int round = 0; round <= rounds; round++) {
		run_round();
		rngq_sleep_ms(SETTLE_MS);
		while (round && patience_ms && look_at_slabs(true, false, &count)) {
			rngq_sleep_ms(100);
			patience_ms -= 100;
		}
		look_at_slabs(round > 0, true, &count);
	}
	diag("waited %llu ms", PATIENCE_MS - patience_ms);
	ok(count > 0, "there are slab caches to look at");
	for (unsigned int i = 0; rounds && i < count; i++)
		leaking += caches[i].rounds_grown == rounds;
	if (rounds)
		is_u64(leaking, 0, "no slab cache grows with %d openers, each time",
		       4 * OPENERS);

	fd = opener_open(&witness);
	is_ret(rngq_take(fd, 1), -EAGAIN, "a process that lives was not forgotten");
	opener_close(&witness, fd);
	opener_end(&witness);
	is_u64(rngq_attr("stats/clients"), clients, "no client is left");
	return done_testing();
}
