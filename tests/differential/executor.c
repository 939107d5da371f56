/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The native side: a program without libc that does the operations as system
 * calls of the host kernel, on its own address space.
 *
 * Its footprint is what makes the comparison possible.  It is linked at a fixed
 * address, has no bss next to the heap, allocates nothing, and keeps what it
 * shares with the driver at DIFF_CONTROL_ADDR: the driver reads its maps once
 * and builds the same address space on the core.
 *
 * The program that is executed is a template.  For each program of operations
 * it forks a fresh first process; what operations fork are real processes too.
 * They take turns: the process of operation control->next runs, all others
 * sleep on that word.  A process that ends is waited for by whoever runs next,
 * so that its address space is gone before the next operation.
 *
 * Accesses go through one instruction, whose faults the signal handler turns
 * into a short count.
 */
#include <stddef.h>
#include <stdint.h>

#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>
#include <asm/ioctl.h>
#include <asm/unistd_64.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/time_types.h>

#include <quire/errno.h>

#include "program.h"

/* Initialised data is file-backed; a bss would be memory next to the heap. */
#define IN_DATA __attribute__((section(".data")))
#define WAIT_SECONDS 20

/* Newer than the headers that a host may have. */
#define THP_DISABLE_EXCEPT_ADVISED (1 << 1)
#define NR_MSEAL 462
struct scan_arguments {
	uint64_t size, flags, start, end, walk_end, regions, room, max_pages;
	uint64_t inverted, all_of, any_of, returned;
};
#define SCAN_PAGES _IOWR('f', 16, struct scan_arguments)

static struct diff_control *const control = (void *)DIFF_CONTROL_ADDR;

static uint8_t signal_stack[32768] IN_DATA;
static uint8_t buffer[65536] IN_DATA __attribute__((aligned(4096)));
static uint32_t me IN_DATA; /* process number in the program */
static struct rusage usage IN_DATA;
static uint64_t executed IN_DATA; /* address that execute() is to call */
static struct {
	uint32_t signal;
	uint64_t addr;
} last_fault IN_DATA;

/* ---- what a libc would give ---------------------------------------------------- */

void *memset(void *to, int byte, size_t len);
void *memset(void *to, int byte, size_t len)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t len);
void *memcpy(void *to, const void *from, size_t len)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(len) : : "memory");
	return to;
}

static int64_t call6(int64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
		     uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	int64_t ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define call0(nr) call6(nr, 0, 0, 0, 0, 0, 0)
#define call1(nr, a) call6(nr, (uint64_t)(a), 0, 0, 0, 0, 0)
#define call2(nr, a, b) call6(nr, (uint64_t)(a), (uint64_t)(b), 0, 0, 0, 0)
#define call3(nr, a, b, c) call6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0, 0)
#define call4(nr, a, b, c, d) \
	call6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0, 0)
#define call5(nr, a, b, c, d, e)                                                          \
	call6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), 0)

static _Noreturn void leave(int status)
{
	for (;;)
		call1(__NR_exit_group, status);
}

/* The executor, not the operation, went wrong. */
static _Noreturn void broken(uint32_t line)
{
	control->broken = line;
	__atomic_store_n(&control->done, 1, __ATOMIC_RELEASE);
	call3(__NR_futex, &control->done, FUTEX_WAKE, 1);
	leave(1);
}

static void futex_wake(uint32_t *word)
{
	call3(__NR_futex, word, FUTEX_WAKE, 64);
}

/* Sleeps while *word is `value`; a driver that is gone ends the sleep for good. */
static void futex_wait(uint32_t *word, uint32_t value)
{
	const struct __kernel_timespec limit = { .tv_sec = WAIT_SECONDS };

	if (call4(__NR_futex, word, FUTEX_WAIT, value, &limit) == -110)
		leave(2);
}

/* ---- accesses --------------------------------------------------------------------- */

/*
 * uint64_t probe(void *to, const void *from, uint64_t len): copies upwards;
 * returns the bytes not copied.  probe_insn is the only instruction that may
 * fault; the handler continues at probe_end with what is left in rcx.
 */
uint64_t probe(void *to, const void *from, uint64_t len);
/* Calls code at `addr`; when that may not be fetched, the handler returns for
 * it to execute_end. */
