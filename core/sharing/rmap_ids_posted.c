/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rmap-ids as it was posted in November 2023: known to be wrong in two ways.
 * It is here so that whoever looks for such failures has one to find.
 *
 * 1. Orders 6 to 9 have three values of 8 bits in base 513, and 513^8 > 2^64.
 *    Because 512^7 = 2^63, the coefficients (2, -14, 42, -70, 70, -42, 14, -2) of
 *    2 (1 - x)^7 give 0 modulo 2^64 at x = 513: seventy mappings by seven mms that
 *    are taken for those of an eighth.
 * 2. Up to order 2 the path of the exclusive writer forgets to multiply by the
 *    number of pages.
 *
 * Neither sound nor, in consequence, exact.  State and code are those of
 * rmap_ids.c.
 */
#include "sharing/rmap_ids.h"

static const struct rmap_ids_class posted_classes[] = {
	{ .max_order = 2, .nr_values = 1, .id_bits = 24, .first_subid = 0 },
	{ .max_order = 5, .nr_values = 2, .id_bits = 12, .first_subid = 1 },
	{ .max_order = 9, .nr_values = 3, .id_bits = 8, .first_subid = 3 },
	{ .max_order = 10, .nr_values = 4, .id_bits = 6, .first_subid = 6 },
	{ .max_order = 12, .nr_values = 5, .id_bits = 5, .first_subid = 10 },
	{ .max_order = 15, .nr_values = 6, .id_bits = 4, .first_subid = 15 },
};

static const struct rmap_ids_scheme posted = {
	.classes = posted_classes,
	.nr_classes = ARRAY_LEN(posted_classes),
	.unscaled = true,
};

RMAP_IDS_CALLS(posted)

const struct sharing_ops sharing_rmap_ids_posted = {
	.name = "rmap-ids-posted",
	.source = "David Hildenbrand, November 2023; letter 000_fa4b51931d6963d5.txt, as posted",
	RMAP_IDS_OPS(posted),
};
