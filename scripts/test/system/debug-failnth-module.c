// SPDX-License-Identifier: GPL-2.0
/*
 * Loading the module while memory is short or the copy fails: a load that fails
 * leaves no trace, and the next one works. RNGQUOTA_KO names the module, which
 * is left loaded without parameters, as the other tests need it.
 *
 * The module's own part comes at the end of a load. So the last chance of a fault
 * is taken first, then the one before it, and so on. Before the module's part, the
 * loader makes files that it can do without: there it ends.
 *
 * After a failure there, and after each unloading, the kernel waits for the late
 * release of the module's kobject (DEBUG_KOBJECT_RELEASE), for up to 4 s. By
 * then the device has gone. So each attempt loads the module under a name of
 * its own, in a process of its own, which is left to wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failnth.h"
#include "rngq.h"

#define MODULE		"rngquota"
#define PARAMS		"rate_bytes=24 total_rate_bytes=1000 max_clients=9"
#define RATE		"24\n"
/* More chances than there are; and more than are ever taken. */
#define ALL_CHANCES	100000
#define MAX_ATTEMPTS	1000
/* No load fails for so long: all that is left is the loader's. */
#define ENOUGH_QUIET	50
/* No attempt takes longer, not even on a busy machine. */
#define PATIENCE_MS	60000

static char *image;
static size_t image_size;

struct attempt {
	unsigned int nth;
	pid_t pid;			/* 0 once its end was seen */

	/* Filled in by its process. */
	bool has_called;
	unsigned int left;		/* chances that were not needed */
	s64 ret;
	const char *wrong;
};

static struct attempt *attempts;	/* shared with all processes */

static void read_image(void)
{
	const char *path = getenv("RNGQUOTA_KO");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat))
		bail_out("RNGQUOTA_KO names the module");
	image_size = stat.st_size;
	image = malloc(image_size);
	for (size_t had = 0; had < image_size;) {
		ssize_t count = read(fd, image + had, image_size - had);

		if (count <= 0)
			bail_out("%s can be read", path);
		had += count;
	}
	close(fd);
}

/* Its name is in struct module, which has a section of its own. */
static char *name_in_image(void)
{
	struct elf64_hdr *header = (void *)image;
	struct elf64_shdr *sections = (void *)(image + header->e_shoff);
	const char *names = image + sections[header->e_shstrndx].sh_offset;
	char *name = NULL;

	for (int i = 0; i < header->e_shnum; i++)
		if (!strcmp(names + sections[i].sh_name, ".gnu.linkonce.this_module"))
			name = memmem(image + sections[i].sh_offset, sections[i].sh_size,
				      MODULE, sizeof(MODULE));
	if (!name)
		bail_out("the module has a name");
	return name;
}

static bool exists(const char *path)
{
	return !access(path, F_OK);
}

/* Read what may not be there any more. */
static void read_proc(char *text, size_t size, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, text, size - 1);

	text[len < 0 ? 0 : len] = '\0';
	if (fd >= 0)
		close(fd);
}

static const char *trace_left(void)
{
	char misc[4096];

	read_proc(misc, sizeof(misc), "/proc/misc");
	if (!*misc)
		bail_out("/proc/misc can be read");
	if (exists(RNGQ_DEV))
		return RNGQ_DEV " is left";
	if (exists(RNGQ_SYSFS))
		return RNGQ_SYSFS " is left";
	if (exists("/sys/devices/virtual/misc/" MODULE))
		return "the device's folder is left";
	if (strstr(misc, MODULE))
		return "a line in /proc/misc is left";
	return NULL;
}

/*
 * No client is opened: before it is released the module can't be unloaded. So after a
 * fault there may be no clients/ either: open() makes up for that.
 */
static const char *does_not_work(bool was_fault)
{
	char text[32];

	if (!exists(RNGQ_DEV))
		return "there is no " RNGQ_DEV;
	if (rngq_attr_read(text, sizeof(text), "default/rate_bytes") <= 0 || strcmp(text, RATE))
		return "default/ does not work";
	if (rngq_attr_read(text, sizeof(text), "stats/clients") <= 0 || strcmp(text, "0\n"))
		return "stats/ does not work";
	if (!was_fault && !exists(RNGQ_SYSFS "/clients"))
		return "there is no clients/";
	return NULL;
}

