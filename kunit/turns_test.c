// SPDX-License-Identifier: GPL-2.0
/*
 * Turns, rule by rule. The clock is a variable of the test.
 */
#include <kunit/test.h>

#include <linux/minmax.h>
#include <linux/time64.h>

#include "../driver/turns.h"

#define MS	((u64)NSEC_PER_MSEC)
#define SEC	((u64)NSEC_PER_SEC)

/* The largest rate or burst that users can set. */
#define MOST_BYTES	BIT_ULL(40)

#define MOST_CLIENTS	128

/* A bucket, a crowd of clients, their clock, and the last draw. */
struct scene {
	struct rngq_turns turns;
	struct rngq_turn turn[MOST_CLIENTS];
	struct list_head wake;
	struct rngq_draw draw;
	u64 now_ns;
};

static struct scene *new_scene(struct kunit *test, u64 rate_bytes,
			       u64 period_ms, u64 burst_bytes)
{
	const struct rngq_quota quota = { rate_bytes, period_ms, burst_bytes };
	struct scene *scene = kunit_kzalloc(test, sizeof(*scene), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, scene);
	/* As on a stack: whatever is not set is garbage. */
	memset(&scene->turns, 0x5a, sizeof(scene->turns));
	memset(scene->turn, 0x5a, sizeof(scene->turn));
	memset(&scene->draw, 0x5a, sizeof(scene->draw));
	INIT_LIST_HEAD(&scene->wake);
	scene->now_ns = 3 * SEC;
	rngq_turns_init(&scene->turns, &quota);
	for (i = 0; i < MOST_CLIENTS; i++)
		rngq_turn_init(&scene->turn[i]);
	return scene;
}

static u64 available(struct scene *scene, int i)
{
	return rngq_turns_available(&scene->turns, &scene->turn[i],
				    scene->now_ns);
}

static u64 take(struct scene *scene, int i, u64 want_bytes)
{
	return rngq_turns_take(&scene->turns, &scene->turn[i], want_bytes,
			       scene->now_ns, &scene->draw);
}

static u64 take_all(struct scene *scene, int i)
{
	return take(scene, i, RNGQ_MAX);
}

static void give_back(struct scene *scene, u64 bytes)
{
	rngq_turns_give_back(&scene->turns, &scene->draw, bytes,
			     scene->now_ns);
}

/* Find nothing, and get in line, as a reader does. */
static u64 line_up(struct scene *scene, int i)
{
	u64 bytes = available(scene, i);

	if (!bytes)
		rngq_turns_wait(&scene->turns, &scene->turn[i]);
	return bytes;
}

static void line_up_all(struct scene *scene, int nr_clients)
{
	int i;

	for (i = 0; i < nr_clients; i++)
		line_up(scene, i);
}

static void withdraw(struct scene *scene, int i)
{
	rngq_turns_withdraw(&scene->turns, &scene->turn[i]);
}

static void leave(struct scene *scene, int i)
{
	rngq_turns_leave(&scene->turns, &scene->turn[i]);
}

static u64 share(const struct scene *scene, int i)
{
	return scene->turn[i].reserved_bytes;
}

static bool is_waiting(const struct scene *scene, int i)
{
	return scene->turn[i].is_waiting;
}

static bool is_member(const struct scene *scene, int i)
{
	return !list_empty(&scene->turn[i].ring);
}

static u64 next_ns(const struct scene *scene)
{
	return rngq_turns_next_ns(&scene->turns);
}

/* Deal, and wake those who got something. Return how many that are. */
static int deal(struct scene *scene)
{
	int woken = 0;

	rngq_turns_deal(&scene->turns, scene->now_ns, &scene->wake);
	while (!list_empty(&scene->wake)) {
		list_del_init(scene->wake.next);
		woken++;
	}
	return woken;
}

static void set_quota(struct scene *scene, u64 rate_bytes, u64 period_ms,
		      u64 burst_bytes)
{
	const struct rngq_quota quota = { rate_bytes, period_ms, burst_bytes };

	rngq_turns_set_quota(&scene->turns, &quota, scene->now_ns);
}

/* A bucket that was emptied just now by a client who is not in the crowd. */
static struct scene *new_empty(struct kunit *test, u64 rate_bytes,
			       u64 period_ms, u64 burst_bytes)
{
	struct scene *scene = new_scene(test, rate_bytes, period_ms,
					burst_bytes);

	KUNIT_ASSERT_EQ(test, take_all(scene, MOST_CLIENTS - 1),
			rate_bytes + burst_bytes);
	leave(scene, MOST_CLIENTS - 1);
	return scene;
}

/* Nobody waits. */

static void bucket_starts_full_and_nobody_waits(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 20);

	KUNIT_EXPECT_EQ(test, available(s, 0), 120ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
	KUNIT_EXPECT_EQ(test, deal(s), 0);
}

static void whoever_comes_takes_what_there_is(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	KUNIT_EXPECT_EQ(test, take(s, 0, 30), 30ULL);
	KUNIT_EXPECT_EQ(test, available(s, 1), 70ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 70ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 2), 0ULL);

	/* Nobody waited for the refill: so it is dealt out to nobody. */
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 0);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, available(s, 2), 100ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 100ULL);
}

static void who_only_looks_is_not_in_line(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	KUNIT_EXPECT_EQ(test, available(s, 0), 0ULL);
	KUNIT_EXPECT_FALSE(test, is_member(s, 0));
	KUNIT_EXPECT_EQ(test, take(s, 0, 10), 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 0);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
}

static void who_waits_alone_needs_no_deal(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up(s, 0);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, available(s, 0), 100ULL);
	KUNIT_EXPECT_EQ(test, take(s, 0, 60), 60ULL);
	KUNIT_EXPECT_FALSE(test, is_waiting(s, 0));
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 0ULL);
	KUNIT_EXPECT_EQ(test, available(s, 1), 40ULL);
}

