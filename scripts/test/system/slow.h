/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A page whose first touch waits until it is filled (userfaultfd): so a test can
 * do something while the kernel copies to it. A page of plain memory lies before
 * it, and another one behind it.
 */
#ifndef SLOW_H
#define SLOW_H

#define SLOW_PAGE_SIZE	4096UL

struct slow_page {
	char *page;
	int uffd;
};

void slow_page_map(struct slow_page *slow);

/* Back when somebody waits for the page. Gives the test up if nobody does. */
void slow_page_wait_touched(struct slow_page *slow);

void slow_page_fill(struct slow_page *slow);
void slow_page_unmap(struct slow_page *slow);

#endif
