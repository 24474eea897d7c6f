// SPDX-License-Identifier: GPL-2.0
/*
 * rngquota: the kernel's random number generator with a quota per open file.
 *
 * Roughly from the bottom up:
 *
 *	quota		a quota, and the values that users may write into it
 *	bucket		what may be read now: pure arithmetic
 *	stats		what all clients together have done
 *	crng		is the generator initialized, and who wakes waiters
 *	client		one open file: bucket, counters, waiting and waking
 *	client_sysfs	its folder, clients/<id>/
 *	registry	all clients, and which quota each has
 *	sysfs		default/, stats/ and clients/
 *	device		/dev/rngquota and its file operations
 *	main		module parameters, loading and unloading
 *
 * A read goes device, client, bucket; a written setting goes sysfs or
 * client_sysfs, registry, client, bucket. Two locks: the registry's mutex for
 * who has which quota, then each client's own for what it may read. The way
 * back is short: crng has the registry recheck its clients once.
 */
#include "client.h"
#include "crng.h"
#include "device.h"
#include "quota.h"
#include "registry.h"

#include <linux/errno.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

static struct rngq_quota quota = {
	.rate_bytes = 1024,
	.period_ms = 1000,
	.burst_bytes = 0,
};

static u64 boot_bytes;

/* A module parameter: which setting, and where its value goes. */
struct setting_param {
	enum rngq_setting setting;
	u64 *value;
};

static int setting_param_set(const char *text, const struct kernel_param *kp)
{
	const struct setting_param *param = kp->arg;

	/* The loader names the parameter in the log, but knows only -EINVAL. */
	return rngq_setting_parse(param->setting, text, param->value) ?
		-EINVAL : 0;
}

static int setting_param_get(char *page, const struct kernel_param *kp)
{
	const struct setting_param *param = kp->arg;

	return rngq_setting_emit(page, *param->value);
}

static const struct kernel_param_ops setting_param_ops = {
	.set = setting_param_set,
	.get = setting_param_get,
};

static struct setting_param rate_bytes_param = {
	RNGQ_RATE_BYTES, &quota.rate_bytes
};

module_param_cb(rate_bytes, &setting_param_ops, &rate_bytes_param, 0444);
MODULE_PARM_DESC(rate_bytes,
		 "bytes a period that each client gets, or max (default: 1024)");

static struct setting_param period_ms_param = {
	RNGQ_PERIOD_MS, &quota.period_ms
};

module_param_cb(period_ms, &setting_param_ops, &period_ms_param, 0444);
MODULE_PARM_DESC(period_ms, "length of a period in ms (default: 1000)");

static struct setting_param burst_bytes_param = {
	RNGQ_BURST_BYTES, &quota.burst_bytes
};

module_param_cb(burst_bytes, &setting_param_ops, &burst_bytes_param, 0444);
MODULE_PARM_DESC(burst_bytes, "unspent bytes carried over (default: 0)");

static struct setting_param boot_bytes_param = {
	RNGQ_BOOT_BYTES, &boot_bytes
};

module_param_cb(boot_bytes, &setting_param_ops, &boot_bytes_param, 0444);
MODULE_PARM_DESC(boot_bytes,
		 "bytes that a new client gets once, on top (default: 0)");

static int __init rngq_init(void)
{
	rngq_registry_init(&quota, boot_bytes);
	return rngq_device_register();
}

static void __exit rngq_exit(void)
{
	rngq_device_unregister();
	rngq_crng_stop();
	rngq_client_wait_all_freed();
}

module_init(rngq_init);
module_exit(rngq_exit);

MODULE_DESCRIPTION("Kernel random numbers with a quota per open file");
MODULE_AUTHOR("The rngquota developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
