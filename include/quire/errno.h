/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error numbers.  Core functions return 0 or one of these negated; the values
 * are those of Linux, so that a result can be compared with the host's.
 */
#ifndef QUIRE_ERRNO_H
#define QUIRE_ERRNO_H

enum quire_errno {
	QUIRE_EPERM = 1,
	QUIRE_ENOENT = 2,
	QUIRE_EINTR = 4,
	QUIRE_EIO = 5,
	QUIRE_EBADF = 9,
	QUIRE_EAGAIN = 11,
	QUIRE_ENOMEM = 12,
	QUIRE_EACCES = 13,
	QUIRE_EFAULT = 14,
	QUIRE_EBUSY = 16,
	QUIRE_EEXIST = 17,
	QUIRE_ENODEV = 19,
	QUIRE_EINVAL = 22,
	QUIRE_EFBIG = 27,
	QUIRE_ENOSPC = 28,
	QUIRE_ERANGE = 34,
	QUIRE_EOVERFLOW = 75,
	QUIRE_EOPNOTSUPP = 95,
};

#endif
