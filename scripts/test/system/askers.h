/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Askers: processes of user nobody, of the lowest priority, with many clients, who
 * ask for bytes in some way, again and again, and take none. And what they leave to
 * others: "asking without taking, however often and by however many, earns nothing
 * and costs the others nothing".
 *
 * The clients have the quota of default/ when they are opened.
 */
#ifndef ASKERS_H
#define ASKERS_H

#include <poll.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "tap.h"

#define ASKERS_MAX_PROCESSES	256
#define ASKERS_MAX_CLIENTS	256

/* What the test and they know of each other. */
struct askers_shared {
	atomic_ullong rounds;		/* how often a process has asked */
	atomic_ullong found;		/* clients that were readable then */
	atomic_ullong bytes;		/* that were taken all the same */
	atomic_int error;		/* the first that must not be, as -errno */
};

/* One of them. */
struct asker {
	struct askers_shared *shared;
	unsigned int count;
	struct pollfd clients[ASKERS_MAX_CLIENTS];	/* .events is POLLIN */
	int epoll;
};

struct askers {
	const char *name;
	unsigned int processes;			/* fewer on a slow kernel */
	unsigned int clients;			/* that each of them has */
	unsigned int every_ms;			/* a round; 0: without a pause */
	int flags;				/* of open(): O_NONBLOCK if 0 */
	int signal;				/* that all get after 3 periods; or 0 */
	void (*begin)(struct asker *asker);	/* may be NULL */
	void (*ask)(struct asker *asker);	/* a round */

	struct askers_shared *shared;
	pid_t pids[ASKERS_MAX_PROCESSES];
};

/* Back when all have opened their clients and begun. */
void askers_start(struct askers *askers);

void askers_kill(struct askers *askers, int signal);

/* All of them are gone, and so are their clients. */
void askers_stop(struct askers *askers);

/* A way to ask: poll() for all clients of the process, without waiting. */
void askers_poll(struct asker *asker);

/* For a call that failed: counts what must not be. */
void askers_fail(struct asker *asker, int error);

/*
 * Start them, and a greedy reader beside them, and stop all again. A test point:
 * from the 11th period on the reader has @percent of total/, or more.
 */
void askers_test(struct askers *askers, u64 rate_bytes, u64 period_ms,
		 unsigned int percent);

#endif
