// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "garbage.h"
#include "rngq.h"

/* Of a quota's values, the longest. */
#define MAX_VALUE	40

/* The tables "/sys/class/misc/rngquota/" and the parameters, from the interface. */
const struct setting settings[SETTINGS] = {
	[RATE_BYTES] = { "rate_bytes", "default/rate_bytes",
			 1, 1ULL << 40, true, 1024 },
	[PERIOD_MS] = { "period_ms", "default/period_ms",
			1, (1ULL << 32) - 1, false, 1000 },
	[BURST_BYTES] = { "burst_bytes", "default/burst_bytes",
			  0, 1ULL << 40, false, 0 },
	[BOOT_BYTES] = { "boot_bytes", "default/boot_bytes",
			 0, 1ULL << 40, false, 0 },
	[TOTAL_RATE_BYTES] = { "total_rate_bytes", "total/rate_bytes",
			       1, 1ULL << 40, true, RNGQ_MAX },
	[TOTAL_PERIOD_MS] = { "total_period_ms", "total/period_ms",
			      1, (1ULL << 32) - 1, false, 1000 },
	[TOTAL_BURST_BYTES] = { "total_burst_bytes", "total/burst_bytes",
				0, 1ULL << 40, false, 0 },
	[MAX_CLIENTS] = { "max_clients", "limits/max_clients",
			  1, 1ULL << 20, true, 16384 },
	[MAX_CLIENTS_PER_PROCESS] = { "max_clients_per_process",
				      "limits/max_clients_per_process",
				      1, 1ULL << 20, true, 8 },
};

u64 garbage_seed(void)
{
	const char *text = getenv("SEED");
	u64 seed = text ? strtoull(text, NULL, 0) : rngq_now_ns() % 1000000000;

	diag("SEED=%llu repeats this", seed);
	return seed;
}

/* SplitMix64: any state is as good as another. */
u64 garbage_u64(struct garbage *g)
{
	u64 z = g->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

struct garbage garbage_new(u64 seed, u64 stream)
{
	struct garbage g = { .state = seed };

	g.state = garbage_u64(&g) + stream;
	g.state = garbage_u64(&g);
	return g;
}

u64 garbage_below(struct garbage *g, u64 end)
{
	return garbage_u64(g) % end;
}

bool garbage_chance(struct garbage *g, unsigned int percent)
{
	return garbage_below(g, 100) < percent;
}

void garbage_bytes(struct garbage *g, void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)bytes)[i] = garbage_u64(g);
}

u64 garbage_magnitude(struct garbage *g)
{
	return garbage_u64(g) >> garbage_below(g, 64);
}

u64 garbage_boundary(struct garbage *g)
{
	return (1ULL << garbage_below(g, 64)) + garbage_below(g, 5) - 2;
}

/*
 * "decimal as kstrtou64() takes it": digits, a plus before them and a newline
 * behind; what doesn't fit 64 bits is out of range, whatever follows it.
 */
int setting_parse(const struct setting *setting, bool has_default,
		  const char *text, size_t size, u64 *value)
{
	size_t at = 0, digits = 0;
	__uint128_t number = 0;

	/* That of a C string. */
	if (size && !text[size - 1])
		size--;
	if (memchr(text, '\0', size))
		return -EINVAL;
	if (setting->has_max &&
	    (size == 3 || (size == 4 && text[3] == '\n')) &&
	    !memcmp(text, "max", 3)) {
		*value = RNGQ_MAX;
		return 0;
	}
	if (has_default && (size == 7 || (size == 8 && text[7] == '\n')) &&
	    !memcmp(text, "default", 7)) {
		*value = SETTING_FOLLOWS;
		return 0;
	}

	if (at < size && text[at] == '+')
		at++;
	for (; at < size && text[at] >= '0' && text[at] <= '9'; at++, digits++)
		if (number <= ~0ULL)
			number = 10 * number + text[at] - '0';
	if (number > ~0ULL)
		return -ERANGE;
	if (at < size && text[at] == '\n')
		at++;
	if (!digits || at < size)
		return -EINVAL;
	if (number < setting->min || number > setting->max)
		return -ERANGE;
	*value = number;
	return 0;
}

