// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that make trouble around those who read: they open and close, change
 * every setting, walk through clients/, hand clients on, and get killed.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "races.h"
#include "rngq.h"

#define MAX_HELD	16

unsigned int pick(unsigned int *seed, unsigned int limit)
{
	return rand_r(seed) % limit;
}

void hop(unsigned int *seed)
{
	cpu_set_t cpu;

	if (pick(seed, 32))
		return;
	CPU_ZERO(&cpu);
	CPU_SET(pick(seed, sysconf(_SC_NPROCESSORS_ONLN)), &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
}

pid_t start_actor(const struct actor *actor, unsigned int seed)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bail_out("there are processes");
	if (!pid) {
		if (!prctl(PR_SET_PDEATHSIG, SIGKILL) && getppid() == parent)
			actor->act(seed);
		_exit(0);
	}
	return pid;
}

int unload_module(void)
{
	world->all_tries++;
	return rngq_unload();
}

static int open_client(int flags)
{
	int fd = open(RNGQ_DEV, O_RDONLY | O_CLOEXEC | flags);

	if (fd >= 0) {
		world->opens++;
		world->all_opens++;
	} else if (errno == EMFILE || errno == ENFILE) {
		world->refused++;
	} else {
		wrong("open() failed with errno %d", errno);
	}
	return fd;
}

static void read_nowait(struct client *client, int fd, size_t size)
{
	u64 before_ns = rngq_now_ns();
	ssize_t ret = rngq_take(fd, size);

	if (ret > 0)
		count_read(client, before_ns, ret);
	else if (ret != -EAGAIN)
		wrong("a read without waiting gave %zd", ret);
}

static void close_client(int fd)
{
	if (world->exact)
		world->throttled += rngq_fdinfo(fd, "throttled");
	close(fd);
}

/* Leave somebody hanging on the client, who goes at the same time as it does. */
static void leave_poller(unsigned int *seed, int fd)
{
	struct epoll_event event = { .events = EPOLLIN | (pick(seed, 2) ? EPOLLET : 0) };
	struct iocb iocb, *iocbs[] = { &iocb };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	io_context_t aio = NULL;
	struct io_uring ring;

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	/* These poll again in their end, when nobody can count it any more. */
	if (!world->exact && pick(seed, 2) && !io_uring_queue_init(2, &ring, 0)) {
		io_uring_prep_poll_add(io_uring_get_sqe(&ring), fd, POLLIN);
		io_uring_submit(&ring);
		close_client(fd);
		io_uring_queue_exit(&ring);
	} else if (!world->exact && !io_setup(2, &aio)) {
		io_prep_poll(&iocb, fd, POLLIN);
		io_submit(aio, 1, iocbs);
		close_client(fd);
		io_destroy(aio);
	} else {
		close_client(fd);
	}
	close(epoll);
}

static void pass_on(int fd)
{
	world->all_passed += !send_descriptor(world->passing[0], fd, MSG_DONTWAIT);
	close(fd);
}

static void write_own(unsigned int *seed, int fd)
{
	static const char *const texts[] = { "1", "7", "500", "default", "max" };
	int ret = rngq_client_write(fd, pick(seed, 3) ? "rate_bytes" : "period_ms",
				    texts[pick(seed, ARRAY_SIZE(texts))]);

	world->all_writes++;
	if (ret && ret != -EINVAL)
		wrong("writing an open client's setting gave %d", ret);
}

/* Returns what has become of the descriptor. */
static int use_client(unsigned int *seed, int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	switch (pick(seed, 12)) {
	case 0 ... 1:
		close_client(fd);
		return -1;
	case 2:
		leave_poller(seed, fd);
		return -1;
	case 3:
		if (world->exact)
			close_client(fd);
		else
			pass_on(fd);
		return -1;
	case 4:
		write_own(seed, fd);
		return fd;
	case 5:
		rngq_fdinfo(fd, "available");
		return fd;
	case 6 ... 7:
		poll(&pollfd, 1, pick(seed, 4));
		return fd;
	default:
		read_nowait(NULL, fd, 1 + pick(seed, 600));
		return fd;
	}
}

