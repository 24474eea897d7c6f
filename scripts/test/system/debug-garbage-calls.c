// SPDX-License-Identifier: GPL-2.0
/*
 * Random system calls with random arguments on descriptors of the device.
 * Processes that share a few clients make them, and may die of it; a timer gets
 * them out of those that sleep. Whatever they did: no read gave what it must
 * not, the counters add up, no client and not all together had more than is
 * promised, what was not delivered is still there, and all clients go away.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/kcmp.h>
#include <linux/random.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"
#include "garbage.h"
#include "opener.h"
#include "rngq.h"

#define PHASE_MS	(20 * 1000)
#define PROCESSES	3
#define CALLS		2000	/* of a process, at the most */
#define TIMER_US	5000
#define HANG_MS		60000
#define PAGE		4096UL
#define ARENA_PAGES	32
#define SLOTS		8
#define FIRST_SLOT	64	/* descriptors of the device, to be closed and replaced */
#define FIRST_KEPT	48	/* those that they are copies of */
#define MAX_WRONG	10

/* None is unlimited: sendfile() would go on for 2 GiB, whatever signal comes. */
static const struct {
	int flags;
	struct crowd_quota quota;
} kinds[] = {
	{ 0, { 1ULL << 26, HOUR_MS, 0 } },	/* hardly ever empty */
	{ 0, { 20000, HOUR_MS, 0 } },		/* soon empty for good: who reads, sleeps */
	{ O_NONBLOCK, { 20000, HOUR_MS, 0 } },
	{ 0, { 1000, 20, 500 } },
	{ O_NONBLOCK, { 1, 1, 0 } },
	{ 0, { 1ULL << 20, 100, 1 << 20 } },
};

#define CLIENTS		ARRAY_SIZE(kinds)

static const struct crowd_quota total = { 20000, 10, 0 };

static int clients[CLIENTS];

/* What the processes tell. */
static struct shared {
	atomic_bool stop;
	atomic_ullong calls;
	atomic_ullong succeeded;
	atomic_uint wrong;
	atomic_uint made[100];		/* of each kind of call */
	atomic_int doing[PROCESSES];	/* which of them */
	char text[MAX_WRONG][200];
} *shared;

/* From here on, in one of the processes. */
static struct garbage garbage;
static char *arena, *read_only, *forbidden;
static int others[16];
static size_t count_others;
static int pipes[2], ring_pipe[2], sockets[2], epoll;
static struct io_uring ring;
static aio_context_t aio;
static struct iovec vector[1100];
static struct pollfd pollfds[SLOTS];
static u64 asked;			/* by a read; ~0: can't tell */

static int slot(void)
{
	return FIRST_SLOT + garbage_below(&garbage, SLOTS);
}

static void fill_slot(int fd)
{
	dup2(FIRST_KEPT + garbage_below(&garbage, CLIENTS), fd);
}

static int other(void)
{
	return others[garbage_below(&garbage, count_others)];
}

/* Never where this program has its own. */
static unsigned long pointer(void)
{
	unsigned long end = (unsigned long)arena + ARENA_PAGES * PAGE;

	switch (garbage_below(&garbage, 16)) {
	case 0:
		return garbage_below(&garbage, 2 * PAGE);
	case 1:
		return (unsigned long)read_only + garbage_below(&garbage, PAGE);
	case 2:
		return (unsigned long)forbidden + garbage_below(&garbage, PAGE);
	case 3:
		return 0xffff888000000000 + garbage_below(&garbage, 1 << 30);
	case 4:
		return 0xffffffff81000000 + garbage_below(&garbage, 1 << 24);
	case 5:
		return -1UL - garbage_below(&garbage, PAGE);
	case 6:
		return (1UL << 47) - garbage_below(&garbage, PAGE);
	case 7 ... 9:
		return end - garbage_below(&garbage, 300);
	default:
		return (unsigned long)arena + garbage_below(&garbage, ARENA_PAGES * PAGE);
	}
}

