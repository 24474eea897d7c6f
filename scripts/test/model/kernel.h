/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as the driver's files need to be built into the model
 * (model.c): each name means what it means there, as far as the driver can tell.
 * Every file is compiled with -include of this one; the headers that the files
 * name are empty.
 *
 * Where a thread of the kernel may be overtaken by others, which matters where
 * it takes a lock or looks at what no lock guards, yield() is called.
 */
#ifndef MODEL_KERNEL_H
#define MODEL_KERNEL_H

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* Numbers */

typedef uint8_t u8;
typedef unsigned long long u64;
typedef long long s64;

#define U64_MAX		((u64)~0ULL)
#define NSEC_PER_MSEC	1000000ULL
#define PAGE_SIZE	4096UL
#define ERESTARTSYS	512

#define likely(x)	(x)
#define unlikely(x)	(x)
#define noinline	__attribute__((__noinline__))
#undef __always_inline
#define __always_inline	inline __attribute__((__always_inline__))
#define __read_mostly

#define min(x, y) ({						\
	__typeof__(x) _x = (x);					\
	__typeof__(y) _y = (y);					\
	_x < _y ? _x : _y; })
#define max(x, y) ({						\
	__typeof__(x) _x = (x);					\
	__typeof__(y) _y = (y);					\
	_x > _y ? _x : _y; })
#define min_t(type, x, y)	min((type)(x), (type)(y))
#define max_t(type, x, y)	max((type)(x), (type)(y))
#define min3(x, y, z)		min(min(x, y), z)
#define max3(x, y, z)		max(max(x, y), z)
#define clamp(x, low, high)	min(max(x, low), high)
#define clamp_t(type, x, low, high) \
	clamp((type)(x), (type)(low), (type)(high))
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define DIV_ROUND_UP(a, b)	(((a) + (b) - 1) / (b))
#define BIT_ULL(nr)		(1ULL << (nr))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

static inline u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

/* Lists */

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD(name)	struct list_head name = { &(name), &(name) }
#define list_entry(ptr, type, member)	container_of(ptr, type, member)
#define list_first_entry(head, type, member) \
	list_entry((head)->next, type, member)
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_next_entry(pos, member) \
	list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_for_each_entry(pos, head, member)				\
	for (pos = list_entry((head)->next, __typeof__(*pos), member);	\
	     &pos->member != (head);					\
	     pos = list_next_entry(pos, member))
#define list_for_each_entry_safe(pos, n, head, member)			\
	for (pos = list_entry((head)->next, __typeof__(*pos), member),	\
	     n = list_next_entry(pos, member);				\
	     &pos->member != (head);					\
	     pos = n, n = list_next_entry(n, member))

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
	entry->next = head->next;
	entry->prev = head;
	head->next->prev = entry;
	head->next = entry;
}

static inline void list_add_tail(struct list_head *entry,
				 struct list_head *head)
{
	list_add(entry, head->prev);
}

static inline void list_del_init(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	INIT_LIST_HEAD(entry);
}

/* Threads, and where they may be overtaken */

struct task_struct;

extern struct task_struct *current;

void yield(const char *where);

#define READ_ONCE(x) ({						\
	if (may_change(&(x)))					\
		yield("READ_ONCE(" #x ")");			\
	(x); })
#define WRITE_ONCE(x, value) ({					\
	yield("WRITE_ONCE(" #x ")");				\
	(x) = (value); })
bool may_change(const void *flag);
bool signal_pending(struct task_struct *task);

#define cond_resched()	do { } while (0)

/* Locks. Whether interrupts are off makes no difference: there are CPUs enough. */

typedef struct {
	unsigned int magic;
	struct task_struct *owner;
} spinlock_t;

#define LOCK_MAGIC		0xdead4ead
#define DEFINE_SPINLOCK(name)	spinlock_t name = { .magic = LOCK_MAGIC }
#define spin_lock(lock)		take_lock(lock, "takes " #lock)
#define spin_lock_irq(lock)	spin_lock(lock)
#define spin_lock_irqsave(lock, flags)		\
	do {					\
		(flags) = 0;			\
		spin_lock(lock);		\
	} while (0)