static void who_takes_nothing_goes_on_waiting(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up(s, 0);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 0ULL);
	KUNIT_EXPECT_TRUE(test, is_waiting(s, 0));
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 1ULL);
}

static void waiting_twice_is_waiting_once(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up(s, 0);
	line_up(s, 0);
	line_up(s, 1);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 2ULL);
	KUNIT_EXPECT_EQ(test, s->turns.members, 2ULL);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 0), 50ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 50ULL);
}

/* A refill that is waited for. */

static void those_in_line_get_equal_shares(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);
	int i;

	line_up_all(s, 4);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 4);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 0ULL);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_EQ(test, share(s, i), 25ULL);
		KUNIT_EXPECT_EQ(test, available(s, i), 25ULL);
	}
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, take_all(s, i), 25ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
}

/* Somebody read a moment before the refill, and will again a moment after. */
static void who_has_asked_gets_a_share_without_being_in_line(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	KUNIT_EXPECT_EQ(test, take(s, 0, 1), 1ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 99ULL);
	line_up(s, 1);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 0), 50ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 50ULL);
}

static void who_has_not_asked_since_the_refill_before_gets_none(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);
	int i;

	line_up_all(s, 3);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 3);
	/* Two fetch and wait, one neither fetches nor asks. */
	for (i = 0; i < 2; i++) {
		take_all(s, i);
		line_up(s, i);
	}
	s->now_ns += SEC - 1;
	deal(s);
	for (i = 0; i < 2; i++) {
		take_all(s, i);
		line_up(s, i);
	}
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 2), 0ULL);
	KUNIT_EXPECT_FALSE(test, is_member(s, 2));
	KUNIT_EXPECT_EQ(test, s->turns.members, 2ULL);
	KUNIT_EXPECT_EQ(test, share(s, 0), 50ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 50ULL);
}

static void refill_nobody_waited_for_is_not_for_members(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	KUNIT_EXPECT_EQ(test, take(s, 0, 1), 1ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 99ULL);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 100ULL);
	/* What comes back of it is for the one in line. */
	line_up(s, 2);
	give_back(s, 30);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 2), 30ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 30ULL);
}

static void refill_is_dealt_out_before_its_waiter_takes_it(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	KUNIT_EXPECT_EQ(test, take(s, 0, 1), 1ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 99ULL);
	line_up(s, 1);
	s->now_ns += SEC;
	/* It waits alone, but half of this is another's. */
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 50ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 50ULL);
}

static void newcomer_does_not_overtake(struct kunit *test)
{
	struct scene *s = new_empty(test, 1, 1000, 0);

	line_up(s, 0);
	s->now_ns += SEC;
	/* The byte is there, but not dealt out yet. */
	KUNIT_EXPECT_EQ(test, available(s, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 0ULL);
	line_up(s, 1);
	/* Nor can the first take it now, past the second. */
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 0ULL);

	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 1ULL);
	line_up(s, 0);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 1ULL);
}

static void share_gives_no_right_to_more(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 50ULL);
	line_up(s, 2);
	give_back(s, 30);
	/* They are free, for the one in line. */
	KUNIT_EXPECT_EQ(test, available(s, 0), 50ULL);
	KUNIT_EXPECT_EQ(test, available(s, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 50ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, take_all(s, 2), 30ULL);
}

static void no_more_are_woken_than_served(struct kunit *test)
{
	struct scene *s = new_empty(test, 3, 1000, 0);
	int i;

	line_up_all(s, 100);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 3);
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_EQ(test, share(s, i), i < 3 ? 1ULL : 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 97ULL);
	/* There is nothing more to deal out. */
	KUNIT_EXPECT_EQ(test, deal(s), 0);
}

/*
 * All who wait are called for a byte each, given back just before the refill. They
 * are on their way when the one who gave it back comes for the refill.
 */
static void refill_is_not_left_to_who_comes_first(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);
	u64 had = 0;
	int i;

	line_up_all(s, 10);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 10);
	for (i = 0; i < 9; i++) {
		take_all(s, i);
		line_up(s, i);
	}
	take_all(s, 9);
	s->now_ns += SEC - 1;
	give_back(s, 9);
	KUNIT_EXPECT_EQ(test, deal(s), 9);

	s->now_ns += 1;
	had = take_all(s, 9);
	KUNIT_EXPECT_EQ(test, had, 0ULL);
	KUNIT_EXPECT_EQ(test, line_up(s, 9), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 10);
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, share(s, i), 10ULL);
}

static void those_woken_are_told_once_and_in_order(struct kunit *test)
{
	struct scene *s = new_empty(test, 2, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	rngq_turns_deal(&s->turns, s->now_ns, &s->wake);
	KUNIT_EXPECT_PTR_EQ(test, s->wake.next, &s->turn[0].wake);
	/* The first one spins: it was here before it could be woken. */
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 1ULL);
	line_up(s, 0);
	s->now_ns += SEC;
	rngq_turns_deal(&s->turns, s->now_ns, &s->wake);

	KUNIT_EXPECT_PTR_EQ(test, s->wake.next, &s->turn[0].wake);
	KUNIT_EXPECT_PTR_EQ(test, s->turn[0].wake.next, &s->turn[1].wake);
	KUNIT_EXPECT_PTR_EQ(test, s->turn[1].wake.next, &s->wake);
}

/* Bytes that don't divide, and who is first. */

static void hammer(struct kunit *test, struct scene *s, int i)
{
	int times;

	for (times = 0; times < 1000; times++) {
		KUNIT_ASSERT_EQ(test, take_all(s, i), 0ULL);
		KUNIT_ASSERT_EQ(test, line_up(s, i), 0ULL);
	}
}

/* In which order those who were served come back. */
enum order { FORWARDS, BACKWARDS, IN_TURN, FIRST_HAMMERS, NR_ORDERS };

