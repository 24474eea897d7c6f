// SPDX-License-Identifier: GPL-2.0
/*
 * The bucket, rule by rule. The clock is a variable of the test.
 */
#include <kunit/test.h>

#include <linux/time64.h>

#include "../driver/bucket.h"

#define MS	((u64)NSEC_PER_MSEC)
#define SEC	((u64)NSEC_PER_SEC)
#define YEAR	(365 * 24 * 3600 * SEC)

/* The largest of everything that users can set. */
#define MOST_BYTES	BIT_ULL(40)
#define MOST_MS		((u64)U32_MAX)

/* A bucket under test, its clock, and the last draw from it. */
struct scene {
	struct rngq_bucket bucket;
	struct rngq_draw draw;
	u64 now_ns;
};

static struct scene *new_scene(struct kunit *test, u64 rate_bytes,
			       u64 period_ms, u64 burst_bytes, u64 boot_bytes)
{
	const struct rngq_quota quota = { rate_bytes, period_ms, burst_bytes };
	struct scene *scene = kunit_kzalloc(test, sizeof(*scene), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, scene);
	/* As on a stack: whatever is not set is garbage. */
	memset(&scene->draw, 0x5a, sizeof(scene->draw));
	scene->now_ns = 3 * SEC;
	rngq_bucket_init(&scene->bucket, &quota, boot_bytes);
	return scene;
}

static struct scene *new_empty_scene(struct kunit *test, u64 rate_bytes,
				     u64 period_ms, u64 burst_bytes)
{
	const struct rngq_quota quota = { rate_bytes, period_ms, burst_bytes };
	struct scene *scene = new_scene(test, rate_bytes, period_ms,
					burst_bytes, 0);

	/* As on a stack here, too. */
	memset(&scene->bucket, 0x5a, sizeof(scene->bucket));
	rngq_bucket_init_empty(&scene->bucket, &quota, scene->now_ns);
	return scene;
}

static u64 take(struct scene *scene, u64 want_bytes)
{
	return rngq_bucket_take(&scene->bucket, want_bytes, scene->now_ns,
				&scene->draw);
}

static u64 available(struct scene *scene)
{
	rngq_bucket_refill(&scene->bucket, scene->now_ns);
	return rngq_bucket_available(&scene->bucket);
}

/* Find nothing, and wait for more, as a reader does. */
static u64 find_nothing(struct scene *scene)
{
	u64 bytes = available(scene);

	rngq_bucket_await(&scene->bucket);
	return bytes;
}

static void set_quota(struct scene *scene, u64 rate_bytes, u64 period_ms,
		      u64 burst_bytes)
{
	const struct rngq_quota quota = { rate_bytes, period_ms, burst_bytes };

	rngq_bucket_set_quota(&scene->bucket, &quota, scene->now_ns);
}

static void bucket_starts_full(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 7, 0);

	KUNIT_EXPECT_EQ(test, available(s), 12ULL);
	KUNIT_EXPECT_EQ(test, take(s, 100), 12ULL);
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
}

static void first_take_starts_the_period(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);

	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
	s->now_ns += 123 * SEC;
	KUNIT_EXPECT_EQ(test, take(s, 1), 1ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + 5 * SEC);

	/* Further takes don't move it. */
	s->now_ns += 2 * SEC;
	KUNIT_EXPECT_EQ(test, take(s, 100), 4ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + 3 * SEC);
}

static void refill_comes_at_the_nanosecond(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);

	KUNIT_EXPECT_EQ(test, take(s, 5), 5ULL);
	s->now_ns += 5 * SEC - 1;
	KUNIT_EXPECT_EQ(test, take(s, 5), 0ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, take(s, 9), 5ULL);
}

static void taking_nothing_starts_no_period(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);

	KUNIT_EXPECT_EQ(test, take(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
}

static void full_bucket_stops_the_clock(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);

	take(s, 5);
	s->now_ns += 7 * SEC;
	KUNIT_EXPECT_EQ(test, available(s), 5ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);

	/* Nobody awaited the refill at 5 s, so the take at 7 s anchors. */
	take(s, 5);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + 5 * SEC);
}

