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
/* So large a part of what the modest demand is set aside for them besides. */
#define SPARE_PART		64
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
#define DEAL_DISTANCE_NS	(10ULL * NSEC_PER_MSEC)
/* In a short period there are about so many deals. */
#define DEALS			16

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

/* Does it wait since before this round began? */
static bool is_uncalled_waiter(const struct rngq_shares *shares,
			       const struct rngq_member *member)
{
	return is_known_line(member->line) &&
		member->line_round != shares->round;
}

/* Negative: it owes something. Shares before its last round may have overflowed. */
static s64 credit(const struct rngq_shares *shares,
		  const struct rngq_member *member)
{
	return shares->vtime - member->vtime;
}

/* How much may be owed for one wake-up, in the share's unit */
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
	if (likely(min(old_bytes, demand_bytes) &&
		   max(old_bytes, demand_bytes) < share_bytes)) {
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
		/* Who reads little at a time doesn't tell how much it wants. */
		if (member->was_short)
			more_bytes = most_bytes;
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
	bool is_next = member->round + 1 == shares->round;
	u64 bytes = 0, most;
	s64 most_credit;

	if (is_next)
		bytes = member->demand_bytes;
	/* Who waits and was not called yet, is taken for hungry. */
	else if (is_known_line(member->line))
		bytes = shares->last_share_bytes;
	member->demand_bytes = is_known_line(member->line) ? shares->share_bytes : 0;
	member->expected_bytes = bytes;
	member->is_hungry = bytes >= shares->last_share_bytes;
	member->was_short = member->is_short || !bytes;
	member->is_short &= !!bytes;
	if (member->taken_bytes)
		member->before_bytes = member->taken_bytes;
	member->taken_bytes = 0;
	member->extra_bytes = 0;
	if (!bytes && (member->line || (is_next && (member->has_asked ||
						    member->is_told))))
		member->extra_bytes = shares->extra_most;
	member->has_asked = false;
	member->is_called = false;
	member->is_served = false;
	member->round = shares->round;

	most = max(bytes, 2 * member->before_bytes) * RNGQ_VBYTE;
	most_credit = min(most, shares->share);
	/* Who came short of its share is owed a fraction of a byte, or of a wake-up. */
	if (member->is_hungry && member->is_short)
		most_credit += max_debt(shares);
	if (bytes)
		most_credit = clamp(credit(shares, member),
				    -2 * max_debt(shares), most_credit);
	member->vtime = shares->vtime - most_credit;
}

/* What is left when closing, and is for it */
static void join_closing(const struct rngq_shares *shares,
			 struct rngq_member *member, bool is_due,
			 bool is_uncalled)
{
	u64 extra = shares->extra_ratio *
		(is_uncalled ? shares->share_bytes : member->taken_bytes);
	s64 owed = extra;

	member->extra_bytes = 0;
	if (!is_due && !is_uncalled && !member->is_short)
		return;
	if (is_due)
		owed = max(credit(shares, member), 0LL);
	else
		member->vtime -= extra;
	member->extra_bytes = max(DIV_ROUND_UP((u64)owed, RNGQ_VBYTE),
				  shares->least_bytes);
}

static void join_epoch(const struct rngq_shares *shares,
		       struct rngq_member *member)
{
	bool is_behind = member->round != shares->round;
	bool is_uncalled = is_uncalled_waiter(shares, member);
	bool is_due = !is_behind && member->is_due && !member->taken_bytes;

	member->epoch = shares->epoch;
	member->is_due = false;
	if (is_behind)
		join_round(shares, member);
	if (shares->is_closing)
		join_closing(shares, member, is_due, is_uncalled);
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
	u64 waiting = shares->nr_in_line[RNGQ_LINE_NEW];
	u64 newcomers = waiting + shares->nr_asked;
	u64 bytes = shares->bucket.level_bytes;
	u64 part = bytes / NEWCOMERS_PART;
	u64 fair = DIV_ROUND_UP(bytes * newcomers,
				max(newcomers + shares->nr_members, 1ULL));

	if (shares->was_used)
		part = max(part, min(fair, max(bytes / 2, 8ULL)));
	/* Of few bytes one in each fourth round. */
	if (!part && !(shares->round % 4))
		part = min(bytes, 1ULL);
	if (!newcomers && !shares->nr_in_line[RNGQ_LINE_TOLD] &&
	    !shares->was_asked)
		part = 0;
	shares->was_asked = false;
	shares->nr_asked = 0;
	shares->extra_part = part;
	shares->extra_bytes = part;
	shares->extra_most = max(part / max(newcomers, 1ULL),
				 shares->least_bytes);
	shares->waiters_bytes = DIV_ROUND_UP(part * waiting, max(newcomers, 1ULL));
}

