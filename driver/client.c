// SPDX-License-Identifier: GPL-2.0
/*
 * A client: one open file description on /dev/rngquota. client.h tells what
 * belongs to it, who guards what and how long it lives.
 */
#include "client.h"
#include "compat.h"
#include "crng.h"
#include "stats.h"
#include "total.h"

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/cred.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/wait_bit.h>

/* Clients whose memory has not been freed yet. */
static atomic_t nr_allocated = ATOMIC_INIT(0);

static void end_throttle(struct rngq_client *client, u64 at_ns)
{
	u64 lasted_ns = at_ns - client->throttled_since_ns;

	client->throttled_since_ns = RNGQ_NEVER;
	client->throttled_ns += lasted_ns;
	rngq_stats_add(RNGQ_STAT_THROTTLED_NS, lasted_ns);
}

static bool is_throttled(const struct rngq_client *client)
{
	return client->throttled_since_ns != RNGQ_NEVER;
}

/*
 * What may be read, of its own bucket and the host's. If it is the host's that is in
 * the way, @way tells what to do about it.
 */
static u64 available_bytes(struct rngq_client *client, u64 want_bytes,
			   enum rngq_way way, u64 now_ns)
{
	u64 bytes = rngq_bucket_available(&client->bucket);
	struct rngq_shares *shares;

	if (!bytes || !rngq_total_is_limited())
		return bytes;
	/* All that wait may be added up, and don't overflow. */
	want_bytes = min3(bytes, want_bytes, BIT_ULL(40));
	shares = rngq_total_lock(now_ns);
	bytes = min(bytes, rngq_shares_ask(shares, &client->member, want_bytes,
					   way));
	rngq_total_unlock();
	return bytes;
}

/* It waits for the host's bucket no more. For its own it does until the refill. */
static void end_wait_for_total(struct rngq_client *client, u64 now_ns)
{
	lockdep_assert_held(&client->wait.lock);

	if (is_throttled(client) && rngq_bucket_available(&client->bucket))
		end_throttle(client, now_ns);
}

/* Bring the bucket up to date; a refill ends the wait for it when it was due */
static void refresh(struct rngq_client *client, u64 now_ns)
{
	u64 due_ns = client->bucket.refill_ns;
	bool was_empty;

	lockdep_assert_held(&client->wait.lock);

	if (now_ns < due_ns)
		return;
	was_empty = !rngq_bucket_available(&client->bucket);
	rngq_bucket_refill(&client->bucket, now_ns);
	/* Else it is the host's bucket that is waited for. */
	if (was_empty && is_throttled(client) &&
	    available_bytes(client, 1, RNGQ_GO, now_ns))
		end_throttle(client, due_ns);
}

static bool has_waiters(struct rngq_client *client)
{
	lockdep_assert_held(&client->wait.lock);

	/* Who joins the queue holds the lock, too: no barrier is needed. */
	return waitqueue_active(&client->wait);
}

/* If its own bucket is what is waited for, arm the timer for the refill. */
static void await_refill(struct rngq_client *client)
{
	ktime_t refill = ns_to_ktime(client->bucket.refill_ns);

	lockdep_assert_held(&client->wait.lock);

	if (rngq_bucket_available(&client->bucket))
		return;
	rngq_bucket_await(&client->bucket);
	if (!has_waiters(client))
		return;
	/* Programs that poll again and again find it armed already. */
	if (hrtimer_is_queued(&client->timer) &&
	    hrtimer_get_expires(&client->timer) == refill)
		return;
	hrtimer_start(&client->timer, refill, HRTIMER_MODE_ABS);
}

/* Somebody asked. A wait is over if there are @bytes; else there is one. */
static void note_wait(struct rngq_client *client, u64 bytes, u64 now_ns)
{
	if (bytes) {
		end_throttle(client, now_ns);
		return;
	}
	if (!is_throttled(client)) {
		client->throttled_since_ns = now_ns;
		client->throttled++;
		rngq_stats_add(RNGQ_STAT_THROTTLED, 1);
	}
	await_refill(client);
}

/*
 * What may be read; if nothing, note that somebody found it so, and see to it
 * that whoever is on the wait queue will be woken.
 */
