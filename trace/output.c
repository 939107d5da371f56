/* SPDX-License-Identifier: BSD-2-Clause */
/* Opens, names and closes the files that commands write; see output.h. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define MAX_LINKS 40
#define MAX_PARTS 1000

static int say(struct trace_error *error, const char *name, const char *what, int err)
{
	return trace_fail(error, err, 0, "%s: %s: %s", name, what, strerror(err));
}

/* The folder that name lies in, as a path of its own. */
static void folder_of(const char *name, char folder[PATH_MAX])
{
	const char *slash = strrchr(name, '/');

	if (!slash)
		strcpy(folder, ".");
	else
		snprintf(folder, PATH_MAX, "%.*s", (int)(slash - name + 1), name);
}

static bool lies_in_proc(const char *name)
{
	char folder[PATH_MAX];
	struct statfs about;

	folder_of(name, folder);
	return statfs(folder, &about) == 0 && about.f_type == PROC_SUPER_MAGIC;
}

/*
 * Follows symbolic links from path to the name of what they lead to, which need
 * not exist.  1: one of them is a link of /proc, which leads to something open
 * and not to a name; 0; or a negative errno.
 */
static int follow(const char *path, char target[PATH_MAX])
{
	char link[PATH_MAX], folder[PATH_MAX];

	if (!path[0])
		return -ENOENT;
	if (snprintf(target, PATH_MAX, "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (int i = 0; i < MAX_LINKS; i++) {
		ssize_t len = readlink(target, link, sizeof(link) - 1);
		int written;

		if (len < 0)
			return 0;
		if (lies_in_proc(target))
			return 1;
		link[len] = 0;
		folder_of(target, folder);
		if (link[0] == '/')
			folder[0] = 0;
		written = snprintf(target, PATH_MAX, "%s%s%s", folder,
			folder[0] == '.' && !folder[1] ? "/" : "", link);
		if (written >= PATH_MAX)
			return -ENAMETOOLONG;
	}
	return -ELOOP;
}

static int open_directly(struct output *o, struct trace_error *error)
{
	int fd = open(o->path, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd >= 0)
		o->file = fdopen(fd, "wb");
	if (o->file)
		return 0;
	say(error, o->path, "cannot open", errno);
	if (fd >= 0)
		close(fd);
	return -error->err;
}

/* As open(2); *ret_name: the name that was free. */
static int create_part(const char *target, mode_t mode, char **ret_name)
{
	for (int i = 1; i < MAX_PARTS; i++) {
		char number[16] = "", *name;
		int fd;

		if (i > 1)
			snprintf(number, sizeof(number), ".%d", i);
		if (asprintf(&name, "%s.part%s", target, number) < 0) {
			errno = ENOMEM;
			return -1;
		}
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		*ret_name = name;
		if (fd >= 0 || errno != EEXIST)
			return fd;
		free(name);
		*ret_name = NULL;
	}
	return -1;
}

/* The new file belongs to whom the old one did, as far as that is permitted. */
static void take_permissions(int fd, const struct stat *old)
{
	mode_t mode = old->st_mode & 07777;

	if (fchown(fd, old->st_uid, old->st_gid) != 0 && fchown(fd, (uid_t)-1, old->st_gid) != 0)
		mode &= 0707;
	/* Where it fails the file stays readable for its owner alone. */
	if (fchmod(fd, mode) != 0)
		errno = 0;
}

static int open_part(struct output *o, const struct stat *old, struct trace_error *error)
{
	int fd;

	if (old && faccessat(AT_FDCWD, o->target, W_OK, AT_EACCESS) != 0)
		return say(error, o->path, "cannot replace", errno);
	fd = create_part(o->target, old ? 0600 : 0666, &o->part);
	if (fd < 0) {
		say(error, o->part ? o->part : o->path, "cannot create", errno);
		goto out_name;
	}
	if (old)
		take_permissions(fd, old);
	o->replaces = old;
	o->file = fdopen(fd, "wb");
	if (o->file)
		return 0;
	say(error, o->path, "cannot open", errno);
	close(fd);
	unlink(o->part);
out_name:
	free(o->part);
	o->part = NULL;
	return -error->err;
}

static int open_by_kind(struct output *o, struct trace_error *error)
{
	char target[PATH_MAX];
	struct stat about;
	bool exists = stat(o->path, &about) == 0;
	int kind;

	if (!exists && errno != ENOENT)
		return say(error, o->path, "cannot write there", errno);
	if (exists && S_ISDIR(about.st_mode))
		return trace_fail(error, EISDIR, 0, "%s: is a folder, not a file", o->path);
	if (exists && S_ISBLK(about.st_mode))
		return trace_fail(error, EINVAL, 0, "%s: is a block device, and what is on it would "
			"be lost", o->path);
	kind = follow(o->path, target);
	if (kind < 0)
		return say(error, o->path, "cannot write there", -kind);
	if (exists && (kind > 0 || !S_ISREG(about.st_mode)))
		return open_directly(o, error);
	o->target = strdup(target);
	if (!o->target)
		return say(error, o->path, "cannot write there", ENOMEM);
	return open_part(o, exists ? &about : NULL, error);
}

int output_open(struct output *o, const char *path, struct trace_error *error)
{
	struct trace_error ignored = { 0 };
	int err;

	if (!error)
		error = &ignored;
	*o = (struct output){ .path = strdup(path) };
	if (!o->path)
		return say(error, path, "cannot write there", ENOMEM);
	err = open_by_kind(o, error);
	if (err)
		output_fini(o);
	return err;
}

/* Nobody has moved another file to the name that ours had. */
static bool part_is_ours(const struct output *o)
{
	struct stat ours, there;

	return fstat(fileno(o->file), &ours) == 0 && lstat(o->part, &there) == 0 &&
		ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* 0, or why the file cannot have its name. */
static int check_names(const struct output *o, struct trace_error *error)
{
	struct stat there;

	if (!part_is_ours(o))
		return trace_fail(error, ENOENT, 0, "%s: was moved or removed while it was written",
			o->part);
	if (lstat(o->target, &there) == 0 && !S_ISREG(there.st_mode))
		return trace_fail(error, EEXIST, 0, "%s: is no regular file any more; what was to "
			"replace it is %s", o->path, o->part);
	/* A crash of the machine must not leave neither of the two. */
	if (o->replaces && fsync(fileno(o->file)) != 0 && errno != EINVAL)
		return say(error, o->path, "cannot write", errno);
	return 0;
}

int output_commit(struct output *o, struct trace_error *error)
{
	int err = fflush(o->file) != 0 ? say(error, o->path, "cannot write", errno) : 0;

	if (!err && o->part)
		err = check_names(o, error);
	if (fclose(o->file) != 0 && !err)
		err = say(error, o->path, "cannot write", errno);
	o->file = NULL;
	if (!err && o->part && rename(o->part, o->target) != 0) {
		err = -errno;
		trace_fail(error, -err, 0, "%s: cannot be replaced: %s; what was to replace it is %s",
			o->path, strerror(-err), o->part);
	}
	return err;
}

void output_keep(struct output *o, uint64_t bytes)
{
	int fd = dup(fileno(o->file));

	fclose(o->file);
	o->file = NULL;
	/* The reader sees where a file was cut, so it may as well stay longer. */
	if (o->part && fd >= 0 && ftruncate(fd, (off_t)bytes) != 0)
		errno = 0;
	if (fd >= 0)
		close(fd);
}

void output_fini(struct output *o)
{
	if (o->file) {
		if (o->part && part_is_ours(o))
			unlink(o->part);
		fclose(o->file);
	}
	free(o->path);
	free(o->target);
	free(o->part);
	*o = (struct output){ 0 };
}
