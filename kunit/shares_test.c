// SPDX-License-Identifier: GPL-2.0
/* Shares, rule by rule, and crowds. Times are counted from when the bucket was made. */
#include "shares_scene.h"

#define CLOSING		(SEC - SEC / 64)	/* in a period of a second */
#define HALF(bytes)	((bytes) / 2)		/* for newcomers, at the most */

static void at(struct scene *s, u64 ns)
{
	s->now_ns = BEGIN + ns;
	now(s);
}

#define look(s, i)		ask(s, i, MOST, RNGQ_GO)
#define poll(s, i)		ask(s, i, MOST, RNGQ_WAIT)
#define line_up(s, i, want)	ask(s, i, want, RNGQ_SLEEP)
#define next(s)			(rngq_shares_next_ns(&(s)->shares) - BEGIN)

/* Clients take what they were granted, and wait for more. */
static void take_turns(struct scene *s, int from, int to)
{
	for (; from < to; from++) {
		take(s, from, granted(s, from));
		line_up(s, from, MOST);
	}
}

/* All is taken, by @n clients a byte each, the first took the rest; some of them wait. */
static struct scene *new_line(struct kunit *test, u64 rate, u64 burst, int n, int nr_waiting)
{
	struct scene *s = new_scene(test, rate, 1000, burst);
	int i;

	for (i = 1; i < n; i++)
		take(s, i, 1);
	take(s, 0, MOST);
	take_turns(s, 0, nr_waiting);
	return s;
}

/* No macro: with KASAN each KUNIT_EXPECT_EQ() makes the stack frame larger. */
static noinline void expect(struct kunit *test, u64 value, u64 expected, int line)
{
	KUNIT_EXPECT_EQ_MSG(test, value, expected, "line %d", line);
}

#define EXPECT(value, bytes)	expect(test, value, bytes, __LINE__)

/* What is so of the first clients, one after the other. */
#define EXPECT_EACH(what, ...) do {					\
	const u64 _bytes[] = { __VA_ARGS__ };				\
	int _i;								\
									\
	for (_i = 0; _i < ARRAY_SIZE(_bytes); _i++)			\
		EXPECT(what(s, _i), _bytes[_i]);			\
} while (0)

/* What they could take at @ns. */
#define EXPECT_LOOK(ns, ...) do {					\
	at(s, ns);							\
	EXPECT_EACH(look, __VA_ARGS__);					\
} while (0)

/* At @ns a deal is due and wakes @nr; so many bytes are granted. */
#define EXPECT_DEAL(ns, nr, ...) do {					\
	at(s, ns);							\
	EXPECT(deal_if_due(s), nr);					\
	EXPECT_EACH(granted, __VA_ARGS__);				\
} while (0)

/* The same, and some take that and wait for more. */
#define EXPECT_TURNS(from, to, ns, nr, ...) do {			\
	EXPECT_DEAL(ns, nr, __VA_ARGS__);				\
	take_turns(s, from, to);					\
} while (0)