static int nth(enum order order, int n, int nr_clients, int round)
{
	switch (order) {
	case BACKWARDS:
		return nr_clients - 1 - n;
	case IN_TURN:
		return (n + round) % nr_clients;
	default:
		return n;
	}
}

static void play_rounds(struct kunit *test, int nr_clients, u64 rate_bytes,
			enum order order)
{
	struct scene *s = new_empty(test, rate_bytes, 1000, 0);
	u64 *had = kunit_kcalloc(test, nr_clients, sizeof(*had), GFP_KERNEL);
	int served = min_t(u64, rate_bytes, nr_clients);
	int round, n, i;

	KUNIT_ASSERT_NOT_NULL(test, had);
	line_up_all(s, nr_clients);
	for (round = 1; round <= 2 * nr_clients; round++) {
		s->now_ns += SEC;
		/* Who comes before the deal, at the same nanosecond, is late. */
		if (order == FIRST_HAMMERS)
			hammer(test, s, 0);
		KUNIT_ASSERT_EQ(test, deal(s), served);
		for (n = 0; n < nr_clients; n++) {
			i = nth(order, n, nr_clients, round);
			had[i] += take_all(s, i);
			line_up(s, i);
			if (order == FIRST_HAMMERS && i == 0)
				hammer(test, s, 0);
		}
		for (i = 0; i < nr_clients; i++) {
			KUNIT_ASSERT_GE(test, had[i],
					rate_bytes * round / nr_clients);
			KUNIT_ASSERT_LE(test, had[i],
					(rate_bytes * round + nr_clients - 1) /
					nr_clients);
		}
	}
}

static void odd_bytes_come_round(struct kunit *test)
{
	enum order order;

	for (order = 0; order < NR_ORDERS; order++) {
		play_rounds(test, 7, 1, order);
		play_rounds(test, 7, 5, order);
		play_rounds(test, 7, 24, order);
		play_rounds(test, 100, 150, order);
		play_rounds(test, 100, 99, order);
		play_rounds(test, 100, 3, order);
		play_rounds(test, 3, 100, order);
	}
}

/* More odd bytes than there are in line: nothing is left for the quickest. */
static void odd_bytes_are_all_dealt_out(struct kunit *test)
{
	struct scene *s = new_scene(test, 19, 1000, 0);
	int i;

	for (i = 2; i < 10; i++)
		KUNIT_EXPECT_EQ(test, take(s, i, 1), 1ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 11ULL);
	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	for (i = 2; i < 10; i++)
		KUNIT_EXPECT_EQ(test, share(s, i), 1ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 6ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 5ULL);
}

/* Also those that come free in the middle of a period. */
static void odd_bytes_of_cuts_come_round(struct kunit *test)
{
	struct scene *s = new_empty(test, 6, 1000, 0);
	u64 had[3] = {};
	int period, i;

	line_up_all(s, 3);
	for (period = 1; period <= 30; period++) {
		s->now_ns = 3 * SEC + period * SEC;
		KUNIT_ASSERT_EQ(test, deal(s), 3);
		had[2] += take(s, 2, 1);
		/* The first one is always quicker than the second. */
		while (s->now_ns < 3 * SEC + (period + 1) * SEC) {
			for (i = 0; i < 2; i++) {
				had[i] += take_all(s, i);
				line_up(s, i);
			}
			s->now_ns = min(next_ns(s),
					3 * SEC + (period + 1) * SEC);
			if (s->now_ns < 3 * SEC + (period + 1) * SEC)
				deal(s);
		}
		line_up(s, 2);
	}
	KUNIT_EXPECT_EQ(test, had[0], 75ULL);
	KUNIT_EXPECT_EQ(test, had[1], 75ULL);
	KUNIT_EXPECT_EQ(test, had[2], 30ULL);
}

/* Reserved, and yet in the bucket; and not for ever. */

static void shares_stay_in_the_bucket(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 4);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 4);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 100ULL);
	KUNIT_EXPECT_EQ(test, s->turns.bucket.level_bytes, 100ULL);
	/* They are nobody else's. */
	KUNIT_EXPECT_EQ(test, available(s, 4), 0ULL);

	/* Nothing was taken: the bucket is full, and time adds nothing. */
	s->now_ns += 10 * SEC;
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 100ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 0ULL);
}

static void share_is_fetched_in_parts(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take(s, 0, 1), 1ULL);
	KUNIT_EXPECT_EQ(test, take(s, 0, 20), 20ULL);
	KUNIT_EXPECT_EQ(test, available(s, 0), 29ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 50ULL);
	KUNIT_EXPECT_EQ(test, line_up(s, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, take(s, 0, 28), 28ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 1ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 1ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
}

/* What is left of a share of 256 that nobody comes for. */
static void shares_are_cut_by_and_by(struct kunit *test)
{
	struct scene *s = new_empty(test, 1024, 1000, 0);
	u64 dealt_ns, cut_ns, left_ns = SEC;
	u64 left = 512, had = 0;

	line_up_all(s, 2);
	s->now_ns += SEC;
	dealt_ns = s->now_ns;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	had += take_all(s, 1);
	line_up(s, 1);

	while (left_ns >= SEC / 256) {
		left_ns /= 2;
		cut_ns = dealt_ns + SEC - left_ns;
		KUNIT_EXPECT_EQ(test, next_ns(s), cut_ns);
		s->now_ns = cut_ns - 1;
		KUNIT_EXPECT_EQ(test, deal(s), 0);
		KUNIT_EXPECT_EQ(test, available(s, 0), left);
		s->now_ns = cut_ns;
		KUNIT_EXPECT_EQ(test, deal(s), 1);
		left /= 2;
		KUNIT_EXPECT_EQ(test, share(s, 0), left);
		KUNIT_EXPECT_EQ(test, take_all(s, 1), left);
		had += left;
		KUNIT_EXPECT_EQ(test, line_up(s, 1), 0ULL);
	}
	/* The last one leaves far less than a hundredth. */
	KUNIT_EXPECT_EQ(test, left, 1ULL);
	KUNIT_EXPECT_EQ(test, had, 1023ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), dealt_ns + SEC);
	s->now_ns = dealt_ns + SEC - 1;
	KUNIT_EXPECT_EQ(test, available(s, 0), 1ULL);

	/* It goes back at the refill, which finds it still there. */
	s->now_ns = dealt_ns + SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 1024ULL);
}

