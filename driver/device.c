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

/* One read, and the way it goes. */
struct read {
	struct rngq_client *client;
	struct iov_iter *to;
	bool nowait;
	size_t asked;		/* how much the user wants, ... */
	size_t limit;		/* ... and how much of that there was at first */
	size_t delivered;
};

/*
 * Deliver @bytes of @buf, which were taken. A page that has to be faulted in first
 * stops this: that may take as long as a user likes. Return how many came through.
 */
static __always_inline size_t deliver(struct iov_iter *to, void *buf,
				      size_t size, size_t bytes)
{
	size_t all = iov_iter_count(to);
	size_t copied;

	get_random_bytes(buf, bytes);
	pagefault_disable();
	/* The compiler can check a size that it knows: let the iterator be short. */
	iov_iter_truncate(to, bytes);
	copied = copy_to_iter(buf, size, to);
	/*
	 * When a copy faults, some architectures have stored more than they tell:
	 * riscv up to 56 bytes. Nobody has those for nothing: go on byte by byte.
	 */
	while (unlikely(copied < bytes) && copy_to_iter(buf + copied, 1, to))
		copied++;
	iov_iter_reexpand(to, all - copied);
	pagefault_enable();
	return copied;
}

/*
 * A read that is not small, or takes more than one take: @bytes were @taken first.
 * Without a large buffer it takes more rounds by way of @small, and works the same.
 */
static noinline void read_on(struct read *read, struct rngq_taken *taken,
			     size_t bytes, u8 *small)
{
	u8 *large = get_large_buffer();
	size_t size = large ? LARGE_READ_BYTES : SMALL_READ_BYTES;
	u8 *buf = large ?: small;
	size_t used = min(read->limit - read->delivered, size);

	do {
		while (bytes) {
			size_t piece = min(bytes, size);
			size_t copied = deliver(read->to, buf, piece, piece);

			read->delivered += copied;
			bytes -= copied;
			if (copied < piece)
				break;
		}
		if (bytes) {
			rngq_client_give_back(read->client, taken, bytes);
			break;
		}
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
	} while (bytes);

	memzero_explicit(buf, used);
	if (large)
		put_large_buffer(large);
}

/*
 * Take, and deliver until that is done, or a page has to be faulted in, or there is
 * nothing more. Return 0, or why nothing could be taken.
 */
static __always_inline int take_and_deliver(struct read *read, u8 *small)
{
	struct rngq_taken taken __uninitialized;
	size_t want = read->limit - read->delivered;
	size_t first = min_t(size_t, want, LARGE_READ_BYTES);
	size_t copied;
	ssize_t bytes;
	u64 available;

	bytes = rngq_client_take(read->client, first, &taken, &available);
	if (unlikely(!bytes))
		bytes = rngq_client_await(read->client, want, first,
					  read->nowait || read->delivered,
					  &taken, &available);
	if (bytes < 0)
		return bytes;
	/* However long it takes: no refill in between makes this read longer. */
	want = min_t(u64, want, available);
	read->limit = read->delivered + want;

	if (bytes < want || bytes > SMALL_READ_BYTES) {
		read_on(read, &taken, bytes, small);
		return 0;
	}
	copied = deliver(read->to, small, SMALL_READ_BYTES, bytes);
	read->delivered += copied;
	if (unlikely(copied < bytes))
		rngq_client_give_back(read->client, &taken, bytes - copied);
	/* Sizes that are known when compiled make the usual one quick. */
	if (bytes <= TINY_READ_BYTES)
		memzero_explicit(small, TINY_READ_BYTES);
	else
		memzero_explicit(small, SMALL_READ_BYTES);
	return 0;
}

/*
 * The read stopped short. If that was for a page, fault it in, now that nothing that
 * was taken is held, and tell whether to go on. In @err there is why not, for a
 * read that has delivered nothing: callers that don't wait know no error but
 * -EAGAIN and -EFAULT; QEMU takes any other for a bug.
 */
static noinline bool fault_in(struct read *read, int *err)
{
	size_t bytes = min_t(size_t, read->limit - read->delivered,
			     LARGE_READ_BYTES);
	size_t missing;

	*err = read->nowait ? -EAGAIN : -ERESTARTSYS;
	if (signal_pending(current))
		return false;
	*err = -EFAULT;
	/* Nothing else has pages to fault in: a pipe is full. */
	if (!user_backed_iter(read->to))
		return false;
	missing = fault_in_iov_iter_writeable(read->to, bytes);
	if (missing) {
		read->limit = read->delivered + bytes - missing;
		WRITE_ONCE(read->client->has_faulted, RNGQ_FAULTS_IN);
	}
	return missing < bytes;
}

static ssize_t rngq_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	u8 small[SMALL_READ_BYTES] __uninitialized;
	struct read read = {
		.client = iocb->ki_filp->private_data,
		.to = to,
		.nowait = (iocb->ki_flags & IOCB_NOWAIT) ||
			  (iocb->ki_filp->f_flags & O_NONBLOCK),
		.asked = iov_iter_count(to),
		.limit = iov_iter_count(to),
	};
	int err;

	if (!read.asked)
		return 0;
	/* Else it could take again and again what it can't be given. */
	if (unlikely(READ_ONCE(read.client->has_faulted)) &&
	    !fault_in(&read, &err))
		return err;

	do {
		err = take_and_deliver(&read, small);
	} while (!err && unlikely(read.delivered < read.limit) &&
		 fault_in(&read, &err));

	if (unlikely(!read.delivered))
		return err;
	rngq_client_delivered(read.client, read.delivered);
	/* To an edge-triggered poller this says that there is nothing left. */
	if (read.delivered < read.asked)
		rngq_client_recheck(read.client);
	return read.delivered;
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
