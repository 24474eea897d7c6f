// SPDX-License-Identifier: GPL-2.0
/*
 * Shares: who gets what of a bucket that is too small for all. The rules are
 * told in shares.h.
 */
#include "shares.h"

#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/time64.h>

/* How many times what it took a member may want next, if it came short */
#define GROWTH			8
/* The part of the bucket that is set aside for newcomers who may only be asking */
#define NEWCOMERS_PART		32
/* Closing comes this part of the period before its end, ... */
#define CLOSING_PART		64
/* ... or this, if that is more: it takes a while to wake somebody. */
#define CLOSING_MIN_NS		(2 * NSEC_PER_MSEC)
/* In this many parts at the most what is left then is worth a wake-up. */
#define CLOSING_WAKEUPS		64
/* How many clients a deal wakes, and how soon the next one comes if there are more */
#define WOKEN_PER_DEAL		32
#define PAUSE_NS		NSEC_PER_MSEC
/* How soon to deal again what comes free in the midst of an epoch */
#define DEAL_DISTANCE_NS	(10 * NSEC_PER_MSEC)

static u64 less(u64 bytes, u64 minus_bytes)
{
	return bytes - min(bytes, minus_bytes);
}

static bool is_limited(const struct rngq_shares *shares)
{
	return shares->bucket.rate_bytes != RNGQ_MAX;
}

/* Was or is it a member? */
static bool is_known(const struct rngq_member *member)
{
	return member->expected_bytes || member->taken_bytes;
}

static bool is_known_line(enum rngq_line line)
{
	return line == RNGQ_LINE_UNDER || line == RNGQ_LINE_FULL ||
		line == RNGQ_LINE_OVER;
}

static u64 nr_known_waiters(const struct rngq_shares *shares)
{
	return shares->nr_in_line[RNGQ_LINE_FULL] +
		shares->nr_in_line[RNGQ_LINE_OVER] +
		shares->nr_in_line[RNGQ_LINE_UNDER];
}

/* Negative: it owes something. Shares before its last round may have overflown. */
static s64 credit(const struct rngq_shares *shares,
		  const struct rngq_member *member)
{
	return shares->vtime - member->vtime;
}

/* The largest debt, in the share's unit */
static s64 max_debt(const struct rngq_shares *shares)
{
	return shares->least_bytes * RNGQ_VBYTE;
}

static __always_inline void set_demand(struct rngq_shares *shares,
				       struct rngq_member *member,
				       u64 demand_bytes)
{
	u64 share_bytes = shares->share_bytes;
	u64 old_bytes = member->demand_bytes;

	member->demand_bytes = demand_bytes;
	/* The way of nearly every read: a modest member goes on. */
	if (likely(old_bytes && demand_bytes && old_bytes < share_bytes &&
		   demand_bytes < share_bytes)) {
		shares->demand_bytes += demand_bytes - old_bytes;
		return;
	}
	shares->nr_members += !!demand_bytes - !!old_bytes;
	shares->nr_hungry += (demand_bytes >= share_bytes) -
		(old_bytes >= share_bytes);
	shares->demand_bytes += min(demand_bytes, share_bytes) -
		min(old_bytes, share_bytes);
}

/* It has taken @taken_bytes in this round, and wants so many more. */
static __always_inline void set_taken(struct rngq_shares *shares,
				      struct rngq_member *member,
				      u64 taken_bytes, u64 more_bytes)
{
	u64 most_bytes = taken_bytes;

	if (member->is_short)
		shares->short_bytes -= member->taken_bytes;
	member->taken_bytes = taken_bytes;
	member->is_short = more_bytes;
	if (more_bytes) {
		shares->short_bytes += taken_bytes;
		most_bytes *= GROWTH;
		/* Was there less than its own? Then it still is expected. */
		if (!taken_bytes || (!shares->is_closing &&
				     credit(shares, member) > 0))
			most_bytes = max(most_bytes, member->expected_bytes);
	}
	set_demand(shares, member, taken_bytes +
		   min(more_bytes, less(most_bytes, taken_bytes)));
}

/* It has taken something, or found nothing. */
static void set_come(struct rngq_shares *shares, struct rngq_member *member)
{
	if (!member->is_due)
		return;
	member->is_due = false;
	shares->nr_due--;
	/* Others may be called in its place. */
	shares->has_changed = true;
}

