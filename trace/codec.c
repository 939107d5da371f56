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
 * then, but for a touch, the length of what is left of it; then the time in
 * microseconds since the previous event, then the fields.  Bytes that are left
 * over are fields of a later version, and passed over, as is an event of an
 * unknown kind.  A touch has one field: the page, minus the page of the same
 * thread's previous touch.  New indexes are not stored: they are the next ones.
 *
 * Version 1, which is read still, has no lengths, a header of fixed fields, and
 * the calls of the first lines of the table.
 */
#include "codec.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

#define OP_TOUCH 0x80u
#define OP_THREAD 0x40u
#define OP_NO_PROCESS 0x20u
#define OP_KIND 0x1fu

_Static_assert(TRACE_NR_KINDS <= OP_KIND, "kinds fit in the first byte");
#define VERSION_1_KINDS (TRACE_NOTE + 1)
_Static_assert(TRACE_TOUCH_SETUP < OP_TOUCH, "flags fit in the first byte");

void codec_init_encoder(struct codec *c)
{
	*c = (struct codec){ .decoding = false, .version = TRACE_VERSION };
}

void codec_init_decoder(struct codec *c, uint32_t version, const void *bytes, size_t len_bytes)
{
	*c = (struct codec){
		.decoding = true,
		.version = version,
		.buffer = (uint8_t *)(uintptr_t)bytes,
		.len_bytes = len_bytes,
	};
}

