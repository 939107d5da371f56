/* SPDX-License-Identifier: BSD-2-Clause */
/* What several subcommands need. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "trace/record.h"

void tell_line(void *context, const char *sentence)
{
	const char *command = context;

	fprintf(stderr, "quire %s: %s\n", command, sentence);
}

static int input_record(const char *command, char **argv, struct input *input)
{
	struct record_options options = { .output = input->temporary, .tell = tell_line,
					  .context = (void *)(uintptr_t)command };
	struct record_result result;
	struct trace_error error = { 0 };
	const char *folder = getenv("TMPDIR");
	int fd, status;

	snprintf(input->temporary, sizeof(input->temporary), "%.40s/quire-XXXXXX",
		 folder && strlen(folder) <= 40 ? folder : "/tmp");
	fd = mkstemp(input->temporary);
	if (fd < 0) {
		fprintf(stderr, "quire %s: cannot make a file in %s\n", command,
			folder ? folder : "/tmp");
		input->temporary[0] = '\0';
		return 1;
	}
	close(fd);
	fprintf(stderr, "recording: %s\n", argv[0]);
	status = record_command(&options, argv, &result, &error);
	if (error.err) {
		fprintf(stderr, "quire %s: %s\n", command, error.message);
		input_close(input);
		return status ? status : 1;
	}
	if (status != 0)
		fprintf(stderr, "quire %s: the command ended with status %d; replaying what it did\n",
			command, status);
	input->path = input->temporary;
	return 0;
}

int input_open(const char *command, int argc, char **argv, int first, struct input *input)
{
	*input = (struct input){ 0 };
	if (first >= argc)
		return command_usage_error(command, "a recording or '-- CMD...' is missing");
	/* getopt has stepped over "--": a command follows it */
	if (first > 1 && strcmp(argv[first - 1], "--") == 0)
		return input_record(command, argv + first, input);
	if (first + 1 < argc)
		return command_usage_error(command, "one recording at a time ('%s' is too much); "
					    "a command comes after --", argv[first + 1]);
	input->path = argv[first];
	return 0;
}

void input_close(struct input *input)
{
	if (input->temporary[0])
		unlink(input->temporary);
	input->temporary[0] = '\0';
}

int decide_option(const char *command, const char *argument, struct quire_decisions *decisions)
{
	const char *equals = strchr(argument, '=');
	char row[64];
	int err;

	if (!equals || (size_t)(equals - argument) >= sizeof(row))
		return command_usage_error(command, "--decide takes ROW=ALTERNATIVE, not '%s'", argument);
	memcpy(row, argument, (size_t)(equals - argument));
	row[equals - argument] = '\0';
	err = quire_decisions_set(decisions, row, equals + 1);
	if (err == 0)
		return 0;
	if (err == -QUIRE_ENOENT)
		fprintf(stderr, "quire %s: there is no decision '%s'", command, row);
	else
		fprintf(stderr, "quire %s: decision '%s' has no alternative '%s'", command, row,
			equals + 1);
	fprintf(stderr, "; try: quire decisions\n");
	return EXIT_USAGE;
}

void progress_line(void *context, uint64_t nr_events, uint64_t time_us)
{
	(void)context;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r  %" PRIu64 " events, %.1f s into the recording", nr_events,
			(double)time_us / 1e6);
}

void progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%79s\r", "");
}
