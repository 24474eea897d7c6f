// SPDX-License-Identifier: GPL-2.0
/*
 * Which process is which, and when to forget one.
 */
#include "process_table.h"
#include "process.h"

#include <linux/atomic.h>
#include <linux/hashtable.h>
#include <linux/list.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#define TABLE_BITS	10

struct entry {
	struct rngq_process process;
	struct pid *pid;
	struct hlist_node node;
	struct list_head idle;		/* empty while it has clients */
};

static DEFINE_HASHTABLE(processes, TABLE_BITS);

/* Processes without clients. */
static LIST_HEAD(idle_entries);
/* Those of them that the sweep which is under way has not come to. */
static LIST_HEAD(unswept_entries);

static void forget(struct entry *entry)
{
	hash_del(&entry->node);
	list_del(&entry->idle);
	put_pid(entry->pid);
	kfree(entry);
}

/* Is a process past the point where it could open anything? */
static bool is_gone(const struct entry *entry)
{
	struct task_struct *leader;
	bool gone;

	rcu_read_lock();
	leader = pid_task(entry->pid, PIDTYPE_TGID);
	gone = !leader || !atomic_read(&leader->signal->live);
	rcu_read_unlock();
	return gone;
}

/**
 * rngq_process_table_new() - make an entry for a process, outside the table
 * @pid: its thread group
 *
 * Separate from rngq_process_table_find(), since this may have to wait for
 * memory, and for as long as the process's memory cgroup likes.
 *
 * Context: Process context, may sleep; the registry's mutex is not held.
 * Return: A process that has no clients yet, or NULL: no memory.
 */
struct rngq_process *rngq_process_table_new(struct pid *pid)
{
	struct entry *entry = kzalloc(sizeof(*entry), GFP_KERNEL_ACCOUNT);

	if (!entry)
		return NULL;
	entry->pid = get_pid(pid);
	INIT_HLIST_NODE(&entry->node);
	INIT_LIST_HEAD(&entry->idle);
	return &entry->process;
}

/**
 * rngq_process_table_find() - find a process, or take it in
 * @fresh: from rngq_process_table_new(); gone afterwards if it is known already
 *
 * Context: Process context; the registry's mutex is held. Unless the process
 * gets a client, rngq_process_table_settle() is to be called.
 * Return: What is remembered of it.
 */
struct rngq_process *rngq_process_table_find(struct rngq_process *fresh)
{
	struct entry *new = container_of(fresh, struct entry, process);
	unsigned long key = (unsigned long)new->pid;
	struct entry *entry;

	hash_for_each_possible(processes, entry, node, key) {
		if (entry->pid == new->pid) {
			forget(new);
			list_del_init(&entry->idle);
			return &entry->process;
		}
	}
	hash_add(processes, &new->node, key);
	return fresh;
}

/**
 * rngq_process_table_settle() - see whether a process is to be forgotten
 * @process: the process, which may have no clients any more; don't use it
 *	afterwards unless it has
 *
 * Context: Process context; the registry's mutex is held.
 * Return: Whether it has none, but lives: the table is to be swept later.
 */
bool rngq_process_table_settle(struct rngq_process *process)
{
	struct entry *entry = container_of(process, struct entry, process);

	if (process->nr_clients)
		return false;
	list_add_tail(&entry->idle, &idle_entries);
	if (process->left && !is_gone(entry))
		return true;
	forget(entry);
	return false;
}

/**
 * rngq_process_table_sweep_begin() - begin to forget processes that are gone
 *
 * Context: Process context; the registry's mutex is held, and may be dropped
 * before each rngq_process_table_sweep_next(). Sweeps don't overlap.
 */
void rngq_process_table_sweep_begin(void)
{
	list_splice_tail_init(&idle_entries, &unswept_entries);
}

/**
 * rngq_process_table_sweep_next() - look at the next process, and forget it if gone
 * @gone: whether it was; unchanged if there is none
 *
 * Context: Process context; the registry's mutex is held.
 * Return: Whether there was one.
 */
bool rngq_process_table_sweep_next(bool *gone)
{
	struct entry *entry = list_first_entry_or_null(&unswept_entries,
						       struct entry, idle);

	if (!entry)
		return false;
	*gone = is_gone(entry);
	if (*gone)
		forget(entry);
	else
		list_move_tail(&entry->idle, &idle_entries);
	return true;
}

/**
 * rngq_process_table_has_idle() - is there anything to sweep?
 *
 * Context: Process context; the registry's mutex is held.
 * Return: Whether the table has processes without clients.
 */
bool rngq_process_table_has_idle(void)
{
	return !list_empty(&idle_entries) || !list_empty(&unswept_entries);
}

/**
 * rngq_process_table_clear() - forget all processes
 *
 * Context: Process context; there are no clients, and no sweep is under way.
 */
void rngq_process_table_clear(void)
{
	struct entry *entry, *next;

	rngq_process_table_sweep_begin();
	list_for_each_entry_safe(entry, next, &unswept_entries, idle)
		forget(entry);
}
