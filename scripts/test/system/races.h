/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What debug-races.c is made of: clients that live for a round, threads that
 * read from them in all ways (ways.c), and processes that make trouble all
 * around (storm.c). All of them share one world.
 */
#ifndef RACES_H
#define RACES_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "crowd.h"
#include "tap.h"

#define STEADY		4	/* clients whose quota stays; the last gets next to nothing */
#define LOOSE		4	/* clients whose quota changes */
#define CLIENTS		(STEADY + LOOSE)
#define PREY		(CLIENTS - 1)	/* nobody knows what its readers had */
#define PASSES_ON	(CLIENTS - 2)	/* this one is read by children, too */
#define LOG_SIZE	4096

/* The first so many reads of a round; a promise is kept by any of them. */
struct read_log {
	atomic_size_t count;
	struct crowd_read reads[LOG_SIZE];
};

struct client {
	int fd;
	bool nonblock;
	u64 id;
	u64 boot_bytes;			/* its credit, */
	struct crowd_quota quota;	/* and its quota, if steady */
	atomic_ullong bytes;		/* what its readers had, */
	atomic_ullong reads;		/* in so many reads */
	struct read_log log;		/* if steady */
};

enum regime {
	TOTAL_STAYS,			/* at a limit, whose promise is watched */
	TOTAL_CHANGES,
	TOTAL_MAX,
	REGIMES,
};

/* Shared by all threads and processes. */
struct world {
	atomic_bool over;		/* for the storm */
	atomic_bool stop;		/* for the readers */
	enum regime regime;
	bool exact;			/* nobody dies with what it had */
	int passing[2];			/* a socket pair, to hand clients on */
	struct crowd_quota total;	/* if it stays */
	struct read_log total_log;
	struct client clients[CLIENTS];

	/* Of clients that come and go. */
	atomic_ullong opens, refused, bytes, reads, throttled;
	/* What those who were killed may have had, and not counted. */
	atomic_ullong doubtful_opens, doubtful_bytes, doubtful_reads;

	/* In all rounds. */
	atomic_ullong all_opens, all_reads, all_writes, all_looks, all_signals;
	atomic_ullong all_kills, all_passed, all_unloads, all_tries;
	atomic_uint wrong;
};

extern struct world *world;

/* A call gave what it must not: say so, the first few times. */
__printf(1, 2)
void wrong(const char *what, ...);

/* A number below @limit. */
unsigned int pick(unsigned int *seed, unsigned int limit);

/* Now and then, move to another CPU. */
void hop(unsigned int *seed);

/* A read of @client (NULL: one that comes and goes) returned @bytes. */
void count_read(struct client *client, u64 before_ns, size_t bytes);

struct racer {
	struct client *client;
	unsigned int seed;
	const char *way;		/* how it reads now */
	pid_t tid;
	pthread_t thread;
};

/* Read until world->stop. A signal ends no way for good. */
void *read_in_all_ways(void *racer);

/* What runs in a process of its own until world->over. */
struct actor {
	const char *name;
	void (*act)(unsigned int seed);
	bool inexact;			/* not while world->exact */
};

/* The storm, and those who come by while the module is loaded and unloaded. */
extern const struct actor storm[], visitors[];
extern const unsigned int nr_storm, nr_visitors;

/* In a child that does not outlive us. */
pid_t start_actor(const struct actor *actor, unsigned int seed);

/* The module: 0 or -errno. */
int unload_module(void);

#endif
