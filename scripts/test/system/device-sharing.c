// SPDX-License-Identifier: GPL-2.0
/*
 * A client is an open file description: dup(), fork() and SCM_RIGHTS share it,
 * another open() does not, and it lives until its last descriptor is closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "reader.h"
#include "rngq.h"

static bool client_exists(u64 id)
{
	char text[32];

	return rngq_attr_read(text, sizeof(text), "clients/%llu/bytes", id) > 0;
}

/* Whether the folder clients/@id is gone, at the latest after a moment. */
static bool client_goes(u64 id)
{
	u64 give_up_ms = rngq_now_ms() + LATE_MS;

	while (client_exists(id) && rngq_now_ms() < give_up_ms)
		rngq_sleep_ms(1);
	return !client_exists(id);
}

static void test_dup(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0), copy = dup(fd);
	u64 id = rngq_id(fd);

	is_u64(rngq_id(copy), id, "dup() gives the same client");
	is_ret(rngq_take(fd, 60), 60, "(read 60 of 100)");
	is_ret(rngq_take(copy, 60), 40,
	       "through the copy there is what is left");
	is_ret(rngq_take(fd, 1), -EAGAIN, "then nothing for either");
	close(fd);
	ok(client_exists(id), "it lives when one of them is closed");
	close(copy);
	ok(client_goes(id), "and is gone when both are");
}

static void test_fork(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0), status;
	u64 id = rngq_id(fd);
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(rngq_id(fd) == id ? rngq_take(fd, 60) : 255);
	waitpid(pid, &status, 0);
	is_u64(WIFEXITED(status) ? WEXITSTATUS(status) : 255, 60,
	       "a child has the same client and reads from it");
	is_u64(rngq_drain(fd), 40, "the parent finds what is left");
	ok(client_exists(id), "it lives when the child is gone");
	close(fd);
	ok(client_goes(id), "and is gone when the parent closed it");
}

static void test_passed(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0), sockets[2], passed;
	u64 id = rngq_id(fd);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) ||
	    send_descriptor(sockets[0], fd, 0))
		bail_out("a descriptor can be sent");
	is_u64(rngq_drain(fd), 100, "(drain it)");
	close(fd);
	ok(client_exists(id), "a client lives while its descriptor is on the way");
	passed = receive_descriptor(sockets[1], 0);
	is_u64(rngq_id(passed), id, "SCM_RIGHTS gives the same client");
	is_ret(rngq_take(passed, 1), -EAGAIN, "with the same bucket");
	close(passed);
	ok(client_goes(id), "it is gone when that one is closed");
	close(sockets[0]);
	close(sockets[1]);
}

static void test_two_opens(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	int other = rngq_open_quota(0, 20, HOUR_MS, 5);

	ok(rngq_id(other) > rngq_id(fd), "a later client has a greater id");
	is_u64(rngq_drain(fd), 10, "(drain the first)");
	is_u64(rngq_client(other, "available"), 25, "the second is as full as before");
	is_u64(rngq_drain(other), 25, "and gives all it has");
	is_u64(rngq_client(fd, "rate_bytes"), 10, "each has its own quota");
	is_u64(rngq_client(fd, "bytes"), 10, "and its own counters");
	close(fd);
	close(other);
}

/* "that read goes on, as elsewhere in Linux" */
static void test_close_while_reading(void)
{
	const u64 period_ms = 300;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	u64 id = rngq_id(fd), start_ns;
	struct reader reader;

	start_ns = rngq_now_ns();
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 100);
	close(fd);
	ok(client_exists(id), "a client lives on in a read whose descriptor was closed");
	reader_join(&reader);
	is_ret(reader.result, 10, "that read gets the refill");
	ok(reader.after_ns - start_ns >= period_ms * NSEC_PER_MSEC, "not before it is due");
	ok(client_goes(id), "then the client is gone");
}

/* The same number in the meantime means another client. */
static void test_reopen_while_reading(void)
{
	int fd = rngq_open_quota(0, 10, 300, 0), other;
	u64 id = rngq_id(fd);
	struct reader reader;

	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 100);
	other = rngq_open_quota(0, 50, HOUR_MS, 0);
	dup2(other, fd);
	ok(rngq_id(fd) != id, "dup2() over a descriptor in use gives another client");
	is_u64(rngq_drain(fd), 50, "which is full");
	reader_join(&reader);
	is_ret(reader.result, 10, "the read that slept gets what it waited for");
	ok(client_goes(id), "then the first client is gone");
	close(fd);
	close(other);
}

/* Opening a descriptor's own path is an open(). */
static void test_open_proc(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0), again;
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY);
	if (again < 0)
		bail_out("%s can be opened", path);
	ok(rngq_id(again) != rngq_id(fd), "opening /proc/self/fd/N makes a new client");
	close(again);
	close(fd);
}

int main(void)
{
	test_dup();
	test_fork();
	test_passed();
	test_two_opens();
	test_close_while_reading();
	test_reopen_while_reading();
	test_open_proc();
	return done_testing();
}
