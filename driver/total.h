/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The whole host: one bucket above those of all clients.
 *
 * While its rate is max, which is how it starts, readers look at a flag that is
 * hardly ever written, and share nothing else. Below that, what a client takes
 * it takes from both buckets, and if there is nothing for it here it waits for
 * its turn (turns.h).
 *
 * One spinlock guards it all. It is taken inside a client's lock, so whoever
 * holds it can't wake a client. That is done by a work item, which a timer or
 * a client queues when there is something to deal out: it deals, and wakes
 * those who got something one after the other, holding a reference to that
 * client and no lock. What comes free between refills and cuts may wait some
 * milliseconds for it.
 */
#ifndef RNGQUOTA_TOTAL_H
#define RNGQUOTA_TOTAL_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "bucket.h"
#include "quota.h"
#include "turns.h"

/*
 * Is the rate below max? Only total.c writes it. A static key won't do: it is
 * patched place by place, and rngq_client_await(), with interrupts off, could
 * go round for ever between two places that disagree, and hold up the patching.
 */
extern bool rngq_total_limits;

int rngq_total_init(const struct rngq_quota *quota);
void rngq_total_set_quota(const struct rngq_quota *quota);
void rngq_total_stop(void);
void rngq_total_leave(struct rngq_turn *turn);
void __rngq_total_withdraw(struct rngq_turn *turn);

u64 __rngq_total_available(struct rngq_turn *turn, u64 own_bytes, bool line_up);
u64 __rngq_total_take(struct rngq_turn *turn, u64 want_bytes,
		      struct rngq_draw *draw);
void __rngq_total_give_back(const struct rngq_draw *draw, u64 bytes);

/**
 * rngq_total_is_limited() - does the host's bucket have a limit?
 *
 * Context: The client's lock is held, for an answer that holds until it is dropped.
 * Return: Whether it has.
 */
static inline bool rngq_total_is_limited(void)
{
	return unlikely(READ_ONCE(rngq_total_limits));
}

/**
 * rngq_total_available() - how much of some bytes the host lets a client take
 * @turn: the client's place
 * @own_bytes: what its own bucket lets it take
 *
 * Context: The client's lock is held.
 * Return: Bytes, @own_bytes at the most.
 */
static inline u64 rngq_total_available(struct rngq_turn *turn, u64 own_bytes)
{
	if (rngq_total_is_limited() && own_bytes)
		return __rngq_total_available(turn, own_bytes, false);
	return own_bytes;
}

/**
 * rngq_total_line_up() - the same, and get in line if it lets it take nothing
 * @turn: the client's place
 * @own_bytes: what its own bucket lets it take; if nothing, it doesn't line up
 *
 * Context: The client's lock is held.
 * Return: Bytes, @own_bytes at the most. If the client is in line,
 * rngq_client_recheck() will be called for it at its turn.
 */
static inline u64 rngq_total_line_up(struct rngq_turn *turn, u64 own_bytes)
{
	if (rngq_total_is_limited() && own_bytes)
		return __rngq_total_available(turn, own_bytes, true);
	return own_bytes;
}

/**
 * rngq_total_take() - take bytes for a client
 * @turn: the client's place
 * @want_bytes: how many at the most
 * @draw: where they came from, for rngq_total_give_back()
 *
 * Context: The client's lock is held.
 * Return: How many it may read.
 */
static inline u64 rngq_total_take(struct rngq_turn *turn, u64 want_bytes,
				  struct rngq_draw *draw)
{
	if (rngq_total_is_limited())
		return __rngq_total_take(turn, want_bytes, draw);
	draw->level_bytes = 0;
	return want_bytes;
}

/**
 * rngq_total_give_back() - give back what could not be delivered
 * @draw: where it came from
 * @bytes: how many bytes of @draw were not delivered
 *
 * Context: The client's lock is held.
 */
static inline void rngq_total_give_back(const struct rngq_draw *draw, u64 bytes)
{
	if (draw->level_bytes)
		__rngq_total_give_back(draw, bytes);
}

/**
 * rngq_total_withdraw() - give a client's share up, and wait no longer
 * @turn: the client's place
 *
 * Context: The client's lock is held.
 */
static inline void rngq_total_withdraw(struct rngq_turn *turn)
{
	if (rngq_total_is_limited())
		__rngq_total_withdraw(turn);
}

#endif
