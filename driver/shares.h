/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shares: who gets what of a bucket that is too small for all (max-min fairness).
 *
 * Rounds. Each refill begins a round. Its members are the clients that took a byte
 * in the round before. A member is expected to want the same again: its demand. If it
 * came short, that is what it wanted, but at most eight times what it took. If it came
 * short in the round before, too, it is these: who reads little at a time does not tell
 * how much it wants. So asking alone earns nothing.
 *
 * The share is the most that a member has of its own, such that all demands, each cut
 * to the share, fill the bucket. It follows from three sums: the number of members, of
 * hungry ones, whose demand reached the last share, and what the others, the modest
 * ones, demand. Nobody walks over the members. Each sees by the number of the round
 * that it is behind, when it next comes, and gets its credit then, in fractions of a
 * byte. Its demand, cut to the share, is its own: what hungry and modest members have
 * to come of that is set aside. The rest is for everybody.
 *
 * Growth. A modest member may take up to twice what it took before. What is more than
 * its own comes out of what others leave of theirs. That is taken to be what they left
 * in the round before, if it grew by no more than half: so who takes more and less in
 * turn takes nothing that others count on. A 64th is set aside besides, for errors. What
 * others leave is also for who was a member once and comes again.
 *
 * Newcomers are all other clients. If some waited when the round began, or had asked in
 * the round before and found nothing, a 32nd of the bucket is set aside for those, in
 * equal parts. If they took half of that, the next time it is an equal share for each,
 * but no more than half of the bucket or 8 bytes. The parts of those that waited are
 * for those that are called. Who took one byte is a member in the next round, and has
 * its share in the third, as 8 * 8 > 32. If a 32nd is no byte, there is one in each
 * fourth round.
 *
 * Closing comes shortly before the refill, which may find no room for what is left.
 * Who was called and did not come yet still has its own. The rest is for those who came
 * short, in proportion to what they took in the round. Who waits and was not called in
 * it counts as if it had its share. In the second half of closing all is for everybody.
 *
 * Lines. Who finds nothing may wait in line, and is called when there is something for
 * it. There is a line for newcomers, one for who had less than its share in the round in
 * which it lined up, one for who had it, and one for who owes some of it (see below). In
 * turn each of these is asked first whether there is something for its first client, but
 * not for one that still owes. Those that were told of bytes and took none come last. At
 * closing who had its share comes first, and late who had less, so left it.
 *
 * Fractions. If there are fewer bytes than members, who is called may take a byte
 * although its credit is less. It owes the rest. So does a hungry member that takes of
 * what is left when all of them had theirs. With many clients and a short period a byte
 * is not worth a wake-up: it is what a millisecond brings, and who is called owes that.
 * When a round begins, nobody owes more than two wake-ups, or is owed more than one,
 * from the round before.
 *
 * Example: 90 bytes a second. A and B are greedy and wait, C took 20 bytes in the round
 * before. The share is 35 bytes. A and B are called, and take that. C takes 10, whenever
 * it likes. At closing A and B are called for the other 10.
 *
 * Times are passed in, and nothing in here locks: the owner does (total.c).
 */
#ifndef RNGQUOTA_SHARES_H
#define RNGQUOTA_SHARES_H

#include <linux/list.h>
#include <linux/types.h>

#include "bucket.h"
#include "waiter.h"

/* Bytes that were taken, for giving them back. */
struct rngq_share_draw {
	struct rngq_draw bucket;
	u64 epoch;
	u64 credit;		/* so much of the client's was used in that epoch, */
	u64 own_bytes;		/* so many bytes had been set aside for those like it, */
	u64 growth_bytes;	/* so many for who wants more than before, */
	u64 extra_bytes;	/* and so many were extra bytes */
	bool left_line;		/* the client, as it waits no more */
};

/* Where a client waits. */
enum rngq_line {
	RNGQ_LINE_NONE,
	RNGQ_LINE_FULL,		/* it had its share in this round */
	RNGQ_LINE_NEW,		/* it is a newcomer */
	RNGQ_LINE_UNDER,	/* it had less than its share */
	RNGQ_LINE_OVER,		/* it owes some of it */
	RNGQ_LINE_TOLD,		/* a newcomer, took nothing when there was something */
	RNGQ_NR_LINES
};

/* What belongs to one client, which it is a part of. */
struct rngq_member {
	struct rngq_waiter waiter;
	enum rngq_line line;
	u64 line_round;		/* in which it lined up */
	bool is_hungry;		/* it was when the round began, */
	bool is_served;		/* and had all that was its own since */
	bool is_short;		/* it got less than it wanted when it last came */
	bool was_short;		/* the same in the round before, or it was no member */
	bool is_called;		/* in this round, after it waited, ... */
	bool is_due;		/* ... in this epoch, and has not come yet */
	bool has_asked;		/* a newcomer found nothing in this round, doesn't wait */
	bool is_told;		/* that there is something, and took nothing since */
	u64 epoch;		/* that it was last seen in, */
	u64 round;		/* and that epoch's round */
	u64 taken_bytes;	/* in that round, */
	u64 before_bytes;	/* and in the last one before in which it took any */
	u64 expected_bytes;	/* what it was expected to want in this round; 0: it is */
	u64 demand_bytes;	/* no member. The same for the next one. */
	u64 vtime;		/* so far behind that of the shares is its credit */
	u64 extra_bytes;	/* what it may have of those */
};