static u64 available_or_await(struct rngq_client *client, u64 want_bytes,
			      enum rngq_way way, u64 *now_ns)
{
	u64 bytes;

	*now_ns = ktime_get_ns();
	refresh(client, *now_ns);

	/* Asked once: it may become ready at any time. */
	if (!rngq_crng_ready()) {
		rngq_crng_watch(&client->crng_waiter);
		return 0;
	}
	bytes = available_bytes(client, want_bytes, way, *now_ns);
	if (!bytes || is_throttled(client))
		note_wait(client, bytes, *now_ns);
	return bytes;
}

/* Something changed: wake those who wait, or see to it that they will be. */
static void recheck(struct rngq_client *client, u64 now_ns)
{
	refresh(client, now_ns);
	if (is_throttled(client) && available_bytes(client, 1, RNGQ_GO, now_ns))
		end_throttle(client, now_ns);

	/* Before the generator is ready nobody is woken: its watch does that. */
	if (!has_waiters(client) || !rngq_crng_ready())
		return;
	if (available_bytes(client, RNGQ_MAX, RNGQ_WAIT, now_ns))
		wake_up_locked_poll(&client->wait, EPOLLIN | EPOLLRDNORM);
	else
		await_refill(client);
}

static enum hrtimer_restart timer_expired(struct hrtimer *timer)
{
	struct rngq_client *client =
		container_of(timer, struct rngq_client, timer);

	/* The clock decides, not that the timer fired. */
	rngq_client_recheck(client);
	return HRTIMER_NORESTART;
}

/* Those it waited for have something: the host's bucket, or the generator. */
static void wake(struct rngq_waiter *waiter)
{
	rngq_client_recheck(container_of(waiter->kobj, struct rngq_client,
					 kobj));
}

static void init_waiter(struct rngq_client *client, struct rngq_waiter *waiter)
{
	INIT_LIST_HEAD(&waiter->node);
	waiter->kobj = &client->kobj;
	waiter->wake = wake;
}

/**
 * rngq_client_create() - make a client for the calling process
 * @type: its kobject's type; its release function is rngq_client_release()
 *
 * Context: Process context, may sleep.
 * Return: The client, which its caller puts; or NULL: no memory.
 */
struct rngq_client *rngq_client_create(const struct kobj_type *type)
{
	struct rngq_client *client;

	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		return NULL;

	atomic_inc(&nr_allocated);
	kobject_init(&client->kobj, type);
	client->pid = get_pid(task_tgid(current));
	client->uid = current_euid();
	rcu_read_lock();
	get_task_comm(client->comm, current->group_leader);
	rcu_read_unlock();

	INIT_LIST_HEAD(&client->node);
	init_waitqueue_head(&client->wait);
	hrtimer_setup(&client->timer, timer_expired, CLOCK_MONOTONIC,
		      HRTIMER_MODE_ABS);
	init_waiter(client, &client->member.waiter);
	init_waiter(client, &client->crng_waiter);
	client->throttled_since_ns = RNGQ_NEVER;
	return client;
}

/**
 * rngq_client_release() - free a client
 * @kobj: its kobject, whose last reference has gone
 *
 * Context: Process context, may sleep. Only the kobject's type calls this.
 */
void rngq_client_release(struct kobject *kobj)
{
	struct rngq_client *client =
		container_of(kobj, struct rngq_client, kobj);

	put_pid(client->pid);
	kfree(client);
	if (atomic_dec_and_test(&nr_allocated))
		wake_up_var(&nr_allocated);
}

/**
 * rngq_client_put() - drop the file's reference to a client
 * @client: the client, which must not be used afterwards
 *
 * Context: Process context, may sleep.
 */
void rngq_client_put(struct rngq_client *client)
{
	kobject_put(&client->kobj);
}

/**
 * rngq_client_wait_all_freed() - wait until no client's memory is left
 *
 * Context: Process context, may sleep; no client can be made any more. The
 * module must not go before. That matters where CONFIG_DEBUG_KOBJECT_RELEASE
 * puts releases off: there the last release may still be about to return
 * afterwards, as nothing tells when it has. Elsewhere the last close has freed
 * the client.
 */
