/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Turns: who gets what of a bucket that is too small for all.
 *
 * While nobody waits, whoever comes takes what there is. Who finds nothing gets
 * in line. Each refill that somebody waits for begins a round: it is dealt out
 * in equal shares to all members, those who have asked since the refill before,
 * and those of them who wait are woken, each for its own share. Bytes that don't
 * divide go to those who wait, odd ones to one after the other round the ring of
 * members: so over the rounds all get as many, however quick they are to ask again.
 *
 * A share is reserved for its client, yet stays in the bucket until it is
 * fetched: so the bucket's promise covers it, and nothing is lost with it. But
 * it does not stay for ever. When half of the period is over at most half of a
 * share is left, when half of the rest is over a quarter, and so on. That is
 * enough for who fetches its share bit by bit through the period. What others
 * don't want goes to those in line at each of these cuts, until the next one;
 * for the next refill would find no room for it.
 *
 * Who was woken and soon after loses what it was woken for is in line again;
 * once, then it has to ask. Else a refill, or what is cut, would be left to
 * whoever comes first if all in line were woken for a few bytes just before.
 *
 * So who wants less than an equal share gets all it wants, those who want more
 * get equal shares of the rest, and asking again and again gains nothing.
 *
 *	free = level - reserved
 *	share = free / members, at a refill; free / waiting, at other times
 *
 * Example: 90 bytes a second. A and B are greedy, C wants a byte each 100 ms. At
 * a refill each gets 30; A and B fetch theirs and are in line again. At 0.5 s
 * 25 are left of C's, of which 15 stay, and A and B get 5 each; at 0.75 s 12 of
 * these 15 are left, of which 7 stay, and so on: when C asks for its last byte
 * at 0.9 s there are 3.
 *
 * Times are passed in, and nothing in here locks: the owner does (total.c).
 */
#ifndef RNGQUOTA_TURNS_H
#define RNGQUOTA_TURNS_H

#include <linux/list.h>
#include <linux/types.h>

#include "bucket.h"

/**
 * struct rngq_turn - a client's place, which is a part of the client
 * @ring:	among the members; empty: it is none
 * @is_waiting:	it waits
 * @is_called:	it got something while it waited, and has not come for it yet
 * @may_recall:	it has asked since it was last put in line without asking
 * @wake:	among those to be woken; empty: it is not
 * @reserved_bytes: what is left of its share
 * @hold_bytes:	how much of that the next cut leaves
 * @asked:	the bucket's count of refills when it last asked
 *
 * After rngq_turns_leave() it is on no list, and may go.
 */
struct rngq_turn {
	struct list_head ring;
	struct list_head wake;
	bool is_waiting;
	bool is_called;
	bool may_recall;
	u64 reserved_bytes;
	u64 hold_bytes;
	u64 asked;
};

/**
 * struct rngq_turns - a bucket, and those who want of it
 * @bucket:	the bucket
 * @ring:	the members, whoever gets the next odd byte at the head
 * @members:	how many are in the ring
 * @waiting:	how many of them wait
 * @reserved_bytes: sum of what is left of all shares
 * @round:	the bucket's count of refills when the round began
 * @cut_ns:	when shares are cut next; RNGQ_NEVER: not in this round
 * @fresh:	nothing has been dealt out in this round
 */
struct rngq_turns {
	struct rngq_bucket bucket;
	struct list_head ring;
	u64 members;
	u64 waiting;
	u64 reserved_bytes;
	u64 round;
	u64 cut_ns;
	bool fresh;
};

void rngq_turns_init(struct rngq_turns *turns, const struct rngq_quota *quota);
void rngq_turn_init(struct rngq_turn *turn);

u64 rngq_turns_available(struct rngq_turns *turns,
			 const struct rngq_turn *turn, u64 now_ns);
u64 rngq_turns_take(struct rngq_turns *turns, struct rngq_turn *turn,
		    u64 want_bytes, u64 now_ns, struct rngq_draw *draw);
void rngq_turns_give_back(struct rngq_turns *turns,
			  const struct rngq_draw *draw, u64 bytes, u64 now_ns);

void rngq_turns_wait(struct rngq_turns *turns, struct rngq_turn *turn);
void rngq_turns_withdraw(struct rngq_turns *turns, struct rngq_turn *turn);
void rngq_turns_leave(struct rngq_turns *turns, struct rngq_turn *turn);
void rngq_turns_deal(struct rngq_turns *turns, u64 now_ns,
		     struct list_head *wake);
u64 rngq_turns_next_ns(const struct rngq_turns *turns);

void rngq_turns_set_quota(struct rngq_turns *turns,
			  const struct rngq_quota *quota, u64 now_ns);

#endif
