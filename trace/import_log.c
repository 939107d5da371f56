/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of a log, line after line, for all importers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "import.h"

void import_log_open(struct import_log *log, const char *name, const char *text, size_t len_bytes,
	struct trace_error *error)
{
	*log = (struct import_log){
		.name = name, .at = text, .end = text + len_bytes, .error = error,
	};
}

int import_log_fail(struct import_log *log, const char *what)
{
	return trace_fail(log->error, EBADMSG, log->line, "%s: line %llu: %s", log->name,
		(unsigned long long)log->line, what);
}

int import_log_fail_memory(struct import_log *log)
{
	return trace_fail(log->error, ENOMEM, log->line, "%s: no memory for the import",
		log->name);
}

char *import_log_take(struct import_log *log, bool *whole)
{
	const char *newline = memchr(log->at, '\n', (size_t)(log->end - log->at));
	size_t len = (size_t)((newline ? newline : log->end) - log->at);
	char *line = strndup(log->at, len);

	log->line++;
	log->at = newline ? newline + 1 : log->end;
	*whole = line && strlen(line) == len;
	return line;
}

bool import_room(void *array, size_t nr, size_t *capacity, size_t size)
{
	void **at = array;
	size_t want = *capacity ? *capacity * 2 : 64;
	void *grown;

	if (nr < *capacity)
		return true;
	grown = realloc(*at, want * size);
	if (!grown)
		return false;
	*at = grown;
	*capacity = want;
	return true;
}

char *import_read(const char *path, size_t *len_bytes, struct trace_error *error)
{
	FILE *file = fopen(path, "rbe");
	char *text = NULL;
	FILE *into;
	char chunk[65536];
	size_t got;

	if (!file) {
		trace_fail(error, errno, 0, "%s: cannot open: %s", path, strerror(errno));
		return NULL;
	}
	into = open_memstream(&text, len_bytes);
	while (into && (got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		fwrite(chunk, 1, got, into);
	if (ferror(file))
		trace_fail(error, EIO, 0, "%s: cannot read: input/output error", path);
	else if (!into || fclose(into) != 0)
		trace_fail(error, ENOMEM, 0, "%s: no memory for the import", path);
	else
		into = NULL;
	fclose(file);
	if (error->err) {
		free(text);
		text = NULL;
	}
	return text;
}

int import_write(const char *log_path, const char *text, size_t len_bytes,
	const struct trace_header *header, import_text *import, const char *output,
	struct trace_error *error)
{
	struct trace_writer *writer = trace_writer_open(output, header, error);
	int err;

	if (!writer)
		return -error->err;
	err = import(log_path, text, len_bytes, writer, error);
	if (err)
		trace_writer_discard(writer);
	else
		err = trace_writer_close(writer, error);
	return err;
}
