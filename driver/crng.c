// SPDX-License-Identifier: GPL-2.0
/*
 * Is the kernel's random number generator initialized, and who wakes those
 * who wait for it?
 */
#include "crng.h"

#include <linux/cache.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

/* Half of the 100 ms that waiters were promised: ticks may be 10 ms long. */
#define LOOK_INTERVAL_MS	50

bool rngq_crng_seen_ready __read_mostly;

/* Protects the list. Taken inside client->wait.lock, so with interrupts off. */
static DEFINE_SPINLOCK(watchers_lock);
static LIST_HEAD(watchers);

static void look(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look);

/**
 * __rngq_crng_ready() - ask the kernel, and remember a yes
 *
 * Context: Any.
 * Return: Whether the kernel's generator is initialized.
 */
bool __rngq_crng_ready(void)
{
	if (!rng_is_initialized())
		return false;
	WRITE_ONCE(rngq_crng_seen_ready, true);
	return true;
}

/**
 * rngq_crng_watch() - have a waiter woken when the generator is ready
 * @waiter: the waiter; it stays on the list until then, or rngq_crng_leave()
 *
 * Context: Interrupts are off. A waiter calls this when it found the generator not
 * ready and before it releases its own lock: waking it takes that lock to see
 * whether anybody still waits, so it can't miss one.
 */
void rngq_crng_watch(struct rngq_waiter *waiter)
{
	spin_lock(&watchers_lock);
	if (list_empty(&waiter->node))
		list_add_tail(&waiter->node, &watchers);
	spin_unlock(&watchers_lock);
	schedule_delayed_work(&look_work, msecs_to_jiffies(LOOK_INTERVAL_MS));
}

/**
 * rngq_crng_leave() - don't wait for the generator any more
 * @waiter: the waiter; it may be woken this moment, and not later
 *
 * Context: Process context.
 */
void rngq_crng_leave(struct rngq_waiter *waiter)
{
	spin_lock_irq(&watchers_lock);
	list_del_init(&waiter->node);
	spin_unlock_irq(&watchers_lock);
}

static struct rngq_waiter *pop(void)
{
	struct rngq_waiter *waiter;

	spin_lock_irq(&watchers_lock);
	waiter = list_first_entry_or_null(&watchers, struct rngq_waiter, node);
	if (waiter) {
		list_del_init(&waiter->node);
		rngq_waiter_hold(waiter);
	}
	spin_unlock_irq(&watchers_lock);
	return waiter;
}

static void look(struct work_struct *work)
{
	struct rngq_waiter *waiter;

	if (rngq_crng_ready()) {
		while ((waiter = pop())) {
			rngq_waiter_wake(waiter);
			cond_resched();
		}
	} else if (!list_empty_careful(&watchers)) {
		schedule_delayed_work(&look_work,
				      msecs_to_jiffies(LOOK_INTERVAL_MS));
	}
}

/**
 * rngq_crng_stop() - end the watch
 *
 * Context: Process context, may sleep. No client is left to start it anew.
 */
void rngq_crng_stop(void)
{
	cancel_delayed_work_sync(&look_work);
}
