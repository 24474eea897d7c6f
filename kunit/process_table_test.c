// SPDX-License-Identifier: GPL-2.0
/*
 * Which process is which, and when it is forgotten. Kernel threads, each of
 * which is a thread group, are the processes here.
 */
#include <kunit/test.h>

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "../driver/process.h"
#include "../driver/process_table.h"

#define MANY	64

/* Return whether a process was forgotten. */
static bool sweep(void)
{
	bool gone, found = false;

	rngq_process_table_sweep_begin();
	while (rngq_process_table_sweep_next(&gone))
		found |= gone;
	return found;
}

static int sleep_until_stopped(void *unused)
{
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static struct task_struct *start_process(struct kunit *test)
{
	struct task_struct *task = kthread_run(sleep_until_stopped, NULL,
					       "rngquota_kunit");

	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	return task;
}

static bool is_reaped(struct pid *pid)
{
	bool reaped;

	rcu_read_lock();
	reaped = !pid_task(pid, PIDTYPE_TGID);
	rcu_read_unlock();
	return reaped;
}

/* End a process, and wait until nothing is left of it but others' references. */
static void end_process(struct task_struct *task)
{
	struct pid *pid = get_pid(task_tgid(task));

	kthread_stop(task);
	while (!is_reaped(pid))
		schedule_timeout_uninterruptible(1);
	rcu_barrier();
	put_pid(pid);
}

static unsigned int references(struct pid *pid)
{
	return refcount_read(&pid->count);
}

/* As the registry does when a process opens a client. */
static struct rngq_process *find(struct kunit *test, struct pid *pid)
{
	struct rngq_process *fresh = rngq_process_table_new(pid);

	KUNIT_ASSERT_NOT_NULL(test, fresh);
	return rngq_process_table_find(fresh);
}

/* What the registry does at an open and at a close, less the bucket. */
static struct rngq_process *open_client(struct kunit *test, struct pid *pid)
{
	struct rngq_process *process = find(test, pid);

	KUNIT_ASSERT_NOT_NULL(test, process);
	process->left = false;
	process->nr_clients++;
	return process;
}

static bool close_client(struct rngq_process *process)
{
	process->left = true;
	process->nr_clients--;
	return rngq_process_table_settle(process);
}

static void process_is_found_again(struct kunit *test)
{
	struct task_struct *one = start_process(test);
	struct task_struct *other = start_process(test);
	struct rngq_process *process, *others;

	process = open_client(test, task_tgid(one));
	KUNIT_EXPECT_EQ(test, process->nr_clients, 1ULL);
	KUNIT_EXPECT_PTR_EQ(test, open_client(test, task_tgid(one)), process);
	KUNIT_EXPECT_EQ(test, process->nr_clients, 2ULL);
	others = open_client(test, task_tgid(other));
	KUNIT_EXPECT_PTR_NE(test, others, process);
	KUNIT_EXPECT_EQ(test, process->nr_clients, 2ULL);

	close_client(process);
	close_client(process);
	close_client(others);
	end_process(one);
	end_process(other);
}

static void new_process_is_not_known(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct rngq_process *process;

	process = find(test, task_tgid(task));
	KUNIT_ASSERT_NOT_NULL(test, process);
	KUNIT_EXPECT_FALSE(test, process->left);
	KUNIT_EXPECT_EQ(test, process->nr_clients, 0ULL);
	KUNIT_EXPECT_EQ(test, process->credit_bytes, 0ULL);
	KUNIT_EXPECT_EQ(test, process->overrides, 0UL);

	rngq_process_table_settle(process);
	end_process(task);
}

/* A process that lives is remembered, whether or not it has clients. */
static void living_process_is_kept(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct rngq_process *process;
	int times;

	process = open_client(test, task_tgid(task));
	for (times = 0; times < 3; times++) {
		process->credit_bytes = 4711 + times;
		KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
		KUNIT_EXPECT_TRUE(test, close_client(process));
		KUNIT_EXPECT_TRUE(test, rngq_process_table_has_idle());
		KUNIT_EXPECT_FALSE(test, sweep());
		KUNIT_EXPECT_TRUE(test, rngq_process_table_has_idle());

		KUNIT_ASSERT_PTR_EQ(test, open_client(test, task_tgid(task)),
				    process);
		KUNIT_EXPECT_EQ(test, process->credit_bytes, 4711ULL + times);
	}
	close_client(process);
	end_process(task);
}

static void first_of_two_closes_leaves_a_client(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct rngq_process *process;

	process = open_client(test, task_tgid(task));
	open_client(test, task_tgid(task));
	KUNIT_EXPECT_FALSE(test, close_client(process));
	KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
	KUNIT_EXPECT_TRUE(test, close_client(process));
	KUNIT_EXPECT_TRUE(test, rngq_process_table_has_idle());
	end_process(task);
}

/* Its descriptors went elsewhere: "it counts the clients that still exist". */
static void process_with_clients_is_kept_although_gone(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct pid *pid = get_pid(task_tgid(task));
	struct rngq_process *process;

	process = open_client(test, pid);
	end_process(task);
	KUNIT_EXPECT_FALSE(test, sweep());
	KUNIT_EXPECT_EQ(test, process->nr_clients, 1ULL);
	KUNIT_EXPECT_PTR_EQ(test, find(test, pid), process);
	KUNIT_EXPECT_FALSE(test, rngq_process_table_settle(process));
	KUNIT_EXPECT_EQ(test, references(pid), 2U);

	/* With the last of them it goes, and nothing is to be swept. */
	KUNIT_EXPECT_FALSE(test, close_client(process));
	KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
	KUNIT_EXPECT_EQ(test, references(pid), 1U);
	put_pid(pid);
}

/*
 * The last client of a dying process is mostly closed by its own end: no
 * thread lives, but it has not been reaped.
 */
static void dying_process_is_forgotten_at_its_last_close(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct pid *pid = task_tgid(task);
	unsigned int before = references(pid);
	struct rngq_process *process;

	process = open_client(test, pid);
	KUNIT_EXPECT_EQ(test, references(pid), before + 1);
	atomic_dec(&task->signal->live);
	KUNIT_EXPECT_FALSE(test, close_client(process));
	KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
	KUNIT_EXPECT_EQ(test, references(pid), before);
	atomic_inc(&task->signal->live);
	end_process(task);
}

static void idle_process_is_forgotten_by_a_sweep_when_gone(struct kunit *test)
{
	struct task_struct *gone = start_process(test);
	struct task_struct *alive = start_process(test);
	struct pid *pid = get_pid(task_tgid(gone));
	struct rngq_process *process;

	close_client(open_client(test, pid));
	process = open_client(test, task_tgid(alive));
	close_client(process);
	KUNIT_EXPECT_FALSE(test, sweep());

	end_process(gone);
	KUNIT_EXPECT_EQ(test, references(pid), 2U);
	KUNIT_EXPECT_TRUE(test, sweep());
	KUNIT_EXPECT_EQ(test, references(pid), 1U);
	put_pid(pid);

	/* The other is still there. */
	KUNIT_EXPECT_TRUE(test, rngq_process_table_has_idle());
	KUNIT_EXPECT_FALSE(test, sweep());
	KUNIT_EXPECT_PTR_EQ(test, open_client(test, task_tgid(alive)), process);
	KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
	close_client(process);
	end_process(alive);
}

static void one_sweep_finds_all_that_are_gone(struct kunit *test)
{
	struct task_struct *task[MANY];
	struct pid *pid[MANY];
	int i, gone = 0;

	for (i = 0; i < MANY; i++) {
		task[i] = start_process(test);
		pid[i] = get_pid(task_tgid(task[i]));
		close_client(open_client(test, pid[i]));
	}
	for (i = 0; i < MANY; i += 2)
		end_process(task[i]);
	KUNIT_EXPECT_TRUE(test, sweep());
	for (i = 0; i < MANY; i += 2)
		gone += references(pid[i]) == 1;
	KUNIT_EXPECT_EQ(test, gone, MANY / 2);
	KUNIT_EXPECT_FALSE(test, sweep());

	for (i = 1; i < MANY; i += 2)
		end_process(task[i]);
	KUNIT_EXPECT_TRUE(test, sweep());
	KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
	for (i = 0; i < MANY; i++) {
		KUNIT_EXPECT_EQ(test, references(pid[i]), 1U);
		put_pid(pid[i]);
	}
}

/*
 * As long as a process is remembered its struct pid is not free, so no other
 * gets the same one, whatever number it has.
 */
static void successor_is_not_taken_for_its_predecessor(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct pid *pid = task_tgid(task);
	struct rngq_process *process;
	int i;

	process = open_client(test, pid);
	process->credit_bytes = 4711;
	end_process(task);
	for (i = 0; i < MANY; i++) {
		task = start_process(test);
		KUNIT_ASSERT_PTR_NE(test, task_tgid(task), pid);
		process = find(test, task_tgid(task));
		KUNIT_ASSERT_NOT_NULL(test, process);
		KUNIT_ASSERT_FALSE(test, process->left);
		KUNIT_ASSERT_EQ(test, process->credit_bytes, 0ULL);
		rngq_process_table_settle(process);
		end_process(task);
	}
	process = find(test, pid);
	KUNIT_ASSERT_NOT_NULL(test, process);
	KUNIT_EXPECT_EQ(test, process->credit_bytes, 4711ULL);
	KUNIT_EXPECT_EQ(test, references(pid), 1U);
	close_client(process);
}

static void refused_process_leaves_nothing(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct pid *pid = task_tgid(task);
	unsigned int before = references(pid);
	struct rngq_process *process;
	int times;

	for (times = 0; times < 3; times++) {
		process = find(test, pid);
		KUNIT_ASSERT_NOT_NULL(test, process);
		KUNIT_EXPECT_FALSE(test, rngq_process_table_settle(process));
		KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
		KUNIT_EXPECT_EQ(test, references(pid), before);
	}
	end_process(task);
}

/* Neither a process that has clients nor one that had some loses by it. */
static void refused_process_is_remembered_as_before(struct kunit *test)
{
	struct task_struct *task = start_process(test);
	struct pid *pid = task_tgid(task);
	struct rngq_process *process = open_client(test, pid);

	KUNIT_EXPECT_PTR_EQ(test, find(test, pid), process);
	KUNIT_EXPECT_FALSE(test, rngq_process_table_settle(process));
	KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());

	KUNIT_EXPECT_TRUE(test, close_client(process));
	KUNIT_EXPECT_PTR_EQ(test, find(test, pid), process);
	KUNIT_EXPECT_TRUE(test, rngq_process_table_settle(process));
	KUNIT_EXPECT_TRUE(test, rngq_process_table_has_idle());
	end_process(task);
}

