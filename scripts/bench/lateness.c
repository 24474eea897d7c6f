// SPDX-License-Identifier: GPL-2.0
/*
 * lateness [FILE]: how long after a refill the reader is back that waited for it, with
 * 1, 100 and 1000 clients that wait at a time, a thread each. A line for each, and
 * one for a timerfd of the same period that waits beside the one:
 *
 *	late SOURCE WAITERS PERIOD-MS SAMPLES P50 P99 LONGEST	(nanoseconds)
 *
 * A refill is due a whole number of periods after the first read, before which the
 * clock is looked at: so what that call took counts as lateness, too. Clients
 * begin at random times, as VMs do, so the refills of many are spread.
 *
 * It is meant for User Mode Linux, which runs at the machine's own speed, and for
 * a QEMU that counts an instruction as a nanosecond.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "count.h"
#include "rngq.h"

#define RATE_BYTES	24
#define STACK_BYTES	16384
#define RUN_MS		10000
#define SETTLE_NS	(5 * NSEC_PER_MSEC)	/* a thread, before they begin */

/* All begin together, when all are there and sleep. */
static pthread_barrier_t there;
static u64 together_ns;

struct waiter {
	pthread_t thread;
	int fd;
	u64 delay_ns;		/* then, before the first read */
	u64 period_ns;
	u64 periods;
	u64 *late_ns;		/* of each refill */
};

static void read_or_bail_out(int fd, void *bytes, size_t size)
{
	if (read(fd, bytes, size) != (ssize_t)size)
		bail_out("a read returns %zu bytes", size);
}

/* Read from a full bucket at @when_ns, and return when its period began. */
static u64 begin(const struct waiter *waiter, u64 when_ns)
{
	char bytes[RATE_BYTES];
	u64 start_ns;

	rngq_sleep_until_ns(when_ns);
	start_ns = rngq_now_ns();
	read_or_bail_out(waiter->fd, bytes, sizeof(bytes));
	return start_ns;
}

static void *wait_for_refills(void *argument)
{
	struct waiter *waiter = argument;
	char bytes[RATE_BYTES];
	u64 due_ns;

	pthread_barrier_wait(&there);
	due_ns = begin(waiter, together_ns + waiter->delay_ns);
	for (u64 i = 0; i < waiter->periods; i++) {
		due_ns += waiter->period_ns;
		read_or_bail_out(waiter->fd, bytes, sizeof(bytes));
		waiter->late_ns[i] = rngq_now_ns() - due_ns;
		/* Who comes later than the next refill has lost its beat. */
		if (waiter->late_ns[i] >= waiter->period_ns)
			due_ns = begin(waiter, rngq_now_ns() + waiter->period_ns);
	}
	return NULL;
}

static void *wait_for_timerfd(void *argument)
{
	struct waiter *waiter = argument;
	struct itimerspec spec = { .it_interval.tv_nsec = waiter->period_ns };
	u64 due_ns, expired;

	pthread_barrier_wait(&there);
	due_ns = together_ns + waiter->delay_ns;
	spec.it_value.tv_sec = due_ns / NSEC_PER_SEC;
	spec.it_value.tv_nsec = due_ns % NSEC_PER_SEC;
	if (timerfd_settime(waiter->fd, TFD_TIMER_ABSTIME, &spec, NULL))
		bail_out("a timerfd can be set");
	for (u64 i = 0; i < waiter->periods; i++) {
		read_or_bail_out(waiter->fd, &expired, sizeof(expired));
		waiter->late_ns[i] = rngq_now_ns() - due_ns;
		due_ns += expired * waiter->period_ns;
	}
	return NULL;
}

static void show(const char *source, unsigned int waiters, u64 period_ms,
		 u64 *late_ns, u64 samples)
{
	qsort(late_ns, samples, sizeof(*late_ns), compare_u64);
	printf("late %s %u %llu %llu %llu %llu %llu\n", source, waiters, period_ms,
	       samples, late_ns[samples / 2], late_ns[samples * 99 / 100],
	       late_ns[samples - 1]);
	fflush(stdout);
}

/* If there is one client only, with a timerfd beside it. */
static void measure(unsigned int clients, u64 period_ms)
{
	unsigned int count = clients == 1 ? 2 : clients;
	u64 periods = RUN_MS / period_ms;
	u64 *late_ns = calloc(count * periods, sizeof(*late_ns));
	struct waiter *waiters = calloc(count, sizeof(*waiters));
	pthread_attr_t attr;

	if (!late_ns || !waiters)
		bail_out("there is memory for %u waiters", count);
	rngq_set_default(RATE_BYTES, period_ms, 0, 0);
	pthread_barrier_init(&there, NULL, count + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (unsigned int i = 0; i < count; i++) {
		struct waiter *waiter = &waiters[i];

		waiter->fd = i < clients ? rngq_open(0) : timerfd_create(CLOCK_MONOTONIC, 0);
		waiter->period_ns = period_ms * NSEC_PER_MSEC;
		/* The timerfd comes in the middle. */
		waiter->delay_ns = waiter->period_ns * (clients == 1 ? i / 2. : drand48());
		waiter->periods = periods;
		waiter->late_ns = late_ns + i * periods;
	}
	for (unsigned int i = 0; i < count; i++)
		if (pthread_create(&waiters[i].thread, &attr, i < clients ?
				   wait_for_refills : wait_for_timerfd, &waiters[i]))
			bail_out("there are %u threads", count);
	together_ns = rngq_now_ns() + count * SETTLE_NS;
	pthread_barrier_wait(&there);
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(waiters[i].thread, NULL);
		close(waiters[i].fd);
	}
	if (count > clients)
		show("timerfd", 1, period_ms, late_ns + clients * periods, periods);
	show("client", clients, period_ms, late_ns, clients * periods);
	free(waiters);
	free(late_ns);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !freopen(argv[1], "w", stdout))
		bail_out("%s can be written to", argv[1]);
	rngq_make_crng_ready();
	measure(1, 10);
	measure(100, 500);
	measure(1000, 5000);
	return EXIT_SUCCESS;
}
