/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explore_run(): setup once, then run after run from the same memory.
 *
 * A run that fails is run again with a record, which gives its timeline and
 * its token; if the second run does not end as the first did, the program is
 * not deterministic, and that is what is reported.
 */
#include <ctype.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore/fiber.h"

#define DEFAULT_MAX_STEPS 100000u
#define DEFAULT_MEMORY_BYTES (64u << 20)
#define DEFAULT_QUARANTINE_BYTES (64u << 10)
#define DEFAULT_ROWS 40u
#define LONGEST_LIST 400u   /* a longer list of choices is given by its seed */
#define SIGNAL_STACK_BYTES 65536u
#define MINIMISE_RUNS 4000u
#define CHECK_TWICE 1024u   /* one run in so many is made twice */

static struct {
	const struct explore_config *config;
	struct explore_result *result;
	int setup_ret;
	uint64_t outcome;
	struct sigaction old_segv, old_bus;
	stack_t old_stack;
	char *signal_stack;
} now;

const char *explore_failure_name(enum explore_failure failure)
{
	static const char *const names[EXPLORE_NR_FAILURES] = {
#define EXPLORE_FAILURE_NAME(name, text) text,
		EXPLORE_FAILURE_LIST(EXPLORE_FAILURE_NAME)
#undef EXPLORE_FAILURE_NAME
	};

	return failure < EXPLORE_NR_FAILURES ? names[failure] : "?";
}

/* ---- faults of the host ------------------------------------------------------------ */

static void on_fault(int number, siginfo_t *info, void *unused)
{
	const char *addr = info->si_addr;

	(void)number;
	(void)unused;
	for (unsigned i = 0; i < XP_NR_FIBERS; i++) {
		const char *stack = xp.actors[i].stack;

		if (addr && (uint64_t)(stack - addr) < 65536)
			xp_fail(EXPLORE_WILD_ACCESS, "cpu%u overflows its stack", i);
	}
	if (!addr)
		xp_fail(EXPLORE_WILD_ACCESS, "cpu%u makes a plain access through NULL or "
			"through a pointer that no memory can have: it may have been read "
			"from freed memory", xp.current->index);
	xp_fail(EXPLORE_WILD_ACCESS, "cpu%u makes a plain access to %p, where there is "
		"no memory", xp.current->index, (const void *)addr);
}

static int catch_faults(void)
{
	struct sigaction action = { .sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_size = SIGNAL_STACK_BYTES };

	now.signal_stack = malloc(SIGNAL_STACK_BYTES);
	if (!now.signal_stack)
		return -QUIRE_ENOMEM;
	stack.ss_sp = now.signal_stack;
	sigaltstack(&stack, &now.old_stack);
	sigaction(SIGSEGV, &action, &now.old_segv);
	sigaction(SIGBUS, &action, &now.old_bus);
	return 0;
}

static void release_faults(void)
{
	sigaction(SIGSEGV, &now.old_segv, NULL);
	sigaction(SIGBUS, &now.old_bus, NULL);
	if (now.old_stack.ss_flags & SS_DISABLE)
		now.old_stack.ss_size = SIGNAL_STACK_BYTES;
	sigaltstack(&now.old_stack, NULL);
	free(now.signal_stack);
	now.signal_stack = NULL;
}

/* ---- the program ----------------------------------------------------------------------- */

void explore_fail(const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	xp_fail(EXPLORE_CHECK, "%s", text);
}

void explore_leaked(uint64_t nr, const char *what)
{
	xp_fail(EXPLORE_LEAK, "%llu %s leaked", (unsigned long long)nr, what);
}

void explore_name(const void *mem, size_t bytes, size_t each_bytes, const char *name)
{
	if (xp.exploring && xp.state.nr_names < XP_MAX_NAMES)
		xp.state.names[xp.state.nr_names++] =
			(struct xp_name){ mem, bytes, each_bytes, name };
}

static void setup_alone(void *context)
{
	now.setup_ret = now.config->program.setup(context);
	mach_rcu_barrier();
}

static void check_alone(void *context)
{
	const struct explore_program *program = &now.config->program;

	xp_memory_check_poison();
	if (program->outcome)
		now.outcome = program->outcome(context);
	if (program->check)
		program->check(context);
}

