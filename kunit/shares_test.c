// SPDX-License-Identifier: GPL-2.0
/* Shares, rule by rule, and crowds. Times are counted from when the bucket was made. */
#include "shares_scene.h"

#define CLOSING		(SEC - SEC / 64)	/* in a period of a second */
#define LAST		(SEC - SEC / 128)

static void at(struct scene *s, u64 ns)
{
	s->now_ns = BEGIN + ns;
	now(s);
}

#define look(s, i)		ask(s, i, MOST, RNGQ_GO)
#define try(s, i)		ask(s, i, MOST, RNGQ_TRY)
#define line_up(s, i)		ask(s, i, MOST, RNGQ_WAIT)
#define next(s)			(rngq_shares_next_ns(&(s)->shares) - BEGIN)
#define line(s, i)		((s)->client[i].member.line)
#define demand(s, i)		((s)->client[i].member.demand_bytes)
#define is_woken(s, i)		((s)->client[i].is_woken)

/* Clients take what there is for them, and wait for more. */
static void take_turns(struct scene *s, int from, int to)
{
	for (; from < to; from++) {
		take(s, from, MOST);
		line_up(s, from);
		s->client[from].is_woken = false;
	}
}

/* @n clients are hungry, and had equal shares of all there was; some of them wait. */
static struct scene *new_line(struct kunit *test, u64 rate, u64 burst, int n, int nr_waiting)
{
	struct scene *s = new_scene(test, rate, 1000, burst);
	int i;

	for (i = 1; i < n; i++)
		take(s, i, (rate + burst) / n);
	take(s, 0, MOST);
	for (i = 0; i < n; i++)
		ask(s, i, MOST, i < nr_waiting ? RNGQ_WAIT : RNGQ_TRY);
	return s;
}

/* When an epoch begins, if nobody else can be called before */
static u64 next_epoch(struct scene *s)
{
	deal(s);
	return next(s);
}

/* Who is called next? -1: nobody */
static int call(struct scene *s)
{
	struct rngq_member *member = rngq_shares_call(now(s));

	return member ? container_of(member, struct client, member) - s->client : -1;
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

/* At @ns a deal is due; which of the first clients it wakes. */
#define EXPECT_DEAL(ns, ...) do {					\
	at(s, ns);							\
	deal_if_due(s);							\
	EXPECT_EACH(is_woken, __VA_ARGS__);				\
} while (0)

static void members_have_their_share(struct kunit *test)
{
	struct scene *s = new_scene(test, 100, 1000, 0);

	/* The bucket is full, and for everybody. Who only looks changes nothing. */
	take(s, 0, 10);
	EXPECT_LOOK(0, 90, 90);
	take(s, 1, MOST);
	EXPECT_EACH(demand, 10, 8 * 90, 0);
	/* The hungry one has what the other leaves. */
	EXPECT_LOOK(SEC, 10, 90, 0);
	take(s, 1, MOST);
	EXPECT_LOOK(SEC + CLOSING - 1, 10, 0, 0);
	take(s, 0, 10);
	EXPECT_EACH(demand, 10, 8 * 90, 0);
	/* Who was away has nothing of its own. */
	at(s, 2 * SEC);
	take(s, 1, MOST);
	EXPECT_LOOK(3 * SEC, 0, 100, 0);
	EXPECT(take(s, 2, 50), 0);
	EXPECT(take(s, 1, 40), 40);
	EXPECT(demand(s, 1), 40);
	EXPECT_LOOK(4 * SEC, 60, 100, 60);
	/* Only the round before counts; if nobody came in a whole one, nobody is expected. */
	take(s, 0, 20);
	EXPECT_LOOK(6 * SEC, 100, 100, 100);
	/* If nobody demands more than an equal share, there is no other. */
	s = new_scene(test, 90, 1000, 0);
	take(s, 0, 80);
	take(s, 1, 10);
	EXPECT_LOOK(SEC, 45, 10, 0);
	EXPECT(s->shares.share_bytes, 45);
	/* The example of the header. */
	s = new_scene(test, 90, 1000, 0);
	take(s, 2, 20);
	take(s, 1, 35);
	take(s, 0, MOST);
	take_turns(s, 0, 2);
	EXPECT_DEAL(SEC, true, true, false);
	EXPECT_EACH(look, 35, 35, 20);
	take_turns(s, 0, 2);
	EXPECT(take(s, 2, 10), 10);
	EXPECT(next_epoch(s), SEC + CLOSING);
	EXPECT_DEAL(SEC + CLOSING, true, true, false);
	EXPECT_EACH(look, 5, 5, 0);
	take_turns(s, 0, 2);
	EXPECT_EACH(demand, 8 * 40, 8 * 40, 10);
}

