/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two kinds of check.  `ensure` guards an invariant whose breach would corrupt
 * memory: always on.  `check` guards one that tests should catch: on in debug
 * builds (QUIRE_DEBUG), gone in release builds.  Neither is for a user's wrong
 * argument, which is an errno.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <quire/machine.h>

#include "base/types.h"

#define ensure(cond)                                                 \
	do {                                                         \
		if (unlikely(!(cond)))                               \
			mach_stop(__FILE__, __LINE__, "ensure: " #cond); \
	} while (0)

#ifdef QUIRE_DEBUG
#define check(cond)                                                 \
	do {                                                        \
		if (unlikely(!(cond)))                              \
			mach_stop(__FILE__, __LINE__, "check: " #cond); \
	} while (0)
#else
#define check(cond) ((void)sizeof(!(cond)))
#endif

#endif
