/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces and files of a replay: made when a process starts or execs,
 * and held against what Linux said when they end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* Makes *array long enough for `index`; new slots are zero. */
static int slots_reserve(void **array, uint32_t *nr, uint32_t index, size_t bytes)
{
	uint32_t want = *nr ? *nr : 16;
	char *grown;

	while (want <= index)
		want *= 2;
	if (want == *nr)
		return 0;
	grown = realloc(*array, want * bytes);
	if (!grown)
		return -ENOMEM;
	memset(grown + *nr * bytes, 0, (want - *nr) * bytes);
	*array = grown;
	*nr = want;
	return 0;
}

#define RESERVE(replay, field, index)                                             \
	slots_reserve((void **)&(replay)->field, &(replay)->nr_##field, index, \
		      sizeof(*(replay)->field))

/* ---- files ------------------------------------------------------------------ */

/* What is in a file plays no part in a replay: it reads as zeros. */
static int zeros_read(void *context, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)context;
	(void)offset;
	memset(buf, 0, len_bytes);
	return 0;
}

static int zeros_write(void *context, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	(void)context;
	(void)offset;
	(void)buf;
	(void)len_bytes;
	return 0;
}

static bool file_is_memory(enum trace_file_kind kind)
{
	return kind == TRACE_FILE_TMPFS || kind == TRACE_FILE_MEMFD || kind == TRACE_FILE_SHM ||
	       kind == TRACE_FILE_HUGETLB;
}

/* Linux maps nothing around a fault in a segment of System V shared memory. */
static uint32_t mode_of_kind(enum trace_file_kind kind)
{
	return kind == TRACE_FILE_SHM ? QUIRE_FILE_NO_AROUND : 0u;
}

int replay_add_file(struct replay *replay, const struct trace_file *file)
{
	struct quire_file_config config = {
		.kind = file->kind == TRACE_FILE_ZERO ? QUIRE_FILE_ZERO :
			file_is_memory(file->kind) ? QUIRE_FILE_MEMORY : QUIRE_FILE_HOST,
		.mode = QUIRE_FILE_READ | QUIRE_FILE_WRITE | mode_of_kind(file->kind),
		.size_bytes = file->bytes,
		.backing = { .read = zeros_read, .write = zeros_write },
	};
	struct file_slot *slot;
	int err = RESERVE(replay, files, file->file);

	if (err)
		return err;
	slot = &replay->files[file->file];
	if (slot->file) {
		slot->bytes = file->bytes;
		return slot->kind == TRACE_FILE_ZERO ? 0 :
			quire_file_truncate(slot->file, file->bytes);
	}
	err = quire_file_create(replay->q, &config, &slot->file);
	if (err)
		return err;
	slot->kind = file->kind;
	slot->bytes = file->bytes;
	return 0;
}

void replay_close_file(struct file_slot *slot)
{
	for (unsigned mode = 0; mode < NR_MODES; mode++)
		if (slot->handle[mode])
			quire_file_put(slot->handle[mode]);
	if (slot->file)
		quire_file_put(slot->file);
}

int replay_file_handle(struct file_slot *slot, uint32_t mode, struct quire_file **ret_file)
{
	uint32_t access = (mode & TRACE_MODE_READ ? (uint32_t)QUIRE_FILE_READ : 0u) |
			  (mode & TRACE_MODE_WRITE ? (uint32_t)QUIRE_FILE_WRITE : 0u) |
			  mode_of_kind(slot->kind);
	int err = 0;

	mode &= NR_MODES - 1;
	if (mode == 0) {
		*ret_file = slot->file;
		return 0;
	}
	if (!slot->handle[mode])
		err = quire_file_reopen(slot->file, access, &slot->handle[mode]);
	if (!err)
		*ret_file = slot->handle[mode];
	return err;
}

struct file_slot *replay_file_slot(struct replay *replay, uint32_t index)
{
	if (index >= replay->nr_files || !replay->files[index].file)
		return NULL;
	return &replay->files[index];
}

