// SPDX-License-Identifier: GPL-2.0
/*
 * Runs in the machine that is saved, restored, and whose memory is searched. It
 * does what the host says, a letter a line, and then says "ready":
 *
 *	d	reads, and gets all
 *	f	the same reads, but the first has not enough room, the others none
 *	k	reads, and keeps what it got
 *	c	a crowd reads, and twice says "save me" and waits for the host
 *
 * What it got it says in hexadecimal, so that this is no copy of it, and wipes
 * it: "bytes", and "first" for those that see REGISTER_BYTES.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/random.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../system/hosts.h"
#include "../system/rngq.h"

#define TINY_BYTES	32		/* go through a buffer on the stack, which */
#define SMALL_BYTES	256		/* is wiped in two ways, */
#define SMALL_READS	16		/* on a stack that begins elsewhere each time */
#define PAGE_BYTES	4096		/* and these through a large one */
#define ROOM_BYTES	1000
#define PROOF_BYTES	32
/*
 * A copy of less than 64 bytes goes through a register, 8 bytes at a time. If it
 * faults the kernel's record of the fault has that register, and stays on the stack
 * until something overwrites it: the first bytes of tiny reads into bad addresses.
 */
#define REGISTER_BYTES	8

static int fd;
static char large[PAGE_BYTES], small[SMALL_READS][SMALL_BYTES];
static char tiny[SMALL_READS][TINY_BYTES], kept[SMALL_BYTES];
static char *bad_page;			/* a page with room lies before it */

/*
 * A thread of its own reads, and does nothing else, so that little else wipes its
 * kernel stack.
 */
static sem_t wanted, done;
static void (*job)(void);

static void *work(void *unused)
{
	for (;;) {
		sem_wait(&wanted);
		job();
		sem_post(&done);
	}
	return unused;
}

static void let_do(void (*what)(void))
{
	job = what;
	sem_post(&wanted);
	sem_wait(&done);
}

static void do_read(char *where, size_t size, ssize_t expected)
{
	if (read(fd, where, size) != expected)
		bail_out("a read of %zu bytes returns %zd", size, expected);
}

static void deliver(void)
{
	do_read(large, PAGE_BYTES, PAGE_BYTES);
	for (int i = 0; i < SMALL_READS; i++) {
		do_read(small[i], SMALL_BYTES, SMALL_BYTES);
		do_read(tiny[i], TINY_BYTES, TINY_BYTES);
	}
}

static void fault(void)
{
	do_read(bad_page - ROOM_BYTES, PAGE_BYTES, ROOM_BYTES);
	for (int i = 0; i < SMALL_READS; i++) {
		do_read(bad_page, SMALL_BYTES, -1);
		do_read(bad_page, TINY_BYTES, -1);
	}
}

static void keep(void)
{
	do_read(kept, SMALL_BYTES, SMALL_BYTES);
}

/* Byte by byte, lest they stay behind in a vector register. */
static void tell_as(const char *name, const volatile char *bytes, size_t size)
{
	printf("%s ", name);
	for (size_t i = 0; i < size; i++)
		printf("%02x", (unsigned char)bytes[i]);
	printf("\n");
}

static void tell(const volatile char *bytes, size_t size)
{
	tell_as("bytes", bytes, size);
}

static void tell_tiny(void)
{
	for (int i = 0; i < SMALL_READS; i++) {
		tell_as("first", tiny[i], REGISTER_BYTES);
		tell(tiny[i] + REGISTER_BYTES, TINY_BYTES - REGISTER_BYTES);
	}
}

/* After the same reads it is the same; on another stack, see above. */
static void prove(void)
{
	char bytes[PROOF_BYTES];

	do_read(bytes, PROOF_BYTES, PROOF_BYTES);
	tell(bytes, PROOF_BYTES);
	explicit_bzero(bytes, PROOF_BYTES);
}

static void save_me(struct crowd *crowd)
{
	char line[8];

	(void)crowd;
	printf("save me\n");
	if (!fgets(line, sizeof(line), stdin))
		bail_out("the host goes on");
}

/* All that itself takes random numbers, so that nothing does later. */
static void prepare(void)
{
	int random = open("/dev/random", O_RDWR);
	pthread_t thread;
	char *room;

	setlinebuf(stdout);
	fd = rngq_open_unlimited(0);
	sem_init(&wanted, 0, 0);
	sem_init(&done, 0, 0);
	room = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (room == MAP_FAILED)
		bail_out("memory can be mapped");
	bad_page = room + PAGE_BYTES;
	if (mprotect(bad_page, PAGE_BYTES, PROT_NONE) ||
	    pthread_create(&thread, NULL, work, NULL))
		bail_out("there are a bad address, and a thread that reads");
	/* Not again for some seconds, then. */
	if (random < 0 || ioctl(random, RNDRESEEDCRNG))
		bail_out("the kernel's generator can be reseeded");
	close(random);
}

int main(void)
{
	char line[8];

	prepare();
	do {
		printf("ready\n");
		if (!fgets(line, sizeof(line), stdin))
			bail_out("the host goes on");
		switch (*line) {
		case 'd':
			let_do(deliver);
			prove();
			tell(large, sizeof(large));
			tell(*small, sizeof(small));
			tell_tiny();
			explicit_bzero(large, sizeof(large));
			explicit_bzero(small, sizeof(small));
			explicit_bzero(tiny, sizeof(tiny));
			break;
		case 'f':
			let_do(fault);
			prove();
			explicit_bzero(bad_page - ROOM_BYTES, ROOM_BYTES);
			break;
		case 'k':
			let_do(keep);
			tell(kept, sizeof(kept));
			break;
		case 'c':
			hosts_try("a snapshot is restored", save_me);
			break;
		}
	} while (true);
}
