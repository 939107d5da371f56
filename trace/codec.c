/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The encoding of header and events; codec.h says how and why.
 *
 * An event begins with one byte:
 *
 *	1fffffff	a touch; f are its TRACE_TOUCH_* flags
 *	01000000	not an event: the thread changes; its index follows
 *	00nkkkkk	an event of kind k; n: it belongs to no process
 *
 * then the time in microseconds since the previous event, then the fields.
 * A touch has one field: the page, minus the page of the same thread's
 * previous touch.  New indexes are not stored: they are the next ones.
 */
#include "codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define OP_TOUCH 0x80u
#define OP_THREAD 0x40u
#define OP_NO_PROCESS 0x20u
#define OP_KIND 0x1fu

_Static_assert(TRACE_NR_KINDS <= OP_KIND, "kinds fit in the first byte");
_Static_assert(TRACE_TOUCH_SETUP < OP_TOUCH, "flags fit in the first byte");

void codec_init_encoder(struct codec *c)
{
	*c = (struct codec){ .decoding = false };
}

void codec_init_decoder(struct codec *c, const void *bytes, size_t len_bytes)
{
	*c = (struct codec){
		.decoding = true,
		.buffer = (uint8_t *)(uintptr_t)bytes,
		.len_bytes = len_bytes,
	};
}

void codec_fini(struct codec *c)
{
	if (!c->decoding)
		free(c->buffer);
	free(c->maps);
	*c = (struct codec){ .decoding = c->decoding };
}

static void codec_fail(struct codec *c, int err, const char *wrong)
{
	if (!c->wrong) {
		c->wrong = wrong;
		c->err = err;
	}
}

/* Makes room for len more bytes while encoding. */
static bool codec_grow(struct codec *c, size_t len)
{
	size_t want = c->at + len;
	size_t capacity = c->capacity_bytes ? c->capacity_bytes : 4096;
	uint8_t *grown;

	if (c->wrong)
		return false;
	if (want <= c->capacity_bytes)
		return true;
	while (capacity < want)
		capacity *= 2;
	grown = realloc(c->buffer, capacity);
	if (!grown) {
		codec_fail(c, ENOMEM, "no memory for a block");
		return false;
	}
	c->buffer = grown;
	c->capacity_bytes = capacity;
	return true;
}

static void codec_byte(struct codec *c, uint8_t *v)
{
	if (c->decoding) {
		if (c->wrong || c->at >= c->len_bytes) {
			codec_fail(c, EBADMSG, "an event runs over the end of its block");
			*v = 0;
			return;
		}
		*v = c->buffer[c->at++];
	} else if (codec_grow(c, 1)) {
		c->buffer[c->at++] = *v;
	}
}

static void codec_u64(struct codec *c, uint64_t *v)
{
	uint8_t byte = 0;

	if (!c->decoding) {
		uint64_t left = *v;

		do {
			byte = (uint8_t)(left & 0x7f);
			left >>= 7;
			if (left)
				byte |= 0x80;
			codec_byte(c, &byte);
		} while (left);
		return;
	}
	*v = 0;
	for (unsigned int shift = 0;; shift += 7) {
		codec_byte(c, &byte);
		if (shift == 63 && byte > 1) {
			codec_fail(c, EBADMSG, "a number is longer than 64 bits");
			*v = 0;
			return;
		}
		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return;
	}
}

/* v < limit. */
static void codec_below(struct codec *c, uint32_t *v, uint64_t limit, const char *wrong)
{
	uint64_t wide = *v;

	codec_u64(c, &wide);
	if (wide >= limit) {
		codec_fail(c, EBADMSG, wrong);
		wide = 0;
	}
	*v = (uint32_t)wide;
}

static void codec_u32(struct codec *c, uint32_t *v)
{
	codec_below(c, v, UINT64_C(1) << 32, "a 32-bit number is too large");
}

static void codec_bool(struct codec *c, bool *v)
{
	uint32_t wide = *v;

	codec_below(c, &wide, 2, "a flag is neither 0 nor 1");
	*v = wide != 0;
}

/* UINT64_MAX stands for "unknown". */
static void codec_maybe(struct codec *c, uint64_t *v)
{
	uint64_t plus = *v + 1;

	codec_u64(c, &plus);
	*v = plus - 1;
}

/* An index below nr, or TRACE_NONE. */
static void codec_index(struct codec *c, uint32_t *v, uint32_t nr, const char *wrong)
{
	uint32_t plus = *v + 1;

	codec_below(c, &plus, (uint64_t)nr + 1, wrong);
	*v = plus - 1;
}

