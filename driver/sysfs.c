// SPDX-License-Identifier: GPL-2.0
/*
 * The device's own folders: default/, total/, limits/, stats/ and clients/.
 */
#include "sysfs.h"
#include "quota.h"
#include "registry.h"
#include "stats.h"

#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/time64.h>

struct setting_attribute {
	struct device_attribute attr;
	enum rngq_setting setting;
};

static enum rngq_setting to_setting(struct device_attribute *attr)
{
	return container_of(attr, struct setting_attribute, attr)->setting;
}

static ssize_t setting_show(struct device *dev, struct device_attribute *attr,
			    char *page)
{
	return rngq_setting_emit(page, rngq_registry_get(to_setting(attr)));
}

static ssize_t setting_store(struct device *dev, struct device_attribute *attr,
			     const char *text, size_t len)
{
	u64 value;
	int err;

	if (!rngq_setting_is_whole(text, len))
		return -EINVAL;
	err = rngq_setting_parse(to_setting(attr), text, &value);
	if (err)
		return err;
	rngq_registry_set(to_setting(attr), &value, 1);
	return len;
}

static ssize_t quota_show(struct device *dev, struct device_attribute *attr,
			  char *page)
{
	struct rngq_quota quota = rngq_registry_get_quota(to_setting(attr));

	return rngq_quota_emit(page, &quota);
}

static ssize_t quota_store(struct device *dev, struct device_attribute *attr,
			   const char *text, size_t len)
{
	u64 values[RNGQ_QUOTA_SETTINGS];
	int nr;

	if (!rngq_setting_is_whole(text, len))
		return -EINVAL;
	nr = rngq_setting_parse_several(to_setting(attr), text, values);
	if (nr < 0)
		return nr;
	rngq_registry_set(to_setting(attr), values, nr);
	return len;
}

#define ATTRIBUTE(_folder, _name, _setting, _show, _store)		\
	static struct setting_attribute _folder##_attr_##_name = {	\
		.attr = __ATTR(_name, 0644, _show, _store),		\
		.setting = _setting,					\
	}

#define SETTING_ATTRIBUTE(_folder, _name, _setting)			\
	ATTRIBUTE(_folder, _name, _setting, setting_show, setting_store)

/* @_setting is the quota's first one. */
#define QUOTA_ATTRIBUTE(_folder, _setting)				\
	ATTRIBUTE(_folder, quota, _setting, quota_show, quota_store)

SETTING_ATTRIBUTE(default, rate_bytes, RNGQ_RATE_BYTES);
SETTING_ATTRIBUTE(default, period_ms, RNGQ_PERIOD_MS);
SETTING_ATTRIBUTE(default, burst_bytes, RNGQ_BURST_BYTES);
SETTING_ATTRIBUTE(default, boot_bytes, RNGQ_BOOT_BYTES);
QUOTA_ATTRIBUTE(default, RNGQ_RATE_BYTES);

SETTING_ATTRIBUTE(total, rate_bytes, RNGQ_TOTAL_RATE_BYTES);
SETTING_ATTRIBUTE(total, period_ms, RNGQ_TOTAL_PERIOD_MS);
SETTING_ATTRIBUTE(total, burst_bytes, RNGQ_TOTAL_BURST_BYTES);
QUOTA_ATTRIBUTE(total, RNGQ_TOTAL_RATE_BYTES);

SETTING_ATTRIBUTE(limits, max_clients, RNGQ_MAX_CLIENTS);
SETTING_ATTRIBUTE(limits, max_clients_per_process, RNGQ_MAX_CLIENTS_PER_PROCESS);

static struct attribute *default_attrs[] = {
	&default_attr_rate_bytes.attr.attr,
	&default_attr_period_ms.attr.attr,
	&default_attr_burst_bytes.attr.attr,
	&default_attr_boot_bytes.attr.attr,
	&default_attr_quota.attr.attr,
	NULL
};

static const struct attribute_group default_group = {
	.name = "default",
	.attrs = default_attrs,
};