/* Of those who did not come yet, only who waits is expected in the next round. */
static void expect_waiters(struct rngq_shares *shares)
{
	shares->nr_members = nr_known_waiters(shares);
	shares->nr_hungry = shares->nr_members;
	shares->demand_bytes = shares->nr_members * shares->share_bytes;
}

/*
 * Which share fills the bucket? Who is modest was found with the last share. If that
 * changes with this one, the next round knows. No share is less than an equal one.
 */
static void share_out(struct rngq_shares *shares, u64 bytes)
{
	u64 members = shares->nr_members, hungry = shares->nr_hungry;
	u64 modest_bytes = min(bytes, shares->demand_bytes -
			       hungry * shares->share_bytes);
	u64 equal = bytes * RNGQ_VBYTE / max(members, 1ULL);
	u64 share;

	modest_bytes = min(bytes, modest_bytes + modest_bytes / SPARE_PART);
	share = max((bytes - modest_bytes) * RNGQ_VBYTE / max(hungry, 1ULL), equal);
	shares->vtime += share;
	shares->share = share;
	shares->last_share_bytes = shares->share_bytes;
	shares->share_bytes = max(share / RNGQ_VBYTE, 1ULL);
	modest_bytes = min(modest_bytes,
			   (members - hungry) * (share / RNGQ_VBYTE + 1));
	shares->aside_bytes[false] = modest_bytes;
	shares->aside_bytes[true] =
		min(bytes - modest_bytes, DIV_ROUND_UP(hungry * share, RNGQ_VBYTE));
	shares->left_bytes = min(modest_bytes, shares->left_bytes);
	shares->growth_bytes = shares->left_bytes;
	shares->nr_unserved = hungry;
}

static void begin_round(struct rngq_shares *shares)
{
	const struct rngq_bucket *bucket = &shares->bucket;
	/* Was there a whole round in which nobody came? */
	bool idled = shares->now_ns >= shares->end_ns + bucket->period_ns;

	shares->round += 1 + idled;
	shares->is_closing = false;
	begin_epoch(shares);
	if (idled) {
		expect_waiters(shares);
		shares->nr_asked = 0;
		shares->was_asked = false;
	}
	/* A wake-up is worth what comes in a millisecond. */
	shares->least_bytes = max(min(bucket->level_bytes, bucket->rate_bytes) /
				  (bucket->period_ns / NSEC_PER_MSEC), 1ULL);
	welcome_newcomers(shares);
	share_out(shares, bucket->level_bytes - shares->extra_bytes);
	expect_waiters(shares);
	shares->nr_uncalled = shares->nr_members;
	shares->short_bytes = 0;
	set_times(shares);
}

static void close_round(struct rngq_shares *shares)
{
	u64 bytes = shares->bucket.level_bytes, left_bytes;
	/* Who was called may still come. Who was not counts as if it had its share. */
	u64 due_bytes = min(bytes, shares->nr_due * shares->share_bytes);
	u64 short_bytes = shares->short_bytes +
		shares->nr_uncalled * shares->share_bytes;

	if (shares->extra_part)
		shares->was_used = shares->extra_bytes <= shares->extra_part / 2;
	shares->is_closing = true;
	shares->next_ns += (shares->end_ns - shares->next_ns) / 2;
	begin_epoch(shares);
	shares->least_bytes = max(shares->least_bytes, bytes / CLOSING_WAKEUPS);
	/* What others took of that was left by somebody, too. */
	left_bytes = shares->aside_bytes[false] + shares->left_bytes -
		shares->growth_bytes;
	shares->left_bytes = min(left_bytes, shares->left_bytes * 3 / 2 + 1);
	shares->aside_bytes[false] = 0;
	shares->aside_bytes[true] = 0;
	shares->extra_part = 0;
	shares->waiters_bytes = 0;
	shares->extra_bytes = short_bytes || due_bytes ||
		nr_known_waiters(shares) ? bytes : 0;
	shares->extra_ratio = (bytes - due_bytes) * RNGQ_VBYTE /
		max(short_bytes, 1ULL);
}

/* In the second half of closing nothing is set aside. */
static bool is_second_half(const struct rngq_shares *shares)
{
	return shares->next_ns == shares->end_ns;
}

static void end_closing(struct rngq_shares *shares)
{
	shares->next_ns = shares->end_ns;
	shares->extra_bytes = 0;
	shares->has_changed = true;
	shares->next_deal_ns = 0;
}