static void run_once(const struct xp_strategy *strategy, uint64_t seed)
{
	const struct explore_program *program = &now.config->program;

	xp_memory_restore();
	if (program->reset)
		program->reset(program->context);
	xp_sched_begin();
	xp.strategy = strategy;
	strategy->begin(seed);
	xp_sched_run(program->body, program->context);
	if (xp.failure.kind == EXPLORE_NONE)
		xp_sched_alone(check_alone, program->context);
	now.result->executions++;
	now.result->steps += xp.steps;
	if (xp.steps > now.result->max_steps_seen)
		now.result->max_steps_seen = xp.steps;
}

/* ---- outcomes ------------------------------------------------------------------------------ */

static void note_outcome(uint64_t outcome)
{
	struct explore_result *result = now.result;
	unsigned at = result->nr_outcomes;

	for (unsigned i = 0; i < result->nr_outcomes; i++)
		if (result->outcomes[i] == outcome)
			return;
	if (at == EXPLORE_MAX_OUTCOMES)
		return;
	for (; at > 0 && result->outcomes[at - 1] > outcome; at--)
		result->outcomes[at] = result->outcomes[at - 1];
	result->outcomes[at] = outcome;
	result->nr_outcomes++;
}

/* ---- a failing run ---------------------------------------------------------------------------- */

static void describe_run(struct xp_token *token)
{
	snprintf(token->name, sizeof(token->name), "%s", now.config->program.name);
	token->build = xp_build_id();
	token->fail_nth = xp.fail_nth;
	token->hash = xp.hash;
	token->steps = xp.steps;
	memcpy(token->checkpoints, xp.checkpoints, sizeof(token->checkpoints));
}

/* The recorded choices as a list of its own.  NULL: no memory. */
static struct xp_deviation *copy_choices(size_t *ret_nr)
{
	const struct xp_deviation *from = xp_recorded_deviations(ret_nr);
	struct xp_deviation *list = malloc((*ret_nr + 1) * sizeof(*list));

	if (list && *ret_nr)
		memcpy(list, from, *ret_nr * sizeof(*list));
	return list;
}

static bool fails_with(enum explore_failure kind, const struct xp_deviation *list, size_t nr)
{
	xp_replay_configure(list, nr, false);
	run_once(&xp_replay, 0);
	return xp.failure.kind == kind;
}

/*
 * Delta debugging (Zeller, Hildebrandt 2002) on the deviations: leaves out
 * ever smaller parts of the list while the run still fails in the same way.
 */
static void minimise(struct xp_deviation *list, size_t *nr, enum explore_failure kind)
{
	struct xp_deviation *fewer = malloc((*nr + 1) * sizeof(*fewer));
	size_t part = (*nr + 1) / 2;
	unsigned runs = 0;

	while (fewer && part > 0 && runs < MINIMISE_RUNS) {
		bool shrunk = false;

		for (size_t at = 0; at < *nr && runs < MINIMISE_RUNS; runs++) {
			size_t gone = at + part > *nr ? *nr - at : part;

			memcpy(fewer, list, at * sizeof(*list));
			memcpy(fewer + at, list + at + gone,
			       (*nr - at - gone) * sizeof(*list));
			if (!fails_with(kind, fewer, *nr - gone)) {
				at += part;
				continue;
			}
			*nr -= gone;
			memcpy(list, fewer, *nr * sizeof(*list));
			shrunk = true;
		}
		if (part == 1 && !shrunk)
			break;
		part = part > 1 ? (part + 1) / 2 : 1;
	}
	free(fewer);
}

static void record_run(const struct xp_strategy *strategy, uint64_t seed)
{
	xp_record_begin();
	run_once(strategy, seed);
	xp.recording = false;
}

static void finish_report(struct xp_token *token)
{
	struct explore_result *result = now.result;

	result->failure = xp.failure.kind;
	snprintf(result->diagnosis, sizeof(result->diagnosis), "%s", xp.failure.text);
	result->run_hash = xp.hash;
	describe_run(token);
	/* The end may have given back what the timeline names. */
	xp_memory_restore();
	result->token = xp_token_write(token);
	result->timeline = xp_timeline(now.config->timeline_rows ?
				       now.config->timeline_rows : DEFAULT_ROWS);
}

static void say_not_deterministic(enum explore_failure once, enum explore_failure then)
{
	now.result->failure = EXPLORE_DIVERGED;
	snprintf(now.result->diagnosis, sizeof(now.result->diagnosis),
		 "the program is not deterministic: the same choices ended once in %s and "
		 "then in %s; does it keep state outside the machine's memory?",
		 explore_failure_name(once), explore_failure_name(then));
}