static void members_have_their_share(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	/* The bucket is full. Nobody waits: who only looks does not. */
	take(s, 0, 10);
	EXPECT_LOOK(0, 90, 90);
	take(s, 1, MOST);
	/* What they took is set aside: for each twice as much, but at most a share. */
	EXPECT_LOOK(SEC, 20, 50, 0);
	take(s, 0, 10);
	EXPECT_LOOK(SEC + CLOSING - 1, 10, 50, 0);
	take(s, 1, MOST);
	EXPECT_EACH(look, 10, 0, 0);
	EXPECT_LOOK(SEC + CLOSING, 40, 40, 40);
	take(s, 1, MOST);
	/* Of one that took 90, a share is set aside. */
	EXPECT_LOOK(2 * SEC, 60, 90, 100 - 10 - 50);
	/* Only the round before counts; if nobody came in a whole one, nobody is expected. */
	take(s, 0, 20);
	EXPECT_LOOK(4 * SEC - 1, 100, 100, 80);
	take(s, 0, 20);
	EXPECT_LOOK(6 * SEC - 1, 100, 100, 100);
	/* Who polls is believed to want twice what it took in this round and the last ... */
	at(s, 7 * SEC);
	take(s, 1, 60);
	take(s, 2, 40);
	poll(s, 0);
	EXPECT(s->shares.want_bytes, 2 * (0 + 20));
	poll(s, 1);
	EXPECT(s->shares.want_bytes, 40 + 2 * (60 + 90));
	/* ... unless its last read came short. */
	at(s, 8 * SEC);
	take(s, 2, MOST);
	poll(s, 2);
	EXPECT(s->shares.want_bytes, 340 + MOST);
	/* The example of the header. */
	s = new_scene(test, 90, 1000, 0);
	take(s, 2, 20);
	take(s, 1, 1);
	take(s, 0, MOST);
	take_turns(s, 0, 2);
	EXPECT_TURNS(0, 2, SEC + SEC / 10, 2, 35, 35);
	take(s, 2, 15);
	EXPECT_DEAL(SEC + CLOSING, 2, 3, 2);
	EXPECT(s->client[0].member.vtime, BIT_ULL(20) + 3 * BIT_ULL(20) / 35);
	/* If there are fewer bytes than members, a share is one, for who comes in time. */
	s = new_line(test, 3, 1, 4, 0);
	EXPECT_LOOK(SEC, 1, 1, 1, 1, 0);
	take(s, 1, MOST);
	take(s, 2, MOST);
	EXPECT_EACH(look, 1, 0, 0, 1, 0);
}

static void quanta_are_granted_in_order(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 0, 3, 3);
	int i;

	/* For one too little is left: it is the first the next time. */
	EXPECT_TURNS(0, 3, SEC, 3, 34, 34, 32);
	EXPECT_TURNS(0, 3, 2 * SEC, 3, 34, 32, 34);
	EXPECT_DEAL(3 * SEC, 3, 32, 34, 34);
	/* A byte a round, to one after the other. Who was away is not before who waits. */
	s = new_line(test, 4, 0, 4, 3);
	set_quota(s, 1, 1000, 0);
	for (i = 1; i < 12; i++) {
		if (i == 9)
			line_up(s, 3, MOST);
		EXPECT_DEAL(i * SEC, 1);
		EXPECT(granted(s, i < 10 ? (i - 1) % 3 : (i - 7) % 4), 1);
		take_turns(s, 0, i < 9 ? 3 : 4);
	}
	/* Only who came short then is, by a turn. */
	s->client[4].member.is_trusted = true;
	s->client[4].member.is_short = true;
	line_up(s, 4, MOST);
	EXPECT(s->client[4].member.vtime, (3 - 1) * BIT_ULL(20));
	/* What is left is dealt later. Who is back in line early is for that deal. */
	s = new_line(test, 100, 0, 3, 2);
	line_up(s, 2, 4);
	at(s, SEC);
	rngq_shares_grant(&s->shares);
	take_turns(s, 0, 1);
	/* Of who waits for less than a share, what it took is expected as well: a byte. */
	EXPECT_DEAL(SEC, 2, 0, 33, 4);
	EXPECT_LOOK(SEC, 0, 33, 4, 0);
	take_turns(s, 1, 2);
	EXPECT(next(s), SEC + 10 * MS);
	EXPECT_DEAL(SEC + 10 * MS, 2, 14, 15, 4);
	/* If no others are on their way, it is at once. */
	s = new_line(test, 100, 0, 3, 2);
	EXPECT_TURNS(0, 2, SEC, 2, 50, 49);
	at(s, 2 * SEC);
	take(s, 2, MOST);
	line_up(s, 2, MOST);
	EXPECT_DEAL(2 * SEC, 3, 16, 50, 98 / 3);
	/* A wake-up is worth what a millisecond brings, if wanted; at closing more, if known. */
	s = new_line(test, 10000, 0, 2000, 0);
	line_up(s, 1, 3);
	take_turns(s, 2, 2000);
	EXPECT_DEAL(SEC, 32, 0, 3, 10, 10);
	EXPECT(next(s), SEC + MS);
	s->client[40].member.taken_bytes = 100;
	EXPECT_DEAL(SEC + CLOSING, 32);
	EXPECT(granted(s, 40), 10000 / 64);
	/* Nobody takes what those want who wait. */
	s = new_line(test, 100, 0, 2, 0);
	line_up(s, 1, 30);
	EXPECT_LOOK(SEC, 50, 30, 0);
	take(s, 0, MOST);
	EXPECT_LOOK(SEC + CLOSING, 20, 50, 20);
	take(s, 2, MOST);
	EXPECT_DEAL(SEC + CLOSING, 1, 0, 2);
	take(s, 1, MOST);
	/* Who takes nothing goes on waiting, and waits once. */
	line_up(s, 1, 30);
	poll(s, 1);
	EXPECT(take(s, 1, MOST), 0);
	EXPECT(s->shares.want_bytes, 30);
}

