// SPDX-License-Identifier: GPL-2.0
/*
 * Before the kernel's CRNG is initialized: no byte for anybody, however it is
 * asked for; and everybody who waits is woken when it is. Runs on User Mode
 * Linux, which boots in this state; on a PC it is over before user space.
 *
 * It takes two boots: in one there are only such as sleep, in the other, with
 * "race=" in the environment, such as ask without end. These would see to it
 * that somebody looks whether it is ready, for the others, too.
 *
 * Nothing here may ask the kernel for random bytes and wait for them: that
 * makes it gather entropy.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/random.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../system/rngq.h"

/* The promise is 100 ms; the machine that runs this may be busy. */
#define PROMISED_MS	100
#define SLACK_MS	900
#define WAIT_MS		1500
#define RACE_MS		300
#define REQUEST_BYTES	32

static bool crng_ready(void)
{
	char byte;

	return getrandom(&byte, 1, GRND_NONBLOCK) == 1;
}

enum kind {
	READ, READV, POLL, SELECT, EPOLL_LEVEL, EPOLL_EDGE, URING_READ, URING_POLL, KINDS
};

static const char *const kind_names[KINDS] = {
	"read()", "readv()", "poll()", "select()", "level-triggered epoll",
	"edge-triggered epoll", "io_uring's read", "io_uring's poll",
};

struct waiter {
	int fd;
	enum kind kind;
	pthread_t thread;
	atomic_int tid;
	atomic_bool done;
	u64 woken_ns;
	ssize_t got;		/* bytes or -errno */
	char bytes[REQUEST_BYTES];
};

static void wait_epoll(struct waiter *w, unsigned int flags)
{
	struct epoll_event event = { .events = EPOLLIN | flags };
	int epoll = epoll_create1(0);

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event))
		bail_out("epoll takes the device");
	w->tid = gettid();
	if (epoll_wait(epoll, &event, 1, -1) != 1)
		bail_out("epoll_wait() ends with an event");
	w->woken_ns = rngq_now_ns();
	close(epoll);
}

static void wait_uring(struct waiter *w)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	if (io_uring_queue_init(2, &ring, 0))
		bail_out("an io_uring can be made");
	sqe = io_uring_get_sqe(&ring);
	if (w->kind == URING_READ)
		io_uring_prep_read(sqe, w->fd, w->bytes, REQUEST_BYTES, -1);
	else
		io_uring_prep_poll_add(sqe, w->fd, POLLIN);
	io_uring_submit(&ring);
	w->tid = gettid();
	if (io_uring_wait_cqe(&ring, &cqe))
		bail_out("io_uring has a completion");
	w->woken_ns = rngq_now_ns();
	w->got = cqe->res;
	if (w->kind == URING_POLL && w->got != POLLIN)
		bail_out("io_uring's poll ends with POLLIN, not %zd", w->got);
	io_uring_queue_exit(&ring);
}

static void *run_waiter(void *data)
{
	struct waiter *w = data;
	struct pollfd pfd = { .fd = w->fd, .events = POLLIN };
	struct iovec iov = { .iov_base = w->bytes, .iov_len = REQUEST_BYTES };
	fd_set set;

	switch (w->kind) {
	case READ:
	case READV:
		w->tid = gettid();
		w->got = w->kind == READ ?
			read(w->fd, w->bytes, REQUEST_BYTES) :
			readv(w->fd, &iov, 1);
		if (w->got < 0)
			w->got = -errno;
		w->woken_ns = rngq_now_ns();
		w->done = true;
		return NULL;
	case POLL:
		w->tid = gettid();
		if (poll(&pfd, 1, -1) != 1)
			bail_out("poll() ends with an event");
		w->woken_ns = rngq_now_ns();
		break;
	case SELECT:
		FD_ZERO(&set);
		FD_SET(w->fd, &set);
		w->tid = gettid();
		if (select(w->fd + 1, &set, NULL, NULL, NULL) != 1)
			bail_out("select() ends with an event");
		w->woken_ns = rngq_now_ns();
		break;
	case EPOLL_LEVEL:
		wait_epoll(w, 0);
		break;
	case URING_READ:
		wait_uring(w);
		w->done = true;
		return NULL;
	case URING_POLL:
		wait_uring(w);
		break;
	default:
		wait_epoll(w, EPOLLET);
		break;
	}
	w->got = rngq_read_nowait(w->fd, w->bytes, REQUEST_BYTES);
	w->done = true;
	return NULL;
}

