// SPDX-License-Identifier: GPL-2.0
/*
 * Turns: who gets what of a bucket that is too small for all. The rules are
 * told in turns.h.
 */
#include "turns.h"

#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>

/*
 * No cut when less than this part of a period is left: by then less than a
 * hundredth is reserved, and may be lost to the refill.
 */
#define LAST_CUT	256

/*
 * Nor when less than this is left: in periods below 10 ms more may be lost of the
 * shares that members don't come for.
 */
#define MIN_CUT_NS	(NSEC_PER_MSEC / 8)

static u64 free_bytes(const struct rngq_turns *turns)
{
	return turns->bucket.level_bytes - turns->reserved_bytes;
}

/* It asked: so it is a member, now and in the next round. */
static void join(struct rngq_turns *turns, struct rngq_turn *turn)
{
	turn->asked = turns->bucket.refills;
	turn->may_recall = true;
	if (list_empty(&turn->ring)) {
		list_add_tail(&turn->ring, &turns->ring);
		turns->members++;
	}
}

static void start_waiting(struct rngq_turns *turns, struct rngq_turn *turn)
{
	turn->is_called = false;
	if (!turn->is_waiting) {
		turn->is_waiting = true;
		turns->waiting++;
	}
}

static void stop_waiting(struct rngq_turns *turns, struct rngq_turn *turn)
{
	turn->is_called = false;
	if (turn->is_waiting) {
		turn->is_waiting = false;
		turns->waiting--;
	}
}

static void unreserve(struct rngq_turns *turns, struct rngq_turn *turn,
		      u64 bytes)
{
	turn->reserved_bytes -= bytes;
	turns->reserved_bytes -= bytes;
}

/* When to cut after @now_ns; not any more if little is left of the period. */
static u64 next_cut_ns(const struct rngq_turns *turns, u64 now_ns)
{
	const struct rngq_bucket *bucket = &turns->bucket;
	/* Who takes first of a full bucket starts the period. */
	u64 left_ns = bucket->refill_ns == RNGQ_NEVER ?
		bucket->period_ns : bucket->refill_ns - now_ns;

	if (left_ns < max_t(u64, bucket->period_ns / LAST_CUT, MIN_CUT_NS))
		return RNGQ_NEVER;
	return now_ns + left_ns / 2;
}

/* See to it that shares are cut when half of what is left is over. */
static void schedule_cut(struct rngq_turns *turns, u64 now_ns)
{
	if (turns->reserved_bytes)
		turns->cut_ns = min(turns->cut_ns, next_cut_ns(turns, now_ns));
}

/* What it was called for goes back; but if it is on its way, it waits again. */
static void recall(struct rngq_turns *turns, struct rngq_turn *turn)
{
	unreserve(turns, turn, turn->reserved_bytes);
	if (turn->is_called && turn->may_recall) {
		turn->may_recall = false;
		start_waiting(turns, turn);
	}
}

static void cut_shares(struct rngq_turns *turns)
{
	struct rngq_turn *turn;

	list_for_each_entry(turn, &turns->ring, ring) {
		if (!turn->hold_bytes)
			recall(turns, turn);
		else if (turn->reserved_bytes > turn->hold_bytes)
			unreserve(turns, turn,
				  turn->reserved_bytes - turn->hold_bytes);
		turn->hold_bytes /= 2;
		/* Half a period was time enough to come. */
		turn->is_called = false;
	}
}

/* All shares go back, and who has not asked in the last round is out. */
static void begin_round(struct rngq_turns *turns)
{
	struct rngq_turn *turn, *next;

	list_for_each_entry_safe(turn, next, &turns->ring, ring) {
		recall(turns, turn);
		if (!turn->is_waiting && turn->asked < turns->round) {
			list_del_init(&turn->ring);
			turns->members--;
		}
	}
	turns->round = turns->bucket.refills;
	turns->cut_ns = RNGQ_NEVER;
	turns->fresh = true;
}

static void refresh(struct rngq_turns *turns, u64 now_ns)
{
	rngq_bucket_refill(&turns->bucket, now_ns);
	if (turns->round != turns->bucket.refills)
		begin_round(turns);
	while (now_ns >= turns->cut_ns) {
		cut_shares(turns);
		turns->cut_ns = turns->reserved_bytes ?
			next_cut_ns(turns, turns->cut_ns) : RNGQ_NEVER;
	}
}

