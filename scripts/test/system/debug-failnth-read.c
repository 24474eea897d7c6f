// SPDX-License-Identifier: GPL-2.0
/*
 * Reads of all kinds while memory is short or the copy fails: what a read does
 * not deliver is given back, to the client and to the host.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "crowd.h"
#include "failnth.h"
#include "rngq.h"

/* Enough that a read takes several turns, through a large buffer if there is one. */
#define LARGE		20000
#define PERIOD_MS	100
#define WAITED_BYTES	16

static char bytes[LARGE];
static int pipes[2], file;
static io_context_t aio;
static struct io_uring ring;

struct way {
	const char *name;
	s64 (*read)(int fd, size_t size);
	int errors[4];
};

struct reading {
	const struct way *way;
	int fd;
	size_t size;
	u64 capacity;			/* what the client had at first; 0: it is refilled */
	u64 bytes;			/* what it has had since, */
	u64 reads;			/* and by how many reads */
	u64 start_ns;
};

static s64 result(ssize_t count)
{
	return count < 0 ? -errno : count;
}

static s64 by_read(int fd, size_t size)
{
	return result(read(fd, bytes, size));
}

static s64 by_preadv2(int fd, size_t size)
{
	return rngq_read_nowait(fd, bytes, size);
}

/* So many buffers that the kernel allocates room for them. */
static s64 by_readv(int fd, size_t size)
{
	struct iovec iov[16];
	size_t part = size / ARRAY_SIZE(iov);

	for (size_t i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i] = (struct iovec){ bytes + i * part, part };
	return result(readv(fd, iov, ARRAY_SIZE(iov)));
}

static s64 by_splice(int fd, size_t size)
{
	return result(splice(fd, NULL, pipes[1], NULL, size, 0));
}

static s64 by_sendfile(int fd, size_t size)
{
	return result(sendfile(file, fd, NULL, size));
}

/* The event is fetched without a fault: it would only be late. */
static s64 by_aio(int fd, size_t size)
{
	struct iocb iocb, *iocbs[] = { &iocb };
	struct io_event event = { };
	int ret;

	io_prep_pread(&iocb, fd, bytes, size, 0);
	ret = io_submit(aio, 1, iocbs);
	if (ret != 1)
		return ret;
	while ((ret = io_getevents(aio, 1, 1, &event, NULL)) == -EFAULT)
		;
	return ret == 1 ? (s64)event.res : ret;
}

