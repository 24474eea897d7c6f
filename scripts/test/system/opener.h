/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes for the rules about processes: one that opens and closes clients
 * when it is told to, and one that keeps clients which others have opened.
 */
#ifndef OPENER_H
#define OPENER_H

#include <sys/types.h>

#include "tap.h"

/*
 * It shares our table of descriptors: what it opens, we can read, and its
 * close() is the last. It has no memory in common with us.
 */
struct opener {
	pid_t pid;
	int sockets[2];		/* our end and its end, both in the one table */
};

void opener_start(struct opener *opener);

/* The same with this number, which nobody may have at the moment. */
void opener_start_as(struct opener *opener, pid_t pid);

/* A new client, O_RDONLY | @flags: the descriptor or -errno. */
int opener_try(struct opener *opener, int flags);

/* The same, without O_NONBLOCK; gives the test up if that fails. */
int opener_open(struct opener *opener);

void opener_close(struct opener *opener, int fd);

/* It closes @fd and opens again. */
int opener_reopen(struct opener *opener, int fd);

/* Kill it, and wait until it is gone. Its clients stay as they are. */
void opener_end(struct opener *opener);

/*
 * It has a table of its own: a copy of ours, so that no client should be open
 * when it starts.
 */
struct keeper {
	pid_t pid;
	int socket;
};

void keeper_start(struct keeper *keeper);

/* Hand it a copy of @fd, by SCM_RIGHTS; back when it has it. */
void keeper_give(struct keeper *keeper, int fd);

/* It closes all that it was given. */
void keeper_drop(struct keeper *keeper);

void keeper_end(struct keeper *keeper);

/*
 * SCM_RIGHTS with @flags of sendmsg() and recvmsg(): 0 or a descriptor, or
 * -errno.
 */
int send_descriptor(int socket, int fd, int flags);
int receive_descriptor(int socket, int flags);

#endif
