/* SPDX-License-Identifier: BSD-2-Clause */
/* The host's traits: what a recording made here would say of it. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "commands.h"
#include "host/host.h"
#include "replay/output.h"

static const char help_text[] =
	"quire host [options]\n\n"
	"Prints what the kernel of this machine is set to, as far as a program can notice\n"
	"it in its memory.  A recording keeps this, and a replay sets the core as it says.\n\n"
	"  -j, --json     print JSON instead of a table\n"
	"  -h, --help     this text\n"
	"  -V, --version  which quire this is\n\n"
	"Examples:\n"
	"  quire host\n"
	"  quire host --json\n";

/* For people: sizes with a unit, times in microseconds. */
static void text_of(const struct host *host, enum host_trait trait, char text[HOST_TEXT_BYTES])
{
	uint64_t value = host->trait[trait];

	if (host_trait_kind(trait) == HOST_BYTES && value != HOST_UNKNOWN)
		format_bytes(value, text, HOST_TEXT_BYTES);
	else if (host_trait_kind(trait) == HOST_NS && value != HOST_UNKNOWN)
		snprintf(text, HOST_TEXT_BYTES, "%.1f us", (double)value / 1000.0);
	else
		host_value_text(host_trait_kind(trait), value, text);
}

static void print_orders(const char *title, const uint64_t orders[HOST_NR_ORDERS],
			 enum host_kind kind, uint64_t page_bytes)
{
	bool any = false;

	for (unsigned order = 0; order < HOST_NR_ORDERS; order++) {
		char text[HOST_TEXT_BYTES], size[HOST_TEXT_BYTES];

		if (orders[order] == HOST_UNKNOWN)
			continue;
		host_value_text(kind, orders[order], text);
		printf("  %-20s %-12s %s\n", any ? "" : title,
		       format_bytes(page_bytes << order, size, sizeof(size)), text);
		any = true;
	}
}

static void print_table(const struct host *host)
{
	char text[HOST_TEXT_BYTES];

	printf("Linux %s on %s\n\n", host->kernel, host->machine);
	for (unsigned i = 0; i < HOST_NR_TRAITS; i++) {
		text_of(host, (enum host_trait)i, text);
		printf("  %-20s %-12s %s\n", host_trait_name((enum host_trait)i), text,
		       host_trait_about((enum host_trait)i));
	}
	printf("\n");
	print_orders("large folios of", host->thp_order, HOST_THP, host->trait[HOST_page_bytes]);
	print_orders("shared, of", host->shmem_order, HOST_SHMEM, host->trait[HOST_page_bytes]);
	if (host->trait[HOST_zero_page] == 0)
		printf("\n  This kernel has no page of zeros: reading memory never written costs a page,\n"
		       "  and the write that follows takes no fault.\n");
}

static void add_member(void *context, const char *name, const char *text)
{
	json_object_set_new(context, name, json_string(text));
}

static int print_json(const struct host *host)
{
	json_t *json = json_object();

	if (!json)
		return 1;
	host_for_each(host, add_member, json);
	json_dumpf(json, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(json);
	return 0;
}

int cmd_host(int argc, char **argv)
{
	static const struct option longs[] = { { "json", no_argument, NULL, 'j' },
					       { "help", no_argument, NULL, 'h' },
					       { "version", no_argument, NULL, 'V' },
					       { 0 } };
	struct host host;
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, ":jhV", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		case 'V':
			return command_version();
		default:
			return command_bad_option("host", argv, c);
		}
	}
	if (optind != argc)
		return command_usage_error("host", "'%s' is not understood", argv[optind]);
	host_probe(&host);
	if (json)
		return print_json(&host);
	print_table(&host);
	return 0;
}
