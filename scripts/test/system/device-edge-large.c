// SPDX-License-Identifier: GPL-2.0
/*
 * Edge-triggered epoll, and reads through the driver's small buffer, a page, and
 * several pages in turn. Each read asks for just what there is, so that it neither
 * is short nor finds nothing, and empties the client with its last piece.
 */
#define _GNU_SOURCE
#include <sys/epoll.h>
#include <unistd.h>

#include "rngq.h"

#define PERIOD_MS	100
#define REFILLS		6

static void test_each_refill(size_t rate_bytes)
{
	int fd = rngq_open_quota(O_NONBLOCK, rate_bytes, PERIOD_MS, 0);
	struct epoll_event event = { .events = EPOLLIN | EPOLLET };
	int epoll = epoll_create1(0);
	u64 seen = 0;

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		bail_out("a client can be added to an epoll");
	while (seen < REFILLS && epoll_wait(epoll, &event, 1, LATE_MS) == 1 &&
	       rngq_take(fd, rate_bytes) == (ssize_t)rate_bytes)
		seen++;
	is_u64(seen, REFILLS, "each refill is an edge when reads take %zu bytes, all there are",
	       rate_bytes);
	close(epoll);
	close(fd);
}

int main(void)
{
	static const size_t rates_bytes[] = { 256, 257, 600, 4096, 4097, 10000, 65536 };

	for (size_t i = 0; i < ARRAY_SIZE(rates_bytes); i++)
		test_each_refill(rates_bytes[i]);
	return done_testing();
}
