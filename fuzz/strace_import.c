/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any text may be imported as an strace log.  What comes out without an error
 * must be a recording that the reader takes.
 */
#include "import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_import(import_strace_text, data, size);
}