/* The run just made, again: the same choices must do the same. */
static bool is_repeatable(const struct xp_strategy *strategy, uint64_t seed)
{
	uint64_t hash = xp.hash;

	run_once(strategy, seed);
	now.result->executions--;
	now.result->steps -= xp.steps;
	if (xp.hash == hash && xp.failure.kind == EXPLORE_NONE)
		return true;
	say_not_deterministic(EXPLORE_NONE, xp.failure.kind);
	return false;
}

/* The run just made failed: once more with a record, and maybe shorter. */
static void report_failure(const struct xp_strategy *strategy, struct xp_token *token)
{
	enum explore_failure kind = xp.failure.kind;
	uint64_t hash = xp.hash;

	now.result->failed_at_execution = now.result->executions;
	record_run(strategy, token->seed);
	if (xp.failure.kind != kind || xp.hash != hash) {
		say_not_deterministic(kind, xp.failure.kind);
		return;
	}
	if (!token->is_list) {
		token->list = copy_choices(&token->nr);
		token->is_list = token->list && token->nr <= LONGEST_LIST;
	}
	if (now.config->minimise && token->list && kind != EXPLORE_LIVELOCK) {
		minimise(token->list, &token->nr, kind);
		xp_replay_configure(token->list, token->nr, false);
		record_run(&xp_replay, 0);
		free(token->list);
		token->list = copy_choices(&token->nr);
		token->is_list = token->list != NULL;
	}
	finish_report(token);
}

/* ---- the ways to run ------------------------------------------------------------------------------ */

static void explore(void)
{
	const struct explore_config *config = now.config;
	const struct xp_strategy *strategy =
		config->strategy == EXPLORE_PCT ? &xp_pct : &xp_random_walk;
	struct xp_token token = { .strategy = config->strategy, .depth = config->depth };

	for (uint64_t i = 0; i < config->schedules; i++) {
		token.seed = xp_mix(config->seed + i * XP_HASH_FACTOR);
		/* The first run of PCT has yet to measure how long runs are. */
		token.expected_steps = now.result->max_steps_seen;
		if (config->strategy == EXPLORE_PCT)
			xp_pct_configure(config->depth, token.expected_steps);
		run_once(strategy, token.seed);
		if (xp_unlikely(xp.failure.kind != EXPLORE_NONE)) {
			report_failure(strategy, &token);
			break;
		}
		if (config->program.outcome)
			note_outcome(now.outcome);
		now.result->run_hash = xp.hash;
		now.result->allocations = xp.allocations;
		if (i % CHECK_TWICE == 0 && !is_repeatable(strategy, token.seed))
			break;
	}
	free(token.list);
}

static void say_where_it_diverged(const struct xp_token *token)
{
	struct explore_result *result = now.result;
	uint64_t from = 0;

	result->failure = EXPLORE_DIVERGED;
	for (unsigned i = 0; i < XP_NR_CHECKPOINTS; i++) {
		uint64_t step = UINT64_C(1) << i;

		if (step > token->steps && step > xp.steps)
			break;
		if (step > token->steps || step > xp.steps ||
		    token->checkpoints[i] != xp.checkpoints[i]) {
			snprintf(result->diagnosis, sizeof(result->diagnosis),
				 "the replay diverged between step %llu and step %llu "
				 "(it then ended in: %s)", (unsigned long long)from,
				 (unsigned long long)step, explore_failure_name(xp.failure.kind));
			return;
		}
		from = step;
	}
	snprintf(result->diagnosis, sizeof(result->diagnosis),
		 "the replay diverged after step %llu (it then ended in: %s)",
		 (unsigned long long)from, explore_failure_name(xp.failure.kind));
}

