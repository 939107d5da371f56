/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explore_run(): runs repeat to the last step, tokens replay them, and each
 * kind of failure is told from the others.
 * variants: explore_tiny explore_4k
 * presets: release debug asan
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <explore.h>
#include <quire/errno.h>
#include <quire/machine.h>

/* What the programs below work on; it lies in the machine's memory. */
struct shared {
	uint32_t x, y;
	struct mach_spin spin;
	struct mach_mutex mutex;
	struct mach_rw rw;
	struct mach_rcu_head head;
	uint64_t *object;
	void **wild;
};

static struct shared *shared;

/* Breaks rules on purpose: the sanitizers need not look. */
#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))

static int setup(void *context)
{
	(void)context;
	shared = mach_mem_alloc(sizeof(*shared), 64);
	if (!shared)
		return -QUIRE_ENOMEM;
	shared->object = mach_mem_alloc(64, 64);
	explore_name(shared, sizeof(*shared), 0, "shared");
	return shared->object ? 0 : -QUIRE_ENOMEM;
}

static struct explore_result run_with(struct explore_config config)
{
	struct explore_result result;

	if (!config.program.name)
		config.program.name = "program";
	if (!config.program.nr_cpus)
		config.program.nr_cpus = 2;
	if (!config.program.setup)
		config.program.setup = setup;
	if (!config.schedules)
		config.schedules = 2000;
	assert_int_equal(explore_run(&config, &result), 0);
	return result;
}

static void expect_failure(void (*body)(void *, unsigned), enum explore_failure failure,
			   const char *part)
{
	struct explore_result result =
		run_with((struct explore_config){ .program = { .body = body } });

	if (result.failure != failure || !strstr(result.diagnosis, part))
		fail_msg("found %s: %s", explore_failure_name(result.failure),
			 result.diagnosis);
	if (failure != EXPLORE_NONE) {
		assert_non_null(result.token);
		assert_non_null(result.timeline);
	}
	explore_result_fini(&result);
}

/* ---- runs repeat ---------------------------------------------------------------- */

static void racing_body(void *context, unsigned cpu)
{
	(void)context;
	for (int i = 0; i < 5; i++)
		mach_store(cpu ? &shared->x : &shared->y,
			   mach_load(cpu ? &shared->y : &shared->x, MACH_RELAXED) + 1,
			   MACH_RELAXED);
}

static void test_a_seed_gives_one_run(void **state)
{
	static const enum explore_strategy_kind kinds[] = { EXPLORE_RANDOM, EXPLORE_PCT };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct explore_config config = { .program = { .body = racing_body },
			.strategy = kinds[i], .depth = 3, .schedules = 50, .seed = 9 };
		struct explore_result a = run_with(config), b = run_with(config), c;

		config.seed = 10;
		c = run_with(config);
		assert_true(a.run_hash == b.run_hash);
		assert_true(a.steps == b.steps);
		assert_true(a.run_hash != c.run_hash);
	}
}

static uint64_t sum_outcome(void *context)
{
	(void)context;
	return shared->x * 100 + shared->y;
}

static void increment_body(void *context, unsigned cpu)
{
	uint32_t seen;

	(void)context;
	(void)cpu;
	seen = mach_load(&shared->x, MACH_RELAXED);
	mach_store(&shared->x, seen + 1, MACH_RELAXED);
}

static void test_every_outcome_is_met(void **state)
{
	struct explore_config config = { .program = { .body = increment_body,
		.outcome = sum_outcome, .nr_cpus = 3 } };
	struct explore_result result = run_with(config);

	(void)state;
	assert_int_equal(result.nr_outcomes, 3);
	assert_int_equal(result.outcomes[0], 100);
	assert_int_equal(result.outcomes[2], 300);
	assert_int_equal(result.executions, 2000);
}

static void lost_update_check(void *context)
{
	(void)context;
	if (shared->x != 3)
		explore_fail("the sum is %u", shared->x);
}

static struct explore_config lost_update(void)
{
	return (struct explore_config){ .program = { .body = increment_body,
		.check = lost_update_check, .nr_cpus = 3 } };
}

