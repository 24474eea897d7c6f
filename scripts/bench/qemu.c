// SPDX-License-Identifier: GPL-2.0
/*
 * qemu FILE polite|hostile: what limits a guest, and what it costs: QEMU's own
 * limiter on /dev/urandom, /dev/rngquota, both as recommended, and a pipe that a
 * process feeds at the same rate. Real QEMUs, their guests played over qtest.
 * FILE gets rows of a table: what, measured, to reach, reached.
 *
 * "polite" is for a QEMU that counts instructions (-icount shift=0), where CPU
 * time in ns is the number of them. 20 guests at once have buffers in their
 * queues for some periods, and meanwhile nothing is asked of their QEMUs: what
 * these take then, they take for deliveries. All guests are up for some periods
 * before they ask for the first time.
 *
 * "hostile" is one guest that never stops asking: it fills its queue, has the
 * device look at it 50 times in a row (guest_volley()), takes what came. Its
 * buffers are large: that takes most of a file that always has data, and makes
 * QEMU keep most for one that has none.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qtest.h"
#include "rngq.h"

#define GUESTS		20
#define TIMER_GUESTS	3
#define TIMER_WAKES	36	/* of QEMU, a second, by a PC's timer */
#define IDLE_MS		10000
#define LOOKS		3
#define LOOK_PERIODS	7	/* the queue has room for one more */
#define DELIVERIES	(LOOKS * LOOK_PERIODS - 1)	/* that are counted */
#define HOST_PERIODS	4	/* less than between two looks */
#define PAUSE_MS	5
#define LAST_LOOKS	10	/* that find nothing: there is nothing more */

#define ATTACK_MS	22000	/* not the end of a period */
#define ACCOUNT_MS	100
#define VOLLEY		50
#define HOSTILE_BYTES	65536

/* An answer that takes more has waited for something. */
#define FREE_MS		10

struct quota {
	u64 rate_bytes;
	u64 period_ms;
};

static const struct quota polite_quota = { 1024, 1000 };
static const struct quota hostile_quota = { 24, 5000 };

enum limiter { QEMUS, OURS, BOTH, PIPE, LIMITERS };

static const char *const names[LIMITERS] = {
	[QEMUS] = "QEMU's limiter on `/dev/urandom`",
	[OURS] = "`/dev/rngquota` alone",
	[BOTH] = "both, as recommended",
	[PIPE] = "a pipe that a process feeds",
};

struct vm {
	struct guest guest;
	enum limiter limiter;
	const struct quota *quota;
	char pipe[32];
	pid_t feeder;
	u64 id;			/* of our client, or 0 */
	u64 start_ms;		/* of the guest's asking */
	u64 cpu_ns;		/* of QEMU, for what is counted */
	u64 feeder_cpu_ns;
	u64 had_bytes;
	u64 allowed_bytes;
	u64 over;		/* looks that found more than allowed */
	u64 throttled;
	u64 before_kib;		/* QEMU's memory */
	u64 after_kib;
	u64 volleys;
	u64 stall_ns;		/* longest that the main loop kept us waiting after one */
};

#define BESIDE	"beside QEMU's own limiter on `/dev/urandom`, 20 VMs, 1024 bytes / 1000 ms"

static FILE *rows;

/* A row of the table. */
__printf(4, 5)
static void row(const char *what, const char *to_reach, const char *reached,
		const char *format, ...)
{
	va_list args;

	fprintf(rows, "| %s | ", what);
	va_start(args, format);
	vfprintf(rows, format, args);
	va_end(args);
	fprintf(rows, " | %s | %s |\n", to_reach, reached);
}

static const char *yes_no(bool reached)
{
	return reached ? "yes" : "no";
}

static u64 cpu_ns(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used))
		bail_out("process %d has a clock of its CPU time", pid);
	return used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
}

/* Without what is mapped of files. */
static u64 memory_kib(const struct vm *vm)
{
	u64 resident, shared;
	char path[32];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/statm", vm->guest.pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*u %llu %llu", &resident, &shared) != 2)
		bail_out("QEMU %d has memory", vm->guest.pid);
	fclose(file);
	return (resident - shared) * sysconf(_SC_PAGESIZE) / 1024;
}