/* What could not be submitted is still in the ring, for the next call. */
static s64 by_uring(int fd, size_t size)
{
	struct io_uring_cqe *cqe;
	int ret;

	if (!io_uring_sq_ready(&ring))
		io_uring_prep_read(io_uring_get_sqe(&ring), fd, bytes, size, -1);
	ret = io_uring_submit(&ring);
	if (ret != 1)
		return ret ? ret : -EAGAIN;
	while ((ret = io_uring_wait_cqe(&ring, &cqe)) == -EFAULT)
		;
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

/* A read itself can't run out of memory. */
static const struct way ways[] = {
	{ "read()", by_read, { EFAULT } },
	{ "preadv2(RWF_NOWAIT)", by_preadv2, { EFAULT } },
	{ "readv()", by_readv, { EFAULT, ENOMEM } },
	/* Linux before 6.5 calls it EAGAIN when there is no page for the pipe. */
	{ "splice()", by_splice, { EAGAIN, ENOMEM } },
	{ "sendfile()", by_sendfile, { EAGAIN, ENOMEM, EFAULT } },
	{ "AIO", by_aio, { EFAULT, EAGAIN, ENOMEM } },
	{ "io_uring", by_uring, { EFAULT, EAGAIN, ENOMEM, ECANCELED } },
};

static s64 call(void *with)
{
	struct reading *reading = with;

	return reading->way->read(reading->fd, reading->size);
}

/* What came through splice() must be in the pipe, and no more. */
static u64 empty_pipe(void)
{
	ssize_t count;
	u64 had = 0;

	while ((count = read(pipes[0], bytes, sizeof(bytes))) > 0)
		had += count;
	return had;
}

static const char *settle(void *with, s64 ret)
{
	struct reading *reading = with;
	u64 counted = rngq_client(reading->fd, "bytes") - reading->bytes;
	u64 reads = rngq_client(reading->fd, "reads") - reading->reads;
	u64 available = rngq_client(reading->fd, "available");
	u64 had = ret > 0 ? ret : 0;

	reading->bytes += counted;
	reading->reads += reads;
	lseek(file, 0, SEEK_SET);
	if (reading->way->read == by_splice && empty_pipe() != had)
		return "the pipe has not what was moved";
	if (had > reading->size)
		return "it gave more than was asked";
	if (reading->way->read == by_sendfile) {
		/* What the other file does not take has left the client. */
		if (counted < had || (counted && !reads))
			return "what it gave was not counted";
	} else if (counted != had || reads != !!had) {
		return "not what it gave was counted";
	}
	if (reading->capacity != RNGQ_MAX)
		available += reading->bytes;
	if (reading->capacity && available != reading->capacity)
		return "quota was lost, or made";
	return NULL;
}

static unsigned long run(struct reading *reading, const char *quota)
{
	char name[80];
	struct failnth test = {
		.name = name,
		.call = call,
		.settle = settle,
		.with = reading,
		.untouched = reading->size,
	};

	snprintf(name, sizeof(name), "%s of %zu bytes, %s", reading->way->name,
		 reading->size, quota);
	memcpy(test.errors, reading->way->errors, sizeof(test.errors));
	return failnth(&test);
}

static unsigned long test_unlimited(const struct way *way, size_t size)
{
	struct reading reading = {
		.way = way, .size = size, .capacity = RNGQ_MAX,
		.fd = rngq_open_unlimited(0),
	};
	unsigned long faults = run(&reading, "no limit");

	close(reading.fd);
	return faults;
}

static unsigned long test_limited(const struct way *way, size_t size)
{
	struct reading reading = {
		.way = way, .size = size, .capacity = 1 << 30,
		.fd = rngq_open_quota(0, 1 << 30, HOUR_MS, 0),
	};
	unsigned long faults = run(&reading, "its own quota");

	close(reading.fd);
	return faults;
}

static unsigned long test_credit(const struct way *way, size_t size)
{
	const u64 credit = 1 << 24, rate = 10;
	struct reading reading = {
		.way = way, .size = size, .capacity = rate + credit,
	};
	unsigned long faults;

	rngq_set(credit, "default/boot_bytes");
	reading.fd = rngq_open_quota(0, rate, HOUR_MS, 0);
	rngq_set(0, "default/boot_bytes");
	faults = run(&reading, "from its boot credit");
	close(reading.fd);
	return faults;
}

static unsigned long test_total(const struct way *way, size_t size)
{
	const u64 total = 1 << 21, rate = 1 << 30;
	struct reading reading = {
		.way = way, .size = size, .capacity = rate,
		.fd = rngq_open_quota(0, rate, HOUR_MS, 0),
	};
	unsigned long faults;

	crowd_set_total(total, HOUR_MS, 0);
	faults = run(&reading, "under total/");
	is_u64(rngq_drain(reading.fd) + reading.bytes, total,
	       "no byte of total/ was lost, or made");
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	close(reading.fd);
	return faults;
}

/* The credit ends in the middle of a read. */
static void open_with_credit(void *with)
{
	struct reading *reading = with;

	close(reading->fd);
	reading->fd = rngq_open_quota(0, 1 << 30, HOUR_MS, 0);
	reading->bytes = 0;
	reading->reads = 0;
}

static unsigned long test_straddling(const struct way *way)
{
	struct reading reading = {
		.way = way, .size = LARGE, .capacity = (1 << 30) + 1000, .fd = -1,
	};
	struct failnth test = {
		.name = "read() of boot credit and bucket",
		.prepare = open_with_credit,
		.call = call,
		.settle = settle,
		.with = &reading,
		.untouched = LARGE,
		.errors = { EFAULT },
	};
	unsigned long faults;

	rngq_set(1000, "default/boot_bytes");
	faults = failnth(&test);
	rngq_set(0, "default/boot_bytes");
	close(reading.fd);
	return faults;
}

static void drain(void *with)
{
	struct reading *reading = with;

	reading->bytes += rngq_drain(reading->fd);
	reading->reads = rngq_client(reading->fd, "reads");
}

static const char *settle_wait(void *with, s64 ret)
{
	static const struct crowd_quota quota = {
		.rate_bytes = WAITED_BYTES, .period_ms = PERIOD_MS,
	};
	struct reading *reading = with;
	const char *wrong = settle(with, ret);
	ssize_t back;

	if (wrong)
		return wrong;
	if (reading->bytes > crowd_allowed(&quota, rngq_now_ns() - reading->start_ns))
		return "it had more than the promise";
	/* All that can fail is the copy, after the refill. */
	if (reading->way->read == by_read && ret < 0) {
		back = rngq_take(reading->fd, WAITED_BYTES);
		if (back != WAITED_BYTES)
			return "what it waited for is lost";
		reading->bytes += back;
		reading->reads++;
	}
	return NULL;
}

/* Its own refill, or that of total/, is what ends the wait. */
static unsigned long test_waiting(const struct way *way, bool total)
{
	struct reading reading = {
		.way = way, .size = WAITED_BYTES, .start_ns = rngq_now_ns(),
		.capacity = total ? 1 << 30 : 0,
	};
	char name[80];
	struct failnth test = {
		.name = name,
		.prepare = drain,
		.call = call,
		.settle = settle_wait,
		.with = &reading,
		.untouched = WAITED_BYTES,
	};
	unsigned long faults;

	snprintf(name, sizeof(name), "%s that waits for %s", way->name,
		 total ? "total/" : "its refill");
	memcpy(test.errors, way->errors, sizeof(test.errors));
	if (total) {
		crowd_set_total(WAITED_BYTES, PERIOD_MS, 0);
		reading.fd = rngq_open_quota(0, reading.capacity, HOUR_MS, 0);
	} else {
		reading.fd = rngq_open_quota(0, WAITED_BYTES, PERIOD_MS, 0);
	}
	faults = failnth(&test);
	close(reading.fd);
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	return faults;
}

int main(void)
{
	static const size_t sizes[] = { 64, LARGE };
	unsigned long faults;
	char row[80];
	int ret;

	rngq_keep_globals();
	failnth_init();
	rngq_set(0, "default/boot_bytes");
	file = memfd_create("sendfile", 0);
	ret = io_uring_queue_init(8, &ring, 0);
	if (file < 0 || pipe(pipes) || fcntl(pipes[0], F_SETFL, O_NONBLOCK) ||
	    io_setup(8, &aio) || ret)
		bail_out("there are a file, a pipe, AIO and an io_uring");

	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		faults = 0;
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			faults += test_unlimited(&ways[w], sizes[s]);
			faults += test_limited(&ways[w], sizes[s]);
			faults += test_credit(&ways[w], sizes[s]);
			faults += test_total(&ways[w], sizes[s]);
		}
		snprintf(row, sizeof(row), "fail-nth: %s", ways[w].name);
		tried(row, "%lu faults", faults);
	}
	faults = test_straddling(&ways[0]);
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++) {
		if (ways[w].read == by_preadv2 || ways[w].read == by_sendfile)
			continue;
		faults += test_waiting(&ways[w], false);
		faults += test_waiting(&ways[w], true);
	}
	tried("fail-nth: reads that wait", "%lu faults", faults);
	return done_testing();
}
