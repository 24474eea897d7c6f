// SPDX-License-Identifier: GPL-2.0
/* Two threads on one file, below total/: what one takes, the other must not miss. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "reader.h"
#include "rngq.h"

#define RATE_BYTES	40
#define PERIOD_MS	20
#define ROUNDS		200

/* It takes a byte of what comes, often before the other one is woken for it. */
static bool take_a_byte(int fd)
{
	u64 give_up_ms = rngq_now_ms() + LATE_MS;
	char byte;

	while (rngq_read_nowait(fd, &byte, 1) != 1) {
		if (rngq_now_ms() >= give_up_ms)
			return false;
	}
	return true;
}

int main(void)
{
	struct reader reader;
	int fd;

	rngq_keep_globals();
	fd = rngq_open_unlimited(0);
	rngq_set(PERIOD_MS, "total/period_ms");
	rngq_set(RATE_BYTES, "total/rate_bytes");
	for (unsigned int i = 0; i < ROUNDS; i++) {
		rngq_drain(fd);
		reader_start_asleep(&reader, fd, 10);
		if (!take_a_byte(fd))
			bail_out("a byte comes");
		reader_join(&reader);
		if (reader.result <= 0)
			bail_out("who sleeps gets something: %zd", reader.result);
	}
	ok(true, "who sleeps is woken, although another thread of its took a byte before");
	return done_testing();
}
