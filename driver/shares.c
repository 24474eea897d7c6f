// SPDX-License-Identifier: GPL-2.0
/*
 * Shares: who gets what of a bucket that is too small for all. The rules are
 * told in shares.h.
 */
#include "shares.h"

#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/time64.h>

/* Closing comes this part of the period before its end, ... */
#define CLOSING_PART		64
/* ... or this, if that is more: it takes a while to wake somebody. */
#define CLOSING_MIN_NS		(2 * NSEC_PER_MSEC)
/* There is no time to wake more than so many then, if they want it all. */
#define WOKEN_AT_CLOSING	64
/* The largest part of the bucket that is set aside for newcomers; if they are ... */
#define NEWCOMERS_PART		2
/* ... in doubt it is this one, and each may have an eighth of that. */
#define DOUBT_PART		32
#define DOUBT_SHARES		8
/* A turn in virtual time; and the most that a grant counts, so that none overflows. */
#define TURN_VTIME		BIT_ULL(20)
#define MOST_VTIME		(64 * TURN_VTIME)
/* How many clients a deal wakes, and how soon the next one comes if there are more. */
#define WOKEN_PER_DEAL		32
#define PAUSE_NS		NSEC_PER_MSEC
/* How soon to deal again in an epoch. */
#define DEAL_DISTANCE_NS	(10 * NSEC_PER_MSEC)

static u64 less(u64 bytes, u64 minus_bytes)
{
	return bytes - min(bytes, minus_bytes);
}

static bool is_limited(const struct rngq_shares *shares)
{
	return shares->bucket.rate_bytes != RNGQ_MAX;
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

static bool is_wanted(const struct rngq_shares *shares)
{
	return shares->nr_waiting || shares->nr_newcomers;
}

/* Add what it stands for to all sums; with @sign -1 take it out, to change it. */
static void account(struct rngq_shares *shares,
		    const struct rngq_member *member, s64 sign)
{
	u64 expected_bytes = min(member->taken_bytes, shares->share_bytes);

	if (member->is_in_line) {
		shares->nr_waiting += sign;
		shares->want_bytes += sign * member->want_bytes;
		/* Who waits for a whole share, will be granted what it can have. */
		if (member->want_bytes >= shares->share_bytes)
			expected_bytes = 0;
	}
	shares->absent_bytes += sign * expected_bytes;
	shares->nr_members += sign * (member->taken_bytes || member->is_in_line);
}

/* What bytes count in virtual time. */
static u64 turns(const struct rngq_shares *shares, u64 bytes)
{
	return min(bytes * TURN_VTIME / shares->turn_bytes, MOST_VTIME);
}

/*
 * Who was away is owed nothing for that. Who came short is still owed it, up to a
 * turn.
 */
static void join_line(struct rngq_shares *shares, struct rngq_member *member)
{
	struct rb_node **link = &shares->line.rb_root.rb_node, *parent = NULL;
	bool is_first = true;

	member->vtime = max(member->vtime,
			    less(shares->vtime, member->is_short * TURN_VTIME));
	while (*link) {
		parent = *link;
		if (member->vtime <
		    rb_entry(parent, struct rngq_member, node)->vtime) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			is_first = false;
		}
	}
	rb_link_node(&member->node, parent, link);
	rb_insert_color_cached(&member->node, &shares->line, is_first);
	account(shares, member, -1);
	member->is_in_line = true;
	account(shares, member, 1);
}

static void stop_waiting(struct rngq_shares *shares, struct rngq_member *member)
{
	if (member->is_apart) {
		list_del_init(&member->waiter.node);
		member->is_apart = false;
		shares->nr_newcomers--;
	} else if (member->is_in_line) {
		rb_erase_cached(&member->node, &shares->line);
		account(shares, member, -1);
		member->is_in_line = false;
		account(shares, member, 1);
	}
}

/* Of rounds that are over nothing counts any more. */
static void catch_up(const struct rngq_shares *shares,
		     struct rngq_member *member)
{
	if (member->round == shares->round)
		return;
	member->is_expected = member->taken_bytes &&
		member->round + 1 == shares->round;
	member->round = shares->round;
	if (member->taken_bytes)
		member->before_bytes = member->taken_bytes;
	member->taken_bytes = 0;
}

