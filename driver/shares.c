// SPDX-License-Identifier: GPL-2.0
/*
 * Shares: who gets what of a bucket that is too small for all. The rules are
 * told in shares.h.
 */
#include "shares.h"

#include <linux/minmax.h>
#include <linux/time64.h>

/* Closing comes a 64th of the period before its end; in short ones as long ... */
#define CLOSING_PART		64
/* ... before it as it may take to wake somebody. */
#define CLOSING_MIN_NS		NSEC_PER_MSEC
/* What newcomers may leave unfetched; for how many rounds they are in doubt then. */
#define NEWCOMERS_PART		32
#define DOUBT_ROUNDS		8
/* How soon to deal again in an epoch. */
#define DEAL_DISTANCE_NS	(10 * NSEC_PER_MSEC)
/* How many are woken by a deal, and how soon the next one comes if there are more. */
#define WOKEN_PER_DEAL		32
#define PAUSE_NS		NSEC_PER_MSEC

static u64 less(u64 bytes, u64 minus_bytes)
{
	return bytes - min(bytes, minus_bytes);
}

static bool is_limited(const struct rngq_shares *shares)
{
	return shares->bucket.rate_bytes != RNGQ_MAX;
}

static bool is_in_line(const struct rngq_member *member)
{
	return member->is_waiting && !member->is_apart;
}

static u64 granted_bytes(const struct rngq_shares *shares,
			 const struct rngq_member *member)
{
	return member->epoch == shares->epoch ? member->granted_bytes : 0;
}

static u64 free_bytes(const struct rngq_shares *shares)
{
	return less(shares->bucket.level_bytes, shares->granted_bytes);
}

static u64 spare_bytes(const struct rngq_shares *shares)
{
	return less(free_bytes(shares),
		    shares->expected_bytes + shares->newcomer_bytes);
}

/*
 * What to set aside for it in the next round. Nothing if it waits for a whole
 * share: then it will be granted what it can have.
 */
static u64 expectation(const struct rngq_shares *shares,
		       const struct rngq_member *member)
{
	if (is_in_line(member) && member->want_bytes >= shares->share_bytes)
		return 0;
	return min(member->taken_bytes, shares->share_bytes);
}

/* Add what it stands for to all sums; with @sign -1 take it out, to change it. */
static __always_inline void account(struct rngq_shares *shares,
				    const struct rngq_member *member, s64 sign)
{
	shares->absent_bytes += sign * expectation(shares, member);
	shares->nr_takers += sign * !!member->taken_bytes;
	if (is_in_line(member)) {
		shares->nr_waiting += sign;
		shares->want_bytes += sign * member->want_bytes;
		shares->nr_idle += sign * !member->taken_bytes;
	}
}

static void set_waiting(struct rngq_shares *shares, struct rngq_member *member,
			bool is_waiting)
{
	account(shares, member, -1);
	member->is_waiting = is_waiting;
	account(shares, member, 1);
}

static __always_inline void set_taken(struct rngq_shares *shares,
				      struct rngq_member *member, u64 bytes)
{
	account(shares, member, -1);
	member->taken_bytes = bytes;
	account(shares, member, 1);
}

/* Of rounds that are over nothing counts any more. */
static void catch_up(const struct rngq_shares *shares,
		     struct rngq_member *member)
{
	if (member->round == shares->round)
		return;
	member->round = shares->round;
	if (member->taken_bytes)
		member->before_bytes = member->taken_bytes;
	member->taken_bytes = 0;
	member->has_waited = member->is_waiting;
}

static void begin_epoch(struct rngq_shares *shares, u64 bytes)
{
	u64 waiters = max(shares->nr_waiting, 1ULL);

	shares->epoch++;
	shares->granted_bytes = 0;
	shares->is_short = false;
	/* Rounded up: for whom too little is left, is first the next time. */
	shares->quantum_bytes = (bytes + waiters - 1) / waiters;
}

