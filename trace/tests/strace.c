/* SPDX-License-Identifier: BSD-2-Clause */
/* strace logs: what each form of line becomes, and which lines are errors. */
#include "imported.h"

#include <unistd.h>

#include "trace/record.h"

static char *import(const char *log)
{
	return imported(import_strace_text, log);
}

static void expect(const char *log, const char *wanted)
{
	expect_imported(import_strace_text, log, wanted, true);
}

static void expect_not(const char *log, const char *unwanted)
{
	expect_imported(import_strace_text, log, unwanted, false);
}

static void test_calls(void **state)
{
	static const char *const pairs[][2] = {
		{ "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) "
		  "= 0x7f0000001000", "call mmap len=0x2000 prot=0x3 flags=0x22 = 0x7f0000001000" },
		{ "mmap(0x1000, 1, PROT_NONE, MAP_SHARED|MAP_FIXED|0x40000000, 3, 0x2000) "
		  "= -1 EPERM (Operation not permitted)",
		  "addr=0x1000 len=0x1 offset=0x2000 prot=0 flags=0x40000011 = -1 (Operation not permitted)" },
		{ "mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|"
		  "21<<MAP_HUGE_SHIFT, -1, 0) = 0x7f0000000000", "flags=0x54040022" },
		{ "munmap(0x7f0000000000, 47943)          = 0", "munmap addr=0x7f0000000000 len=0xbb47 = 0" },
		{ "mprotect(0x1000, 4096, PROT_READ|PROT_EXEC) = 0", "mprotect addr=0x1000 len=0x1000 prot=0x5 = 0" },
		{ "mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE) = 0x3000",
		  "mremap addr=0x1000 len=0x1000 new_len=0x2000 flags=0x1 = 0x3000" },
		{ "mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE|MREMAP_FIXED, 0x5000) = 0x5000",
		  "new_addr=0x5000 new_len=0x2000 flags=0x3 = 0x5000" },
		{ "brk(NULL) = 0x55550000", "brk = 0x55550000" },
		{ "brk(0x55560000) = 0x55560000 <0.000012>", "brk addr=0x55560000 = 0x55560000" },
		{ "madvise(0x1000, 4096, MADV_DONTNEED) = 0", "madvise addr=0x1000 len=0x1000 advice=4 = 0" },
		{ "madvise(0x1000, 4096, 0x66 /* MADV_??? */) = -1 EINVAL (Invalid argument)",
		  "advice=102 = -1 (Invalid argument)" },
		{ "mlock(0x1000, 1) = 0", "mlock addr=0x1000 len=0x1 = 0" },
		{ "mlock2(0x1000, 1, MLOCK_ONFAULT) = 0", "mlock2 addr=0x1000 len=0x1 flags=0x1 = 0" },
		{ "munlock(0x1000, 1) = 0", "munlock addr=0x1000" },
		{ "mlockall(MCL_CURRENT|MCL_FUTURE) = 0", "mlockall flags=0x3 = 0" },
		{ "munlockall() = 0", "munlockall = 0" },
		{ "msync(0x1000, 1, MS_SYNC) = 0", "msync addr=0x1000 len=0x1 flags=0x4 = 0" },
		{ "mincore(0x1000, 4096, [1]) = 0", "mincore addr=0x1000 len=0x1000 = 0" },
		{ "shmat(5, NULL, SHM_RDONLY) = 0x7f0000000000", "shmat flags=0x1000 file=0" },
		{ "shmdt(0x7f0000000000) = 0", "shmdt addr=0x7f0000000000 = 0" },
		{ "pkey_mprotect(0x1000, 4096, PROT_READ, 1) = 0",
		  "pkey_mprotect addr=0x1000 len=0x1000 prot=0x1 key=1 = 0" },
		{ "mseal(0x1000, 4096, 0) = 0", "mseal addr=0x1000 len=0x1000 = 0" },
		{ "ftruncate(3, 8192) = 0", "ftruncate len=0x2000 file=0 file_bytes=8192 = 0" },
		{ "fallocate(3, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 4096, 8192) = 0",
		  "fallocate len=0x2000 offset=0x1000 flags=0x3 file=0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		expect(pairs[i][0], pairs[i][1]);
}

static void test_prefixes(void **state)
{
	static const char *const lines[] = {
		"brk(NULL) = 0x1000\n", "77 brk(NULL) = 0x1000\n", "[pid 77] brk(NULL) = 0x1000\n",
		"[pid    77] brk(NULL) = 0x1000\n", "77    brk(NULL) = 0x1000\n",
		"10:11:12 brk(NULL) = 0x1000\n", "77 10:11:12.131415 brk(NULL) = 0x1000\n",
		"1600000000.123456 brk(NULL) = 0x1000\n", "77 1600000000.123456 brk(NULL) = 0x1000\n",
		"     0.000123 brk(NULL) = 0x1000\n", "[pid 77] 0.000123 brk(NULL) = 0x1000 <0.1>\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		expect(lines[i], "call brk = 0x1000");
}

/* Known noise is skipped; so are calls that have nothing to do with memory. */
static void test_noise(void **state)
{
	(void)state;
	expect_not("5 brk(NULL) = 0x1000\n"
		"5 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---\n"
		"strace: Process 6 attached\n"
		"5 write(1, \"mmap(NULL, 1) = 3 <unfinished ...>\\n\", 34) = 34\n"
		"5 read(0, \"a) = (b\\\"c\", 100) = 8\n"
		"5 rt_sigreturn({mask=[]}) = 0\n"
		"5 ioctl(1, TCGETS, {c_iflag=ICRNL|IXON, ...}) = 0\n"
		"5 futex(0x7f, FUTEX_WAIT, 0, NULL) = ? ERESTARTSYS (To be restarted)\n"
		"5 openat(AT_FDCWD</a (b), c>, \"x\", O_RDONLY) = -1 ENOENT (No such file)\n"
		"5 munmap(0x1000, 4096 <unfinished ...>\n"
		"5 <... munmap resumed>) = ?\n"
		"5 <... exit resumed> <unfinished ...>) = ?\n"
		"\n", "munmap");
}

/* The child's lines come before its parent's clone returns. */
static void test_family(void **state)
{
	static const char log[] =
		"10 execve(\"/bin/sh\", [\"sh\"], 0x7ffe /* 3 vars */) = 0\n"
		"10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>\n"
		"11 brk(NULL) = 0x5000\n"
		"10 <... clone resumed>, child_tidptr=0x7f) = 11\n"
		"10 vfork( <unfinished ...>\n"
		"12 execve(\"/bin/ls\", [\"ls\"], 0x1 /* 3 vars */) = -1 ENOENT (No such file)\n"
		"12 execve(\"/usr/bin/ls\", [\"ls\"], 0x1 /* 3 vars */ <unfinished ...>\n"
		"10 <... vfork resumed>) = 12\n"
		"12 <... execve resumed>) = 0\n"
		"10 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SIGHAND, stack=0x1}"
		" => {parent_tid=[13]}, 88) = 13\n"
		"13 munmap(0x9000, 4096) = 0\n"
		"11 +++ killed by SIGSEGV (core dumped) +++\n"
		"13 +++ exited with 0 +++\n"
		"12 +++ exited with 1 +++\n"
		"10 +++ exited with 2 +++\n";

	(void)state;
	expect(log, "p1 t1 process-start pid=11 by=fork parent=0 mm=2 clone");
	expect(log, "p2 t2 process-start pid=12 by=vfork parent=0 mm=1 (shared)");
	expect(log, "p2 t2 exec mm=3");
	expect(log, "p0 t3 thread-start tid=13");
	expect(log, "p0 t3 call munmap");
	expect(log, "p1 t1 process-exit signal=11");
	expect(log, "p0 t3 thread-exit");
	expect(log, "p0 t0 process-exit status=2");
	expect_not(log, "p2 t2 mm-end mm=1");
}

/* An id that is given out again belongs to the new child of another parent. */
static void test_id_again(void **state)
{
	static const char log[] =
		"10 clone(child_stack=NULL, flags=SIGCHLD) = 11\n"
		"10 clone(child_stack=NULL, flags=SIGCHLD) = 12\n"
		"11 +++ exited with 0 +++\n"
		"12 clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD <unfinished ...>\n"
		"11 brk(NULL) = 0x1000\n"
		"12 <... clone resumed>) = 11\n"
		"11 +++ exited with 0 +++\n";

	(void)state;
	expect(log, "p1 t1 process-start pid=11 by=fork parent=0 mm=1 clone");
	expect(log, "p3 t3 process-start pid=11 by=fork parent=2 mm=2 (shared)");
}

/* What strace itself writes to the terminal, in the middle of a line. */
static void test_terminal(void **state)
{
	static const char log[] =
		"execve(\"./a\", [\"./a\"], 0x7f /* 1 var */) = 0\n"
		"clone(child_stack=NULL, flags=SIGCHLDstrace: Process 8 attached\n"
		", child_tidptr=0x7f) = 8\n"
		"[pid 7] brk(NULL) = 0x1000\n"
		"[pid 8] brk(NULL) = 0x2000\n"
		"[pid 8] +++ exited with 0 +++\n"
		"brk(NULL) = 0x3000\n"
		"+++ exited with 3 +++\n";

	(void)state;
	expect(log, "p1 t1 process-start pid=8 by=fork parent=0");
	expect(log, "p0 t0 call brk = 0x1000");
	expect(log, "p1 t1 call brk = 0x2000");
	expect(log, "p0 t0 call brk = 0x3000");
	expect(log, "p0 t0 process-exit status=3");
}

/* Each line of which asks for the next one to be joined on. */
static void test_endless_messages(void **state)
{
	enum { NR = 300000 };
	static const char line[] = "1 clone(flags=SIGCHLDstrace: Process 5 attached\n";
	char *log = malloc(NR * strlen(line) + 1), *got;

	(void)state;
	for (size_t i = 0; i < NR; i++)
		memcpy(log + i * strlen(line), line, sizeof(line));
	got = import(log);
	assert_non_null(strstr(got, "log: line 2: the arguments do not end"));
	free(got);
	free(log);
}

static void test_exec_by_a_thread(void **state)
{
	static const char log[] =
		"10 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 11\n"
		"11 execve(\"/bin/true\", [\"true\"], 0x1 /* 0 vars */ <unfinished ...>\n"
		"10 +++ superseded by execve in pid 11 +++\n"
		"10 <... execve resumed>) = 0\n"
		"10 brk(NULL) = 0x1000\n"
		"10 +++ exited with 0 +++\n";

	(void)state;
	expect(log, "p0 t0 thread-exit");
	expect(log, "p0 t1 exec mm=1");
	expect(log, "p0 t1 call brk = 0x1000");
	expect(log, "p0 t1 process-exit status=0");
}

static void test_files(void **state)
{
	static const char log[] =
		"openat(AT_FDCWD, \"/lib/a.so\", O_RDONLY) = 3\n"
		"newfstatat(3, \"\", {st_mode=S_IFREG|0644, st_size=47943, ...}, AT_EMPTY_PATH) = 0\n"
		"mmap(NULL, 47943, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f0000000000\n"
		"mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 4</lib/b.so>, 0x3000) = 0x7f0000100000\n"
		"mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 9, 0) = 0x7f0000200000\n";

	(void)state;
	expect(log, "bytes=47943 path=/lib/a.so");
	expect(log, "flags=0x2 file=0 file_bytes=47943 = 0x7f0000000000");
	expect(log, "bytes=16384 path=/lib/b.so");
	expect(log, "offset=0x3000 prot=0x1 flags=0x2 file=1 file_bytes=16384 = 0x7f0000100000");
	expect(log, "path=descriptor 9 of process 0");
}

/* Errors name the log and the line. */
static void test_bad_lines(void **state)
{
	static const char *const lines[] = {
		"this is no log", "mmap(NULL, 8192", "mmap(NULL, 4096, PROT_READ", "brk(NULL)",
		"brk(NULL) =", "brk(zero) = 0", "brk(NULL) = zero", "brk(NULL) = -1 EWHAT (x)",
		"mmap(NULL, 1, PROT_FANCY, MAP_PRIVATE, 3, 0) = 0x1000",
		"mmap(NULL, 1, PROT_READ, MAP_PRIVATE, three, 0) = 0x1000",
		"mmap(NULL, 1, PROT_READ) = 0x1000", "madvise(0x1000, 1, MADV_FANCY) = 0",
		"[pid x] brk(NULL) = 0x1000", "+++ exploded +++", "+++ exited with 0",
		"+++ killed by SIGWHAT +++", "<... mmap resumed", "clone(flags=CLONE_FANCY) = 77",
		"1 +++ superseded by execve in pid 99 +++", "write(1, \"abc, 3) = 3",
		"munmap(0x1000, 99999999999999999999999) = 0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char log[256];

		snprintf(log, sizeof(log), "brk(NULL) = 0x1000\n%s\n", lines[i]);
		expect(log, "log: line 2: ");
	}
	expect("", "log: line 1: no call");
}

static void test_whole_file(void **state)
{
	char folder[] = "/tmp/quire-strace-XXXXXX", log[64], out[64];
	struct trace_error error = { 0 };
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(log, sizeof(log), "%s/a log", folder);
	snprintf(out, sizeof(out), "%s/out", folder);
	assert_int_equal(import_strace(log, out, &error), -ENOENT);
	error = (struct trace_error){ 0 };
	file = fopen(log, "w");
	fputs("brk(NULL) = 0x1000\nnonsense\n", file);
	fclose(file);
	assert_int_equal(import_strace(log, out, &error), -EBADMSG);
	assert_non_null(strstr(error.message, "a log: line 2: "));
	assert_int_equal(error.offset, 2);
	assert_int_not_equal(access(out, F_OK), 0);
	error = (struct trace_error){ 0 };
	file = fopen(log, "w");
	fputs("brk(NULL) = 0x1000\n", file);
	fclose(file);
	assert_int_equal(import_strace(log, out, &error), 0);
	assert_int_equal(unlink(out), 0);
	unlink(log);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_id_again),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_endless_messages),
		cmocka_unit_test(test_exec_by_a_thread),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_whole_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
