/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is seen at a stop, as items for the merge.  The thread is stopped
 * meanwhile, so /proc shows its address space standing still but for the work
 * of its other threads.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "call_source.h"
#include "cgroup.h"
#include "tracer.h"

static struct item *new_event(struct tracer *t, const struct tracee *tracee,
	enum trace_kind kind)
{
	struct item *item = item_create(ITEM_EVENT);

	if (!item) {
		t->failed = true;
		return NULL;
	}
	item->tid = tracee->tid;
	item->event.kind = kind;
	item->event.process = tracee->proc->index;
	item->event.thread = tracee->thread;
	return item;
}

static void push_plain(struct tracer *t, const struct tracee *tracee, enum item_kind kind)
{
	struct item *item = item_create(kind);

	if (!item) {
		t->failed = true;
		return;
	}
	item->tid = tracee->tid;
	item->event.process = tracee->proc->index;
	item->event.thread = tracee->thread;
	merge_push(t->merge, item);
}

static void note(struct tracer *t, const struct tracee *tracee, const char *text)
{
	struct item *item = new_event(t, tracee, TRACE_NOTE);

	if (!item)
		return;
	item->text[0] = strdup(text);
	item->event.note.text = item->text[0] ? item->text[0] : "";
	merge_push(t->merge, item);
}

/* ---- what Linux says ---- */

static struct trace_said said_nothing(void)
{
	struct trace_said said;

	/* Every field is TRACE_UNKNOWN, all ones. */
	memset(&said, 0xff, sizeof(said));
	return said;
}

static void raise_to(uint64_t *peak, uint64_t value)
{
	if (value != TRACE_UNKNOWN && value > *peak)
		*peak = value;
}

/* Events of a group do not follow who leaves it. */
static void observe_group(struct tracer *t, const struct tracee *tracee)
{
	if (!t->cgroup || t->left_cgroup || cgroup_contains(t->cgroup, tracee->tid))
		return;
	t->left_cgroup = true;
	note(t, tracee, "a process moved to another control group: from there on its touches "
			"are missing, and its calls if tracepoints see them (--no-cgroup helps)");
}

/* A peak that is older than the recording is none of it: then the most that was seen. */
static void correct_peak_rss(struct space *space, struct trace_said *said)
{
	raise_to(&space->peak_rss_seen, said->rss_bytes);
	if (space->peak_rss_before && said->peak_rss_bytes <= space->peak_rss_before)
		said->peak_rss_bytes = space->peak_rss_seen;
}

void capture_take(struct tracer *t, struct tracee *tracee, struct capture *c)
{
	struct space *space = tracee->proc->space;
	struct proc_numbers numbers;

	*c = (struct capture){ .said = said_nothing() };
	/* It still has its descriptors and its memory: not for long. */
	if (t->calls)
		call_rings_look(t->calls);
	observe_group(t, tracee);
	if (space->ours || procfs_read_status(tracee->tid, &c->said) < 0 ||
	    procfs_read_numbers(tracee->tid, &numbers) < 0 ||
	    procfs_read_maps(tracee->tid, &c->maps) < 0)
		return;
	files_of_maps(t->files, tracee->tid, &c->maps);
	c->said.minor_faults = numbers.minor_faults;
	c->said.major_faults = numbers.major_faults;
	c->said.vmas = c->maps.nr;
	raise_to(&space->peak_page_table_bytes, c->said.page_table_bytes);
	raise_to(&space->peak_vmas, c->said.vmas);
	c->said.peak_page_table_bytes = space->peak_page_table_bytes;
	c->said.peak_vmas = space->peak_vmas;
	correct_peak_rss(space, &c->said);
	c->complete = c->said.rss_bytes != TRACE_UNKNOWN;
}

void capture_fini(struct capture *c)
{
	maps_buffer_fini(&c->maps);
	*c = (struct capture){ 0 };
}

