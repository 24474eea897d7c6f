// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

const struct crowd_quota crowd_no_limit = { RNGQ_MAX, 1000, 0 };

/* A thread of a member. */
struct worker {
	struct crowd *crowd;
	struct crowd_member *member;
	int fd;
	int epoll;
	bool ready;		/* there was an edge, and no short read since */
	int pipe[2];
	struct io_uring ring;
	pthread_t thread;
	char bytes[CROWD_MAX_ASKS];
};

/*
 * How a kind reads. @wait returns whether it is worth while to read now; the
 * read itself follows, so that its time can be told.
 */
struct kind {
	int flags;
	bool may_find_nothing;	/* EAGAIN is right */
	bool may_be_interrupted;	/* EINTR is right */
	void (*begin)(struct worker *worker);
	bool (*wait)(struct worker *worker);
	ssize_t (*read)(struct worker *worker, size_t size);
};

static void fail(struct crowd_member *member, int error)
{
	int none = 0;

	atomic_compare_exchange_strong(&member->error, &none, error);
}

static ssize_t plain_read(struct worker *worker, size_t size)
{
	ssize_t count = read(worker->fd, worker->bytes, size);

	return count < 0 ? -errno : count;
}

static bool wait_poll(struct worker *worker)
{
	struct pollfd pollfd = { .fd = worker->fd, .events = POLLIN };

	return poll(&pollfd, 1, -1) == 1;
}

static void begin_epoll(struct worker *worker)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (worker->member->kind == CROWD_EDGE)
		event.events |= EPOLLET;
	worker->epoll = epoll_create1(0);
	if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, worker->fd, &event))
		fail(worker->member, -errno);
}

static bool wait_epoll(struct worker *worker)
{
	struct epoll_event event;

	return epoll_wait(worker->epoll, &event, 1, -1) == 1;
}

static bool wait_edge(struct worker *worker)
{
	if (!worker->ready)
		worker->ready = wait_epoll(worker);
	return worker->ready;
}

static ssize_t read_edge(struct worker *worker, size_t size)
{
	ssize_t count = plain_read(worker, size);

	worker->ready = count == (ssize_t)size;
	return count;
}

static void begin_uring(struct worker *worker)
{
	int ret = io_uring_queue_init(4, &worker->ring, 0);

	if (ret)
		fail(worker->member, ret);
}

static ssize_t read_uring(struct worker *worker, size_t size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&worker->ring);
	unsigned int pending = 1;
	ssize_t count = 0;

	io_uring_prep_read(sqe, worker->fd, worker->bytes, size, -1);
	sqe->user_data = 1;
	io_uring_submit(&worker->ring);
	while (pending) {
		struct io_uring_cqe *cqe;

		if (io_uring_wait_cqe(&worker->ring, &cqe)) {
			/* A signal. What has bytes already, is not lost by this. */
			if (worker->crowd->stop && pending == 1) {
				sqe = io_uring_get_sqe(&worker->ring);
				io_uring_prep_cancel64(sqe, 1, 0);
				sqe->user_data = 2;
				io_uring_submit(&worker->ring);
				pending++;
			}
			continue;
		}
		if (cqe->user_data == 1)
			count = cqe->res;
		io_uring_cqe_seen(&worker->ring, cqe);
		pending--;
	}
	return count == -ECANCELED ? -EINTR : count;
}

static void begin_splice(struct worker *worker)
{
	if (pipe(worker->pipe))
		fail(worker->member, -errno);
}

static ssize_t read_splice(struct worker *worker, size_t size)
{
	ssize_t count = splice(worker->fd, NULL, worker->pipe[1], NULL, size, 0);

	if (count < 0)
		return -errno;
	if (count && read(worker->pipe[0], worker->bytes, count) != count)
		return -EPIPE;
	return count;
}

static const struct kind kinds[] = {
	[CROWD_READ] = { .may_be_interrupted = true, .read = plain_read },
	[CROWD_POLL] = {
		.flags = O_NONBLOCK, .may_find_nothing = true,
		.wait = wait_poll, .read = plain_read,
	},
	[CROWD_EPOLL] = {
		.flags = O_NONBLOCK, .may_find_nothing = true,
		.begin = begin_epoll, .wait = wait_epoll, .read = plain_read,
	},
	[CROWD_EDGE] = {
		.flags = O_NONBLOCK, .may_find_nothing = true,
		.begin = begin_epoll, .wait = wait_edge, .read = read_edge,
	},
	[CROWD_SPIN] = {
		.flags = O_NONBLOCK, .may_find_nothing = true, .read = plain_read,
	},
	[CROWD_URING] = {
		.flags = O_NONBLOCK, .may_be_interrupted = true,
		.begin = begin_uring, .read = read_uring,
	},
	[CROWD_SPLICE] = {
		.may_be_interrupted = true,
		.begin = begin_splice, .read = read_splice,
	},
};