static noreturn void feed(const char *pipe, const struct quota *quota)
{
	char bytes[1024];
	u64 next_ns;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(pipe, O_WRONLY);
	next_ns = rngq_now_ns();
	while (getrandom(bytes, quota->rate_bytes, 0) > 0 &&
	       write(fd, bytes, quota->rate_bytes) > 0) {
		next_ns += quota->period_ms * NSEC_PER_MSEC;
		rngq_sleep_until_ns(next_ns);
	}
	_exit(EXIT_FAILURE);
}

static void vm_start(struct vm *vm, enum limiter limits, const struct quota *quota)
{
	struct guest_options options = { .filename = RNGQ_DEV };
	static unsigned int pipes;
	char device[64];

	*vm = (struct vm){ .limiter = limits, .quota = quota };
	snprintf(device, sizeof(device), "max-bytes=%llu,period=%llu",
		 quota->rate_bytes, quota->period_ms);
	if (limits == QEMUS || limits == BOTH)
		options.device = device;
	if (limits == QEMUS)
		options.filename = "/dev/urandom";
	if (limits == PIPE) {
		snprintf(vm->pipe, sizeof(vm->pipe), "/tmp/pipe-%u", pipes++);
		if (mkfifo(vm->pipe, 0600))
			bail_out("%s can be made", vm->pipe);
		options.filename = vm->pipe;
	}
	guest_start(&vm->guest, &options);
	if (limits != PIPE)
		return;
	vm->feeder = fork();
	if (vm->feeder < 0)
		bail_out("a process can be started that feeds a pipe");
	if (!vm->feeder)
		feed(vm->pipe, quota);
}

static void vm_wait_up(struct vm *vm)
{
	guest_wait_up(&vm->guest);
	if (vm->limiter != OURS && vm->limiter != BOTH)
		return;
	vm->id = guest_client(&vm->guest);
	if (!vm->id)
		bail_out("there is a client with QEMU's pid");
}

/* As Linux does, which has better ones. Else it wakes QEMU's main loop. */
static void stop_timer(struct vm *vm)
{
	static const char command[] = "outb 0x43 0x30\n";
	ssize_t length = strlen(command);
	char answer[8];

	if (write(vm->guest.fd, command, length) != length ||
	    read(vm->guest.fd, answer, sizeof(answer)) != strlen("OK\n"))
		bail_out("QEMU %d obeys", vm->guest.pid);
}

static void vm_end(struct vm *vm)
{
	if (!guest_alive(&vm->guest))
		bail_out("QEMU lives");
	guest_kill(&vm->guest);
	if (vm->feeder) {
		kill(vm->feeder, SIGKILL);
		waitpid(vm->feeder, NULL, 0);
		unlink(vm->pipe);
	}
}

static void set_default(enum limiter limiter, const struct quota *quota)
{
	rngq_set_default(quota->rate_bytes, quota->period_ms,
			 limiter == BOTH ? quota->rate_bytes : 0, 0);
}

/* Hold what was had so far against what may be had. */
static void account(struct vm *vm)
{
	u64 elapsed_ms;

	vm->had_bytes = vm->guest.got_bytes;
	if (vm->id) {
		/* What QEMU has had is no less than what the guest has. */
		vm->had_bytes = rngq_attr("clients/%llu/bytes", vm->id);
		vm->throttled = rngq_attr("clients/%llu/throttled", vm->id);
	}
	elapsed_ms = rngq_now_ms() - vm->start_ms;
	vm->allowed_bytes = vm->quota->rate_bytes *
			    (1 + (vm->limiter == BOTH) + elapsed_ms / vm->quota->period_ms);
	vm->over += vm->had_bytes > vm->allowed_bytes;
}

static void fetch_all(struct vm *vm)
{
	while (guest_outstanding(&vm->guest) &&
	       guest_fetch(&vm->guest, NULL) != GUEST_NOTHING)
		;
}

static void fill_queue(struct vm *vm, unsigned int bytes)
{
	while (guest_outstanding(&vm->guest) < vm->guest.slots)
		guest_post(&vm->guest, bytes);
}

/* A polite guest's: what came, and have as many buffers again. */
static void look(struct vm *vm)
{
	bool empty;

	fetch_all(vm);
	account(vm);
	/* A device that still has a buffer will find the new ones. */
	empty = !guest_outstanding(&vm->guest);
	fill_queue(vm, vm->quota->rate_bytes);
	if (empty)
		guest_notify(&vm->guest);
}

