// SPDX-License-Identifier: GPL-2.0
/*
 * A client's folder, clients/<id>/.
 */
#include "client_sysfs.h"
#include "client.h"
#include "registry.h"

#include <linux/cred.h>
#include <linux/kobject.h>
#include <linux/math64.h>
#include <linux/pid.h>
#include <linux/string.h>
#include <linux/string_helpers.h>
#include <linux/sysfs.h>
#include <linux/time64.h>

/* One file each; the settings come first, with their own numbers. */
enum client_file {
	FILE_QUOTA = RNGQ_QUOTA_SETTINGS,
	FILE_OVERRIDES,
	FILE_PID,
	FILE_COMM,
	FILE_UID,
	FILE_AVAILABLE,
	FILE_BYTES,
	FILE_READS,
	FILE_THROTTLED,
	FILE_THROTTLED_MS,
};

struct client_attribute {
	struct attribute attr;
	unsigned int file;	/* enum rngq_setting or enum client_file */
};

static struct rngq_client *to_client(struct kobject *kobj)
{
	return container_of(kobj, struct rngq_client, kobj);
}

static unsigned int to_file(struct attribute *attr)
{
	return container_of(attr, struct client_attribute, attr)->file;
}

static ssize_t show_setting(struct rngq_client *client, unsigned int file,
			    char *page)
{
	unsigned long overrides;
	struct rngq_quota quota;
	enum rngq_setting setting;
	int len = 0;

	overrides = rngq_registry_quota(client, &quota);
	if (file == FILE_QUOTA)
		return rngq_quota_emit(page, &quota);
	if (file != FILE_OVERRIDES)
		return rngq_setting_emit(page, *rngq_quota_value(&quota, file));

	if (!overrides)
		return sysfs_emit(page, "none\n");
	for (setting = 0; setting < RNGQ_QUOTA_SETTINGS; setting++) {
		if (overrides & BIT(setting))
			len += sysfs_emit_at(page, len, "%s%s", len ? " " : "",
					     rngq_setting_name(setting));
	}
	len += sysfs_emit_at(page, len, "\n");
	return len;
}

/*
 * A process names itself: control characters are escaped, and so is the
 * backslash, lest a name looks as if it had been.
 */
static ssize_t show_comm(struct rngq_client *client, char *page)
{
	static const char escaped[] =
		"\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017"
		"\020\021\022\023\024\025\026\027\030\031\032\033\034\035\036\037"
		"\177\\";
	char comm[4 * TASK_COMM_LEN];
	int len;

	len = string_escape_mem(client->comm, strlen(client->comm), comm,
				sizeof(comm), ESCAPE_SPACE | ESCAPE_SPECIAL |
				ESCAPE_OCTAL, escaped);
	return sysfs_emit(page, "%.*s\n", len, comm);
}

static ssize_t show_opener(struct rngq_client *client, unsigned int file,
			   char *page)
{
	switch (file) {
	case FILE_PID:
		return sysfs_emit(page, "%d\n", pid_vnr(client->pid));
	case FILE_UID:
		return sysfs_emit(page, "%u\n",
				  from_kuid_munged(current_user_ns(),
						   client->uid));
	default:
		return show_comm(client, page);
	}
}

static ssize_t show_state(struct rngq_client *client, unsigned int file,
			  char *page)
{
	struct rngq_counters count;
	u64 available = rngq_client_snapshot(client, &count);

	switch (file) {
	case FILE_AVAILABLE:
		return rngq_setting_emit(page, available);
	case FILE_BYTES:
		return sysfs_emit(page, "%llu\n", count.bytes);
	case FILE_READS:
		return sysfs_emit(page, "%llu\n", count.reads);
	case FILE_THROTTLED:
		return sysfs_emit(page, "%llu\n", count.throttled);
	default:
		return sysfs_emit(page, "%llu\n",
				  div_u64(count.throttled_ns, NSEC_PER_MSEC));
	}
}

static ssize_t show(struct kobject *kobj, struct attribute *attr, char *page)
{
	struct rngq_client *client = to_client(kobj);
	unsigned int file = to_file(attr);

	switch (file) {
	case FILE_PID:
	case FILE_COMM:
	case FILE_UID:
		return show_opener(client, file, page);
	case FILE_AVAILABLE:
	case FILE_BYTES:
	case FILE_READS:
	case FILE_THROTTLED:
	case FILE_THROTTLED_MS:
		return show_state(client, file, page);
	default:
		return show_setting(client, file, page);
	}
}

