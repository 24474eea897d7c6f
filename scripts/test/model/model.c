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
#define rngq_shares_leave	unbooked_leave
#define rngq_shares_grant	unbooked_grant

void rngq_shares_withdraw(struct rngq_shares *shares,
			  struct rngq_member *member);

#include "driver/shares.c"

#undef rngq_shares_refresh
#undef rngq_shares_set_quota
#undef rngq_shares_ask
#undef rngq_shares_take
#undef rngq_shares_give_back
#undef rngq_shares_withdraw
#undef rngq_shares_leave
#undef rngq_shares_grant

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
/* How long before the end of that what was set aside comes free. */
#define CLOSING_NS	(2 * NSEC_PER_MSEC)
/* Who took nothing for so long let a whole round go by. */
#define RECENT_NS	(2 * TOTAL_PERIOD_MS * NSEC_PER_MSEC)
/* More than once each, as others take it or give it back meanwhile. */
#define MOST_WOKEN	(4 * MAX_FILES)
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
	u64 due_bytes;		/* of its last take: they were granted or set aside */
	bool was_trusted;	/* its file, before that */
	/* Of the edge-triggered epoll that it uses. */
	struct wait_queue_entry item;
	bool is_ready;
};

struct model_file {
	struct file file;
	struct rngq_client *client;
	int users;
	bool is_asked;		/* by those who don't wait, but come again */
	bool is_trusted;	/* it took a byte after its last grant */
	bool is_short;		/* it was given less than it wanted the last time */
	u64 delivered_bytes;
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
static u64 last_take_ns;
static u64 last_deal_ns;	/* 0: there was none in this epoch */
static u64 epoch_ns;		/* when it began */
static bool is_doubted;		/* are newcomers? */
static bool was_asked;		/* by one, in this round, ... */
static bool was_refused;	/* ... which found nothing */
static bool was_changed;
static int awaited_periods;

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

static void keep_promises(void);

static void broken(const char *why)
{
	if (!model_broken)
		model_broken = why;
}

/* Trees */

static struct rb_node **link_to(struct rb_node *node,
				struct rb_root_cached *root)
{
	return node->parent ? &node->parent->rb_right : &root->rb_root.rb_node;
}

void rb_link_node(struct rb_node *node, struct rb_node *parent,
		  struct rb_node **link)
{
	if (node->is_in_tree || *link)
		broken("who is in line is put in line");
	*node = (struct rb_node){ .parent = parent, .is_in_tree = true };
	*link = node;
}

void rb_insert_color_cached(struct rb_node *node, struct rb_root_cached *root,
			    bool leftmost)
{
	struct rb_node *parent = node->parent;

	if (leftmost)
		root->rb_leftmost = node;
	if (!parent || parent->rb_left != node)
		return;
	/* The left child comes between its parent and the one before that. */
	parent->rb_left = NULL;
	node->parent = parent->parent;
	*link_to(parent, root) = node;
	node->rb_right = parent;
	parent->parent = node;
}

void rb_erase_cached(struct rb_node *node, struct rb_root_cached *root)
{
	if (!node->is_in_tree)
		broken("who is not in line is taken out");
	if (root->rb_leftmost == node)
		root->rb_leftmost = node->rb_right;
	*link_to(node, root) = node->rb_right;
	if (node->rb_right)
		node->rb_right->parent = node->parent;
	*node = (struct rb_node){ };
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
	if (!list_empty(&client->member.waiter.node) ||
	    client->member.node.is_in_tree)
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

	take_lock(&registry_mutex, "takes the registry's mutex");
	was_changed = true;
	rngq_total_set_quota(&quota);
	drop_lock(&registry_mutex);
}

/*
 * The books: what is in the host's bucket, and what becomes of it, as one sees from
 * outside. What shares.h tells has to be so.
 */

static struct model_file *file_of(const struct rngq_member *member)
{
	int i;

