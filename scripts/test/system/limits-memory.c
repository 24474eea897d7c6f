// SPDX-License-Identifier: GPL-2.0
/*
 * "Memory for clients is charged to the opener's memory cgroup": it shows
 * there, it goes again, and where the cgroup's limit is, opening ends. Who is at
 * the limit reads on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "rngq.h"

#define CLIENTS		3000
#define MAX_FILES	50000
/* The least that a client takes, beside what any open file does. */
#define CLIENT_BYTES	256
#define LIMIT_BYTES	(8 << 20)
/* The limit is held by the page; a dying process may still get a few. */
#define SLACK_BYTES	(512 << 10)
#define LARGE_BYTES	65536
#define PERIOD_MS	300

struct opened {
	int first;		/* the lowest descriptor that it got, or -1 */
	unsigned int count;
	int error;		/* that ended it, 0 if none did */
	int status;		/* of its end */
};

/*
 * A process in cgroup @name opens @path until it has @max or is refused. It
 * shares our table of descriptors, so that the files are ours when it is gone,
 * with all that it took for itself.
 */
static struct opened open_in_cgroup(const char *name, const char *path,
				    unsigned int max)
{
	struct opened *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct opened opened;
	pid_t pid;

	if (shared == MAP_FAILED)
		bail_out("there is memory");
	*shared = (struct opened){ .first = -1 };
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		bail_out("a child can be started");
	if (!pid) {
		if (cgroup_enter(name, 0))
			_exit(1);
		while (shared->count < max) {
			int fd = open(path, O_RDONLY);

			if (fd < 0) {
				shared->error = errno;
				break;
			}
			if (shared->first < 0)
				shared->first = fd;
			shared->count++;
		}
		_exit(0);
	}
	if (waitpid(pid, &shared->status, 0) != pid)
		bail_out("a child ends");
	opened = *shared;
	munmap(shared, sizeof(*shared));
	return opened;
}

/* Only files that were opened in a cgroup have such high numbers. */
static void close_opened(const struct opened *opened)
{
	if (opened->first >= 0 && close_range(opened->first, ~0U, 0))
		bail_out("they can be closed");
}

static u64 slab_bytes(const char *name)
{
	return cgroup_get(name, "memory.stat", "slab");
}

/* What the slab holds more of when @path has been opened CLIENTS times. */
static u64 slab_taken(const char *name, const char *path)
{
	struct opened opened;
	u64 bytes, give_up_ms;

	cgroup_make(name);
	opened = open_in_cgroup(name, path, CLIENTS);
	is_u64(opened.count, CLIENTS, "%s can be opened %d times", path, CLIENTS);
	bytes = slab_bytes(name);
	close_opened(&opened);

	/* Memory is given back a bit later. */
	give_up_ms = rngq_now_ms() + LATE_MS;
	while (slab_bytes(name) > bytes / 4 && rngq_now_ms() < give_up_ms)
		rngq_sleep_ms(10);
	is_between(slab_bytes(name), 0, bytes / 4, "most of it goes at close()");
	cgroup_remove(name);
	return bytes;
}

static void test_charged(void)
{
	u64 plain_bytes = slab_taken("plain", "/dev/null");
	u64 bytes = slab_taken("clients", RNGQ_DEV);

	diag("a plain file: %llu bytes of slab, a client: %llu",
	     plain_bytes / CLIENTS, bytes / CLIENTS);
	ok(bytes >= plain_bytes + CLIENTS * CLIENT_BYTES,
	   "clients are charged to the cgroup of the process that opens them");
}

static void test_limit(void)
{
	u64 clients = rngq_attr("stats/clients"), current;
	struct opened opened;
	int fd;

	cgroup_make("tight");
	cgroup_set("tight", "memory.max", LIMIT_BYTES);
	opened = open_in_cgroup("tight", RNGQ_DEV, MAX_FILES);
	current = cgroup_get("tight", "memory.current", NULL);
	diag("%u clients, %llu bytes; errno %d, status %#x", opened.count, current,
	     opened.error, opened.status);
	is_between(opened.count, 1, MAX_FILES - 1, "a limit of memory is one of clients");
	ok(opened.error == ENOMEM ||
	   (WIFSIGNALED(opened.status) && WTERMSIG(opened.status) == SIGKILL),
	   "who reaches it gets ENOMEM, or is killed");
	is_between(current, 1, LIMIT_BYTES + SLACK_BYTES, "the memory stays below it");
	/* One may have been under way when the process was killed. */
	is_between(rngq_attr("stats/clients") - clients, opened.count,
		   opened.count + 1, "all clients that it got are there");

	fd = rngq_open(0);
	is_ret(rngq_take(fd, 100), 100, "nobody else is hurt");
	close(fd);
	is_ret(rngq_take(opened.first, 100), 100, "nor are they");
	close_opened(&opened);
	is_u64(rngq_attr("stats/clients"), clients, "and they go as any others");
	cgroup_remove("tight");
}