static void start_waiter(struct waiter *w, enum kind kind)
{
	*w = (struct waiter){ .fd = rngq_open(0), .kind = kind };
	if (pthread_create(&w->thread, NULL, run_waiter, w))
		bail_out("there are threads");
	while (!w->tid)
		rngq_sleep_ms(1);
}

static void test_nonblocking(void)
{
	int fd = rngq_open(O_NONBLOCK), blocking = rngq_open(0);
	struct pollfd pfd = { .fd = blocking, .events = POLLIN };
	struct timeval no_time = { };
	char bytes[REQUEST_BYTES];
	fd_set set;

	is_ret(read(fd, bytes, sizeof(bytes)) < 0 ? -errno : 0, -EAGAIN,
	       "O_NONBLOCK: EAGAIN");
	is_ret(rngq_read_nowait(blocking, bytes, sizeof(bytes)), -EAGAIN,
	       "RWF_NOWAIT: EAGAIN");
	is_ret(read(blocking, bytes, 0), 0, "a read of nothing returns 0");
	is_ret(poll(&pfd, 1, 0), 0, "poll() reports nothing");
	FD_ZERO(&set);
	FD_SET(blocking, &set);
	is_ret(select(blocking + 1, &set, NULL, NULL, &no_time), 0,
	       "select() reports nothing");
	is_u64(rngq_client(fd, "bytes") + rngq_client(blocking, "bytes"), 0,
	       "no byte is counted");
	close(fd);
	close(blocking);
}

static void nothing(int signal)
{
	(void)signal;
}

static void handle_signal(void)
{
	struct sigaction action = { .sa_handler = nothing };

	if (sigaction(SIGUSR1, &action, NULL))
		bail_out("a handler can be set");
}

static void test_signal(void)
{
	struct waiter w;

	start_waiter(&w, READ);
	/* One that comes before the thread sleeps is lost: send more. */
	while (!w.done) {
		pthread_kill(w.thread, SIGUSR1);
		rngq_sleep_ms(10);
	}
	pthread_join(w.thread, NULL);
	is_ret(w.got, -EINTR, "a signal ends the sleep");
	close(w.fd);
}

static void test_kill(void)
{
	u64 clients = rngq_attr("stats/clients");
	int fd = rngq_open(0), status;
	pid_t pid = fork();

	if (pid < 0)
		bail_out("a child can be forked");
	if (!pid) {
		char byte;

		_exit(read(fd, &byte, 1) != 1);
	}
	close(fd);
	rngq_sleep_ms(100);
	if (waitpid(pid, &status, WNOHANG))
		bail_out("the child sleeps");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status), "a sleeping reader can be killed");
	is_u64(rngq_attr("stats/clients"), clients, "its client goes with it");
}

/*
 * Whoever gets a byte finds the generator initialized, and whoever found it so
 * gets one: also those who ask, or are about to sleep, just when it happens.
 */
enum race { RACE_NOWAIT, RACE_POLL, RACE_SLEEP, RACES };

struct racer {
	int fd;
	enum race race;
	pthread_t thread;
	atomic_bool done;
	atomic_ulong tries;
	unsigned int early, late;
};

static void *run_racer(void *data)
{
	struct racer *r = data;
	struct pollfd pfd = { .fd = r->fd, .events = POLLIN };
	char bytes[REQUEST_BYTES];

	while (!r->done) {
		bool before = crng_ready(), got;

		switch (r->race) {
		case RACE_NOWAIT:
			got = rngq_read_nowait(r->fd, bytes, sizeof(bytes)) > 0;
			break;
		case RACE_POLL:
			got = poll(&pfd, 1, 0) == 1;
			break;
		default:
			/* Signals keep it from sleeping for long. */
			got = read(r->fd, bytes, sizeof(bytes)) > 0;
			break;
		}
		r->early += got && !crng_ready();
		r->late += !got && before && r->race != RACE_SLEEP;
		r->tries++;
		r->done = got;
	}
	return NULL;
}

static struct racer racers[2 * RACES];

static void start_race(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		racers[i].fd = rngq_open_unlimited(0);
		racers[i].race = i % RACES;
		if (pthread_create(&racers[i].thread, NULL, run_racer, &racers[i]))
			bail_out("there are threads");
	}
}