/* What was set aside for it, and it may take at any time */
static __always_inline u64 own_bytes(const struct rngq_shares *shares,
				     const struct rngq_member *member,
				     bool is_called)
{
	u64 bytes;
	s64 owed;

	if (shares->is_closing || !member->expected_bytes)
		return 0;
	owed = credit(shares, member);
	bytes = owed > 0 ? owed / RNGQ_VBYTE : 0;
	if (is_called && !member->taken_bytes && owed > -max_debt(shares) / 2)
		bytes = max(bytes, shares->least_bytes);
	if (!member->is_hungry)
		return min3(bytes, shares->aside_bytes[false],
			    less(member->expected_bytes, member->taken_bytes));
	/* It may be owed more than was set aside for those like it. */
	return min(bytes, less(shares->bucket.level_bytes,
			       shares->aside_bytes[false] + shares->extra_bytes));
}

/* What it may take besides @own of what others leave: it wants more than before. */
static u64 growth_bytes(const struct rngq_shares *shares,
			const struct rngq_member *member, u64 own)
{
	s64 owed = credit(shares, member) - (s64)(own * RNGQ_VBYTE);

	if (member->is_hungry || shares->is_closing || owed <= 0)
		return 0;
	return min3(owed / RNGQ_VBYTE, shares->growth_bytes,
		    shares->aside_bytes[false] - own);
}

/* What it may take besides these @bytes of what was set aside for those like it */
static u64 extra_bytes(const struct rngq_shares *shares,
		       const struct rngq_member *member, bool is_called,
		       u64 bytes)
{
	u64 extra = less(shares->extra_bytes,
			 is_called ? 0 : shares->waiters_bytes);

	extra = min(extra, member->extra_bytes);
	if (shares->is_closing)
		return extra;
	return min(extra, less(max(shares->share_bytes, shares->least_bytes),
			       member->taken_bytes + bytes));
}

/* What is set aside */
static __always_inline u64 all_aside_bytes(const struct rngq_shares *shares)
{
	return shares->aside_bytes[false] + shares->aside_bytes[true] +
		shares->extra_bytes;
}

/* What is left besides @own and what is set aside: it is for everybody */
static __always_inline u64 free_bytes(const struct rngq_shares *shares,
				      const struct rngq_member *member,
				      u64 own)
{
	u64 aside = all_aside_bytes(shares) -
		min(own, shares->aside_bytes[member->is_hungry]);
	u64 bytes = less(shares->bucket.level_bytes - own, aside);
	s64 left;

	if (!member->is_hungry || shares->is_closing)
		return bytes;
	/* Who had its share may owe some, but leaves the rest to others. */
	left = credit(shares, member) + max_debt(shares);
	return min(bytes, less(max(left, 0LL) / RNGQ_VBYTE, own));
}

/* Find what it may take, up to @want_bytes, and where that is. */
static __always_inline u64 find(const struct rngq_shares *shares,
				const struct rngq_member *member,
				bool is_called, u64 want_bytes,
				struct rngq_share_draw *draw)
{
	u64 own = own_bytes(shares, member, is_called);
	u64 bytes = min(own, want_bytes);

	draw->own_bytes = bytes;
	draw->growth_bytes = 0;
	draw->extra_bytes = 0;
	if (likely(bytes == want_bytes))
		return bytes;

	bytes += min(want_bytes - bytes, free_bytes(shares, member, own));
	if (likely(bytes == want_bytes))
		return bytes;

	draw->growth_bytes = min(want_bytes - bytes,
				 growth_bytes(shares, member, own));
	bytes += draw->growth_bytes;
	draw->extra_bytes = min(want_bytes - bytes,
				extra_bytes(shares, member, is_called,
					    own + draw->growth_bytes));
	return bytes + draw->extra_bytes;
}