void execute(const void *addr);
void signal_return(void);
extern const char probe_insn[], probe_end[], execute_end[];
__asm__(".text\n"
	".globl probe, probe_insn, probe_end, execute, execute_end\n"
	".globl signal_return, _start\n"
	"probe:\n"
	"	mov %rdx, %rcx\n"
	"probe_insn:\n"
	"	rep movsb\n"
	"probe_end:\n"
	"	mov %rcx, %rax\n"
	"	ret\n"
	"execute:\n"
	"	call *%rdi\n"
	"execute_end:\n"
	"	ret\n"
	"signal_return:\n"
	"	mov $15, %eax\n"
	"	syscall\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call executor_main\n"
	"	ud2\n"
	".section .note.GNU-stack,\"\",@progbits\n"
	".text\n");

static void on_fault(int nr, siginfo_t *info, void *context)
{
	struct ucontext *uc = context;

	if (uc->uc_mcontext.rip == (uint64_t)probe_insn) {
		uc->uc_mcontext.rip = (uint64_t)probe_end;
	} else if (uc->uc_mcontext.rip == executed) {
		uc->uc_mcontext.rip = (uint64_t)execute_end;
		uc->uc_mcontext.rsp += 8;
	} else {
		broken(__LINE__);
	}
	if (nr == SIGBUS)
		last_fault.signal = QUIRE_SIGBUS;
	else if (info->si_code == SEGV_MAPERR)
		last_fault.signal = QUIRE_SIGSEGV_MAPERR;
	else if (info->si_code == SEGV_ACCERR)
		last_fault.signal = QUIRE_SIGSEGV_ACCERR;
	else
		last_fault.signal = 1000 + (uint32_t)info->si_code;
	last_fault.addr = (uint64_t)info->si_addr;
}

/* 0, or the signal that the access raised. */
static uint32_t access_bytes(void *to, const void *from, uint64_t len_bytes)
{
	last_fault.signal = QUIRE_NO_SIGNAL;
	if (!probe(to, from, len_bytes))
		return QUIRE_NO_SIGNAL;
	return last_fault.signal;
}

/* ---- reports that do not fit a result ----------------------------------------------- */

/* The record is open from its first bytes until end_record() gives its length. */
static void append(uint64_t *len_bytes, const void *bytes, uint64_t more_bytes)
{
	const uint64_t at = control->log_bytes + sizeof(struct diff_log_header) + *len_bytes;

	if (at + more_bytes > DIFF_LOG_BYTES)
		broken(__LINE__);
	if (call4(__NR_pwrite64, DIFF_FD_LOG, bytes, more_bytes, at) != (int64_t)more_bytes)
		broken(__LINE__);
	*len_bytes += more_bytes;
}

static void end_record(enum diff_log_kind kind, uint32_t op, uint64_t len_bytes)
{
	const struct diff_log_header header = { .kind = kind, .op = op, .len_bytes = len_bytes };

	if (call4(__NR_pwrite64, DIFF_FD_LOG, &header, sizeof(header), control->log_bytes) !=
	    sizeof(header))
		broken(__LINE__);
	control->log_bytes += sizeof(header) + ((len_bytes + 7) & ~UINT64_C(7));
}

static void log_bytes(enum diff_log_kind kind, uint32_t op, const void *bytes, uint64_t len_bytes)
{
	uint64_t logged = 0;

	append(&logged, bytes, len_bytes);
	end_record(kind, op, logged);
}

static int64_t open_read(const char *path)
{
	const int64_t fd = call4(__NR_openat, AT_FDCWD, path, O_RDONLY, 0);

	if (fd < 0)
		broken(__LINE__);
	return fd;
}

/* One record with all that the file says: it may come in several reads. */
static void log_file(enum diff_log_kind kind, uint32_t op, const char *path)
{
	const int64_t fd = open_read(path);
	uint64_t len_bytes = 0;
	int64_t got;

	while ((got = call3(__NR_read, fd, buffer, sizeof(buffer))) > 0)
		append(&len_bytes, buffer, (uint64_t)got);
	if (got < 0)
		broken(__LINE__);
	end_record(kind, op, len_bytes);
	call1(__NR_close, fd);
}

