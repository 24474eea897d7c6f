// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel round the driver, for the model: threads, locks, wait queues, timers,
 * the clock, users' memory, and the files of three clients. The driver's own
 * bucket.c, shares.c, total.c, client.c and device.c are built in as they are, the
 * registry is not: of it the model needs what three functions do.
 *
 * All of this, the stacks of the threads included, lies in memory that spin saves
 * and restores as it goes back and tries another order. Two states are the same
 * if their digests are: 128 bits of all that may still be read.
 */
#include "model.h"

/* Whoever calls these, but for shares.c itself, calls the books' instead, see below. */
#define rngq_shares_refresh	unbooked_refresh

#include "driver/shares.h"

#define rngq_shares_set_quota	unbooked_set_quota
#define rngq_shares_ask		unbooked_ask
#define rngq_shares_take	unbooked_take
#define rngq_shares_give_back	unbooked_give_back
#define rngq_shares_withdraw	unbooked_withdraw
#define rngq_shares_go_on	unbooked_go_on
#define rngq_shares_call	unbooked_call

#include "driver/shares.c"

#undef rngq_shares_refresh
#undef rngq_shares_set_quota
#undef rngq_shares_ask
#undef rngq_shares_take
#undef rngq_shares_give_back
#undef rngq_shares_withdraw
#undef rngq_shares_go_on
#undef rngq_shares_call

void rngq_shares_refresh(struct rngq_shares *shares, u64 now_ns);

#include "driver/total.c"

#include "driver/client.h"
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
/* How long before the end of that it is closed. */
#define CLOSING_NS	(2 * NSEC_PER_MSEC)
/* How soon there is another deal in the midst of an epoch */
#define DISTANCE_NS	(TOTAL_PERIOD_MS * NSEC_PER_MSEC / 16)
/* More than once each, as others take it or give it back meanwhile. */
#define MOST_WOKEN	(4 * MAX_FILES)
/* What leave_cpu() has on the stack below its frame's address, and more. */
#define RED_ZONE_BYTES	128
#define UNTRACKED	__attribute__((__section__("untracked")))

/* What a take has made use of, besides what is for everybody. */
struct used {
	u64 round;
	u64 epoch;
	u64 own;
	u64 growth;
	u64 extra;
	s64 credit;
};

struct task_struct {
	jmp_buf registers;
	char *top;		/* of what of its stack is in use */
	const char *where;
	bool is_inside;		/* the driver, or a system call round it */
	bool is_asleep;
	bool has_signal;
	unsigned int locks;	/* that it holds */
	unsigned int faults_off; /* how often it has turned page faults off */
	spinlock_t *wants;	/* which it takes as soon as that is free */
	struct hrtimer *awaits;	/* whose function is to end first */
	/* What it is to do, and what came of it. */
	enum model_call call;
	int file;
	int arg;
	int result;
	int delivered;
	u64 held_bytes;		/* of total/, taken and not delivered */
	struct used used;	/* by its last take */
	/* Of the edge-triggered epoll that it uses. */
	struct wait_queue_entry item;
	bool is_ready;
};

struct model_file {
	struct file file;
	struct rngq_client *client;
	int users;
	bool is_asked;		/* by those who poll, and come again */
	u64 delivered_bytes;
};

/* What the books know of a client. */
struct account {
	u64 round;		/* that it was last seen in, */
	u64 epoch;		/* and epoch */
	u64 taken_bytes;	/* in that round, */
	u64 last_bytes;		/* in the one before, */
	u64 before_bytes;	/* and in the last one in which it took any */
	u64 demand_bytes;
	u64 line_round;		/* in which it lined up */
	u64 part_bytes;		/* of what newcomers find, or what is left at closing */
	u64 counts_bytes;	/* at closing: as if it took so much */
	bool has_taken;		/* ever */
	bool is_short;
	bool is_told;
	bool has_asked;		/* in this round, as a newcomer, and is not in line */
	bool is_called;		/* in this round, ... */
	bool is_due;		/* ... in this epoch, and has not come */
	bool was_in_line;	/* in this round, and was no newcomer */
	bool has_left;
	bool is_handed_on;	/* its process has opened again */
};

/* Those at 0x6b bytes have been freed. */
#define FREED_REFS	0x6b6b6b6b
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
static u64 left_bytes;		/* of what modest ones demand, as far as that is believed */
static u64 last_deal_ns;	/* 0: there was none in this epoch */
static bool was_left;		/* something, when it ended */
static u64 deal_extra_bytes;	/* what there was for newcomers when it began */
static unsigned int nr_called;	/* by all deals */
static unsigned int nr_woken;	/* in this deal, */
static unsigned int nr_newcomers;	/* of those, from their line */
static u64 newcomer_most;	/* what one finds of what is set aside, */
static u64 waiters_bytes;	/* of which so much is only for who is called, */
static bool was_used;		/* and half was taken the last time */
static bool was_asked;		/* by one, in this round */
static u64 closing_bytes;	/* what was for those who came short when it was closed, */
static u64 short_bytes;		/* and what they took, or count for */
static struct account accounts[MAX_FILES];
static struct rngq_member left[MAX_FILES];
static int left_by[MAX_FILES];	/* by a file: its number and 1 */
static bool was_changed;
static int awaited_periods;

struct task_struct *current;
bool rngq_crng_seen_ready = true;
const char *model_broken;

/* Not part of any state. */
#define MAX_NOTES	16
static struct note {
	struct rngq_shares shares;
	struct rngq_member member;
	int client;
	const char *call;
	s64 result;
} notes[MAX_NOTES] UNTRACKED;
static int nr_notes UNTRACKED;
static jmp_buf scheduler UNTRACKED;
static ucontext_t birth UNTRACKED;
bool model_tells UNTRACKED;
unsigned char model_digest[16] UNTRACKED = { 1 };
char model_stacks[MAX_THREADS][STACK_BYTES]
	__attribute__((__section__("stacks"), __aligned__(16))) = { { 1 } };

static void keep_promises(void);

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

static void check_may_sleep(void)
{
	if (current->locks || current->faults_off)
		broken("somebody sleeps, and holds a lock or has page faults off");
}

static void go_to_sleep(const char *where)
{
	check_may_sleep();
	current->is_asleep = true;
	leave_cpu(where);
}

static void wake_up(struct task_struct *task)
{
	task->is_asleep = false;
}

/* Of what never changes, or is one thread's, it makes no difference when it is read. */
bool may_change(const void *flag)
{
	if (flag == &rngq_total_limits)
		return CHANGES;
	return flag != &rngq_crng_seen_ready && FILE_USERS > 1;
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
	current->locks++;
}

void drop_lock(spinlock_t *lock)
{
	if (lock->owner != current)
		broken("a lock is dropped by who does not hold it");
	lock->owner = NULL;
	current->locks--;
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
	drop_lock(&queue->lock);
	go_to_sleep("sleeps in a read");
	take_lock(&queue->lock, "is awake in a read");
	return 0;
}

void wake_up_locked_poll(wait_queue_head_t *queue, __poll_t events)
{
	struct wait_queue_entry *wait, *next;

	assert_locked(&queue->lock);
	list_for_each_entry_safe(wait, next, &queue->head, entry) {
		if (wait->key && !(wait->key & events))
			continue;
		if (wait->triggered)
			*wait->triggered = true;
		wake_up(wait->task);
	}
}

void poll_wait(struct file *file, wait_queue_head_t *queue, poll_table *table)
{
	if (!table->wait)
		return;
	table->wait->key = table->key;
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
	assert_locked(timer == &deal_timer ? &total_lock :
		      &container_of(timer, struct rngq_client, timer)->wait.lock);
	timer->expires = at;
	timer->is_queued = true;
}

void hrtimer_cancel(struct hrtimer *timer)
{
	check_may_sleep();
	timer->is_queued = false;
	current->awaits = timer;
	leave_cpu("waits for the end of a timer's function");
	current->awaits = NULL;
}

