/* SPDX-License-Identifier: BSD-2-Clause */
/* The table made from list.h. */
#include <string.h>

#include "scenarios/list.h"
#include "scenarios/scenario.h"

#define SCENARIO_EXTERN(name) extern const struct scenario scenario_##name;
SCENARIO_LIST(SCENARIO_EXTERN)
#undef SCENARIO_EXTERN

const struct scenario *const scenario_list[] = {
#define SCENARIO_ROW(name) &scenario_##name,
	SCENARIO_LIST(SCENARIO_ROW)
#undef SCENARIO_ROW
	NULL
};

const struct scenario *scenario_find(const char *name)
{
	for (const struct scenario *const *at = scenario_list; *at; at++)
		if (strcmp((*at)->name, name) == 0)
			return *at;
	return NULL;
}