static void grants_lapse_at_closing(struct kunit *test)
{
	struct scene *s = new_line(test, 91, 0, 3, 3);

	EXPECT_TURNS(0, 2, SEC, 3, 31, 31, 29);
	EXPECT_DEAL(SEC + CLOSING - 1, 0, 0, 0, 29);
	EXPECT(poll(s, 2), 29);
	EXPECT(s->shares.was_asked, false);
	/* Others are granted that. Who comes late is a newcomer, unless it was here before. */
	at(s, SEC + CLOSING);
	EXPECT(look(s, 2), 2);
	s->client[2].member.is_expected = false;
	EXPECT(line_up(s, 2, MOST), 0);
	EXPECT_TURNS(0, 2, SEC + CLOSING, 2, 15, 14);
	EXPECT_DEAL(2 * SEC, 3, 30, 30, 0);
	EXPECT(look(s, 2), 31);
	/* In short periods it comes early enough. */
	s = new_line(test, 100, 0, 1, 1);
	set_quota(s, 100, 10, 0);
	EXPECT(next(s), 8 * MS);
	set_quota(s, 100, 2, 0);
	EXPECT(next(s), 2 * MS - MS / 2);
	/* A full bucket's clock stands until somebody takes something; rounds go on. */
	s = new_scene(test, 100, 1000, 0);
	take(s, 0, MOST);
	at(s, SEC);
	line_up(s, 1, MOST);
	EXPECT_DEAL(SEC + CLOSING - 1, 0);
	EXPECT_DEAL(SEC + CLOSING, 1, 0, 0);
	at(s, 2 * SEC + SEC / 2);
	take(s, 1, MOST);
	line_up(s, 1, MOST);
	EXPECT(next(s), 2 * SEC + SEC / 2 + CLOSING);
	/* So does closing: if the only byte is set aside, it is for others then. */
	s = new_line(test, 1, 0, 1, 1);
	poll(s, 1);
	EXPECT_DEAL(SEC, 1, 0, 0);
	EXPECT(next(s), SEC + CLOSING);
	EXPECT_DEAL(SEC + CLOSING, 1, 1);
	/* Several refills are dealt together; a clock that is behind changes nothing. */
	s = new_line(test, 10, 90, 2, 2);
	EXPECT_DEAL(5 * SEC + SEC / 2, 2, 25, 25);
	at(s, 2 * SEC);
	EXPECT(s->shares.now_ns, BEGIN + 5 * SEC + SEC / 2);
	take_turns(s, 0, 2);
	EXPECT(next(s), 5 * SEC + CLOSING);
}

/* Closing: the first @n take what they are granted, and wait. */
static void to_closing(struct scene *s, int n)
{
	at(s, s->shares.end_ns - SEC / 64 - BEGIN);
	deal(s);
	take_turns(s, 0, n);
}

