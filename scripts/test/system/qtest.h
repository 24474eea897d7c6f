/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A real QEMU whose guest is played by the test: its firmware only halts,
 * and the test drives its virtio-rng through the qtest protocol, by the same
 * ports and memory that a guest's driver would use. So a guest costs no CPU
 * and can be as well or as badly behaved as a test needs.
 *
 * A QEMU that is missing, dead or silent makes the test give up.
 */
#ifndef QTEST_H
#define QTEST_H

#include <stdbool.h>
#include <sys/types.h>

#include "tap.h"

struct guest {
	pid_t pid;		/* QEMU's, 0 once it is gone */
	int fd;			/* our end of the qtest connection */
	unsigned int slots;	/* size of the virtqueue */
	unsigned short posted;	/* buffers given to the device, as it counts */
	unsigned short fetched;	/* buffers taken back, as it counts */
	u64 got_bytes;		/* delivered to the guest so far */
};

/* What a QEMU is started with; zero means QEMU's default. */
struct guest_options {
	const char *filename;	/* of rng-random; must be set */
	const char *device;	/* more properties of virtio-rng-pci */
	uid_t uid;		/* QEMU's user */
};

/* What guest_fetch() finds when no buffer came back. */
#define GUEST_NOTHING	(-1)

/* Start QEMU without waiting for it. */
void guest_start(struct guest *guest, const struct guest_options *options);

/* Wait until QEMU is up: it has its file open, the guest does nothing yet. */
void guest_wait_up(struct guest *guest);

/* The id of QEMU's client, found by its pid; 0 if it has none. */
u64 guest_client(const struct guest *guest);

/* Find the device, set up its queue, tell it that the driver is ready. */
void guest_init_rng(struct guest *guest);

/*
 * All of this, for a QEMU on our device with these properties of
 * virtio-rng-pci. Returns the id of its client; without one, gives the test up.
 */
u64 guest_boot(struct guest *guest, const char *device);

/* Put a buffer of @bytes into the queue; the device is not told. */
void guest_post(struct guest *guest, unsigned int bytes);

/* Notify the device; returns when QEMU has handled the notification. */
void guest_notify(struct guest *guest);

/*
 * Say @times over that the driver is ready, 64 times at the most. Each makes
 * the device look at its queue as a notification does, but at once, whatever
 * its ioeventfd property is; and QEMU's main loop serves no request before the
 * last. (A guest's CPU is as quick.) Returns whether QEMU lived through it.
 */
bool guest_volley(struct guest *guest, unsigned int times);

/* Buffers that the device has and did not give back. */
unsigned int guest_outstanding(const struct guest *guest);

/*
 * Take back one buffer: how many bytes the device put into it, which are
 * copied to @data if that is not NULL, or GUEST_NOTHING.
 */
int guest_fetch(struct guest *guest, void *data);

/*
 * One round of a well-behaved driver: take back what came, and have one buffer
 * of @bytes waiting, notified once. Returns what came, 0 if nothing did.
 */
unsigned int guest_serve(struct guest *guest, unsigned int bytes);

/* True as long as QEMU has neither exited nor crashed. */
bool guest_alive(struct guest *guest);

/* SIGKILL, and wait until the process is gone. */
void guest_kill(struct guest *guest);

#endif
