// SPDX-License-Identifier: GPL-2.0
/* Shares, rule by rule, and crowds. Times are counted from when the bucket was made. */
#include "shares_scene.h"

/* When closing comes, in a period of a second. */
#define CLOSING	(SEC - SEC / 64)

static void at(struct scene *s, u64 ns)
{
	s->now_ns = BEGIN + ns;
	now(s);
}

#define look(s, i)		ask(s, i, MOST, RNGQ_GO)
#define poll(s, i)		ask(s, i, MOST, RNGQ_WAIT)
#define line_up(s, i, want)	ask(s, i, want, RNGQ_SLEEP)

/* Clients take what they were granted, and wait for more. */
static void take_turns(struct scene *s, int from, int to)
{
	for (; from < to; from++) {
		take(s, from, granted(s, from));
		line_up(s, from, MOST);
	}
}

static void give_back(struct scene *s, int i, u64 bytes)
{
	rngq_shares_give_back(now(s), &s->client[i].member, &s->draw, bytes);
}

/* When the next deal is due; 0: at once. */
static u64 next(struct scene *s)
{
	u64 next_ns = rngq_shares_next_ns(&s->shares);

	return next_ns == RNGQ_NEVER || !next_ns ? next_ns : next_ns - BEGIN;
}

/* The bucket is empty, and the first @n clients are greedy and wait. */
static struct scene *new_line(struct kunit *test, u64 rate, int n)
{
	struct scene *s = new_scene(test, rate, 1000, 0);

	take(s, 0, MOST);
	take_turns(s, 0, n);
	return s;
}

/* What is so of the first clients, one after the other. */
#define EXPECT_EACH(what, ...) do {					\
	const u64 _bytes[] = { __VA_ARGS__ };				\
	int _i;								\
									\
	for (_i = 0; _i < ARRAY_SIZE(_bytes); _i++)			\
		KUNIT_EXPECT_EQ(test, what(s, _i), _bytes[_i]);		\
} while (0)

/* At @ns a deal is due and wakes @nr; the first clients have so many bytes granted. */
#define EXPECT_DEAL(ns, nr, ...) do {					\
	at(s, ns);							\
	KUNIT_EXPECT_EQ(test, deal_if_due(s), nr);			\
	EXPECT_EACH(granted, __VA_ARGS__);				\
} while (0)

static void members_have_their_share(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	/* The bucket is full. Nobody waits: who only looks does not. */
	take(s, 0, 10);
	EXPECT_EACH(look, 90, 90);
	take(s, 1, MOST);
	/* What they took is set aside; but who comes may have half of it all. */
	at(s, SEC);
	EXPECT_EACH(look, 50 + 1, 50 + 1, 0);
	take(s, 0, 10);
	at(s, SEC + CLOSING - 1);
	EXPECT_EACH(look, 41, 51, 0);
	take(s, 1, MOST);
	EXPECT_EACH(look, 39, 0, 0);
	at(s, SEC + CLOSING);
	EXPECT_EACH(look, 39, 39, 39);
	take(s, 1, MOST);
	/* Of one that took 90, a share is set aside. */
	at(s, 2 * SEC);
	EXPECT_EACH(look, 90, 90, 100 - 10 - 51);
	/* Only the round before counts; if nobody came in a whole one, nobody is expected. */
	take(s, 0, 20);
	at(s, 4 * SEC - 1);
	KUNIT_EXPECT_EQ(test, look(s, 2), 80ULL);
	take(s, 0, 20);
	at(s, 6 * SEC - 1);
	EXPECT_EACH(look, 100, 100, 100);
	/* Who polls is believed to want twice what it took in this round and the last. */
	at(s, 7 * SEC);
	take(s, 1, MOST);
	poll(s, 0);
	KUNIT_EXPECT_EQ(test, s->shares.want_bytes, 2 * (0 + 20ULL));
}

