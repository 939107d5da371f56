/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The account: every fault that Linux counted is a touch that was recorded, has
 * a named cause, or is unexplained.  Counts may be negative: a touch that was
 * refused is an exception, and Linux counts no fault for it.
 *
 * A call that the core does not model explains what is left over in its address
 * space, and only there: the recorder saw that it happened, not what it did.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

static int add(struct replay_account *account, const char *kind, int64_t count)
{
	struct replay_cause *grown;

	if (count == 0)
		return 0;
	for (size_t i = 0; i < account->nr_explained; i++)
		if (strcmp(account->explained[i].kind, kind) == 0) {
			account->explained[i].count += count;
			return 0;
		}
	grown = realloc(account->explained, (account->nr_explained + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	account->explained = grown;
	grown[account->nr_explained].kind = strdup(kind);
	grown[account->nr_explained].count = count;
	if (!grown[account->nr_explained].kind)
		return -ENOMEM;
	account->nr_explained++;
	return 0;
}

int replay_note(struct replay_note **notes, size_t *nr_notes, const char *call)
{
	struct replay_note *grown;

	for (size_t i = 0; i < *nr_notes; i++)
		if (strcmp((*notes)[i].call, call) == 0) {
			(*notes)[i].count++;
			return 0;
		}
	grown = realloc(*notes, (*nr_notes + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*notes = grown;
	grown[*nr_notes] = (struct replay_note){ .call = strdup(call), .count = 1 };
	if (!grown[*nr_notes].call)
		return -ENOMEM;
	++*nr_notes;
	return 0;
}

/* "userfaultfd, mbind": what was noted, as one cause; "" where nothing was. */
static void names_of_notes(const struct space_account *from, char *names, size_t size)
{
	size_t len = 0;

	names[0] = '\0';
	for (size_t i = 0; i < from->nr_notes; i++) {
		const char *name = from->notes[i].call;

		if (len + strlen(name) + 3 <= size)
			len += (size_t)snprintf(names + len, size - len, "%s%s", len ? ", " : "",
						name);
	}
}

int replay_account(const struct space_account *from, uint64_t linux_faults, bool exact,
		   struct replay_account *out)
{
	int64_t left = (int64_t)linux_faults - (int64_t)from->nr_touches;
	const struct {
		const char *kind;
		int64_t count;
	} causes[] = {
		{ "exec", (int64_t)from->nr_setup },
		{ "calls", (int64_t)from->nr_call_faults },
		{ "kernel", (int64_t)from->nr_came },
		{ "signals", -(int64_t)from->nr_signals },
		{ "kernel-refused", -(int64_t)from->nr_kernel_refused },
	};
	int64_t unplaced;
	char names[160];

	out->linux_faults = linux_faults;
	out->touches = from->nr_touches;
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		if (add(out, causes[i].kind, causes[i].count))
			return -ENOMEM;
		left -= causes[i].count;
	}
	/* With threads it was counted while exceptions were on their way: no more than is
	 * left. */
	unplaced = left < (int64_t)from->nr_unplaced ? left : (int64_t)from->nr_unplaced;
	if (unplaced > 0) {
		if (add(out, "kernel-unplaced", unplaced))
			return -ENOMEM;
		left -= unplaced;
	}
	names_of_notes(from, names, sizeof(names));
	if (left != 0 && names[0]) {
		if (add(out, names, left))
			return -ENOMEM;
		left = 0;
	}
	/* What infers touches is off by what it cannot see, and says so. */
	if (left != 0 && !exact) {
		if (add(out, "source", left))
			return -ENOMEM;
		left = 0;
	}
	out->unexplained = left;
	return 0;
}

int replay_account_add(struct replay_account *sum, const struct replay_account *one)
{
	sum->linux_faults += one->linux_faults;
	sum->touches += one->touches;
	/* Gaps of one sign in one place do not make up for those in another. */
	sum->unexplained += one->unexplained < 0 ? -one->unexplained : one->unexplained;
	for (size_t i = 0; i < one->nr_explained; i++)
		if (add(sum, one->explained[i].kind, one->explained[i].count))
			return -ENOMEM;
	return 0;
}

void replay_account_fini(struct replay_account *account)
{
	for (size_t i = 0; i < account->nr_explained; i++)
		free(account->explained[i].kind);
	free(account->explained);
	*account = (struct replay_account){ 0 };
}
