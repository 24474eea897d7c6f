// SPDX-License-Identifier: GPL-2.0
/*
 * What a process gains by opening, closing and opening again: nothing, and it
 * loses nothing. The clock is a variable of the test.
 */
#include <kunit/test.h>

#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/string.h>
#include <linux/time64.h>

#include "../driver/process.h"

#define SEC		((u64)NSEC_PER_SEC)

#define MOST_CLIENTS	8

#define STEPS		20000
#define LOG_SIZE	256

/* "make KUNIT=1 SEED=" repeats the walk that printed it. */
#ifndef SEED
#define SEED		get_random_u32()
#endif

/* A process, the buckets of its clients and their shares, the defaults, and the clock. */
struct scene {
	struct rngq_process process;
	struct rngq_bucket bucket[MOST_CLIENTS];
	struct rngq_member member[MOST_CLIENTS];
	struct rngq_draw draw;
	struct rngq_quota defaults;
	u64 boot_bytes;
	u64 now_ns;
};

static struct scene *new_scene(struct kunit *test, u64 rate_bytes,
			       u64 period_ms, u64 burst_bytes, u64 boot_bytes)
{
	struct scene *scene = kunit_kzalloc(test, sizeof(*scene), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, scene);
	/* As when just allocated: whatever is not set is garbage. */
	memset(scene->bucket, 0x5a, sizeof(scene->bucket));
	scene->defaults = (struct rngq_quota){ rate_bytes, period_ms,
					       burst_bytes };
	scene->boot_bytes = boot_bytes;
	scene->now_ns = 3 * SEC;
	return scene;
}

static enum rngq_start open_client(struct scene *scene, int i)
{
	struct rngq_quota quota = scene->defaults;

	rngq_process_overlay(&scene->process, &quota);
	return rngq_process_open(&scene->process, &scene->bucket[i], &quota,
				 scene->boot_bytes, scene->now_ns);
}

static void close_client(struct scene *scene, int i)
{
	rngq_process_close(&scene->process, &scene->bucket[i],
			   &scene->member[i]);
	/* It is freed. */
	memset(&scene->bucket[i], 0x5a, sizeof(scene->bucket[i]));
}

static void cancel_client(struct scene *scene, int i, enum rngq_start start)
{
	rngq_process_cancel(&scene->process, start, &scene->bucket[i],
			    &scene->member[i]);
	memset(&scene->bucket[i], 0x5a, sizeof(scene->bucket[i]));
}

static void fail_to_open(struct scene *scene, int i)
{
	cancel_client(scene, i, open_client(scene, i));
}

static void reopen(struct scene *scene, int i)
{
	close_client(scene, i);
	open_client(scene, i);
}

static u64 available(struct scene *scene, int i)
{
	rngq_bucket_refill(&scene->bucket[i], scene->now_ns);
	return rngq_bucket_available(&scene->bucket[i]);
}

static u64 take(struct scene *scene, int i, u64 want_bytes)
{
	return rngq_bucket_take(&scene->bucket[i], want_bytes, scene->now_ns,
				&scene->draw);
}

/* Find nothing, and wait for more, as a reader does. */
static u64 find_nothing(struct scene *scene, int i)
{
	u64 bytes = available(scene, i);

	rngq_bucket_await(&scene->bucket[i]);
	return bytes;
}

/* As when the quota of one client is written. */
static void override(struct scene *scene, enum rngq_setting setting, u64 value)
{
	rngq_process_override(&scene->process, setting, value);
}

static struct rngq_quota next_quota(const struct scene *scene)
{
	struct rngq_quota quota = scene->defaults;

	rngq_process_overlay(&scene->process, &quota);
	return quota;
}

/* The first client. */

static void first_client_starts_full_with_credit(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 7);

	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, s->process.nr_clients, 1ULL);
	KUNIT_EXPECT_EQ(test, available(s, 0), 22ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, RNGQ_NEVER);
	KUNIT_EXPECT_EQ(test, take(s, 0, 100), 22ULL);
	KUNIT_EXPECT_EQ(test, s->draw.credit_bytes, 7ULL);
}