static void idle_for_many_periods_brings_one_fill(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);

	take(s, 5);
	s->now_ns += 1000 * SEC;
	KUNIT_EXPECT_EQ(test, take(s, 1000), 5ULL);
	KUNIT_EXPECT_EQ(test, take(s, 1000), 0ULL);
}

static void burst_is_carried_over_and_capped(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 25, 0);

	KUNIT_EXPECT_EQ(test, take(s, 100), 35ULL);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, available(s), 10ULL);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, available(s), 20ULL);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, available(s), 30ULL);
	KUNIT_EXPECT_NE(test, s->bucket.refill_ns, RNGQ_NEVER);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, available(s), 35ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
	s->now_ns += 100 * SEC;
	KUNIT_EXPECT_EQ(test, available(s), 35ULL);
}

static void late_look_finds_the_same_as_a_look_each_period(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 1000, 0);

	take(s, 1010);
	s->now_ns += 7 * SEC + SEC / 2;
	KUNIT_EXPECT_EQ(test, available(s), 70ULL);
	/* The grid goes on from the first take. */
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + SEC / 2);
}

static void waiter_keeps_its_beat(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);
	u64 begin_ns = s->now_ns;

	take(s, 5);
	s->now_ns = begin_ns + SEC;
	KUNIT_EXPECT_EQ(test, find_nothing(s), 0ULL);

	/* Late by 4.999999999 s: still less than a period. */
	s->now_ns = begin_ns + 10 * SEC - 1;
	KUNIT_EXPECT_EQ(test, take(s, 5), 5ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, begin_ns + 10 * SEC);
}

static void waiter_late_by_a_period_loses_its_beat(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);

	take(s, 5);
	find_nothing(s);
	s->now_ns += 10 * SEC;
	KUNIT_EXPECT_EQ(test, take(s, 5), 5ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + 5 * SEC);
}

static void beat_is_kept_for_one_refill_only(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 5000, 0, 0);

	take(s, 5);
	find_nothing(s);
	s->now_ns += 6 * SEC;
	take(s, 5);			/* on the beat: the next is at 10 s */

	s->now_ns += 6 * SEC;		/* at 12 s, awaited by nobody */
	take(s, 5);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + 5 * SEC);
}

static void beat_is_that_of_the_awaited_refill(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 0);

	/* Awaited: the refill at 1 s. Full: with the one at 2 s. */
	take(s, 15);
	find_nothing(s);
	s->now_ns += 2 * SEC + SEC / 2;
	KUNIT_EXPECT_EQ(test, take(s, 1), 1ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + SEC);
}

static void greedy_waiter_that_is_always_late_gets_it_all(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 10, 0, 0);
	u64 begin_ns = s->now_ns;
	u64 bytes = 0;
	int period;

	for (period = 0; period < 1000; period++) {
		bytes += take(s, 1000);
		KUNIT_ASSERT_EQ(test, find_nothing(s), 0ULL);
		/* Woken 0 to 8.9 ms late, and never on the grid. */
		s->now_ns = s->bucket.refill_ns + (period % 90) * (MS / 10);
	}
	KUNIT_EXPECT_EQ(test, bytes, 100000ULL);
	KUNIT_EXPECT_LT(test, s->now_ns, begin_ns + 1001 * 10 * MS);
}

static void boot_credit_comes_first_and_once(struct kunit *test)
{
	struct scene *s = new_scene(test, 5, 1000, 0, 8);

	KUNIT_EXPECT_EQ(test, available(s), 13ULL);
	KUNIT_EXPECT_EQ(test, take(s, 6), 6ULL);
	KUNIT_EXPECT_EQ(test, s->draw.credit_bytes, 6ULL);
	/* The bucket is still full, so no period runs. */
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);

	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, take(s, 100), 7ULL);
	KUNIT_EXPECT_EQ(test, s->draw.credit_bytes, 2ULL);
	KUNIT_EXPECT_EQ(test, s->draw.level_bytes, 5ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + SEC);

	s->now_ns += 100 * SEC;
	KUNIT_EXPECT_EQ(test, take(s, 100), 5ULL);
}

