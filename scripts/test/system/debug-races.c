// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once on all CPUs, again and again, for DURATION seconds: clients
 * are read in all ways, and opened, closed, handed on, killed, changed and looked
 * at, in rounds. After each the storm stops, and the world is put to the test:
 * every client's promise was kept, and total/'s; who waits gets what is due with
 * nobody's help, and all at once if there is no limit any more; what was had
 * adds up; nothing is left. Then the module is loaded and unloaded while others
 * come by. What goes wrong otherwise, the kernel's log tells.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "races.h"
#include "reader.h"
#include "rngq.h"

#define RACERS_EACH	2
#define RACERS		(CLIENTS * RACERS_EACH)
#define ROUND_MS	10000
#define COMING_MS	2000
#define MAX_ACTORS	16
/* On a busy machine, with all that happens at once. */
#define PATIENCE_MS	(6 * LATE_MS)
#define DEFAULT_DURATION_S	180

struct world *world;

static struct racer racers[RACERS];
static pid_t actors[MAX_ACTORS];

static const char *const stat_names[] = {
	"opens", "refused", "bytes", "reads", "throttled", "throttled_ms",
};

enum counter { OPENS, REFUSED, BYTES, READS, THROTTLED, THROTTLED_MS, STATS };

void wrong(const char *what, ...)
{
	char text[200];
	va_list args;

	if (world->wrong++ >= 20)
		return;
	va_start(args, what);
	vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	diag("unexpected: %s", text);
}

static void log_read(struct read_log *log, u64 before_ns, u64 after_ns, size_t bytes)
{
	size_t entry = log->count < LOG_SIZE ? log->count++ : LOG_SIZE;

	if (entry < LOG_SIZE)
		log->reads[entry] = (struct crowd_read){ before_ns, after_ns, bytes };
}

void count_read(struct client *client, u64 before_ns, size_t bytes)
{
	u64 after_ns = rngq_now_ns();

	if (client && client->quota.rate_bytes)
		log_read(&client->log, before_ns, after_ns, bytes);
	if (world->regime == TOTAL_STAYS)
		log_read(&world->total_log, before_ns, after_ns, bytes);
	if (client) {
		client->bytes += bytes;
		client->reads++;
	} else {
		world->bytes += bytes;
		world->reads++;
	}
	world->all_reads++;
}

static void get_stats(u64 *stats)
{
	for (int i = 0; i < STATS; i++)
		stats[i] = rngq_attr("stats/%s", stat_names[i]);
}

/* Wait until stats/clients is @wanted: false if that does not come. */
static bool clients_become(u64 wanted)
{
	u64 give_up_ms = rngq_now_ms() + PATIENCE_MS;

	while (rngq_attr("stats/clients") != wanted) {
		if (rngq_now_ms() >= give_up_ms)
			return false;
		rngq_sleep_ms(1);
	}
	return true;
}

static u64 count_folders(void)
{
	DIR *clients = opendir(RNGQ_SYSFS "/clients");
	struct dirent *entry;
	u64 count = 0;

	if (!clients)
		bail_out("there is clients/");
	while ((entry = readdir(clients)))
		count += entry->d_name[0] != '.';
	closedir(clients);
	return count;
}

static struct crowd_quota steady_quota(unsigned int *seed, unsigned int which)
{
	switch (which) {
	case 0:
		return (struct crowd_quota){
			1 + pick(seed, 9), 1 + pick(seed, 15), 0,
		};
	case 1:
		return (struct crowd_quota){
			100 + pick(seed, 900), 20 + pick(seed, 80),
			pick(seed, 2) * pick(seed, 2000),
		};
	case 2:
		return (struct crowd_quota){ 50000 + pick(seed, 50000), 100, 0 };
	default:
		return (struct crowd_quota){ 1, HOUR_MS, 0 };
	}
}

