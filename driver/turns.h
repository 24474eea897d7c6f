/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Turns: who gets what of a bucket that is too small for all.
 *
 * While nobody waits, whoever comes takes what there is. Who finds nothing gets
 * in line: a ring of clients. As soon as there is something, it is dealt out to
 * those in line: an equal share for each, but no more than it wants (max-min
 * fairness). Bytes that don't divide go one each to those at the head of the
 * ring, which then turns, so that the next ones go to others; if there are
 * fewer bytes than clients, that is all that is dealt out. Who was dealt
 * something is woken, nobody else. Asking again and again gains nothing: a
 * place in the ring is a place, and one that waits keeps it.
 *
 * A share is reserved for its client, yet stays in the bucket until it is
 * fetched: so the bucket's promise covers it, and nothing is lost with it. Who
 * has not fetched it three quarters of a period later loses it to those who
 * wait by then, and they have the last quarter to fetch it.
 *
 *	free = level - reserved
 *	share = free / waiting
 *
 * Example: 100 bytes a second. A and B are greedy, C wants 10 a second. At a
 * refill all three wait: 34, 33 and 33 are reserved. C takes 10 and is content.
 * After 0.75 s its other 23 are dealt out to A and B, who wait again.
 *
 * Times are passed in, and nothing in here locks: the owner does (total.c).
 */
#ifndef RNGQUOTA_TURNS_H
#define RNGQUOTA_TURNS_H

#include <linux/list.h>
#include <linux/types.h>

#include "bucket.h"

/**
 * struct rngq_turn - a client's place
 * @ring:	in the ring; empty: it has no place
 * @held:	among those with a share; empty: nothing is reserved for it
 * @wake:	among those to be woken; empty: it is not
 * @want_bytes:	what it waits for: how much it could use; 0: it doesn't wait
 * @reserved_bytes: what is left of its share
 * @dealt_ns:	when that was dealt out
 */
struct rngq_turn {
	struct list_head ring;
	struct list_head held;
	struct list_head wake;
	u64 want_bytes;
	u64 reserved_bytes;
	u64 dealt_ns;
};

/**
 * struct rngq_turns - a bucket, and those who want of it
 * @bucket:	the bucket
 * @ring:	places, the one that is served next at the head
 * @held:	places with a share, the oldest share at the head
 * @waiting:	how many in the ring wait
 * @reserved_bytes: sum of the shares
 */
struct rngq_turns {
	struct rngq_bucket bucket;
	struct list_head ring;
	struct list_head held;
	u64 waiting;
	u64 reserved_bytes;
};

void rngq_turns_init(struct rngq_turns *turns, const struct rngq_quota *quota);
void rngq_turn_init(struct rngq_turn *turn);

u64 rngq_turns_available(struct rngq_turns *turns,
			 const struct rngq_turn *turn, u64 now_ns);
u64 rngq_turns_take(struct rngq_turns *turns, struct rngq_turn *turn,
		    u64 want_bytes, u64 now_ns, struct rngq_draw *draw);
void rngq_turns_give_back(struct rngq_turns *turns,
			  const struct rngq_draw *draw, u64 bytes);

u64 rngq_turns_hold_ns(const struct rngq_turns *turns);
void rngq_turns_wait(struct rngq_turns *turns, struct rngq_turn *turn,
		     u64 want_bytes);
void rngq_turns_withdraw(struct rngq_turns *turns, struct rngq_turn *turn);
void rngq_turns_leave(struct rngq_turns *turns, struct rngq_turn *turn);
void rngq_turns_deal(struct rngq_turns *turns, u64 now_ns,
		     struct list_head *wake);
u64 rngq_turns_next_ns(const struct rngq_turns *turns);

void rngq_turns_set_quota(struct rngq_turns *turns,
			  const struct rngq_quota *quota, u64 now_ns);

#endif
