/* SPDX-License-Identifier: BSD-2-Clause */
/* Group fixture of tests that need a CPU of the machine and nothing else. */
#ifndef ATTACHED_H
#define ATTACHED_H

#include <quire/machine.h>

static inline int attach(void **state)
{
	(void)state;
	return mach_attach();
}

static inline int detach(void **state)
{
	(void)state;
	mach_detach();
	return 0;
}

#endif