/* What maps the pages, which are at the zero page, which behind a PMD entry. */
static void log_regions(uint32_t index, int64_t fd, uint64_t start, uint64_t end)
{
	struct scan_arguments scan = {
		.size = sizeof(scan), .start = start, .end = end, .regions = (uint64_t)buffer,
		.room = sizeof(buffer) / sizeof(struct diff_region),
		.all_of = DIFF_SCAN_PRESENT,
		.returned = DIFF_SCAN_PRESENT | DIFF_SCAN_ZERO | DIFF_SCAN_HUGE,
	};
	uint64_t len_bytes = 0;

	while (scan.start < end) {
		const int64_t nr = call3(__NR_ioctl, fd, SCAN_PAGES, &scan);

		if (nr < 0)
			broken(__LINE__);
		append(&len_bytes, buffer, (uint64_t)nr * sizeof(struct diff_region));
		scan.start = scan.walk_end;
	}
	end_record(DIFF_LOG_REGIONS, index, len_bytes);
}

static void log_pages(uint32_t index, uint64_t start, uint64_t nr_pages)
{
	const int64_t fd = open_read("/proc/self/pagemap");
	uint64_t len_bytes = 0;

	if (call4(__NR_pread64, fd, buffer, nr_pages * 8, start / DIFF_PAGE * 8) !=
	    (int64_t)nr_pages * 8)
		broken(__LINE__);
	append(&len_bytes, &start, sizeof(start));
	append(&len_bytes, buffer, nr_pages * 8);
	end_record(DIFF_LOG_PAGES, index, len_bytes);
	log_regions(index, fd, start, start + nr_pages * DIFF_PAGE);
	call1(__NR_close, fd);
}

static void look(uint32_t index, const struct diff_op *op, uint64_t addr)
{
	const bool deep = op->flags & DIFF_LOOK_DEEP;

	log_file(DIFF_LOG_MAPS, index, deep ? "/proc/self/smaps" : "/proc/self/maps");
	log_pages(index, diff_look_start(op, addr), diff_look_pages(op));
	if (deep)
		log_file(DIFF_LOG_STATUS, index, "/proc/self/status");
}

static void sweep(uint32_t index, const struct diff_op *op, uint64_t addr)
{
	uint64_t words[DIFF_ARENA_PAGES];
	const uint64_t nr_pages = op->len / DIFF_PAGE;

	for (uint64_t i = 0; i < nr_pages && i < DIFF_ARENA_PAGES; i++) {
		const void *page = (const void *)(addr + i * DIFF_PAGE);
		const uint32_t signal = access_bytes(buffer, page, DIFF_PAGE);

		words[i] = signal ? diff_sweep_signal(signal) : diff_hash(0, buffer, DIFF_PAGE);
	}
	log_bytes(DIFF_LOG_SWEEP, index, words, nr_pages * 8);
}

/* ---- operations ------------------------------------------------------------------------ */

static uint64_t file_fd(const struct diff_op *op)
{
	if (op->file < 0 || op->file >= DIFF_NR_FILES)
		return (uint64_t)-1;
	return (uint64_t)(DIFF_FD_FILE0 + op->file);
}

static const int limit_numbers[DIFF_NR_LIMITS] = { RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK,
						   RLIMIT_STACK };
struct limit {
	uint64_t now, most;
};

static int64_t set_limit(const struct diff_op *op)
{
	const uint64_t in_use[DIFF_NR_LIMITS] = { control->initial_pages,
						  control->initial_data_pages };
	const uint32_t which = op->flags & ~DIFF_LIMIT_FROM_0;
	const uint64_t base = op->flags & DIFF_LIMIT_FROM_0 ? 0 : in_use[which];
	struct limit limit;
	int64_t err;

	err = call4(__NR_prlimit64, 0, limit_numbers[which], NULL, &limit);
	if (err)
		return err;
	limit.now = op->len == DIFF_NO_LIMIT ? control->initial_limits[which]
					     : (base + op->len) * DIFF_PAGE;
	return call4(__NR_prlimit64, 0, limit_numbers[which], &limit, NULL);
}

/* What a process may take up again stays permitted; nothing else is. */
static int64_t set_rights(uint32_t rights)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2] = { { 0 } };

	if (control->may_lock_any)
		sets[0].permitted = UINT32_C(1) << CAP_IPC_LOCK;
	if (rights & DIFF_RIGHT_LOCK_ANY)
		sets[0].effective = UINT32_C(1) << CAP_IPC_LOCK;
	return call2(__NR_capset, &header, sets);
}

static void do_mincore(const struct diff_op *op, uint64_t addr, struct diff_result *result)
{
	const uint64_t nr_pages = (op->len + DIFF_PAGE - 1) / DIFF_PAGE;

	memset(buffer, 0, DIFF_PAGE);
	result->ret = call3(__NR_mincore, addr, op->len, buffer);
	if (result->ret)
		return;
	for (uint64_t i = 0; i < nr_pages && i < DIFF_PAGE; i++)
		result->data = (result->data << 1 | result->data >> 63) ^ (buffer[i] & 1);
}

