// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's side of virtio-rng over QEMU's qtest protocol: legacy PCI
 * transport, one queue, one descriptor a buffer.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qtest.h"
#include "rngq.h"

#define QEMU			"qemu-system-x86_64"

/* QEMU under a second emulator, with 19 others: minutes would be a hang. */
#define ANSWER_TIMEOUT_MS	(120000 * rngq_slowness())

/* What QEMU reads of the connection, and obeys, before it does anything else */
#define VOLLEY_SIZE		1024

#define FIRMWARE_SIZE		65536
#define X86_HLT			0xf4

#define PCI_SLOT		4
#define PCI_ADDRESS_PORT	0xcf8
#define PCI_DATA_PORT		0xcfc
#define PCI_ENABLE		0x80000000u
#define PCI_ID			0x00
#define PCI_COMMAND		0x04
#define PCI_COMMAND_IO_MASTER	0x5
#define PCI_BAR0		0x10
/* Vendor 0x1af4, transitional device 0x1005: entropy source. */
#define PCI_ID_VIRTIO_RNG	0x10051af4u

/* Where the guest puts the device's registers and its memory. */
#define IO_BASE			0xc000
#define RING_ADDRESS		0x100000
#define BUFFERS_ADDRESS		0x200000
#define BUFFER_SIZE		0x10000

/* Legacy virtio-pci registers. */
#define VIRTIO_QUEUE_PFN	(IO_BASE + 8)
#define VIRTIO_QUEUE_SIZE	(IO_BASE + 12)
#define VIRTIO_QUEUE_SELECT	(IO_BASE + 14)
#define VIRTIO_QUEUE_NOTIFY	(IO_BASE + 16)
#define VIRTIO_STATUS		(IO_BASE + 18)
#define VIRTIO_STATUS_DRIVER	0x3
#define VIRTIO_STATUS_DRIVER_OK	0x7
#define VIRTIO_PAGE_SIZE	4096
#define VIRTQ_DESC_SIZE		16
#define VIRTQ_DESC_F_WRITE	2