static void demands_are_believed_so_far(struct kunit *test)
{
	struct scene *s = new_line(test, 1000, 0, 2, 0);

	/* Who takes one byte of much and asks for more is told of it, and demands one. */
	at(s, SEC);
	take(s, 0, 1);
	EXPECT(try(s, 0), 499);
	EXPECT_EACH(demand, 1);
	/* Who came short of it demands what it wanted. */
	take(s, 1, MOST);
	at(s, 2 * SEC);
	EXPECT_EACH(look, 1, 999);
	take(s, 1, MOST);
	take(s, 0, 3);
	EXPECT_EACH(demand, 3, 8 * 999);
	/* Eight times what it took at the most; also if it wants little more again. */
	at(s, 3 * SEC);
	EXPECT_EACH(look, 3, 997);
	take(s, 1, MOST);
	take(s, 0, 4);
	EXPECT_EACH(demand, 8 * 3, 8 * 997);
	/* Who asks at closing and left what was its own, demands nothing. */
	at(s, 4 * SEC);
	take(s, 0, 8);
	take(s, 1, MOST);
	at(s, 5 * SEC);
	take(s, 1, MOST);
	at(s, 5 * SEC + CLOSING);
	EXPECT(try(s, 0), 0);
	EXPECT_EACH(demand, 0, 8 * 992);
	/* Who took all that there was for it does. */
	EXPECT(take(s, 1, MOST), 8);
	EXPECT(try(s, 1), 0);
	EXPECT_EACH(demand, 0, 8000);
}

static void closing_is_for_the_short(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 0, 2, 2);

	/* Two take all of it and are short, a third one took 40, and is not. */
	EXPECT_DEAL(SEC, true, true);
	take(s, 0, MOST);
	take(s, 1, 10);
	EXPECT_EACH(look, 0, 40, 0);
	line_up(s, 0);
	/* In proportion to what they took; in the second half all is for everybody. */
	EXPECT_LOOK(SEC + CLOSING, 40, 0, 0);
	EXPECT_LOOK(SEC + LAST, 40, 40, 40);
	EXPECT(take(s, 0, 30), 30);
	EXPECT_EACH(look, 10, 10, 10);
	/* Who was called and comes late has its own, and is a member. */
	s = new_line(test, 100, 0, 2, 1);
	EXPECT_DEAL(SEC, true, false);
	take(s, 1, MOST);
	at(s, SEC + CLOSING);
	try(s, 1);
	EXPECT_EACH(look, 50, 1);
	EXPECT_LOOK(2 * SEC, 51, 50, 0);
	/* Who waited in vain shares the rest with who took. */
	s = new_line(test, 90, 0, 3, 2);
	EXPECT_LOOK(SEC, 30, 30, 30);
	EXPECT(take(s, 2, MOST), 30);
	EXPECT_LOOK(SEC + CLOSING, 20, 20, 20);
	/* If nobody is short, all is for everybody at once. */
	s = new_scene(test, 100, 1000, 0);
	take(s, 0, 30);
	EXPECT_LOOK(SEC - SEC / 64, 70, 70);
	/* First who had its share, then who had more or less, then newcomers, are called. */
	s = new_line(test, 10, 0, 4, 3);
	s->shares.was_used = false;
	line_up(s, 4);
	take(s, 3, MOST);
	at(s, SEC);
	EXPECT(s->shares.extra_part, 0);
	EXPECT_DEAL(SEC, true, true, true, false, false);
	take_turns(s, 0, 2);
	EXPECT_EACH(line, RNGQ_LINE_FULL, RNGQ_LINE_FULL, RNGQ_LINE_NONE, RNGQ_LINE_NONE,
		    RNGQ_LINE_NEW);
	/* In short periods it comes early enough. */
	s = new_line(test, 100, 0, 1, 1);
	set_quota(s, 100, 10, 0);
	EXPECT(next_epoch(s), 8 * MS);
	set_quota(s, 100, 2, 0);
	EXPECT(next_epoch(s), 2 * MS - MS / 2);
	/* A full bucket's clock stands until somebody takes something; rounds go on. */
	s = new_scene(test, 100, 1000, 0);
	take(s, 0, MOST);
	at(s, SEC);
	EXPECT(look(s, 1), 0);
	at(s, 2 * SEC + SEC / 2);
	EXPECT(take(s, 1, MOST), 100);
	line_up(s, 1);
	EXPECT(next_epoch(s), 2 * SEC + SEC / 2 + CLOSING);
	/* Several refills come together; a clock that is behind changes nothing. */
	s = new_line(test, 10, 90, 2, 2);
	EXPECT_DEAL(5 * SEC + SEC / 2, true, true);
	at(s, 2 * SEC);
	EXPECT(s->shares.now_ns, BEGIN + 5 * SEC + SEC / 2);
	take_turns(s, 0, 2);
	EXPECT(next_epoch(s), 5 * SEC + CLOSING);
}

