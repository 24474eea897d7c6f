// SPDX-License-Identifier: GPL-2.0
/*
 * A read gives its place up when a signal ends it, and nothing is lost: neither
 * what was set aside for it, nor the place of another reader of the same client.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crowd.h"
#include "reader.h"
#include "rngq.h"

#define RATE		100
/* Long enough for all to fetch their share on a busy machine. */
#define PERIOD_MS	600

/* All wait in their places; end the period that was not to end before. */
static void let_refill(void)
{
	rngq_set(PERIOD_MS, "total/period_ms");
}

/* A busy machine may be late for what comes in the end of a period. */
static bool try_gives_place_up(void)
{
	int fd, other;
	struct reader reader;
	bool everything;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(other);
	fd = rngq_open_unlimited(0);
	reader_start_asleep(&reader, fd, 4096);
	reader_interrupt(&reader, SIGUSR1);
	reader_join(&reader);
	is_ret(reader.result, -EINTR, "a signal ends a read that waits for its share");
	let_refill();
	everything = crowd_gets_all(other, RATE, PERIOD_MS);
	is_u64(rngq_client(fd, "bytes"), 0, "it took nothing");
	close(fd);
	close(other);
	return everything;
}

static void test_gives_place_up(void)
{
	bool everything = false;

	for (int i = 0; i < 3 && !everything; i++)
		everything = try_gives_place_up();
	ok(everything, "what it would have had goes to others");
}

/* A byte is not reserved for one that was first in line, and went. */
static bool try_leaves_line(void)
{
	struct reader reader;
	int fd, other, first;
	u64 start_ms;
	bool soon;

	/* A refill that nobody waits for, so that there is no beat to keep. */
	crowd_set_total(1, 1, 0);
	first = rngq_open_unlimited(O_NONBLOCK);
	rngq_take(first, 1);
	rngq_sleep_ms(10);
	rngq_take(first, 1);

	crowd_set_total(1, HOUR_MS, 0);
	start_ms = rngq_now_ms();
	rngq_take(first, 1);
	close(first);
	fd = rngq_open_unlimited(0);
	reader_start_asleep(&reader, fd, 1);
	other = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(other);
	reader_interrupt(&reader, SIGUSR1);
	reader_join(&reader);
	let_refill();
	soon = rngq_becomes_readable(other) &&
	       rngq_now_ms() - start_ms < PERIOD_MS + PERIOD_MS / 3;
	close(fd);
	close(other);
	return soon;
}

static void test_leaves_line(void)
{
	bool soon = false;

	for (int i = 0; i < 3 && !soon; i++)
		soon = try_leaves_line();
	ok(soon, "nobody waits for one whose wait was ended by a signal");
}

static void test_restart(void)
{
	int fd, other;
	struct reader reader;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(other);
	rngq_line_up(other);
	fd = rngq_open_unlimited(0);
	reader_start_asleep(&reader, fd, 4096);
	for (int i = 0; i < 3; i++) {
		reader_interrupt(&reader, SIGUSR2);
		rngq_wait_asleep(reader.tid, SYS_read);
	}
	let_refill();
	reader_join(&reader);
	is_between(reader.result, RATE * 45 / 100, RATE * 55 / 100,
		   "a read that is restarted has its share");
	rngq_becomes_readable(other);
	is_between(rngq_take(other, 4096), RATE * 45 / 100, RATE * 55 / 100,
		   "and the other its own");
	close(fd);
	close(other);
}

/* "On … when a signal ends the last reader's wait": not before. */
static void test_second_reader(void)
{
	int fd, other;
	struct reader hit, stays;

	crowd_set_total(RATE, HOUR_MS, 0);
	other = rngq_open_unlimited(O_NONBLOCK);
	rngq_drain(other);
	rngq_line_up(other);
	fd = rngq_open_unlimited(0);
	reader_start_asleep(&hit, fd, 4096);
	reader_start_asleep(&stays, fd, 4096);
	reader_interrupt(&hit, SIGUSR1);
	reader_join(&hit);
	is_ret(hit.result, -EINTR, "a signal ends one of two reads of a client");
	let_refill();
	reader_join(&stays);
	is_between(stays.result, RATE * 45 / 100, RATE * 55 / 100,
		   "the client's share is there for the other");
	close(fd);
	close(other);
}

/*
 * Two readers in turn, one of which is hit by a signal around each refill: so it
 * may have been woken already. The other is served in any case, and in the
 * end the sums agree.
 */
static void test_storm(void)
{
	int fd, other;
	struct reader hit, served = { .result = 0 };
	u64 interrupted = 0, got = 0, bytes = rngq_attr("stats/bytes");

	crowd_set_total(2, 20, 0);
	fd = rngq_open_unlimited(0);
	other = rngq_open_unlimited(0);
	for (int round = 0; round < 60; round++) {
		/* Take what there is, so that both have to wait. */
		got += rngq_drain(fd) + rngq_drain(other);
		reader_start(&hit, fd, 16);
		reader_start(&served, other, 16);
		rngq_sleep_ms(10 + round % 15);
		pthread_kill(hit.thread, SIGUSR1);
		reader_join(&served);
		if (served.result < 1)
			break;
		got += served.result;
		reader_join(&hit);
		if (hit.result > 0)
			got += hit.result;
		else if (hit.result == -EINTR)
			interrupted++;
		else
			break;
	}
	diag("%llu of 60 were interrupted", interrupted);
	ok(served.result > 0 && (hit.result > 0 || hit.result == -EINTR),
	   "a reader is served while the other one is interrupted");
	is_u64(rngq_attr("stats/bytes") - bytes, got, "what they got was counted");
	close(fd);
	rngq_set(200, "total/period_ms");
	rngq_drain(other);
	ok(crowd_gets_all(other, 2, 200), "then the one that is left gets all there is");
	close(other);
}

/* A crowd that gets signals all the time, and ends on them. */
static void test_crowd(void)
{
	const struct crowd_quota total = { .rate_bytes = 200, .period_ms = 20 };
	struct crowd *crowd = crowd_new(2 * CROWD_KINDS, 4096);
	u64 bytes = rngq_attr("stats/bytes"), end_ms;

	crowd_set_total(total.rate_bytes, total.period_ms, 0);
	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = i % CROWD_KINDS;
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	for (end_ms = rngq_now_ms() + 2000; rngq_now_ms() < end_ms; rngq_sleep_ms(2))
		for (unsigned int i = 0; i < crowd->count; i++)
			kill(crowd->members[i].pid, SIGUSR1);
	diag("%llu bytes under a storm of signals", crowd_bytes(crowd));
	ok(crowd_bytes(crowd) > total.rate_bytes, "signals don't keep a crowd from reading");
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "no call gave what it must not");
	is_u64(crowd_excess(crowd, &total), 0, "never a byte more than promised");
	is_u64(rngq_attr("stats/bytes") - bytes, crowd_bytes(crowd), "the sums agree");
	crowd_free(crowd);
}

int main(void)
{
	rngq_keep_globals();
	reader_handle_signals();
	test_gives_place_up();
	test_leaves_line();
	test_restart();
	test_second_reader();
	test_storm();
	test_crowd();
	return done_testing();
}
