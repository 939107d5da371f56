/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's side: the same programs through the public API.
 */
#ifndef DIFFERENTIAL_CORE_H
#define DIFFERENTIAL_CORE_H

#include "native.h"

/* 0, or -1 with a message on stderr.  Once per process. */
int core_attach(void);
/*
 * Runs the program on a fresh instance whose first address space looks like
 * `layout`.  outcome->failure tells of a stop of the machine, of a broken
 * invariant, or of something leaked; after a stop the instance is abandoned.
 */
void core_run(const struct diff_layout *layout, const struct diff_program *program,
	      struct diff_outcome *outcome);
/* Has the core decided that one write fault makes all of a folio writable? */
bool core_reuses_folios(const struct diff_program *program);
/* Does a fault bring in large folios where the host has none? */
bool core_has_more_folios(const struct diff_program *program);

#endif
