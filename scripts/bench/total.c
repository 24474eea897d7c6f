// SPDX-License-Identifier: GPL-2.0
/*
 * total FILE: what many members of total/ cost each other and everybody else, in a
 * QEMU that counts instructions (count.h) and has one CPU. Lines in FILE:
 *
 *	longest read|poll|off|timer MEMBERS INSTRUCTIONS FUNCTION SITUATION...
 *	left HOW PERIOD_MS PASSED_NS COST BYTES
 *	read QUOTA max|limited MEDIAN
 *
 * Situations are made again and again: with calls that are counted, from user space and
 * back, and then with sections.c at work, which records the longest section with
 * interrupts off and the longest function of a timer, and would lengthen calls. The same
 * call in all repetitions has their median, so that the clock's ticks don't count, and
 * so has the longest section of a situation. Nobody preempts who calls.
 *
 * Members have been opened by a process each, and belong to this one now. There is a
 * share of 32 bytes a period for each in total/, and no read asks for more.
 *
 * COST is what the CPU did beside idling in the time that passed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "count.h"
#include "crowd.h"
#include "rngq.h"

#define MAX_MEMBERS	16384
#define OTHER_FILES	1000
#define SHARE_BYTES	32
/* So long that a share is worth a wake-up, however many there are. */
#define PERIOD_MS	20000
#define PERIOD_NS	(PERIOD_MS * NSEC_PER_MSEC)
/* What was not fetched goes to others a 64th of the period before its end. */
#define CLOSING_NS	(PERIOD_NS / 64)
/* So soon after a refill somebody comes: before any that wait have been woken. */
#define SOON_NS		3000
#define TICK_NS		(4 * NSEC_PER_MSEC)
#define IDLE_PERIODS	20
/* How many clients a situation is about, if not about all. */
#define SOME		8

#define REPETITIONS	3
/*
 * What a wake-up takes varies by what the scheduler has to add up then. So that few
 * members see all of that, too, a situation is recorded more often with them.
 */
#define FEW		16
#define RECORDINGS(members)	((members) == FEW ? 12 : REPETITIONS)
#define MAX_CALLS	(8 * MAX_MEMBERS)

#define HANGING		16000
#define HANGING_BYTES	1000
#define LEFT_SEC	5
/* Those who have taken something are believed once to want more. */
#define DISTRUST_MS	40000
#define STACK_BYTES	16384

#define RECORDER_KO	"/sections.ko"
#define RECORDER	"/sys/module/sections/parameters/"

enum call { READ, POLL };

/* What was the longest of a kind, and which function it was. */
struct longest {
	u64 cost;
	char by[64];
};

static FILE *measured;
static int fds[MAX_MEMBERS];
static unsigned int nr_open;	/* of these */
static unsigned int members;	/* how many of them have a part in total/ */
static int victim;		/* a client that is none of them */
static char *nowhere;		/* an address that nothing can be written to */

/* The period that the first take began. */
static u64 start_ns;

/* A repetition is either recorded, or its calls are counted. */
static bool is_recorded;
static int repetition;
static u64 costs[POLL + 1][REPETITIONS][MAX_CALLS];
static size_t nr_calls[POLL + 1][REPETITIONS];

static void write_file(const char *path, const char *text)
{
	errno = -rngq_write_file(path, text);
	if (errno)
		bail_out("\"%s\" can be written to %s", text, path);
}

/* Calls. */

/* The generator may be due for a new key. That is not to be seen in what follows. */
static void have_generator_ready(void)
{
	char byte;

	if (getrandom(&byte, 1, 0) != 1)
		bail_out("the kernel's generator works");
}

static void note_call(enum call call, u64 cost)
{
	size_t *count = &nr_calls[call][repetition];

	if (is_recorded)
		return;
	if (*count == MAX_CALLS)
		bail_out("a situation has %d calls", MAX_CALLS);
	costs[call][repetition][(*count)++] = cost;
}

static ssize_t read_once(int fd, size_t size)
{
	char bytes[SHARE_BYTES];
	u64 start, end;
	ssize_t count;

	have_generator_ready();
	start = __rdtsc();
	count = read(fd, bytes, size);
	end = __rdtsc();
	note_call(READ, end - start);
	return count < 0 ? -errno : count;
}

static ssize_t read_share(int fd)
{
	return read_once(fd, SHARE_BYTES);
}