/* Returns whether there still is a QEMU that takes it. */
static bool send_text(struct guest *guest, const char *text)
{
	size_t length = strlen(text), done = 0;

	while (done < length) {
		ssize_t n = send(guest->fd, text + done, length - done,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		done += n;
	}
	return true;
}

/* What recv() returns, once there is something: 0 if QEMU has gone. */
static size_t receive_text(struct guest *guest, char *text, size_t size)
{
	struct pollfd pfd = { .fd = guest->fd, .events = POLLIN };
	ssize_t n;

	do {
		if (poll(&pfd, 1, ANSWER_TIMEOUT_MS) == 0)
			bail_out("QEMU %d answers within %u ms", guest->pid,
				 ANSWER_TIMEOUT_MS);
		n = recv(guest->fd, text, size, 0);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? n : 0;
}

static void receive_line(struct guest *guest, char *line, size_t size)
{
	size_t length = 0;

	for (;;) {
		size_t n = receive_text(guest, line + length,
					size - 1 - length);

		if (!n)
			bail_out("QEMU %d runs on", guest->pid);
		length += n;
		line[length] = '\0';
		/* One command at a time: nothing follows the answer's line. */
		if (line[length - 1] == '\n')
			return;
		if (length == size - 1)
			bail_out("QEMU %d answers in %zu characters",
				 guest->pid, size);
	}
}

/* Send a command; returns the rest of QEMU's "OK" line in @answer. */
__printf(4, 5)
static void command(struct guest *guest, char *answer, size_t size,
		    const char *format, ...)
{
	char line[128];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (!send_text(guest, line))
		bail_out("QEMU %d listens", guest->pid);
	receive_line(guest, answer, size);
	if (strncmp(answer, "OK", 2) != 0)
		bail_out("QEMU %d obeys '%.*s': %s", guest->pid,
			 (int)strcspn(line, "\n"), line, answer);
}

static void write_value(struct guest *guest, const char *verb, u64 where,
			u64 value)
{
	char answer[64];

	command(guest, answer, sizeof(answer), "%s 0x%llx 0x%llx\n",
		verb, where, value);
}

static u64 read_value(struct guest *guest, const char *verb, u64 where)
{
	char answer[64];

	command(guest, answer, sizeof(answer), "%s 0x%llx\n", verb, where);
	return strtoull(answer + strlen("OK "), NULL, 0);
}

static void read_memory(struct guest *guest, u64 where, void *data,
			unsigned int bytes)
{
	/* "OK 0x", two digits a byte, newline */
	size_t size = strlen("OK 0x") + 2 * (size_t)bytes + 2;
	char *answer = malloc(size);
	const char *digits;

	if (!answer)
		bail_out("there is memory");
	command(guest, answer, size, "read 0x%llx 0x%x\n", where, bytes);
	digits = answer + strlen("OK 0x");
	for (unsigned int i = 0; i < bytes; i++) {
		unsigned int byte;

		if (sscanf(digits + 2 * i, "%2x", &byte) != 1)
			bail_out("QEMU %d dumps memory in hex", guest->pid);
		((unsigned char *)data)[i] = byte;
	}
	free(answer);
}

static unsigned int pci_address(unsigned int where)
{
	return PCI_ENABLE | PCI_SLOT << 11 | where;
}

static unsigned int pci_read(struct guest *guest, unsigned int where)
{
	write_value(guest, "outl", PCI_ADDRESS_PORT, pci_address(where));
	return read_value(guest, "inl", PCI_DATA_PORT);
}

static void pci_write(struct guest *guest, unsigned int where,
		      unsigned int value)
{
	write_value(guest, "outl", PCI_ADDRESS_PORT, pci_address(where));
	write_value(guest, "outl", PCI_DATA_PORT, value);
}

static u64 avail_address(const struct guest *guest)
{
	return RING_ADDRESS + (u64)guest->slots * VIRTQ_DESC_SIZE;
}

static u64 used_address(const struct guest *guest)
{
	/* flags, index, ring and used_event, then up to the next page */
	u64 end = avail_address(guest) + 2 * (3 + guest->slots);

	return (end + VIRTIO_PAGE_SIZE - 1) / VIRTIO_PAGE_SIZE *
	       VIRTIO_PAGE_SIZE;
}

static u64 buffer_address(unsigned int slot)
{
	return BUFFERS_ADDRESS + (u64)slot * BUFFER_SIZE;
}

/* A firmware in memory: whatever address the CPU starts at, it halts. */
static int make_firmware(void)
{
	static unsigned char image[FIRMWARE_SIZE];
	int fd = memfd_create("firmware", MFD_CLOEXEC);

	memset(image, X86_HLT, sizeof(image));
	if (fd < 0 || write(fd, image, sizeof(image)) != sizeof(image))
		bail_out("the firmware fits into a memfd");
	return fd;
}

static void run_qemu(const struct guest_options *options, int qtest_fd,
		     int firmware_fd)
{
	char firmware[64], chardev[64], object[256], device[256];
	struct stat file;

	/* The device's group may read it, whoever the user is. */
	if (options->uid &&
	    (stat(options->filename, &file) || setgroups(0, NULL) ||
	     setresgid(file.st_gid, file.st_gid, file.st_gid) ||
	     setresuid(options->uid, options->uid, options->uid))) {
		perror("becoming another user");
		return;
	}
	/* When khugepaged finds the time it gives a process memory it did not ask for. */
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)) {
		perror("PR_SET_THP_DISABLE");
		return;
	}
	/* No QEMU outlives its test. (A change of user drops this.) */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL)) {
		perror("PR_SET_PDEATHSIG");
		return;
	}
	snprintf(firmware, sizeof(firmware), "/proc/self/fd/%d", firmware_fd);
	snprintf(chardev, sizeof(chardev), "socket,id=qtest,fd=%d", qtest_fd);
	snprintf(object, sizeof(object), "rng-random,id=rng0,filename=%s",
		 options->filename);
	snprintf(device, sizeof(device),
		 "virtio-rng-pci,rng=rng0,addr=%d,disable-modern=on%s%s",
		 PCI_SLOT, options->device ? "," : "",
		 options->device ? options->device : "");
	/* TAP lives on stdout: QEMU is to say what it has to say on stderr. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execlp(QEMU, QEMU, "-accel", "tcg,thread=single,tb-size=4",
	       "-machine", "pc", "-m", "16", "-nodefaults", "-no-user-config",
	       "-display", "none", "-bios", firmware, "-chardev", chardev,
	       "-qtest", "chardev:qtest", "-qtest-log", "none",
	       "-object", object, "-device", device, NULL);
	perror(QEMU);
}

void guest_start(struct guest *guest, const struct guest_options *options)
{
	int fds[2], firmware_fd = make_firmware();

	/* The other guests' connections must not leak into this QEMU. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		bail_out("there are sockets for qtest");
	*guest = (struct guest){ .fd = fds[0] };
	guest->pid = fork();
	if (guest->pid < 0)
		bail_out("QEMU can be forked");
	if (!guest->pid) {
		fcntl(fds[1], F_SETFD, 0);
		fcntl(firmware_fd, F_SETFD, 0);
		run_qemu(options, fds[1], firmware_fd);
		_exit(EXIT_FAILURE);
	}
	close(firmware_fd);
	close(fds[1]);
}

void guest_wait_up(struct guest *guest)
{
	/* It answers once its devices exist. */
	pci_read(guest, PCI_ID);
}

