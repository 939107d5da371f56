/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instances and address spaces: their making and their end.
 *
 * An instance is made room by room from the ground up and given back in
 * reverse.  What is then still allocated is counted and reported, not freed
 * one by one: physical memory goes back to the machine whole.
 */
#include "base/bits.h"
#include "mm/api.h"
#include "mm/change.h"

#define DEFAULT_MEMORY_BYTES u64_min(UINT64_C(1) << 30, UINT64_C(1) << (18 + PAGE_SHIFT))
#define DEFAULT_FAULT_AROUND_BYTES u64_max(UINT64_C(65536), PAGE_SIZE)
#define TINY_FAULT_AROUND_BYTES (2 * PAGE_SIZE)
/* 256 pages, as Linux, but not all of a tiny address space. */
#define DEFAULT_GUARD_GAP_BYTES \
	u64_min(256 * PAGE_SIZE, u64_max(align_down(TASK_SIZE / 64, PAGE_SIZE), PAGE_SIZE))
#define MIN_FRAMES 64u

void quire_config_default(struct quire_config *config)
{
	*config = (struct quire_config){
		.memory_bytes = DEFAULT_MEMORY_BYTES,
		.nr_cpus = 8,
		.tlb_sets = 128,
		.tlb_ways = 4,
		.fault_around_bytes =
			(unsigned)(PAGE_SIZE < 4096 ? TINY_FAULT_AROUND_BYTES :
						      DEFAULT_FAULT_AROUND_BYTES),
		.map_count_max = 65530,
		.overcommit = QUIRE_OVERCOMMIT_HEURISTIC,
		.overcommit_ratio = 50,
		.guard_gap_bytes = DEFAULT_GUARD_GAP_BYTES,
		.shared_folios = QUIRE_SHMEM_INHERIT,
		.huge_placement = true,
		.zero_page = true,
		.huge_zero_page = true,
		.pkeys = true,
		.max_ptes_none = QUIRE_TABLE_ENTRIES - 1,
		.max_ptes_shared = QUIRE_TABLE_ENTRIES / 2,
		.max_ptes_swap = QUIRE_TABLE_ENTRIES / 8,
		.max_mms = 65535,
	};
	config->anon_folios[QUIRE_PMD_ORDER] = QUIRE_FOLIOS_MADVISE;
	quire_decisions_default(&config->decisions);
}

bool quire_geometry_matches(unsigned page_shift, unsigned level_bits, unsigned levels)
{
	return page_shift == QUIRE_PAGE_SHIFT && level_bits == QUIRE_LEVEL_BITS &&
	       levels == QUIRE_LEVELS;
}

int quire_attach(void)
{
	return mach_attach();
}

void quire_detach(void)
{
	mach_detach();
}

static bool is_power_of_two(u64 v)
{
	return v != 0 && (v & (v - 1)) == 0;
}

static bool decisions_are_valid(const struct quire_decisions *decisions)
{
	for (unsigned row = 0; row < QUIRE_NR_DECISIONS; row++) {
		const struct quire_decision_info *info =
			quire_decision_info((enum quire_decision)row);

		if (decisions->chosen[row] < info->first || decisions->chosen[row] > info->last)
			return false;
	}
	return true;
}

static bool folios_are_valid(const struct quire_config *config)
{
	for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++)
		if (config->anon_folios[order] > QUIRE_FOLIOS_ALWAYS ||
		    (config->anon_folios[order] != QUIRE_FOLIOS_NEVER &&
		     !order_is_mappable(order)))
			return false;
	return (config->file_order == 0 || order_is_mappable(config->file_order)) &&
	       config->shmem_folios <= QUIRE_SHMEM_FORCE &&
	       (config->shared_folios <= QUIRE_SHMEM_ALWAYS ||
		config->shared_folios == QUIRE_SHMEM_INHERIT) &&
	       config->max_ptes_none < QUIRE_TABLE_ENTRIES &&
	       config->max_ptes_shared <= QUIRE_TABLE_ENTRIES &&
	       config->max_ptes_swap <= QUIRE_TABLE_ENTRIES;
}

static bool config_is_valid(const struct quire_config *config)
{
	return config->memory_bytes >> PAGE_SHIFT >= MIN_FRAMES &&
	       config->memory_bytes >> PAGE_SHIFT < UINT64_C(1) << QUIRE_ENTRY_PFN_BITS &&
	       config->nr_cpus >= 1 && config->nr_cpus <= MACH_MAX_CPUS &&
	       is_power_of_two(config->tlb_sets) && config->tlb_ways >= 1 &&
	       is_power_of_two(config->fault_around_bytes) &&
	       config->fault_around_bytes >= PAGE_SIZE &&
	       config->overcommit <= QUIRE_OVERCOMMIT_NEVER &&
	       is_aligned(config->guard_gap_bytes, PAGE_SIZE) &&
	       config->guard_gap_bytes < TASK_SIZE &&
	       config->max_mms >= 1 && folios_are_valid(config) &&
	       (!config->score_sharing || quire_scores_sharing()) &&
	       decisions_are_valid(&config->decisions);
}