static void set_up_world(unsigned int *seed, unsigned int round)
{
	u64 boot_bytes = pick(seed, 2) * pick(seed, 300);

	memset(world->clients, 0, sizeof(world->clients));
	memset(&world->total_log, 0, sizeof(world->total_log));
	world->over = false;
	world->stop = false;
	world->refused = 0;
	world->bytes = 0;
	world->reads = 0;
	world->throttled = 0;
	world->doubtful_opens = 0;
	world->doubtful_bytes = 0;
	world->doubtful_reads = 0;
	world->regime = round % REGIMES;
	world->exact = round % 2;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, world->passing))
		bail_out("there are sockets");

	rngq_set_default(200, 50, 0, boot_bytes);
	rngq_set(RNGQ_MAX, "limits/max_clients");
	rngq_set(8, "limits/max_clients_per_process");
	world->total = (struct crowd_quota){
		100 + pick(seed, 2000), 20 + pick(seed, 80), pick(seed, 2) * pick(seed, 3000),
	};
	if (world->regime == TOTAL_STAYS)
		crowd_set_total(world->total.rate_bytes, world->total.period_ms,
				world->total.burst_bytes);
	else
		rngq_set(RNGQ_MAX, "total/rate_bytes");

	for (unsigned int i = 0; i < CLIENTS; i++) {
		struct client *client = &world->clients[i];

		client->nonblock = i == 0 || i == STEADY;
		client->fd = rngq_open(client->nonblock ? O_NONBLOCK : 0);
		client->id = rngq_id(client->fd);
		client->boot_bytes = boot_bytes;
		if (i < STEADY) {
			client->quota = steady_quota(seed, i);
			rngq_set_quota(client->fd, client->quota.rate_bytes,
				       client->quota.period_ms, client->quota.burst_bytes);
		}
	}
	world->opens = CLIENTS;
}

static void start_actors(const struct actor *which, unsigned int count, unsigned int *seed)
{
	memset(actors, 0, sizeof(actors));
	for (unsigned int i = 0; i < count; i++)
		if (!world->exact || !which[i].inexact)
			actors[i] = start_actor(&which[i], rand_r(seed));
}

static void end_actors(const struct actor *which, unsigned int count)
{
	u64 give_up_ms = rngq_now_ms() + PATIENCE_MS;

	world->over = true;
	for (unsigned int i = 0; i < count; i++) {
		int status = 0;

		if (!actors[i])
			continue;
		while (!waitpid(actors[i], &status, WNOHANG)) {
			if (rngq_now_ms() >= give_up_ms)
				bail_out("%s comes to its end", which[i].name);
			rngq_sleep_ms(1);
		}
		if (status)
			wrong("%s ended with status %d", which[i].name, status);
	}
}

static void start_readers(unsigned int *seed)
{
	for (unsigned int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){
			.client = &world->clients[i % CLIENTS], .seed = rand_r(seed),
		};
		if (pthread_create(&racers[i].thread, NULL, read_in_all_ways, &racers[i]))
			bail_out("there are threads");
	}
}

/* SIGUSR1 interrupts a call for good, SIGUSR2 restarts what it interrupted. */
static void send_signals(unsigned int *seed, u64 until_ms)
{
	while (rngq_now_ms() < until_ms) {
		int signal = pick(seed, 2) ? SIGUSR1 : SIGUSR2;
		pid_t actor = actors[pick(seed, nr_storm)];

		pthread_kill(racers[pick(seed, RACERS)].thread, signal);
		world->all_signals++;
		if (actor && !pick(seed, 4)) {
			kill(actor, signal);
			world->all_signals++;
		}
		if (actor && !pick(seed, 64)) {
			kill(actor, SIGSTOP);
			rngq_sleep_ms(pick(seed, 10));
			kill(actor, SIGCONT);
		}
		rngq_sleep_ms(pick(seed, 3));
	}
}

/* But for the last of the steady ones, each has a refill that soon comes. */
static void check_progress(unsigned int round)
{
	u64 give_up_ms = rngq_now_ms() + PATIENCE_MS;
	u64 before[CLIENTS];
	unsigned int stuck = 0;

	for (unsigned int i = 0; i < CLIENTS; i++)
		before[i] = rngq_attr("clients/%llu/bytes", world->clients[i].id);
	for (unsigned int i = 0; i < CLIENTS; i++) {
		if (i == STEADY - 1)
			continue;
		while (rngq_attr("clients/%llu/bytes", world->clients[i].id) == before[i]) {
			if (rngq_now_ms() >= give_up_ms) {
				diag("client %u got nothing; \"%s\", \"%s\" wait for it", i,
				     racers[i].way, racers[i + CLIENTS].way);
				stuck++;
				break;
			}
			rngq_sleep_ms(1);
		}
	}
	is_u64(stuck, 0, "round %u: those who wait go on by themselves", round);
}

