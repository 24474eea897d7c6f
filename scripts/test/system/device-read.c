// SPDX-License-Identifier: GPL-2.0
/* read(), readv(), pread(), preadv2(): how much they return, and when. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "reader.h"
#include "rngq.h"

#define BLOCK_BYTES	16

static int compare_blocks(const void *a, const void *b)
{
	return memcmp(a, b, BLOCK_BYTES);
}

/* Whether no block of @bytes is there twice. */
static bool all_differ(char *bytes, size_t size)
{
	qsort(bytes, size / BLOCK_BYTES, BLOCK_BYTES, compare_blocks);
	for (size_t i = BLOCK_BYTES; i < size; i += BLOCK_BYTES)
		if (!memcmp(bytes + i - BLOCK_BYTES, bytes + i, BLOCK_BYTES))
			return false;
	return true;
}

static void test_short_reads(void)
{
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0);
	static const char zeros[256];
	char bytes[256];

	memset(bytes, 0, sizeof(bytes));
	is_ret(read(fd, bytes, 30), 30, "a read returns what it asked, if it is there");
	ok(!memcmp(bytes + 30, zeros, sizeof(bytes) - 30), "and writes nothing behind it");
	is_ret(read(fd, bytes, sizeof(bytes)), 70,
	       "a read for more returns what is there, without waiting");
	is_ret(rngq_read_nowait(fd, bytes, 1), -EAGAIN, "then nothing is left");
	close(fd);
}

static void test_vectors(void)
{
	char first[10], second[20], third[30];
	struct iovec iov[] = {
		{ first, sizeof(first) }, { second, 0 },
		{ second, sizeof(second) }, { third, sizeof(third) },
	};
	int fd = rngq_open_quota(0, 65, HOUR_MS, 0);

	is_ret(readv(fd, iov, 4), 60, "readv() fills all its buffers");
	memset(first, 0, sizeof(first));
	memset(third, 0, sizeof(third));
	is_ret(readv(fd, iov, 4), 5, "readv() returns what is there");
	ok(!first[5] && !first[9] && !third[0], "and leaves the rest alone");
	is_ret(rngq_read_nowait(fd, first, 1), -EAGAIN, "then nothing is left");
	close(fd);
}

static void test_nowait(void)
{
	int fd = rngq_open_quota(0, 50, HOUR_MS, 0), flags;
	char bytes[64];

	is_ret(rngq_read_nowait(fd, bytes, 20), 20, "RWF_NOWAIT returns what is there");
	is_ret(read(fd, bytes, sizeof(bytes)), 30, "(the rest)");
	is_ret(rngq_read_nowait(fd, bytes, 1), -EAGAIN,
	       "RWF_NOWAIT on an empty bucket gives EAGAIN");
	flags = fcntl(fd, F_GETFL);
	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	is_ret(read(fd, bytes, 1) < 0 ? -errno : 0, -EAGAIN,
	       "O_NONBLOCK set later gives EAGAIN");
	close(fd);

	fd = rngq_open_quota(O_NONBLOCK, 10, HOUR_MS, 0);
	is_ret(read(fd, bytes, sizeof(bytes)), 10, "O_NONBLOCK returns what is there");
	is_ret(read(fd, bytes, sizeof(bytes)) < 0 ? -errno : 0, -EAGAIN,
	       "O_NONBLOCK on an empty bucket gives EAGAIN");
	is_ret(rngq_read_nowait(fd, bytes, 1), -EAGAIN, "with RWF_NOWAIT as well");
	rngq_set_quota(fd, 10, 100, 0);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	is_ret(read(fd, bytes, sizeof(bytes)), 10, "without O_NONBLOCK it waits");
	close(fd);
}

static void test_nothing_asked(void)
{
	int fd = rngq_open_quota(0, 10, HOUR_MS, 0);
	char bytes[16];
	struct iovec iov[] = { { bytes, 0 }, { NULL, 0 } };

	for (int empty = 0; empty < 2; empty++) {
		const char *bucket = empty ? "an empty" : "a full";

		is_ret(read(fd, bytes, 0), 0, "0 bytes asked of %s bucket give 0", bucket);
		is_ret(read(fd, NULL, 0), 0, "… at no address as well (%s)", bucket);
		is_ret(readv(fd, iov, 2), 0, "… in vectors as well (%s)", bucket);
		is_ret(readv(fd, iov, 0), 0, "… in no vector as well (%s)", bucket);
		is_ret(rngq_read_nowait(fd, bytes, 0), 0,
		       "… with RWF_NOWAIT as well (%s)", bucket);
		is_u64(rngq_client(fd, "reads"), empty, "they are no reads (%s)", bucket);
		is_u64(rngq_client(fd, "throttled"), 0, "and no waits (%s)", bucket);
		is_u64(rngq_client(fd, "available"), empty ? 0 : 10,
		       "and take nothing (%s)", bucket);
		if (!empty)
			is_ret(read(fd, bytes, sizeof(bytes)), 10, "(now empty it)");
	}
	close(fd);
}