static size_t length(void)
{
	static const size_t ends[] = {
		0, 0, 1, 2, INT_MAX, UINT_MAX, SSIZE_MAX, SIZE_MAX, 0x7ffff000,
		(size_t)SSIZE_MAX + 1,
	};

	switch (garbage_below(&garbage, 8)) {
	case 0 ... 2:
		return garbage_below(&garbage, 300);
	case 3 ... 4:
		return garbage_below(&garbage, 3 * PAGE);
	case 5:
		return garbage_magnitude(&garbage);
	case 6:
		return garbage_boundary(&garbage);
	default:
		return ends[garbage_below(&garbage, ARRAY_SIZE(ends))];
	}
}

static unsigned long number(void)
{
	unsigned long n = garbage_chance(&garbage, 50) ? garbage_magnitude(&garbage) :
							 garbage_boundary(&garbage);

	return garbage_chance(&garbage, 20) ? -n : n;
}

/* Mostly few bits, which mean something. */
static unsigned int flags(unsigned int known)
{
	return garbage_chance(&garbage, 10) ? garbage_u64(&garbage) :
	       garbage_u64(&garbage) & garbage_u64(&garbage) & known;
}

static unsigned long iovec(size_t *count)
{
	static const size_t counts[] = { 0, 1024, 1025, SIZE_MAX, INT_MAX };
	size_t filled;

	*count = garbage_chance(&garbage, 10) ?
		 counts[garbage_below(&garbage, ARRAY_SIZE(counts))] :
		 1 + garbage_below(&garbage, 9);
	filled = *count < ARRAY_SIZE(vector) ? *count : ARRAY_SIZE(vector);
	asked = 0;
	for (size_t i = 0; i < filled; i++) {
		vector[i].iov_base = (void *)pointer();
		vector[i].iov_len = filled > 9 ? garbage_below(&garbage, 64) : length();
		asked = asked + vector[i].iov_len < asked ? ~0ULL :
			asked + vector[i].iov_len;
	}
	if (garbage_chance(&garbage, 90))
		return (unsigned long)vector;
	asked = ~0ULL;
	return pointer();
}

static unsigned long request(void)
{
	static const unsigned long known[] = {
		FIONREAD, FIONBIO, FIOASYNC, FIOCLEX, FIONCLEX, FIGETBSZ, FIOQSIZE,
		FIBMAP, FICLONE, FIDEDUPERANGE, RNDGETENTCNT, RNDADDTOENTCNT,
		RNDADDENTROPY, RNDZAPENTCNT, RNDCLEARPOOL, RNDRESEEDCRNG, BLKGETSIZE64,
		BLKFLSBUF, 0x5401, 0x5421, 0x541b,
	};

	return garbage_chance(&garbage, 60) ? known[garbage_below(&garbage, ARRAY_SIZE(known))] :
	       garbage_u64(&garbage);
}

static unsigned long path(void)
{
	static char text[40];

	switch (garbage_below(&garbage, 4)) {
	case 0:
		return (unsigned long)"";
	case 1:
		return pointer();
	case 2:
		return (unsigned long)RNGQ_DEV;
	default:
		snprintf(text, sizeof(text), "/proc/self/fd/%d", slot());
		return (unsigned long)text;
	}
}

static long call_fcntl(void)
{
	static const int commands[] = {
		F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETFL, F_SETFL,
		F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
		F_GETOWN, F_SETOWN, F_GETOWN_EX, F_GETSIG, F_SETSIG, F_SETLEASE,
		F_GETLEASE, F_NOTIFY, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS,
		F_GET_SEALS, F_SET_RW_HINT, F_GET_RW_HINT, F_SET_FILE_RW_HINT,
	};
	int command = commands[garbage_below(&garbage, ARRAY_SIZE(commands))];
	long ret, argument = garbage_chance(&garbage, 50) ? pointer() : number();

	if (command == F_SETFL)
		argument = flags(O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK);
	if (command == F_SETOWN)
		argument = garbage_chance(&garbage, 50) ? getpid() : -getpid();
	ret = syscall(SYS_fcntl, slot(), command, argument);
	if (command == F_DUPFD_CLOEXEC && ret >= 0)
		close(ret);
	return ret;
}

