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
/* How much is faulted in at once; a copy that fails so often then won't succeed. */
#define FAULT_IN_BYTES		65536
#define MAX_FAULTS		16

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

static struct miscdevice rngq_misc;

static int rngq_open(struct inode *inode, struct file *file)
{
	struct rngq_client *client;
	struct kobject *folder;
	int err;

	if (!(file->f_mode & FMODE_READ))
		return -EINVAL;
	folder = rngq_sysfs_clients(rngq_misc.this_device);
	if (!folder)
		return -ENOMEM;
	client = rngq_client_create(&rngq_client_ktype);
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
	rngq_client_stop(client);
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
 * Deliver @bytes that were taken, by way of @buf. A page that has to be faulted in
 * first stops this: that may take as long as a user likes. The compiler can check
 * @size, which it knows, against the buffer; so it is the iterator that is cut.
 */
static __always_inline size_t deliver(struct iov_iter *to, size_t bytes,
				      void *buf, size_t size)
{
	size_t count = iov_iter_count(to);
	size_t copied;

	get_random_bytes(buf, bytes);
	iov_iter_truncate(to, bytes);
	if (RNGQ_FAULTS_IN)
		pagefault_disable();
	copied = copy_to_iter(buf, size, to);
	/*
	 * When a copy faults, some architectures have stored more than they tell:
	 * riscv up to 56 bytes. Nobody has those for nothing: go on byte by byte.
	 */
	while (unlikely(copied < bytes) && copy_to_iter(buf + copied, 1, to))
		copied++;
	if (RNGQ_FAULTS_IN)
		pagefault_enable();
	iov_iter_reexpand(to, count - copied);
	return copied;
}

/* Sizes that are known when compiled make the usual wipe quick. */
static __always_inline void wipe_small(u8 *small, size_t bytes)
{
	if (bytes <= TINY_READ_BYTES)
		memzero_explicit(small, TINY_READ_BYTES);
	else
		memzero_explicit(small, SMALL_READ_BYTES);
}

/* A read that is not small, or did not go smoothly. */
struct long_read {
	struct rngq_client *client;
	struct iov_iter *to;
	bool nowait;
	size_t limit;		/* how much it may deliver */
	size_t delivered;
	size_t faulted_at;	/* where a fault stopped it last, ... */
	unsigned int faults;	/* ... and how often there */
};

/*
 * @bytes were @taken first. Without a large buffer this takes more rounds by way of
 * a small one, and works the same.
 */
static void deliver_all(struct long_read *read, struct rngq_taken *taken,
			size_t bytes)
{
	u8 small[SMALL_READ_BYTES] __uninitialized;
	u8 *large = get_large_buffer();
	size_t size = large ? LARGE_READ_BYTES : SMALL_READ_BYTES;
	u8 *buf = large ?: small;

	for (;;) {
		size_t piece = min(bytes, size);
		size_t copied = deliver(read->to, piece, buf, piece);

		read->delivered += copied;
		bytes -= copied;
		if (copied < piece) {
			rngq_client_give_back(read->client, taken, bytes);
			break;
		}
		if (bytes)
			continue;
		if (read->delivered == read->limit)
			break;

		/* Like /dev/urandom: a page is delivered whole. */
		if (read->delivered >= PAGE_SIZE && signal_pending(current))
			break;
		cond_resched();
		bytes = rngq_client_take_more(read->client,
					      min_t(size_t, read->limit -
						    read->delivered,
						    LARGE_READ_BYTES),
					      taken);
		if (!bytes)
			break;
	}

	memzero_explicit(buf, size);
	if (large)
		put_large_buffer(large);
}

/*
 * The read stopped short. If that was for a page, fault it in, now that nothing that
 * was taken is held, and return 0 to go on. Else return why not, for a read that
 * has delivered nothing: callers that don't wait know no error but -EAGAIN and
 * -EFAULT; QEMU takes any other for a bug.
 */
static int fault_in(struct long_read *read)
{
	size_t bytes = min_t(size_t, read->limit - read->delivered,
			     FAULT_IN_BYTES);
	size_t missing;

	if (read->faulted_at != read->delivered)
		read->faults = 0;
	read->faulted_at = read->delivered;
	/* A pipe that is full has no pages to fault in. */
	if (!user_backed_iter(read->to))
		return -EFAULT;
	/* A page has been delivered, or somebody takes pages away again and again. */
	if ((read->delivered >= PAGE_SIZE || read->faults || !RNGQ_FAULTS_IN) &&
	    signal_pending(current))
		return read->nowait ? -EAGAIN : -ERESTARTSYS;
	/* Or they can't be written for a reason that this doesn't see. */
	if (read->faults++ == MAX_FAULTS)
		return -EFAULT;
	cond_resched();
	missing = fault_in_iov_iter_writeable(read->to, bytes);
	if (missing) {
		read->limit = read->delivered + bytes - missing;
		WRITE_ONCE(read->client->has_faulted, RNGQ_FAULTS_IN);
	}
	return missing == bytes ? -EFAULT : 0;
}

/*
 * @delivered bytes are there already, by a small read of which a copy failed if
 * @is_short, and that may deliver @limit in all.
 */
static noinline ssize_t read_on(struct kiocb *iocb, struct iov_iter *to,
				size_t delivered, size_t limit, bool is_short)
{
	struct long_read read = {
		.client = iocb->ki_filp->private_data,
		.to = to,
		.nowait = (iocb->ki_flags & IOCB_NOWAIT) ||
			  (iocb->ki_filp->f_flags & O_NONBLOCK),
		.limit = limit,
		.delivered = delivered,
	};
	bool is_new = !is_short;
	struct rngq_taken taken;
	u64 available = limit;
	ssize_t bytes = 0;

	/*
	 * Who gave a bad address before is asked for its pages first: it could take
	 * again and again what it can't be given, and others would find less.
	 */
	if (is_short || (READ_ONCE(read.client->has_faulted) &&
			 user_backed_iter(to)))
		bytes = fault_in(&read);
	while (!bytes) {
		size_t want = read.limit - read.delivered;
		size_t first = min_t(size_t, want, LARGE_READ_BYTES);

		if (read.delivered)
			bytes = rngq_client_take_more(read.client, first, &taken);
		else
			bytes = rngq_client_await(read.client, want, first,
						  read.nowait, &taken,
						  &available);
		if (bytes <= 0)
			break;
		/* However long it takes: no refill makes this read longer. */
		if (is_new)
			read.limit = min_t(u64, read.limit, available);
		is_new = false;
		deliver_all(&read, &taken, bytes);
		if (read.delivered == read.limit)
			break;
		bytes = fault_in(&read);
	}
	return read.delivered ?: bytes;
}

static ssize_t rngq_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct rngq_client *client = iocb->ki_filp->private_data;
	struct rngq_taken taken __uninitialized;
	u8 small[SMALL_READ_BYTES] __uninitialized;
	size_t wanted = iov_iter_count(to);
	size_t limit = wanted;
	ssize_t delivered = 0;
	size_t bytes = 0;

	if (!wanted)
		return 0;

	if (wanted <= sizeof(small) && likely(!READ_ONCE(client->has_faulted))) {
		bytes = rngq_client_take(client, wanted, &taken);
		if (likely(bytes)) {
			delivered = deliver(to, bytes, small, sizeof(small));
			wipe_small(small, bytes);
			if (likely(delivered == bytes))
				goto out;
			rngq_client_give_back(client, &taken, bytes - delivered);
			limit = bytes;
		}
	}
	delivered = read_on(iocb, to, delivered, limit, bytes);
	if (delivered <= 0)
		return delivered;
out:
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
	/* From here on nothing may fail: there may be clients. See rngq_open(). */
	rngq_sysfs_clients(rngq_misc.this_device);
	return 0;
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
