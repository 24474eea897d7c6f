// SPDX-License-Identifier: GPL-2.0
/* The node, open(), and the calls that a client refuses or ignores. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rngq.h"

#define MISC_MAJOR	10
#define NOBODY		65534

/* The minor that the misc driver gave to @name. */
static unsigned int misc_minor(const char *name)
{
	FILE *misc = fopen("/proc/misc", "r");
	unsigned int minor, found = ~0U;
	char entry[64];

	if (!misc)
		bail_out("/proc/misc can be read");
	while (fscanf(misc, "%u %63s", &minor, entry) == 2)
		if (!strcmp(entry, name))
			found = minor;
	fclose(misc);
	return found;
}

/* What open(RNGQ_DEV, @flags) comes to: 0 or -errno. */
static int try_open(int flags)
{
	int fd = open(RNGQ_DEV, flags);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* The same for another user. */
static int try_open_as(uid_t uid, gid_t gid)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
		    setresuid(uid, uid, uid))
			_exit(255);
		_exit(-try_open(O_RDONLY));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) == 255)
		bail_out("a child can become another user");
	return -WEXITSTATUS(status);
}

static void test_node(void)
{
	struct stat st;

	if (stat(RNGQ_DEV, &st))
		bail_out("%s exists", RNGQ_DEV);
	ok(S_ISCHR(st.st_mode), "the node is a character device");
	ok((st.st_mode & 07777) == 0440, "its mode is 0440");
	is_u64(major(st.st_rdev), MISC_MAJOR, "its major is that of misc devices");
	is_u64(minor(st.st_rdev), misc_minor("rngquota"),
	       "its minor is the one in /proc/misc");

	is_ret(try_open_as(0, 0), 0, "root may open it");
	is_ret(try_open_as(NOBODY, st.st_gid), 0, "its group may open it");
	is_ret(try_open_as(NOBODY, NOBODY), -EACCES, "others may not");
}

static void test_open_flags(void)
{
	u64 clients = rngq_attr("stats/clients");

	is_ret(try_open(O_RDONLY), 0, "it opens for reading");
	is_ret(try_open(O_RDONLY | O_NONBLOCK | O_CLOEXEC), 0,
	       "it opens for reading without waiting");
	is_ret(try_open(O_RDWR), 0, "it opens for reading and writing");
	is_ret(try_open(O_WRONLY), -EINVAL, "it does not open for writing alone");
	is_ret(try_open(O_ACCMODE), -EINVAL, "it does not open for neither");
	is_u64(rngq_attr("stats/clients"), clients, "none of these left a client");
}

static void test_write(void)
{
	int fd = open(RNGQ_DEV, O_RDWR);
	char byte = 'x';

	is_ret(write(fd, &byte, 1) < 0 ? -errno : 0, -EINVAL, "write() gives EINVAL");
	is_ret(write(fd, &byte, 0) < 0 ? -errno : 0, -EINVAL,
	       "so does a write() of nothing");
	is_ret(pwrite(fd, &byte, 1, 5) < 0 ? -errno : 0, -EINVAL, "so does pwrite()");
	is_ret(read(fd, &byte, 1), 1, "such a client still reads");
	close(fd);
}

static void test_mmap(void)
{
	int fd = rngq_open(0);

	errno = 0;
	ok(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED &&
	   errno == ENODEV, "a private mapping gives ENODEV");
	errno = 0;
	ok(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED &&
	   errno == ENODEV, "a shared mapping gives ENODEV");
	close(fd);
}

static void test_ioctl(void)
{
	static const struct {
		const char *name;
		unsigned long request;
	} requests[] = {
		{ "RNDGETENTCNT", RNDGETENTCNT },
		{ "RNDADDTOENTCNT", RNDADDTOENTCNT },
		{ "FIONREAD", FIONREAD },
		{ "TCGETS", TCGETS },
		{ "no such request", 0xdeadbeef },
	};
	int fd = rngq_open(0);
	char argument[256] = "";

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		is_ret(ioctl(fd, requests[i].request, argument) < 0 ? -errno : 0,
		       -ENOTTY, "ioctl() gives ENOTTY (%s)", requests[i].name);
	close(fd);
}

static void test_lseek(void)
{
	static const struct {
		off_t offset;
		int whence;
	} seeks[] = {
		{ 0, SEEK_CUR }, { 100, SEEK_SET }, { 5, SEEK_CUR },
		{ 0, SEEK_END }, { -7, SEEK_SET },
	};
	int fd = rngq_open_quota(0, 100, HOUR_MS, 0);
	int like = open("/dev/random", O_RDONLY);
	char bytes[16];

	for (size_t i = 0; i < ARRAY_SIZE(seeks); i++)
		is_ret(lseek(fd, seeks[i].offset, seeks[i].whence),
		       lseek(like, seeks[i].offset, seeks[i].whence),
		       "lseek() returns the same as on /dev/random (%zu)", i);
	is_ret(read(fd, bytes, sizeof(bytes)), sizeof(bytes), "then a read goes on");
	is_ret(lseek(fd, 0, SEEK_CUR), 0, "and does not move the position");
	is_ret(pread(fd, bytes, sizeof(bytes), 1LL << 40), sizeof(bytes),
	       "pread() reads, wherever");
	is_u64(rngq_client(fd, "available"), 100 - 2 * sizeof(bytes),
	       "only the reads took from the bucket");
	close(like);
	close(fd);
}

int main(void)
{
	test_node();
	test_open_flags();
	test_write();
	test_mmap();
	test_ioctl();
	test_lseek();
	return done_testing();
}
