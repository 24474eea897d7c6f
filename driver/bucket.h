/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The bucket: what may be read now, as pure arithmetic.
 *
 * The promise. In any interval of length t at most
 *
 *	rate + burst + rate * (floor(t / period) + 1)
 *
 * bytes are taken from a bucket, plus its boot credit once; and whoever always
 * takes what there is, and is not late by a period, gets rate bytes a period.
 *
 * Why the code keeps it. The bucket never holds more than rate + burst, its
 * capacity: that is all an interval can begin with. What comes on top are
 * refills of rate bytes each, and two refills are never less than a period
 * apart, because a period begins either where the last one ended or later:
 *
 *  - While the bucket is not full, its clock runs: periods follow each other
 *    without a gap, and the end of each is a refill.
 *  - When a refill fills the bucket, the clock stops. The next take starts it
 *    again: at that take, or, if somebody awaited this refill and the take
 *    comes less than a period after it, at the refill. This is the beat: a
 *    waiter that wakes late doesn't lose the time by which it was late.
 *
 * So an interval of length t sees floor(t / period) + 1 refills at the most.
 * What was taken and not delivered can be given back as long as that is the same
 * as if it had never been taken: while nothing else was taken since, or while
 * no refill (or change) came since. After both, it might have been cut at the
 * capacity, and would add to what the refill brought in its place.
 *
 * Example: 5 bytes, period 5 s, burst 0.
 *
 *	0.0 s	take 3: the bucket was full, the period begins
 *	2.0 s	take 9: 2 are left, so 2; the bucket is empty
 *	5.0 s	refill: 5 bytes, full, the clock stops
 *	7.0 s	take 5: the next period begins now and ends at 12.0 s; but
 *		had somebody been waiting since 2.0 s, at 10.0 s
 *
 * A rate of RNGQ_MAX means no limit and no clock. The boot credit is taken
 * before the bucket is, it starts no period and is never refilled.
 *
 * Time is passed in as nanoseconds of any clock that does not run backwards.
 * Nothing in here locks: the owner of a bucket does.
 */
#ifndef RNGQUOTA_BUCKET_H
#define RNGQUOTA_BUCKET_H

#include <linux/minmax.h>
#include <linux/types.h>

#include "quota.h"

/* A time that never comes: the clock stands still. */
#define RNGQ_NEVER	U64_MAX

/**
 * struct rngq_bucket - what may be taken now, and when there will be more
 * @rate_bytes:		what a refill brings, or RNGQ_MAX
 * @period_ns:		length of a period
 * @capacity_bytes:	what the bucket can hold: rate and burst
 * @level_bytes:	what the bucket holds
 * @credit_bytes:	what is left of the boot credit
 * @refill_ns:		end of the running period; RNGQ_NEVER: the clock stands
 * @beat_ns:		where a period ends that is begun before then, on the
 *			beat; 0 if there is no beat to keep
 * @refills:		counts refills, and changes of the quota
 * @takes:		counts takes of at least a byte
 * @awaited:		somebody waits for the next refill
 */
struct rngq_bucket {
	u64 rate_bytes;
	u64 period_ns;
	u64 capacity_bytes;
	u64 level_bytes;
	u64 credit_bytes;
	u64 refill_ns;
	u64 beat_ns;
	u64 refills;
	u64 takes;
	bool awaited;
};

/**
 * struct rngq_draw - where taken bytes came from, for giving them back
 * @level_bytes:	from the bucket
 * @credit_bytes:	from the boot credit
 * @refills:		the bucket's count of refills when they were taken
 * @takes:		its count of takes then, this one included
 */
struct rngq_draw {
	u64 level_bytes;
	u64 credit_bytes;
	u64 refills;
	u64 takes;
};

void rngq_bucket_init(struct rngq_bucket *bucket,
		      const struct rngq_quota *quota, u64 boot_bytes);
void rngq_bucket_init_empty(struct rngq_bucket *bucket,
			    const struct rngq_quota *quota, u64 now_ns);
void rngq_bucket_set_quota(struct rngq_bucket *bucket,
			   const struct rngq_quota *quota, u64 now_ns);
void __rngq_bucket_refill(struct rngq_bucket *bucket, u64 now_ns);
void rngq_bucket_give_back(struct rngq_bucket *bucket,
			   const struct rngq_draw *draw, u64 bytes);

/**
 * rngq_bucket_refill() - bring a bucket up to date
 * @bucket: the bucket
 * @now_ns: the time
 *
 * Context: Any; the bucket's owner holds its lock.
 */
static inline void rngq_bucket_refill(struct rngq_bucket *bucket, u64 now_ns)
{
	if (now_ns >= bucket->refill_ns)
		__rngq_bucket_refill(bucket, now_ns);
}

/**
 * rngq_bucket_is_full() - is there nothing that a refill could add?
 * @bucket: the bucket, up to date; without a limit it has capacity 0
 *
 * Context: Any; the bucket's owner holds its lock.
 * Return: Whether it is.
 */
static inline bool rngq_bucket_is_full(const struct rngq_bucket *bucket)
{
	return bucket->level_bytes >= bucket->capacity_bytes;
}

/**
 * rngq_bucket_available() - what could be taken from a bucket
 * @bucket: the bucket, up to date
 *
 * Context: Any; the bucket's owner holds its lock.
 * Return: Bytes, boot credit included; RNGQ_MAX if there is no limit.
 */
static inline u64 rngq_bucket_available(const struct rngq_bucket *bucket)
{
	if (bucket->rate_bytes == RNGQ_MAX)
		return RNGQ_MAX;
	return bucket->level_bytes + bucket->credit_bytes;
}

/**
 * rngq_bucket_take() - take bytes, as many as there are
 * @bucket: the bucket
 * @want_bytes: how many at the most
 * @now_ns: the time
 * @draw: where they came from, for rngq_bucket_give_back()
 *
 * Inline, as each read does it.
 *
 * Context: Any; the bucket's owner holds its lock.
 * Return: How many were taken: the lesser of @want_bytes and what there was.
 */
static inline u64 rngq_bucket_take(struct rngq_bucket *bucket, u64 want_bytes,
				   u64 now_ns, struct rngq_draw *draw)
{
	u64 credit_bytes, level_bytes;

	rngq_bucket_refill(bucket, now_ns);

	draw->refills = bucket->refills;
	if (bucket->rate_bytes == RNGQ_MAX) {
		draw->takes = ++bucket->takes;
		draw->credit_bytes = 0;
		draw->level_bytes = 0;
		return want_bytes;
	}

	credit_bytes = min(want_bytes, bucket->credit_bytes);
	level_bytes = min(want_bytes - credit_bytes, bucket->level_bytes);
	draw->credit_bytes = credit_bytes;
	draw->level_bytes = level_bytes;
	/* Who finds nothing is in the way of nobody who gives back. */
	if (!credit_bytes && !level_bytes) {
		draw->takes = bucket->takes;
		return 0;
	}
	if (level_bytes && rngq_bucket_is_full(bucket))
		bucket->refill_ns = now_ns < bucket->beat_ns ?
			bucket->beat_ns : now_ns + bucket->period_ns;
	bucket->credit_bytes -= credit_bytes;
	bucket->level_bytes -= level_bytes;
	draw->takes = ++bucket->takes;
	return credit_bytes + level_bytes;
}

/**
 * rngq_bucket_await() - note that somebody waits for the next refill
 * @bucket: the bucket, up to date, with nothing for whoever waits
 *
 * Context: Any; the bucket's owner holds its lock.
 */
static inline void rngq_bucket_await(struct rngq_bucket *bucket)
{
	bucket->awaited = true;
}

#endif
