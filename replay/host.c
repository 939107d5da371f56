/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recorded host, mirrored in the instance: whatever of its traits the core
 * has a switch for.  A trait that is not known (an old recording, a log) leaves
 * the core's default, which is Linux's.
 */
#include "state.h"

static enum quire_folios folios_of(uint64_t mode)
{
	return mode == HOST_THP_ALWAYS	? QUIRE_FOLIOS_ALWAYS :
	       mode == HOST_THP_MADVISE ? QUIRE_FOLIOS_MADVISE :
					  QUIRE_FOLIOS_NEVER;
}

/* transparent_hugepage/enabled and hugepages-*kB/enabled.  Kernels before 6.8
 * have the first alone, which speaks of the PMD size. */
static void mirror_folios(struct quire_config *config, const struct host *host)
{
	for (unsigned order = 2; order <= QUIRE_PMD_ORDER; order++) {
		uint64_t mode = host_thp_of_order(host, order);

		if (mode == HOST_UNKNOWN && order == QUIRE_PMD_ORDER)
			mode = host->trait[HOST_thp];
		if (mode != HOST_UNKNOWN)
			config->anon_folios[order] = folios_of(mode);
	}
}

static void mirror_number(unsigned *into, const struct host *host, enum host_trait trait,
			  uint64_t most)
{
	if (host_knows(host, trait) && host->trait[trait] <= most)
		*into = (unsigned)host->trait[trait];
}

void replay_mirror_host(struct quire_config *config, const struct host *host, bool folios_chosen)
{
	uint64_t around = host_or(host, HOST_fault_around_bytes, 0);
	uint64_t most = host_or(host, HOST_max_map_count, UINT32_MAX);

	if (!folios_chosen)
		mirror_folios(config, host);
	if (host_knows(host, HOST_zero_page))
		config->zero_page = host->trait[HOST_zero_page] != 0;
	if (host_knows(host, HOST_huge_zero_page))
		config->huge_zero_page = host->trait[HOST_huge_zero_page] != 0;
	if (around >= QUIRE_PAGE_SIZE && around <= QUIRE_PMD_SIZE && (around & (around - 1)) == 0)
		config->fault_around_bytes = (unsigned)around;
	if (most < UINT32_MAX)
		config->map_count_max = (uint32_t)most;
	mirror_number(&config->max_ptes_none, host, HOST_max_ptes_none, QUIRE_TABLE_ENTRIES - 1);
	mirror_number(&config->max_ptes_shared, host, HOST_max_ptes_shared, QUIRE_TABLE_ENTRIES);
	mirror_number(&config->max_ptes_swap, host, HOST_max_ptes_swap, QUIRE_TABLE_ENTRIES);
}

void replay_host_changed(struct replay *replay, const struct trace_event *event)
{
	struct quire_config now = replay->config;

	if (!host_set(&replay->host, event->host.name, event->host.text)) {
		replay->result->nr_unknown++;
		return;
	}
	/* Of a running instance only who gets folios can be changed. */
	replay_mirror_host(&now, &replay->host, replay->options->folios_chosen);
	for (unsigned order = 2; order <= QUIRE_PMD_ORDER; order++)
		if (now.anon_folios[order] != replay->config.anon_folios[order])
			quire_set_anon_folios(replay->q, order, now.anon_folios[order]);
	replay->config = now;
}