/* One after the other: it goes on. */

static void reopened_client_has_what_was_left(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 0);

	open_client(s, 0);
	take(s, 0, 11);
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, s->process.nr_clients, 1ULL);
	KUNIT_EXPECT_EQ(test, available(s, 0), 4ULL);
	take(s, 0, 4);
	reopen(s, 0);
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 0ULL);
}

static void unused_bucket_stays_full(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 7);

	open_client(s, 0);
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 22ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, RNGQ_NEVER);
}

static void running_period_goes_on_while_closed(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 20, 0);
	u64 begin_ns = s->now_ns;

	open_client(s, 0);
	take(s, 0, 30);
	s->now_ns = begin_ns + SEC / 2;
	close_client(s, 0);
	s->now_ns = begin_ns + 3 * SEC / 4;
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 0ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, begin_ns + SEC);

	/* Nothing is lost of what two periods bring meanwhile. */
	close_client(s, 0);
	s->now_ns = begin_ns + 2 * SEC + SEC / 4;
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 20ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, begin_ns + 3 * SEC);
}

static void full_bucket_is_reopened_full(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	open_client(s, 0);
	take(s, 0, 10);
	close_client(s, 0);
	s->now_ns += 100 * SEC;
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 10ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, RNGQ_NEVER);
}

/* A program that opens, waits, reads and closes loses nothing by it. */
static void beat_is_kept_across_reopening(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);
	u64 begin_ns = s->now_ns;

	open_client(s, 0);
	take(s, 0, 10);
	find_nothing(s, 0);
	reopen(s, 0);			/* before the refill ... */
	s->now_ns = begin_ns + SEC + SEC / 4;
	reopen(s, 0);			/* ... and after it */
	s->now_ns = begin_ns + SEC + SEC / 2;
	KUNIT_EXPECT_EQ(test, available(s, 0), 10ULL);
	reopen(s, 0);			/* and when it has been seen */
	KUNIT_EXPECT_EQ(test, take(s, 0, 10), 10ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, begin_ns + 2 * SEC);
}

/* Several at the same time. */

static void further_clients_start_empty(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 7);
	int i;

	open_client(s, 0);
	s->now_ns += SEC / 4;
	for (i = 1; i < MOST_CLIENTS; i++) {
		open_client(s, i);
		KUNIT_EXPECT_EQ(test, available(s, i), 0ULL);
		KUNIT_EXPECT_EQ(test, s->bucket[i].credit_bytes, 0ULL);
	}
	KUNIT_EXPECT_EQ(test, s->process.nr_clients, (u64)MOST_CLIENTS);
	KUNIT_EXPECT_EQ(test, available(s, 0), 22ULL);
}

static void their_clocks_start_at_open(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 0);
	u64 opened_ns;

	open_client(s, 0);
	s->now_ns += SEC / 4;
	opened_ns = s->now_ns;
	open_client(s, 1);
	KUNIT_EXPECT_EQ(test, s->bucket[1].refill_ns, opened_ns + SEC);
	s->now_ns = opened_ns + SEC - 1;
	KUNIT_EXPECT_EQ(test, available(s, 1), 0ULL);
	s->now_ns += 1;
	KUNIT_EXPECT_EQ(test, available(s, 1), 10ULL);
	/* The first one's has not been started by that. */
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, RNGQ_NEVER);
}

static void n_clients_get_n_times_the_rate_and_one_fill(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 7);
	u64 bytes = 0;
	int period, i;

	for (i = 0; i < MOST_CLIENTS; i++)
		open_client(s, i);
	for (i = 0; i < MOST_CLIENTS; i++)
		bytes += take(s, i, 1000);
	KUNIT_EXPECT_EQ(test, bytes, 22ULL);
	for (period = 0; period < 100; period++) {
		s->now_ns += SEC;
		for (i = 0; i < MOST_CLIENTS; i++)
			bytes += take(s, i, 1000);
	}
	KUNIT_EXPECT_EQ(test, bytes, 22ULL + 100 * MOST_CLIENTS * 10);
}