/* Interrupt those that sleep; how many are still at it. */
static unsigned int disturb_race(void)
{
	unsigned int running = 0;

	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		running += !racers[i].done;
		if (racers[i].race == RACE_SLEEP && !racers[i].done)
			pthread_kill(racers[i].thread, SIGUSR1);
	}
	return running;
}

static void test_race(void)
{
	unsigned int early = 0, late = 0, running;
	unsigned long tries = 0;
	u64 give_up_ms;

	start_race();
	for (int i = 0; i < RACE_MS; i++) {
		disturb_race();
		rngq_sleep_ms(1);
	}
	if (crng_ready())
		bail_out("the CRNG stays uninitialized until it is told");
	is_u64(rngq_attr("stats/bytes"), 0, "nobody gets a byte before it is ready");
	rngq_make_crng_ready();
	give_up_ms = rngq_now_ms() + LATE_MS;
	do {
		running = disturb_race();
		rngq_sleep_ms(1);
	} while (running && rngq_now_ms() < give_up_ms);
	is_u64(running, 0, "those who ask all the time get bytes in the end");
	for (size_t i = 0; i < ARRAY_SIZE(racers); i++) {
		if (racers[i].done)
			pthread_join(racers[i].thread, NULL);
		early += racers[i].early;
		late += racers[i].late;
		tries += racers[i].tries;
	}
	diag("they asked %lu times", tries);
	is_u64(early, 0, "none of them before it is ready");
	is_u64(late, 0, "and all at once when it is");
}

static void test_waiting(void)
{
	static struct waiter waiters[KINDS];
	/* The first client, for which nobody waits: the search goes on. */
	int idle = rngq_open(0);
	unsigned int woken = 0;
	u64 ready_ns;

	for (int kind = 0; kind < KINDS; kind++)
		start_waiter(&waiters[kind], kind);
	rngq_sleep_ms(WAIT_MS);
	for (int kind = 0; kind < KINDS; kind++)
		woken += waiters[kind].done;
	if (crng_ready())
		bail_out("the CRNG stays uninitialized until it is told");
	is_u64(woken, 0, "nobody wakes as long as it is not ready");
	is_u64(rngq_attr("stats/bytes"), 0, "not one byte was delivered");
	is_u64(rngq_attr("stats/reads"), 0, "by no read");

	ready_ns = rngq_now_ns();
	rngq_make_crng_ready();
	if (!crng_ready())
		bail_out("enough entropy was credited");
	while (rngq_now_ns() < ready_ns + 10 * NSEC_PER_SEC) {
		woken = 0;
		for (int kind = 0; kind < KINDS; kind++)
			woken += waiters[kind].done;
		if (woken == KINDS)
			break;
		rngq_sleep_ms(1);
	}
	for (int kind = 0; kind < KINDS; kind++) {
		struct waiter *w = &waiters[kind];
		u64 late_ms;

		if (!ok(w->done, "%s is woken when it is ready",
			kind_names[kind]))
			continue;
		pthread_join(w->thread, NULL);
		late_ms = (w->woken_ns - ready_ns) / NSEC_PER_MSEC;
		diag("%s: after %llu ms", kind_names[kind], late_ms);
		is_between(late_ms, 0, PROMISED_MS + SLACK_MS,
			   "%s is woken within 100 ms and some slack",
			   kind_names[kind]);
		is_ret(w->got, REQUEST_BYTES, "%s brings bytes",
		       kind_names[kind]);
		ok(memcmp(w->bytes, waiters[(kind + 1) % KINDS].bytes,
			  REQUEST_BYTES) != 0,
		   "%s: bytes of its own", kind_names[kind]);
	}
	close(idle);
}

static void test_ready(void)
{
	int fd = rngq_open(O_NONBLOCK);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char bytes[REQUEST_BYTES];

	is_ret(poll(&pfd, 1, 0), 1, "then poll() reports bytes at once");
	is_ret(read(fd, bytes, sizeof(bytes)), sizeof(bytes),
	       "and O_NONBLOCK reads them");
	close(fd);
}

int main(void)
{
	if (crng_ready())
		bail_out("this kernel boots with an uninitialized CRNG");
	handle_signal();
	if (getenv("race")) {
		test_race();
		return done_testing();
	}
	test_nonblocking();
	test_signal();
	test_kill();
	test_waiting();
	test_ready();
	return done_testing();
}