#define spin_unlock(lock)	drop_lock(lock)
#define spin_unlock_irq(lock)	drop_lock(lock)
#define spin_unlock_irqrestore(lock, flags)	\
	do {					\
		(void)(flags);			\
		drop_lock(lock);		\
	} while (0)
#define lockdep_assert_held(lock)	assert_locked(lock)

#define __acquires(lock)
#define __releases(lock)

void take_lock(spinlock_t *lock, const char *where);
void drop_lock(spinlock_t *lock);
void assert_locked(const spinlock_t *lock);

/* Wait queues */

typedef unsigned int __poll_t;

#define EPOLLIN		0x01
#define EPOLLERR	0x08
#define EPOLLRDNORM	0x40

struct wait_queue_entry {
	struct list_head entry;
	struct task_struct *task;
	bool *triggered;
	__poll_t key;		/* what it is woken for; 0: for all */
};

typedef struct wait_queue_head {
	spinlock_t lock;
	struct list_head head;
} wait_queue_head_t;

#define DECLARE_WAITQUEUE(name, tsk) \
	struct wait_queue_entry name = { .task = (tsk) }
#define TASK_RUNNING	0

static inline void init_waitqueue_head(wait_queue_head_t *queue)
{
	queue->lock = (spinlock_t){ .magic = LOCK_MAGIC };
	INIT_LIST_HEAD(&queue->head);
}

static inline bool waitqueue_active(wait_queue_head_t *queue)
{
	return !list_empty(&queue->head);
}

static inline void __add_wait_queue(wait_queue_head_t *queue,
				    struct wait_queue_entry *wait)
{
	list_add(&wait->entry, &queue->head);
}

static inline void __remove_wait_queue(wait_queue_head_t *queue,
				       struct wait_queue_entry *wait)
{
	list_del_init(&wait->entry);
}

int do_wait_intr_irq(wait_queue_head_t *queue, struct wait_queue_entry *wait);
void __set_current_state(int state);
void wake_up_locked_poll(wait_queue_head_t *queue, __poll_t events);

/* Clock, timers and work */

typedef s64 ktime_t;

enum hrtimer_restart { HRTIMER_NORESTART };

struct hrtimer {
	ktime_t expires;
	bool is_queued;
	bool is_running;
	enum hrtimer_restart (*function)(struct hrtimer *timer);
};

#define CONFIG_64BIT
#define LINUX_VERSION_CODE	KERNEL_VERSION(6, 13, 0)
#define KERNEL_VERSION(a, b, c)	((a) * 65536 + (b) * 256 + (c))
#define HRTIMER_MODE_ABS	0
#define CLOCK_MONOTONIC		1
#define hrtimer_setup(timer, fn, clock, mode)	((timer)->function = (fn))
#define hrtimer_is_queued(timer)	((timer)->is_queued)
#define hrtimer_get_expires(timer)	((timer)->expires)
#define hrtimer_try_to_cancel(timer)	((void)((timer)->is_queued = false))
#define ns_to_ktime(ns)			((ktime_t)(ns))

u64 ktime_get_ns(void);
void hrtimer_start(struct hrtimer *timer, ktime_t at, int mode);
void hrtimer_cancel(struct hrtimer *timer);

struct workqueue_struct;
struct work_struct {
	bool is_pending;
	void (*function)(struct work_struct *work);
};

#define DECLARE_WORK(name, fn)	struct work_struct name = { .function = (fn) }
#define WQ_UNBOUND	0
#define WQ_HIGHPRI	0
#define alloc_workqueue(name, flags, max)	((struct workqueue_struct *)1)
#define destroy_workqueue(queue)	((void)(queue))
#define queue_work(queue, work)		((void)((work)->is_pending = true))

bool work_pending(const struct work_struct *work);

/* Objects and memory */

struct kobject;
struct kobj_type {
	void (*release)(struct kobject *kobj);
};

struct kobject {
	int refs;
	const struct kobj_type *type;
};

void kobject_init(struct kobject *kobj, const struct kobj_type *type);
void kobject_get(struct kobject *kobj);
void kobject_put(struct kobject *kobj);

