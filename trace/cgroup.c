/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A control group of our own; see cgroups(7).
 *
 * It is made below the group in which the recorder runs, in the cgroup2
 * file system where that is mounted, so whatever limits hold for the recorder
 * hold for the command.  Nothing else is written: no controller is switched on,
 * no process but the command moved.  A recorder that is killed leaves an empty
 * directory behind.
 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define NAME_BYTES 64

struct cgroup {
	int fd;
	char path[PATH_BYTES];
	char name[NAME_BYTES]; /* the last part of path */
};

/* Where the whole hierarchy is mounted.  Names with escaped characters are
 * passed over. */
static bool find_mount(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[PATH_BYTES + 256], root[PATH_BYTES], point[PATH_BYTES];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, " - cgroup2 ") &&
			sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) == 2 &&
			strcmp(root, "/") == 0 && !strchr(point, '\\');
	if (file)
		fclose(file);
	return found && snprintf(path, size, "%s", point) < (int)size;
}

/* The thread's group in that hierarchy. */
static bool find_group(const char *tid, char *path, size_t size)
{
	char name[64], line[PATH_BYTES];
	bool found = false;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%s/cgroup", tid);
	file = fopen(name, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strncmp(line, "0::", 3) == 0;
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = 0;
	return found && snprintf(path, size, "%s", line + 3) < (int)size;
}

static bool move_in(const struct cgroup *c, pid_t pid)
{
	int fd = openat(c->fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", (int)pid);
	bool moved;

	if (fd < 0)
		return false;
	moved = write(fd, text, (size_t)len) == len;
	close(fd);
	return moved;
}

struct cgroup *cgroup_create(pid_t pid)
{
	char mount[PATH_BYTES], ours[PATH_BYTES];
	struct cgroup *c;

	if (!find_mount(mount, sizeof(mount)) || !find_group("self", ours, sizeof(ours)))
		return NULL;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	snprintf(c->name, sizeof(c->name), "quire-record-%d", (int)pid);
	if (snprintf(c->path, sizeof(c->path), "%s%s/%s", mount,
			strcmp(ours, "/") == 0 ? "" : ours, c->name) >= (int)sizeof(c->path) ||
	    mkdir(c->path, 0755) != 0) {
		free(c);
		return NULL;
	}
	c->fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd >= 0 && move_in(c, pid))
		return c;
	cgroup_destroy(c);
	return NULL;
}

int cgroup_fd(const struct cgroup *c)
{
	return c->fd;
}

bool cgroup_contains(const struct cgroup *c, pid_t tid)
{
	char text[16], path[PATH_BYTES];
	const char *at;
	size_t len = strlen(c->name);

	snprintf(text, sizeof(text), "%d", (int)tid);
	/* One that is gone has not left. */
	if (!find_group(text, path, sizeof(path)))
		return true;
	at = strstr(path, c->name);
	return at && (at[len] == 0 || at[len] == '/');
}

void cgroup_destroy(struct cgroup *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	/* The last process may be on its way out still. */
	for (int i = 0; rmdir(c->path) != 0 && errno == EBUSY && i < 100; i++)
		usleep(1000);
	free(c);
}