int replay_fill_file(struct file_slot *slot, uint64_t end_bytes)
{
	static char sink[1 << 16];
	int err;

	if (file_is_memory(slot->kind) || slot->kind == TRACE_FILE_ZERO)
		return 0;
	if (end_bytes > slot->bytes)
		end_bytes = slot->bytes;
	while (slot->filled_bytes < end_bytes) {
		uint64_t len = end_bytes - slot->filled_bytes;

		if (len > sizeof(sink))
			len = sizeof(sink);
		err = quire_file_read(slot->file, slot->filled_bytes, sink, len);
		if (err)
			return err;
		slot->filled_bytes += len;
	}
	return 0;
}

struct file_search {
	uint64_t addr;
	uint64_t file_id, offset; /* of the byte at addr */
};

static bool file_search_visit(const struct quire_map_info *map, void *arg)
{
	struct file_search *search = arg;

	if (search->addr < map->start || search->addr >= map->end)
		return map->end <= search->addr;
	search->file_id = map->file_id;
	search->offset = map->offset + (search->addr - map->start);
	return false;
}

struct file_slot *replay_file_at(struct replay *replay, struct quire_mm *mm, uint64_t addr,
				 uint64_t *ret_offset)
{
	struct file_search search = { .addr = addr };

	quire_mm_maps(mm, file_search_visit, &search);
	*ret_offset = search.offset;
	for (uint32_t i = 0; search.file_id && i < replay->nr_files; i++)
		if (replay->files[i].file && quire_file_id(replay->files[i].file) == search.file_id)
			return &replay->files[i];
	return NULL;
}

int replay_reserve_thread(struct replay *replay, uint32_t thread)
{
	return RESERVE(replay, threads, thread);
}

/* ---- starting ------------------------------------------------------------------ */

struct space_slot *replay_space_of(struct replay *replay, uint32_t process)
{
	uint32_t mm;

	if (process >= replay->nr_processes)
		return NULL;
	mm = replay->processes[process].mm;
	return mm < replay->nr_spaces ? &replay->spaces[mm] : NULL;
}

static int space_open(struct replay *replay, const struct trace_event *event, uint32_t mm,
		      const char *name, struct space_slot **ret_space)
{
	struct space_slot *space;
	int err = RESERVE(replay, spaces, mm);

	if (err)
		return err;
	space = &replay->spaces[mm];
	*space = (struct space_slot){ .start_us = event->time_us, .process = event->process,
				      .pid = replay->processes[event->process].pid };
	space->name = strdup(name);
	if (!space->name)
		return -ENOMEM;
	*ret_space = space;
	return 0;
}

int replay_start_process(struct replay *replay, const struct trace_event *event)
{
	const struct trace_process_start *start = &event->process_start;
	struct space_slot *parent, *space;
	int err = RESERVE(replay, processes, event->process);

	if (err)
		return err;
	replay->processes[event->process] = (struct process_slot){
		.mm = start->mm, .pid = start->pid, .shares_mm = start->shares_mm,
		.lender = TRACE_NONE, .attached = start->how == TRACE_HOW_ATTACH,
	};
	if (start->shares_mm)
		return 0;
	parent = start->parent == TRACE_NONE ? NULL : replay_space_of(replay, start->parent);
	err = space_open(replay, event, start->mm, parent && parent->name ? parent->name : "?",
			 &space);
	if (err)
		return err;
	/* space_open may have moved the array */
	parent = start->parent == TRACE_NONE ? NULL : replay_space_of(replay, start->parent);
	if (!parent || !parent->mm) {
		space->unknown = true;
		return 0;
	}
	space->attached = parent->attached;
	space->read_is_exec = parent->read_is_exec;
	/* What was noted may lie in the memory that the child inherits. */
	for (size_t i = 0; i < parent->account.nr_notes && !err; i++)
		err = replay_note(&space->account.notes, &space->account.nr_notes,
				  parent->account.notes[i].call);
	return err ? err : quire_mm_fork(parent->mm, &space->mm);
}