static void begin_epoch(struct rngq_shares *shares)
{
	shares->epoch++;
	shares->granted_bytes = 0;
	shares->is_short = false;
	shares->next_deal_ns = 0;
	/* Rounded up: the last one gets what is left, and is first the next time. */
	shares->quantum_bytes = DIV_ROUND_UP(spare_bytes(shares),
					     max(shares->nr_waiting, 1ULL));
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

/* What was set aside for newcomers is not any more: did they leave it? */
static void judge_newcomers(struct rngq_shares *shares)
{
	if (shares->newcomer_part)
		shares->in_doubt =
			shares->newcomer_bytes > shares->newcomer_part / 2;
	shares->newcomer_part = 0;
	shares->newcomer_bytes = 0;
}

static void welcome_newcomers(struct rngq_shares *shares, u64 members)
{
	u64 bytes = shares->bucket.level_bytes, part = bytes / DOUBT_PART;
	u64 newcomers = max_t(u64, shares->nr_newcomers, shares->was_refused);

	judge_newcomers(shares);
	shares->in_doubt &= newcomers || shares->was_asked;
	shares->was_asked = false;
	shares->was_refused = false;
	shares->newcomer_share = shares->least_bytes;
	if (!newcomers)
		return;
	/* Of few bytes one in each third round; of a single one, seldom. */
	if (!part && !(shares->round % (bytes > 1 ? 3 : 16)))
		part = min(bytes, 1ULL);
	if (!shares->in_doubt)
		part = max(part, min(DIV_ROUND_UP(bytes * newcomers,
						  members + newcomers),
				     max(bytes / NEWCOMERS_PART, 8ULL)));
	shares->newcomer_part = part;
	shares->newcomer_bytes = part;
	shares->newcomer_share = max(shares->least_bytes, part /
		(shares->in_doubt ? DOUBT_SHARES : newcomers));
}

static void begin_round(struct rngq_shares *shares)
{
	const struct rngq_bucket *bucket = &shares->bucket;
	/* Was there a whole round in which nobody came? Then nobody is expected. */
	bool idled = shares->now_ns >= shares->end_ns + bucket->period_ns;
	u64 waiters = shares->nr_waiting;
	u64 members = max(shares->nr_members, 1ULL);
	u64 bytes;

	/* A wake-up is worth what is refilled in a millisecond. */
	shares->least_bytes = max(bucket->rate_bytes /
				  (bucket->period_ns / NSEC_PER_MSEC), 1ULL);
	welcome_newcomers(shares, members);
	bytes = bucket->level_bytes - shares->newcomer_bytes;
	shares->share_bytes = max(bytes / members, 1ULL);
	shares->expected_bytes = idled ? 0 :
		min(shares->absent_bytes,
		    bytes - min3(bytes, shares->want_bytes,
				 waiters * shares->share_bytes));
	begin_epoch(shares);
	shares->turn_bytes = max(shares->quantum_bytes, 1ULL);

	shares->round++;
	shares->nr_members = waiters;
	shares->absent_bytes = 0;
	set_times(shares);
}

static void close_round(struct rngq_shares *shares)
{
	judge_newcomers(shares);
	shares->next_ns = shares->end_ns;
	shares->expected_bytes = 0;
	/* There is no time to wake many. */
	shares->least_bytes = max(shares->least_bytes,
				  shares->bucket.level_bytes / WOKEN_AT_CLOSING);
	begin_epoch(shares);
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
	if (granted_bytes(shares, member) || member->is_in_line)
		return granted_bytes(shares, member);
	*sum = &shares->newcomer_bytes;
	/* Who does not wait leaves half of it to those who do. */
	if (!member->is_trusted && !member->is_expected)
		return min3(less(shares->newcomer_bytes, member->is_called ?
				 0 : shares->newcomer_part / 2),
			    free_bytes(shares), shares->newcomer_share);
	*sum = &shares->expected_bytes;
	return min(less(min(shares->share_bytes, 2 * member->before_bytes),
			member->taken_bytes),
		   less(free_bytes(shares), shares->newcomer_bytes));
}

/*
 * What it may take besides @due of @sum: what is neither set aside nor wanted by
 * others who wait.
 */
static __always_inline u64 unwanted_bytes(const struct rngq_shares *shares,
					  const struct rngq_member *member,
					  u64 due, const u64 *sum)
{
	u64 bytes = free_bytes(shares);
	u64 not_for_it = shares->expected_bytes + shares->newcomer_bytes +
		shares->want_bytes;

	/*
	 * If somebody was granted less than it wants, the rest is for those who were
	 * granted something: for this one, if no other still has its grant.
	 */
	if (shares->is_short && (sum != &shares->granted_bytes || !due ||
				 due != shares->granted_bytes))
		return 0;
	if (sum != &shares->granted_bytes) {
		bytes -= due;
		not_for_it -= min(due, *sum);
	}
	if (member->is_in_line)
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
	*shares = (struct rngq_shares){ .line = RB_ROOT_CACHED };
	INIT_LIST_HEAD(&shares->newcomers);
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
	u64 bytes, *sum;

	if (!is_limited(shares))
		return RNGQ_MAX;
	catch_up(shares, member);
	bytes = due_bytes(shares, member, &sum);
	bytes += unwanted_bytes(shares, member, bytes, sum);
	if (way == RNGQ_GO)
		return bytes;
	if (sum == &shares->newcomer_bytes) {
		shares->was_asked = true;
		shares->was_refused |= !bytes;
	}
	/* Who is told need not be called soon; but another may sleep on its file. */
	if (bytes && member->is_apart)
		list_move_tail(&member->waiter.node, &shares->newcomers);
	if (bytes || member->is_apart || member->is_in_line)
		return bytes;

	member->epoch = shares->epoch;
	member->granted_bytes = 0;
	if (member->is_trusted) {
		member->want_bytes = way == RNGQ_SLEEP || member->is_short ?
			want_bytes :
			min(want_bytes,
			    2 * (member->taken_bytes + member->before_bytes));
		join_line(shares, member);
	} else {
		list_add_tail(&member->waiter.node, &shares->newcomers);
		member->is_apart = true;
		member->is_called = false;
		shares->nr_newcomers++;
	}
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
	u64 bytes = want_bytes, due, *sum;

	draw->bucket.level_bytes = 0;
	draw->due_bytes = 0;
	draw->was_trusted = member->is_trusted;
	if (!is_limited(shares))
		return want_bytes;
	catch_up(shares, member);
	due = due_bytes(shares, member, &sum);
	if (bytes > due)
		bytes = min(bytes, due +
			    unwanted_bytes(shares, member, due, sum));
	if (!bytes)
		return 0;

	draw->sum = sum;
	due = min(bytes, due);
	draw->due_bytes = min(due, *sum);
	draw->epoch = shares->epoch;
	*sum -= draw->due_bytes;
	if (sum == &shares->granted_bytes)
		member->granted_bytes -= draw->due_bytes;
	else if (due)
		member->vtime = max(member->vtime, shares->vtime) +
			turns(shares, due);
	if (member->is_in_line || member->is_apart)
		stop_waiting(shares, member);
	/* As account() does it, for who is not in line. */
	shares->nr_members += !member->taken_bytes;
	shares->absent_bytes += min(bytes, less(shares->share_bytes,
						member->taken_bytes));
	member->taken_bytes += bytes;
	member->is_trusted = true;
	member->is_short = bytes < want_bytes;
	bytes = rngq_bucket_take(&shares->bucket, bytes, shares->now_ns,
				 &draw->bucket);
	if (shares->end_ns != shares->bucket.refill_ns)
		set_times(shares);
	return bytes;
}

/**
 * rngq_shares_give_back() - return bytes that were taken and not delivered
 * @shares: the bucket and those who share it
 * @member: the client that took them; if it keeps none, it is no more trusted for it
 * @draw: where they came from
 * @bytes: how many
 *
 * What was granted or set aside is so again if that epoch goes on, and the client has
 * not lined up again; the rest is for all.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_give_back(struct rngq_shares *shares,
			   struct rngq_member *member,
			   const struct rngq_share_draw *draw, u64 bytes)
{
	u64 again_bytes;

	catch_up(shares, member);
	account(shares, member, -1);
	member->taken_bytes = less(member->taken_bytes, bytes);
	account(shares, member, 1);
	if (bytes >= draw->bucket.level_bytes)
		member->is_trusted &= draw->was_trusted;
	rngq_bucket_give_back(&shares->bucket, &draw->bucket, bytes);

	again_bytes = min3(bytes, draw->due_bytes, spare_bytes(shares));
	if (again_bytes && draw->epoch == shares->epoch) {
		if (draw->sum != &shares->granted_bytes) {
			*draw->sum += again_bytes;
		} else if (!member->is_in_line) {
			*draw->sum += again_bytes;
			member->granted_bytes += again_bytes;
		}
	}
	if (is_wanted(shares))
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
	stop_waiting(shares, member);
	shares->granted_bytes -= granted_bytes(shares, member);
	member->granted_bytes = 0;
}

/**
 * rngq_shares_leave() - give everything up, and be expected no more
 * @shares: the bucket and those who share it
 * @member: the client, which is only good for rngq_shares_go_on() afterwards
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_leave(struct rngq_shares *shares, struct rngq_member *member)
{
	rngq_shares_withdraw(shares, member);
	account(shares, member, -1);
}

/**
 * rngq_shares_go_on() - have a client go on where another one left
 * @shares: the bucket and those who share it
 * @member: the client, which is new
 * @left: the other one, after rngq_shares_leave()
 *
 * Who closes and opens again has taken what it has taken.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_shares_go_on(struct rngq_shares *shares, struct rngq_member *member,
		       const struct rngq_member *left)
{
	member->is_short = left->is_short;
	member->is_trusted = left->is_trusted;
	member->is_expected = left->is_expected;
	member->round = left->round;
	member->taken_bytes = left->taken_bytes;
	member->before_bytes = left->before_bytes;
	member->vtime = left->vtime;
	catch_up(shares, member);
	account(shares, member, 1);
}

/* Who is to be granted something or called; NULL: nobody. */
static struct rngq_member *next_waiter(struct rngq_shares *shares)
{
	bool is_max = !is_limited(shares);

	if (shares->nr_waiting && (is_max || spare_bytes(shares)))
		return rb_entry(rb_first_cached(&shares->line),
				struct rngq_member, node);
	if (is_max || shares->newcomer_bytes ||
	    (spare_bytes(shares) && !shares->is_short))
		return list_first_entry_or_null(&shares->newcomers,
						struct rngq_member, waiter.node);
	return NULL;
}

static void grant(struct rngq_shares *shares, struct rngq_member *member)
{
	u64 spare = spare_bytes(shares);
	u64 bytes = member->epoch == shares->epoch ?
		spare / shares->nr_waiting : shares->quantum_bytes;

	bytes = min3(max(bytes, shares->least_bytes), member->want_bytes, spare);
	/* What is not fetched now is lost: grant what it is known to take. */
	if (shares->next_ns == shares->end_ns)
		bytes = min(bytes, max(2 * (member->taken_bytes +
					    member->before_bytes), 1ULL));
	shares->is_short |= bytes < member->want_bytes;
	shares->granted_bytes += bytes;
	shares->vtime = max(shares->vtime, member->vtime);
	member->vtime += turns(shares, bytes);
	member->granted_bytes = bytes;
	member->epoch = shares->epoch;
	member->is_trusted = false;
	member->is_called = false;
}

/**
 * rngq_shares_grant() - grant something to who is next in line
 * @shares: the bucket and those who share it
 *
 * Called again until it returns NULL, this makes a deal. Newcomers are called when
 * there is something for them.
 *
 * Context: Any; the owner's lock is held.
 * Return: Who is to be woken, and does not wait any more; NULL: nobody.
 */
struct rngq_member *rngq_shares_grant(struct rngq_shares *shares)
{
	struct rngq_member *next = next_waiter(shares);
	bool is_over = !next;

	if (next && is_limited(shares)) {
		/* Who is back early is for the next deal, if others are on their way. */
		if (next->is_in_line)
			is_over = next->epoch == shares->epoch &&
				!shares->next_deal_ns && shares->granted_bytes;
		/* Newcomers are called as long as they find something. */
		else
			is_over = shares->nr_called * shares->newcomer_share >=
				shares->newcomer_bytes + spare_bytes(shares);
	}
	if (is_over || shares->nr_woken == WOKEN_PER_DEAL) {
		shares->next_deal_ns = shares->now_ns +
			(is_over ? DEAL_DISTANCE_NS : PAUSE_NS);
		shares->nr_woken = 0;
		shares->nr_called = 0;
		return NULL;
	}
	shares->nr_woken++;
	catch_up(shares, next);
	if (next->is_apart) {
		next->is_called = true;
		shares->nr_called++;
	} else if (is_limited(shares)) {
		grant(shares, next);
	}
	stop_waiting(shares, next);
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
	if (!is_wanted(shares))
		return RNGQ_NEVER;
	return next_waiter(shares) ?
		min(shares->next_ns, shares->next_deal_ns) : shares->next_ns;
}