static void example_of_the_header(struct kunit *test)
{
	struct scene *s = new_scene(test, 90, 1000, 0);

	take(s, 2, 20);
	take(s, 0, MOST);
	take_turns(s, 0, 2);
	EXPECT_DEAL(SEC, 2, 35, 35);
	take_turns(s, 0, 2);
	take(s, 2, 15);
	EXPECT_DEAL(SEC + CLOSING, 2, 3, 2);
	/* The byte that equal shares leave is for those who have not waited. */
	s = new_scene(test, 10, 1000, 0);
	take(s, 0, 5);
	take(s, 1, MOST);
	ask(s, 1, 1, RNGQ_WAIT);
	EXPECT_DEAL(SEC, 1, 0, 1);
	take(s, 1, MOST);
	EXPECT_EACH(look, 6, 4);
	take(s, 0, MOST);
	/* If there is not a byte each, nobody has a share, and nothing is set aside. */
	line_up(s, 2, MOST);
	set_quota(s, 1, 1000, 0);
	EXPECT_DEAL(SEC, 2, 0, 0, 1);
}

static void quanta_are_granted_in_order(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 3);

	/* For one too little is left: it is the first the next time. */
	EXPECT_DEAL(SEC - 1, 0);
	EXPECT_DEAL(SEC, 3, 34, 34, 32);
	take_turns(s, 0, 3);
	EXPECT_DEAL(2 * SEC, 3, 34, 32, 34);
	take_turns(s, 0, 3);
	EXPECT_DEAL(3 * SEC, 3, 32, 34, 34);
}

static void what_is_left_is_dealt_later(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 2);

	line_up(s, 2, 4);
	EXPECT_DEAL(SEC, 3, 34, 34, 4);
	KUNIT_EXPECT_EQ(test, look(s, 3), 0ULL);
	take_turns(s, 0, 2);
	KUNIT_EXPECT_EQ(test, next(s), SEC + 10 * MS);
	EXPECT_DEAL(SEC + 10 * MS, 2, 14, 14, 4);
	/* A wake-up is worth what a millisecond brings, if that is wanted. */
	s = new_line(test, 10000, 0);
	line_up(s, 1, 3);
	take_turns(s, 2, 2000);
	EXPECT_DEAL(SEC, 32, 0, 3, 10, 10);
	KUNIT_EXPECT_EQ(test, next(s), SEC + MS);
}

static void nobody_takes_what_others_want(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	take(s, 0, MOST);
	line_up(s, 1, 30);
	at(s, SEC);
	EXPECT_EACH(look, 51, 30, 0);
	take(s, 0, MOST);
	at(s, SEC + CLOSING);
	EXPECT_EACH(look, 19, 49, 19);
	take(s, 2, MOST);
	EXPECT_DEAL(SEC + CLOSING, 1, 0, 30);
	EXPECT_EACH(look, 0, 30, 0);
	take(s, 1, MOST);
	/* Who takes nothing goes on waiting, and waits once. */
	line_up(s, 1, 30);
	poll(s, 1);
	KUNIT_EXPECT_EQ(test, take(s, 1, MOST), 0ULL);
	KUNIT_EXPECT_EQ(test, s->shares.want_bytes, 30ULL);
}

static void grants_lapse_at_closing(struct kunit *test)
{
	struct scene *s = new_line(test, 90, 3);

	EXPECT_DEAL(SEC, 3, 30, 30, 30);
	take_turns(s, 0, 1);
	take_turns(s, 2, 3);
	EXPECT_DEAL(SEC + CLOSING - 1, 0, 0, 30, 0);
	KUNIT_EXPECT_EQ(test, poll(s, 1), 30ULL);
	KUNIT_EXPECT_FALSE(test, s->shares.was_asked);
	/* Who has not come for it is told, and may line up again, as the last. */
	EXPECT_DEAL(SEC + CLOSING, 3, 15, 0, 15);
	take_turns(s, 0, 3);
	EXPECT_DEAL(2 * SEC, 3, 30, 30, 30);
	take_turns(s, 0, 2);
	/* Who comes late is back in its place, but for the next deal. */
	at(s, 2 * SEC + CLOSING);
	line_up(s, 2, MOST);
	EXPECT_DEAL(2 * SEC + CLOSING, 1, 15, 0, 0);
	EXPECT_DEAL(2 * SEC + CLOSING + 10 * MS, 2, 15, 8, 7);
	/* If no others are on their way, it is this one. */
	take_turns(s, 0, 3);
	EXPECT_DEAL(3 * SEC, 3, 30, 30, 30);
	take_turns(s, 0, 1);
	take_turns(s, 2, 3);
	at(s, 3 * SEC + CLOSING);
	line_up(s, 1, MOST);
	EXPECT_DEAL(3 * SEC + CLOSING, 3, 15, 10, 5);
	/* In short periods it comes early enough. */
	s = new_line(test, 100, 1);
	set_quota(s, 100, 10, 0);
	KUNIT_EXPECT_EQ(test, next(s), 9 * MS);
	set_quota(s, 100, 2, 0);
	KUNIT_EXPECT_EQ(test, next(s), 2 * MS - MS / 2);
}

