/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child of the host's fork() has a working machine, callbacks included, and
 * so has its parent.  (The thread sanitizer allows no threads in such a
 * child.)
 *
 * variants: threads_4k
 * presets: release debug asan count
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <quire/machine.h>

#include "attached.h"

static unsigned nr_run;

static void count(struct mach_rcu_head *head)
{
	(void)head;
	nr_run++;
}

static void both_sides_have_callbacks(void **state)
{
	static struct mach_rcu_head heads[3];

	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		int status;
		pid_t pid;

		nr_run = 0;
		mach_call_rcu(&heads[0], count);
		if (round % 2)
			mach_rcu_barrier();
		pid = fork();
		mach_call_rcu(&heads[1], count);
		mach_call_rcu(&heads[2], count);
		mach_rcu_barrier();
		if (pid == 0)
			_exit(nr_run == 3 ? 0 : 1);
		assert_int_equal(nr_run, 3);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_have_callbacks),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
