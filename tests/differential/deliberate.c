/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The differences that are meant: deliberate.md lists them with their reasons,
 * and this file and the marked places of generate.c are all that acts on them.
 */
#include "outcome.h"

bool deliberate_count(const struct diff_program *program, enum diff_count count)
{
	if (count != DIFF_COUNT_locked)
		return false;
	for (uint32_t i = 0; i < program->nr_ops; i++)
		if (program->ops[i].kind == DIFF_mremap &&
		    (program->ops[i].flags & QUIRE_MREMAP_DONTUNMAP))
			return true;
	return false;
}
