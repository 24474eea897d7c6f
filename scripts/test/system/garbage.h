/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Garbage: random values, text that is nearly a setting's value or nothing like
 * it, and what the interface says about such text. This side of the interface
 * has its own table of settings and its own parser: it shares nothing with the
 * driver.
 */
#ifndef GARBAGE_H
#define GARBAGE_H

#include <stddef.h>

#include "tap.h"

#define GARBAGE_PAGE	4096	/* sysfs cuts a write here */
#define GARBAGE_ROOM	(2 * GARBAGE_PAGE + 100)

struct garbage {
	u64 state;
};

/* Random numbers from SEED=, or from the clock; says which, to repeat them. */
u64 garbage_seed(void);

/* Those of one of several sources: @stream tells them apart. */
struct garbage garbage_new(u64 seed, u64 stream);

u64 garbage_u64(struct garbage *g);
u64 garbage_below(struct garbage *g, u64 end);
bool garbage_chance(struct garbage *g, unsigned int percent);
void garbage_bytes(struct garbage *g, void *bytes, size_t size);

/* A number of any magnitude, each as likely; and one that is near a power of 2. */
u64 garbage_magnitude(struct garbage *g);
u64 garbage_boundary(struct garbage *g);

enum garbage_setting {
	RATE_BYTES,
	PERIOD_MS,
	BURST_BYTES,
	QUOTA_SETTINGS,		/* those before it, a client has for itself */
	BOOT_BYTES = QUOTA_SETTINGS,
	TOTAL_RATE_BYTES,
	TOTAL_PERIOD_MS,
	TOTAL_BURST_BYTES,
	MAX_CLIENTS,
	MAX_CLIENTS_PER_PROCESS,
	SETTINGS,
};

struct setting {
	const char *param;
	const char *attribute;
	u64 min;
	u64 max;
	bool has_max;		/* "max", which is kept as RNGQ_MAX */
	u64 at_load;
};

extern const struct setting settings[SETTINGS];

/* What the word "default" is kept as. */
#define SETTING_FOLLOWS	(~0ULL - 1)

/*
 * What the interface says about @text for a setting: 0, with its value, or
 * -EINVAL or -ERANGE. @has_default is for clients.
 */
int setting_parse(const struct setting *setting, bool has_default,
		  const char *text, size_t size, u64 *value);

/*
 * The same for a file "quota", whose settings are @first and the two behind it: how
 * many values there are, or what is wrong with the first bad one. "default" is three.
 */
int quota_parse(const struct setting *first, bool has_default,
		const char *text, size_t size, u64 values[QUOTA_SETTINGS]);

/* What reading the setting gives then; @text has room for 24 characters. */
const char *setting_print(u64 value, char *text);

/* Text for a setting, of up to GARBAGE_ROOM bytes: its size. */
size_t garbage_text(struct garbage *g, const struct setting *setting,
		    char *text);

/* Text for such a file "quota". */
size_t garbage_quota_text(struct garbage *g, const struct setting *first, char *text);

/* The same as C would write it, for a comment; of long text, the start. */
const char *garbage_show(const char *text, size_t size);

#endif