/* ---- which folios anonymous memory gets ------------------------------------------ */

static void set_order_bit(u32 *orders, unsigned order, bool set)
{
	if (set)
		atomic_fetch_or(orders, (u32)BIT(order));
	else
		atomic_fetch_and(orders, ~(u32)BIT(order));
}

static void set_anon_folios(struct quire *q, unsigned order, enum quire_folios mode)
{
	set_order_bit(&q->always_orders, order, mode == QUIRE_FOLIOS_ALWAYS);
	set_order_bit(&q->madvise_orders, order, mode != QUIRE_FOLIOS_NEVER);
}

int quire_set_anon_folios(struct quire *q, unsigned order, enum quire_folios mode)
{
	int ret = api_enter(q);

	if (ret)
		return ret;
	if (order > QUIRE_PMD_ORDER || !order_is_mappable(order) || mode > QUIRE_FOLIOS_ALWAYS)
		return -QUIRE_EINVAL;
	set_anon_folios(q, order, mode);
	return 0;
}

/* ---- the rooms of an instance, from the ground up ---------------------------- */

static int memory_init(struct quire *q)
{
	const struct quire_config *config = &q->config;
	int ret = phys_init(&q->phys, config->memory_bytes >> PAGE_SHIFT, config->nr_cpus);
	struct mach_mmu_config mmu;

	if (ret)
		return ret;
	mmu = (struct mach_mmu_config){
		.phys_base = q->phys.base, .nr_frames = q->phys.nr_frames,
		.nr_cpus = config->nr_cpus,
		.tlb_sets = config->tlb_sets, .tlb_ways = config->tlb_ways,
	};
	ret = mach_mmu_create(&mmu, &q->mmu);
	if (ret)
		phys_fini(&q->phys);
	return ret;
}

static u64 memory_fini(struct quire *q)
{
	mach_mmu_destroy(q->mmu);
	return phys_fini(&q->phys);
}

struct cache_entry {
	size_t offset; /* of the objcache in struct quire */
	const char *name;
	u32 bytes, align_bytes;
};

static void cache_table(struct cache_entry table[4])
{
	table[0] = (struct cache_entry){ offsetof(struct quire, tree_nodes), "tree node",
					 maple_node_bytes(), maple_node_align_bytes() };
	table[1] = (struct cache_entry){ offsetof(struct quire, vma_cache), "vma",
					 sizeof(struct vma), _Alignof(struct vma) };
	table[2] = (struct cache_entry){ offsetof(struct quire, mm_cache), "mm",
					 sizeof(struct mm), _Alignof(struct mm) };
	table[3] = (struct cache_entry){ offsetof(struct quire, pin_cache), "pin",
					 pin_object_bytes(), _Alignof(u64) };
}

static struct objcache *cache_of(struct quire *q, const struct cache_entry *entry)
{
	return (struct objcache *)(void *)((char *)q + entry->offset);
}

static u64 caches_fini(struct quire *q, unsigned nr)
{
	struct cache_entry table[4];
	u64 nr_leaked = 0;

	cache_table(table);
	while (nr-- > 0)
		nr_leaked += objcache_fini(cache_of(q, &table[nr]));
	return nr_leaked;
}

static int caches_init(struct quire *q)
{
	struct cache_entry table[4];

	cache_table(table);
	for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
		int ret = objcache_init(cache_of(q, &table[i]), &q->phys, table[i].name,
					table[i].bytes, table[i].align_bytes);

		if (ret) {
			caches_fini(q, i);
			return ret;
		}
	}
	return 0;
}

static int zero_page_init(struct quire *q)
{
	q->zero_folio = folio_alloc(&q->phys, 0, ALLOC_ZERO);
	if (q->zero_folio == NULL)
		return -QUIRE_ENOMEM;
	folio_set(q->zero_folio, FRAME_ZERO_PAGE);
	folio_set(q->zero_folio, FRAME_UPTODATE);
	return 0;
}

static void zero_page_fini(struct quire *q)
{
	if (q->huge_zero_folio != NULL) {
		folio_clear(q->huge_zero_folio, FRAME_ZERO_PAGE);
		folio_put(&q->phys, q->huge_zero_folio);
	}
	folio_clear(q->zero_folio, FRAME_ZERO_PAGE);
	folio_put(&q->phys, q->zero_folio);
}

static enum deferred_rule deferred_chosen(const struct quire *q)
{
	if (DECIDED(q, deferred_split, subpage_counts))
		return DEFERRED_SUBPAGE_COUNTS;
	return DECIDED(q, deferred_split, total_count_scan) ? DEFERRED_TOTAL_COUNT_SCAN :
							      DEFERRED_TOTAL_COUNT;
}

