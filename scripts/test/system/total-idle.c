// SPDX-License-Identifier: GPL-2.0
/*
 * "A share that is not fetched goes, within one period of total/, to others who fetch
 * theirs": clients that asked once, that are stopped in their sleep, or that are told
 * of their share and do nothing, cost the others nothing in the long run.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define RATE		100
#define PERIOD_MS	100
#define PERIODS		15
#define IDLERS		6
#define TRIES		3

static struct crowd *start_greedy(unsigned int members)
{
	struct crowd *crowd = crowd_new(members, 0);

	for (unsigned int i = 0; i < members; i++) {
		crowd->members[i].kind = i % CROWD_KINDS;
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	return crowd;
}

/* Whether the crowd gets at least 85 % of total's rate from now on. */
static bool gets_everything(struct crowd *crowd)
{
	u64 start_ns = rngq_now_ns(), wanted, had;

	crowd_mark(crowd);
	rngq_sleep_ms(PERIODS * PERIOD_MS);
	had = crowd_all_had(crowd);
	wanted = RATE * ((rngq_now_ns() - start_ns) / (PERIOD_MS * NSEC_PER_MSEC));
	diag("%llu of %llu bytes", had, wanted);
	return had * 100 >= wanted * 85;
}

/* What a client that doesn't want its bytes may do all the time. */
static void ask_once(int fd)
{
	/* It has asked already. */
	(void)fd;
}

static void only_poll(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	poll(&pollfd, 1, 0);
}

struct idlers {
	void (*nag)(int fd);
	int fds[IDLERS];
	atomic_bool stop;
};

static void *nag_all(void *argument)
{
	struct idlers *idlers = argument;

	while (!idlers->stop) {
		for (int i = 0; i < IDLERS; i++)
			idlers->nag(idlers->fds[i]);
		rngq_sleep_ms(3);
	}
	return NULL;
}

static bool try_idlers(void (*nag)(int fd), bool in_epoll)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	struct idlers idlers = { .nag = nag };
	int epoll = epoll_create1(0);
	struct crowd *crowd;
	pthread_t thread;
	bool everything;

	crowd_set_total(RATE, PERIOD_MS, 0);
	for (int i = 0; i < IDLERS; i++) {
		idlers.fds[i] = rngq_open_unlimited(O_NONBLOCK);
		rngq_drain(idlers.fds[i]);
		if (in_epoll &&
		    epoll_ctl(epoll, EPOLL_CTL_ADD, idlers.fds[i], &event))
			bail_out("a client can be added to an epoll");
	}
	crowd = start_greedy(2);
	if (pthread_create(&thread, NULL, nag_all, &idlers))
		bail_out("a thread can be started");
	everything = gets_everything(crowd);
	idlers.stop = true;
	pthread_join(thread, NULL);
	crowd_stop(crowd);
	crowd_free(crowd);
	for (int i = 0; i < IDLERS; i++)
		close(idlers.fds[i]);
	close(epoll);
	return everything;
}

static void test_idlers(void (*nag)(int fd), bool in_epoll, const char *name)
{
	bool everything = false;

	for (int i = 0; i < TRIES && !everything; i++)
		everything = try_idlers(nag, in_epoll);
	ok(everything, "clients that %s cost the others nothing", name);
}

/* Of a crowd of all kinds all but the first two are stopped, then go on. */
static bool try_stopped(void)
{
	struct crowd *crowd;
	unsigned int served = 0;
	u64 give_up_ms;
	bool everything;

	crowd_set_total(RATE, PERIOD_MS, 0);
	crowd = start_greedy(CROWD_KINDS);
	rngq_sleep_ms(3 * PERIOD_MS);
	for (unsigned int i = 2; i < crowd->count; i++)
		kill(crowd->members[i].pid, SIGSTOP);
	everything = gets_everything(crowd);

	/* One that was stopped must not have lost its place for ever. */
	crowd_mark(crowd);
	for (unsigned int i = 2; i < crowd->count; i++)
		kill(crowd->members[i].pid, SIGCONT);
	give_up_ms = rngq_now_ms() + LATE_MS;
	while (served < crowd->count && rngq_now_ms() < give_up_ms) {
		rngq_sleep_ms(10);
		served = 0;
		for (unsigned int i = 0; i < crowd->count; i++)
			served += crowd_had(&crowd->members[i]) > 0;
	}
	is_u64(served, crowd->count, "those that were stopped are served when they go on");
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "and no call gave what it must not");
	crowd_free(crowd);
	return everything;
}