void observe_peak(struct tracee *tracee)
{
	struct trace_said said = said_nothing();

	if (procfs_read_status(tracee->tid, &said) == 0)
		raise_to(&tracee->proc->space->peak_page_table_bytes, said.page_table_bytes);
}

/* ---- pages ---- */

/* Reads which pages of [start, end) are there: because the kernel brought some of
 * them, to tell what came beside touches, or to find touches (neither). */
static void push_pages(struct tracer *t, struct tracee *tracee, uint64_t start, uint64_t end,
	bool came, bool beside)
{
	struct maps_buffer maps;
	struct item *item = item_create(ITEM_PAGES);

	if (!item) {
		t->failed = true;
		return;
	}
	if (procfs_read_maps(tracee->tid, &maps) == 0) {
		files_of_maps(t->files, tracee->tid, &maps);
		procfs_read_pages(tracee->tid, &maps, start, end,
			t->source == TRACE_SOURCE_PAGEMAP, &item->pages);
		maps_buffer_fini(&maps);
		if (came)
			procfs_mark_exclusive(tracee->tid, &item->pages);
	}
	item->came = came;
	item->beside = beside;
	item->counted = t->source < TRACE_SOURCE_PERF_USER && start == 0 && end == UINT64_MAX;
	item->unseen = tracee->proc->unseen_faults - tracee->proc->unseen_before;
	item->mm = tracee->proc->space->index;
	item->event.process = tracee->proc->index;
	item->event.thread = tracee->thread;
	merge_push(t->merge, item);
}

/*
 * Pages that the kernel brings on behalf of a caller (O_DIRECT, process_vm_writev,
 * io_uring, vmsplice) fire no exception, but Linux counts a fault for each.  True
 * when that number has grown since the last look.  Those of populate and mlock
 * grow it too: then the look shows what the replay has anyway.
 */
static bool kernel_brought_pages(struct tracer *t, struct tracee *tracee)
{
	struct proc *proc = tracee->proc;
	struct proc_numbers numbers;
	int64_t unseen, before = proc->unseen_faults;

	if (procfs_read_numbers(tracee->tid, &numbers) < 0)
		return false;
	unseen = (int64_t)(numbers.minor_faults + numbers.major_faults + proc->nr_signals) -
		(int64_t)drain_faults_of(t->drain, proc->pid);
	proc->unseen_faults = unseen;
	return unseen > before;
}

/* Makes the next look find nothing: so many there are that nobody has to see. */
static void forget_unseen(struct tracer *t, struct tracee *tracee)
{
	kernel_brought_pages(t, tracee);
	tracee->proc->unseen_before = tracee->proc->unseen_faults;
}

void observe_pages(struct tracer *t, struct tracee *tracee, uint64_t start, uint64_t end)
{
	if (start >= end || tracee->proc->space->ours)
		return;
	if (t->source >= TRACE_SOURCE_PERF_USER)
		push_pages(t, tracee, start, end, false, false);
	else if (kernel_brought_pages(t, tracee))
		push_pages(t, tracee, 0, UINT64_MAX, true, false);
}

void observe_end(struct tracer *t, struct tracee *tracee)
{
	if (tracee->proc->space->ours)
		return;
	if (t->source >= TRACE_SOURCE_PERF_USER)
		push_pages(t, tracee, 0, UINT64_MAX, false, false);
	/* With pagemap alone what files have there is among the touches. */
	if (t->source < TRACE_SOURCE_PAGEMAP)
		push_pages(t, tracee, 0, UINT64_MAX, t->source < TRACE_SOURCE_PERF_USER &&
			kernel_brought_pages(t, tracee), true);
}

/* Less than a few windows of fault-around is not worth a look. */
#define LARGE_BYTES ((uint64_t)128 << 10)

