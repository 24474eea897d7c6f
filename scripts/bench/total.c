// SPDX-License-Identifier: GPL-2.0
/*
 * total FILE: what many members of total/ cost each other and everybody else, in a
 * QEMU that counts instructions (count.h) and has one CPU. Lines in FILE:
 *
 *	longest KIND MEMBERS INSTRUCTIONS FUNCTION SITUATION...
 *	left HOW PERIOD_MS PASSED_NS COST BYTES
 *	read QUOTA max|limited MEDIAN
 *
 * Situations are made again and again: with calls that are counted, and then with
 * a tracer. Kinds of what is the longest in them:
 *
 *	read, poll	A call, from user space and back. The same call in all
 *			repetitions has their median, so that the clock's ticks
 *			don't count. Nobody preempts who calls.
 *	off		A section with interrupts off: from where a function of
 *			the module calls a lock that turns them off, to where
 *			it calls the unlock that turns them on again, wake-ups in
 *			between included. The function tracer stamps these calls.
 *	timer		A function of the module in the timer's interrupt,
 *			between two events of the tracer.
 *
 * Of traced ones, those of a function have the median of the repetitions' longest.
 * What the tracer takes itself, the same for each call that it traces, is taken off
 * (measure_tracer()), but for some 200 instructions if it has to begin a page.
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
/* Closing comes a 64th of the period before its end, by driver/shares.c. */
#define CLOSING_NS	(PERIOD_NS / 64)
/* If many are to be woken, the module's timer fires each millisecond. */
#define OFF_BEAT_NS	(NSEC_PER_MSEC / 2)
#define TICK_NS		(4 * NSEC_PER_MSEC)
#define IDLE_PERIODS	20
/* How many clients a situation is about, if not about all. */
#define SOME		16

#define REPETITIONS	3
#define MAX_CALLS	(5 * MAX_MEMBERS)

#define HANGING		16000
#define HANGING_BYTES	1000
#define LEFT_SEC	5
/* Those who have taken something are believed once to want more. */
#define DISTRUST_MS	40000
#define STACK_BYTES	16384

#define TRACING		"/sys/kernel/tracing/"
#define LOCK		"_raw_spin_lock_irq"	/* or ...irqsave */
#define ALL_LOCKS	"_raw_spin_*lock_irq*"	/* unlock, too */
#define MAX_FUNCTIONS	500

enum kind { READ, POLL, OFF, TIMER, KINDS };

static const char *const kind_names[KINDS] = {
	[READ] = "read", [POLL] = "poll", [OFF] = "off", [TIMER] = "timer",
};

static FILE *measured;
static int fds[MAX_MEMBERS];
static unsigned int nr_open;	/* of these */
static unsigned int members;	/* how many of them have a part in total/ */
static int victim;		/* a client that is none of them */
static char *nowhere;		/* an address that nothing can be written to */

/* The period that the first take began. */
static u64 start_ns;

/* A repetition is either traced, or its calls are counted. */
static bool is_traced;
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

