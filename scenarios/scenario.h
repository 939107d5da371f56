/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scenario: a small program against the machine and the core, written once
 * and run on every machine.  On threads its bodies are real threads, many
 * times over; on explore they are fibers under a scheduler that tries many
 * orders and shows the one that failed.
 *
 * All that a scenario changes lies in its state, which the runner allocates,
 * zeroed, or in memory it takes from the machine in setup; never in static
 * variables.  A body's number is not its CPU's: mach_cpu() says that.
 */
#ifndef SCENARIOS_SCENARIO_H
#define SCENARIOS_SCENARIO_H

#include <stddef.h>
#include <stdint.h>

#include <quire/machine.h>

/* CPUs that an instance needs: the bodies' and those of the machine. */
#define SCENARIO_INSTANCE_CPUS(nr_bodies) ((nr_bodies) + 2u)

struct scenario {
	const char *name;    /* letters, digits, '-' */
	const char *shows;   /* one line */
	const char *finds;   /* NULL, or the planted bug: a name of explore.h's list */
	unsigned nr_bodies;
	/* What it takes to find something here, if more than usual: orderings of steps
	 * in a schedule by pct, and how many times as many schedules.  0: the usual. */
	unsigned depth, effort;
	bool fail_each;      /* run with each allocation of the bodies failing in turn */
	/* Its bodies race for bytes of the program's own memory, as programs may:
	 * nothing the thread sanitizer should be shown. */
	bool racy_bytes;
	size_t state_bytes;
	/* Alone, before the bodies.  0 or a negative errno. */
	int (*setup)(void *state);
	void (*body)(void *state, unsigned body);
	/* Alone, when all bodies have returned.  What kind of end it was; NULL:
	 * there is only one. */
	uint64_t (*outcome)(void *state);
	/* The last: checks what is left, gives back what setup took.  May be NULL. */
	void (*finish)(void *state);
};

/* The scenario went wrong; does not return. */
_Noreturn void scenario_fail(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* `nr` of `what` were left over when everything was given back. */
void scenario_expect_no_leak(uint64_t nr, const char *what);
/* What a timeline calls this memory, and its elements of `each_bytes` if that is
 * not 0; in setup.  The first name given wins.  `name` is kept. */
void scenario_name(const void *mem, size_t bytes, size_t each_bytes, const char *name);

#define scenario_expect(cond)                                            \
	do {                                                             \
		if (!(cond))                                             \
			scenario_fail("%s:%d: %s", __FILE__, __LINE__, #cond); \
	} while (0)

/* Names a field of the state `s` by its own name. */
#define scenario_name_field(s, field) \
	scenario_name(&(s)->field, sizeof((s)->field), 0, #field)

/* A scenario by what each has; others of its fields by their names, at the end. */
#define SCENARIO(id, text, what, bodies, state_type, setup_fn, body_fn, finish_fn, ...) \
	const struct scenario scenario_##id = {  \
		.name = text,                    \
		.shows = what,                   \
		.nr_bodies = bodies,             \
		.state_bytes = sizeof(state_type), \
		.setup = setup_fn,               \
		.body = body_fn,                 \
		.finish = finish_fn,             \
		__VA_ARGS__                      \
	}

/* ---- all of them: scenarios/list.c -------------------------------------------- */

extern const struct scenario *const scenario_list[]; /* ends in NULL */
const struct scenario *scenario_find(const char *name);

#endif