/* Ask for the first time, and take all that is there. */
static void take_first(struct vm *vm)
{
	unsigned int nothing = 0;

	guest_init_rng(&vm->guest);
	vm->start_ms = rngq_now_ms();
	while (nothing < LAST_LOOKS) {
		u64 had_bytes = vm->guest.got_bytes;

		look(vm);
		rngq_sleep_ms(PAUSE_MS);
		nothing = vm->guest.got_bytes == had_bytes ? nothing + 1 : 0;
	}
}

static void start_counting(struct vm *vm)
{
	vm->cpu_ns -= cpu_ns(vm->guest.pid);
	if (vm->feeder)
		vm->feeder_cpu_ns -= cpu_ns(vm->feeder);
}

static void stop_counting(struct vm *vm)
{
	vm->cpu_ns += cpu_ns(vm->guest.pid);
	if (vm->feeder)
		vm->feeder_cpu_ns += cpu_ns(vm->feeder);
}

/* How long the only CPU has been idle. */
static u64 idle_ns(void)
{
	FILE *file = fopen("/proc/timer_list", "re");
	char line[256];
	u64 ns;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " .idle_sleeptime : %llu", &ns) == 1) {
			fclose(file);
			return ns;
		}
	}
	bail_out("the kernel tells how long a CPU has been idle");
}

/* What the host does in some periods, in which it has nothing else to do. */
static u64 count_host(const struct quota *quota)
{
	u64 idle = idle_ns();
	u64 start_ns = rngq_now_ns();
	u64 ns;

	rngq_sleep_ms(HOST_PERIODS * quota->period_ms);
	ns = rngq_now_ns() - start_ns;
	return ns - (idle_ns() - idle);
}

/* Returns what the whole host has done for a delivery. */
static u64 run_polite(struct vm *vms, int count, enum limiter limiter, bool timer)
{
	u64 host_ns = 0;

	set_default(limiter, &polite_quota);
	for (int i = 0; i < count; i++)
		vm_start(&vms[i], limiter, &polite_quota);
	for (int i = 0; i < count; i++) {
		vm_wait_up(&vms[i]);
		if (!timer)
			stop_timer(&vms[i]);
	}
	rngq_sleep_ms(IDLE_MS);
	for (int i = 0; i < count; i++) {
		take_first(&vms[i]);
		start_counting(&vms[i]);
	}
	for (int k = 1; k <= LOOKS; k++) {
		for (int i = 0; i < count; i++) {
			struct vm *vm = &vms[i];
			u64 look_ms = vm->start_ms + k * LOOK_PERIODS * vm->quota->period_ms;

			/* In the middle of a period, with one buffer left. */
			look_ms -= vm->quota->period_ms / 2;
			if (rngq_now_ms() > look_ms)
				bail_out("there is time for each look");
			rngq_sleep_until_ns(look_ms * NSEC_PER_MSEC);
			stop_counting(vm);
			look(vm);
			if (k == 1)
				vm->before_kib = memory_kib(vm);
			if (k == LOOKS)
				vm->after_kib = memory_kib(vm);
			else
				start_counting(vm);
		}
		if (k == 1)
			host_ns = count_host(&polite_quota) / (HOST_PERIODS * count);
	}
	for (int i = 0; i < count; i++)
		vm_end(&vms[i]);
	return host_ns;
}

/* What all VMs with one limiter had, and what it took. */
struct summary {
	u64 median;		/* of QEMU's instructions a delivery */
	u64 least;
	u64 most;
	u64 feeder;		/* mean of a feeder's */
	u64 host;		/* all that the host does for a delivery */
	u64 had_bytes;
	u64 allowed_bytes;
	u64 over;
	u64 throttled;
	u64 least_bytes;
	u64 most_bytes;
	u64 growth_kib;		/* most of a QEMU */
};

static int compare_cpu(const void *a, const void *b)
{
	const struct vm *x = a, *y = b;

	return x->cpu_ns < y->cpu_ns ? -1 : x->cpu_ns > y->cpu_ns;
}

static struct summary sum_up(struct vm *vms, int count, u64 host_ns)
{
	struct summary sum = { .host = host_ns, .least_bytes = ~0ULL };

