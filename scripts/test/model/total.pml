/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who calls the driver, and when: readers, pollers, the work item, the timers, root,
 * a signal and the clock, in every order. What they call is the driver itself
 * (model.c), a step at a time.
 *
 * check-model.sh tells with -D which files there are, and in threads.h which of
 * these processes.
 */
#ifndef WAITS
#define WAITS	2
#endif

c_decl {
	\#include "model.h"
	extern unsigned char __start_model[];
	extern char model_stacks[];
	extern void (*uerror)(char *);
	extern int readtrail;

	static void check(void)
	{
		if (model_broken)
			uerror((char *)model_broken);
	}

	static void begin(int thread, enum model_call call, int file, int arg)
	{
		model_begin(thread, call, file, arg);
		check();
	}

	static void go_on(int thread)
	{
		model_run(thread);
		check();
	}
}

c_track "__start_model" "MODEL_BYTES" "UnMatched"
c_track "model_stacks" "MAX_THREADS * STACK_BYTES" "UnMatched"
c_track "model_digest" "16" "Matched"

/* A call of the driver from its begin to its end; others may come in between. */
#define CALL(me, what, file, arg)					\
	c_code { begin(me->_pid, what, file, arg); };			\
	GO_ON(me)
#define GO_ON(me)							\
	do								\
	:: atomic {							\
		c_expr { model_may_run (me->_pid) };			\
		c_code { go_on(me->_pid); };				\
		if							\
		:: c_expr { model_has_returned (me->_pid) } -> break	\
		:: else							\
		fi							\
	   }								\
	od
#define WANTS_MORE(me) c_expr { model_delivered (me->_pid) < me->wants }
#define LEFT(me)	(me->wants - model_delivered (me->_pid))

#define RESULT(me) model_result (me->_pid)

/* Those who have closed, and will open again */
byte to_open;

/* At any time, now or some periods later. */
#define WAIT(me)							\
	select (periods : 0 .. WAITS);					\
	c_code { model_await(me->periods); };				\
	atomic {							\
		c_expr { me->periods <= model_periods () };		\
		periods = 0						\
	}

/* Blocking reads of 1 byte or of all that it wants, until it has got that. */
proctype reader(byte file, wants)
{
	do
	:: WANTS_MORE(Preader) ->
		if
		:: CALL(Preader, CALL_READ, Preader->file, 1)
		:: c_expr { LEFT(Preader) > 1 } ->
			CALL(Preader, CALL_READ, Preader->file, LEFT(Preader))
		fi
	:: else -> break
	od;
	CALL(Preader, CALL_CLOSE, Preader->file, 0)
}

/* It has a bad address or a page fault now and then: what it took goes back. */
proctype faulty(byte file, wants, faults)
{
	byte periods;

	do
	:: WANTS_MORE(Pfaulty) ->
		if
		:: CALL(Pfaulty, CALL_READ, Pfaulty->file, LEFT(Pfaulty))
		:: faults > 0 -> faults--;
			WAIT(Pfaulty);
			CALL(Pfaulty, CALL_READ_BAD, Pfaulty->file, LEFT(Pfaulty));
			WAIT(Pfaulty)
		:: faults > 0 -> faults--;
			CALL(Pfaulty, CALL_READ_ABSENT, Pfaulty->file, LEFT(Pfaulty))
		fi
	:: else -> break
	od;
	CALL(Pfaulty, CALL_CLOSE, Pfaulty->file, 0)
}

/* It gives up when it gets a signal, and closes some time later. */
proctype mortal(byte file, wants)
{
	byte periods;

	do
	:: WANTS_MORE(Pmortal) ->
		CALL(Pmortal, CALL_READ, Pmortal->file, LEFT(Pmortal));
		if
		:: c_expr { RESULT(Pmortal) < 0 } -> break
		:: else
		fi
	:: else -> break
	od;
	WAIT(Pmortal);
	CALL(Pmortal, CALL_CLOSE, Pmortal->file, 0)
}

proctype killer(byte victim)
{
	byte periods;

	WAIT(Pkiller);
	c_code { model_signal(Pkiller->victim); }
}

/* poll(2), and then a read that doesn't wait. */
proctype poller(byte file, wants)
{
	do
	:: WANTS_MORE(Ppoller) ->
		CALL(Ppoller, CALL_POLL, Ppoller->file, 0);
		CALL(Ppoller, CALL_READ_NOWAIT, Ppoller->file, 1)
	:: else -> break
	od;
	CALL(Ppoller, CALL_CLOSE, Ppoller->file, 0)
}