void rngq_client_wait_all_freed(void)
{
	wait_var_event(&nr_allocated, !atomic_read(&nr_allocated));
}

/**
 * rngq_client_go_on() - have a client go on where one left that its process had
 * @client: the client, which nobody reads or polls yet
 * @left: what that one was of total/, after rngq_client_stop()
 *
 * Context: Process context.
 */
void rngq_client_go_on(struct rngq_client *client,
		       const struct rngq_member *left)
{
	spin_lock_irq(&client->wait.lock);
	rngq_total_lock(ktime_get_ns());
	rngq_shares_go_on(&client->member, left);
	rngq_total_unlock();
	spin_unlock_irq(&client->wait.lock);
}

/**
 * rngq_client_stop() - end a client's business
 * @client: the client, which nobody reads or polls any more
 *
 * Context: Process context, may sleep.
 */
void rngq_client_stop(struct rngq_client *client)
{
	u64 now_ns;

	hrtimer_cancel(&client->timer);
	rngq_crng_leave(&client->crng_waiter);

	/* A wait whose refill nobody came for has ended all the same. */
	spin_lock_irq(&client->wait.lock);
	now_ns = ktime_get_ns();
	refresh(client, now_ns);
	rngq_shares_withdraw(rngq_total_lock(now_ns), &client->member);
	rngq_total_unlock();
	end_wait_for_total(client, now_ns);
	spin_unlock_irq(&client->wait.lock);
}

/**
 * rngq_client_bucket() - look into a client's bucket
 * @client: the client
 *
 * Context: Process context.
 * Return: A copy of it.
 */
struct rngq_bucket rngq_client_bucket(struct rngq_client *client)
{
	struct rngq_bucket bucket;

	spin_lock_irq(&client->wait.lock);
	bucket = client->bucket;
	spin_unlock_irq(&client->wait.lock);
	return bucket;
}

/**
 * rngq_client_member() - look at what a client is of total/
 * @client: the client, after rngq_client_stop()
 *
 * Who reads its counters, or was about to wake it, may still bring it up to date.
 *
 * Context: Process context.
 * Return: A copy of it, for rngq_client_go_on().
 */
struct rngq_member rngq_client_member(struct rngq_client *client)
{
	struct rngq_member member;

	spin_lock_irq(&client->wait.lock);
	member = client->member;
	spin_unlock_irq(&client->wait.lock);
	return member;
}

static int wait_until_available(struct rngq_client *client, u64 want_bytes,
				u64 *available, u64 *now_ns)
{
	DECLARE_WAITQUEUE(wait, current);
	int err = 0;

	/* At the head, so that no exclusive poller takes the wake-up away. */
	__add_wait_queue(&client->wait, &wait);
	while (!err) {
		*available = available_or_await(client, want_bytes, RNGQ_WAIT,
						now_ns);
		if (*available)
			break;
		err = do_wait_intr_irq(&client->wait, &wait);
	}
	__remove_wait_queue(&client->wait, &wait);
	__set_current_state(TASK_RUNNING);
	return err;
}

/*
 * Take from both buckets, the client's own one up to date. At the host's others may
 * be quicker.
 */
static __always_inline u64 take(struct rngq_client *client, u64 bytes,
				u64 now_ns, struct rngq_taken *taken)
{
	taken->total.bucket.level_bytes = 0;
	if (rngq_total_is_limited()) {
		bytes = min(bytes, rngq_bucket_available(&client->bucket));
		if (!bytes)
			return 0;
		bytes = rngq_shares_take(rngq_total_lock(now_ns),
					 &client->member, bytes, &taken->total);
		rngq_total_unlock();
		if (!bytes)
			return 0;
	}
	return rngq_bucket_take(&client->bucket, bytes, now_ns, &taken->own);
}

/*
 * Something was taken. An edge-triggered poller may stop here, without having seen that
 * there is nothing left, and wait for the edge. And if the client is in line for the
 * host's bucket no more, other threads that wait would not be woken for what is left.
 * A read that goes on until it finds nothing (rngq_read_iter()) lines it up again.
 */
