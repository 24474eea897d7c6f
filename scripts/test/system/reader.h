/* SPDX-License-Identifier: GPL-2.0 */
/* A thread that makes one blocking read(), and what came of it. */
#ifndef READER_H
#define READER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "tap.h"

struct reader {
	int fd;
	size_t size;		/* how much it asks for */
	ssize_t result;		/* what it got, or -errno */
	u64 before_ns;		/* just before the call, */
	u64 after_ns;		/* and just after it */
	pid_t tid;
	sem_t started;
	pthread_t thread;
	char bytes[4096];
};

void reader_start(struct reader *reader, int fd, size_t size);

/* The same, back only when it sleeps in the read. */
void reader_start_asleep(struct reader *reader, int fd, size_t size);

/* Wait for its end. Gives the test up if that does not come. */
void reader_join(struct reader *reader);

/* SIGUSR1 interrupts a call for good, SIGUSR2 restarts what it interrupted. */
void reader_handle_signals(void);

/* Their handler, for other signals, too; and how often it has run. */
void reader_count_signal(int signal);
extern atomic_int reader_signals;

/* And how often in the calling thread. */
extern __thread unsigned int reader_own_signals;

/* Send @signal to the thread and wait until its handler has run. */
void reader_interrupt(struct reader *reader, int signal);

#endif
