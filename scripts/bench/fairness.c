// SPDX-License-Identifier: GPL-2.0
/*
 * fairness FILE: who gets what when total/ is too small for all ("Many clients"
 * in the interface). Crowds of 100 processes, a client each, without a quota of
 * their own:
 *
 *  - all are greedy, some by read(), some by poll(), some by edge-triggered
 *    epoll, and some hammer without ever waiting;
 *  - the same, with only a byte for every second one: who is woken for nothing?
 *  - one is greedy, the others want little, each on a beat of its own;
 *  - the same, but all of them sleep in read(); and then a sniper in the place of the
 *    greedy one: it is silent, and reads once just after each refill.
 *
 * And one that is greedy beside 2000 clients of some processes that poll without a
 * pause and never read.
 *
 * Time. Somebody empties total/, and that starts its clock; as the crowd always
 * waits for more, each refill comes a period after the one before. All is
 * counted in rows of a period's length, each of which begins a tenth of a period
 * before a refill: what that refill brought has nine tenths to be fetched in.
 * The first rows, in which the crowd arrives, are not counted.
 *
 * Wake-ups. The scheduler's event sched_waking tells of each sleeping task that
 * is woken, exactly once, whoever wakes it and however. The greedy ones sleep for
 * nothing but the device. (Context switches would not do: a task that is woken
 * before it is off the CPU makes none.)
 *
 * The tables go to the standard output. FILE gets
 *
 *	row | WHAT | MEASURED | TO REACH | REACHED |
 *
 * for each figure, and to be drawn
 *
 *	client RATE KIND BYTES			for each greedy one
 *	crowd RATE ROW SERVED WOKEN		clients, all of them greedy
 *	one-greedy ROW WANTED MODEST GREEDY	bytes, one of them greedy
 */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"
#include "rngq.h"

#define TRACING		"/sys/kernel/tracing/"

#define CLIENTS		100
#define RATE_BYTES	1000
#define SCARCE_BYTES	50
#define SPINNING	3
#define MODEST_BYTES	5
#define MODEST_MIN_MS	804	/* a modest one's beat, */
#define MODEST_STEP_MS	4	/* and by how much the next one's is longer */
#define GREEDY		(CLIENTS - 1)	/* who is none of the modest */
#define POLLING		2000
#define POLLING_PROCESSES	4
#define PERIOD_NS	(total.period_ms * NSEC_PER_MSEC)
#define SNIPER_LATE_NS	(NSEC_PER_MSEC / 5)
#define ROWS		60
#define SHORT_ROWS	30	/* for the last ones */
#define LATE_ROWS	2	/* so that who wanted something late, can have it */
#define LOG_SIZE	1024

/* How many rows don't count at first, and how many do then; ROWS at the most. */
static unsigned int early_rows = 10, rows = ROWS;
static struct crowd_quota total = { .rate_bytes = RATE_BYTES, .period_ms = 1000 };

static const char *const kind_names[CROWD_KINDS] = {
	[CROWD_READ] = "read()",
	[CROWD_POLL] = "poll(), read()",
	[CROWD_EDGE] = "epoll, edges",
	[CROWD_SPIN] = "spin on EAGAIN",
};

/* What happened in the rows that count. */
struct result {
	u64 start_ns;
	u64 bytes, member_bytes[CLIENTS], row_bytes[ROWS];
	u64 reads[CLIENTS];
	u64 greedy_bytes[ROWS];		/* what member GREEDY had */
	unsigned int served[ROWS];	/* members that had something, and those */
	unsigned int sleepers_served[ROWS];	/* of them that don't spin */
	unsigned int woken[ROWS], member_woken[CLIENTS];
};

static FILE *measured;
static char scenario[100];

/* The row of the time @at_ns; @rows or more if it is in none that counts. */
static u64 row_of(const struct result *result, u64 at_ns)
{
	return at_ns < result->start_ns ? rows : (at_ns - result->start_ns) / PERIOD_NS;
}

/* One line of the table of figures, and of that of bench.sh. */
__printf(4, 5)
static void figure(bool reached, const char *what, const char *to_reach,
		   const char *got, ...)
{
	char text[80];
	va_list args;

	va_start(args, got);
	vsnprintf(text, sizeof(text), got, args);
	va_end(args);
	printf("  %-40s %-24s %-22s %s\n", what, text, to_reach,
	       reached ? "reached" : "NOT reached");
	fprintf(measured, "row | %s: %s | %s | %s | %s |\n", scenario, what, text,
		to_reach, reached ? "yes" : "no");
}

