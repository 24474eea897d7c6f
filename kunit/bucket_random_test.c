// SPDX-License-Identifier: GPL-2.0
/*
 * The bucket against a model that is written differently, in random steps.
 *
 * The bucket is lazy: it looks at the clock when it is asked, and divides. The
 * model is a plain one: it lives through every period and keeps a log of every
 * byte, on which the promise is checked over all intervals.
 */
#include <kunit/test.h>

#include <linux/minmax.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/time64.h>

#include "../driver/bucket.h"

#define STEPS		100000
#define LOG_SIZE	256
#define NR_PENDING	3

/* "make KUNIT=1 SEED=" repeats the walk that printed it. */
#ifndef SEED
#define SEED		get_random_u32()
#endif

/* What was taken from the bucket, when, under one and the same quota. */
struct entry {
	u64 at_ns;
	u64 bytes;
};

struct model {
	u64 rate_bytes, period_ns, capacity_bytes;
	u64 level_bytes, credit_bytes;
	bool running;		/* a period is under way ... */
	u64 began_ns;		/* ... since then */
	bool somebody_waits;
	bool kept_waiting;	/* the refill at waited_for_ns was awaited */
	u64 waited_for_ns;
};

/* A read that is still being delivered, and what has come since it was taken. */
struct pending {
	struct rngq_draw draw;
	u64 bytes;		/* 0: there is none */
	int entry;		/* in the log; -1: no longer */
	bool refill_since;	/* or a change */
	bool take_since;
};

struct walk {
	struct rnd_state rnd;
	u64 now_ns;
	struct rngq_bucket bucket;
	struct model model;
	struct entry log[LOG_SIZE];
	int logged;
	struct pending pending[NR_PENDING];
};

static u64 rnd(struct walk *walk, u64 below)
{
	u64 number = prandom_u32_state(&walk->rnd);

	number = number << 32 | prandom_u32_state(&walk->rnd);
	return number % below;
}

static struct rngq_quota rnd_quota(struct walk *walk)
{
	struct rngq_quota quota = {
		.rate_bytes = 1 + rnd(walk, 50),
		.period_ms = 1 + rnd(walk, 20),
		.burst_bytes = rnd(walk, 2) ? 0 : rnd(walk, 200),
	};

	if (!rnd(walk, 8))
		quota.rate_bytes = RNGQ_MAX;
	return quota;
}

static void note_refill(struct walk *walk)
{
	int i;

	for (i = 0; i < NR_PENDING; i++)
		walk->pending[i].refill_since = true;
}

static void model_tick(struct walk *walk)
{
	struct model *m = &walk->model;

	while (m->running && walk->now_ns - m->began_ns >= m->period_ns) {
		m->began_ns += m->period_ns;
		m->level_bytes = min(m->level_bytes + m->rate_bytes,
				     m->capacity_bytes);
		note_refill(walk);
		if (m->somebody_waits) {
			m->somebody_waits = false;
			m->kept_waiting = true;
			m->waited_for_ns = m->began_ns;
		} else if (m->began_ns - m->waited_for_ns >= m->period_ns) {
			m->kept_waiting = false;
		}
		if (m->level_bytes == m->capacity_bytes)
			m->running = false;
	}
}

static u64 model_available(struct walk *walk)
{
	struct model *m = &walk->model;

	model_tick(walk);
	return m->rate_bytes == RNGQ_MAX ?
		RNGQ_MAX : m->level_bytes + m->credit_bytes;
}

static u64 model_take(struct walk *walk, u64 want)
{
	struct model *m = &walk->model;
	u64 taken = 0;

	model_tick(walk);
	if (m->rate_bytes == RNGQ_MAX)
		return want;
	while (taken < want && m->credit_bytes) {
		m->credit_bytes--;
		taken++;
	}
	while (taken < want && m->level_bytes) {
		if (!m->running) {
			m->running = true;
			m->began_ns = walk->now_ns;
			if (m->kept_waiting &&
			    walk->now_ns - m->waited_for_ns < m->period_ns)
				m->began_ns = m->waited_for_ns;
		}
		m->level_bytes--;
		taken++;
	}
	return taken;
}

static void model_set_quota(struct walk *walk, const struct rngq_quota *quota)
{
	struct model *m = &walk->model;
	bool full;

	model_tick(walk);
	full = m->rate_bytes == RNGQ_MAX || m->level_bytes == m->capacity_bytes;
	note_refill(walk);
	m->rate_bytes = quota->rate_bytes;
	m->period_ns = quota->period_ms * NSEC_PER_MSEC;
	m->capacity_bytes = quota->rate_bytes + quota->burst_bytes;
	if (m->rate_bytes == RNGQ_MAX) {
		m->running = false;
		m->somebody_waits = false;
		return;
	}
	if (full || m->level_bytes >= m->capacity_bytes) {
		m->level_bytes = m->capacity_bytes;
		m->running = false;
		m->somebody_waits = false;
	}
	model_tick(walk);
}

/* In no interval more than the promise: not in any, of all there are. */
static void check_promise(struct kunit *test, struct walk *walk)
{
	const struct model *m = &walk->model;
	int from, to;

	for (from = 0; from < walk->logged; from++) {
		u64 sum = 0;

		for (to = from; to < walk->logged; to++) {
			u64 t_ns = walk->log[to].at_ns - walk->log[from].at_ns;
			u64 promise = m->capacity_bytes + m->rate_bytes *
				(t_ns / m->period_ns + 1);

			sum += walk->log[to].bytes;
			KUNIT_ASSERT_LE(test, sum, promise);
		}
	}
	walk->logged = 0;
	for (from = 0; from < NR_PENDING; from++)
		walk->pending[from].entry = -1;
}