static void do_fork(const struct diff_op *op, struct diff_result *result)
{
	int64_t pid;

	control->alive[op->value] = 1;
	__atomic_fetch_add(&control->live, 1, __ATOMIC_RELAXED);
	pid = call0(__NR_fork);
	if (pid == 0)
		me = op->value;
	if (pid >= 0)
		return;
	control->alive[op->value] = 0;
	__atomic_fetch_sub(&control->live, 1, __ATOMIC_RELAXED);
	result->ret = pid;
}

static uint32_t write_bytes(const struct diff_op *op, uint64_t addr)
{
	for (uint64_t i = 0; i < op->len; i++)
		buffer[i] = diff_write_byte(op->value, i);
	return access_bytes((void *)addr, buffer, op->len);
}

static uint32_t execute_at(uint64_t addr)
{
	executed = addr;
	last_fault.signal = QUIRE_NO_SIGNAL;
	execute((const void *)addr);
	executed = 0;
	return last_fault.signal;
}

/* Faults of this process so far. */
static uint64_t count_faults(void)
{
	if (call2(__NR_getrusage, RUSAGE_SELF, &usage))
		broken(__LINE__);
	return (uint64_t)(usage.ru_minflt + usage.ru_majflt);
}

/* Faults so far; from here on its own memory is not to fault. */
static uint64_t start_counting(struct diff_result *result)
{
	memset(buffer, 0, DIFF_ACCESS_BYTES);
	memset(&usage, 0, sizeof(usage));
	memset(&last_fault, 0, sizeof(last_fault));
	memset(result, 0, sizeof(*result));
	return count_faults();
}

static void do_access(const struct diff_op *op, uint64_t addr, struct diff_result *result)
{
	const uint64_t len_bytes = op->kind == DIFF_exec ? 1 : op->len;
	const uint64_t before = start_counting(result);

	if (op->kind == DIFF_write) {
		result->signal = write_bytes(op, addr);
	} else {
		result->signal = access_bytes(buffer, (const void *)addr, len_bytes);
		if (!result->signal)
			result->data = diff_read_sum(buffer, len_bytes);
		if (!result->signal && op->kind == DIFF_exec && buffer[0] == DIFF_CODE)
			result->signal = execute_at(addr);
	}
	if (result->signal)
		result->fault_addr = last_fault.addr;
	else
		result->faults = count_faults() - before;
}

/* One page of a fill or a scan: its signal. */
static uint32_t visit_page(const struct diff_op *op, uint64_t addr, uint64_t page,
			   struct diff_result *result)
{
	const uint64_t word = diff_fill_word(op, page);
	uint32_t signal;

	if (op->kind == DIFF_fill)
		return access_bytes((void *)(addr + diff_fill_offset(op)), &word, sizeof(word));
	signal = access_bytes(buffer, (const void *)addr, DIFF_PAGE);
	if (!signal)
		result->data = diff_scan_digest(result->data, buffer);
	return signal;
}

static void do_pages(const struct diff_op *op, uint64_t start, struct diff_result *result)
{
	const uint64_t before = start_counting(result);
	const uint64_t end = start + op->len;

	for (uint64_t addr = start; addr < end;) {
		const uint32_t signal = visit_page(op, addr, (addr - start) / DIFF_PAGE, result);

		if (!signal) {
			result->ret++;
			addr += DIFF_PAGE;
			continue;
		}
		result->data = diff_hash_signal(result->data, addr, signal);
		if (!result->signal) {
			result->signal = signal;
			result->fault_addr = last_fault.addr;
		}
		addr = diff_after_signal(addr);
	}
	if (!result->signal)
		result->faults = count_faults() - before;
}

static void do_file(const struct diff_op *op, struct diff_result *result)
{
	uint8_t byte = (uint8_t)op->value;
	int64_t ret;

	if (op->kind == DIFF_truncate) {
		ret = call2(__NR_ftruncate, file_fd(op), op->len);
	} else if (op->kind == DIFF_punch) {
		ret = call4(__NR_fallocate, file_fd(op),
			    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->off, op->len);
	} else if (op->kind == DIFF_pread) {
		ret = call4(__NR_pread64, file_fd(op), &byte, 1, op->off);
		if (ret == 1)
			result->data = byte;
		ret = ret == 1 ? 0 : ret == 0 ? -QUIRE_ERANGE : ret;
	} else {
		ret = call4(__NR_pwrite64, file_fd(op), &byte, 1, op->off);
		ret = ret == 1 ? 0 : ret;
	}
	result->ret = ret;
}

