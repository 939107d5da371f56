/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which file is which.  A file is its device, its inode number and the time
 * of its birth: compilers make and remove temporary files by the hundred, and
 * file systems give the inode number of a removed file to the next one.
 *
 * Files are looked at by the tracer and by whoever empties the rings of calls,
 * so the list has a lock.
 */
#include "recorder.h"

#include <fcntl.h>
#include <inttypes.h>
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
	uint32_t index; /* TRACE_NONE: nobody has mapped it yet */
};

struct files {
	struct merge *merge;
	pthread_mutex_t lock; /* for the rest */
	struct known_file *file;
	uint32_t nr, capacity;
	uint32_t nr_indexes;
};

struct files *files_create(struct merge *merge)
{
	struct files *f = calloc(1, sizeof(*f));

	if (f) {
		f->merge = merge;
		pthread_mutex_init(&f->lock, NULL);
	}
	return f;
}

void files_destroy(struct files *f)
{
	if (!f)
		return;
	pthread_mutex_destroy(&f->lock);
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

static void tell(struct files *f, uint32_t at, enum trace_file_kind kind, const char *path,
	bool new)
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
			.file = f->file[at].index, .kind = kind, .deleted = deleted, .path = text,
			.dev = f->file[at].dev, .ino = f->file[at].ino,
			.bytes = f->file[at].bytes,
		},
	};
	if (new)
		merge_introduce(f->merge, item);
	else
		merge_push(f->merge, item);
}

/* The place of a new file, which has no index yet; or TRACE_NONE. */
static uint32_t add_file(struct files *f, const struct known_file *key)
{
	if (f->nr == f->capacity) {
		uint32_t capacity = f->capacity ? f->capacity * 2 : 256;
		void *grown = realloc(f->file, capacity * sizeof(f->file[0]));

		if (!grown)
			return TRACE_NONE;
		f->file = grown;
		f->capacity = capacity;
	}
	f->file[f->nr] = *key;
	f->file[f->nr].index = TRACE_NONE;
	return f->nr++;
}

static uint32_t introduce(struct files *f, const struct known_file *key,
	enum trace_file_kind kind, const char *path)
{
	uint32_t at = find(f, key);

	if (at == TRACE_NONE)
		at = add_file(f, key);
	if (at == TRACE_NONE)
		return TRACE_NONE;
	if (f->file[at].index == TRACE_NONE) {
		f->file[at].bytes = key->bytes;
		f->file[at].kind = kind;
		f->file[at].index = f->nr_indexes++;
		tell(f, at, kind, path, true);
	} else if (f->file[at].bytes != key->bytes) {
		f->file[at].bytes = key->bytes;
		tell(f, at, kind, path, false);
	}
	return f->file[at].index;
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

/* The kind of a file that has no name any more, from what stands for one. */
static enum trace_file_kind kind_of_name(const char *name, enum trace_file_kind kind)
{
	return strncmp(name, "/memfd:", 7) == 0 ? TRACE_FILE_MEMFD :
		strncmp(name, "/SYSV", 5) == 0 ? TRACE_FILE_SHM : kind;
}

static uint32_t of_fd(struct files *f, pid_t tid, int fd, bool known_only, uint64_t *bytes)
{
	char name[32], path[64];
	enum trace_file_kind kind;
	struct known_file key;
	uint32_t index, at;
	bool device;
	char *target;

	snprintf(name, sizeof(name), "fd/%d", fd);
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	if (!look(path, &key, &kind, &device))
		return TRACE_NONE;
	*bytes = key.bytes;
	at = find(f, &key);
	if (known_only && (at == TRACE_NONE || f->file[at].index == TRACE_NONE))
		return TRACE_NONE;
	target = procfs_read_link(tid, name);
	if (kind != TRACE_FILE_HUGETLB)
		kind = kind_of_name(target ? target : "", kind);
	index = introduce(f, &key, kind, target ? target : "");
	at = find(f, &key);
	if (at != TRACE_NONE)
		f->file[at].sized = kind == TRACE_FILE_DISK || kind == TRACE_FILE_TMPFS ||
			kind == TRACE_FILE_MEMFD;
	free(target);
	return index;
}

bool files_is_memfd(struct files *f, uint32_t index)
{
	bool is_memfd = false;

	pthread_mutex_lock(&f->lock);
	for (uint32_t at = f->nr; at-- > 0;)
		if (f->file[at].index == index) {
			is_memfd = f->file[at].kind == TRACE_FILE_MEMFD;
			break;
		}
	pthread_mutex_unlock(&f->lock);
	return is_memfd;
}

uint32_t files_of_fd(struct files *f, pid_t tid, int fd, bool known_only, uint64_t *bytes)
{
	uint32_t index;

	pthread_mutex_lock(&f->lock);
	index = of_fd(f, tid, fd, known_only, bytes);
	pthread_mutex_unlock(&f->lock);
	return index;
}

bool files_resized(struct files *f, pid_t tid, int fd, uint64_t to_bytes, uint32_t *file,
	uint64_t *bytes)
{
	enum trace_file_kind kind;
	struct known_file key;
	char path[64];
	uint32_t at;
	bool device;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)tid, fd);
	if (!look(path, &key, &kind, &device))
		return false;
	if (to_bytes)
		key.bytes = to_bytes;
	pthread_mutex_lock(&f->lock);
	at = find(f, &key);
	if (at == TRACE_NONE)
		at = add_file(f, &key);
	if (at != TRACE_NONE) {
		f->file[at].bytes = key.bytes;
		*file = f->file[at].index;
	}
	pthread_mutex_unlock(&f->lock);
	*bytes = key.bytes;
	return true;
}