/* Pages of files that are about to be unmapped. */
static void observe_beside(struct tracer *t, struct tracee *tracee, uint64_t start, uint64_t len)
{
	if (t->source < TRACE_SOURCE_PAGEMAP && len >= LARGE_BYTES &&
	    tracee->proc->space->maps_large_files)
		push_pages(t, tracee, start, len == UINT64_MAX ? len : start + len, false, true);
}

/* Calls that give no pages back, but change what pagemap says of them. */
static bool hides_pages(const struct trace_call *call)
{
	return call->nr == TRACE_MPROTECT || call->nr == TRACE_PKEY_MPROTECT;
}

void observe_pages_of_call(struct tracer *t, struct tracee *tracee)
{
	const struct trace_call *call = &tracee->call.call;

	switch (call->nr) {
	case TRACE_MMAP:
		if (!(call->flags & MAP_FIXED))
			break;
		/* fall through */
	case TRACE_MUNMAP:
	case TRACE_MREMAP:
	case TRACE_MADVISE:
	case TRACE_MPROTECT:
	case TRACE_PKEY_MPROTECT:
		if ((call->nr != TRACE_MADVISE || call->advice == MADV_REMOVE) &&
		    !hides_pages(call))
			observe_beside(t, tracee, call->addr, call->len);
		if (t->source >= TRACE_SOURCE_PERF_USER || !hides_pages(call))
			observe_pages(t, tracee, call->addr, call->addr + call->len);
		break;
	case TRACE_FTRUNCATE:
	case TRACE_FALLOCATE:
		/* Of whatever maps it. */
		observe_beside(t, tracee, 0, UINT64_MAX);
		break;
	case TRACE_BRK:
		if (call->addr)
			observe_pages(t, tracee, call->addr, UINT64_MAX);
		break;
	default:
		break;
	}
}

/* ---- limits and rights ---- */

uint32_t observe_own_mm_rights(void)
{
	enum { GET_THP_DISABLE = 42, GET_MDWE = 66 };
	int thp = prctl(GET_THP_DISABLE, 0, 0, 0, 0), mdwe = prctl(GET_MDWE, 0, 0, 0, 0);

	return (thp > 0 ? TRACE_RIGHT_NO_THP : 0u) |
		(thp > 0 && thp & 2 ? TRACE_RIGHT_THP_ADVISED : 0u) |
		(mdwe > 0 && mdwe & 1 ? TRACE_RIGHT_MDWE : 0u) |
		(mdwe > 0 && mdwe & 2 ? TRACE_RIGHT_MDWE_NO_INHERIT : 0u);
}

/* A prctl that was granted: does it change a right of the address space? */
static void note_prctl(struct tracee *tracee)
{
	enum { SET_THP_DISABLE = 41, SET_MDWE = 65 };
	const uint64_t *arg = tracee->call.arg;
	uint32_t *rights = &tracee->proc->space->mm_rights;

	if (arg[0] == SET_THP_DISABLE) {
		*rights &= ~(uint32_t)(TRACE_RIGHT_NO_THP | TRACE_RIGHT_THP_ADVISED);
		if (arg[1])
			*rights |= TRACE_RIGHT_NO_THP | (arg[2] & 2 ? TRACE_RIGHT_THP_ADVISED : 0u);
	} else if (arg[0] == SET_MDWE) {
		*rights |= (arg[1] & 1 ? TRACE_RIGHT_MDWE : 0u) |
			(arg[1] & 2 ? TRACE_RIGHT_MDWE_NO_INHERIT : 0u);
	}
}

static struct trace_rights rights_now(const struct tracee *tracee)
{
	struct trace_rights rights = { .flags = TRACE_RIGHT_KNOWN };

	procfs_read_rlimits(tracee->tid, &rights);
	rights.flags |= tracee->proc->space->mm_rights;
	if (procfs_may_lock_any(tracee->tid))
		rights.flags |= TRACE_RIGHT_LOCK_ANY;
	if (procfs_read_personality(tracee->tid) & READ_IMPLIES_EXEC)
		rights.flags |= TRACE_RIGHT_READ_IS_EXEC;
	return rights;
}

