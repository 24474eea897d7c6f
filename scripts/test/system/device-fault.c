// SPDX-License-Identifier: GPL-2.0
/*
 * Reads into addresses that are bad, wholly or partly, or that make the copy
 * wait (userfaultfd): whatever happens, what was not delivered is given back, and
 * nothing is held while the copy waits.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"
#include "slow.h"

#define PAGE	4096UL
#define QUOTA	1000000ULL

static char *const nowhere;

static void handle(int signal)
{
	(void)signal;
}

/* @pages writable pages with an unmapped one behind them. */
static char *map_before_hole(size_t pages)
{
	char *start = mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (start == MAP_FAILED || munmap(start + pages * PAGE, PAGE))
		bail_out("memory can be mapped");
	return start;
}

static void test_bad(void)
{
	int fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0);
	char *readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const size_t sizes[] = { 1, 32, 256, 257, 4096, 100000, 2 * QUOTA };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		is_ret(rngq_read_nowait(fd, nowhere, sizes[i]), -EFAULT,
		       "%zu bytes to no address give EFAULT", sizes[i]);
	is_ret(rngq_read_nowait(fd, readonly, 64), -EFAULT, "so does read-only memory");
	is_ret(rngq_read_nowait(fd, none, 64), -EFAULT, "and inaccessible memory");
	is_ret(read(fd, none, 64) < 0 ? -errno : 0, -EFAULT, "a blocking read too");
	is_ret(rngq_read_nowait(fd, (void *)(~0UL - PAGE), 64), -EFAULT,
	       "and an address of the kernel");
	is_u64(rngq_client(fd, "available"), QUOTA, "all quota was given back");
	is_u64(rngq_client(fd, "bytes"), 0, "no byte was counted");
	is_u64(rngq_client(fd, "reads"), 0, "and no read");
	close(fd);

	fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	rngq_drain(fd);
	is_ret(rngq_read_nowait(fd, nowhere, 64), -EAGAIN,
	       "on an empty client a bad address gives EAGAIN");
	munmap(readonly, PAGE);
	munmap(none, PAGE);
	close(fd);
}

/*
 * A refund is no refill: a full client stays full, its clock not started, and
 * a spent one does not get a new period.
 */
static void test_refund_starts_no_clock(void)
{
	const u64 period_ms = 300;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	char bytes[16];
	u64 start_ns;

	is_ret(rngq_read_nowait(fd, nowhere, 10), -EFAULT, "(a failed read)");
	rngq_sleep_ms(200);
	start_ns = rngq_now_ns();
	is_u64(rngq_drain(fd), 10, "a client that got all back is full");
	is_ret(read(fd, bytes, sizeof(bytes)), 10, "(wait for the refill)");
	ok(rngq_now_ns() - start_ns >= period_ms * NSEC_PER_MSEC,
	   "its period starts at the first read that takes something");
	close(fd);
}

static void test_partly_bad(void)
{
	static const size_t goods[] = { 1, 31, 64, 255, 256, 300, 4095, 4096, 5000, 8192 };
	char *start = map_before_hole(2), *end = start + 2 * PAGE;
	int fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0);
	u64 left = QUOTA, reads = ARRAY_SIZE(goods);

	for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
		/* Else those that it stored and did not tell of were for nothing. */
		is_ret(rngq_read_nowait(fd, end - goods[i], goods[i] + 10000),
		       goods[i], "all of %zu good bytes are delivered", goods[i]);
		left -= goods[i];
		is_u64(rngq_client(fd, "available"), left, "the rest was given back");
	}
	is_ret(rngq_read_nowait(fd, start, 4 * PAGE), 2 * PAGE,
	       "up to a bad page all is delivered");
	left -= 2 * PAGE;
	is_u64(rngq_client(fd, "available"), left, "and the rest given back");
	is_u64(rngq_client(fd, "bytes"), QUOTA - left, "the count of bytes agrees");
	is_u64(rngq_client(fd, "reads"), reads + 1, "and that of reads");
	munmap(start, 2 * PAGE);
	close(fd);
}

static void test_partly_bad_vectors(void)
{
	int fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0);
	char good[100], more[100] = "";
	struct iovec good_first[] = { { good, 100 }, { nowhere, 50 }, { more, 100 } };
	struct iovec bad_first[] = { { nowhere, 50 }, { good, 100 } };

	is_ret(readv(fd, good_first, 3), 100, "readv() stops at the first bad buffer");
	ok(!more[0] && !more[99], "and leaves those behind it alone");
	is_ret(readv(fd, bad_first, 2) < 0 ? -errno : 0, -EFAULT,
	       "a bad first buffer gives EFAULT");
	is_u64(rngq_client(fd, "available"), QUOTA - 100, "the rest was given back");
	close(fd);
}

