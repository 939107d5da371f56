/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One program on both sides.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "trial.h"

#define TRIAL_SECONDS 25
#define MAX_DISTURBED_RUNS 8

int trial_init(struct trial *trial, const struct diff_options *options)
{
	memset(trial, 0, sizeof(*trial));
	trial->options = options;
	if (native_create(options->executor, &trial->left))
		return -1;
	if (options->against_native ? native_create(options->executor, &trial->right)
				    : core_attach()) {
		native_destroy(trial->left);
		return -1;
	}
	return 0;
}

void trial_fini(struct trial *trial)
{
	native_destroy(trial->left);
	if (trial->right)
		native_destroy(trial->right);
	outcome_fini(&trial->left_outcome);
	outcome_fini(&trial->right_outcome);
}

static bool is_collapse(const struct diff_op *op)
{
	return op->kind == DIFF_madvise && op->flags == QUIRE_MADV_COLLAPSE;
}

static bool maps_disk_file(const struct diff_op *op)
{
	return op->file >= 0 && op->file < DIFF_NR_FILES &&
	       diff_files[op->file].kind == QUIRE_FILE_HOST;
}

/*
 * What this host cannot do as the core does is left out: collapse, where it cannot be
 * told to give huge pages by advice only and so gives none; MAP_SYNC of a file system
 * that does not know it; and a pool of huge pages that has some.
 */
static const struct diff_program *adapt(const struct diff_layout *layout,
					const struct diff_program *program)
{
	static struct diff_program adapted;

	if (layout->huge.known && layout->knows_sync && layout->pool_is_empty)
		return program;
	adapted = *program;
	for (uint32_t i = 0; i < adapted.nr_ops; i++) {
		struct diff_op *op = &adapted.ops[i];

		if (!layout->huge.known && is_collapse(op))
			op->kind = DIFF_nop;
		if (!layout->knows_sync && op->kind == DIFF_mmap && maps_disk_file(op))
			op->flags &= ~(uint32_t)QUIRE_MAP_SYNC;
		if (!layout->pool_is_empty && op->kind == DIFF_mmap)
			op->flags &= ~(uint32_t)QUIRE_MAP_HUGETLB;
	}
	return &adapted;
}

static void run_both(struct trial *trial, const struct diff_program *program)
{
	native_run(trial->left, program, &trial->left_outcome);
	if (trial->right)
		native_run(trial->right, program, &trial->right_outcome);
	else
		core_run(native_layout(trial->left), program, &trial->right_outcome);
}

/*
 * Did the host do something of its own?  It tells when it had no huge page to
 * give or made one.  A page of the executor itself that it took away for a while
 * shows as one fault more, and not again.
 */
static bool is_disturbed(const struct trial *trial, const struct diff_difference *difference,
			 int nr_before)
{
	return trial->left_outcome.disturbed || trial->right_outcome.disturbed ||
	       (difference->what == DIFF_IN_FAULTS && nr_before == 0);
}

void trial_run(struct trial *trial, const struct diff_program *program,
	       struct diff_difference *ret_difference)
{
	const struct diff_program *runs = adapt(native_layout(trial->left), program);

	for (int i = 0; i < MAX_DISTURBED_RUNS; i++) {
		run_both(trial, runs);
		compare_outcomes(runs, &trial->left_outcome, &trial->right_outcome, ret_difference);
		if (!is_disturbed(trial, ret_difference, i))
			return;
	}
	trial->nr_disturbed++;
	memset(ret_difference, 0, sizeof(*ret_difference));
}

const char *trial_right_name(const struct diff_options *options)
{
	return options->against_native ? "host again" : "core";
}

static _Noreturn void child_run(const struct diff_options *options,
				const struct diff_program *program, FILE *to,
				struct diff_difference *ret_difference)
{
	static struct trial trial;
	const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (!to && null >= 0)
		dup2(null, STDERR_FILENO);
	if (trial_init(&trial, options))
		_exit(2);
	trial_run(&trial, program, ret_difference);
	if (to) {
		print_difference(to, program, &trial.left_outcome, "host", &trial.right_outcome,
				 trial_right_name(options), ret_difference);
		fflush(to);
	}
	native_destroy(trial.left);
	if (trial.right)
		native_destroy(trial.right);
	_exit(0);
}

/* The child's status, or -1 when it had to be ended. */
static int wait_for(pid_t pid)
{
	const struct timespec slice = { .tv_nsec = 1000 * 1000 };
	int status;

	for (int i = 0; i < TRIAL_SECONDS * 1000; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		nanosleep(&slice, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

void trial_run_apart(const struct diff_options *options, const struct diff_program *program,
		     FILE *to, struct diff_difference *ret_difference)
{
	struct diff_difference *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	memset(ret_difference, 0, sizeof(*ret_difference));
	ret_difference->what = DIFF_IN_FAILURE;
	if (shared == MAP_FAILED) {
		snprintf(ret_difference->text, sizeof(ret_difference->text), "no memory to run it");
		return;
	}
	if (to)
		fflush(to);
	pid = fork();
	if (pid == 0)
		child_run(options, program, to, shared);
	status = pid < 0 ? 1 << 8 : wait_for(pid);
	if (status == 0)
		*ret_difference = *shared;
	else if (status < 0)
		snprintf(ret_difference->text, sizeof(ret_difference->text), "it hangs");
	else if (WIFSIGNALED(status))
		snprintf(ret_difference->text, sizeof(ret_difference->text), "it dies of signal %d",
			 WTERMSIG(status));
	else
		snprintf(ret_difference->text, sizeof(ret_difference->text),
			 "it ends with status %d", WEXITSTATUS(status));
	munmap(shared, sizeof(*shared));
}