/* To be called when the bucket's clock may have begun to run. */
static void set_times(struct rngq_shares *shares)
{
	const struct rngq_bucket *bucket = &shares->bucket;
	u64 margin_ns = max(bucket->period_ns / CLOSING_PART, CLOSING_MIN_NS);

	shares->end_ns = min(bucket->refill_ns,
			     shares->now_ns + bucket->period_ns);
	shares->closing_ns = bucket->refill_ns == RNGQ_NEVER ? RNGQ_NEVER :
		bucket->refill_ns - min(margin_ns, bucket->period_ns / 4);
}

/* An epoch has shown how much newcomers leave. */
static void judge_newcomers(struct rngq_shares *shares)
{
	if (shares->lapsed_bytes > shares->bucket.level_bytes / NEWCOMERS_PART)
		shares->doubt = DOUBT_ROUNDS;
	shares->lapsed_bytes = 0;
}

static void welcome_newcomers(struct rngq_shares *shares)
{
	u64 bytes = shares->bucket.level_bytes;

	if (shares->doubt && (!shares->was_asked || shares->was_drained))
		shares->doubt--;
	/* Of few bytes, one each third round: so soon who is new shall have its share. */
	shares->newcomer_bytes = !shares->doubt || !shares->was_asked ? 0 :
		min(bytes, max(bytes / NEWCOMERS_PART, shares->round % 3 ? 0 : 1ULL));
	shares->was_asked = false;
	shares->was_drained = false;
}

static void begin_round(struct rngq_shares *shares)
{
	/* Was there a whole round in which nobody came? Then nobody is expected. */
	bool idled = shares->now_ns >= shares->end_ns + shares->bucket.period_ns;
	u64 waiters = shares->nr_waiting;
	u64 members = max3(shares->nr_takers + shares->nr_idle, waiters, 1ULL);
	u64 bytes, equal_bytes;

	judge_newcomers(shares);
	welcome_newcomers(shares);
	bytes = shares->bucket.level_bytes - shares->newcomer_bytes;
	equal_bytes = bytes / members;
	shares->share_bytes = equal_bytes ? equal_bytes + 1 : 0;
	shares->expected_bytes = idled ? 0 :
		min(shares->absent_bytes,
		    bytes - min(shares->want_bytes,
				equal_bytes ? waiters * equal_bytes : bytes));
	begin_epoch(shares, bytes - shares->expected_bytes);

	shares->round++;
	shares->refills = shares->bucket.refills;
	shares->nr_takers = 0;
	shares->absent_bytes = 0;
	shares->nr_idle = waiters;
	set_times(shares);
}

static void close_round(struct rngq_shares *shares)
{
	judge_newcomers(shares);
	shares->closing_ns = RNGQ_NEVER;
	shares->expected_bytes = 0;
	shares->newcomer_bytes = 0;
	begin_epoch(shares, shares->bucket.level_bytes);
}

/*
 * What it may take whatever others want: its grant, a newcomer's bytes, or its
 * share; and the sum that this is in.
 */
static __always_inline u64 due_bytes(struct rngq_shares *shares,
				     const struct rngq_member *member,
				     u64 **sum)
{
	*sum = &shares->granted_bytes;
	if (granted_bytes(shares, member) || is_in_line(member))
		return granted_bytes(shares, member);
	*sum = &shares->newcomer_bytes;
	if (!member->is_trusted)
		return min3(shares->newcomer_bytes, free_bytes(shares),
			    max(shares->share_bytes, 1ULL));
	*sum = &shares->expected_bytes;
	/* The byte above an equal share is for those who have not waited. */
	return min(less(shares->share_bytes,
			member->taken_bytes + member->has_waited),
		   less(free_bytes(shares), shares->newcomer_bytes));
}

/*
 * What it may take besides @due of @sum: what is neither set aside nor wanted by
 * others who wait.
 */