static int replay(void)
{
	const struct explore_config *config = now.config;
	struct explore_result *result = now.result;
	struct xp_token token, seen;
	const struct xp_strategy *strategy;
	int ret = xp_token_read(config->token, &token, result->diagnosis,
				sizeof(result->diagnosis));

	if (ret)
		return ret;
	if (strcmp(token.name, config->program.name) != 0 ||
	    (token.build != xp_build_id() && !config->force)) {
		snprintf(result->diagnosis, sizeof(result->diagnosis),
			 "the token is of the program %s in build %012llx; this is %s in "
			 "build %012llx", token.name, (unsigned long long)token.build,
			 config->program.name, (unsigned long long)xp_build_id());
		free(token.list);
		return -QUIRE_EINVAL;
	}
	xp.fail_nth = token.fail_nth;
	xp_pct_configure(token.depth, token.expected_steps);
	xp_replay_configure(token.list, token.nr, !config->force);
	strategy = token.is_list ? &xp_replay :
		   token.strategy == EXPLORE_PCT ? &xp_pct : &xp_random_walk;
	record_run(strategy, token.seed);
	seen = token;
	result->allocations = xp.allocations;
	if (xp.failure.kind != EXPLORE_NONE)
		result->failed_at_execution = 1;
	finish_report(&seen);
	if (!config->force && xp.failure.kind != EXPLORE_DIVERGED &&
	    (xp.hash != token.hash || xp.steps != token.steps))
		say_where_it_diverged(&token);
	free(token.list);
	return 0;
}

/* ---- explore_run --------------------------------------------------------------------------------------- */

static int bad_config(const char *what)
{
	snprintf(now.result->diagnosis, sizeof(now.result->diagnosis), "%s", what);
	return -QUIRE_EINVAL;
}

static int check_config(const struct explore_config *config)
{
	const struct explore_program *program = &config->program;

	if (!program->name || !*program->name || strlen(program->name) > 63)
		return bad_config("a program has a name of 1 to 63 characters");
	for (const char *c = program->name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '_')
			return bad_config("a program's name has letters, digits, - and _ only");
	if (program->nr_cpus < 1 || program->nr_cpus > EXPLORE_MAX_CPUS)
		return bad_config("a program has 1 to 16 CPUs");
	if (!program->setup || !program->body)
		return bad_config("a program has a setup and a body");
	if (config->strategy == EXPLORE_PCT && (config->depth < 1 || config->depth > 16))
		return bad_config("the depth of pct is 1 to 16");
	if (config->memory_bytes > (UINT64_C(1) << 40))
		return bad_config("a program has at most 1 TiB of memory");
	return 0;
}

static uint64_t clock_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

static int setup_and_run(const struct explore_config *config, struct explore_result *result)
{
	uint64_t start_ns;
	int ret;

	if (config->program.reset)
		config->program.reset(config->program.context);
	xp_sched_begin();
	xp_sched_alone(setup_alone, config->program.context);
	if (xp.failure.kind != EXPLORE_NONE) {
		result->failure = xp.failure.kind;
		snprintf(result->diagnosis, sizeof(result->diagnosis), "in setup: %.500s",
			 xp.failure.text);
		return 0;
	}
	if (now.setup_ret)
		return now.setup_ret;
	ret = xp_memory_save();
	if (ret)
		return ret;
	start_ns = clock_ns();
	if (config->token)
		ret = replay();
	else
		explore();
	result->cpu_ns = clock_ns() - start_ns;
	return ret;
}

int explore_run(const struct explore_config *config, struct explore_result *ret_result)
{
	struct xp_state solo = xp.state;
	int ret;

	memset(ret_result, 0, sizeof(*ret_result));
	now.config = config;
	now.result = ret_result;
	ret = check_config(config);
	if (ret)
		return ret;
	mach_rcu_barrier();
	xp_build_id();
	xp.nr_cpus = config->program.nr_cpus;
	xp.max_steps = config->max_steps ? config->max_steps : DEFAULT_MAX_STEPS;
	xp.fail_nth = config->fail_nth;
	xp.quarantine_bytes = config->quarantine_bytes ? config->quarantine_bytes :
							 DEFAULT_QUARANTINE_BYTES;
	ret = xp_memory_create(config->memory_bytes ? config->memory_bytes :
						      DEFAULT_MEMORY_BYTES);
	if (ret)
		return ret;
	ret = catch_faults();
	if (!ret) {
		xp.exploring = true;
		ret = setup_and_run(config, ret_result);
		xp.exploring = false;
		release_faults();
	}
	xp_record_fini();
	xp_memory_destroy();
	xp.nr_cpus = 0;
	xp.state = solo;
	xp.fail_nth = 0;
	xp_sched_begin();
	return ret;
}

void explore_result_fini(struct explore_result *result)
{
	free(result->token);
	free(result->timeline);
	result->token = NULL;
	result->timeline = NULL;
}
