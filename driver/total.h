/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The whole host: one bucket above those of all clients, which share it (shares.h).
 *
 * While its rate is max, which is how it starts, readers look at a flag that is
 * hardly ever written, and share nothing else. Below that, what a client takes
 * it takes from both buckets.
 *
 * One spinlock guards the bucket and every client's member. It is taken inside a
 * client's lock, so whoever holds it can't wake a client. A work item does, which
 * is queued when there is something to deal: it calls one waiter after the other, and
 * wakes it, holding a reference to it and no lock.
 */
#ifndef RNGQUOTA_TOTAL_H
#define RNGQUOTA_TOTAL_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "quota.h"
#include "shares.h"

/*
 * Is the rate below max? Only total.c writes it. A static key won't do: it is
 * patched place by place, and a client's lock may be held between two places
 * that disagree.
 */
extern bool rngq_total_limits;

int rngq_total_init(const struct rngq_quota *quota);
void rngq_total_set_quota(const struct rngq_quota *quota);
void rngq_total_stop(void);
struct rngq_shares *rngq_total_lock(u64 now_ns);
void rngq_total_unlock(void);

/**
 * rngq_total_is_limited() - does the host's bucket have a limit?
 *
 * Context: A client's lock is held; its caller acts on the answer before it is
 * dropped.
 * Return: Whether it has.
 */
static inline bool rngq_total_is_limited(void)
{
	return unlikely(READ_ONCE(rngq_total_limits));
}

#endif