bool work_pending(const struct work_struct *work)
{
	/* Else it may change before its caller acts on it. */
	assert_locked(&total_lock);
	return work->is_pending;
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

void kfree(void *object)
{
	struct rngq_client *client = object;

	if (client->timer.is_queued || client->timer.is_running)
		broken("a client is freed whose timer is armed");
	if (!list_empty(&client->member.waiter.node) || client->member.line)
		broken("a client is freed that is in line");
	memset(client, 0x6b, sizeof(*client));
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

struct kobject *rngq_sysfs_clients(struct device *dev)
{
	return (struct kobject *)1;
}

void rngq_sysfs_remove_clients(void)
{
}

const struct attribute_group *rngq_sysfs_groups[1];

bool __rngq_crng_ready(void)
{
	return true;
}

void rngq_crng_watch(struct rngq_waiter *waiter)
{
}

void rngq_crng_leave(struct rngq_waiter *waiter)
{
}

int misc_register(struct miscdevice *misc)
{
	fops = misc->fops;
	return 0;
}

/* The memory of users */

void pagefault_disable(void)
{
	current->faults_off++;
}

void pagefault_enable(void)
{
	current->faults_off--;
}

/* That may take as long as a user likes. */
static void take_page_fault(void)
{
	check_may_sleep();
	if (current->held_bytes)
		broken("a page is faulted in, and bytes are held meanwhile");
	leave_cpu("faults a page in");
}

size_t copy_to_iter(const void *from, size_t bytes, struct iov_iter *to)
{
	size_t good = min(bytes, min(to->count, to->mapped));

	if (current->faults_off)
		good = min(good, to->present);
	else if (good > to->present)
		take_page_fault();
	to->count -= good;
	to->mapped -= good;
	to->present -= min(good, to->present);
	current->delivered += good;
	current->held_bytes -= min(good, current->held_bytes);
	files[current->file].delivered_bytes += good;
	delivered_bytes += good;
	if (good && IDEAL_MS != UNBOUNDED)
		delivered_ns = clock_ns;
	keep_promises();
	return good;
}

/* Return how many are missing in the end. */
size_t fault_in_iov_iter_writeable(struct iov_iter *to, size_t bytes)
{
	size_t good = min(bytes, min(to->count, to->mapped));

	if (good > to->present) {
		take_page_fault();
		to->present = good;
	}
	return bytes - good;
}

/*
 * The registry: see set_total(), rngq_registry_add() and _remove() in registry.c. Each
 * file has a process of its own, which goes on with what it has left.
 */

int rngq_registry_add(struct rngq_client *client)
{
	const struct rngq_quota quota = {
		.rate_bytes = current->file < OWN_FILES ? OWN_RATE_BYTES : RNGQ_MAX,
		.period_ms = OWN_PERIOD_MS,
	};
	int i = left_by[current->file];

	take_lock(&registry_mutex, "takes the registry's mutex");
	rngq_bucket_init(&client->bucket, &quota, 0);
	if (i)
		rngq_client_go_on(client, &left[i - 1]);
	if (i && !accounts[i - 1].is_handed_on)
		broken("who opens again is not who it was");
	left_by[current->file] = 0;
	list_add_tail(&client->node, &registry);
	drop_lock(&registry_mutex);
	return 0;
}

void rngq_registry_remove(struct rngq_client *client)
{
	int i = client - memory;

	take_lock(&registry_mutex, "takes the registry's mutex");
	left[i] = rngq_client_member(client);
	accounts[i].has_left = true;
	left_by[current->file] = i + 1;
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
		.burst_bytes = TOTAL_BURST_BYTES,
	};

	take_lock(&registry_mutex, "takes the registry's mutex");
	was_changed = true;
	rngq_total_set_quota(&quota);
	drop_lock(&registry_mutex);
}

/*
 * The books: what is in the host's bucket, and what becomes of it, as one sees from
 * outside. What shares.h tells has to be so.
 */

static int index_of(const struct rngq_member *member)
{
	return container_of(member, struct rngq_client, member) - memory;
}

static bool is_free(const struct rngq_client *client)
{
	return client->kobj.refs == FREED_REFS;
}

static bool is_one_of_many(enum rngq_line line)
{
	return line == RNGQ_LINE_FULL || line == RNGQ_LINE_OVER ||
		line == RNGQ_LINE_UNDER;
}

static u64 aside_bytes(const struct rngq_shares *shares)
{
	return shares->aside_bytes[false] + shares->aside_bytes[true];
}

static u64 nr_lined_up(const struct rngq_shares *shares)
{
	u64 clients = 0;
	int i;

	for (i = 0; i < RNGQ_NR_LINES; i++)
		clients += is_one_of_many(i) ? shares->nr_in_line[i] : 0;
	return clients;
}

static s64 vbytes(s64 bytes)
{
	return bytes * (s64)RNGQ_VBYTE;
}

static u64 round_up(u64 a, u64 b)
{
	return a / b + (a % b != 0);
}

static s64 owed(const struct rngq_shares *shares,
		const struct rngq_member *member)
{
	return (s64)(shares->vtime - member->vtime);
}

static void check_level(const struct rngq_shares *shares, u64 level_bytes)
{
	assert_locked(&total_lock);
	if (shares->bucket.level_bytes != level_bytes)
		broken("a byte was created or lost");
}

/* All clients, and what those stand for that have closed. */
static const struct rngq_member *member_at(int i)
{
	if (accounts[i].is_handed_on)
		return NULL;
	return accounts[i].has_left ? &left[i] : &memory[i].member;
}

/* Add up what is counted for the next round, of which all else of @sum tells. */
static void add_up(struct rngq_shares *sum)
{
	int i;

	sum->nr_members = 0;
	sum->nr_hungry = 0;
	sum->demand_bytes = 0;
	sum->short_bytes = 0;
	for (i = 0; i < nr_opened; i++) {
		const struct rngq_member *member = member_at(i);
		u64 demand = 0;

		if (!member)
			continue;
		/* It may not have noted yet that there is a new round. */
		if (member->round == sum->round)
			demand = member->demand_bytes;
		else if (is_one_of_many(member->line))
			demand = sum->share_bytes;
		sum->nr_members += demand > 0;
		sum->nr_hungry += demand >= sum->share_bytes;
		sum->demand_bytes += min(demand, sum->share_bytes);
		if (member->round == sum->round && member->is_short)
			sum->short_bytes += member->taken_bytes;
	}
}

static bool is_unserved(const struct rngq_member *member)
{
	u64 demand = 0;

	if (member->round == total.round)
		return member->is_hungry && !member->is_served;
	if (member->round + 1 == total.round)
		demand = member->demand_bytes;
	else if (is_one_of_many(member->line))
		demand = total.last_share_bytes;
	return demand >= total.last_share_bytes;
}

/* What is left at closing is divided. Some of it is for a client, or nothing. */
static void divide_rest(struct account *account, const struct rngq_shares *shares,
			const struct rngq_member *member, bool was_due,
			bool was_uncalled)
{
	s64 credit = owed(shares, member);
	u64 bytes;

	account->part_bytes = 0;
	account->counts_bytes = 0;
	if (was_due && !account->taken_bytes) {
		/* It was called for its own, and may still come for that. */
		bytes = credit > 0 ? round_up(credit, RNGQ_VBYTE) : 0;
	} else if (was_uncalled || account->is_short) {
		/* In proportion to what they took. */
		account->counts_bytes = was_uncalled ? shares->share_bytes :
			account->taken_bytes;
		bytes = round_up(account->counts_bytes * closing_bytes,
				 max(short_bytes, 1ULL));
	} else {
		return;
	}
	/* But a wake-up is worth something. */
	account->part_bytes = max(bytes, shares->least_bytes);
}

/*
 * What the books know of a client is of the round before, or of another epoch, and
 * @member is as it was then.
 */
static void catch_account_up(struct account *account,
			     const struct rngq_shares *shares,
			     const struct rngq_member *member)
{
	bool was_behind = account->round != shares->round;
	bool was_due = account->is_due && !was_behind;
	bool is_next = account->round + 1 == shares->round;
	bool was_in_line = is_one_of_many(member->line);
	bool was_uncalled = was_in_line && account->line_round != shares->round;
	/* Who waits, and left what was its own at closing, demands nothing. */
	bool is_expected = is_next ? account->demand_bytes > 0 : was_in_line;

	if (account->epoch == shares->epoch)
		return;
	if (was_behind) {
		account->part_bytes = 0;
		/* Newcomers have a part that waited, or asked in the round before. */
		if (!is_expected && member->line)
			account->part_bytes = newcomer_most;
		if (!is_expected && is_next && (account->has_asked || account->is_told))
			account->part_bytes = newcomer_most;
		account->was_in_line = was_in_line;
		account->is_short &= is_expected;
		account->last_bytes = is_next ? account->taken_bytes : 0;
		if (account->taken_bytes)
			account->before_bytes = account->taken_bytes;
		account->taken_bytes = 0;
		account->demand_bytes = 0;
		account->has_asked = false;
		account->is_called = false;
		account->round = shares->round;
	}
	account->epoch = shares->epoch;
	account->is_due = false;
	if (shares->is_closing)
		divide_rest(account, shares, member, was_due, was_uncalled);
}

static struct account *account_of(const struct rngq_shares *shares,
				  const struct rngq_member *member)
{
	static struct account gone UNTRACKED;
	struct account *account = &accounts[index_of(member)];

	/* What has been left goes on from there. Who wakes it now changes nothing. */
	if (account->has_left) {
		gone = *account;
		account = &gone;
	}
	catch_account_up(account, shares, member);
	return account;
}

/* Newcomers that found nothing in that round, and do not wait. */
static u64 nr_asked_in(u64 round)
{
	u64 clients = 0;
	int i;

	for (i = 0; i < nr_opened; i++)
		clients += accounts[i].has_asked && accounts[i].round == round &&
			!accounts[i].is_handed_on;
	return clients;
}

/* Who waits since before that round. */
static u64 nr_uncalled_in(u64 round)
{
	u64 clients = 0;
	int i;

	for (i = 0; i < nr_opened; i++)
		clients += is_one_of_many(memory[i].member.line) &&
			accounts[i].line_round != round && !accounts[i].has_left;
	return clients;
}

/* Who was called in this epoch, and has not come yet. */
static u64 nr_due_now(const struct rngq_shares *shares)
{
	u64 clients = 0;
	int i;

	for (i = 0; i < nr_opened; i++)
		clients += accounts[i].epoch == shares->epoch &&
			accounts[i].is_due && !accounts[i].is_handed_on;
	return clients;
}

static u64 nr_unserved_now(void)
{
	u64 clients = 0;
	int i;

	for (i = 0; i < nr_opened; i++)
		clients += member_at(i) && is_unserved(member_at(i));
	return clients;
}

/* For who looks at a trail: how it is after a call. A thread's stack is too small. */
static void note(const struct rngq_shares *shares,
		 const struct rngq_member *member, const char *call, s64 result)
{
	struct note *note = &notes[nr_notes];

	if (!model_tells || nr_notes == MAX_NOTES)
		return;
	note->shares = *shares;
	note->client = -1;
	if (member) {
		note->member = *member;
		note->client = index_of(member);
	}
	note->call = call;
	note->result = result;
	nr_notes++;
}

/* After each call, of whom it was about. */
static void check_member(const struct rngq_shares *shares,
			 const struct rngq_member *member)
{
	struct account *account = account_of(shares, member);
	u64 most = max(8 * account->taken_bytes, member->expected_bytes);
	s64 wake_up = vbytes(shares->least_bytes);

	if (!is_limited(shares))
		return;
	account->demand_bytes = member->demand_bytes;
	if (was_changed)
		return;
	if (member->taken_bytes != account->taken_bytes)
		broken("what a client took is not what is counted of it");
	if (account->last_bytes && !member->expected_bytes)
		broken("one who took something is not expected again");
	if (!account->has_taken && member->expected_bytes)
		broken("one who took nothing yet is expected");
	account->was_in_line |= is_one_of_many(member->line);
	if (account->was_in_line)
		most = max(most, shares->share_bytes);
	if (member->demand_bytes > most)
		broken("asking earns something");
	if (member->demand_bytes < member->taken_bytes)
		broken("one who took something is not to get it again");
	if (member->is_short != account->is_short)
		broken("one came short and is not known to, or the other way round");
	if (shares->is_closing)
		return;
	if (owed(shares, member) < -2 * wake_up)
		broken("one owes more than two wake-ups are worth");
	if (owed(shares, member) > (s64)shares->share + wake_up)
		broken("one is owed more than a share, and what a wake-up is worth");
}

/* Was there a whole round in which nobody came? */
static bool has_idled(const struct rngq_shares *shares,
		      const struct rngq_shares *before)
{
	return before->end_ns + before->bucket.period_ns <= shares->now_ns;
}

/* The share is such that all demands fill the bucket, and what is set aside is that. */
static void check_share(const struct rngq_shares *shares,
			const struct rngq_shares *before)
{
	u64 bytes = shares->bucket.level_bytes - shares->extra_bytes;
	u64 hungry = before->nr_hungry, members = before->nr_members;
	u64 modest_bytes = before->demand_bytes - hungry * before->share_bytes;
	u64 share = shares->share, for_modest, for_hungry;

	/* Then only who waits is expected. */
	if (has_idled(shares, before)) {
		modest_bytes = 0;
		hungry = nr_lined_up(before);
		members = hungry;
		left_bytes = 0;
	}
	for_modest = min(bytes, min(bytes, modest_bytes) * 65 / 64);
	if (shares->vtime - before->vtime != share)
		broken("a share is not what it is owed");
	if (shares->share_bytes != max(share >> 16, 1ULL))
		broken("a share is not so many bytes");
	if ((share + 1) * max(members, 1ULL) <= bytes << 16 ||
	    (share + 1) * max(hungry, 1ULL) + (for_modest << 16) <= bytes << 16)
		broken("a share does not fill the bucket");
	if (share * max(members, 1ULL) > bytes << 16 &&
	    share * max(hungry, 1ULL) + (for_modest << 16) > bytes << 16)
		broken("a share is more than there is");
	for_modest = min(for_modest, (members - hungry) * ((share >> 16) + 1));
	if (shares->aside_bytes[false] != for_modest)
		broken("what modest ones demand is not set aside");
	for_hungry = min(round_up(hungry * share, RNGQ_VBYTE), bytes - for_modest);
	if (shares->aside_bytes[true] != for_hungry)
		broken("the share of the hungry is not set aside");
	/* Who wants more than before may have what others are likely to leave. */
	left_bytes = min(left_bytes, for_modest);
	if (shares->growth_bytes != left_bytes)
		broken("it is not what was left that is there to grow by");
}

static void check_newcomers(const struct rngq_shares *shares,
			    const struct rngq_shares *before)
{
	u64 level = shares->bucket.level_bytes;
	u64 part = shares->extra_bytes;
	u64 waiting = before->nr_in_line[RNGQ_LINE_NEW];
	bool idled = has_idled(shares, before);
	/* Who asked long ago comes again, and asks. */
	u64 newcomers = waiting + (idled ? 0 : nr_asked_in(before->round));
	u64 members = idled ? nr_lined_up(before) : before->nr_members;
	u64 equal = round_up(level * newcomers, max(newcomers + members, 1ULL));
	/* Of few bytes one in each fourth round. */
	u64 least = level < 32 && shares->round % 4 == 0 ? min(level, 1ULL) : level / 32;
	bool is_wanted = newcomers || before->nr_in_line[RNGQ_LINE_TOLD] ||
		(was_asked && !idled);

	equal = min(equal, max(level / 2, 8ULL));
	if (!is_wanted && part)
		broken("newcomers are expected, and none has asked");
	if (is_wanted && part < least)
		broken("nothing is set aside for newcomers");
	if (!was_used && part > least)
		broken("newcomers who took nothing make others wait");
	if (is_wanted && was_used && part < equal)
		broken("less than a share is set aside for newcomers");
	if (part > least && part > equal)
		broken("more than a share is set aside for newcomers");
	if (part != shares->extra_part)
		broken("what is set aside for newcomers is not known");
	newcomer_most = max(part / max(newcomers, 1ULL), shares->least_bytes);
	waiters_bytes = newcomers ? round_up(part * waiting, newcomers) : 0;
	was_asked = false;
}

static void check_close(const struct rngq_shares *shares,
			const struct rngq_shares *before)
{
	u64 level = shares->bucket.level_bytes;
	u64 due = 0, believed = left_bytes + left_bytes / 2 + 1;

	/* What others grew by was left by somebody, too. */
	left_bytes = before->aside_bytes[false] + left_bytes - before->growth_bytes;
	left_bytes = min(left_bytes, believed);
	short_bytes = nr_uncalled_in(shares->round) * shares->share_bytes;
	if (shares->epoch - before->epoch == 1) {
		short_bytes += before->short_bytes;
		due = min(nr_due_now(before) * shares->share_bytes, level);
	}
	closing_bytes = level - due;
	waiters_bytes = 0;
	if (aside_bytes(shares))
		broken("something is set aside, and the refill comes");
	/* The last part may have come at once. */
	if ((short_bytes || due || nr_lined_up(before)) &&
	    shares->next_ns != shares->end_ns && shares->extra_bytes != level)
		broken("at closing not all is for those who came short");
	if (!short_bytes && !due && !nr_lined_up(before) && shares->extra_bytes)
		broken("at closing something is set aside, and nobody came short");
}

/* Another round has begun, or closing, or both. */
static void check_epoch(const struct rngq_shares *shares,
			const struct rngq_shares *before)
{
	u64 level = shares->bucket.level_bytes, least;

	if (shares->epoch == before->epoch)
		return;
	last_deal_ns = 0;
	was_left = true;
	nr_woken = 0;
	nr_newcomers = 0;
	/* It is worth what comes in a millisecond; at closing there is no time for many. */
	least = max(min(level, shares->bucket.rate_bytes) / TOTAL_PERIOD_MS, 1ULL);
	if (shares->is_closing && shares->round == before->round)
		least = max(before->least_bytes, level / 64);
	if (shares->least_bytes != least)
		broken("a wake-up is not worth what it should be");
	if (before->extra_part && shares->is_closing)
		was_used = 2 * before->extra_bytes <= before->extra_part;
	if (shares->epoch - before->epoch > 1) {
		/* What the round began with can't be seen any more. */
		was_used = shares->was_used;
		was_asked = false;
	} else if (shares->round != before->round) {
		check_newcomers(shares, before);
		check_share(shares, before);
	}
	if (shares->is_closing)
		check_close(shares, before);
	if (shares->epoch - before->epoch > 1)
		left_bytes = shares->left_bytes;
}

/* The refill comes soon: nothing is set aside any more. But not before. */
static void check_closing(const struct rngq_shares *shares)
{
	if (!is_limited(shares))
		return;
	if (shares->now_ns + CLOSING_NS >= shares->end_ns && !shares->is_closing)
		broken("it is time to close, and is not closed");
	if (shares->now_ns + CLOSING_NS < shares->end_ns && shares->is_closing)
		broken("it is closed, and the refill is far away");
	if (!shares->is_closing)
		return;
	if (shares->now_ns + CLOSING_NS / 2 < shares->end_ns) {
		if (shares->next_ns != shares->end_ns - CLOSING_NS / 2)
			broken("the last part of closing is not half of it");
	} else if (shares->extra_bytes || shares->next_ns != shares->end_ns) {
		broken("in the last part of closing not all is for everybody");
	}
}

void rngq_shares_refresh(struct rngq_shares *shares, u64 now_ns)
{
	struct rngq_shares before = *shares;

	rngq_bucket_refill(&before.bucket, max(now_ns, shares->now_ns));
	unbooked_refresh(shares, now_ns);
	check_level(shares, before.bucket.level_bytes);
	check_epoch(shares, &before);
	check_closing(shares);
}

void rngq_shares_set_quota(struct rngq_shares *shares,
			   const struct rngq_quota *quota)
{
	struct rngq_shares before = *shares;

	rngq_bucket_set_quota(&before.bucket, quota, shares->now_ns);
	unbooked_set_quota(shares, quota);
	check_level(shares, before.bucket.level_bytes);
	was_used = true;
	check_epoch(shares, &before);
}

/* What there is for a client, by what shares.h tells of it. */
struct found {
	u64 own;	/* what is its own: in this round, ... */
	u64 free;	/* ... what is left, ... */
	u64 growth;	/* ... what it may have more than before, ... */
	u64 part;	/* ... of what newcomers find, or who came short */
	u64 all;
};

/* @shares and @member are as they are before a call, @member in this epoch. */
static struct found find_for(const struct rngq_shares *shares,
			     const struct rngq_member *member, u64 part_bytes,
			     bool is_called)
{
	bool is_hungry = member->is_hungry && !shares->is_closing;
	u64 level = shares->bucket.level_bytes;
	s64 credit = owed(shares, member), debt = vbytes(shares->least_bytes);
	u64 worth = credit > 0 ? credit >> 16 : 0;
	u64 others = aside_bytes(shares) + shares->extra_bytes;
	struct found found = { };

	if (!shares->is_closing) {
		found.own = worth;
		/* Fractions: a wake-up is worth something to who comes for its share. */
		if (is_called && member->expected_bytes && !member->taken_bytes &&
		    credit > -debt / 2)
			found.own = max(found.own, shares->least_bytes);
		/* A modest one has no more than its demand. */
		if (!is_hungry)
			found.own = min3(found.own, shares->aside_bytes[false],
					 less(member->expected_bytes,
					      member->taken_bytes));
		/* The hungry leave alone what the modest have. */
		found.own = min(found.own, less(level, shares->extra_bytes +
				(is_hungry ? shares->aside_bytes[false] : 0)));
		others -= min(found.own, shares->aside_bytes[is_hungry]);
	}
	found.free = less(level, found.own + others);
	if (is_hungry)
		found.free = min(found.free,
				 less(credit + debt > 0 ? (credit + debt) >> 16 : 0,
				      found.own));
	else if (!member->is_hungry && !shares->is_closing)
		found.growth = min3(less(worth, found.own), shares->growth_bytes,
				    shares->aside_bytes[false] - found.own);
	found.part = min3(part_bytes, shares->extra_bytes,
			  less(shares->extra_bytes, is_called ? 0 : waiters_bytes));
	/* With all else that counts for it, a newcomer has no more than a share. */
	if (!shares->is_closing)
		found.part = min(found.part,
				 less(max(shares->share_bytes, shares->least_bytes),
				      member->taken_bytes + found.own + found.growth));
	found.all = found.own + found.free + found.growth + found.part;
	return found;
}

/* In a new round it is owed what it wants of a share, or what it took twice. */
static s64 credit_to_begin_with(const struct rngq_shares *shares,
				const struct rngq_member *was,
				const struct rngq_member *member,
				const struct account *account)
{
	u64 bytes = max(member->expected_bytes, 2 * account->before_bytes);
	s64 debt = vbytes(shares->least_bytes);
	s64 most = min(bytes << 16, shares->share);

	if (member->is_hungry && account->is_short)
		most += debt;
	/* What it was owed before goes on, and what it owes, as far as that. */
	return member->expected_bytes ? min(max(owed(shares, was), -2 * debt), most) : most;
}

/* Was it @was, and has noted that there is a new epoch? Then so much is it owed. */
static void check_credit(const struct rngq_shares *shares,
			 const struct rngq_member *was,
			 const struct rngq_member *member,
			 const struct account *account)
{
	s64 credit = owed(shares, was), gift;
	u64 part, clients_part;

	if (was->epoch == shares->epoch)
		return;
	if (was->round != shares->round)
		credit = credit_to_begin_with(shares, was, member, account);
	gift = owed(shares, member) - credit;
	if (gift && !shares->is_closing)
		broken("it is not what it wants of a share that a client is owed");
	if (!shares->is_closing)
		return;
	/* In proportion, but for less than the unit for each byte that counts. */
	part = max(short_bytes, 1ULL);
	clients_part = (account->counts_bytes * closing_bytes) << 16;
	if (gift < 0 || gift * part > clients_part ||
	    (gift + account->counts_bytes) * part < clients_part)
		broken("what is left at closing is not owed in proportion");
}

static bool is_newcomer(const struct rngq_member *member)
{
	return !member->expected_bytes && !member->taken_bytes;
}

static void check_newly_waiting(const struct rngq_shares *shares,
				const struct rngq_member *member,
				const struct account *account)
{
	s64 next = vbytes(account->taken_bytes + 1);
	enum rngq_line line = RNGQ_LINE_UNDER;

	if (next > (s64)shares->share)
		line = RNGQ_LINE_FULL;
	if (owed(shares, member) <= -vbytes(shares->least_bytes) / 2)
		line = RNGQ_LINE_OVER;
	if (!account->taken_bytes && !member->expected_bytes)
		line = account->is_told ? RNGQ_LINE_TOLD : RNGQ_LINE_NEW;
	if (member->line != line)
		broken("somebody waits in the wrong line");
	if (shares->line[line].prev != &member->waiter.node)
		broken("somebody waits who is not the last in its line");
	if (!shares->bucket.awaited)
		broken("somebody waits, and will not be on the beat");
}

u64 rngq_shares_ask(struct rngq_shares *shares, struct rngq_member *member,
		    u64 want_bytes, enum rngq_way way)
{
	struct account *account = account_of(shares, member);
	struct rngq_shares before = *shares;
	struct rngq_member came = *member, was = came;
	struct found found;
	u64 bytes = unbooked_ask(shares, member, want_bytes, way);

	note(shares, member, "ask", bytes);
	check_level(shares, before.bucket.level_bytes);
	if (!is_limited(shares))
		return bytes;
	catch_up(&before, &was);
	check_credit(&before, &came, &was, account);
	found = find_for(&before, &was, account->part_bytes, account->is_called);
	if (bytes > before.bucket.level_bytes)
		broken("somebody is told that there is more than there is");
	if (bytes > found.all)
		broken("somebody is told of what is set aside for others");
	if (bytes < found.all)
		broken("somebody does not find what is there for it");
	if (way != RNGQ_GO && is_newcomer(&was)) {
		was_asked |= !bytes;
		/* Who was called and finds that others were quicker is told nothing. */
		account->is_told |= bytes > 0;
		account->is_told &= bytes || !account->is_called || shares->is_closing;
		/* It counts in the next round. In line it counts as one that waits. */
		account->has_asked |= !bytes && !account->is_told;
	}
	account->has_asked &= !member->line;
	if (way != RNGQ_GO && !bytes)
		account->is_due = false;
	if (way != RNGQ_GO && !bytes &&
	    (!shares->is_closing || was.taken_bytes || owed(shares, member) <= 0))
		account->is_short = true;
	/* Was there less than its own? Then it still is expected. */
	if (way != RNGQ_GO && !bytes && !shares->is_closing && !was_changed &&
	    member->demand_bytes < min(want_bytes, was.expected_bytes) &&
	    (!was.taken_bytes || owed(shares, member) > 0))
		broken("one comes for its share, finds nothing, and is expected no more");
	if ((way != RNGQ_WAIT || bytes) && member->line != was.line)
		broken("somebody lines up, and need not wait");
	if (way == RNGQ_WAIT && !bytes && !member->line)
		broken("somebody waits, and is not in line");
	if (!was.line && member->line)
		account->line_round = shares->round;
	if (!was.line && member->line)
		check_newly_waiting(shares, member, account);
	if (shares->aside_bytes[true] != before.aside_bytes[true] &&
	    (shares->aside_bytes[true] || nr_unserved_now()))
		broken("what the hungry have of their own is set aside no more");
	check_member(shares, member);
	return bytes;
}

/* It took so much of what it found. What counts for that, and is not set aside now? */
static void check_taken(const struct rngq_shares *shares,
			const struct rngq_shares *before,
			const struct rngq_member *member,
			const struct rngq_member *was, u64 bytes)
{
	u64 level = shares->bucket.level_bytes;
	bool is_hungry = was->is_hungry;
	s64 credit_used = current->used.credit;
	/* Who grows has that of what those like it leave. */
	u64 own = current->used.own + current->used.growth;

	if (owed(before, was) - owed(shares, member) != credit_used)
		broken("what was taken is not what it counts for");
	if (shares->aside_bytes[!is_hungry] != before->aside_bytes[!is_hungry])
		broken("what is set aside for those unlike it has changed");
	if (shares->aside_bytes[is_hungry] !=
	    before->aside_bytes[is_hungry] - own &&
	    !(is_hungry && !nr_unserved_now() && !shares->aside_bytes[true]))
		broken("what it had of its own is still set aside");
	if (shares->extra_bytes != before->extra_bytes - current->used.extra)
		broken("what it had of the extra bytes is still set aside");
	if (shares->growth_bytes != before->growth_bytes - current->used.growth)
		broken("what it had more than before is still set aside");
	if (shares->waiters_bytes != waiters_bytes)
		broken("what is for those that are called is not what they left");
	if (is_hungry && !shares->is_closing &&
	    level < min(before->bucket.level_bytes,
			before->aside_bytes[false] + before->extra_bytes))
		broken("one who is hungry took what modest ones demand");
}

u64 rngq_shares_take(struct rngq_shares *shares, struct rngq_member *member,
		     u64 want_bytes, struct rngq_share_draw *draw)
{
	struct account *account = account_of(shares, member);
	struct rngq_shares before = *shares;
	struct rngq_member came = *member, was = came;
	struct found found;
	u64 bytes = unbooked_take(shares, member, want_bytes, draw);
	u64 own;
	s64 credit;

	note(shares, member, "take", bytes);
	if (!is_limited(shares))
		return bytes;
	check_level(shares, before.bucket.level_bytes - bytes);
	if (bytes && bytes != draw->bucket.level_bytes)
		broken("what was taken is not what is noted");
	if (bytes && (member->line || !list_empty(&member->waiter.node)))
		broken("somebody waits who took something");
	if (bytes && draw->left_line != !!was.line)
		broken("others who wait for what it took are not to be woken");
	catch_up(&before, &was);
	check_credit(&before, &came, &was, account);
	found = find_for(&before, &was, account->part_bytes, account->is_called);
	if (bytes > found.all)
		broken("somebody took what is set aside for others");
	if (bytes < min(want_bytes, found.all))
		broken("somebody did not get what is there for it");
	taken_bytes += bytes;
	current->held_bytes += bytes;
	if (!bytes)
		return 0;

	own = min(bytes, found.own);
	current->used.round = before.round;
	current->used.epoch = before.epoch;
	current->used.own = min(own, before.aside_bytes[was.is_hungry]);
	current->used.growth = min(less(bytes, found.own + found.free), found.growth);
	current->used.extra = less(bytes, found.own + found.free + found.growth);
	if (account->is_called)
		waiters_bytes = less(waiters_bytes, current->used.extra);
	credit = vbytes(own + current->used.growth);
	/* To the hungry all counts, up to what it may owe. */
	if (was.is_hungry)
		credit = max(credit, min(vbytes(bytes), owed(&before, &was) +
					 vbytes(before.least_bytes)));
	current->used.credit = credit;
	account->part_bytes -= current->used.extra;
	account->taken_bytes += bytes;
	account->has_taken = true;
	account->is_due = false;
	account->is_told = false;
	account->has_asked = false;
	account->is_short = bytes < want_bytes;
	/* A round begins if the clock does, and it was closed. */
	if (shares->epoch != before.epoch) {
		memcpy(before.nr_in_line, shares->nr_in_line,
		       sizeof(before.nr_in_line));
		add_up(&before);
		account->demand_bytes = member->demand_bytes;
		check_epoch(shares, &before);
		return bytes;
	}
	check_taken(shares, &before, member, &was, bytes);
	check_member(shares, member);
	if (bytes < want_bytes && member->demand_bytes <
	    min(was.taken_bytes + want_bytes, 8 * account->taken_bytes))
		broken("one who came short is not to get more");
	return bytes;
}

void rngq_shares_give_back(struct rngq_shares *shares,
			   struct rngq_member *member,
			   const struct rngq_share_draw *draw, u64 bytes)
{
	struct account *account = account_of(shares, member);
	struct rngq_shares before = *shares;
	struct rngq_member was = *member;
	bool is_same = draw->epoch == shares->epoch;
	u64 own, growth, extra, free;

	if (draw->epoch != current->used.epoch)
		broken("when bytes were taken is not what is noted");
	unbooked_give_back(shares, member, draw, bytes);
	note(shares, member, "give_back", bytes);
	/* After a refill what is given back may be too late. */
	if (draw->bucket.refills == shares->bucket.refills ||
	    shares->bucket.level_bytes != before.bucket.level_bytes)
		check_level(shares, before.bucket.level_bytes +
			    min(bytes, draw->bucket.level_bytes));
	taken_bytes -= bytes;
	current->held_bytes -= bytes;
	if (!is_limited(shares))
		return;
	catch_up(&before, &was);
	/* What it took in another round is over. */
	if (current->used.round == shares->round) {
		account->taken_bytes -= min(account->taken_bytes, bytes);
		account->is_short = false;
	}
	growth = shares->growth_bytes - before.growth_bytes;
	own = shares->aside_bytes[was.is_hungry] -
		before.aside_bytes[was.is_hungry] - growth;
	extra = shares->extra_bytes - before.extra_bytes;
	free = less(shares->bucket.level_bytes,
		    aside_bytes(&before) + before.extra_bytes);
	if (!is_same) {
		if (own || growth || extra ||
		    owed(shares, member) != owed(&before, &was))
			broken("what was given back is not for all");
	} else {
		if (owed(shares, member) - owed(&before, &was) !=
		    min(vbytes(bytes), current->used.credit))
			broken("what was given back still counts");
		if (own != min3(bytes, current->used.own, free))
			broken("what was set aside is so no more");
		if (growth != min3(bytes - own, current->used.growth, free - own))
			broken("what was for growth is so no more");
		/* In the last part of closing all is for everybody. */
		if (extra != (before.next_ns == before.end_ns ? 0 :
			      min3(bytes - own - growth, current->used.extra,
				   free - own - growth)))
			broken("what was for newcomers, or who came short, is so no more");
		account->part_bytes += extra;
		if (account->is_called && !shares->is_closing)
			waiters_bytes += extra;
		if (shares->waiters_bytes != waiters_bytes)
			broken("what was for those that are called is so no more");
	}
	if (shares->aside_bytes[!was.is_hungry] != before.aside_bytes[!was.is_hungry])
		broken("what was given back is for those unlike who took it");
	check_member(shares, member);
}

void rngq_shares_withdraw(struct rngq_shares *shares,
			  struct rngq_member *member)
{
	struct account *account = account_of(shares, member);
	u64 level_bytes = shares->bucket.level_bytes;

	account->is_due = false;
	/* A newcomer that waited has asked. */
	account->has_asked |= member->line == RNGQ_LINE_NEW;
	unbooked_withdraw(shares, member);
	note(shares, member, "withdraw", 0);
	check_level(shares, level_bytes);
	if (member->line || !list_empty(&member->waiter.node))
		broken("somebody waits who does not want to");
	check_member(shares, member);
}

void rngq_shares_go_on(struct rngq_member *member,
		       const struct rngq_member *from)
{
	struct rngq_member was = *member;
	int i = left_by[current->file] - 1;

	unbooked_go_on(member, from);
	if (member->waiter.kobj != was.waiter.kobj ||
	    !list_empty(&member->waiter.node) || member->line)
		broken("who opens again waits for another one");
	accounts[index_of(member)] = accounts[i];
	accounts[index_of(member)].has_left = false;
	accounts[i].is_handed_on = true;
}

/* The first of a line as it would be if it were looked at. Nothing changes. */
static bool look_at_first(const struct rngq_shares *shares, enum rngq_line line,
			  struct rngq_member *member, struct account *account)
{
	struct rngq_member *first =
		list_first_entry_or_null(&shares->line[line], struct rngq_member,
					 waiter.node);

	if (!first)
		return false;
	*member = *first;
	*account = accounts[index_of(first)];
	if (!is_limited(shares))
		return true;
	catch_account_up(account, shares, member);
	catch_up(shares, member);
	return true;
}

/* What is there for it? */
static u64 first_finds(const struct rngq_shares *shares, enum rngq_line line)
{
	struct rngq_member member;
	struct account account;

	if (!look_at_first(shares, line, &member, &account))
		return 0;
	return is_limited(shares) ?
		find_for(shares, &member, account.part_bytes, true).all : RNGQ_MAX;
}

/* No more are called than find something. */
static bool are_enough_called(const struct rngq_shares *shares,
			      enum rngq_line line)
{
	u64 level = shares->bucket.level_bytes;
	struct rngq_member member;
	struct account account;

	if (!is_limited(shares))
		return false;
	if (line == RNGQ_LINE_NEW)
		return nr_newcomers && nr_newcomers * newcomer_most >= deal_extra_bytes;
	if (!is_one_of_many(line) || !look_at_first(shares, line, &member, &account))
		return false;
	/* The hungry don't find what is set aside for others. */
	if (member.is_hungry && !shares->is_closing)
		level = less(level, shares->aside_bytes[false] + shares->extra_bytes);
	/* What is for everybody waits for nobody. */
	if (shares->next_ns != shares->end_ns)
		level = less(level, nr_due_now(shares) * shares->least_bytes);
	return !level;
}

/* When it is whose turn, and who of them could be called. */
static void turns(const struct rngq_shares *shares, enum rngq_line order[5])
{
	static const enum rngq_line all[5][5] = {
		/* Each is the first in its turn, but who was told comes last. */
		{ RNGQ_LINE_NEW, RNGQ_LINE_UNDER, RNGQ_LINE_FULL,
		  RNGQ_LINE_OVER, RNGQ_LINE_TOLD },
		{ RNGQ_LINE_UNDER, RNGQ_LINE_FULL, RNGQ_LINE_OVER,
		  RNGQ_LINE_NEW, RNGQ_LINE_TOLD },
		{ RNGQ_LINE_FULL, RNGQ_LINE_UNDER, RNGQ_LINE_OVER,
		  RNGQ_LINE_NEW, RNGQ_LINE_TOLD },
		{ RNGQ_LINE_OVER, RNGQ_LINE_UNDER, RNGQ_LINE_FULL,
		  RNGQ_LINE_NEW, RNGQ_LINE_TOLD },
		/* At closing, who left its share comes late. */
		{ RNGQ_LINE_FULL, RNGQ_LINE_OVER, RNGQ_LINE_NEW,
		  RNGQ_LINE_UNDER, RNGQ_LINE_TOLD },
	};
	int turn = shares->is_closing ? 4 : nr_called % 4;
	struct rngq_member member;
	struct account account;

	/* Not who still owes something. */
	if (turn == 3 && (!look_at_first(shares, RNGQ_LINE_OVER, &member, &account) ||
			  owed(shares, &member) <= 0))
		turn = 0;
	memcpy(order, all[turn], sizeof(all[0]));
}

/* All clients as they were before a call. */
static struct rngq_member came[MAX_FILES] UNTRACKED;

/* Who was the first in its line may have been looked at, and noted what is new. */
static void check_looked_at(const struct rngq_shares *shares)
{
	static struct rngq_shares copy UNTRACKED;
	static struct rngq_member was UNTRACKED;
	int i;

	for (i = 0; i < nr_opened; i++) {
		const struct rngq_member *member = &memory[i].member;

		if (!came[i].line || member->epoch != shares->epoch ||
		    accounts[i].has_left)
			continue;
		catch_account_up(&accounts[i], shares, &came[i]);
		check_credit(shares, &came[i], member, &accounts[i]);
		copy = *shares;
		was = came[i];
		catch_up(&copy, &was);
		if (member->demand_bytes != was.demand_bytes)
			broken("what one is expected to want depends on who calls it");
		accounts[i].demand_bytes = member->demand_bytes;
	}
}

struct rngq_member *rngq_shares_call(struct rngq_shares *shares)
{
	enum rngq_line order[5], line = RNGQ_LINE_NONE;
	u64 level_bytes = shares->bucket.level_bytes;
	struct list_head *firsts[RNGQ_NR_LINES];
	bool finds[RNGQ_NR_LINES], enough[RNGQ_NR_LINES];
	struct rngq_member *member;
	struct account *account;
	int i;

	if (!nr_newcomers)
		deal_extra_bytes = max(shares->extra_bytes,
				       first_finds(shares, RNGQ_LINE_NEW));
	turns(shares, order);
	for (i = 0; i < 5; i++) {
		firsts[order[i]] = shares->line[order[i]].next;
		finds[order[i]] = first_finds(shares, order[i]) > 0;
		enough[order[i]] = are_enough_called(shares, order[i]);
	}
	for (i = 0; i < nr_opened; i++)
		came[i] = memory[i].member;

	member = unbooked_call(shares);
	note(shares, member, "call", !!member);
	check_level(shares, level_bytes);
	if (member)
		line = came[index_of(member)].line;
	if (member && (member->line || !list_empty(&member->waiter.node)))
		broken("one who is to be woken is in line");
	if (member && (!line || firsts[line] != &memory[index_of(member)]
						.member.waiter.node))
		broken("one is called who is not the first in line");
	for (i = 0; i < 5 && order[i] != line; i++) {
		if (finds[order[i]] && !enough[order[i]])
			broken(member ? "one is called, and it is another one's turn" :
			       "nobody is called, and there is something for one");
	}
	if (member && !finds[line])
		broken("one is called, and there is nothing for it");
	if (line && enough[line])
		broken("more are called than find something");
	nr_woken += !!member;
	nr_called += !!member;
	nr_newcomers += line == RNGQ_LINE_NEW;
	/* Of so few files. */
	if (nr_woken > MOST_WOKEN)
		broken("a deal wakes the same ones again and again");
	check_looked_at(shares);
	if (!member) {
		last_deal_ns = clock_ns;
		was_left = level_bytes;
		nr_woken = 0;
		nr_newcomers = 0;
	} else {
		account = &accounts[index_of(member)];
		account->is_called = true;
		account->is_due = is_one_of_many(line);
		account->has_asked |= line == RNGQ_LINE_NEW;
		check_member(shares, member);
	}
	return member;
}

/* Of any interval from the start on: nothing was taken before. */
static void keep_promises(void)
{
	u64 periods = clock_ns / (TOTAL_PERIOD_MS * NSEC_PER_MSEC);
	u64 own_periods = clock_ns / (OWN_PERIOD_MS * NSEC_PER_MSEC);

	if (TOTAL_RATE_BYTES && !was_changed &&
	    delivered_bytes > (periods + 2) * TOTAL_RATE_BYTES + TOTAL_BURST_BYTES)
		broken("more was delivered than was promised");
	if (current->file < OWN_FILES && files[current->file].delivered_bytes >
	    (own_periods + 2) * OWN_RATE_BYTES)
		broken("more was delivered than a client's own quota");
}

static unsigned int length(const struct list_head *list)
{
	const struct list_head *at;
	unsigned int entries = 0;

	for (at = list->next; at != list && entries <= MAX_FILES; at = at->next)
		entries++;
	return entries;
}

/* Add up what the clients stand for. To be called when nobody is in between. */
static void check_sums(void)
{
	struct rngq_shares sum = {
		.round = total.round, .share_bytes = total.share_bytes,
	};
	int i;

	add_up(&sum);
	for (i = 0; i < nr_opened; i++) {
		const struct rngq_member *member = member_at(i);

		if (!member || accounts[i].has_left)
			continue;
		sum.nr_in_line[member->line]++;
		if (!list_empty(&member->waiter.node) != !!member->line)
			broken("somebody is in the wrong line");
	}
	for (i = RNGQ_LINE_NONE + 1; i < RNGQ_NR_LINES; i++) {
		sum.nr_waiting += sum.nr_in_line[i];
		if (sum.nr_in_line[i] != total.nr_in_line[i] ||
		    sum.nr_in_line[i] != length(&total.line[i]))
			broken("those in line are not counted");
	}
	if (sum.nr_waiting != total.nr_waiting)
		broken("those who wait are not counted");
	if (total.bucket.level_bytes > total.bucket.capacity_bytes)
		broken("there is more than the bucket can hold");
	if (!is_limited(&total))
		return;
	if (sum.nr_members != total.nr_members ||
	    sum.nr_hungry != total.nr_hungry ||
	    sum.demand_bytes != total.demand_bytes ||
	    sum.short_bytes != total.short_bytes)
		broken("what is counted for the next round does not add up");
	if (!was_changed && !total.is_closing &&
	    total.nr_unserved != nr_unserved_now())
		broken("how many hungry ones are not served does not add up");
	if (!was_changed && total.nr_due != nr_due_now(&total))
		broken("those are not counted who were called and have not come");
	if (total.nr_asked != nr_asked_in(total.round))
		broken("newcomers that asked are not counted, or twice");
	if (total.nr_uncalled != nr_uncalled_in(total.round))
		broken("those are not counted who wait and were not called");
	if (!total.nr_unserved && total.aside_bytes[true])
		broken("what nobody will come for is set aside");
	if (aside_bytes(&total) + total.extra_bytes > total.bucket.level_bytes)
		broken("more is set aside than there is");
	if (total.waiters_bytes > total.extra_bytes)
		broken("more is set aside for some newcomers than for all");
	if (total.extra_part && total.extra_bytes > total.extra_part)
		broken("more is set aside for newcomers than was");
	if (total.bucket.refill_ns != RNGQ_NEVER &&
	    total.bucket.refill_ns != total.end_ns)
		broken("a refill will begin no round");
}

/* System calls */

static int do_open(int file)
{
	struct model_file *opened = &files[file];
	int err;

	opened->file = (struct file){ .f_mode = FMODE_READ };
	err = fops->open(NULL, &opened->file);
	opened->client = opened->file.private_data;
	opened->users = file ? 1 : FILE_USERS;
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
	closed->is_asked = false;
}

static int do_read(struct file *file, size_t bytes, enum model_call call)
{
	struct kiocb iocb = {
		.ki_filp = file,
		.ki_flags = call == CALL_READ_NOWAIT ? IOCB_NOWAIT : 0,
	};
	struct iov_iter to = {
		.count = bytes,
		.mapped = call == CALL_READ_BAD ? bytes / 2 : bytes,
		.present = call == CALL_READ ||
			call == CALL_READ_NOWAIT ? bytes : bytes / 2,
	};
	ssize_t got = fops->read_iter(&iocb, &to);

	if (!got || got > (ssize_t)bytes)
		broken("a read returns what it should not");
	if (current->held_bytes)
		broken("a byte was taken, and neither delivered nor given back");
	return got;
}

/* poll(2) of one file, without a timeout or with one of 0. */
static int do_poll(struct file *file, __poll_t key, bool nowait)
{
	bool triggered = false;
	struct wait_queue_entry wait = {
		.task = current,
		.triggered = &triggered,
	};
	poll_table table = { .wait = &wait, .key = key };
	__poll_t events;

	for (;;) {
		events = fops->poll(file, &table);
		if (events || nowait || signal_pending(current))
			break;
		if (!triggered)
			go_to_sleep("sleeps in poll");
		triggered = false;
	}
	take_lock(&table.queue->lock, "leaves the wait queue");
	list_del_init(&wait.entry);
	drop_lock(&table.queue->lock);
	if (events & ~key)
		broken("poll tells what nobody asked for");
	return events;
}

static int do_epoll_add(struct file *file)
{
	poll_table table = { .wait = &current->item, .key = EPOLLIN | EPOLLERR };

	current->item.task = current;
	current->item.triggered = &current->is_ready;
	/* What is there already is an edge, too. */
	if (fops->poll(file, &table))
		current->is_ready = true;
	return 0;
}

static int do_epoll_wait(struct file *file)
{
	poll_table table = { .key = EPOLLIN | EPOLLERR };
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

	if (current->call == CALL_POLL || current->call == CALL_POLL_NOWAIT ||
	    current->call == CALL_EPOLL_ADD)
		file->is_asked = true;

	switch (current->call) {
	case CALL_OPEN:
		return do_open(current->file);
	case CALL_READ:
	case CALL_READ_NOWAIT:
	case CALL_READ_BAD:
	case CALL_READ_ABSENT:
		return do_read(&file->file, current->arg, current->call);
	case CALL_POLL:
		return do_poll(&file->file, EPOLLIN | EPOLLRDNORM | EPOLLERR, false);
	case CALL_POLL_NOWAIT:
		return do_poll(&file->file, EPOLLIN | EPOLLRDNORM | EPOLLERR, true);
	case CALL_POLL_NOTHING:
		return do_poll(&file->file, EPOLLERR, false);
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
		check_may_sleep();
		current->is_inside = false;
		current->call = 0;
		current->arg = 0;
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

/* What nothing depends on, or not any more, must not make two states of one. */
static void forget(void)
{
	u64 vtime = total.vtime;
	int i;

	/* How virtual times differ is what counts, and not of those long ago. */
	total.vtime = 0;
	for (i = 0; i < nr_opened; i++) {
		struct rngq_client *client = &memory[i];

		left[i].vtime -= vtime;
		if (is_free(client))
			continue;
		client->member.vtime -= vtime;
		if (client->member.round + 1 < total.round && !client->member.line)
			client->member.vtime = 0;
		client->throttled = 0;
		client->throttled_ns = 0;
		if (client->throttled_since_ns != RNGQ_NEVER)
			client->throttled_since_ns = 0;
	}
	/* What counts is whose turn comes next. */
	total.nr_called %= 4;
	nr_called %= 4;
	for (i = 0; i < nr_opened; i++) {
		if (!is_free(&memory[i]) && memory[i].member.line)
			continue;
		memory[i].member.line_round = 0;
		accounts[i].line_round = 0;
	}
	/* But 0 tells that there was none. */
	if (total.next_deal_ns && total.next_deal_ns <= total.now_ns)
		total.next_deal_ns = 1;
	if (last_deal_ns + DISTANCE_NS <= clock_ns)
		last_deal_ns = 0;
	if (!total.nr_newcomers)
		total.deal_extra_bytes = 0;
	if (!nr_newcomers)
		deal_extra_bytes = 0;
	for (i = 0; i < MAX_THREADS; i++) {
		if (!threads[i].held_bytes)
			threads[i].used = (struct used){ };
	}
}

static void digest(void)
{
	u64 sum[2] = { };
	int i;

	forget();
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
		.burst_bytes = TOTAL_BURST_BYTES,
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
	newcomer_most = 1;
	was_used = true;
	rngq_device_register();
	digest();
}

static void say(const struct task_struct *task, const char *what)
{
	if (model_tells)
		printf("%8.3f ms  thread %d %s\n", clock_ns / 1e6,
		       thread_id(task), what);
}

static void say_notes(void)
{
	int i;

	for (i = 0; i < nr_notes; i++) {
		const struct rngq_shares *shares = &notes[i].shares;
		const struct rngq_member *member = &notes[i].member;

		printf("%8.3f ms    %s: %lld. Round %llu%s, level %llu, share %.2f",
		       clock_ns / 1e6, notes[i].call, notes[i].result,
		       shares->round, shares->is_closing ? " closing" : "",
		       shares->bucket.level_bytes,
		       shares->share / (double)RNGQ_VBYTE);
		printf(", aside %llu modest %llu hungry %llu growth %llu extra",
		       shares->aside_bytes[false], shares->aside_bytes[true],
		       shares->growth_bytes, shares->extra_bytes);
		if (notes[i].client >= 0)
			printf("; client %d: line %d, took %llu, expected %llu",
			       notes[i].client, member->line,
			       member->taken_bytes, member->expected_bytes);
		if (notes[i].client >= 0)
			printf(", demand %llu, extra %llu, credit %.2f%s%s%s",
			       member->demand_bytes, member->extra_bytes,
			       owed(shares, member) / (double)RNGQ_VBYTE,
			       member->is_hungry ? ", hungry" : "",
			       member->is_short ? ", short" : "",
			       member->is_served ? ", served" : "");
		printf("\n");
	}
	nr_notes = 0;
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
	say_notes();
	say(task, task->where);
	digest();
}

static const char * const call_names[] = {
	[CALL_OPEN] = "calls open",
	[CALL_READ] = "calls read",
	[CALL_READ_NOWAIT] = "calls read, not to wait",
	[CALL_READ_BAD] = "calls read into a bad address",
	[CALL_READ_ABSENT] = "calls read into a page to be faulted in",
	[CALL_POLL] = "calls poll",
	[CALL_POLL_NOWAIT] = "calls poll, not to wait",
	[CALL_POLL_NOTHING] = "calls poll for no events",
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
	/* Somebody waits for nothing but the time. */
	if (model_periods() < awaited_periods)
		next = min_after(next, (model_periods() + 1) *
				 WAIT_MS * NSEC_PER_MSEC);
	if (early) {
		next = min_after(next, total.next_ns);
		next = min_after(next, total.end_ns);
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
	if (task->call == CALL_POLL_NOTHING)
		return;
	rngq_bucket_refill(&own, clock_ns);
	if (!rngq_bucket_available(&own)) {
		if (!client->timer.is_queued ||
		    (u64)client->timer.expires != own.refill_ns)
			broken("somebody sleeps, and will not be woken at the refill");
	} else if (!rngq_total_limits) {
		broken("somebody sleeps, and there is something to read");
	} else if (!client->member.line) {
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

/* If somebody waits, will the next deal come in time? */
static void check_deal(void)
{
	const struct rngq_bucket *bucket = &total.bucket;
	/* A period is the longest that a round lasts. */
	u64 end_ns = min3(bucket->refill_ns, total.end_ns,
			  clock_ns + bucket->period_ns);
	u64 deal_ns = min_after(end_ns, end_ns - CLOSING_NS);
	bool finds = false;
	int i;

	if (!total.nr_waiting)
		return;
	if (bucket->rate_bytes == RNGQ_MAX)
		broken("somebody is in line, and there is no limit");
	for (i = RNGQ_LINE_NONE + 1; i < RNGQ_NR_LINES; i++)
		finds |= first_finds(&total, i) > 0 && !are_enough_called(&total, i);
	/* What came free in between may wait, but not for long. */
	if (finds)
		deal_ns = min(deal_ns, last_deal_ns + DISTANCE_NS);
	/* At closing there is more for everybody later; but of what came back since. */
	if (bucket->level_bytes && was_left)
		deal_ns = min_after(deal_ns, end_ns - CLOSING_NS / 2);
	if (!deal_timer.is_queued || (u64)deal_timer.expires > deal_ns)
		broken("nobody will deal when it is time");
}

static void check_rest(void)
{
	int i;

	check_shares();
	check_deal();

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
		    files[i].client->member.line)
			broken("a client is in line, and nobody waits for it");
	}
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
	return clock_ns / (WAIT_MS * NSEC_PER_MSEC);
}

int model_opened(void)
{
	return nr_opened;
}

void model_await(int periods)
{
	awaited_periods = max(awaited_periods, periods);
	digest();
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

	if (total.nr_waiting)
		broken("somebody is in line, and all have closed");
	for (i = 0; i < nr_opened; i++) {
		if (!is_free(&memory[i]))
			broken("a client is never freed");
	}
	if (TOTAL_RATE_BYTES && !was_changed && taken_bytes != delivered_bytes)
		broken("a byte was taken, and neither delivered nor given back");
	/* Whoever wanted it got each byte as soon as there was one. */
	if (delivered_ns > IDEAL_MS * NSEC_PER_MSEC)
		broken("the last one waited longer than all bytes need");
}
