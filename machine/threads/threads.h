/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the threads machine share among themselves. */
#ifndef THREADS_THREADS_H
#define THREADS_THREADS_H

#include <quire/errno.h>
#include <quire/machine.h>

/* The CPU of the thread that runs RCU callbacks. */
#define THREADS_RCU_CPU (MACH_MAX_CPUS - 1)

/* Makes the caller that CPU; it never detaches. */
void threads_attach_rcu(void);

/* The calling thread may / will no more enter RCU sections. */
void threads_rcu_register(void);
void threads_rcu_unregister(void);

#endif
