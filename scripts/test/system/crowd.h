/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A crowd: many clients at once, each opened by a process of its own, which
 * reads as its kind does. What it gets is counted in memory that the test
 * shares with it.
 *
 *	crowd = crowd_new(members, log_size);
 *	crowd->members[i].kind = CROWD_POLL;	what each shall be and do
 *	crowd_open(crowd);			all have their client open
 *	crowd_go(crowd);			all read
 *	rngq_sleep_ms(...);			the counters may be read any time
 *	crowd_stop(crowd);			all ended, their last read counted
 *	crowd_free(crowd);
 *
 * A test may send SIGSTOP or SIGKILL to a member. What a killed one got last
 * may lack from its count.
 */
#ifndef CROWD_H
#define CROWD_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#include "tap.h"

#define CROWD_MAX_ASKS		4096
#define CROWD_MAX_THREADS	16

enum crowd_kind {
	CROWD_READ,		/* sleeps in read() */
	CROWD_POLL,		/* the others don't block: poll(), then read() */
	CROWD_EPOLL,		/* level-triggered */
	CROWD_EDGE,		/* edge-triggered; stops at a short read */
	CROWD_SPIN,		/* read() again and again */
	CROWD_URING,		/* io_uring's read, which waits by itself */
	CROWD_SPLICE,		/* sleeps in splice() */
	CROWD_KINDS,
};

/* A read that returned something: just before the call, and just after it. */
struct crowd_read {
	u64 before_ns;
	u64 after_ns;
	u64 bytes;
};

struct crowd_quota {
	u64 rate_bytes;
	u64 period_ms;
	u64 burst_bytes;
};

/* For a member that only total/ limits. */
extern const struct crowd_quota crowd_no_limit;

struct crowd_member {
	/* To be set before crowd_open(); what is 0 has the default. */
	enum crowd_kind kind;
	size_t asks;			/* bytes a read asks for; CROWD_MAX_ASKS */
	unsigned int threads;		/* that read from its one client; 1 */
	struct crowd_quota quota;	/* its own, if rate_bytes is not 0 */
	u64 wants_bytes;		/* so many at the start and after each */
	u64 every_ms;			/* so many ms; 0: greedy */

	/* Set by crowd_open(). The pid is 0 once its end was seen. */
	pid_t pid;
	u64 id;

	/* What it had so far. */
	atomic_ullong bytes;
	atomic_ullong reads;		/* that returned something */
	atomic_ullong empty;		/* that failed with EAGAIN */
	atomic_int error;		/* the first that must not be, as -errno; or 0 */

	/* Its counter at the last crowd_mark(). */
	u64 marked_bytes;

	atomic_size_t logged;
	struct crowd_read *log;
};

struct crowd {
	unsigned int count;
	size_t log_size;
	size_t mapped_bytes;
	u64 start_ns;			/* of crowd_go() */
	int gate;			/* closed by crowd_go() */
	atomic_bool stop;
	struct crowd_member members[];
};

/*
 * @members of the first kind, greedy. Each logs its reads if @log_size, the
 * most that it can log, is not 0.
 */
struct crowd *crowd_new(unsigned int members, size_t log_size);

void crowd_open(struct crowd *crowd);
void crowd_go(struct crowd *crowd);

/* End all that still live, each after it has counted its last read. */
void crowd_stop(struct crowd *crowd);

/* SIGKILL to one, and wait until it is gone, with its client. */
void crowd_kill(struct crowd_member *member);

/* Ends what crowd_stop() did not. */
void crowd_free(struct crowd *crowd);

/* What all had so far. */
u64 crowd_bytes(struct crowd *crowd);

/* From here on, crowd_had() counts from now. */
void crowd_mark(struct crowd *crowd);
u64 crowd_had(struct crowd_member *member);
u64 crowd_all_had(struct crowd *crowd);

/* The first error of any member, 0 if there is none. */
int crowd_error(struct crowd *crowd);

/* Wait until all members but those that spin sleep. Those that end count, too. */
void crowd_wait_asleep(struct crowd *crowd);

/*
 * The promise: "in any interval of length t at most rate_bytes + burst_bytes +
 * rate_bytes * (floor(t / period) + 1) bytes".
 */
u64 crowd_allowed(const struct crowd_quota *quota, u64 t_ns);

/*
 * How many bytes more than @quota promises all of them took in the worst
 * interval, from their logs, which must have been large enough.
 */
u64 crowd_excess(struct crowd *crowd, const struct crowd_quota *quota);

/* The same for reads that came together elsewhere; sorts them. */
u64 crowd_excess_of(struct crowd_read *reads, size_t count,
		    const struct crowd_quota *quota);

/* Jain's index of what @count of them had since the mark, from @first on: 1 is fair. */
double crowd_jain(struct crowd *crowd, unsigned int first, unsigned int count);

/* Write total/, so that its bucket is full. RNGQ_MAX as a rate is "max". */
void crowd_set_total(u64 rate_bytes, u64 period_ms, u64 burst_bytes);

/*
 * The same without a burst, and see to it that a byte is taken. That starts its clock,
 * and as long as somebody waits, each refill comes a period after the one before. When
 * it started, or a little before.
 */
u64 crowd_start_total(u64 rate_bytes, u64 period_ms);

/*
 * Whether @fd gets what three refills of total/ bring, of which the first is yet to
 * come, before half of the third period is over: whatever is set aside for others who
 * don't come, goes to it in the end of a period.
 */
bool crowd_gets_all(int fd, u64 rate_bytes, u64 period_ms);

/* What a member had from then until then, from its log. */
u64 crowd_had_between(const struct crowd *crowd, const struct crowd_member *member,
		      u64 from_ns, u64 to_ns);

#endif