static void bucket_closed_last_is_the_one_to_go_on_with(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	open_client(s, 0);
	open_client(s, 1);
	take(s, 0, 4);
	s->member[0].taken_bytes = 4;
	s->now_ns += SEC / 2;
	close_client(s, 1);
	close_client(s, 0);
	open_client(s, 2);
	KUNIT_EXPECT_EQ(test, available(s, 2), 6ULL);
	KUNIT_EXPECT_EQ(test, s->process.member.taken_bytes, 4ULL);
	close_client(s, 2);

	/* Of two the one that has less, if that is how they were closed. */
	open_client(s, 0);
	open_client(s, 1);
	close_client(s, 0);
	close_client(s, 1);
	open_client(s, 2);
	KUNIT_EXPECT_EQ(test, available(s, 2), 0ULL);
}

static void what_was_left_is_handed_out_once(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	open_client(s, 0);
	close_client(s, 0);
	open_client(s, 0);
	open_client(s, 1);
	KUNIT_EXPECT_EQ(test, available(s, 0), 10ULL);
	KUNIT_EXPECT_EQ(test, available(s, 1), 0ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[1].refill_ns, s->now_ns + SEC);
}

static void what_was_left_is_had_while_others_are_open(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	open_client(s, 0);
	open_client(s, 1);
	close_client(s, 0);
	KUNIT_EXPECT_EQ(test, s->process.nr_clients, 1ULL);
	open_client(s, 2);
	KUNIT_EXPECT_EQ(test, available(s, 2), 10ULL);
	open_client(s, 3);
	KUNIT_EXPECT_EQ(test, available(s, 3), 0ULL);
	KUNIT_EXPECT_EQ(test, s->process.nr_clients, 3ULL);
}

/* The boot credit. */

static void credit_is_given_once(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 100);

	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, take(s, 0, 30), 30ULL);
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, s->bucket[0].credit_bytes, 70ULL);
	KUNIT_EXPECT_EQ(test, take(s, 0, 80), 80ULL);
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 0ULL);
	s->now_ns += 100 * SEC;
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 10ULL);
}

static void credit_goes_with_the_next_one_opened(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 100);

	open_client(s, 0);
	open_client(s, 1);
	take(s, 0, 40);
	close_client(s, 0);
	/* It was not the last to be closed, but it had the credit. */
	close_client(s, 1);
	open_client(s, 2);
	KUNIT_EXPECT_EQ(test, s->bucket[2].credit_bytes, 60ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[2].level_bytes, 0ULL);
	open_client(s, 3);
	KUNIT_EXPECT_EQ(test, s->bucket[3].credit_bytes, 0ULL);

	/* Not doubled by who closes and opens again and again. */
	take(s, 2, 10);
	close_client(s, 3);
	open_client(s, 3);
	KUNIT_EXPECT_EQ(test, s->bucket[3].credit_bytes, 0ULL);
	close_client(s, 2);
	open_client(s, 2);
	KUNIT_EXPECT_EQ(test, s->bucket[2].credit_bytes, 50ULL);
}

static void later_boot_credit_is_for_new_processes(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 5);

	open_client(s, 0);
	s->boot_bytes = 1000;
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, s->bucket[0].credit_bytes, 5ULL);
	open_client(s, 1);
	KUNIT_EXPECT_EQ(test, s->bucket[1].credit_bytes, 0ULL);
}

static void credit_outlives_max(struct kunit *test)
{
	struct scene *s = new_scene(test, RNGQ_MAX, 1000, 0, 9);

	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, take(s, 0, 1000), 1000ULL);
	close_client(s, 0);
	s->defaults.rate_bytes = 10;
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 19ULL);
}

/* Overrides. */