static bool rights_equal(const struct trace_rights *a, const struct trace_rights *b)
{
	return a->stack_bytes == b->stack_bytes && a->as_bytes == b->as_bytes &&
		a->data_bytes == b->data_bytes && a->memlock_bytes == b->memlock_bytes &&
		(a->flags ^ b->flags) == ((a->flags ^ b->flags) & TRACE_RIGHT_BOTTOM_UP);
}

/* Tells the limits and rights of the tracee's process, if they are new. */
static void tell_limits(struct tracer *t, struct tracee *tracee)
{
	struct trace_rights rights = rights_now(tracee);
	struct item *item;

	if (rights_equal(&rights, &tracee->proc->rights))
		return;
	item = new_event(t, tracee, TRACE_LIMITS);
	if (!item)
		return;
	tracee->proc->rights = rights;
	item->event.limits.rights = rights;
	merge_push(t->merge, item);
}

void tell_signal(struct tracer *t, struct tracee *tracee, const struct trace_signal *signal)
{
	struct item *item = new_event(t, tracee, TRACE_SIGNAL);

	if (!item)
		return;
	item->event.signal = *signal;
	merge_push(t->merge, item);
}

/* ---- starts and ends ---- */

void tell_process_start(struct tracer *t, struct tracee *tracee,
	const struct trace_process_start *start, pid_t maker)
{
	struct item *item = new_event(t, tracee, TRACE_PROCESS_START);

	if (!item)
		return;
	item->maker = maker;
	item->event.process_start = *start;
	merge_push(t->merge, item);
}

void tell_thread_start(struct tracer *t, struct tracee *tracee, pid_t maker)
{
	struct item *item = new_event(t, tracee, TRACE_THREAD_START);

	if (!item)
		return;
	item->maker = maker;
	item->event.thread_start.tid = (uint32_t)tracee->tid;
	merge_push(t->merge, item);
}

void tell_thread_exit(struct tracer *t, struct tracee *tracee)
{
	struct item *item = new_event(t, tracee, TRACE_THREAD_EXIT);

	if (item)
		merge_push(t->merge, item);
}

void tell_mm_end(struct tracer *t, struct tracee *tracee, bool by_exec, struct capture *c)
{
	struct item *item = new_event(t, tracee, TRACE_MM_END);

	if (!item)
		return;
	item->maps = c->maps;
	c->maps = (struct maps_buffer){ 0 };
	item->event.mm_end = (struct trace_mm_end){
		.mm = tracee->proc->space->index,
		.by_exec = by_exec,
		.detached = t->leaving,
		.complete = c->complete,
		.said = c->said,
		.maps = { .nr = item->maps.nr, .map = item->maps.map },
	};
	merge_push(t->merge, item);
}

void tell_process_exit(struct tracer *t, struct tracee *tracee, int status, struct capture *c)
{
	struct item *item;

	if (tracee->proc->space->nr_users == 1)
		tell_mm_end(t, tracee, false, c);
	item = new_event(t, tracee, TRACE_PROCESS_EXIT);
	if (!item)
		return;
	item->event.process_exit = (struct trace_process_exit){
		.status = status & 0xffff,
		.minor_faults = c->said.minor_faults,
		.major_faults = c->said.major_faults,
	};
	merge_push(t->merge, item);
}

/* ---- exec ---- */

/* Of the program itself, which is not placed among the mappings: [start, *ret_end), up
 * to its heap. */
