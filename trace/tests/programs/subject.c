/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * subject PART: a program with a known memory life, to be recorded.  Built
 * without sanitizers in every preset, as they bring a life of their own.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "subject.h"

static volatile char *map_pages(size_t nr)
{
	void *at = mmap(NULL, nr * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);

	if (at == MAP_FAILED)
		exit(9);
	return at;
}

static int play_touch(void)
{
	volatile char *at = map_pages(TOUCHED);

	for (size_t i = 0; i < TOUCHED; i++)
		at[i * PAGE] = 1;
	return 7;
}

static int play_read_first(void)
{
	volatile char *at = map_pages(TOUCHED);
	char sum = 0;

	for (size_t i = 0; i < TOUCHED; i++) {
		sum = (char)(sum + at[i * PAGE]);
		at[i * PAGE] = 1;
	}
	return sum;
}

static int play_fork(void)
{
	volatile char *at = map_pages(TOUCHED);
	int status;

	for (size_t i = 0; i < TOUCHED; i++)
		at[i * PAGE] = 1;
	if (fork() == 0) {
		for (size_t i = 0; i < FORK_TOUCHED; i++)
			at[i * PAGE] = 2;
		_exit(3);
	}
	wait(&status);
	return WEXITSTATUS(status);
}

/* Many children, one after the other. */
static int play_forks(void)
{
	for (int i = 0; i < FORKS; i++) {
		if (fork() == 0)
			_exit(0);
		wait(NULL);
	}
	return 0;
}

/* Maps, splits, moves and unmaps at random, together with its siblings. */
static void *storm(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument;

	for (int i = 0; i < 150; i++) {
		size_t nr = 1 + (size_t)(rand_r(&seed) % 16);
		char *at = (char *)(uintptr_t)map_pages(nr);

		at[0] = 1;
		switch (rand_r(&seed) % 5) {
		case 0:
			munmap(at, nr * PAGE);
			break;
		case 1:
			munmap(at + nr / 2 * PAGE, PAGE);
			break;
		case 2:
			mprotect(at, (nr + 1) / 2 * PAGE, PROT_READ);
			break;
		case 3:
			mremap(at, nr * PAGE, (nr + 5) * PAGE, MREMAP_MAYMOVE);
			break;
		default:
			break;
		}
	}
	return NULL;
}

static int play_threads(void)
{
	pthread_t thread[4];

	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, storm, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

static void *exec_true(void *argument)
{
	execl("/bin/true", "true", NULL);
	return argument;
}

static _Noreturn int play_exec_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, exec_true, NULL);
	for (;;)
		pause();
}

static int play_vfork(void)
{
	int status;
	pid_t child = vfork();

	if (child == 0) {
		execl("/nonexistent", "no", NULL);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

static int play_shm(void)
{
	int id = shmget(IPC_PRIVATE, 5 * PAGE, IPC_CREAT | 0600);
	char *at = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
	int fd = memfd_create("a memfd", 0);

	if (at == (char *)-1 || fd < 0)
		return 1;
	shmctl(id, IPC_RMID, NULL);
	at[PAGE] = 1;
	shmdt(at);
	if (ftruncate(fd, 8 * PAGE) != 0)
		return 1;
	at = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED || ftruncate(fd, 4 * PAGE) != 0)
		return 1;
	at[0] = 1;
	return msync(at, PAGE, MS_SYNC);
}

/* Tables for a moment: one page in each 2 MiB of a range, then none. */
static int play_peak(void)
{
	size_t stride = (size_t)2 << 20, len = TABLES * stride;
	volatile char *at = map_pages(len / PAGE);

	madvise((void *)(uintptr_t)at, len, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < TABLES; i++)
		at[i * stride] = 1;
	return munmap((void *)(uintptr_t)at, len);
}

/* The kernel reads pages that the process itself has not touched. */
static int play_kernel(void)
{
	enum { PAGES = 1600 };
	static char page[PAGE];
	int from = memfd_create("from", 0), to = memfd_create("to", 0);
	char *at;

	for (int i = 0; i < PAGES; i++)
		if (write(from, page, PAGE) != PAGE)
			return 1;
	at = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, from, 0);
	if (at == MAP_FAILED)
		return 1;
	for (int i = 0; i < PAGES; i++)
		if (write(to, at + (size_t)i * PAGE, PAGE) != PAGE)
			return 1;
	return 0;
}

/* Children are made while other threads map and unmap. */
static int play_fork_storm(void)
{
	pthread_t thread[3];

	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, storm, (void *)(i + 1));
	for (int i = 0; i < STORM_FORKS; i++) {
		if (fork() == 0) {
			storm((void *)(uintptr_t)(i + 9));
			_exit(0);
		}
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	while (wait(NULL) > 0)
		;
	return 0;
}

static volatile char *beaten;
static volatile int beating;
static volatile unsigned long beats;

static void *beat(void *argument)
{
	while (beating) {
		beaten[0] = 1;
		beats++;
	}
	return argument;
}

