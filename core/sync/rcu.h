/* SPDX-License-Identifier: BSD-2-Clause */
/* Read-copy-update, from the machine.  Sections nest and do not park. */
#ifndef SYNC_RCU_H
#define SYNC_RCU_H

#include <quire/machine.h>

static inline void rcu_read_lock(void)
{
	mach_rcu_read_lock();
}

static inline void rcu_read_unlock(void)
{
	mach_rcu_read_unlock();
}

#endif
