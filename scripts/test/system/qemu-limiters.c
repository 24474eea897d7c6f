// SPDX-License-Identifier: GPL-2.0
/*
 * QEMU's own limiter (max-bytes, period) and ours. A hostile guest gets past
 * QEMU's without leaving its VM, with QEMU's default settings and a file that
 * always has data: it has the device look at its queue a second time before
 * the first request is served, and QEMU's count of what is left goes below
 * zero. Ours at the same rate stops it. And with both, ours with a period of
 * burst, a well-behaved guest never finds ours empty.
 */
#include "qtest.h"
#include "rngq.h"

#define LIMIT_BYTES	1024
#define REQUEST_BYTES	64
#define VOLLEY		50
#define VOLLEYS		100
/* Far more than a limiter that errs by a period would let pass. */
#define FAR_MORE_BYTES	(10 * LIMIT_BYTES)

/* What an hour allows: no period ends while a test runs. */
#define QEMU_HOUR	"max-bytes=1024,period=3600000"

#define PAIR_SECOND	"max-bytes=1024,period=1000"
#define PERIOD_MS	1000
#define PERIODS		6
#define SLACK_MS	20000
#define PAUSE_MS	5

/* Volleys, until the guest has far more than it should, or was stopped. */
static void attack(struct guest *guest)
{
	for (unsigned int i = 0;
	     i < VOLLEYS && guest->got_bytes < FAR_MORE_BYTES; i++) {
		while (guest_outstanding(guest) < guest->slots)
			guest_post(guest, REQUEST_BYTES);
		if (!guest_volley(guest, VOLLEY))
			bail_out("QEMU survives a volley");
		while (guest_outstanding(guest) &&
		       guest_fetch(guest, NULL) != GUEST_NOTHING)
			;
	}
}

static void test_qemu_alone_polite(void)
{
	u64 start_ms = rngq_now_ms();
	struct guest guest;

	rngq_set_default(RNGQ_MAX, PERIOD_MS, 0, 0);
	guest_boot(&guest, QEMU_HOUR);
	while (guest.got_bytes < LIMIT_BYTES &&
	       rngq_now_ms() - start_ms < SLACK_MS)
		guest_serve(&guest, REQUEST_BYTES);
	for (int i = 0; i < VOLLEYS; i++)
		guest_serve(&guest, REQUEST_BYTES);
	is_u64(guest.got_bytes, LIMIT_BYTES,
	       "QEMU's limiter alone holds for a well-behaved guest");
	guest_kill(&guest);
}

static void test_qemu_alone_hostile(void)
{
	struct guest guest;
	u64 id;

	rngq_set_default(RNGQ_MAX, PERIOD_MS, 0, 0);
	id = guest_boot(&guest, QEMU_HOUR);
	attack(&guest);
	diag("%d bytes an hour allowed: %llu delivered, %llu read",
	     LIMIT_BYTES, guest.got_bytes, rngq_attr("clients/%llu/bytes", id));
	ok(guest.got_bytes >= FAR_MORE_BYTES,
	   "QEMU's limiter alone is passed by a hostile guest");
	ok(guest_alive(&guest), "which QEMU does not notice");
	guest_kill(&guest);
}

static void test_pair_hostile(void)
{
	struct guest guest;
	u64 id, bytes;

	rngq_set_default(LIMIT_BYTES, HOUR_MS, LIMIT_BYTES, 0);
	id = guest_boot(&guest, QEMU_HOUR);
	attack(&guest);
	bytes = rngq_attr("clients/%llu/bytes", id);
	diag("%llu delivered, %llu read", guest.got_bytes, bytes);
	/* The bucket at first: rate_bytes + burst_bytes, and no refill. */
	is_between(bytes, LIMIT_BYTES + 1, 2 * LIMIT_BYTES,
		   "the same attack gets past QEMU's, and no byte past ours");
	ok(guest.got_bytes <= bytes, "nor has the guest more than was read");
	ok(rngq_attr("clients/%llu/throttled", id) > 0,
	   "the device was what stopped it");
	ok(guest_alive(&guest), "QEMU lives");
	guest_kill(&guest);
}

/* A guest that always wants more, and asks again only when it was answered. */
static void test_pair_polite(void)
{
	struct guest guest;
	u64 id, start_ms;

	rngq_set_default(LIMIT_BYTES, PERIOD_MS, LIMIT_BYTES, 0);
	id = guest_boot(&guest, PAIR_SECOND);
	start_ms = rngq_now_ms();
	while (guest.got_bytes < PERIODS * LIMIT_BYTES &&
	       rngq_now_ms() - start_ms < PERIODS * PERIOD_MS + SLACK_MS) {
		if (!guest_serve(&guest, LIMIT_BYTES))
			rngq_sleep_ms(PAUSE_MS);
	}
	diag("%llu bytes in %llu ms", guest.got_bytes,
	     rngq_now_ms() - start_ms);
	ok(guest.got_bytes >= PERIODS * LIMIT_BYTES,
	   "both limiters: a well-behaved guest has its %d periods' bytes",
	   PERIODS);
	is_u64(rngq_attr("clients/%llu/throttled", id), 0,
	       "both limiters: its QEMU never finds the device empty");
	guest_kill(&guest);
}

int main(void)
{
	rngq_keep_globals();
	test_qemu_alone_polite();
	test_qemu_alone_hostile();
	test_pair_hostile();
	test_pair_polite();
	return done_testing();
}
