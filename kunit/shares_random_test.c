// SPDX-License-Identifier: GPL-2.0
/* Shares in random steps: what must hold after each; and crowds beside a plain model. */
#include <linux/prandom.h>
#include <linux/random.h>
#include "shares_scene.h"

#define NR_CLIENTS	16

/* "make KUNIT=1 SEED=" repeats the walks that printed it. */
#ifndef SEED
#define SEED		get_random_u32()
#endif

struct walk {
	struct rnd_state rnd;
	struct scene *s;
	/* A read that is still being delivered */
	struct rngq_share_draw draw;
	int reader;
	u64 left_round;		/* in which the last client left */
	s64 max_debt;
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
	kunit_info(test, "SEED=%llu (shares)", seed);
	prandom_seed_state(&walk->rnd, seed);
	return walk;
}

/* What must hold at any time: the sums are those of all clients. */
static void check_sums(struct kunit *test, struct walk *walk)
{
	static const bool is_known[RNGQ_NR_LINES] = {
		[RNGQ_LINE_UNDER] = true, [RNGQ_LINE_FULL] = true, [RNGQ_LINE_OVER] = true,
	};
	struct rngq_shares *shares = now(walk->s), sums = { };
	u64 next_ns = rngq_shares_next_ns(shares), level = shares->bucket.level_bytes;
	struct rngq_member *member;
	int i, line;

	walk->max_debt = max_t(s64, walk->max_debt, shares->least_bytes * RNGQ_VBYTE);
	for (i = 0; i < NR_CLIENTS; i++) {
		u64 demand;

		member = &walk->s->client[i].member;
		sums.nr_in_line[member->line]++;
		sums.nr_waiting += !!member->line;
		/* Who waits and was not seen in this round is taken for hungry. */
		demand = member->round == shares->round ? member->demand_bytes :
			is_known[member->line] ? shares->share_bytes : 0;
		sums.nr_members += !!demand;
		sums.nr_hungry += demand >= shares->share_bytes;
		sums.demand_bytes += min(demand, shares->share_bytes);
		sums.nr_uncalled += is_known[member->line] && member->line_round != shares->round;
		sums.nr_due += member->epoch == shares->epoch && member->is_due;
		if (member->round != shares->round)
			continue;
		KUNIT_ASSERT_FALSE(test, member->has_asked && is_waiting(walk->s, i));
		sums.nr_asked += member->has_asked;
		sums.short_bytes += member->is_short * member->taken_bytes;
		sums.nr_unserved += member->is_hungry && !member->is_served;
		/* Nobody owes more than two wake-ups are worth, of the round that is worth most. */
		KUNIT_ASSERT_GE(test, (s64)(shares->vtime - member->vtime), -2 * walk->max_debt);
	}
	/* Who has left is still counted. */
	KUNIT_ASSERT_LE(test, sums.nr_members, shares->nr_members);
	KUNIT_ASSERT_LE(test, sums.nr_hungry, shares->nr_hungry);
	KUNIT_ASSERT_LE(test, sums.demand_bytes, shares->demand_bytes);
	KUNIT_ASSERT_LE(test, sums.short_bytes, shares->short_bytes);
	KUNIT_ASSERT_LE(test, sums.nr_unserved, shares->nr_unserved);
	KUNIT_ASSERT_LE(test, sums.nr_asked, shares->nr_asked);
	if (walk->left_round != shares->round) {
		KUNIT_ASSERT_EQ(test, sums.nr_members, shares->nr_members);
		KUNIT_ASSERT_EQ(test, sums.nr_hungry, shares->nr_hungry);
		KUNIT_ASSERT_EQ(test, sums.demand_bytes, shares->demand_bytes);
		KUNIT_ASSERT_EQ(test, sums.short_bytes, shares->short_bytes);
		KUNIT_ASSERT_EQ(test, sums.nr_asked, shares->nr_asked);
	}
	KUNIT_ASSERT_EQ(test, sums.nr_uncalled, shares->nr_uncalled);
	KUNIT_ASSERT_EQ(test, sums.nr_due, shares->nr_due);
	KUNIT_ASSERT_EQ(test, sums.nr_waiting, shares->nr_waiting);
	for (line = 1; line < RNGQ_NR_LINES; line++) {
		list_for_each_entry(member, &shares->line[line], waiter.node) {
			KUNIT_ASSERT_EQ(test, (int)member->line, line);
			sums.nr_in_line[line]--;
		}
		KUNIT_ASSERT_EQ(test, sums.nr_in_line[line], 0ULL);
	}
	/* No more is set aside than there is. */
	KUNIT_ASSERT_LE(test, shares->aside_bytes[false] + shares->aside_bytes[true] +
			shares->extra_bytes, level);
	KUNIT_ASSERT_LE(test, shares->waiters_bytes, shares->extra_bytes);
	if (shares->nr_waiting)
		KUNIT_ASSERT_LE(test, next_ns, walk->s->now_ns + shares->bucket.period_ns);
	else
		KUNIT_ASSERT_EQ(test, next_ns, RNGQ_NEVER);
}

static void step_take(struct kunit *test, struct walk *walk, int i, u64 want)
{
	u64 available = ask(walk->s, i, want, RNGQ_GO);
	u64 taken = take(walk->s, i, want);

	KUNIT_ASSERT_EQ(test, taken, min(want, available));
	if (walk->s->shares.bucket.rate_bytes == RNGQ_MAX)
		return;
	KUNIT_ASSERT_EQ(test, taken, walk->s->draw.bucket.level_bytes);
	KUNIT_ASSERT_FALSE(test, taken && is_waiting(walk->s, i));
	if (!walk->draw.bucket.level_bytes && !rnd(walk, 4)) {
		walk->draw = walk->s->draw;
		walk->reader = i;
	}
}