/* One thread maps a page anew, over and over, on which another one writes. */
static int play_fixed(void)
{
	pthread_t thread;

	beaten = map_pages(1);
	beating = 1;
	pthread_create(&thread, NULL, beat, NULL);
	for (int i = 0; i < FIXED; i++) {
		if (mmap((void *)(uintptr_t)beaten, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			return 1;
		for (unsigned long before = beats; beats < before + 3;)
			sched_yield();
	}
	beating = 0;
	pthread_join(thread, NULL);
	return 0;
}

/* Three ranges of its own, by a descriptor of itself. */
static int play_advise(void)
{
	char *at = (char *)(uintptr_t)map_pages(16);
	struct iovec range[ADVISED];
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	for (int i = 0; i < ADVISED; i++)
		range[i] = (struct iovec){ .iov_base = at + (size_t)(4 * i) * PAGE, .iov_len = PAGE };
	if (fd < 0)
		return 1;
	return syscall(SYS_process_madvise, fd, range, ADVISED, MADV_COLD, 0) == -1;
}

static int play_kill(void)
{
	play_touch();
	raise(SIGKILL);
	return 0;
}

/* Many short children at once, threads among them. */
static int play_family(void)
{
	for (int i = 0; i < 12; i++)
		if (fork() == 0)
			_exit(play_threads());
	while (wait(NULL) > 0)
		;
	return 0;
}

static volatile sig_atomic_t nr_signals;

static void count_signal(int sig)
{
	(void)sig;
	nr_signals++;
}

/* Ends with 7 half a second after the first signal that asks it to, with 8 if
 * more came, with 9 if none did for long. */
static int play_patient(void)
{
	static const int asking[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	struct sigaction count = { .sa_handler = count_signal };

	for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++)
		sigaction(asking[i], &count, NULL);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	for (int i = 0; i < 1000 && !nr_signals; i++)
		usleep(20000);
	for (int i = 0; i < 25; i++)
		usleep(20000);
	return !nr_signals ? 9 : nr_signals == 1 ? 7 : 8;
}

static volatile int churning;

/* Maps, cuts, moves and unmaps, and leaves nothing behind, until told. */
static void *churn(void *argument)
{
	for (size_t nr = 4 + (size_t)(uintptr_t)argument; churning; nr = nr % 24 + 4) {
		char *at = (char *)(uintptr_t)map_pages(nr), *to;

		at[0] = at[3 * PAGE] = 1;
		munmap(at, PAGE);
		to = mremap(at + PAGE, (nr - 1) * PAGE, (nr + 6) * PAGE, MREMAP_MAYMOVE);
		if (to == MAP_FAILED)
			exit(9);
		to[0] = 1;
		mprotect(to, PAGE, PROT_READ);
		munmap(to, (nr + 6) * PAGE);
		usleep(500);
	}
	return NULL;
}

static void fork_and_touch(void)
{
	if (fork() == 0) {
		volatile char *at = map_pages(FORK_TOUCHED);

		for (size_t i = 0; i < FORK_TOUCHED; i++)
			at[i * PAGE] = 1;
		_exit(3);
	}
	wait(NULL);
}

/* Obeys letters from standard input, with threads at work; answers each. */
static int play_obedient(void)
{
	volatile char *at = map_pages(TOUCHED);
	pthread_t thread[3];
	char order = 0;

	alarm(60);
	churning = 1;
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, churn, (void *)i);
	at[0] = 1;
	do {
		if (order == 't')
			for (size_t i = 1; i < TOUCHED; i++)
				at[i * PAGE] = 1;
		else if (order == 'f')
			fork_and_touch();
		else if (order == 'v')
			play_vfork();
		order = order ? order : 'r';
		if (write(1, &order, 1) != 1)
			return 9;
	} while (read(0, &order, 1) == 1 && order != 'q');
	churning = 0;
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	return 4;
}

/* A file of so many pages, without a name. */
static int make_file(size_t nr_pages, char name[], int flags)
{
	int fd = mkostemp(name, flags);
	char *pages = (char *)(uintptr_t)map_pages(nr_pages);

	if (fd < 0 || write(fd, pages, nr_pages * PAGE) != (ssize_t)(nr_pages * PAGE))
		exit(8);
	munmap(pages, nr_pages * PAGE);
	return fd;
}

/* The kernel writes, without an exception, to pages that are there: shared since a
 * fork, in the child while the parent has them too, in the parent when it is alone. */
static int play_direct(void)
{
	char name[] = "/tmp/quire-subject-XXXXXX";
	int fd = make_file(REACHED, name, O_DIRECT), status;
	volatile char *at = map_pages(REACHED);

	unlink(name);
	for (size_t i = 0; i < REACHED; i++)
		at[i * PAGE] = 1;
	if (fork() == 0)
		_exit(pread(fd, (void *)(uintptr_t)at, REACHED / 2 * PAGE, 0) <= 0);
	wait(&status);
	return status || pread(fd, (void *)(uintptr_t)at, REACHED * PAGE, 0) <= 0;
}

/* A child's memory is filled from outside. */
static int play_reach(void)
{
	volatile char *into = map_pages(REACHED), *from = map_pages(REACHED);
	struct iovec to = { (void *)(uintptr_t)into, REACHED * PAGE };
	struct iovec of = { (void *)(uintptr_t)from, REACHED * PAGE };
	int hold[2], status;
	pid_t child;

	if (pipe(hold) != 0)
		return 1;
	for (size_t i = 0; i < REACHED; i++)
		from[i * PAGE] = 1;
	child = fork();
	if (child == 0) {
		char byte;

		close(hold[1]);
		_exit(read(hold[0], &byte, 1) != 0);
	}
	status = process_vm_writev(child, &of, 1, &to, 1, 0) != REACHED * PAGE;
	close(hold[1]);
	wait(NULL);
	return status;
}

/* Pieces of one file side by side, of two openings in turns: each stays by itself. */
static int play_beside(void)
{
	char name[] = "/tmp/quire-subject-XXXXXX";
	int fd[2] = { make_file(PIECES, name, 0), open(name, O_RDWR) };
	char *at = (char *)(uintptr_t)map_pages(PIECES);

	unlink(name);
	for (int i = 0; i < (int)PIECES; i++)
		if (mmap(at + (size_t)i * PAGE, PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED, fd[i % 2], (off_t)i * PAGE) == MAP_FAILED)
			return 1;
	for (size_t i = 0; i < PIECES; i++)
		at[i * PAGE] = 1;
	return 0;
}

/* What is sealed against writing can be read, and is not made writable. */
static int play_seal(void)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
	char *at;

	if (fd < 0 || ftruncate(fd, 8 * PAGE) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0)
		return 1;
	at = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	return at == MAP_FAILED || mprotect(at, 8 * PAGE, PROT_READ | PROT_WRITE) == 0;
}

