/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that the module builds for, so that the
 * rest is written for the newest.
 */
#ifndef RNGQUOTA_COMPAT_H
#define RNGQUOTA_COMPAT_H

#include <linux/compiler_attributes.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kobject.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/version.h>

#if !defined(CONFIG_64BIT) || LINUX_VERSION_CODE < KERNEL_VERSION(5, 10, 0)
#error "rngquota is for 64-bit kernels, Linux 5.10 or later."
#endif

/* Where it is not known the compiler may set such a variable first: slower. */
#ifndef __uninitialized
#define __uninitialized
#endif

/*
 * Without a function to fault the pages in, the copy has to do it, however long that
 * takes: there a page fault holds what was taken.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 16, 0)
#define RNGQ_FAULTS_IN	false
#define fault_in_iov_iter_writeable(iter, bytes)	(bytes)
#else
#define RNGQ_FAULTS_IN	true
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0)
#define user_backed_iter iter_is_iovec
#endif

/* sparse was not told that spinlocks of RT are locks. */
#if defined(CONFIG_PREEMPT_RT) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#undef __acquires
#undef __releases
#define __acquires(lock)
#define __releases(lock)
#endif

/* It took the type as if it would change it. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#define kobject_init(kobj, type) \
	kobject_init(kobj, (struct kobj_type *)(type))
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define copy_splice_read generic_file_splice_read
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
static inline void
hrtimer_setup(struct hrtimer *timer,
	      enum hrtimer_restart (*function)(struct hrtimer *),
	      clockid_t clock_id, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock_id, mode);
	timer->function = function;
}
#endif

#endif