static void max_knows_no_limit_and_no_clock(struct kunit *test)
{
	struct scene *s = new_scene(test, RNGQ_MAX, 1000, 17, 8);

	KUNIT_EXPECT_EQ(test, available(s), RNGQ_MAX);
	KUNIT_EXPECT_EQ(test, take(s, MOST_BYTES), MOST_BYTES);
	KUNIT_EXPECT_EQ(test, take(s, U64_MAX), U64_MAX);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
	s->now_ns += YEAR;
	KUNIT_EXPECT_EQ(test, available(s), RNGQ_MAX);

	/* Nothing to give back, and the credit was not touched. */
	rngq_bucket_give_back(&s->bucket, &s->draw, 1000);
	KUNIT_EXPECT_EQ(test, s->bucket.credit_bytes, 8ULL);
}

static void from_max_to_a_limit_is_full(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 3);

	take(s, 8);			/* the credit and half of the bucket */
	set_quota(s, RNGQ_MAX, 1000, 0);
	KUNIT_EXPECT_EQ(test, available(s), RNGQ_MAX);
	take(s, 12345);
	set_quota(s, 20, 1000, 4);
	KUNIT_EXPECT_EQ(test, available(s), 24ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
}

static void credit_survives_max(struct kunit *test)
{
	struct scene *s = new_scene(test, RNGQ_MAX, 1000, 0, 9);

	take(s, 100);
	set_quota(s, 10, 1000, 0);
	KUNIT_EXPECT_EQ(test, available(s), 19ULL);
}

static void raised_full_bucket_is_full(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	set_quota(s, 100, 1000, 50);
	KUNIT_EXPECT_EQ(test, available(s), 150ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
}

static void raised_in_mid_period_keeps_level_and_start(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	take(s, 7);
	s->now_ns += SEC / 2;
	set_quota(s, 100, 1000, 50);
	KUNIT_EXPECT_EQ(test, available(s), 3ULL);
	s->now_ns += SEC / 2 - 1;
	KUNIT_EXPECT_EQ(test, available(s), 3ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, available(s), 103ULL);
}

static void lowered_bucket_is_cut(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0, 0);

	take(s, 40);
	set_quota(s, 10, 1000, 5);
	KUNIT_EXPECT_EQ(test, available(s), 15ULL);
	/* Cut to its capacity it is full, so its clock stands. */
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);

	take(s, 15);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + SEC);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, available(s), 10ULL);
}

static void lowered_empty_bucket_stays_empty(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0, 0);

	take(s, 100);
	s->now_ns += SEC / 4;
	set_quota(s, 1, 1000, 0);
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
	s->now_ns += 3 * SEC / 4;
	KUNIT_EXPECT_EQ(test, available(s), 1ULL);
}

static void shorter_period_keeps_its_start(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 5000, 0, 0);

	take(s, 10);
	s->now_ns += SEC;
	set_quota(s, 10, 2000, 0);
	s->now_ns += SEC - 1;
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, available(s), 10ULL);
}

static void shorter_period_that_is_over_refills_at_once(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 5000, 0, 0);

	take(s, 10);
	s->now_ns += 3 * SEC;
	set_quota(s, 10, 3000, 0);
	KUNIT_EXPECT_EQ(test, rngq_bucket_available(&s->bucket), 10ULL);
}

static void longer_period_keeps_its_start(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	take(s, 10);
	s->now_ns += SEC / 2;
	set_quota(s, 10, 4000, 0);
	s->now_ns += 3 * SEC + SEC / 2 - 1;
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, available(s), 10ULL);
}

static void change_counts_refills_that_were_due(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 90, 0);

	take(s, 100);
	s->now_ns += 3 * SEC;
	/* Three periods ended under the old rate, none under the new. */
	set_quota(s, 50, 1000, 90);
	KUNIT_EXPECT_EQ(test, available(s), 30ULL);
}

static void time_may_stand_still(struct kunit *test)
{
	struct scene *s = new_scene(test, 3, 1, 0, 0);
	int i;

	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_EQ(test, take(s, 1), 1ULL);
	for (i = 0; i < 1000; i++) {
		KUNIT_ASSERT_EQ(test, take(s, 1), 0ULL);
		KUNIT_ASSERT_EQ(test, find_nothing(s), 0ULL);
	}
	s->now_ns += MS;
	KUNIT_EXPECT_EQ(test, take(s, 100), 3ULL);
}