static void cleared_table_has_forgotten_all(struct kunit *test)
{
	struct task_struct *task[MANY];
	struct rngq_process *process;
	unsigned int before;
	int i;

	for (i = 0; i < MANY; i++) {
		task[i] = start_process(test);
		before = references(task_tgid(task[i]));
		close_client(open_client(test, task_tgid(task[i])));
		KUNIT_EXPECT_EQ(test, references(task_tgid(task[i])),
				before + 1);
	}
	rngq_process_table_clear();
	KUNIT_EXPECT_FALSE(test, rngq_process_table_has_idle());
	for (i = 0; i < MANY; i++) {
		KUNIT_EXPECT_EQ(test, references(task_tgid(task[i])), before);
		process = find(test, task_tgid(task[i]));
		KUNIT_ASSERT_NOT_NULL(test, process);
		KUNIT_EXPECT_FALSE(test, process->left);
		rngq_process_table_settle(process);
		end_process(task[i]);
	}
}

static struct kunit_case process_table_cases[] = {
	KUNIT_CASE(process_is_found_again),
	KUNIT_CASE(new_process_is_not_known),
	KUNIT_CASE(living_process_is_kept),
	KUNIT_CASE(first_of_two_closes_leaves_a_client),
	KUNIT_CASE(process_with_clients_is_kept_although_gone),
	KUNIT_CASE(dying_process_is_forgotten_at_its_last_close),
	KUNIT_CASE(idle_process_is_forgotten_by_a_sweep_when_gone),
	KUNIT_CASE(one_sweep_finds_all_that_are_gone),
	KUNIT_CASE(successor_is_not_taken_for_its_predecessor),
	KUNIT_CASE(refused_process_leaves_nothing),
	KUNIT_CASE(refused_process_is_remembered_as_before),
	KUNIT_CASE(cleared_table_has_forgotten_all),
	{}
};

/* There is but one table: each case is to find it empty. */
static void forget_all(struct kunit *test)
{
	rngq_process_table_clear();
}

static struct kunit_suite process_table_suite = {
	.name = "rngquota_process_table",
	.exit = forget_all,
	.test_cases = process_table_cases,
};

kunit_test_suite(process_table_suite);