static u64 unwanted_bytes(const struct rngq_shares *shares,
			  const struct rngq_member *member,
			  u64 due, const u64 *sum)
{
	u64 bytes = free_bytes(shares);
	u64 not_for_it = shares->expected_bytes + shares->newcomer_bytes +
		shares->want_bytes;

	if (shares->is_short)
		return 0;
	if (sum != &shares->granted_bytes) {
		bytes -= due;
		not_for_it -= min(due, *sum);
	}
	if (is_in_line(member))
		not_for_it -= member->want_bytes;
	return less(bytes, not_for_it);
}

/**
 * rngq_shares_init() - make a full bucket for which nobody waits
 * @shares: the bucket and those who share it
 * @quota: its quota
 *
 * Context: Any; nobody else knows it yet.
 */
void rngq_shares_init(struct rngq_shares *shares,
		      const struct rngq_quota *quota)
{
	*shares = (struct rngq_shares){ };
	INIT_LIST_HEAD(&shares->line);
	INIT_LIST_HEAD(&shares->newcomers);
	rngq_bucket_init(&shares->bucket, quota, 0);
	begin_round(shares);
}

/**
 * rngq_shares_refresh() - bring it up to date, before any other call
 * @shares: the bucket and those who share it
 * @now_ns: the time
 *
 * Context: Any; the owner's lock is held, as for all that follow.
 */
void rngq_shares_refresh(struct rngq_shares *shares, u64 now_ns)
{
	/* Who comes from another CPU may have looked at the clock before. */
	shares->now_ns = max(shares->now_ns, now_ns);
	rngq_bucket_refill(&shares->bucket, shares->now_ns);
	if (shares->refills != shares->bucket.refills ||
	    (shares->bucket.refill_ns == RNGQ_NEVER &&
	     shares->now_ns >= shares->end_ns))
		begin_round(shares);
	if (shares->now_ns >= shares->closing_ns)
		close_round(shares);
}

/**
 * rngq_shares_set_quota() - change the bucket's quota, and begin a round
 * @shares: the bucket and those who share it
 * @quota: the new quota
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_set_quota(struct rngq_shares *shares,
			   const struct rngq_quota *quota)
{
	rngq_bucket_set_quota(&shares->bucket, quota, shares->now_ns);
	begin_round(shares);
}

/**
 * rngq_shares_ask() - what could a client take?
 * @shares: the bucket and those who share it
 * @member: the client
 * @want_bytes: how much it wants, at least 1
 * @way: what it does if there is nothing
 *
 * Context: Any; the owner's lock is held.
 * Return: Bytes; RNGQ_MAX if there is no limit.
 */
u64 rngq_shares_ask(struct rngq_shares *shares, struct rngq_member *member,
		    u64 want_bytes, enum rngq_way way)
{
	bool is_newcomer = !member->is_trusted && way != RNGQ_SLEEP;
	u64 bytes, *sum;

	if (!is_limited(shares))
		return RNGQ_MAX;
	catch_up(shares, member);
	bytes = due_bytes(shares, member, &sum);
	bytes += unwanted_bytes(shares, member, bytes, sum);
	if (way == RNGQ_GO)
		return bytes;
	shares->was_asked |= is_newcomer && !granted_bytes(shares, member);
	/* A newcomer that is told need not be called. */
	if (member->is_waiting && member->is_apart && (bytes || !is_newcomer))
		rngq_shares_withdraw(shares, member);
	if (bytes || member->is_waiting)
		return bytes;

	member->is_newcomer = is_newcomer;
	member->is_apart = is_newcomer && shares->doubt;
	member->has_waited = true;
	member->epoch = shares->epoch;
	member->granted_bytes = 0;
	member->want_bytes = way == RNGQ_SLEEP || is_newcomer ? want_bytes :
		min(want_bytes, 2 * (member->taken_bytes + member->before_bytes));
	set_waiting(shares, member, true);
	/* Who comes back from its grant has its place in line already. */
	if (member->is_apart)
		list_move_tail(&member->waiter.node, &shares->newcomers);
	else if (list_empty(&member->waiter.node))
		list_add_tail(&member->waiter.node, &shares->line);
	rngq_bucket_await(&shares->bucket);
	return 0;
}