/* Never over our own memory, and of nothing but the device. */
static long call_mmap(void)
{
	return syscall(SYS_mmap, garbage_chance(&garbage, 80) ? 0 : pointer(), length(),
		       flags(PROT_READ | PROT_WRITE | PROT_EXEC),
		       (flags(MAP_SHARED | MAP_PRIVATE | MAP_NORESERVE | MAP_SYNC) &
			~(MAP_ANONYMOUS | MAP_FIXED)) | MAP_SHARED, slot(), number());
}

/* What pointers point to changes. */
static long call_mprotect(void)
{
	return mprotect(arena + garbage_below(&garbage, ARENA_PAGES) * PAGE, PAGE,
			garbage_chance(&garbage, 80) ? PROT_READ | PROT_WRITE :
			garbage_chance(&garbage, 50) ? PROT_READ : PROT_NONE);
}

static long call_madvise(void)
{
	return madvise(arena + garbage_below(&garbage, ARENA_PAGES) * PAGE, PAGE,
		       MADV_DONTNEED);
}

static long call_close(void)
{
	int fd = slot();
	long ret = close(fd);

	fill_slot(fd);
	return ret;
}

static long call_close_range(void)
{
	int fd = slot();
	long ret = syscall(SYS_close_range, fd, FIRST_SLOT + SLOTS - 1,
			   garbage_below(&garbage, 8));

	for (; fd < FIRST_SLOT + SLOTS; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			fill_slot(fd);
	return ret;
}

/* What comes is put in a slot, as others are. */
static long take_in(long fd)
{
	if (fd >= 0) {
		dup2(fd, slot());
		close(fd);
	}
	return fd;
}

static long call_open(void)
{
	int how = flags(O_ACCMODE | O_NONBLOCK | O_APPEND | O_TRUNC | O_NOATIME |
			O_DIRECTORY | O_NOFOLLOW | O_DSYNC | O_CLOEXEC);

	return take_in(openat(slot(), (char *)path(), how & ~(O_PATH | O_TMPFILE | O_CREAT)));
}

static long call_handle(void)
{
	struct {
		struct file_handle handle;
		char room[MAX_HANDLE_SZ];
	} h = { .handle.handle_bytes = garbage_below(&garbage, MAX_HANDLE_SZ + 2) };
	int mount;

	if (syscall(SYS_name_to_handle_at, slot(), path(), &h, &mount,
		    garbage_chance(&garbage, 80) ? AT_EMPTY_PATH : flags(0x1c00)) ||
	    garbage_chance(&garbage, 20))
		((char *)&h)[garbage_below(&garbage, sizeof(h))] ^= 1;
	return take_in(syscall(SYS_open_by_handle_at, slot(), &h, O_NONBLOCK));
}

static long call_pidfd_getfd(void)
{
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	long ret = take_in(syscall(SYS_pidfd_getfd, pidfd, slot(),
				   garbage_chance(&garbage, 90) ? 0 : number()));

	close(pidfd);
	return ret;
}

static long call_scm_rights(void)
{
	if (garbage_chance(&garbage, 50))
		return send_descriptor(sockets[0], slot(), flags(~0U) | MSG_DONTWAIT);
	return take_in(receive_descriptor(sockets[1], MSG_DONTWAIT |
					  (garbage_chance(&garbage, 20) ? MSG_PEEK : 0)));
}

/* Pipes are emptied now and then, so that they take something. */
static long call_drain(void)
{
	char bytes[3 * PAGE];

	return read(pipes[0], bytes, sizeof(bytes));
}

static long call_aio(void)
{
	struct timespec now = { };
	struct io_event events[16];
	struct iocb iocb = {
		.aio_lio_opcode = garbage_below(&garbage, 10),
		.aio_reqprio = garbage_chance(&garbage, 90) ? 0 : number(),
		.aio_rw_flags = garbage_chance(&garbage, 70) ? 0 : flags(0x1f),
		.aio_fildes = slot(),
		.aio_nbytes = length(),
		.aio_offset = number(),
		.aio_flags = garbage_chance(&garbage, 80) ? 0 : flags(3),
		.aio_resfd = other(),
	}, *list[] = { &iocb };
	bool is_vector = iocb.aio_lio_opcode == IOCB_CMD_PREADV ||
			 iocb.aio_lio_opcode == IOCB_CMD_PWRITEV;
	size_t count = iocb.aio_nbytes;
	long ret;

	iocb.aio_buf = is_vector ? iovec(&count) : pointer();
	if (iocb.aio_lio_opcode == IOCB_CMD_POLL)
		iocb.aio_buf = flags(0xffff);
	iocb.aio_nbytes = count;
	ret = syscall(SYS_io_submit, aio, 1, list);
	syscall(SYS_io_getevents, aio, 0, ARRAY_SIZE(events), events, &now);
	return ret;
}

__printf(1, 2)
static void complain(const char *format, ...)
{
	unsigned int wrong = shared->wrong++;
	va_list args;

	va_start(args, format);
	if (wrong < MAX_WRONG)
		vsnprintf(shared->text[wrong], sizeof(shared->text[wrong]), format, args);
	va_end(args);
}

static void reap(void)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&ring, &cqe)) {
		if (cqe->user_data && !cqe->res)
			complain("io_uring's read of %llu gave 0", cqe->user_data);
		io_uring_cqe_seen(&ring, cqe);
	}
}