static void who_fetches_evenly_finds_its_share(struct kunit *test)
{
	struct scene *s = new_empty(test, 64, 1000, 0);
	int part;

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	take_all(s, 1);
	line_up(s, 1);
	for (part = 0; part < 32; part++) {
		deal(s);
		KUNIT_EXPECT_EQ(test, take(s, 0, 1), 1ULL);
		take_all(s, 1);
		line_up(s, 1);
		s->now_ns += SEC / 32;
	}
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
}

static void only_what_is_too_much_is_cut(struct kunit *test)
{
	struct scene *s = new_empty(test, 200, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	take_all(s, 1);
	line_up(s, 1);
	KUNIT_EXPECT_EQ(test, take(s, 0, 60), 60ULL);
	/* 40 are left, where 50 might be. */
	s->now_ns += SEC / 2;
	KUNIT_EXPECT_EQ(test, deal(s), 0);
	KUNIT_EXPECT_EQ(test, share(s, 0), 40ULL);
	s->now_ns += SEC / 4;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 0), 25ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 15ULL);
}

static void what_is_cut_goes_to_those_in_line_alone(struct kunit *test)
{
	struct scene *s = new_empty(test, 80, 1000, 0);

	line_up_all(s, 4);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 4);
	KUNIT_EXPECT_EQ(test, take_all(s, 2), 20ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 3), 20ULL);
	line_up(s, 2);
	line_up(s, 4);
	s->now_ns += SEC / 2;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 0), 10ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 10ULL);
	KUNIT_EXPECT_EQ(test, share(s, 2), 10ULL);
	KUNIT_EXPECT_EQ(test, share(s, 3), 0ULL);
	KUNIT_EXPECT_EQ(test, share(s, 4), 10ULL);

	/* Until the next cut; but who has not come by then is in line again. */
	line_up(s, 3);
	KUNIT_EXPECT_EQ(test, take(s, 4, 1), 1ULL);
	s->now_ns += SEC / 4;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 0), 5ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 5ULL);
	KUNIT_EXPECT_EQ(test, share(s, 4), 0ULL);
	KUNIT_EXPECT_EQ(test, share(s, 2) + share(s, 3), 29ULL);
	/* Once. */
	KUNIT_EXPECT_EQ(test, take_all(s, 3), share(s, 2) == 15 ? 14ULL : 15ULL);
	line_up(s, 3);
	s->now_ns += SEC / 8;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 2), 0ULL);
}

static void who_comes_takes_what_was_cut_if_nobody_waits(struct kunit *test)
{
	struct scene *s = new_empty(test, 80, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	s->now_ns += SEC / 2 - 1;
	KUNIT_EXPECT_EQ(test, available(s, 2), 0ULL);
	KUNIT_EXPECT_EQ(test, available(s, 0), 40ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, available(s, 2), 40ULL);
	KUNIT_EXPECT_EQ(test, available(s, 0), 60ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 2), 40ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 20ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 20ULL);
}

static void late_look_makes_up_for_all_cuts(struct kunit *test)
{
	struct scene *s = new_empty(test, 80, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take(s, 1, 1), 1ULL);
	s->now_ns += 900 * MS;
	KUNIT_EXPECT_EQ(test, available(s, 2), 79ULL - 5 - 5);
	KUNIT_EXPECT_EQ(test, share(s, 0), 5ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 5ULL);
}

/* A full bucket's period begins with the first to take from it. */
static void shares_of_a_full_bucket_are_cut_too(struct kunit *test)
{
	struct scene *s = new_empty(test, 80, 1000, 0);
	u64 dealt_ns;

	line_up_all(s, 2);
	s->now_ns += SEC;
	dealt_ns = s->now_ns;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	line_up(s, 2);
	KUNIT_EXPECT_EQ(test, s->turns.bucket.refill_ns, RNGQ_NEVER);
	KUNIT_EXPECT_EQ(test, next_ns(s), dealt_ns + SEC / 2);
	s->now_ns = next_ns(s);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 2), 40ULL);

	/* However long nobody comes: somebody else can have it all. */
	line_up(s, 3);
	s->now_ns += 5 * SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	line_up(s, 4);
	s->now_ns += 5 * SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	line_up(s, 5);
	s->now_ns += 5 * SEC;
	KUNIT_EXPECT_EQ(test, s->turns.bucket.level_bytes, 80ULL);
	withdraw(s, 3);
	withdraw(s, 4);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 5), 80ULL);
}

/* A full bucket, dealt out so late that the beat soon ends its period. */
static void shares_are_cut_before_the_beat(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);
	u64 begin_ns = s->now_ns;

	line_up_all(s, 2);
	s->now_ns = begin_ns + SEC + 800 * MS;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 50ULL);
	KUNIT_EXPECT_EQ(test, s->turns.bucket.refill_ns, begin_ns + 2 * SEC);
	line_up(s, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), begin_ns + SEC + 900 * MS);
}

/* The same, when all has been fetched at once and some of it comes back. */
static void returned_bytes_are_cut_before_the_beat(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);
	u64 begin_ns = s->now_ns;

	line_up_all(s, 2);
	s->now_ns = begin_ns + SEC + 800 * MS;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	withdraw(s, 1);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 100ULL);
	line_up(s, 1);
	give_back(s, 20);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	line_up(s, 2);
	KUNIT_EXPECT_EQ(test, next_ns(s), begin_ns + SEC + 900 * MS);
}