static ssize_t store(struct kobject *kobj, struct attribute *attr,
		     const char *text, size_t len)
{
	struct rngq_client *client = to_client(kobj);
	unsigned int file = to_file(attr);
	enum rngq_setting first = file == FILE_QUOTA ? RNGQ_RATE_BYTES : file;
	u64 values[RNGQ_QUOTA_SETTINGS];
	int nr = 1, err = 0;

	/* Root may have made another file writable: sysfs goes by its mode. */
	if (file > FILE_QUOTA)
		return -EIO;
	if (!rngq_setting_is_whole(text, len))
		return -EINVAL;
	if (sysfs_streq(text, "default")) {
		rngq_registry_follow(client, first, file == FILE_QUOTA ?
				     RNGQ_QUOTA_SETTINGS : 1);
		return len;
	}
	if (file == FILE_QUOTA)
		nr = rngq_setting_parse_several(first, text, values);
	else
		err = rngq_setting_parse(first, text, values);
	if (nr < 0 || err)
		return err ?: nr;
	rngq_registry_override(client, first, values, nr);
	return len;
}

#define CLIENT_ATTRIBUTE(_name, _mode, _file)				\
	static struct client_attribute client_attr_##_name = {		\
		.attr = { .name = #_name, .mode = _mode },		\
		.file = _file,						\
	}

CLIENT_ATTRIBUTE(rate_bytes, 0600, RNGQ_RATE_BYTES);
CLIENT_ATTRIBUTE(period_ms, 0600, RNGQ_PERIOD_MS);
CLIENT_ATTRIBUTE(burst_bytes, 0600, RNGQ_BURST_BYTES);
CLIENT_ATTRIBUTE(quota, 0600, FILE_QUOTA);
CLIENT_ATTRIBUTE(overrides, 0400, FILE_OVERRIDES);
CLIENT_ATTRIBUTE(pid, 0400, FILE_PID);
CLIENT_ATTRIBUTE(comm, 0400, FILE_COMM);
CLIENT_ATTRIBUTE(uid, 0400, FILE_UID);
CLIENT_ATTRIBUTE(available, 0400, FILE_AVAILABLE);
CLIENT_ATTRIBUTE(bytes, 0400, FILE_BYTES);
CLIENT_ATTRIBUTE(reads, 0400, FILE_READS);
CLIENT_ATTRIBUTE(throttled, 0400, FILE_THROTTLED);
CLIENT_ATTRIBUTE(throttled_ms, 0400, FILE_THROTTLED_MS);

static struct attribute *client_attrs[] = {
	&client_attr_rate_bytes.attr,
	&client_attr_period_ms.attr,
	&client_attr_burst_bytes.attr,
	&client_attr_quota.attr,
	&client_attr_overrides.attr,
	&client_attr_pid.attr,
	&client_attr_comm.attr,
	&client_attr_uid.attr,
	&client_attr_available.attr,
	&client_attr_bytes.attr,
	&client_attr_reads.attr,
	&client_attr_throttled.attr,
	&client_attr_throttled_ms.attr,
	NULL
};
ATTRIBUTE_GROUPS(client);

static const struct sysfs_ops client_sysfs_ops = {
	.show = show,
	.store = store,
};

const struct kobj_type rngq_client_ktype = {
	.release = rngq_client_release,
	.sysfs_ops = &client_sysfs_ops,
	.default_groups = client_groups,
};

/**
 * rngq_client_sysfs_add() - make a client's folder
 * @client: the client, with its id
 * @folder: clients/
 *
 * Context: Process context, may sleep.
 * Return: 0, or -ENOMEM.
 */
int rngq_client_sysfs_add(struct rngq_client *client, struct kobject *folder)
{
	return kobject_add(&client->kobj, folder, "%llu", client->id);
}

/**
 * rngq_client_sysfs_remove() - remove a client's folder
 * @client: the client
 *
 * Waits for those who are reading or writing a file in it, so the caller
 * holds nothing that they may want.
 *
 * Context: Process context, may sleep.
 */
void rngq_client_sysfs_remove(struct rngq_client *client)
{
	kobject_del(&client->kobj);
}