static void *open_and_close(void *argument)
{
	unsigned int *seed = argument;
	int fds[4];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = -1;
	while (!world->over) {
		int *fd = &fds[pick(seed, ARRAY_SIZE(fds))];

		if (*fd >= 0)
			*fd = use_client(seed, *fd);
		else if (!world->exact && !pick(seed, 4))
			*fd = receive_descriptor(world->passing[1], MSG_DONTWAIT);
		else
			*fd = open_client(pick(seed, 2) ? O_NONBLOCK : 0);
		hop(seed);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close_client(fds[i]);
	return NULL;
}

/* Two threads of a process, so that it opens and closes at the same time. */
static void open_in_two_threads(unsigned int seed)
{
	unsigned int other_seed = seed + 1;
	pthread_t thread;

	if (pthread_create(&thread, NULL, open_and_close, &other_seed))
		bail_out("there are threads");
	open_and_close(&seed);
	pthread_join(thread, NULL);
}

struct setting {
	const char *name;
	const char *values[4];
};

static void write_one(unsigned int *seed, const struct setting *settings,
		      unsigned int count, const char *folder)
{
	const struct setting *setting = &settings[pick(seed, count)];
	const char *value = setting->values[pick(seed, 4)];
	int ret = rngq_attr_write(value, "%s/%s", folder, setting->name);

	world->all_writes++;
	if (ret)
		wrong("writing %s to %s/%s gave %d", value, folder, setting->name, ret);
}

/* No period is so long that a reader would have to wait for seconds. */
static void change_settings(unsigned int seed)
{
	static const struct setting own[] = {
		{ "rate_bytes", { "1", "40", "2000", "max" } },
		{ "period_ms", { "1", "11", "70", "default" } },
		{ "burst_bytes", { "0", "50", "9000", "default" } },
		{ "rate_bytes", { "default", "default", "default", "3" } },
	};
	static const struct setting defaults[] = {
		{ "rate_bytes", { "1", "16", "3000", "max" } },
		{ "period_ms", { "1", "9", "50", "60" } },
		{ "burst_bytes", { "0", "0", "20", "9000" } },
		{ "boot_bytes", { "0", "0", "64", "5000" } },
	};
	static const struct setting limits[] = {
		{ "max_clients", { "1", "12", "16384", "max" } },
		{ "max_clients_per_process", { "1", "2", "4", "max" } },
	};
	static const struct setting total[] = {
		{ "rate_bytes", { "1", "200", "5000", "max" } },
		{ "period_ms", { "1", "8", "40", "100" } },
		{ "burst_bytes", { "0", "0", "1000", "3" } },
	};
	char folder[40];

	while (!world->over) {
		snprintf(folder, sizeof(folder), "clients/%llu",
			 world->clients[STEADY + pick(&seed, LOOSE)].id);
		write_one(&seed, own, ARRAY_SIZE(own), folder);
		write_one(&seed, defaults, ARRAY_SIZE(defaults), "default");
		write_one(&seed, limits, ARRAY_SIZE(limits), "limits");
		if (world->regime == TOTAL_CHANGES)
			write_one(&seed, total, ARRAY_SIZE(total), "total");
		/* There are clients, so it must stay. */
		if (!pick(&seed, 16) && unload_module() != -EWOULDBLOCK)
			wrong("the module can be unloaded while clients are open");
		if (pick(&seed, 2))
			rngq_sleep_ms(pick(&seed, 10));
		hop(&seed);
	}
}

static const char *const client_files[] = {
	"rate_bytes", "period_ms", "burst_bytes", "overrides", "pid", "comm",
	"uid", "available", "bytes", "reads", "throttled", "throttled_ms",
};

static bool is_gone(ssize_t error)
{
	return error == -ENOENT || error == -ENODEV;
}

/* A file that was opened when its client was there: it may be gone now. */
static void use_held(unsigned int *seed, int fd)
{
	bool writes = !pick(seed, 4);
	char text[64];
	ssize_t ret;

	if (writes)
		ret = pwrite(fd, "7", 1, 0);
	else
		ret = pread(fd, text, sizeof(text), 0);
	world->all_looks++;
	if (ret < 0 && errno != ENODEV)
		wrong("%s a file of a client gave errno %d", writes ? "writing" : "reading", errno);
	else if (!ret)
		wrong("a file of a client is empty");
}

static void look_at(unsigned int *seed, const char *id, int *held)
{
	const char *name = client_files[pick(seed, ARRAY_SIZE(client_files))];
	char path[sizeof(RNGQ_SYSFS) + 300], text[64];
	/* Their quota is not to be touched. */
	bool steady = strtoull(id, NULL, 10) <= world->clients[STEADY - 1].id;
	ssize_t ret;
	int fd;

	if (pick(seed, 4) || steady) {
		ret = rngq_attr_read(text, sizeof(text), "clients/%s/%s", id, name);
		world->all_looks++;
		if (ret <= 0 && !is_gone(ret))
			wrong("clients/%s/%s gave %zd", id, name, ret);
		return;
	}
	name = client_files[pick(seed, 3)];
	snprintf(path, sizeof(path), "%s/clients/%s/%s", RNGQ_SYSFS, id, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 && !is_gone(-errno))
		wrong("opening clients/%s/%s gave errno %d", id, name, errno);
	if (fd < 0)
		return;
	held += pick(seed, MAX_HELD);
	if (*held >= 0)
		close(*held);
	*held = fd;
}

static void check_rises(const char *name, u64 *before)
{
	u64 now = rngq_attr("stats/%s", name);

	if (now < *before)
		wrong("stats/%s fell from %llu to %llu", name, *before, now);
	*before = now;
}

static void walk(unsigned int seed)
{
	u64 opens = 0, bytes = 0, reads = 0, throttled = 0, throttled_ms = 0, refused = 0;
	int held[MAX_HELD];

	for (int i = 0; i < MAX_HELD; i++)
		held[i] = -1;
	while (!world->over) {
		DIR *clients = opendir(RNGQ_SYSFS "/clients");
		struct dirent *entry;

		if (!clients)
			bail_out("there is clients/");
		while ((entry = readdir(clients))) {
			int fd;

			if (entry->d_name[0] != '.')
				look_at(&seed, entry->d_name, held);
			fd = held[pick(&seed, MAX_HELD)];
			if (fd >= 0)
				use_held(&seed, fd);
		}
		closedir(clients);
		check_rises("opens", &opens);
		check_rises("bytes", &bytes);
		check_rises("reads", &reads);
		check_rises("throttled", &throttled);
		check_rises("throttled_ms", &throttled_ms);
		check_rises("refused", &refused);
		hop(&seed);
	}
}

/* Children share clients: one reads a little, and may become another program. */
static void share_with_children(unsigned int seed)
{
	struct client *client = &world->clients[PASSES_ON];

	while (!world->over) {
		bool becomes = !pick(&seed, 8);
		u64 before_ns = rngq_now_ns();
		int status;
		pid_t pid = fork();

		if (pid < 0)
			bail_out("there are processes");
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			read_nowait(client, client->fd, 1 + pick(&seed, 100));
			if (!becomes)
				_exit(0);
			dup2(client->fd, STDIN_FILENO);
			execl("/proc/self/exe", "debug-races", "read-stdin", NULL);
			_exit(255);
		}
		while (waitpid(pid, &status, 0) != pid)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) > 100)
			wrong("a child ended with status %d", status);
		else if (WEXITSTATUS(status))
			count_read(client, before_ns, WEXITSTATUS(status));
		hop(&seed);
	}
}