static void undelivered_bytes_come_back(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	KUNIT_EXPECT_EQ(test, take(s, 8), 8ULL);
	rngq_bucket_give_back(&s->bucket, &s->draw, 5);
	KUNIT_EXPECT_EQ(test, available(s), 7ULL);
	/* Some were delivered, so the period runs. */
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + SEC);
}

static void undelivered_read_leaves_no_trace(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 4);

	KUNIT_EXPECT_EQ(test, take(s, 9), 9ULL);
	rngq_bucket_give_back(&s->bucket, &s->draw, 9);
	KUNIT_EXPECT_EQ(test, available(s), 14ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.credit_bytes, 4ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
}

static void undelivered_read_keeps_the_beat(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);
	u64 begin_ns = s->now_ns;

	take(s, 10);
	find_nothing(s);
	s->now_ns = begin_ns + SEC + 1;
	take(s, 10);
	rngq_bucket_give_back(&s->bucket, &s->draw, 10);
	s->now_ns = begin_ns + SEC + 2;
	take(s, 10);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, begin_ns + 2 * SEC);
}

static void delivered_bytes_are_of_the_credit_first(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 4);

	take(s, 9);			/* 4 of the credit, 5 of the bucket */
	rngq_bucket_give_back(&s->bucket, &s->draw, 6);
	KUNIT_EXPECT_EQ(test, s->bucket.credit_bytes, 1ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.level_bytes, 10ULL);
}

/*
 * One thread takes all and gets stuck in a page fault; the bucket is refilled
 * and another takes all; then the first one fails. Its bytes must not add to
 * what the refill brought.
 */
static void giving_back_after_a_refill_brings_nothing(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);
	struct rngq_draw stuck;

	KUNIT_EXPECT_EQ(test, take(s, 10), 10ULL);
	stuck = s->draw;
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, take(s, 10), 10ULL);
	rngq_bucket_give_back(&s->bucket, &stuck, 10);
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
}

/* Nobody else took anything, so it is as if nothing had been taken at all. */
static void giving_back_what_was_taken_last_outlives_refills(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 90, 0);

	KUNIT_EXPECT_EQ(test, take(s, 50), 50ULL);
	s->now_ns += 2 * SEC;
	KUNIT_EXPECT_EQ(test, available(s), 70ULL);
	rngq_bucket_give_back(&s->bucket, &s->draw, 50);
	KUNIT_EXPECT_EQ(test, available(s), 100ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
}

/* Who finds nothing has taken nothing: all is as if it had not asked. */
static void finding_nothing_is_no_take(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 90, 0);
	struct rngq_draw stuck;

	KUNIT_EXPECT_EQ(test, take(s, 100), 100ULL);
	stuck = s->draw;
	KUNIT_EXPECT_EQ(test, take(s, 1), 0ULL);
	s->now_ns += 2 * SEC;
	rngq_bucket_refill(&s->bucket, s->now_ns);
	rngq_bucket_give_back(&s->bucket, &stuck, 100);
	KUNIT_EXPECT_EQ(test, available(s), 100ULL);
}

static void credit_comes_back_whenever(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 4);
	struct rngq_draw stuck;

	KUNIT_EXPECT_EQ(test, take(s, 14), 14ULL);
	stuck = s->draw;
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, take(s, 10), 10ULL);
	rngq_bucket_give_back(&s->bucket, &stuck, 14);
	KUNIT_EXPECT_EQ(test, available(s), 4ULL);
}

static void giving_back_ends_the_wait_and_its_beat(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	take(s, 10);
	find_nothing(s);
	rngq_bucket_give_back(&s->bucket, &s->draw, 5);
	/* The refill at 1 s is awaited by nobody. */
	s->now_ns += SEC + SEC / 2;
	take(s, 10);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + SEC);
}

static void giving_back_more_than_fits_fills(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0, 0);

	take(s, 95);
	set_quota(s, 10, 1000, 0);
	KUNIT_EXPECT_EQ(test, available(s), 5ULL);
	rngq_bucket_give_back(&s->bucket, &s->draw, 95);
	KUNIT_EXPECT_EQ(test, available(s), 10ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
}

