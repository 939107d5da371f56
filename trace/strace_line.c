/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands in one line of an strace log, as strace(1) describes it:
 *
 *	[pid 12] 10:11:12.131415 mmap(NULL, 4096, ...) = 0x7f0123456000 <0.000010>
 *
 * with or without the id, in either spelling, and any form of time (-t, -tt,
 * -ttt, -r).  Everything works in place on a line that the caller owns.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/falloc.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "import.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

static char *skip_spaces(char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* "12 " or "[pid 12] "; leaves *at alone where there is neither. */
static bool take_pid(char **at, pid_t *pid)
{
	char *from = skip_spaces(*at), *end;
	bool brackets = begins(from, "[pid ");
	long value;

	if (brackets)
		from = skip_spaces(from + 5);
	if (!isdigit((unsigned char)*from))
		return !brackets;
	errno = 0;
	value = strtol(from, &end, 10);
	if (errno || value <= 0 || value > INT32_MAX)
		return !brackets && (*end == '.' || *end == ':');
	if (brackets ? *end != ']' : *end != ' ')
		return !brackets;
	*pid = (pid_t)value;
	*at = skip_spaces(end + 1);
	return true;
}

/* Digits after a point, as microseconds. */
static uint64_t take_fraction(char **at)
{
	uint64_t us = 0, unit = 100000;

	if (**at != '.')
		return 0;
	for (++*at; isdigit((unsigned char)**at); ++*at, unit /= 10)
		us += (uint64_t)(**at - '0') * unit;
	return us;
}

/* HH:MM:SS[.us], seconds.us; or nothing, for a call may follow at once. */
static void take_time(char **at, struct strace_line *out)
{
	enum { RELATIVE_BELOW = 1000000 };
	char *from = *at;
	uint64_t seconds = 0;

	if (!isdigit((unsigned char)*from))
		return;
	for (int part = 0; part < 3; part++) {
		char *end;
		uint64_t value = strtoull(from, &end, 10);

		if (end == from || value > UINT32_MAX * UINT64_C(4))
			return;
		seconds = seconds * 60 + value;
		from = end;
		if (*from != ':')
			break;
		from++;
	}
	out->is_delta = *from == '.' && seconds < RELATIVE_BELOW && !memchr(*at, ':',
		(size_t)(from - *at));
	out->time_us = seconds * 1000000 + take_fraction(&from);
	if (*from != ' ')
		return;
	out->has_time = true;
	*at = skip_spaces(from);
}

/* The number of a signal from its name, as in "killed by SIGKILL". */
static int signal_number(const char *name)
{
	for (int sig = 1; sig < 32; sig++) {
		const char *abbreviation = sigabbrev_np(sig);

		if (abbreviation && begins(name, "SIG") && begins(name + 3, abbreviation) &&
		    !isalnum((unsigned char)name[3 + strlen(abbreviation)]))
			return sig;
	}
	return 0;
}

/* "+++ exited with 0 +++" and the like. */
static const char *parse_end(char *at, struct strace_line *out)
{
	static const char superseded[] = "+++ superseded by execve in pid ";

	if (begins(at, "+++ exited with ")) {
		out->kind = STRACE_EXITED;
		out->number = strtol(at + 16, &at, 10) & 0xff;
	} else if (begins(at, "+++ killed by ")) {
		out->kind = STRACE_KILLED;
		out->number = signal_number(at + 14);
		if (!out->number && !begins(at + 14, "SIGRT"))
			return "a signal that is not known";
	} else if (begins(at, superseded)) {
		out->kind = STRACE_SUPERSEDED;
		out->number = strtol(at + strlen(superseded), &at, 10);
		if (out->number <= 0 || out->number > INT32_MAX)
			return "an id that is not a number";
	} else {
		return "an end that is not known";
	}
	return strstr(at, "+++") ? NULL : "a line that is cut short";
}

/* "<... mmap resumed>rest" */
static const char *parse_resumed(char *at, struct strace_line *out)
{
	char *space = strchr(at + 5, ' ');

	if (!space || !begins(space, " resumed>"))
		return "a line that is cut short";
	*space = 0;
	out->kind = STRACE_RESUMED;
	out->name = at + 5;
	out->text = space + 9;
	return NULL;
}

const char *strace_parse_line(char *line, struct strace_line *out)
{
	static const char unfinished[] = "<unfinished ...>";
	char *at = line, *found;

	*out = (struct strace_line){ .kind = STRACE_NOISE };
	if (!*skip_spaces(at) || begins(at, "strace: "))
		return NULL;
	if (!take_pid(&at, &out->pid))
		return "an id that is not a number";
	at = skip_spaces(at);
	take_time(&at, out);
	if (begins(at, "--- ") || begins(at, "strace: ") || begins(at, "Process "))
		return NULL;
	if (begins(at, "+++ "))
		return parse_end(at, out);
	out->text = at;
	found = strstr(at, unfinished);
	if (begins(at, "<... ")) {
		const char *wrong = parse_resumed(at, out);

		/* A call that never returned: "<... futex resumed> <unfinished ...>) = ?" */
		if (!wrong && found)
			out->kind = STRACE_NOISE;
		return wrong;
	}
	/* At the end alone: it may also stand inside a string that was written. */
	if (found && strcmp(found, unfinished) == 0) {
		*found = 0;
		out->kind = STRACE_UNFINISHED;
		return NULL;
	}
	out->kind = STRACE_CALL;
	return NULL;
}

/* ---- calls ---- */

/* Past a string: at stands on its opening quote.  NULL: it does not end. */
static char *skip_string(char *at)
{
	char quote = *at++;

	while (*at && *at != quote) {
		if (*at == '\\' && at[1])
			at++;
		at++;
	}
	return *at ? at + 1 : NULL;
}

/*
 * To the comma or bracket that ends the argument at at; brackets of every
 * kind nest, and what stands in strings and comments does not count.
 */
static char *end_of_argument(char *at)
{
	int depth = 0;

	while (*at) {
		if (*at == '"' || *at == '\'') {
			at = skip_string(at);
			if (!at)
				return NULL;
			continue;
		}
		if (begins(at, "/*")) {
			at = strstr(at, "*/");
			if (!at)
				return NULL;
			at += 2;
			continue;
		}
		if (!depth && (*at == ',' || *at == ')'))
			return at;
		if (strchr("([{", *at))
			depth++;
		else if (strchr(")]}", *at))
			depth--;
		/* What -y adds to a descriptor: 3</path, with anything in it> */
		else if (*at == '<' && isdigit((unsigned char)at[-1]) && at[1] != '<') {
			char *close = strchr(at, '>');

			if (close)
				at = close;
		}
		at++;
	}
	return NULL;
}

static void trim_end(char *text)
{
	size_t len = strlen(text);

	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		text[--len] = 0;
}

const char *strace_parse_call(char *text, struct strace_call *out)
{
	char *at = text;

	*out = (struct strace_call){ .name = text };
	while (isalnum((unsigned char)*at) || *at == '_')
		at++;
	if (at == text || *at != '(')
		return "neither a call nor anything else that strace writes";
	*at++ = 0;
	for (;;) {
		char *end, sign;

		at = skip_spaces(at);
		end = end_of_argument(at);
		if (!end)
			return "the arguments do not end";
		sign = *end;
		*end = 0;
		trim_end(at);
		if (*at || sign == ',') {
			/* The last one takes what a call of many has beyond. */
			if (out->nr_arguments == STRACE_MAX_ARGUMENTS)
				out->nr_arguments--;
			out->argument[out->nr_arguments++] = at;
		}
		at = end + 1;
		if (sign == ')')
			break;
	}
	at = skip_spaces(at);
	if (*at != '=')
		return "the result is missing";
	out->result = skip_spaces(at + 1);
	return *out->result ? NULL : "the result is missing";
}

/* ---- words ---- */

#define WORD(name) { #name, name }

static const struct {
	const char *word;
	uint64_t value;
} words[] = {
	{ "NULL", 0 }, { "MAP_FILE", 0 }, { "PROT_NONE", 0 },
	WORD(PROT_READ), WORD(PROT_WRITE), WORD(PROT_EXEC), WORD(PROT_GROWSDOWN),
	WORD(PROT_GROWSUP),
	WORD(MAP_SHARED), WORD(MAP_PRIVATE), WORD(MAP_SHARED_VALIDATE), WORD(MAP_DROPPABLE),
	WORD(MAP_FIXED), WORD(MAP_ANONYMOUS), WORD(MAP_GROWSDOWN), WORD(MAP_DENYWRITE),
	WORD(MAP_EXECUTABLE), WORD(MAP_LOCKED), WORD(MAP_NORESERVE), WORD(MAP_POPULATE),
	WORD(MAP_NONBLOCK), WORD(MAP_STACK), WORD(MAP_HUGETLB), WORD(MAP_SYNC),
	WORD(MAP_FIXED_NOREPLACE),
#ifdef MAP_32BIT
	WORD(MAP_32BIT),
#endif
	WORD(MREMAP_MAYMOVE), WORD(MREMAP_FIXED), WORD(MREMAP_DONTUNMAP),
	WORD(MADV_NORMAL), WORD(MADV_RANDOM), WORD(MADV_SEQUENTIAL), WORD(MADV_WILLNEED),
	WORD(MADV_DONTNEED), WORD(MADV_FREE), WORD(MADV_REMOVE), WORD(MADV_DONTFORK),
	WORD(MADV_DOFORK), WORD(MADV_MERGEABLE), WORD(MADV_UNMERGEABLE), WORD(MADV_HUGEPAGE),
	WORD(MADV_NOHUGEPAGE), WORD(MADV_DONTDUMP), WORD(MADV_DODUMP), WORD(MADV_WIPEONFORK),
	WORD(MADV_KEEPONFORK), WORD(MADV_COLD), WORD(MADV_PAGEOUT), WORD(MADV_POPULATE_READ),
	WORD(MADV_POPULATE_WRITE), WORD(MADV_HWPOISON), { "MADV_DONTNEED_LOCKED", 24 },
	{ "MADV_COLLAPSE", 25 }, { "MADV_SOFT_OFFLINE", 101 }, { "MADV_GUARD_INSTALL", 102 },
	{ "MADV_GUARD_REMOVE", 103 },
	WORD(MS_ASYNC), WORD(MS_INVALIDATE), WORD(MS_SYNC),
	WORD(MCL_CURRENT), WORD(MCL_FUTURE), WORD(MCL_ONFAULT), WORD(MLOCK_ONFAULT),
	WORD(SHM_RDONLY), WORD(SHM_RND), WORD(SHM_REMAP), WORD(SHM_EXEC),
	WORD(FALLOC_FL_KEEP_SIZE), WORD(FALLOC_FL_PUNCH_HOLE), WORD(FALLOC_FL_COLLAPSE_RANGE),
	WORD(FALLOC_FL_ZERO_RANGE), WORD(FALLOC_FL_INSERT_RANGE), WORD(FALLOC_FL_UNSHARE_RANGE),
	WORD(CLONE_VM), WORD(CLONE_FS), WORD(CLONE_FILES), WORD(CLONE_SIGHAND),
	WORD(CLONE_PIDFD), WORD(CLONE_PTRACE), WORD(CLONE_VFORK), WORD(CLONE_PARENT),
	WORD(CLONE_THREAD), WORD(CLONE_NEWNS), WORD(CLONE_SYSVSEM), WORD(CLONE_SETTLS),
	WORD(CLONE_PARENT_SETTID), WORD(CLONE_CHILD_CLEARTID), WORD(CLONE_DETACHED),
	WORD(CLONE_UNTRACED), WORD(CLONE_CHILD_SETTID), WORD(CLONE_NEWCGROUP),
	WORD(CLONE_NEWUTS), WORD(CLONE_NEWIPC), WORD(CLONE_NEWUSER), WORD(CLONE_NEWPID),
	WORD(CLONE_NEWNET), WORD(CLONE_IO),
	{ "CLONE_CLEAR_SIGHAND", UINT64_C(0x100000000) },
	{ "CLONE_INTO_CGROUP", UINT64_C(0x200000000) },
};

static bool parse_word(const char *text, size_t len, uint64_t *value)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) == len && memcmp(words[i].word, text, len) == 0) {
			*value = words[i].value;
			return true;
		}
	}
	return false;
}

