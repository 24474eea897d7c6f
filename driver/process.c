// SPDX-License-Identifier: GPL-2.0
/*
 * A process (thread group) that opens clients, and what its next one starts
 * with.
 */
#include "process.h"

#include <linux/bits.h>

/**
 * rngq_process_open() - fill the bucket of a client that a process opens
 * @process: the process
 * @bucket: the new client's bucket
 * @quota: the new client's quota
 * @boot_bytes: boot credit of a process that is new
 * @now_ns: the time
 *
 * Context: Process context; the registry's mutex is held, and nobody else
 * knows @bucket.
 * Return: What it starts with.
 */
enum rngq_start rngq_process_open(struct rngq_process *process,
				  struct rngq_bucket *bucket,
				  const struct rngq_quota *quota,
				  u64 boot_bytes, u64 now_ns)
{
	enum rngq_start start;

	if (process->left) {
		*bucket = process->bucket;
		rngq_bucket_set_quota(bucket, quota, now_ns);
		bucket->credit_bytes = process->credit_bytes;
		process->credit_bytes = 0;
		start = RNGQ_START_GOES_ON;
	} else if (process->nr_clients) {
		rngq_bucket_init_empty(bucket, quota, now_ns);
		start = RNGQ_START_FURTHER;
	} else {
		rngq_bucket_init(bucket, quota, boot_bytes);
		start = RNGQ_START_FIRST;
	}
	process->left = false;
	process->nr_clients++;
	return start;
}

/**
 * rngq_process_cancel() - take an opening back that failed later on
 * @process: the process
 * @start: what rngq_process_open() has returned
 * @bucket: the client's bucket, from which nobody took any
 * @member: what the client was of total/
 *
 * It is as if there had been no client: the bucket to go on with is left again,
 * a first fill is still to come. If others of the process came or went
 * meanwhile, who started empty for its sake, it counts as opened and closed.
 *
 * Context: Process context; the registry's mutex is held.
 */
void rngq_process_cancel(struct rngq_process *process, enum rngq_start start,
			 const struct rngq_bucket *bucket,
			 const struct rngq_member *member)
{
	bool alone = process->nr_clients == 1 && !process->left;

	if (start == RNGQ_START_GOES_ON ||
	    (start == RNGQ_START_FIRST && !alone))
		rngq_process_close(process, bucket, member);
	else
		process->nr_clients--;
}

/**
 * rngq_process_close() - keep what a client leaves, for the process's next one
 * @process: the process that had opened it
 * @bucket: the client's bucket, from which nobody takes any more
 * @member: what the client was of total/, after it left
 *
 * Context: Process context; the registry's mutex is held.
 */
void rngq_process_close(struct rngq_process *process,
			const struct rngq_bucket *bucket,
			const struct rngq_member *member)
{
	process->bucket = *bucket;
	process->member = *member;
	process->credit_bytes += bucket->credit_bytes;
	process->left = true;
	process->nr_clients--;
}

/**
 * rngq_process_override() - note an override of one of a process's clients
 * @process: the process
 * @setting: one of a quota's settings
 * @value: its value
 *
 * Context: Process context; the registry's mutex is held.
 */
void rngq_process_override(struct rngq_process *process,
			   enum rngq_setting setting, u64 value)
{
	process->overrides |= BIT(setting);
	*rngq_quota_value(&process->quota, setting) = value;
}

/**
 * rngq_process_follow() - note that a process's client follows a default again
 * @process: the process
 * @setting: one of a quota's settings
 *
 * Context: Process context; the registry's mutex is held.
 */
void rngq_process_follow(struct rngq_process *process,
			 enum rngq_setting setting)
{
	process->overrides &= ~BIT(setting);
}

/**
 * rngq_process_overlay() - put a process's overrides into a quota
 * @process: the process
 * @quota: the defaults; its next client's quota afterwards
 *
 * Context: Process context; the registry's mutex is held.
 */
void rngq_process_overlay(const struct rngq_process *process,
			  struct rngq_quota *quota)
{
	struct rngq_quota own = process->quota;
	enum rngq_setting setting;

	for (setting = 0; setting < RNGQ_QUOTA_SETTINGS; setting++) {
		if (process->overrides & BIT(setting))
			*rngq_quota_value(quota, setting) =
				*rngq_quota_value(&own, setting);
	}
}