/* The process of an attempt: when it ends its module has gone. */
static noreturn void make_attempt(struct attempt *attempt, char *name)
{
	sprintf(name, MODULE "%u", attempt->nth);
	failnth_arm(attempt->nth);
	attempt->ret = syscall(SYS_init_module, image, image_size, PARAMS) ? -errno : 0;
	attempt->left = failnth_disarm();
	attempt->has_called = true;
	if (!attempt->ret) {
		attempt->wrong = does_not_work(!attempt->left);
		if (syscall(SYS_delete_module, name, O_NONBLOCK))
			attempt->wrong = "it can't be unloaded";
	}
	_exit(0);
}

/* Whether it has ended, or nothing is left to it but to wait, see above. */
static bool is_through(struct attempt *attempt)
{
	char path[32], function[64];

	if (waitpid(attempt->pid, NULL, WNOHANG)) {
		attempt->pid = 0;
		return true;
	}
	snprintf(path, sizeof(path), "/proc/%d/wchan", attempt->pid);
	read_proc(function, sizeof(function), path);
	return !strcmp(function, "mod_sysfs_teardown");
}

static void start(struct attempt *attempt, char *name)
{
	u64 give_up_ms = rngq_now_ms() + PATIENCE_MS;
	pid_t pid = fork();

	if (pid < 0)
		bail_out("a process can be started");
	if (!pid)
		make_attempt(attempt, name);
	attempt->pid = pid;
	while (!is_through(attempt)) {
		if (rngq_now_ms() > give_up_ms)
			bail_out("loading or unloading comes to its end");
		rngq_sleep_ms(1);
	}
}

static const char *what_is_wrong(struct attempt *attempt)
{
	if (attempt->wrong)
		return attempt->wrong;
	if (!attempt->has_called)
		return "it was not tried";
	if (attempt->ret && attempt->left)
		return "there was no fault";
	if (attempt->ret && attempt->ret != -ENOMEM && attempt->ret != -EFAULT)
		return "no such errno is expected";
	return NULL;
}

static pid_t main_pid;

static void leave_loaded(void)
{
	if (getpid() != main_pid)
		return;
	rngq_unload();
	rngq_load("");
}

int main(void)
{
	unsigned long faults = 0, failures = 0, wrong = 0;
	unsigned int count = 0, quiet = 0, nth = ALL_CHANCES;
	const char *trace;
	char *name;

	failnth_init();
	read_image();
	name = name_in_image();
	attempts = mmap(NULL, MAX_ATTEMPTS * sizeof(*attempts), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (attempts == MAP_FAILED)
		bail_out("memory can be shared");
	main_pid = getpid();
	if (rngq_unload() || atexit(leave_loaded))
		bail_out("nobody else uses the module");
	do {
		struct attempt *attempt = &attempts[count++];

		attempt->nth = nth--;
		start(attempt, name);
		trace = trace_left();
		if (count == 1)
			nth -= attempt->left;
		/* After a failure it waits in the call, else in the unloading. */
		quiet = attempt->pid && !attempt->has_called ? 0 : quiet + 1;
	} while (!trace && nth && quiet < ENOUGH_QUIET && count < MAX_ATTEMPTS);

	for (unsigned int i = 0; i < count; i++) {
		struct attempt *attempt = &attempts[i];
		const char *what;

		if (attempt->pid)
			waitpid(attempt->pid, NULL, 0);
		what = what_is_wrong(attempt);
		if (what) {
			diag("fault %u: returned %lld: %s", attempt->nth, attempt->ret, what);
			wrong++;
		}
		faults += !attempt->left;
		failures += attempt->ret < 0;
	}
	ok(attempts[0].left && !attempts[0].ret, "it can be loaded");
	is_str(trace ?: "", "", "whatever fails, nothing is left of it");
	is_u64(wrong, 0, "and all is in order");
	ok(quiet == ENOUGH_QUIET, "back to where no load fails");
	ok(failures > 0, "and loads did fail (%lu faults, %lu failures)", faults, failures);
	tried("fail-nth: init_module() with parameters", "%lu faults", faults);
	return done_testing();
}