static void clock_may_stand_or_be_late(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	/* A full bucket's clock stands until somebody takes something; rounds go on. */
	take(s, 0, MOST);
	at(s, SEC);
	line_up(s, 1, MOST);
	EXPECT_DEAL(SEC, 0);
	EXPECT_DEAL(2 * SEC, 1, 0, 100);
	at(s, 2 * SEC + SEC / 2);
	take_turns(s, 1, 2);
	KUNIT_EXPECT_EQ(test, next(s), 2 * SEC + SEC / 2 + CLOSING);
	/* Several refills are dealt together; a clock that is behind changes nothing. */
	s = new_scene(test, 10, 1000, 90);
	take(s, 0, MOST);
	take_turns(s, 0, 2);
	EXPECT_DEAL(5 * SEC + SEC / 2, 2, 25, 25);
	at(s, 2 * SEC);
	KUNIT_EXPECT_EQ(test, s->shares.now_ns, BEGIN + 5 * SEC + SEC / 2);
	take_turns(s, 0, 2);
	KUNIT_EXPECT_EQ(test, next(s), 5 * SEC + CLOSING);
}

/* A line, and a newcomer that has not come for its grant: it is closing. */
static struct scene *new_doubt(struct kunit *test, u64 rate, int n)
{
	struct scene *s = new_line(test, rate, 0);

	poll(s, MOST_CLIENTS - 1);
	take_turns(s, 0, n);
	at(s, SEC);
	deal(s);
	take_turns(s, 0, n);
	at(s, SEC + CLOSING);
	rngq_shares_withdraw(now(s), &s->client[MOST_CLIENTS - 1].member);
	return s;
}

static void newcomers_in_doubt_wait_apart(struct kunit *test)
{
	struct scene *s = new_line(test, 320, 2);

	/* One leaves 2 bytes, another gives all back; the third waits in line. */
	poll(s, 2);
	poll(s, 3);
	EXPECT_DEAL(SEC, 4, 80, 80, 80, 80);
	take(s, 2, 78);
	take(s, 3, MOST);
	give_back(s, 3, 80);
	poll(s, 4);
	take_turns(s, 0, 2);
	/* Now that is called, and the second waits apart; but not who sleeps in read(). */
	at(s, SEC + CLOSING);
	poll(s, 3);
	poll(s, 5);
	line_up(s, 5, MOST);
	EXPECT_DEAL(SEC + CLOSING, 4, 28, 28, 0, 0, 0);
	KUNIT_EXPECT_FALSE(test, s->client[4].member.is_waiting);
	take_turns(s, 0, 2);
	EXPECT_DEAL(SEC + CLOSING + 10 * MS, 3, 9, 9, 0, 0, 0, 8);
	take_turns(s, 0, 2);
	take_turns(s, 5, 6);
	/* Who took a byte is trusted until its next grant. */
	poll(s, 2);
	EXPECT_DEAL(2 * SEC, 5, 78, 78, 76, 0, 0, 78);
	KUNIT_EXPECT_FALSE(test, s->client[2].member.is_trusted);
	/* A 32nd is for newcomers, and makes them trusted. */
	KUNIT_EXPECT_EQ(test, look(s, 4), 10ULL);
	take(s, 3, 3);
	KUNIT_EXPECT_TRUE(test, s->client[3].member.is_trusted);
	KUNIT_EXPECT_EQ(test, look(s, 4), 7ULL);
}

