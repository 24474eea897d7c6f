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
	struct rngq_shares *shares = now(walk->s), sums = { };
	u64 next_ns = rngq_shares_next_ns(shares), in_line = 0, apart = 0, vtime = 0;
	struct rngq_member *member;
	struct rb_node *node;
	int i;

	for (i = 0; i < NR_CLIENTS; i++) {
		u64 taken, expectation;

		member = &walk->s->client[i].member;
		taken = member->round == shares->round ? member->taken_bytes : 0;
		expectation = min(taken, shares->share_bytes);
		sums.nr_newcomers += member->is_apart;
		if (member->is_in_line) {
			KUNIT_ASSERT_EQ(test, granted(walk->s, i), 0ULL);
			sums.nr_waiting++;
			sums.want_bytes += member->want_bytes;
			if (member->want_bytes >= shares->share_bytes)
				expectation = 0;
		}
		sums.granted_bytes += granted(walk->s, i);
		sums.nr_members += taken || member->is_in_line;
		sums.absent_bytes += expectation;
		/* Nobody may take what is granted to others. */
		if (shares->bucket.rate_bytes != RNGQ_MAX)
			KUNIT_ASSERT_LE(test, ask(walk->s, i, 1, RNGQ_GO) - granted(walk->s, i),
					shares->bucket.level_bytes - shares->granted_bytes);
	}
	KUNIT_ASSERT_EQ(test, sums.granted_bytes, shares->granted_bytes);
	KUNIT_ASSERT_EQ(test, sums.nr_members, shares->nr_members);
	KUNIT_ASSERT_EQ(test, sums.nr_newcomers, shares->nr_newcomers);
	KUNIT_ASSERT_EQ(test, sums.absent_bytes, shares->absent_bytes);
	KUNIT_ASSERT_EQ(test, sums.nr_waiting, shares->nr_waiting);
	KUNIT_ASSERT_EQ(test, sums.want_bytes, shares->want_bytes);
	for (node = rb_first_cached(&shares->line); node; node = rb_next(node)) {
		member = rb_entry(node, struct rngq_member, node);
		KUNIT_ASSERT_TRUE(test, member->is_in_line && !member->is_apart);
		KUNIT_ASSERT_GE(test, member->vtime, vtime);
		vtime = member->vtime;
		in_line++;
	}
	KUNIT_ASSERT_EQ(test, in_line, shares->nr_waiting);
	list_for_each_entry(member, &shares->newcomers, waiter.node)
		apart += member->is_apart;
	KUNIT_ASSERT_EQ(test, apart, shares->nr_newcomers);
	if (in_line || apart)
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
	bool is_first = !shares->next_deal_ns;
	int i;

	KUNIT_ASSERT_LE(test, deal(walk->s), NR_CLIENTS);
	for (i = 0; i < NR_CLIENTS; i++) {
		KUNIT_ASSERT_FALSE(test, walk->s->client[i].is_woken && is_waiting(walk->s, i));
		walk->s->client[i].is_woken = false;
	}
	/* No deal brings about another at the same time, or leaves anything. */
	KUNIT_ASSERT_GT(test, rngq_shares_next_ns(shares), walk->s->now_ns);
	if (!is_first && shares->nr_waiting)
		KUNIT_ASSERT_LE(test, shares->bucket.level_bytes, shares->granted_bytes +
				shares->expected_bytes + shares->newcomer_bytes);
}

/* If all that are served are content, soon nobody waits. */
static void step_patience(struct kunit *test, struct walk *walk)
{
	int deals, i;
	u64 next_ns;

	for (deals = 0; (next_ns = rngq_shares_next_ns(now(walk->s))) != RNGQ_NEVER; deals++) {
		KUNIT_ASSERT_LT(test, deals, 100);
		walk->s->now_ns = max(walk->s->now_ns, next_ns);
		step_deal(test, walk);
		for (i = 0; i < NR_CLIENTS; i++)
			step_take(test, walk, i, granted(walk->s, i));
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
			if (i != walk->reader || !walk->draw.bucket.level_bytes)
				reopen(s, i, kind % 2);
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
			join(s, 1, (struct habit){ RNGQ_SLEEP, want, every_ms });
		}
		/* These keep a 32nd of it from the others until closing. */
		join(s, rnd(walk, 30), (struct habit){ RNGQ_WAIT, 0, 1 + rnd(walk, 1000) });
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