static uint64_t own_range(const struct maps_buffer *maps, const struct trace_layout *layout,
	uint64_t *ret_end)
{
	uint32_t program = TRACE_NONE;
	uint64_t start = layout->start_code;

	*ret_end = layout->end_data > layout->start_brk ? layout->end_data : layout->start_brk;
	for (size_t i = 0; i < maps->nr; i++) {
		const struct trace_map *map = &maps->map[i];

		if (map->start <= layout->start_code && layout->start_code < map->end)
			program = map->file;
		if (strcmp(map->name, "[heap]") == 0 && map->end > *ret_end)
			*ret_end = map->end;
	}
	for (size_t i = 0; program != TRACE_NONE && i < maps->nr; i++)
		if (maps->map[i].file == program && maps->map[i].start < start)
			start = maps->map[i].start;
	return start;
}

/* The end of the highest mapping below the stack; bottom_up: the lowest of what lies
 * above a third of the address space, where the kernel begins then. */
static uint64_t guess_mmap_base(const struct maps_buffer *maps, const struct trace_layout *layout,
	bool bottom_up)
{
	const uint64_t third = (UINT64_C(1) << 47) / 3;
	uint64_t base = 0, own_end, own_start = own_range(maps, layout, &own_end);

	for (size_t i = 0; i < maps->nr; i++) {
		const struct trace_map *map = &maps->map[i];

		if (strcmp(map->name, "[stack]") == 0)
			break;
		if (map->start >= own_start && map->start < own_end)
			continue;
		if (bottom_up && map->start >= third)
			return map->start;
		base = map->end;
	}
	return base;
}

static bool is_foreign(const struct tracee *tracee)
{
	enum { ELF_CLASS_AT = 4, ELF_CLASS_64 = 2 };
	char path[64];
	unsigned char ident[5] = { 0 };
	FILE *file;
	bool foreign;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)tracee->tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	foreign = fread(ident, 1, sizeof(ident), file) == sizeof(ident) &&
		memcmp(ident, "\177ELF", 4) == 0 && ident[ELF_CLASS_AT] != ELF_CLASS_64;
	fclose(file);
	return foreign;
}

/* Of the pages in item->pages: the anonymous ones, which exec itself filled. */
static void keep_anonymous(struct seen_pages *pages)
{
	size_t nr = 0;

	for (size_t i = 0; i < pages->nr; i++)
		if (pages->page[i] & SEEN_ANON)
			pages->page[nr++] = pages->page[i];
	pages->nr = nr;
}

void tell_exec(struct tracer *t, struct tracee *tracee, bool attached)
{
	struct item *item = new_event(t, tracee, TRACE_EXEC);
	struct trace_exec *exec;
	struct proc_numbers numbers = {
		.minor_faults = TRACE_UNKNOWN, .major_faults = TRACE_UNKNOWN };
	bool foreign;

	if (!item)
		return;
	exec = &item->event.exec;
	procfs_read_numbers(tracee->tid, &numbers);
	if (procfs_read_maps(tracee->tid, &item->maps) == 0) {
		files_of_maps(t->files, tracee->tid, &item->maps);
		if (!attached)
			procfs_read_pages(tracee->tid, &item->maps, 0, UINT64_MAX, false,
				&item->pages);
		keep_anonymous(&item->pages);
	}
	item->text[0] = procfs_read_link(tracee->tid, "exe");
	item->text[1] = procfs_read_arguments(tracee->tid);
	*exec = (struct trace_exec){
		.mm = tracee->proc->space->index,
		.maps_known = true,
		.maps = { .nr = item->maps.nr, .map = item->maps.map },
		.layout = numbers.layout,
		.minor_faults = numbers.minor_faults,
		.major_faults = numbers.major_faults,
		.path = item->text[0] ? item->text[0] : "",
		.arguments = item->text[1] ? item->text[1] : "",
	};
	exec->rights = rights_now(tracee);
	if (procfs_read_personality(tracee->tid) & ADDR_COMPAT_LAYOUT)
		exec->rights.flags |= TRACE_RIGHT_BOTTOM_UP;
	exec->layout.mmap_base = guess_mmap_base(&item->maps, &exec->layout,
		exec->rights.flags & TRACE_RIGHT_BOTTOM_UP);
	tracee->proc->rights = exec->rights;
	forget_unseen(t, tracee);
	foreign = item->foreign = is_foreign(tracee);
	merge_push(t->merge, item);
	if (foreign)
		note(t, tracee, "a 32-bit program: its memory calls were not recorded");
}

