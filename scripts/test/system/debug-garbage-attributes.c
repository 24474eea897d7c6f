// SPDX-License-Identifier: GPL-2.0
/*
 * Garbage into every attribute, read-only ones and those of several clients
 * included, which come and go meanwhile: whole, in pieces, at any offset, from
 * addresses that are bad. What each write must give is known beforehand, from
 * a parser and a model of all attributes that share nothing with the driver; so
 * is what all of them must read afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "garbage.h"
#include "rngq.h"

#define WRITES		100000
#define CLIENTS		4
#define CHECK_EVERY	50	/* writes: then all attributes are read, */
#define CHURN_EVERY	500	/* and then a client goes and another comes */
#define MAX_WRONG	20	/* more would tell nothing new */

enum counter {
	NR_CLIENTS, OPENS, BYTES, READS, REFUSED, THROTTLED, THROTTLED_MS, STATS,
};

static const char *const stat_names[STATS] = {
	"clients", "opens", "bytes", "reads", "refused", "throttled",
	"throttled_ms",
};

/* The settings of a quota come first, with their own numbers. */
enum client_file {
	QUOTA = QUOTA_SETTINGS, OVERRIDES, PID, COMM, UID, AVAILABLE,
	CLIENT_BYTES, CLIENT_READS, CLIENT_THROTTLED, CLIENT_THROTTLED_MS,
	CLIENT_FILES,
};

static const char *const client_names[CLIENT_FILES] = {
	"rate_bytes", "period_ms", "burst_bytes", "quota", "overrides", "pid",
	"comm", "uid", "available", "bytes", "reads", "throttled", "throttled_ms",
};

struct file {
	const char *name;
	int fd;
	int append_fd;
};

struct client {
	int fd;
	u64 id;
	u64 bytes;
	u64 reads;
	u64 credit_bytes;
	bool is_reader;			/* others have a full bucket */
	bool overrides[QUOTA_SETTINGS];
	u64 own[QUOTA_SETTINGS];
	char opener[CLIENT_FILES][64];	/* pid, comm and uid as they were */
	struct file files[CLIENT_FILES];
};

/* What all attributes must show. */
static u64 values[SETTINGS];
static u64 stats[STATS];
static struct client clients[CLIENTS];

static struct file setting_files[SETTINGS], stat_files[STATS];
static struct file default_quota, total_quota;
static struct garbage garbage;
static char *hole;			/* memory ends here */

static unsigned int wrong_results, wrong_texts;
static u64 taken, quotas, malformed, out_of_range, read_only, bad_addresses, cut;

static u64 quota(const struct client *client, enum garbage_setting setting)
{
	return client->overrides[setting] ? client->own[setting] : values[setting];
}

/* So that it can be written, even if it is read-only. */
static void open_file(struct file *file, const char *name, const char *path,
		      mode_t mode)
{
	file->name = name;
	if (chmod(path, 0600))
		bail_out("root can change a mode");
	file->fd = open(path, O_RDWR | O_CLOEXEC);
	file->append_fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	if (file->fd < 0 || file->append_fd < 0 || chmod(path, mode))
		bail_out("root can open what it has made writable");
}

static const char *read_file(const struct file *file)
{
	static char text[256];
	ssize_t size = pread(file->fd, text, sizeof(text) - 1, 0);

	text[size < 0 ? 0 : size] = '\0';
	return text;
}

static void is_text(const struct file *file, const char *wanted)
{
	const char *got = read_file(file);

	if (!strcmp(got, wanted))
		return;
	wrong_texts++;
	diag("%s reads \"%s\"", file->name, garbage_show(got, strlen(got)));
	diag("wanted is \"%s\"", garbage_show(wanted, strlen(wanted)));
}

static void is_number(const struct file *file, u64 wanted)
{
	char text[24];

	is_text(file, setting_print(wanted, text));
}

/* The file "quota" of @client, or that whose first setting this is. */
static void is_quota(const struct file *file, const struct client *client,
		     enum garbage_setting first)
{
	char wanted[80];
	size_t len = 0;

	for (int i = 0; i < QUOTA_SETTINGS; i++) {
		u64 value = client ? quota(client, i) : values[first + i];

		setting_print(value, wanted + len);
		len += strlen(wanted + len);
		wanted[len - 1] = i + 1 < QUOTA_SETTINGS ? ' ' : '\n';
	}
	is_text(file, wanted);
}

static void check_available(const struct client *client)
{
	u64 most = quota(client, RATE_BYTES) + quota(client, BURST_BYTES) +
		   client->credit_bytes;
	const struct file *file = &client->files[AVAILABLE];

	if (quota(client, RATE_BYTES) == RNGQ_MAX) {
		is_number(file, RNGQ_MAX);
	} else if (!client->is_reader) {
		is_number(file, most);
	} else if (strtoull(read_file(file), NULL, 10) > most) {
		wrong_texts++;
		diag("%s is more than the bucket holds: %s", file->name,
		     read_file(file));
	}
}

