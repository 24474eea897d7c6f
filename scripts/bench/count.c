// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "count.h"
#include "rngq.h"

int compare_u64(const void *a, const void *b)
{
	const u64 *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool do_nothing(void *argument)
{
	(void)argument;
	return true;
}

struct count count_calls(count_call call, void *argument, size_t warm_up,
			 size_t calls)
{
	/* Called just as the call is, however clever the compiler. */
	volatile count_call nothing = do_nothing, something = call;
	u64 *each = calloc(calls, sizeof(*each)), sum = 0;
	struct count count;

	if (!each)
		bail_out("there is memory for %zu numbers", calls);
	for (size_t i = 0; i < warm_up; i++)
		if (!call(argument))
			bail_out("a call does what it should");
	for (size_t i = 0; i < calls; i++) {
		u64 start = __rdtsc(), between, end;
		bool done;

		nothing(argument);
		between = __rdtsc();
		done = something(argument);
		end = __rdtsc();
		if (!done)
			bail_out("a call does what it should");
		/* What calling and looking take is not the call's. */
		each[i] = end - between - (between - start);
		sum += each[i];
	}
	qsort(each, calls, sizeof(*each), compare_u64);
	count.median = each[calls / 2];
	count.mean = (double)sum / calls;
	free(each);
	return count;
}

u64 number_in(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	char line[400], *at = NULL;
	u64 number = 0;

	while (!at && file && fgets(line, sizeof(line), file)) {
		at = strstr(line, name);
		if (at)
			number = strtoull(at + strlen(name) + strspn(at + strlen(name), " :"),
					  NULL, 10);
	}
	if (!at)
		bail_out("there is \"%s\" in %s", name, path);
	fclose(file);
	return number;
}

u64 idle_exactly(void)
{
	return number_in("/proc/timer_list", ".idle_sleeptime");
}

u64 cost_while_asleep(u64 sec, u64 (*idle_ns)(void))
{
	u64 idle_before_ns = idle_ns();
	u64 start_ns = rngq_now_ns(), passed_ns;

	rngq_sleep_ms(sec * 1000);
	passed_ns = rngq_now_ns() - start_ns;
	return passed_ns - (idle_ns() - idle_before_ns);
}
