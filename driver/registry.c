// SPDX-License-Identifier: GPL-2.0
/*
 * All clients, and which quota each has.
 */
#include "registry.h"
#include "client.h"
#include "process.h"
#include "process_table.h"
#include "stats.h"
#include "total.h"

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

/*
 * How long a process that is gone may be remembered: a sweep comes after the
 * least of these, and twice as late after one that has found nothing.
 */
#define SWEEP_MIN_SEC	1U
#define SWEEP_MAX_SEC	64U

/*
 * Protects all below, the table of processes, and the fields of struct
 * rngq_client marked R.
 */
static DEFINE_MUTEX(registry_mutex);

static LIST_HEAD(clients);
static u64 nr_clients;
static u64 last_id;

/* What holds for the host, and for clients without overrides. */
static u64 values[RNGQ_NR_SETTINGS];

static void sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(sweep_work, sweep);
static unsigned int sweep_sec = SWEEP_MIN_SEC;

static struct rngq_quota default_quota(void)
{
	return (struct rngq_quota){
		.rate_bytes = values[RNGQ_RATE_BYTES],
		.period_ms = values[RNGQ_PERIOD_MS],
		.burst_bytes = values[RNGQ_BURST_BYTES],
	};
}

static struct rngq_quota total_quota(void)
{
	return (struct rngq_quota){
		.rate_bytes = values[RNGQ_TOTAL_RATE_BYTES],
		.period_ms = values[RNGQ_TOTAL_PERIOD_MS],
		.burst_bytes = values[RNGQ_TOTAL_BURST_BYTES],
	};
}

static bool has_override(const struct rngq_client *client,
			 enum rngq_setting setting)
{
	return client->overrides & BIT(setting);
}

static void set_value(struct rngq_client *client, enum rngq_setting setting,
		      u64 value)
{
	lockdep_assert_held(&registry_mutex);

	*rngq_quota_value(&client->quota, setting) = value;
	rngq_client_set_quota(client);
}

static void recheck_clients(void)
{
	struct rngq_client *client;

	lockdep_assert_held(&registry_mutex);

	list_for_each_entry(client, &clients, node) {
		rngq_client_recheck(client);
		cond_resched();
	}
}

static void sweep(struct work_struct *work)
{
	mutex_lock(&registry_mutex);
	if (rngq_process_table_sweep())
		sweep_sec = SWEEP_MIN_SEC;
	else
		sweep_sec = min(2 * sweep_sec, SWEEP_MAX_SEC);
	if (rngq_process_table_has_idle())
		schedule_delayed_work(&sweep_work, sweep_sec * HZ);
	mutex_unlock(&registry_mutex);
}

/* A process may have no clients (any more). */
static void settle(struct rngq_process *process)
{
	lockdep_assert_held(&registry_mutex);

	if (!rngq_process_table_settle(process))
		return;
	/* Unless a sweep comes as soon anyway. */
	if (sweep_sec > SWEEP_MIN_SEC)
		cancel_delayed_work(&sweep_work);
	sweep_sec = SWEEP_MIN_SEC;
	schedule_delayed_work(&sweep_work, sweep_sec * HZ);
}

/**
 * rngq_registry_init() - set what holds at load
 * @at_load: the value of each setting
 *
 * Context: Process context, may sleep; before the first client.
 * Return: 0, or -ENOMEM.
 */
int rngq_registry_init(const u64 *at_load)
{
	struct rngq_quota total;

	mutex_lock(&registry_mutex);
	memcpy(values, at_load, sizeof(values));
	total = total_quota();
	mutex_unlock(&registry_mutex);
	return rngq_total_init(&total);
}

/**
 * rngq_registry_stop() - forget everything
 *
 * Context: Process context, may sleep; there are no clients, and none comes.
 */
void rngq_registry_stop(void)
{
	rngq_total_stop();
	cancel_delayed_work_sync(&sweep_work);
	mutex_lock(&registry_mutex);
	rngq_process_table_clear();
	mutex_unlock(&registry_mutex);
}

static int check_limits(const struct rngq_process *process)
{
	if (process->nr_clients >= values[RNGQ_MAX_CLIENTS_PER_PROCESS])
		return -EMFILE;
	if (nr_clients >= values[RNGQ_MAX_CLIENTS])
		return -ENFILE;
	return 0;
}

/**
 * rngq_registry_add() - take in a new client: give it an id, a quota, a bucket
 * @client: the client, which the current process opens; nobody knows it yet
 *
 * Context: Process context, may sleep.
 * Return: 0; -EMFILE or -ENFILE if there are too many, of the process or in
 * all; -ENOMEM.
 */
int rngq_registry_add(struct rngq_client *client)
{
	struct rngq_process *process;
	int err;

	process = rngq_process_table_new(client->pid);
	if (!process)
		return -ENOMEM;

	mutex_lock(&registry_mutex);
	process = rngq_process_table_find(process);
	err = check_limits(process);
	if (err) {
		rngq_stats_add(RNGQ_STAT_REFUSED, 1);
		settle(process);
		goto out_unlock;
	}

	client->id = ++last_id;
	client->process = process;
	client->overrides = process->overrides;
	client->quota = default_quota();
	rngq_process_overlay(process, &client->quota);
	client->start = rngq_process_open(process, &client->bucket,
					  &client->quota,
					  values[RNGQ_BOOT_BYTES],
					  ktime_get_ns());
	list_add_tail(&client->node, &clients);
	WRITE_ONCE(nr_clients, nr_clients + 1);

out_unlock:
	mutex_unlock(&registry_mutex);
	return err;
}

