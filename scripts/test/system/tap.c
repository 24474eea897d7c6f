// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tap.h"

static unsigned int points, failed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static time_t row_start;

static time_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

__attribute__((constructor)) static void start_first_row(void)
{
	row_start = now_seconds();
}

/* Each line is flushed at once, so that a fork() never copies a buffered one. */
static bool point(bool passed, const char *details, const char *name,
		  va_list args)
{
	pthread_mutex_lock(&lock);
	points++;
	if (!passed)
		failed++;
	printf("%sok %u - ", passed ? "" : "not ", points);
	vprintf(name, args);
	printf("\n");
	if (!passed && *details)
		printf("# %s\n", details);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
	return passed;
}

bool ok(bool passed, const char *name, ...)
{
	va_list args;

	va_start(args, name);
	point(passed, "", name, args);
	va_end(args);
	return passed;
}

bool is_u64(u64 got, u64 wanted, const char *name, ...)
{
	char details[80];
	va_list args;

	snprintf(details, sizeof(details), "got %llu, wanted %llu", got, wanted);
	va_start(args, name);
	point(got == wanted, details, name, args);
	va_end(args);
	return got == wanted;
}

bool is_between(u64 got, u64 min, u64 max, const char *name, ...)
{
	bool passed = got >= min && got <= max;
	char details[120];
	va_list args;

	snprintf(details, sizeof(details), "got %llu, wanted %llu to %llu",
		 got, min, max);
	va_start(args, name);
	point(passed, details, name, args);
	va_end(args);
	return passed;
}

bool is_str(const char *got, const char *wanted, const char *name, ...)
{
	bool passed = !strcmp(got, wanted);
	char details[400];
	va_list args;

	snprintf(details, sizeof(details), "got \"%.150s\", wanted \"%.150s\"",
		 got, wanted);
	/* A newline inside would end the comment. */
	for (char *c = details; *c; c++)
		if (*c == '\n')
			*c = '|';
	va_start(args, name);
	point(passed, details, name, args);
	va_end(args);
	return passed;
}

static const char *errno_text(s64 ret)
{
	return ret < 0 && ret >= -4095 ? strerror(-ret) : "no error";
}

bool is_ret(s64 got, s64 wanted, const char *name, ...)
{
	char details[200];
	va_list args;

	snprintf(details, sizeof(details), "got %lld (%.50s), wanted %lld (%.50s)",
		 got, errno_text(got), wanted, errno_text(wanted));
	va_start(args, name);
	point(got == wanted, details, name, args);
	va_end(args);
	return got == wanted;
}

void diag(const char *text, ...)
{
	va_list args;

	pthread_mutex_lock(&lock);
	va_start(args, text);
	printf("# ");
	vprintf(text, args);
	printf("\n");
	va_end(args);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

void tried(const char *what, const char *how_often, ...)
{
	va_list args;

	pthread_mutex_lock(&lock);
	va_start(args, how_often);
	printf("# row: %s | ", what);
	vprintf(how_often, args);
	printf(" | %lld s\n", (long long)(now_seconds() - row_start));
	va_end(args);
	fflush(stdout);
	row_start = now_seconds();
	pthread_mutex_unlock(&lock);
}

void bail_out(const char *why, ...)
{
	int error = errno;
	va_list args;

	/*
	 * Not TAP's "Bail out!": that ends the whole run, and the other
	 * programs have nothing to do with this one's trouble.
	 */
	va_start(args, why);
	printf("not ok %u - ", points + 1);
	vprintf(why, args);
	printf("\n# gave up; errno is %d (%s)\n", error, strerror(error));
	va_end(args);
	fflush(stdout);
	exit(255);
}

int done_testing(void)
{
	printf("1..%u\n", points);
	fflush(stdout);
	return points && !failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
