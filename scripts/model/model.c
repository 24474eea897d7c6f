// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel round the driver, for the model: threads, locks, wait queues, timers,
 * the clock, and the files of three clients. The driver's own bucket.c, turns.c,
 * total.c, client.c and device.c are built in as they are, the registry is not: of
 * it the model needs what three functions do.
 *
 * All of this, the stacks of the threads included, lies in memory that spin saves
 * and restores as it goes back and tries another order. Two states are the same
 * if their digests are: 128 bits of all that may still be read.
 */
#include "model.h"

#include "driver/turns.h"

/* What total.c calls goes through the books, see below. */
#define rngq_turns_available	booked_available
#define rngq_turns_take		booked_take
#define rngq_turns_give_back	booked_give_back
#define rngq_turns_deal		booked_deal
static u64 booked_available(struct rngq_turns *turns,
			    const struct rngq_turn *turn, u64 now_ns);
static u64 booked_take(struct rngq_turns *turns, struct rngq_turn *turn,
		       u64 want_bytes, u64 now_ns, struct rngq_draw *draw);
static void booked_give_back(struct rngq_turns *turns,
			     const struct rngq_draw *draw, u64 bytes,
			     u64 now_ns);
static void booked_deal(struct rngq_turns *turns, u64 now_ns,
			struct list_head *wake);

#include "driver/total.c"

#undef rngq_turns_available
#undef rngq_turns_take
#undef rngq_turns_give_back
#undef rngq_turns_deal

#include "driver/client_sysfs.h"
#include "driver/crng.h"
#include "driver/device.h"
#include "driver/registry.h"
#include "driver/sysfs.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

#define OWN_RATE_BYTES	1
#define OWN_PERIOD_MS	40
#define TOTAL_PERIOD_MS	32
/* What leave_cpu() has on the stack below its frame's address, and more. */
#define RED_ZONE_BYTES	128
#define UNTRACKED	__attribute__((__section__("untracked")))

struct task_struct {
	jmp_buf registers;
	char *top;		/* of what of its stack is in use */
	const char *where;
	bool is_inside;		/* the driver, or a system call round it */
	bool is_asleep;
	bool has_signal;
	spinlock_t *wants;	/* which it takes as soon as that is free */
	struct hrtimer *awaits;	/* whose function is to end first */
	/* What it is to do, and what came of it. */
	enum model_call call;
	int file;
	int arg;
	int result;
	int delivered;
	/* Of the edge-triggered epoll that it uses. */
	struct wait_queue_entry item;
	bool is_ready;
};

struct model_file {
	struct file file;
	struct rngq_client *client;
	int users;
	bool is_asked;		/* by those who don't wait, but come again */
};

/* Those at 0x6b bytes have been freed. */
static struct rngq_client memory[MAX_FILES];
static int nr_opened;
static struct model_file files[MAX_FILES];
static struct task_struct threads[MAX_THREADS];
static LIST_HEAD(registry);
static spinlock_t registry_mutex = { .magic = LOCK_MAGIC };
static const struct file_operations *fops;
static u64 clock_ns;
static u64 delivered_ns;
static u64 delivered_bytes;
static u64 taken_bytes;
static bool was_changed;

struct task_struct *current;
bool rngq_crng_seen_ready = true;
const char *model_broken;

/* Not part of any state. */
static jmp_buf scheduler UNTRACKED;
static ucontext_t birth UNTRACKED;
bool model_tells UNTRACKED;
unsigned char model_digest[16] UNTRACKED = { 1 };
char model_stacks[MAX_THREADS][STACK_BYTES]
	__attribute__((__section__("stacks"), __aligned__(16))) = { { 1 } };

static void keep_promise(void);

static void broken(const char *why)
{
	if (!model_broken)
		model_broken = why;
}

/* Threads */

static int thread_id(const struct task_struct *task)
{
	return task - threads;
}

/* Back to the scheduler, until it lets this thread go on. */
static void __attribute__((__noinline__)) leave_cpu(const char *where)
{
	current->where = where;
	current->top = __builtin_frame_address(0);
	if (!_setjmp(current->registers))
		_longjmp(scheduler, 1);
}

void yield(const char *where)
{
	if (current)
		leave_cpu(where);
}