static void late_by_a_period_is_two_refills(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 90, 0);

	take(s, 100);
	s->now_ns += 2 * SEC - 1;
	KUNIT_EXPECT_EQ(test, available(s), 10ULL);

	s = new_scene(test, 10, 1000, 90, 0);
	take(s, 100);
	s->now_ns += 2 * SEC;
	KUNIT_EXPECT_EQ(test, available(s), 20ULL);
}

static void change_that_lifts_the_limit_ends_the_beat(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	take(s, 10);
	find_nothing(s);
	set_quota(s, RNGQ_MAX, 1000, 0);
	set_quota(s, 10, 1000, 0);
	take(s, 10);
	s->now_ns += SEC + SEC / 2;
	take(s, 10);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + SEC);
}

static void giving_back_after_a_cut_brings_nothing(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0, 0);
	struct rngq_draw stuck;

	take(s, 50);
	stuck = s->draw;
	set_quota(s, 10, 1000, 0);
	KUNIT_EXPECT_EQ(test, take(s, 100), 10ULL);
	rngq_bucket_give_back(&s->bucket, &stuck, 50);
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
}

static void giving_back_is_held_against_the_new_capacity(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0, 0);
	struct rngq_draw stuck;

	take(s, 50);
	stuck = s->draw;
	set_quota(s, 60, 1000, 0);	/* holds 50, and 50 are on their way */
	KUNIT_EXPECT_EQ(test, take(s, 100), 50ULL);
	rngq_bucket_give_back(&s->bucket, &stuck, 50);
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
}

static void giving_back_to_max_is_harmless(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	take(s, 5);
	set_quota(s, RNGQ_MAX, 1000, 0);
	rngq_bucket_give_back(&s->bucket, &s->draw, 5);
	KUNIT_EXPECT_EQ(test, available(s), RNGQ_MAX);
	set_quota(s, 10, 1000, 0);
	KUNIT_EXPECT_EQ(test, available(s), 10ULL);
}

static void extremes_do_not_overflow(struct kunit *test)
{
	struct scene *s = new_scene(test, MOST_BYTES, 1, MOST_BYTES, MOST_BYTES);

	s->now_ns += 100 * YEAR;
	KUNIT_EXPECT_EQ(test, take(s, U64_MAX), 3 * MOST_BYTES);
	s->now_ns += MS;
	KUNIT_EXPECT_EQ(test, take(s, U64_MAX), MOST_BYTES);
	s->now_ns += 100 * YEAR;
	KUNIT_EXPECT_EQ(test, take(s, U64_MAX), 2 * MOST_BYTES);
}

static void slowest_quota_does_not_overflow(struct kunit *test)
{
	struct scene *s = new_scene(test, 1, MOST_MS, MOST_BYTES, 0);
	u64 begin_ns = s->now_ns;

	KUNIT_EXPECT_EQ(test, take(s, U64_MAX), MOST_BYTES + 1);
	s->now_ns = begin_ns + MOST_MS * MS - 1;
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, available(s), 1ULL);
	s->now_ns = begin_ns + 100 * MOST_MS * MS;
	KUNIT_EXPECT_EQ(test, available(s), 100ULL);
}

static void fastest_clock_fills_the_largest_burst(struct kunit *test)
{
	struct scene *s = new_scene(test, 1, 1, MOST_BYTES, 0);

	take(s, U64_MAX);
	/* A year has fewer milliseconds than the burst has bytes. */
	s->now_ns += YEAR;
	KUNIT_EXPECT_EQ(test, available(s), YEAR / MS);
	s->now_ns += 100 * YEAR;
	KUNIT_EXPECT_EQ(test, available(s), MOST_BYTES + 1);
}

static void empty_bucket_starts_its_period_at_once(struct kunit *test)
{
	struct scene *s = new_empty_scene(test, 5, 5000, 7);

	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.credit_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + 5 * SEC);
	s->now_ns += 5 * SEC - 1;
	KUNIT_EXPECT_EQ(test, available(s), 0ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, available(s), 5ULL);
	s->now_ns += 10 * SEC;
	KUNIT_EXPECT_EQ(test, available(s), 12ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
}

static void empty_bucket_knows_the_beat(struct kunit *test)
{
	struct scene *s = new_empty_scene(test, 5, 5000, 0);

	find_nothing(s);
	s->now_ns += 6 * SEC;
	KUNIT_EXPECT_EQ(test, take(s, 5), 5ULL);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, s->now_ns + 4 * SEC);
}

