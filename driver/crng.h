/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Is the kernel's random number generator initialized, and who wakes those
 * who wait for it?
 *
 * The kernel tells modules on request, but does not call them. So while somebody
 * waits, which is noted in a list, a delayed work looks every 50 ms, and wakes
 * all of them when the time has come. Once ready, always ready.
 */
#ifndef RNGQUOTA_CRNG_H
#define RNGQUOTA_CRNG_H

#include <linux/compiler.h>
#include <linux/types.h>

#include "waiter.h"

extern bool rngq_crng_seen_ready;

bool __rngq_crng_ready(void);
void rngq_crng_watch(struct rngq_waiter *waiter);
void rngq_crng_leave(struct rngq_waiter *waiter);
void rngq_crng_stop(void);

/**
 * rngq_crng_ready() - may bytes be delivered?
 *
 * Context: Any.
 * Return: Whether the kernel's generator is initialized.
 */
static inline bool rngq_crng_ready(void)
{
	return likely(READ_ONCE(rngq_crng_seen_ready)) || __rngq_crng_ready();
}

#endif