static bool is_runnable(const struct task_struct *task)
{
	return task->is_inside && !task->is_asleep &&
	       !(task->wants && task->wants->owner) &&
	       !(task->awaits && task->awaits->is_running);
}

static void go_to_sleep(const char *where)
{
	current->is_asleep = true;
	leave_cpu(where);
}

static void wake_up(struct task_struct *task)
{
	task->is_asleep = false;
}

bool may_change(const void *flag)
{
	return flag != &rngq_crng_seen_ready;
}

bool signal_pending(struct task_struct *task)
{
	return task->has_signal;
}

void take_lock(spinlock_t *lock, const char *where)
{
	current->wants = lock;
	leave_cpu(where);
	current->wants = NULL;
	if (lock->magic != LOCK_MAGIC)
		broken("the lock of a client that has been freed is taken");
	lock->owner = current;
}

void drop_lock(spinlock_t *lock)
{
	if (lock->owner != current)
		broken("a lock is dropped by who does not hold it");
	lock->owner = NULL;
}

void assert_locked(const spinlock_t *lock)
{
	if (lock->owner != current)
		broken("a lock is not held that should be");
}

/* Wait queues */

void __set_current_state(int state)
{
	current->is_asleep = state != TASK_RUNNING;
}

int do_wait_intr_irq(wait_queue_head_t *queue, struct wait_queue_entry *wait)
{
	if (signal_pending(current))
		return -ERESTARTSYS;
	current->is_asleep = true;
	drop_lock(&queue->lock);
	leave_cpu("sleeps in a read");
	take_lock(&queue->lock, "is awake in a read");
	return 0;
}

void wake_up_locked_poll(wait_queue_head_t *queue, __poll_t events)
{
	struct wait_queue_entry *wait, *next;

	assert_locked(&queue->lock);
	list_for_each_entry_safe(wait, next, &queue->head, entry) {
		if (wait->triggered)
			*wait->triggered = true;
		wake_up(wait->task);
	}
}

void poll_wait(struct file *file, wait_queue_head_t *queue, poll_table *table)
{
	if (!table->wait)
		return;
	take_lock(&queue->lock, "lines up on the wait queue to poll");
	list_add_tail(&table->wait->entry, &queue->head);
	drop_lock(&queue->lock);
	table->queue = queue;
	table->wait = NULL;
}

/* Clock and timers */

u64 ktime_get_ns(void)
{
	return clock_ns;
}

void hrtimer_start(struct hrtimer *timer, ktime_t at, int mode)
{
	timer->expires = at;
	timer->is_queued = true;
}

void hrtimer_cancel(struct hrtimer *timer)
{
	timer->is_queued = false;
	current->awaits = timer;
	leave_cpu("waits for the end of a timer's function");
	current->awaits = NULL;
}

static struct hrtimer *timer_of(int file)
{
	if (file == MAX_FILES)
		return &deal_timer;
	return files[file].client ? &files[file].client->timer : NULL;
}

/* Memory and objects */

void *new_client(size_t bytes)
{
	return memset(&memory[nr_opened++], 0, bytes);
}

void kfree(void *client)
{
	const struct hrtimer *timer = &((struct rngq_client *)client)->timer;

	if (timer->is_queued || timer->is_running)
		broken("a client is freed whose timer is armed");
	memset(client, 0x6b, sizeof(struct rngq_client));
}

void kobject_init(struct kobject *kobj, const struct kobj_type *type)
{
	kobj->refs = 1;
	kobj->type = type;
}

void kobject_get(struct kobject *kobj)
{
	if (kobj->refs < 1 || kobj->refs > MAX_THREADS)
		broken("a reference is got to what has been freed");
	kobj->refs++;
}

void kobject_put(struct kobject *kobj)
{
	if (kobj->refs < 1 || kobj->refs > MAX_THREADS)
		broken("a reference is put to what has been freed");
	if (!--kobj->refs)
		kobj->type->release(kobj);
}

const struct kobj_type rngq_client_ktype = { .release = rngq_client_release };

int rngq_client_sysfs_add(struct rngq_client *client, struct kobject *folder)
{
	return 0;
}