/*
 * What a process at its limit, which the kernel can't kill, may still do: its
 * results go to @shared. It must not need memory of its own.
 */
struct at_limit {
	int error;		/* of the open() that found the limit */
	ssize_t small;		/* results of reads, */
	ssize_t large;
	ssize_t empty;
	ssize_t waited;		/* of a read that slept */
	int polled;		/* and of poll() */
	bool reopened;		/* when another one was closed */
};

static ssize_t result(ssize_t ret)
{
	return ret < 0 ? -errno : ret;
}

static void live_at_limit(struct at_limit *shared)
{
	static char bytes[LARGE_BYTES];
	int large = open(RNGQ_DEV, O_RDONLY), fd = -1, last = -1;
	int small = open(RNGQ_DEV, O_RDONLY);
	struct pollfd pollfd = { .fd = small, .events = POLLIN };

	if (large < 0 || small < 0)
		_exit(2);
	rngq_set_quota(large, RNGQ_MAX, 1000, 0);
	rngq_set_quota(small, 100, PERIOD_MS, 0);
	if (mlockall(MCL_CURRENT))
		_exit(3);
	while ((fd = open(RNGQ_DEV, O_RDONLY)) >= 0)
		last = fd;
	shared->error = errno;
	shared->large = result(read(large, bytes, sizeof(bytes)));
	/* It was opened as a further one of the process, so it began empty. */
	shared->polled = poll(&pollfd, 1, LATE_MS);
	shared->small = result(read(small, bytes, 100));
	shared->empty = rngq_read_nowait(small, bytes, 100);
	shared->waited = result(read(small, bytes, 200));
	close(last);
	close(last - 1);
	/* A debug kernel takes its time until it frees a client. */
	for (int i = 0; i < 200 && !shared->reopened; i++) {
		shared->reopened = open(RNGQ_DEV, O_RDONLY) >= 0;
		usleep(50 * 1000);
	}
	_exit(0);
}

static void test_at_limit(void)
{
	struct at_limit *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u64 clients = rngq_attr("stats/clients");
	int status = -1;
	pid_t pid;

	if (shared == MAP_FAILED)
		bail_out("there is memory");
	cgroup_make("full");
	cgroup_set("full", "memory.max", LIMIT_BYTES);
	pid = fork();
	if (pid < 0)
		bail_out("a child can be started");
	if (!pid) {
		FILE *stream = fopen("/proc/self/oom_score_adj", "we");

		if (!stream || fputs("-1000", stream) < 0 || fclose(stream) ||
		    cgroup_enter("full", 0))
			_exit(1);
		live_at_limit(shared);
	}
	if (waitpid(pid, &status, 0) != pid)
		bail_out("a child ends");
	is_u64(status, 0, "who can't be killed lives at the limit");
	is_ret(-shared->error, -ENOMEM, "its open() says so");
	is_ret(shared->large, LARGE_BYTES, "a large read works there");
	is_ret(shared->polled, 1, "so does poll()");
	is_ret(shared->small, 100, "and a small one");
	is_ret(shared->empty, -EAGAIN, "an empty client says EAGAIN, as ever");
	is_ret(shared->waited, 100, "and can be waited for");
	ok(shared->reopened, "what is closed can be opened again");
	munmap(shared, sizeof(*shared));
	is_u64(rngq_attr("stats/clients"), clients, "all go with the process");
	cgroup_remove("full");
}

int main(void)
{
	struct rlimit limit = { .rlim_cur = MAX_FILES + 100, .rlim_max = MAX_FILES + 100 };

	rngq_keep_globals();
	rngq_set(RNGQ_MAX, "limits/max_clients");
	rngq_set(RNGQ_MAX, "limits/max_clients_per_process");
	if (setrlimit(RLIMIT_NOFILE, &limit))
		bail_out("RLIMIT_NOFILE can be raised");
	cgroup_mount();
	test_charged();
	test_limit();
	test_at_limit();
	return done_testing();
}
