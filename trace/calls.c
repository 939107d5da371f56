/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system calls that a recording is made of: the seccomp filter that stops
 * on them and on nothing else, and what their arguments mean.  Both are made of
 * call_table.h.
 *
 * The filter follows seccomp(2).  It looks at calls of the native
 * architecture alone; those of a 32-bit program run on unseen.
 */
#include "recorder.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH AUDIT_ARCH_RISCV64
#else
#error "the recorder knows x86_64, aarch64 and riscv64"
#endif

/* Calls that are younger than the headers of Debian 12. */
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

struct stop {
	uint32_t nr;
	enum stop_kind kind;
	enum trace_call_nr call;
};

static const struct {
	uint32_t nr;
	enum trace_call_nr call;
} numbers[] = {
#define CALL_NUMBER(id, name, role, ...) { SYS_##name, TRACE_##id },
	TRACE_CALL_TABLE(CALL_NUMBER)
#undef CALL_NUMBER
};

/* Calls that make a process or a program, or watch one: not in the table. */
static const struct stop births[] = {
#ifdef SYS_fork
	{ SYS_fork, STOP_CLONE, TRACE_OTHER },
#endif
#ifdef SYS_vfork
	{ SYS_vfork, STOP_CLONE, TRACE_OTHER },
#endif
	{ SYS_clone, STOP_CLONE, TRACE_OTHER },
	{ SYS_clone3, STOP_CLONE, TRACE_OTHER },
	{ SYS_execve, STOP_EXEC, TRACE_OTHER },
	{ SYS_execveat, STOP_EXEC, TRACE_OTHER },
	{ SYS_ptrace, STOP_PTRACE, TRACE_OTHER },
};

#define NR_BIRTHS (sizeof(births) / sizeof(births[0]))
#define MAX_STOPS (TRACE_NR_CALLS + NR_BIRTHS)

/* Those that the program is stopped for when calls are seen by the one means,
 * or the other.  RIGHTS and REACHES need a look at the process as it stands. */
static bool stops_at_call(enum trace_role role, enum trace_calls by)
{
	if (role == TRACE_IMPORTED || role == TRACE_SIZES)
		return false;
	return by == TRACE_CALLS_PTRACE || role == TRACE_RIGHTS || role == TRACE_REACHES;
}

static size_t list_stops(struct stop stops[MAX_STOPS], enum trace_calls by)
{
	size_t nr = 0;

	for (size_t i = 0; i < TRACE_NR_CALLS; i++)
		if (stops_at_call(trace_call_info(numbers[i].call)->role, by))
			stops[nr++] = (struct stop){ numbers[i].nr, STOP_CALL, numbers[i].call };
	for (size_t i = 0; i < NR_BIRTHS; i++)
		if (by == TRACE_CALLS_PTRACE || births[i].kind != STOP_CLONE)
			stops[nr++] = births[i];
	return nr;
}

static bool add_number(char *text, size_t size, size_t *at, uint32_t nr)
{
	int len = snprintf(text + *at, size - *at, "%sid==%u", *at ? "||" : "", nr);

	*at += (size_t)len;
	return *at < size;
}

bool calls_perf_filter(char *text, size_t size, bool execs)
{
	size_t at = 0;

	for (size_t i = 0; i < TRACE_NR_CALLS; i++) {
		enum trace_role role = trace_call_info(numbers[i].call)->role;

		if (stops_at_call(role, TRACE_CALLS_PTRACE) &&
		    !stops_at_call(role, TRACE_CALLS_TRACEPOINT) &&
		    !add_number(text, size, &at, numbers[i].nr))
			return false;
	}
	for (size_t i = 0; i < NR_BIRTHS; i++)
		if ((births[i].kind == STOP_CLONE || (execs && births[i].kind == STOP_EXEC)) &&
		    !add_number(text, size, &at, births[i].nr))
			return false;
	return true;
}

/*
 * Calls of which only some are of interest: those with this value of the low
 * half of an argument, or, of prlimit, those that set a limit.
 */
