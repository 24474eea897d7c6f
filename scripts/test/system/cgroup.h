/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory cgroups (v2) in a mount of their own, apart from whatever the machine
 * has. What has no errno in its result gives the test up when it fails.
 */
#ifndef CGROUP_H
#define CGROUP_H

#include <sys/types.h>

#include "tap.h"

/* To be called first; when the test ends, the mount goes. */
void cgroup_mount(void);

void cgroup_make(const char *name);
void cgroup_remove(const char *name);

/* Move process @pid into the cgroup @name, "." for the root, or 0: ourselves. */
int cgroup_enter(const char *name, pid_t pid);

/* Write @number to a file of the cgroup @name. */
void cgroup_set(const char *name, const char *file, u64 number);

/* A number in such a file; behind the word @key, if that is not NULL. */
u64 cgroup_get(const char *name, const char *file, const char *key);

#endif
