// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "rngq.h"

static char root[32];

static int write_file(const char *name, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s/%s", root, name, file);
	return rngq_write_file(path, text);
}

static void unmount(void)
{
	write_file(".", "cgroup.subtree_control", "-memory");
	umount2(root, MNT_DETACH);
	rmdir(root);
}

void cgroup_mount(void)
{
	snprintf(root, sizeof(root), "/tmp/rngq-cgroups-XXXXXX");
	if (!mkdtemp(root) || atexit(unmount) ||
	    mount("none", root, "cgroup2", 0, NULL) ||
	    write_file(".", "cgroup.subtree_control", "+memory"))
		bail_out("cgroup v2 can be mounted, and has a memory controller");
}

void cgroup_make(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (mkdir(path, 0755))
		bail_out("there can be a cgroup %s", name);
}

void cgroup_remove(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (rmdir(path))
		bail_out("cgroup %s can be removed", name);
}

int cgroup_enter(const char *name, pid_t pid)
{
	char text[24];

	snprintf(text, sizeof(text), "%d", pid);
	return write_file(name, "cgroup.procs", text);
}

void cgroup_set(const char *name, const char *file, u64 number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", number);
	if (write_file(name, file, text))
		bail_out("%s of cgroup %s can be set to %s", file, name, text);
}

u64 cgroup_get(const char *name, const char *file, const char *key)
{
	size_t length = key ? strlen(key) : 0;
	char path[128], line[256];
	bool found = false;
	u64 number = 0;
	FILE *stream;

	snprintf(path, sizeof(path), "%s/%s/%s", root, name, file);
	stream = fopen(path, "re");
	while (stream && !found && fgets(line, sizeof(line), stream)) {
		found = !key ||
			(!strncmp(line, key, length) && line[length] == ' ');
		number = strtoull(line + length, NULL, 10);
	}
	if (!found)
		bail_out("%s can be read", path);
	fclose(stream);
	return number;
}
