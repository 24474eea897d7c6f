// SPDX-License-Identifier: GPL-2.0
/*
 * The files "quota": "all three in one step: shows RATE PERIOD BURST, separated by
 * single spaces; takes one to three such values, spaces between them, the others
 * stay. default alone: a client follows again in all three. All or nothing: one bad
 * value changes none". What a single value may look like, and the files' modes, are
 * in sysfs-attributes.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "crowd.h"
#include "opener.h"
#include "reader.h"
#include "rngq.h"

#define BEFORE		"777 888 999\n"
#define LOOK_MS		300
#define ZEROS		"000000000000000000000000000000000000000000000000000000000000000000000000"

/* One of the three: default/, total/, a client's. */
struct folder {
	const char *what;
	char path[40];
};

enum { DEFAULT, TOTAL, CLIENT, FOLDERS };

static struct folder folders[FOLDERS] = {
	[DEFAULT] = { .what = "default/quota", .path = "default" },
	[TOTAL] = { .what = "total/quota", .path = "total" },
	[CLIENT] = { .what = "a client's quota" },
};

static int put(const struct folder *folder, const char *text)
{
	return rngq_attr_write(text, "%s/quota", folder->path);
}

static void must_put(const struct folder *folder, const char *text)
{
	if (put(folder, text))
		bail_out("%s can be set to \"%s\"", folder->what, text);
}

static const char *get(const struct folder *folder)
{
	static char text[256];

	if (rngq_attr_read(text, sizeof(text), "%s/quota", folder->path) < 0)
		bail_out("%s can be read", folder->what);
	return text;
}

/* What the three files tell that have one value each, in the form of the one. */
static const char *get_each(const struct folder *folder)
{
	static const char *const names[] = { "rate_bytes", "period_ms", "burst_bytes" };
	static char text[256];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char value[64];

		if (rngq_attr_read(value, sizeof(value), "%s/%s", folder->path, names[i]) < 0)
			bail_out("%s/%s can be read", folder->path, names[i]);
		value[strcspn(value, "\n")] = '\0';
		len += snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "", value);
	}
	snprintf(text + len, sizeof(text) - len, "\n");
	return text;
}

static const char *own_values(int fd)
{
	static char text[128];

	rngq_attr_read(text, sizeof(text), "clients/%llu/overrides", rngq_id(fd));
	return text;
}

/* Each on top of what those before it have left. */
static const struct {
	const char *text;
	const char *shown;
} good[] = {
	{ "10 20 30\n", "10 20 30\n" },
	{ "11 21 31", "11 21 31\n" },
	{ "12", "12 21 31\n" },
	{ "13\n", "13 21 31\n" },
	{ "14 22", "14 22 31\n" },
	{ "max", "max 22 31\n" },
	{ "max 23\n", "max 23 31\n" },
	{ "15 24 0", "15 24 0\n" },
	{ "16  25   33", "16 25 33\n" },
	{ "+17 0026 +0034", "17 26 34\n" },
	{ "max 1 0\n", "max 1 0\n" },
	{ "1099511627776 4294967295 1099511627776",
	  "1099511627776 4294967295 1099511627776\n" },
	{ "1 1 0", "1 1 0\n" },
	{ ZEROS "2 " ZEROS "3 " ZEROS "4", "2 3 4\n" },
};

static void test_good(const struct folder *folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		is_ret(put(folder, good[i].text), 0, "%s takes \"%.*s\"", folder->what,
		       (int)strcspn(good[i].text, "\n"), good[i].text);
		is_str(get(folder), good[i].shown, "and shows all three");
		is_str(get_each(folder), good[i].shown, "so do the files for one of them");
	}
	is_ret(rngq_attr_put("5 6 7", 6, "%s/quota", folder->path), 0,
	       "%s takes a C string with its NUL", folder->what);
	is_ret(rngq_attr_put("6\n", 3, "%s/quota", folder->path), 0, "also behind a newline");
	is_str(get(folder), "6 6 7\n", "and shows what it says");
}

