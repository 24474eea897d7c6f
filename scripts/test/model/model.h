/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the Promela part of the model (total.pml) sees of the other (model.c).
 *
 * A thread is a Promela process and, while it is in the driver, a coroutine. It
 * goes on step by step: from one point where others may overtake it to the next.
 */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>

#define UNBOUNDED	9999

/* What a search does not tell: one thread a file, no root, no burst, no bound to check. */
#ifndef FILE_USERS
#define FILE_USERS	1
#endif
#ifndef CHANGES
#define CHANGES		0
#endif
#ifndef TOTAL_BURST_BYTES
#define TOTAL_BURST_BYTES	0
#endif
#ifndef WAIT_MS
#define WAIT_MS			32	/* a period of total/ */
#endif
#ifndef IDEAL_MS
#define IDEAL_MS	UNBOUNDED
#endif
#ifndef UNFAIR_BYTES
#define UNFAIR_BYTES	UNBOUNDED
#endif

#define MAX_FILES	3	/* at the most, see FILES */
#define STACK_BYTES	2560

/* What a thread can do. */
enum model_call {
	CALL_OPEN,
	CALL_READ,	/* @arg: bytes */
	CALL_READ_NOWAIT,
	CALL_READ_BAD,	/* the second half of the buffer is a bad address */
	CALL_READ_ABSENT, /* the second half of it has to be faulted in */
	CALL_POLL,
	CALL_POLL_NOWAIT,
	CALL_POLL_NOTHING, /* for no events */
	CALL_EPOLL_ADD,	/* edge-triggered, by this thread */
	CALL_EPOLL_WAIT,
	CALL_CLOSE,
	CALL_SET_TOTAL,	/* @arg: bytes a period; 0: max */
	CALL_WORK,
	CALL_TIMER,	/* @file: whose, or MAX_FILES: the host's */
};

/* The state that is matched: a digest of all that the driver has in memory. */
extern unsigned char model_digest[16];
/* Why this run proves the driver wrong; NULL: it doesn't. */
extern const char *model_broken;

/* Tell what happens, to who looks at a trail. */
extern bool model_tells;

void model_init(size_t bytes);
void model_check_end(void);

void model_begin(int thread, enum model_call call, int file, int arg);
bool model_may_run(int thread);
void model_run(int thread);
bool model_has_returned(int thread);
int model_result(int thread);
int model_delivered(int thread);
void model_signal(int thread);

bool model_work_is_due(void);
bool model_timer_is_due(int file);

bool model_clock_can_go_on(bool early);
void model_clock_goes_on(bool early);
int model_periods(void);
void model_await(int periods);
int model_opened(void);
bool model_is_over(void);

#endif
