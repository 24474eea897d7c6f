// SPDX-License-Identifier: GPL-2.0
/*
 * A crowd at one bucket, in random steps: what must hold after each step,
 * whatever the clients do, and who gets how much in the long run.
 */
#include <kunit/test.h>

#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/time64.h>

#include "../driver/turns.h"

#define STEPS		100000
#define STRETCHES	200
#define EVENTS		200
#define LOG_SIZE	256
#define NR_PENDING	3
#define NR_CLIENTS	12

/* "make KUNIT=1 SEED=" repeats the walks that printed it. */
#ifndef SEED
#define SEED		get_random_u32()
#endif

struct client {
	struct rngq_turn turn;
	u64 had;		/* bytes, in this stretch */
	u64 dealt_bytes;	/* its share, when it was dealt out ... */
	u64 half_ns;		/* ... and when half of that must be gone */
};

/* What was taken from the bucket, when, under one and the same quota. */
struct entry {
	u64 at_ns;
	u64 bytes;
};

/* A read that is still being delivered. */
struct pending {
	struct rngq_draw draw;
	u64 bytes;		/* 0: there is none */
	int entry;		/* in the log; -1: no longer */
};

struct walk {
	struct rnd_state rnd;
	u64 now_ns;
	struct rngq_turns turns;
	struct client client[NR_CLIENTS];
	struct entry log[LOG_SIZE];
	int logged;
	struct pending pending[NR_PENDING];
};

static u64 rnd(struct walk *walk, u64 below)
{
	return prandom_u32_state(&walk->rnd) % below;
}

static struct walk *new_walk(struct kunit *test)
{
	struct walk *walk = kunit_kzalloc(test, sizeof(*walk), GFP_KERNEL);
	u64 seed = SEED;

	KUNIT_ASSERT_NOT_NULL(test, walk);
	kunit_info(test, "SEED=%llu (turns)", seed);
	prandom_seed_state(&walk->rnd, seed);
	walk->now_ns = NSEC_PER_SEC;
	return walk;
}

static struct rngq_quota rnd_quota(struct walk *walk)
{
	struct rngq_quota quota = {
		.rate_bytes = 1 + rnd(walk, rnd(walk, 2) ? 20 : 500),
		.period_ms = 1 + rnd(walk, rnd(walk, 2) ? 20 : 1000),
		.burst_bytes = rnd(walk, 2) ? 0 : rnd(walk, 500),
	};

	return quota;
}

static void start_crowd(struct walk *walk)
{
	struct rngq_quota quota = rnd_quota(walk);
	int i;

	rngq_turns_init(&walk->turns, &quota);
	memset(walk->client, 0, sizeof(walk->client));
	for (i = 0; i < NR_CLIENTS; i++)
		rngq_turn_init(&walk->client[i].turn);
}

static bool has_limit(const struct walk *walk)
{
	return walk->turns.bucket.rate_bytes != RNGQ_MAX;
}

static u64 free_bytes(const struct walk *walk)
{
	return walk->turns.bucket.level_bytes - walk->turns.reserved_bytes;
}

/* What must hold at any time. */
static void check_sums(struct kunit *test, struct walk *walk)
{
	const struct rngq_turns *turns = &walk->turns;
	u64 next_ns = rngq_turns_next_ns(turns);
	u64 reserved = 0, waiting = 0, members = 0;
	const struct rngq_turn *turn;
	int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		turn = &walk->client[i].turn;
		reserved += turn->reserved_bytes;
		waiting += turn->is_waiting;
		/* A share is what one waits for; either makes a member. */
		KUNIT_ASSERT_FALSE(test,
				   turn->is_waiting && turn->reserved_bytes);
		if (turn->is_waiting || turn->reserved_bytes)
			KUNIT_ASSERT_FALSE(test, list_empty(&turn->ring));
	}
	list_for_each_entry(turn, &turns->ring, ring)
		members++;
	KUNIT_ASSERT_EQ(test, reserved, turns->reserved_bytes);
	KUNIT_ASSERT_EQ(test, waiting, turns->waiting);
	KUNIT_ASSERT_EQ(test, members, turns->members);
	KUNIT_ASSERT_LE(test, reserved, turns->bucket.level_bytes);

	/* Nobody is forgotten, and nobody is dealt anything by magic. */
	if (!waiting)
		KUNIT_ASSERT_EQ(test, next_ns, RNGQ_NEVER);
	else
		KUNIT_ASSERT_LE(test, next_ns,
				walk->now_ns + turns->bucket.period_ns);
	if (!has_limit(walk))
		KUNIT_ASSERT_EQ(test, waiting + reserved, 0ULL);
}

