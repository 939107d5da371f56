/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Perf logs: what each form of line becomes, and which lines are errors.  "@mmap" in
 * a log stands for that call's number on this machine.
 */
#include "imported.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "trace/record.h"

static const struct {
	const char *name;
	long number;
} numbers[] = {
	{ "@mmap", SYS_mmap }, { "@munmap", SYS_munmap }, { "@mprotect", SYS_mprotect },
	{ "@mremap", SYS_mremap }, { "@brk", SYS_brk }, { "@madvise", SYS_madvise },
	{ "@mlock2", SYS_mlock2 }, { "@shmat", SYS_shmat }, { "@ftruncate", SYS_ftruncate },
	{ "@mbind", SYS_mbind }, { "@write", SYS_write }, { "@close", SYS_close },
	{ "@clone3", SYS_clone3 }, { "@clone", SYS_clone }, { "@execve", SYS_execve },
	{ "@exit_group", SYS_exit_group }, { "@mincore", SYS_mincore },
};

static char *with_numbers(const char *log)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	while (*log) {
		size_t i = 0, n = sizeof(numbers) / sizeof(numbers[0]);

		while (i < n && strncmp(log, numbers[i].name, strlen(numbers[i].name)) != 0)
			i++;
		if (i < n) {
			fprintf(out, "%ld", numbers[i].number);
			log += strlen(numbers[i].name);
		} else {
			fputc(*log++, out);
		}
	}
	fclose(out);
	return text;
}

static void look(const char *log, const char *for_what, bool there)
{
	char *text = with_numbers(log);

	expect_imported(import_perf_text, text, for_what, there);
	free(text);
}

static void expect(const char *log, const char *wanted)
{
	look(log, wanted, true);
}

static void expect_not(const char *log, const char *unwanted)
{
	look(log, unwanted, false);
}

#define ENTER " a 5/5 1.000001: raw_syscalls:sys_enter: NR "
#define LEAVE " a 5/5 1.000003: raw_syscalls:sys_exit: NR "
#define MMAP2 " a 5/5 1.000002: PERF_RECORD_MMAP2 5/5: "
#define ANON " 00:00 0 0]: rw-p //anon\n"