static const struct {
	const char *text;
	size_t size;		/* 0: as long as the text is */
	int error;		/* 0: the one or the other */
} bad[] = {
	{ "1 2 3 4", 0, -EINVAL },
	{ "1 2 3 x", 0, -EINVAL },
	{ " 1 2 3", 0, -EINVAL },
	{ "1 2 3 ", 0, -EINVAL },
	{ "1 2 ", 0, -EINVAL },
	{ "1 2 3\040\n", 0, -EINVAL },
	{ "1 2 3\n\n", 0, -EINVAL },
	{ "\n1 2 3", 0, -EINVAL },
	{ "1\n2 3", 0, -EINVAL },
	{ "1\n 2 3", 0, -EINVAL },
	{ "1 2\n3", 0, -EINVAL },
	{ "1 2\n 3", 0, -EINVAL },
	{ "1\t2\t3", 0, -EINVAL },
	{ "1,2,3", 0, -EINVAL },
	{ "1/2", 0, -EINVAL },
	{ "x 2 3", 0, -EINVAL },
	{ "1 x 3", 0, -EINVAL },
	{ "1 2 x", 0, -EINVAL },
	{ "-1 2 3", 0, -EINVAL },
	{ "1 -2 3", 0, -EINVAL },
	{ "1 2 -3", 0, -EINVAL },
	{ "1 0x2", 0, -EINVAL },
	{ "1 2 3k", 0, -EINVAL },
	{ "Max 2 3", 0, -EINVAL },
	{ "1 max", 0, -EINVAL },
	{ "1 max 3", 0, -EINVAL },
	{ "1 2 max", 0, -EINVAL },
	{ "max max", 0, -EINVAL },
	{ "default 2", 0, -EINVAL },
	{ "default 2 3", 0, -EINVAL },
	{ "1 default", 0, -EINVAL },
	{ "1 2 default", 0, -EINVAL },
	{ "default default default", 0, -EINVAL },
	{ "rate_bytes=1", 0, -EINVAL },
	{ "1\0002", 3, -EINVAL },
	{ "1 2\000 3", 6, -EINVAL },
	{ "1 2 3\000", 7, -EINVAL },
	{ "1 2 3\000\n", 7, -EINVAL },
	{ "\0001 2 3", 6, -EINVAL },
	{ "1 2 ", 5, -EINVAL },
	{ "0 2 3", 0, -ERANGE },
	{ "1099511627777 2 3", 0, -ERANGE },
	{ "1 0 3", 0, -ERANGE },
	{ "1 4294967296", 0, -ERANGE },
	{ "1 4294967296 3", 0, -ERANGE },
	{ "1 2 1099511627777", 0, -ERANGE },
	{ "max 0", 0, -ERANGE },
	{ "1 18446744073709551617 3", 0, -ERANGE },
	{ "0 x 3", 0, 0 },
	{ "x 0 3", 0, 0 },
};

static void test_bad(const struct folder *folder)
{
	must_put(folder, BEFORE);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		size_t size = bad[i].size ?: strlen(bad[i].text);
		int ret = rngq_attr_put(bad[i].text, size, "%s/quota", folder->path);

		ok(bad[i].error ? ret == bad[i].error : ret == -EINVAL || ret == -ERANGE,
		   "%s refuses bad text %zu (\"%.*s\", %d)", folder->what, i,
		   (int)strcspn(bad[i].text, "\n"), bad[i].text, ret);
		if (strcmp(get(folder), BEFORE)) {
			is_str(get(folder), BEFORE, "and nothing has changed");
			must_put(folder, BEFORE);
		}
	}
	if (folder != &folders[CLIENT])
		is_ret(put(folder, "default"), -EINVAL, "%s has no default to follow",
		       folder->what);
	is_str(get_each(folder), BEFORE, "%s: none of the values has changed", folder->what);
}

