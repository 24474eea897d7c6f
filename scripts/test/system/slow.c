// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rngq.h"
#include "slow.h"

void slow_page_map(struct slow_page *slow)
{
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	char *pages;

	pages = mmap(NULL, 3 * SLOW_PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		bail_out("memory can be mapped");
	slow->page = pages + SLOW_PAGE_SIZE;
	slow->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	area.range.start = (unsigned long)slow->page;
	area.range.len = SLOW_PAGE_SIZE;
	if (slow->uffd < 0 || ioctl(slow->uffd, UFFDIO_API, &api) ||
	    ioctl(slow->uffd, UFFDIO_REGISTER, &area))
		bail_out("a page can be watched with userfaultfd");
}

void slow_page_wait_touched(struct slow_page *slow)
{
	struct pollfd pollfd = { .fd = slow->uffd, .events = POLLIN };

	if (poll(&pollfd, 1, LATE_MS) != 1)
		bail_out("the copy touches the page");
}

void slow_page_fill(struct slow_page *slow)
{
	struct uffdio_zeropage zero = {
		.range = {
			.start = (unsigned long)slow->page,
			.len = SLOW_PAGE_SIZE,
		},
	};

	if (ioctl(slow->uffd, UFFDIO_ZEROPAGE, &zero))
		bail_out("the page can be filled");
}

void slow_page_unmap(struct slow_page *slow)
{
	munmap(slow->page - SLOW_PAGE_SIZE, 3 * SLOW_PAGE_SIZE);
	close(slow->uffd);
}
