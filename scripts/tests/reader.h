/* SPDX-License-Identifier: GPL-2.0 */
/* A thread that makes one blocking read(), and what came of it. */
#ifndef READER_H
#define READER_H

#include <pthread.h>
#include <semaphore.h>
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

#endif
