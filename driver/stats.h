/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all clients together have done since the module was loaded.
 *
 * A counter a CPU, so that readers on different CPUs share no cache line.
 */
#ifndef RNGQUOTA_STATS_H
#define RNGQUOTA_STATS_H

#include <linux/irqflags.h>	/* some percpu.h lack it */
#include <linux/percpu.h>
#include <linux/types.h>

/**
 * enum rngq_stat - what is counted
 * @RNGQ_STAT_OPENS:		clients made
 * @RNGQ_STAT_BYTES:		bytes delivered
 * @RNGQ_STAT_READS:		reads that returned at least one byte
 * @RNGQ_STAT_THROTTLED:	waits for a refill, of its own or of total/
 * @RNGQ_STAT_THROTTLED_NS:	how long they lasted, in nanoseconds
 * @RNGQ_STAT_REFUSED:		opens that a limit refused
 * @RNGQ_NR_STATS:		how many there are
 */
enum rngq_stat {
	RNGQ_STAT_OPENS,
	RNGQ_STAT_BYTES,
	RNGQ_STAT_READS,
	RNGQ_STAT_THROTTLED,
	RNGQ_STAT_THROTTLED_NS,
	RNGQ_STAT_REFUSED,
	RNGQ_NR_STATS,
};

DECLARE_PER_CPU(u64[RNGQ_NR_STATS], rngq_stats);

/**
 * rngq_stats_add() - count
 * @stat: what
 * @amount: how many
 *
 * Context: Any.
 */
static inline void rngq_stats_add(enum rngq_stat stat, u64 amount)
{
	this_cpu_add(rngq_stats[stat], amount);
}

u64 rngq_stats_sum(enum rngq_stat stat);

#endif