static uint32_t of_shm(struct files *f, int shmid, uint64_t *bytes)
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
static bool look_behind(pid_t tid, const struct trace_map *map, struct known_file *key,
	enum trace_file_kind *kind)
{
	char path[96];
	bool device;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)tid,
		(unsigned long long)map->start, (unsigned long long)map->end);
	return look(path, key, kind, &device);
}

uint32_t files_of_shm(struct files *f, int shmid, uint64_t *bytes)
{
	uint32_t index;

	pthread_mutex_lock(&f->lock);
	index = of_shm(f, shmid, bytes);
	pthread_mutex_unlock(&f->lock);
	return index;
}

/* Has the mapping a file that is worth an index?  Shared anonymous memory shows
 * as a deleted /dev/zero. */
static bool has_file(const struct trace_map *map, uint64_t ino)
{
	return ino && map->name[0] == '/' && strncmp(map->name, "/dev/zero (", 11) != 0;
}

static uint32_t file_of_map(struct files *f, pid_t tid, const struct trace_map *map, uint64_t dev,
	uint64_t ino)
{
	struct known_file key = { .dev = dev, .ino = ino };
	enum trace_file_kind kind;
	struct known_file now;
	uint32_t at;
	bool device;

	if (!has_file(map, ino))
		return TRACE_NONE;
	/* Where the device numbers differ (btrfs), the inode number decides. */
	if (look(map->name, &now, &kind, &device) && now.ino == ino)
		return introduce(f, &now, kind, map->name);
	at = find(f, &key);
	if (at != TRACE_NONE && f->file[at].sized && look_behind(tid, map, &now, &kind) &&
	    now.ino == ino)
		return introduce(f, &now, f->file[at].kind, map->name);
	if (at != TRACE_NONE && f->file[at].index != TRACE_NONE)
		return f->file[at].index;
	if (strncmp(map->name, "/SYSV", 5) == 0)
		return of_shm(f, (int)ino, &key.bytes);
	key.bytes = map->offset_bytes + (map->end - map->start);
	return introduce(f, &key, kind_of_name(map->name, TRACE_FILE_OTHER), map->name);
}

void files_of_maps(struct files *f, pid_t tid, struct maps_buffer *maps)
{
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < maps->nr; i++)
		maps->map[i].file = file_of_map(f, tid, &maps->map[i], maps->dev[i], maps->ino[i]);
	pthread_mutex_unlock(&f->lock);
}

/*
 * The file of a mapping, by what can still be looked at: its name, or the
 * mapping itself.  False: neither, and *key holds what the kernel told.
 */
static bool look_at_mapping(pid_t tid, const struct trace_map *map, struct known_file *key,
	enum trace_file_kind *kind)
{
	struct known_file now;
	bool device;

	if (look(map->name, &now, kind, &device) && now.ino == key->ino) {
		*key = now;
		return true;
	}
	if (look_behind(tid, map, &now, kind) && now.ino == key->ino) {
		*key = now;
		return true;
	}
	*kind = TRACE_FILE_OTHER;
	key->bytes = map->offset_bytes + (map->end - map->start);
	return false;
}

uint32_t files_of_mapping(struct files *f, pid_t tid, const struct trace_map *map, uint64_t dev,
	uint64_t ino, uint64_t *bytes)
{
	struct known_file key = { .dev = dev, .ino = ino };
	enum trace_file_kind kind;
	uint32_t index, at;
	bool seen;

	if (!has_file(map, ino) || strncmp(map->name, "/anon_hugepage", 14) == 0)
		return TRACE_NONE;
	seen = look_at_mapping(tid, map, &key, &kind);
	pthread_mutex_lock(&f->lock);
	at = find(f, &key);
	/* What was looked at may be younger than the mapping: what is known to
	 * have been asked for, or is needed, is not taken back. */
	if (at != TRACE_NONE && (!seen || f->file[at].bytes > key.bytes))
		key.bytes = f->file[at].bytes;
	if (!seen && strncmp(map->name, "/SYSV", 5) == 0) {
		index = of_shm(f, (int)ino, &key.bytes);
		if (index != TRACE_NONE)
			goto out;
	}
	index = introduce(f, &key, kind_of_name(map->name, kind), map->name);
out:
	*bytes = key.bytes;
	pthread_mutex_unlock(&f->lock);
	return index;
}
