/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shares: who gets what of a bucket that is too small for all (max-min fairness).
 *
 * Rounds. Each refill begins a round. Its members are the clients that took a byte
 * in the round before, and those that wait. The bucket divided by the members is
 * a share. Nobody walks over the members: each sees by the number of the round that
 * it is behind, when it next comes.
 *
 * Who does not wait may take its share at once, at any time of the round. As many
 * bytes are set aside for them as they took in the round before, each a share at
 * the most: that is what they are expected to want.
 *
 * Who finds nothing waits in line. From its head each waiter is granted a quantum:
 * what is not set aside, divided by those who waited when the round began. What is
 * left then goes to those who wait some milliseconds later. A grant is kept for its
 * client until the epoch ends. Nobody else may take what waiters want. Who polls, if
 * it is trusted (see below), is believed to want twice what it took in this round and
 * the one before, at the most.
 *
 * Closing. Shortly before the refill the round's second epoch begins: nothing is set
 * aside any more, grants lapse, and the waiters are granted what there is. For the
 * refill may find no room for it.
 *
 * Newcomers. A grant uses up a client's trust, taking a byte restores it. Who is not
 * trusted (it is new, or its last grant lapsed) and does not sleep in read() may
 * only be asking. If in an epoch such newcomers leave more than a 32nd of the bucket
 * of what they were granted, they are in doubt: for some rounds they wait apart, and
 * are granted nothing. A 32nd of the bucket is set aside for all of them instead, if
 * they ask; who takes of that is trusted. So asking alone earns nothing, and makes
 * others wait for a 32nd of the bucket, until closing.
 *
 * Example: 90 bytes a second. A and B are greedy and wait, C took 20 bytes in the
 * round before. A share is 30 bytes, 20 are set aside, A and B are granted 35 each.
 * If C takes 15 of them only, A and B are granted the other 5 at closing.
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
	u64 granted_bytes;	/* of them, by a grant of that epoch */
};

/* What belongs to one client, which it is a part of. */
struct rngq_member {
	struct rngq_waiter waiter;	/* on a list, or granted something in line */
	bool is_waiting;
	bool is_apart;		/* it waits among the newcomers, not in line */
	bool is_newcomer;	/* it was one when it began to wait */
	bool is_trusted;	/* it took a byte after its last grant */
	bool has_waited;	/* in the round that it was last seen in, */
	u64 round;		/* which is this one */
	u64 taken_bytes;	/* what it took in that round, and ... */
	u64 before_bytes;	/* ... in the last one before in which it took any */
	u64 want_bytes;		/* if it waits */
	u64 epoch;		/* when it began to wait, or got its grant */
	u64 granted_bytes;	/* what is left of that */
};

/* A bucket, and those who share it. */
struct rngq_shares {
	struct rngq_bucket bucket;
	u64 now_ns;
	struct list_head line;
	struct list_head newcomers;
	u64 nr_waiting;		/* in line */
	u64 want_bytes;		/* what they want */

	u64 round;
	u64 refills;		/* the bucket's count of them when it began */
	u64 end_ns;
	u64 closing_ns;		/* RNGQ_NEVER: done, or the clock stands */
	u64 share_bytes;	/* a byte above an equal share; 0: not a byte each */
	u64 expected_bytes;	/* set aside for members that don't wait, */
	u64 newcomer_bytes;	/* and for newcomers */
	unsigned int doubt;	/* rounds for which they are in doubt yet */

	/* Counted for the next round: */
	u64 nr_takers;		/* clients that took something */
	u64 absent_bytes;	/* what they are expected to want */
	u64 nr_idle;		/* those in line that took nothing */
	u64 lapsed_bytes;	/* what newcomers have left of their grants */
	bool was_asked;		/* by a newcomer that had no grant */
	bool was_drained;	/* newcomers took all that was set aside for them */

	u64 epoch;
	u64 quantum_bytes;
	u64 granted_bytes;	/* what is left of all grants */
	bool is_short;		/* somebody was granted less than it wants */
	u64 dealt_epoch;	/* when the last deal ended */
	u64 next_deal_ns;	/* not before, in the same epoch */
	unsigned int nr_woken;	/* in this deal, ... */
	unsigned int nr_called;	/* ... of which so many are newcomers */
};

/* What a client does that finds nothing. */
enum rngq_way {
	RNGQ_GO,		/* it only looked */
	RNGQ_WAIT,		/* it would like to be woken */
	RNGQ_SLEEP,		/* the same, and it will take it for sure */
};

void rngq_shares_init(struct rngq_shares *shares,
		      const struct rngq_quota *quota);
void rngq_shares_refresh(struct rngq_shares *shares, u64 now_ns);
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
void rngq_shares_leave(struct rngq_shares *shares, struct rngq_member *member);
struct rngq_member *rngq_shares_grant(struct rngq_shares *shares);
u64 __rngq_shares_next_ns(struct rngq_shares *shares);

/**
 * rngq_shares_next_ns() - when to deal next
 * @shares: the bucket and those who share it
 *
 * Context: Any; the owner's lock is held.
 * Return: The time, which may be past; RNGQ_NEVER if nobody waits.
 */
static inline u64 rngq_shares_next_ns(struct rngq_shares *shares)
{
	if (!shares->nr_waiting && list_empty(&shares->newcomers))
		return RNGQ_NEVER;
	return __rngq_shares_next_ns(shares);
}

#endif