static void forget(struct rngq_client *client)
{
	lockdep_assert_held(&registry_mutex);

	list_del(&client->node);
	WRITE_ONCE(nr_clients, nr_clients - 1);
	settle(client->process);
	client->process = NULL;
}

/**
 * rngq_registry_remove() - forget a client, but not what its process has left
 * @client: the client, which nobody reads any more; changes no longer reach it
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_remove(struct rngq_client *client)
{
	struct rngq_bucket bucket;

	mutex_lock(&registry_mutex);
	bucket = rngq_client_bucket(client);
	rngq_process_close(client->process, &bucket);
	forget(client);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_cancel() - forget a client whose opening failed later on
 * @client: the client, which nobody has ever read or polled, so that it has
 *	neither a timer nor a turn to give up
 *
 * Its process is as if it had not tried: see rngq_process_cancel().
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_cancel(struct rngq_client *client)
{
	struct rngq_bucket bucket;

	mutex_lock(&registry_mutex);
	bucket = rngq_client_bucket(client);
	rngq_process_cancel(client->process, client->start, &bucket);
	forget(client);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_nr_clients() - count the clients
 *
 * Context: Any.
 * Return: How many there are now.
 */
u64 rngq_registry_nr_clients(void)
{
	return READ_ONCE(nr_clients);
}

/**
 * rngq_registry_get() - what a setting is, but for overrides
 * @setting: the setting
 *
 * Context: Process context, may sleep.
 * Return: Its value.
 */
u64 rngq_registry_get(enum rngq_setting setting)
{
	u64 value;

	mutex_lock(&registry_mutex);
	value = values[setting];
	mutex_unlock(&registry_mutex);
	return value;
}

static void set_default(enum rngq_setting setting)
{
	struct rngq_client *client;

	list_for_each_entry(client, &clients, node) {
		if (!has_override(client, setting))
			set_value(client, setting, values[setting]);
		cond_resched();
	}
}

static void set_total(void)
{
	struct rngq_quota total = total_quota();

	rngq_total_set_quota(&total);
	recheck_clients();
}

/**
 * rngq_registry_set() - change a setting, but for overrides
 * @setting: the setting
 * @value: its value, in range
 *
 * When this returns, the change holds for every client that it concerns, and
 * those that it lets read have been woken. A boot credit and the limits
 * concern clients that come later.
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_set(enum rngq_setting setting, u64 value)
{
	mutex_lock(&registry_mutex);
	values[setting] = value;
	switch (setting) {
	case RNGQ_RATE_BYTES:
	case RNGQ_PERIOD_MS:
	case RNGQ_BURST_BYTES:
		set_default(setting);
		break;
	case RNGQ_TOTAL_RATE_BYTES:
	case RNGQ_TOTAL_PERIOD_MS:
	case RNGQ_TOTAL_BURST_BYTES:
		set_total();
		break;
	default:
		break;
	}
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_quota() - what holds for a client
 * @client: the client
 * @quota: where its quota goes
 *
 * Context: Process context, may sleep.
 * Return: Its overrides, a bit a setting.
 */
unsigned long rngq_registry_quota(struct rngq_client *client,
				  struct rngq_quota *quota)
{
	unsigned long overrides;

	mutex_lock(&registry_mutex);
	*quota = client->quota;
	overrides = client->overrides;
	mutex_unlock(&registry_mutex);
	return overrides;
}

/**
 * rngq_registry_override() - give a client a setting of its own
 * @client: the client
 * @setting: one of its quota's settings
 * @value: its value, in range
 *
 * The process that opened the client has it for its next clients, too.
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_override(struct rngq_client *client,
			    enum rngq_setting setting, u64 value)
{
	mutex_lock(&registry_mutex);
	client->overrides |= BIT(setting);
	set_value(client, setting, value);
	/* Its folder may still be in use when it has been closed. */
	if (client->process)
		rngq_process_override(client->process, setting, value);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_follow() - let a client follow the default again
 * @client: the client
 * @setting: one of its quota's settings
 *
 * So will the next clients of the process that opened this one.
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_follow(struct rngq_client *client,
			  enum rngq_setting setting)
{
	mutex_lock(&registry_mutex);
	client->overrides &= ~BIT(setting);
	set_value(client, setting, values[setting]);
	if (client->process)
		rngq_process_follow(client->process, setting);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_recheck_clients() - wake every client that waits and may read
 *
 * Context: Process context, may sleep. To be called when something changed
 * that no client's own timer knows of.
 */
void rngq_registry_recheck_clients(void)
{
	mutex_lock(&registry_mutex);
	recheck_clients();
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_has_waiters() - does anybody wait on any client?
 *
 * Context: Process context, may sleep.
 * Return: Whether a client has a sleeping reader or a registered poller.
 */
bool rngq_registry_has_waiters(void)
{
	struct rngq_client *client;
	bool found = false;

	mutex_lock(&registry_mutex);
	list_for_each_entry(client, &clients, node) {
		found = rngq_client_has_waiters(client);
		if (found)
			break;
		cond_resched();
	}
	mutex_unlock(&registry_mutex);
	return found;
}