/**
 * rngq_shares_take() - take bytes for a client
 * @shares: the bucket and those who share it
 * @member: the client
 * @want_bytes: how many at the most
 * @draw: where they came from, for rngq_shares_give_back()
 *
 * Context: Any; the owner's lock is held.
 * Return: How many were taken; who got any doesn't wait any more.
 */
u64 rngq_shares_take(struct rngq_shares *shares, struct rngq_member *member,
		     u64 want_bytes, struct rngq_share_draw *draw)
{
	bool stood = shares->bucket.refill_ns == RNGQ_NEVER;
	u64 bytes = want_bytes, due, *sum;

	draw->bucket.level_bytes = 0;
	draw->granted_bytes = 0;
	if (!is_limited(shares))
		return want_bytes;
	catch_up(shares, member);
	due = due_bytes(shares, member, &sum);
	if (bytes > due)
		bytes = min(bytes, due +
			    unwanted_bytes(shares, member, due, sum));
	if (!bytes)
		return 0;

	due = min(due, bytes);
	*sum = less(*sum, due);
	if (sum == &shares->granted_bytes) {
		member->granted_bytes -= due;
		draw->granted_bytes = due;
		draw->epoch = shares->epoch;
		if (member->is_newcomer)
			shares->lapsed_bytes = less(shares->lapsed_bytes, due);
	} else if (sum == &shares->newcomer_bytes && due) {
		shares->was_drained |= !shares->newcomer_bytes;
	}
	if (member->is_waiting)
		rngq_shares_withdraw(shares, member);
	set_taken(shares, member, member->taken_bytes + bytes);
	member->is_trusted = true;
	bytes = rngq_bucket_take(&shares->bucket, bytes, shares->now_ns,
				 &draw->bucket);
	if (stood)
		set_times(shares);
	return bytes;
}

/**
 * rngq_shares_give_back() - return bytes that were taken and not delivered
 * @shares: the bucket and those who share it
 * @member: the client that took them; if it keeps none, it is not trusted for it
 * @draw: where they came from
 * @bytes: how many
 *
 * What was granted is so again, and the rest is for all.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_give_back(struct rngq_shares *shares,
			   struct rngq_member *member,
			   const struct rngq_share_draw *draw, u64 bytes)
{
	u64 again_bytes;

	catch_up(shares, member);
	set_taken(shares, member, less(member->taken_bytes, bytes));
	if (bytes >= draw->bucket.level_bytes)
		member->is_trusted = false;
	rngq_bucket_give_back(&shares->bucket, &draw->bucket, bytes);

	again_bytes = min3(bytes, draw->granted_bytes, spare_bytes(shares));
	if (again_bytes && draw->epoch == shares->epoch && !member->is_waiting) {
		member->granted_bytes += again_bytes;
		shares->granted_bytes += again_bytes;
		if (member->is_newcomer)
			shares->lapsed_bytes += again_bytes;
	}
	if (shares->nr_waiting || !list_empty(&shares->newcomers))
		rngq_bucket_await(&shares->bucket);
}

/**
 * rngq_shares_withdraw() - stop waiting, and give a grant up
 * @shares: the bucket and those who share it
 * @member: the client, which is on no list afterwards
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_withdraw(struct rngq_shares *shares,
			  struct rngq_member *member)
{
	catch_up(shares, member);
	list_del_init(&member->waiter.node);
	set_waiting(shares, member, false);
	shares->granted_bytes -= granted_bytes(shares, member);
	member->granted_bytes = 0;
}

/**
 * rngq_shares_leave() - give everything up, and be expected no more
 * @shares: the bucket and those who share it
 * @member: the client, which may go afterwards
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_leave(struct rngq_shares *shares, struct rngq_member *member)
{
	rngq_shares_withdraw(shares, member);
	set_taken(shares, member, 0);
}

/* Who is to be granted something or called; NULL: nobody. */
static struct rngq_member *next_in_line(struct rngq_shares *shares)
{
	bool is_max = !is_limited(shares);