static void test_a_token_replays_the_run(void **state)
{
	struct explore_config config = lost_update();
	struct explore_result found, again;

	(void)state;
	for (int i = 0; i < 4; i++) {
		config.token = NULL;
		config.strategy = i & 1 ? EXPLORE_PCT : EXPLORE_RANDOM;
		config.depth = 3;
		config.minimise = i & 2;
		found = run_with(config);
		assert_int_equal(found.failure, EXPLORE_CHECK);
		config.token = found.token;
		again = run_with(config);
		assert_int_equal(again.failure, EXPLORE_CHECK);
		assert_true(again.run_hash == found.run_hash);
		assert_string_equal(again.diagnosis, found.diagnosis);
		assert_string_equal(again.token, found.token);
		assert_string_equal(again.timeline, found.timeline);
		explore_result_fini(&found);
		explore_result_fini(&again);
	}
}

/* Named things, a lane for each CPU, the values, and where it failed. */
static void test_the_timeline_tells_the_story(void **state)
{
	struct explore_config config = lost_update();
	struct explore_result found;
	size_t rows = 0;

	(void)state;
	config.minimise = true;
	config.program.nr_cpus = 2;
	config.timeline_rows = 6;
	found = run_with(config);
	assert_int_equal(found.failure, EXPLORE_CHECK);
	assert_non_null(strstr(found.timeline, "| cpu0"));
	assert_non_null(strstr(found.timeline, "| cpu1"));
	assert_non_null(strstr(found.timeline, "store shared 1->2"));
	assert_non_null(strstr(found.timeline, "*** fails here"));
	assert_non_null(strstr(found.timeline, "earlier rows"));
	for (const char *c = found.timeline; *c; c++)
		rows += *c == '\n';
	assert_int_equal(rows, 2 + 6);
	explore_result_fini(&found);
}

static void test_minimised_run_switches_little(void **state)
{
	struct explore_config config = lost_update();
	struct explore_result found;
	const char *list;
	size_t letters = 0;

	(void)state;
	config.minimise = true;
	found = run_with(config);
	list = strstr(found.token, "list-");
	assert_non_null(list);
	for (list += 5; *list != ':'; list++)
		letters += *list >= 'a' && *list <= 'z';
	/* One update is lost by one preemption, and the way back is free. */
	assert_true(letters <= 2);
	explore_result_fini(&found);
}

static void always_wrong(void *context)
{
	(void)context;
	explore_fail("whatever the order");
}

static void polite_spin_body(void *context, unsigned cpu);

/* Who relaxes lets the others go first without being told to. */
static void test_the_default_order_needs_no_list(void **state)
{
	struct explore_config config = { .program = { .body = polite_spin_body,
		.check = always_wrong, .nr_cpus = 3 }, .minimise = true };
	struct explore_result found = run_with(config);

	(void)state;
	assert_int_equal(found.failure, EXPLORE_CHECK);
	assert_non_null(strstr(found.token, ":list-:"));
	explore_result_fini(&found);
}

static void test_bad_tokens_are_refused(void **state)
{
	struct explore_config config = lost_update();
	struct explore_result found = run_with(config), result;
	char *token = strdup(found.token);

	(void)state;
	config.program.name = "program";
	config.program.setup = setup;
	config.token = token;
	for (size_t i = 0; token[i]; i++) {
		char was = token[i];

		token[i] = was == '1' ? '2' : '1';
		assert_int_equal(explore_run(&config, &result), -QUIRE_EINVAL);
		assert_true(strlen(result.diagnosis) > 0);
		token[i] = '\0';
		assert_int_equal(explore_run(&config, &result), -QUIRE_EINVAL);
		token[i] = was;
	}
	config.program.name = "another";
	assert_int_equal(explore_run(&config, &result), -QUIRE_EINVAL);
	assert_non_null(strstr(result.diagnosis, "of the program program"));
	free(token);
	explore_result_fini(&found);
}

static void other_body(void *context, unsigned cpu)
{
	increment_body(context, cpu);
	mach_load(&shared->y, MACH_RELAXED);
}

static void test_a_replay_of_something_else_says_so(void **state)
{
	struct explore_config config = lost_update();
	struct explore_result found = run_with(config), other;

	(void)state;
	config.token = found.token;
	config.program.body = other_body;
	other = run_with(config);
	assert_int_equal(other.failure, EXPLORE_DIVERGED);
	assert_non_null(strstr(other.diagnosis, "diverged"));
	explore_result_fini(&other);
	config.force = true;
	other = run_with(config);
	assert_int_not_equal(other.failure, EXPLORE_DIVERGED);
	explore_result_fini(&other);
	explore_result_fini(&found);
}

