// SPDX-License-Identifier: GPL-2.0
/*
 * Turns: who gets what of a bucket that is too small for all. The rules are
 * told in turns.h.
 */
#include "turns.h"

#include <linux/math64.h>
#include <linux/minmax.h>

/*
 * How often the share is raised because somebody wants less. Each time there
 * is less to spread; what is left goes to whoever asks next.
 */
#define MAX_RAISES	8

static u64 free_bytes(const struct rngq_turns *turns)
{
	return turns->bucket.level_bytes - turns->reserved_bytes;
}

static void stop_waiting(struct rngq_turns *turns, struct rngq_turn *turn)
{
	if (!turn->want_bytes)
		return;
	turn->want_bytes = 0;
	turns->waiting--;
}

static void reserve(struct rngq_turns *turns, struct rngq_turn *turn,
		    u64 bytes, u64 now_ns)
{
	turn->reserved_bytes += bytes;
	turns->reserved_bytes += bytes;
	turn->dealt_ns = now_ns;
	list_move_tail(&turn->held, &turns->held);
}

static void unreserve(struct rngq_turns *turns, struct rngq_turn *turn,
		      u64 bytes)
{
	turn->reserved_bytes -= bytes;
	turns->reserved_bytes -= bytes;
	if (!turn->reserved_bytes)
		list_del_init(&turn->held);
}

/* When a share is to be taken back, if somebody waits by then. */
static u64 forfeit_ns(const struct rngq_turns *turns,
		      const struct rngq_turn *turn)
{
	return turn->dealt_ns + rngq_turns_hold_ns(turns);
}

