// SPDX-License-Identifier: GPL-2.0
/*
 * "Waiting clients take turns: who wants less than an equal share gets all it
 * wants, the others get equal shares of the rest, none starves." A client that
 * the machine lets sleep for half of a period loses a part of its share, rightly;
 * so the bounds are wide and each test has three tries. Without shares the quickest
 * would get everything. (The benchmark looks at it closely.)
 */
#include "crowd.h"
#include "rngq.h"

#define PERIOD_MS	250
#define PERIODS		10
#define TRIES		3

static const struct crowd_quota unlimited = {
	.rate_bytes = RNGQ_MAX, .period_ms = 1000,
};

/* Let the crowd run, and measure when all have had their first share. */
static void run(struct crowd *crowd, u64 total_bytes)
{
	crowd_set_total(total_bytes, PERIOD_MS, 0);
	crowd_open(crowd);
	crowd_go(crowd);
	rngq_sleep_ms(2 * PERIOD_MS);
	crowd_mark(crowd);
	rngq_sleep_ms(PERIODS * PERIOD_MS);
}

static bool is_share(u64 had, u64 share)
{
	return had * 100 >= share * 60 && had * 100 <= share * 150;
}

/* Whether the members from @first on have had a share of @share each. */
static bool are_shares(struct crowd *crowd, unsigned int first, unsigned int count,
		       u64 share)
{
	bool equal = true;

	for (unsigned int i = first; i < first + count; i++) {
		if (is_share(crowd_had(&crowd->members[i]), share))
			continue;
		diag("member %u of kind %d had %llu instead of %llu", i,
		     crowd->members[i].kind, crowd_had(&crowd->members[i]), share);
		equal = false;
	}
	return equal;
}

static bool try_all_kinds(void)
{
	struct crowd *crowd = crowd_new(2 * CROWD_KINDS, 0);
	double jain;
	bool fair;

	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = i % CROWD_KINDS;
		crowd->members[i].quota = unlimited;
	}
	run(crowd, 1400);
	crowd_stop(crowd);
	jain = crowd_jain(crowd, 0, crowd->count);
	diag("Jain's index is %.4f", jain);
	fair = are_shares(crowd, 0, crowd->count, crowd_all_had(crowd) / crowd->count) &&
	       jain >= 0.95 && !crowd_error(crowd);
	crowd_free(crowd);
	return fair;
}

/* "Hammering gains nothing": the first has many threads that never sleep. */
static bool try_hammering(void)
{
	struct crowd *crowd = crowd_new(4, 0);
	bool fair;

	for (unsigned int i = 0; i < crowd->count; i++)
		crowd->members[i].quota = unlimited;
	crowd->members[0].kind = CROWD_SPIN;
	crowd->members[0].threads = 8;
	crowd->members[1].kind = CROWD_READ;
	crowd->members[2].kind = CROWD_POLL;
	crowd->members[3].kind = CROWD_READ;
	crowd->members[3].threads = 8;
	run(crowd, 400);
	crowd_stop(crowd);
	fair = are_shares(crowd, 0, 4, crowd_all_had(crowd) / 4) && !crowd_error(crowd);
	crowd_free(crowd);
	return fair;
}

/* Small reads cost more calls; they bring no less and no more. */
static bool try_small_pieces(void)
{
	struct crowd *crowd = crowd_new(6, 0);
	bool fair;

	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].quota = unlimited;
		crowd->members[i].kind = i % 2 ? CROWD_READ : CROWD_EDGE;
		crowd->members[i].asks = i < 2 ? 1 : i < 4 ? 7 : CROWD_MAX_ASKS;
	}
	run(crowd, 300);
	crowd_stop(crowd);
	fair = are_shares(crowd, 0, 6, crowd_all_had(crowd) / 6) && !crowd_error(crowd);
	crowd_free(crowd);
	return fair;
}

/* The first 3 are greedy; the others want 10 bytes a period each. */
static bool try_modest(void)
{
	struct crowd *crowd = crowd_new(23, 0);
	u64 wanted, greedy = 0;
	bool fair = true;

	for (unsigned int i = 0; i < crowd->count; i++) {
		struct crowd_member *member = &crowd->members[i];

		member->quota = unlimited;
		member->kind = i % CROWD_KINDS;
		if (i < 3)
			continue;
		member->wants_bytes = 10;
		member->every_ms = PERIOD_MS;
	}
	crowd->members[2].kind = CROWD_SPIN;
	run(crowd, 800);
	/* What a member wants may take two rounds. */
	wanted = 10 * ((rngq_now_ns() - crowd->start_ns) / (PERIOD_MS * NSEC_PER_MSEC) - 2);
	for (unsigned int i = 3; i < crowd->count; i++) {
		u64 bytes = crowd->members[i].bytes;

		if (bytes >= wanted)
			continue;
		diag("member %u of kind %d had %llu of %llu", i,
		     crowd->members[i].kind, bytes, wanted);
		fair = false;
	}
	crowd_stop(crowd);
	for (unsigned int i = 0; i < 3; i++)
		greedy += crowd_had(&crowd->members[i]);
	fair = fair && are_shares(crowd, 0, 3, greedy / 3) &&
	       is_share(greedy, PERIODS * 600) && !crowd_error(crowd);
	crowd_free(crowd);
	return fair;
}

/* Whose own quota is less than its share leaves the rest to the others. */
static bool try_small_quotas(void)
{
	const struct crowd_quota small = { .rate_bytes = 10, .period_ms = PERIOD_MS };
	struct crowd *crowd = crowd_new(6, 0);
	bool fair;

	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = i % 3;
		crowd->members[i].quota = i < 4 ? small : unlimited;
	}
	run(crowd, 400);
	crowd_stop(crowd);
	fair = are_shares(crowd, 0, 4, PERIODS * 10) &&
	       are_shares(crowd, 4, 2, PERIODS * 180) && !crowd_error(crowd);
	crowd_free(crowd);
	return fair;
}

static void test(bool (*try_once)(void), const char *name)
{
	bool fair = false;

	for (int i = 0; i < TRIES && !fair; i++)
		fair = try_once();
	ok(fair, "%s", name);
}

int main(void)
{
	rngq_keep_globals();
	test(try_all_kinds, "readers of all kinds get equal shares");
	test(try_hammering, "neither threads nor spinning bring more than a share");
	test(try_small_pieces, "nor less or more does it bring to ask for little");
	test(try_modest, "who wants less gets all it wants, the greedy the rest");
	test(try_small_quotas, "who may have less gets that, the others the rest");
	return done_testing();
}