/* It takes a byte, and is a member then. Its next read has a bad address. */
proctype faulty_poller(byte file)
{
	CALL(Pfaulty_poller, CALL_READ, Pfaulty_poller->file, 1);
	CALL(Pfaulty_poller, CALL_POLL, Pfaulty_poller->file, 0);
	CALL(Pfaulty_poller, CALL_READ_BAD, Pfaulty_poller->file, 1);
	CALL(Pfaulty_poller, CALL_POLL, Pfaulty_poller->file, 0);
	CALL(Pfaulty_poller, CALL_READ_NOWAIT, Pfaulty_poller->file, 1);
	CALL(Pfaulty_poller, CALL_CLOSE, Pfaulty_poller->file, 0)
}

/* poll(2) until a signal comes, whatever there is to read. */
proctype watcher(byte file)
{
	do
	:: CALL(Pwatcher, CALL_POLL, Pwatcher->file, 0);
		if
		:: c_expr { RESULT(Pwatcher) == 0 } -> break
		:: else -> CALL(Pwatcher, CALL_READ_NOWAIT, Pwatcher->file, 9)
		fi
	od;
	CALL(Pwatcher, CALL_CLOSE, Pwatcher->file, 0)
}

/* poll(2) again and again, without taking anything; it reads once, too late perhaps. */
proctype idler(byte file, polls)
{
	byte periods;

	do
	:: polls > 0 -> polls--;
		WAIT(Pidler);
		CALL(Pidler, CALL_POLL, Pidler->file, 0)
	:: else -> break
	od;
	WAIT(Pidler);
	CALL(Pidler, CALL_READ_NOWAIT, Pidler->file, 9);
	CALL(Pidler, CALL_CLOSE, Pidler->file, 0)
}

/* The same, but it has taken a byte before: it is no newcomer, and leaves its share. */
proctype lapser(byte file, polls)
{
	byte periods;

	CALL(Plapser, CALL_READ, Plapser->file, 1);
	do
	:: polls > 0 -> polls--;
		WAIT(Plapser);
		CALL(Plapser, CALL_POLL, Plapser->file, 0)
	:: else -> break
	od;
	WAIT(Plapser);
	CALL(Plapser, CALL_READ_NOWAIT, Plapser->file, 9);
	CALL(Plapser, CALL_CLOSE, Plapser->file, 0)
}

/* Like an idler, but it looks for a moment only. */
proctype asker(byte file, polls)
{
	byte periods;

	do
	:: polls > 0 -> polls--;
		WAIT(Pasker);
		CALL(Pasker, CALL_POLL_NOWAIT, Pasker->file, 0)
	:: else -> break
	od;
	WAIT(Pasker);
	CALL(Pasker, CALL_READ_NOWAIT, Pasker->file, 9);
	CALL(Pasker, CALL_CLOSE, Pasker->file, 0)
}

/* It reads a byte at any time, and does not wait for it. */
proctype sipper(byte file, sips)
{
	byte periods;

	do
	:: sips > 0 -> sips--;
		WAIT(Psipper);
		CALL(Psipper, CALL_READ_NOWAIT, Psipper->file, 1)
	:: else -> break
	od;
	CALL(Psipper, CALL_CLOSE, Psipper->file, 0)
}

/* Like a reader, but in no hurry: so it is modest. */
proctype idle_reader(byte file, wants)
{
	byte periods;

	do
	:: WANTS_MORE(Pidle_reader) ->
		WAIT(Pidle_reader);
		if
		:: CALL(Pidle_reader, CALL_READ, Pidle_reader->file, 1)
		:: CALL(Pidle_reader, CALL_READ, Pidle_reader->file,
			LEFT(Pidle_reader))
		fi
	:: else -> break
	od;
	CALL(Pidle_reader, CALL_CLOSE, Pidle_reader->file, 0)
}

/* It takes something, is called for more, and closes at any time without that. */
proctype leaver(byte file)
{
	byte periods;

	CALL(Pleaver, CALL_READ, Pleaver->file, 9);
	CALL(Pleaver, CALL_POLL, Pleaver->file, 0);
	WAIT(Pleaver);
	CALL(Pleaver, CALL_CLOSE, Pleaver->file, 0)
}