/**
 * rngq_turns_init() - make a full bucket for which nobody waits
 * @turns: the bucket and its ring
 * @quota: its quota
 *
 * Context: Any; nobody else knows it yet.
 */
void rngq_turns_init(struct rngq_turns *turns, const struct rngq_quota *quota)
{
	*turns = (struct rngq_turns){ .cut_ns = RNGQ_NEVER };
	rngq_bucket_init(&turns->bucket, quota, 0);
	INIT_LIST_HEAD(&turns->ring);
}

/**
 * rngq_turn_init() - make a place for a client, which is no member yet
 * @turn: the place
 *
 * Context: Any; nobody else knows it yet.
 */
void rngq_turn_init(struct rngq_turn *turn)
{
	*turn = (struct rngq_turn){};
	INIT_LIST_HEAD(&turn->ring);
	INIT_LIST_HEAD(&turn->wake);
}

/**
 * rngq_turns_available() - what a client could take
 * @turns: the bucket and its ring
 * @turn: the client's place
 * @now_ns: the time
 *
 * Context: Any; the owner's lock is held.
 * Return: Bytes: what is left of its share and, if nobody else waits, what is
 * free; RNGQ_MAX if there is no limit.
 */
u64 rngq_turns_available(struct rngq_turns *turns,
			 const struct rngq_turn *turn, u64 now_ns)
{
	if (turns->bucket.rate_bytes == RNGQ_MAX)
		return RNGQ_MAX;
	/* What comes free is for them first, as soon as it is dealt out. */
	if (turns->waiting > turn->is_waiting)
		return turn->reserved_bytes;
	refresh(turns, now_ns);
	if (turns->waiting > turn->is_waiting)
		return turn->reserved_bytes;
	/* So is a refill that was waited for, if there are other members. */
	if (turns->fresh && turn->is_waiting && turns->members > 1)
		return turn->reserved_bytes;
	return turn->reserved_bytes + free_bytes(turns);
}

/**
 * rngq_turns_take() - take bytes for a client
 * @turns: the bucket and its ring
 * @turn: the client's place
 * @want_bytes: how many at the most
 * @now_ns: the time
 * @draw: where they came from, for rngq_turns_give_back()
 *
 * Context: Any; the owner's lock is held.
 * Return: How many were taken; who got any doesn't wait any more.
 */
u64 rngq_turns_take(struct rngq_turns *turns, struct rngq_turn *turn,
		    u64 want_bytes, u64 now_ns, struct rngq_draw *draw)
{
	u64 bytes = min(want_bytes, rngq_turns_available(turns, turn, now_ns));
	bool stood = turns->bucket.refill_ns == RNGQ_NEVER;

	join(turns, turn);
	if (!bytes) {
		*draw = (struct rngq_draw){};
		return 0;
	}
	bytes = rngq_bucket_take(&turns->bucket, bytes, now_ns, draw);
	unreserve(turns, turn, min(bytes, turn->reserved_bytes));
	/* On the beat, the period can be over before the cut would come. */
	if (stood)
		schedule_cut(turns, now_ns);
	stop_waiting(turns, turn);
	/* Nobody waited for this refill, or it has been dealt out. */
	turns->fresh = false;
	return bytes;
}

