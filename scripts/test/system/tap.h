/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a test program needs to speak TAP to prove. A test point's name is a
 * sentence that is true when it passes. There is no skip: what cannot be
 * tested has failed.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stdnoreturn.h>

typedef unsigned long long u64;
typedef long long s64;

#define __printf(a, b)	__attribute__((__format__(printf, a, b)))

/* One test point each; they return whether it passed. */
__printf(2, 3)
bool ok(bool passed, const char *name, ...);
__printf(3, 4)
bool is_u64(u64 got, u64 wanted, const char *name, ...);
__printf(4, 5)
bool is_between(u64 got, u64 min, u64 max, const char *name, ...);
__printf(3, 4)
bool is_str(const char *got, const char *wanted, const char *name, ...);
/* For what is a count or a negative errno. */
__printf(3, 4)
bool is_ret(s64 got, s64 wanted, const char *name, ...);

/* A comment line, for the person who reads the log. */
__printf(1, 2)
void diag(const char *text, ...);

/*
 * A row of check-debug's table: what was tried, and how often. The time since
 * the row before, or since the program's start, is added.
 */
__printf(2, 3)
void tried(const char *what, const char *how_often, ...);

/* The premises of the test don't hold: say why, with errno, and give up. */
__printf(1, 2)
noreturn void bail_out(const char *why, ...);

/* The plan. To be called last; main() returns what it returns. */
int done_testing(void);

#endif
