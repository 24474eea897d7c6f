/* SPDX-License-Identifier: GPL-2.0 */
/* What both suites of the shares play with. The clock is a variable of the test. */
#ifndef RNGQUOTA_SHARES_SCENE_H
#define RNGQUOTA_SHARES_SCENE_H

#include <kunit/test.h>
#include <linux/sched.h>
#include <linux/time64.h>

#include "../driver/shares.h"

#define MS	((u64)NSEC_PER_MSEC)
#define SEC	((u64)NSEC_PER_SEC)
#define BEGIN	(3 * SEC)

/* The largest rate or burst that users can set; whoever wants so much is greedy. */
#define MOST	BIT_ULL(40)
#define MOST_CLIENTS	2011

/* What a client of a crowd does. */
struct habit {
	enum rngq_way way;	/* what it does when it finds nothing, */
	bool sleeps;		/* and it comes when it is woken */
	u64 want;		/* bytes, at each beat; 0: it only asks */
	u64 every_ms;		/* its beat; 0: it only comes when it is woken */
	bool reopens;		/* it closes at each beat, and opens again */
	bool fails;		/* it gives all back, and a signal comes at each beat */
};

static const struct habit greedy[] = {
	{ RNGQ_WAIT, true, MOST }, { RNGQ_TRY, false, MOST, 1 }, { RNGQ_WAIT, false, MOST, 1 },
};

struct client {
	struct rngq_member member;
	struct habit habit;
	u64 beat_ns;		/* the next one */
	u64 left;		/* of what it wants, in bytes */
	bool is_woken;
	u64 had;
};

struct scene {
	struct rngq_shares shares;
	struct client client[MOST_CLIENTS];
	int nr_clients;		/* of a crowd */
	struct rngq_share_draw draw;	/* the last one */
	u64 now_ns;
};

static inline void open_client(struct scene *s, int i)
{
	s->client[i].member = (struct rngq_member){ };
	INIT_LIST_HEAD(&s->client[i].member.waiter.node);
}

static inline struct scene *new_scene(struct kunit *test, u64 rate, u64 period_ms, u64 burst)
{
	const struct rngq_quota quota = { rate, period_ms, burst };
	struct scene *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	/* As on a stack: whatever is not set is garbage. */
	memset(&s->shares, 0x5a, sizeof(s->shares));
	s->now_ns = BEGIN;
	rngq_shares_init(&s->shares, &quota);
	for (i = 0; i < MOST_CLIENTS; i++)
		open_client(s, i);
	return s;
}

static inline struct rngq_shares *now(struct scene *s)
{
	rngq_shares_refresh(&s->shares, s->now_ns);
	return &s->shares;
}

static inline void reopen(struct scene *s, int i, bool is_same_process)
{
	struct rngq_member *member = &s->client[i].member, left;

	rngq_shares_withdraw(now(s), member);
	left = *member;
	open_client(s, i);
	if (is_same_process)
		rngq_shares_go_on(member, &left);
}

static inline u64 ask(struct scene *s, int i, u64 want, enum rngq_way way)
{
	return rngq_shares_ask(now(s), &s->client[i].member, want, way);
}

static inline u64 take(struct scene *s, int i, u64 want)
{
	s->draw.bucket.level_bytes = 0;
	return rngq_shares_take(now(s), &s->client[i].member, want, &s->draw);
}

static inline void give_back(struct scene *s, int i, u64 bytes)
{
	rngq_shares_give_back(now(s), &s->client[i].member, &s->draw, bytes);
}

static inline void set_quota(struct scene *s, u64 rate, u64 period_ms, u64 burst)
{
	const struct rngq_quota quota = { rate, period_ms, burst };

	rngq_shares_set_quota(now(s), &quota);
}

static inline bool is_waiting(const struct scene *s, int i)
{
	return s->client[i].member.line != RNGQ_LINE_NONE;
}

/* Deal. Return how many are woken. */
static inline int deal(struct scene *s)
{
	struct rngq_member *member;
	int woken;

	for (woken = 0; (member = rngq_shares_call(now(s))); woken++)
		container_of(member, struct client, member)->is_woken = true;
	return woken;
}

static inline int deal_if_due(struct scene *s)
{
	return rngq_shares_next_ns(now(s)) <= s->now_ns ? deal(s) : 0;
}

/* @n more clients, each with its beat at a time of its own. */
static inline void join(struct scene *s, int n, struct habit habit)
{
	for (; n; n--) {
		int i = s->nr_clients++;

		s->client[i].habit = habit;
		s->client[i].is_woken = !habit.every_ms;
		s->client[i].left = habit.every_ms ? 0 : habit.want;
		s->client[i].beat_ns = habit.every_ms ?
			s->now_ns + i * 7919 % habit.every_ms * MS : RNGQ_NEVER;
	}
}

/* It takes what it wants, and asks for what it didn't get. */
static inline void come(struct scene *s, int i)
{
	struct client *client = &s->client[i];
	const struct habit *habit = &client->habit;
	bool is_beat = s->now_ns >= client->beat_ns;
	u64 bytes;

	/* Who doesn't sleep in read() tries once at each beat. */
	if (!is_beat && (!client->is_woken || (!habit->sleeps && habit->every_ms)))
		return;
	if (is_beat) {
		client->beat_ns += habit->every_ms * MS;
		client->left += habit->want;
		if (habit->reopens)
			reopen(s, i, false);
		if (habit->fails)
			rngq_shares_withdraw(now(s), &client->member);
	}
	while (client->left && (bytes = take(s, i, client->left))) {
		if (habit->fails) {
			give_back(s, i, bytes);
			break;
		}
		client->left -= bytes;
		client->had += bytes;
	}
	if (client->left || !habit->want)
		ask(s, i, client->left ? client->left : MOST, habit->way);
	if (!habit->sleeps && habit->every_ms)
		client->left = 0;
	client->is_woken = false;
}

static inline void run(struct scene *s, int ms)
{
	int i;

	for (; ms; ms--, s->now_ns += MS) {
		for (i = 0; i < s->nr_clients; i++)
			come(s, i);
		deal_if_due(s);
		cond_resched();
	}
}

/* Let a crowd settle for 11 seconds, and count from then on. */
static inline void run_and_count(struct scene *s, int seconds)
{
	int i;

	run(s, 11000);
	for (i = 0; i < s->nr_clients; i++)
		s->client[i].had = 0;
	run(s, seconds * 1000);
}

#endif