/* What one who is to be killed is doing. */
struct victim {
	atomic_bool opens;
	atomic_size_t asks;
	int fd;
	unsigned int seed;
};

static void *read_until_killed(void *argument)
{
	struct victim *victim = argument;
	char bytes[64];
	ssize_t ret;

	do {
		u64 before_ns = rngq_now_ns();

		victim->asks = 1 + pick(&victim->seed, sizeof(bytes));
		ret = read(victim->fd, bytes, victim->asks);
		if (ret > 0)
			count_read(NULL, before_ns, ret);
		victim->asks = 0;
	} while (ret > 0);
	return NULL;
}

/* It dies while it opens, sleeps in read() twice, or has closed under itself. */
static noreturn void be_victim(struct victim *victim, unsigned int seed)
{
	int prey = world->clients[PREY].fd;
	pthread_t thread;
	char bytes[64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	victim->opens = true;
	victim->fd = open_client(0);
	victim->opens = false;
	if (victim->fd >= 0 && pthread_create(&thread, NULL, read_until_killed, victim))
		bail_out("there are threads");
	if (pick(&seed, 2)) {
		rngq_sleep_ms(pick(&seed, 5));
		close(victim->fd);
	}
	for (;;)
		if (read(prey, bytes, 1 + pick(&seed, sizeof(bytes))) < 0)
			wrong("a read that is to be killed gave errno %d", errno);
}

static void kill_readers(unsigned int seed)
{
	struct victim *victim = mmap(NULL, sizeof(*victim), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (victim == MAP_FAILED)
		bail_out("there is memory to share");
	while (!world->over) {
		pid_t pid;

		*victim = (struct victim){ .seed = rand_r(&seed) };
		pid = fork();
		if (pid < 0)
			bail_out("there are processes");
		if (!pid)
			be_victim(victim, seed + 1);
		rngq_sleep_ms(pick(&seed, 20));
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) != pid)
			;
		world->all_kills++;
		world->doubtful_opens += victim->opens;
		world->doubtful_bytes += victim->asks;
		world->doubtful_reads += victim->asks > 0;
	}
}