static u64 available_bytes(const struct rngq_shares *shares,
			   const struct rngq_member *member, bool is_called)
{
	struct rngq_share_draw draw;

	return find(shares, member, is_called, RNGQ_MAX, &draw);
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
 * __rngq_shares_refresh() - begin a round, close it, or both
 * @shares: the bucket and those who share it
 *
 * Context: Any; the owner's lock is held. Only rngq_shares_refresh() calls this.
 */
void __rngq_shares_refresh(struct rngq_shares *shares)
{
	rngq_bucket_refill(&shares->bucket, shares->now_ns);
	if (shares->now_ns >= shares->end_ns)
		begin_round(shares);
	if (shares->now_ns >= shares->next_ns && !shares->is_closing)
		close_round(shares);
	if (shares->now_ns >= shares->next_ns)
		end_closing(shares);
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

/* It is counted here as long as it is in no line. */
static void set_asked(struct rngq_shares *shares, struct rngq_member *member,
		      bool has_asked)
{
	shares->nr_asked += has_asked - member->has_asked;
	member->has_asked = has_asked;
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
	member->line_round = shares->round;
	set_asked(shares, member, false);
}

static void leave_line(struct rngq_shares *shares, struct rngq_member *member)
{
	list_del_init(&member->waiter.node);
	shares->nr_in_line[member->line]--;
	shares->nr_waiting--;
	shares->nr_uncalled -= is_uncalled_waiter(shares, member);
	if (member->line == RNGQ_LINE_NEW)
		set_asked(shares, member, true);
	member->line = RNGQ_LINE_NONE;
}

/* A newcomer asked, and could have had so many bytes. */
static void set_told(struct rngq_shares *shares, struct rngq_member *member,
		     u64 bytes)
{
	/* Who was called and finds that others were quicker is told nothing. */
	if (bytes || (member->is_called && !shares->is_closing))
		member->is_told = bytes;
	if (bytes)
		return;
	shares->was_asked = true;
	if (!member->is_told && !member->line)
		set_asked(shares, member, true);
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
	if (!is_known(member))
		set_told(shares, member, bytes);
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

/* It takes what find() found: @draw. */
static __always_inline void take_found(struct rngq_shares *shares,
				       struct rngq_member *member, u64 bytes,
				       struct rngq_share_draw *draw)
{
	draw->credit = (draw->own_bytes + draw->growth_bytes) * RNGQ_VBYTE;
	if (member->is_hungry) {
		/* All counts, until it owes so much. */
		draw->credit = clamp_t(s64, credit(shares, member) +
				       max_debt(shares), draw->credit,
				       bytes * RNGQ_VBYTE);
		draw->own_bytes = min(draw->own_bytes,
				      shares->aside_bytes[true]);
	}
	member->vtime += draw->credit;
	shares->aside_bytes[member->is_hungry] -= draw->own_bytes;
	if (unlikely(draw->growth_bytes + draw->extra_bytes)) {
		shares->growth_bytes -= draw->growth_bytes;
		shares->aside_bytes[false] -= draw->growth_bytes;
		shares->extra_bytes -= draw->extra_bytes;
		member->extra_bytes -= draw->extra_bytes;
		if (member->is_called)
			shares->waiters_bytes -= min(draw->extra_bytes,
						     shares->waiters_bytes);
	}
	draw->epoch = shares->epoch;
	draw->left_line = member->line;
}

/* It took something. The clock of a full bucket begins to run. */
static void start_clock(struct rngq_shares *shares)
{
	/* Who was closed opens: the refill is far away now. */
	if (shares->is_closing)
		begin_round(shares);
	else
		set_times(shares);
}

/**
 * rngq_shares_take() - take bytes for a client
 * @shares: the bucket and those who share it
 * @member: the client
 * @want_bytes: how many at the most
 * @draw: where they came from, for rngq_shares_give_back()
 *
 * Who takes from a full bucket starts its clock: a new round may begin. @draw is only
 * set if there is a limit and something was taken.
 *
 * Context: Any; the owner's lock is held.
 * Return: How many were taken; who got any doesn't wait any more.
 */
u64 rngq_shares_take(struct rngq_shares *shares, struct rngq_member *member,
		     u64 want_bytes, struct rngq_share_draw *draw)
{
	u64 bytes;

	if (!is_limited(shares))
		return want_bytes;
	catch_up(shares, member);
	bytes = find(shares, member, member->is_called, want_bytes, draw);
	if (!bytes)
		return 0;

	take_found(shares, member, bytes, draw);
	if (unlikely(member->is_due))
		set_come(shares, member);
	if (bytes < want_bytes)
		set_served(shares, member);
	if (member->line)
		leave_line(shares, member);
	if (unlikely(!member->expected_bytes)) {
		member->is_told = false;
		set_asked(shares, member, false);
	}
	set_taken(shares, member, member->taken_bytes + bytes,
		  want_bytes - bytes);
	bytes = rngq_bucket_take(&shares->bucket, bytes, shares->now_ns,
				 &draw->bucket);
	if (unlikely(shares->end_ns != shares->bucket.refill_ns))
		start_clock(shares);
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
	u64 left_bytes, own, growth, extra;

	rngq_bucket_give_back(&shares->bucket, &draw->bucket, bytes);
	catch_up(shares, member);
	/* If that was in this round, it did not take them. */
	if (draw->epoch + shares->is_closing >= shares->epoch)
		set_taken(shares, member, less(member->taken_bytes, bytes), 0);
	if (draw->epoch == shares->epoch) {
		left_bytes = less(shares->bucket.level_bytes,
				  all_aside_bytes(shares));
		left_bytes = min(left_bytes, bytes);
		own = min(left_bytes, draw->own_bytes);
		growth = min(left_bytes - own, draw->growth_bytes);
		extra = is_second_half(shares) ? 0 :
			min(left_bytes - own - growth, draw->extra_bytes);
		shares->aside_bytes[member->is_hungry] += own + growth;
		shares->growth_bytes += growth;
		shares->extra_bytes += extra;
		member->extra_bytes += extra;
		if (member->is_called && !shares->is_closing)
			shares->waiters_bytes += extra;
		member->vtime -= min(bytes * RNGQ_VBYTE, draw->credit);
		shares->nr_unserved += member->is_hungry && member->is_served;
		member->is_served = false;
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

/* The first of a line, up to date; or NULL */
static struct rngq_member *first_in_line(struct rngq_shares *shares,
					 enum rngq_line line)
{
	struct rngq_member *member =
		list_first_entry_or_null(&shares->line[line], struct rngq_member,
					 waiter.node);

	if (member)
		catch_up(shares, member);
	return member;
}

/* The first of a line, if there is something for it when it is called */
static struct rngq_member *first_of(struct rngq_shares *shares,
				    enum rngq_line line)
{
	struct rngq_member *member = first_in_line(shares, line);
	u64 bytes, most = 1;

	if (!member || !is_limited(shares))
		return member;
	bytes = available_bytes(shares, member, true);
	/* No more are called than find something. */
	if (is_known_line(line)) {
		most = shares->bucket.level_bytes;
		if (member->is_hungry && !shares->is_closing)
			most = less(most, shares->aside_bytes[false] +
				    shares->extra_bytes);
		/* Who never comes holds it until all is for everybody. */
		if (!is_second_half(shares))
			most = less(most, shares->nr_due * shares->least_bytes);
	} else if (line == RNGQ_LINE_NEW) {
		if (!shares->nr_newcomers)
			shares->deal_extra_bytes = max(shares->extra_bytes, bytes);
		most = less(shares->deal_extra_bytes,
			    shares->nr_newcomers * shares->extra_most);
	}
	return bytes && most ? member : NULL;
}

/* Whose first client is asked first, which changes with each call? */
static enum rngq_line line_in_turn(struct rngq_shares *shares)
{
	static const enum rngq_line turns[] = {
		RNGQ_LINE_NEW, RNGQ_LINE_UNDER, RNGQ_LINE_FULL, RNGQ_LINE_OVER,
	};
	enum rngq_line line = turns[shares->nr_called % ARRAY_SIZE(turns)];
	struct rngq_member *member;

	if (line != RNGQ_LINE_OVER)
		return line;
	/* Who still owes something has no turn of its own. */
	member = first_in_line(shares, line);
	return member && credit(shares, member) > 0 ? line : RNGQ_LINE_NEW;
}

static struct rngq_member *next_waiter(struct rngq_shares *shares)
{
	/* In which order the lines are asked, after the one whose turn it is, ... */
	static const enum rngq_line usual[] = {
		RNGQ_LINE_UNDER, RNGQ_LINE_FULL, RNGQ_LINE_OVER,
		RNGQ_LINE_NEW, RNGQ_LINE_TOLD,
	};
	/* ... and when closing. */
	static const enum rngq_line closing[] = {
		RNGQ_LINE_FULL, RNGQ_LINE_OVER, RNGQ_LINE_NEW,
		RNGQ_LINE_UNDER, RNGQ_LINE_TOLD,
	};
	const enum rngq_line *order = shares->is_closing ? closing : usual;
	struct rngq_member *member = NULL;
	int i;

	if (!shares->is_closing)
		member = first_of(shares, line_in_turn(shares));
	for (i = 0; i < ARRAY_SIZE(usual) && !member; i++)
		member = first_of(shares, order[i]);
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
		shares->next_deal_ns = shares->now_ns + (next ? PAUSE_NS :
			min(DEAL_DISTANCE_NS, shares->bucket.period_ns / DEALS));
		/* Who was called may not come. */
		shares->has_changed = shares->nr_woken;
		shares->nr_woken = 0;
		shares->nr_newcomers = 0;
		return NULL;
	}
	shares->nr_woken++;
	shares->nr_called++;
	next->is_due = is_known_line(next->line);
	shares->nr_due += next->is_due;
	shares->nr_newcomers += next->line == RNGQ_LINE_NEW;
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