/**
 * rngq_turns_give_back() - return bytes that were taken and not delivered
 * @turns: the bucket and its ring
 * @draw: where they came from
 * @bytes: how many
 * @now_ns: the time
 *
 * They are free then, not reserved.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_give_back(struct rngq_turns *turns,
			  const struct rngq_draw *draw, u64 bytes, u64 now_ns)
{
	refresh(turns, now_ns);
	rngq_bucket_give_back(&turns->bucket, draw, bytes);
	if (turns->waiting)
		rngq_bucket_await(&turns->bucket);
}

/**
 * rngq_turns_wait() - get in line
 * @turns: the bucket and its ring
 * @turn: the client's place, for which nothing is available
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_wait(struct rngq_turns *turns, struct rngq_turn *turn)
{
	join(turns, turn);
	start_waiting(turns, turn);
	rngq_bucket_await(&turns->bucket);
}

/**
 * rngq_turns_withdraw() - stop waiting and give the share up
 * @turns: the bucket and its ring
 * @turn: the client's place, which stays that of a member
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_withdraw(struct rngq_turns *turns, struct rngq_turn *turn)
{
	stop_waiting(turns, turn);
	unreserve(turns, turn, turn->reserved_bytes);
}

/**
 * rngq_turns_leave() - give everything up
 * @turns: the bucket and its ring
 * @turn: the client's place
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_leave(struct rngq_turns *turns, struct rngq_turn *turn)
{
	rngq_turns_withdraw(turns, turn);
	list_del_init(&turn->wake);
	if (!list_empty(&turn->ring)) {
		list_del_init(&turn->ring);
		turns->members--;
	}
}

/* Reserve a share; if the client waits for it, it is to be woken. */
static void grant(struct rngq_turns *turns, struct rngq_turn *turn, u64 bytes,
		  struct list_head *wake)
{
	turn->reserved_bytes += bytes;
	turns->reserved_bytes += bytes;
	if (turn->is_waiting) {
		stop_waiting(turns, turn);
		turn->is_called = true;
		list_move_tail(&turn->wake, wake);
	}
}

/*
 * @share for each member, and the rest for those who wait. The ring turns: the
 * next odd bytes are for those behind the last one who got one.
 */
static void deal_out(struct rngq_turns *turns, u64 share, u64 rest,
		     struct list_head *wake)
{
	struct rngq_turn *turn, *last = NULL;
	u64 odd;
	u64 more = div64_u64_rem(rest, turns->waiting, &odd);

	list_for_each_entry(turn, &turns->ring, ring) {
		u64 bytes = share;

		if (!share && !more && !odd)
			break;
		if (turn->is_waiting) {
			bytes += more;
			if (odd) {
				odd--;
				bytes++;
				last = turn;
			}
		}
		if (bytes) {
			grant(turns, turn, bytes, wake);
			/* What is not of the round stays until the next cut. */
			turn->hold_bytes = share ? bytes / 2 : 0;
		}
	}
	if (last)
		list_move(&turns->ring, &last->ring);
}

/**
 * rngq_turns_deal() - deal out what is free, if somebody waits
 * @turns: the bucket and its ring
 * @now_ns: the time
 * @wake: where those are added who waited and got something
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_deal(struct rngq_turns *turns, u64 now_ns,
		     struct list_head *wake)
{
	u64 share = 0;
	u64 rest;

	refresh(turns, now_ns);
	if (!turns->waiting)
		return;

	rest = free_bytes(turns);
	if (turns->fresh)
		share = div64_u64_rem(rest, turns->members, &rest);
	deal_out(turns, share, rest, wake);
	turns->fresh = false;
	schedule_cut(turns, now_ns);
	/* What was reserved for one can come free for another. */
	if (turns->waiting)
		rngq_bucket_await(&turns->bucket);
}

/**
 * rngq_turns_next_ns() - when to deal next
 * @turns: the bucket and its ring
 *
 * Context: Any; the owner's lock is held.
 * Return: The time: 0 if there is something to deal out, RNGQ_NEVER if nobody
 * waits.
 */
u64 rngq_turns_next_ns(const struct rngq_turns *turns)
{
	if (!turns->waiting)
		return RNGQ_NEVER;
	if (free_bytes(turns))
		return 0;
	return min(turns->bucket.refill_ns, turns->cut_ns);
}

/**
 * rngq_turns_set_quota() - change the bucket's quota
 * @turns: the bucket and its ring
 * @quota: the new quota
 * @now_ns: the time
 *
 * A new round begins: what was reserved goes back, and is dealt out anew to those
 * who wait or had not come for it. Without a limit nobody waits.
 *
 * Context: Any; the owner's lock is held. The owner wakes all clients if there
 * is no limit any more.
 */
void rngq_turns_set_quota(struct rngq_turns *turns,
			  const struct rngq_quota *quota, u64 now_ns)
{
	struct rngq_turn *turn, *next;

	rngq_bucket_set_quota(&turns->bucket, quota, now_ns);
	begin_round(turns);
	if (quota->rate_bytes == RNGQ_MAX) {
		list_for_each_entry_safe(turn, next, &turns->ring, ring)
			rngq_turns_leave(turns, turn);
	}
}