static uint64_t limit_of(uint64_t recorded)
{
	return recorded == TRACE_UNKNOWN ? QUIRE_UNLIMITED : recorded;
}

static struct quire_limits limits_of(const struct trace_rights *rights)
{
	return (struct quire_limits){
		.address_space_bytes = limit_of(rights->as_bytes),
		.data_bytes = limit_of(rights->data_bytes),
		.data_max_bytes = QUIRE_UNLIMITED,
		.stack_bytes = limit_of(rights->stack_bytes),
		.locked_bytes = limit_of(rights->memlock_bytes),
		/* An old recording does not say. */
		.may_lock_any = !(rights->flags & TRACE_RIGHT_KNOWN) ||
				rights->flags & TRACE_RIGHT_LOCK_ANY,
	};
}

/* The rights of an address space and of the process in it. */
static void apply_rights(struct quire_mm *mm, const struct trace_rights *rights)
{
	struct quire_limits limits = limits_of(rights);
	uint32_t mdwe = (rights->flags & TRACE_RIGHT_MDWE ? QUIRE_MDWE_REFUSE_EXEC_GAIN : 0u) |
			(rights->flags & TRACE_RIGHT_MDWE_NO_INHERIT ? QUIRE_MDWE_NO_INHERIT : 0u);

	quire_mm_set_limits(mm, &limits);
	quire_mm_set_thp_disable(mm, rights->flags & TRACE_RIGHT_THP_ADVISED ? QUIRE_THP_ADVISED :
				     rights->flags & TRACE_RIGHT_NO_THP ? QUIRE_THP_DISABLED :
									  QUIRE_THP_ENABLED);
	if (mdwe)
		quire_mm_set_mdwe(mm, mdwe);
}

void replay_limits(struct replay *replay, const struct trace_event *event)
{
	struct space_slot *space = replay_space_of(replay, event->process);

	if (!space || !space->mm)
		return;
	space->read_is_exec = event->limits.rights.flags & TRACE_RIGHT_READ_IS_EXEC;
	apply_rights(space->mm, &event->limits.rights);
}

static void layout_of(const struct replay *replay, const struct trace_exec *exec,
		      struct quire_layout *layout)
{
	const struct trace_layout *seen = &exec->layout;

	quire_layout_default(layout);
	if (host_or(&replay->host, HOST_mmap_min_addr, 0) != 0)
		layout->mmap_min = replay->host.trait[HOST_mmap_min_addr];
	/* An old recording does not say: 64 KiB, as most kernels are built. */
	layout->mmap_min_placed = host_or(&replay->host, HOST_lsm_min_addr, 65536);
	if (layout->mmap_min_placed < layout->mmap_min)
		layout->mmap_min_placed = layout->mmap_min;
	layout->bottom_up = host_or(&replay->host, HOST_bottom_up, 0) != 0 ||
			    exec->rights.flags & TRACE_RIGHT_BOTTOM_UP;
	if (seen->mmap_base != 0 && seen->mmap_base < QUIRE_TASK_SIZE)
		layout->mmap_base = seen->mmap_base & QUIRE_PAGE_MASK;
	if (seen->start_brk != 0)
		layout->brk_start = seen->start_brk;
	if (seen->start_stack != 0)
		layout->stack_top = seen->start_stack;
	layout->data_segment_bytes = seen->end_data - seen->start_data;
	layout->limits = limits_of(&exec->rights);
}