static bool poll_once(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	u64 start = __rdtsc();
	int count = poll(&pollfd, 1, 0);
	u64 end = __rdtsc();

	note_call(POLL, end - start);
	return count == 1;
}

/* The module's timer may interrupt others, always the same. */
static bool is_counted(unsigned int member)
{
	return member < SOME || member >= members - SOME;
}

static void show_longest(const char *kind, const struct longest *longest,
			 const char *situation)
{
	if (longest->cost)
		fprintf(measured, "longest %s %u %llu %.*s %s\n", kind, members, longest->cost,
			(int)strcspn(longest->by, " "), longest->by, situation);
}

static int compare_longest(const void *a, const void *b)
{
	const struct longest *x = a, *y = b;

	return compare_u64(&x->cost, &y->cost);
}

/* The same call in all repetitions has their median; the longest of all calls. */
static void judge_calls(enum call call, const char *situation)
{
	struct longest longest = { .by = "-" };
	u64 each[REPETITIONS];

	for (size_t n = 0; n < nr_calls[call][0]; n++) {
		for (int i = 0; i < REPETITIONS; i++)
			each[i] = costs[call][i][n];
		qsort(each, REPETITIONS, sizeof(each[0]), compare_u64);
		if (each[REPETITIONS / 2] > longest.cost)
			longest.cost = each[REPETITIONS / 2];
	}
	show_longest(call == READ ? "read" : "poll", &longest, situation);
}

/* Sections with interrupts off, and timers. */

static void load_recorder(void)
{
	FILE *modules = fopen("/proc/modules", "r");
	unsigned long size = 0, from = 0;
	char line[400], where[100];

	while (modules && fgets(line, sizeof(line), modules))
		if (sscanf(line, "rngquota %lu %*s %*s %*s %lx", &size, &from) == 2)
			break;
	snprintf(where, sizeof(where), "from=%lu size=%lu", from, size);
	if (!from || syscall(SYS_finit_module, open(RECORDER_KO, O_RDONLY), where, 0))
		bail_out("the module that records sections can be loaded");
	fclose(modules);
}

static void begin_recording(void)
{
	write_file(RECORDER "recording", "1");
}

static void end_recording(struct longest *off, struct longest *timer)
{
	FILE *file = fopen(RECORDER "longest", "r");

	if (!file || fscanf(file, "off %llu %63[^\n] timer %llu %63[^\n]",
			    &off->cost, off->by, &timer->cost, timer->by) != 4)
		bail_out("what was recorded can be read");
	fclose(file);
	write_file(RECORDER "recording", "0");
}

static void schedule(int policy)
{
	struct sched_param param = { .sched_priority = policy == SCHED_OTHER ? 0 : 1 };

	if (sched_setscheduler(0, policy, &param))
		bail_out("a process can be a real-time process");
}

/* Situations: how they are arranged, and what happens then and is measured. */

static int open_member(void)
{
	return rngq_open(O_NONBLOCK);
}

/* An epoll. A client that one waits for has the longest way through a read. */
static int watch = -1;

static void add_to_epoll(int epoll, int fd, unsigned int events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		bail_out("a client can be added to an epoll");
}

static void reopen(unsigned int member)
{
	close(fds[member]);
	fds[member] = open_member();
	add_to_epoll(watch, fds[member], EPOLLIN);
}

/* So long, and a little more: the clock shall tick at another call each time. */
static void sleep_for_ns(u64 ns)
{
	rngq_sleep_until_ns(rngq_now_ns() + ns + random() % TICK_NS);
}

/* So many shares for each, all of it there, and none of them has had any or waits. */
static void fill_total(unsigned int shares)
{
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	rngq_sleep_ms(1000);
	crowd_set_total(shares * members * SHARE_BYTES, PERIOD_MS, 0);
	/* A period later the beat of earlier refills is over, too. */
	sleep_for_ns(PERIOD_NS);
}

/* All take some. */
static void take_each(size_t bytes)
{
	char buffer[SHARE_BYTES];

	start_ns = rngq_now_ns();
	for (unsigned int i = 0; i < members; i++)
		if (read(fds[i], buffer, bytes) != (ssize_t)bytes)
			bail_out("member %u gets %zu bytes", i, bytes);
}

/* All have had their share, and there is nothing left. */
static void arrange_taken(void)
{
	fill_total(1);
	take_each(SHARE_BYTES);
}

