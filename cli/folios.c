/* SPDX-License-Identifier: BSD-2-Clause */
/* --folios SIZE,SIZE...|all: which folios a replay may use. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

static bool order_is_offered(unsigned order)
{
	return order != 1 && order <= QUIRE_PMD_ORDER;
}

/* "64k" and the like of an order's size. */
static const char *size_name(unsigned order, char *buf, size_t buf_bytes)
{
	static const char units[] = { 0, 'k', 'm', 'g' };
	uint64_t size = (uint64_t)QUIRE_PAGE_SIZE << order;
	unsigned unit = 0;

	while (size >= 1024 && size % 1024 == 0 && unit + 1 < sizeof(units)) {
		size /= 1024;
		unit++;
	}
	snprintf(buf, buf_bytes, "%" PRIu64 "%c", size, units[unit]);
	return buf;
}

/* The order of folios of the size that `text` says; -1: there is none. */
static int parse_size(const char *text)
{
	char *end;
	uint64_t size = strtoull(text, &end, 10);
	unsigned shift = 0;

	if (!isdigit((unsigned char)text[0]))
		return -1;
	if (*end != '\0') {
		const char *unit = strchr("kmg", tolower((unsigned char)*end));

		if (!unit || end[1] != '\0')
			return -1;
		shift = 10 * (unsigned)(unit - "kmg" + 1);
	}
	for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++)
		if (order_is_offered(order) && size <= UINT64_MAX >> shift &&
		    size << shift == (uint64_t)QUIRE_PAGE_SIZE << order)
			return (int)order;
	return -1;
}

static int no_such_size(const char *command, const char *text)
{
	char name[32];

	fprintf(stderr, "quire %s: --folios: there are no folios of '%s'; there are:", command, text);
	for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++)
		if (order_is_offered(order))
			fprintf(stderr, " %s", size_name(order, name, sizeof(name)));
	fprintf(stderr, ", or all\n");
	return EXIT_USAGE;
}

/* Files get folios of the largest order of the list. */
static void offer(struct quire_config *config, unsigned order)
{
	if (order == 0)
		return;
	config->anon_folios[order] = QUIRE_FOLIOS_ALWAYS;
	if (order > config->file_order)
		config->file_order = order;
}

int folios_option(const char *command, char *list, struct replay_options *options)
{
	struct quire_config *config = &options->config;
	bool any = false;

	for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++)
		config->anon_folios[order] = QUIRE_FOLIOS_NEVER;
	config->file_order = 0;
	options->folios_chosen = true;
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		int order = parse_size(name);

		any = true;
		if (order >= 0) {
			offer(config, (unsigned)order);
			continue;
		}
		if (strcmp(name, "all") != 0)
			return no_such_size(command, name);
		for (unsigned each = 2; each <= QUIRE_PMD_ORDER; each++)
			offer(config, each);
	}
	return any ? 0 : command_usage_error(command, "--folios takes sizes, such as 64k,2m, or all");
}
