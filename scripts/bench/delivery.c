// SPDX-License-Identifier: GPL-2.0
/*
 * delivery FILE: what a greedy reader gets of what it is allowed, however it waits,
 * in periods of all lengths. A line in FILE for each length and way of waiting:
 *
 *	delivery PERIOD-MS PERIODS WAY HAD ALLOWED ABOVE
 *
 * From its first read on it is allowed its rate at once and once more as each
 * period ends. HAD and ALLOWED are bytes half a period after the last one of
 * PERIODS ended; ABOVE is by how much it had more than it was allowed when it had
 * most. The reads' times are taken so that an error makes a reader look worse:
 * the first from before the call, the others from after it.
 *
 * It is meant for a QEMU that counts instructions and lets waiting take no time:
 * then it is the driver that is measured, and not how busy the machine is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "crowd.h"
#include "rngq.h"

#define RATE_BYTES	24
#define WAYS		ARRAY_SIZE(ways)

static const struct way {
	enum crowd_kind kind;
	const char *name;
} ways[] = {
	{ CROWD_READ, "read" },
	{ CROWD_POLL, "poll" },
	{ CROWD_EPOLL, "epoll" },
	{ CROWD_EDGE, "edge-triggered-epoll" },
	{ CROWD_URING, "io_uring" },
	{ CROWD_SPLICE, "splice" },
};

static const struct {
	u64 period_ms;
	unsigned int periods;
} lengths[] = { { 1, 1000 }, { 10, 300 }, { 1000, 60 }, { 5000, 60 } };

static void judge(FILE *measured, const struct crowd_member *member,
		  const char *way, unsigned int periods)
{
	u64 period_ns = member->quota.period_ms * NSEC_PER_MSEC;
	u64 start_ns = member->log[0].before_ns, had = 0, above = 0;
	u64 end_ns = start_ns + periods * period_ns + period_ns / 2;
	size_t i;

	for (i = 0; i < member->logged && member->log[i].after_ns <= end_ns; i++) {
		u64 ended = (member->log[i].after_ns - start_ns) / period_ns;
		u64 allowed = RATE_BYTES * (1 + ended);

		had += member->log[i].bytes;
		if (had > allowed && had - allowed > above)
			above = had - allowed;
	}
	if (i == member->logged)
		bail_out("there are reads after the last period, too");
	fprintf(measured, "delivery %llu %u %s %llu %u %llu\n",
		member->quota.period_ms, periods, way, had,
		RATE_BYTES * (1 + periods), above);
}

static void measure(FILE *measured, u64 period_ms, unsigned int periods)
{
	/* Each refill is fetched by one read. */
	size_t log_size = 2 * periods;
	struct crowd *crowd = crowd_new(WAYS, log_size);

	for (size_t i = 0; i < WAYS; i++) {
		crowd->members[i].kind = ways[i].kind;
		crowd->members[i].quota.rate_bytes = RATE_BYTES;
		crowd->members[i].quota.period_ms = period_ms;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	/* They start one after the other. */
	rngq_sleep_ms((periods + 2) * period_ms + 100);
	crowd_stop(crowd);
	if (crowd_error(crowd))
		bail_out("no reader meets an error, not %d", crowd_error(crowd));
	for (size_t i = 0; i < WAYS; i++) {
		if (!crowd->members[i].logged || crowd->members[i].logged > log_size)
			bail_out("the log of reader %zu is large enough", i);
		judge(measured, &crowd->members[i], ways[i].name, periods);
	}
	crowd_free(crowd);
}

int main(int argc, char **argv)
{
	FILE *measured = argc == 2 ? fopen(argv[1], "w") : NULL;

	if (!measured) {
		fprintf(stderr, "usage: delivery FILE\n");
		return EXIT_FAILURE;
	}
	/* Line by line, so that no fork() copies what is not written yet. */
	setvbuf(measured, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		measure(measured, lengths[i].period_ms, lengths[i].periods);
	return fclose(measured) ? EXIT_FAILURE : EXIT_SUCCESS;
}