/* Boot credit that was not delivered is boot credit again. */
static void test_boot_credit(void)
{
	int fd;

	if (rngq_attr_write("50", "default/boot_bytes"))
		bail_out("the boot credit can be set");
	fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	rngq_attr_write("0", "default/boot_bytes");
	is_ret(rngq_read_nowait(fd, nowhere, 60), -EFAULT, "(a failed read of all)");
	is_u64(rngq_client(fd, "available"), 60, "credit and bucket were given back");
	is_ret(rngq_take(fd, 50), 50, "(spend the credit)");
	is_u64(rngq_client(fd, "available"), 10, "the bucket is still full");
	is_ret(rngq_read_nowait(fd, nowhere, 10), -EFAULT, "(a failed read again)");
	is_u64(rngq_client(fd, "available"), 10, "nothing went to the credit");
	close(fd);
}

/* Bad, half bad and good buffers, while a timer sends signals all the time. */
static void test_storm(void)
{
	const u64 quota = 1ULL << 40;
	int fd = rngq_open_quota(O_NONBLOCK, quota, HOUR_MS, 0);
	struct sigaction action = { .sa_handler = handle };
	struct itimerval storm = {
		.it_interval.tv_usec = 500, .it_value.tv_usec = 500,
	}, calm = { 0 };
	char *start = map_before_hole(2), *end = start + 2 * PAGE;
	unsigned int wrong[3] = { 0 }, tries = 0;
	u64 end_ns, got = 0;
	ssize_t count;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &storm, NULL);
	for (end_ns = rngq_now_ns() + NSEC_PER_SEC; rngq_now_ns() < end_ns; tries++) {
		switch (tries % 3) {
		case 0:
			count = read(fd, end, 1 + tries % 9000);
			/* With a signal pending it may say so, its own way. */
			wrong[0] += count >= 0 || (errno != EFAULT && errno != EAGAIN);
			break;
		case 1:
			count = read(fd, end - PAGE, 3 * PAGE);
			wrong[1] += count != PAGE;
			break;
		default:
			/* Its pages are thrown away, so that the copy faults. */
			madvise(start, 2 * PAGE, MADV_DONTNEED);
			count = read(fd, start, 2 * PAGE);
			wrong[2] += count <= 0;
		}
		if (count > 0)
			got += count;
	}
	setitimer(ITIMER_REAL, &calm, NULL);
	diag("%u reads under signals", tries);
	is_u64(wrong[0], 0, "under signals a bad address is one, or the signal is told");
	is_u64(wrong[1], 0, "what is good before a bad page is delivered");
	is_u64(wrong[2], 0, "and all, if its pages are only not there yet");
	is_u64(rngq_client(fd, "bytes"), got, "what they returned was counted");
	is_u64(rngq_client(fd, "available"), quota - got, "all else was given back");
	munmap(start, 2 * PAGE);
	close(fd);
}

/* read(fd, page - before, size) in a thread, whose copy waits for the page. */
struct slow_read {
	int fd;
	size_t size;
	size_t before;		/* so much of it fits before the page */
	ssize_t result;
	pthread_t thread;
	struct slow_page slow;
};

static void *read_slowly(void *argument)
{
	struct slow_read *reading = argument;

	reading->result = read(reading->fd, reading->slow.page - reading->before,
			       reading->size);
	if (reading->result < 0)
		reading->result = -errno;
	return NULL;
}

/* Back when its copy waits. */
static void slow_read_start(struct slow_read *reading)
{
	slow_page_map(&reading->slow);
	/* That page is there. */
	reading->slow.page[-1] = 0;
	if (pthread_create(&reading->thread, NULL, read_slowly, reading))
		bail_out("a thread can be started");
	slow_page_wait_touched(&reading->slow);
}

static ssize_t read_interrupted(int fd, size_t size, int sa_flags)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = sa_flags };
	struct slow_read reading = { .fd = fd, .size = size };

	sigaction(SIGUSR1, &action, NULL);
	slow_read_start(&reading);
	pthread_kill(reading.thread, SIGUSR1);
	rngq_sleep_ms(20);
	slow_page_fill(&reading.slow);
	pthread_join(reading.thread, NULL);
	slow_page_unmap(&reading.slow);
	return reading.result;
}

/*
 * "A pending signal never shows as EFAULT." Whether the copy gives way to the
 * signal or waits for the page is the kernel's affair.
 */