static int map_initial(struct replay *replay, struct space_slot *space,
		       const struct trace_map *map, uint32_t more_flags)
{
	struct file_slot *file = map->file == TRACE_NONE ? NULL : replay_file_slot(replay, map->file);
	struct quire_file *handle = NULL;
	uint32_t prot = (map->flags & TRACE_MAP_READ ? QUIRE_PROT_READ : 0u) |
			(map->flags & TRACE_MAP_WRITE ? QUIRE_PROT_WRITE : 0u) |
			(map->flags & TRACE_MAP_EXEC ? QUIRE_PROT_EXEC : 0u);
	uint32_t flags = QUIRE_MAP_FIXED |
			 (map->flags & TRACE_MAP_SHARED ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE) |
			 more_flags;
	uint32_t kernel_flags = 0;
	int err;

	if (map->start >= QUIRE_TASK_SIZE)
		return 0; /* [vsyscall] */
	if (strcmp(map->name, "[stack]") == 0)
		kernel_flags = QUIRE_MAPK_STACK;
	else if (map->name[0] == '[' && strcmp(map->name, "[heap]") != 0)
		kernel_flags = QUIRE_MAPK_SPECIAL;
	if (!file)
		flags |= QUIRE_MAP_ANONYMOUS;
	else {
		/* The kernel opens programs and interpreters for reading. */
		err = replay_file_handle(file, replay->header->version > 1 ? TRACE_MODE_READ : 0,
					 &handle);
		if (!err)
			err = replay_fill_file(file,
					       map->offset_bytes + (map->end - map->start));
		if (err)
			return err;
	}
	return quire_map_kernel(space->mm, map->start, map->end - map->start, prot, flags,
				handle, file ? map->offset_bytes : 0,
				kernel_flags, NULL);
}

/* Would a mapping that is made beside the other become one with it? */
static bool looks_alike(const struct trace_map *left, const struct trace_map *right)
{
	return left->end == right->start && left->flags == right->flags &&
	       !(left->flags & TRACE_MAP_SHARED) && left->file == right->file &&
	       left->name[0] != '[' && right->name[0] != '[' &&
	       (left->file == TRACE_NONE ||
		left->offset_bytes + (left->end - left->start) == right->offset_bytes);
}

/*
 * Linux kept two mappings apart that look alike: what keeps them apart does not show in
 * maps.  Mostly it is the account of memory that may be written: the loader protects what
 * it has relocated, and malloc maps the heaps of threads without.  So one that cannot be
 * written is made writable first; and of two that can, one is made without reserve.
 */
static int map_apart(struct replay *replay, struct space_slot *space,
		     const struct trace_map *map, bool *reserved)
{
	struct trace_map open = *map;
	int err;

	if (map->flags & TRACE_MAP_WRITE) {
		*reserved = !*reserved;
		return map_initial(replay, space, map, *reserved ? 0 : QUIRE_MAP_NORESERVE);
	}
	open.flags |= TRACE_MAP_READ | TRACE_MAP_WRITE;
	err = map_initial(replay, space, &open, 0);
	if (err)
		return err;
	return quire_mprotect(space->mm, map->start, map->end - map->start,
			      (map->flags & TRACE_MAP_READ ? QUIRE_PROT_READ : 0u) |
			      (map->flags & TRACE_MAP_EXEC ? QUIRE_PROT_EXEC : 0u));
}

/*
 * A program that runs already has moved its break: to the end of its heap.  What of
 * the heap is mapped otherwise comes with the maps.
 */
static int move_break(struct space_slot *space, const struct trace_exec *exec)
{
	uint64_t end = 0, at, brk;
	int err;

	for (size_t i = 0; i < exec->maps.nr; i++)
		if (strcmp(exec->maps.map[i].name, "[heap]") == 0)
			end = exec->maps.map[i].end;
	at = (exec->layout.start_brk + QUIRE_PAGE_SIZE - 1) & QUIRE_PAGE_MASK;
	if (exec->layout.start_brk == 0 || end <= at)
		return 0;
	err = quire_brk(space->mm, end, &brk);
	if (err || brk != end)
		return err;
	/* Holes in it have no maps. */
	for (size_t i = 0; i < exec->maps.nr && !err; i++) {
		const struct trace_map *map = &exec->maps.map[i];

		if (map->end <= at || map->start >= end)
			continue;
		if (map->start > at)
			err = quire_munmap(space->mm, at, map->start - at);
		at = map->end;
	}
	return err;
}