static const struct {
	uint32_t nr;
	uint32_t argument;
	uint32_t values[2];
	bool nonzero; /* instead: any value but 0 */
} conditions[] = {
	{ SYS_prctl, 0, { 41, 65 }, false }, /* PR_SET_THP_DISABLE, PR_SET_MDWE */
	{ SYS_prlimit64, 2, { 0, 0 }, true }, /* the new limit */
};

#define NR_CONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

bool calls_native(uint32_t arch)
{
	return arch == NATIVE_ARCH;
}

bool calls_picked(uint64_t nr, const uint64_t arg[6])
{
	enum trace_call_nr call = TRACE_OTHER;
	enum stop_kind kind = calls_kind(nr, &call);

	for (size_t i = 0; i < NR_CONDITIONS; i++) {
		uint64_t value = arg[conditions[i].argument];

		if (nr == conditions[i].nr)
			return conditions[i].nonzero ? value != 0 :
				(uint32_t)value == conditions[i].values[0] ||
				(uint32_t)value == conditions[i].values[1];
	}
	return kind == STOP_CALL ? stops_at_call(trace_call_info(call)->role, TRACE_CALLS_PTRACE) :
		kind != STOP_NONE;
}

/* Where the low word (0) or the high word (1) of an argument is. */
#define ARGUMENT_AT(n, word) \
	((uint32_t)(offsetof(struct seccomp_data, args) + (n) * 8 + \
		(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? (word) : 1 - (word)) * 4))

static struct sock_filter load(uint32_t offset)
{
	return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}

static struct sock_filter if_equal(uint32_t value, size_t then, size_t otherwise)
{
	return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, (uint8_t)then,
		(uint8_t)otherwise);
}

static struct sock_filter give(uint32_t action)
{
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
}

/* For one conditional call, six or seven instructions: is it this one?  Then decide. */
static size_t put_condition(struct sock_filter *code, size_t i)
{
	uint32_t low = ARGUMENT_AT(conditions[i].argument, 0);
	size_t at = 0;

	code[at++] = if_equal(conditions[i].nr, 0, conditions[i].nonzero ? 6 : 5);
	code[at++] = load(low);
	if (conditions[i].nonzero) {
		/* A pointer: one of its halves is not 0. */
		code[at++] = if_equal(0, 0, 2);
		code[at++] = load(ARGUMENT_AT(conditions[i].argument, 1));
		code[at++] = if_equal(0, 1, 0);
	} else {
		code[at++] = if_equal(conditions[i].values[0], 2, 0);
		code[at++] = if_equal(conditions[i].values[1], 1, 0);
		code[at++] = give(SECCOMP_RET_ALLOW);
		code[at++] = give(SECCOMP_RET_TRACE);
		return at;
	}
	code[at++] = give(SECCOMP_RET_TRACE);
	code[at++] = give(SECCOMP_RET_ALLOW);
	return at;
}

/*
 * A munmap of so much is worth a stop even where it is seen without: the peak
 * of page tables is read before they go.  High word set, or low word at least
 * that?
 */

/* So many instructions. */
#define LARGE_MUNMAP 6

static size_t put_large_munmap(struct sock_filter *code)
{
	size_t at = 0;

	code[at++] = if_equal(SYS_munmap, 0, 5);
	code[at++] = load(ARGUMENT_AT(1, 1));
	code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0, 2, 0);
	code[at++] = load(ARGUMENT_AT(1, 0));
	code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, CALLS_LARGE_BYTES, 0, 1);
	code[at++] = give(SECCOMP_RET_TRACE);
	return at;
}

/*
 *	load arch; native? else allow
 *	load nr
 *	conditional calls decide for themselves
 *	nr == stops[i]? goto trace	(for each)
 *	a large munmap? ask the tracer	(where calls are seen without stops)
 *	allow
 *	trace: ask the tracer
 */