/* All of these wait in line. */
static void line_up(void)
{
	char bytes[SHARE_BYTES];

	for (unsigned int i = 0; i < members; i++)
		if (read(fds[i], bytes, sizeof(bytes)) != -1 || errno != EAGAIN)
			bail_out("member %u waits", i);
}

static void arrange_line(void)
{
	arrange_taken();
	line_up();
}

static void sleep_until_refill(unsigned int periods)
{
	rngq_sleep_until_ns(start_ns + periods * PERIOD_NS + SOON_NS);
}

static void read_after_refill(void)
{
	sleep_until_refill(1);
	if (read_share(fds[0]) != SHARE_BYTES)
		bail_out("a member gets its share after a refill");
}

static void poll_after_refill(void)
{
	sleep_until_refill(1);
	if (!poll_once(fds[0]))
		bail_out("a member may read after a refill");
}

static void read_after_idling(void)
{
	sleep_until_refill(IDLE_PERIODS);
	read_share(fds[0]);
}

static void poll_after_idling(void)
{
	sleep_until_refill(IDLE_PERIODS);
	poll_once(fds[0]);
}

/* All are expected to want their share, and have taken half of it. */
static void arrange_half(void)
{
	arrange_taken();
	sleep_until_refill(1);
	take_each(SHARE_BYTES / 2);
}

/* There is as much again as all are expected to want. */
static void arrange_plenty(void)
{
	fill_total(2);
	take_each(SHARE_BYTES);
	sleep_until_refill(1);
	take_each(SHARE_BYTES / 2);
}

static void sleep_until_closing(void)
{
	rngq_sleep_until_ns(start_ns + PERIOD_NS - CLOSING_NS + SOON_NS);
}

static void read_at_closing(void)
{
	sleep_until_closing();
	read_share(fds[0]);
}

static void poll_at_closing(void)
{
	sleep_until_closing();
	poll_once(fds[0]);
}

/* Every second one has had all it can get, and waits; the others don't come. */
static void arrange_greedy_half(void)
{
	char bytes[SHARE_BYTES];

	arrange_taken();
	sleep_until_refill(1);
	start_ns = rngq_now_ns();
	for (unsigned int i = 0; i < members; i += 2)
		while (read(fds[i], bytes, sizeof(bytes)) > 0)
			;
}

static void look_at_closing(void)
{
	sleep_until_closing();
	for (unsigned int i = 0; i < SOME; i++) {
		read_share(fds[i]);
		poll_once(fds[i]);
	}
}

/* Somebody reads and polls: at once, and when all have been woken. */
static void look_around(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		read_share(fds[i]);
		poll_once(fds[i]);
		read_share(victim);
		poll_once(victim);
		sleep_for_ns(NSEC_PER_SEC);
	}
}

static void change_total(void)
{
	rngq_set(members * SHARE_BYTES * 2, "total/rate_bytes");
	look_around();
	rngq_set(2 * PERIOD_MS, "total/period_ms");
	look_around();
	rngq_set(members, "total/burst_bytes");
	look_around();
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	look_around();
	rngq_set(members * SHARE_BYTES, "total/rate_bytes");
	look_around();
}

/* While all may fetch something, and after some have. */
static void cut_total(void)
{
	sleep_until_refill(1);
	rngq_set(members * SHARE_BYTES / 2, "total/rate_bytes");
	look_around();
	rngq_set(members, "total/rate_bytes");
	look_around();
	rngq_set(1, "total/rate_bytes");
	look_around();
}

static void change_default(void)
{
	rngq_set(1ULL << 30, "default/rate_bytes");
	look_around();
	rngq_set(2 * PERIOD_MS, "default/period_ms");
	look_around();
	rngq_set(PERIOD_MS, "default/period_ms");
	rngq_set(RNGQ_MAX, "default/rate_bytes");
	look_around();
}

static void close_some(void)
{
	for (unsigned int i = 0; i < SOME; i++) {
		reopen(i);
		read_share(victim);
		poll_once(victim);
	}
	sleep_until_refill(1);
	look_around();
	for (unsigned int i = 0; i < SOME; i++)
		reopen(i);
	look_around();
}

