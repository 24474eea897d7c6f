/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A quota, and the values that users may write into it.
 *
 * Whatever can be set (a file in sysfs, a module parameter) is one of the
 * settings below. This file alone knows their names, ranges and spelling; it
 * keeps no state and takes no lock.
 */
#ifndef RNGQUOTA_QUOTA_H
#define RNGQUOTA_QUOTA_H

#include <linux/limits.h>
#include <linux/types.h>

/* The word "max" as a number: no limit. No setting reaches it otherwise. */
#define RNGQ_MAX	U64_MAX

/**
 * enum rngq_setting - what users can set
 * @RNGQ_RATE_BYTES:	bytes that each period brings, or RNGQ_MAX
 * @RNGQ_PERIOD_MS:	length of a period in milliseconds
 * @RNGQ_BURST_BYTES:	unspent bytes carried over, on top of the rate
 * @RNGQ_BOOT_BYTES:	bytes that a process may read once, on top of its bucket
 * @RNGQ_TOTAL_RATE_BYTES: the rate of all clients together, or RNGQ_MAX
 * @RNGQ_TOTAL_PERIOD_MS: its period in milliseconds
 * @RNGQ_TOTAL_BURST_BYTES: its burst
 * @RNGQ_MAX_CLIENTS:	clients that there may be, or RNGQ_MAX
 * @RNGQ_MAX_CLIENTS_PER_PROCESS: those of one process, or RNGQ_MAX
 * @RNGQ_NR_SETTINGS:	how many settings there are
 * @RNGQ_QUOTA_SETTINGS: how many of them, from the first, make up a quota
 */
enum rngq_setting {
	RNGQ_RATE_BYTES,
	RNGQ_PERIOD_MS,
	RNGQ_BURST_BYTES,
	RNGQ_QUOTA_SETTINGS,
	RNGQ_BOOT_BYTES = RNGQ_QUOTA_SETTINGS,
	RNGQ_TOTAL_RATE_BYTES,
	RNGQ_TOTAL_PERIOD_MS,
	RNGQ_TOTAL_BURST_BYTES,
	RNGQ_MAX_CLIENTS,
	RNGQ_MAX_CLIENTS_PER_PROCESS,
	RNGQ_NR_SETTINGS,
};

/**
 * struct rngq_quota - so many bytes a period
 * @rate_bytes:		1 … 2^40, or RNGQ_MAX: no limit
 * @period_ms:		1 … 2^32 - 1
 * @burst_bytes:	0 … 2^40
 */
struct rngq_quota {
	u64 rate_bytes;
	u64 period_ms;
	u64 burst_bytes;
};

const char *rngq_setting_name(enum rngq_setting setting);
bool rngq_setting_is_whole(const char *text, size_t len);
int rngq_setting_parse(enum rngq_setting setting, const char *text, u64 *value);
int rngq_setting_parse_several(enum rngq_setting first, const char *text,
			       u64 *values);
int rngq_setting_emit(char *page, u64 value);
int rngq_quota_emit(char *page, const struct rngq_quota *quota);
u64 *rngq_quota_value(struct rngq_quota *quota, enum rngq_setting setting);

#endif