static void tracing(const char *file, const char *text)
{
	char path[100];
	FILE *stream;

	snprintf(path, sizeof(path), TRACING "%s", file);
	stream = fopen(path, "w");
	if (!stream || fputs(text, stream) < 0 || fclose(stream))
		bail_out("\"%s\" can be written to %s", text, path);
}

static void prepare_tracing(void)
{
	tracing("tracing_on", "0");
	tracing("trace", "");
	/* The clock of the crowd, and room for all that comes. */
	tracing("trace_clock", "mono");
	tracing("buffer_size_kb", "8192");
	tracing("events/sched/sched_waking/filter", "comm == \"benchmark\"");
	tracing("events/sched/sched_waking/enable", "1");
}

static void count_wakeups(const struct crowd *crowd, struct result *result)
{
	FILE *trace = fopen(TRACING "trace", "r");
	unsigned long kept, written;
	bool complete = false;
	char line[400];

	if (!trace)
		bail_out("the trace can be read");
	while (fgets(line, sizeof(line), trace)) {
		char *event = strstr(line, ": sched_waking: "), *pid;
		u64 row;

		if (sscanf(line, "# entries-in-buffer/entries-written: %lu/%lu",
			   &kept, &written) == 2)
			complete = kept == written;
		if (!event)
			continue;
		/* Before the event's name there is its time in seconds. */
		*event = '\0';
		pid = strstr(event + 1, " pid=");
		row = row_of(result, strtod(strrchr(line, ' '), NULL) * NSEC_PER_SEC);
		for (unsigned int i = 0; i < crowd->count && pid && row < rows; i++) {
			if (crowd->members[i].pid != atoi(pid + strlen(" pid=")))
				continue;
			result->woken[row]++;
			result->member_woken[i]++;
		}
	}
	fclose(trace);
	if (!complete)
		bail_out("the trace has lost nothing");
}

static void count_reads(const struct crowd *crowd, struct result *result)
{
	for (unsigned int i = 0; i < crowd->count; i++) {
		const struct crowd_member *member = &crowd->members[i];
		bool served[ROWS] = { false };

		if (member->logged > LOG_SIZE)
			bail_out("the log of member %u is large enough", i);
		for (size_t entry = 0; entry < member->logged; entry++) {
			u64 bytes = member->log[entry].bytes;
			u64 row = row_of(result, member->log[entry].after_ns);

			if (row >= rows)
				continue;
			served[row] = true;
			result->reads[i]++;
			result->member_bytes[i] += bytes;
			result->row_bytes[row] += bytes;
			result->greedy_bytes[row] += i == GREEDY ? bytes : 0;
			result->bytes += bytes;
		}
		for (unsigned int row = 0; row < rows; row++) {
			result->served[row] += served[row];
			result->sleepers_served[row] += served[row] && member->kind != CROWD_SPIN;
		}
	}
}

/*
 * Let the crowd go for all rows, do something @meanwhile, if that is not NULL, and
 * count what it did in those that count.
 */
static void run(struct crowd *crowd, struct result *result,
		void (*meanwhile)(struct crowd *crowd, const struct result *result))
{
	u64 end_ns;
	int fd;

	if (rngq_attr_write("max", "default/rate_bytes"))
		bail_out("the clients' own quota can be set");
	crowd_set_total(total.rate_bytes, total.period_ms, total.burst_bytes);
	crowd_open(crowd);
	prepare_tracing();

	fd = rngq_open(O_NONBLOCK);
	memset(result, 0, sizeof(*result));
	result->start_ns = rngq_now_ns() + early_rows * PERIOD_NS - PERIOD_NS / 10;
	end_ns = result->start_ns + rows * PERIOD_NS;
	if (rngq_drain(fd) != total.rate_bytes)
		bail_out("total/ is full at first");
	close(fd);
	crowd_go(crowd);

	if (meanwhile) {
		meanwhile(crowd, result);
	} else {
		rngq_sleep_until_ns(result->start_ns);
		tracing("tracing_on", "1");
		rngq_sleep_until_ns(end_ns);
		tracing("tracing_on", "0");
	}
	rngq_sleep_until_ns(end_ns + LATE_ROWS * PERIOD_NS);
	/* As long as the members' pids are known. */
	count_wakeups(crowd, result);
	crowd_stop(crowd);
	if (crowd_error(crowd))
		bail_out("no member meets an error, not %d", crowd_error(crowd));
	count_reads(crowd, result);
}

static void judge_promise(struct crowd *crowd)
{
	u64 excess = crowd_excess(crowd, &total);

	figure(!excess, "all, above the promise in any interval", "0",
	       "%llu bytes", excess);
}

