/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plain main for the fuzz targets, for where libFuzzer is not: feeds each
 * file of the corpus as it is, then mutated, always in the same way.
 *
 *	TARGET ROUNDS CORPUS-FOLDER...
 *
 * ROUNDS is the number of mutations of each file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* xorshift64*: G. Marsaglia, Xorshift RNGs; S. Vigna's multiplier. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint8_t interesting(uint64_t random)
{
	static const uint8_t bytes[] = { 0, 1, 0x7f, 0x80, 0xff, ' ', '(', ')', ',', '"', '<',
		'\n', '=', '|', '9', '-' };

	return random & 1 ? bytes[random / 2 % sizeof(bytes)] : (uint8_t)(random >> 8);
}

/* One change in place; returns the new size, at most size + 16. */
static size_t mutate(uint8_t *data, size_t size, uint64_t *state)
{
	uint64_t what = next_random(state) % 6;
	size_t at = size ? next_random(state) % size : 0;
	size_t len = 1 + next_random(state) % 16, from;

	switch (size ? what : 3) {
	case 0:
		data[at] ^= (uint8_t)(1 << next_random(state) % 8);
		return size;
	case 1:
		data[at] = interesting(next_random(state));
		return size;
	case 2: /* cut a piece out */
		if (len > size - at)
			len = size - at;
		memmove(data + at, data + at + len, size - at - len);
		return size - len;
	case 3: /* put something in */
		memmove(data + at + len, data + at, size - at);
		for (size_t i = 0; i < len; i++)
			data[at + i] = interesting(next_random(state));
		return size + len;
	case 4: /* copy a piece over another */
		from = next_random(state) % size;
		if (len > size - at)
			len = size - at;
		if (len > size - from)
			len = size - from;
		memmove(data + at, data + from, len);
		return size;
	default: /* end early */
		return next_random(state) % 8 ? size : at;
	}
}

/* A copy of its own size, so that the sanitizer sees its end. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		exit(2);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_mutations(const uint8_t *data, size_t size, unsigned long rounds, uint64_t seed)
{
	enum { MOST_CHANGES = 8 };
	uint8_t *copy = malloc(size + 16 * MOST_CHANGES);

	if (!copy)
		exit(2);
	for (unsigned long round = 0; round < rounds; round++) {
		uint64_t changes = 1 + next_random(&seed) % MOST_CHANGES;
		size_t len = size;

		memcpy(copy, data, size);
		while (changes--)
			len = mutate(copy, len, &seed);
		run(copy, len);
	}
	free(copy);
}

static int run_file(const char *path, unsigned long rounds)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long size;

	if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
		perror(path);
		return 1;
	}
	rewind(file);
	data = malloc((size_t)size + 1);
	if (!data || fread(data, 1, (size_t)size, file) != (size_t)size) {
		perror(path);
		return 1;
	}
	fclose(file);
	run(data, (size_t)size);
	run_mutations(data, (size_t)size, rounds, 0x9e3779b97f4a7c15u + (uint64_t)size);
	free(data);
	return 0;
}

static int run_folder(const char *folder, unsigned long rounds)
{
	struct dirent **entries;
	/* In the order of names: the same on every file system. */
	int nr = scandir(folder, &entries, NULL, alphasort), bad = 0, files = 0;

	if (nr < 0) {
		perror(folder);
		return 1;
	}
	for (int i = 0; i < nr; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.') {
			bad |= run_file(path, rounds);
			files++;
		}
		free(entries[i]);
	}
	free(entries);
	printf("%s: %d files, %lu mutations of each\n", folder, files, rounds);
	return bad || !files;
}

int main(int argc, char **argv)
{
	int bad = 0;

	if (argc < 3) {
		fprintf(stderr, "usage: %s ROUNDS FOLDER...\n", argv[0]);
		return 2;
	}
	for (int i = 2; i < argc; i++)
		bad |= run_folder(argv[i], strtoul(argv[1], NULL, 10));
	return bad;
}
