/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How many instructions a call takes, in a QEMU that counts them (-icount
 * shift=0): there the time stamp counter counts each instruction as one.
 */
#ifndef COUNT_H
#define COUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "tap.h"

/* What is called, with what; it tells whether it went as it should. */
typedef bool (*count_call)(void *argument);

struct count {
	u64 median;	/* does not see what happens beside, like the clock's ticks */
	double mean;	/* does, and what a call leaves for later, too */
};

/* Make @warm_up calls, which don't count, and @calls that do. */
struct count count_calls(count_call call, void *argument, size_t warm_up,
			 size_t calls);

/* The number that stands after @name in a file that has it. */
u64 number_in(const char *path, const char *name);

/*
 * How long the CPU has idled, in nanoseconds, to the nanosecond; but it takes long
 * if there are many timers.
 */
u64 idle_exactly(void);

/*
 * Sleep, and return what the CPU did meanwhile beside idling, by @idle_ns(). Looking
 * counts on neither side.
 */
u64 cost_while_asleep(u64 sec, u64 (*idle_ns)(void));

int compare_u64(const void *a, const void *b);

#endif
