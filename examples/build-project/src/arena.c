/* SPDX-License-Identifier: BSD-2-Clause */
#include "arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 65536

struct arena_block {
	struct arena_block *next;
	size_t capacity;
	_Alignas(16) char bytes[];
};

void arena_init(struct arena *a)
{
	memset(a, 0, sizeof(*a));
}

static void add_block(struct arena *a, size_t least)
{
	size_t capacity = least > BLOCK_BYTES ? least : BLOCK_BYTES;
	struct arena_block *block = malloc(sizeof(*block) + capacity);

	if (!block) {
		fprintf(stderr, "jot: out of memory\n");
		exit(2);
	}
	block->next = a->block;
	block->capacity = capacity;
	a->block = block;
	a->used = 0;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	void *at;

	bytes = (bytes + 15) & ~(size_t)15;
	if (!a->block || a->block->capacity - a->used < bytes)
		add_block(a, bytes);
	at = a->block->bytes + a->used;
	a->used += bytes;
	a->total += bytes;
	return at;
}

char *arena_copy(struct arena *a, const char *text, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	memcpy(copy, text, len);
	copy[len] = 0;
	return copy;
}

void arena_fini(struct arena *a)
{
	while (a->block) {
		struct arena_block *block = a->block;

		a->block = block->next;
		free(block);
	}
}
