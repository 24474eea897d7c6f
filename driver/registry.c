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
#include <linux/rcupdate.h>
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
/* Those of them that a changed default has not reached yet. */
static LIST_HEAD(stale_clients);
static u64 nr_clients;
static u64 last_id;

/* What holds for the host, and for clients without overrides. */
static u64 values[RNGQ_NR_SETTINGS];

static void sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(sweep_work, sweep);
static unsigned int sweep_sec = SWEEP_MIN_SEC;

static struct rngq_quota quota_at(enum rngq_setting first)
{
	return (struct rngq_quota){
		.rate_bytes = values[first],
		.period_ms = values[first + 1],
		.burst_bytes = values[first + 2],
	};
}

/* Where it has no override, it follows the defaults. */
static void follow_defaults(struct rngq_client *client)
{
	enum rngq_setting setting;

	lockdep_assert_held(&registry_mutex);

	for (setting = 0; setting < RNGQ_QUOTA_SETTINGS; setting++) {
		if (!(client->overrides & BIT(setting)))
			*rngq_quota_value(&client->quota, setting) =
				values[setting];
	}
	rngq_client_set_quota(client);
}

static void sweep(struct work_struct *work)
{
	bool gone, found = false;

	mutex_lock(&registry_mutex);
	rngq_process_table_sweep_begin();
	while (rngq_process_table_sweep_next(&gone)) {
		found |= gone;
		mutex_unlock(&registry_mutex);
		cond_resched();
		mutex_lock(&registry_mutex);
	}
	if (found)
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
	total = quota_at(RNGQ_TOTAL_RATE_BYTES);
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
	client->quota = quota_at(RNGQ_RATE_BYTES);
	rngq_process_overlay(process, &client->quota);
	client->start = rngq_process_open(process, &client->bucket,
					  &client->quota,
					  values[RNGQ_BOOT_BYTES],
					  ktime_get_ns());
	if (client->start == RNGQ_START_GOES_ON)
		rngq_client_go_on(client, &process->member);
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
 * @client: the client, after rngq_client_stop(); changes no longer reach it
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_remove(struct rngq_client *client)
{
	struct rngq_bucket bucket;
	struct rngq_member member;

	mutex_lock(&registry_mutex);
	bucket = rngq_client_bucket(client);
	member = rngq_client_member(client);
	rngq_process_close(client->process, &bucket, &member);
	forget(client);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_cancel() - forget a client whose opening failed later on
 * @client: the client, which nobody has ever read or polled, after rngq_client_stop()
 *
 * Its process is as if it had not tried: see rngq_process_cancel().
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_cancel(struct rngq_client *client)
{
	struct rngq_bucket bucket;
	struct rngq_member member;

	mutex_lock(&registry_mutex);
	bucket = rngq_client_bucket(client);
	member = rngq_client_member(client);
	rngq_process_cancel(client->process, client->start, &bucket,
			    &member);
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

/**
 * rngq_registry_get_quota() - what a quota is, but for overrides
 * @first: its first setting: RNGQ_RATE_BYTES or RNGQ_TOTAL_RATE_BYTES
 *
 * Context: Process context, may sleep.
 * Return: The quota.
 */
struct rngq_quota rngq_registry_get_quota(enum rngq_setting first)
{
	struct rngq_quota quota;

	mutex_lock(&registry_mutex);
	quota = quota_at(first);
	mutex_unlock(&registry_mutex);
	return quota;
}

/*
 * If defaults change again meanwhile, all are stale again, and who comes back from
 * here last has seen the last one updated.
 */
static void update_clients(void)
{
	struct rngq_client *client;

	lockdep_assert_held(&registry_mutex);

	list_splice_tail_init(&clients, &stale_clients);
	while (!list_empty(&stale_clients)) {
		client = list_first_entry(&stale_clients, struct rngq_client,
					  node);
		list_move_tail(&client->node, &clients);
		follow_defaults(client);
		mutex_unlock(&registry_mutex);
		cond_resched();
		mutex_lock(&registry_mutex);
	}
}

/**
 * rngq_registry_set() - change settings, but for overrides, in one step
 * @first: the first one
 * @new_values: their values, in range
 * @nr: how many; all of one quota if there are more than one
 *
 * When this returns, the change holds for every client that it concerns, and
 * those that it lets read have been woken, or are the next to be. A boot credit
 * and the limits concern clients that come later.
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_set(enum rngq_setting first, const u64 *new_values,
		       unsigned int nr)
{
	bool is_total = first >= RNGQ_TOTAL_RATE_BYTES &&
		first <= RNGQ_TOTAL_BURST_BYTES;
	struct rngq_quota total;

	mutex_lock(&registry_mutex);
	memcpy(&values[first], new_values, nr * sizeof(*values));
	if (first < RNGQ_QUOTA_SETTINGS) {
		update_clients();
	} else if (is_total) {
		total = quota_at(RNGQ_TOTAL_RATE_BYTES);
		rngq_total_set_quota(&total);
	}
	mutex_unlock(&registry_mutex);
	/*
	 * Some may still be on their way who came by before there was a limit: who
	 * holds a client's lock. It is as good as rcu_read_lock(), RT or not.
	 */
	if (is_total)
		synchronize_rcu();
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
 * rngq_registry_override() - give a client settings of its own, in one step
 * @client: the client
 * @first: the first one, of its quota's settings
 * @new_values: their values, in range
 * @nr: how many
 *
 * The process that opened the client has them for its next clients, too.
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_override(struct rngq_client *client,
			    enum rngq_setting first, const u64 *new_values,
			    unsigned int nr)
{
	unsigned int i;

	mutex_lock(&registry_mutex);
	for (i = 0; i < nr; i++) {
		client->overrides |= BIT(first + i);
		*rngq_quota_value(&client->quota, first + i) = new_values[i];
		/* Its folder may still be in use when it has been closed. */
		if (client->process)
			rngq_process_override(client->process, first + i,
					      new_values[i]);
	}
	rngq_client_set_quota(client);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_follow() - let a client follow defaults again, in one step
 * @client: the client
 * @first: the first setting, of its quota's
 * @nr: how many
 *
 * So will the next clients of the process that opened this one.
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_follow(struct rngq_client *client,
			  enum rngq_setting first, unsigned int nr)
{
	unsigned int i;

	mutex_lock(&registry_mutex);
	for (i = 0; i < nr; i++) {
		client->overrides &= ~BIT(first + i);
		if (client->process)
			rngq_process_follow(client->process, first + i);
	}
	follow_defaults(client);
	mutex_unlock(&registry_mutex);
}
