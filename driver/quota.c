// SPDX-License-Identifier: GPL-2.0
/*
 * A quota, and the values that users may write into it.
 */
#include "quota.h"

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

/*
 * 2^40 bytes: far above what a CPU makes in any period one would choose, and
 * small enough that a bucket of rate, burst and boot credit stays far below
 * 2^64. 2^32 - 1 ms are 49 days, and what QEMU and libvirt accept.
 */
static const struct {
	const char *name;
	u64 min;
	u64 max;
	bool takes_max;
} settings[] = {
	[RNGQ_RATE_BYTES]	 = { "rate_bytes",  1, BIT_ULL(40), true },
	[RNGQ_PERIOD_MS]	 = { "period_ms",   1, U32_MAX },
	[RNGQ_BURST_BYTES]	 = { "burst_bytes", 0, BIT_ULL(40) },
	[RNGQ_BOOT_BYTES]	 = { "boot_bytes",  0, BIT_ULL(40) },
	[RNGQ_TOTAL_RATE_BYTES]	 = { "total_rate_bytes",  1, BIT_ULL(40), true },
	[RNGQ_TOTAL_PERIOD_MS]	 = { "total_period_ms",   1, U32_MAX },
	[RNGQ_TOTAL_BURST_BYTES] = { "total_burst_bytes", 0, BIT_ULL(40) },
	[RNGQ_MAX_CLIENTS]	 = { "max_clients", 1, BIT_ULL(20), true },
	[RNGQ_MAX_CLIENTS_PER_PROCESS] = {
		"max_clients_per_process", 1, BIT_ULL(20), true
	},
};

/**
 * rngq_setting_name() - what users call a setting
 * @setting: the setting
 *
 * Context: Any.
 * Return: Its name, as its file in sysfs has it.
 */
const char *rngq_setting_name(enum rngq_setting setting)
{
	return settings[setting].name;
}

/**
 * rngq_setting_parse() - read a value that a user wrote
 * @setting: the setting that it is for
 * @text: decimal as kstrtou64() takes it, or "max" where the setting has it;
 *	one newline may follow
 * @value: where the value goes; unchanged on error
 *
 * Context: Any.
 * Return: 0, -EINVAL if @text is malformed, -ERANGE if the number is outside
 * the setting's range.
 */
int rngq_setting_parse(enum rngq_setting setting, const char *text, u64 *value)
{
	u64 number;
	int err;

	if (settings[setting].takes_max && sysfs_streq(text, "max")) {
		*value = RNGQ_MAX;
		return 0;
	}

	err = kstrtou64(text, 10, &number);
	if (err)
		return err;
	if (number < settings[setting].min || number > settings[setting].max)
		return -ERANGE;

	*value = number;
	return 0;
}

/**
 * rngq_setting_is_whole() - did all of what a user wrote arrive?
 * @text: what a store function got
 * @len: its length
 *
 * sysfs cuts a write at a page, and text that holds a NUL says one thing to a
 * parser and another to whoever wrote it. Neither is what was meant. But a C
 * program may have written the end of its string, too.
 *
 * Context: Any.
 * Return: Whether @text is what the user wrote.
 */
bool rngq_setting_is_whole(const char *text, size_t len)
{
	return len < PAGE_SIZE && strnlen(text, len) + 1 >= len;
}

/**
 * rngq_setting_parse_several() - read values of settings that follow each other
 * @first: the first setting of a quota
 * @text: one value or more, as rngq_setting_parse() takes them, with spaces
 *	between them; one newline may follow
 * @values: where the values go; on error some may have changed
 *
 * Context: Process context, may sleep.
 * Return: How many there were, up to RNGQ_QUOTA_SETTINGS; -EINVAL if @text is
 * malformed, -ERANGE if a number is outside its setting's range, -ENOMEM.
 */
int rngq_setting_parse_several(enum rngq_setting first, const char *text,
			       u64 *values)
{
	char *copy = kstrdup(text, GFP_KERNEL);
	char *value = copy;
	int nr, err = -EINVAL;

	if (!copy)
		return -ENOMEM;
	for (nr = 0; nr < RNGQ_QUOTA_SETTINGS; nr++) {
		char *end = value + strcspn(value, " ");
		bool is_last = !*end;

		*end = '\0';
		/* Only the last one may end with a newline. */
		if (!is_last && strchr(value, '\n'))
			break;
		err = rngq_setting_parse(first + nr, value, &values[nr]);
		if (err || is_last)
			break;
		err = -EINVAL;
		value = end + 1 + strspn(end + 1, " ");
	}
	kfree(copy);
	return err ? err : nr + 1;
}

/**
 * rngq_setting_emit() - print a value as a user would write it
 * @page: a buffer of PAGE_SIZE, aligned to it
 * @value: a number, or RNGQ_MAX
 *
 * Context: Any.
 * Return: Number of characters printed.
 */
int rngq_setting_emit(char *page, u64 value)
{
	if (value == RNGQ_MAX)
		return sysfs_emit(page, "max\n");
	return sysfs_emit(page, "%llu\n", value);
}

/**
 * rngq_quota_emit() - print a quota as a user would write it
 * @page: a buffer of PAGE_SIZE, aligned to it
 * @quota: the quota
 *
 * Context: Any.
 * Return: Number of characters printed.
 */
int rngq_quota_emit(char *page, const struct rngq_quota *quota)
{
	int len;

	if (quota->rate_bytes == RNGQ_MAX)
		len = sysfs_emit(page, "max");
	else
		len = sysfs_emit(page, "%llu", quota->rate_bytes);
	return len + sysfs_emit_at(page, len, " %llu %llu\n",
				   quota->period_ms, quota->burst_bytes);
}

/**
 * rngq_quota_value() - find a setting in a quota
 * @quota: the quota
 * @setting: one of its settings (below RNGQ_QUOTA_SETTINGS)
 *
 * Context: Any; whatever guards @quota guards the value.
 * Return: Where @quota keeps the setting's value; NULL if it has none.
 */
u64 *rngq_quota_value(struct rngq_quota *quota, enum rngq_setting setting)
{
	switch (setting) {
	case RNGQ_RATE_BYTES:
		return &quota->rate_bytes;
	case RNGQ_PERIOD_MS:
		return &quota->period_ms;
	case RNGQ_BURST_BYTES:
		return &quota->burst_bytes;
	default:
		return NULL;
	}
}
