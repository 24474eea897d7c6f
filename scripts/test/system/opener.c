// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opener.h"
#include "rngq.h"

#define KEEPER_FDS	64

/* What an opener is told: to close a descriptor, else to open. */
struct command {
	int close_fd;
	int flags;
};

/* Run by the opener, until it is killed. */
static noreturn void obey(int socket, pid_t parent)
{
	struct command command;

	/* It must not outlive us; nor does it if we went before this call. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	while (recv(socket, &command, sizeof(command), 0) == sizeof(command)) {
		int answer = 0;

		if (command.close_fd >= 0)
			close(command.close_fd);
		else
			answer = open(RNGQ_DEV, O_RDONLY | command.flags);
		if (answer < 0)
			answer = -errno;
		if (send(socket, &answer, sizeof(answer), 0) != sizeof(answer))
			break;
	}
	_exit(1);
}

void opener_start_as(struct opener *opener, pid_t pid)
{
	struct clone_args args = {
		.flags = CLONE_FILES,
		.exit_signal = SIGCHLD,
		.set_tid = pid ? (u64)(unsigned long)&pid : 0,
		.set_tid_size = pid ? 1 : 0,
	};
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, opener->sockets))
		bail_out("there are sockets");
	opener->pid = syscall(SYS_clone3, &args, sizeof(args));
	if (opener->pid < 0)
		bail_out("an opener can be started");
	if (!opener->pid)
		obey(opener->sockets[1], parent);
}

void opener_start(struct opener *opener)
{
	opener_start_as(opener, 0);
}

static int tell(struct opener *opener, const struct command *command)
{
	int answer;

	if (send(opener->sockets[0], command, sizeof(*command), 0) != sizeof(*command) ||
	    recv(opener->sockets[0], &answer, sizeof(answer), 0) != sizeof(answer))
		bail_out("opener %d answers", opener->pid);
	return answer;
}

int opener_try(struct opener *opener, int flags)
{
	return tell(opener, &(struct command){ .close_fd = -1, .flags = flags });
}

int opener_open(struct opener *opener)
{
	int fd = opener_try(opener, 0);

	if (fd < 0) {
		errno = -fd;
		bail_out("%s can be opened", RNGQ_DEV);
	}
	return fd;
}

void opener_close(struct opener *opener, int fd)
{
	tell(opener, &(struct command){ .close_fd = fd });
}

int opener_reopen(struct opener *opener, int fd)
{
	opener_close(opener, fd);
	return opener_open(opener);
}

void opener_end(struct opener *opener)
{
	kill(opener->pid, SIGKILL);
	if (waitpid(opener->pid, NULL, 0) != opener->pid)
		bail_out("opener %d ends", opener->pid);
	close(opener->sockets[0]);
	close(opener->sockets[1]);
}

int send_descriptor(int socket, int fd, int flags)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &msg, flags) < 0 ? -errno : 0;
}

int receive_descriptor(int socket, int flags)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t size = recvmsg(socket, &msg, flags);
	int fd;

	if (size < 0)
		return -errno;
	if (!size)
		return -ECONNRESET;
	if (!CMSG_FIRSTHDR(&msg))
		return -ENOMSG;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Run by the keeper: a message without a descriptor tells it to drop all. */
static noreturn void keep(int socket)
{
	int fds[KEEPER_FDS], count = 0;

	while (count < KEEPER_FDS) {
		int fd = receive_descriptor(socket, 0);

		if (fd >= 0) {
			fds[count++] = fd;
		} else if (fd == -ENOMSG) {
			while (count)
				close(fds[--count]);
		} else {
			break;
		}
		if (send(socket, "", 1, 0) != 1)
			break;
	}
	_exit(0);
}

void keeper_start(struct keeper *keeper)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		bail_out("there are sockets");
	keeper->pid = fork();
	if (keeper->pid < 0)
		bail_out("a keeper can be started");
	if (!keeper->pid) {
		close(sockets[0]);
		keep(sockets[1]);
	}
	close(sockets[1]);
	keeper->socket = sockets[0];
}

static void await_keeper(struct keeper *keeper)
{
	char byte;

	if (recv(keeper->socket, &byte, 1, 0) != 1)
		bail_out("keeper %d answers", keeper->pid);
}

void keeper_give(struct keeper *keeper, int fd)
{
	if (send_descriptor(keeper->socket, fd, 0))
		bail_out("a descriptor can be sent");
	await_keeper(keeper);
}

void keeper_drop(struct keeper *keeper)
{
	if (send(keeper->socket, "", 1, 0) != 1)
		bail_out("keeper %d can be told", keeper->pid);
	await_keeper(keeper);
}

void keeper_end(struct keeper *keeper)
{
	/* It sees that the connection has ended, and so does it. */
	close(keeper->socket);
	if (waitpid(keeper->pid, NULL, 0) != keeper->pid)
		bail_out("keeper %d ends", keeper->pid);
}
