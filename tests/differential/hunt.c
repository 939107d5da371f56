/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many programs, in several jobs.  Each job is a process with both sides of its
 * own; they take programs from a common counter and put what they find on a
 * common board.  A job that dies or stands still has found something too; it
 * is replaced and the work goes on.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "trial.h"

#define MAX_JOBS 64
#define MAX_FOUND 64
#define STILL_SECONDS 25

/* Shared by all jobs; every number is atomic. */
struct board {
	uint64_t next, nr_run, nr_disturbed;
	uint32_t nr_found;
	struct diff_found found[MAX_FOUND];
	struct {
		uint64_t seed, nr_run;
		pid_t pid;
	} jobs[MAX_JOBS];
};

static void post(struct board *board, const struct diff_found *found)
{
	const uint32_t at = __atomic_fetch_add(&board->nr_found, 1, __ATOMIC_RELAXED);

	if (at < MAX_FOUND)
		board->found[at] = *found;
}

static bool enough(const struct board *board, const struct diff_options *options)
{
	return __atomic_load_n(&board->nr_found, __ATOMIC_RELAXED) >= options->most_differences;
}

static _Noreturn void run_job(const struct diff_options *options, struct board *board, uint32_t job)
{
	static struct diff_program program;
	static struct trial trial;
	struct diff_found found;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (trial_init(&trial, options))
		_exit(2);
	while (!enough(board, options)) {
		const uint64_t index = __atomic_fetch_add(&board->next, 1, __ATOMIC_RELAXED);

		if (index >= options->nr_programs)
			break;
		found.seed = options->seed + index;
		__atomic_store_n(&board->jobs[job].seed, found.seed, __ATOMIC_RELAXED);
		generate_program(found.seed, options->nr_ops, &program);
		trial_run(&trial, &program, &found.difference);
		__atomic_fetch_add(&board->nr_run, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&board->jobs[job].nr_run, 1, __ATOMIC_RELAXED);
		if (found.difference.what == DIFF_SAME)
			continue;
		found.kind = program.ops[found.difference.op].kind;
		post(board, &found);
		/* Whatever failed, a new job starts clean. */
		if (found.difference.what == DIFF_IN_FAILURE)
			_exit(1);
	}
	__atomic_fetch_add(&board->nr_disturbed, trial.nr_disturbed, __ATOMIC_RELAXED);
	trial_fini(&trial);
	_exit(0);
}

static int start_job(const struct diff_options *options, struct board *board, uint32_t job)
{
	const pid_t pid = fork();

	if (pid == 0)
		run_job(options, board, job);
	board->jobs[job].pid = pid;
	return pid < 0 ? -1 : 0;
}

static void post_death(struct board *board, uint32_t job, const char *how, int nr)
{
	struct diff_found found = { .seed = board->jobs[job].seed };

	found.difference.what = DIFF_IN_FAILURE;
	snprintf(found.difference.text, sizeof(found.difference.text), how, nr);
	post(board, &found);
}

static void show_progress(const struct board *board, const struct diff_options *options, bool last)
{
	fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " programs, %u differences%s",
		isatty(STDERR_FILENO) ? "\r" : "", board->nr_run, options->nr_programs,
		board->nr_found, last || !isatty(STDERR_FILENO) ? "\n" : "");
}

/* One job that ended: 1 when it is done, 0 when it goes on, -1 when it cannot. */
static int after_end(const struct diff_options *options, struct board *board, uint32_t job,
		     int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return -1;
	if (WIFSIGNALED(status))
		post_death(board, job, "it dies of signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 1)
		post_death(board, job, "it ends with status %d", WEXITSTATUS(status));
	if (enough(board, options))
		return 1;
	return start_job(options, board, job);
}

/* Ends a job that did nothing for long; the usual end of a job follows. */
static void watch(struct board *board, uint32_t job, uint64_t *seen, time_t *since)
{
	const time_t now = time(NULL);

	if (board->jobs[job].nr_run != *seen || !*since) {
		*seen = board->jobs[job].nr_run;
		*since = now;
	} else if (now - *since > STILL_SECONDS) {
		kill(board->jobs[job].pid, SIGKILL);
		*since = now;
	}
}

static int run_jobs(const struct diff_options *options, struct board *board)
{
	const struct timespec slice = { .tv_nsec = 20 * 1000 * 1000 };
	const uint32_t nr_jobs = options->nr_jobs < MAX_JOBS ? options->nr_jobs : MAX_JOBS;
	uint64_t seen[MAX_JOBS] = { 0 };
	time_t since[MAX_JOBS] = { 0 }, shown = time(NULL);
	bool done[MAX_JOBS] = { false };
	uint32_t nr_done = 0;
	int status, err = 0;

	for (uint32_t i = 0; i < nr_jobs && !err; i++)
		err = start_job(options, board, i);
	while (!err && nr_done < nr_jobs) {
		for (uint32_t i = 0; i < nr_jobs && !err; i++) {
			if (done[i])
				continue;
			watch(board, i, &seen[i], &since[i]);
			if (waitpid(board->jobs[i].pid, &status, WNOHANG) != board->jobs[i].pid)
				continue;
			err = after_end(options, board, i, status);
			done[i] = err == 1;
			nr_done += done[i];
			err = err < 0 ? err : 0;
		}
		if (time(NULL) - shown >= (isatty(STDERR_FILENO) ? 1 : 10)) {
			shown = time(NULL);
			show_progress(board, options, false);
		}
		nanosleep(&slice, NULL);
	}
	for (uint32_t i = 0; i < nr_jobs && err; i++)
		if (!done[i] && board->jobs[i].pid > 0)
			kill(board->jobs[i].pid, SIGKILL);
	return err;
}

int hunt(const struct diff_options *options, struct diff_found *found, int room,
	 uint64_t *ret_nr_run)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int nr = 0;

	if (board == MAP_FAILED || run_jobs(options, board))
		return -1;
	show_progress(board, options, true);
	if (board->nr_disturbed)
		printf("%" PRIu64 " programs could not be compared: the host is short of huge pages\n",
		       board->nr_disturbed);
	while (nr < room && nr < MAX_FOUND && (uint32_t)nr < board->nr_found) {
		found[nr] = board->found[nr];
		nr++;
	}
	*ret_nr_run = board->nr_run;
	munmap(board, sizeof(*board));
	return nr;
}