static void newcomers_have_a_part(struct kunit *test)
{
	/* How many of which bytes are for how many newcomers, beside @4 in line. */
	static const int had[] = { 31, 248, 500 }, order[] = { 3, 0, 1, 2, 4 };
	static const int parts[][6] = {
		{ 31, 1000, 1, 1, 0 }, { 182, 1000, 1, 9, 1 }, { 500, 1000, 40, 9, 1 },
		{ 500, 1000, 1, 2, 1 }, { 0, 10, 1, 1, 0 }, { 7, 10, 1, 1, 1 }, { 5, 10, 0, 1, 1 },
		{ 8, 10, 9, 1, 1 }, { 1, 1, 1, 1, 1 },
	};
	struct scene *s;
	int i, n;
	u64 most;

	for (n = 0; n < ARRAY_SIZE(parts); n++) {
		const int *part = parts[n];

		s = new_line(test, part[1], 0, part[3], part[3]);
		s->shares.was_used = part[4];
		for (i = 0; i < 2 * part[2]; i++)
			line_up(s, part[3] + i / 2);
		try(s, 2010);
		at(s, SEC);
		EXPECT(s->shares.extra_part, part[0]);
		most = min_t(u64, max(part[0] / (part[2] + 1), 1), s->shares.share_bytes);
		/* Equal parts, also for who asked and did not wait. None for who did neither. */
		EXPECT(look(s, 2010), min_t(u64, most, part[0] / (part[2] + 1)));
		EXPECT(look(s, 2009), 0);
		deal(s);
		if (part[2])
			EXPECT(look(s, part[3]), min_t(u64, most, part[0]));
	}
	/* Of few bytes one in each fourth round, if somebody asks and finds nothing. */
	s = new_line(test, 20, 0, 1, 1);
	s->shares.was_used = false;
	for (i = n = 0; i < 40; i++) {
		if (i < 20)
			try(s, 1);
		at(s, i * SEC + SEC);
		n += s->shares.extra_part;
		take_turns(s, 0, 1);
		at(s, i * SEC + SEC + CLOSING);
		take_turns(s, 0, 1);
	}
	EXPECT(n, 20 / 4);
	/* It is more if they took half. A change of the quota begins anew. */
	for (n = 15; n < 17; n++) {
		s = new_line(test, 1000, 0, 1, 1);
		s->shares.was_used = false;
		line_up(s, 1);
		EXPECT_DEAL(SEC, true, true);
		take(s, 1, n);
		at(s, SEC + CLOSING);
		EXPECT(s->shares.was_used, n == 16);
	}
	s->shares.was_used = false;
	set_quota(s, 1000, 1000, 0);
	EXPECT(s->shares.was_used, true);
	/* Who took a byte of it is known, and has its share in the third round. */
	s = new_line(test, 1000, 0, 1, 1);
	s->shares.was_used = false;
	line_up(s, 1);
	for (i = 1; i < 4; i++) {
		EXPECT_DEAL(i * SEC, true, true);
		for (n = 0; take(s, 1, 16); n += s->draw.bucket.level_bytes)
			;
		EXPECT(n, had[i - 1]);
		line_up(s, 1);
		EXPECT(line(s, 1), i == 3 ? RNGQ_LINE_FULL : RNGQ_LINE_UNDER);
		take_turns(s, 0, 1);
	}
	/* In turn the first of each line is called; those last that were told before. */
	s = new_line(test, 1000, 0, 2, 2);
	try(s, 4);
	at(s, SEC);
	EXPECT(try(s, 4), 333);
	at(s, SEC + CLOSING);
	for (i = 4; i >= 2; i--)
		line_up(s, i);
	EXPECT(line(s, 4), RNGQ_LINE_TOLD);
	at(s, 2 * SEC);
	for (i = 0; i < 5; i++)
		EXPECT(call(s), order[i]);
	EXPECT(call(s), -1);
}

