/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process (thread group) that opens clients, and what its next one starts
 * with.
 *
 * A quota per open file would be void if a process could close the file and
 * open it again. So a process that reopens goes on where it left off: with the
 * bucket and the share of the client that it closed last, with what was left of its
 * boot credit, and with the overrides last written for one of its clients. Further
 * clients at the same time start empty. So n clients of a process get n times
 * the rate, but one first fill.
 *
 * What is here is arithmetic: time is passed in, the registry's mutex guards
 * it all. Which process is which, and how long one is remembered, is
 * process_table.c's business.
 */
#ifndef RNGQUOTA_PROCESS_H
#define RNGQUOTA_PROCESS_H

#include <linux/types.h>

#include "bucket.h"
#include "quota.h"
#include "shares.h"

/**
 * enum rngq_start - what a client starts with
 * @RNGQ_START_FIRST:	a first fill, and the boot credit
 * @RNGQ_START_GOES_ON:	bucket and share of the client that its process closed last
 * @RNGQ_START_FURTHER:	an empty bucket: others are open, and none has been left
 */
enum rngq_start {
	RNGQ_START_FIRST,
	RNGQ_START_GOES_ON,
	RNGQ_START_FURTHER,
};

/**
 * struct rngq_process - what is remembered of a process
 * @nr_clients:	clients that it opened and that still exist
 * @left:	@bucket and @member are left to go on with; if not, and it has no
 *		clients, it has never had one
 * @bucket:	the bucket of the client that it closed last; credit is not kept here
 * @member:	what that client was of total/
 * @credit_bytes: what its closed clients left of its boot credit
 * @quota:	values of its overrides
 * @overrides:	which settings have one, a bit a setting
 */
struct rngq_process {
	u64 nr_clients;
	bool left;
	struct rngq_bucket bucket;
	struct rngq_member member;
	u64 credit_bytes;
	struct rngq_quota quota;
	unsigned long overrides;
};

enum rngq_start rngq_process_open(struct rngq_process *process,
				  struct rngq_bucket *bucket,
				  const struct rngq_quota *quota,
				  u64 boot_bytes, u64 now_ns);
void rngq_process_cancel(struct rngq_process *process, enum rngq_start start,
			 const struct rngq_bucket *bucket,
			 const struct rngq_member *member);
void rngq_process_close(struct rngq_process *process,
			const struct rngq_bucket *bucket,
			const struct rngq_member *member);
void rngq_process_override(struct rngq_process *process,
			   enum rngq_setting setting, u64 value);
void rngq_process_follow(struct rngq_process *process,
			 enum rngq_setting setting);
void rngq_process_overlay(const struct rngq_process *process,
			  struct rngq_quota *quota);

#endif