static void overrides_hold_for_the_next_client(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 0);
	struct rngq_quota quota;

	open_client(s, 0);
	quota = next_quota(s);
	KUNIT_EXPECT_EQ(test, memcmp(&quota, &s->defaults, sizeof(quota)), 0);

	override(s, RNGQ_RATE_BYTES, 3);
	quota = next_quota(s);
	KUNIT_EXPECT_EQ(test, quota.rate_bytes, 3ULL);
	KUNIT_EXPECT_EQ(test, quota.period_ms, 1000ULL);
	KUNIT_EXPECT_EQ(test, quota.burst_bytes, 5ULL);

	override(s, RNGQ_PERIOD_MS, 70);
	override(s, RNGQ_BURST_BYTES, 0);
	s->defaults.burst_bytes = 6;
	quota = next_quota(s);
	KUNIT_EXPECT_EQ(test, quota.rate_bytes, 3ULL);
	KUNIT_EXPECT_EQ(test, quota.period_ms, 70ULL);
	KUNIT_EXPECT_EQ(test, quota.burst_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, s->process.overrides,
			BIT(RNGQ_RATE_BYTES) | BIT(RNGQ_PERIOD_MS) |
			BIT(RNGQ_BURST_BYTES));
}

static void last_override_counts(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 0);

	open_client(s, 0);
	override(s, RNGQ_RATE_BYTES, 3);
	override(s, RNGQ_RATE_BYTES, 4);
	KUNIT_EXPECT_EQ(test, next_quota(s).rate_bytes, 4ULL);
	override(s, RNGQ_RATE_BYTES, RNGQ_MAX);
	KUNIT_EXPECT_EQ(test, next_quota(s).rate_bytes, RNGQ_MAX);
}

static void followed_default_is_no_override(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 0);

	open_client(s, 0);
	override(s, RNGQ_RATE_BYTES, 3);
	override(s, RNGQ_BURST_BYTES, 4);
	rngq_process_follow(&s->process, RNGQ_RATE_BYTES);
	rngq_process_follow(&s->process, RNGQ_PERIOD_MS);
	s->defaults.rate_bytes = 11;
	KUNIT_EXPECT_EQ(test, next_quota(s).rate_bytes, 11ULL);
	KUNIT_EXPECT_EQ(test, next_quota(s).period_ms, 1000ULL);
	KUNIT_EXPECT_EQ(test, next_quota(s).burst_bytes, 4ULL);
	KUNIT_EXPECT_EQ(test, s->process.overrides, BIT(RNGQ_BURST_BYTES));
}

static void overrides_outlive_all_clients(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 5, 0);

	open_client(s, 0);
	override(s, RNGQ_RATE_BYTES, 3);
	close_client(s, 0);
	open_client(s, 0);
	open_client(s, 1);
	KUNIT_EXPECT_EQ(test, s->bucket[0].rate_bytes, 3ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[1].rate_bytes, 3ULL);
	close_client(s, 1);
	close_client(s, 0);
	KUNIT_EXPECT_EQ(test, next_quota(s).rate_bytes, 3ULL);
}

/*
 * A strict quota is not shaken off by reopening, also not if it was another
 * client that had it: what is gone on with is cut to it.
 */
static void what_was_left_is_cut_to_the_override(struct kunit *test)
{
	struct scene *s = new_scene(test, 1000, 1000, 0, 0);

	open_client(s, 0);
	take(s, 0, 1);
	open_client(s, 1);
	override(s, RNGQ_RATE_BYTES, 3);	/* of the second one */
	reopen(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 3ULL);
	KUNIT_EXPECT_EQ(test, take(s, 0, 10), 3ULL);
	s->now_ns += SEC;
	KUNIT_EXPECT_EQ(test, take(s, 0, 10), 3ULL);
}

/* Defaults that changed while all clients were closed. */

static void raise_finds_a_full_bucket_full(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	open_client(s, 0);
	close_client(s, 0);
	s->defaults = (struct rngq_quota){ 100, 1000, 20 };
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 120ULL);
}

static void raise_finds_the_others_as_they_were_left(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);
	u64 begin_ns = s->now_ns;

	open_client(s, 0);
	take(s, 0, 8);
	close_client(s, 0);
	s->now_ns += SEC / 2;
	s->defaults = (struct rngq_quota){ 100, 4000, 0 };
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 2ULL);
	/* The running period keeps its start. */
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, begin_ns + 4 * SEC);
}