/* When all the hungry have had theirs, what is left of it is for everybody. */
static void set_served(struct rngq_shares *shares, struct rngq_member *member)
{
	if (!member->is_hungry || member->is_served)
		return;
	member->is_served = true;
	if (--shares->nr_unserved)
		return;
	shares->aside_bytes[true] = 0;
	shares->has_changed = true;
}

static void join_round(const struct rngq_shares *shares,
		       struct rngq_member *member)
{
	u64 bytes = 0, most;
	s64 most_credit;

	if (member->round + 1 == shares->round)
		bytes = member->demand_bytes;
	/* Who waits and was not called yet, is taken for hungry. */
	else if (is_known_line(member->line))
		bytes = shares->last_share_bytes;
	member->demand_bytes = is_known_line(member->line) ? shares->share_bytes : 0;
	member->expected_bytes = bytes;
	member->is_hungry = bytes >= shares->last_share_bytes;
	member->is_short &= !!bytes;
	if (member->taken_bytes)
		member->before_bytes = member->taken_bytes;
	member->taken_bytes = 0;
	member->extra_bytes = shares->extra_most;
	member->is_called = false;
	member->is_served = false;
	member->round = shares->round;

	most = max(bytes, 2 * member->before_bytes) * RNGQ_VBYTE;
	most_credit = min(most, shares->share);
	/* Who came short of its share is owed a fraction of a byte, or some. */
	if (member->is_hungry && member->is_short)
		most_credit += RNGQ_VBYTE;
	if (bytes)
		most_credit = clamp(credit(shares, member), -max_debt(shares),
				    most_credit);
	member->vtime = shares->vtime - most_credit;
}

static void join_epoch(const struct rngq_shares *shares,
		       struct rngq_member *member)
{
	u64 extra;

	member->epoch = shares->epoch;
	member->is_due = false;
	if (member->round != shares->round)
		join_round(shares, member);
	if (!shares->is_closing)
		return;
	extra = DIV_ROUND_UP(member->taken_bytes * shares->extra_ratio,
			     RNGQ_VBYTE);
	member->extra_bytes = member->is_short ?
		max(extra, shares->least_bytes) : 0;
}

static __always_inline void catch_up(const struct rngq_shares *shares,
				     struct rngq_member *member)
{
	if (member->epoch != shares->epoch)
		join_epoch(shares, member);
}

/* To be called when the bucket's clock may have begun to run. */
static void set_times(struct rngq_shares *shares)
{
	const struct rngq_bucket *bucket = &shares->bucket;
	u64 margin_ns = max(bucket->period_ns / CLOSING_PART, CLOSING_MIN_NS);

	shares->end_ns = min(bucket->refill_ns,
			     shares->now_ns + bucket->period_ns);
	shares->next_ns = shares->end_ns - min(margin_ns, bucket->period_ns / 4);
}

static void begin_epoch(struct rngq_shares *shares)
{
	shares->epoch++;
	shares->has_changed = true;
	shares->next_deal_ns = 0;
	shares->nr_due = 0;
	shares->nr_woken = 0;
	shares->nr_newcomers = 0;
}

static void welcome_newcomers(struct rngq_shares *shares)
{
	u64 newcomers = shares->nr_in_line[RNGQ_LINE_NEW];
	u64 bytes = shares->bucket.level_bytes;
	u64 part = bytes / NEWCOMERS_PART;
	u64 fair = DIV_ROUND_UP(bytes * (newcomers + 1),
				newcomers + 1 + shares->nr_members);

	if (shares->was_used)
		part = max(bytes / 4, min(fair, max(bytes / 2, 8ULL)));
	/* Of few bytes one in each fourth round. */
	if (!part && !(shares->round % 4))
		part = min(bytes, 1ULL);
	if (!newcomers && !shares->nr_in_line[RNGQ_LINE_TOLD] &&
	    !shares->was_asked)
		part = 0;
	shares->was_asked = false;
	shares->extra_part = part;
	shares->extra_bytes = part;
	shares->extra_most = max(part / max(newcomers, 1ULL),
				 shares->least_bytes);
}