/* The calls whose result is all there is; false for anything else. */
static bool do_call(const struct diff_op *op, uint64_t addr, int64_t *ret)
{
	const uint64_t addr2 = diff_resolve(&op->addr2, control->brk_start, control->special_start,
					    control->results);

	switch (op->kind) {
	case DIFF_mmap:
		*ret = call6(__NR_mmap, addr, op->len, op->prot, op->flags, file_fd(op), op->off);
		return true;
	case DIFF_munmap:
		*ret = call2(__NR_munmap, addr, op->len);
		return true;
	case DIFF_mprotect:
		*ret = call3(__NR_mprotect, addr, op->len, op->prot);
		return true;
	case DIFF_pkey_mprotect:
		*ret = call4(__NR_pkey_mprotect, addr, op->len, op->prot, (int32_t)op->value);
		return true;
	case DIFF_mseal:
		*ret = call3(NR_MSEAL, addr, op->len, op->flags);
		return true;
	case DIFF_mremap:
		*ret = call5(__NR_mremap, addr, op->len, op->newlen, op->flags, addr2);
		return true;
	case DIFF_brk:
		*ret = call1(__NR_brk, addr);
		return true;
	case DIFF_madvise:
		*ret = call3(__NR_madvise, addr, op->len, op->flags);
		return true;
	case DIFF_mlock:
		*ret = op->flags ? call3(__NR_mlock2, addr, op->len, op->flags)
				 : call2(__NR_mlock, addr, op->len);
		return true;
	case DIFF_munlock:
		*ret = call2(__NR_munlock, addr, op->len);
		return true;
	case DIFF_mlockall:
		*ret = call1(__NR_mlockall, op->flags);
		return true;
	case DIFF_munlockall:
		*ret = call0(__NR_munlockall);
		return true;
	case DIFF_msync:
		*ret = call3(__NR_msync, addr, op->len, op->flags);
		return true;
	case DIFF_limit:
		*ret = set_limit(op);
		return true;
	case DIFF_rights:
		*ret = set_rights(op->flags);
		return true;
	default:
		return false;
	}
}

static void do_op(uint32_t index, const struct diff_op *op)
{
	const uint64_t addr = diff_resolve(&op->addr, control->brk_start, control->special_start,
					    control->results);
	struct diff_result *result = &control->results[index];

	if (do_call(op, addr, &result->ret))
		return;
	switch (op->kind) {
	case DIFF_mincore:
		do_mincore(op, addr, result);
		break;
	case DIFF_read:
	case DIFF_write:
	case DIFF_exec:
		do_access(op, addr, result);
		break;
	case DIFF_truncate:
	case DIFF_pread:
	case DIFF_pwrite:
	case DIFF_punch:
		do_file(op, result);
		break;
	case DIFF_fork:
		do_fork(op, result);
		break;
	case DIFF_look:
		look(index, op, addr);
		break;
	case DIFF_sweep:
		sweep(index, op, addr);
		break;
	case DIFF_fill:
	case DIFF_scan:
		do_pages(op, addr & ~(DIFF_PAGE - 1), result);
		break;
	default: /* nop; exit is the caller's */
		break;
	}
}

/* ---- turns -------------------------------------------------------------------------------- */

/* Hands the turn to the process of the next operation whose process lives. */
static void pass_turn(uint32_t index)
{
	uint32_t next = index + 1;

	while (next < control->nr_ops && !control->alive[control->ops[next].who])
		control->results[next++].skipped = 1;
	/* Pairs with the acquire in run_program(). */
	__atomic_store_n(&control->next, next, __ATOMIC_RELEASE);
	if (next >= control->nr_ops || control->ops[next].who != me)
		futex_wake(&control->next);
}

/* A process that ended takes its address space along only some time after its
 * last system call; its pidfd tells when. */
static void await_exit(void)
{
	struct pollfd poll = { .events = POLLIN };
	int64_t fd;

	if (!control->exiting)
		return;
	fd = call2(__NR_pidfd_open, control->exiting, 0);
	if (fd >= 0) {
		poll.fd = (int)fd;
		if (call3(__NR_poll, &poll, 1, WAIT_SECONDS * 1000) != 1)
			broken(__LINE__);
		call1(__NR_close, fd);
	}
	control->exiting = 0;
}