	if (shares->nr_waiting && (is_max || spare_bytes(shares)))
		return list_first_entry(&shares->line, struct rngq_member,
					waiter.node);
	if (is_max || shares->newcomer_bytes || !shares->doubt)
		return list_first_entry_or_null(&shares->newcomers,
						struct rngq_member, waiter.node);
	return NULL;
}

static void grant(struct rngq_shares *shares, struct rngq_member *member)
{
	const struct rngq_bucket *bucket = &shares->bucket;
	/* A wake-up is worth what is refilled in a millisecond, if that is wanted. */
	u64 least_bytes = max(bucket->rate_bytes /
			      (bucket->period_ns / NSEC_PER_MSEC), 1ULL);
	u64 spare = spare_bytes(shares);
	u64 bytes = member->epoch == shares->epoch ?
		spare / shares->nr_waiting : shares->quantum_bytes;

	bytes = min(max(bytes, least_bytes), member->want_bytes);
	/* For whom too little is left, keeps its place. */
	if (bytes <= spare)
		list_move_tail(&member->waiter.node, &shares->line);
	bytes = min(bytes, spare);
	shares->is_short |= bytes < member->want_bytes;
	catch_up(shares, member);
	set_waiting(shares, member, false);
	member->epoch = shares->epoch;
	member->granted_bytes = bytes;
	member->is_trusted = false;
	shares->granted_bytes += bytes;
	if (member->is_newcomer)
		shares->lapsed_bytes += bytes;
}

/**
 * rngq_shares_grant() - grant something to who is next in line
 * @shares: the bucket and those who share it
 *
 * Called again until it returns NULL, this makes a deal. Newcomers that wait apart are
 * called when there is something for them.
 *
 * Context: Any; the owner's lock is held.
 * Return: Who is to be woken, and does not wait any more; NULL: nobody.
 */
struct rngq_member *rngq_shares_grant(struct rngq_shares *shares)
{
	struct rngq_member *next = next_in_line(shares);
	bool is_apart = next && next->is_waiting && next->is_apart;
	/* Who is back early is for the next deal, if others are on their way. */
	bool is_early = next && !is_apart && next->epoch == shares->epoch &&
		shares->dealt_epoch != shares->epoch && shares->granted_bytes;
	/* Newcomers are called as long as they find something. */
	bool is_vain = is_apart && shares->doubt && is_limited(shares) &&
		shares->nr_called * max(shares->share_bytes, 1ULL) >=
		shares->newcomer_bytes;

	if (!next || is_early || is_vain || shares->nr_woken == WOKEN_PER_DEAL) {
		shares->next_deal_ns = shares->now_ns +
			(shares->nr_woken == WOKEN_PER_DEAL ? PAUSE_NS : DEAL_DISTANCE_NS);
		shares->dealt_epoch = shares->epoch;
		shares->nr_woken = 0;
		shares->nr_called = 0;
		return NULL;
	}
	shares->nr_woken++;
	shares->nr_called += is_apart;
	if (is_limited(shares) && is_in_line(next) &&
	    !(next->is_newcomer && shares->doubt)) {
		grant(shares, next);
		return next;
	}
	/*
	 * It is called, and will ask again. Or it has not come back from its grant,
	 * and loses its place in line.
	 */
	catch_up(shares, next);
	list_del_init(&next->waiter.node);
	set_waiting(shares, next, false);
	return next;
}

/**
 * __rngq_shares_next_ns() - rngq_shares_next_ns() if somebody waits
 * @shares: the bucket and those who share it
 *
 * What comes free in the midst of an epoch waits for some milliseconds: clients
 * can bring that about again and again.
 *
 * Context: Any; the owner's lock is held.
 * Return: The time, which may be past.
 */
u64 __rngq_shares_next_ns(struct rngq_shares *shares)
{
	u64 next_ns = min(shares->closing_ns, shares->end_ns);

	if (!next_in_line(shares))
		return next_ns;
	if (shares->dealt_epoch != shares->epoch)
		return 0;
	return min(next_ns, shares->next_deal_ns);
}