/* "clients/<id>/quota counts as a write of those of the three that it is given" */
static void test_overrides(void)
{
	static const struct {
		const char *text;
		const char *overrides;
		const char *quota;
	} writes[] = {
		{ "7", "rate_bytes\n", "7 200 300\n" },
		{ "8 20", "rate_bytes period_ms\n", "8 20 300\n" },
		{ "9", "rate_bytes period_ms\n", "9 20 300\n" },
		{ "default", "none\n", "100 200 300\n" },
		/* What the default says, written, is an override all the same. */
		{ "100 200 300", "rate_bytes period_ms burst_bytes\n", "100 200 300\n" },
		{ "default\n", "none\n", "100 200 300\n" },
		{ "default", "none\n", "100 200 300\n" },
	};
	const struct folder *client = &folders[CLIENT];
	int fd = rngq_open(0);

	must_put(&folders[DEFAULT], "100 200 300");
	snprintf(folders[CLIENT].path, sizeof(client->path), "clients/%llu", rngq_id(fd));
	is_str(get(client), "100 200 300\n", "quota shows the default's as long as it follows");
	is_ret(put(client, "1 2 x"), -EINVAL, "(write what is refused)");
	is_str(own_values(fd), "none\n", "a bad value makes no override, nor do good ones with it");
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		must_put(client, writes[i].text);
		is_str(own_values(fd), writes[i].overrides, "overrides after %s", writes[i].text);
		is_str(get(client), writes[i].quota, "quota after %s", writes[i].text);
	}
	must_put(client, "50 60");
	must_put(&folders[DEFAULT], "101 201 301");
	is_str(get(client), "50 60 301\n", "it follows in what it was not given");
	is_ret(rngq_client_write(fd, "rate_bytes", "default"), 0, "(one follows again)");
	is_str(get(client), "101 60 301\n", "one of them may follow again");
	is_ret(rngq_attr_put("default", sizeof("default"), "%s/quota", client->path), 0,
	       "a client takes default with its NUL");
	must_put(&folders[DEFAULT], "102 202 302");
	is_str(get(client), "102 202 302\n", "and follows in all three");
	close(fd);
}

/* "with each override last written for one of its clients" */
static void test_opened_again(void)
{
	struct folder *client = &folders[CLIENT];
	struct opener opener;
	int fd;

	must_put(&folders[DEFAULT], "100 3600000 30");
	opener_start(&opener);
	fd = opener_open(&opener);
	snprintf(client->path, sizeof(client->path), "clients/%llu", rngq_id(fd));
	must_put(client, "10 7200000");
	fd = opener_reopen(&opener, fd);
	snprintf(client->path, sizeof(client->path), "clients/%llu", rngq_id(fd));
	is_str(get(client), "10 7200000 30\n", "opened again, it has what it was given");
	is_str(own_values(fd), "rate_bytes period_ms\n", "as overrides");
	must_put(client, "default");
	fd = opener_reopen(&opener, fd);
	snprintf(client->path, sizeof(client->path), "clients/%llu", rngq_id(fd));
	is_str(get(client), "100 3600000 30\n", "or what default brought");
	is_str(own_values(fd), "none\n", "as none");
	opener_close(&opener, fd);
	opener_end(&opener);
}

/* Whose quota holds for a client. */
enum whose { OWN, FOLLOWED, TOGETHER };

static const struct {
	const char *what;
	struct folder *folder;
	enum whose whose;
} ways[] = {
	{ "its own quota", &folders[CLIENT], OWN },
	{ "default/quota", &folders[DEFAULT], FOLLOWED },
	{ "total/quota", &folders[TOTAL], TOGETHER },
};