static void codec_signed(struct codec *c, int64_t *v)
{
	uint64_t zigzag = ((uint64_t)*v << 1) ^ (uint64_t)(*v >> 63);

	codec_u64(c, &zigzag);
	*v = (int64_t)((zigzag >> 1) ^ (0 - (zigzag & 1)));
}

static void codec_string(struct codec *c, const char **s)
{
	uint64_t len = 0;

	if (!c->decoding) {
		const char *text = *s ? *s : "";

		len = strlen(text);
		codec_u64(c, &len);
		if (codec_grow(c, len + 1)) {
			memcpy(c->buffer + c->at, text, len + 1);
			c->at += len + 1;
		}
		return;
	}
	*s = "";
	codec_u64(c, &len);
	if (c->wrong)
		return;
	if (len >= c->len_bytes - c->at || c->buffer[c->at + len] != 0 ||
	    memchr(c->buffer + c->at, 0, len)) {
		codec_fail(c, EBADMSG, "a string does not end where it should");
		return;
	}
	*s = (const char *)c->buffer + c->at;
	c->at += len + 1;
}

static void codec_enum(struct codec *c, void *v, uint32_t nr, const char *wrong)
{
	/* An enum of ours is an unsigned int to gcc and clang alike. */
	uint32_t wide;

	memcpy(&wide, v, sizeof(wide));
	codec_below(c, &wide, nr, wrong);
	memcpy(v, &wide, sizeof(wide));
}

void codec_header(struct codec *c, struct trace_header *h)
{
	codec_enum(c, &h->source, TRACE_NR_SOURCES, "the source of touches is not known");
	codec_u64(c, &h->page_bytes);
	codec_maybe(c, &h->fault_around_bytes);
	codec_maybe(c, &h->thp_bytes);
	codec_u64(c, &h->start_unix_us);
	codec_u32(c, &h->nr_cpus);
	codec_u32(c, &h->randomize_va_space);
	codec_u32(c, &h->legacy_va_layout);
	codec_u32(c, &h->overcommit_memory);
	codec_u64(c, &h->max_map_count);
	codec_u64(c, &h->mmap_min_addr);
	codec_string(c, &h->kernel);
	codec_string(c, &h->machine);
	codec_string(c, &h->thp);
	codec_string(c, &h->command);
	codec_string(c, &h->recorder);
	if (h->page_bytes < 512 || (h->page_bytes & (h->page_bytes - 1)))
		codec_fail(c, EBADMSG, "the page size is not a power of two of 512 or more");
}

static bool codec_maps_room(struct codec *c, size_t nr)
{
	struct trace_map *grown;

	if (nr <= c->maps_capacity)
		return true;
	grown = realloc(c->maps, nr * sizeof(*grown));
	if (!grown) {
		codec_fail(c, ENOMEM, "no memory for a list of maps");
		return false;
	}
	c->maps = grown;
	c->maps_capacity = nr;
	return true;
}

static void codec_maps(struct codec *c, const struct trace_state *s, struct trace_maps *maps)
{
	uint32_t nr = (uint32_t)maps->nr;
	uint64_t last = 0;

	codec_below(c, &nr, TRACE_MAX_MAPS + 1, "too many maps");
	/* A map takes six bytes at least: do not believe a number that the
	 * bytes cannot hold. */
	if (c->decoding && nr > (c->len_bytes - c->at) / 6)
		codec_fail(c, EBADMSG, "more maps than bytes");
	if (c->decoding) {
		*maps = (struct trace_maps){ 0 };
		if (c->wrong || !codec_maps_room(c, nr))
			return;
	}
	for (uint32_t i = 0; i < nr && !c->wrong; i++) {
		struct trace_map map = { 0 };
		uint64_t gap, len;

		if (!c->decoding)
			map = maps->map[i];
		gap = map.start - last;
		len = map.end - map.start;
		codec_u64(c, &gap);
		codec_u64(c, &len);
		map.start = last + gap;
		map.end = map.start + len;
		if (map.start < last || map.end <= map.start)
			codec_fail(c, EBADMSG, "maps do not ascend");
		last = map.end;
		codec_u64(c, &map.offset_bytes);
		codec_below(c, &map.flags, 16, "a map has unknown flags");
		codec_index(c, &map.file, s->nr_files, "a map of a file that was not introduced");
		codec_string(c, &map.name);
		if (c->decoding)
			c->maps[i] = map;
	}
	if (c->decoding && !c->wrong)
		*maps = (struct trace_maps){ .nr = nr, .map = c->maps };
}

