/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One who waits on a list, and how to wake it.
 *
 * A waiter is a part of what waits. Whoever owns the list comes to one waiter after
 * the other, and wakes each without holding the lock of the list: the reference
 * to the waiter's kobject keeps it in memory meanwhile.
 */
#ifndef RNGQUOTA_WAITER_H
#define RNGQUOTA_WAITER_H

#include <linux/kobject.h>
#include <linux/list.h>

/**
 * struct rngq_waiter - an entry of a list of waiters
 * @node:	on the list; empty: on none. The lock of the list guards it.
 * @kobj:	what the waiter is a part of
 * @wake:	wakes it; called without locks, in process context
 */
struct rngq_waiter {
	struct list_head node;
	struct kobject *kobj;
	void (*wake)(struct rngq_waiter *waiter);
};

/**
 * rngq_waiter_hold() - keep a waiter in memory for rngq_waiter_wake()
 * @waiter: the waiter, that was just found on the list
 *
 * Context: The lock of the list is held. So the waiter has not left the list
 * for good, which it does before its owner lets go of it.
 */
static inline void rngq_waiter_hold(struct rngq_waiter *waiter)
{
	kobject_get(waiter->kobj);
}

/**
 * rngq_waiter_wake() - wake a waiter, and let go of it
 * @waiter: the waiter, held; it may be gone afterwards
 *
 * Context: Process context, may sleep. No lock is held.
 */
static inline void rngq_waiter_wake(struct rngq_waiter *waiter)
{
	struct kobject *kobj = waiter->kobj;

	waiter->wake(waiter);
	kobject_put(kobj);
}

#endif