/* A new client with all of @quota, and no other limit. */
static int open_under(enum whose whose, const char *quota)
{
	int fd;

	must_put(&folders[TOTAL], "max 1000 0");
	if (whose == TOGETHER)
		must_put(&folders[TOTAL], quota);
	must_put(&folders[DEFAULT], whose == FOLLOWED ? quota : "max 1000 0");
	fd = rngq_open(0);
	snprintf(folders[CLIENT].path, sizeof(folders[CLIENT].path), "clients/%llu",
		 rngq_id(fd));
	if (whose == OWN)
		must_put(&folders[CLIENT], quota);
	return fd;
}

/*
 * "What it holds stays, cut to the new capacity." The lower rate alone would cut it
 * to 10, the burst alone leaves it; and from max to a limit it is full.
 */
static void test_one_step(int way)
{
	const struct folder *folder = ways[way].folder;
	int fd = open_under(ways[way].whose, "100 3600000 0");

	is_ret(rngq_take(fd, 30), 30, "(take 30 of 100)");
	must_put(folder, "10 3600000 1000");
	is_u64(rngq_drain(fd), 70, "%s: less rate and more burst come in one step", ways[way].what);
	must_put(folder, "max");
	is_ret(rngq_take(fd, 4096), 4096, "%s: max is no limit", ways[way].what);
	must_put(folder, "50 3600000 5");
	is_u64(rngq_drain(fd), 55, "%s: from max to a limit it is full", ways[way].what);
	close(fd);
}

/* "A change holds at once, for readers that are already waiting too." */
static void test_at_once(int way, const char *text)
{
	int fd = open_under(ways[way].whose, "100 3600000 0"), epoll;
	struct reader reader;

	rngq_drain(fd);
	epoll = rngq_edge_on(fd, 0);
	reader_start_asleep(&reader, fd, 1);
	must_put(ways[way].folder, text);
	reader_join(&reader);
	is_ret(reader.result, 1, "\"%s\" in %s wakes a reader", text, ways[way].what);
	is_ret(rngq_edges(epoll, LATE_MS), 1, "and is an edge");
	close(epoll);
	close(fd);
}

static atomic_bool looking;

static void *alternate(void *folder)
{
	while (looking) {
		must_put(folder, "1 2 3");
		must_put(folder, "40 50 60");
	}
	return NULL;
}

/* While @written changes, @shown is what was written, and no mixture. */
static void test_no_mixture(struct folder *written, const struct folder *shown)
{
	u64 one = 0, other = 0, mixed = 0, end_ms;
	pthread_t thread;

	must_put(written, "1 2 3");
	looking = true;
	if (pthread_create(&thread, NULL, alternate, written))
		bail_out("a thread can be started");
	for (end_ms = rngq_now_ms() + LOOK_MS * rngq_slowness(); rngq_now_ms() < end_ms;) {
		const char *text = get(shown);

		if (!strcmp(text, "1 2 3\n"))
			one++;
		else if (!strcmp(text, "40 50 60\n"))
			other++;
		else
			mixed++;
	}
	looking = false;
	pthread_join(thread, NULL);
	diag("seen %llu and %llu times", one, other);
	ok(one && other && !mixed, "while %s changes, %s shows no mixture", written->what,
	   shown->what);
}

int main(void)
{
	int fd;

	rngq_keep_globals();
	fd = rngq_open(0);
	snprintf(folders[CLIENT].path, sizeof(folders[CLIENT].path), "clients/%llu",
		 rngq_id(fd));
	for (int i = 0; i < FOLDERS; i++) {
		test_good(&folders[i]);
		test_bad(&folders[i]);
		test_no_mixture(&folders[i], &folders[i]);
	}
	must_put(&folders[CLIENT], "default");
	test_no_mixture(&folders[DEFAULT], &folders[CLIENT]);
	close(fd);

	crowd_set_total(RNGQ_MAX, 1000, 0);
	test_overrides();
	test_opened_again();
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		test_one_step(i);
		test_at_once(i, "max");
		test_at_once(i, "100 1");
		test_at_once(i, "100 1 100");
	}
	return done_testing();
}
