/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of what perf script prints:
 *
 *	COMM PID/TID [CPU] TIME: PERIOD EVENT: what the event says
 *
 * Which columns are there is up to the options of perf script; but for the
 * thread's id none is needed, and for what stands behind the last known one
 * nothing is asked.  So the event is looked for first, and the columns before
 * it are read from the right: a command's name may have blanks.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "import_perf.h"

/* ---- words and numbers ---- */

static char *skip_blanks(char *at)
{
	return at + strspn(at, " \t");
}

/* A number of the base, without sign or blanks before it. */
static bool take_number(char **at, int base, uint64_t *value)
{
	char *end;

	if (!isxdigit((unsigned char)**at))
		return false;
	errno = 0;
	*value = strtoull(*at, &end, base);
	if (errno || end == *at)
		return false;
	*at = end;
	return true;
}

static bool take_signed(char **at, int64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)**at) && **at != '-')
		return false;
	errno = 0;
	*value = strtoll(*at, &end, 10);
	if (errno || end == *at)
		return false;
	*at = end;
	return true;
}

static bool take_id(char **at, pid_t *id)
{
	int64_t value;

	if (!take_signed(at, &value) || value < -1 || value > INT32_MAX)
		return false;
	*id = (pid_t)value;
	return true;
}

static bool take_word(char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

/* "12:13": pid and thread id; or with another character between. */
static bool take_ids(char **at, char between, pid_t *pid, pid_t *tid)
{
	if (!take_id(at, pid) || **at != between)
		return false;
	++*at;
	return take_id(at, tid);
}

/* The last word before *end, which becomes its beginning; NULL: none. */
static char *last_word(char *line, char **end)
{
	char *at = *end;

	while (at > line && isspace((unsigned char)at[-1]))
		at--;
	if (at == line)
		return NULL;
	*at = 0;
	while (at > line && !isspace((unsigned char)at[-1]))
		at--;
	*end = at;
	return at;
}

/* ---- the columns before the event ---- */

/* "4264.840733:", with six digits or, by --ns, nine. */
static bool is_time(char *word, uint64_t *ns)
{
	uint64_t seconds, fraction;
	char *at = word, *point;
	size_t digits;

	if (!isdigit((unsigned char)*at) || !take_number(&at, 10, &seconds) || *at != '.')
		return false;
	point = ++at;
	digits = strspn(point, "0123456789");
	if ((digits != 6 && digits != 9) || strcmp(point + digits, ":") != 0 ||
	    !take_number(&at, 10, &fraction))
		return false;
	*ns = seconds * 1000000000 + fraction * (digits == 6 ? 1000 : 1);
	return seconds < UINT64_MAX / 1000000000;
}

static bool is_period(char *word, uint64_t *period)
{
	uint64_t value;
	char *at = word;

	if (!isdigit((unsigned char)*at) || !take_number(&at, 10, &value) || *at)
		return false;
	*period = value;
	return true;
}

static bool is_cpu(const char *word)
{
	size_t digits = strspn(word + 1, "0123456789");

	return word[0] == '[' && digits && strcmp(word + 1 + digits, "]") == 0;
}

static bool is_ids(char *word, struct perf_line *out)
{
	char *at = word;
	pid_t first;

	if (!take_id(&at, &first))
		return false;
	out->pid = 0;
	out->tid = first;
	if (*at == '/') {
		at++;
		out->pid = first;
		if (!take_id(&at, &out->tid))
			return false;
	}
	return !*at;
}

/* Everything before the event, which is at end.  False: no id of a thread. */
static bool parse_columns(char *line, char *end, struct perf_line *out)
{
	char *word = last_word(line, &end);
	bool has_period = word && is_period(word, &out->period);
	char *period = word;

	/* What ends the line may be the thread's id as well. */
	if (has_period)
		word = last_word(line, &end);
	if (word && is_time(word, &out->time_ns)) {
		out->has_time = true;
		word = last_word(line, &end);
	} else if (has_period && (!word || !is_ids(word, out))) {
		out->period = 0;
		return is_ids(period, out);
	}
	if (word && is_cpu(word))
		word = last_word(line, &end);
	return word && is_ids(word, out);
}

/* ---- what events say ---- */

/* NR 9 (0, 2000, 3, 22, ffffffff, 0) */
static const char *parse_enter(char *at, struct perf_line *out)
{
	out->kind = PERF_ENTER;
	at = skip_blanks(at);
	if (!take_word(&at, "NR ") || !take_signed(&at, &out->number) || !take_word(&at, " ("))
		return "a system call that is not NR number (arguments)";
	for (int i = 0; i < 6; i++) {
		if (!take_number(&at, 16, &out->arg[i]) ||
		    !take_word(&at, i < 5 ? ", " : ")"))
			return "a system call without six arguments";
	}
	return NULL;
}

/* NR 9 = 140457626877952 */
static const char *parse_leave(char *at, struct perf_line *out)
{
	out->kind = PERF_LEAVE;
	at = skip_blanks(at);
	if (!take_word(&at, "NR ") || !take_signed(&at, &out->number) || !take_word(&at, " = ") ||
	    !take_signed(&at, &out->result) || (*at && !isspace((unsigned char)*at)))
		return "the end of a system call that is not NR number = result";
	return NULL;
}

/* address=0x5594a0909de0 ip=0x7fbed6f72bd1 error_code=0x4; the word of the hardware. */
static const char *parse_exception(char *at, struct perf_line *out)
{
	enum { PROTECTION = 1, WRITE = 2, USER = 4, FETCH = 16 };
	uint64_t error;
	char *code;

	out->kind = PERF_TOUCH;
	out->faults = PERF_FAULTS_TRACEPOINT;
	at = skip_blanks(at);
	code = strstr(at, " error_code=0x");
	if (!take_word(&at, "address=") || !code)
		return "a page fault without address and error_code";
	code += strlen(" error_code=0x");
	if (!take_number(&code, 16, &error) || (*code && !isspace((unsigned char)*code)))
		return "an error_code that is not a number";
	/* An address of the kernel's own is told by a name. */
	out->addr = UINT64_MAX;
	if (take_word(&at, "0x") && (!take_number(&at, 16, &out->addr) || *at != ' '))
		return "an address that is not a number";
	out->flags = TRACE_TOUCH_EXACT | (error & WRITE ? TRACE_TOUCH_WRITE : 0u) |
		(error & FETCH ? TRACE_TOUCH_EXEC : 0u) |
		(error & PROTECTION ? TRACE_TOUCH_PRESENT : 0u) |
		(error & USER ? 0u : TRACE_TOUCH_KERNEL);
	out->mode = error & USER ? PERF_MODE_USER : PERF_MODE_KERNEL;
	return NULL;
}

/* A number that is a word of its own. */
static bool take_address(char **at, uint64_t *value)
{
	*at = skip_blanks(*at);
	return take_number(at, 16, value) && (!**at || isspace((unsigned char)**at));
}

/*
 * The columns behind a software event: its address and, by further options, where
 * that is, the instruction that touched it, and where that is:
 *
 *	7fbed6f8a110 symbol+0x10 (/path) ffffffff81775dda symbol+0x28a (/path)
 *
 * Alone with a symbol is the instruction: the address was not asked for.
 */
static const char *parse_software(char *at, struct perf_line *out)
{
	bool symbol;
	char *look;
	uint64_t ip;

	out->kind = PERF_TOUCH;
	if (!take_address(&at, &out->addr))
		return "a page fault without its address (perf record -d, perf script -F +addr)";
	look = at = skip_blanks(at);
	symbol = *at && !take_address(&look, &ip);
	if (symbol) {
		char *end = strstr(at, ") ");

		if (!end)
			return "a page fault without its address (perf script -F +addr)";
		at = end + 1;
	}
	if (*at && take_address(&at, &ip)) {
		out->mode = ip >> 63 ? PERF_MODE_KERNEL : PERF_MODE_USER;
		if (ip == out->addr)
			out->flags |= TRACE_TOUCH_EXEC;
	} else if (symbol) {
		return "a page fault without its address (perf script -F +addr)";
	}
	if (out->user_only)
		out->mode = PERF_MODE_USER;
	if (out->mode == PERF_MODE_KERNEL)
		out->flags |= TRACE_TOUCH_KERNEL;
	return NULL;
}

/* ---- records ---- */

/* FORK(17758:17772):(17758:17758), EXIT alike */
static const char *parse_life(char *at, bool fork, struct perf_line *out)
{
	pid_t pid;

	out->kind = fork ? PERF_FORK : PERF_EXIT;
	if (!take_word(&at, "(") || !take_ids(&at, ':', &out->pid, &out->tid) ||
	    !take_word(&at, "):(") || !take_ids(&at, ':', &pid, &out->parent) ||
	    !take_word(&at, ")"))
		return "a record that is not (pid:tid):(parent's pid:tid)";
	return NULL;
}

/* COMM exec: true:17773/17773; a new name alone says nothing. */
static const char *parse_comm(char *at, struct perf_line *out)
{
	char *colon, *ids;

	if (!take_word(&at, " exec: ")) {
		out->kind = PERF_NOISE;
		return *at == ':' ? NULL : "a record that is not COMM: name:pid/tid";
	}
	out->kind = PERF_EXEC;
	colon = strrchr(at, ':');
	ids = colon ? colon + 1 : NULL;
	if (!ids || !take_ids(&ids, '/', &out->pid, &out->tid))
		return "a record that is not COMM exec: name:pid/tid";
	*colon = 0;
	out->name = at;
	return NULL;
}

/* " fe:00 332383 0" before a bracket, or a build id instead. */
static bool take_inode(char **at, struct perf_line *out)
{
	uint64_t major, minor, generation;
	char *build_id = *at;

	if (take_word(&build_id, " <")) {
		*at = strchr(build_id, '>');
		return *at && *++*at == ']';
	}
	if (!take_word(at, " ") || !take_number(at, 16, &major) || !take_word(at, ":") ||
	    !take_number(at, 16, &minor) || !take_word(at, " ") ||
	    !take_number(at, 10, &out->ino) || !take_word(at, " ") ||
	    !take_number(at, 10, &generation) || **at != ']')
		return false;
	out->dev = major << 32 | (minor & UINT32_MAX);
	return true;
}

/* MMAP2 17758/17758: [0x5594a0907000(0x1000) @ 0x1000 fe:00 11158389 1]: r-xp /tmp/a */
static const char *parse_map(char *at, struct perf_line *out)
{
	static const char malformed[] =
		"a mapping that is not MMAP2 pid/tid: [start(length) @ offset device inode "
		"generation]: rwxp name";

	out->kind = PERF_MAP;
	if (!take_word(&at, " ") || !take_ids(&at, '/', &out->pid, &out->tid) ||
	    !take_word(&at, ": [0x") || !take_number(&at, 16, &out->addr) ||
	    !take_word(&at, "(0x") || !take_number(&at, 16, &out->len) || !take_word(&at, ") @ "))
		return malformed;
	if (take_word(&at, "0x") ? !take_number(&at, 16, &out->offset) : !take_word(&at, "0"))
		return malformed;
	if (!take_inode(&at, out) || !take_word(&at, "]: ") || strlen(at) < 5 || at[4] != ' ')
		return malformed;
	out->map_flags = (at[0] == 'r' ? TRACE_MAP_READ : 0u) |
		(at[1] == 'w' ? TRACE_MAP_WRITE : 0u) | (at[2] == 'x' ? TRACE_MAP_EXEC : 0u) |
		(at[3] == 's' ? TRACE_MAP_SHARED : 0u);
	for (int i = 0; i < 4; i++)
		if (at[i] != "rwxs"[i] && at[i] != "---p"[i])
			return malformed;
	out->name = at + 5;
	if (!out->len || out->addr + out->len < out->addr || out->offset + out->len < out->offset)
		return "a mapping of no length, or past the end of memory";
	return NULL;
}

static const char *parse_record(char *at, struct perf_line *out)
{
	if (take_word(&at, "FORK("))
		return parse_life(at - 1, true, out);
	if (take_word(&at, "EXIT("))
		return parse_life(at - 1, false, out);
	if (take_word(&at, "COMM"))
		return parse_comm(at, out);
	if (take_word(&at, "MMAP2"))
		return parse_map(at, out);
	/* The kernel's own text; a process's is told by MMAP2 since Linux 3.12. */
	if (take_word(&at, "MMAP ")) {
		out->kind = PERF_NOISE;
		return *at == '-' ? NULL : "a mapping of an old perf, without its protection";
	}
	if (take_word(&at, "LOST_SAMPLES lost ") || take_word(&at, "LOST lost ")) {
		out->kind = PERF_LOST;
		return take_signed(&at, &out->number) && out->number >= 0 && !*at ? NULL :
			"lost records without a number";
	}
	out->kind = strncmp(at, "LOST", 4) == 0 ? PERF_LOST : PERF_OTHER;
	return out->kind == PERF_LOST ? "lost records without a number" : NULL;
}

/* ---- which event ---- */

static const struct event_name {
	const char *name;
	enum perf_kind kind;
	enum perf_faults faults;
} events[] = {
	{ "PERF_RECORD_", PERF_OTHER, PERF_FAULTS_NONE },
	{ "raw_syscalls:sys_enter:", PERF_ENTER, PERF_FAULTS_NONE },
	{ "raw_syscalls:sys_exit:", PERF_LEAVE, PERF_FAULTS_NONE },
	{ "exceptions:page_fault_user:", PERF_TOUCH, PERF_FAULTS_TRACEPOINT },
	{ "exceptions:page_fault_kernel:", PERF_TOUCH, PERF_FAULTS_TRACEPOINT },
	{ "page-faults:", PERF_TOUCH, PERF_FAULTS_SOFTWARE },
	{ "faults:", PERF_TOUCH, PERF_FAULTS_SOFTWARE },
	{ "minor-faults:", PERF_TOUCH, PERF_FAULTS_PARTS },
	{ "major-faults:", PERF_TOUCH, PERF_FAULTS_PARTS },
};

/* The first known event of the line, at the beginning of a word. */
static const struct event_name *find_event(char *line, char **at)
{
	for (char *word = skip_blanks(line); *word;) {
		for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
			if (strncmp(word, events[i].name, strlen(events[i].name)) == 0) {
				*at = word;
				return &events[i];
			}
		word += strcspn(word, " \t");
		word = skip_blanks(word);
	}
	return NULL;
}

/* "u:" or "k:" and the like behind a software event's name. */
static bool take_modifiers(char **at, struct perf_line *out)
{
	size_t nr = strspn(*at, "ukhGHpPSDWeI");

	if (!nr || (*at)[nr] != ':')
		return false;
	out->user_only = memchr(*at, 'u', nr) && !memchr(*at, 'k', nr);
	*at += nr + 1;
	return true;
}

/*
 * A line of some other event.  It must look like one: a thread's id, then perhaps
 * a CPU and a time, then a word that ends in a colon.  Events whose names say that
 * they tell of calls or faults in another way are not passed over.
 */
static const char *parse_other(char *line, struct perf_line *out)
{
	static const char *const near[] = { "syscalls:", "raw_syscalls:", "exceptions:" };
	char *word = skip_blanks(line);

	out->kind = PERF_OTHER;
	while (*word) {
		char *end = word + strcspn(word, " \t"), *next = skip_blanks(end);
		struct perf_line ignored;
		uint64_t ns;
		char kept = *end;
		bool ids, named;

		for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++)
			if (strncmp(word, near[i], strlen(near[i])) == 0)
				return "an event of calls or faults that is not understood";
		*end = 0;
		ids = is_time(word, &ns) || is_ids(word, &ignored);
		*end = kept;
		named = end > word + 1 && end[-1] == ':' && !isdigit((unsigned char)*word);
		if (named && out->has_time)
			return NULL;
		out->has_time |= ids;
		word = next;
	}
	return "neither an event nor a record of perf script";
}