static void empty_without_a_limit_is_full(struct kunit *test)
{
	struct scene *s = new_empty_scene(test, RNGQ_MAX, 1000, 7);

	KUNIT_EXPECT_EQ(test, available(s), RNGQ_MAX);
	KUNIT_EXPECT_EQ(test, s->bucket.refill_ns, RNGQ_NEVER);
	s->now_ns += YEAR;
	KUNIT_EXPECT_EQ(test, take(s, 1000), 1000ULL);
	set_quota(s, 10, 1000, 2);
	KUNIT_EXPECT_EQ(test, available(s), 12ULL);
}

static struct kunit_case bucket_cases[] = {
	KUNIT_CASE(bucket_starts_full),
	KUNIT_CASE(first_take_starts_the_period),
	KUNIT_CASE(refill_comes_at_the_nanosecond),
	KUNIT_CASE(taking_nothing_starts_no_period),
	KUNIT_CASE(full_bucket_stops_the_clock),
	KUNIT_CASE(idle_for_many_periods_brings_one_fill),
	KUNIT_CASE(burst_is_carried_over_and_capped),
	KUNIT_CASE(late_look_finds_the_same_as_a_look_each_period),
	KUNIT_CASE(waiter_keeps_its_beat),
	KUNIT_CASE(waiter_late_by_a_period_loses_its_beat),
	KUNIT_CASE(beat_is_kept_for_one_refill_only),
	KUNIT_CASE(beat_is_that_of_the_awaited_refill),
	KUNIT_CASE(greedy_waiter_that_is_always_late_gets_it_all),
	KUNIT_CASE(boot_credit_comes_first_and_once),
	KUNIT_CASE(max_knows_no_limit_and_no_clock),
	KUNIT_CASE(from_max_to_a_limit_is_full),
	KUNIT_CASE(credit_survives_max),
	KUNIT_CASE(raised_full_bucket_is_full),
	KUNIT_CASE(raised_in_mid_period_keeps_level_and_start),
	KUNIT_CASE(lowered_bucket_is_cut),
	KUNIT_CASE(lowered_empty_bucket_stays_empty),
	KUNIT_CASE(shorter_period_keeps_its_start),
	KUNIT_CASE(shorter_period_that_is_over_refills_at_once),
	KUNIT_CASE(longer_period_keeps_its_start),
	KUNIT_CASE(change_counts_refills_that_were_due),
	KUNIT_CASE(time_may_stand_still),
	KUNIT_CASE(undelivered_bytes_come_back),
	KUNIT_CASE(undelivered_read_leaves_no_trace),
	KUNIT_CASE(undelivered_read_keeps_the_beat),
	KUNIT_CASE(delivered_bytes_are_of_the_credit_first),
	KUNIT_CASE(giving_back_after_a_refill_brings_nothing),
	KUNIT_CASE(giving_back_what_was_taken_last_outlives_refills),
	KUNIT_CASE(finding_nothing_is_no_take),
	KUNIT_CASE(credit_comes_back_whenever),
	KUNIT_CASE(giving_back_ends_the_wait_and_its_beat),
	KUNIT_CASE(giving_back_more_than_fits_fills),
	KUNIT_CASE(late_by_a_period_is_two_refills),
	KUNIT_CASE(change_that_lifts_the_limit_ends_the_beat),
	KUNIT_CASE(giving_back_after_a_cut_brings_nothing),
	KUNIT_CASE(giving_back_is_held_against_the_new_capacity),
	KUNIT_CASE(giving_back_to_max_is_harmless),
	KUNIT_CASE(extremes_do_not_overflow),
	KUNIT_CASE(slowest_quota_does_not_overflow),
	KUNIT_CASE(fastest_clock_fills_the_largest_burst),
	KUNIT_CASE(empty_bucket_starts_its_period_at_once),
	KUNIT_CASE(empty_bucket_knows_the_beat),
	KUNIT_CASE(empty_without_a_limit_is_full),
	{}
};

static struct kunit_suite bucket_suite = {
	.name = "rngquota_bucket",
	.test_cases = bucket_cases,
};

kunit_test_suite(bucket_suite);