/* In no interval more than the promise: not in any, of all there are. */
static void check_promise(struct kunit *test, struct walk *walk)
{
	const struct rngq_bucket *bucket = &walk->turns.bucket;
	int from, to;

	for (from = 0; from < walk->logged; from++) {
		u64 sum = 0;

		for (to = from; to < walk->logged; to++) {
			u64 t_ns = walk->log[to].at_ns - walk->log[from].at_ns;
			u64 promise = bucket->capacity_bytes +
				bucket->rate_bytes *
				(t_ns / bucket->period_ns + 1);

			sum += walk->log[to].bytes;
			KUNIT_ASSERT_LE(test, sum, promise);
		}
	}
	walk->logged = 0;
	for (from = 0; from < NR_PENDING; from++)
		walk->pending[from].entry = -1;
}

static void note_draw(struct kunit *test, struct walk *walk,
		      const struct rngq_draw *draw)
{
	struct pending *pending = &walk->pending[rnd(walk, NR_PENDING)];

	if (walk->logged == LOG_SIZE)
		check_promise(test, walk);
	walk->log[walk->logged].at_ns = walk->now_ns;
	walk->log[walk->logged].bytes = draw->level_bytes;
	/* Some reads are slow to be delivered. */
	if (!pending->bytes && draw->level_bytes && !rnd(walk, 4))
		*pending = (struct pending){
			.draw = *draw, .bytes = draw->level_bytes,
			.entry = walk->logged,
		};
	walk->logged++;
}

static u64 take(struct kunit *test, struct walk *walk, int i, u64 want)
{
	struct rngq_turn *turn = &walk->client[i].turn;
	u64 others = walk->turns.waiting - turn->is_waiting;
	u64 share = turn->reserved_bytes;
	struct rngq_draw draw;
	u64 available, taken;

	memset(&draw, 0x5a, sizeof(draw));
	available = rngq_turns_available(&walk->turns, turn, walk->now_ns);
	/* Nobody overtakes those in line. */
	if (others && has_limit(walk))
		KUNIT_ASSERT_EQ(test, available, share);
	taken = rngq_turns_take(&walk->turns, turn, want, walk->now_ns, &draw);
	KUNIT_ASSERT_EQ(test, taken, min(want, available));
	if (taken)
		KUNIT_ASSERT_FALSE(test, turn->is_waiting);
	walk->client[i].had += taken;
	walk->client[i].dealt_bytes = 0;
	if (has_limit(walk))
		note_draw(test, walk, &draw);
	return taken;
}

/* Find nothing, and get in line. Return whether there was nothing. */
static bool line_up(struct walk *walk, int i)
{
	struct rngq_turn *turn = &walk->client[i].turn;

	if (rngq_turns_available(&walk->turns, turn, walk->now_ns))
		return false;
	rngq_turns_wait(&walk->turns, turn);
	return true;
}

/* A client was dealt something: when must half of it be fetched or gone? */
static void note_share(struct walk *walk, struct client *client)
{
	const struct rngq_bucket *bucket = &walk->turns.bucket;
	u64 left_ns = bucket->refill_ns - walk->now_ns;

	client->dealt_bytes = 0;
	if (bucket->refill_ns == RNGQ_NEVER ||
	    left_ns < max_t(u64, bucket->period_ns / 64, NSEC_PER_MSEC))
		return;
	client->dealt_bytes = client->turn.reserved_bytes;
	client->half_ns = walk->now_ns + left_ns / 2;
}

static void check_cuts(struct kunit *test, struct walk *walk)
{
	struct client *client;
	int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		client = &walk->client[i];
		if (client->dealt_bytes && walk->now_ns >= client->half_ns)
			KUNIT_ASSERT_LE(test, client->turn.reserved_bytes,
					client->dealt_bytes / 2);
	}
}

