// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

static void *read_once(void *argument)
{
	struct reader *reader = argument;

	reader->tid = gettid();
	sem_post(&reader->started);
	reader->before_ns = rngq_now_ns();
	reader->result = read(reader->fd, reader->bytes, reader->size);
	if (reader->result < 0)
		reader->result = -errno;
	reader->after_ns = rngq_now_ns();
	return NULL;
}

void reader_start(struct reader *reader, int fd, size_t size)
{
	reader->fd = fd;
	reader->size = size;
	if (size > sizeof(reader->bytes))
		bail_out("a reader has room for %zu bytes", size);
	sem_init(&reader->started, 0, 0);
	if (pthread_create(&reader->thread, NULL, read_once, reader))
		bail_out("a thread can be started");
	while (sem_wait(&reader->started))
		;
}

void reader_start_asleep(struct reader *reader, int fd, size_t size)
{
	reader_start(reader, fd, size);
	rngq_wait_asleep(reader->tid, SYS_read);
}

void reader_join(struct reader *reader)
{
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 30;
	errno = pthread_timedjoin_np(reader->thread, NULL, &limit);
	if (errno)
		bail_out("a read() comes to its end");
	sem_destroy(&reader->started);
}

atomic_int reader_signals;
__thread unsigned int reader_own_signals;

void reader_count_signal(int signal)
{
	(void)signal;
	reader_signals++;
	reader_own_signals++;
}

void reader_handle_signals(void)
{
	struct sigaction action = { .sa_handler = reader_count_signal };

	sigaction(SIGUSR1, &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &action, NULL);
}

void reader_interrupt(struct reader *reader, int signal)
{
	int before = reader_signals;

	pthread_kill(reader->thread, signal);
	while (reader_signals == before)
		rngq_sleep_ms(1);
}