static void judge_total(struct crowd *crowd, const struct result *result,
			unsigned int per_mille)
{
	u64 refilled = total.rate_bytes * rows;
	char what[80], to_reach[20];

	judge_promise(crowd);
	snprintf(what, sizeof(what), "all, of what is refilled in %u periods", rows);
	snprintf(to_reach, sizeof(to_reach), ">= %.3g %%", per_mille / 10.);
	figure(result->bytes * 1000 >= refilled * per_mille, what, to_reach,
	       "%llu bytes, %.2f %%", result->bytes, 100. * result->bytes / refilled);
}

static void show_kind(const struct crowd *crowd, const struct result *result,
		      enum crowd_kind kind)
{
	u64 least = ~0ULL, most = 0, reads = 0, empty = 0, woken = 0;
	unsigned int clients = 0;

	for (int i = 0; i < CLIENTS; i++) {
		u64 bytes = result->member_bytes[i];

		if (crowd->members[i].kind != kind)
			continue;
		clients++;
		least = bytes < least ? bytes : least;
		most = bytes > most ? bytes : most;
		reads += result->reads[i];
		empty += crowd->members[i].empty;
		woken += result->member_woken[i];
	}
	printf("  %-16s %7u   %6llu ... %-6llu %10llu %10llu %10llu\n",
	       kind_names[kind], clients, least, most, reads, empty, woken);
}

static void judge_greedy(struct crowd *crowd, const struct result *result)
{
	double squares = 0, least = 0, most = 0;
	unsigned int woken = 0, served = 0;
	bool too_many = false;

	printf("                                                           found\n"
	       "  they wait by     clients     bytes each           reads    nothing    woken\n");
	show_kind(crowd, result, CROWD_READ);
	show_kind(crowd, result, CROWD_POLL);
	show_kind(crowd, result, CROWD_EDGE);
	show_kind(crowd, result, CROWD_SPIN);
	printf("\n");

	for (int i = 0; i < CLIENTS; i++) {
		double share = (double)result->member_bytes[i] * CLIENTS / result->bytes;

		squares += share * share;
		least = i && least < share ? least : share;
		most = most > share ? most : share;
		fprintf(measured, "client %llu %d %llu\n", total.rate_bytes,
			crowd->members[i].kind, result->member_bytes[i]);
	}
	for (unsigned int row = 0; row < rows; row++) {
		woken += result->woken[row];
		served += result->sleepers_served[row];
		too_many |= result->woken[row] > result->sleepers_served[row];
		fprintf(measured, "crowd %llu %u %u %u\n", total.rate_bytes, row,
			result->served[row], result->woken[row]);
	}
	figure(CLIENTS / squares >= 0.9999, "Jain's index", ">= 0.9999", "%.5f",
	       CLIENTS / squares);
	figure(least >= 0.9 && most <= 1.1, "each, of an equal share", "90 % ... 110 %",
	       "%.1f %% ... %.1f %%", 100 * least, 100 * most);
	judge_total(crowd, result, 999);
	figure(!too_many, "woken in a period, of those that sleep", "never > served",
	       "%.1f, served %.1f", (double)woken / rows, (double)served / rows);
}

static void test_all_greedy(struct result *result, u64 rate_bytes)
{
	struct crowd *crowd = crowd_new(CLIENTS, LOG_SIZE);
	static const enum crowd_kind kinds[] = { CROWD_READ, CROWD_POLL, CROWD_EDGE };

	total.rate_bytes = rate_bytes;
	for (int i = 0; i < CLIENTS; i++)
		crowd->members[i].kind = i < CLIENTS - SPINNING ?
			kinds[i * 3 / (CLIENTS - SPINNING)] : CROWD_SPIN;
	snprintf(scenario, sizeof(scenario), "%llu bytes / %llu ms; %d greedy clients",
		 total.rate_bytes, total.period_ms, CLIENTS);
	printf("\n%s, each asks for %d again and again:\n\n", scenario, CROWD_MAX_ASKS);
	run(crowd, result, NULL);
	judge_greedy(crowd, result);
	crowd_free(crowd);
}

static int compare_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

struct wants {
	u64 row_bytes[ROWS];
	size_t count;		/* of wants in rows that count */
	size_t met;
	u64 waited_ns[CLIENTS * ROWS * 2], sum_ns;
};

static struct wants wants;