static uint32_t outside;

static void outside_body(void *context, unsigned cpu)
{
	(void)context;
	(void)cpu;
	mach_store(&shared->x, outside++, MACH_RELAXED);
}

static void test_state_outside_is_noticed(void **state)
{
	struct explore_result result =
		run_with((struct explore_config){ .program = { .body = outside_body } });

	(void)state;
	assert_int_equal(result.failure, EXPLORE_DIVERGED);
	assert_non_null(strstr(result.diagnosis, "not deterministic"));
	explore_result_fini(&result);
}

/* ---- failures ------------------------------------------------------------------------ */

static void nothing_body(void *context, unsigned cpu)
{
	(void)context;
	(void)cpu;
}

static void free_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0)
		mach_note_free(shared->object, 64);
	else
		mach_load(shared->object + 1, MACH_RELAXED);
}

static void free_twice_body(void *context, unsigned cpu)
{
	(void)context;
	mach_load(&shared->x, MACH_RELAXED);
	(void)cpu;
	mach_note_free(shared->object, 64);
}

static void plain_write_body(void *context, unsigned cpu)
{
	volatile uint64_t *object = shared->object;

	(void)context;
	mach_load(&shared->x, MACH_RELAXED);
	if (cpu == 0)
		mach_note_free(shared->object, 64);
	else
		object[3] = 1;
}

UNCHECKED static void wild_body(void *context, unsigned cpu)
{
	void **volatile *wild = &shared->wild;

	(void)context;
	if (cpu == 0)
		**wild = NULL;
}

UNCHECKED static void poisoned_pointer_body(void *context, unsigned cpu)
{
	uint64_t **volatile object = (uint64_t **)(void *)shared->object;

	(void)context;
	if (cpu == 0) {
		mach_note_free(shared->object, 64);
		**object = 1;
	}
}

static void test_use_after_free(void **state)
{
	(void)state;
	expect_failure(nothing_body, EXPLORE_NONE, "");
	expect_failure(free_body, EXPLORE_USE_AFTER_FREE, "freed by cpu0 at step");
	expect_failure(free_twice_body, EXPLORE_DOUBLE_FREE, "freed by cpu");
	expect_failure(plain_write_body, EXPLORE_USE_AFTER_FREE, "a plain store");
	expect_failure(wild_body, EXPLORE_WILD_ACCESS, "cpu0");
	expect_failure(poisoned_pointer_body, EXPLORE_WILD_ACCESS, "freed memory");
}

static void relock_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu)
		return;
	mach_mutex_lock(&shared->mutex);
	mach_mutex_lock(&shared->mutex);
}

static void unlock_others_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0)
		mach_spin_lock(&shared->spin);
	mach_spin_unlock(&shared->spin);
}

static void keep_lock_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0)
		mach_rw_read_lock(&shared->rw);
}

static void park_with_spin_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0) {
		mach_spin_lock(&shared->spin);
		mach_wait(&shared->x, 1);
		mach_spin_unlock(&shared->spin);
	}
}

static void free_locked_body(void *context, unsigned cpu)
{
	struct mach_spin *lock = (struct mach_spin *)(void *)shared->object;

	(void)context;
	if (cpu == 0) {
		mach_spin_lock(lock);
		mach_spin_unlock(lock);
	} else {
		mach_load(&shared->x, MACH_RELAXED);
		mach_note_free(shared->object, 64);
	}
}

static void test_lock_misuse(void **state)
{
	(void)state;
	expect_failure(relock_body, EXPLORE_LOCK_MISUSE, "once more");
	expect_failure(unlock_others_body, EXPLORE_LOCK_MISUSE, "cpu1 unlocks shared");
	expect_failure(keep_lock_body, EXPLORE_LOCK_MISUSE, "returned holding");
	expect_failure(park_with_spin_body, EXPLORE_LOCK_MISUSE, "spin lock");
}