static void check_client(const struct client *client)
{
	const struct file *files = client->files;
	char overrides[64] = "";

	for (int i = 0; i < QUOTA_SETTINGS; i++) {
		is_number(&files[i], quota(client, i));
		if (client->overrides[i])
			sprintf(overrides + strlen(overrides), "%s%s",
				*overrides ? " " : "", client_names[i]);
	}
	is_quota(&files[QUOTA], client, RATE_BYTES);
	strcat(overrides, *overrides ? "\n" : "none\n");
	is_text(&files[OVERRIDES], overrides);
	for (int i = PID; i <= UID; i++)
		is_text(&files[i], client->opener[i]);
	check_available(client);
	is_number(&files[CLIENT_BYTES], client->bytes);
	is_number(&files[CLIENT_READS], client->reads);
	if (!client->is_reader) {
		is_number(&files[CLIENT_THROTTLED], 0);
		is_number(&files[CLIENT_THROTTLED_MS], 0);
	}
}

static void check_all(void)
{
	for (int i = 0; i < SETTINGS; i++)
		is_number(&setting_files[i], values[i]);
	is_quota(&default_quota, NULL, RATE_BYTES);
	is_quota(&total_quota, NULL, TOTAL_RATE_BYTES);
	for (int i = 0; i < THROTTLED; i++)
		is_number(&stat_files[i], stats[i]);
	for (int i = 0; i < CLIENTS; i++)
		check_client(&clients[i]);
}

static int open_in_child(void *fd)
{
	*(int *)fd = open(RNGQ_DEV, O_RDONLY | O_NONBLOCK);
	if (*(int *)fd < 0)
		*(int *)fd = -errno;
	return 0;
}

/* By a new process, which only limits/max_clients can refuse. */
static void open_client(struct client *client)
{
	static u64 last_id;
	char path[256];
	bool refused;
	int fd;

	/* At random it would hardly ever be near. */
	if (stats[NR_CLIENTS] && garbage_chance(&garbage, 30)) {
		values[MAX_CLIENTS] = stats[NR_CLIENTS] + garbage_below(&garbage, 2);
		rngq_set(values[MAX_CLIENTS], "limits/max_clients");
	}
	refused = stats[NR_CLIENTS] >= values[MAX_CLIENTS];
	rngq_run(open_in_child, &fd, CLONE_FILES);
	if (refused) {
		if (fd != -ENFILE) {
			wrong_results++;
			diag("one client too many gave %d", fd);
			close(fd);
		}
		stats[REFUSED]++;
		rngq_set(RNGQ_MAX, "limits/max_clients");
		values[MAX_CLIENTS] = RNGQ_MAX;
		rngq_run(open_in_child, &fd, CLONE_FILES);
	}
	if (fd < 0)
		bail_out("a client can be opened: %s", strerror(-fd));
	stats[OPENS]++;
	stats[NR_CLIENTS]++;

	*client = (struct client){
		.fd = fd,
		.id = rngq_id(fd),
		.credit_bytes = values[BOOT_BYTES],
		.is_reader = client == clients,
	};
	if (client->id <= last_id)
		bail_out("ids count up");
	last_id = client->id;
	for (int i = 0; i < CLIENT_FILES; i++) {
		snprintf(path, sizeof(path), "%s/clients/%llu/%s", RNGQ_SYSFS,
			 client->id, client_names[i]);
		open_file(&client->files[i], client_names[i], path,
			  i <= QUOTA ? 0600 : 0400);
		snprintf(client->opener[i], sizeof(client->opener[i]), "%.63s",
			 read_file(&client->files[i]));
	}
}

/* Its files stay open a little longer, and give ENODEV. */
static void close_client(struct client *client)
{
	close(client->fd);
	stats[NR_CLIENTS]--;
	for (int i = 0; i < CLIENT_FILES; i++) {
		const struct file *file = &client->files[i];
		char text[GARBAGE_ROOM];
		ssize_t ret;

		ret = write(file->fd, text,
			    garbage_text(&garbage, &settings[RATE_BYTES], text));
		if (ret >= 0 || errno != ENODEV) {
			wrong_results++;
			diag("%s of a client that is gone gave %zd", file->name,
			     ret);
		}
		close(file->fd);
		close(file->append_fd);
	}
}

/* One that reads: whatever its quota and total/ are at the moment. */
static void read_some(struct client *client)
{
	ssize_t count = rngq_take(client->fd, 1 + garbage_below(&garbage, 2000));

	if (count > 0) {
		client->bytes += count;
		client->reads++;
		stats[BYTES] += count;
		stats[READS]++;
	} else if (count != -EAGAIN) {
		wrong_results++;
		diag("a read gave %zd", count);
	}
}