/* The next round, before which one more asked. Return what is set aside for newcomers. */
static u64 next_round(struct scene *s, int n, int asker)
{
	to_closing(s, n);
	poll(s, asker);
	at(s, s->shares.end_ns - BEGIN);
	deal(s);
	take_turns(s, 0, n);
	return s->shares.newcomer_part;
}

/* A line of @n. It is closing, and a newcomer left all that was set aside for it. */
static struct scene *new_doubt(struct kunit *test, u64 rate, int n)
{
	struct scene *s = new_line(test, rate, 0, n, n);

	next_round(s, n, n);
	to_closing(s, n);
	return s;
}

static void newcomers_wait_apart(struct kunit *test)
{
	/* How many of which bytes are for how many newcomers, one of them, beside a line. */
	static const int parts[][5] = {
		{ 1, 1, 1, 1, 1 }, { 5, 10, 1, 3, 1 }, { 8, 10, 9, 1, 1 }, { 11, 101, 1, 6, 9 },
		{ 13, 101, 1, 7, 7 }, { 25, 100, 3, 8, 9 }, { HALF(100), 100, 40, 1, 9 },
		{ HALF(10000), 10000, 2000, 10, 1 },
	};
	struct scene *s;
	int i, n;

	for (n = 0; n < ARRAY_SIZE(parts); n++) {
		s = new_line(test, parts[n][1], 0, parts[n][4], 0);
		for (i = 0; i < parts[n][2]; i++)
			poll(s, parts[n][4] + i);
		at(s, SEC);
		EXPECT(s->shares.newcomer_part, parts[n][0]);
		EXPECT(s->shares.share_bytes, max((parts[n][1] - parts[n][0]) / parts[n][4], 1));
		EXPECT(look(s, 2010), parts[n][3]);
		EXPECT(take(s, 0, MOST) <= parts[n][1] - parts[n][0], true);
	}
	/* They are called, and hold nothing until they take it: sleepers, too. */
	s = new_line(test, 360, 0, 2, 2);
	line_up(s, 2, MOST);
	poll(s, 3);
	ask(s, 4, 5, RNGQ_WAIT);
	EXPECT(s->shares.want_bytes, 2 * MOST);
	EXPECT_DEAL(SEC, 5, HALF(360) / 2, HALF(360) / 2, 0, 0, 0);
	take(s, 2, 3);
	EXPECT_EACH(look, HALF(360) / 2, HALF(360) / 2, 0, 60, 60, 60);
	take_turns(s, 0, 2);
	/* Who took a byte is a member, until it lets a grant lapse, and takes another. */
	for (i = 0; i < 3; i++) {
		to_closing(s, 2);
		line_up(s, 2, MOST);
		EXPECT(s->client[2].member.is_apart, i == 1);
		next_round(s, 2, 3);
		if (i == 1)
			take(s, 2, 1);
	}
	/* A deal wakes 32, of which one is in line. Who asks meanwhile need not be called. */
	s = new_line(test, 10000, 0, 1, 1);
	for (i = 1; i < 100; i++)
		line_up(s, i, MOST);
	EXPECT_DEAL(SEC, 32, HALF(10000));
	EXPECT(poll(s, 32), HALF(10000) / 99);
	EXPECT_DEAL(SEC + MS, 32);
	EXPECT(s->client[33].is_woken && !s->client[32].is_woken, true);
	/* No more than would find something. */
	s = new_doubt(test, 1792, 1);
	for (i = 1; i < 100; i++)
		poll(s, i);
	EXPECT_DEAL(2 * SEC, 1 + 8, 1792 - 56);
	EXPECT(next(s), 2 * SEC + 10 * MS);
	for (i = 1; i < 9; i++)
		EXPECT(take(s, i, MOST), 7);
	EXPECT(next(s), 2 * SEC + CLOSING);
}