/* How much the next read shall ask for. Waits until the member wants something. */
static size_t wanted(struct worker *worker)
{
	struct crowd_member *member = worker->member;
	u64 every_ns = member->every_ms * NSEC_PER_MSEC;
	u64 start_ns = worker->crowd->start_ns;
	struct timespec until;
	u64 slots, want;

	if (!every_ns)
		return member->asks;
	slots = 1 + (rngq_now_ns() - start_ns) / every_ns;
	want = slots * member->wants_bytes - member->bytes;
	if (want)
		return want < member->asks ? want : member->asks;
	start_ns += slots * every_ns;
	until.tv_sec = start_ns / NSEC_PER_SEC;
	until.tv_nsec = start_ns % NSEC_PER_SEC;
	/* Once, so that the signal of crowd_stop() ends it. */
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	return 0;
}

static void note(struct worker *worker, u64 before_ns, ssize_t count)
{
	const struct kind *kind = &kinds[worker->member->kind];
	struct crowd_member *member = worker->member;
	u64 after_ns = rngq_now_ns();
	size_t entry;

	if (count > 0) {
		entry = worker->crowd->log_size ? member->logged++ : 0;
		if (entry < worker->crowd->log_size)
			member->log[entry] = (struct crowd_read){
				before_ns, after_ns, count,
			};
		member->reads++;
		member->bytes += count;
	} else if (count == -EAGAIN && kind->may_find_nothing) {
		member->empty++;
	} else if (count != -EINTR || !kind->may_be_interrupted) {
		fail(member, count ?: -ENODATA);
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	const struct kind *kind = &kinds[worker->member->kind];

	if (kind->begin)
		kind->begin(worker);
	while (!worker->crowd->stop && !worker->member->error) {
		size_t size = wanted(worker);
		u64 before_ns;

		if (!size || (kind->wait && !kind->wait(worker)))
			continue;
		before_ns = rngq_now_ns();
		note(worker, before_ns, kind->read(worker, size));
	}
	return NULL;
}

static void interrupt(int signal)
{
	(void)signal;
}

/* A member's process: @opened is told when its client is there. */
static void live(struct crowd *crowd, struct crowd_member *member, int opened,
		 int gate)
{
	const struct crowd_quota *quota = &member->quota;
	struct sigaction action = { .sa_handler = interrupt };
	static struct worker workers[CROWD_MAX_THREADS];
	int fd = open(RNGQ_DEV, O_RDONLY | kinds[member->kind].flags);
	char byte = 0;

	sigaction(SIGUSR1, &action, NULL);
	if (fd < 0) {
		fail(member, -errno);
	} else {
		if (quota->rate_bytes)
			rngq_set_quota(fd, quota->rate_bytes, quota->period_ms,
				       quota->burst_bytes);
		member->id = rngq_id(fd);
	}
	if (write(opened, &byte, 1) != 1 || fd < 0)
		return;
	close(opened);
	while (read(gate, &byte, 1) < 0)
		;
	close(gate);

	for (unsigned int i = 0; i < member->threads; i++) {
		workers[i].crowd = crowd;
		workers[i].member = member;
		workers[i].fd = fd;
	}
	for (unsigned int i = 1; i < member->threads; i++)
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			fail(member, -EAGAIN);
	work(&workers[0]);
	/* A signal may come just before the call that it shall interrupt. */
	for (unsigned int i = 1; i < member->threads; i++)
		while (pthread_tryjoin_np(workers[i].thread, NULL)) {
			pthread_kill(workers[i].thread, SIGUSR1);
			rngq_sleep_ms(1);
		}
	/* So that the client is gone when the process is. */
	if (member->kind == CROWD_URING)
		for (unsigned int i = 0; i < member->threads; i++)
			io_uring_queue_exit(&workers[i].ring);
}

struct crowd *crowd_new(unsigned int members, size_t log_size)
{
	size_t head_bytes = sizeof(struct crowd) + members * sizeof(struct crowd_member);
	size_t log_bytes = log_size * sizeof(struct crowd_read);
	size_t mapped_bytes = head_bytes + members * log_bytes;
	struct crowd *crowd;

	crowd = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crowd == MAP_FAILED)
		bail_out("there is memory for %u members", members);
	crowd->count = members;
	crowd->log_size = log_size;
	crowd->mapped_bytes = mapped_bytes;
	crowd->gate = -1;
	for (unsigned int i = 0; i < members; i++)
		crowd->members[i].log =
			(void *)((char *)crowd + head_bytes + i * log_bytes);
	return crowd;
}