/* Is it there since the break was moved? */
static bool is_plain_heap(const struct trace_exec *exec, const struct trace_map *map)
{
	return strcmp(map->name, "[heap]") == 0 && exec->layout.start_brk != 0 &&
	       map->start >= exec->layout.start_brk &&
	       map->flags == (TRACE_MAP_READ | TRACE_MAP_WRITE);
}

int replay_exec(struct replay *replay, const struct trace_event *event)
{
	const struct trace_exec *exec = &event->exec;
	const struct space_slot *old = replay_space_of(replay, event->process);
	struct process_slot *process = &replay->processes[event->process];
	bool was_unknown = old && old->unknown, attached = process->attached, reserved = true;
	/* Others live in the space that it leaves. */
	bool leaves = old && old->mm;
	struct quire_layout layout;
	struct space_slot *space;
	int err = space_open(replay, event, exec->mm, exec->path, &space);

	if (err)
		return err;
	/* The first process was the recorder's own until now; a child of vfork lived
	 * in its parent's space. */
	process->counted_exec = (was_unknown || leaves) &&
				exec->minor_faults != TRACE_UNKNOWN &&
				exec->major_faults != TRACE_UNKNOWN;
	process->lender = TRACE_NONE;
	if (process->counted_exec) {
		uint64_t faults = exec->minor_faults + exec->major_faults;

		if (leaves) {
			process->lender = process->mm;
			replay->spaces[process->lender].borrowed_faults +=
				faults - process->counted_faults;
		}
		process->counted_faults = faults;
		process->counted_major = exec->major_faults;
	}
	process->shares_mm = process->attached = false;
	replay->processes[event->process].mm = exec->mm;
	layout_of(replay, exec, &layout);
	err = quire_mm_create(replay->q, &layout, &space->mm);
	if (err)
		return err;
	apply_rights(space->mm, &exec->rights);
	space->read_is_exec = exec->rights.flags & TRACE_RIGHT_READ_IS_EXEC;
	space->unknown = !exec->maps_known;
	space->attached = attached;
	err = move_break(space, exec);
	if (err == -ENOMEM)
		return err;
	for (size_t i = 0; i < exec->maps.nr; i++) {
		const struct trace_map *map = &exec->maps.map[i];

		reserved |= i == 0 || !looks_alike(&exec->maps.map[i - 1], map);
		if (is_plain_heap(exec, map))
			err = 0;
		else if (attached && i > 0 && looks_alike(&exec->maps.map[i - 1], map))
			err = map_apart(replay, space, map, &reserved);
		else
			err = map_initial(replay, space, map, 0);
		if (err == -ENOMEM)
			return err;
		if (err)
			replay_mismatch(replay, event, "initial map %#" PRIx64 " %s: error %d",
					map->start, map->name, -err);
	}
	return 0;
}

/* ---- ending ---------------------------------------------------------------------- */

struct map_compare {
	const struct trace_maps *recorded;
	size_t next;
	uint64_t nr_differences;
	char text[2048];
	size_t len;
};

static void map_difference(struct map_compare *c, const char *who, uint64_t start, uint64_t end,
			   uint32_t flags, uint64_t offset)
{
	int n;

	c->nr_differences++;
	if (c->len >= sizeof(c->text) - 1)
		return;
	n = snprintf(c->text + c->len, sizeof(c->text) - c->len,
		     "%s %012" PRIx64 "-%012" PRIx64 " %c%c%c%c %08" PRIx64 "\n", who, start, end,
		     flags & TRACE_MAP_READ ? 'r' : '-', flags & TRACE_MAP_WRITE ? 'w' : '-',
		     flags & TRACE_MAP_EXEC ? 'x' : '-', flags & TRACE_MAP_SHARED ? 's' : 'p',
		     offset);
	if (n > 0)
		c->len += (size_t)n;
}

static void recorded_difference(struct map_compare *c, const struct trace_map *map)
{
	map_difference(c, "linux", map->start, map->end, map->flags, map->offset_bytes);
}

