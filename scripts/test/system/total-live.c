// SPDX-License-Identifier: GPL-2.0
/*
 * Limits that change under load: total/ from max to one byte and back, its rate,
 * period and burst up and down, the clients' own quotas, default/ and limits/.
 * "A change holds at once, for readers that are already waiting too"; "the promise
 * holds with the new quota from then on". In the end nobody waits for ever.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "crowd.h"
#include "reader.h"
#include "rngq.h"

static struct crowd *start_crowd(size_t asks, size_t log_size)
{
	struct crowd *crowd = crowd_new(2 * CROWD_KINDS, log_size);

	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = i % CROWD_KINDS;
		crowd->members[i].asks = asks;
		crowd->members[i].quota = crowd_no_limit;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	return crowd;
}

/* Whether each member of the crowd gets something now. */
static bool all_get_on(struct crowd *crowd)
{
	u64 give_up_ms = rngq_now_ms() + LATE_MS;
	unsigned int got_on;

	crowd_mark(crowd);
	do {
		got_on = 0;
		for (unsigned int i = 0; i < crowd->count; i++)
			got_on += crowd_had(&crowd->members[i]) > 0;
		if (got_on == crowd->count)
			return true;
		rngq_sleep_ms(1);
	} while (rngq_now_ms() < give_up_ms);
	diag("%u of %u got on", got_on, crowd->count);
	return false;
}

/*
 * How many bytes more than the promise the crowd had while total/ was as @quota
 * says, from before the change until now. Of each member one read may have been
 * taken before and counted after the change.
 */
static u64 excess_since(struct crowd *crowd, const struct crowd_quota *quota,
			u64 changed_ns)
{
	u64 limit = crowd->count * crowd->members[0].asks, had = crowd_all_had(crowd);

	limit += crowd_allowed(quota, rngq_now_ns() - changed_ns);
	return had > limit ? had - limit : 0;
}

static void test_max_and_one_byte(void)
{
	const struct crowd_quota one = { .rate_bytes = 1, .period_ms = 20 };
	unsigned int switches = 40, stuck = 0;
	u64 stats_bytes, excess = 0;
	struct crowd *crowd;

	crowd_set_total(one.rate_bytes, one.period_ms, 0);
	stats_bytes = rngq_attr("stats/bytes");
	crowd = start_crowd(1, 0);
	srand(1);
	for (unsigned int i = 0; i < switches && !stuck; i++) {
		u64 changed_ns;

		rngq_set(RNGQ_MAX, "total/rate_bytes");
		/* Sometimes at once, sometimes when all have been woken. */
		if (i % 2)
			stuck += !all_get_on(crowd);
		changed_ns = rngq_now_ns();
		rngq_set(one.rate_bytes, "total/rate_bytes");
		crowd_mark(crowd);
		rngq_sleep_ms(rand() % 70);
		excess += excess_since(crowd, &one, changed_ns);
	}
	is_u64(excess, 0, "after each switch from max to a byte the promise holds");
	is_u64(stuck, 0, "at each switch to max all go on");
	ok(all_get_on(crowd), "and with a byte each has one in the end");

	/* Nobody waits for ever. */
	crowd_set_total(1, HOUR_MS, 0);
	rngq_sleep_ms(50);
	crowd_wait_asleep(crowd);
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	ok(all_get_on(crowd), "max wakes all that wait");
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "no call gave what it must not");
	is_u64(rngq_attr("stats/bytes") - stats_bytes, crowd_bytes(crowd),
	       "what they had adds up to stats/bytes");
	crowd_free(crowd);
}

/* Without max in between, one value at a time. */
static void test_up_and_down(void)
{
	struct crowd_quota quota = { .rate_bytes = 50, .period_ms = 20 };
	u64 stats_bytes, excess = 0;
	struct crowd *crowd;

	crowd_set_total(quota.rate_bytes, quota.period_ms, quota.burst_bytes);
	stats_bytes = rngq_attr("stats/bytes");
	crowd = start_crowd(16, 0);
	srand(2);
	for (unsigned int i = 0; i < 60; i++) {
		u64 changed_ns = rngq_now_ns();

		switch (i % 3) {
		case 0:
			quota.rate_bytes = 1 + rand() % 200;
			rngq_set(quota.rate_bytes, "total/rate_bytes");
			break;
		case 1:
			quota.period_ms = 1 + rand() % 60;
			rngq_set(quota.period_ms, "total/period_ms");
			break;
		case 2:
			quota.burst_bytes = rand() % 2 * (rand() % 500);
			rngq_set(quota.burst_bytes, "total/burst_bytes");
			break;
		}
		crowd_mark(crowd);
		rngq_sleep_ms(rand() % 60);
		excess += excess_since(crowd, &quota, changed_ns);
	}
	is_u64(excess, 0, "the promise holds with each new quota");
	ok(all_get_on(crowd), "and all go on");
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "no call gave what it must not");
	is_u64(rngq_attr("stats/bytes") - stats_bytes, crowd_bytes(crowd),
	       "what they had adds up to stats/bytes");
	crowd_free(crowd);
}