void crowd_open(struct crowd *crowd)
{
	int opened[2], gate[2];
	pid_t parent = getpid();

	if (pipe2(opened, O_CLOEXEC) || pipe2(gate, O_CLOEXEC))
		bail_out("there are pipes");
	for (unsigned int i = 0; i < crowd->count; i++) {
		struct crowd_member *member = &crowd->members[i];
		pid_t pid;

		if (!member->asks)
			member->asks = CROWD_MAX_ASKS;
		if (!member->threads)
			member->threads = 1;
		pid = fork();
		if (pid < 0)
			bail_out("member %u can be forked", i);
		if (!pid) {
			/* No member outlives its test. */
			if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
				_exit(EXIT_FAILURE);
			close(gate[1]);
			live(crowd, member, opened[1], gate[0]);
			_exit(EXIT_SUCCESS);
		}
		member->pid = pid;
	}
	close(opened[1]);
	close(gate[0]);
	for (unsigned int i = 0; i < crowd->count; i++) {
		char byte;

		if (read(opened[0], &byte, 1) != 1)
			bail_out("all members open their clients");
	}
	close(opened[0]);
	crowd->gate = gate[1];
	errno = -crowd_error(crowd);
	if (errno)
		bail_out("all members can open %s", RNGQ_DEV);
}

void crowd_go(struct crowd *crowd)
{
	crowd->start_ns = rngq_now_ns();
	close(crowd->gate);
	crowd->gate = -1;
}

/* Whether a member is gone; a bad end is an error. */
static bool reap(struct crowd_member *member, int flags)
{
	int status;

	if (member->pid && waitpid(member->pid, &status, flags) == member->pid) {
		member->pid = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			fail(member, -ECHILD);
	}
	return !member->pid;
}

void crowd_kill(struct crowd_member *member)
{
	if (!member->pid)
		return;
	kill(member->pid, SIGKILL);
	if (waitpid(member->pid, NULL, 0) != member->pid)
		bail_out("a killed member goes");
	member->pid = 0;
}

void crowd_stop(struct crowd *crowd)
{
	u64 give_up_ms = rngq_now_ms() + 30000;
	unsigned int living;

	if (crowd->gate >= 0)
		crowd_go(crowd);
	crowd->stop = true;
	do {
		living = 0;
		for (unsigned int i = 0; i < crowd->count; i++) {
			struct crowd_member *member = &crowd->members[i];

			if (reap(member, WNOHANG))
				continue;
			living++;
			kill(member->pid, SIGUSR1);
			kill(member->pid, SIGCONT);
		}
		if (living)
			rngq_sleep_ms(2);
	} while (living && rngq_now_ms() < give_up_ms);
	if (living)
		bail_out("all members stop, not all but %u", living);
}

void crowd_free(struct crowd *crowd)
{
	for (unsigned int i = 0; i < crowd->count; i++)
		crowd_kill(&crowd->members[i]);
	if (crowd->gate >= 0)
		close(crowd->gate);
	munmap(crowd, crowd->mapped_bytes);
}

u64 crowd_bytes(struct crowd *crowd)
{
	u64 bytes = 0;

	for (unsigned int i = 0; i < crowd->count; i++)
		bytes += crowd->members[i].bytes;
	return bytes;
}

void crowd_mark(struct crowd *crowd)
{
	for (unsigned int i = 0; i < crowd->count; i++)
		crowd->members[i].marked_bytes = crowd->members[i].bytes;
}

u64 crowd_had(struct crowd_member *member)
{
	return member->bytes - member->marked_bytes;
}

u64 crowd_all_had(struct crowd *crowd)
{
	u64 bytes = 0;

	for (unsigned int i = 0; i < crowd->count; i++)
		bytes += crowd_had(&crowd->members[i]);
	return bytes;
}

int crowd_error(struct crowd *crowd)
{
	for (unsigned int i = 0; i < crowd->count; i++)
		if (crowd->members[i].error)
			return crowd->members[i].error;
	return 0;
}

static bool is_asleep(pid_t pid)
{
	char path[40], text[256] = "";
	const char *state;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	/* "pid (comm) state"; the comm may hold anything. */
	state = len < 0 ? NULL : strrchr(text, ')');
	return !state || state[2] != 'R';
}

