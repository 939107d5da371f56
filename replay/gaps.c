/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a figure of an address space is more than one percent off, the gap is put
 * down to what the recording says of that address space: the calls noted there,
 * touches that were lost, a source that infers, counters that Linux batches.  With
 * none of these it is unexplained, and said to be.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* What one read from a disk brings in at the most, by default. */
#define READ_AHEAD_PAGES 32u

static int name_cause(struct replay_gap *gap, const char *cause)
{
	size_t old = gap->causes ? strlen(gap->causes) : 0;
	char *grown;

	if (gap->causes && strstr(gap->causes, cause))
		return 0;
	grown = realloc(gap->causes, old + strlen(cause) + 3);
	if (!grown)
		return -ENOMEM;
	if (old)
		memcpy(grown + old, ", ", 3);
	else
		grown[0] = '\0';
	strcat(grown, cause);
	gap->causes = grown;
	return 0;
}

/* Names the causes that there are for the gap; *ret_any: there was one. */
static int name_causes(const struct replay *replay, const struct space_slot *slot,
		       const struct replay_space *space, enum replay_figure figure, uint64_t size, struct replay_gap *gap,
		       bool *ret_any)
{
	const struct space_account *account = &slot->account;
	const char *other[13];
	size_t nr = 0;
	int err = 0;

	for (size_t i = 0; i < account->nr_notes && !err; i++)
		err = name_cause(gap, account->notes[i].call);
	if (replay->result->nr_lost)
		other[nr++] = "lost touches";
	if (replay->header->source != TRACE_SOURCE_TRACEPOINT)
		other[nr++] = "inferred touches";
	/* The replay's page cache has all of a file that is mapped; Linux had to read,
	 * so its did not, and what it had not it could not map around a fault. */
	if (space->nr_major && figure != REPLAY_VMAS &&
	    (figure != REPLAY_FAULTS || size <= space->nr_major * READ_AHEAD_PAGES))
		other[nr++] = "files not in memory";
	/* Who does not stop the program sees the peak of its tables now and then. */
	if (figure == REPLAY_TABLES && replay->header->calls == TRACE_CALLS_TRACEPOINT &&
	    space->quire_says.peak_page_table_bytes > space->linux_said.peak_page_table_bytes)
		other[nr++] = "a peak not seen";
	/* Tables that are empty, mappings that look alike: how they came to be so. */
	if (figure != REPLAY_FAULTS && slot->attached)
		other[nr++] = "what was before the recording";
	if (figure == REPLAY_TABLES && size <= account->nr_leaf_windows * QUIRE_PAGE_SIZE)
		other[nr++] = "large folios of files";
	if (figure == REPLAY_FAULTS && space->quire_says.faults < space->linux_said.faults &&
	    size <= space->nr_idle)
		other[nr++] = "touches that took no fault here";
	if (figure != REPLAY_VMAS && account->nr_cuts)
		other[nr++] = "a file cut unseen";
	if (account->nr_forced)
		other[nr++] = "pages written by force";
	/* What another thread touches while a call is under way is placed before it. */
	if ((figure == REPLAY_VMAS || figure == REPLAY_FAULTS) && account->has_threads)
		other[nr++] = "threads at once";
	if (figure == REPLAY_FAULTS ? account->nr_unplaced > 0 :
	    figure == REPLAY_RSS && size <= account->nr_unplaced * QUIRE_PAGE_SIZE)
		other[nr++] = "faults of the kernel on pages that nothing tells";
	if (replay->options->folios_chosen)
		other[nr++] = "chosen folios";
	if (figure == REPLAY_RSS && size <= replay_rss_slack_bytes(replay->result->nr_cpus))
		other[nr++] = "batched counters";
	for (size_t i = 0; i < nr && !err; i++)
		err = name_cause(gap, other[i]);
	*ret_any = account->nr_notes + nr > 0;
	return err;
}

static uint64_t figure_of(const struct replay_figures *figures, enum replay_figure which)
{
	switch (which) {
	case REPLAY_FAULTS:
		return figures->faults;
	case REPLAY_RSS:
		return figures->peak_rss_bytes;
	case REPLAY_TABLES:
		return figures->peak_page_table_bytes;
	default:
		return figures->vmas;
	}
}

int replay_judge_gaps(struct replay *replay, const struct space_slot *slot,
		      const struct replay_space *space)
{
	for (unsigned which = 0; which < REPLAY_NR_FIGURES; which++) {
		struct replay_gap *gap = &replay->result->gaps[which];
		uint64_t theirs = figure_of(&space->linux_said, which);
		uint64_t ours = figure_of(&space->quire_says, which);
		uint64_t size = ours > theirs ? ours - theirs : theirs - ours;
		bool any;
		int err;

		if (size * 100 <= theirs)
			continue;
		err = name_causes(replay, slot, space, which, size, gap, &any);
		if (err)
			return err;
		*(any ? &gap->explained : &gap->unexplained) += size;
	}
	return 0;
}

uint64_t replay_rss_slack_bytes(uint32_t nr_cpus)
{
	enum { BATCH_PAGES = 32, COUNTERS = 3 };

	return (uint64_t)nr_cpus * BATCH_PAGES * COUNTERS * QUIRE_PAGE_SIZE;
}
