/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public functions of include/quire/file.h.
 *
 * They stand in this room and not in file/, because only here it is known what
 * an instance is and how a file's pages are unmapped.
 */
#include "mm/api.h"

static int enter_file(struct quire_file *handle, struct file **ret_file)
{
	struct file *file = file_of(handle);
	int err;

	if (!file)
		return -QUIRE_EINVAL;
	err = api_enter(container_of(file->mapping->files, struct quire, files));
	if (!err)
		*ret_file = file;
	return err;
}

/* The same for a handle that has to have been opened in this mode. */
static int enter_file_mode(struct quire_file *handle, enum quire_file_mode mode,
			   struct file **ret_file)
{
	struct file *file;
	int err = enter_file(handle, &file);

	if (err)
		return err;
	if (!(file->mode & (u32)mode))
		return -QUIRE_EBADF;
	if (file_is_zeros(file))
		return -QUIRE_EINVAL;
	*ret_file = file;
	return 0;
}

int quire_file_create(struct quire *q, const struct quire_file_config *config,
		      struct quire_file **ret_file)
{
	struct file *file;
	int err = api_enter(q);

	if (err)
		return err;
	if (!config || !ret_file)
		return -QUIRE_EINVAL;
	err = file_create(&q->files, config, &file);
	if (!err)
		*ret_file = (struct quire_file *)(void *)file;
	return err;
}

int quire_file_reopen(struct quire_file *handle, uint32_t mode, struct quire_file **ret_file)
{
	struct file *file, *other;
	int err = enter_file(handle, &file);

	if (err)
		return err;
	if (!ret_file)
		return -QUIRE_EINVAL;
	err = file_reopen(file, mode, &other);
	if (!err)
		*ret_file = (struct quire_file *)(void *)other;
	return err;
}

void quire_file_put(struct quire_file *handle)
{
	struct file *file;

	if (enter_file(handle, &file))
		return;
	file_put(file);
}

int quire_file_read(struct quire_file *handle, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct file *file;
	int err = enter_file_mode(handle, QUIRE_FILE_READ, &file);

	return err ? err : mapping_read(file->mapping, offset, buf, len_bytes);
}

int quire_file_write(struct quire_file *handle, uint64_t offset, const void *buf,
		     uint64_t len_bytes)
{
	struct file *file;
	int err = enter_file_mode(handle, QUIRE_FILE_WRITE, &file);

	return err ? err : mapping_write(file->mapping, offset, buf, len_bytes);
}

int quire_file_truncate(struct quire_file *handle, uint64_t size_bytes)
{
	struct file *file;
	int err = enter_file_mode(handle, QUIRE_FILE_WRITE, &file);

	return err ? err : mapping_truncate(file->mapping, size_bytes, mm_unmap_mapping);
}

int quire_file_punch(struct quire_file *handle, uint64_t offset, uint64_t len_bytes)
{
	struct file *file;
	int err = enter_file_mode(handle, QUIRE_FILE_WRITE, &file);
	u64 first, end;

	if (err)
		return err;
	if (offset > FILE_SIZE_MAX || len_bytes > FILE_SIZE_MAX - offset)
		return -QUIRE_EINVAL;
	first = page_align_up(offset) >> PAGE_SHIFT;
	end = (offset + len_bytes) >> PAGE_SHIFT;
	if (first >= end)
		return 0;
	return mapping_punch(file->mapping, first, end - 1, mm_unmap_mapping);
}

int quire_file_sync(struct quire_file *handle)
{
	struct file *file;
	int err = enter_file(handle, &file);

	return err ? err : mapping_writeback(file->mapping, 0, UINT64_MAX);
}

uint32_t quire_file_mode(const struct quire_file *handle)
{
	return ((const struct file *)(const void *)handle)->mode;
}

uint64_t quire_file_id(const struct quire_file *handle)
{
	const struct file *file = (const struct file *)(const void *)handle;

	return file ? file->mapping->id : 0;
}

uint64_t quire_file_size_bytes(const struct quire_file *handle)
{
	const struct file *file = (const struct file *)(const void *)handle;

	return file ? atomic_load(&file->mapping->size_bytes) : 0;
}

uint64_t quire_file_nr_cached_pages(const struct quire_file *handle)
{
	const struct file *file = (const struct file *)(const void *)handle;

	return file ? atomic_load(&file->mapping->nr_pages) : 0;
}