static void see_to_waiters(struct rngq_client *client, u64 now_ns,
			   const struct rngq_taken *taken)
{
	if (!has_waiters(client))
		return;
	if (!available_bytes(client, RNGQ_MAX, RNGQ_WAIT, now_ns))
		await_refill(client);
	else if (taken->total.bucket.level_bytes && taken->total.left_line)
		wake_up_locked_poll(&client->wait, EPOLLIN | EPOLLRDNORM);
}

/**
 * rngq_client_take() - take the bytes of a read, if nothing is in the way
 * @client: the client
 * @want_bytes: how many at the most, at least 1
 * @taken: where the bytes came from, for rngq_client_give_back()
 *
 * The way of nearly every read, so as short as can be: there is something, and
 * nobody waits. All else is the business of rngq_client_await().
 *
 * Context: Process context, does not sleep.
 * Return: How many bytes may be delivered, which are all that there are for this
 * read; 0: go on with rngq_client_await().
 */
size_t rngq_client_take(struct rngq_client *client, size_t want_bytes,
			struct rngq_taken *taken)
{
	struct rngq_bucket *bucket = &client->bucket;
	size_t bytes = 0;
	u64 now_ns = 0;

	spin_lock_irq(&client->wait.lock);
	if (rngq_crng_ready() &&
	    likely(!is_throttled(client) && !has_waiters(client))) {
		/* Without a limit it has no clock, and needs none. */
		if (bucket->rate_bytes != RNGQ_MAX || rngq_total_is_limited()) {
			now_ns = ktime_get_ns();
			rngq_bucket_refill(bucket, now_ns);
		}
		bytes = take(client, want_bytes, now_ns, taken);
	}
	spin_unlock_irq(&client->wait.lock);
	return bytes;
}

/**
 * rngq_client_await() - take the first bytes of a read, when there are some
 * @client: the client
 * @want_bytes: how many the read wants, at least 1
 * @first_bytes: how many of them to take first, at the most
 * @nowait: don't sleep
 * @taken: where the bytes came from, for rngq_client_give_back()
 * @available: what there was, these bytes included: the most that the whole
 *	read may return, or RNGQ_MAX
 *
 * Context: Process context; sleeps until there is something, unless @nowait.
 * Return: How many bytes may be delivered, at least 1; -EAGAIN if there is
 * nothing and @nowait; -ERESTARTSYS if a signal came before there was.
 */
ssize_t rngq_client_await(struct rngq_client *client, size_t want_bytes,
			  size_t first_bytes, bool nowait,
			  struct rngq_taken *taken, u64 *available)
{
	u64 bytes = 0;
	u64 now_ns;
	int err;

	spin_lock_irq(&client->wait.lock);
	do {
		*available = available_or_await(client, want_bytes,
						nowait && !has_waiters(client) ?
						RNGQ_TRY : RNGQ_WAIT, &now_ns);
		if (*available)
			err = 0;
		else if (nowait)
			err = -EAGAIN;
		else
			err = wait_until_available(client, want_bytes,
						   available, &now_ns);
		if (!err) {
			bytes = take(client, first_bytes, now_ns, taken);
			see_to_waiters(client, now_ns, taken);
		}
	} while (!err && !bytes);
	if (err && !has_waiters(client)) {
		/* Nobody waits. A timer that runs now does no harm. */
		hrtimer_try_to_cancel(&client->timer);
		/* Who doesn't sleep keeps its place, and will ask again. */
		if (!nowait) {
			rngq_shares_withdraw(rngq_total_lock(now_ns),
					     &client->member);
			rngq_total_unlock();
			end_wait_for_total(client, now_ns);
		}
	}
	spin_unlock_irq(&client->wait.lock);
	return err ? err : bytes;
}

/**
 * rngq_client_take_more() - take further bytes of a read
 * @client: the client
 * @want_bytes: how many at the most
 * @taken: where the bytes came from, for rngq_client_give_back()
 *
 * Context: Process context, does not sleep.
 * Return: How many bytes may be delivered; 0 if there are none.
 */
size_t rngq_client_take_more(struct rngq_client *client, size_t want_bytes,
			     struct rngq_taken *taken)
{
	size_t bytes;
	u64 now_ns;

	spin_lock_irq(&client->wait.lock);
	now_ns = ktime_get_ns();
	refresh(client, now_ns);
	bytes = take(client, want_bytes, now_ns, taken);
	see_to_waiters(client, now_ns, taken);
	spin_unlock_irq(&client->wait.lock);
	return bytes;
}