static void test_interrupted_copy(int flags, int sa_flags, s64 else_error,
				  const char *name)
{
	static const size_t sizes[] = { 64, PAGE };
	int fd = rngq_open_quota(flags, QUOTA, HOUR_MS, 0);
	u64 left = QUOTA;

	for (int i = 0; i < 2; i++) {
		ssize_t count = read_interrupted(fd, sizes[i], sa_flags);

		ok(count == (ssize_t)sizes[i] || (else_error && count == else_error),
		   "a signal during the copy of %zu bytes, %s: %zd", sizes[i],
		   name, count);
		if (count > 0)
			left -= count;
		is_u64(rngq_client(fd, "available"), left, "what was not had was given back");
	}
	is_u64(rngq_client(fd, "bytes"), QUOTA - left, "the count of bytes agrees");
	close(fd);
}

/*
 * A read "returns min(asked, available)". However long its copy takes, what is
 * refilled meanwhile is for the next one.
 */
static void test_refill_during_copy(void)
{
	int fd = rngq_open_quota(0, 1000, 10, 0);
	struct slow_read reading = { .fd = fd, .size = PAGE };

	slow_read_start(&reading);
	rngq_sleep_ms(50);
	slow_page_fill(&reading.slow);
	pthread_join(reading.thread, NULL);
	is_ret(reading.result, 1000, "a read that lasts for periods gets what one holds");
	slow_page_unmap(&reading.slow);
	close(fd);
}

/*
 * While the copy waits for its page, everybody sees what they would see if nobody
 * read, and can have it. What is left then is for the one that waited.
 */
static void test_nothing_held(size_t size)
{
	int fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0);
	struct slow_read reading = { .fd = fd, .size = size };
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	static char bytes[QUOTA];

	slow_read_start(&reading);
	is_u64(rngq_client(fd, "available"), QUOTA,
	       "while the copy of %zu bytes waits, all is available", size);
	is_u64(rngq_fdinfo(fd, "available"), QUOTA, "fdinfo says so, too");
	is_ret(poll(&pollfd, 1, 0), 1, "the client is readable");
	is_u64(rngq_client(fd, "throttled"), 0, "and nobody was throttled");
	is_ret(read(fd, bytes, QUOTA - 10), QUOTA - 10, "another reader of it gets what it wants");
	is_u64(rngq_client(fd, "available"), 10, "the rest is there");
	slow_page_fill(&reading.slow);
	pthread_join(reading.thread, NULL);
	is_ret(reading.result, 10, "the one that waited returns the rest");
	is_u64(rngq_client(fd, "bytes"), QUOTA, "the count of bytes agrees");
	slow_page_unmap(&reading.slow);
	close(fd);
}

/* Others have taken all meanwhile. */
static void test_nothing_left(void)
{
	int fd = rngq_open_quota(0, 1000, HOUR_MS, 0);
	struct slow_read reading = { .fd = fd, .size = 64 };

	slow_read_start(&reading);
	is_u64(rngq_drain(fd), 1000, "while a copy waits others take all");
	slow_page_fill(&reading.slow);
	rngq_sleep_ms(50);
	is_ret(pthread_tryjoin_np(reading.thread, NULL), EBUSY,
	       "then the read waits for a refill, like any other");
	is_u64(rngq_client(fd, "throttled"), 1, "and is throttled");
	rngq_set_quota(fd, 1000, 1, 0);
	pthread_join(reading.thread, NULL);
	is_ret(reading.result, 64, "which it gets");
	slow_page_unmap(&reading.slow);
	close(fd);

	fd = rngq_open_quota(O_NONBLOCK, 1000, HOUR_MS, 0);
	reading.fd = fd;
	slow_read_start(&reading);
	is_u64(rngq_drain(fd), 1000, "while a non-blocking copy waits others take all");
	slow_page_fill(&reading.slow);
	pthread_join(reading.thread, NULL);
	is_ret(reading.result, -EAGAIN, "then the read finds nothing");
	slow_page_unmap(&reading.slow);
	close(fd);
}

/* What came before the page is delivered, and no more of it is to be had than that. */
static void test_short_for_others(void)
{
	int fd = rngq_open_quota(0, 1000, HOUR_MS, 0);
	struct slow_read reading = { .fd = fd, .size = PAGE, .before = 256 };

	slow_read_start(&reading);
	is_u64(rngq_client(fd, "available"), 1000 - 256,
	       "of a copy that has come to its second page, only the first is gone");
	is_u64(rngq_drain(fd), 1000 - 256, "and others take the rest");
	slow_page_fill(&reading.slow);
	pthread_join(reading.thread, NULL);
	is_ret(reading.result, 256, "the read is as short as that");
	is_u64(rngq_client(fd, "bytes"), 1000, "the count of bytes agrees");
	slow_page_unmap(&reading.slow);
	close(fd);
}