int quota_parse(const struct setting *first, bool has_default,
		const char *text, size_t size, u64 values[QUOTA_SETTINGS])
{
	size_t at = 0;
	int count = 0;

	if (size && !text[size - 1])
		size--;
	if (memchr(text, '\0', size))
		return -EINVAL;
	if (has_default && !setting_parse(first, true, text, size, values) &&
	    values[0] == SETTING_FOLLOWS) {
		values[1] = SETTING_FOLLOWS;
		values[2] = SETTING_FOLLOWS;
		return QUOTA_SETTINGS;
	}
	do {
		const char *space = memchr(text + at, ' ', size - at);
		size_t end = space ? (size_t)(space - text) : size;
		int err;

		if (count == QUOTA_SETTINGS || (space && memchr(text + at, '\n', end - at)))
			return -EINVAL;
		err = setting_parse(&first[count], false, text + at, end - at, &values[count]);
		if (err)
			return err;
		count++;
		at = end;
		while (at < size && text[at] == ' ')
			at++;
		/* A space at the end is between nothing. */
		if (space && at == size)
			return -EINVAL;
	} while (at < size);
	return count;
}

const char *setting_print(u64 value, char *text)
{
	if (value == RNGQ_MAX)
		strcpy(text, "max\n");
	else
		sprintf(text, "%llu\n", value);
	return text;
}

static size_t print_decimal(char *text, __uint128_t number)
{
	char digits[40];
	size_t count = 0, size = 0;

	do {
		digits[count++] = '0' + number % 10;
		number /= 10;
	} while (number);
	while (count)
		text[size++] = digits[--count];
	return size;
}

/* A number where something may change: at the ends of ranges and of types. */
static size_t boundary_number(struct garbage *g, const struct setting *setting,
			      char *text)
{
	const __uint128_t ends[] = {
		0, 9, 99, 1ULL << 20, 1ULL << 31, 1ULL << 32, 1ULL << 40,
		1ULL << 63, (__uint128_t)1 << 64, ((__uint128_t)1 << 64) + setting->min,
		((__uint128_t)1 << 64) + setting->max, setting->min, setting->max,
		(__uint128_t)1 << 96,
	};
	__uint128_t number = ends[garbage_below(g, ARRAY_SIZE(ends))];
	u64 away = garbage_below(g, 3);

	if (garbage_chance(g, 50))
		number += away;
	else
		number -= number < away ? number : away;
	return print_decimal(text, number);
}

static size_t valid_value(struct garbage *g, const struct setting *setting,
			  char *text)
{
	u64 number = setting->min + garbage_magnitude(g) % (setting->max - setting->min + 1);

	if (setting->has_max && garbage_chance(g, 20)) {
		memcpy(text, "max", 3);
		return 3;
	}
	return print_decimal(text, number);
}

static size_t word(struct garbage *g, char *text)
{
	static const char *const words[] = {
		"max", "max", "default", "default", "default", "maxx", "ma",
		"Max", "MAX", "maxdefault", "defa", "defaults", "Default", "none",
		"inf", "nan", "-", "+", "true", "rate_bytes", "0x", "0b1", "1e3",
		"1k", "1.0", "1,5", "0x10", "ff", "\xef\xbc\x95", "\xd9\xa5", "%s%n",
		"../../..", "\"5\"", "$(id)",
	};
	const char *chosen = words[garbage_below(g, ARRAY_SIZE(words))];

	return strlen(strcpy(text, chosen));
}

struct piece {
	const char *text;
	size_t size;
};

#define PIECE(text)	{ text, sizeof(text) - 1 }

static size_t insert_piece(struct garbage *g, char *text, size_t size, size_t at)
{
	static const struct piece pieces[] = {
		PIECE("\n"), PIECE("\n"), PIECE("\n\n"), PIECE("\r\n"), PIECE(" "),
		PIECE("\t"), PIECE("\v"), PIECE("\0"), PIECE("\0\n"), PIECE("\n\0"),
		PIECE("+"), PIECE("-"), PIECE("++"), PIECE("0"), PIECE("00000000"),
		PIECE("0x"), PIECE("."), PIECE(".0"), PIECE("e1"), PIECE("k"),
		PIECE("_"), PIECE("max"), PIECE("\n5"), PIECE("\xc2\xa0"),
		PIECE("\377"), PIECE("\xef\xbb\xbf"),
	};
	const struct piece *piece = &pieces[garbage_below(g, ARRAY_SIZE(pieces))];

	memmove(text + at + piece->size, text + at, size - at);
	memcpy(text + at, piece->text, piece->size);
	return size + piece->size;
}

