// SPDX-License-Identifier: GPL-2.0
/*
 * What all clients together have done since the module was loaded.
 */
#include "stats.h"

#include <linux/compiler.h>
#include <linux/cpumask.h>

DEFINE_PER_CPU(u64[RNGQ_NR_STATS], rngq_stats);

/**
 * rngq_stats_sum() - what was counted on all CPUs
 * @stat: what
 *
 * Context: Any. A sum that is taken while others count is as old as its
 * oldest part.
 * Return: The sum.
 */
u64 rngq_stats_sum(enum rngq_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(rngq_stats, cpu)[stat]);
	return sum;
}