void tell_there(struct tracer *t, struct tracee *tracee)
{
	struct item *item = item_create(ITEM_PAGES);
	struct space *space = tracee->proc->space;
	struct trace_said said = said_nothing();
	struct maps_buffer maps;

	if (!item) {
		t->failed = true;
		return;
	}
	if (procfs_read_maps(tracee->tid, &maps) == 0) {
		files_of_maps(t->files, tracee->tid, &maps);
		procfs_read_pages(tracee->tid, &maps, 0, UINT64_MAX, false, &item->pages);
		raise_to(&space->peak_vmas, maps.nr);
		maps_buffer_fini(&maps);
	}
	item->there = item->beside = true;
	item->mm = space->index;
	item->event.process = tracee->proc->index;
	item->event.thread = tracee->thread;
	merge_push(t->merge, item);
	if (procfs_read_status(tracee->tid, &said) == 0) {
		raise_to(&space->peak_page_table_bytes, said.page_table_bytes);
		raise_to(&space->peak_rss_seen, said.rss_bytes);
		raise_to(&space->peak_rss_before, said.peak_rss_bytes);
	}
	note(t, tracee, "the recorder came to a process that ran already: which of its pages others "
			"shared, and what it had advised or locked, is not known");
}

void tell_exec_enter(struct tracer *t, struct tracee *tracee)
{
	push_plain(t, tracee, ITEM_EXEC_ENTER);
}

void tell_exec_failed(struct tracer *t, struct tracee *tracee)
{
	push_plain(t, tracee, ITEM_EXEC_FAILED);
}

/* ---- calls ---- */

static struct proc *find_proc(const struct tracer *t, pid_t pid)
{
	for (size_t i = 0; i < TRACEE_BUCKETS; i++)
		for (struct tracee *at = t->bucket[i]; at; at = at->next)
			if (at->proc && at->proc->pid == pid)
				return at->proc;
	return NULL;
}

/* A thread of the process that is alive. */
static struct tracee *find_tracee_of(const struct tracer *t, const struct proc *proc)
{
	for (size_t i = 0; i < TRACEE_BUCKETS; i++)
		for (struct tracee *at = t->bucket[i]; at; at = at->next)
			if (at->proc == proc && at->state == TRACEE_LIVE)
				return at;
	return NULL;
}

/* Which process does the descriptor stand for? */
static uint32_t target_of_pidfd(const struct tracer *t, pid_t tid, int fd)
{
	char path[64], line[128];
	struct proc *proc = NULL;
	FILE *file;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)tid, fd);
	file = fopen(path, "re");
	while (file && !proc && fgets(line, sizeof(line), file))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			proc = find_proc(t, pid);
	if (file)
		fclose(file);
	return proc ? proc->index : TRACE_NONE;
}

static void push_call(struct tracer *t, const struct tracee *tracee,
	const struct trace_call *call)
{
	struct item *item = new_event(t, tracee, TRACE_CALL);

	if (!item)
		return;
	item->event.call = *call;
	merge_push(t->merge, item);
}

static void tell_process_madvise(struct tracer *t, struct tracee *tracee, int64_t result)
{
	enum { MOST = 1024 }; /* IOV_MAX */
	const struct stopped_call *stopped = &tracee->call;
	uint64_t nr = stopped->arg[2] < MOST ? stopped->arg[2] : MOST;
	struct trace_call call = stopped->call;

	call.target = target_of_pidfd(t, tracee->tid, (int)stopped->arg[0]);
	call.advice = (uint32_t)stopped->arg[3];
	call.result = result;
	for (uint64_t i = 0; i < nr; i++) {
		uint64_t range[2];

		if (!calls_read_memory(tracee->tid, stopped->arg[1] + i * sizeof(range), range,
				sizeof(range)))
			break;
		call.addr = range[0];
		call.len = range[1];
		push_call(t, tracee, &call);
	}
}