/*
 * Which share fills the bucket? Who was modest is taken for that, and who was hungry for
 * that. If that changes with the share, the next round knows. No share is less than
 * an equal one.
 */
static void share_out(struct rngq_shares *shares, u64 bytes, bool idled)
{
	u64 members = idled ? nr_known_waiters(shares) : shares->nr_members;
	u64 hungry = idled ? members : shares->nr_hungry;
	u64 modest_bytes = idled ? 0 : shares->demand_bytes -
		hungry * shares->share_bytes;
	u64 share = max(less(bytes, modest_bytes) * RNGQ_VBYTE / max(hungry, 1ULL),
			bytes * RNGQ_VBYTE / max(members, 1ULL));

	shares->vtime += share;
	shares->share = share;
	shares->last_share_bytes = shares->share_bytes;
	shares->share_bytes = max(share / RNGQ_VBYTE, 1ULL);
	modest_bytes = min3(bytes, modest_bytes,
			    (members - hungry) * (share / RNGQ_VBYTE + 1));
	shares->aside_bytes[false] = modest_bytes;
	shares->aside_bytes[true] =
		min(bytes - modest_bytes, DIV_ROUND_UP(hungry * share, RNGQ_VBYTE));
	shares->away_bytes = modest_bytes / 2;
	shares->nr_unserved = hungry;
}

static void begin_round(struct rngq_shares *shares)
{
	const struct rngq_bucket *bucket = &shares->bucket;
	/* Was there a whole round in which nobody came? Then only who waits is expected. */
	bool idled = shares->now_ns >= shares->end_ns + bucket->period_ns;

	shares->round += 1 + idled;
	shares->is_closing = false;
	shares->last_ns = RNGQ_NEVER;
	begin_epoch(shares);
	/* A wake-up is worth what comes in a millisecond. */
	shares->least_bytes = max(bucket->level_bytes /
				  (bucket->period_ns / NSEC_PER_MSEC), 1ULL);
	welcome_newcomers(shares);
	share_out(shares, bucket->level_bytes - shares->extra_bytes, idled);

	shares->nr_members = nr_known_waiters(shares);
	shares->nr_hungry = shares->nr_members;
	shares->demand_bytes = shares->nr_members * shares->share_bytes;
	shares->short_bytes = 0;
	set_times(shares);
}

static void close_round(struct rngq_shares *shares)
{
	u64 bytes = shares->bucket.level_bytes;
	u64 lasts_ns = shares->end_ns - shares->next_ns;

	if (shares->extra_part)
		shares->was_used = shares->extra_bytes <= shares->extra_part / 2;
	shares->is_closing = true;
	shares->last_ns = shares->next_ns + lasts_ns / 2;
	shares->next_ns = shares->end_ns;
	begin_epoch(shares);
	shares->least_bytes = max(shares->least_bytes, bytes / CLOSING_WAKEUPS);
	shares->aside_bytes[false] = 0;
	shares->aside_bytes[true] = 0;
	shares->extra_part = 0;
	shares->extra_bytes =
		shares->short_bytes || nr_known_waiters(shares) ? bytes : 0;
	shares->extra_ratio = bytes * RNGQ_VBYTE / max(shares->short_bytes, 1ULL);
}

/* What it may take of what was set aside for those like it */
static __always_inline u64 own_bytes(const struct rngq_shares *shares,
				     const struct rngq_member *member,
				     bool is_called)
{
	s64 owed = credit(shares, member);
	u64 bytes = owed > 0 ? owed / RNGQ_VBYTE : 0;
	u64 not_for_it = shares->extra_bytes;

	if (shares->is_closing)
		return 0;
	if (is_called && member->expected_bytes && !member->taken_bytes &&
	    owed > -max_debt(shares) / 2)
		bytes = max(bytes, shares->least_bytes);
	if (!member->expected_bytes)
		bytes = min(bytes, shares->away_bytes);
	if (member->is_hungry)
		not_for_it += shares->aside_bytes[false];
	return min(bytes, less(shares->bucket.level_bytes, not_for_it));
}