	for (i = 0; i < MAX_FILES - 1; i++) {
		if (files[i].client && member == &files[i].client->member)
			break;
	}
	return &files[i];
}

static bool is_waiting(const struct rngq_member *member)
{
	return member->is_apart || member->is_in_line;
}

static u64 aside_bytes(const struct rngq_shares *shares)
{
	return shares->granted_bytes + shares->expected_bytes +
		shares->newcomer_bytes;
}

static void check_level(const struct rngq_shares *shares, u64 level_bytes)
{
	assert_locked(&total_lock);
	if (shares->bucket.level_bytes != level_bytes)
		broken("a byte was created or lost");
}

static void check_round(const struct rngq_shares *shares,
			const struct rngq_shares *before)
{
	u64 level = shares->bucket.level_bytes;
	u64 members = max(before->nr_members, 1ULL);
	u64 newcomers = max_t(u64, before->nr_newcomers, was_refused);
	u64 most = min(max(level / NEWCOMERS_PART, 8ULL),
		       DIV_ROUND_UP(level * newcomers, newcomers + members));

	is_doubted &= newcomers || was_asked;
	was_asked = false;
	was_refused = false;
	if (shares->expected_bytes && last_take_ns + RECENT_NS < shares->now_ns)
		broken("those are expected who have not come for long");
	if (shares->expected_bytes + shares->newcomer_bytes > level)
		broken("more is set aside than there is");
	if (!newcomers && shares->newcomer_bytes)
		broken("newcomers are expected, and none has asked");
	/* Of few bytes it is one now and then. */
	if (is_doubted && shares->newcomer_bytes >
	    max(level / 32, before->round % (level > 1 ? 3 : 16) ? 0 : 1ULL))
		broken("newcomers in doubt make others wait");
	if (!is_doubted && shares->newcomer_bytes > max(most, 1ULL))
		broken("newcomers are expected to take too much");
	if (!is_doubted && shares->newcomer_bytes < most)
		broken("less than a share is set aside for a newcomer");
}

/* Another round has begun, or closing. */
static void check_epoch(const struct rngq_shares *shares,
			const struct rngq_shares *before)
{
	if (shares->epoch == before->epoch)
		return;
	last_deal_ns = 0;
	epoch_ns = shares->now_ns;
	if (shares->granted_bytes)
		broken("a grant has not lapsed");
	if (shares->quantum_bytes !=
	    DIV_ROUND_UP(less(shares->bucket.level_bytes, aside_bytes(shares)),
			 max(shares->nr_waiting, 1ULL)))
		broken("a quantum is not an equal part");
	if (before->newcomer_part)
		is_doubted = before->newcomer_bytes > before->newcomer_part / 2;
	if (shares->round != before->round)
		check_round(shares, before);
}

static void check_closing(const struct rngq_shares *shares)
{
	if (!is_limited(shares) || shares->now_ns + CLOSING_NS < shares->end_ns)
		return;
	if (shares->expected_bytes + shares->newcomer_bytes)
		broken("something is set aside, and the refill comes");
	if (epoch_ns + CLOSING_NS < shares->end_ns)
		broken("grants don't lapse, and the refill comes");
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
	check_epoch(shares, &before);
}

static void check_newly_waiting(const struct rngq_shares *shares,
				const struct rngq_member *member,
				const struct model_file *file)
{
	if (member->is_apart == file->is_trusted)
		broken("a newcomer is in line, or one who is none waits apart");
	if (member->is_in_line && member->vtime <
	    less(shares->vtime, file->is_short ? TURN_VTIME : 0))
		broken("one who was away is owed something for that");
	if (!shares->bucket.awaited)
		broken("somebody waits, and will not be on the beat");
}

static bool is_new(const struct rngq_shares *shares,
		   const struct rngq_member *member)
{
	if (file_of(member)->is_trusted)
		return false;
	if (member->round == shares->round)
		return !member->is_expected;
	return !member->taken_bytes || member->round + 1 != shares->round;
}

u64 rngq_shares_ask(struct rngq_shares *shares, struct rngq_member *member,
		    u64 want_bytes, enum rngq_way way)
{
	const struct model_file *file = file_of(member);
	u64 level_bytes = shares->bucket.level_bytes;
	u64 newcomer_bytes = min(shares->newcomer_bytes, free_bytes(shares));
	bool has_waited = is_waiting(member);
	bool is_newcomer = is_new(shares, member) && !member->is_in_line &&
		!granted_bytes(shares, member);
	u64 bytes = unbooked_ask(shares, member, want_bytes, way);

	check_level(shares, level_bytes);
	if (!is_limited(shares))
		return bytes;
	if (bytes > level_bytes)
		broken("somebody is told that there is more than there is");
	if (is_newcomer && newcomer_bytes && !bytes)
		broken("a newcomer finds nothing of what is set aside for it");
	if (way == RNGQ_GO)
		return bytes;
	was_asked |= is_newcomer;
	was_refused |= is_newcomer && !bytes;
	if (bytes && member->is_apart &&
	    shares->newcomers.prev != &member->waiter.node)
		broken("a newcomer is told, and others are called after it");
	if (!has_waited && is_waiting(member))
		check_newly_waiting(shares, member, file);
	return bytes;
}

/*
 * What it may take in this round without waiting, if others do: that was set aside
 * for it, its share, or twice what it took.
 */
static u64 most_bytes(const struct rngq_shares *shares,
		      const struct rngq_member *member)
{
	u64 before_bytes = member->before_bytes, taken = member->taken_bytes;

	if (member->round != shares->round) {
		before_bytes = taken ? taken : before_bytes;
		taken = 0;
	}
	if (member->is_in_line || granted_bytes(shares, member))
		return granted_bytes(shares, member);
	if (is_new(shares, member))
		return min(shares->newcomer_bytes, shares->newcomer_share);
	return less(min(shares->share_bytes, 2 * before_bytes), taken);
}

u64 rngq_shares_take(struct rngq_shares *shares, struct rngq_member *member,
		     u64 want_bytes, struct rngq_share_draw *draw)
{
	u64 level_bytes = shares->bucket.level_bytes;
	u64 aside = aside_bytes(shares);
	u64 most = most_bytes(shares, member);
	u64 others_want = shares->want_bytes -
		(member->is_in_line ? member->want_bytes : 0);
	u64 bytes = unbooked_take(shares, member, want_bytes, draw);

	if (!is_limited(shares))
		return bytes;
	check_level(shares, level_bytes - bytes);
	if (bytes != draw->bucket.level_bytes)
		broken("what was taken is not what is noted");
	if (bytes && is_waiting(member))
		broken("somebody waits who took something");
	if (less(bytes, most) > less(level_bytes, aside + others_want))
		broken("somebody took what others wait for");
	taken_bytes += bytes;
	current->held_bytes += bytes;
	current->was_trusted = file_of(member)->is_trusted;
	current->due_bytes = aside - aside_bytes(shares);
	if (bytes) {
		last_take_ns = clock_ns;
		file_of(member)->is_trusted = true;
		file_of(member)->is_short = bytes < want_bytes;
	}
	return bytes;
}

void rngq_shares_give_back(struct rngq_shares *shares,
			   struct rngq_member *member,
			   const struct rngq_share_draw *draw, u64 bytes)
{
	u64 level_bytes = shares->bucket.level_bytes;
	u64 aside = aside_bytes(shares);

	unbooked_give_back(shares, member, draw, bytes);
	/* After a refill what is given back may be too late. */
	if (draw->bucket.refills == shares->bucket.refills ||
	    shares->bucket.level_bytes != level_bytes)
		check_level(shares, level_bytes +
			    min(bytes, draw->bucket.level_bytes));
	/* Who has lined up meanwhile is granted it in its turn. */
	if (draw->epoch == shares->epoch && !member->is_in_line &&
	    aside_bytes(shares) - aside !=
	    min3(bytes, current->due_bytes,
		 less(shares->bucket.level_bytes, aside)))
		broken("what was granted or set aside is so no more");
	if (bytes == draw->bucket.level_bytes)
		file_of(member)->is_trusted &= current->was_trusted;
	taken_bytes -= bytes;
	current->held_bytes -= bytes;
}

void rngq_shares_withdraw(struct rngq_shares *shares,
			  struct rngq_member *member)
{
	u64 level_bytes = shares->bucket.level_bytes;

