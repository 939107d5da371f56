/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUs of the threads machine: which thread has which number.
 *
 * A CPU is an attached thread; it has the lowest number that was free.  The
 * highest number belongs to the thread that runs RCU callbacks (rcu.c), so
 * that a program's own threads are numbered from 0 without gaps.
 */
#define _GNU_SOURCE
#include <quire/machine.h>
#include <quire/testing.h>

#include "threads/threads.h"

THREADS_TLS struct threads_self threads_self = { .cpu = MACH_MAX_CPUS, .random = 1 };
THREADS_TLS struct quire_cost threads_own_cost;

/* Bit n: CPU n is taken. */
static uint64_t taken_cpus = UINT64_C(1) << THREADS_RCU_CPU;

/* The stream of mach_random() depends on the CPU's number alone. */
static void cpu_enter(unsigned cpu)
{
	threads_self.cpu = cpu;
	threads_self.random = (cpu + 1) * UINT64_C(0x9e3779b97f4a7c15);
	threads_rcu_register();
}

int threads_attach(void)
{
	uint64_t taken = mach_load(&taken_cpus, MACH_RELAXED);
	unsigned cpu;

	do {
		if (taken == UINT64_MAX)
			return -QUIRE_EAGAIN;
		cpu = (unsigned)__builtin_ctzll(~taken);
	} while (!mach_cas(&taken_cpus, &taken, taken | UINT64_C(1) << cpu, MACH_ACQUIRE));
	cpu_enter(cpu);
	return 0;
}

void threads_attach_rcu(void)
{
	cpu_enter(THREADS_RCU_CPU);
}

/* RELEASE pairs with the ACQUIRE of whoever gets this number next: what was
 * per-CPU here is ordered before its use there. */
void threads_detach(void)
{
	unsigned cpu = threads_self.cpu;

	threads_rcu_unregister();
	threads_self.cpu = MACH_MAX_CPUS;
	mach_fetch_and(&taken_cpus, ~(UINT64_C(1) << cpu), MACH_RELEASE);
}

void quire_fail_nth(uint64_t nth)
{
	threads_self.fail_countdown = nth;
	threads_self.fail_start = nth;
}

uint64_t quire_fail_seen(void)
{
	return threads_self.fail_start - threads_self.fail_countdown;
}
