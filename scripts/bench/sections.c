// SPDX-License-Identifier: GPL-2.0
/*
 * A module for total.sh: how long rngquota keeps interrupts off, in cycles
 * of a machine with one CPU. Of two kinds, the longest while "recording" is set:
 *
 *	off	A section: from where a lock is called that turns them off to where
 *		the unlock is called that turns them on again, if one of these is called
 *		by rngquota. Wake-ups in between are in it.
 *	timer	A function of rngquota in the timer's interrupt.
 *
 * "longest" shows each with who called what ended it. What this module takes itself
 * is taken off.
 */
#include <linux/ftrace.h>
#include <linux/hrtimer.h>
#include <linux/irqflags.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timex.h>
#include <linux/tracepoint.h>
#include <trace/events/timer.h>

enum kind { OFF, TIMER, KINDS };

/* The code of rngquota. */
static unsigned long from;
module_param(from, ulong, 0);
static unsigned long size;
module_param(size, ulong, 0);

static struct longest {
	u64 cost;
	unsigned long ended_by;
} longest[KINDS];

static u64 own_cost;	/* what noticing a call takes */
static unsigned int nr_noticed;
static bool recording;

/* A section: */
static unsigned int depth;
static unsigned long begun_by;
static u64 section_start;

static u64 timer_start;

static bool is_of_rngquota(unsigned long address)
{
	return address - from < size;
}

static void note_end(enum kind kind, u64 since, u64 until, unsigned long by)
{
	u64 cost = until - since;

	cost -= min(cost, nr_noticed * own_cost);
	if (cost > longest[kind].cost)
		longest[kind] = (struct longest){ cost, by };
}

/* An interrupt: if it came in a section, that was before they were off. */
static bool is_interrupt(void)
{
	if (!in_hardirq())
		return false;
	nr_noticed++;
	depth = 0;
	return true;
}

static void notice_lock(unsigned long ip, unsigned long caller,
			struct ftrace_ops *ops, struct ftrace_regs *regs)
{
	if (is_interrupt())
		return;
	if (irqs_disabled()) {
		nr_noticed++;
		depth += !!depth;
		return;
	}
	begun_by = caller;
	nr_noticed = 1;
	depth = 1;
	section_start = get_cycles();
}

static void notice_unlock(unsigned long ip, unsigned long caller,
			  struct ftrace_ops *ops, struct ftrace_regs *regs)
{
	u64 now = get_cycles();

	if (is_interrupt() || !depth)
		return;
	if (--depth)
		nr_noticed++;
	else if (is_of_rngquota(begun_by) || is_of_rngquota(caller))
		note_end(OFF, section_start, now, caller);
}

static void notice_timer(void *data, struct hrtimer *timer, ktime_t *now)
{
	nr_noticed = 0;
	timer_start = get_cycles();
}

static void notice_timer_end(void *data, struct hrtimer *timer)
{
	unsigned long function = (unsigned long)READ_ONCE(timer->function);

	if (is_of_rngquota(function))
		note_end(TIMER, timer_start, get_cycles(), function);
}

static struct ftrace_ops locks = { .func = notice_lock };
static struct ftrace_ops unlocks = { .func = notice_unlock };
static struct tracepoint *timer_entry, *timer_exit;

static void stop(void)
{
	unregister_ftrace_function(&locks);
	unregister_ftrace_function(&unlocks);
	tracepoint_probe_unregister(timer_entry, notice_timer, NULL);
	tracepoint_probe_unregister(timer_exit, notice_timer_end, NULL);
}

static int start(void)
{
	int err = register_ftrace_function(&locks);

	if (!err)
		err = register_ftrace_function(&unlocks);
	if (!err)
		err = tracepoint_probe_register(timer_entry, notice_timer, NULL);
	if (!err)
		err = tracepoint_probe_register(timer_exit, notice_timer_end, NULL);
	if (err)
		stop();
	return err;
}

/* What a lock and its unlock take in a section. */
static u64 pair_cost(void)
{
	static DEFINE_SPINLOCK(outer);
	static DEFINE_SPINLOCK(inner);
	unsigned long outer_flags, inner_flags;
	u64 before, cost;

	spin_lock_irqsave(&outer, outer_flags);
	before = get_cycles();
	spin_lock_irqsave(&inner, inner_flags);
	spin_unlock_irqrestore(&inner, inner_flags);
	cost = get_cycles() - before;
	spin_unlock_irqrestore(&outer, outer_flags);
	return cost;
}

static int set_recording(const char *text, const struct kernel_param *param)
{
	bool before = recording;
	int err = param_set_bool(text, param);

	if (err || before == recording)
		return err;
	if (!recording) {
		stop();
		return 0;
	}
	memset(longest, 0, sizeof(longest));
	return start();
}

static int show_longest(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "off %llu %ps\ntimer %llu %ps\n",
			  longest[OFF].cost, (void *)longest[OFF].ended_by,
			  longest[TIMER].cost, (void *)longest[TIMER].ended_by);
}

static const struct kernel_param_ops recording_ops = {
	.set = set_recording, .get = param_get_bool,
};

static const struct kernel_param_ops longest_ops = { .get = show_longest };

module_param_cb(recording, &recording_ops, &recording, 0600);
module_param_cb(longest, &longest_ops, NULL, 0400);

static void look_at_tracepoint(struct tracepoint *tracepoint, void *data)
{
	if (!strcmp(tracepoint->name, "hrtimer_expire_entry"))
		timer_entry = tracepoint;
	if (!strcmp(tracepoint->name, "hrtimer_expire_exit"))
		timer_exit = tracepoint;
}

static int notice_calls_of(struct ftrace_ops *ops, const char *functions)
{
	char name[32];	/* it is written to */

	strscpy(name, functions, sizeof(name));
	return ftrace_set_filter(ops, name, strlen(name), 1);
}

static int __init begin(void)
{
	u64 unnoticed = pair_cost();
	int err;

	for_each_kernel_tracepoint(look_at_tracepoint, NULL);
	if (!timer_entry || !timer_exit)
		return -ENOENT;
	err = notice_calls_of(&locks, "_raw_spin_lock_irq*");
	if (!err)
		err = notice_calls_of(&unlocks, "_raw_spin_unlock_irq*");
	if (!err)
		err = start();
	if (err)
		return err;
	own_cost = (pair_cost() - unnoticed) / 2;
	stop();
	return 0;
}
module_init(begin);

MODULE_DESCRIPTION("How long rngquota keeps interrupts off");
MODULE_LICENSE("GPL");
