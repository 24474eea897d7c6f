// SPDX-License-Identifier: GPL-2.0
/* Readers that get signals, are stopped, or are killed. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

static void test_without_restart(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	struct reader reader;

	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 100);
	reader_interrupt(&reader, SIGUSR1);
	reader_join(&reader);
	is_ret(reader.result, -EINTR, "a signal without SA_RESTART gives EINTR");
	is_u64(rngq_client(fd, "bytes"), 10, "it took nothing");
	rngq_set_quota(fd, 10, 1, 0);
	is_ret(read(fd, reader.bytes, 100), 10, "all of the refill is for the next read");
	close(fd);
}

static void test_with_restart(void)
{
	const u64 period_ms = 400;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	struct reader reader;
	u64 start_ns;

	start_ns = rngq_now_ns();
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 100);
	for (int i = 0; i < 3; i++) {
		reader_interrupt(&reader, SIGUSR2);
		rngq_wait_asleep(reader.tid, SYS_read);
	}
	reader_join(&reader);
	is_ret(reader.result, 10, "after signals with SA_RESTART it waits on");
	is_between(reader.after_ns - start_ns, period_ms * NSEC_PER_MSEC,
		   (period_ms + LATE_MS) * NSEC_PER_MSEC,
		   "for the refill that it waited for before");
	is_u64(rngq_client(fd, "bytes"), 20, "nothing was taken twice");
	close(fd);
}

static void test_stopped(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0), status;
	char byte;
	pid_t pid;

	rngq_drain(fd);
	pid = fork();
	if (!pid)
		_exit(read(fd, &byte, 1) == 1 ? 0 : 1);
	rngq_wait_asleep(pid, SYS_read);
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	ok(WIFSTOPPED(status), "a waiting reader can be stopped");
	kill(pid, SIGCONT);
	rngq_wait_asleep(pid, SYS_read);
	rngq_set_quota(fd, RNGQ_MAX, 1000, 0);
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && !WEXITSTATUS(status),
	   "and gets its byte when it was continued");
	close(fd);
}

static void test_killed(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0), status;
	u64 id = rngq_id(fd), start_ms;
	char byte, text[32];
	pid_t pid;

	rngq_drain(fd);
	pid = fork();
	if (!pid)
		_exit(read(fd, &byte, 1));
	rngq_wait_asleep(pid, SYS_read);
	start_ms = rngq_now_ms();
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && rngq_now_ms() - start_ms < LATE_MS,
	   "a waiting reader can be killed");
	is_u64(rngq_client(fd, "bytes"), 10, "it took nothing");
	rngq_set_quota(fd, 10, 1, 0);
	is_u64(read(fd, (char [100]) { 0 }, 100), 10, "all of the refill is for the others");

	/* Now it is the last one that has the client open. */
	rngq_set_quota(fd, 10, HOUR_MS, 0);
	rngq_drain(fd);
	pid = fork();
	if (!pid)
		_exit(read(fd, &byte, 1));
	close(fd);
	rngq_wait_asleep(pid, SYS_read);
	is_ret(rngq_attr_read(text, sizeof(text), "clients/%llu/bytes", id) > 0, true,
	       "a client lives while its last reader sleeps");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	is_ret(rngq_attr_read(text, sizeof(text), "clients/%llu/bytes", id), -ENOENT,
	       "and is gone when that was killed");
}

/* One of two readers is hit by signals all the time; the other is served. */
static void test_wake_up_not_swallowed(void)
{
	int fd = rngq_open_quota(0, 1, 20, 0);
	struct reader hit, other;
	u64 interrupted = 0;

	rngq_drain(fd);
	for (int round = 0; round < 20; round++) {
		reader_start(&hit, fd, 1);
		reader_start(&other, fd, 1);
		/* Around the refill, so that both may race for its wake-up. */
		rngq_sleep_ms(15 + round % 10);
		pthread_kill(hit.thread, SIGUSR1);
		reader_join(&other);
		if (other.result != 1)
			break;
		reader_join(&hit);
		if (hit.result == -EINTR)
			interrupted++;
	}
	is_ret(other.result, 1, "a reader is served while another one is interrupted");
	diag("%llu of 20 were interrupted", interrupted);
	close(fd);
}

/*
 * "A non-blocking read never fails with anything but EAGAIN", under a timer
 * that sends signals all the time; and what was read is what was taken.
 */
static void test_storm(void)
{
	static const size_t sizes[] = { 1, 16, 64, 257, 4096, 65536, 1 << 20 };
	const u64 quota = 1ULL << 40;
	int fd = rngq_open_quota(O_NONBLOCK, quota, HOUR_MS, 0);
	struct itimerval storm = {
		.it_interval.tv_usec = 500, .it_value.tv_usec = 500,
	}, calm = { 0 };
	struct sigaction action = { .sa_handler = reader_count_signal };
	static char bytes[1 << 20];
	unsigned int wrong = 0, reads = 0;
	int before = reader_signals;
	u64 end_ns, got = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &storm, NULL);
	for (end_ns = rngq_now_ns() + NSEC_PER_SEC; rngq_now_ns() < end_ns; reads++) {
		ssize_t count = read(fd, bytes, sizes[reads % 7]);

		if (count <= 0)
			wrong++;
		else
			got += count;
	}
	setitimer(ITIMER_REAL, &calm, NULL);
	ok(reader_signals > before, "signals came (%d)", reader_signals - before);
	is_u64(wrong, 0, "none of %u non-blocking reads failed", reads);
	is_u64(rngq_client(fd, "bytes"), got, "what they returned was counted");
	is_u64(rngq_client(fd, "available"), quota - got, "and taken");
	close(fd);
}

static void test_poll_interrupted(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	struct itimerval soon = { .it_value.tv_usec = 50000 };
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct sigaction action = { .sa_handler = reader_count_signal };

	rngq_drain(fd);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	is_ret(poll(&pollfd, 1, LATE_MS) < 0 ? -errno : 0, -EINTR,
	       "a signal interrupts poll()");
	rngq_set_quota(fd, RNGQ_MAX, 1000, 0);
	is_ret(poll(&pollfd, 1, LATE_MS), 1, "and the next poll() works");
	close(fd);
}

int main(void)
{
	reader_handle_signals();
	test_without_restart();
	test_with_restart();
	test_stopped();
	test_killed();
	test_wake_up_not_swallowed();
	test_storm();
	test_poll_interrupted();
	return done_testing();
}