static void doubt_comes_to_an_end(struct kunit *test)
{
	/* Each round one only asks, or takes all that is set aside, or nobody comes. */
	static const char deeds[] = "aaddaa--------";
	struct scene *s = new_doubt(test, 320, 1);
	u32 i, doubt = 8;

	for (i = 0; deeds[i]; i++) {
		poll(s, deeds[i] == '-' ? 0 : 2);
		if (deeds[i] == 'd')
			take(s, 10 + i, MOST);
		at(s, (i + 2) * SEC);
		deal(s);
		doubt -= doubt && deeds[i] != 'a';
		KUNIT_EXPECT_EQ(test, s->shares.doubt, doubt);
		KUNIT_EXPECT_EQ(test, look(s, 20), deeds[i] == '-' ? 0ULL : 10ULL);
		KUNIT_EXPECT_EQ(test, look(s, 12), i > 3 ? 0ULL : 10ULL);
		take_turns(s, 0, 1);
	}
}

static void few_newcomers_are_called(struct kunit *test)
{
	struct scene *s = new_doubt(test, 320, 2);
	int i, woken = 0;

	for (i = 3; i < 9; i++)
		poll(s, i);
	/* No more than find something, and not who asked meanwhile. */
	EXPECT_DEAL(2 * SEC, 2 + 1);
	KUNIT_EXPECT_EQ(test, poll(s, 4), 10ULL);
	EXPECT_DEAL(2 * SEC + 10 * MS, 1);
	take(s, 3, MOST);
	KUNIT_EXPECT_EQ(test, next(s), 2 * SEC + CLOSING);
	/* Of few bytes one in each third round is for them, and after the doubt all come. */
	s = new_doubt(test, 10, 1);
	for (i = 1; i <= 28; i++)
		poll(s, i);
	for (i = 2; s->shares.doubt; i++) {
		KUNIT_EXPECT_EQ(test, woken, min(i / 3, 3));
		at(s, i * SEC);
		poll(s, i < 8 ? 28 : 0);
		woken += deal(s) - 1;
		take_turns(s, 0, 1);
	}
	KUNIT_EXPECT_EQ(test, woken, 28);
}

static void what_comes_back_is_dealt_soon(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);
	struct rngq_share_draw stuck;

	take(s, 0, 50);
	take(s, 1, MOST);
	line_up(s, 2, MOST);
	EXPECT_DEAL(SEC, 1, 0, 0, 33);
	/* What was granted is so again. Who keeps nothing is not trusted. */
	take(s, 2, MOST);
	give_back(s, 2, 33);
	KUNIT_EXPECT_FALSE(test, s->client[2].member.is_trusted);
	EXPECT_DEAL(SEC, 0, 0, 0, 33);
	take_turns(s, 2, 3);
	take(s, 0, MOST);
	give_back(s, 0, 20);
	KUNIT_EXPECT_TRUE(test, s->client[0].member.is_trusted);
	EXPECT_DEAL(SEC + 10 * MS, 1, 0, 0, 20);
	/* It is expected to want what it kept, unless it leaves. */
	KUNIT_EXPECT_EQ(test, s->shares.absent_bytes, 34 - 20 + 33ULL);
	rngq_shares_leave(now(s), &s->client[0].member);
	KUNIT_EXPECT_EQ(test, s->shares.absent_bytes, 33ULL);
	/* Who withdraws gives its grant up, to those who wait. */
	s = new_line(test, 100, 2);
	EXPECT_DEAL(SEC, 2, 50, 50);
	take_turns(s, 0, 1);
	rngq_shares_withdraw(now(s), &s->client[1].member);
	EXPECT_DEAL(SEC + 10 * MS, 1, 50, 0);
	/* What comes back too late (bucket.h) is gone. Who waits for the refill still does. */
	s = new_scene(test, 10, 1000, 0);
	take(s, 0, 6);
	stuck = s->draw;
	take(s, 1, MOST);
	take_turns(s, 0, 2);
	EXPECT_DEAL(SEC, 2, 5, 5);
	take_turns(s, 1, 2);
	s->draw = stuck;
	give_back(s, 0, 6);
	KUNIT_EXPECT_EQ(test, take(s, 0, MOST), 5ULL);
	EXPECT_DEAL(2 * SEC + SEC / 10, 2, 0, 5);
	take_turns(s, 1, 2);
	KUNIT_EXPECT_EQ(test, next(s), 2 * SEC + CLOSING);
}

