// SPDX-License-Identifier: GPL-2.0
/*
 * What users may write into each setting, and what comes back.
 */
#include <kunit/test.h>

#include <linux/gfp.h>
#include <linux/mm.h>

#include "../driver/quota.h"

struct parse_case {
	const char *name;
	enum rngq_setting setting;
	const char *text;
	int err;
	u64 value;
};

/* What a setting holds before a text is parsed, and after a bad one. */
#define UNTOUCHED	4711

static const struct parse_case parse_cases[] = {
	{ "rate: least", RNGQ_RATE_BYTES, "1", 0, 1 },
	{ "rate: with newline", RNGQ_RATE_BYTES, "24\n", 0, 24 },
	{ "rate: leading zeros are decimal", RNGQ_RATE_BYTES, "010", 0, 10 },
	{ "rate: plus sign", RNGQ_RATE_BYTES, "+7", 0, 7 },
	{ "rate: most", RNGQ_RATE_BYTES, "1099511627776", 0, 1ULL << 40 },
	{ "rate: max", RNGQ_RATE_BYTES, "max", 0, RNGQ_MAX },
	{ "rate: max with newline", RNGQ_RATE_BYTES, "max\n", 0, RNGQ_MAX },
	{ "rate: 0", RNGQ_RATE_BYTES, "0", -ERANGE },
	{ "rate: one too many", RNGQ_RATE_BYTES, "1099511627777", -ERANGE },
	{ "rate: 2^64 - 1 is not max", RNGQ_RATE_BYTES,
	  "18446744073709551615", -ERANGE },
	{ "rate: 2^64", RNGQ_RATE_BYTES, "18446744073709551616", -ERANGE },
	{ "rate: far too many digits", RNGQ_RATE_BYTES,
	  "111111111111111111111111111111111111111111111111", -ERANGE },
	{ "rate: empty", RNGQ_RATE_BYTES, "", -EINVAL },
	{ "rate: newline alone", RNGQ_RATE_BYTES, "\n", -EINVAL },
	{ "rate: two newlines", RNGQ_RATE_BYTES, "1\n\n", -EINVAL },
	{ "rate: space before", RNGQ_RATE_BYTES, " 1", -EINVAL },
	{ "rate: space after", RNGQ_RATE_BYTES, "1 ", -EINVAL },
	{ "rate: two numbers", RNGQ_RATE_BYTES, "1 2", -EINVAL },
	{ "rate: negative", RNGQ_RATE_BYTES, "-1", -EINVAL },
	{ "rate: hexadecimal", RNGQ_RATE_BYTES, "0x10", -EINVAL },
	{ "rate: fraction", RNGQ_RATE_BYTES, "1.5", -EINVAL },
	{ "rate: suffix", RNGQ_RATE_BYTES, "1K", -EINVAL },
	{ "rate: sign alone", RNGQ_RATE_BYTES, "+", -EINVAL },
	{ "rate: upper case", RNGQ_RATE_BYTES, "MAX", -EINVAL },
	{ "rate: max and more", RNGQ_RATE_BYTES, "maximum", -EINVAL },
	{ "rate: less than max", RNGQ_RATE_BYTES, "ma", -EINVAL },
	{ "rate: default is for clients", RNGQ_RATE_BYTES, "default", -EINVAL },
	{ "rate: not ASCII", RNGQ_RATE_BYTES, "\xef\xbc\x91", -EINVAL },

	{ "period: least", RNGQ_PERIOD_MS, "1", 0, 1 },
	{ "period: most", RNGQ_PERIOD_MS, "4294967295", 0, 4294967295ULL },
	{ "period: 0", RNGQ_PERIOD_MS, "0", -ERANGE },
	{ "period: one too many", RNGQ_PERIOD_MS, "4294967296", -ERANGE },
	{ "period: no max", RNGQ_PERIOD_MS, "max", -EINVAL },
	{ "period: unit", RNGQ_PERIOD_MS, "1s", -EINVAL },

	{ "burst: least", RNGQ_BURST_BYTES, "0", 0, 0 },
	{ "burst: most", RNGQ_BURST_BYTES, "1099511627776", 0, 1ULL << 40 },
	{ "burst: one too many", RNGQ_BURST_BYTES, "1099511627777", -ERANGE },
	{ "burst: no max", RNGQ_BURST_BYTES, "max", -EINVAL },
	{ "burst: negative zero", RNGQ_BURST_BYTES, "-0", -EINVAL },

	{ "boot: least", RNGQ_BOOT_BYTES, "0", 0, 0 },
	{ "boot: most", RNGQ_BOOT_BYTES, "1099511627776", 0, 1ULL << 40 },
	{ "boot: one too many", RNGQ_BOOT_BYTES, "1099511627777", -ERANGE },
	{ "boot: no max", RNGQ_BOOT_BYTES, "max", -EINVAL },

	{ "total rate: least", RNGQ_TOTAL_RATE_BYTES, "1", 0, 1 },
	{ "total rate: most", RNGQ_TOTAL_RATE_BYTES, "1099511627776", 0,
	  1ULL << 40 },
	{ "total rate: max", RNGQ_TOTAL_RATE_BYTES, "max\n", 0, RNGQ_MAX },
	{ "total rate: 0", RNGQ_TOTAL_RATE_BYTES, "0", -ERANGE },
	{ "total rate: one too many", RNGQ_TOTAL_RATE_BYTES, "1099511627777",
	  -ERANGE },

	{ "total period: least", RNGQ_TOTAL_PERIOD_MS, "1", 0, 1 },
	{ "total period: most", RNGQ_TOTAL_PERIOD_MS, "4294967295", 0,
	  4294967295ULL },
	{ "total period: 0", RNGQ_TOTAL_PERIOD_MS, "0", -ERANGE },
	{ "total period: one too many", RNGQ_TOTAL_PERIOD_MS, "4294967296",
	  -ERANGE },
	{ "total period: no max", RNGQ_TOTAL_PERIOD_MS, "max", -EINVAL },

	{ "total burst: least", RNGQ_TOTAL_BURST_BYTES, "0", 0, 0 },
	{ "total burst: most", RNGQ_TOTAL_BURST_BYTES, "1099511627776", 0,
	  1ULL << 40 },
	{ "total burst: one too many", RNGQ_TOTAL_BURST_BYTES, "1099511627777",
	  -ERANGE },
	{ "total burst: no max", RNGQ_TOTAL_BURST_BYTES, "max", -EINVAL },

	{ "clients: least", RNGQ_MAX_CLIENTS, "1", 0, 1 },
	{ "clients: most", RNGQ_MAX_CLIENTS, "1048576", 0, 1ULL << 20 },
	{ "clients: max", RNGQ_MAX_CLIENTS, "max", 0, RNGQ_MAX },
	{ "clients: 0", RNGQ_MAX_CLIENTS, "0", -ERANGE },
	{ "clients: one too many", RNGQ_MAX_CLIENTS, "1048577", -ERANGE },
	{ "clients: negative", RNGQ_MAX_CLIENTS, "-1", -EINVAL },

	{ "clients of a process: least", RNGQ_MAX_CLIENTS_PER_PROCESS, "1", 0,
	  1 },
	{ "clients of a process: most", RNGQ_MAX_CLIENTS_PER_PROCESS,
	  "1048576", 0, 1ULL << 20 },
	{ "clients of a process: max", RNGQ_MAX_CLIENTS_PER_PROCESS, "max", 0,
	  RNGQ_MAX },
	{ "clients of a process: 0", RNGQ_MAX_CLIENTS_PER_PROCESS, "0",
	  -ERANGE },
	{ "clients of a process: one too many", RNGQ_MAX_CLIENTS_PER_PROCESS,
	  "1048577", -ERANGE },
};

