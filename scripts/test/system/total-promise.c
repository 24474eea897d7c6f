// SPDX-License-Identifier: GPL-2.0
/*
 * "Together they get no more than total/ allows, by the same promise": crowds of
 * all kinds of readers, in which each member alone may have far more than its
 * share. And together they do get what total/ allows.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define LOG_SIZE	4096
/* Of a walk: */
#define CLIENTS		8
#define STEPS		4000

struct attack {
	const char *name;
	struct crowd_quota total;
	struct crowd_quota own;
	u64 boot_bytes;			/* each has this credit */
	unsigned int members;
	size_t asks;			/* 0: as much as it can */
	u64 run_ms;
};

static const struct attack attacks[] = {
	{
		.name = "default quotas",
		.total = { .rate_bytes = 1000, .period_ms = 100 },
		.own = { .rate_bytes = 1024, .period_ms = 1000 },
		.members = 21, .run_ms = 1500,
	}, {
		.name = "no quotas of their own",
		.total = { .rate_bytes = 500, .period_ms = 50 },
		.own = { .rate_bytes = RNGQ_MAX, .period_ms = 1000 },
		.members = 14, .run_ms = 1500,
	}, {
		.name = "short periods of their own",
		.total = { .rate_bytes = 300, .period_ms = 50 },
		.own = { .rate_bytes = 10, .period_ms = 5 },
		.members = 14, .run_ms = 1500,
	}, {
		.name = "boot credits",
		.total = { .rate_bytes = 1000, .period_ms = 100 },
		.own = { .rate_bytes = 100, .period_ms = 1000 },
		.boot_bytes = 2000,
		.members = 14, .run_ms = 1500,
	}, {
		.name = "a burst",
		.total = { .rate_bytes = 200, .period_ms = 50, .burst_bytes = 1000 },
		.own = { .rate_bytes = 500, .period_ms = 300, .burst_bytes = 500 },
		.members = 14, .run_ms = 1500,
	}, {
		.name = "byte by byte",
		.total = { .rate_bytes = 1, .period_ms = 50 },
		.own = { .rate_bytes = RNGQ_MAX, .period_ms = 1000 },
		.members = 7, .run_ms = 2000,
	}, {
		.name = "a crowd of 100",
		.total = { .rate_bytes = 150, .period_ms = 100 },
		.own = { .rate_bytes = 1024, .period_ms = 1000 },
		.members = 100, .run_ms = 1500,
	}, {
		.name = "small pieces",
		.total = { .rate_bytes = 200, .period_ms = 100, .burst_bytes = 50 },
		.own = { .rate_bytes = RNGQ_MAX, .period_ms = 1000 },
		.members = 14, .asks = 3, .run_ms = 1500,
	},
};

/* The check itself must see one byte too many, and nothing else. */
static void test_check(void)
{
	const struct crowd_quota quota = {
		.rate_bytes = 10, .period_ms = 1, .burst_bytes = 5,
	};
	struct crowd_read reads[] = {
		{ .before_ns = 2000000, .after_ns = 2000001, .bytes = 15 },
		{ .before_ns = 2000000, .after_ns = 2000001, .bytes = 10 },
		{ .before_ns = 3000001, .after_ns = 3000002, .bytes = 10 },
	};

	is_u64(crowd_excess_of(reads, 3, &quota), 0, "the check accepts what is allowed");
	reads[0].bytes++;
	is_u64(crowd_excess_of(reads, 3, &quota), 1, "and finds a single byte more");
}

/* One run; returns whether they had at least so much of total's rate. */
static bool run(const struct attack *attack)
{
	struct crowd *crowd = crowd_new(attack->members, LOG_SIZE);
	u64 stats_bytes = rngq_attr("stats/bytes"), run_ns, wanted;
	bool enough;

	crowd_set_total(attack->total.rate_bytes, attack->total.period_ms,
			attack->total.burst_bytes);
	rngq_set(attack->boot_bytes, "default/boot_bytes");
	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = i % CROWD_KINDS;
		crowd->members[i].asks = attack->asks;
		crowd->members[i].quota = attack->own;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	rngq_sleep_ms(attack->run_ms);
	run_ns = rngq_now_ns() - crowd->start_ns;
	wanted = attack->total.rate_bytes *
		 (run_ns / (attack->total.period_ms * NSEC_PER_MSEC));
	crowd_stop(crowd);

	is_ret(crowd_error(crowd), 0, "%s: no call gave what it must not", attack->name);
	is_u64(crowd_excess(crowd, &attack->total), 0,
	       "%s: never a byte more than promised", attack->name);
	is_u64(rngq_attr("stats/bytes") - stats_bytes, crowd_bytes(crowd),
	       "%s: what they had adds up to stats/bytes", attack->name);
	diag("%llu bytes, %llu %% of the rate", crowd_bytes(crowd),
	     crowd_bytes(crowd) * 100 / wanted);
	enough = crowd_bytes(crowd) * 100 >= wanted * 80 / rngq_slowness();
	crowd_free(crowd);
	return enough;
}

/* Too much is wrong in any run; too little can be the machine's fault. */
static void test_attack(const struct attack *attack)
{
	bool enough = false;

	for (int i = 0; i < 3 && !enough; i++)
		enough = run(attack);
	ok(enough, "%s: they had nearly all of total's rate", attack->name);
}

/*
 * Clients that read something, poll, or are opened again, whichever comes: some ask
 * and don't take, some take late, some come new. One after the other, so that it is
 * known when each had what.
 */
static void test_walk(unsigned int seed, u64 rate_bytes, u64 burst_bytes)
{
	const struct crowd_quota total = {
		.rate_bytes = rate_bytes, .period_ms = 5, .burst_bytes = burst_bytes,
	};
	static struct crowd_read reads[STEPS];
	struct pollfd clients[CLIENTS];
	size_t count = 0;
	u64 sum = 0;

	srand(seed);
	crowd_set_total(total.rate_bytes, total.period_ms, total.burst_bytes);
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = (struct pollfd){ rngq_open(O_NONBLOCK), POLLIN, 0 };
	for (int step = 0; step < STEPS; step++) {
		struct pollfd *client = &clients[rand() % CLIENTS];
		u64 before_ns = rngq_now_ns();
		ssize_t bytes = 0;

		switch (rand() % 64) {
		case 0 ... 23:
			bytes = rngq_take(client->fd, 1 + rand() % (rand() % 3 ? 20 : 4096));
			break;
		case 24 ... 58:
			poll(client, 1, rand() % 8 ? 0 : 1);
			break;
		case 59 ... 62:
			rngq_sleep_ms(rand() % 4);
			break;
		default:
			close(client->fd);
			client->fd = rngq_open(O_NONBLOCK);
		}
		if (bytes <= 0)
			continue;
		sum += bytes;
		reads[count++] = (struct crowd_read){ before_ns, rngq_now_ns(), bytes };
	}
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i].fd);
	diag("%llu bytes in %zu reads", sum, count);
	is_u64(crowd_excess_of(reads, count, &total), 0,
	       "walk %u, %llu bytes and a burst of %llu: never a byte more than promised", seed,
	       rate_bytes, burst_bytes);
}

int main(void)
{
	rngq_keep_globals();
	test_check();
	rngq_set_default(RNGQ_MAX, 1000, 0, 0);
	for (unsigned int i = 0; i < 4; i++)
		test_walk(i, 100, i % 2 * 50);
	test_walk(4, 3, 0);
	rngq_set_default(1024, 1000, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++)
		test_attack(&attacks[i]);
	return done_testing();
}
