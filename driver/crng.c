// SPDX-License-Identifier: GPL-2.0
/*
 * Is the kernel's random number generator initialized, and who wakes those
 * who wait for it?
 */
#include "crng.h"
#include "registry.h"

#include <linux/cache.h>
#include <linux/jiffies.h>
#include <linux/random.h>
#include <linux/workqueue.h>

/* Half of the 100 ms that waiters were promised: ticks may be 10 ms long. */
#define LOOK_INTERVAL_MS	50

bool rngq_crng_seen_ready __read_mostly;

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
 * rngq_crng_watch() - have waiters woken when the generator is ready
 *
 * Context: Any. A waiter calls this when it found the generator not ready and
 * before it releases its client's lock: the work takes that lock to see
 * whether anybody still waits, so it can't miss one.
 */
void rngq_crng_watch(void)
{
	schedule_delayed_work(&look_work, msecs_to_jiffies(LOOK_INTERVAL_MS));
}

static void look(struct work_struct *work)
{
	if (rngq_crng_ready())
		rngq_registry_recheck_clients();
	else if (rngq_registry_has_waiters())
		rngq_crng_watch();
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
