// SPDX-License-Identifier: GPL-2.0
/*
 * "Asking without taking, however often and by however many, earns nothing and costs
 * the others nothing; who comes new, or takes again after it only asked, has its
 * equal share within three periods." Here they ask by poll(), as often as the machine
 * lets them: 2000 each 3 ms are more than emulated CPUs can do. Other ways to ask are
 * in total-asking.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "askers.h"
#include "crowd.h"
#include "rngq.h"

#define GREEDY		9
#define RATE		1000
#define PERIOD_MS	500
#define PERIOD_NS	(PERIOD_MS * NSEC_PER_MSEC)
#define SHARE		(RATE / (GREEDY + 1))
/* How long it only polls, in periods, and in how many its share is looked at later. */
#define ONLY_POLLS	3
#define PERIODS		8
#define TRIES		3

static void test_greedy(unsigned int processes, unsigned int every_ms, const char *name,
			u64 rate_bytes, u64 period_ms, unsigned int percent)
{
	struct askers askers = {
		.name = name, .processes = processes, .clients = 100, .every_ms = every_ms,
		.ask = askers_poll,
	};

	rngq_set_default(RNGQ_MAX, 1000, 0, 0);
	askers_test(&askers, rate_bytes, period_ms, percent);
}

/* A client that joins the others. */
struct joiner {
	const char *name;
	bool only_polled;		/* it did so first, for some periods */
	bool sleeps;			/* in read(), else in poll() */
};

static bool may_read(int fd, u64 until_ns)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	u64 now_ns = rngq_now_ns();

	return now_ns < until_ns &&
	       poll(&pollfd, 1, (until_ns - now_ns) / NSEC_PER_MSEC + 1) == 1;
}

/* What @fd has from then until then. It reads from now on. */
static u64 read_until(int fd, const struct joiner *joiner, u64 from_ns, u64 to_ns)
{
	char bytes[4096];
	u64 now_ns, had = 0;

	do {
		ssize_t count = 0;

		if (joiner->sleeps || may_read(fd, to_ns))
			count = read(fd, bytes, sizeof(bytes));
		if (count < 0 && errno != EAGAIN)
			bail_out("a read fails with nothing but EAGAIN");
		now_ns = rngq_now_ns();
		if (count > 0 && now_ns >= from_ns && now_ns < to_ns)
			had += count;
	} while (now_ns < to_ns);
	return had;
}

/*
 * Whether it has its equal share in the third period after it came; and then, on the
 * whole, in those that follow.
 */
static void try_joiner(const struct joiner *joiner, struct crowd *others, u64 start_ns,
		       bool *soon, bool *still)
{
	u64 least = ~0ULL, most = 0;
	int fd = rngq_open(joiner->sleeps ? 0 : O_NONBLOCK);
	u64 periods, at_ns, first, later = 0;

	for (unsigned int i = 0; joiner->only_polled && i < ONLY_POLLS * PERIOD_MS / 3; i++) {
		poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0);
		rngq_sleep_ms(3);
	}
	/* It comes in the midst of a period. What is looked at, begins before a refill. */
	periods = (rngq_now_ns() - start_ns) / PERIOD_NS + 1;
	rngq_sleep_until_ns(start_ns + periods * PERIOD_NS + PERIOD_NS / 2);
	at_ns = start_ns + (periods + 3) * PERIOD_NS - PERIOD_NS / 10;
	first = read_until(fd, joiner, at_ns, at_ns + PERIOD_NS);
	crowd_mark(others);
	if (!*still)
		later = read_until(fd, joiner, at_ns + PERIOD_NS,
				   at_ns + (1 + PERIODS) * PERIOD_NS);
	close(fd);
	for (unsigned int i = 0; i < others->count; i++) {
		u64 had = crowd_had(&others->members[i]);

		least = had < least ? had : least;
		most = had > most ? had : most;
	}
	*soon |= first * 100 >= SHARE * 85 && first * 100 <= SHARE * 130;
	*still |= later * 100 >= PERIODS * SHARE * 75;
	diag("%llu bytes in the third period; in %d that follow %llu, the others %llu ... %llu",
	     first, PERIODS, later, least, most);
}

static void test_joiners(void)
{
	static const struct joiner joiners[] = {
		{ "a client that comes new and sleeps in read()", false, true },
		{ "a client that comes new and polls before it reads", false, false },
		{ "one that only polled, and sleeps in read() now", true, true },
		{ "one that only polled, and reads now when it may", true, false },
	};
	struct askers askers = {
		.processes = 10, .clients = 100, .every_ms = 3, .ask = askers_poll,
	};
	struct crowd *crowd = crowd_new(GREEDY, 0);
	u64 start_ns;

	rngq_set_default(RNGQ_MAX, 1000, 0, 0);
	crowd_set_total(RNGQ_MAX, 1000, 0);
	askers_start(&askers);
	crowd_open(crowd);
	start_ns = crowd_start_total(RATE, PERIOD_MS);
	crowd_go(crowd);
	rngq_sleep_until_ns(start_ns + 3 * PERIOD_NS);
	for (size_t i = 0; i < ARRAY_SIZE(joiners); i++) {
		/* That takes long, and in the end it is the same if it only polled first. */
		bool soon = false, still = joiners[i].only_polled;

		for (int try = 0; try < TRIES && !(soon && still); try++)
			try_joiner(&joiners[i], crowd, start_ns, &soon, &still);
		ok(soon, "beside pollers: %s has its equal share in three periods",
		   joiners[i].name);
		if (!joiners[i].only_polled)
			ok(still, "and in those that follow");
	}
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "the greedy ones met no error");
	is_ret(askers.shared->error, 0, "nor did the pollers");
	crowd_free(crowd);
	askers_stop(&askers);
}

int main(void)
{
	rngq_keep_globals();
	test_greedy(20, 3, "2000 clients that poll", 1000, 1000, 95);
	test_greedy(10, 100, "1000 clients that poll each 100 ms", 100, 1000, 90);
	test_greedy(20, 3, "2000 clients that poll", 1000, 100, 80);
	/* Who is woken so often beside them all is late on this machine, more often than not. */
	test_greedy(20, 3, "2000 clients that poll", 1000, 10 * rngq_slowness(), 10);
	test_joiners();
	return done_testing();
}
