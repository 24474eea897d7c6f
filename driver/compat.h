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
#include <linux/version.h>

/* Where it is not known the compiler may set such a variable first: slower. */
#ifndef __uninitialized
#define __uninitialized
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
