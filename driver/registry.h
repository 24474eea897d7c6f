/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All clients, and which quota each has.
 *
 * A client's quota follows the defaults, setting by setting, except where it
 * has an override. One mutex guards the defaults, the overrides and the list
 * of clients, so that a change reaches each of them exactly once. Whoever holds
 * it waits for nothing that a user controls. (open() as a whole can't keep to
 * that: it makes a client, whose memory is charged to a cgroup, under the mutex of
 * all misc devices.)
 *
 * The registry also bounds how many clients there are, in all and of one
 * process, and remembers each process while it lives (process.h), so that a
 * client's bucket and overrides outlast its closing and opening again. The
 * values of all settings that are not one client's are kept here; those of the
 * host's bucket are handed on to total.c.
 */
#ifndef RNGQUOTA_REGISTRY_H
#define RNGQUOTA_REGISTRY_H

#include <linux/types.h>

#include "quota.h"

struct rngq_client;

int rngq_registry_init(const u64 *at_load);
void rngq_registry_stop(void);
int rngq_registry_add(struct rngq_client *client);
void rngq_registry_remove(struct rngq_client *client);
void rngq_registry_cancel(struct rngq_client *client);
u64 rngq_registry_nr_clients(void);

u64 rngq_registry_get(enum rngq_setting setting);
void rngq_registry_set(enum rngq_setting setting, u64 value);
unsigned long rngq_registry_quota(struct rngq_client *client,
				  struct rngq_quota *quota);
void rngq_registry_override(struct rngq_client *client,
			    enum rngq_setting setting, u64 value);
void rngq_registry_follow(struct rngq_client *client,
			  enum rngq_setting setting);

void rngq_registry_recheck_clients(void);
bool rngq_registry_has_waiters(void);

#endif
