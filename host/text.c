/* SPDX-License-Identifier: BSD-2-Clause */
/* Traits as names and texts, in both directions. */
#include "host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *about;
	enum host_kind kind;
} traits[HOST_NR_TRAITS] = {
#define HOST_TRAIT_ROW(id, name, kind, about) { name, about, HOST_##kind },
	HOST_TRAITS(HOST_TRAIT_ROW)
#undef HOST_TRAIT_ROW
};

/* The words of the kinds that have some; their places are the enums of host.h. */
static const char *const flag_words[] = { "no", "yes", NULL };
static const char *const thp_words[] = { "never", "madvise", "always", "inherit", NULL };
static const char *const shmem_words[] = {
	"never", "advise", "within_size", "always", "deny", "force", "inherit", NULL,
};
static const char *const defrag_words[] = {
	"never", "madvise", "defer+madvise", "defer", "always", NULL,
};

static const char *const *words_of(enum host_kind kind)
{
	switch (kind) {
	case HOST_FLAG:
		return flag_words;
	case HOST_THP:
		return thp_words;
	case HOST_SHMEM:
		return shmem_words;
	case HOST_DEFRAG:
		return defrag_words;
	default:
		return NULL;
	}
}

const char *host_trait_name(enum host_trait trait)
{
	return traits[trait].name;
}

const char *host_trait_about(enum host_trait trait)
{
	return traits[trait].about;
}

enum host_kind host_trait_kind(enum host_trait trait)
{
	return traits[trait].kind;
}

void host_value_text(enum host_kind kind, uint64_t value, char text[HOST_TEXT_BYTES])
{
	const char *const *words = words_of(kind);

	if (value == HOST_UNKNOWN) {
		snprintf(text, HOST_TEXT_BYTES, "?");
		return;
	}
	for (uint64_t i = 0; words && words[i]; i++)
		if (i == value) {
			snprintf(text, HOST_TEXT_BYTES, "%s", words[i]);
			return;
		}
	snprintf(text, HOST_TEXT_BYTES, "%" PRIu64, value);
}

static bool parse_value(enum host_kind kind, const char *text, uint64_t *value)
{
	const char *const *words = words_of(kind);
	char *end;

	for (uint64_t i = 0; words && words[i]; i++)
		if (strcmp(words[i], text) == 0) {
			*value = i;
			return true;
		}
	if (words || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return *end == 0 && errno == 0 && *value != HOST_UNKNOWN;
}

/* "thp-order-4": the 4; -1 where the name is none of these. */
static int order_of(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);
	char *end;
	long order;

	if (strncmp(name, prefix, len) != 0 || name[len] < '0' || name[len] > '9')
		return -1;
	order = strtol(name + len, &end, 10);
	return *end == 0 && order < HOST_NR_ORDERS ? (int)order : -1;
}

static bool set_text(char field[HOST_TEXT_BYTES], const char *text)
{
	if (strlen(text) >= HOST_TEXT_BYTES)
		return false;
	snprintf(field, HOST_TEXT_BYTES, "%s", text);
	return true;
}

bool host_set(struct host *host, const char *name, const char *text)
{
	int order;

	for (unsigned i = 0; i < HOST_NR_TRAITS; i++)
		if (strcmp(traits[i].name, name) == 0)
			return parse_value(traits[i].kind, text, &host->trait[i]);
	order = order_of(name, "thp-order-");
	if (order >= 0)
		return parse_value(HOST_THP, text, &host->thp_order[order]);
	order = order_of(name, "shmem-order-");
	if (order >= 0)
		return parse_value(HOST_SHMEM, text, &host->shmem_order[order]);
	if (strcmp(name, "kernel") == 0)
		return set_text(host->kernel, text);
	return strcmp(name, "machine") == 0 && set_text(host->machine, text);
}

static void visit_order(enum host_kind kind, const char *prefix, unsigned order, uint64_t value,
	void (*visit)(void *, const char *, const char *), void *context)
{
	char name[32], text[HOST_TEXT_BYTES];

	if (value == HOST_UNKNOWN)
		return;
	snprintf(name, sizeof(name), "%s%u", prefix, order);
	host_value_text(kind, value, text);
	visit(context, name, text);
}

void host_for_each(const struct host *host,
	void (*visit)(void *context, const char *name, const char *text), void *context)
{
	char text[HOST_TEXT_BYTES];

	visit(context, "kernel", host->kernel);
	visit(context, "machine", host->machine);
	for (unsigned i = 0; i < HOST_NR_TRAITS; i++) {
		if (host->trait[i] == HOST_UNKNOWN)
			continue;
		host_value_text(traits[i].kind, host->trait[i], text);
		visit(context, traits[i].name, text);
	}
	for (unsigned order = 0; order < HOST_NR_ORDERS; order++) {
		visit_order(HOST_THP, "thp-order-", order, host->thp_order[order], visit, context);
		visit_order(HOST_SHMEM, "shmem-order-", order, host->shmem_order[order], visit,
			context);
	}
}

void host_init(struct host *host)
{
	*host = (struct host){ .kernel = "" };
	for (unsigned i = 0; i < HOST_NR_TRAITS; i++)
		host->trait[i] = HOST_UNKNOWN;
	for (unsigned order = 0; order < HOST_NR_ORDERS; order++)
		host->thp_order[order] = host->shmem_order[order] = HOST_UNKNOWN;
}

uint64_t host_thp_of_order(const struct host *host, unsigned order)
{
	uint64_t mode = order < HOST_NR_ORDERS ? host->thp_order[order] : HOST_UNKNOWN;

	return mode == HOST_THP_INHERIT ? host->trait[HOST_thp] : mode;
}

uint64_t host_shmem_of_order(const struct host *host, unsigned order)
{
	uint64_t mode = order < HOST_NR_ORDERS ? host->shmem_order[order] : HOST_UNKNOWN;

	return mode == HOST_SHMEM_INHERIT ? host->trait[HOST_thp_shmem] : mode;
}