/* Deal, and see that all in line get the same, and nothing is kept back. */
static void deal(struct kunit *test, struct walk *walk)
{
	u64 before[NR_CLIENTS];
	bool waited[NR_CLIENTS], on_its_way[NR_CLIENTS], lapses[NR_CLIENTS];
	u64 least = U64_MAX, most = 0;
	u64 round = walk->turns.round, cut_ns = walk->turns.cut_ns;
	LIST_HEAD(wake);
	int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		before[i] = walk->client[i].turn.reserved_bytes;
		waited[i] = walk->client[i].turn.is_waiting;
		on_its_way[i] = walk->client[i].turn.is_called &&
			walk->client[i].turn.may_recall;
		lapses[i] = !walk->client[i].turn.hold_bytes;
	}
	rngq_turns_deal(&walk->turns, walk->now_ns, &wake);
	/* All shares have gone back, and who had not come for one waits again. */
	if (walk->turns.round != round) {
		memset(before, 0, sizeof(before));
		for (i = 0; i < NR_CLIENTS; i++)
			waited[i] |= on_its_way[i];
	} else if (walk->now_ns >= cut_ns) {
		/* So have those that are not of the round. */
		for (i = 0; i < NR_CLIENTS; i++)
			waited[i] |= on_its_way[i] && lapses[i];
	}

	for (i = 0; i < NR_CLIENTS; i++) {
		struct client *client = &walk->client[i];

		if (client->turn.reserved_bytes > before[i] || waited[i])
			note_share(walk, client);
		/* Who got something is woken, if it waited; nobody else. */
		KUNIT_ASSERT_EQ(test, !list_empty(&client->turn.wake),
				waited[i] && client->turn.reserved_bytes);
		KUNIT_ASSERT_EQ(test, client->turn.is_waiting,
				waited[i] && !client->turn.reserved_bytes);
		if (waited[i]) {
			least = min(least, client->turn.reserved_bytes);
			most = max(most, client->turn.reserved_bytes);
		}
	}
	if (least != U64_MAX)
		KUNIT_ASSERT_LE(test, most - least, 1ULL);
	/* Who did not wait, but was dealt something, has no more than they. */
	for (i = 0; i < NR_CLIENTS; i++) {
		if (walk->client[i].turn.reserved_bytes > before[i])
			KUNIT_ASSERT_LE(test,
					walk->client[i].turn.reserved_bytes -
					before[i], waited[i] ? most : least);
	}
	if (least != U64_MAX)
		KUNIT_ASSERT_EQ(test, free_bytes(walk), 0ULL);
	check_cuts(test, walk);
	/* No deal brings about another at the same time. */
	KUNIT_ASSERT_GT(test, rngq_turns_next_ns(&walk->turns), walk->now_ns);
	while (!list_empty(&wake))
		list_del_init(wake.next);
}

static void step_give_back(struct walk *walk)
{
	struct pending *pending = &walk->pending[rnd(walk, NR_PENDING)];
	u64 undelivered;

	if (!pending->bytes)
		return;
	undelivered = 1 + rnd(walk, pending->bytes);
	rngq_turns_give_back(&walk->turns, &pending->draw, undelivered,
			     walk->now_ns);
	pending->bytes = 0;
	/* Of a log that has been checked, only what is taken later counts. */
	if (pending->entry >= 0)
		walk->log[pending->entry].bytes -= undelivered;
}

static void step_sleep(struct walk *walk)
{
	u64 period_ns = walk->turns.bucket.period_ns;
	u64 next_ns = rngq_turns_next_ns(&walk->turns);

	switch (rnd(walk, 8)) {
	case 0:
		walk->now_ns += rnd(walk, period_ns);
		break;
	case 1:
		walk->now_ns += rnd(walk, 4 * period_ns);
		break;
	case 2:
	case 3:
		walk->now_ns += rnd(walk, period_ns / 16 + 1);
		break;
	default:
		/* To the next deal, and a nanosecond to either side. */
		if (next_ns != RNGQ_NEVER && next_ns > walk->now_ns)
			walk->now_ns = next_ns - 1 + rnd(walk, 3);
		break;
	}
}

static void step_change(struct kunit *test, struct walk *walk)
{
	struct rngq_quota quota = rnd_quota(walk);
	int i;

	if (!rnd(walk, 8))
		quota.rate_bytes = RNGQ_MAX;
	check_promise(test, walk);
	rngq_turns_set_quota(&walk->turns, &quota, walk->now_ns);
	for (i = 0; i < NR_CLIENTS; i++)
		walk->client[i].dealt_bytes = 0;
}