static void step_deal(struct kunit *test, struct walk *walk)
{
	struct rngq_shares *shares = now(walk->s);
	int i;

	KUNIT_ASSERT_LE(test, deal(walk->s), NR_CLIENTS);
	for (i = 0; i < NR_CLIENTS; i++) {
		KUNIT_ASSERT_FALSE(test, walk->s->client[i].is_woken && is_waiting(walk->s, i));
		walk->s->client[i].is_woken = false;
	}
	/* No deal brings about another at the same time. */
	KUNIT_ASSERT_GT(test, rngq_shares_next_ns(shares), walk->s->now_ns);
}

/* If all that are called take what there is for them, and are content, soon nobody waits. */
static void step_patience(struct kunit *test, struct walk *walk)
{
	struct scene *s = walk->s;
	int deals, i;
	u64 next_ns;

	for (deals = 0; (next_ns = rngq_shares_next_ns(now(s))) != RNGQ_NEVER; deals++) {
		KUNIT_ASSERT_LT(test, deals, 100);
		s->now_ns = max(s->now_ns, next_ns);
		deal(s);
		for (i = 0; i < NR_CLIENTS; i++) {
			if (s->client[i].is_woken && !take(s, i, MOST))
				ask(s, i, MOST, RNGQ_WAIT);
			s->client[i].is_woken = false;
		}
	}
}

static void any_crowd(struct kunit *test)
{
	struct walk *walk = new_walk(test);
	struct scene *s = walk->s = new_scene(test, 100, 100, 0);
	int step;

	for (step = 0; step < 100000; step++) {
		/* The first of them come often, the last ones seldom. */
		int i = rnd(walk, 1 + rnd(walk, NR_CLIENTS)), kind = rnd(walk, 1000);
		u64 want = rnd(walk, 2) ? 1 + rnd(walk, 100) : MOST;

		if (kind < 250) {
			step_take(test, walk, i, want);
		} else if (kind < 550) {
			ask(s, i, want, rnd(walk, 3));
		} else if (kind < 590) {
			rngq_shares_give_back(now(s), &s->client[walk->reader].member, &walk->draw,
					      rnd(walk, walk->draw.bucket.level_bytes + 1));
			walk->draw.bucket.level_bytes = 0;
		} else if (kind < 600) {
			/* Nobody closes a file before the reads on it have ended. */
			if (i == walk->reader && walk->draw.bucket.level_bytes)
				continue;
			reopen(s, i, kind % 2);
			walk->left_round = s->shares.round;
		} else if (kind < 800) {
			step_deal(test, walk);
		} else if (kind < 900) {
			s->now_ns += rnd(walk, rnd(walk, 4) * s->shares.bucket.period_ns + MS);
		} else if (kind < 995) {
			/* To the next deal, and a nanosecond to either side. */
			u64 next_ns = rngq_shares_next_ns(&s->shares);

			if (next_ns != RNGQ_NEVER && next_ns > s->now_ns)
				s->now_ns = next_ns - 1 + rnd(walk, 3);
		} else if (kind < 997) {
			step_patience(test, walk);
		} else {
			set_quota(s, rnd(walk, 8) ? 1 + rnd(walk, rnd(walk, 2) ? 20 : 500) :
				  RNGQ_MAX, 1 + rnd(walk, rnd(walk, 2) ? 20 : 1000),
				  rnd(walk, 2) ? 0 : rnd(walk, 500));
		}
		check_sums(test, walk);
	}
}

static void crowds_share_like_the_model(struct kunit *test)
{
	struct walk *walk = new_walk(test);
	int crowd, i;

	for (crowd = 0; crowd < 20; crowd++) {
		u64 rate = 2000 + rnd(walk, 10000), rest = rate, want, every_ms;
		struct scene *s = new_scene(test, rate, 1000, 0);
		int nr_greedy = 2 + rnd(walk, 8);

		for (i = 0; i < nr_greedy; i++)
			join(s, 1, greedy[rnd(walk, 3)]);
		/* These want less than an equal share. The greedy ones share the rest. */
		for (i = rnd(walk, 20); i; i--) {
			want = 1 + rnd(walk, rate / 40);
			every_ms = 700 + rnd(walk, 600);
			rest -= want * 1000 / every_ms;
			join(s, 1, (struct habit){ RNGQ_WAIT, true, want, every_ms });
		}
		/* These keep a 32nd of it from the others until closing. */
		join(s, rnd(walk, 30), (struct habit){ RNGQ_WAIT, false, 0, 1 + rnd(walk, 1000) });
		run_and_count(s, 40);
		for (i = 0; i < nr_greedy; i++) {
			KUNIT_EXPECT_GE(test, s->client[i].had * nr_greedy, 40 * rest * 17 / 20);
			KUNIT_EXPECT_LE(test, s->client[i].had * nr_greedy, 40 * rest * 23 / 20);
		}
		kunit_kfree(test, s);
	}
}

static struct kunit_case walk_cases[] = {
	KUNIT_CASE(any_crowd), KUNIT_CASE(crowds_share_like_the_model), {}
};

static struct kunit_suite walks = { .name = "rngquota_shares_random", .test_cases = walk_cases };
kunit_test_suite(walks);