/* What it may take besides @own: of the extra bytes */
static u64 extra_bytes(const struct rngq_shares *shares,
		       const struct rngq_member *member, u64 own, bool is_called)
{
	u64 bytes = less(shares->extra_bytes,
			 is_called ? 0 : shares->extra_part / 2);

	if (!shares->is_closing)
		bytes = member->is_hungry ? 0 :
			min(bytes, less(max(shares->share_bytes,
					    shares->least_bytes),
					member->taken_bytes + own));
	return min(bytes, member->extra_bytes);
}

/* What is left besides @own and what is set aside: it is for everybody */
static __always_inline u64 free_bytes(const struct rngq_shares *shares,
				      const struct rngq_member *member,
				      u64 own)
{
	u64 aside = shares->aside_bytes[false] + shares->aside_bytes[true];
	u64 bytes;

	aside -= min(own, shares->aside_bytes[member->is_hungry]);
	if (shares->now_ns < shares->last_ns)
		aside += shares->extra_bytes;
	bytes = less(shares->bucket.level_bytes - own, aside);
	/* Before closing who had its share may owe some, but leaves the rest to others. */
	if (member->is_hungry && !shares->is_closing) {
		s64 left = credit(shares, member) + max_debt(shares);

		bytes = min(bytes, less(max(left, 0LL) / RNGQ_VBYTE, own));
	}
	return bytes;
}

static u64 available_bytes(const struct rngq_shares *shares,
			   const struct rngq_member *member, bool is_called)
{
	u64 own = own_bytes(shares, member, is_called);
	u64 bytes = own + extra_bytes(shares, member, own, is_called) +
		free_bytes(shares, member, own);

	return min(bytes, shares->bucket.level_bytes);
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
	int i;

	*shares = (struct rngq_shares){
		.round = 1, .share_bytes = 1, .was_used = true,
	};
	for (i = 0; i < RNGQ_NR_LINES; i++)
		INIT_LIST_HEAD(&shares->line[i]);
	rngq_bucket_init(&shares->bucket, quota, 0);
	begin_round(shares);
}

/**
 * __rngq_shares_refresh() - close the round, begin one, or both
 * @shares: the bucket and those who share it
 *
 * Context: Any; the owner's lock is held. Only rngq_shares_refresh() calls this.
 */
void __rngq_shares_refresh(struct rngq_shares *shares)
{
	rngq_bucket_refill(&shares->bucket, shares->now_ns);
	if (shares->now_ns >= shares->end_ns)
		begin_round(shares);
	if (shares->now_ns >= shares->next_ns)
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
	shares->was_used = true;
	begin_round(shares);
}

static void line_up(struct rngq_shares *shares, struct rngq_member *member)
{
	enum rngq_line line = RNGQ_LINE_UNDER;

	if (!is_known(member))
		line = member->is_told ? RNGQ_LINE_TOLD : RNGQ_LINE_NEW;
	else if (credit(shares, member) <= -max_debt(shares) / 2)
		line = RNGQ_LINE_OVER;
	else if ((member->taken_bytes + 1) * RNGQ_VBYTE > shares->share)
		line = RNGQ_LINE_FULL;
	list_add_tail(&member->waiter.node, &shares->line[line]);
	shares->nr_in_line[line]++;
	shares->nr_waiting++;
	/* There may be something for it if it is called. */
	shares->has_changed |= available_bytes(shares, member, true) != 0;
	member->line = line;
}