static void note_call(enum kind kind, u64 cost)
{
	size_t *count = &nr_calls[kind][repetition];

	if (is_traced)
		return;
	if (*count == MAX_CALLS)
		bail_out("a situation has %d calls", MAX_CALLS);
	costs[kind][repetition][(*count)++] = cost;
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

static u64 median(u64 *each, int count)
{
	qsort(each, count, sizeof(each[0]), compare_u64);
	return count ? each[count / 2] : 0;
}

static void show_longest(enum kind kind, const char *situation, u64 cost,
			 const char *function)
{
	if (cost)
		fprintf(measured, "longest %s %u %llu %s %s\n", kind_names[kind], members,
			cost, function, situation);
}

/* The same call in all repetitions has their median; the longest of all calls. */
static void judge_calls(enum kind kind, int repetitions, const char *situation)
{
	u64 each[REPETITIONS], cost, longest = 0;

	for (size_t call = 0; call < nr_calls[kind][0]; call++) {
		for (int i = 0; i < repetitions; i++)
			each[i] = costs[kind][i][call];
		cost = median(each, repetitions);
		longest = cost > longest ? cost : longest;
	}
	show_longest(kind, situation, longest, "-");
}

/* Sections with interrupts off, and timers. */

/* The module's functions, and one of the kernel that drops its lock to sleep. */
static char functions[MAX_FUNCTIONS][64] = { "do_wait_intr_irq" };
static size_t nr_functions = 1;

/* The longest of each in each repetition. */
static u64 longest_of[KINDS][MAX_FUNCTIONS][REPETITIONS];

/* What the tracer takes for each call that it traces, and what it is told by. */
static u64 tracer_cost;
static u64 shortest_section = ~0ULL;

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Its number, or -1: it is not the module's. */
static int find_function(const char *name)
{
	char (*found)[64] = bsearch(name, functions, nr_functions, sizeof(functions[0]),
				    compare_names);

	return found ? found - functions : -1;
}

static void prepare_tracing(void)
{
	FILE *all = fopen(TRACING "available_filter_functions", "r");
	char line[200];

	while (all && fgets(line, sizeof(line), all)) {
		if (!strstr(line, " [rngquota]"))
			continue;
		if (nr_functions == MAX_FUNCTIONS)
			bail_out("the module has %d functions", MAX_FUNCTIONS);
		if (sscanf(line, "%63s", functions[nr_functions]) == 1)
			nr_functions++;
	}
	if (!all || nr_functions < 10)
		bail_out("the module's functions can be traced");
	fclose(all);
	qsort(functions, nr_functions, sizeof(functions[0]), compare_names);
	write_file(TRACING "tracing_on", "0");
	/* It counts instructions. */
	write_file(TRACING "trace_clock", "x86-tsc");
	write_file(TRACING "buffer_size_kb", "65536");
	write_file(TRACING "set_ftrace_filter", ALL_LOCKS);
}

static void begin_tracing(void)
{
	write_file(TRACING "current_tracer", "function");
	write_file(TRACING "events/timer/hrtimer_expire_entry/enable", "1");
	write_file(TRACING "events/timer/hrtimer_expire_exit/enable", "1");
	close(open(TRACING "trace", O_WRONLY | O_TRUNC));
	write_file(TRACING "tracing_on", "1");
}

/* What has been begun in the trace, and not ended yet. */
struct begun {
	int function;
	u64 at;
	unsigned int depth;
	unsigned int nested;	/* traced calls within */
};

/* It ends @at. */
static void note_end(enum kind kind, const struct begun *begun, u64 at)
{
	u64 *longest = &longest_of[kind][begun->function][repetition];
	u64 tracing = tracer_cost * (begun->nested + 1), cost = at - begun->at;

	if (kind == OFF && cost < shortest_section)
		shortest_section = cost;
	/* Some are a few instructions shorter than the shortest one was then. */
	cost = cost < tracing ? 0 : cost - tracing;
	*longest = cost > *longest ? cost : *longest;
}

/* A lock is called, or an unlock, and by whom, in a context that @flags tell. */
static void look_at_lock(struct begun *section, const char *lock, const char *caller,
			 const char *flags, u64 at)
{
	bool locks = !strncmp(lock, LOCK, strlen(LOCK));
	bool are_off = flags[0] == 'd' || flags[0] == 'D';

	/* An interrupt came before they were off. */
	if (section->depth && flags[2] != '.')
		section->depth = 0;

	if (!section->depth) {
		if (!locks || are_off)
			return;
		*section = (struct begun){ find_function(caller), .at = at };
		section->depth = section->function >= 0;
		return;
	}
	if (locks && !are_off)
		bail_out("a section of %s ends before one of %s begins",
			 functions[section->function], caller);
	section->depth += locks ? 1 : -1;
	section->nested += !!section->depth;
	if (!section->depth)
		note_end(OFF, section, at);
}

static void look_at_timer(struct begun *timer, const char *event, const char *rest,
			  u64 at)
{
	const char *function = strstr(rest, " function=");
	char name[64];

	if (!strcmp(event, "hrtimer_expire_exit:")) {
		if (timer->depth)
			note_end(TIMER, timer, at);
		timer->depth = 0;
	} else if (function && strstr(function, " [rngquota]") &&
		   sscanf(function, " function=%63s", name) == 1) {
		*timer = (struct begun){ find_function(name), at, .depth = 1 };
		if (timer->function < 0)
			bail_out("%s is a function of the module", name);
	}
}

/* A function's longest is the median of those of all repetitions. */
static void judge_sections(enum kind kind, int repetitions, const char *situation)
{
	u64 cost, longest = 0;
	size_t function = 0;

	for (size_t i = 0; i < nr_functions; i++) {
		cost = median(longest_of[kind][i], repetitions);
		if (cost <= longest)
			continue;
		longest = cost;
		function = i;
	}
	show_longest(kind, situation, longest, functions[function]);
}

static void judge_trace(void)
{
	FILE *trace = fopen(TRACING "trace", "r");
	struct begun section = { .depth = 0 }, timer = { .depth = 0 };
	unsigned long kept, written;
	bool complete = false;
	char line[400];

	if (!trace)
		bail_out("the trace can be read");
	while (fgets(line, sizeof(line), trace)) {
		char *after_cpu = strstr(line, "] "), flags[16], what[64], rest[300];
		char *caller;
		u64 at;

		if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu",
			   &kept, &written) == 2)
			complete = kept == written;
		if (line[0] == '#' || !after_cpu ||
		    sscanf(after_cpu + 2, "%15s %llu: %63s %299[^\n]", flags, &at, what,
			   rest) != 4)
			continue;
		caller = strstr(rest, "<-");
		timer.nested += !!caller;
		if (caller)
			look_at_lock(&section, what, caller + 2, flags, at);
		else
			look_at_timer(&timer, what, rest, at);
	}
	fclose(trace);
	if (!complete)
		bail_out("the trace has lost nothing");
}