static void any_crowd(struct kunit *test)
{
	struct walk *walk = new_walk(test);
	int step;

	start_crowd(walk);
	for (step = 0; step < STEPS; step++) {
		/* The first of them come often, the last ones seldom. */
		int i = rnd(walk, 1 + rnd(walk, NR_CLIENTS));
		struct rngq_turn *turn = &walk->client[i].turn;
		u64 kind = rnd(walk, 1000);

		if (kind < 200) {
			take(test, walk, i, 1 + rnd(walk, 100));
		} else if (kind < 500) {
			if (has_limit(walk) && !line_up(walk, i))
				take(test, walk, i, RNGQ_MAX);
		} else if (kind < 540) {
			step_give_back(walk);
		} else if (kind < 570) {
			rngq_turns_withdraw(&walk->turns, turn);
		} else if (kind < 590) {
			rngq_turns_leave(&walk->turns, turn);
			KUNIT_ASSERT_TRUE(test, list_empty(&turn->ring));
			rngq_turn_init(turn);
		} else if (kind < 790) {
			deal(test, walk);
		} else if (kind < 998) {
			step_sleep(walk);
		} else {
			step_change(test, walk);
		}
		if (!has_limit(walk) && !rnd(walk, 10))
			step_change(test, walk);
		check_sums(test, walk);
	}
	check_promise(test, walk);
}

/* Those who always want more fetch what they got, and are in line again. */
static void greedy_fetch(struct kunit *test, struct walk *walk, int nr_greedy)
{
	int first = rnd(walk, nr_greedy);
	int step = rnd(walk, 2) ? 1 : nr_greedy - 1;
	int n;

	for (n = 0; n < nr_greedy; n++) {
		int i = (first + n * step) % nr_greedy;

		if (!walk->client[i].turn.is_waiting)
			take(test, walk, i, RNGQ_MAX);
		KUNIT_ASSERT_TRUE(test, line_up(walk, i));
	}
}

static void modest_step(struct kunit *test, struct walk *walk, int i)
{
	struct rngq_turn *turn = &walk->client[i].turn;

	switch (rnd(walk, 8)) {
	case 0:
		rngq_turns_withdraw(&walk->turns, turn);
		break;
	case 1:
		rngq_turns_leave(&walk->turns, turn);
		break;
	case 2:
	case 3:
		line_up(walk, i);
		break;
	case 4:
		step_give_back(walk);
		break;
	default:
		take(test, walk, i, 1 + rnd(walk, 30));
		break;
	}
}

/*
 * Whoever is always in line when something is dealt out gets as much as any
 * other such client, to the byte that doesn't divide: whatever the others do,
 * and in whatever order they fetch it.
 */
static void greedy_clients_get_the_same(struct kunit *test)
{
	struct walk *walk = new_walk(test);
	int stretch, event, nr_greedy, i;

	for (stretch = 0; stretch < STRETCHES; stretch++) {
		start_crowd(walk);
		take(test, walk, 0, RNGQ_MAX);
		nr_greedy = 2 + rnd(walk, NR_CLIENTS - 2);
		for (i = 0; i < nr_greedy; i++) {
			walk->client[i].had = 0;
			KUNIT_ASSERT_TRUE(test, line_up(walk, i));
		}
		for (event = 0; event < EVENTS; event++) {
			u64 least = U64_MAX, most = 0;

			step_sleep(walk);
			if (nr_greedy < NR_CLIENTS)
				modest_step(test, walk, nr_greedy +
					    rnd(walk, NR_CLIENTS - nr_greedy));
			if (rnd(walk, 4))
				deal(test, walk);
			greedy_fetch(test, walk, nr_greedy);
			check_sums(test, walk);
			for (i = 0; i < nr_greedy; i++) {
				least = min(least, walk->client[i].had);
				most = max(most, walk->client[i].had);
			}
			KUNIT_ASSERT_LE(test, most - least, 1ULL);
		}
		check_promise(test, walk);
		memset(walk->pending, 0, sizeof(walk->pending));
	}
}

static struct kunit_case turns_random_cases[] = {
	KUNIT_CASE(any_crowd),
	KUNIT_CASE(greedy_clients_get_the_same),
	{}
};

static struct kunit_suite turns_random_suite = {
	.name = "rngquota_turns_random",
	.test_cases = turns_random_cases,
};

kunit_test_suite(turns_random_suite);
