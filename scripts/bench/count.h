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

int compare_u64(const void *a, const void *b);

#endif
