/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The image of the counting program is put into memory (memfd_create(2)) and run
 * from there.  Where the system forbids to run memory (vm.memfd_noexec=2) a file
 * without a name in TMPDIR or /tmp does it.
 */
#include "bench/counting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

/* From cli/counting_image.S; empty in the counting program itself. */
extern const char counting_image[], counting_image_end[];

static int memory_file(void)
{
	int fd = memfd_create("quire-counting", MFD_CLOEXEC | MFD_EXEC);

	/* Kernels before 6.3 do not know the flag, and do not need it. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("quire-counting", MFD_CLOEXEC);
	return fd;
}

static int nameless_file(void)
{
	const char *folder = getenv("TMPDIR");

	return open(folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
}

/* Takes over fd.  A file that is open for writing is busy: it is opened again. */
static int run_from(int fd, char *const argv[])
{
	const char *at = counting_image;
	char path[64];
	int err = 0, reading;

	if (fd < 0)
		return -errno;
	while (at < counting_image_end) {
		ssize_t len = write(fd, at, (size_t)(counting_image_end - at));

		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0) {
			err = len < 0 ? -errno : -EIO;
			close(fd);
			return err;
		}
		at += len;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reading = open(path, O_RDONLY | O_CLOEXEC);
	if (reading < 0)
		err = -errno;
	close(fd);
	if (err)
		return err;
	fexecve(reading, argv, environ);
	err = -errno;
	close(reading);
	return err;
}

int counting_become(char *const argv[])
{
	if ((uintptr_t)counting_image == (uintptr_t)counting_image_end)
		return -ENOENT;
	if (run_from(memory_file(), argv) == 0)
		return 0;
	return run_from(nameless_file(), argv);
}