static void fractions_are_owed(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 0, 3, 3);
	int i, n, called[4] = { };

	/* All have 33, and one is left for who is first; the next round it has less. */
	EXPECT_DEAL(SEC, true, true, true);
	take_turns(s, 0, 3);
	EXPECT_EACH(look, 1, 1, 1, 1);
	EXPECT(next(s), SEC + 10 * MS);
	EXPECT_DEAL(SEC + 10 * MS, true, false, false);
	EXPECT(take(s, 0, MOST), 1);
	EXPECT(s->client[0].member.vtime - s->shares.vtime, RNGQ_VBYTE * 2 / 3 + 1);
	line_up(s, 0);
	at(s, 2 * SEC);
	EXPECT_EACH(look, 32, 33, 33);
	/* What one hungry client has to come is not left. */
	take(s, 1, MOST);
	take(s, 2, 10);
	take(s, 0, MOST);
	EXPECT_EACH(look, 0, 0, 23, 0);
	/* A byte a round goes to one after the other, and to who only tries after them. */
	s = new_line(test, 4, 0, 4, 4);
	set_quota(s, 1, 1000, 0);
	for (i = 0; i < 40; i++) {
		at(s, i * SEC + SEC);
		EXPECT(deal(s), 1);
		for (n = 0; n < 4; n++)
			called[n] += is_woken(s, n);
		take_turns(s, 0, 4);
	}
	for (n = 0; n < 4; n++)
		EXPECT(called[n] >= 9 && called[n] <= 11, true);
	rngq_shares_withdraw(now(s), &s->client[3].member);
	for (n = 0; i < 140; i++) {
		at(s, i * SEC + SEC);
		deal(s);
		take_turns(s, 0, 3);
		n += take(s, 3, MOST);
		try(s, 3);
		at(s, i * SEC + SEC + CLOSING);
		deal(s);
		take_turns(s, 0, 3);
	}
	KUNIT_EXPECT_GE(test, n, 20);
	KUNIT_EXPECT_LE(test, n, 25);
	/* A wake-up is worth what comes in a millisecond. */
	s = new_line(test, 6400, 0, 2000, 2000);
	set_quota(s, 6400, 64, 0);
	at(s, 64 * MS);
	EXPECT(s->shares.least_bytes, 100);
	EXPECT(deal(s), 32);
	EXPECT_EACH(look, 100, 100);
	EXPECT(look(s, 40), 6400 / 2000);
	/* Who owes most of that is called after who does not. */
	take_turns(s, 0, 1);
	EXPECT(line(s, 0), RNGQ_LINE_OVER);
}