static void meet_line(void)
{
	sleep_until_refill(1);
	/* Then all have been woken. */
	rngq_sleep_ms(1000);
	/* One who is served waits again, and another leaves something for it. */
	for (unsigned int i = 0; i < SOME; i += 2) {
		read_share(fds[i]);
		poll_once(fds[i]);
		read_once(fds[i + 1], 1);
		poll_once(fds[i + 1]);
	}
	read_share(victim);
	poll_once(victim);
}

/* An epoll that has all members. */
static int epoll;

static void hang_on(unsigned int count, unsigned int events)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned int i = 0; i < count; i++)
		add_to_epoll(epoll, fds[i], events);
}

static void arrange_epoll(void)
{
	arrange_taken();
	hang_on(members, EPOLLIN);
}

/* Until all have been woken and had theirs, or the period ends. */
static void serve_epoll(void)
{
	unsigned int served = 0;

	while (served < members && rngq_now_ns() < start_ns + 3 * PERIOD_NS / 2) {
		struct epoll_event events[64];
		int count = epoll_wait(epoll, events, ARRAY_SIZE(events), PERIOD_MS);

		for (int i = 0; i < count; i++)
			served += read_share(events[i].data.fd) > 0;
	}
	if (served < members)
		bail_out("all members are served, not %u", served);
	close(epoll);
}

static noreturn void *sleep_in_read(void *fd)
{
	char bytes[SHARE_BYTES];

	for (;;)
		if (read(*(int *)fd, bytes, sizeof(bytes)) < 0)
			bail_out("a read that waits ends with bytes");
}

static pid_t sleepers;

/*
 * A process in which each member has a thread that sleeps in read(). Real-time
 * threads, since the tree of the others that have been woken and not run yet
 * would grow with them, and with it what the scheduler takes for a wake-up.
 */
static void arrange_sleepers(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ready[2];
	char byte;

	for (unsigned int i = 0; i < members; i++)
		fcntl(fds[i], F_SETFL, O_RDONLY);
	arrange_taken();
	if (pipe(ready))
		bail_out("there is a pipe");
	sleepers = fork();
	if (!sleepers) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		schedule(SCHED_FIFO);
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, STACK_BYTES);
		for (unsigned int i = 0; i < members; i++) {
			errno = pthread_create(&thread, &attr, sleep_in_read, &fds[i]);
			if (errno)
				bail_out("there are %u threads", members);
		}
		write(ready[1], "", 1);
		pause();
	}
	if (sleepers < 0 || read(ready[0], &byte, 1) != 1)
		bail_out("a process with %u threads can be started", members);
	close(ready[0]);
	close(ready[1]);
	/* In the midst of a period that all of them wait for the end of. */
	rngq_sleep_ms(3 * PERIOD_MS / 2);
}

/* There are a closing and a refill in that time. */
static void wake_sleepers(void)
{
	sleep_for_ns(3 * PERIOD_NS / 4);
	read_share(victim);
	poll_once(victim);
	kill(sleepers, SIGKILL);
	waitpid(sleepers, NULL, 0);
	for (unsigned int i = 0; i < members; i++)
		fcntl(fds[i], F_SETFL, O_RDONLY | O_NONBLOCK);
}

/* All but one poll, in every period, and read nothing. */
static void poll_forever(void)
{
	for (unsigned int period = 1; period < 5; period++) {
		for (unsigned int i = 0; i < members; i++) {
			struct pollfd pollfd = { .fd = fds[i], .events = POLLIN };

			if (is_counted(i))
				poll_once(fds[i]);
			else
				poll(&pollfd, 1, 0);
		}
		sleep_for_ns(0);
		while (read_share(victim) > 0)
			;
		poll_once(victim);
		rngq_sleep_ms(PERIOD_MS);
	}
}

/* Each reads so much, without waiting. */
static void read_each(size_t size)
{
	char bytes[SHARE_BYTES];

	for (unsigned int i = 0; i < members; i++) {
		if (is_counted(i))
			read_once(fds[i], size);
		else
			read(fds[i], bytes, size);
	}
}

static void spin(void)
{
	for (unsigned int period = 1; period < 3; period++) {
		sleep_until_refill(period);
		for (unsigned int i = 0; i < 3; i++) {
			read_each(SHARE_BYTES);
			sleep_for_ns(NSEC_PER_SEC);
		}
	}
}

/* They want little, and one wants all that they leave. */
static void be_modest(void)
{
	for (unsigned int period = 1; period < 3; period++) {
		sleep_until_refill(period);
		for (unsigned int i = 0; i < 3; i++) {
			read_each(1);
			read_share(victim);
			poll_once(victim);
			sleep_for_ns(NSEC_PER_SEC);
		}
	}
}