void rngq_client_sysfs_remove(struct rngq_client *client)
{
}

struct kobject *rngq_sysfs_clients(void)
{
	return (struct kobject *)1;
}

int rngq_sysfs_add_clients(struct device *dev)
{
	return 0;
}

void rngq_sysfs_remove_clients(void)
{
}

const struct attribute_group *rngq_sysfs_groups[1];

bool __rngq_crng_ready(void)
{
	return true;
}

void rngq_crng_watch(void)
{
}

int misc_register(struct miscdevice *misc)
{
	fops = misc->fops;
	return 0;
}

size_t _copy_to_iter(const void *from, size_t bytes, struct iov_iter *to)
{
	size_t good = min(bytes, min(to->count, to->mapped));

	to->count -= good;
	to->mapped -= good;
	current->delivered += good;
	delivered_bytes += good;
	if (good)
		delivered_ns = clock_ns;
	keep_promise();
	return good;
}

/* The registry: see set_total(), rngq_registry_add() and _remove() in registry.c. */

int rngq_registry_add(struct rngq_client *client)
{
	const struct rngq_quota quota = {
		.rate_bytes = current->file < OWN_FILES ? OWN_RATE_BYTES : RNGQ_MAX,
		.period_ms = OWN_PERIOD_MS,
	};

	take_lock(&registry_mutex, "takes the registry's mutex");
	rngq_bucket_init(&client->bucket, &quota, 0);
	list_add_tail(&client->node, &registry);
	drop_lock(&registry_mutex);
	return 0;
}

void rngq_registry_remove(struct rngq_client *client)
{
	take_lock(&registry_mutex, "takes the registry's mutex");
	list_del_init(&client->node);
	drop_lock(&registry_mutex);
}

void rngq_registry_cancel(struct rngq_client *client)
{
	rngq_registry_remove(client);
}

static void set_total(int rate_bytes)
{
	const struct rngq_quota quota = {
		.rate_bytes = rate_bytes ? rate_bytes : RNGQ_MAX,
		.period_ms = TOTAL_PERIOD_MS,
	};
	struct rngq_client *client;

	take_lock(&registry_mutex, "takes the registry's mutex");
	was_changed = true;
	rngq_total_set_quota(&quota);
	list_for_each_entry(client, &registry, node)
		rngq_client_recheck(client);
	drop_lock(&registry_mutex);
}

/* The host's books: what is in its bucket, as one sees from outside. */

static void check_books(const struct rngq_bucket *before, u64 taken_bytes,
			u64 given_bytes)
{
	const struct rngq_bucket *now = &total_turns.bucket;
	struct rngq_bucket expected = *before;

	if (now->refills != before->refills)
		rngq_bucket_refill(&expected, clock_ns);
	if (now->level_bytes + taken_bytes != expected.level_bytes + given_bytes)
		broken("a byte was created or lost");
}

static u64 booked_available(struct rngq_turns *turns,
			    const struct rngq_turn *turn, u64 now_ns)
{
	struct rngq_bucket before = turns->bucket;
	u64 bytes = rngq_turns_available(turns, turn, now_ns);

	check_books(&before, 0, 0);
	return bytes;
}

static u64 booked_take(struct rngq_turns *turns, struct rngq_turn *turn,
		       u64 want_bytes, u64 now_ns, struct rngq_draw *draw)
{
	struct rngq_bucket before = turns->bucket;
	u64 bytes = rngq_turns_take(turns, turn, want_bytes, now_ns, draw);

	if (before.rate_bytes != RNGQ_MAX) {
		check_books(&before, bytes, 0);
		taken_bytes += bytes;
	}
	return bytes;
}

static void booked_give_back(struct rngq_turns *turns,
			     const struct rngq_draw *draw, u64 bytes,
			     u64 now_ns)
{
	struct rngq_bucket before = turns->bucket;
	u64 level_bytes;

	rngq_bucket_refill(&before, now_ns);
	level_bytes = before.level_bytes;
	taken_bytes -= bytes;
	rngq_turns_give_back(turns, draw, bytes, now_ns);
	/* After a refill what is given back may be too late. */
	if (draw->refills == before.refills ||
	    turns->bucket.level_bytes != level_bytes)
		check_books(&before, 0, min(bytes, draw->level_bytes));
}

