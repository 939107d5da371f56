/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mappings and the handles that keep them: creation, references, the end.
 */
#include "file/cache.h"

int files_init(struct files *files, struct phys *phys, struct rmap *rmap,
	       struct objcache *tree_nodes)
{
	int err;

	*files = (struct files){
		.phys = phys, .rmap = rmap, .tree_nodes = tree_nodes, .next_id = 1,
	};
	err = objcache_init(&files->mappings, phys, "mapping", sizeof(struct mapping),
			    _Alignof(struct mapping));
	if (err)
		return err;
	err = objcache_init(&files->handles, phys, "file", sizeof(struct file),
			    _Alignof(struct file));
	if (err)
		(void)objcache_fini(&files->mappings);
	return err;
}

u64 files_fini(struct files *files)
{
	return objcache_fini(&files->handles) + objcache_fini(&files->mappings);
}

/* ---- mappings -------------------------------------------------------------------- */

static struct mapping *mapping_create(struct files *files,
				      const struct quire_file_config *config)
{
	struct mapping *mapping = objcache_alloc(&files->mappings);
	bool host = config->kind == QUIRE_FILE_HOST;

	if (!mapping)
		return NULL;
	*mapping = (struct mapping){
		.files = files,
		.kind = config->kind,
		.size_bytes = config->size_bytes,
		.backed_bytes = host ? config->size_bytes : 0,
		.backing_end_bytes = host ? config->size_bytes : 0,
		.id = atomic_fetch_add(&files->next_id, 1),
		.on_tmpfs = config->on_tmpfs,
		.tmpfs_folios = config->tmpfs_folios,
	};
	if (host)
		mapping->backing = config->backing;
	refcount_init(&mapping->refs, 1);
	mutex_init(&mapping->size_lock, LOCK_RANK_file);
	spin_init(&mapping->index_lock, LOCK_RANK_page_cache);
	maple_init(&mapping->folios, files->tree_nodes, MAPLE_RCU);
	i_mmap_init(&mapping->i_mmap);
	return mapping;
}

/*
 * The last handle is gone, and with it every VMA: nobody looks in the index
 * any more.  Folios with further references (pins) stay, in no file.
 */
static void mapping_put(struct mapping *mapping)
{
	struct files *files = mapping->files;

	if (!refcount_put(&mapping->refs, 1))
		return;
	if (mapping_writeback(mapping, 0, UINT64_MAX)) {
		/* The backing does not take them, and nobody is left to tell. */
	}
	cache_remove_range(mapping, 0, UINT64_MAX);
	check(mapping->nr_pages == 0 && mapping->nr_dirty == 0);
	maple_destroy(&mapping->folios);
	if (mapping->nr_charged != 0)
		atomic_fetch_sub(files->committed_pages, mapping->nr_charged);
	if (mapping->backing.destroy)
		mapping->backing.destroy(mapping->backing.context);
	objcache_free(&files->mappings, mapping);
}

/* ---- handles ------------------------------------------------------------------------ */

static bool mode_is_valid(u32 mode)
{
	return (mode & ~(u32)(QUIRE_FILE_READ | QUIRE_FILE_WRITE | QUIRE_FILE_NOEXEC |
			      QUIRE_FILE_UNALIGNED | QUIRE_FILE_NO_AROUND)) == 0;
}

static bool config_is_valid(const struct quire_file_config *config)
{
	const struct quire_backing *backing = &config->backing;

	if (!mode_is_valid(config->mode) || config->size_bytes > FILE_SIZE_MAX ||
	    config->tmpfs_folios > QUIRE_SHMEM_ALWAYS)
		return false;
	switch (config->kind) {
	case QUIRE_FILE_MEMORY:
	case QUIRE_FILE_ZERO:
		return true;
	case QUIRE_FILE_HOST:
		return backing->read && backing->write;
	}
	return false;
}

/* Takes over a reference to the mapping, on failure too. */
static int handle_create(struct mapping *mapping, u32 mode, struct file **ret_file)
{
	struct file *file = objcache_alloc(&mapping->files->handles);

	if (!file) {
		mapping_put(mapping);
		return -QUIRE_ENOMEM;
	}
	*file = (struct file){ .mapping = mapping, .mode = mode };
	refcount_init(&file->refs, 1);
	*ret_file = file;
	return 0;
}

int file_create(struct files *files, const struct quire_file_config *config,
		struct file **ret_file)
{
	struct mapping *mapping;

	if (!config_is_valid(config))
		return -QUIRE_EINVAL;
	mapping = mapping_create(files, config);
	if (!mapping)
		return -QUIRE_ENOMEM;
	return handle_create(mapping, config->mode, ret_file);
}

int file_reopen(struct file *file, u32 mode, struct file **ret_file)
{
	if (!mode_is_valid(mode))
		return -QUIRE_EINVAL;
	refcount_get(&file->mapping->refs, 1);
	return handle_create(file->mapping, mode, ret_file);
}

void file_get(struct file *file)
{
	refcount_get(&file->refs, 1);
}

void file_put(struct file *file)
{
	struct mapping *mapping = file->mapping;

	if (!refcount_put(&file->refs, 1))
		return;
	objcache_free(&mapping->files->handles, file);
	mapping_put(mapping);
}
