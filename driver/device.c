// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/rngquota: the device and what can be done with its files.
 */
#include "device.h"
#include "client.h"
#include "client_sysfs.h"
#include "compat.h"
#include "registry.h"
#include "stats.h"
#include "sysfs.h"

#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/math64.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/uio.h>

/* Reads up to this size go through a buffer on the stack. */
#define SMALL_READ_BYTES	256

static int rngq_open(struct inode *inode, struct file *file)
{
	struct kobject *folder = rngq_sysfs_clients();
	struct rngq_client *client;
	int err;

	if (!(file->f_mode & FMODE_READ))
		return -EINVAL;
	if (!folder)
		return -ENODEV;

	client = rngq_client_create();
	if (!client)
		return -ENOMEM;

	err = rngq_registry_add(client);
	if (err)
		goto err_put;
	err = rngq_client_sysfs_add(client, folder);
	if (err)
		goto err_cancel;

	file->private_data = client;
	/* Without it RWF_NOWAIT and io_uring would not get as far as a read. */
	file->f_mode |= FMODE_NOWAIT;
	rngq_stats_add(RNGQ_STAT_OPENS, 1);
	return 0;

err_cancel:
	rngq_registry_cancel(client);
err_put:
	rngq_client_put(client);
	return err;
}

static int rngq_release(struct inode *inode, struct file *file)
{
	struct rngq_client *client = file->private_data;

	rngq_client_stop(client);
	rngq_registry_remove(client);
	rngq_client_sysfs_remove(client);
	rngq_client_put(client);
	return 0;
}

/*
 * Nothing was delivered. If a signal is pending the copy may have failed for
 * its sake, with nothing wrong with the address. Callers that don't wait know
 * no error but -EAGAIN and -EFAULT: QEMU takes any other for a bug.
 */
static ssize_t nothing_delivered(bool nowait)
{
	if (!signal_pending(current))
		return -EFAULT;
	return nowait ? -EAGAIN : -ERESTARTSYS;
}

static ssize_t rngq_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct rngq_client *client = iocb->ki_filp->private_data;
	bool nowait = (iocb->ki_flags & IOCB_NOWAIT) ||
		      (iocb->ki_filp->f_flags & O_NONBLOCK);
	size_t wanted = iov_iter_count(to);
	size_t delivered = 0;
	size_t asked = wanted;
	u8 small[SMALL_READ_BYTES];
	size_t size = sizeof(small);
	struct rngq_taken taken;
	u8 *page = NULL;
	u8 *buf = small;
	u64 available;
	ssize_t bytes;

	if (!asked)
		return 0;

	bytes = rngq_client_take(client, min(asked, size), nowait, &taken,
				 &available);
	if (bytes < 0)
		return bytes;
	/* However long it takes: no refill in between makes this read longer. */
	asked = min_t(u64, asked, available);

	do {
		size_t copied;

		get_random_bytes(buf, bytes);
		copied = copy_to_iter(buf, bytes, to);
		delivered += copied;
		if (copied < bytes) {
			rngq_client_give_back(client, &taken, bytes - copied);
			break;
		}
		if (delivered == asked)
			break;

		/* Like /dev/urandom: a page is delivered whole. */
		if (delivered >= PAGE_SIZE && signal_pending(current))
			break;
		cond_resched();

		/* Without a page it takes more rounds, and works the same. */
		if (!page)
			page = (u8 *)__get_free_page(GFP_NOWAIT | __GFP_NOWARN);
		if (page) {
			buf = page;
			size = PAGE_SIZE;
		}
		bytes = rngq_client_take_more(client,
					      min(asked - delivered, size),
					      &taken);
	} while (bytes);

	memzero_explicit(small, min(asked, sizeof(small)));
	if (page) {
		memzero_explicit(page, PAGE_SIZE);
		free_page((unsigned long)page);
	}
	if (!delivered)
		return nothing_delivered(nowait);
	rngq_client_delivered(client, delivered);
	/* To an edge-triggered poller this says that there is nothing left. */
	if (delivered < wanted)
		rngq_client_recheck(client);
	return delivered;
}

static __poll_t rngq_poll(struct file *file, poll_table *table)
{
	return rngq_client_poll(file->private_data, file, table);
}

#ifdef CONFIG_PROC_FS
static void show_value(struct seq_file *m, const char *name, u64 value)
{
	if (value == RNGQ_MAX)
		seq_printf(m, "rngquota-%s:\tmax\n", name);
	else
		seq_printf(m, "rngquota-%s:\t%llu\n", name, value);
}

static void rngq_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct rngq_client *client = file->private_data;
	struct rngq_counters count;
	struct rngq_quota quota;
	u64 available;

	rngq_registry_quota(client, &quota);
	available = rngq_client_snapshot(client, &count);
	show_value(m, "id", client->id);
	show_value(m, "rate-bytes", quota.rate_bytes);
	show_value(m, "period-ms", quota.period_ms);
	show_value(m, "burst-bytes", quota.burst_bytes);
	show_value(m, "available", available);
	show_value(m, "bytes", count.bytes);
	show_value(m, "reads", count.reads);
	show_value(m, "throttled", count.throttled);
	show_value(m, "throttled-ms",
		   div_u64(count.throttled_ns, NSEC_PER_MSEC));
}
#endif

static const struct file_operations rngq_fops = {
	.owner = THIS_MODULE,
	.open = rngq_open,
	.release = rngq_release,
	.read_iter = rngq_read_iter,
	.splice_read = copy_splice_read,
	.poll = rngq_poll,
	.llseek = noop_llseek,
#ifdef CONFIG_PROC_FS
	.show_fdinfo = rngq_show_fdinfo,
#endif
};

static struct miscdevice rngq_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "rngquota",
	.mode = 0440,
	.fops = &rngq_fops,
	.groups = rngq_sysfs_groups,
};

/**
 * rngq_device_register() - make the device and its folders
 *
 * Context: Process context, may sleep. Files may be opened before it returns.
 * Return: 0, or a negative errno.
 */
int rngq_device_register(void)
{
	int err;

	err = misc_register(&rngq_misc);
	if (err)
		return err;

	err = rngq_sysfs_add_clients(rngq_misc.this_device);
	if (err)
		goto err_deregister;
	return 0;

err_deregister:
	misc_deregister(&rngq_misc);
	return err;
}

/**
 * rngq_device_unregister() - remove the device and its folders
 *
 * Context: Process context, may sleep; no file is open.
 */
void rngq_device_unregister(void)
{
	rngq_sysfs_remove_clients();
	misc_deregister(&rngq_misc);
}