	qsort(vms, count, sizeof(vms[0]), compare_cpu);
	sum.least = vms[0].cpu_ns / DELIVERIES;
	sum.median = vms[count / 2].cpu_ns / DELIVERIES;
	sum.most = vms[count - 1].cpu_ns / DELIVERIES;
	for (int i = 0; i < count; i++) {
		const struct vm *vm = &vms[i];

		sum.feeder += vm->feeder_cpu_ns / DELIVERIES / count;
		sum.had_bytes += vm->had_bytes;
		sum.allowed_bytes += vm->allowed_bytes;
		sum.over += vm->over;
		sum.throttled += vm->throttled;
		if (vm->had_bytes < sum.least_bytes)
			sum.least_bytes = vm->had_bytes;
		if (vm->had_bytes > sum.most_bytes)
			sum.most_bytes = vm->had_bytes;
		if (vm->after_kib > vm->before_kib + sum.growth_kib)
			sum.growth_kib = vm->after_kib - vm->before_kib;
	}
	return sum;
}

static double percent_had(const struct summary *sum)
{
	return 100.0 * sum->had_bytes / sum->allowed_bytes;
}

static struct summary measure(enum limiter limiter, int count, bool timer)
{
	static struct vm vms[GUESTS];
	u64 host_ns;

	fprintf(stderr, "%d polite guests%s: %s\n", count, timer ? ", their timers on" : "",
		names[limiter]);
	host_ns = run_polite(vms, count, limiter, timer);
	return sum_up(vms, count, host_ns);
}

static void all_polite(void)
{
	struct summary sums[LIMITERS], with_timer[LIMITERS];
	const struct summary *qemus = &sums[QEMUS], *ours = &sums[OURS];
	const struct summary *both = &sums[BOTH], *pipe = &sums[PIPE];
	s64 cost;

	for (enum limiter limiter = 0; limiter < LIMITERS; limiter++)
		sums[limiter] = measure(limiter, GUESTS, false);
	for (enum limiter limiter = QEMUS; limiter <= BOTH; limiter++)
		with_timer[limiter] = measure(limiter, TIMER_GUESTS, true);

	row(BESIDE ": QEMU's instructions a delivery", "no more",
	    yes_no(ours->median <= qemus->median),
	    "QEMU's limiter %llu, ours %llu: %.2f", qemus->median, ours->median,
	    (double)ours->median / qemus->median);
	row(BESIDE ": the same, least … most of 20 VMs", "no wider",
	    yes_no(ours->most - ours->least <= qemus->most - qemus->least),
	    "QEMU's limiter %llu … %llu, ours %llu … %llu",
	    qemus->least, qemus->most, ours->least, ours->most);
	row(BESIDE ": all instructions of the host a delivery", "no more",
	    yes_no(ours->host <= qemus->host),
	    "with QEMU's limiter %llu, with ours %llu: %.2f",
	    qemus->host, ours->host, (double)ours->host / qemus->host);
	/* Each time it looks whether the file has something. */
	cost = with_timer[OURS].median - with_timer[QEMUS].median -
	       (ours->median - qemus->median);
	row(BESIDE ", something else wakes QEMU 36 times a second: QEMU's instructions a period",
	    "no more", yes_no(with_timer[OURS].median <= with_timer[QEMUS].median),
	    "QEMU's limiter %llu, ours %llu: %.3f, %lld more each time",
	    with_timer[QEMUS].median, with_timer[OURS].median,
	    (double)with_timer[OURS].median / with_timer[QEMUS].median,
	    cost / TIMER_WAKES);
	row(BESIDE ": bytes had / allowed in 21 periods", "never above, no less",
	    yes_no(!ours->over && percent_had(ours) >= percent_had(qemus)),
	    "QEMU's limiter %.2f %%, ours %.2f %%; more than allowed was found %llu and %llu times",
	    percent_had(qemus), percent_had(ours), qemus->over, ours->over);
	row(BESIDE ": bytes that a VM had, least … most of 20", "no wider",
	    yes_no(ours->most_bytes - ours->least_bytes <=
		   qemus->most_bytes - qemus->least_bytes),
	    "QEMU's limiter %llu … %llu, ours %llu … %llu", qemus->least_bytes,
	    qemus->most_bytes, ours->least_bytes, ours->most_bytes);

	row("both limiters, ours with a burst, as recommended: the same figures",
	    "", "stated",
	    "QEMU %llu, %.2f of its limiter alone, the host %llu; woken 36 times a second besides %llu, %.3f; %llu … %llu bytes, %.2f %% of what ours allows",
	    both->median, (double)both->median / qemus->median, both->host,
	    with_timer[BOTH].median,
	    (double)with_timer[BOTH].median / with_timer[QEMUS].median,
	    both->least_bytes, both->most_bytes, percent_had(both));
	row("both limiters: memory of a well-behaved guest's QEMU, from 6.5 to 20.5 s", "flat",
	    yes_no(!both->growth_kib && !both->throttled),
	    "%llu KiB more at the most; found the device empty %llu times",
	    both->growth_kib, both->throttled);
	row("a pipe fed by a process at the same rate: the same figures",
	    "", "stated",
	    "QEMU %llu, the process %llu, the host %llu; %llu … %llu bytes, %.2f %%, since what is fed before the guest asks piles up",
	    pipe->median, pipe->feeder, pipe->host, pipe->least_bytes,
	    pipe->most_bytes, percent_had(pipe));
}

