/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a host does to clients that go on all the while: a crowd of all kinds of
 * readers, once each with a quota of its own and once all with total/ only.
 */
#ifndef HOSTS_H
#define HOSTS_H

#include "crowd.h"

/*
 * Let the host do something @odd while such a crowd waits for its own quotas, and
 * again while one waits for turns. Test points: nobody got what it must not, nor
 * more than was promised, each byte was counted, and all go on to the end.
 */
void hosts_try(const char *name, void (*odd)(struct crowd *crowd));

/* Wait until each member had something from now on: how many did not, in time. */
unsigned int hosts_unserved(struct crowd *crowd);

#endif