/* Without a limit nobody waits. Returns when the limits went. */
static u64 release_all(unsigned int round)
{
	unsigned int stuck = 0;
	struct timespec limit;
	u64 raised_ns;

	world->stop = true;
	raised_ns = rngq_now_ns();
	rngq_set(RNGQ_MAX, "total/rate_bytes");
	for (unsigned int i = 0; i < CLIENTS; i++)
		rngq_set(RNGQ_MAX, "clients/%llu/rate_bytes", world->clients[i].id);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE_MS / 1000;
	for (unsigned int i = 0; i < RACERS; i++) {
		if (!pthread_timedjoin_np(racers[i].thread, NULL, &limit))
			continue;
		diag("\"%s\" of client %u is stuck", racers[i].way, i % CLIENTS);
		stuck++;
	}
	if (!is_u64(stuck, 0, "round %u: without a limit nobody waits", round))
		bail_out("all readers come to their end");
	return raised_ns;
}

/* How much more than promised was had in the worst interval before @until_ns. */
static u64 excess(struct read_log *log, const struct crowd_quota *quota, u64 until_ns)
{
	static struct crowd_read reads[LOG_SIZE];
	size_t count = 0;

	for (size_t i = 0; i < LOG_SIZE && i < log->count; i++)
		if (log->reads[i].after_ns < until_ns)
			reads[count++] = log->reads[i];
	return crowd_excess_of(reads, count, quota);
}

static void check_promises(unsigned int round, u64 until_ns)
{
	for (unsigned int i = 0; i < STEADY; i++) {
		struct client *client = &world->clients[i];

		if (!client->log.count)
			wrong("client %u was not read from", i);
		is_between(excess(&client->log, &client->quota, until_ns), 0,
			   client->boot_bytes,
			   "round %u: %llu bytes in %llu ms: the promise was kept",
			   round, client->quota.rate_bytes, client->quota.period_ms);
	}
	if (world->regime == TOTAL_STAYS)
		is_u64(excess(&world->total_log, &world->total, until_ns), 0,
		       "round %u: total/'s promise was kept", round);
}

static void check_sums(unsigned int round, const u64 *before, u64 storm_ms)
{
	u64 now[STATS], sums[STATS] = {
		[OPENS] = world->opens, [REFUSED] = world->refused,
		[BYTES] = world->bytes, [READS] = world->reads,
		[THROTTLED] = world->throttled,
	};
	unsigned int differ = 0;

	/* What waits in the sockets goes with them. */
	close(world->passing[0]);
	close(world->passing[1]);
	ok(clients_become(CLIENTS), "round %u: all who came have gone", round);
	is_u64(count_folders(), CLIENTS, "round %u: so have their folders", round);
	get_stats(now);
	for (unsigned int i = 0; i < CLIENTS; i++) {
		struct client *client = &world->clients[i];
		u64 counted[STATS];

		for (int stat = BYTES; stat < STATS; stat++) {
			counted[stat] = rngq_attr("clients/%llu/%s", client->id,
						  stat_names[stat]);
			sums[stat] += counted[stat];
		}
		if (client->bytes == counted[BYTES] && client->reads == counted[READS])
			continue;
		if (i == PREY && client->bytes <= counted[BYTES])
			continue;
		diag("client %u: had %llu bytes in %llu reads, of %llu in %llu", i,
		     client->bytes, client->reads, counted[BYTES], counted[READS]);
		differ++;
	}
	is_u64(differ, 0, "round %u: clients have counted what their readers had", round);

	for (int stat = 0; stat < STATS; stat++)
		now[stat] -= before[stat];
	is_between(now[OPENS], sums[OPENS], sums[OPENS] + world->doubtful_opens,
		   "round %u: stats/opens counted all", round);
	is_between(now[REFUSED], sums[REFUSED], sums[REFUSED] + world->doubtful_opens,
		   "round %u: stats/refused too", round);
	is_between(now[BYTES], sums[BYTES], sums[BYTES] + world->doubtful_bytes,
		   "round %u: stats/bytes is the clients' sum", round);
	is_between(now[READS], sums[READS], sums[READS] + world->doubtful_reads,
		   "round %u: so is stats/reads", round);
	is_between(now[THROTTLED], sums[THROTTLED], world->exact ? sums[THROTTLED] : ~0ULL,
		   "round %u: and stats/throttled", round);
	/* No more clients at once than that. */
	is_between(now[THROTTLED_MS], sums[THROTTLED_MS], 100 * storm_ms,
		   "round %u: and stats/throttled_ms", round);
}