/* It closes and opens again after each read: it is the same one as before. */
proctype reopener(byte file, wants, opens)
{
	byte periods;

	do
	:: opens > 0 -> opens--;
		CALL(Preopener, CALL_READ, Preopener->file, Preopener->wants);
		WAIT(Preopener);
		to_open++;
		CALL(Preopener, CALL_CLOSE, Preopener->file, 0);
		CALL(Preopener, CALL_OPEN, Preopener->file, 0);
		to_open--
	:: else -> break
	od;
	CALL(Preopener, CALL_READ, Preopener->file, Preopener->wants);
	CALL(Preopener, CALL_CLOSE, Preopener->file, 0)
}

/* It comes back after some periods, and wants the same again. */
proctype returner(byte file, wants, times)
{
	byte periods;

	do
	:: times > 0 -> times--;
		CALL(Preturner, CALL_READ, Preturner->file, Preturner->wants);
		WAIT(Preturner)
	:: else -> break
	od;
	CALL(Preturner, CALL_CLOSE, Preturner->file, 0)
}

/* poll(2) for no events, until a signal comes. */
proctype bystander(byte file)
{
	CALL(Pbystander, CALL_POLL_NOTHING, Pbystander->file, 0);
	CALL(Pbystander, CALL_CLOSE, Pbystander->file, 0)
}

/*
 * Edge-triggered epoll, and after each edge one read: it either comes back short
 * or takes all that there can be.
 */
proctype edger(byte file, wants, asks)
{
	CALL(Pedger, CALL_EPOLL_ADD, Pedger->file, 0);
	do
	:: WANTS_MORE(Pedger) ->
		CALL(Pedger, CALL_EPOLL_WAIT, Pedger->file, 0);
		CALL(Pedger, CALL_READ_NOWAIT, Pedger->file, Pedger->asks)
	:: else -> break
	od;
	CALL(Pedger, CALL_CLOSE, Pedger->file, 0)
}

/* It polls once, does not come when it is called, and closes at any time. */
proctype passer_by(byte file)
{
	byte periods;

	CALL(Ppasser_by, CALL_POLL_NOWAIT, Ppasser_by->file, 0);
	WAIT(Ppasser_by);
	CALL(Ppasser_by, CALL_CLOSE, Ppasser_by->file, 0)
}

/* Root changes total/ at any time: to max (0) or a limit. */
proctype root(byte first, second)
{
	byte periods;

	WAIT(Proot);
	CALL(Proot, CALL_SET_TOTAL, 0, Proot->first);
	WAIT(Proot);
	CALL(Proot, CALL_SET_TOTAL, 0, Proot->second)
}

/* What the workqueue runs. */
proctype worker()
{
end:	do
	:: atomic {
		c_expr { model_work_is_due () };
		c_code { begin(Pworker->_pid, CALL_WORK, 0, 0); }
	   };
	   GO_ON(Pworker)
	od
}

/* The host's timer only queues work. */
proctype deal_timer()
{
end:	do
	:: atomic {
		c_expr { model_timer_is_due (MAX_FILES) };
		c_code { begin(Pdeal_timer->_pid, CALL_TIMER, MAX_FILES, 0); }
	   }
	od
}

/* A client's timer, which may be late and run while others do anything. */
proctype timer(byte file)
{
end:	do
	:: atomic {
		c_expr { model_timer_is_due (Ptimer->file) };
		c_code { begin(Ptimer->_pid, CALL_TIMER, Ptimer->file, 0); }
	   };
	   GO_ON(Ptimer)
	od
}

/* Time passes when nobody has anything to do, and now and then earlier. */
proctype clock()
{
	byte early;

#if EARLY > 0
	select (early : 0 .. EARLY);
#endif
end:	do
	:: atomic {
		timeout && c_expr { model_clock_can_go_on (0) };
		c_code { model_clock_goes_on(0); check(); }
	   }
	:: atomic {
		early > 0 && c_expr { model_clock_can_go_on (1) };
		c_code { model_clock_goes_on(1); check(); };
		early--
	   }
	od
}

init
{
	c_code {
		model_tells = readtrail;
		model_init(MODEL_BYTES);
	};
	do
	:: c_expr { model_opened () < FILES } ->
		CALL(Pinit, CALL_OPEN, model_opened(), 0)
	:: else -> break
	od;
	atomic {
		run worker();
		run deal_timer();
		run clock();
#if OWN_FILES > 0
		run timer(0);
#endif
#if OWN_FILES > 1
		run timer(1);
#endif
#include "threads.h"
	};
	atomic {
		to_open == 0 && c_expr { model_is_over () };
		c_code { model_check_end(); check(); }
	}
}