void codec_fini(struct codec *c)
{
	if (!c->decoding)
		free(c->buffer);
	free(c->body);
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

/* ---- the table of calls ---- */

/* The fields that are stored: a segment is a file and its size. */
static uint64_t codec_fields_of(const struct trace_call_info *info)
{
	uint64_t fields = info->fields;

	if (fields & 1u << TRACE_ARG_SEGMENT)
		fields |= 1u << TRACE_ARG_FD | 1u << TRACE_ARG_LEN;
	if (fields & 1u << TRACE_ARG_PID)
		fields |= 1u << TRACE_ARG_PIDFD;
	if (info->fields & 1u << TRACE_ARG_FD)
		fields |= 1u << TRACE_ARG_MODE;
	return fields & ((1u << TRACE_ARG_SEGMENT) - 1);
}

static void calls_of_table(struct codec_calls *calls, uint32_t nr)
{
	for (uint32_t i = 0; i < nr; i++) {
		const struct trace_call_info *info = trace_call_info((enum trace_call_nr)i);

		calls->call[i] = (struct codec_call){
			.nr = (enum trace_call_nr)i, .fields = codec_fields_of(info),
			.name = info->name,
		};
	}
	calls->nr = nr;
}

static void codec_calls_of_version_1(struct codec_calls *calls)
{
	calls_of_table(calls, TRACE_PROCESS_MADVISE + 1);
	for (uint32_t i = 0; i < calls->nr; i++)
		calls->call[i].fields &= ~(uint64_t)(1u << TRACE_ARG_MODE);
}

/* ---- the header ---- */

static void check_page(struct codec *c, const struct trace_header *h)
{
	uint64_t page = trace_page_bytes(h);

	if (page == HOST_UNKNOWN || page < 512 || (page & (page - 1)))
		codec_fail(c, EBADMSG, "the page size is not a power of two of 512 or more");
}

/* What version 1 wrote, as traits. */
static void header_version_1(struct codec *c, struct trace_header *h)
{
	struct host *host = &h->host;
	const char *kernel = "", *machine = "", *thp = "";

	codec_enum(c, &h->source, TRACE_NR_SOURCES, "the source of touches is not known");
	codec_u64(c, &host->trait[HOST_page_bytes]);
	codec_maybe(c, &host->trait[HOST_fault_around_bytes]);
	codec_maybe(c, &host->trait[HOST_pmd_bytes]);
	codec_u64(c, &h->start_unix_us);
	codec_u64(c, &host->trait[HOST_cpus]);
	codec_u64(c, &host->trait[HOST_randomize]);
	codec_u64(c, &host->trait[HOST_bottom_up]);
	codec_u64(c, &host->trait[HOST_overcommit]);
	codec_u64(c, &host->trait[HOST_max_map_count]);
	codec_u64(c, &host->trait[HOST_mmap_min_addr]);
	codec_string(c, &kernel);
	codec_string(c, &machine);
	codec_string(c, &thp);
	codec_string(c, &h->command);
	codec_string(c, &h->recorder);
	snprintf(host->kernel, sizeof(host->kernel), "%s", kernel);
	snprintf(host->machine, sizeof(host->machine), "%s", machine);
	host_set(host, "thp", thp);
}

static void encode_pair(void *context, const char *name, const char *text)
{
	codec_string(context, &name);
	codec_string(context, &text);
}

static void count_pair(void *context, const char *name, const char *text)
{
	(void)name;
	(void)text;
	++*(uint64_t *)context;
}

static void encode_header(struct codec *c, struct trace_header *h)
{
	uint64_t nr_pairs = 5, nr_calls = TRACE_NR_CALLS;
	char start[24];

	host_for_each(&h->host, count_pair, &nr_pairs);
	codec_u64(c, &nr_pairs);
	snprintf(start, sizeof(start), "%" PRIu64, h->start_unix_us);
	encode_pair(c, "source", trace_source_name(h->source));
	encode_pair(c, "calls", trace_calls_name(h->calls));
	encode_pair(c, "start-us", start);
	encode_pair(c, "command", h->command ? h->command : "");
	encode_pair(c, "recorder", h->recorder ? h->recorder : "");
	host_for_each(&h->host, encode_pair, c);
	codec_u64(c, &nr_calls);
	for (uint32_t i = 0; i < TRACE_NR_CALLS; i++) {
		const struct trace_call_info *info = trace_call_info((enum trace_call_nr)i);
		const char *name = info->name;
		uint64_t fields = codec_fields_of(info);

		codec_string(c, &name);
		codec_u64(c, &fields);
	}
}

static void decode_pair(struct codec *c, struct trace_header *h, bool *has_source)
{
	const char *name = "", *text = "";

	codec_string(c, &name);
	codec_string(c, &text);
	if (c->wrong)
		return;
	if (strcmp(name, "source") == 0) {
		*has_source = trace_source_of_name(text, &h->source);
		if (!*has_source)
			codec_fail(c, EBADMSG, "the source of touches is not known");
	} else if (strcmp(name, "calls") == 0) {
		h->calls = trace_calls_of_name(text);
	} else if (strcmp(name, "start-us") == 0) {
		h->start_unix_us = strtoull(text, NULL, 10);
	} else if (strcmp(name, "command") == 0) {
		h->command = text;
	} else if (strcmp(name, "recorder") == 0) {
		h->recorder = text;
	} else if (!host_set(&h->host, name, text)) {
		h->nr_unknown++;
	}
}

static void decode_calls(struct codec *c, struct codec_calls *calls)
{
	uint32_t nr = 0;

	codec_below(c, &nr, CODEC_MAX_CALLS + 1, "too many calls in the header's table");
	for (uint32_t i = 0; i < nr && !c->wrong; i++) {
		struct codec_call *call = &calls->call[i];

		codec_string(c, &call->name);
		codec_u64(c, &call->fields);
		if (!c->wrong)
			call->nr = trace_call_of_name(call->name);
	}
	calls->nr = c->wrong ? 0 : nr;
}

void codec_header(struct codec *c, uint32_t version, struct trace_header *h,
	struct codec_calls *calls)
{
	uint64_t nr_pairs = 0;
	bool has_source = false;

	if (!c->decoding) {
		encode_header(c, h);
		check_page(c, h);
		return;
	}
	*h = (struct trace_header){ .version = version, .command = "", .recorder = "" };
	host_init(&h->host);
	*calls = (struct codec_calls){ 0 };
	if (version == 1) {
		header_version_1(c, h);
		codec_calls_of_version_1(calls);
	} else {
		codec_u64(c, &nr_pairs);
		for (uint64_t i = 0; i < nr_pairs && !c->wrong; i++)
			decode_pair(c, h, &has_source);
		decode_calls(c, calls);
		if (!has_source)
			codec_fail(c, EBADMSG, "the header names no source of touches");
	}
	check_page(c, h);
}

/* ---- events ---- */

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

/* The n-th field of a call.  File and target are judged by what was introduced. */
static void codec_call_field(struct codec *c, const struct trace_state *s, unsigned int n,
	struct trace_call *call)
{
	uint64_t later = 0;

	switch (n) {
	case TRACE_ARG_ADDR:
		codec_u64(c, &call->addr);
		break;
	case TRACE_ARG_LEN:
		codec_u64(c, &call->len);
		break;
	case TRACE_ARG_NEW_ADDR:
		codec_u64(c, &call->new_addr);
		break;
	case TRACE_ARG_NEW_LEN:
		codec_u64(c, &call->new_len);
		break;
	case TRACE_ARG_OFFSET:
		codec_u64(c, &call->offset);
		break;
	case TRACE_ARG_PROT:
		codec_u32(c, &call->prot);
		break;
	case TRACE_ARG_FLAGS:
		codec_u32(c, &call->flags);
		break;
	case TRACE_ARG_ADVICE:
		codec_u32(c, &call->advice);
		break;
	case TRACE_ARG_FD:
		codec_index(c, &call->file, s->nr_files, "a call on a file that was not introduced");
		if (call->file != TRACE_NONE)
			codec_u64(c, &call->file_bytes);
		break;
	case TRACE_ARG_PIDFD:
		codec_index(c, &call->target, s->nr_processes,
			"a call on a process that was not introduced");
		break;
	case TRACE_ARG_KEY:
		codec_u32(c, &call->key);
		break;
	case TRACE_ARG_COUNT:
		codec_u64(c, &call->count);
		break;
	case TRACE_ARG_MODE:
		codec_u32(c, &call->mode);
		break;
	default: /* of a later version: one number each */
		codec_u64(c, &later);
		break;
	}
}

static void codec_call(struct codec *c, const struct trace_state *s, struct trace_call *call)
{
	uint32_t place = c->decoding ? 0 : (uint32_t)call->nr;
	uint64_t fields;

	if (c->decoding)
		*call = (struct trace_call){ .file = TRACE_NONE, .target = TRACE_NONE };
	codec_below(c, &place, s->calls.nr, "an unknown call");
	if (c->wrong)
		return;
	fields = s->calls.call[place].fields;
	if (c->decoding) {
		call->nr = s->calls.call[place].nr;
		call->name = call->nr == TRACE_OTHER ? s->calls.call[place].name : NULL;
	}
	codec_signed(c, &call->result);
	for (unsigned int n = 0; fields >> n && n < 64; n++)
		if (fields >> n & 1)
			codec_call_field(c, s, n, call);
}

static void codec_rights(struct codec *c, struct trace_rights *rights)
{
	codec_maybe(c, &rights->stack_bytes);
	codec_maybe(c, &rights->as_bytes);
	codec_maybe(c, &rights->data_bytes);
	codec_maybe(c, &rights->memlock_bytes);
	if (c->version > 1)
		codec_u32(c, &rights->flags);
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

	codec_bool(c, &exec->maps_known);
	codec_maps(c, s, &exec->maps);
	for (size_t i = 0; i < sizeof(layout) / sizeof(layout[0]); i++)
		codec_u64(c, layout[i]);
	codec_rights(c, &exec->rights);
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
	enum { BY_EXIT, BY_EXEC, BY_DETACHING, NR_BYS } by = end->detached ? BY_DETACHING :
		end->by_exec ? BY_EXEC : BY_EXIT;

	codec_below(c, &end->mm, s->nr_mms, "an address space that was not introduced");
	codec_enum(c, &by, NR_BYS, "an unknown end of an address space");
	end->by_exec = by == BY_EXEC;
	end->detached = by == BY_DETACHING;
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

static void codec_signal(struct codec *c, struct trace_signal *out)
{
	int64_t code = out->code;

	codec_u32(c, &out->number);
	codec_signed(c, &code);
	codec_u64(c, &out->addr);
	if (code < INT32_MIN || code > INT32_MAX)
		codec_fail(c, EBADMSG, "a signal's code is too large");
	else
		out->code = (int32_t)code;
}

static void codec_came(struct codec *c, const struct trace_state *s, struct trace_came *came)
{
	uint64_t page = came->addr / s->page_bytes;

	codec_u64(c, &page);
	codec_u64(c, &came->nr_pages);
	codec_enum(c, &came->how, TRACE_NR_CAMES, "an unknown way for pages to come");
	if (page > UINT64_MAX / s->page_bytes ||
	    came->nr_pages > UINT64_MAX / s->page_bytes - page)
		codec_fail(c, EBADMSG, "pages beyond the last address");
	else
		came->addr = page * s->page_bytes;
}

/* The second field came later: a body that ends before it has none. */
static void codec_lost(struct codec *c, struct trace_lost *lost)
{
	codec_u64(c, &lost->nr);
	if (c->version > 1 && (!c->decoding || c->at < c->len_bytes))
		codec_u64(c, &lost->nr_calls);
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
		codec_lost(c, &e->lost);
		break;
	case TRACE_NOTE:
		codec_string(c, &e->note.text);
		break;
	case TRACE_SIGNAL:
		codec_signal(c, &e->signal);
		break;
	case TRACE_LIMITS:
		codec_rights(c, &e->limits.rights);
		break;
	case TRACE_CAME:
		codec_came(c, s, &e->came);
		break;
	case TRACE_HOST:
		codec_string(c, &e->host.name);
		codec_string(c, &e->host.text);
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
		uint32_t nr_kinds = c->version > 1 ? TRACE_NR_KINDS : VERSION_1_KINDS;

		c->unknown = c->version > 1 && (op & OP_KIND) >= nr_kinds;
		if (op & OP_THREAD || (op & OP_KIND) == TRACE_TOUCH ||
		    (!c->unknown && (op & OP_KIND) >= nr_kinds)) {
			codec_fail(c, EBADMSG, "an unknown kind of event");
			return;
		}
		/* One that is passed over is nobody's. */
		e->kind = c->unknown ? TRACE_NOTE : (enum trace_kind)(op & OP_KIND);
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
		if (e->kind != TRACE_FILE && e->kind != TRACE_LOST && e->kind != TRACE_NOTE &&
		    e->kind != TRACE_HOST)
			codec_fail(c, EBADMSG, "an event without a process");
		return;
	}
	if (!starts_thread(e->kind) && !state_names_thread(s, e))
		codec_fail(c, EBADMSG, "an event of a thread that has ended");
	if (e->kind == TRACE_THREAD_START && !s->processes[e->process].nr_threads)
		codec_fail(c, EBADMSG, "a thread of a process that has ended");
}

/* The rest of an event: a touch as it is, all others behind their length. */
static void decode_rest(struct codec *c, struct trace_state *s, struct trace_event *e)
{
	size_t whole = c->len_bytes;
	uint64_t len = 0;

	if (e->kind == TRACE_TOUCH || c->version == 1) {
		codec_time(c, s, e);
		if (e->kind == TRACE_TOUCH)
			codec_touch(c, s, e);
		else
			codec_body(c, s, e);
		return;
	}
	codec_u64(c, &len);
	if (!c->wrong && len > c->len_bytes - c->at)
		codec_fail(c, EBADMSG, "an event runs over the end of its block");
	if (c->wrong)
		return;
	c->len_bytes = c->at + len;
	codec_time(c, s, e);
	if (!c->unknown)
		codec_body(c, s, e);
	c->at = c->len_bytes;
	c->len_bytes = whole;
}

/* The body is written behind its length, which is known only once it is there:
 * it is made in a buffer of its own. */
static void encode_rest(struct codec *c, struct trace_state *s, struct trace_event *e)
{
	struct codec body = { .buffer = c->body, .capacity_bytes = c->body_bytes };
	uint64_t len;

	if (e->kind == TRACE_TOUCH) {
		codec_time(c, s, e);
		codec_touch(c, s, e);
		return;
	}
	body.version = c->version;
	codec_time(&body, s, e);
	codec_body(&body, s, e);
	c->body = body.buffer;
	c->body_bytes = body.capacity_bytes;
	len = body.at;
	if (body.wrong) {
		codec_fail(c, body.err, body.wrong);
		return;
	}
	codec_u64(c, &len);
	if (codec_grow(c, len)) {
		memcpy(c->buffer + c->at, body.buffer, len);
		c->at += len;
	}
}

bool codec_event(struct codec *c, struct trace_state *s, struct trace_event *e)
{
	c->unknown = false;
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
	if (c->decoding)
		decode_rest(c, s, e);
	else
		encode_rest(c, s, e);
	if (c->wrong)
		return false;
	state_apply(s, e);
	return true;
}

void trace_state_init(struct trace_state *s, uint64_t page_bytes)
{
	*s = (struct trace_state){ .page_bytes = page_bytes };
	calls_of_table(&s->calls, TRACE_NR_CALLS);
}

void trace_state_fini(struct trace_state *s)
{
	free(s->threads);
	free(s->processes);
	*s = (struct trace_state){ 0 };
}
