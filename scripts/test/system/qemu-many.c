// SPDX-License-Identifier: GPL-2.0
/*
 * Twenty real QEMUs at once, each with a quota of its own: each guest gets
 * its own, the counters add up, and killed QEMUs leave nothing behind.
 */
#include <errno.h>
#include <stdio.h>

#include "qtest.h"
#include "rngq.h"

#define GUESTS		20
#define PERIOD_MS	2000
#define PERIODS		4
#define REQUEST_BYTES	512
#define SLACK_MS		(60000 * rngq_slowness())
#define PAUSE_MS	20

struct run {
	struct guest guest;
	u64 id;
	u64 rate_bytes;
	u64 start_ms;
	unsigned int over;
};

static struct run runs[GUESTS];

static u64 allowed_bytes(const struct run *run)
{
	u64 elapsed_ms = rngq_now_ms() - run->start_ms;

	return run->rate_bytes * (1 + elapsed_ms / PERIOD_MS);
}

static void set_up(void)
{
	struct guest_options options = { .filename = RNGQ_DEV };

	for (int i = 0; i < GUESTS; i++)
		guest_start(&runs[i].guest, &options);
	for (int i = 0; i < GUESTS; i++) {
		struct run *run = &runs[i];
		char rate[24];

		guest_wait_up(&run->guest);
		run->id = guest_client(&run->guest);
		if (!run->id)
			bail_out("QEMU %d has a client", run->guest.pid);
		run->rate_bytes = 8 * (1 + i);
		snprintf(rate, sizeof(rate), "%llu", run->rate_bytes);
		if (rngq_attr_write(rate, "clients/%llu/rate_bytes", run->id))
			bail_out("client %llu can be given a rate", run->id);
	}
}

/* Serve all guests until each had its periods; returns how many had. */
static unsigned int serve(void)
{
	u64 begin_ms = rngq_now_ms();
	unsigned int had;

	for (int i = 0; i < GUESTS; i++) {
		runs[i].start_ms = rngq_now_ms();
		guest_init_rng(&runs[i].guest);
	}
	do {
		had = 0;
		for (int i = 0; i < GUESTS; i++) {
			struct run *run = &runs[i];

			guest_serve(&run->guest, REQUEST_BYTES);
			if (run->guest.got_bytes > allowed_bytes(run))
				run->over++;
			if (run->guest.got_bytes >= PERIODS * run->rate_bytes)
				had++;
		}
		rngq_sleep_ms(PAUSE_MS);
	} while (had < GUESTS &&
		 rngq_now_ms() - begin_ms < PERIODS * PERIOD_MS + SLACK_MS);
	diag("%u guests had %u periods' bytes in %llu ms", had, PERIODS,
	     rngq_now_ms() - begin_ms);
	return had;
}

/* Take back every buffer that QEMU still has, so that nothing is under way. */
static void settle(void)
{
	for (int i = 0; i < GUESTS; i++) {
		struct guest *guest = &runs[i].guest;

		while (guest_outstanding(guest) &&
		       guest_fetch(guest, NULL) == GUEST_NOTHING)
			rngq_sleep_ms(PAUSE_MS);
	}
}

static void check(u64 stats_before)
{
	unsigned int over = 0, alive = 0, within = 0, matching = 0;
	u64 sum = 0;

	settle();
	for (int i = 0; i < GUESTS; i++) {
		struct run *run = &runs[i];
		u64 bytes = rngq_attr("clients/%llu/bytes", run->id);

		over += run->over;
		alive += guest_alive(&run->guest);
		within += bytes <= allowed_bytes(run);
		matching += bytes >= run->guest.got_bytes;
		sum += bytes;
	}
	is_u64(over, 0, "no guest ever has more than its own quota");
	is_u64(within, GUESTS, "nor has any QEMU");
	is_u64(alive, GUESTS, "all QEMUs live");
	is_u64(matching, GUESTS, "each client's bytes hold what its guest got");
	is_u64(rngq_attr("stats/bytes") - stats_before, sum,
	       "the clients' bytes add up to stats/bytes");
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients"), opens = rngq_attr("stats/opens");
	u64 bytes = rngq_attr("stats/bytes");
	unsigned int left = 0;

	rngq_keep_globals();
	if (rngq_attr_write("1", "default/rate_bytes") ||
	    rngq_attr_write("2000", "default/period_ms"))
		bail_out("the defaults can be set");
	set_up();
	is_u64(rngq_attr("stats/clients"), clients + GUESTS,
	       "%u QEMUs are %u clients", GUESTS, GUESTS);
	is_u64(rngq_attr("stats/opens"), opens + GUESTS, "each opened once");
	is_u64(serve(), GUESTS, "each guest gets its own quota");
	check(bytes);

	for (int i = 0; i < GUESTS; i++)
		guest_kill(&runs[i].guest);
	for (int i = 0; i < GUESTS; i++) {
		char text[32];

		left += rngq_attr_read(text, sizeof(text), "clients/%llu/pid",
				       runs[i].id) != -ENOENT;
	}
	is_u64(left, 0, "killed QEMUs leave no client behind");
	is_u64(rngq_attr("stats/clients"), clients, "nor in stats/clients");
	return done_testing();
}