static void test_waiting(void)
{
	const u64 period_ms = 300;
	int fd = rngq_open_quota(0, 10, period_ms, 0);
	struct reader reader;
	u64 start_ns;
	char bytes[16];

	start_ns = rngq_now_ns();
	is_ret(read(fd, bytes, sizeof(bytes)), 10, "(empty the bucket)");
	reader_start_asleep(&reader, fd, 100);
	reader_join(&reader);
	is_ret(reader.result, 10, "a waiting read does not wait to fill its buffer");
	is_between(reader.after_ns - start_ns, period_ms * NSEC_PER_MSEC,
		   (period_ms + LATE_MS) * NSEC_PER_MSEC,
		   "it returns when the period is over and not before");

	rngq_set_quota(fd, 1, period_ms, 0);
	rngq_drain(fd);
	reader_start(&reader, fd, 100);
	reader_join(&reader);
	is_ret(reader.result, 1, "it returns as soon as 1 byte is there");
	close(fd);
}

static void test_many_waiting(void)
{
	int fd = rngq_open_quota(0, 8, 500, 0);
	struct reader readers[8];
	u64 first_ns = ~0ULL, last_ns = 0;
	size_t got = 0;

	rngq_drain(fd);
	for (int i = 0; i < 8; i++)
		reader_start_asleep(&readers[i], fd, 1);
	for (int i = 0; i < 8; i++) {
		reader_join(&readers[i]);
		got += readers[i].result;
		if (readers[i].after_ns < first_ns)
			first_ns = readers[i].after_ns;
		if (readers[i].after_ns > last_ns)
			last_ns = readers[i].after_ns;
	}
	is_u64(got, 8, "8 waiting reads of one client get their byte each");
	is_u64(rngq_client(fd, "bytes"), 16, "and it took no more than that");
	diag("the last came %llu us after the first", (last_ns - first_ns) / 1000);

	/* One refill may not be enough here: the late ones wait for the next. */
	rngq_set_quota(fd, 2, 50, 0);
	rngq_drain(fd);
	for (int i = 0; i < 8; i++)
		reader_start(&readers[i], fd, 1);
	got = 0;
	for (int i = 0; i < 8; i++) {
		reader_join(&readers[i]);
		got += readers[i].result;
	}
	is_u64(got, 8, "with fewer bytes a refill they are served over several");
	close(fd);
}

static void test_bytes_differ(void)
{
	static char bytes[256 * 1024];
	int fd = rngq_open_unlimited(0), other = rngq_open(0);
	size_t seen[256] = { 0 }, values = 0;

	for (size_t i = 0; i < 16384; i += 64)
		if (read(fd, bytes + i, 64) != 64)
			bail_out("an unlimited client returns 64 bytes");
	ok(all_differ(bytes, 16384), "no 16 bytes come twice in small reads");

	is_ret(read(fd, bytes, sizeof(bytes)), sizeof(bytes),
	       "an unlimited client returns 256 KiB at once");
	for (size_t i = 0; i < sizeof(bytes); i++)
		if (!seen[(unsigned char)bytes[i]]++)
			values++;
	is_u64(values, 256, "each value is among them");
	ok(all_differ(bytes, sizeof(bytes)), "no 16 bytes come twice in a large read");

	rngq_set_quota(other, 32, HOUR_MS, 0);
	if (read(fd, bytes, 32) != 32 || read(other, bytes + 32, 32) != 32)
		bail_out("two clients return 32 bytes");
	ok(all_differ(bytes, 64), "two clients get different bytes");
	close(other);
	close(fd);
}

int main(void)
{
	test_short_reads();
	test_vectors();
	test_nowait();
	test_nothing_asked();
	test_waiting();
	test_many_waiting();
	test_bytes_differ();
	return done_testing();
}