/* A bucket, and those who share it. */
struct rngq_shares {
	struct rngq_bucket bucket;
	u64 now_ns;
	struct list_head line[RNGQ_NR_LINES];
	u64 nr_in_line[RNGQ_NR_LINES];
	u64 nr_waiting;		/* in all lines */

	u64 round;
	u64 epoch;		/* a round has two, the second one is closing */
	bool is_closing;
	u64 next_ns;		/* when closing begins, or its second half; then end_ns */
	u64 end_ns;		/* when the next round begins */
	u64 vtime;		/* all shares so far. The unit is a RNGQ_VBYTE'th byte. */
	u64 share;		/* in the same unit */
	u64 share_bytes;	/* at least 1; */
	u64 last_share_bytes;	/* in the round before */
	u64 least_bytes;	/* what a wake-up is worth */
	u64 aside_bytes[2];	/* set aside for modest members, and for hungry ones */
	u64 nr_unserved;	/* so many of the latter had not all of their own */
	u64 growth_bytes;	/* of the first, for who wants more than before */
	u64 left_bytes;		/* what they are likely to leave of it */
	u64 extra_bytes;	/* set aside for newcomers; closing: for who came short */
	u64 extra_part;		/* so many were, */
	u64 waiters_bytes;	/* so many are for those that are called, */
	u64 extra_most;		/* so many for one newcomer, */
	u64 extra_ratio;	/* or for a byte that one took; same unit as the share */
	bool was_used;		/* newcomers took half of what was set aside */

	/* Counted for the next round: */
	u64 nr_members;
	u64 nr_hungry;
	u64 demand_bytes;	/* each cut to the share */
	u64 short_bytes;	/* what those took that came short */
	bool was_asked;		/* by a newcomer, which found nothing */
	u64 nr_asked;		/* how many did so, and do not wait; none of those told */

	bool has_changed;	/* since the last deal: somebody may be called */
	u64 next_deal_ns;
	u64 nr_uncalled;	/* known, and wait since before this round */
	u64 nr_due;		/* called in this epoch, and have not come yet; no newcomers */
	u64 deal_extra_bytes;	/* what there was before the first newcomer was called */
	unsigned int nr_called;	/* in all deals */
	unsigned int nr_woken;	/* in this deal, ... */
	unsigned int nr_newcomers;	/* ... and how many of them out of RNGQ_LINE_NEW */
};

/* The unit of shares, a power of two: what a client is owed may be less than a byte. */
#define RNGQ_VBYTE		BIT_ULL(16)

/* What a client does that finds nothing. */
enum rngq_way {
	RNGQ_GO,		/* it only looked */
	RNGQ_TRY,		/* it wanted something, but does not wait */
	RNGQ_WAIT,		/* it would like to be woken */
};

void rngq_shares_init(struct rngq_shares *shares,
		      const struct rngq_quota *quota);
void __rngq_shares_refresh(struct rngq_shares *shares);
void rngq_shares_set_quota(struct rngq_shares *shares,
			   const struct rngq_quota *quota);
u64 rngq_shares_ask(struct rngq_shares *shares, struct rngq_member *member,
		    u64 want_bytes, enum rngq_way way);
u64 rngq_shares_take(struct rngq_shares *shares, struct rngq_member *member,
		     u64 want_bytes, struct rngq_share_draw *draw);
void rngq_shares_give_back(struct rngq_shares *shares,
			   struct rngq_member *member,
			   const struct rngq_share_draw *draw, u64 bytes);
void rngq_shares_withdraw(struct rngq_shares *shares,
			  struct rngq_member *member);
void rngq_shares_go_on(struct rngq_member *member,
		       const struct rngq_member *left);
struct rngq_member *rngq_shares_call(struct rngq_shares *shares);
u64 rngq_shares_next_ns(struct rngq_shares *shares);

/**
 * rngq_shares_refresh() - bring it up to date, before any other call
 * @shares: the bucket and those who share it
 * @now_ns: the time
 *
 * Context: Any; the owner's lock is held, as for all other calls.
 */
static inline void rngq_shares_refresh(struct rngq_shares *shares, u64 now_ns)
{
	/* Who comes from another CPU may have looked at the clock before. */
	shares->now_ns = max(shares->now_ns, now_ns);
	if (shares->now_ns >= shares->next_ns)
		__rngq_shares_refresh(shares);
}

#endif