void crowd_wait_asleep(struct crowd *crowd)
{
	u64 give_up_ms = rngq_now_ms() + 10000;
	unsigned int awake;

	do {
		awake = 0;
		for (unsigned int i = 0; i < crowd->count; i++) {
			struct crowd_member *member = &crowd->members[i];

			awake += member->pid && member->kind != CROWD_SPIN &&
				 !is_asleep(member->pid);
		}
		if (!awake)
			return;
		rngq_sleep_ms(1);
	} while (rngq_now_ms() < give_up_ms);
	bail_out("all members fall asleep, not all but %u", awake);
}

u64 crowd_allowed(const struct crowd_quota *quota, u64 t_ns)
{
	u64 periods = t_ns / (quota->period_ms * NSEC_PER_MSEC);

	return quota->rate_bytes + quota->burst_bytes + quota->rate_bytes * (periods + 1);
}

static int compare_after(const void *a, const void *b)
{
	const struct crowd_read *x = a, *y = b;

	return x->after_ns < y->after_ns ? -1 : x->after_ns > y->after_ns;
}

/*
 * A read took its bytes at some moment between its two stamps; so all reads
 * that lie wholly within an interval took theirs in it.
 */
u64 crowd_excess_of(struct crowd_read *reads, size_t count,
		    const struct crowd_quota *quota)
{
	u64 worst = 0;

	qsort(reads, count, sizeof(reads[0]), compare_after);
	for (size_t first = 0; first < count; first++) {
		u64 start_ns = reads[first].before_ns, taken = 0;

		for (size_t i = 0; i < count; i++) {
			u64 limit;

			if (reads[i].before_ns < start_ns)
				continue;
			taken += reads[i].bytes;
			limit = crowd_allowed(quota, reads[i].after_ns - start_ns);
			if (taken > limit && taken - limit > worst)
				worst = taken - limit;
		}
	}
	return worst;
}

u64 crowd_excess(struct crowd *crowd, const struct crowd_quota *quota)
{
	struct crowd_read *reads;
	size_t count = 0;
	u64 excess;

	for (unsigned int i = 0; i < crowd->count; i++) {
		if (crowd->members[i].logged > crowd->log_size)
			bail_out("the log is large enough");
		count += crowd->members[i].logged;
	}
	reads = malloc(count * sizeof(reads[0]) ?: 1);
	if (!reads)
		bail_out("there is memory for %zu reads", count);
	count = 0;
	for (unsigned int i = 0; i < crowd->count; i++) {
		struct crowd_member *member = &crowd->members[i];

		memcpy(&reads[count], member->log, member->logged * sizeof(reads[0]));
		count += member->logged;
	}
	excess = crowd_excess_of(reads, count, quota);
	free(reads);
	return excess;
}

double crowd_jain(struct crowd *crowd, unsigned int first, unsigned int count)
{
	double sum = 0, squares = 0;

	for (unsigned int i = first; i < first + count; i++) {
		double had = crowd_had(&crowd->members[i]);

		sum += had;
		squares += had * had;
	}
	return squares ? sum * sum / (count * squares) : 0;
}

void crowd_set_total(u64 rate_bytes, u64 period_ms, u64 burst_bytes)
{
	/* "From max to a limit: full." */
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	rngq_set(period_ms, "total/period_ms");
	rngq_set(burst_bytes, "total/burst_bytes");
	rngq_set(rate_bytes, "total/rate_bytes");
}

u64 crowd_start_total(u64 rate_bytes, u64 period_ms)
{
	int fd = rngq_open_unlimited(O_NONBLOCK);
	u64 start_ns;

	crowd_set_total(rate_bytes, period_ms, 0);
	start_ns = rngq_now_ns();
	/* Nothing is left for us if others are quicker. */
	rngq_take(fd, 1);
	close(fd);
	return start_ns;
}

bool crowd_gets_all(int fd, u64 rate_bytes, u64 period_ms)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	u64 got = 0, end_ms;

	rngq_becomes_readable(fd);
	end_ms = rngq_now_ms() + period_ms * 5 / 2;
	while (rngq_now_ms() < end_ms)
		if (poll(&pollfd, 1, period_ms / 50 + 1) == 1)
			got += rngq_drain(fd);
	diag("%llu of %llu bytes", got, 3 * rate_bytes);
	/* Who is late for the first may have the fourth. */
	return got * 100 >= 3 * rate_bytes * 95 && got <= 4 * rate_bytes;
}

u64 crowd_had_between(const struct crowd *crowd, const struct crowd_member *member,
		      u64 from_ns, u64 to_ns)
{
	size_t logged = member->logged;
	u64 bytes = 0;

	if (logged > crowd->log_size)
		bail_out("the log is large enough");
	for (size_t i = 0; i < logged; i++)
		if (member->log[i].after_ns >= from_ns && member->log[i].after_ns < to_ns)
			bytes += member->log[i].bytes;
	return bytes;
}
