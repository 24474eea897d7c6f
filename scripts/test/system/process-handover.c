// SPDX-License-Identifier: GPL-2.0
/*
 * A client belongs to the process that opened it, whoever has it, reads from it
 * and closes it: what it leaves goes to its opener.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "opener.h"
#include "reader.h"
#include "rngq.h"

#define ROUNDS		200

static u64 available(int fd)
{
	return rngq_client(fd, "available");
}

static void take(int fd, size_t bytes)
{
	if (rngq_take(fd, bytes) != (ssize_t)bytes)
		bail_out("%zu bytes can be read at once", bytes);
}

/* Wait until no more than @wanted clients are left; some go a bit later. */
static void await_clients(u64 wanted)
{
	u64 give_up_ms = rngq_now_ms() + LATE_MS;

	while (rngq_attr("stats/clients") > wanted)
		if (rngq_now_ms() > give_up_ms)
			bail_out("clients go when nobody has them");
}

static void test_returns(struct keeper *keeper)
{
	struct opener opener, other;
	int fd, own;

	rngq_set_default(100, HOUR_MS, 0, 50);
	opener_start(&opener);
	opener_start(&other);
	fd = opener_open(&opener);
	take(fd, 70);
	keeper_give(keeper, fd);
	opener_close(&opener, fd);
	fd = opener_open(&opener);
	is_u64(available(fd), 0, "while another process has its client, a process has one");
	opener_close(&opener, fd);
	keeper_drop(keeper);
	own = opener_open(&other);
	is_u64(available(own), 150, "who did not open it gets nothing of it");
	opener_close(&other, own);
	fd = opener_open(&opener);
	is_u64(available(fd), 80, "its opener goes on with it");
	take(fd, 80);
	keeper_give(keeper, fd);
	opener_close(&opener, fd);
	keeper_drop(keeper);
	fd = opener_open(&opener);
	is_ret(rngq_take(fd, 1), -EAGAIN, "empty as it may be");

	/* The quota that it was given elsewhere comes home, too. */
	keeper_give(keeper, fd);
	if (rngq_client_write(fd, "rate_bytes", "7"))
		bail_out("a client's rate can be set");
	opener_close(&opener, fd);
	keeper_drop(keeper);
	fd = opener_open(&opener);
	is_u64(rngq_client(fd, "rate_bytes"), 7, "with its override");
	own = opener_open(&other);
	is_u64(rngq_client(own, "rate_bytes"), 100, "which is nobody else's");
	opener_close(&opener, fd);
	opener_close(&other, own);
	opener_end(&opener);
	opener_end(&other);
}

/* The last descriptor ends as a message that nobody has received. */
static void test_in_flight(void)
{
	u64 clients = rngq_attr("stats/clients");
	struct opener opener;
	int fd, sockets[2];

	rngq_set_default(100, HOUR_MS, 0, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	take(fd, 40);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) ||
	    send_descriptor(sockets[0], fd, 0))
		bail_out("a descriptor can be sent");
	opener_close(&opener, fd);
	is_u64(rngq_attr("stats/clients"), clients + 1, "a client is on its way");
	close(sockets[0]);
	close(sockets[1]);
	await_clients(clients);
	fd = opener_open(&opener);
	is_u64(available(fd), 60, "one that never arrived comes home");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* io_uring's own thread drops the last reference: no process closes it. */
static void test_in_ring(void)
{
	u64 clients = rngq_attr("stats/clients");
	struct opener opener;
	struct io_uring ring;
	int fd;

	opener_start(&opener);
	fd = opener_open(&opener);
	take(fd, 40);
	if (io_uring_queue_init(8, &ring, 0) ||
	    io_uring_register_files(&ring, &fd, 1))
		bail_out("a client can be registered with io_uring");
	opener_close(&opener, fd);
	is_u64(rngq_attr("stats/clients"), clients + 1, "only io_uring has the client");
	io_uring_queue_exit(&ring);
	await_clients(clients);
	fd = opener_open(&opener);
	is_u64(available(fd), 60, "what io_uring drops comes home");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* A read that sleeps has the client, when no descriptor is left. */
static void test_in_read(bool opener_dies)
{
	u64 clients = rngq_attr("stats/clients");
	struct opener opener;
	struct reader reader;
	int fd;

	rngq_set_default(100, HOUR_MS, 0, 0);
	opener_start(&opener);
	fd = opener_open(&opener);
	rngq_drain(fd);
	reader_start_asleep(&reader, fd, 200);
	opener_close(&opener, fd);
	is_u64(rngq_attr("stats/clients"), clients + 1, "only a read has the client");
	if (opener_dies)
		opener_end(&opener);
	rngq_set(1, "default/period_ms");
	reader_join(&reader);
	is_ret(reader.result, 100, "it gets its refill, its opener %s",
	       opener_dies ? "dead" : "alive");
	await_clients(clients);
	if (!opener_dies)
		opener_end(&opener);
}

/* Its opener has died: there is nobody to leave anything to. */
static void test_orphans(struct keeper *keeper)
{
	u64 bytes = rngq_attr("stats/bytes"), clients = rngq_attr("stats/clients");
	u64 got = 0;
	struct opener opener;
	int fd, second;

	rngq_set_default(100, HOUR_MS, 0, 0);
	for (int i = 0; i < ROUNDS; i++) {
		opener_start(&opener);
		fd = opener_open(&opener);
		second = opener_open(&opener);
		keeper_give(keeper, fd);
		if (i % 2)
			opener_close(&opener, fd);
		opener_end(&opener);
		/* With the opener alive, and after it, what is there is there. */
		if (i % 2 == 0) {
			got += rngq_drain(fd);
			close(fd);
		}
		if (i % 4 < 2) {
			close(second);
			keeper_drop(keeper);
		} else {
			keeper_drop(keeper);
			close(second);
		}
	}
	is_u64(got, ROUNDS / 2 * 100, "a client outlives its opener");
	is_u64(rngq_attr("stats/bytes") - bytes, got, "the count of bytes agrees");
	is_u64(rngq_attr("stats/clients"), clients, "and goes when it is closed");
	fd = rngq_open(0);
	is_u64(available(fd), 100, "a process that comes then is new");
	close(fd);
}

int main(void)
{
	u64 clients = rngq_attr("stats/clients");
	struct keeper keeper;

	rngq_keep_globals();
	keeper_start(&keeper);
	test_returns(&keeper);
	test_in_flight();
	test_in_ring();
	test_in_read(false);
	test_in_read(true);
	test_orphans(&keeper);
	keeper_end(&keeper);
	is_u64(rngq_attr("stats/clients"), clients, "no client is left");
	return done_testing();
}