static void codec_said(struct codec *c, struct trace_said *said)
{
	codec_maybe(c, &said->minor_faults);
	codec_maybe(c, &said->major_faults);
	codec_maybe(c, &said->peak_rss_bytes);
	codec_maybe(c, &said->rss_bytes);
	codec_maybe(c, &said->rss_anon_bytes);
	codec_maybe(c, &said->rss_file_bytes);
	codec_maybe(c, &said->rss_shmem_bytes);
	codec_maybe(c, &said->page_table_bytes);
	codec_maybe(c, &said->peak_page_table_bytes);
	codec_maybe(c, &said->peak_as_bytes);
	codec_maybe(c, &said->locked_bytes);
	codec_maybe(c, &said->vmas);
	codec_maybe(c, &said->peak_vmas);
}

/* Which fields of struct trace_call a call has; the table of event.h. */
enum {
	F_ADDR = 1, F_LEN = 2, F_NEW_ADDR = 4, F_NEW_LEN = 8, F_OFFSET = 16,
	F_PROT = 32, F_FLAGS = 64, F_ADVICE = 128, F_FILE = 256, F_TARGET = 512,
};

static const uint16_t call_fields[TRACE_NR_CALLS] = {
	[TRACE_MMAP] = F_ADDR | F_LEN | F_PROT | F_FLAGS | F_OFFSET | F_FILE,
	[TRACE_MUNMAP] = F_ADDR | F_LEN,
	[TRACE_MPROTECT] = F_ADDR | F_LEN | F_PROT,
	[TRACE_MREMAP] = F_ADDR | F_LEN | F_NEW_LEN | F_FLAGS | F_NEW_ADDR,
	[TRACE_BRK] = F_ADDR,
	[TRACE_MADVISE] = F_ADDR | F_LEN | F_ADVICE,
	[TRACE_MLOCK] = F_ADDR | F_LEN,
	[TRACE_MLOCK2] = F_ADDR | F_LEN | F_FLAGS,
	[TRACE_MUNLOCK] = F_ADDR | F_LEN,
	[TRACE_MLOCKALL] = F_FLAGS,
	[TRACE_MUNLOCKALL] = 0,
	[TRACE_MSYNC] = F_ADDR | F_LEN | F_FLAGS,
	[TRACE_MINCORE] = F_ADDR | F_LEN,
	[TRACE_SHMAT] = F_ADDR | F_LEN | F_FLAGS | F_FILE,
	[TRACE_SHMDT] = F_ADDR,
	[TRACE_FTRUNCATE] = F_LEN | F_FILE,
	[TRACE_FALLOCATE] = F_OFFSET | F_LEN | F_FLAGS | F_FILE,
	[TRACE_PROCESS_MADVISE] = F_ADDR | F_LEN | F_ADVICE | F_TARGET,
};

static void codec_call(struct codec *c, const struct trace_state *s, struct trace_call *call)
{
	uint16_t fields;

	if (c->decoding)
		*call = (struct trace_call){ .file = TRACE_NONE, .target = TRACE_NONE };
	codec_enum(c, &call->nr, TRACE_NR_CALLS, "an unknown call");
	fields = call_fields[call->nr < TRACE_NR_CALLS ? call->nr : 0];
	codec_signed(c, &call->result);
	if (fields & F_ADDR)
		codec_u64(c, &call->addr);
	if (fields & F_LEN)
		codec_u64(c, &call->len);
	if (fields & F_NEW_ADDR)
		codec_u64(c, &call->new_addr);
	if (fields & F_NEW_LEN)
		codec_u64(c, &call->new_len);
	if (fields & F_OFFSET)
		codec_u64(c, &call->offset);
	if (fields & F_PROT)
		codec_u32(c, &call->prot);
	if (fields & F_FLAGS)
		codec_u32(c, &call->flags);
	if (fields & F_ADVICE)
		codec_u32(c, &call->advice);
	if (fields & F_FILE) {
		codec_index(c, &call->file, s->nr_files, "a call on a file that was not introduced");
		if (call->file != TRACE_NONE)
			codec_u64(c, &call->file_bytes);
	}
	if (fields & F_TARGET)
		codec_index(c, &call->target, s->nr_processes,
			"a call on a process that was not introduced");
}

