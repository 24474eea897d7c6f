// SPDX-License-Identifier: GPL-2.0
/*
 * "Nothing leaks": a turn, and what was reserved for it, go back at once when
 * the client is closed or its reader killed, be it in the middle of a round; and
 * those who are left get everything.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "crowd.h"
#include "reader.h"
#include "rngq.h"

#define RATE		100
/* Long enough for all to fetch their share on a busy machine. */
#define PERIOD_MS	1000
#define TRIES		3

/* A client that has found nothing, and so has its turn; @first drains total/. */
static int open_in_turn(bool first)
{
	int fd = rngq_open_unlimited(O_NONBLOCK);

	if (rngq_drain(fd) && !first)
		bail_out("total/ is empty when the others ask");
	return fd;
}

/* All wait in their places; end the period that was not to end before. */
static void let_refill(void)
{
	rngq_set(PERIOD_MS, "total/period_ms");
}

/* It had a turn, and no refill came yet. */
static void test_close_while_waiting(void)
{
	int other, fd;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = open_in_turn(true);
	fd = open_in_turn(false);
	close(fd);
	let_refill();
	ok(rngq_becomes_readable(other), "a client waits for its turn");
	is_ret(rngq_take(other, 4096), RATE,
	       "a client closed while it waited has no part of the refill");
	close(other);
}

/* The others have what was reserved for it before the reservation is over. */
static bool try_close_while_reserved(void)
{
	u64 first, second, start_ms;
	int other, fd;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = open_in_turn(true);
	fd = open_in_turn(false);
	let_refill();
	rngq_becomes_readable(other);
	start_ms = rngq_now_ms();
	first = rngq_drain(other);
	close(fd);
	rngq_becomes_readable(other);
	second = rngq_drain(other);
	close(other);
	diag("%llu bytes, then %llu", first, second);
	return first == RATE / 2 && second == RATE / 2 &&
	       rngq_now_ms() - start_ms < 500;
}

static void test_close_while_reserved(void)
{
	bool at_once = false;

	for (int i = 0; i < TRIES && !at_once; i++)
		at_once = try_close_while_reserved();
	ok(at_once, "what was reserved for a client goes back when it is closed");
}

/* All is reserved for one that doesn't fetch it, while another one sleeps. */
static bool try_close_wakes(void)
{
	struct reader reader;
	u64 closed_ns;
	int other, fd;

	crowd_set_total(RATE, HOUR_MS, 0);
	fd = open_in_turn(true);
	other = rngq_open_unlimited(0);
	let_refill();
	rngq_becomes_readable(fd);
	reader_start_asleep(&reader, other, 4096);
	closed_ns = rngq_now_ns();
	close(fd);
	reader_join(&reader);
	close(other);
	/* Some of it could be had anyway when half of the period is over. */
	return reader.result == RATE &&
	       reader.after_ns - closed_ns < PERIOD_MS / 4 * NSEC_PER_MSEC;
}

static void test_close_wakes(void)
{
	bool at_once = false;

	for (int i = 0; i < TRIES && !at_once; i++)
		at_once = try_close_wakes();
	ok(at_once, "a reader that sleeps gets what a closed client leaves");
}

/* "that read goes on, as elsewhere in Linux" */
static void test_close_under_reader(void)
{
	struct reader reader;
	int other, fd;
	u64 id;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = open_in_turn(true);
	fd = rngq_open_unlimited(0);
	id = rngq_id(fd);
	reader_start_asleep(&reader, fd, 4096);
	close(fd);
	let_refill();
	reader_join(&reader);
	is_ret(reader.result, RATE / 2,
	       "a read whose descriptor was closed still has its turn");
	is_ret(rngq_attr_write("1", "clients/%llu/rate_bytes", id), -ENOENT,
	       "then the client is gone");
	rngq_drain(other);
	rngq_becomes_readable(other);
	is_ret(rngq_take(other, 4096), RATE, "and the other gets all of the next refill");
	close(other);
}

/* Killed readers and pollers of one client each, which goes with them. */
static void test_killed(enum crowd_kind kind, const char *name)
{
	struct crowd *crowd;
	int other;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = open_in_turn(true);
	crowd = crowd_new(3, 0);
	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = kind;
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	rngq_sleep_ms(30);
	crowd_wait_asleep(crowd);
	for (unsigned int i = 0; i < crowd->count; i++)
		crowd_kill(&crowd->members[i]);
	let_refill();
	rngq_becomes_readable(other);
	is_ret(rngq_take(other, 4096), RATE,
	       "%s that were killed have no part of the next refill", name);
	crowd_free(crowd);
	close(other);
}

/*
 * Many rounds: a crowd of all kinds, half of which dies at any moment of a
 * period. Those who are left have all that total/ gives.
 */
static bool try_rounds(u64 *sum, u64 *wanted)
{
	const u64 period_ms = 50;
	int error = 0;

	*sum = 0;
	*wanted = 0;
	for (unsigned int round = 0; round < 10; round++) {
		struct crowd *crowd = crowd_new(14, 0);

		crowd_set_total(RATE, period_ms, 0);
		for (unsigned int i = 0; i < crowd->count; i++) {
			crowd->members[i].kind = i / 2 % CROWD_KINDS;
			crowd->members[i].quota = crowd_no_limit;
		}
		crowd_open(crowd);
		crowd_go(crowd);
		rngq_sleep_until_ns(crowd->start_ns +
				    2 * period_ms * NSEC_PER_MSEC +
				    round * period_ms * NSEC_PER_MSEC / 10);
		for (unsigned int i = 0; i < crowd->count; i += 2)
			kill(crowd->members[i].pid, SIGKILL);
		crowd_mark(crowd);
		rngq_sleep_ms(6 * period_ms);
		*sum += crowd_all_had(crowd);
		*wanted += 5 * RATE;
		crowd_stop(crowd);
		for (unsigned int i = 1; i < crowd->count && !error; i += 2)
			error = crowd->members[i].error;
		crowd_free(crowd);
	}
	is_ret(error, 0, "nobody else notices when half the crowd is killed");
	diag("the survivors had %llu of %llu bytes", *sum, *wanted);
	return *sum * 100 >= *wanted * 90;
}

static void test_rounds(void)
{
	bool enough = false;
	u64 sum, wanted;

	for (int i = 0; i < TRIES && !enough; i++)
		enough = try_rounds(&sum, &wanted);
	ok(enough, "when half the crowd was killed the others get everything");
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients");

	rngq_keep_globals();
	test_close_while_waiting();
	test_close_while_reserved();
	test_close_wakes();
	test_close_under_reader();
	test_killed(CROWD_READ, "readers");
	test_killed(CROWD_POLL, "pollers");
	test_killed(CROWD_EDGE, "edge-triggered readers");
	test_killed(CROWD_URING, "io_uring's readers");
	test_rounds();
	is_u64(rngq_attr("stats/clients"), clients, "every client has gone");
	return done_testing();
}