static void booked_deal(struct rngq_turns *turns, u64 now_ns,
			struct list_head *wake)
{
	struct rngq_bucket before = turns->bucket;

	rngq_turns_deal(turns, now_ns, wake);
	check_books(&before, 0, 0);
}

/* Of any interval from the start on: nothing was taken before. */
static void keep_promise(void)
{
	u64 periods = clock_ns / (TOTAL_PERIOD_MS * NSEC_PER_MSEC);

	if (TOTAL_RATE_BYTES && !was_changed &&
	    delivered_bytes > (periods + 2) * TOTAL_RATE_BYTES)
		broken("more was delivered than was promised");
}

/* To be called when nobody is in between. */
static void check_sums(void)
{
	const struct rngq_turns *turns = &total_turns;
	u64 members = 0, waiting = 0, reserved_bytes = 0;
	struct rngq_turn *turn;

	list_for_each_entry(turn, &turns->ring, ring) {
		members++;
		waiting += turn->is_waiting;
		reserved_bytes += turn->reserved_bytes;
	}
	if (members != turns->members || waiting != turns->waiting ||
	    reserved_bytes != turns->reserved_bytes)
		broken("what is counted does not add up");
	if (reserved_bytes > turns->bucket.level_bytes)
		broken("more is reserved than there is");
	if (turns->bucket.level_bytes > turns->bucket.capacity_bytes)
		broken("there is more than the bucket can hold");
	/* One who saw the limit a moment ago can still be a member. */
	if (turns->bucket.rate_bytes == RNGQ_MAX && (waiting || reserved_bytes))
		broken("somebody is in line, and there is no limit");
}

/* System calls */

static int do_open(int file)
{
	struct model_file *opened = &files[file];
	int err;

	opened->file = (struct file){ .f_mode = FMODE_READ };
	err = fops->open(NULL, &opened->file);
	opened->client = opened->file.private_data;
	opened->users = FILE_USERS;
	return err;
}

static void do_close(struct model_file *closed)
{
	leave_cpu("closes its file");
	if (current->item.task) {
		take_lock(&closed->client->wait.lock, "leaves the wait queue");
		list_del_init(&current->item.entry);
		drop_lock(&closed->client->wait.lock);
	}
	/* As fput() does: the last one ends it, for nobody is inside any more. */
	if (--closed->users)
		return;
	fops->release(NULL, &closed->file);
	closed->client = NULL;
}

static int do_read(struct file *file, size_t bytes, enum model_call call)
{
	struct kiocb iocb = {
		.ki_filp = file,
		.ki_flags = call == CALL_READ_NOWAIT ? IOCB_NOWAIT : 0,
	};
	struct iov_iter to = {
		.count = bytes,
		.mapped = call == CALL_READ_FAULT ? bytes / 2 : bytes,
	};
	ssize_t got = fops->read_iter(&iocb, &to);

	if (!got || got > (ssize_t)bytes)
		broken("a read returns what it should not");
	return got;
}

/* poll(2) of one file, without a timeout. */
static int do_poll(struct file *file)
{
	bool triggered = false;
	struct wait_queue_entry wait = {
		.task = current,
		.triggered = &triggered,
	};
	poll_table table = { .wait = &wait };
	__poll_t events;

	for (;;) {
		events = fops->poll(file, &table);
		if (events || signal_pending(current))
			break;
		if (!triggered)
			go_to_sleep("sleeps in poll");
		triggered = false;
	}
	take_lock(&table.queue->lock, "leaves the wait queue");
	list_del_init(&wait.entry);
	drop_lock(&table.queue->lock);
	return events;
}

static int do_epoll_add(struct file *file)
{
	poll_table table = { .wait = &current->item };

	current->item.task = current;
	current->item.triggered = &current->is_ready;
	/* What is there already is an edge, too. */
	if (fops->poll(file, &table))
		current->is_ready = true;
	return 0;
}

static int do_epoll_wait(struct file *file)
{
	poll_table table = { };
	__poll_t events;

	do {
		while (!current->is_ready)
			go_to_sleep("sleeps in epoll_wait");
		current->is_ready = false;
		events = fops->poll(file, &table);
	} while (!events);
	return events;
}

