/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files: what address spaces can map.
 * Every function may be called from any attached CPU with no lock held.
 */
#ifndef QUIRE_FILE_H
#define QUIRE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quire;
struct quire_file; /* an open file; opaque */

enum quire_file_kind {
	QUIRE_FILE_MEMORY, /* tmpfs, memfd, shared memory: the cache is the contents */
	QUIRE_FILE_HOST,   /* read and written through quire_backing */
	/* /dev/zero: a private mapping is anonymous memory (which does not merge with
	 * other), a shared one is shared anonymous memory of its own.  The calls below
	 * that read, write or size a file are -EINVAL. */
	QUIRE_FILE_ZERO,
};

enum quire_file_mode {
	QUIRE_FILE_READ = 1,
	QUIRE_FILE_WRITE = 2,
	QUIRE_FILE_NOEXEC = 4, /* lies on a file system mounted noexec */
	/* Lies on a file system that does not care where it is mapped (overlayfs, ramfs);
	 * others place it where PMD-sized folios could be mapped. */
	QUIRE_FILE_UNALIGNED = 8,
	/* A fault maps its page alone, as in a segment of System V shared memory. */
	QUIRE_FILE_NO_AROUND = 16,
};

/*
 * Which memory of a QUIRE_FILE_MEMORY file comes in PMD-sized folios, and where mappings
 * are then placed: Linux's transparent_hugepage/shmem_enabled, and huge= of a tmpfs.
 * Not modelled: a folio that sticks out beyond the end of its file (so ALWAYS is as
 * WITHIN_SIZE there), and the settings of other sizes, hugepages-<size>/shmem_enabled,
 * which are taken to be `never`, as they are by default.
 */
enum quire_shmem_folios {
	QUIRE_SHMEM_NEVER,
	QUIRE_SHMEM_ADVISE,      /* for faults of VMAs with QUIRE_MADV_HUGEPAGE */
	QUIRE_SHMEM_WITHIN_SIZE, /* where the folio lies inside the file; as ADVISE elsewhere */
	QUIRE_SHMEM_ALWAYS,
	QUIRE_SHMEM_DENY,  /* of the instance only: nowhere, on no tmpfs either */
	QUIRE_SHMEM_FORCE, /* of the instance only: everywhere, on every tmpfs too */
	QUIRE_SHMEM_INHERIT, /* of config.shared_folios only */
};

/*
 * Where the contents of a QUIRE_FILE_HOST file come from.  The functions may
 * be called on any CPU, several at once for different ranges; they return 0
 * or -QUIRE_EIO.  Bytes beyond the end of the backing read as zeros.
 */
struct quire_backing {
	void *context;
	int (*read)(void *context, uint64_t offset, void *buf, uint64_t len_bytes);
	int (*write)(void *context, uint64_t offset, const void *buf, uint64_t len_bytes);
	void (*destroy)(void *context); /* may be NULL */
};

struct quire_file_config {
	enum quire_file_kind kind;
	uint32_t mode; /* enum quire_file_mode */
	uint64_t size_bytes;
	struct quire_backing backing;
	/* QUIRE_FILE_MEMORY: lies on a tmpfs that was mounted, which has a setting of its
	 * own, NEVER .. ALWAYS.  Else (memfd, shared anonymous memory) the instance's counts. */
	bool on_tmpfs;
	enum quire_shmem_folios tmpfs_folios;
};

/* 0 and *ret_file with one reference; -ENOMEM; -EINVAL for a bad config. */
int quire_file_create(struct quire *q, const struct quire_file_config *config,
		      struct quire_file **ret_file);
/* Another handle on the same contents with its own mode. */
int quire_file_reopen(struct quire_file *file, uint32_t mode, struct quire_file **ret_file);
/* Closes a handle; mappings of it keep the contents alive. */
void quire_file_put(struct quire_file *file);
/* 0, -EIO, -ENOMEM; -EBADF for a handle without that mode; reading beyond the
 * end gives -ERANGE, writing extends the file. */
int quire_file_read(struct quire_file *file, uint64_t offset, void *buf, uint64_t len_bytes);
int quire_file_write(struct quire_file *file, uint64_t offset, const void *buf,
		     uint64_t len_bytes);
/*
 * Grows or shrinks; shrinking unmaps what lies beyond, private copies too.  A large
 * folio that is cut in two while somebody pins it (or looks it up) is zeroed from
 * the cut on and stays in memory whole; so it is with a hole.
 */
int quire_file_truncate(struct quire_file *file, uint64_t size_bytes);
/* Frees the whole pages of a range, which then reads as zeros. */
int quire_file_punch(struct quire_file *file, uint64_t offset, uint64_t len_bytes);
/* Writes dirty pages back to the backing. */
int quire_file_sync(struct quire_file *file);
/* What quire_mm_maps tells as file_id: one for each contents, never 0. */
uint64_t quire_file_id(const struct quire_file *file);
/* As it was opened: enum quire_file_mode. */
uint32_t quire_file_mode(const struct quire_file *file);
uint64_t quire_file_size_bytes(const struct quire_file *file);
/* Pages of it in the cache now. */
uint64_t quire_file_nr_cached_pages(const struct quire_file *file);

#ifdef __cplusplus
}
#endif
#endif