static void doubt_comes_to_an_end(struct kunit *test)
{
	/* Of few bytes one in each so many rounds is for newcomers. */
	static const int few[][2] = { { 31, 3 }, { 2, 3 }, { 1, 16 } };
	struct scene *s;
	int i, n, bytes;

	for (n = 0; n < ARRAY_SIZE(few); n++) {
		s = new_doubt(test, few[n][0], 1);
		for (i = 2, bytes = 0; i < 50; i++) {
			bytes += next_round(s, 1, 1);
			EXPECT(bytes, (i + 1) / few[n][1]);
		}
	}
	/* It ends when they leave half. Giving back is no help. */
	for (n = 5; n < 7; n++) {
		s = new_doubt(test, 672, 1);
		EXPECT(next_round(s, 1, 1), 21);
		for (i = 1; i < 40; i++) {
			s->client[i].member.is_called = true;
			EXPECT(take(s, i, MOST), 2);
			if (i > n)
				give_back(s, i, 2);
		}
		EXPECT(next_round(s, 1, 50), n == 6 ? 84 : 21);
	}
	/* Without doubt it is the same half. It ends, too, when nobody asks. */
	for (n = 167; n < 169; n++) {
		s = new_line(test, 672, 0, 1, 1);
		next_round(s, 1, 1);
		take(s, 1, n);
		s->client[2].member.is_called = true;
		EXPECT(poll(s, 2), HALF(672) - n);
		EXPECT(next_round(s, 1, 0), 0);
		EXPECT(next_round(s, 1, 3), n == 168 ? HALF(672) : 21);
		look(s, 4);
		EXPECT(next_round(s, 1, 0), 0);
		poll(s, 4);
		rngq_shares_withdraw(now(s), &s->client[4].member);
		EXPECT(next_round(s, 1, 0), HALF(672));
	}
}

static void what_comes_back_is_dealt_soon(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);
	struct rngq_share_draw stuck;

	take(s, 2, 1);
	take(s, 0, 49);
	take(s, 1, MOST);
	line_up(s, 2, MOST);
	EXPECT_DEAL(SEC, 1, 0, 0, 33);
	/* What was granted is so again. Who keeps nothing is a newcomer. */
	take(s, 2, MOST);
	give_back(s, 2, 33);
	EXPECT(s->client[2].member.is_trusted, false);
	EXPECT_TURNS(2, 3, SEC, 0, 0, 0, 33);
	/* So is what was set aside. It is expected to want what it kept, unless it leaves. */
	take(s, 0, MOST);
	EXPECT_EACH(look, 0, 33);
	give_back(s, 0, 20);
	EXPECT(s->client[0].member.is_trusted, true);
	EXPECT_EACH(look, 20, 33);
	EXPECT(next(s), SEC + CLOSING);
	EXPECT(s->shares.absent_bytes, 33 - 20);
	rngq_shares_leave(now(s), &s->client[0].member);
	EXPECT(s->shares.absent_bytes, 0);
	EXPECT_DEAL(SEC + CLOSING, 1, 0, 0, 54);
	EXPECT(s->client[2].member.vtime, BIT_ULL(20) + 54 * BIT_ULL(20) / 33);
	/* Who withdraws gives its grant up, to those who wait. */
	s = new_line(test, 100, 0, 2, 2);
	EXPECT_TURNS(0, 1, SEC, 2, 50, 50);
	rngq_shares_withdraw(now(s), &s->client[1].member);
	EXPECT_EACH(look, 0, 2, 0);
	EXPECT_DEAL(SEC + 10 * MS, 1, 50, 0);
	/* What comes back in another epoch is for all. */
	take(s, 0, 50);
	at(s, SEC + CLOSING);
	give_back(s, 0, 50);
	EXPECT_EACH(look, 50, 50, 50);
	/* What comes back too late (bucket.h) is gone. Who waits for the refill still does. */
	s = new_scene(test, 10, 1000, 0);
	take(s, 0, 6);
	stuck = s->draw;
	take(s, 1, MOST);
	take_turns(s, 0, 2);
	EXPECT_TURNS(1, 2, SEC, 2, 5, 5);
	s->draw = stuck;
	give_back(s, 0, 6);
	EXPECT(take(s, 0, MOST), 5);
	EXPECT_TURNS(1, 2, 2 * SEC + SEC / 10, 1, 0, 5);
	EXPECT(next(s), 2 * SEC + CLOSING);
}

