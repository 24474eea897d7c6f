/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All clients, and which quota each has.
 *
 * A client's quota follows the defaults, setting by setting, except where it
 * has an override. One mutex guards the defaults, the overrides and the list
 * of clients. Whoever holds it waits for nothing that a user controls, and never
 * walks over the clients: a changed default is brought to one after the other, with
 * the mutex dropped in between. (open() as a whole waits for memory: it makes a
 * client, which is charged to a cgroup, under the mutex of all misc devices.)
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
struct rngq_quota rngq_registry_get_quota(enum rngq_setting first);
void rngq_registry_set(enum rngq_setting first, const u64 *new_values,
		       unsigned int nr);
unsigned long rngq_registry_quota(struct rngq_client *client,
				  struct rngq_quota *quota);
void rngq_registry_override(struct rngq_client *client,
			    enum rngq_setting first, const u64 *new_values,
			    unsigned int nr);
void rngq_registry_follow(struct rngq_client *client,
			  enum rngq_setting first, unsigned int nr);

#endif