static int do_timer(struct hrtimer *timer)
{
	timer->function(timer);
	timer->is_running = false;
	return 0;
}

static int do_call(void)
{
	struct model_file *file = &files[current->file % MAX_FILES];

	if (current->call == CALL_READ_NOWAIT || current->call == CALL_POLL ||
	    current->call == CALL_EPOLL_ADD)
		file->is_asked = true;

	switch (current->call) {
	case CALL_OPEN:
		return do_open(current->file);
	case CALL_READ:
	case CALL_READ_NOWAIT:
	case CALL_READ_FAULT:
		return do_read(&file->file, current->arg, current->call);
	case CALL_POLL:
		return do_poll(&file->file);
	case CALL_EPOLL_ADD:
		return do_epoll_add(&file->file);
	case CALL_EPOLL_WAIT:
		return do_epoll_wait(&file->file);
	case CALL_CLOSE:
		do_close(file);
		return 0;
	case CALL_SET_TOTAL:
		set_total(current->arg);
		return 0;
	case CALL_WORK:
		deal_work.function(&deal_work);
		return 0;
	case CALL_TIMER:
		return do_timer(timer_of(current->file));
	}
	abort();
}

/* The life of a thread: it waits for a call, makes it, and waits again. */
static void live(void)
{
	for (;;) {
		leave_cpu("is in user space");
		current->result = do_call();
		current->is_inside = false;
	}
}

/* The state */

extern unsigned char __start_model[], __stop_model[];

static void mix(u64 sum[2], const void *from, size_t bytes)
{
	const unsigned char *at = from;
	u64 word;

	for (; bytes; at += sizeof(word), bytes -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum[0] = (sum[0] ^ word) * 0x9e3779b97f4a7c15ULL;
		sum[0] ^= sum[0] >> 29;
		sum[1] = (sum[1] + word) * 0xd6e8feb86659fd93ULL;
		sum[1] ^= sum[1] >> 32;
	}
}

static void digest(void)
{
	u64 sum[2] = { };
	int i;

	mix(sum, __start_model, (__stop_model - __start_model) & ~7UL);
	for (i = 0; i < MAX_THREADS; i++)
		mix(sum, threads[i].top,
		    model_stacks[i] + STACK_BYTES - threads[i].top);
	memcpy(model_digest, sum, sizeof(sum));
}

/* Let a thread go on to the next point where it may be overtaken. */
static void run(struct task_struct *task)
{
	char *stack = model_stacks[thread_id(task)];

	current = task;
	if (!_setjmp(scheduler))
		_longjmp(task->registers, 1);
	current = NULL;
	/* What is left of functions that have returned is part of no state. */
	task->top = (char *)((uintptr_t)task->top & ~7UL) - RED_ZONE_BYTES;
	if (task->top < stack + STACK_BYTES / 4)
		broken("STACK_BYTES is too small");
	else
		memset(stack, 0, task->top - stack);
}

/* Where the driver has been, for check-model.sh; gcc calls this in each block. */

extern char __executable_start[], __etext[];
static char *reached UNTRACKED;

void __attribute__((__no_sanitize_coverage__)) __sanitizer_cov_trace_pc(void)
{
	if (reached)
		reached[(char *)__builtin_return_address(0) -
			__executable_start] = 1;
}

static void list_reached(void)
{
	/* The calls, that is, which end before they return. */
	FILE *list = fopen("reached", "w");
	ptrdiff_t i;

	for (i = 0; list && i < __etext - __executable_start; i++) {
		if (reached[i])
			fprintf(list, "%p\n", &__executable_start[i - 1]);
	}
	if (!list || fclose(list))
		abort();
}

/* What is read of memory that has been freed points nowhere. */
static void on_fault(int signal)
{
	broken("memory is used that has been freed");
	_longjmp(scheduler, 1);
}

static void catch_faults(void)
{
	static char stack[1 << 16] UNTRACKED;
	stack_t own = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = {
		.sa_handler = on_fault,
		.sa_flags = SA_ONSTACK | SA_NODEFER,
	};

	if (sigaltstack(&own, NULL) || sigaction(SIGSEGV, &action, NULL))
		abort();
}