static void what_comes_back_is_its_own(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 0, 2, 2);
	struct rngq_share_draw stuck;

	/* Its own is so again, to the byte; and it took nothing. */
	at(s, SEC);
	EXPECT(take(s, 0, MOST), 50);
	give_back(s, 0, 50);
	EXPECT_EACH(look, 50, 50, 0);
	EXPECT_EACH(demand, 0);
	EXPECT(take(s, 0, 20), 20);
	give_back(s, 0, 5);
	EXPECT_EACH(look, 35, 50, 0);
	EXPECT_EACH(demand, 15);
	/* Who comes after it waits for nobody's bytes but its own. */
	EXPECT(take(s, 1, MOST), 50);
	take(s, 0, MOST);
	give_back(s, 0, 35);
	EXPECT_EACH(look, 35, 0, 0);
	/* So are a newcomer's, and those of who was away. */
	s = new_line(test, 100, 0, 1, 1);
	line_up(s, 1);
	at(s, SEC);
	deal(s);
	EXPECT(take(s, 1, MOST), 50);
	give_back(s, 1, 50);
	EXPECT_EACH(look, 50, 50, 0);
	take(s, 0, 10);
	EXPECT(take(s, 1, MOST), 50);
	at(s, 2 * SEC);
	take(s, 0, 10);
	at(s, 3 * SEC);
	EXPECT(take(s, 1, MOST), 90);
	give_back(s, 1, 90);
	EXPECT_EACH(look, 100, 90);
	/* What comes back in another epoch is for all, or too late (bucket.h). */
	s = new_scene(test, 10, 1000, 0);
	take(s, 0, 6);
	stuck = s->draw;
	take(s, 1, MOST);
	take_turns(s, 0, 2);
	EXPECT_DEAL(SEC, true, true);
	s->draw = stuck;
	give_back(s, 0, 6);
	EXPECT_EACH(look, 5, 5);
	take(s, 1, MOST);
	at(s, SEC + CLOSING);
	give_back(s, 1, 4);
	EXPECT_EACH(look, 9, 5, 4);
	/* In the second half of closing it is for everybody, and dealt out at once. */
	s = new_line(test, 100, 0, 2, 2);
	EXPECT_DEAL(SEC, true, true);
	take(s, 1, 10);
	take_turns(s, 0, 1);
	EXPECT_DEAL(SEC + CLOSING, true, true);
	EXPECT(take(s, 0, MOST), 40);
	line_up(s, 1);
	s->client[1].is_woken = false;
	at(s, SEC + LAST);
	EXPECT(rngq_shares_next_ns(&s->shares) <= s->now_ns, true);
	give_back(s, 0, 30);
	EXPECT_EACH(look, 30, 30, 30);
	EXPECT_DEAL(SEC + LAST, true, true);
}

static void reopening_gains_nothing(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 0, 2, 0);
	int i;

	/* What it took, it has taken, and what it has to come is still there. */
	for (i = 1; i < 10; i++) {
		at(s, i * SEC);
		EXPECT(take(s, 0, 20), 20);
		reopen(s, 0, true);
		EXPECT(take(s, 0, MOST), 30);
		reopen(s, 0, true);
		line_up(s, 0);
		EXPECT(line(s, 0), RNGQ_LINE_FULL);
		reopen(s, 0, true);
		EXPECT(s->shares.nr_waiting, 0);
		EXPECT(take(s, 1, MOST), 50);
	}
	/* Also into the next round. Another process's client is new. */
	reopen(s, 0, true);
	at(s, i * SEC);
	reopen(s, 0, true);
	reopen(s, 1, false);
	EXPECT_EACH(look, 50, 0);
	/* Who left is expected once more, until closing. */
	at(s, i * SEC + CLOSING);
	EXPECT_EACH(look, 100, 100);
}

static void change_begins_a_round(struct kunit *test)
{
	struct scene *s = new_line(test, 100, 0, 2, 2);

	EXPECT_DEAL(SEC, true, true);
	take(s, 0, 30);
	take_turns(s, 1, 2);
	/* 20 are left, and cut to 15. */
	set_quota(s, 15, 4000, 0);
	EXPECT_EACH(look, 7, 7);
	/* Without a limit all are called. */
	s = new_line(test, 100, 0, 3, 2);
	line_up(s, 3);
	try(s, 4);
	set_quota(s, RNGQ_MAX, 1000, 0);
	EXPECT_DEAL(0, true, true, false, true, false);
	EXPECT(take(s, 3, 12345), 12345);
	EXPECT(line_up(s, 3), RNGQ_MAX);
	at(s, 5 * SEC);
	set_quota(s, 10, 1000, 5);
	EXPECT(take(s, 4, MOST), 15);
}