int calls_install_filter(enum trace_calls by)
{
	struct sock_filter code[MAX_STOPS + 6 + 8 * NR_CONDITIONS + LARGE_MUNMAP];
	struct sock_fprog program = { .filter = code };
	struct stop stops[MAX_STOPS];
	size_t nr_stops = list_stops(stops, by), at = 0;
	size_t rest = by == TRACE_CALLS_TRACEPOINT ? LARGE_MUNMAP : 0;

	code[at++] = load(offsetof(struct seccomp_data, arch));
	code[at++] = if_equal(NATIVE_ARCH, 1, 0);
	code[at++] = give(SECCOMP_RET_ALLOW);
	code[at++] = load(offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < NR_CONDITIONS; i++)
		at += put_condition(code + at, i);
	for (size_t i = 0; i < nr_stops; i++)
		code[at++] = if_equal(stops[i].nr, nr_stops - i + rest, 0);
	if (rest)
		at += put_large_munmap(code + at);
	code[at++] = give(SECCOMP_RET_ALLOW);
	code[at++] = give(SECCOMP_RET_TRACE);
	program.len = (unsigned short)at;

	/* With the privilege to go without, programs that change their user
	 * keep working under the recorder. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return -errno;
	return 0;
}

bool calls_read_memory(pid_t tid, uint64_t addr, void *into, size_t len)
{
	struct iovec local = { .iov_base = into, .iov_len = len };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)addr, .iov_len = len };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

/* As far as the arguments go: the flags of clone3 are in memory. */
static uint64_t clone_flags(uint64_t nr, const uint64_t arg[6])
{
#ifdef SYS_vfork
	if (nr == SYS_vfork)
		return CLONE_VM | CLONE_VFORK;
#endif
	return nr == SYS_clone ? arg[0] : 0;
}

/* What the table cannot say. */
static void decode_rest(const uint64_t arg[6], struct stopped_call *out)
{
	struct trace_call *call = &out->call;

	switch (call->nr) {
	case TRACE_MMAP:
		if (call->flags & MAP_ANONYMOUS)
			out->fd = -1;
		out->frees = call->flags & MAP_FIXED;
		break;
	case TRACE_MREMAP:
		/* Not an argument without this flag, but what was left behind. */
		if (!(call->flags & MREMAP_FIXED))
			call->new_addr = 0;
		out->frees = true;
		break;
	case TRACE_MUNMAP:
		out->frees = true;
		break;
	case TRACE_MADVISE:
		/* From Linux 6.14 on tables that this empties go at once. */
		out->frees = call->advice == MADV_DONTNEED;
		break;
	case TRACE_BRK:
	case TRACE_SHMDT:
		out->frees = arg[0] != 0;
		break;
	default:
		break;
	}
}

static void decode_call(const uint64_t arg[6], struct stopped_call *out)
{
	const struct trace_call_info *info = trace_call_info(out->call.nr);

	for (size_t i = 0; i < TRACE_MAX_ARGUMENTS; i++) {
		enum trace_argument what = info->argument[i];

		if (what == TRACE_ARG_FD)
			out->fd = (int)arg[i];
		else /* what leads to a process or a segment is followed later */
			trace_call_set(&out->call, what, arg[i]);
	}
	decode_rest(arg, out);
}

enum stop_kind calls_kind(uint64_t nr, enum trace_call_nr *call)
{
	for (size_t i = 0; i < TRACE_NR_CALLS; i++)
		if (numbers[i].nr == nr) {
			*call = numbers[i].call;
			return STOP_CALL;
		}
	for (size_t i = 0; i < NR_BIRTHS; i++)
		if (births[i].nr == nr)
			return births[i].kind;
	return STOP_NONE;
}

void calls_decode_arguments(uint64_t nr, const uint64_t arg[6], struct stopped_call *out)
{
	*out = (struct stopped_call){
		.fd = -1,
		.call = { .nr = TRACE_OTHER, .file = TRACE_NONE, .target = TRACE_NONE },
	};
	for (size_t i = 0; i < 6; i++)
		out->arg[i] = arg[i];
	out->kind = calls_kind(nr, &out->call.nr);
	if (out->kind == STOP_CALL)
		decode_call(arg, out);
	else if (out->kind == STOP_CLONE)
		out->clone_flags = clone_flags(nr, arg);
}

void calls_decode(pid_t tid, uint64_t nr, const uint64_t arg[6], struct stopped_call *out)
{
	calls_decode_arguments(nr, arg, out);
	if (nr == SYS_clone3 &&
	    !calls_read_memory(tid, arg[0], &out->clone_flags, sizeof(out->clone_flags)))
		out->clone_flags = 0;
}