static void parse_case_to_desc(const struct parse_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(parse, parse_cases, parse_case_to_desc);

static void setting_is_parsed(struct kunit *test)
{
	const struct parse_case *c = test->param_value;
	u64 value = UNTOUCHED;

	KUNIT_EXPECT_EQ(test, rngq_setting_parse(c->setting, c->text, &value),
			c->err);
	KUNIT_EXPECT_EQ(test, value, c->err ? UNTOUCHED : c->value);
}

static void cut_and_torn_texts_are_told(struct kunit *test)
{
	char *page = (char *)__get_free_pages(GFP_KERNEL, 1);

	KUNIT_ASSERT_NOT_NULL(test, page);
	memset(page, '1', 2 * PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, rngq_setting_is_whole(page, PAGE_SIZE - 1));
	KUNIT_EXPECT_FALSE(test, rngq_setting_is_whole(page, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test, rngq_setting_is_whole("12", 2));
	KUNIT_EXPECT_FALSE(test, rngq_setting_is_whole("1\0002", 3));
	/* A C program may write the NUL that ends its string, but no more. */
	KUNIT_EXPECT_TRUE(test, rngq_setting_is_whole("12\0", 3));
	KUNIT_EXPECT_TRUE(test, rngq_setting_is_whole("12\n\0", 4));
	KUNIT_EXPECT_FALSE(test, rngq_setting_is_whole("12\0\0", 4));
	KUNIT_EXPECT_FALSE(test, rngq_setting_is_whole("12\0\n", 4));
	page[PAGE_SIZE - 2] = '\0';
	KUNIT_EXPECT_TRUE(test, rngq_setting_is_whole(page, PAGE_SIZE - 1));
	page[PAGE_SIZE - 1] = '\0';
	KUNIT_EXPECT_FALSE(test, rngq_setting_is_whole(page, PAGE_SIZE));
	free_pages((unsigned long)page, 1);
}

struct several_case {
	const char *name;
	const char *text;
	int nr;			/* or an error */
	u64 values[RNGQ_QUOTA_SETTINGS];
};

#define ZEROS_62	"00000000000000000000000000000000000000000000000000000000000000"

static const struct several_case several_cases[] = {
	{ "several: one", "1", 1, { 1 } },
	{ "several: one with newline", "1\n", 1, { 1 } },
	{ "several: two", "1 2", 2, { 1, 2 } },
	{ "several: three", "1 2 3", 3, { 1, 2, 3 } },
	{ "several: three with newline", "1 2 3\n", 3, { 1, 2, 3 } },
	{ "several: more spaces", "1  2   3", 3, { 1, 2, 3 } },
	{ "several: max", "max", 1, { RNGQ_MAX } },
	{ "several: max and more", "max 1000 0\n", 3, { RNGQ_MAX, 1000, 0 } },
	{ "several: most", "1099511627776 4294967295 1099511627776", 3,
	  { 1ULL << 40, 4294967295ULL, 1ULL << 40 } },
	{ "several: long", ZEROS_62 "1 2", 2, { 1, 2 } },
	{ "several: longer", "0" ZEROS_62 "1 2", 2, { 1, 2 } },
	{ "several: long and nothing", "1 " ZEROS_62 ZEROS_62, -ERANGE },
	{ "several: four", "1 2 3 4", -EINVAL },
	{ "several: none", "", -EINVAL },
	{ "several: newline alone", "\n", -EINVAL },
	{ "several: space alone", " ", -EINVAL },
	{ "several: space before", " 1 2", -EINVAL },
	{ "several: space after", "1 2 ", -EINVAL },
	{ "several: space after three", "1 2 3 ", -EINVAL },
	{ "several: space before newline", "1 2 \x0a", -EINVAL },
	{ "several: newline between", "1\n 2", -EINVAL },
	{ "several: newline instead", "1\n2", -EINVAL },
	{ "several: two newlines", "1 2\n\n", -EINVAL },
	{ "several: tab", "1\t2", -EINVAL },
	{ "several: no number", "1 x 3", -EINVAL },
	{ "several: max period", "1 max", -EINVAL },
	{ "several: max burst", "1 2 max", -EINVAL },
	{ "several: rate 0", "0 2 3", -ERANGE },
	{ "several: period 0", "1 0 3", -ERANGE },
	{ "several: burst too large", "1 2 1099511627777", -ERANGE },
};

static void several_case_to_desc(const struct several_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(several, several_cases, several_case_to_desc);

static void several_are_parsed(struct kunit *test)
{
	static const enum rngq_setting firsts[] = { RNGQ_RATE_BYTES, RNGQ_TOTAL_RATE_BYTES };
	const struct several_case *c = test->param_value;
	int i, n;

	for (i = 0; i < ARRAY_SIZE(firsts); i++) {
		u64 values[RNGQ_QUOTA_SETTINGS] = { UNTOUCHED, UNTOUCHED, UNTOUCHED };

		KUNIT_EXPECT_EQ(test, rngq_setting_parse_several(firsts[i], c->text, values),
				c->nr);
		/* Those that are not told are let be. */
		for (n = 0; n < RNGQ_QUOTA_SETTINGS && c->nr > 0; n++)
			KUNIT_EXPECT_EQ(test, values[n], n < c->nr ? c->values[n] : UNTOUCHED);
	}
}

static void quota_is_printed_as_it_is_parsed(struct kunit *test)
{
	static const struct {
		struct rngq_quota quota;
		const char *text;
	} cases[] = {
		{ { 24, 5000, 0 }, "24 5000 0\n" },
		{ { RNGQ_MAX, 1000, 7 }, "max 1000 7\n" },
		{ { 1ULL << 40, U32_MAX, 1ULL << 40 }, "1099511627776 4294967295 1099511627776\n" },
	};
	char *page = (char *)__get_free_page(GFP_KERNEL);
	u64 values[RNGQ_QUOTA_SETTINGS];
	int i, len;

	KUNIT_ASSERT_NOT_NULL(test, page);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		len = rngq_quota_emit(page, &cases[i].quota);
		KUNIT_EXPECT_EQ(test, len, (int)strlen(page));
		KUNIT_EXPECT_STREQ(test, page, cases[i].text);
		KUNIT_EXPECT_EQ(test, 3,
				rngq_setting_parse_several(RNGQ_RATE_BYTES, page, values));
		KUNIT_EXPECT_EQ(test, values[0], cases[i].quota.rate_bytes);
		KUNIT_EXPECT_EQ(test, values[1], cases[i].quota.period_ms);
		KUNIT_EXPECT_EQ(test, values[2], cases[i].quota.burst_bytes);
	}
	free_page((unsigned long)page);
}

static void value_is_printed_as_it_is_parsed(struct kunit *test)
{
	static const u64 values[] = { 1, 1024, 1ULL << 40, RNGQ_MAX };
	char *page = (char *)__get_free_page(GFP_KERNEL);
	u64 value;
	int i, len;

	KUNIT_ASSERT_NOT_NULL(test, page);
	for (i = 0; i < ARRAY_SIZE(values); i++) {
		len = rngq_setting_emit(page, values[i]);
		KUNIT_EXPECT_EQ(test, len, (int)strlen(page));
		KUNIT_EXPECT_EQ(test, page[len - 1], '\n');
		KUNIT_EXPECT_EQ(test, 0,
				rngq_setting_parse(RNGQ_RATE_BYTES, page,
						   &value));
		KUNIT_EXPECT_EQ(test, value, values[i]);
	}
	free_page((unsigned long)page);
}

static void settings_are_found_by_number(struct kunit *test)
{
	struct rngq_quota quota = {};
	enum rngq_setting setting;

	*rngq_quota_value(&quota, RNGQ_RATE_BYTES) = 1;
	*rngq_quota_value(&quota, RNGQ_PERIOD_MS) = 2;
	*rngq_quota_value(&quota, RNGQ_BURST_BYTES) = 3;
	KUNIT_EXPECT_EQ(test, quota.rate_bytes, 1ULL);
	KUNIT_EXPECT_EQ(test, quota.period_ms, 2ULL);
	KUNIT_EXPECT_EQ(test, quota.burst_bytes, 3ULL);

	/* The host's settings are in no client's quota. */
	for (setting = RNGQ_QUOTA_SETTINGS; setting < RNGQ_NR_SETTINGS;
	     setting++)
		KUNIT_EXPECT_NULL(test, rngq_quota_value(&quota, setting));
}

static void settings_have_names(struct kunit *test)
{
	static const char * const names[] = {
		[RNGQ_RATE_BYTES] = "rate_bytes",
		[RNGQ_PERIOD_MS] = "period_ms",
		[RNGQ_BURST_BYTES] = "burst_bytes",
		[RNGQ_BOOT_BYTES] = "boot_bytes",
		[RNGQ_TOTAL_RATE_BYTES] = "total_rate_bytes",
		[RNGQ_TOTAL_PERIOD_MS] = "total_period_ms",
		[RNGQ_TOTAL_BURST_BYTES] = "total_burst_bytes",
		[RNGQ_MAX_CLIENTS] = "max_clients",
		[RNGQ_MAX_CLIENTS_PER_PROCESS] = "max_clients_per_process",
	};
	enum rngq_setting setting;

	KUNIT_ASSERT_EQ(test, (int)ARRAY_SIZE(names), (int)RNGQ_NR_SETTINGS);
	for (setting = 0; setting < RNGQ_NR_SETTINGS; setting++)
		KUNIT_EXPECT_STREQ(test, rngq_setting_name(setting),
				   names[setting]);
}

static struct kunit_case quota_cases[] = {
	KUNIT_CASE_PARAM(setting_is_parsed, parse_gen_params),
	KUNIT_CASE_PARAM(several_are_parsed, several_gen_params),
	KUNIT_CASE(cut_and_torn_texts_are_told),
	KUNIT_CASE(value_is_printed_as_it_is_parsed),
	KUNIT_CASE(quota_is_printed_as_it_is_parsed),
	KUNIT_CASE(settings_are_found_by_number),
	KUNIT_CASE(settings_have_names),
	{}
};

static struct kunit_suite quota_suite = {
	.name = "rngquota_quota",
	.test_cases = quota_cases,
};

kunit_test_suite(quota_suite);

MODULE_DESCRIPTION("KUnit suites of rngquota");
MODULE_LICENSE("GPL");