static void run_hostile(struct vm *vm, enum limiter limiter)
{
	u64 account_ms;

	set_default(limiter, &hostile_quota);
	vm_start(vm, limiter, &hostile_quota);
	vm_wait_up(vm);
	stop_timer(vm);
	guest_init_rng(&vm->guest);
	vm->before_kib = memory_kib(vm);
	start_counting(vm);
	vm->start_ms = rngq_now_ms();
	account_ms = vm->start_ms;
	while (rngq_now_ms() < vm->start_ms + ATTACK_MS) {
		u64 start_ns;

		fill_queue(vm, HOSTILE_BYTES);
		if (!guest_volley(&vm->guest, VOLLEY))
			bail_out("QEMU survives a volley");
		start_ns = rngq_now_ns();
		guest_fetch(&vm->guest, NULL);
		if (rngq_now_ns() - start_ns > vm->stall_ns)
			vm->stall_ns = rngq_now_ns() - start_ns;
		fetch_all(vm);
		vm->volleys++;
		/* Now and then: on this one CPU it is at the attack's cost. */
		if (rngq_now_ms() >= account_ms) {
			account(vm);
			account_ms += ACCOUNT_MS;
		}
	}
	account(vm);
	stop_counting(vm);
	vm->after_kib = memory_kib(vm);
	vm_end(vm);
}

static void all_hostile(void)
{
	for (enum limiter limiter = 0; limiter < LIMITERS; limiter++) {
		const char *to_reach = "", *reached = "stated";
		u64 free_ns = FREE_MS * NSEC_PER_MSEC;
		char what[160];
		struct vm vm;

		fprintf(stderr, "a hostile guest: %s\n", names[limiter]);
		run_hostile(&vm, limiter);
		if (limiter == OURS) {
			to_reach = "never above allowed";
			reached = yes_no(!vm.over);
		} else if (limiter == BOTH) {
			to_reach = "never above allowed, main loop free";
			reached = yes_no(!vm.over && vm.stall_ns < free_ns);
		}
		snprintf(what, sizeof(what),
			 "a hostile guest, 24 bytes / 5000 ms, after 22 s, on a CPU of 1.25 · 10⁸ instructions a second: %s",
			 names[limiter]);
		row(what, to_reach, reached,
		    "%llu bytes had, %llu allowed; %llu volleys, QEMU's CPU time %.0f %%, longest stall of its main loop %.1f ms, its memory %.1f MiB, before %.1f",
		    vm.had_bytes, vm.allowed_bytes, vm.volleys,
		    100.0 * vm.cpu_ns / NSEC_PER_MSEC / ATTACK_MS,
		    (double)vm.stall_ns / NSEC_PER_MSEC, vm.after_kib / 1024.0,
		    vm.before_kib / 1024.0);
	}
}

int main(int argc, char **argv)
{
	rows = argc == 3 ? fopen(argv[1], "w") : NULL;
	if (rows && !strcmp(argv[2], "polite")) {
		all_polite();
	} else if (rows && !strcmp(argv[2], "hostile")) {
		all_hostile();
	} else {
		fprintf(stderr, "usage: qemu FILE polite|hostile\n");
		return EXIT_FAILURE;
	}
	return fclose(rows) ? EXIT_FAILURE : EXIT_SUCCESS;
}