static void change_begins_a_round(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 0, 2, 2);

	EXPECT_DEAL(SEC, 2, 50, 50);
	take(s, 0, 30);
	take_turns(s, 1, 2);
	/* 20 are left, and cut to 15. The grant has lapsed, but each has a share. */
	set_quota(s, 15, 4000, 0);
	EXPECT_DEAL(SEC, 1, 0, 7);
	EXPECT_EACH(look, 7, 7);
	/* Without a limit all are called. Two have not come for their grants. */
	s = new_line(test, 100, 0, 3, 3);
	EXPECT_TURNS(2, 3, SEC, 3, 34);
	poll(s, 3);
	poll(s, 4);
	set_quota(s, RNGQ_MAX, 1000, 0);
	EXPECT_DEAL(SEC, 1 + 2);
	EXPECT(s->client[2].member.is_trusted, true);
	EXPECT(take(s, 3, 12345), 12345);
	set_quota(s, 10, 1000, 5);
	EXPECT(take(s, 4, MOST), 15);
}

static void extremes_do_not_overflow(struct kunit *test)
{
	u64 period_ns = U32_MAX * MS, quantum = DIV_ROUND_UP(HALF(2 * MOST), 100);
	struct scene *s = new_scene(test, MOST, U32_MAX, MOST);
	int i;

	for (i = 1; i < 100; i++)
		take(s, i, 1);
	EXPECT(take(s, 0, RNGQ_MAX), 2 * MOST - 99);
	for (; i < MOST_CLIENTS; i++)
		poll(s, i);
	take_turns(s, 0, 100);
	EXPECT(next(s), period_ns - period_ns / 64);
	EXPECT_DEAL(3 * period_ns, 32, quantum, quantum);
	/* In the shortest period a millisecond brings it all. */
	s = new_scene(test, MOST, 1, MOST);
	take(s, 1, 1);
	take(s, 0, RNGQ_MAX);
	take_turns(s, 0, 2);
	EXPECT_DEAL(40 * period_ns, 2, MOST, MOST);
}

static u64 had(const struct scene *s, int from, int to)
{
	u64 bytes = 0;

	for (; from < to; from++)
		bytes += s->client[from].had;
	return bytes;
}