static long call_io_uring(void)
{
	/* None that goes by names, or does things to memory. */
	static const int opcodes[] = {
		IORING_OP_NOP, IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
		IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED, IORING_OP_POLL_ADD,
		IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_SYNC_FILE_RANGE,
		IORING_OP_SENDMSG, IORING_OP_RECVMSG, IORING_OP_ACCEPT,
		IORING_OP_ASYNC_CANCEL, IORING_OP_LINK_TIMEOUT, IORING_OP_CONNECT,
		IORING_OP_FALLOCATE, IORING_OP_CLOSE, IORING_OP_STATX, IORING_OP_READ,
		IORING_OP_READ, IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FADVISE,
		IORING_OP_SEND, IORING_OP_RECV, IORING_OP_EPOLL_CTL, IORING_OP_SPLICE,
		IORING_OP_SPLICE, IORING_OP_TEE, IORING_OP_SHUTDOWN,
	};
	unsigned int opcode = opcodes[garbage_below(&garbage, ARRAY_SIZE(opcodes))];
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	size_t count = length();
	int fd = slot();

	if (sqe) {
		io_uring_prep_rw(opcode, sqe, fd, (void *)pointer(), count, number());
		if (opcode == IORING_OP_READV || opcode == IORING_OP_WRITEV) {
			sqe->addr = iovec(&count);
			sqe->len = count;
		}
		if (garbage_chance(&garbage, 40))
			sqe->off = -1;
		if (garbage_chance(&garbage, 40))
			sqe->rw_flags = flags(0x1f);
		if (opcode == IORING_OP_SPLICE || opcode == IORING_OP_TEE) {
			/* Who sleeps in it holds it, and gets no signal. */
			sqe->fd = ring_pipe[1];
			sqe->splice_fd_in = slot();
		}
		sqe->flags = garbage_chance(&garbage, 60) ? 0 :
			     flags(IOSQE_ASYNC | IOSQE_IO_LINK | IOSQE_IO_HARDLINK) &
			     ~IOSQE_FIXED_FILE;
		if (garbage_chance(&garbage, 20)) {
			sqe->flags |= IOSQE_FIXED_FILE;
			sqe->fd = garbage_below(&garbage, SLOTS + 1);
		}
		/* What must not end with 0. */
		sqe->user_data = opcode == IORING_OP_READ ? sqe->len : 0;
	}
	if (garbage_chance(&garbage, 70))
		io_uring_submit(&ring);
	reap();
	if (fcntl(fd, F_GETFD) < 0)
		fill_slot(fd);
	return 0;
}

enum verdict {
	ANY,
	READS,		/* never 0 if something was asked; no strange error */
	NEVER,		/* succeeds in nothing */
};

