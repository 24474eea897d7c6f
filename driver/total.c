// SPDX-License-Identifier: GPL-2.0
/*
 * The whole host: one bucket above those of all clients.
 */
#include "total.h"
#include "client.h"
#include "compat.h"

#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/hrtimer.h>
#include <linux/kobject.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/time64.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

bool rngq_total_limits __read_mostly;

/* The least time between deals of what comes free between refills and cuts. */
#define DEAL_DISTANCE_NS	(10 * NSEC_PER_MSEC)

/*
 * Protects all below, and every client's turn. Taken inside client->wait.lock, so
 * with interrupts off: who doesn't hold that one turns them off.
 */
static DEFINE_SPINLOCK(total_lock);
static struct rngq_turns total_turns;
static LIST_HEAD(to_wake);
static struct hrtimer deal_timer;
static struct workqueue_struct *deal_queue;
static u64 dealt_ns;

static void deal(struct work_struct *work);
static DECLARE_WORK(deal_work, deal);

/*
 * Let the next deal come when it is due. To be called after each change. A refill
 * is dealt out at once. But what a client gives back, which it can do again and
 * again, waits for a while or for the next refill or cut: a deal may go round all
 * members.
 */
static void schedule_deal(void)
{
	u64 next_ns = rngq_turns_next_ns(&total_turns);

	lockdep_assert_held(&total_lock);

	/* The work does this in the end, too. */
	if (next_ns == RNGQ_NEVER || work_pending(&deal_work))
		return;
	if (!next_ns && !total_turns.fresh &&
	    total_turns.round == total_turns.bucket.refills)
		next_ns = min3(dealt_ns + DEAL_DISTANCE_NS,
			       total_turns.bucket.refill_ns,
			       total_turns.cut_ns);
	if (!next_ns) {
		queue_work(deal_queue, &deal_work);
		return;
	}
	if (hrtimer_is_queued(&deal_timer) &&
	    hrtimer_get_expires(&deal_timer) == ns_to_ktime(next_ns))
		return;
	hrtimer_start(&deal_timer, ns_to_ktime(next_ns), HRTIMER_MODE_ABS);
}

static enum hrtimer_restart deal_timer_expired(struct hrtimer *timer)
{
	queue_work(deal_queue, &deal_work);
	return HRTIMER_NORESTART;
}

/* The next client to be woken, with a reference to it. */
static struct rngq_client *next_to_wake(void)
{
	struct rngq_client *client;
	struct rngq_turn *turn;

	turn = list_first_entry_or_null(&to_wake, struct rngq_turn, wake);
	if (!turn)
		return NULL;
	list_del_init(&turn->wake);
	/* Its file has not let go of it: before that it leaves the list. */
	client = container_of(turn, struct rngq_client, turn);
	kobject_get(&client->kobj);
	return client;
}

static void deal(struct work_struct *work)
{
	struct rngq_client *client;

	spin_lock_irq(&total_lock);
	dealt_ns = ktime_get_ns();
	rngq_turns_deal(&total_turns, dealt_ns, &to_wake);
	while ((client = next_to_wake())) {
		spin_unlock_irq(&total_lock);
		rngq_client_recheck(client);
		rngq_client_put(client);
		cond_resched();
		spin_lock_irq(&total_lock);
	}
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
	rngq_turns_init(&total_turns, quota);
	WRITE_ONCE(rngq_total_limits, quota->rate_bytes != RNGQ_MAX);
	return 0;
}

/**
 * rngq_total_set_quota() - change the host's quota
 * @quota: the new quota
 *
 * The caller rechecks every client afterwards. That wakes those who may read
 * now; and as it takes each client's lock, nobody goes on who came by before
 * there was a limit.
 *
 * Context: Process context, may sleep; calls don't overlap.
 */
void rngq_total_set_quota(const struct rngq_quota *quota)
{
	spin_lock_irq(&total_lock);
	rngq_turns_set_quota(&total_turns, quota, ktime_get_ns());
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
 * rngq_total_leave() - give a client's place up, and its share
 * @turn: the client's place, for which nobody asks any more
 *
 * Context: Process context.
 */
void rngq_total_leave(struct rngq_turn *turn)
{
	spin_lock_irq(&total_lock);
	rngq_turns_leave(&total_turns, turn);
	schedule_deal();
	spin_unlock_irq(&total_lock);
}

/**
 * __rngq_total_available() - what the host lets a client take, if there is a limit
 * @turn: the client's place
 * @own_bytes: what its own bucket lets it take, at least 1
 * @line_up: if it may take nothing, it is to get in line
 *
 * Context: The client's lock is held.
 * Return: Bytes, @own_bytes at the most.
 */
u64 __rngq_total_available(struct rngq_turn *turn, u64 own_bytes, bool line_up)
{
	u64 bytes;

	spin_lock(&total_lock);
	bytes = rngq_turns_available(&total_turns, turn, ktime_get_ns());
	if (!bytes && line_up)
		rngq_turns_wait(&total_turns, turn);
	/* A mere look can begin a round, in which others are in line again. */
	schedule_deal();
	spin_unlock(&total_lock);
	return min(bytes, own_bytes);
}

/**
 * __rngq_total_take() - rngq_total_take() where there may be a limit
 * @turn: the client's place
 * @want_bytes: how many at the most
 * @draw: where they came from, for rngq_total_give_back()
 *
 * Context: The client's lock is held.
 * Return: How many it may read; 0 if another client was quicker.
 */
u64 __rngq_total_take(struct rngq_turn *turn, u64 want_bytes,
		      struct rngq_draw *draw)
{
	u64 bytes;

	spin_lock(&total_lock);
	bytes = rngq_turns_take(&total_turns, turn, want_bytes, ktime_get_ns(), draw);
	schedule_deal();
	spin_unlock(&total_lock);
	return bytes;
}

/**
 * __rngq_total_give_back() - rngq_total_give_back() of something
 * @draw: where it came from
 * @bytes: how many bytes of @draw were not delivered
 *
 * Context: The client's lock is held.
 */
void __rngq_total_give_back(const struct rngq_draw *draw, u64 bytes)
{
	spin_lock(&total_lock);
	rngq_turns_give_back(&total_turns, draw, bytes, ktime_get_ns());
	schedule_deal();
	spin_unlock(&total_lock);
}

/**
 * __rngq_total_withdraw() - rngq_total_withdraw() where there may be a limit
 * @turn: the client's place
 *
 * Context: The client's lock is held.
 */
void __rngq_total_withdraw(struct rngq_turn *turn)
{
	spin_lock(&total_lock);
	rngq_turns_withdraw(&total_turns, turn);
	schedule_deal();
	spin_unlock(&total_lock);
}