	unbooked_withdraw(shares, member);
	check_level(shares, level_bytes);
}

void rngq_shares_leave(struct rngq_shares *shares, struct rngq_member *member)
{
	u64 level_bytes = shares->bucket.level_bytes;

	unbooked_leave(shares, member);
	check_level(shares, level_bytes);
	/* It is in no sum any more. What it took is for the process to remember. */
	member->taken_bytes = 0;
}

/* It was granted so much. A quantum counts for a turn, a part of it for less. */
static void check_grant(const struct rngq_shares *shares,
			const struct rngq_member *member, u64 bytes,
			u64 by_vtime)
{
	struct model_file *file = file_of(member);

	if (aside_bytes(shares) > shares->bucket.level_bytes)
		broken("what is set aside was granted");
	if (bytes > member->want_bytes)
		broken("somebody was granted more than it wants");
	if (by_vtime != min(TURN_VTIME * bytes / shares->turn_bytes, MOST_VTIME))
		broken("a grant is not what it counts for");
	if (shares->vtime < member->vtime - by_vtime)
		broken("a grant was made, and it is not yet that time");
	file->is_trusted = false;
}

struct rngq_member *rngq_shares_grant(struct rngq_shares *shares)
{
	struct rngq_member *first = shares->nr_waiting ?
		rb_entry(rb_first_cached(&shares->line), struct rngq_member,
			 node) : NULL;
	u64 vtime = first ? first->vtime : 0;
	u64 level_bytes = shares->bucket.level_bytes;
	u64 granted_bytes = shares->granted_bytes;
	struct rngq_member *member = unbooked_grant(shares);