/* What this modest one wanted in rows that count, and when it had that. */
static void count_wants(const struct crowd *crowd, const struct result *result,
			const struct crowd_member *member)
{
	u64 had = 0, wanted = 0, at_ns = crowd->start_ns, waited_ns;
	size_t entry = 0;

	for (;; at_ns += member->every_ms * NSEC_PER_MSEC) {
		u64 row = row_of(result, at_ns);

		if (row >= rows && at_ns > result->start_ns)
			return;
		wanted += member->wants_bytes;
		while (had < wanted && entry < member->logged)
			had += member->log[entry++].bytes;
		if (row >= rows)
			continue;
		wants.row_bytes[row] += member->wants_bytes;
		wants.count++;
		if (had < wanted)
			continue;
		waited_ns = member->log[entry - 1].after_ns - at_ns;
		wants.waited_ns[wants.met++] = waited_ns;
		wants.sum_ns += waited_ns;
	}
}

static double mean_wait_ms(void)
{
	return (double)wants.sum_ns / wants.met / NSEC_PER_MSEC;
}

static void judge_wants(const struct crowd *crowd, const struct result *result)
{
	memset(&wants, 0, sizeof(wants));
	for (int i = 0; i < GREEDY; i++)
		count_wants(crowd, result, &crowd->members[i]);
	if (!wants.met)
		bail_out("somebody gets what it wants");
	figure(wants.met == wants.count, "the modest, of what they want", "all",
	       "%zu of %zu bytes", wants.met * MODEST_BYTES, wants.count * MODEST_BYTES);
}

static void judge_greedy_one(const struct result *result)
{
	u64 had = result->member_bytes[GREEDY];
	u64 left = total.rate_bytes * rows - (result->bytes - had);

	figure(had >= left * 99 / 100, "the greedy one, of what they leave", ">= 99 %",
	       "%llu of %llu bytes", had, left);
}

static void show_waits(void)
{
	qsort(wants.waited_ns, wants.met, sizeof(wants.waited_ns[0]), compare_u64);
	printf("\n  A modest one waited for %d bytes: mean %.1f, median %llu, longest %llu ms.\n",
	       MODEST_BYTES, mean_wait_ms(),
	       wants.waited_ns[wants.met / 2] / NSEC_PER_MSEC,
	       wants.waited_ns[wants.met - 1] / NSEC_PER_MSEC);
}

/* Those that want little; the last one is greedy. */
static struct crowd *new_modest(bool all_sleep)
{
	struct crowd *crowd = crowd_new(CLIENTS, LOG_SIZE);

	for (int i = 0; i < GREEDY; i++) {
		struct crowd_member *member = &crowd->members[i];

		member->kind = all_sleep || i % 2 == 0 ? CROWD_READ : CROWD_POLL;
		member->wants_bytes = MODEST_BYTES;
		member->every_ms = MODEST_MIN_MS + i * MODEST_STEP_MS;
	}
	total.rate_bytes = RATE_BYTES;
	return crowd;
}

static void name_modest(const char *name)
{
	snprintf(scenario, sizeof(scenario), "%llu bytes / %llu ms; %s",
		 total.rate_bytes, total.period_ms, name);
	printf("\n%s that want %d every %d ... %d ms each:\n\n", scenario, MODEST_BYTES,
	       MODEST_MIN_MS, MODEST_MIN_MS + (GREEDY - 1) * MODEST_STEP_MS);
}

static void test_one_greedy(struct result *result)
{
	struct crowd *crowd = new_modest(false);

	name_modest("1 greedy client, 99 modest");
	run(crowd, result, NULL);
	judge_wants(crowd, result);
	for (unsigned int row = 0; row < rows; row++)
		fprintf(measured, "one-greedy %u %llu %llu %llu\n", row,
			wants.row_bytes[row],
			result->row_bytes[row] - result->greedy_bytes[row],
			result->greedy_bytes[row]);
	judge_greedy_one(result);
	judge_total(crowd, result, 999);
	show_waits();
	crowd_free(crowd);
}

/* It reads once after each refill, as soon as it finds something. */
static void snipe(struct crowd *crowd, const struct result *result)
{
	u64 end_ns = result->start_ns + (rows + LATE_ROWS) * PERIOD_NS;
	struct crowd_member *sniper = &crowd->members[GREEDY];
	u64 next_ns = crowd->start_ns + PERIOD_NS;
	int fd = rngq_open(O_NONBLOCK);

	while (next_ns < end_ns && sniper->logged < LOG_SIZE) {
		struct crowd_read *entry = &sniper->log[sniper->logged];
		ssize_t count;

		rngq_sleep_until_ns(next_ns + SNIPER_LATE_NS);
		entry->before_ns = rngq_now_ns();
		count = rngq_take(fd, CROWD_MAX_ASKS);
		entry->after_ns = rngq_now_ns();
		/* If nobody waited for a refill, the next one comes later. */
		next_ns += count > 0 ? PERIOD_NS : NSEC_PER_MSEC;
		if (count > 0) {
			entry->bytes = count;
			sniper->logged++;
		}
	}
	close(fd);
	/* From now on it is counted like a member of the crowd. */
	crowd->count = CLIENTS;
}