/**
 * rngq_client_give_back() - give back what could not be delivered
 * @client: the client
 * @taken: where it came from
 * @bytes: how many bytes of @taken were not delivered
 *
 * Context: Process context, does not sleep.
 */
void rngq_client_give_back(struct rngq_client *client,
			   const struct rngq_taken *taken, size_t bytes)
{
	u64 now_ns;

	spin_lock_irq(&client->wait.lock);
	now_ns = ktime_get_ns();
	refresh(client, now_ns);
	rngq_bucket_give_back(&client->bucket, &taken->own, bytes);
	if (taken->total.bucket.level_bytes) {
		rngq_shares_give_back(rngq_total_lock(now_ns), &client->member,
				      &taken->total, bytes);
		rngq_total_unlock();
	}
	recheck(client, now_ns);
	spin_unlock_irq(&client->wait.lock);
}

/**
 * rngq_client_delivered() - count what a read returned
 * @client: the client
 * @bytes: how many, at least 1
 *
 * Context: Process context, does not sleep.
 */
void rngq_client_delivered(struct rngq_client *client, size_t bytes)
{
	atomic64_add(bytes, &client->bytes);
	atomic64_inc(&client->reads);
	rngq_stats_add(RNGQ_STAT_BYTES, bytes);
	rngq_stats_add(RNGQ_STAT_READS, 1);
}

/**
 * rngq_client_poll() - may one read?
 * @client: the client
 * @file: its file
 * @table: as poll() got it
 *
 * Context: Process context.
 * Return: EPOLLIN | EPOLLRDNORM if a read would return a byte now; else 0, and
 * whoever registered is woken when it would.
 */
__poll_t rngq_client_poll(struct rngq_client *client, struct file *file,
			  poll_table *table)
{
	__poll_t events = 0;
	u64 now_ns;

	poll_wait(file, &client->wait, table);
	/* Whoever asks for nothing else is told nothing, and changes nothing. */
	if (!(poll_requested_events(table) & (EPOLLIN | EPOLLRDNORM)))
		return 0;

	spin_lock_irq(&client->wait.lock);
	if (available_or_await(client, RNGQ_MAX, RNGQ_WAIT, &now_ns))
		events = EPOLLIN | EPOLLRDNORM;
	spin_unlock_irq(&client->wait.lock);
	return events;
}

/**
 * rngq_client_set_quota() - put a changed quota into force
 * @client: the client, with its new quota
 *
 * Context: Process context; the registry's mutex is held.
 */
void rngq_client_set_quota(struct rngq_client *client)
{
	unsigned long flags;
	u64 now_ns;

	spin_lock_irqsave(&client->wait.lock, flags);
	now_ns = ktime_get_ns();
	refresh(client, now_ns);
	rngq_bucket_set_quota(&client->bucket, &client->quota, now_ns);
	recheck(client, now_ns);
	spin_unlock_irqrestore(&client->wait.lock, flags);
}

/**
 * rngq_client_recheck() - wake those who wait, if they may read now
 * @client: the client
 *
 * Context: Any.
 */
void rngq_client_recheck(struct rngq_client *client)
{
	unsigned long flags;

	spin_lock_irqsave(&client->wait.lock, flags);
	recheck(client, ktime_get_ns());
	spin_unlock_irqrestore(&client->wait.lock, flags);
}

/**
 * rngq_client_snapshot() - look at a client
 * @client: the client
 * @count: where its counters go
 *
 * Context: Process context.
 * Return: What its quota lets it read now, in bytes, or RNGQ_MAX.
 */
u64 rngq_client_snapshot(struct rngq_client *client,
			 struct rngq_counters *count)
{
	u64 available;

	spin_lock_irq(&client->wait.lock);
	refresh(client, ktime_get_ns());
	count->throttled = client->throttled;
	count->throttled_ns = client->throttled_ns;
	available = rngq_bucket_available(&client->bucket);
	spin_unlock_irq(&client->wait.lock);
	count->bytes = atomic64_read(&client->bytes);
	count->reads = atomic64_read(&client->reads);
	return available;
}