/* One reads just after each refill, before any of those in line. */
static void snipe(void)
{
	for (unsigned int period = 1; period < 4; period++) {
		sleep_until_refill(period);
		for (unsigned int i = 0; i < SOME; i++)
			read_share(victim);
		poll_once(victim);
		sleep_for_ns(NSEC_PER_SEC);
		read_each(SHARE_BYTES);
		read_each(SHARE_BYTES);
	}
}

static void open_poll_close(void)
{
	for (unsigned int i = 0; i < 2 * SOME; i++) {
		int fd = open_member();

		poll_once(fd);
		close(fd);
		read_share(victim);
		if (i == SOME)
			sleep_until_refill(1);
	}
	look_around();
}

static void read_to_nowhere(void)
{
	for (unsigned int i = 0; i < 2 * SOME; i++) {
		int fd = open_member();

		for (int k = 0; k < 2; k++)
			if (read(fd, nowhere, SHARE_BYTES) != -1 || errno != EFAULT)
				bail_out("a read to a bad address fails");
		read_share(victim);
		close(fd);
		if (i == SOME)
			sleep_until_refill(1);
	}
}

static const struct situation {
	const char *name;
	void (*arrange)(void);
	void (*happen)(void);
} situations[] = {
	{ "the first call after a refill", arrange_taken, read_after_refill },
	{ "the first call after a refill", arrange_taken, poll_after_refill },
	{ "the first call after 20 periods without one",
	  arrange_taken, read_after_idling },
	{ "the first call after 20 periods without one",
	  arrange_taken, poll_after_idling },
	{ "at closing", arrange_half, read_at_closing },
	{ "at closing", arrange_half, poll_at_closing },
	{ "at closing", arrange_greedy_half, look_at_closing },
	{ "`total/` changes", arrange_line, change_total },
	{ "`total/` is cut", arrange_line, cut_total },
	{ "`default/` changes", arrange_line, change_default },
	{ "some that wait are closed", arrange_line, close_some },
	{ "all are in line at a refill", arrange_line, meet_line },
	{ "all wait by epoll at a refill", arrange_epoll, serve_epoll },
	{ "all sleep in read() at a refill", arrange_sleepers, wake_sleepers },
	{ "all poll and never read", arrange_line, poll_forever },
	{ "all read again and again without waiting", arrange_line, spin },
	{ "all want little and don't wait", arrange_taken, be_modest },
	{ "a sniper reads just after each refill", arrange_line, snipe },
	{ "somebody opens, polls and closes", arrange_line, open_poll_close },
	{ "somebody reads to a bad address", arrange_plenty, read_to_nowhere },
};

static void measure_situation(const struct situation *situation)
{
	struct longest off[RECORDINGS(FEW)], timer[RECORDINGS(FEW)];
	int recordings = RECORDINGS(members);

	memset(nr_calls, 0, sizeof(nr_calls));
	for (repetition = 0; repetition < REPETITIONS; repetition++) {
		situation->arrange();
		situation->happen();
	}
	judge_calls(READ, situation->name);
	judge_calls(POLL, situation->name);
	is_recorded = true;
	for (int i = 0; i < recordings; i++) {
		situation->arrange();
		begin_recording();
		situation->happen();
		end_recording(&off[i], &timer[i]);
	}
	is_recorded = false;
	qsort(off, recordings, sizeof(off[0]), compare_longest);
	qsort(timer, recordings, sizeof(timer[0]), compare_longest);
	show_longest("off", &off[recordings / 2], situation->name);
	show_longest("off", &off[recordings - 1], "all of these situations");
	show_longest("timer", &timer[recordings - 1], "all of these situations");
}

static void measure_situations(unsigned int count)
{
	printf("%u members\n", count);
	members = count;
	while (nr_open < members)
		fds[nr_open++] = open_member();
	watch = epoll_create1(EPOLL_CLOEXEC);
	add_to_epoll(watch, victim, EPOLLIN);
	for (unsigned int i = 0; i < members; i++)
		if (is_counted(i))
			add_to_epoll(watch, fds[i], EPOLLIN);
	/* Nobody preempts it; its children are as others. */
	schedule(SCHED_FIFO | SCHED_RESET_ON_FORK);
	for (size_t i = 0; i < ARRAY_SIZE(situations); i++)
		measure_situation(&situations[i]);
	schedule(SCHED_OTHER);
	close(watch);
	rngq_set(RNGQ_MAX, "total/rate_bytes");
}