static void visit_device(unsigned int *seed)
{
	int fd = open(RNGQ_DEV, O_RDONLY | (pick(seed, 2) ? O_NONBLOCK : 0));
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	ssize_t ret;

	world->all_opens += fd >= 0;
	if (fd < 0) {
		if (!is_gone(-errno) && errno != ENXIO && errno != EMFILE && errno != ENFILE)
			wrong("open() while the module comes and goes gave errno %d", errno);
		return;
	}
	ret = rngq_take(fd, 1 + pick(seed, 2000));
	if (ret <= 0 && ret != -EAGAIN)
		wrong("a read while the module comes and goes gave %zd", ret);
	if (pick(seed, 2))
		poll(&pollfd, 1, pick(seed, 3));
	if (pick(seed, 2))
		rngq_fdinfo(fd, "bytes");
	close(fd);
}

static void visit_files(unsigned int *seed, int *held)
{
	static const char *const names[] = {
		"default/rate_bytes", "total/period_ms", "limits/max_clients",
		"stats/clients", "stats/bytes",
	};
	const char *name = names[pick(seed, ARRAY_SIZE(names))];
	char text[64];
	ssize_t ret;
	DIR *clients;

	ret = rngq_attr_read(text, sizeof(text), "%s", name);
	if (ret <= 0 && !is_gone(ret))
		wrong("reading %s while the module comes and goes gave %zd", name, ret);
	ret = rngq_attr_write("3000", "default/rate_bytes");
	if (ret && !is_gone(ret))
		wrong("writing while the module comes and goes gave %zd", ret);
	/* One that stays open while the module goes, and comes. */
	if (*held >= 0 && pread(*held, text, sizeof(text), 0) <= 0 && errno != ENODEV)
		wrong("a file that was held gave errno %d", errno);
	if (!pick(seed, 16)) {
		close(*held);
		*held = open(RNGQ_SYSFS "/default/rate_bytes", O_RDONLY | O_CLOEXEC);
	}
	clients = opendir(RNGQ_SYSFS "/clients");
	while (clients && readdir(clients))
		;
	if (clients)
		closedir(clients);
}

static void visit(unsigned int seed)
{
	int held = -1;

	while (!world->over) {
		visit_device(&seed);
		visit_files(&seed, &held);
		if (pick(&seed, 2))
			rngq_sleep_ms(pick(&seed, 3));
		hop(&seed);
	}
}

const struct actor storm[] = {
	{ .name = "opener 1", .act = open_in_two_threads },
	{ .name = "opener 2", .act = open_in_two_threads },
	{ .name = "changer 1", .act = change_settings },
	{ .name = "changer 2", .act = change_settings },
	{ .name = "walker 1", .act = walk },
	{ .name = "walker 2", .act = walk },
	{ .name = "parent", .act = share_with_children },
	{ .name = "killer", .act = kill_readers, .inexact = true },
};

const unsigned int nr_storm = ARRAY_SIZE(storm);

const struct actor visitors[] = {
	{ .name = "visitor 1", .act = visit },
	{ .name = "visitor 2", .act = visit },
	{ .name = "visitor 3", .act = visit },
};

const unsigned int nr_visitors = ARRAY_SIZE(visitors);
