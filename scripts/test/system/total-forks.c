// SPDX-License-Identifier: GPL-2.0
/*
 * "A new process is new: only total/ bounds what many of them get." Fork bombs, of
 * which each child opens once, takes its first fill, and is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define CHILDREN	200
#define LOG_SIZE	(16 * CHILDREN)

/* Shared by all of them. */
struct bomb {
	int flags;
	size_t wants_bytes;		/* 0: whatever there is */
	atomic_size_t logged;
	atomic_uint wrong, served;
	struct crowd_read log[LOG_SIZE];
};

static void note(struct bomb *bomb, u64 before_ns, ssize_t count)
{
	size_t entry = bomb->logged++;

	if (entry < LOG_SIZE)
		bomb->log[entry] = (struct crowd_read){
			before_ns, rngq_now_ns(), count,
		};
}

static void run_child(struct bomb *bomb)
{
	int fd = open(RNGQ_DEV, O_RDONLY | bomb->flags);
	size_t wanted = bomb->wants_bytes, got = 0;
	char bytes[4096];

	while (!bomb->wants_bytes || got < wanted) {
		u64 before_ns = rngq_now_ns();
		ssize_t count = read(fd, bytes, wanted ? wanted - got : sizeof(bytes));

		if (count <= 0) {
			if (wanted || errno != EAGAIN)
				bomb->wrong++;
			break;
		}
		note(bomb, before_ns, count);
		got += count;
	}
	bomb->served += got > 0;
}

/* All children, @at_once of them alive at a time. */
static void explode(struct bomb *bomb, unsigned int at_once)
{
	unsigned int living = 0;

	for (unsigned int i = 0; i < CHILDREN; i++) {
		pid_t pid;

		if (living == at_once) {
			wait(NULL);
			living--;
		}
		pid = fork();
		if (pid < 0)
			bail_out("child %u can be forked", i);
		if (!pid) {
			run_child(bomb);
			_exit(EXIT_SUCCESS);
		}
		living++;
	}
	while (living--)
		wait(NULL);
}

static u64 sum_of(const struct bomb *bomb)
{
	u64 sum = 0;

	for (size_t i = 0; i < bomb->logged && i < LOG_SIZE; i++)
		sum += bomb->log[i].bytes;
	return sum;
}

static struct bomb *new_bomb(int flags, size_t wants_bytes)
{
	struct bomb *bomb = mmap(NULL, sizeof(*bomb), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (bomb == MAP_FAILED)
		bail_out("there is memory for a bomb");
	bomb->flags = flags;
	bomb->wants_bytes = wants_bytes;
	return bomb;
}

static void check(struct bomb *bomb, const struct crowd_quota *total, u64 stats_bytes,
		  const char *name)
{
	u64 sum = sum_of(bomb);

	diag("%llu bytes in %zu reads", sum, (size_t)bomb->logged);
	if (bomb->logged > LOG_SIZE)
		bail_out("the log is large enough");
	is_u64(bomb->wrong, 0, "%s: no call gave what it must not", name);
	is_u64(crowd_excess_of(bomb->log, bomb->logged, total), 0,
	       "%s: never a byte more than total/ promises", name);
	is_u64(rngq_attr("stats/bytes") - stats_bytes, sum,
	       "%s: what they had adds up to stats/bytes", name);
}

/* Each takes what it finds: without total/ that were CHILDREN first fills. */
static void test_grabbing(unsigned int at_once, const char *name)
{
	const struct crowd_quota total = {
		.rate_bytes = 1500, .period_ms = 200, .burst_bytes = 500,
	};
	struct bomb *bomb = new_bomb(O_NONBLOCK, 0);
	u64 stats_bytes;

	crowd_set_total(total.rate_bytes, total.period_ms, total.burst_bytes);
	stats_bytes = rngq_attr("stats/bytes");
	explode(bomb, at_once);
	check(bomb, &total, stats_bytes, name);
	ok(sum_of(bomb) >= total.rate_bytes + total.burst_bytes,
	   "%s: they got what there was", name);
	munmap(bomb, sizeof(*bomb));
}

/* Each waits until it has had a few bytes: in the end all have. */
static void test_waiting(unsigned int at_once, const char *name)
{
	const struct crowd_quota total = { .rate_bytes = 40, .period_ms = 50 };
	struct bomb *bomb = new_bomb(0, 5);
	u64 stats_bytes;

	crowd_set_total(total.rate_bytes, total.period_ms, total.burst_bytes);
	stats_bytes = rngq_attr("stats/bytes");
	explode(bomb, at_once);
	check(bomb, &total, stats_bytes, name);
	is_u64(bomb->served, CHILDREN, "%s: each of them was served", name);
	munmap(bomb, sizeof(*bomb));
}

/* Only to see that the tests above have something to stop. */
static void test_without_total(void)
{
	struct bomb *bomb = new_bomb(O_NONBLOCK, 0);

	crowd_set_total(RNGQ_MAX, 1000, 0);
	explode(bomb, 4);
	is_u64(sum_of(bomb), CHILDREN * 100, "without total/ each child has a first fill");
	munmap(bomb, sizeof(*bomb));
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients");

	rngq_keep_globals();
	rngq_set_default(100, HOUR_MS, 0, 0);
	test_without_total();
	test_grabbing(CHILDREN, "200 at once");
	test_grabbing(4, "one after the other");
	test_waiting(CHILDREN, "200 that wait");
	test_waiting(20, "20 at a time that wait");
	is_u64(rngq_attr("stats/clients"), clients, "every client has gone");
	return done_testing();
}
