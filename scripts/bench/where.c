// SPDX-License-Identifier: GPL-2.0
/*
 * where FILE BYTES: read that many bytes, some calls from each source, while the
 * host logs every instruction. Before and after it says "begin SOURCE" and "end
 * SOURCE", and waits on the fourth serial port until the host is ready.
 *
 * FILE has the addresses of the kernel's functions, as /proc/kallsyms has them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "rngq.h"

#define MAX_BYTES	4096
#define WARM_UP		50
#define CALLS		20

/* The second is never used up. */
static const struct {
	const char *name;
	const char *rate_bytes;		/* of the default quota; NULL: /dev/urandom */
} sources[] = {
	{ "urandom", NULL },
	{ "max", "max" },
	{ "limited", "1073741824" },
};

static int host;

static void tell(const char *what, const char *source)
{
	char answer;

	printf("%s %s\n", what, source);
	fflush(stdout);
	if (read(host, &answer, 1) != 1)
		bail_out("the host answers");
}

static void read_calls(int fd, size_t size, int calls)
{
	static char bytes[MAX_BYTES];

	while (calls--)
		if (syscall(SYS_read, fd, bytes, size) != (long)size)
			bail_out("a read gives all");
}

static void copy_symbols(FILE *to)
{
	FILE *symbols = fopen("/proc/kallsyms", "r");
	char line[512];

	if (!symbols)
		bail_out("the kernel tells its functions' addresses");
	while (fgets(line, sizeof(line), symbols))
		fputs(line, to);
	fclose(symbols);
}

int main(int argc, char **argv)
{
	FILE *measured = argc == 3 ? fopen(argv[1], "w") : NULL;
	size_t size = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct termios raw;

	if (!measured || !size || size > MAX_BYTES) {
		fprintf(stderr, "usage: where FILE BYTES\n");
		return EXIT_FAILURE;
	}
	host = open("/dev/ttyS3", O_RDWR);
	if (host < 0 || tcgetattr(host, &raw))
		bail_out("there is a fourth serial port");
	cfmakeraw(&raw);
	tcsetattr(host, TCSANOW, &raw);
	copy_symbols(measured);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		int fd;

		if (sources[i].rate_bytes &&
		    rngq_attr_write(sources[i].rate_bytes, "default/rate_bytes"))
			bail_out("the default quota can be set");
		fd = open(sources[i].rate_bytes ? RNGQ_DEV : "/dev/urandom", O_RDONLY);
		if (fd < 0)
			bail_out("%s can be opened", sources[i].name);
		read_calls(fd, size, WARM_UP);
		tell("begin", sources[i].name);
		read_calls(fd, size, CALLS);
		tell("end", sources[i].name);
		close(fd);
	}
	return fclose(measured) ? EXIT_FAILURE : EXIT_SUCCESS;
}