static struct attribute *total_attrs[] = {
	&total_attr_rate_bytes.attr.attr,
	&total_attr_period_ms.attr.attr,
	&total_attr_burst_bytes.attr.attr,
	&total_attr_quota.attr.attr,
	NULL
};

static const struct attribute_group total_group = {
	.name = "total",
	.attrs = total_attrs,
};

static struct attribute *limits_attrs[] = {
	&limits_attr_max_clients.attr.attr,
	&limits_attr_max_clients_per_process.attr.attr,
	NULL
};

static const struct attribute_group limits_group = {
	.name = "limits",
	.attrs = limits_attrs,
};

struct stats_attribute {
	struct device_attribute attr;
	enum rngq_stat stat;
};

static ssize_t stats_show(struct device *dev, struct device_attribute *attr,
			  char *page)
{
	enum rngq_stat stat =
		container_of(attr, struct stats_attribute, attr)->stat;

	return sysfs_emit(page, "%llu\n", rngq_stats_sum(stat));
}

#define STATS_ATTRIBUTE(_name, _stat)					\
	static struct stats_attribute stats_attr_##_name = {		\
		.attr = __ATTR(_name, 0444, stats_show, NULL),		\
		.stat = _stat,						\
	}

STATS_ATTRIBUTE(opens, RNGQ_STAT_OPENS);
STATS_ATTRIBUTE(bytes, RNGQ_STAT_BYTES);
STATS_ATTRIBUTE(reads, RNGQ_STAT_READS);
STATS_ATTRIBUTE(throttled, RNGQ_STAT_THROTTLED);
STATS_ATTRIBUTE(refused, RNGQ_STAT_REFUSED);

static ssize_t clients_show(struct device *dev, struct device_attribute *attr,
			    char *page)
{
	return sysfs_emit(page, "%llu\n", rngq_registry_nr_clients());
}
static DEVICE_ATTR_RO(clients);

static ssize_t throttled_ms_show(struct device *dev,
				 struct device_attribute *attr, char *page)
{
	u64 throttled_ns = rngq_stats_sum(RNGQ_STAT_THROTTLED_NS);

	return sysfs_emit(page, "%llu\n", div_u64(throttled_ns, NSEC_PER_MSEC));
}
static DEVICE_ATTR_RO(throttled_ms);

static struct attribute *stats_attrs[] = {
	&dev_attr_clients.attr,
	&stats_attr_opens.attr.attr,
	&stats_attr_bytes.attr.attr,
	&stats_attr_reads.attr.attr,
	&stats_attr_throttled.attr.attr,
	&dev_attr_throttled_ms.attr,
	&stats_attr_refused.attr.attr,
	NULL
};

static const struct attribute_group stats_group = {
	.name = "stats",
	.attrs = stats_attrs,
};

const struct attribute_group *rngq_sysfs_groups[] = {
	&default_group,
	&total_group,
	&limits_group,
	&stats_group,
	NULL
};

static DEFINE_MUTEX(clients_mutex);	/* protects it, and that it is one */
static struct kobject *clients_folder;

/**
 * rngq_sysfs_clients() - find clients/, and make it if it isn't there
 * @dev: the device, registered
 *
 * Context: Process context, may sleep, but waits for nobody's file.
 * Return: The folder, or NULL: no memory.
 */
struct kobject *rngq_sysfs_clients(struct device *dev)
{
	struct kobject *folder;

	mutex_lock(&clients_mutex);
	if (!clients_folder)
		clients_folder = kobject_create_and_add("clients", &dev->kobj);
	folder = clients_folder;
	mutex_unlock(&clients_mutex);
	return folder;
}

/**
 * rngq_sysfs_remove_clients() - remove clients/
 *
 * Context: Process context, may sleep; there are no clients, and none comes.
 */
void rngq_sysfs_remove_clients(void)
{
	/* Out of sight now, even where its release is put off. */
	if (clients_folder)
		kobject_del(clients_folder);
	kobject_put(clients_folder);
}
