// SPDX-License-Identifier: GPL-2.0
/*
 * One real QEMU with its rng-random on the device: its guest gets its quota,
 * not a byte more, and feels a change at once.
 */
#include <errno.h>
#include <stdio.h>

#include "qtest.h"
#include "rngq.h"

#define RATE_BYTES	24
#define PERIOD_MS	1000
#define PERIODS		6
#define REQUEST_BYTES	64
#define NOBODY		65534
/* QEMU may run under a second emulator. */
#define SLACK_MS	20000
#define PAUSE_MS	5

/* "What QEMU's max-bytes/period mean": full at first, then a step a period. */
static u64 allowed_bytes(u64 since_ms)
{
	return RATE_BYTES * (1 + (rngq_now_ms() - since_ms) / PERIOD_MS);
}

/* Serve the guest until it has @bytes more; returns whether it came to that. */
static bool serve_until(struct guest *guest, u64 bytes, u64 timeout_ms)
{
	u64 wanted = guest->got_bytes + bytes, start_ms = rngq_now_ms();

	while (guest->got_bytes < wanted) {
		if (rngq_now_ms() - start_ms > timeout_ms)
			return false;
		if (!guest_serve(guest, REQUEST_BYTES))
			rngq_sleep_ms(PAUSE_MS);
	}
	return true;
}

/* Serve the guest until its client is empty and it waits for a buffer. */
static void serve_until_empty(struct guest *guest, u64 id)
{
	do {
		guest_serve(guest, REQUEST_BYTES);
	} while (rngq_attr("clients/%llu/available", id) ||
		 guest_fetch(guest, NULL) != GUEST_NOTHING);
	if (!guest_outstanding(guest))
		guest_serve(guest, REQUEST_BYTES);
}

static void test_identity(u64 id)
{
	char text[64];

	rngq_attr_read(text, sizeof(text), "clients/%llu/comm", id);
	is_str(text, "qemu-system-x86\n", "comm is QEMU's");
	is_u64(rngq_attr("clients/%llu/uid", id), NOBODY, "uid is QEMU's user");
	is_u64(rngq_attr("clients/%llu/bytes", id), 0,
	       "QEMU reads nothing before its guest asks");
}

static void test_steady(struct guest *guest, u64 id)
{
	u64 start_ms = rngq_now_ms(), wanted = PERIODS * RATE_BYTES, bytes;
	unsigned int over = 0;

	guest_init_rng(guest);
	while (guest->got_bytes < wanted &&
	       rngq_now_ms() - start_ms < PERIODS * PERIOD_MS + SLACK_MS) {
		if (!guest_serve(guest, REQUEST_BYTES))
			rngq_sleep_ms(PAUSE_MS);
		if (guest->got_bytes > allowed_bytes(start_ms))
			over++;
	}
	diag("%llu bytes in %llu ms", guest->got_bytes,
	     rngq_now_ms() - start_ms);
	is_u64(over, 0, "the guest never has more than its quota");
	ok(guest->got_bytes >= wanted, "%u periods brought their bytes",
	   PERIODS);
	bytes = rngq_attr("clients/%llu/bytes", id);
	is_between(bytes, guest->got_bytes, allowed_bytes(start_ms),
		   "the client's bytes: what the guest got, and within quota");
	ok(rngq_attr("clients/%llu/reads", id) >= PERIODS,
	   "each period's bytes were a read");
	ok(rngq_attr("clients/%llu/throttled", id) >= PERIODS - 2,
	   "QEMU's waits are counted");
	ok(guest_alive(guest), "QEMU takes EAGAIN as a reason to wait");
}

static void set_client(u64 id, const char *name, const char *value)
{
	if (rngq_attr_write(value, "clients/%llu/%s", id, name))
		bail_out("%s can be set to %s", name, value);
}

static void test_live(struct guest *guest, u64 id)
{
	u64 start_ms, before;

	set_client(id, "period_ms", "3600000");
	serve_until_empty(guest, id);
	before = guest->got_bytes;
	start_ms = rngq_now_ms();
	while (rngq_now_ms() - start_ms < 3 * PERIOD_MS) {
		guest_serve(guest, REQUEST_BYTES);
		rngq_sleep_ms(PAUSE_MS);
	}
	is_u64(guest->got_bytes, before, "a longer period holds a waiting guest");

	start_ms = rngq_now_ms();
	set_client(id, "rate_bytes", "max");
	ok(serve_until(guest, 10 * REQUEST_BYTES, SLACK_MS),
	   "rate_bytes = max reaches the waiting guest");
	diag("after %llu ms", rngq_now_ms() - start_ms);

	set_client(id, "rate_bytes", "24");
	serve_until_empty(guest, id);
	start_ms = rngq_now_ms();
	set_client(id, "period_ms", "1");
	ok(serve_until(guest, RATE_BYTES, SLACK_MS),
	   "a shorter period reaches the waiting guest");
	diag("after %llu ms", rngq_now_ms() - start_ms);
	ok(guest_alive(guest), "QEMU survives the changes");
}

int main(void)
{
	struct guest_options options = {
		.filename = RNGQ_DEV, .uid = NOBODY,
	};
	struct guest guest;
	u64 id;

	rngq_keep_globals();
	if (rngq_attr_write("24", "default/rate_bytes") ||
	    rngq_attr_write("1000", "default/period_ms"))
		bail_out("the defaults can be set");
	guest_start(&guest, &options);
	guest_wait_up(&guest);
	id = guest_client(&guest);
	if (!id)
		bail_out("there is a client with QEMU's pid");

	test_identity(id);
	test_steady(&guest, id);
	test_live(&guest, id);

	guest_kill(&guest);
	is_ret(rngq_attr_write("1", "clients/%llu/rate_bytes", id), -ENOENT,
	       "a killed QEMU leaves no client");
	return done_testing();
}
