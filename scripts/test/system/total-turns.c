// SPDX-License-Identifier: GPL-2.0
/*
 * "Waiting clients take turns": with fewer bytes than clients, too, they have equal
 * shares in the end, and a refill wakes no more clients than it can serve.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define TRIES		3

/*
 * All in one thread, so that nobody is late: @clients ask in turn, and after
 * @refills of @rate_bytes each has had its share. A machine that stops this
 * thread for most of a period spoils a try.
 */
static bool try_equal(unsigned int clients, u64 rate_bytes, unsigned int refills)
{
	const u64 period_ms = 100;
	struct pollfd pollfds[16];
	u64 had[16] = { }, sum = 0, least = RNGQ_MAX, most = 0, give_up_ms, early_ms;

	crowd_set_total(rate_bytes, period_ms, 0);
	for (unsigned int i = 0; i < clients; i++)
		pollfds[i] = (struct pollfd){
			.fd = rngq_open_unlimited(O_NONBLOCK),
			.events = POLLIN,
		};
	rngq_drain(pollfds[0].fd);
	for (unsigned int i = 0; i < clients; i++)
		rngq_drain(pollfds[i].fd);

	/* "who comes new … has its equal share within three periods" */
	early_ms = rngq_now_ms() + 3 * period_ms;
	give_up_ms = early_ms + refills * period_ms + LATE_MS;
	while (sum < refills * rate_bytes && rngq_now_ms() < give_up_ms) {
		poll(pollfds, clients, LATE_MS);
		for (unsigned int i = 0; i < clients; i++) {
			u64 bytes;

			if (!(pollfds[i].revents & POLLIN))
				continue;
			bytes = rngq_drain(pollfds[i].fd);
			if (rngq_now_ms() < early_ms)
				continue;
			had[i] += bytes;
			sum += bytes;
		}
	}
	for (unsigned int i = 0; i < clients; i++) {
		close(pollfds[i].fd);
		least = had[i] < least ? had[i] : least;
		most = had[i] > most ? had[i] : most;
	}
	diag("%llu bytes a refill, %u clients: from %llu to %llu bytes each",
	     rate_bytes, clients, least, most);
	/* One for the beginning, one for the end of what was looked at, one for newcomers. */
	return sum >= refills * rate_bytes && most - least <= 3;
}

static void test_equal(unsigned int clients, u64 rate_bytes, unsigned int refills)
{
	bool fair = false;

	for (int i = 0; i < TRIES && !fair; i++)
		fair = try_equal(clients, rate_bytes, refills);
	ok(fair, "%llu bytes a refill go round among %u clients", rate_bytes, clients);
}

/*
 * The same with sleeping readers and hardly any bytes: no one is forgotten. That
 * holds on any machine: a share that comes to nothing goes to the others.
 */
static void test_nobody_starves(void)
{
	const unsigned int members = 20;
	struct crowd *crowd = crowd_new(members, 0);
	u64 give_up_ms, least;

	crowd_set_total(1, 20, 0);
	for (unsigned int i = 0; i < members; i++) {
		crowd->members[i].kind = i % CROWD_KINDS;
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	give_up_ms = rngq_now_ms() + 3 * LATE_MS;
	do {
		rngq_sleep_ms(20);
		least = RNGQ_MAX;
		for (unsigned int i = 0; i < members; i++)
			if (crowd->members[i].bytes < least)
				least = crowd->members[i].bytes;
	} while (least < 3 && rngq_now_ms() < give_up_ms);
	diag("the least has %llu, all have %llu", least, crowd_bytes(crowd));
	ok(least >= 3, "with a byte a refill none of %u clients starves", members);
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "no call gave what it must not");
	crowd_free(crowd);
}

/* How often all members went to sleep, and so were woken. */
static u64 sleeps(struct crowd *crowd)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < crowd->count; i++) {
		static const char wanted[] = "voluntary_ctxt_switches:";
		char path[40], line[128];
		FILE *status;

		snprintf(path, sizeof(path), "/proc/%d/status",
			 crowd->members[i].pid);
		status = fopen(path, "re");
		if (!status)
			bail_out("%s can be read", path);
		while (fgets(line, sizeof(line), status)) {
			u64 count;

			if (!strncmp(line, wanted, sizeof(wanted) - 1) &&
			    sscanf(line + sizeof(wanted) - 1, "%llu", &count) == 1)
				sum += count;
		}
		fclose(status);
	}
	return sum;
}

/* "Not a race of all waiters: a refill wakes no more clients than it can serve." */
static void test_wakes_no_more_than_it_serves(enum crowd_kind kind, const char *name)
{
	struct crowd *crowd = crowd_new(30, 0);
	u64 served = 0, slept;

	crowd_set_total(2, 50, 0);
	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = kind;
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	rngq_sleep_ms(50);
	crowd_wait_asleep(crowd);
	for (unsigned int i = 0; i < crowd->count; i++)
		served -= crowd->members[i].reads;
	slept = sleeps(crowd);
	rngq_sleep_ms(2000);
	slept = sleeps(crowd) - slept;
	for (unsigned int i = 0; i < crowd->count; i++)
		served += crowd->members[i].reads;
	diag("%llu reads, %llu sleeps", served, slept);
	/* Half as much again, for what else a process may sleep for. */
	ok(served && slept <= served * 3 / 2 + crowd->count,
	   "%s: those are woken who are served", name);
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "%s: no call gave what it must not", name);
	crowd_free(crowd);
}

int main(void)
{
	rngq_keep_globals();
	test_equal(10, 3, 20);
	test_equal(7, 1, 21);
	test_equal(4, 6, 16);
	test_equal(16, 16, 6);
	test_nobody_starves();
	test_wakes_no_more_than_it_serves(CROWD_READ, "sleeping readers");
	test_wakes_no_more_than_it_serves(CROWD_POLL, "pollers");
	test_wakes_no_more_than_it_serves(CROWD_EDGE, "edge-triggered readers");
	return done_testing();
}