static _Noreturn void run_program(void)
{
	for (;;) {
		const uint32_t index = __atomic_load_n(&control->next, __ATOMIC_ACQUIRE);
		const struct diff_op *op = &control->ops[index];

		if (index >= control->nr_ops)
			break;
		if (op->who != me) {
			futex_wait(&control->next, index);
			continue;
		}
		await_exit();
		if (op->kind == DIFF_exit) {
			control->alive[me] = 0;
			control->exiting = (int32_t)call0(__NR_getpid);
			pass_turn(index);
			break;
		}
		do_op(index, op);
		/* A fork returns twice; the child waits like anyone else. */
		if (op->who == me)
			pass_turn(index);
	}
	if (__atomic_sub_fetch(&control->live, 1, __ATOMIC_ACQ_REL) == 0) {
		__atomic_store_n(&control->done, 1, __ATOMIC_RELEASE);
		futex_wake(&control->done);
	}
	leave(0);
}

/* ---- the template ---------------------------------------------------------------------------- */

static void catch_signals(void)
{
	const stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} action = { .handler = on_fault,
		     .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER,
		     .restorer = signal_return };

	if (call2(__NR_sigaltstack, &stack, NULL) ||
	    call4(__NR_rt_sigaction, SIGSEGV, &action, NULL, 8) ||
	    call4(__NR_rt_sigaction, SIGBUS, &action, NULL, 8))
		broken(__LINE__);
	/* Children that nobody waits for. */
	action.handler = (void (*)(int, siginfo_t *, void *))(uintptr_t)1;
	action.flags = SA_RESTORER;
	if (call4(__NR_rt_sigaction, SIGCHLD, &action, NULL, 8))
		broken(__LINE__);
}

/*
 * An ordinary user's rights, and huge pages only where a program asks for them:
 * where the host would give them anyway depends on its settings.  Before Linux
 * 6.18 such a host can only be told to give none.
 */
static void become_ordinary(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct had[2] = { { 0 } };

	if (call2(__NR_capget, &header, had))
		broken(__LINE__);
	control->may_lock_any = had[0].permitted >> CAP_IPC_LOCK & 1;
	if (set_rights(0))
		broken(__LINE__);
	/* Programs may use every key there is. */
	while (call2(__NR_pkey_alloc, 0, 0) >= 0)
		control->has_pkeys = 1;
	control->huge_by_advice =
		!call5(__NR_prctl, PR_SET_THP_DISABLE, 1, THP_DISABLE_EXCEPT_ADVISED, 0, 0);
	if (!control->huge_by_advice && call5(__NR_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0))
		broken(__LINE__);
}

static void note_limits(void)
{
	struct limit limit;

	for (uint32_t i = 0; i < DIFF_NR_LIMITS; i++) {
		if (call4(__NR_prlimit64, 0, limit_numbers[i], NULL, &limit))
			broken(__LINE__);
		control->initial_limits[i] = limit.now;
	}
}

_Noreturn void executor_main(void);
_Noreturn __attribute__((used)) void executor_main(void)
{
	uint32_t seen = 0;
	int64_t addr;

	addr = call6(__NR_mmap, DIFF_CONTROL_ADDR, sizeof(*control), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_FIXED_NOREPLACE, DIFF_FD_CONTROL, 0);
	if (addr != (int64_t)DIFF_CONTROL_ADDR)
		leave(3);
	catch_signals();
	become_ordinary();
	note_limits();
	control->brk_start = (uint64_t)call1(__NR_brk, 0);
	addr = call6(__NR_mmap, 0, DIFF_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
		     (uint64_t)-1, 0);
	if (addr < 0 || call2(__NR_munmap, addr, DIFF_PAGE))
		broken(__LINE__);
	control->first_free = (uint64_t)addr;
	__atomic_store_n(&control->ready, 1, __ATOMIC_RELEASE);
	futex_wake(&control->ready);
	for (;;) {
		const uint32_t go = __atomic_load_n(&control->go, __ATOMIC_ACQUIRE);

		if (go == seen) {
			call4(__NR_futex, &control->go, FUTEX_WAIT, go, NULL);
			continue;
		}
		seen = go;
		addr = call0(__NR_fork);
		if (addr == 0)
			run_program();
		if (addr < 0)
			broken(__LINE__);
	}
}