static void shortest_periods_are_cut_four_times(struct kunit *test)
{
	struct scene *s = new_empty(test, 320, 1, 0);
	u64 dealt_ns, left_ns = MS, left = 160;

	line_up_all(s, 2);
	s->now_ns += MS;
	dealt_ns = s->now_ns;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	take_all(s, 0);
	line_up(s, 0);
	while (left_ns > MS / 16) {
		left_ns /= 2;
		left /= 2;
		KUNIT_EXPECT_EQ(test, next_ns(s), dealt_ns + MS - left_ns);
		s->now_ns = next_ns(s);
		KUNIT_EXPECT_EQ(test, deal(s), 1);
		KUNIT_EXPECT_EQ(test, take_all(s, 0), left);
		line_up(s, 0);
	}
	KUNIT_EXPECT_EQ(test, next_ns(s), dealt_ns + MS);
}

/* As the header has it. */
static void example_of_the_header(struct kunit *test)
{
	struct scene *s = new_empty(test, 90, 1000, 0);
	u64 begin_ns;
	int tenth;

	line_up_all(s, 3);
	s->now_ns += SEC;
	begin_ns = s->now_ns;
	KUNIT_EXPECT_EQ(test, deal(s), 3);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 30ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 30ULL);
	line_up_all(s, 2);
	for (tenth = 1; tenth <= 5; tenth++) {
		s->now_ns = begin_ns + tenth * SEC / 10;
		KUNIT_EXPECT_EQ(test, take(s, 2, 1), 1ULL);
	}
	KUNIT_EXPECT_EQ(test, share(s, 2), 25ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 2), 15ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 5ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 5ULL);
	line_up_all(s, 2);

	s->now_ns = begin_ns + 6 * SEC / 10;
	take(s, 2, 1);
	s->now_ns = begin_ns + 7 * SEC / 10;
	take(s, 2, 1);
	KUNIT_EXPECT_EQ(test, share(s, 2), 13ULL);
	s->now_ns = begin_ns + 750 * MS;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 2), 7ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 3ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 3ULL);
	line_up_all(s, 2);

	s->now_ns = begin_ns + 8 * SEC / 10;
	take(s, 2, 1);
	s->now_ns = begin_ns + 9 * SEC / 10;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, available(s, 2), 3ULL);
}

/*
 * "Who wants less than an equal share gets all it wants, the others get equal
 * shares of the rest": 10 greedy clients, and 5 that want 10 to 50 bytes a
 * period, a tenth at a time, of 1000.
 */
static void modest_get_what_they_want_and_greedy_the_rest(struct kunit *test)
{
	struct scene *s = new_empty(test, 1000, 1000, 0);
	u64 begin_ns = s->now_ns;
	u64 had[15] = {};
	int tenth, i;

	line_up_all(s, 15);
	for (tenth = 10; tenth < 10 * 41; tenth++) {
		u64 next_tenth_ns = begin_ns + (tenth + 1) * SEC / 10;

		s->now_ns = begin_ns + tenth * SEC / 10;
		do {
			deal(s);
			for (i = 0; i < 10; i++) {
				had[i] += take_all(s, i);
				line_up(s, i);
			}
			if (s->now_ns == begin_ns + tenth * SEC / 10) {
				for (i = 10; i < 15; i++)
					had[i] += take(s, i, i - 9);
			}
			s->now_ns = min(next_ns(s), next_tenth_ns);
		} while (s->now_ns < next_tenth_ns);
	}
	for (i = 0; i < 10; i++)
		KUNIT_EXPECT_EQ(test, had[i], 40 * 85ULL);
	for (i = 10; i < 15; i++)
		KUNIT_EXPECT_EQ(test, had[i], 40 * (i - 9) * 10ULL);
}

/* Giving back. */

static void given_back_bytes_are_free(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 50ULL);
	give_back(s, 20);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 50ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 2), 20ULL);
}

static void given_back_bytes_are_for_those_in_line(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 50ULL);
	line_up(s, 2);
	give_back(s, 20);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, available(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 2), 20ULL);
}

/* Of what comes too late, nothing comes back (bucket.h). */
static void giving_back_too_late_leaves_the_shares_alone(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0);
	struct rngq_draw stuck;

	KUNIT_EXPECT_EQ(test, take(s, 3, 6), 6ULL);
	stuck = s->draw;
	leave(s, 3);
	KUNIT_EXPECT_EQ(test, take_all(s, 4), 4ULL);
	leave(s, 4);
	line_up(s, 0);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, take(s, 0, 1), 1ULL);
	rngq_turns_give_back(&s->turns, &stuck, 6, s->now_ns);
	KUNIT_EXPECT_EQ(test, share(s, 0), 9ULL);
	KUNIT_EXPECT_EQ(test, s->turns.bucket.level_bytes, 9ULL);
	KUNIT_EXPECT_EQ(test, available(s, 1), 0ULL);
}

/*
 * A refill that somebody in line waits for is awaited, even if others hold
 * shares and somebody gives back too late.
 */
static void giving_back_keeps_the_beat_of_those_in_line(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0);
	struct rngq_draw stuck;
	u64 refill_ns;

	KUNIT_EXPECT_EQ(test, take(s, 3, 6), 6ULL);
	stuck = s->draw;
	leave(s, 3);
	KUNIT_EXPECT_EQ(test, take_all(s, 4), 4ULL);
	leave(s, 4);
	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 5ULL);
	line_up(s, 1);
	refill_ns = s->turns.bucket.refill_ns;
	rngq_turns_give_back(&s->turns, &stuck, 6, s->now_ns);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 5ULL);
	leave(s, 0);

	/* Late by a tenth of a second, and on the beat all the same. */
	s->now_ns = refill_ns + SEC / 10;
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 10ULL);
	line_up(s, 1);
	KUNIT_EXPECT_EQ(test, next_ns(s), refill_ns + SEC);
}

