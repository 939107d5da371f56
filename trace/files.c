/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which file is which.  A file is its device, its inode number and the time
 * of its birth: compilers make and remove temporary files by the hundred, and
 * file systems give the inode number of a removed file to the next one.
 */
#include "recorder.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

struct known_file {
	uint64_t dev, ino;
	uint64_t birth_ns; /* 0: not known */
	uint64_t bytes;
	enum trace_file_kind kind;
	bool sized; /* a descriptor told its size: it may be told again */
};

struct files {
	struct merge *merge;
	struct known_file *file; /* its place is its index */
	uint32_t nr, capacity;
};

struct files *files_create(struct merge *merge)
{
	struct files *f = calloc(1, sizeof(*f));

	if (f)
		f->merge = merge;
	return f;
}

void files_destroy(struct files *f)
{
	if (!f)
		return;
	free(f->file);
	free(f);
}

/* The newest first: a number used again belongs to its last owner. */
static uint32_t find(const struct files *f, const struct known_file *key)
{
	for (uint32_t i = f->nr; i-- > 0;)
		if (f->file[i].ino == key->ino && f->file[i].dev == key->dev &&
		    (!key->birth_ns || !f->file[i].birth_ns ||
		     f->file[i].birth_ns == key->birth_ns))
			return i;
	return TRACE_NONE;
}

static void tell(struct files *f, uint32_t index, enum trace_file_kind kind, const char *path)
{
	static const char suffix[] = " (deleted)";
	struct item *item = item_create(ITEM_EVENT);
	char *text = strdup(path);
	size_t len = strlen(path);
	bool deleted = len >= sizeof(suffix) && strcmp(path + len - 10, suffix) == 0;

	if (!item || !text) {
		item_destroy(item);
		free(text);
		return;
	}
	if (deleted)
		text[len - 10] = 0;
	item->text[0] = text;
	item->event = (struct trace_event){
		.kind = TRACE_FILE, .process = TRACE_NONE, .thread = TRACE_NONE,
		.file = {
			.file = index, .kind = kind, .deleted = deleted, .path = text,
			.dev = f->file[index].dev, .ino = f->file[index].ino,
			.bytes = f->file[index].bytes,
		},
	};
	merge_push(f->merge, item);
}

static uint32_t introduce(struct files *f, const struct known_file *key,
	enum trace_file_kind kind, const char *path)
{
	uint32_t index = find(f, key);

	if (index == TRACE_NONE) {
		if (f->nr == f->capacity) {
			uint32_t capacity = f->capacity ? f->capacity * 2 : 256;
			void *grown = realloc(f->file, capacity * sizeof(f->file[0]));

			if (!grown)
				return TRACE_NONE;
			f->file = grown;
			f->capacity = capacity;
		}
		index = f->nr++;
		f->file[index] = *key;
		f->file[index].kind = kind;
		tell(f, index, kind, path);
	} else if (f->file[index].bytes != key->bytes) {
		f->file[index].bytes = key->bytes;
		tell(f, index, kind, path);
	}
	return index;
}

