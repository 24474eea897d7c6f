// SPDX-License-Identifier: GPL-2.0
/*
 * Nothing leaks: a place in line, and what was set aside, go back when the client
 * is closed or its reader killed, be it in the middle of a period; and those who are
 * left get everything.
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
#define PERIOD_MS	600
/* Long enough for what is for others only in its last 64th. */
#define LONG_MS		(4 * PERIOD_MS)
#define TRIES		3

/* Two clients that both had a half, and now wait for more of an empty total/. */
static void open_waiting(int *one, int *other)
{
	crowd_set_total(RATE, HOUR_MS, 0);
	*one = rngq_open_unlimited(O_NONBLOCK);
	*other = rngq_open_unlimited(O_NONBLOCK);
	if (rngq_take(*one, RATE / 2) != RATE / 2 || rngq_take(*other, RATE / 2) != RATE / 2)
		bail_out("total/ is full at first");
	rngq_line_up(*one);
	rngq_line_up(*other);
}

/* All wait in their places; end the period that was not to end before. */
static void let_refill(void)
{
	rngq_set(PERIOD_MS, "total/period_ms");
}

/* It was in line, and no refill came yet. */
static void test_close_while_waiting(void)
{
	int other, fd;

	open_waiting(&other, &fd);
	close(fd);
	let_refill();
	ok(crowd_gets_all(other, RATE, PERIOD_MS),
	   "a client closed while it waited has no part of what comes");
	close(other);
}

/* The others have what was set aside for it before the refill, which adds to it. */
static bool try_close_while_called(void)
{
	u64 first, second, start_ms;
	int other, fd;

	open_waiting(&other, &fd);
	rngq_set(LONG_MS, "total/period_ms");
	rngq_becomes_readable(other);
	start_ms = rngq_now_ms();
	first = rngq_drain(other);
	close(fd);
	rngq_becomes_readable(other);
	second = rngq_drain(other);
	close(other);
	diag("%llu bytes, then %llu", first, second);
	return first <= RATE * 60 / 100 && first + second >= RATE * 90 / 100 &&
	       first + second <= RATE && rngq_now_ms() - start_ms < LONG_MS;
}

static void test_close_while_called(void)
{
	bool in_time = false;

	for (int i = 0; i < TRIES && !in_time; i++)
		in_time = try_close_while_called();
	ok(in_time, "what was set aside for a client goes to others when it is closed");
}

/* All is set aside for one that doesn't fetch it, while another one sleeps. */
static bool try_close_wakes(void)
{
	struct reader reader;
	u64 start_ns;
	int other, fd;

	open_waiting(&other, &fd);
	close(other);
	rngq_set(LONG_MS, "total/period_ms");
	rngq_becomes_readable(fd);
	start_ns = rngq_now_ns();
	other = rngq_open_unlimited(0);
	reader_start_asleep(&reader, other, 4096);
	close(fd);
	reader_join(&reader);
	close(other);
	diag("%zd bytes", reader.result);
	return reader.result >= RATE * 90 / 100 &&
	       reader.after_ns - start_ns < LONG_MS * NSEC_PER_MSEC;
}

static void test_close_wakes(void)
{
	bool in_time = false;

	for (int i = 0; i < TRIES && !in_time; i++)
		in_time = try_close_wakes();
	ok(in_time, "a reader that sleeps gets what a closed client leaves");
}

/* "that read goes on, as elsewhere in Linux" */
static void test_close_under_reader(void)
{
	struct reader reader;
	int other, fd;
	u64 id;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(other);
	rngq_line_up(other);
	fd = rngq_open_unlimited(0);
	id = rngq_id(fd);
	reader_start_asleep(&reader, fd, 4096);
	close(fd);
	let_refill();
	reader_join(&reader);
	is_between(reader.result, RATE * 45 / 100, RATE * 55 / 100,
		   "a read whose descriptor was closed still has its share");
	is_ret(rngq_attr_write("1", "clients/%llu/rate_bytes", id), -ENOENT,
	       "then the client is gone");
	rngq_drain(other);
	ok(crowd_gets_all(other, RATE, PERIOD_MS), "and the other gets all that comes");
	close(other);
}

/* Killed readers and pollers of one client each, which goes with them. */
static void test_killed(enum crowd_kind kind, const char *name)
{
	struct crowd *crowd;
	int other, fd;

	open_waiting(&other, &fd);
	close(fd);
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
	ok(crowd_gets_all(other, RATE, PERIOD_MS),
	   "%s that were killed have no part of what comes", name);
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
	test_close_while_called();
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