/* Nor does giving back swallow a refill that is due, but was not seen yet. */
static void giving_back_sees_the_refill_first(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0);
	u64 begin_ns = s->now_ns;

	KUNIT_EXPECT_EQ(test, take_all(s, 0), 10ULL);
	leave(s, 0);
	line_up(s, 1);
	s->now_ns += SEC + SEC / 10;
	give_back(s, 10);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 10ULL);
	line_up(s, 1);
	KUNIT_EXPECT_EQ(test, next_ns(s), begin_ns + 2 * SEC);
}

/* Withdrawing, and leaving. */

static void who_withdraws_gets_nothing_and_stays_a_member(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 2);
	withdraw(s, 0);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 1ULL);
	KUNIT_EXPECT_TRUE(test, is_member(s, 0));
	KUNIT_EXPECT_EQ(test, s->turns.members, 2ULL);
	s->now_ns += SEC;
	/* It asked since the refill before: it has a share, but is not woken. */
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 0), 50ULL);

	take_all(s, 1);
	line_up(s, 1);
	withdraw(s, 0);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 1), 50ULL);
	KUNIT_EXPECT_TRUE(test, is_member(s, 0));
}

static void who_leaves_the_line_gets_nothing(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	line_up_all(s, 2);
	leave(s, 0);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 1ULL);
	KUNIT_EXPECT_EQ(test, s->turns.members, 1ULL);
	KUNIT_EXPECT_FALSE(test, is_member(s, 0));
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 10ULL);
}

static void last_in_line_leaves_nothing_behind(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	line_up(s, 0);
	leave(s, 0);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.members, 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
	KUNIT_EXPECT_TRUE(test, list_empty(&s->turns.ring));
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 10ULL);
}

static void who_leaves_a_share_leaves_it_to_those_in_line(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 5ULL);
	line_up(s, 1);
	KUNIT_EXPECT_EQ(test, take(s, 0, 1), 1ULL);
	leave(s, 0);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 1), 4ULL);
}

static void who_leaves_a_share_leaves_it_to_whoever_comes(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	leave(s, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
	KUNIT_EXPECT_EQ(test, available(s, 2), 5ULL);
}

static void who_leaves_is_not_woken(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	rngq_turns_deal(&s->turns, s->now_ns, &s->wake);
	leave(s, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&s->turn[0].wake));
	KUNIT_EXPECT_PTR_EQ(test, s->wake.next, &s->turn[1].wake);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&s->wake));
}

static void leaving_twice_is_leaving_once(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	leave(s, 0);
	line_up_all(s, 2);
	leave(s, 0);
	leave(s, 0);
	withdraw(s, 0);
	KUNIT_EXPECT_EQ(test, s->turns.waiting, 1ULL);
	KUNIT_EXPECT_EQ(test, s->turns.members, 1ULL);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	withdraw(s, 1);
	leave(s, 1);
	leave(s, 1);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.members, 0ULL);
	/* Whoever has left may come back. */
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 10ULL);
}

/* Closing and opening again brings nobody to the head. */
static void who_comes_back_is_the_last(struct kunit *test)
{
	struct scene *s = new_empty(test, 1, 1000, 0);
	int period;

	line_up_all(s, 3);
	for (period = 0; period < 9; period++) {
		leave(s, 0);
		line_up(s, 0);
		s->now_ns += SEC;
		KUNIT_EXPECT_EQ(test, deal(s), 1);
		KUNIT_EXPECT_EQ(test, take_all(s, 0), 0ULL);
		KUNIT_EXPECT_EQ(test, take_all(s, 1 + period % 2), 1ULL);
		line_up(s, 1 + period % 2);
	}
}

/* When to deal next. */

static void nobody_waits_for_a_deal(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 90);

	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
	line_up(s, 0);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	/* A share is held, and the clock runs: all the same. */
	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
}

static void deal_comes_at_the_refill(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);
	u64 begin_ns = s->now_ns;

	s->now_ns += SEC / 3;
	line_up(s, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), begin_ns + SEC);
	s->now_ns = begin_ns + SEC - 1;
	KUNIT_EXPECT_EQ(test, deal(s), 0);
	/* Nothing is reserved, so there is nothing to be cut. */
	KUNIT_EXPECT_EQ(test, next_ns(s), begin_ns + SEC);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
}

static void deal_comes_at_once_if_there_is_something(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	/* Somebody looks, and so finds out that the refill has come. */
	rngq_bucket_refill(&s->turns.bucket, s->now_ns);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 2);
}

static void deal_comes_at_the_next_cut(struct kunit *test)
{
	struct scene *s = new_empty(test, 20, 1000, 0);
	u64 dealt_ns;

	line_up_all(s, 2);
	s->now_ns += SEC;
	dealt_ns = s->now_ns;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	s->now_ns += SEC / 10;
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 10ULL);
	line_up(s, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), dealt_ns + SEC / 2);
	/* When all is fetched there is nothing to cut: the refill is next. */
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 10ULL);
	s->now_ns = dealt_ns + SEC / 2;
	KUNIT_EXPECT_EQ(test, deal(s), 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), dealt_ns + SEC);
}

/* Deals that come late. */

static void late_deal_deals_out_all_that_came(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 90);

	line_up_all(s, 2);
	s->now_ns += 5 * SEC + SEC / 2;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 0), 25ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 25ULL);
}

static void late_deal_is_cut_when_half_of_the_rest_is_over(struct kunit *test)
{
	struct scene *s = new_empty(test, 20, 1000, 980);
	u64 refill_ns;

	line_up_all(s, 2);
	s->now_ns += SEC + SEC / 2;
	refill_ns = s->now_ns + SEC / 2;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 10ULL);
	line_up(s, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), refill_ns - SEC / 4);

	/* In the last moments not at all. */
	s->now_ns = refill_ns + SEC - SEC / 256 + 1;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, line_up(s, 2), 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), refill_ns + SEC);
}