static void change_begins_a_round(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 2);

	EXPECT_DEAL(SEC, 2, 50, 50);
	take(s, 0, 30);
	take_turns(s, 1, 2);
	/* 20 are left, and cut to 15. The grant has lapsed, but each has a share. */
	set_quota(s, 15, 4000, 0);
	EXPECT_DEAL(SEC, 2, 0, 7);
	EXPECT_EACH(look, 8, 7);
	/* Without a limit all are called. Two have not come for their grants. */
	s = new_doubt(test, 100, 3);
	EXPECT_DEAL(SEC + CLOSING, 3);
	take_turns(s, 1, 2);
	poll(s, 3);
	poll(s, 4);
	set_quota(s, RNGQ_MAX, 1000, 0);
	EXPECT_DEAL(SEC + CLOSING, 3 + 2);
	KUNIT_EXPECT_EQ(test, take(s, 3, 12345), 12345ULL);
	set_quota(s, 10, 1000, 5);
	KUNIT_EXPECT_EQ(test, take(s, 4, MOST), 15ULL);
}

static void extremes_do_not_overflow(struct kunit *test)
{
	struct scene *s = new_scene(test, MOST, U32_MAX, MOST);
	u64 period_ns = U32_MAX * MS, share = 2 * MOST / 32 * 31 / 100 + 1;
	int i;

	KUNIT_EXPECT_EQ(test, take(s, 0, RNGQ_MAX), 2 * MOST);
	s->shares.doubt = 8;
	for (i = 100; i < MOST_CLIENTS; i++)
		poll(s, i);
	take_turns(s, 0, 100);
	KUNIT_EXPECT_EQ(test, next(s), period_ns - period_ns / 64);
	EXPECT_DEAL(3 * period_ns, 32, share, share);
	/* In the shortest period a millisecond brings it all. */
	s = new_scene(test, MOST, 1, MOST);
	take(s, 0, RNGQ_MAX);
	take_turns(s, 0, 2);
	EXPECT_DEAL(40 * period_ns, 2, MOST, MOST);
}

static u64 had(const struct scene *s, int from, int to)
{
	u64 bytes = 0;

	for (; from < to; from++)
		bytes += s->client[from].count.had;
	return bytes;
}

/* 20 periods of a bucket that @n clients of @habit share with @nr_greedy. */
static struct scene *new_crowd(struct kunit *test, u64 rate, int nr_greedy, int n,
			       struct habit habit)
{
	struct scene *s = new_scene(test, rate, 1000, 0);

	join(s, nr_greedy, greedy[0]);
	run(s, 50);
	join(s, n, habit);
	run_and_count(s, 20);
	return s;
}

static void asking_alone_takes_nothing(struct kunit *test)
{
	struct scene *s = new_crowd(test, 1000, 1, 2000, (struct habit){ RNGQ_WAIT, 0, 3 });

	KUNIT_EXPECT_GE(test, had(s, 0, 1), 20 * 950ULL);
	s = new_crowd(test, 100, 1, 1000, (struct habit){ RNGQ_WAIT, 0, 100 });
	KUNIT_EXPECT_GE(test, had(s, 0, 1), 20 * 90ULL);
	s = new_crowd(test, 1000, 1, 2000, (struct habit){ RNGQ_WAIT, 0, 1000, true });
	KUNIT_EXPECT_GE(test, had(s, 0, 1), 20 * 950ULL);
}