static void run_round(unsigned int *seed, unsigned int round)
{
	u64 before[STATS], start_ms = rngq_now_ms(), until_ns;
	unsigned int wrong_before = world->wrong;

	get_stats(before);
	set_up_world(seed, round);
	start_actors(storm, nr_storm, seed);
	start_readers(seed);
	send_signals(seed, rngq_now_ms() + ROUND_MS);
	end_actors(storm, nr_storm);
	check_progress(round);
	until_ns = release_all(round);
	check_sums(round, before, rngq_now_ms() - start_ms);
	for (unsigned int i = 0; i < CLIENTS; i++)
		close(world->clients[i].fd);
	ok(clients_become(0), "round %u: no client is left", round);
	is_u64(count_folders(), 0, "round %u: nor is a folder", round);
	check_promises(round, until_ns);
	is_u64(world->wrong - wrong_before, 0, "round %u: no call gave what it must not",
	       round);
}

static void come_and_go(unsigned int *seed, unsigned int round)
{
	static const char *const params[] = {
		"", "rate_bytes=1", "rate_bytes=max total_rate_bytes=10", "max_clients=1",
	};
	u64 start_ms = rngq_now_ms(), unloads = 0;
	unsigned int wrong_before = world->wrong;

	world->over = false;
	world->exact = false;
	start_actors(visitors, nr_visitors, seed);
	while (rngq_now_ms() < start_ms + (unloads ? COMING_MS : 2 * PATIENCE_MS)) {
		int ret = unload_module();

		if (!ret) {
			unloads++;
			ret = rngq_load(params[pick(seed, ARRAY_SIZE(params))]);
			if (ret)
				bail_out("the module can be loaded again: %d", ret);
		} else if (ret != -EWOULDBLOCK) {
			wrong("unloading gave %d", ret);
		}
		if (pick(seed, 2))
			rngq_sleep_ms(pick(seed, 3));
	}
	end_actors(visitors, nr_visitors);
	world->all_unloads += unloads;
	ok(unloads, "round %u: the module came and went, %llu times", round, unloads);
	ok(clients_become(0), "round %u: no client is left", round);
	is_u64(world->wrong - wrong_before, 0, "round %u: no visitor saw what it must not",
	       round);
}

static u64 number_from(const char *name, u64 otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
	u64 duration_s = number_from("DURATION", DEFAULT_DURATION_S);
	unsigned int seed = number_from("SEED", rngq_now_ns()), round = 0;
	u64 end_ms = rngq_now_ms() + duration_s * 1000;

	/* Run by one of our own children, which has become another program. */
	if (argc > 1 && !strcmp(argv[1], "read-stdin")) {
		ssize_t count = rngq_take(STDIN_FILENO, 100);

		return count > 0 ? count : 0;
	}

	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (world == MAP_FAILED)
		bail_out("there is memory to share");
	diag("SEED=%u, %ld CPUs", seed, sysconf(_SC_NPROCESSORS_ONLN));
	rngq_keep_globals();
	reader_handle_signals();
	if (!clients_become(0))
		bail_out("nobody else uses the module");
	do {
		run_round(&seed, round);
		come_and_go(&seed, round);
		round++;
	} while (rngq_now_ms() < end_ms);

	/* As the others need it. */
	if (unload_module() || rngq_load(""))
		bail_out("the module can be loaded afresh");
	tried("races",
	      "%u rounds: %llu opens, %llu reads, %llu writes and %llu looks in sysfs, %llu signals, %llu kills, %llu handed on, %llu unloads in %llu tries",
	      round, world->all_opens, world->all_reads, world->all_writes, world->all_looks,
	      world->all_signals, world->all_kills, world->all_passed, world->all_unloads,
	      world->all_tries);
	return done_testing();
}