static bool is_noise(const char *line)
{
	return line[strspn(line, " \t\r")] == 0 || line[0] == '#' || line[0] == '\t';
}

const char *perf_parse_line(char *line, struct perf_line *out)
{
	const struct event_name *event;
	const char *wrong = NULL;
	char *at, *name;

	*out = (struct perf_line){ .kind = PERF_NOISE };
	if (is_noise(line))
		return NULL;
	event = find_event(line, &name);
	if (!event)
		return parse_other(line, out);
	at = name + strlen(event->name);
	if (!parse_columns(line, name, out) && event->kind != PERF_OTHER)
		return "an event without the id of its thread (perf script -F +tid)";
	out->faults = event->faults;
	if (event->kind == PERF_OTHER)
		wrong = parse_record(at, out);
	else if (event->kind == PERF_ENTER)
		wrong = parse_enter(at, out);
	else if (event->kind == PERF_LEAVE)
		wrong = parse_leave(at, out);
	else if (event->faults == PERF_FAULTS_TRACEPOINT)
		wrong = parse_exception(at, out);
	else {
		take_modifiers(&at, out);
		wrong = parse_software(at, out);
	}
	/* The idle thread has no memory. */
	if (!wrong && out->tid <= 0 && out->kind != PERF_LOST)
		out->kind = PERF_NOISE;
	return wrong;
}