/* Before, behind, inside; or a bit is flipped, or a byte is lost. */
static size_t spoil(struct garbage *g, char *text, size_t size)
{
	size_t at = size ? garbage_below(g, size) : 0;

	switch (garbage_below(g, 10)) {
	case 0 ... 4:
		return insert_piece(g, text, size, size);
	case 5 ... 6:
		return insert_piece(g, text, size, 0);
	case 7:
		return insert_piece(g, text, size, at);
	case 8:
		if (size)
			text[at] ^= 1 << garbage_below(g, 8);
		return size;
	default:
		if (!size)
			return 0;
		memmove(text + at, text + at + 1, size - at - 1);
		return size - 1;
	}
}

/* A value behind so many zeros, or blanks, that it is about as long as a page. */
static size_t long_text(struct garbage *g, const struct setting *setting,
			char *text)
{
	static const char fills[] = "000009\n \0x";
	size_t pages = 1 + garbage_below(g, 2);
	size_t fill = pages * GARBAGE_PAGE - garbage_below(g, 40);

	memset(text, fills[garbage_below(g, sizeof(fills) - 1)], fill);
	return fill + valid_value(g, setting, text + fill);
}

size_t garbage_text(struct garbage *g, const struct setting *setting, char *text)
{
	size_t size;

	switch (garbage_below(g, 100)) {
	case 0 ... 9:
		size = garbage_below(g, 24);
		garbage_bytes(g, text, size);
		return size;
	case 10:
		size = garbage_below(g, GARBAGE_ROOM);
		garbage_bytes(g, text, size);
		return size;
	case 11 ... 12:
		size = long_text(g, setting, text);
		break;
	case 13 ... 15:
		size = print_decimal(text, (__uint128_t)garbage_u64(g) << 64 | garbage_u64(g));
		break;
	case 16 ... 35:
		size = boundary_number(g, setting, text);
		break;
	case 36 ... 50:
		size = word(g, text);
		break;
	default:
		size = valid_value(g, setting, text);
		break;
	}
	for (int i = 0; i < 8 && garbage_chance(g, 40); i++)
		size = spoil(g, text, size);
	return size;
}

size_t garbage_quota_text(struct garbage *g, const struct setting *first, char *text)
{
	unsigned int count = 1 + garbage_below(g, garbage_chance(g, 10) ? 5 : 3);
	size_t size = 0;

	for (unsigned int i = 0; i < count; i++) {
		char value[GARBAGE_ROOM];
		size_t len;

		/* Most are good, else hardly ever all would be. */
		if (garbage_chance(g, 70))
			len = valid_value(g, &first[i % QUOTA_SETTINGS], value);
		else
			len = garbage_text(g, &first[i % QUOTA_SETTINGS], value);
		if (len > MAX_VALUE)
			len = MAX_VALUE;
		for (unsigned int spaces = garbage_below(g, 8) ? 1 : 2; i && spaces; spaces--)
			text[size++] = ' ';
		memcpy(text + size, value, len);
		size += len;
	}
	if (garbage_chance(g, 30))
		text[size++] = '\n';
	if (garbage_chance(g, 10))
		text[size++] = '\0';
	return size;
}

const char *garbage_show(const char *text, size_t size)
{
	static char shown[4 * 60 + 20];
	size_t out = 0, end = size < 60 ? size : 60;

	for (size_t i = 0; i < end; i++)
		out += sprintf(shown + out, text[i] > ' ' && text[i] <= '~' ? "%c" : "\\%03o",
			       (unsigned char)text[i]);
	sprintf(shown + out, end < size ? "... (%zu bytes)" : "", size);
	return shown;
}