static void test_freeing_a_held_lock(void **state)
{
	struct explore_result result;
	bool seen = false;

	(void)state;
	/* Whether it is locked or used when it is freed depends on the run. */
	for (uint64_t seed = 0; seed < 200 && !seen; seed++) {
		result = run_with((struct explore_config){
			.program = { .body = free_locked_body }, .seed = seed });
		seen = result.failure == EXPLORE_LOCK_MISUSE;
		assert_int_not_equal(result.failure, EXPLORE_NONE);
		explore_result_fini(&result);
	}
	assert_true(seen);
}

/* A reader that comes again behind a queued writer. */
static void read_twice_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0) {
		mach_rw_write_lock(&shared->rw);
		mach_rw_write_unlock(&shared->rw);
		return;
	}
	mach_rw_read_lock(&shared->rw);
	if (cpu == 1) {
		mach_wait(&shared->x, 0);
		mach_rw_read_unlock(&shared->rw);
		return;
	}
	mach_rw_read_unlock(&shared->rw);
	mach_rw_read_lock(&shared->rw);
	mach_rw_read_unlock(&shared->rw);
	mach_store(&shared->x, 1u, MACH_RELEASE);
	mach_wake(&shared->x, 1);
}

static void test_a_queued_writer_keeps_readers_out(void **state)
{
	struct explore_result result = run_with((struct explore_config){
		.program = { .body = read_twice_body, .nr_cpus = 3 } });

	(void)state;
	assert_int_equal(result.failure, EXPLORE_DEADLOCK);
	assert_non_null(strstr(result.diagnosis, "write lock"));
	explore_result_fini(&result);
}

static void spin_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0)
		while (mach_load(&shared->x, MACH_RELAXED) == 0)
			;
}

static void polite_spin_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 1) {
		mach_store(&shared->x, 1u, MACH_RELEASE);
		return;
	}
	while (mach_load(&shared->x, MACH_ACQUIRE) == 0)
		mach_relax();
}

static void test_livelock_and_relax(void **state)
{
	struct explore_config config = { .program = { .body = polite_spin_body, .nr_cpus = 4 },
		.strategy = EXPLORE_PCT, .depth = 4 };
	struct explore_result result;

	(void)state;
	expect_failure(spin_body, EXPLORE_LIVELOCK, "no end in sight");
	expect_failure(polite_spin_body, EXPLORE_NONE, "");
	result = run_with(config);
	assert_int_equal(result.failure, EXPLORE_NONE);
}

static void section_kept_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0)
		mach_rcu_read_lock();
}

static void sync_inside_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0) {
		mach_rcu_read_lock();
		mach_synchronize_rcu();
	}
}

static void object_free(struct mach_rcu_head *head)
{
	(void)head;
	mach_store(&shared->y, 1u, MACH_RELAXED);
}

static void queue_twice_body(void *context, unsigned cpu)
{
	(void)context;
	(void)cpu;
	mach_call_rcu(&shared->head, object_free);
}

/* A section that began after the callback was queued is not waited for. */
static void later_section_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0) {
		mach_call_rcu(&shared->head, object_free);
		mach_store(&shared->x, 1u, MACH_RELEASE);
		return;
	}
	while (!mach_load(&shared->x, MACH_ACQUIRE))
		mach_relax();
	mach_rcu_read_lock();
	while (!mach_load(&shared->y, MACH_ACQUIRE))
		mach_relax();
	mach_rcu_read_unlock();
}

static void rcu_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 0) {
		mach_store(&shared->x, 1u, MACH_RELEASE);
		mach_call_rcu(&shared->head, object_free);
		mach_rcu_barrier();
		if (!mach_load(&shared->y, MACH_RELAXED))
			explore_fail("the barrier did not wait");
		return;
	}
	mach_rcu_read_lock();
	if (mach_load(&shared->x, MACH_ACQUIRE) == 0) {
		if (mach_load(&shared->y, MACH_RELAXED))
			explore_fail("the callback ran inside a section");
	}
	mach_rcu_read_unlock();
	mach_synchronize_rcu();
}

static void test_rcu(void **state)
{
	(void)state;
	expect_failure(section_kept_body, EXPLORE_RCU_MISUSE, "inside an RCU section");
	expect_failure(sync_inside_body, EXPLORE_RCU_MISUSE, "mach_synchronize_rcu");
	expect_failure(queue_twice_body, EXPLORE_RCU_MISUSE, "is queued");
	expect_failure(rcu_body, EXPLORE_NONE, "");
	expect_failure(later_section_body, EXPLORE_NONE, "");
}

