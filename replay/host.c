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

static enum quire_shmem_folios shmem_of(uint64_t mode)
{
	static const enum quire_shmem_folios modes[] = {
		[HOST_SHMEM_NEVER] = QUIRE_SHMEM_NEVER, [HOST_SHMEM_ADVISE] = QUIRE_SHMEM_ADVISE,
		[HOST_SHMEM_WITHIN_SIZE] = QUIRE_SHMEM_WITHIN_SIZE,
		[HOST_SHMEM_ALWAYS] = QUIRE_SHMEM_ALWAYS, [HOST_SHMEM_DENY] = QUIRE_SHMEM_DENY,
		[HOST_SHMEM_FORCE] = QUIRE_SHMEM_FORCE, [HOST_SHMEM_INHERIT] = QUIRE_SHMEM_INHERIT,
	};

	return modes[mode <= HOST_SHMEM_INHERIT ? mode : HOST_SHMEM_NEVER];
}

/* shmem_enabled, for memfd and the kernel's own mount, and that of the PMD size, for
 * shared anonymous memory. */
static void mirror_shmem(struct quire_config *config, const struct host *host)
{
	if (host_knows(host, HOST_thp_shmem))
		config->shmem_folios = shmem_of(host->trait[HOST_thp_shmem]);
	if (host->shmem_order[QUIRE_PMD_ORDER] != HOST_UNKNOWN)
		config->shared_folios = shmem_of(host->shmem_order[QUIRE_PMD_ORDER]);
}

/* Linux's limit on what may be committed, where the recording says all of it. */
static void mirror_overcommit(struct quire_config *config, const struct host *host)
{
	uint64_t memory = host_or(host, HOST_memory_bytes, 0);
	uint64_t swap = host_or(host, HOST_swap_bytes, 0);
	uint64_t kbytes = host_or(host, HOST_overcommit_kbytes, 0);
	uint64_t percent = host_or(host, HOST_overcommit_ratio, 50);

	/* Without its memory the recorded host's limit is not known: none. */
	if (!host_knows(host, HOST_overcommit) || memory == 0)
		return;
	config->memory_and_swap_bytes = memory + swap;
	config->commit_limit_bytes =
		(kbytes ? kbytes * 1024 : memory / 100 * percent) + swap;
	/* What other programs of that host had committed is not known: the limit on
	 * all together (2) is not played. */
	config->overcommit = host->trait[HOST_overcommit] == 0 ? QUIRE_OVERCOMMIT_HEURISTIC :
								 QUIRE_OVERCOMMIT_ALWAYS;
}

void replay_mirror_host(struct quire_config *config, const struct host *host, bool folios_chosen)
{
	uint64_t around = host_or(host, HOST_fault_around_bytes, 0);
	uint64_t most = host_or(host, HOST_max_map_count, UINT32_MAX);

	if (!folios_chosen)
		mirror_folios(config, host);
	mirror_shmem(config, host);
	mirror_overcommit(config, host);
	/* Keys were given where there are any; what they are is recorded. */
	config->pkeys = host_or(host, HOST_pkeys, 0) != 0;
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