u64 guest_client(const struct guest *guest)
{
	DIR *clients = opendir(RNGQ_SYSFS "/clients");
	struct dirent *entry;
	u64 id = 0;

	if (!clients)
		bail_out("there is a folder of clients");
	while (!id && (entry = readdir(clients))) {
		char pid[32];

		/* A client may go while we look. */
		if (rngq_attr_read(pid, sizeof(pid), "clients/%s/pid",
				   entry->d_name) > 0 &&
		    atoi(pid) == guest->pid)
			id = strtoull(entry->d_name, NULL, 10);
	}
	closedir(clients);
	return id;
}

void guest_init_rng(struct guest *guest)
{
	unsigned int id = pci_read(guest, PCI_ID);

	if (id != PCI_ID_VIRTIO_RNG)
		bail_out("QEMU %d has a virtio-rng, not %#x", guest->pid, id);
	pci_write(guest, PCI_BAR0, IO_BASE);
	pci_write(guest, PCI_COMMAND, PCI_COMMAND_IO_MASTER);
	write_value(guest, "outb", VIRTIO_STATUS, 0);
	write_value(guest, "outb", VIRTIO_STATUS, VIRTIO_STATUS_DRIVER);
	write_value(guest, "outw", VIRTIO_QUEUE_SELECT, 0);
	guest->slots = read_value(guest, "inw", VIRTIO_QUEUE_SIZE);
	if (!guest->slots)
		bail_out("QEMU %d: virtio-rng has a queue", guest->pid);
	guest->posted = 0;
	guest->fetched = 0;
	write_value(guest, "outl", VIRTIO_QUEUE_PFN,
		    RING_ADDRESS / VIRTIO_PAGE_SIZE);
	write_value(guest, "outb", VIRTIO_STATUS, VIRTIO_STATUS_DRIVER_OK);
}

u64 guest_boot(struct guest *guest, const char *device)
{
	struct guest_options options = {
		.filename = RNGQ_DEV, .device = device,
	};
	u64 id;

	guest_start(guest, &options);
	guest_wait_up(guest);
	id = guest_client(guest);
	if (!id)
		bail_out("there is a client with QEMU's pid");
	guest_init_rng(guest);
	return id;
}

