// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile guest: it notifies many times for each buffer, so that requests
 * pile up in QEMU. That breaks QEMU's own limiter; the device's quota must
 * hold, with or without it, and QEMU must live.
 */
#include <stdio.h>

#include "qtest.h"
#include "rngq.h"

#define RATE_BYTES		24
#define PERIOD_MS		500
#define PERIODS			6
#define REQUEST_BYTES		64
#define NOTIFICATIONS		50
#define SLACK_MS		20000

struct attack {
	const char *name;
	const char *device;	/* properties of virtio-rng-pci */
	u64 burst_bytes;
	bool stopped;		/* QEMU must have found the device empty */
};

static const struct attack attacks[] = {
	{ "no limiter in QEMU, ioeventfd on", "ioeventfd=on", 24, true },
	{ "no limiter in QEMU, ioeventfd off", "ioeventfd=off", 24, true },
	/* A device that is empty when QEMU asks is what breaks its limiter. */
	{ "QEMU's limiter broken, ioeventfd on",
	  "ioeventfd=on,max-bytes=24,period=500", 0, true },
	{ "QEMU's limiter broken, ioeventfd off",
	  "ioeventfd=off,max-bytes=24,period=500", 0, true },
	/* With room for one period more it may hold, and ours isn't felt. */
	{ "both limiters, ours with a burst",
	  "max-bytes=24,period=500", 24, false },
};

static u64 allowed_bytes(const struct attack *attack, u64 since_ms)
{
	return RATE_BYTES + attack->burst_bytes +
	       RATE_BYTES * ((rngq_now_ms() - since_ms) / PERIOD_MS);
}

static void run(const struct attack *attack)
{
	struct guest_options options = {
		.filename = RNGQ_DEV, .device = attack->device,
	};
	unsigned int guest_over = 0, client_over = 0;
	u64 id, start_ms, bytes = 0;
	struct guest guest;
	char burst[24];

	snprintf(burst, sizeof(burst), "%llu", attack->burst_bytes);
	if (rngq_attr_write(burst, "default/burst_bytes"))
		bail_out("the default burst can be set");
	guest_start(&guest, &options);
	guest_wait_up(&guest);
	id = guest_client(&guest);
	if (!id)
		bail_out("there is a client with QEMU's pid");

	start_ms = rngq_now_ms();
	guest_init_rng(&guest);
	while (rngq_now_ms() - start_ms < PERIODS * PERIOD_MS ||
	       (bytes < PERIODS * RATE_BYTES &&
		rngq_now_ms() - start_ms < PERIODS * PERIOD_MS + SLACK_MS)) {
		while (guest_outstanding(&guest) < guest.slots)
			guest_post(&guest, REQUEST_BYTES);
		for (unsigned int i = 0; i < NOTIFICATIONS; i++)
			guest_notify(&guest);
		while (guest_outstanding(&guest) &&
		       guest_fetch(&guest, NULL) != GUEST_NOTHING)
			;
		if (guest.got_bytes > allowed_bytes(attack, start_ms))
			guest_over++;
		bytes = rngq_attr("clients/%llu/bytes", id);
		if (bytes > allowed_bytes(attack, start_ms))
			client_over++;
	}
	diag("%llu bytes read, %llu delivered in %llu ms", bytes,
	     guest.got_bytes, rngq_now_ms() - start_ms);
	is_u64(guest_over, 0, "%s: the guest never has more than its quota",
	       attack->name);
	is_u64(client_over, 0, "%s: nor has QEMU", attack->name);
	ok(bytes >= PERIODS * RATE_BYTES, "%s: nor much less", attack->name);
	/* On a slow kernel the guest may not come to ask too early. */
	if (attack->stopped && rngq_slowness() == 1)
		ok(rngq_attr("clients/%llu/throttled", id) > 0,
		   "%s: the device was what stopped it", attack->name);
	ok(guest_alive(&guest), "%s: QEMU lives", attack->name);
	guest_kill(&guest);
}

int main(void)
{
	rngq_keep_globals();
	if (rngq_attr_write("24", "default/rate_bytes") ||
	    rngq_attr_write("500", "default/period_ms"))
		bail_out("the defaults can be set");
	for (size_t i = 0; i < ARRAY_SIZE(attacks); i++)
		run(&attacks[i]);
	return done_testing();
}
