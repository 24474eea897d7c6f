/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Calls whose 1st, 2nd, 3rd ... allocation or copy from or to user space fails
 * (/proc/thread-self/fail-nth), until the call comes through untouched.
 *
 * Not every fault becomes an error: the kernel may do without, or have helped
 * itself. Then the call must have worked, as far as it says so.
 *
 * What is lost in all that is found by kmemleak, when all programs have run.
 */
#ifndef FAILNTH_H
#define FAILNTH_H

#include "tap.h"

/* To be called first. Faults hit nobody who has not armed one. */
void failnth_init(void);

/* Let the @nth chance of a fault from here on, in this thread, be one. */
void failnth_arm(unsigned int nth);

/* No longer. How many chances are left until it; 0: there was one. */
unsigned int failnth_disarm(void);

struct failnth {
	const char *name;

	/* Called before each call with a fault; may be NULL. */
	void (*prepare)(void *with);

	/* What is to fail: a count, or a negative errno. */
	s64 (*call)(void *with);

	/*
	 * After each call, with what it returned: look at what must hold now, and
	 * set the stage for the next. NULL, or what is wrong, as a phrase.
	 */
	const char *(*settle)(void *with, s64 ret);

	void *with;

	/* What the call returns if there is no fault, */
	s64 untouched;

	/* and which errnos a fault may become. */
	int errors[4];

	/* Each time in a new process, which has our descriptors and memory. */
	bool in_new_process;
};

/*
 * The loop: after each failure the same call must work. It gives test points
 * and returns how many faults there were.
 */
unsigned long failnth(const struct failnth *test);

#endif
