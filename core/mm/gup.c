/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pinning pages, as a device driver does before it lets hardware at them.
 *
 * Guarantees.  A pinned page stays at its frame and stays the page that the
 * address space sees, over fork too.  For that a pin is only taken of an
 * exclusive anonymous page: a write pin breaks copy on write first, a read pin
 * of a page that others may map unshares it first, and fork copies for the
 * child what is pinned (copy.c).  A long-term pin also leaves the zero page and
 * a private mapping's file pages for a copy of its own, which a later write
 * would otherwise put in their place.
 *
 * QUIRE_PIN_GET_ONLY takes a plain reference, as vmsplice did: nothing is
 * promised, and that is the point of it (see cow.c).
 *
 * Under the mmap lock (any mode) and the table lock the entry cannot change,
 * and fork, which holds the mmap lock for writing, is not at work.
 */
#include "base/memory.h"
#include "mm/api.h"
#include "mm/pages.h"

#define PIN_CHUNK_PAGES 12u

/* A chain of chunks; the first is the handle. */
struct quire_pin {
	struct quire *q;
	struct quire_pin *next;
	u32 flags; /* enum quire_pin_flag */
	u32 nr;    /* of this chunk */
	struct frame *frames[PIN_CHUNK_PAGES];
};

u32 pin_object_bytes(void)
{
	return sizeof(struct quire_pin);
}

/* ---- one page -------------------------------------------------------------------- */

enum pin_step { PIN_DONE, PIN_FAULT, PIN_UNSHARE, PIN_TOO_MANY };

static bool must_unshare(const struct vma *vma, entry_t e, struct folio *folio, u32 flags)
{
	if ((flags & (QUIRE_PIN_WRITE | QUIRE_PIN_GET_ONLY)) || vma_is_shared(vma))
		return false;
	if (!entry_is_special(e) && folio_is_anon(folio))
		return !entry_is_exclusive(e) && pins_are_kept(vma->mm->q);
	return (flags & QUIRE_PIN_LONGTERM) != 0 && (vma->flags & VMA_MAYWRITE) != 0;
}

/* Looks at the entry and, if it will do, takes the pin.  Table lock held. */
static enum pin_step try_pin(struct vma *vma, entry_t e, u32 flags, struct frame **ret_frame)
{
	bool write = (flags & QUIRE_PIN_WRITE) != 0;
	struct frame *frame;
	struct folio *folio;

	if (!entry_is_present(e) || (write && !entry_is_writable(e)))
		return PIN_FAULT;
	frame = entry_frame(vma->mm, e);
	folio = frame_folio(frame);
	if (must_unshare(vma, e, folio, flags))
		return PIN_UNSHARE;
	*ret_frame = frame;
	if (entry_is_special(e))
		return PIN_DONE; /* the zero page is nobody's to count */
	if (!(flags & QUIRE_PIN_GET_ONLY))
		return folio_pin(folio) ? PIN_DONE : PIN_TOO_MANY;
	if (!folio_has_room(folio))
		return PIN_TOO_MANY;
	folio_get(folio);
	return PIN_DONE;
}

static enum pin_step try_pin_at(struct vma *vma, u64 addr, u32 flags, struct frame **ret_frame)
{
	struct table *table;
	enum pin_step step;
	entry_t e;

	if (!lock_page_entry(vma->mm, addr, &e, &table))
		return PIN_FAULT;
	step = try_pin(vma, e, flags, ret_frame);
	table_unlock(table);
	return step;
}

/* mmap lock held, for reading. */
static int pin_page(struct mm *mm, u64 addr, u32 flags, struct frame **ret_frame)
{
	enum mach_access_kind kind = flags & QUIRE_PIN_WRITE ? MACH_WRITE : MACH_READ;
	struct vma *vma = addr < TASK_SIZE ? vma_at(mm, addr) : NULL;
	u32 needed = flags & QUIRE_PIN_WRITE ? VMA_WRITE : VMA_ACCESS;
	enum quire_signal signal;
	int err = 0;

	if (vma == NULL || (vma->flags & needed) == 0)
		return -QUIRE_EFAULT;
	while (!err) {
		switch (try_pin_at(vma, addr, flags, ret_frame)) {
		case PIN_DONE:
			return 0;
		case PIN_FAULT:
			err = mm_handle_fault(mm, vma, addr, kind, &signal);
			break;
		case PIN_UNSHARE:
			err = mm_unshare_page(mm, vma, addr, &signal);
			break;
		case PIN_TOO_MANY:
			err = -QUIRE_ENOMEM;
			break;
		}
	}
	return err;
}

