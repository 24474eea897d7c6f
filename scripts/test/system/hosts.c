// SPDX-License-Identifier: GPL-2.0
#include "hosts.h"
#include "rngq.h"

#define LOG_SIZE	4096
/* So few that one of them spins, and CPU time is left for the others. */
#define MEMBERS		(CROWD_KINDS + 4)

static const struct crowd_quota no_quota = { RNGQ_MAX, 1000, 0 };
static const struct crowd_quota own_quota = { 20, 100, 0 };
static const struct crowd_quota total_quota = { 330, 100, 0 };

unsigned int hosts_unserved(struct crowd *crowd)
{
	u64 give_up_ms = rngq_now_ms() + LATE_MS;
	unsigned int unserved;

	crowd_mark(crowd);
	do {
		rngq_sleep_ms(5);
		unserved = 0;
		for (unsigned int i = 0; i < crowd->count; i++)
			unserved += !crowd_had(&crowd->members[i]);
	} while (unserved && rngq_now_ms() < give_up_ms);
	return unserved;
}

static void try_with(const char *name, const char *what,
		     const struct crowd_quota *own, const struct crowd_quota *total,
		     void (*odd)(struct crowd *crowd))
{
	struct crowd *crowd = crowd_new(MEMBERS, LOG_SIZE);
	u64 stats_bytes = rngq_attr("stats/bytes"), worst = 0;

	crowd_set_total(total->rate_bytes, total->period_ms, total->burst_bytes);
	for (unsigned int i = 0; i < crowd->count; i++) {
		crowd->members[i].kind = i % CROWD_KINDS;
		crowd->members[i].quota = *own;
	}
	crowd_open(crowd);
	crowd_go(crowd);
	is_u64(hosts_unserved(crowd), 0, "%s, %s: each is served before", name, what);
	odd(crowd);
	is_u64(hosts_unserved(crowd), 0, "%s, %s: each is served after it", name, what);
	crowd_stop(crowd);

	is_ret(crowd_error(crowd), 0, "%s, %s: no call gave what it must not", name, what);
	if (own->rate_bytes == RNGQ_MAX)
		worst = crowd_excess(crowd, total);
	for (unsigned int i = 0; i < crowd->count && own->rate_bytes != RNGQ_MAX; i++) {
		struct crowd_member *member = &crowd->members[i];
		u64 excess;

		if (member->logged > crowd->log_size)
			bail_out("the log is large enough");
		excess = crowd_excess_of(member->log, member->logged, own);
		if (excess > worst)
			worst = excess;
	}
	is_u64(worst, 0, "%s, %s: never a byte more than promised", name, what);
	is_u64(rngq_attr("stats/bytes") - stats_bytes, crowd_bytes(crowd),
	       "%s, %s: what they had adds up to stats/bytes", name, what);
	crowd_free(crowd);
	crowd_set_total(RNGQ_MAX, 1000, 0);
}

void hosts_try(const char *name, void (*odd)(struct crowd *crowd))
{
	try_with(name, "own quotas", &own_quota, &no_quota, odd);
	try_with(name, "turns", &no_quota, &total_quota, odd);
}
