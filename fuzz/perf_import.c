/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any text may be imported as a perf log.  What comes out without an error must be a
 * recording that the reader takes.
 */
#include "import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_import(import_perf_text, data, size);
}
