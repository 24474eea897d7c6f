/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/rngquota: the device and what can be done with its files.
 *
 * open() makes a client and the last close() ends it; in between the file's
 * private_data is the client, and all that is here is to move bytes. They are
 * taken from the client before they are made, some at a time, and what
 * could not be delivered goes back; so nothing is ever held that a signal
 * could lose. Buffers are wiped before a read returns.
 */
#ifndef RNGQUOTA_DEVICE_H
#define RNGQUOTA_DEVICE_H

int rngq_device_register(void);
void rngq_device_unregister(void);

#endif