static void codec_exec(struct codec *c, const struct trace_state *s, struct trace_exec *exec)
{
	uint64_t *const layout[] = {
		&exec->layout.start_code, &exec->layout.end_code,
		&exec->layout.start_data, &exec->layout.end_data,
		&exec->layout.start_brk, &exec->layout.start_stack,
		&exec->layout.arg_start, &exec->layout.env_end,
		&exec->layout.mmap_base,
	};
	uint64_t *const limits[] = {
		&exec->rlimits.stack_bytes, &exec->rlimits.as_bytes,
		&exec->rlimits.data_bytes, &exec->rlimits.memlock_bytes,
	};

	codec_bool(c, &exec->maps_known);
	codec_maps(c, s, &exec->maps);
	for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++)
		codec_u64(c, layout[i]);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		codec_maybe(c, limits[i]);
	codec_maybe(c, &exec->minor_faults);
	codec_maybe(c, &exec->major_faults);
	codec_string(c, &exec->path);
	codec_string(c, &exec->arguments);
}

static void codec_file(struct codec *c, const struct trace_state *s, struct trace_file *file)
{
	codec_below(c, &file->file, (uint64_t)s->nr_files + 1, "a file's index is not the next one");
	codec_enum(c, &file->kind, TRACE_NR_FILE_KINDS, "an unknown kind of file");
	codec_u64(c, &file->dev);
	codec_u64(c, &file->ino);
	codec_u64(c, &file->bytes);
	codec_bool(c, &file->deleted);
	codec_string(c, &file->path);
}

static void codec_process_start(struct codec *c, const struct trace_state *s,
	struct trace_process_start *start)
{
	codec_enum(c, &start->how, TRACE_NR_HOWS, "an unknown way to start a process");
	codec_u64(c, &start->clone_flags);
	codec_index(c, &start->parent, s->nr_processes, "a parent that was not introduced");
	codec_bool(c, &start->shares_mm);
	codec_u32(c, &start->pid);
	if (start->shares_mm && start->parent == TRACE_NONE)
		codec_fail(c, EBADMSG, "an address space shared with no parent");
	if (!c->wrong)
		start->mm = start->shares_mm ? s->processes[start->parent].mm : s->nr_mms;
}

static void codec_mm_end(struct codec *c, const struct trace_state *s, struct trace_mm_end *end)
{
	codec_below(c, &end->mm, s->nr_mms, "an address space that was not introduced");
	codec_bool(c, &end->by_exec);
	codec_bool(c, &end->complete);
	codec_said(c, &end->said);
	codec_maps(c, s, &end->maps);
}

static void codec_process_exit(struct codec *c, struct trace_process_exit *out)
{
	int64_t status = out->status;

	codec_signed(c, &status);
	if (status < 0 || status > 0xffff)
		codec_fail(c, EBADMSG, "an exit status that wait() never gives");
	else
		out->status = (int)status;
	codec_maybe(c, &out->minor_faults);
	codec_maybe(c, &out->major_faults);
}

static void codec_body(struct codec *c, const struct trace_state *s, struct trace_event *e)
{
	switch (e->kind) {
	case TRACE_FILE:
		codec_file(c, s, &e->file);
		break;
	case TRACE_PROCESS_START:
		codec_process_start(c, s, &e->process_start);
		break;
	case TRACE_THREAD_START:
		codec_u32(c, &e->thread_start.tid);
		break;
	case TRACE_EXEC:
		codec_exec(c, s, &e->exec);
		e->exec.mm = s->nr_mms;
		break;
	case TRACE_CALL:
		codec_call(c, s, &e->call);
		break;
	case TRACE_MM_END:
		codec_mm_end(c, s, &e->mm_end);
		break;
	case TRACE_PROCESS_EXIT:
		codec_process_exit(c, &e->process_exit);
		break;
	case TRACE_LOST:
		codec_u64(c, &e->lost.nr);
		break;
	case TRACE_NOTE:
		codec_string(c, &e->note.text);
		break;
	case TRACE_THREAD_EXIT:
	case TRACE_TOUCH:
	case TRACE_NR_KINDS:
		break;
	}
}

static void codec_time(struct codec *c, struct trace_state *s, struct trace_event *e)
{
	uint64_t delta = e->time_us - s->time_us;

	codec_u64(c, &delta);
	if (s->time_us + delta < s->time_us)
		codec_fail(c, EBADMSG, "time runs backwards");
	e->time_us = s->time_us + delta;
}