/* What spin calls */

void model_init(size_t bytes)
{
	const struct rngq_quota quota = {
		.rate_bytes = TOTAL_RATE_BYTES ? TOTAL_RATE_BYTES : RNGQ_MAX,
		.period_ms = TOTAL_PERIOD_MS,
	};
	int i;

	/* Is all of it tracked? */
	if (__stop_model - __start_model != (ptrdiff_t)bytes)
		abort();
	reached = calloc(__etext - __executable_start, 1);
	if (!reached || atexit(list_reached))
		abort();
	catch_faults();
	for (i = 0; i < MAX_THREADS; i++) {
		current = &threads[i];
		memset(model_stacks[i], 0, STACK_BYTES);
		getcontext(&birth);
		birth.uc_stack.ss_sp = model_stacks[i];
		birth.uc_stack.ss_size = STACK_BYTES;
		makecontext(&birth, live, 0);
		if (!_setjmp(scheduler))
			setcontext(&birth);
		current->top = model_stacks[i] + STACK_BYTES / 2;
	}
	current = NULL;
	rngq_total_init(&quota);
	rngq_device_register();
	digest();
}

static void say(const struct task_struct *task, const char *what)
{
	if (model_tells)
		printf("%8.3f ms  thread %d %s\n", clock_ns / 1e6,
		       thread_id(task), what);
}

bool model_may_run(int thread)
{
	return is_runnable(&threads[thread]);
}

bool model_has_returned(int thread)
{
	return !threads[thread].is_inside;
}

void model_run(int thread)
{
	struct task_struct *task = &threads[thread];

	run(task);
	if (!total_lock.owner && !_setjmp(scheduler))
		check_sums();
	say(task, task->where);
	digest();
}

static const char * const call_names[] = {
	[CALL_OPEN] = "calls open",
	[CALL_READ] = "calls read",
	[CALL_READ_NOWAIT] = "calls read, not to wait",
	[CALL_READ_FAULT] = "calls read into a bad address",
	[CALL_POLL] = "calls poll",
	[CALL_EPOLL_ADD] = "calls epoll_ctl",
	[CALL_EPOLL_WAIT] = "calls epoll_wait",
	[CALL_CLOSE] = "calls close",
	[CALL_SET_TOTAL] = "changes total/",
	[CALL_WORK] = "begins to deal",
	[CALL_TIMER] = "is a timer that fires",
};

void model_begin(int thread, enum model_call call, int file, int arg)
{
	struct task_struct *task = &threads[thread];

	task->call = call;
	task->file = file;
	task->arg = arg;
	task->is_inside = true;
	if (call == CALL_WORK)
		deal_work.is_pending = false;
	if (call == CALL_TIMER) {
		timer_of(file)->is_queued = false;
		timer_of(file)->is_running = true;
	}
	say(task, call_names[call]);
	/* Nobody else can see how far it is before it first yields. */
	model_run(thread);
}

int model_result(int thread)
{
	return threads[thread].result;
}

int model_delivered(int thread)
{
	return threads[thread].delivered;
}

void model_signal(int thread)
{
	struct task_struct *task = &threads[thread];

	task->has_signal = true;
	wake_up(task);
	say(task, "gets a signal");
	digest();
}

bool model_work_is_due(void)
{
	return deal_work.is_pending;
}

bool model_timer_is_due(int file)
{
	struct hrtimer *timer = timer_of(file);

	return timer && timer->is_queued && !timer->is_running &&
	       (u64)timer->expires <= clock_ns;
}

static u64 min_after(u64 next, u64 at_ns)
{
	return at_ns > clock_ns ? min(next, at_ns) : next;
}

/* The next time when a timer fires or, if that may be late, anything happens. */
static u64 next_ns(bool early)
{
	u64 next = RNGQ_NEVER;
	int i;

	for (i = 0; i <= MAX_FILES; i++) {
		struct hrtimer *timer = timer_of(i);

		if (timer && timer->is_queued)
			next = min_after(next, timer->expires);
		if (early && i < MAX_FILES && files[i].client)
			next = min_after(next,
					 files[i].client->bucket.refill_ns);
	}
	if (early) {
		next = min_after(next, total_turns.bucket.refill_ns);
		next = min_after(next, total_turns.cut_ns);
	}
	return next;
}