static void end_tracing(void)
{
	write_file(TRACING "tracing_on", "0");
	judge_trace();
	write_file(TRACING "events/timer/hrtimer_expire_entry/enable", "0");
	write_file(TRACING "events/timer/hrtimer_expire_exit/enable", "0");
	/* This forgets the trace. */
	write_file(TRACING "current_tracer", "nop");
}

/*
 * What tracing a call takes: as much as the shortest section seems to have. That is
 * one which copies a client's bucket, in some 20 instructions.
 */
static void measure_tracer(void)
{
	begin_tracing();
	for (int i = 0; i < SOME; i++)
		close(rngq_open(0));
	end_tracing();
	tracer_cost = shortest_section;
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
	rngq_sleep_until_ns(start_ns + periods * PERIOD_NS + OFF_BEAT_NS);
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
	rngq_sleep_until_ns(start_ns + PERIOD_NS - CLOSING_NS + OFF_BEAT_NS);
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

static void deal_at_closing(void)
{
	sleep_until_closing();
	for (unsigned int i = 0; i < SOME; i++) {
		read_share(fds[i]);
		poll_once(fds[i]);
	}
}

/* Somebody reads and polls, members first. */
static void look_around(void)
{
	read_share(fds[0]);
	poll_once(fds[0]);
	read_share(victim);
	poll_once(victim);
	rngq_sleep_until_ns(rngq_now_ns() + 20 * NSEC_PER_MSEC + OFF_BEAT_NS);
	read_share(fds[1]);
	poll_once(fds[1]);
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
		close(fds[i]);
		read_share(victim);
		poll_once(victim);
		fds[i] = open_member();
	}
	sleep_until_refill(1);
	read_share(fds[members - 1]);
	for (unsigned int i = 0; i < SOME; i++) {
		close(fds[i]);
		fds[i] = open_member();
	}
}

/* The deal is over then. */
static void meet_line(void)
{
	sleep_until_refill(1);
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
static int epoll = -1;

static void hang_on(unsigned int count, unsigned int events)
{
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned int i = 0; i < count; i++) {
		struct epoll_event event = { .events = events, .data.u32 = i };

		if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event))
			bail_out("member %u can be added to an epoll", i);
	}
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
			served += read_share(fds[events[i].data.u32]) > 0;
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