/* One of the parts that | joins: a word, a number, or number<<number. */
static bool parse_part(const char *text, size_t len, uint64_t *value)
{
	char copy[64];
	char *end;

	if (!len || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	if (parse_word(text, len, value))
		return true;
	/* The signal that clone ends with is none of its flags. */
	if (signal_number(copy)) {
		*value = 0;
		return true;
	}
	if (!isdigit((unsigned char)copy[0]) && copy[0] != '-')
		return false;
	errno = 0;
	*value = strtoull(copy, &end, 0);
	if (errno)
		return false;
	if (strcmp(end, "<<MAP_HUGE_SHIFT") == 0 && *value < 64) {
		*value <<= MAP_HUGE_SHIFT;
		return true;
	}
	return *end == 0;
}

bool strace_parse_flags(const char *text, uint64_t *value)
{
	const char *comment = strstr(text, "/*");
	size_t left = comment ? (size_t)(comment - text) : strlen(text);
	uint64_t part;

	*value = 0;
	while (left && text[left - 1] == ' ')
		left--;
	for (;;) {
		const char *bar = memchr(text, '|', left);
		size_t len = bar ? (size_t)(bar - text) : left;

		if (!parse_part(text, len, &part))
			return false;
		*value |= part;
		if (!bar)
			return true;
		text += len + 1;
		left -= len + 1;
	}
}

bool strace_parse_result(const char *text, int64_t *value)
{
	char *end;

	errno = 0;
	*value = begins(text, "0x") ? (int64_t)strtoull(text, &end, 16) : strtoll(text, &end, 10);
	if (errno || end == text || (*end && *end != ' ' && *end != '<'))
		return false;
	if (*value != -1 || !begins(end, " E"))
		return true;
	text = end + 1;
	for (int err = 1; err < 134; err++) {
		const char *name = strerrorname_np(err);

		if (name && begins(text, name) && !isalnum((unsigned char)text[strlen(name)])) {
			*value = -err;
			return true;
		}
	}
	return false;
}