static void unpin_page(struct quire *q, struct frame *frame, u32 flags)
{
	struct folio *folio = frame_folio(frame);

	if (folio_test(folio, FRAME_ZERO_PAGE))
		return;
	if ((flags & QUIRE_PIN_WRITE) && !folio_is_anon(folio)) {
		folio_lock(folio);
		if (folio->mapping != NULL)
			mapping_dirty_folio(folio->mapping, folio);
		folio_unlock(folio);
	}
	if (flags & QUIRE_PIN_GET_ONLY)
		folio_put(&q->phys, folio);
	else
		folio_unpin(&q->phys, folio);
}

/* ---- the calls ----------------------------------------------------------------------- */

static struct quire_pin *chunk_alloc(struct quire *q, u32 flags)
{
	struct quire_pin *pin = objcache_alloc(&q->pin_cache);

	if (pin != NULL)
		*pin = (struct quire_pin){ .q = q, .flags = flags };
	return pin;
}

static int pin_pages(struct mm *mm, u64 addr, u64 nr_pages, u32 flags, struct quire_pin *pin)
{
	for (; nr_pages > 0; nr_pages--, addr += PAGE_SIZE) {
		int err;

		if (pin->nr == PIN_CHUNK_PAGES) {
			pin->next = chunk_alloc(mm->q, flags);
			if (pin->next == NULL)
				return -QUIRE_ENOMEM;
			pin = pin->next;
		}
		err = pin_page(mm, addr, flags, &pin->frames[pin->nr]);
		if (err)
			return err;
		pin->nr++;
	}
	return 0;
}

static void unpin_all(struct quire_pin *pin)
{
	while (pin != NULL) {
		struct quire_pin *next = pin->next;
		struct quire *q = pin->q;

		for (u32 i = 0; i < pin->nr; i++)
			unpin_page(q, pin->frames[i], pin->flags);
		objcache_free(&q->pin_cache, pin);
		pin = next;
	}
}

int quire_pin_pages(struct quire_mm *handle, uint64_t addr, uint64_t nr_pages, uint32_t flags,
		    struct quire_pin **ret_pin)
{
	struct quire_pin *pin;
	struct mm *mm;
	int err = api_enter_mm(handle, &mm);

	if (err)
		return err;
	if (ret_pin == NULL || nr_pages == 0 || nr_pages > TASK_SIZE >> PAGE_SHIFT ||
	    (flags & ~(u32)(QUIRE_PIN_WRITE | QUIRE_PIN_LONGTERM | QUIRE_PIN_GET_ONLY)))
		return -QUIRE_EINVAL;
	pin = chunk_alloc(mm->q, flags);
	if (pin == NULL)
		return -QUIRE_ENOMEM;
	rwsem_read_lock(&mm->mmap_lock);
	/* From now on fork asks of each page; it holds the lock for writing. */
	if (!(flags & QUIRE_PIN_GET_ONLY))
		atomic_store(&mm->has_pinned, true);
	err = pin_pages(mm, addr & PAGE_MASK, nr_pages, flags, pin);
	rwsem_read_unlock(&mm->mmap_lock);
	if (err)
		unpin_all(pin);
	else
		*ret_pin = pin;
	return err;
}

void quire_unpin(struct quire_pin *pin)
{
	if (pin != NULL && api_enter(pin->q) == 0)
		unpin_all(pin);
}

/* Moves bytes between the pinned pages and `buf`, as the device would. */
static int pin_transfer(struct quire_pin *pin, u64 offset, char *buf, u64 len_bytes, bool write)
{
	u64 left = len_bytes;

	while (left > 0 && pin != NULL) {
		u64 here = (u64)pin->nr << PAGE_SHIFT;
		char *mem;
		u64 nr;

		if (offset >= here) {
			offset -= here;
			pin = pin->next;
			continue;
		}
		mem = (char *)frame_bytes(&pin->q->phys, pin->frames[offset >> PAGE_SHIFT]) +
		      (offset & ~PAGE_MASK);
		nr = u64_min(left, PAGE_SIZE - (offset & ~PAGE_MASK));
		if (write)
			mem_copy(mem, buf, nr);
		else
			mem_copy(buf, mem, nr);
		buf += nr;
		offset += nr;
		left -= nr;
	}
	return left == 0 ? 0 : -QUIRE_ERANGE;
}

int quire_pin_read(struct quire_pin *pin, uint64_t offset, void *buf, uint64_t len_bytes)
{
	int err = pin == NULL || buf == NULL ? -QUIRE_EINVAL : api_enter(pin->q);

	return err ? err : pin_transfer(pin, offset, buf, len_bytes, false);
}

int quire_pin_write(struct quire_pin *pin, uint64_t offset, const void *buf,
		    uint64_t len_bytes)
{
	int err = pin == NULL || buf == NULL ? -QUIRE_EINVAL : api_enter(pin->q);

	if (err)
		return err;
	if (!(pin->flags & QUIRE_PIN_WRITE))
		return -QUIRE_EACCES;
	return pin_transfer(pin, offset, (char *)(uintptr_t)buf, len_bytes, true);
}
