// SPDX-License-Identifier: GPL-2.0
/*
 * The whole host: one bucket above those of all clients.
 */
#include "total.h"
#include "compat.h"

#include <linux/cache.h>
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

bool rngq_total_limits __read_mostly;

/*
 * Protects all below, and every client's member. Taken inside client->wait.lock,
 * so with interrupts off: who doesn't hold that one turns them off.
 */
static DEFINE_SPINLOCK(total_lock);
static struct rngq_shares total;
static struct hrtimer deal_timer;
static struct workqueue_struct *deal_queue;
static bool is_dealing;

static void deal(struct work_struct *work);
static DECLARE_WORK(deal_work, deal);

/* Some wait: see to it that the next deal comes when it is due. */
static void arm_deal(void)
{
	u64 next_ns;

	/* The work does this in the end, too. */
	if (is_dealing || work_pending(&deal_work))
		return;
	next_ns = rngq_shares_next_ns(&total);
	if (next_ns <= total.now_ns)
		queue_work(deal_queue, &deal_work);
	else if (!hrtimer_is_queued(&deal_timer) ||
		 hrtimer_get_expires(&deal_timer) != ns_to_ktime(next_ns))
		hrtimer_start(&deal_timer, ns_to_ktime(next_ns), HRTIMER_MODE_ABS);
}

/* To be called after each change. Each read does it, and hardly ever does anybody wait. */
static inline void schedule_deal(void)
{
	if (total.nr_waiting)
		arm_deal();
}

static enum hrtimer_restart deal_timer_expired(struct hrtimer *timer)
{
	queue_work(deal_queue, &deal_work);
	return HRTIMER_NORESTART;
}

static void deal(struct work_struct *work)
{
	struct rngq_member *member;

	spin_lock_irq(&total_lock);
	is_dealing = true;
	rngq_shares_refresh(&total, ktime_get_ns());
	while ((member = rngq_shares_call(&total))) {
		rngq_waiter_hold(&member->waiter);
		spin_unlock_irq(&total_lock);
		rngq_waiter_wake(&member->waiter);
		cond_resched();
		spin_lock_irq(&total_lock);
		rngq_shares_refresh(&total, ktime_get_ns());
	}
	is_dealing = false;
	schedule_deal();
	spin_unlock_irq(&total_lock);
}

/**
 * rngq_total_init() - set up the host's bucket
 * @quota: its quota
 *
 * Context: Process context, may sleep; before the first client.
 * Return: 0, or -ENOMEM.
 */
int rngq_total_init(const struct rngq_quota *quota)
{
	/* Readers wait for it, and it may take a while: not on a CPU of theirs. */
	deal_queue = alloc_workqueue("rngquota", WQ_UNBOUND | WQ_HIGHPRI, 1);
	if (!deal_queue)
		return -ENOMEM;

	hrtimer_setup(&deal_timer, deal_timer_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS);
	rngq_shares_init(&total, quota);
	WRITE_ONCE(rngq_total_limits, quota->rate_bytes != RNGQ_MAX);
	return 0;
}

/**
 * rngq_total_set_quota() - change the host's quota
 * @quota: the new quota
 *
 * Who holds a client's lock meanwhile may not have seen yet that there is a limit.
 *
 * Context: Process context.
 */
void rngq_total_set_quota(const struct rngq_quota *quota)
{
	spin_lock_irq(&total_lock);
	rngq_shares_refresh(&total, ktime_get_ns());
	rngq_shares_set_quota(&total, quota);
	WRITE_ONCE(rngq_total_limits, quota->rate_bytes != RNGQ_MAX);
	schedule_deal();
	spin_unlock_irq(&total_lock);
}

/**
 * rngq_total_stop() - stop dealing
 *
 * Context: Process context, may sleep; there are no clients.
 */
void rngq_total_stop(void)
{
	hrtimer_cancel(&deal_timer);
	destroy_workqueue(deal_queue);
}

/**
 * rngq_total_lock() - get the host's bucket, up to date
 * @now_ns: the time
 *
 * Context: Interrupts are off; a client's lock may be held.
 * Return: The bucket, until rngq_total_unlock().
 */
struct rngq_shares *rngq_total_lock(u64 now_ns)
	__acquires(total_lock)
{
	spin_lock(&total_lock);
	rngq_shares_refresh(&total, now_ns);
	return &total;
}

/**
 * rngq_total_unlock() - let the host's bucket go, and see to what changed
 *
 * Context: After rngq_total_lock().
 */
void rngq_total_unlock(void)
	__releases(total_lock)
{
	schedule_deal();
	spin_unlock(&total_lock);
}
