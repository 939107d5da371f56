/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system calls that a recording is made of: the seccomp filter that stops
 * on them and on nothing else, and what their arguments mean.  One table
 * serves both.
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

static const struct {
	uint32_t nr;
	enum stop_kind kind;
	enum trace_call_nr call;
} stops[] = {
	{ SYS_mmap, STOP_CALL, TRACE_MMAP },
	{ SYS_munmap, STOP_CALL, TRACE_MUNMAP },
	{ SYS_mprotect, STOP_CALL, TRACE_MPROTECT },
	{ SYS_mremap, STOP_CALL, TRACE_MREMAP },
	{ SYS_brk, STOP_CALL, TRACE_BRK },
	{ SYS_madvise, STOP_CALL, TRACE_MADVISE },
	{ SYS_mlock, STOP_CALL, TRACE_MLOCK },
	{ SYS_mlock2, STOP_CALL, TRACE_MLOCK2 },
	{ SYS_munlock, STOP_CALL, TRACE_MUNLOCK },
	{ SYS_mlockall, STOP_CALL, TRACE_MLOCKALL },
	{ SYS_munlockall, STOP_CALL, TRACE_MUNLOCKALL },
	{ SYS_msync, STOP_CALL, TRACE_MSYNC },
	{ SYS_shmat, STOP_CALL, TRACE_SHMAT },
	{ SYS_shmdt, STOP_CALL, TRACE_SHMDT },
	{ SYS_ftruncate, STOP_CALL, TRACE_FTRUNCATE },
	{ SYS_fallocate, STOP_CALL, TRACE_FALLOCATE },
	{ SYS_process_madvise, STOP_CALL, TRACE_PROCESS_MADVISE },
#ifdef SYS_fork
	{ SYS_fork, STOP_CLONE, 0 },
#endif
#ifdef SYS_vfork
	{ SYS_vfork, STOP_CLONE, 0 },
#endif
	{ SYS_clone, STOP_CLONE, 0 },
	{ SYS_clone3, STOP_CLONE, 0 },
	{ SYS_execve, STOP_EXEC, 0 },
	{ SYS_execveat, STOP_EXEC, 0 },
	{ SYS_ptrace, STOP_PTRACE, 0 },
};

#define NR_STOPS (sizeof(stops) / sizeof(stops[0]))

/*
 *	load arch; native? else allow
 *	load nr
 *	nr == stops[i]? goto trace	(for each)
 *	allow
 *	trace: ask the tracer
 */
int calls_install_filter(void)
{
	struct sock_filter code[NR_STOPS + 5];
	struct sock_fprog program = { .filter = code };
	unsigned short at = 0;

	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, arch));
	code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCH, 0,
		NR_STOPS + 1);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < NR_STOPS; i++)
		code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, stops[i].nr,
			(uint8_t)(NR_STOPS - i), 0);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	program.len = at;

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

static void decode_clone(pid_t tid, uint64_t nr, const uint64_t arg[6], struct stopped_call *out)
{
	out->clone_flags = 0;
#ifdef SYS_vfork
	if (nr == SYS_vfork)
		out->clone_flags = CLONE_VM | CLONE_VFORK;
#endif
	if (nr == SYS_clone)
		out->clone_flags = arg[0];
	else if (nr == SYS_clone3 &&
		 !calls_read_memory(tid, arg[0], &out->clone_flags, sizeof(out->clone_flags)))
		out->clone_flags = 0;
}

static void decode_mmap(const uint64_t arg[6], struct stopped_call *out)
{
	struct trace_call *call = &out->call;

	call->addr = arg[0];
	call->len = arg[1];
	call->prot = (uint32_t)arg[2];
	call->flags = (uint32_t)arg[3];
	call->offset = arg[5];
	if (!(call->flags & MAP_ANONYMOUS))
		out->fd = (int)arg[4];
	out->frees = call->flags & MAP_FIXED;
}

/* Calls that all begin with a range. */
static void decode_range(const uint64_t arg[6], struct stopped_call *out)
{
	struct trace_call *call = &out->call;

	call->addr = arg[0];
	call->len = arg[1];
	switch (call->nr) {
	case TRACE_MPROTECT:
		call->prot = (uint32_t)arg[2];
		break;
	case TRACE_MADVISE:
		call->advice = (uint32_t)arg[2];
		break;
	case TRACE_MREMAP:
		call->new_len = arg[2];
		call->flags = (uint32_t)arg[3];
		/* Not an argument without this flag, but what was left behind. */
		if (call->flags & MREMAP_FIXED)
			call->new_addr = arg[4];
		break;
	case TRACE_MLOCK2:
	case TRACE_MSYNC:
		call->flags = (uint32_t)arg[2];
		break;
	default:
		break;
	}
	out->frees = call->nr == TRACE_MUNMAP || call->nr == TRACE_MREMAP;
}

static void decode_call(const uint64_t arg[6], struct stopped_call *out)
{
	struct trace_call *call = &out->call;

	switch (call->nr) {
	case TRACE_MMAP:
		decode_mmap(arg, out);
		break;
	case TRACE_BRK:
	case TRACE_SHMDT:
		call->addr = arg[0];
		out->frees = arg[0] != 0;
		break;
	case TRACE_MLOCKALL:
		call->flags = (uint32_t)arg[0];
		break;
	case TRACE_MUNLOCKALL:
	case TRACE_PROCESS_MADVISE: /* the tracer reads its ranges */
		break;
	case TRACE_SHMAT:
		call->addr = arg[1];
		call->flags = (uint32_t)arg[2];
		break;
	case TRACE_FTRUNCATE:
		out->fd = (int)arg[0];
		call->len = arg[1];
		break;
	case TRACE_FALLOCATE:
		out->fd = (int)arg[0];
		call->flags = (uint32_t)arg[1];
		call->offset = arg[2];
		call->len = arg[3];
		break;
	default:
		decode_range(arg, out);
		break;
	}
}

void calls_decode(pid_t tid, uint64_t nr, const uint64_t arg[6], struct stopped_call *out)
{
	*out = (struct stopped_call){
		.kind = STOP_NONE,
		.fd = -1,
		.call = { .file = TRACE_NONE, .target = TRACE_NONE },
	};
	for (size_t i = 0; i < 6; i++)
		out->arg[i] = arg[i];
	for (size_t i = 0; i < NR_STOPS; i++) {
		if (stops[i].nr != nr)
			continue;
		out->kind = stops[i].kind;
		out->call.nr = stops[i].call;
		if (out->kind == STOP_CALL)
			decode_call(arg, out);
		else if (out->kind == STOP_CLONE)
			decode_clone(tid, nr, arg, out);
		return;
	}
}
