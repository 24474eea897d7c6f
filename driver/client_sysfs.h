/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A client's folder, clients/<id>/: for root only, since it tells what other
 * users' processes do.
 *
 * Its files hold the client's kobject while they are read or written, and
 * removing the folder waits for them.
 */
#ifndef RNGQUOTA_CLIENT_SYSFS_H
#define RNGQUOTA_CLIENT_SYSFS_H

struct kobject;
struct rngq_client;

extern const struct kobj_type rngq_client_ktype;

int rngq_client_sysfs_add(struct rngq_client *client, struct kobject *folder);
void rngq_client_sysfs_remove(struct rngq_client *client);

#endif