static void test_calls(void **state)
{
	static const char *const pairs[][2] = {
		{ ENTER "@mmap (0, 2000, 3, 22, ffffffff, 0)\n" LEAVE "@mmap = 139637976731648\n",
		  "p0 t0 call mmap len=0x2000 prot=0x3 flags=0x22 = 0x7f0000001000" },
		{ ENTER "@mmap (1000, 1, 0, 40000011, 3, 2000)\n" LEAVE "@mmap = -1\n",
		  "addr=0x1000 len=0x1 offset=0x2000 prot=0 flags=0x40000011 = -1" },
		{ ENTER "@mprotect (1000, 1000, 5, 0, 0, 0)\n" LEAVE "@mprotect = 0\n",
		  "mprotect addr=0x1000 len=0x1000 prot=0x5 = 0" },
		{ ENTER "@mremap (1000, 1000, 2000, 1, ffff, 0)\n" LEAVE "@mremap = 12288\n",
		  "mremap addr=0x1000 len=0x1000 new_len=0x2000 flags=0x1 = 0x3000" },
		{ ENTER "@brk (0, 0, 0, 0, 0, 0)\n" LEAVE "@brk = 1431633920\n", "brk = 0x55550000" },
		{ ENTER "@mlock2 (1000, 1, 1, 0, 0, 0)\n" LEAVE "@mlock2 = 0\n",
		  "mlock2 addr=0x1000 len=0x1 flags=0x1 = 0" },
		{ ENTER "@mincore (1000, 1000, 2, 0, 0, 0)\n" LEAVE "@mincore = 0\n",
		  "mincore addr=0x1000 len=0x1000 = 0" },
		{ ENTER "@mbind (1000, 1000, 2, 0, 0, 0)\n" LEAVE "@mbind = 0\n", "call mbind" },
		{ ENTER "@ftruncate (3, 2000, 0, 0, 0, 0)\n" LEAVE "@ftruncate = 0\n",
		  "ftruncate len=0x2000 file=0 file_bytes=8192 = 0" },
		{ ENTER "@shmat (5, 0, 1000, 0, 0, 0)\n" LEAVE "@shmat = 139637976727552\n",
		  "path=/SYSV segment 5" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		expect(pairs[i][0], pairs[i][1]);
	/* At its end; but what gives pages away, at its beginning. */
	expect(ENTER "@munmap (1000, 1000, 0, 0, 0, 0)\n"
	       " b 6/6 1.000002: raw_syscalls:sys_exit: NR @write = 1\n" LEAVE "@munmap = 0\n",
	       "call munmap addr=0x1000 len=0x1000 = 0\n0.000000 p1 t1 process-start pid=6");
	expect(ENTER "@madvise (1000, 1000, 3, 0, 0, 0)\n"
	       " b 6/6 1.000002: raw_syscalls:sys_exit: NR @write = 1\n" LEAVE "@madvise = 0\n",
	       "parent=- mm=1 clone_flags=0\n0.000000 p0 t0 call madvise");
	/* It never returned. */
	expect_not(ENTER "@munmap (1000, 1000, 0, 0, 0, 0)\n", "munmap");
	/* Of another call; without a beginning. */
	expect_not(ENTER "@brk (0, 0, 0, 0, 0, 0)\n" LEAVE "@mmap = 0\n" LEAVE "@brk = 1\n", "brk");
}

static void test_columns(void **state)
{
	static const char *const heads[] = {
		"5", "5/5", "a 5", "a 5/5", "   a b  c 5/5 [000]", "a 5 [001] 1.000001:",
		"5/5 1.000001:", "5 1.000001002:", "a 5/5 1.000001:  1", "a 5 1.000001:   12",
		":5 5/5 [000] 1.000001:", "kworker/0:1 5/5", "a 5/5 1", "1 2 3 5 [003]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		char log[400];

		snprintf(log, sizeof(log),
			"%s raw_syscalls:sys_enter: NR @brk (0, 0, 0, 0, 0, 0)   0 ffffffff81423dfc f\n"
			"%s    raw_syscalls:sys_exit: NR @brk = 4096    0 ffffffff81423dfc f\n",
			heads[i], heads[i]);
		expect(log, "call brk = 0x1000");
		expect(log, "process-start pid=5 ");
	}
}

/* Times are those of the log, from its first on; what perf found there has none. */
static void test_times(void **state)
{
	static const char log[] =
		"a 5/5 0.000000: PERF_RECORD_MMAP2 5/5: [0x1000(0x1000) @ 0" ANON
		"a 5/5 7.000100: page-faults:u: 1000\n"
		"a 5/5 7.000350999: page-faults:u: 2000\n";
	struct trace_header header = { .host.trait[HOST_page_bytes] = 4096 };
	struct trace_error error = { 0 };
	struct trace_writer *w = trace_writer_open_memory(&header, &error);
	const struct trace_event *event;
	struct trace_reader *r;
	uint64_t last = 0;
	size_t len;
	void *bytes;

	(void)state;
	assert_int_equal(import_perf_text("log", log, strlen(log), w, &error), 0);
	assert_int_equal(trace_writer_take(w, &bytes, &len, &error), 0);
	r = trace_reader_open_memory(bytes, len, "imported", &error);
	while (trace_reader_next(r, &event, &error) > 0)
		last = event->time_us;
	assert_int_equal(last, 250);
	trace_reader_close(r);
	free(bytes);
}

static void test_exceptions(void **state)
{
	static const char *const pairs[][2] = {
		{ "a 5 exceptions:page_fault_user: address=0x1234 ip=0x1 error_code=0x4\n",
		  "p0 t0 touch 0x1000 exact\n" },
		{ "a 5 exceptions:page_fault_user: address=0x1234 ip=0x1 error_code=0x6 0 ffff f\n",
		  "touch 0x1000 write exact\n" },
		{ "a 5 exceptions:page_fault_user: address=0x1234 ip=0x1 error_code=0x7\n",
		  "touch 0x1000 write exact present\n" },
		{ "a 5 exceptions:page_fault_user: address=0x1234 ip=0x1 error_code=0x14\n",
		  "touch 0x1000 exec exact\n" },
		{ "a 5 exceptions:page_fault_kernel: address=0x1234 ip=_copy_to_user error_code=0x2\n",
		  "touch 0x1000 write exact kernel\n" },
	};
	static const char kernel[] =
		"a 5 exceptions:page_fault_kernel: address=0x1000 ip=f error_code=0x2\n";
	char twice[300];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		expect(pairs[i][0], pairs[i][1]);
	/* The kernel's own memory; a second try at the same copy. */
	expect("a 5 exceptions:page_fault_kernel: address=init_task ip=f error_code=0x2\n",
	       "log: line 1: no process");
	expect("a 5 exceptions:page_fault_kernel: address=0xffff888000000000 ip=f error_code=0x2\n",
	       "log: line 1: no process");
	snprintf(twice, sizeof(twice), "%s%s", kernel, kernel);
	expect_not(twice, "kernel\n0.000000 p0 t0 touch");
}

#define FAULT(time, rest) "a 5/5 1.0" time ": page-faults: " rest "\n"

/* Read or write is inferred; the columns behind the address may tell of the mode. */
static void test_software(void **state)
{
	static const char mapped[] =
		" a 5/5 1.000000: PERF_RECORD_MMAP2 5/5: [0x1000(0x9000) @ 0x1000" ANON;
	static const char *const pairs[][2] = {
		{ FAULT("00001", "    1234"), "touch 0x1000 write\n" },
		{ FAULT("00001", "    1234     400000"), "touch 0x1000 write\n" },
		{ FAULT("00001", "    1234 ffffffff81775dda"), "touch 0x1000 write kernel\n" },
		{ FAULT("00001", "1234 a+0x0 (/tmp/a b) ffffffff81775dda elf_load+0x28a ([k])"),
		  "touch 0x1000 write kernel\n" },
		{ FAULT("00001", "1234 [unknown] ([stack]) 1234 [unknown] ([stack])"),
		  "touch 0x1000 exec\n" },
		{ FAULT("00001", "1234") FAULT("60002", "1678"),
		  "write\n0.000000 p0 t0 touch 0x1000 write present" },
		{ FAULT("00001", "1234") FAULT("00009", "1678"),
		  "touch 0x1000\n0.000000 p0 t0 touch 0x1000 write present" },
		{ "a 5/5 1.000001:  7 page-faults: 1234\n", "lost 6 touches" },
		{ "a 5/5 faults: 1234\n", "touch 0x1000 write\n" },
		{ "a 5/5 major-faults:u: 1234\n", "touch 0x1000 write\n" },
		/* The better event counts. */
		{ "a 5/5 minor-faults:u: 7000\na 5/5 page-faults:u: 1234\n",
		  "prot=0x3 flags=0x32 = 0x1000\n0.000000 p0 t0 touch 0x1000 write\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		char log[500];

		snprintf(log, sizeof(log), "%s%s", mapped, pairs[i][0]);
		expect(log, pairs[i][1]);
	}
	expect_not("a 5/5 page-faults:u: 1234\n"
		"a 5/5 exceptions:page_fault_user: address=0x5000 ip=0x1 error_code=0x4\n",
		"touch 0x1000");
}

/* Without calls, the mappings are those that records tell of. */
static void test_maps(void **state)
{
	static const char log[] =
		MMAP2 "[0x10000(0x4000) @ 0x10000" ANON
		/* grown at both ends, as a whole */
		MMAP2 "[0xf000(0x6000) @ 0xf000" ANON
		/* other rights for a part */
		MMAP2 "[0x11000(0x1000) @ 0x11000 00:00 0 0]: r--p //anon\n"
		MMAP2 "[0x12000(0x2000) @ 0x3000 fe:00 77 1]: r-xs /lib/a b.so\n"
		MMAP2 "[0x13000(0x1000) @ 0x4000 fe:00 77 1]: r--s /lib/a b.so\n"
		MMAP2 "[0xffffffffff600000(0x1000) @ 0 00:00 0 0]: --xp [vsyscall]\n"
		MMAP2 "[0x80000(0x2000) @ 0 00:00 0 0]: rw-p [stack]\n"
		MMAP2 "[0x90000(0x2000) @ 0 00:01 2056 0]: rw-s /dev/zero (deleted)\n";
	static const char *const wanted[] = {
		"mmap addr=0x10000 len=0x4000 prot=0x3 flags=0x32 = 0x10000\n"
		"0.000000 p0 t0 call mmap addr=0xf000 len=0x1000 prot=0x3 flags=0x32 = 0xf000\n"
		"0.000000 p0 t0 call mmap addr=0x14000 len=0x1000 prot=0x3 flags=0x32 = 0x14000\n"
		"0.000000 p0 t0 call mprotect addr=0x11000 len=0x1000 prot=0x1 = 0\n",
		"file=0 kind=disk dev=0xfe00000000 ino=77 bytes=20480 path=/lib/a b.so\n",
		"mmap addr=0x12000 len=0x2000 offset=0x3000 prot=0x5 flags=0x11 file=0 file_bytes=20480",
		"call mprotect addr=0x13000 len=0x1000 prot=0x1 = 0\n",
		"kind=zero dev=0x1 ino=2056 bytes=8192 path=/dev/zero (deleted)\n",
		"mmap addr=0x90000 len=0x2000 prot=0x3 flags=0x11 file=1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		expect(log, wanted[i]);
	expect_not(log, "0xffffffffff600000");
	expect_not(log, "0x80000");
}

/* A record inside mmap is of that mapping: its file, for the descriptor too. */
static void test_map_of_call(void **state)
{
	static const char log[] =
		ENTER "@mmap (0, 2000, 1, 2, 3, 1000)\n"
		MMAP2 "[0x7f0000001000(0x8000) @ 0 fe:00 77 1]: r--p /lib/a.so\n"
		LEAVE "@mmap = 139637976731648\n"
		ENTER "@ftruncate (3, 9000, 0, 0, 0, 0)\n" LEAVE "@ftruncate = 0\n"
		ENTER "@close (3, 0, 0, 0, 0, 0)\n" LEAVE "@close = 0\n"
		ENTER "@ftruncate (3, a000, 0, 0, 0, 0)\n" LEAVE "@ftruncate = 0\n"
		ENTER "@shmat (5, 0, 0, 0, 0, 0)\n"
		MMAP2 "[0x7f0000100000(0x4000) @ 0 00:01 9 0]: rw-s /SYSV00000000 (deleted)\n"
		LEAVE "@shmat = 139637977776128\n"
		/* Of this call the arguments say all; so of what comes without one. */
		ENTER "@brk (1000, 0, 0, 0, 0, 0)\n" MMAP2 "[0x1000(0x1000) @ 0x1000" ANON
		LEAVE "@brk = 4096\n" MMAP2 "[0x5000(0x1000) @ 0x5000" ANON;

	(void)state;
	expect(log, "mmap len=0x2000 offset=0x1000 prot=0x1 flags=0x2 file=0 file_bytes=32768 = "
		"0x7f0000001000");
	expect(log, "ftruncate len=0x9000 file=0 file_bytes=36864");
	expect(log, "ftruncate len=0xa000 file=1");
	expect(log, "path=descriptor 3 of process 0");
	expect(log, "kind=shm dev=0x1 ino=9 bytes=16384 path=/SYSV00000000 (deleted)");
	expect(log, "shmat file=2 file_bytes=16384 = 0x7f0000100000");
	expect_not(log, "flags=0x32");
}

#define MAP_OF(pid, range) " a " pid " 1.000003: PERF_RECORD_MMAP2 " pid ": [" range "\n"
#define PROGRAM(pid)                                                          \
	MAP_OF(pid, "0x7ff000(0x21000) @ 0 00:00 0 0]: rw-p [stack]")         \
	MAP_OF(pid, "0x400000(0x3000) @ 0 fe:00 7 0]: r--p /bin/a")           \
	MAP_OF(pid, "0x401000(0x1000) @ 0x1000 fe:00 7 0]: rwxp /bin/a")

/* An exec is told when it is over, with its maps; its own faults follow. */
static void test_exec(void **state)
{
	static const char log[] =
		" perf-exec 0/0 0.000000: PERF_RECORD_COMM: perf-exec:5/5\n"
		" a 5/5 1.000001: PERF_RECORD_COMM exec: a: b:5/5\n" PROGRAM("5/5")
		" a 5/5 1.000006: exceptions:page_fault_kernel: address=0x401123 ip=f error_code=0x2\n"
		" a 5/5 1.000007: raw_syscalls:sys_exit: NR @execve = 0\n"
		ENTER "@brk (0, 0, 0, 0, 0, 0)\n" LEAVE "@brk = 1431633920\n"
		" a 5/5 1.000008: exceptions:page_fault_user: address=0x7ff000 ip=0x1 error_code=0x6\n";
	static const char plain[] =
		" a 5/5 1.000001: PERF_RECORD_COMM exec: a:5/5\n" PROGRAM("5/5")
		" a 5/5 1.000006: page-faults:u: 401123\n"
		" a 5/5 1.000007: PERF_RECORD_MMAP2 5/5: [0x500000(0x1000) @ 0" ANON;
	static const char bare[] =
		" a 5/5 1.000001: PERF_RECORD_COMM exec: a:5/5\n"
		" a 5/5 1.000004: PERF_RECORD_MMAP2 5/5: [0x401000(0x1000) @ 0 fe:00 7 0]: r-xp /bin/a\n"
		" a 5/5 1.000006: page-faults:u: 401123\n";

	/* Whether the kernel took a fault is not told: before the vdso it did. */
	static const char modeless[] =
		" a 5/5 1.000001: PERF_RECORD_COMM exec: a:5/5\n" PROGRAM("5/5")
		" a 5/5 1.000006: page-faults: 402000\n"
		" a 5/5 1.000007: PERF_RECORD_MMAP2 5/5: [0x600000(0x1000) @ 0 00:00 0 0]: r-xp [vdso]\n"
		" a 5/5 1.000008: page-faults: 401123\n"
		" a 5/5 1.000009: PERF_RECORD_MMAP2 5/5: [0x500000(0x1000) @ 0" ANON;

	(void)state;
	expect(modeless, "exec mm=1 maps=5 ");
	expect(modeless, "touch 0x402000\n0.000000 p0 t0 touch 0x401000 write\n0.000000 p0 t0 call mmap");
	expect(log, "exec mm=1 maps=4 brk=0x55550000 mmap_base=0x403000 ");
	expect(log, "path=/bin/a: a: b\n0.000000 p0 t0 touch 0x401000 write exact kernel\n"
		"0.000000 p0 t0 call brk");
	expect(plain, "exec mm=1 maps=4 brk=0 ");
	expect(plain, "touch 0x401000 write\n0.000000 p0 t0 call mmap addr=0x500000");
	expect(bare, "exec mm=1 maps=0 ");
}

static void test_family(void **state)
{
	static const char log[] =
		" a 5/5 1.000001: PERF_RECORD_COMM exec: a:5/5\n" PROGRAM("5/5") LEAVE "@execve = 0\n"
		/* a fork, a thread, and a child that its parent waits for */
		ENTER "@clone (1200011, 0, 0, 0, 0, 0)\n"
		" a 5/5 1.000010: PERF_RECORD_FORK(6:6):(5:5)\n" LEAVE "@clone = 6\n"
		ENTER "@clone3 (7ff000, 58, 0, 0, 0, 0)\n"
		" a 5/5 1.000011: PERF_RECORD_FORK(5:7):(5:5)\n" LEAVE "@clone3 = 7\n"
		ENTER "@clone3 (7ff000, 58, 0, 0, 0, 0)\n"
		" a 5/5 1.000012: PERF_RECORD_FORK(8:8):(5:5)\n"
		" b 8/8 1.000013: PERF_RECORD_COMM exec: b:8/8\n" PROGRAM("8/8")
		" b 8/8 1.000014: raw_syscalls:sys_exit: NR @execve = 0\n" LEAVE "@clone3 = 8\n"
		/* and one that it does not wait for */
		ENTER "@clone3 (7ff000, 58, 0, 0, 0, 0)\n"
		" a 5/5 1.000015: PERF_RECORD_FORK(9:9):(5:5)\n" LEAVE "@clone3 = 9\n"
		" c 9/9 1.000016: PERF_RECORD_COMM exec: c:9/9\n"
		/* a thread execs, and takes over the id of the first, which has ended */
		" a 5/7 1.000020: raw_syscalls:sys_enter: NR @execve (1, 2, 3, 0, 0, 0)\n"
		" a 5/5 1.000021: PERF_RECORD_EXIT(5:5):(1:1)\n"
		" d 5/5 1.000022: PERF_RECORD_COMM exec: d:5/5\n"
		" d 5/5 1.000023: raw_syscalls:sys_exit: NR @execve = 0\n"
		" d 5/5 1.000024: raw_syscalls:sys_enter: NR @exit_group (3, 0, 0, 0, 0, 0)\n"
		" d 5/5 1.000025: PERF_RECORD_EXIT(5:5):(1:1)\n"
		" x 99/99 1.000026: PERF_RECORD_EXIT(99:99):(1:1)\n";
	static const char *const wanted[] = {
		"p0 t0 process-start pid=5 by=command parent=- mm=0",
		"p1 t1 process-start pid=6 by=fork parent=0 mm=2 clone_flags=0x1200011",
		"p0 t2 thread-start tid=7\n",
		"p2 t3 process-start pid=8 by=vfork parent=0 mm=1 (shared) clone_flags=0x4100",
		"p2 t3 exec mm=3", "p3 t4 process-start pid=9 by=fork parent=0 mm=4",
		"p0 t0 thread-exit", "p0 t2 exec mm=", "p0 t2 process-exit status=3",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		expect(log, wanted[i]);
	expect_not(log, "pid=99");
	/* Threads by the column alone; an id that is given out again. */
	expect("a 5/5 page-faults:u: 1000\na 5/6 page-faults:u: 2000\n", "p0 t1 thread-start tid=6");
	expect("a 5 1.000000: page-faults:u: 1000\n"
		"a 5 1.000001: PERF_RECORD_FORK(6:6):(5:5)\n"
		"a 5 1.000002: PERF_RECORD_FORK(6:6):(5:5)\n",
		"p1 t1 process-exit status=0");
	/* A child has its parent's mappings. */
	expect_not(MMAP2 "[0x10000(0x4000) @ 0x10000" ANON "a 5 1.000003: PERF_RECORD_FORK(6:6):(5:5)\n"
		"a 6 1.000004: PERF_RECORD_MMAP2 6/6: [0x10000(0x4000) @ 0x10000" ANON, "p1 t1 call");
}

static void test_noise(void **state)
{
	static const char log[] =
		"# ========\n# arch : x86_64\n#\n\n"
		"a 5/5 1.000001: page-faults:u: 1000\n"
		"\t    7fbed6f70b70 _start+0x0 (/usr/lib/ld-linux-x86-64.so.2)\n\n"
		"a 5/5 [000] 1.000002:  250000 cycles:u:  7fbed6f70b70 _start+0x0 (/a)\n"
		"a 5/5 1.000002: sched:sched_switch: prev_comm=a prev_pid=5 ==> next_comm=b\n"
		"swapper 0/0 1.000003: PERF_RECORD_KSYMBOL addr ffffffffc0000000 len 1 type 1 name f\n"
		"swapper 0/0 0.000000: PERF_RECORD_MMAP -1/0: [0xff(0x1) @ 0xff]: x [kernel.kallsyms]_t\n"
		"swapper 0 [000] 1.000003: exceptions:page_fault_kernel: address=0x1 ip=f error_code=0x2\n"
		"a 5/5 1.000004: PERF_RECORD_COMM: new name:5/5\n"
		"a 5/5 1.000005: PERF_RECORD_LOST lost 6985\n"
		"a 5/5 1.000005: PERF_RECORD_LOST_SAMPLES lost 12\n";

	(void)state;
	expect(log, "lost 6985 touches, 0 records of calls\n");
	expect(log, "lost 12 touches, 0 records of calls\n");
	expect(log, "note 2 lines of events that say nothing of memory were passed over");
	expect(ENTER "@brk (0, 0, 0, 0, 0, 0)\n", "note the log has no header");
}

/* Errors name the log and the line. */
static void test_bad_lines(void **state)
{
	static const char *const lines[] = {
		"this is no log", "5", "raw_syscalls:sys_enter: NR 1 (0, 0, 0, 0, 0, 0)",
		ENTER "x (0, 0, 0, 0, 0, 0)", ENTER "1 (0, 0, 0)", ENTER "1 (0, 0, 0, 0, 0, g)", ENTER "1",
		LEAVE "1", LEAVE "1 = x", LEAVE "1 = 99999999999999999999999", LEAVE "1 = 3x",
		"a 5 page-faults:", "a 5 page-faults: 1234 main+0x1 (/a)", "a 5 page-faults: 12x4",
		"a 5 exceptions:page_fault_user: address=0x1000",
		"a 5 exceptions:page_fault_user: address=0xzz ip=0x1 error_code=0x4",
		"a 5 exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0xq",
		"a 5 exceptions:other: address=0x1000", "a 5 syscalls:sys_enter_mmap: addr: 0x0",
		"a 5 PERF_RECORD_FORK(5:6)", "a 5 PERF_RECORD_EXIT(5:x):(1:1)",
		"a 5 PERF_RECORD_COMM exec: a", "a 5 PERF_RECORD_COMM exec: a:5/x", "a 5 PERF_RECORD_COMM",
		"a 5 PERF_RECORD_LOST", "a 5 PERF_RECORD_LOST lost -3", "a 5 PERF_RECORD_LOST lost x",
		"a 5 PERF_RECORD_MMAP 5/5: [0x1000(0x1000) @ 0]: x /bin/a",
		MMAP2 "[0x1000(0x1000) @ 0 fe:00 7 0]: r-zp /a", MMAP2 "[0x1000(0x1000) @ 0]: r--p /a",
		MMAP2 "[0x1000(0) @ 0 fe:00 7 0]: r--p /a", MMAP2 "[0x1000(0x0) @ 0 fe:00 7 0]: r--p /a",
		MMAP2 "[0x1000(0xffffffffffffffff) @ 0 fe:00 7 0]: r--p /a", "a 5 PERF_RECORD_MMAP2 5/5",
		"a b page-faults:u: 1000", "a 5 1.5: page-faults:u: 1000",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char log[400];

		snprintf(log, sizeof(log), "a 5 page-faults:u: 1000\n%s\n", lines[i]);
		expect(log, "log: line 2: ");
	}
	expect("", "log: line 1: no process");
	/* Numbers of calls mean something else there. */
	expect("# arch : pdp11\n" ENTER "1 (0, 0, 0, 0, 0, 0)\n", "another machine");
	expect("# arch : pdp11\na 5 page-faults:u: 1000\n", "touch 0x1000");
}

static void import_file(const char *log, const char *text, enum trace_source source)
{
	const struct trace_header *header;
	struct trace_error error = { 0 };
	struct trace_reader *r;
	char out[96];
	FILE *file = fopen(log, "w");

	fputs(text, file);
	fclose(file);
	snprintf(out, sizeof(out), "%s.out", log);
	assert_int_equal(import_perf(log, out, &error), 0);
	r = trace_reader_open(out, &error);
	assert_non_null(r);
	header = trace_reader_header(r);
	assert_int_equal(header->source, source);
	if (strstr(text, "# os release"))
		assert_string_equal(header->host.kernel, "6.18.44-x");
	trace_reader_close(r);
	unlink(out);
	unlink(log);
}

/* The source of touches stands in the header, and what the log's header tells. */
static void test_whole_file(void **state)
{
	char folder[] = "/tmp/quire-perf-XXXXXX", log[64];
	struct trace_error error = { 0 };

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(log, sizeof(log), "%s/a log", folder);
	assert_int_equal(import_perf(log, "out", &error), -ENOENT);
	import_file(log, "# os release : 6.18.44-x\na 5 page-faults:u: 1000\n", TRACE_SOURCE_PERF_USER);
	import_file(log, "a 5 page-faults:u: 1000\na 5 page-faults: 2000\n", TRACE_SOURCE_PERF);
	import_file(log, "a 5 exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x4\n"
		"a 5 page-faults: 1000\n", TRACE_SOURCE_TRACEPOINT);
	import_file(log, "a 5 1.000001: PERF_RECORD_COMM exec: a:5/5\n", TRACE_SOURCE_NONE);
	assert_int_equal(rmdir(folder), 0);
}

/* A real log of a program that maps, forks, makes a thread and execs. */
static void test_real(void **state)
{
	struct trace_error error = { 0 };
	size_t len;
	char *text = import_read("fuzz/corpus/perf_import/user.log", &len, &error);

	(void)state;
	assert_non_null(text);
	expect_imported(import_perf_text, text, "p0 t0 exec mm=1 maps=12 ", true);
	expect_imported(import_perf_text, text, "p0 t1 thread-start", true);
	expect_imported(import_perf_text, text, "p1 t2 exec mm=3 maps=12 ", true);
	expect_imported(import_perf_text, text, "p0 t0 process-exit", true);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_exceptions),
		cmocka_unit_test(test_software),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_map_of_call),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_whole_file),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