static void step_take(struct kunit *test, struct walk *walk)
{
	u64 want = rnd(walk, 4) ? 1 + rnd(walk, 60) : 1000;
	struct pending *pending = &walk->pending[rnd(walk, NR_PENDING)];
	struct rngq_draw draw;
	u64 taken;
	int i;

	memset(&draw, 0x5a, sizeof(draw));
	taken = rngq_bucket_take(&walk->bucket, want, walk->now_ns, &draw);
	KUNIT_ASSERT_EQ(test, taken, model_take(walk, want));
	for (i = 0; i < NR_PENDING; i++)
		walk->pending[i].take_since |= taken > 0;

	if (walk->logged == LOG_SIZE)
		check_promise(test, walk);
	walk->log[walk->logged].at_ns = walk->now_ns;
	walk->log[walk->logged].bytes = draw.level_bytes;
	/* Half of the reads are slow to be delivered. */
	if (!pending->bytes && rnd(walk, 2))
		*pending = (struct pending){
			.draw = draw, .bytes = taken, .entry = walk->logged,
		};
	walk->logged++;
}

static void step_give_back(struct kunit *test, struct walk *walk)
{
	struct pending *pending = &walk->pending[rnd(walk, NR_PENDING)];
	struct model *m = &walk->model;
	u64 undelivered, from_level;

	if (!pending->bytes)
		return;
	model_tick(walk);
	rngq_bucket_refill(&walk->bucket, walk->now_ns);
	undelivered = 1 + rnd(walk, pending->bytes);
	from_level = min(undelivered, pending->draw.level_bytes);
	rngq_bucket_give_back(&walk->bucket, &pending->draw, undelivered);
	pending->bytes = 0;

	/* Of a log that has been checked, only what is taken later counts. */
	if (pending->entry >= 0)
		walk->log[pending->entry].bytes -= from_level;
	m->credit_bytes += min(undelivered - from_level,
			       pending->draw.credit_bytes);
	if (m->rate_bytes == RNGQ_MAX)
		return;
	if (!pending->refill_since || !pending->take_since)
		m->level_bytes = min(m->level_bytes + from_level,
				     m->capacity_bytes);
	if (m->level_bytes == m->capacity_bytes)
		m->running = false;
	if (model_available(walk))
		m->somebody_waits = false;
}

static void step_wait(struct kunit *test, struct walk *walk)
{
	rngq_bucket_refill(&walk->bucket, walk->now_ns);
	if (model_available(walk))
		return;
	rngq_bucket_await(&walk->bucket);
	walk->model.somebody_waits = true;
	/* Half of the waiters are woken by the timer, more or less in time. */
	if (rnd(walk, 2))
		walk->now_ns = walk->bucket.refill_ns +
			rnd(walk, 3) * rnd(walk, walk->model.period_ns);
}

static void step_sleep(struct walk *walk)
{
	u64 period_ns = walk->model.period_ns;

	switch (rnd(walk, 4)) {
	case 0:
		break;
	case 1:
		walk->now_ns += rnd(walk, period_ns);
		break;
	case 2:
		walk->now_ns += rnd(walk, 10 * period_ns);
		break;
	case 3:
		/* To the edge, and a nanosecond to either side. */
		if (walk->bucket.refill_ns != RNGQ_NEVER &&
		    walk->bucket.refill_ns > walk->now_ns)
			walk->now_ns = walk->bucket.refill_ns - 1 + rnd(walk, 3);
		break;
	}
}

static void step_change(struct kunit *test, struct walk *walk)
{
	struct rngq_quota quota = rnd_quota(walk);

	check_promise(test, walk);
	rngq_bucket_set_quota(&walk->bucket, &quota, walk->now_ns);
	model_set_quota(walk, &quota);
}

static void random_walk(struct kunit *test)
{
	struct rngq_quota quota = { 10, 10, 0 };
	struct walk *walk = kunit_kzalloc(test, sizeof(*walk), GFP_KERNEL);
	u64 seed = SEED;
	int step;

	KUNIT_ASSERT_NOT_NULL(test, walk);
	kunit_info(test, "SEED=%llu", seed);
	prandom_seed_state(&walk->rnd, seed);

	walk->now_ns = NSEC_PER_SEC;
	rngq_bucket_init(&walk->bucket, &quota, 100);
	walk->model = (struct model){
		.rate_bytes = 10, .period_ns = 10 * NSEC_PER_MSEC,
		.capacity_bytes = 10, .level_bytes = 10, .credit_bytes = 100,
	};

	for (step = 0; step < STEPS; step++) {
		u64 kind = rnd(walk, 100);

		if (kind < 40)
			step_take(test, walk);
		else if (kind < 50)
			step_give_back(test, walk);
		else if (kind < 70)
			step_wait(test, walk);
		else if (kind < 99)
			step_sleep(walk);
		else
			step_change(test, walk);

		rngq_bucket_refill(&walk->bucket, walk->now_ns);
		KUNIT_ASSERT_EQ(test, rngq_bucket_available(&walk->bucket),
				model_available(walk));
	}
	check_promise(test, walk);
}

static struct kunit_case bucket_random_cases[] = {
	KUNIT_CASE(random_walk),
	{}
};

static struct kunit_suite bucket_random_suite = {
	.name = "rngquota_bucket_random",
	.test_cases = bucket_random_cases,
};

kunit_test_suite(bucket_random_suite);
