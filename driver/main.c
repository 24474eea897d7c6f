// SPDX-License-Identifier: GPL-2.0
/*
 * rngquota: the kernel's random number generator with a quota per open file.
 *
 * From the bottom up. Each file uses only those above it in this list:
 *
 *	compat		what differs between kernels
 *	quota		a quota, and the values that users may write into it
 *	bucket		what may be read now: pure arithmetic
 *	waiter		one who waits on a list, and how to wake it
 *	shares		who gets what of a bucket that all share: pure, too
 *	process		what a process's next client starts with: pure, too
 *	process_table	which process is which, and when to forget one
 *	stats		what all clients together have done
 *	crng		is the generator initialized, and who waits for it
 *	total		the host's bucket, its lock and timer, and who deals
 *	client		one open file: bucket, counters, waiting and waking
 *	registry	all clients, which quota each has, and how many may be
 *	client_sysfs	a client's folder, clients/<id>/
 *	sysfs		default/, total/, limits/, stats/ and clients/
 *	device		/dev/rngquota and its file operations
 *	main		module parameters, loading and unloading
 *
 * A read goes device, client, bucket, and total and shares if the host has a
 * limit; a written setting goes sysfs or client_sysfs, registry, client or total,
 * bucket. Three locks: the registry's mutex for who has which quota, then each
 * client's own for what it may read, then total's for what all may. Whoever calls
 * upwards does so through a waiter: crng and total wake clients that way.
 */
#include "client.h"
#include "crng.h"
#include "device.h"
#include "quota.h"
#include "registry.h"

#include <linux/errno.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

/* The value of each setting at load: these, or what a parameter says. */
static u64 at_load[RNGQ_NR_SETTINGS] = {
	[RNGQ_RATE_BYTES] = 1024,
	[RNGQ_PERIOD_MS] = 1000,
	[RNGQ_BURST_BYTES] = 0,
	[RNGQ_BOOT_BYTES] = 0,
	[RNGQ_TOTAL_RATE_BYTES] = RNGQ_MAX,
	[RNGQ_TOTAL_PERIOD_MS] = 1000,
	[RNGQ_TOTAL_BURST_BYTES] = 0,
	[RNGQ_MAX_CLIENTS] = 16384,
	[RNGQ_MAX_CLIENTS_PER_PROCESS] = 8,
};

static int setting_param_set(const char *text, const struct kernel_param *kp)
{
	u64 *value = kp->arg;

	/* The loader names the parameter in the log, but knows only -EINVAL. */
	return rngq_setting_parse(value - at_load, text, value) ? -EINVAL : 0;
}

static int setting_param_get(char *page, const struct kernel_param *kp)
{
	const u64 *value = kp->arg;

	return rngq_setting_emit(page, *value);
}

static const struct kernel_param_ops setting_param_ops = {
	.set = setting_param_set,
	.get = setting_param_get,
};

module_param_cb(rate_bytes, &setting_param_ops,
		&at_load[RNGQ_RATE_BYTES], 0444);
MODULE_PARM_DESC(rate_bytes,
		 "bytes a period that each client gets, or max (default: 1024)");
module_param_cb(period_ms, &setting_param_ops, &at_load[RNGQ_PERIOD_MS], 0444);
MODULE_PARM_DESC(period_ms, "length of a period in ms (default: 1000)");
module_param_cb(burst_bytes, &setting_param_ops,
		&at_load[RNGQ_BURST_BYTES], 0444);
MODULE_PARM_DESC(burst_bytes, "unspent bytes carried over (default: 0)");
module_param_cb(boot_bytes, &setting_param_ops,
		&at_load[RNGQ_BOOT_BYTES], 0444);
MODULE_PARM_DESC(boot_bytes,
		 "bytes that a process gets once, on top (default: 0)");
module_param_cb(total_rate_bytes, &setting_param_ops,
		&at_load[RNGQ_TOTAL_RATE_BYTES], 0444);
MODULE_PARM_DESC(total_rate_bytes,
		 "bytes a period that all clients get together, or max (default: max)");
module_param_cb(total_period_ms, &setting_param_ops,
		&at_load[RNGQ_TOTAL_PERIOD_MS], 0444);
MODULE_PARM_DESC(total_period_ms,
		 "length of that period in ms (default: 1000)");
module_param_cb(total_burst_bytes, &setting_param_ops,
		&at_load[RNGQ_TOTAL_BURST_BYTES], 0444);
MODULE_PARM_DESC(total_burst_bytes,
		 "unspent bytes of all that are carried over (default: 0)");
module_param_cb(max_clients, &setting_param_ops,
		&at_load[RNGQ_MAX_CLIENTS], 0444);
MODULE_PARM_DESC(max_clients,
		 "clients that there may be, or max (default: 16384)");
module_param_cb(max_clients_per_process, &setting_param_ops,
		&at_load[RNGQ_MAX_CLIENTS_PER_PROCESS], 0444);
MODULE_PARM_DESC(max_clients_per_process,
		 "clients that one process may have, or max (default: 8)");

static int __init rngq_init(void)
{
	int err;

	err = rngq_registry_init(at_load);
	if (err)
		return err;
	err = rngq_device_register();
	if (err)
		rngq_registry_stop();
	return err;
}

static void __exit rngq_exit(void)
{
	rngq_device_unregister();
	rngq_crng_stop();
	rngq_client_wait_all_freed();
	rngq_registry_stop();
}

module_init(rngq_init);
module_exit(rngq_exit);

MODULE_DESCRIPTION("Kernel random numbers with a quota per open file");
MODULE_AUTHOR("The rngquota developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
