/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shares: who gets what of a bucket that is too small for all (max-min fairness).
 *
 * Rounds. Each refill begins a round. Its members are the clients that took a byte
 * in the round before, and those in line. The bucket divided by the members is a
 * share. Nobody walks over the members: each sees by the number of the round that
 * it is behind, when it next comes.
 *
 * Who does not wait may take up to a share at once, at any time of the round. What
 * such members took in the round before is expected of them again, and set aside.
 * So no member may take more than twice what it took in the last round in which it
 * took any. What nobody wants comes on top of that.
 *
 * Who finds nothing waits in line, in the order of virtual time. A grant of a whole
 * quantum puts a client's virtual time on by a turn, a smaller one by less. A quantum
 * is what is not set aside, divided by those in line when the round began. What is
 * left then is granted some milliseconds later, to those who wait then. A grant is
 * kept for its client until the epoch ends. What waiters want is taken by nobody else,
 * but for the shares of those who do not wait. Who polls is believed to want twice what
 * it took in this round and the one before, unless its last read came short.
 *
 * Closing. Shortly before the refill the round's second epoch begins: nothing is set
 * aside any more, grants lapse, and the waiters are granted what there is, each up to
 * twice what it took in this round and the one before. For the refill may find no room
 * for it.
 *
 * Newcomers are clients that have not taken a byte yet, or not since their last grant:
 * they may only be asking. (Who took a byte in the round before, has its share all the
 * same, if it does not wait.) They wait apart, and are granted nothing. A share for
 * each is set aside for all of them (half of the bucket at the most, if that is more
 * than 8 bytes), and they are called as long as they find some of it. Half of it is for
 * those only that were called. If newcomers leave more than half of it, they are in
 * doubt: it is a 32nd of the bucket then, until they take half of that, or none comes.
 * Who takes a byte is no newcomer any more. So asking alone earns nothing, and makes
 * others wait until closing for a 32nd of the bucket, and for half of it in the first
 * round.
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
#include <linux/rbtree.h>
#include <linux/types.h>

#include "bucket.h"
#include "waiter.h"

/* Bytes that were taken, for giving them back. */
struct rngq_share_draw {
	struct rngq_draw bucket;
	u64 *sum;		/* so many of them were set aside or granted, ... */
	u64 due_bytes;
	u64 epoch;		/* ... in that epoch */
	bool was_trusted;	/* the client, before */
};

/* What belongs to one client, which it is a part of. */
struct rngq_member {
	struct rngq_waiter waiter;	/* among the newcomers that wait */
	struct rb_node node;		/* in line */
	bool is_apart;
	bool is_in_line;
	bool is_called;		/* as a newcomer, after it waited */
	bool is_short;		/* it got less than it wanted when it last got any */
	bool is_trusted;	/* it took a byte after its last grant: no newcomer */
	bool is_expected;	/* it took a byte in the round before */
	u64 round;		/* the round that it was last seen in */
	u64 taken_bytes;	/* what it took in that round, and ... */
	u64 before_bytes;	/* ... in the last one before in which it took any */
	u64 want_bytes;		/* if it is in line */
	u64 epoch;		/* when it began to wait, or got its grant */
	u64 granted_bytes;	/* what is left of that */
	u64 vtime;		/* its place in line */
};

/* A bucket, and those who share it. */
struct rngq_shares {
	struct rngq_bucket bucket;
	u64 now_ns;
	struct rb_root_cached line;
	struct list_head newcomers;	/* that wait */
	u64 nr_newcomers;
	u64 nr_waiting;		/* in line */
	u64 want_bytes;		/* what they want */
	u64 vtime;		/* the latest at which a grant was made */

	u64 round;
	u64 end_ns;		/* when the next one begins */
	u64 next_ns;		/* when closing does, or, after that, the next one */
	u64 share_bytes;	/* at least 1 */
	u64 least_bytes;	/* what a wake-up is worth, if it is wanted */
	u64 expected_bytes;	/* set aside for members that don't wait, */
	u64 newcomer_bytes;	/* and for newcomers; it was so much ... */
	u64 newcomer_part;
	u64 newcomer_share;	/* ... and is so much for each */
	bool in_doubt;		/* newcomers left it */

	/* Counted for the next round: */
	u64 nr_members;
	u64 absent_bytes;	/* what they are expected to want */
	bool was_asked;		/* by a newcomer, ... */
	bool was_refused;	/* ... which found nothing */

	u64 epoch;
	u64 quantum_bytes;
	u64 turn_bytes;		/* the quantum of the round */
	u64 granted_bytes;	/* what is left of all grants */
	bool is_short;		/* somebody was granted less than it wants */
	u64 next_deal_ns;	/* 0: there was none in this epoch */
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
void rngq_shares_leave(struct rngq_shares *shares, struct rngq_member *member);
void rngq_shares_go_on(struct rngq_shares *shares, struct rngq_member *member,
		       const struct rngq_member *left);
struct rngq_member *rngq_shares_grant(struct rngq_shares *shares);
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