enum way { WRITE, APPEND, AT_OFFSET, BELOW_0, VECTOR, BAD_ADDRESS, WAYS };

/* Some of the pieces are empty. */
static ssize_t write_vector(int fd, char *text, size_t size)
{
	struct iovec pieces[5];
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t left = size - at;

		pieces[i].iov_base = text + at;
		pieces[i].iov_len = i + 1 < ARRAY_SIZE(pieces) ?
				    garbage_below(&garbage, left + 1) : left;
		at += pieces[i].iov_len;
	}
	return writev(fd, pieces, ARRAY_SIZE(pieces));
}

static ssize_t write_somehow(const struct file *file, enum way way, char *text,
			     size_t size)
{
	ssize_t ret;

	switch (way) {
	case APPEND:
		ret = write(file->append_fd, text, size);
		break;
	case AT_OFFSET:
		ret = pwrite(file->fd, text, size, garbage_magnitude(&garbage) >> 1);
		break;
	case BELOW_0:
		ret = pwrite(file->fd, text, size, garbage_u64(&garbage) | 1ULL << 63);
		break;
	case VECTOR:
		ret = write_vector(file->fd, text, size);
		break;
	case BAD_ADDRESS:
		/* Its last byte at least is not there. */
		text = hole - garbage_below(&garbage, size);
		ret = write(file->fd, text, size);
		break;
	default:
		ret = write(file->fd, text, size);
		break;
	}
	return ret < 0 ? -errno : ret;
}

/* What write() shall return, if the interface says @err to the text, or nothing. */
static ssize_t judge(enum way way, size_t size, int err)
{
	if (way == BELOW_0)
		return -EINVAL;
	/* sysfs passes no write of 0 bytes on. */
	if (!size)
		return 0;
	if (way == BAD_ADDRESS)
		return -EFAULT;
	return err ? err : (ssize_t)size;
}

static void count_result(ssize_t ret)
{
	switch (ret) {
	case -EINVAL:
		malformed++;
		break;
	case -ERANGE:
		out_of_range++;
		break;
	case -EIO:
		read_only++;
		break;
	case -EFAULT:
		bad_addresses++;
		break;
	default:
		taken += ret > 0;
	}
}

static void set(struct client *client, enum garbage_setting setting, u64 value)
{
	if (!client) {
		values[setting] = value;
		return;
	}
	client->overrides[setting] = value != SETTING_FOLLOWS;
	if (client->overrides[setting])
		client->own[setting] = value;
}

static void tell_wrong(const struct file *file, enum way way, const char *text,
		       size_t size, ssize_t ret, ssize_t wanted)
{
	wrong_results++;
	diag("%s gave %zd instead of %zd to \"%s\", way %d", file->name, ret, wanted,
	     garbage_show(text, size), way);
}

/* Into a file of a client, or of none; @setting is SETTINGS if it has none. */
static void write_garbage(const struct file *file, struct client *client,
			  enum garbage_setting setting)
{
	const struct setting *known = setting < SETTINGS ? &settings[setting] : NULL;
	enum way way = garbage_below(&garbage, WAYS + 4);
	char text[GARBAGE_ROOM];
	ssize_t ret, wanted;
	int err = -EIO;
	bool right;
	size_t size;
	u64 value;

	size = garbage_text(&garbage, known ?: settings, text);
	if (way == BAD_ADDRESS && (!size || size > GARBAGE_PAGE))
		way = WRITE;
	if (known)
		err = setting_parse(known, client, text, size, &value);
	wanted = judge(way, size, err);
	ret = write_somehow(file, way, text, size);
	count_result(ret);

	/* Whether it has been cut can't be told, so it must not be taken. */
	if (known && way != BELOW_0 && way != BAD_ADDRESS && size >= GARBAGE_PAGE) {
		right = ret == -EINVAL || ret == -ERANGE;
		cut++;
	} else {
		right = ret == wanted;
		if (wanted > 0)
			set(client, setting, value);
	}
	if (!right)
		tell_wrong(file, way, text, size, ret, wanted);
	if (known)
		is_number(file, client ? quota(client, setting) : values[setting]);
}

/* Into a file "quota". */
static void write_quota_garbage(const struct file *file, struct client *client,
				enum garbage_setting first)
{
	enum way way = garbage_below(&garbage, WAYS + 4);
	u64 parsed[QUOTA_SETTINGS];
	char text[GARBAGE_ROOM];
	ssize_t ret, wanted;
	size_t size;
	int count;

	size = garbage_quota_text(&garbage, &settings[first], text);
	if (way == BAD_ADDRESS && !size)
		way = WRITE;
	count = quota_parse(&settings[first], client, text, size, parsed);
	wanted = judge(way, size, count < 0 ? count : 0);
	ret = write_somehow(file, way, text, size);
	count_result(ret);
	if (ret != wanted)
		tell_wrong(file, way, text, size, ret, wanted);
	for (int i = 0; wanted > 0 && i < count; i++)
		set(client, first + i, parsed[i]);
	quotas += wanted > 0;
	is_quota(file, client, first);
}