static void extremes_do_not_overflow(struct kunit *test)
{
	u64 period_ns = U32_MAX * MS, share = MOST / 50;
	struct scene *s = new_line(test, MOST, MOST, 100, 100);
	int i;

	for (i = 100; i < MOST_CLIENTS; i++)
		line_up(s, i);
	set_quota(s, MOST, U32_MAX, MOST);
	EXPECT(next_epoch(s), period_ns - period_ns / 64);
	at(s, 3 * period_ns);
	EXPECT(s->shares.extra_part, MOST);
	EXPECT(deal(s), 32);
	EXPECT(look(s, 99), share / 2);
	EXPECT(take(s, 0, RNGQ_MAX), share / 2);
	at(s, 4 * period_ns - 1);
	EXPECT(look(s, 0) > 2 * MOST - share / 2 - 1000, true);
	/* In the shortest period, too; one that is alone has it all. */
	s = new_line(test, MOST, MOST, 1, 1);
	set_quota(s, MOST, 1, MOST);
	for (i = 1; i < 200; i++) {
		at(s, i * 2 * MS);
		EXPECT(take(s, 0, RNGQ_MAX), 2 * MOST);
		line_up(s, 0);
	}
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
	const struct habit first[] = { greedy[0], { RNGQ_TRY, false, MOST, 1000 } };
	/* How many of which habit come beside how many greedy ones, and what some have. */
	static const struct {
		int rate, period_ms, nr, n; struct habit habit; int from, to, bytes, first;
	} cases[] = {
		/* Asking alone takes nothing. */
		{ 1000, 1000, 1, 2000, { RNGQ_WAIT, false, 0, 3 }, 0, 1, 19000 },
		{ 1000, 1000, 1, 2000, { RNGQ_WAIT, false, 0, 999, .reopens = true }, 0, 1, 19000 },
		{ 1000, 1000, 1, 60, { RNGQ_WAIT, true, MOST, 3, .fails = true }, 0, 1, 19000 },
		{ 200, 200, 1, 60, { RNGQ_WAIT, true, MOST, 3, .fails = true }, 0, 1, 19000 },
		{ 100, 1000, 1, 1000, { RNGQ_WAIT, false, 0, 100 }, 0, 1, 1800 },
		{ 1, 1000, 1, 1, { RNGQ_WAIT, false, 0, 3 }, 0, 1, 18 },
		/* Who wants little gets it: the first at 98 % of the period. */
		{ 1000, 1000, 100, 1, { RNGQ_WAIT, false, 1, 1000 }, 100, 101, 19 },
		{ 1000, 1000, 1, 500, { RNGQ_WAIT, false, 1, 1000 }, 1, 501, 500 * 19 },
		{ 1000, 1000, 1, 500, { RNGQ_WAIT, false, 1, 1000 }, 0, 501, 20000 },
		/* A sniper harms nobody. These have it at once, or not at all. */
		{ 1000, 1000, 1, 99, { RNGQ_WAIT, false, 5, 900 }, 1, 100, 10450, 1 },
		/* The last one: even if some take a byte in one round, all they can in the next. */
		{ 1000, 1000, 1, 10, { RNGQ_WAIT, false, 5, 1000 }, 1, 11, 900 },
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
			line_up(s, n);
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
	/* One asks all the time beside others that sleep, where a wake-up costs some bytes. */
	static const int sleepers[][3] = { { 50, 500, 10 }, { 150, 2000, 20 }, { 50, 200, 10 } };
	struct scene *s;
	int i, n;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int nr = cases[i].nr, rest = cases[i].rate - cases[i].nr_modest;
		int fair = cases[i].seconds * rest / nr, quantum = DIV_ROUND_UP(rest, nr);

		s = new_scene(test, cases[i].rate, 1000, 0);
		for (n = 0; n < nr; n++)
			join(s, 1, greedy[cases[i].from + n % (cases[i].to - cases[i].from + 1)]);
		join(s, cases[i].nr_modest, (struct habit){ RNGQ_WAIT, false, 1, 1000 });
		run_and_count(s, cases[i].seconds);
		for (n = 0; n < nr; n++) {
			KUNIT_EXPECT_GE(test, (int)s->client[n].had, fair - 2 * quantum);
			KUNIT_EXPECT_LE(test, (int)s->client[n].had, fair + 2 * quantum);
		}
	}
	for (i = 0; i < ARRAY_SIZE(sleepers); i++) {
		int fair = 20 * sleepers[i][1] * 1000 / sleepers[i][2] / (sleepers[i][0] + 1);

		s = new_scene(test, sleepers[i][1], sleepers[i][2], 0);
		join(s, sleepers[i][0], greedy[0]);
		join(s, 1, greedy[1]);
		run_and_count(s, 20);
		KUNIT_EXPECT_GE(test, (int)s->client[sleepers[i][0]].had, fair * 95 / 100);
		KUNIT_EXPECT_LE(test, (int)s->client[sleepers[i][0]].had, fair * 105 / 100);
	}
}