void guest_post(struct guest *guest, unsigned int bytes)
{
	unsigned int slot = guest->posted % guest->slots;
	u64 desc = RING_ADDRESS + (u64)slot * VIRTQ_DESC_SIZE;

	if (guest_outstanding(guest) == guest->slots || bytes > BUFFER_SIZE)
		bail_out("what a test posts fits into the queue");
	write_value(guest, "writeq", desc, buffer_address(slot));
	write_value(guest, "writel", desc + 8, bytes);
	write_value(guest, "writel", desc + 12, VIRTQ_DESC_F_WRITE);
	write_value(guest, "writew", avail_address(guest) + 4 + 2 * slot, slot);
	guest->posted++;
	write_value(guest, "writew", avail_address(guest) + 2, guest->posted);
}

void guest_notify(struct guest *guest)
{
	write_value(guest, "outw", VIRTIO_QUEUE_NOTIFY, 0);
}

bool guest_volley(struct guest *guest, unsigned int times)
{
	char line[24], text[VOLLEY_SIZE + 1] = "", answers[VOLLEY_SIZE];
	size_t length, wanted = strlen("OK\n") * times, got = 0;

	length = snprintf(line, sizeof(line), "outb 0x%x 0x%x\n",
			  VIRTIO_STATUS, VIRTIO_STATUS_DRIVER_OK);
	if (times * length > VOLLEY_SIZE)
		bail_out("QEMU reads a volley of %u at once", times);
	for (unsigned int i = 0; i < times; i++)
		memcpy(text + i * length, line, length + 1);
	if (!send_text(guest, text))
		return false;
	while (got < wanted) {
		size_t n = receive_text(guest, answers + got, wanted - got);

		if (!n)
			return false;
		got += n;
	}
	for (got = 0; got < wanted; got += strlen("OK\n"))
		if (strncmp(answers + got, "OK\n", strlen("OK\n")) != 0)
			bail_out("QEMU %d obeys each of a volley", guest->pid);
	return true;
}

unsigned int guest_outstanding(const struct guest *guest)
{
	return (unsigned short)(guest->posted - guest->fetched);
}

int guest_fetch(struct guest *guest, void *data)
{
	u64 used = used_address(guest), element;
	unsigned int slot, bytes;

	if ((unsigned short)read_value(guest, "readw", used + 2) == guest->fetched)
		return GUEST_NOTHING;
	element = used + 4 + 8 * (u64)(guest->fetched % guest->slots);
	slot = read_value(guest, "readl", element);
	bytes = read_value(guest, "readl", element + 4);
	if (slot >= guest->slots || bytes > BUFFER_SIZE)
		bail_out("QEMU %d: the used ring is sane, not slot %u, %u bytes",
			 guest->pid, slot, bytes);
	if (data)
		read_memory(guest, buffer_address(slot), data, bytes);
	guest->fetched++;
	guest->got_bytes += bytes;
	return bytes;
}

unsigned int guest_serve(struct guest *guest, unsigned int bytes)
{
	int came = GUEST_NOTHING;

	if (guest_outstanding(guest))
		came = guest_fetch(guest, NULL);
	if (!guest_outstanding(guest)) {
		guest_post(guest, bytes);
		guest_notify(guest);
	}
	return came == GUEST_NOTHING ? 0 : came;
}

bool guest_alive(struct guest *guest)
{
	if (guest->pid && waitpid(guest->pid, NULL, WNOHANG) == guest->pid)
		guest->pid = 0;
	return guest->pid;
}

void guest_kill(struct guest *guest)
{
	if (guest->pid) {
		kill(guest->pid, SIGKILL);
		waitpid(guest->pid, NULL, 0);
		guest->pid = 0;
	}
	close(guest->fd);
}