static void codec_touch(struct codec *c, struct trace_state *s, struct trace_event *e)
{
	struct trace_state_thread *thread = &s->threads[e->thread];
	uint64_t page = e->touch.addr / s->page_bytes;
	int64_t delta = (int64_t)(page - thread->page);

	codec_signed(c, &delta);
	page = thread->page + (uint64_t)delta;
	if (page > UINT64_MAX / s->page_bytes) {
		codec_fail(c, EBADMSG, "a touch beyond the last address");
		return;
	}
	e->touch.addr = page * s->page_bytes;
	thread->page = page;
}

/* Which thread does the event belong to?  False: none that lives. */
static bool state_names_thread(const struct trace_state *s, const struct trace_event *e)
{
	return e->thread < s->nr_threads && s->threads[e->thread].alive &&
		s->threads[e->thread].process == e->process &&
		s->processes[e->process].nr_threads > 0;
}

static bool starts_thread(enum trace_kind kind)
{
	return kind == TRACE_PROCESS_START || kind == TRACE_THREAD_START;
}

/* Encoding: does the event keep event.h's rule 2? */
static void check_owner(struct codec *c, const struct trace_state *s, const struct trace_event *e)
{
	if ((uint32_t)e->kind >= TRACE_NR_KINDS)
		codec_fail(c, EINVAL, "an unknown kind of event");
	if (e->process == TRACE_NONE)
		return; /* check_event judges */
	if (e->kind == TRACE_PROCESS_START) {
		if (e->process != s->nr_processes || e->thread != s->nr_threads)
			codec_fail(c, EINVAL, "a process's index is not the next one");
	} else if (e->kind == TRACE_THREAD_START) {
		if (e->process >= s->nr_processes || e->thread != s->nr_threads)
			codec_fail(c, EINVAL, "a thread's index is not the next one");
	} else if (!state_names_thread(s, e)) {
		codec_fail(c, EINVAL, "an event of a thread that does not live");
	}
}

static uint8_t encode_op(const struct trace_event *e)
{
	if (e->kind == TRACE_TOUCH)
		return (uint8_t)(OP_TOUCH | (e->touch.flags & 0x7f));
	return (uint8_t)((uint32_t)e->kind | (e->process == TRACE_NONE ? OP_NO_PROCESS : 0));
}

static void codec_thread(struct codec *c, struct trace_state *s)
{
	uint32_t thread = s->thread;

	codec_below(c, &thread, s->nr_threads, "a thread that was not introduced");
	s->thread = thread;
}

static void encode_owner(struct codec *c, struct trace_state *s, const struct trace_event *e)
{
	uint8_t op = OP_THREAD;
	uint32_t thread = e->thread;

	if (e->process == TRACE_NONE || e->kind == TRACE_PROCESS_START)
		return;
	/* A new thread is announced by any thread of its process. */
	if (e->kind == TRACE_THREAD_START) {
		if (s->thread < s->nr_threads && s->threads[s->thread].process == e->process)
			return;
		for (thread = 0; thread < s->nr_threads; thread++)
			if (s->threads[thread].process == e->process)
				break;
	}
	if (thread == s->thread)
		return;
	codec_byte(c, &op);
	s->thread = thread;
	codec_thread(c, s);
}

/* Takes the first byte and what it says about kind, process and thread. */
static void decode_op(struct codec *c, struct trace_state *s, struct trace_event *e)
{
	uint8_t op = 0;

	codec_byte(c, &op);
	if (!c->wrong && op == OP_THREAD) {
		codec_thread(c, s);
		codec_byte(c, &op);
	}
	if (op & OP_TOUCH) {
		e->kind = TRACE_TOUCH;
		e->touch.flags = op & 0x7fu;
	} else {
		if (op & OP_THREAD || (op & OP_KIND) >= TRACE_NR_KINDS ||
		    (op & OP_KIND) == TRACE_TOUCH) {
			codec_fail(c, EBADMSG, "an unknown kind of event");
			return;
		}
		e->kind = (enum trace_kind)(op & OP_KIND);
	}
	e->process = e->thread = TRACE_NONE;
	if (!(op & OP_TOUCH) && op & OP_NO_PROCESS)
		return;
	if (e->kind == TRACE_PROCESS_START) {
		e->process = s->nr_processes;
	} else if (s->thread >= s->nr_threads) {
		codec_fail(c, EBADMSG, "an event of a thread that was not introduced");
		return;
	} else {
		e->process = s->threads[s->thread].process;
	}
	e->thread = starts_thread(e->kind) ? s->nr_threads : s->thread;
}