	check_level(shares, level_bytes);
	if (shares->granted_bytes > granted_bytes) {
		if (!member || member != first)
			broken("one who is not next was granted something");
		else
			check_grant(shares, member,
				    shares->granted_bytes - granted_bytes,
				    member->vtime - vtime);
	}
	if (member && is_waiting(member))
		broken("one who is to be woken is in line");
	/* Of so few files. */
	if (shares->nr_woken > MOST_WOKEN)
		broken("a deal wakes the same ones again and again");
	if (!member)
		last_deal_ns = clock_ns;
	return member;
}

/* Of any interval from the start on: nothing was taken before. */
static void keep_promises(void)
{
	u64 periods = clock_ns / (TOTAL_PERIOD_MS * NSEC_PER_MSEC);
	u64 own_periods = clock_ns / (OWN_PERIOD_MS * NSEC_PER_MSEC);

	if (TOTAL_RATE_BYTES && !was_changed &&
	    delivered_bytes > (periods + 2) * TOTAL_RATE_BYTES)
		broken("more was delivered than was promised");
	if (current->file < OWN_FILES && files[current->file].delivered_bytes >
	    (own_periods + 2) * OWN_RATE_BYTES)
		broken("more was delivered than a client's own quota");
}

static bool is_free(const struct rngq_client *client)
{
	return client->kobj.refs == FREED_REFS;
}

/* What it took in this round; it may not have noted yet that there is a new one. */
static u64 taken_now(const struct rngq_member *member)
{
	return member->round == total.round ? member->taken_bytes : 0;
}

static bool is_greedy(const struct rngq_member *member)
{
	return member->is_in_line && member->want_bytes >= total.share_bytes;
}

static unsigned int length(const struct list_head *list)
{
	const struct list_head *at;
	unsigned int entries = 0;

	for (at = list->next; at != list && entries <= MAX_FILES; at = at->next)
		entries++;
	return entries;
}

/* Return how many are in line. */
static unsigned int check_line(void)
{
	const struct rb_node *at = total.line.rb_root.rb_node;
	u64 vtime = less(total.vtime, TURN_VTIME);
	unsigned int entries = 0;

	if (rb_first_cached(&total.line) != at)
		broken("who is first in line is not known to be");
	for (; at && entries <= MAX_FILES; at = at->rb_right) {
		const struct rngq_member *member =
			rb_entry(at, struct rngq_member, node);

		if (member->vtime < vtime)
			broken("one in line is before its turn");
		vtime = member->vtime;
		entries++;
	}
	return entries;
}

/* Add up what the clients stand for. To be called when nobody is in between. */
static void check_sums(void)
{
	struct rngq_shares sum = { };
	unsigned int on_list = 0, in_tree = 0;
	int i;

	for (i = 0; i < nr_opened; i++) {
		const struct rngq_member *member = &memory[i].member;
		u64 taken = taken_now(member);

		if (is_free(&memory[i]))
			continue;
		on_list += !list_empty(&member->waiter.node);
		in_tree += member->node.is_in_tree;
		if (!list_empty(&member->waiter.node) != member->is_apart ||
		    member->node.is_in_tree != member->is_in_line ||
		    (member->is_apart && member->is_in_line))
			broken("somebody waits where it should not");
		sum.nr_members += taken || member->is_in_line;
		if (!is_greedy(member))
			sum.absent_bytes += min(taken, total.share_bytes);
		if (member->epoch == total.epoch)
			sum.granted_bytes += member->granted_bytes;
		sum.nr_newcomers += member->is_apart;
		sum.nr_waiting += member->is_in_line;
		if (member->is_in_line)
			sum.want_bytes += member->want_bytes;
	}
	if (sum.nr_members != total.nr_members ||
	    sum.absent_bytes != total.absent_bytes ||
	    sum.granted_bytes != total.granted_bytes ||
	    sum.nr_waiting != total.nr_waiting ||
	    sum.nr_newcomers != total.nr_newcomers ||
	    sum.want_bytes != total.want_bytes)
		broken("what is counted does not add up");
	if (length(&total.newcomers) != on_list || check_line() != in_tree)
		broken("somebody is in the wrong line");
	if (total.newcomer_bytes > total.newcomer_part)
		broken("more is set aside for newcomers than was");
	if (total.granted_bytes + total.newcomer_bytes > total.bucket.level_bytes)
		broken("more is granted, or for newcomers, than there is");
	if (total.bucket.refill_ns != RNGQ_NEVER &&
	    total.bucket.refill_ns != total.end_ns)
		broken("a refill will begin no round");
	if (total.bucket.level_bytes > total.bucket.capacity_bytes)
		broken("there is more than the bucket can hold");
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

	if (current->call == CALL_READ_NOWAIT || current->call == CALL_POLL ||
	    current->call == CALL_POLL_NOWAIT || current->call == CALL_EPOLL_ADD)
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
	u64 old_vtime = less(total.vtime, 2 * TURN_VTIME);
	int i;

	/* How virtual times differ is what counts, and not of those long ago. */
	total.vtime -= old_vtime;
	for (i = 0; i < nr_opened; i++) {
		struct rngq_client *client = &memory[i];

		if (is_free(client))
			continue;
		client->member.vtime = less(client->member.vtime, old_vtime);
		client->throttled = 0;
		client->throttled_ns = 0;
		if (client->throttled_since_ns != RNGQ_NEVER)
			client->throttled_since_ns = 0;
	}
	/* But 0 tells that there was none. */
	if (total.next_deal_ns && total.next_deal_ns <= total.now_ns)
		total.next_deal_ns = 1;
	if (last_deal_ns + DEAL_DISTANCE_NS <= clock_ns)
		last_deal_ns = 0;
	if (last_take_ns + RECENT_NS < clock_ns)
		last_take_ns = 0;
	for (i = 0; i < MAX_THREADS; i++) {
		if (!threads[i].held_bytes)
			threads[i].due_bytes = 0;
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
				 TOTAL_PERIOD_MS * NSEC_PER_MSEC);
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
	const struct rngq_member *member = &client->member;
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
	} else if (member->epoch == total.epoch && member->granted_bytes) {
		broken("somebody sleeps who was granted something");
	} else if (!is_waiting(member)) {
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
	/* A period is the longest that anything is set aside or granted. */
	u64 end_ns = min3(bucket->refill_ns, total.end_ns,
			  clock_ns + bucket->period_ns);
	u64 deal_ns = min_after(end_ns, end_ns - CLOSING_NS);

	if (!total.line.rb_root.rb_node && list_empty(&total.newcomers))
		return;
	if (bucket->rate_bytes == RNGQ_MAX)
		broken("somebody is in line, and there is no limit");
	/* What came free in between may wait, but not for long. */
	if ((bucket->level_bytes > aside_bytes(&total) &&
	     (total.line.rb_root.rb_node || !total.is_short)) ||
	    (!list_empty(&total.newcomers) && total.newcomer_bytes))
		deal_ns = min(deal_ns, last_deal_ns + DEAL_DISTANCE_NS);
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
		    is_waiting(&files[i].client->member))
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
	return clock_ns / (TOTAL_PERIOD_MS * NSEC_PER_MSEC);
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

	if (total.line.rb_root.rb_node || !list_empty(&total.newcomers))
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