static void stop_body(void *context, unsigned cpu)
{
	(void)context;
	if (cpu == 1 && mach_load(&shared->x, MACH_RELAXED) == 0) {
		mach_log("x is %d", 0);
		mach_stop("here.c", 12, "an invariant");
	}
}

UNCHECKED static void overflow_body(void *context, unsigned cpu)
{
	volatile char frame[4096];

	frame[0] = (char)cpu;
	frame[4095] = (char)cpu;
	if (cpu == 0)
		overflow_body(context, (unsigned)frame[4095]);
	frame[1] = 0;
}

static void test_stop_and_overflow(void **state)
{
	(void)state;
	expect_failure(stop_body, EXPLORE_STOP, "here.c:12: an invariant; x is 0");
	expect_failure(overflow_body, EXPLORE_WILD_ACCESS, "cpu0 overflows its stack");
}

/* ---- failing allocations ------------------------------------------------------------- */

static void allocating_body(void *context, unsigned cpu)
{
	(void)context;
	for (unsigned i = 0; i < 2; i++)
		if (mach_should_fail())
			mach_store(&shared->x, 10 * cpu + i + 1, MACH_RELAXED);
}

static void test_each_allocation_fails_in_turn(void **state)
{
	uint64_t nth = 0;
	struct explore_result result;

	(void)state;
	do {
		struct explore_config config = { .program = { .body = allocating_body,
			.outcome = sum_outcome }, .fail_nth = ++nth };

		result = run_with(config);
		assert_int_equal(result.allocations, 4);
		if (nth > 4)
			assert_int_equal(result.outcomes[0], 0);
		else
			assert_int_not_equal(result.outcomes[0], 0);
		/* The scheduler decides whose allocation the nth is. */
		assert_true(nth > 4 || result.nr_outcomes >= 1);
	} while (nth <= result.allocations);
	assert_int_equal(nth, 5);
}

/* ---- configurations ---------------------------------------------------------------------- */

static int failing_setup(void *context)
{
	(void)context;
	return -QUIRE_ENOSPC;
}

static void test_bad_configurations(void **state)
{
	struct explore_config config = { .program = { .name = "p", .nr_cpus = 2,
		.setup = setup, .body = nothing_body }, .schedules = 1 };
	struct explore_result result;

	(void)state;
	config.program.name = "a:b";
	assert_int_equal(explore_run(&config, &result), -QUIRE_EINVAL);
	config.program.name = "p";
	config.program.nr_cpus = EXPLORE_MAX_CPUS + 1;
	assert_int_equal(explore_run(&config, &result), -QUIRE_EINVAL);
	config.program.nr_cpus = EXPLORE_MAX_CPUS;
	assert_int_equal(explore_run(&config, &result), 0);
	config.strategy = EXPLORE_PCT;
	assert_int_equal(explore_run(&config, &result), -QUIRE_EINVAL);
	config.strategy = EXPLORE_RANDOM;
	config.program.setup = failing_setup;
	assert_int_equal(explore_run(&config, &result), -QUIRE_ENOSPC);
	config.program.setup = setup;
	config.memory_bytes = 1;
	assert_int_equal(explore_run(&config, &result), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_seed_gives_one_run),
		cmocka_unit_test(test_every_outcome_is_met),
		cmocka_unit_test(test_a_token_replays_the_run),
		cmocka_unit_test(test_the_timeline_tells_the_story),
		cmocka_unit_test(test_minimised_run_switches_little),
		cmocka_unit_test(test_the_default_order_needs_no_list),
		cmocka_unit_test(test_bad_tokens_are_refused),
		cmocka_unit_test(test_a_replay_of_something_else_says_so),
		cmocka_unit_test(test_state_outside_is_noticed),
		cmocka_unit_test(test_use_after_free),
		cmocka_unit_test(test_lock_misuse),
		cmocka_unit_test(test_freeing_a_held_lock),
		cmocka_unit_test(test_a_queued_writer_keeps_readers_out),
		cmocka_unit_test(test_livelock_and_relax),
		cmocka_unit_test(test_rcu),
		cmocka_unit_test(test_stop_and_overflow),
		cmocka_unit_test(test_each_allocation_fails_in_turn),
		cmocka_unit_test(test_bad_configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