static void crowd_that_is_always_late_gets_it_all(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 10, 0);
	u64 begin_ns = s->now_ns;
	u64 bytes = 0;
	int period, i;

	line_up_all(s, 10);
	for (period = 1; period <= 1000; period++) {
		/* 0 to 6 ms late, and each is another 0.3 ms later. */
		s->now_ns = begin_ns + period * 10 * MS + (period % 7) * MS;
		KUNIT_ASSERT_EQ(test, deal(s), 10);
		for (i = 0; i < 10; i++) {
			s->now_ns += 3 * MS / 10;
			bytes += take_all(s, i);
			line_up(s, i);
		}
		KUNIT_ASSERT_EQ(test, s->turns.bucket.refill_ns,
				begin_ns + (period + 1) * 10 * MS);
	}
	KUNIT_EXPECT_EQ(test, bytes, 100000ULL);
}

/* The beat is also kept for those whom a deal has left out. */
static void beat_is_kept_for_those_left_out(struct kunit *test)
{
	struct scene *s = new_empty(test, 1, 10, 0);
	u64 begin_ns = s->now_ns;
	int i;

	line_up_all(s, 10);
	for (i = 0; i < 10; i++) {
		s->now_ns = begin_ns + (i + 1) * 10 * MS + 7 * MS;
		KUNIT_ASSERT_EQ(test, deal(s), 1);
		KUNIT_ASSERT_EQ(test, take_all(s, i), 1ULL);
		/* It waits no more, only the others do. */
		KUNIT_ASSERT_EQ(test, s->turns.bucket.refill_ns,
				begin_ns + (i + 2) * 10 * MS);
	}
}

/* Changes. */

static void change_begins_a_new_round(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take(s, 0, 30), 30ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 50ULL);
	line_up(s, 1);
	set_quota(s, 200, 1000, 0);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
	KUNIT_EXPECT_TRUE(test, is_waiting(s, 1));

	/* The 20 that were left are for both. */
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, available(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 0), 10ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 10ULL);
}

static void cut_below_the_shares_leaves_what_fits(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);

	line_up_all(s, 2);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take(s, 0, 30), 30ULL);
	set_quota(s, 19, 1000, 0);
	KUNIT_EXPECT_EQ(test, s->turns.bucket.level_bytes, 19ULL);
	KUNIT_EXPECT_EQ(test, share(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 0ULL);

	/* Who had not come for its share is in line for what there is. */
	KUNIT_EXPECT_TRUE(test, is_waiting(s, 1));
	KUNIT_EXPECT_EQ(test, available(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 0), 9ULL);
	KUNIT_EXPECT_EQ(test, share(s, 1), 10ULL);
}

static void raise_is_dealt_out(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 1000, 0);

	line_up(s, 0);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	line_up(s, 1);
	/* The bucket is full, with shares, so it is full at 25. */
	set_quota(s, 20, 1000, 5);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, line_up(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, share(s, 0) + share(s, 1), 25ULL);
}

static void without_a_limit_nobody_waits(struct kunit *test)
{
	struct scene *s = new_empty(test, 100, 1000, 0);
	int i;

	line_up_all(s, 3);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 3);
	KUNIT_EXPECT_EQ(test, take_all(s, 1), 33ULL);
	line_up(s, 1);
	set_quota(s, RNGQ_MAX, 1000, 0);

	KUNIT_EXPECT_EQ(test, s->turns.waiting, 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.members, 0ULL);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
	KUNIT_EXPECT_TRUE(test, list_empty(&s->turns.ring));
	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
	KUNIT_EXPECT_EQ(test, deal(s), 0);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_FALSE(test, is_waiting(s, i));
		KUNIT_EXPECT_EQ(test, available(s, i), RNGQ_MAX);
		KUNIT_EXPECT_EQ(test, take(s, i, 12345), 12345ULL);
		give_back(s, 12345);
		KUNIT_EXPECT_EQ(test, share(s, i), 0ULL);
	}
}

static void from_max_to_a_limit_is_full(struct kunit *test)
{
	struct scene *s = new_scene(test, RNGQ_MAX, 1000, 0);

	KUNIT_EXPECT_EQ(test, available(s, 0), RNGQ_MAX);
	KUNIT_EXPECT_EQ(test, take(s, 0, 1000), 1000ULL);
	set_quota(s, 10, 1000, 5);
	KUNIT_EXPECT_EQ(test, available(s, 0), 15ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), RNGQ_NEVER);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 15ULL);
	KUNIT_EXPECT_EQ(test, line_up(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), s->now_ns + SEC);
}

static void changed_period_moves_the_refill_waited_for(struct kunit *test)
{
	struct scene *s = new_empty(test, 10, 4000, 0);
	u64 begin_ns = s->now_ns;

	line_up_all(s, 2);
	s->now_ns += SEC;
	set_quota(s, 10, 2000, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), begin_ns + 2 * SEC);
	set_quota(s, 10, 9000, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), begin_ns + 9 * SEC);
	/* Over already: there is something to deal out. */
	set_quota(s, 10, 500, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), 0ULL);
	KUNIT_EXPECT_EQ(test, deal(s), 2);
}

/* A cut that was due in a long period does not come in the short one. */
static void changed_period_makes_new_cuts(struct kunit *test)
{
	struct scene *s = new_empty(test, 40, 8000, 0);

	line_up_all(s, 2);
	s->now_ns += 8 * SEC;
	KUNIT_EXPECT_EQ(test, deal(s), 2);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 20ULL);
	line_up(s, 0);
	KUNIT_EXPECT_EQ(test, take(s, 1, 2), 2ULL);
	KUNIT_EXPECT_EQ(test, next_ns(s), s->now_ns + 4 * SEC);
	set_quota(s, 40, 1000, 0);
	KUNIT_EXPECT_EQ(test, deal(s), 1);
	KUNIT_EXPECT_EQ(test, share(s, 1), 9ULL);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 9ULL);
	line_up(s, 0);
	KUNIT_EXPECT_EQ(test, next_ns(s), s->now_ns + SEC / 2);
}