static void wake_sleepers(void)
{
	rngq_sleep_ms(PERIOD_MS);
	kill(sleepers, SIGKILL);
	waitpid(sleepers, NULL, 0);
	for (unsigned int i = 0; i < members; i++)
		fcntl(fds[i], F_SETFL, O_RDONLY | O_NONBLOCK);
}

/* All but one poll, in every period, and read nothing. */
static void poll_forever(void)
{
	for (unsigned int period = 1; period < 5; period++) {
		for (unsigned int i = 0; i < members; i++)
			poll_once(fds[i]);
		sleep_for_ns(0);
		while (read_share(victim) > 0)
			;
		poll_once(victim);
		rngq_sleep_ms(PERIOD_MS);
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
	int counted, traced;	/* repetitions */
} situations[] = {
	{ "the first call after a refill",
	  arrange_taken, read_after_refill, REPETITIONS, REPETITIONS },
	{ "the first call after a refill",
	  arrange_taken, poll_after_refill, REPETITIONS, REPETITIONS },
	{ "the first call after 20 periods without one",
	  arrange_taken, read_after_idling, REPETITIONS, REPETITIONS },
	{ "the first call after 20 periods without one",
	  arrange_taken, poll_after_idling, REPETITIONS, REPETITIONS },
	{ "at closing",
	  arrange_half, read_at_closing, REPETITIONS, REPETITIONS },
	{ "at closing",
	  arrange_half, poll_at_closing, REPETITIONS, REPETITIONS },
	{ "at closing",
	  arrange_greedy_half, deal_at_closing, REPETITIONS, REPETITIONS },
	{ "`total/` changes",
	  arrange_line, change_total, REPETITIONS, REPETITIONS },
	{ "`default/` changes",
	  arrange_line, change_default, REPETITIONS, REPETITIONS },
	{ "some that wait are closed",
	  arrange_line, close_some, REPETITIONS, REPETITIONS },
	{ "all are in line at a refill",
	  arrange_line, meet_line, REPETITIONS, REPETITIONS },
	{ "all wait by epoll at a refill",
	  arrange_epoll, serve_epoll, REPETITIONS, 1 },
	{ "all sleep in read() at a refill",
	  arrange_sleepers, wake_sleepers, 0, 1 },
	{ "all poll and never read",
	  arrange_line, poll_forever, REPETITIONS, 1 },
	{ "somebody opens, polls and closes",
	  arrange_line, open_poll_close, REPETITIONS, REPETITIONS },
	{ "somebody reads to a bad address",
	  arrange_plenty, read_to_nowhere, REPETITIONS, REPETITIONS },
};

static void measure_situation(const struct situation *situation)
{
	memset(costs, 0, sizeof(costs));
	memset(nr_calls, 0, sizeof(nr_calls));
	memset(longest_of, 0, sizeof(longest_of));
	for (repetition = 0; repetition < situation->counted; repetition++) {
		situation->arrange();
		situation->happen();
	}
	is_traced = true;
	for (repetition = 0; repetition < situation->traced; repetition++) {
		situation->arrange();
		begin_tracing();
		situation->happen();
		end_tracing();
	}
	is_traced = false;
	judge_calls(READ, situation->counted, situation->name);
	judge_calls(POLL, situation->counted, situation->name);
	judge_sections(OFF, situation->traced, situation->name);
	judge_sections(TIMER, situation->traced, situation->name);
}

static void measure_situations(unsigned int count)
{
	printf("%u members\n", count);
	members = count;
	while (nr_open < members)
		fds[nr_open++] = open_member();
	/* Nobody preempts it; its children are as others. */
	schedule(SCHED_FIFO | SCHED_RESET_ON_FORK);
	for (size_t i = 0; i < ARRAY_SIZE(situations); i++)
		measure_situation(&situations[i]);
	schedule(SCHED_OTHER);
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
			read(fds[events[i].data.u32], bytes, sizeof(bytes));
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
	static const unsigned int sizes[] = { 16, 1000, MAX_MEMBERS };
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
	prepare_tracing();
	measure_tracer();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		measure_situations(sizes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(periods_ms); i++) {
		measure_left(true, periods_ms[i]);
		measure_left(false, periods_ms[i]);
	}
	return fclose(measured) ? EXIT_FAILURE : EXIT_SUCCESS;
}