/* Everything but the path; false: there is no such file. */
static bool look(const char *path, struct known_file *key, enum trace_file_kind *kind,
	bool *device)
{
	struct statx s;
	struct statfs fs;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_BTIME, &s) != 0)
		return false;
	*key = (struct known_file){
		.dev = makedev(s.stx_dev_major, s.stx_dev_minor),
		.ino = s.stx_ino,
		.bytes = s.stx_size,
	};
	if (s.stx_mask & STATX_BTIME)
		key->birth_ns = (uint64_t)s.stx_btime.tv_sec * 1000000000u + s.stx_btime.tv_nsec;
	*device = S_ISCHR(s.stx_mode) || S_ISBLK(s.stx_mode);
	if (S_ISCHR(s.stx_mode) && s.stx_rdev_major == 1 && s.stx_rdev_minor == 5)
		*kind = TRACE_FILE_ZERO;
	else if (*device)
		*kind = TRACE_FILE_DEVICE;
	else if (!S_ISREG(s.stx_mode))
		*kind = TRACE_FILE_OTHER;
	else if (statfs(path, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
		*kind = TRACE_FILE_HUGETLB;
	else if (statfs(path, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		*kind = TRACE_FILE_TMPFS;
	else
		*kind = TRACE_FILE_DISK;
	return true;
}

uint32_t files_of_fd(struct files *f, pid_t tid, int fd, bool known_only, uint64_t *bytes)
{
	char name[32], path[64];
	enum trace_file_kind kind;
	struct known_file key;
	uint32_t index;
	bool device;
	char *target;

	snprintf(name, sizeof(name), "fd/%d", fd);
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	if (!look(path, &key, &kind, &device))
		return TRACE_NONE;
	*bytes = key.bytes;
	if (known_only && find(f, &key) == TRACE_NONE)
		return TRACE_NONE;
	target = procfs_read_link(tid, name);
	if (target && strncmp(target, "/memfd:", 7) == 0 && kind != TRACE_FILE_HUGETLB)
		kind = TRACE_FILE_MEMFD;
	index = introduce(f, &key, kind, target ? target : "");
	if (index != TRACE_NONE)
		f->file[index].sized = kind == TRACE_FILE_DISK || kind == TRACE_FILE_TMPFS ||
			kind == TRACE_FILE_MEMFD;
	free(target);
	return index;
}

bool files_is_memfd(const struct files *f, uint32_t index)
{
	return f->file[index].kind == TRACE_FILE_MEMFD;
}

uint32_t files_of_shm(struct files *f, int shmid, uint64_t *bytes)
{
	struct known_file key = { .dev = makedev(0, 1), .ino = (uint64_t)shmid };
	struct shmid_ds about;
	char name[32];

	if (shmctl(shmid, IPC_STAT, &about) != 0)
		return TRACE_NONE;
	*bytes = key.bytes = about.shm_segsz;
	snprintf(name, sizeof(name), "/SYSV%08x", (unsigned int)about.shm_perm.__key);
	return introduce(f, &key, TRACE_FILE_SHM, name);
}

/* The file behind a mapping, though it may have no name any more: open only to who
 * may look into map_files. */
static bool look_behind(pid_t tid, const struct trace_map *map, struct known_file *key)
{
	enum trace_file_kind kind;
	char path[80];
	bool device;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)tid,
		(unsigned long long)map->start, (unsigned long long)map->end);
	return look(path, key, &kind, &device);
}

static uint32_t file_of_map(struct files *f, pid_t tid, const struct trace_map *map, uint64_t dev,
	uint64_t ino)
{
	enum trace_file_kind kind = TRACE_FILE_OTHER;
	struct known_file key = { .dev = dev, .ino = ino };
	struct known_file now;
	uint32_t index;
	bool device;

	/* Shared anonymous memory shows as a deleted /dev/zero. */
	if (!ino || map->name[0] != '/' || strncmp(map->name, "/dev/zero (", 11) == 0)
		return TRACE_NONE;
	/* Where the device numbers differ (btrfs), the inode number decides. */
	if (look(map->name, &now, &kind, &device) && now.ino == ino)
		return introduce(f, &now, kind, map->name);
	index = find(f, &key);
	if (index != TRACE_NONE && f->file[index].sized && look_behind(tid, map, &now) &&
	    now.ino == ino)
		return introduce(f, &now, f->file[index].kind, map->name);
	if (index != TRACE_NONE)
		return index;
	if (strncmp(map->name, "/SYSV", 5) == 0)
		return files_of_shm(f, (int)ino, &key.bytes);
	if (strncmp(map->name, "/memfd:", 7) == 0)
		kind = TRACE_FILE_MEMFD;
	key.bytes = map->offset_bytes + (map->end - map->start);
	return introduce(f, &key, kind, map->name);
}

void files_of_maps(struct files *f, pid_t tid, struct maps_buffer *maps)
{
	for (size_t i = 0; i < maps->nr; i++)
		maps->map[i].file = file_of_map(f, tid, &maps->map[i], maps->dev[i], maps->ino[i]);
}
