// SPDX-License-Identifier: GPL-2.0
/*
 * All clients, and which quota each has.
 */
#include "registry.h"
#include "client.h"
#include "stats.h"

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/sched.h>

/* Protects all below, and the fields of struct rngq_client marked R. */
static DEFINE_MUTEX(registry_mutex);

static LIST_HEAD(clients);
static u64 nr_clients;
static u64 last_id;

static struct rngq_quota default_quota;
static u64 default_boot_bytes;

static u64 *default_value(enum rngq_setting setting)
{
	if (setting == RNGQ_BOOT_BYTES)
		return &default_boot_bytes;
	return rngq_quota_value(&default_quota, setting);
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

/**
 * rngq_registry_init() - set the defaults that hold at load
 * @quota: every client's, but for its overrides
 * @boot_bytes: boot credit of a new client
 *
 * Context: Process context, may sleep; before the first client.
 */
void rngq_registry_init(const struct rngq_quota *quota, u64 boot_bytes)
{
	mutex_lock(&registry_mutex);
	default_quota = *quota;
	default_boot_bytes = boot_bytes;
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_add() - take in a new client: give it an id and a quota
 * @client: the client, known to nobody yet
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_add(struct rngq_client *client)
{
	mutex_lock(&registry_mutex);
	client->id = ++last_id;
	client->quota = default_quota;
	rngq_client_start(client, default_boot_bytes);
	list_add_tail(&client->node, &clients);
	WRITE_ONCE(nr_clients, nr_clients + 1);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_remove() - forget a client
 * @client: the client; changes of the defaults no longer reach it
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_remove(struct rngq_client *client)
{
	mutex_lock(&registry_mutex);
	list_del(&client->node);
	WRITE_ONCE(nr_clients, nr_clients - 1);
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
 * rngq_registry_default() - what a default is
 * @setting: the setting
 *
 * Context: Process context, may sleep.
 * Return: Its value.
 */
u64 rngq_registry_default(enum rngq_setting setting)
{
	u64 value;

	mutex_lock(&registry_mutex);
	value = *default_value(setting);
	mutex_unlock(&registry_mutex);
	return value;
}

/**
 * rngq_registry_set_default() - change a default
 * @setting: the setting
 * @value: its value, in range
 *
 * When this returns, the change holds for every client that follows the
 * default, and those that it lets read have been woken. A boot credit goes to
 * new clients only.
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_set_default(enum rngq_setting setting, u64 value)
{
	struct rngq_client *client;

	mutex_lock(&registry_mutex);
	*default_value(setting) = value;
	if (setting != RNGQ_BOOT_BYTES) {
		list_for_each_entry(client, &clients, node) {
			if (!has_override(client, setting))
				set_value(client, setting, value);
			cond_resched();
		}
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
 * Context: Process context, may sleep.
 */
void rngq_registry_override(struct rngq_client *client,
			    enum rngq_setting setting, u64 value)
{
	mutex_lock(&registry_mutex);
	client->overrides |= BIT(setting);
	set_value(client, setting, value);
	mutex_unlock(&registry_mutex);
}

/**
 * rngq_registry_follow() - let a client follow the default again
 * @client: the client
 * @setting: one of its quota's settings
 *
 * Context: Process context, may sleep.
 */
void rngq_registry_follow(struct rngq_client *client,
			  enum rngq_setting setting)
{
	mutex_lock(&registry_mutex);
	client->overrides &= ~BIT(setting);
	set_value(client, setting, *default_value(setting));
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
	struct rngq_client *client;

	mutex_lock(&registry_mutex);
	list_for_each_entry(client, &clients, node) {
		rngq_client_recheck(client);
		cond_resched();
	}
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