/* The kernel reached into memory that the call names, for whom it says. */
static void tell_reach(struct tracer *t, struct tracee *tracee, int64_t result)
{
	struct trace_call *call = &tracee->call.call;
	struct proc *whose = call->nr == TRACE_VMSPLICE ? tracee->proc :
		find_proc(t, (pid_t)tracee->call.arg[0]);
	struct tracee *target = whose ? find_tracee_of(t, whose) : NULL;

	call->result = result;
	call->target = whose ? whose->index : TRACE_NONE;
	push_call(t, tracee, call);
	if (target && result > 0 && t->source < TRACE_SOURCE_PERF_USER &&
	    !target->proc->space->ours) {
		kernel_brought_pages(t, target);
		push_pages(t, target, 0, UINT64_MAX, true, false);
	}
}

/* Which file, how large, and how it was opened. */
static void find_file(struct tracer *t, struct tracee *tracee, bool known_only)
{
	struct trace_call *call = &tracee->call.call;
	int fd = tracee->call.fd;

	call->file = files_of_fd(t->files, tracee->tid, fd, known_only, &call->file_bytes);
	if (call->file != TRACE_NONE)
		call->mode = procfs_read_mode(tracee->tid, fd,
			call->nr == TRACE_MMAP && !(call->prot & PROT_WRITE) &&
				files_is_memfd(t->files, call->file), NULL);
	if (call->nr == TRACE_MMAP && call->file != TRACE_NONE && call->addr != 0 &&
	    beside_stands_apart(tracee, call, (uint64_t)sysconf(_SC_PAGESIZE)))
		call->mode |= TRACE_MODE_APART;
	if (call->nr == TRACE_MMAP && call->len >= LARGE_BYTES)
		tracee->proc->space->maps_large_files = true;
}

/* Whose limits it set: its own, or those of the process that it names. */
static void tell_rights(struct tracer *t, struct tracee *tracee)
{
	pid_t pid = tracee->call.call.nr == TRACE_PRLIMIT64 ? (pid_t)tracee->call.arg[0] : 0;
	struct proc *whose = pid ? find_proc(t, pid) : tracee->proc;
	struct tracee *target = whose == tracee->proc ? tracee :
		whose ? find_tracee_of(t, whose) : NULL;

	if (tracee->call.call.nr == TRACE_PRCTL)
		note_prctl(tracee);
	if (target && !target->proc->space->ours)
		tell_limits(t, target);
}

void tell_call(struct tracer *t, struct tracee *tracee, int64_t result)
{
	struct trace_call *call = &tracee->call.call;
	enum trace_role role = trace_call_info(call->nr)->role;
	bool resizes = call->nr == TRACE_FTRUNCATE || call->nr == TRACE_FALLOCATE;

	if (role == TRACE_RIGHTS) {
		if (result >= 0)
			tell_rights(t, tracee);
		return;
	}
	if (role == TRACE_REACHES) {
		tell_reach(t, tracee, result);
		return;
	}
	if (call->nr == TRACE_PROCESS_MADVISE) {
		tell_process_madvise(t, tracee, result);
		return;
	}
	call->result = result;
	if (call->nr == TRACE_SHMAT && result >= 0) {
		call->file = files_of_shm(t->files, (int)tracee->call.arg[0],
			&call->file_bytes);
		call->len = call->file_bytes;
	}
	if (tracee->call.fd >= 0 && result >= 0)
		find_file(t, tracee, resizes);
	/* Files that nobody has mapped are of no interest. */
	if (resizes && call->file == TRACE_NONE)
		return;
	push_call(t, tracee, call);
}
