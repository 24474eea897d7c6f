// SPDX-License-Identifier: GPL-2.0
/*
 * What a throttled file does to QEMU's memory. Each time that a guest asks
 * while QEMU waits, QEMU keeps one more request with a buffer of its own,
 * without bound. QEMU's own limiter keeps a well-behaved guest from that, and
 * does not stop a hostile one. A memory limit on QEMU's cgroup does: the
 * kernel then kills that QEMU, and nothing else.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup.h"
#include "qtest.h"
#include "rngq.h"

/* Both limiters, as recommended, but with a period that does not end. */
#define LIMIT_BYTES	1024
#define QEMU_HOUR	"max-bytes=1024,period=3600000"

#define VOLLEY		50
#define VOLLEYS		150
#define WAIT_MS		(20000 * rngq_slowness())
#define PAUSE_MS	5

/*
 * QEMU allocates a buffer for each request. One of a page takes a page: the
 * allocator's own header before it is written to.
 */
#define REQUEST_BYTES	4096
#define BUFFERS_KIB	(VOLLEYS * VOLLEY * REQUEST_BYTES / 1024)
/* Half of the buffers is growth beyond doubt, a tenth is noise. */
#define GROWTH_KIB	(BUFFERS_KIB / 2)
#define NOISE_KIB	(BUFFERS_KIB / 10)

/* Room for a QEMU whose guest has 16 MiB. */
#define CGROUP		"qemu"
#define CGROUP_MIB	64
#define CGROUP_BYTES	(CGROUP_MIB * 1024ULL * 1024)
/* Four times as many as it takes. */
#define DEADLY_VOLLEYS	(4 * CGROUP_MIB * 1024 * 1024 / REQUEST_BYTES / VOLLEY)

/* The number in line @name of the file @path. */
static u64 number_in(const char *path, const char *name)
{
	size_t length = strlen(name);
	FILE *file = fopen(path, "re");
	bool found = false;
	char line[256];

	while (file && !found && fgets(line, sizeof(line), file))
		found = !strncmp(line, name, length);
	if (!found)
		bail_out("%s has a line %s", path, name);
	fclose(file);
	return strtoull(line + length, NULL, 10);
}

/* QEMU's memory, without what it maps of files. */
static u64 memory_kib(const struct guest *guest)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", guest->pid);
	return number_in(path, "RssAnon:");
}

/* Processes that the kernel has killed for memory, on the whole machine. */
static u64 killed_processes(void)
{
	return number_in("/proc/vmstat", "oom_kill ");
}

/* Returns whether QEMU lived through it. */
static bool volleys(struct guest *guest, unsigned int count)
{
	while (count--)
		if (!guest_volley(guest, VOLLEY))
			return false;
	return true;
}

static u64 growth_kib(struct guest *guest, const char *name)
{
	u64 before_kib = memory_kib(guest), after_kib, start_ms;

	start_ms = rngq_now_ms();
	if (!volleys(guest, VOLLEYS))
		bail_out("QEMU survives %d volleys", VOLLEYS);
	after_kib = memory_kib(guest);
	diag("%s: %llu KiB, after %d times asked %llu KiB, in %llu ms", name,
	     before_kib, VOLLEYS * VOLLEY, after_kib, rngq_now_ms() - start_ms);
	return after_kib > before_kib ? after_kib - before_kib : 0;
}

/* Have QEMU take all that the device has; QEMU's limiter is broken then. */
static void break_limiter(struct guest *guest, u64 id)
{
	u64 give_up_ms = rngq_now_ms() + WAIT_MS;

	while (guest_outstanding(guest) < guest->slots)
		guest_post(guest, REQUEST_BYTES);
	guest_volley(guest, VOLLEY);
	while (rngq_attr("clients/%llu/bytes", id) < 2 * LIMIT_BYTES) {
		if (rngq_now_ms() > give_up_ms)
			bail_out("a volley breaks QEMU's limiter");
		rngq_sleep_ms(PAUSE_MS);
	}
}

static void test_polite(void)
{
	u64 give_up_ms = rngq_now_ms() + WAIT_MS;
	struct guest guest;
	u64 id = guest_boot(&guest, QEMU_HOUR);

	while (guest.got_bytes < LIMIT_BYTES) {
		if (rngq_now_ms() > give_up_ms)
			bail_out("QEMU's limiter lets %d bytes pass",
				 LIMIT_BYTES);
		guest_serve(&guest, REQUEST_BYTES);
	}
	/* QEMU's limiter holds, the buffers of the guest wait in the guest. */
	while (guest_outstanding(&guest) < guest.slots)
		guest_post(&guest, REQUEST_BYTES);
	ok(growth_kib(&guest, "QEMU's limiter holds") < NOISE_KIB,
	   "a guest that keeps to QEMU's limit makes QEMU keep nothing");
	is_u64(rngq_attr("clients/%llu/bytes", id), LIMIT_BYTES,
	       "it has what QEMU's limiter allows");
	guest_kill(&guest);
}

static void test_hostile(void)
{
	struct guest guest;
	u64 id = guest_boot(&guest, QEMU_HOUR);

	break_limiter(&guest, id);
	ok(growth_kib(&guest, "QEMU's limiter broken") >= GROWTH_KIB,
	   "a hostile guest makes QEMU grow while the device is empty");
	is_u64(rngq_attr("clients/%llu/bytes", id), 2 * LIMIT_BYTES,
	       "it has not a byte more than its quota");
	ok(guest_alive(&guest), "QEMU lives");
	guest_kill(&guest);
}

static void test_cgroup(void)
{
	u64 clients = rngq_attr("stats/clients"), killed = killed_processes();
	struct guest guest;
	u64 id;

	cgroup_mount();
	cgroup_make(CGROUP);
	cgroup_set(CGROUP, "memory.max", CGROUP_BYTES);
	/* So that all of QEMU is charged to it, from its start. */
	if (cgroup_enter(CGROUP, 0))
		bail_out("a process can enter a cgroup");
	id = guest_boot(&guest, QEMU_HOUR);
	if (cgroup_enter(".", 0))
		bail_out("a process can leave a cgroup");

	break_limiter(&guest, id);
	ok(!volleys(&guest, DEADLY_VOLLEYS),
	   "a memory limit of %d MiB on its cgroup ends QEMU's growth",
	   CGROUP_MIB);
	guest_kill(&guest);
	is_u64(cgroup_get(CGROUP, "memory.events", "oom_kill"), 1,
	       "the kernel has killed this QEMU");
	is_u64(killed_processes() - killed, 1, "and nothing else");
	is_u64(rngq_attr("stats/clients"), clients, "its client is gone");
	cgroup_remove(CGROUP);
}

int main(void)
{
	rngq_keep_globals();
	rngq_set_default(LIMIT_BYTES, HOUR_MS, LIMIT_BYTES, 0);
	test_polite();
	test_hostile();
	test_cgroup();
	return done_testing();
}
