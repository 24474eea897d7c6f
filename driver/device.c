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
#include <linux/percpu.h>
#include <linux/poll.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/time64.h>
#include <linux/uio.h>

/* Reads up to this size go through a buffer on the stack. */
#define SMALL_READ_BYTES	256
/* The usual reads are no longer: half a block of the generator. */
#define TINY_READ_BYTES		32
/* All others go through buffers of this size. */
#define LARGE_READ_BYTES	4096

/*
 * A CPU keeps the one that it used last, wiped, for its next read: the kernel may
 * zero what it allocates, to be safe, and that would cost a short read more than
 * its bytes. Whoever takes it from here, in one step, has it for itself. They are
 * freed when the module goes.
 */
static DEFINE_PER_CPU(u8 *, rngq_large_buffer);

static u8 *get_large_buffer(void)
{
	u8 *buf = this_cpu_xchg(rngq_large_buffer, NULL);

	return buf ?: kmalloc(LARGE_READ_BYTES, GFP_NOWAIT | __GFP_NOWARN);
}

/* @buf is wiped. */
static void put_large_buffer(u8 *buf)
{
	kfree(this_cpu_xchg(rngq_large_buffer, buf));
}

static void free_large_buffers(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		kfree(per_cpu(rngq_large_buffer, cpu));
}

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

static bool is_nowait(const struct kiocb *iocb)
{
	return (iocb->ki_flags & IOCB_NOWAIT) ||
	       (iocb->ki_filp->f_flags & O_NONBLOCK);
}

/*
 * Nothing was delivered. If a signal is pending the copy may have failed for
 * its sake, with nothing wrong with the address. Callers that don't wait know
 * no error but -EAGAIN and -EFAULT: QEMU takes any other for a bug.
 */
static ssize_t nothing_delivered(const struct kiocb *iocb)
{
	if (!signal_pending(current))
		return -EFAULT;
	return is_nowait(iocb) ? -EAGAIN : -ERESTARTSYS;
}

/*
 * Deliver @bytes that were taken, by way of @buf. That they fit is for the caller
 * to see to: the check in copy_to_iter() costs more than to copy a small read.
 */
static __always_inline size_t deliver(struct iov_iter *to, size_t bytes, u8 *buf)
{
	size_t copied;

	get_random_bytes(buf, bytes);
	copied = _copy_to_iter(buf, bytes, to);
	/*
	 * When a copy faults, some architectures have stored more than they tell:
	 * riscv up to 56 bytes. Nobody has those for nothing: go on byte by byte.
	 */
	while (unlikely(copied < bytes) && _copy_to_iter(buf + copied, 1, to))
		copied++;
	return copied;
}

/*
 * A read that is not small, or takes more than one turn: @bytes were @taken
 * first, of @asked. Without a large buffer it takes more rounds by way of
 * @small, and works the same.
 */
static noinline size_t read_on(struct rngq_client *client, struct iov_iter *to,
			       struct rngq_taken *taken, size_t bytes,
			       size_t asked, u8 *small)
{
	u8 *large = get_large_buffer();
	size_t size = large ? LARGE_READ_BYTES : SMALL_READ_BYTES;
	u8 *buf = large ?: small;
	size_t delivered = 0;

	do {
		while (bytes) {
			size_t piece = min(bytes, size);
			size_t copied = deliver(to, piece, buf);

			delivered += copied;
			bytes -= copied;
			if (copied < piece)
				break;
		}
		if (bytes) {
			rngq_client_give_back(client, taken, bytes);
			break;
		}
		if (delivered == asked)
			break;

		/* Like /dev/urandom: a page is delivered whole. */
		if (delivered >= PAGE_SIZE && signal_pending(current))
			break;
		cond_resched();
		bytes = rngq_client_take_more(client,
					      min_t(size_t, asked - delivered,
						    LARGE_READ_BYTES),
					      taken);
	} while (bytes);

	memzero_explicit(buf, min(asked, size));
	if (large)
		put_large_buffer(large);
	return delivered;
}

static ssize_t rngq_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct rngq_client *client = iocb->ki_filp->private_data;
	struct rngq_taken taken __uninitialized;
	u8 small[SMALL_READ_BYTES] __uninitialized;
	size_t wanted = iov_iter_count(to);
	size_t delivered;
	size_t asked;
	size_t first;
	ssize_t bytes;
	u64 available;

	if (!wanted)
		return 0;

	first = min_t(size_t, wanted, LARGE_READ_BYTES);
	bytes = rngq_client_take(client, first, &taken, &available);
	if (unlikely(!bytes))
		bytes = rngq_client_await(client, first, is_nowait(iocb),
					  &taken, &available);
	if (bytes < 0)
		return bytes;
	/* However long it takes: no refill in between makes this read longer. */
	asked = min_t(u64, wanted, available);

	if (bytes < asked || bytes > sizeof(small)) {
		delivered = read_on(client, to, &taken, bytes, asked, small);
	} else {
		delivered = deliver(to, bytes, small);
		if (delivered < bytes)
			rngq_client_give_back(client, &taken,
					      bytes - delivered);
		/* Sizes that are known when compiled make the usual one quick. */
		if (bytes <= TINY_READ_BYTES)
			memzero_explicit(small, TINY_READ_BYTES);
		else
			memzero_explicit(small, sizeof(small));
	}

	if (unlikely(!delivered))
		return nothing_delivered(iocb);
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
	free_large_buffers();
}
