/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The device's own folders: default/, total/, limits/, stats/, and clients/, in
 * which each client has one (client_sysfs.h).
 *
 * The others come and go with the device. clients/ is a kobject and can be made
 * only once the device is there, when nothing may fail any more: so if there is
 * no memory for it then, open() tries again.
 */
#ifndef RNGQUOTA_SYSFS_H
#define RNGQUOTA_SYSFS_H

struct attribute_group;
struct device;
struct kobject;

extern const struct attribute_group *rngq_sysfs_groups[];

struct kobject *rngq_sysfs_clients(struct device *dev);
void rngq_sysfs_remove_clients(void);

#endif