/* What it takes at this time, and it asks for the rest without waiting. */
static u64 try_take(struct scene *s, int i, u64 want)
{
	u64 bytes = take(s, i, want);

	if (bytes < want)
		ask(s, i, want - bytes, RNGQ_TRY);
	return bytes;
}

static void nobody_takes_anothers_own(struct kunit *test)
{
	/* How many come at each refill, what they want of 10000 in turn, and a modest one. */
	static const struct { int nr; u64 want[3]; int modest; } cases[] = {
		{ 8, { 500, 1000, 500 }, 500 }, { 3, { 1000, 2000, 1000 }, 1500 },
		{ 10, { 300, 600, 0 }, 600 }, { 18, { 250, 500, MOST }, 400 },
		{ 8, { 0, MOST, 0 }, 900 }, { 16, { 0, MOST, 1 }, 400 },
		{ 12, { 0, 0, MOST }, 700 }, { 3, { MOST, 0, 1 }, 2000 },
	};
	int i, n, round, had;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene *s = new_scene(test, 10000, 1000, 0);

		join(s, 2, greedy[0]);
		for (round = had = 0; round < 60; round++) {
			at(s, round * SEC);
			for (n = 100; n < 100 + cases[i].nr; n++)
				try_take(s, n, cases[i].want[(round + n * (i % 2)) % 3]);
			run(s, 500);
			n = try_take(s, 99, cases[i].modest);
			if (round >= 11)
				had += n;
			run(s, 485);
		}
		KUNIT_EXPECT_GE(test, had, cases[i].modest * 49 * 95 / 100);
	}
}

static void newcomers_starve_nobody(struct kunit *test)
{
	int nr, round, n;

	/* These come at each refill, and in one of three rounds they take all they can. */
	for (nr = 1; nr < 100; nr *= 3) {
		struct scene *s = new_scene(test, 10000, 1000, 0);

		join(s, 2, greedy[0]);
		for (round = 0; round < 20; round++) {
			at(s, round * SEC);
			for (n = 100; n < 100 + nr; n++)
				try_take(s, n, (round + n) % 3 ? 0 : MOST);
			run(s, 500);
			/* From the third period on this one has its equal share. */
			n = round < 12 ? 0 : try_take(s, 99, MOST);
			if (round > 14)
				KUNIT_EXPECT_GE(test, n, 10000 / (3 + nr) * 9 / 10);
			run(s, 485);
		}
	}
}

static void newcomers_have_their_share_soon(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(greedy); i++) {
		struct scene *s = new_scene(test, 1000, 1000, 0);

		join(s, 10, greedy[0]);
		join(s, 2000, (struct habit){ RNGQ_WAIT, false, 0, 3 });
		run(s, 4500);
		join(s, 1, greedy[i]);
		run(s, 2400);
		s->client[2010].had = 0;
		run(s, 1000);
		KUNIT_EXPECT_GE(test, had(s, 2010, 2011), 1000 * 31 / 32 / 11 - 1ULL);
	}
}

static struct kunit_case shares_cases[] = {
	KUNIT_CASE(members_have_their_share), KUNIT_CASE(demands_are_believed_so_far),
	KUNIT_CASE(closing_is_for_the_short), KUNIT_CASE(newcomers_have_a_part),
	KUNIT_CASE(fractions_are_owed), KUNIT_CASE(what_comes_back_is_its_own),
	KUNIT_CASE(reopening_gains_nothing), KUNIT_CASE(change_begins_a_round),
	KUNIT_CASE(extremes_do_not_overflow), KUNIT_CASE(crowds_do_no_harm),
	KUNIT_CASE(asking_faster_gains_nothing), KUNIT_CASE(nobody_takes_anothers_own),
	KUNIT_CASE(newcomers_have_their_share_soon), KUNIT_CASE(newcomers_starve_nobody), {}
};

static struct kunit_suite shares_suite = { .name = "rngquota_shares", .test_cases = shares_cases };

kunit_test_suite(shares_suite);