struct changer {
	struct crowd *crowd;
	atomic_bool stop;
};

/* Everything but total/. */
static void *change_others(void *argument)
{
	static const char *const rates[] = { "max", "1", "100", "3000" };
	static const char *const periods[] = { "1", "7", "1000" };
	struct changer *changer = argument;
	u64 *ids = calloc(changer->crowd->count, sizeof(*ids));

	for (unsigned int i = 0; i < changer->crowd->count; i++)
		ids[i] = changer->crowd->members[i].id;
	for (unsigned int i = 0; !changer->stop; i++) {
		u64 id = ids[i % changer->crowd->count];

		rngq_attr_write(rates[i % 4], "default/rate_bytes");
		rngq_attr_write(periods[i % 3], "default/period_ms");
		rngq_attr_write(i % 5 ? "0" : "100", "default/burst_bytes");
		rngq_attr_write(rates[i / 4 % 4], "clients/%llu/rate_bytes", id);
		rngq_attr_write(periods[i / 3 % 3], "clients/%llu/period_ms", id);
		rngq_attr_write(i % 2 ? "1" : "16384", "limits/max_clients");
		rngq_attr_write(i % 2 ? "max" : "1", "limits/max_clients_per_process");
	}
	free(ids);
	return NULL;
}

static void test_other_limits(void)
{
	const struct crowd_quota total = { .rate_bytes = 200, .period_ms = 20 };
	struct changer changer = { };
	u64 stats_bytes;
	struct crowd *crowd;
	pthread_t thread;

	crowd_set_total(total.rate_bytes, total.period_ms, 0);
	stats_bytes = rngq_attr("stats/bytes");
	crowd = start_crowd(0, 4096);
	changer.crowd = crowd;
	if (pthread_create(&thread, NULL, change_others, &changer))
		bail_out("a thread can be started");
	rngq_sleep_ms(2500);
	changer.stop = true;
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < crowd->count; i++)
		rngq_set(RNGQ_MAX, "clients/%llu/rate_bytes", crowd->members[i].id);
	ok(all_get_on(crowd), "all go on under quotas of their own that change");
	crowd_stop(crowd);
	is_ret(crowd_error(crowd), 0, "no call gave what it must not");
	is_u64(crowd_excess(crowd, &total), 0, "total's promise holds all the time");
	is_u64(rngq_attr("stats/bytes") - stats_bytes, crowd_bytes(crowd),
	       "what they had adds up to stats/bytes");
	crowd_free(crowd);
}

/* Two readers sleep for want of total/'s bytes when @name becomes @text. */
static void test_waiting(const char *name, const char *text)
{
	struct reader readers[2];
	int fds[2];

	crowd_set_total(10, HOUR_MS, 0);
	for (int i = 0; i < 2; i++)
		fds[i] = rngq_open_unlimited(0);
	rngq_drain(fds[0]);
	for (int i = 0; i < 2; i++)
		reader_start_asleep(&readers[i], fds[i], 1);
	if (rngq_attr_write(text, "total/%s", name))
		bail_out("total/%s can be set to %s", name, text);
	for (int i = 0; i < 2; i++) {
		reader_join(&readers[i]);
		is_ret(readers[i].result, 1, "%s %s in total/ serves reader %d of 2 that sleep",
		       name, text, i + 1);
		close(fds[i]);
	}
}

int main(void)
{
	rngq_keep_globals();
	test_waiting("rate_bytes", "max");
	test_waiting("period_ms", "1");
	test_max_and_one_byte();
	test_up_and_down();
	test_other_limits();
	return done_testing();
}
