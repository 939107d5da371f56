/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that is given back all at once. */
#ifndef JOT_ARENA_H
#define JOT_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *block;
	size_t used;
	size_t total;
};

void arena_init(struct arena *);
/* Never NULL: ends the program when there is no memory. */
void *arena_alloc(struct arena *, size_t bytes);
char *arena_copy(struct arena *, const char *text, size_t len);
void arena_fini(struct arena *);

#endif
