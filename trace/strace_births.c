/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first of two looks at an strace log: which clone, fork or vfork returned
 * which id, and with which flags.  The second look needs that before it comes
 * to the line itself, for a child's first lines may stand before it.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "import.h"

/* The first part of a thread's clone. */
struct pending {
	pid_t pid;
	char *text;
};

struct reading {
	struct strace_births *births;
	struct import_log *log;
	struct pending *pending;
	size_t nr, capacity;
};

bool strace_is_clone(const char *name)
{
	static const char *const names[] = { "fork", "vfork", "clone", "clone3" };
	size_t len = strcspn(name, "(");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
			return true;
	return false;
}

static bool flags_of(const struct strace_call *call, uint64_t *flags)
{
	*flags = 0;
	if (strcmp(call->name, "vfork") == 0)
		*flags = CLONE_VM | CLONE_VFORK;
	for (unsigned int i = 0; i < call->nr_arguments; i++) {
		char *at = strstr(call->argument[i], "flags=");
		size_t len;
		char end;
		bool good;

		if (!at)
			continue;
		at += 6;
		len = strcspn(at, ",} ");
		end = at[len];
		at[len] = 0;
		good = strace_parse_flags(at, flags);
		at[len] = end;
		return good;
	}
	return true;
}

static int note_birth(struct reading *r, pid_t parent, char *text)
{
	struct strace_births *births = r->births;
	struct strace_call call;
	int64_t child;
	uint64_t flags;

	/* A call that is not well formed is for the second look to judge. */
	if (strace_parse_call(text, &call) || !strace_is_clone(call.name) ||
	    !strace_parse_result(call.result, &child) || child <= 0 || child > INT32_MAX)
		return 0;
	if (!flags_of(&call, &flags))
		return import_log_fail(r->log, "flags of clone that are not known");
	if (!import_room(&births->birth, births->nr, &births->capacity,
			sizeof(births->birth[0])))
		return import_log_fail_memory(r->log);
	births->birth[births->nr++] = (struct strace_birth){
		.child = (pid_t)child, .parent = parent, .flags = flags,
	};
	return 0;
}

static struct pending *pending_of(struct reading *r, pid_t pid)
{
	for (size_t i = 0; i < r->nr; i++)
		if (r->pending[i].pid == pid)
			return &r->pending[i];
	if (!import_room(&r->pending, r->nr, &r->capacity, sizeof(r->pending[0])))
		return NULL;
	r->pending[r->nr] = (struct pending){ .pid = pid };
	return &r->pending[r->nr++];
}

static int resume(struct reading *r, struct pending *pending, const struct strace_line *line)
{
	char *whole;
	int err;

	/* The first process may have got its id in between. */
	if (!pending->text)
		pending = pending_of(r, 0);
	if (!pending)
		return import_log_fail_memory(r->log);
	whole = strace_resume(r->log, &pending->text, line, &err);
	if (!whole)
		return err;
	err = note_birth(r, line->pid, whole);
	free(whole);
	return err;
}

static int look_at(struct reading *r, const struct strace_line *line)
{
	const char *name = line->kind == STRACE_RESUMED ? line->name : line->text;
	struct pending *pending;

	if ((line->kind != STRACE_CALL && line->kind != STRACE_UNFINISHED &&
	     line->kind != STRACE_RESUMED) || !strace_is_clone(name))
		return 0;
	if (line->kind == STRACE_CALL)
		return note_birth(r, line->pid, line->text);
	pending = pending_of(r, line->pid);
	if (!pending)
		return import_log_fail_memory(r->log);
	if (line->kind == STRACE_UNFINISHED)
		return strace_keep(r->log, &pending->text, line->text);
	return resume(r, pending, line);
}

int strace_births_read(struct strace_births *births, struct import_log *log)
{
	struct reading r = { .births = births, .log = log };
	struct strace_line line;
	char *text;
	int err;

	*births = (struct strace_births){ 0 };
	while ((err = strace_next(log, &text, &line)) > 0) {
		err = look_at(&r, &line);
		free(text);
		if (err)
			break;
	}
	for (size_t i = 0; i < r.nr; i++)
		free(r.pending[i].text);
	free(r.pending);
	return err;
}

struct strace_birth *strace_births_take(struct strace_births *births, pid_t child)
{
	for (size_t i = 0; i < births->nr; i++) {
		struct strace_birth *birth = &births->birth[i];

		if (birth->child == child && !birth->taken) {
			birth->taken = true;
			return birth;
		}
	}
	return NULL;
}

void strace_births_fini(struct strace_births *births)
{
	free(births->birth);
}