static void give_right(int number, siginfo_t *info, void *context)
{
	char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));

	(void)context;
	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0)
		_exit(number);
}

/* A garbage collector's way to see writes. */
static int play_barrier(void)
{
	struct sigaction action = { .sa_sigaction = give_right, .sa_flags = SA_SIGINFO };
	volatile char *at = map_pages(BARRIERS);

	sigaction(SIGSEGV, &action, NULL);
	for (size_t i = 0; i < BARRIERS; i++)
		at[i * PAGE] = 1;
	mprotect((void *)(uintptr_t)at, BARRIERS * PAGE, PROT_READ);
	for (size_t i = 0; i < BARRIERS; i++)
		at[i * PAGE] = 2;
	return 0;
}

static sigjmp_buf refused;

static void jump(int number)
{
	siglongjmp(refused, number);
}

/* A mapped file is cut by its name; what was there is gone. */
static int play_cut(void)
{
	char name[] = "/tmp/quire-subject-XXXXXX";
	int fd = make_file(REACHED, name, 0);
	volatile char *at = mmap(NULL, REACHED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	volatile int signals = 0;

	signal(SIGBUS, jump);
	for (size_t i = 0; i < REACHED; i++)
		at[i * PAGE] = 1;
	if (truncate(name, REACHED / 2 * PAGE) != 0)
		return 1;
	unlink(name);
	for (volatile size_t i = 0; i < REACHED; i += 2) {
		if (sigsetjmp(refused, 1))
			signals++;
		else
			at[i * PAGE] = 2;
	}
	return signals != REACHED / 4;
}

/* Each page of a segment faults alone, though its neighbours are in memory. */
static int play_segment(void)
{
	int id = shmget(IPC_PRIVATE, REACHED * PAGE, IPC_CREAT | 0600);
	volatile char *at = shmat(id, NULL, 0), *again = shmat(id, NULL, SHM_RDONLY);
	char sum = 0;

	shmctl(id, IPC_RMID, NULL);
	for (size_t i = 0; i < REACHED; i++)
		at[i * PAGE] = 1;
	for (size_t i = 0; i < REACHED; i++)
		sum = (char)(sum + again[i * PAGE]);
	return sum != REACHED;
}

static const struct {
	const char *name;
	int (*run)(void);
} parts[] = {
	{ "touch", play_touch }, { "read-first", play_read_first }, { "fork", play_fork }, { "forks", play_forks },
	{ "threads", play_threads },
	{ "exec-thread", play_exec_thread }, { "vfork", play_vfork }, { "shm", play_shm },
	{ "fork-storm", play_fork_storm }, { "fixed", play_fixed }, { "advise", play_advise },
	{ "peak", play_peak }, { "kernel", play_kernel }, { "kill", play_kill }, { "family", play_family },
	{ "patient", play_patient },
	{ "direct", play_direct }, { "reach", play_reach }, { "beside", play_beside },
	{ "seal", play_seal }, { "barrier", play_barrier }, { "cut", play_cut },
	{ "segment", play_segment },
	{ "obedient", play_obedient },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(argv[1], parts[i].name) == 0)
			return parts[i].run();
	return 99;
}