static void leave_line(struct rngq_shares *shares, struct rngq_member *member)
{
	list_del_init(&member->waiter.node);
	shares->nr_in_line[member->line]--;
	shares->nr_waiting--;
	member->line = RNGQ_LINE_NONE;
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
	u64 bytes;

	if (!is_limited(shares))
		return RNGQ_MAX;
	catch_up(shares, member);
	bytes = available_bytes(shares, member, member->is_called);
	if (way == RNGQ_GO)
		return bytes;
	if (!is_known(member)) {
		shares->was_asked |= !bytes;
		/* Who was called and finds that others were quicker is told nothing. */
		if (bytes || (member->is_called && !shares->is_closing))
			member->is_told = bytes;
	}
	if (bytes)
		return bytes;

	set_come(shares, member);
	set_served(shares, member);
	/* Who left what was its own did not come short of it. */
	if (!shares->is_closing || member->taken_bytes ||
	    credit(shares, member) <= 0)
		set_taken(shares, member, member->taken_bytes, want_bytes);
	if (way == RNGQ_WAIT && !member->line)
		line_up(shares, member);
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
	u64 bytes = want_bytes, own, extra = 0, *aside;

	draw->bucket.level_bytes = 0;
	if (!is_limited(shares))
		return want_bytes;
	catch_up(shares, member);
	own = own_bytes(shares, member, member->is_called);
	if (bytes > own) {
		u64 most = own + free_bytes(shares, member, own);

		if (bytes > most) {
			extra = min(bytes - most,
				    extra_bytes(shares, member, own,
						member->is_called));
			bytes = min(most + extra, shares->bucket.level_bytes);
		}
	}
	if (!bytes)
		return 0;

	own = min(own, bytes);
	draw->credit = own * RNGQ_VBYTE;
	/* To the hungry all counts, until they owe so much. What closing brings is a gift. */
	if (member->is_hungry && !shares->is_closing)
		draw->credit = clamp_t(s64, credit(shares, member) +
				       max_debt(shares), draw->credit,
				       bytes * RNGQ_VBYTE);
	member->vtime += draw->credit;
	aside = &shares->aside_bytes[member->is_hungry];
	draw->aside_bytes = min(own, *aside);
	*aside -= draw->aside_bytes;
	if (!member->expected_bytes) {
		shares->away_bytes -= draw->aside_bytes;
		member->is_told = false;
	}
	set_come(shares, member);
	if (bytes < want_bytes)
		set_served(shares, member);
	draw->extra_bytes = extra;
	if (extra) {
		member->extra_bytes -= extra;
		shares->extra_bytes -= extra;
	}
	draw->epoch = shares->epoch;
	draw->left_line = member->line;
	if (member->line)
		leave_line(shares, member);
	set_taken(shares, member, member->taken_bytes + bytes,
		  want_bytes - bytes);
	bytes = rngq_bucket_take(&shares->bucket, bytes, shares->now_ns,
				 &draw->bucket);
	/* In the last part of closing everybody takes of that. */
	if (shares->is_closing)
		shares->extra_bytes = min(shares->extra_bytes,
					  shares->bucket.level_bytes);
	/* The clock begins to run. Who was closed opens: the refill is far away now. */
	if (shares->end_ns != shares->bucket.refill_ns) {
		if (shares->is_closing)
			begin_round(shares);
		else
			set_times(shares);
	}
	return bytes;
}

/**
 * rngq_shares_give_back() - return bytes that were taken and not delivered
 * @shares: the bucket and those who share it
 * @member: the client that took them
 * @draw: where they came from
 * @bytes: how many
 *
 * What was set aside is so again if that epoch goes on; the rest is for all.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_give_back(struct rngq_shares *shares,
			   struct rngq_member *member,
			   const struct rngq_share_draw *draw, u64 bytes)
{
	u64 aside, extra, used;

	rngq_bucket_give_back(&shares->bucket, &draw->bucket, bytes);
	catch_up(shares, member);
	set_taken(shares, member, less(member->taken_bytes, bytes), 0);
	if (draw->epoch == shares->epoch) {
		used = min(bytes * RNGQ_VBYTE, draw->credit);
		member->vtime -= used;
		if (!shares->is_closing && !member->expected_bytes)
			shares->away_bytes += min(bytes, draw->aside_bytes);
		aside = min3(bytes, draw->aside_bytes,
			     free_bytes(shares, member, 0));
		shares->aside_bytes[member->is_hungry] += aside;
		shares->nr_unserved += member->is_hungry && member->is_served;
		member->is_served = false;
		extra = min3(bytes - aside, draw->extra_bytes,
			     free_bytes(shares, member, 0));
		shares->extra_bytes += extra;
		member->extra_bytes += extra;
	}
	shares->has_changed = true;
	if (shares->nr_waiting)
		rngq_bucket_await(&shares->bucket);
}

/**
 * rngq_shares_withdraw() - stop waiting
 * @shares: the bucket and those who share it
 * @member: the client, which is in no line afterwards
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_withdraw(struct rngq_shares *shares,
			  struct rngq_member *member)
{
	catch_up(shares, member);
	set_come(shares, member);
	if (!member->line)
		return;
	leave_line(shares, member);
	/* There may be something for the next one. */
	shares->has_changed = true;
}

