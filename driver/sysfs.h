/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device's own folders: default/, total/, limits/, stats/, and clients/, in
 * which each client has one (client_sysfs.h).
 *
 * The others come and go with the device. clients/ is a kobject and can be made
 * only once the device is there, so a first open() may come before it and waits
 * for it.
 */
#ifndef RNGQUOTA_SYSFS_H
#define RNGQUOTA_SYSFS_H

struct attribute_group;
struct device;
struct kobject;

extern const struct attribute_group *rngq_sysfs_groups[];

int rngq_sysfs_add_clients(struct device *dev);
void rngq_sysfs_remove_clients(void);
struct kobject *rngq_sysfs_clients(void);

#endif
