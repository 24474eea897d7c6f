// SPDX-License-Identifier: GPL-2.0
/*
 * A crowd that sleeps in read() for little, each on a beat of its own, beside a greedy
 * client: one that sleeps in read(), too, and then a sniper, that reads without waiting
 * just after each refill, whatever there is, and is silent until the next.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define MODEST		99
#define MODEST_BYTES	5
/* A beat, and by how much the next one's is longer: around a period. */
#define MIN_MS		402
#define STEP_MS		2
#define RATE		1000
#define PERIOD_MS	500
#define PERIOD_NS	(PERIOD_MS * NSEC_PER_MSEC)
#define EARLY		10
#define PERIODS		20
/* In which those can have what they want, who came late. */
#define LATE		2
#define LOG_SIZE	1024
#define TRIES		3
/* What a busy machine may add to the mean. */
#define NOISE_NS	(5 * NSEC_PER_MSEC * rngq_slowness())

struct result {
	u64 waited_ns;			/* in the mean */
	u64 bytes;			/* that all had, in the periods that count */
	u64 greedy_bytes;
	size_t wants, met;
};

/* What this one wanted in the periods that count, and how long it waited for that. */
static void add_waits(const struct crowd *crowd, const struct crowd_member *member,
		      u64 from_ns, u64 to_ns, u64 end_ns, struct result *result)
{
	u64 at_ns = crowd->start_ns, had = 0, wanted = 0, when_ns;
	size_t entry = 0;

	for (; at_ns < to_ns; at_ns += member->every_ms * NSEC_PER_MSEC) {
		wanted += member->wants_bytes;
		while (had < wanted && entry < member->logged)
			had += member->log[entry++].bytes;
		if (at_ns < from_ns)
			continue;
		when_ns = had >= wanted ? member->log[entry - 1].after_ns : end_ns;
		result->wants++;
		result->met += had >= wanted;
		result->waited_ns += when_ns - at_ns;
	}
}

/* The sniper. @end_ns; what it had from @from_ns to @to_ns. */
static u64 snipe(u64 start_ns, u64 from_ns, u64 to_ns, u64 end_ns)
{
	int fd = rngq_open(O_NONBLOCK);
	u64 next_ns = start_ns + PERIOD_NS, had = 0;

	while (next_ns < end_ns) {
		ssize_t count;

		rngq_sleep_until_ns(next_ns + NSEC_PER_MSEC / 5);
		count = rngq_take(fd, 4096);
		if (count > 0 && next_ns >= from_ns && next_ns < to_ns)
			had += count;
		/* If nobody waited, the period began with the first that took something. */
		next_ns += count > 0 ? PERIOD_NS : NSEC_PER_MSEC;
	}
	close(fd);
	return had;
}

static struct result run(bool has_sniper)
{
	struct crowd *crowd = crowd_new(MODEST + !has_sniper, LOG_SIZE);
	u64 start_ns, from_ns, to_ns, end_ns;
	struct result result = { };

	for (unsigned int i = 0; i < MODEST; i++) {
		crowd->members[i].wants_bytes = MODEST_BYTES;
		crowd->members[i].every_ms = MIN_MS + i * STEP_MS;
	}
	crowd_open(crowd);
	start_ns = crowd_start_total(RATE, PERIOD_MS);
	crowd_go(crowd);
	from_ns = start_ns + EARLY * PERIOD_NS - PERIOD_NS / 10;
	to_ns = from_ns + PERIODS * PERIOD_NS;
	end_ns = to_ns + LATE * PERIOD_NS;
	if (has_sniper)
		result.greedy_bytes = snipe(start_ns, from_ns, to_ns, end_ns);
	rngq_sleep_until_ns(end_ns);
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "no member met an error");

	result.bytes = result.greedy_bytes;
	for (unsigned int i = 0; i < crowd->count; i++)
		result.bytes += crowd_had_between(crowd, &crowd->members[i], from_ns, to_ns);
	if (!has_sniper)
		result.greedy_bytes = crowd_had_between(crowd, &crowd->members[MODEST],
							from_ns, to_ns);
	for (unsigned int i = 0; i < MODEST; i++)
		add_waits(crowd, &crowd->members[i], from_ns, to_ns, end_ns, &result);
	result.waited_ns /= result.wants;
	crowd_free(crowd);
	diag("beside a %s: %zu of %zu wants met, after %llu us in the mean",
	     has_sniper ? "sniper" : "sleeper", result.met, result.wants,
	     result.waited_ns / 1000);
	diag("%llu of %d bytes, %llu of them to it", result.bytes, PERIODS * RATE,
	     result.greedy_bytes);
	return result;
}

int main(void)
{
	bool waits = false, delivered = false;

	rngq_keep_globals();
	rngq_set_default(RNGQ_MAX, 1000, 0, 0);
	for (int i = 0; i < TRIES && !(waits && delivered); i++) {
		struct result sleeper = run(false), sniper = run(true);

		waits |= sniper.waited_ns <= sleeper.waited_ns * 3 / 2 + NOISE_NS &&
			 sniper.met == sniper.wants && sleeper.met == sleeper.wants;
		delivered |= sleeper.bytes * 100 >= PERIODS * RATE * 98 &&
			     sniper.bytes * 100 >= PERIODS * RATE * 98;
	}
	ok(waits, "a sniper makes nobody wait half as long again as a sleeper does");
	ok(delivered, "and with both 98 %% of total/ are delivered");
	return done_testing();
}
