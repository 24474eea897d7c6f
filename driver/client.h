/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A client: one open file description on /dev/rngquota.
 *
 * It has a bucket, a part in the host's (total.h), counters, a queue of those
 * who wait, and a timer that is armed only while somebody waits for the next
 * refill. device.c makes one at open() and ends it at the last close();
 * registry.c decides what its quota is and what its bucket starts with;
 * client_sysfs.c shows it to users. From then on nobody touches the bucket but
 * the code here, under the wait queue's own lock, so that nothing can change
 * between finding nothing and going to sleep.
 *
 * Who waits: a reader that sleeps in here, and whoever hangs on the wait queue
 * through poll, which with epoll is all the time. A wake-up is sent only when
 * there is something to read, and to this client's queue only.
 *
 * Lifetime: the file holds the client, and so does its folder in sysfs until
 * kobject_del(). Memory goes with the last reference to the kobject. The
 * module stays until all of them have gone: see rngq_client_wait_all_freed().
 */
#ifndef RNGQUOTA_CLIENT_H
#define RNGQUOTA_CLIENT_H

#include <linux/atomic.h>
#include <linux/hrtimer.h>
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

#include "bucket.h"
#include "process.h"
#include "quota.h"
#include "shares.h"
#include "waiter.h"

/**
 * struct rngq_counters - what a client has done
 * @bytes:		bytes delivered
 * @reads:		reads that returned at least one byte
 * @throttled:		waits for a refill of its own bucket or the host's
 * @throttled_ns:	how long those lasted that have ended
 */
struct rngq_counters {
	u64 bytes;
	u64 reads;
	u64 throttled;
	u64 throttled_ns;
};

/**
 * struct rngq_taken - where the bytes of a read came from
 * @own:	in the client's bucket
 * @total:	in the host's
 */
struct rngq_taken {
	struct rngq_draw own;
	struct rngq_share_draw total;
};

/*
 * Who guards a field:
 *
 * I: set before the client is known to others, and never again
 * R: the registry's mutex (registry.c)
 * L: wait.lock, which timers take, so with interrupts off
 * T: the lock of the host's bucket (total.c); wakers read @waiter's constants
 * K: the kobject's reference count
 * A: atomic, or once set for good; readers write it without a lock
 *
 * R is taken before L, and L before T.
 */
struct rngq_client {
	struct kobject kobj;		/* K */
	struct pid *pid;		/* I: thread group that opened it */
	kuid_t uid;			/* I: its effective user */
	char comm[TASK_COMM_LEN];	/* I: its leader's name */
	u64 id;				/* I */

	struct list_head node;		/* R: in the registry */
	struct rngq_quota quota;	/* R: as in force */
	unsigned long overrides;	/* R: a bit a setting of its own */
	struct rngq_process *process;	/* R: who opened it; NULL: closed */
	enum rngq_start start;		/* R: what it started with */

	wait_queue_head_t wait;
	struct hrtimer timer;		/* L: when it is armed, and for when */
	struct rngq_bucket bucket;	/* L */
	struct rngq_member member;	/* T: its part in the host's bucket */
	struct rngq_waiter crng_waiter;	/* on the generator's list (crng.c) */
	u64 throttled;			/* L: waits, of its own and the host's */
	u64 throttled_ns;		/* L: how long those lasted that ended */
	u64 throttled_since_ns;		/* L: RNGQ_NEVER: it is not */

	atomic64_t bytes;		/* A: delivered, counted as a read ends */
	atomic64_t reads;		/* A: that returned at least one byte */
	bool has_faulted;		/* A: a read had a bad address */
};

struct rngq_client *rngq_client_create(const struct kobj_type *type);
void rngq_client_go_on(struct rngq_client *client,
		       const struct rngq_member *left);
void rngq_client_stop(struct rngq_client *client);
struct rngq_bucket rngq_client_bucket(struct rngq_client *client);
struct rngq_member rngq_client_member(struct rngq_client *client);
void rngq_client_put(struct rngq_client *client);
void rngq_client_release(struct kobject *kobj);
void rngq_client_wait_all_freed(void);

size_t rngq_client_take(struct rngq_client *client, size_t want_bytes,
			struct rngq_taken *taken);
ssize_t rngq_client_await(struct rngq_client *client, size_t want_bytes,
			  size_t first_bytes, bool nowait,
			  struct rngq_taken *taken, u64 *available);
size_t rngq_client_take_more(struct rngq_client *client, size_t want_bytes,
			     struct rngq_taken *taken);
void rngq_client_give_back(struct rngq_client *client,
			   const struct rngq_taken *taken, size_t bytes);
void rngq_client_delivered(struct rngq_client *client, size_t bytes);
__poll_t rngq_client_poll(struct rngq_client *client, struct file *file,
			  poll_table *table);

void rngq_client_set_quota(struct rngq_client *client);
void rngq_client_recheck(struct rngq_client *client);
u64 rngq_client_snapshot(struct rngq_client *client,
			 struct rngq_counters *count);

#endif