/* The page never comes: that is a bad address, and changes nothing for the others. */
static void test_page_goes(void)
{
	int fd = rngq_open_quota(0, 1000, HOUR_MS, 0);
	struct slow_read reading = { .fd = fd, .size = PAGE };

	slow_read_start(&reading);
	is_ret(rngq_take(fd, 400), 400, "while a copy waits others take some");
	slow_page_unmap(&reading.slow);
	pthread_join(reading.thread, NULL);
	is_ret(reading.result, -EFAULT, "the page goes away, the copy fails");
	is_u64(rngq_client(fd, "available"), 600, "what the others left is there");
	close(fd);
}

/* A smaller quota holds for it, too. */
static void test_change_during_copy(void)
{
	int fd = rngq_open_quota(0, 1000, HOUR_MS, 0);
	struct slow_read reading = { .fd = fd, .size = PAGE };

	slow_read_start(&reading);
	rngq_set_quota(fd, 10, HOUR_MS, 0);
	is_u64(rngq_client(fd, "available"), 10, "while a copy waits the quota changes");
	slow_page_fill(&reading.slow);
	pthread_join(reading.thread, NULL);
	is_ret(reading.result, 10, "and the read returns no more than the new one allows");
	is_u64(rngq_client(fd, "available"), 0, "which is all");
	slow_page_unmap(&reading.slow);
	close(fd);
}

/* Nor is anything of total/ held. */
static void test_total_not_held(int flags)
{
	int fd, other;
	struct slow_read reading = { .size = PAGE };

	crowd_set_total(1000, HOUR_MS, 0);
	fd = rngq_open_unlimited(flags);
	other = rngq_open_unlimited(0);
	reading.fd = fd;
	slow_read_start(&reading);
	is_u64(rngq_drain(other), 1000, "while a copy waits another client takes all of total/");
	slow_page_fill(&reading.slow);
	if (!flags) {
		rngq_sleep_ms(50);
		is_ret(pthread_tryjoin_np(reading.thread, NULL), EBUSY,
		       "then the read waits for its part of the next refill");
		rngq_set(RNGQ_MAX, "total/rate_bytes");
	}
	pthread_join(reading.thread, NULL);
	if (flags)
		is_ret(reading.result, -EAGAIN, "then the read finds nothing");
	else
		ok(reading.result > 0, "which it gets");
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	slow_page_unmap(&reading.slow);
	close(other);
	close(fd);
}

/* What was not delivered is not counted, not even for a moment. */
static void test_counted_late(void)
{
	int fd = rngq_open_quota(O_NONBLOCK, QUOTA, HOUR_MS, 0);
	u64 stats = rngq_attr("stats/bytes"), looks = 0, seen = 0;
	int status;
	pid_t pid = fork();

	if (!pid) {
		for (;;)
			rngq_read_nowait(fd, nowhere, 200);
	}
	for (u64 end_ns = rngq_now_ns() + NSEC_PER_SEC / 2; rngq_now_ns() < end_ns; looks++)
		seen += rngq_attr("stats/bytes") != stats || rngq_client(fd, "bytes") ||
			rngq_client(fd, "reads");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	is_u64(seen, 0, "%llu looks at the counters see no undelivered byte", looks);
	close(fd);
}

static void test_killed_copy(void)
{
	int fd = rngq_open_quota(0, QUOTA, HOUR_MS, 0), pipes[2], status;
	struct slow_page slow;
	pid_t pid;

	if (pipe(pipes))
		bail_out("a pipe can be made");
	pid = fork();
	if (!pid) {
		slow_page_map(&slow);
		if (write(pipes[1], "", 1) != 1)
			_exit(1);
		_exit(read(fd, slow.page, 3 * PAGE));
	}
	if (read(pipes[0], &status, 1) != 1)
		bail_out("the child is ready");
	rngq_wait_asleep(pid, SYS_read);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status), "a reader whose copy waits can be killed");
	is_u64(rngq_client(fd, "available"), QUOTA, "all quota was given back");
	is_u64(rngq_client(fd, "bytes"), 0, "no byte was counted");
	is_u64(rngq_client(fd, "reads"), 0, "and no read");
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

int main(void)
{
	rngq_keep_globals();
	test_bad();
	test_refund_starts_no_clock();
	test_partly_bad();
	test_partly_bad_vectors();
	test_boot_credit();
	test_storm();
	test_interrupted_copy(0, 0, -EINTR, "without SA_RESTART");
	test_interrupted_copy(0, SA_RESTART, 0, "with SA_RESTART");
	test_interrupted_copy(O_NONBLOCK, 0, -EAGAIN, "non-blocking");
	test_refill_during_copy();
	test_nothing_held(64);
	test_nothing_held(PAGE);
	test_nothing_left();
	test_short_for_others();
	test_page_goes();
	test_change_during_copy();
	test_total_not_held(0);
	test_total_not_held(O_NONBLOCK);
	test_counted_late();
	test_killed_copy();
	return done_testing();
}
