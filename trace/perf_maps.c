/* SPDX-License-Identifier: BSD-2-Clause */
/* The mappings of one address space: an array, ascending and disjoint. */
#include <stdlib.h>
#include <string.h>

#include "import_perf.h"

size_t perf_areas_after(const struct perf_areas *areas, uint64_t addr)
{
	size_t low = 0, high = areas->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (areas->area[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Makes addr a boundary, if it lies inside an area. */
static bool split(struct perf_areas *areas, uint64_t addr)
{
	size_t i = perf_areas_after(areas, addr);
	struct perf_area *left;

	if (i == areas->nr || areas->area[i].start >= addr)
		return true;
	if (!import_room(&areas->area, areas->nr, &areas->capacity, sizeof(areas->area[0])))
		return false;
	left = &areas->area[i];
	memmove(left + 1, left, (areas->nr - i) * sizeof(*left));
	areas->nr++;
	left[1].offset += addr - left->start;
	left[1].start = left->end = addr;
	return true;
}

bool perf_areas_set(struct perf_areas *areas, const struct perf_area *area)
{
	size_t from, to;

	if (!split(areas, area->start) || !split(areas, area->end) ||
	    !import_room(&areas->area, areas->nr, &areas->capacity, sizeof(areas->area[0])))
		return false;
	from = perf_areas_after(areas, area->start);
	for (to = from; to < areas->nr && areas->area[to].end <= area->end; to++)
		;
	memmove(areas->area + from + 1, areas->area + to,
		(areas->nr - to) * sizeof(areas->area[0]));
	areas->nr -= to - from;
	areas->area[from] = *area;
	areas->nr++;
	return true;
}

bool perf_areas_copy(struct perf_areas *to, const struct perf_areas *from)
{
	for (size_t i = 0; i < from->nr; i++) {
		if (!import_room(&to->area, i, &to->capacity, sizeof(to->area[0])))
			return false;
		to->area[i] = from->area[i];
	}
	to->nr = from->nr;
	return true;
}