static void extremes_do_not_overflow(struct kunit *test)
{
	struct scene *s = new_empty(test, MOST_BYTES, U32_MAX, MOST_BYTES);
	u64 period_ns = U32_MAX * MS;
	int i;

	line_up_all(s, 100);
	KUNIT_EXPECT_EQ(test, next_ns(s), s->now_ns + period_ns);
	s->now_ns += 3 * period_ns;
	KUNIT_EXPECT_EQ(test, deal(s), 100);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 2 * MOST_BYTES);
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 2 * MOST_BYTES / 100 + 1);
	/* Nobody comes for years: half of it is left, and half of that ... */
	s->now_ns += period_ns / 2;
	KUNIT_EXPECT_EQ(test, available(s, 0), MOST_BYTES / 100 * 99 + 99);
	for (i = 1; i < 100; i++)
		leave(s, i);
	KUNIT_EXPECT_EQ(test, s->turns.reserved_bytes, 0ULL);
	s->now_ns += 20 * period_ns;
	KUNIT_EXPECT_EQ(test, take_all(s, 0), 2 * MOST_BYTES);
}

static struct kunit_case turns_cases[] = {
	KUNIT_CASE(bucket_starts_full_and_nobody_waits),
	KUNIT_CASE(whoever_comes_takes_what_there_is),
	KUNIT_CASE(who_only_looks_is_not_in_line),
	KUNIT_CASE(who_waits_alone_needs_no_deal),
	KUNIT_CASE(who_takes_nothing_goes_on_waiting),
	KUNIT_CASE(waiting_twice_is_waiting_once),
	KUNIT_CASE(those_in_line_get_equal_shares),
	KUNIT_CASE(who_has_asked_gets_a_share_without_being_in_line),
	KUNIT_CASE(who_has_not_asked_since_the_refill_before_gets_none),
	KUNIT_CASE(refill_is_not_left_to_who_comes_first),
	KUNIT_CASE(refill_nobody_waited_for_is_not_for_members),
	KUNIT_CASE(refill_is_dealt_out_before_its_waiter_takes_it),
	KUNIT_CASE(newcomer_does_not_overtake),
	KUNIT_CASE(share_gives_no_right_to_more),
	KUNIT_CASE(no_more_are_woken_than_served),
	KUNIT_CASE(those_woken_are_told_once_and_in_order),
	KUNIT_CASE(odd_bytes_come_round),
	KUNIT_CASE(odd_bytes_are_all_dealt_out),
	KUNIT_CASE(odd_bytes_of_cuts_come_round),
	KUNIT_CASE(shares_stay_in_the_bucket),
	KUNIT_CASE(share_is_fetched_in_parts),
	KUNIT_CASE(shares_are_cut_by_and_by),
	KUNIT_CASE(who_fetches_evenly_finds_its_share),
	KUNIT_CASE(only_what_is_too_much_is_cut),
	KUNIT_CASE(what_is_cut_goes_to_those_in_line_alone),
	KUNIT_CASE(who_comes_takes_what_was_cut_if_nobody_waits),
	KUNIT_CASE(late_look_makes_up_for_all_cuts),
	KUNIT_CASE(shares_of_a_full_bucket_are_cut_too),
	KUNIT_CASE(shares_are_cut_before_the_beat),
	KUNIT_CASE(returned_bytes_are_cut_before_the_beat),
	KUNIT_CASE(shortest_periods_are_cut_four_times),
	KUNIT_CASE(example_of_the_header),
	KUNIT_CASE(modest_get_what_they_want_and_greedy_the_rest),
	KUNIT_CASE(given_back_bytes_are_free),
	KUNIT_CASE(given_back_bytes_are_for_those_in_line),
	KUNIT_CASE(giving_back_too_late_leaves_the_shares_alone),
	KUNIT_CASE(giving_back_keeps_the_beat_of_those_in_line),
	KUNIT_CASE(giving_back_sees_the_refill_first),
	KUNIT_CASE(who_withdraws_gets_nothing_and_stays_a_member),
	KUNIT_CASE(who_leaves_the_line_gets_nothing),
	KUNIT_CASE(last_in_line_leaves_nothing_behind),
	KUNIT_CASE(who_leaves_a_share_leaves_it_to_those_in_line),
	KUNIT_CASE(who_leaves_a_share_leaves_it_to_whoever_comes),
	KUNIT_CASE(who_leaves_is_not_woken),
	KUNIT_CASE(leaving_twice_is_leaving_once),
	KUNIT_CASE(who_comes_back_is_the_last),
	KUNIT_CASE(nobody_waits_for_a_deal),
	KUNIT_CASE(deal_comes_at_the_refill),
	KUNIT_CASE(deal_comes_at_once_if_there_is_something),
	KUNIT_CASE(deal_comes_at_the_next_cut),
	KUNIT_CASE(late_deal_deals_out_all_that_came),
	KUNIT_CASE(late_deal_is_cut_when_half_of_the_rest_is_over),
	KUNIT_CASE(crowd_that_is_always_late_gets_it_all),
	KUNIT_CASE(beat_is_kept_for_those_left_out),
	KUNIT_CASE(change_begins_a_new_round),
	KUNIT_CASE(cut_below_the_shares_leaves_what_fits),
	KUNIT_CASE(raise_is_dealt_out),
	KUNIT_CASE(without_a_limit_nobody_waits),
	KUNIT_CASE(from_max_to_a_limit_is_full),
	KUNIT_CASE(changed_period_moves_the_refill_waited_for),
	KUNIT_CASE(changed_period_makes_new_cuts),
	KUNIT_CASE(extremes_do_not_overflow),
	{}
};

static struct kunit_suite turns_suite = {
	.name = "rngquota_turns",
	.test_cases = turns_cases,
};

kunit_test_suite(turns_suite);