static bool map_compare_one(const struct quire_map_info *ours, void *arg)
{
	struct map_compare *c = arg;
	uint32_t flags = (ours->prot & QUIRE_PROT_READ ? TRACE_MAP_READ : 0u) |
			 (ours->prot & QUIRE_PROT_WRITE ? TRACE_MAP_WRITE : 0u) |
			 (ours->prot & QUIRE_PROT_EXEC ? TRACE_MAP_EXEC : 0u) |
			 (ours->shared ? TRACE_MAP_SHARED : 0u);
	const struct trace_map *map;

	for (;; c->next++) {
		map = c->next < c->recorded->nr ? &c->recorded->map[c->next] : NULL;
		if (!map || map->start >= ours->start)
			break;
		recorded_difference(c, map);
	}
	if (map && map->start == ours->start && map->end == ours->end && map->flags == flags &&
	    (ours->file_id == 0 || map->offset_bytes == ours->offset)) {
		c->next++;
		return true;
	}
	if (map && map->start == ours->start) {
		recorded_difference(c, map);
		c->next++;
	}
	map_difference(c, "quire", ours->start, ours->end, flags, ours->offset);
	return true;
}

static void maps_compare(struct replay_space *out, struct quire_mm *mm,
			 const struct trace_maps *recorded)
{
	struct map_compare c = { .recorded = recorded };

	quire_mm_maps(mm, map_compare_one, &c);
	for (; c.next < recorded->nr; c.next++)
		if (recorded->map[c.next].start < QUIRE_TASK_SIZE)
			recorded_difference(&c, &recorded->map[c.next]);
	out->nr_map_differences = c.nr_differences;
	out->map_differences = c.nr_differences ? strdup(c.text) : NULL;
}

static struct replay_space *result_add_space(struct replay_result *result)
{
	struct replay_space *grown;

	/* Grows by doubling: at every power of two. */
	if ((result->nr_spaces & (result->nr_spaces - 1)) == 0) {
		uint64_t want = result->nr_spaces ? 2 * result->nr_spaces : 1;

		grown = realloc(result->spaces, want * sizeof(*grown));
		if (!grown)
			return NULL;
		result->spaces = grown;
	}
	grown = &result->spaces[result->nr_spaces++];
	*grown = (struct replay_space){ 0 };
	return grown;
}

static void figures_add(struct replay_figures *sum, const struct replay_figures *one)
{
	sum->faults += one->faults;
	sum->cow_copies = one->cow_copies == UINT64_MAX ? UINT64_MAX :
							  sum->cow_copies + one->cow_copies;
	sum->peak_rss_bytes += one->peak_rss_bytes;
	sum->peak_page_table_bytes += one->peak_page_table_bytes;
	sum->vmas += one->vmas;
}

static struct replay_figures figures_of_linux(const struct trace_said *said,
					      uint64_t faults_before)
{
	return (struct replay_figures){
		.faults = said->minor_faults + said->major_faults - faults_before,
		.cow_copies = UINT64_MAX,
		.peak_rss_bytes = said->peak_rss_bytes,
		.peak_page_table_bytes = said->peak_page_table_bytes,
		.vmas = said->vmas,
	};
}

void replay_note_tables(struct space_slot *space)
{
	struct quire_mm_stats stats;

	quire_mm_stats(space->mm, &stats);
	if (stats.page_table_bytes > space->peak_table_bytes)
		space->peak_table_bytes = stats.page_table_bytes;
}

/* Linux keeps no peak of its page tables: both are the most that was seen whenever the
 * recorder looked. */
static struct replay_figures figures_of_quire(const struct quire_mm_stats *stats,
					      const struct space_slot *space)
{
	return (struct replay_figures){
		.faults = stats->faults + stats->major_faults,
		.cow_copies = stats->cow_copies,
		.peak_rss_bytes = stats->peak_rss_pages * QUIRE_PAGE_SIZE,
		.peak_page_table_bytes = space->peak_table_bytes,
		.vmas = stats->nr_vmas,
	};
}