static void *grow(void *array, uint32_t *capacity, uint32_t need, size_t size)
{
	uint32_t want = *capacity ? *capacity : 64;
	void *grown;

	if (need <= *capacity)
		return array;
	while (want < need)
		want *= 2;
	grown = realloc(array, want * size);
	if (grown)
		*capacity = want;
	return grown;
}

/* Room for one more thread and process; before anything was changed. */
static bool state_reserve(struct codec *c, struct trace_state *s)
{
	void *threads, *processes;

	if (s->nr_threads >= TRACE_MAX_INDEX || s->nr_mms >= TRACE_MAX_INDEX ||
	    s->nr_files >= TRACE_MAX_INDEX) {
		codec_fail(c, EBADMSG, "too many threads, address spaces or files");
		return false;
	}
	threads = grow(s->threads, &s->threads_capacity, s->nr_threads + 1,
		sizeof(s->threads[0]));
	if (threads)
		s->threads = threads;
	processes = grow(s->processes, &s->processes_capacity, s->nr_processes + 1,
		sizeof(s->processes[0]));
	if (processes)
		s->processes = processes;
	if (!threads || !processes)
		codec_fail(c, ENOMEM, "no memory for the list of threads");
	return threads && processes;
}

/* What the event changed, once it is known to be good. */
static void state_apply(struct trace_state *s, const struct trace_event *e)
{
	s->time_us = e->time_us;
	switch (e->kind) {
	case TRACE_FILE:
		if (e->file.file == s->nr_files)
			s->nr_files++;
		break;
	case TRACE_PROCESS_START:
		s->processes[s->nr_processes++] = (struct trace_state_process){
			.mm = e->process_start.mm,
		};
		if (!e->process_start.shares_mm)
			s->nr_mms++;
		/* fall through */
	case TRACE_THREAD_START:
		s->threads[s->nr_threads] = (struct trace_state_thread){
			.process = e->process, .alive = true,
			/* A child touches what its maker touched last. */
			.page = s->thread < s->nr_threads ? s->threads[s->thread].page : 0,
		};
		s->nr_threads++;
		s->processes[e->process].nr_threads++;
		break;
	case TRACE_EXEC:
		s->processes[e->process].mm = s->nr_mms++;
		break;
	case TRACE_THREAD_EXIT:
		s->threads[e->thread].alive = false;
		s->processes[e->process].nr_threads--;
		break;
	case TRACE_PROCESS_EXIT:
		s->threads[e->thread].alive = false;
		s->processes[e->process].nr_threads = 0;
		break;
	default:
		break;
	}
}

/* Rules that hold in both directions once kind and owner are known. */
static void check_event(struct codec *c, const struct trace_state *s, const struct trace_event *e)
{
	if (c->wrong)
		return;
	if (e->process == TRACE_NONE) {
		if (e->kind != TRACE_FILE && e->kind != TRACE_LOST && e->kind != TRACE_NOTE)
			codec_fail(c, EBADMSG, "an event without a process");
		return;
	}
	if (!starts_thread(e->kind) && !state_names_thread(s, e))
		codec_fail(c, EBADMSG, "an event of a thread that has ended");
	if (e->kind == TRACE_THREAD_START && !s->processes[e->process].nr_threads)
		codec_fail(c, EBADMSG, "a thread of a process that has ended");
}

bool codec_event(struct codec *c, struct trace_state *s, struct trace_event *e)
{
	if (!state_reserve(c, s))
		return false;
	if (c->decoding) {
		*e = (struct trace_event){ 0 };
		decode_op(c, s, e);
		check_event(c, s, e);
	} else {
		uint8_t op = encode_op(e);

		check_owner(c, s, e);
		check_event(c, s, e);
		if (!c->wrong)
			encode_owner(c, s, e);
		codec_byte(c, &op);
	}
	if (c->wrong)
		return false;
	codec_time(c, s, e);
	if (e->kind == TRACE_TOUCH)
		codec_touch(c, s, e);
	else
		codec_body(c, s, e);
	if (c->wrong)
		return false;
	state_apply(s, e);
	return true;
}

void trace_state_init(struct trace_state *s, uint64_t page_bytes)
{
	*s = (struct trace_state){ .page_bytes = page_bytes };
}

void trace_state_fini(struct trace_state *s)
{
	free(s->threads);
	free(s->processes);
	*s = (struct trace_state){ 0 };
}