static void test_sniper(struct result *result)
{
	struct crowd *crowd = new_modest(true);
	double beside_sleeper_ms, ms;

	rows = SHORT_ROWS;
	name_modest("1 greedy client that sleeps in read(), 99 modest that do");
	run(crowd, result, NULL);
	judge_wants(crowd, result);
	judge_greedy_one(result);
	judge_total(crowd, result, 999);
	show_waits();
	beside_sleeper_ms = mean_wait_ms();
	crowd_free(crowd);

	crowd = new_modest(true);
	crowd->count = GREEDY;
	name_modest("1 sniper, 99 modest that sleep in read()");
	run(crowd, result, snipe);
	judge_wants(crowd, result);
	ms = mean_wait_ms();
	figure(ms <= 1.5 * beside_sleeper_ms, "they wait, in the mean",
	       "<= 1.5 x", "%.1f ms, beside a greedy sleeper %.1f ms", ms, beside_sleeper_ms);
	judge_total(crowd, result, 980);
	printf("\n  The sniper had %llu bytes.\n", result->member_bytes[GREEDY]);
	show_waits();
	crowd_free(crowd);
}

/* Those who poll. @polls counts how often each is asked for. */
static noreturn void poll_on(int opened, atomic_ullong *polls)
{
	static struct pollfd clients[POLLING / POLLING_PROCESSES];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i].fd = open(RNGQ_DEV, O_RDONLY | O_NONBLOCK);
		clients[i].events = POLLIN;
		if (clients[i].fd < 0)
			bail_out("%d clients can be opened", POLLING);
	}
	if (write(opened, "", 1) != 1)
		bail_out("a pipe can be written to");
	for (;;) {
		poll(clients, ARRAY_SIZE(clients), 0);
		++*polls;
	}
}

static void test_pollers(struct result *result)
{
	struct crowd *crowd = crowd_new(1, LOG_SIZE);
	atomic_ullong *polls = mmap(NULL, sizeof(*polls), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[POLLING_PROCESSES];
	u64 refilled, start_ns;
	int opened[2];
	char byte;

	rows = SHORT_ROWS;
	total.rate_bytes = RATE_BYTES;
	snprintf(scenario, sizeof(scenario), "%llu bytes / %llu ms; 1 greedy client, %d that poll",
		 total.rate_bytes, total.period_ms, POLLING);
	printf("\n%s without a pause, and never read:\n\n", scenario);
	rngq_set(RNGQ_MAX, "limits/max_clients_per_process");
	if (polls == MAP_FAILED || pipe(opened))
		bail_out("there are memory and a pipe");
	for (int i = 0; i < POLLING_PROCESSES; i++) {
		pids[i] = fork();
		if (!pids[i])
			poll_on(opened[1], polls);
		if (pids[i] < 0 || read(opened[0], &byte, 1) != 1)
			bail_out("those who poll can be started");
	}
	*polls = 0;
	start_ns = rngq_now_ns();
	run(crowd, result, NULL);
	printf("  Each was polled %.1f times a period.\n\n", (double)*polls / POLLING_PROCESSES *
	       PERIOD_NS / (rngq_now_ns() - start_ns));
	refilled = total.rate_bytes * rows;
	figure(result->bytes * 100 >= refilled * 95, "the greedy one, of total/", ">= 95 %",
	       "%llu of %llu bytes, %.2f %%", result->bytes, refilled,
	       100. * result->bytes / refilled);
	judge_promise(crowd);
	for (int i = 0; i < POLLING_PROCESSES; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	crowd_free(crowd);
}

int main(int argc, char **argv)
{
	static struct result result;
	struct utsname kernel;

	measured = argc == 2 ? fopen(argv[1], "w") : NULL;
	if (!measured) {
		fprintf(stderr, "usage: fairness FILE\n");
		return EXIT_FAILURE;
	}
	/* Line by line, so that no fork() copies what is not written yet. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	setvbuf(measured, NULL, _IOLBF, 0);
	uname(&kernel);
	printf("Linux %s, %ld CPUs; total/ is too small for all\n",
	       kernel.release, sysconf(_SC_NPROCESSORS_ONLN));
	test_all_greedy(&result, RATE_BYTES);
	test_all_greedy(&result, SCARCE_BYTES);
	test_one_greedy(&result);
	test_sniper(&result);
	test_pollers(&result);
	return EXIT_SUCCESS;
}