/* Most go to what can be set. */
static void write_anywhere(void)
{
	u64 which = garbage_below(&garbage, SETTINGS + CLIENTS * QUOTA_SETTINGS);

	if (garbage_chance(&garbage, 20)) {
		struct client *client = &clients[which % CLIENTS];

		if (garbage_chance(&garbage, 50))
			write_quota_garbage(&client->files[QUOTA], client, RATE_BYTES);
		else if (which % 2)
			write_quota_garbage(&default_quota, NULL, RATE_BYTES);
		else
			write_quota_garbage(&total_quota, NULL, TOTAL_RATE_BYTES);
	} else if (garbage_chance(&garbage, 25)) {
		which = garbage_below(&garbage, STATS + CLIENTS * CLIENT_FILES);
		if (which < STATS) {
			write_garbage(&stat_files[which], NULL, SETTINGS);
		} else {
			struct client *client = &clients[(which - STATS) % CLIENTS];
			unsigned int file = (which - STATS) / CLIENTS;

			if (file == QUOTA)
				return;
			write_garbage(&client->files[file], client,
				      file < QUOTA_SETTINGS ? file : SETTINGS);
		}
	} else if (which < SETTINGS) {
		write_garbage(&setting_files[which], NULL, which);
	} else {
		struct client *client = &clients[(which - SETTINGS) % CLIENTS];
		enum garbage_setting setting = (which - SETTINGS) / CLIENTS;

		write_garbage(&client->files[setting], client, setting);
	}
}

static void start(void)
{
	char path[256];

	for (int i = 0; i < SETTINGS; i++) {
		values[i] = rngq_attr("%s", settings[i].attribute);
		snprintf(path, sizeof(path), "%s/%s", RNGQ_SYSFS,
			 settings[i].attribute);
		open_file(&setting_files[i], settings[i].attribute, path, 0644);
	}
	open_file(&default_quota, "default/quota", RNGQ_SYSFS "/default/quota", 0644);
	open_file(&total_quota, "total/quota", RNGQ_SYSFS "/total/quota", 0644);
	for (int i = 0; i < STATS; i++) {
		stats[i] = rngq_attr("stats/%s", stat_names[i]);
		snprintf(path, sizeof(path), "%s/stats/%s", RNGQ_SYSFS,
			 stat_names[i]);
		open_file(&stat_files[i], stat_names[i], path, 0444);
	}
	for (int i = 0; i < CLIENTS; i++)
		open_client(&clients[i]);
	hole = mmap(NULL, 3 * GARBAGE_PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (hole == MAP_FAILED)
		bail_out("memory can be mapped");
	hole += GARBAGE_PAGE;
	if (mprotect(hole, 2 * GARBAGE_PAGE, PROT_NONE))
		bail_out("memory can end somewhere");
	memset(hole - GARBAGE_PAGE, '5', GARBAGE_PAGE);
}

int main(void)
{
	u64 before = rngq_attr("stats/clients");
	unsigned int writes;

	garbage = garbage_new(garbage_seed(), 0);
	rngq_keep_globals();
	start();
	for (writes = 0; writes < WRITES && wrong_results + wrong_texts < MAX_WRONG;
	     writes++) {
		struct client *client = &clients[garbage_below(&garbage, CLIENTS)];

		write_anywhere();
		if (writes % CHECK_EVERY == 0) {
			read_some(clients);
			check_all();
		}
		if (writes % CHURN_EVERY == 0) {
			close_client(client);
			open_client(client);
		}
	}
	check_all();
	for (int i = 0; i < CLIENTS; i++)
		close_client(&clients[i]);

	diag("%llu taken, %llu malformed, %llu out of range, %llu too long",
	     taken, malformed, out_of_range, cut);
	diag("%llu read-only, %llu bad addresses; %llu quotas taken", read_only,
	     bad_addresses, quotas);
	is_u64(writes, WRITES, "%d writes were made", WRITES);
	is_u64(wrong_results, 0, "each was taken or refused as the interface says");
	is_u64(wrong_texts, 0, "and changed what it says, and nothing else");
	ok(taken > WRITES / 5 && malformed > WRITES / 10 &&
	   out_of_range > WRITES / 50 && cut > WRITES / 200 &&
	   read_only > WRITES / 20 && bad_addresses > WRITES / 50 && quotas > WRITES / 50,
	   "there was something of everything");
	is_u64(rngq_attr("stats/clients"), before, "every client has gone");
	tried("garbage into attributes", "%u writes, %llu taken", writes, taken);
	return done_testing();
}