/* What is left. */

/* A process that all hang on; those who have something get it, if it @reads. */
static noreturn void serve(bool reads)
{
	char bytes[CROWD_MAX_ASKS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Who doesn't read is told once. */
	hang_on(HANGING, EPOLLIN | (reads ? 0 : EPOLLET));
	for (;;) {
		struct epoll_event events[64];
		int count = epoll_wait(epoll, events, ARRAY_SIZE(events), -1);

		for (int i = 0; reads && i < count; i++)
			read(events[i].data.fd, bytes, sizeof(bytes));
	}
}

/* One who sleeps in read(), and gets what there is. */
static noreturn void read_greedily(void)
{
	char bytes[CROWD_MAX_ASKS];
	int fd = rngq_open(0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		if (read(fd, bytes, sizeof(bytes)) < 0)
			bail_out("a greedy client can read");
}

static void measure_left(bool reads, u64 period_ms)
{
	u64 passed_ns, cost, bytes;
	pid_t server, reader = 0;

	crowd_set_total(HANGING_BYTES, period_ms, 0);
	server = fork();
	if (!server)
		serve(reads);
	if (!reads) {
		reader = fork();
		if (!reader)
			read_greedily();
	}
	if (server < 0 || reader < 0)
		bail_out("children can be started");
	rngq_sleep_ms(reads ? 2000 : DISTRUST_MS);
	bytes = rngq_attr("stats/bytes");
	passed_ns = rngq_now_ns();
	cost = cost_while_asleep(LEFT_SEC, idle_exactly);
	passed_ns = rngq_now_ns() - passed_ns;
	fprintf(measured, "left %s %llu %llu %llu %llu\n", reads ? "reading" : "hanging",
		period_ms, passed_ns, cost, rngq_attr("stats/bytes") - bytes);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	if (reader) {
		kill(reader, SIGKILL);
		waitpid(reader, NULL, 0);
	}
	rngq_set(RNGQ_MAX, "total/rate_bytes");
}

/* Reads that total/ does not get in the way of. */

static bool call_read(void *argument)
{
	char bytes[SHARE_BYTES];

	return read(*(int *)argument, bytes, sizeof(bytes)) == sizeof(bytes);
}

static void measure_reads(const char *quota, u64 rate_bytes)
{
	static const struct {
		const char *name;
		u64 rate_bytes;
	} totals[] = { { "max", RNGQ_MAX }, { "limited", 1ULL << 40 } };

	rngq_set_default(rate_bytes, 1000, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++) {
		rngq_set(totals[i].rate_bytes, "total/rate_bytes");
		fprintf(measured, "read %s %s %llu\n", quota, totals[i].name,
			count_calls(call_read, &victim, 20, 4000).median);
	}
	rngq_set(RNGQ_MAX, "total/rate_bytes");
}

int main(int argc, char **argv)
{
	static const unsigned int sizes[] = { FEW, 1000, MAX_MEMBERS };
	static const u64 periods_ms[] = { 100, 10, 1 };
	struct rlimit limit = {
		.rlim_cur = MAX_MEMBERS + OTHER_FILES,
		.rlim_max = MAX_MEMBERS + OTHER_FILES,
	};

	measured = argc == 2 ? fopen(argv[1], "w") : NULL;
	if (!measured) {
		fprintf(stderr, "usage: total FILE\n");
		return EXIT_FAILURE;
	}
	setvbuf(measured, NULL, _IOLBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		bail_out("RLIMIT_NOFILE can be raised");
	write_file("/proc/sys/kernel/threads-max", "40000");
	rngq_set(RNGQ_MAX, "limits/max_clients");

	nowhere = mmap(NULL, SHARE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	victim = open_member();
	measure_reads("max", RNGQ_MAX);
	measure_reads("1-GiB", 1ULL << 30);
	rngq_set_default(RNGQ_MAX, 1000, 0, 0);
	load_recorder();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		measure_situations(sizes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(periods_ms); i++) {
		measure_left(true, periods_ms[i]);
		measure_left(false, periods_ms[i]);
	}
	return fclose(measured) ? EXIT_FAILURE : EXIT_SUCCESS;
}