static bool said_is_complete(const struct trace_mm_end *end)
{
	const struct trace_said *said = &end->said;

	return end->complete && said->minor_faults != TRACE_UNKNOWN &&
	       said->major_faults != TRACE_UNKNOWN && said->peak_rss_bytes != TRACE_UNKNOWN &&
	       said->peak_page_table_bytes != TRACE_UNKNOWN && said->vmas != TRACE_UNKNOWN;
}

static bool source_is_exact(const struct replay *replay)
{
	return replay->header->source == TRACE_SOURCE_TRACEPOINT;
}

static int space_judge(struct replay *replay, const struct trace_event *event,
		       struct space_slot *slot, const struct quire_mm_stats *stats)
{
	const struct trace_mm_end *end = &event->mm_end;
	struct process_slot *process = &replay->processes[event->process];
	struct replay_result *result = replay->result;
	struct replay_space *space = result_add_space(result);

	if (!space)
		return -ENOMEM;
	space->process = slot->process;
	space->pid = slot->pid;
	space->name = slot->name;
	slot->name = NULL;
	space->start_us = slot->start_us;
	space->end_us = event->time_us;
	space->compared = said_is_complete(end) && !slot->unknown;
	if (!space->compared)
		return 0;
	space->linux_said = figures_of_linux(&end->said, process->counted_faults);
	space->linux_said.faults += slot->borrowed_faults;
	space->nr_major = end->said.major_faults - process->counted_major;
	space->quire_says = figures_of_quire(stats, slot);
	space->quire_says.faults += slot->account.nr_lent;
	space->quire_says.faults -= slot->account.nr_beside + slot->account.nr_there;
	result->nr_beside += slot->account.nr_beside;
	space->nr_idle = slot->account.nr_idle;
	result->nr_idle += space->nr_idle;
	if (replay_account(&slot->account, space->linux_said.faults, source_is_exact(replay),
			   &space->account) ||
	    replay_account_add(&result->account, &space->account))
		return -ENOMEM;
	if (replay_judge_gaps(replay, slot, space))
		return -ENOMEM;
	maps_compare(space, slot->mm, &end->maps);
	result->nr_spaces_compared++;
	result->nr_spaces_maps_equal += space->nr_map_differences == 0;
	figures_add(&result->linux_said, &space->linux_said);
	figures_add(&result->quire_says, &space->quire_says);
	return 0;
}

int replay_end_space(struct replay *replay, const struct trace_event *event)
{
	const struct trace_mm_end *end = &event->mm_end;
	struct space_slot *slot = end->mm < replay->nr_spaces ? &replay->spaces[end->mm] : NULL;
	struct quire_mm_stats stats = { 0 };
	int err = 0;

	if (slot && slot->mm) {
		replay_note_tables(slot);
		quire_mm_stats(slot->mm, &stats);
		err = space_judge(replay, event, slot, &stats);
		replay->ended_faults += stats.faults + stats.major_faults;
		replay->ended_copies += stats.cow_copies;
		quire_mm_put(slot->mm);
		slot->mm = NULL;
	}
	if (said_is_complete(end) && event->process < replay->nr_processes) {
		struct process_slot *process = &replay->processes[event->process];

		process->counted_faults = end->said.minor_faults + end->said.major_faults;
		process->counted_major = end->said.major_faults;
	}
	return err;
}

void replay_end_process(struct replay *replay, const struct trace_event *event)
{
	struct process_slot *process;
	uint64_t faults = event->process_exit.minor_faults + event->process_exit.major_faults;

	if (event->process >= replay->nr_processes)
		return;
	process = &replay->processes[event->process];
	/* Its space lives on, with others in it. */
	if (process->mm < replay->nr_spaces && replay->spaces[process->mm].mm &&
	    event->process_exit.minor_faults != TRACE_UNKNOWN &&
	    event->process_exit.major_faults != TRACE_UNKNOWN)
		replay->spaces[process->mm].borrowed_faults += faults - process->counted_faults;
	process->mm = TRACE_NONE;
}