static void test_stopped(void)
{
	bool everything = false;

	for (int i = 0; i < TRIES && !everything; i++)
		everything = try_stopped();
	ok(everything, "readers that are stopped cost the others nothing");
}

/*
 * Two had something and wait, and one of them doesn't come again. Its half of the
 * first refill goes to the other before the next one, with which there would be as
 * much all the same.
 */
static bool try_within_a_period(void)
{
	const u64 period_ms = 600;
	int fd, other;
	bool all;

	crowd_set_total(RATE, period_ms, 0);
	fd = rngq_open_unlimited(O_NONBLOCK);
	other = rngq_open_unlimited(O_NONBLOCK);
	if (rngq_take(fd, RATE / 2) != RATE / 2 || rngq_take(other, RATE / 2) != RATE / 2)
		bail_out("total/ is full at first");
	rngq_drain(other);
	rngq_drain(fd);
	all = crowd_gets_all(other, RATE, period_ms);
	close(other);
	close(fd);
	return all;
}

static void test_within_a_period(void)
{
	bool within = false;

	for (int i = 0; i < TRIES && !within; i++)
		within = try_within_a_period();
	ok(within, "a share that is not fetched goes to who waits within a period");
}

/* Who asked once is soon forgotten: all of a refill is for the other then. */
static bool try_forgotten(void)
{
	struct pollfd pollfd = { .events = POLLIN };
	ssize_t got = 0;
	int fd;

	crowd_set_total(RATE, 3 * PERIOD_MS, 0);
	fd = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(fd);
	pollfd.fd = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(pollfd.fd);
	/* In the first period the rest comes in pieces, later nearly all at once. */
	for (int i = 0; i < 12 && got < RATE * 90 / 100; i++) {
		poll(&pollfd, 1, LATE_MS);
		got = rngq_take(pollfd.fd, 4096);
		rngq_drain(pollfd.fd);
	}
	close(pollfd.fd);
	close(fd);
	diag("%zd of %d bytes at once", got, RATE);
	return got >= RATE * 90 / 100;
}

static void test_forgotten(void)
{
	bool forgotten = false;

	for (int i = 0; i < TRIES && !forgotten; i++)
		forgotten = try_forgotten();
	ok(forgotten, "for a client that doesn't ask any more nothing is reserved");
}

/* Who comes back finds its place again. */
static void test_comes_back(void)
{
	int fd, other;
	struct pollfd pollfd = { .events = POLLIN };

	crowd_set_total(RATE, PERIOD_MS, 0);
	fd = rngq_open_unlimited(O_NONBLOCK);
	other = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(fd);
	rngq_drain(other);
	rngq_sleep_ms(3 * PERIOD_MS);
	/* Neither has fetched anything; so it is there for whoever comes. */
	ok(rngq_drain(other) >= RATE / 2, "what nobody fetched is there for who comes");
	rngq_drain(fd);
	pollfd.fd = fd;
	is_ret(poll(&pollfd, 1, LATE_MS), 1, "who comes back late has its share again");
	close(fd);
	close(other);
}

int main(void)
{
	rngq_keep_globals();
	test_idlers(ask_once, false, "asked once");
	test_idlers(only_poll, false, "poll and never read");
	test_idlers(ask_once, true, "wait for an edge and never read");
	test_stopped();
	test_within_a_period();
	test_forgotten();
	test_comes_back();
	return done_testing();
}