/*
 * Arguments: d a descriptor of the device, o another one, E the epoll's, R W
 * the pipe's, p a pointer, l a length, v c a vector and its count, n a number,
 * k a small one, f flags, w RWF_*, i an ioctl's request, s a path, q pollfds, t
 * milliseconds, 0 nothing.
 */
struct call {
	const char *name;
	long nr;
	const char *arguments;
	long (*custom)(void);
	enum verdict verdict;
};

#define CALL(name, nr, arguments, verdict) \
	{ name, SYS_ ## nr, arguments, NULL, verdict }
#define CUSTOM(name, function, verdict)	{ name, 0, NULL, function, verdict }

static const struct call calls[] = {
	CALL("read", read, "dpl", READS),
	CALL("pread", pread64, "dpln", READS),
	CALL("readv", readv, "dvc", READS),
	CALL("preadv", preadv, "dvcn0", READS),
	CALL("preadv2", preadv2, "dvcn0w", READS),
	CALL("write", write, "dpl", NEVER),
	CALL("pwrite", pwrite64, "dpln", NEVER),
	CALL("writev", writev, "dvc", NEVER),
	CALL("pwritev2", pwritev2, "dvcn0w", NEVER),
	CALL("lseek", lseek, "dnk", ANY),
	CALL("ioctl", ioctl, "dip", ANY),
	CALL("fsync", fsync, "d", ANY),
	CALL("fdatasync", fdatasync, "d", ANY),
	CALL("sync_file_range", sync_file_range, "dnnk", ANY),
	CALL("fallocate", fallocate, "dknn", NEVER),
	CALL("ftruncate", ftruncate, "dn", NEVER),
	CALL("flock", flock, "dk", ANY),
	CALL("readahead", readahead, "dnl", NEVER),
	CALL("fadvise64", fadvise64, "dnlk", ANY),
	CALL("splice to a pipe", splice, "dpWplf", ANY),
	CALL("splice to a pipe", splice, "d0W0lf", ANY),
	CALL("splice from a pipe", splice, "R0d0lf", NEVER),
	CALL("tee", tee, "dWlf", NEVER),
	CALL("vmsplice", vmsplice, "dvcf", NEVER),
	CALL("sendfile from it", sendfile, "od0l", ANY),
	CALL("sendfile from it", sendfile, "Wd0l", ANY),
	CALL("sendfile to it", sendfile, "dopl", NEVER),
	CALL("copy_file_range", copy_file_range, "dpoplf", NEVER),
	CALL("copy_file_range to it", copy_file_range, "opdplf", NEVER),
	CALL("poll", poll, "qkt", ANY),
	CALL("ppoll", ppoll, "qkp00", ANY),
	CALL("select", select, "kpppp", ANY),
	CALL("epoll_ctl", epoll_ctl, "Ekdp", ANY),
	CALL("epoll_wait", epoll_wait, "Epkt", ANY),
	CALL("epoll_ctl of it", epoll_ctl, "dkop", NEVER),
	CALL("fstat", fstat, "dp", ANY),
	CALL("statx", statx, "dsffp", ANY),
	CALL("fstatfs", fstatfs, "dp", ANY),
	CALL("fchmod", fchmod, "dn", ANY),
	CALL("fchown", fchown, "dkk", ANY),
	CALL("utimensat", utimensat, "d0p0", ANY),
	CALL("fgetxattr", fgetxattr, "dspl", ANY),
	CALL("fsetxattr", fsetxattr, "dsplk", ANY),
	CALL("flistxattr", flistxattr, "dpl", ANY),
	CALL("kcmp", kcmp, "PPkdd", ANY),
	CALL("getdents", getdents64, "dpl", NEVER),
	CALL("readlinkat", readlinkat, "dspl", ANY),
	CALL("faccessat2", faccessat2, "dskf", ANY),
	CALL("fchdir", fchdir, "d", NEVER),
	CALL("execveat", execveat, "dsppf", NEVER),
	CALL("finit_module", finit_module, "dpk", NEVER),
	CALL("syncfs", syncfs, "d", ANY),
	CUSTOM("fcntl", call_fcntl, ANY),
	CUSTOM("fcntl", call_fcntl, ANY),
	CUSTOM("mmap", call_mmap, NEVER),
	CUSTOM("mprotect", call_mprotect, ANY),
	CUSTOM("madvise", call_madvise, ANY),
	CUSTOM("close", call_close, ANY),
	CUSTOM("close_range", call_close_range, ANY),
	CUSTOM("open", call_open, ANY),
	CUSTOM("open_by_handle_at", call_handle, ANY),
	CUSTOM("pidfd_getfd", call_pidfd_getfd, ANY),
	CUSTOM("SCM_RIGHTS", call_scm_rights, ANY),
	CUSTOM("read the pipe", call_drain, ANY),
	CUSTOM("io_submit", call_aio, ANY),
	CUSTOM("io_uring", call_io_uring, ANY),
	CUSTOM("io_uring", call_io_uring, ANY),
	CUSTOM("io_uring", call_io_uring, ANY),
};

static unsigned long argument(char kind, size_t *count)
{
	switch (kind) {
	case 'd':
		return slot();
	case 'o':
		return other();
	case 'E':
		return epoll;
	case 'R':
		return pipes[0];
	case 'W':
		return pipes[1];
	case 'p':
		return pointer();
	case 'l':
		asked = length();
		return asked;
	case 'v':
		return iovec(count);
	case 'c':
		return *count;
	case 'n':
		return number();
	case 'k':
		return garbage_below(&garbage, 10);
	case 'f':
		return flags(0x1fff);
	case 'w':
		return garbage_chance(&garbage, 50) ? RWF_NOWAIT : flags(0x1f);
	case 'i':
		return request();
	case 's':
		return path();
	case 'q':
		for (int i = 0; i < SLOTS; i++) {
			pollfds[i].fd = slot();
			pollfds[i].events = garbage_u64(&garbage);
		}
		return (unsigned long)pollfds;
	case 'P':
		return getpid();
	case 't':
		return garbage_below(&garbage, 4);
	default:
		return 0;
	}
}

static bool is_right(const struct call *call, long ret, int error)
{
	if (call->verdict == NEVER)
		return ret <= 0;
	if (call->verdict == ANY)
		return true;
	if (ret >= 0)
		return (u64)ret <= asked && (ret || !asked || asked == ~0ULL);
	return error == EAGAIN || error == EINTR || error == EFAULT ||
	       error == EINVAL || error == EOPNOTSUPP;
}

static void make_call(int process)
{
	size_t which = garbage_below(&garbage, ARRAY_SIZE(calls)), count = 0;
	const struct call *call = &calls[which];
	unsigned long a[6] = { };
	long ret;

	shared->doing[process] = which;
	if (call->custom) {
		ret = call->custom();
	} else {
		for (size_t i = 0; call->arguments[i]; i++)
			a[i] = argument(call->arguments[i], &count);
		ret = syscall(call->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
	shared->calls++;
	shared->succeeded += ret >= 0;
	shared->made[which % ARRAY_SIZE(shared->made)]++;
	if (is_right(call, ret, errno))
		return;
	complain("%s(%lx, %lx, %lx, %lx, %lx, %lx) gave %ld (%s)", call->name, a[0],
		 a[1], a[2], a[3], a[4], a[5], ret, strerror(errno));
}

static void handle(int signal)
{
	(void)signal;
}

static void add_other(int fd)
{
	if (fd < 0)
		_exit(1);
	others[count_others++] = fd;
}

static void prepare(u64 seed, u64 number)
{
	struct sigaction action = { .sa_handler = handle };
	struct itimerval timer = { { 0, TIMER_US }, { 0, TIMER_US } };
	int slots[SLOTS], null = open("/dev/null", O_RDWR);

	garbage = garbage_new(seed, number);
	/* What a test says must not come from here. */
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	for (size_t i = 0; i < CLIENTS; i++)
		dup2(clients[i], FIRST_KEPT + i);
	for (size_t i = 0; i < CLIENTS; i++)
		close(clients[i]);
	for (int i = 0; i < SLOTS; i++) {
		slots[i] = FIRST_SLOT + i;
		fill_slot(slots[i]);
	}

	epoll = epoll_create1(0);
	if (pipe2(pipes, O_NONBLOCK) || pipe2(ring_pipe, O_NONBLOCK) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) ||
	    io_uring_queue_init(64, &ring, 0) ||
	    io_uring_register_files(&ring, slots, SLOTS) ||
	    syscall(SYS_io_setup, 64, &aio))
		_exit(1);
	add_other(null);
	add_other(memfd_create("garbage", 0));
	add_other(eventfd(0, EFD_NONBLOCK));
	add_other(open("/", O_RDONLY | O_DIRECTORY));
	add_other(open("/proc/self/mem", O_RDWR));
	add_other(pipes[1]);
	add_other(epoll);
	add_other(slots[0]);

	/* Readable, forbidden, writable, and a hole. */
	read_only = mmap(NULL, (ARENA_PAGES + 3) * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (read_only == MAP_FAILED)
		_exit(1);
	forbidden = read_only + PAGE;
	arena = forbidden + PAGE;
	garbage_bytes(&garbage, arena, ARENA_PAGES * PAGE);
	if (mprotect(read_only, PAGE, PROT_READ) || mprotect(forbidden, PAGE, PROT_NONE) ||
	    munmap(arena + ARENA_PAGES * PAGE, PAGE))
		_exit(1);
	sigaction(SIGALRM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (setitimer(ITIMER_REAL, &timer, NULL))
		_exit(1);
}

static pid_t start_process(u64 seed, u64 number, int process)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		bail_out("there are processes");
	if (pid)
		return pid;
	/* Not the test's: it restores what the test has changed. */
	signal(SIGTERM, SIG_DFL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || setsid() < 0)
		_exit(1);
	prepare(seed, number);
	for (int i = 0; i < CALLS && !shared->stop; i++)
		make_call(process);
	_exit(0);
}

/* One has ended: how. Gives the test up if none does. */
static int wait_process(const pid_t *pids)
{
	u64 give_up_ms = rngq_now_ms() + HANG_MS;
	int status;
	pid_t pid;

	while (!(pid = waitpid(-1, &status, WNOHANG)) && rngq_now_ms() < give_up_ms)
		rngq_sleep_ms(5);
	if (pid > 0) {
		for (int i = 0; i < PROCESSES; i++)
			if (pids[i] == pid)
				return i | status << 8;
	}
	for (int i = 0; i < PROCESSES; i++)
		if (pids[i])
			diag("process %d is in %s", pids[i], calls[shared->doing[i]].name);
	bail_out("processes come to their end");
}

/* Processes until the time is over; how many there were, of which @died. */
static unsigned int run(u64 seed, unsigned int *died)
{
	u64 end_ms = rngq_now_ms() + PHASE_MS;
	unsigned int started = 0, running = 0;
	pid_t pids[PROCESSES] = { };
	static u64 number;

	shared->stop = false;
	do {
		int ended, status;

		for (int i = 0; i < PROCESSES && rngq_now_ms() < end_ms; i++) {
			if (pids[i])
				continue;
			pids[i] = start_process(seed, number++, i);
			running++;
			started++;
		}
		ended = wait_process(pids);
		pids[ended & 0xff] = 0;
		running--;
		status = ended >> 8;
		if (WIFSIGNALED(status)) {
			diag("a process died of signal %d", WTERMSIG(status));
			++*died;
		} else if (WEXITSTATUS(status)) {
			bail_out("a process can prepare");
		}
		shared->stop = rngq_now_ms() >= end_ms;
	} while (running);
	return started;
}

static u64 count_folders(void)
{
	DIR *folder = opendir(RNGQ_SYSFS "/clients");
	struct dirent *entry;
	u64 count = 0;

	if (!folder)
		bail_out("there is clients/");
	while ((entry = readdir(folder)))
		count += entry->d_name[0] != '.';
	closedir(folder);
	return count;
}

/* What io_uring still had to do when its process went takes a moment. */
static void wait_settled(u64 wanted_clients)
{
	u64 give_up_ms = rngq_now_ms() + LATE_MS, bytes, before = ~0ULL;

	while ((rngq_attr("stats/clients") != wanted_clients ||
		(bytes = rngq_attr("stats/bytes")) != before) &&
	       rngq_now_ms() < give_up_ms) {
		before = rngq_attr("stats/bytes");
		rngq_sleep_ms(50);
	}
}

static void check_client(size_t i, u64 opened_ns)
{
	const struct crowd_quota *quota = &kinds[i].quota;
	u64 bytes = rngq_client(clients[i], "bytes");

	if (quota->period_ms == HOUR_MS)
		is_u64(rngq_client(clients[i], "available"), quota->rate_bytes - bytes,
		       "what client %zu did not deliver is still there", i);
	is_between(bytes, 0, crowd_allowed(quota, rngq_now_ns() - opened_ns),
		   "client %zu had no more than is promised", i);
}

static void phase(const char *name, u64 seed, u64 wanted_clients, u64 opened_ns)
{
	unsigned int died = 0, processes;
	u64 calls = shared->calls, sum = 0;

	processes = run(seed, &died);
	wait_settled(wanted_clients);
	is_u64(shared->wrong, 0, "no call gave what it must not");
	for (unsigned int i = 0; i < shared->wrong && i < MAX_WRONG; i++)
		diag("%s", shared->text[i]);
	for (size_t i = 0; i < CLIENTS; i++) {
		sum += rngq_client(clients[i], "bytes");
		check_client(i, opened_ns);
	}
	ok(sum <= rngq_attr("stats/bytes"), "stats/bytes has what they had, at least");
	is_u64(rngq_attr("stats/clients"), wanted_clients,
	       "all clients that were opened meanwhile have gone");
	is_u64(count_folders(), wanted_clients, "and so have their folders");
	tried(name, "%llu calls, %u processes, %u of which died", shared->calls - calls,
	      processes, died);
}

static struct stat node;

static void restore_node(void)
{
	if (chmod(RNGQ_DEV, node.st_mode & 07777) ||
	    chown(RNGQ_DEV, node.st_uid, node.st_gid))
		bail_out("the device can be given back to its owner");
}

int main(void)
{
	u64 before = rngq_attr("stats/clients"), bytes, opened_ns, start_ns;
	u64 seed = garbage_seed();

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || stat(RNGQ_DEV, &node) || atexit(restore_node))
		bail_out("there is memory to share, and the device");
	rngq_keep_globals();
	rngq_set(0, "default/boot_bytes");
	opened_ns = rngq_now_ns();
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = rngq_open_quota(kinds[i].flags, kinds[i].quota.rate_bytes,
					     kinds[i].quota.period_ms,
					     kinds[i].quota.burst_bytes);
	/* For those that the processes open. */
	rngq_set_default(1000, 50, 1000, 500);

	phase("garbage calls", seed, before + CLIENTS, opened_ns);

	bytes = rngq_attr("stats/bytes");
	start_ns = rngq_now_ns();
	crowd_set_total(total.rate_bytes, total.period_ms, total.burst_bytes);
	phase("garbage calls, below total/", seed, before + CLIENTS, opened_ns);
	is_between(rngq_attr("stats/bytes") - bytes, 1,
		   crowd_allowed(&total, rngq_now_ns() - start_ns),
		   "all together had something, and no more than is promised");
	rngq_set(RNGQ_MAX, "total/rate_bytes");

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (!shared->made[i % ARRAY_SIZE(shared->made)])
			ok(false, "%s was called", calls[i].name);
	diag("%llu of %llu calls did something", shared->succeeded, shared->calls);
	ok(shared->succeeded > shared->calls / 10 &&
	   shared->succeeded < shared->calls * 9 / 10, "many did, and not all");
	for (size_t i = 0; i < CLIENTS; i++) {
		rngq_set_quota(clients[i], RNGQ_MAX, 1000, 0);
		ok(rngq_becomes_readable(clients[i]) && rngq_take(clients[i], 10) == 10,
		   "client %zu can be read", i);
		close(clients[i]);
	}
	is_u64(rngq_attr("stats/clients"), before, "every client has gone");
	is_u64(count_folders(), before, "and every folder");
	return done_testing();
}