static void who_wants_little_gets_it(struct kunit *test)
{
	const struct habit modest = { RNGQ_WAIT, 1, 1000 };
	struct scene *s = new_crowd(test, 1000, 100, 1, modest);

	KUNIT_EXPECT_EQ(test, (s->client[100].beat_ns - BEGIN) % SEC, 950 * MS);
	KUNIT_EXPECT_GE(test, had(s, 100, 101), 19ULL);
	s = new_crowd(test, 1000, 1, 500, modest);
	KUNIT_EXPECT_GE(test, had(s, 1, 501), 500 * 19ULL);
	KUNIT_EXPECT_EQ(test, had(s, 0, 501), 1000 * 20ULL);
}

static void asking_faster_gains_nothing(struct kunit *test)
{
	static const int cases[][2] = { { 97, 1000 }, { 100, 150 }, { 75, 50 }, { 100, 3 } };
	int i, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int nr = cases[i][0], rate = cases[i][1];
		int fair = 100 * rate / nr, quantum = DIV_ROUND_UP(rate, nr);
		struct scene *s = new_scene(test, rate, 1000, 0);

		for (n = 0; n < nr; n++)
			join(s, 1, greedy[n % 3]);
		run_and_count(s, 100);
		for (n = 0; n < nr; n++) {
			KUNIT_EXPECT_GE(test, (int)s->client[n].count.had, fair - 2 * quantum);
			KUNIT_EXPECT_LE(test, (int)s->client[n].count.had, fair + 2 * quantum);
		}
	}
}

static void sniper_harms_nobody(struct kunit *test)
{
	const struct habit first[] = { greedy[0], { RNGQ_GO, MOST, 1000 } };
	u64 waited_ms[2] = { }, wanted;
	int n, i;

	for (n = 0; n < 2; n++) {
		struct scene *s = new_scene(test, 1000, 1000, 0);

		join(s, 1, first[n]);
		for (i = 1; i < 100; i++)
			join(s, 1, (struct habit){ RNGQ_SLEEP, 5, 800 + 4 * i });
		run_and_count(s, 40);
		for (i = 1, wanted = 0; i < 100; i++) {
			waited_ms[n] += s->client[i].count.waited_ms;
			wanted += s->client[i].count.wanted;
		}
		KUNIT_EXPECT_GE(test, had(s, 1, 100) * 100, wanted * 98);
	}
	KUNIT_EXPECT_LE(test, 2 * waited_ms[1], 3 * waited_ms[0]);
}

static void newcomers_have_their_share_soon(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(greedy); i++) {
		struct scene *s = new_scene(test, 1000, 1000, 0);

		join(s, 10, greedy[0]);
		join(s, 2000, (struct habit){ RNGQ_WAIT, 0, 3 });
		run(s, 4500);
		join(s, 1, greedy[i]);
		run(s, 2400);
		s->client[2010].count.had = 0;
		run(s, 1000);
		KUNIT_EXPECT_GE(test, had(s, 2010, 2011), 1000 * 31 / 32 / 11 - 1ULL);
	}
}

static struct kunit_case shares_cases[] = {
	KUNIT_CASE(members_have_their_share), KUNIT_CASE(example_of_the_header),
	KUNIT_CASE(quanta_are_granted_in_order), KUNIT_CASE(what_is_left_is_dealt_later),
	KUNIT_CASE(nobody_takes_what_others_want), KUNIT_CASE(grants_lapse_at_closing),
	KUNIT_CASE(clock_may_stand_or_be_late), KUNIT_CASE(newcomers_in_doubt_wait_apart),
	KUNIT_CASE(doubt_comes_to_an_end), KUNIT_CASE(few_newcomers_are_called),
	KUNIT_CASE(what_comes_back_is_dealt_soon), KUNIT_CASE(change_begins_a_round),
	KUNIT_CASE(extremes_do_not_overflow), KUNIT_CASE(asking_alone_takes_nothing),
	KUNIT_CASE(who_wants_little_gets_it), KUNIT_CASE(asking_faster_gains_nothing),
	KUNIT_CASE(sniper_harms_nobody), KUNIT_CASE(newcomers_have_their_share_soon), {}
};

static struct kunit_suite shares_suite = { .name = "rngquota_shares", .test_cases = shares_cases };

kunit_test_suite(shares_suite);