static void what_was_left_is_cut_to_a_lower_default(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0, 5);

	open_client(s, 0);
	take(s, 0, 15);
	close_client(s, 0);
	s->defaults.rate_bytes = 10;
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 10ULL);
}

static void from_max_to_a_limit_is_full(struct kunit *test)
{
	struct scene *s = new_scene(test, RNGQ_MAX, 1000, 0, 0);

	open_client(s, 0);
	take(s, 0, 12345);
	close_client(s, 0);
	s->defaults = (struct rngq_quota){ 10, 1000, 2 };
	open_client(s, 0);
	KUNIT_EXPECT_EQ(test, available(s, 0), 12ULL);
	KUNIT_EXPECT_EQ(test, s->bucket[0].refill_ns, RNGQ_NEVER);
}

static void from_a_limit_to_max_has_none(struct kunit *test)
{
	struct scene *s = new_scene(test, 10, 1000, 0, 0);

	open_client(s, 0);
	take(s, 0, 10);
	close_client(s, 0);
	s->defaults.rate_bytes = RNGQ_MAX;
	open_client(s, 0);
	open_client(s, 1);
	KUNIT_EXPECT_EQ(test, available(s, 0), RNGQ_MAX);
	KUNIT_EXPECT_EQ(test, available(s, 1), RNGQ_MAX);
}

/*
 * A random walk: a process opens, closes, waits and takes as it likes. All that
 * it takes is in a log, on which the promise to it as a whole is checked:
 *
 *  - In any interval of length t, n clients get n times what one may get (see
 *    bucket.h). Closing and opening doesn't help: what a client leaves is
 *    either gone on with or gone, and a new one starts empty, with its first
 *    refill a whole period later.
 *  - From the first open on, they get
 *
 *	boot + rate + burst + n * rate * floor(t / period)
 *
 *    because one of them started full and the others empty.
 */
struct walk {
	struct scene scene;
	struct rnd_state rnd;
	bool is_open[MOST_CLIENTS];
	int nr_clients;			/* n: open at the same time */
	u64 capacity_bytes, period_ns;
	u64 began_ns;
	u64 bytes;			/* since then */
	u64 credit_bytes;		/* of these */
	struct {
		u64 at_ns;
		u64 level_bytes;
	} log[LOG_SIZE];
	int logged;
};

static u64 rnd(struct walk *walk, u64 below)
{
	return prandom_u32_state(&walk->rnd) % below;
}

static void begin_process(struct walk *walk)
{
	struct scene *s = &walk->scene;

	s->process = (struct rngq_process){};
	memset(walk->is_open, 0, sizeof(walk->is_open));
	s->defaults = (struct rngq_quota){
		.rate_bytes = 1 + rnd(walk, 50),
		.period_ms = 1 + rnd(walk, 20),
		.burst_bytes = rnd(walk, 2) ? 0 : rnd(walk, 200),
	};
	s->boot_bytes = rnd(walk, 2) ? 0 : rnd(walk, 300);
	walk->nr_clients = 1 + rnd(walk, MOST_CLIENTS);
	walk->capacity_bytes = s->defaults.rate_bytes +
		s->defaults.burst_bytes;
	walk->period_ns = s->defaults.period_ms * NSEC_PER_MSEC;
	walk->began_ns = s->now_ns;
	walk->bytes = 0;
	walk->credit_bytes = 0;
	walk->logged = 0;
}

static u64 all_rates(const struct walk *walk, u64 periods)
{
	return walk->nr_clients * walk->scene.defaults.rate_bytes * periods;
}

static void check_intervals(struct kunit *test, struct walk *walk)
{
	int from, to;

	for (from = 0; from < walk->logged; from++) {
		u64 sum = 0;

		for (to = from; to < walk->logged; to++) {
			u64 t_ns = walk->log[to].at_ns - walk->log[from].at_ns;

			sum += walk->log[to].level_bytes;
			KUNIT_ASSERT_LE(test, sum,
					walk->nr_clients *
					walk->capacity_bytes +
					all_rates(walk,
						  t_ns / walk->period_ns + 1));
		}
	}
	walk->logged = 0;
}

