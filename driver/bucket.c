// SPDX-License-Identifier: GPL-2.0
/*
 * The bucket: what may be read now, as pure arithmetic. The promise that it
 * keeps, and why it does, is told in bucket.h.
 *
 * No sum overflows 64 bits: levels and credits stay below 2^42 bytes, times
 * are nanoseconds below 2^63 and periods below 2^52.
 */
#include "bucket.h"

#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>

static void fill(struct rngq_bucket *bucket)
{
	bucket->level_bytes = bucket->capacity_bytes;
	bucket->refill_ns = RNGQ_NEVER;
}

static void apply_quota(struct rngq_bucket *bucket,
			const struct rngq_quota *quota)
{
	bucket->rate_bytes = quota->rate_bytes;
	bucket->period_ns = quota->period_ms * NSEC_PER_MSEC;
	bucket->capacity_bytes = quota->rate_bytes == RNGQ_MAX ?
		0 : quota->rate_bytes + quota->burst_bytes;
}

/**
 * rngq_bucket_init() - make a full bucket
 * @bucket: the bucket
 * @quota: its quota
 * @boot_bytes: its boot credit
 *
 * Context: Any; nobody else knows the bucket yet.
 */
void rngq_bucket_init(struct rngq_bucket *bucket,
		      const struct rngq_quota *quota, u64 boot_bytes)
{
	*bucket = (struct rngq_bucket){ .credit_bytes = boot_bytes };
	apply_quota(bucket, quota);
	fill(bucket);
}

/**
 * rngq_bucket_init_empty() - make an empty bucket, whose first period begins
 * @bucket: the bucket
 * @quota: its quota; without a limit the bucket is as good as full
 * @now_ns: the time
 *
 * Context: Any; nobody else knows the bucket yet.
 */
void rngq_bucket_init_empty(struct rngq_bucket *bucket,
			    const struct rngq_quota *quota, u64 now_ns)
{
	rngq_bucket_init(bucket, quota, 0);
	if (quota->rate_bytes == RNGQ_MAX)
		return;
	bucket->level_bytes = 0;
	bucket->refill_ns = now_ns + bucket->period_ns;
}

/**
 * __rngq_bucket_refill() - add what the periods that ended have brought
 * @bucket: the bucket, whose running period has ended
 * @now_ns: the time, not before bucket->refill_ns
 *
 * Only rngq_bucket_refill() calls this, to keep the division off the path of
 * a read that needs none.
 *
 * Context: Any; the bucket's owner holds its lock.
 */
void __rngq_bucket_refill(struct rngq_bucket *bucket, u64 now_ns)
{
	u64 missing_bytes = bucket->capacity_bytes - bucket->level_bytes;
	u64 late_ns = now_ns - bucket->refill_ns;
	u64 periods = 1;

	bucket->refills++;
	bucket->beat_ns = 0;
	/* The beat is that of the awaited refill, if no other came after it. */
	if (bucket->awaited && (missing_bytes <= bucket->rate_bytes ||
				late_ns < bucket->period_ns))
		bucket->beat_ns = bucket->refill_ns + bucket->period_ns;
	bucket->awaited = false;

	if (late_ns >= bucket->period_ns)
		periods += div64_u64(late_ns, bucket->period_ns);

	/* periods >= missing / rate, rounded up, but without overflow */
	if (missing_bytes <= bucket->rate_bytes ||
	    periods > div64_u64(missing_bytes - 1, bucket->rate_bytes)) {
		fill(bucket);
		return;
	}
	bucket->level_bytes += periods * bucket->rate_bytes;
	bucket->refill_ns += periods * bucket->period_ns;
}

/**
 * rngq_bucket_give_back() - return bytes that were taken and not delivered
 * @bucket: the bucket, up to date
 * @draw: where they came from
 * @bytes: how many; the others of @draw were delivered, those of the boot
 *	credit first
 *
 * See bucket.h for when bytes of the bucket are too late to come back. A bucket
 * that is full again has had nothing taken: its clock stands.
 *
 * Context: Any; the bucket's owner holds its lock.
 */
void rngq_bucket_give_back(struct rngq_bucket *bucket,
			   const struct rngq_draw *draw, u64 bytes)
{
	u64 level_bytes = min(bytes, draw->level_bytes);

	bucket->credit_bytes += min(bytes - level_bytes, draw->credit_bytes);

	if (draw->refills == bucket->refills || draw->takes == bucket->takes)
		bucket->level_bytes += level_bytes;
	if (rngq_bucket_is_full(bucket))
		fill(bucket);
	/* Who waited has something now, and the next refill is not its beat. */
	if (rngq_bucket_available(bucket))
		bucket->awaited = false;
}

/**
 * rngq_bucket_set_quota() - change a bucket's quota
 * @bucket: the bucket
 * @quota: the new quota
 * @now_ns: the time
 *
 * A full bucket is full at the new capacity, and so is one that had no limit;
 * another keeps what it holds, cut to the new capacity, and its running period
 * keeps its start.
 *
 * Context: Any; the bucket's owner holds its lock.
 */
void rngq_bucket_set_quota(struct rngq_bucket *bucket,
			   const struct rngq_quota *quota, u64 now_ns)
{
	u64 old_period_ns = bucket->period_ns;
	bool was_full;

	rngq_bucket_refill(bucket, now_ns);
	was_full = rngq_bucket_is_full(bucket);
	apply_quota(bucket, quota);
	/* What is being delivered was not held against the new capacity. */
	bucket->refills++;

	if (bucket->beat_ns)
		bucket->beat_ns += bucket->period_ns - old_period_ns;
	if (was_full || rngq_bucket_is_full(bucket)) {
		bucket->awaited = false;
		fill(bucket);
		return;
	}
	bucket->refill_ns += bucket->period_ns - old_period_ns;
	rngq_bucket_refill(bucket, now_ns);
}
