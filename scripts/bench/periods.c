// SPDX-License-Identifier: GPL-2.0
/*
 * periods FILE: the same rate, given out in different periods. For each quota
 * there is a benign guest, which wants 5 bytes at once now and then, and a
 * greedy one, which always wants more, all for an hour. It is for a VM whose
 * clock jumps when nobody has anything to do.
 *
 * The benign ones want something at the same times, which are random, but the
 * same in each run. What one still waits for when it wants more, comes first.
 *
 * Rows of the benchmarks' table go to the standard output. FILE gets, to be
 * drawn, with times in seconds since the start and quotas as they are numbered
 * below:
 *
 *	wants TIME BYTES		what a benign one has wanted so far
 *	had QUOTA benign|greedy TIME BYTES	what it had so far
 *	wait QUOTA TIME			each want of the benign one, sorted
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define HOUR_S		3600
#define WANTS_BYTES	5
#define MEAN_GAP_S	20	/* between two wants: 0 to twice as much */
#define MAX_WANTS	(2 * HOUR_S / MEAN_GAP_S)
#define LOG_SIZE	(2 * HOUR_S)
#define AT_ONCE_MS	10	/* what takes no longer is no wait */
#define DRAWN_S		60

static const struct quota {
	const char *name;
	struct crowd_quota quota;
} quotas[] = {
	{ "1 byte / 1 s", { 1, 1000, 0 } },
	{ "5 bytes / 5 s", { 5, 5000, 0 } },
	{ "1 byte / 1 s, burst 4", { 1, 1000, 4 } },
};

struct guest {
	const struct quota *quota;
	bool benign;
	int fd;
	pthread_t thread;
	u64 bytes;
	u64 waited_ns[MAX_WANTS];	/* each time that it wanted something */
	size_t logged;
	struct crowd_read log[LOG_SIZE];
};

static FILE *measured;
static u64 start_ns;
static u64 wants_ns[MAX_WANTS];		/* since the start */
static size_t wants;

static double seconds(u64 ns)
{
	return (double)ns / NSEC_PER_SEC;
}

static u64 since_start_ns(void)
{
	return rngq_now_ns() - start_ns;
}

static void take(struct guest *guest, size_t size)
{
	struct crowd_read *entry = &guest->log[guest->logged++];
	char bytes[CROWD_MAX_ASKS];
	ssize_t count;

	if (guest->logged > LOG_SIZE)
		bail_out("the log is large enough");
	entry->before_ns = since_start_ns();
	count = read(guest->fd, bytes, size);
	if (count <= 0)
		bail_out("a read brings bytes");
	entry->after_ns = since_start_ns();
	entry->bytes = count;
	guest->bytes += count;
}

static void *live(void *argument)
{
	struct guest *guest = argument;

	rngq_sleep_until_ns(start_ns);
	if (!guest->benign) {
		while (since_start_ns() < HOUR_S * NSEC_PER_SEC)
			take(guest, CROWD_MAX_ASKS);
		return NULL;
	}
	for (size_t i = 0; i < wants; i++) {
		rngq_sleep_until_ns(start_ns + wants_ns[i]);
		while (guest->bytes < (i + 1) * WANTS_BYTES)
			take(guest, (i + 1) * WANTS_BYTES - guest->bytes);
		guest->waited_ns[i] = since_start_ns() - wants_ns[i];
	}
	return NULL;
}

static void plan_wants(void)
{
	unsigned short state[3] = { 3, 3, 3 };
	double at_s = 0;

	for (; at_s < HOUR_S && wants < MAX_WANTS; wants++) {
		wants_ns[wants] = at_s * NSEC_PER_SEC;
		if (at_s < DRAWN_S)
			fprintf(measured, "wants %.3f %zu\n", at_s, (wants + 1) * WANTS_BYTES);
		at_s += 2 * MEAN_GAP_S * erand48(state);
	}
}

static void write_log(const struct guest *guest)
{
	size_t quota = guest->quota - quotas;
	const char *kind = guest->benign ? "benign" : "greedy";
	u64 bytes = 0;

	for (size_t i = 0; i < guest->logged; i++) {
		const struct crowd_read *entry = &guest->log[i];

		if (entry->after_ns >= DRAWN_S * NSEC_PER_SEC)
			break;
		bytes += entry->bytes;
		fprintf(measured, "had %zu %s %.3f %llu\n", quota, kind,
			seconds(entry->after_ns), bytes);
	}
	fprintf(measured, "had %zu %s %d %llu\n", quota, kind, DRAWN_S, bytes);
}