#define GFP_KERNEL_ACCOUNT	0
#define GFP_NOWAIT		0
#define __GFP_NOWARN		0
#define kzalloc(bytes, gfp)	new_client(bytes)
/* Without a large buffer the driver does without. */
#define kmalloc(bytes, gfp)	NULL
#define DEFINE_PER_CPU(type, name)	type name
#define this_cpu_xchg(variable, value) ({			\
	__typeof__(variable) _old = (variable);			\
	(variable) = (value);					\
	_old; })
#define per_cpu(variable, cpu)	(*((void)(cpu), &(variable)))
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < 1; (cpu)++)
#define memzero_explicit(to, bytes)	memset(to, 0, bytes)

void *new_client(size_t bytes);
void kfree(void *object);

/* Counters: nothing depends on them. */

typedef int atomic_t;
typedef int atomic64_t;

#define ATOMIC_INIT(n)		(n)
#define atomic_inc(counter)	((void)(counter))
#define atomic_dec_and_test(counter)	((void)(counter), false)
#define atomic_read(counter)	(*(counter))
#define atomic64_add(n, counter)	((void)(n))
#define atomic64_inc(counter)	((void)(counter))
#define atomic64_read(counter)	(*(counter))
#define DECLARE_PER_CPU(type, name)	struct never_defined
#define this_cpu_add(counter, n)	((void)(n))
#define wake_up_var(var)	((void)(var))
#define wait_var_event(var, condition)	((void)(condition))

/* Processes: there is one. */

typedef int kuid_t;

#define TASK_COMM_LEN		16
#define task_tgid(task)		NULL
#define get_pid(pid)		(pid)
#define put_pid(pid)		((void)(pid))
#define current_euid()		0
#define rcu_read_lock()		do { } while (0)
#define rcu_read_unlock()	do { } while (0)
#define get_task_comm(comm, task)	((comm)[0] = 0)

/* Files */

struct inode;
struct device;
struct attribute_group;

struct file {
	void *private_data;
	unsigned int f_mode;
	unsigned int f_flags;
};

struct kiocb {
	struct file *ki_filp;
	int ki_flags;
};

/*
 * A user's buffer. The first @mapped bytes have an address that is good; the first
 * @present of them can be written without a page fault.
 */
struct iov_iter {
	size_t count;
	size_t mapped;
	size_t present;
};

typedef struct poll_table_struct {
	struct wait_queue_head *queue;
	struct wait_queue_entry *wait;
	__poll_t key;
} poll_table;

struct file_operations {
	void *owner;
	int (*open)(struct inode *inode, struct file *file);
	int (*release)(struct inode *inode, struct file *file);
	ssize_t (*read_iter)(struct kiocb *iocb, struct iov_iter *to);
	void *splice_read;
	__poll_t (*poll)(struct file *file, poll_table *table);
	void *llseek;
};

struct miscdevice {
	int minor;
	const char *name;
	int mode;
	const struct file_operations *fops;
	const struct attribute_group **groups;
	struct device *this_device;
};

#define FMODE_READ		0x1
#define FMODE_NOWAIT		0x2
#define IOCB_NOWAIT		0x4
#define O_NONBLOCK		04000
#define THIS_MODULE		NULL
#define MISC_DYNAMIC_MINOR	255
#define noop_llseek		NULL
#define copy_splice_read	NULL
#define misc_deregister(misc)	((void)(misc))
#define get_random_bytes(to, bytes)	memset(to, 0, bytes)
#define iov_iter_count(iter)	((iter)->count)
#define iov_iter_truncate(iter, bytes) \
	((void)((iter)->count = min((iter)->count, (size_t)(bytes))))
#define iov_iter_reexpand(iter, bytes)	((void)((iter)->count = (bytes)))
#define user_backed_iter(iter)	((void)(iter), true)
#define poll_requested_events(table)	((table)->key)

int misc_register(struct miscdevice *misc);
void pagefault_disable(void);
void pagefault_enable(void);
size_t copy_to_iter(const void *from, size_t bytes, struct iov_iter *to);
size_t fault_in_iov_iter_writeable(struct iov_iter *to, size_t bytes);
void poll_wait(struct file *file, wait_queue_head_t *queue, poll_table *table);

#endif
