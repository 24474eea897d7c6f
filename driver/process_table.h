/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which process is which, and when to forget one.
 *
 * A process is known by its struct pid, to which the table holds a reference:
 * so a recycled number is never taken for its predecessor. A process is
 * forgotten when it is gone and all clients that it opened are closed. A last
 * client is mostly closed by its process's end, and then that is seen at once;
 * for the others nobody tells a module that a process is gone, so the table
 * wants to be swept from time to time.
 *
 * The registry owns the table, sweeps it, and guards it with its mutex.
 */
#ifndef RNGQUOTA_PROCESS_TABLE_H
#define RNGQUOTA_PROCESS_TABLE_H

#include <linux/types.h>

struct pid;
struct rngq_process;

struct rngq_process *rngq_process_table_new(struct pid *pid);
struct rngq_process *rngq_process_table_find(struct rngq_process *fresh);
bool rngq_process_table_settle(struct rngq_process *process);
void rngq_process_table_sweep_begin(void);
bool rngq_process_table_sweep_next(bool *gone);
bool rngq_process_table_has_idle(void);
void rngq_process_table_clear(void);

#endif
