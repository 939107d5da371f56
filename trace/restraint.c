/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program cannot do while it is recorded: it is said on the way, and the
 * recording has a note of it.
 *
 *  - A thread has one tracer.  A debugger or strace inside the recorded tree
 *    gets EPERM when it wants to trace a process of that tree.
 *  - exec does not give a program another user, group or capabilities while an
 *    unprivileged process traces it, or once no_new_privs is set (which our
 *    filter needs where we are unprivileged).
 */
#include <linux/ptrace.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tracer.h"

/* On standard error by way of the caller, and into the recording. */
static void say(struct tracer *t, const struct tracee *tracee, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct tracer *t, const struct tracee *tracee, const char *format, ...)
{
	struct item *item = item_create(ITEM_EVENT);
	char *sentence = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&sentence, format, args) < 0)
		sentence = NULL;
	va_end(args);
	if (!item || !sentence) {
		free(sentence);
		item_destroy(item);
		t->failed = true;
		return;
	}
	if (t->options->tell)
		t->options->tell(t->options->context, sentence);
	item->tid = tracee->tid;
	item->event.kind = TRACE_NOTE;
	item->event.process = tracee->proc->index;
	item->event.thread = tracee->thread;
	item->event.note.text = item->text[0] = sentence;
	merge_push(t->merge, item);
}

static const char *name_of(pid_t tid, char name[64])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)tid);
	if (!host_read_line(path, name, 64))
		snprintf(name, 64, "the program");
	return name;
}

void restraint_of_ptrace(struct tracer *t, const struct tracee *tracee)
{
	uint64_t request = tracee->call.arg[0];
	pid_t whom = (pid_t)tracee->call.arg[1];
	char name[64];

	if (t->told_of_ptrace)
		return;
	if (request == PTRACE_ATTACH || request == PTRACE_SEIZE) {
		if (procfs_status_number(whom, "TracerPid", 0) != getpid())
			return;
	} else if (request != PTRACE_TRACEME) {
		return;
	}
	t->told_of_ptrace = true;
	say(t, tracee, "%s (process %d) wants to trace a recorded process, which has the recorder as "
		"its one tracer: its ptrace fails with EPERM, so debuggers and strace do not work here",
		name_of(tracee->tid, name), (int)tracee->tid);
}

/* What the file of the program would have given it; NULL: nothing, or it did. */
static const char *withheld(pid_t tid)
{
	char exe[64];
	struct stat about;
	struct statvfs mount;

	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)tid);
	if (stat(exe, &about) != 0 || statvfs(exe, &mount) != 0 || mount.f_flag & ST_NOSUID)
		return NULL;
	if (about.st_mode & S_ISUID && procfs_status_number(tid, "Uid", 1) != (long)about.st_uid)
		return "is set-user-ID, but keeps the user it was started by";
	if ((about.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    procfs_status_number(tid, "Gid", 1) != (long)about.st_gid)
		return "is set-group-ID, but keeps the group it was started by";
	if (getxattr(exe, "security.capability", NULL, 0) > 0 && geteuid() != 0)
		return "has file capabilities, but is not given them";
	return NULL;
}

void restraint_of_exec(struct tracer *t, const struct tracee *tracee)
{
	const char *what = t->told_of_exec ? NULL : withheld(tracee->tid);
	char name[64];

	if (!what)
		return;
	t->told_of_exec = true;
	say(t, tracee, "%s (process %d) %s while it is recorded: it may refuse what it does alone; "
		"record it as root to have it as it is", name_of(tracee->tid, name), (int)tracee->tid,
		what);
}