static void step_take(struct kunit *test, struct walk *walk, int i)
{
	struct scene *s = &walk->scene;
	u64 t_ns = s->now_ns - walk->began_ns;

	walk->bytes += take(s, i, rnd(walk, 2) ? 1 + rnd(walk, 60) : 1000);
	walk->credit_bytes += s->draw.credit_bytes;
	KUNIT_ASSERT_LE(test, walk->credit_bytes, s->boot_bytes);
	KUNIT_ASSERT_LE(test, walk->bytes,
			s->boot_bytes + walk->capacity_bytes +
			all_rates(walk, t_ns / walk->period_ns));

	if (walk->logged == LOG_SIZE)
		check_intervals(test, walk);
	walk->log[walk->logged].at_ns = s->now_ns;
	walk->log[walk->logged].level_bytes = s->draw.level_bytes;
	walk->logged++;
}

static void step_sleep(struct walk *walk, int i)
{
	struct scene *s = &walk->scene;
	u64 refill_ns = walk->is_open[i] ? s->bucket[i].refill_ns : RNGQ_NEVER;

	switch (rnd(walk, 4)) {
	case 0:
		s->now_ns += rnd(walk, walk->period_ns);
		break;
	case 1:
		s->now_ns += rnd(walk, 5 * walk->period_ns);
		break;
	default:
		/* To the edge, and a nanosecond to either side. */
		if (refill_ns != RNGQ_NEVER && refill_ns > s->now_ns)
			s->now_ns = refill_ns - 1 + rnd(walk, 3);
		break;
	}
}

static void random_walk(struct kunit *test)
{
	struct walk *walk = kunit_kzalloc(test, sizeof(*walk), GFP_KERNEL);
	u64 seed = SEED;
	int step;

	KUNIT_ASSERT_NOT_NULL(test, walk);
	kunit_info(test, "SEED=%llu (process)", seed);
	prandom_seed_state(&walk->rnd, seed);
	walk->scene.now_ns = SEC;
	begin_process(walk);

	for (step = 0; step < STEPS; step++) {
		int i = rnd(walk, walk->nr_clients);
		u64 kind = rnd(walk, 1000);

		if (!walk->is_open[i] && kind < 800) {
			open_client(&walk->scene, i);
			walk->is_open[i] = true;
		} else if (walk->is_open[i] && kind < 200) {
			close_client(&walk->scene, i);
			walk->is_open[i] = false;
		} else if (walk->is_open[i] && kind < 600) {
			step_take(test, walk, i);
		} else if (walk->is_open[i] && kind < 800) {
			if (!available(&walk->scene, i))
				find_nothing(&walk->scene, i);
		} else if (kind < 998) {
			step_sleep(walk, i);
		} else {
			check_intervals(test, walk);
			begin_process(walk);
		}
	}
	check_intervals(test, walk);
}

static void a_first_open_that_fails_has_not_been(struct kunit *test)
{
	struct scene *scene = new_scene(test, 10, 1000, 0, 50);

	fail_to_open(scene, 0);
	KUNIT_EXPECT_FALSE(test, scene->process.left);
	KUNIT_EXPECT_EQ(test, scene->process.nr_clients, 0);
	scene->boot_bytes = 30;
	open_client(scene, 1);
	KUNIT_EXPECT_EQ(test, available(scene, 1), 40);
}

static void a_further_open_that_fails_leaves_nothing(struct kunit *test)
{
	struct scene *scene = new_scene(test, 10, 1000, 0, 0);

	open_client(scene, 0);
	fail_to_open(scene, 1);
	KUNIT_EXPECT_FALSE(test, scene->process.left);
	KUNIT_EXPECT_EQ(test, scene->process.nr_clients, 1);
	/* Its clock has not begun, either. */
	scene->now_ns += SEC / 2;
	open_client(scene, 1);
	KUNIT_EXPECT_EQ(test, available(scene, 1), 0);
	scene->now_ns += SEC / 2;
	KUNIT_EXPECT_EQ(test, available(scene, 1), 0);
	scene->now_ns += SEC / 2;
	KUNIT_EXPECT_EQ(test, available(scene, 1), 10);
}