/* By the order of the `sharing` row. */
static const struct sharing_ops *sharing_chosen(const struct quire *q)
{
	static const struct sharing_ops *const rivals[] = {
		[QUIRE_sharing_moments - QUIRE_sharing_moments] = &sharing_moments,
		[QUIRE_sharing_moments_locked - QUIRE_sharing_moments] = &sharing_moments_locked,
		[QUIRE_sharing_moments_wide - QUIRE_sharing_moments] = &sharing_moments_wide,
		[QUIRE_sharing_one_word - QUIRE_sharing_moments] = &sharing_one_word,
		[QUIRE_sharing_mm_ids - QUIRE_sharing_moments] = &sharing_mm_ids,
		[QUIRE_sharing_rmap_ids - QUIRE_sharing_moments] = &sharing_rmap_ids,
		[QUIRE_sharing_rmap_ids_posted - QUIRE_sharing_moments] = &sharing_rmap_ids_posted,
		[QUIRE_sharing_owner - QUIRE_sharing_moments] = &sharing_owner,
		[QUIRE_sharing_total_mapcount - QUIRE_sharing_moments] = &sharing_total_mapcount,
		[QUIRE_sharing_first_subpage - QUIRE_sharing_moments] = &sharing_first_subpage,
	};

	return rivals[q->config.decisions.chosen[QUIRE_DECISION_sharing] - QUIRE_sharing_moments];
}

static int reverse_map_init(struct quire *q)
{
	const struct sharing_ops *ops = sharing_chosen(q);
	const struct rmap_config config = {
		.ops = ops,
		.nr_ids = u64_min((u64)q->config.max_mms + 1, ops->max_ids),
		/* Who asks for the pages' counts has them counted. */
		.per_subpage = DECIDED(q, nr_mapped, per_subpage) ||
			       DECIDED(q, deferred_split, subpage_counts),
		.deferred = deferred_chosen(q),
		.score = q->config.score_sharing,
	};

	return rmap_init(&q->rmap, &q->phys, &config);
}

static int rooms_init(struct quire *q)
{
	int ret = memory_init(q);

	if (ret)
		return ret;
	ret = caches_init(q);
	if (ret)
		goto no_caches;
	ret = reverse_map_init(q);
	if (ret)
		goto no_rmap;
	ret = files_init(&q->files, &q->phys, &q->rmap, &q->tree_nodes);
	if (ret)
		goto no_files;
	q->files.committed_pages = &q->committed_pages;
	q->files.file_order = q->config.file_order;
	q->files.shmem_folios = q->config.shmem_folios;
	q->files.shared_folios = q->config.shared_folios;
	ret = zero_page_init(q);
	if (ret)
		goto no_zero_page;
	return 0;
no_zero_page:
	files_fini(&q->files);
no_files:
	rmap_fini(&q->rmap);
no_rmap:
	caches_fini(q, 4);
no_caches:
	memory_fini(q);
	return ret;
}

int quire_create(const struct quire_config *config, struct quire **ret_q)
{
	size_t cost_bytes;
	struct quire *q;
	int ret;

	if (config == NULL || ret_q == NULL || !config_is_valid(config) ||
	    mach_cpu() >= config->nr_cpus)
		return -QUIRE_EINVAL;
	q = mach_mem_alloc(sizeof(*q), _Alignof(struct quire));
	if (q == NULL)
		return -QUIRE_ENOMEM;
	q->config = *config;
	cost_bytes = config->nr_cpus * sizeof(struct quire_cost);
	q->costs = mach_mem_alloc(cost_bytes, 64);
	ret = -QUIRE_ENOMEM;
	if (q->costs == NULL)
		goto no_costs;
	mach_set_cost(&q->costs[mach_cpu()]);
	spin_init(&q->mms_lock, LOCK_RANK_instance);
	list_init(&q->mms);
	for (unsigned order = 0; order <= QUIRE_PMD_ORDER; order++)
		set_anon_folios(q, order, config->anon_folios[order]);
	ret = rooms_init(q);
	if (ret)
		goto no_rooms;
	*ret_q = q;
	return 0;
no_rooms:
	mach_set_cost(NULL);
	mach_mem_free(q->costs, cost_bytes);
no_costs:
	mach_mem_free(q, sizeof(*q));
	return ret;
}