static double fifth_byte_s(const struct guest *guest)
{
	u64 bytes = 0;
	size_t i = 0;

	while (bytes < WANTS_BYTES && i < guest->logged)
		bytes += guest->log[i++].bytes;
	return seconds(guest->log[i - 1].after_ns);
}

static int compare_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void judge_benign(struct guest *guest)
{
	size_t at_once = 0;
	u64 sum_ns = 0;

	printf("| %s: a benign guest's first %d bytes | after %.1f s |  | stated |\n",
	       guest->quota->name, WANTS_BYTES, fifth_byte_s(guest));
	qsort(guest->waited_ns, wants, sizeof(guest->waited_ns[0]), compare_u64);
	for (size_t i = 0; i < wants; i++) {
		at_once += guest->waited_ns[i] < AT_ONCE_MS * NSEC_PER_MSEC;
		sum_ns += guest->waited_ns[i];
		fprintf(measured, "wait %td %.3f\n", guest->quota - quotas,
			seconds(guest->waited_ns[i]));
	}
	printf("| %s: its wait for %d bytes, %zu times in an hour | ",
	       guest->quota->name, WANTS_BYTES, wants);
	printf("none %zu times, mean %.1f s, longest %.1f s |  | stated |\n", at_once,
	       seconds(sum_ns / wants), seconds(guest->waited_ns[wants - 1]));
}

static void judge_greedy(struct guest *guest)
{
	const struct crowd_quota *quota = &guest->quota->quota;
	u64 excess, had = 0, longest_ns = 0, last_ns = 0;
	u64 periods = (HOUR_S * 1000 - 1) / quota->period_ms;
	u64 allowed = quota->rate_bytes * (1 + periods) + quota->burst_bytes;
	bool reached;

	for (size_t i = 0; i < guest->logged; i++) {
		u64 after_ns = guest->log[i].after_ns;

		if (after_ns >= HOUR_S * NSEC_PER_SEC)
			break;
		had += guest->log[i].bytes;
		if (after_ns - last_ns > longest_ns)
			longest_ns = after_ns - last_ns;
		last_ns = after_ns;
	}
	excess = crowd_excess_of(guest->log, guest->logged, quota);
	reached = !excess && had <= allowed && had * 100 >= allowed * 99;
	printf("| %s: a greedy guest's first %d bytes, and its longest wait | ",
	       guest->quota->name, WANTS_BYTES);
	printf("after %.1f s, %.1f s |  | stated |\n", fifth_byte_s(guest), seconds(longest_ns));
	printf("| %s: bytes that it had, of those allowed in an hour | ", guest->quota->name);
	printf("%llu of %llu, %.2f %% | 99 ... 100 %% | %s |\n", had, allowed,
	       100. * had / allowed, reached ? "yes" : "no");
}

int main(int argc, char **argv)
{
	static struct guest guests[2 * ARRAY_SIZE(quotas)];

	measured = argc == 2 ? fopen(argv[1], "w") : NULL;
	if (!measured) {
		fprintf(stderr, "usage: periods FILE\n");
		return EXIT_FAILURE;
	}
	/* Line by line, so that no fork() copies what is not written yet. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(measured, NULL, _IOLBF, 0);
	plan_wants();
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		const struct crowd_quota *quota = &quotas[i / 2].quota;

		guests[i].quota = &quotas[i / 2];
		guests[i].benign = i % 2 == 0;
		guests[i].fd = rngq_open_quota(0, quota->rate_bytes, quota->period_ms,
					       quota->burst_bytes);
	}
	start_ns = rngq_now_ns() + NSEC_PER_SEC;
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		errno = pthread_create(&guests[i].thread, NULL, live, &guests[i]);
		if (errno)
			bail_out("there are threads");
	}
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++)
		pthread_join(guests[i].thread, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		write_log(&guests[i]);
		if (guests[i].benign)
			judge_benign(&guests[i]);
		else
			judge_greedy(&guests[i]);
	}
	return EXIT_SUCCESS;
}