static void crowds_do_no_harm(struct kunit *test)
{
	const struct habit first[] = { greedy[0], { RNGQ_GO, MOST, 1000 } };
	/* How many of which habit come beside how many greedy ones, and what some have. */
	static const struct {
		int rate, period_ms, nr, n; struct habit habit; int from, to, bytes, first;
	} cases[] = {
		/* Asking alone takes nothing. */
		{ 1000, 1000, 1, 2000, { RNGQ_WAIT, 0, 3 }, 0, 1, 19000 },
		{ 1000, 1000, 1, 2000, { RNGQ_WAIT, 0, 1000, .reopens = true }, 0, 1, 19000 },
		{ 1000, 1000, 1, 60, { RNGQ_SLEEP, MOST, 3, .fails = true }, 0, 1, 19000 },
		{ 200, 200, 1, 60, { RNGQ_SLEEP, MOST, 3, .fails = true }, 0, 1, 19000 },
		{ 100, 1000, 1, 1000, { RNGQ_WAIT, 0, 100 }, 0, 1, 1800 },
		{ 1, 1000, 1, 1, { RNGQ_WAIT, 0, 3 }, 0, 1, 18 },
		/* Who wants little gets it: the first at 98 % of the period. */
		{ 1000, 1000, 100, 1, { RNGQ_WAIT, 1, 1000 }, 100, 101, 19 },
		{ 1000, 1000, 1, 500, { RNGQ_WAIT, 1, 1000 }, 1, 501, 500 * 19 },
		{ 1000, 1000, 1, 500, { RNGQ_WAIT, 1, 1000 }, 0, 501, 20000 },
		/* A sniper harms nobody. These have it at once, or not at all. */
		{ 1000, 1000, 1, 99, { RNGQ_WAIT, 5, 900 }, 1, 100, 10450, 1 },
		/* The last one: even if some take a byte in one round, all they can in the next. */
		{ 1000, 1000, 1, 10, { RNGQ_WAIT, 5, 1000 }, 1, 11, 900 },
	};
	struct scene *s;
	int i, n, k;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		s = new_scene(test, cases[i].rate, cases[i].period_ms, 0);
		join(s, cases[i].nr, first[cases[i].first]);
		run(s, 82);
		join(s, cases[i].n, cases[i].habit);
		run_and_count(s, 20);
		KUNIT_EXPECT_GE(test, (int)had(s, cases[i].from, cases[i].to), cases[i].bytes);
	}
	for (k = 0; k < 20; k++, run(s, 990)) {
		run(s, 10);
		for (n = 100; n < 104; n++) {
			take(s, n, k % 2 ? MOST : 1);
			poll(s, n);
		}
	}
	KUNIT_EXPECT_GE(test, (int)had(s, 1, 11), 2 * 900);
}

static void asking_faster_gains_nothing(struct kunit *test)
{
	/* How many of which kinds, from the one to the other, and who want one byte each. */
	static const struct { int nr, rate, from, to, nr_modest, seconds; } cases[] = {
		{ 97, 1000, 0, 2, 0, 100 }, { 100, 150, 0, 2, 0, 100 }, { 75, 50, 0, 2, 0, 100 },
		{ 100, 3, 0, 2, 0, 100 }, { 3, 110, 0, 0, 19, 500 }, { 3, 110, 1, 1, 19, 500 },
	};
	int i, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int nr = cases[i].nr, rest = cases[i].rate - cases[i].nr_modest;
		int fair = cases[i].seconds * rest / nr, quantum = DIV_ROUND_UP(rest, nr);
		struct scene *s = new_scene(test, cases[i].rate, 1000, 0);

		for (n = 0; n < nr; n++)
			join(s, 1, greedy[cases[i].from + n % (cases[i].to - cases[i].from + 1)]);
		join(s, cases[i].nr_modest, (struct habit){ RNGQ_WAIT, 1, 1000 });
		run_and_count(s, cases[i].seconds);
		for (n = 0; n < nr; n++) {
			KUNIT_EXPECT_GE(test, (int)s->client[n].had, fair - 2 * quantum);
			KUNIT_EXPECT_LE(test, (int)s->client[n].had, fair + 2 * quantum);
		}
	}
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
		s->client[2010].had = 0;
		run(s, 1000);
		KUNIT_EXPECT_GE(test, had(s, 2010, 2011), 1000 * 31 / 32 / 11 - 1ULL);
	}
}

static struct kunit_case shares_cases[] = {
	KUNIT_CASE(members_have_their_share), KUNIT_CASE(quanta_are_granted_in_order),
	KUNIT_CASE(grants_lapse_at_closing), KUNIT_CASE(newcomers_wait_apart),
	KUNIT_CASE(doubt_comes_to_an_end), KUNIT_CASE(what_comes_back_is_dealt_soon),
	KUNIT_CASE(change_begins_a_round), KUNIT_CASE(extremes_do_not_overflow),
	KUNIT_CASE(crowds_do_no_harm), KUNIT_CASE(asking_faster_gains_nothing),
	KUNIT_CASE(newcomers_have_their_share_soon), {}
};

static struct kunit_suite shares_suite = { .name = "rngquota_shares", .test_cases = shares_cases };

kunit_test_suite(shares_suite);