/* Nobody has anything to do: is it right to sleep? */
static void check_sleeper(const struct task_struct *task)
{
	struct rngq_client *client = files[task->file].client;
	struct rngq_bucket own = client->bucket;

	if (task->has_signal)
		broken("somebody sleeps who has got a signal");
	rngq_bucket_refill(&own, clock_ns);
	if (!rngq_bucket_available(&own)) {
		if (!client->timer.is_queued ||
		    (u64)client->timer.expires != own.refill_ns)
			broken("somebody sleeps, and will not be woken at the refill");
	} else if (!rngq_total_limits) {
		broken("somebody sleeps, and there is something to read");
	} else if (client->turn.reserved_bytes) {
		broken("somebody sleeps whose turn it is");
	} else if (!client->turn.is_waiting) {
		broken("somebody sleeps, and is not in line");
	}
}

/* Whoever still wants has got as much as the others; but for an odd byte. */
static void check_shares(void)
{
	int least = INT_MAX, most = 0;
	int i;

	for (i = 0; i < MAX_THREADS; i++) {
		if (!threads[i].is_asleep)
			continue;
		least = min(least, threads[i].delivered);
		most = max_t(int, most, threads[i].delivered);
	}
	if (most - least > UNFAIR_BYTES)
		broken("one who waits got more than another one");
}

static void check_rest(void)
{
	const struct rngq_turns *turns = &total_turns;
	u64 deal_ns;
	int i;

	check_shares();

	for (i = 0; i < MAX_THREADS; i++) {
		if (!threads[i].is_inside)
			continue;
		if (threads[i].is_asleep)
			check_sleeper(&threads[i]);
		else
			broken("somebody waits for a lock that nobody drops");
	}
	for (i = 0; i < MAX_FILES; i++) {
		if (files[i].client && !files[i].is_asked &&
		    !waitqueue_active(&files[i].client->wait) &&
		    files[i].client->turn.is_waiting)
			broken("a client is in line, and nobody waits for it");
	}
	if (!turns->waiting)
		return;
	deal_ns = min(turns->bucket.refill_ns, turns->cut_ns);
	/* What came free in between may wait, but not for long. */
	if (turns->bucket.level_bytes > turns->reserved_bytes)
		deal_ns = min(deal_ns, dealt_ns + DEAL_DISTANCE_NS);
	if (!deal_timer.is_queued || (u64)deal_timer.expires > deal_ns)
		broken("nobody will deal when it is time");
}

bool model_clock_can_go_on(bool early)
{
	return next_ns(early) != RNGQ_NEVER;
}

void model_clock_goes_on(bool early)
{
	if (!early)
		check_rest();
	clock_ns = next_ns(early);
	if (model_tells)
		printf("%8.3f ms  %s\n", clock_ns / 1e6,
		       early ? "already" : "nobody can do anything before");
	digest();
}

int model_periods(void)
{
	return clock_ns / (TOTAL_PERIOD_MS * NSEC_PER_MSEC);
}

int model_opened(void)
{
	return nr_opened;
}

/* All that is left to do is for those who wait until some time. */
bool model_is_idle(void)
{
	return !model_clock_can_go_on(false);
}

bool model_is_over(void)
{
	int i;

	for (i = 0; i < MAX_THREADS; i++) {
		if (threads[i].is_inside)
			return false;
	}
	return list_empty(&registry) && !deal_work.is_pending;
}

void model_check_end(void)
{
	int i;

	if (total_turns.members || !list_empty(&to_wake))
		broken("somebody is in line, and all have closed");
	for (i = 0; i < nr_opened; i++) {
		if (memory[i].kobj.refs != 0x6b6b6b6b)
			broken("a client is never freed");
	}
	if (TOTAL_RATE_BYTES && !was_changed && taken_bytes != delivered_bytes)
		broken("a byte was taken, and neither delivered nor given back");
	/* Whoever wanted it got each byte as soon as there was one. */
	if (delivered_ns > IDEAL_PERIODS * TOTAL_PERIOD_MS * NSEC_PER_MSEC)
		broken("the last one waited longer than all bytes need");
}