/**
 * rngq_shares_go_on() - have a client go on where another one left
 * @member: the client, which is new
 * @left: the other one, after rngq_shares_withdraw() and nothing else
 *
 * Who closes and opens again has taken what it has taken. What was counted of @left
 * still is, and what was set aside for it, until a round is over in which @member
 * does not come.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_go_on(struct rngq_member *member,
		       const struct rngq_member *left)
{
	struct rngq_waiter waiter = member->waiter;

	*member = *left;
	member->waiter = waiter;
	INIT_LIST_HEAD(&member->waiter.node);
}

/* The first of a line, if there is something for it when it is called */
static struct rngq_member *first_of(struct rngq_shares *shares,
				    enum rngq_line line)
{
	struct rngq_member *member =
		list_first_entry_or_null(&shares->line[line], struct rngq_member,
					 waiter.node);
	u64 bytes, most = 1;

	if (!member || !is_limited(shares))
		return member;
	catch_up(shares, member);
	bytes = available_bytes(shares, member, true);
	/* No more are called than find something. */
	if (is_known_line(line)) {
		most = less(shares->bucket.level_bytes,
			    shares->nr_due * shares->least_bytes);
	} else if (line == RNGQ_LINE_NEW) {
		if (!shares->nr_newcomers)
			shares->deal_extra_bytes = max(shares->extra_bytes, bytes);
		most = less(shares->deal_extra_bytes,
			    shares->nr_newcomers * shares->extra_most);
	}
	return bytes && most ? member : NULL;
}

static struct rngq_member *next_waiter(struct rngq_shares *shares)
{
	enum rngq_line i, first = shares->nr_woken % 2 ?
		RNGQ_LINE_UNDER : RNGQ_LINE_NEW;
	struct rngq_member *member = NULL;

	if (shares->is_closing)
		first = RNGQ_LINE_FULL;
	for (i = 0; i < RNGQ_NR_LINES && !member; i++)
		member = first_of(shares, (first + i) % RNGQ_NR_LINES);
	return member;
}

/**
 * rngq_shares_call() - call who is next in line, if there is something for it
 * @shares: the bucket and those who share it
 *
 * Called again until it returns NULL, this makes a deal.
 *
 * Context: Any; the owner's lock is held.
 * Return: Who is to be woken, and does not wait any more; NULL: nobody.
 */
struct rngq_member *rngq_shares_call(struct rngq_shares *shares)
{
	struct rngq_member *next = next_waiter(shares);

	if (!next || shares->nr_woken == WOKEN_PER_DEAL) {
		shares->next_deal_ns = shares->now_ns +
			(next ? PAUSE_NS : DEAL_DISTANCE_NS);
		/* Who was called may not come. When closing, all is for all later. */
		shares->has_changed = shares->nr_woken;
		if (shares->is_closing && shares->now_ns < shares->last_ns &&
		    shares->bucket.level_bytes) {
			shares->has_changed = true;
			shares->next_deal_ns = min(shares->next_deal_ns,
						   shares->last_ns);
		}
		shares->nr_woken = 0;
		shares->nr_newcomers = 0;
		return NULL;
	}
	shares->nr_woken++;
	catch_up(shares, next);
	next->is_due = is_known_line(next->line);
	shares->nr_due += next->is_due;
	shares->nr_newcomers += !next->is_due;
	/* It is expected in the next round if it comes. */
	if (!next->taken_bytes)
		set_demand(shares, next, 0);
	next->is_called = true;
	leave_line(shares, next);
	return next;
}

/**
 * rngq_shares_next_ns() - when to deal next
 * @shares: the bucket and those who share it
 *
 * What comes free in the midst of an epoch waits for some milliseconds: clients
 * can bring that about again and again.
 *
 * Context: Any; the owner's lock is held.
 * Return: The time, which may be past; RNGQ_NEVER if nobody waits.
 */
u64 rngq_shares_next_ns(struct rngq_shares *shares)
{
	if (!shares->nr_waiting)
		return RNGQ_NEVER;
	return shares->has_changed ?
		min(shares->next_ns, shares->next_deal_ns) : shares->next_ns;
}