/* Take back the shares that nobody has come for. */
static void reclaim(struct rngq_turns *turns, u64 now_ns)
{
	struct rngq_turn *turn, *next;

	list_for_each_entry_safe(turn, next, &turns->held, held) {
		if (now_ns < forfeit_ns(turns, turn))
			break;
		unreserve(turns, turn, turn->reserved_bytes);
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
	rngq_bucket_init(&turns->bucket, quota, 0);
	INIT_LIST_HEAD(&turns->ring);
	INIT_LIST_HEAD(&turns->held);
	turns->waiting = 0;
	turns->reserved_bytes = 0;
}

/**
 * rngq_turn_init() - make a place for a client, outside the ring
 * @turn: the place
 *
 * Context: Any; nobody else knows it yet.
 */
void rngq_turn_init(struct rngq_turn *turn)
{
	*turn = (struct rngq_turn){};
	INIT_LIST_HEAD(&turn->ring);
	INIT_LIST_HEAD(&turn->held);
	INIT_LIST_HEAD(&turn->wake);
}

/**
 * rngq_turns_available() - what a client could take
 * @turns: the bucket and its ring
 * @turn: the client's place
 * @now_ns: the time
 *
 * Context: Any; the owner's lock is held.
 * Return: Bytes: its share and, if nobody else waits, what is free; RNGQ_MAX if
 * there is no limit.
 */
u64 rngq_turns_available(struct rngq_turns *turns,
			 const struct rngq_turn *turn, u64 now_ns)
{
	u64 others = turns->waiting - (turn->want_bytes ? 1 : 0);

	if (turns->bucket.rate_bytes == RNGQ_MAX)
		return RNGQ_MAX;
	/* What comes free is dealt out to them first, if a little later. */
	if (others)
		return turn->reserved_bytes;
	reclaim(turns, now_ns);
	rngq_bucket_refill(&turns->bucket, now_ns);
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

	bytes = rngq_bucket_take(&turns->bucket, bytes, now_ns, draw);
	unreserve(turns, turn, min(bytes, turn->reserved_bytes));
	if (bytes)
		stop_waiting(turns, turn);
	return bytes;
}

/**
 * rngq_turns_give_back() - return bytes that were taken and not delivered
 * @turns: the bucket and its ring
 * @draw: where they came from
 * @bytes: how many
 *
 * They are free then, not reserved.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_give_back(struct rngq_turns *turns,
			  const struct rngq_draw *draw, u64 bytes)
{
	rngq_bucket_give_back(&turns->bucket, draw, bytes);
}

/**
 * rngq_turns_hold_ns() - how long a share is held for its client
 * @turns: the bucket and its ring
 *
 * Long enough for a client whose own periods are shorter to fetch it bit by
 * bit, and it leaves others a quarter of the period before the next refill.
 *
 * Context: Any; the owner's lock is held.
 * Return: Nanoseconds.
 */
u64 rngq_turns_hold_ns(const struct rngq_turns *turns)
{
	return turns->bucket.period_ns - turns->bucket.period_ns / 4;
}

/**
 * rngq_turns_wait() - get in line
 * @turns: the bucket and its ring
 * @turn: the client's place, for which nothing is available
 * @want_bytes: how much it could use until rngq_turns_hold_ns() later, at
 *	least 1
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_wait(struct rngq_turns *turns, struct rngq_turn *turn,
		     u64 want_bytes)
{
	if (!turn->want_bytes)
		turns->waiting++;
	turn->want_bytes = want_bytes;
	if (list_empty(&turn->ring))
		list_add_tail(&turn->ring, &turns->ring);
	rngq_bucket_await(&turns->bucket);
}

/**
 * rngq_turns_withdraw() - stop waiting and give the share up, not the place
 * @turns: the bucket and its ring
 * @turn: the client's place
 *
 * Who waits again before a round comes past has lost nothing: a reader that is
 * interrupted again and again gets on like the others.
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
	list_del_init(&turn->ring);
	list_del_init(&turn->wake);
}

/*
 * The most that each who waits can have, if nobody gets more than it wants;
 * and in @spare what is left over then: one byte for each of the first.
 */
static u64 fair_share(const struct rngq_turns *turns, u64 *spare)
{
	u64 share = div64_u64_rem(free_bytes(turns), turns->waiting, spare);
	const struct rngq_turn *turn;
	u64 content = 0;
	int i;

	for (i = 0; share && i < MAX_RAISES; i++) {
		u64 bytes = free_bytes(turns);
		u64 wanting = turns->waiting;

		list_for_each_entry(turn, &turns->ring, ring) {
			if (turn->want_bytes && turn->want_bytes <= share) {
				bytes -= turn->want_bytes;
				wanting--;
			}
		}
		if (turns->waiting - wanting == content)
			break;
		content = turns->waiting - wanting;
		*spare = 0;
		if (!wanting)
			break;
		share = div64_u64_rem(bytes, wanting, spare);
	}
	return share;
}

/**
 * rngq_turns_deal() - deal out what is free to those who wait
 * @turns: the bucket and its ring
 * @now_ns: the time
 * @wake: where those are added who got something
 *
 * Those at whom a round comes past and who neither wait nor have a share lose
 * their place.
 *
 * Context: Any; the owner's lock is held.
 */
void rngq_turns_deal(struct rngq_turns *turns, u64 now_ns,
		     struct list_head *wake)
{
	struct rngq_turn *turn, *next, *last = NULL;
	u64 share, spare;

	rngq_bucket_refill(&turns->bucket, now_ns);
	reclaim(turns, now_ns);
	if (!turns->waiting)
		return;

	share = fair_share(turns, &spare);
	list_for_each_entry_safe(turn, next, &turns->ring, ring) {
		u64 bytes = min(share, turn->want_bytes);

		if (!share && !spare)
			break;
		if (spare && turn->want_bytes > share) {
			spare--;
			bytes++;
			last = turn;
		}
		if (bytes) {
			reserve(turns, turn, bytes, now_ns);
			stop_waiting(turns, turn);
			list_move_tail(&turn->wake, wake);
		} else if (!turn->reserved_bytes) {
			list_del_init(&turn->ring);
		}
	}
	/* The ring turns: the next spare bytes are for those behind @last. */
	if (last)
		list_move(&turns->ring, &last->ring);
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
	const struct rngq_turn *oldest;

	if (!turns->waiting)
		return RNGQ_NEVER;
	if (free_bytes(turns))
		return 0;
	if (list_empty(&turns->held))
		return turns->bucket.refill_ns;
	oldest = list_first_entry(&turns->held, struct rngq_turn, held);
	return min(turns->bucket.refill_ns, forfeit_ns(turns, oldest));
}

/**
 * rngq_turns_set_quota() - change the bucket's quota
 * @turns: the bucket and its ring
 * @quota: the new quota
 * @now_ns: the time
 *
 * If the bucket no longer holds the shares, all go back: those who had one
 * have been woken, and take what there is or get in line again. Without a
 * limit nobody has to wait.
 *
 * Context: Any; the owner's lock is held. The owner wakes all clients if there
 * is no limit any more.
 */
void rngq_turns_set_quota(struct rngq_turns *turns,
			  const struct rngq_quota *quota, u64 now_ns)
{
	struct rngq_turn *turn, *next;

	rngq_bucket_set_quota(&turns->bucket, quota, now_ns);
	if (quota->rate_bytes == RNGQ_MAX) {
		list_for_each_entry_safe(turn, next, &turns->ring, ring)
			rngq_turns_leave(turns, turn);
	} else if (turns->reserved_bytes > turns->bucket.level_bytes) {
		list_for_each_entry_safe(turn, next, &turns->held, held)
			unreserve(turns, turn, turn->reserved_bytes);
	}
}
