/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the system tests share: the device, a client's folder, the clock.
 * What has no errno in its result gives the test up when it fails.
 */
#ifndef RNGQ_H
#define RNGQ_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/types.h>

#include "tap.h"

#define RNGQ_DEV	"/dev/rngquota"
#define RNGQ_SYSFS	"/sys/class/misc/rngquota"
#define RNGQ_MAX	(~0ULL)		/* an attribute says "max" */
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL
#define HOUR_MS		3600000ULL	/* a period that no test sees the end of */
/* No wake-up is later, not even on a busy machine. */
#define LATE_MS		(5000ULL * rngq_slowness())

/*
 * A new client, opened O_RDONLY | @flags by a process of its own that ends at
 * once: so it has nothing to do with what this process opened before.
 */
int rngq_open(int flags);

/* The same with its own quota: see rngq_set_quota(). */
int rngq_open_quota(int flags, u64 rate_bytes, u64 period_ms, u64 burst_bytes);

/*
 * Like vfork(): run @what in a process of its own, as cheaply as can be, with
 * further @flags of clone(); its wait status.
 */
int rngq_run(int (*what)(void *), void *argument, int flags);

/* The same with no limit but total/. */
int rngq_open_unlimited(int flags);

/* Wait until @fd can be read: false if that does not come. */
bool rngq_becomes_readable(int fd);

/* Stand in line for a client that has nothing to read, until it reads something. */
void rngq_line_up(int fd);

/*
 * A new epoll that has @fd, edge-triggered; and how many edges it has seen, one at
 * the most, within @timeout_ms.
 */
int rngq_edge_on(int fd, unsigned int more_events);
int rngq_edges(int epoll, int timeout_ms);

/* The id of the client behind @fd. */
u64 rngq_id(int fd);

/* The line "rngquota-@name:" of @fd's fdinfo. */
u64 rngq_fdinfo(int fd, const char *name);

/*
 * Attributes by their path below RNGQ_SYSFS. Reading gives the text as it is,
 * with its newline, and its length or -errno; writing gives 0 or -errno.
 */
__printf(3, 4)
ssize_t rngq_attr_read(char *text, size_t size, const char *path, ...);
__printf(2, 3)
int rngq_attr_write(const char *text, const char *path, ...);
/* The same in one write() of @size bytes, which may hold a NUL. */
__printf(3, 4)
int rngq_attr_put(const void *bytes, size_t size, const char *path, ...);
__printf(1, 2)
u64 rngq_attr(const char *path, ...);

/* Write a number, or RNGQ_MAX as "max", where that must not fail. */
__printf(2, 3)
void rngq_set(u64 number, const char *path, ...);

void rngq_set_default(u64 rate_bytes, u64 period_ms, u64 burst_bytes,
		      u64 boot_bytes);

/* Reading and writing the file @name in @fd's client folder. */
u64 rngq_client(int fd, const char *name);
int rngq_client_write(int fd, const char *name, const char *text);

/* The client's own quota. RNGQ_MAX as a rate is "max". */
void rngq_set_quota(int fd, u64 rate_bytes, u64 period_ms, u64 burst_bytes);

/* Read all that is available, without waiting, and return how much it was. */
u64 rngq_drain(int fd);

/* Read up to @size bytes without waiting: the count or -errno. */
ssize_t rngq_read_nowait(int fd, void *bytes, size_t size);

/* The same, for bytes that nobody looks at; 65536 at the most. */
ssize_t rngq_take(int fd, size_t size);

/*
 * Keep default/, total/ and limits/ as they are now, and restore them when the
 * test ends, be it by SIGTERM.
 */
void rngq_keep_globals(void);

/* Wait until thread @tid sleeps inside system call @nr, or is gone. */
void rngq_wait_asleep(pid_t tid, long nr);

u64 rngq_now_ns(void);
u64 rngq_now_ms(void);

/* Write it to a file that is there; returns 0 or a negative errno. */
int rngq_write_file(const char *path, const char *text);

/* Load the module that RNGQUOTA_KO names, or unload it: 0 or a negative errno. */
int rngq_load(const char *params);
int rngq_unload(void);

/* User Mode Linux has nothing to gather entropy from: credit some. */
void rngq_make_crng_ready(void);

/* How many times slower than a stock kernel this one is: SLOWNESS, or 1. */
unsigned int rngq_slowness(void);
void rngq_sleep_ms(u64 ms);
void rngq_sleep_until_ns(u64 when_ns);

#endif