void quire_destroy(struct quire *q, struct quire_leaks *ret_leaks)
{
	struct quire_leaks leaks = { 0 };

	if (q == NULL)
		return;
	mach_set_cost(&q->costs[mach_cpu()]);
	/* Objects on their way through a grace period are no leak. */
	mach_rcu_barrier();
	leaks.nr_address_spaces = q->nr_mms;
	leaks.nr_committed_pages = atomic_load(&q->committed_pages);
	zero_page_fini(q);
	leaks.nr_objects = files_fini(&q->files);
	leaks.nr_objects += rmap_fini(&q->rmap);
	leaks.nr_objects += caches_fini(q, 4);
	leaks.nr_frames = memory_fini(q);
	mach_set_cost(NULL);
	mach_mem_free(q->costs, q->config.nr_cpus * sizeof(struct quire_cost));
	mach_mem_free(q, sizeof(*q));
	if (ret_leaks != NULL)
		*ret_leaks = leaks;
}

/* ---- address spaces -------------------------------------------------------------- */

static u32 next_asid(struct quire *q)
{
	u32 asid;

	do
		asid = atomic_fetch_add(&q->next_asid, 1u) + 1;
	while (unlikely(asid == 0));
	return asid;
}

int mm_alloc(struct quire *q, const struct quire_layout *layout, struct mm **ret_mm)
{
	struct mm *mm = objcache_alloc(&q->mm_cache);
	int err = -QUIRE_ENOMEM;

	if (mm == NULL)
		return err;
	*mm = (struct mm){ .q = q, .layout = *layout, .brk = layout->brk_start };
	refcount_init(&mm->users, 1);
	list_init(&mm->link);
	rwsem_init(&mm->mmap_lock, LOCK_RANK_mmap);
	maple_init(&mm->vmas, &q->tree_nodes, MAPLE_GAPS);
	err = rmap_owner_init(&q->rmap, &mm->owner);
	if (err)
		goto no_owner;
	err = pgtable_init(&mm->pt, &q->phys, q->mmu, next_asid(q));
	if (err)
		goto no_tables;
	spin_lock(&q->mms_lock);
	q->nr_mms++;
	spin_unlock(&q->mms_lock);
	*ret_mm = mm;
	return 0;
no_tables:
	rmap_owner_fini(&mm->owner);
no_owner:
	objcache_free(&q->mm_cache, mm);
	return err;
}

void mm_free(struct mm *mm)
{
	struct quire *q = mm->q;

	/* Also the last that somebody who unlocked it under this lock needs it for. */
	spin_lock(&q->mms_lock);
	check(list_empty(&mm->link));
	q->nr_mms--;
	spin_unlock(&q->mms_lock);
	maple_destroy(&mm->vmas);
	pgtable_fini(&mm->pt);
	rmap_owner_fini(&mm->owner);
	objcache_free(&q->mm_cache, mm);
}

void mm_publish(struct mm *mm)
{
	struct quire *q = mm->q;

	spin_lock(&q->mms_lock);
	list_append(&q->mms, &mm->link);
	spin_unlock(&q->mms_lock);
}

struct mm *mm_next(const struct mm *mm)
{
	return mm->link.next == &mm->q->mms ? NULL : list_entry(mm->link.next, struct mm, link);
}

void mm_withdraw(struct mm *mm)
{
	struct quire *q = mm->q;

	spin_lock(&q->mms_lock);
	if (q->scan_mm == mm) {
		q->scan_mm = mm_next(mm);
		q->scan_addr = 0;
	}
	list_remove(&mm->link);
	spin_unlock(&q->mms_lock);
}

/* ---- looking at it ------------------------------------------------------------------ */

void quire_memory_stats(struct quire *q, struct quire_memory_stats *ret_stats)
{
	if (q == NULL || ret_stats == NULL)
		return;
	*ret_stats = (struct quire_memory_stats){
		.nr_frames = q->phys.nr_frames,
		.nr_free_frames = phys_nr_free(&q->phys),
		.nr_cached_pages = atomic_load(&q->files.nr_cached),
		.committed_pages = atomic_load(&q->committed_pages),
		.nr_address_spaces = atomic_load(&q->nr_mms),
	};
}

void quire_cost(struct quire *q, struct quire_cost *ret_cost)
{
	struct quire_cost sum = { 0 };

	if (q == NULL || ret_cost == NULL)
		return;
	for (unsigned cpu = 0; cpu < q->config.nr_cpus; cpu++) {
#define SUM_FIELD(field, what) sum.field += q->costs[cpu].field;
		QUIRE_COST_LIST(SUM_FIELD)
#undef SUM_FIELD
	}
	*ret_cost = sum;
}

bool quire_counts_costs(void)
{
#ifdef QUIRE_COUNT_COSTS
	return true;
#else
	return false;
#endif
}

bool quire_scores_sharing(void)
{
	return RMAP_SCORES;
}

int quire_sharing_score(struct quire *q, struct quire_sharing_score *ret_score)
{
	int ret = api_enter(q);

	if (ret)
		return ret;
	if (ret_score == NULL || !rmap_scores(&q->rmap))
		return -QUIRE_EINVAL;
	score_read(&q->rmap, ret_score);
	return 0;
}