static void a_reopen_that_fails_leaves_what_was_left(struct kunit *test)
{
	struct scene *scene = new_scene(test, 10, 1000, 0, 5);

	open_client(scene, 0);
	close_client(scene, 0);
	fail_to_open(scene, 1);
	KUNIT_EXPECT_TRUE(test, scene->process.left);
	KUNIT_EXPECT_EQ(test, scene->process.nr_clients, 0);
	open_client(scene, 2);
	KUNIT_EXPECT_EQ(test, available(scene, 2), 15);
}

static void a_first_fill_stays_when_others_came_and_went(struct kunit *test)
{
	struct scene *scene = new_scene(test, 10, 1000, 0, 5);
	enum rngq_start first = open_client(scene, 0);

	open_client(scene, 1);
	close_client(scene, 1);
	cancel_client(scene, 0, first);
	open_client(scene, 2);
	KUNIT_EXPECT_EQ(test, available(scene, 2), 15);
}

static void a_first_fill_stays_for_those_who_missed_it(struct kunit *test)
{
	struct scene *scene = new_scene(test, 10, 1000, 0, 5);
	enum rngq_start first = open_client(scene, 0);

	open_client(scene, 1);
	cancel_client(scene, 0, first);
	KUNIT_EXPECT_EQ(test, available(scene, 1), 0);
	open_client(scene, 2);
	KUNIT_EXPECT_EQ(test, available(scene, 2), 15);
	open_client(scene, 3);
	KUNIT_EXPECT_EQ(test, available(scene, 3), 0);
}

static struct kunit_case process_cases[] = {
	KUNIT_CASE(first_client_starts_full_with_credit),
	KUNIT_CASE(reopened_client_has_what_was_left),
	KUNIT_CASE(unused_bucket_stays_full),
	KUNIT_CASE(running_period_goes_on_while_closed),
	KUNIT_CASE(full_bucket_is_reopened_full),
	KUNIT_CASE(beat_is_kept_across_reopening),
	KUNIT_CASE(further_clients_start_empty),
	KUNIT_CASE(their_clocks_start_at_open),
	KUNIT_CASE(n_clients_get_n_times_the_rate_and_one_fill),
	KUNIT_CASE(bucket_closed_last_is_the_one_to_go_on_with),
	KUNIT_CASE(what_was_left_is_handed_out_once),
	KUNIT_CASE(what_was_left_is_had_while_others_are_open),
	KUNIT_CASE(credit_is_given_once),
	KUNIT_CASE(credit_goes_with_the_next_one_opened),
	KUNIT_CASE(later_boot_credit_is_for_new_processes),
	KUNIT_CASE(credit_outlives_max),
	KUNIT_CASE(overrides_hold_for_the_next_client),
	KUNIT_CASE(last_override_counts),
	KUNIT_CASE(followed_default_is_no_override),
	KUNIT_CASE(overrides_outlive_all_clients),
	KUNIT_CASE(what_was_left_is_cut_to_the_override),
	KUNIT_CASE(raise_finds_a_full_bucket_full),
	KUNIT_CASE(raise_finds_the_others_as_they_were_left),
	KUNIT_CASE(what_was_left_is_cut_to_a_lower_default),
	KUNIT_CASE(from_max_to_a_limit_is_full),
	KUNIT_CASE(from_a_limit_to_max_has_none),
	KUNIT_CASE(a_first_open_that_fails_has_not_been),
	KUNIT_CASE(a_further_open_that_fails_leaves_nothing),
	KUNIT_CASE(a_reopen_that_fails_leaves_what_was_left),
	KUNIT_CASE(a_first_fill_stays_for_those_who_missed_it),
	KUNIT_CASE(a_first_fill_stays_when_others_came_and_went),
	KUNIT_CASE(random_walk),
	{}
};

static struct kunit_suite process_suite = {
	.name = "rngquota_process",
	.test_cases = process_cases,
};

kunit_test_suite(process_suite);
